"""Latchkey's own login: each right that it needs, taken away.

The doctor names it with its cure, `apply` says so and harms nothing, and the cure cures.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.port import Login, Presence, Secret, Unavailable
from tests.connectors.harness import (
    PostgreSQLHarness,
    known,
    order,
    presences,
    unique,
)

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"


class Keeper(PostgreSQLHarness):
    """The same, with a login of Latchkey's that may be robbed of its rights."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.name = unique("keeper")
        self.me = sql.Identifier(self.name)
        self.run("create role {} login createrole password 'keeper'", self.me)
        self.run("grant orders_owner, warehouse_owner, ledger_owner, payroll_owner to {}", self.me)
        self.connector = self._connector()

    def _connector(self) -> PostgreSQL:
        parts = conninfo_to_dict(self.cluster.latchkey_dsn())
        parts |= {"user": self.name, "password": "keeper"}
        return PostgreSQL(
            Secret(make_conninfo(**parts)), installation=self.name, databases=("orders",)
        )

    def joining(self, owner: str) -> str:
        """The statement that lets Latchkey act as an owner, as it is printed."""
        new = self.admin.info.server_version >= 160000
        how = " WITH INHERIT TRUE, SET TRUE" if new else ""
        return f'GRANT "{owner}" TO "{self.name}"{how};'

    def faults(self) -> dict[str, str]:
        return {line.name: line.detail for line in self.connector.check() if not line.ok}


@pytest.fixture
def keeper(cluster: Cluster) -> Iterator[Keeper]:
    harness = Keeper(cluster)
    yield harness
    harness.close()


def test_connector_is_tested_with_no_more_than_it_needs(postgresql: PostgreSQLHarness):
    rights = postgresql.one(
        "select rolcanlogin, rolcreaterole, rolsuper, rolcreatedb, rolreplication, rolbypassrls"
        " from pg_roles where rolname = 'latchkey'"
    )

    assert rights == (True, True, False, False, False, False)
    assert postgresql.one(
        "select bool_or(pg_has_role('latchkey', oid, 'MEMBER')) from pg_roles"
        " where rolsuper or rolname ~ '^pg_' and rolname <> 'pg_database_owner'"
    ) == (False,)


def test_nothing_is_missing_at_first(keeper: Keeper):
    assert keeper.faults() == {}


def test_without_login_nothing_can_be_done(keeper: Keeper, login: Login):
    keeper.run("alter role {} nologin", keeper.me)

    assert "not permitted to log in" in keeper.faults()["connection"]
    with pytest.raises(Unavailable, match="not permitted to log in"):
        keeper.connector.apply(order(login, keeper.make()))

    keeper.run("alter role {} login", keeper.me)
    assert keeper.faults() == {}


def test_without_createrole_no_login_can_be_made(keeper: Keeper, login: Login):
    target = keeper.make()
    cure = f'ALTER ROLE "{keeper.name}" CREATEROLE;'
    keeper.run("alter role {} nocreaterole", keeper.me)

    assert cure in keeper.faults()["create logins"]
    report = keeper.connector.apply(order(login, target))
    assert presences(report) == {target: Presence.REFUSED}
    assert cure in report.outcomes[target].reason

    _cure(keeper, cure)
    assert presences(keeper.connector.apply(order(login, target))) == {target: Presence.HELD}


def test_without_createrole_what_is_held_stays_and_its_end_is_not_called_one(
    keeper: Keeper, login: Login
):
    """The privileges go, but the way in cannot be closed: that is for an admin to hear."""
    target = keeper.make()
    keeper.connector.apply(order(login, target))
    cure = f'ALTER ROLE "{keeper.name}" CREATEROLE;'
    keeper.run("alter role {} nocreaterole", keeper.me)

    extended = keeper.connector.apply(order(known(login), target))
    ended = keeper.connector.apply(order(known(login), end=[target]))

    assert presences(extended) == {target: Presence.HELD}
    assert extended.deadline_refused
    assert presences(ended) == {target: Presence.UNKNOWN}
    assert cure in ended.outcomes[target].reason
    assert not keeper.can(login, target)

    _cure(keeper, cure)
    ended = keeper.connector.apply(order(known(login), end=[target]))
    assert presences(ended) == {target: Presence.ABSENT}
    assert keeper.log_in(login) is None


def test_without_membership_in_a_databases_owner_it_is_closed(keeper: Keeper, login: Login):
    target = keeper.make()
    cure = keeper.joining("orders_owner")
    keeper.run("revoke orders_owner from {}", keeper.me)

    assert cure in keeper.faults()["database orders"]
    report = keeper.connector.apply(order(login, target))
    assert presences(report) == {target: Presence.REFUSED}
    assert cure in report.outcomes[target].reason
    assert keeper.left(login) == []

    _cure(keeper, cure)
    assert presences(keeper.connector.apply(order(login, target))) == {target: Presence.HELD}


def test_without_membership_in_an_owner_its_tables_are_refused(keeper: Keeper, login: Login):
    target, other = keeper.make(), keeper.make()
    keeper.run("alter table {} owner to warehouse_owner", _table(keeper, other))
    cure = keeper.joining("warehouse_owner")
    keeper.run("revoke warehouse_owner from {}", keeper.me)

    assert cure in keeper.faults()["database orders"]
    report = keeper.connector.apply(order(login, target, other))
    assert presences(report) == {target: Presence.HELD, other: Presence.REFUSED}
    assert cure in report.outcomes[other].reason
    assert other.path in report.outcomes[other].reason

    _cure(keeper, cure)
    report = keeper.connector.apply(order(login, target, other))
    assert presences(report) == {target: Presence.HELD, other: Presence.HELD}


def test_what_cannot_be_taken_back_is_never_called_ended(keeper: Keeper, login: Login):
    target = keeper.make()
    keeper.run("alter table {} owner to warehouse_owner", _table(keeper, target))
    keeper.connector.apply(order(login, target))
    cure = keeper.joining("warehouse_owner")
    keeper.run("revoke warehouse_owner from {}", keeper.me)

    report = keeper.connector.apply(order(known(login), end=[target]))
    assert presences(report) == {target: Presence.UNKNOWN}
    assert cure in report.outcomes[target].reason
    assert keeper.log_in(login) is None

    _cure(keeper, cure)
    report = keeper.connector.apply(order(known(login), end=[target]))
    assert presences(report) == {target: Presence.ABSENT}
    assert keeper.left(login) == []


def test_membership_in_its_logins_is_restored_when_it_is_needed(keeper: Keeper, login: Login):
    target = keeper.make()
    keeper.connector.apply(order(login, target))
    session = keeper.log_in(login)
    assert session
    _leave(keeper, login)

    assert f'GRANT "{login.name}" TO "{keeper.name}" WITH ADMIN' in keeper.faults()["made logins"]
    report = keeper.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: Presence.ABSENT}
    assert not session.alive
    assert keeper.faults() == {}


def test_session_that_cannot_be_ended_is_not_called_ended(keeper: Keeper, login: Login):
    target = keeper.make()
    keeper.connector.apply(order(login, target))
    session = keeper.log_in(login)
    assert session
    _leave(keeper, login, for_good=True)

    report = keeper.connector.apply(order(known(login), end=[target]))
    assert presences(report) == {target: Presence.UNKNOWN}
    assert session.alive
    assert keeper.left(login) == []

    keeper.run("alter role {} createrole", keeper.me)
    keeper.run("grant {} to {} with admin option", sql.Identifier(login.name), keeper.me)
    report = keeper.connector.apply(order(known(login), end=[target]))
    assert presences(report) == {target: Presence.ABSENT}
    assert not session.alive


def test_what_a_superuser_owns_is_refused_with_another_cure(keeper: Keeper, login: Login):
    """Membership in a superuser would make Latchkey one."""
    target = keeper.make()
    keeper.run("alter table {} owner to postgres", _table(keeper, target))

    report = keeper.connector.apply(order(login, target))

    assert presences(report) == {target: Presence.REFUSED}
    assert "another owner" in report.outcomes[target].reason
    assert "GRANT" not in report.outcomes[target].reason
    assert "OWNER TO" in keeper.faults()["database orders"]
    keeper.drop(target)


def test_grant_option_does_where_membership_is_missing(keeper: Keeper, login: Login):
    target = keeper.make()
    table = _table(keeper, target)
    keeper.run("alter table {} owner to postgres", table)
    keeper.run("grant select on {} to {} with grant option", table, keeper.me)

    granted = keeper.connector.apply(order(login, target))
    ended = keeper.connector.apply(order(known(login), end=[target]))

    assert presences(granted) == {target: Presence.HELD}
    assert presences(ended) == {target: Presence.ABSENT}
    assert keeper.left(login) == []
    keeper.drop(target)


def test_superuser_and_open_doors_are_warned_of(keeper: Keeper):
    keeper.run("alter role {} superuser", keeper.me)
    keeper.run("grant connect on database orders to public")
    try:
        details = {line.name: line.detail for line in keeper.connector.check()}
    finally:
        keeper.run("revoke connect on database orders from public")

    assert details["least rights"].startswith("warning:")
    assert 'REVOKE CONNECT ON DATABASE "orders" FROM PUBLIC;' in details["PUBLIC"]
    assert keeper.faults() == {}


@pytest.mark.parametrize(
    "statement",
    ["CREATE ROLE latchkey LOGIN CREATEROLE", "GRANT orders_owner", "REVOKE CONNECT ON DATABASE"],
)
def test_rights_are_documented(statement: str):
    assert statement in DOCS.read_text("utf-8")


def _leave(keeper: Keeper, login: Login, *, for_good: bool = False) -> None:
    """End Latchkey's membership in a login that it made, and perhaps its right to return."""
    who = sql.Identifier(login.name)
    newer = keeper.admin.info.server_version >= 160000
    if newer:  # there a maker's own grant stands beside the server's, which lets it return
        keeper.run("revoke {} from {} granted by {}", who, keeper.me, keeper.me)
    if for_good or not newer:
        keeper.run("revoke {} from {}", who, keeper.me)
    if for_good:
        keeper.run("alter role {} nocreaterole", keeper.me)


def _cure(keeper: Keeper, statement: str) -> None:
    """Do what the sentence says, as an administrator would."""
    with psycopg.connect(keeper.cluster.superuser_dsn()) as connection:
        connection.execute(statement.encode())


def _table(keeper: Keeper, target: object) -> sql.Identifier:
    return sql.Identifier(keeper.schema, keeper.tables[target])
