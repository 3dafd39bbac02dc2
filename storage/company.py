"""The company in memory: people, groups, flows, admins. Loaded whole, again when `epoch` moves."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from engine import alarms
from engine.directory import Directory, Group, GroupId, Person, PersonId
from engine.flow import UNKNOWN, AccessFlow, FlowId, Revision, unreadable
from engine.inventory import Entitlement, EntitlementId
from engine.policy import Policy
from storage.catalogue import Catalogues
from storage.codec import load_account, load_person, load_revision, stand_in
from storage.database import Read, Write
from storage.tables import Company as CompanyRow
from storage.tables import FlowRevisionRow, FlowRow, GroupRow, PersonRow

_HEAD = select(col(CompanyRow.epoch), col(CompanyRow.paused), col(CompanyRow.admins))
_PEOPLE = select(
    col(PersonRow.id),
    col(PersonRow.email),
    col(PersonRow.status),
    col(PersonRow.slack),
    col(PersonRow.body),
    col(PersonRow.account),
    col(PersonRow.suspended),
    col(PersonRow.void_until),
).where(col(PersonRow.successor).is_(None))
_SUCCESSORS = select(col(PersonRow.id), col(PersonRow.successor)).where(
    col(PersonRow.successor).is_not(None)
)
_HEAD_LOCKED = _HEAD.with_for_update(read=True)


@dataclass(frozen=True)
class Company:
    """Everybody and every flow, as of one epoch. `paused`: no new access is begun.

    `admins` are those who are named and may decide: none who has left or is a guest.
    """

    epoch: int
    paused: bool
    admins: frozenset[PersonId]
    directory: Directory
    flows: Mapping[FlowId, AccessFlow]
    revisions: Mapping[tuple[FlowId, int], Revision]
    inventory: dict[EntitlementId, Entitlement] = field(
        default_factory=dict[EntitlementId, Entitlement]
    )  # as far as it was asked for: the whole may be large

    @cached_property
    def policy(self) -> Policy:
        return Policy(self.flows.values(), self.directory)

    def revision(self, flow: FlowId, number: int) -> Revision:
        """Return a revision; one that cannot be read is open to nobody."""
        return self.revisions.get((flow, number)) or unreadable(UNKNOWN)

    def flow(self, flow: FlowId) -> AccessFlow:
        """Return a flow; one that cannot be read is open to nobody."""
        return self.flows.get(flow) or AccessFlow(flow, 0, self.revision(flow, 0), active=False)


class Companies:
    """Keeps the newest company. One small statement tells whether it still is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: Company | None = None
        self.catalogues = Catalogues()

    @property
    def newest(self) -> Company | None:
        """The company as it was last read here: others may have changed it since."""
        with self._lock:
            return self._newest

    def at(self, epoch: int, session: Read) -> Company:
        """Return the company of an epoch that was just read."""
        with self._lock:
            newest = self._newest
        return newest if newest and newest.epoch == epoch else self.current(session)

    def current(self, session: Read) -> Company:
        """Return the company as this transaction sees it.

        It stays so while the transaction writes: else a sync could wake a request, and a decision
        made of what was true before it would put the request to sleep again.
        """
        query = _HEAD_LOCKED if isinstance(session, Write) else _HEAD
        ((stored, paused, admins),) = session.ask(query)
        epoch = stored if isinstance(stored, int) else -1  # the next change writes a number
        with self._lock:
            newest = self._newest
        if newest is not None and newest.epoch == epoch:
            return newest
        loaded = _load(session, epoch, _named(session, admins), paused=paused)
        with self._lock:
            if self._newest is None or self._newest.epoch < loaded.epoch:
                self._newest = loaded
        return loaded


def _load(
    session: Read,
    epoch: int,
    admins: Iterable[PersonId],
    *,
    paused: bool,
) -> Company:
    directory = _directory(session)
    named = (directory.get(admin) for admin in admins)
    # Flows before revisions: what is saved in between is one revision more, not one too few.
    rows = {FlowId(row.id or 0): row for row in session.execute(select(FlowRow)).scalars()}
    names = {id_: row.name for id_, row in rows.items()}
    revisions = {
        (FlowId(flow), number): _revision(session, FlowId(flow), number, names, body).renamed(
            directory.formerly
        )
        for flow, number, body in session.execute(
            select(
                col(FlowRevisionRow.flow_id), col(FlowRevisionRow.number), col(FlowRevisionRow.body)
            )
        )
    }
    flows = {
        id_: AccessFlow(
            id_,
            row.revision,
            revisions.get((id_, row.revision)) or unreadable(row.name),
            row.active,
            row.deleted,
        )
        for id_, row in rows.items()
    }
    able = frozenset(p.id for p in named if p and p.may_ask)
    return Company(epoch, paused, able, directory, flows, revisions)


def _named(session: Read, admins: object) -> list[PersonId]:
    if isinstance(admins, list) and all(isinstance(admin, str) for admin in admins):
        return [PersonId(admin) for admin in admins]
    session.unread.note(
        "company",
        1,
        admins,
        alarms.unread_admins(),
    )
    return []


def _revision(
    session: Read, flow: FlowId, number: int, names: Mapping[FlowId, str], body: object
) -> Revision:
    revision = load_revision(body)
    if revision is not None:
        return revision
    name = names.get(flow, UNKNOWN)
    session.unread.note(
        "flow_revision",
        f"{flow}/{number}",
        body,
        alarms.unread_revision(number, name),
    )
    return unreadable(name)


def formerly(session: Read) -> dict[PersonId, PersonId]:
    """Return who has a new id, by the old one."""
    successors = {PersonId(id_): PersonId(now) for id_, now in session.ask(_SUCCESSORS) if now}
    return {id_: _newest(id_, successors) for id_ in successors}


def _directory(session: Read) -> Directory:
    ids = formerly(session)
    groups = [
        Group(GroupId(g.id), g.source, g.name) for g in session.execute(select(GroupRow)).scalars()
    ]
    people = [_person(session, row) for row in session.ask(_PEOPLE)]
    return Directory.of(
        (replace(p, manager=ids[p.manager]) if p.manager in ids else p for p in people),
        groups,
        ids,
    )


def _person(session: Read, row: tuple[Any, ...]) -> Person:
    """Return somebody as far as they can be read: no row hides the others."""
    id_, email, status, slack, body, account, suspended, void_until = row
    tied = load_account(account)
    if account is not None and tied is None:
        suspended = suspended or slack or ""  # whose it is, an admin has to say
        session.unread.note(
            "person",
            f"{id_}/account",
            account,
            alarms.unread_slack_account(id_, email),
        )
    person = load_person(body, account, suspended, void_until)
    if person is not None and person.id == id_:
        return person
    session.unread.note(
        "person",
        id_,
        body,
        alarms.unread_person(id_, email),
    )
    known = stand_in(id_, email, status)
    return replace(known, account=tied, suspended=suspended, void_until=void_until)


def _newest(id_: PersonId, successors: Mapping[PersonId, PersonId]) -> PersonId:
    while id_ in successors:
        id_ = successors[id_]
    return id_
