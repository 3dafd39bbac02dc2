"""A small and calm run of `make chaos`: it leaves time for the other tests."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.history import Line, decided_while_away, wrong_in
from tests.chaos.plan import Plan
from tests.chaos.run import run

SEED = 11
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _after(minutes):
    return NOON + timedelta(minutes=minutes)


def _life(**instead):
    """Return a life in which all is right, but for the lines that are named; None: left out."""
    lines = {
        "submitted": Line(_after(0), "marta", "submitted", {}),
        "approved": Line(_after(1), "priya", "approved", {}),
        "scheduled": Line(_after(1), "", "scheduled", {"starts_at": _after(5).isoformat()}),
        "started": Line(_after(5), "", "started", {}),
        "granted": Line(_after(6), "", "granted", {"until": _after(16).isoformat()}),
        "extended": Line(_after(7), "marta", "extended", {"until": _after(26).isoformat()}),
        "revoking": Line(_after(26), "", "revoking", {"ending": "expired"}),
        "expired": Line(_after(27), "", "expired", {}),
    }
    return [line for line in (lines | instead).values() if line]


def test_a_life_in_which_all_is_right_is_found_to_be_so():
    assert wrong_in(_life(), {"marta"}) == []


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"submitted": None}, "approved while not submitted"),
        ({"approved": None}, "granted without an approval"),
        ({"approved": Line(_after(1), "marta", "approved", {})}, "marta approved their own"),
        ({"extended": Line(_after(7), "priya", "rejected", {})}, "rejected while active"),
        ({"started": None}, "granted while scheduled"),
        ({"started": Line(_after(4), "", "started", {})}, "started at"),
        ({"started": Line(_after(5), "priya", "withdrawn", {})}, "granted without an approval"),
        ({"started": Line(_after(5), "", "void", {"of": "priya"})}, "granted without an approval"),
        ({"granted": Line(_after(6), "", "granted", {})}, "until nobody knows when"),
        ({"extended": Line(_after(7), "", "extended", {"until": NOON.isoformat()})}, "extended at"),
        ({"revoking": None}, "expired while active"),
        ({"revoking": Line(_after(20), "", "revoking", {"ending": "expired"})}, "expired at"),
        ({"expired": None}, "it ended while ends"),
        ({"again": Line(_after(28), "", "granted", {"until": None})}, "granted while over"),
    ],
)
def test_a_falsified_life_is_found(instead, said):
    """Each rule of the verdict can fail."""
    assert any(said in sentence for sentence in wrong_in(_life(**instead), {"marta"}))


@pytest.mark.parametrize(("minute", "found"), [(0, 0), (1, 1), (2, 0)])
def test_a_decision_of_somebody_who_was_inactive_is_found(minute, found):
    approved = Line(_after(minute), "priya", "approved", {})
    away = [("priya", _after(0), _after(2)), ("selin", _after(0), _after(9))]

    assert len(decided_while_away([approved], away)) == found


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
