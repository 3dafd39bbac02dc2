"""Connections between two calls: few, young, as good as new, and never one that is gone."""

import pytest
from psycopg import sql

from engine.connectors.postgresql import sessions as pool
from engine.port import Presence
from tests.connectors.harness import PostgreSQLHarness, known, new_login, order, presences, unique
from tests.support.waiting import wait_until

OURS = "from pg_stat_activity where application_name = 'latchkey' and usename = 'latchkey'"
HELD, ABSENT = Presence.HELD, Presence.ABSENT


@pytest.fixture
def alone(postgresql: PostgreSQLHarness) -> PostgreSQLHarness:
    """Nobody else's connections are left over."""
    until(postgresql, 0)
    return postgresql


def sessions(harness: PostgreSQLHarness) -> set[int]:
    (found,) = harness.one(f"select coalesce(array_agg(pid), '{{}}') {OURS}")
    return set(found)


def until(harness: PostgreSQLHarness, number: int) -> None:
    """Wait until so many sessions are left: the server sees a moment later that one was closed."""
    wait_until(lambda: len(sessions(harness)) == number, f"{number} sessions are left")


def test_two_calls_share_their_connections(alone, monkeypatch):
    monkeypatch.setattr(pool, "LIFE", 60.0)
    target, login = alone.make(), new_login()
    alone.connector.apply(order(login, target))
    first = sessions(alone)

    alone.connector.apply(order(known(login), end=[target]))

    assert len(first) == 2  # the address's own database, and the target's
    assert sessions(alone) == first
    alone.connector.close()


def test_no_lock_outlives_its_call(alone, monkeypatch):
    monkeypatch.setattr(pool, "LIFE", 60.0)
    alone.connector.apply(order(new_login(), alone.make()))

    (locks,) = alone.one("select count(*) from pg_locks where locktype = 'advisory'")

    assert locks == 0
    assert sessions(alone)
    alone.connector.close()


def test_connections_that_the_server_has_closed_are_not_used(alone, monkeypatch):
    monkeypatch.setattr(pool, "LIFE", 60.0)
    target, login = alone.make(), new_login()
    alone.connector.apply(order(login, target))
    first = sessions(alone)
    alone.one(f"select count(pg_terminate_backend(pid, 5000)) {OURS}")

    report = alone.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert not sessions(alone) & first
    alone.connector.close()


def test_a_connection_is_not_kept_alive_by_its_use(alone, monkeypatch):
    """A database in use never was without a session, and could not have been dropped."""
    monkeypatch.setattr(pool, "LIFE", 0.0)
    target, login = alone.make(), new_login()
    alone.connector.apply(order(login, target))
    first = sessions(alone)
    until(alone, 0)

    alone.connector.apply(order(known(login), end=[target]))

    assert not sessions(alone) & first
    until(alone, 0)


def test_only_a_few_are_kept(alone, monkeypatch):
    """The discovery of many databases left a session in each of them."""
    monkeypatch.setattr(pool, "LIFE", 60.0)
    monkeypatch.setattr(pool, "KEPT", 1)

    alone.connector.discover()

    until(alone, 1)
    alone.connector.close()


def test_database_is_dropped_by_hand_right_after_a_call(alone):
    name = unique("soon")
    alone.run("create database {} owner orders_owner", sql.Identifier(name))
    alone.connector.discover()

    alone.run("drop database {}", sql.Identifier(name))

    assert name not in {found.path for found in alone.connector.discover()}
