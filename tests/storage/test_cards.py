"""Requestors take turns: what one of them has to be sent does not delay another's cards."""

from itertools import count

import pytest

from engine.commands import Cancel
from engine.outcome import Card, News, Tell
from storage import apply, cards, messages
from storage.cards import Wanted
from tests.support.stored import ALICE, BOB, DAN, DORA, WRITING, all_shown

MANY = 3000
_numbers = count(1000)


def want(stored, requestor, many=1, card=Card.APPROVAL):
    """Have cards about a request of somebody's wanted, and return their ids in order."""
    request = next(_numbers)
    news = News.ASKED if card is Card.APPROVAL else None
    tells = (Tell(f"{request}/{n}", card, news=news) for n in range(many))
    wanted = [Wanted(request, requestor, tell) for tell in tells]
    stored.write(lambda tx, _: cards.want(tx, wanted, stored.now))
    return request


def next_ones(stored, limit=24):
    return messages.ready(stored.database, stored.instance, stored.now, limit=limit).mine


def send(stored, limit=24):
    """Send what is next; return the requests that it is about."""
    found = next_ones(stored, limit)
    shown = [all_shown(p) for p in found]
    stored.write(lambda tx, _: messages.settle(tx, stored.instance, shown, stored.now))
    return [p.request for p in found]


def test_one_card_of_another_goes_among_the_first_of_thousands(stored):
    """The cards of whoever submitted much went first, all of them."""
    flood = want(stored, ALICE, MANY)
    send(stored)

    request = stored.submit(by=BOB, flow=WRITING)

    asked = [p for p in next_ones(stored, 5) if p.request == request.id]
    assert sorted(p.recipient for p in asked) == [DAN, DORA]
    assert send(stored).count(flood) == 24 - len(asked)


def test_who_has_much_to_be_sent_goes_on_beside_any_number_of_newcomers(stored):
    """Were newcomers always first, one a turn would hold up what waits for ever."""
    flood = want(stored, ALICE, 30)
    send(stored, 2)
    sent = []
    for n in range(60):
        want(stored, f"newcomer-{n}")
        sent += send(stored, 2)

    assert sent.count(flood) == 28
    assert len(sent) - sent.count(flood) == 60


def test_two_who_have_much_to_be_sent_take_turns(stored):
    first, second = want(stored, ALICE, 100), want(stored, BOB, 100)

    sent = send(stored, 20)

    assert abs(sent.count(first) - sent.count(second)) <= 2


def test_cards_that_are_to_change_overtake_nobodys(stored):
    """Whoever cancelled all that they had asked for had every approver's card changed first."""
    whats = ("read on shop.orders", "write on shop.orders", "read on shop.customers")
    asked = [stored.submit(what, flow=WRITING) for what in whats]
    while send(stored):
        pass
    waits = stored.submit("read on ledger.entries", by=BOB, flow=WRITING)

    for request in asked:
        stored.do(request, Cancel(ALICE))

    sent = [p.request for p in next_ones(stored) if p.kind is Card.APPROVAL]
    assert sent[0] == waits.id
    assert sent.index(waits.id, 1) <= 3
    after = stored.submit("edit on handbook", by=DORA, flow=WRITING)
    sent = [p.request for p in next_ones(stored) if p.kind is Card.APPROVAL]
    assert sent.index(after.id) <= 4


def test_a_card_that_is_changed_while_it_waits_keeps_its_turn(stored):
    want(stored, ALICE, 10)
    mine = [Wanted(1, BOB, Tell(DAN, Card.APPROVAL, news=News.ASKED))]
    before = []
    for _ in range(5):
        stored.write(lambda tx, _: cards.want(tx, mine, stored.now))
        before.append([p.recipient for p in next_ones(stored)].index(DAN))
        want(stored, ALICE)

    assert len(set(before)) == 1


def test_each_priority_has_turns_of_its_own(stored):
    want(stored, ALICE, 100)
    want(stored, BOB, 10, Card.REQUEST)

    mine = want(stored, ALICE, 1, Card.REQUEST)

    later = [p.request for p in next_ones(stored, 200) if p.kind is Card.REQUEST]
    assert later.index(mine) <= 2


def test_sentences_that_belong_to_no_request_take_turns_with_the_rest(stored):
    tells = [Tell(DAN, Card.ALARM, f"alarm/{n}") for n in range(100)]
    stored.write(lambda tx, _: apply.tell(tx, tells, stored.now))

    mine = want(stored, ALICE)

    assert mine in [p.request for p in next_ones(stored, 3)]


@pytest.mark.parametrize("refused", [1, 150])
def test_what_slack_does_not_take_for_now_holds_up_no_turn(stored, refused):
    """A round that is not over is not the one that is being sent, if what is left has to wait."""
    want(stored, ALICE, refused)
    later = [
        messages.Later(parcel, stored.now + messages.LOOK_AFTER * 100)
        for parcel in next_ones(stored, refused)
    ]
    stored.write(lambda tx, _: messages.settle(tx, stored.instance, later, stored.now))
    flood = want(stored, BOB, 200)
    send(stored, 160)

    mine = want(stored, DORA)

    assert mine in [p.request for p in next_ones(stored, 3)]
    for n in range(80):
        want(stored, f"newcomer-{n}")
        send(stored, 2)
    assert flood not in [p.request for p in next_ones(stored)]


def called(stored, who="", news=News.ASKED):
    """Have the card of a channel wanted, calling somebody; return whom it calls when it is sent."""
    tell = Tell("C0ROOM", Card.CHANNEL, detail=who, news=news)
    stored.write(lambda tx, _: cards.want(tx, [Wanted(7, BOB, tell)], stored.now))
    (parcel,) = [p for p in next_ones(stored) if p.kind is Card.CHANNEL]
    return parcel


def test_a_card_that_calls_somebody_is_posted_anew_within_a_second_too(stored):
    """Slack tells somebody of a message that mentions them when it is posted, and not later."""
    first = called(stored, "dan")
    stored.write(lambda tx, _: messages.settle(tx, 1, [all_shown(first)], stored.now))
    anew = called(stored, "dora")

    assert (first.detail, anew.detail) == ("dan", "dora")
    assert anew.posting > anew.posted


def test_who_was_not_called_yet_is_called_with_those_who_come_after(stored):
    called(stored, "dan")

    assert called(stored, "dora").detail.split() == ["dan", "dora"]
    assert called(stored, news=None).detail.split() == ["dan", "dora"]
