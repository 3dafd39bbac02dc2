"""Syncs: what other systems say is taken in whole, and what depends on it wakes."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from engine.commands import Approve
from engine.conditions import Comparator, Condition
from engine.directory import Group, GroupId, PersonId, PersonStatus
from engine.discovery import OtherServerError
from engine.flow import ApprovalRule, ApproverGroup, Quorum
from engine.intake import TooMuchError
from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import Card, Decision
from engine.port import Discovered, Unavailable
from storage import apply, facts, schema, sync, unit_of_work
from storage.database import Database
from storage.tables import (
    AuditRow,
    EntitlementRow,
    FlowRevisionRow,
    FlowRow,
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
    READING,
    SAM,
    SRES,
    TABLES,
    WIKI,
    WRITING,
    account,
    is_in,
    person,
    reading,
    table,
    writing,
)


@pytest.fixture
def database_of_nobody(empty_url):
    """A database that has the schema and nothing else."""
    database = Database(empty_url, pool=5)
    schema.upgrade(database)
    yield database
    database.close()


def take_in(stored, people, groups=GROUPS, **more) -> None:
    stored.take_in(people, groups, **more)


def said(stored) -> list[str]:
    return [r.action for r in sorted(stored.rows(AuditRow), key=lambda r: r.seq)]


def row(stored, who) -> PersonRow:
    return next(r for r in stored.rows(PersonRow) if r.id == who)


# --- people --------------------------------------------------------------------------------------


def test_same_people_again_change_nothing(stored):
    epoch, lines = stored.company().epoch, said(stored)

    take_in(stored, PEOPLE[::-1], GROUPS[::-1])

    assert stored.company().epoch == epoch
    assert said(stored) == lines


def test_changed_person_is_changed_and_wakes_requests(stored):
    request = stored.submit(flow=WRITING)
    changed = [replace(p, name="Alice B.", groups=p.groups | {DBAS}) if p.id == ALICE else p
               for p in PEOPLE]  # fmt: skip

    take_in(stored, changed)

    alice = stored.company().directory.people[ALICE]
    assert (alice.name, alice.groups, alice.slack) == ("Alice B.", {ENGINEERS, DBAS}, "U-alice")
    assert wakes_at(stored, request) == stored.now


def test_who_is_no_longer_listed_is_inactive_until_listed_again(stored):
    take_in(stored, [p for p in PEOPLE if p.id != BOB])
    assert stored.company().directory.people[BOB].status is PersonStatus.INACTIVE
    assert row(stored, BOB).status == "inactive"

    take_in(stored, PEOPLE)
    assert stored.company().directory.people[BOB].active


def test_groups_are_taken_in_with_the_people(stored):
    take_in(stored, PEOPLE, [*GROUPS[:2], Group(GroupId("file:ops"), "file", "Operations")])

    assert {*stored.company().directory.groups} == {GROUPS[0].id, GROUPS[1].id, "file:ops"}


@pytest.mark.parametrize(
    ("meanwhile", "so"),
    [
        ("nothing", True),
        ("somebody leaves", False),
        ("somebody leaves and is back", True),
        ("somebody comes", False),
        ("somebody comes and leaves", True),
        ("a group comes", False),
        ("a flow changes", False),
    ],
)
def test_an_intake_sees_what_another_process_has_taken_in_meanwhile(stored, meanwhile, so):
    """An intake whose question was always answered with no began anew without end."""
    known = stored.company().epoch
    new = Group(GroupId("file:ops"), "file", "Operations")
    if "leaves" in meanwhile:
        take_in(stored, [*PEOPLE, person("olga")] if "comes" in meanwhile else PEOPLE[:-1])
    if so and meanwhile != "nothing":
        take_in(stored, PEOPLE)
    if meanwhile == "somebody comes":
        take_in(stored, [*PEOPLE, person("olga")])
    if meanwhile == "a group comes":
        take_in(stored, PEOPLE, [*GROUPS, new])
    if meanwhile == "a flow changes":
        changed = [(reading(grant_for=HOUR), True), (writing(), True)]
        stored.write(lambda tx, _: sync.flows(tx, changed, stored.now))

    assert stored.write(lambda tx, _: sync.is_so(tx, PEOPLE, known)) is so


def crowd(count, **changes):
    return [replace(person(f"p{n}", ENGINEERS), **changes) for n in range(count)]


@pytest.mark.parametrize(
    ("lose", "held"), [(5, False), (6, True)], ids=["five are let go", "six are held"]
)
@pytest.mark.parametrize("how", ["left", "deactivated", "dropped from a group"])
def test_sync_that_takes_away_too_much_is_held(stored, lose, held, how):
    take_in(stored, [*PEOPLE, *crowd(60)])
    change = {
        "left": [],
        "deactivated": crowd(lose, status=PersonStatus.INACTIVE),
        "dropped from a group": crowd(lose, groups=frozenset()),
    }
    after = [*PEOPLE, *change[how], *crowd(60)[lose:]]

    if held:
        with pytest.raises(TooMuchError, match="6 of 67 people"):
            take_in(stored, after)
        assert all(p.active and p.groups for p in crowd_of(stored))
        take_in(stored, after, held=False)
    else:
        take_in(stored, after)

    assert sum(p.active and bool(p.groups) for p in crowd_of(stored)) == 60 - lose


def crowd_of(stored):
    return [p for id_, p in stored.company().directory.people.items() if id_.startswith("p")]


def test_many_of_many_more_may_go_at_once(stored):
    """Six of 127 are under five in a hundred."""
    take_in(stored, [*PEOPLE, *crowd(120)])

    take_in(stored, [*PEOPLE, *crowd(120)[6:]])

    assert sum(not p.active for p in crowd_of(stored)) == 6


def test_former_people_do_not_count(stored):
    """A company with many leavers in its list let a large part of the others go unasked."""
    former = [replace(p, id=PersonId(f"f{n}"), status=PersonStatus.INACTIVE)
              for n, p in enumerate(crowd(200))]  # fmt: skip
    take_in(stored, [*PEOPLE, *former, *crowd(20)])

    with pytest.raises(TooMuchError):
        take_in(stored, [*PEOPLE, *former, *crowd(20)[6:]])


# --- people, one transaction after another --------------------------------------------------------

TIGERS = GroupId("file:tigers")
PARISIANS = Condition("city", Comparator.IS, ("Paris",))


def lives(who, city, *groups):
    return replace(next(p for p in PEOPLE if p.id == who), attributes={"city": (city,)},
                   groups=frozenset(groups))  # fmt: skip


@pytest.fixture
def reform(stored, monkeypatch):
    """Everything changes at once: groups, their members, who is there; a person at a time."""
    monkeypatch.setattr("storage.sync.directory.AT_ONCE", 1)
    engineers = replace(reading().requestors, conditions=(*is_in(ENGINEERS).conditions, PARISIANS))
    torn = reading(name="Torn", requestors=engineers)
    save(stored, (reading(), True), (writing(), True), (torn, True))
    take_in(stored, [lives(ALICE, "Berlin", ENGINEERS), *PEOPLE[:2], *PEOPLE[3:]])
    after = [
        *PEOPLE[:2],
        lives(ALICE, "Paris", TIGERS),
        lives(BOB, "Paris", DBAS),
        lives(DAN, "Rome"),
        lives(SAM, "Rome", DBAS, TIGERS),
    ]
    return after, [GROUPS[1], Group(TIGERS, "file", "tigers")]


def steps(stored, people, groups) -> list[sync.SyncStep]:
    with stored.database.read() as session:
        return sync.compare(session, people, groups).steps(stored.now)


def usable(stored) -> dict[PersonId, set[str]]:
    company = stored.company()
    people = company.directory.people.values()
    return {p.id: {f.name for f in company.policy.usable(p, p, stored.now)} for p in people}


def test_between_two_steps_of_an_intake_everybody_is_as_before_or_as_after(stored, reform):
    """A person who changed group and city at once may never be seen with one of the two."""
    seen = [(stored.company().directory, usable(stored))]
    for step in steps(stored, *reform):
        stored.write(lambda tx, _, step=step: step(tx))
        seen.append((stored.company().directory, usable(stored)))
    (old, could), (new, can) = seen[0], seen[-1]

    assert len(seen) == 6
    assert could != can
    for directory, able in seen:
        for id_, one in directory.people.items():
            assert one == old.people[id_] or one == new.people[id_]
            assert one.groups <= directory.groups.keys() or not one.active
            assert able[id_] in (could[id_], can[id_])
        assert not any("Torn" in names for names in able.values())
    assert set(new.groups) == {DBAS, TIGERS}


def test_who_decides_between_two_steps_had_the_right_before_or_has_it_after(stored, reform):
    """Nobody else ever does, and one person at a time wins or loses it."""
    deciders = []
    for step in [lambda _: None, *steps(stored, *reform)]:
        stored.write(lambda tx, _, step=step: step(tx))
        deciders.append({who for who in (DAN, DORA, SAM, BOB, ALICE, MIA) if decides(stored, who)})

    assert deciders[0] == {DAN, DORA}
    assert deciders[-1] == {BOB, SAM}
    assert all(some <= {DAN, DORA, BOB, SAM} for some in deciders)
    assert all(len(before ^ after) <= 1 for before, after in pairwise(deciders))


class _UndoneError(Exception):
    pass


def decides(stored, who) -> bool:
    """Try it: ask for something, approve it, and undo all of it."""
    draft, outcomes = stored.draft(["write on ledger.entries"], by=MIA, flow=WRITING), []

    def attempt(tx, company):
        request = apply.submit(tx, company, draft, "a try", stored.now)
        outcomes.append(unit_of_work.carry_out(tx, company, request.id, Approve(who), stored.now))
        raise _UndoneError

    with suppress(_UndoneError):
        stored.write(attempt)
    return isinstance(outcomes[0], Decision)


def test_what_an_intake_wakes_is_woken_when_it_is_whole(stored, reform):
    request = stored.submit("write on ledger.entries", by=BOB, flow=WRITING)
    stored.pass_(MINUTE)
    *others, last = steps(stored, *reform)
    for step in others:
        stored.write(lambda tx, _, step=step: step(tx))
        assert wakes_at(stored, request) > stored.now

    stored.write(lambda tx, _: last(tx))

    assert wakes_at(stored, request) == stored.now


def test_an_intake_that_was_broken_off_is_brought_to_its_end_by_the_next(stored, reform):
    """All differences may be stored, and nobody woken: the next one finds nothing to change."""
    request = stored.submit("write on ledger.entries", by=BOB, flow=WRITING)
    stored.pass_(MINUTE)
    *others, _ = steps(stored, *reform)
    for step in others:
        stored.write(lambda tx, _, step=step: step(tx))

    take_in(stored, *reform)

    assert wakes_at(stored, request) == stored.now
    assert {*stored.company().directory.groups} == {DBAS, TIGERS}
    assert steps(stored, *reform) == []


def wakes_at(stored, request):
    stored.wake_touched()
    return next(r for r in stored.rows(RequestRow) if r.id == request.id).wake_at


# --- Slack ties ----------------------------------------------------------------------------------


def tie(stored, *ties) -> None:
    accounts = {PersonId(who): account(user, email) for who, user, email in ties}
    stored.write(lambda tx, _: sync.tie(tx, accounts, stored.now))


def suspend(stored, who, why="the address of the account has changed") -> None:
    stored.write(lambda tx, _: sync.suspend(tx, {who: (account(f"U-{who}", ""), why)}, stored.now))


def heard(stored, **who) -> None:
    said = {PersonId(p): (account(f"U-{p}", f"{p}@example.com"), why) for p, why in who.items()}
    stored.write(lambda tx, _: sync.reach(tx, said, stored.now))


def asked(stored, request) -> set[tuple[str, str]]:
    return {(a.person, a.seat.key) for a in stored.again(request).asks if a.open}


def test_whom_slack_takes_no_message_for_somebody_else_is_asked_in_their_place(stored, other):
    request = stored.submit(flow=WRITING)
    heard(stored, dan="cannot_dm_bot")
    stored.tick()
    assert asked(stored, request) == {(DAN, "group/0"), (DORA, "group/0")}

    heard(stored, dora="user_disabled")
    assert stored.tick() == [request.id]

    assert asked(stored, request) == {(DAN, "group/0"), (DORA, "group/0"), (SAM, "tier0/0")}
    assert not other.company().directory.people[DORA].reachable  # each process learns of it


def test_who_can_be_told_something_again_is_known_to_be(stored, other):
    heard(stored, dan="cannot_dm_bot")
    other.company()
    heard(stored, dan="")

    assert other.company().directory.people[DAN].reachable
    request = stored.submit(flow=WRITING)
    heard(stored, dora="cannot_dm_bot")
    stored.tick()
    assert asked(stored, request) == {(DAN, "group/0"), (DORA, "group/0")}


def test_what_is_no_news_of_whom_slack_reaches_changes_nothing(stored):
    heard(stored, dan="cannot_dm_bot")
    epoch, lines = stored.company().epoch, said(stored)
    heard(stored, dan="cannot_dm_bot", dora="")
    stranger = {DAN: (account("U-other", "dan@example.com"), "")}
    stored.write(lambda tx, _: sync.reach(tx, stranger, stored.now))

    assert (stored.company().epoch, said(stored)) == (epoch, lines)


def test_another_account_may_take_messages(stored):
    heard(stored, dan="cannot_dm_bot")
    suspend(stored, DAN)
    stored.write(lambda tx, _: sync.confirm(tx, DAN, ADA, stored.now))
    tie(stored, (DAN, "U-d2", "dan@example.com"))

    assert stored.company().directory.people[DAN].reachable


def test_tie_stays_until_the_address_changes(stored):
    same = [replace(p, email=p.email.upper()) for p in PEOPLE]
    take_in(stored, same)
    assert stored.company().directory.people[ALICE].slack == "U-alice"

    other = [replace(p, email="a@else.where") if p.id == ALICE else p for p in same]
    take_in(stored, other)

    assert stored.company().directory.people[ALICE].slack is None
    assert row(stored, ALICE).suspended == "U-alice"
    tie(stored, (ALICE, "U-new", "a@else.where"), (BOB, "U-alice", "x"))
    assert stored.company().directory.people[ALICE].slack is None

    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))
    tie(stored, (ALICE, "U-new", "a@else.where"))
    assert stored.company().directory.people[ALICE].slack == "U-new"


def test_what_waits_goes_on_when_an_admin_has_said_who_it_is(stored):
    stored.systems[PG].faults = [Unavailable("down")]
    stored.submit()
    stored.converge()
    suspend(stored, ALICE)
    assert stored.due() == []

    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))

    assert stored.due() == [stored.account().id]


def test_a_tie_that_was_never_in_doubt_stays_when_it_is_confirmed(stored):
    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))

    assert stored.company().directory.people[ALICE].slack == "U-alice"


def test_an_address_that_changes_twice_is_told_from_the_one_that_was_confirmed(stored):
    """An admin who looks has to know whose the account was, not what it was called meanwhile."""
    for address in ("a@else.where", "b@else.where"):
        stored.pass_(MINUTE)
        take_in(stored, [replace(p, email=address) if p.id == ALICE else p for p in PEOPLE])

    told = [m.detail for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert len(told) == 2
    assert all("alice@example.com" in sentence for sentence in told)
    assert "b@else.where" in told[1]


def test_account_that_is_tied_is_tied_to_nobody_else(stored):
    """It ended in an IntegrityError, at every sync, and nobody was tied any more."""
    take_in(stored, [*PEOPLE, person("new"), person("newer")])

    tie(stored, ("new", "U-alice", "new@example.com"), ("newer", "U-newer", "newer@example.com"))

    people = stored.company().directory.people
    assert (people[ALICE].slack, people["new"].slack) == ("U-alice", None)
    assert people["newer"].slack == "U-newer"


def test_an_account_is_the_user_of_a_team(stored):
    """The user id alone was kept: of two workspaces' users with the same, one could not be tied."""
    take_in(stored, [*PEOPLE, person("new"), person("newer"), person("newest")])
    accounts = {
        PersonId("new"): account("U-alice", "new@example.com", team="T2", enterprise="E2"),
        PersonId("newer"): account("U-newer", "newer@example.com", team="T3"),
    }
    stored.write(lambda tx, _: sync.tie(tx, accounts, stored.now))
    same = {PersonId("newest"): account("U-alice", "x@example.com", team="T4", enterprise="E2")}
    assert stored.write(lambda tx, _: sync.tie(tx, same, stored.now)) == 0

    directory = stored.company().directory
    assert directory.whose(account("U-alice", "")).id == ALICE
    assert directory.whose(account("U-alice", "", team="T2")).id == "new"
    assert directory.whose(account("U-newer", "")) is None


def test_an_account_that_was_suspended_is_tied_to_nobody_in_its_team(stored):
    take_in(stored, [*PEOPLE, person("new"), person("newer")])
    suspend(stored, ALICE)

    tie(stored, ("new", "U-alice", "new@example.com"))
    other = {PersonId("newer"): account("U-alice", "newer@example.com", team="T2")}
    stored.write(lambda tx, _: sync.tie(tx, other, stored.now))

    people = stored.company().directory.people
    assert people[ALICE].suspended == account("U-alice", "")
    assert (people["new"].account, people["newer"].account) == (None, other[PersonId("newer")])


def test_of_an_account_that_is_tied_the_team_is_taken_in_and_nothing_else(stored):
    take_in(stored, [*PEOPLE, person("new")])
    tied = {PersonId("new"): account("U-new", "new@example.com", team="", enterprise="E1")}
    stored.write(lambda tx, _: sync.tie(tx, tied, stored.now))

    said = account("U-new", "else@example.com", team="T2", enterprise="E1", guest=True)
    stored.write(lambda tx, _: sync.place(tx, {PersonId("new"): said, ALICE: said}))

    people = stored.company().directory.people
    assert people["new"].account == replace(tied[PersonId("new")], team="T2")
    assert people[ALICE].account == account("U-alice", "alice@example.com")
    assert (row(stored, "new").team, row(stored, "new").enterprise) == ("T2", "E1")


def test_tie_that_is_taken_back_waits_for_an_admin(stored):
    suspend(stored, ALICE)
    assert stored.company().directory.people[ALICE].slack is None
    lines = said(stored)

    suspend(stored, ALICE)

    assert said(stored) == lines
    assert row(stored, ALICE).suspended == "U-alice"


def alarms(stored) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for message in stored.rows(MessageRow):
        if message.kind == Card.ALARM:
            found.setdefault(message.recipient, []).append(message.detail)
    return found


def test_the_admins_hear_whose_tie_was_suspended_and_what_to_do(stored):
    """A tie was taken back in silence: nobody knew why a person was no one any more."""
    suspend(stored, ALICE)
    take_in(stored, [replace(p, email="b@else.where") if p.id == BOB else p for p in PEOPLE])

    first, second = alarms(stored)[ADA]
    assert "Alice: the address of the account has changed" in first
    assert "latchkey people confirm alice@example.com" in first
    assert "Bob: the address in the directory has changed" in second
    assert "latchkey people confirm b@else.where" in second


def test_of_a_leavers_account_nobody_has_to_hear(stored):
    take_in(stored, [p for p in PEOPLE if p.id != BOB])

    suspend(stored, BOB)

    assert row(stored, BOB).suspended == "U-bob"
    assert alarms(stored) == {}


def test_an_address_that_unicode_folds_alike_is_another_address(stored):
    """“ß” became “ss”: the tie stayed, with somebody else's mailbox."""
    one = [replace(p, email="strasse@example.com") if p.id == ALICE else p for p in PEOPLE]
    take_in(stored, one)
    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))
    tie(stored, (ALICE, "U-alice", "strasse@example.com"))

    other = "stra\N{LATIN SMALL LETTER SHARP S}e@example.com"
    take_in(stored, [replace(p, email=other) if p.id == ALICE else p for p in PEOPLE])

    assert row(stored, ALICE).suspended == "U-alice"


def grade(stored, who, *, guest) -> None:
    stored.write(lambda tx, _: sync.regrade(tx, {who: guest}, stored.now))


def test_who_becomes_a_guest_loses_what_they_approved_for_good(stored):
    """Made a full member again before the clock looked, they had approved it all the same."""
    groups = tuple(ApproverGroup(n, is_in(g)) for n, g in (("DBAs", DBAS), ("SREs", SRES)))
    rules = writing(approval=ApprovalRule(groups, Quorum.ALL_OF), escalation=None)
    save(stored, (reading(), True), (rules, True))
    request = stored.submit(flow=WRITING)
    stored.approve(request, DAN)

    stored.pass_(MINUTE)
    grade(stored, DAN, guest=True)
    assert not stored.company().directory.people[DAN].may_ask
    stored.pass_(MINUTE)
    grade(stored, DAN, guest=False)
    assert stored.company().directory.people[DAN].may_ask
    stored.approve(request, SAM)

    assert [a.person for a in stored.again(request).approvals] == [SAM]
    stored.pass_(MINUTE)
    stored.approve(request, DAN)
    assert stored.again(request).state == "granting"


def test_the_same_grade_again_says_nothing(stored):
    lines = said(stored)

    grade(stored, DAN, guest=False)

    assert said(stored) == lines


@pytest.mark.parametrize("how", ["guest in Slack", "guest here", "inactive"])
def test_an_admin_who_may_decide_nothing_is_no_admin(stored, how):
    """They went on hearing what is for the admins alone."""
    assert stored.company().admins == {ADA}
    if how == "guest in Slack":
        grade(stored, ADA, guest=True)
    else:
        change = {"guest": True} if how == "guest here" else {"status": PersonStatus.INACTIVE}
        take_in(stored, [replace(p, **change) if p.id == ADA else p for p in PEOPLE])

    assert stored.company().admins == frozenset()
    with capture_logs() as logged:
        suspend(stored, ALICE)
    assert alarms(stored) == {}
    (lost,) = [line for line in logged if line["log_level"] == "error"]
    assert "latchkey people confirm alice@example.com" in lost["said"]


def test_admins_are_taken_in_once(stored):
    lines = said(stored)
    for _ in range(2):
        stored.write(lambda tx, _: sync.administrators(tx, [BOB, ADA], stored.now))

    assert stored.company().admins == {ADA, BOB}
    assert said(stored) == [*lines, "admins_changed"]


# --- flows ---------------------------------------------------------------------------------------


def save(stored, *listed) -> None:
    stored.write(lambda tx, _: sync.flows(tx, listed, stored.now))


def test_unchanged_flows_make_no_revision(stored):
    lines = said(stored)

    save(stored, (reading(), True), (writing(), True))

    assert said(stored) == lines
    assert len(stored.rows(FlowRevisionRow)) == 2


SAME = """
import sys
from storage import schema, sync
from storage.database import Database
from tests.support.stored import Stored, reading, writing
from engine.targets import Selector

names = frozenset({"a", "b", "c", "d", "e", "f", "g"})
flow = reading(targets=(Selector("pg", names=names, types=names, permissions=names),))
stored = Stored.open(sys.argv[1])
stored.write(lambda tx, _: sync.flows(tx, [(flow, True), (writing(), True)], stored.now))
stored.close()
"""


@pytest.mark.parametrize("kind", ["sqlite"])
def test_restart_makes_no_revision(url, stored):
    """A set came out in another order in each process: every start made new revisions."""
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", SAME, url], check=True, env=environment)

    assert [r.revision for r in stored.rows(FlowRow) if r.name == "reading"] == [2]


def test_changed_flow_makes_a_revision_and_requests_keep_theirs(stored):
    request = stored.submit(flow=WRITING)

    save(stored, (reading(), True), (writing(grant_for=HOUR), True))

    flow = stored.flow(WRITING)
    assert (flow.number, flow.revision.grant_for) == (2, HOUR)
    assert stored.again(request).revision == 1
    stored.approve(request)
    stored.converge()
    assert stored.again(request).state == "active"


def test_flow_is_disabled_deleted_and_comes_back(stored):
    save(stored, (reading(), False), (writing(), True))
    assert not stored.flow(READING).open
    assert stored.flow(READING).number == 1

    save(stored, (writing(), True))
    assert stored.flow(READING).deleted
    assert len(stored.rows(FlowRevisionRow)) == 2  # they stay for the audit

    save(stored, (reading(name="READING"), True), (writing(), True))
    assert stored.flow(READING).open
    assert stored.flow(READING).number == 2
    assert said(stored)[-4:] == ["flow_disabled", "flow_deleted", "flow_saved", "flow_enabled"]


def test_flow_saved_while_the_company_is_loaded_is_no_fault(stored, other):
    """The revisions were read before the flows: one saved in between was missing (KeyError)."""
    stored.company()
    save(stored, (reading(grant_for=2 * HOUR), True), (writing(), True))
    saved = []

    def save_once(statement, _values):
        if not saved and "flow" in statement:
            saved.append(True)
            save(other, (reading(grant_for=3 * HOUR), True), (writing(), True))

    stored.database.statements.heard.append(save_once)
    for _ in range(2):
        stored.company()
    stored.database.statements.heard.remove(save_once)

    assert saved
    assert stored.flow(READING).revision.grant_for == 3 * HOUR


# --- the inventory -------------------------------------------------------------------------------


def discover(stored, *found, system=PG) -> None:
    stored.write(lambda tx, _: sync.inventory(tx, IntegrationId(system), found, stored.now))


def resources(stored) -> dict[str, ResourceRow]:
    return {r.source_id: r for r in stored.rows(ResourceRow) if r.integration_id == PG}


def test_resource_that_is_not_found_is_gone_until_it_comes_back(stored):
    before = resources(stored)
    orders, *rest = TABLES

    discover(stored, *rest)
    assert resources(stored)["id:shop.orders"].status == ResourceStatus.GONE

    discover(stored, *TABLES)
    again = resources(stored)["id:shop.orders"]
    assert (again.id, again.status) == (before[orders.source_id].id, ResourceStatus.ACTIVE)
    assert sum(r.resource_id == again.id for r in stored.rows(EntitlementRow)) == 2


def test_resource_of_the_same_name_with_another_id_is_a_new_one(stored):
    """F19: a stale request came to life with a new thing of the old name."""
    before = resources(stored)["id:shop.orders"].id

    discover(stored, *TABLES[1:], table("shop.orders", source="id:2"))

    now = resources(stored)
    assert now["id:shop.orders"].status == ResourceStatus.GONE
    assert (now["id:2"].status, now["id:2"].path) == (ResourceStatus.ACTIVE, "shop.orders")
    assert now["id:2"].id != before


def test_the_server_is_known_though_nothing_of_it_is_new(stored):
    """Else another's numbers would be taken for its own."""
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES, stored.now, server="one"))

    with pytest.raises(OtherServerError):
        stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES, stored.now, server="two"))


def test_resource_that_changed_is_taken_in(stored):
    renamed = replace(
        table("shop.Bestellungen", "read", "write", "own", source="id:shop.orders"),
        risk=9, tags={"env": ("prod",)},
    )  # fmt: skip

    discover(stored, renamed, *TABLES[1:])

    entitlement = stored.entitlement("own on shop.Bestellungen")
    assert entitlement.resource.risk == 9
    assert entitlement.resource.tags == {"env": ("prod",)}
    assert resources(stored)["id:shop.orders"].path_key == "shop.bestellungen"


def test_what_could_not_be_looked_into_stays_as_it_is_known(stored):
    """F46: one database that rejected Latchkey hid all others. Passed over, it loses nothing."""
    here, *rest = TABLES
    inside = replace(here, path=f"shop/{here.path}")
    discover(stored, inside, *rest)
    closed = Discovered(
        "database", "shop", "shop", "id:of-shop", {}, closed="it does not let us in"
    )

    discover(stored, closed, *rest)

    now = resources(stored)
    assert now[here.source_id].status == ResourceStatus.ACTIVE
    assert "id:of-shop" not in now
    discover(stored, *rest)
    assert resources(stored)[here.source_id].status == ResourceStatus.GONE


def test_permission_that_is_no_longer_found_is_not_offered(stored):
    """What was taken off an integration's list, or cannot be had by now, was offered for ever."""
    orders, *rest = TABLES
    more = replace(orders, permissions={**orders.permissions, "truncate": 7})
    discover(stored, more, *rest)

    def offered() -> list[str]:
        with stored.database.read() as session:
            rows = session.execute(facts.entitlement_query()).all()
        found = [facts.to_entitlement(row) for row in rows]
        return sorted(e.permission.name for e in found if e.resource.path == orders.path
                      and e.available)  # fmt: skip

    usual = sorted(orders.permissions)
    assert offered() == sorted([*usual, "truncate"])

    discover(stored, *TABLES)
    assert offered() == usual

    discover(stored, more, *rest)
    assert offered() == sorted([*usual, "truncate"])


def test_what_can_be_had_of_a_resource_is_a_change_of_it_alone(stored):
    """Else who knows the inventory would not read it again."""
    before = stored.company().epoch
    orders, *rest = TABLES

    discover(stored, replace(orders, permissions=dict.fromkeys(orders.permissions, 9)), *rest)

    read_again = {r.source_id for r in resources(stored).values() if r.epoch > before}
    assert read_again == {orders.source_id}


def test_a_large_inventory_is_compared_page_by_page(stored, monkeypatch):
    monkeypatch.setattr("storage.sync.resources.PAGE", 2)
    many = [table(f"many.t{n}") for n in range(7)]
    discover(stored, *TABLES, *many)
    lines = said(stored)

    discover(stored, *TABLES, *many)
    assert said(stored) == lines

    discover(stored, *TABLES, *many[:-1])
    gone = [r.path for r in resources(stored).values() if r.status == ResourceStatus.GONE]
    assert gone == [many[-1].path]


@pytest.mark.parametrize("count", [1, 3 * sync.ROWS_AT_ONCE])
def test_however_many_parts_it_takes_one_entry_says_what_was_found(stored, count):
    many = [table(f"many.t{n}") for n in range(count)]
    before = len(stored.rows(AuditRow))

    with stored.database.read() as session:
        steps = sync.compare_inventory(session, PG, [*TABLES[1:], *many]).steps(stored.now)
    for step in steps:
        stored.write(lambda tx, _, step=step: step(tx))

    (entry,) = stored.rows(AuditRow)[before:]
    assert (entry.action, entry.body["new"], entry.body["gone"]) == ("discovered", count, 1)


def test_systems_do_not_touch_each_other(stored):
    discover(stored, system=WIKI)

    assert {r.status for r in resources(stored).values()} == {ResourceStatus.ACTIVE}


def test_same_inventory_again_says_nothing(stored):
    lines = said(stored)

    discover(stored, *TABLES)

    assert said(stored) == lines


def test_pausing_twice_is_pausing_once(stored):
    def pause(paused):
        return stored.write(lambda tx, _: sync.pause(tx, ADA, stored.now, paused=paused))

    assert [pause(p) for p in (True, True, False, False)] == [True, False, True, False]
    assert said(stored)[-2:] == ["paused", "resumed"]
    assert not stored.company().paused


def test_processes_that_take_in_the_company_at_once_do_not_collide(crew, database_of_nobody):
    """Of three replicas that started on an empty database, two died of people who were there."""
    assert (
        crew.race("take_in", database_of_nobody.url)
        == [{"people": len(PEOPLE), "flows": 2, "resources": 0}] * 3
    )
    with database_of_nobody.read() as session:
        actions = [r.action for r in session.execute(select(AuditRow)).scalars()]
    assert sorted(actions) == ["admins_changed", "flow_saved", "flow_saved", "people_synced"]


# --- connected systems ---------------------------------------------------------------------------

SYSTEMS = ((PG, "Production", "memory", {}), (WIKI, "Wiki", "memory", {}))


def take_in_systems(stored, *listed) -> None:
    stored.write(lambda tx, _: sync.integrations(tx, listed, stored.now))


def test_a_system_that_has_changed_is_seen_by_every_process(stored):
    """Others went on with what they had read at their start."""
    before = stored.company()
    take_in_systems(stored, *SYSTEMS)
    assert stored.company() is before

    take_in_systems(stored, SYSTEMS[0], (WIKI, "Wiki", "memory", {"of": "handbook"}))

    assert stored.company().epoch > before.epoch


def test_a_system_that_is_listed_no_more_offers_nothing_and_comes_back(stored):
    """All could ask for it, and what was approved there was neither given nor ended."""
    waits = stored.submit()

    def offered() -> bool:
        with stored.database.read() as session:
            rows = session.execute(facts.entitlement_query())
            return any(
                e.available for e in map(facts.to_entitlement, rows) if e.integration.id == PG
            )

    take_in_systems(stored, SYSTEMS[1])
    assert not offered()
    assert waits.id in stored.tick()
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES, stored.now))
    assert not offered()

    take_in_systems(stored, *SYSTEMS)
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES, stored.now))
    assert offered()
