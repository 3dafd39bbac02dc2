"""What a grantee can do, by mistake or on purpose, to keep an access past its end."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.server import LOCK
from engine.port import Login, Presence, Secret, Target, Unavailable
from tests.connectors.harness import (
    INSTALLATION,
    PostgreSQLHarness,
    known,
    order,
    presences,
    unique,
)

HELD, ABSENT, REFUSED, UNKNOWN = Presence


@pytest.fixture
def quick(postgresql: PostgreSQLHarness, cluster: Cluster) -> PostgreSQLHarness:
    """Waits for a lock one second, not five."""
    dsn = Secret(cluster.latchkey_dsn())
    postgresql.connector = PostgreSQL(dsn, installation=INSTALLATION, statement_timeout=3)
    return postgresql


@pytest.fixture
def target(quick: PostgreSQLHarness, login: Login) -> Target:
    """What the login has."""
    target = quick.make()
    quick.connector.apply(order(login, target))
    return target


class _Grantee:
    """One open transaction of a login."""

    def __init__(self, harness: PostgreSQLHarness, login: Login, database: str) -> None:
        assert login.password
        parts = conninfo_to_dict(harness.cluster.latchkey_dsn(database))
        who = {"user": login.name, "password": login.password.reveal()}
        self.connection = psycopg.connect(**parts | who)

    def run(self, statement: str, *parts: object) -> None:
        self.connection.execute(sql.SQL(statement).format(*parts))


@pytest.fixture
def grantees() -> Iterator[list[_Grantee]]:
    open_: list[_Grantee] = []
    yield open_
    for grantee in open_:
        grantee.connection.close()


def _new_password(grantee: _Grantee, _table: sql.Identifier, _login: Login) -> None:
    grantee.run("alter role current_user password 'my own'")


def _grant_of_nothing(grantee: _Grantee, table: sql.Identifier, _login: Login) -> None:
    grantee.run("grant select on {} to public", table)


def _lock_of_the_login(grantee: _Grantee, _table: sql.Identifier, login: Login) -> None:
    grantee.run("select pg_advisory_lock({}, hashtext({}))", LOCK, login.name)


def _lock_of_the_database(grantee: _Grantee, _table: sql.Identifier, _login: Login) -> None:
    grantee.run("select pg_advisory_xact_lock({}, 0)", LOCK)


OBSTACLES = [
    pytest.param("postgres", _new_password, id="a new password, not committed"),
    pytest.param("orders", _grant_of_nothing, id="a grant of nothing, not committed"),
    pytest.param("postgres", _lock_of_the_login, id="the lock of the login"),
    pytest.param("orders", _lock_of_the_database, id="the lock of the database"),
]


@pytest.mark.parametrize(("database", "stand_in_the_way"), OBSTACLES)
def test_who_stands_in_the_way_of_the_end_is_put_out(
    quick: PostgreSQLHarness, login: Login, target: Target, grantees, database, stand_in_the_way
):
    """An open transaction of the grantee kept their access for ever.

    The end waited for a lock that it held, gave up, and was tried again with no better luck.
    """
    session = quick.log_in(login)
    grantees.append(_Grantee(quick, login, database))
    stand_in_the_way(grantees[0], _table(quick, target), login)

    report = quick.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert session
    assert not session.alive
    assert quick.left(login) == []
    assert quick.log_in(login) is None


def test_one_grantee_does_not_keep_the_access_of_another(
    quick: PostgreSQLHarness, login: Login, target: Target, grantees
):
    other = Login(unique("latchkey_bob"), owner="bob", password=login.password)
    quick.connector.apply(order(other, target))
    grantees.append(_Grantee(quick, other, "orders"))
    _grant_of_nothing(grantees[0], _table(quick, target), other)

    report = quick.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert quick.can(other, target)


def test_other_sessions_of_grantees_go_on(
    quick: PostgreSQLHarness, login: Login, target: Target, grantees
):
    """Only who stands in the way is put out, not everybody with an open transaction."""
    other = Login(unique("latchkey_bob"), owner="bob", password=login.password)
    writable = quick.make(permission="read-write")
    quick.connector.apply(order(other, writable))
    grantees.append(_Grantee(quick, other, "orders"))
    grantees[0].run("update {} set note = 'mine'", _table(quick, writable))
    grantees.append(_Grantee(quick, login, "postgres"))
    _new_password(grantees[1], _table(quick, target), login)

    quick.connector.apply(order(known(login), end=[target]))

    grantees[0].connection.commit()


def test_extension_waits_for_the_grantee_and_leaves_the_session(
    quick: PostgreSQLHarness, login: Login, target: Target, grantees
):
    grantees.append(_Grantee(quick, login, "postgres"))
    _new_password(grantees[0], _table(quick, target), login)

    with pytest.raises(Unavailable):
        quick.connector.apply(order(known(login), target))
    grantees[0].connection.commit()

    assert presences(quick.connector.apply(order(known(login), target))) == {target: HELD}
    grantees[0].run("select 1")


def test_lock_of_somebody_else_delays_the_end_of_the_login_only(
    quick: PostgreSQLHarness, cluster: Cluster, login: Login, target: Target
):
    """Privileges and sessions stayed until the login itself could be closed."""
    session = quick.log_in(login)
    with psycopg.connect(cluster.superuser_dsn()) as administrator:
        administrator.execute(
            sql.SQL("alter role {} connection limit 5").format(sql.Identifier(login.name))
        )
        report = quick.connector.apply(order(known(login), end=[target]))

        assert presences(report) == {target: UNKNOWN}
        assert "could not be changed" in report.outcomes[target].reason
        assert session
        assert not session.alive
        assert quick.left(login) == []

    assert presences(quick.connector.apply(order(known(login), end=[target]))) == {target: ABSENT}


def test_what_the_grantee_passed_on_goes_too(quick: PostgreSQLHarness, login: Login):
    """What hung on the access made it impossible to end, and all else in the database with it."""
    passed_on, plain, stays = quick.make(), quick.make(), quick.make()
    quick.connector.apply(order(login, passed_on, plain, stays))
    table, who = _table(quick, passed_on), sql.Identifier(login.name)
    friend = sql.Identifier(unique("friend"))
    quick.run("create role {}", friend)
    quick.run("set role orders_owner")
    quick.run("grant select on {} to {} with grant option", table, who)
    quick.run("reset role")
    session = quick.log_in(login)
    assert session
    session.connection.execute(sql.SQL("grant select on {} to {}").format(table, friend))

    report = quick.connector.apply(order(known(login), stays, end=[passed_on, plain]))

    assert presences(report) == {stays: HELD, passed_on: ABSENT, plain: ABSENT}
    quick.run("drop role {}", friend)  # nothing is left that it could do


@pytest.fixture
def workshop(quick: PostgreSQLHarness, login: Login, target: Target) -> tuple[sql.Composed, ...]:
    """Queries of a view and a function that the grantee made, each showing what they may read."""
    schema = unique("workshop")
    quick.run("create schema {} authorization orders_owner", sql.Identifier(schema))
    quick.run("grant create, usage on schema {} to public", sql.Identifier(schema))
    table = _table(quick, target)
    view, function = sql.Identifier(schema, "view"), sql.Identifier(schema, "function")
    session = quick.log_in(login)
    assert session
    run = session.connection.execute
    run(sql.SQL("create view {} as select * from {}").format(view, table))
    run(sql.SQL("grant select on {} to public").format(view))
    body = sql.SQL("select count(*) from {}").format(table).as_string()
    make = "create function {}(a int) returns bigint language sql security definer as {}"
    run(sql.SQL(make).format(function, body))
    return sql.SQL("select * from {}").format(view), sql.SQL("select {}(1)").format(function)


def _sees(harness: PostgreSQLHarness, query: sql.Composed) -> bool:
    """Tell whether somebody else sees something."""
    friend = sql.Identifier(unique("friend"))
    harness.run("create role {}", friend)
    harness.run("set role {}", friend)
    try:
        return bool(harness.admin.execute(query).fetchall())
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        harness.run("reset role")
        harness.run("drop role {}", friend)


def test_what_the_grantee_made_shows_nothing_after_the_end(
    quick: PostgreSQLHarness, login: Login, target: Target, workshop: tuple[sql.Composed, ...]
):
    """Views and functions read with the rights of their owner, who has none any more.

    Cleanup gave them to the database's owner, so that they showed to everybody all that the owner
    may read.
    """
    assert [_sees(quick, query) for query in workshop] == [True, True]

    quick.connector.apply(order(known(login), end=[target]))
    after_the_end = [_sees(quick, query) for query in workshop]
    (note,) = quick.connector.cleanup(login)

    assert after_the_end == [False, False]
    assert [_sees(quick, query) for query in workshop] == [False, False]
    assert "view" in note
    assert "function" in note


def _table(harness: PostgreSQLHarness, target: Target) -> sql.Identifier:
    return sql.Identifier(harness.schema, harness.tables[target])
