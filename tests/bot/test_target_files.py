"""Targets, bundles, access scopes and spaces as files: what is read, and what every fault says."""

import pytest
import yaml

from engine.aql.parser import MAX_LENGTH, parse
from engine.inventory import IntegrationId, ResourceId
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
from manifests import BadManifestsError, files, load, revision_document

FILES = {
    "people.yaml": "people: [{id: ada, email: a@a.example, name: Ada}]",
    "company.yaml": "admins: {user: ada}",
    "integrations.yaml": "integrations:\n"
    "- {id: shop, name: Shop, kind: postgresql, settings: {dsn: env:SHOP}}\n",
}
SHOP = IntegrationId("shop")
PROD = 'resource_tag["env"] = "prod"'
SCOPES = [
    {"name": "Production", "query": PROD},
    {"name": "Tables", "query": 'resource_type = "table"', "space": "data"},
    {"name": "Roles", "query": 'resource_type = "role"', "space": "Ops"},
]
SPACES = [{"name": "Data", "slice": "production"}, {"name": "Ops", "slice": ["Production"]}]
BUNDLES = [
    {"name": "Kit", "targets": [{"scope": "production"}, {"bundle": "Inner"}]},
    {"name": "Inner", "targets": [{"integration": "shop", "names": ["Orders"]}]},
    {"name": "Kit", "space": "Data", "targets": [{"scope": "Tables"}]},
]


OF_A_SPACE = "belongs to a space, and the bundle to all."


@pytest.fixture
def company(tmp_path):
    """Load a company with these lists; of a flow, with its targets."""

    def build(targets=None, *, scopes=SCOPES, spaces=SPACES, bundles=BUNDLES, space="global"):
        flow = {
            "name": "Read",
            "space": space,
            "requestors": {"user": "ada"},
            "targets": targets or [{"integration": "shop"}],
        }
        lists = {"scopes": scopes, "spaces": spaces, "bundles": bundles, "flows": [flow]}
        written = {
            f"{name}.yaml": yaml.safe_dump({name: items}, sort_keys=False, width=1000)
            for name, items in lists.items()
            if items is not None
        }
        for name, text in (FILES | written).items():
            (tmp_path / name).write_text(text)
        return load(tmp_path)

    return build


@pytest.fixture
def faults(company):
    def build(*targets, **lists):
        with pytest.raises(BadManifestsError) as raised:
            company(list(targets), **lists)
        return [str(fault) for fault in raised.value.faults]

    return build


TARGETS = [
    (
        {"integration": "shop", "types": "table", "tags": {"env": "prod", "team": ["a", "b"]}},
        Selector(
            SHOP,
            frozenset({"table"}),
            tagged=Tagged(frozenset({("env", "prod"), ("team", "a"), ("team", "b")})),
        ),
    ),
    (
        {"integration": "shop", "tags": {"env": "prod"}, "match": "any"},
        Selector(SHOP, tagged=Tagged(frozenset({("env", "prod")}), Match.ANY)),
    ),
    (
        {"integration": "shop", "resources": [7, "8"], "except": ["Shop/Straße"]},
        Selector(
            SHOP,
            resources=frozenset({ResourceId(7), ResourceId(8)}),
            without=Except(frozenset({"shop/strasse"})),
        ),
    ),
    (
        {"integration": "shop", "except": {"resources": [7], "tags": {"a": "b"}, "match": "any"}},
        Selector(
            SHOP,
            without=Except(
                resources=frozenset({ResourceId(7)}),
                tagged=Tagged(frozenset({("a", "b")}), Match.ANY),
            ),
        ),
    ),
    ({"query": PROD}, Picked(parse(PROD))),
    ({"query": PROD, "resources": [7]}, Picked(parse(PROD), frozenset({ResourceId(7)}))),
    (
        {
            "filters": [
                {"field": "resource_type", "values": ["table", "schema"]},
                {"field": "permission_risk_level", "operator": "!=", "values": "high"},
                {"field": "resource_tag", "key": "env", "operator": "contains", "values": "p"},
            ]
        },
        Picked(
            parse(
                'resource_type in ("table", "schema") and permission_risk_level != "high" '
                'and resource_tag["env"] contains "p"'
            )
        ),
    ),
    ({"scope": "PRODUCTION"}, ByScope("Production")),
    ({"bundle": "kit"}, ByBundle("Kit")),
    ({"bundle": "data/kit"}, ByBundle("Data/Kit")),
]


@pytest.mark.parametrize(("written", "expected"), TARGETS, ids=[str(w) for w, _ in TARGETS])
def test_a_target_is_read_and_written_back(company, written, expected):
    loaded = company([written])
    (found,) = loaded.flows[0].revision.targets

    assert found == expected
    again = revision_document(loaded.flows[0].revision, loaded.directory)["targets"]
    assert company(again).flows[0].revision.targets == (expected,)


def test_what_is_of_a_space_is_called_by_it_and_finds_its_own_first(company):
    loaded = company([{"bundle": "Kit"}, {"scope": "Production"}], space="DATA")
    revision = loaded.flows[0].revision

    assert (revision.name, revision.space) == ("Data/Read", "Data")
    assert revision.targets == (ByBundle("Data/Kit"), ByScope("Production"))
    assert revision_document(revision, loaded.directory)["name"] == "Read"
    assert loaded.objects == (
        Scope("Production", parse(PROD)),
        Scope("Data/Tables", parse('resource_type = "table"'), "Data"),
        Scope("Ops/Roles", parse('resource_type = "role"'), "Ops"),
        Bundle("Kit", (ByScope("Production"), ByBundle("Inner"))),
        Bundle("Inner", (Selector(SHOP, names=frozenset({"orders"})),)),
        Bundle("Data/Kit", (ByScope("Data/Tables"),), "Data"),
        Space("Data", ("Production",)),
        Space("Ops", ("Production",)),
    )


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ([("Read", "global"), ("Read", "Data"), ("Read", "Ops")], ""),
        ([("Read", "Data"), ("READ", "data")], "Data/READ"),
        ([("Data/Read", "global"), ("Read", "Data")], "Data/Read"),
    ],
    ids=["one in each space", "two in one", "called as another is from outside"],
)
def test_a_name_is_unique_within_its_space(company, tmp_path, names, taken):
    company()
    flows = [
        {"name": name, "space": space, "requestors": {"user": "ada"}, "targets": [{"query": PROD}]}
        for name, space in names
    ]
    (tmp_path / "flows.yaml").write_text(yaml.safe_dump({"flows": flows}, sort_keys=False))

    if not taken:
        assert [f.revision.name for f in load(tmp_path).flows] == ["Read", "Data/Read", "Ops/Read"]
        return
    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path)
    (fault,) = raised.value.faults
    assert str(fault).endswith(f"name: “{taken}” is taken: flows.yaml:2 has it already.")


def test_the_files_are_there_or_not(company, tmp_path):
    assert company(scopes=None, spaces=None, bundles=None).objects == ()
    assert {"scopes.yaml", "bundles.yaml", "spaces.yaml"} <= {*files(tmp_path)}


LONG = " or ".join(['resource_name="x"'] * 450)


@pytest.mark.parametrize(
    ("target", "place", "sentence"),
    [
        ({}, "", "Say what can be had: `integration`, `query`, `filters`, `bundle` or `scope`."),
        (
            {"query": PROD, "scope": "Production"},
            "",
            "`query` and `scope` are several targets. Make each an item of its own: they add up.",
        ),
        ({"query": PROD, "types": "table"}, ".types", "`types` goes with `integration`."),
        ({"integration": "shop", "match": "any"}, ".match", "Say of which tags: `tags`."),
        ({"integration": "shop", "tags": {}}, ".tags", "The list is empty. Name at least one."),
        (
            {"integration": "shop", "except": {"match": "any"}},
            ".except",
            "Say which are left out: `names`, `resources` or `tags`.",
        ),
        ({"query": PROD, "resources": []}, ".resources", "The list is empty. Name at least one."),
        (
            {"query": PROD, "resources": [*range(1, 102)]},
            ".resources",
            "At most 100; this has 101. Say by a query, or by tags, which are meant.",
        ),
        (
            {"query": 'Resource_Type = "table"'},
            ".query",
            (
                'Line 1, column 1: found “Resource_Type”, expected a field, not or "(". '
                "Did you mean resource_type?"
            ),
        ),
        (
            {"query": 'resource_type in ("table", "tabel")'},
            ".query",
            "No system has resource_type “tabel”. Did you mean `table`?",
        ),
        (
            {"filters": [{"field": "resource_type", "operator": "!=", "values": "tabel"}]},
            ".filters[0]",
            "No system has resource_type “tabel”. Did you mean `table`?",
        ),
        (
            {"filters": [{"field": "integration", "values": ["shpo"]}]},
            ".filters[0]",
            "There is no integration “shpo”. Did you mean `shop`?",
        ),
        (
            {"query": 'integration = "shpo"'},
            ".query",
            "There is no integration “shpo”. Did you mean `shop`?",
        ),
        (
            {"query": "x" * (MAX_LENGTH + 1)},
            ".query",
            "Line 1, column 10001: found 10,001 characters",
        ),
        (
            {"query": " or ".join(['resource="1"'] * 501)},
            ".query",
            "Line 1, column 8001: found condition 501, expected at most 500.",
        ),
        (
            {"query": f"{'(' * 51}{PROD}{')' * 51}"},
            ".query",
            "Line 1, column 51: found “(”, expected brackets nested at most 50 deep.",
        ),
        ({"query": LONG}, ".query", "Written plainly, it has 10,346 characters: at most 10,000."),
        (
            {"filters": [{"field": "resource_type", "operator": "contains", "values": "t"}]},
            ".filters[0]",
            "resource_type takes = or != here.",
        ),
        (
            {"scope": "Prodction"},
            ".scope",
            "There is no access scope “Prodction”. Did you mean `Production`?",
        ),
        ({"bundle": "Kitt"}, ".bundle", "There is no bundle “Kitt”. Did you mean `Kit`?"),
    ],
    ids=str,
)
def test_a_fault_in_a_target(faults, target, place, sentence):
    (found,) = faults(target)

    assert found.partition(": ")[2].startswith(f"flows[0].targets[0]{place}: {sentence}")


def test_all_words_of_a_query_that_nothing_has_are_named_at_once(faults):
    """Of integrations it was said, and of what is in them at the next look."""
    query = 'integration = "shpo" and (resource_type = "tabel" or permission_name = "raed")'

    found = faults({"query": query}, {"filters": [{"field": "integration", "values": "shpo"}]})

    assert [line.partition("targets")[2] for line in found] == [
        "[0].query: There is no integration “shpo”. Did you mean `shop`?",
        "[0].query: No system has resource_type “tabel”. Did you mean `table`?",
        "[0].query: No system has permission_name “raed”. Did you mean `read`?",
        "[1].filters[0]: There is no integration “shpo”. Did you mean `shop`?",
    ]


def test_what_a_faulty_flow_names_is_looked_up_with_its_other_faults(company, tmp_path):
    """A name that is taken, a space or a bundle that is not there, was said at the next look."""
    company()
    flows = [
        {"name": "Read", "requestors": {"user": "ada"}, "targets": [{"query": PROD}]},
        {"name": "READ", "targets": [{"bundle": "Kitt"}, {"scope": ["Production"]}, "odd"]},
        {"name": "Own", "space": "Dta", "grant_for": "soon", "targets": [{"scope": "Prodction"}]},
        {"name": ["Read"], "space": {}, "targets": {"bundle": "Kitt"}},
    ]
    (tmp_path / "flows.yaml").write_text(yaml.safe_dump({"flows": flows}, sort_keys=False))

    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path)

    said = [str(fault).partition(": ")[2] for fault in raised.value.faults]
    assert [line for line in said if "taken" in line or "Did you mean" in line] == [
        "flows[1].name: “READ” is taken: flows.yaml:2 has it already.",
        "flows[1].targets[0].bundle: There is no bundle “Kitt”. Did you mean `Kit`?",
        "flows[2].space: There is no space “Dta”. Did you mean `Data`?",
        (
            "flows[2].targets[0].scope: There is no access scope “Prodction”. Did you mean "
            "`Production`?"
        ),
    ]


def test_another_space_s_things_cannot_be_used(faults):
    (found,) = faults({"scope": "Ops/Roles"}, space="Data")

    assert found.endswith("[0].scope: The access scope “Ops/Roles” belongs to another space.")


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"bundles": [{"name": "Kit", "targets": [{"bundle": "kit"}]}]},
            ["bundles[0].targets: A bundle cannot be in itself: Kit → Kit."],
        ),
        (
            {
                "bundles": [
                    {"name": "A", "targets": [{"scope": "Production"}, {"bundle": "B"}]},
                    {"name": "B", "targets": [{"bundle": "C"}]},
                    {"name": "C", "targets": [{"bundle": "a"}]},
                    {"name": "D", "targets": [{"bundle": "A"}]},
                ]
            },
            ["bundles[0].targets: A bundle cannot be in itself: A → B → C → A."],
        ),
        (
            {"bundles": [*BUNDLES, {"name": "All", "targets": [{"scope": "Ops/Roles"}]}]},
            [f"bundles[3].targets[0].scope: This is the scope “Ops/Roles”, which {OF_A_SPACE}"],
        ),
        (
            {"bundles": [*BUNDLES, {"name": "All", "targets": [{"bundle": "Data/Kit"}]}]},
            [f"bundles[3].targets[0].bundle: This is the bundle “Data/Kit”, which {OF_A_SPACE}"],
        ),
        (
            {"scopes": [*SCOPES, {"name": "PRODUCTION", "query": PROD}]},
            ["scopes[3].name: “PRODUCTION” is taken: scopes.yaml:2 has it already."],
        ),
        (
            {
                "bundles": [
                    *BUNDLES,
                    {"name": "", "targets": []},
                    {"name": "x" * 81, "targets": [{}]},
                ]
            },
            [
                "bundles[3].name: The text is empty.",
                "bundles[3].targets: The list is empty. Name at least one.",
                "bundles[4].name: At most 80 characters; this has 81.",
                (
                    "bundles[4].targets[0]: Say what can be had: `integration`, `query`, "
                    "`filters`, `bundle` or `scope`."
                ),
            ],
        ),
        (
            {
                "spaces": [
                    *SPACES,
                    {"name": "A/B", "slice": "Production"},
                    {"name": "Global", "slice": []},
                ]
            },
            [
                "spaces[2].name: A `/` stands between a space and what is in it. Leave it out.",
                "spaces[3].name: `global` is what belongs to no space. Choose another name.",
                "spaces[3].slice: The list is empty. Name at least one.",
            ],
        ),
        (
            {"spaces": [{"name": "Data", "slice": ["Prodction", "Data/Tables"]}, SPACES[1]]},
            [
                (
                    "spaces[0].slice[0]: There is no access scope “Prodction”. Did you mean "
                    "`Production`?"
                ),
                (
                    "spaces[0].slice[1]: “Data/Tables” belongs to a space, whose people could "
                    "widen what is theirs. Name one that belongs to none."
                ),
            ],
        ),
        (
            {"scopes": [{**SCOPES[0], "space": "Dta"}, *SCOPES[1:]], "bundles": []},
            ["scopes[0].space: There is no space “Dta”. Did you mean `Data`?"],
        ),
    ],
    ids=str,
)
def test_a_fault_in_scopes_bundles_and_spaces(faults, lists, expected):
    found = [line.partition(": ")[2] for line in faults(**lists)]

    assert found[: len(expected)] == expected


def test_what_is_taken_out_while_somebody_uses_it_is_named_where_it_is_used(faults):
    found = faults({"bundle": "Inner"}, scopes=SCOPES[1:], bundles=BUNDLES[:1])

    scope = "There is no access scope “{}”. Known here: Data/Tables, Ops/Roles."
    inner = "There is no bundle “Inner”. Known here: Kit."
    assert found == [
        f"bundles.yaml:4: bundles[0].targets[0].scope: {scope.format('production')}",
        f"bundles.yaml:5: bundles[0].targets[1].bundle: {inner}",
        f"flows.yaml:7: flows[0].targets[0].bundle: {inner}",
        f"spaces.yaml:3: spaces[0].slice[0]: {scope.format('production')}",
        f"spaces.yaml:6: spaces[1].slice[0]: {scope.format('Production')}",
    ]


def test_what_a_faulty_bundle_has_in_it_is_looked_up_all_the_same(faults):
    """A circle was said once nothing else was wrong with any bundle of it."""
    targets = [{"query": "table"}, {"bundle": "B"}, {"scope": "Prodction"}, {"bundle": 7}, "x"]
    bundles = [
        {"name": "A", "targets": targets, "descripton": "odd"},
        {"name": "B", "space": "Global", "targets": [{"bundle": "a"}]},
        {"name": "C", "space": "Data", "targets": [{"bundle": "D"}], "text": "odd"},
        {"name": "D", "space": "Data", "targets": [{"bundle": "Data/C"}], "description": 7},
        {"name": "E", "space": "Dta", "targets": "A"},
    ]

    found = [line.partition(": ")[2] for line in faults(bundles=bundles)]

    assert [line for line in found if "cannot be in itself" in line] == [
        "bundles[1].targets: A bundle cannot be in itself: B → A → B.",
        "bundles[3].targets: A bundle cannot be in itself: Data/D → Data/C → Data/D.",
    ]
    named = [line for line in found if "There is no access scope" in line or "no space" in line]
    assert [line.partition(" Known")[0].partition(" Did")[0] for line in named] == [
        "bundles[0].targets[2].scope: There is no access scope “Prodction”.",
        "bundles[4].space: There is no space “Dta”.",
    ]
    assert len([line for line in found if line.startswith("bundles[0]")]) >= 4


def test_what_names_a_faulty_one_is_no_fault_of_its_own(faults):
    broken = [{"name": "Production", "query": "resource_type is table"}, *SCOPES[1:]]

    (found,) = faults({"scope": "Production"}, scopes=broken)

    assert "scopes[0].query: Line 1, column 15" in found


def test_a_name_that_is_taken_is_named_beside_what_is_faulty(faults):
    """It was said of flows alone; of these at the next look."""
    scopes = [*SCOPES, {"name": "TABLES", "space": "Data", "query": "table"}]
    spaces = [{"name": "Data", "slice": []}, {"name": "data", "slice": "Production"}, SPACES[1]]
    bundles = [{"name": "Kit"}, {"name": "kit", "space": "Global", "targets": [{"query": PROD}]}]

    found = faults(scopes=scopes, spaces=spaces, bundles=bundles)

    taken = [line.partition(": ")[2] for line in found if "is taken" in line]
    assert [sentence.partition(" is taken")[0] for sentence in taken] == [
        "bundles[1].name: “kit”",
        "scopes[3].name: “Data/TABLES”",
        "spaces[1].name: “data”",
    ]
    assert len(found) == len(taken) + 3


def test_what_is_certainly_unknown_is_named_beside_what_is_faulty(faults):
    """With any fault in the three files, no name in them or in flows was looked up."""
    broken = [{"name": "Production", "query": "resource_type is table"}, *SCOPES[1:]]
    kit = {"name": "Kit", "targets": [{"scope": "Prodction"}, {"scope": "production"}]}

    found = faults({"bundle": "Kitt"}, {"scope": "Production"}, scopes=broken, bundles=[kit])
    nameless = faults({"bundle": "Kitt"}, scopes=[{"query": PROD}, *SCOPES[1:]], bundles=[kit])

    assert [line.partition(": ")[2].partition("Known")[0].strip() for line in found] == [
        "bundles[0].targets[0].scope: There is no access scope “Prodction”.",
        "flows[0].targets[0].bundle: There is no bundle “Kitt”. Did you mean `Kit`?",
        found[-1].partition(": ")[2],
    ]
    assert "scopes[0].query: Line 1, column 15" in found[-1]
    assert [line.partition(": ")[2] for line in nameless] == ["scopes[0].name: `name` is missing."]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            {"integration": "shop", "except": {"names": "a", "match": "any"}},
            "except: `match` says how many of the `tags` a resource has: name them.",
        ),
        (
            {
                "query": 'resource_tag["env"] = "a" or permission_name = "read"',
                "resources": [1],
            },
            (
                "query: Beside `resources`, say of permissions apart from the rest, joined by "
                "`and`. What is picked stays, whatever becomes of its tags."
            ),
        ),
        (
            {"filters": [{"field": "resource_name", "key": "env", "values": "a"}]},
            (
                "filters[0]: resource_name has no keys, as tags have. Leave `key` out, or compare "
                "a tag."
            ),
        ),
    ],
)
def test_a_key_that_would_do_nothing_is_a_fault(faults, target, sentence):
    (found,) = faults(target)

    assert found.endswith(f"flows[0].targets[0].{sentence}")
