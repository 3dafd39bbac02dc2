"""Who may decide, who is asked, and when the approvals are enough."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import approval
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonId, PersonStatus
from engine.flow import ApprovalRule, ApproverGroup, Escalation, Quorum, TierCounts
from engine.request import Approval as Given
from engine.request import Ask, Seat
from engine.seating import Case
from tests.support.builders import (
    ABE,
    ADA,
    ADMINS,
    ANN,
    BEN,
    BOB,
    CAT,
    DAN,
    DBAS,
    EVE,
    HOUR,
    NOW,
    SECURITY,
    approvers,
    company,
    left,
    person,
    revision,
    slack_guest,
    unreachable,
)

OPEN_GROUPS = TierCounts.OPEN_GROUPS
EVERYBODY = (ANN, BOB, EVE, BEN, CAT, DAN, ADA, ABE)


def case(
    *groups: ApproverGroup,
    join: Quorum = Quorum.ANY_OF,
    distinct: bool = True,
    tiers: tuple[ApproverGroup, ...] = (),
    counts: TierCounts = TierCounts.WHOLE_REQUEST,
    self_approval: bool = False,
    **values: object,
) -> Case:
    rules = revision(
        approval=ApprovalRule(groups, join, distinct),
        escalation=Escalation(HOUR, tiers, counts) if tiers else None,
        self_approval=self_approval,
    )
    made = Case(rules, ANN, ANN, company(), ADMINS)
    return replace(made, **values)  # type: ignore[arg-type]


def seats(of: Case, who: PersonId) -> set[str]:
    return {s.key for s in approval.seats(of, of.directory.people[who])}


def given_by(of: Case, *people: PersonId) -> Case:
    """Let these people approve one after the other, each with the seats of that moment."""
    for who in people:
        sat = approval.seats(of, of.directory.people[who])
        of = replace(of, approvals=(*of.approvals, Given(who, sat, NOW)))
    return of


def asked(of: Case, before: tuple[Ask, ...] = ()) -> set[tuple[str, str, bool]]:
    return {(a.person, a.seat.key, a.open) for a in approval.asks(of, before)}


# --- seats ---------------------------------------------------------------------------------------


def test_one_sits_in_every_group_that_one_matches():
    of = case(DBAS, SECURITY)

    assert seats(of, BEN) == {"group/0"}
    assert seats(of, CAT) == {"group/0", "group/1"}
    assert seats(of, BOB) == seats(of, ADA) == set()


def test_a_tier_sits_for_the_whole_request_or_for_each_group():
    whole = case(DBAS, SECURITY, tiers=(approvers(EVE),), tiers_asked=1)
    groups = case(DBAS, SECURITY, tiers=(approvers(EVE),), tiers_asked=1, counts=OPEN_GROUPS)

    assert seats(whole, EVE) == {"tier0/*"}
    assert seats(groups, EVE) == {"tier0/0", "tier0/1"}


def test_a_tier_that_was_not_asked_has_no_seat():
    of = case(DBAS, tiers=(approvers(EVE), approvers(BOB)), tiers_asked=1)

    assert seats(of, EVE)
    assert not seats(of, BOB)


@pytest.mark.parametrize(
    "barred",
    [
        left("ben", "dba"),
        person("ben", "dba", status=PersonStatus.PRE_BOARDING),
        person("ben", "dba", guest=True),
        slack_guest("ben", "dba"),
        person("ben"),
    ],
    ids=["inactive", "pre-boarding", "guest", "guest in Slack", "left the group"],
)
def test_whoever_may_not_decide_is_neither_asked_nor_able(barred):
    of = case(DBAS, directory=company(barred))

    assert not seats(of, BEN)
    assert BEN not in {p for p, *_ in asked(of)}


def test_without_a_slack_account_one_cannot_be_asked_but_may_decide():
    """F24: one approver who was not in Slack any more failed the whole request."""
    of = case(DBAS, directory=company(person("ben", "dba", slack=None)))

    assert {p for p, *_ in asked(of)} == {CAT}
    assert seats(of, BEN)


@pytest.mark.parametrize("requestor", [ANN, EVE])
def test_nobody_decides_their_own_request_from_any_seat(requestor):
    """As approver, in a tier, as admin standing in: the parties are barred everywhere."""
    everywhere = approvers(ANN, EVE)
    of = case(
        everywhere,
        approvers(),
        tiers=(everywhere,),
        tiers_asked=1,
        join=Quorum.ALL_OF,
        admins=frozenset({ANN, EVE}),
        stand_ins=(Seat(1, admins=True), Seat(0, 0)),
        requestor=requestor,
    )

    barred = {requestor, ANN}
    for who in (ANN, EVE):
        assert bool(seats(of, who)) == (who not in barred)
    assert not barred & {p for p, *_ in asked(approval.seat_stand_ins(of))}


def test_where_the_flow_allows_it_one_may_decide_ones_own():
    of = case(approvers(ANN), self_approval=True)

    assert seats(of, ANN) == {"group/0"}
    assert asked(of) == {(ANN, "group/0", True)}


@pytest.mark.parametrize(
    ("grantee", "requestor", "manager"),
    [(ANN, ANN, EVE), (ANN, BOB, EVE), (ANN, EVE, BEN), (BEN, EVE, None)],
    ids=["grantee's", "on behalf", "requestor's, where that is the requestor", "nobody's"],
)
def test_a_manager_without_a_name_is_the_grantees(grantee, requestor, manager):
    here = company(person("eve", "eng", manager=BEN))
    of = case(MANAGER, grantee=grantee, requestor=requestor, directory=here)

    assert {p for p, *_ in asked(of)} == ({manager} if manager else set())


MANAGER = ApproverGroup("manager", ConditionGroup((Condition("manager", Comparator.IS, ()),)))


@pytest.mark.parametrize(
    ("people", "requestor"),
    [
        ((person("ann", "eng", manager=EVE), person("eve", "eng", manager=ANN)), EVE),
        ((person("ann", "eng", manager=ANN),), ANN),
        ((person("ann", "eng"),), ANN),
        ((person("ann", "eng", manager=PersonId("left")),), ANN),
        ((left("eve", "eng"),), ANN),
        ((person("eve", "eng", slack=None),), ANN),
    ],
    ids=["each other's", "their own", "none", "not in the directory", "left", "not in Slack"],
)
def test_where_no_manager_can_be_asked_somebody_else_is(people, requestor):
    """A circle of managers leads back to who asked, or is to have it: they are barred."""
    of = case(
        MANAGER, requestor=requestor, directory=company(*people), tiers=(approvers(DAN, name="T"),)
    )

    assert asked(of) == set()
    assert asked(approval.seat_stand_ins(of)) == {(DAN, "tier0/0", True)}


def test_not_the_manager_is_not_turned_into_the_manager():
    """The comparator was dropped: “DBA and not the manager” asked exactly the manager."""
    not_the_manager = ApproverGroup(
        "DBAs but the manager",
        ConditionGroup((*DBAS.conditions.conditions, Condition("manager", Comparator.IS_NOT, ()))),
    )
    of = case(not_the_manager, directory=company(person("ann", "eng", manager=BEN)))

    assert {p for p, *_ in asked(of)} == {CAT}
    nobody = case(not_the_manager, directory=company(person("ann", "eng")))
    assert not asked(nobody)


# --- enough --------------------------------------------------------------------------------------


def test_nothing_is_approved_by_nobody():
    for join in Quorum:
        assert not approval.approved(case(DBAS, SECURITY, join=join))
        assert not approval.approved(case(approvers(), join=join))


def test_any_of_needs_one_group():
    of = given_by(case(DBAS, SECURITY), DAN)

    assert approval.approved(of)
    assert approval.missing(of) == []


@pytest.mark.parametrize("order", [(BEN, CAT), (CAT, BEN)])
def test_an_approval_is_not_tied_to_a_group_when_given(order):
    """A, who sits in both groups, then B, or B then A: both fulfil {A}, {A, B} alike."""
    of = case(DBAS, approvers(CAT, name="leads"), join=Quorum.ALL_OF)

    assert approval.approved(given_by(of, *order))


def test_one_person_is_one_approver_where_they_have_to_be_distinct():
    both = case(DBAS, SECURITY, join=Quorum.ALL_OF)

    assert not approval.approved(given_by(both, CAT))
    assert approval.missing(given_by(both, CAT)) == [(SECURITY, 1)]
    assert approval.approved(given_by(both, CAT, DAN))
    once = case(DBAS, SECURITY, join=Quorum.ALL_OF, distinct=False)
    assert approval.approved(given_by(once, CAT))


def test_one_from_a_whole_request_tier_is_enough():
    of = case(DBAS, SECURITY, join=Quorum.ALL_OF, tiers=(approvers(EVE),), tiers_asked=1)

    assert approval.approved(given_by(of, EVE))


@pytest.mark.parametrize(("distinct", "enough"), [(True, False), (False, True)])
def test_one_from_a_tier_for_groups_covers_what_distinct_allows(distinct, enough):
    of = case(
        DBAS,
        SECURITY,
        join=Quorum.ALL_OF,
        tiers=(approvers(EVE),),
        tiers_asked=1,
        counts=OPEN_GROUPS,
        distinct=distinct,
    )

    assert approval.approved(given_by(of, EVE)) is enough
    assert approval.approved(given_by(of, BEN, EVE))


def test_an_approval_does_not_count_once_its_giver_was_deactivated():
    of = given_by(case(DBAS), BEN)
    gone = company(left("ben", "dba"))

    assert approval.approved(of)
    assert not approval.approved(replace(of, directory=gone))
    assert approval.approved(replace(of, directory=company(person("ben"))))


def test_an_approval_does_not_count_once_its_giver_is_a_guest_in_slack():
    """Whoever was made a guest, of Slack's, kept all their approvals, and could give more."""
    of = given_by(case(DBAS), BEN)

    assert not approval.approved(replace(of, directory=company(slack_guest("ben", "dba"))))


def test_what_was_approved_before_one_ceased_to_be_a_member_never_counts_again():
    """Whoever was a guest for a moment had their approvals back before the clock looked."""
    of = given_by(case(DBAS), BEN)
    once = person("ben", "dba", void_until=NOW)

    assert not approval.approved(replace(of, directory=company(once)))
    assert approval.approved(replace(of, directory=company(replace(once, void_until=NOW - HOUR))))


@pytest.mark.parametrize("was", ["tier", "stand-in", "admin"])
def test_a_guest_sits_nowhere(was):
    tiers = (approvers(DAN, name="tier"),)
    values = {
        "tier": {"tiers": tiers, "tiers_asked": 1},
        "stand-in": {"tiers": tiers, "stand_ins": (Seat(0, 0),)},
        "admin": {"stand_ins": (Seat(0, admins=True),)},
    }
    who = ADA if was == "admin" else DAN
    of = case(DBAS, **values[was])
    guest = replace(of, directory=company(slack_guest(who)))

    assert seats(of, who)
    assert not seats(guest, who)
    assert who not in {p for p, *_ in asked(guest)}


people_of = st.sets(st.sampled_from(EVERYBODY)).map(sorted)
group = st.builds(
    lambda people, needs: approvers(*people, needs=needs), people_of, st.integers(1, 3)
)
groups = st.lists(group, min_size=1, max_size=3)


def members(group: ApproverGroup) -> tuple[str, ...]:
    return group.conditions.conditions[0].values


@given(groups, st.permutations(EVERYBODY), st.integers(0, 6), st.booleans())
@settings(max_examples=120)
def test_all_of_agrees_with_trying_every_assignment(groups, order, count, distinct):
    of = case(
        *groups,
        join=Quorum.ALL_OF,
        distinct=distinct,
        requestor=PersonId("nobody"),
        grantee=PersonId("nobody"),
    )

    people = order[:count]
    assert approval.approved(given_by(of, *people)) == fulfilled(groups, people, distinct)


def fulfilled(groups, people, distinct):
    """Try to name whom each group needs, in every way there is."""
    ways = [
        itertools.combinations([p for p in people if p in members(group)], group.needs)
        for group in groups
    ]
    for chosen in itertools.product(*ways):
        named = [person for each in chosen for person in each]
        if not distinct or len(set(named)) == len(named):
            return True
    return False


@given(groups, st.permutations(EVERYBODY), st.integers(0, 5))
@settings(max_examples=100)
def test_the_order_of_approvals_never_matters(groups, order, count):
    of = case(*groups, join=Quorum.ALL_OF)
    people = order[:count]

    there, back = given_by(of, *people), given_by(of, *people[::-1])

    assert approval.approved(there) == approval.approved(back)
    assert len(approval.missing(there)) == len(approval.missing(back))


# --- nobody left to ask --------------------------------------------------------------------------


def stand_ins(of: Case) -> list[str]:
    return [s.key for s in approval.seat_stand_ins(of).stand_ins]


def test_nobody_stands_in_while_somebody_can_be_asked():
    assert stand_ins(case(DBAS, approvers())) == []
    assert stand_ins(case(DBAS, SECURITY, join=Quorum.ALL_OF)) == []


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        ((), ["admins/0"]),
        ((approvers(), approvers(ANN)), ["admins/0"]),
        ((approvers(), approvers(EVE), approvers(BOB)), ["tier1/0"]),
    ],
    ids=["no tier", "nobody in any tier", "the first with somebody"],
)
def test_the_first_tier_with_somebody_stands_in_else_the_admins(tiers, expected):
    assert stand_ins(case(approvers(), tiers=tiers)) == expected


UNHEARD = company(unreachable("ben", "dba"), unreachable("cat", "dba", "sec"))


def test_whoever_can_be_told_nothing_is_asked_and_counts_as_nobody_to_ask():
    """Slack took no message for them, and the request waited for them in silence."""
    of = approval.seat_stand_ins(case(DBAS, directory=UNHEARD))

    assert stand_ins(of) == ["admins/0"]
    assert {(ADA, "admins/0", True), (BEN, "group/0", True)} <= asked(of)
    assert seats(of, BEN)
    assert not approval.stuck(of)
    assert approval.preview(of) == [(DBAS, [("DBAs", [])])]


def test_nobody_stands_in_while_somebody_hears_of_it():
    assert stand_ins(case(DBAS, directory=company(unreachable("ben", "dba")))) == []


def test_what_they_approved_already_counts():
    of = given_by(case(DBAS), BEN)

    assert stand_ins(replace(of, directory=UNHEARD)) == []


def test_a_tier_that_can_be_told_nothing_is_skipped():
    nobody = approvers(BEN, name="first")
    of = case(approvers(), tiers=(nobody, approvers(DAN, name="second")), directory=UNHEARD)

    assert stand_ins(of) == ["tier1/0"]
    assert not approval.tier_has_somebody(of, 0)
    assert approval.tier_has_somebody(of, 1)


def test_one_stands_in_for_that_group_only():
    of = approval.seat_stand_ins(case(approvers(), SECURITY, join=Quorum.ALL_OF))

    assert seats(of, ADA) == {"admins/0"}
    assert not approval.approved(given_by(of, ADA))
    assert approval.approved(given_by(of, ADA, DAN))


def test_several_groups_without_anybody_each_get_a_stand_in():
    of = case(approvers(), approvers(), join=Quorum.ALL_OF)

    assert stand_ins(of) == ["admins/0", "admins/1"]


def test_a_group_that_distinctness_empties_gets_a_stand_in():
    """CAT alone sits in both groups, and one person is one approver."""
    of = case(approvers(CAT), approvers(CAT), join=Quorum.ALL_OF, tiers=(approvers(EVE),))

    seated = approval.seat_stand_ins(of)

    assert len(seated.stand_ins) == 1
    assert not approval.stuck(seated)
    assert approval.approved(given_by(seated, CAT, EVE))


def test_admins_who_are_parties_stand_in_for_nobody():
    of = case(approvers(), admins=frozenset({ANN}))

    seated = approval.seat_stand_ins(of)

    assert approval.stuck(seated)
    assert asked(seated) == set()


def test_an_approval_given_keeps_its_group_from_being_stuck():
    of = given_by(case(DBAS, SECURITY, join=Quorum.ALL_OF), BEN)
    of = replace(of, directory=company(person("ben"), person("cat", "sec")))

    assert stand_ins(of) == []


THREE = approvers(BEN, CAT, name="three", needs=3)  # of whom there are two


def test_as_many_stand_in_as_are_missing_and_the_group_keeps_its_own():
    of = approval.seat_stand_ins(case(THREE))

    assert [s.key for s in of.stand_ins] == ["admins/0"]
    assert approval.missing(given_by(of, BEN, ADA)) == [(THREE, 1)]
    assert approval.approved(given_by(of, BEN, ADA, CAT))


def test_who_stands_in_replaces_nobody_who_can_still_be_asked():
    of = given_by(approval.seat_stand_ins(case(THREE)), ADA, BEN)

    assert seats(of, ABE) == set(), "one is missing, and one stood in"
    assert approval.missing(of) == [(THREE, 1)]
    assert approval.approved(given_by(of, CAT))


@pytest.mark.parametrize("admins", [{ADA}, {ADA, ABE}])
def test_of_those_who_stand_in_no_more_are_needed_than_there_are(admins):
    of = case(approvers(BEN, needs=4), admins=frozenset(admins))
    of = approval.seat_stand_ins(of)

    assert not approval.stuck(of)
    assert not approval.approved(given_by(of, BEN))
    assert not approval.approved(given_by(of, *admins))
    assert approval.approved(given_by(of, BEN, *admins))


def test_where_nobody_stands_in_those_who_are_there_are_not_enough():
    of = given_by(case(approvers(BEN, needs=2), admins=frozenset({ANN})), BEN)

    assert approval.stuck(approval.seat_stand_ins(of))
    assert not approval.approved(approval.seat_stand_ins(of))


def test_who_stood_in_counts_also_once_others_can_be_asked_again():
    of = given_by(approval.seat_stand_ins(case(approvers(BEN, DAN, CAT, needs=2))), BEN)
    alone = company(left("dan"), left("cat"))
    of = given_by(approval.seat_stand_ins(replace(of, directory=alone)), ADA)

    assert approval.approved(of)
    assert approval.approved(replace(of, directory=company()))


def test_any_of_is_stuck_only_when_no_group_can_be_fulfilled():
    of = case(approvers(BEN, needs=2), approvers(CAT))

    assert stand_ins(of) == []
    assert approval.approved(given_by(of, CAT))
    assert not approval.approved(given_by(of, BEN))


def test_what_is_missing_is_said_with_its_number():
    both = case(replace(DBAS, needs=2), SECURITY, join=Quorum.ALL_OF)
    assert approval.missing_in_words(both) == "2 more of DBAs and Security"
    assert approval.missing_in_words(given_by(both, BEN)) == "1 more of DBAs and Security"


@given(groups, st.sampled_from(Quorum), st.booleans(), st.booleans(), st.data())
@settings(max_examples=150)
def test_after_seating_somebody_can_approve_or_there_is_nobody(
    groups, join, distinct, with_tier, data
):
    of = case(
        *groups,
        join=join,
        distinct=distinct,
        tiers=(approvers(EVE, BOB),) if with_tier else (),
        admins=frozenset(data.draw(st.sets(st.sampled_from([ADA, ABE, ANN])))),
    )

    seated = approval.seat_stand_ins(of)

    everybody = [p for p in EVERYBODY if approval.seats(seated, seated.directory.people[p])]
    assert approval.approved(given_by(seated, *everybody)) == (not approval.stuck(seated))
    assert approval.seat_stand_ins(seated) == seated


# --- asks ----------------------------------------------------------------------------------------


def test_who_no_longer_matches_is_kept_but_not_open():
    before = approval.asks(case(DBAS), ())

    after = case(DBAS, directory=company(person("ben"), person("bob", "eng", "dba")))

    assert asked(after, before) == {
        (BEN, "group/0", False),
        (CAT, "group/0", True),
        (BOB, "group/0", True),
    }


def test_who_matches_again_is_asked_again():
    before = approval.asks(case(DBAS), ())
    without = approval.asks(case(DBAS, directory=company(person("ben"))), before)

    assert (BEN, "group/0", True) in asked(case(DBAS), without)


def test_the_ask_of_who_has_approved_stays_open():
    of = given_by(case(DBAS, SECURITY, join=Quorum.ALL_OF), BEN)
    before = approval.asks(of, ())

    assert (BEN, "group/0", True) in asked(replace(of, directory=company(person("ben"))), before)


def test_asking_twice_asks_nobody_new():
    of = case(DBAS, SECURITY, tiers=(approvers(EVE),), tiers_asked=1)
    before = approval.asks(of, ())

    assert approval.asks(of, before) == before


def test_everybody_is_told_why_they_are_asked():
    of = approval.seat_stand_ins(
        case(
            DBAS,
            approvers(name="Owners"),
            join=Quorum.ALL_OF,
            tiers=(approvers(EVE, name="leads"),),
            tiers_asked=1,
            counts=OPEN_GROUPS,
        )
    )
    whole = case(DBAS, tiers=(approvers(EVE, name="leads"),), tiers_asked=1)
    alone = approval.seat_stand_ins(case(approvers(name="Owners")))

    assert {a.why for a in approval.asks(of, ())} == {"DBAs", "leads (escalation)"}
    assert {a.why for a in approval.asks(whole, ())} == {"DBAs", "leads (escalation)"}
    assert {a.why for a in approval.asks(alone, ())} == {
        "the administrators, since nobody of Owners can be asked"
    }


def test_the_preview_names_those_who_would_be_asked():
    of = case(
        DBAS, approvers(ANN, name="self"), directory=company(person("ben", "dba", slack=None))
    )

    asked = [(n, [p.id for p in those]) for _, named in approval.preview(of) for n, those in named]
    assert asked == [("DBAs", [CAT]), ("self", [])]
    assert [p.id for p in approval.stand_ins(of)] == [ABE, ADA]


@given(groups, st.sampled_from(EVERYBODY), st.integers(0, 1), st.sampled_from(TierCounts))
@settings(max_examples=150)
def test_whoever_is_asked_may_decide_and_whoever_may_decide_is_asked(groups, who, tiers, counts):
    """One policy function (F7): asking and clicking give the same answer."""
    of = case(
        *groups,
        tiers=(approvers(EVE, ANN),),
        tiers_asked=tiers,
        counts=counts,
    )
    of = approval.seat_stand_ins(of)

    from_asks = {seat for person_, seat, open_ in asked(of) if person_ == who and open_}
    assert from_asks == seats(of, who)
