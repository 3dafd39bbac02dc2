"""What is different in a system by what was found there, and what has other numbers there."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.discovery import (
    Difference,
    KnownResource,
    OtherServerError,
    compare,
    compare_permissions,
    is_other,
    renumber,
    shut,
)
from engine.inventory import MOST_BYTES, SHORT, IntegrationId, PermissionId, kept
from engine.port import Discovered, DiscoveredPermission

ORDERS = Discovered("table", "orders", "shop.orders", "1", {"read": 3})
BILLS = Discovered("table", "bills", "ledger.bills", "2", {"read": 5})
SHUT = Discovered("schema", "ledger", "ledger", "9", {}, closed="no CONNECT")


def known(item, *, active=True, same=True) -> KnownResource:
    return KnownResource(item.source_id, item.path, active, same)


def test_the_same_again_is_no_difference():
    assert compare([known(ORDERS), known(BILLS)], [BILLS, ORDERS]) == Difference([], [], [], [], [])


def test_what_is_not_found_is_gone_once():
    assert compare([known(ORDERS)], []).gone == ["1"]
    assert compare([known(ORDERS, active=False)], []).gone == []


def test_what_comes_back_under_a_mere_name_is_another_thing():
    named = replace(ORDERS, named=True)

    assert compare([known(named, active=False, same=False)], [named]).came == [ORDERS.path]
    assert compare([known(named)], [named]).named == {}
    assert compare([known(named, same=False)], [named]).changed == [ORDERS.path]


def test_what_is_other_than_it_was_is_stored_and_only_what_is_new_is_counted_so():
    found = compare([known(ORDERS, same=False)], [BILLS, ORDERS])

    assert (found.other, found.came) == ([ORDERS, BILLS], [BILLS.path])


def test_what_could_not_be_looked_into_stays_and_all_below_it():
    """A database that was closed for an hour lost everybody's access to it."""
    inside = replace(BILLS, path="ledger/main.bills")
    beside = replace(BILLS, source_id="3", path="ledgers/main.bills")

    found = compare([known(inside), known(beside)], [SHUT])

    assert found.gone == ["3"]
    assert shut([beside.path], [SHUT]) == []
    assert shut([inside.path], [SHUT, ORDERS]) == ["ledger (no CONNECT)"]


@pytest.mark.parametrize(
    ("before", "server", "other"),
    [("", "one", False), ("one", "one", False), ("one", "two", True), ("one", "", True)],
)
def test_the_first_server_that_is_taken_in_is_the_one_that_is_known(before, server, other):
    assert is_other(before, server) is other


def test_things_are_found_again_by_type_and_name_only():
    things = {("table", "shop.orders"): 7, ("table", "ledger.bills"): 8}
    there = [
        replace(ORDERS, source_id="2"),
        replace(BILLS, type="view", source_id="1"),
        replace(BILLS, closed="no CONNECT"),
    ]

    again = renumber(things, there)

    assert again.numbers == {7: "2"}
    assert (again.gone, again.new) == (("ledger.bills",), ("ledger.bills",))


paths = st.sampled_from(["a", "a/b", "a/b/c", "ab", "d"])
items = st.lists(
    st.builds(
        Discovered,
        type=st.just("table"),
        name=st.just("t"),
        path=paths,
        source_id=st.sampled_from("12345"),
        permissions=st.just({}),
        closed=st.sampled_from(["", "", "no CONNECT"]),
    ),
    unique_by=lambda item: item.source_id,
)


@given(before=items, found=items)
def test_each_thing_is_stored_gone_or_as_it_was(before, found):
    """And what was stored is no difference at the next look."""
    there = {item.source_id: item for item in found if not item.closed}
    stored = {item.source_id: replace(item, closed="") for item in before}

    seen = compare([known(i, same=there.get(i.source_id) == i) for i in stored.values()], found)

    assert {i.source_id for i in seen.other}.isdisjoint(seen.gone)
    assert len(seen.came) == len(there.keys() - stored.keys())
    assert len(seen.came) + len(seen.changed) == len(seen.other)
    assert len(seen.went) == len(seen.gone)
    after = {i: KnownResource(i, stored[i].path, i not in seen.gone, same=True) for i in stored}
    after |= {i.source_id: known(i) for i in seen.other}
    assert compare(after.values(), found).named == {}
    assert all(after[i].active for i in there)


def test_what_came_went_and_changed_is_named_by_its_path():
    back, renamed = replace(BILLS, source_id="3"), replace(ORDERS, path="shop.Orders")
    before = [known(ORDERS, same=False), known(BILLS), known(back, active=False, same=False)]

    found = compare(before, [renamed, back, replace(ORDERS, path="new", source_id="9")])

    assert found.named == {
        "new": [BILLS.path, "new"],
        "gone": [BILLS.path],
        "changed": ["shop.Orders"],
    }


@pytest.mark.parametrize(
    ("there", "gone", "large"), [(100, 6, True), (100, 5, False), (120, 6, False), (6, 6, True)]
)
def test_much_is_gone_where_more_than_five_are_and_more_than_one_in_twenty(there, gone, large):
    before = [known(replace(ORDERS, source_id=str(n), path=f"t{n}")) for n in range(there)]
    left = [replace(ORDERS, source_id=str(n), path=f"t{n}") for n in range(gone, there)]

    assert compare(before, left).large is large


def test_another_server_is_said_with_what_both_are_called():
    said = str(OtherServerError("Production", IntegrationId("pg"), "7/1", "8/1"))

    assert all(word in said for word in ("Production", "pg", "7/1", "8/1"))


def described(id_, name="", **tags) -> DiscoveredPermission:
    return DiscoveredPermission(PermissionId(id_), name or id_, tags)


def test_a_permission_is_called_by_its_id_until_its_system_describes_it():
    read = described("read", "Read", env=("b", "a"))

    new = compare_permissions({}, [ORDERS, replace(BILLS, permissions={"write": 5})], [read])

    assert new == [described("read", "Read", env=("a", "b")), described("write")]
    assert compare_permissions({one.id: one for one in new}, [ORDERS], [read]) == []
    assert compare_permissions({read.id: read}, [ORDERS], []) == [described("read")]


def test_what_is_described_and_can_be_had_nowhere_yet_is_known_and_what_was_had_stays():
    read = described("read", "Read")

    assert compare_permissions({}, [], [read]) == [read]
    assert compare_permissions({read.id: read}, [], []) == []


@pytest.mark.parametrize("letter", ["x", "ΐ", "ß", "\N{ROCKET}"])
def test_what_is_kept_of_tags_fits_into_an_index(letter):
    long, short = letter * 5000, letter * SHORT

    found = kept({long: (long, short), "b": ("2", "1", "2"), "none": ()})

    assert found == {short: (short,), "b": ("1", "2")}
    assert len(short.casefold().encode()) <= MOST_BYTES


def test_what_just_fits_is_kept_whole():
    assert kept({"k": ("x" * MOST_BYTES,)}) == {"k": ("x" * MOST_BYTES,)}
    assert kept({"k": ("x" * (MOST_BYTES + 1),)}) == {"k": ("x" * SHORT,)}
