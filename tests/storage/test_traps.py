"""Whoever owns the database makes Latchkey run nothing of theirs.

For every name that Latchkey's SQL uses, as it is heard on the wire through a whole life, something
that fits better is planted wherever others may create, and put on the path for all sessions.
"""

from contextlib import closing, suppress
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

import manifests
from bot.usecases import people, revoke
from bot.usecases.console import Desk
from bot.usecases.pause import pause
from bot.usecases.restored import restored
from bot.views import ids
from engine.request import State
from storage import counts, jobs, sessions
from storage.jobs import JobKind
from storage.notices import Listener
from storage.tables import SQLModel
from tests.support.door import COMPANY, CUSTOMERS, PAYMENTS, STOCK, SYSTEM, modal, opened
from tests.support.postgres import STORE, STORE_PASSWORD, drop_database, fresh_database
from tests.support.proxy import Proxy
from tests.support.traps import Heard, lay, sprung

EVIL = "evil"
PLACES = (EVIL, "public", STORE)  # the last is what "$user" means in the usual path
PATHS = ("evil, public, pg_catalog", '"$user", public, evil')


@pytest.fixture
def url(cluster):
    """An empty database that belongs to “evil”; Latchkey may make a schema in it."""
    made = fresh_database(cluster)
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(
            "do $$ begin create role evil login password 'evil'; "
            "exception when duplicate_object then null; end $$"
        )
        admin.execute(f"alter database {make_url(made).database} owner to evil".encode())
    yield made
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f"alter role {STORE} reset all".encode())
    drop_database(cluster, made)


def as_(cluster, url, who: str) -> psycopg.Connection:
    """Connect as somebody, who asks for nothing at the start."""
    dsn = cluster.superuser_dsn(make_url(url).database)
    password = STORE_PASSWORD if who == STORE else who
    return psycopg.connect(make_conninfo(dsn, user=who, password=password), autocommit=True)


def live(url: str) -> None:
    """Lead a whole life, from nothing: what people do, what loops do, what an operator does."""
    with opened(url) as door:
        program, database = door.program, door.database
        listener = Listener(database.sessions, program.wake)
        listener.start()
        held = door.active("marta", "priya", CUSTOMERS)
        door.click("marta", ids.EXTEND, f"{held.id}/1")
        door.command("marta", "status")
        door.click("marta", ids.RETURN, str(held.id))
        door.work()
        assert door.request(held.id).state is State.RETURNED

        timed = door.active("anil", "", STOCK)
        door.clock.move(timedelta(days=2))
        door.work()
        assert door.request(timed.id).state is State.EXPIRED

        refused = door.ask("anil", PAYMENTS)
        door.submit("priya", modal(ids.REJECT_MODAL, str(refused.id)))
        revoked = door.active("marta", "priya", CUSTOMERS)
        desk = Desk(database, door.services.companies, door.clock)
        assert desk.history(revoked)
        list(revoke.revoke(desk, [revoked], "over"))
        pause(desk, paused=True)
        pause(desk, paused=False)
        people.accept(desk, manifests.load(COMPANY))
        restored(desk, door.services.connected)
        door.work()
        assert door.request(revoked.id).state is State.REVOKED

        with database.write() as tx:
            for kind in (JobKind.DISCOVER, JobKind.RECONCILE):
                jobs.reschedule(tx, kind, SYSTEM, door.clock.now())
            jobs.schedule(tx, JobKind.SWEEP, "", door.clock.now())
        program.heart.beat()
        program.homes.refresh()
        door.work()
        with database.read() as session:
            counts.requests_by_state(session)
            counts.overdue(session, door.clock.now())
        assert door.audit_faults() == []
        program.heart.leave()
        listener.stop()
    with closing(sessions.Sessions(url, 5).connect()) as connection:
        sessions.strangers(connection)


@pytest.fixture(scope="module")
def heard(cluster) -> Heard:
    """What is said through a whole life, by pools, kept connection, listener and migrations."""
    said: set[str] = set()
    url = fresh_database(cluster)
    with Proxy(cluster.host, cluster.port, hear=said.add) as proxy:
        live(make_url(url).set(port=proxy.port).render_as_string(hide_password=False))
    drop_database(cluster, url)
    with psycopg.connect(cluster.superuser_dsn()) as connection:
        return Heard.of(said, connection, own={*SQLModel.metadata.tables, "alembic_version"})


def set_path(cluster, url, path: str) -> None:
    """Put the traps on the path, as the database's owner and as who looks after its roles."""
    name = make_url(url).database
    with as_(cluster, url, EVIL) as owner:
        owner.execute(f"alter database {name} set search_path = {path}".encode())
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f"alter role {STORE} set search_path = {path}".encode())


def plant(cluster, url, heard: Heard) -> None:
    with as_(cluster, url, EVIL) as owner:
        for place in PLACES:
            owner.execute(f"create schema if not exists {place}".encode())
            owner.execute(f"grant all on schema {place} to public".encode())
        laid = lay(owner, heard, EVIL, PLACES, operators_in=(EVIL, "public"))
    assert laid > 10_000


def test_what_is_heard_is_what_the_store_is_asked(heard):
    """So that the traps are where they would catch."""
    assert {"count", "max", "jsonb_to_recordset", "clock_timestamp"} <= set(heard.functions)
    assert {"=", "<>", "<", "<=", "+"} <= set(heard.operators)
    assert {"jsonb", "varchar", "timestamptz"} & set(heard.types)
    assert {"pg_class", "pg_namespace", "request"} <= set(heard.relations)


def test_no_trap_is_ever_run(cluster, url, heard):
    """An owner's ALTER DATABASE, or a function in `public`, had their code run as Latchkey."""
    plant(cluster, url, heard)
    for path in PATHS:
        set_path(cluster, url, path)
        live(f"{url}?schema=life_{PATHS.index(path)}")

    with as_(cluster, url, EVIL) as owner:
        assert sprung(owner, EVIL) == set()


CAUGHT = {
    "select 'a'::varchar = 'b'::varchar": "operator",
    "select 'a'::varchar in ('b'::text, 'c'::text)": "operator",
    "select count(1)": "function",
    "select clock_timestamp()": "function",
    "select cast('{}' as jsonb)": "type",
    "select count(*) from request": "relation",
}


def test_traps_catch_whoever_asks_for_nothing(cluster, url, heard):
    """So that the test above can fail: each kind of trap works, on either path."""
    plant(cluster, url, heard)
    found = {}
    with as_(cluster, url, EVIL) as owner:
        set_path(cluster, url, PATHS[0])
        for query in CAUGHT:
            with as_(cluster, url, STORE) as careless, suppress(psycopg.Error):
                careless.execute(query)
            found[query] = sprung(owner, EVIL)
        set_path(cluster, url, PATHS[1])
        with as_(cluster, url, STORE) as careless:
            careless.execute("select 'a'::varchar = 'b'::varchar")
        assert sprung(owner, EVIL) == {"operator"}

    assert all(kind in found[query] for query, kind in CAUGHT.items()), found


def test_traps_catch_the_life_itself_if_it_is_on_their_path(cluster, url, heard, monkeypatch):
    """So that the test above can fail: what the store says is what the traps are for."""
    monkeypatch.setattr(sessions, "AFTER", (EVIL, "pg_temp"))
    plant(cluster, url, heard)

    with suppress(Exception):
        live(url)

    with as_(cluster, url, EVIL) as owner:
        assert "operator" in sprung(owner, EVIL)
