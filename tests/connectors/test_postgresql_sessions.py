"""Sessions to a target: what others can set for them, and what may stand in between."""

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.sessions import said
from engine.port import Login, Presence, Secret, Unavailable
from tests.connectors.harness import PostgreSQLHarness, known, order, presences, through
from tests.support.proxy import Proxy
from tests.support.stranger import CLEAR_TEXT, Stranger

HELD, ABSENT = Presence.HELD, Presence.ABSENT
NOBODY = "192.0.2.1"  # kept free for examples: RFC 5737

# What an owner of the database, or an administrator of roles, can set for the sessions of others.
SET_BY_OTHERS = {
    "search_path": "shop",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_session_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "row_security": "off",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "client_encoding": "latin1",
    "bytea_output": "escape",
    "datestyle": "SQL",
    "intervalstyle": "iso_8601",
    "timezone": "Pacific/Kiritimati",
    "exit_on_error": "on",
    "transform_null_equals": "on",
    "synchronous_commit": "off",
    "password_encryption": "md5",
}
SINCE_16 = {"scram_iterations": "1000000"}  # of our own time, with the whole process standing still
SINCE_17 = {"transaction_timeout": "1"}


@pytest.fixture
def harness(both_ends: Cluster):
    made = PostgreSQLHarness(both_ends)
    yield made
    made.close()


def test_what_others_set_for_our_sessions_changes_nothing(harness: PostgreSQLHarness, login: Login):
    """A setting of the database's owner led our SQL to functions of their own."""
    target = harness.make()
    version = harness.admin.info.server_version
    settings = SET_BY_OTHERS | (SINCE_16 if version >= 160000 else {})
    settings |= SINCE_17 if version >= 170000 else {}
    harness.connector.close()
    for name, value in settings.items():
        for whose in ("database orders", "database postgres", "role latchkey"):
            harness.run(f"alter {whose} set {name} = {{}}", sql.Literal(value))
    harness.run("alter role latchkey set role = orders_owner")
    try:
        granted = harness.connector.apply(order(login, target))
        seen = harness.connector.inspect(login, [target])
        ended = harness.connector.apply(order(known(login, granted), end=[target]))
        with harness.connector.sessions.main() as main:
            found = {name: main.execute(f"show {name}").fetchone() for name in settings}
            role = main.execute("select current_user").fetchone()
    finally:
        harness.connector.close()
        for whose in ("database orders", "database postgres", "role latchkey"):
            harness.run(f"alter {whose} reset all")

    assert presences(granted) == {target: HELD}
    assert seen[target].presence is HELD
    assert presences(ended) == {target: ABSENT}
    assert role == ("latchkey",)
    assert [name for name in found if found[name] == (settings[name],)] == []


def test_pooler_that_drops_start_options_is_refused(cluster: Cluster, login: Login):
    """F51: the time-outs that were asked for were not there, and neither was the path."""
    with Proxy(cluster.host, cluster.port, drops={"options"}) as pooler:
        connector = through(pooler, cluster)

        with pytest.raises(Unavailable, match="pooler, such as PgBouncer") as fault:
            connector.apply(order(login))
        faults = [line.detail for line in connector.check() if not line.ok]

    assert fault.value.lasting
    assert "lead straight to the server" in faults[0]


def test_pooler_is_refused_though_all_is_set_as_it_has_to_be(cluster: Cluster, login: Login):
    """Its sessions are changed under one's hands, whatever they are now."""
    harness = PostgreSQLHarness(cluster)
    with harness.connector.sessions.main() as main:
        pins = main.info.options.replace("\\ ", " ").split("-c ")[1:]
    for pin in pins:
        name, _, value = pin.strip().partition("=")
        if "." not in name and name not in {"local_preload_libraries", "search_path"}:
            harness.run(f"alter database postgres set {name} = {{}}", sql.Literal(value))
    harness.run("alter database postgres set search_path = pg_catalog, pg_temp")
    try:
        with (
            Proxy(cluster.host, cluster.port, drops={"options"}) as pooler,
            pytest.raises(Unavailable, match="pooler, such as PgBouncer"),
        ):
            through(pooler, cluster).inspect(login, [])
    finally:
        harness.run("alter database postgres reset all")
        harness.close()


@pytest.mark.parametrize("seconds", [1, 60, 3600, 86_400])
def test_limits_are_read_back_in_whatever_unit_the_server_shows_them(
    cluster: Cluster, seconds: int
):
    dsn = Secret(cluster.latchkey_dsn())
    connector = PostgreSQL(dsn, installation="test", statement_timeout=seconds)

    assert connector.server()
    connector.close()


def test_of_a_fault_in_several_lines_the_first_is_told():
    assert said(psycopg.OperationalError("connection failed.\nIs it running?")) == (
        "connection failed"
    )


def test_read_back_is_by_show_only(cluster: Cluster, login: Login):
    """Until it is known that the path is ours, any function might be somebody else's."""
    said: list[str] = []
    with (
        Proxy(cluster.host, cluster.port, drops={"options"}, hear=said.append) as pooler,
        pytest.raises(Unavailable),
    ):
        through(pooler, cluster).inspect(login, [])

    words = [part.strip().split()[0] for text in said for part in text.split(";") if part.strip()]
    assert set(words) == {"show"}


@pytest.mark.parametrize(("more", "told"), [({}, False), ({"require_auth": "password"}, True)])
def test_password_is_not_told_in_clear_text_unless_the_address_says_so(more, told):
    """A server that asked for a clear-text password got it."""
    server = Stranger(CLEAR_TEXT)
    with server.listening() as port:
        dsn = make_conninfo(
            host="127.0.0.1", port=port, user="latchkey", password="hunter2", **more
        )
        connector = PostgreSQL(Secret(dsn), installation="x", connect_timeout=2)
        with pytest.raises(Unavailable) as fault:
            connector.server()

    assert (b"hunter2" in server.heard) is told
    assert fault.value.lasting is not told


def test_pooler_that_refuses_start_options_is_named():
    said = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
    server = Stranger(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
    with server.listening() as port:
        dsn = make_conninfo(host="127.0.0.1", port=port, user="latchkey", password="x")
        connector = PostgreSQL(Secret(dsn), installation="x", connect_timeout=2)
        with pytest.raises(Unavailable, match="pooler, such as PgBouncer"):
            connector.server()


@pytest.mark.parametrize(
    ("more", "ok"),
    [
        ({}, True),
        ({"hostaddr": NOBODY}, False),
        ({"hostaddr": NOBODY, "sslmode": "require"}, False),
        ({"host": "db.example.com", "hostaddr": NOBODY, "sslmode": "verify-full"}, True),
    ],
    ids=["loopback", "not verified", "encrypted, for whomever", "verified"],
)
def test_doctor_fails_unless_who_answers_is_verified(cluster: Cluster, more, ok):
    parts = conninfo_to_dict(cluster.latchkey_dsn()) | more
    connector = PostgreSQL(Secret(make_conninfo(**parts)), installation="x", connect_timeout=2)

    line = next(line for line in connector.check() if line.name == "transport")

    assert line.ok is ok
    assert "require_auth=scram-sha-256" in line.detail


def test_line_for_psql_says_how_to_be_sure_and_nothing_that_old_clients_refuse(
    cluster: Cluster, login: Login, postgresql: PostgreSQLHarness
):
    parts = conninfo_to_dict(cluster.latchkey_dsn()) | {"sslmode": "verify-full"}
    connector = PostgreSQL(Secret(make_conninfo(**parts)), installation="x")

    told = connector.instructions(login, [postgresql.make()])

    assert told["Database"] == "orders"
    assert "sslmode=verify-full" in told["psql"]
    assert "require_auth" not in told["psql"]
