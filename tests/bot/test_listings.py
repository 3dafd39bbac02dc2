"""Systems that are listed in files: what is read, and what is said of every fault."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bot.runtime.connectors import is_sound
from engine.connectors.listed import Listed
from engine.inventory import IntegrationId, Principal
from manifests import BadManifestsError, files, load
from manifests.listings import MOST_RESOURCES
from storage.servers import Connection

COMPANY = {
    "people.yaml": "people:\n  - {id: ada, email: ada@a.example, name: Ada}\n",
    "company.yaml": "admins: {user: ada@a.example}\n",
    "integrations.yaml": (
        "integrations:\n  - {id: cloud, name: The cloud, kind: file, settings: {files: [FILES]}}\n"
    ),
    "flows.yaml": (
        "flows:\n"
        "  - {name: Read, requestors: {user: ada@a.example}, targets: [{integration: cloud}]}\n"
    ),
}
YAML = """\
permissions:
  admin: {name: Administrator, risk: 9, tags: {kind: managed}, context: {path: /ops/}}
  read:
resources:
  - type: account
    name: prod
    path: aws/prod
    source_id: "1111"
    risk: 8
    owner: data
    tags: {env: prod, team: [core, data]}
    context: {region: eu-1}
    permissions: [admin, read]
  - {type: bucket, name: logs, permissions: read}
"""
CSV = """\
type,name,path,source_id,risk,owner,permissions,tag:env,tag:team,context:region
account,prod,aws/prod,1111,8,data,admin; read,prod,core;data,eu-1
"bucket",logs,,,,,read,,,
"""


@pytest.fixture
def company(tmp_path):
    """Load a company whose cloud is listed in these files, by their names."""

    def build(flows=None, **listed):
        folder = tmp_path / "inventory"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        named = [f"{name}.{'csv' if name.startswith('table') else 'yaml'}" for name in listed]
        for name, text in COMPANY.items():
            written = flows if flows and name == "flows.yaml" else text
            (tmp_path / name).write_text(written.replace("FILES", ", ".join(named)))
        for name, text in zip(named, listed.values(), strict=True):
            if text is not None:
                (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(tmp_path)

    return build


@pytest.fixture
def faults(company):
    def build(**listed):
        with pytest.raises(BadManifestsError) as raised:
            company(**listed)
        return [str(fault) for fault in raised.value.faults]

    return build


def found(loaded):
    """Return what is discovered there, as a process that runs would."""
    (system,) = loaded.integrations
    stored = Connection(system.id, system.name, system.kind, system.settings, "")
    assert is_sound(stored)
    connector = Listed(installation="x", **system.settings)
    return {item.source_id: item for item in connector.discover()}, connector.permissions()


def test_a_list_is_read_whole(company):
    resources, permissions = found(company(cloud=YAML))

    prod, logs = resources["1111"], resources["bucket/logs"]
    assert (prod.type, prod.name, prod.path, prod.owner) == ("account", "prod", "aws/prod", "data")
    assert (prod.risk, prod.permissions) == (8, {"admin": 9, "read": 0})
    assert prod.tags == {"env": ("prod",), "team": ("core", "data")}
    assert prod.context == {"region": ("eu-1",)}
    assert (logs.path, logs.risk, logs.tags, logs.owner) == ("logs", 0, {}, "")
    assert [(p.id, p.name) for p in permissions] == [("admin", "Administrator"), ("read", "read")]


def test_a_table_says_the_same_as_a_list(company):
    by_list, _ = found(company(cloud=YAML.replace("risk: 9, ", "")))
    by_table, permissions = found(company(table=CSV))

    assert by_table == by_list
    assert permissions == []


@pytest.mark.parametrize("encoded", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_a_table_is_read_as_spreadsheets_write_it(company, encoded, line):
    resources, _ = found(company(table=CSV.replace("\n", line).encode(encoded)))

    assert resources.keys() == {"1111", "bucket/logs"}


THING = "{type: a, name: b, permissions: c}"
OWN = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
IN_AWS = """\
accounts: {"1111": role}
permissions:
  read: {policy: {Effect: Allow, Action: s3:Get*, Resource: "${source_id}/*"}}
  admin:
resources:
  - type: bucket
    name: logs
    source_id: arn:aws:s3:::logs
    account: "1111"
    permissions: [read, admin]
    policies:
      admin:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: "*", Resource: "*"}]
  - {type: bucket, name: a"b, source_id: a"b, account: "1111", permissions: read}
"""
IN_AWS_TABLE = (
    "type,name,source_id,permissions,account,policy:admin\n"
    f'bucket,logs,arn:aws:s3:::logs,read;admin,1111,"{OWN.replace(chr(34), chr(34) * 2)}"\n'
    'bucket,"a""b","a""b",read,1111,\n'
)


def test_policies_of_aws_are_read_and_name_the_resource_that_they_are_for(company):
    """A list and a table say the same: a policy whole, its statements, or one of them."""
    by_list, _ = found(company(cloud=IN_AWS))
    head = IN_AWS.partition("resources:")[0]
    by_table, _ = found(company(names=head, table=IN_AWS_TABLE))

    assert by_table == by_list
    policies = by_list["arn:aws:s3:::logs"].policies
    assert (policies.account, policies.principal) == ("1111", Principal.ROLE)
    assert policies.documents["admin"] == OWN
    read = json.loads(policies.documents["read"])
    assert read == {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::logs/*"},
    }
    odd = json.loads(by_list['a"b'].policies.documents["read"])
    assert odd["Statement"]["Resource"] == 'a"b/*'


def test_what_is_given_by_no_policy_has_none(company):
    resources, _ = found(company(cloud=YAML))

    assert {r.policies for r in resources.values()} == {None}


def in_aws(policy: str, account: str = "1111") -> str:
    """Write one bucket that a policy gives."""
    thing = f'{{type: a, name: b, permissions: c, account: "{account}", policies: {{c: {policy}}}}}'
    return f'accounts: {{"1111": role}}\nresources:\n  - {thing}\n'


ALLOW = "Effect: Allow, Action: a, Resource: b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (in_aws("{Effect: allow, Action: a, Resource: b}"), "`Effect` is Allow or Deny; found “al"),
        (in_aws("{Effect: Allow, Resource: b}"), "Write either `Action` or `NotAction`."),
        (in_aws(f"{{{ALLOW}, NotResource: c}}"), "Write either `Resource` or `NotResource`."),
        (in_aws(f"{{{ALLOW}, action: a}}"), "There is no `action` here. Did you mean `Action`?"),
        (in_aws("{Effect: Allow, Action: [], Resource: b}"), "Write a text, or a list of texts; f"),
        (in_aws("[]"), "cloud.yaml:3: resources[0].policies.c: A policy has at least one state"),
        (in_aws("[x]"), "policies.c[0]: Write a statement, with `Effect`, `Action`; found “x”"),
        (in_aws(f"{{Statement: [{{{ALLOW}}}], Versoin: x}}"), "Did you mean `Version`?"),
        (in_aws("'{'"), "This is no JSON: Expecting property name"),
        (in_aws(f"{{{ALLOW}}}", "1112"), "There is no account “1112” among `accounts`. Did you me"),
        (in_aws(f"{{{ALLOW}}}").replace("role", "rolle"), "accounts.1111: Write 'user', 'role' or"),
        (in_aws(f"{{{ALLOW}}}").replace("c: {", "d: {"), "“d” cannot be had on it: see its `perm"),
        (
            f"permissions: {{c: {{policy: {{{ALLOW}}}}}}}\nresources: [{THING}]",
            "resources[0]: It is given by a policy: say in which `account` of AWS.",
        ),
        ('accounts: {"1": role}\n---\naccounts: {"1": user}', "Here is “the account 1” again"),
    ],
)
def test_each_fault_of_a_policy_says_its_place_and_cure(faults, text, said):
    all_ = faults(cloud=text)

    assert any(said in fault for fault in all_), all_


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("{", "table.csv:2: resources[0].policies.c: This is no JSON"),
        ('{"Effect":"Deny","Effect":"Allow"}', "A key stands here twice. Keep one."),
        ("[" * 50_000, "This is no policy: it is nested too deep."),
        ('{"Effect":"Deny"}', "table.csv:2: resources[0].policies.c: Write either `Action`"),
    ],
)
def test_each_fault_of_a_policy_in_a_table_says_its_place_and_cure(faults, cell, said):
    quoted = cell.replace('"', '""')

    all_ = faults(
        names='accounts: {"1": role}',
        table=f'type,name,permissions,account,policy:c\na,b,c,1,"{quoted}"\n',
    )

    assert any(said in fault for fault in all_), all_


def test_one_file_may_name_the_permissions_and_another_the_things(company):
    named = "permissions: {admin: {name: Administrator}, read: }\n"
    resources, permissions = found(company(names=named, table=CSV))

    assert resources["1111"].permissions == {"admin": 0, "read": 0}
    assert [p.name for p in permissions] == ["Administrator", "read"]


def test_flows_may_name_what_is_listed_and_nothing_else(company):
    def targets(**parts):
        said = "".join(f", {key}: {value}" for key, value in parts.items())
        return COMPANY["flows.yaml"].replace("integration: cloud", f"integration: cloud{said}")

    loaded = company(flows=targets(types="bucket", permissions="Administrator"), cloud=YAML)
    assert loaded.flows[0].revision.targets[0].permissions == {"Administrator"}

    with pytest.raises(BadManifestsError, match=r"knows no “buket”. Did you mean `bucket`?"):
        company(flows=targets(types="buket"), cloud=YAML)
    with pytest.raises(BadManifestsError, match=r"knows no “admin”. Known here: Administrator, r"):
        company(flows=targets(permissions="admin"), cloud=YAML)


def test_the_files_are_a_part_of_what_is_watched(company, tmp_path):
    company(names="permissions: {admin: , read: }\n", table=CSV)
    (tmp_path / "inventory" / "notes.txt").write_text("")

    listed = [name for name in files(tmp_path) if name.startswith("inventory/")]
    assert listed == ["inventory/names.yaml", "inventory/table.csv"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{m}'] * 10)}]\n"
    for m, n in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "inventory/cloud.yaml: The file is missing."),
        ("", "inventory/cloud.yaml: The file is empty."),
        (b"resources: []\n#" + b"x" * 100_000_000, "The file is over 1,000,000 bytes. Split it."),
        ("resources:\n - ä".encode("latin-1"), "cloud.yaml:2: Byte 0xe4 is not UTF-8. Save the"),
        ("resources: []\nresources: []\n", "The key `resources` stands on lines 1 and 2. Keep one"),
        ("resources: []\n'resources ': []\n", "`resources` stands on lines 1 and 2. Keep one"),
        (BOMB, "With its aliases written out the file has over 250,000 values."),
        ("resources: &a [*a]\n", "an alias holds itself"),
        ("a: [" * 60 + "]" * 60, "It is nested more than 50 deep"),
        ("resources: [{type: a}]", "cloud.yaml:1: resources[0].name: `name` is missing."),
        ("resources: [{type: a, name: b, permissions: []}]", "The list is empty. Name at least"),
        (f"resources: [{THING[:-1]}, risk: 11}}]", "resources[0].risk: At most 10"),
        (f"resources: [{THING[:-1]}, tag: x}}]", "There is no `tag` here. Did you mean `tags`?"),
        (f"resources: [{THING}, {THING}]", "Here is “the source id a/b” again: inventory/cloud.ya"),
        ("resource: []", "There is no `resource` here. Did you mean `resources`?"),
        (f"permissions: {{d: }}\nresources: [{THING}]", "There is no permission “c” among `perm"),
        ("permissions: {c: {risk: low}}", "permissions.c.risk: Write a whole number; found “low”"),
        (f'resources: ["a\\0", {THING}]', "A control character stands in this text. Take it out."),
    ],
)
def test_each_fault_of_a_list_says_its_place_and_cure(faults, text, said):
    all_ = faults(cloud=text)

    assert any(said in fault for fault in all_), all_


HEAD = "type,name,permissions"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "inventory/table.csv: The file is empty."),
        (f"{HEAD},nmae\n", "table.csv:1: There is no column “nmae”. Did you mean `name`?"),
        (f"{HEAD},tag:\n", "There is no column “tag:”"),
        (f"{HEAD},name\n", "The column “name” is here twice. Keep one."),
        (f"{HEAD},tag:env,tag: env\n", "The column “tag:env” is here twice. Keep one."),
        ("type;name;permissions\na;b;c\n", "Write commas between columns"),
        (f"{HEAD}\na,b,c\na,b,c,d\n", "table.csv:3: 4 cells stand here, under 3 columns."),
        (f"{HEAD}\na,b,c\na,,c\n", "table.csv:3: resources[1].name: `name` is missing."),
        (f'{HEAD}\na,"b,c\n', "This is no CSV: unexpected end of data."),
        (f'{HEAD}\na,"b"x,c\n', "table.csv:2: This is no CSV"),
        (f'{HEAD}\na,"b\nb",c\n', "resources[0].name: Write it on one line."),
        (f"{HEAD}\na,b\0,c\n", "table.csv:2: "),
        (f"{HEAD},risk\na,b,c,high\n", "table.csv:2: resources[0].risk: Write a whole number"),
        (f"{HEAD}\nä,b,c\n".encode("latin-1"), "table.csv:2: Byte 0xe4 is not UTF-8."),
        (f"{HEAD}\na,{'x' * 200_000},c\n", "This is no CSV: field larger than field limit"),
        (f"{HEAD}\n".encode() + b"a,b,c\n" * 300_000, "The file is over 1,000,000 bytes. Split it"),
    ],
)
def test_each_fault_of_a_table_says_its_place_and_cure(faults, text, said):
    all_ = faults(table=text)

    assert any(said in fault for fault in all_), all_


def test_all_faults_of_all_files_are_said_at_once_and_none_twice(faults):
    all_ = faults(cloud=f"resources: [{{type: a}}, {THING}]", table=f"{HEAD}\na,b,c\n,x,y\n")

    assert len(all_) == len({*all_}) == 4
    assert {fault.partition(":")[0] for fault in all_} == {
        "inventory/cloud.yaml",
        "inventory/table.csv",
    }


def test_more_than_one_value_of_a_database_holds_is_refused(faults):
    """Neither the integration was named, nor a file."""
    rows = "".join(f"a,b{n},c\n" for n in range(MOST_RESOURCES))

    (fault,) = faults(table=f"{HEAD}\n{rows}", table2=f"{HEAD}\na,last,c\n")

    assert fault == (
        "inventory/table2.csv:2: resources[0]: 5,001 resources are listed for “The cloud”. At most "
        "5,000: list the others, from here on, under another integration."
    )


@pytest.mark.parametrize(
    "name", ["../people.yaml", "/etc/passwd", "a/b.yaml", ".x.yaml", "cloud.json", "a\\b.csv"]
)
def test_only_files_of_the_folder_are_read(tmp_path, name):
    """Whoever may write a manifest would have read whatever the process may."""
    for file, text in COMPANY.items():
        (tmp_path / file).write_text(text.replace("FILES", repr(name)))

    with pytest.raises(BadManifestsError, match="name a file of inventory/"):
        load(tmp_path)


def test_what_is_stored_and_is_no_list_is_not_sound():
    wrong = {"resources": [], "accounts": {"1": "rolle"}}
    for settings in ({}, {"resources": 7}, {"resources": [], "dsn": "x"}, wrong):
        assert not is_sound(Connection(IntegrationId("c"), "C", "file", settings, ""))


def test_what_the_page_shows_can_be_loaded(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
    shown = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    (_, integrations), (_, listed), (_, table), (_, in_aws) = shown
    (tmp_path / "inventory").mkdir()
    for name, text in COMPANY.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "integrations.yaml").write_text(integrations)
    (tmp_path / "inventory" / "cloud.yaml").write_text(listed)
    (tmp_path / "inventory" / "buckets.csv").write_text(table)

    resources, _ = found(load(tmp_path))

    assert {r.path for r in resources.values()} == {
        "aws/payments-prod",
        "aws/payments-prod/invoices",
    }

    (tmp_path / "integrations.yaml").write_text(
        integrations.replace("[cloud.yaml, buckets.csv]", "aws.yaml")
    )
    for name in ("cloud.yaml", "buckets.csv"):
        (tmp_path / "inventory" / name).unlink()
    (tmp_path / "inventory" / "aws.yaml").write_text(in_aws)
    resources, _ = found(load(tmp_path))
    (bucket,) = resources.values()
    assert bucket.policies.documents.keys() == {"read", "admin"}


@pytest.mark.parametrize(
    "permissions",
    [
        "{safe: {name: Run}, root: {name: Run}}",
        "{safe: {name: Run}, root: {name: run, risk: 10}}",
        "{safe: {name: Root}, root: {risk: 10}}",
    ],
)
def test_two_permissions_of_one_name_are_a_fault(faults, permissions):
    """A flow that named the one gave the other, too, and no approver could tell them apart."""
    listed = "resources: [{type: host, name: h1, permissions: [safe, root]}]"

    (fault,) = faults(cloud=f"permissions: {permissions}\n{listed}\n")

    assert re.search(
        "permissions.root: Here is “the name (Run|run|root)” again: .* Keep one", fault
    )


def test_a_file_that_no_integration_names_is_a_fault(tmp_path, company):
    """It was left alone, whatever stood in it, and nothing of it could be asked for."""
    company(cloud=YAML)
    (tmp_path / "inventory" / "more.yaml").write_text("resources: {")

    with pytest.raises(BadManifestsError) as raised:
        load(tmp_path)

    assert [str(fault) for fault in raised.value.faults] == [
        "inventory/more.yaml: No integration names this file. Name it under `files`, or remove it."
    ]


def test_a_row_of_several_lines_is_named_by_its_first(faults):
    """It was named by its last line, which may be far from where it begins."""
    found = faults(table='type,name,risk,permissions\nhost,"a\nb\nc",12,read\nhost,b,13,read\n')

    assert {fault.partition(": ")[0] for fault in found} == {
        "inventory/table.csv:2",
        "inventory/table.csv:5",
    }
