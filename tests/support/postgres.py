"""A real PostgreSQL for a whole test run, and fresh databases in it.

A conftest that needs them says `from tests.support.postgres import cluster` (and `database_url`).
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bot.sandbox.postgres import Cluster

__all__ = ["STORE", "cluster", "database_url", "drop_database", "fresh_database", "own_cluster"]

STORE = "store"  # whom Latchkey's own database knows it as: it may make a schema, and no more

_numbers = itertools.count(1)
_MAKE_STORE = f"""
do $$ begin create role {STORE} login password '{STORE}';
exception when duplicate_object then null; end $$
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A seeded server that all tests of the run share."""
    with own_cluster() as running:
        yield running


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """A fresh, empty database of the shared server, as SQLAlchemy's address."""
    url = fresh_database(cluster)
    yield url
    drop_database(cluster, url)


class own_cluster:  # noqa: N801  (used as a function: `with own_cluster() as cluster`)
    """A server for one test that stops it, breaks it or wants it empty.

    Its directory is not pytest's `tmp_path`: that is closed to the user whom root has to run the
    server as.
    """

    def __init__(self, *, seed: bool = True) -> None:
        self._seed = seed
        self._directory = Path(tempfile.mkdtemp(prefix="latchkey-postgres-"))

    def __enter__(self) -> Cluster:
        self._cluster = Cluster.start(self._directory, seed=self._seed)
        return self._cluster

    def __exit__(self, *_: object) -> None:
        self._cluster.stop("immediate")
        shutil.rmtree(self._directory)


def fresh_database(cluster: Cluster) -> str:
    """Create an empty database and return its address, as a real installation has it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    named = {"name": sql.Identifier(name), "store": sql.Identifier(STORE)}
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(_MAKE_STORE)
        for statement in (
            "create database {name} template template0",
            "revoke all on database {name} from public",
            "grant connect, create on database {name} to {store}",
        ):
            connection.execute(sql.SQL(statement).format(**named))
    return f"postgresql+psycopg://{STORE}:{STORE}@{cluster.host}:{cluster.port}/{name}"


def drop_database(cluster: Cluster, url: str) -> None:
    """Drop a database that `fresh_database` made, with whoever is still connected to it."""
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(
                sql.Identifier(url.rpartition("/")[2])
            )
        )
