"""Latchkey with 10,000 people, 200 flows and 100,000 entitlements, on both databases.

The search is measured from the payload that Slack delivers to the answer, through the whole Bolt
app; the idle tick is a drain of the clock loop that finds nothing.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slack_bolt import App
from sqlalchemy import insert, make_url, update
from sqlmodel import col

from bot import settings, wiring
from bot.loops import clock
from bot.runtime.services import Services
from bot.sandbox.house import COMPANY
from bot.sandbox.postgres import Cluster
from bot.slack import dispatch
from bot.slack.client import Clients
from bot.views import ids
from engine.commands import Approve
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Group, GroupId, Person, PersonId, SlackAccount
from engine.eligibility import Draft, usable
from engine.flow import ApprovalRule, ApproverGroup, Extension, Revision
from engine.inventory import IntegrationId
from engine.port import Discovered
from engine.targets import Selector
from storage import apply, claims, facts, schema, search, sync, unit_of_work
from storage.database import Database
from storage.secrets import new_key
from storage.tables import CompanyRow, RequestRow
from tests.benchmarks import beside
from tests.benchmarks.many import Slack
from tests.benchmarks.report import Row, p99, said
from tests.support.postgres import fresh_database

PEOPLE, FLOWS, RESOURCES, WAITING = 10_000, 200, 50_000, 100_000
AT_ONCE = 5_000  # rows in a statement
SYSTEM = IntegrationId("pg")
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
ROUNDS = 3
SIZE = f"{PEOPLE:,} people, {FLOWS} flows, {RESOURCES * 2:,} entitlements"

# Who may ask for little (11 flows), for all tables (12), and by very many flows (92).
ASKERS = {"UFEW": PersonId("p11"), "UALL": PersonId("p2"), "UMANY": PersonId("p7")}
WORDS = [
    *("", "a", "x", "17", "prod", "zzz", "production", "db17", "orders 12", "table 4711"),
    *("nothing at all", "ledger 99 tab", "db7 prod", "LEDGER", "db113/ledger/table 1", "%"),
]


class Stopped:
    def now(self) -> datetime:
        return NOW


def rows(folder: Path, _cluster: Cluster) -> Iterator[Row]:
    """PostgreSQL is reached by its socket: what a network adds to each question is not ours."""
    sockets = folder / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    local = {"unix_socket_directories": str(sockets)}
    with Cluster.start(folder / "local", seed=False, settings=local) as cluster:
        by_socket = make_url(fresh_database(cluster)).set(host="", query={"host": str(sockets)})
        yield from on("sqlite", f"sqlite:///{folder}/scale.db")
        yield from on("postgresql", by_socket.render_as_string(hide_password=False))


def on(kind: str, url: str) -> Iterator[Row]:
    given = settings.load(
        SLACK_BOT_TOKEN="xoxb-0",
        SLACK_APP_TOKEN="xapp-0",
        LATCHKEY_DATABASE_URL=url,
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
    )
    slack = Slack()
    clients = Clients(slack, slack, slack)
    program = wiring.build(given, clock=Stopped(), clients=clients, connectors={})
    services, database = program.services, program.database
    schema.upgrade(database)
    found(database)
    yield from searches(program.app, kind)
    yield from beside.rows(program, kind)
    yield from lives(services, kind)
    waiting(database)
    yield tick(services, kind)
    database.close()


def searches(bolt: App, kind: str) -> Iterator[Row]:
    cases = list(itertools.product(ASKERS, WORDS))
    first = samples(lambda n: look(bolt, *cases[n]), len(cases))[0]
    rounds = [samples(lambda n: look(bolt, *cases[n]), len(cases)) for _ in range(ROUNDS)]
    every = [ms for one in rounds for ms in one]
    worst = max(zip(zip(*rounds, strict=True), cases, strict=True), key=lambda c: min(c[0]))
    yield Row(
        f"search in the resource field, {kind}",
        said(rounds),
        f"{SIZE}; slowest: “{worst[1][1]}”, {min(worst[0]):.2f} ms",
        "p99 ≤ 30 ms",
        p99(every) <= 30,
    )
    yield Row(f"the first search after the start, {kind}", f"{first:.0f} ms", "", "", None)


def look(bolt: App, slack: str, words: str) -> None:
    payload = {
        "type": "block_suggestion",
        "team": {"id": "T0", "domain": "big"},
        "user": {"id": slack, "team_id": "T0"},
        "api_app_id": "A0",
        "action_id": ids.RESOURCE,
        "block_id": ids.RESOURCE,
        "value": words,
        "view": {"type": "modal", "callback_id": ids.REQUEST_MODAL},
    }
    answer = dispatch.dispatch(bolt, payload, "a-search")
    if answer.status != 200 or "options" not in answer.body:
        raise SystemExit(f"the search failed: {answer.status} {answer.body}")


def lives(services: Services, kind: str) -> Iterator[Row]:
    """Submit and approve, beside a commit of one row."""
    database, companies = services.database, services.companies
    with database.read() as session:
        company = companies.current(session)
        asker = company.directory.people[PersonId("p11")]
        flow = usable(company.flows.values(), asker, asker, company.directory)[0]
        offered = search.resources(session, companies.catalogues, [flow], "", limit=30)
        entitlements = [search.entitlements_on(session, r.resource)[0] for r in offered]
    made = []

    def submit(number: int) -> None:
        draft = Draft(
            requestor=asker,
            grantee=asker,
            flow=flow,
            entitlements=(entitlements[number],),
            duration=timedelta(hours=1),
            justification="INC-1",
        )
        with database.write() as tx:
            made.append(apply.submit(tx, companies.current(tx), draft, f"v{number}", NOW).id)

    def approve(number: int) -> None:
        with database.write() as tx:
            unit_of_work.carry_out(
                tx, companies.current(tx), made[number], Approve(PersonId("p0")), NOW
            )

    commits = samples(lambda n: one_row(database, n), 100)
    for what, taken in (
        ("submit", samples(submit, len(entitlements))),
        ("approve", samples(approve, len(entitlements))),
    ):
        ratio = statistics.median(taken) / statistics.median(commits)
        beside = f"a one-row commit: {said([commits])}: {ratio:.1f} ×"
        yield Row(f"{what}, 100 approvers asked, {kind}", said([taken]), beside, "", None)


def tick(services: Services, kind: str) -> Row:
    clock.drain(services)
    rounds, there_and_back = [], list[list[float]]()
    with services.database.reader.connect() as connection:
        cursor = connection.connection.cursor()
        for _ in range(ROUNDS):
            rounds.append(samples(lambda _: clock.drain(services), 300))
            there_and_back.append(samples(lambda _: cursor.execute("select 1"), 300))
    return Row(
        f"idle tick, {WAITING:,} requests waiting, {kind}",
        said(rounds),
        f"`select 1` by the driver: {said(there_and_back)}",
        "median ≤ 0.5 ms",
        statistics.median(ms for one in rounds for ms in one) <= 0.5,
    )


def found(database: Database) -> None:
    people = [
        Person(
            PersonId(f"p{n}"),
            f"p{n}@big.example",
            f"Person {n}",
            manager=PersonId(f"p{n // 10}") if n else None,
            groups=frozenset({GroupId(f"f:g{g}") for g in in_groups(n)} | {GroupId("f:all")}),
            attributes={"city": (f"City {n % 30}",)},
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
            approval=ApprovalRule((ApproverGroup("Group 0", of("f:g0")),)),
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
    slack = {**{p: s for s, p in ASKERS.items()}, **{f"p{n}00": f"U{n}" for n in range(1, 100)}}
    with database.write() as tx:
        sync.people(tx, people, groups, NOW)
        tied = {"p0": "U0", **slack}.items()
        accounts = {PersonId(p): SlackAccount("T0", s, f"{p}@big.example") for p, s in tied}
        sync.tie(tx, accounts, NOW)
        sync.integrations(tx, [(SYSTEM, "Orders", "memory", {})], NOW)
        sync.flows(tx, [(f, True) for f in flows], NOW)
    with database.write() as tx:
        sync.inventory(tx, SYSTEM, resources, NOW)
        database.instance = claims.register(tx)
        if not database.sqlite:
            tx.connection().exec_driver_sql("analyze")


def in_groups(number: int) -> range:
    return range(7, 50) if number == 7 else range(number % 100, number % 100 + 1)


def of(group: str) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, (group,)),))


def waiting(database: Database) -> None:
    """Let 100,000 requests wait for a moment that is far away, and nothing for this one."""
    with database.write() as tx:
        like = facts.find(tx)[0]
        one = tx.get_one(RequestRow, like.id)
        same = {c.name: getattr(one, c.name) for c in RequestRow.__table__.columns}
        del same["id"]
        far = [
            same | {"fingerprint": f"w{n}", "wake_at": NOW + timedelta(days=1, seconds=n)}
            for n in range(WAITING)
        ]
        for at in range(0, WAITING, AT_ONCE):  # one statement is waited for as long as a click's
            tx.execute(insert(RequestRow), far[at : at + AT_ONCE])
        tx.execute(update(RequestRow).where(col(RequestRow.wake_at) <= NOW).values(wake_at=None))
        if not database.sqlite:
            tx.connection().exec_driver_sql("analyze request")


def one_row(database: Database, number: int) -> None:
    with database.write() as tx:
        tx.execute(update(CompanyRow).values(paused=bool(number % 2)))


def samples(act: Callable[[int], object], times: int) -> list[float]:
    """Return milliseconds, in the order in which they were taken."""
    taken = []
    for number in range(times):
        start = time.perf_counter()
        act(number)
        taken.append((time.perf_counter() - start) * 1000)
    return taken
