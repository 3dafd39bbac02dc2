"""The company in memory: people, groups, flows, admins. Loaded whole, again when `epoch` moves."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlalchemy import select
from sqlmodel import col

from engine.directory import Directory, Group, GroupId, PersonId
from engine.flow import AccessFlow, FlowId, Revision
from engine.inventory import Entitlement, EntitlementId
from engine.policy import Policy
from storage.catalogue import Catalogues
from storage.codec import load_person, load_revision
from storage.database import Read, Write
from storage.tables import Company as CompanyRow
from storage.tables import FlowRevisionRow, FlowRow, GroupRow, PersonRow

_HEAD = select(col(CompanyRow.epoch), col(CompanyRow.paused), col(CompanyRow.admins))
_PEOPLE = select(
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
        ((epoch, paused, admins),) = session.ask(query)
        with self._lock:
            newest = self._newest
        if newest is not None and newest.epoch == epoch:
            return newest
        loaded = _load(session, epoch, map(PersonId, admins), paused=paused)
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
    rows = session.execute(select(FlowRow)).scalars().all()
    revisions = {
        (FlowId(flow), number): load_revision(body).renamed(directory.formerly)
        for flow, number, body in session.execute(
            select(
                col(FlowRevisionRow.flow_id), col(FlowRevisionRow.number), col(FlowRevisionRow.body)
            )
        )
    }
    flows = {
        FlowId(row.id): AccessFlow(
            FlowId(row.id),
            row.revision,
            revisions[FlowId(row.id), row.revision],
            row.active,
            row.deleted,
        )
        for row in rows
        if row.id is not None
    }
    able = frozenset(p.id for p in named if p and p.may_ask)
    return Company(epoch, paused, able, directory, flows, revisions)


def formerly(session: Read) -> dict[PersonId, PersonId]:
    """Return who has a new id, by the old one."""
    successors = {PersonId(id_): PersonId(now) for id_, now in session.ask(_SUCCESSORS) if now}
    return {id_: _newest(id_, successors) for id_ in successors}


def _directory(session: Read) -> Directory:
    ids = formerly(session)
    groups = [
        Group(GroupId(g.id), g.source, g.name) for g in session.execute(select(GroupRow)).scalars()
    ]
    people = [load_person(*known) for known in session.ask(_PEOPLE)]
    return Directory.of(
        (replace(p, manager=ids[p.manager]) if p.manager in ids else p for p in people),
        groups,
        ids,
    )


def _newest(id_: PersonId, successors: Mapping[PersonId, PersonId]) -> PersonId:
    while id_ in successors:
        id_ = successors[id_]
    return id_
