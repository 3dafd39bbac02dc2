"""A new system of record gives everybody a new id: access goes on, one command carries it over."""

import re

import pytest

from engine.request import State
from tests.support.companies import plain
from tests.support.story import CUSTOMERS, STOCK, story


@pytest.fixture
def told(cluster, tmp_path):
    company = plain(tmp_path / "company")
    with story(cluster, company=company) as told:
        yield told
        told.clear()


def everybody(told):
    with told.desk.database.read() as session:
        return told.desk.companies.current(session).directory.people.values()


def rewritten(tmp_path, *changes) -> None:
    """Change people.yaml; nothing is taken in for that alone."""
    people = tmp_path / "company" / "people.yaml"
    text = people.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    people.write_text(text)


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
    assert all(p.email in listed for p in everybody(told) if p.may_receive)  # none is cut
    assert "has left" not in listed
    assert "Nothing was changed" in listed
    assert told.request(running.code).grantee == "kofi"

    unknown = bot.run("people", "carry", "--yes", "--not", "nobody@harbourpine.example")
    assert unknown.returncode == 1
    assert "nobody@harbourpine.example" in unknown.stderr
    assert told.request(running.code).grantee == "kofi"

    done = bot.run("people", "carry", "--yes", "--not", "rowan@harbourpine.example").stdout

    assert "Somebody else: 1" in done
    told.until(lambda: told.request(running.code).grantee == "e-kofi", "it has followed")
    assert told.request(running.code).state is State.ACTIVE
    told.decide(priya, waiting.code)
    told.wait(waiting.code, State.ACTIVE)
    told.press(kofi, running.code, "return")
    told.wait(running.code, State.RETURNED)
    assert waiting.code in marta.command("/access", "my").text
    assert bot.run("people", "carry").stdout == "Nobody has a new id.\n"

    bot.stop()
    bot.start()
    told.house.sandbox.wait_links(1, timeout=20)
    assert told.request(waiting.code).state is State.ACTIVE
    assert len(asked(told, "viktor")) == 1


@pytest.mark.timeout(180)
def test_a_password_that_was_saved_works_after_the_migration(told, tmp_path):
    """What sets the same password again was lost: everybody's saved password stopped working."""
    marta, priya, bot = *map(told.person, ("marta", "priya")), told.house.bot
    first = told.active(marta, priya)
    login = told.credentials(marta, first.code)
    told.press(marta, first.code, "return")
    told.wait(first.code, State.RETURNED)
    assert not told.works(login)
    rewritten(tmp_path, ("- id: marta\n", "- id: e-marta\n"))

    assert "Carried over: 1." in bot.run("people", "carry", "--yes").stdout
    told.active(marta, priya)

    told.until(lambda: told.works(login), "the saved password works")


@pytest.mark.timeout(180)
def test_somebody_elses_id_is_said_and_given_to_nobody(told, tmp_path):
    """Ids that overlapped handed Marta's access and password to Ravi; “accept” said nothing."""
    marta, priya, bot = *map(told.person, ("marta", "priya")), told.house.bot
    running = told.active(marta, priya)
    rewritten(
        tmp_path, ("- id: marta\n", "- id: m-1\n"), ("- id: ravi\n", "- id: marta\n"),
        ("name: Kofi", "name: Newly Kofi"),
    )  # fmt: skip

    said = bot.run("people", "accept").stdout
    assert "have changed: 1." in said
    assert "another id than the one known: 2." in said
    assert told.until(lambda: asked(told, "viktor"), "the admins are told, as by a sync")
    listed = bot.run("people", "carry", "--yes").stdout

    assert "stays under the first id: the other is, or was, somebody else's" in listed
    assert "Carried over: 1. Somebody else: 0. As they are: 1." in listed
    assert told.desk.person("m-1").slack == marta.id
    assert told.desk.person("ravi").slack == told.person("ravi").id
    assert told.desk.person("marta").id == "m-1"  # as the history names her
    assert told.request(running.code).state is State.ACTIVE

    nobody = bot.run("people", "part", "ravi@harbourpine.example")
    assert nobody.returncode == 1
    assert "has not changed" in nobody.stderr
    rewritten(tmp_path, ("email: marta@", "email: nina@"))
    bot.run("people", "accept")
    assert not told.desk.person("m-1").slack
    assert "somebody new" in bot.run("people", "part", "nina@harbourpine.example").stdout
    told.wait(running.code, State.REVOKED)
    assert not told.desk.person("m-1").active
    assert told.desk.person("m-1~2").email == "nina@harbourpine.example"
