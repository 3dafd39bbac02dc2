"""SIGTERM at any moment: what is under way is finished or released, and nothing is lost."""

import json
import signal

import httpx
import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from engine.request import State
from storage.tables import InstanceRow
from tests.e2e.life import Life, stallable
from tests.support import web
from tests.support.postgres import for_libpq
from tests.support.story import ready

PATIENCE = 10  # seconds that an orchestrator waits before it kills


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(cluster, request):
    """A house with a target that can be stalled; the bot's own database is of either kind."""
    with stallable(cluster, request.param) as opened:
        yield opened


@pytest.fixture
def stopped(house):
    """The house with its bot alive, whatever became of it in another test."""
    told, _ = house
    if not told.house.bot.running:
        start_again(told)
    return house


def terminate(told):
    """Send SIGTERM, as an orchestrator does; return the exit status."""
    bot = told.house.bot
    bot.signal(signal.SIGTERM)
    return bot.wait(PATIENCE)


def instances(told):
    with told.desk.database.read() as session:
        return session.execute(select(func.count()).select_from(InstanceRow)).scalar_one()


def left(told):
    """Tell whether it has left; on a busy machine it may have had no time to, and then says so."""
    return not instances(told) or "leases last until they are found dead" in told.house.bot.log


def start_again(told):
    told.house.bot.start()
    ready(told)


def test_an_idle_bot_stops_with_status_0_and_no_leases(stopped):
    told, _ = stopped
    told.house.sandbox.wait_links(1)

    assert terminate(told) == 0

    assert left(told)
    with pytest.raises(httpx.TransportError):
        web.get(f"{told.house.url}/healthz")
    assert not [line for line in told.house.bot.log.splitlines() if "Traceback" in line]
    start_again(told)


def test_a_start_waits_for_no_row_that_others_hold_locked(cluster):
    """A replica that was paused in the middle of a transaction: the next start gave up, or hung."""
    with stallable(cluster, "postgresql") as (told, _):
        request = told.active(told.person("marta"), told.person("priya"))
        told.house.bot.kill()
        database = make_url(told.house.database).database
        with psycopg.connect(told.house.cluster.superuser_dsn(database)) as other:
            other.execute("select from latchkey.job for update")
            other.execute("select from latchkey.instance for update")
            told.house.sandbox.advance(3 * 3600)

            told.house.bot.start()

            told.wait(request.code, State.EXPIRED, timeout=60)
            assert not told.privileges()
            assert told.house.bot.running
        ready(told)


def test_no_session_of_the_own_login_holds_up_all_ends(cluster):
    """Who locked what each end writes, in `psql`, held up all ends, and nobody was told of it."""
    with stallable(cluster, "postgresql") as (told, _):
        request = told.active(told.person("marta"), told.person("priya"))
        with psycopg.connect(for_libpq(told.house.database)) as own:
            own.execute("select from latchkey.audit_head for update")
            told.house.sandbox.advance(3 * 3600)

            told.wait(request.code, State.EXPIRED, timeout=60)
            assert not told.privileges()
            own.close()
        told.person("viktor").wait_message("held audit_head locked", timeout=30)

        request = told.active(told.person("marta"), told.person("priya"))
        database = make_url(told.house.database).database
        with psycopg.connect(told.house.cluster.superuser_dsn(database)) as other:
            other.execute("select from latchkey.audit_head for update")
            told.house.sandbox.advance(3 * 3600)
            named = f"Process {other.info.backend_pid} of the database's server (role postgres)"

            told.until(lambda: named in faults(told).get("locks", ""), "it is named", timeout=30)
            assert f"{named} holds audit_head locked" in faults(told)["locks"]
            other.rollback()
        told.wait(request.code, State.EXPIRED, timeout=60)
        told.until(lambda: "locks" not in faults(told), "it is in order", timeout=30)


def faults(told) -> dict[str, str]:
    return web.get(f"{told.house.probes}/readyz").json().get("faults", {})


def test_stopped_in_the_middle_of_a_grant_it_is_granted_after_the_next_start(stopped):
    """The target says nothing any more, for longer than the bot may take to stop."""
    told, proxy = stopped
    life = Life(told, told.person("marta"), told.person("priya"))
    life.ask()
    proxy.reset()
    proxy.on(6, action="stall")
    life.approve()
    told.until(lambda: proxy.count >= 6, "the grant is under way")

    assert terminate(told) == 0

    assert left(told)
    proxy.reset()
    start_again(told)
    told.house.sandbox.advance(40)  # past what the stopped one may still have begun
    told.wait(life.code, State.ACTIVE)
    history = [line.action for line in told.desk.history(life.request)]
    assert history.count("granted") == 1
    life.approved()
    told.clear()


def test_stopped_while_slack_hangs_every_card_is_there_once_after_the_next_start(stopped):
    told, _ = stopped
    sandbox, marta, priya = told.house.sandbox, told.person("marta"), told.person("priya")
    mark = sandbox.mark()
    sandbox.fault("chat.postMessage", "slow", seconds=9, times=2)
    code = told.ask(marta).code
    sandbox.wait_journal(lambda e: e.get("method") == "chat.postMessage", since=mark)

    assert terminate(told) == 0

    sandbox.clear_faults()
    start_again(told)
    sandbox.advance(40)
    told.card(priya, code, button="approve")
    told.card(marta, code, "Waiting")
    for who in (marta, priya):
        assert sum(code in message.text for message in who.messages()) == 1
    told.clear()


def test_a_second_signal_changes_nothing(stopped):
    told, _ = stopped
    told.house.sandbox.wait_links(1)
    told.house.bot.signal(signal.SIGTERM)

    assert terminate(told) == 0

    start_again(told)


def test_every_line_of_the_log_is_json_and_names_its_request(stopped):
    told, _ = stopped
    marta, priya = told.person("marta"), told.person("priya")
    request = told.active(marta, priya)
    told.press(marta, request.code, "return")
    told.wait(request.code, State.RETURNED)

    lines = [json.loads(line) for line in told.house.bot.log.splitlines()]
    mine = [line for line in lines if line.get("request") == request.code]
    done = [line for line in mine if line["event"] == "command done"]
    assert [line["command"] for line in done] == ["approve", "return"]
    assert all(line["delivery"] and line["act"] for line in done)
    assert {"timestamp", "level", "event"} <= set.intersection(*(set(line) for line in lines))
