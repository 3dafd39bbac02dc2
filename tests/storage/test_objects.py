"""Bundles, scopes and spaces as they are stored, and what flows offer by them."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from engine.aql.parser import parse
from engine.aql.predicate import matches
from engine.inventory import IntegrationId, ResourceId
from engine.request import State
from engine.targets import (
    Bundle,
    ByBundle,
    ByScope,
    Except,
    Match,
    Picked,
    Scope,
    Selector,
    Space,
    Tagged,
)
from storage import facts, search, sync
from storage.codec import (
    dump_object,
    dump_revision,
    dump_targets,
    load_object,
    load_revision,
    load_targets,
)
from storage.tables import ObjectRevisionRow, ObjectRow
from tests.support.queries import queries, words
from tests.support.stored import ALICE, PG, READING, WIKI, WRITING, reading, table, writing

ORDERS = Scope("Orders", parse('resource_path = "shop.orders"'))
CUSTOMERS = replace(ORDERS, where=parse('resource_path = "shop.customers"'))
LEDGER = Scope("Ledger", parse('resource_path starts_with "ledger."'))
KIT = Bundle("Kit", (ByScope("Orders"), ByBundle("Pages")))
PAGES = Bundle("Pages", (Selector(WIKI, types=frozenset({"page"})),))
MINE = Space("Mine", ("Orders", "Ledger"))


def keep(stored, *objects) -> None:
    stored.write(lambda tx, _: sync.objects(tx, objects, stored.now))


def offer(stored, *targets, **more) -> None:
    """Let the reading flow offer these, and no other flow anything."""
    flows = [(reading(targets=targets, **more), True), (writing(targets=()), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))


def offered(stored, name=READING) -> list[str]:
    """Return what the search finds, after seeing that the rule of the flow says the same."""
    flow = stored.flow(name)
    catalogues = stored.companies.catalogues
    with stored.database.read() as session:
        found = [f.path for f in search.resources(session, catalogues, [flow], "")]
        things = [facts.to_entitlement(r) for r in session.execute(facts.entitlement_query())]
    selects, company = flow.revision.selects, stored.company()
    assert {*found} == {t.resource.path for t in things if t.available and selects(t)}
    alice = company.directory.people[ALICE]
    asked = (company.policy.offering(alice, alice, t, stored.now) for t in things)
    assert {*found} == {t.resource.path for t, of in zip(things, asked, strict=True) if of}
    return found


def test_a_flow_offers_what_its_objects_hold_at_that_moment(stored, other):
    """Nobody edits the flow, in no process."""
    keep(stored, ORDERS, PAGES, KIT)
    offer(stored, ByBundle("Kit"))
    for process in (stored, other):
        assert offered(process) == ["handbook", "runbook", "shop.orders"]

    keep(stored, CUSTOMERS, KIT)

    for process in (stored, other):
        assert offered(process) == ["shop.customers"]
        assert process.flow(READING).number == 2

    keep(other, CUSTOMERS)

    for process in (stored, other):
        assert offered(process) == []


def test_what_is_new_is_offered_and_what_is_gone_is_not(stored):
    keep(stored, LEDGER)
    offer(stored, ByScope("Ledger"))
    assert offered(stored) == ["ledger.entries"]

    tables = [table("shop.orders"), table("shop.customers"), table("ledger.entries")]
    more = [*tables, table("ledger.more")]
    stored.write(lambda tx, _: sync.inventory(tx, PG, more, stored.now))
    assert offered(stored) == ["ledger.entries", "ledger.more"]

    stored.write(lambda tx, _: sync.inventory(tx, PG, tables, stored.now))
    assert offered(stored) == ["ledger.entries"]


def test_a_flow_of_a_space_offers_what_is_in_its_slice(stored):
    keep(stored, ORDERS, LEDGER, MINE)
    offer(stored, Selector(PG, permissions=frozenset({"read"})), Selector(WIKI), space="Mine")
    assert offered(stored) == ["ledger.entries", "shop.orders"]

    keep(stored, ORDERS, LEDGER, replace(MINE, slice=("Ledger", "Gone")))
    assert offered(stored) == ["ledger.entries"]

    keep(stored, ORDERS, LEDGER)
    assert offered(stored) == []


def test_a_request_keeps_its_revision_and_what_that_names_as_it_is_now(stored):
    """What was narrowed before it is given is not given."""
    keep(stored, ORDERS)
    flows = [(reading(), True), (writing(targets=(ByScope("Orders"),)), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))
    one, other = (stored.submit(f"{p} on shop.orders", flow=WRITING) for p in ("read", "write"))
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (writing(), True)], stored.now))

    stored.approve(one)
    stored.converge()
    keep(stored, CUSTOMERS)
    stored.approve(other)
    stored.converge()

    assert stored.again(one).state is State.ACTIVE
    assert stored.again(other).state is State.FAILED


def let_write(stored, *targets) -> None:
    """Let the writing flow, which has to be approved, offer these."""
    flows = [(reading(), True), (writing(targets=targets), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))


NEWER = Scope("Newer", ORDERS.where)
BOX = Bundle("Box", (ByScope("Orders"),))
BY_ITSELF = Selector(PG, names=frozenset({"shop.orders"}))


@pytest.mark.parametrize(
    ("before", "after", "asked", "now"),
    [
        ([ORDERS], [], ByScope("Orders"), BY_ITSELF),
        ([ORDERS], [NEWER], ByScope("Orders"), ByScope("Newer")),
        ([ORDERS, BOX], [ORDERS], ByBundle("Box"), ByScope("Orders")),
        ([ORDERS, BOX], [], ByBundle("Box"), BY_ITSELF),
    ],
    ids=["a scope", "a scope that is renamed", "a bundle", "a bundle and what is in it"],
)
def test_who_waits_goes_on_when_what_a_flow_named_is_taken_out(stored, before, after, asked, now):
    """The request failed: its flow “does not offer it”, which it did, by another target."""
    keep(stored, *before)
    let_write(stored, asked)
    request = stored.submit("read on shop.orders", flow=WRITING)
    let_write(stored, now)
    keep(stored, *after)

    stored.approve(request)
    stored.converge()

    assert stored.again(request).state is State.ACTIVE
    assert stored.flow(WRITING).number > request.revision


def test_who_is_being_given_it_goes_on_when_flow_and_scope_are_taken_out(stored, other):
    """A deleted flow lets run what was approved; its scope went with it, and the request failed."""
    keep(stored, ORDERS)
    let_write(stored, ByScope("Orders"))
    request = stored.submit("read on shop.orders", flow=WRITING)
    stored.approve(request)
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True)], stored.now))
    keep(stored)

    for process in (other, stored):
        assert process.company().revision(request.flow, request.revision).offers == ORDERS.where
    stored.converge()

    assert stored.again(request).state is State.ACTIVE


def test_what_is_taken_out_is_offered_to_nobody_who_asks_now(stored, other):
    keep(stored, ORDERS)
    offer(stored, ByScope("Orders"))

    keep(stored)

    for process in (stored, other):
        assert offered(process) == []


def test_each_change_makes_a_revision_and_none_is_lost(stored):
    keep(stored, ORDERS, MINE)
    keep(stored, ORDERS, MINE)
    keep(stored, replace(CUSTOMERS, name="ORDERS"), MINE)
    keep(stored, MINE)
    keep(stored, ORDERS, MINE)

    rows = [(r.kind, r.name, r.revision, r.deleted) for r in stored.rows(ObjectRow)]
    assert sorted(rows) == [("scope", "orders", 3, False), ("space", "mine", 1, False)]
    assert len(stored.rows(ObjectRevisionRow)) == 4
    assert {*stored.company().objects.values()} == {ORDERS, MINE}


@pytest.mark.parametrize("body", ['"x"', '{"name": "Orders", "where": "nonsense"}', "{}"])
def test_what_cannot_be_read_offers_nothing_and_is_said(stored, owner, body):
    keep(stored, ORDERS)
    offer(stored, ByScope("Orders"), Selector(WIKI))
    with owner.write() as tx:
        value = ":body" if owner.sqlite else "cast(:body as jsonb)"
        tx.execute(text(f"update policy_object_revision set body = {value}"), {"body": body})  # noqa: S608
        tx.execute(text("update company set epoch = epoch + 1"))
        tx.execute(text("update policy_object set epoch = (select epoch from company)"))

    assert offered(stored) == ["handbook", "runbook"]
    (said,) = (f.sentence for f in stored.database.unread.take())
    assert "The scope “orders” cannot be read." in said

    keep(stored, ORDERS)
    assert offered(stored) == ["handbook", "runbook", "shop.orders"]


ids = st.frozensets(st.integers(1, 99).map(ResourceId), max_size=2)
some = st.frozensets(words, max_size=2)
tagged = st.builds(
    Tagged, st.frozensets(st.tuples(words, words), min_size=1, max_size=2), st.sampled_from(Match)
)
selectors = st.builds(
    Selector,
    words.map(IntegrationId),
    some,
    some,
    some,
    ids,
    st.none() | tagged,
    st.none() | st.builds(Except, some, ids, st.none() | tagged),
)
targets = st.lists(
    selectors
    | st.builds(Picked, queries, ids)
    | st.builds(ByScope, words)
    | st.builds(ByBundle, words),
    max_size=3,
).map(tuple)
names = words.filter(bool)
objects = (
    st.builds(Scope, names, queries, words, words)
    | st.builds(Bundle, names, targets, words, words)
    | st.builds(Space, names, st.lists(words, max_size=2).map(tuple), words)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(objects, targets, st.sampled_from(["", "Mine"]))
def test_what_is_stored_is_read_back(object_, targets, space):
    kind = type(object_).__name__.lower()
    revision = reading(targets=targets, space=space)

    assert load_object(kind, dump_object(object_)) == object_
    assert load_targets(dump_targets(targets)) == targets
    assert load_revision(dump_revision(revision)) == revision


OLD = {"integration", "types", "permissions", "names"}


@pytest.mark.parametrize(
    ("target", "space"),
    [
        (Selector(PG, without=Except(frozenset({"a"}))), ""),
        (Selector(PG, tagged=Tagged(frozenset({("a", "b")}))), ""),
        (Selector(PG, resources=frozenset({ResourceId(1)})), ""),
        (Selector(PG), "Mine"),
    ],
)
def test_a_version_that_knows_less_does_not_offer_more(target, space):
    """It would read the parts that it knows, and leave out what narrows them."""
    (stored,) = dump_revision(reading(targets=(target,), space=space))["targets"]

    assert "integration" not in stored
    assert load_targets([{"integration": "pg", "names": ["a"]}]) == (
        Selector(PG, names=frozenset({"a"})),
    )


@pytest.mark.parametrize(
    "body",
    [
        None,
        "x",
        [{}],
        [{"integration": "pg", "later": ["x"]}],
        [{"all": {"integration": "pg"}, "more": 1}],
        [{"where": "x = y"}],
        [{"where": 'resource = "1"', "resources": ["x"]}],
        [{"scope": "x", "bundle": "y"}],
        [{"bundle": 1}],
    ],
)
def test_a_target_that_is_not_understood_is_none(body):
    with pytest.raises(ValueError, match=r"."):
        load_targets(body)


def test_a_scope_selects_what_its_query_does(stored):
    assert matches(ORDERS.where, stored.entitlement("read on shop.orders"))
