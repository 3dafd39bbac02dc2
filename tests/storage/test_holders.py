"""Whoever holds locked what Latchkey waits for is found; a session of its own login is ended."""

import threading
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from storage import holders, schema
from storage.database import Database
from storage.holders import Holder
from tests.support.postgres import STORE, drop_database, for_libpq, fresh_database
from tests.support.waiting import wait_until

HEAD = "select from latchkey.audit_head for update"
ALL_MESSAGES = "lock table latchkey.message"
UPDATES = {
    HEAD: "update audit_head set seq = seq",
    ALL_MESSAGES: "update message set shown = shown",
}


@pytest.fixture
def database(cluster):
    url = fresh_database(cluster)
    opened = Database(url)
    schema.upgrade(opened)
    yield opened
    opened.close()
    drop_database(cluster, url)


@contextmanager
def waiting(database, statement):
    """Somebody of Latchkey waits for a lock, until the block is left."""

    def wait():
        with database.write() as tx:
            tx.wait_for_others()
            tx.execute(text(UPDATES[statement]))

    thread = threading.Thread(target=wait)
    thread.start()
    yield thread
    thread.join()


def found(database):
    with database.read() as session:
        return holders.find(session)


def end(database, holder):
    with database.read() as session:
        return holders.end(session, holder)


@pytest.mark.parametrize(("statement", "table"), [(HEAD, "audit_head"), (ALL_MESSAGES, "message")])
def test_a_session_of_the_own_login_that_stands_idle_is_found_and_ended(
    database, monkeypatch, statement, table
):
    """It held up all ends for as long as it stood there, and nobody was told."""
    with psycopg.connect(for_libpq(database.url)) as own:
        own.execute(statement)
        with waiting(database, statement) as thread:
            wait_until(lambda: found(database))
            (holder,) = found(database)
            assert holder == Holder(own.info.backend_pid, STORE, table)
            assert not end(database, holder)  # it has just come
            assert thread.is_alive()

            monkeypatch.setattr(holders, "IDLE_FOR", 0.0)
            assert end(database, holder)
        with pytest.raises(psycopg.OperationalError):
            own.execute("select 1")
        own.close()
    assert found(database) == []


def test_a_session_of_another_role_is_found_and_left(cluster, database, monkeypatch):
    monkeypatch.setattr(holders, "IDLE_FOR", 0.0)
    name = make_url(database.url).database
    with psycopg.connect(cluster.superuser_dsn(name)) as other:
        other.execute(HEAD)
        with waiting(database, HEAD):
            wait_until(lambda: found(database))
            (holder,) = found(database)
            assert holder == Holder(other.info.backend_pid, "postgres", "audit_head")
            assert not end(database, holder)
            other.rollback()


def test_one_session_is_told_apart_by_its_transactions(cluster, database):
    """Many short ones of one session were taken for one that is long."""
    name, seen = make_url(database.url).database, []
    with psycopg.connect(cluster.superuser_dsn(name)) as other:
        for _ in range(2):
            other.execute(HEAD)
            with waiting(database, HEAD):
                wait_until(lambda: found(database))
                seen += [holder.transaction for _ in range(2) for holder in found(database)]
                other.rollback()
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert seen[0] != seen[2]
    assert "" not in seen


def test_on_sqlite_nobody_is_found(tmp_path):
    tmp_path.chmod(0o700)
    opened = Database(f"sqlite:///{tmp_path}/latchkey.db")
    assert found(opened) == []
    opened.close()
