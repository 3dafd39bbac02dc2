"""The table of an account and that of its password, walked pair by pair; then its rules."""

from dataclasses import replace
from datetime import datetime
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.account import (
    AGAIN,
    SHOWN_FOR,
    TABLE,
    Account,
    Answer,
    Begin,
    Begins,
    Call,
    Compare,
    Compared,
    Done,
    Event,
    Finish,
    HandOver,
    Logins,
    Password,
    PasswordState,
    Phase,
    Priority,
    Reset,
    Saved,
    Show,
    Silence,
    Stumble,
    Take,
    Wanted,
    Work,
    Worker,
    login_name,
    may_begin,
    priority,
    step,
)
from engine.commands import Extend, Observe, Return
from engine.convergence import passwords
from engine.convergence.passwords import Fate
from engine.directory import PersonId, SlackAccount
from engine.holdings import Wishes, target_of, wants
from engine.port import Login, Order, Outcome, Presence, Report, Secret, Unavailable
from engine.request import GrantState, State
from tests.support.builders import ANN, BOB, DAY, HOUR, MINUTE, NOW, SECOND, life, person
from tests.support.one_account import (
    HAS_LOGINS,
    INVENTORY,
    MAKES_LOGINS,
    ME,
    MINE,
    OTHER,
    One,
    account,
    password,
)
from tests.support.system import DEADLINE

ME_AT_WORK, OTHER_AT_WORK = Worker(ME), Worker(OTHER)
T1, T2 = (target_of(INVENTORY[e]) for e in (1, 2))
DOWN = Unavailable("connection refused")
CURE = "Latchkey may not give it. Cure: GRANT owner TO latchkey;"
LASTING = Unavailable(CURE, lasting=True)

# --- the table -----------------------------------------------------------------------------------

PHASES = {
    "rest": Phase.REST,
    "due": Phase.DUE,
    "work": Phase.WORK,
    "rest?": Phase.REST_IN_DOUBT,
    "due?": Phase.DUE_IN_DOUBT,
    "work?": Phase.WORK_IN_DOUBT,
}
NOTHING_WANTED = Wishes(MINE)
NEW = Wishes(MINE, (life(State.GRANTING).request,), INVENTORY)  # never looked at
HELD = Wishes(MINE, (life(State.ACTIVE).request,), INVENTORY)
ENDING = Wishes(MINE, (life(State.REVOKING).request,), INVENTORY)


def work(wishes: Wishes, *, look: bool = False, version: int = 2) -> Work:
    """Build what the account's system is called for."""
    login, targets = Login("lk_ann", ANN), {1: T1}
    (request,) = wishes.requests
    found = step(phased(Phase.WORK), Call(ME_AT_WORK), wishes, NOW).work
    order = None if look else Order(login, found.order.holdings if found else [])
    items = () if look else ((request.id, request.grants[0].id, 1),)
    return Work(
        MINE,
        account().integration,
        version,
        login,
        targets if look else {},
        order,
        targets,
        items,
        None,
    )


def phased(phase: Phase, **values: object) -> Account:
    """Build an account that ME works on, where it is worked on."""
    waits = phase in {Phase.REST, Phase.REST_IN_DOUBT}
    known = {"wanted": 2, "acted": 2 if waits else 1, "password": password(set=True, made=True)}
    at_work = phase in {Phase.WORK, Phase.WORK_IN_DOUBT}
    doubt = phase in {Phase.REST_IN_DOUBT, Phase.DUE_IN_DOUBT, Phase.WORK_IN_DOUBT}
    doubted = NOW + DEADLINE if doubt else None
    lease = ME if at_work else None
    made = account(**{**known, "lease": lease, "unknown_until": doubted, **values})
    assert made.phase is phase
    return made


def answered(wishes: Wishes, result: object, by: Worker = ME_AT_WORK, **of: object) -> Answer:
    return Answer(by, Done(work(wishes, **of), result))


HERE = {T1: Outcome(Presence.HELD)}
GONE = {T1: Outcome(Presence.ABSENT)}
EARLY, LATE = NOW, NOW + HOUR  # while a doubt lasts; after it

# What happens, with what its requests wish and when; then, for each phase, the one it leads to.
WALK: dict[str, tuple[Event, Wishes, datetime, str]] = {
    # columns: rest, due, work (by me); then the same in doubt
    "something is wanted": (Wanted(), HELD, EARLY, "due due work due? due? work?"),
    "taken": (Take(ME_AT_WORK), HELD, EARLY, "rest work work? rest? work? work?"),
    "begun, not looked at": (Begin(ME_AT_WORK), NEW, EARLY, "rest due work rest? due? work?"),
    "begun, looked at": (Begin(ME_AT_WORK), HELD, EARLY, "rest due work rest? due? work?"),
    "called, for something": (Call(ME_AT_WORK), HELD, EARLY, "rest due work rest? due? work?"),
    "called, for nothing": (
        Call(ME_AT_WORK),
        NOTHING_WANTED,
        EARLY,
        "rest due work rest? due? work?",
    ),
    "looked": (answered(NEW, GONE, look=True), NEW, EARLY, "due? due? due due? due? due?"),
    "looked in vain": (answered(NEW, DOWN, look=True), NEW, EARLY, "due? due? due due? due? due?"),
    "given": (answered(HELD, Report(HERE)), HELD, EARLY, "due? due? work due? due? work?"),
    "not given": (answered(HELD, Report(GONE)), HELD, EARLY, "due? due? due due? due? due?"),
    "taken away": (answered(ENDING, Report(GONE)), ENDING, EARLY, "due? due? work due? due? work?"),
    "taken away beside others": (
        answered(ENDING, Report(GONE, alone=False)),
        ENDING,
        EARLY,
        "due? due? work? due? due? work?",
    ),
    "not taken away": (
        answered(ENDING, Report(HERE)),
        ENDING,
        EARLY,
        "due? due? due due? due? due?",
    ),
    "no login": (
        answered(HELD, Report(GONE, login_missing=True)),
        HELD,
        EARLY,
        "due? due? due due? due? due?",
    ),
    "unanswered": (answered(HELD, DOWN), HELD, EARLY, "due? due? due due? due? due?"),
    "answered to who lost it": (
        answered(HELD, Report(HERE), OTHER_AT_WORK),
        HELD,
        EARLY,
        "due? due? work? due? due? work?",
    ),
    "finished": (Finish(ME_AT_WORK, 2, seen=True), HELD, EARLY, "rest due rest rest? due? due?"),
    "finished, overtaken": (
        Finish(ME_AT_WORK, 1, seen=True),
        HELD,
        EARLY,
        "rest due due rest? due? due?",
    ),
    "finished, after the doubt": (
        Finish(ME_AT_WORK, 2, seen=True),
        HELD,
        LATE,
        "rest due rest rest? due? rest",
    ),
    "finished without a call": (
        Finish(ME_AT_WORK, 2),
        HELD,
        LATE,
        "rest due rest rest? due? rest?",
    ),
    "finished where nothing is begun": (
        Finish(Worker(ME, Begins.NOT_HERE), 2, seen=True),
        NEW,
        EARLY,
        "rest due due rest? due? due?",
    ),
    "finished by who lost it": (
        Finish(OTHER_AT_WORK, 2),
        HELD,
        EARLY,
        "rest due work rest? due? work?",
    ),
    "stumbled over": (Stumble("KeyError"), HELD, EARLY, "rest due work rest? due? work?"),
    "to be compared": (Compare(ME_AT_WORK), HELD, EARLY, "work due work work? due? work?"),
    "to be compared, by another": (
        Compare(OTHER_AT_WORK),
        HELD,
        EARLY,
        "work due work work? due? work?",
    ),
    "compared": (Compared(ME_AT_WORK), HELD, EARLY, "rest due due rest? due? due?"),
    "compared by who lost it": (
        Compared(OTHER_AT_WORK),
        HELD,
        EARLY,
        "rest due work rest? due? work?",
    ),
    "reset": (Reset(), HELD, EARLY, "due due work due? due? work?"),
    "shown": (Show(), HELD, EARLY, "rest due work rest? due? work?"),
    "saved": (Saved(), HELD, EARLY, "rest due work rest? due? work?"),
    "handed over": (HandOver(BOB), HELD, EARLY, "due due work due? due? work?"),
}

# The same of accounts that differ, in the phases that are named.
ODD: dict[str, tuple[Event, dict[str, object], str, str]] = {
    "taken, out of order": (Take(ME_AT_WORK), {"kind": None}, "due work due?", "due work due?"),
    "begun, unreadable": (Begin(ME_AT_WORK), {"readable": False}, "work work?", "due due?"),
    "given after a doubt, beside others": (
        answered(ENDING, Report(HERE, alone=False)),
        {},
        "work",
        "due?",
    ),
    "compared at rest": (Compared(ME_AT_WORK), {"acted": 2}, "work work?", "rest rest?"),
    "to be compared, left by me": (Compare(ME_AT_WORK), {"acted": 2}, "work work?", "work work?"),
    "to be compared, left by the dead": (
        Compare(OTHER_AT_WORK),
        {"acted": 2},
        "work work?",
        "due? due?",
    ),
    "reset, never made": (
        Reset(),
        {"password": account().password},
        "rest due rest? due?",
        "rest due rest? due?",
    ),
    "handed over without a password": (
        HandOver(BOB),
        {"password": account().password},
        "rest due rest? due?",
        "rest due rest? due?",
    ),
    "overtaken after the doubt": (
        Finish(ME_AT_WORK, 2, seen=True),
        {"wanted": 3, "unknown_until": NOW},
        "work?",
        "due",
    ),
}


def test_the_table_has_a_row_for_every_event_and_phase():
    assert set(TABLE) == set(get_args(Event))
    assert all(set(rows) == set(Phase) for rows in TABLE.values())
    assert {type(event) for event, *_ in WALK.values()} == set(TABLE)


@pytest.mark.parametrize(
    ("what", "phase", "leads_to"),
    [
        (what, phase, leads_to)
        for what, (*_, row) in WALK.items()
        for phase, leads_to in zip(PHASES, row.split(), strict=True)
    ],
)
def test_every_pair_leads_where_it_should(what, phase, leads_to):
    event, wishes, at, _ = WALK[what]
    before = phased(PHASES[phase])

    after = step(before, event, wishes, at).account.phase

    assert after is PHASES[leads_to]
    assert after in {before.phase, *TABLE[type(event)][before.phase].to}


@pytest.mark.parametrize(
    ("what", "phase", "leads_to"),
    [
        (what, phase, leads_to)
        for what, (*_, phases, row) in ODD.items()
        for phase, leads_to in zip(phases.split(), row.split(), strict=True)
    ],
)
def test_every_odd_pair_leads_where_it_should(what, phase, leads_to):
    event, values, *_ = ODD[what]
    before = phased(PHASES[phase], **values)

    after = step(before, event, ENDING, NOW).account.phase

    assert after is PHASES[leads_to]
    assert after in {before.phase, *TABLE[type(event)][before.phase].to}


def test_every_arrow_of_the_table_is_walked():
    """The docs print it: an arrow that nothing goes along would be a lie."""
    rows = [(event, PHASES, row) for event, *_, row in WALK.values()]
    rows += [(event, phases.split(), row) for event, _, phases, row in ODD.values()]
    walked = {
        f"{type(event).__name__}: {PHASES[phase].value} → {PHASES[leads_to].value}"
        for event, phases, row in rows
        for phase, leads_to in zip(phases, row.split(), strict=True)
    }
    printed = {
        f"{event.__name__}: {phase.value} → {to.value}"
        for event, row in TABLE.items()
        for phase, cell in row.items()
        for to in cell.to
    }

    assert printed - walked == set()


# --- the password's table ------------------------------------------------------------------------

SEEN, LONG_SEEN = NOW - MINUTE, NOW - SHOWN_FOR
KEPT = {
    "none": account().password,
    "to make": replace(password(), sealed=None, secret=None, to_make=True),
    "stored": password(),
    "set": password(set=True, made=True),
    "lost": password(secret=None, set=True, made=True),
    "forgotten": replace(account().password, set=True, made=True, shown_at=SEEN),
}
FATES: dict[Fate, str] = {
    # columns: none, to make, stored, set, lost, forgotten
    Fate.NEEDED: "to_make to_make stored set to_make forgotten",
    Fate.TAKEN: "none to_make set set lost forgotten",
    Fate.MISSING: "to_make to_make to_make to_make to_make to_make",
    Fate.RESET: "none to_make stored to_make to_make to_make",
    Fate.SHOWN: "none to_make stored set lost forgotten",
    Fate.SAVED: "none to_make stored none none forgotten",
    Fate.EMPTIED: "none none none none none forgotten",
    Fate.AGED: "none to_make stored set lost to_make",
    Fate.DROPPED: "none none none none none none",
}


def test_the_password_table_has_a_row_for_every_fate_and_state():
    assert set(passwords.TABLE) == set(Fate) == set(FATES)
    assert all(set(rows) == set(PasswordState) for rows in passwords.TABLE.values())
    assert [kept.state for kept in KEPT.values()] == list(PasswordState)


@pytest.mark.parametrize(
    ("fate", "state", "leads_to"),
    [
        (fate, state, leads_to.replace("_", " "))
        for fate, row in FATES.items()
        for state, leads_to in zip(KEPT, row.split(), strict=True)
    ],
)
def test_every_fate_of_a_password_leads_where_it_should(fate, state, leads_to):
    before = KEPT[state]

    after = passwords.after(before, fate, NOW)

    assert after.state == leads_to
    assert after.state in {before.state, *passwords.TABLE[fate][before.state].to}
    assert after.made is (before.made and fate is not Fate.DROPPED)


SHOWN, MADE = {"shown_at": SEEN}, {"made": True}
ODD_FATES: list[tuple[str, dict[str, object], Fate, str]] = [
    ("set", {"shown_at": LONG_SEEN + SECOND}, Fate.SHOWN, "set"),
    ("set", {"shown_at": LONG_SEEN}, Fate.SHOWN, "forgotten"),
    ("set", {"shown_at": LONG_SEEN, "made": False}, Fate.SHOWN, "none"),
    ("stored", {"shown_at": LONG_SEEN}, Fate.SHOWN, "stored"),
    ("set", SHOWN, Fate.SAVED, "forgotten"),
    ("lost", SHOWN, Fate.SAVED, "forgotten"),
    ("lost", {"set": False}, Fate.SAVED, "lost"),
    ("stored", SHOWN | MADE, Fate.EMPTIED, "forgotten"),
    ("stored", SHOWN, Fate.EMPTIED, "none"),
    ("set", SHOWN, Fate.EMPTIED, "forgotten"),
    ("lost", SHOWN, Fate.EMPTIED, "forgotten"),
    ("none", MADE, Fate.RESET, "to make"),
    ("stored", MADE, Fate.RESET, "to make"),
]


@pytest.mark.parametrize(("state", "values", "fate", "leads_to"), ODD_FATES)
def test_what_was_shown_and_made_decides(state, values, fate, leads_to):
    kept = replace(KEPT[state], **values)
    assert kept.state == state

    assert passwords.after(kept, fate, NOW).state == leads_to
    assert leads_to in {state, *passwords.TABLE[fate][kept.state].to}


def test_every_arrow_of_the_password_table_is_walked():
    walked = {
        (fate, state, leads_to.replace("_", " "))
        for fate, row in FATES.items()
        for state, leads_to in zip(KEPT, row.split(), strict=True)
    } | {(fate, state, leads_to) for state, _, fate, leads_to in ODD_FATES}
    printed = {
        (fate, state.value, to.value)
        for fate, row in passwords.TABLE.items()
        for state, cell in row.items()
        for to in cell.to
    }

    assert printed - walked == set()


# --- a life --------------------------------------------------------------------------------------


def test_access_is_given_extended_and_taken_away():
    one = One()
    id_ = one.ask(1)

    one.converge()
    assert one.held == {"orders/t1"}
    assert one.system.remaining == HOUR
    one.tick(50 * MINUTE)
    one.do(id_, Extend(ANN, 1))
    one.converge()
    assert one.system.remaining == 40 * MINUTE
    one.tick(40 * MINUTE)
    one.converge()

    assert one.held == set()
    assert one.requests[id_].state is State.EXPIRED
    assert one.account.phase is Phase.REST


def test_nothing_is_called_before_the_requests_know_of_it():
    """F2: the timer that ends access was made after the access, or not at all."""
    one = One()
    id_ = one.ask(1)

    found = one.take()

    assert one.grant(id_).begun
    assert [t.path for t in found.order.wanted] == ["orders/t1"]
    assert one.account.lease == ME


def test_what_may_be_somebody_elses_is_looked_at_first():
    one = One(account(kind=HAS_LOGINS))
    id_ = one.ask(1)

    look = one.take()
    assert (look.order, list(look.look)) == (None, [1])
    assert not one.grant(id_).begun
    order = one.answer(one.call(look))

    assert order.order.wanted == [T1]
    assert one.grant(id_).standing is False


def test_what_was_there_before_is_never_asked_of_the_system():
    one = One(account(kind=HAS_LOGINS))
    one.system.held["lk_ann"] = {T1}
    id_ = one.ask(1)

    one.converge()
    one.do(id_, Return(ANN))
    one.converge()

    assert one.grant(id_).standing
    assert one.held == {"orders/t1"}
    assert one.system.calls == ["inspect"]


def test_what_is_taken_back_before_it_was_begun_needs_no_call():
    one = One()
    before = one.ask(1)
    one.converge()
    one.do(before, Return(ANN))
    one.converge()
    calls = [*one.system.calls]

    one.do(one.ask(1), Return(ANN))
    one.converge()

    assert one.account.phase is Phase.REST
    assert one.system.calls == calls


def test_a_request_that_joined_after_the_look_waits_for_its_turn():
    one = One(account(kind=HAS_LOGINS))
    one.ask(1)
    look = one.call(one.take())

    assert one.happen(Answer(ME_AT_WORK, look, alone=False)) is None

    assert one.account.phase is Phase.DUE


def test_what_is_not_begun_for_one_request_is_not_told_it_by_anothers_call():
    one = One()
    first = one.ask(1)
    one.converge()
    one.begins = Begins.NOT_NOW
    second = one.ask(1)
    one.do(first, Extend(ANN, 1))

    found = one.take()
    one.answer(one.call(found))

    assert [id_ for id_, *_ in found.items] == [first]
    assert one.requests[second].state is State.GRANTING


def test_of_two_requests_the_longer_one_keeps_the_access():
    one = One()
    first = one.ask(1)
    one.converge()
    one.tick(30 * MINUTE)
    one.ask(1)
    one.converge()

    one.tick(30 * MINUTE)
    one.converge()

    assert one.requests[first].state is State.EXPIRED
    assert one.held == {"orders/t1"}


@pytest.mark.parametrize(
    ("here", "paused", "suspended", "begins"),
    [
        (True, False, None, Begins.YES),
        (True, True, None, Begins.NOT_NOW),
        (True, False, SlackAccount("T1", "U1"), Begins.NOT_NOW),
        (True, False, SlackAccount("", ""), Begins.NOT_NOW),
        (False, False, None, Begins.NOT_HERE),
        (False, True, SlackAccount("T1", "U1"), Begins.NOT_HERE),
    ],
)
def test_when_something_new_is_begun(here, paused, suspended, begins):
    owner = person("ann", suspended=suspended)

    assert may_begin(owner, here=here, paused=paused) is begins
    assert may_begin(None, here=True, paused=False) is Begins.YES


@pytest.mark.parametrize("begins", [Begins.NOT_NOW, Begins.NOT_HERE])
def test_where_nothing_is_begun_access_ends_all_the_same(begins):
    one = One()
    ending = one.ask(1)
    one.converge()
    waiting = one.ask(2)
    one.do(ending, Return(ANN))
    one.begins = begins

    while work := one.take():
        one.answer(one.call(work))

    assert one.requests[ending].state is State.RETURNED
    assert not one.grant(waiting).begun
    later = one.account.phase is Phase.DUE and one.account.due_at == one.now + AGAIN
    assert later is (begins is Begins.NOT_HERE), "whoever resumes it wakes it, not whoever is here"


def test_ends_come_first():
    one = One()
    id_ = one.ask(1)
    assert priority(one.wishes) is Priority.REST
    one.converge()

    one.do(id_, Return(ANN))

    assert priority(one.wishes) is Priority.ENDS


def test_a_login_that_holds_nothing_any_more_is_looked_at():
    one = One()
    id_ = one.ask(1)
    one.converge()
    assert not any(s.emptied for s in one.steps)

    one.do(id_, Return(ANN))
    one.converge()

    assert [s.emptied for s in one.steps].count(True) == 1


def test_a_login_has_the_same_name_in_every_version():
    """Under another, the access that was given before would be a stranger's."""
    assert login_name(ANN) == "lk_ann_49915e"
    assert login_name(PersonId(f"Ann@{'b' * 60}")) == f"lk_ann_{'b' * 36}_5f1310"


# --- faults --------------------------------------------------------------------------------------


def test_pauses_grow_to_five_minutes_and_three_failures_are_told_once():
    one = One()
    one.ask(1)
    one.system.faults = [Unavailable("connection refused")] * 12
    pauses = []

    for _ in range(12):
        one.converge()
        assert len(one.alarms) == (1 if len(pauses) >= 2 else 0)
        pauses.append((one.account.due_at - one.now).total_seconds())
        one.now = one.account.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert one.alarms[0].why == "connection refused"
    one.converge()
    assert one.account.attempts == 0


def test_a_silent_system_is_no_accounts_fault():
    one = One()
    one.ask(1)
    silences = [Silence(times, 5 * SECOND) for times in range(1, 6)]

    for silence in silences:
        one.answer(Done(one.take(), DOWN, silence))
        assert one.account.due_at == one.now + 5 * SECOND
        one.now = one.account.due_at

    assert one.account.attempts == 0
    assert [alarm.for_all for alarm in one.alarms] == [True]
    assert [entry.action for entry in one.audit] == ["delayed"] * 3


def test_a_turn_that_fails_is_put_off_and_keeps_its_lease():
    one = One()
    one.ask(1)
    one.take()

    one.happen(Stumble("KeyError"))

    assert one.account.phase is Phase.WORK
    assert one.account.due_at == one.now + SECOND
    one.now += SECOND
    one.take()
    assert one.account.phase is Phase.WORK_IN_DOUBT


def test_refused_after_three_equal_answers_that_last():
    one = One()
    one.system.lasting = {"orders/t1": CURE}
    id_ = one.ask(1)

    for tries in (1, 2):
        one.converge()
        assert one.grant(id_).state is GrantState.WANTED, tries
        one.now += 5 * MINUTE
    one.converge()

    assert one.requests[id_].state is State.FAILED
    assert one.grant(id_).note == CURE
    assert one.account.faults == {}


@pytest.mark.parametrize("between", [DOWN, Unavailable("else", lasting=True)])
def test_another_answer_begins_the_count_anew(between):
    one = One()
    id_ = one.ask(1)
    one.system.faults = [LASTING, LASTING, between, LASTING, LASTING]

    for _ in range(5):
        one.converge()
        one.now += 5 * MINUTE

    assert one.grant(id_).state is GrantState.WANTED


def test_what_is_held_is_not_refused_and_its_extension_not_called_taken():
    """After three answers that last, the extension counted as taken: the system had never had it,
    and ended the access before the moment that everybody was shown.
    """
    one = One()
    id_ = one.ask(1)
    one.converge()
    end = one.requests[id_].ends_at
    one.do(id_, Extend(ANN, 1))
    one.system.faults = [LASTING] * 9

    for _ in range(5):
        one.converge()
        one.now += 5 * MINUTE

    assert one.grant(id_).state is GrantState.HELD
    assert one.requests[id_].end_before == end
    assert one.account.phase is Phase.DUE, "its end is told without end"


def test_one_requests_refusal_says_nothing_of_anothers_extension():
    """The second request's refusal told the first that its extension was taken."""
    one = One()
    first = one.ask(1)
    one.converge()
    one.do(first, Extend(ANN, 1))
    second = one.ask(2)
    one.system.faults = [LASTING] * 9

    for _ in range(3):
        one.converge()
        one.now += 5 * MINUTE

    assert one.grant(second).state is GrantState.REFUSED
    assert one.requests[first].end_before


def test_a_login_that_cannot_be_read_is_neither_looked_at_nor_called_for():
    one = One(account(readable=False, kind=HAS_LOGINS))
    one.ask(1)

    assert one.take() is None

    assert one.account.phase is Phase.DUE
    assert "cannot be read" in one.audit[0].detail["why"]


def test_who_is_not_connected_leaves_it_to_others():
    one = One(account(kind=None))
    one.ask(1)

    assert one.take() is None

    assert one.account.lease is None
    assert one.account.due_at == one.now + AGAIN


def test_what_was_refused_without_a_call_is_not_looked_at_as_if_it_had_ended():
    one = One(account(password=password(set=True, made=True)))
    id_ = one.ask(1)
    one.system.faults = [LASTING] * 3

    for _ in range(3):
        one.converge()
        one.now += 5 * MINUTE

    assert one.requests[id_].state is State.FAILED
    assert not any(made.emptied for made in one.steps)


# --- doubt ---------------------------------------------------------------------------------------


def test_what_a_dead_worker_had_is_not_called_ended_before_its_deadline():
    one = One()
    id_ = one.ask(1)
    one.converge()
    one.do(id_, Return(ANN))
    lost = one.take(ME)

    one.converge(OTHER)
    assert one.held == set()
    assert one.requests[id_].state is State.REVOKING
    assert one.account.due_at == one.now + DEADLINE
    one.system.held["lk_ann"].add(T1)  # the dead one's call takes effect late
    one.now += DEADLINE
    one.converge(OTHER)

    assert one.held == set()
    assert one.requests[id_].state is State.RETURNED
    assert one.account.unknown_until is None
    assert one.answer(Done(lost, Report({T1: Outcome(Presence.HELD)})), ME) is None


def test_who_lost_the_lease_is_not_believed():
    one = One()
    id_ = one.ask(1)
    done = one.call(one.take(ME))
    one.take(OTHER)

    one.answer(done, ME)

    assert one.requests[id_].state is State.GRANTING
    assert one.account.lease == OTHER
    assert one.account.unknown_until == one.now + DEADLINE


def test_a_doubt_is_never_longer_than_the_deadline():
    """The clock was set back: the account stayed in doubt until it had caught up."""
    one = One(account(unknown_until=NOW + HOUR))
    id_ = one.ask(1)
    one.converge()
    assert one.account.due_at == one.now + DEADLINE
    one.do(id_, Return(ANN))

    one.converge()
    one.now += DEADLINE
    one.converge()

    assert one.requests[id_].state is State.RETURNED


def test_an_end_beside_others_is_looked_at_once_more_and_counts_then():
    one = One()
    id_ = one.ask(1)
    one.converge()
    one.do(id_, Return(ANN))
    one.system.alone = False

    one.converge()
    assert one.requests[id_].state is State.REVOKING
    one.system.held["lk_ann"].add(T1)
    one.now += DEADLINE
    one.converge()

    assert one.held == set()
    assert one.requests[id_].state is State.RETURNED, "a lock that is held for ever keeps none"


def test_what_a_dead_comparison_began_is_seen_to_before_the_next():
    """It gives, with what it takes away, what the account held then: that may come late."""
    one = One()
    one.ask(1)
    one.converge()
    one.happen(Compare(ME_AT_WORK))

    one.happen(Compare(OTHER_AT_WORK))

    assert one.account.phase is Phase.DUE_IN_DOUBT


def test_a_comparison_keeps_the_trace_that_it_was_told():
    one = One(account(trace="old"))
    one.happen(Compare(ME_AT_WORK))
    one.happen(Compared(ME_AT_WORK))
    assert (one.account.lease, one.account.trace) == (None, "old")

    one.happen(Compare(ME_AT_WORK))
    one.happen(Compared(ME_AT_WORK, ""))

    assert one.account.trace == ""


def test_a_call_that_was_lost_in_doubt_has_its_own_time():
    """What it gave late was called ended: the doubt was that of the call before it."""
    one = One(account(unknown_until=NOW + SECOND, password=password(set=True, made=True)))
    one.ask(1)

    one.answer(Done(ordered(one), DOWN))

    assert one.account.unknown_until == one.now + DEADLINE


# --- the password --------------------------------------------------------------------------------


def ordered(one: One) -> Work:
    """Take it up, and look where it has to be looked first."""
    found = one.take()
    while found.order is None:
        found = one.answer(one.call(found))
    return found


def given(one: One) -> str | None:
    """Carry out the next order; return the password that it is to set."""
    found = ordered(one)
    word = found.login.password.reveal() if found.login.password else None
    one.answer(one.call(found))
    return word


def test_a_password_is_made_once_and_given_until_the_system_has_it():
    one = One()
    one.ask(1)
    one.system.faults = [DOWN]

    first = given(one)
    one.now += SECOND
    again = given(one)
    one.ask(2)

    assert first == again == "password 1"
    assert given(one) is None
    assert one.passwords == 1


def test_a_password_that_its_owner_knows_is_never_set_again():
    one = One()
    id_ = one.ask(1)
    one.converge()
    one.happen(Show())
    one.do(id_, Return(ANN))
    one.converge()
    assert one.account.password.state is PasswordState.FORGOTTEN

    one.ask(1)

    assert given(one) is None
    assert one.passwords == 1


def aged(one, days):
    """Let somebody see their password, return the access, and wait."""
    id_ = one.ask(1)
    one.converge()
    one.happen(Show())
    one.do(id_, Return(ANN))
    one.converge()
    one.now += days * DAY


def test_a_password_that_is_too_old_is_replaced_at_the_next_request():
    one = One()
    aged(one, 90)

    one.ask(1)

    assert given(one) == "password 2"
    assert [s.rotated for s in one.steps].count(True) == 1


@pytest.mark.parametrize(("days", "logins"), [(89, Logins()), (9999, Logins(rotate_after=None))])
def test_a_password_that_is_not_too_old_stays(days, logins):
    one = One(account(kind=replace(MAKES_LOGINS, logins=logins)))
    aged(one, days)

    one.ask(1)

    assert given(one) is None
    assert not any(s.rotated for s in one.steps)


def test_a_password_is_never_replaced_during_access():
    """What was asked for beside it, or an extension past the day, would lock its owner out."""
    one = One()
    id_ = one.ask(1, duration=None)
    one.converge()
    one.happen(Show())
    one.now += SHOWN_FOR
    one.happen(Saved())
    one.now += 99 * DAY
    assert one.account.password.state is PasswordState.FORGOTTEN

    other = one.ask(2)

    assert given(one) is None
    one.do(other, Return(ANN))
    one.do(id_, Return(ANN))
    one.converge()
    one.ask(1)
    assert given(one) == "password 2"


def test_how_old_a_password_is_counts_from_when_the_system_has_it():
    one = One()
    aged(one, 60)
    one.happen(Reset())
    one.converge()
    aged(one, 60)

    one.ask(1)

    assert given(one) is None


def test_of_a_login_that_was_dropped_nothing_is_kept():
    one = One()
    aged(one, 1)
    before = one.account.with_(proof=Secret("proof"), trace="trace")
    one.account = before
    one.happen(Compare(Worker(ME)))

    one.happen(Compared(Worker(ME), dropped=True))

    assert one.account == before.with_(password=Password(), proof=None, trace="")
    one.system.held.clear()
    one.ask(1)
    assert given(one) == "password 2"


def test_a_password_that_nobody_saw_is_made_anew():
    one = One()
    id_ = one.ask(1)
    one.converge()
    one.do(id_, Return(ANN))
    one.converge()
    assert one.account.password.state is PasswordState.NONE

    one.ask(1)

    assert given(one) == "password 2"


def test_the_first_look_starts_the_ten_minutes():
    one = One()
    one.ask(1)
    one.converge()

    one.happen(Show())
    assert one.steps[-1].shown == Secret("password 1")
    assert one.steps[-1].forget_at == one.now + SHOWN_FOR
    one.now += SHOWN_FOR - SECOND
    one.happen(Show())
    assert one.steps[-1].shown == Secret("password 1")
    assert one.steps[-1].forget_at is None, "a second look does not start them anew"
    one.now += SECOND
    one.happen(Show())

    assert one.steps[-1].shown is None
    assert one.account.password.sealed is None


def test_saved_before_the_system_has_it_it_is_shown_no_more():
    one = One()
    one.ask(1)
    one.take()

    one.happen(Saved())

    assert one.account.password.state is PasswordState.STORED
    one.happen(Show())
    assert one.steps[-1].shown is None


def test_a_reset_is_done_at_once_whatever_failed_before():
    one = One()
    one.ask(1)
    one.converge()
    one.system.faults = [Unavailable("connection refused")] * 3
    one.ask(2)
    one.converge()
    one.converge()

    one.happen(Reset())

    assert (one.account.due_at, one.account.attempts) == (one.now, 0)


def test_a_reset_during_a_call_is_not_lost():
    one = One()
    one.ask(1)
    one.converge()
    one.ask(2)
    found = ordered(one)
    one.happen(Reset())

    one.answer(one.call(found))
    assert one.account.password.state is PasswordState.STORED
    one.converge()

    assert one.system.passwords == {"lk_ann": "password 2"}


def test_what_is_known_of_an_old_password_is_not_kept_with_a_new_one():
    one = One()
    one.ask(1)
    one.converge()
    one.ask(2)
    found = ordered(one)
    one.happen(Reset())

    report = replace(one.call(found).result, proof=Secret("of the old one"))
    one.answer(Done(found, report))

    assert one.account.proof is None


def test_a_login_that_is_missing_gets_a_new_password():
    one = One()
    one.ask(1)
    one.converge()
    one.system.held.clear()
    one.ask(2)

    one.converge()
    one.now += SECOND
    one.converge()

    assert one.held == {"orders/t1", "orders/t2"}
    assert one.system.passwords == {"lk_ann": "password 2"}


def test_a_password_that_was_reset_while_the_login_was_found_missing_stays():
    """It was replaced by one that its owner never saw, while they looked at theirs."""
    one = One()
    one.ask(1)
    one.converge()
    one.ask(2)
    found = ordered(one)
    one.happen(Reset())
    one.system.held.clear()

    one.answer(one.call(found))

    assert one.account.password.secret == Secret("password 2")


def test_a_login_that_was_made_is_looked_at_even_when_it_is_found_missing():
    """It may be there, with access that somebody else gave it."""
    one = One()
    one.ask(1)
    one.converge()
    one.system.held.clear()
    one.ask(2)
    one.answer(one.call(ordered(one)))
    one.now += SECOND
    one.ask(3)

    assert list(one.take().look) == [3]


def test_what_the_connector_tells_is_kept_and_told_again():
    one = One()
    one.ask(1)
    found = one.take()
    report = replace(
        one.call(found).result, proof=Secret("proof"), trace="a trace", notes=("3 owned",)
    )
    one.answer(Done(found, report))
    one.ask(2)

    login = ordered(one).login

    assert (login.proof, login.trace) == (Secret("proof"), "a trace")
    assert [e.detail for e in one.audit] == [{"account": "lk_ann", "note": "3 owned"}]


# --- whatever happens ----------------------------------------------------------------------------


class Watched(One):
    """Looks, at each answer, whether what comes of it may be believed."""

    def answer(self, done, by=ME):
        before, since = self.account, len(self.steps)
        found = super().answer(done, by)
        told = {
            outcome.presence
            for made in self.steps[since:]
            for _, command in made.decide
            if isinstance(command, Observe)
            for outcome in command.outcomes.values()
        }
        if before.lease != by:
            assert not any(made.decide for made in self.steps[since:]), "who lost it is believed"
            assert self.account.phase in {Phase.DUE_IN_DOUBT, Phase.WORK_IN_DOUBT}
        if before.unknown_until and self.now < before.unknown_until:
            assert Presence.ABSENT not in told, "it is called gone in doubt"
        if Presence.REFUSED in told:
            assert any(fault.times == 2 for fault in before.faults.values()), "only after three"
        return found


class Whatever(RuleBasedStateMachine):
    """People, two processes that die, and a system that fails, in any order.

    A call of a worker that died takes effect when it likes, until its deadline.
    """

    def __init__(self) -> None:
        super().__init__()
        self.one = Watched()
        self.at_work: dict[int, Work] = {}
        self.late: list[tuple[datetime, int, Work]] = []

    @initialize(kind=st.sampled_from([MAKES_LOGINS, HAS_LOGINS]))
    def connect(self, kind):
        self.one.account = account(kind=kind)
        self.one.ask(1)

    @rule(entitlements=st.sampled_from([[1], [2], [1, 2]]))
    def ask(self, entitlements):
        if len(self.one.requests) < 6:
            self.one.ask(*entitlements)

    @precondition(lambda self: self.one.requests)
    @rule(which=st.integers(0, 5), command=st.sampled_from([Return(ANN), Extend(ANN, 1)]))
    def change(self, which, command):
        live = [r.id for r in self.one.requests.values() if not r.state.final]
        if live:
            self.one.do(live[which % len(live)], command)

    @rule()
    def take(self):
        """Take it up, from whoever has it: they are dead, and their call is on its way."""
        before = self.one.account
        by = OTHER if before.lease == ME else ME
        found = self.one.take(by)
        if found is None:
            return
        password = found.login.password
        assert password is None or password == self.one.account.password.secret, "stored first"
        if before.lease is not None:
            assert self.one.account.unknown_until == self.one.now + DEADLINE
        if lost := self.at_work.pop(before.lease, None):
            self.late.append((self.one.now + DEADLINE, before.lease, lost))
        self.at_work[by] = found

    @precondition(lambda self: self.at_work)
    @rule(fault=st.sampled_from([None, None, DOWN, LASTING]), alone=st.booleans())
    def answer(self, fault, alone):
        """The system answers whoever works on it; after a look, until the end."""
        ((by, found),) = self.at_work.items()
        self.at_work.clear()
        while found:
            self.one.system.faults, self.one.system.alone = [fault] if fault else [], alone
            found = self.one.answer(self.one.call(found), by)

    @rule(fault=st.sampled_from([DOWN, LASTING]), times=st.integers(1, 4))
    def fails(self, fault, times):
        """It is tried, so many times in a row, each as soon as it may be."""
        for _ in range(times):
            if self.at_work:
                return
            due = self.one.account.due_at or self.one.now
            self.time_passes(max(due - self.one.now, SECOND))
            self.take()
            if self.at_work:
                self.answer(fault, alone=True)

    @rule()
    def serve(self):
        """Bring it in line at once, where nobody else is at it."""
        if not self.at_work:
            self.one.system.faults, self.one.system.alone = [], True
            self.one.converge()

    @rule(comes_back=st.booleans(), soon=st.booleans())
    def its_worker_is_thought_dead(self, comes_back, soon):
        """Another takes it up; the call of the first takes effect soon, or later."""
        self.take()
        self.take()
        if self.late and comes_back:
            _, by, found = self.late.pop()
            self.one.system.faults = []
            self.one.answer(self.one.call(found), by)
        elif self.late and soon:
            self._takes_effect(self.late[-1])

    @rule(after=st.sampled_from([SECOND, DEADLINE / 2, DEADLINE, 5 * MINUTE, HOUR]))
    def time_passes(self, after):
        for late in [late for late in self.late if late[0] <= self.one.now + after]:
            self._takes_effect(late)
        self.one.tick(after)

    def _takes_effect(self, late):
        self.late.remove(late)
        self.one.system.faults = []
        self.one.call(late[2])

    @rule(event=st.sampled_from([Show(), Saved(), Reset()]))
    def open_the_credentials(self, event):
        self.one.happen(event)

    @invariant()
    def what_has_ended_is_gone(self):
        """But for what another request wants: of that it is for the other to see to."""
        open_ = {g.entitlement for _, g in self.one.wishes.grants if g.open}
        ended = {
            g.entitlement
            for r in self.one.requests.values()
            if r.state.final
            for g in r.grants
            if g.ever_begun and not g.standing
        }
        assert {f"orders/t{e}" for e in ended - open_}.isdisjoint(self.one.held)

    @invariant()
    def a_password_is_forgotten_when_nothing_is_held(self):
        if self.one.account.phase is Phase.REST and not self.one.wishes.open:
            assert self.one.account.password.sealed is None

    @invariant()
    def three_failures_in_a_row_are_an_alarm_and_pauses_are_capped(self):
        assert all(made.account.attempts == 3 for made in self.one.steps if made.alarm)
        due = self.one.account.due_at
        assert due is None or due <= self.one.now + 5 * MINUTE

    def teardown(self):
        """Whatever happened, in the end it comes to rest, as the requests wish."""
        for late in list(self.late):
            self._takes_effect(late)
        for by, found in self.at_work.items():
            self.one.answer(Done(found, DOWN), by)
        self.one.system.faults, self.one.system.alone = [], True
        for _ in range(5):
            self.one.tick(5 * MINUTE)
            self.one.converge()
        wanted = {g.entitlement for r, g in self.one.wishes.grants if wants(r, g)}
        assert self.one.held == {f"orders/t{e}" for e in wanted}
        assert self.one.account.phase in {Phase.REST, Phase.REST_IN_DOUBT}


Whatever.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
TestWhatever = Whatever.TestCase
