"""What only PostgreSQL has: privileges that share a path, sessions, ends, several databases."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from bot.sandbox.postgres import Cluster
from engine.connectors.elapsed import boottime
from engine.connectors.postgresql import PostgreSQL, sessions
from engine.connectors.postgresql.discovery import rounded
from engine.port import Login, Presence, Secret, Target, Unavailable
from tests.connectors.harness import (
    INSTALLATION,
    PostgreSQLHarness,
    known,
    order,
    presences,
    through,
    unique,
    valid_for,
)
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

HELD, ABSENT, REFUSED, UNKNOWN = Presence
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(cluster: Cluster) -> Iterator[PostgreSQLHarness]:
    """A second database of the same server."""
    harness = PostgreSQLHarness(cluster, database="ledger")
    yield harness
    harness.close()


# --- What each permission comes to ----------------------------------------------------------------


def test_connect_is_connect_and_nothing_else(postgresql: PostgreSQLHarness, login: Login):
    postgresql.connector.apply(order(login, postgresql.whole_database()))

    assert postgresql.left(login) == ["CONNECT on database orders"]


def test_read_is_select_and_the_path_to_it(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make(name="plain")

    postgresql.connector.apply(order(login, target))

    assert postgresql.left(login) == [
        "CONNECT on database orders",
        "SELECT on relation plain",
        f"USAGE on schema {postgresql.schema}",
    ]


def test_read_write_has_the_numbers_of_new_rows(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make(name="plain", permission="read-write")

    postgresql.connector.apply(order(login, target))

    assert postgresql.left(login) == [
        "CONNECT on database orders",
        "DELETE on relation plain",
        "INSERT on relation plain",
        "SELECT on relation plain",
        "UPDATE on relation plain",
        "USAGE on relation plain_id_seq",
        f"USAGE on schema {postgresql.schema}",
    ]
    session = postgresql.log_in(login)
    assert session
    session.connection.execute(
        sql.SQL("insert into {} (note) values ('new')").format(
            sql.Identifier(postgresql.schema, "plain")
        )
    )


def test_whole_schema_is_all_that_is_in_it_now_and_later(
    postgresql: PostgreSQLHarness, login: Login
):
    now = postgresql.make()
    target = postgresql.whole_schema("read-write")
    assert presences(postgresql.connector.apply(order(login, target))) == {target: HELD}
    assert postgresql.can(login, replace(now, permission="read-write"))

    postgresql.run("set role orders_owner")
    postgresql.run("create table {} (id serial)", sql.Identifier(postgresql.schema, "later"))
    postgresql.run("reset role")

    later = postgresql.table("later", "read-write")
    assert postgresql.can(login, later)
    assert postgresql.connector.inspect(login, [target])[target].presence is HELD
    report = postgresql.connector.apply(order(known(login), end=[target]))
    assert presences(report) == {target: ABSENT}
    assert postgresql.left(login) == []


def test_materialised_view_can_only_be_read(postgresql: PostgreSQLHarness, login: Login):
    postgresql.make(name="base")
    for kind in ("materialized view", "view"):
        name = sql.Identifier(postgresql.schema, kind)
        base = sql.Identifier(postgresql.schema, "base")
        postgresql.run("create {} {} as select note from {}", sql.SQL(kind), name, base)
        postgresql.run("alter {} {} owner to orders_owner", sql.SQL(kind), name)

    found = {
        resource.name: (resource.tags["kind"], [*resource.permissions])
        for resource in postgresql.connector.discover()
        if resource.path.startswith(f"orders/{postgresql.schema}/")
    }
    assert found == {
        "base": (("table",), ["read", "read-write"]),
        "view": (("view",), ["read", "read-write"]),
        "materialized view": (("materialised view",), ["read"]),
    }
    postgresql.connector.apply(order(login, postgresql.whole_schema("read-write")))
    assert "INSERT on relation view" in postgresql.left(login)
    assert "INSERT on relation materialized view" not in postgresql.left(login)


def test_seed_is_discovered_whole_and_without_the_system(postgresql: PostgreSQLHarness):
    found = {resource.path: resource for resource in postgresql.connector.discover()}

    assert 'orders/shop/"the ""fine"" café"' in found
    assert found["orders/shop/events_2026"].tags["kind"] == ("partition",)
    assert [*found["orders/shop/revenue_by_month"].permissions] == ["read"]
    assert found["ledger/payroll/salaries"].risk > found["orders/warehouse/stock"].risk
    assert found["ledger/payroll"].risk == found["ledger/payroll/salaries"].risk
    assert not [p for p in found if "pg_catalog" in p or "information_schema" in p]
    assert "postgres" not in found


def test_how_much_there_is_is_said_as_the_server_estimates_it(postgresql: PostgreSQLHarness):
    for name, rows in (("many", 1234), ("few", 3)):
        table = sql.Identifier(postgresql.schema, name)
        postgresql.run("create table {} as select generate_series(1, {})", table, sql.Literal(rows))
        postgresql.run("alter table {} owner to orders_owner", table)
        postgresql.run("analyze {}", table)
    unknown = sql.Identifier(postgresql.schema, "unseen")
    postgresql.run("create table {} (id int)", unknown)
    postgresql.run("alter table {} owner to orders_owner", unknown)

    found = {resource.path: resource.context for resource in postgresql.connector.discover()}

    schema = f"orders/{postgresql.schema}"
    assert found[f"{schema}/many"] == {"rows": ("1000",)}
    assert found[f"{schema}/few"] == {"rows": ("2",)}
    assert found[f"{schema}/unseen"] == {}
    assert found[schema] == {"tables": ("3",), "rows": ("1000",)}
    assert set(found["orders"]) == {"schemas", "tables", "rows"}


@pytest.mark.parametrize(
    ("estimate", "said"),
    [(0, 0), (0.4, 0), (1, 1), (4.9, 2), (5, 5), (9, 5), (10, 10), (49, 20), (1e9, 10**9)],
)
def test_an_estimate_is_said_as_an_order(estimate: float, said: int):
    assert rounded(estimate) == said


def test_database_that_is_named_must_be_there(cluster: Cluster):
    connector = PostgreSQL(
        Secret(cluster.latchkey_dsn()), installation="x", databases=("orders", "nowhere")
    )

    with pytest.raises(Unavailable, match="nowhere"):
        connector.discover()
    assert "database nowhere" in [line.name for line in connector.check() if not line.ok]


# --- Overlaps -------------------------------------------------------------------------------------


def test_less_stays_when_more_ends(postgresql: PostgreSQLHarness, login: Login):
    read = postgresql.make()
    write = replace(read, permission="read-write")
    postgresql.connector.apply(order(login, read, write))

    report = postgresql.connector.apply(order(known(login), read, end=[write]))

    assert presences(report) == {read: HELD, write: ABSENT}
    assert postgresql.can(login, read)
    assert not postgresql.can(login, write)


def test_table_stays_when_its_schema_ends(postgresql: PostgreSQLHarness, login: Login):
    table, other = postgresql.make(), postgresql.make()
    schema = postgresql.whole_schema()
    postgresql.connector.apply(order(login, table, schema))

    report = postgresql.connector.apply(order(known(login), table, end=[schema]))

    assert presences(report) == {table: HELD, schema: ABSENT}
    assert postgresql.can(login, table)
    assert not postgresql.can(login, other)


def test_connect_ends_in_name_while_a_table_needs_it(postgresql: PostgreSQLHarness, login: Login):
    table, database = postgresql.make(), postgresql.whole_database()
    postgresql.connector.apply(order(login, table, database))

    report = postgresql.connector.apply(order(known(login), table, end=[database]))

    assert presences(report) == {table: HELD, database: ABSENT}
    assert postgresql.log_in(login)


def test_part_of_what_latchkey_gave_is_not_standing(postgresql: PostgreSQLHarness, login: Login):
    table, database = postgresql.make(), postgresql.whole_database()
    schema = postgresql.whole_schema()
    postgresql.connector.apply(order(login, table))

    seen = postgresql.connector.inspect(login, [table, schema, database], given=[table])

    assert [seen[t].presence for t in (table, schema, database)] == [HELD, ABSENT, ABSENT]


def test_what_comes_through_a_group_or_public_is_held(postgresql: PostgreSQLHarness, login: Login):
    anchor, by_group, by_public = (postgresql.make() for _ in range(3))
    group = sql.Identifier(unique("group"))
    for statement, *parts in (
        ("create role {}", group),
        ("grant select on {} to {}", _table(postgresql, by_group), group),
        ("grant select on {} to public", _table(postgresql, by_public)),
    ):
        postgresql.run(statement, *parts)
    postgresql.connector.apply(order(login, anchor))
    postgresql.run("grant {} to {}", group, sql.Identifier(login.name))

    seen = postgresql.connector.inspect(login, [by_group, by_public])
    assert {outcome.presence for outcome in seen.values()} == {HELD}

    postgresql.connector.apply(order(known(login), end=[anchor]))
    seen = postgresql.connector.inspect(login, [by_group, by_public])
    assert {outcome.presence for outcome in seen.values()} == {ABSENT}


def test_same_right_given_by_somebody_else_stays(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make()
    postgresql.connector.apply(order(login, target))
    lead = sql.Identifier(unique("lead"))
    for statement, *parts in (
        ("create role {}", lead),
        ("grant usage on schema {} to {}", sql.Identifier(postgresql.schema), lead),
        ("grant select on {} to {} with grant option", _table(postgresql, target), lead),
        ("set role {}", lead),
        ("grant select on {} to {}", _table(postgresql, target), sql.Identifier(login.name)),
        ("reset role",),
    ):
        postgresql.run(statement, *parts)

    report = postgresql.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert f"SELECT on {target.path}" in report.notes[0]
    assert postgresql.can(login, target)


# --- The login and its end ------------------------------------------------------------------------


def test_login_is_valid_until_the_servers_now_and_what_remains(
    postgresql: PostgreSQLHarness, login: Login
):
    target = postgresql.make()
    for remaining in (HOUR, timedelta(days=2), timedelta(minutes=5)):
        report = postgresql.connector.apply(order(login, target, remaining=remaining))

        left = valid_for(postgresql, login)
        assert left
        assert remaining - timedelta(minutes=1) < left <= remaining
        assert not report.deadline_refused

    postgresql.connector.apply(order(known(login), target, remaining=None))
    assert valid_for(postgresql, login) is None
    assert postgresql.log_in(login)


def test_login_past_its_end_is_refused_by_the_server(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make()

    postgresql.connector.apply(order(login, target, remaining=timedelta(seconds=-1)))

    assert postgresql.log_in(login) is None


def test_end_that_the_server_refuses_leaves_the_old_one(
    postgresql: PostgreSQLHarness, login: Login
):
    target = postgresql.make()
    postgresql.connector.apply(order(login, target, remaining=HOUR))

    report = postgresql.connector.apply(order(known(login), target, remaining=timedelta.max))

    assert "out of range" in report.deadline_refused
    assert presences(report) == {target: HELD}
    left = valid_for(postgresql, login)
    assert left
    assert left <= HOUR


def test_password_never_reaches_the_server(cluster: Cluster, login: Login):
    harness = PostgreSQLHarness(cluster)
    harness.run("alter role latchkey set log_statement = 'all'")
    harness.connector.close()  # it holds for connections that are opened from now on
    before = cluster.log.stat().st_size
    try:
        harness.connector.apply(order(login, harness.make()))
    finally:
        harness.run("alter role latchkey reset log_statement")
        harness.close()

    written = cluster.log.read_bytes()[before:].decode()
    assert login.password
    assert f'alter role "{login.name}" login password' in written
    assert login.password.reveal().replace("'", "''") not in written
    assert "horse" not in written


def test_open_cursor_does_not_outlive_the_end(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make()
    postgresql.connector.apply(order(login, target))
    session = postgresql.log_in(login)
    assert session
    query = sql.SQL("declare c cursor with hold for select * from {}")
    session.connection.execute(query.format(_table(postgresql, target)))
    assert session.connection.execute("fetch 1 from c").fetchall()

    postgresql.connector.apply(order(known(login), end=[target]))

    with pytest.raises(psycopg.OperationalError):
        session.connection.execute("fetch 1 from c")


def test_last_end_in_one_database_leaves_the_other_alone(
    postgresql: PostgreSQLHarness, ledger: PostgreSQLHarness, login: Login
):
    here, there = postgresql.make(), ledger.make()
    postgresql.connector.apply(order(login, here, there))
    session_here, session_there = postgresql.log_in(login), ledger.log_in(login)
    assert session_here
    assert session_there

    report = postgresql.connector.apply(order(known(login), there, end=[here]))

    assert presences(report) == {here: ABSENT, there: HELD}
    assert not session_here.alive
    assert session_there.alive
    assert postgresql.log_in(login) is None
    assert ledger.log_in(login)


def test_renamed_things_are_the_same(postgresql: PostgreSQLHarness, login: Login):
    target = postgresql.make(name="before")
    postgresql.connector.apply(order(login, target))
    postgresql.run("alter table {} rename to after", _table(postgresql, target))

    seen = postgresql.connector.inspect(login, [target])
    report = postgresql.connector.apply(order(known(login), end=[target]))

    assert seen[target].presence is HELD
    assert presences(report) == {target: ABSENT}
    assert postgresql.left(login) == []


def test_database_dropped_by_hand_takes_its_targets_along(
    postgresql: PostgreSQLHarness, login: Login
):
    name = sql.Identifier(unique("doomed"))
    postgresql.run("create database {} owner orders_owner", name)
    (oid,) = postgresql.one("select max(oid) from pg_database where datname like 'doomed%%'")
    doomed = Target(
        "database", f"db:{oid}", name.as_string().strip('"'), "connect", postgresql.server
    )
    target = postgresql.make()
    assert presences(postgresql.connector.apply(order(login, doomed, target))) == {
        doomed: HELD,
        target: HELD,
    }
    postgresql.run("drop database {}", name)

    seen = postgresql.connector.inspect(known(login), [doomed, target], given=[doomed, target])
    wanted = postgresql.connector.apply(order(known(login), doomed, target))
    ended = postgresql.connector.apply(order(known(login), target, end=[doomed]))

    assert {of: outcome.presence for of, outcome in seen.items()} == {doomed: ABSENT, target: HELD}
    assert presences(wanted) == {doomed: REFUSED, target: HELD}
    assert presences(ended) == {doomed: ABSENT, target: HELD}


def test_path_to_a_table_dropped_by_hand_ends_with_it(postgresql: PostgreSQLHarness, login: Login):
    target, database = postgresql.make(), postgresql.whole_database()
    postgresql.connector.apply(order(login, target, database))
    postgresql.drop(target)

    report = postgresql.connector.apply(order(known(login), database, end=[target]))

    assert presences(report) == {target: ABSENT, database: HELD}
    assert postgresql.connector.unexplained(known(login), [database]) == ()


def test_role_that_latchkey_did_not_make_is_left_alone(postgresql: PostgreSQLHarness, login: Login):
    target, other = postgresql.make(), postgresql.make()
    postgresql.run("create role {} login", sql.Identifier(login.name))
    postgresql.stand(login, other)
    before = postgresql.left(login)

    granted = postgresql.connector.apply(order(login, target))
    ended = postgresql.connector.apply(order(known(login), end=[target, other]))
    left = postgresql.connector.unexplained(known(login), [])
    with pytest.raises(Unavailable, match="It was left alone"):
        postgresql.connector.cleanup(login)

    assert presences(granted) == {target: REFUSED}
    assert login.name in granted.outcomes[target].reason
    assert presences(ended) == {target: ABSENT, other: UNKNOWN}
    assert any("SELECT on table" in words for words in left)  # to look at it changes nothing
    assert postgresql.left(login) == before
    assert login.name not in postgresql.connector.logins()


def test_a_login_that_somebody_renamed_is_not_called_dropped(
    postgresql: PostgreSQLHarness, login: Login
):
    postgresql.connector.apply(order(login, postgresql.make()))
    who, other = sql.Identifier(login.name), sql.Identifier(f"{login.name}_2")
    postgresql.run("alter role {} rename to {}", who, other)

    with pytest.raises(Unavailable, match=r"is called .* by now\. Cure: ALTER ROLE"):
        postgresql.connector.cleanup(known(login))

    postgresql.run("alter role {} rename to {}", other, who)
    postgresql.connector.cleanup(known(login))
    assert login.name not in postgresql.connector.logins()


def test_each_installation_knows_only_its_own_logins(
    postgresql: PostgreSQLHarness, cluster: Cluster, login: Login
):
    postgresql.connector.apply(order(login, postgresql.make()))

    for installation in (INSTALLATION[:-1], f"{INSTALLATION} ", "test", "%"):
        other = PostgreSQL(Secret(cluster.latchkey_dsn()), installation=installation)
        assert other.logins() == []


def test_cleanup_hands_over_what_the_grantee_made(
    postgresql: PostgreSQLHarness, ledger: PostgreSQLHarness, login: Login
):
    """F9: a role that owned something could not be dropped, and was left.

    DROP OWNED alone would destroy somebody's work.
    """
    targets = [postgresql.make(), ledger.make()]
    postgresql.connector.apply(order(login, *targets))
    for harness in (postgresql, ledger):
        schema, table = sql.Identifier(harness.schema), sql.Identifier(harness.schema, "work")
        harness.run("grant create on schema {} to {}", schema, sql.Identifier(login.name))
        session = harness.log_in(login)
        assert session
        session.connection.execute(sql.SQL("create table {} (id int)").format(table))

    notes = postgresql.connector.cleanup(known(login))

    keeper = sql.Identifier(f"latchkey_keeps_{INSTALLATION}").as_string()
    assert len(notes) == 2
    for harness, note in zip((ledger, postgresql), notes, strict=True):
        assert f"table {harness.schema}.work" in note
        assert f"{keeper} owns, in {harness.database}" in note
        query = "select relowner::regrole::text from pg_class where relname = 'work' and oid = %s"
        relation = int(harness.table("work").source_id.rpartition(":")[2])
        assert harness.one(query, relation) == (keeper,)
    assert login.name not in postgresql.connector.logins()


# --- Others at work -------------------------------------------------------------------------------


def test_concurrent_change_of_the_same_list_is_tried_again(
    postgresql: PostgreSQLHarness, cluster: Cluster, login: Login
):
    """F42: a change that lost a race was not read again before the next try.

    The second of two that change one ACL fails with “tuple concurrently updated”.
    """
    target = postgresql.make()
    before = cluster.log.stat().st_size
    reports = []
    with psycopg.connect(cluster.superuser_dsn("orders")) as rival:
        rival.execute(
            sql.SQL("grant select on {} to ledger_owner").format(_table(postgresql, target))
        )
        apply = threading.Thread(
            target=lambda: reports.append(postgresql.connector.apply(order(login, target)))
        )
        apply.start()
        wait_until(
            lambda: (
                postgresql.one(
                    "select count(*) from pg_stat_activity"
                    " where usename = 'latchkey' and wait_event_type = 'Lock'"
                )
                == (1,)
            )
        )
    apply.join()

    assert presences(reports[0]) == {target: HELD}
    assert b"tuple concurrently updated" in cluster.log.read_bytes()[before:]


def test_dropped_while_it_is_granted_is_refused(
    postgresql: PostgreSQLHarness, cluster: Cluster, login: Login
):
    target = postgresql.make()
    reports = []
    with psycopg.connect(cluster.superuser_dsn("orders")) as rival:
        rival.execute(sql.SQL("drop table {}").format(_table(postgresql, target)))
        apply = threading.Thread(
            target=lambda: reports.append(postgresql.connector.apply(order(login, target)))
        )
        apply.start()
        wait_until(
            lambda: (
                postgresql.one(
                    "select count(*) from pg_stat_activity"
                    " where usename = 'latchkey' and wait_event_type = 'Lock'"
                )
                == (1,)
            )
        )
    apply.join()

    assert presences(reports[0]) == {target: REFUSED}


# --- Faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["discover", "inspect", "apply", "cleanup", "logins"])
def test_server_that_is_down_is_unavailable(cluster: Cluster, login: Login, method: str):
    calls = {
        "discover": lambda connector: connector.discover(),
        "inspect": lambda connector: connector.inspect(login, []),
        "apply": lambda connector: connector.apply(order(login)),
        "cleanup": lambda connector: connector.cleanup(login),
        "logins": lambda connector: connector.logins(),
    }
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster)
        proxy.down = True

        with pytest.raises(Unavailable):
            calls[method](connector)

        assert [line.name for line in connector.check() if not line.ok] == ["connection"]
        proxy.down = False
        calls[method](connector)


def test_server_that_hangs_is_not_waited_for_ever(cluster: Cluster, login: Login):
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster, statement_timeout=1)
        proxy.on(2, action="stall")

        with pytest.raises(Unavailable):
            connector.apply(order(login))


def test_call_whose_time_is_up_changes_nothing_more(cluster: Cluster, login: Login):
    """A process that was asleep, and wakes after `deadline`, must not finish what it began."""
    harness = PostgreSQLHarness(cluster)
    target = harness.make()
    harness.close()
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster, statement_timeout=1)
        began = time.monotonic()
        asleep = connector.deadline.total_seconds()

        def sleep() -> None:
            wait_until(lambda: time.monotonic() - began > asleep)

        proxy.on(5, action=sleep, when="after")

        with pytest.raises(Unavailable):
            connector.apply(order(login, target))

    assert login.name not in harness.connector.logins()


def test_call_of_a_machine_that_was_suspended_changes_nothing_more(
    cluster: Cluster, login: Login, monkeypatch: pytest.MonkeyPatch
):
    """CLOCK_MONOTONIC stood still with it: what it went on with was another's to end by then."""
    harness = PostgreSQLHarness(cluster)
    target = harness.make()
    harness.close()
    suspended = [0.0]
    monkeypatch.setattr(sessions, "boottime", lambda: boottime() + sum(suspended))
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster)
        until = connector.deadline.total_seconds()
        proxy.on(5, action=lambda: suspended.append(until), when="after")

        with pytest.raises(Unavailable):
            connector.apply(order(login, target))

    suspended.clear()
    assert login.name not in harness.connector.logins()


def _table(harness: PostgreSQLHarness, target: Target) -> sql.Identifier:
    return sql.Identifier(harness.schema, harness.tables[target])
