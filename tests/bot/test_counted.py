"""What one life costs the database, counted in the real bot: listeners, loops and all."""

import pytest

from bot.sandbox.client import Sandbox
from bot.sandbox.house import MANIFESTS
from tests.support.inside import COMPANY, Inside, whole_life
from tests.support.postgres import drop_database, fresh_database


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=tmp_path / "clock",
        rate_factor=0,
    ) as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def inside(request, sandbox, tmp_path):
    if request.param == "sqlite":
        opened = Inside(sandbox, tmp_path / "clock", f"sqlite:///{tmp_path}/latchkey.db")
        yield opened
        opened.close()
        return
    cluster = request.getfixturevalue("cluster")
    url = fresh_database(cluster)
    opened = Inside(sandbox, tmp_path / "clock", url)
    yield opened
    opened.close()
    drop_database(cluster, url)


def test_a_whole_life_takes_at_most_14_transactions_and_90_statements(inside):
    costs = whole_life(inside)
    said = "; ".join(f"{name}: {cost}" for name, cost in costs.items())
    assert sum(cost.transactions for cost in costs.values()) <= 14, said
    assert sum(cost.statements for cost in costs.values()) <= 90, said
