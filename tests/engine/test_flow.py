"""Which flows are different where all are listed anew."""

from dataclasses import replace

import pytest

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonId
from engine.flow import KnownFlow, RequestFor, Revision, compare

ANN, ANNA = PersonId("ann"), PersonId("e-ann")


def reading(who=ANN) -> Revision:
    named = ConditionGroup((Condition("user", Comparator.IS, (who,)),))
    return Revision("Reading", named, ())


def as_known(*, active=True, deleted=False, revision=None) -> KnownFlow:
    return KnownFlow(revision or reading(), active=active, deleted=deleted)


@pytest.mark.parametrize(
    ("before", "other"),
    [
        (as_known(), False),
        (as_known(active=False), True),
        (as_known(deleted=True), True),
        (KnownFlow(None, active=True, deleted=False), True),
        (as_known(revision=replace(reading(), description="new")), True),
    ],
    ids=["the same", "disabled", "deleted", "unreadable", "changed"],
)
def test_a_flow_is_stored_anew_only_where_something_is_other(before, other):
    listed = (reading(), True)

    assert compare({"reading": before}, [listed], {}) == ([listed] if other else [], [])


def test_a_flow_is_known_by_its_name_whatever_its_case():
    loud = replace(reading(), name="READING")

    assert compare({"reading": as_known()}, [(loud, True)], {})[1] == []
    assert compare({}, [(loud, True)], {})[0] == [(loud, True)]


def test_who_was_carried_over_makes_no_flow_another():
    """A migration of the directory made a revision of each flow that named somebody."""
    listed = [(reading(ANNA), True)]

    assert compare({"reading": as_known()}, listed, {ANN: ANNA}) == ([], [])
    assert compare({"reading": as_known()}, listed, {}) == (listed, [])


def test_what_is_listed_no_more_is_gone_once():
    known = {"reading": as_known(), "writing": as_known(), "old": as_known(deleted=True)}

    assert compare(known, [(reading(), True)], {}) == ([], ["writing"])


def test_a_flow_is_for_oneself_unless_it_says_otherwise():
    assert reading().request_for == {RequestFor.SELF}
