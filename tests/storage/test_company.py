"""The company in memory: whoever is behind reads what is newer, and is right about the rest."""

import json
import threading
from dataclasses import replace
from datetime import date, time

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlmodel import col

from engine.aql.parser import parse
from engine.channel import Channel, ChannelId
from engine.commands import Tick
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Group, GroupId, PersonId, PersonStatus
from engine.flow import ApprovalRule, ApproverGroup
from engine.on_call import Rotation, Schedule, Shift
from engine.shared import Shared
from engine.targets import Scope
from engine.window import Day, Window
from storage import batch, claims, succession, sync, unit_of_work
from storage.company import BehindError, Companies
from storage.database import UncountedError
from storage.tables import CompanyRow, Fact, GroupRow, PersonRow
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DBAS,
    DORA,
    GROUPS,
    HOUR,
    MIA,
    PEOPLE,
    PG,
    SAM,
    START,
    TABLES,
    WRITING,
    Stored,
    account,
    person,
    reading,
    table,
    writing,
)

OPS = Group(GroupId("file:ops"), "file", "Operations")


@pytest.fixture
def other(stored):
    """Another replica."""
    other = Stored.open(stored.database.url)
    yield other
    other.close()


def whole(stored):
    """Return the company as somebody who knew nothing reads it."""
    with stored.database.read() as session:
        return Companies().current(session)


def assert_up_to_date(stored):
    """Assert that what was brought up step by step is what is read at once."""
    known, read = stored.company(), whole(stored)
    assert known.epoch == read.epoch
    assert known.admins == read.admins
    assert known.paused == read.paused
    assert known.flows == read.flows
    assert {of: known.revisions.get(of) for of in read.revisions} == read.revisions
    mine, theirs = known.directory, read.directory
    assert mine.people == theirs.people
    assert mine.groups == theirs.groups
    assert mine.formerly == theirs.formerly
    assert (mine.schedules, mine.failing) == (theirs.schedules, theirs.failing)
    for group in {g for p in mine.people.values() for g in p.groups}:
        assert set(mine.members(group)) == set(theirs.members(group))
    for one in theirs.people.values():
        same = [{p.id for p in here.by_email(one.email)} for here in (mine, theirs)]
        assert same[0] == same[1]
        assert mine.tied(one.slack or "") == theirs.tied(one.slack or "")
        assert known.policy.usable(one, one, START) == read.policy.usable(one, one, START)


def changed(who, **how):
    return [replace(p, **how) if p.id == who else p for p in PEOPLE]


def tied(tx, now):
    sync.tie(tx, {PersonId("nina"): account("U-nina", "nina@example.com")}, now)


NINA = person("nina", DBAS)
NIGHTS = Window(frozenset(Day), time(22), time(6), "Europe/Berlin")
TURNS = Rotation((ALICE, BOB), date(2026, 11, 2), time(9), 7, "Europe/Berlin")
DUTY = Schedule("DBA", (Shift(NIGHTS, (DAN,)),), TURNS)
CHANGES = {
    "a person": lambda tx, now: sync.people(tx, changed(BOB, name="Robert"), GROUPS, now),
    "a newcomer": lambda tx, now: sync.people(tx, [*PEOPLE, NINA], GROUPS, now),
    "a tie": tied,
    "a tie that is suspended": lambda tx, now: sync.suspend(
        tx, {DAN: (account("U-dan", ""), "why")}, now
    ),
    "who has left": lambda tx, now: sync.people(tx, PEOPLE[:-1], GROUPS, now),
    "a member": lambda tx, now: sync.people(
        tx, changed(BOB, groups=frozenset({DBAS})), GROUPS, now
    ),
    "a group": lambda tx, now: sync.people(tx, PEOPLE, [*GROUPS, OPS], now),
    "a group's name": lambda tx, now: sync.people(
        tx, PEOPLE, [replace(GROUPS[0], name="Builders"), *GROUPS[1:]], now
    ),
    "a group that is gone": lambda tx, now: sync.people(
        tx, changed(PersonId("sam"), groups=frozenset()), GROUPS[:2], now, held=False
    ),
    "a flow": lambda tx, now: sync.flows(
        tx, [(reading(grant_for=2 * HOUR), True), (writing(), True)], now
    ),
    "a flow that is gone": lambda tx, now: sync.flows(tx, [(writing(), True)], now),
    "another flow": lambda tx, now: sync.flows(
        tx, [(reading(), True), (writing(), True), (reading(name="More"), True)], now
    ),
    "an administrator": lambda tx, now: sync.administrators(tx, [ADA, DAN], now),
    "a pause": lambda tx, now: sync.pause(tx, ADA, now, paused=True),
    "who is on call": lambda tx, now: sync.schedules(tx, [DUTY], now),
    "a source that cannot be read": lambda tx, now: sync.failing(tx, {"file"}, now),
    "a resource": lambda tx, now: sync.inventory(tx, PG, [*TABLES, table("a.b")], now),
}


def test_who_is_on_call_is_read_again_as_it_was(stored):
    stored.write(lambda tx, _: sync.schedules(tx, [DUTY], stored.now))
    known = stored.company()
    stored.write(lambda tx, _: sync.schedules(tx, [DUTY], stored.now))

    assert whole(stored).directory.schedules == (DUTY,)
    assert stored.company().epoch == known.epoch, "nothing has changed"


def test_a_source_fails_since_it_first_did(stored):
    began = stored.now
    stored.write(lambda tx, _: sync.failing(tx, {"file"}, stored.now))
    stored.pass_(HOUR)
    stored.write(lambda tx, _: sync.failing(tx, {"file", "on_call"}, stored.now))

    assert stored.company().directory.failing == {"file": began, "on_call": stored.now}
    stored.write(lambda tx, _: sync.failing(tx, (), stored.now))
    assert stored.company().directory.failing == {}


@pytest.mark.parametrize(
    "spoiled",
    ["7", '[{"name": 7}]', '[{"name": "A", "rotation": {"people": [], "days": 0}}]', '"odd"'],
)
def test_where_it_cannot_be_read_who_is_on_call_nobody_is(stored, spoiled):
    stored.write(lambda tx, _: sync.schedules(tx, [DUTY], stored.now))
    spoil(stored, "schedules", spoiled)

    company = whole(stored)

    assert dict(company.directory.at(stored.now).on_call) == {}
    assert "Who is on call cannot be read" in stored.database.unread.take()[0].sentence
    assert company.directory.people, "the others are read all the same"


@pytest.mark.parametrize("spoiled", ["7", '{"file": "soon"}', '{"file": "2026-01-05T09:00:00"}'])
def test_where_it_is_not_known_which_sources_fail_all_do(stored, spoiled):
    """Nobody is outside a group of which it is not known whether it was read."""
    spoil(stored, "failing", spoiled)

    assert whole(stored).directory.failing.keys() == {"file", "on_call"}
    stored.write(lambda tx, _: sync.failing(tx, (), stored.now))
    assert whole(stored).directory.failing == {}


def spoil(stored, column, text_):
    """Write something there, as a hand does."""
    with stored.database.write() as tx:
        epoch = col(CompanyRow.epoch) + 1
        tx.execute(update(CompanyRow).values({column: json.loads(text_), "epoch": epoch}))


@pytest.mark.parametrize("what", CHANGES)
def test_who_was_there_before_a_change_knows_what_a_newcomer_knows(stored, other, what):
    other.submit(flow=WRITING)
    other.company()

    stored.write(lambda tx, _: CHANGES[what](tx, stored.now))

    assert_up_to_date(other)


def test_who_has_no_account_yet_is_no_one_whose_account_cannot_be_read(stored, other):
    """What is stored for none may be JSON's null: newcomers counted as suspended."""
    other.write(lambda tx, _: sync.people(tx, [*PEOPLE, NINA], GROUPS, other.now))

    newcomer = stored.company().directory.people[NINA.id]

    assert (newcomer.account, newcomer.suspended) == (None, None)
    assert stored.database.unread.take() == []


def test_many_changes_one_after_another_come_to_the_same(stored, other):
    other.company()
    for change in (*CHANGES.values(), *reversed(CHANGES.values())):
        stored.write(lambda tx, _, change=change: change(tx, stored.now))
        other.company()

    assert_up_to_date(other)


def test_a_change_shares_what_it_did_not_touch(stored, other):
    before = other.company()

    stored.take_in(changed(BOB, name="Robert"), held=False)

    now = other.company()
    assert now.directory.people[BOB].name == "Robert"
    assert now.directory.people[ALICE] is before.directory.people[ALICE]
    assert now.flows is before.flows


def test_a_group_that_was_deleted_and_made_again_is_there(stored, other):
    other.company()
    stored.take_in(PEOPLE, [*GROUPS, OPS], held=False)
    stored.take_in(PEOPLE, held=False)
    assert OPS.id not in other.company().directory.groups

    stored.take_in(PEOPLE, [*GROUPS, replace(OPS, name="Operations again")], held=False)

    assert other.company().directory.groups[OPS.id].name == "Operations again"
    assert_up_to_date(other)


def test_a_lower_number_is_never_committed_after_a_higher_one(stored, other):
    """By a sequence, who takes its number first may commit last: it was missed for ever."""
    began, may_end = threading.Event(), threading.Event()
    third = Stored.open(stored.database.url)

    def slowly():
        with stored.database.write() as tx:
            tx.alone()
            began.set()
            may_end.wait(30)
            sync.people(tx, changed(BOB, name="First"), GROUPS, stored.now)

    def quickly():
        began.wait(30)
        with other.database.write() as tx:
            sync.people(tx, changed(ALICE, name="Second"), GROUPS, stored.now)

    third.company()
    threads = [threading.Thread(target=act) for act in (slowly, quickly)]
    for thread in threads:
        thread.start()
    began.wait(30)
    third.company()
    may_end.set()
    for thread in threads:
        thread.join()

    assert_up_to_date(third)
    third.close()


def test_what_is_asked_of_an_epoch_is_no_older(stored, other):
    before = stored.company()
    other.write(lambda tx, _: sync.administrators(tx, [ADA, BOB], other.now))
    epoch = other.company().epoch

    with stored.database.read() as session:
        assert stored.companies.at(epoch, session).admins == {ADA, BOB}
        assert stored.companies.at(before.epoch, session).epoch == epoch


def test_what_is_undone_is_not_known(stored, other):
    def undone():
        with stored.database.write() as tx:
            sync.people(tx, changed(BOB, name="Undone"), GROUPS, stored.now)
            assert stored.companies.current(tx).directory.people[BOB].name == "Undone"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    other.take_in(changed(ALICE, name="Done"), held=False)

    assert stored.company().directory.people[BOB].name == "Bob"
    assert_up_to_date(stored)


def passing(*all_):
    for one in all_:
        with one.database.write() as tx:
            claims.beat(tx, one.instance, passed=one.companies.passed)


def tombstones(stored):
    return [row.id for row in stored.rows(GroupRow) if row.gone]


def forget(stored):
    stored.write(lambda tx, _: claims.forget_tombstones(tx))


def test_a_tombstone_stays_until_every_process_has_passed_it(stored, other):
    stored.take_in(PEOPLE, [*GROUPS, OPS], held=False)
    passing(stored, other)
    other.company()
    stored.take_in(PEOPLE, held=False)
    stored.company()
    passing(stored, other)
    forget(stored)
    assert tombstones(stored) == [OPS.id]

    other.company()
    passing(stored, other)
    forget(stored)

    assert tombstones(stored) == []
    assert_up_to_date(other)


def test_who_missed_one_of_two_that_were_deleted_reads_all_anew(stored, other):
    more = Group(GroupId("file:more"), "file", "More")
    stored.take_in(PEOPLE, [*GROUPS, OPS, more], held=False)
    stored.take_in(PEOPLE, [*GROUPS, more], held=False)
    other.company()
    with stored.database.write() as tx:
        tx.execute(text(f"delete from instance where id = {other.instance}"))  # noqa: S608
    stored.take_in(PEOPLE, held=False)
    stored.company()
    passing(stored)

    forget(stored)

    assert tombstones(stored) == []
    assert_up_to_date(other)


def test_a_replica_that_was_stopped_for_an_hour_knows_what_was_deleted(stored, other):
    """It is forgotten, and the tombstones with it: it reads all anew."""
    stored.take_in(PEOPLE, [*GROUPS, OPS], held=False)
    assert OPS.id in other.company().directory.groups
    with stored.database.write() as tx:
        tx.execute(text(f"delete from instance where id = {other.instance}"))  # noqa: S608
    stored.take_in(changed(BOB, name="Robert"), held=False)
    stored.company()
    passing(stored)
    forget(stored)
    assert tombstones(stored) == []

    assert OPS.id not in other.company().directory.groups
    assert_up_to_date(other)


def test_a_tombstone_that_goes_while_somebody_reads_hides_nothing(stored, other):
    """Who had been stopped for an hour read the number before it, and the groups after it."""
    stored.take_in(PEOPLE, [*GROUPS, OPS], held=False)
    assert OPS.id in other.company().directory.groups
    with stored.database.write() as tx:
        tx.execute(text(f"delete from instance where id = {other.instance}"))  # noqa: S608
    stored.take_in(PEOPLE, held=False)
    stored.company()
    passing(stored)
    gone = []

    def forget_now(statement, _values):
        if not gone and "people_group" in statement:
            gone.append(True)
            forget(stored)

    other.database.statements.heard.append(forget_now)
    known = other.company()
    other.database.statements.heard.remove(forget_now)

    assert gone
    assert OPS.id not in known.directory.groups
    assert_up_to_date(other)


def test_who_is_far_behind_reads_before_the_transaction(stored, other):
    other.company()
    stored.take_in(changed(BOB, name="Robert"), held=False)

    with pytest.raises(BehindError), other.database.write() as tx:
        other.companies.current(tx, at_most=0)

    with other.database.write() as tx:
        known = other.companies.current(tx, at_most=1)
    assert known.directory.people[BOB].name == "Robert"


def grants_for(stored, time):
    flows = [(reading(), True), (writing(grant_for=time), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))


def test_who_has_a_third_id_is_known_by_it(stored):
    """However it is learned: both steps at once, or the second after the first."""
    stored.company()
    for old, new in ((ALICE, BOB), (BOB, DAN)):
        this = update(PersonRow).where(col(PersonRow.id) == old)
        stored.write(lambda tx, _, this=this, new=new: tx.execute(this.values(successor=new)))
        stored.company()

    known = {ALICE: DAN, BOB: DAN}
    assert stored.company().directory.formerly == whole(stored).directory.formerly == known


def carried(stored, ids):
    """Give people other ids, as their source lists them and an operator says."""
    people = [
        replace(p, id=ids.get(p.id, p.id), manager=ids.get(p.manager, p.manager))
        for p in stored.company().directory.people.values()
    ]
    stored.write(
        lambda tx, _: succession.carry(tx, succession.find(tx, people), stored.keys, stored.now)
    )


E_BOB, F_BOB = PersonId("e-bob"), PersonId("f-bob")
BY_BOB = "By Bob"


@pytest.fixture
def boss(stored):
    """Bob, who has a report, and whom a flow names."""
    bob = ConditionGroup((Condition("user", Comparator.IS, (BOB,)),))
    by_bob = writing(name=BY_BOB, approval=ApprovalRule((ApproverGroup("Bob", bob),)))
    stored.take_in(changed(SAM, manager=BOB))
    flows = [(reading(), True), (writing(), True), (by_bob, True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))
    return BOB


@pytest.fixture
def blinkered(monkeypatch):
    """Return what keeps everybody from going through all people, or all ids that they had."""

    def look_through(_):
        raise AssertionError("everybody is looked at")

    def blinker():
        for way in ("__iter__", "values"):
            monkeypatch.setattr(Shared, way, look_through)

    return blinker


def names_of(company, ids):
    return {company.flows[id_].name for id_ in ids}


def test_who_is_carried_over_costs_others_what_it_changes(stored, other, boss, blinkered):
    """The next click looked at everybody, and wrote each flow anew."""
    before = other.company()
    carried(stored, {boss: E_BOB})
    blinkered()

    with other.database.write() as tx:  # the row of the old id and that of the new are read
        now = other.companies.current(tx, at_most=2)

    people = now.directory.people
    assert people[SAM].manager == E_BOB
    assert now.directory.reports(E_BOB) == (SAM,)
    assert all(people[id_] is before.directory.people[id_] for id_ in (ADA, ALICE, DAN, DORA, MIA))
    new = [id_ for id_, flow in now.flows.items() if flow is not before.flows[id_]]
    assert names_of(now, new) == {BY_BOB}
    assert [of for of, r in now.revisions.items() if r is not before.revisions[of]] == [
        (id_, 1) for id_ in new
    ]


def test_where_many_have_other_ids_another_change_costs_no_more(stored, other, boss, blinkered):
    """All ids that anybody ever had were gone through at each change of a person."""
    carried(stored, {boss: E_BOB})
    other.company()
    stored.take_in([person("nina", DBAS), *stored.company().directory.people.values()])
    blinkered()

    with other.database.write() as tx:  # her row, and that of who is listed by a manager's new id
        now = other.companies.current(tx, at_most=2)

    assert now.directory.people[PersonId("nina")].name == "Nina"
    assert now.directory.get(boss).id == E_BOB


STEPS = {
    "on to a third id": [{BOB: E_BOB}, {E_BOB: F_BOB}],
    "and back": [{BOB: E_BOB}, {E_BOB: BOB}],
    "on, and back to the first": [{BOB: E_BOB}, {E_BOB: F_BOB}, {F_BOB: BOB}],
    "on, and back to the second": [{BOB: E_BOB}, {E_BOB: F_BOB}, {F_BOB: E_BOB}],
}


@pytest.mark.parametrize("at_once", [False, True], ids=["step by step", "at once"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_however_somebodys_id_has_changed_all_know_the_same(stored, other, boss, steps, at_once):
    other.company()
    for ids in steps:
        carried(stored, ids)
        if not at_once:
            other.company()

    assert_up_to_date(other)
    (newest,) = steps[-1].values()
    assert other.company().directory.people[SAM].manager == newest
    assert other.company().directory.get(boss).id == newest


def test_an_id_that_is_somebody_elses_again_is_told_apart(stored, other, boss):
    """Both were one; now the source lists the former id as somebody of their own."""
    carried(stored, {boss: E_BOB})
    other.company()
    with stored.database.write() as tx:
        tx.execute(update(PersonRow).where(col(PersonRow.id) == boss).values(successor=None))

    assert boss in other.company().directory.people
    assert_up_to_date(other)


def test_an_old_revision_is_kept_while_a_live_request_refers_to_it(stored, other):
    request = other.submit(flow=WRITING)
    of = request.flow, request.revision
    grants_for(stored, HOUR)
    assert of in other.company().revisions
    assert of in whole(other).revisions

    other.reject(request)
    grants_for(stored, 2 * HOUR)

    assert of not in other.company().revisions
    assert of not in whole(other).revisions


FACTS = sorted(Fact.__subclasses__(), key=lambda fact: fact.__tablename__)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__tablename__)
def test_no_fact_is_written_without_the_number_of_its_change(stored, fact):
    """Whatever way it is written: through the ORM, by a statement, by a batch."""
    scope = Scope("Orders", parse('resource_path = "shop.orders"'))
    stored.write(lambda tx, _: sync.objects(tx, [scope], stored.now))
    stored.write(lambda tx, _: sync.channel(tx, Channel(ChannelId("C1")), {}, stored.now))
    stored.lend()
    keys = [column.name for column in fact.__table__.primary_key.columns]
    other = next(c.name for c in fact.__table__.columns if c.name not in {*keys, "epoch"})
    one = stored.rows(fact)[0]
    of, value = {key: getattr(one, key) for key in keys}, {other: getattr(one, other)}
    where = {key: f"of_{key}" for key in keys}
    row = {where[key]: of[key] for key in keys} | value
    these = [getattr(fact, key) == of[key] for key in keys]
    this = select(fact).where(*these)
    ways = [
        lambda tx: setattr(tx.execute(this).scalars().first(), "epoch", 0),
        lambda tx: tx.execute(update(fact).where(*these).values(value)),
        lambda tx: batch.change(tx, fact, [row], where=where, to=(other,)),
    ]

    for write in ways:
        before = stored.company().epoch
        with stored.database.write() as tx:
            write(tx)
        assert stored.company().epoch == before + 1
        epochs = [r.epoch for r in stored.rows(fact) if {k: getattr(r, k) for k in keys} == of]
        assert epochs == [before + 1]
    for statement in (insert(fact), delete(fact), update(fact)):
        with pytest.raises(UncountedError), stored.database.write() as tx:
            tx.do(statement, {})
    for statement in (insert(fact), delete(fact)):
        with pytest.raises(UncountedError), stored.database.write() as tx:
            tx.execute(statement)


def test_nothing_that_people_and_loops_do_is_a_change_of_facts(stored):
    """A number that moved with each click had everybody read anew."""
    before = stored.company().epoch

    request = stored.submit(flow=WRITING)
    stored.approve(request)
    stored.converge()
    stored.send()
    stored.tick()

    assert stored.company().epoch == before


def test_clicks_and_changes_do_not_starve_each_other(stored):
    """On PostgreSQL a lock that is shared is had at any moment; alone, it was had never."""
    # On SQLite one process writes, and has its own queue.
    replicas = 0 if stored.database.sqlite else 3
    opened = [Stored.open(stored.database.url) for _ in range(replicas)]
    clicking = opened or [stored] * 3
    over, clicks = threading.Event(), []

    def click(one):
        while not over.is_set():
            one.write(lambda tx, c: unit_of_work.UnitOfWork(tx, c, (), one.now).store())
            clicks.append(one)

    threads = [threading.Thread(target=click, args=(one,)) for one in clicking]
    for thread in threads:
        thread.start()
    beside = []
    for _ in range(1000):
        with stored.database.write() as tx:
            tx.execute(update(PersonRow).where(col(PersonRow.id) == BOB).values(status=ACTIVE))
        beside.append(len(clicks))
    over.set()
    for thread in threads:
        thread.join()

    assert stored.company().epoch >= 1000
    assert {id(one) for one in clicks} == {id(one) for one in clicking}
    assert beside[-1] > beside[0]
    for one in opened:
        one.close()


@pytest.mark.parametrize("kind", ["postgresql"])  # SQLite locks no rows
def test_who_waits_to_be_alone_keeps_nobody_who_decides(stored):
    """A hand held the company's row, a sync waited for it, and every end waited for the sync."""
    held, over = threading.Event(), threading.Event()

    def hold():
        with stored.database.write() as tx:
            stored.companies.current(tx)
            held.set()
            over.wait(60)

    def change():
        held.wait(30)
        with stored.database.write() as tx:
            tx.wait_for_others()
            sync.people(tx, changed(BOB, name="Robert"), GROUPS, stored.now)

    threads = [threading.Thread(target=act) for act in (hold, change)]
    for thread in threads:
        thread.start()
    held.wait(30)
    request = stored.submit()
    for _ in range(5):
        stored.do(request, Tick())
    assert stored.company().directory.people[BOB].name == "Bob"
    over.set()
    for thread in threads:
        thread.join()

    assert stored.company().directory.people[BOB].name == "Robert"


ACTIVE = PersonStatus.ACTIVE.value
