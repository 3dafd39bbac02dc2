"""What must never be, whatever happens in whatever order."""

from collections.abc import Iterator
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import Command
from engine.request import SYSTEM, State
from tests.engine.strategies import commands, lives, steps
from tests.support.builders import Life

_MAY_BE_THERE = {State.GRANTING, State.ACTIVE, State.REVOKING}
_MORE = st.lists(st.tuples(commands, steps), max_size=6)


def _after_each(made: Life, more: list[tuple[Command, timedelta]]) -> Iterator[Life]:
    """Let more happen; the life is looked at after each of it."""
    for command, step in more:
        made.do(command, step)
        yield made


@given(lives(), _MORE)
@settings(max_examples=250)
def test_nothing_is_forgotten_that_the_system_may_hold(made, more):
    for life in _after_each(made, more):
        request = life.request
        assert request.state in _MAY_BE_THERE or not any(g.begun for g in request.grants)
        assert not request.state.final or not any(g.open for g in request.grants)


@given(lives(), _MORE)
@settings(max_examples=250)
def test_access_lasts_no_longer_than_was_allowed(made, more):
    for life in _after_each(made, more):
        request, revision = life.request, life.facts.revision
        each = revision.extension.each if revision.extension else timedelta()
        assert 0 <= request.extensions_used <= request.extensions_allowed
        if request.state.wants_access and request.duration is not None:
            assert request.ends_at is not None
        if request.confirmed_at and request.duration and request.ends_at:
            longest = request.duration + request.extensions_used * each
            assert request.ends_at - request.confirmed_at <= longest


@given(lives())
@settings(max_examples=250)
def test_no_tick_leaves_access_past_its_end(made):
    made.tick()

    request = made.request
    begun = any(g.begun for g in request.grants)
    assert not (begun and request.state.wants_access and request.ends_at) or (
        request.ends_at > made.now
    )


@given(lives(), _MORE)
@settings(max_examples=250)
def test_nobody_is_given_what_nobody_else_decided(made, more):
    for life in _after_each(made, more):
        request, revision = life.request, life.facts.revision
        if request.state.wants_access:
            assert request.decided
            assert revision.approval is None or request.approvals
            assert (request.decided.by == SYSTEM) is (revision.approval is None)
        if not revision.self_approval:
            assert not {a.person for a in request.approvals} & {*request.parties}
