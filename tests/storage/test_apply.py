"""Submitting and deciding: one transaction writes the request and all that follows from it."""

import random
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from engine import lifecycle
from engine.commands import (
    Answer,
    Approve,
    Cancel,
    Change,
    Extend,
    Nudge,
    PutQuestion,
    Reject,
    Return,
    Revoke,
    Tick,
    Withdraw,
)
from engine.directory import PersonStatus
from engine.flow import ApprovalRule, ApproverGroup, Quorum
from engine.holdings import wants
from engine.outcome import Code, Decision, Refusal
from engine.port import Unavailable
from engine.request import AccessRequest, GrantState, Question, RequestId, State
from storage import apply, audit, facts, sync, unit_of_work
from storage.apply import LostRaceError
from storage.tables import (
    AccountRow,
    AskRow,
    AuditRow,
    DecisionRow,
    DeliveryRow,
    GrantRow,
    MessageRow,
    RequestRow,
)
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DBAS,
    DORA,
    HOUR,
    MIA,
    MINUTE,
    PEOPLE,
    PG,
    READING,
    SAM,
    SRES,
    WIKI,
    WRITING,
    Stored,
    is_in,
    reading,
    writing,
)

WHAT = (
    "read on shop.orders",
    "write on shop.orders",
    "read on shop.customers",
    "read on ledger.entries",
    "edit on handbook",
    "edit on runbook",
)


def actions(stored, request) -> list[str]:
    rows = [r for r in stored.rows(AuditRow) if r.request_id == request.id]
    return [r.action for r in sorted(rows, key=lambda r: r.seq)]


# --- what one step writes ------------------------------------------------------------------------


def agree(stored) -> None:
    """Every projection says what the requests' bodies say; the chain of the audit is whole."""
    rows = {r.id: r for r in stored.rows(RequestRow)}
    with stored.database.read() as session:
        requests = facts.requests(session, rows)
        assert list(audit.AuditReading(session).findings()) == []
    company = stored.company()
    for request in requests:
        row = rows[request.id]
        wake = lifecycle.next_wake(request, company.revisions[request.flow, request.revision])
        assert row.state == request.state
        assert row.version == request.version
        assert row.wake_at == wake or (row.wake_at and row.wake_at <= stored.now)
        assert (row.requestor_id, row.grantee_id) == (request.requestor, request.grantee)
        assert (row.flow_id, row.revision) == (request.flow, request.revision)

    assert projected(stored, GrantRow) == {
        (r.id, g.id, g.entitlement, g.account, g.state, g.begun, g.open)
        for r in requests
        for g in r.grants
    }
    assert projected(stored, AskRow) == {
        (r.id, a.person, a.seat.key, a.seat.tier, a.seat.group, a.why, a.open)
        for r in requests
        for a in r.asks
    }
    verdicts = {
        (r.id, a.person): ("approved", a.reason, a.at) for r in requests for a in r.approvals
    }
    verdicts |= {
        (r.id, r.decided.by): ("rejected", r.decided.reason, r.decided.at)
        for r in requests
        if r.state is State.REJECTED
    }
    assert projected(stored, DecisionRow) == {(*k, *v) for k, v in verdicts.items()}
    cards = {(m.request_id, m.recipient, m.kind) for m in stored.rows(MessageRow)}
    assert cards >= {(r.id, p, "request") for r in requests for p in r.parties}
    assert cards >= {(r.id, a.person, "approval") for r in requests for a in r.asks}
    said = Counter((a.request_id, a.action) for a in stored.rows(AuditRow) if a.request_id)
    for request in requests:
        assert said[request.id, "submitted"] == 1
        assert said[request.id, "granted"] == (request.confirmed_at is not None)
        assert said[request.id, "revoking"] == (
            request.state is State.REVOKING
            or request.state in {State.FAILED, State.EXPIRED, State.RETURNED, State.REVOKED}
        )
        if request.state.final:
            assert said[request.id, request.state.value] == 1
    behind = {a.id for a in stored.rows(AccountRow) if a.acted < a.wanted}
    for request in requests:
        for grant in request.grants:
            missing = wants(request, grant) and grant.state is GrantState.WANTED
            if missing and not company.paused:
                assert grant.account in behind


def projected(stored, table) -> set[tuple[object, ...]]:
    names = [c.name for c in table.__table__.columns]
    return {tuple(getattr(row, name) for name in names) for row in stored.rows(table)}


def ledger_covers(stored) -> None:
    """The systems hold nothing that the ledger does not name."""
    entitlements, begun = {}, set()
    with stored.database.read() as session:
        for row in session.execute(facts.entitlement_query()):
            entitlement = facts.to_entitlement(row)
            entitlements[entitlement.id] = entitlement
    accounts = {a.id: a for a in stored.rows(AccountRow)}
    for grant in stored.rows(GrantRow):
        if grant.begun:
            account = accounts[grant.account_id]
            what = entitlements[grant.entitlement_id]
            begun.add((account.integration_id, account.login, str(what)))
    for system, connector in stored.systems.items():
        for login, targets in connector.held.items():
            for target in targets:
                assert (system, login, str(target)) in begun


class Life:
    """People, time and systems do something at random."""

    def __init__(self, stored, seed: int) -> None:
        self.stored, self.random = stored, random.Random(seed)  # noqa: S311  (no secret)
        self.requests, self.works = [], []

    def step(self) -> None:
        moves = [self.submit, self.decide, self.decide, self.tick, self.turn, self.turn, self.turn]
        moves += [self.finish, self.finish, self.fault, self.people, self.pause, self.send]
        self.random.choice(moves)()

    def submit(self) -> None:
        flow = self.random.choice([READING, WRITING])
        what = [w for w in WHAT if flow == WRITING or not w.startswith("write")]
        what = self.random.sample(what, self.random.randint(1, 3))
        by = self.random.choice([ALICE, ALICE, BOB])
        draft = self.stored.draft(what, by=by, flow=flow, duration=HOUR)
        try:
            made = self.stored.submit(*what, by=by, flow=flow)
        except IntegrityError:
            with self.stored.database.read() as session:
                assert facts.same(session, apply.fingerprint(draft)) in self.requests
        else:
            self.requests.append(made.id)

    def decide(self) -> None:
        if not self.requests:
            return
        who = self.random.choice([ALICE, BOB, DAN, DORA, SAM, MIA, ADA])
        command = self.random.choice([
            Approve(DAN), Approve(DORA), Approve(who), Reject(who), Cancel(who), Return(who),
            Nudge(who), PutQuestion(who, "Why?"), Answer(who, 1, "So."), Revoke(who), Tick(),
            Extend(who, 1), Extend(who, 2),
        ])  # fmt: skip
        id_ = self.random.choice(self.requests)
        self.stored.write(
            lambda tx, c: unit_of_work.carry_out(tx, c, id_, command, self.stored.now)
        )

    def tick(self) -> None:
        minutes = self.random.choice([1, 10, 16, 40, 70])
        self.stored.pass_(minutes * MINUTE)
        self.stored.tick()

    def turn(self) -> None:
        busy = {w.account for w in self.works}
        for id_ in self.stored.due():
            if id_ not in busy:
                self.works += self.stored.turn(id_)

    def finish(self) -> None:
        if self.works:
            work = self.works.pop(self.random.randrange(len(self.works)))
            self.works += self.stored.turn(done=[self.stored.call(work)])

    def fault(self) -> None:
        system = self.stored.systems[self.random.choice([PG, WIKI])]
        system.faults = [Unavailable("it is down")] * self.random.randint(0, 2)

    def people(self) -> None:
        status = self.random.choice(list(PersonStatus))
        people = [replace(p, status=status) if p.id in {BOB, DORA} else p for p in PEOPLE]
        self.stored.take_in(people)

    def pause(self) -> None:
        paused = self.random.random() < 0.3
        self.stored.write(lambda tx, _: sync.pause(tx, ADA, self.stored.now, paused=paused))
        self.stored.wake_touched()

    def send(self) -> None:
        self.stored.send()


@pytest.mark.parametrize("seed", range(3))
def test_every_table_agrees_with_the_requests_after_every_step(stored, seed):
    life = Life(stored, seed)

    for _ in range(30):
        life.step()
        agree(stored)
        ledger_covers(stored)

    for system in stored.systems.values():
        system.faults = []
    while life.works:
        life.finish()
    stored.write(lambda tx, _: sync.pause(tx, ADA, stored.now, paused=False))
    for _ in range(5):
        stored.pass_(30 * HOUR)
        stored.tick()
        stored.converge()
    assert {r.state for r in stored.rows(RequestRow)} <= {s.value for s in State if s.final}
    assert all(not held for s in stored.systems.values() for held in s.held.values())
    agree(stored)


def test_submitting_stores_everything_at_once(stored):
    woken = []
    stored.database.on_commit.append(woken.append)

    request = stored.submit("write on shop.orders", "edit on handbook", flow=WRITING)

    assert woken == [{"messages"}]
    assert stored.again(request).state is State.PENDING
    assert {a.person_id for a in stored.rows(AskRow)} == {DAN, DORA}
    assert {(a.integration_id, a.login) for a in stored.rows(AccountRow)} == {
        (PG, apply.login_name(ALICE)),
        (WIKI, apply.login_name(ALICE)),
    }
    assert [(d.key, d.request_id) for d in stored.rows(DeliveryRow)] == [
        (f"view/{stored.instance}/1", request.id)
    ]
    agree(stored)


def test_refused_command_writes_nothing(stored):
    request = stored.submit(flow=WRITING)
    before = len(stored.rows(AuditRow))

    refusal = stored.approve(request, ALICE)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.OWN_REQUEST
    assert stored.again(request).version == 1
    assert len(stored.rows(AuditRow)) == before


def test_command_on_no_request_is_refused(stored):
    refusal = stored.write(
        lambda tx, c: unit_of_work.carry_out(tx, c, RequestId(404), Approve(DAN), stored.now)
    )

    assert refusal.code is Code.NO_SUCH_REQUEST


# --- once ----------------------------------------------------------------------------------------


def test_same_request_twice_is_found_instead(stored):
    first = stored.submit("read on shop.orders", "edit on handbook")

    with pytest.raises(IntegrityError):
        stored.submit("edit on handbook", "read on shop.orders", duration=2 * HOUR)

    draft = stored.draft(["edit on handbook", "read on shop.orders"])
    with stored.database.read() as session:
        assert facts.same(session, apply.fingerprint(draft)) == first.id
    assert len(stored.rows(RequestRow)) == 1


def test_running_access_never_blocks_a_new_request(stored):
    """F14: while access ran, a second request did nothing."""
    first = stored.submit()
    stored.converge()
    assert stored.again(first).state is State.ACTIVE

    second = stored.submit()

    assert second.id != first.id


def test_same_delivery_twice_is_found_instead(stored):
    first = stored.submit("read on shop.orders", key="view/V1")

    with pytest.raises(IntegrityError):
        stored.submit("read on shop.customers", key="view/V1")

    assert stored.write(lambda tx, _: apply.delivered(tx, "view/V1")) == (first.id,)
    assert stored.write(lambda tx, _: apply.delivered(tx, "view/V2")) == ()
    assert len(stored.rows(RequestRow)) == 1


def test_a_delivery_that_made_several_requests_made_them_once(stored):
    drafts = [stored.draft([path]) for path in ("read on shop.orders", "read on shop.customers")]

    def submit(tx, company):
        several = enumerate(drafts)
        return [apply.submit(tx, company, d, "view/V1", stored.now, number=n) for n, d in several]

    made = stored.write(submit)

    assert stored.write(lambda tx, _: apply.delivered(tx, "view/V1")) == tuple(r.id for r in made)
    with pytest.raises(IntegrityError):
        stored.submit("edit on handbook", key="view/V1")
    assert len(stored.rows(RequestRow)) == 2


def test_three_processes_that_submit_the_same_make_one_request(crew, stored, url):
    results = crew.race("submit", url, key=["a", "b", "c"])

    assert sorted(how for how, _ in results) == ["found", "found", "made"]
    assert len({id_ for _, id_ in results}) == 1
    assert len(stored.rows(RequestRow)) == 1


def test_of_three_submissions_at_once_one_is_the_last_that_may_be_open(crew, stored, url):
    """Three replicas would each count what is stored, and find that one more may be open."""
    whats = ["read on shop.orders", "read on shop.customers", "edit on runbook"]
    for turn in range(1, 4):
        keys = [f"view/{turn}/{what}" for what in whats]

        results = crew.race("ask", url, key=keys, what=whats, most=[1] * 3)

        assert sorted(results) == ["made", Code.TOO_MANY_OPEN, Code.TOO_MANY_OPEN], turn
        assert len(stored.rows(RequestRow)) == turn
        stored.converge()  # who has what was asked for may ask again


def test_of_approvers_who_press_at_once_one_decides(crew, stored, url):
    """F1: of two approvers who clicked at once one saw an error, and two timers ran.

    Elsewhere two approvers at once made one grant, two timers and an error.
    """
    for turn in range(4):
        request = stored.submit("write on shop.orders", "edit on handbook", flow=WRITING)

        results = crew.race(
            "decide", url, by=[DAN, DORA, DAN], request=[request.id] * 3, how=["approve"] * 3
        )

        assert sorted(results) == ["decided", Code.SETTLED, Code.SETTLED], turn
        assert Counter(actions(stored, request)) == {"submitted": 1, "approved": 1}
        stored.converge()
        assert actions(stored, request).count("granted") == 1
        agree(stored)
        stored.do(request, Return(ALICE))
        stored.converge()


def test_of_an_approval_a_rejection_and_a_cancellation_at_once_one_counts(crew, stored, url):
    ends = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}
    for turn in range(4):
        request = stored.submit("write on shop.orders", flow=WRITING)

        results = crew.race(
            "decide", url, by=[DAN, DORA, ALICE], request=[request.id] * 3, how=list(ends)
        )

        assert sorted(results) == ["decided", Code.SETTLED, Code.SETTLED], turn
        won = dict(zip(results, ends.values(), strict=True))["decided"]
        assert actions(stored, request) == ["submitted", won]
        agree(stored)
        if won == "approved":
            stored.converge()
            stored.do(request, Return(ALICE))
            stored.converge()


@pytest.mark.parametrize("keys", ["aaa", "abc"])
def test_replicas_that_are_brought_nudges_at_once_nudge_once(crew, stored, url, keys):
    """One click that is delivered three times, or three of them."""
    request = stored.submit(flow=WRITING)

    results = crew.race("nudge", url, key=list(keys), request=[request.id] * 3)

    others = [Code.TOO_SOON if keys == "abc" else 0] * 2
    assert sorted(results, key=str) == sorted([3, *others], key=str)
    assert actions(stored, request) == ["submitted", "nudged"]
    assert stored.again(request).nudged_at == stored.now


def test_questions_and_answers_are_stored_with_their_people_and_told_in_the_audit(stored):
    request = stored.submit(flow=WRITING)

    stored.do(request, PutQuestion(DAN, "Why\nnow?"))
    stored.do(request, PutQuestion(DORA, "Who?"))
    stored.pass_(MINUTE)
    stored.do(request, Answer(ALICE, 1, "INC-42"))

    first, second = stored.again(request).questions
    assert first == Question(DAN, stored.now - MINUTE, "Why\nnow?", "INC-42", stored.now)
    assert second == Question(DORA, stored.now - MINUTE, "Who?")
    assert actions(stored, request) == ["submitted", "questioned", "questioned", "answered"]
    renamed = stored.again(request).renamed({DAN: BOB})
    assert [q.by for q in renamed.questions] == [BOB, DORA]
    agree(stored)


def change(stored, request, what="write on shop.orders", **more) -> AccessRequest:
    """Make another request instead of one, as its requestor does."""
    draft = replace(stored.draft([what], flow=WRITING, **more), instead=request.id)

    def store(tx, company):
        book = unit_of_work.UnitOfWork(tx, company, facts.together(tx, [request.id]), stored.now)
        decided = book.decide(request.id, Change(ALICE, apply.next_id(tx)))
        assert isinstance(decided, Decision)
        instead = book.decided(request.id)
        return apply.submit(tx, company, draft, "view/change", stored.now, instead=instead)

    return stored.write(store)


@pytest.mark.parametrize("what", ["write on shop.orders", "edit on handbook"])
def test_a_change_stores_both_requests_at_once(stored, what):
    old = stored.submit("write on shop.orders", flow=WRITING)
    stored.do(old, PutQuestion(DAN, "Why?"))

    new = change(stored, old, what)

    old, new = stored.again(old), stored.again(new)
    assert (old.state, old.changed_to, old.instead_of) == (State.CANCELLED, new.id, None)
    assert (new.state, new.changed_to, new.instead_of) == (State.PENDING, None, old.id)
    assert actions(stored, old) == ["submitted", "questioned", "cancelled"]
    assert actions(stored, new) == ["submitted"]
    cards = {(m.request_id, m.recipient) for m in stored.rows(MessageRow)}
    assert {(new.id, DAN), (new.id, DORA), (new.id, ALICE)} <= cards
    agree(stored)
    later = stored.submit("read on shop.customers")
    assert later.id not in {old.id, new.id}
    stored.approve(new)
    stored.converge()
    assert stored.again(new).state is State.ACTIVE
    agree(stored)


def test_a_change_that_cannot_be_stored_leaves_the_old_one(stored):
    old = stored.submit("write on shop.orders", flow=WRITING)
    stored.submit("edit on handbook", flow=WRITING)

    with pytest.raises(IntegrityError):
        change(stored, old, "edit on handbook")  # there is the same already

    assert stored.again(old) == old
    assert len(stored.rows(RequestRow)) == 2
    agree(stored)


# --- races ---------------------------------------------------------------------------------------


def test_an_approval_that_stands_no_more_is_no_decision(stored):
    """It was withdrawn, or its giver left: the table went on saying that they had approved."""
    groups = (ApproverGroup("DBAs", is_in(DBAS), needs=2), ApproverGroup("SREs", is_in(SRES)))
    rules = writing(approval=ApprovalRule(groups, Quorum.ALL_OF), escalation=None)
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (rules, True)], stored.now))
    waiting = stored.submit("write on shop.orders", flow=WRITING)

    for who in (DAN, DORA, SAM):
        stored.approve(waiting, who)
        if who != SAM:
            stored.do(waiting, Withdraw(who))
        agree(stored)
    stored.approve(waiting, DORA)
    agree(stored)
    stored.take_in([replace(p, guest=p.id == DORA) for p in PEOPLE])
    stored.do(waiting, Tick())

    assert stored.again(waiting).state is State.PENDING
    assert {row.person_id for row in stored.rows(DecisionRow)} == {SAM}
    agree(stored)


def test_decision_on_an_old_version_is_a_lost_race(stored):
    request = stored.submit(flow=WRITING)

    def decide_late(tx, company):
        late = unit_of_work.UnitOfWork(tx, company, facts.together(tx, [request.id]), stored.now)
        late.decide(request.id, Approve(DAN))
        tx.execute(update(RequestRow).values(version=col(RequestRow.version) + 1))
        late.store()

    with pytest.raises(LostRaceError):
        stored.write(decide_late)
    assert stored.again(request).state is State.PENDING

    stored.approve(request)
    assert stored.again(request).state is State.GRANTING


def test_request_under_a_revision_that_is_not_kept_is_decided_by_it(stored):
    """A transaction that had loaded the flows a moment too early ended in a KeyError."""
    request = stored.submit(flow=WRITING)
    company = replace(stored.company(), revisions={}, flows={})

    stored.write(
        lambda tx, _: unit_of_work.carry_out(tx, company, request.id, Approve(DAN), stored.now)
    )

    assert stored.again(request).state is State.GRANTING


class Crowd:
    """Threads that do what processes do, all at once, until the people among them are done."""

    def __init__(self) -> None:
        self.faults: list[BaseException] = []
        self._over = threading.Event()

    def run(self, people, others) -> None:
        busy = [threading.Thread(target=self._guarded, args=(p,)) for p in people]
        loops = [threading.Thread(target=self._loop, args=(o,)) for o in others]
        for thread in (*busy, *loops):
            thread.start()
        for thread in busy:
            thread.join()
        self._over.set()
        for thread in loops:
            thread.join()

    def _guarded(self, work) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001  (the test asserts that there is none)
            self.faults.append(fault)
            self._over.set()

    def _loop(self, work) -> None:
        while not self._over.is_set():
            self._guarded(work)


SHARED = (
    ("read on shop.orders", "edit on handbook"),
    ("edit on handbook", "read on shop.orders"),
    ("edit on runbook", "read on shop.customers", "read on ledger.entries"),
)


def ask_and_decide(stored, seed) -> None:
    dice = random.Random(seed)  # noqa: S311  (no secret)
    for turn in range(12):
        flow = READING if seed % 2 else WRITING
        with suppress(IntegrityError):
            request = stored.submit(*dice.choice(SHARED), flow=flow)
            if flow == WRITING:
                stored.approve(request)
            if turn % 2:
                stored.do(request, Return(ALICE))


def bring_in_line(stored) -> None:
    for id_ in stored.due():
        works = stored.turn(id_)
        while works:
            works = stored.turn(done=[stored.call(w) for w in works])


def change_facts(stored) -> None:
    stored.touch_everything()
    stored.tick()
    for paused in (True, False):
        stored.write(lambda tx, _, p=paused: sync.pause(tx, ADA, stored.now, paused=p))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_nobody_deadlocks_over_accounts_that_requests_share(stored, other):
    """Syncs took the requests, decisions the accounts, and the message loop the messages, in no
    order: each could wait for the other."""
    crowd = Crowd()

    crowd.run(
        [partial(ask_and_decide, stored, seed) for seed in range(4)],
        [
            partial(change_facts, other),
            *(partial(work, at) for work in (bring_in_line, Stored.send) for at in (stored, other)),
        ],
    )

    assert crowd.faults == []
    stored.wake_touched()  # whoever went on with what was paused has noted so for the clock loop
    stored.converge()
    agree(stored)


def test_login_names_are_readable_and_everybodys_own():
    names = [apply.login_name(p) for p in ("alice", "Alice", "a.li-ce@x", "ä", "b" * 200, "")]

    assert names[0].startswith("lk_alice_")
    assert len(set(names)) == len(names)
    assert all(len(n.encode()) <= 63 and n.isascii() for n in names)


def test_sentences_of_the_same_request_are_said_once(stored):
    request = stored.submit(flow=WRITING)
    for _ in range(3):
        stored.do(request, Tick())
    stored.pass_(timedelta(minutes=31))
    stored.tick()

    alarms = [m for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert [(a.recipient, a.key) for a in alarms] == [(ADA, "undecided")]


def test_ids_that_were_skipped_are_given_to_no_request(stored):
    """After a restore, a card in Slack acted on the request that was given its request's id."""
    first = stored.submit("read on shop.orders")
    with stored.database.write() as tx:
        apply.skip_ids(tx, 10_000)

    second = stored.submit("write on shop.orders", "edit on handbook", flow=WRITING)

    assert second.id == first.id + 10_001
