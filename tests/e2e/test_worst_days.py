"""What goes wrong in real life: crashes at any moment; the bot, the target, or Slack down."""

import random
import threading
from contextlib import suppress

import psycopg
import pytest

from bot.sandbox.client import NotPossible
from engine.request import State
from tests.e2e.life import STEPS, Life
from tests.e2e.test_kills import SEEN
from tests.support import machine, web
from tests.support.story import CUSTOMERS, NotSeenError, ready

KILLS = 5
# Each with an approver of their own: two people at one screen close each other's modals.
PEOPLE = {"marta": "priya", "chloe": "sam.leigh", "kofi": "noor"}


@pytest.mark.timeout(400)
def test_killed_at_random_moments_everybody_gets_through(worst):
    """Three people live their requests, again and again, while the bot dies under them."""
    told = worst.told
    moments = [random.uniform(0, 1.5) for _ in range(KILLS)]  # noqa: S311  (chance, no secret)
    lives: list[Life] = []
    faults: list[BaseException] = []
    over = threading.Event()

    def live_on(name: str, approver: str) -> None:
        try:
            while not over.is_set():
                life = Life(told, told.person(name), told.person(approver))
                lives.append(life)
                for step in STEPS[:2]:
                    persist(life, step)
                told.press(life.asks, life.code, "return")
                told.until(lambda life=life: returned(life), "it is returned", timeout=60)
        except BaseException as fault:
            faults.append(fault)
            raise

    people = [threading.Thread(target=live_on, args=pair) for pair in PEOPLE.items()]
    for thread in people:
        thread.start()
    for moment in moments:
        threading.Event().wait(moment)  # when it dies is the test's to say; it waits for nothing
        told.house.bot.kill()
        told.house.bot.start()
        ready(told)
        told.house.sandbox.advance(40)
    over.set()
    for thread in people:
        thread.join(timeout=120 * machine.factor())
    assert not faults, faults
    told.clear()
    assert len(lives) >= len(PEOPLE)
    for life in lives:
        history = [line.action for line in told.desk.history(life.request)]
        assert history.count("submitted") == 1, history
        assert history.count("granted") <= 1, history
        assert life.request.state is State.RETURNED, history
        for who in (life.asks, life.approver):
            heads = [m.text for m in who.messages() if life.code in m.text]
            kinds = [text.splitlines()[0] for text in heads]
            assert len(kinds) <= 3, kinds
    assert not told.privileges()
    life.chain()


def persist(life: Life, step: str) -> None:
    """Press until it is done, as people do; time passes, for what waits for a pause.

    Each kill may come in the middle of a try of its own. Where nobody listens nothing is tried: on
    a busy machine all tries were over before the bot was there again.
    """
    for _ in range(2 * KILLS):
        life.told.house.sandbox.wait_links(1)
        life.take(step)
        with suppress(NotSeenError, AssertionError, TimeoutError, NotPossible):
            life.take_again(step)
            getattr(life, SEEN[step])()
            return
        life.told.house.sandbox.advance(60)
    raise NotSeenError(f"{life.code}: {step} was never done")


def returned(life: Life) -> bool:
    if life.request.state is State.RETURNED:
        return True
    if life.request.state is State.ACTIVE:
        for message in life.asks.messages():
            if life.code in message.text and any(a == "return" for a, _, _ in message.buttons):
                message.click("return")
    return False


def test_an_end_while_the_bot_is_down_comes_with_its_return(worst):
    """F40: a timer that was due while nobody ran was dropped."""
    told = worst.told
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"), path=CUSTOMERS)
    login = told.credentials(marta, request.code)
    with told.log_in(login) as session:
        told.house.bot.stop()
        told.house.sandbox.advance(3 * 3600)
        assert session.execute("select 1").fetchone() == (1,)
        told.house.bot.start()
        told.house.sandbox.wait_links(1)
        told.until(lambda: not told.works(login), "the login is refused")
        told.wait(request.code, State.EXPIRED)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    told.clear()


def tries(told) -> float:
    """Return how often this process has called the target in vain, to take something away."""
    said = web.get(f"{told.house.probes}/metrics").text.splitlines()
    lines = [n for n in said if n.startswith("latchkey_revokes_total") and "unavailable" in n]
    return sum(float(line.split()[-1]) for line in lines)


@pytest.mark.timeout(240)
def test_a_target_that_is_down_for_longer_than_any_pause_still_loses_the_access(worst):
    """F5: the revoker gave up after six tries."""
    told = worst.told
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"), path=CUSTOMERS)
    login = told.credentials(marta, request.code)["user"]
    worst.proxy.down, before = True, tries(told)
    told.press(marta, request.code, "return")
    for number in range(1, 9):
        told.until(lambda n=number: tries(told) >= before + n, f"try {number}")
        told.house.sandbox.advance(6 * 60)
    assert told.request(request.code).state is State.REVOKING
    assert {p for p in told.privileges() if p[0] == login}
    told.person("viktor").wait_message("could not be brought in line")
    worst.proxy.down = False
    told.wait(request.code, State.RETURNED)
    assert not {p for p in told.privileges() if p[0] == login}
    alarms = [m for m in told.person("viktor").messages() if "could not be brought" in m.text]
    assert len(alarms) == 1
    told.clear()


def test_access_ends_on_time_while_slack_is_down(worst):
    told = worst.told
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"), path=CUSTOMERS)
    login = told.credentials(marta, request.code)
    told.house.sandbox.fault("*", "error", times=None, status=503)
    told.house.sandbox.disconnect(close_old=True)
    told.house.sandbox.advance(3 * 3600)
    told.wait(request.code, State.EXPIRED)
    assert not told.works(login)
    told.house.sandbox.clear_faults()
    told.house.sandbox.advance(600)
    ready(told)
    told.card(marta, request.code, "Access has ended", button="request_again")
    told.clear()


def test_a_bot_that_starts_while_slack_is_down_ends_access_all_the_same(worst):
    told = worst.told
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"), path=CUSTOMERS)
    login = told.credentials(marta, request.code)
    told.house.bot.kill()
    told.house.sandbox.fault("*", "error", times=None, status=503)
    told.house.sandbox.advance(3 * 3600)
    told.house.bot.start()
    told.until(lambda: not told.works(login), "the login is refused")
    told.house.sandbox.advance(60)  # past what the dead one may still have been doing
    told.wait(request.code, State.EXPIRED)
    told.house.sandbox.clear_faults()
    ready(told)
    told.clear()


def test_a_form_outlives_the_process_that_opened_it(worst):
    """F17, F39: what a process remembered of an open form, or a card, was gone with it."""
    told = worst.told
    marta, priya = told.person("marta"), told.person("priya")
    form = told.fill(marta, path=CUSTOMERS)
    told.house.bot.kill()
    told.house.bot.start()
    ready(told)
    assert told.send(form).action == "close"
    code = told.desk.requests(live=True)[0].code
    card = told.card(priya, code, button="approve")
    told.house.bot.kill()
    told.house.bot.start()
    ready(told)
    assert card.click("approve").ok
    assert not told.send(priya.wait_view("Approve access")).errors
    told.wait(code, State.ACTIVE, timeout=60)
    told.clear()
