from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from bot.sandbox.client import Sandbox
from bot.sandbox.house import MANIFESTS
from bot.views import ids
from engine.request import State
from tests.support.door import CUSTOMERS, PAYMENTS, STOCK, Door, opened
from tests.support.inside import COMPANY, Inside
from tests.support.postgres import drop_database, fresh_database, own_cluster
from tests.support.stored import Stored
from tests.support.story import Story, story


class Houses:
    """The bot as in production, in its own process, on SQLite; shared by all tests here.

    One for each way that Slack brings what people do, `socket` and `http`, opened when needed, and
    each with a PostgreSQL of its own: whoever works on another's logins gives them other passwords,
    and takes away what was just given.
    """

    def __init__(self) -> None:
        self._open = dict[str, Story]()
        self._stack = ExitStack()

    def __call__(self, way: str) -> Story:
        if way not in self._open:
            cluster = self._stack.enter_context(own_cluster())
            self._open[way] = self._stack.enter_context(story(cluster, http=way == "http"))
        return self._open[way]

    def close(self) -> None:
        """Leave none open: a bot that has nothing to do wakes each second all the same."""
        self._open.clear()
        self._stack.close()


_HOUSES = Houses()
_HOUSED = pytest.StashKey[set[Path]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[_HOUSED] = {i.path for i in session.items if "houses" in i.fixturenames}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the houses after a file that shares them, unless the next one does so too."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path not in item.config.stash[_HOUSED]:
            _HOUSES.close()


@pytest.fixture(scope="session")
def houses() -> Iterator[Houses]:
    yield _HOUSES
    _HOUSES.close()


@pytest.fixture(params=["socket", "http"])
def told(houses: Houses, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A shared house, with nothing going on; whatever a test leaves is ended after it."""
    house = houses(request.param)
    yield house
    house.clear()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """The company, on a SQLite of its own."""
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def doors(request, tmp_path_factory) -> Iterator[Callable[[str], Door]]:
    """The bot in this process, on each kind of database, opened when needed.

    Marta has access, Anil had it and waits for another.
    """

    def open_(kind: str) -> Door:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('door')}/latchkey.db"
        else:
            url = fresh_database(request.getfixturevalue("cluster"))
        door = stack.enter_context(opened(url))
        door.active("marta", "priya", CUSTOMERS)
        ended = door.active("anil", "", STOCK)
        door.click("anil", ids.RETURN, str(ended.id))
        door.work()
        door.ask("anil", PAYMENTS)
        states = [r.state for r in reversed(door.requests())]
        assert states == [State.ACTIVE, State.RETURNED, State.PENDING]
        door.keep()
        return door

    with ExitStack() as stack:
        yield cache(open_)


@pytest.fixture(params=["sqlite", "postgresql"])
def door(doors: Callable[[str], Door], request: pytest.FixtureRequest) -> Iterator[Door]:
    """A shared door, where all is as it was at first."""
    made = doors(request.param)
    made.put_back()
    yield made
    made.put_back()


@pytest.fixture(params=["sqlite", "postgresql"])
def inside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inside]:
    """The bot in the test's own process, its loops driven by hand, on each kind of database."""
    clock = tmp_path / "clock"
    cluster = request.getfixturevalue("cluster") if request.param == "postgresql" else None
    url = fresh_database(cluster) if cluster else f"sqlite:///{tmp_path}/latchkey.db"
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=clock,
        rate_factor=0,
    ) as sandbox:
        opened_ = Inside(sandbox, clock, url)
        yield opened_
        opened_.close()
    if cluster:
        drop_database(cluster, url)
