"""A real PostgreSQL for a whole test run, and fresh databases in it.

A conftest that needs them says `from tests.support.postgres import cluster` (and `database_url`,
`ends` and `both_ends`).
"""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import MappingProxyType

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bot.sandbox.postgres import Cluster
from tests.support.servers import ENDS, binaries

__all__ = [
    "STORE",
    "STORE_PASSWORD",
    "both_ends",
    "cluster",
    "database_url",
    "drop_database",
    "ends",
    "fresh_database",
    "home",
    "own_cluster",
    "program",
    "theirs",
    "workshop",
]

STORE = "store"  # whom Latchkey's own database knows it as: it may make a schema, and no more
STORE_PASSWORD = "correct-horse-of-the-store"

_numbers = itertools.count(1)
_MAKE_STORE = f"""
do $$ begin create role {STORE} login password '{STORE_PASSWORD}';
exception when duplicate_object then null; end $$
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A seeded server that all tests of the run share."""
    with own_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def ends() -> Iterator[Callable[[str], Cluster]]:
    """Seeded servers of `ENDS`, started when first asked for, for `both_ends` alone."""
    with ExitStack() as stack:
        yield cache(lambda end: stack.enter_context(own_cluster(version=ENDS[end])))


@pytest.fixture(params=list(ENDS))
def both_ends(ends: Callable[[str], Cluster], request: pytest.FixtureRequest) -> Cluster:
    """The oldest and the newest server that Latchkey supports, one after the other.

    They are not `cluster`: what a test plants for others to trip over, only its like can meet.
    """
    return ends(request.param)


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """A fresh, empty database of the shared server, as SQLAlchemy's address."""
    url = fresh_database(cluster)
    yield url
    drop_database(cluster, url)


class own_cluster:  # noqa: N801  (used as a function: `with own_cluster() as cluster`)
    """A server for one test that stops it, breaks it, wants it empty or of another version.

    It is the machine's own where no version is asked for.
    """

    def __init__(
        self,
        *,
        seed: bool = True,
        version: str | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._seed = seed
        self._settings = settings
        self._binaries = binaries(version) if version else None
        self._directory = home()

    def __enter__(self) -> Cluster:
        self._cluster = Cluster.start(
            self._directory, seed=self._seed, settings=self._settings, binaries=self._binaries
        )
        return self._cluster

    def __exit__(self, *_: object) -> None:
        self._cluster.stop("immediate")
        shutil.rmtree(self._directory)


def home() -> Path:
    """Make a directory for a server.

    It is not pytest's `tmp_path`: that is closed to the user whom root has to run the server as.
    """
    return Path(tempfile.mkdtemp(prefix="latchkey-postgres-"))


def workshop(cluster: Cluster) -> Path:
    """Return a folder in the server's directory in which whoever runs the server may write."""
    folder = cluster.directory / "workshop"
    return theirs(cluster, folder)


def theirs(cluster: Cluster, folder: Path) -> Path:
    """Make the folder, if need be, for the user whom the server runs as alone."""
    if not folder.exists():
        folder.mkdir(0o700)
        if cluster._user:
            os.chown(folder, cluster._user["user"], cluster._user["group"])
    return folder


def program(cluster: Cluster, name: str, *arguments: str | Path) -> str:
    """Run one of the programs that came with the server, as its superuser; return its complaints.

    It works in `workshop(cluster)`, as the user whom the server runs as.
    """
    done = subprocess.run(
        [cluster._bin / name, *arguments],
        cwd=workshop(cluster),
        env=cluster._env | {"PGPASSWORD": conninfo_to_dict(cluster.superuser_dsn())["password"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **cluster._user,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    return done.stderr


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
    return f"postgresql+psycopg://{STORE}:{STORE_PASSWORD}@{cluster.host}:{cluster.port}/{name}"


def drop_database(cluster: Cluster, url: str) -> None:
    """Drop a database that `fresh_database` made, with whoever is still connected to it."""
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(
                sql.Identifier(url.rpartition("/")[2])
            )
        )
