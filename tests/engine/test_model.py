"""Two requests of one person that overlap, a real system that fails now and then, and time.

The access loop is modelled as it works: what the account should hold is an order; an order may be
carried out, or not, or halfway, and what came of it is told, or not. Clicks, facts and the clock
come in between. Whatever happens, nothing may be left behind, and nothing taken that is not ours.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine import lifecycle
from engine.approval import approved
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
from engine.directory import Person
from engine.facts import Facts
from engine.flow import AccessFlow, Escalation, Extension
from engine.holdings import Wish, held_elsewhere, unlooked, wants, wish
from engine.inventory import Entitlement, EntitlementId
from engine.outcome import Decision
from engine.port import Outcome, Presence
from engine.request import AccessRequest, AccountId, GrantId, GrantState, RequestId, State
from engine.seating import case_of
from tests.support.builders import (
    ABSENT,
    ADA,
    ANN,
    BEN,
    BOTH,
    CAT,
    DAN,
    DAY,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    REFUSED,
    SECOND,
    UNKNOWN,
    approvers,
    entitlement,
    facts,
    flow,
    gone,
    left,
    person,
    request,
)

ACCOUNT = AccountId(1)
FLOWS = (
    flow(approval=None, grant_for=20 * MINUTE, extension=Extension(2, 10 * MINUTE)),
    flow(),
    flow(approval=BOTH, require_mfa=True),
    flow(escalation=Escalation(HOUR, (approvers(), approvers(EVE))), lapses_after=4 * HOUR),
    flow(grant_for=2 * DAY, extension=Extension(1, DAY)),
)
CLICKS: tuple[Command, ...] = (
    Verify(ANN),
    Approve(ANN),
    Approve(BEN),
    Approve(CAT, "", 5 * MINUTE, keep_extensions=True),
    Approve(DAN),
    Approve(EVE),
    Reject(ANN),
    Reject(DAN),
    Withdraw(BEN),
    Withdraw(CAT),
    Nudge(ANN),
    PutQuestion(BEN, "Why?", first=True),
    PutQuestion(CAT, "Who?"),
    Answer(ANN, 1, "So."),
    Answer(ANN, 2, "So."),
    Cancel(ANN),
    Change(EVE, RequestId(9)),
    Extend(ANN, 1),
    Extend(EVE, 2),
    Return(ANN),
    Return(ANN, frozenset({GrantId(0)})),
    Return(EVE, frozenset({GrantId(1)})),
    Revoke(ADA),
)
NEWS = (
    *[None] * 24,
    left("ann", "eng", manager=EVE),
    person("ann", "eng", manager=EVE),
    person("ann", "eng", manager=EVE),
    left("eve", "eng"),
    person("eve", "eng"),
    left("ben", "dba"),
    person("ben", "dba"),
    gone(1),
    entitlement(1),
    (False, False),
    (True, True),
    (True, False),
)


@dataclass(frozen=True)
class Sent:
    """An order on its way, and the grants that it speaks of."""

    wished: Wish
    items: tuple[tuple[RequestId, GrantId, EntitlementId], ...]


class Overlapping(RuleBasedStateMachine):
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.book: dict[RequestId, AccessRequest] = {}
        self.truth = facts(FLOWS[0])
        self.held: set[EntitlementId] = set()  # by Latchkey's doing
        self.standing: set[EntitlementId] = set()
        self.seen_gone: set[tuple[RequestId, GrantId]] = set()
        self.flows: dict[RequestId, AccessFlow] = {}
        self.sent: Sent | None = None

    @initialize(standing=st.sets(st.integers(1, 4).map(EntitlementId), max_size=1))
    def company(self, standing: set[EntitlementId]) -> None:
        self.standing = standing
        self.truth = replace(self.truth, entitlements={e: entitlement(e) for e in range(1, 5)})

    @precondition(lambda self: len(self.book) < 3)
    @rule(
        target=requests,
        of=st.sampled_from(FLOWS),
        wanted=st.sets(st.integers(1, 4), min_size=1, max_size=3),
        requestor=st.sampled_from([ANN, EVE]),
        ahead=st.sampled_from([None, None, 12 * MINUTE, HOUR, 2 * DAY]),
    )
    def submit(self, of, wanted, requestor, ahead):
        id_ = RequestId(len(self.book) + 1)
        new = request(
            of,
            *sorted(wanted),
            id=id_,
            requestor=requestor,
            starts_at=ahead and self.now + ahead,
            submitted_at=self.now,
            lapses_at=self.now + of.revision.lapses_after,
        )
        self.flows[id_] = of
        self.book[id_] = lifecycle.begin(new, self.facts(new), self.now).request
        return id_

    # --- what can happen -------------------------------------------------------------------------

    @rule(id_=requests, command=st.sampled_from(CLICKS))
    def click(self, id_, command):
        self.decide(id_, command)

    @rule(id_=requests, first=st.sampled_from([BEN, CAT]))
    def approve(self, id_, first):
        for command in (Verify(ANN), Approve(first), Approve(DAN)):
            self.decide(id_, command)

    @rule(step=st.sampled_from([SECOND, 4 * MINUTE, 4 * MINUTE, 11 * MINUTE, HOUR, DAY]))
    def wait(self, step):
        self.now += step

    @rule()
    def tick(self):
        for id_ in self.book:
            self.decide(id_, Tick())
            wake = lifecycle.next_wake(self.book[id_], self.flows[id_].revision)
            assert wake is None or wake > self.now

    @rule(id_=requests, news=st.sampled_from(NEWS))
    def a_fact_changes(self, id_, news):
        """Now and then, so that most lives are lived to their end."""
        match news:
            case Person():
                people = {**self.truth.directory.people, news.id: news}
                directory = replace(self.truth.directory, people=people)
                self.truth = replace(self.truth, directory=directory)
            case Entitlement():
                known = {**self.truth.entitlements, news.id: news}
                self.truth = replace(self.truth, entitlements=known)
            case (active, deleted):
                self.flows[id_] = replace(self.flows[id_], active=active, deleted=deleted)

    # --- the access loop -------------------------------------------------------------------------

    @precondition(lambda self: self.sent is None)
    @rule(blind=st.booleans())
    def send(self, *, blind=False):
        """Look at what is new, store what is about to begin, and send the order."""
        for id_, live in self.book.items():
            if live.state is State.REVOKING:
                self.decide(id_, Tick())
        ours, new = unlooked(ACCOUNT, self.book.values())
        self.looked(dict.fromkeys(ours, False))
        if blind and new:
            return  # the system did not answer
        self.looked({e: e in self.standing or e in self.held for e in new})
        for id_, live in self.book.items():
            if any(g.state is GrantState.WANTED for g in live.grants):
                self.decide(id_, Attempt())
        wished = wish(ACCOUNT, self.book.values())
        if wished.wanted or wished.unwanted:
            items = tuple(
                (r.id, g.id, g.entitlement)
                for r in self.book.values()
                for g in r.grants
                if g.begun and not g.standing
            )
            self.sent = Sent(wished, items)

    def looked(self, found):
        for id_, live in self.book.items():
            mine = {
                g.id: found[g.entitlement]
                for g in live.grants
                if g.entitlement in found and g.standing is None and wants(live, g)
            }
            if mine:
                self.decide(id_, FirstLook(mine))

    @precondition(lambda self: self.sent is not None)
    @rule(
        done=st.sampled_from(["all", "all", "nothing", "half"]),
        answered=st.booleans(),
        refuses=st.sets(st.integers(1, 4).map(EntitlementId), max_size=1),
        leaves_some=st.booleans(),
        end_refused=st.sampled_from(["", "", "it keeps its own time"]),
    )
    def arrive(self, done, answered, refuses, leaves_some, end_refused):
        """The order is carried out as far as it goes; what came of it is told, or is lost.

        Where it is refused, some of it may be there all the same.
        """
        sent, self.sent = self.sent, None
        ordered = sorted(sent.wished.wanted | sent.wished.unwanted)
        reached = {"all": ordered, "nothing": [], "half": ordered[::2]}[done]
        refused = {e for e in refuses if e in sent.wished.wanted and e not in self.held}
        for e in reached:
            assert e not in self.standing, "an order never speaks of what is not ours"
            if e in sent.wished.unwanted:
                self.held.discard(e)
            elif e not in refused or leaves_some:
                self.held.add(e)
        if answered and done != "nothing":
            self.report(sent, refused, end_refused)

    @rule()
    def work(self):
        """The access loop has a good moment."""
        if self.sent is None:
            self.send(blind=False)
        if self.sent is not None:
            self.arrive("all", answered=True, refuses=set(), leaves_some=False, end_refused="")

    def report(self, sent, refused=(), end_refused=""):
        newest = wish(ACCOUNT, self.book.values()) == sent.wished
        for id_, live in list(self.book.items()):
            seen = {g: self.outcome(e, sent, refused) for r, g, e in sent.items if r == id_}
            self.seen_gone |= {(id_, g) for g, o in seen.items() if o == ABSENT}
            if seen or live.end_before:
                self.decide(id_, Observe(seen, end_refused, newest))

    def outcome(self, e: EntitlementId, sent: Sent, refused) -> Outcome:
        """What may be believed: what is not as ordered yet is not known for good."""
        if e in refused:
            return REFUSED
        presence = Presence.HELD if e in self.held else Presence.ABSENT
        as_ordered = (presence is Presence.HELD) == (e in sent.wished.wanted)
        return {Presence.HELD: HELD, Presence.ABSENT: ABSENT}[presence] if as_ordered else UNKNOWN

    # --- deciding, and what every decision keeps to ----------------------------------------------

    def facts(self, of: AccessRequest):
        rules = self.flows[of.id]
        return replace(
            self.truth,
            flow=rules,
            revision=rules.revision,
            held_elsewhere=held_elsewhere(of, self.book.values()),
        )

    def decide(self, id_: RequestId, command: Command) -> None:
        before, known = self.book[id_], self.facts(self.book[id_])
        result = lifecycle.decide(before, command, known, self.now)
        if not isinstance(result, Decision):
            assert result.sentence
            return
        after = self.book[id_] = result.request
        assert not before.state.final or after == before
        self.check_end(before, after, command)
        self.check_ended(before, after, known.held_elsewhere)
        self.check_begun(before, after, known)
        if after.decided and after.decided != before.decided:
            assert after.decided.by not in after.parties

    def check_begun(self, before: AccessRequest, after: AccessRequest, known: Facts) -> None:
        """Nothing is given before its start, nor without the approvals that stand then."""
        if before.state is not State.GRANTING and after.state is State.GRANTING:
            case = case_of(after, known.revision, known.directory, known.admins, known.entitlements)
            assert after.starts_at is None or after.starts_at <= self.now
            assert known.revision.approval is None or approved(case)

    def check_end(self, before: AccessRequest, after: AccessRequest, command: Command) -> None:
        """The end moves when it is granted, confirmed, extended or not, and never else."""
        if after.ends_at == before.ends_at:
            return
        fresh = _plus(self.now, after)
        if isinstance(command, Extend):
            step = self.flows[after.id].revision.extension.each
            assert after.ends_at == before.ends_at + step
        elif before.confirmed_at is not None:
            assert isinstance(command, Observe)
            assert after.ends_at == before.end_before
        else:
            assert after.ends_at == fresh

    def check_ended(self, before: AccessRequest, after: AccessRequest, elsewhere) -> None:
        """A grant that was begun ends only when it was seen gone, or another answers for it."""
        for old, new in zip(before.grants, after.grants, strict=True):
            if old.begun and not new.begun:
                seen = (after.id, new.id) in self.seen_gone
                assert seen or new.id in elsewhere
            if new.begun and not old.begun:
                self.seen_gone.discard((after.id, new.id))

    @invariant()
    def somebody_answers_for_all_that_is_held(self):
        answered_for = {
            g.entitlement
            for r in self.book.values()
            for g in r.grants
            if g.begun and not r.state.final
        }
        assert self.held <= answered_for

    @invariant()
    def an_order_touches_nothing_that_is_not_ours(self):
        wished = wish(ACCOUNT, self.book.values())
        assert not (wished.wanted | wished.unwanted) & self.standing

    @invariant()
    def what_somebody_still_has_is_there(self):
        if self.sent:
            return
        for live in self.book.values():
            if live.state is State.ACTIVE:
                has = {g.entitlement for g in live.grants if g.state is GrantState.HELD}
                assert has
                assert has <= self.held | self.standing

    @invariant()
    def extensions_are_counted(self):
        for live in self.book.values():
            assert 0 <= live.extensions_used <= live.extensions_allowed
            assert (live.end_before is None) or live.state is State.ACTIVE

    @invariant()
    def a_lapse_is_put_off_by_what_an_answer_took(self):
        """Once, by a day at most; while somebody waits, by all of that."""
        for live in self.book.values():
            usual = live.submitted_at + self.flows[live.id].revision.lapses_after
            if live.starts_at:  # its time begins anew, at its start or once it is pending again
                assert live.lapses_at >= usual
                continue
            firsts = [q for q in live.questions if q.first]
            assert len(firsts) <= 1
            took = [q.answered_at - q.at for q in firsts if q.answered_at]
            if took or not firsts:
                assert live.lapses_at - usual == min([*took, DAY]) * len(firsts)
            elif live.state is State.PENDING:
                assert live.lapses_at - usual == DAY
                assert live.waits_since == firsts[0].at
            else:
                assert timedelta() <= live.lapses_at - usual <= DAY

    @invariant()
    def open_is_what_is_not_over(self):
        for live in self.book.values():
            assert live.state.final != any(g.open for g in live.grants)
            assert (live.ending is not None) == (live.state is State.REVOKING)

    def teardown(self):
        """With a system that works, everything comes to its end, and nothing is left."""
        for _ in range(60):
            if all(live.state.final for live in self.book.values()):
                break
            self.work()
            self.tick()
            self.now += 12 * HOUR
        assert all(live.state.final for live in self.book.values())
        assert not self.held


def _plus(now: datetime, of: AccessRequest) -> datetime | None:
    return None if of.duration is None else now + of.duration


EXAMPLES = max(150, settings.default.max_examples)  # more by the profile `fuzz`
Overlapping.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=50, deadline=None, database=None
)
test_overlapping_requests_on_a_system_that_fails = pytest.mark.timeout(  # it shrinks slowly
    400 * EXAMPLES / 150
)(Overlapping.TestCase)
