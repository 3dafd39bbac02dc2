"""Nobody decides their own request, in whatever way they try: behind the bot's own door.

Li Wei asks for the warehouse's stock for Marta. Both try to decide it, and so does whoever acts for
them: each time they would be approvers, if it were not theirs.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.views import ids
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonStatus
from engine.flow import ApprovalRule, ApproverGroup, Escalation, Quorum
from engine.request import State
from storage import sync
from tests.bot.test_on_behalf import TEAM, ask_for
from tests.support.door import click, modal, slack_id, submission

PARTIES = ["liwei", "marta"]
DECIDING = [ids.APPROVE_MODAL, ids.REJECT_MODAL]


def people(*names: str, attribute: str = "user") -> ApproverGroup:
    """Build a group of approvers."""
    condition = Condition(attribute, Comparator.IS, names)
    return ApproverGroup(" and ".join(names), ConditionGroup((condition,)))


def flow(door, *groups, **changed):
    """Let the flow have these approvers: either of the groups."""
    here = door.services.company()
    listed = [(f.revision, f.active) for f in here.flows.values() if not f.deleted]
    changed["approval"] = ApprovalRule(groups, Quorum.ANY_OF)
    with door.database.write() as tx:
        kept = [(replace(r, **changed) if r.name == TEAM else r, on) for r, on in listed]
        sync.flows(tx, kept, door.clock.now())


def directory(door, **changed):
    """Let people be others than they are."""
    with door.database.write() as tx:
        here = door.services.companies.current(tx).directory
        known = [replace(p, **changed.get(p.id, {})) for p in here.people.values()]
        sync.people(tx, known, here.groups.values(), door.clock.now())


def as_approvers(door):
    flow(door, people("liwei", "marta", "kofi"))
    return ask_for(door, "marta")


def through_a_group(door):
    flow(door, people("Engineering", "Managers", attribute="group"))
    return ask_for(door, "marta")


def in_a_tier(door):
    tiers = (people("liwei", "marta", "priya"),)
    flow(door, people("kofi"), escalation=Escalation(timedelta(minutes=10), tiers))
    request = ask_for(door, "marta")
    door.clock.move(timedelta(minutes=11))
    door.work()
    assert door.request(request.id).tiers_asked == 1
    return request


def in_a_tier_that_stands_in(door):
    tiers = (people("liwei", "marta", "priya"),)
    directory(door, kofi={"status": PersonStatus.INACTIVE})
    flow(door, people("kofi"), escalation=Escalation(timedelta(minutes=10), tiers))
    return ask_for(door, "marta")


def as_administrators(door):
    """The only approver has left, and the administrators stand in."""
    with door.database.write() as tx:
        sync.administrators(tx, ["liwei", "marta", "ines"], door.clock.now())
    directory(door, kofi={"status": PersonStatus.INACTIVE})
    flow(door, people("kofi"))
    request = ask_for(door, "marta")
    assert {a.person for a in request.asks} == {"ines"}
    return request


def by_changing_groups(door):
    """They come to be of the approvers between the submission and the click."""
    flow(door, people("DBA", attribute="group"))
    request = ask_for(door, "marta")
    groups = {"groups": door.person("priya").groups}
    directory(door, liwei=groups, marta=groups)
    door.work()
    return request


def by_a_change_of_managers(door):
    """Whoever asks is made the manager of who is to have it, and the other way round."""
    flow(door, people(attribute="manager"))
    directory(door, liwei={"manager": "marta"}, marta={"manager": "liwei"})
    return ask_for(door, "marta")


def lend(door, by, to):
    said = door.command(by, f"delegate <@{slack_id(to)}|{to}> for 2 days because leave").said
    assert "can approve and reject for you until" in said


def with_a_right_that_was_lent(door):
    flow(door, people("priya"))
    for who in PARTIES:
        lend(door, "priya", who)
    return ask_for(door, "marta")


def with_a_right_that_is_lent_later(door):
    flow(door, people("priya"))
    request = ask_for(door, "marta")
    for who in PARTIES:
        lend(door, "priya", who)
    door.work()
    return request


WAYS = [
    as_approvers,
    through_a_group,
    in_a_tier,
    in_a_tier_that_stands_in,
    as_administrators,
    by_changing_groups,
    by_a_change_of_managers,
    with_a_right_that_was_lent,
    with_a_right_that_is_lent_later,
]


def still_waits(door, request):
    now = door.request(request.id)
    return now.state is State.PENDING and not now.approvals


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_neither_who_asks_nor_who_is_to_have_it_decides(door, way):
    request = way(door)

    for who in PARTIES:
        assert who not in {a.person for a in door.request(request.id).asks if a.open}
        for action in (ids.APPROVE, ids.REJECT):
            said = door.click(who, action, str(request.id)).said
            assert "Nobody decides their own request" in said
        for form in DECIDING:
            said = door.submit(who, modal(form, str(request.id))).said
            assert "Nobody decides their own request" in said
    assert still_waits(door, request)


@pytest.mark.parametrize("lender", PARTIES)
def test_nor_does_whoever_they_have_lent_their_right_to(door, lender):
    flow(door, people("liwei", "marta", "ines"))
    lend(door, lender, "kofi")
    request = ask_for(door, "marta")

    assert {a.person for a in request.asks} == {"ines"}
    for form in DECIDING:
        assert "not an approver" in door.submit("kofi", modal(form, str(request.id))).said
    assert still_waits(door, request)


def test_nor_does_another_account_of_theirs(door):
    """With their own address, or with that of somebody who may: two accounts are nobody's."""
    flow(door, people("liwei", "marta", "priya"))
    request = ask_for(door, "marta")
    for who in ("marta", "priya"):
        door.slack.users["U0SECOND"] = door.slack.users[slack_id(who)] | {"id": "U0SECOND"}
        for body in (
            click("marta", ids.APPROVE, str(request.id)),
            submission("marta", {"id": "V9", **modal(ids.APPROVE_MODAL, str(request.id))}, {}),
        ):
            body["user"] |= {"id": "U0SECOND"}
            answer = door.deliver(body)
            assert answer.said
            assert "Approve access" not in str(answer.views)
    assert still_waits(door, request)


def test_whoever_else_is_in_the_same_tier_decides(door):
    """It is the person who is barred, and not the way."""
    request = in_a_tier(door)

    door.submit("priya", modal(ids.APPROVE_MODAL, str(request.id)))

    assert door.request(request.id).state is State.GRANTING
