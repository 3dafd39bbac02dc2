"""People.yaml loses half a department by mistake: nothing is taken away until an admin says so."""

import pytest

from engine.request import State
from tests.support import web
from tests.support.companies import plain
from tests.support.story import STOCK, story

WHO = ("kofi", "lucia", "emeka", "hana", "ben", "anil", "mei")


@pytest.fixture
def told(cluster, tmp_path):
    company = plain(tmp_path / "company")
    with story(cluster, company=company) as told:
        yield told
        told.clear()


def active(told) -> set[str]:
    return {name for name in WHO if told.desk.person(name).active}


def asked(told, admin) -> int:
    return sum("latchkey people accept" in m.text for m in told.person(admin).messages())


def probed(told) -> str:
    return web.get(f"{told.house.probes}/readyz").text


@pytest.mark.timeout(120)
def test_start_that_would_take_away_too_much_asks_and_goes_on(told, tmp_path):
    kofi, bot = told.person("kofi"), told.house.bot
    request = told.ask(kofi, path=STOCK, why="")
    told.wait(request.code, State.ACTIVE)
    people = tmp_path / "company" / "people.yaml"
    text = people.read_text()
    for name in WHO:
        text = text.replace(f"  - id: {name}\n", f"  - id: {name}\n    status: inactive\n")
    people.write_text(text)

    for _ in range(2):
        bot.stop()
        bot.start()
        told.house.sandbox.wait_links(1, timeout=20)
        told.until(lambda: asked(told, "viktor"), "the admins are asked")

    assert active(told) == set(WHO)
    assert told.request(request.code).state is State.ACTIVE
    assert (asked(told, "viktor"), asked(told, "ines")) == (1, 1)
    assert "7 of" in told.person("ines").wait_message("latchkey people accept").text

    assert "held: 7 of" in bot.run("doctor").stdout
    told.until(lambda: "held: 7 of" in probed(told), "the probe address names it")
    applied = bot.run("apply")
    assert applied.returncode == 1
    assert "latchkey people accept" in applied.stderr

    said = bot.run("people", "accept").stdout

    assert all(name in said for name in WHO)
    assert active(told) == set()
    told.wait(request.code, State.REVOKED)
    told.until(lambda: bot.run("doctor").returncode == 0, "the whole set is in force")
    assert bot.run("people", "accept").stdout == "Nothing was held back.\n"
