"""What `make mutants` goes by is there: modules, tests, and lines that no test can see."""

import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.mutants.run import CONFIGURATION, ROOT

GIVEN = tomllib.loads(CONFIGURATION.read_text())
ROOMS = ("engine", "storage", "bot/usecases")


def modules() -> Iterator[str]:
    for room in ROOMS:
        for file in ROOT.joinpath(room).rglob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if file.name != "__init__.py" and "migrations" not in parts:
                yield ".".join(parts)


def test_each_module_is_named_with_its_tests_or_with_why_it_is_set_apart():
    """What is new is named when it comes."""
    assert sorted([*GIVEN["tests"], *GIVEN["apart"]]) == sorted(modules())
    assert all(len(why) > 20 for why in GIVEN["apart"].values())


@pytest.mark.parametrize("module", GIVEN["tests"])
def test_modules_and_their_tests_are_there(module):
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").exists()
    files = [given for given in GIVEN["tests"][module] if given.startswith("tests/")]
    assert files
    assert all(ROOT.joinpath(file.partition("::")[0]).exists() for file in files)


@pytest.mark.parametrize("unseen", GIVEN["unseen"], ids=lambda u: f"{u['module']}: {u['is']}")
def test_what_cannot_be_seen_is_a_line_that_is_there_and_has_a_reason(unseen):
    source = ROOT.joinpath(*unseen["module"].split(".")).with_suffix(".py").read_text()

    assert unseen["module"] in GIVEN["tests"]
    assert " ".join(unseen["was"].split()) in " ".join(source.split())
    assert unseen["was"] != unseen["is"]
    assert len(unseen["why"]) > 20


@pytest.mark.parametrize("anywhere", GIVEN["anywhere"], ids=lambda a: a["was"])
def test_what_cannot_be_seen_anywhere_is_there_and_has_a_reason(anywhere):
    sources = [ROOT.joinpath(*m.split(".")).with_suffix(".py").read_text() for m in GIVEN["tests"]]

    assert any(re.search(anywhere["was"], source, re.MULTILINE) for source in sources)
    assert re.compile(anywhere["is"])
    assert len(anywhere["why"]) > 20
