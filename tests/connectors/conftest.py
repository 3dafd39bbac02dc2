"""The systems that the tests of connectors run on.

- `system`: the contract's, once on memory, and on PostgreSQL of the oldest and the newest version
  that Latchkey supports. Those are full of traps: no test may run one.
- `postgresql`, `cluster`: the machine's own.
- `both_ends`: a server of the oldest version, then one of the newest, for what differs between
  versions, and for what is planted for others to trip over. It is a `Cluster`:
  `PostgreSQLHarness(both_ends)` makes the rest.
- `preparing`: the same, for what is prepared for two-phase commit.
- `own_cluster(version=…, settings=…)` in `tests.support.postgres`, for one test; `upgraded` and
  `standby_of` in `tests.support.upgrade` and `.standby`, for what becomes of one.

Under `make matrix` the machine's own is the version that it is at, and so is every end: there is no
other newest.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from bot.sandbox.postgres import Cluster
from engine.port import Login
from tests.connectors.harness import Harness, MemoryHarness, PostgreSQLHarness, new_login
from tests.support.postgres import both_ends, cluster, ends, own_cluster
from tests.support.servers import ENDS
from tests.support.trapped import sprung_in, trap

__all__ = ["both_ends", "cluster", "ends"]

SYSTEMS = ["memory", *(f"postgresql-{end}" for end in ENDS)]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """Each connector with its system, made as the tests of the contract want it."""
    kind, _, end = request.param.partition("-")
    if kind == "memory":
        yield request.getfixturevalue("memory")
        return
    harness = PostgreSQLHarness(request.getfixturevalue("trapped")(end))
    yield harness
    harness.close()
    assert sprung_in(harness.cluster, harness.database) == set()
    assert sprung_in(harness.cluster, "postgres") == set()


@pytest.fixture
def memory() -> MemoryHarness:
    return MemoryHarness()


@pytest.fixture
def postgresql(cluster: Cluster) -> Iterator[PostgreSQLHarness]:
    harness = PostgreSQLHarness(cluster)
    yield harness
    harness.close()


@pytest.fixture(scope="session")
def trapped() -> Iterator[Callable[[str], Cluster]]:
    """Servers of `ENDS`, made when first asked for, where better-fitting things are planted."""

    def make(end: str) -> Cluster:
        running = stack.enter_context(own_cluster(version=ENDS[end]))
        trap(running)
        return running

    with ExitStack() as stack:
        yield cache(make)


@pytest.fixture(scope="session")
def two_phases() -> Iterator[Callable[[str], Cluster]]:
    with ExitStack() as stack:
        settings = {"max_prepared_transactions": "10"}
        yield cache(
            lambda end: stack.enter_context(own_cluster(version=ENDS[end], settings=settings))
        )


@pytest.fixture(params=list(ENDS))
def preparing(two_phases: Callable[[str], Cluster], request: pytest.FixtureRequest) -> Cluster:
    """A server of each end that takes two-phase commits, which most do not."""
    return two_phases(request.param)


@pytest.fixture
def login() -> Login:
    return new_login()
