"""Every storage test runs on SQLite and on PostgreSQL, on a database that holds the company.

On SQLite it is a copy of one file. On PostgreSQL, where a copy takes longer than most tests, it is
one database, whose rows are put back before each test from a schema beside them; and the role that
works on it is not the one that owns it.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from bot.sandbox.postgres import Cluster
from storage import schema
from storage.database import Database
from tests.storage.crew import Crew
from tests.support import postgres
from tests.support import stored as support
from tests.support.postgres import drop_database, fresh_database, of_the_owner, with_a_runner
from tests.support.stored import Stored

cluster = postgres.cluster

END_OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
EMPTY = "delete from latchkey.{0}"
PUT_BACK = "insert into latchkey.{0} table kept.{0}"
SET_NUMBERS = """
select setval('latchkey.' || sequencename, coalesce(last_value, 1), last_value is not null)
from kept.numbers
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def company_on(request, tmp_path_factory) -> Callable[..., str]:
    """Return, for each kind, the address of a database with the company, made once.

    `then` makes another one of an empty one.
    """
    made: dict[tuple[str, Callable[[str], None]], str] = {}

    def company(kind: str, then: Callable[[str], None] = support.found) -> str:
        if (kind, then) not in made:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('company')}/latchkey.db"
                _upgrade(url, url)
            else:
                cluster = request.getfixturevalue("cluster")
                owner = fresh_database(cluster)
                url = with_a_runner(cluster, owner)
                _upgrade(url, owner)
            then(url)
            if kind == "postgresql":
                _run(request.getfixturevalue("cluster"), url, _keep())
            made[kind, then] = url
        return made[kind, then]

    return company


@pytest.fixture
def empty_url(request, kind, tmp_path) -> Iterator[str]:
    """A database without a schema."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    cluster = request.getfixturevalue("cluster")
    url = fresh_database(cluster)
    yield url
    drop_database(cluster, url)


@pytest.fixture
def founded() -> Callable[[str], None]:
    """What makes a database with a schema the company's."""
    return support.found


@pytest.fixture
def url(request, kind, tmp_path, company_on, founded) -> str:
    """A database with the schema and the company, and nothing of another test."""
    company = company_on(kind, founded)
    if kind == "postgresql":
        _run(request.getfixturevalue("cluster"), company, _put_back())
        return company
    file = tmp_path / "latchkey.db"
    shutil.copy(company.removeprefix("sqlite:///"), file)
    return f"sqlite:///{file}"


@pytest.fixture
def database(url) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def owner(kind, url) -> Iterator[Database]:
    """The same database, for whoever may do there what they like."""
    opened = Database(of_the_owner(url) if kind == "postgresql" else url)
    yield opened
    opened.close()


@pytest.fixture
def stored(url) -> Iterator[Stored]:
    """The company, and one process that works on it."""
    opened = Stored.open(url)
    yield opened
    opened.close()


@pytest.fixture
def other(url, stored) -> Iterator[Stored]:
    """A second process on the same database, with the same systems."""
    opened = Stored.open(url, systems=stored.systems, keys=stored.keys, beside=stored)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Three processes that run the functions of `workers.py` at the same moment."""
    with Crew(3, root=Path(__file__).parents[2]) as started:
        yield started


def _upgrade(runner: str, owner: str) -> None:
    with closing(Database(runner)) as ours, closing(Database(owner)) as theirs:
        if runner == owner:
            schema.upgrade(ours)
        else:
            schema.upgrade_for(ours, theirs)


def _keep() -> list[str]:
    kept = [f"create table kept.{t} as table latchkey.{t}" for t in _tables()]
    numbers = "create table kept.numbers as select sequencename, last_value from pg_sequences"
    return ["create schema kept", *kept, numbers]


def _put_back() -> list[str]:
    return [
        END_OTHERS,
        "set session_replication_role = replica",  # no foreign keys, so in any order
        *(EMPTY.format(t) for t in _tables()),
        *(PUT_BACK.format(t) for t in _tables()),
        SET_NUMBERS,
    ]


def _tables() -> list[str]:
    return sorted(SQLModel.metadata.tables)


def _run(cluster: Cluster, url: str, statements: list[str]) -> None:
    with psycopg.connect(cluster.superuser_dsn(make_url(url).database)) as connection:
        connection.execute("; ".join(statements).encode())
