"""Two roles on PostgreSQL: the one that runs cannot change what is written, nor the schema.

That it can do all that Latchkey does, the other tests of this folder show: they run as it.
"""

from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.engine import make_url

from engine.request import State
from storage import roles, schema
from storage.database import Database
from storage.roles import WRITTEN_ONCE
from storage.sessions import BadSchemaError, Sessions, UnfitStoreError
from tests.support.postgres import (
    RUNNER,
    STORE,
    drop_database,
    for_libpq,
    fresh_database,
    with_a_runner,
)
from tests.support.stored import HOUR, Stored
from tests.support.stored import found as company


@pytest.fixture
def owner(cluster):
    """The address of an empty database, for the role that will own the schema."""
    url = fresh_database(cluster)
    yield url
    drop_database(cluster, url)


@pytest.fixture
def runner(cluster, owner):
    return with_a_runner(cluster, owner)


def superuser(cluster, url: str, *statements: str) -> None:
    with psycopg.connect(cluster.superuser_dsn(make_url(url).database), autocommit=True) as one:
        for statement in statements:
            one.execute(statement.encode())


def upgrade(runner: str, owner: str) -> None:
    with closing(Database(runner)) as ours, closing(Database(owner)) as theirs:
        schema.upgrade_for(ours, theirs)


def here(statements: str) -> str:
    """Make one of statements on the database, %1$I, and on who is at it, %2$I."""
    return f"do $$ begin execute format('{statements}', current_database(), session_user); end $$"


def test_an_owner_who_is_not_let_in_is_a_sentence(runner, owner):
    """It was a traceback, and named no setting."""
    wrong = make_url(owner).set(password="wrong").render_as_string(hide_password=False)

    with pytest.raises(UnfitStoreError, match="LATCHKEY_OWNER_URL does not lead into") as refused:
        upgrade(runner, wrong)
    assert "wrong" not in str(refused.value)


def excess(runner: str) -> str:
    with Sessions(runner, 5).connect() as connection:
        return roles.excess(connection, "latchkey")


@pytest.fixture(scope="module")
def upgraded(cluster):
    """The running role's address of a database that holds the company."""
    owner = fresh_database(cluster)
    runner = with_a_runner(cluster, owner)
    upgrade(runner, owner)
    company(runner)
    yield runner
    drop_database(cluster, owner)


@pytest.mark.parametrize("table", sorted(WRITTEN_ONCE))
@pytest.mark.parametrize(
    "statement",
    ["delete from {}", "truncate {}", "drop table {}", "alter table {} add x int",
     "create trigger t before insert on {} execute function suppress_redundant_updates_trigger()",
     "create rule r as on insert to {} do instead nothing", "alter table {} owner to current_user"],
)  # fmt: skip
def test_what_is_written_stays(upgraded, table, statement):
    """One role did it all: whoever had its password could rewrite the audit."""
    with psycopg.connect(for_libpq(upgraded)) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(sql.SQL(statement).format(sql.Identifier("latchkey", table)))


def test_no_column_of_what_is_written_can_be_updated(upgraded):
    with psycopg.connect(for_libpq(upgraded), autocommit=True) as connection:
        columns = connection.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'latchkey' and table_name = any (%s)",
            [sorted(WRITTEN_ONCE)],
        ).fetchall()
        assert len(columns) > 10
        for names in columns:
            table, column = map(sql.Identifier, names)
            with pytest.raises(InsufficientPrivilege):
                connection.execute(
                    sql.SQL("update latchkey.{} set {} = {}").format(table, column, column)
                )


@pytest.mark.parametrize(
    "statement",
    ["delete from latchkey.audit_head", "update latchkey.alembic_version set version_num = '9999'",
     "create table latchkey.planted (id int)", "drop schema latchkey cascade"],
)  # fmt: skip
def test_nor_can_the_schema_be_changed(upgraded, statement):
    with psycopg.connect(for_libpq(upgraded)) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement)


def test_the_running_role_makes_no_schema_and_says_who_does(runner, owner):
    with closing(Database(runner)) as database:
        assert schema.current(database) == ""
        with pytest.raises(UnfitStoreError, match=r"latchkey db upgrade.*LATCHKEY_OWNER_URL"):
            schema.upgrade(database)
    with closing(Database(owner)) as database:
        assert schema.current(database) == ""


def test_what_an_upgrade_finds_granted_beyond_it_takes_away(cluster, runner, owner):
    upgrade(runner, owner)
    assert excess(runner) == ""
    superuser(cluster, owner, f"grant all on all tables in schema latchkey to {RUNNER}")
    assert "DELETE audit, TRIGGER audit, TRUNCATE audit, UPDATE audit" in excess(runner)

    upgrade(runner, owner)

    assert excess(runner) == ""


@pytest.mark.parametrize(
    ("granted", "back", "said"),
    [
        (f"alter role {RUNNER} superuser", f"alter role {RUNNER} nosuperuser", "everything"),
        (f"grant {STORE} to {RUNNER}", f"revoke {STORE} from {RUNNER}", "whatever store may"),
        (
            f"grant pg_write_all_data to {RUNNER}",
            f"revoke pg_write_all_data from {RUNNER}",
            "UPDATE audit",
        ),
        (
            "grant update (actor) on latchkey.audit to public",
            "revoke update (actor) on latchkey.audit from public",
            "UPDATE audit",
        ),
        (
            f"grant trigger on latchkey.audit to {RUNNER}",
            f"revoke trigger on latchkey.audit from {RUNNER}",
            "TRIGGER audit",
        ),
        (
            f"grant pg_execute_server_program to {RUNNER}",
            f"revoke pg_execute_server_program from {RUNNER}",
            "may do everything: REVOKE pg_execute_server_program",
        ),
        (
            here(f"alter database %1$I owner to {RUNNER}"),
            here(f"alter database %1$I owner to %2$I; grant connect on database %1$I to {RUNNER}"),
            "may drop the database, which",
        ),
        (
            here(f"create role maker; grant create on database %1$I to maker; "
                 f"alter role {RUNNER} noinherit; grant maker to {RUNNER}"),
            here(f"revoke create on database %1$I from maker; drop role maker; "
                 f"alter role {RUNNER} inherit"),
            f"may make schemas as maker: REVOKE maker FROM {RUNNER};",
        ),
    ],
)  # fmt: skip
def test_whoever_else_lets_it_change_what_is_written_is_found(
    cluster, runner, owner, granted, back, said
):
    upgrade(runner, owner)
    superuser(cluster, owner, granted)
    try:
        assert said in excess(runner)
    finally:
        superuser(cluster, owner, back)
    assert excess(runner) == ""


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("root login superuser", "may do everything: REVOKE"),
        ("helper", "UPDATE audit as helper: REVOKE"),
        ("writer in role pg_write_all_data", "DELETE audit"),
        ("keeper in role store", "may do whatever store may"),
    ],
)
def test_what_it_could_become_counts_as_what_it_is(cluster, runner, owner, direct, role, said):
    """Doctor asked what it inherits: with SET ROLE it could be somebody who may do more."""
    upgrade(runner, owner)
    name = role.partition(" ")[0]
    rights = (
        f"create role {role}",
        f"grant usage on schema latchkey to {name}",
        f"grant update on latchkey.audit to {name}",
        "create role between",
        *([f"grant {name} to {RUNNER}"] if direct else
          [f"grant {name} to between", f"grant between to {RUNNER}"]),
    )  # fmt: skip
    superuser(cluster, owner, f"alter role {RUNNER} noinherit", *rights)
    try:
        assert said in excess(runner)
    finally:
        superuser(
            cluster,
            owner,
            f"drop owned by {name}",
            f"drop role {name}",
            "drop role between",
            f"alter role {RUNNER} inherit",
        )
    assert excess(runner) == ""


def test_who_makes_roles_can_be_any_of_them_before_postgresql_16(cluster, runner, owner):
    upgrade(runner, owner)
    superuser(cluster, owner, f"alter role {RUNNER} createrole")
    try:
        found = excess(runner)
        with psycopg.connect(for_libpq(runner), autocommit=True) as connection:
            if connection.info.server_version < 160000:
                assert f"ALTER ROLE {RUNNER} NOCREATEROLE" in found
                connection.execute(f"grant {STORE} to {RUNNER}")
                superuser(cluster, owner, f"revoke {STORE} from {RUNNER}")
            else:
                assert found == ""
                with pytest.raises(InsufficientPrivilege):
                    connection.execute(f"grant {STORE} to {RUNNER}")
    finally:
        superuser(cluster, owner, f"alter role {RUNNER} nocreaterole")
    assert excess(runner) == ""


@contextmanager
def lives_on(url: str, later: str):
    """Let access run before what happens in the block, and see it end after it, at `later`."""
    before = Stored.open(url)
    request = before.submit()
    before.converge()
    before.close()
    yield
    after = Stored.open(later, systems=before.systems, now=before.now)
    assert after.again(request).state is State.ACTIVE
    after.pass_(24 * HOUR)
    after.tick()
    after.converge()
    assert after.again(request).state is State.EXPIRED
    after.close()


def test_one_role_becomes_two_under_access_that_runs(cluster, runner, owner):
    superuser(
        cluster,
        owner,
        f'grant create on database "{make_url(owner).database}" to {RUNNER}',
    )
    alone = make_url(runner).difference_update_query(["owner"])
    stored = Stored.founded(alone.render_as_string(hide_password=False))
    stored.close()
    with pytest.raises(UnfitStoreError, match="REASSIGN OWNED") as refused:
        upgrade(runner, owner)

    with lives_on(stored.database.url, runner):
        superuser(cluster, owner, str(refused.value).partition("says: ")[2])
        upgrade(runner, owner)
    left = excess(runner)
    assert left.startswith(f"{RUNNER} may make schemas: REVOKE CREATE ON DATABASE")
    superuser(cluster, owner, left.partition(": ")[2])
    assert excess(runner) == ""


PLANTED = "create table latchkey.job (id int); alter table latchkey.job owner to evil"


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (["create schema latchkey authorization evil"], f'belongs to evil, and not to "{STORE}"'),
        (
            [f"create schema latchkey authorization {STORE}",
             "grant create on schema latchkey to public"],
            "PUBLIC may create",
        ),
        (
            [f"create schema latchkey authorization {STORE}",
             f"grant create on schema latchkey to {RUNNER}"],
            f"{RUNNER} may create",
        ),
        ([f"create schema latchkey authorization {STORE}", PLANTED], "belongs to others (evil)"),
        (
            [f"create schema latchkey authorization {STORE}",
             PLANTED.replace("latchkey.job", "latchkey.audit")],
            "Of a role that you do not know: restore a back-up",
        ),
    ],
    ids=["schema", "public", "runner", "planted", "planted under a name of ours"],
)  # fmt: skip
def test_strangers_are_refused_as_ever(cluster, runner, owner, planted, said):
    superuser(
        cluster,
        owner,
        "do $$ begin create role evil login password 'evil'; "
        "exception when duplicate_object then null; end $$",
        *planted,
    )

    with closing(Database(runner)) as database, pytest.raises(UnfitStoreError) as refused:
        schema.current(database)
    assert said in str(refused.value)


def test_an_owner_that_the_address_does_not_name_changes_nothing(cluster, runner, owner):
    other = make_url(runner).update_query_dict({"owner": "somebody"})
    for wrong in (other, other.difference_update_query(["owner"])):
        with pytest.raises(UnfitStoreError, match=rf"\?owner={STORE}"):
            upgrade(wrong.render_as_string(hide_password=False), owner)
    elsewhere = fresh_database(cluster)
    with pytest.raises(UnfitStoreError, match="another database"):
        upgrade(runner, elsewhere)
    drop_database(cluster, elsewhere)

    with closing(Database(owner)) as database:
        assert schema.current(database) == ""


def refusal(url) -> str:
    with closing(Database(url)) as database, pytest.raises(UnfitStoreError) as refused:
        schema.current(database)
    return str(refused.value)


def test_what_a_wrong_owner_in_the_address_calls_for_destroys_nothing(cluster, runner, owner):
    """Left out, what Latchkey itself had made was to be given away, and then dropped."""
    upgrade(runner, owner)
    address = make_url(runner)
    left_out = address.difference_update_query(["owner"]).render_as_string(hide_password=False)
    misspelt = address.update_query_dict({"owner": "stroe"}).render_as_string(hide_password=False)

    assert f"?owner={STORE}" in refusal(left_out)
    assert "there is no such role. Correct owner=" in refusal(misspelt)

    superuser(cluster, owner, f"alter schema latchkey owner to {RUNNER}")
    assert "DROP" not in refusal(left_out)
    assert f"ALTER SCHEMA latchkey OWNER TO {STORE}" in refusal(left_out)


def test_who_runs_and_was_not_let_in_yet_is_sent_to_the_upgrade(cluster, runner, owner):
    """“permission denied … See that it runs and lets Latchkey in”."""
    upgrade(runner, owner)
    superuser(cluster, owner, f"revoke all on latchkey.alembic_version from {RUNNER}")
    assert "`latchkey db upgrade`, with LATCHKEY_OWNER_URL" in refusal(runner)
    superuser(cluster, owner, f"revoke all on schema latchkey from {RUNNER}")
    assert "`latchkey db upgrade`, with LATCHKEY_OWNER_URL" in refusal(runner)

    upgrade(runner, owner)

    with closing(Database(runner)) as database:
        assert schema.current(database) == schema.newest()


def test_two_owners_are_refused():
    with pytest.raises(BadSchemaError, match="owner= names one role"):
        Sessions("postgresql+psycopg://h/d?owner=a&owner=b", 1)
