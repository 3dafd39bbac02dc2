"""Asked in a channel: whom its card calls, who is asked directly, what makes up for either."""

from dataclasses import replace

import pytest

from engine.channel import Channel, ChannelId, Notify
from engine.commands import Approve, Reject, Withdraw
from engine.directory import PersonId
from engine.flow import Escalation
from engine.outcome import Card, News, Tell, once
from engine.request import State
from tests.support.builders import BEN, BOTH, CAT, DAN, DAY, HOUR, Life, begun, flow, left, person

ROOM = ChannelId("C0ROOM")
ALONE = Notify(ROOM, directly=False)


def asked_in(channel: Channel | None, notify: Notify = ALONE, **flow_: object) -> Life:
    """Begin a request that BEN and CAT decide, of a flow with a channel."""
    of = flow(notify=notify, **flow_)
    made = begun(of)  # nobody has seen the channel
    again = Life(made.request, made.facts)
    again.request = made.request.with_(asks=(), state=State.PENDING)
    again.know(channel=channel)
    again.tick()
    return again


def room(*members: PersonId, why_not: str = "") -> Channel:
    slack = frozenset(f"U{member.upper()}" for member in members)
    return Channel(ROOM, "room", slack, why_not)


def directly(made: Life) -> set[PersonId]:
    return {t.to for t in made.tells if t.card is Card.APPROVAL and t.news is News.ASKED}


def posted(made: Life) -> list[set[str]]:
    """Return whom each posting in the channel calls."""
    return [set(t.detail.split()) for t in made.tells if t.card is Card.CHANNEL and t.news]


def test_who_is_in_the_channel_is_called_there_alone():
    made = asked_in(room(BEN, CAT))

    assert posted(made) == [{BEN, CAT}]
    assert directly(made) == set()
    assert made.request.deciders == {BEN, CAT}
    assert set(made.request.in_channel) == {BEN, CAT}


def test_who_is_not_in_it_is_asked_directly():
    made = asked_in(room(BEN))

    assert posted(made) == [{BEN}]
    assert directly(made) == {CAT}


def test_with_nobody_of_them_in_it_the_card_stands_there_all_the_same():
    made = asked_in(room())

    assert posted(made) == [set()]
    assert directly(made) == {BEN, CAT}


def test_both_calls_there_and_asks_directly():
    made = asked_in(room(BEN), replace(ALONE, directly=True))

    assert posted(made) == [{BEN}]
    assert directly(made) == {BEN, CAT}


@pytest.mark.parametrize("channel", [None, room(BEN, CAT, why_not="it is archived")])
def test_a_channel_that_takes_nothing_means_direct_messages_for_all(channel):
    made = asked_in(channel)

    assert posted(made) == []
    assert directly(made) == {BEN, CAT}
    assert made.request.channel is None


def test_once_it_takes_nothing_any_more_all_are_asked_directly_and_once():
    made = asked_in(room(BEN, CAT))
    made.tells.clear()

    made.know(channel=room(why_not="Latchkey is not in it"))
    made.tick()
    made.tick()

    assert [t.to for t in made.tells if t.news is News.ASKED] == [BEN, CAT]
    assert made.request.in_channel == ()


def test_who_leaves_it_is_asked_directly():
    made = asked_in(room(BEN, CAT))
    made.tells.clear()

    made.know(channel=room(CAT))
    made.tick()

    assert directly(made) == {BEN}
    assert posted(made) == []


def test_a_look_at_nothing_new_tells_nobody_anything():
    made = asked_in(room(BEN))
    made.tells.clear()

    made.tick()

    assert made.tells == []


def test_a_tier_is_called_alone():
    tier = BOTH.groups[1]
    assert tier.name == "Security"
    made = asked_in(room(BEN, CAT, DAN), escalation=Escalation(HOUR, (tier,)))
    made.tells.clear()

    made.tick(HOUR)

    assert posted(made) == [{DAN}]


def test_who_is_one_of_them_no_more_is_called_no_more():
    made = asked_in(room(BEN, CAT))
    made.tells.clear()

    made.know(left("ben", "dba"), person("bob", "eng", "dba"))
    made.tick()

    assert posted(made) == []
    assert Tell(ROOM, Card.CHANNEL) in made.tells
    assert directly(made) == {PersonId("bob")}


@pytest.mark.parametrize("command", [Approve(BEN), Reject(BEN, "no")])
def test_what_is_decided_changes_the_card_in_its_place(command):
    made = asked_in(room(BEN, CAT))
    made.tells.clear()

    made.do(command)

    assert [t for t in made.tells if t.card is Card.CHANNEL] == [Tell(ROOM, Card.CHANNEL)]
    assert directly(made) == set()


def test_of_two_postings_at_once_all_are_called():
    first, then = (Tell(ROOM, Card.CHANNEL, detail=str(who), news=News.ASKED) for who in (BEN, CAT))

    (told,) = once([Tell(ROOM, Card.CHANNEL), first, then, Tell(ROOM, Card.CHANNEL)])

    assert (told.news, told.detail.split()) == (News.ASKED, [BEN, CAT])


def test_once_an_approval_of_what_starts_later_is_taken_back_they_are_called_there_again():
    made = asked_in(room(BEN, CAT), start_later=7 * DAY)
    made.request = made.request.with_(starts_at=made.now + DAY)
    made.do(Approve(BEN))
    assert made.request.state is State.SCHEDULED
    made.tells.clear()

    made.do(Withdraw(BEN))

    assert made.request.state is State.PENDING
    assert posted(made) == [{CAT}]
    assert directly(made) == set()
