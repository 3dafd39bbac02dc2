"""Delegations as they are stored: who is asked by them, who is woken, and how they end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine import delegating
from engine.delegating import Why
from engine.directory import PersonId, PersonStatus
from engine.outcome import Card, Code, Refusal
from engine.request import SYSTEM, State
from storage import sync
from storage.codec import load_delegation
from storage.jobs import JobKind
from storage.tables import AuditRow, DelegationRow, JobRow, MessageRow
from tests.support.stored import ADA, ALICE, BOB, DAN, DORA, HOUR, PEOPLE, SAM

DAY = timedelta(days=1)


def lend(stored, by=DAN, to=BOB, until=HOUR):
    def change(tx, company):
        here = company.directory.at(stored.now)
        people = here.people
        made = delegating.begin(
            people[by], people[to], (stored.now + until, "leave"), here, stored.now
        )
        return made if isinstance(made, Refusal) else sync.lend(tx, made, here, stored.now)

    made = stored.write(change)
    stored.wake_touched()
    stored.tick()
    return made


def lapse(stored):
    def change(tx, company):
        here = company.directory.at(stored.now)
        return sync.take_back(tx, delegating.over(here), SYSTEM, here, stored.now)

    ended = stored.write(change)
    stored.wake_touched()
    stored.tick()
    return ended


def end(stored, made, by=DAN):
    def change(tx, company):
        here = company.directory.at(stored.now)
        return sync.take_back(tx, [(made, Why.BY_HAND)], by, here, stored.now)

    ended = stored.write(change)
    stored.wake_touched()
    stored.tick()
    return ended


def ask(stored):
    return stored.submit("write on shop.orders", by=ALICE, flow="Writing")


def asked(stored, request):
    return {a.person for a in stored.again(request).asks if a.open}


def history(stored):
    return [(r.action, r.actor) for r in stored.rows(AuditRow) if r.action.startswith("delegat")]


def said(stored, person):
    rows = [r for r in stored.rows(MessageRow) if r.kind == Card.NOTICE]
    return [r.detail for r in rows if r.recipient == person]


def test_what_waits_wakes_and_the_delegate_is_asked_and_may_approve(stored):
    request = ask(stored)
    assert asked(stored, request) == {DAN, DORA}

    lend(stored)

    assert asked(stored, request) == {DAN, DORA, BOB}
    done = stored.approve(request, BOB)
    assert done.request.state is State.GRANTING
    assert done.request.approvals[0].through == (DAN,)


def test_who_asks_later_finds_the_delegate_asked_too(stored):
    lend(stored)

    assert asked(stored, ask(stored)) == {DAN, DORA, BOB}


def test_what_waits_wakes_where_the_delegator_was_asked_nothing(stored):
    """Nobody asks who has no Slack account: their delegate is asked for them."""
    person = stored.company().directory.people[DAN]
    stored.write(
        lambda tx, _: sync.suspend(tx, {DAN: (person.account, "it has changed")}, stored.now)
    )
    stored.wake_touched()
    request = ask(stored)
    assert asked(stored, request) == {DORA}

    lend(stored)

    assert asked(stored, request) == {DORA, BOB}


def test_what_was_asked_while_the_delegate_had_no_account_wakes_when_they_have_one(stored):
    lend(stored)
    known = stored.company().directory.people[BOB].account
    stored.write(lambda tx, _: sync.suspend(tx, {BOB: (known, "it has changed")}, stored.now))
    request = ask(stored)
    assert asked(stored, request) == {DAN, DORA}

    stored.write(lambda tx, _: sync.confirm(tx, BOB, ADA, stored.now))
    stored.write(lambda tx, _: sync.tie(tx, {BOB: known}, stored.now))
    stored.wake_touched()
    stored.tick()

    assert asked(stored, request) == {DAN, DORA, BOB}


def test_both_are_told_and_the_audit_says_so(stored):
    lend(stored)

    begun = (
        "Bob can approve and reject for you until Mon 2 Nov 10:00, and is asked too. The reason: "
        "“leave”. `/access delegate list` ends it."
    )
    assert said(stored, DAN) == [begun]
    assert said(stored, BOB)[0].startswith("You can approve and reject for Dan until Mon 2 Nov")
    assert history(stored) == [("delegated", DAN)]


def test_it_ends_at_its_time_and_both_are_told(stored):
    request = ask(stored)
    made = lend(stored)
    (job,) = [r for r in stored.rows(JobRow) if r.kind == JobKind.DELEGATION and r.subject]
    assert (job.subject, job.due_at) == (str(made.id), stored.now + HOUR)
    assert lapse(stored) == 0

    stored.pass_(HOUR)
    late = stored.approve(request, BOB)
    assert isinstance(late, Refusal)
    assert late.code is Code.NOT_APPROVER

    assert lapse(stored) == 1
    assert lapse(stored) == 0
    assert BOB not in asked(stored, request)
    assert stored.company().directory.delegations == ()
    assert history(stored)[-1] == ("delegation_expired", SYSTEM)
    assert said(stored, BOB)[-1] == "You do not decide for Dan any more: its time was up."
    assert said(stored, DAN)[-1] == "Bob does not decide for you any more: its time was up."


@pytest.mark.parametrize("by", [DAN, BOB, ADA])
def test_who_ended_it_is_in_the_audit_and_it_ends_once(stored, by):
    request, made = ask(stored), lend(stored)

    assert end(stored, made, by) == 1
    assert end(stored, made, by) == 0

    assert asked(stored, request) == {DAN, DORA}
    assert history(stored)[1:] == [("delegation_ended", by)]
    who = "you" if by == BOB else by.title()
    assert said(stored, BOB)[-1] == f"You do not decide for Dan any more: {who} ended it."


@pytest.mark.parametrize("who", [DAN, BOB])
@pytest.mark.parametrize("how", ["left", "guest"])
def test_it_ends_when_either_is_gone_and_does_not_come_back(stored, who, how):
    request = ask(stored)
    lend(stored)

    def change(status, *, guest):
        if how == "guest":
            stored.write(lambda tx, _: sync.regrade(tx, {who: guest}, stored.now))
        else:
            people = [replace(p, status=status) if p.id == who else p for p in PEOPLE]
            stored.take_in(people)

    change(PersonStatus.INACTIVE, guest=True)
    stored.wake_touched()
    stored.tick()
    assert BOB not in asked(stored, request)
    jobs = [(r.subject, r.due_at) for r in stored.rows(JobRow) if r.kind == JobKind.DELEGATION]
    assert ("", stored.now) in jobs

    assert lapse(stored) == 1
    assert history(stored)[-1] == ("delegation_expired", SYSTEM)
    change(PersonStatus.ACTIVE, guest=False)
    stored.wake_touched()
    stored.tick()
    assert BOB not in asked(stored, request)


def test_what_was_approved_by_it_stays_when_it_has_ended(stored):
    request, made = ask(stored), lend(stored)
    stored.approve(request, BOB)

    end(stored, made)

    assert stored.again(request).state is State.GRANTING


def test_a_circle_is_refused_by_what_is_true_when_it_is_stored(stored):
    lend(stored)

    assert not isinstance(lend(stored, BOB, SAM), Refusal)
    assert isinstance(lend(stored, SAM, DAN), Refusal)
    assert isinstance(lend(stored, BOB, DAN), Refusal)
    assert isinstance(lend(stored), Refusal)


def test_what_cannot_be_read_lends_nothing(stored):
    made = lend(stored)

    stored.write(lambda tx, _: setattr(tx.get(DelegationRow, made.id), "body", {"to": 7}))

    assert stored.company().directory.delegations == ()
    assert asked(stored, ask(stored)) == {DAN, DORA}


@pytest.mark.parametrize("body", [None, [], {}, {"until": 1}, 7, "x"])
def test_what_is_no_delegation_is_none(body):
    assert load_delegation(1, body) is None


def test_whoever_has_a_new_id_goes_on_with_it(stored):
    lend(stored)
    here = stored.company().directory
    new = PersonId("bob-2")
    renamed = here.changed({new: replace(here.people[BOB], id=new), BOB: None}, formerly={BOB: new})

    assert [d.delegate for d in renamed.at(stored.now).standing] == [new]
