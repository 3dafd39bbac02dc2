"""Asking for somebody else, from the form to the end: who can be chosen, who is told what, who
decides, and how the grantee declines. Li Wei leads Marta, and may ask for contractors.
"""

import pytest
from sqlalchemy import select
from sqlmodel import col

from bot.views import ids
from engine.outcome import Card
from engine.request import State
from storage.tables import MessageRow
from tests.support.door import STOCK, choice, filled, modal, suggestion

TEAM, CONTRACTORS = "The warehouse for my people", "Stock for contractors"


def whom(door, typed, who="liwei"):
    answer = door.deliver(suggestion(who, typed, ids.GRANTEE))
    assert not answer.errors
    return [option["value"] for option in answer.payload["options"]]


def things(door, block, typed="", who="liwei"):
    answer = door.deliver(suggestion(who, typed) | {"block_id": block})
    assert not answer.errors
    return [option["text"]["text"] for option in answer.payload["options"]]


def chosen(door, form, action, value, who="liwei"):
    """Choose in a menu, and return the form as it is drawn then."""
    option = {"selected_option": {"value": value, "text": {"type": "plain_text", "text": "x"}}}
    values = filled(form, **{action: option})
    answer = door.deliver(choice(who, form, action, value, values))
    assert not answer.errors
    return answer.views[0]


def form_for(door, grantee):
    form = door.command("liwei", "request").views[0]
    form = chosen(door, form, ids.GRANTEE, grantee)
    return chosen(door, form, ids.RESOURCE, str(door.resource(STOCK)))


def ask_for(door, grantee):
    known = {r.id for r in door.requests()}
    form = form_for(door, grantee)
    answer = door.submit("liwei", form, filled(form, justification={"value": "INC-1"}))
    (made,) = [r for r in door.requests() if r.id not in known]
    assert not answer.errors
    return made


def told(door, request):
    with door.database.read() as session:
        rows = session.execute(select(MessageRow).where(col(MessageRow.request_id) == request.id))
        return {(row.recipient, row.kind) for row in rows.scalars()}


def usable(door, grantee):
    people = door.services.company().directory.people
    policy = door.services.company().policy
    return policy.usable(people["liwei"], people[grantee], door.clock.now())


def test_one_can_choose_oneself_ones_reports_and_others(door):
    found = whom(door, "")

    assert found[0] == "liwei"
    assert {"marta", "ida", "casey"} < set(found)
    assert not {"priya", "kofi", "dana", "li.wei"} & set(found)
    assert whom(door, "WHITLOCKE") == ["casey"]
    assert whom(door, "", who="marta") == ["marta"]


@pytest.mark.parametrize("typed", ["\x00", "\ud800", "%", "' or 1=1 --", "w " * 3000])
def test_whatever_is_typed_is_looked_for(door, typed):
    found = whom(door, typed)

    assert "priya" not in found


def test_who_leads_nobody_is_not_asked_for_whom(door):
    form = door.command("marta", "request").views[0]

    assert all(block.get("block_id") != ids.GRANTEE for block in form["blocks"])


def test_what_can_be_had_is_a_matter_of_who_is_to_have_it(door):
    assert STOCK in things(door, f"{ids.RESOURCE}/marta")
    assert things(door, f"{ids.RESOURCE}/marta") == things(door, f"{ids.RESOURCE}/ida") == [STOCK]
    assert len(things(door, f"{ids.RESOURCE}/liwei")) > 1
    assert things(door, f"{ids.RESOURCE}/priya") == things(door, f"{ids.RESOURCE}/") == []


def test_the_manager_of_who_asks_decides_where_that_is_the_manager(door):
    request = ask_for(door, "marta")

    assert (request.requestor, request.grantee) == ("liwei", "marta")
    assert {ask.person for ask in request.asks} == {"ines"}
    assert told(door, request) == {
        ("liwei", Card.REQUEST),
        ("marta", Card.REQUEST),
        ("ines", Card.APPROVAL),
    }
    door.submit("ines", modal(ids.APPROVE_MODAL, str(request.id)))
    door.work()
    assert door.request(request.id).state is State.ACTIVE
    ended = door.click("marta", ids.RETURN, str(request.id))
    assert not ended.errors
    door.work()
    assert door.request(request.id).state is State.RETURNED


def test_the_grantee_declines_and_nobody_can_approve_it_any_more(door):
    request = ask_for(door, "marta")

    door.click("marta", ids.CANCEL, str(request.id))

    assert door.request(request.id).state is State.CANCELLED
    assert door.request(request.id).ended.by == "marta"
    late = door.submit("ines", modal(ids.APPROVE_MODAL, str(request.id)))
    assert "cancelled" in late.said


def test_a_guest_who_is_listed_receives_and_declines(door):
    request = ask_for(door, "casey")

    agency, mine = "Assets for an agency", "Development for my people"
    assert {flow.name for flow in usable(door, "casey")} == {TEAM, CONTRACTORS, agency, mine}
    assert ("casey", Card.REQUEST) in told(door, request)
    door.click("casey", ids.CANCEL, str(request.id))
    assert door.request(request.id).state is State.CANCELLED


def test_who_is_still_to_come_can_be_asked_for(door):
    request = ask_for(door, "ida")

    assert (request.grantee, request.state) == ("ida", State.PENDING)
    door.click("liwei", ids.CANCEL, str(request.id))
    assert door.request(request.id).state is State.CANCELLED


@pytest.mark.parametrize("grantee", ["priya", "dana", "nobody", "x" * 80])
def test_nobody_else_is_asked_for_whatever_comes_back(door, grantee):
    """A menu's answer is whatever a client puts there."""
    form = form_for(door, "marta")
    forged = {"selected_option": {"value": grantee}}
    values = filled(form, grantee=forged, justification={"value": "INC-1"})

    answer = door.submit("liwei", form, values)

    assert "request nothing for this person" in answer.said
    assert all(r.grantee != grantee for r in door.requests())
