"""Every storage test runs on SQLite and on PostgreSQL, each on a database of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from storage import schema
from storage.database import Database
from tests.storage.crew import Crew
from tests.support import stored as support
from tests.support.postgres import cluster as cluster
from tests.support.postgres import drop_database, fresh_database
from tests.support.stored import Stored

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def company_on(request, tmp_path_factory) -> Callable[[str], str]:
    """Return, for each kind, the address of a database with the company, made once to copy."""
    made: dict[str, str] = {}

    def company(kind: str) -> str:
        if kind not in made:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('company')}/latchkey.db"
            else:
                url = fresh_database(request.getfixturevalue("cluster"))
            database = Database(url, pool=5)
            schema.upgrade(database)
            database.close()
            support.found(url)
            made[kind] = url
        return made[kind]

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
def url(request, kind, tmp_path, company_on) -> Iterator[str]:
    """A database with the schema and the company."""
    template = company_on(kind)
    if kind == "sqlite":
        file = tmp_path / "latchkey.db"
        shutil.copy(template.removeprefix("sqlite:///"), file)
        yield f"sqlite:///{file}"
        return
    cluster = request.getfixturevalue("cluster")
    url = fresh_database(cluster)
    names = [sql.Identifier(u.rpartition("/")[2]) for u in (url, template)]
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {}").format(names[0]))
        connection.execute(sql.SQL("create database {} template {}").format(*names))
    yield url
    drop_database(cluster, url)


@pytest.fixture
def database(url) -> Iterator[Database]:
    opened = Database(url)
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
    opened = Stored.open(url, systems=stored.systems, keys=stored.keys)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Three processes that run the functions of `workers.py` at the same moment."""
    with Crew(3, root=Path(__file__).parents[2]) as started:
        yield started
