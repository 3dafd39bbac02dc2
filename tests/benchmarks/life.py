"""What a whole life costs the database, counted in the real bot (see tests/bot/test_counted.py)."""

from pathlib import Path

from rich.table import Table

from bot.sandbox.client import Sandbox
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.sandbox.postgres import Cluster
from tests.support.inside import Inside, whole_life
from tests.support.postgres import drop_database, fresh_database


def table(folder: Path, cluster: Cluster) -> Table:
    title = "A whole life: transactions / statements"
    made = Table("", "submit", "approve, grant", "offer", "end", "all", "bar", title=title)
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
        ok = "✓" if transactions <= 14 and statements <= 90 else "✗"
        cells = [f"{c.transactions} / {c.statements}" for c in costs.values()]
        made.add_row(kind, *cells, f"{transactions} / {statements}", f"≤ 14 / ≤ 90 {ok}")
    return made
