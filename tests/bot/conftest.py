from collections.abc import Iterator

import pytest

from bot.sandbox.postgres import Cluster
from tests.support.story import Story, story


@pytest.fixture(scope="session")
def house(cluster: Cluster) -> Iterator[Story]:
    """The bot as in production, in its own process, on SQLite; shared by all tests here."""
    with story(cluster) as told:
        yield told


@pytest.fixture
def told(house: Story) -> Iterator[Story]:
    """The shared house, with nothing going on; whatever a test leaves is ended after it."""
    yield house
    house.clear()
