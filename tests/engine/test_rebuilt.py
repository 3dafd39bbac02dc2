"""What can be known of a request without its body: enough to end it, and never too late."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rebuilt import Entry, GrantColumns, RequestColumns, can_be, request
from engine.request import NOT_GIVEN, WAITING, GrantState, State
from tests.support.builders import DAY, flow, life

HOUR = timedelta(hours=1)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
ENDS = AT + 4 * HOUR
HELD = GrantColumns(0, 7, 3, "held", begun=True)
REFUSED = Entry("extension_refused", "latchkey", AT, {})
GRANTED = Entry("granted", "latchkey", AT, {"until": ENDS.isoformat()})


def columns(state="active", *, version=4, at=AT) -> RequestColumns:
    return RequestColumns(1, version, state, "ann", "ben", 2, 3, at)


def extended(until) -> Entry:
    return Entry("extended", "ben", AT + HOUR, {"until": until})


def test_it_ends_when_the_audit_says():
    made = request(columns(), [HELD], [GRANTED])

    assert (made.state, made.ends_at, made.duration) == (State.ACTIVE, ENDS, 4 * HOUR)
    assert (made.requestor, made.grantee, made.version) == ("ann", "ben", 4)
    assert not made.readable


@pytest.mark.parametrize(
    ("entries", "ends"),
    [
        ([GRANTED, extended((ENDS + HOUR).isoformat())], ENDS + HOUR),
        ([GRANTED, extended((ENDS + HOUR).isoformat()), REFUSED], ENDS),
        ([Entry("granted", "latchkey", AT, {"until": None})], None),
    ],
    ids=["extended", "extension refused", "without end"],
)
def test_extensions_count_as_far_as_the_systems_took_them(entries, ends):
    assert request(columns(), [HELD], entries).ends_at == ends


@pytest.mark.parametrize("until", ["", "soon", 7, [], "2026-03-02T13:00:00"], ids=repr)
def test_where_the_audit_does_not_say_the_end_has_come(until):
    """Access whose end nobody could read would have stayed."""
    assert request(columns(), [HELD], [GRANTED, extended(until)]).ends_at < AT
    assert request(columns(), [HELD], []).ends_at <= AT


@pytest.mark.parametrize("state", ["pending", "pending_mfa"])
def test_what_waits_is_left_until_it_must_have_lapsed(state):
    made = request(columns(state), [GrantColumns(0, 7, 3, "wanted", begun=False)], [])

    assert (made.ends_at, made.lapses_at) == (None, AT + timedelta(days=31))
    assert made.grants[0].state is GrantState.WANTED


def test_what_was_not_begun_is_not_given_any_more():
    made = request(columns("granting"), [GrantColumns(0, 7, 3, "wanted", begun=False)], [])

    assert (made.grants[0].state, made.grants[0].note) == (GrantState.REFUSED, NOT_GIVEN)


def test_what_was_there_before_is_nobodys_to_take_away():
    (ours, theirs) = request(columns(), [HELD, HELD._replace(begun=False)], [GRANTED]).grants

    assert (ours.standing, theirs.standing) == (False, True)


def test_who_ended_it_and_as_what_is_the_audits():
    entry = Entry("revoking", "eve", AT + HOUR, {"ending": "returned", "reason": "done"})

    made = request(columns("revoking"), [HELD], [GRANTED, entry])

    assert made.ending is State.RETURNED
    assert (made.ended.by, made.ended.at, made.ended.reason) == ("eve", AT + HOUR, "done")


@pytest.mark.parametrize("said", [[], [Entry("revoking", "eve", AT, {"ending": "returnd"})]])
def test_an_end_of_which_nothing_can_be_read_was_ordered_by_somebody(said):
    assert request(columns("revoking"), [HELD], said).ending is State.REVOKED


def test_what_was_begun_and_of_which_nothing_more_is_known_is_there():
    (grant,) = request(columns(), [HELD._replace(state="hold")], [GRANTED]).grants

    assert (grant.state, grant.standing) == (GrantState.HELD, False)


@pytest.mark.parametrize(
    ("state", "grant"), [("revoking", HELD), ("expired", HELD._replace(state="ended", begun=False))]
)
def test_what_is_being_taken_away_or_over_has_ended(state, grant):
    made = request(columns(state), [grant], [GRANTED])

    assert made.state == state
    assert (made.ends_at, made.confirmed_at) == (AT, None)


@pytest.mark.parametrize("state", ["expired", "rejected", "pending"])
def test_what_has_begun_runs_whatever_else_is_said_of_it(state):
    """It was called over, and confirmed, while its grants were there."""
    made = request(columns(state), [HELD], [GRANTED])

    assert (made.state, made.ends_at) == (State.ACTIVE, ENDS)


def test_a_version_that_is_no_number_begins_anew():
    assert request(columns(version="4"), [HELD], [GRANTED]).version == 0


names = st.sampled_from([*State, "", "aktive"])
grants = st.lists(
    st.builds(
        GrantColumns,
        number=st.integers(0, 3),
        entitlement=st.integers(1, 3),
        account=st.integers(1, 3),
        state=st.sampled_from([*GrantState, "", "hold"]),
        begun=st.booleans(),
    ),
    max_size=3,
)
moments = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))
written = moments.map(lambda moment: moment and moment.isoformat())
said = st.one_of(st.just(""), st.none(), st.integers(), st.text(max_size=3), written)
entries = st.lists(
    st.builds(
        Entry,
        action=st.sampled_from(["granted", "extended", "extension_refused", "revoking", "told"]),
        actor=st.just("ann"),
        at=moments,
        said=st.fixed_dictionaries({}, optional={"until": said, "ending": said, "reason": said}),
    ),
    max_size=5,
)


@given(names, st.one_of(st.none(), st.just(AT)), grants, entries)
def test_whatever_stands_there_no_access_is_left_behind(state, at, rows, lines):
    """Running without an end, by a state that nobody knows, it would have run for ever."""
    made = request(columns(state, at=at), rows, lines)

    unending = {e.action for e in lines if "until" in e.said and e.said["until"] is None}
    if made.state.wants_access and not unending & {"granted", "extended"}:
        assert made.ends_at is not None
    assert all(g.begun == row.begun for g, row in zip(made.grants, rows, strict=True))
    assert all(g.open for g in made.grants if g.begun)
    if made.state not in WAITING:
        assert all(g.begun or g.state is not GrantState.WANTED for g in made.grants)


@pytest.mark.parametrize("state", [s for s in GrantState if s is not GrantState.HELD])
def test_what_is_known_of_a_grant_that_was_begun_stays(state):
    (grant,) = request(columns(), [HELD._replace(state=state.value)], [GRANTED]).grants

    assert grant.state is state


@pytest.mark.parametrize(("begun", "state"), [(True, State.ACTIVE), (False, State.PENDING)])
def test_a_request_of_unknown_state_runs_if_anything_was_begun_for_it(begun, state):
    assert request(columns("aktive"), [HELD._replace(begun=begun)], [GRANTED]).state is state


@pytest.mark.parametrize("state", list(State), ids=str)
def test_every_request_that_has_lived_can_be(state):
    assert can_be(life(state).request)
    if state is not State.EXPIRED:
        assert can_be(life(state, flow(grant_for=None, extension=None)).request)


@pytest.mark.parametrize(
    ("duration", "ends", "can"),
    [
        (HOUR, timedelta(hours=2), True),
        (None, None, True),
        (HOUR, None, False),
        (None, timedelta(hours=2), False),
        (365 * DAY, timedelta(days=62 + 11 * 365), True),
        (365 * DAY, timedelta(days=63 + 11 * 365), False),
    ],
)
def test_an_end_is_what_some_life_can_have_made(duration, ends, can):
    running = life(State.ACTIVE).request
    end = running.submitted_at + ends if ends else None

    assert can_be(replace(running, duration=duration, ends_at=end)) is can
