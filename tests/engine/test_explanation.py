"""Why somebody can have something or not, in words: each reason, each kind of condition."""

from dataclasses import replace
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, Connective, matches
from engine.directory import Directory, Group, PersonId, PersonStatus
from engine.eligibility import Bar, Bundled, Inquiry, may_know, verdicts, why_not
from engine.explanation import each_condition, explain, joined, people_of
from engine.flow import AccessFlow, ApprovalRule, Quorum, RequestFor
from engine.inventory import IntegrationId
from engine.on_call import Schedule, Shift
from engine.policy import Policy
from engine.targets import ByBundle, Selector
from engine.window import Day, Window
from tests.support.builders import (
    ANN,
    BEN,
    BOB,
    CAT,
    DAN,
    DBAS,
    EVE,
    HOUR,
    MINUTE,
    NOW,
    SECURITY,
    company,
    entitlement,
    flow,
    gone,
    group_id,
    left,
    members_of,
    person,
    these,
)

HERE = company()
KIT = (ByBundle("Kit"),)
REPORTS, OTHERS = RequestFor.DIRECT_REPORTS, RequestFor.OTHERS
WINDOW = Window(frozenset(Day), time(22), time(23), "Europe/London")
IS, IS_NOT = Comparator.IS, Comparator.IS_NOT
CONTAINS, STARTS = Comparator.CONTAINS, Comparator.STARTS_WITH
NOT_CONTAINS = Comparator.DOES_NOT_CONTAIN


def group(*conditions: tuple[str, Comparator, tuple[str, ...]], join=Connective.AND):
    return ConditionGroup(tuple(Condition(*each) for each in conditions), join)


def question(who: str = BEN, whom: str = "", directory: Directory = HERE, **values: object):
    people = directory.people
    asked = Inquiry(people[who], people[whom or who], directory, entitlement(), NOW)
    return replace(asked, **values)


def explained(flows: list[AccessFlow], asked: Inquiry, *, you: bool = True) -> tuple[str, ...]:
    found = verdicts(flows, asked)
    return explain(asked, [v for v in found if Bar.OFFER not in v.bars], you=you).lines


# --- can -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"approval": None}, "at once, under “Read orders”, at most 1 h."),
        ({"grant_for": None}, "approved by DBAs, under “Read orders”, without end."),
        (
            {"approval": ApprovalRule((DBAS, SECURITY))},
            "approved by any of DBAs and Security, under “Read orders”, at most 1 h.",
        ),
        (
            {"approval": ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)},
            "approved by all of DBAs and Security, under “Read orders”, at most 1 h.",
        ),
        (
            {"when": WINDOW, "approval": None},
            (
                "from Mon 22:00 (every day 22:00–23:00 Europe/London), at once, "
                "under “Read orders”, at most 1 h."
            ),
        ),
    ],
)
def test_who_can_is_told_how(values, said):
    assert explained([flow(**values)], question(ANN)) == (
        f"You can have read on orders/t1: {said}",
    )


def test_under_several_flows_each_is_a_line_the_preferred_first():
    slow, fast = flow(1, name="Slow"), flow(2, name="Fast", approval=None)
    closed = flow(3, name="No", requestors=members_of("dba"))

    assert explained([slow, closed, fast], question(ANN)) == (
        "You can have read on orders/t1:",
        "at once, under “Fast”, at most 1 h.",
        "approved by DBAs, under “Slow”, at most 1 h.",
    )


def test_for_somebody_else_it_names_them():
    assert explained([flow()], question(EVE, ANN)) == (
        (
            "You can request read on orders/t1 for Ann: approved by DBAs, under “Read orders”, "
            "at most 1 h."
        ),
    )


@pytest.mark.parametrize(
    ("whom", "said"),
    [
        ({REPORTS}, "orders/t1, but can request it for your reports: “Read orders” is not for"),
        ({OTHERS}, "orders/t1, but can request it for others: “Read orders” is not for oneself"),
        ({REPORTS, OTHERS}, ", but can request it for your reports and others: “Read orders”"),
    ],
)
def test_who_can_request_for_others_alone_is_told_so(whom, said):
    """A lead was told that they cannot have it, and nothing else."""
    of = flow(request_for=frozenset(whom), grantees=these(BEN))

    assert said in explained([of], question(EVE))[0]
    assert (
        "but can request it for their"
        in explained(
            [replace(of, revision=replace(of.revision, request_for=frozenset({REPORTS})))],
            question(EVE),
            you=False,
        )[0]
    )
    assert "but can" not in explained([of], question(DAN))[0]


def test_who_explains_to_somebody_else_names_who_asks():
    can, cannot = question(ANN), question(BEN)

    assert explained([flow()], can, you=False)[0].startswith("Ann can have read on orders/t1: ")
    assert explained([flow()], cannot, you=False) == (
        "Ben cannot have read on orders/t1: “Read orders” is for eng; Ben is in dba.",
    )


# --- cannot: each bar ----------------------------------------------------------------------------

REPORTS, OTHERS = RequestFor.DIRECT_REPORTS, RequestFor.OTHERS


@pytest.mark.parametrize(
    ("of", "who", "whom", "bars", "said"),
    [
        (flow(), BEN, BEN, [Bar.REQUESTORS], "is for eng; you are in dba"),
        (flow(active=False), ANN, ANN, [Bar.CLOSED], "is switched off"),
        (
            flow(request_for=frozenset({REPORTS})),
            ANN,
            ANN,
            [Bar.GRANTEE],
            "is not for oneself: it can be asked for those who report to whoever asks",
        ),
        (
            flow(request_for=frozenset({REPORTS, OTHERS}), grantees=members_of("sec")),
            EVE,
            BEN,
            [Bar.GRANTEE],
            (
                "is not for Ben: it can be asked for those who report to whoever asks or sec; "
                "Ben is in dba"
            ),
        ),
        (
            flow(request_for=frozenset()),
            ANN,
            ANN,
            [Bar.GRANTEE],
            "is not for oneself: it can be asked for nobody",
        ),
        (
            flow(requestors=members_of("sec"), when=WINDOW),
            BEN,
            BEN,
            [Bar.REQUESTORS, Bar.TIME],
            (
                "is for sec; you are in dba; and it can be asked for from Mon 22:00 "
                "(every day 22:00–23:00 Europe/London)"
            ),
        ),
    ],
)
def test_who_cannot_is_told_each_thing_that_keeps_them(of, who, whom, bars, said):
    asked = question(who, whom)
    whose = "have read on orders/t1"
    if who != whom:
        whose = f"request read on orders/t1 for {HERE.people[whom].name}"

    (verdict,) = verdicts([of], asked)
    assert list(verdict.bars) == bars
    assert explained([of], asked) == (f"You cannot {whose}: “Read orders” {said}.",)


@pytest.mark.parametrize(
    ("changed", "who", "whom", "said"),
    [
        (person("ann", "eng", guest=True), "ann", "ann", "for active members of the company"),
        (left("ann", "eng", manager=EVE), "eve", "ann", "for nobody who has left, as Ann has"),
        (
            replace(person("ann", "eng"), readable=False),
            "ann",
            "ann",
            "is for active members of the company, and for no guests; and it is for eng",
        ),
    ],
)
def test_whose_status_keeps_them_is_told_so(changed, who, whom, said):
    here = company(changed)

    (line,) = explained([flow()], question(who, whom, here))

    assert said in line


def test_what_no_flow_offers_is_told_as_that_and_what_is_gone_as_gone():
    other = flow(targets=(Selector(IntegrationId("other")),))

    assert explained([other], question(ANN)) == (
        "You cannot have read on orders/t1: no access flow that you may know of offers it.",
    )
    assert explained([flow()], question(ANN, entitlement=gone())) == (
        "You cannot have read on orders/t1: it is no longer there, or no longer offered.",
    )


@pytest.mark.parametrize(
    ("of", "size", "said"),
    [
        (flow(targets=KIT), 1000, "You can have the bundle “Kit”: approved by DBAs, under"),
        (flow(targets=KIT), 1001, "“Read orders” offers 1,001 entitlements of it, and a request"),
        (flow(targets=KIT), 0, "“Read orders” offers nothing that is in it just now."),
        (flow(targets=KIT, requestors=members_of("sec")), 5, "“Read orders” is for sec; you are"),
        (flow(), 5, "no access flow that you may know of offers it."),
    ],
)
def test_a_bundle_is_explained_as_one_thing(of, size, said):
    asked = question(ANN, entitlement=None, bundle=Bundled("Kit", {of.id: size}))

    (line,) = explained([of], asked)

    assert said in line


def test_several_flows_that_keep_somebody_out_are_a_line_each():
    flows = [flow(1), flow(2, name="Check", requestors=members_of("sec"))]

    assert explained(flows, question(BEN)) == (
        "You cannot have read on orders/t1:",
        "“Read orders” is for eng; you are in dba.",
        "“Check” is for sec; you are in dba.",
    )


def test_of_many_flows_ten_are_told_and_the_rest_is_counted():
    flows = [flow(n, name=f"Flow {n}") for n in range(1, 14)]

    for who in (ANN, BEN):
        lines = explained(flows, question(who))
        assert len(lines) == 12
        assert "Flow 10" in lines[10]
        assert lines[11] == "likewise 3 more access flows."


# --- conditions ----------------------------------------------------------------------------------


def test_who_is_left_out_by_name_is_not_told_to_be_one_of_those_it_is_for():
    """“… and who are not Ann; you are one of them”, as if it were for her."""
    but_ann = group(("group", IS, (group_id("eng"),)), ("user", IS_NOT, (ANN,)))

    assert explained([flow(requestors=but_ann)], question(ANN)) == (
        (
            "You cannot have read on orders/t1: “Read orders” is for people who are in eng, and "
            "who are not Ann; you are one of those left out."
        ),
    )


KIM = person(
    "kim",
    "eng",
    "dba",
    manager=PersonId("eve"),
    attributes={"title": ("Engineer",), "languages": ("Dutch", "French")},
)
ALONE = person("lone")
SHIFTS = (Schedule("Nights", (Shift(Window(frozenset(Day), time(0), time(0), "UTC"), (KIM.id,)),)),)


@pytest.mark.parametrize(
    ("condition", "wanted", "kim", "alone"),
    [
        (("user", IS, ("ann", "bob")), "who are Ann or Bob", "none of them", "none of them"),
        (
            ("user", IS_NOT, ("kim",)),
            "who are not Kim",
            "one of those left out",
            "none of those left out",
        ),
        (
            ("user", NOT_CONTAINS, ("Ki",)),
            "whose name or address does not contain “Ki”",
            "one of those left out",
            "none of those left out",
        ),
        (
            ("user", CONTAINS, ("K", "x")),
            "whose name or address contains “K” or “x”",
            "one of them",
            "one of them",
        ),
        (("group", IS, ("file:eng",)), "who are in eng", "in dba and eng", "in no group"),
        (("group", IS_NOT, ("file:eng",)), "who are not in eng", "in dba and eng", "in no group"),
        (
            ("group", CONTAINS, ("en",)),
            "who are in a group whose name contains “en”",
            "in dba and eng",
            "in no group",
        ),
        (
            ("group", STARTS, ("en",)),
            "who are in a group whose name starts with “en”",
            "in dba and eng",
            "in no group",
        ),
        (
            ("group", NOT_CONTAINS, ("en",)),
            "who are in no group whose name contains “en”",
            "in dba and eng",
            "in no group",
        ),
        (("manager", IS, ("eve",)), "whose manager is Eve", "manager is Eve", "no manager"),
        (("manager", IS_NOT, ("eve",)), "whose manager is not Eve", "manager is Eve", "no manager"),
        (
            ("manager", STARTS, ("ev",)),
            "whose manager's name or address starts with “ev”",
            "manager is Eve",
            "no manager",
        ),
        (
            ("on_call", IS, ("Nights",)),
            "who are on call for Nights",
            "on call for Nights",
            "not on call",
        ),
        (
            ("on_call", IS_NOT, ("Days",)),
            "who are on call, but not for Days",
            "on call for Nights",
            "not on call",
        ),
        (
            ("on_call", CONTAINS, ("ni",)),
            "who are on call for what has a name that contains “ni”",
            "on call for Nights",
            "not on call",
        ),
        (
            ("title", IS, ("Engineer", "Lead")),
            "whose title is Engineer or Lead",
            "title is Engineer",
            "title is not known",
        ),
        (
            ("languages", IS_NOT, ("Dutch",)),
            "whose languages is not Dutch",
            "languages is Dutch or French",
            "languages is not known",
        ),
        (
            ("title", NOT_CONTAINS, ("eng",)),
            "whose title does not contain “eng”",
            "title is Engineer",
            "title is not known",
        ),
    ],
)
def test_each_condition_says_whom_it_wants_and_what_somebody_is(condition, wanted, kim, alone):
    here = replace(company(KIM, ALONE), schedules=SHIFTS).at(NOW)
    wants = group(condition)

    for one, has in ((KIM, kim), (ALONE, alone)):
        (said,) = each_condition(wants, one, here, you=True)
        assert said.wanted == wanted
        assert said.has.endswith(has)
        assert said.holds is matches(wants, one, here)
        (named,) = each_condition(wants, one, here, you=False)
        assert named.has.startswith(one.name)


@pytest.mark.parametrize(
    ("wants", "said"),
    [
        (members_of("eng"), "eng"),
        (group(("group", IS, ("file:eng", "file:dba"))), "eng and dba"),
        (
            group(("group", IS, ("file:eng",)), ("title", IS, ("Lead",)), join=Connective.OR),
            "people who are in eng, or whose title is Lead",
        ),
        (
            group(("group", IS, ("file:eng",)), ("title", IS, ("Lead",))),
            "people who are in eng, and whose title is Lead",
        ),
        (group(), "nobody"),
        (group(("user", IS, ("ghost",))), "people who are somebody who is not known"),
        (group(("group", IS, ("file:ghost",))), "file:ghost"),
    ],
)
def test_whom_conditions_select_in_words(wants, said):
    assert people_of(wants, HERE) == said


def test_only_the_conditions_that_fail_are_told_and_each_once():
    wants = group(
        ("group", IS, ("file:eng",)),
        ("group", IS_NOT, ("file:dba",)),
        ("title", IS, ("Lead",)),
    )
    here = company(KIM)

    (line,) = explained([flow(requestors=wants)], question("kim", directory=here))

    assert line.endswith("; you are in dba and eng, your title is Engineer.")


def test_of_the_spec_s_example_it_says_the_same():
    names = {"eng": "Engineering", "data": "Data", "support": "Support"}
    groups = [Group(group_id(key), "file", name) for key, name in names.items()]
    here = Directory.of([person("kofi", "support")], groups)
    wants = group(("group", IS, (group_id("eng"), group_id("data"))))
    payments = entitlement(path="payments")
    of = flow(name="Read payments", requestors=wants)

    assert explained([of], question("kofi", directory=here, entitlement=payments)) == (
        (
            "You cannot have read on payments: “Read payments” is for Engineering and Data; "
            "you are in Support."
        ),
    )


def test_where_groups_cannot_be_read_that_is_the_reason():
    here = replace(HERE, failing={"file": NOW})
    of = flow(requestors=group(("group", IS_NOT, ("file:dba",))))

    (line,) = explained([of], question(ANN, directory=here))

    assert "not all is known of groups just now" in line


def test_of_many_the_rest_is_counted():
    assert joined([]) == ""
    assert joined("a") == "a"
    assert joined("abcde") == "a, b, c, d or e"
    assert joined("abcdefg", last="and") == "a, b, c, d, e and 2 more"


# --- what may be known ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "who", "known"),
    [
        ({}, BEN, True),
        ({"listed": False}, BEN, False),
        ({"listed": False}, ANN, True),
        ({"active": False}, BEN, False),
        ({"active": False}, ANN, True),
        ({"active": False, "listed": False}, ANN, True),
        ({"space": "Payments"}, BEN, False),
        ({"space": "Payments"}, ANN, True),
        ({"deleted": True}, ANN, False),
        ({"readable": False}, ANN, False),
    ],
)
def test_whoever_may_ask_knows_of_a_flow_and_others_if_it_is_listed(values, who, known):
    assert may_know(flow(**values), HERE.people[who], HERE) is known


@pytest.mark.parametrize(
    "changed",
    [
        person("ann", "eng", guest=True),
        person("ann", "eng", status=PersonStatus.PRE_BOARDING),
        left("ann", "eng"),
    ],
)
def test_who_may_ask_for_nothing_knows_of_nothing(changed):
    assert not may_know(flow(), changed, company(changed))


# --- one function --------------------------------------------------------------------------------

PEOPLE = st.sampled_from([ANN, BOB, EVE, BEN, CAT, DAN])
FLOWS = st.builds(
    lambda number, who, whom, active, approval, window: flow(
        number,
        active=active,
        requestors=members_of(who),
        request_for=frozenset(whom),
        grantees=these(BEN, DAN),
        approval=approval,
        when=window,
        grant_for=HOUR + number * MINUTE,
    ),
    st.integers(1, 9),
    st.sampled_from(["eng", "dba", "sec"]),
    st.sets(st.sampled_from(RequestFor)),
    st.booleans(),
    st.sampled_from([None, ApprovalRule((DBAS,)), ApprovalRule((DBAS, SECURITY))]),
    st.sampled_from([None, WINDOW]),
)


@given(st.lists(FLOWS, max_size=5, unique_by=lambda f: f.id), PEOPLE, PEOPLE)
def test_what_is_explained_is_what_the_form_offers(flows, who, whom):
    """A picker that offered something, and a reason why one cannot have it, contradicted."""
    policy, people = Policy(flows, HERE), HERE.people
    asked = question(who, whom)

    found = policy.verdicts(asked)

    offered = policy.offering(people[who], people[whom], entitlement(), NOW)
    assert {f.id for f in offered} == {v.flow.id for v in found if v.sometime}
    now = [v.flow for v in found if not v.bars]
    assert now == [f for f in offered if f.revision.when is None]
    for verdict in found:
        if Bar.OFFER not in verdict.bars:
            people_bars = {*verdict.bars} - {Bar.TIME}
            refused = why_not(verdict.flow, people[who], people[whom], HERE)
            assert (refused is None) is not people_bars
    assert explain(asked, found, you=True).may is bool(offered)
