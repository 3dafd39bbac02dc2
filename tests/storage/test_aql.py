"""A query says the same as SQL over the inventory and as a predicate on one entitlement."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from engine.aql.parser import MAX_CONDITIONS, MAX_NESTING, parse
from engine.aql.predicate import predicate
from engine.aql.query import all_of, any_of
from engine.inventory import IntegrationId, PermissionId
from engine.port import Discovered, DiscoveredPermission
from engine.request import LARGEST_ID
from storage import facts, inventory, sync
from storage.sql import aql
from storage.tables import EntitlementRow, ResourceRow
from tests.support.queries import KEYS, WORDS, any_text, keys, queries, words
from tests.support.stored import PG, TABLES, WIKI, table

FOUND = (Phase.explicit, Phase.generate)  # to look for a smaller example takes minutes

_tags = st.dictionaries(keys, st.lists(words, max_size=2).map(tuple), max_size=2)
_risks = st.integers(1, 10)
_systems = st.dictionaries(st.sampled_from(WORDS[:4]), words, min_size=1, max_size=2)
# The store writes those of a resource as one text, with ASCII's separators between them.
_ids = words.filter(lambda id_: not {*"\x1e\x1f"} & {*id_})
_resources = st.builds(
    Discovered,
    type=words,
    name=words,
    path=words,
    source_id=words,
    permissions=st.dictionaries(_ids, _risks, min_size=1, max_size=2),
    risk=_risks,
    tags=_tags,
    context=_tags,
)
_permissions = st.builds(
    DiscoveredPermission, _ids.map(PermissionId), words, tags=_tags, context=_tags
)
inventories = st.tuples(
    _systems,
    st.lists(_resources, min_size=1, max_size=4, unique_by=lambda r: r.source_id),
    st.lists(_permissions, max_size=2, unique_by=lambda p: p.id),
)


def take_in(stored, systems, found, permissions=()) -> None:
    """Let the company have these systems and no others; each has all of this."""

    def change(tx, _) -> None:
        listed = [(id_, name, "memory", {}) for id_, name in systems.items()]
        sync.integrations(tx, listed, stored.now)
        for id_ in systems:
            sync.inventory(tx, IntegrationId(id_), found, stored.now, permissions=permissions)

    stored.write(change)


def by_sql(stored, query) -> set[int]:
    with stored.database.read() as session:
        found = (
            select(col(EntitlementRow.id))
            .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
            .where(aql.selected(query, session.dialect))
        )
        return set(session.execute(found).scalars())


def everything(stored):
    with stored.database.read() as session:
        return [facts.to_entitlement(r) for r in session.execute(facts.entitlement_query())]


def paths(stored, text) -> list[str]:
    """Return what a query selects, as `permission path`."""
    ids = by_sql(stored, parse(text))
    found = [e for e in everything(stored) if e.id in ids]
    return sorted(f"{e.permission.name} {e.resource.path}" for e in found)


@settings(
    max_examples=60, phases=FOUND, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(inventory=inventories, asked=st.lists(queries, min_size=1, max_size=8))
def test_sql_and_predicate_select_the_same(stored, inventory, asked):
    """What an example before has left is there as well, in systems that are listed no more."""
    take_in(stored, *inventory)
    all_ = everything(stored)

    for query in asked:
        holds = predicate(query)
        assert by_sql(stored, query) == {e.id for e in all_ if holds(e)}, str(query)


@settings(
    max_examples=30, phases=FOUND, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=st.sampled_from(KEYS) | any_text, value=st.sampled_from(WORDS) | any_text)
def test_whatever_is_written_in_a_query_is_a_value(stored, key, value):
    """Nothing of it is ever a part of the statement."""
    take_in(stored, {"a": "A"}, [replace(TABLES[0], tags={key: (value,)})])
    query = replace(parse('resource_tag["k"] = "v"'), key=key, values=(value,))

    assert by_sql(stored, query) == {e.id for e in everything(stored) if predicate(query)(e)}
    assert by_sql(stored, query)


THINGS = (
    table("shop/Orders_50%", "read", "write", source="Db.Orders"),
    table("shop/STRASSE", "read", source="db.orders"),
    replace(table("shop/a*b", "read", type_="View"), tags={"env": ("Prod", "EU"), "e": ("",)}),
    replace(table("shop/İx", "own", type_="view"), tags={"Env": ("prod",)}),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('resource_path contains "_50%"', ["read shop/Orders_50%", "write shop/Orders_50%"]),
        ('resource_path contains "s_5"', ["read shop/Orders_50%", "write shop/Orders_50%"]),
        ('resource_path contains "%"', ["read shop/Orders_50%", "write shop/Orders_50%"]),
        ('resource_path contains "r%s"', []),
        ('resource_path contains "?"', []),
        ('resource_name ends_with "*B"', ["read shop/a*b"]),
        ('resource_name ends_with "/straße"', ["read shop/STRASSE"]),
        ('resource_path starts_with "SHOP/STRAß"', ["read shop/STRASSE"]),
        ('resource_name ends_with "/i̇X"', ["own shop/İx"]),
        ('resource_name ends_with "much longer than it"', []),
        ('resource_source_id = "db.orders"', ["read shop/STRASSE"]),
        ('resource_source_id contains "Db"', ["read shop/Orders_50%", "write shop/Orders_50%"]),
        ('resource_source_id ends_with "orders"', ["read shop/STRASSE"]),
        ('resource_type = "VIEW"', ["own shop/İx", "read shop/a*b"]),
        ('resource_tag["env"] = "pROD"', ["read shop/a*b"]),
        ('resource_tag["env"] = "eu" and resource_tag["env"] = "prod"', ["read shop/a*b"]),
        ('resource_tag["Env"] = "prod"', ["own shop/İx"]),
        ('resource_tag["e"] = ""', ["read shop/a*b"]),
        ('resource_type = "view" and resource_tag["env"] != "prod"', ["own shop/İx"]),
        ('resource_type = "view" and not resource_tag["env"] != "prod"', ["read shop/a*b"]),
        ('resource_type = "view" and resource_tag["e"] not_contains "x"',
         ["own shop/İx", "read shop/a*b"]),
        ('permission_risk_level = "low" and permission_name != "read"', ["own shop/İx"]),
        ('permission_risk_level = "6"', ["write shop/Orders_50%"]),
        ('resource_status = "GONE"', []),
    ],
)  # fmt: skip
def test_what_sql_finds(stored, text, expected):
    take_in(stored, {"pg": "P"}, THINGS)

    mine = f'({text}) and integration_name = "p" and not resource_status = "gone"'
    assert paths(stored, mine) == expected


def test_what_is_gone_and_what_a_system_has_that_is_listed_no_more_have_each_one_status(stored):
    take_in(stored, {PG: "P", WIKI: "W"}, THINGS[:2])
    take_in(stored, {PG: "P"}, THINGS[1:2])
    here = 'resource_type = "table" and resource_source_id in ("Db.Orders", "db.orders")'

    assert paths(stored, f'{here} and resource_status = "active"') == ["read shop/STRASSE"]
    gone = ["read shop/Orders_50%", "write shop/Orders_50%"]
    assert paths(stored, f'{here} and resource_status = "gone"') == gone
    all_ = sorted([*gone, "read shop/STRASSE"])
    assert paths(stored, f'{here} and resource_status = "DISCONNECTED"') == all_
    assert len(paths(stored, f'{here} and resource_status in ("Active", "gone")')) == 3
    assert len(paths(stored, f'{here} and resource_status != "active"')) == 5
    assert paths(stored, f'{here} and resource_status = "odd"') == []


def test_a_resource_is_named_by_its_number_and_nothing_like_it(stored):
    id_ = str(next(iter(everything(stored))).resource.id)
    known = paths(stored, f'resource = "{id_}"')

    like = [f"0{id_}", f" {id_}", f"{id_}.0", f"{id_}x", "", "-1", "١", "9" * 5000]
    like.append(str(LARGEST_ID + 1))
    assert known
    for other in like:
        assert paths(stored, f'resource = "{other}"') == []
    assert paths(stored, f'resource in ("0{id_}", "{id_}")') == known


@pytest.mark.parametrize("joined", [all_of, any_of])
@pytest.mark.parametrize("part", ['resource_tag["k"] != "v"', 'permission_name contains "v"'])
def test_a_query_as_large_as_there_can_be_is_answered(stored, joined, part):
    """SQLite knows expressions of a thousand levels, and no more."""
    large = joined(*[parse(part)] * (MAX_CONDITIONS - 1))
    nested = parse("not (" * MAX_NESTING + 'resource_name = "orders"' + ")" * MAX_NESTING)

    for query in (large, nested, any_of(nested, large)):
        holds = predicate(query)
        assert by_sql(stored, query) == {e.id for e in everything(stored) if holds(e)}


def listed(stored, text="", after=None, limit=2, **more) -> list[str]:
    """Return a page, as `permission path`."""
    query = parse(text) if text else None
    with stored.database.read() as session:
        found = inventory.page(session, query, after=after, limit=limit, **more)
    return [(f"{e.permission.name} {e.resource.path}", e.id) for e in found]


def test_page_follows_on_page_and_none_is_left_out(stored):
    take_in(stored, {WIKI: "W", PG: "P"}, THINGS)
    pages, after = [], None
    while page := listed(stored, 'resource_path starts_with "SHOP/"', after, limit=3):
        pages += [name for name, _ in page]
        after = page[-1][1]

    here = [
        "read shop/a*b",
        "own shop/İx",
        "read shop/Orders_50%",
        "write shop/Orders_50%",
        "read shop/STRASSE",
    ]
    assert pages == sorted(here, key=lambda name: name.partition(" ")[2].casefold()) * 2
    with stored.database.read() as session:
        assert inventory.count(session, parse('resource_path starts_with "SHOP/"')) == len(pages)


def test_where_the_last_one_is_there_no_more_it_begins_anew(stored):
    first = listed(stored)

    assert listed(stored, after=LARGEST_ID) == first
    assert listed(stored, after=first[-1][1]) != first


def test_what_is_withdrawn_is_not_listed(stored):
    """A permission that its system offers no more was counted, and nobody could have it."""
    orders, *rest = TABLES
    asked = 'resource_path = "shop.orders"'
    assert [name for name, _ in listed(stored, asked)] == ["read shop.orders", "write shop.orders"]

    without = replace(orders, permissions={"read": 3})
    stored.write(lambda tx, _: sync.inventory(tx, PG, [without, *rest], stored.now))

    assert [name for name, _ in listed(stored, asked)] == ["read shop.orders"]


# --- words that nothing has ---------------------------------------------------------------------


NO_PATTERN = "A * stands for itself alone: write contains, starts_with or ends_with."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('resource_type = "TABEL"', ['Nothing has resource_type "TABEL". Did you mean "table"?']),
        ('resource_type in ("table", "VIEW")', []),
        ('resource_type != "tables"',
         ['Nothing has resource_type "tables". Did you mean "table"?']),
        ('integration = "PG"', ['Nothing has integration "PG". Did you mean "pg"?']),
        ('integration_name = "p"', []),
        ('permission = "raed"', ['Nothing has permission "raed". Did you mean "read"?']),
        ('permission_name = "x" and not permission_name = "x"',
         ['Nothing has permission_name "x".']),
        ('resource_tag["ENV"] = "prod"',
         ['Nothing has resource_tag["ENV"]. Did you mean "env"?']),
        ('resource_tag["env"] = "nothing"', ['Nothing has resource_tag["env"] "nothing".']),
        ('resource_context["env"] starts_with "x"', ['Nothing has resource_context["env"].']),
        ('permission_tag["k"] contains "x"', ['Nothing has permission_tag["k"].']),
        ('resource_name = "q" and resource_path = "q" and resource_risk_level = "low"', []),
        ('resource_path in ("shop/STRASSE", "shop/Or*")',
         [f'Nothing has resource_path "shop/Or*". {NO_PATTERN}']),
        ('not resource_name contains "*_50"', [f'Nothing has resource_name "*_50". {NO_PATTERN}']),
        ('permission_name != "re*"', [f'Nothing has permission_name "re*". {NO_PATTERN}']),
        ('resource_tag["env"] = "pr*"', [f'Nothing has resource_tag["env"] "pr*". {NO_PATTERN}']),
        ('resource_name contains "a*b" and resource_path = "shop/a*b"', []),
    ],
)  # fmt: skip
def test_words_that_nothing_has_are_named_with_the_nearest(stored, text, said):
    take_in(stored, {PG: "P"}, THINGS)

    with stored.database.read() as session:
        assert [*map(str, inventory.unknown(session, parse(text)))] == said
