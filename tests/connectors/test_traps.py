"""What others plant for our SQL to trip over: see `tests.support.traps`.

The whole contract runs with the traps in place, and looks after each test that none was run. A
grantee with 30 minutes on one table had planted an operator in “public” that fitted our own SQL
better than the server's, pressed *Return now*, and owned the server.
"""

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bot.sandbox.postgres import DATABASES
from tests.connectors.harness import PostgreSQLHarness, known, new_login, order
from tests.support.servers import ENDS
from tests.support.trapped import HOME, sprung_in


@pytest.fixture(params=list(ENDS))
def harness(trapped, request: pytest.FixtureRequest):
    with_traps = PostgreSQLHarness(trapped(request.param))
    yield with_traps
    with_traps.close()


QUESTIONS = {
    "function": "select pg_get_userbyid(10::oid)",
    "relation": "select id from pg_roles",
    "type": "select 'x'::name",
}


@pytest.mark.parametrize("path", [f"{HOME},pg_catalog", "public,pg_catalog"])
@pytest.mark.parametrize("kind", ["function", "relation", "type"])
def test_traps_do_spring_where_nothing_is_pinned(harness, kind: str, path: str):
    """Else the tests that none is run could not fail."""
    options = f"-c search_path={path}"
    dsn = make_conninfo(harness.cluster.latchkey_dsn("orders"), options=options)

    with psycopg.connect(dsn, autocommit=True) as plain:
        plain.execute(QUESTIONS[kind].encode())

    assert sprung_in(harness.cluster, "orders") >= {kind}


def test_operator_that_fits_better_springs_from_public(harness):
    """The attack as it was: pg_catalog comes first in the path, and yet its operator does not."""
    dsn = make_conninfo(
        harness.cluster.latchkey_dsn("orders"), options="-c search_path=pg_catalog,public"
    )

    with psycopg.connect(dsn, autocommit=True) as plain:
        plain.execute("select from pg_class where oid = 'pg_class'::regclass")

    assert sprung_in(harness.cluster, "orders") == {"operator"}


def test_rest_of_the_connector_springs_none(harness):
    """What the contract does not call: all that is there is looked at, and put away."""
    login, target = new_login(), harness.make()
    given = harness.connector.apply(order(login, target))
    session = harness.log_in(login)
    assert session
    harness.run(f'grant create on schema {harness.schema} to "{login.name}"')
    session.connection.execute(
        f"create table {harness.schema}.work (id pg_catalog.int4 default 1)".encode()
    )

    harness.connector.check()
    harness.connector.discover()
    left = harness.connector.unexplained(known(login, given), [target])
    notes = harness.connector.cleanup(known(login, given))

    assert left == (f"CREATE on schema {harness.schema}, in orders",)
    assert len(notes) == 2
    assert [sprung_in(harness.cluster, name) for name in ("postgres", *DATABASES)] == [set()] * 3
