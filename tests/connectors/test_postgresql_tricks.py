"""What grantees and others did to keep an access, or to make an end look like one."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.server import LOCK
from engine.port import Login, Presence, Secret, Target, Unavailable
from tests.connectors.harness import (
    INSTALLATION,
    PostgreSQLHarness,
    known,
    new_login,
    order,
    presences,
    unique,
)

HELD, ABSENT, REFUSED, UNKNOWN = Presence


@pytest.fixture
def harness(preparing: Cluster) -> Iterator[PostgreSQLHarness]:
    made = PostgreSQLHarness(preparing)
    yield made
    made.connector.close()
    made.close()


def _open(harness: PostgreSQLHarness, login: Login, dbname: str = "orders") -> psycopg.Connection:
    assert login.password
    parts = conninfo_to_dict(harness.cluster.latchkey_dsn(dbname))
    parts |= {"user": login.name, "password": login.password.reveal()}
    connection = psycopg.connect(make_conninfo(**parts), autocommit=True)
    harness.open.append(connection)
    return connection


def _table(harness: PostgreSQLHarness, target: Target) -> sql.Identifier:
    return sql.Identifier(harness.schema, harness.tables[target])


def _have(harness: PostgreSQLHarness, login: Login, *targets: Target) -> Login:
    report = harness.connector.apply(order(login, *targets))
    assert set(presences(report).values()) == {HELD}
    later = known(login, report)
    return Login(later.name, later.owner, None, later.proof, report.trace or "")


# --- Those who stand in the way -------------------------------------------------------------------


def test_queue_for_the_lock_keeps_no_end(harness: PostgreSQLHarness):
    """Each that held it was put out, and the next in the queue had it: the time was up before."""
    login, target = new_login(), harness.make()
    later = _have(harness, login, target)
    sessions = [_open(harness, login, "postgres") for _ in range(8)]
    waiting = [
        threading.Thread(target=_lock, args=(session, login.name), daemon=True)
        for session in sessions
    ]
    for thread in waiting:
        thread.start()

    report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: ABSENT}
    assert not report.alone
    assert harness.left(login) == []
    for thread in waiting:
        thread.join()


def _lock(session: psycopg.Connection, name: str) -> None:
    try:
        session.execute("select pg_advisory_lock(%s, hashtext(%s))", [LOCK, name])
    except psycopg.Error:
        return


COMES_BACK = """
import psycopg, sys, threading
def loop():
    while True:
        try:
            with psycopg.connect(sys.argv[1], autocommit=True) as c:
                c.execute("alter role current_user password 'correct-horse'")
                while True:
                    c.execute("select pg_sleep(0.5)")
        except psycopg.Error:
            pass
for _ in range(10):
    threading.Thread(target=loop, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def test_who_comes_back_again_and_again_is_shut_out(harness: PostgreSQLHarness):
    """NOLOGIN waited behind their sessions, gave up its place each time, and nothing else ended."""
    login = Login(new_login().name, "ada", Secret("correct-horse"))
    target = harness.make()
    later = _have(harness, login, target)
    parts = conninfo_to_dict(harness.cluster.latchkey_dsn("orders"))
    dsn = make_conninfo(**parts | {"user": login.name, "password": "correct-horse"})
    with subprocess.Popen(
        [sys.executable, "-c", COMES_BACK, dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as back:
        assert back.stdout
        assert back.stdout.readline() == b"ready\n"
        reports = [harness.connector.apply(order(later, end=[target])) for _ in range(2)]
        back.kill()

    assert harness.left(login) == []
    assert presences(reports[-1]) == {target: ABSENT}
    assert harness.one("select rolcanlogin from pg_roles where rolname = %s", login.name) == (
        False,
    )


@pytest.mark.parametrize("prepared", [False, True], ids=["open", "prepared"])
def test_lock_on_the_table_keeps_nobodys_access(harness: PostgreSQLHarness, prepared):
    """From PostgreSQL 18 on a REVOKE waits for the locks of whoever may read and write."""
    target, other = harness.make(permission="read-write"), harness.make()
    ada, bob = new_login(), new_login()
    _have(harness, ada, target, other)
    bobs = _have(harness, bob, target, other)
    session = _open(harness, ada)
    session.execute("begin")
    lock = sql.SQL("lock table {} in access exclusive mode").format(_table(harness, target))
    session.execute(lock)
    if prepared:
        session.execute(sql.SQL("prepare transaction {}").format(ada.name))

    report = harness.connector.apply(order(bobs, other, end=[target]))

    assert presences(report) == {target: ABSENT, other: HELD}
    assert not harness.can(bob, target)
    for (gid,) in harness.admin.execute("select gid from pg_prepared_xacts").fetchall():
        session.execute(sql.SQL("rollback prepared {}").format(gid))  # where it was in no way


@pytest.mark.parametrize("prepared", [False, True], ids=["open", "prepared"])
def test_change_of_the_same_list_keeps_nobodys_access(harness: PostgreSQLHarness, prepared):
    target, other = harness.make(), harness.make()
    ada, bob = new_login(), new_login()
    _have(harness, ada, target)
    bobs = _have(harness, bob, target, other)
    session = _open(harness, ada)
    session.execute("begin")
    session.execute(sql.SQL("grant select on {} to public").format(_table(harness, target)))
    if prepared:
        session.execute(sql.SQL("prepare transaction {}").format(ada.name))

    report = harness.connector.apply(order(bobs, other, end=[target]))

    assert presences(report) == {target: ABSENT, other: HELD}
    assert not harness.can(bob, target)


def test_what_was_prepared_under_a_role_is_no_end(harness: PostgreSQLHarness):
    """It bears the role's name: the end was called one, and it took effect later."""
    reporting, login = unique("reporting"), new_login()
    harness.run("create role {}", sql.Identifier(reporting))
    harness.run("grant {} to latchkey with admin option", sql.Identifier(reporting))
    harness.run("grant connect on database orders to {}", sql.Identifier(reporting))
    (oid,) = harness.one("select oid from pg_roles where rolname = %s", reporting)
    target = Target("role", f"role:{oid}", reporting, "member", harness.server)
    later = _have(harness, login, target)
    session = _open(harness, login)
    for statement in (f"set role {reporting}", "begin", "select 1", "create temp table x ()"):
        if not statement.startswith("create"):
            session.execute(statement.encode())
    session.execute("select pg_current_xact_id()")
    session.execute(sql.SQL("prepare transaction {}").format(login.name))

    waits = harness.connector.apply(order(later, end=[target]))

    assert presences(waits) == {target: UNKNOWN}
    assert "ROLLBACK PREPARED" in waits.outcomes[target].reason
    harness.run("rollback prepared {}", sql.Literal(login.name))


# --- Those who move and rename --------------------------------------------------------------------


def test_what_moved_out_of_its_schema_ends_with_it(harness: PostgreSQLHarness):
    """What was given was looked up in today's catalogue: what had moved stayed readable."""
    elsewhere = sql.Identifier(unique("elsewhere"))
    harness.run("create schema {} authorization orders_owner", elsewhere)
    harness.run("grant usage on schema {} to public", elsewhere)
    moved, stays = harness.make(permission="read-write"), harness.make()
    schema, login = harness.whole_schema("read-write"), new_login()
    later = _have(harness, login, schema, harness.whole_database())
    harness.run("alter table {} set schema {}", _table(harness, moved), elsewhere)

    report = harness.connector.apply(order(later, harness.whole_database(), end=[schema]))

    assert presences(report)[schema] is ABSENT
    assert not harness.can(login, moved)
    assert not harness.can(login, stays)
    assert harness.connector.unexplained(later, [harness.whole_database()]) == ()


def test_what_moved_stays_while_its_schema_does(harness: PostgreSQLHarness):
    elsewhere = sql.Identifier(unique("elsewhere"))
    harness.run("create schema {} authorization orders_owner", elsewhere)
    harness.run("grant usage on schema {} to public", elsewhere)
    moved, other = harness.make(), harness.make()
    schema, login = harness.whole_schema(), new_login()
    later = _have(harness, login, schema, other)
    harness.run("alter table {} set schema {}", _table(harness, moved), elsewhere)

    report = harness.connector.apply(order(later, schema, end=[other]))

    assert presences(report) == {schema: HELD, other: ABSENT}
    assert harness.can(login, moved)


def test_path_to_what_moved_goes_with_it(harness: PostgreSQLHarness):
    elsewhere = sql.Identifier(unique("elsewhere"))
    harness.run("create schema {} authorization orders_owner", elsewhere)
    target, login = harness.make(permission="read-write"), new_login()
    later = _have(harness, login, target)
    harness.run(
        "alter sequence {} owned by none",
        sql.Identifier(harness.schema, f"{harness.tables[target]}_id_seq"),
    )
    harness.run("alter table {} set schema {}", _table(harness, target), elsewhere)

    report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: ABSENT}
    assert harness.left(login) == []


def test_database_that_became_a_template_hides_nothing(harness: PostgreSQLHarness):
    """Templates were left out where ends are looked for: called returned, and still readable."""
    target, login = harness.make(), new_login()
    later = _have(harness, login, target)
    harness.run("alter database orders is_template true")
    try:
        seen = harness.connector.inspect(later, [target])
        report = harness.connector.apply(order(later, end=[target]))
    finally:
        harness.run("alter database orders is_template false")

    assert seen[target].presence is HELD
    assert presences(report) == {target: ABSENT}
    assert harness.left(login) == []


def test_what_no_number_leads_to_ends_with_all_that_is_not_explained(harness: PostgreSQLHarness):
    """After another server was accepted, what had another name there was called ended unseen."""
    lost, other, login = harness.make(), harness.make(), new_login()
    later = _have(harness, login, lost, other)
    nowhere = Target(lost.type, f"{lost.source_id}@1/1", lost.path, "read", harness.server)
    forgetful = Login(later.name, later.owner, None, later.proof)

    report = harness.connector.apply(order(forgetful, other, end=[nowhere]))

    assert presences(report) == {nowhere: ABSENT, other: HELD}
    assert not harness.can(login, lost)
    assert harness.can(login, other)


def test_renamed_login_is_not_called_ended(harness: PostgreSQLHarness):
    """It was looked for by its name alone; “there is none” was an end, and it had its rights."""
    target, login = harness.make(), new_login()
    later = _have(harness, login, target)
    innocent = sql.Identifier(unique("innocent"))
    harness.run("alter role {} rename to {}", sql.Identifier(login.name), innocent)

    report = harness.connector.apply(order(later, end=[target]))

    assert presences(report) == {target: UNKNOWN}
    cure = report.outcomes[target].reason.partition("Cure: ")[2]
    harness.run(cure)
    report = harness.connector.apply(order(later, end=[target]))
    assert presences(report) == {target: ABSENT}


# --- What is there by another way -----------------------------------------------------------------


def test_what_comes_through_a_role_that_latchkey_gave_is_not_standing(harness: PostgreSQLHarness):
    """It was recorded as somebody else's, an approved request gave nothing, and it ended early."""
    reporting, login, target = unique("reporting"), new_login(), harness.make()
    inner = unique("inner")
    for name in (reporting, inner):
        harness.run("create role {}", sql.Identifier(name))
        harness.run("grant {} to latchkey with admin option", sql.Identifier(name))
    harness.run("grant {} to {}", sql.Identifier(inner), sql.Identifier(reporting))
    who = sql.Identifier(reporting)
    harness.run("grant connect on database orders to {}", who)
    harness.run("grant usage on schema {} to {}", sql.Identifier(harness.schema), who)
    harness.run("grant select on {} to {}", _table(harness, target), who)
    members = []
    for name in (reporting, inner):
        (oid,) = harness.one("select oid from pg_roles where rolname = %s", name)
        members.append(Target("role", f"role:{oid}", name, "member", harness.server))
    later = _have(harness, login, members[0])

    seen = harness.connector.inspect(later, [members[1], target], given=[members[0]])
    plain = harness.connector.inspect(later, [members[1], target])

    assert {outcome.presence for outcome in seen.values()} == {ABSENT}
    assert {outcome.presence for outcome in plain.values()} == {HELD}


def test_what_was_given_by_a_grant_option_is_not_somebody_elses(harness: PostgreSQLHarness):
    """Once Latchkey could act as the owner, its own grant was called another's, and left."""
    owner, login = unique("owner"), new_login()
    target, other = harness.make(), harness.make()
    harness.run("create role {}", sql.Identifier(owner))
    harness.run("grant usage on schema {} to {}", sql.Identifier(harness.schema),
                sql.Identifier(owner))  # fmt: skip
    harness.run("alter table {} owner to {}", _table(harness, target), sql.Identifier(owner))
    harness.run("grant select on {} to latchkey with grant option", _table(harness, target))
    later = _have(harness, login, target, other)
    harness.run("grant {} to latchkey", sql.Identifier(owner))

    report = harness.connector.apply(order(later, other, end=[target]))

    assert presences(report) == {target: UNKNOWN, other: HELD}
    cure = report.outcomes[target].reason.partition("Cure: ")[2]
    harness.run(cure)
    report = harness.connector.apply(order(later, other, end=[target]))
    assert presences(report) == {target: ABSENT, other: HELD}
    assert not harness.can(login, target)


# --- What keeps the rest --------------------------------------------------------------------------


def test_what_cannot_be_given_keeps_no_end(harness: PostgreSQLHarness):
    """One grant that an event trigger refused undid the ends beside it, for hours."""
    guarded, old, keep = harness.make(), harness.make(), harness.make()
    login = new_login()
    later = _have(harness, login, old, keep)
    guard = unique("guard")
    harness.run(f"""
        create function public.{guard}() returns event_trigger language plpgsql as $$
        begin
            if current_query() ~ '{harness.tables[guarded]}' then
                raise exception 'not this one';
            end if;
        end $$""")
    harness.run(
        f"create event trigger {guard} on ddl_command_end when tag in ('GRANT')"
        f" execute function public.{guard}()"
    )
    try:
        report = harness.connector.apply(order(later, keep, guarded, end=[old]))
    finally:
        harness.run(f"drop event trigger {guard}")

    assert presences(report) == {keep: HELD, guarded: REFUSED, old: ABSENT}
    assert "not this one" in report.outcomes[guarded].reason


def test_owner_that_is_not_let_into_its_schema_keeps_no_end(harness: PostgreSQLHarness):
    owner, login = unique("owner"), new_login()
    one, two = harness.make(), harness.make()
    later = _have(harness, login, one, two)
    how = " with inherit false, set true" if harness.admin.info.server_version >= 160000 else ""
    harness.run("create role {}", sql.Identifier(owner))
    harness.run("grant {} to latchkey" + how, sql.Identifier(owner))
    harness.run("alter table {} owner to {}", _table(harness, two), sql.Identifier(owner))

    report = harness.connector.apply(order(later, end=[one, two]))
    again = harness.connector.apply(order(later, one, two))

    assert presences(report) == {one: ABSENT, two: ABSENT}
    assert presences(again) == {one: HELD, two: HELD}
    may = "select has_schema_privilege(%s, %s, 'USAGE')"
    assert harness.one(may, owner, harness.schema) == (False,)


def test_database_that_rejects_us_keeps_no_end_elsewhere(harness: PostgreSQLHarness):
    """A provider's own database stopped ends by name, reconciliation and cleanup everywhere."""
    target, login = harness.make(), new_login()
    later = _have(harness, login, target)
    closed = unique("aaa")
    harness.run("create database {}", sql.Identifier(closed))
    harness.run("alter database {} connection limit 0", sql.Identifier(closed))
    elsewhere = Target(target.type, target.source_id, target.path, "read", "1/1")

    left = harness.connector.unexplained(later, [])
    report = harness.connector.apply(order(later, end=[elsewhere]))
    harness.connector.cleanup(later)

    assert f"SELECT on table {harness.schema}.{harness.tables[target]}, in orders" in left
    assert presences(report) == {elsewhere: ABSENT}
    assert login.name not in harness.connector.logins()
    harness.run("drop database {}", sql.Identifier(closed))


def test_full_database_hides_nothing(harness: PostgreSQLHarness):
    """An owner's `connection limit 0` kept all that its grantees have anywhere from view."""
    target, login = harness.make(), new_login()
    closed = sql.Identifier(unique("closed"))
    harness.run("create database {} owner orders_owner", closed)
    (oid,) = harness.one("select max(oid) from pg_database where datname like 'closed%%'")
    path = closed.as_string().strip('"')
    inside = Target("database", f"db:{oid}", path, "connect", harness.server)
    later = _have(harness, login, target, inside)
    with psycopg.connect(harness.cluster.superuser_dsn(path)) as there:
        there.execute("create table notes ()")
        there.execute(sql.SQL("grant select on notes to {}").format(sql.Identifier(login.name)))
    harness.connector.close()
    harness.run("alter database {} connection limit 0", closed)
    try:
        left = harness.connector.unexplained(later, [inside])
    finally:
        harness.run("drop database {}", closed)

    assert f"something in the database {path}, which cannot be entered" in left
    assert f"SELECT on table {harness.schema}.{harness.tables[target]}, in orders" in left


def test_full_database_is_a_fault_that_passes(harness: PostgreSQLHarness):
    """“Too many connections for database …” was refused for good, as if there were none."""
    target, login = harness.make(), new_login()
    harness.connector.close()
    harness.run("alter database orders connection limit 0")
    try:
        report = harness.connector.apply(order(login, target))
    finally:
        harness.run("alter database orders connection limit -1")

    assert presences(report) == {target: UNKNOWN}
    assert not report.outcomes[target].lasting


def test_fault_that_lasts_is_told_with_its_cure(harness: PostgreSQLHarness):
    parts = conninfo_to_dict(harness.cluster.latchkey_dsn()) | {"password": "another"}
    connector = PostgreSQL(Secret(make_conninfo(**parts)), installation=INSTALLATION)

    with pytest.raises(Unavailable, match=r"Cure: put the right password where `dsn`") as fault:
        connector.server()

    assert fault.value.lasting


# --- What grantees leave behind -------------------------------------------------------------------

_VIEWS = """
create view {0}.view as select 1 as one;
create function {0}.instead() returns trigger language plpgsql as 'begin return new; end';
create trigger instead instead of insert on {0}.view for each row execute function {0}.instead();
create rule also as on update to {0}.view do instead nothing;
create domain {0}.short as text default upper('x') check (length(value) < 222);
create table {0}.parts (i int) partition by range ((abs(i) + 111));
create table {0}.counted (i int);
create statistics {0}.stats on (i + 333), (i * 2) from {0}.counted
"""


def test_whatever_grantees_made_can_be_put_away(harness: PostgreSQLHarness):
    """A trigger on a view cannot be disabled: the cleanup failed, each time, for ever."""
    login, target = new_login(), harness.make()
    later = _have(harness, login, target)
    who = sql.Identifier(login.name)
    harness.run("grant create on schema {} to {}", sql.Identifier(harness.schema), who)
    session = _open(harness, login)
    for statement in _VIEWS.format(harness.schema).split(";\n"):
        session.execute(statement.encode())

    told = " ".join(harness.connector.cleanup(later))

    assert login.name not in harness.connector.logins()
    for what in ("INSTEAD OF INSERT", "DO INSTEAD NOTHING", "222", "upper('x'", "111", "333"):
        assert what in told
