"""Statements in the driver's own words mean, and fail, as SQLAlchemy's do."""

from contextlib import suppress
from datetime import timedelta, timezone

import psycopg
import pytest
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError, InvalidRequestError, OperationalError
from sqlmodel import col

from storage.database import AWAY, Database
from storage.tables import IntegrationRow, JobRow, MessageRow
from storage.types import among
from tests.support.postgres import for_libpq
from tests.support.stored import START

JOB = insert(JobRow)
JOBS = select(JobRow).order_by(col(JobRow.id))
SPOKEN = select(JobRow).where(among(col(JobRow.subject), "subjects")).order_by(col(JobRow.id))
MOVE = (
    update(JobRow)
    .where(col(JobRow.subject) == bindparam("of"))
    .values(due_at=bindparam("to"), attempts=col(JobRow.attempts) + 1)
    .returning(col(JobRow.subject), col(JobRow.due_at))
)


def job(subject: str, **changed: object) -> dict[str, object]:
    return {"kind": "sweep", "subject": subject, "due_at": START, "attempts": 0, **changed}


def cut(database: Database) -> None:
    """End all connections to the database from outside."""
    with psycopg.connect(for_libpq(database.url), autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize(
    "text",
    ["", "plain", "'; drop table job; --", "100 % sure, %s and %(of)s", "naïve 🔑", '{"a": 1}'],
)
def test_what_goes_in_comes_out(database, text):
    with database.write() as tx:
        assert tx.do(JOB, job(text)) == 1
        quick = tx.ask(JOBS)
        slow = [tuple(row) for row in tx.execute(select(*JobRow.__table__.c))]
        assert tx.ask(SPOKEN, {"subjects": ["x", text]}) == quick
        assert tx.ask(SPOKEN, {"subjects": []}) == []
    assert quick == slow
    assert [(row[2], row[3]) for row in quick] == [(text, START)]


def test_moments_of_all_zones_come_back_as_utc(database):
    """The zone of the test was UTC itself: what is not UTC went in and came out unseen."""
    with database.write() as tx:
        for hours in (-11, 5.5, 14):
            there = START.astimezone(timezone(timedelta(hours=hours)))
            tx.do(JOB, job(f"a{hours}", due_at=there))
        due = tx.execute(select(col(JobRow.due_at))).scalars().all()
        assert [(at, at.utcoffset()) for at in due] == [(START, timedelta())] * 3
        tx.do(JOB, job("b"))
        assert tx.ask(MOVE, {"of": "b", "to": START + timedelta(hours=1)}) == [
            ("b", START + timedelta(hours=1))
        ]


def test_a_row_that_the_orm_holds_is_written_with_the_rest(database):
    with database.write() as tx:
        tx.do(JOB, job("a"))
        tx.add(JobRow(**job("b")))
    with database.read() as session:
        assert {row[2] for row in session.ask(JOBS)} == {"a", "b"}


def test_what_fails_undoes_the_whole_and_shows_no_values(database):
    secret = "of-nobody's-business"

    def twice():
        with database.write() as tx:
            tx.add(JobRow(**job("orm")))
            tx.do(JOB, job(secret))
            tx.do(JOB, job(secret))

    with pytest.raises(IntegrityError) as fault:
        twice()
    # What PostgreSQL itself says of a key stands in its own error, as always.
    assert secret not in str(fault.value).replace(str(fault.value.orig), "")
    with database.read() as session:
        assert session.ask(JOBS) == []


def test_an_insert_that_leaves_a_default_to_the_orm_is_a_clear_error(database):
    given = {"id": "s", "name": "s", "kind": "memory", "body": {}}
    with (
        pytest.raises(ValueError, match="not all columns are given: epoch"),
        database.write() as tx,
    ):
        tx.do(insert(IntegrationRow).execution_options(facts="numbered"), given)


def test_nothing_of_a_row_is_lost_where_json_is_in_it(database):
    body = {"tags": {"env": ["prod", "naïve"]}, "none": None, "n": 1.5}
    known = select(col(IntegrationRow.body)).where(col(IntegrationRow.id) == "s")
    given = {
        "id": "s", "name": "s", "name_key": "s", "kind": "memory", "epoch": 0, "listed": True,
        "server": "", "owner": "", "owner_tag": "", "body": body,
    }  # fmt: skip
    with database.write() as tx:
        tx.do(insert(IntegrationRow).execution_options(facts="numbered"), given)
        assert tx.ask(known) == [(body,)]


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_connection_that_is_cut_is_away_and_the_next_transaction_has_another(database):

    def is_cut():
        with database.write() as tx:
            tx.do(JOB, job("a"))
            cut(database)
            tx.ask(JOBS)

    with pytest.raises(AWAY) as fault:
        is_cut()
    assert isinstance(fault.value, OperationalError)
    assert fault.value.connection_invalidated
    with database.write() as tx:
        tx.do(JOB, job("b"))
    with database.read() as session:
        assert [row[2] for row in session.ask(JOBS)] == ["b"]


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_readers_that_rested_are_opened_anew_after_one_was_cut(database):
    with database.read() as session:
        session.ask(JOBS)
    with database.read() as first, database.read() as second:
        assert first.ask(JOBS) == second.ask(JOBS) == []
        cut(database)
        with pytest.raises(AWAY):
            first.ask(JOBS)
    with database.read() as session, database.read() as another:
        assert session.ask(JOBS) == another.ask(JOBS) == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_database_that_another_process_holds_is_away(database):
    other = Database(database.url, patience=0.01)
    with database.write() as tx:
        tx.do(JOB, job("a"))
        with pytest.raises(AWAY), other.write():
            pass
    other.close()


def test_unshown_columns_keep_what_they_have(database):
    """A message's row has the most columns: all come back under their own names."""
    row = {
        "request_id": 1, "recipient": "p", "kind": "request", "key": "", "detail": "d",
        "requestor": "p", "place": 2, "priority": 1, "wanted": 1, "drawn": 0, "shown": 0,
        "posting": 1, "posted": 0, "news": "asked", "posted_news": "", "due_at": START,
        "attempts": 0, "lease": None,
    }  # fmt: skip
    query = select(MessageRow)
    with database.write() as tx:
        tx.do(insert(MessageRow), row)
        (found,) = tx.ask(query)
    named = dict(zip(query.exported_columns.keys(), found, strict=True))
    assert {name: named[name] for name in row} == row


def test_a_value_that_is_not_given_is_missed(database):
    with pytest.raises(KeyError, match="to"), database.write() as tx:
        tx.ask(MOVE, {"of": "a"})


def test_nothing_is_stored_after_the_orm_has_undone_the_transaction(database):
    """What came after a failed flush was stored for itself: the driver knew of no transaction."""

    def swallows():
        with database.write() as tx:
            tx.do(JOB, job("a"))
            tx.add(JobRow(**job("a")))
            with suppress(IntegrityError):
                tx.flush()
            tx.do(JOB, job("b"))

    with pytest.raises(InvalidRequestError):
        swallows()
    with database.read() as session:
        assert session.ask(JOBS) == []


def test_a_transaction_that_was_undone_inside_is_no_success(database):
    def undoes():
        with database.write() as tx:
            tx.add(JobRow(**job("a")))
            tx.flush()
            tx.rollback()

    with pytest.raises(InvalidRequestError):
        undoes()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_row_that_cannot_be_read_fails_as_any_statement(database):
    """SQLite fails while the rows are fetched: the driver's own error came through."""
    broken = select(func.json_extract(JobRow.subject, "$.a")).order_by(col(JobRow.id))
    with database.write() as tx:
        tx.do(JOB, job("1"), job("no json"))
        with pytest.raises(OperationalError):
            tx.ask(broken)
