"""What the documents say of the code is printed from it."""

import re

import pytest

from engine.aql.parser import parse
from manifests import load
from manifests.flows import FlowDocument
from manifests.kinds import KINDS
from manifests.marked_yaml import read
from manifests.objects import BundleDocument, ScopeDocument, SpaceDocument
from manifests.on_call import ScheduleDocument
from manifests.parts import Vocabulary
from tests import printed


@pytest.mark.parametrize("name", printed.FILES)
def test_a_printed_part_is_current(name):
    """Not so? `python -m tests.printed` writes it."""
    assert (printed.DOCS / name).read_text() == printed.current(name)


def test_every_link_of_the_documents_leads_somewhere():
    root = printed.DOCS.parent
    for page in [root / "README.md", *printed.DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_and_part_that_the_code_points_to_is_there():
    root = printed.DOCS.parent
    cited = 0
    for module in (
        p for part in ("bot", "engine", "storage", "manifests") for p in (root / part).rglob("*.py")
    ):
        for page, part in re.findall(r"docs/(\w+\.md)(?:, \*([^*]+)\*)?", module.read_text()):
            cited += 1
            assert not part or f"\n## {part}\n" in (printed.DOCS / page).read_text(), module
    assert cited


def test_a_command_that_asks_is_shown_with_a_terminal():
    """`kubectl exec` gives none by itself: the emergency command changed nothing."""
    root = printed.DOCS.parent
    pages = [root / "README.md", root / "compose.yaml", *printed.DOCS.rglob("*.*")]
    texts = [page.read_text() for page in pages if page.suffix in {".md", ".yaml", ".service"}]
    shown = [
        said
        for text in texts
        for said in re.findall(r"(?:kubectl|systemd-run)[^`]*?revoke --all[^`\n]*", text)
    ]
    assert len(shown) >= 2
    for said in shown:
        assert re.search(r" -it | --pty | --yes", said), said


SANDBOX = printed.DOCS.parent / "manifests" / "sandbox"
SHOWN = re.findall(r"```yaml\n(.*?)```", (printed.DOCS / "flows.md").read_text(), re.DOTALL)
OBJECTS = {"scopes": ScopeDocument, "bundles": BundleDocument, "spaces": SpaceDocument}
LEAST = {"name": "Read", "requestors": {"group": "DBA"}, "targets": [{"integration": "orders-db"}]}


@pytest.fixture(scope="module")
def house():
    known = load(SANDBOX)
    return Vocabulary(known.directory, {i.id: KINDS[i.kind] for i in known.integrations})


@pytest.mark.parametrize("text", SHOWN, ids=[text.partition(":")[0] for text in SHOWN])
def test_every_flow_that_is_shown_is_one(tmp_path, house, text):
    (tmp_path / "shown.yaml").write_text(text)
    ((document,), faults) = read(tmp_path / "shown.yaml", "shown.yaml")

    assert not faults
    for schedule in document.data.pop("schedules", ()):
        assert ScheduleDocument.model_validate(schedule, context=house)
    for key, model in OBJECTS.items():
        for object_ in document.data.pop(key, ()):
            assert model.model_validate(object_, context=house)
    assert FlowDocument.model_validate(LEAST | document.data, context=house).revision()


def test_every_key_of_a_flow_is_shown():
    """Keys that can say nothing yet but what is so anyway are not."""
    keys = {key for text in SHOWN for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    fixed = {"require_mfa", "break_glass"}

    assert keys - {"schedules", *OBJECTS} == FlowDocument.model_fields.keys() - fixed


def test_every_query_that_is_shown_is_one():
    blocks = re.findall(r"```aql\n(.*?)```", (printed.DOCS / "aql.md").read_text(), re.DOTALL)

    assert blocks
    assert all(parse(block) for block in blocks)
