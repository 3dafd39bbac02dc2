"""Channels, taken in as they were seen: what that changes, whom it wakes, whom it tells."""

import pytest

from engine.channel import UNREAD, UNSEEN, Channel, ChannelId, Notify
from engine.outcome import Card
from engine.request import State
from storage import sync
from storage.jobs import JobKind
from storage.tables import AuditRow, ChannelRow, JobRow, MessageRow
from tests.support.stored import ALICE, DAN, DORA, MINUTE, reading, writing

ROOM = ChannelId("C0ROOM")


@pytest.fixture
def asks_there(stored):
    """Have approvers of writing asked in the channel."""
    of = writing(notify=Notify(ROOM, directly=False))
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (of, True)], stored.now))
    return stored


@pytest.fixture
def both_in(stored):
    people = stored.company().directory.people
    return Channel(ROOM, "room", frozenset({people[DAN].slack, people[DORA].slack}))


def see(stored, channel):
    named = {f.id: f.name for f in stored.company().flows.values() if f.revision.notify.channel}
    stored.write(lambda tx, _: sync.channel(tx, channel, named, stored.now))
    stored.wake_touched()
    stored.tick()


def ask(stored):
    return stored.submit("write on shop.orders", by=ALICE, flow="Writing")


def told(stored, request):
    """Return who has which card of a request."""
    rows = [r for r in stored.rows(MessageRow) if r.request_id == request.id]
    return {(r.recipient, r.kind) for r in rows if r.kind != Card.REQUEST}


def test_a_flow_with_a_channel_has_it_looked_at(asks_there):
    jobs = [r for r in asks_there.rows(JobRow) if r.kind == JobKind.CHANNEL]

    assert [(r.subject, r.due_at) for r in jobs] == [(ROOM, asks_there.now)]


def test_a_channel_that_was_seen_is_known_and_is_where_they_are_asked(asks_there, both_in):
    assert asks_there.company().channels == {}
    see(asks_there, both_in)
    assert asks_there.company().channels == {ROOM: both_in}

    assert told(asks_there, ask(asks_there)) == {(ROOM, Card.CHANNEL)}


def test_before_it_was_seen_they_are_asked_directly(asks_there):
    assert told(asks_there, ask(asks_there)) == {(DAN, Card.APPROVAL), (DORA, Card.APPROVAL)}


def test_who_waits_hears_of_it_where_the_channel_is_closed(asks_there, both_in):
    see(asks_there, both_in)
    request = ask(asks_there)

    see(asks_there, Channel(ROOM, "room", why_not="it is archived"))

    directly = {(DAN, Card.APPROVAL), (DORA, Card.APPROVAL)}
    assert told(asks_there, request) == {(ROOM, Card.CHANNEL), *directly}
    assert asks_there.again(request).state is State.PENDING


def test_the_admins_are_told_why_once_and_again_of_another_reason(asks_there):
    for why in ("it is archived", "it is archived", "", "Latchkey is not in it", UNSEEN):
        asks_there.pass_(MINUTE)
        see(asks_there, Channel(ROOM, "room", why_not=why))

    said = [r.detail for r in asks_there.rows(MessageRow) if r.kind == Card.ALARM]
    assert {s.partition(" takes no card: ")[2].partition(".")[0] for s in said} == {
        "it is archived",
        "Latchkey is not in it",
    }
    assert all("#room (C0ROOM)" in s and "“Writing”" in s for s in said)


def test_what_is_seen_again_changes_nothing(asks_there, both_in):
    see(asks_there, both_in)
    epoch, lines = asks_there.company().epoch, len(asks_there.rows(AuditRow))

    see(asks_there, both_in)

    assert (asks_there.company().epoch, len(asks_there.rows(AuditRow))) == (epoch, lines)


def test_what_is_stored_of_a_channel_and_cannot_be_read_takes_no_card(asks_there, both_in):
    see(asks_there, both_in)
    asks_there.write(lambda tx, _: setattr(tx.get(ChannelRow, ROOM), "body", {"members": 7}))

    assert asks_there.company().channels[ROOM] == Channel(ROOM, why_not=UNREAD)
    assert told(asks_there, ask(asks_there)) == {(DAN, Card.APPROVAL), (DORA, Card.APPROVAL)}
