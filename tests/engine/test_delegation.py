"""Lending the right to approve: who is asked and may decide by it, and who counts as one person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import approval, units
from engine.commands import Approve, PutQuestion, Reject, Revoke
from engine.delegating import LONGEST, Lending, Why, begin, may_end, moment, over, read
from engine.directory import Delegation, DelegationId, Directory, PersonId
from engine.flow import ApprovalRule, ApproverGroup, Escalation, Quorum
from engine.outcome import Code, Decision, Refusal
from engine.ownership import Owned
from engine.request import Approval as Given
from engine.request import GrantId, Seat, State
from engine.seating import Case, acts_for
from engine.units import divided, in_place_of
from tests.engine.test_owners import OWNERS
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
    DBAS,
    EVE,
    HOUR,
    NOW,
    SECOND,
    SECURITY,
    Life,
    approvers,
    begun,
    company,
    flow,
    left,
    members_of,
    person,
    revision,
    slack_guest,
    unreachable,
)

TWO_DBAS = ApproverGroup("DBAs", members_of("dba"), needs=2)


def lent(by: PersonId, to: PersonId, **changes: object) -> Delegation:
    made = Delegation(DelegationId(1), by, to, NOW - HOUR, NOW + DAY, "leave")
    return replace(made, **changes)


def lending(*pairs: tuple[PersonId, PersonId] | Delegation, of: Directory | None = None):
    made = [p if isinstance(p, Delegation) else lent(*p) for p in pairs]
    return (of or company()).lending(made).at(NOW)


def case(*groups: ApproverGroup, here: Directory, join=Quorum.ANY_OF, distinct=True, **values):
    tiers = values.pop("tiers", ())
    rules = revision(
        approval=ApprovalRule(groups, join, distinct),
        escalation=Escalation(HOUR, tiers) if tiers else None,
        self_approval=values.pop("self_approval", False),
    )
    return replace(Case(rules, ANN, ANN, here, ADMINS), **values)


def seats(of: Case, who: PersonId) -> set[str]:
    return {s.key for s in approval.seats(of, of.directory.people[who])}


def asked(of: Case) -> dict[str, str]:
    return {a.person: a.why for a in approval.asks(of, ()) if a.open}


def given_by(of: Case, *people: PersonId) -> Case:
    for who in people:
        somebody = of.directory.people[who]
        sat = approval.seats(of, somebody)
        assert sat, who
        one_with = tuple(d.delegator for d in of.directory.received_by(who))
        made = Given(who, sat, NOW, through=acts_for(of, sat, somebody), one_with=one_with)
        of = replace(of, approvals=(*of.approvals, made))
    return of


# --- who is asked, and may -----------------------------------------------------------------------


def test_the_delegate_is_asked_in_addition_and_told_for_whom():
    of = case(DBAS, here=lending((BEN, BOB)))

    assert seats(of, BOB) == {"group/0"}
    assert asked(of) == {
        BEN: "DBAs",
        CAT: "DBAs",
        BOB: "DBAs, for Ben until Tue 3 Mar 09:00",
    }


def test_who_sits_there_anyway_is_asked_as_that():
    of = case(DBAS, here=lending((BEN, CAT)))

    assert asked(of) == {BEN: "DBAs", CAT: "DBAs"}
    assert acts_for(of, [Seat(0)], of.directory.people[CAT]) == ()


def test_it_is_for_two_that_one_acts():
    of = case(DBAS, here=lending((BEN, BOB), (CAT, BOB)))

    assert asked(of)[BOB].count("for ") == 2


@pytest.mark.parametrize("at", [NOW + DAY, NOW + DAY + SECOND])
def test_from_its_end_on_nobody_may_by_it(at):
    of = case(DBAS, here=lending((BEN, BOB)).at(at))

    assert not seats(of, BOB)
    assert BOB not in asked(of)


def test_of_a_moment_that_is_not_known_nobody_may_by_it():
    assert company().lending([lent(BEN, BOB)]).standing == ()


@pytest.mark.parametrize(
    "changed",
    [
        left("ben", "dba"),
        slack_guest("ben", "dba"),
        person("ben", "dba", void_until=NOW),
        left("bob", "eng"),
        slack_guest("bob", "eng"),
        person("bob", "eng", void_until=NOW),
        person("ben"),
    ],
    ids=[
        *("delegator left", "delegator a guest", "delegator back again"),
        *("delegate left", "delegate a guest", "delegate back again", "delegator no DBA"),
    ],
)
def test_where_the_delegator_may_not_or_either_is_gone_the_delegate_may_not(changed):
    of = case(DBAS, here=lending((BEN, BOB), of=company(changed)))

    assert not seats(of, BOB)
    assert BOB not in asked(of)


def test_who_cannot_be_told_in_slack_decides_through_a_delegate_and_nobody_else_is_needed():
    alone = ApproverGroup("Ben", approvers(BEN).conditions)
    gone = unreachable("ben", "dba")
    of = case(alone, here=lending((BEN, BOB), of=company(gone)))

    assert approval.stuck(case(alone, here=company(gone).at(NOW)))
    assert not approval.stuck(of)
    assert approval.seat_stand_ins(of).stand_ins == ()
    assert approval.approved(given_by(of, BOB))


def test_a_right_that_was_received_is_not_passed_on():
    of = case(DBAS, here=lending((BEN, BOB), (BOB, EVE)))

    assert seats(of, BOB)
    assert not seats(of, EVE)


@pytest.mark.parametrize("party", ["requestor", "grantee"])
@pytest.mark.parametrize("pair", [(BEN, BOB), (BOB, BEN)], ids=["from the party", "to the party"])
def test_nobody_decides_their_own_request_in_either_direction(party, pair):
    whose = approvers(pair[0])
    here = lending(pair)
    barred = case(whose, here=here, **{party: BEN})
    allowed = case(whose, here=here, self_approval=True, **{party: BEN})

    assert not seats(barred, pair[1])
    assert pair[1] not in asked(barred)
    assert seats(allowed, pair[1])


@pytest.mark.parametrize("pair", [(EVE, BOB), (ANN, BOB), (EVE, ANN)])
def test_a_tier_is_lent_too_but_not_in_ones_own_request(pair):
    here = lending(pair)
    of = case(DBAS, here=here, tiers=(approvers(pair[0]),), tiers_asked=1)

    assert bool(seats(of, pair[1])) is (ANN not in pair)
    early = replace(of, tiers_asked=0)
    assert not seats(early, pair[1])


def test_what_administrators_may_is_not_lent():
    of = case(DBAS, here=lending((ADA, BOB)), stand_ins=(Seat(0, admins=True),))

    assert seats(of, ADA)
    assert not seats(of, BOB)
    assert BOB not in asked(of)


def test_an_owners_delegate_decides_on_what_the_owner_does():
    owned = {
        GrantId(n): Owned(f"t{n}", approvers(who).conditions.conditions)
        for n, who in enumerate((BEN, CAT))
    }
    of = case(OWNERS, here=lending((BEN, BOB)), owned=owned)
    both = case(OWNERS, here=lending((BEN, CAT)), owned=owned)

    assert {a.person: a.seat.of for a in approval.asks(of, ())} == {BEN: (0,), CAT: (1,), BOB: (0,)}
    assert asked(of)[BOB] == "the owner of t0, for Ben until Tue 3 Mar 09:00"
    assert approval.approved(given_by(of, BOB, CAT))
    assert not approval.approved(given_by(of, BOB))
    assert approval.approved(given_by(both, CAT))
    assert asked(both)[CAT] == ("the owner of t1; the owner of t0, for Ben until Tue 3 Mar 09:00")


# --- one person ----------------------------------------------------------------------------------


def test_a_delegate_and_the_delegator_are_one_of_as_many_as_are_needed():
    of = case(TWO_DBAS, here=lending((BEN, BOB)))

    assert not approval.approved(given_by(of, BEN, BOB))
    assert not approval.approved(given_by(of, BOB, BEN))
    assert approval.approved(given_by(of, BOB, CAT))
    assert approval.approved(given_by(of, BEN, BOB, CAT))


def test_all_delegates_of_one_are_one():
    of = case(TWO_DBAS, here=lending((BEN, BOB), (BEN, EVE)))

    assert not approval.approved(given_by(of, BOB, EVE))
    assert not approval.approved(given_by(of, BOB, EVE, BEN))
    assert approval.approved(given_by(of, EVE, CAT))


@pytest.mark.parametrize("order", [(BEN, BOB), (BOB, BEN)])
def test_they_are_one_of_distinct_people(order):
    of = case(DBAS, SECURITY, join=Quorum.ALL_OF, here=lending((BEN, DAN), (BEN, BOB)))
    other = case(DBAS, approvers(BOB), join=Quorum.ALL_OF, here=lending((BEN, BOB)))

    assert not approval.approved(given_by(of, DAN))
    assert not approval.approved(given_by(of, DAN, BEN))
    assert approval.approved(given_by(of, DAN, CAT))
    assert not approval.approved(given_by(other, *order))
    assert approval.approved(given_by(other, BOB, CAT))


def test_without_distinct_people_one_may_count_for_both_groups():
    of = case(DBAS, SECURITY, join=Quorum.ALL_OF, distinct=False, here=lending((BEN, DAN)))

    assert approval.approved(given_by(of, DAN))


def test_two_who_have_the_same_delegate_are_two():
    of = case(TWO_DBAS, here=lending((BEN, BOB), (CAT, BOB)))

    assert not approval.approved(given_by(of, BOB))
    assert not approval.approved(given_by(of, BOB, BEN))
    assert approval.approved(given_by(of, BEN, CAT))
    assert approval.approved(given_by(of, BOB, BEN, CAT))
    assert not approval.stuck(given_by(of, BOB))


def test_what_was_approved_as_one_stays_one_when_it_has_ended():
    of = given_by(case(TWO_DBAS, here=lending((BEN, BOB))), BOB)
    later = replace(of, directory=company().at(NOW))

    assert not approval.approved(given_by(later, BEN))
    assert approval.approved(given_by(later, CAT))


def test_too_few_are_there_where_two_of_them_are_one():
    two = ApproverGroup("Two", approvers(BEN, BOB).conditions, needs=2)

    assert not approval.stuck(case(two, here=company().at(NOW)))
    assert approval.stuck(case(two, here=lending((BEN, BOB))))
    assert approval.seat_stand_ins(case(two, here=lending((BEN, BOB)))).stand_ins


PEOPLE = st.integers(0, 5).map(lambda n: PersonId(f"p{n}"))
ROLES = st.dictionaries(PEOPLE, st.sets(PEOPLE, max_size=2), min_size=1, max_size=6).map(
    lambda roles: {p: {p, *of} for p, of in roles.items()}
)


@given(ROLES)
def test_in_no_division_two_units_are_one_person(roles):
    for division in divided(roles):
        for one, other in combinations(division, 2):
            assert not any(roles[a] & roles[b] for a in one for b in other)
        assert all(division)
        assert len({p for unit in division for p in unit}) == sum(map(len, division))


@given(ROLES)
def test_who_stands_for_nobody_else_is_by_themselves(roles):
    alone = {p: {p} for p in roles}

    assert [*divided(alone)] == [[[p] for p in alone]]


def most(roles) -> int:
    """Return how many can be chosen of whom no two count as one, by trying all."""
    return max(
        len(some)
        for n in range(len(roles) + 1)
        for some in combinations(roles, n)
        if not any(roles[a] & roles[b] for a, b in combinations(some, 2))
    )


@given(ROLES)
def test_no_division_counts_more_than_there_are(roles):
    assert max(map(len, divided(roles))) <= most(roles)


@given(ROLES, st.data())
def test_beside_whom_one_counts_for_nothing_one_could_be_left_out(roles, data):
    person = data.draw(st.sampled_from([*roles]))

    for other in in_place_of(roles, person) - {person}:
        without = {p: of for p, of in roles.items() if p != person}
        assert most(roles) == most(without)
        assert roles[person] & roles[other]


# --- through the life of a request ---------------------------------------------------------------


def life(*pairs: tuple[PersonId, PersonId] | Delegation, **rules: object) -> Life:
    made = begun(flow(**{"approval": ApprovalRule((TWO_DBAS,)), **rules}))
    lend(made, *pairs)
    made.tick()
    return made


def lend(made: Life, *pairs: tuple[PersonId, PersonId] | Delegation) -> None:
    here = made.facts.directory.lending(lending(*pairs).delegations)
    made.facts = replace(made.facts, directory=here)


def code(result: Decision | Refusal) -> Code:
    assert isinstance(result, Refusal), result
    return result.code


def open_to(made: Life) -> set[PersonId]:
    return {a.person for a in made.request.asks if a.open}


def test_the_second_of_one_person_is_told_that_it_would_add_nothing():
    made = life((BEN, BOB))
    made.do(Approve(BOB, "fine"))

    second = made.do(Approve(BEN))

    assert code(second) is Code.ALREADY_APPROVED
    assert second.sentence == (
        "Bob approved this already. By delegation you count as one person: yours would add "
        "nothing. Still needed: 1 more of DBAs."
    )
    assert made.do(Approve(CAT)).request.state is State.GRANTING


def test_the_first_ones_own_second_is_told_as_ever():
    made = life((BEN, BOB))
    made.do(Approve(BOB))

    assert made.do(Approve(BOB)).sentence.startswith("You have approved this already.")


def test_who_has_two_delegators_keeps_neither_from_approving():
    made = life((BEN, BOB), (CAT, BOB))
    made.do(Approve(BOB))

    assert made.do(Approve(BEN)).request.state is State.PENDING
    assert made.do(Approve(CAT)).request.state is State.GRANTING


def test_the_audit_and_the_request_say_for_whom():
    made = life((BEN, BOB))

    approves = made.do(Approve(BOB))
    rejects = life((BEN, BOB)).do(Reject(BOB))

    assert approves.audit[-1].detail == {"for": [BEN]}
    (given_,) = approves.request.approvals
    assert (given_.through, given_.one_with) == ((BEN,), (BEN,))
    assert rejects.audit[-1].detail == {"for": [BEN]}
    assert rejects.request.decided.through == (BEN,)


def test_a_delegate_asks_questions_but_what_they_approved_they_do_not_revoke():
    made = life((BEN, BOB), approval=ApprovalRule((DBAS,)))

    assert made.do(PutQuestion(BOB, "Which ticket?")).request.questions
    made.do(Approve(BOB))
    assert code(made.do(Revoke(BOB, "no"))) is Code.NOT_YOURS


def test_it_ends_by_itself_and_what_was_approved_stays():
    ends = lent(BEN, BOB, until=NOW + HOUR)
    made, other = life(ends), life(ends)
    assert BOB in open_to(made)
    made.do(Approve(BOB))

    other.tick(HOUR)
    assert BOB not in open_to(other)
    assert code(other.do(Approve(BOB))) is Code.NOT_APPROVER
    made.tick(HOUR)
    assert made.do(Approve(CAT)).request.state is State.GRANTING


def test_before_any_clock_has_looked_the_click_is_refused_from_the_end_on():
    made = life(lent(BEN, BOB, until=NOW + HOUR))

    assert code(made.do(Approve(BOB), HOUR)) is Code.NOT_APPROVER


def test_a_new_id_is_the_same_person():
    new = PersonId("ben-2")
    made = life((BEN, BOB))
    made.do(Approve(BOB))

    renamed = made.request.renamed({BEN: new})

    assert renamed.approvals[0].one_with == renamed.approvals[0].through == (new,)
    assert next(a for a in renamed.asks if a.person == BOB).through == (new,)
    people = [*company(person("ben-2", "dba")).people.values()]
    here = Directory.of(people, company().groups.values(), {BEN: new})
    assert [d.delegator for d in here.lending([lent(BEN, BOB)]).at(NOW).standing] == [new]


# --- beginning and ending ------------------------------------------------------------------------


def begins(by=BEN, to=BOB, until=NOW + DAY, reason="leave", here=None):
    here = here or lending()
    return begin(here.people[by], here.get(to), (until, reason), here, NOW)


def test_it_begins_now_with_its_reason():
    assert begins(reason=" on  leave ") == Delegation(
        DelegationId(0), BEN, BOB, NOW, NOW + DAY, "on leave"
    )
    assert isinstance(begins(until=NOW + LONGEST), Delegation)


CODES = {
    "until": {Code.BAD_DELEGATION},
    "delegate": {Code.BAD_DELEGATION},
    "reason": {Code.REASON_NEEDED, Code.TEXT_TOO_LONG},
    "": {Code.PERSON_INACTIVE},
}


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ({"until": NOW}, "until"),
        ({"until": NOW - SECOND}, "until"),
        ({"until": NOW + LONGEST + SECOND}, "until"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 125}, "reason"),
        ({"to": BEN}, "delegate"),
        ({"to": PersonId("nobody")}, "delegate"),
        ({"here": company(left("bob")).at(NOW)}, "delegate"),
        ({"here": company(slack_guest("bob")).at(NOW)}, "delegate"),
        ({"here": company(unreachable("bob")).at(NOW)}, "delegate"),
        ({"here": company(left("ben")).at(NOW)}, ""),
        ({"here": company(slack_guest("ben")).at(NOW)}, ""),
        ({"here": lending((BOB, BEN))}, "delegate"),
        ({"here": lending((BOB, CAT), (CAT, BEN))}, "delegate"),
        ({"here": lending((BEN, BOB))}, "delegate"),
    ],
)
def test_what_cannot_be_lent_is_refused_at_what_is_wrong(wrong, about):
    refused = begins(**wrong)

    assert isinstance(refused, Refusal)
    assert refused.about == about
    assert refused.code in CODES[about]


def test_what_holds_no_more_is_over_but_not_of_whom_nothing_can_be_read():
    dark = replace(company().people[BOB], readable=False)
    gone = lending((BEN, BOB), of=company(left("bob")))

    assert over(lending((BEN, BOB))) == over(company().lending([lent(BEN, BOB)])) == []
    assert over(lending((BEN, BOB)).at(NOW + DAY)) == [(lent(BEN, BOB), Why.TIME)]
    assert over(gone) == [(lent(BEN, BOB), Why.GONE)]
    assert over(lending((BEN, BOB), of=company(dark))) == []
    assert lending((BEN, BOB), of=company(dark)).standing == ()


def test_what_has_ended_makes_no_circle():
    here = lending(lent(BOB, BEN, until=NOW))

    assert isinstance(begins(here=here), Delegation)


def test_either_of_the_two_or_an_administrator_ends_it():
    here = company()

    assert may_end(lent(BEN, BOB), BEN, here, admin=False)
    assert may_end(lent(BEN, BOB), BOB, here, admin=False)
    assert may_end(lent(BEN, BOB), ABE, here, admin=True)
    assert not may_end(lent(BEN, BOB), CAT, here, admin=False)


LATE = datetime(2026, 11, 30, 21, 50, tzinfo=UTC)  # Monday, 22:50 in Berlin


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("until Friday", "2026-12-04 23:00"),
        ("until fri 18:00", "2026-12-04 17:00"),
        ("until Friday at 18:00", "2026-12-04 17:00"),
        ("until today", "2026-11-30 23:00"),
        ("until tomorrow 9:30", "2026-12-01 08:30"),
        ("until 14 Dec", "2026-12-14 23:00"),
        ("until 14. December 2026", "2026-12-14 23:00"),
        ("until Dec 14 18:00", "2026-12-14 17:00"),
        ("until 2026-12-14", "2026-12-14 23:00"),
        ("until 23:00", "2026-11-30 22:00"),
        ("for 3 days", "2026-12-03 21:50"),
        ("for 2 h", "2026-11-30 23:50"),
    ],
)
def test_until_when_is_read_by_the_persons_clocks(text, means):
    assert moment(text, "Europe/Berlin", LATE) == datetime.fromisoformat(f"{means}+00:00")


BEFORE_NEW_YEAR = datetime(2026, 12, 23, 12, tzinfo=UTC)  # Wednesday, 13:00 in Berlin


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("until Tuesday", "2026-12-29 23:00"),
        ("until Thursday", "2026-12-24 23:00"),
        ("until 23 Dec", "2026-12-23 23:00"),
        ("until 3 Jan", "2027-01-03 23:00"),
        ("until 22 Jan", "2027-01-22 23:00"),
        ("until 23:59", "2026-12-23 22:59"),
        ("until 13:01", "2026-12-23 12:01"),
        ("for 5 min", "2026-12-23 12:05"),
        ("for 30 days", "2027-01-22 12:00"),
    ],
)
def test_a_day_that_is_past_this_week_or_year_is_the_next_ones(text, means):
    found = moment(text, "Europe/Berlin", BEFORE_NEW_YEAR)
    assert found == datetime.fromisoformat(f"{means}+00:00")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("until 13:00", "13:00 is past. Write `until tomorrow 13:00`."),
        ("until 24:00", "“until 24:00” is no time of a day."),
        ("until 12:60", "“until 12:60” is no time of a day."),
        ("until Wednesday", "Today is Wednesday. Write `until today`, or a date."),
        ("until 24 Jan", "This is too long: at most 30 days are possible."),
        ("for 4 min", ""),
    ],
)
def test_a_time_that_is_not_to_come_or_too_far_is_refused_with_what_to_write(text, why):
    refused = moment(text, "Europe/Berlin", BEFORE_NEW_YEAR)
    assert isinstance(refused, Refusal)
    assert refused.sentence.startswith(why)


@pytest.mark.parametrize(
    "text",
    [
        *("", "until", "until Monday", "until 18:00", "until someday", "until 31 Feb"),
        *(
            "until 25:00",
            "until 12/13",
            "until 3 Jan",
            "until 9999-12-31",
            "until 0000-01-01",
            "for 31 days",
        ),
        *("for", "for -1 day", "until 14", "until next Friday", "until 14 Dec 18", "until Fri 18"),
    ],
)
def test_what_is_not_understood_is_said_and_not_guessed(text):
    refused = moment(text, "Europe/Berlin", LATE)

    assert isinstance(refused, Refusal)
    assert refused.about == "until"


@given(st.text(max_size=60))
def test_no_text_breaks_it(text):
    found = moment(text, "Europe/Berlin", LATE)
    assert isinstance(found, Refusal) or found - LATE < LONGEST + 3 * timedelta(days=1)
    assert isinstance(read(text), Lending | Refusal)


@pytest.mark.parametrize(
    ("text", "whom", "until", "reason"),
    [
        ("@sam until Friday because leave", "@sam", "until Friday", "leave"),
        ("<@U1|sam> for 3 days because of leave", "<@U1|sam>", "for 3 days", "of leave"),
        ("@sam because leave", "@sam", "", "leave"),
        ("for 3 days", "", "for 3 days", ""),
        ("", "", "", ""),
    ],
)
def test_what_was_typed_is_taken_apart(text, whom, until, reason):
    assert read(text) == Lending(whom, until, reason)


def test_what_else_was_typed_is_not_understood():
    refused = read("sam until Friday")

    assert isinstance(refused, Refusal)
    assert refused.code is Code.BAD_DELEGATION
    assert refused.sentence.startswith("“sam until Friday” is not understood.")


def test_roles_are_of_those_who_are_there():
    assert units.in_place_of({BEN: {BEN}, DAN: {DAN}}, BEN) == {BEN}
