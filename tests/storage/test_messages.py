"""Messages: born leased, sent urgent first, bumped while under way, in doubt after a death."""

from datetime import timedelta, timezone

import pytest
from sqlalchemy import update
from sqlmodel import col

from engine import alarms
from engine.commands import Cancel, Return
from engine.outcome import Card, News, Tell
from storage import apply, cards, messages
from storage.cards import Wanted
from storage.messages import LOOK_AFTER, Later, Posted, Shown
from storage.tables import MessageRow
from tests.support.stored import ADA, ALICE, DAN, DORA, HOUR, WRITING, all_shown

SECOND = timedelta(seconds=1)


def ready(stored, **more):
    stored.meanwhile()
    found = messages.ready(stored.database, stored.instance, stored.now, **more)
    return found.mine, found.free


def claim(stored, ids):
    return stored.write(lambda tx, _: messages.claim(tx, stored.instance, ids, stored.now))


def settle(stored, *results) -> None:
    stored.write(lambda tx, _: messages.settle(tx, stored.instance, results, stored.now))


def rows(stored) -> dict[tuple[str, str], MessageRow]:
    return {(r.recipient, r.kind): r for r in stored.rows(MessageRow)}


def one(stored, recipient=ALICE, kind="request"):
    """Return the parcel of one card, which this process has leased."""
    mine, _ = ready(stored)
    return next(p for p in mine if (p.recipient, p.kind) == (recipient, kind))


def test_message_is_sent_by_who_wrote_it_without_a_claim(stored, other):
    request = stored.submit(flow=WRITING)

    mine, free = ready(stored)

    assert free == []
    assert [(p.recipient, p.kind) for p in mine] == [
        (DAN, Card.APPROVAL),
        (DORA, Card.APPROVAL),
        (ALICE, Card.REQUEST),
    ]
    assert {(p.request, p.version, p.live, p.doubtful) for p in mine} == {
        (request.id, 1, None, None)
    }
    assert ready(other) == ([], [])


def test_message_of_a_process_without_a_number_is_anybodys(stored, other):
    stored.database.instance = None
    stored.submit()

    mine, free = ready(other)
    assert mine == []
    (parcel,) = claim(other, free)

    assert parcel.recipient == ALICE
    assert parcel.doubtful is None
    assert ready(stored) == ([], [])


def test_urgent_ones_go_first_and_the_rest_in_order(stored):
    now = stored.now
    told = [
        (Card.NOTICE, None),
        (Card.REQUEST, None),
        (Card.REQUEST, News.OFFER),
        (Card.APPROVAL, News.ASKED),
        (Card.NOTICE, None),
    ]
    for n, (card, news) in enumerate(told):
        tells = [Tell(ALICE, card, f"k{n}", news=news)]
        stored.write(lambda tx, _, tells=tells, n=n: apply.tell(tx, tells, now - n * SECOND))

    mine, _ = ready(stored)

    assert [p.key for p in mine] == ["k3", "k2", "k1", "k0", "k4"]
    assert [p.key for p in ready(stored, limit=2)[0]] == ["k3", "k2"]
    assert [p.key for p in ready(stored, busy=[mine[0].id])[0]] == ["k2", "k1", "k0", "k4"]


def test_shown_message_is_done(stored):
    stored.submit()
    settle(stored, all_shown(one(stored), ts="17.1"))

    row = rows(stored)[ALICE, "request"]
    assert (row.shown, row.channel, row.ts, row.lease) == (1, "D1", "17.1", None)
    assert ready(stored) == ([], [])
    assert claim(stored, [row.id]) == []


def test_tries_are_counted_anew_once_it_is_shown(stored):
    stored.submit()
    first = one(stored)
    settle(stored, Later(first, stored.now))

    second = one(stored)
    settle(stored, all_shown(second, ts="17.1"))

    assert (first.attempts, second.attempts) == (0, 1)
    assert rows(stored)[ALICE, "request"].attempts == 0


def test_tries_are_counted_while_an_earlier_card_is_left_to_be_shrunk(stored):
    """That the pauses grow there, too, no test saw."""
    stored.submit()
    earlier = (Posted("D1", "16.1", News.REQUESTED),)
    tried = []
    for _ in range(3):
        parcel = one(stored)
        tried.append(parcel.attempts)
        settle(stored, Shown(parcel, Posted("D1", "17.1"), 1, earlier, stored.now))

    assert tried == [0, 1, 2]


def test_earlier_cards_that_cannot_be_read_are_told_and_the_card_is_sent(stored):
    """That somebody is told, no test saw."""
    stored.submit()
    with stored.database.write() as tx:
        tx.execute(update(MessageRow).values(earlier=[{"channel": "D1"}]))

    assert one(stored).earlier == ()
    sentences = {finding.sentence for finding in stored.database.unread.take()}
    (row,) = stored.rows(MessageRow)
    assert sentences == {alarms.unread_message(row.id, ALICE)}


def test_change_after_it_was_shown_updates_the_same_message(stored):
    request = stored.submit(flow=WRITING)
    stored.send()

    stored.do(request, Cancel(ALICE))

    parcel = one(stored)
    assert (parcel.version, parcel.unposted, parcel.doubtful) == (2, False, None)
    assert parcel.live == Posted(f"D-{ALICE}", rows(stored)[ALICE, "request"].ts, News.REQUESTED)


def test_change_while_it_is_sent_keeps_it_due(stored):
    request = stored.submit(flow=WRITING)
    parcel = one(stored)
    stored.do(request, Cancel(ALICE))

    settle(stored, all_shown(parcel, ts="17.1"))

    again = one(stored)
    assert (again.version, again.live and again.live.ts) == (2, "17.1")
    settle(stored, all_shown(again, ts="17.1"))
    assert rows(stored)[ALICE, "request"].lease is None


def test_ten_changes_become_one_update(stored):
    stored.submit(flow=WRITING)
    stored.send()
    request = stored.again(stored.submit("read on shop.customers", flow=WRITING))
    card = [Wanted(request.id, ALICE, Tell(ALICE, Card.REQUEST))]
    for _ in range(5):
        stored.write(lambda tx, _: cards.want(tx, card, stored.now))

    assert [p.version for p in ready(stored)[0] if p.recipient == ALICE] == [6]


def test_card_that_is_only_to_be_brought_up_to_date_is_not_posted(stored):
    card = [Wanted(0, "", Tell(DAN, Card.APPROVAL))]

    stored.write(lambda tx, _: cards.want(tx, card, stored.now))

    assert rows(stored) == {}


def test_copy_that_was_never_posted_is_not_made_to_say_that_it_is_over(stored):
    """F41: everybody who might have been asked was told of the end.

    Who was never asked hears nothing; the cards of who was are all brought up to date.
    """
    request = stored.submit(flow=WRITING)
    stored.send()
    stored.approve(request)

    assert sorted(p.recipient for p in ready(stored)[0]) == [ALICE, DAN, DORA]
    assert (ADA, "approval") not in rows(stored)


def test_later_waits_and_keeps_the_lease(stored, other):
    stored.submit()
    settle(stored, Later(one(stored), stored.now + 30 * SECOND))

    assert ready(stored) == ([], [])
    stored.pass_(30 * SECOND)
    parcel = one(stored)
    assert (parcel.attempts, parcel.doubtful) == (1, None)
    other.now = stored.now
    assert ready(other) == ([], [])


def test_doubt_waits_until_it_would_show(stored):
    stored.submit()
    settle(stored, Later(one(stored), stored.now, doubtful=True))

    stored.pass_(LOOK_AFTER - SECOND)
    assert ready(stored) == ([], [])
    stored.pass_(SECOND)
    assert one(stored).doubtful == stored.now - LOOK_AFTER


def test_second_doubt_waits_as_long_as_the_first(stored):
    """The wait ran from the first attempt: what a second one posted was not seen yet, and it was
    posted a third time."""
    stored.submit()
    settle(stored, Later(one(stored), stored.now, doubtful=True))
    stored.pass_(LOOK_AFTER)

    settle(stored, Later(one(stored), stored.now + SECOND, doubtful=True))

    stored.pass_(2 * SECOND)
    assert ready(stored) == ([], [])
    stored.pass_(SECOND)
    assert one(stored).attempts == 2


def test_doubt_about_an_update_is_none(stored):
    """To update twice is to update once."""
    request = stored.submit(flow=WRITING)
    stored.send()
    stored.do(request, Cancel(ALICE))

    settle(stored, Later(one(stored), stored.now, doubtful=True))

    assert one(stored).doubtful is None


def test_message_that_cannot_be_changed_any_more_is_posted_anew(stored):
    request = stored.submit(flow=WRITING)
    stored.send()
    stored.do(request, Cancel(ALICE))

    settle(stored, Later(one(stored), stored.now, anew=True))

    parcel = one(stored)
    assert (parcel.live, parcel.doubtful, parcel.version) == (None, None, 2)
    assert parcel.posting == 2  # so that the one that cannot be changed is not found again


def test_message_of_a_dead_process_is_doubtful_and_waits(stored, other):
    stored.submit()
    stored.dies()
    mine, free = ready(other)
    assert mine == []

    assert claim(other, free) == []
    other.pass_(LOOK_AFTER - SECOND)
    assert ready(other) == ([], [])
    other.pass_(SECOND)

    (parcel,) = ready(other)[0]
    assert parcel.doubtful == other.now - LOOK_AFTER


def test_posted_message_of_a_dead_process_is_updated_at_once(stored, other):
    request = stored.submit(flow=WRITING)
    stored.send()
    stored.do(request, Cancel(ALICE))
    stored.dies()

    claimed = claim(other, ready(other)[1])

    assert {p.recipient for p in claimed} == {ALICE, DAN, DORA}
    assert {p.doubtful for p in claimed} == {None}


def test_doubt_of_a_dead_process_begins_at_its_death(stored, other):
    """A doubt kept the time of the first attempt: what the dead process had posted since was not
    in the history yet when it was looked for, and was posted again.
    """
    stored.submit()
    settle(stored, Later(one(stored), stored.now, doubtful=True))
    stored.dies()
    other.pass_(LOOK_AFTER)

    assert claim(other, ready(other)[1]) == []
    assert ready(other) == ([], [])
    other.pass_(LOOK_AFTER)

    (parcel,) = ready(other)[0]
    assert parcel.doubtful == other.now - LOOK_AFTER


def test_moved_clock_does_not_shorten_the_doubt(stored):
    """Time was moved on by a minute: the history was read before it could show what was posted."""
    stored.submit()
    settle(stored, Later(one(stored), stored.now, doubtful=True))
    real = stored.now + SECOND
    stored.pass_(HOUR)

    assert ready(stored, real=real) == ([], [])
    assert len(ready(stored, real=real + LOOK_AFTER)[0]) == 1


def test_claimed_message_is_claimed_once(stored, other):
    stored.database.instance = None
    stored.submit()
    _, free = ready(other)

    assert len(claim(other, free)) == 1
    assert claim(stored, free) == []


def test_settling_without_the_lease_changes_nothing(stored, other):
    stored.submit()
    parcel = one(stored)
    stored.dies()
    claim(other, ready(other)[1])
    before = rows(stored)[ALICE, "request"]

    settle(stored, all_shown(parcel, ts="17.1"))
    settle(stored, Later(parcel, stored.now, anew=True))

    assert rows(stored)[ALICE, "request"] == before


def test_shown_and_later_are_settled_together(stored):
    stored.submit(flow=WRITING)
    mine, _ = ready(stored)

    settle(
        stored,
        *(all_shown(p, ts="1.1") for p in mine[:1]),
        *(Later(p, stored.now) for p in mine[1:]),
    )

    left, _ = ready(stored)
    assert [p.id for p in left] == [p.id for p in mine[1:]]
    assert {p.attempts for p in left} == {1}


def test_card_that_has_nobody_to_see_it_is_done(stored):
    stored.submit()
    settle(stored, Shown(one(stored), None, 0))

    row = rows(stored)[ALICE, "request"]
    assert (row.shown, row.ts) == (1, None)
    assert ready(stored) == ([], [])


def test_sentence_is_said_once(stored):
    tells = [Tell(ADA, Card.ALARM, "k", "It is down.")]
    for _ in range(2):
        stored.write(lambda tx, _: apply.tell(tx, tells, stored.now))
        stored.send()

    assert [(r.detail, r.wanted) for r in stored.rows(MessageRow)] == [("It is down.", 1)]


def test_card_of_a_kind_not_known_yet_stops_nobody(stored):
    """During an upgrade a newer process may write kinds that this one cannot draw."""
    stored.submit()
    tells = [Tell(ALICE, Card.NOTICE, "k", "?")]
    stored.write(lambda tx, _: apply.tell(tx, tells, stored.now))
    with stored.database.write() as tx:
        unknown = update(MessageRow).where(col(MessageRow.kind) == "notice")
        tx.execute(unknown.values(kind="poll", priority=0))

    assert [p.kind for p in ready(stored)[0]] == [Card.REQUEST]


@pytest.mark.parametrize("known", [{}, {ALICE: "D-9"}])
def test_direct_messages_are_remembered(stored, known):
    stored.submit()
    stored.write(lambda tx, _: messages.remember_channels(tx, list(known.items())))

    found = messages.ready(stored.database, stored.instance, stored.now)
    assert found.direct == known


def test_what_is_ready_comes_with_its_requests(stored):
    request = stored.submit()
    found = messages.ready(stored.database, stored.instance, stored.now)
    assert found.requests == {request.id: stored.again(request)}
    assert found.epoch == stored.company().epoch


def test_times_in_other_zones_mean_the_same_moment(stored, other):
    stored.submit()
    stored.dies()
    other.now = other.now.astimezone(timezone(timedelta(hours=9)))

    claim(other, ready(other)[1])

    assert rows(stored)[ALICE, "request"].attempted_at == stored.now


def test_end_of_a_request_shows_on_every_card(stored):
    request = stored.submit()
    stored.converge()
    stored.send()
    stored.do(request, Return(ALICE))
    stored.converge()

    assert stored.send() == [f"{ALICE}/request"]
