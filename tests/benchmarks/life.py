"""What a whole life costs the database, counted in the real bot (see tests/bot/test_counted.py)."""

from collections.abc import Iterator
from pathlib import Path

from bot.sandbox.client import Sandbox
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.sandbox.postgres import Cluster
from tests.benchmarks.report import Row
from tests.support.inside import Inside, whole_life
from tests.support.postgres import drop_database, fresh_database


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    for kind in ("sqlite", "postgresql"):
        url = f"sqlite:///{folder}/life.db" if kind == "sqlite" else fresh_database(cluster)
        with Sandbox.start(
            manifest=MANIFESTS / "slack-app.yaml",
            workspace=COMPANY / "workspace.yaml",
            clock=folder / f"clock-{kind}",
            rate_factor=0,
        ) as sandbox:
            inside = Inside(sandbox, folder / f"clock-{kind}", url)
            costs = whole_life(inside)
            inside.close()
        if kind == "postgresql":
            drop_database(cluster, url)
        transactions = sum(c.transactions for c in costs.values())
        statements = sum(c.statements for c in costs.values())
        yield Row(
            f"whole life, counted: transactions / statements, {kind}",
            f"{transactions} / {statements}",
            ", ".join(f"{name} {c.transactions} / {c.statements}" for name, c in costs.items()),
            "≤ 14 / ≤ 90",
            transactions <= 14 and statements <= 90,
        )
