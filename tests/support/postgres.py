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
from psycopg.conninfo import conninfo_to_dict

from bot.sandbox.postgres import Cluster

__all__ = ["cluster", "database_url", "drop_database", "fresh_database", "own_cluster"]

_numbers = itertools.count(1)


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
    """Create an empty database and return its address for SQLAlchemy."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0").format(sql.Identifier(name))
        )
    parts = conninfo_to_dict(cluster.superuser_dsn(name))
    return "postgresql+psycopg://{user}:{password}@{host}:{port}/{dbname}".format(**parts)


def drop_database(cluster: Cluster, url: str) -> None:
    """Drop a database that `fresh_database` made, with whoever is still connected to it."""
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(
                sql.Identifier(url.rpartition("/")[2])
            )
        )
