"""How many rows a loop, a sync or a job writes in one transaction, where there are hundreds of all.

Everybody else waits meanwhile: on SQLite all who write.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlmodel import SQLModel, col

import manifests
from bot.usecases import discover, identity, plan, reconcile, revoke, sweep
from bot.usecases.console import Desk
from bot.usecases.people import accept, carry, look
from bot.usecases.restored import restored
from bot.usecases.take_in import take_in
from engine.account import login_name
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Group, GroupId, Person, PersonId
from engine.eligibility import Draft
from engine.flow import ApprovalRule, ApproverGroup, Escalation, Extension, Revision
from engine.inventory import EntitlementId
from engine.port import Discovered
from engine.request import AccessRequest, State
from engine.targets import Selector
from manifests import Manifests
from manifests.company import FlowManifest
from storage import apply, facts, sync, touched
from storage.bounds import MOST_ROWS
from storage.codec import dump_request
from storage.tables import (
    AccountRow,
    ChangeRow,
    GrantRow,
    GroupRow,
    InstanceRow,
    JobRow,
    MessageRow,
    RequestRow,
    ResourceRow,
)
from storage.touched import Touched
from tests.support.door import COMPANY, SYSTEM, Door, opened, profile
from tests.support.postgres import fresh_database
from tests.support.written import written

MANY = 600  # more than one transaction may write
CROWD_SIZE, THINGS = 100, 30
CROWD = GroupId("file:crowd")
SLOW, QUICK = "Slow", "Quick"  # the flows
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def members(many: int, name: str = "c") -> tuple[Person, ...]:
    ids = [PersonId(f"{name}{n}") for n in range(many)]
    groups = frozenset({CROWD})
    return tuple(Person(id_, f"{id_}@example.com", id_.title(), groups=groups) for id_ in ids)


def is_in(group: str) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, (group,)),))


MEMBERS = members(CROWD_SIZE)
THING = [Discovered("thing", f"t{n}", f"t{n}", f"t{n}", {"use": 1}) for n in range(THINGS)]


def company(*more: Person, **changes: object) -> Manifests:
    """Return the sandbox's company with a crowd, who ask, and are asked in the end."""
    listed = manifests.load(COMPANY)
    things = (Selector(SYSTEM, types=frozenset({"thing"})),)
    quick = Revision(QUICK, is_in(CROWD), things, extension=Extension(1, 30 * MINUTE))
    slow = replace(
        quick,
        name=SLOW,
        approval=ApprovalRule((ApproverGroup("DBA", is_in("file:dba")),)),
        escalation=Escalation(15 * MINUTE, (ApproverGroup("Crowd", is_in(CROWD)),)),
    )
    parts = {
        "people": (*listed.people, *MEMBERS, *more),
        "groups": (*listed.groups, Group(CROWD, "file", "Crowd")),
        "flows": (*listed.flows, *(FlowManifest(f, active=True) for f in (quick, slow))),
    }
    return replace(listed, **(parts | changes))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request, tmp_path_factory) -> Iterator[Door]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('bounds')}/latchkey.db"
    else:
        url = fresh_database(request.getfixturevalue("cluster"))
    with opened(url) as door:
        for thing in THING:
            door.system.add(thing)
        assert take_in(door.services, company()) is None
        identity.take(door.services, [profile(p) for p in MEMBERS])
        discover.discover(door.services, SYSTEM)
        door.work()
        door.keep()
        yield door


@pytest.fixture
def door(crowded) -> Iterator[Door]:
    crowded.put_back()
    yield crowded
    crowded.put_back()
    crowded.system.fail(0)
    crowded.database.unread.take()


@pytest.fixture
def all_administer(door) -> int:
    """Have the crowd administer; return how many they are."""
    admins = [p.id for p in MEMBERS]
    door.services.transaction(lambda tx: sync.administrators(tx, admins, door.clock.now()))
    return len(admins)


def ask(door: Door, who: Person, flow: str = QUICK, thing: int = 0) -> AccessRequest:
    """Ask for something, as the form does."""
    known = door.services.company()
    (of,) = (f for f in known.flows.values() if f.name == flow)
    person = known.directory.people[who.id]
    with door.database.read() as session:
        wanted = EntitlementId(door.entitlement(THING[thing].path, "use"))
        there = tuple(facts.entitlements(session, known, [wanted]).values())
    draft = Draft(
        requestor=person,
        grantee=person,
        flow=of,
        entitlements=there,
        duration=60 * MINUTE,
        justification="INC-1",
    )
    key = f"{who.id}/{flow}/{thing}"
    return door.services.write(
        lambda tx, company: apply.submit(tx, company, draft, key, door.clock.now())
    )


def copy(door: Door, of: AccessRequest, many: int = MANY, **how: object) -> list[int]:
    """Store a request many times over, each on a login of somebody who has left long ago."""

    def row(tx, table: type[SQLModel], *which) -> dict[str, object]:
        return dict(tx.connection().execute(select(table.__table__).where(*which)).mappings().one())

    def next_id(tx, table: type[SQLModel]) -> int:
        return tx.execute(select(func.max(table.id))).scalar_one() + 1

    with door.database.write() as tx:
        first, account = next_id(tx, RequestRow), next_id(tx, AccountRow)
        request = row(tx, RequestRow, RequestRow.id == of.id) | how
        grant = row(tx, GrantRow, GrantRow.request_id == of.id)
        login = row(tx, AccountRow, AccountRow.id == door.account(of))
        rows: dict[type[SQLModel], list[dict[str, object]]] = {
            AccountRow: [], RequestRow: [], GrantRow: []
        }  # fmt: skip
        for n in range(many):
            who = PersonId(f"gone{n}")
            grants = tuple(replace(g, account=account + n) for g in of.grants)
            theirs = of.with_(requestor=who, grantee=who, grants=grants)
            body = how.get("body", dump_request(theirs))
            its = {"id": first + n, "requestor_id": who, "grantee_id": who, "fingerprint": f"{n}"}
            named = {"person_id": who, "login": login_name(who)}
            rows[AccountRow].append(login | {"id": account + n} | named)
            rows[RequestRow].append(request | its | {"body": body})
            rows[GrantRow].append(grant | {"request_id": first + n, "account_id": account + n})
        for table, some in rows.items():
            tx.connection().execute(insert(table), some)
    return list(range(first, first + many))


def count(door: Door, table: type[SQLModel], *which: object) -> int:
    with door.database.read() as session:
        query = select(func.count()).select_from(table).where(*which)
        return session.execute(query).scalar_one()


def is_bounded(rows: list[int], one: int = 0) -> bool:
    """Tell whether each transaction kept to the bound; `one` is what a single thing comes to."""
    assert sum(rows) > MOST_ROWS + one, "all of it might go into one"
    return max(rows) <= MOST_ROWS + one


def test_what_is_counted_is_what_is_written(door):
    def job(n: int) -> dict[str, object]:
        return {"kind": "none", "subject": str(n), "due_at": door.clock.time, "attempts": 0}

    with written(door.database) as rows:
        with door.database.write() as tx:
            tx.execute(insert(JobRow), [job(n) for n in range(5)])
        with door.database.write() as tx:
            tx.execute(insert(JobRow), [job(n) for n in range(5, 8)])
            tx.execute(update(JobRow).where(col(JobRow.kind) == "none").values(attempts=1))
        with door.database.write() as tx:
            tx.execute(select(JobRow))

    assert rows == [5, 3 + 8, 0]


# --- loops ----------------------------------------------------------------------------------------


def test_a_tier_of_many_is_asked_about_many_requests(door):
    """Sixteen requests at a time were looked at, with everybody whom that concerned."""
    requests = [ask(door, who, SLOW) for who in MEMBERS[:12]]
    door.work()
    door.clock.move(15 * MINUTE)

    with written(door.database) as rows:
        door.program.run_until_idle(["clock"])

    everybody = {p.id for p in MEMBERS}
    for request in requests:
        assert set(door.request(request.id).asked) >= everybody - {request.requestor}
    assert is_bounded(rows, one=2 * CROWD_SIZE + 5)


def test_many_of_people_who_have_left_come_to_their_end(door):
    request = ask(door, MEMBERS[0])
    door.work()
    ids = copy(door, request, MANY // 3, wake_at=door.clock.time)

    with written(door.database) as rows:
        door.work()

    left = {r.state for r in door.requests() if r.id in set(ids)}
    assert left == {State.REVOKED}
    assert is_bounded(rows)


def test_all_that_several_people_have_is_given_and_taken(door):
    """All that was seen of sixteen logins was stored at once, whatever it was."""
    requests = [ask(door, who, thing=n) for who in MEMBERS[:12] for n in range(THINGS)]

    def states() -> set[State]:
        ours = {r.id for r in requests}
        return {r.state for r in door.requests() if r.id in ours}

    with written(door.database) as given:
        door.program.run_until_idle(["access"])
    assert states() == {State.ACTIVE}
    door.clock.move(DAY)
    with written(door.database) as taken:
        door.work()

    assert states() == {State.EXPIRED}
    assert is_bounded(given, one=6 * THINGS + 5)
    assert is_bounded(taken, one=6 * THINGS + 5)


def test_many_that_a_change_touches_are_woken(door):
    request = ask(door, MEMBERS[0])
    door.work()
    copy(door, request, state="revoking", wake_at=None)
    with door.database.write() as tx:
        touched.note(tx, Touched(everything=True))

    with written(door.database) as rows:
        door.program.run_until_idle(["clock"])

    assert count(door, ChangeRow) == 0
    assert is_bounded(rows)


def test_many_rows_that_cannot_be_read_are_told(door, all_administer):
    """All of them were told in one transaction, to everybody who administers."""
    request = ask(door, MEMBERS[0])
    door.work()
    copy(door, request, 20, body=[])
    door.requests()

    with written(door.database) as rows:
        door.program.run_until_idle(["clock"])

    about = col(MessageRow.key).startswith("unreadable/")
    assert count(door, MessageRow, about) == 20 * all_administer
    assert is_bounded(rows)


# --- jobs -----------------------------------------------------------------------------------------


def test_many_logins_that_nobody_knows_are_told_once(door, all_administer):
    """What a reconciliation found was stored at once, with a message for each."""
    ask(door, MEMBERS[0])
    door.work()
    (known,) = door.system.accounts.values()
    for n in range(20):
        door.system.accounts[f"lk_nobody{n}"] = known

    with written(door.database) as rows:
        reconcile.reconcile(door.services, door.program.access.aside, SYSTEM)
        reconcile.reconcile(door.services, door.program.access.aside, SYSTEM)

    about = col(MessageRow.key).startswith("stranger/")
    assert count(door, MessageRow, about) == 20 * all_administer
    assert is_bounded(rows)


def test_many_that_sleep_past_their_moment_are_roused(door):
    request = ask(door, MEMBERS[0])
    door.work()
    copy(door, request, wake_at=None)
    door.clock.move(DAY)

    with written(door.database) as rows:
        sweep.sweep(door.services)

    assert count(door, RequestRow, col(RequestRow.wake_at) == door.clock.time) == MANY
    assert is_bounded(rows)


def test_many_that_are_gone_are_forgotten(door):
    """Processes, and groups."""
    gone = [{"id": f"g{n}", "source": "file", "name": "G", "gone": True, "epoch": 1}
            for n in range(MANY)]  # fmt: skip
    with door.database.write() as tx:
        tx.connection().execute(insert(InstanceRow), [{"beat": 1.0, "passed": 9}] * MANY)
        tx.connection().execute(insert(GroupRow), gone)
        tx.execute(update(InstanceRow).values(passed=9))

    with written(door.database) as rows:
        for _ in range(2):
            sweep.sweep(door.services)

    assert count(door, InstanceRow) == 1
    assert count(door, GroupRow, col(GroupRow.gone)) == 0
    assert is_bounded(rows)


def test_many_numbers_that_are_none_are_set_right(door):
    """SQLite takes text for them; it was all set right at once."""
    if not door.database.sqlite:
        return
    request = ask(door, MEMBERS[0])
    door.work()
    copy(door, request)
    with door.database.write() as tx:
        tx.execute(text("update account set acted = 'x'"))

    with written(door.database) as rows:
        sweep.sweep(door.services)

    assert count(door, AccountRow, func.typeof(AccountRow.acted) != "integer") == 0
    assert is_bounded(rows)


def test_many_systems_are_looked_after(door):
    with written(door.database) as rows:
        plan.systems(door.services, [f"s{n}" for n in range(MANY)])

    assert count(door, JobRow) >= 2 * MANY
    assert is_bounded(rows)


# --- syncs ----------------------------------------------------------------------------------------


def test_many_people_come_and_go(door, monkeypatch):
    """What was to be woken when all had been taken in was let go at once."""
    monkeypatch.setattr(touched, "RELEASED", 3)
    ask(door, MEMBERS[0], SLOW)
    crowd = members(MANY, "n")
    more = [Group(GroupId(f"file:g{n}"), "file", "More") for n in range(MANY)]
    groups = (*company().groups, *more)

    with written(door.database) as come:
        assert take_in(door.services, company(*crowd, groups=groups)) is None
        identity.take(door.services, [profile(p) for p in crowd])
        door.work()
    assert all(door.person(p.id).slack for p in crowd)
    with written(door.database) as gone:
        accept(Desk(door.database, door.services.companies, door.clock), company())
        assert take_in(door.services, company()) is None
        door.work()

    assert not any(door.person(p.id).active for p in crowd)
    assert count(door, ChangeRow) == 0
    assert is_bounded(come)
    assert is_bounded(gone)


def test_many_flows_and_systems_come_and_go(door):
    listed = company()
    one = listed.integrations[0]
    systems = tuple(replace(one, id=f"s{n}", name=f"S {n}") for n in range(MANY // 2))
    flow = listed.flows[-1].revision
    flows = tuple(FlowManifest(replace(flow, name=f"F {n}"), active=True) for n in range(MANY // 2))

    with written(door.database) as rows:
        more = replace(
            listed,
            flows=(*listed.flows, *flows),
            integrations=(*listed.integrations, *systems),
        )
        assert take_in(door.services, more) is None
        assert take_in(door.services, listed) is None

    assert is_bounded(rows)


def test_many_things_are_found_and_gone(door):
    for n in range(MANY):
        door.system.add(Discovered("table", f"x{n}", f"x/{n}", f"x/{n}", {"read": 1, "write": 2}))

    with written(door.database) as rows:
        discover.discover(door.services, SYSTEM)
        for n in range(MANY):
            door.system.drop(f"x/{n}")
        discover.discover(door.services, SYSTEM)

    gone = col(ResourceRow.path).startswith("x/"), ResourceRow.status == "gone"
    assert count(door, ResourceRow, *gone) == MANY
    assert is_bounded(rows)


# --- what operators do ----------------------------------------------------------------------------


def test_what_is_going_already_is_hurried(door):
    request = ask(door, MEMBERS[0])
    door.work()
    door.system.fail(50)
    desk = Desk(door.database, door.services.companies, door.clock)
    list(revoke.revoke(desk, [request], "INC-2"))
    ids = set(copy(door, door.request(request.id)))

    with written(door.database) as rows:
        going = [r for r in door.requests() if r.id in ids]
        list(revoke.record(desk, going, "INC-2"))

    assert is_bounded(rows)


def test_a_backup_is_put_back_with_much_that_may_have_been_extended(door, all_administer):
    """All administrators were told of all of it at once."""
    for n in range(10):
        ask(door, MEMBERS[n])
    door.work()
    desk = Desk(door.database, door.services.companies, door.clock)

    with written(door.database) as rows:
        assert len(restored(desk, door.services.connected)) == 10

    assert count(door, MessageRow, col(MessageRow.key).startswith("restored/")) == (
        10 * all_administer
    )
    assert is_bounded(rows)


def test_people_with_much_that_is_theirs_are_carried_over(door):
    """All live requests that ten people had, or were asked about, were written at once."""
    requests = [ask(door, MEMBERS[0], SLOW, n) for n in range(6)]
    requests += [ask(door, who, SLOW) for who in MEMBERS[1:3]]
    door.clock.move(15 * MINUTE)
    door.work()
    new = {p.id: PersonId(f"e-{p.id}") for p in MEMBERS}
    listed = company()
    people = tuple(replace(p, id=new.get(p.id, p.id)) for p in listed.people)
    desk = Desk(door.database, door.services.companies, door.clock)
    cards = count(door, MessageRow)

    with written(door.database) as rows:
        who = look(desk, replace(listed, people=people), [])
        assert carry(desk, who, door.services.keys) is None
        door.program.run_until_idle(["clock"])

    for request in map(door.request, (r.id for r in requests)):
        assert request.grantee in new.values()
        assert set(request.asked).isdisjoint(new)
    assert count(door, MessageRow, col(MessageRow.recipient).in_([*new])) == 0
    assert count(door, MessageRow) == cards
    assert is_bounded(rows, one=3 * CROWD_SIZE + 5)
