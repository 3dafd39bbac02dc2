"""What the audit says of deeds that belong to no request: who did what, to whom or what, and why.

Several entries could be stored without their content, and no test was red.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.aql.parser import parse
from engine.directory import PersonId
from engine.on_call import Schedule
from engine.request import OPERATOR, SYSTEM
from engine.targets import Bundle, ByScope, Scope, Space
from storage import servers, succession, sync
from storage.tables import AuditRow
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    GROUPS,
    PAGES,
    PEOPLE,
    PG,
    TABLES,
    WIKI,
    Stored,
    account,
    reading,
    table,
    writing,
)

Entry = tuple[str, str, dict[str, object]]
BOTH = [(PG, "Production", "memory", {}), (WIKI, "Wiki", "memory", {})]


def by_sync(deed: Callable[..., object], *given: object, **more: object) -> Callable[..., None]:
    def do(stored: Stored) -> None:
        stored.write(lambda tx, _: deed(tx, *given, stored.now, **more))

    return do


def in_turn(*deeds: Callable[[Stored], None]) -> Callable[[Stored], None]:
    def do(stored: Stored) -> None:
        for deed in deeds:
            deed(stored)

    return do


def flows(*listed: object) -> Callable[[Stored], None]:
    return by_sync(sync.flows, listed)


def guests(**who: bool) -> Callable[[Stored], None]:
    return by_sync(sync.regrade, {PersonId(p): guest for p, guest in who.items()})


def heard(**who: str) -> Callable[[Stored], None]:
    said = {PersonId(p): (account(f"U-{p}", f"{p}@example.com"), why) for p, why in who.items()}
    return by_sync(sync.reach, said)


def part(stored: Stored) -> None:
    """Alice's address belongs to another person, listed under another id."""
    listed = [replace(p, id=PersonId("e-alice")) if p.id == ALICE else p for p in PEOPLE]
    with stored.database.read() as session:
        found = succession.find(session, listed)
    stored.write(lambda tx, _: succession.part(tx, found, stored.now))


def make_way(stored: Stored) -> None:
    """Somebody else has Alice's id now, by another address."""
    listed = [replace(p, email="al@example.com") if p.id == ALICE else p for p in PEOPLE]
    stored.take_in(listed)
    stored.write(lambda tx, _: succession.make_way(tx, ALICE, stored.now))


def accept_server(stored: Stored) -> None:
    stored.write(lambda tx, _: sync.belongs(tx, PG, "one"))
    with stored.database.read() as session:
        (system,) = (c for c in servers.connections(session) if c.id == PG)
        plan = servers.plan(session, system, "two", TABLES)
        steps = list(servers.steps(session, plan, ADA, stored.now))
    for step in steps:
        stored.write(lambda tx, _, s=step: s(tx))


SUSPEND = by_sync(sync.suspend, {BOB: (account("U-bob", ""), "Slack has closed the account")})
ORDERS = Scope("Orders", parse('resource_path = "shop.orders"'))
OTHER = replace(ORDERS, where=parse('resource_path = "shop.customers"'))
KIT, MINE = Bundle("Kit", (ByScope("Orders"),)), Space("Mine", ("Orders",))
DISABLED = [(reading(), False), (writing(), True)]
DEEDS: dict[str, tuple[Callable[[Stored], None], list[Entry]]] = {
    "people have changed": (
        by_sync(sync.people, [replace(p, name="Al") if p.id == ALICE else p for p in PEOPLE],
                GROUPS),
        [(SYSTEM, "people_synced", {"changed": 1, "left": 0})],
    ),
    "somebody has left": (
        by_sync(sync.people, [p for p in PEOPLE if p.id != BOB], GROUPS),
        [
            (SYSTEM, "people_left", {"people": [BOB]}),
            (SYSTEM, "people_synced", {"changed": 1, "left": 1}),
        ],
    ),
    "a Slack account is nobody's any more": (
        SUSPEND,
        [(SYSTEM, "untied", {"person": BOB, "why": "Slack has closed the account"})],
    ),
    "an administrator has looked who it is, and it is theirs again": (
        in_turn(
            SUSPEND,
            by_sync(sync.confirm, BOB, ADA),
            by_sync(sync.tie, {BOB: account("U-b2", "bob@example.com")}),
        ),
        [
            (SYSTEM, "untied", {"person": BOB, "why": "Slack has closed the account"}),
            (ADA, "tie_confirmed", {"person": BOB}),
            (SYSTEM, "tied", {"person": BOB, "slack": "U-b2"}),
        ],
    ),
    "Slack takes no message for somebody, and does again": (
        in_turn(heard(dan="cannot_dm_bot"), heard(dan="cannot_dm_bot"), heard(dan="")),
        [
            (SYSTEM, "unreachable", {"person": DAN, "why": "cannot_dm_bot"}),
            (SYSTEM, "reachable", {"person": DAN}),
        ],
    ),
    "somebody becomes a guest, and a member again": (
        in_turn(guests(dan=True), guests(dan=False)),
        [
            (SYSTEM, "became_guest", {"person": DAN}),
            (SYSTEM, "became_member", {"person": DAN}),
        ],
    ),
    "somebody's approvals count no more": (
        by_sync(sync.void, [DAN]),
        [(SYSTEM, "approvals_void", {"person": DAN})],
    ),
    "there are other administrators": (
        by_sync(sync.administrators, [DAN, ADA]),
        [(SYSTEM, "admins_changed", {"admins": [ADA, DAN]})],
    ),
    "who is on call is another": (
        by_sync(sync.schedules, [Schedule("DBA"), Schedule("SRE")]),
        [(SYSTEM, "schedules_changed", {"schedules": ["DBA", "SRE"]})],
    ),
    "a source cannot be read, and can again": (
        in_turn(by_sync(sync.failing, ["on_call", "file"]), by_sync(sync.failing, [])),
        [
            (SYSTEM, "sources_failing", {"sources": ["file", "on_call"]}),
            (SYSTEM, "sources_failing", {"sources": []}),
        ],
    ),
    "granting is paused, and goes on": (
        in_turn(by_sync(sync.pause, ADA, paused=True), by_sync(sync.pause, OPERATOR, paused=False)),
        [(ADA, "paused", {}), (OPERATOR, "resumed", {})],
    ),
    "a scope is made, changed, deleted, and made once more": (
        in_turn(*(by_sync(sync.objects, o) for o in ([ORDERS], [OTHER], [], [OTHER]))),
        [
            (SYSTEM, "scope_saved", {"scope": "orders", "revision": 1}),
            (SYSTEM, "scope_saved", {"scope": "orders", "revision": 2}),
            (SYSTEM, "scope_deleted", {"scope": "orders"}),
            (SYSTEM, "scope_saved", {"scope": "orders", "revision": 3}),
        ],
    ),
    "a bundle and a space are made, and stay as they are": (
        in_turn(*[by_sync(sync.objects, [ORDERS, KIT, MINE])] * 2),
        [
            (SYSTEM, "scope_saved", {"scope": "orders", "revision": 1}),
            (SYSTEM, "bundle_saved", {"bundle": "kit", "revision": 1}),
            (SYSTEM, "space_saved", {"space": "mine", "revision": 1}),
        ],
    ),
    "a flow is changed": (
        flows((reading(grant_for=None), True), (writing(), True)),
        [(SYSTEM, "flow_saved", {"flow": "reading", "revision": 2})],
    ),
    "a flow is switched off, and on": (
        in_turn(flows(*DISABLED), flows((reading(), True), (writing(), True))),
        [
            (SYSTEM, "flow_disabled", {"flow": "reading"}),
            (SYSTEM, "flow_enabled", {"flow": "reading"}),
        ],
    ),
    "a flow is deleted": (
        flows((writing(), True)),
        [(SYSTEM, "flow_deleted", {"flow": "reading"})],
    ),
    "a system gets another name": (
        by_sync(sync.integrations, [BOTH[0], (WIKI, "Handbook", "memory", {})]),
        [(SYSTEM, "integration_saved", {"integration": WIKI})],
    ),
    "a system goes, and all that it had": (
        by_sync(sync.integrations, BOTH[:1]),
        [
            (SYSTEM, "integration_dropped", {"integration": WIKI, "gone": 2}),
        ],
    ),
    "a system has something new, and something is gone": (
        by_sync(sync.inventory, WIKI, [PAGES[0], table("plans"), table("notes")]),
        [(SYSTEM, "discovered", {
                    "integration": WIKI,
                    "new": 2,
                    "gone": 1,
                    "first": {"new": ["notes", "plans"], "gone": ["runbook"]},
                    "permissions": 2,
                })],
    ),
    "another server is accepted": (
        accept_server,
        [(ADA, "server_accepted", {"integration": PG, "before": "one", "server": "two"})],
    ),
    "somebody else has the address": (
        part,
        [(OPERATOR, "parted", {"person": ALICE})],
    ),
    "somebody else has the id": (
        make_way,
        [
            (SYSTEM, "people_synced", {"changed": 1, "left": 0}),
            (OPERATOR, "parted", {"person": ALICE, "now": "alice~2"}),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("deed", "expected"), DEEDS.values(), ids=list(DEEDS))
def test_what_the_audit_says_of_it(stored, deed, expected):
    known = {r.seq for r in stored.rows(AuditRow)}

    deed(stored)

    rows = sorted((r for r in stored.rows(AuditRow) if r.seq not in known), key=lambda r: r.seq)
    assert [(r.actor, r.action, r.body) for r in rows] == expected
    assert {(r.request_id, r.at) for r in rows} == {(None, stored.now)}
