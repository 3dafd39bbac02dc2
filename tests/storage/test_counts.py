"""What an operator watches: requests by state, and access that should have ended."""

import pytest

from engine.commands import Return
from engine.port import Unavailable
from engine.request import State
from storage import counts
from tests.support.stored import ALICE, BOB, HOUR, MINUTE, PG, WRITING


@pytest.fixture
def overdue(stored):
    def look() -> tuple[int, object]:
        with stored.database.read() as session:
            found = counts.overdue(session, stored.now)
        return found.accounts, found.since

    return look


def fail(stored, times):
    stored.systems[PG].faults = [Unavailable("down")] * times


def test_every_state_is_counted_the_empty_ones_too(stored):
    stored.submit()
    stored.submit(by=BOB, flow=WRITING)

    with stored.database.read() as session:
        found = counts.requests_by_state(session)

    assert set(found) == set(State)
    assert {s for s, n in found.items() if n} == {State.GRANTING, State.PENDING}


def test_access_that_runs_is_not_overdue_until_its_end(stored, overdue):
    request = stored.submit()
    stored.converge()
    end = stored.again(request).ends_at
    assert overdue() == (0, None)

    stored.pass_(2 * HOUR)  # nobody runs
    assert overdue() == (1, end)

    stored.tick()
    stored.converge()
    assert overdue() == (0, None)


def test_what_cannot_be_revoked_is_overdue_since_it_should_have_gone(stored, overdue):
    request = stored.submit()
    stored.submit(by=BOB, duration=4 * HOUR)
    stored.converge()
    began = stored.now
    fail(stored, 9)
    stored.do(request, Return(ALICE))

    for _ in range(3):
        stored.turn(done=[stored.call(w) for w in stored.turn(*stored.due())])
        stored.pass_(10 * MINUTE)
    assert overdue() == (1, began)

    fail(stored, 0)
    stored.converge()
    assert overdue() == (0, None)


def test_what_was_begun_and_never_confirmed_is_overdue_after_its_end(stored, overdue):
    """It may be there, and was not counted while nobody ran."""
    request = stored.submit()
    fail(stored, 1)
    stored.turn(done=[stored.call(w) for w in stored.turn(*stored.due())])
    assert stored.again(request).state is State.GRANTING

    stored.pass_(2 * HOUR)

    assert overdue()[0] == 1


def test_what_was_begun_and_refused_is_overdue_until_it_is_undone(stored, overdue):
    """Beside access that runs, it was in no count."""
    stored.systems[PG].refused, stored.systems[PG].leaves_some = {"write"}, True
    request = stored.submit("read on shop.orders", "write on shop.orders", flow=WRITING)
    stored.approve(request)
    refused = stored.now
    (work,) = stored.turn(*stored.due())
    stored.turn(done=[stored.call(work)])
    stored.pass_(MINUTE)
    assert stored.again(request).state is State.ACTIVE
    assert overdue() == (1, refused)

    stored.converge()

    assert overdue() == (0, None)
