from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from bot.sandbox.postgres import Cluster
from tests.support.story import Story, story


@pytest.fixture(scope="session")
def houses(cluster: Cluster) -> Iterator[Callable[[str], Story]]:
    """The bot as in production, in its own process, on SQLite; shared by all tests here.

    One for each way that Slack brings what people do, `socket` and `http`, opened when needed.
    """
    with ExitStack() as stack:
        yield cache(lambda way: stack.enter_context(story(cluster, http=way == "http")))


@pytest.fixture
def told(houses: Callable[[str], Story], request: pytest.FixtureRequest) -> Iterator[Story]:
    """A shared house, with nothing going on; whatever a test leaves is ended after it."""
    house = houses(getattr(request, "param", "socket"))
    yield house
    house.clear()
