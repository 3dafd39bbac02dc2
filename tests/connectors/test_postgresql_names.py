import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.names import (
    Place,
    names_in,
    path_of,
    permission_risk,
    place_of,
    resource_risk,
)
from engine.port import Secret

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_any_names_come_back_from_their_path(names: list[str]):
    assert names_in(path_of(*names)) == names


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("orders", "shop", "customers"), "orders/shop/customers"),
        (("orders", "shop", "Crème brûlée"), "orders/shop/Crème brûlée"),
        (("a/b", 'the "fine" one'), '"a/b"/"the ""fine"" one"'),
        (("", " x"), '""/" x"'),
        (("shop", 'or\nd\u202e"e\\rs'), 'shop/U&"or\\000Ad\\202E""e\\\\rs"'),
        (("shop", "\U000e0041"), 'shop/U&"\\+0E0041"'),
    ],
    ids=["plain", "unicode", "awkward", "empty", "invisible", "beyond"],
)
def test_path_is_what_people_read(names: tuple[str, ...], path: str):
    assert path_of(*names) == path


@given(NAMES)
def test_no_name_leaves_its_line_or_turns_it_around(name: str):
    """A table's name with a line break in it made a line of its own in what admins are told."""
    assert path_of("orders", name).isprintable()


@pytest.mark.parametrize(
    ("type_", "place"),
    [
        ("database", Place(16384)),
        ("schema", Place(16384, schema=2200)),
        ("table", Place(16384, relation=16400)),
    ],
)
def test_source_id_leads_back_to_its_place(type_: str, place: Place):
    assert place_of(type_, str(place)) == place
    assert place_of("carpet", str(place)) is None


@pytest.mark.parametrize("source_id", ["", "db:", "db:x", "db:1/ns:2/rel:3", "DB:1", "db:1 "])
def test_nonsense_is_no_place(source_id: str):
    assert place_of("database", source_id) is None


@pytest.mark.parametrize(
    ("path", "risk"),
    [
        ("orders/public/stock", 4),
        ("orders/public/customers", 6),
        ("ledger/payroll/notes", 7),
        ("crm/public/userProfiles", 6),
        ("crm/public/api_keys", 7),
        ("crm/public/discarded", 4),
        ("crm_test/public/customers", 4),
        ("sandbox/public/stock", 2),
    ],
)
def test_risk_follows_the_words_in_the_names(path: str, risk: int):
    assert resource_risk(*names_in(path)) == risk


def test_risk_follows_the_permission_and_stays_on_the_scale():
    scale = [
        permission_risk("database", "connect", "ledger"),
        permission_risk("table", "read", "ledger", "public", "notes"),
        permission_risk("schema", "read", "ledger", "public", "notes"),
        permission_risk("table", "read-write", "ledger", "public", "notes"),
        permission_risk("schema", "read-write", "ledger", "public", "notes"),
        permission_risk("schema", "read-write", "ledger", "payroll", "passwords"),
    ]

    assert scale == [2, 4, 5, 6, 7, 10]
    assert permission_risk("database", "connect", "test") == 1


def test_address_that_cannot_be_read_is_not_shown():
    with pytest.raises(ValueError, match="cannot be read") as caught:
        PostgreSQL(Secret("host=db swordfish"), installation="x")

    assert "swordfish" not in str(caught.value)
    assert caught.value.__cause__ is None
