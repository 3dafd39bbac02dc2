"""Another server under the same address: a rebuild, an upgrade, a restore, a switch-over.

Object numbers mean other things there. Nothing is given; what has to end ends by the login's name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.port import Login, Presence, Secret, Target, Unavailable
from tests.connectors.harness import (
    INSTALLATION,
    PostgreSQLHarness,
    known,
    new_login,
    order,
    presences,
)
from tests.support.postgres import own_cluster
from tests.support.servers import CHOSEN, VERSIONS
from tests.support.standby import catch_up, standby_of, take_over
from tests.support.upgrade import Way, upgraded

HELD, ABSENT, REFUSED, UNKNOWN = Presence
BEFORE = CHOSEN or VERSIONS[0]


@pytest.fixture
def old() -> Iterator[Cluster]:
    with own_cluster(version=BEFORE) as running:
        yield running


def _left(cluster: Cluster, login: Login) -> list[str]:
    """Tell what the login has, in all lists of the sample databases."""
    found = []
    for database in ("orders", "ledger"):
        harness = PostgreSQLHarness(cluster, database=database)
        found += harness.left(login)
        harness.close()
    return found


def _may_log_in(cluster: Cluster, login: Login) -> bool:
    assert login.password
    parts = conninfo_to_dict(cluster.latchkey_dsn("orders"))
    parts |= {"user": login.name, "password": login.password.reveal()}
    try:
        psycopg.connect(make_conninfo(**parts)).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _upgraded(way: Way, old: Cluster):
    harness = PostgreSQLHarness(old)
    first, second = harness.make(), harness.make(permission="read-write")
    login = new_login()
    later = known(login, harness.connector.apply(order(login, first, second)))
    harness.connector.close()
    harness.close()
    with upgraded(old, way=way) as new:
        yield new, login, later, first, second


@pytest.mark.parametrize("way", ["pg_upgrade", "dump"])
def test_login_made_before_an_upgrade_ends_after_it(old: Cluster, way: Way):
    """F44: it was stranded: no end, no extension, no new access, while the doctor was all well."""
    with _upgraded(way, old) as (new, login, later, first, second):
        connector = PostgreSQL(Secret(new.latchkey_dsn()), installation=INSTALLATION)
        faults = [line for line in connector.check() if not line.ok]
        waits = connector.apply(order(later, first, second))
        one = connector.apply(order(later, first, end=[second]))
        still = _may_log_in(new, login)
        last = connector.apply(order(later, end=[first, second]))

        assert faults == []
        assert presences(waits) == {first: UNKNOWN, second: UNKNOWN}
        assert "another server" in waits.outcomes[first].reason
        assert presences(one) == {first: UNKNOWN, second: ABSENT}
        assert still
        assert presences(last) == {first: ABSENT, second: ABSENT}
        assert not _may_log_in(new, login)
        assert _left(new, login) == []
        connector.close()


def test_accepted_server_goes_on_as_before(old: Cluster):
    with _upgraded("pg_upgrade", old) as (new, login, later, first, second):
        connector = PostgreSQL(Secret(new.latchkey_dsn()), installation=INSTALLATION)
        server = connector.server()
        numbers = {resource.path: resource.source_id for resource in connector.discover()}
        one, two = (
            replace(target, server=server, source_id=numbers[target.path])
            for target in (first, second)
        )

        extended = connector.apply(order(later, one, two))
        ended = connector.apply(order(later, one, end=[two]))
        fresh = new_login()
        given = connector.apply(order(fresh, two))

        assert presences(extended) == {one: HELD, two: HELD}
        assert presences(ended) == {one: HELD, two: ABSENT}
        assert presences(given) == {two: HELD}
        assert connector.unexplained(later, [one]) == ()
        connector.cleanup(known(login))
        connector.close()


def test_numbers_of_a_rebuilt_server_are_not_believed(old: Cluster):
    """F58: the number of the table that was approved was by then that of another."""
    with own_cluster(version=BEFORE, seed=False) as other:
        harness = PostgreSQLHarness(old)
        target = harness.make()
        login = new_login()
        stranger = PostgreSQL(Secret(other.latchkey_dsn()), installation=INSTALLATION)

        seen = stranger.inspect(login, [target])
        report = stranger.apply(order(login, target))
        ended = stranger.apply(order(login, end=[target]))

        assert seen[target].presence is ABSENT  # there is no such login
        assert presences(report) == {target: UNKNOWN}
        assert f"({stranger.server()}): it was rebuilt" in report.outcomes[target].reason
        assert not report.login_missing
        assert stranger.logins() == []
        assert presences(ended) == {target: ABSENT}
        harness.close()


def test_standby_is_told_as_such(old: Cluster):
    """A fault that no patience cures was called “unavailable” for ever."""
    harness = PostgreSQLHarness(old)
    target, login = harness.make(), new_login()
    later = known(login, harness.connector.apply(order(login, target)))
    with standby_of(old) as standby:
        catch_up(standby, old)
        connector = PostgreSQL(Secret(standby.latchkey_dsn()), installation=INSTALLATION)

        with pytest.raises(Unavailable, match="is a standby") as fault:
            connector.apply(order(later, end=[target]))
        faults = [line.detail for line in connector.check() if not line.ok]

        assert fault.value.lasting
        assert "target_session_attrs=read-write" in str(fault.value)
        assert any("standby" in detail for detail in faults)
        connector.close()
    harness.close()


def test_switched_over_server_is_another(old: Cluster):
    """A restore to an earlier moment keeps the identifier: only the timeline tells."""
    harness = PostgreSQLHarness(old)
    target, login = harness.make(), new_login()
    later = known(login, harness.connector.apply(order(login, target)))
    before = harness.connector.server()
    harness.close()
    harness.connector.close()
    with standby_of(old) as standby:
        take_over(standby, old)
        connector = PostgreSQL(Secret(standby.latchkey_dsn()), installation=INSTALLATION)

        after = connector.server()
        waits = connector.apply(order(later, target))
        ended = connector.apply(order(later, end=[target]))

        assert after.split("/")[0] == before.split("/")[0]
        assert after != before
        assert presences(waits) == {target: UNKNOWN}
        assert presences(ended) == {target: ABSENT}
        assert not _may_log_in(standby, login)
        connector.close()


def test_every_entry_goes_on_another_server(old: Cluster):
    harness = PostgreSQLHarness(old)
    target, login = harness.make(), new_login()
    later = known(login, harness.connector.apply(order(login, target)))
    who = sql.Identifier(login.name)
    harness.run("grant orders_owner to {}", who)
    harness.run("grant create on schema {} to {}", sql.Identifier(harness.schema), who)
    elsewhere = replace(target, server="1/1")

    report = harness.connector.apply(order(later, end=[elsewhere]))

    assert presences(report) == {elsewhere: ABSENT}
    assert harness.left(login) == []
    # From PostgreSQL 16 on a membership is only for those to take who have ADMIN on the role.
    newer = harness.admin.info.server_version >= 160000
    left = ("membership in orders_owner",) if newer else ()
    assert harness.connector.unexplained(later, []) == left
    assert [name in note for name, note in zip(left, report.notes, strict=True)] == [True] * newer
    harness.close()


def test_what_is_called_otherwise_by_now_is_not_given(old: Cluster):
    """The name at the number is compared with what was approved, before every grant."""
    harness = PostgreSQLHarness(old)
    target: Target = harness.make(name="approved")
    login = new_login()
    table = sql.Identifier(harness.schema, "approved")
    harness.run("alter table {} rename to secrets", table)

    report = harness.connector.apply(order(login, target))

    assert presences(report) == {target: REFUSED}
    assert "secrets" in report.outcomes[target].reason
    assert not harness.can(login, target)
    harness.close()
