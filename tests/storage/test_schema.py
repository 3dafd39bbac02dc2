"""The schema: its revisions up and down, and an upgrade with live access in the database."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlmodel import SQLModel

import storage.tables
from engine.directory import PersonId, SlackAccount
from engine.request import State
from storage import apply, schema, sync
from storage.database import Database
from storage.sessions import Sessions
from storage.tables import PersonRow
from tests.support import stored as support
from tests.support.revisions import downgrade
from tests.support.stored import ALICE, BOB, HOUR, WRITING, Stored

assert storage.tables

OLD_PERSON = text(
    "insert into person (id, email, status, slack, suspended, account, body, epoch)"
    " values (:id, '', 'active', :slack, :suspended, :account, '{}', 0)"
)
INDEXES = {
    "sqlite": text("select name, sql from sqlite_master where type = 'index' and sql is not null"),
    "postgresql": text(
        "select indexname, indexdef from pg_indexes"
        " where schemaname = current_schema() and tablename <> 'alembic_version'"
    ),
}


@pytest.fixture
def empty(empty_url):
    database = Database(empty_url, pool=5)
    yield database
    database.close()


def tables(database: Database) -> set[str]:
    with database.reader.connect() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


@pytest.fixture
def become_later(monkeypatch) -> Callable[[], None]:
    """Make this program the next one, whose schema is one step newer."""
    folders = (*schema.FOLDERS, Path(__file__).parent / "revisions")
    return lambda: monkeypatch.setattr(schema, "FOLDERS", folders)


def test_an_upgrade_that_was_cut_off_as_the_machine_stood_still_begins_again(empty, monkeypatch):
    """PostgreSQL ends a transaction that says nothing for five seconds, as it has to."""
    begun, make = [], Sessions.make_schema

    def stand_still(sessions, connection):
        made = make(sessions, connection)
        begun.append(made)
        if len(begun) == 1:
            connection.execute("set idle_in_transaction_session_timeout = 1")
            threading.Event().wait(0.2)
        return made

    monkeypatch.setattr(Sessions, "make_schema", stand_still)

    schema.upgrade(empty)

    assert schema.current(empty) == schema.newest()
    assert len(begun) == (0 if empty.sqlite else 2)


def test_revisions_go_up_down_and_up_again(empty, become_later):
    become_later()
    schema.upgrade(empty, "0001")
    assert schema.current(empty) == "0001"

    schema.upgrade(empty)
    assert schema.current(empty) == schema.newest() == "0016"
    assert tables(empty) == set(SQLModel.metadata.tables)

    downgrade(empty, "base")
    assert tables(empty) == set()

    schema.upgrade(empty)
    assert schema.current(empty) == schema.newest()


def test_newest_is_the_head_of_the_migrations(empty):
    schema.upgrade(empty)

    with empty.reader.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == schema.newest()


def test_replicas_are_replaced_one_after_another(empty):
    """A replica that was started again on a schema one step newer than its own stayed down."""
    schema.upgrade(empty)
    own = int(schema.newest())
    fits = [schema.fits(f"{own + step:04}") for step in (-1, 0, 1, 2)]
    assert fits == [False, True, True, False]
    assert not schema.fits("")

    with empty.write() as tx:
        tx.execute(
            text("update alembic_version set version_num = :newer"), {"newer": f"{own + 1:04}"}
        )
    schema.upgrade(empty)

    assert schema.current(empty) == f"{own + 1:04}"


def test_upgrade_twice_is_upgrade_once(empty):
    schema.upgrade(empty)
    schema.upgrade(empty)

    assert schema.current(empty) == schema.newest()


def test_migrations_make_what_the_tables_say(empty):
    schema.upgrade(empty)

    with empty.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        difference = compare_metadata(context, SQLModel.metadata)

    assert difference == []


def definitions(database: Database) -> dict[str, Any]:
    """Return, of each table, its keys and indexes, as the database tells them."""
    with database.reader.connect() as connection:
        found = inspect(connection)
        ours = [table for table in found.get_table_names() if table != "alembic_version"]
        told = {
            table: {
                "key": found.get_pk_constraint(table)["constrained_columns"],
                "unique": sorted(u["column_names"] for u in found.get_unique_constraints(table)),
                "others": sorted(
                    (k["constrained_columns"], k["referred_table"])
                    for k in found.get_foreign_keys(table)
                ),
            }
            for table in ours
        }
        return told | {"indexes": dict(connection.execute(INDEXES[connection.dialect.name]).all())}


def test_migrations_make_indexes_and_keys_as_the_tables_say(empty):
    """What an index leaves out, and what a key is of, Alembic does not compare."""
    schema.upgrade(empty)
    migrated = definitions(empty)

    with empty.write() as tx:
        SQLModel.metadata.drop_all(tx.connection())
        SQLModel.metadata.create_all(tx.connection())

    assert definitions(empty) == migrated


def test_whoever_finds_the_schema_finds_what_is_there_once(empty, empty_url):
    """Of replicas that started together one died; one killed in between kept all from starting."""
    seen = []

    def look(_topics):
        other = Database(empty_url)
        if schema.fits(schema.current(other)):
            with other.read() as session:
                seen.append(session.execute(text("select count(*) from company")).scalar_one())
        other.close()

    empty.on_commit.append(look)
    schema.upgrade(empty)

    assert seen
    assert set(seen) == {1}


TIED = {"team": "T1", "user": "U1", "email": "a@x.example", "enterprise": "E1", "guest": False}


def test_accounts_of_before_are_of_the_team_that_slack_named(empty):
    """Known by the user id alone, they were another workspace's as well."""
    schema.upgrade(empty, "0002")
    people = [
        {"id": "tied", "slack": "U1", "suspended": None, "account": json.dumps(TIED)},
        {"id": "waits", "slack": None, "suspended": "U2", "account": None},
        {"id": "odd", "slack": "U3", "suspended": None, "account": '"odd"'},
        {"id": "new", "slack": None, "suspended": None, "account": None},
    ]
    with empty.write() as tx:
        for one in people:
            tx.execute(OLD_PERSON, one)
        tx.execute(text("insert into delivery (key, request_id) values ('view/V1', 7)"))

    schema.upgrade(empty)

    with empty.write() as tx:
        found = tx.execute(text("select id, team, enterprise from person")).all()
        assert {id_: tuple(of) for id_, *of in found} == {
            "tied": ("T1", "E1"),
            "waits": ("", ""),
            "odd": ("", ""),
            "new": ("", ""),
        }
        assert apply.delivered(tx, "view/V1") == (7,)
        everybody = (PersonId("new"), "T1", "U2"), (PersonId("new"), "T9", "U3")
        for id_, team, user in everybody:
            tie = {id_: SlackAccount(team, user, "new@x.example")}
            assert sync.tie(tx, tie, datetime.now(UTC)) == 0


def test_people_of_before_are_compared_as_those_who_come_later(empty):
    schema.upgrade(empty, "0003")
    bodies = {
        "loud": {"id": "loud", "email": "L@x", "name": "WEISS", "attributes": {"City": ["STRAẞE"]}},
        "odd": {"id": 7},
    }
    with empty.write() as tx:
        for id_, body in bodies.items():
            given = {"id": id_, "slack": None, "suspended": None, "account": None}
            tx.execute(OLD_PERSON, given)
            written = text("update person set body = :body where id = :id")
            tx.execute(written, {"id": id_, "body": json.dumps(body)})

    schema.upgrade(empty)

    with empty.read() as session:
        query = select(PersonRow.id, PersonRow.compared, PersonRow.called)
        found = {id_: tuple(what) for id_, *what in session.execute(query)}
    loud = {"user": ["l@x", "weiss"], "City": ["strasse"], "group": [], "manager": []}
    assert found == {"loud": (loud, "l@x\nweiss"), "odd": (None, None)}


@pytest.mark.parametrize("team", ["T1", "T2"])
def test_what_the_program_before_writes_beside_this_one_stands(empty, team):
    """It knows neither teams nor several requests of a delivery, while replicas are replaced."""
    schema.upgrade(empty)
    people = [
        {"id": "tied", "slack": "U1", "suspended": None, "account": json.dumps(TIED)},
        {"id": "new", "slack": None, "suspended": None, "account": None},
    ]
    with empty.write() as tx:
        for one in people:
            tx.execute(OLD_PERSON, one)
        tx.execute(text("insert into delivery (key, request_id) values ('view/V1', 7)"))

    with empty.write() as tx:
        assert apply.delivered(tx, "view/V1") == (7,)
        same = {PersonId("new"): SlackAccount(team, "U1", "new@x.example")}
        assert sync.tie(tx, same, datetime.now(UTC)) == 0


def test_access_that_lives_through_an_upgrade_still_ends(empty, empty_url, become_later):
    """F3: an upgrade broke the end of every access that was running.

    Elsewhere an upgrade broke every pending revoke: access stayed for ever.
    """
    schema.upgrade(empty)
    support.found(empty_url)
    before = Stored.open(empty_url)
    active = before.submit()
    before.converge()
    pending = before.submit("write on shop.orders", by=BOB, flow=WRITING)
    granting = before.submit("read on shop.customers", by=BOB)
    assert before.again(active).state is State.ACTIVE
    assert before.again(pending).state is State.PENDING
    assert before.again(granting).state is State.GRANTING
    before.close()

    become_later()
    schema.upgrade(empty)

    assert schema.current(empty) == "0016"
    after = Stored.open(empty_url, systems=before.systems, now=before.now)
    after.converge()
    assert after.again(granting).state is State.ACTIVE
    after.pass_(25 * HOUR)
    after.tick()
    after.converge()
    ends = [after.again(r).state for r in (active, pending, granting)]
    assert ends == [State.EXPIRED, State.TIMED_OUT, State.EXPIRED]
    assert set(map(len, after.systems[support.PG].held.values())) == {0}
    after.close()


def test_processes_that_upgrade_at_once_do_not_collide(crew, empty, empty_url):
    """On a new SQLite file a third of them died of “database is locked”: the switch to WAL does
    not wait."""
    assert crew.race("upgrade", empty_url) == [schema.newest()] * 3
    assert tables(empty) == set(SQLModel.metadata.tables)


def test_upgraded_database_has_the_rows_that_are_there_once(empty, empty_url):
    schema.upgrade(empty)

    support.found(empty_url)
    stored = Stored.open(empty_url)
    assert ALICE in stored.company().directory.people
    stored.close()
