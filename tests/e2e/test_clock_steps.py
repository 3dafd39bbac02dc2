"""The wall clock of a machine is set under a running bot: access ends on time all the same."""

import pytest
from sqlalchemy import select

from engine.request import State
from storage.tables import InstanceRow
from tests.support import web
from tests.support.faketime import WallClock
from tests.support.postgres import drop_database, fresh_database
from tests.support.story import story

HOUR = 3600
PATIENCE = 60.0  # seconds, where the clock went back an hour


@pytest.fixture(params=["postgresql", "sqlite"])
def clocked(cluster, request, tmp_path):
    """A house, and its bot's wall clock: on SQLite it is the database's as well."""
    url = fresh_database(cluster) if request.param == "postgresql" else None
    wall = WallClock(tmp_path)
    with story(cluster, forked=False, database=url, env=wall.env) as told:
        yield told, wall
    if url:
        drop_database(cluster, url)


def beats(told):
    with told.desk.database.read() as session:
        return list(session.execute(select(InstanceRow.id, InstanceRow.beat)))


def alive(told):
    return web.get(f"{told.house.url}/healthz").is_success


def see_beats(told):
    """See the heartbeat go on, and that nobody thinks the bot unwell."""
    for _ in range(2):
        before = beats(told)
        told.until(lambda b=before: beats(told) != b, "a heartbeat", timeout=PATIENCE)
        assert alive(told)


def end_on_time(told, code):
    told.house.sandbox.advance(3 * HOUR)
    told.wait(code, State.EXPIRED, timeout=PATIENCE)
    assert alive(told)


def test_a_clock_that_is_set_back_keeps_no_access(clocked):
    """Set back a minute, it stopped the loops and the heartbeat for that minute: they were woken
    by it."""
    told, wall = clocked
    marta, priya, ines = (told.person(name) for name in ("marta", "priya", "ines"))
    request = told.active(marta, priya)
    login = told.credentials(marta, request.code)

    wall.set(-HOUR)
    see_beats(told)
    end_on_time(told, request.code)

    assert not told.works(login)
    assert "was set back by 1 h" in ines.wait_message("The clock of", timeout=PATIENCE).text

    asked = told.desk.clock.now()
    again = told.active(marta, priya)
    if not told.desk.database.sqlite:
        assert asked < again.submitted_at < told.desk.clock.now()
    wall.set(0)
    see_beats(told)
    end_on_time(told, again.code)
    assert ines.wait_message("was set ahead by 1 h", timeout=PATIENCE)
    assert sum("The clock of" in message.text for message in ines.messages()) == 2
