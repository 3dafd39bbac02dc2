"""A row that cannot be read disarms nobody: all other access ends, is listed and can be revoked."""

import json
import sqlite3
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations

import pytest
from sqlalchemy import JSON, func, select, text, update
from sqlmodel import AutoString, SQLModel

from engine.aql.parser import parse
from engine.channel import Channel, ChannelId
from engine.commands import Approve, Extend, FirstLook, Revoke
from engine.directory import PersonId
from engine.outcome import Code, Decision, Refusal
from engine.request import OPERATOR, State
from engine.targets import Scope
from storage import (
    audit,
    clock,
    counts,
    facts,
    jobs,
    links,
    messages,
    numbers,
    reconcile,
    servers,
    succession,
    sync,
    touched,
)
from storage.company import Companies
from storage.jobs import JobKind
from storage.tables import AccountRow, AuditRow, GrantRow, InstanceRow, PersonRow, RequestRow
from storage.touched import Touched
from storage.types import UtcDateTime
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DORA,
    GROUPS,
    HOUR,
    MIA,
    MINUTE,
    PEOPLE,
    PG,
    READING,
    TABLES,
    WIKI,
    WRITING,
    Stored,
    account,
    found,
    reading,
    writing,
)

CUT = '{"name": "Alice", "state": "acti'
ODD = '{"grants": 5, "name": [], "status": {}, "tags": 7, "state": "odd", "requestors": null}'
ENUMERATIONS = [
    ("request", "state"),
    ("person", "status"),
    ("access_grant", "state"),
    ("resource", "status"),
]
# What says so itself: `AuditReading` does; the second is asked for only with a new address, and by
# the third nothing is decided: until the next intake a search does not find whom it belongs to.
SAID_ELSEWHERE = {("audit", "body"), ("person", "former"), ("person", "compared")}


def json_columns():
    """Return every column of JSON that there is: a new one is tested without being named here."""
    return [
        pytest.param(table.name, column.name, id=f"{table.name}.{column.name}")
        for table in SQLModel.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, JSON)
    ]


def touch(tx, table):
    """Have what a hand wrote read anew, as what Latchkey writes is."""
    tx.execute(text("update company set epoch = epoch + 1"))
    revised = {"flow_revision": ["flow"], "policy_object_revision": ["policy_object"]}
    facts_of = revised.get(table, [table])
    for name in facts_of:
        if "epoch" in SQLModel.metadata.tables[name].columns and name != "company":
            tx.execute(text(f"update {name} set epoch = (select epoch from company)"))  # noqa: S608


@dataclass
class House:
    """Three people's access, one of whom has two requests on one account; one more waits."""

    stored: object
    owner: object  # the database, for a hand that may write anything
    running: list
    waiting: object

    def spoil(self, table, column, content=CUT, where=""):
        """Write what makes no sense into one row, as a hand could."""
        key = next(iter(SQLModel.metadata.tables[table].primary_key.columns)).name
        where = where or f"{key} = (select min({key}) from {table})"  # noqa: S608
        if table == "person" and not where.startswith("id"):
            where = "id = 'alice'"
        value = ":said"
        if (table, column) in ENUMERATIONS:
            content = "odd"
        elif not self.stored.database.sqlite:
            value = "cast(:said as jsonb)"
            content = content if content == ODD else json.dumps(content)
        with self.owner.write() as tx:
            change = f"update {table} set {column} = {value} where {where}"  # noqa: S608
            tx.execute(text(change), {"said": content})
            touch(tx, table)

    def body(self, request):
        query = select(RequestRow.body).where(RequestRow.id == request.id)
        with self.stored.database.read() as session:
            return session.execute(query).scalar_one()

    def found(self):
        return [f for f in self.stored.database.unread.take() if f.sentence]

    def listed(self):
        """Return what an operator's list and `revoke --all` have before them."""
        with self.stored.database.read() as session:
            return {r.id: r for r in facts.find(session)}

    def held(self):
        """Return what the systems hold: whose, and what."""
        return sorted(
            f"{id_} {name} {target}"
            for id_, system in self.stored.systems.items()
            for name, held in system.held.items()
            for target in held
        )

    def live(self):
        """Do what the loops do until nothing is left to do."""
        for _ in range(5):
            ticked = self.stored.tick()
            self.stored.converge()
            if not ticked:
                return

    def look_round(self):
        """Read what is read for people, for the metrics and for the systems."""
        stored = self.stored
        with stored.database.read() as session:
            company = stored.companies.current(session)
            for person in company.directory.people:
                facts.of_person(session, person, live=True)
                facts.of_person(session, person, live=False)
                facts.waiting_for(session, person)
            counts.requests_by_state(session)
            counts.overdue(session, stored.now)
            servers.connections(session)
            list(audit.AuditReading(session).findings())
            succession.find(session, PEOPLE)
        for process in stored.rows(InstanceRow):  # each looks for what is its own
            messages.ready(stored.database, process.id, stored.now)
        while stored.send():
            pass
        due = jobs.due(stored.database, stored.now, 50)
        stored.write(lambda tx, _: jobs.claim(tx, stored.instance, due, stored.now))
        for system in (PG, WIKI):
            for id_ in reconcile.accounts(stored.database, system):
                with stored.database.read() as session:
                    past = reconcile.past(session, id_, reconcile.restored_at(session))
                stored.write(
                    lambda tx, c, past=past: reconcile.begin(tx, c, stored.desk, past, stored.now)
                )
                stored.write(
                    lambda tx, _: tx.execute(
                        text("update account set lease = null where acted = wanted")
                    )
                )

    def take_in(self):
        """Take in people, flows and resources anew, as each start does."""
        stored = self.stored

        def change(tx, _):
            sync.people(tx, PEOPLE, GROUPS, stored.now)
            sync.administrators(tx, [ADA], stored.now)
            systems = [(PG, "Production", "memory", {}), (WIKI, "Wiki", "memory", {})]
            sync.integrations(tx, systems, stored.now)
            sync.objects(tx, [SCOPE], stored.now)
            sync.flows(tx, [(reading(), True), (writing(), True)], stored.now)
            sync.inventory(tx, PG, TABLES, stored.now)

        stored.write(change)


ROOM = Channel(ChannelId("C0ROOM"), "room")
SCOPE = Scope("Orders", parse('resource_path = "shop.orders"'))


class Lived:
    """The house as it is before each test, lived in once for each kind of database.

    What is in no database is kept here.
    """

    def __init__(self):
        self._of = {}

    def live(self, url):
        found(url)
        with closing(Stored.open(url)) as stored:
            stored.write(lambda tx, _: jobs.schedule(tx, JobKind.SLACK_PEOPLE, "", stored.now))
            stored.write(lambda tx, _: sync.objects(tx, [SCOPE], stored.now))
            stored.write(lambda tx, _: sync.channel(tx, ROOM, {}, stored.now))
            stored.lend(until=24 * HOUR)
            running = [
                stored.submit("read on shop.orders", by=ALICE),
                stored.submit("read on shop.customers", by=ALICE, duration=2 * HOUR),
                stored.submit("edit on handbook", by=ALICE),
                stored.submit("read on shop.orders", by=BOB),
                stored.submit("read on shop.customers", by=DORA),
            ]
            stored.converge()
            waiting = stored.submit("write on shop.orders", by=BOB, flow=WRITING)
            with stored.database.write() as tx:
                touched.note(tx, Touched(people={MIA}))
            assert all(stored.again(r).state is State.ACTIVE for r in running)
            self._of[stored.database.sqlite] = stored.systems, running, waiting

    def house(self, url, owner):
        systems, running, waiting = self._of[owner.sqlite]
        return House(Stored.open(url, systems=deepcopy(systems)), owner, running, waiting)


@pytest.fixture(scope="module")
def lived():
    return Lived()


@pytest.fixture
def founded(lived):
    return lived.live


@pytest.fixture
def house(url, owner, lived):
    made = lived.house(url, owner)
    yield made
    made.stored.close()


@pytest.mark.parametrize("content", [CUT, ODD], ids=["cut off", "odd"])
@pytest.mark.parametrize(("table", "column"), json_columns())
def test_one_bad_value_keeps_no_access_from_its_end(house, table, column, content):
    """One body that was cut off kept all other access of that person, and every list, for good."""
    house.spoil(table, column, content)

    house.look_round()
    assert house.listed().keys() >= {r.id for r in (*house.running, house.waiting)}
    house.stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert {house.stored.again(r).state for r in house.running} == {State.EXPIRED}
    if content == CUT and (table, column) not in SAID_ELSEWHERE:
        assert table in {f.table for f in house.found()}
    house.take_in()


@pytest.mark.parametrize(("table", "column"), [*json_columns(), *ENUMERATIONS])
def test_one_bad_value_keeps_nothing_from_being_revoked(house, table, column):
    """`latchkey revoke --all` ended with the first row that it could not read."""
    house.spoil(table, column)

    for request in house.listed().values():
        if request.state is State.ACTIVE:
            assert isinstance(house.stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    house.live()

    assert house.held() == []
    assert {house.stored.again(r).state for r in house.running} == {State.REVOKED}
    with house.stored.database.read() as session:
        open_ = session.execute(
            select(func.count()).select_from(GrantRow).where(GrantRow.open)
        ).scalar_one()
    assert open_ == 1  # of what waits


@pytest.mark.parametrize("ends", ["by themselves", "by a word"])
def test_without_the_row_of_the_company_all_access_ends(house, ends):
    """Neither a list, nor a revoke, nor the clock went on: nobody's access ended."""
    stored = house.stored
    with house.owner.write() as tx:
        tx.execute(text("delete from company"))

    house.look_round()
    listed = house.listed()
    assert listed.keys() >= {r.id for r in (*house.running, house.waiting)}
    if ends == "by a word":
        for request in house.running:
            assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert all(stored.again(r).state.final for r in house.running)
    (said,) = house.found()
    assert said.table == "company"


def test_without_the_row_of_the_company_nothing_begins_until_it_is_made_anew(house):
    stored, before = house.stored, house.stored.company()
    with house.owner.write() as tx:
        tx.execute(text("delete from company"))
    assert stored.company().paused
    assert stored.company().admins == frozenset()
    assert stored.company().directory.failing.keys() == {"file"}, "nobody is outside a group"
    stored.submit("read on ledger.entries", by=BOB)
    stored.converge()
    assert "ledger" not in str(house.held())

    house.take_in()
    assert stored.company().admins == before.admins
    assert stored.company().paused
    assert stored.write(lambda tx, _: sync.pause(tx, OPERATOR, stored.now, paused=False))
    stored.wake_touched()
    stored.converge()

    assert "ledger" in str(house.held())
    assert stored.company().epoch > before.epoch


@pytest.mark.parametrize(("table", "column"), ENUMERATIONS)
def test_a_word_that_is_not_known_keeps_no_access_from_its_end(house, table, column):
    house.spoil(table, column)

    house.look_round()
    house.stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert {house.stored.again(r).state for r in house.running} == {State.EXPIRED}


def test_what_a_lost_request_holds_stays_until_its_own_end(house):
    """Ending another request takes nothing of it away: the audit says that it is still wanted."""
    stored = house.stored
    again = stored.submit("read on shop.orders", by=DORA)
    twice = stored.submit("read on shop.orders", by=DORA, flow=WRITING, duration=4 * HOUR)
    stored.approve(twice)
    stored.converge()
    house.spoil("request", "body", where=f"id = {twice.id}")

    stored.do(again, Revoke(OPERATOR))
    house.live()
    assert stored.again(again).state is State.REVOKED
    assert "read on shop.orders" in str(house.held())

    stored.pass_(4 * HOUR - MINUTE)
    house.live()
    assert len(house.held()) == 1
    stored.pass_(MINUTE)
    house.live()
    assert house.held() == []


def test_a_lost_request_ends_as_late_as_it_was_extended_to(house):
    stored, request = house.stored, house.running[0]
    assert isinstance(stored.do(request, Extend(ALICE, 1)), Decision)
    stored.converge()
    before = stored.again(request)
    house.spoil("request", "body", where=f"id = {request.id}")

    lost = stored.again(request)

    assert lost.ends_at == before.ends_at
    assert not lost.readable
    stored.pass_(HOUR)
    house.live()
    assert stored.again(request).state is State.ACTIVE
    stored.pass_(30 * MINUTE)
    house.live()
    assert stored.again(request).state is State.EXPIRED


def test_a_lost_request_whose_end_nobody_knows_is_over(house):
    stored, request = house.stored, house.running[0]
    house.spoil("request", "body", where=f"id = {request.id}")
    house.spoil("audit", "body", where=f"request_id = {request.id}")
    stored.touch_everything()

    house.live()

    assert stored.again(request).state is State.EXPIRED
    assert len(house.held()) == 4


def test_nothing_is_given_by_a_lost_request(house):
    """Neither what was about to be given, nor a decision, nor more time."""
    stored = house.stored
    granting = stored.submit("read on ledger.entries", by=BOB)
    house.spoil("request", "body", where=f"id in ({granting.id}, {house.waiting.id})")
    house.spoil("request", "body", where=f"id = {house.running[0].id}")

    for request, command in (
        (house.waiting, Approve(DAN)),
        (house.running[0], Extend(ALICE, 1)),
    ):
        outcome = stored.do(request, command)
        assert isinstance(outcome, Refusal)
        assert outcome.code is Code.UNREADABLE
    stored.do(granting, FirstLook({}))
    stored.converge()
    stored.pass_(MINUTE)
    house.live()

    assert "ledger" not in str(house.held())
    assert stored.again(house.waiting).state is State.PENDING


def test_what_stood_there_is_kept_when_it_is_written_anew(house):
    """Only its end writes a lost request anew; the audit keeps what was there."""
    stored, request = house.stored, house.running[0]
    house.spoil("request", "body", where=f"id = {request.id}")
    spoiled = house.body(request)
    house.look_round()
    stored.tick()
    assert house.body(request) == spoiled

    stored.do(request, Revoke(OPERATOR, "enough"))

    (kept,) = [r for r in stored.rows(AuditRow) if r.action == "rebuilt"]
    assert kept.request_id == request.id
    assert "acti" in kept.body["body"]
    with stored.database.read() as session:
        assert list(audit.AuditReading(session).findings()) == []


def test_a_request_that_is_mended_is_what_it_was(house):
    stored, request = house.stored, house.running[0]
    whole = house.body(request)
    before = stored.again(request)
    house.spoil("request", "body", where=f"id = {request.id}")
    stored.touch_everything()
    house.live()

    with stored.database.write() as tx:
        row = tx.get_one(RequestRow, request.id)
        row.body = whole

    assert stored.again(request) == before
    stored.pass_(HOUR)
    house.live()
    assert stored.again(request).state is State.EXPIRED


def test_who_cannot_be_read_asks_and_decides_nothing(house):
    stored = house.stored
    house.spoil("person", "body", where="id in ('alice', 'dan')")

    people = stored.company().directory.people
    assert not people[ALICE].may_ask
    assert people[ALICE].may_receive
    assert people[ALICE].groups == frozenset()
    outcome = stored.do(house.waiting, Approve(DAN))
    assert isinstance(outcome, Refusal)
    house.live()
    assert stored.again(house.running[0]).state is State.ACTIVE
    assert stored.again(house.waiting).state is State.PENDING


def test_the_next_sync_mends_people_admins_and_flows(house):
    stored = house.stored
    whole = stored.company()
    house.spoil("person", "body", where="id = 'alice'")
    house.spoil("company", "admins")
    house.spoil("flow_revision", "body", where="number = 1")
    assert stored.company().admins == frozenset()
    assert not any(f.open for f in stored.company().flows.values())

    house.take_in()

    company = stored.company()
    assert company.directory.people == whole.directory.people
    assert company.admins == whole.admins
    assert {f.name for f in company.flows.values() if f.open} == {READING, WRITING}


def test_a_tie_that_cannot_be_read_waits_for_an_admin(house):
    """Nobody may come by it, and an admin's word makes it anew."""
    stored = house.stored
    house.spoil("person", "account", where="id = 'alice'")
    directory = stored.company().directory
    assert directory.people[ALICE].account is None
    assert directory.is_suspended(account("U-alice", ""))

    stored.write(lambda tx, _: sync.confirm(tx, ALICE, OPERATOR, stored.now))
    tied = {ALICE: account("U-alice", "alice@example.com")}
    stored.write(lambda tx, _: sync.tie(tx, tied, stored.now))

    assert stored.company().directory.people[ALICE].slack == "U-alice"


def test_a_row_is_said_once_for_what_stands_there(house):
    house.spoil("person", "body", where="id = 'alice'")
    house.stored.company()
    house.look_round()
    (said,) = house.found()
    assert "alice@example.com" in said.sentence

    house.spoil("person", "status", where="id = 'bob'")
    house.stored.company()
    assert house.found() == []
    house.spoil("person", "body", ODD, where="id = 'alice'")
    house.stored.company()
    (again,) = house.found()
    assert again.key != said.key


def test_text_that_is_no_utf_8_hides_no_row(house):
    """SQLite's driver refuses all rows of a question because of one."""
    if not house.stored.database.sqlite:
        return
    with house.stored.database.write() as tx:
        tx.execute(text("update person set body = cast(x'7bff' as text) where id = 'alice'"))
        touch(tx, "person")

    people = house.stored.company().directory.people

    assert not people[ALICE].readable
    assert people[PersonId("bob")].readable


NO_MOMENTS = {
    "sqlite": ["soon"],
    "postgresql": ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"],
}


def moments():
    return [
        pytest.param(table.name, column.name, id=f"{table.name}.{column.name}")
        for table in SQLModel.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, UtcDateTime)
    ]


@pytest.mark.parametrize(("table", "column"), moments())
def test_a_moment_that_is_none_hides_no_row(house, table, column):
    """PostgreSQL's driver refused all rows of a question because of one that Python cannot hold."""
    stored = house.stored
    house.spoil("request", "body", where=f"id = {house.running[0].id}")
    for said in NO_MOMENTS["sqlite" if stored.database.sqlite else "postgresql"]:
        with house.owner.write() as tx:
            tx.execute(text(f"update {table} set {column} = '{said}'"))  # noqa: S608
            touch(tx, table)
        house.look_round()
        assert house.listed().keys() >= {r.id for r in (*house.running, house.waiting)}

    stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []


@pytest.mark.parametrize("said", ["'x'", "1.5", "x'00'"])
def test_a_version_that_is_no_number_keeps_no_request_from_its_end(house, said):
    """SQLite takes any text for one: the request could neither end nor be revoked."""
    if not house.stored.database.sqlite:
        return
    with house.owner.write() as tx:
        tx.execute(text(f"update request set version = {said}"))  # noqa: S608
        tx.execute(text("update request set body = '[]' where id = (select min(id) from request)"))

    house.look_round()
    assert house.listed().keys() >= {r.id for r in (*house.running, house.waiting)}
    assert house.listed()[house.running[1].id].readable
    outcome = house.stored.do(house.running[1], Revoke(OPERATOR, "enough"))
    assert isinstance(outcome, Decision)
    house.stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    states = [house.stored.again(r).state for r in house.running]
    assert states == [State.REVOKED if n == 1 else State.EXPIRED for n in range(5)]
    assert "counted anew" in str(house.found())


def numbers_of():
    return [
        pytest.param(table.__tablename__, column, id=f"{table.__tablename__}.{column}")
        for table, columns in numbers.SOUND.items()
        for column in columns
    ]


@pytest.mark.parametrize("said", ["'x'", "1.5", "x'00'"])
@pytest.mark.parametrize(("table", "column"), numbers_of())
def test_a_number_that_is_none_keeps_no_access_after_the_next_sweep(house, table, column, said):
    """SQLite finds text larger than any number: access stayed, and nothing said so."""
    stored = house.stored
    if stored.database.sqlite:
        with house.owner.write() as tx:
            tx.execute(text(f"update {table} set {column} = {said}"))  # noqa: S608

    numbers.mend(stored.database)
    if not stored.database.sqlite:
        assert house.found() == []
        return
    stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert {stored.again(r).state for r in house.running} == {State.EXPIRED}
    assert table in {f.table for f in house.found()}


LINKING = (
    "request",
    "access_grant",
    "account",
    "entitlement",
    "resource",
    "integration",
    "company",
)
# The system's own words: to it another word is another thing, and nothing tells that it is none.
ITS_WORDS = {
    ("entitlement", "permission"),
    ("resource", "type"),
    ("resource", "source_id"),
    ("resource", "path"),
    ("integration", "server"),
}


def words_and_links():
    """Return every column of words, and every one that leads to another row."""
    return [
        pytest.param(table, column.name, said, id=f"{table}.{column.name} {kind}")
        for table in LINKING
        for column in SQLModel.metadata.tables[table].columns
        if isinstance(column.type, AutoString) or column.foreign_keys
        for kind, said in (("garbage", "garbage"), ("bytes", b"\xff\x00\xfe"))
        if not (kind == "garbage" and (table, column.name) in ITS_WORDS)
    ]


def by_hand(house, table, cells):
    """Change cells of one row, as SQLite's own shell does, which looks at no key."""
    (key, *_) = SQLModel.metadata.tables[table].primary_key.columns
    where = f"{key.name} = (select min({key.name}) from {table})"  # noqa: S608
    if table == "account":
        where = "id = (select account_id from access_grant where request_id = 1)"
    if table == "person":
        where = "id = 'alice'"
    change = ", ".join(f"{column} = ?" for column in cells)
    with closing(sqlite3.connect(house.stored.database.file)) as hand, hand:
        hand.execute(f"update {table} set {change} where {where}", [*cells.values()])  # noqa: S608
    with house.owner.write() as tx:
        touch(tx, table)


@pytest.mark.parametrize(("table", "column", "said"), words_and_links())
def test_a_word_or_a_link_that_is_none_keeps_nobody_from_losing_access(house, table, column, said):
    """A cell changed by hand kept access, of others as well, and nothing named the row."""
    stored = house.stored
    if not stored.database.sqlite:
        return
    by_hand(house, table, {column: said})

    house.look_round()
    links.mend(stored.database, stored.now)
    for request in house.listed().values():
        if request.state is State.ACTIVE:
            assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    house.live()

    assert house.held() == []
    assert {stored.again(r).state for r in house.running} == {State.REVOKED}
    if (table, column) in {
        ("access_grant", "request_id"),
        ("access_grant", "account_id"),
        ("access_grant", "entitlement_id"),
        ("account", "integration_id"),
        ("account", "login"),
        ("entitlement", "resource_id"),
        ("resource", "integration_id"),
    }:
        assert house.found()


@pytest.mark.parametrize(
    ("table", "column"), [("entitlement", "resource_id"), ("resource", "integration_id")]
)
def test_what_is_lost_ends_alone_and_the_rest_of_the_login_stays(house, table, column):
    """It ended with a KeyError, for both requests on the account, and nothing named the row."""
    stored = house.stored
    if not stored.database.sqlite:
        return
    by_hand(house, table, {column: "garbage"})
    lost, stays = house.running[0], house.running[1]

    assert isinstance(stored.do(lost, Revoke(OPERATOR, "enough")), Decision)
    stored.converge()
    stored.pass_(5 * MINUTE)
    house.live()

    assert stored.again(lost).state is State.REVOKED
    hers = [held for held in house.held() if held.startswith("pg lk_alice")]
    if table == "entitlement":
        assert stored.again(stays).state is State.ACTIVE
        assert [held.partition(" read ")[2] for held in hers] == ["on shop.customers"]
    assert any("row 1 of the table entitlement" in f.sentence for f in house.found())


NO_TEXT = b"\xff\x00\xfe"


def spoilt():
    """Return, for each table, its body with every other column, and all of them."""
    for table in SQLModel.metadata.sorted_tables:
        columns = [
            column.name
            for column in table.columns
            if isinstance(column.type, (AutoString, JSON, UtcDateTime)) or column.foreign_keys
            if not column.primary_key or column.foreign_keys
        ]
        pairs = (pair for pair in combinations(columns, 2) if "body" in pair)
        for some in dict.fromkeys((*pairs, tuple(columns))):
            if some:
                yield pytest.param(table.name, some, id=f"{table.name}: {' '.join(some)}")


@pytest.mark.parametrize(("table", "columns"), [*spoilt()])
def test_a_row_spoilt_in_several_columns_disarms_nobody(house, table, columns):
    """Each column alone was withstood; address and body of one person together ended no access."""
    stored = house.stored
    if not stored.database.sqlite:
        return
    by_hand(house, table, dict.fromkeys(columns, NO_TEXT))

    stored.companies = Companies()  # as of a process that starts
    house.look_round()
    numbers.mend(stored.database)
    links.mend(stored.database, stored.now)
    for request in house.listed().values():
        if request.state is State.ACTIVE:
            assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    house.live()

    assert not [held for held in house.held() if "alice" not in held]
    assert house.held() == [] or table in {f.table for f in house.found()}
    if "server" not in columns:  # another server is refused until an admin says that it is the same
        house.take_in()


def without_grants(body, _columns):
    body["grants"] = []


def over_by_its_body(body, _columns):
    body["state"] = "expired"


def over_by_its_column(_body, columns):
    columns["state"] = "expired"


def never_begun(body, _columns):
    for grant in body["grants"]:
        grant["begun"] = False


def given_back(body, _columns):
    for grant in body["grants"]:
        grant |= {"state": "ended", "begun": False}


def of_another_flow(body, _columns):
    body["flow"] += 1


@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize(
    "contradict",
    [
        without_grants,
        over_by_its_body,
        over_by_its_column,
        never_begun,
        given_back,
        of_another_flow,
    ],
)
def test_a_body_that_says_less_than_what_stands_beside_it_is_not_believed(house, contradict, ends):
    """It was called over, and confirmed, while the ledger beside it had the access held."""
    stored, request = house.stored, house.running[0]
    body, columns = house.body(request), {}
    contradict(body, columns)
    with house.owner.write() as tx:
        tx.execute(
            update(RequestRow).where(RequestRow.id == request.id).values(body=body, **columns)
        )

    house.look_round()
    assert not house.listed()[request.id].readable
    assert request.id in {int(f.row) for f in house.found() if f.table == "request"}
    if ends == "by a word":
        assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    with stored.database.read() as session:  # as the sweep does
        asleep = clock.asleep(session, stored.companies.current(session), stored.now)
    stored.write(lambda tx, _: clock.rouse(tx, asleep, stored.now))
    house.live()

    assert house.held() == []
    ended = State.REVOKED if ends == "by a word" else State.EXPIRED
    assert stored.again(request).state is ended
    assert request.id not in house.listed()


@pytest.mark.parametrize("login", ["", " ", "lk_", "nobody"])
@pytest.mark.parametrize("had_another_id", [False, True])
def test_a_login_that_nobody_can_have_is_never_called_gone(house, login, had_another_id):
    """The system knew nobody of that name: it was “gone, as the system confirmed”, and was not."""
    stored, request = house.stored, house.running[0]
    with house.owner.write() as tx:
        account = request.grants[0].account
        tx.execute(update(AccountRow).where(AccountRow.id == account).values(login=login))
        if had_another_id:
            before = {"id": "al", "email": "", "status": "inactive", "successor": "alice"}
            tx.add(PersonRow(**before, body={}))

    links.mend(stored.database, stored.now)
    stored.do(request, Revoke(OPERATOR, "enough"))
    house.live()

    assert "account" in {f.table for f in house.found()}
    hers = "pg lk_alice" in str(house.held()) and "read on shop.orders" in str(house.held())
    confirmed = stored.again(request).state is State.REVOKED
    assert confirmed is not had_another_id
    if confirmed:
        assert not [h for h in house.held() if "lk_alice" in h and "shop.orders" in h]
    else:
        assert hers


@pytest.mark.parametrize("login", ["lk_bob_000000", "lk_alice_000000"])
def test_a_login_that_is_somebody_elses_is_set_right(house, login):
    """It had the form of a name: the real login kept what “was gone, as the system confirmed”."""
    stored, request = house.stored, house.running[0]
    with house.owner.write() as tx:
        account = request.grants[0].account
        tx.execute(update(AccountRow).where(AccountRow.id == account).values(login=login))

    links.mend(stored.database, stored.now)
    stored.do(request, Revoke(OPERATOR, "enough"))
    house.live()

    assert "account" in {f.table for f in house.found()}
    assert stored.again(request).state is State.REVOKED
    assert not [h for h in house.held() if "lk_alice" in h and "shop.orders" in h]


@pytest.mark.parametrize("ends", ["9999-12-31T23:59:59-12:00", "2099-01-01T00:00:00+00:00", None])
def test_an_end_that_no_life_has_is_not_believed(house, ends):
    """Access was held to it, and nobody was told."""
    stored, request = house.stored, house.running[0]
    body = house.body(request)
    assert "ends_at" in body
    with house.owner.write() as tx:
        row = tx.get_one(RequestRow, request.id)
        row.body = body | {"ends_at": ends}
    stored.touch_everything()

    stored.pass_(2 * HOUR)
    house.live()

    assert stored.again(request).state is State.EXPIRED
    assert "request" in {f.table for f in house.found()}
    assert not [h for h in house.held() if "lk_alice" in h and "shop.orders" in h]


@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize(
    "change",
    [
        "update entitlement set permission = 'zz'",
        "update resource set source_id = source_id || '9'",
        "update resource set path = path || '9'",
    ],
    ids=["permission", "number", "path"],
)
def test_words_of_a_system_that_were_changed_keep_no_access(house, change, ends):
    """Under the new word the system knew nothing: “gone, as it confirmed”, and it was not."""
    stored, request = house.stored, house.running[0]
    entitlement = request.grants[0].entitlement
    thing = f"(select resource_id from entitlement where id = {entitlement})"  # noqa: S608
    which = str(entitlement) if "entitlement" in change.split(" set ")[0] else thing
    with house.owner.write() as tx:
        tx.execute(text(f"{change} where id = {which}"))
        touch(tx, change.split()[1])

    if ends == "by a word":
        for each in house.running:
            assert isinstance(stored.do(each, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert all(stored.again(each).state.final for each in house.running)


def renumber(house, old, new):
    """Give a request another id, as a restore that counts anew would."""
    tables = SQLModel.metadata.sorted_tables
    links_to = [
        (table.name, column.name)
        for table in tables
        for column in table.columns
        if any(key.target_fullname == "request.id" for key in column.foreign_keys)
    ]
    others = ", ".join(c.name for c in RequestRow.__table__.columns if c.name != "id")
    with house.owner.write() as tx:
        copy = f"insert into request (id, {others}) select {new}, {others} from request"  # noqa: S608
        tx.execute(text(f"{copy} where id = {old}"))
        for table, column in links_to:
            change = f"update {table} set {column} = {new} where {column} = {old}"  # noqa: S608
            tx.execute(text(change))
        tx.execute(text(f"delete from request where id = {old}"))  # noqa: S608


@pytest.mark.parametrize("ends", ["by itself", "by the sweep", "by a change"])
@pytest.mark.parametrize("number", [0, -3])
def test_a_request_with_a_number_that_counts_nothing_ends(house, number, ends):
    """By its number the clock took it for no request at all: it never ended, and nobody knew."""
    stored, request = house.stored, house.running[0]
    renumber(house, request.id, number)
    if ends != "by itself":
        with house.owner.write() as tx:
            tx.execute(text("update request set wake_at = null"))

    stored.pass_(2 * HOUR)
    if ends == "by the sweep":
        with stored.database.read() as session:
            asleep = clock.asleep(session, stored.companies.current(session), stored.now)
        stored.write(lambda tx, _: clock.rouse(tx, asleep, stored.now))
    if ends == "by a change":
        with stored.database.write() as tx:
            touched.note(tx, Touched(everything=True))
    house.live()

    assert house.held() == []
    assert not house.listed().keys() - {house.waiting.id}


def test_what_latchkey_gave_was_not_there_before(house):
    """A body that said both was believed: “it was there before, and stays”."""
    stored, request = house.stored, house.running[0]
    body = house.body(request)
    body["grants"][0] |= {"standing": True, "begun": True, "ever_begun": True}
    with house.owner.write() as tx:
        tx.get_one(RequestRow, request.id).body = body

    house.look_round()
    assert not house.listed()[request.id].readable
    stored.pass_(2 * HOUR)
    house.live()

    assert stored.again(request).state is State.EXPIRED
    assert house.held() == []


@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize("swept", [True, False], ids=["swept", "not swept"])
def test_a_login_of_another_system_is_never_called_gone(house, ends, swept):
    """The other system knew nobody of that name: “gone, as it confirmed”, and it was not."""
    stored, request = house.stored, house.running[3]
    account = request.grants[0].account
    with house.owner.write() as tx:
        change = update(AccountRow).where(AccountRow.id == account)
        tx.execute(change.values(integration_id=WIKI))

    if swept:
        links.mend(stored.database, stored.now)
    if ends == "by a word":
        assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()

    held = [h for h in house.held() if "lk_bob" in h]
    assert swept or (held and not stored.again(request).state.final)
    links.mend(stored.database, stored.now)
    stored.pass_(HOUR)
    house.live()
    assert house.held() == []
    assert stored.again(request).state.final
    assert "account" in {f.table for f in house.found()}


def test_a_login_that_cannot_be_set_right_is_not_called_gone_and_keeps_no_other(house):
    """The person had another login there by then: setting the first right ended every revoke."""
    stored, request = house.stored, house.running[3]
    account = request.grants[0].account
    with house.owner.write() as tx:
        change = update(AccountRow).where(AccountRow.id == account)
        tx.execute(change.values(integration_id=WIKI))
        tx.add(AccountRow(integration_id=PG, person_id=BOB, login="lk_bob"))

    links.mend(stored.database, stored.now)
    for each in house.running:
        assert isinstance(stored.do(each, Revoke(OPERATOR, "enough")), Decision)
    house.live()

    assert [h for h in house.held() if "lk_bob" not in h] == []
    assert "lk_bob" in str(house.held())
    assert stored.again(request).state is State.REVOKING
    assert "account" in {f.table for f in house.found()}


def test_a_thing_of_another_system_ends_where_its_login_is(house):
    """What is sealed of the login says which of the two rows is right."""
    stored, request = house.stored, house.running[4]
    with house.owner.write() as tx:
        thing = "(select id from resource where path = 'handbook')"
        change = f"update entitlement set resource_id = {thing} where id = "  # noqa: S608
        tx.execute(text(f"{change} {request.grants[0].entitlement}"))
        touch(tx, "entitlement")

    links.mend(stored.database, stored.now)
    stored.pass_(2 * HOUR)
    house.live()

    assert stored.again(request).state is State.EXPIRED
    assert house.held() == []


def of_another_thing(house, body):
    body["grants"][0]["entitlement"] = house.stored.entitlement("read on ledger.entries").id


def of_another_login(house, body):
    body["grants"][0]["account"] = house.running[4].grants[0].account


def of_no_login(_house, body):
    body["grants"][0]["account"] = 999_999


def row_of_another_thing(house, _body):
    thing = house.stored.entitlement("read on ledger.entries").id
    return {"entitlement_id": thing}


def row_of_another_login(house, _body):
    return {"account_id": house.running[4].grants[0].account}


def forget_grants(house, request):
    """Let the audit be that of an older version, which did not say what was to be given where."""
    of = AuditRow.request_id == request.id
    with house.owner.write() as tx:
        row = tx.execute(select(AuditRow).where(of, AuditRow.action == "submitted")).scalar_one()
        row.body = {key: value for key, value in row.body.items() if key != "grants"}


@pytest.mark.parametrize("audit_says", [True, False], ids=["audited", "of an older version"])
@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize(
    "contradict",
    [of_another_thing, of_another_login, of_no_login, row_of_another_thing, row_of_another_login],
)
def test_of_row_and_body_that_differ_the_right_one_ends(house, contradict, ends, audit_says):
    """The body was believed, and the row set from it: “confirmed”, and the login read on."""
    stored, request = house.stored, house.running[3]
    if not audit_says:
        forget_grants(house, request)
    body = house.body(request)
    columns = contradict(house, body)
    with house.owner.write() as tx:
        tx.get_one(RequestRow, request.id).body = body
        if columns:
            grants = update(GrantRow).where(GrantRow.request_id == request.id)
            tx.execute(grants.values(**columns))

    if ends == "by a word":
        links.mend(stored.database, stored.now)
        for each in house.running:
            assert isinstance(stored.do(each, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()

    assert not stored.again(request).state.final or "lk_bob" not in str(house.held())
    links.mend(stored.database, stored.now)
    house.live()
    assert house.held() == []
    assert all(stored.again(each).state.final for each in house.running)
    assert "request" in {f.table for f in house.found()}


@pytest.mark.parametrize("audit_says", [True, False], ids=["audited", "of an older version"])
@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize("swept", ["swept before", "swept after", "swept never"])
def test_a_grant_that_was_put_on_another_request_ends_with_both(house, ends, swept, audit_says):
    """That other request was over, and what it had given stayed."""
    stored = house.stored
    mine, theirs = house.running[0], house.running[3]
    if not audit_says:
        forget_grants(house, theirs)
    with house.owner.write() as tx:
        moved = f"update access_grant set number = 8, request_id = {theirs.id}"  # noqa: S608
        tx.execute(text(f"{moved} where request_id = {mine.id}"))

    if swept == "swept before":
        links.mend(stored.database, stored.now)
    if ends == "by a word":
        house.look_round()
        for each in (r for r in house.listed().values() if r.state is State.ACTIVE):
            assert isinstance(stored.do(each, Revoke(OPERATOR, "enough")), Decision)
    house.live()
    if swept == "swept after":
        links.mend(stored.database, stored.now)
        house.live()
    stored.pass_(2 * HOUR)
    house.live()
    over = [each for each in house.running if stored.again(each).state.final]
    logins = {theirs.id: "lk_bob", mine.id: "pg lk_alice", house.running[4].id: "lk_dora"}
    assert not [h for each in over for h in house.held() if logins.get(each.id, "-") in h]
    links.mend(stored.database, stored.now)
    house.live()

    assert house.held() == []
    assert all(stored.again(each).state.final for each in house.running)
    assert house.found()
    assert house.listed().keys() == {house.waiting.id}


LARGEST = 2**31 - 1
NO_COUNTS = [
    ("account", "acted", 999),
    ("account", "acted", LARGEST),
    ("account", "wanted", LARGEST),
    ("account", "wanted", -5),
    ("account", "attempts", LARGEST),
    ("request", "version", LARGEST),
    ("request", "version", -1),
    ("request", "attempts", LARGEST),
    ("message", "wanted", LARGEST),
    ("message", "shown", LARGEST),
    ("message", "place", 2**63 - 1),
    ("message", "attempts", LARGEST),
]


@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize(("table", "column", "number"), NO_COUNTS)
def test_a_number_that_cannot_be_keeps_no_access_from_its_end(house, table, column, number, ends):
    """An account that had done more than was wanted was never due; what is largest, not counted."""
    stored = house.stored
    with house.owner.write() as tx:
        tx.execute(text(f"update {table} set {column} = {number}"))  # noqa: S608

    numbers.mend(stored.database)
    links.mend(stored.database, stored.now)
    if ends == "by a word":
        for request in house.running:
            assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()
    while stored.send():
        pass

    assert house.held() == []
    assert all(stored.again(r).state.final for r in house.running)
    assert table in {f.table for f in house.found()}


@pytest.mark.parametrize("ends", ["by itself", "by a word"])
@pytest.mark.parametrize(
    "change",
    [
        "delete from access_grant where request_id = 1",
        "update access_grant set open = false where request_id = 1",
        "update access_grant set open = false, begun = false, state = 'ended' where request_id = 1",
    ],
    ids=["deleted", "closed", "ended"],
)
def test_a_grant_that_is_not_there_is_written_anew_and_ends(house, change, ends):
    """The access stayed: its request was never confirmed to be over, and nothing said why."""
    stored, request = house.stored, house.running[0]
    assert request.id == 1
    with house.owner.write() as tx:
        tx.execute(text(change))

    if ends == "by a word":
        assert isinstance(stored.do(request, Revoke(OPERATOR, "enough")), Decision)
    stored.pass_(2 * HOUR)
    house.live()
    links.mend(stored.database, stored.now)
    house.live()

    assert house.held() == []
    assert stored.again(request).state is (State.REVOKED if ends == "by a word" else State.EXPIRED)
    assert "access_grant" in {f.table for f in house.found()}


@pytest.mark.parametrize(
    "successors",
    [
        {"alice": "alice"},
        {"alice": "bob", "bob": "alice"},
        {"alice": "bob", "bob": "dora", "dora": "alice"},
        {"alice": "bob", "bob": "bob"},
    ],
    ids=["their own", "two", "three", "at its end"],
)
def test_people_whose_ids_lead_in_a_circle_keep_nothing_from_its_end(house, successors):
    """A person who was their own successor stopped every command, and the bot, for good."""
    with house.owner.write() as tx:
        for id_, now in successors.items():
            change = text("update person set successor = :now where id = :id")
            tx.execute(change, {"now": now, "id": id_})
        touch(tx, "person")

    house.look_round()
    assert house.listed().keys() >= {r.id for r in (*house.running, house.waiting)}
    house.stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert all(house.stored.again(r).state.final for r in house.running)
    house.take_in()


def test_a_fault_of_a_thing_with_an_endless_number_is_counted_anew(house):
    """The account was never worked on again: Python reads no number of that many digits."""
    endless = json.dumps({"9" * 5000: ["it did not answer", 1]})
    value = ":said" if house.stored.database.sqlite else "cast(:said as jsonb)"
    with house.owner.write() as tx:
        tx.execute(text(f"update account set faults = {value}"), {"said": endless})  # noqa: S608

    house.stored.pass_(2 * HOUR)
    house.live()

    assert house.held() == []
    assert {house.stored.again(r).state for r in house.running} == {State.EXPIRED}
