"""What helps to decide: of the grantee, of what is asked for, and of nothing else."""

from dataclasses import replace

from engine.background import Background, Share, background
from engine.directory import Directory, Group, GroupId
from engine.request import AccountId, RequestId, State
from tests.support.builders import (
    ADA,
    ANN,
    BOB,
    DAY,
    EVE,
    HOUR,
    company,
    entitlement,
    group_id,
    left,
    life,
    person,
    request,
)

ASKS = request(id=RequestId(9))
THINGS = {e.id: e for e in map(entitlement, (1, 2, 3))}


def told(*, past=(), running=(), holders=(), of=ASKS, directory=None, most=5) -> Background:
    directory = directory or company()
    return background(
        of,
        past=past,
        running=running,
        inventory=THINGS,
        holders=[directory.people[p] for p in holders],
        directory=directory,
        most=most,
    )


def lived(state, id_=1, *things, **values):
    return life(state, None, *things, id=RequestId(id_), **values).request


def test_what_ran_to_its_end_was_had_until_then():
    over = lived(State.EXPIRED)

    found = told(past=[over])

    assert found.last_had == over.ends_at
    assert found.past == (over,)
    assert not found.holds


def test_what_was_returned_was_had_until_then():
    over = lived(State.RETURNED)

    assert told(past=[over]).last_had == over.ended.at


def test_what_was_never_given_was_not_had():
    past = [lived(s, n) for n, s in enumerate((State.REJECTED, State.FAILED, State.CANCELLED), 1)]

    found = told(past=past)

    assert found.last_had is None
    assert [r.id for r in found.past] == [3, 2, 1]


def test_the_latest_end_counts_whichever_was_asked_for_last():
    early = lived(State.EXPIRED, 2)
    late = replace(lived(State.EXPIRED, 1), ends_at=early.ends_at + DAY)

    assert told(past=[early, late]).last_had == late.ends_at


def test_what_is_held_is_no_longer_last_had():
    runs = lived(State.ACTIVE, 2)

    found = told(past=[lived(State.EXPIRED), runs], running=[runs])

    assert found.last_had is None
    assert [(str(h.entitlement), h.ends_at, h.asked) for h in found.holds] == [
        ("read on orders/t1", runs.ends_at, True)
    ]


def test_what_is_asked_for_is_named_first_and_each_thing_once():
    both = lived(State.ACTIVE, 1, 1, 2)
    other = replace(lived(State.ACTIVE, 2, 2), ends_at=both.ends_at + HOUR)
    endless = replace(lived(State.ACTIVE, 3, 3), ends_at=None)

    held = told(running=[both, other, endless]).holds

    assert [(h.entitlement.id, h.ends_at) for h in held] == [
        (1, both.ends_at),
        (3, None),
        (2, other.ends_at),
    ]


def test_what_is_held_on_another_system_is_not_there():
    runs = lived(State.ACTIVE, 1)
    elsewhere = replace(runs, grants=tuple(replace(g, account=AccountId(2)) for g in runs.grants))

    assert not told(running=[elsewhere]).holds


def test_what_is_being_taken_away_is_not_held():
    assert not told(running=[lived(State.REVOKING)]).holds


def test_the_request_itself_is_not_before_it():
    assert not told(past=[ASKS]).past


def test_of_the_grantees_groups_the_smallest_says_most():
    groups = [Group(group_id(g), "file", g) for g in ("eng", "pay", "alone")]
    theirs = [
        person("ann", "eng", "pay", "alone"),
        person("bob", "eng", "pay"),
        person("eve", "eng"),
        person("ada"),
    ]
    directory = Directory.of(theirs, groups)

    found = told(holders=[BOB, EVE, ADA], directory=directory)

    assert found.shares == (Share("pay", 1, 2), Share("eng", 2, 3))
    assert told(holders=[], directory=directory, most=1).shares == (Share("pay", 0, 2),)


def test_groups_of_one_size_stand_by_their_names():
    names = [f"g{n}" for n in range(6)]
    here = Directory.of(
        [person("ann", *names), person("bob", *names)],
        [Group(group_id(name), "file", name) for name in names],
    )

    assert [s.group for s in told(holders=[BOB], directory=here, most=6).shares] == names


def test_groups_of_slacks_own_and_who_has_left_do_not_count():
    groups = [Group(group_id("eng"), "file", "eng"), Group(GroupId("slack:S1"), "slack", "all")]
    both = frozenset({group_id("eng"), GroupId("slack:S1")})
    people = [person("ann", groups=both), left("bob", groups=both), person("eve", groups=both)]
    directory = Directory.of(people, groups)

    assert told(holders=[BOB, ANN], directory=directory).shares == (Share("eng", 1, 2),)


def test_of_a_grantee_who_is_gone_no_group_is_named():
    assert not told(of=request(grantee="nobody"), holders=[BOB]).shares
