"""The company in memory: people, groups, flows, admins. What has changed is read, the rest shared.

A company has the number of the last change that it surely knows (`company.epoch`). Whoever is
behind reads the rows that have a higher one. The number is noted before the rows are read: what is
stored meanwhile is read again.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text, and_, cast, func, select, text, tuple_
from sqlalchemy import bindparam as bind
from sqlmodel import col

from engine import alarms
from engine.channel import UNREAD, Channel, ChannelId
from engine.directory import (
    ON_CALL,
    Delegation,
    Directory,
    Group,
    GroupId,
    Person,
    PersonId,
    SlackAccount,
    newest_id,
)
from engine.flow import UNKNOWN, AccessFlow, FlowId, Revision, unreadable
from engine.inventory import Entitlement, EntitlementId
from engine.on_call import Schedule
from engine.policy import Policy
from engine.request import AccessRequest
from engine.risk import Risks
from engine.targets import Object, ObjectId, Objects
from storage.catalogue import Catalogues
from storage.codec import (
    load_channel,
    load_delegation,
    load_failing,
    load_object,
    load_revision,
    load_risks,
    load_schedules,
    read_account,
    read_person,
    stand_in,
)
from storage.database import Read, Write, lost_company
from storage.tables import (
    LIVE,
    ChannelRow,
    CompanyRow,
    DelegationRow,
    FlowRevisionRow,
    FlowRow,
    GroupRow,
    ObjectRevisionRow,
    ObjectRow,
    PersonRow,
    RequestRow,
)
from storage.types import among, as_text, read_json

PAGE = 1000  # rows that are read at once
FEW = 500  # rows that a writing transaction reads, which others wait for

_HEAD = select(
    col(CompanyRow.epoch),
    col(CompanyRow.forgotten),
    col(CompanyRow.paused),
    col(CompanyRow.admins),
    col(CompanyRow.failing),
    col(CompanyRow.risks),
)
_SCHEDULES = select(col(CompanyRow.schedules))
_HEAD_LOCKED = _HEAD.with_for_update(read=True)
_PEOPLE = (
    select(
        col(PersonRow.epoch),
        col(PersonRow.id),
        col(PersonRow.successor),
        col(PersonRow.email),
        col(PersonRow.status),
        col(PersonRow.slack),
        col(PersonRow.team),
        col(PersonRow.enterprise),
        cast(col(PersonRow.body), Text),  # as it is written: half of the time goes into reading it
        func.nullif(cast(col(PersonRow.account), Text), "null"),  # JSON's, which is none, too
        col(PersonRow.suspended),
        col(PersonRow.void_until),
    )
    .where(
        tuple_(col(PersonRow.epoch), col(PersonRow.id)) > tuple_(bind("epoch"), bind("after")),
    )
    .order_by(col(PersonRow.epoch), col(PersonRow.id))
    .limit(bind("limit"))
)
_LAST = "\U0010ffff"  # after each id
_GROUPS = (
    select(col(GroupRow.id), col(GroupRow.source), col(GroupRow.name), col(GroupRow.gone))
    .where(col(GroupRow.epoch) > bind("epoch"))
    .order_by(col(GroupRow.id))
    .limit(bind("limit"))
)
_FLOWS = (
    select(
        col(FlowRow.id),
        col(FlowRow.name),
        col(FlowRow.revision),
        col(FlowRow.active),
        col(FlowRow.deleted),
        col(FlowRevisionRow.body),
    )
    .outerjoin(
        FlowRevisionRow,
        and_(
            col(FlowRevisionRow.flow_id) == col(FlowRow.id),
            col(FlowRevisionRow.number) == col(FlowRow.revision),
        ),
    )
    .where(col(FlowRow.epoch) > bind("epoch"))
    .order_by(col(FlowRow.id))
    .limit(bind("limit"))
)
_OBJECTS = (
    select(
        col(ObjectRow.id),
        col(ObjectRow.kind),
        col(ObjectRow.name),
        col(ObjectRow.deleted),
        col(ObjectRevisionRow.body),
    )
    .outerjoin(
        ObjectRevisionRow,
        and_(
            col(ObjectRevisionRow.object_id) == col(ObjectRow.id),
            col(ObjectRevisionRow.number) == col(ObjectRow.revision),
        ),
    )
    .where(col(ObjectRow.epoch) > bind("epoch"))
    .order_by(col(ObjectRow.id))
    .limit(bind("limit"))
)
_CHANNELS = (
    select(col(ChannelRow.id), col(ChannelRow.body))
    .where(col(ChannelRow.epoch) > bind("epoch"))
    .order_by(col(ChannelRow.id))
    .limit(bind("limit"))
)
_DELEGATIONS = (
    select(col(DelegationRow.id), col(DelegationRow.ended_at), col(DelegationRow.body))
    .where(col(DelegationRow.epoch) > bind("epoch"))
    .order_by(col(DelegationRow.id))
    .limit(bind("limit"))
)
_REVISIONS = select(
    col(FlowRevisionRow.flow_id), col(FlowRevisionRow.number), col(FlowRevisionRow.body)
)
_REFERRED = _REVISIONS.where(
    select(col(RequestRow.id))
    .where(
        text(LIVE),
        col(RequestRow.flow_id) == col(FlowRevisionRow.flow_id),
        col(RequestRow.revision) == col(FlowRevisionRow.number),
    )
    .exists()
)
_REFERRED_OF = _REFERRED.where(among(col(FlowRevisionRow.flow_id), "flows"))
_ONE_REVISION = _REVISIONS.where(
    col(FlowRevisionRow.flow_id) == bind("flow"), col(FlowRevisionRow.number) == bind("number")
)
_SUCCESSORS = select(col(PersonRow.id), col(PersonRow.successor)).where(
    col(PersonRow.successor).is_not(None)
)
_SUCCESSORS_OF = _SUCCESSORS.where(among(col(PersonRow.id), "ids"))
_NOBODY = Directory.of(())

Of = tuple[FlowId, int]


class BehindError(Exception):
    """More has changed than a writing transaction may read while others wait: read it before."""

    def __init__(self) -> None:
        super().__init__(str(type(self).__doc__))


@dataclass(frozen=True)
class Company:
    """Everybody and every flow, as of one epoch. `paused`: no new access is begun.

    `admins` are those who are named and may decide: none who has left or is a guest. `revisions`
    are those that are current, or that live requests refer to (`knowing` adds others). `retired`
    are the objects that were taken out, each as it last was.
    """

    epoch: int
    paused: bool
    admins: frozenset[PersonId]
    directory: Directory
    flows: Mapping[FlowId, AccessFlow]
    revisions: Mapping[Of, Revision]
    policy: Policy
    risks: Risks
    objects: Mapping[ObjectId, Object] = field(default_factory=dict[ObjectId, Object])
    retired: Mapping[ObjectId, Object] = field(default_factory=dict[ObjectId, Object])
    channels: Mapping[ChannelId, Channel] = field(default_factory=dict[ChannelId, Channel])
    inventory: dict[EntitlementId, Entitlement] = field(
        default_factory=dict[EntitlementId, Entitlement]
    )  # as far as it was asked for: the whole may be large

    def revision(self, flow: FlowId, number: int) -> Revision:
        """Return a revision; one that cannot be read is open to nobody."""
        return self.revisions.get((flow, number)) or unreadable(UNKNOWN)

    def channel(self, revision: Revision) -> Channel | None:
        """Return the channel in which a flow's approvers are asked, if it has one that is known."""
        named = revision.notify.channel
        return self.channels.get(named) if named else None

    def flow(self, flow: FlowId) -> AccessFlow:
        """Return a flow; one that cannot be read is open to nobody."""
        return self.flows.get(flow) or AccessFlow(flow, 0, self.revision(flow, 0), active=False)


_NOTHING = Company(-1, False, frozenset(), _NOBODY, {}, {}, Policy((), _NOBODY), Risks())


def knowing(session: Read, company: Company, requests: Iterable[AccessRequest]) -> Company:
    """Return the company with the revisions that these requests refer to, however old."""
    wanted = {(r.flow, r.revision) for r in requests} - company.revisions.keys()
    names = {id_: flow.name for id_, flow in company.flows.items()} if wanted else {}
    named = Objects.of((*company.retired.values(), *company.objects.values()) if wanted else ())
    found = {
        (flow, number): replace(
            _revision(session, flow, number, names.get(flow), body).renamed(
                company.directory.formerly
            ),
            objects=named,
        )
        for flow, number in sorted(wanted)
        for _, _, body in session.ask(_ONE_REVISION, {"flow": flow, "number": number})
    }
    return replace(company, revisions={**company.revisions, **found}) if found else company


class Companies:
    """Keeps the newest company. One small statement tells whether it still is.

    One thread at a time reads what is new; the others wait for it, but for those that write: they
    read it themselves, where it is little.
    """

    def __init__(self) -> None:
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._newest: Company | None = None
        self.catalogues = Catalogues()

    @property
    def newest(self) -> Company | None:
        """The company as it was last read here: others may have changed it since."""
        with self._lock:
            return self._newest

    @property
    def passed(self) -> int:
        """The number of the last change that is surely known here."""
        newest = self.newest
        return newest.epoch if newest else -1

    def at(self, epoch: int, session: Read) -> Company:
        """Return the company of an epoch that was just read, or a later one."""
        newest = self.newest
        return newest if newest and newest.epoch >= epoch else self.current(session)

    def current(self, session: Read, *, at_most: int | None = None) -> Company:
        """Return the company as this transaction sees it.

        It stays so while the transaction writes: else a sync could wake a request, and a decision
        made of what was true before it would put the request to sleep again.

        Raises BehindError if more rows than `at_most` would have to be read.
        """
        if isinstance(session, Write):
            head = _head(session, _HEAD if session.is_alone else _HEAD_LOCKED)
            found = _brought_up(session, self.newest, head, at_most)
            if not session.changes_facts:  # else it may yet be undone
                self._keep(found)
            return found
        head = _head(session, _HEAD)
        if (newest := self.newest) and newest.epoch == head.epoch:
            return newest
        with self._loading:
            while True:
                newest = self.newest
                head = _head(session, _HEAD)
                if newest and newest.epoch >= head.epoch:
                    return newest
                found = _brought_up(session, newest, head, None)
                if newest and _head(session, _HEAD).forgotten > newest.epoch:
                    found = _brought_up(session, None, head, None)  # a tombstone went meanwhile
                self._keep(found)

    def _keep(self, found: Company) -> None:
        with self._lock:
            if self._newest is None or self._newest.epoch < found.epoch:
                self._newest = found


@dataclass(frozen=True, slots=True)
class _Head:
    epoch: int
    forgotten: int
    paused: bool
    admins: list[PersonId]
    failing: object
    risks: Risks


def _head(session: Read, query: Any) -> _Head:  # noqa: ANN401  (one of two constants)
    rows = session.ask(query)
    if not rows:
        return _Head(**lost_company(session), risks=Risks())
    ((epoch, forgotten, paused, admins, failing, risks),) = rows
    stored = epoch if isinstance(epoch, int) else -1  # the next change writes a number
    named, said = _named(session, admins), _risks(session, risks)
    return _Head(stored, forgotten, paused, named, failing, said)


def _brought_up(session: Read, before: Company | None, head: _Head, at_most: int | None) -> Company:
    if before is not None and before.epoch == head.epoch:
        return before
    # Who is older than a tombstone that is no more cannot know what was deleted.
    if before is None or not head.forgotten <= before.epoch <= head.epoch:
        before = _NOTHING
        if at_most is not None:
            raise BehindError
    return _Reading(session, before, at_most).company(head)


class _PartedError(Exception):
    """Two ids that were one person's are not any more: what names either is read anew."""


class _NewIds:
    """Who has which id now. `successors` are of the people that were read, where they have one."""

    def __init__(self, before: Directory, successors: Mapping[PersonId, PersonId | None]) -> None:
        self._before, self._successors = before, successors

    def newest(self, id_: PersonId) -> PersonId:
        """Return the id that somebody has now who has, or had, this one."""
        found, formerly = self._successors, self._before.formerly
        return newest_id(id_, lambda one: found[one] if one in found else formerly.get(one))

    def news(self) -> dict[PersonId, PersonId | None]:
        """Return, by the id that somebody had, which they have, as far as that is another; None:
        they have it again. Raises _PartedError.
        """
        formerly = self._before.formerly
        known = [id_ for id_ in self._successors if id_ in formerly]
        given = [id_ for id_, now in self._successors.items() if now]
        news: dict[PersonId, PersonId | None] = {}
        for id_ in (*known, *given, *(had for now in given for had in self._before.had(now))):
            now, was = self.newest(id_), formerly.get(id_)
            if was and self.newest(was) != now:
                raise _PartedError
            if now != (was or id_):
                news[id_] = None if now == id_ else now
        return news


class _Reading:
    """Reads what has changed since a company, no more rows than `at_most` if that is given."""

    def __init__(self, session: Read, before: Company, at_most: int | None) -> None:
        self._session, self._before = session, before
        self._left = at_most
        self._same: dict[object, Any] = {}  # what many have alike is there once

    def company(self, head: _Head) -> Company:
        before = self._before
        # People after groups, and groups that are gone after people: see `storage.sync.directory`.
        try:
            directory, renamed = self._directory()
        except _PartedError:
            return _Reading(self._session, _NOTHING, self._left).company(head)
        failing = _failing(self._session, directory, head.failing)
        directory = directory.answering(_schedules(self._session), failing)
        directory = directory.lending(self._delegations())
        objects, retired = self._objects()
        flows, revisions = self._flows(directory.formerly, renamed, objects, retired)
        able = (directory.get(admin) for admin in head.admins)
        return Company(
            head.epoch,
            head.paused,
            frozenset(p.id for p in able if p and p.may_ask),
            directory,
            {**before.flows, **flows} if flows else before.flows,
            revisions,
            before.policy.changed(flows.values(), directory),
            head.risks,
            objects,
            retired,
            self._channels(),
        )

    def _delegations(self) -> Iterable[Delegation]:
        """Return those that have not ended; by one that cannot be read, nobody acts for another."""
        rows, before = self._rows(_DELEGATIONS), self._before.directory.delegations
        if not rows:
            return before
        found = {one.id: one for one in before}
        for id_, ended_at, body in rows:
            found.pop(id_, None)
            if ended_at is not None:
                continue
            if one := load_delegation(id_, body):
                found[id_] = one
            else:
                said = alarms.unread_delegation(id_)
                self._session.unread.note("delegation", id_, body, said)
        return found.values()

    def _channels(self) -> Mapping[ChannelId, Channel]:
        """Return the channels; one that cannot be read takes nothing."""
        rows = self._rows(_CHANNELS)
        found = {ChannelId(id_): (load_channel(id_, body), body) for id_, body in rows}
        for id_, (channel, body) in found.items():
            if channel is None:
                said = alarms.unread_channel(id_)
                self._session.unread.note("channel", id_, body, said)
        read = {id_: channel or Channel(id_, why_not=UNREAD) for id_, (channel, _) in found.items()}
        return {**self._before.channels, **read} if read else self._before.channels

    def _objects(self) -> tuple[Mapping[ObjectId, Object], Mapping[ObjectId, Object]]:
        """Return bundles, scopes and spaces, those that are there and those that were taken out.

        Those that cannot be read are left out.
        """
        rows = self._rows(_OBJECTS)
        if not rows:
            return self._before.objects, self._before.retired
        found, retired = dict(self._before.objects), dict(self._before.retired)
        for id_, kind, name, deleted, body in rows:
            for each in (found, retired):
                each.pop(ObjectId(id_), None)
            object_ = load_object(kind, body)
            if object_ is not None:
                (retired if deleted else found)[ObjectId(id_)] = object_
            elif not deleted:
                said = alarms.unread_object(str(kind), str(name))
                self._session.unread.note("policy_object_revision", id_, [kind, body], said)
        return found, retired

    def _directory(self) -> tuple[Directory, Mapping[PersonId, PersonId]]:
        """Return it, and who has a new id since, by the one that they had before."""
        groups = {
            GroupId(id_): None if gone else Group(GroupId(id_), as_text(source), as_text(name))
            for id_, source, name, gone in self._rows(_GROUPS)
        }
        before = self._before.directory
        people: dict[PersonId, Person | None] = {}
        successors: dict[PersonId, PersonId | None] = {}
        for id_, kept, *row in self._people():
            successor = PersonId(kept) if isinstance(kept, str) else None
            people[id_] = None if successor else self._person(id_, row)
            successors[id_] = successor
        ids = _NewIds(before, successors)
        news = ids.news()
        renamed = {id_: now for id_, now in news.items() if now}
        for manager in renamed:
            for id_ in before.reports(manager):
                people.setdefault(id_, before.people[id_])
        for person in [*filter(None, people.values())] if renamed or before.formerly else ():
            if person.manager and (now := ids.newest(person.manager)) != person.manager:
                people[person.id] = replace(person, manager=now)
        return before.changed(people, groups, news), renamed

    def _rows(self, query: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401  (one of two constants)
        limit = self._left + 1 if self._left is not None else 1 << 30
        rows: list[tuple[Any, ...]] = self._session.ask(
            query, {"epoch": self._before.epoch, "limit": limit}
        )
        self._count(rows)
        return rows

    def _people(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows; one that is changed meanwhile may come twice, the newer later."""
        given: dict[str, Any] = {"epoch": self._before.epoch, "after": _LAST}
        given["limit"] = PAGE if self._left is None else min(PAGE, self._left + 1)
        while rows := self._session.ask(_PEOPLE, given):
            self._count(rows)
            for row in rows:
                yield row[1:]
            given["epoch"], given["after"] = rows[-1][:2]

    def _count(self, rows: list[tuple[Any, ...]]) -> None:
        if self._left is not None:
            self._left -= len(rows)
            if self._left < 0:
                raise BehindError

    def _person(self, id_: PersonId, row: Sequence[Any]) -> Person:
        """Return somebody as far as they can be read: no row hides the others."""
        *texts, user, team, enterprise, body, account, former, void_until = row
        email, status, team, enterprise = map(as_text, (*texts, team, enterprise))
        slack, was = (text and as_text(text) for text in (user, former))
        tied = read_account(account)
        if account is not None and tied is None:
            was = was or slack or ""  # whose it is, an admin has to say
            said = alarms.unread_slack_account(id_, email)
            self._session.unread.note("person", f"{id_}/account", read_json(account), said)
        person = read_person(body)
        if person is None or person.id != id_:
            said = alarms.unread_person(id_, email)
            self._session.unread.note("person", id_, read_json(body), said)
            person = stand_in(id_, email, status)
        same = self._same.setdefault
        suspended = None if was is None else SlackAccount(team, was, enterprise=enterprise)
        return Person(
            id_,
            person.email,
            person.name,
            person.status,
            person.manager and same(person.manager, person.manager),
            same(person.groups, person.groups),
            same(tuple(person.attributes.items()), person.attributes),
            person.guest,
            tied
            and SlackAccount(
                same(tied.team, tied.team),
                tied.user,
                person.email if tied.email == person.email else tied.email,
                same(tied.enterprise, tied.enterprise),
                tied.guest,
                unreachable=same(tied.unreachable, tied.unreachable),
                zone=same(tied.zone, tied.zone),
            ),
            suspended,
            void_until,
            person.readable,
        )

    def _flows(
        self,
        formerly: Mapping[PersonId, PersonId],
        renamed: Mapping[PersonId, PersonId],
        objects: Mapping[ObjectId, Object],
        retired: Mapping[ObjectId, Object],
    ) -> tuple[dict[FlowId, AccessFlow], Mapping[Of, Revision]]:
        """Return the flows that are other than they were, and all revisions that are needed.

        Those that speak of objects are others as soon as any object is. Those under which nothing
        new is asked for go on with what was taken out since: a flow that offers the same by another
        name takes nothing from whoever waits.
        """
        rows = self._rows(_FLOWS)
        changed = {FlowId(row[0]): row for row in rows}
        known, other = self._before.revisions, dict[Of, Revision]()
        named = Objects.of(objects.values())
        ever = Objects.of((*retired.values(), *objects.values())) if retired else named
        newest = {of: f.number for of, f in self._before.flows.items() if not f.deleted}
        newest |= {id_: -1 if row[4] else row[2] for id_, row in changed.items()}
        differ = objects is not self._before.objects
        for of, revision in known.items() if renamed or differ else ():
            now = revision.renamed(renamed)
            if now.refers and differ:
                now = replace(now, objects=named if newest.get(of[0]) == of[1] else ever)
            if now is not revision:
                other[of] = now
        if not rows and not other:
            return {}, known
        names = {id_: row[1] for id_, row in changed.items()}
        kept = {of: r for of, r in {**known, **other}.items() if of[0] not in changed}
        bodies = {(id_, row[2]): row[5] for id_, row in changed.items() if row[5] is not None}
        for flow, number, body in self._referred(changed):
            bodies.setdefault((FlowId(flow), number), body)
        for of, body in bodies.items():
            read = _revision(self._session, *of, names.get(of[0]), body).renamed(formerly)
            its = named if newest.get(of[0]) == of[1] else ever
            kept[of] = replace(read, objects=its) if read.refers else read
        flows = {
            id_: AccessFlow(
                id_, revision, kept.get((id_, revision)) or unreadable(name), active, deleted
            )
            for id_, name, revision, active, deleted, _ in changed.values()
        }
        for (id_, number), revision in other.items():
            flow = self._before.flows.get(id_)
            if flow and id_ not in changed and flow.number == number:
                flows[id_] = replace(flow, revision=revision)
        return flows, kept

    def _referred(self, changed: Mapping[FlowId, object]) -> list[tuple[Any, ...]]:
        if self._before is _NOTHING:
            return [tuple(row) for row in self._session.ask(_REFERRED)]
        return [tuple(row) for row in self._session.ask(_REFERRED_OF, {"flows": list(changed)})]


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


def _schedules(session: Read) -> tuple[Schedule, ...]:
    """Return who is on call when; where that cannot be read, nobody is."""
    rows = session.ask(_SCHEDULES)
    body = rows[0][0] if rows else []
    schedules = load_schedules(body)
    if schedules is None:
        session.unread.note("company", "1/schedules", body, alarms.unread_schedules())
    return schedules or ()


def _failing(session: Read, directory: Directory, body: object) -> Mapping[str, datetime]:
    """Return which sources cannot be read, and since when: all, where that is not known."""
    failing = load_failing(body)
    if failing is not None:
        return failing
    session.unread.note("company", "1/failing", body, alarms.unread_sources())
    sources = {group.source for group in directory.groups.values()} | {ON_CALL}
    return dict.fromkeys(sources, datetime.min.replace(tzinfo=UTC))


def _risks(session: Read, body: object) -> Risks:
    """Return what administrators say of risks; of what cannot be read, what is published."""
    said = load_risks(body)
    if said is None:
        session.unread.note("company", "1/risks", body, alarms.unread_risks())
    return said or Risks()


def _revision(session: Read, flow: FlowId, number: int, name: str | None, body: object) -> Revision:
    revision = load_revision(body)
    if revision is not None:
        return revision
    name = name or UNKNOWN
    session.unread.note(
        "flow_revision",
        f"{flow}/{number}",
        body,
        alarms.unread_revision(number, name),
    )
    return unreadable(name)


def formerly(session: Read) -> dict[PersonId, PersonId]:
    """Return who has a new id, by the old one."""
    return _followed(_texts(session.ask(_SUCCESSORS)))


def now_known_as(session: Read, people: Iterable[PersonId]) -> dict[PersonId, PersonId]:
    """Return who of these has a new id, by the old one: no others are read."""
    found: dict[PersonId, PersonId] = {}
    asked = {*people}
    while asked:
        rows = session.ask(_SUCCESSORS_OF, {"ids": sorted(asked)})
        steps = _texts(rows)
        found |= steps
        asked = {*steps.values()} - found.keys()
    return _followed(found)


def _texts(rows: Iterable[tuple[Any, ...]]) -> dict[PersonId, PersonId]:
    """Return who has which id now; bytes, which SQLite may keep in its place, are nobody's."""
    return {PersonId(id_): PersonId(now) for id_, now in rows if now and isinstance(now, str)}


def _followed(successors: Mapping[PersonId, PersonId]) -> dict[PersonId, PersonId]:
    return {id_: newest_id(id_, successors.get) for id_ in successors}
