"""What helps to decide, as it is read: for all requests at once, and with bounds."""

import pytest

from engine.commands import Cancel, Return
from engine.request import State
from storage import background, facts
from tests.support.statements import heard
from tests.support.stored import ALICE, BOB, WRITING

WRITE = "write on shop.orders"


def of(stored, *requests, **more):
    with stored.database.read() as session:
        return background.of(session, stored.company(), requests, **more)


def returned(stored, what=WRITE, by=ALICE):
    request = stored.submit(what, by=by, flow=WRITING)
    stored.approve(request)
    stored.converge()
    stored.do(request, Return(by))
    stored.converge()
    assert stored.again(request).state is State.RETURNED
    return request.id


def rejected(stored):
    request = stored.submit(WRITE, flow=WRITING)
    stored.reject(request)
    return request.id


@pytest.fixture
def asks(stored):
    """Alice had it, holds something else there, and asks for it again; Bob has it."""
    had = returned(stored)
    reads = stored.submit("read on shop.customers")
    theirs = stored.submit(WRITE, by=BOB, flow=WRITING)
    stored.approve(theirs)
    stored.converge()
    stored.had, stored.reads = had, reads
    return stored.submit(WRITE, flow=WRITING)


def test_it_is_of_the_grantee_and_of_what_is_asked_for(stored, asks):
    found = of(stored, asks, most=5)[asks.id]

    assert [r.id for r in found.past] == [stored.had]
    assert found.last_had == stored.now
    assert [str(h.entitlement) for h in found.holds] == ["read on shop.customers"]
    assert found.holds[0].ends_at == stored.again(stored.reads).ends_at
    assert {s.have for s in found.shares} == {1}


def test_what_was_rejected_many_times_hides_nothing_that_was_had(stored, asks):
    stored.do(asks, Cancel(ALICE))
    many = [rejected(stored) for _ in range(6)]
    again = stored.submit(WRITE, flow=WRITING)

    found = of(stored, again, most=5)[again.id]

    assert [r.id for r in found.past] == many[:0:-1]
    assert found.last_had is not None


def test_many_requests_cost_as_many_statements_as_one(stored, asks):
    also = stored.submit("write on shop.customers", flow=WRITING)
    other = stored.submit("write on shop.customers", by=BOB, flow=WRITING)

    def count(*requests):
        said = []
        with stored.database.read() as session:
            company = stored.company()
            company.inventory.clear()
            with heard(stored.database, lambda words, _: said.append(words)):
                background.of(session, company, requests)
        return len(said)

    assert count(asks, also, other) == count(asks) == 4
    assert count() == 0


def test_each_has_its_own(stored, asks):
    also = stored.submit("write on shop.customers", flow=WRITING)

    found = of(stored, asks, also, most=5)

    assert [r.id for r in found[asks.id].past] == [stored.had]
    assert not found[also.id].past
    assert found[also.id].last_had is None
    assert {s.have for s in found[also.id].shares} == {0}


def test_of_too_many_who_have_it_nobody_is_counted(stored, asks, monkeypatch):
    """It was said that none of the group has it."""
    monkeypatch.setattr(background, "HOLDERS", 1)

    assert of(stored, asks)[asks.id].shares == ()


def plan(stored, ask, word):
    """Return how the database finds what this statement is for."""
    said = []
    with heard(stored.database, lambda words, values: said.append((words, values))):
        ask()
    words, values = next(one for one in said if word in one[0])
    with stored.database.reader.connect() as connection:
        if stored.database.sqlite:
            return str(
                connection.connection.execute(f"explain query plan {words}", values).fetchall()
            )
        connection.exec_driver_sql("set enable_seqscan = off")
        return str(connection.exec_driver_sql(f"explain {words}", tuple(values)).fetchall())


def test_who_has_it_is_found_by_an_index_of_what_runs(stored):
    """What was given and has ended is a hundred times as much."""
    asks = stored.submit(WRITE, flow=WRITING)

    assert "grant_open" in plan(stored, lambda: of(stored, asks), "DISTINCT")


def test_what_has_no_end_is_found_by_an_index_of_its_own(stored):
    def ask():
        with stored.database.read() as session:
            assert facts.endless(session, 10) == []

    assert "request_endless" in plan(stored, ask, "wake_at is null")
