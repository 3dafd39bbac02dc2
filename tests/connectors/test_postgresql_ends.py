"""How access ends whatever others hold, and what is left of a login afterwards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.server import LOCK
from engine.port import Login, Presence, Secret, Target
from tests.connectors.harness import (
    INSTALLATION,
    PostgreSQLHarness,
    known,
    new_login,
    order,
    presences,
)
from tests.support.waiting import wait_until

HELD, ABSENT, UNKNOWN = Presence.HELD, Presence.ABSENT, Presence.UNKNOWN


@pytest.fixture
def harness(preparing: Cluster) -> Iterator[PostgreSQLHarness]:
    """Waits for a lock one second, not five."""
    made = PostgreSQLHarness(preparing)
    dsn = Secret(preparing.latchkey_dsn())
    made.connector = PostgreSQL(dsn, installation=INSTALLATION, statement_timeout=3)
    yield made
    made.close()


@pytest.fixture
def target(harness: PostgreSQLHarness) -> Target:
    return harness.make(permission="read-write")


def _have(harness: PostgreSQLHarness, login: Login, target: Target) -> Login:
    """Give it, and return the login as it is named from then on."""
    report = harness.connector.apply(order(login, target))
    assert presences(report) == {target: HELD}
    return known(login, report)


# --- Locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["the login's", "the database's"])
def test_lock_that_any_login_can_take_delays_no_end(
    harness: PostgreSQLHarness, target: Target, which: str
):
    """F54: an advisory lock that any login can take by number blocked every end."""
    login = new_login()
    later = _have(harness, login, target)
    session = harness.log_in(login)
    assert session
    harness.run("create role {} login password 'x'", sql.Identifier(f"other_{login.name}"))
    database = "postgres" if which == "the login's" else "orders"
    with psycopg.connect(harness.cluster.superuser_dsn(database)) as other:
        other.execute(f"set session authorization other_{login.name}".encode())
        if which == "the login's":
            other.execute("select pg_advisory_lock(%s, hashtext(%s))", [LOCK, login.name])
        else:
            other.execute("select pg_advisory_lock(%s, 0)", [LOCK])

        report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: ABSENT}
    assert not report.alone
    assert not session.alive
    assert harness.left(login) == []


@pytest.mark.parametrize("which", ["the login's", "the database's"])
def test_cleanup_waits_for_other_calls_of_latchkeys(
    harness: PostgreSQLHarness, target: Target, which: str
):
    """It took no lock, and no test was red: two at a time fail on each other, again and again."""
    login = new_login()
    later = _have(harness, login, target)
    harness.connector.apply(order(later, end=[target]))
    own = sql.SQL("hashtext({})").format(login.name) if which == "the login's" else sql.SQL("0")
    database = "postgres" if which == "the login's" else "orders"
    harness.run(
        "grant create on schema {} to {}", *map(sql.Identifier, (harness.schema, login.name))
    )
    waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    with (
        psycopg.connect(harness.cluster.superuser_dsn(database)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute(sql.SQL("select pg_advisory_xact_lock({}, {})").format(LOCK, own))
        cleaned = pool.submit(harness.connector.cleanup, later)
        wait_until(lambda: harness.one(waits) == (1,) or cleaned.done(), "it waits for the lock")
        assert not cleaned.done()
        other.rollback()

        assert cleaned.result() == ()
    assert login.name not in harness.connector.logins()


def test_end_that_nobody_is_in_the_way_of_is_alone(harness: PostgreSQLHarness, target: Target):
    login = new_login()

    assert harness.connector.apply(order(_have(harness, login, target), end=[target])).alone


# --- Prepared transactions ------------------------------------------------------------------------


def _prepare(harness: PostgreSQLHarness, login: Login, *statements: str) -> None:
    session = harness.log_in(login)
    assert session
    for statement in ("begin", *statements, f"prepare transaction 'it''s {login.name}'"):
        session.connection.execute(statement.encode())
    session.connection.close()


def _delete(harness: PostgreSQLHarness, target: Target) -> str:
    table = sql.Identifier(harness.schema, harness.tables[target])
    return sql.SQL("delete from {}").format(table).as_string()


def _prepared(harness: PostgreSQLHarness, login: Login) -> int:
    (count,) = harness.one("select count(*) from pg_prepared_xacts where owner = %s", login.name)
    return count


def test_what_was_prepared_goes_with_the_end(harness: PostgreSQLHarness, target: Target):
    """It would have taken effect at anybody's word, long after the end."""
    login = new_login()
    later = _have(harness, login, target)
    _prepare(harness, login, _delete(harness, target))

    report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: ABSENT}
    assert _prepared(harness, login) == 0


def test_what_was_prepared_does_not_keep_the_login_open(harness: PostgreSQLHarness, target: Target):
    """A change of their own password, prepared, locked the login's row: no session to end."""
    login = new_login()
    later = _have(harness, login, target)
    _prepare(harness, login, "alter role current_user password 'mine'")

    report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: ABSENT}
    assert _prepared(harness, login) == 0
    assert harness.log_in(login) is None


def test_what_was_prepared_in_another_database_goes_too(harness: PostgreSQLHarness):
    ledger = PostgreSQLHarness(harness.cluster, database="ledger")
    here, there = harness.make(), ledger.make(permission="read-write")
    login = new_login()
    later = known(login, harness.connector.apply(order(login, here, there)))
    _prepare(ledger, login, _delete(ledger, there))

    some = harness.connector.apply(order(later, there, end=[here]))
    kept = _prepared(harness, login)
    last = harness.connector.apply(order(later, end=[here, there]))
    ledger.close()

    assert presences(some) == {here: ABSENT, there: HELD}
    assert kept == 1  # not before the last end
    assert presences(last) == {here: ABSENT, there: ABSENT}
    assert _prepared(harness, login) == 0


def test_what_stays_prepared_makes_the_end_unknown(harness: PostgreSQLHarness, target: Target):
    login = new_login()
    later = _have(harness, login, target)
    _prepare(harness, login, _delete(harness, target))
    with psycopg.connect(harness.cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute("alter database orders allow_connections false")
        harness.connector.close()
        report = harness.connector.apply(order(later, end=[target]))
        admin.execute("alter database orders allow_connections true")

    assert presences(report) == {target: UNKNOWN}
    assert _prepared(harness, login) == 1
    assert presences(harness.connector.apply(order(later, end=[target]))) == {target: ABSENT}


# --- What is left ---------------------------------------------------------------------------------


def test_all_that_is_left_is_named_wherever_it_is(harness: PostgreSQLHarness, target: Target):
    """After the last end ten tables stayed readable for ever, and nothing looked for them."""
    login = new_login()
    later = _have(harness, login, target)
    who = sql.Identifier(login.name)
    table = sql.Identifier(harness.schema, harness.tables[target])
    harness.run("create function {}.f(int, text) returns int language sql return 1",
                sql.Identifier(harness.schema))  # fmt: skip
    grants = {
        "grant execute on function {}.f to {}": sql.Identifier(harness.schema),
        "grant references (note) on {} to {}": table,
        "grant create on schema {} to {}": sql.Identifier(harness.schema),
        "grant {} to {}": sql.Identifier("payroll_owner"),
        "grant connect on database {} to {}": sql.Identifier("ledger"),
        "grant set on parameter {} to {}": sql.Identifier("log_statement"),
        "grant create on tablespace {} to {}": sql.Identifier("pg_default"),
        "alter default privileges in schema {} grant execute on functions to {}": (
            sql.Identifier(harness.schema)
        ),
    }
    for statement, what in grants.items():
        harness.run(statement, what, who)

    before = harness.connector.unexplained(later, [target])
    harness.connector.apply(order(later, end=[target]))
    after = harness.connector.unexplained(later, [])

    assert set(before) == {
        f"EXECUTE on routine {harness.schema}.f(integer,text), in orders",
        f"REFERENCES (note) on table {harness.schema}.{harness.tables[target]}, in orders",
        f"CREATE on schema {harness.schema}, in orders",
        f"EXECUTE on new routines in schema {harness.schema} of postgres, in orders",
        "CONNECT on database ledger",
        "SET on parameter log_statement",
        "CREATE on tablespace pg_default",
        "membership in payroll_owner",
    }
    # The path to what is left stays with it.
    path = {f"USAGE on schema {harness.schema}, in orders", "CONNECT on database orders"}
    assert set(after) == set(before) | path


def test_what_a_login_may_do_everywhere_is_named(harness: PostgreSQLHarness, target: Target):
    login = new_login()
    later = _have(harness, login, target)
    harness.run("alter role {} createdb", sql.Identifier(login.name))

    assert harness.connector.unexplained(later, [target]) == ("the attribute CREATEDB",)


def test_nothing_is_left_of_what_was_explained(harness: PostgreSQLHarness):
    login, table = new_login(), harness.make(permission="read-write")
    schema = harness.whole_schema()
    report = harness.connector.apply(order(login, table, schema))
    later = known(login, report)

    assert harness.connector.unexplained(later, [table, schema]) == ()
    assert harness.connector.unexplained(later, [table])
    harness.connector.apply(order(later, end=[table, schema]))
    assert harness.connector.unexplained(later, []) == ()


# --- What grantees made ---------------------------------------------------------------------------

_WORK = """
create table {0}.work (id int default {0}.helps(), twice int generated always as (id * 2) stored);
create function {0}.watches() returns trigger language plpgsql as 'begin return new; end';
create trigger watch before insert on {0}.work for each row execute function {0}.watches();
create rule also as on update to {0}.work do also select 1;
alter table {0}.work enable row level security;
create policy mine on {0}.work using (id > 0);
create index lower_work on {0}.work (abs(id));
grant select on {0}.work to public;
grant execute on function {0}.watches() to public
"""


def test_what_grantees_made_goes_to_somebody_without_rights(
    harness: PostgreSQLHarness, target: Target
):
    """It went to the owner of the database, with code that ran with the owner's rights."""
    login = new_login()
    later = _have(harness, login, target)
    schema, who = harness.schema, sql.Identifier(login.name)
    harness.run("grant create on schema {} to {}", sql.Identifier(schema), who)
    session = harness.log_in(login)
    assert session
    session.connection.execute(
        f"create function {schema}.helps() returns int language sql return 7".encode()
    )
    for statement in _WORK.format(schema).split(";\n"):
        session.connection.execute(statement.encode())

    notes = harness.connector.cleanup(later)

    heir = f"latchkey_keeps_{INSTALLATION}"
    assert (
        harness.one(
            "select rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication"
            " from pg_roles where rolname = %s",
            heir,
        )
        == (False,) * 6
    )
    owners = "select relowner::regrole::text from pg_class where oid = %s::regclass"
    assert harness.one(owners, f"{schema}.work") == (sql.Identifier(heir).as_string(),)
    assert harness.one(
        "select bool_or(tgenabled <> 'D') from pg_trigger where tgrelid = %s::regclass",
        f"{schema}.work",
    ) == (False,)
    assert harness.one(
        "select ev_enabled from pg_rewrite where rulename = 'also' and ev_class = %s::regclass",
        f"{schema}.work",
    ) == ("D",)
    may = (
        "select has_schema_privilege(%s, %s, 'CREATE'), has_table_privilege('public', %s, 'SELECT')"
    )
    assert harness.one(may, heir, schema, f"{schema}.work") == (False, False)
    told = " ".join(notes)
    for what in (
        f"table {schema}.work",
        f"GRANT {sql.Identifier(heir).as_string()} TO",
        f"policy mine on {schema}.work: (id > 0)",
        f"default of column id of {schema}.work: {schema}.helps()",
        f"generated value of column twice of {schema}.work: (id * 2)",
        f"index {schema}.lower_work: abs(id)",
    ):
        assert what in told
    assert login.name not in harness.connector.logins()


def test_what_grantees_made_is_given_to_nobody_with_the_schema(harness: PostgreSQLHarness):
    """It may hold their code, which runs with the rights of whoever reads it."""
    first, second, schema = new_login(), new_login(), harness.whole_schema()
    later = _have(harness, first, schema)
    who = sql.Identifier(first.name)
    harness.run("grant create on schema {} to {}", sql.Identifier(harness.schema), who)
    session = harness.log_in(first)
    assert session
    session.connection.execute(f"create view {harness.schema}.bait as select 1 as one".encode())
    harness.connector.cleanup(later)

    report = harness.connector.apply(order(second, schema))
    found = {resource.path for resource in harness.connector.discover()}

    assert presences(report) == {schema: HELD}
    may = "select has_table_privilege(%s, %s, 'SELECT')"
    assert harness.one(may, second.name, f"{harness.schema}.bait") == (False,)
    assert f"orders/{harness.schema}/bait" not in found
