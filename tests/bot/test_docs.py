"""What the documents say of the code is printed from it."""

import re

import pytest

from engine.aql.parser import parse
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


def test_every_query_that_is_shown_is_one():
    blocks = re.findall(r"```aql\n(.*?)```", (printed.DOCS / "aql.md").read_text(), re.DOTALL)

    assert blocks
    assert all(parse(block) for block in blocks)
