"""The servers of each version, and what the tests let become of one."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster, PostgresError
from engine.connectors.postgresql.server import OLDEST
from tests.support.postgres import own_cluster
from tests.support.servers import CHOSEN, ENDS, NEWEST, VERSIONS, binaries
from tests.support.standby import catch_up, promote, standby_of, take_over
from tests.support.upgrade import Way, upgraded

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"
BEFORE = CHOSEN or VERSIONS[0]  # what is upgraded

ADA = "latchkey_ada"
PASSWORD = "correct 'horse' \\ battery"

# What there is of logins in the cluster, and of Ada's rights in a database. Versions differ in what
# owners have.
ROLES = """
select rolname, rolcanlogin, rolcreaterole, rolsuper, rolvaliduntil, rolpassword,
    shobj_description(oid, 'pg_authid')
from pg_authid where rolname !~ '^pg_' order by rolname
"""
MEMBERS = """
select roleid::regrole::text, member::regrole::text, admin_option
from pg_auth_members where roleid >= 16384 order by 1, 2
"""
RIGHTS = """
with lists (what, acl) as (
    select 'database ' || datname, datacl from pg_database where datname = current_database()
    union all select 'schema ' || nspname, nspacl from pg_namespace where oid >= 16384
    union all select 'relation ' || relname, relacl from pg_class where oid >= 16384
    union all select 'default ' || defaclrole::regrole, defaclacl from pg_default_acl
)
select what, grantor::regrole::text, privilege_type, is_grantable
from lists, aclexplode(acl) where grantee = 'latchkey_ada'::regrole order by 1, 2, 3
"""
IDENTIFIER = "select system_identifier from pg_control_system()"


def _rows(cluster: Cluster, query: str) -> list[tuple]:
    with psycopg.connect(cluster.superuser_dsn("orders")) as connection:
        return connection.execute(query.encode()).fetchall()


def _major(cluster: Cluster) -> str:
    ((number,),) = _rows(cluster, "select current_setting('server_version_num')::int / 10000")
    return str(number)


def _timeline(cluster: Cluster) -> int:
    ((file,),) = _rows(cluster, "select pg_walfile_name(pg_current_wal_lsn())")
    return int(file[:8], 16)


def _give_ada_access(cluster: Cluster) -> None:
    """As Latchkey's own login does it."""
    with psycopg.connect(cluster.latchkey_dsn("orders"), autocommit=True) as connection:
        name = sql.Identifier(ADA)
        for statement in (
            "create role {} login password {} valid until '2099-01-01 UTC'",
            "comment on role {} is 'Latchkey \"test\": login of ada'",
            "grant {} to latchkey",
            "set role orders_owner",
            "grant connect on database orders to {}",
            "grant usage on schema shop to {}",
            "grant select on all tables in schema shop to {}",
            "alter default privileges in schema shop grant select on tables to {}",
        ):
            parts = (name, PASSWORD) if "password" in statement else (name,)
            connection.execute(sql.SQL(statement).format(*parts))


def _log_in(cluster: Cluster) -> psycopg.Connection:
    way_in = conninfo_to_dict(cluster.latchkey_dsn("orders"))
    return psycopg.connect(make_conninfo(**way_in | {"user": ADA, "password": PASSWORD}))


def test_docs_and_doctor_name_the_versions_that_the_tests_run_on():
    assert int(VERSIONS[0]) == OLDEST
    assert f"PostgreSQL {VERSIONS[0]} to {NEWEST};" in DOCS.read_text("utf-8")


def test_each_end_is_of_its_version(both_ends: Cluster, request: pytest.FixtureRequest):
    end = request.node.callspec.params["both_ends"]

    assert _major(both_ends) == ENDS[end]


def test_run_of_the_matrix_has_no_other_server(cluster: Cluster):
    assert _major(cluster) in ([CHOSEN] if CHOSEN else VERSIONS)


def test_missing_version_names_the_command_that_installs_it():
    with pytest.raises(PostgresError, match=r"\.ci/servers .*bin 9$"):
        binaries("9")


def test_settings_reach_the_server_of_a_version():
    with own_cluster(version=BEFORE, settings={"max_prepared_transactions": "5"}) as cluster:
        assert _major(cluster) == BEFORE
        assert _rows(cluster, "show max_prepared_transactions") == [("5",)]


@pytest.mark.parametrize("way", ["pg_upgrade", "dump"])
def test_upgrade_moves_logins_with_rights_comments_and_passwords(way: Way):
    with own_cluster(version=BEFORE) as old:
        _give_ada_access(old)
        roles, members = _rows(old, ROLES), _rows(old, MEMBERS)
        rights = _rows(old, RIGHTS)
        address = old.latchkey_dsn()
        identifier = _rows(old, IDENTIFIER)

        with upgraded(old, way=way) as new:
            assert old.pid is None
            assert _major(new) == NEWEST
            assert new.latchkey_dsn() == address
            assert (ADA, "latchkey", False) in members
            assert _rows(new, ROLES) == roles
            assert _rows(new, MEMBERS) == members
            assert {what for what, *_ in rights} > {"schema shop", "default orders_owner"}
            assert _rows(new, RIGHTS) == rights
            assert _rows(new, IDENTIFIER) != identifier
            with _log_in(new) as session:
                assert session.execute("select count(*) from shop.customers").fetchone()


def test_standby_follows_and_promotion_begins_a_timeline():
    with own_cluster(version=BEFORE) as primary, standby_of(primary) as standby:
        _give_ada_access(primary)
        catch_up(standby, primary)

        assert _rows(standby, "select pg_is_in_recovery()") == [(True,)]
        with _log_in(standby) as session:
            assert session.execute("select count(*) from shop.customers").fetchone()

        promote(standby)

        assert _rows(standby, "select pg_is_in_recovery()") == [(False,)]
        assert _timeline(standby) == _timeline(primary) + 1


def test_standby_takes_over_under_the_same_address():
    """It is the same server by its identifier, and only the timeline tells that it is not."""
    with own_cluster(version=BEFORE) as primary, standby_of(primary) as standby:
        address = primary.superuser_dsn()
        identifier = _rows(primary, IDENTIFIER)
        timeline = _timeline(primary)

        take_over(standby, primary)

        assert standby.superuser_dsn() == address
        assert _rows(standby, IDENTIFIER) == identifier
        assert _timeline(standby) == timeline + 1
