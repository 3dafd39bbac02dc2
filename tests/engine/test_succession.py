"""Who is who, where people are listed under other ids than the ones known."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.directory import KnownPerson, Person, PersonId, PersonStatus
from engine.succession import (
    Succession,
    SuccessionStatus,
    as_known,
    find,
    known_as,
    own_id,
    told,
)

ANN, ANNA = PersonId("a"), PersonId("e-a")


def listed(id_, email, name="Ann", *, here=True) -> Person:
    return Person(
        PersonId(id_), email, name, PersonStatus.ACTIVE if here else PersonStatus.INACTIVE
    )


def known(id_, email, name="Ann", *, active=True, successor=None) -> KnownPerson:
    return KnownPerson(PersonId(id_), email, name, active, successor)


def found(those, people) -> list[Succession]:
    stored = {one.id: listed(one.id, one.email, one.name, here=one.active) for one in those}
    return find(those, people, stored.__getitem__)


def test_who_has_a_new_id_goes_on_under_the_known_one():
    (one,) = found([known("a", "ann@x.example")], [listed("e-a", "Ann@x.example", "Ann B.")])

    assert (one.old, one.new, one.status) == (ANN, ANNA, SuccessionStatus.WAITS)
    assert str(one) == "Ann, now Ann B. (a → e-a)"
    assert known_as([one]) == {ANNA: ANN}


def test_who_is_known_and_listed_under_one_id_is_nobody_new():
    assert found([known("a", "ann@x.example")], [listed("a", "ann@x.example", "Ann B.")]) == []


def test_of_two_who_had_the_address_it_is_who_is_still_there():
    those = [known("o", "ann@x.example", "Old Ann", active=False), known("a", "ann@x.example")]

    (one,) = found(those, [listed("e-a", "ann@x.example")])

    assert (one.old, one.new, one.status) == (ANN, ANNA, SuccessionStatus.WAITS)


def test_two_people_who_swapped_their_addresses_stay_as_they_are():
    those = [known("a", "1@x.example", "Ann"), known("b", "2@x.example", "Ben")]
    people = [listed("a", "2@x.example", "Ann"), listed("b", "1@x.example", "Ben")]

    here = found(those, people)

    assert {s.status for s in here} == {SuccessionStatus.HELD}
    assert {p.id: p.email for p in as_known(people, here)} == {
        "a": "1@x.example",
        "b": "2@x.example",
    }


PAIR = Succession(ANN, ANNA, "ann@x.example", "Ann", "Ann", SuccessionStatus.WAITS)
GONE = Succession(ANN, ANNA, "ann@x.example", "Ann", "Ann", SuccessionStatus.LEFT)
KEPT = Succession(ANN, ANNA, "ann@x.example", "Ann", "Ann", SuccessionStatus.KEPT)
MINE = known("a", "ann@x.example")


@pytest.mark.parametrize(
    ("pair", "old", "new", "fits"),
    [
        (PAIR, MINE, None, True),
        (PAIR, None, None, False),
        (PAIR, known("a", "other@x.example"), None, False),
        (PAIR, known("a", "ann@x.example", successor="e-a"), None, False),
        (PAIR, MINE, known("e-a", "ann@x.example"), False),
        (PAIR, MINE, known("e-a", "ann@x.example", successor="a"), True),
        (PAIR, MINE, known("e-a", "ann@x.example", successor="b"), False),
        (GONE, MINE, known("e-a", "ann@x.example"), True),
        (GONE, MINE, known("e-a", "ben@x.example"), False),
        (KEPT, MINE, None, False),
    ],
)
def test_only_what_is_still_as_it_was_found_is_carried_over(pair, old, new, fits):
    newest = {new.id: PersonId(new.successor)} if new and new.successor else {}

    assert pair.fits(old, new, newest) is fits


@pytest.mark.parametrize("former", ["m-1", "m-1~2"])
def test_who_makes_way_leaves_an_id_that_nobody_had(former):
    assert own_id(PersonId(former), {"m-1", "m-1~2", "m-1~4"}) == "m-1~3"


def test_administrators_hear_each_list_once_with_its_first_names():
    crowd = [
        Succession(PersonId(f"a{n}"), PersonId(f"e{n}"), f"{n}@x", "A", "A", SuccessionStatus.WAITS)
        for n in range(25)
    ]

    waiting, kept = told([*crowd, KEPT])

    assert waiting.sentence.startswith("25 people are listed under a new id")
    assert "and 5 more" in waiting.sentence
    assert kept.sentence.startswith("1 person is listed under an id that is, or was, somebody else")
    assert told([*crowd, KEPT]) == [waiting, kept]
    assert told(crowd[1:])[0].key != waiting.key
    assert told([]) == []


IDS, MAILS = ("a", "b", "c", "d"), ("1@x.example", "2@x.example", "3@x.example", "4@x.example")
somebody = st.tuples(st.sampled_from(MAILS), st.sampled_from(["Ann", "Ben", "Cy"]), st.booleans())


@settings(max_examples=500)
@given(
    those=st.dictionaries(st.sampled_from([*IDS, "a~2", "b~2"]), somebody),
    ids=st.permutations(IDS),
    people=st.lists(somebody, max_size=4, unique_by=lambda s: s[0]),
)
def test_whatever_is_listed_no_id_is_taken_from_who_is_there(those, ids, people):
    """A list of a kind that nobody had thought of stored two people under one id."""
    rows = [known(id_, mail, name, active=active) for id_, (mail, name, active) in those.items()]
    said = [
        listed(id_, mail, name, here=here)
        for id_, (mail, name, here) in zip(ids, people, strict=False)
    ]

    here = found(rows, said)
    taken_in = as_known(said, here)

    assert len({p.id for p in taken_in}) == len(taken_in)
    carried = [s.old for s in here if s.status is not SuccessionStatus.HELD]
    assert len(set(carried)) == len(carried)
    there = {p.email for p in said if p.may_receive}
    owners = Counter(mail for mail, _, _ in those.values())
    for one in taken_in:
        mail, _, active = those.get(one.id, (one.email, "", False))
        if one.may_receive and active and mail in there and owners[mail] == 1:
            assert one.email == mail


@pytest.mark.parametrize(
    ("those", "people", "status"),
    [
        ([known("a", "1@x", active=False)], [listed("e-a", "1@x")], SuccessionStatus.LEFT),
        (
            [known("a", "1@x", active=False), known("e-a", "1@x")],
            [listed("e-a", "1@x")],
            SuccessionStatus.LEFT,
        ),
        (
            [known("a", "1@x", active=False), known("e-a", "2@x")],
            [listed("e-a", "1@x")],
            None,
        ),
        (
            [known("a", "1@x", active=False), known("e-a", "", successor="a")],
            [listed("e-a", "1@x")],
            SuccessionStatus.LEFT,
        ),
        (
            [known("a", "1@x", active=False)],
            [listed("a", "2@x", "Ben"), listed("e-a", "1@x")],
            None,
        ),
        ([known("a", "1@x"), known("e-a", "2@x")], [listed("e-a", "1@x")], SuccessionStatus.KEPT),
        (
            [known("a", "1@x"), known("e-a", "", successor="a")],
            [listed("e-a", "1@x")],
            SuccessionStatus.WAITS,
        ),
    ],
    ids=[
        "left before",
        "left before, and known anew",
        "the new id is another's",
        "the new id was theirs",
        "somebody else has the old id",
        "here, and the new id is another's",
        "here, and the new id was theirs",
    ],
)
def test_an_id_that_was_anothers_is_nobodys_new_one(those, people, status):
    carried = [s.status for s in found(those, people) if (s.old, s.new) == (ANN, ANNA)]

    assert carried == ([status] if status else [])
