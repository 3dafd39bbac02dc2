"""What is odd about flows: each fault, with what is no fault beside it."""

from dataclasses import replace
from datetime import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aql.parser import parse
from engine.aql.tokens import Field
from engine.channel import DIRECTLY, ChannelId, Notify
from engine.conditions import Comparator, Condition, ConditionGroup, Connective
from engine.crowd import Crowd, bits
from engine.directory import PersonId
from engine.eligibility import allowing, usable
from engine.flow import ApprovalRule, Escalation, Quorum, RequestFor
from engine.lint import lint
from engine.oddities.absent import keys_denied
from engine.oddities.findings import Fault, Offered
from engine.on_call import Schedule, Shift
from engine.targets import ByBundle, Picked
from engine.window import Day, Window
from tests.support.builders import (
    ANN,
    BEN,
    BOB,
    BOTH,
    CAT,
    DAN,
    DBAS,
    EVE,
    HOUR,
    NOW,
    SECURITY,
    approvers,
    company,
    flow,
    left,
    members_of,
    person,
    these,
)

HERE = company()
SELF, REPORTS, OTHERS = RequestFor.SELF, RequestFor.DIRECT_REPORTS, RequestFor.OTHERS
NIGHTS = Window(frozenset(Day), time(22), time(6), "Europe/Berlin")
MANAGER = approvers(name="The manager")
MANAGER = replace(MANAGER, conditions=ConditionGroup((Condition("manager", Comparator.IS, ()),)))


def found(*flows, here=HERE, offers=None, high=(), prod=(), owned=None, **more):
    """Return the findings as (flow, fault): sentence. Each flow offers 1, 2 and 3 unless said."""
    known = offers or {}
    by_flow = {f.id: bits(known.get(f.id, (1, 2, 3))) for f in flows}
    of = {said: bits(those) for said, those in (owned or {}).items()}
    offered = Offered(by_flow, bits(high) if high else 0, bits(prod) if prod else 0, owned=of)
    return {(x.flow.id, x.fault): x.sentence for x in lint(flows, Crowd(here), offered, **more)}


def test_a_sound_flow_is_not_spoken_of():
    assert found(flow()) == {}


def test_a_flow_that_is_not_open_is_not_looked_at():
    nobody = {"requestors": these()}

    assert found(flow(active=False, **nobody), flow(2, deleted=True, **nobody)) == {}


# --- nobody, nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "here", "sentence"),
    [
        (
            {"requestors": members_of("ghosts")},
            HERE,
            "Nobody can request anything: it is for file:ghosts, and no active member is one.",
        ),
        (
            {"requestors": these(ANN)},
            company(left("ann")),
            (
                "Nobody can request anything: it is for people who are Ann, "
                "and no active member is one."
            ),
        ),
        (
            {"requestors": these(ANN), "request_for": frozenset({REPORTS})},
            HERE,
            "Nobody can request anything: there is nobody for whom they could.",
        ),
        (
            {
                "requestors": these(ANN),
                "request_for": frozenset({OTHERS}),
                "grantees": these(ANN),
            },
            HERE,
            "Nobody can request anything: there is nobody for whom they could.",
        ),
    ],
)
def test_a_flow_that_nobody_can_use(values, here, sentence):
    assert found(flow(**values), here=here)[1, Fault.NOBODY] == sentence


@pytest.mark.parametrize(
    "values",
    [
        {"requestors": these(EVE), "request_for": frozenset({REPORTS})},
        {"requestors": these(ANN), "request_for": frozenset({OTHERS}), "grantees": these(BOB)},
        {"requestors": these(ANN, BOB), "request_for": frozenset({OTHERS}), "grantees": these(ANN)},
        {"requestors": these(ANN)},
    ],
)
def test_a_flow_that_somebody_can_use(values):
    assert found(flow(**values)) == {}


def test_a_flow_for_who_is_on_call_is_the_same_at_any_hour():
    """By day it was said that nobody could request what is for who is on call by night."""
    on_call = ConditionGroup((Condition("on_call", Comparator.IS, ("Nights",)),))
    here = HERE.answering((Schedule("Nights", (Shift(NIGHTS, (ANN,)),)),), {})
    of, hours = flow(requestors=on_call), (NOW.replace(hour=12), NOW.replace(hour=23))

    assert [found(of, here=here.at(hour)) for hour in hours] == [{}, {}]


def test_a_flow_that_offers_nothing():
    assert found(flow(), offers={1: ()}) == {
        (1, Fault.NOTHING): "None of its targets selects anything that is there."
    }


# --- approvers -----------------------------------------------------------------------------------


def test_a_group_in_which_nobody_could_approve():
    empty = approvers(DAN, name="Security")
    here = company(left("dan"))

    said = found(flow(approval=ApprovalRule((DBAS, empty))), here=here)

    assert said == {
        (1, Fault.EMPTY_GROUP): (
            "“Security” has nobody who could approve: it is people who are Dan."
        )
    }


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (replace(DBAS, needs=3), "“DBAs” needs 3 approvers and has 2."),
        (
            replace(MANAGER, needs=2),
            "“The manager” needs 2 approvers, and nobody has two managers.",
        ),
    ],
)
def test_a_group_that_has_fewer_than_it_needs(group, expected):
    assert found(flow(approval=ApprovalRule((group,)))) == {(1, Fault.EMPTY_GROUP): expected}


def test_a_group_that_has_as_many_as_it_needs():
    assert found(flow(approval=ApprovalRule((replace(DBAS, needs=2),)))) == {}


@pytest.mark.parametrize(
    ("groups", "values", "few"),
    [
        ((approvers(BEN, CAT), approvers(BEN, CAT)), {}, False),
        ((approvers(BEN, CAT), replace(approvers(BEN, CAT, name="Both"), needs=2)), {}, True),
        (
            (approvers(BEN, CAT), replace(approvers(BEN, CAT, name="Both"), needs=2)),
            {"distinct": False},
            False,
        ),
        ((approvers(BEN), approvers(BEN, name="Again"), DBAS), {}, True),
        ((approvers(BEN), approvers(BEN, CAT, name="Again")), {}, False),
        ((approvers(BEN), approvers(BEN, name="Again")), {"join": Quorum.ANY_OF}, False),
    ],
)
def test_groups_that_have_too_few_different_people_together(groups, values, few):
    """Each had enough, and no request could ever be approved."""
    rule = ApprovalRule(groups, **{"join": Quorum.ALL_OF} | values)

    said = found(flow(approval=rule)).get((1, Fault.EMPTY_GROUP), "")

    assert ("different approvers together" in said) is few


def test_a_tier_in_which_nobody_could_approve():
    tiers = Escalation(HOUR, (approvers(name="Nobody"),))

    assert (1, Fault.EMPTY_GROUP) in found(flow(escalation=tiers))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"approval": ApprovalRule((approvers(ANN),))}, "“ann” is Ann alone, who may not"),
        ({"approval": ApprovalRule((approvers(ANN),)), "self_approval": True}, ""),
        ({"approval": ApprovalRule((approvers(BEN),))}, ""),
        ({"approval": ApprovalRule((approvers(ANN, BOB),))}, ""),
        ({"approval": ApprovalRule((approvers(EVE, ANN),))}, "“eve+ann” is Ann and Eve alone"),
        ({"approval": ApprovalRule((approvers(EVE, BEN),))}, ""),
        ({"approval": ApprovalRule((approvers(EVE, ANN, BOB),))}, ""),
        (
            {
                "requestors": these(BEN),
                "request_for": frozenset({OTHERS}),
                "grantees": these(CAT),
                "approval": ApprovalRule((approvers(CAT, BEN),)),
            },
            "“cat+ben” is Ben and Cat alone",
        ),
    ],
)
def test_a_group_that_is_but_the_two_whose_request_it_is(values, expected):
    said = found(flow(**values)).get((1, Fault.OWN_APPROVAL), "")

    assert said.startswith(expected)
    assert bool(said) is bool(expected)


def test_a_group_that_is_but_one_whose_manager_asks_for_them():
    """Eve leads Ann, who alone could approve what Eve asks for on her behalf: nothing was said."""
    rule = ApprovalRule((approvers(ANN),))

    said = found(flow(requestors=these(EVE), request_for=frozenset({REPORTS}), approval=rule))

    assert said[1, Fault.OWN_APPROVAL].startswith("“ann” is Ann alone, who may not")


def test_who_asks_for_those_whom_they_lead_has_no_manager_who_could_approve():
    """It was asked whether Ann has a manager; she is led by who asks, who has none: nobody could
    approve, and nothing was said."""
    for_ann = {"request_for": frozenset({OTHERS}), "grantees": these(ANN)}
    by_manager = ApprovalRule((MANAGER,))

    led = found(flow(requestors=these(EVE), approval=by_manager, **for_ann))
    others = found(flow(requestors=these(BEN), approval=by_manager, **for_ann))

    assert led == {
        (1, Fault.EMPTY_GROUP): (
            "“The manager” has nobody who could approve for 1 of 2 people, such as Eve: no manager "
            "of theirs is among them."
        )
    }
    assert others == {}


@pytest.mark.parametrize(
    ("here", "more", "join", "expected"),
    [
        (company(person("eve", "eng", manager=PersonId("dan"))), (), Connective.AND, ""),
        (HERE, (), Connective.AND, "for 1 of 3 people, such as Eve"),
        (company(left("eve", "eng")), (), Connective.AND, "for 2 of 2 people, such as Ann"),
        (
            company(person("eve", "eng", manager=EVE)),
            (),
            Connective.AND,
            "for 1 of 3 people, such as Eve",
        ),
        (HERE, DBAS.conditions.conditions, Connective.AND, "for 3 of 3 people, such as Ann"),
        (HERE, DBAS.conditions.conditions, Connective.OR, ""),
    ],
)
def test_who_has_no_manager_who_could_approve(here, more, join, expected):
    own = ConditionGroup((*MANAGER.conditions.conditions, *more), join)
    rule = ApprovalRule((replace(MANAGER, conditions=own),))

    said = found(flow(approval=rule), here=here).get((1, Fault.EMPTY_GROUP), "")

    assert bool(said) is bool(expected)
    assert expected in said


# --- risk ----------------------------------------------------------------------------------------


def test_what_is_risky_or_in_production_wants_an_approval():
    automatic, approved = flow(1, approval=None), flow(2, requestors=these(BEN))

    said = [
        (x.flow.id, x.sentence, x.example)
        for x in lint(
            [automatic, approved],
            Crowd(HERE),
            Offered({1: bits([4, 7, 9]), 2: bits([4, 7, 9])}, high=bits([7]), prod=bits([4, 7])),
        )
        if x.fault is Fault.UNAPPROVED
    ]

    assert said == [
        (1, "Without any approval it gives 1 entitlement of high risk.", 7),
        (1, "Without any approval it gives 2 entitlements in production.", 4),
    ]


# --- conditions ----------------------------------------------------------------------------------


def test_a_negative_condition_names_how_many_have_nothing_to_be_compared():
    here = company(person("ann", "eng", attributes={"employer": ("Us",)}))
    no_agency = Condition("employer", Comparator.IS_NOT, ("Agency",))
    in_eng = members_of("eng").conditions
    of = flow(requestors=ConditionGroup((*in_eng, no_agency)))

    assert found(of, here=here) == {
        (1, Fault.ABSENT): "7 people have no employer, and so fail “employer is not Agency”."
    }


@pytest.mark.parametrize("attribute", ["group", "user"])
def test_to_be_in_none_of_these_means_something(attribute):
    value = "file:sec" if attribute == "group" else "ben"
    out = Condition(attribute, Comparator.IS_NOT, (value,))

    assert found(flow(requestors=ConditionGroup((out,)))) == {}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition("title", Comparator.IS, ("Lead", "Eng*")), True),
        (Condition("title", Comparator.DOES_NOT_CONTAIN, ("*ng",)), True),
        (Condition("user", Comparator.CONTAINS, ("*@example.com",)), True),
        (Condition("title", Comparator.CONTAINS, ("ng",)), False),
        (Condition("nickname", Comparator.STARTS_WITH, ("*st",)), False),
    ],
)
def test_what_looks_like_a_pattern_and_fits_nobody_is_named(condition, said):
    """Of people and groups that are named it is said when they are looked up; texts are taken."""
    here = company(
        person("ann", "eng", attributes={"title": ("Engineer",), "nickname": ("*star*",)})
    )
    group = ConditionGroup((*members_of("eng").conditions, condition), Connective.OR)
    of = flow(approval=ApprovalRule((replace(DBAS, conditions=group),)))

    sentence = found(of, here=here).get((1, Fault.PATTERN), "")

    starred = next((value for value in condition.values if "*" in value), "")
    assert sentence == (
        f"“{starred}” of “{condition}” fits nobody: a * stands for itself alone: "
        "write contains or starts with."
        if said
        else ""
    )


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('resource_tag["env"] != "prod"', [(Field.RESOURCE_TAG, "env")]),
        ('resource_tag["env"] = "prod"', []),
        ('not resource_tag["env"] = "prod"', [(Field.RESOURCE_TAG, "env")]),
        ('not resource_tag["env"] != "prod"', []),
        ('not (not resource_tag["env"] not_in ("a", "b"))', [(Field.RESOURCE_TAG, "env")]),
        ('resource_name != "x" and permission_name not_contains "y"', []),
        (
            (
                'resource_type = "t" and (permission_tag["a"] not_contains "b" or '
                'not (resource_context["c"] starts_with "d" or permission_context["e"] != "f"))'
            ),
            [(Field.PERMISSION_TAG, "a"), (Field.RESOURCE_CONTEXT, "c")],
        ),
    ],
)
def test_of_which_keys_a_query_says_what_is_not_wanted(text, keys):
    assert [*keys_denied(parse(text))] == keys


def test_what_is_given_for_want_of_a_tag_is_counted():
    where = parse('resource_tag["env"] != "prod"')
    of = flow(targets=(Picked(where),))
    offers = {of.id: bits([1, 2, 3])}
    env = (Field.RESOURCE_TAG, "env")

    (only,) = lint([of], Crowd(HERE), Offered(offers, having={env: bits([1, 3])}))
    assert (only.fault, only.example, only.sentence) == (
        Fault.ABSENT,
        2,
        (
            '1 entitlement of it has no resource_tag["env"], of which a target says only what it '
            "must not be."
        ),
    )
    assert lint([of], Crowd(HERE), Offered(offers, having={env: bits([1, 2, 3, 4])})) == []


# --- overlaps ------------------------------------------------------------------------------------


def test_what_the_same_people_have_under_a_less_strict_flow_and_the_reverse():
    strict, loose = flow(1, name="Strict"), flow(2, name="Loose", approval=None, grant_for=HOUR / 2)

    assert found(strict, loose, offers={1: (1, 2, 3), 2: (2, 3, 4)}) == {
        (1, Fault.UNDERCUT): (
            "3 people can have 2 entitlements of it under “Loose”, too, which is less strict."
        ),
        (2, Fault.UNDERCUTS): (
            "3 people can have 2 entitlements of it under “Strict”, too, which is stricter."
        ),
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"requestors": members_of("dba"), "approval": None}),
        (
            {"request_for": frozenset({SELF})},
            {"request_for": frozenset({REPORTS}), "approval": None},
        ),
        (
            {"request_for": frozenset({OTHERS}), "grantees": these(BEN)},
            {"request_for": frozenset({OTHERS}), "grantees": these(CAT), "approval": None},
        ),
        ({}, {}),
    ],
)
def test_flows_that_are_for_others_or_as_strict_do_not_undercut(first, second):
    said = found(flow(1, **first), flow(2, **second | {"grant_for": 2 * HOUR}))

    assert not {fault for _, fault in said} & {Fault.UNDERCUT, Fault.UNDERCUTS}


@pytest.mark.parametrize(("whom", "grantees"), [({REPORTS}, None), ({OTHERS}, these(BEN, CAT))])
def test_flows_overlap_on_behalf_of_others_too(whom, grantees):
    strict = flow(1, request_for=frozenset(whom), grantees=grantees)
    loose = flow(2, request_for=frozenset(whom), grantees=grantees, approval=None)

    assert {fault for _, fault in found(strict, loose)} >= {Fault.UNDERCUT, Fault.UNDERCUTS}


# --- what never wins -----------------------------------------------------------------------------

BEST = {"approval": None, "grant_for": 2 * HOUR, "name": "Best"}


@pytest.mark.parametrize(
    ("winner", "loses"),
    [
        ({}, True),
        ({"grant_for": None}, True),
        ({"grant_for": HOUR}, True),
        ({"grant_for": HOUR / 2}, False),
        ({"when": NIGHTS}, False),
        ({"requestors": these(ANN, BOB)}, False),
        ({"request_for": frozenset({SELF})}, False),
        ({"approval": BOTH}, False),
    ],
)
def test_a_flow_never_wins_where_another_always_goes_before(winner, loses):
    said = found(flow(1), flow(2, **BEST | winner))

    assert ((1, Fault.NEVER_WINS) in said) is loses
    if loses:
        assert said[1, Fault.NEVER_WINS] == (
            "It is never proposed: whatever it offers, “Best” offers before it."
        )


def test_a_flow_never_wins_either_where_several_together_go_before():
    winners = flow(2, **BEST), flow(3, **BEST | {"name": "Next"})

    both = found(flow(1), *winners, offers={1: (1, 2), 2: (1,), 3: (2, 3)})
    one = found(flow(1), *winners, offers={1: (1, 2, 4), 2: (1,), 3: (2, 3)})

    assert "“Best” and “Next” offer before it" in both[1, Fault.NEVER_WINS]
    assert (1, Fault.NEVER_WINS) not in one


def test_a_bundle_is_asked_for_under_the_flows_that_have_it_alone():
    """Such a flow was said never to win, and was the one that was proposed."""
    said = found(flow(1, targets=(ByBundle("Kit"),)), flow(2, **BEST))

    assert (1, Fault.NEVER_WINS) not in said


def test_what_can_be_asked_for_at_the_same_times_only_is_compared_all_the_same():
    said = found(flow(1, when=NIGHTS), flow(2, **BEST | {"when": NIGHTS}))

    assert (1, Fault.NEVER_WINS) in said


@pytest.mark.parametrize("requestors", [these(ANN), members_of("eng")])
def test_who_is_on_call_at_some_time_only_is_proposed_another_flow_at_others(requestors):
    on_call = ConditionGroup((Condition("on_call", Comparator.IS, ("Nights",)),))
    here = HERE.answering((Schedule("Nights", (Shift(NIGHTS, (ANN, BOB)),)),), {})
    best = flow(2, **BEST | {"requestors": on_call})

    assert (1, Fault.NEVER_WINS) not in found(flow(requestors=requestors), best, here=here)
    assert (1, Fault.NEVER_WINS) in found(flow(requestors=on_call), best, here=here)


FLOWS = st.builds(
    lambda number, who, approval, hours, mfa: flow(
        number,
        requestors=members_of(who),
        request_for=frozenset({SELF}),
        approval=approval,
        grant_for=hours and hours * HOUR,
        require_mfa=mfa,
    ),
    st.integers(1, 9),
    st.sampled_from(["eng", "dba", "sec"]),
    st.sampled_from([None, ApprovalRule((DBAS,)), ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)]),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
)


@settings(deadline=None)
@given(
    st.lists(FLOWS, min_size=2, max_size=5, unique_by=lambda f: f.id),
    st.lists(st.sets(st.integers(1, 3), min_size=1), min_size=5, max_size=5),
)
def test_what_never_wins_is_proposed_to_nobody(flows, offers):
    """For no person, entitlement and time that the flow allows is it the preferred one."""
    known = {f.id: offered for f, offered in zip(flows, offers, strict=False)}
    losers = {id_ for id_, fault in found(*flows, offers=known) if fault is Fault.NEVER_WINS}

    for somebody in HERE.people.values():
        mine = usable(flows, somebody, somebody, HERE)
        for entitlement in (1, 2, 3):
            offering = [f for f in mine if entitlement in known[f.id]]
            for wanted in (HOUR / 2, HOUR, 2 * HOUR, None):
                first = next(iter(allowing(offering, wanted)), None)
                assert first is None or first.id not in losers


# --- how it is asked -----------------------------------------------------------------------------


def test_one_flow_is_looked_at_beside_all_and_progress_is_told():
    told = []

    said = found(
        flow(1),
        flow(2, **BEST),
        of=[1],
        progress=lambda done, every: told.append((done, every)),
    )

    assert {id_ for id_, _ in said} == {1}
    assert told == [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("many", "notify", "odd"),
    [
        (50, DIRECTLY, False),
        (51, DIRECTLY, True),
        (51, Notify(ChannelId("C0ROOM"), directly=False), False),
        (51, Notify(ChannelId("C0ROOM"), directly=True), True),
    ],
)
def test_very_many_are_asked_in_a_channel(many, notify, odd):
    people = [person(f"p{n}") for n in range(many)]
    here = company(*people)
    of = flow(approval=ApprovalRule((approvers(*(p.id for p in people)),)), notify=notify)

    sentence = found(of, here=here).get((1, Fault.CROWD), "")

    assert (f"a message to {many} people" in sentence) is odd


# --- owners --------------------------------------------------------------------------------------


OWNER = Condition("owner", Comparator.IS, ())
OWNERS = replace(DBAS, name="Owners", conditions=ConditionGroup((OWNER,)))


def of_owners(group=OWNERS, **values):
    return flow(approval=ApprovalRule((group,)), **values)


def test_what_has_owners_is_not_spoken_of():
    assert found(of_owners(), owned={("dba", ""): [1, 2], ("nobody", "dan"): [3]}) == {}


def test_what_nobody_owns_who_could_approve():
    owned = {("dba", ""): [1], ("nobody", ""): [2, 9], ("", ""): [3]}

    said = found(of_owners(), owned=owned)[1, Fault.EMPTY_GROUP]
    assert said == "“Owners” has nobody who could approve for 2 entitlements: no owner is known."


def test_owners_who_have_to_fulfil_something_else_too():
    both = replace(OWNERS, conditions=ConditionGroup((OWNER, *DBAS.conditions.conditions)))
    either = replace(both, conditions=replace(both.conditions, join=Connective.OR))
    owned = {("ben", ""): [1, 2], ("dan", ""): [3]}

    assert "1 entitlement" in found(of_owners(both), owned=owned)[1, Fault.EMPTY_GROUP]
    assert found(of_owners(either), owned=owned) == {}


def test_fewer_owners_than_are_needed():
    owned = {("dba", ""): [1], ("ben", ""): [2, 3]}

    said = found(of_owners(replace(OWNERS, needs=2)), owned=owned)[1, Fault.EMPTY_GROUP]
    assert said == "“Owners” needs 2 owners of each, and 2 entitlements have fewer."


@pytest.mark.parametrize(("values", "odd"), [({}, True), ({"self_approval": True}, False)])
def test_who_owns_alone_what_they_may_ask_for(values, odd):
    said = found(of_owners(**values), owned={("ann", ""): [1, 2], ("dba", ""): [3]})

    assert ((1, Fault.OWN_APPROVAL) in said) is odd


def test_distinct_people_are_not_counted_where_it_depends_on_what_is_asked_for():
    rule = ApprovalRule((OWNERS, approvers(BEN)), Quorum.ALL_OF)

    assert found(flow(approval=rule), owned={("ben", ""): [1, 2, 3]}) == {}
