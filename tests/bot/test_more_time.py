"""What cannot be extended is asked for anew, before its end or after it."""

from datetime import timedelta

import pytest

from bot.usecases import look
from bot.views import ids
from bot.views.cards import request_card
from engine.request import State
from tests.support.door import CUSTOMERS, filled, modal
from tests.support.scenes import buttons

MINUTE = timedelta(minutes=1)
ASK = "Ask for more time"


@pytest.fixture
def spent(door):
    """Marta's access, of which no extension is left."""
    (request,) = (r for r in door.requests() if r.state is State.ACTIVE)
    for number in (1, 2):
        assert ASK not in drawn(door, request)
        assert not door.click("marta", ids.EXTEND, f"{request.id}/{number}").errors
        door.work()
    return door.request(request.id)


def drawn(door, request, who="marta"):
    scene = look.request(door.services, door.person(who), request.id)
    return buttons(request_card(scene))


def asking(door, request, action=ids.MORE_TIME, who="marta"):
    return door.click(who, action, str(request.id))


def stands(form, action):
    for block in form["blocks"]:
        element = block.get("element", {})
        if element.get("action_id") == action:
            return element.get("initial_value") or element.get("initial_option", {}).get("value")
    return None


def test_it_is_offered_once_no_extension_is_left(door, spent):
    assert drawn(door, spent)[ASK]["action_id"] == ids.MORE_TIME
    said = door.command("marta", "my").payload["blocks"]
    assert ids.MORE_TIME in str(said)


def test_the_form_asks_for_the_same_for_what_is_left_and_more(door, spent):
    door.clock.move(spent.ends_at - door.clock.now() - 10 * MINUTE)

    (form,) = asking(door, spent).views

    assert stands(form, ids.RESOURCE) == str(door.resource(CUSTOMERS))
    assert stands(form, ids.PERMISSION) == str(door.entitlement(CUSTOMERS))
    assert stands(form, ids.DURATION) == "40 min"
    assert stands(form, ids.JUSTIFICATION) == spent.justification


def test_it_asks_for_no_more_than_the_flow_gives(door, spent):
    (form,) = asking(door, spent).views

    longest = door.services.company().flows[spent.flow].revision.grant_for
    assert spent.ends_at - door.clock.now() + 30 * MINUTE > longest
    assert not door.submit("marta", form, filled(form)).errors
    made = next(r for r in door.requests() if r.state is State.PENDING and r.requestor == "marta")
    assert made.duration == longest


def test_not_approved_in_time_the_old_end_holds(door, spent):
    (form,) = asking(door, spent).views
    door.submit("marta", form, filled(form))
    (asks,) = (r for r in door.requests() if r.state is State.PENDING and r.requestor == "marta")

    door.clock.move(spent.ends_at - door.clock.now())
    door.work()

    assert door.request(spent.id).state is State.EXPIRED
    assert door.request(asks.id).state is State.PENDING


def test_after_the_end_there_is_nothing_to_add_to(door, spent):
    door.clock.move(spent.ends_at - door.clock.now())
    door.work()

    assert "Ask for it again" in asking(door, spent).said
    assert ASK not in drawn(door, spent)


def test_somebody_else_asks_for_no_more_of_it(door, spent):
    said = asking(door, spent, who="kofi").said

    assert CUSTOMERS not in said


def test_asking_again_for_what_was_had_asks_why_anew(door, spent):
    door.clock.move(spent.ends_at - door.clock.now())
    door.work()

    (form,) = asking(door, spent, ids.AGAIN).views

    assert stands(form, ids.RESOURCE) == str(door.resource(CUSTOMERS))
    assert stands(form, ids.PERMISSION) == str(door.entitlement(CUSTOMERS))
    assert stands(form, ids.DURATION) == "1 h"
    assert stands(form, ids.JUSTIFICATION) is None


def test_asking_again_for_what_was_never_had_keeps_why(door):
    request = door.ask("ravi", why="INC-77")
    door.submit("priya", modal(ids.REJECT_MODAL, str(request.id)))

    (form,) = asking(door, request, ids.AGAIN, "ravi").views

    assert stands(form, ids.JUSTIFICATION) == "INC-77"
