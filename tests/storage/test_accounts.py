"""The access loop's turn: lease, look, order, and what is made of what the system says."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from engine.account import AGAIN, Done, Silence, Wanted, step
from engine.commands import Extend, Return, Revoke
from engine.holdings import Wishes
from engine.port import Outcome, Presence, Report, Secret, Target, Unavailable
from engine.request import GrantId, GrantState, State
from storage import accounts, apply, jobs, sync
from storage.company import Companies
from storage.jobs import JobKind
from storage.secrets import KeyRing, new_key
from storage.tables import (
    AccountRow,
    AuditRow,
    GrantRow,
    IntegrationRow,
    JobRow,
    MessageRow,
)
from tests.support.statements import heard
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DEADLINE,
    DORA,
    ENGINEERS,
    HOUR,
    KEY,
    MINUTE,
    PEOPLE,
    PG,
    WIKI,
    WRITING,
    person,
    table,
)

ORDERS = Target("table", "id:shop.orders", "shop.orders", "read")
HANDBOOK = Target("page", "id:handbook", "handbook", "edit")
SECOND = timedelta(seconds=1)


def login(stored, of=ALICE) -> str:
    return stored.account(of=of).login


def held(stored, system=PG) -> set[str]:
    return {str(t) for targets in stored.systems[system].held.values() for t in targets}


def notices(stored, kind="notice") -> list[tuple[str, str]]:
    return [(m.recipient, m.detail) for m in stored.rows(MessageRow) if m.kind == kind]


def begin(stored, system=PG):
    """Lease the account that is due there, and return what is to be done."""
    ids = [i for i in stored.due() if i == stored.account(system).id]
    (work,) = stored.turn(*ids)
    return work


# --- a life --------------------------------------------------------------------------------------


def test_access_is_given_extended_and_taken_away(stored):
    system = stored.systems[PG]
    request = stored.submit()

    stored.converge()
    assert held(stored) == {"read on shop.orders"}
    assert system.remaining == HOUR
    assert stored.again(request).state is State.ACTIVE

    stored.pass_(50 * MINUTE)
    stored.do(request, Extend(ALICE, 1))
    assert stored.again(request).end_before is not None
    stored.converge()
    assert system.remaining == 40 * MINUTE
    assert stored.again(request).end_before is None

    stored.pass_(40 * MINUTE)
    stored.tick()
    assert stored.again(request).state is State.REVOKING
    stored.converge()
    assert held(stored) == set()
    assert stored.again(request).state is State.EXPIRED
    assert system.calls == ["apply"] * 3
    assert stored.due() == []


BOTH = ("read on shop.orders", "read on shop.customers")
FIRST_KEPT = frozenset({GrantId(0)})


def test_a_part_that_is_returned_is_taken_away_once_the_system_answers(stored):
    request = stored.submit(*BOTH)
    stored.converge()
    ends = stored.again(request).ends_at

    stored.systems[PG].faults = [Unavailable("down")]
    stored.do(request, Return(ALICE, FIRST_KEPT))
    stored.converge()
    assert held(stored) == set(BOTH)
    assert stored.again(request).grants[1].begun
    stored.pass_(MINUTE)
    stored.converge()

    after = stored.again(request)
    assert held(stored) == {BOTH[0]}
    assert (after.state, after.ends_at) == (State.ACTIVE, ends)
    assert not after.grants[1].begun
    stored.do(request, Return(ALICE))
    stored.converge()
    assert held(stored) == set()
    assert stored.again(request).state is State.RETURNED


def test_a_part_that_another_request_wants_stays(stored):
    request, other = stored.submit(*BOTH), stored.submit(BOTH[1], duration=HOUR / 2)
    stored.converge()

    stored.do(request, Return(ALICE, FIRST_KEPT))
    stored.converge()

    assert held(stored) == set(BOTH)
    assert stored.again(request).grants[1].note == (
        f"returned before the rest, still held under {other.code}"
    )
    stored.do(other, Return(ALICE))
    stored.converge()
    assert held(stored) == {BOTH[0]}


def test_a_part_that_another_request_wants_meanwhile_stays(stored):
    request = stored.submit(*BOTH)
    stored.converge()

    stored.do(request, Return(ALICE, FIRST_KEPT))
    other = stored.submit(BOTH[1], duration=HOUR / 2)
    stored.converge()

    assert held(stored) == set(BOTH)
    assert not stored.again(request).grants[1].begun
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.again(request).state is State.RETURNED
    assert held(stored) == {BOTH[1]}
    assert stored.again(other).state is State.ACTIVE


def test_a_longer_end_waits_for_no_system_of_which_all_was_returned(stored):
    request = stored.submit("read on shop.orders", "edit on handbook")
    stored.converge()
    stored.pass_(50 * MINUTE)
    stored.do(request, Extend(ALICE, 1))
    stored.turn(*[i for i in stored.due() if i == stored.account(PG).id])

    stored.do(request, Return(ALICE, FIRST_KEPT))
    stored.converge()

    after = stored.again(request)
    assert (after.end_before, after.end_awaits) == (None, ())
    assert (held(stored), held(stored, WIKI)) == ({"read on shop.orders"}, set())


def test_ledger_is_written_before_the_system_is_called(stored):
    """F2: the timer that ends access was made after the access, or not at all.

    Elsewhere the end was noted after the access was given: some of it never ended.
    """
    request = stored.submit()

    work = begin(stored)

    (grant,) = stored.rows(GrantRow)
    assert grant.begun
    assert stored.again(request).ends_at == stored.now + HOUR
    assert stored.account().lease == stored.instance
    assert stored.secret(stored.account()).reveal() == work.login.password.reveal()


def test_late_confirmation_does_not_eat_the_time(stored):
    request = stored.submit()
    work = begin(stored)
    stored.pass_(10 * MINUTE)

    stored.turn(done=[stored.call(work)])

    assert stored.again(request).ends_at == stored.now + HOUR


def test_several_systems_of_a_request_are_each_brought_in_line(stored):
    request = stored.submit("read on shop.orders", "edit on handbook")
    stored.converge()
    assert (held(stored), held(stored, WIKI)) == ({"read on shop.orders"}, {"edit on handbook"})

    stored.do(request, Return(ALICE))
    stored.converge()

    assert (held(stored), held(stored, WIKI)) == (set(), set())
    assert stored.again(request).state is State.RETURNED


def test_revoke_while_a_call_is_in_flight_takes_effect_after_it(stored):
    request = stored.submit()
    work = begin(stored)
    stored.do(request, Revoke(ADA))

    stored.turn(done=[stored.call(work)])
    assert held(stored) == {"read on shop.orders"}
    assert stored.again(request).state is State.REVOKING
    stored.converge()

    assert held(stored) == set()
    assert stored.again(request).state is State.REVOKED


def test_refused_extension_keeps_the_old_end(stored):
    request = stored.submit()
    stored.converge()
    end = stored.again(request).ends_at
    stored.systems[PG].end_refused = "the account is locked"

    stored.do(request, Extend(ALICE, 1))
    stored.converge()

    assert stored.again(request).ends_at == end
    assert stored.again(request).extensions_used == 0
    assert [to for to, _ in notices(stored)] == [ALICE]


def test_what_is_wanted_of_many_at_once_is_stored_as_the_core_says(stored):
    stored.submit()
    stored.systems[PG].faults = [Unavailable("down")]
    stored.converge()
    before = accounts.load(stored.account(), stored.keys)
    stored.pass_(MINUTE)

    stored.write(lambda tx, _: apply.bump(tx, [before.id], stored.now))

    wanted = step(before, Wanted(), Wishes(before.id), stored.now).account
    assert accounts.load(stored.account(), stored.keys) == wanted
    assert before.attempts == 1


# --- overlaps and what was there before ----------------------------------------------------------


def test_first_of_two_requests_ends_without_a_call(stored):
    """Elsewhere the first of two overlapping grants to end took the access from both."""
    first = stored.submit()
    stored.converge()
    stored.pass_(30 * MINUTE)
    second = stored.submit(duration=2 * HOUR)
    stored.converge()
    calls = len(stored.systems[PG].calls)

    stored.pass_(30 * MINUTE)
    stored.tick()

    ended = stored.again(first)
    assert ended.state is State.EXPIRED
    assert ended.grants[0].note == f"still held under {second.code}"
    stored.converge()
    assert held(stored) == {"read on shop.orders"}
    assert len(stored.systems[PG].calls) - calls <= 1  # to tell the login's end, if at all

    stored.pass_(2 * HOUR)
    stored.tick()
    stored.converge()
    assert held(stored) == set()


def test_end_that_another_request_takes_over_needs_no_call(stored):
    first = stored.submit()
    stored.converge()
    second = stored.submit(duration=2 * HOUR)
    stored.converge()
    calls = list(stored.systems[PG].calls)

    stored.do(first, Return(ALICE))
    stored.tick()

    assert stored.again(first).state is State.RETURNED
    assert stored.again(second).state is State.ACTIVE
    assert stored.systems[PG].calls == calls


def test_access_that_was_there_before_stays(stored):
    request = stored.submit("edit on handbook")
    stored.systems[WIKI].held[stored.account(WIKI).login] = {HANDBOOK}

    stored.converge()
    assert stored.again(request).state is State.ACTIVE
    assert stored.again(request).grants[0].standing is True
    assert stored.systems[WIKI].calls == ["inspect"]
    assert [to for to, _ in notices(stored)] == [ALICE]
    assert [to for to, _ in notices(stored, "alarm")] == [ADA]

    stored.pass_(HOUR)
    stored.tick()
    stored.converge()
    assert held(stored, WIKI) == {"edit on handbook"}
    assert stored.again(request).grants[0].note == "It was there before, and stays."
    assert stored.systems[WIKI].calls == ["inspect"]


def test_what_latchkey_gave_is_not_looked_at_again(stored):
    """A second request must not find the first one's access and take it for standing."""
    stored.submit("edit on handbook")
    stored.converge()
    second = stored.submit("edit on handbook", duration=2 * HOUR)
    stored.converge()

    assert stored.again(second).grants[0].standing is False
    assert stored.systems[WIKI].calls.count("inspect") == 1


def test_what_is_being_taken_away_is_not_looked_at_as_somebody_elses(stored):
    """A table's access was seen that a schema's had brought, which was just ending: it was
    recorded as standing, and stayed when both had ended.
    """
    first = stored.submit("edit on handbook")
    stored.converge()
    stored.do(first, Return(ALICE))
    second = stored.submit("edit on runbook")

    work = begin(stored, WIKI)

    assert stored.again(first).state is State.REVOKING
    assert stored.again(second).grants[0].standing is None
    assert [target.path for target in work.look.values()] == ["runbook"]
    assert [target.path for target in work.given] == ["handbook"]


def test_look_that_saw_nothing_is_repeated(stored):
    request = stored.submit("edit on handbook")
    work = begin(stored, WIKI)
    assert work.order is None

    unclear = {HANDBOOK: Outcome(Presence.UNKNOWN, "half an answer")}
    assert stored.turn(done=[Done(work, unclear)]) == []

    assert stored.again(request).grants[0].standing is None
    assert stored.account(WIKI).attempts == 1
    stored.pass_(SECOND)
    stored.converge()
    assert stored.again(request).state is State.ACTIVE


def test_newcomer_during_the_look_is_looked_at_in_its_turn(stored):
    first = stored.submit("edit on handbook")
    work = begin(stored, WIKI)
    look = stored.call(work)
    second = stored.submit("edit on runbook")

    works = stored.turn(done=[look])
    assert stored.again(first).grants[0].standing is False
    assert stored.again(second).grants[0].standing is None
    while works:
        works = stored.turn(done=[stored.call(w) for w in works])
    stored.converge()

    assert held(stored, WIKI) == {"edit on handbook", "edit on runbook"}
    assert stored.again(second).grants[0].standing is False


@pytest.mark.parametrize("kind", ["postgresql"])  # on SQLite nobody writes between
def test_newcomer_between_look_and_begin_waits_for_its_turn(stored, other):
    """It was submitted before the turn, so that this showed nothing.

    Somebody asks for the same account after the turn has locked the requests, and before it locks
    the account: what the turn knows is not all, and it must not call the account done.
    """
    first = stored.submit("edit on handbook")
    look = stored.call(begin(stored, WIKI))
    newcomers = []

    def come(words, _values) -> None:
        if not newcomers and "account" in words and "FOR NO KEY UPDATE" in words:
            newcomers.append(other.submit("edit on runbook"))

    with heard(stored.database, come):
        works = stored.turn(done=[look])

    (second,) = newcomers
    assert works == []
    assert stored.again(first).grants[0].standing is False
    assert stored.again(first).state is State.GRANTING
    stored.converge()
    assert held(stored, WIKI) == {"edit on handbook", "edit on runbook"}
    assert {stored.again(r).state for r in (first, second)} == {State.ACTIVE}


# --- faults --------------------------------------------------------------------------------------


def test_refused_entitlement_fails_and_the_rest_works(stored):
    stored.systems[PG].refused = {"write"}
    request = stored.submit("read on shop.orders", "write on shop.orders", flow=WRITING)
    stored.approve(request)

    stored.converge()

    now = stored.again(request)
    assert now.state is State.ACTIVE
    assert [g.state for g in now.grants] == [GrantState.HELD, GrantState.REFUSED]
    assert [to for to, _ in notices(stored)] == [ALICE]
    assert [to for to, _ in notices(stored, "alarm")] == [ADA]


def test_request_of_which_all_is_refused_fails(stored):
    stored.systems[PG].refused = {"read"}
    request = stored.submit()

    stored.converge()

    assert stored.again(request).state is State.FAILED


@pytest.mark.parametrize("also", [(), ("read on shop.orders",)], ids=["failed", "active"])
def test_what_a_refusing_system_gave_all_the_same_is_taken_away(stored, also):
    """Ten tables of a schema stayed readable for ever, because it refused the eleventh."""
    stored.systems[PG].refused, stored.systems[PG].leaves_some = {"write"}, True
    request = stored.submit(*also, "write on shop.orders", flow=WRITING)
    stored.approve(request)
    work = begin(stored)

    stored.turn(done=[stored.call(work)])
    assert "write on shop.orders" in held(stored)
    assert stored.again(request).state is (State.ACTIVE if also else State.REVOKING)
    assert stored.again(request).grants[-1].begun
    stored.converge()

    assert held(stored) == set(also)
    assert stored.again(request).state is (State.ACTIVE if also else State.FAILED)
    assert not stored.again(request).grants[-1].begun
    assert stored.due() == []


def test_system_that_is_down_is_tried_with_growing_pauses_and_one_alarm(stored):
    stored.submit()
    stored.systems[PG].faults = [Unavailable("connection refused")] * 12
    pauses = []

    for _ in range(12):
        stored.converge()
        assert len(notices(stored, "alarm")) == (1 if len(pauses) >= 2 else 0)
        pauses.append((stored.account().due_at - stored.now).total_seconds())
        stored.pass_(timedelta(seconds=pauses[-1]))

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert "connection refused" in notices(stored, "alarm")[0][1]
    stored.converge()
    assert held(stored) == {"read on shop.orders"}
    assert stored.account().attempts == 0


def test_what_is_wanted_anew_begins_with_a_short_pause(stored):
    """Whoever returned access in a bad hour of the system waited as long as the hour's last try."""
    request = stored.submit()
    stored.systems[PG].faults = [Unavailable("connection refused")] * 7
    for _ in range(6):
        stored.converge()
        stored.pass_(MINUTE)

    stored.do(request, Return(ALICE))
    stored.converge()

    assert stored.account().due_at - stored.now == SECOND


def test_what_an_account_holds_after_its_end_is_looked_at_two_seconds_later(stored):
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    stored.converge()

    (job,) = (j for j in stored.rows(JobRow) if j.kind == JobKind.RECONCILE_ACCOUNT)
    assert (job.subject, job.due_at) == (str(stored.account().id), stored.now + 2 * SECOND)


def test_a_look_at_one_account_lets_ends_go_first_for_a_minute(stored):
    """Of 10,000 ends at once each was followed by such a look, before the others had ended."""

    def due():
        return jobs.due(stored.database, stored.now, 10).keys() & looks

    over, other = stored.submit(by=BOB), stored.submit(by=ALICE)
    stored.converge()
    stored.do(over, Return(BOB))
    stored.converge()
    looks = {j.id for j in stored.rows(JobRow) if j.kind == JobKind.RECONCILE_ACCOUNT}
    stored.do(other, Return(ALICE))
    stored.pass_(2 * SECOND)
    assert not due()

    stored.pass_(MINUTE)

    assert due() == looks


def test_ends_go_before_grants(stored):
    """They waited until all was given that had been asked for before."""
    ending = stored.submit(by=BOB)
    stored.converge()
    stored.submit(by=ALICE)
    stored.pass_(SECOND)
    stored.do(ending, Return(BOB))
    bob, alice = stored.account(of=BOB).id, stored.account(of=ALICE).id

    assert stored.due() == [bob, alice]
    ends = [d.ends for d in accounts.due(stored.database, stored.instance, stored.now)]
    assert ends == [True, False]

    stored.systems[PG].faults = [Unavailable("away")] * 2
    stored.converge()
    assert stored.account(of=BOB).priority == 0
    stored.pass_(SECOND)
    stored.converge()
    assert stored.account(of=BOB).priority == 1
    assert stored.again(ending).state is State.RETURNED


def test_what_was_refused_half_way_ends_first_too(stored):
    stored.systems[PG].refused, stored.systems[PG].leaves_some = {"write"}, True
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.approve(request)
    stored.turn(done=[stored.call(begin(stored))])

    assert stored.account().priority == 0


def test_systems_without_room_are_left_out(stored):
    stored.submit("read on shop.orders", "edit on handbook")
    ending = stored.submit("read on shop.orders", by=BOB)
    stored.converge()
    stored.submit("read on shop.customers", by=DORA)
    stored.submit("edit on handbook", by=DORA)
    stored.do(ending, Return(BOB))

    def due(**left_out):
        found = accounts.due(stored.database, stored.instance, stored.now, **left_out)
        return sorted(((d.integration, d.ends) for d in found), key=lambda d: (not d[1], d[0]))

    assert due() == [(PG, True), (PG, False), (WIKI, False)]
    assert due(for_ends=[PG]) == [(PG, True), (WIKI, False)]
    assert due(full=[PG]) == [(WIKI, False)]
    assert due(full=[PG], for_ends=[WIKI]) == []


def test_of_many_that_are_due_fifty_are_taken_at_once(stored):
    crowd = [person(f"p{n}", ENGINEERS) for n in range(51)]
    stored.take_in([*PEOPLE, *crowd], held=False)
    for one in crowd:
        stored.submit(by=one.id)

    assert len(accounts.due(stored.database, stored.instance, stored.now)) == 50


def test_of_a_system_that_is_silent_each_account_is_tried_in_turn(stored):
    """None is worse than another: no pause grows, and one alarm speaks for all."""
    silence = Silence(1, SECOND)
    for who in (ALICE, BOB):
        stored.submit(by=who)
    tried = []
    for times in range(1, 6):
        (first,) = accounts.longest_due(stored.database, stored.instance, stored.now, PG)
        tried.append(first.account)
        (work,) = stored.turn(first.account)
        failed = Done(work, Unavailable("away"), replace(silence, times=times))
        stored.turn(done=[failed])
        stored.pass_(SECOND)

    alice, bob = stored.account(of=ALICE), stored.account(of=BOB)
    assert tried == [alice.id, bob.id, alice.id, bob.id, alice.id]
    assert (alice.attempts, bob.attempts) == (0, 0)
    (alarm,) = notices(stored, "alarm")
    assert "the access of Alice, and of 1 more, could not" in alarm[1]
    assert [r.action for r in stored.rows(AuditRow)].count("delayed") == 3


def test_end_is_reached_however_long_the_system_is_down(stored):
    """Elsewhere the revoker gave up after six tries, and the access stayed."""
    request = stored.submit()
    stored.converge()
    stored.systems[PG].faults = [Unavailable("down")] * 30
    stored.pass_(HOUR)
    stored.tick()

    for _ in range(31):
        stored.converge()
        assert stored.again(request).state in {State.REVOKING, State.EXPIRED}
        stored.pass_(5 * MINUTE)

    assert held(stored) == set()
    assert stored.again(request).state is State.EXPIRED


def test_access_that_is_still_there_is_not_called_ended(stored):
    """F4: a revoke that failed was the last word, and the access stayed."""
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    work = begin(stored)

    stored.turn(done=[Done(work, Report({ORDERS: Outcome(Presence.HELD)}))])

    assert stored.again(request).state is State.REVOKING
    assert stored.account().attempts == 1


def test_login_dropped_by_hand_is_made_anew(stored):
    first = stored.submit()
    stored.converge()
    before = stored.secret(stored.account()).reveal()
    stored.systems[PG].held.clear()
    stored.systems[PG].passwords.clear()

    stored.submit("read on shop.customers")
    stored.converge()
    stored.pass_(SECOND)
    stored.converge()

    assert held(stored) == {"read on shop.orders", "read on shop.customers"}
    after = stored.secret(stored.account()).reveal()
    assert stored.systems[PG].passwords == {login(stored): after}
    assert after != before
    assert stored.again(first).state is State.ACTIVE


def test_requestor_who_no_longer_qualifies_is_refused_at_the_grant(stored):
    request = stored.submit()
    people = [replace(p, groups=p.groups - {ENGINEERS}) for p in PEOPLE]
    stored.take_in(people)

    stored.converge()

    now = stored.again(request)
    assert now.state is State.FAILED
    assert "no longer open to Alice" in now.grants[0].note
    assert stored.systems[PG].calls == []


def test_resource_that_has_gone_is_refused_at_the_grant(stored):
    request = stored.submit()
    stored.write(lambda tx, _: sync.inventory(tx, PG, [table("shop.customers")], stored.now))

    stored.converge()

    assert stored.again(request).state is State.FAILED
    assert stored.systems[PG].calls == []


def test_system_that_is_out_of_order_waits_for_whoever_has_it(stored, other):
    """It was put off by five minutes, for all replicas, by the one that had it not."""
    request = stored.submit()
    kinds, stored.kinds = stored.kinds, {}

    stored.converge()

    assert stored.account().lease is None
    assert stored.account().due_at == stored.now + AGAIN
    other.kinds = kinds
    other.pass_(AGAIN)
    other.converge()
    assert stored.again(request).state is State.ACTIVE


# --- faults that last until somebody mends them ---------------------------------------------------

CURE = "Latchkey may not give SELECT on shop.orders. Cure: GRANT owner TO latchkey;"


def tries(stored, times: int) -> None:
    for _ in range(times):
        stored.converge()
        stored.pass_(5 * MINUTE)


def test_what_will_not_be_given_is_refused_after_three_equal_answers_and_told(stored):
    """It was tried until the request lapsed, and nobody was told what would help."""
    stored.systems[PG].lasting = {"shop.orders": CURE}
    request = stored.submit()

    tries(stored, 2)
    assert stored.again(request).state is State.GRANTING
    tries(stored, 1)
    stored.converge()

    assert stored.again(request).state is State.FAILED
    assert stored.again(request).grants[0].note == CURE
    said = [(to, said) for to, said in notices(stored) + notices(stored, "alarm") if CURE in said]
    assert [to for to, _ in said] == [ALICE, ADA]
    assert "without end" not in str(notices(stored, "alarm"))
    assert stored.due() == []

    stored.systems[PG].lasting = {}
    again = stored.submit()
    stored.converge()
    assert stored.again(again).state is State.ACTIVE


def test_only_what_will_not_be_given_is_refused(stored):
    stored.systems[PG].lasting = {"shop.customers": CURE}
    request = stored.submit("read on shop.orders", "read on shop.customers")

    tries(stored, 4)

    states = [g.state for g in stored.again(request).grants]
    assert (stored.again(request).state, states) == (
        State.ACTIVE,
        [GrantState.HELD, GrantState.REFUSED],
    )
    assert held(stored) == {"read on shop.orders"}
    assert stored.due() == []


@pytest.mark.parametrize("between", [Unavailable("down"), Unavailable("else", lasting=True)])
def test_another_answer_starts_the_count_anew(stored, between):
    stored.systems[PG].lasting = {"shop.orders": CURE}
    request = stored.submit()
    tries(stored, 2)
    stored.systems[PG].faults = [between]

    tries(stored, 3)
    assert stored.again(request).state is State.GRANTING
    tries(stored, 2)
    assert stored.again(request).state is State.FAILED


def test_a_system_that_takes_no_call_refuses_what_was_begun_when_it_is_seen_absent(stored):
    """What was begun may be there: it is called failed only when somebody has looked."""
    request = stored.submit()
    stored.systems[PG].faults = [Unavailable(CURE, lasting=True)] * 6

    tries(stored, 5)
    assert stored.again(request).state is State.REVOKING
    tries(stored, 1)

    assert stored.again(request).state is State.FAILED
    assert stored.again(request).grants[0].note == CURE


def test_what_cannot_even_be_looked_at_is_refused_and_was_never_begun(stored):
    request = stored.submit("edit on handbook")
    stored.systems[WIKI].faults = [Unavailable(CURE, lasting=True)] * 3

    tries(stored, 3)

    now = stored.again(request)
    assert (now.state, now.grants[0].ever_begun) == (State.FAILED, False)
    assert stored.systems[WIKI].calls == ["inspect"] * 3
    assert stored.due() == []


def test_an_end_is_never_refused_for_good(stored):
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    stored.systems[PG].faults = [Unavailable(CURE, lasting=True)] * 20

    tries(stored, 20)
    assert stored.again(request).state is State.REVOKING
    assert len([said for _, said in notices(stored, "alarm") if CURE in said]) == 1
    tries(stored, 1)

    assert stored.again(request).state is State.RETURNED
    assert held(stored) == set()


def test_what_is_held_is_not_refused_because_its_end_cannot_be_told(stored):
    request = stored.submit()
    stored.converge()
    stored.do(request, Extend(ALICE, 1))
    stored.systems[PG].lasting = {"shop.orders": CURE}

    tries(stored, 5)

    assert stored.again(request).state is State.ACTIVE
    assert stored.again(request).grants[0].state is GrantState.HELD


# --- a system in which Latchkey is not alone ------------------------------------------------------


def test_an_end_that_others_kept_from_being_certain_is_looked_at_once_more(stored):
    """A grant of a worker that was paused committed after its end, and was never seen."""
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    stored.systems[PG].alone = False

    stored.converge()
    assert held(stored) == set()
    assert stored.again(request).state is State.REVOKING
    stored.systems[PG].held[login(stored)].add(ORDERS)  # the paused call takes effect
    stored.pass_(DEADLINE - SECOND)
    assert stored.due() == []

    stored.pass_(SECOND)
    stored.converge()
    assert held(stored) == set()
    assert stored.again(request).state is State.RETURNED, "a lock that is held for ever keeps none"
    assert notices(stored, "alarm") == []
    assert stored.due() == []


def test_a_call_that_was_lost_meanwhile_has_its_own_time(stored):
    request = stored.submit()
    stored.converge()
    stored.systems[PG].alone = False
    stored.do(request, Return(ALICE))
    stored.converge()
    another = stored.submit()
    stored.pass_(DEADLINE - SECOND)
    work = begin(stored)
    assert work.order.wanted
    stored.turn(done=[Done(work, Unavailable("it broke off"))])
    stored.do(another, Return(ALICE))

    stored.pass_(SECOND)
    stored.converge()
    assert stored.again(another).state is State.REVOKING
    stored.pass_(DEADLINE)
    stored.converge()
    assert stored.again(another).state is State.RETURNED


def test_a_grant_is_not_held_up_by_others(stored):
    stored.systems[PG].alone = False
    request = stored.submit()

    stored.converge()

    assert stored.again(request).state is State.ACTIVE
    assert stored.due() == []


# --- secrets -------------------------------------------------------------------------------------


def test_password_is_made_once_and_kept_through_a_life(stored):
    stored.submit()
    work = begin(stored)
    password = work.login.password.reveal()
    assert len(password) == 32
    stored.turn(done=[stored.call(work)])
    assert stored.account().secret_set

    stored.submit("read on shop.customers")
    again = begin(stored)

    assert again.login.password is None
    stored.turn(done=[stored.call(again)])
    assert stored.systems[PG].passwords == {login(stored): password}
    assert stored.secret(stored.account()).reveal() == password


def test_password_is_given_again_until_the_system_has_confirmed_it(stored):
    stored.submit()
    stored.systems[PG].faults = [Unavailable("it broke off")]
    first = begin(stored)
    stored.turn(done=[stored.call(first)])
    stored.pass_(SECOND)

    second = begin(stored)

    assert second.login.password.reveal() == first.login.password.reveal()
    assert not stored.account().secret_set


def forget(tx, stored, account) -> bool:
    return accounts.forget_secret(tx, stored.desk, account, stored.now)


def seen(stored, of=ALICE) -> None:
    """The grantee has looked at the password."""
    with stored.database.write() as tx:
        mine = col(AccountRow.id) == stored.account(of=of).id
        tx.execute(update(AccountRow).where(mine).values(shown_at=stored.now))


def test_regrant_sets_no_password_that_the_grantee_knows(stored):
    request = stored.submit()
    stored.converge()
    seen(stored)
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.account().secret is None
    passwords = dict(stored.systems[PG].passwords)

    stored.submit()
    work = begin(stored)
    assert work.login.password is None
    stored.turn(done=[stored.call(work)])

    assert stored.account().secret is None
    assert stored.systems[PG].passwords == passwords


def test_regrant_sets_a_password_that_was_never_shown(stored):
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.account().secret is None

    stored.submit()
    stored.converge()

    password = stored.secret(stored.account()).reveal()
    assert stored.systems[PG].passwords == {login(stored): password}


def test_saved_password_is_forgotten_and_not_replaced(stored):
    stored.submit()
    stored.converge()
    seen(stored)
    stored.write(lambda tx, _: forget(tx, stored, stored.account().id))
    assert stored.account().secret is None

    stored.submit("read on shop.customers")
    work = begin(stored)

    assert work.login.password is None
    assert stored.account().secret is None


def test_password_that_the_system_lacks_is_not_forgotten(stored):
    stored.submit()
    begin(stored)

    stored.write(lambda tx, _: forget(tx, stored, stored.account().id))

    assert stored.account().secret is not None


def test_reset_sets_a_new_password_and_leaves_the_access(stored):
    stored.submit()
    stored.converge()
    seen(stored)
    old = stored.secret(stored.account()).reveal()

    made = stored.write(
        lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now)
    )
    stored.converge()

    assert stored.systems[PG].passwords == {login(stored): made.reveal()}
    assert made.reveal() != old
    assert stored.account().secret_set
    assert stored.account().shown_at is None
    assert held(stored) == {"read on shop.orders"}


def test_reset_during_a_call_is_not_lost(stored):
    stored.submit()
    stored.converge()
    stored.submit("read on shop.customers")
    work = begin(stored)
    made = stored.write(
        lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now)
    )

    stored.turn(done=[stored.call(work)])
    assert not stored.account().secret_set
    stored.converge()

    assert stored.systems[PG].passwords == {login(stored): made.reveal()}


def test_login_that_does_not_exist_has_nothing_to_reset(stored):
    stored.submit()

    made = stored.write(
        lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now)
    )

    assert made is None


def test_password_under_a_lost_key_is_made_anew(stored):
    stored.submit()
    stored.systems[PG].faults = [Unavailable("down")]
    stored.converge()
    stored.keys = KeyRing([new_key()])
    assert stored.secret(stored.account()) is None
    stored.pass_(SECOND)

    stored.converge()

    password = stored.secret(stored.account()).reveal()
    assert stored.systems[PG].passwords == {login(stored): password}


def test_password_under_an_older_key_of_the_ring_stays(stored):
    stored.submit()
    stored.converge()
    before = stored.secret(stored.account()).reveal()

    stored.keys = KeyRing([new_key(), KEY])

    assert stored.secret(stored.account()).reveal() == before


PROOF = Report({ORDERS: Outcome(Presence.HELD)}, proof=Secret("what the server keeps of it"))


def test_proof_of_the_password_is_given_with_each_order_after(stored):
    """A password that the grantee had set themselves survived to the next access."""
    request = stored.submit()
    work = begin(stored)
    assert work.login.proof is None
    stored.turn(done=[Done(work, PROOF)])
    seen(stored)
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.account().secret is None
    assert PROOF.proof.reveal().encode() not in stored.account().proof

    stored.submit()
    again = begin(stored)

    assert again.login.password is None
    assert again.login.proof.reveal() == PROOF.proof.reveal()


def test_proof_goes_with_its_password(stored):
    stored.submit()
    stored.turn(done=[Done(begin(stored), PROOF)])

    stored.write(lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now))

    assert stored.account().proof is None


def test_proof_of_a_password_that_was_reset_meanwhile_is_not_kept(stored):
    stored.submit()
    stored.converge()
    stored.submit("read on shop.customers")
    (work,) = stored.turn(done=[stored.call(begin(stored))])
    stored.write(lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now))

    report = replace(stored.call(work).result, proof=PROOF.proof)
    stored.turn(done=[Done(work, report)])

    assert stored.account().proof is None


def test_proof_is_no_secret_of_another_kind_or_row(stored):
    stored.submit()
    stored.submit(by=BOB)
    for _ in range(2):
        (work,) = stored.turn(stored.due()[0])
        stored.turn(done=[Done(work, PROOF)])
    mine, bobs = stored.account(), stored.account(of=BOB)
    assert accounts.open_proof(mine, stored.keys).reveal() == PROOF.proof.reveal()

    mine.secret, bobs.proof = mine.proof, mine.proof

    assert stored.secret(mine) is None
    assert accounts.open_proof(bobs, stored.keys) is None


def test_password_that_nobody_knows_any_more_is_made_anew_and_shown(stored):
    """The connector asks for one: without, the login would open with whatever was set there."""
    request = stored.submit()
    stored.converge()
    seen(stored)
    stored.do(request, Return(ALICE))
    stored.converge()
    request = stored.submit()
    (work,) = stored.turn(done=[stored.call(begin(stored))])
    unknown = {ORDERS: Outcome(Presence.ABSENT)}

    stored.turn(done=[Done(work, Report(unknown, login_missing=True))])
    assert stored.account().made, "what stands on a login that is there is looked at first"
    stored.pass_(SECOND)
    stored.converge()

    password = stored.secret(stored.account()).reveal()
    assert stored.systems[PG].passwords == {login(stored): password}
    assert stored.again(request).state is State.ACTIVE


def test_password_that_was_reset_while_the_login_was_found_missing_stays(stored):
    """It was replaced by one that the grantee never saw, while they looked at theirs."""
    stored.submit()
    stored.converge()
    stored.submit("read on shop.customers")
    (work,) = stored.turn(done=[stored.call(begin(stored))])
    made = stored.write(
        lambda tx, _: accounts.reset(tx, stored.desk, stored.account().id, stored.now)
    )
    stored.systems[PG].held.clear()

    stored.turn(done=[stored.call(work)])
    stored.pass_(SECOND)
    stored.converge()

    assert stored.systems[PG].passwords == {login(stored): made.reveal()}


# --- which server --------------------------------------------------------------------------------


def test_targets_name_the_server_that_gave_their_numbers(stored):
    stored.write(lambda tx, _: tx.execute(update(IntegrationRow).values(server="pg/1/1")))
    stored.companies = Companies()
    stored.submit("edit on handbook")

    look = begin(stored, WIKI)
    (order,) = stored.turn(done=[stored.call(look)])

    assert {t.server for t in (*look.look.values(), *order.order.wanted)} == {"pg/1/1"}


# --- paused --------------------------------------------------------------------------------------


def pause(stored, *, paused) -> None:
    stored.write(lambda tx, _: sync.pause(tx, ADA, stored.now, paused=paused))
    stored.wake_touched()


@pytest.mark.parametrize("what", ["read on shop.orders", "edit on handbook"])
def test_paused_begins_nothing_until_it_is_resumed(stored, what):
    request = stored.submit(what)
    pause(stored, paused=True)

    stored.converge()
    assert all(s.calls == [] for s in stored.systems.values())
    assert stored.again(request).state is State.GRANTING
    pause(stored, paused=False)
    stored.converge()

    assert stored.again(request).state is State.ACTIVE


def test_paused_still_takes_access_away(stored):
    request = stored.submit()
    stored.converge()
    waiting = stored.submit("read on shop.customers")
    pause(stored, paused=True)

    stored.do(request, Return(ALICE))
    stored.converge()

    assert held(stored) == set()
    assert stored.again(request).state is State.RETURNED
    assert stored.again(waiting).state is State.GRANTING


def test_who_begins_nothing_ends_access_and_leaves_the_rest_to_others(stored):
    """A command that ends access, and is gone then, would leave behind what nobody ends."""
    request = stored.submit()
    stored.converge()
    waiting = stored.submit("read on shop.customers")
    stored.do(request, Return(ALICE))
    stored.begins = False

    stored.converge()

    assert held(stored) == set()
    assert stored.again(request).state is State.RETURNED
    assert stored.again(waiting).state is State.GRANTING
    stored.begins = True
    stored.pass_(AGAIN)
    stored.converge()
    assert stored.again(waiting).state is State.ACTIVE


# --- several processes ---------------------------------------------------------------------------


def test_account_in_work_is_nobody_elses(stored, other):
    stored.submit()
    begin(stored)

    assert other.due() == []
    assert other.turn(stored.account().id) == []


def test_account_of_a_dead_process_is_taken_over_in_doubt(stored, other):
    """Nothing is called ended before the dead one's call can no longer change the system."""
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    begin(stored)
    stored.dies()

    other.converge()
    assert other.again(request).state is State.REVOKING
    assert other.due() == []
    stored.systems[PG].held[login(stored)].add(ORDERS)  # the dead one's call takes effect late
    other.pass_(DEADLINE - SECOND)
    assert other.due() == []

    other.pass_(SECOND)
    other.converge()
    assert held(stored) == set()
    assert other.again(request).state is State.RETURNED
    assert other.account().unknown_until is None


def test_a_doubt_lasts_no_longer_when_the_clock_is_set_back(stored, other):
    """The account stayed in doubt, and its request open, until the clock had caught up."""
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    begin(stored)
    stored.dies()
    other.converge()

    other.pass_(-HOUR)
    other.converge()
    assert other.again(request).state is State.REVOKING
    other.pass_(DEADLINE)
    other.converge()

    assert other.again(request).state is State.RETURNED
    assert other.account().unknown_until is None


def test_grant_of_a_dead_process_is_finished(stored, other):
    request = stored.submit()
    work = begin(stored)
    stored.dies()

    other.converge()
    assert other.again(request).state is State.ACTIVE
    assert other.systems[PG].passwords == {login(stored): work.login.password.reveal()}

    other.pass_(DEADLINE)
    other.converge()
    assert other.due() == []
    assert other.account().unknown_until is None


def test_own_lease_that_nobody_works_on_is_taken_up_in_doubt(stored):
    """A write-back failed: what the call did, nobody has stored."""
    stored.submit()
    begin(stored)
    account = stored.account()
    busy = [account.id]
    assert accounts.due(stored.database, stored.instance, stored.now, busy=busy) == []
    assert stored.due() == [account.id]

    stored.turn(account.id)

    assert stored.account().unknown_until == stored.now + DEADLINE


def test_work_of_a_process_thought_dead_changes_nothing_but_doubt(stored, other):
    request = stored.submit()
    work = begin(stored)
    stored.dies()
    (taken,) = other.turn(*other.due())
    before = stored.account()

    stored.turn(done=[stored.call(work)])

    row = stored.account()
    assert row.lease == other.instance
    assert row.wanted == before.wanted + 1
    assert row.unknown_until == stored.now + DEADLINE
    assert stored.again(request).state is State.GRANTING
    other.turn(done=[other.call(taken)])
    other.converge()
    other.pass_(DEADLINE)
    other.converge()
    assert other.again(request).state is State.ACTIVE
    assert other.due() == []


def test_look_of_a_process_thought_dead_is_not_believed(stored, other):
    stored.submit("edit on handbook")
    work = begin(stored, WIKI)
    stored.dies()
    other.turn(*other.due())

    assert stored.turn(done=[stored.call(work)]) == []

    assert stored.account(WIKI).lease == other.instance


def test_of_three_processes_one_leases_an_account(crew, stored, url):
    for by in (ALICE, BOB):
        stored.submit(by=by)
        stored.submit("edit on handbook", by=by)
    due = stored.due()
    assert len(due) == 4

    taken = crew.race("lease", url)

    assert sorted(id_ for ids in taken for id_ in ids) == sorted(due)


def test_one_turn_may_be_about_several_accounts(stored):
    stored.submit("read on shop.orders", "edit on handbook")
    works = stored.turn(*stored.due())
    assert {w.integration for w in works} == {PG, WIKI}
    while works:
        works = stored.turn(done=[stored.call(w) for w in works])

    assert (held(stored), held(stored, WIKI)) == ({"read on shop.orders"}, {"edit on handbook"})


def test_notes_for_the_operator_are_in_the_audit(stored):
    stored.submit()
    work = begin(stored)
    report = Report({ORDERS: Outcome(Presence.HELD)}, notes=("3 tables went to their owner",))

    stored.turn(done=[Done(work, report)])

    (noted,) = [r for r in stored.rows(AuditRow) if r.action == "noted"]
    assert noted.body == {"account": login(stored), "note": "3 tables went to their owner"}


def test_password_saved_before_the_system_has_it_is_forgotten_once_it_has(stored):
    """It was saved in the moment before the write-back, and shown to whoever looked after that."""
    stored.submit()
    stored.converge()
    account = stored.account().id
    stored.write(lambda tx, _: accounts.reset(tx, stored.desk, account, stored.now))

    assert not stored.write(lambda tx, _: forget(tx, stored, account))
    assert stored.account().secret

    stored.converge()
    assert stored.write(lambda tx, _: forget(tx, stored, account))
    assert stored.account().secret is None


@pytest.mark.parametrize("part", ["faults", "found"])
def test_of_a_login_the_part_that_cannot_be_read_is_said_and_no_other(stored, part):
    stored.submit()
    stored.systems[PG].faults = [Unavailable("down")]
    stored.converge()
    assert list(stored.database.unread.take()) == []
    with stored.database.write() as tx:
        tx.execute(update(AccountRow).values({part: [7]}))

    stored.pass_(MINUTE)
    stored.converge()

    (finding,) = stored.database.unread.take()
    assert login(stored) in finding.sentence
    assert held(stored) == {"read on shop.orders"}
