"""What a decision says reaches people, and the audit: cards and entries are stored with it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.commands import Cancel, Tick
from engine.directory import PersonStatus
from engine.request import SYSTEM, State
from storage import sync
from storage.tables import AuditRow, MessageRow
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DORA,
    ENGINEERS,
    MIA,
    PEOPLE,
    PG,
    TABLES,
    WRITING,
    person,
    reading,
)


def cards(stored, *kinds) -> list[tuple[str, str, str, str]]:
    rows = sorted(stored.rows(MessageRow), key=lambda r: (r.kind, r.recipient, r.key))
    return [(r.recipient, r.kind, r.key, r.detail) for r in rows if not kinds or r.kind in kinds]


def entries(stored, request, *actions) -> list[tuple[str, str, object]]:
    rows = sorted(stored.rows(AuditRow), key=lambda r: r.seq)
    mine = [r for r in rows if r.request_id == request.id]
    return [(r.actor, r.action, r.body) for r in mine if not actions or r.action in actions]


def take_in(stored, *changed) -> None:
    people = {p.id: p for p in (*PEOPLE, *changed)}
    stored.take_in(list(people.values()))


@pytest.mark.parametrize("by", ["the clock loop", "a command"])
def test_a_decision_of_cards_only_reaches_whom_it_is_for(stored, by):
    """Nothing of the request changed, so nothing was stored: nobody heard that who had asked for
    somebody else has left, and that the access goes on."""
    bob = replace(person("bob", ENGINEERS), manager=ALICE)
    take_in(stored, bob)
    request = stored.submit(by=ALICE, to=BOB)
    stored.converge()
    assert stored.again(request).state is State.ACTIVE
    alice = person("alice", ENGINEERS)

    take_in(stored, replace(alice, status=PersonStatus.INACTIVE), replace(bob, manager=MIA))
    if by == "a command":
        stored.do(request, Tick())
    else:
        stored.tick()

    sentence = (
        f"Alice is no longer active, and had asked for {request.code}. "
        "Bob keeps the access until its end."
    )
    assert cards(stored, "notice", "alarm") == [(MIA, "notice", "orphaned", sentence)]
    stored.do(request, Tick())
    assert len(cards(stored, "notice")) == 1  # said once


def test_a_refusal_at_the_grant_is_told_and_kept_with_its_reason(stored):
    """It was told to nobody, and the reasons were lost when all was refused."""
    request = stored.submit("read on shop.orders", "read on shop.customers")
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES[2:], stored.now))

    stored.converge()

    assert stored.again(request).state is State.FAILED
    gone = "It no longer exists."
    said = [
        f"{request.code}: read on {what} was not granted. {gone}"
        for what in ("shop.orders", "shop.customers")
    ]
    told = {(who, kind, detail) for who, kind, _, detail in cards(stored, "notice", "alarm")}
    assert told == {(ALICE, "notice", s) for s in said} | {(ADA, "alarm", s) for s in said}
    whys = [g.entitlement for g in request.grants]
    assert entries(stored, request, "refused", "revoking", "failed") == [
        *((SYSTEM, "refused", {"entitlement": e, "why": gone}) for e in whys),
        (SYSTEM, "revoking", {"ending": "failed", "reason": "all was refused"}),
        (SYSTEM, "failed", {}),
    ]
    assert [g.note for g in stored.again(request).grants] == [gone, gone]


def test_what_a_deleted_flow_cancels_is_told_and_kept_with_its_reason(stored):
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True)], stored.now))

    stored.tick()

    assert {(who, kind) for who, kind, _, _ in cards(stored)} == {
        (ALICE, "request"),
        (DAN, "approval"),
        (DORA, "approval"),
    }
    assert {r.wanted for r in stored.rows(MessageRow)} == {2}  # the cards are brought up to date
    assert entries(stored, request, "cancelled") == [
        (SYSTEM, "cancelled", {"reason": "its access flow was deleted"})
    ]


def test_a_card_that_was_never_made_is_not_made_only_to_be_brought_up_to_date(stored):
    """An approver who was never asked got a card of a request that was settled."""
    request = stored.submit("write on shop.orders", flow=WRITING)
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql("delete from message where kind = 'approval'")

    stored.do(request, Cancel(ALICE))

    assert {(who, kind) for who, kind, _, _ in cards(stored)} == {(ALICE, "request")}


def test_a_tier_that_is_asked_gets_its_cards(stored):
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.pass_(timedelta(minutes=15))

    stored.tick()

    assert [who for who, *_ in cards(stored, "approval")] == [DAN, DORA, "sam"]
    assert entries(stored, request, "escalated") == [(SYSTEM, "escalated", {"tier": 1})]
