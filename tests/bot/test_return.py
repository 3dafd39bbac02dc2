"""Returning a part of what somebody has, while the rest runs on to the same end."""

from dataclasses import replace

import psycopg
import pytest

from bot.sandbox.blocks import judge_view
from bot.usecases import discover, look
from bot.views import ids
from bot.views.cards import request_card
from bot.views.return_modal import keeping, return_modal
from engine.inventory import EntitlementId
from engine.port import Discovered
from engine.request import GrantState, State
from tests.bot.test_decide import ask_for_the_bundle
from tests.bot.test_decide_form import field_of
from tests.support.builders import ANN, entitlement, flow, life
from tests.support.door import SYSTEM, filled, modal, suggestion
from tests.support.scenes import buttons, read, seen

DELIVERIES = "orders/warehouse/deliveries"


@pytest.fixture
def wider(door):
    """Two things are in the bundle."""
    thing = Discovered("table", "deliveries", DELIVERIES, DELIVERIES, {"read": 4})
    door.system.add(thing)
    discover.discover(door.services, SYSTEM)
    yield door
    door.system.drop(DELIVERIES)


def asked(door):
    form = door.command("maya", "request Warehouse incident: INC-7").views[0]
    answer = door.submit("maya", form, filled(form))
    assert not answer.errors, answer.said
    (request,) = (r for r in door.requests() if r.requestor == "maya")
    return request


@pytest.fixture
def running(wider):
    request = asked(wider)
    wider.submit("amara", modal(ids.APPROVE_MODAL, str(request.id)))
    wider.work()
    assert states(wider, request) == [GrantState.HELD, GrantState.HELD]
    return wider.request(request.id)


def states(door, request):
    return [g.state for g in door.request(request.id).grants]


def has(door, path):
    """Tell whether the system lets Maya read it."""
    (login,) = (a["login"] for a in door.rows()["account"] if a["person_id"] == "maya")
    return any(key[0] == path for key in door.system.accounts[login].held)


def opened(door, request, who="maya"):
    return door.click(who, ids.RETURN_SOME, str(request.id)).views[0]


def some(form, *kept):
    """Return the form as it is sent with all ticked but these."""
    boxes = field_of(form, ids.THINGS)
    ticked = [o for o in boxes["options"] if o["value"] not in kept]
    return filled(form, **{ids.THINGS: {"selected_options": ticked}})


def test_what_is_not_ticked_is_kept_until_the_same_end(wider, running):
    _, second = running.grants
    form = opened(wider, running)

    assert not wider.submit("maya", form, some(form, str(second.id))).payload
    wider.work()

    after = wider.request(running.id)
    assert (after.state, after.ends_at) == (State.ACTIVE, running.ends_at)
    assert states(wider, running) == [GrantState.ENDED, GrantState.HELD]
    paths = [g.named for g in running.grants]
    assert [has(wider, path) for path in paths] == [False, True]
    assert "returned before the rest" in read(
        request_card(look.request(wider.services, wider.person("maya"), running.id))
    )


def test_delivered_twice_it_returns_no_more(wider, running):
    form = opened(wider, running) | {"id": "V-same"}
    sent = some(form, str(running.grants[1].id))
    wider.submit("maya", form, sent)
    wider.work()
    once = wider.request(running.id)

    answer = wider.submit("maya", form, sent)

    assert not answer.errors
    assert wider.request(running.id) == once
    returned = [e for e in wider.rows()["audit"] if e["action"] == "returned_part"]
    assert len(returned) == 1


def test_all_of_it_is_returned_as_by_the_button_of_one_thing(wider, running):
    form = opened(wider, running)
    wider.submit("maya", form, some(form))
    wider.work()

    assert wider.request(running.id).state is State.RETURNED
    assert not any(has(wider, g.named) for g in running.grants)


def test_the_rest_has_the_button_of_one_thing(wider, running):
    form = opened(wider, running)
    wider.submit("maya", form, some(form, str(running.grants[1].id)))
    wider.work()
    wider.click("maya", ids.RETURN, str(running.id))
    wider.work()

    assert wider.request(running.id).state is State.RETURNED


def test_who_keeps_everything_is_asked_to_choose(wider, running):
    form = opened(wider, running)

    answer = wider.submit("maya", form, some(form, *(str(g.id) for g in running.grants)))

    assert "Choose what you return" in answer.payload["errors"][ids.THINGS]
    assert wider.request(running.id) == running


def test_after_the_end_there_is_nothing_to_return(wider, running):
    form = opened(wider, running)
    wider.clock.move(running.ends_at - wider.clock.now())
    wider.work()

    answer = wider.submit("maya", form, some(form, str(running.grants[1].id)))

    assert "ended" in answer.said
    assert wider.request(running.id).state is State.EXPIRED
    assert "ended" in wider.click("maya", ids.RETURN_SOME, str(running.id)).said


def test_what_is_not_given_yet_can_be_returned(wider):
    request = asked(wider)
    wider.submit("amara", modal(ids.APPROVE_MODAL, str(request.id)))
    form = opened(wider, request)
    wider.submit("maya", form, some(form, str(request.grants[1].id)))
    wider.work()

    assert states(wider, request) == [GrantState.ENDED, GrantState.HELD]
    assert not has(wider, request.grants[0].named)


@pytest.mark.parametrize("who", ["amara", "priya", "marta", "rowan"])
def test_nobody_else_returns_it(wider, running, who):
    answer = wider.click(who, ids.RETURN_SOME, str(running.id))
    assert "Only who asked" in answer.said
    wider.submit(who, modal(ids.RETURN_MODAL, str(running.id)))

    assert wider.request(running.id) == running


def having(many):
    numbers = range(1, many + 1)
    made = life(State.ACTIVE, flow(), *numbers)
    made.request = made.request.with_(grants=tuple(g.held() for g in made.request.grants))
    scene = seen(made, ANN)
    return replace(scene, entitlements={EntitlementId(n): entitlement(n) for n in numbers})


def test_of_one_thing_the_button_asks_and_returns():
    button = buttons(request_card(having(1)))["Return now"]

    assert button["action_id"] == ids.RETURN
    assert "confirm" in button


@pytest.mark.parametrize(
    ("many", "kind"),
    [
        (2, "checkboxes"),
        (10, "checkboxes"),
        (11, "multi_static_select"),
        (100, "multi_static_select"),
        (101, "multi_external_select"),
    ],
)
def test_of_several_the_form_fits_their_number(many, kind):
    assert buttons(request_card(having(many)))["Return now"]["action_id"] == ids.RETURN_SOME
    form = return_modal(having(many))
    element = field_of(form, ids.THINGS if many <= 10 else ids.KEEP_THINGS)

    assert element["type"] == kind
    assert not judge_view(form, "modal")


def test_what_is_kept_is_searched_for_by_its_words():
    found = [o["text"]["text"] for o in keeping(having(120), "READ t11")]

    assert found == [f"read on orders/t{n}" for n in (11, *range(110, 120))]


def test_who_searches_for_what_to_keep_is_asked_who_they_are(wider, running):
    form = opened(wider, running)

    for who, found in (("maya", 2), ("marta", 0)):
        answer = wider.deliver(suggestion(who, "", ids.KEEP_THINGS) | {"view": form})
        assert len(answer.payload["options"]) == found


def test_a_part_is_gone_from_the_real_system_and_the_session_goes_on(told):
    maya, priya = told.person("maya"), told.person("priya")
    request = ask_for_the_bundle(told, maya)
    told.decide(priya, request.code)
    told.wait(request.code, State.ACTIVE)
    told.until(
        lambda: all(g.state is GrantState.HELD for g in told.request(request.code).grants), "all"
    )
    running = told.request(request.code)
    login = told.credentials(maya, request.code)
    given, *kept = running.grants
    with told.log_in(login) as session:
        session.execute(f"select from {_table(kept[0])}")
        told.press(maya, request.code, "return_some")
        form = maya.wait_view("Return access")
        form.set("things", [str(given.id)])
        assert told.send(form).action != "errors"
        told.until(lambda: not told.request(request.code).grants[0].begun, "the first is gone")

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(f"select from {_table(given)}")
        session.execute(f"select from {_table(kept[0])}")
    after = told.request(request.code)
    assert (after.state, after.ends_at) == (State.ACTIVE, running.ends_at)
    told.card(maya, request.code, "returned before the rest")


def _table(grant):
    _, schema, table = grant.named.split("/")
    return f"{schema}.{table}"
