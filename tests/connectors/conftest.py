from collections.abc import Iterator

import pytest

from bot.sandbox.postgres import Cluster
from engine.connectors.port import Login
from tests.connectors.harness import Harness, MemoryHarness, PostgreSQLHarness, new_login
from tests.support.postgres import cluster

__all__ = ["cluster"]


@pytest.fixture(params=["memory", "postgresql"])
def system(request: pytest.FixtureRequest) -> Harness:
    """Each connector with its system, made as the tests of the contract want it."""
    harness: Harness = request.getfixturevalue(request.param)
    return harness


@pytest.fixture
def memory() -> MemoryHarness:
    return MemoryHarness()


@pytest.fixture
def postgresql(cluster: Cluster) -> Iterator[PostgreSQLHarness]:
    harness = PostgreSQLHarness(cluster)
    yield harness
    harness.close()


@pytest.fixture
def login() -> Login:
    return new_login()
