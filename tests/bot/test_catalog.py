"""`/access catalog`: what there is, page by page, as far as the one who looks may know of it."""

from dataclasses import replace

import pytest

from bot.usecases.catalog import PAGE
from bot.views import ids
from engine.flow import RequestFor
from engine.port import Discovered
from storage import sync
from tests.support.door import CUSTOMERS, PAYMENTS, STOCK, SYSTEM, click_in, filled, judged

SALARIES = "ledger/payroll/salaries"


def listed(view) -> list[str]:
    """Return what a page lists, as `permission path`."""
    lines = [b["text"]["text"] for b in view["blocks"] if b["type"] == "section"]
    named = [line.partition("\n")[0] for line in lines if line.startswith("`")]
    return [name.replace("`", "").replace(" on ", " ") for name in named]


def search(door, who, view, text):
    return door.submit(who, view, filled(view, **{ids.CATALOG_QUERY: {"value": text}}))


def turn(door, who, view, action=ids.CATALOG_NEXT):
    value = next(
        e["value"]
        for b in view["blocks"]
        if b["type"] == "actions"
        for e in b["elements"]
        if e["action_id"] == action
    )
    return door.deliver(click_in(who, view, action, value)).views[0]


def catalog(door, who, text=""):
    answer = door.command(who, f"catalog {text}")
    assert answer.views, answer.said
    return answer.views[0]


def keep_only(door, name, **changes) -> None:
    """Leave one flow, changed so."""
    flows = door.services.company().flows.values()
    kept = [(replace(f.revision, **changes), f.active) for f in flows if f.name == name]
    door.services.write(lambda tx, _: sync.flows(tx, kept, door.clock.now()), alone=True)


def test_what_listed_flows_offer_to_others_is_marked_and_what_is_not_listed_is_not_there(door):
    def marked(view) -> list[str]:
        lines = [b["text"]["text"] for b in view["blocks"] if b["type"] == "section"]
        return [line.partition("\n")[0] for line in lines if "not for you" in line]

    assert marked(catalog(door, "kofi", f'resource_path = "{PAYMENTS}"')) == [
        f"`read` on `{PAYMENTS}`"
    ]
    assert marked(catalog(door, "marta", f'resource_path = "{PAYMENTS}"')) == []

    flows = [
        (replace(f.revision, listed=f.name != "Read payments"), f.active)
        for f in door.services.company().flows.values()
    ]
    door.services.write(lambda tx, _: sync.flows(tx, flows, door.clock.now()), alone=True)

    assert listed(catalog(door, "kofi", f'resource_path = "{PAYMENTS}"')) == []
    assert listed(catalog(door, "marta", f'resource_path = "{PAYMENTS}"')) == [f"read {PAYMENTS}"]


def test_what_somebody_may_request_for_their_reports_is_called_so(door):
    """It was marked as not for them, where only their reports can have it."""

    def marks(who) -> list[str]:
        view = catalog(door, who, f'resource_path = "{STOCK}" and permission_name = "read"')
        lines = [b["text"]["text"] for b in view["blocks"] if b["type"] == "section"]
        return [line.rpartition(" · ")[2] for line in lines if line.startswith("`")]

    assert marks("liwei") == ["risk 🟡 Medium"]  # for themselves, too
    keep_only(door, "The warehouse for my people")
    assert marks("liwei") == ["👥 for your reports"]
    assert marks("kofi") == ["🚫 not for you"]

    keep_only(door, "The warehouse for my people", request_for=frozenset({RequestFor.OTHERS}))
    assert marks("liwei") == ["🚫 not for you"]


def test_people_see_what_they_may_know_of_and_nothing_else(door):
    view = catalog(door, "marta")

    assert f"read {CUSTOMERS}" in listed(view)
    assert f"read {STOCK}" in listed(view)
    assert not [name for name in listed(view) if SALARIES in name]
    assert "that you may know of" in str(view["blocks"])


def test_what_somebody_may_not_know_of_reads_as_what_is_not_there(door):
    """Whether it exists, and what it is tagged with, was told by a hint, or by a count."""
    there = door.command("marta", f'catalog resource_path = "{SALARIES}"').said
    not_there = door.command("marta", 'catalog resource_path = "ledger/payroll/nothing"').said

    assert there.replace(SALARIES, "X") == not_there.replace("ledger/payroll/nothing", "X")
    assert "Nothing that you may know of fits." in there
    assert "Did you mean" not in door.command("marta", 'catalog resource_type = "tabel"').said


def test_administrators_see_everything_and_which_words_nothing_has(door):
    view = catalog(door, "ines")
    assert f"read {SALARIES}" in listed(view)

    answer = door.command("ines", 'catalog resource_type = "tabel"')
    assert "Nothing in all systems fits." in answer.said
    assert 'Nothing has resource_type "tabel". Did you mean "table"?' in answer.said


def test_a_query_finds_what_it_says(door):
    asked = 'resource_name starts_with "CUST" and permission_name = "read"'

    assert listed(catalog(door, "marta", asked)) == [f"read {CUSTOMERS}"]


def test_another_query_is_asked_for_in_the_catalogue(door):
    view = catalog(door, "marta", 'resource_name = "stock"')
    assert listed(view) == [f"read {STOCK}", f"read-write {STOCK}"]

    answer = search(door, "marta", view, f'resource_path = "{CUSTOMERS}"')

    (view,) = answer.views
    assert listed(view) == [f"read {CUSTOMERS}"]
    assert judged(answer, {}) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('Resource_Type = "table"', "Line 1, column 1: found “Resource_Type”, expected a field"),
        ("resource_type = table", 'Did you mean "table"?'),
        ('resource_type = "' + "x" * 2980, "expected a double quote to end the value"),
        ('resource_type = "' + "x" * 3000 + '"', "at most 3,000 characters"),
    ],
)
def test_what_is_no_query_is_said_where_it_was_typed(door, text, said):
    assert said in door.command("marta", f"catalog {text}").said

    view = catalog(door, "marta")
    answer = search(door, "marta", view, text)
    assert said in answer.payload["errors"][ids.CATALOG_QUERY]


def test_what_is_no_query_can_be_mended_where_it_is_said(door):
    """It was answered by the error alone, and had to be typed anew."""
    view = catalog(door, "marta", 'Resource_Path = "<!here> *x*"')
    query = next(b for b in view["blocks"] if b["type"] == "input")
    assert query["element"]["initial_value"] == 'Resource_Path = "<!here> *x*"'
    said = view["blocks"][view["blocks"].index(query) + 1]
    assert "Did you mean" in str(said)

    answer = search(door, "marta", view, f'resource_path = "{CUSTOMERS}"')

    assert listed(answer.views[0]) == [f"read {CUSTOMERS}"]
    assert judged(answer, {}) == []


def test_who_may_request_nothing_is_told_so(door):
    assert "nothing that you can request" in door.command("casey", "catalog").said


@pytest.fixture
def many(door):
    """A system with more than two pages, and one thing that is gone."""
    things = [
        Discovered("thing", f"t{n:02}", f"t{n:02}", f"t{n}", {"use": 1})
        for n in range(2 * PAGE + 3)
    ]
    for found in ([*things, Discovered("thing", "old", "old", "old", {"use": 1})], things):
        door.services.transaction(
            lambda tx, found=found: sync.inventory(tx, SYSTEM, found, door.clock.now())
        )
    return [f"use {thing.path}" for thing in things]


def test_pages_follow_each_other_and_none_is_left_out(door, many):
    first = catalog(door, "ines", 'resource_type = "thing" and resource_status = "active"')
    second = turn(door, "ines", first)
    third = turn(door, "ines", second)

    assert [listed(first), listed(second), listed(third)] == [
        many[:PAGE],
        many[PAGE : 2 * PAGE],
        many[2 * PAGE :],
    ]
    assert f"*1–{PAGE}* of 43 entitlements" in str(first["blocks"])
    assert "*41–43* of 43 entitlements" in str(third["blocks"])
    assert ids.CATALOG_NEXT not in str(third["blocks"])
    assert listed(turn(door, "ines", third, ids.CATALOG_START)) == many[:PAGE]


def test_what_is_gone_says_so_and_is_nobodys_to_request(door, many):
    assert many
    view = catalog(door, "ines", 'resource_name = "old"')
    assert "*gone*" in str(view["blocks"])
    assert listed(catalog(door, "marta", 'resource_name = "old"')) == []


def test_a_page_that_was_turned_twice_is_the_same_page(door, many):
    """Slack may deliver a click twice."""
    first = catalog(door, "ines", 'resource_type = "thing"')

    assert listed(turn(door, "ines", first)) == listed(turn(door, "ines", first))
    assert many


@pytest.mark.parametrize("value", ["", "x", "9" * 400, "1", "-1/-1", "0/0"])
def test_a_place_that_is_none_is_the_start_or_an_empty_page(door, value):
    view = catalog(door, "ines")

    answer = door.deliver(click_in("ines", view, ids.CATALOG_NEXT, value))

    assert answer.status == 200
    assert not answer.errors


def test_names_that_people_gave_are_shown_harmlessly(door):
    odd = Discovered("<!here>", "<!channel>", "<!channel>`*x*", "odd", {"<@U1>": 1})
    door.services.transaction(lambda tx: sync.inventory(tx, SYSTEM, [odd], door.clock.now()))

    view = catalog(door, "ines", 'resource_source_id = "odd"')

    assert listed(view)
    assert "<!" not in str(view["blocks"])
    assert "<@" not in str(view["blocks"])
