"""What an operator says of who is who: who it is, who has left, who only has a new id."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bot.usecases.console import Desk
from bot.usecases.whose import OTHER_KEYS
from engine.directory import address
from engine.intake import TooMuchError
from engine.outcome import AuditEntry, Code, Refusal
from engine.request import OPERATOR
from engine.succession import Succession, as_known
from engine.words import in_a_row
from manifests import Manifests
from storage import accounts, audit, servers, succession, sync
from storage.bounds import MOST_ROWS, parts
from storage.database import Write
from storage.secrets import KeyRing

__all__ = ["Accepted", "Carrying", "accept", "carry", "confirm", "look", "part"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was taken in: of how many people something is new, who loses something, new ids."""

    changed: int
    losing: tuple[str, ...]
    new_ids: int


@dataclass(frozen=True, slots=True)
class Carrying:
    """Who is listed under another id than the one known: the `same` people, or somebody else."""

    found: Sequence[Succession]
    same: Sequence[Succession]

    @property
    def others(self) -> list[Succession]:
        return [s for s in self.found if s not in self.same]

    @property
    def carried(self) -> list[Succession]:
        return [s for s in self.same if s.carries]


def confirm(desk: Desk, email: str) -> Refusal | None:
    """Let a suspended tie be made anew: an operator has looked who it is."""
    person = desk.by_email(email)
    if isinstance(person, Refusal):
        return person
    with desk.database.write() as tx:
        sync.confirm(tx, person, OPERATOR, desk.clock.now())
    return None


def part(desk: Desk, email: str) -> Refusal | None:
    """Note that somebody else has the id that this address is listed with."""
    person = desk.by_email(email)
    if isinstance(person, Refusal):
        return person
    with desk.database.write() as tx:
        if succession.make_way(tx, person, desk.clock.now()):
            return None
    return Refusal(
        Code.UNKNOWN_PERSON,
        f"Nothing waits for this: the address of {email} has not changed at its id.",
    )


def accept(desk: Desk, listed: Manifests) -> Accepted:
    """Take in all people of the manifests, and tell the admins of new ids, as a sync does."""
    now = desk.clock.now()
    losing: tuple[str, ...] = ()
    with desk.database.read() as session:
        found = succession.find(session, listed.people)
        people = as_known(listed.people, found)
        try:
            intake = sync.compare(session, people, listed.groups)
        except TooMuchError as fault:
            losing = fault.losing
            intake = sync.compare(session, people, listed.groups, held=False)

    def tell(tx: Write) -> None:
        succession.tell(tx, found, now)

    def note(tx: Write, some: Sequence[str]) -> None:
        entry = AuditEntry("people_accepted", OPERATOR, {"people": some})
        audit.append(tx, [(None, entry)], now)

    accepted = [partial(note, some=some) for some in parts(losing, most=sync.AT_ONCE)]
    # Of the set that these people are of, a start or the watch takes in the rest.
    steps: list[sync.SyncStep] = [tell, *accepted, *intake.steps(now, whole=False)]
    for step in steps:
        with desk.database.write() as tx:
            step(tx)
    return Accepted(intake.size, losing, len(found))


def look(desk: Desk, listed: Manifests, others: Iterable[str]) -> Carrying | Refusal:
    """Return who has a new id. `others` are addresses that are somebody else's by now."""
    with desk.database.read() as session:
        found = succession.find(session, listed.people)
    apart = {address(email) for email in others}
    if unknown := apart - {address(s.email) for s in found}:
        return Refusal(
            Code.UNKNOWN_PERSON,
            f"Nobody who has a new id has the address {', '.join(sorted(unknown))}.",
        )
    return Carrying(found, [s for s in found if address(s.email) not in apart])


def carry(desk: Desk, who: Carrying, keys: KeyRing) -> Refusal | None:
    """Give people their new ids, with all that is theirs; who had an address before has left."""
    if not desk.knows(keys):
        return Refusal(
            Code.UNREADABLE,
            f"{OTHER_KEYS}: correct them. Nothing was changed: the passwords of these people are "
            "sealed with those keys.",
        )
    with desk.database.read() as session:
        lost = accounts.sealed_by_others(session, keys, [s.old for s in who.carried])
    if lost:
        return Refusal(
            Code.UNREADABLE,
            f"No key in LATCHKEY_KEYS has sealed the password of {in_a_row(lost, most=10)}: put "
            "the one that has there. Nothing was changed. If it is lost, let them have a new "
            "password first.",
        )
    for some in parts(who.others, most=succession.AT_ONCE):
        with desk.database.write() as tx:
            succession.part(tx, some, desk.clock.now())
    with desk.database.read() as session:
        logins = len(servers.connections(session))  # of one person, at most
    each = max(MOST_ROWS // succession.AT_ONCE, 3 + logins)
    for some in parts(who.carried, lambda _: each):
        with desk.database.write() as tx:
            succession.carry(tx, some, keys, desk.clock.now())
    return None
