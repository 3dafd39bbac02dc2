"""What the documents say of the code is printed from it."""

import re

import pytest

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
