"""What an operator can do about access: revoke it, whatever Slack and the systems do."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from bot.usecases.console import Desk
from engine.commands import Cancel, Revoke
from engine.inventory import IntegrationId
from engine.outcome import Code, Decision, Refusal
from engine.request import OPERATOR, WAITING, AccessRequest, AccountId, State
from storage import accounts, apply, audit, facts, links, numbers, servers
from storage.bounds import parts
from storage.database import AWAY, Database, is_away, is_locked
from storage.servers import Connection
from storage.unit_of_work import carry_out

__all__ = [
    "Fate",
    "OpenLogin",
    "Recorded",
    "accounts_of",
    "as_they_are",
    "chosen",
    "delays",
    "newest_entry",
    "record",
    "revoke",
    "systems",
]

LOCKED = "somebody holds its row in the database locked: end that session, and try again"


@dataclass(frozen=True, slots=True)
class OpenLogin:
    """One login that has something to lose."""

    id: AccountId
    integration: IntegrationId
    system: str
    login: str


class Fate(Enum):
    """What an operator's word has made of a request."""

    RECORDED = auto()  # it is to be taken away
    UNDER_WAY = auto()  # it was being taken away already
    CANCELLED = auto()  # nothing had been given
    OVER = auto()  # nothing had to be taken away
    WAS_OVER = auto()  # already
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it is by now. `refusal`: why it is `REFUSED`."""

    request: AccessRequest
    fate: Fate
    refusal: Refusal | None = None


def accounts_of(database: Database, requests: Iterable[AccessRequest]) -> list[OpenLogin]:
    """Return the accounts that the requests have to do with."""
    ids = {g.account for r in requests for g in r.grants}
    with database.read() as session:
        names = {system.id: system.name for system in servers.connections(session)}
        return [
            OpenLogin(id_, of.integration, names.get(of.integration, of.integration), of.login)
            for id_, of in accounts.logins(session, ids).items()
        ]


def systems(database: Database, wanted: Collection[IntegrationId]) -> list[Connection]:
    """Return what is stored of these systems."""
    with database.read() as session:
        return [system for system in servers.connections(session) if system.id in wanted]


def as_they_are(desk: Desk, requests: Iterable[AccessRequest]) -> list[AccessRequest]:
    """Return the requests as they are by now, in the order of their ids."""
    with desk.database.read() as session:
        return facts.requests(session, [r.id for r in requests])


def newest_entry(desk: Desk) -> int:
    """Return the number of the audit's newest entry; 0: there is none."""
    with desk.database.read() as session:
        return audit.newest(session)


def delays(desk: Desk, after: int, since: datetime) -> list[tuple[int, Mapping[str, Any]]]:
    """Return what was noted of accounts that could not be brought in line, by entry."""
    with desk.database.read() as session:
        return audit.delays(session, after, since)


def chosen(desk: Desk, code: str | None, person: str | None) -> list[AccessRequest] | Refusal:
    """Return one request, those of one person, or (neither given) all that are not over."""
    if code is not None:
        found = desk.request(code)
        none = Refusal(Code.NO_SUCH_REQUEST, f"There is no request {code}.")
        return [found] if found else none
    with desk.database.read() as session:
        live = facts.find(session)
    if person is None:
        return live
    grantee = desk.by_email(person)
    if isinstance(grantee, Refusal):
        return grantee
    known_as = desk.company().directory.known_as(grantee)
    return [r for r in live if r.grantee in known_as]


def record(desk: Desk, requests: Sequence[AccessRequest], reason: str) -> Iterator[Recorded]:
    """Revoke each, or cancel it while it waits; have what is going already tried again at once."""
    under_way = [r for r in requests if r.state is State.REVOKING]
    for request, outcome in revoke(desk, [r for r in requests if r not in under_way], reason):
        if isinstance(outcome, Decision):
            yield Recorded(outcome.request, _fate(outcome.request.state))
            continue
        now = desk.request(request.code) or request  # others may have ended it since
        if now.state is State.REVOKING:
            under_way.append(now)
        elif now.state.final:
            yield Recorded(now, Fate.WAS_OVER)
        else:
            yield Recorded(now, Fate.REFUSED, outcome)
    _hurry(desk, under_way)
    yield from (Recorded(request, Fate.UNDER_WAY) for request in under_way)


def revoke(
    desk: Desk, requests: Iterable[AccessRequest], reason: str
) -> Iterator[tuple[AccessRequest, Decision | Refusal]]:
    """Revoke each, or cancel it while it waits; what is locked once more at the end."""
    with suppress(*AWAY):
        numbers.mend(desk.database)
        links.mend(desk.database, desk.clock.now())
    locked = list[AccessRequest]()
    for request in requests:
        outcome = _revoke(desk, request, reason)
        if outcome is None:
            locked.append(request)
        else:
            yield request, outcome
    for request in locked:
        yield request, _revoke(desk, request, reason) or Refusal(Code.UNREADABLE, LOCKED)


def _fate(state: State) -> Fate:
    if state is State.CANCELLED:
        return Fate.CANCELLED
    return Fate.OVER if state.final else Fate.RECORDED


def _revoke(desk: Desk, request: AccessRequest, reason: str) -> Decision | Refusal | None:
    """Return None if somebody holds its row locked."""
    try:
        desk.company()  # all of it is read outside: everybody waits for an urgent transaction
        with desk.database.write(urgent=True) as tx:
            now = facts.request(tx, request.id) or request
            command = (Cancel if now.state in WAITING else Revoke)(OPERATOR, reason)
            company = desk.companies.current(tx)
            return carry_out(tx, company, request.id, command, desk.clock.now())
    except Exception as fault:
        if is_away(fault):
            raise
        if is_locked(fault):
            return None
        # Whatever is wrong with one: the rest goes on.
        why = f"it could not be decided on ({type(fault).__name__})"
        return Refusal(Code.UNREADABLE, why)


def _hurry(desk: Desk, requests: Iterable[AccessRequest]) -> None:
    for some in parts(sorted({g.account for r in requests for g in r.grants if g.open})):
        try:
            with desk.database.write(urgent=True) as tx:
                apply.bump(tx, some, desk.clock.now())
        except AWAY as fault:
            if not is_locked(fault):
                raise  # else: it is tried again by itself
