"""Each section of `make bench` runs, as small as it can be: what it measures then means nothing."""

import tempfile
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import (
    approve,
    approvers,
    aql,
    beside,
    company,
    crowd,
    decision,
    eligible,
    ends,
    large,
    life,
    policy,
    scale,
    slash,
    start,
)
from tests.benchmarks.__main__ import SECTIONS
from tests.benchmarks.report import Row, table
from tests.support.postgres import own_cluster

SMALLEST = {
    "slash": [(slash, {"ROUNDS": 1, "CALLS": 3})],
    "approve": [(approve, {"ROUNDS": 1, "APPROVALS": 2, "WARM_UP": 1})],
    "ends": [
        (ends, {"ENDS": 20, "WRITERS": 3, "BEFORE": timedelta(seconds=0.2)}),
        (ends, {"SET_UP": timedelta(seconds=3)}),
    ],
    # Over thirty people: less are not a company that is ready.
    "crowd": [(crowd, {"PAIRS": 6, "SECONDS": 1.0, "WARM_UP": 0.2})],
    "approvers": [(approvers, {"APPROVERS": 5, "OTHERS": 5, "CROWD": 5})],
    "start": [(start, {"STARTS": 1})],
    "decision": [(decision, {"DECISIONS": 2})],
    "life": [(life, {"ROUNDS": 1, "LIVES": 1, "COMMITS": 1})],
    "scale": [
        (beside, {"CLICKS": 2}),
        (scale, {"PEOPLE": 700, "FLOWS": 200, "RESOURCES": 2_000, "WAITING": 20, "ROUNDS": 1}),
    ],
    "large": [
        (company, {"PEOPLE": 400, "GROUPS": 300, "FLOWS": 150, "RESOURCES": 2_000}),
        (large, {"ROUNDS": 1, "MANY": 50, "LIVE": 20, "TOUCHED": 5, "WORDS": ["", "prod"]}),
        (eligible, {"PEOPLE": 400, "GROUPS": 40, "FLOWS": 40, "RESOURCES": 400}),
        (eligible, {"QUESTIONS": 6, "ROUNDS": 1}),
    ],
    "policy": [(policy, {"SIZES": (10,), "QUESTIONS": 4, "ROUNDS": 1})],
    "aql": [(aql, {"ROUNDS": 1, "TIMES": 10})],
}
COMPARED = all(map(find_spec, ("casbin", "cedarpy")))


@pytest.fixture
def folder():
    """A place that the user whom PostgreSQL runs as may enter."""
    with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture(scope="module")
def cluster():
    """A server of its own: what a section leaves there would be found by other tests."""
    with own_cluster() as running:
        yield running


def test_every_section_has_a_smallest_size():
    assert SMALLEST.keys() == SECTIONS.keys()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_measures_something(section, monkeypatch, folder, cluster):
    if not COMPARED:  # they come with `make bench`: here our own stands in for them
        monkeypatch.setattr(eligible, "beside", lambda *_: iter(()))
        monkeypatch.setattr(policy, "casbin", policy.ours)
        monkeypatch.setattr(policy, "cedar", policy.ours)
    for module, sizes in SMALLEST[section]:
        for name, size in sizes.items():
            assert hasattr(module, name), f"{module.__name__} has no {name} any more"
            monkeypatch.setattr(module, name, size)

    rows = list(SECTIONS[section](folder, cluster))

    assert rows
    assert all(isinstance(row, Row) and row.what and row.measured for row in rows)
    assert table(section, rows).row_count == len(rows)
