"""Owners as approvers: whose a thing is by what is stored, and who is asked once that changes."""

from dataclasses import replace

import pytest

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.crowd import each
from engine.flow import ApprovalRule, ApproverGroup
from engine.request import GrantId, Seat, State
from engine.targets import Selector
from storage import sync
from storage.offers import offered
from storage.tables import AskRow
from tests.support.stored import (
    ADA,
    DAN,
    DORA,
    GROUPS,
    MIA,
    PEOPLE,
    PG,
    SAM,
    SRES,
    TABLES,
    WIKI,
    reading,
    writing,
)

OWNERS = ApproverGroup("Owners", ConditionGroup((Condition("owner", Comparator.IS, ()),)))
OWNED = writing(
    approval=ApprovalRule((OWNERS,)), escalation=None, targets=(Selector(PG), Selector(WIKI))
)
THINGS = ("write on shop.orders", "write on shop.customers")


def tagged(*owners: str, tag: str = "owner"):
    """Return the tables, each with the owner of its place."""
    return [
        replace(thing, tags={tag: (owner,)} if owner else {})
        for thing, owner in zip(TABLES, [*owners, *[""] * len(TABLES)], strict=False)
    ]


def discover(stored, *owners: str, **more) -> None:
    stored.write(lambda tx, _: sync.inventory(tx, PG, tagged(*owners, **more), stored.now))


def system(stored, owner: str = "", tag: str = "owner") -> None:
    listed = [(PG, "Production", "memory", {}, owner, tag), (WIKI, "Wiki", "memory", {})]
    stored.write(lambda tx, _: sync.integrations(tx, listed, stored.now))


@pytest.fixture
def waiting(stored):
    """Alice's request for what is Dan's and for what is Dora's, and one for neither."""
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (OWNED, True)], stored.now))
    discover(stored, "dan", "Dora@Example.com")
    made = stored.submit(*THINGS, flow=OWNED.name)
    stored.submit("write on ledger.entries", flow=OWNED.name)
    stored.tick()
    stored.wake_touched()
    return made


def asked(stored, request) -> dict[str, tuple[int, ...]]:
    return {a.person: a.seat.of for a in stored.again(request).asks if a.open}


def test_each_owner_is_asked_and_what_each_approved_is_kept(stored, waiting):
    assert asked(stored, waiting) == {DAN: (0,), DORA: (1,)}
    assert {r.seat for r in stored.rows(AskRow) if r.request_id == waiting.id} == {"group/0"}

    stored.approve(waiting, DAN)

    (given,) = stored.again(waiting).approvals
    assert given.seats == {Seat(0, of=(GrantId(0),))}
    assert stored.again(waiting).state is State.PENDING
    stored.approve(waiting, DORA)
    assert stored.again(waiting).state is State.GRANTING


CHANGES = {
    "a tag": (lambda s: discover(s, "dan", "sam"), {DAN: (0,), SAM: (1,)}),
    "a tag that is gone": (lambda s: discover(s, "dan"), {DAN: (0,), ADA: (1,)}),
    "the system's owner, of what has none": (
        lambda s: (discover(s, "dan"), s.wake_touched(), system(s, "mia")),
        {DAN: (0,), MIA: (1,)},
    ),
    "the tag's name": (lambda s: system(s, "mia", "team"), {MIA: ()}),
    "who has left": (
        lambda s: s.take_in([p for p in PEOPLE if p.id != DAN], GROUPS, held=False),
        {ADA: (0,), DORA: (1,)},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whose_it_is_now_is_asked_once_that_changes(stored, waiting, what):
    change, expected = CHANGES[what]

    change(stored)
    assert waiting.id in stored.wake_touched()
    stored.tick()

    assert asked(stored, waiting) == expected


def test_another_word_of_a_thing_wakes_nobody_who_waits_for_it(stored, waiting):
    risky = [replace(thing, risk=9) for thing in tagged("dan", "Dora@Example.com")]

    stored.write(lambda tx, _: sync.inventory(tx, PG, risky, stored.now))

    assert waiting.id not in stored.wake_touched()


def test_a_group_that_comes_to_be_called_so_owns_what_names_it(stored, waiting):
    discover(stored, "dan", "Keepers")
    stored.wake_touched()
    stored.tick()
    assert asked(stored, waiting) == {DAN: (0,), ADA: (1,)}

    called = [replace(g, name="keepers") if g.id == SRES else g for g in GROUPS]
    stored.take_in(PEOPLE, called, held=False)
    assert waiting.id in stored.wake_touched()
    stored.tick()

    assert asked(stored, waiting)[SAM] == (1,)


@pytest.mark.usefixtures("waiting")
def test_of_what_flows_offer_it_is_known_whose_it_is(stored):
    system(stored, "mia")
    flows = list(stored.company().flows.values())

    with stored.database.read() as session:
        made = offered(session, flows, OWNED.offers)
        none = offered(session, [f for f in flows if f.name != OWNED.name], OWNED.offers)

    assert made.owned.keys() == {("dan", "mia"), ("Dora@Example.com", "mia"), ("mia",), ("",)}
    assert len([*each(made.owned["dan", "mia"])]) == 2
    assert none.owned == {}
