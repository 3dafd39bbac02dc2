"""Whose a database is: the name that its logins were made under, and the keys that prove it.

Under another name Latchkey would take the logins that it has made for somebody else's, and leave
them open. So the name that was taken in first stays in force.
"""

from typing import TypeVar

import structlog

from bot.runtime.services import Services
from bot.settings import KeySettings, Settings, SystemSettings, is_name
from storage import accounts, audit, installation, schema
from storage.audit import Under
from storage.database import Database, Read, file_of
from storage.secrets import KeyRing

__all__ = [
    "NOT_BOUND",
    "OTHER_KEYS",
    "begin",
    "in_force",
    "knows",
    "look",
    "misnamed",
    "not_needed",
    "not_ours",
]

OTHER_KEYS = (
    "LATCHKEY_KEYS or LATCHKEY_INSTALLATION are not those of the Latchkey that works on this "
    "database"
)

NOT_BOUND = (
    "the audit is proven by an older one of LATCHKEY_KEYS yet: leave it there until `latchkey run` "
    "has begun with both, which binds it under the first"
)

SettingsT = TypeVar("SettingsT", bound=SystemSettings)

log = structlog.get_logger()


def in_force(session: Read, given: SettingsT) -> SettingsT:
    """Return the settings with the name that is in force here.

    It is the stored one, unless the keys prove what was done under the other, and nothing of it:
    whoever can write to the database could name another.
    """
    stored = installation.named(session)
    if stored == given.installation or not is_name(stored):
        return given
    kept = given.model_copy(update={"installation": stored})
    if isinstance(given, KeySettings) and isinstance(kept, KeySettings):
        ours, theirs = (audit.proven(session, of.key_ring.audit_keys) for of in (given, kept))
        return given if ours and not theirs else kept
    return kept


def misnamed(given: SystemSettings, found: SystemSettings) -> str:
    """Say that another name is in force than the one that was given; empty: it is not."""
    if given.installation == found.installation:
        return ""
    return (
        f"LATCHKEY_INSTALLATION is {given.installation}, and the logins in the systems were made "
        f"under the name {found.installation}: that one stays in force, so that they end on time. "
        f"Set LATCHKEY_INSTALLATION={found.installation}"
    )


def knows(session: Read, keys: KeyRing) -> bool:
    """Tell whether something that Latchkey has stored is proven by these keys.

    Also where nothing is stored that any key could prove. What they do not prove says nothing
    against them: whoever can write to the database could take an operator's hands away by it.
    """
    if proven := audit.proven(session, keys.audit_keys):
        return True
    opened = accounts.opened(session, keys)
    return opened or (proven is None and opened is None)


def not_ours(session: Read, keys: KeyRing) -> str:
    """Say that nothing that is stored is proven by these keys, or that they were replaced by one
    that is not there; empty: neither.
    """
    if not knows(session, keys):
        return (
            f"{OTHER_KEYS}: no password that is kept can be shown, and the audit cannot be "
            "verified. Access ends on time all the same. Correct them"
        )
    if audit.under(session, keys) is Under.NEWER:
        return (
            "LATCHKEY_KEYS has a key that was replaced, and not the one that replaced it: what is "
            "written to the audit under the older one cannot be proven. Put the newer one first"
        )
    return ""


def not_needed(session: Read, keys: KeyRing) -> tuple[bool, str]:
    """Return whether all is well with several keys, and which of them can be taken away."""
    older, lost = accounts.sealed_apart(session, keys)
    if lost:
        return False, (
            f"what is kept of {lost} login(s) is sealed with a key that is not there: put it back, "
            "behind the others, or let their passwords be reset"
        )
    if len(keys.audit_keys) == 1:
        return True, "one, and it proves what is stored"
    if audit.under(session, keys) is Under.OLDER:
        return True, f"warning: {NOT_BOUND}"
    if older:
        return True, (
            f"what is kept of {older} login(s) is sealed with an older key: leave it there, or "
            "their passwords cannot be shown or set again"
        )
    return True, "the first alone is needed: the others can be taken away"


def look(given: Settings) -> tuple[Settings, dict[str, str]]:
    """Return the settings with the name that is in force in their database, and what is wrong with
    them beside what is stored there, by the names of the settings.

    Raises what `storage.database.AWAY` lists.
    """
    file = file_of(given.database_url)
    if file and not file.exists():
        return given, {}
    database = Database(given.database_url, pool=1, fresh=given.database_url_now)
    try:
        if not schema.fits(schema.current(database)):
            return given, {}
        with database.read() as session:
            found = in_force(session, given)
            faults = {
                "LATCHKEY_INSTALLATION": misnamed(given, found),
                "LATCHKEY_KEYS": not_ours(session, found.key_ring),
            }
            return found, {name: why for name, why in faults.items() if why}
    finally:
        database.close()


def begin(services: Services) -> None:
    """Take the name in, if there is none yet, and it is the one that all was done under; bind the
    audit under the key to write with, if that is new.
    """
    with services.database.read() as session:
        fits = not installation.named(session) and knows(session, services.keys)
        new = audit.under(session, services.keys) is Under.OLDER
    if fits:
        services.transaction(lambda tx: installation.name(tx, services.keys.installation))
    if new:
        services.transaction(lambda tx: audit.bind(tx, services.clock.now()))
        log.info("the audit is bound under the first of LATCHKEY_KEYS: it is proven without others")
