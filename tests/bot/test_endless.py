"""Access without end: told to the administrators once a week, listed, and ended by them."""

from dataclasses import replace
from datetime import timedelta

import pytest

import manifests
from bot.usecases import endless
from bot.usecases.take_in import take_in
from bot.views import ids
from bot.views.cards import card
from bot.views.endless import endless_modal, in_words
from engine.directory import PersonId
from engine.outcome import Card
from engine.request import State
from tests.support.door import COMPANY, CUSTOMERS, click_in, filled, modal
from tests.support.scenes import buttons, read

WEEK = timedelta(days=7)


@pytest.fixture
def runs(door):
    """Ravi has something without end."""
    request = asked(door, manifests.load(COMPANY))
    door.submit("priya", modal(ids.APPROVE_MODAL, str(request.id)))
    door.work()
    assert door.request(request.id).ends_at is None
    return door.request(request.id)


def asked(door, listed):
    name = door.services.company().flows[door.request(1).flow].name
    flows = tuple(
        replace(f, revision=replace(f.revision, grant_for=None)) if f.revision.name == name else f
        for f in listed.flows
    )
    assert take_in(door.services, replace(listed, flows=flows)) is None
    form = door.command("ravi", f"request read on {CUSTOMERS} without end: INC-1").views[0]
    door.submit("ravi", form, filled(form))
    return next(r for r in door.requests() if r.requestor == "ravi")


def told(door):
    return [m for m in door.rows()["message"] if m["kind"] == Card.ENDLESS]


def test_the_administrators_are_told_once_a_week(door, runs):
    admins = door.services.company().admins
    assert endless.tell(door.services) == WEEK
    endless.tell(door.services)

    assert {m["recipient"] for m in told(door)} == set(admins)
    assert len(told(door)) == len(admins)
    assert runs.code in told(door)[0]["detail"]

    door.clock.move(WEEK)
    endless.tell(door.services)
    assert len(told(door)) == 2 * len(admins)


def test_where_all_has_an_end_nobody_is_told(door):
    endless.tell(door.services)

    assert not told(door)


def test_the_message_leads_to_the_list_and_from_there_it_is_ended(door, runs):
    admin = min(door.services.company().admins)
    drawn = card(Card.ENDLESS, None, in_words(endless.listed(door.services, door.person(admin))))
    assert "1 access has no end" in read(drawn)
    assert buttons(drawn)["Show the list"]["action_id"] == ids.ENDLESS

    (listed,) = door.click(admin, ids.ENDLESS, "all").views
    (row,) = listed["blocks"]
    assert row["accessory"]["action_id"] == ids.SHOW
    shown = door.deliver(click_in(admin, listed, ids.SHOW, row["accessory"]["value"])).views[0]
    refused = door.submit(admin, shown, filled(shown))
    assert "says why" in str(refused.payload["errors"])
    reason = {ids.REASON: {"value": "No longer needed"}}
    assert not door.submit(admin, shown, filled(shown, **reason)).payload
    door.work()

    after = door.request(runs.id)
    assert (after.state, after.ended.by, after.ended.reason) == (
        State.REVOKED,
        admin,
        "No longer needed",
    )
    assert read(endless_modal(endless.listed(door.services, door.person(admin)))).startswith(
        "Access without end\nThere is none."
    )


@pytest.mark.parametrize("who", ["ravi", "priya", "kofi"])
@pytest.mark.usefixtures("runs")
def test_the_list_is_for_administrators_alone(door, who):
    said = door.click(who, ids.ENDLESS, "all").said

    assert "Only an administrator" in said
    assert CUSTOMERS not in said


def test_who_would_not_get_it_now_is_named_with_why(door, runs):
    ravi = door.person("ravi")
    listed = manifests.load(COMPANY)
    people = tuple(replace(p, groups=frozenset()) if p.id == ravi.id else p for p in listed.people)
    name = door.services.company().flows[runs.flow].name
    flows = tuple(
        replace(f, revision=replace(f.revision, grant_for=None)) if f.revision.name == name else f
        for f in listed.flows
    )
    assert take_in(door.services, replace(listed, people=people, flows=flows)) is None
    admin = door.person(min(door.services.company().admins))

    (one,) = endless.listed(door.services, admin)

    assert "no longer open to" in one.why_not
    assert one.why_not in in_words([one])
    assert door.request(runs.id).state is State.ACTIVE


@pytest.mark.usefixtures("runs")
def test_a_list_of_very_many_fits_into_slack(door):
    admin = PersonId(min(door.services.company().admins))
    found = endless.listed(door.services, door.person(admin)) * 500

    assert len(endless_modal(found)["blocks"]) <= 100
    assert "and 490 more" in in_words(found)
