"""The database is locked, or away: the person gets a sentence, and nothing is half stored."""

import signal
import sqlite3
from contextlib import closing, contextmanager, suppress

import httpx
import pytest
from sqlalchemy import make_url, text

from engine.request import State
from tests.support import web
from tests.support.postgres import drop_database, fresh_database
from tests.support.proxy import Proxy
from tests.support.story import ready, story

SENTENCE = "database does not answer"


@contextmanager
def locked(told):
    """Somebody else writes to the file, and does not come to an end."""
    file = told.house.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("rollback")


@pytest.fixture(scope="module")
def on_postgresql(cluster):
    """The bot reaches its own database through a proxy; the test reaches it straight."""
    url = fresh_database(cluster)
    with Proxy(cluster.host, cluster.port) as proxy:
        through = make_url(url).set(host=proxy.host, port=proxy.port)
        spelled = through.render_as_string(hide_password=False)
        with story(cluster, database=spelled, looked_at=url) as told:
            yield told, proxy
    drop_database(cluster, url)


@pytest.fixture(params=["locked", "away"])
def without(request):
    """Return the house, and how its database goes away for the length of a block."""
    if request.param == "locked":
        told = request.getfixturevalue("houses")("socket")
        yield told, lambda: locked(told)
    else:
        told, proxy = request.getfixturevalue("on_postgresql")

        @contextmanager
        def down():
            proxy.down = True
            yield
            proxy.down = False

        yield told, down
    told.clear()


def works(told):
    return told.until(lambda: web.get(f"{told.house.url}/readyz").is_success, "it is ready")


def test_a_submission_is_answered_and_can_be_sent_again(without):
    told, away = without
    form = told.fill(told.person("marta"), why="a long and careful text")

    with away():
        sent = form.submit()

    assert SENTENCE in next(iter(sent.errors.values()))
    assert "a long and careful text" in told.person("marta").view().text
    assert not told.desk.requests(live=True)
    works(told)
    assert form.submit().action == "close"
    assert len(told.desk.requests(live=True)) == 1


def test_an_approval_is_answered_and_can_be_sent_again(without):
    told, away = without
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta).code
    told.press(priya, code, "approve")
    modal = priya.wait_view("Approve access")

    with away():
        sent = modal.submit()

    assert SENTENCE in next(iter(sent.errors.values()))
    assert told.request(code).state is State.PENDING
    works(told)
    assert modal.submit().action == "close"
    told.wait(code, State.ACTIVE)
    assert [line.action for line in told.desk.history(told.request(code))].count("approved") == 1


def test_a_click_is_answered(without):
    told, away = without
    marta = told.person("marta")
    code = told.ask(marta).code
    card = told.card(marta, code, button="cancel")

    with away():
        assert card.click("cancel").ok
        assert SENTENCE in marta.wait_view("Not done").text

    assert told.request(code).state is State.PENDING
    marta.view().close()
    works(told)
    card.click("cancel")
    told.wait(code, State.CANCELLED)


@pytest.mark.parametrize("words", ["my", "tasks", "request"])
def test_a_command_is_answered(on_postgresql, words):
    told, proxy = on_postgresql
    proxy.down = True

    answer = told.person("marta").command("/access", words)
    outside, inside = (web.get(f"{url}/readyz") for url in (told.house.url, told.house.probes))
    alive = web.get(f"{told.house.url}/healthz")

    proxy.down = False
    assert SENTENCE in answer.text
    assert inside.status_code == 503
    assert "database" in inside.json()
    assert (outside.status_code, outside.json()) == (503, {"ok": False})
    assert alive.status_code == 200
    works(told)


def test_an_outage_of_the_database_is_no_wall_of_tracebacks(on_postgresql):
    told, proxy = on_postgresql
    told.house.bot.stop()
    before = len(told.house.bot.log)
    told.house.bot.start()
    ready(told)

    def said(words):
        return told.house.bot.log[before:].count(words)

    proxy.down = True
    told.until(lambda: said("no answer"), "the outage is said")
    for _ in range(3):
        told.person("marta").command("/access", "my")
    assert said("no answer") == 1
    proxy.down = False

    told.until(lambda: said("it answers again") == 1, "its end is said")
    assert not said("Traceback")


def test_access_ends_after_the_database_was_away(without):
    told, away = without
    request = told.active(told.person("marta"), told.person("priya"))

    with away():
        told.house.sandbox.advance(3 * 3600)
        told.person("marta").command("/access", "help")

    told.wait(request.code, State.EXPIRED)
    assert not told.privileges()


def started_in_vain(told) -> None:
    """Start the bot, and come back when it has found no database that it can use."""
    before = len(told.house.bot.log)
    told.house.bot.start()
    told.until(lambda: "waiting for the database" in told.house.bot.log[before:], "it waits")


def test_who_starts_while_the_database_is_away_begins_when_it_is_there_again(without):
    """It gave up: an orchestrator starts it again ever more seldom, and access did not end."""
    told, away = without
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.stop()
    told.house.sandbox.advance(3 * 3600)

    with away():
        started_in_vain(told)
        told.until(lambda: "Waiting: The database" in told.house.bot.told, "a person is told")

    told.wait(request.code, State.EXPIRED)
    assert not told.privileges()
    works(told)


def test_who_waits_for_the_database_answers_probes_until_it_begins(on_postgresql):
    """It listened nowhere, and ended itself after 24 s: a cluster starts it again ever more seldom,
    and access did not end when the database was there again.
    """
    told, proxy = on_postgresql
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.stop()
    told.house.sandbox.advance(3 * 3600)

    def probed(url: str, path: str) -> tuple[int, dict]:
        found = web.get(f"{url}{path}")
        return found.status_code, found.json()

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return bool(probed(told.house.probes, "/healthz"))
        return False

    proxy.down = True
    started_in_vain(told)
    told.until(answers, "the probes are answered")
    for url in (told.house.url, told.house.probes):
        assert probed(url, "/healthz") == (200, {"ok": True})
    assert probed(told.house.url, "/readyz") == (503, {"ok": False})
    status, why = probed(told.house.probes, "/readyz")
    assert status == 503
    assert "cannot be used" in why["database"]
    assert web.get(f"{told.house.url}/slack/events").status_code == 503
    proxy.down = False

    told.wait(request.code, State.EXPIRED)
    assert not told.privileges()
    works(told)
    assert web.get(f"{told.house.probes}/metrics").is_success


def test_who_starts_while_a_table_is_held_begins_when_it_is_free(on_postgresql):
    """A paused replica held its lock, and the one that started beside it gave up."""
    told, _ = on_postgresql
    told.house.bot.stop()

    with told.desk.database.writer.begin() as other:
        other.execute(text("lock table instance"))
        started_in_vain(told)

    ready(told)


def test_who_waits_for_the_database_can_be_stopped(on_postgresql):
    told, proxy = on_postgresql
    told.house.bot.stop()

    proxy.down = True
    started_in_vain(told)
    told.house.bot.signal(signal.SIGTERM)
    assert told.house.bot.wait(10) == 0

    proxy.down = False
    told.house.bot.start()
    ready(told)


def hangs(told, proxy):
    """Let the database answer nothing any more, until a probe that asks it says so."""
    proxy.silent = True
    url = f"{told.house.probes}/readyz"

    def said() -> set[str]:
        return {"probe", "database"} & set(web.get(url).json())

    told.until(said, "a probe hangs, or gives up")


def test_a_database_that_hangs_makes_nobody_start_it_anew_and_access_ends_after_it(on_postgresql):
    told, proxy = on_postgresql
    request = told.active(told.person("marta"), told.person("priya"))

    hangs(told, proxy)
    told.house.sandbox.advance(3 * 3600)
    assert web.get(f"{told.house.url}/healthz").is_success
    proxy.silent = False

    told.wait(request.code, State.EXPIRED)
    assert not told.privileges()
    works(told)


@pytest.mark.parametrize("seen", [False, True], ids=["at that moment", "for a while"])
def test_a_database_that_hangs_keeps_no_bot_from_ending(on_postgresql, seen):
    """To give its leases back it waited without end, on a connection that rested in the pool."""
    told, proxy = on_postgresql
    forms = [told.fill(told.person(name)) for name in ("marta", "diego", "fatou")]
    told.at_once([form.submit for form in forms])  # so that there are several connections

    proxy.silent = True
    if seen:
        hangs(told, proxy)

    told.house.bot.signal(signal.SIGTERM)
    assert told.house.bot.wait(10) == 0  # an orchestrator waits for no longer

    proxy.silent = False
    told.house.bot.start()
    ready(told)
    told.clear()
