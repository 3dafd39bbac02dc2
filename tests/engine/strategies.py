"""Random commands, facts and lives: whatever can reach a request, in any order, at any time."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from engine.commands import (
    Answer,
    Approve,
    Attempt,
    Cancel,
    Change,
    Command,
    Extend,
    FirstLook,
    Nudge,
    Observe,
    PutQuestion,
    Reject,
    Return,
    Revoke,
    Tick,
    Verify,
    Withdraw,
)
from engine.directory import PersonId, PersonStatus
from engine.flow import ApprovalRule, Escalation, Extension, Quorum, RequestFor, TierCounts
from engine.request import OPERATOR, SYSTEM, GrantId, RequestId, State
from tests.support.builders import (
    ABSENT,
    ADA,
    ANN,
    BEN,
    BOB,
    BOTH,
    CAT,
    DAN,
    DAY,
    DBAS,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    REFUSED,
    SECOND,
    SECURITY,
    UNKNOWN,
    Life,
    approvers,
    begun,
    flow,
    gone,
    these,
)
from tests.support.builders import life as lived

TIERS = (approvers(), approvers(EVE, name="leads"), approvers(ADA, name="admins"))

FLOWS = {
    "any of": flow(),
    "automatic": flow(approval=None),
    "all of": flow(approval=BOTH),
    "all of, two of one": flow(
        approval=ApprovalRule((replace(DBAS, needs=2), SECURITY), Quorum.ALL_OF)
    ),
    "all of, not distinct": flow(approval=replace(BOTH, distinct=False)),
    "escalated": flow(escalation=Escalation(HOUR, TIERS)),
    "escalated by groups": flow(
        approval=BOTH, escalation=Escalation(30 * MINUTE, TIERS, TierCounts.OPEN_GROUPS)
    ),
    "nobody can be asked": flow(approval=ApprovalRule((approvers(),))),
    "mfa": flow(require_mfa=True),
    "indefinite": flow(grant_for=None),
    "a month": flow(grant_for=30 * DAY, extension=Extension(1, 30 * DAY)),
    "5 minutes": flow(grant_for=5 * MINUTE, extension=Extension(3, 5 * MINUTE)),
    "no extension": flow(extension=None),
    "own": flow(requestors=these(ANN, BEN), self_approval=True),
    "for others": flow(request_for=frozenset({RequestFor.DIRECT_REPORTS})),
    "lapses soon": flow(lapses_after=15 * MINUTE, require_reason=True),
}

# The flows whose requests BEN alone can let through, and the states that this leads to.
GIVING = ["any of", "automatic", "escalated", "indefinite", "a month", "5 minutes", "no extension"]
FURTHER = [State.SCHEDULED, State.GRANTING, State.ACTIVE, State.ACTIVE, State.REVOKING]

people = st.sampled_from([ANN, BOB, EVE, BEN, CAT, DAN, ADA, OPERATOR, SYSTEM, PersonId("nobody")])
reasons = st.sampled_from(["", "INC-42", "x" * 124, "x" * 125])
written = st.sampled_from(["", "Why?", "x" * 1000, "x" * 1001])
keys = st.sampled_from(["trigger/1", "trigger/2"])
durations = st.sampled_from(
    [None, timedelta(), MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, DAY, timedelta.max]
)
steps = st.sampled_from(
    [timedelta(), SECOND, 4 * MINUTE, 20 * MINUTE, 51 * MINUTE, HOUR, 13 * HOUR, 20 * DAY]
)
grants = st.integers(0, 3).map(GrantId)
outcomes = st.sampled_from([HELD, ABSENT, REFUSED, UNKNOWN])

clicks = st.one_of(
    st.builds(Verify, people),
    st.builds(Approve, people, reasons, durations, st.booleans()),
    st.builds(Reject, people, reasons),
    st.builds(Withdraw, people),
    st.builds(Nudge, people, keys),
    st.builds(PutQuestion, people, written, keys, st.booleans()),
    st.builds(Answer, people, st.integers(-1, 3), written, keys),
    st.builds(Cancel, people, reasons),
    st.builds(Change, people, st.just(RequestId(2))),
    st.builds(Extend, people, st.integers(-1, 4)),
    st.builds(Return, people),
    st.builds(Revoke, people, reasons),
)
reports = st.one_of(
    st.builds(FirstLook, st.dictionaries(grants, st.booleans())),
    st.builds(
        Observe,
        st.dictionaries(grants, outcomes),
        st.sampled_from(["", "it keeps its own time"]),
        st.booleans(),
    ),
)
commands: st.SearchStrategy[Command] = st.one_of(
    clicks, reports, st.just(Tick()), st.just(Attempt())
)

# What moves a life on, drawn often enough that all states are reached.
_progress: st.SearchStrategy[Command] = st.sampled_from(
    [
        Verify(ANN),
        Approve(BEN, "ok"),
        Approve(DAN, "ok"),
        Approve(CAT, "ok", 5 * MINUTE),
        Tick(),
        FirstLook(dict.fromkeys(map(GrantId, range(3)), False)),
        Attempt(),
        Observe(dict.fromkeys(map(GrantId, range(3)), HELD)),
        Observe(dict.fromkeys(map(GrantId, range(3)), ABSENT)),
        Extend(ANN, 1),
        Return(ANN),
    ]
)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Draw a life somewhere on its way: any flow, people come and go, all in any order."""
    wanted = range(1, draw(st.integers(1, 3)) + 1)
    if draw(st.booleans()):
        state, named = draw(st.sampled_from(FURTHER)), draw(st.sampled_from(GIVING))
        life = lived(state, FLOWS[named], *wanted)
    else:
        named = draw(st.sampled_from(sorted(FLOWS)))
        parties = {"requestor": EVE, "grantee": ANN} if named == "for others" else {}
        ahead = draw(st.sampled_from([None, None, 10 * MINUTE, HOUR, 2 * DAY]))
        life = begun(FLOWS[named], *wanted, starts_at=ahead and NOW + ahead, **parties)
    for step, command, news in draw(
        st.lists(st.tuples(steps, commands | _progress | _progress, st.integers(0, 30)), max_size=9)
    ):
        tell(life, news)
        life.do(command, step)
    tell(life, draw(st.integers(0, 10)))
    life.now += draw(steps)
    return life


def tell(life: Life, news: int) -> None:
    """Let a fact change now and then."""
    known = life.facts.directory.people
    match news:
        case 0 | 1 | 2:
            someone = known[(ANN, BEN, EVE)[news]]
            status = PersonStatus.INACTIVE if someone.active else PersonStatus.ACTIVE
            life.know(replace(someone, status=status))
        case 3 | 4:
            closed = replace(life.facts.flow, active=news == 3, deleted=news == 4)
            life.know(flow=closed)
        case 5:
            life.know(entitlements={**life.facts.entitlements, gone(1).id: gone(1)})
        case 6:
            life.know(held_elsewhere={GrantId(1): "AX-0000"})
        case _:
            pass
