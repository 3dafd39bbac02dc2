"""`make bench`: each number beside what it is compared with, measured in the same run.

The bot and bare Bolt take turns on one sandbox, round by round, so that what else the machine does
touches both. Medians and the 99th percentile are over all rounds; spread is between the rounds'
medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.sandbox.client import Sandbox
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster
from tests.benchmarks import life, scale

ROOT = Path(__file__).parents[2]
FIVE = ("marta", "diego", "fatou", "henrik", "ravi")
PEOPLE = [f"{name}@harbourpine.example" for name in FIVE]


@dataclass
class Sample:
    """Milliseconds, by round."""

    rounds: list[list[float]] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        return sorted(ms for one in self.rounds for ms in one)

    @property
    def median(self) -> float:
        return statistics.median(self.all)

    @property
    def p99(self) -> float:
        return self.all[min(len(self.all) - 1, int(len(self.all) * 0.99))]

    @property
    def spread(self) -> str:
        medians = [statistics.median(one) for one in self.rounds]
        return f"{min(medians):.2f}–{max(medians):.2f}"


@dataclass
class Side:
    ack: Sample = field(default_factory=Sample)
    opened: Sample = field(default_factory=Sample)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=200, help="in each round, of each side")
    parser.add_argument("--scale", action="store_true", help="also with 10,000 people")
    options = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Cluster.start(folder / "postgresql") as cluster:
            console.print(slash_table(folder, cluster, options.rounds, options.calls))
            console.print(life.table(folder, cluster))
            if options.scale:
                console.print(scale.table(folder, cluster))
    return 0


def slash_table(folder: Path, cluster: Cluster, rounds: int, calls: int) -> Table:
    """`/access request`, beside bare Bolt opening a modal of equal bytes on the same sandbox."""
    ours, bare = Side(), Side()
    with House(folder / "house", cluster=cluster, rate_factor=0) as house:
        house.bot.start()
        house.sandbox.wait_links(1, timeout=30)
        view = opened_view(house.sandbox)
        file = folder / "view.json"
        file.write_text(json.dumps(view))
        for number in range(rounds):
            if number:
                house.bot.start()
                house.sandbox.wait_links(1, timeout=30)
            measure(house.sandbox, ours, calls)
            house.bot.stop()
            with bare_bolt(house.sandbox, file):
                measure(house.sandbox, bare, calls)
    size = len(json.dumps(view))
    title = f"/access request, {rounds} × {calls} calls, a modal of {size:,} bytes (ms)"
    table = Table(
        "", "bare p50", "p99", "Latchkey p50", "p99", "ratio of medians", "bar", title=title
    )
    for label, a, b, bar in (
        ("acknowledgement", bare.ack, ours.ack, 2.0),
        ("views.open arriving", bare.opened, ours.opened, 3.0),
    ):
        ratio = b.median / a.median
        ok = "✓" if ratio <= bar else "✗"
        table.add_row(
            label,
            f"{a.median:.2f} ({a.spread})",
            f"{a.p99:.2f}",
            f"{b.median:.2f} ({b.spread})",
            f"{b.p99:.2f}",
            f"{ratio:.2f} ×",
            f"≤ {bar:g} × {ok}",
        )
    return table


def opened_view(sandbox: Sandbox) -> dict[str, object]:
    """Return the modal that Latchkey opens, for bare Bolt to open the same."""
    person = sandbox.person(PEOPLE[0])
    mark = sandbox.mark()
    person.command("/access", "request")
    call = sandbox.wait_journal(lambda e: e.get("method") == "views.open", since=mark)
    view = call["arguments"]["view"]
    person.view().close(everything=True)
    return json.loads(view) if isinstance(view, str) else view


def measure(sandbox: Sandbox, side: Side, calls: int) -> None:
    """Send commands one after another; read both times off the sandbox's own journal."""
    people = [sandbox.person(email) for email in PEOPLE]
    acks: list[float] = []
    opened: list[float] = []
    for number in range(calls + len(people)):
        person = people[number % len(people)]
        mark = sandbox.mark()
        answer = person.command("/access", "request")
        if not answer.ok or answer.seconds is None:
            raise SystemExit(f"the command failed: {answer}")
        entries = sandbox.journal(mark)
        sent = next(e for e in entries if e["kind"] == "delivery")
        call = next(e for e in entries if e.get("method") == "views.open")
        person.view().close(everything=True)
        if number >= len(people):  # the first ones warm up
            acks.append(answer.seconds * 1000)
            opened.append((call["at"] - sent["at"]) * 1000)
    side.ack.rounds.append(acks)
    side.opened.rounds.append(opened)


@contextmanager
def bare_bolt(sandbox: Sandbox, view: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "benchmarks" / "bare.py"), str(view)],
        env={**os.environ, **sandbox.env()},
        cwd=ROOT,
    )
    try:
        sandbox.wait_links(2, timeout=30)
        yield
    finally:
        process.terminate()
        process.wait()
        sandbox.wait_links(0, timeout=30)


if __name__ == "__main__":
    raise SystemExit(main())
