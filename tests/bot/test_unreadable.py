"""Rows that cannot be read: what people and operators see of them, and can do about them."""

import json

import pytest
from sqlalchemy import text

from bot.views import ids
from engine.request import State
from tests.support.door import modal
from tests.support.story import CUSTOMERS, ORDERS

CUT = '{"requestor": "marta", "state": "acti'


def spoil(database, request, content=CUT):
    """Cut a request's body off, or write another there."""
    value = ":body" if database.sqlite else "cast(:body as jsonb)"
    said = content if database.sqlite else json.dumps(content)
    change = text(f"update request set body = {value} where id = :id")  # noqa: S608
    with database.write() as tx:
        tx.execute(change, {"body": said, "id": request.id})


@pytest.fixture
def running(door):
    (found,) = [r for r in door.requests() if r.state is State.ACTIVE]
    return found


@pytest.fixture
def waiting(door):
    (found,) = [r for r in door.requests() if r.state is State.PENDING]
    return found


def test_whoever_has_access_that_cannot_be_read_sees_it_and_can_return_it(door, running):
    """`/access my` and the Home tab failed whole, and so did the button."""
    spoil(door.database, running)

    said = str(door.command("marta", "my").payload)
    assert f"What is stored of {running.code} cannot be read" in said
    home = {"type": "app_home_opened", "user": "U0MARTA", "tab": "home"}
    body = {"type": "event_callback", "team_id": "T0HARBOUR", "event": home}
    assert running.code in door.deliver(body).said
    assert not door.click("marta", ids.RETURN, str(running.id)).errors
    door.work()

    assert door.request(running.id).state is State.RETURNED


def test_no_button_gives_more_of_what_cannot_be_read(door, running):
    spoil(door.database, running)
    before = door.request(running.id)

    said = door.click("marta", ids.EXTEND, f"{running.id}/1").said

    assert "It can only be ended" in said
    assert door.request(running.id) == before


def test_who_was_asked_about_what_cannot_be_read_sees_that(door, waiting):
    spoil(door.database, waiting)
    with door.database.read() as session:
        asked = {p for (p,) in session.execute(text("select person_id from ask where open"))}
    approver = min(asked)

    assert f"What is stored of {waiting.code} cannot be read" in str(
        door.command(approver, "tasks").payload
    )
    answer = door.submit(approver, modal(ids.APPROVE_MODAL, str(waiting.id)))

    assert "cannot be read" in answer.said
    assert door.request(waiting.id).state is State.PENDING
    assert not door.click("anil", ids.CANCEL, str(waiting.id)).errors
    assert door.request(waiting.id).state is State.CANCELLED


@pytest.fixture
def told(houses):
    """One house: the command line does not know which way Slack comes in."""
    house = houses("socket")
    yield house
    house.clear()


def test_an_operator_sees_and_ends_what_cannot_be_read(told):
    """`latchkey requests list` and every `revoke` ended with the first row they could not read."""
    marta, diego, priya = (told.person(n) for n in ("marta", "diego", "priya"))
    lost, fine = told.active(marta, priya, path=CUSTOMERS), told.active(diego, priya)
    login = told.credentials(marta, lost.code)
    run = told.house.bot.run
    spoil(told.desk.database, lost)

    listed = run("requests", "list")
    assert {lost.code, fine.code} <= set(listed.stdout.split())
    assert "could not be read" in " ".join(listed.stdout.split())
    assert f"latchkey revoke {lost.code}" in listed.stderr
    shown = run("requests", "show", lost.code)
    assert "could not be read" in shown.stdout
    assert "The access was given" in shown.stdout
    examined = run("doctor")
    assert examined.returncode == 1
    assert lost.code in examined.stdout

    assert run("revoke", "--person", "diego@harbourpine.example").returncode == 0
    told.wait(fine.code, State.REVOKED)
    assert run("revoke", lost.code).returncode == 0
    told.wait(lost.code, State.REVOKED)
    assert not told.works(login)
    assert run("doctor").returncode == 0


def test_access_that_cannot_be_read_ends_on_time_beside_the_others(told):
    """All of a person's access on a system stayed for good beside one row that was cut off."""
    marta, priya = told.person("marta"), told.person("priya")
    lost, fine = told.active(marta, priya, path=CUSTOMERS), told.active(marta, priya, path=ORDERS)
    login = told.credentials(marta, fine.code)
    spoil(told.desk.database, lost)

    told.house.sandbox.advance(8 * 3600)

    told.wait(fine.code, State.EXPIRED)
    told.wait(lost.code, State.EXPIRED)
    told.until(lambda: not told.privileges(), "nothing is left")
    assert told.sessions(login["user"]) == 0
