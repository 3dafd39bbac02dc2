"""The systems that the tests of connectors run on.

- `system`: the contract's, once on memory, once on the machine's own PostgreSQL, once on the newest
  version that Latchkey supports.
- `postgresql`, `cluster`: the machine's own.
- `both_ends`: a server of the oldest version, then one of the newest, for what differs between
  versions, and for what is planted for others to trip over. It is a `Cluster`:
  `PostgreSQLHarness(both_ends)` makes the rest.
- `own_cluster(version=…, settings=…)` in `tests.support.postgres`, for one test; `upgraded` and
  `standby_of` in `tests.support.upgrade` and `.standby`, for what becomes of one.

Under `make matrix` the machine's own is the version that it is at, and so is every end: there is no
other newest.
"""

from collections.abc import Iterator

import pytest

from bot.sandbox.postgres import Cluster
from engine.connectors.port import Login
from tests.connectors.harness import Harness, MemoryHarness, PostgreSQLHarness, new_login
from tests.support.postgres import both_ends, cluster, ends, own_cluster
from tests.support.servers import CHOSEN, NEWEST

__all__ = ["both_ends", "cluster", "ends"]

SYSTEMS = ["memory", "postgresql"] if CHOSEN else ["memory", "postgresql", "postgresql-newest"]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> Harness:
    """Each connector with its system, made as the tests of the contract want it."""
    harness: Harness = request.getfixturevalue(request.param.replace("-", "_"))
    return harness


@pytest.fixture
def memory() -> MemoryHarness:
    return MemoryHarness()


@pytest.fixture
def postgresql(cluster: Cluster) -> Iterator[PostgreSQLHarness]:
    harness = PostgreSQLHarness(cluster)
    yield harness
    harness.close()


@pytest.fixture(scope="session")
def newest() -> Iterator[Cluster]:
    with own_cluster(version=NEWEST) as running:
        yield running


@pytest.fixture
def postgresql_newest(newest: Cluster) -> Iterator[PostgreSQLHarness]:
    harness = PostgreSQLHarness(newest)
    yield harness
    harness.close()


@pytest.fixture
def login() -> Login:
    return new_login()
