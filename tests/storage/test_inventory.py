"""What a system says of its things and permissions is stored whole, and read again so."""

from dataclasses import replace

import pytest
from sqlalchemy import select, text, update
from sqlmodel import col

from engine import ownership
from engine.aql.parser import parse
from engine.connectors.listed import NOT_GIVEN, Listed
from engine.flow import AccessFlow, FlowId
from engine.inventory import PermissionId, Policies, Principal
from engine.outcome import Card
from engine.port import Discovered, DiscoveredPermission
from engine.request import State
from engine.risk import Risks, Rule
from engine.targets import Selector
from storage import facts, inventory, schema, search, sync
from storage.database import Database
from storage.tables import (
    AuditRow,
    CompanyRow,
    EntitlementRow,
    MessageRow,
    PermissionRow,
    PermissionTagRow,
    ResourceRow,
    ResourceTagRow,
)
from tests.support.stored import ADA, ALICE, BOB, PG, TABLES, WIKI, WRITING, reading, table

ACCOUNT = Discovered(
    "Account",
    "Straße",
    "aws/Straße",
    "arn:1",
    {"ps-1": 7, "ps-2": 3},
    risk=8,
    tags={"env": ("PROD", "EU", "PROD"), "Env": ("dev",), "none": ()},
    context={"region": ("eu-west-1",)},
    owner="ines@example.com",
)
ADMIN = DiscoveredPermission(
    PermissionId("ps-1"), "Administrator", {"kind": ("Managed",)}, {"Path": ("/Ops/",)}
)


def discover(stored, *found, system=WIKI, **more) -> None:
    stored.write(lambda tx, _: sync.inventory(tx, system, found, stored.now, **more))


def entitlements(stored, system=WIKI):
    """Return what can be had, by path and the permission's id."""
    with stored.database.read() as session:
        found = [facts.to_entitlement(r) for r in session.execute(facts.entitlement_query())]
    return {
        (e.resource.path, e.permission.id): e
        for e in found
        if e.integration.id == system and e.available
    }


def tagged(stored):
    """Return what queries can ask for, of resources by their path."""
    paths = {r.id: r.path for r in stored.rows(ResourceRow)}
    rows = stored.rows(ResourceTagRow)
    return {(paths[r.resource_id], r.context, r.key, r.value_key) for r in rows}


def test_all_that_is_said_of_things_and_permissions_is_read_again(stored):
    discover(stored, ACCOUNT, permissions=[ADMIN])

    found = entitlements(stored)
    admin, other = found["aws/Straße", "ps-1"], found["aws/Straße", "ps-2"]
    assert admin.resource.tags == {"Env": ("dev",), "env": ("EU", "PROD")}
    assert admin.resource.context == {"region": ("eu-west-1",)}
    assert admin.resource.owner == "ines@example.com"
    assert (admin.resource.risk, admin.permission.risk) == (8, 7)
    assert (admin.permission.name, other.permission.name) == ("Administrator", "ps-2")
    assert admin.permission.tags == {"kind": ("Managed",)}
    assert admin.permission.context == {"Path": ("/Ops/",)}
    assert (other.permission.tags, other.permission.context) == ({}, {})


def test_the_policies_that_give_it_are_read_again_and_change_with_what_is_found(stored):
    policies = Policies("1111", Principal.ROLE, {PermissionId("ps-1"): '{"Statement":[]}'})
    discover(stored, replace(ACCOUNT, policies=policies))

    found = entitlements(stored)
    assert found["aws/Straße", "ps-1"].resource.policies == policies
    assert found["aws/Straße", "ps-1"].document == '{"Statement":[]}'
    assert found["aws/Straße", "ps-2"].document == ""

    discover(stored, ACCOUNT)
    assert entitlements(stored)["aws/Straße", "ps-1"].resource.policies is None


@pytest.mark.parametrize("said", ["x", {"account": "1", "principal": "rolle", "documents": {}}])
def test_what_has_policies_that_cannot_be_read_is_not_offered_and_is_named(stored, said):
    """Nobody knows whether there is room for it."""
    discover(stored, ACCOUNT)
    with stored.database.write() as tx:
        body = {"tags": {}, "policies": said}
        where = col(ResourceRow.path) == "aws/Straße"
        ((id_,),) = tx.execute(
            update(ResourceRow).where(where).values(body=body).returning(text("id"))
        )
    with stored.database.read() as session:
        ids = session.execute(
            select(col(EntitlementRow.id)).where(col(EntitlementRow.resource_id) == id_)
        )
        found = facts.entitlements(session, stored.company(), [e for (e,) in ids])

    assert [e.available for e in found.values()] == [False, False]
    assert "aws/Straße" in str(stored.database.unread.take())


def test_whose_it_is_is_read_with_what_its_system_says_of_that(stored):
    listed = [(WIKI, "Wiki", "memory", {}, "ada", "team")]
    stored.write(lambda tx, _: sync.integrations(tx, listed, stored.now))
    discover(stored, replace(ACCOUNT, owner="", tags={"team": ("web", "data"), "owner": ("x",)}))

    (thing, _) = entitlements(stored).values()
    assert ownership.said_of(thing) == ("data", "web", "ada")
    discover(stored, ACCOUNT)
    (thing, _) = entitlements(stored).values()
    assert ownership.said_of(thing) == ("ines@example.com", "ada")


def test_a_permission_that_is_called_otherwise_is_the_same(stored):
    """Access would be asked of its system by a name, which is another by tomorrow."""
    discover(stored, ACCOUNT, permissions=[ADMIN])
    before, epoch = entitlements(stored)["aws/Straße", "ps-1"], stored.company().epoch

    discover(stored, ACCOUNT, permissions=[replace(ADMIN, name="Owner", tags={})])

    after = entitlements(stored)["aws/Straße", "ps-1"]
    assert (after.id, after.permission.id) == (before.id, before.permission.id)
    assert (after.permission.name, after.permission.tags) == ("Owner", {})
    assert [r for r in stored.rows(PermissionTagRow) if not r.context] == []
    changed = {r.id for r in stored.rows(PermissionRow) if r.epoch > epoch}
    assert changed == {"ps-1"}
    assert stored.company().epoch > epoch


def test_a_permission_that_is_described_no_more_is_called_by_its_id_again(stored):
    discover(stored, ACCOUNT, permissions=[ADMIN])
    discover(stored, ACCOUNT)

    found = entitlements(stored)["aws/Straße", "ps-1"].permission
    assert (found.name, found.tags, found.context) == ("ps-1", {}, {})


def test_a_permission_that_can_be_had_nowhere_any_more_keeps_its_name_for_the_past(stored):
    discover(stored, ACCOUNT, permissions=[ADMIN])
    discover(stored, replace(ACCOUNT, permissions={"ps-2": 3}))

    assert {r.id: r.name for r in stored.rows(PermissionRow) if r.integration_id == WIKI} == {
        "edit": "edit",
        "ps-1": "Administrator",
        "ps-2": "ps-2",
    }


def test_permissions_of_two_systems_may_have_the_same_id(stored):
    discover(stored, ACCOUNT, permissions=[replace(ADMIN, id=PermissionId("ps-2"))])
    discover(stored, *TABLES, table("other", "ps-2"), system=PG)

    assert entitlements(stored)["aws/Straße", "ps-2"].permission.name == "Administrator"
    assert entitlements(stored, PG)["other", "ps-2"].permission.name == "ps-2"


def test_a_permission_that_cannot_be_read_is_not_offered_until_it_is_written_anew(stored):
    """It could be had as one that has no tags, whatever it was that a query left out by them."""
    discover(stored, ACCOUNT, permissions=[ADMIN])
    with stored.database.write() as tx:
        spoilt = update(PermissionRow).where(col(PermissionRow.id) == "ps-1").values(body=[7])
        tx.execute(spoilt)
    of = next(e.id for e in entitlements(stored).values() if e.permission.id == "ps-2")
    assert entitlements(stored).keys() == {("aws/Straße", "ps-2")}

    with stored.database.read() as session:
        facts.entitlements(session, stored.company(), range(of - 1, of + 2))
    (finding,) = stored.database.unread.take()
    assert "Administrator" in finding.sentence

    discover(stored, ACCOUNT, permissions=[ADMIN])
    assert entitlements(stored)["aws/Straße", "ps-1"].permission.tags == {"kind": ("Managed",)}


def test_flows_name_permissions_as_people_do(stored):
    """The search looked for the id, the form for the name: what one listed the other refused."""
    discover(stored, ACCOUNT, permissions=[ADMIN])
    by_name = Selector(WIKI, permissions=frozenset({"Administrator"}))
    flow = AccessFlow(FlowId(1), 1, reading(targets=(by_name,)))

    def found() -> list[str]:
        with stored.database.read() as session:
            catalogues = stored.companies.catalogues
            return [f.path for f in search.resources(session, catalogues, [flow], "")]

    assert found() == ["aws/Straße"]
    assert flow.revision.selects(entitlements(stored)["aws/Straße", "ps-1"])
    discover(stored, ACCOUNT, permissions=[replace(ADMIN, name="Owner")])
    assert found() == []


def test_queries_find_the_tags_that_a_thing_has_by_now(stored):
    discover(stored, ACCOUNT)
    assert tagged(stored) == {
        ("aws/Straße", False, "Env", "dev"),
        ("aws/Straße", False, "env", "prod"),
        ("aws/Straße", False, "env", "eu"),
        ("aws/Straße", True, "region", "eu-west-1"),
    }

    discover(stored, replace(ACCOUNT, tags={"env": ("test",)}, context={}))
    assert tagged(stored) == {("aws/Straße", False, "env", "test")}

    discover(stored, replace(ACCOUNT, tags={}, context={}))
    assert tagged(stored) == set()


def test_tags_in_another_order_are_the_same(stored):
    discover(stored, ACCOUNT, permissions=[ADMIN])
    epoch = stored.company().epoch

    turned = {"none": (), "Env": ("dev",), "env": ("EU", "PROD")}
    discover(stored, replace(ACCOUNT, tags=turned), permissions=[ADMIN])

    assert stored.company().epoch == epoch


@pytest.mark.parametrize("letter", ["x", "ΐ", "ﬃ", "\N{ROCKET}"])
def test_a_tag_of_any_length_can_be_stored(stored, letter):
    """PostgreSQL has no index of a value that long: one tag kept all else of a system out."""
    written = "".join(f"{letter}{n}" for n in range(3000))
    discover(stored, replace(ACCOUNT, tags={written: (written,), "env": ("prod",)}))

    tags = entitlements(stored)["aws/Straße", "ps-1"].resource.tags
    assert tags["env"] == ("prod",)
    assert {written.startswith(key) for key in tags.keys() - {"env"}} == {True}


def test_no_transaction_stores_many_tags(stored):
    """Resources were counted, and a hundred with many tags each were stored in one."""
    tags = {f"key {n}": ("value",) for n in range(50)}
    many = [table(f"many.t{n}") for n in range(40)]
    with stored.database.read() as session:
        found = [*TABLES, *(replace(one, tags=tags) for one in many)]
        steps = sync.compare_inventory(session, PG, found).steps(stored.now)
    for step in steps:
        before = len(stored.rows(ResourceTagRow))
        stored.write(lambda tx, _, step=step: step(tx))
        assert len(stored.rows(ResourceTagRow)) - before <= sync.ROWS_AT_ONCE

    assert len(stored.rows(ResourceTagRow)) == 40 * 50


# --- beside, and after, the program before ------------------------------------------------------

OLD_RESOURCE = text(
    "insert into resource (integration_id, source_id, type, name, path, name_key, path_key, status,"
    " risk, body) values ('wiki', 'new', 'Page', 'New', 'New', 'new', 'new', 'active', 5,"
    ' \'{"tags": {"env": ["Prod"]}}\')'
)


@pytest.fixture
def empty(empty_url):
    opened = Database(empty_url, pool=5)
    yield opened
    opened.close()


def test_what_the_program_before_stored_can_be_asked_for_after_the_upgrade(empty):
    schema.upgrade(empty, "0003")
    with empty.write() as tx:
        tx.execute(text("insert into integration (id, name, kind, server, body)"
                        " values ('wiki', 'WIKI', 'memory', '', '{}')"))  # fmt: skip
        tx.execute(OLD_RESOURCE)
        tx.execute(text("insert into entitlement (resource_id, permission, risk, offered)"
                        " select id, 'Edit', 5, true from resource"))  # fmt: skip
        tx.execute(text("insert into resource (integration_id, source_id, type, name, path,"
                        " name_key, path_key, status, risk, body) values"
                        " ('wiki', 'odd', 'Odd', '', '', '', '', 'active', 5, '[7]')"))  # fmt: skip

    schema.upgrade(empty)

    with empty.read() as session:
        names = session.execute(text("select name_key from integration")).all()
        types = session.execute(text("select type_key from resource order by id")).all()
        called = session.execute(text("select id, name, name_key from permission")).all()
        tags = session.execute(text("select key, value_key from resource_tag")).all()
        page = [Discovered("Page", "New", "New", "new", {"Edit": 5}, 5, {"env": ("Prod",)})]
        again = sync.compare_inventory(session, WIKI, page)
    assert (names, types) == ([("wiki",)], [("page",), ("odd",)])
    assert (called, tags) == ([("Edit", "Edit", "edit")], [("env", "prod")])
    assert (again.of.other, again.permissions) == ([], [])


def test_what_the_program_before_writes_beside_this_one_is_put_right_by_a_discovery(stored):
    """It knows nothing of tags that can be asked for: they would have stayed missing."""
    with stored.database.write() as tx:
        tx.execute(OLD_RESOURCE)
        company = text("update resource set body = :body where source_id = 'id:handbook'")
        tx.execute(company, {"body": '{"tags": {"env": ["Test"]}}'})
    page = Discovered("Page", "New", "New", "new", {"edit": 5}, 5, {"env": ("Prod",)})
    handbook = replace(table("handbook", "edit", type_="page"), tags={"env": ("Test",)})

    discover(stored, page, handbook)

    assert tagged(stored) == {
        ("New", False, "env", "prod"),
        ("handbook", False, "env", "test"),
    }
    types = {r.type_key for r in stored.rows(ResourceRow) if r.integration_id == WIKI}
    assert types == {"page"}


# --- risk ---------------------------------------------------------------------------------------

RISKY = Risks(
    set=(Rule(parse('resource_path starts_with "aws/"'), resource=10),),
    rules=(Rule(parse('permission_name = "ADMINISTRATOR"'), permission=8),),
)


def say(stored, risks) -> None:
    stored.write(lambda tx, _: sync.risks(tx, risks, stored.now))


def risks_of(stored, path="aws/Straße", system=WIKI):
    found = {p: e for (at, p), e in entitlements(stored, system).items() if at == path}
    return {e.resource.risk for e in found.values()}, {
        p: e.permission.risk for p, e in found.items()
    }


def test_what_administrators_say_of_risks_holds_from_the_next_discovery(stored):
    unsaid = replace(ACCOUNT, risk=0, permissions={"ps-1": 0, "ps-2": 4})
    discover(stored, unsaid, permissions=[ADMIN])
    assert risks_of(stored) == ({7}, {"ps-1": 9, "ps-2": 4})

    say(stored, RISKY)
    say(stored, RISKY)
    discover(stored, unsaid, permissions=[ADMIN])

    assert risks_of(stored) == ({10}, {"ps-1": 8, "ps-2": 4})
    assert stored.company().risks == RISKY
    assert [r.action for r in stored.rows(AuditRow)].count("risks_changed") == 1
    say(stored, Risks())
    discover(stored, unsaid, permissions=[ADMIN])
    assert risks_of(stored) == ({7}, {"ps-1": 9, "ps-2": 4})


def test_where_what_they_say_cannot_be_read_what_is_published_holds(stored):
    say(stored, RISKY)
    with stored.database.write() as tx:
        tx.execute(update(CompanyRow).values(risks={"set": [{"where": "no query"}]}, epoch=99))

    discover(stored, replace(ACCOUNT, risk=0, permissions={"ps-1": 0}), permissions=[ADMIN])

    assert risks_of(stored) == ({7}, {"ps-1": 9})
    assert stored.company().risks == Risks()
    (finding,) = stored.database.unread.take()
    assert "risks" in finding.sentence


# --- what came, went and changed ----------------------------------------------------------------


def reports(stored):
    rows = sorted(stored.rows(AuditRow), key=lambda r: r.seq)
    return [r.body for r in rows if r.action == "discovered"]


def alarms(stored) -> list[str]:
    return [r.detail for r in stored.rows(MessageRow) if r.kind == Card.ALARM]


def test_what_a_sync_found_is_reported_with_counts_and_first_names(stored):
    before = len(reports(stored))
    orders, customers, ledger = TABLES
    many = [table(f"many.t{n:02}") for n in range(12)]

    discover(stored, replace(orders, risk=9), customers, *many, system=PG)

    (said,) = reports(stored)[before:]
    assert said == {
        "integration": PG,
        "new": 12,
        "gone": 1,
        "changed": 1,
        "first": {
            "new": [f"many.t{n:02}" for n in range(10)],
            "gone": [ledger.path],
            "changed": [orders.path],
        },
    }
    assert alarms(stored) == []


def test_permissions_that_are_called_otherwise_are_reported(stored):
    discover(stored, ACCOUNT, permissions=[ADMIN])
    discover(stored, ACCOUNT, permissions=[replace(ADMIN, name="Owner")])

    assert reports(stored)[-1] == {"integration": WIKI, "permissions": 1, "first": {}}


def test_where_much_is_gone_the_administrators_are_told_once(stored):
    """A login that had lost its rights found nothing, and everybody's access was gone unsaid."""
    many = [table(f"many.t{n:02}") for n in range(30)]
    discover(stored, *TABLES, *many, system=PG)
    assert alarms(stored) == []

    for _ in range(2):
        discover(stored, *TABLES, *many[6:], system=PG)

    (said,) = alarms(stored)
    assert "Production" in said
    assert "6 resources are gone" in said
    assert "many.t00, many.t01" in said


def test_what_comes_back_is_reported_as_new(stored):
    discover(stored, *TABLES[1:], system=PG)
    discover(stored, *TABLES, system=PG)

    assert [(r.get("new"), r.get("gone")) for r in reports(stored)[-2:]] == [(None, 1), (1, None)]


# --- what goes away -----------------------------------------------------------------------------


def test_access_to_what_is_gone_ends_as_gone_and_the_rest_runs_on(stored):
    """It was called active until its end, and whoever made a thing of that name gave it to them."""
    request = stored.submit("read on shop.orders", "read on shop.customers")
    stored.converge()

    discover(stored, *TABLES[1:], system=PG)
    stored.tick()
    now = stored.again(request)
    assert (now.state, [g.state for g in now.grants]) == (State.ACTIVE, ["ended", "held"])
    assert now.grants[0].begun  # nobody has seen yet that the access is gone

    stored.converge()
    now = stored.again(request)
    assert (now.state, [g.begun for g in now.grants]) == (State.ACTIVE, [False, True])
    assert {str(t) for held in stored.systems[PG].held.values() for t in held} == {
        "read on shop.customers"
    }
    told = [r.detail for r in stored.rows(MessageRow) if r.kind == Card.NOTICE]
    assert told == [f"{now.code}: read on shop.orders is gone, and so is the access."]


def test_a_request_of_which_all_is_gone_is_revoked(stored):
    request = stored.submit()
    stored.converge()

    discover(stored, *TABLES[1:], system=PG)
    stored.tick()
    assert stored.again(request).state is State.REVOKING
    stored.converge()

    now = stored.again(request)
    assert (now.state, now.ended.reason) == (State.REVOKED, "what it gave is gone")
    assert [(g.state, g.note) for g in now.grants] == [("ended", "It is gone.")]


def test_a_new_thing_under_an_old_name_is_given_to_nobody_who_had_the_old_one(stored):
    """F19: what was approved for one thing would have been another's."""
    running, waits = stored.submit(), stored.submit("write on shop.orders", flow=WRITING)
    stored.converge()

    discover(stored, *TABLES[1:], table("shop.orders", source="id:2"), system=PG)
    stored.tick()
    stored.converge()

    assert stored.again(running).state is State.REVOKED
    assert stored.again(waits).state is State.CANCELLED
    assert set().union(*stored.systems[PG].held.values()) == set()
    new = stored.entitlement("read on shop.orders")
    assert new.id not in {g.entitlement for r in (running, waits) for g in r.grants}
    again = stored.submit()
    stored.converge()
    assert stored.again(again).state is State.ACTIVE


@pytest.mark.parametrize("looks", [True, False], ids=["once more", "both at once"])
def test_what_is_listed_anew_without_an_id_of_its_own_is_a_new_thing(stored, looks):
    """It was the old one, and who had waited for that, or had it, came by what was new."""
    tables = [replace(one, named=True) for one in TABLES]
    discover(stored, *tables, system=PG)
    running, waits = stored.submit(), stored.submit("write on shop.orders", flow=WRITING)
    stored.converge()
    old = stored.entitlement("read on shop.orders")

    discover(stored, *tables[1:], system=PG)
    if looks:
        stored.tick()
        stored.converge()
    for _ in range(2):
        discover(stored, *tables, system=PG)
    stored.tick()
    stored.converge()

    assert stored.again(running).state is State.REVOKED
    assert stored.again(waits).state is State.CANCELLED
    new = stored.entitlement("read on shop.orders")
    assert new.resource.id != old.resource.id
    again = stored.submit()
    stored.converge()
    assert stored.again(again).state is State.ACTIVE

    discover(stored, *tables[1:], system=PG)
    discover(stored, *tables, system=PG)
    third = stored.entitlement("read on shop.orders")
    assert third.resource.id not in {new.resource.id, old.resource.id}


def test_a_permission_that_is_offered_no_more_leaves_what_waits_and_what_runs_runs_on(stored):
    running = stored.submit("write on shop.orders", flow=WRITING)
    stored.approve(running)
    stored.converge()
    waits = stored.submit("write on shop.orders", flow=WRITING, by=BOB)

    discover(stored, replace(TABLES[0], permissions={"read": 3}), *TABLES[1:], system=PG)
    stored.tick()

    assert stored.again(running).state is State.ACTIVE
    assert stored.again(waits).state is State.CANCELLED


def test_access_in_a_system_that_is_listed_no_more_runs_to_its_end(stored):
    running = stored.submit()
    stored.converge()

    stored.write(lambda tx, _: sync.integrations(tx, [(WIKI, "Wiki", "memory", {})], stored.now))
    stored.tick()

    assert stored.again(running).state is State.ACTIVE


def test_what_waits_for_a_system_that_is_listed_no_more_is_cancelled(stored):
    waits = stored.submit(flow=WRITING)

    stored.write(lambda tx, _: sync.integrations(tx, [(WIKI, "Wiki", "memory", {})], stored.now))
    stored.tick()

    assert stored.again(waits).state is State.CANCELLED


# --- what is only listed ------------------------------------------------------------------------


class Called(Listed):
    def apply(self, order, *, creates=False):
        assert not creates
        return super().apply(order)


def test_what_is_only_listed_can_be_asked_for_and_is_never_called_given(stored):
    """Who was told that they have it would have looked for it in vain."""
    named = dict.fromkeys(("type", "name", "path", "source_id"), "plans")
    listed = Called(installation="x", resources=[{**named, "permissions": ["edit"]}])
    stored.systems = {**stored.systems, WIKI: listed}
    discover(stored, *listed.discover(), permissions=listed.permissions())
    assert "by hand" in stored.entitlement("edit on plans").resource.caveat

    request = stored.submit("edit on plans", flow=WRITING)
    stored.approve(request)
    stored.converge()

    now = stored.again(request)
    assert (now.state, now.confirmed_at) == (State.FAILED, None)
    assert [(g.state, g.begun, g.note) for g in now.grants] == [("refused", False, NOT_GIVEN)]
    said = f"{now.code}: edit on plans was refused. {NOT_GIVEN}"
    told = {(r.recipient, r.kind) for r in stored.rows(MessageRow) if NOT_GIVEN in r.detail}
    assert told == {(ALICE, Card.NOTICE), (ADA, Card.ALARM)}
    assert said in {r.detail.partition(" What was begun")[0] for r in stored.rows(MessageRow)}


def test_what_can_be_had_is_named_as_people_name_it(stored):
    """Flows are compared with it, which name permissions by what they are called."""
    discover(stored, ACCOUNT, permissions=[ADMIN])

    with stored.database.read() as session:
        there = inventory.names(session)

    assert there[WIKI] == {
        ("Account", "Administrator"): {"strasse", "aws/strasse"},
        ("Account", "ps-2"): {"strasse", "aws/strasse"},
    }
    assert there[PG]["table", "read"] >= {"orders", "shop.orders"}
