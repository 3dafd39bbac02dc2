"""A small and calm run of `make chaos`: it leaves time for the other tests."""

import pytest

from tests.chaos.plan import Plan
from tests.chaos.run import run

SEED = 11


@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    "plan",
    [
        Plan(SEED, kills=4, minutes=5, pace=0.5),
        Plan(SEED, kills=3, replicas=2, database="postgresql", minutes=5, pace=0.5),
    ],
    ids=["one on sqlite", "two on postgresql"],
)
def test_nothing_is_lost(plan):
    """F21, among all else: cards, audit and the real system say the same."""
    found = run(plan)

    assert not found.wrong, f"{plan}: {found.wrong}"
    assert found.counts["stops"] == 2 * plan.stops  # as many after a pause
    assert found.counts["pauses"] == plan.pauses
    assert found.counts["expired"] + found.counts["returned"] > 0
