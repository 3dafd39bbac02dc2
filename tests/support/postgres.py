"""A real PostgreSQL for a whole test run, and fresh databases in it.

A conftest that needs them says `from tests.support.postgres import cluster` (and `database_url`,
`ends` and `both_ends`).
"""

import base64
import hashlib
import hmac
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
from sqlalchemy.engine import make_url

from bot.sandbox.postgres import Cluster
from tests.support.servers import ENDS, binaries

__all__ = [
    "RUNNER",
    "STORE",
    "STORE_PASSWORD",
    "both_ends",
    "cluster",
    "database_url",
    "drop_database",
    "ends",
    "for_libpq",
    "fresh_database",
    "home",
    "of_the_owner",
    "own_cluster",
    "program",
    "theirs",
    "with_a_runner",
    "workshop",
]

STORE = "store"  # whom Latchkey's own database knows it as: it may make a schema, and no more
STORE_PASSWORD = "correct-horse-of-the-store"

RUNNER = "runner"  # whom Latchkey runs as, where the schema belongs to `STORE`
RUNNER_PASSWORD = "battery-staple-of-the-runner"

_numbers = itertools.count(1)
_MAKE = """
do $$ begin create role {} login password '{}';
exception when duplicate_object then null; end $$
"""


def _verifier(password: str) -> str:
    """Return what the server keeps of a password, for SCRAM of one round instead of 4,096.

    They are for who steals it, and take longer than all else that a connection takes.
    """
    salt = b"of-the-tests"
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (
        hmac.digest(key, f"{who} Key".encode(), "sha256") for who in ("Client", "Server")
    )
    told = (base64.b64encode(b).decode() for b in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*told)


_MAKE_STORE = _MAKE.format(STORE, _verifier(STORE_PASSWORD))
_MAKE_RUNNER = _MAKE.format(RUNNER, _verifier(RUNNER_PASSWORD))


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
        if cluster.user:
            os.chown(folder, cluster.user["user"], cluster.user["group"])
    return folder


def program(cluster: Cluster, name: str, *arguments: str | Path) -> str:
    """Run one of the programs that came with the server, as its superuser; return its complaints.

    It works in `workshop(cluster)`, as the user whom the server runs as.
    """
    done = subprocess.run(
        [cluster.bin / name, *arguments],
        cwd=workshop(cluster),
        env=cluster.env | {"PGPASSWORD": conninfo_to_dict(cluster.superuser_dsn())["password"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **cluster.user,
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


def with_a_runner(cluster: Cluster, url: str) -> str:
    """Return the address by which another role than its owner comes to a database."""
    name = sql.Identifier(make_url(url).database or "")
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(_MAKE_RUNNER)
        connection.execute(
            sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(RUNNER))
        )
    made = make_url(url).set(username=RUNNER, password=RUNNER_PASSWORD)
    return made.update_query_dict({"owner": STORE}).render_as_string(hide_password=False)


def of_the_owner(url: str) -> str:
    """Return the address by which the owner comes to a database, given anybody's."""
    made = make_url(url).set(username=STORE, password=STORE_PASSWORD)
    return made.difference_update_query(["owner"]).render_as_string(hide_password=False)


def for_libpq(url: str) -> str:
    """Return the address without what only Latchkey knows."""
    made = make_url(url).set(drivername="postgresql").difference_update_query(["owner", "schema"])
    return made.render_as_string(hide_password=False)


def drop_database(cluster: Cluster, url: str) -> None:
    """Drop a database that `fresh_database` made, with whoever is still connected to it."""
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(
                sql.Identifier(url.rpartition("/")[2])
            )
        )
