"""A change of facts wakes the requests that it touches, and no others; a sync writes a little."""

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from bot.loops import clock
from bot.runtime.services import Services
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Group, GroupId, PersonId, PersonStatus
from engine.flow import ApprovalRule, ApproverGroup
from engine.request import State
from storage import clock as storage_clock
from storage import sync, touched
from storage.tables import (
    AccountRow,
    AuditRow,
    ChangeRow,
    EntitlementRow,
    FlowRow,
    GroupRow,
    IntegrationRow,
    MessageRow,
    PersonRow,
    RequestRow,
    ResourceRow,
)
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DBAS,
    DORA,
    ENGINEERS,
    GROUPS,
    HOUR,
    MIA,
    MINUTE,
    PEOPLE,
    PG,
    SAM,
    SRES,
    TABLES,
    WIKI,
    WRITING,
    Now,
    account,
    is_in,
    person,
    reading,
    table,
    writing,
)

OPS = GroupId("file:ops")
WITH_OPS = [*GROUPS, Group(OPS, "file", "Operations")]
OTHER, INACTIVE = "Other", PersonStatus.INACTIVE
NED = PersonId("ned")


def people(stored, changed=PEOPLE, groups=WITH_OPS):
    stored.take_in(changed, groups, held=False)


def other(**changes):
    """Return a flow that somebody of Operations approves, and nobody of the database people."""
    by = ApprovalRule((ApproverGroup("Operations", is_in(OPS)),))
    return writing(name=OTHER, approval=by, escalation=None, **changes)


def flows(stored, *listed):
    stored.write(lambda tx, _: sync.flows(tx, listed, stored.now))


ALL = ((reading(), True), (writing(), True), (other(), True))


@pytest.fixture
def waiting(stored):
    """Requests that wait: Alice's and Bob's that a DBA decides, Bob's that Operations does."""
    people(stored, [*PEOPLE, person("olga", OPS), person("otto", OPS)])
    stored.write(
        lambda tx, _: sync.tie(
            tx, {p.id: account(f"U-{p.id}", p.email) for p in OF_OPS}, stored.now
        )
    )
    flows(stored, *ALL)
    made = {
        "alice": stored.submit("write on shop.orders", flow=WRITING),
        "bob": stored.submit("write on shop.orders", by=BOB, flow=WRITING),
        "ops": stored.submit("write on shop.customers", by=BOB, flow=OTHER),
    }
    stored.tick()
    stored.wake_touched()
    return {request.id: name for name, request in made.items()}


OF_OPS = [person("olga", OPS), person("otto", OPS)]
HERE = [*PEOPLE, *OF_OPS]


def with_(who, **how):
    return [replace(p, **how) if p.id == who else p for p in HERE]


CHANGES = {
    "a grantee": (lambda s: people(s, with_(ALICE, name="Alice B.")), {"alice"}),
    "who is asked": (
        lambda s: people(s, with_(DAN, status=PersonStatus.INACTIVE)),
        {"alice", "bob"},
    ),
    "who may be asked now": (
        lambda s: people(s, with_(SAM, groups=frozenset({SRES, OPS}))),
        {"ops"},
    ),
    "who may be asked no more": (lambda s: people(s, with_("olga", groups=frozenset())), {"ops"}),
    "somebody whom none of it concerns": (lambda s: people(s, with_(MIA, name="Mia M.")), set()),
    "a group that is called otherwise": (
        lambda s: people(s, HERE, [*GROUPS, Group(OPS, "file", "Running")]),
        set(),
    ),
    "a tie": (
        lambda s: s.write(
            lambda tx, _: sync.suspend(tx, {DAN: (account("U-dan", ""), "why")}, s.now)
        ),
        {"alice", "bob"},
    ),
    "a flow": (
        lambda s: flows(s, *ALL[:2], (other(grant_for=HOUR), True)),
        {"ops"},
    ),
    "a flow that is gone": (lambda s: flows(s, *ALL[:2]), {"ops"}),
    "another flow": (lambda s: flows(s, *ALL, (reading(name="More"), True)), set()),
    "a resource that is gone": (
        lambda s: s.write(
            lambda tx, _: sync.inventory(
                tx, PG, [t for t in TABLES if t.path != "shop.customers"], s.now
            )
        ),
        {"ops"},
    ),
    "a resource that is new": (
        lambda s: s.write(lambda tx, _: sync.inventory(tx, PG, [*TABLES, table("a.b")], s.now)),
        set(),
    ),
    "administrators": (
        lambda s: s.write(lambda tx, _: sync.administrators(tx, [ADA, DAN], s.now)),
        {"alice", "bob", "ops"},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_wakes_whom_it_touches_and_nobody_else(stored, waiting, what):
    change, expected = CHANGES[what]
    stored.pass_(HOUR / 60)
    change(stored)

    assert {waiting[id_] for id_ in stored.wake_touched()} == expected


OUTSIDERS = ConditionGroup(
    (
        *is_in(SRES).conditions,
        Condition("group", Comparator.IS_NOT, (OPS,)),
    )
)
UNKNOWN = {
    "a source that cannot be read": lambda s: s.write(
        lambda tx, _: sync.failing(tx, {"file"}, s.now)
    ),
    "a group that is there no more": lambda s: people(
        s, [replace(p, groups=p.groups - {OPS}) for p in PEOPLE], GROUPS
    ),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_who_was_asked_for_not_being_in_a_group_is_asked_while_that_is_known(stored, what):
    """F30: a group that could not be read counted as empty."""
    people(stored, PEOPLE)
    by = ApprovalRule((ApproverGroup("SREs but Operations", OUTSIDERS),))
    flows(stored, (writing(approval=by, escalation=None), True))
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.tick()
    assert asked(stored, request) == {SAM}
    stored.wake_touched()

    UNKNOWN[what](stored)
    assert stored.wake_touched() == [request.id]
    stored.tick()

    assert {a.person for a in stored.again(request).asks if a.open} == {ADA}


def test_many_are_woken_some_at_a_time(stored, waiting, monkeypatch):
    """Each change woke every live request at once, in one transaction."""
    monkeypatch.setattr(touched, "WOKEN", 2)
    found, woken = [], []
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(everything=True))
    while change := touched.first(stored.database, stored.now):
        with stored.database.read() as session:
            ids = touched.requests(session, stored.company(), change)
        found.append(len(ids))
        woken += ids
        stored.write(lambda tx, _, c=change, i=ids: touched.wake(tx, c, i, stored.now))

    assert found == [2, 1, 0]
    assert woken == sorted(waiting)


def test_who_asks_after_a_change_is_not_woken_by_it(stored, waiting):
    people(stored, with_(DAN, status=INACTIVE))

    later = stored.submit("read on shop.orders", flow=WRITING)

    assert set(stored.wake_touched()) == {i for i, n in waiting.items() if n != "ops"}
    assert DAN not in stored.again(later).asked


@pytest.mark.parametrize(
    ("who", "what"),
    [
        (ALICE, {"asked for"}),
        (BOB, {"asked for", "asked"}),
        (DAN, {"asked", "decided"}),
        (DORA, {"asked", "decided"}),
        (SAM, set()),
    ],
)
def test_a_person_touches_what_they_made_receive_are_asked_about_or_have_decided(stored, who, what):
    reports = [replace(p, manager=ALICE) if p.id == BOB else p for p in PEOPLE]
    people(stored, [*reports, person(NED, ENGINEERS)], GROUPS)
    flows(stored, (reading(), True), (writing(), True))
    made = {
        stored.submit(by=ALICE, to=BOB).id: "asked for",
        stored.submit("write on shop.orders", by=BOB, flow=WRITING).id: "asked",
    }
    decided = stored.submit("write on ledger.entries", by=NED, flow=WRITING)
    stored.approve(decided, DORA)
    made[decided.id] = "decided"
    stored.tick()
    stored.wake_touched()

    stored.write(lambda tx, _: touched.note(tx, touched.Touched(people={who})))

    assert {made[id_] for id_ in stored.wake_touched()} == what


PARTS = {
    "a flow": (lambda s: {"flows": {s.flow(OTHER).id}}, {"ops"}),
    "a resource": (
        lambda s: {"resources": {s.entitlement("read on shop.customers").resource.id}},
        {"ops"},
    ),
    "a system": (lambda _: {"systems": {PG}}, {"alice", "bob", "ops"}),
    "another system": (lambda _: {"systems": {WIKI}}, set()),
    "admins": (lambda _: {"admins": True}, {"alice", "bob", "ops"}),
    "everything": (lambda _: {"everything": True}, {"alice", "bob", "ops"}),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_a_change_touches_what_it_names(stored, waiting, part):
    what, woken = PARTS[part]
    running = stored.submit("edit on handbook") if part == "admins" else None
    stored.converge()

    stored.write(lambda tx, _: touched.note(tx, touched.Touched(**what(stored))))

    ids = stored.wake_touched()
    assert {waiting[id_] for id_ in ids if id_ in waiting} == woken
    assert running is None or running.id not in ids  # an admin decides nothing of it any more


def test_a_manager_who_could_not_be_asked_touches_what_is_theirs_to_decide(stored):
    people(stored, [*PEOPLE, person(NED, ENGINEERS, manager="ada")])
    managers = ApproverGroup("Manager", ConditionGroup((Condition("manager", Comparator.IS, ()),)))
    flows(stored, (reading(), True), (writing(approval=ApprovalRule((managers,))), True))
    stored.write(lambda tx, _: sync.suspend(tx, {MIA: (account("U-mia", ""), "why")}, stored.now))
    hers = stored.submit("write on shop.orders", flow=WRITING)
    stored.submit("write on shop.orders", by=NED, flow=WRITING)
    stored.tick()
    stored.wake_touched()

    stored.write(lambda tx, _: touched.note(tx, touched.Touched(people={MIA})))

    assert stored.wake_touched() == [hers.id]


def test_a_change_that_cannot_be_read_may_be_anything(stored, waiting):
    stored.write(lambda tx, _: touched.note(tx, touched.Touched(admins=True)))
    with stored.database.write() as tx:
        tx.execute(update(ChangeRow).values(what={"people": 7}))

    assert set(stored.wake_touched()) == set(waiting)


@pytest.mark.parametrize("kind", ["postgresql"])  # SQLite locks no rows
def test_what_somebody_holds_locked_is_woken_later_and_keeps_nobody(stored, waiting):
    (locked, *others) = sorted(waiting)
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(everything=True))
    held, over = threading.Event(), threading.Event()

    def hold():
        with stored.database.write() as tx:
            tx.execute(text(f"select 1 from request where id = {locked} for update"))  # noqa: S608
            held.set()
            over.wait(30)

    def turn():
        change = touched.first(stored.database, stored.now)
        with stored.database.read() as session:
            ids = touched.requests(session, stored.company(), change)
        return stored.write(lambda tx, _: touched.wake(tx, change, ids, stored.now))

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    assert turn() == len(others)
    over.set()
    holder.join()

    assert turn() == 1
    assert touched.first(stored.database, stored.now) is None


def tied(stored, who) -> None:
    stored.write(
        lambda tx, _: sync.tie(tx, {who: account(f"U-{who}", f"{who}@example.com")}, stored.now)
    )


def asked(stored, request) -> set[str]:
    return {a.person for a in stored.again(request).asks}


def test_an_admin_who_can_be_asked_again_is_asked(stored):
    """Nobody could decide; when the only admin could again, the request slept until it lapsed."""
    sres = ApprovalRule((ApproverGroup("SREs", is_in(SRES)),))
    flows(stored, (writing(approval=sres, escalation=None), True))
    people(stored, [replace(p, groups=frozenset()) if p.id == SAM else p for p in PEOPLE], GROUPS)
    away = account("U-ada", "ada@example.com")
    stored.write(
        lambda tx, _: sync.suspend(tx, {ADA: (away, "it has another address")}, stored.now)
    )
    stored.wake_touched()
    request = stored.submit("write on shop.orders", flow=WRITING)
    assert asked(stored, request) == set()

    stored.write(lambda tx, _: sync.confirm(tx, ADA, ADA, stored.now))
    tied(stored, ADA)
    stored.wake_touched()
    stored.tick()

    assert asked(stored, request) == {ADA}


def test_an_admin_who_is_only_called_otherwise_wakes_nobody_elses_request(stored):
    request = stored.submit("write on shop.orders", flow=WRITING)
    assert ADA not in asked(stored, request)

    people(stored, [replace(p, name="Ada L.") if p.id == ADA else p for p in PEOPLE])

    assert request.id not in stored.wake_touched()


def test_a_newcomer_without_groups_is_asked_where_somebody_of_a_group_is_not(stored):
    """What somebody has was looked at, and who had none was not found."""
    others = ConditionGroup((Condition("group", Comparator.IS_NOT, (ENGINEERS,)),))
    approval = ApprovalRule((ApproverGroup("Others", others),))
    flows(stored, (writing(approval=approval, escalation=None), True))
    request = stored.submit("write on shop.orders", flow=WRITING)
    assert NED not in asked(stored, request)

    people(stored, [*PEOPLE, person(NED)], GROUPS)
    tied(stored, NED)
    stored.wake_touched()
    stored.tick()

    assert NED in asked(stored, request)


def test_who_can_be_asked_since_a_tie_wakes_what_waits_for_their_group(stored, waiting):
    people(stored, [*HERE, person(NED, OPS)])
    stored.wake_touched()

    tied(stored, NED)

    assert {waiting[id_] for id_ in stored.wake_touched()} == {"ops"}


def stored_at_once(stored, table):
    """Return how many rows of a table the transactions changed, the most first."""
    query = select(func.count()).select_from(table).where(table.epoch > 0).group_by(table.epoch)
    with stored.database.read() as session:
        return sorted(session.execute(query).scalars(), reverse=True)


def run(stored, compare):
    with stored.database.read() as session:
        steps = compare(session)
    for step in steps:
        stored.write(lambda tx, _, step=step: step(tx))


def test_no_transaction_of_a_sync_changes_many_rows(stored):
    """All resources of a system were stored in one, for seconds, in which every click failed."""
    crowd = [*PEOPLE, *(person(f"p{n}", DBAS) for n in range(3 * sync.AT_ONCE))]
    listed = [reading(name=f"Flow {n}") for n in range(3 * sync.FLOWS_AT_ONCE)]
    tables = [table(f"many.t{n}") for n in range(3 * sync.ROWS_AT_ONCE)]
    many = [Group(GroupId(f"file:{n}"), "file", "More") for n in range(3 * sync.GROUPS_AT_ONCE)]
    systems = [(f"s{n}", "More", "memory", {}) for n in range(3 * sync.SYSTEMS_AT_ONCE)]
    before = stored.company().epoch

    run(stored, lambda s: sync.compare(s, crowd, GROUPS).steps(stored.now))
    run(stored, lambda s: sync.flow_steps(s, [(r, True) for r in listed], stored.now))
    run(stored, lambda s: sync.compare_inventory(s, PG, tables).steps(stored.now))
    both = [*GROUPS, *many]
    run(stored, lambda s: sync.compare(s, crowd, both).steps(stored.now))
    run(stored, lambda s: sync.integration_steps(s, systems, stored.now))

    assert stored.company().epoch > before
    assert stored_at_once(stored, GroupRow)[0] <= sync.GROUPS_AT_ONCE
    assert stored_at_once(stored, IntegrationRow)[0] <= sync.SYSTEMS_AT_ONCE
    assert stored_at_once(stored, PersonRow)[0] <= sync.AT_ONCE
    assert stored_at_once(stored, FlowRow)[0] <= sync.FLOWS_AT_ONCE
    resources = stored_at_once(stored, ResourceRow)[0]
    assert resources + stored_at_once(stored, EntitlementRow)[0] <= sync.ROWS_AT_ONCE
    run(stored, lambda s: sync.compare_inventory(s, PG, []).steps(stored.now))
    assert stored_at_once(stored, ResourceRow)[0] <= sync.ROWS_AT_ONCE
    run(stored, lambda s: sync.compare(s, crowd, GROUPS).steps(stored.now))
    run(stored, lambda s: sync.integration_steps(s, [], stored.now))
    assert stored_at_once(stored, GroupRow)[0] <= sync.GROUPS_AT_ONCE
    assert stored_at_once(stored, IntegrationRow)[0] <= sync.SYSTEMS_AT_ONCE


def test_addresses_of_many_who_have_left_are_given_up_some_at_a_time(stored):
    """All who had ever left were read in one transaction, whenever somebody's address changed."""
    before = [person(f"old{n}", DBAS) for n in range(3 * sync.AT_ONCE)]
    after = [person(f"new{n}", DBAS) for n in range(3 * sync.AT_ONCE)]
    people(stored, [*PEOPLE, *before, *after], GROUPS)
    people(stored, [*PEOPLE, *after], GROUPS)
    moved = [replace(new, email=old.email) for new, old in zip(after, before, strict=True)]

    run(stored, lambda s: sync.compare(s, [*PEOPLE, *moved], GROUPS, held=False).steps(stored.now))

    rows = {row.id: row for row in stored.rows(PersonRow)}
    assert {rows[p.id].email for p in before} == {""}
    assert {rows[p.id].email for p in moved} == {p.email for p in moved}
    assert stored_at_once(stored, PersonRow)[0] <= 2 * sync.AT_ONCE


def test_what_waited_during_a_pause_is_begun_some_at_a_time(stored, monkeypatch):
    """The end of a pause looked at every account on which something waited, in one transaction."""
    monkeypatch.setattr(touched, "WOKEN", 2)
    pausing(stored, paused=True)
    requests = [stored.submit(by=who) for who in (ALICE, BOB, DORA)]
    stored.converge()
    assert {stored.again(r).state for r in requests} == {State.GRANTING}
    wanted = {row.id: row.wanted for row in stored.rows(AccountRow)}

    pausing(stored, paused=False)
    assert {row.id: row.wanted for row in stored.rows(AccountRow)} == wanted
    chunks = turns(stored)
    stored.converge()

    assert chunks == [2, 1, 0]
    assert {stored.again(r).state for r in requests} == {State.ACTIVE}


def test_accounts_in_a_system_with_another_server_are_looked_at_some_at_a_time(stored, monkeypatch):
    """What the same requests had in other systems was looked at, too."""
    monkeypatch.setattr(touched, "WOKEN", 2)
    for who in (BOB, DORA):
        stored.submit(by=who)
    stored.approve(stored.submit("read on shop.orders", "edit on handbook", flow=WRITING))
    stored.converge()
    assert stored.due() == []
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(held_in={PG}))

    assert turns(stored) == [2, 1, 0]

    due = {row.id for row in stored.rows(AccountRow) if row.acted < row.wanted}
    assert due == {row.id for row in stored.rows(AccountRow) if row.integration_id == PG}


@pytest.mark.parametrize("kind", ["postgresql"])  # SQLite locks no rows
def test_an_account_that_somebody_holds_locked_keeps_no_other(stored):
    """After a pause nothing began for anybody, as long as one row of theirs was locked."""
    pausing(stored, paused=True)
    requests = [stored.submit(by=who) for who in (ALICE, BOB, DORA)]
    stored.converge()
    pausing(stored, paused=False)
    (locked, *others) = requests
    held, over = threading.Event(), threading.Event()

    def hold():
        with stored.database.write() as tx:
            id_ = locked.grants[0].account
            tx.execute(text(f"select 1 from account where id = {id_} for update"))  # noqa: S608
            held.set()
            over.wait(30)

    def turn():
        change = touched.first(stored.database, stored.now)
        with stored.database.read() as session:
            ids = touched.requests(session, stored.company(), change)
        return stored.write(lambda tx, _: touched.wake(tx, change, ids, stored.now))

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    assert [turn(), turn()] == [len(others), 0]
    over.set()
    holder.join()

    assert turn() == 1
    assert touched.first(stored.database, stored.now) is None
    stored.converge()
    assert {stored.again(r).state for r in requests} == {State.ACTIVE}


def pausing(stored, *, paused):
    stored.write(lambda tx, _: sync.pause(tx, ADA, stored.now, paused=paused))


def turns(stored):
    """Do all that changes touch, and return of how many requests each transaction was."""
    found = []
    while change := touched.first(stored.database, stored.now):
        with stored.database.read() as session:
            ids = touched.requests(session, stored.company(), change)
        found.append(len(ids))
        stored.write(lambda tx, _, c=change, i=ids: touched.wake(tx, c, i, stored.now))
    return found


def held(stored) -> int:
    return sum(row.held for row in stored.rows(ChangeRow))


@pytest.fixture
def large(stored, monkeypatch) -> list[sync.SyncStep]:
    """An intake of many parts; of what they touch two at a time are let go."""
    monkeypatch.setattr(touched, "RELEASED", 2)
    stored.submit(flow=WRITING)
    crowd = [person(f"p{n}", DBAS) for n in range(6 * sync.AT_ONCE)]
    with stored.database.read() as session:
        return sync.compare(session, [*PEOPLE, *crowd], GROUPS).steps(stored.now)


def test_what_a_large_intake_touches_is_let_go_some_at_a_time(stored, large):
    """All of it was, by its last step: a row for each fifty people of the company."""
    kept = [0]
    for step in large:
        stored.write(lambda tx, _, step=step: step(tx))
        kept.append(held(stored))

    assert max(kept) > 2 * touched.RELEASED
    assert max(before - after for before, after in itertools.pairwise(kept)) <= touched.RELEASED
    assert kept[-1] == 0
    assert [row.action for row in stored.rows(AuditRow)].count("people_synced") == 2


@pytest.mark.parametrize("missing", range(1, 4))
def test_what_was_being_let_go_when_the_process_died_is_let_go_by_the_next(stored, large, missing):
    for step in large[:-missing]:
        stored.write(lambda tx, _, step=step: step(tx))
    with stored.database.read() as session:
        assert sync.broken_off(session)

    there = stored.company().directory.people.values()
    run(stored, lambda s: sync.compare(s, [*there], GROUPS).steps(stored.now))

    assert held(stored) == 0
    with stored.database.read() as session:
        assert not sync.broken_off(session)


def test_who_waits_for_a_large_intake_that_was_broken_off_is_woken(stored, large):
    for step in large[:-1]:
        stored.write(lambda tx, _, step=step: step(tx))

    while stored.write(lambda tx, _: sync.wake(tx)):
        pass

    assert held(stored) == 0


@pytest.mark.parametrize("kind", ["postgresql"])  # SQLite locks no rows
def test_of_many_that_somebody_holds_locked_each_gets_its_turn(stored, waiting, monkeypatch):
    """All of them were tried again in each transaction, however many had come together."""
    monkeypatch.setattr(touched, "WOKEN", 1)
    first, second, _ = sorted(waiting)
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(everything=True))
    taken, over = threading.Event(), threading.Event()

    def hold():
        with stored.database.write() as tx:
            tx.execute(text(f"select 1 from request where id in ({first}, {second}) for update"))  # noqa: S608
            taken.set()
            over.wait(30)

    def turn() -> int:
        change = touched.first(stored.database, stored.now)
        with stored.database.read() as session:
            ids = touched.requests(session, stored.company(), change)
        return stored.write(lambda tx, _: touched.wake(tx, change, ids, stored.now))

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(30)
    assert [turn() for _ in range(5)] == [0, 0, 1, 0, 0]
    over.set()
    holder.join()

    assert [turn(), turn()] == [1, 1]
    assert touched.first(stored.database, stored.now) is None


def test_a_sync_in_which_nothing_has_changed_writes_nothing(stored):
    """It held one transaction for as long as it compared."""
    with stored.database.read() as session:
        assert sync.compare(session, PEOPLE, GROUPS).steps(stored.now) == []
        assert sync.flow_steps(session, [(reading(), True), (writing(), True)], stored.now) == []
        assert sync.compare_inventory(session, PG, TABLES).steps(stored.now) == []


def test_a_system_whose_settings_are_stored_is_not_stored_again(stored):
    """JSON knows no tuple: the intake would find a difference, and come to no end."""
    listed = [("more", "More", "memory", {"roles": ("a", "b"), "port": 1})]
    run(stored, lambda s: sync.integration_steps(s, listed, stored.now))

    with stored.database.read() as session:
        steps = sync.integration_steps(session, listed, stored.now)
    assert steps == []


def test_what_the_sync_before_left_half_done_is_taken_in_by_the_next(stored):
    tables = [table(f"many.t{n}") for n in range(sync.ROWS_AT_ONCE)]
    with stored.database.read() as session:
        first, *_ = sync.compare_inventory(session, PG, tables).steps(stored.now)
    stored.write(lambda tx, _: first(tx))

    run(stored, lambda s: sync.compare_inventory(s, PG, tables).steps(stored.now))

    there = {r.path for r in stored.rows(ResourceRow) if r.status == "active"}
    assert {t.path for t in tables} <= there
    assert not {t.path for t in TABLES} & there


@pytest.fixture
def services(stored):
    return Services(stored.database, stored.companies, Now(stored), stored.keys, {})


def test_a_change_that_cannot_be_looked_at_backs_off_and_the_others_go_on(
    stored, services, monkeypatch
):
    """It was tried again each second, for ever: nobody counted, and nobody was told."""
    stored.submit(flow=WRITING)
    poisoned, fine = touched.Touched(keys={("group", "poisoned")}), touched.Touched(everything=True)
    with stored.database.write() as tx:
        touched.note(tx, poisoned)
    find, tried = touched.requests, []

    def fails(session, company, change):
        if change.touched == poisoned:
            tried.append(stored.now)
            raise ZeroDivisionError
        return find(session, company, change)

    monkeypatch.setattr(touched, "requests", fails)
    for seconds in (0, 1, 1, 1, 3, 1):
        stored.now += timedelta(seconds=seconds)
        with stored.database.write() as tx:
            touched.note(tx, fine)
            tx.execute(update(RequestRow).values(wake_at=stored.now + HOUR))
        clock.drain(services)
        (row,) = stored.rows(RequestRow)
        assert row.wake_at != stored.now + HOUR

    assert [(at - tried[0]).total_seconds() for at in tried] == [0, 2, 6]
    alarms = [m for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert [m.recipient for m in alarms] == [ADA]
    assert "ZeroDivisionError" in alarms[0].detail

    monkeypatch.setattr(touched, "requests", find)
    stored.pass_(MINUTE)
    clock.drain(services)
    assert stored.rows(ChangeRow) == []


def test_that_what_waited_does_not_begin_is_told(stored, services, monkeypatch):
    """The alarm spoke of whom requests ask alone, also where it was the end of a pause."""
    stored.submit()
    pausing(stored, paused=True)
    pausing(stored, paused=False)
    with monkeypatch.context() as broken:
        broken.delattr(touched, "requests")
        for _ in range(3):
            stored.pass_(MINUTE)
            clock.drain(services)

    (said,) = (m.detail for m in stored.rows(MessageRow) if m.kind == "alarm")
    assert "what waited for the end of a pause may not begin" in said


def test_whose_end_comes_does_not_wait_for_all_that_a_change_touches(stored, services, monkeypatch):
    """All were woken first, and what was due since then was looked at after them: 100,000."""
    monkeypatch.setattr(touched, "WOKEN", 1)
    requests = [stored.submit(by=who, flow=WRITING).id for who in (ALICE, BOB, DORA)]
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(everything=True))
    wake, tick, done = touched.wake, storage_clock.tick, []

    def woken(tx, change, ids, now):
        done.append(("woken", *ids))
        return wake(tx, change, ids, now)

    def ticked(tx, company, ids, now):
        done.append(("looked at", *ids))
        return tick(tx, company, ids, now)

    monkeypatch.setattr(touched, "wake", woken)
    monkeypatch.setattr(storage_clock, "tick", ticked)
    clock.drain(services)

    each = [(what, id_) for id_ in requests for what in ("woken", "looked at")]
    assert done == [*each, ("woken",)]
    assert stored.rows(ChangeRow) == []


def test_a_change_that_was_put_off_is_looked_at_though_the_clock_is_set_back(
    stored, services, monkeypatch
):
    stored.submit(flow=WRITING)
    with stored.database.write() as tx:
        touched.note(tx, touched.Touched(everything=True))
    with monkeypatch.context() as broken:
        broken.delattr(touched, "requests")
        stored.pass_(300 * HOUR)
        clock.drain(services)
    assert [row.attempts for row in stored.rows(ChangeRow)] == [1]

    stored.pass_(-300 * HOUR)
    clock.drain(services)

    assert stored.rows(ChangeRow) == []
