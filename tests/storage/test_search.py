"""The search finds what the engine's own rule offers, on both databases alike."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlmodel import col

from engine import eligibility
from engine.aql.parser import parse
from engine.flow import AccessFlow, FlowId
from engine.inventory import ResourceId
from engine.port import Discovered
from engine.targets import (
    Bundle,
    ByBundle,
    ByScope,
    Except,
    Match,
    Objects,
    Picked,
    Scope,
    Selector,
    Space,
    Tagged,
)
from storage import catalogue, facts, inventory, search, sync
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow
from tests.support.stored import PG, TABLES, WIKI, reading, table

NAMES = ["orders", "Orders", "ORDERS_1", "100%", "straße", "STRASSE", "Ärger", "İstanbul", "a\\b"]
PERMISSIONS = ["read", "write", "own"]
TYPES = ["table", "schema"]


def flow(*selectors) -> AccessFlow:
    return AccessFlow(FlowId(1), 1, reading(targets=selectors))


def found(stored, flows, words="", **more) -> list[str]:
    catalogues = stored.companies.catalogues
    with stored.database.read() as session:
        return [f.path for f in search.resources(session, catalogues, flows, words, **more)]


def discover(stored, *items, system=PG) -> None:
    stored.write(lambda tx, _: sync.inventory(tx, system, items, stored.now))


items = st.builds(
    lambda *parts: parts,
    st.sampled_from(NAMES),
    st.sampled_from(TYPES),
    st.sets(st.sampled_from(PERMISSIONS)),
    st.lists(st.sampled_from(["prod", "X", "straße"]), max_size=2).map(tuple),
)
subsets = [st.frozensets(st.sampled_from(c), max_size=2) for c in (TYPES, PERMISSIONS)]
names = st.frozensets(st.sampled_from([n.casefold() for n in NAMES]), max_size=3)
pairs = st.frozensets(
    st.tuples(st.just("env"), st.sampled_from(["Prod", "STRASSE", "x"])), min_size=1
)
tagged = st.builds(Tagged, pairs, st.sampled_from(Match))
ids = st.frozensets(st.integers(1, 9).map(ResourceId), max_size=2)
selectors = st.builds(
    Selector,
    st.sampled_from([PG, WIKI]),
    *subsets,
    names,
    resources=ids,
    tagged=st.none() | tagged,
    without=st.none() | st.builds(Except, names, ids, st.none() | tagged),
)
WHERE = map(parse, [
    'resource_tag["env"] = "straße"',
    'resource_tag["env"] != "prod" and permission_name = "READ"',
    'permission_risk_level = "medium" or resource_path ends_with "1"',
    'not integration = "pg"',
    'integration = "pg" and resource_type = "table"',
    'resource_status = "gone"',
])  # fmt: skip
picked = st.builds(Picked, st.sampled_from([*WHERE]), ids)
objects = Objects(
    {"tagged": Scope("Tagged", parse('resource_tag["env"] in ("PROD", "x")'))},
    {
        "kit": Bundle("Kit", (ByScope("Tagged"), ByBundle("More"), ByScope("Gone"))),
        "more": Bundle("More", (Selector(WIKI), ByBundle("Kit"))),
    },
    {"mine": Space("Mine", ("Tagged", "Gone"))},
)
references = st.sampled_from(
    [ByScope("TAGGED"), ByScope("Gone"), ByBundle("kit"), ByBundle("More"), ByBundle("Gone")]
)
revisions = st.builds(
    lambda targets, space: reading(targets=tuple(targets), space=space, objects=objects),
    st.lists(selectors | picked | references, min_size=1, max_size=3),
    st.sampled_from(["", "", "Mine", "Gone"]),
)
numbers = itertools.count(1)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
@given(there=st.lists(items, max_size=6), offers=st.lists(revisions, min_size=1, max_size=4),
       gone=st.integers(0, 2), several=st.sampled_from([0, 20]))  # fmt: skip
def test_search_finds_what_the_flows_offer(stored, monkeypatch, there, offers, gone, several):
    """Whatever kind of target it is: in memory, as SQL, and as a predicate on one entitlement.

    Of few queries the database is asked, for several all resources are gone through, page by page.
    """
    monkeypatch.setattr(catalogue, "SEVERAL", several)
    monkeypatch.setattr(catalogue, "PAGE", 4)
    found_there = [
        Discovered(
            type_, name, f"db.{name}.{n}", str(next(numbers)), dict.fromkeys(had, 5),
            tags={"env": env},
        )
        for n, (name, type_, had, env) in enumerate(there)
    ]  # fmt: skip
    flows = [AccessFlow(FlowId(n), 1, revision) for n, revision in enumerate(offers)]
    queries = [query for revision in offers if (query := revision.offers)]
    discover(stored, *found_there)
    before = found(stored, flows)
    discover(stored, *found_there[gone:])

    with stored.database.read() as session:
        all_ = [facts.to_entitlement(r) for r in session.execute(facts.entitlement_query())]
        within = inventory.page(session, within=queries, limit=10_000)
        asked_of = inventory.count(session, within=queries)
    offered = {e.resource.path for e in all_ if eligibility.offering(flows, e)}

    assert set(found(stored, flows)) == offered
    assert offered <= {*before}
    assert asked_of == len(within)
    assert {e.id for e in within} == {
        e.id for e in all_ if e.permission.offered and any(r.selects(e) for r in offers)
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["100%", "100x", "a_b", "axb", "straße.Ä"]),
        ("100%", ["100%"]),
        ("%", ["100%"]),
        ("_", ["a_b"]),
        ("A_B", ["a_b"]),
        ("/", []),
        ("\\", []),
        ("STRASSE", ["straße.Ä"]),
        ("ä straße", ["straße.Ä"]),
        ("  ä   ", ["straße.Ä"]),
        ("100 %", ["100%"]),
        ("PRODUCT", ["100%", "100x", "a_b", "axb", "straße.Ä"]),
        ("production 100", ["100%", "100x"]),
        ("wiki", []),
        ("nothing", []),
    ],
)
def test_words_are_plain_and_case_does_not_count(stored, words, expected):
    discover(stored, *(table(p) for p in ("straße.Ä", "100%", "100x", "a_b", "axb")))

    assert found(stored, [flow(Selector(PG))], words) == expected


def test_of_very_many_words_twenty_are_looked_for(stored):
    discover(stored, table("abcdefghijklmnopqrstu"))
    letters = " ".join("abcdefghijklmnopqrst")

    assert found(stored, [flow(Selector(PG))], f"{letters} z") == ["abcdefghijklmnopqrstu"]
    assert found(stored, [flow(Selector(PG))], f"{letters[:-2]} z") == []


def test_names_are_matched_by_name_or_whole_path(stored):
    by = {
        name: found(stored, [flow(Selector(PG, names=frozenset({name})))])
        for name in ("orders", "shop.orders", "order", "shop")
    }

    assert by == {
        "orders": ["shop.orders"],
        "shop.orders": ["shop.orders"],
        "order": [],
        "shop": [],
    }


def test_nothing_is_found_without_flows(stored):
    assert found(stored, []) == []


def test_resource_on_which_nothing_can_be_had_is_not_found(stored):
    """A resource without permissions was listed, and led to a form with nothing to choose."""
    discover(stored, Discovered("schema", "empty", "empty", "1", {}))

    assert found(stored, [flow(Selector(PG))]) == []


def test_another_process_sees_at_once_what_has_changed(stored, other):
    """The list is kept in memory: it must not outlive what it was read from."""
    reading_orders = [flow(Selector(PG, permissions=frozenset({"read"})))]

    def both() -> list[str]:
        here, there = found(stored, reading_orders), found(other, reading_orders)
        assert here == there
        return here

    discover(stored, table("a"), table("b"))
    assert both() == ["a", "b"]
    discover(other, table("a"), table("c"), table("d", "write"))
    assert both() == ["a", "c"]
    discover(stored, table("a"), table("c"), table("d", "write", "read"))
    assert both() == ["a", "c", "d"]
    discover(other, table("moved", source="id:c"))
    assert both() == ["moved"]


def test_list_has_its_limit(stored):
    discover(stored, *(table(f"t{n:03}") for n in range(120)))

    assert len(found(stored, [flow(Selector(PG))])) == 100
    assert found(stored, [flow(Selector(PG))], limit=2) == ["t000", "t001"]


def test_permissions_on_a_resource_come_with_the_least_first(stored):
    with stored.database.write() as tx:
        tx.execute(
            update(EntitlementRow).values(risk=1).where(EntitlementRow.permission == "write")
        )
        query = select(col(ResourceRow.id)).where(col(ResourceRow.path) == "shop.orders")
        id_ = tx.execute(query).scalar_one()

    with stored.database.read() as session:
        on = search.entitlements_on(session, id_)

    assert [e.permission.name for e in on] == ["write", "read"]


def test_system_is_found_by_its_name_whatever_its_case(stored):
    with stored.database.write() as tx:
        tx.execute(update(IntegrationRow).values(name="GROẞE_DB").where(IntegrationRow.id == PG))

    assert len(found(stored, [flow(Selector(PG))], "grosse_db")) == 3


def test_however_much_somebody_may_request_it_can_be_listed(stored):
    """A database takes only so many values, and levels, in one statement."""
    discover(stored, table("a"), table("b", "write"), table("c"))
    names = frozenset(f"n{n}" for n in range(50_000))
    many = [Selector(PG, types=frozenset({f"t{n}"})) for n in range(1200)]
    some = [Selector(PG, names=names), Selector(PG, names=frozenset({"c"})), *many]

    def listed(*selectors) -> list[str]:
        there = parse('resource_status = "active"')
        queries = [selector.query for selector in selectors]
        with stored.database.read() as session:
            page = inventory.page(session, there, queries, limit=9)
            assert inventory.count(session, there, queries) == len(page)
        return [str(e) for e in page]

    assert listed(*some) == ["read on c", "write on c"]
    writing = Selector(PG, permissions=frozenset({"write"}))
    assert listed(*some, writing) == ["write on a", "write on b", "read on c", "write on c"]
    assert len(listed(Selector(PG), Selector(PG, names=names))) == 5
    assert len(listed(Selector(PG, names=names), Selector(PG))) == 5
    assert listed() == []


# --- by name, whoever offers it ------------------------------------------------------------------


def paths(found):
    return [one.path for one in found]


def test_things_are_found_by_their_path_else_by_their_name_whatever_their_case(stored):
    same = table("archive.orders", source="old")
    stored.write(lambda tx, _: sync.inventory(tx, PG, [*TABLES, same], stored.now))

    with stored.database.read() as session:
        assert paths(search.called(session, "SHOP.Orders")) == ["shop.orders"]
        assert paths(search.called(session, "orders")) == ["archive.orders", "shop.orders"]
        assert search.called(session, "order") == []
        assert search.called(session, "") == []
        assert paths(search.called(session, "orders", limit=1)) == ["archive.orders"]


def test_everything_is_searched_for_also_what_is_gone_and_signs_are_ordinary(stored):
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES[1:], stored.now))

    with stored.database.read() as session:
        assert paths(search.anywhere(session, "SHOP orders")) == ["shop.orders"]
        assert paths(search.anywhere(session, "book")) == ["handbook", "runbook"]
        assert search.anywhere(session, "%") == []
        assert paths(search.anywhere(session, "", limit=1)) == ["handbook"]
