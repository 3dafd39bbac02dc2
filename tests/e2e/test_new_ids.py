"""A new system of record gives everybody a new id: access goes on, one command carries it over."""

import re
import shutil

import pytest

from bot.sandbox.house import COMPANY
from engine.request import State
from tests.support.story import CUSTOMERS, STOCK, story


@pytest.fixture
def told(cluster, tmp_path):
    company = tmp_path / "company"
    shutil.copytree(COMPANY, company)
    with story(cluster, company=company) as told:
        yield told
        told.clear()


def asked(told, admin) -> list[str]:
    return [m.text for m in told.person(admin).messages() if "latchkey people carry" in m.text]


@pytest.mark.timeout(180)
def test_a_migration_takes_nothing_from_anybody(told, tmp_path):
    """The old ids were gone: all access was to be revoked, or, held back, nobody was known."""
    kofi, marta, priya, bot = *map(told.person, ("kofi", "marta", "priya")), told.house.bot
    running = told.ask(kofi, path=STOCK, why="")
    told.wait(running.code, State.ACTIVE)
    waiting = told.ask(marta, path=CUSTOMERS)
    told.card(priya, waiting.code, button="approve")
    people = tmp_path / "company" / "people.yaml"
    people.write_text(re.sub(r"(?m)^  - id: (.+)$", r"  - id: e-\1", people.read_text()))

    for _ in range(2):
        bot.stop()
        bot.start()
        told.house.sandbox.wait_links(1, timeout=20)
        told.until(lambda: asked(told, "viktor"), "the admins are told")

    (said,) = asked(told, "viktor")
    assert re.search(r"\d\d people are listed under a new id", said)
    assert "latchkey people carry --yes" in said
    assert told.request(running.code).state is State.ACTIVE
    listed = bot.run("people", "carry").stdout
    assert "e-kofi" in listed
    assert "Nothing was changed" in listed
    assert told.request(running.code).grantee == "kofi"

    unknown = bot.run("people", "carry", "--yes", "--not", "nobody@harbourpine.example")
    assert unknown.returncode == 1
    assert "nobody@harbourpine.example" in unknown.stderr
    assert told.request(running.code).grantee == "kofi"

    done = bot.run("people", "carry", "--yes", "--not", "rowan@harbourpine.example").stdout

    assert "Somebody else: 1" in done
    assert told.request(running.code).grantee == "e-kofi"
    assert told.request(running.code).state is State.ACTIVE
    told.decide(priya, waiting.code)
    told.wait(waiting.code, State.ACTIVE)
    told.card(kofi, running.code, button="return").click("return")
    told.wait(running.code, State.RETURNED)
    assert waiting.code in marta.command("/access", "my").text
    assert bot.run("people", "carry").stdout == "Nobody has a new id.\n"

    bot.stop()
    bot.start()
    told.house.sandbox.wait_links(1, timeout=20)
    assert told.request(waiting.code).state is State.ACTIVE
    assert len(asked(told, "viktor")) == 1
