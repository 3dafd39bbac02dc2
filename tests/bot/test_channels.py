"""Approvers asked in a channel: whom the card there calls, who may decide, when it takes none."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.sandbox.client import Message, Person
from bot.usecases import channels
from engine.channel import ChannelId, Notify
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.flow import ApprovalRule, ApproverGroup, Escalation
from engine.request import State
from tests.support.story import ORDERS, Story

ORDERS_FLOW = "Read the shop's orders"
ACCESS, DEPLOYS, NORTHGATE, MOVE = "C0ACCESS", "C0DEPLOYS", "C0NORTHGATE", "C0MOVE"
ALONE = Notify(ChannelId(ACCESS), directly=False)


def people(*names: str) -> ConditionGroup:
    return ConditionGroup((Condition("user", Comparator.IS, names),))


def there(
    told: Story, code: str, contains: str = "", *, who: str = "priya", channel: str = ACCESS
) -> Message:
    """Wait for the newest card of a request in the channel."""

    def find() -> Message | None:
        found = [m for m in told.person(who).messages(channel) if code in m.text]
        return found[-1] if found and contains in found[-1].text else None

    return told.until(find, f"a card of {code} in the channel with “{contains}”")


def called(card: Message) -> list[str]:
    """Return whom a card mentions, so that Slack tells them of it."""
    return sorted(set(re.findall(r"<@(\w+)>", str(card.raw["blocks"]))))


def faults(told: Story) -> str:
    """Return what the bot's own database says of channels that take no card."""
    with told.desk.database.read() as session:
        return "; ".join(channels.faults(told.desk.companies.current(session)))


@pytest.fixture(autouse=True)
def as_it_is(told):
    """See the channel as it is: what another test did to it is undone, and need not be seen yet."""

    def seen() -> bool:
        with told.desk.database.read() as session:
            known = told.desk.companies.current(session).channels.get(ChannelId(ACCESS))
        return known is not None and known.open and known.members >= {"U0PRIYA", "U0SAMLEIGH"}

    if not seen():
        told.house.sandbox.advance(60)
    told.until(seen, "the channel is seen as it is")


def directly(who: Person, code: str) -> list[Message]:
    return [m for m in who.messages() if code in m.text]


def test_one_card_in_the_channel_calls_who_is_asked_and_is_decided_there(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    with told.flow(ORDERS_FLOW, notify=ALONE):
        code = told.ask(marta).code
        card = there(told, code)
        assert called(card) == ["U0PRIYA", "U0SAMLEIGH"]
        assert card.click("approve").ok
        form = priya.wait_view("Approve access")
        form.set("reason", "As agreed")
        assert not form.submit().errors
        told.wait(code, State.ACTIVE)
        done = there(told, code, "pproved by Priya Venkataraman")
        assert (done.ts, done.buttons) == (card.ts, [])
        assert "As agreed" in done.text
        assert told.card(marta, code, "pproved by")
        assert not directly(priya, code)
        assert not directly(sam, code)


@pytest.mark.parametrize("who", ["kofi", "marta"])
def test_being_in_the_channel_gives_nobody_the_right_to_decide(told, who):
    with told.flow(ORDERS_FLOW, notify=ALONE):
        code = told.ask(told.person("marta")).code
        there(told, code, who=who).click("approve")
        assert told.person(who).wait_view("Not decided").text
        assert told.request(code).state is State.PENDING


def test_who_is_not_in_the_channel_is_asked_directly_and_both_see_the_end(told):
    marta, priya, greta = (told.person(n) for n in ("marta", "priya", "greta"))
    groups = (ApproverGroup("Priya or Greta", people("priya", "greta")),)
    with told.flow(ORDERS_FLOW, notify=ALONE, approval=ApprovalRule(groups)):
        code = told.ask(marta).code
        assert called(there(told, code)) == ["U0PRIYA"]
        told.decide(greta, code, "reject", reason="not today")
        told.wait(code, State.REJECTED)
        assert "not today" in there(told, code, "rejected").text
        assert not directly(priya, code)


def test_with_both_who_is_in_the_channel_is_asked_directly_too(told):
    marta, priya = told.person("marta"), told.person("priya")
    with told.flow(ORDERS_FLOW, notify=replace(ALONE, directly=True)):
        code = told.ask(marta).code
        assert called(there(told, code)) == ["U0PRIYA", "U0SAMLEIGH"]
        told.decide(priya, code)
        told.wait(code, State.ACTIVE)
        assert not there(told, code, "pproved by").buttons


def test_an_escalation_posts_the_card_anew_and_calls_only_whom_it_asks(told):
    marta, priya = told.person("marta"), told.person("priya")
    tiers = (ApproverGroup("Amara", people("amara")),)
    escalation = Escalation(timedelta(minutes=10), tiers)
    with told.flow(ORDERS_FLOW, notify=ALONE, escalation=escalation):
        code = told.ask(marta).code
        first = there(told, code)
        told.house.sandbox.advance(600)
        anew = told.until(
            lambda: (card := there(told, code)).ts != first.ts and card, "it was posted anew"
        )
        assert called(anew) == ["U0AMARA"]
        shrunk = told.until(
            lambda: "further down" in (one := first.refresh()).text and one, "the first shrank"
        )
        assert shrunk.buttons == []
        assert "A decision was asked for" in shrunk.text
        assert called(shrunk) == []
        anew.click("approve")
        assert not priya.wait_view("Approve access").submit().errors
        told.wait(code, State.ACTIVE)


CLOSED = [
    (DEPLOYS, "Latchkey is not in it. Write `/invite @Latchkey` there"),
    (NORTHGATE, "it is shared with another company"),
    (MOVE, "it is archived"),
    ("C0NOSUCHONE", "there is none with this id"),
]


@pytest.mark.parametrize(("channel", "why"), CLOSED)
def test_a_channel_that_takes_no_card_means_direct_messages_and_admins_are_told(told, channel, why):
    marta, priya, ines = (told.person(n) for n in ("marta", "priya", "ines"))
    with told.flow(ORDERS_FLOW, notify=Notify(ChannelId(channel), directly=False)):
        told.until(lambda: why in faults(told), "it was looked at")
        code = told.ask(marta).code
        told.decide(priya, code)
        told.wait(code, State.ACTIVE)
        said = ines.wait_message(channel, where=lambda raw: why in raw["text"])
        assert "Until it does, they are asked by direct messages." in said.text


def test_who_waits_is_asked_directly_once_the_channel_is_closed_and_there_again_later(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    with told.flow(ORDERS_FLOW, notify=ALONE):
        code = told.ask(marta).code
        there(told, code)
        priya.remove("app", ACCESS)
        told.house.sandbox.advance(60)
        told.card(sam, code, button="approve")
        told.decide(priya, code)
        told.wait(code, State.ACTIVE)
        sam.invite("app", ACCESS)
        told.house.sandbox.advance(60)
        told.until(lambda: not faults(told), "it takes cards again")
        again = told.ask(marta).code
        assert called(there(told, again)) == ["U0PRIYA", "U0SAMLEIGH"]
        assert not directly(priya, again)


def test_who_leaves_the_channel_is_asked_directly(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    with told.flow(ORDERS_FLOW, notify=ALONE):
        code = told.ask(marta).code
        there(told, code)
        sam.leave(ACCESS)
        told.house.sandbox.advance(60)
        assert told.card(sam, code, button="approve")
        assert not directly(priya, code)
        priya.invite("samleigh", ACCESS)


def test_a_channel_that_was_shared_since_it_was_looked_at_gets_no_card(told):
    marta, priya = told.person("marta"), told.person("priya")
    with told.flow(ORDERS_FLOW, notify=ALONE):
        there(told, told.ask(marta).code)  # it was looked at
        priya.invite("alex", ACCESS)
        code = told.ask(marta, path=ORDERS).code
        told.decide(priya, code)
        told.wait(code, State.ACTIVE)
        assert not [m for m in priya.messages(ACCESS) if code in m.text]
        assert "shared with another company" in faults(told)
        priya.remove("alex", ACCESS)


@pytest.mark.parametrize("code", ["invalid_auth", "fatal_error"])
def test_what_says_nothing_of_a_channel_leaves_it_as_it_was_seen(told, code):
    marta = told.person("marta")
    with told.flow(ORDERS_FLOW, notify=ALONE):
        there(told, told.ask(marta).code)
        sandbox = told.house.sandbox
        sandbox.fault("conversations.info", "slack_error", code=code)
        mark = sandbox.mark()
        sandbox.advance(60)
        sandbox.wait_journal(
            lambda e: e.get("method") == "conversations.info" and bool(e.get("fault")), since=mark
        )
        code = told.ask(marta, path=ORDERS).code
        assert called(there(told, code)) == ["U0PRIYA", "U0SAMLEIGH"]
        assert not faults(told)
