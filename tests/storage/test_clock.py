"""The clock loop: requests are woken when their moment has come, or a fact has changed."""

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, text

from engine import lifecycle
from engine.commands import Extend, Verify
from engine.directory import PersonStatus
from engine.outcome import Decision
from engine.request import State
from storage import clock, sync, unit_of_work
from storage.tables import GrantRow, MessageRow, RequestRow
from tests.support.stored import (
    ADA,
    ALICE,
    GROUPS,
    HOUR,
    MINUTE,
    PEOPLE,
    PG,
    SAM,
    WRITING,
    reading,
    table,
    writing,
)


def wake_of(stored, request):
    return next(r.wake_at for r in stored.rows(RequestRow) if r.id == request.id)


def test_request_is_woken_at_its_moment_and_not_before(stored):
    request = stored.submit(flow=WRITING)
    assert wake_of(stored, request) == stored.now + 15 * MINUTE

    stored.pass_(15 * MINUTE - MINUTE / 60)
    assert stored.tick() == []
    stored.pass_(MINUTE / 60)
    assert stored.tick() == [request.id]

    assert SAM in stored.again(request).asked


def test_after_a_tick_the_next_moment_is_ahead(stored):
    """A whole life by the clock alone: at each stop there is something to do, and then none."""
    stored.write(lambda tx, _: sync.flows(tx, [(writing(grant_for=None), True)], stored.now))
    request = stored.submit(flow=WRITING, duration=26 * HOUR)
    approved = False
    stops = 0
    while (wake := wake_of(stored, request)) is not None:
        stored.now = wake
        assert stored.tick() == [request.id]
        stored.converge()
        if stops == 1 and not approved:
            stored.approve(request)
            stored.converge()
            approved = True
        stops += 1
        after = wake_of(stored, request)
        assert after is None or after > stored.now
        assert stored.tick() == []

    assert stored.again(request).state is State.EXPIRED
    assert stops == 6  # a tier, the admins, a day and an hour and ten minutes ahead, the end


def test_waking_for_nothing_puts_the_moment_back(stored):
    request = stored.submit(flow=WRITING)
    wake, version = wake_of(stored, request), stored.again(request).version
    stored.touch_everything()
    assert wake_of(stored, request) == stored.now

    stored.tick()

    assert wake_of(stored, request) == wake
    assert stored.again(request).version == version


def test_request_without_the_rows_of_its_grants_is_looked_at_once(stored):
    """It was found by those rows alone: the tick saw nothing, and the clock loop looked at it again
    and again, at once and for ever."""
    request = stored.submit(flow=WRITING)
    wake = wake_of(stored, request)
    with stored.database.write() as tx:
        tx.execute(delete(GrantRow))
    stored.touch_everything()

    assert stored.tick() == [request.id]

    assert wake_of(stored, request) == wake
    assert stored.tick() == []


@pytest.mark.parametrize("kind", ["postgresql"])
def test_fact_that_changes_during_a_decision_still_wakes(stored, other):
    """A decision made of what was true before a sync put the request to sleep again: somebody who
    had left kept their access until its end."""
    request = stored.submit()
    stored.converge()
    left = [replace(p, status=PersonStatus.INACTIVE) if p.id == ALICE else p for p in PEOPLE]
    sync_people = threading.Thread(
        target=other.write, args=(lambda tx, _: sync.people(tx, left, GROUPS, other.now),)
    )

    def decide(tx, company):
        sync_people.start()
        while sync_people.is_alive() and not waiting(stored):
            pass
        unit_of_work.carry_out(tx, company, request.id, Extend(ALICE, 1), stored.now)

    stored.write(decide)
    sync_people.join()

    assert stored.tick() == [request.id]
    assert stored.again(request).ending is State.REVOKED


def waiting(stored) -> bool:
    """Tell whether a session of the database waits for another's lock."""
    query = text(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    with stored.database.read() as session:
        return bool(session.execute(query).scalar_one())


def test_longest_waiting_come_first(stored):
    first = stored.submit(flow=WRITING)
    stored.pass_(MINUTE)
    second = stored.submit("read on shop.customers", flow=WRITING)
    stored.pass_(HOUR)

    assert clock.due(stored.database, stored.now, 1) == [first.id]
    assert clock.due(stored.database, stored.now, 9) == [first.id, second.id]


def test_poisoned_request_backs_off_and_the_others_go_on(stored, poison):
    """What cannot be decided on stops nobody, is counted, and the admins are told once."""
    poisoned = stored.submit(flow=WRITING)
    healthy = stored.submit("edit on handbook", by="bob", flow=WRITING)
    poison(poisoned)
    stored.pass_(15 * MINUTE)

    def drain():
        ids = clock.due(stored.database, stored.now, 50)
        with pytest.raises(ValueError, match="poisoned"):
            stored.write(lambda tx, c: clock.tick(tx, c, ids, stored.now))
        for id_ in ids:
            if id_ != poisoned.id:
                stored.write(lambda tx, c, i=id_: clock.tick(tx, c, [i], stored.now))
        stored.write(lambda tx, c: clock.fail(tx, c, poisoned.id, "ValueError", stored.now))

    pauses = []
    for _ in range(10):
        drain()
        pauses.append((wake_of(stored, poisoned) - stored.now).total_seconds())
        stored.now = wake_of(stored, poisoned)

    assert SAM in stored.again(healthy).asked
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    alarms = [m for m in stored.rows(MessageRow) if m.key == f"poisoned/{poisoned.id}"]
    assert [m.recipient for m in alarms] == [ADA]


@pytest.mark.parametrize("how", ["nothing has changed", "somebody decides"])
def test_a_request_that_was_decided_on_begins_with_a_short_pause(stored, how):
    """Its tries were never counted anew: after one bad hour each fault cost five minutes."""
    request = stored.submit("write on shop.orders", flow=WRITING)

    def fail() -> timedelta:
        stored.write(lambda tx, c: clock.fail(tx, c, request.id, "ValueError", stored.now))
        return wake_of(stored, request) - stored.now

    assert [fail().total_seconds() for _ in range(4)] == [2, 4, 8, 16]
    if how == "nothing has changed":
        stored.write(lambda tx, c: clock.tick(tx, c, [request.id], stored.now))
    else:
        assert isinstance(stored.approve(request), Decision)

    assert fail() == timedelta(seconds=2)


def test_deactivated_grantee_loses_what_waits_and_what_runs(stored):
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    running = stored.submit()
    stored.converge()
    people = [replace(p, status=PersonStatus.INACTIVE) if p.id == ALICE else p for p in PEOPLE]
    stored.take_in(people)

    assert set(stored.tick()) == {waiting.id, running.id}
    stored.converge()

    assert stored.again(waiting).state is State.CANCELLED
    assert stored.again(running).state is State.REVOKED
    assert not any(stored.systems[PG].held.values())


def test_deleted_flow_cancels_what_waits_and_lets_access_run(stored):
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    running = stored.submit()
    stored.converge()

    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True)], stored.now))
    stored.tick()
    assert stored.again(waiting).state is State.CANCELLED
    assert stored.again(running).state is State.ACTIVE

    stored.write(lambda tx, _: sync.flows(tx, [], stored.now))
    stored.tick()
    assert stored.again(running).state is State.ACTIVE


def test_resource_that_is_gone_leaves_what_waits(stored):
    """F19: what waited outlived what it had asked for."""
    both = stored.submit("write on shop.orders", "write on shop.customers", flow=WRITING)
    alone = stored.submit("read on shop.orders", flow=WRITING)
    left = [table("shop.customers"), table("ledger.entries")]

    stored.write(lambda tx, _: sync.inventory(tx, PG, left, stored.now))
    stored.tick()

    assert [g.open for g in stored.again(both).grants] == [False, True]
    assert stored.again(alone).state is State.CANCELLED
    new = [*left, table("shop.orders", source="id:another")]
    stored.write(lambda tx, _: sync.inventory(tx, PG, new, stored.now))
    stored.tick()
    assert [g.open for g in stored.again(both).grants] == [False, True]


def test_undecided_request_lapses(stored):
    request = stored.submit(flow=WRITING)

    stored.pass_(24 * HOUR)
    stored.tick()

    assert stored.again(request).state is State.TIMED_OUT
    assert wake_of(stored, request) is None


def test_unverified_request_lapses_and_a_verified_one_goes_on(stored):
    stored.write(lambda tx, _: sync.flows(tx, [(writing(require_mfa=True), True)], stored.now))
    late = stored.submit("read on shop.orders", flow=WRITING)
    verified = stored.submit("read on shop.customers", flow=WRITING)
    assert stored.again(late).state is State.PENDING_MFA

    stored.do(verified, Verify(ALICE))
    assert stored.again(verified).state is State.PENDING
    stored.pass_(24 * HOUR)
    stored.tick()

    assert stored.again(late).state is State.TIMED_OUT


def test_stored_moment_is_what_the_engine_says(stored):
    request = stored.again(stored.submit())
    company = stored.company()

    expected = lifecycle.next_wake(request, company.revisions[request.flow, request.revision])
    assert wake_of(stored, request) == expected


def by_hand(owner, request, wake_at):
    with owner.write() as tx:
        change = text("update request set wake_at = :at where id = :id")
        tx.execute(change, {"at": wake_at, "id": request.id})


NEVER = ["infinity", "-infinity", "9999-12-31"]
# PostgreSQL takes none but moments.
TAKEN = [*itertools.product(["sqlite", "postgresql"], NEVER), ("sqlite", "rubbish")]


@pytest.mark.parametrize(("kind", "said"), TAKEN)
def test_a_moment_that_cannot_be_is_looked_at_now(stored, owner, said):
    """A request with such a `wake_at` never ended, and nobody was told."""
    request = stored.submit()
    stored.converge()
    by_hand(owner, request, said)

    assert stored.tick() == [request.id]
    assert stored.tick() == []
    stored.pass_(HOUR)
    assert stored.tick() == [request.id]
    stored.converge()
    assert stored.again(request).state is State.EXPIRED


def asleep(stored):
    with stored.database.read() as session:
        return clock.asleep(session, stored.companies.current(session), stored.now)


@pytest.mark.parametrize("days", [None, 40])
def test_who_sleeps_past_the_end_is_roused(stored, owner, days, monkeypatch):
    """A `wake_at` that was taken away, or moved, kept access for as long."""
    monkeypatch.setattr(clock, "LOOKED_AT", 1)
    others = [stored.submit(), stored.submit("edit on handbook", flow=WRITING)]
    request = stored.submit("read on shop.customers")
    stored.converge()
    assert asleep(stored) == []
    by_hand(owner, request, days and str(stored.now + timedelta(days=days))[:26])

    assert asleep(stored) == [request.id]
    stored.write(lambda tx, _: clock.rouse(tx, [request.id], stored.now))

    assert stored.tick() == [request.id]
    assert asleep(stored) == []
    assert wake_of(stored, request) == wake_of(stored, others[0])


def test_a_failure_of_a_clock_that_was_ahead_puts_nothing_off(stored):
    """It stood still for as long as the clock was set back."""
    request = stored.submit()
    stored.converge()
    ahead = stored.now + timedelta(days=1)
    stored.write(lambda tx, c: clock.fail(tx, c, request.id, "why", ahead))
    assert stored.tick() == []

    assert asleep(stored) == [request.id]


def test_who_is_put_off_after_a_failure_does_not_sleep(stored):
    request = stored.submit()
    stored.converge()
    stored.pass_(HOUR)
    for _ in range(12):
        stored.write(lambda tx, c: clock.fail(tx, c, request.id, "why", stored.now))

    assert asleep(stored) == []
