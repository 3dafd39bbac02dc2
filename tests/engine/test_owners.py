"""Owners as approvers: whose a thing is, and that each thing needs somebody whose it is."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import approval, lifecycle, ownership
from engine.commands import Approve, Reject, Withdraw
from engine.conditions import Comparator, Condition, ConditionGroup, Connective, matches
from engine.directory import Directory, Group, PersonId
from engine.flow import AccessFlow, ApprovalRule, ApproverGroup, Escalation, Quorum, TierCounts
from engine.inventory import Entitlement
from engine.outcome import Code, News, Refusal
from engine.ownership import Owned, each_selected
from engine.request import Approval as Given
from engine.request import GrantId, GrantState, Seat, State
from engine.seating import Case, case_of
from tests.support.builders import (
    ABE,
    ADA,
    ADMINS,
    ANN,
    BEN,
    BOB,
    CAT,
    DAN,
    DAY,
    EVE,
    HOUR,
    NOW,
    Life,
    approvers,
    company,
    entitlement,
    facts,
    flow,
    group_id,
    left,
    request,
    revision,
    slack_guest,
)

IS = Comparator.IS
OWNER = Condition("owner", IS, ())
OWNERS = ApproverGroup("Owners", ConditionGroup((OWNER,)))
TWO_OWNERS = replace(OWNERS, needs=2)
DBA = Condition("group", IS, (group_id("dba"),))
OWNING_DBAS = ApproverGroup("Owning DBAs", ConditionGroup((OWNER, DBA)))
OWNER_OR_DBA = ApproverGroup("Owner or DBA", ConditionGroup((OWNER, DBA), Connective.OR))
EVERYBODY = (ANN, BOB, EVE, BEN, CAT, DAN, ADA, ABE)


# --- whose it is ---------------------------------------------------------------------------------


def tagged(number: int = 1, *names: str, system: str = "", tag: str = "owner") -> Entitlement:
    """Build a table with an owner tag, in a system that is somebody's."""
    made = entitlement(number, tags={tag: names} if names else {})
    return replace(made, integration=replace(made.integration, owner=system))


def owns(thing: Entitlement, *changed) -> set[PersonId]:
    here = company(*changed)
    by = ownership.owners(ownership.said_of(thing), here)
    chosen = each_selected(OWNERS.conditions, by)
    return {p.id for p in here.people.values() for one in chosen if matches(one, p, here)}


@pytest.mark.parametrize(
    ("names", "whose"),
    [
        (["ben"], {BEN}),
        (["BEN@Example.com"], {BEN}),
        (["DBA"], {BEN, CAT}),
        (["file:dba"], {BEN, CAT}),
        ([" ben "], {BEN}),
        (["ben", "dan"], {BEN, DAN}),
        (["eve", "DBA"], {EVE, BEN, CAT}),
        (["nobody", "dan"], {DAN}),
        (["nobody"], {ABE}),
        (["Ben"], {ABE}),
        ([""], {ABE}),
        ([], {ABE}),
    ],
)
def test_the_tag_names_a_person_or_a_group_else_it_is_the_systems_own_owner(names, whose):
    assert owns(tagged(1, *names, system="abe")) == whose


def test_without_any_owner_it_is_nobodys():
    assert owns(tagged()) == set()
    assert owns(tagged(1, "nobody")) == set()


def test_the_system_says_which_tag_it_is():
    thing = tagged(1, "ben", tag="team", system="abe")
    named = replace(thing, integration=replace(thing.integration, owner_tag="team"))

    assert owns(thing) == {ABE}
    assert owns(named) == {BEN}


def test_what_is_listed_by_hand_says_it_before_any_tag():
    thing = tagged(1, "ben")

    assert owns(replace(thing, resource=replace(thing.resource, owner="dan"))) == {DAN}


@pytest.mark.parametrize("barred", [left("ben", "dba"), slack_guest("ben", "dba")])
def test_who_cannot_decide_owns_nothing(barred):
    alone = left("cat")

    assert owns(tagged(1, "ben", system="abe"), barred) == {ABE}
    assert owns(tagged(1, "dba", system="abe"), barred, alone) == {ABE}


def test_a_name_that_fits_several_is_nobodys():
    twins = Directory.of(
        company().people.values(),
        [Group(group_id("dba"), "file", "x"), Group(group_id("sec"), "file", "X")],
    )

    assert ownership.owners(("x", "abe"), twins) == (Condition("user", IS, ("abe",)),)


# --- each thing needs its owner ------------------------------------------------------------------


def case(*groups: ApproverGroup, owned=(), join=Quorum.ANY_OF, distinct=True, tiers=(), **values):
    """Build a case of as many things as there are owners of each in `owned`."""
    counts = values.pop("counts", TierCounts.WHOLE_REQUEST)
    rules = revision(
        approval=ApprovalRule(groups, join, distinct),
        escalation=Escalation(HOUR, tiers, counts) if tiers else None,
        self_approval=values.pop("self_approval", False),
    )
    things = {
        GrantId(n): Owned(f"t{n}", (Condition("user", IS, tuple(who)),) if who else ())
        for n, who in enumerate(owned)
    }
    made = Case(rules, ANN, ANN, company(), ADMINS, owned=things)
    return replace(made, **values)


def given_by(of: Case, *people: PersonId) -> Case:
    for who in people:
        sat = approval.seats(of, of.directory.people[who])
        of = replace(of, approvals=(*of.approvals, Given(who, sat, NOW)))
    return of


def asked(of: Case) -> dict[str, tuple[int, ...]]:
    return {f"{a.person} {a.seat.key}": a.seat.of for a in approval.asks(of, ())}


def test_it_is_fulfilled_when_somebody_has_approved_each_thing():
    of = case(OWNERS, owned=[[BEN], [CAT], [BEN]])

    assert asked(of) == {"ben group/0": (0, 2), "cat group/0": (1,)}
    assert not approval.approved(given_by(of, BEN))
    assert not approval.approved(given_by(of, CAT))
    assert approval.approved(given_by(of, BEN, CAT))
    assert approval.approved(given_by(of, CAT, BEN))


def test_one_person_may_own_all_of_it():
    of = case(OWNERS, owned=[[BEN, CAT], [BEN]])

    assert asked(of) == {"ben group/0": (), "cat group/0": (0,)}
    assert approval.approved(given_by(of, BEN))


def test_as_many_different_people_as_it_needs_for_each():
    of = case(TWO_OWNERS, owned=[[BEN, CAT], [BEN, CAT, DAN]])

    assert not approval.approved(given_by(of, BEN, DAN))
    assert approval.approved(given_by(of, BEN, CAT))


def test_both_conditions_have_to_hold_or_one():
    both = case(OWNING_DBAS, owned=[[BEN, DAN], [DAN]])
    either = case(OWNER_OR_DBA, owned=[[DAN], [EVE]])

    assert asked(both) == {"ben group/0": (0,)}
    assert asked(either) == {
        "ben group/0": (),
        "cat group/0": (),
        "dan group/0": (0,),
        "eve group/0": (1,),
    }
    assert approval.approved(given_by(either, CAT))
    assert not approval.approved(given_by(either, DAN))
    assert approval.approved(given_by(either, DAN, EVE))


def test_distinct_people_are_in_one_group_each_and_cover_all_of_it():
    dbas = approvers(BEN, CAT, name="DBAs")
    of = case(OWNERS, dbas, owned=[[BEN], [BEN, CAT]], join=Quorum.ALL_OF)

    assert not approval.approved(given_by(of, BEN)), "one approver, two groups"
    assert approval.approved(given_by(of, BEN, CAT))
    once = case(OWNERS, dbas, owned=[[BEN], [BEN]], join=Quorum.ALL_OF, distinct=False)
    assert approval.approved(given_by(once, BEN))


def test_a_tier_of_owners_is_judged_for_each_thing_too():
    of = case(approvers(DAN), owned=[[BEN], [CAT]], tiers=(OWNERS,), tiers_asked=1)

    assert not approval.approved(given_by(of, BEN))
    assert approval.approved(given_by(of, BEN, CAT))


def test_a_tier_of_owners_stands_in_for_open_groups_thing_by_thing():
    of = case(
        approvers(DAN),
        owned=[[BEN], [CAT]],
        tiers=(OWNERS,),
        tiers_asked=1,
        counts=TierCounts.OPEN_GROUPS,
    )

    assert not approval.approved(given_by(of, BEN))
    assert approval.approved(given_by(of, BEN, CAT))
    assert approval.approved(given_by(of, DAN))


@pytest.mark.parametrize("group", [OWNERS, OWNING_DBAS, TWO_OWNERS])
def test_nobody_owns_what_is_not_known(group):
    """Without a thing there is nobody whose it is, and nothing is approved."""
    of = case(group)

    assert asked(of) == {}
    assert not approval.approved(of)
    assert approval.stuck(of)


def test_whoever_asks_or_gets_it_is_no_owner_of_it():
    of = case(OWNERS, owned=[[ANN], [ANN, BEN]])

    assert asked(of) == {"ben group/0": (1,)}
    assert not approval.seats(of, of.directory.people[ANN])
    assert (
        asked(replace(of, revision=replace(of.revision, self_approval=True)))["ann group/0"] == ()
    )


# --- nobody to ask -------------------------------------------------------------------------------


def test_what_has_no_owner_passes_to_the_first_tier_with_somebody_else_to_the_admins():
    of = case(OWNERS, owned=[[BEN], [], [ANN]])

    seated = approval.seat_stand_ins(of)
    assert seated.stand_ins == (Seat(0, admins=True, of=(GrantId(1), GrantId(2))),)
    assert not approval.approved(given_by(seated, ADA))
    assert not approval.approved(given_by(seated, BEN))
    assert approval.approved(given_by(seated, ADA, BEN))

    tiers = (approvers(name="nobody"), approvers(EVE, name="leads"))
    assert approval.seat_stand_ins(case(OWNERS, owned=[[BEN], []], tiers=tiers)).stand_ins == (
        Seat(0, 1, of=(GrantId(1),)),
    )


def test_where_nothing_has_an_owner_one_stands_in_for_all_of_it():
    of = approval.seat_stand_ins(case(OWNERS, owned=[[], []]))

    assert of.stand_ins == (Seat(0, admins=True),)
    assert approval.approved(given_by(of, ABE))


def test_as_many_stand_in_for_a_thing_as_it_lacks_owners():
    of = approval.seat_stand_ins(case(TWO_OWNERS, owned=[[BEN], [BEN, CAT]]))

    assert of.stand_ins == (Seat(0, admins=True, of=(GrantId(0),)),)
    assert not approval.approved(given_by(of, BEN, CAT))
    assert not approval.approved(given_by(of, ADA, ABE, CAT)), "of the first, its owner too"
    assert approval.approved(given_by(of, BEN, CAT, ADA))


def test_who_stood_in_for_one_thing_is_asked_again_for_another():
    of = given_by(approval.seat_stand_ins(case(OWNERS, owned=[[BEN], []])), ADA)
    nobody = {**of.owned, GrantId(0): Owned("t0", ())}

    later = approval.seat_stand_ins(replace(of, owned=nobody))

    assert later.stand_ins == (Seat(0, admins=True),)
    assert not approval.approved(later)
    assert approval.approved(given_by(later, ADA))


def test_any_of_needs_no_owner_where_another_group_can_approve():
    of = case(OWNERS, approvers(DAN), owned=[[BEN], []])

    assert approval.seat_stand_ins(of) == of
    assert approval.approved(given_by(of, DAN))


people_of = st.sets(st.sampled_from(EVERYBODY), max_size=4).map(sorted)
group = st.one_of(
    st.builds(lambda needs: replace(OWNERS, needs=needs), st.integers(1, 2)),
    st.builds(lambda people, n: approvers(*people, needs=n), people_of, st.integers(1, 2)),
)
groups = st.lists(group, min_size=1, max_size=3)
owned = st.lists(people_of, min_size=1, max_size=3)


@given(groups, owned, st.permutations(EVERYBODY), st.integers(0, 5), st.booleans())
@settings(max_examples=200)
def test_all_of_agrees_with_trying_every_assignment(groups, owned, order, count, distinct):
    """Each person in one group, or in each of theirs: then each thing is looked at by itself."""
    nobody = PersonId("nobody")
    of = case(
        *groups,
        owned=owned,
        join=Quorum.ALL_OF,
        distinct=distinct,
        requestor=nobody,
        grantee=nobody,
    )
    people = order[:count]
    everywhere = [tuple(range(len(groups)))]
    ways = [(n,) for n in everywhere[0]] if distinct else everywhere

    assert approval.approved(given_by(of, *people)) == any(
        all(
            sum(
                n in place and owns_(groups[n], thing, p)
                for p, place in zip(people, way, strict=True)
            )
            >= groups[n].needs
            for n in everywhere[0]
            for thing in owned
        )
        for way in itertools.product(ways, repeat=len(people))
    )


def owns_(group: ApproverGroup, thing: list[PersonId], who: PersonId) -> bool:
    return who in (
        thing if group.conditions == OWNERS.conditions else group.conditions.conditions[0].values
    )


tiers = st.lists(group, max_size=2).map(tuple)


@given(
    groups,
    owned,
    tiers,
    st.sampled_from(Quorum),
    st.sampled_from(TierCounts),
    st.booleans(),
    st.data(),
)
@settings(max_examples=200)
def test_after_seating_somebody_can_approve_or_there_is_nobody(
    groups, owned, tiers, join, counts, distinct, data
):
    of = case(
        *groups,
        owned=owned,
        join=join,
        distinct=distinct,
        tiers=tiers,
        counts=counts,
        tiers_asked=data.draw(st.integers(0, len(tiers))),
        admins=frozenset(data.draw(st.sets(st.sampled_from([ADA, ABE, ANN])))),
    )

    seated = approval.seat_stand_ins(of)

    everybody = [p for p in EVERYBODY if approval.seats(seated, seated.directory.people[p])]
    assert approval.approved(given_by(seated, *everybody)) == (not approval.stuck(seated))
    assert approval.seat_stand_ins(seated) == seated
    own = {p for g in groups for p in g.conditions.conditions[0].values}.union(*owned)
    if not distinct and seated.admins - own - {ANN}:  # else nobody else may be there to stand in
        assert not approval.stuck(seated)
    for who in EVERYBODY:
        asks = {a.seat for a in approval.asks(seated, ()) if a.person == who}
        assert asks == approval.seats(seated, seated.directory.people[who])


# --- a life --------------------------------------------------------------------------------------


def life(*things: Entitlement, of: AccessFlow | None = None, **values) -> Life:
    """Begin a request for these things, of a flow whose owners decide."""
    of = of or flow(approval=ApprovalRule((OWNERS,)), **values)
    made = Life(request(of, *(t.id for t in things)), facts(of, entitlements=things))
    decision = lifecycle.begin(made.request, made.facts, NOW)
    made.request, made.tells = decision.request, list(decision.tell)
    return made


def open_asks(of: Life) -> dict[PersonId, str]:
    return {a.person: a.why for a in of.request.asks if a.open}


def needed(of: Life) -> str:
    known = of.facts
    case_ = case_of(of.request, known.revision, known.directory, known.admins, known.entitlements)
    return approval.missing_in_words(case_)


MINE, YOURS = tagged(1, "ben"), tagged(2, "dan")


def test_each_owner_is_asked_as_the_owner_of_what_is_theirs():
    of = life(MINE, YOURS, tagged(3, "ben"))

    assert open_asks(of) == {
        BEN: "the owner of orders/t1 and orders/t3",
        DAN: "the owner of orders/t2",
    }
    assert needed(of) == "the owners of orders/t1, orders/t2 and orders/t3"
    of.do(Approve(BEN))
    assert of.request.state is State.PENDING
    assert needed(of) == "the owner of orders/t2"
    assert of.request.deciders == {DAN}
    of.do(Approve(DAN))
    assert of.request.state is State.GRANTING


def test_who_approved_is_told_for_what_somebody_is_needed_yet():
    of = life(MINE, YOURS)
    of.do(Approve(BEN))

    again = of.do(Approve(BEN))

    assert isinstance(again, Refusal)
    assert again.code is Code.ALREADY_APPROVED
    assert "Still needed: the owner of orders/t2." in again.sentence


def test_one_owner_rejects_all_of_it():
    of = life(MINE, YOURS)

    of.do(Reject(DAN))

    assert of.request.state is State.REJECTED


def test_what_an_approver_declined_needs_no_owner_any_more():
    """Whoever may decide may untick, whoever's it is."""
    of = life(MINE, YOURS)

    of.do(Approve(BEN, without=frozenset({GrantId(1)})))

    assert of.request.state is State.GRANTING
    assert [g.state for g in of.request.grants] == [GrantState.WANTED, GrantState.REFUSED]


def test_whose_it_is_now_is_asked_and_whose_it_was_is_told():
    of = life(MINE, YOURS)
    of.know(entitlements={**of.facts.entitlements, YOURS.id: tagged(2, "eve")})

    ticked = of.tick()

    assert open_asks(of) == {BEN: "the owner of orders/t1", EVE: "the owner of orders/t2"}
    told = {t.to: t.news for t in ticked.tell}
    assert told[EVE] is News.ASKED
    assert told[DAN] is None
    late = of.do(Approve(DAN))
    assert isinstance(late, Refusal)
    assert late.code is Code.NOT_APPROVER


def test_an_approval_counts_for_what_was_ones_own_at_the_click():
    of = life(MINE, YOURS)
    of.do(Approve(BEN))
    of.know(
        entitlements={
            **of.facts.entitlements,
            MINE.id: tagged(1, "eve"),
            YOURS.id: tagged(2, "ben"),
        }
    )
    of.tick()

    assert needed(of) == "the owner of orders/t2"
    assert of.request.deciders == {BEN, EVE}, "who has it since may still reject"
    of.do(Approve(BEN))
    assert of.request.state is State.GRANTING


def test_an_approval_that_was_withdrawn_is_asked_for_again():
    of = life(MINE, YOURS)
    of.do(Approve(BEN))
    of.do(Withdraw(BEN))

    assert of.request.deciders == {BEN, DAN}


def test_what_nobody_owns_waits_for_the_administrators():
    of = life(MINE, tagged(2))

    assert open_asks(of) == {
        BEN: "the owner of orders/t1",
        ADA: "the administrators, since nobody who owns orders/t2 can be asked",
        ABE: "the administrators, since nobody who owns orders/t2 can be asked",
    }
    of.do(Approve(ADA))
    of.do(Approve(BEN))
    assert of.request.state is State.GRANTING


def test_the_time_runs_out_for_owners_as_for_others():
    of = life(MINE)

    of.tick(DAY)

    assert of.request.state is State.TIMED_OUT
