"""A small company in a database, and short words for what happens to its requests.

Written through `storage.sync`, as the product does. Time stands still until a test moves it.
"""

import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel, col

from engine.account import Done, SystemTraits, Work
from engine.commands import Approve, Command, Reject
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import (
    Delegation,
    DelegationId,
    Group,
    GroupId,
    Person,
    PersonId,
    SlackAccount,
)
from engine.eligibility import Draft
from engine.flow import (
    AccessFlow,
    ApprovalRule,
    ApproverGroup,
    Escalation,
    Extension,
    RequestFor,
    Revision,
)
from engine.inventory import Entitlement, IntegrationId
from engine.outcome import Decision, Refusal
from engine.port import Discovered, Secret, Unavailable
from engine.request import AccessRequest, AccountId, RequestId, State
from engine.targets import Selector
from storage import (
    accounts,
    apply,
    claims,
    clock,
    facts,
    messages,
    schema,
    sync,
    touched,
    unit_of_work,
)
from storage.accounts import Workplace
from storage.claims import DEAD_AFTER, InstanceId
from storage.company import Companies, Company
from storage.database import Database, Write
from storage.messages import Parcel, Posted, Shown
from storage.secrets import KeyRing
from storage.statements import is_cut_off
from storage.tables import AccountRow, FlowRow, InstanceRow, RequestRow
from storage.touched import Touched
from storage.types import db_now
from tests.support.system import DEADLINE, System

T = TypeVar("T")

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

PG, WIKI = IntegrationId("pg"), IntegrationId("wiki")
READING, WRITING = "Reading", "Writing"
KINDS = {
    PG: SystemTraits("Production", True, DEADLINE),
    WIKI: SystemTraits("Wiki", False, DEADLINE),
}

ENGINEERS, DBAS, SRES = (GroupId(f"file:{n}") for n in ("engineers", "dbas", "sres"))
GROUPS = tuple(Group(g, "file", g.partition(":")[2]) for g in (ENGINEERS, DBAS, SRES))


def person(name: str, *groups: GroupId, manager: str = "mia") -> Person:
    boss = None if manager == name else PersonId(manager)
    return Person(
        PersonId(name), f"{name}@example.com", name.title(), manager=boss, groups=frozenset(groups)
    )


def account(user: str, email: str, **said: object) -> SlackAccount:
    """Return a full member's Slack account, with a confirmed address."""
    return replace(SlackAccount("T1", user, email), **said)


PEOPLE = (
    person("ada", manager="ada"),
    person("mia", manager="ada"),
    person("alice", ENGINEERS),
    person("bob", ENGINEERS),
    person("dan", DBAS),
    person("dora", DBAS, ENGINEERS),
    person("sam", SRES),
)
ADA, MIA, ALICE, BOB, DAN, DORA, SAM = (p.id for p in PEOPLE)


def is_in(*groups: GroupId) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, tuple(groups)),))


def reading(**changes: object) -> Revision:
    """Return a flow without approval, on everything that can be read."""
    return Revision(**{
        "name": READING,
        "requestors": is_in(ENGINEERS),
        "targets": (Selector(PG, permissions=frozenset({"read"})), Selector(WIKI)),
        "request_for": frozenset({RequestFor.SELF, RequestFor.DIRECT_REPORTS}),
        "grant_for": 4 * HOUR,
        "extension": Extension(2, 30 * MINUTE),
    } | changes)  # fmt: skip


def writing(**changes: object) -> Revision:
    """Return a flow that a DBA approves, or an SRE after a quarter of an hour."""
    return Revision(**{
        "name": WRITING,
        "requestors": is_in(ENGINEERS),
        "targets": (Selector(PG), Selector(WIKI)),
        "grant_for": 4 * HOUR,
        "extension": Extension(1, 30 * MINUTE),
        "approval": ApprovalRule((ApproverGroup("DBAs", is_in(DBAS)),)),
        "escalation": Escalation(15 * MINUTE, (ApproverGroup("SREs", is_in(SRES)),)),
    } | changes)  # fmt: skip


def table(path: str, *permissions: str, type_: str = "table", source: str = "") -> Discovered:
    wanted = permissions or ("read", "write")
    risks = {p: 3 * n for n, p in enumerate(wanted, 1)}
    return Discovered(type_, path.rpartition(".")[2], path, source or f"id:{path}", risks)


TABLES = (table("shop.orders"), table("shop.customers"), table("ledger.entries"))
PAGES = (table("handbook", "edit", type_="page"), table("runbook", "edit", type_="page"))


def found(url: str, keys: KeyRing | None = None) -> None:
    """Write the company into a database that has the schema."""
    database = Database(url, pool=5, keys=keys or KeyRing([KEY]))
    with database.write() as tx:
        sync.people(tx, PEOPLE, GROUPS, START)
        sync.tie(tx, {p.id: account(f"U-{p.id}", p.email) for p in PEOPLE}, START)
        sync.administrators(tx, [ADA], START)
        sync.flows(tx, [(reading(), True), (writing(), True)], START)
        sync.integrations(
            tx, [(PG, "Production", "memory", {}), (WIKI, "Wiki", "memory", {})], START
        )
        sync.inventory(tx, PG, TABLES, START)
        sync.inventory(tx, WIKI, PAGES, START)
    database.close()


def _make(url: str, keys: KeyRing | None = None) -> None:
    database = Database(url)
    schema.upgrade(database)
    database.close()
    found(url, keys)


@cache
def _company() -> bytes:
    """Return a SQLite file that holds the company, made once: to copy it takes no time."""
    with tempfile.TemporaryDirectory() as folder:
        _make(f"sqlite:///{folder}/latchkey.db")
        return Path(folder, "latchkey.db").read_bytes()


KEY = "YSBrZXkgdGhhdCBldmVyeSB0ZXN0IHByb2Nlc3MgaGE="  # the other processes of a test have it, too


@dataclass
class Stored:
    """One process that works on the company's database, at `now`."""

    database: Database
    instance: InstanceId
    now: datetime = START
    companies: Companies = field(default_factory=Companies)
    keys: KeyRing = field(default_factory=lambda: KeyRing([KEY]))
    systems: Mapping[IntegrationId, System] = field(
        default_factory=lambda: {PG: System(), WIKI: System()}
    )
    kinds: Mapping[IntegrationId, SystemTraits] = field(default_factory=lambda: KINDS)
    begins: bool = True
    beside: Self | None = None
    alive: bool = True
    _sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, url: str, *, keys: KeyRing | None = None, **more: object) -> Self:
        """Join the company as a process of one's own."""
        keys = keys or KeyRing([KEY])
        database = Database(url, keys=keys)
        with database.write() as tx:
            instance = claims.register(tx)
        database.instance = instance
        return cls(database, instance, keys=keys, **more)

    @classmethod
    def founded(cls, url: str, keys: KeyRing | None = None) -> Self:
        """Make an empty database the company's, and join it."""
        file = make_url(url).database
        if url.startswith("sqlite") and file and keys is None:
            Path(file).write_bytes(_company())
        else:
            _make(url, keys)
        return cls.open(url, keys=keys)

    @property
    def desk(self) -> Workplace:
        return Workplace(self.instance, self.keys, self.kinds, self.begins)

    def dies(self) -> None:
        """Fall silent, and have been so for long enough: to set it back waits for nothing."""
        self.alive = False
        self.beat(-1.1 * DEAD_AFTER)

    def write(self, change: Callable[[Write, Company], T]) -> T:
        """Run a change in one transaction; begin anew what the server cut off, as loops do.

        It does so where this process got no turn for 5 s, as on a machine that is very busy.
        """
        try:
            return self._write(change)
        except OperationalError as fault:
            if not is_cut_off(fault.orig):
                raise
        return self._write(change)

    def _write(self, change: Callable[[Write, Company], T]) -> T:
        self.meanwhile()
        with self.database.write() as tx:
            return change(tx, self.companies.current(tx))

    def meanwhile(self) -> None:
        """Let the process beside this one beat, as it would, however slow the machine is."""
        if self.beside and self.beside.alive:
            self.beside.beat()

    def beat(self, at: float = 0.0) -> None:
        """Say so many seconds from now that this process lives."""
        with self.database.write() as tx:
            mine = col(InstanceRow.id) == self.instance
            tx.execute(update(InstanceRow).where(mine).values(beat=db_now() + at))

    def company(self) -> Company:
        with self.database.read() as session:
            return self.companies.current(session)

    def flow(self, name: str) -> AccessFlow:
        with self.database.read() as session:
            ids = dict(session.execute(select(FlowRow.name, FlowRow.id)).all())
        return self.company().flows[ids[name.casefold()]]

    def entitlement(self, named: str) -> Entitlement:
        """Return one by its words: `read on shop.orders`."""
        with self.database.read() as session:
            query = facts.entitlement_query()
            all_ = [facts.to_entitlement(r) for r in session.execute(query)]
        return next(e for e in all_ if str(e) == named and e.available)

    def draft(
        self,
        what: Iterable[str] = ("read on shop.orders",),
        *,
        by: PersonId = ALICE,
        to: PersonId | None = None,
        flow: str = READING,
        duration: timedelta | None = HOUR,
        starts_at: datetime | None = None,
    ) -> Draft:
        people = self.company().directory.people
        return Draft(
            requestor=people[by],
            grantee=people[to or by],
            flow=self.flow(flow),
            entitlements=tuple(self.entitlement(w) for w in what),
            duration=duration,
            justification="INC-42",
            starts_at=starts_at,
        )

    def submit(self, *what: str, key: str = "", **more: object) -> AccessRequest:
        return self.submit_draft(self.draft(what or ("read on shop.orders",), **more), key)

    def submit_draft(self, draft: Draft, key: str = "") -> AccessRequest:
        with self._lock:
            self._sent += 1
            key = key or f"view/{self.instance}/{self._sent}"
        return self.write(lambda tx, c: apply.submit(tx, c, draft, key, self.now))

    def do(self, request: AccessRequest, command: Command) -> Decision | Refusal:
        return self.write(
            lambda tx, c: unit_of_work.carry_out(tx, c, request.id, command, self.now)
        )

    def approve(self, request: AccessRequest, by: PersonId = DAN) -> Decision | Refusal:
        return self.do(request, Approve(by))

    def reject(self, request: AccessRequest, by: PersonId = DAN) -> Decision | Refusal:
        return self.do(request, Reject(by))

    def again(self, request: AccessRequest) -> AccessRequest:
        """Return the request as it is stored now."""
        with self.database.read() as session:
            found = facts.request(session, request.id)
        assert found is not None
        return found

    def take_in(
        self, people: Iterable[Person], groups: Iterable[Group] = GROUPS, **more: Any
    ) -> None:
        """Let a source list these people and groups, and no others."""
        self.write(lambda tx, _: sync.people(tx, people, groups, self.now, **more))

    def lend(self, by: PersonId = DAN, to: PersonId = BOB, until: timedelta = HOUR) -> Delegation:
        """Let somebody lend their right to approve to somebody else."""
        made = Delegation(DelegationId(0), by, to, self.now, self.now + until, "leave")
        return self.write(lambda tx, c: sync.lend(tx, made, c.directory.at(self.now), self.now))

    def pass_(self, time: timedelta) -> None:
        self.now += time

    def wake(self) -> None:
        """Have the clock look at all that is alive, as whoever stores a fact about it does."""
        alive = [s.value for s in State if not s.final]
        with self.database.write() as tx:
            tx.execute(
                update(RequestRow).where(col(RequestRow.state).in_(alive)).values(wake_at=self.now)
            )

    def tick(self) -> list[RequestId]:
        """Do what the clock loop does once; return whom it woke."""
        ids, changed = clock.look(self.database, self.now, 50)
        if changed:
            self.wake_touched()
            ids = clock.due(self.database, self.now, 50)
        if ids:
            self.write(lambda tx, c: clock.tick(tx, c, ids, self.now))
        return ids

    def wake_touched(self) -> list[RequestId]:
        """Wake whom the changes of facts touch, and return them."""
        woken: list[RequestId] = []
        while change := touched.first(self.database, self.now):
            with self.database.read() as session:
                ids = touched.requests(session, self.company(), change)
            self.write(lambda tx, _, c=change, i=ids: touched.wake(tx, c, i, self.now))
            woken += ids
        return woken

    def touch_everything(self) -> None:
        """Have every live request looked at."""
        with self.database.write() as tx:
            touched.note(tx, Touched(everything=True))
        self.wake_touched()

    def turn(self, *ids: AccountId, done: Sequence[Done] = ()) -> list[Work]:
        works, left = self.write(
            lambda tx, c: accounts.turn(tx, c, self.desk, self.now, done=done, ids=ids)
        )
        return works + self.turn(done=left) if left else works

    def due(self) -> list[AccountId]:
        self.meanwhile()
        return [d.account for d in accounts.due(self.database, self.instance, self.now)]

    def call(self, work: Work) -> Done:
        """Call the system, as the access loop does."""
        system = self.systems[work.integration]
        try:
            if work.order is None:
                return Done(work, system.inspect(work.login, list(work.look.values())))
            creates = self.kinds[work.integration].generates_login
            return Done(work, system.apply(work.order, creates=creates))
        except Unavailable as fault:
            return Done(work, fault)

    def converge(self) -> None:
        """Do what the access loop does until nothing is due."""
        for _ in range(50):
            ids = self.due()
            if not ids:
                return
            for id_ in ids:
                works = self.turn(id_)
                while works:
                    works = self.turn(done=[self.call(w) for w in works])
        raise AssertionError("the accounts do not come to rest")

    def send(self) -> list[str]:
        """Do what the message loop does once, in one batch; return the recipients and kinds."""
        self.meanwhile()
        found = messages.ready(self.database, self.instance, self.now)
        mine, free = found.mine, found.free
        if free:
            mine += self.write(lambda tx, _: messages.claim(tx, self.instance, free, self.now))
        results = [all_shown(p, f"D-{p.recipient}") for p in mine]
        if results:
            with self.database.write() as tx:
                messages.settle(tx, self.instance, results, self.now)
        return [f"{p.recipient}/{p.kind}" for p in mine]

    def rows(self, table: type[SQLModel]) -> list[SQLModel]:
        """Return what is stored, in the order of its keys: PostgreSQL has none of its own."""
        with self.database.read() as session:
            return list(
                session.execute(select(table).order_by(*inspect(table).primary_key)).scalars()
            )

    def account(self, system: IntegrationId = PG, of: PersonId = ALICE) -> AccountRow:
        """Return the account's row as it is stored now."""
        return next(
            r for r in self.rows(AccountRow) if (r.integration_id, r.person_id) == (system, of)
        )

    def secret(self, row: AccountRow) -> Secret | None:
        return accounts.open_secret(row, self.keys)

    def close(self) -> None:
        with suppress(Exception):
            self.database.close()


class Now:
    """The company's time, as a clock."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def now(self) -> datetime:
        return self._stored.now


def all_shown(parcel: Parcel, channel: str = "D1", ts: str = "") -> Shown:
    """Return that Slack shows a card, posted anew where that was wanted, and the earlier shrunk."""
    there = parcel.live if not parcel.unposted else None
    live = there or Posted(channel, ts or f"{parcel.id}.{parcel.posting}", parcel.news)
    return Shown(parcel, live, parcel.posting)
