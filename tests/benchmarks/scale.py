"""Latchkey with 10,000 people, 200 flows and 100,000 entitlements, in the database itself."""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlmodel import col

from bot.sandbox.postgres import Cluster
from engine.commands import Approve
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.connectors.port import Discovered
from engine.directory import Group, GroupId, Person, PersonId
from engine.eligibility import Draft, usable
from engine.flow import Approval, ApproverGroup, Extension, Revision, Selector
from engine.inventory import IntegrationId
from storage import apply, book, claims, clock, schema, search, sync
from storage.company import Companies
from storage.database import Database
from storage.tables import Company as CompanyRow
from storage.tables import RequestRow
from tests.benchmarks.report import Row
from tests.support.postgres import drop_database, fresh_database

PEOPLE, FLOWS, RESOURCES = 10_000, 200, 50_000
SYSTEM = IntegrationId("pg")
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    size = f"{PEOPLE:,} people, {FLOWS} flows, {RESOURCES * 2:,} entitlements"
    for kind in ("sqlite", "postgresql"):
        url = f"sqlite:///{folder}/scale.db" if kind == "sqlite" else fresh_database(cluster)
        database = Database(url)
        for what, measured in measure(database).items():
            yield Row(f"{what}, {kind}", measured, size, "", None)
        database.close()
        if kind == "postgresql":
            drop_database(cluster, url)


def measure(database: Database) -> dict[str, str]:
    schema.upgrade(database)
    found(database)
    companies = Companies()
    with database.write() as tx:
        database.instance = claims.register(tx)
    shown: dict[str, str] = {}
    start = time.perf_counter()
    with database.read() as session:
        company = companies.current(session)
    shown["company loaded anew"] = f"{(time.perf_counter() - start) * 1000:.0f}"
    asker = company.directory.people[PersonId("p1")]
    words = ["", "prod", "table 4711", "orders 12", "nothing at all", "a", "17", "ledger 99 tab"]

    def look(number: int) -> None:
        with database.read() as session:
            flows = usable(company.flows.values(), asker, asker, company.directory)
            search.resources(session, flows, words[number % len(words)])

    shown["search in the resource field"] = timed(look, 400)
    commit = samples(lambda n: one_row(database, n), 200)
    flow = next(f for f in company.flows.values() if f.name == "Flow 1")
    with database.read() as session:
        offered = search.resources(session, [flow], "")
        entitlements = [search.entitlements_on(session, r.resource)[0] for r in offered[:100]]
    made = []

    def submit(number: int) -> None:
        draft = Draft(
            requestor=asker,
            grantee=asker,
            flow=flow,
            entitlements=(entitlements[number % 100],),
            duration=timedelta(hours=1),
            justification="INC-1",
        )
        with database.write() as tx:
            made.append(apply.submit(tx, companies.current(tx), draft, f"v{number}", NOW).id)

    submitted = samples(submit, 100)

    def approve(number: int) -> None:
        with database.write() as tx:
            approver = Approve(PersonId("p0"))
            book.carry_out(tx, companies.current(tx), made[number], approver, NOW)

    approved = samples(approve, 100)
    base = statistics.median(commit)
    shown["one-row commit"] = said(commit)
    shown["submit"] = f"{said(submitted)} ({statistics.median(submitted) / base:.1f} × a commit)"
    shown["approve"] = f"{said(approved)} ({statistics.median(approved) / base:.1f} × a commit)"
    waiting(database)
    shown["idle tick, 100,000 requests waiting"] = timed(
        lambda _: clock.due(database, NOW, 50), 400
    )
    return shown


def found(database: Database) -> None:
    people = [
        Person(
            PersonId(f"p{n}"),
            f"p{n}@big.example",
            f"Person {n}",
            manager=PersonId(f"p{n // 10}") if n else None,
            groups=frozenset({GroupId(f"f:g{n % 100}"), GroupId("f:all")}),
            attributes={"city": (f"City {n % 30}",)},
            slack=None,
        )
        for n in range(PEOPLE)
    ]
    groups = [Group(GroupId(f"f:g{n}"), "f", f"Group {n}") for n in range(100)]
    groups.append(Group(GroupId("f:all"), "f", "All"))
    flows = [
        Revision(
            f"Flow {n}",
            of("f:all" if n % 20 == 1 else f"f:g{n % 100}"),
            (Selector(SYSTEM, names=frozenset({f"db{n}/prod/table {t}" for t in range(250)})),)
            if n % 2
            else (Selector(SYSTEM, types=frozenset({"table"}), permissions=frozenset({"read"})),),
            extension=Extension(2, timedelta(minutes=30)),
            approval=Approval((ApproverGroup("Group 0", of("f:g0")),)),
        )
        for n in range(FLOWS)
    ]
    resources = [
        Discovered(
            "table",
            f"table {n % 250}",
            f"db{n // 250}/{'prod' if n % 3 else 'ledger'}/table {n % 250}",
            f"r{n}",
            {"read": 3, "read-write": 6},
        )
        for n in range(RESOURCES)
    ]
    with database.write() as tx:
        sync.people(tx, people, groups, NOW)
        sync.tie(tx, [(PersonId("p0"), "U0", ""), (PersonId("p1"), "U1", "")], NOW)
        sync.integrations(tx, [("pg", "Production PostgreSQL", "memory", {})])
        sync.flows(tx, [(f, True) for f in flows], NOW)
    with database.write() as tx:
        sync.inventory(tx, SYSTEM, resources, NOW)
        if not database.sqlite:
            tx.connection().exec_driver_sql("analyze")


def of(group: str) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, (group,)),))


def waiting(database: Database) -> None:
    """Let 100,000 requests wait for a moment that is far away."""
    with database.write() as tx:
        like = tx.execute(select(RequestRow).limit(1)).scalar_one()
        rows = [
            {
                "state": "active",
                "version": 1,
                "wake_at": NOW + timedelta(days=1, seconds=n),
                "attempts": 0,
                "requestor_id": like.requestor_id,
                "grantee_id": like.grantee_id,
                "flow_id": like.flow_id,
                "revision": like.revision,
                "fingerprint": f"w{n}",
                "submitted_at": NOW,
                "body": like.body,
            }
            for n in range(100_000)
        ]
        tx.execute(insert(RequestRow), rows)
        tx.execute(update(RequestRow).where(col(RequestRow.wake_at) <= NOW).values(wake_at=None))
        if not database.sqlite:
            tx.connection().exec_driver_sql("analyze request")


def one_row(database: Database, number: int) -> None:
    with database.write() as tx:
        tx.execute(update(CompanyRow).values(paused=bool(number % 2)))


def samples(act: Callable[[int], object], times: int) -> list[float]:
    taken = []
    for number in range(times):
        start = time.perf_counter()
        act(number)
        taken.append((time.perf_counter() - start) * 1000)
    return sorted(taken)


def timed(act: Callable[[int], object], times: int) -> str:
    return said(samples(act, times))


def said(taken: list[float]) -> str:
    return f"{statistics.median(taken):.2f} / {taken[int(len(taken) * 0.99)]:.2f}"
