"""Sessions on PostgreSQL: what others set does not reach them, and what is amiss is said."""

import os
import re
import socket
import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlmodel import col

from storage import schema
from storage.database import AWAY, Database
from storage.jobs import JobKind, schedule
from storage.notices import Listener, notify
from storage.sessions import BadSchemaError, Sessions, UnfitStoreError, schema_of, strangers
from storage.tables import JobRow
from tests.support.postgres import STORE, drop_database, fresh_database
from tests.support.proxy import Proxy
from tests.support.stored import START
from tests.support.stranger import CLEAR_TEXT, DRIP, LET_IN, Stranger

SETTINGS = {
    "search_path": "evil, pg_catalog",
    "role": "evil",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "row_security": "on",
    "synchronous_commit": "off",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "transaction_timeout": "1min",
    "exit_on_error": "on",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "client_encoding": "LATIN1",
    "default_tablespace": "pg_global",
}
EXPECTED = {
    "search_path": "latchkey, pg_temp",
    "role": "none",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "row_security": "off",
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "exit_on_error": "off",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "client_encoding": "UTF8",
    "default_tablespace": "",
}


def admin(cluster, url: str = "") -> psycopg.Connection[Any]:
    name = make_url(url).database if url else "postgres"
    return psycopg.connect(cluster.superuser_dsn(name), autocommit=True)


def run(cluster, url: str, *statements: str) -> None:
    with admin(cluster, url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def url(cluster):
    """An empty database, and a role “evil” that may do as it likes in it."""
    made = fresh_database(cluster)
    database = make_url(made).database
    run(
        cluster,
        made,
        "do $$ begin create role evil login password 'evil'; "
        "exception when duplicate_object then null; end $$",
        f"alter database {database} owner to evil",
        f"grant evil to {STORE}",  # else it could not be made to act as evil
    )
    yield made
    run(cluster, "", f"revoke evil from {STORE}", f"alter role {STORE} reset all")
    drop_database(cluster, made)


@pytest.fixture
def database(url):
    with closing(Database(url, patience=5)) as opened:
        schema.upgrade(opened)
        yield opened


def known(settings: dict[str, str], version: int) -> dict[str, str]:
    """Return the settings that a server of this version has."""
    since = {"transaction_timeout": 17}
    return {name: value for name, value in settings.items() if version >= since.get(name, 0)}


def shown(ask) -> dict[str, str]:
    version = int(ask("show server_version").split(".")[0])
    return {name: ask(f"show {name}") for name in known(EXPECTED, version)}


def by_the_writer(database):
    with database.write() as tx:
        return shown(lambda query: tx.connection().exec_driver_sql(query).scalar())


def by_the_reader(database):
    with database.read() as session:
        return shown(lambda query: session.connection().exec_driver_sql(query).scalar())


def by_the_listener(database):
    """Ask where the listener would begin to listen."""
    found: dict[str, str] = {}
    asked = threading.Event()
    listener = Listener(database.sessions, lambda _: None)

    def ask(connection):
        found.update(shown(lambda query: connection.execute(query).fetchone()[0]))
        asked.set()
        listener.stopping.wait(20)

    listener.listen = ask
    listener.start()
    assert asked.wait(20)
    listener.stop()
    return found


def by_the_migrations(database):
    """Ask in the transaction of the migrations."""
    found: dict[str, str] = {}

    def ask(config, _):
        connection = config.attributes["connection"]
        found.update(shown(lambda query: connection.exec_driver_sql(query).scalar()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alembic.command.upgrade", ask)
        schema.upgrade(database)
    return found | {"lock_timeout": "5s"}  # whoever starts waits for as long as it takes


WAYS = (
    by_the_writer,
    by_the_reader,
    by_the_listener,
    by_the_migrations,
)


@pytest.mark.parametrize("whose", ["database", "role", "both"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_others_set_does_not_reach_a_session(cluster, url, database, way, whose):
    """A database's owner, by ALTER DATABASE … SET, chose whose functions the store's own SQL ran,
    whether it could write, and for how long it might take."""
    with database.read() as session:
        version = session.connection().connection.driver_connection.info.server_version // 10000
    database.close()
    name = make_url(url).database
    places = {
        "database": [f"database {name}"],
        "role": [f"role {STORE}"],
        "both": [f"role {STORE} in database {name}"],
    }[whose]
    run(
        cluster,
        url,
        "create schema evil authorization evil",
        *(
            sql.SQL("alter {} set {} = {}")
            .format(
                sql.SQL(place),
                sql.Identifier(setting),
                sql.SQL(value) if setting == "search_path" else sql.Literal(value),
            )
            .as_string()
            for setting, value in known(SETTINGS, version).items()
            for place in places
        ),
    )

    assert way(database) == known(EXPECTED, version)


def test_settings_of_others_would_reach_one_that_asks_for_nothing(cluster, url):
    """So that the test above can fail."""
    name = make_url(url).database
    run(cluster, url, f"alter database {name} set search_path = evil, pg_catalog")

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        assert connection.execute("show search_path").fetchone() == ("evil, pg_catalog",)


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", "latchkey"), ("?schema=jit", "jit"), ("?sslmode=disable&schema=user_2", "user_2")],
)
def test_the_address_names_the_schema(query, expected):
    assert schema_of(make_url(f"postgresql+psycopg://h/d{query}")) == expected


@pytest.mark.parametrize(
    "name", ["public", "pg_jit", "information_schema", "", "A", "a-b", "a b", 'a"', "a,b", "ü"]
)
def test_a_schema_that_is_not_its_own_is_refused(name):
    with pytest.raises(BadSchemaError, match="small letters"):
        schema_of(make_url("postgresql+psycopg://h/d").update_query_dict({"schema": name}))


def test_the_schema_may_have_any_name(url):
    with closing(Database(f"{url}?schema=user")) as database:
        schema.upgrade(database)

        with database.write() as tx:
            schedule(tx, JobKind.SWEEP, "", START)
        with database.read() as session:
            found = session.execute(
                text("select schemaname from pg_tables where tablename = 'job'")
            ).scalars()
            assert list(found) == ["user"]
        assert schema.current(database) == schema.newest()


def test_what_the_address_asks_for_at_the_start_stays(url):
    asked = f"{url}?options=-c%20work_mem%3D8MB%20-c%20search_path%3Devil"
    with Sessions(asked, 5).connect() as connection:
        assert connection.execute("show work_mem").fetchone() == ("8MB",)
        assert connection.info.parameter_status("client_encoding") == "UTF8"


def test_each_connection_is_made_by_the_address_as_it_is_then(url):
    """After its password was changed the store was away until somebody started Latchkey anew."""
    before = make_url(url).set(password="wrong").render_as_string(hide_password=False)
    now = [before]
    with closing(Database(before, patience=2, fresh=lambda: now[0])) as database:
        with pytest.raises(AWAY):
            schema.current(database)

        now[0] = url

        assert schema.current(database) == ""


def test_a_pooler_that_drops_what_a_session_is_started_with_is_refused(cluster, url):
    """Behind a pooler the store would have worked, with the settings of whoever set them."""
    with Proxy(cluster.host, cluster.port, drops={"options"}) as proxy:
        pooled = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        with closing(Database(pooled)) as database:
            with pytest.raises(UnfitStoreError, match="pooler such as PgBouncer") as refused:
                schema.current(database)
            with pytest.raises(AWAY), database.write():
                pass

    assert "address of the server itself" in str(refused.value)


def test_a_pooler_is_refused_though_all_is_set_as_it_has_to_be(cluster, url):
    """Its sessions are changed under the hands of whoever uses them: LISTEN, what is prepared."""
    name = make_url(url).database
    with Sessions(url, 5).connect() as connection:
        pins = connection.info.options
    for pin in pins.replace("\\ ", " ").split("-c ")[1:]:
        setting, _, value = pin.strip().partition("=")
        if "." not in setting and setting != "local_preload_libraries":
            said = value if setting == "search_path" else sql.Literal(value).as_string()
            run(cluster, url, f"alter database {name} set {setting} = {said}")

    with Proxy(cluster.host, cluster.port, drops={"options"}) as proxy:
        pooled = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        with pytest.raises(UnfitStoreError, match="pooler such as PgBouncer"):
            Sessions(pooled, 5).connect()


@pytest.mark.parametrize(("more", "told"), [("", False), ("?require_auth=password", True)])
def test_a_password_is_not_told_in_clear_text_unless_the_address_says_so(more, told):
    """A server that asked for a clear-text password got it."""
    server = Stranger(CLEAR_TEXT)
    with server.listening() as port:
        url = f"postgresql+psycopg://latchkey:horse-battery@127.0.0.1:{port}/d{more}"
        with closing(Database(url, patience=2)) as database, pytest.raises(AWAY) as refused:
            schema.current(database)

    assert (b"horse-battery" in server.heard) is told
    if not told:
        assert "require_auth=password" in str(refused.value)
    assert "horse-battery" not in str(refused.value)


@pytest.mark.parametrize(
    "refusal",
    [
        b"unsupported startup parameter: options",
        b"unsupported startup parameter in options: search_path",
        b"Feature not supported: RDS Proxy currently doesn't support command-line options.",
    ],
)
def test_a_pooler_that_refuses_start_options_is_named(refusal):
    said = b"SFATAL\0C08P01\0M" + refusal + b"\0\0"
    server = Stranger(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
    with server.listening() as port:
        url = f"postgresql+psycopg://latchkey:x@127.0.0.1:{port}/d"
        with pytest.raises(UnfitStoreError, match="pooler such as PgBouncer"):
            Sessions(url, 2).connect()


@pytest.mark.parametrize("which", [0, 1], ids=["make it", "let it"])
def test_who_may_not_make_the_schema_is_told_what_to_run(cluster, url, which):
    """It ended in a traceback at the first migration: `public` is nobody's to create in."""
    name = make_url(url).database
    run(cluster, url, f"revoke create on database {name} from {STORE}", f"revoke evil from {STORE}")
    with closing(Database(url)) as database:
        with pytest.raises(UnfitStoreError) as refused:
            schema.upgrade(database)
        said = str(refused.value)
        assert len(said.splitlines()) == 1
        assert f'CREATE SCHEMA latchkey AUTHORIZATION "{STORE}";' in said
        assert f'GRANT CREATE ON DATABASE "{name}" TO "{STORE}";' in said

        run(cluster, url, cures(said)[which])
        schema.upgrade(database)
        assert schema.current(database) == schema.newest()


TRAP = "create function latchkey.trap(oid, regclass) returns bool language sql return false"
OPERATOR = (
    "create operator latchkey.= (leftarg = oid, rightarg = regclass, function = latchkey.trap)"
)


def cures(refused: str) -> list[str]:
    """Return the statements that a refusal names: each begins in capitals, and ends with `;`."""
    return re.findall(r"(?:ALTER|REVOKE|GRANT|DROP|CREATE) [A-Z].*?;", refused)


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (["create schema latchkey authorization evil"], "belongs to evil"),
        (
            [
                f"create schema latchkey authorization {STORE}",
                "grant create on schema latchkey to public",
            ],
            "PUBLIC may create",
        ),
        (
            [
                f"create schema latchkey authorization {STORE}",
                "grant create on schema latchkey to public, evil",
            ],
            "PUBLIC, evil may create",
        ),
        (
            [
                f"create schema latchkey authorization {STORE}",
                TRAP,
                OPERATOR,
                "create domain latchkey.jsonb as text",
                "create table latchkey.job (id int)",
                "alter function latchkey.trap owner to evil",
                "alter operator latchkey.= (oid, regclass) owner to evil",
                "alter domain latchkey.jsonb owner to evil",
                "alter table latchkey.job owner to evil",
            ],
            "belongs to others (evil)",
        ),
    ],
    ids=["schema", "public", "both", "planted"],
)
def test_a_schema_in_which_others_can_plant_is_refused_and_its_cure_cures(
    cluster, url, planted, said
):
    run(cluster, url, *planted)
    with closing(Database(url)) as database:
        with pytest.raises(UnfitStoreError) as refused:
            schema.upgrade(database)
        assert said in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1

        statements = cures(str(refused.value))
        assert statements
        run(cluster, url, *statements)
        schema.upgrade(database)
        assert schema.current(database) == schema.newest()


def test_a_schema_that_others_make_between_two_looks_is_not_looked_into(cluster, url):
    """Until it is known to be one's own, nothing in it is reached."""
    with closing(Database(url)) as database:
        assert schema.current(database) == ""
        run(
            cluster,
            url,
            "create schema latchkey authorization evil",
            "create table latchkey.alembic_version as select '0001' as version_num",
            "grant usage on schema latchkey to public",
            "grant select on all tables in schema latchkey to public",
        )

        with database.read() as session, pytest.raises(Exception, match="does not exist"):
            session.execute(text("select * from alembic_version"))
        with pytest.raises(UnfitStoreError, match="belongs to evil"):
            schema.current(database)
        with pytest.raises(UnfitStoreError, match="belongs to evil"):
            schema.upgrade(database)


def test_everybody_who_may_connect_is_named_with_a_cure_that_cures(cluster, url):
    name = make_url(url).database
    run(cluster, url, f"grant connect, create on database {name} to public")
    with Sessions(url, 5).connect() as connection:
        said = strangers(connection)
        assert "may connect and create" in said

        run(cluster, url, *cures(said))
        assert strangers(connection) == ""
    with Sessions(url, 5).connect() as again:
        assert strangers(again) == ""


def test_a_notice_that_fails_fails_no_commit(database):
    """It was sent in the transaction: what others planted or filled undid what was decided."""
    woken = []
    database.on_commit.append(woken.append)

    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)
        tx.wake("x" * 9000)  # longer than the server takes

    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "again", START)
    with database.read() as session:
        assert sorted(session.execute(select(col(JobRow.subject))).scalars()) == ["", "again"]
    assert len(woken) == 2


def test_a_connection_that_is_gone_before_the_notice_fails_no_commit(cluster, url, database):
    with Proxy(cluster.host, cluster.port) as proxy:
        cut = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        with closing(Database(cut)) as other:
            with other.write() as tx:
                schedule(tx, JobKind.SWEEP, "", START)
            proxy.reset()
            proxy.on(4, action="cut")  # BEGIN, INSERT, COMMIT, NOTIFY
            with other.write() as tx:
                schedule(tx, JobKind.SWEEP, "again", START)
            assert proxy.count == 4
            with other.write() as tx:
                schedule(tx, JobKind.SWEEP, "at last", START)

    with database.read() as session:
        found = session.execute(select(col(JobRow.subject)).order_by(col(JobRow.id))).scalars()
        assert list(found) == ["", "again", "at last"]


def test_an_upgrade_waits_for_nobody_who_can_only_connect(cluster, url):
    """Any login could take the advisory lock by its number, and no upgrade came to its end."""
    with admin(cluster, url) as stranger:
        stranger.execute("select pg_advisory_lock(327840297835)")
        with closing(Database(url, patience=1)) as database:
            schema.upgrade(database)
            assert schema.current(database) == schema.newest()


def test_nothing_of_an_extension_is_needed(database):
    with database.read() as session:
        found = session.execute(text("select extname from pg_extension")).scalars()
        assert list(found) == ["plpgsql"]


def test_a_server_that_has_gone_without_a_word_is_found_out_in_seconds(url):
    """The kernel would wait for a quarter of an hour, and for ever where nothing was said."""
    with (
        closing(Sessions(url, 5).connect()) as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as there,
    ):
        assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, every, times = (
            there.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
    assert idle + every * times <= 15


@pytest.mark.parametrize("drip", [b"", DRIP], ids=["nothing", "notices"])
def test_a_server_that_lets_us_in_and_answers_nothing_is_given_up(monkeypatch, drip):
    """Each command waited without end: to libpq the line was well."""
    monkeypatch.setattr("storage.sessions.ANSWERED", 0.2)
    with Stranger(LET_IN, drip).listening() as port:
        url = f"postgresql+psycopg://u:p@127.0.0.1:{port}/x?require_auth=none"
        with (
            closing(Database(url, patience=0.2)) as database,
            pytest.raises(AWAY, match="gave no answer"),
        ):
            schema.current(database)


@pytest.fixture
def hanging(monkeypatch, cluster, database):
    """Return the way to a database with the schema, whose server can fall silent."""
    monkeypatch.setattr("storage.sessions.ANSWERED", 0.5)
    with Proxy(cluster.host, cluster.port) as proxy:
        yield (
            make_url(database.url).set(port=proxy.port).render_as_string(hide_password=False),
            proxy,
        )


def test_what_hangs_in_the_middle_of_a_transaction_is_undone(hanging):
    through, proxy = hanging
    with closing(Database(through, patience=0.5)) as hung:

        def write():
            with hung.write() as tx:
                schedule(tx, JobKind.SLACK_PEOPLE, "", START)
                tx.flush()
                proxy.silent = True
                tx.execute(text("select 1"))

        with pytest.raises(AWAY, match="gave no answer"):
            write()
        proxy.silent = False

        with hung.read() as session:
            assert session.execute(select(col(JobRow.id))).all() == []


def test_who_tells_others_of_a_commit_waits_for_no_server_that_hangs(hanging):
    """It was told by a call of libpq's own, which nothing ended."""
    through, proxy = hanging
    with closing(Sessions(through, 0.5).connect()) as connection:
        proxy.silent = True
        with pytest.raises(psycopg.OperationalError, match="gave no answer"):
            notify(connection, {"clock"})


def test_a_wait_that_was_chosen_is_not_given_up_and_the_next_use_has_its_limit(
    monkeypatch, database
):
    """Others' locks are waited for as long as they last, where nobody waits for that."""
    monkeypatch.setattr("storage.sessions.ANSWERED", 0.2)
    with closing(Database(database.url, pool=1, patience=0.2)) as hung:
        with hung.write() as tx:
            tx.wait_for_others()
            assert tx.execute(text("select 1 from pg_sleep(0.6)")).scalar_one() == 1

        with pytest.raises(AWAY, match="gave no answer"), hung.write() as tx:
            tx.execute(text("select pg_sleep(60)"))
