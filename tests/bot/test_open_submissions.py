"""One person cannot fill the place: how many requests of theirs can be open at once."""

import pytest
from sqlalchemy import insert

from bot import settings, wiring
from bot.runtime.services import Connected
from bot.usecases import request as usecase
from bot.usecases.filling import Filled, Promise
from bot.usecases.request import Submitted
from bot.views import ids
from engine.connectors.memory import Memory
from engine.inventory import Integration
from engine.request import State
from storage.secrets import new_key
from storage.tables import DeliveryRow
from tests.support.door import COMPANY, CUSTOMERS, PAYMENTS, STOCK, SYSTEM, TABLES, filled


@pytest.fixture
def door(door, monkeypatch):
    """A door where nobody can have more than two requests open."""
    monkeypatch.setitem(vars(door.services), "open_submissions", 2)
    return door


@pytest.fixture
def third(door):
    """The form for one more, opened while there was still room for it."""
    door.ask("marta", CUSTOMERS)
    form = door.form("marta", STOCK)
    door.ask("marta", PAYMENTS)
    return form


def waiting(door):
    return {r.code for r in door.requests() if r.requestor == "marta" and r.state is State.PENDING}


def test_one_more_is_refused_and_says_which_wait(door, third):
    before = door.requests()

    answer = door.submit("marta", third, filled(third))

    assert list(answer.payload["errors"])
    assert len(waiting(door)) == 2
    assert all(code in answer.said for code in waiting(door))
    assert door.requests() == before


@pytest.mark.usefixtures("third")
def test_nobody_fills_in_a_form_in_vain(door):
    """The form opened, was filled in, and only then was it said that it could not be sent."""
    ended = next(r for r in door.requests() if r.requestor == "anil")

    for answer in (
        door.command("marta", f"request read on {STOCK}: INC-1"),
        door.command("marta", "request"),
        door.click("marta", ids.AGAIN, str(ended.id)),
        door.click("marta", ids.REQUEST_ACCESS, ""),
    ):
        assert not answer.errors
        assert all(code in answer.said for code in waiting(door)), answer


def test_the_same_again_is_shown_and_not_refused(door):
    door.ask("marta", CUSTOMERS)
    form = door.form("marta", PAYMENTS)
    made = door.ask("marta", PAYMENTS)

    answer = door.submit("marta", form, filled(form, justification={"value": "another reason"}))

    assert f"{made.code} asks for the same already" in answer.said
    assert "⏳ Waiting for approval" in answer.said  # and there it is
    assert "Who was asked" in answer.said


def test_a_delivery_that_slack_repeats_is_not_refused(door):
    door.ask("marta", CUSTOMERS)
    sent = {"id": "V-twice", **door.form("marta", PAYMENTS)}

    answers = [door.submit("marta", sent, filled(sent)) for _ in range(2)]

    assert [a.payload for a in answers] == [{}, {}]
    assert len(waiting(door)) == 2


def test_a_delivery_that_made_several_is_answered_from_all_of_them(door):
    """After a COMMIT of which nobody knew the outcome, one of them was all that was found."""
    made = [door.ask("marta", CUSTOMERS), door.ask("marta", PAYMENTS)]
    keys = [{"key": "V-many", "number": n, "request_id": r.id} for n, r in enumerate(made)]
    with door.database.write() as tx:
        tx.execute(insert(DeliveryRow), keys)

    again = Filled(
        resource=None,
        permission=None,
        duration="",
        prefilled=False,
        justification="",
        promise=Promise(),
    )
    outcome = usecase.submit(door.services, door.person("marta"), again, "V-many")

    assert outcome == Submitted(tuple(made))
    assert len(waiting(door)) == 2


def test_when_one_is_settled_there_is_room_for_another(door, third):
    first = next(r for r in door.requests() if r.code in waiting(door))
    door.click("marta", ids.CANCEL, str(first.id))

    answer = door.submit("marta", third, filled(third))

    assert answer.payload == {}
    assert len(door.requests()) == 6


@pytest.mark.usefixtures("third")
def test_others_are_not_counted(door):
    assert door.ask("anil", CUSTOMERS).state is State.PENDING


@pytest.mark.parametrize(("given", "most"), [({}, 20), ({"LATCHKEY_OPEN_SUBMISSIONS": "7"}, 7)])
def test_how_many_can_be_set(tmp_path, given, most):
    read = settings.load(
        SLACK_BOT_TOKEN="xoxb-test",
        SLACK_APP_TOKEN="xapp-test",
        LATCHKEY_DATABASE_URL=f"sqlite:///{tmp_path}/latchkey.db",
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
        **given,
    )
    connected = {SYSTEM: Connected(Integration(SYSTEM, "Orders", "memory"), Memory(TABLES))}

    assert wiring.build(read, connectors=connected).services.open_submissions == most
