"""Who may request what for whom, under which flow, for how long; and in which words not."""

import itertools
from dataclasses import replace
from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Person, PersonStatus
from engine.eligibility import (
    Bar,
    Draft,
    Inquiry,
    allowing,
    bars,
    by_opening,
    check,
    for_whom,
    grantees,
    in_words,
    not_now,
    offering,
    opening,
    soonest,
    still_granted,
    too_many_open,
    usable,
    why_not,
)
from engine.flow import AccessFlow, ApprovalRule, Quorum, RequestFor
from engine.inventory import IntegrationId
from engine.on_call import Schedule, Shift
from engine.outcome import Code
from engine.request import RequestId, code_of
from engine.targets import Selector
from engine.window import Day, Window
from tests.support.builders import (
    ANN,
    BEN,
    BOB,
    BOTH,
    DAN,
    DAY,
    DBAS,
    EVE,
    HOUR,
    MINUTE,
    NOW,
    ORDERS,
    SECOND,
    SECURITY,
    company,
    entitlement,
    facts,
    flow,
    gone,
    members_of,
    person,
    request,
    these,
)

HERE = company()
SELF, REPORTS, OTHERS = RequestFor.SELF, RequestFor.DIRECT_REPORTS, RequestFor.OTHERS


def draft(of: AccessFlow | None = None, who: str = ANN, whom: str = "", **values: object) -> Draft:
    made = Draft(
        requestor=HERE.people[who],
        grantee=HERE.people[whom or who],
        flow=of or flow(),
        entitlements=(entitlement(),),
        duration=HOUR,
        justification="INC-42",
    )
    return replace(made, **values)  # type: ignore[arg-type]


def code(of: Draft) -> Code | None:
    refusal = check(of, HERE, NOW)
    assert refusal is None or refusal.sentence
    return refusal.code if refusal else None


def may(of: AccessFlow, who: str, whom: str) -> bool:
    return why_not(of, HERE.people[who], HERE.people[whom], HERE) is None


# --- who, for whom -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "whom", "expected"),
    [
        ({SELF}, EVE, True),
        ({SELF}, ANN, False),
        ({REPORTS}, ANN, True),
        ({REPORTS}, EVE, False),
        ({REPORTS}, BEN, False),
        ({OTHERS}, BEN, True),
        ({OTHERS}, DAN, False),
        ({OTHERS}, EVE, False),
        ({SELF, REPORTS, OTHERS}, EVE, True),
        ({REPORTS, OTHERS}, EVE, False),
    ],
)
def test_for_whom_is_exactly_what_the_flow_names(allowed, whom, expected):
    """Reports and others never include oneself, even where their conditions would."""
    of = flow(request_for=frozenset(allowed), grantees=these(BEN, EVE))

    assert may(of, EVE, whom) is expected


def test_others_without_conditions_are_nobody():
    of = flow(request_for=frozenset({OTHERS}))

    assert not any(may(of, EVE, whom) for whom in HERE.people)


@pytest.mark.parametrize(
    ("allowed", "who", "oneself", "groups"),
    [
        ({SELF}, EVE, True, []),
        ({REPORTS}, EVE, False, ["manager is eve"]),
        ({REPORTS}, ANN, False, []),
        ({OTHERS}, ANN, False, ["user is ben"]),
        ({SELF, REPORTS, OTHERS}, EVE, True, ["manager is eve", "user is ben"]),
        ({SELF, REPORTS, OTHERS}, BEN, False, []),
    ],
)
def test_for_whom_somebody_may_ask(allowed, who, oneself, groups):
    of = flow(request_for=frozenset(allowed), grantees=these(BEN))

    asked = [of, of, flow(active=False)], HERE.people[who], HERE
    found, ways = grantees(*asked), for_whom(*asked)

    assert (found.oneself, [str(group) for group in found.groups]) == (oneself, groups)
    assert (SELF in ways, len(ways - {SELF})) == (oneself, len(groups))
    assert bool(found) is (oneself or bool(groups))


def test_the_requestors_conditions_hold_in_every_case():
    of = flow(request_for=frozenset({SELF, OTHERS}), grantees=members_of("eng"))

    assert may(of, ANN, BOB)
    assert not may(of, BEN, BOB)
    assert not may(of, BEN, BEN)


@pytest.mark.parametrize(
    ("requestor", "grantee", "expected"),
    [
        ({}, {}, None),
        ({"status": PersonStatus.INACTIVE}, {}, Code.PERSON_INACTIVE),
        ({"status": PersonStatus.PRE_BOARDING}, {}, Code.PERSON_INACTIVE),
        ({"guest": True}, {}, Code.PERSON_INACTIVE),
        ({}, {"status": PersonStatus.INACTIVE}, Code.PERSON_INACTIVE),
        ({}, {"status": PersonStatus.PRE_BOARDING, "account": None}, None),
        ({}, {"guest": True}, None),
    ],
)
def test_who_asks_is_active_and_who_receives_may_still_be_boarding(requestor, grantee, expected):
    asks, receives = replace(HERE.people[EVE], **requestor), replace(HERE.people[ANN], **grantee)

    refusal = why_not(flow(), asks, receives, HERE)

    assert (refusal.code if refusal else None) is expected


@pytest.mark.parametrize("closed", [{"active": False}, {"deleted": True}])
def test_a_closed_flow_takes_no_requests(closed):
    assert code(draft(flow(**closed))) is Code.FLOW_CLOSED
    assert usable([flow(**closed)], HERE.people[ANN], HERE.people[ANN], HERE) == []


# --- what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (Selector(ORDERS), True),
        (Selector(IntegrationId("other")), False),
        (Selector(ORDERS, types=frozenset({"table"})), True),
        (Selector(ORDERS, types=frozenset({"schema"})), False),
        (Selector(ORDERS, permissions=frozenset({"read"})), True),
        (Selector(ORDERS, permissions=frozenset({"write"})), False),
        (Selector(ORDERS, names=frozenset({"t1"})), True),
        (Selector(ORDERS, names=frozenset({"orders/t1"})), True),
        (Selector(ORDERS, names=frozenset({"t"})), False),
    ],
)
def test_a_selector_selects_by_every_part_that_it_has(selector, expected):
    assert selector.selects(entitlement()) is expected
    assert flow(targets=(selector,)).revision.selects(entitlement()) is expected


def test_names_are_compared_without_case():
    loud = entitlement(name="STRASSE", path="x")

    assert Selector(ORDERS, names=frozenset({"straße".casefold()})).selects(loud)


def test_several_selectors_add_up():
    targets = (
        Selector(ORDERS, names=frozenset({"t1"})),
        Selector(ORDERS, permissions=frozenset({"write"})),
    )
    of = flow(targets=targets).revision

    assert of.selects(entitlement(1))
    assert of.selects(entitlement(2, "write"))
    assert not of.selects(entitlement(2))


def test_what_is_gone_is_offered_by_nobody():
    assert offering([flow()], entitlement()) == [flow()]
    assert offering([flow()], gone()) == []


@pytest.mark.parametrize(
    ("thing", "barred"),
    [(entitlement(), False), (gone(), True), (entitlement(1, "write"), True)],
    ids=["there", "gone", "not selected"],
)
def test_what_a_flow_offers_is_selected_and_there(thing, barred):
    readers = flow(targets=(Selector(ORDERS, permissions=frozenset({"read"})),))
    asked = Inquiry(HERE.people[ANN], HERE.people[ANN], HERE, thing)

    assert list(bars(readers, asked)) == ([Bar.OFFER] if barred else [])


@pytest.mark.parametrize(
    ("entitlements", "expected"),
    [
        ((), Code.NOTHING_SELECTED),
        ((gone(),), Code.RESOURCE_GONE),
        ((entitlement(1), gone(2)), Code.RESOURCE_GONE),
        ((entitlement(1), entitlement(2, "write")), Code.NOT_ELIGIBLE),
        (tuple(entitlement(n) for n in range(50)), None),
        (tuple(entitlement(n) for n in range(51)), Code.TOO_MANY),
    ],
    ids=["nothing", "gone", "one gone", "not offered", "50", "51"],
)
def test_everything_selected_is_tested_at_submission(entitlements, expected):
    reads = flow(targets=(Selector(ORDERS, permissions=frozenset({"read"})),))

    assert code(draft(reads, entitlements=entitlements)) is expected


def test_who_selects_more_than_50_things_is_told_how_many_there_may_be():
    """The limit was read from the code under test: whatever it was, it was right."""
    refusal = check(
        draft(flow(), entitlements=tuple(entitlement(n) for n in range(60))), company(), NOW
    )

    assert refusal.sentence == "A request has at most 50 entitlements; this has 60."
    assert refusal.about == "entitlement"


# --- how long, why -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "duration", "expected"),
    [
        (HOUR, HOUR, None),
        (HOUR, HOUR + SECOND, Code.BAD_DURATION),
        (HOUR, 5 * MINUTE, None),
        (HOUR, 5 * MINUTE - SECOND, Code.BAD_DURATION),
        (HOUR, timedelta(), Code.BAD_DURATION),
        (HOUR, -HOUR, Code.BAD_DURATION),
        (HOUR, None, Code.BAD_DURATION),
        (None, None, None),
        (None, 365 * DAY, None),
        (None, MINUTE, Code.BAD_DURATION),
        (5 * MINUTE, 5 * MINUTE, None),
        (365 * DAY, 365 * DAY, None),
    ],
)
def test_a_duration_lies_between_5_minutes_and_the_flows_limit(limit, duration, expected):
    assert code(draft(flow(grant_for=limit), duration=duration)) is expected
    if duration is None or duration >= 5 * MINUTE:
        assert bool(allowing([flow(grant_for=limit)], duration)) is (expected is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Code.JUSTIFICATION_NEEDED),
        (" \n\t\u00a0", Code.JUSTIFICATION_NEEDED),
        ("\u200b\u202e\ufeff", Code.JUSTIFICATION_NEEDED),
        ("\u3164\u2800", Code.JUSTIFICATION_NEEDED),
        ("\N{WAVING WHITE FLAG}\ufe0f\u200d\N{RAINBOW}", None),
        ("x" * 1000, None),
        (" " + "x" * 1000 + "\n", None),
        ("x" * 1001, Code.TEXT_TOO_LONG),
        ("\N{GRINNING FACE}" * 1000, None),
        ("e\u0301" * 500, None),
        ("e\u0301" * 501, Code.TEXT_TOO_LONG),
    ],
    ids=[
        "none",
        "blank",
        "invisible",
        "fillers",
        "one emoji of many",
        "1000",
        "trimmed",
        "1001",
        "emoji",
        "combined",
        "combined too long",
    ],
)
def test_a_justification_is_counted_in_code_points_after_trimming(text, expected):
    """Characters that nobody sees, such as a zero-width space, passed as a justification."""
    assert code(draft(justification=text)) is expected


def test_an_optional_justification_may_be_missing_but_not_endless():
    of = flow(require_justification=False)

    assert code(draft(of, justification="")) is None
    assert code(draft(of, justification="x" * 1001)) is Code.TEXT_TOO_LONG


def test_a_refusal_names_the_field_that_it_is_about():
    refusals = [
        check(draft(entitlements=()), HERE, NOW),
        check(draft(duration=DAY), HERE, NOW),
        check(draft(justification=""), HERE, NOW),
    ]

    assert [r.about for r in refusals if r] == ["entitlement", "duration", "justification"]


@pytest.mark.parametrize(
    ("waiting", "most", "said"),
    [
        (0, 1, None),
        (19, 20, None),
        (1, 1, "wait already: {0}. Nobody can have more than 1 "),
        (5, 5, "wait already: {0}, {1}, {2}, {3}, {4}. Nobody can have more than 5 "),
        (20, 20, "{3}, {4} and 15 more. Nobody can have more than 20 "),
        (40, 20, "{3}, {4} and 35 more. Nobody can have more than 20 "),
    ],
)
def test_one_more_than_may_be_open_is_refused_and_says_which_wait(waiting, most, said):
    ids = [RequestId(n) for n in range(7, 7 + waiting)]

    refusal = too_many_open(ids, most)

    assert (refusal is None) is (said is None)
    if refusal:
        assert refusal.code is Code.TOO_MANY_OPEN
        assert said.format(*map(code_of, ids)) in refusal.sentence


# --- which flow ----------------------------------------------------------------------------------

ANY = ApprovalRule((DBAS, SECURITY))
IN_ORDER = (
    flow(9, approval=None, grant_for=5 * MINUTE),
    flow(8, approval=None, require_mfa=True),
    flow(7, approval=ANY, grant_for=None),
    flow(6, approval=ANY, grant_for=2 * HOUR),
    flow(3, approval=ANY),
    flow(4, approval=ANY),
    flow(2, approval=BOTH),
    flow(1, approval=ANY, require_mfa=True, grant_for=None),
)


@given(st.permutations(IN_ORDER))
def test_the_preferred_flow_comes_first(shuffled):
    """Automatic; without MFA; fewer decisions; longest; older."""
    found = usable(shuffled, HERE.people[ANN], HERE.people[ANN], HERE)

    assert [f.id for f in found] == [f.id for f in IN_ORDER]


ALL_TWO = ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)
THREE = ApprovalRule((DBAS, SECURITY, DBAS), Quorum.ALL_OF)
TWO_DBAS, TWO_OF_SECURITY = replace(DBAS, needs=2), replace(SECURITY, needs=2)
BEST = {"approval": None, "require_mfa": False, "grant_for": None}

# Of each pair the first goes before the second by this rule, although all later rules speak
# against it.
RULES = {
    "automatic before approval": (
        flow(9, approval=None, require_mfa=True, grant_for=5 * MINUTE),
        flow(1, **BEST | {"approval": ANY}),
    ),
    "fewer codes before more": (
        flow(9, approval=THREE, grant_for=5 * MINUTE),
        flow(1, approval=ANY, require_mfa=True, grant_for=None),
    ),
    "one of many groups before all of two": (
        flow(9, approval=ANY, grant_for=5 * MINUTE),
        flow(1, approval=ALL_TWO, grant_for=None),
    ),
    "all of two before all of three": (
        flow(9, approval=ALL_TWO, grant_for=5 * MINUTE),
        flow(1, approval=THREE, grant_for=None),
    ),
    "any of: the smallest number needed": (
        flow(9, approval=ApprovalRule((replace(DBAS, needs=5), SECURITY)), grant_for=5 * MINUTE),
        flow(1, approval=ApprovalRule((TWO_DBAS, TWO_OF_SECURITY)), grant_for=None),
    ),
    "all of: the sum of the numbers needed": (
        flow(9, approval=THREE, grant_for=5 * MINUTE),
        flow(1, approval=ApprovalRule((TWO_DBAS, TWO_OF_SECURITY), Quorum.ALL_OF), grant_for=None),
    ),
    "longer before shorter": (flow(9, grant_for=2 * HOUR), flow(1, grant_for=HOUR)),
    "without end before any time": (flow(9, grant_for=None), flow(1, grant_for=365 * DAY)),
    "older before younger": (flow(1, name="Z"), flow(9, name="A")),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_of_the_order_decides_whatever_the_later_ones_say(rule):
    first, second = RULES[rule]

    for flows in ([first, second], [second, first]):
        found = usable(flows, HERE.people[ANN], HERE.people[ANN], HERE)
        assert [f.id for f in found] == [first.id, second.id]


def test_preference_survives_offering_and_allowing():
    found = usable(IN_ORDER, HERE.people[ANN], HERE.people[ANN], HERE)

    assert [f.id for f in allowing(offering(found, entitlement()), 2 * HOUR)] == [7, 6, 1]


def test_flows_add_up_and_none_restricts_another():
    narrow = flow(1, requestors=members_of("sec"))

    for flows in itertools.permutations([narrow, flow(2)]):
        found = usable(flows, HERE.people[ANN], HERE.people[ANN], HERE)
        assert [f.id for f in found] == [2]


# --- when ----------------------------------------------------------------------------------------
# It is Monday, 09:00 in London and 10:00 in Berlin.

WEEK = frozenset(Day)
NIGHTS = Window(WEEK, time(22), time(6), "Europe/Berlin")
SUNDAYS = Window(frozenset({Day.SUNDAY}), time(9), time(12), "Europe/London")
MORNINGS = Window(WEEK, time(9), time(12), "Europe/London")


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (None, ""),
        (MORNINGS, ""),
        (NIGHTS, "from Mon 22:00"),
        (SUNDAYS, "from Sun 09:00"),
        (replace(NIGHTS, zone="Atlantis/City"), "never"),
        (replace(NIGHTS, days=frozenset()), "never"),
    ],
)
def test_outside_its_window_a_flow_says_from_when_it_can_be_asked_for(window, said):
    assert opening(flow(when=window), NOW) == said


def test_outside_its_window_nothing_can_be_submitted():
    """The sentence names the days and hours, and the zone whose clocks it speaks of."""
    nightly = flow(when=NIGHTS)

    refusal = check(draft(nightly), HERE, NOW)

    assert refusal == not_now(nightly, NOW)
    assert refusal.code is Code.OUTSIDE_WINDOW
    assert refusal.sentence == (
        "“Read orders” can be asked for from Mon 22:00 (every day 22:00–06:00 Europe/Berlin)."
    )
    assert check(draft(nightly), HERE, NOW + 12 * HOUR) is None


def test_who_may_not_ask_at_all_is_not_told_when():
    assert code(draft(flow(when=NIGHTS), BEN)) is Code.NOT_ELIGIBLE


def test_outside_its_window_a_flow_is_usable_all_the_same():
    """Its things are listed, with when they can be asked for."""
    assert [f.id for f in usable([flow(when=NIGHTS)], HERE.people[ANN], HERE.people[ANN], HERE)]


def test_flows_are_told_apart_by_when_they_open():
    flows = [
        flow(1, when=SUNDAYS),
        flow(2, when=NIGHTS),
        flow(3),
        flow(4, when=MORNINGS),
        flow(5, when=NIGHTS),
        flow(6, when=replace(NIGHTS, zone="")),
    ]

    opened = [(when, [f.id for f in some]) for when, some in by_opening(flows, NOW)]

    assert opened == [
        ("", [3, 4]),
        ("from Mon 22:00", [2, 5]),
        ("from Sun 09:00", [1]),
        ("never", [6]),
    ]
    assert by_opening([], NOW) == []


def test_what_is_open_goes_before_what_is_preferred():
    flows = [flow(2, when=SUNDAYS), flow(3, when=NIGHTS), flow(4), flow(5, when=MORNINGS)]

    assert [f.id for f in soonest(flows, NOW)] == [4, 5]
    assert [f.id for f in soonest(flows[:2], NOW)] == [3]
    assert soonest([], NOW) == []


def test_the_window_is_not_tested_at_the_grant():
    """An approval, and what it gives, may run past it."""
    of = flow(when=NIGHTS)

    assert not still_granted(request(of), request(of).grants[0], facts(of), NOW)


# --- at the grant --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "people", "known", "why"),
    [
        ({}, (), entitlement(), ""),
        ({}, (), None, "no longer exists"),
        ({}, (), gone(), "no longer exists"),
        ({"targets": (Selector(ORDERS, names=frozenset({"t9"})),)}, (), entitlement(), "not offer"),
        ({}, (person("ann"),), entitlement(), "no longer open to Ann"),
        ({}, (person("ann", "eng", guest=True),), entitlement(), "no longer active"),
        (
            {"request_for": frozenset({REPORTS})},
            (),
            entitlement(),
            "no longer open for Ann",
        ),
    ],
)
def test_asked_again_at_the_grant(values: dict, people: tuple[Person, ...], known, why):
    of = flow(**values)

    truth = facts(of, *people, entitlements=[known] if known else [])
    asked = request(of, 1 if known else 9)

    said = still_granted(asked, asked.grants[0], truth, NOW)

    assert why in said
    assert bool(said) is bool(why)


def test_what_a_flow_offers_by_now_alone_is_to_be_asked_for_anew():
    """It was said not to offer it, which was not so."""
    asked = flow(targets=(Selector(ORDERS, names=frozenset({"t9"})),))
    truth = replace(facts(asked), flow=flow())

    said = still_granted(request(asked), request(asked).grants[0], truth, NOW)

    assert said.endswith("offers it otherwise than when it was asked for. Ask again.")


def test_a_flow_that_closed_meanwhile_does_not_stop_the_grant():
    """What was approved is given: only new requests need an open flow."""
    of = flow(active=False, deleted=True)

    assert not still_granted(request(of), request(of).grants[0], facts(of), NOW)


def test_who_is_on_call_no_more_is_given_nothing():
    """Tested at the submission, and again at the grant."""
    day = Window(frozenset(Day), time(9), time(10), "UTC")
    duty = HERE.answering([Schedule("DBA", (Shift(day, (ANN,)),))], {})
    of = flow(requestors=ConditionGroup((Condition("on_call", Comparator.IS, ("DBA",)),)))
    truth = facts(of, directory=duty)

    assert check(draft(of), duty, NOW) is None
    assert not still_granted(request(of), request(of).grants[0], truth, NOW)
    later = NOW + HOUR
    assert check(draft(of), duty, later).code is Code.NOT_ELIGIBLE
    said = still_granted(request(of), request(of).grants[0], truth, later)
    assert "no longer open to Ann" in said


@pytest.mark.parametrize(("named", "fine"), [("orders/t1", True), ("orders/t2", False)])
def test_what_is_called_otherwise_by_now_is_not_what_was_approved(named: str, *, fine: bool):
    """What was approved was a number: a thing that was renamed meanwhile was given in its place."""
    grant = replace(request().grants[0], named=named)

    said = still_granted(request(), grant, facts(), NOW)

    assert bool(said) is not fine
    assert fine or said == "It is called orders/t1 now; orders/t2 was approved. Ask again."


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (None, "without end"),
        (timedelta(), "under a minute"),
        (5 * MINUTE, "5 min"),
        (HOUR, "1 h"),
        (HOUR + 5 * MINUTE, "1 h 05"),
        (2 * HOUR + 30 * MINUTE, "2 h 30"),
        (DAY, "1 day"),
        (DAY + 30 * MINUTE, "1 day 30 min"),
        (3 * DAY + HOUR, "3 days 1 h"),
        (365 * DAY, "365 days"),
    ],
)
def test_a_duration_is_said_as_people_say_it(duration, words):
    assert in_words(duration) == words
