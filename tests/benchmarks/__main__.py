"""`make bench`: each number beside what it is compared with, measured in the same run.

Exit status 0 only if every bar holds.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bot.operations import logs, memory
from bot.sandbox.postgres import Cluster
from tests.benchmarks import (
    approve,
    approvers,
    aql,
    crowd,
    decision,
    ends,
    large,
    life,
    policy,
    report,
    scale,
    slash,
    start,
)

SECTIONS: dict[str, report.Section] = {
    "slash": slash.rows,
    "approve": approve.rows,
    "ends": ends.rows,
    "crowd": crowd.rows,
    "approvers": approvers.rows,
    "start": start.rows,
    "life": life.rows,
    "scale": scale.rows,
    "large": large.rows,
    "policy": policy.rows,
    "decision": decision.rows,
    "aql": aql.rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    chosen = parser.parse_args().only
    memory.spare_what_stays()  # as in the program
    logs.configure(open(os.devnull, "w"))  # noqa: PTH123, SIM115  (what they cost is paid)
    console = Console(width=170)
    rows: list[report.Row] = []
    try:
        for name in chosen:
            rows += _section(name, console)
    finally:  # what was measured is shown, whatever came after it
        console.print(report.table("make bench", rows))
    return int(any(row.holds is False for row in rows))


def _section(name: str, console: Console) -> Iterator[report.Row]:
    with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        with Cluster.start(folder / "postgresql") as cluster:
            for row in SECTIONS[name](folder, cluster):
                console.print(f"{name}: {row.what}: {row.measured} {row.bar}", style="dim")
                yield row


if __name__ == "__main__":
    raise SystemExit(main())
