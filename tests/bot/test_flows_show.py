"""`latchkey flows show`: what each target of a flow is as a query, and what it selects now."""

from dataclasses import replace

import pytest

from bot.usecases.changes import Known, changes
from bot.usecases.reach import unmatched
from engine.aql.parser import parse
from engine.inventory import ResourceId
from engine.request import LARGEST_ID
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
from storage import inventory, sync
from tests.support.nursery import latchkey
from tests.support.stored import PG, TABLES, WIKI, Stored, reading, table, writing

SHOP = Scope("Shop", parse('resource_path starts_with "shop."'))
KIT = Bundle("Kit", (ByScope("Shop"), Selector(WIKI, names=frozenset({"handbook"}))))
MINE = Space("Mine", ("Shop",))
ALL = 'not resource_path = "none"'


def keep(stored, *revisions, objects=(SHOP, KIT, MINE)) -> None:
    def change(tx, _) -> None:
        sync.objects(tx, objects, stored.now)
        sync.flows(tx, [(revision, True) for revision in revisions], stored.now)

    stored.write(change)


@pytest.fixture
def house(tmp_path):
    """Return how to run a command on a company whose flows have targets of every kind."""
    url = f"sqlite:///{tmp_path}/latchkey.db"
    stored = Stored.founded(url)
    many = [table(f"many.t{n:02}", "use") for n in range(12)]
    stored.write(lambda tx, _: sync.inventory(tx, PG, [*TABLES, *many], stored.now))
    picked = Picked(parse('resource_type = "tabel"'))
    targets = (
        Selector(PG, permissions=frozenset({"use"})), ByBundle("Kit"), ByScope("Gone"), picked,
        Picked(parse(ALL)),
    )  # fmt: skip
    in_space = reading(name="Mine/Ours", space="Mine", targets=(Selector(PG),))
    keep(stored, reading(targets=targets), in_space)
    stored.close()
    return lambda *arguments: latchkey(
        "flows", "show", *arguments, cwd=tmp_path, LATCHKEY_DATABASE_URL=url
    )


def test_each_target_is_said_as_aql_with_what_it_selects(house):
    done = house("READING")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Reading, a flow"
    assert lines[1] == 'integration = "pg" and permission_name = "use"'
    assert lines[2:12] == [f"  use on many.t{n:02}" for n in range(10)]
    assert lines[12] == "  12 entitlements, 2 more."
    assert lines[13:16] == [
        "the bundle “Kit”",
        (
            'resource_path starts_with "shop." or integration = "wiki" and '
            '(resource_name = "handbook" or resource_path = "handbook")'
        ),
        "  read on shop.customers",
    ]
    assert "  edit on handbook" in lines
    assert lines[21:24] == [
        "the scope “Gone”",
        "  0 entitlements.",
        "  What it names is not there: it selects nothing.",
    ]
    assert lines[24:28] == [
        'resource_type = "tabel"',
        "  0 entitlements.",
        '  Nothing has resource_type "tabel". Did you mean "table"?',
        "  It selects nothing.",
    ]
    assert lines[28] == ALL
    assert lines[-1] == "  It selects everything."


def test_a_single_one_is_counted_as_one(tmp_path):
    """It said “1 entitlements”."""
    url = f"sqlite:///{tmp_path}/one.db"
    stored = Stored.founded(url)
    keep(stored, reading(targets=(Selector(WIKI, names=frozenset({"handbook"})),)))
    stored.close()

    done = latchkey("flows", "show", "reading", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    assert "  1 entitlement." in done.stdout.splitlines()


def test_what_a_flow_is_labelled_with_is_shown(tmp_path):
    """Labels were read, stored, and shown nowhere."""
    url = f"sqlite:///{tmp_path}/labels.db"
    stored = Stored.founded(url)
    keep(stored, reading(labels=("read only", "[red]night"), targets=(Selector(WIKI),)))
    stored.close()

    done = latchkey("flows", "show", "reading", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    lines = done.stdout.splitlines()
    assert lines[:2] == ["Reading, a flow", "Labels: read only, [red]night."]


def test_a_flow_of_a_space_shows_what_of_it_its_space_has(house):
    done = house("mine/ours")

    assert 'Of what it selects, its space has: resource_path starts_with "shop."' in done.stdout
    assert "  4 entitlements." in done.stdout
    assert "many" not in done.stdout


@pytest.mark.parametrize(
    ("name", "said", "users"),
    [
        ("kit", "Kit, a bundle", "Used by the flow “Reading”."),
        ("shop", "Shop, a scope", "Used by the bundle “Kit”, the space “Mine”."),
        ("mine", "Mine, a space", "Used by the flow “Mine/Ours”."),
    ],
)
def test_what_flows_share_is_shown_with_who_uses_it(house, name, said, users):
    lines = house(name).stdout.splitlines()

    assert (lines[0], lines[-1]) == (said, users)


def test_a_name_that_nothing_has_is_said_with_the_nearest(house):
    done = house("Readin")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Nothing is called “Readin”. Did you mean “Reading”?\n"


def test_doctor_names_targets_that_select_nothing_or_everything(stored):
    targets = (
        Picked(parse('resource_path = "x"')), Picked(parse(ALL)), ByBundle("Gone"), ByScope("Shop"),
    )  # fmt: skip
    keep(stored, reading(targets=targets), writing(targets=(Selector(PG),)))

    with stored.database.read() as session:
        found = unmatched(session, stored.company())

    assert found == [
        '“Reading”: resource_path = "x" selects nothing',
        f"“Reading”: {ALL} selects everything",
        "“Reading”: the bundle “Gone” selects nothing",
    ]


def test_doctor_names_tags_that_nothing_has(stored):
    """`not resource_tag["envv"] = "prod"` gave what is in production, and nobody was told."""
    tagged = replace(TABLES[0], tags={"env": ("prod",)})
    stored.write(lambda tx, _: sync.inventory(tx, PG, [tagged, *TABLES[1:]], stored.now))
    nothing_has = 'Nothing has resource_tag["envv"]. Did you mean "env"?'
    not_prod = Tagged(frozenset({("envv", "prod")}))
    keep(
        stored,
        reading(targets=(Picked(parse('not resource_tag["envv"] = "prod"')), Selector(WIKI))),
        writing(targets=(Selector(PG, without=Except(tagged=not_prod)), Selector(PG))),
    )

    with stored.database.read() as session:
        found = unmatched(session, stored.company())

    assert found == [
        '“Reading”: not resource_tag["envv"] = "prod" selects everything',
        f"“Reading”: {nothing_has}",
        f"“Writing”: pg: {nothing_has}",
    ]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            Selector(PG, tagged=Tagged(frozenset({("env", "prdo")}))),
            'pg: Nothing has resource_tag["env"] "prdo". Did you mean "prod"?',
        ),
        (
            Selector(PG, tagged=Tagged(frozenset({("env", "prod"), ("team", "core")}))),
            (
                'pg: integration = "pg" and (resource_tag["env"] = "prod" and '
                'resource_tag["team"] = "core") selects nothing'
            ),
        ),
        (
            Selector(PG, resources=frozenset({ResourceId(99999)})),
            'pg: Nothing has resource "99999".',
        ),
        (
            Selector(
                PG,
                types=frozenset({"table"}),
                without=Except(
                    tagged=Tagged(frozenset({("env", "prod"), ("env", "dev")}), Match.ANY)
                ),
            ),
            (
                'pg: integration = "pg" and resource_type = "table" and not '
                '(resource_tag["env"] = "dev" or resource_tag["env"] = "prod") selects nothing'
            ),
        ),
        (
            Picked(parse('resource_status = "actve" or integration = "pg"')),
            'Nothing has resource_status "actve". Did you mean "active"?',
        ),
        (
            Picked(parse('permission_name = "read"'), frozenset({ResourceId(1), ResourceId(9999)})),
            'Nothing has resource "9999".',
        ),
        (
            Selector(PG, resources=frozenset({ResourceId(LARGEST_ID)})),
            f'pg: Nothing has resource "{LARGEST_ID}".',
        ),
    ],
)
def test_doctor_names_what_each_kind_of_target_does_not_select(stored, target, said):
    """Of targets by integration it named types, permissions and names alone."""
    prod, dev, core = ({"env": ("prod",)}, {"env": ("dev",)}, {"env": ("dev",), "team": ("core",)})
    tagged = [replace(t, tags=tags) for t, tags in zip(TABLES, (prod, dev, core), strict=True)]
    stored.write(lambda tx, _: sync.inventory(tx, PG, tagged, stored.now))
    keep(stored, reading(targets=(target, Selector(WIKI))))

    with stored.database.read() as session:
        found = unmatched(session, stored.company())

    assert found == [f"“Reading”: {said}"]


def test_doctor_names_what_looks_like_a_pattern_and_what_is_left_out_and_not_there(stored):
    """`except: [shop.cust*]` left nothing out, and nobody was told."""
    left_out = Except(names=frozenset({"shop.cust*", "shop.orders", "shop.ordres"}))
    keep(
        stored,
        reading(targets=(Selector(PG, names=frozenset({"shop.*", "shop.orders"})),)),
        writing(targets=(Selector(PG, without=left_out), Selector(WIKI))),
    )

    with stored.database.read() as session:
        found = unmatched(session, stored.company())

    hint = "a * stands for itself alone: write a query with contains, starts_with or ends_with"
    assert found == [
        f"“Reading”: pg: there is no resource shop.*; {hint}",
        f"“Writing”: pg: there is no resource shop.cust*; {hint}",
        "“Writing”: pg: there is no resource shop.ordres",
    ]


def test_what_files_have_changed_of_objects_is_said_to_administrators(stored):
    """As `latchkey apply` and the message to them say it."""
    keep(stored, reading(), objects=(SHOP, KIT))
    before = Known(stored.company(), ())

    keep(stored, reading(), objects=(Scope("Shop", parse(ALL)), MINE))

    assert changes(before, Known(stored.company(), ())) == [
        "scopes: Shop changed",
        "bundles: Kit gone",
        "spaces: Mine new",
    ]


def test_all_that_is_called_so_is_shown(tmp_path):
    """A bundle that is called as its flow is was not to be seen."""
    url = f"sqlite:///{tmp_path}/both.db"
    other = Stored.founded(url)
    keep(other, reading(name="Kit", targets=(ByBundle("Kit"),)))
    other.close()

    done = latchkey("flows", "show", "kit", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("Kit, a ")] == [
        "Kit, a flow",
        "Kit, a bundle",
    ]
    assert lines[-1] == "Used by the flow “Kit”."


def test_what_is_picked_by_hand_and_not_by_the_query_beside_it_is_named(stored):
    """Nothing said that a list overrules what stands beside it."""
    with stored.database.read() as session:
        by_path = {e.resource.path: e.resource.id for e in inventory.page(session, limit=99)}
    where = parse('resource_path = "shop.orders"')
    right = Picked(where, frozenset({by_path["shop.orders"]}))
    wrong = Picked(where, frozenset({by_path["shop.orders"], by_path["ledger.entries"]}))
    keep(stored, reading(targets=(right,)), writing(targets=(wrong,)))

    with stored.database.read() as session:
        found = unmatched(session, stored.company())

    assert found == [
        (
            "“Writing”: ledger.entries is picked by hand: "
            'resource_path = "shop.orders" does not select it'
        )
    ]
