"""What starts later, as it is stored: the same once, due at its start, on every replica."""

from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError

from engine.commands import Cancel, Withdraw
from engine.directory import PersonStatus
from engine.request import State
from storage import apply, audit, clock, facts, sync
from storage.tables import MessageRow, RequestRow
from tests.support.stored import (
    ALICE,
    DAN,
    ENGINEERS,
    HOUR,
    MINUTE,
    PEOPLE,
    PG,
    START,
    WRITING,
    account,
    is_in,
    person,
    reading,
    writing,
)

NINE = START + timedelta(hours=24)


def due(stored):
    return clock.due(stored.database, stored.now, 9)


def row(stored, request) -> RequestRow:
    return next(r for r in stored.rows(RequestRow) if r.id == request.id)


def scheduled(stored, **more):
    """ALICE asks for tomorrow at nine, DAN approves."""
    request = stored.submit("write on shop.orders", flow=WRITING, starts_at=NINE, **more)
    stored.approve(request)
    assert stored.again(request).state is State.SCHEDULED
    return request


def test_it_is_due_at_the_reminder_and_at_its_start_and_never_before(stored):
    request = scheduled(stored)
    stored.now = NINE - 16 * MINUTE
    assert due(stored) == []

    stored.pass_(MINUTE)
    assert stored.tick() == [request.id]
    cards = [r for r in stored.rows(MessageRow) if r.recipient == ALICE and r.kind == "request"]
    assert [r.news for r in cards] == ["reminded"]
    assert due(stored) == []

    stored.now = NINE - timedelta(microseconds=1)
    assert due(stored) == []
    stored.now = NINE
    assert stored.tick() == [request.id]
    stored.converge()
    active = stored.again(request)
    assert (active.state, active.ends_at) == (State.ACTIVE, NINE + HOUR)
    assert stored.systems[PG].held


def test_what_nobody_has_to_approve_waits_for_its_start_too(stored):
    request = stored.submit(starts_at=NINE)
    stored.converge()
    assert (request.state, due(stored)) == (State.SCHEDULED, [])

    stored.now = NINE
    stored.tick()
    stored.converge()
    assert stored.again(request).state is State.ACTIVE


def test_the_same_for_the_same_start_is_found_and_for_another_is_another(stored):
    first = stored.submit(starts_at=NINE)

    with pytest.raises(IntegrityError):
        stored.submit(starts_at=NINE.astimezone(timezone(timedelta(hours=2))))
    now = stored.submit()
    later = stored.submit(starts_at=NINE + MINUTE)

    assert len({first.id, now.id, later.id}) == 3
    with stored.database.read() as session:
        for of in (first, later):
            draft = stored.draft(starts_at=of.starts_at.astimezone(UTC))
            assert facts.same(session, apply.fingerprint(draft)) == of.id


def test_it_counts_as_open_until_it_is_over(stored):
    request = stored.submit(starts_at=NINE)
    with stored.database.read() as session:
        assert facts.open_by(session, ALICE) == [request.id]

    stored.do(request, Cancel(ALICE))
    with stored.database.read() as session:
        assert facts.open_by(session, ALICE) == []
    assert stored.submit(starts_at=NINE).id != request.id


def test_two_replicas_begin_it_once(stored, other):
    request = scheduled(stored)
    stored.now = other.now = NINE
    ids = due(stored)
    assert due(other) == ids == [request.id]

    other.write(lambda tx, c: clock.tick(tx, c, ids, other.now))
    stored.write(lambda tx, c: clock.tick(tx, c, ids, stored.now))
    with stored.database.read() as session:
        history = [entry.action for entry in audit.of_requests(session, [request.id])]
    assert history.count("started") == 1
    stored.converge()
    assert stored.again(request).state is State.ACTIVE


def test_who_leaves_takes_what_was_to_start_along(stored):
    request = scheduled(stored)
    alice = person("alice", ENGINEERS)
    people = {p.id: p for p in PEOPLE} | {ALICE: replace(alice, status=PersonStatus.INACTIVE)}
    stored.take_in(list(people.values()))
    stored.tick()

    assert stored.again(request).state is State.CANCELLED


def test_an_approver_who_leaves_leaves_it_undecided(stored):
    request = scheduled(stored)
    people = [replace(p, status=PersonStatus.INACTIVE) if p.id == DAN else p for p in PEOPLE]
    stored.take_in(people)
    stored.tick()

    assert stored.again(request).state is State.PENDING
    stored.now = NINE
    stored.tick()
    assert stored.again(request).state in {State.PENDING, State.TIMED_OUT}


@pytest.mark.parametrize(
    ("flows", "state"),
    [
        ([(reading(), True), (writing(), False)], State.ACTIVE),
        ([(reading(), True)], State.CANCELLED),
        ([(reading(), True), (writing(start_later=None), True)], State.ACTIVE),
        ([(reading(), True), (writing(requestors=is_in()), True)], State.ACTIVE),
    ],
    ids=["disabled", "deleted", "starts at once by now", "for others by now"],
)
def test_the_flow_has_changed_by_the_start(stored, flows, state):
    request = scheduled(stored)
    with stored.database.write() as tx:
        sync.flows(tx, flows, stored.now)
    stored.tick()
    stored.now = NINE
    stored.tick()
    stored.converge()

    assert stored.again(request).state is state


def test_an_approval_that_is_taken_back_leaves_no_decision_behind(stored):
    request = scheduled(stored)
    stored.do(request, Withdraw(DAN))
    stored.now = NINE
    stored.tick()
    stored.converge()

    assert stored.again(request).approvals == ()
    assert not stored.systems[PG].held


def test_what_is_due_is_seen_by_the_clock_that_was_set(stored):
    """`asleep` finds what would be looked at too late after the clock went back."""
    request = scheduled(stored)
    with stored.database.write() as tx:
        clock.rouse(tx, [request.id], stored.now)
    stored.tick()
    assert row(stored, request).wake_at == NINE - 15 * MINUTE
    with stored.database.read() as session:
        assert clock.asleep(session, stored.company(), stored.now) == []


def test_a_zone_that_changes_is_stored_and_nothing_else(stored):
    with stored.database.write() as tx:
        zoned = account("U-alice", "someone@example.com", zone="Europe/Berlin", guest=True)
        sync.place(tx, {ALICE: zoned})

    alice = stored.company().directory.people[ALICE]
    assert alice.zone == "Europe/Berlin"
    assert (alice.account.email, alice.account.guest) == ("alice@example.com", False)
