"""What people told the administrators that they want: how much of it, and in which words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.inventory import ResourceId
from engine.outcome import Code
from engine.wishes import MOST_OF_ONE, Wish, in_words, not_taken, wanted
from tests.support.builders import ANN, BEN, BOB, CAT, NOW

ONE = Wish(ANN, "pay", "ledger/payments", "INC-42", NOW, ResourceId(7))
MINUTE = timedelta(minutes=1)


def wish(number: int, **values) -> Wish:
    return replace(ONE, **{"called": f"t{number}", "resource": ResourceId(number)} | values)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, None),
        ({"called": "", "resource": None}, Code.NOTHING_SELECTED),
        ({"called": "\u200b", "resource": None}, Code.NOTHING_SELECTED),
        ({"reason": ""}, Code.JUSTIFICATION_NEEDED),
        ({"reason": " \u200b\n"}, Code.JUSTIFICATION_NEEDED),
        ({"reason": "x" * 1000}, None),
        ({"reason": "x" * 1001}, Code.TEXT_TOO_LONG),
    ],
)
def test_a_wish_says_what_and_why(values, code):
    refusal = not_taken(replace(ONE, **values), [])

    assert (refusal.code if refusal else None) is code


def test_one_person_has_so_many_wishes_and_may_say_each_of_them_again():
    full = [wish(n) for n in range(MOST_OF_ONE)]

    assert not_taken(wish(99), full[1:]) is None
    assert not_taken(wish(3, reason="again"), full) is None
    refusal = not_taken(wish(99), full)
    assert refusal is not None
    assert refusal.code is Code.TOO_MANY_OPEN
    assert "You have told the administrators of 10 things" in refusal.sentence


def test_words_are_the_same_whatever_their_case_and_spaces():
    words = replace(ONE, resource=None, called="Pay  ROLL")

    assert words.about == replace(words, called="pay roll").about
    assert words.about != ONE.about


def test_what_most_people_want_comes_first():
    wishes = [
        wish(1, called="B"),
        wish(2),
        wish(2, person=BOB, at=NOW + MINUTE, reason="newer"),
        wish(3, called="A"),
    ]

    things = wanted(wishes)

    assert [thing.said for thing in things] == [
        "2 people asked for t2",
        "1 person asked for A",
        "1 person asked for B",
    ]
    assert [w.reason for w in things[0].wishes] == ["newer", "INC-42"]


def test_the_message_has_a_line_for_each_thing_with_the_newest_reasons():
    people = [ANN, BOB, BEN, CAT]
    wishes = [
        replace(ONE, person=who, reason=f"reason\n{n}", at=NOW + n * MINUTE)
        for n, who in enumerate(people)
    ]

    assert in_words(wanted(wishes)) == (
        "What people cannot have, and asked for:\n"
        "• 4 people asked for ledger/payments: “reason 3”, “reason 2”, “reason 1”, and 1 more"
    )


def test_of_many_things_the_rest_is_counted_and_long_reasons_are_cut():
    said = in_words(wanted([wish(n, reason="x" * 500) for n in range(25)])).split("\n")

    assert len(said) == 22
    assert said[-1] == "• and 5 more: latchkey wishes"
    assert len(said[1]) < 150
