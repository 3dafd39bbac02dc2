"""The company as files: what is read, and what is said of every fault."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.sandbox.documents import WorkspaceDocument
from bot.sandbox.documents import read as read_document
from engine.conditions import Comparator, Condition, ConditionGroup, Connective, select
from engine.connectors.listed import Listed
from engine.directory import Directory, Group, GroupId, PersonStatus
from engine.flow import (
    ApprovalRule,
    ApproverGroup,
    Escalation,
    Extension,
    RequestFor,
    Revision,
    TierCounts,
)
from engine.flow import Quorum as GroupJoin
from engine.inventory import Principal
from engine.on_call import Rotation, Schedule
from engine.policy_size import LIMITS, size
from engine.risk import PUBLISHED, Risks
from engine.targets import ByBundle, ByScope, ObjectKind, Picked, Selector, kind_of
from engine.window import Day, Window
from engine.words import trimmed
from manifests import (
    BadManifestsError,
    flow_schema,
    listing_schema,
    load,
    object_schema,
    revision_document,
)
from manifests.parts import NOT_YET, find_group

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "manifests" / "sandbox"

PEOPLE = """\
groups:
  dba: DBA
  eng: Engineering
people:
  - {id: ada, email: ada@a.example, name: Ada Stone, groups: [dba, Engineering]}
  - {id: bo, email: Bo@A.example, name: Bo Reed, manager: ADA@a.example, groups: eng}
  - {id: cy, email: cy@a.example, name: Sam Lee, manager: bo, attributes: {city: [Oslo, Rome]}}
  - {id: di, email: di@a.example, name: sam lee, status: inactive}
"""
COMPANY = "admins: {user: ada@a.example}\n"
INTEGRATIONS = """\
integrations:
  - id: shop
    name: The shop
    kind: postgresql
    settings: {dsn: "env:SHOP", connect_timeout: 3}
"""
FLOW = """\
flows:
  - name: Read
    requestors: {group: Engineering}
    targets: [{integration: shop}]
"""
FILES = {
    "people.yaml": PEOPLE,
    "company.yaml": COMPANY,
    "integrations.yaml": INTEGRATIONS,
    "flows.yaml": FLOW,
}


@pytest.fixture
def company(tmp_path):
    """Load a small company, with some of its files replaced; None takes a file away."""

    def build(**files):
        given_files = {
            name if name == "on_call" else name.replace("_", "/"): text
            for name, text in files.items()
        }
        for name, text in (FILES | {f"{n}.yaml": t for n, t in given_files.items()}).items():
            path = tmp_path / name
            path.unlink(missing_ok=True)
            if text is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(tmp_path)

    return build


@pytest.fixture
def faults(company):
    """Load it, and return what is wrong, in words."""

    def build(**files):
        with pytest.raises(BadManifestsError) as raised:
            company(**files)
        assert str(raised.value).splitlines() == [str(fault) for fault in raised.value.faults]
        return [str(fault) for fault in raised.value.faults]

    return build


def flow(**parts):
    """Write flows.yaml with one flow."""
    plain = {
        "name": "Read",
        "requestors": {"group": "Engineering"},
        "targets": [{"integration": "shop"}],
    }
    document = {k: v for k, v in (plain | parts).items() if v is not ...}
    return yaml.safe_dump({"flows": [document]}, allow_unicode=True, sort_keys=False)


def revision(company, **parts):
    (found,) = company(flows=flow(**parts)).flows
    return found.revision


def group(*conditions, join=Connective.AND):
    return ConditionGroup(conditions, join)


def condition(attribute, *values, comparator=Comparator.IS):
    return Condition(attribute, comparator, values)


DBA = {"name": "DBA", "people": {"group": "DBA"}}
APPROVAL = {"any_of": [DBA]}

# --- What is read ------------------------------------------------------------------------------


def _approver(**parts):
    return {"approval": {"any_of": [DBA | parts]}}


def test_who_has_left_stands_beside_who_has_the_address_now(company):
    """A system of record that gives new ids lists the old ones as inactive: it was refused."""
    beside = PEOPLE + "  - {id: e-7, email: DI@a.example, name: Di Moss}\n"
    beside += "  - {id: e-8, email: ada@A.example, name: Ada Stone, status: inactive}\n"

    people = {p.id: p for p in company(people=beside).people}

    assert (people["di"].active, people["e-7"].active) == (False, True)


def test_addresses_that_unicode_folds_alike_are_two(company):
    """“ß” was taken for “ss”, and the second person refused."""
    two = "  - {id: x, email: strasse@a.example, name: X}\n"
    two += "  - {id: y, email: stra\N{LATIN SMALL LETTER SHARP S}e@a.example, name: Y}\n"

    assert {"x", "y"} < {p.id for p in company(people=PEOPLE + two).people}


@pytest.mark.parametrize(
    ("letter", "place", "said"),
    [
        ("\N{ZERO WIDTH SPACE}", 3, "U+200B (zero width space)"),
        ("\N{SOFT HYPHEN}", 3, "U+00AD (soft hyphen)"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}", 3, "U+FF41 (fullwidth latin small letter a)"),
        ("\N{LATIN SMALL LETTER DOTLESS I}", 3, "U+0131 (latin small letter dotless i)"),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", 3, "U+0130"),
        ("\N{LATIN SMALL LETTER LONG S}", 3, "U+017F"),
        ("\N{KELVIN SIGN}", 3, "U+212A (kelvin sign)"),
        ("e\N{COMBINING ACUTE ACCENT}", 4, "U+0301 (combining acute accent)"),
    ],
)
def test_an_address_that_only_looks_right_is_refused(company, letter, place, said):
    """It was taken without a word, and the person could never be tied to a Slack account."""
    with pytest.raises(BadManifestsError) as fault:
        company(people=PEOPLE + f"  - {{id: x, email: ab{letter}@a.example, name: X}}\n")

    (line,) = str(fault.value).splitlines()
    assert "people[4].email: character" in line
    assert f"character {place} of " in line
    assert said in line


def test_an_address_with_letters_of_its_own_is_taken(company):
    for name in (
        "jos\N{LATIN SMALL LETTER E WITH ACUTE}",
        "stra\N{LATIN SMALL LETTER SHARP S}e",
        "岡田",
    ):
        company(people=PEOPLE + f"  - {{id: x, email: {name}@a.example, name: X}}\n")


def test_people_have_their_groups_managers_and_attributes(company):
    people = {person.id: person for person in company().people}

    assert people["ada"].groups == {"file:dba", "file:eng"}
    assert (people["bo"].manager, people["cy"].manager) == ("ada", "bo")
    assert people["cy"].attributes == {"city": ("Oslo", "Rome")}
    assert people["di"].status is PersonStatus.INACTIVE


def test_integrations_say_what_is_offered_beyond_and_what_people_are_shown(company):
    written = INTEGRATIONS.replace(
        "connect_timeout: 3",
        "permissions: [truncate, execute], roles: reporting, "
        "show: {host: db.example.com, port: 6432, text: Only from the office.}",
    )

    (shop,) = company(integrations=written).integrations

    assert shop.settings == {
        "dsn": "env:SHOP",
        "permissions": ["truncate", "execute"],
        "roles": ["reporting"],
        "show": {"host": "db.example.com", "port": 6432, "text": "Only from the office."},
    }


def test_integrations_say_how_old_logins_may_get(company):
    logins = "logins: {rotate_after: 30d, clean_up_after: Never}"

    (shop,) = company(integrations=INTEGRATIONS.replace("connect_timeout: 3", logins)).integrations

    assert shop.settings["logins"] == {"rotate_after": "30 days", "clean_up_after": "never"}


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        ("owner: ada@a.example", "ada"),
        ("owner: bo", "bo"),
        ("owner: DBA", "file:dba"),
        ("owner: 'file:dba'", "file:dba"),
    ],
)
def test_integrations_say_whose_what_is_there_is(company, said, owner):
    written = INTEGRATIONS.replace("    kind:", f"    {said}\n    owner_tag: team\n    kind:", 1)

    (shop,) = company(integrations=written).integrations

    assert (shop.owner, shop.owner_tag) == (owner, "team")
    (plain,) = company().integrations
    assert (plain.owner, plain.owner_tag) == ("", "owner")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("DBAs", "“DBAs” is no one person, by address or id, and no group. Did you mean `DBA`?"),
        ("'*'", "“*” is no one person, by address or id, and no group."),
        ("", "Name a person or a group; found nothing."),
        ("[bo]", "Name a person or a group; found a list."),
    ],
)
def test_an_owner_of_a_system_is_somebody(faults, said, fault):
    written = INTEGRATIONS.replace("    kind:", f"    owner: {said}\n    kind:", 1)

    (found,) = faults(integrations=written)

    assert f"integrations.yaml:4: integrations[0].owner: {fault}" in found


def test_integrations_keep_references_not_secrets(company):
    (shop,) = company().integrations

    assert (shop.id, shop.name, shop.kind) == ("shop", "The shop", "postgresql")
    assert shop.settings == {"dsn": "env:SHOP", "connect_timeout": 3}


@pytest.mark.parametrize(
    ("written", "admins"),
    [("{user: ada@a.example}", {"ada"}), ("{group: Engineering}", {"ada", "bo"})],
)
def test_administrators_are_people_or_a_group(company, written, admins):
    assert company(company=f"admins: {written}").admins == admins


def test_who_is_inactive_administers_nothing(company):
    text = "admins: {user: [ada@a.example, di@a.example]}"

    assert company(company=text).admins == {"ada"}


def test_what_a_flow_leaves_out_is_the_product_s_default(company):
    assert revision(company) == Revision(
        name="Read",
        requestors=group(condition("group", "file:eng")),
        targets=(Selector("shop"),),
    )


def test_what_is_usual_is_what_the_page_on_flows_says(company):
    """The test above compares one default with another: whatever they were, they were right."""
    found = revision(company, approval=APPROVAL, escalation={"tiers": [DBA]})

    assert (found.grant_for, found.extension) == (timedelta(hours=1), None)
    assert (found.when, found.space, found.request_for) == (None, "", {RequestFor.SELF})
    assert (found.approval.join, found.approval.distinct) == (GroupJoin.ANY_OF, True)
    assert found.escalation.every == timedelta(minutes=30)
    assert found.escalation.counts is TierCounts.WHOLE_REQUEST
    assert found.lapses_after == timedelta(days=1)
    assert found.start_later == timedelta(days=7)
    assert (found.require_mfa, found.require_justification) == (False, True)
    assert (found.require_reason, found.self_approval, found.listed) == (False, False, True)
    assert [f.active for f in company().flows] == [True]
    assert company().flows[0].revision.approval is None


def test_a_flow_says_everything(company):
    found = revision(
        company,
        name="  Read it ",
        description="For now.",
        labels=["prod"],
        request_for="self",
        targets=[
            {"integration": "shop", "types": "table", "permissions": ["read"], "names": "A/Straße"}
        ],
        grant_for="1 h 30",
        extension={"times": 2, "each": "45 min"},
        approval={"all_of": [DBA], "distinct": False},
        escalation={"every": "1 min", "tiers": [DBA], "counts": "the open groups"},
        lapses_after=90,
        start_later="Off",
        require_justification="no",
        require_reason="yes",
        self_approval=True,
        listed="no",
        require_mfa="no",
        break_glass=False,
        when="always",
        space="global",
        notify="direct messages",
    )

    dba = ApproverGroup("DBA", group(condition("group", "file:dba")))
    assert found == Revision(
        name="Read it",
        description="For now.",
        labels=("prod",),
        requestors=group(condition("group", "file:eng")),
        targets=(
            Selector("shop", frozenset({"table"}), frozenset({"read"}), frozenset({"a/strasse"})),
        ),
        grant_for=timedelta(minutes=90),
        extension=Extension(2, timedelta(minutes=45)),
        approval=ApprovalRule((dba,), GroupJoin.ALL_OF, distinct=False),
        escalation=Escalation(timedelta(minutes=1), (dba,), TierCounts.OPEN_GROUPS),
        lapses_after=timedelta(minutes=90),
        start_later=None,
        require_justification=False,
        require_reason=True,
        self_approval=True,
        listed=False,
    )


@pytest.mark.parametrize(
    ("grant_for", "each"), [("10 min", timedelta(minutes=10)), ("4 h", timedelta(minutes=30))]
)
def test_an_extension_is_half_an_hour_or_the_whole_time_if_less(company, grant_for, each):
    found = revision(company, grant_for=grant_for, extension={"times": 1})

    assert found.extension == Extension(1, each)


def test_words_for_nothing_of_it(company):
    found = revision(
        company, grant_for="Indefinite", extension="off", approval="automatic", escalation="off"
    )

    assert (found.grant_for, found.extension, found.approval, found.escalation) == (None,) * 4


def test_a_disabled_flow_is_listed(company):
    assert [f.active for f in company(flows=flow(active="no")).flows] == [False]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"user": "BO@a.example"}, group(condition("user", "bo"))),
        ({"user": "bo reed"}, group(condition("user", "bo"))),
        ({"user": "bo"}, group(condition("user", "bo"))),
        ({"manager": {"is not": "ada@a.example"}}, None),
        ({"group": ["dba", "file:eng"]}, group(condition("group", "file:dba", "file:eng"))),
        ({"city": {"starts with": " Os "}}, None),
        ({"group": "DBA", "city": "Oslo"}, None),
        ([{"group": "DBA"}, {"city": "Oslo"}], None),
        ({"all": [{"group": "DBA"}, {"city": "Oslo"}]}, None),
        ({"any": [{"group": "DBA"}, {"city": {"contains": ["Os", "Ro"]}}]}, None),
    ],
    ids=str,
)
def test_conditions(company, written, read):
    both = group(condition("group", "file:dba"), condition("city", "Oslo"))
    expected = {
        "manager": group(condition("manager", "ada", comparator=Comparator.IS_NOT)),
        "city": group(condition("city", "Os", comparator=Comparator.STARTS_WITH)),
        "any": group(
            condition("group", "file:dba"),
            condition("city", "Os", "Ro", comparator=Comparator.CONTAINS),
            join=Connective.OR,
        ),
    }
    key = next(iter(written)) if isinstance(written, dict) and len(written) == 1 else ""

    assert revision(company, requestors=written).requestors == (read or expected.get(key, both))


def test_approvers_may_be_the_grantee_s_manager(company):
    found = revision(company, approval={"any_of": [{"name": "M", "people": {"manager": None}}]})

    assert found.approval.groups[0].conditions == group(condition("manager"))


@pytest.mark.parametrize(
    ("people", "join"),
    [
        ({"owner": None}, Connective.AND),
        ([{"owner": None}, {"group": "DBA"}], Connective.AND),
        ({"any": [{"owner": None}, {"group": "DBA"}]}, Connective.OR),
    ],
)
def test_approvers_may_be_owners_and_are_written_so_again(company, people, join):
    found = revision(
        company,
        approval={"any_of": [{"name": "O", "people": people}]},
        escalation={"every": "1 h", "tiers": [{"name": "T", "people": people}]},
    )

    owner = condition("owner")
    of = [owner] if people == {"owner": None} else [owner, condition("group", "file:dba")]
    assert [g.conditions for g in found.deciders] == 2 * [group(*of, join=join)]
    again = revision_document(found, company().directory)
    assert again["approval"]["any_of"][0]["people"] == people


def test_flows_may_be_several_files_and_documents(company):
    second = "flows:\n- &a {name: Two, requestors: {group: DBA}, targets: [{integration: shop}]}\n"
    third = "flows:\n- {<<: *a, name: Three}\n"
    found = company(
        flows_b=second + third.removeprefix("flows:\n"), flows_a="---\nflows: []\n---\n"
    )

    assert [f.revision.name for f in found.flows] == ["Read", "Two", "Three"]
    assert found.flows[2].revision.requestors == group(condition("group", "file:dba"))


def test_a_name_of_several_sources_is_told_apart_by_its_source(company):
    people = f"{PEOPLE}---\nsource: hr\ngroups: {{dba: DBA}}\npeople: []\n"

    found = company(people=people, flows=flow(requestors={"group": "hr:dba"}))

    assert found.flows[0].revision.requestors == group(condition("group", "hr:dba"))


def test_words_that_yaml_takes_for_something_else_stay_words(company):
    people = "people:\n- {id: 1, email: n@a.example, name: NO, attributes: {code: 1:30}}\n"

    found = company(
        people=people, company="admins: {user: NO}", flows=flow(requestors={"code": "1:30"})
    )

    assert (found.people[0].name, found.people[0].attributes) == ("NO", {"code": ("1:30",)})


# --- What is wrong with the files ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "flows.yaml: The file is missing."),
        ("", "flows.yaml: The file is empty."),
        ("# nothing\n---\n", "flows.yaml: The file is empty."),
        ("flows:\n\t- a\n", "flows.yaml:2: This is not YAML: a tab stands where only spaces may."),
        (
            "flows: [\n",
            (
                "flows.yaml:2: This is not YAML: expected the node content, but found '<stream "
                "end>' (while parsing a flow node)."
            ),
        ),
        ("a: b: c", "flows.yaml:1: This is not YAML: mapping values are not allowed here."),
        (b"flows: []\n# caf\xe9", "flows.yaml:2: Byte 0xe9 is not UTF-8. Save the file as UTF-8."),
        ("a: 1\n\x07", "flows.yaml:2: A control character stands here. Take it out."),
        (
            'flows: []\n"a\\0b": 1',
            "flows.yaml:2: A control character stands in this text. Take it out.",
        ),
        (
            '"\\UFFFFFFFF"',
            "flows.yaml: This is not YAML: an escape or a number in it is out of range.",
        ),
        ("#" * 1_000_001, "flows.yaml: The file is over 1,000,000 bytes. Split it."),
        (
            "flows: []\nflows: []\n",
            "flows.yaml:2: flows: The key `flows` stands on lines 1 and 2. Keep one.",
        ),
        (
            "flows: !!python/name:os.system x",
            (
                "flows.yaml:1: flows: The tag `tag:yaml.org,2002:python/name:os.system` is not "
                "understood. Take it out."
            ),
        ),
        (
            "flows: []\n? [a]\n: b\n",
            "flows.yaml:2: A key has to be one word, not a list or more keys.",
        ),
        ("flows: []\n<<: b\n", "flows.yaml:2: `<<` takes an alias of a mapping: `<<: *base`."),
        (
            "flows: &a [*a]\n",
            "flows.yaml:1: It is nested more than 50 deep, or an alias holds itself.",
        ),
        ("[" * 5000, "flows.yaml: It is nested more than 50 deep."),
        (
            "[" * 60 + "]" * 60,
            "flows.yaml:1: It is nested more than 50 deep, or an alias holds itself.",
        ),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdef")),
            "flows.yaml:1: With its aliases written out the file has over 250,000 values.",
        ),
        ("*a", "flows.yaml:1: This is not YAML: found undefined alias 'a'."),
        ("- a", "flows.yaml:1: Write keys and values, such as `name: …`; found a list."),
        ("a", "flows.yaml:1: Write keys and values, such as `name: …`; found “a”."),
        ("flows: a", "flows.yaml:1: flows: Write a list, each item after a dash; found “a”."),
        ("flows:", "flows.yaml:1: flows: Write a list, each item after a dash; found nothing."),
    ],
    ids=lambda value: "" if value is None or len(value) > 40 else None,
)
def test_a_file_that_cannot_be_read(faults, text, fault):
    assert fault in faults(flows=text)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path / "nowhere")

    assert str(raised.value) == (
        f"{tmp_path}/nowhere: There is no such folder. LATCHKEY_MANIFESTS says where the files are."
    )


def test_a_folder_that_is_empty(tmp_path):
    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path)

    assert [str(fault) for fault in raised.value.faults] == [
        f"{name}: The file is missing." for name in sorted(FILES)
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flows.yml", "flows.yml: This file is not read. Call it flows.yaml, or something else."),
        ("bundle.yaml", "bundle.yaml: This file is not read. Call it bundles.yaml, or"),
        ("OnCall.yaml", "OnCall.yaml: This file is not read. Call it on_call.yaml, or"),
        ("flows/more.yml", "flows/more.yml: This file is not read: the names of files of flows"),
    ],
)
def test_a_file_under_a_wrong_name_is_not_passed_over(company, tmp_path, name, said):
    """A bundle was saved as bundle.yaml: it did nothing, and nobody said so."""
    company()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("of no matter: [")

    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path)

    assert [str(fault)[: len(said)] for fault in raised.value.faults] == [said]


def test_files_of_other_names_are_left_alone(company, tmp_path):
    for name in ("notes.yaml", "kustomization.yaml", "README.md", "flows.yaml.bak"):
        (tmp_path / name).write_text("of no matter: [")

    assert company()


def test_a_file_that_is_a_folder(tmp_path):
    (tmp_path / "company.yaml").mkdir()

    with pytest.raises(BadManifestsError, match=r"company\.yaml: The file cannot be read: Is a d"):
        load(tmp_path)


# --- What is wrong with people, administrators, integrations -------------------------------------

ADA = "people:\n- {id: ada, email: ada@a.example, name: Ada Stone"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("people:\n- {id: x}", "people.yaml:2: people[0].email: `email` is missing."),
        (
            f"{ADA}, emial: x}}",
            "people.yaml:2: people[0].emial: There is no `emial` here. Did you mean `email`?",
        ),
        (
            f"{ADA}, zodiac: x}}",
            (
                "people.yaml:2: people[0].zodiac: There is no `zodiac` here. Known here: "
                "attributes, email, groups, guest, id, manager, name, status."
            ),
        ),
        (
            "people:\n- ada",
            "people.yaml:2: people[0]: Write keys and values, such as `name: …`; found “ada”.",
        ),
        (
            f"{ADA}}}\n- {{id: ADA, email: b@a.example, name: B}}",
            "people.yaml:3: people[1].id: “ADA” is taken: people.yaml:2 has it already.",
        ),
        (
            f"{ADA}}}\n- {{id: b, email: ADA@a.example, name: B}}",
            (
                "people.yaml:3: people[1].email: “ADA@a.example” is taken: people.yaml:2 has it "
                "already."
            ),
        ),
        (
            f"{ADA}}}\n- {{id: ada@a.example, email: b@a.example, name: B}}",
            "people.yaml:3: people[1].id: “ada@a.example” is taken: people.yaml:2 has it already.",
        ),
        (
            f"{ADA}, manager: adda@a.example}}",
            (
                "people.yaml:2: people[0].manager: Nobody in the directory is “adda@a.example”. "
                "Did you mean `ada@a.example`?"
            ),
        ),
        (
            f"{ADA}, manager: ada}}",
            "people.yaml:2: people[0].manager: Nobody manages their own manager: ada → ada.",
        ),
        (
            f"{ADA}, manager: bo}}\n- {{id: bo, email: b@a.example, name: B, manager: ada}}",
            "people.yaml:2: people[0].manager: Nobody manages their own manager: ada → bo → ada.",
        ),
        (
            f"groups: {{eng: Engineers}}\n{ADA}, groups: [emg]}}",
            "people.yaml:3: people[0].groups[0]: There is no group “emg”. Did you mean `eng`?",
        ),
        (
            f"groups: {{eng: E, e2: e}}\n{ADA}}}",
            "people.yaml:1: groups.e2: “e” is taken: people.yaml:1 has it already.",
        ),
        (
            f"groups: {{eng: E}}\npeople: []\n---\ngroups: {{eng: F}}\n{ADA}}}",
            "people.yaml:4: groups.eng: The group file:eng is here twice. Keep one.",
        ),
        (
            f"groups: {{Eng Team: E}}\n{ADA}}}",
            (
                "people.yaml:1: groups.Eng Team: “Eng Team” will not do: a key is up to 40 "
                "small letters, digits and . _ -."
            ),
        ),
        (
            f"source: slack\n{ADA}}}",
            (
                "people.yaml:1: source: `slack` is the source of Slack's own user groups. Choose "
                "another name."
            ),
        ),
        (
            f"{ADA}, status: gone}}",
            (
                "people.yaml:2: people[0].status: Write 'active', 'pre-boarding' or 'inactive'; "
                "found “gone”."
            ),
        ),
        (
            f"{ADA}, guest: perhaps}}",
            "people.yaml:2: people[0].guest: Write true or false; found “perhaps”.",
        ),
        (
            f"{ADA}, attributes: {{group: x}}}}",
            (
                "people.yaml:2: people[0].attributes.group: `group` means something of its own "
                "in conditions. Call it otherwise."
            ),
        ),
        (
            f"{ADA}, attributes: {{city: ' '}}}}",
            "people.yaml:2: people[0].attributes.city[0]: The text is empty.",
        ),
        (
            "people:\n- {id: Operator, email: a@a.example, name: A}",
            (
                "people.yaml:2: people[0].id: “Operator” is Latchkey's own name for itself. Choose "
                "another id."
            ),
        ),
        (
            "people:\n- {id: a b, email: a@a.example, name: A}",
            (
                "people.yaml:2: people[0].id: “a b” will not do: an id is 1 to 64 letters, digits "
                "and . _ @ + -."
            ),
        ),
        (
            "people:\n- {id: a, email: a.example, name: A}",
            (
                "people.yaml:2: people[0].email: “a.example” will not do: an address is "
                "name@company.example."
            ),
        ),
        (
            'people:\n- {id: a, email: a@a.example, name: "A\\nB"}',
            "people.yaml:2: people[0].name: Write it on one line.",
        ),
    ],
)
def test_a_fault_in_people(faults, text, fault):
    assert fault in faults(people=text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "company.yaml:1: admins: `admins` is missing."),
        (
            "admins: {user: dda@a.example}",
            (
                "company.yaml:1: admins.user: Nobody in the directory is “dda@a.example”. Did you "
                "mean `ada@a.example`?"
            ),
        ),
        (
            "admins: {user: di@a.example}",
            "company.yaml:1: admins: This selects nobody who is active.",
        ),
        (
            "admins: []",
            "company.yaml:1: admins: Write conditions, such as `group: DBA`; found an empty list.",
        ),
        (
            "admins: ada",
            "company.yaml:1: admins: Write conditions, such as `group: DBA`; found “ada”.",
        ),
    ],
)
def test_a_fault_in_the_company(faults, text, fault):
    assert faults(company=text) == [fault]


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (
            {"kind": "oracle"},
            (
                "integrations.yaml:4: integrations[0].kind: "
                "Write 'postgresql' or 'file'; found “oracle”."
            ),
        ),
        (
            {"settings": "{dsn: 'postgresql://u:hunter2@db/x'}"},
            (
                "integrations.yaml:5: integrations[0].settings.dsn: A secret does not stand in a "
                "file. Write `env:NAME` or `file:PATH`."
            ),
        ),
        (
            {"settings": "{dns: 'env:X'}"},
            (
                "integrations.yaml:5: integrations[0].settings.dns: There is no `dns` here. Did "
                "you mean `dsn`?"
            ),
        ),
        (
            {"settings": "{dsn: 'env:X', connect_timeout: soon}"},
            (
                "integrations.yaml:5: integrations[0].settings.connect_timeout: Write a whole "
                "number; found “soon”."
            ),
        ),
        (
            {"settings": "{dsn: 'env:X', connect_timeout: 0}"},
            "integrations.yaml:5: integrations[0].settings.connect_timeout: At least 1; found “0”.",
        ),
        (
            {"settings": "{dsn: 'env:X', logins: {rotate_after: 2 h}}"},
            (
                "integrations.yaml:5: integrations[0].settings.logins.rotate_after: “2 h” is too "
                "short: the shortest time is 1 day."
            ),
        ),
        (
            {"settings": "{dsn: 'env:X', logins: {clean_up_after: [90 d]}}"},
            (
                "integrations.yaml:5: integrations[0].settings.logins.clean_up_after: Write a "
                "duration, such as 90 days, or “never”; found a list."
            ),
        ),
        (
            {"id": "The Shop"},
            (
                "integrations.yaml:2: integrations[0].id: “The Shop” will not do: a key is up to "
                "40 small letters, digits and . _ -."
            ),
        ),
    ],
)
def test_a_fault_in_integrations(faults, parts, fault):
    plain = {"id": "shop", "name": "Shop", "kind": "postgresql", "settings": "{dsn: 'env:X'}"}
    lines = [f"{key}: {value}" for key, value in (plain | parts).items()]
    text = "integrations:\n  - " + "\n    ".join(lines)

    found = faults(integrations=text)

    assert fault in found
    assert "hunter2" not in "".join(found)


def test_integrations_that_are_there_twice(faults):
    assert faults(integrations=INTEGRATIONS + INTEGRATIONS.partition("\n")[2]) == [
        (
            "integrations.yaml:6: integrations[1].id: “shop” is taken: integrations.yaml:2 has it "
            "already."
        ),
        (
            "integrations.yaml:7: integrations[1].name: “The shop” is taken: integrations.yaml:3 "
            "has it already."
        ),
    ]


# --- What is wrong with flows --------------------------------------------------------------------

NOT_ANYONE = {"name": "A", "people": {"group": {"is not": "DBA"}}}


@pytest.mark.parametrize(
    ("parts", "place", "sentence"),
    [
        ({"name": ...}, "name", "`name` is missing."),
        ({"name": " "}, "name", "The text is empty."),
        ({"name": "\u200b\u202e"}, "name", "There is nothing to see in it. Write a word."),
        ({"name": "\u3164"}, "name", "There is nothing to see in it. Write a word."),
        ({"name": "x" * 81}, "name", "At most 80 characters; this has 81."),
        ({"grantfor": "1 h"}, "grantfor", "There is no `grantfor` here. Did you mean `grant_for`?"),
        ({"labels": ["x" * 41]}, "labels[0]", "At most 40 characters; this has 41."),
        ({"labels": ["a"] * 2}, "labels[1]", "“a” is here twice. Keep one."),
        ({"labels": [str(i) for i in range(21)]}, "labels", "At most 20; this has 21."),
        ({"labels": [" "]}, "labels[0]", "The text is empty."),
        (
            {"labels": ["\u200b"]},
            "labels[0]",
            "There is nothing to see in it. Write a word.",
        ),
        ({"targets": ...}, "targets", "`targets` is missing."),
        ({"targets": []}, "targets", "The list is empty. Name at least one."),
        (
            {"targets": [{"integration": "shpo"}]},
            "targets[0].integration",
            "There is no integration “shpo”. Did you mean `shop`?",
        ),
        (
            {"targets": [{"integration": "shop", "permissions": ["read", "reed"]}]},
            "targets[0].permissions[1]",
            "The system knows no “reed”. Did you mean `read`?",
        ),
        (
            {"targets": [{"integration": "shop", "types": "queue"}]},
            "targets[0].types[0]",
            "The system knows no “queue”. Known here: database, function, role, schema, table.",
        ),
        (
            {"targets": [{"integration": "shop", "names": []}]},
            "targets[0].names",
            "The list is empty. Name at least one.",
        ),
        (
            {"targets": [{"integration": "shop", "name": "x"}]},
            "targets[0].name",
            "There is no `name` here. Did you mean `names`?",
        ),
        (
            {"space": "data"},
            "space",
            "There is no space “data”. Check the spelling.",
        ),
        ({"grant_for": "4 min"}, "grant_for", "“4 min” is too short: the shortest time is 5 min."),
        (
            {"grant_for": "2 years"},
            "grant_for",
            (
                "“2 years” is not a time. Write minutes, or "
                "something like 90 min, 1.5 h, 2 h 30 or 3 days."
            ),
        ),
        (
            {"grant_for": "400 days"},
            "grant_for",
            "“400 days” is too long: the longest time is 365 days.",
        ),
        ({"grant_for": ["1 h"]}, "grant_for", "Write a duration, such as 4 h; found a list."),
        ({"grant_for": None}, "grant_for", "Write a duration, such as 4 h; found nothing."),
        (_approver(needs=0), "approval.any_of[0].needs", "At least 1; found “0”."),
        (_approver(needs=6), "approval.any_of[0].needs", "At most 5; found “6”."),
        (_approver(needs="two"), "approval.any_of[0].needs", "Write a whole number; found “two”."),
        (
            {"escalation": {"tiers": [DBA | {"needs": 2}]}, **_approver()},
            "escalation.tiers[0].needs",
            "There is no `needs` here. Known here: name, people.",
        ),
        ({"approval": {"all_of": [DBA] * 11}}, "approval.all_of", "At most 10; this has 11."),
        ({"extension": {"times": 0}}, "extension.times", "At least 1; found “0”."),
        ({"extension": {"times": 11}}, "extension.times", "At most 10; found “11”."),
        (
            {"extension": {"times": "many"}},
            "extension.times",
            "Write a whole number; found “many”.",
        ),
        ({"extension": {}}, "extension.times", "`times` is missing."),
        (
            {"extension": {"times": 1, "each": "4 min"}},
            "extension.each",
            "“4 min” is too short: the shortest time is 5 min.",
        ),
        (
            {"extension": "2 times"},
            "extension",
            "Write keys and values, such as `name: …`; found “2 times”.",
        ),
        (
            {"extension": {"times": 1, "each": "2 h"}},
            "extension",
            "Each extension is 2 h, longer than grant_for. At most 1 h.",
        ),
        (
            {"extension": {"times": 1}, "grant_for": "indefinite"},
            "extension",
            "Access without end cannot be extended. Take the extension out.",
        ),
        (
            {"start_later": "23 h"},
            "start_later",
            "“23 h” is too short: the shortest time is 1 day.",
        ),
        (
            {"start_later": "31 days"},
            "start_later",
            "“31 days” is too long: the longest time is 30 days.",
        ),
        (
            {"start_later": "on"},
            "start_later",
            (
                "“on” is not a time. Write minutes, or something like 90 min, 1.5 h, 2 h 30 or 3 "
                "days."
            ),
        ),
        (
            {"lapses_after": "14 min"},
            "lapses_after",
            "“14 min” is too short: the shortest time is 15 min.",
        ),
        (
            {"lapses_after": "31 days"},
            "lapses_after",
            "“31 days” is too long: the longest time is 30 days.",
        ),
        ({"approval": {"any_of": []}}, "approval.any_of", "The list is empty. Name at least one."),
        ({"approval": {"any_of": [DBA] * 11}}, "approval.any_of", "At most 10; this has 11."),
        (
            {"approval": {}},
            "approval",
            "Write either any_of or all_of, with a list of approver groups.",
        ),
        (
            {"approval": {"any_of": [{"people": {"group": "DBA"}}]}},
            "approval.any_of[0].name",
            "`name` is missing.",
        ),
        (
            {"approval": {"any_of": [{"naem": "A", "people": {"group": "DBA"}}]}},
            "approval.any_of[0].naem",
            "There is no `naem` here. Did you mean `name`?",
        ),
        (
            {"approval": {"any_of": [NOT_ANYONE]}},
            "approval.any_of[0].people",
            "Say who approves, not only who does not.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"tiers": [NOT_ANYONE]}},
            "escalation.tiers[0].people",
            "Say who approves, not only who does not.",
        ),
        (
            {
                "approval": {
                    "any_of": [
                        {
                            "name": "A",
                            "people": {"any": [{"group": "DBA"}, {"group": {"is not": "DBA"}}]},
                        }
                    ]
                }
            },
            "approval.any_of[0].people",
            "Say who approves, not only who does not, in every item of `any`.",
        ),
        (
            {"escalation": {"tiers": [DBA]}},
            "escalation",
            "An automatic flow has nothing to escalate. Add an approval.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"tiers": []}},
            "escalation.tiers",
            "The list is empty. Name at least one.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"tiers": [DBA] * 6}},
            "escalation.tiers",
            "At most 5; this has 6.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"every": "0.5 min", "tiers": [DBA]}},
            "escalation.every",
            "“0.5 min” is too short: the shortest time is 1 min.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"every": "8 days", "tiers": [DBA]}},
            "escalation.every",
            "“8 days” is too long: the longest time is 7 days.",
        ),
        (
            {"approval": APPROVAL, "escalation": {"every": "12 h", "tiers": [DBA] * 2}},
            "escalation",
            (
                "1 day of escalation reach lapses_after, 1 day. Escalate sooner, or let requests "
                "lapse later."
            ),
        ),
        (
            {"approval": APPROVAL, "escalation": {"tiers": [DBA], "counts": "all"}},
            "escalation.counts",
            "Write 'the whole request' or 'the open groups'; found “all”.",
        ),
    ],
)
def test_a_fault_in_a_flow(faults, parts, place, sentence):
    found = faults(flows=flow(**parts))

    assert any(
        re.fullmatch(r"flows.yaml:\d+: flows\[0\]\." + re.escape(f"{place}: {sentence}"), f)
        for f in found
    ), found


DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("parts", "read"),
    [
        ({"name": "x" * 80}, {"name": "x" * 80}),
        (
            {"labels": [f"{n:040}" for n in range(20)]},
            {"labels": tuple(f"{n:040}" for n in range(20))},
        ),
        ({"targets": [{"integration": "shop"}] * 20}, {"targets": (Selector("shop"),) * 20}),
        ({"grant_for": "5 min"}, {"grant_for": 5 * MINUTE}),
        ({"grant_for": "365 days"}, {"grant_for": 365 * DAY}),
        (
            {"grant_for": "5 min", "extension": {"times": 1, "each": "5 min"}},
            {"extension": Extension(1, 5 * MINUTE)},
        ),
        (
            {"grant_for": "365 days", "extension": {"times": 10, "each": "365 days"}},
            {"extension": Extension(10, 365 * DAY)},
        ),
        ({"start_later": "1 day"}, {"start_later": DAY}),
        ({"start_later": "30 days"}, {"start_later": 30 * DAY}),
        ({"start_later": False}, {"start_later": None}),
        ({"lapses_after": "15 min"}, {"lapses_after": 15 * MINUTE}),
        ({"lapses_after": "30 days"}, {"lapses_after": 30 * DAY}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_the_least_and_the_most_that_there_may_be_is_taken(company, parts, read):
    found = revision(company, **parts)

    assert {key: getattr(found, key) for key in read} == read


@pytest.mark.parametrize(
    ("every", "tiers", "lapses"),
    [("1 min", 1, "15 min"), ("7 days", 4, "30 days"), ("2 h 59", 5, "15 h")],
)
def test_ten_groups_and_five_tiers_are_taken_if_all_have_their_turn(company, every, tiers, lapses):
    escalation = {"every": every, "tiers": [DBA] * tiers}
    approval = {"any_of": [DBA] * 10}

    found = revision(company, approval=approval, escalation=escalation, lapses_after=lapses)

    assert (len(found.approval.groups), len(found.escalation.tiers)) == (10, tiers)
    assert found.escalation.every * tiers < found.lapses_after


def test_flow_names_are_unique_without_case(faults):
    more = FLOW.partition("\n")[2].replace("Read", "READ")

    assert faults(flows_more=f"flows:\n{more}") == [
        "flows/more.yaml:2: flows[0].name: “READ” is taken: flows.yaml:2 has it already."
    ]


NO_PATTERN = "A * stands for itself alone: write contains or starts with."


@pytest.mark.parametrize(
    ("requestors", "place", "sentence"),
    [
        (..., "", "`requestors` is missing."),
        (None, "", "Write conditions, such as `group: DBA`; found nothing."),
        ({}, "", "Write conditions, such as `group: DBA`; found nothing."),
        (["DBA"], "[0]", "Write conditions, such as `group: DBA`; found “DBA”."),
        ({"any": "DBA"}, ".any", "Write conditions, such as `group: DBA`; found “DBA”."),
        (
            {"any": [{"group": "DBA", "city": "Oslo"}]},
            ".any[0]",
            "Write one condition in each item of `any`.",
        ),
        (
            {"group": "Enginering"},
            ".group",
            "There is no group “Enginering”. Did you mean `Engineering`?",
        ),
        (
            {"user": ["ada", "Sam Lee"]},
            ".user[1]",
            "“Sam Lee” fits 2 people. Write cy@a.example or di@a.example.",
        ),
        (
            [{"any": [{"group": "DBA"}]}, {"city": "Oslo"}],
            "[0].any",
            "`any` stands alone: it holds all conditions, and nothing stands beside or around it.",
        ),
        (
            {"city": "Oslo", "all": [{"group": "DBA"}]},
            ".all",
            "`all` stands alone: it holds all conditions, and nothing stands beside or around it.",
        ),
        (
            {"all": [{"user": {"is not": "Ada Ston"}}]},
            ".all[0].user.is not",
            "Nobody in the directory is “Ada Ston”. Did you mean `Ada Stone`?",
        ),
        ({"ctiy": "Oslo"}, ".ctiy", "People have no attribute “ctiy”. Did you mean `city`?"),
        (
            {"city": {"ends with": "o"}},
            ".city.ends with",
            "There is no comparator “ends with”. Did you mean `starts with`?",
        ),
        (
            {"city": {"is": "a", "is not": "b"}},
            ".city",
            "Write one of: is, is not, contains, does not contain, starts with; found 2 keys.",
        ),
        ({"city": ""}, ".city", "The value is empty."),
        ({"city": {"contains": [" "]}}, ".city.contains[0]", "The value is empty."),
        ({"city": []}, ".city", "The list of values is empty. Name at least one."),
        (
            {"city": [["a"]]},
            ".city[0]",
            "Write text, or a list of texts; found a list.",
        ),
        ({"manager": None}, ".manager", "The value is empty."),
        (
            {"on_call": "Dbaa"},
            ".on_call",
            "There is no on-call schedule “Dbaa”. Did you mean `DBA`?",
        ),
        (
            {"user": "*@a.example"},
            ".user",
            f"Nobody in the directory is “*@a.example”. {NO_PATTERN}",
        ),
        (
            {"group": "Eng*"},
            ".group",
            f"There is no group “Eng*”. {NO_PATTERN}",
        ),
        (
            {"any": [{"city": "Oslo"}] * 21},
            ".any",
            "At most 20 conditions; this has 21. Put these people into a group, and name that.",
        ),
        (
            [{"city": {"is not": "Oslo"}, "group": "DBA"}] * 10 + [{"city": "Rome"}],
            "",
            "At most 20 conditions; this has 21. Put these people into a group, and name that.",
        ),
        (
            {"city": {"is not": [f"City {n}" for n in range(101)]}},
            ".city.is not",
            "At most 100 values; this has 101. Put these people into a group, and name that.",
        ),
    ],
)
def test_a_fault_in_conditions(faults, requestors, place, sentence):
    """Of an `any` or `all` in the wrong place it was said that people have no such attribute."""
    (found,) = faults(flows=flow(requestors=requestors), on_call=DUTY)

    assert found.partition(": ")[2] == f"flows[0].requestors{place}: {sentence}"


def test_as_many_conditions_and_values_as_there_may_be(company):
    values = [f"City {n}" for n in range(100)]

    found = revision(company, requestors={"all": [{"city": values}] * 20})

    assert found.requestors == group(*[condition("city", *values)] * 20)


def test_all_that_is_wrong_with_many_conditions_is_said_at_once(faults):
    found = faults(flows=flow(requestors=[{"ctiy": "Oslo"}, {"user": "nobody"}] * 11))

    assert len(found) == 23
    assert sum("At most 20 conditions; this has 22." in line for line in found) == 1


def test_more_targets_than_there_may_be_are_refused_beside_what_is_wrong_in_them(faults):
    targets = [{"integration": "shop"}] * 20

    found = faults(flows=flow(targets=[*targets, {"integration": "shpo"}]))

    advice = "Let one target name several types, permissions or names."
    assert [line.partition(": flows[0].targets")[2] for line in found] == [
        f": At most 20; this has 21. {advice}",
        "[20].integration: There is no integration “shpo”. Did you mean `shop`?",
    ]
    assert faults(flows=flow(targets=[])) == [
        "flows.yaml:5: flows[0].targets: The list is empty. Name at least one."
    ]


def test_a_description_is_a_thousand_characters_at_most(company, faults):
    assert revision(company, description=f" {'x' * 1000} ").description == "x" * 1000

    (found,) = faults(flows=flow(description="x" * 1001))

    assert found.endswith("description: At most 1000 characters; this has 1001.")


def test_groups_of_slack_are_named_with_their_source_alone():
    """People name them in Slack as they like: none may stand for a group of the directory."""
    crew = Group(GroupId("slack:S1"), "slack", "DBA")
    here = Directory.of((), [crew, Group(GroupId("file:dba"), "file", "DBA")])

    assert find_group("dba", here) == "file:dba"
    assert find_group("slack:S1", here) == "slack:S1"
    with pytest.raises(ValueError, match="There is no group “DBA”"):
        find_group("DBA", Directory.of((), [crew]))


def test_who_shares_name_and_address_is_told_from_the_other_by_the_id(faults):
    """One address was named twice, as if there were something to choose."""
    people = f"{PEOPLE}  - {{id: di2, email: di@a.example, name: Sam Lee}}\n"

    (found,) = faults(people=people, flows=flow(requestors={"user": "Sam Lee"}))

    assert found.endswith("“Sam Lee” fits 3 people. Write cy@a.example or di or di@a.example.")


def test_a_group_of_several_sources_needs_its_source(faults):
    people = f"{PEOPLE}---\nsource: hr\ngroups: {{dba: DBA}}\npeople: []\n"

    (found,) = faults(people=people, flows=flow(requestors={"group": "dba"}))

    assert found.endswith("“dba” fits several groups. Write file:dba or hr:dba.")


def _target(**parts):
    return {"targets": [{"integration": "shop"} | parts]}


# --- Who is on call ------------------------------------------------------------------------------

DUTY = """\
schedules:
  - name: DBA
    zone: Europe/London
    rotation: {people: [ada, bo@a.example], from: 2026-01-05 09:00, days: 7}
  - name: Nights
    zone: Asia/Kolkata
    shifts:
      - {days: Mon-Fri, from: 22:00, to: 06:30, people: Ada Stone}
      - {days: [Sat, Sun], from: 00:00, to: 24:00, people: [cy, bo]}
"""


def test_schedules_say_who_is_on_call_when(company):
    dba, nights = company(on_call=DUTY).schedules

    assert dba == Schedule(
        "DBA",
        rotation=Rotation(("ada", "bo"), date(2026, 1, 5), time(9), 7, "Europe/London"),
    )
    assert [(str(s.window), s.people) for s in nights.shifts] == [
        ("Mon–Fri 22:00–06:30 Asia/Kolkata", ("ada",)),
        ("Sat–Sun 00:00–24:00 Asia/Kolkata", ("cy", "bo")),
    ]


def test_nobody_has_to_be_on_call(company):
    assert company().schedules == ()


def test_a_flow_is_open_to_who_is_on_call(company):
    loaded = company(on_call=DUTY, flows=flow(requestors={"on_call": "dba"}))
    (found,) = loaded.flows

    assert found.revision.requestors == group(condition("on_call", "DBA"))
    written_ = revision_document(found.revision, loaded.directory)
    assert written_["requestors"] == {"on_call": "DBA"}


@pytest.mark.parametrize(
    ("old", "new", "place", "sentence"),
    [
        (
            "[ada, bo@",
            "[adda, bo@",
            "[0].rotation.people[0]",
            "Nobody in the directory is “adda”. Known here: ",
        ),
        ("Europe/London", "London", "[0].zone", "“London” is no IANA time zone"),
        (
            "2026-01-05 09:00",
            "2026-02-30 09:00",
            "[0].rotation.from",
            "“2026-02-30 09:00” is no date and time. Write it as 2026-01-05 09:00.",
        ),
        (
            "2026-01-05 09:00",
            "2026-01-05 09:00+01:00",
            "[0].rotation.from",
            "“2026-01-05 09:00+01:00” is no date and time. Write it as 2026-01-05 09:00.",
        ),
        ("days: 7", "days: 0", "[0].rotation.days", "At least 1; found “0”."),
        ("to: 06:30", "to: 22:00", "[1].shifts[0].to", "From 22:00 to 22:00 is no time."),
        ("name: Nights", "name: dba", "[1].name", "“dba” is taken: on_call.yaml:2 has it already."),
        (
            "    shifts:",
            "    rotation: {people: ada, from: 2026-01-05 09:00, days: 1}\n    shifts:",
            "[1]",
            "Write either shifts, or a rotation.",
        ),
    ],
)
def test_a_fault_in_who_is_on_call(faults, old, new, place, sentence):
    (found,) = faults(on_call=DUTY.replace(old, new, 1))

    assert found.partition(": ")[2].startswith(f"schedules{place}: {sentence}")


def test_how_somebody_is_on_call_is_said_beside_what_is_wrong_in_it(faults):
    """It was said at the next look."""
    both = "    rotation: {people: adda, from: 2026-01-05 09:00, days: 1}\n    shifts:"

    found = faults(on_call=DUTY.replace("    shifts:", both, 1))

    assert len(found) == 2
    assert any("Write either shifts, or a rotation." in fault for fault in found)


def test_what_a_faulty_schedule_would_have_been_is_no_second_fault(faults):
    text = DUTY.replace("London", "Londn")

    assert len(faults(on_call=text, flows=flow(requestors={"on_call": "DBA"}))) == 1


def test_nobody_administers_by_being_on_call(faults):
    (found,) = faults(company="admins: {on_call: DBA}", on_call=DUTY)

    assert "is not in this version" in found


@pytest.mark.parametrize(
    "parts",
    [
        {"company": "admins: {owner: null}"},
        {"flows": flow(requestors={"owner": None})},
        {"flows": flow(request_for=["others"], grantees={"any": [{"owner": None}]})},
    ],
)
def test_only_approvers_can_be_owners(faults, parts):
    (found,) = faults(**parts)

    assert "`owner` is for approvers alone: whose it is depends on what is asked for." in found


@pytest.mark.parametrize(
    "value", ["bo", ["bo"], {"is": None}, {"is not": None}, {"contains": "bo"}, ""]
)
def test_an_owner_has_no_comparator_and_no_value(faults, value):
    found = faults(flows=flow(**_approver(people={"owner": value})))

    said = "`owner` takes no comparator and no value. Write `owner: null`."
    assert any(said in fault for fault in found)


@pytest.mark.parametrize("source", ["slack", "on_call"])
def test_a_source_of_people_has_a_name_of_its_own(faults, source):
    found = faults(people=f"source: {source}\n{PEOPLE}")

    assert any(f"`{source}` is the source of" in fault for fault in found)


# What a flow can be, and is not here: each of its keys, where it stands.
NOT_HERE = [
    ("was", "Another name for a flow", {"was": "Write"}),
    ("require_mfa", "MFA", {"require_mfa": True}),
    ("require_code", "The approver's code", {"require_code": True}),
    ("break_glass", "Break-glass", {"break_glass": "yes"}),
    ("break_glass", "Break-glass", {"break_glass": "until reviewed"}),
]


NOT_HERE_OF_SPACES = [("owners", "Owning a space"), ("managers", "Managing a space")]


@pytest.mark.parametrize(("key", "what"), NOT_HERE_OF_SPACES)
def test_a_space_that_needs_what_is_not_there_yet(faults, key, what):
    scopes = "scopes: [{name: All, query: 'integration = \"shop\"'}]"

    (found,) = faults(
        spaces=f"spaces: [{{name: A, slice: All, {key}: {{user: bo}}}}]", scopes=scopes
    )

    assert found.endswith(f"[0].{key}: {what} is not in this version. Leave `{key}` out.")


@pytest.mark.parametrize(("key", "what", "parts"), NOT_HERE)
def test_a_flow_that_needs_what_is_not_there_yet(faults, key, what, parts):
    (found,) = faults(flows=flow(**parts))

    assert found.endswith(f": {what} is not in this version. Leave `{key}` out.")


@pytest.mark.parametrize(
    ("parts", "whom"),
    [
        ({}, {"self"}),
        ({"request_for": "direct reports"}, {"direct reports"}),
        ({"request_for": ["self", "direct reports"]}, {"self", "direct reports"}),
        ({"request_for": "others", "grantees": {"group": "DBA"}}, {"others"}),
        (
            {"request_for": ["others", "self", "direct reports"], "grantees": {"city": "Oslo"}},
            {"self", "direct reports", "others"},
        ),
    ],
)
def test_a_flow_says_for_whom_it_is(company, parts, whom):
    found = revision(company, **parts)

    assert found.request_for == whom
    assert (found.grantees is not None) is ("grantees" in parts)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"request_for": []}, "request_for: The list is empty. Name at least one."),
        (
            {"request_for": "reports"},
            "request_for[0]: Write 'self', 'direct reports' or 'others'; found “reports”.",
        ),
        (
            {"request_for": ["self", "self"]},
            "request_for[1]: “self” is here twice. Keep one.",
        ),
        (
            {"request_for": ["self", "others"]},
            "grantees: Say who the others are, such as `group: Support`.",
        ),
        (
            {"grantees": {"group": "DBA"}},
            "grantees: These are the others of request_for. Add `others` there.",
        ),
        (
            {"request_for": "others", "grantees": {"group": "DBB"}},
            "grantees.group: There is no group “DBB”. Did you mean `DBA`?",
        ),
    ],
)
def test_a_fault_in_for_whom_a_flow_is(faults, parts, sentence):
    (found,) = faults(flows=flow(**parts))

    assert found.partition(": ")[2] == f"flows[0].{sentence}"


def test_all_that_is_not_there_yet_is_refused_somewhere():
    refused = {key for key, _, _ in NOT_HERE} | {key for key, _ in NOT_HERE_OF_SPACES}
    assert refused | {"on_call"} == set(NOT_YET), "of administrators: see above"


# What a flow can say here, each with a value that is not the usual one.
SAID = {
    "name": "Write",
    "active": False,
    "description": "For the night shift.",
    "labels": ["night"],
    "requestors": {"group": "DBA"},
    "request_for": ["self", "direct reports"],
    "grantees": {"group": "DBA"},
    "targets": [{"integration": "shop", "types": ["table"]}],
    "when": {"days": "Mon-Fri", "from": "09:00", "to": "17:00", "zone": "Europe/Berlin"},
    "grant_for": "2 h",
    "extension": {"times": 2, "each": "15 min"},
    "approval": APPROVAL,
    "lapses_after": "2 h",
    "start_later": "2 days",
    "escalation": {"tiers": [DBA]},
    "require_justification": False,
    "require_reason": True,
    "self_approval": True,
    "listed": False,
    "notify": {"channel": "C0123ABCDE"},
}


# What some of them are nothing without.
BESIDE = {
    "escalation": {"approval": APPROVAL},
    "grantees": {"request_for": "others", "grantees": {"group": "Engineering"}},
    "notify": {"approval": APPROVAL},
}


@pytest.mark.parametrize("key", SAID)
def test_a_key_that_is_taken_is_kept(company, key):
    beside = BESIDE.get(key, {})

    (usual,) = company(flows=flow(**beside)).flows
    (found,) = company(flows=flow(**(beside | {key: SAID[key]}))).flows

    assert (found.revision, found.active) != (usual.revision, usual.active)


def test_every_key_is_kept_or_can_only_say_what_is_so_anyway():
    keys = flow_schema()["$defs"]["Flow"]["properties"]
    fixed = {"require_mfa", "break_glass"}

    assert keys.keys() - fixed - {"space"} == SAID.keys()
    for key in fixed:
        said = keys[key].get("enum", [keys[key].get("const")])
        assert {str(word).casefold() for word in said} <= {"false", "off", "no"}


HOURS = {"from": "9:00", "to": "24:00", "zone": "UTC"}


@pytest.mark.parametrize(
    "parts",
    [
        *({key: value} | BESIDE.get(key, {}) for key, value in SAID.items()),
        *({key: word} for key in ("extension", "escalation") for word in ("off", "no", False)),
        {"approval": "automatic"},
        {"approval": {"all_of": [DBA], "distinct": False}},
        {"require_mfa": "off", "break_glass": "no"},
        {"grant_for": "indefinite"},
        {"when": "always"},
        *(
            {"when": {"days": days} | HOURS}
            for days in ("mon", "MON-fri", "Monday – Friday", ["sat", "Sunday"])
        ),
        {"request_for": "self"},
        *(
            {"targets": [{"integration": "shop", "except": left_out}]}
            for left_out in ("shop.orders", ["shop.orders", "shop.a"], {"names": "shop.orders"})
        ),
        {"targets": [{"integration": "shop", "types": "table", "tags": {"env": "dev"}}]},
        {"targets": [{"query": 'resource_type = "table"', "resources": [1]}]},
        {"requestors": {"any": [{"group": ["DBA"]}, {"user": "ada@a.example"}]}},
        {"requestors": [{"city": {"is not": "Osaka"}}, {"group": {"starts with": "D"}}]},
        {"approval": {"any_of": [{"name": "Manager", "people": {"manager": None}}]}},
    ],
    ids=str,
)
def test_what_loads_is_right_by_the_schema_too(company, parts):
    """Editors marked `except: [names]`, `approval: automatic`, `extension: off` and `days: mon`."""
    text = flow(**parts)

    assert company(flows=text).flows
    jsonschema.validate(json.loads(json.dumps(yaml.safe_load(text))), flow_schema())


TARGET = {"integration": "shop"}


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        *((key, {key: None}) for key in SAID if key not in {"name", "requestors", "targets"}),
        *(
            (f"targets[0].{key}", {"targets": [TARGET | {key: None}]})
            for key in ("types", "permissions", "names", "resources", "tags", "match", "except")
        ),
        (
            "targets[0].resources",
            {"targets": [{"query": 'resource_type = "table"', "resources": None}]},
        ),
        ("targets[0].except.names", {"targets": [TARGET | {"except": {"names": None}}]}),
        ("approval.any_of", {"approval": {"any_of": None, "all_of": [DBA]}}),
        ("extension.each", {"extension": {"times": 1, "each": None}}),
        ("escalation.every", {"approval": APPROVAL, "escalation": {"tiers": [DBA], "every": None}}),
    ],
)
def test_a_key_with_nothing_below_it_is_a_fault(faults, key, parts):
    """With what stood below `approval:` commented out, a flow was automatic, without a word."""
    text = flow(**parts)

    found = faults(flows=text)

    (said,) = [fault for fault in found if f" flows[0].{key}: " in fault]
    assert "Write" in said or "Say" in said
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(yaml.safe_load(text))), flow_schema())


def test_distinct_beside_any_of_is_a_fault(faults):
    """It was taken, and did nothing: of several groups one is enough."""
    (found,) = faults(flows=flow(approval={"any_of": [DBA], "distinct": False}))

    assert found.endswith("flows[0].approval: `distinct` speaks of all_of alone. Leave it out.")


@pytest.mark.parametrize("name", ["scopes", "bundles", "spaces"])
def test_so_it_is_of_scopes_bundles_and_spaces(faults, name):
    whole = {"scopes": {"query": 'resource_type = "table"'}, "bundles": {"targets": [TARGET]}}
    made = whole.get(name, {"slice": "Tables"}) | {"name": "Tables", "description": None}

    found = faults(**{name: yaml.safe_dump({name: [made]})})

    assert any(f"{name}[0].description: " in fault for fault in found), found


def test_every_fault_of_every_file_is_named_at_once(faults):
    found = faults(
        people=f"{PEOPLE}  - {{id: ed, email: ada@a.example, name: Ed, statsu: x}}\n",
        company="admin: {user: nobody@a.example}",
        integrations=INTEGRATIONS.replace("env:", "").replace("kind", "knid"),
        flows=flow(name="", grant_for="soon", extension={"times": 20}, requestors={"any": []}),
    )

    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "admins",
        "admin",
        "flows[0].name",
        "flows[0].requestors.any",
        "flows[0].grant_for",
        "flows[0].extension.times",
        "integrations[0].kind",
        "integrations[0].knid",
        "people[4].statsu",
    ]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"targets": [{"query": "table", "types": "table", "bundel": "Kit"}]},
            ["targets[0].bundel: There is no", "targets[0].query: Line 1", "targets[0].types: `ty"],
        ),
        (
            {"targets": [{"integration": "shpo", "query": 'integration = "shop"'}]},
            ["targets[0]: `integration` and `query` are", "targets[0].integration: There is no"],
        ),
        (
            {"targets": [TARGET | {"except": {"match": "any", "nmaes": "a"}}]},
            ["targets[0].except.nmaes: There is no", "targets[0].except: Say which are left"],
        ),
        (
            {"approval": {"any_of": [{"name": "A"}], "all_of": [DBA]}},
            ["approval.any_of[0].people: `people` is missing", "approval: Write either any_of"],
        ),
        (
            {"approval": {"any_of": [{"name": "A", "people": {"grp": {"is not": "DBA"}}}]}},
            ["approval.any_of[0].people.grp: People have", "approval.any_of[0].people: Say who"],
        ),
        (
            {
                "targets": [
                    {
                        "filters": [
                            {
                                "field": "resource_type",
                                "operator": "contains",
                                "values": "table",
                                "kye": "env",
                            },
                            {"field": "resource_type", "values": "tabel", "key": "env"},
                        ]
                    }
                ]
            },
            [
                "targets[0].filters[0].kye: There is no",
                "targets[0].filters[0]: resource_type takes = or !=",
                "targets[0].filters[1]: resource_type has no keys",
                "targets[0].filters[1]: No system has resource_type “tabel”.",
            ],
        ),
        (
            {"grant_for": "1 h", "extension": {"times": 11, "each": "2 h"}},
            ["extension.times: At most 10", "extension: Each extension is 2 h"],
        ),
        (
            {"grant_for": "Indefinite", "extension": {"times": 11}},
            ["extension.times: At most 10", "extension: Access without end"],
        ),
        (
            {"escalation": {"tiers": [DBA | {"name": " "}]}, "notify": {"channel": "general"}},
            [
                "escalation.tiers[0].name: The text is empty",
                "escalation: An automatic flow",
                "notify.channel: Write a channel's id",
                "notify: An automatic flow",
            ],
        ),
        (
            {
                "approval": APPROVAL,
                "lapses_after": "1 h",
                "escalation": {"every": "30 min", "tiers": [DBA, DBA | {"name": " "}]},
            },
            ["escalation.tiers[1].name: The text is empty", "escalation: 1 h of escalation"],
        ),
        (
            {"request_for": ["others", "colleagues", "others"]},
            [
                "request_for[1]: Write 'self'",
                "request_for[2]: “others” is here",
                "grantees: Say who the others are",
            ],
        ),
        (
            {"grantees": {"grp": "DBA"}},
            ["grantees.grp: People have", "grantees: These are the others"],
        ),
        (
            {"labels": ["x" * 41, "a", " A"]},
            ["labels[0]: At most 40", "labels[2]: “A” is here twice"],
        ),
    ],
    ids=[
        *["kind", "kinds", "except", "joins", "approvers", "filters", "each", "endless"],
        *["automatic", "lapse", "others", "grantees", "labels"],
    ],
)
def test_what_does_not_go_together_is_said_beside_what_is_wrong_in_it(faults, parts, said):
    """It was said at the next look, when the rest had been mended."""
    found = faults(flows=flow(**parts))

    told = [line.partition("flows[0].")[2] for line in found]
    assert len(told) == len(said), told
    for sentence in said:
        assert any(line.startswith(sentence) for line in told), (sentence, told)


def test_of_what_cannot_be_read_it_is_not_said_that_it_does_not_go_together(faults):
    """An approver whose condition is faulty may be somebody yet; so may what is left out."""
    nobody = {"name": "A", "people": [{"group": {"is not": "DBA"}}, {"user": {"si": "ada"}}]}

    (found,) = faults(flows=flow(approval={"any_of": [nobody]}))

    assert "There is no comparator “si”." in found


@pytest.mark.parametrize(
    "parts",
    [
        {"grant_for": "soon", "extension": {"times": 1, "each": "2 h"}},
        {"extension": {"times": 1, "each": "400 days"}},
        {"approval": APPROVAL, "lapses_after": "1 min", "escalation": {"tiers": [DBA]}},
        {"approval": APPROVAL, "escalation": {"every": "8 days", "tiers": [DBA]}},
        {"approval": APPROVAL, "escalation": {"every": "1 day", "tiers": DBA}},
        {"request_for": ["otehrs"], "grantees": {"group": "DBA"}},
        {"approval": {"any_of": []}, "escalation": {"tiers": [DBA]}},
        {"request_for": "others", "grantees": None},
    ],
    ids=["longest", "each", "lapse", "every", "tiers", "whom", "approval", "nothing"],
)
def test_what_cannot_be_read_is_one_fault(faults, parts):
    (found,) = faults(flows=flow(**parts))

    assert "flows[0]." in found


def test_what_a_faulty_entry_would_have_named_is_no_second_fault(faults):
    people = PEOPLE.replace("id: ada", "idd: ada")
    systems = INTEGRATIONS.replace("kind", "knid")

    found = faults(people=people, integrations=systems)

    assert {line.partition(":")[0] for line in found} == {"people.yaml", "integrations.yaml"}


# --- The way back --------------------------------------------------------------------------------

_PEOPLE, _GROUP_IDS = ["ada", "bo", "cy"], ["file:dba", "file:eng"]
_MINUTES = st.integers(5, 10_000).map(lambda n: timedelta(minutes=n))
_TEXTS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(trimmed)
)


def _conditions(*, approvers):
    some = lambda values: st.lists(values, min_size=1, max_size=3).map(tuple)  # noqa: E731
    positive = st.sampled_from([c for c in Comparator if not c.negative])
    equal = (
        st.just(Comparator.IS) if approvers else st.sampled_from(["is", "is not"]).map(Comparator)
    )
    texts = positive if approvers else st.sampled_from(Comparator)
    fuzzy = texts.filter(lambda c: c not in {Comparator.IS, Comparator.IS_NOT})
    one = st.one_of(
        st.builds(Condition, st.just("user"), equal, some(st.sampled_from(_PEOPLE))),
        st.builds(Condition, st.just("manager"), equal, some(st.sampled_from(_PEOPLE))),
        st.builds(Condition, st.just("group"), equal, some(st.sampled_from(_GROUP_IDS))),
        st.builds(Condition, st.sampled_from(["user", "group"]), fuzzy, some(_TEXTS)),
        st.builds(Condition, st.just("city"), texts, some(_TEXTS)),
        *([st.just(Condition("manager", Comparator.IS, ()))] if approvers else []),
    )
    return st.builds(ConditionGroup, some(one), st.sampled_from(Connective))


_GROUPS = st.builds(ApproverGroup, _TEXTS, _conditions(approvers=True))
_SELECTORS = st.builds(
    Selector,
    st.just("shop"),
    st.frozensets(st.sampled_from(["database", "schema", "table"])),
    st.frozensets(st.sampled_from(["connect", "read", "read-write"])),
    st.frozensets(_TEXTS.map(str.casefold).map(str.strip), max_size=3),
)


_WINDOWS = st.builds(
    Window,
    st.frozensets(st.sampled_from(Day), min_size=1),
    st.sampled_from([time(9), time(22, 30)]),
    st.sampled_from([time(17), time()]),
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]),
)


@st.composite
def _revisions(draw):
    grant_for = draw(st.none() | _MINUTES)
    each = st.integers(5, 10_000).map(lambda n: min(timedelta(minutes=n), grant_for))
    extension = st.builds(Extension, st.integers(1, 10), each) if grant_for else st.none()
    approval = draw(
        st.none()
        | st.builds(
            ApprovalRule,
            st.lists(_GROUPS, min_size=1, max_size=3).map(tuple),
        )
        | st.builds(
            ApprovalRule,
            st.tuples(_GROUPS),
            st.just(GroupJoin.ALL_OF),
            distinct=st.booleans(),
        )
    )
    tiers = st.lists(_GROUPS, min_size=1, max_size=5).map(tuple)
    whom = draw(st.frozensets(st.sampled_from(RequestFor), min_size=1))
    every = st.integers(1, 200).map(lambda n: timedelta(minutes=n))
    return Revision(
        name=draw(_TEXTS),
        requestors=draw(_conditions(approvers=False)),
        targets=draw(st.lists(_SELECTORS, min_size=1, max_size=3).map(tuple)),
        grant_for=grant_for,
        extension=draw(st.none() | extension),
        approval=approval,
        escalation=draw(
            st.none() | st.builds(Escalation, every, tiers, st.sampled_from(TierCounts))
        )
        if approval
        else None,
        request_for=whom,
        grantees=draw(_conditions(approvers=False)) if RequestFor.OTHERS in whom else None,
        when=draw(st.none() | _WINDOWS),
        lapses_after=timedelta(minutes=draw(st.integers(1001, 43_200))),
        start_later=draw(st.none() | st.integers(1, 30).map(lambda n: timedelta(days=n))),
        require_justification=draw(st.booleans()),
        require_reason=draw(st.booleans()),
        self_approval=draw(st.booleans()),
        listed=draw(st.booleans()),
        labels=tuple(draw(st.lists(_TEXTS, max_size=3, unique_by=str.casefold))),
        description=draw(_TEXTS | st.just("")),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_revisions())
def test_what_is_exported_is_loaded_again_as_it_was(company, revision):
    document = revision_document(revision, company().directory)
    text = yaml.safe_dump({"flows": [document]}, allow_unicode=True, sort_keys=False)

    (found,) = company(flows=text).flows

    assert found.revision == revision


def test_an_export_names_people_and_groups(company):
    loaded = company(flows=flow(requestors={"any": [{"group": "DBA"}, {"user": "bo"}]}))

    document = revision_document(loaded.flows[0].revision, loaded.directory)

    assert document == {
        "name": "Read",
        "requestors": {"any": [{"group": "DBA"}, {"user": "Bo@A.example"}]},
        "targets": [{"integration": "shop"}],
    }


def test_an_export_leaves_nothing_out_that_cannot_be_loaded_yet():
    everyone = group(condition("group", "file:sre"))
    found = Revision(
        name="A",
        requestors=everyone,
        targets=(Selector("x"),),
        request_for=frozenset(RequestFor),
        grantees=everyone,
        require_mfa=True,
    )

    document = revision_document(found, Directory.of(()))

    assert document["request_for"] == ["self", "direct reports", "others"]
    assert (document["grantees"], document["require_mfa"]) == ({"group": "file:sre"}, True)


_WORDS = st.sampled_from(
    ["flows", "people", "admins", "name", "group", "any", "requestors", "targets", "approval",
     "any_of", "null", "yes", "1", "4 h", "DBA", "&a", "*a", "<<", "!!x", "|", ">", "'", '"']
)  # fmt: skip
_YAMLISH = st.lists(
    _WORDS
    | st.sampled_from([": ", "\n", "\n  ", "\n- ", "- ", "[", "]", "{", "}", ", ", "\t", "?"]),
    max_size=30,
).map("".join)
_DATA = st.recursive(
    st.none() | st.text(max_size=5) | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
).map(lambda data: yaml.safe_dump({"flows": data, "people": data, "admins": data}))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FILES)), text=st.binary() | (_YAMLISH | _DATA).map(str.encode))
def test_whatever_a_file_holds_it_loads_or_every_fault_has_a_sentence(tmp_path, name, text):
    for file, usual in FILES.items():
        (tmp_path / file).write_text(usual)
    (tmp_path / name).write_bytes(text)

    said = ["all is well"]
    try:
        load(tmp_path)
    except BadManifestsError as error:
        said = [fault.sentence for fault in error.faults]

    assert said
    assert all(said)


# --- What is published ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "current"),
    [("flow", flow_schema), ("inventory", listing_schema), ("object", object_schema)],
)
def test_the_published_schema_is_current(name, current):
    published = ROOT / "manifests" / f"{name}.schema.json"

    assert json.loads(published.read_text(encoding="utf-8")) == current()


def test_the_sandbox_s_company_loads():
    company = load(SANDBOX)

    assert (len(company.people), len(company.admins), len(company.integrations)) == (40, 2, 2)
    assert [f.revision.name for f in company.flows if not f.active] == [
        "Read salaries",
        "Archive for the auditors",
    ]
    assert len(company.flows) >= 30
    here = company.directory.at(datetime(2026, 12, 1, 12, tzinfo=UTC))
    for found in company.flows:
        assert select(found.revision.requestors, here)
        assert found.revision.grantees is None or select(found.revision.grantees, here)


def test_the_sandbox_s_flows_show_what_flows_can_do():
    flows = [f.revision for f in load(SANDBOX).flows]

    assert any(f.approval is None and f.grant_for <= timedelta(minutes=30) for f in flows)
    assert any(f.approval and len(f.approval.groups) == 1 and f.extension for f in flows)
    assert any(
        f.escalation and len(f.escalation.tiers) == len(f.approval.groups) == 2 for f in flows
    )
    assert any("read-write" in f.targets[0].permissions and f.require_reason for f in flows)
    assert any(f.escalation and len(f.escalation.tiers) == 3 for f in flows)
    assert {f.escalation.counts for f in flows if f.escalation} == set(TierCounts)
    assert any(f.grant_for is None for f in flows)
    assert any(f.self_approval for f in flows)
    assert max(len(f.labels) for f in flows) >= 3
    assert any(f.request_for == set(RequestFor) for f in flows)
    assert any(f.when and f.when.end < f.when.start for f in flows), "a night"


def test_the_sandbox_s_flows_show_every_kind_of_condition():
    flows = [f.revision for f in load(SANDBOX).flows]
    groups = [f.requestors for f in flows] + [f.grantees for f in flows if f.grantees]
    deciders = [g.conditions for f in flows if f.approval for g in f.approval.groups]
    every = [c for g in [*groups, *deciders] for c in g.conditions]

    assert {c.comparator for c in every} == set(Comparator)
    assert {g.join for g in groups} == set(Connective)
    assert {"user", "group", "on_call", "manager", "owner", "department", "title"} <= {
        c.attribute for c in every
    }
    assert any(len(c.values) > 1 for c in every)
    assert any(c.attribute == "manager" and not c.values for c in every)
    assert {whom for f in flows for whom in f.request_for} == set(RequestFor)
    assert any(f.when for f in flows)


def test_the_sandbox_s_flows_name_what_its_databases_hold():
    script = (ROOT / "bot" / "sandbox" / "seed.sql").read_text(encoding="utf-8")
    held: set[str] = set()
    for database, part in re.findall(r"\\connect (\w+)\n(.*?)(?=\\connect|\Z)", script, re.DOTALL):
        schemas = re.findall(r"^create schema (\w+)", part, re.MULTILINE)
        tables = re.findall(
            r"^create (?:table|(?:materialized )?view) (\w+)\.(\w+)", part, re.MULTILINE
        )
        held |= {database, *(f"{database}/{s}" for s in schemas)}
        held |= {f"{database}/{schema}/{table}" for schema, table in tables}
    company = load(SANDBOX)
    held |= {one["path"] for one in company.integrations[1].settings["resources"]}

    for found in company.flows:
        for target in found.revision.targets:
            assert getattr(target, "names", frozenset()) <= held


def test_the_sandbox_s_flows_show_every_kind_of_target():
    company = load(SANDBOX)
    flows = [f.revision for f in company.flows]
    targets = [target for f in flows for target in f.targets]

    assert {type(t) for t in targets} == {Selector, Picked, ByScope, ByBundle}
    assert any(isinstance(t, Selector) and t.without for t in targets)
    assert {f.space for f in flows} == {"", "Analytics"}
    assert {kind_of(each) for each in company.objects} == set(ObjectKind)
    assert any(each.name == "Analytics/New analyst" for each in company.objects)


def test_the_sandbox_s_cloud_shows_what_a_list_can_say():
    """The reports of one account are more, together, than AWS allows a user there."""
    (_, cloud) = load(SANDBOX).integrations
    listed = Listed(installation="x", **cloud.settings)
    found = {thing.path: thing for thing in listed.discover()}

    assert {thing.type for thing in found.values()} == {"account", "bucket", "cluster", "namespace"}
    assert all(thing.tags["env"] and thing.owner for thing in found.values())
    assert any(len(values) > 1 for thing in found.values() for values in thing.tags.values())
    assert any(thing.context for thing in found.values())
    assert any(permission.context for permission in listed.permissions())
    assert {thing.policies.principal for thing in found.values() if thing.policies} == set(
        Principal
    )
    read = [
        size(found[path].policies.documents["read"])
        for path in ("reports-prod/exports", "reports-prod/archive")
    ]
    assert max(read) <= LIMITS[Principal.USER] < sum(read)


def test_the_sandbox_s_workspace_has_everybody_but_who_has_not_come_yet():
    company = load(SANDBOX)
    workspace = read_document(WorkspaceDocument, SANDBOX / "workspace.yaml")
    users = {u.email.casefold(): u for u in workspace.users if u.email}
    people = {p.email.casefold(): p for p in company.people}

    assert len({u.id for u in workspace.users}) == len({u.name for u in workspace.users})
    assert {people[e].status for e in people.keys() - users} == {PersonStatus.PRE_BOARDING}
    assert [u.is_stranger for e, u in users.items() if e not in people] == [False, True]
    assert [p.guest for e, p in people.items() if e in users and users[e].is_restricted] == [True]
    assert [p.active for e, p in people.items() if e in users and users[e].deleted] == [False]
    assert sum(u.is_bot for u in workspace.users) == 1
    assert sum(not u.is_email_confirmed for u in workspace.users) == 1
    assert [u.email for e, u in users.items() if e in people and u.email != people[e].email] == [
        "Priya@HarbourPine.example"
    ]


# --- risks ---------------------------------------------------------------------------------------

RISKS = """\
admins: {user: ada@a.example}
risks:
  set:
    - where: >
        integration = "shop"
        and resource_tag["env"] = "prod"
      resource: 9
      permission: 7
  rules:
    - {where: permission_name contains "admin", permission: 8}
"""


def test_risks_are_read(company):
    found = company(company=RISKS).risks

    (said,), (rule,) = found.set, found.rules
    assert str(said.where) == 'integration = "shop" and resource_tag["env"] = "prod"'
    assert (said.resource, said.permission) == (9, 7)
    assert (rule.resource, rule.permission) == (None, 8)


def test_without_a_word_the_published_rules_hold(company):
    assert company().risks == Risks()
    assert company(company=COMPANY + "risks: {set: []}\n").risks.rules == PUBLISHED
    assert company(company=COMPANY + "risks: {rules: []}\n").risks.rules == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('{where: resource_name = "a"}', "Say how risky that is"),
        ('{where: resource_name = "a", resource: 11}', "At most 10"),
        ('{where: resource_name = "a", resource: 0}', "At least 1"),
        ("{resource: 5}", "`where` is missing"),
        ("{where: [a], resource: 5}", "Write a query in AQL; found a list."),
        ('{where: Resource_Name = "a", resource: 5}', "Did you mean resource_name?"),
        ('{where: integration = "shpo", resource: 5}', "There is no integration “shpo”. Did you"),
        ('{where: permission_name = "a", resource: 5}', "`permission_name` cannot stand here"),
        ('{where: resource_risk_level = "low", permission: 5}', "`resource_risk_level` cannot"),
        ('{where: resource_status = "gone", permission: 5}', "`resource_status` cannot stand here"),
        ('{where: resource_name = "a", resource: 5, because: x}', "There is no `because` here."),
    ],
)
def test_each_fault_of_a_rule_says_its_place_and_cure(faults, rule, said):
    fine = 'resource_name = "fine"'
    written = f"risks:\n  set:\n    - {{where: {fine}, resource: 1}}\n    - {rule}\n"

    (found,) = faults(company=COMPANY + written)

    assert found.startswith("company.yaml:5: risks.set[1]")
    assert said in found


def test_all_faults_of_a_rule_are_said_at_once(faults):
    """What cannot stand in a rule was said once its integration was right, or its score."""
    rules = (
        '{where: integration = "shpo" and permission_name = "a", resource: 5}',
        '{where: permission_name = "a", resource: 11}',
    )

    found = faults(company=f"{COMPANY}risks: {{set: [{', '.join(rules)}]}}\n")

    assert [line.partition("risks.")[2][:40] for line in found] == [
        "set[0].where: There is no integration “s",
        "set[0]: `permission_name` cannot stand h",
        "set[1].resource: At most 10; found “11”.",
        "set[1]: `permission_name` cannot stand h",
    ]


def test_all_faults_of_all_rules_are_said_at_once(faults):
    written = "risks:\n  rules:\n    - {where: a, resource: 1}\n    - {where: b, resource: 2}\n"

    assert len(faults(company=COMPANY + written)) == 2
