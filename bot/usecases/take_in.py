"""Takes manifests in: what they say becomes what Latchkey knows, all of it or nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bot.runtime.connectors import is_sound
from bot.runtime.services import Services
from bot.usecases import sources
from engine import alarms
from engine.directory import PersonId
from engine.intake import TooMuchError
from engine.succession import Succession, as_known, known_as
from manifests import IntegrationManifest, Manifests
from storage import servers, sets, succession, sync
from storage.database import Write
from storage.sets import SetAge


def take_in(services: Services, listed: Manifests, digest: str = "") -> TooMuchError | None:
    """Store what the manifests say: people, admins, integrations, flows; and their hash, if given.

    Where people would lose too much at once, nothing of it is, until an admin says that it is
    right: return why. Who has a new id goes on under the old one, until an admin says that it is
    they.
    """
    now = services.clock.now()
    with services.database.read() as session:
        found = succession.find(session, listed.people)
        people = as_known(listed.people, found)
        try:
            steps = sync.compare(session, people, listed.groups).steps(now, whole=False)
        except TooMuchError as held:
            services.transaction(partial(_ask_admins, held=held, found=found, now=now))
            sources.failing(services, people=True)
            return held
    ids = known_as(found)
    systems = [_as_listed(m, ids) for m in listed.integrations]
    flows = [(f.revision.renamed(ids), f.active) for f in listed.flows]
    schedules = [s.renamed(lambda p: ids.get(PersonId(p), p)) for s in listed.schedules]

    def tell(tx: Write) -> None:
        succession.tell(tx, found, now)

    def the_rest(tx: Write, known: int) -> bool:
        tx.alone()
        if not sync.is_so(tx, people, known) or sync.integration_steps(tx, systems, now):
            return False  # another process is at another set: it is compared again
        sync.administrators(tx, [ids.get(admin, admin) for admin in listed.admins], now)
        sync.schedules(tx, schedules, now)
        sync.failing(tx, (), now)
        if digest:
            sets.applied(tx, digest, now)
        sync.end(tx)
        return True

    for step in (tell, sync.begin, *steps):
        services.transaction(partial(_patiently, step))
    while True:
        with services.database.read() as session:
            known = sync.epoch(session)
            there = sync.compare(session, people, listed.groups, held=False)
            left = there.steps(now, whole=False) if there.differs else []
            new, gone = sync.object_steps(session, listed.objects, now)
            left += [*new, *sync.flow_steps(session, flows, now), *gone]
            left += sync.integration_steps(session, systems, now)
            left += sync.risk_steps(session, listed.risks, [of[0] for of in systems], now)
        for step in left:
            services.transaction(partial(_patiently, step))
        if not left and services.transaction(partial(the_rest, known=known)):
            return None


def write_anew(services: Services, listed: Manifests, digest: str) -> None:
    """Write anew what is stored of systems and cannot be used, if this set is the one in force."""
    now = services.clock.now()
    with services.database.read() as session:
        sound = [c for c in servers.connections(session) if c.listed and is_sound(c)]
        stored = {c.id: (c.id, c.name, c.kind, c.settings, c.owner, c.owner_tag) for c in sound}
        ids = known_as(succession.find(session, listed.people))
        anew = {m.id: _as_listed(m, ids) for m in listed.integrations}
        steps = sync.integration_steps(session, [*{**anew, **stored}.values()], now)

    def if_in_force(step: sync.SyncStep, tx: Write) -> None:
        tx.alone()
        if sets.age(tx, digest) is SetAge.NEWEST:
            step(tx)

    for step in steps:
        services.transaction(partial(_patiently, partial(if_in_force, step)))


def _as_listed(system: IntegrationManifest, ids: Mapping[PersonId, PersonId]) -> tuple[Any, ...]:
    """Return a system as it is stored. `ids`: by which people are known, by the listed ones."""
    owner = ids.get(PersonId(system.owner), system.owner)
    return system.id, system.name, system.kind, system.settings, owner, system.owner_tag


def is_under_way(services: Services) -> bool:
    """Tell whether an intake was begun that has not come to its end: what is known is a mix."""
    with services.database.read() as session:
        return sync.broken_off(session)


def wake(services: Services) -> None:
    """Have what depends on people look again, where an intake that woke nobody was broken off."""
    while services.transaction(sync.wake):
        pass


def _patiently(step: sync.SyncStep, tx: Write) -> None:
    tx.wait_for_others()
    step(tx)


def _ask_admins(
    tx: Write, *, held: TooMuchError, found: Sequence[Succession], now: datetime
) -> None:
    """Tell the admins, once, however often it is tried, and of new ids, which may be the cause."""
    succession.tell(tx, found, now)
    sentence = (
        f"The manifests were not taken in: {held}. Latchkey goes on with what it knows. If that is "
        "what you want: latchkey people accept."
    )
    if found:
        sentence += " Before that, look who only has a new id: latchkey people carry."
    sync.tell_admins(tx, f"held/{alarms.digest(held.losing)}", sentence, now)
