"""What a comparison with a real system is about, and what it makes of a finding."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine import reconcile
from engine.holdings import Wishes, target_of
from engine.port import Outcome, Presence
from engine.reconcile import Sight
from engine.request import RequestId, State
from tests.support.builders import HOUR, MINUTE, NOW, life
from tests.support.one_account import INVENTORY, MINE, account

HELD, ABSENT = Outcome(Presence.HELD), Outcome(Presence.ABSENT)
T1, T2 = (target_of(INVENTORY[e]) for e in (1, 2))


def request(state: State, *entitlements: int, number: int = 1):
    return life(state, None, *(entitlements or (1,)), id=RequestId(number)).request


def looked(*live, past=(), restored=None) -> reconcile.Look:
    known = reconcile.ledger(Wishes(MINE, live), past, restored)
    return reconcile.look(account(), known, INVENTORY, NOW)


def found(look, sight, before=None) -> tuple[dict[str, str], list[str]]:
    """Return what is remembered, and what was said of what is new."""
    remembered = reconcile.remembered(look, sight, before or {})
    news = reconcile.findings(
        look, sight, before=before or {}, found=remembered, who="Ann", now=NOW
    )
    return remembered, [f.said.sentence for f in news]


def test_what_is_held_is_looked_for_and_what_ended_must_be_gone():
    look = looked(request(State.ACTIVE, 1), past=[request(State.RETURNED, 2, number=2)])

    assert (look.given, look.compared) == ([T1], [T1, T2])
    assert look.ended == {2}
    assert look.remaining == HOUR


def test_what_another_request_wants_has_not_ended():
    look = looked(request(State.ACTIVE, 1), past=[request(State.RETURNED, 1, number=2)])

    assert look.ended == set()


def test_what_was_there_before_is_nobodys_to_take_away():
    past = request(State.RETURNED, 1)
    (grant,) = past.grants
    look = looked(past=[past, past.with_(id=RequestId(2), grants=(replace(grant, standing=True),))])

    assert (look.ended, look.standing) == (set(), {1})
    assert look.explained(Sight({})) == [T1]


@pytest.mark.parametrize(("after", "ended"), [(-MINUTE, {1}), (timedelta(), set()), (HOUR, set())])
def test_what_ended_before_the_database_was_restored_may_be_somebodys(after, ended):
    past = request(State.RETURNED, 1)

    look = looked(past=[past], restored=past.ended.at + after)

    assert look.ended == ended


def test_what_was_never_begun_is_not_looked_for():
    assert looked(past=[request(State.CANCELLED, 1)]).compared == []


def test_a_removal_gives_again_what_is_held_and_takes_what_was_seen():
    look = looked(request(State.ACTIVE, 1), past=[request(State.RETURNED, 2, number=2)])

    assert look.removal({T1: HELD, T2: ABSENT}) is None
    order = look.removal({T1: HELD, T2: HELD})

    assert (order.wanted, order.unwanted, order.remaining) == ([T1], [T2], HOUR)


def test_what_vanished_is_told_once_and_again_after_it_was_there():
    look = looked(request(State.ACTIVE, 1))
    gone, here = Sight({T1: ABSENT}, unexplained=()), Sight({T1: HELD}, unexplained=())

    once, said = found(look, gone)
    assert ["Somebody else took it away" in s for s in said] == [True]
    assert found(look, gone, once) == (once, [])
    again, said = found(look, here, once)
    assert (again, said) == ({}, [])

    assert len(found(look, gone, again)[1]) == 1


def test_each_removal_is_told_and_what_stays_is_told_once():
    look = looked(past=[request(State.RETURNED, 1)])
    removed = Sight({T1: HELD}, {T1: ABSENT}, {T1: ABSENT}, unexplained=())
    stays = Sight({T1: HELD}, {T1: HELD}, {T1: HELD}, unexplained=())

    once, said = found(look, removed)
    assert "It was taken away" in said[0]
    assert len(found(look, removed, once)[1]) == 1
    once, said = found(look, stays)
    assert "cannot be taken away" in said[0]
    assert found(look, stays, once)[1] == []
    assert not stays.settled


def test_what_somebody_else_gave_too_is_not_called_taken_away():
    look = looked(past=[request(State.RETURNED, 1)])

    assert found(look, Sight({T1: HELD}, {T1: ABSENT}, {T1: HELD}, unexplained=())) == ({}, [])


def test_what_nobody_explains_is_named_at_once_and_remembered_while_nobody_looks():
    look = looked(request(State.ACTIVE, 1))
    words = tuple(f"read on t{n}" for n in range(25))

    once, (said,) = found(look, Sight({T1: HELD}, unexplained=words))
    assert said.startswith("Ann has, as lk_ann, access that is not through Latchkey: read on t0;")
    assert "read on t19; and 5 more. It was left as it is." in said

    assert found(look, Sight({T1: HELD}), once) == (once, [])
    assert found(look, Sight({T1: HELD}, unexplained=words), once) == (once, [])


def test_requests_are_told_of_what_is_left_out_by_now_and_of_nothing_else():
    held = request(State.ACTIVE, 1)
    look, part = looked(held), Outcome(Presence.HELD, left_out="two tables")

    told = list(reconcile.observations(look, Sight({T1: part}), Wishes(MINE, [held])))
    assert [(id_, list(o.outcomes.values()), o.newest) for id_, o in told] == [(1, [part], False)]

    assert not list(reconcile.observations(look, Sight({T1: HELD}), Wishes(MINE, [held])))


def test_what_was_left_out_already_is_told_no_request_again():
    held = request(State.ACTIVE, 1)
    held = held.with_(grants=tuple(replace(g, left_out="two tables") for g in held.grants))
    part, whole = Outcome(Presence.HELD, left_out="two tables"), HELD

    def told(seen):
        return list(reconcile.observations(looked(held), Sight({T1: seen}), Wishes(MINE, [held])))

    assert not told(part)
    assert [list(o.outcomes.values()) for _, o in told(whole)] == [[whole]]


def test_a_stranger_is_a_login_that_the_ledger_does_not_know():
    found = reconcile.strangers("pg", ["lk_b", "lk_a", "lk_ann"], ["lk_ann"])

    assert [f.entry.detail["login"] for f in found] == ["lk_a", "lk_b"]
    assert [f.said.key for f in found] == ["stranger/pg/lk_a", "stranger/pg/lk_b"]
