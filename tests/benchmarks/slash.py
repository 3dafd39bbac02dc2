"""`/access request`, beside bare Bolt opening a modal of equal bytes on the same sandbox.

The bot and bare Bolt take turns on one sandbox, round by round, so that what else the machine does
touches both. Medians and the 99th percentile are over all rounds; spread is between the rounds'
medians.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.sandbox.client import Sandbox
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster
from tests.benchmarks.report import Row, said

ROOT = Path(__file__).parents[2]
ROUNDS, CALLS = 3, 200  # calls in each round, of each side
FIVE = ("marta", "diego", "fatou", "henrik", "ravi")
PEOPLE = [f"{name}@harbourpine.example" for name in FIVE]


@dataclass
class Side:
    """Milliseconds, by round."""

    ack: list[list[float]] = field(default_factory=list)
    opened: list[list[float]] = field(default_factory=list)


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    ours, bare = Side(), Side()
    with House(folder / "house", cluster=cluster, rate_factor=0) as house:
        house.bot.start()
        house.sandbox.wait_links(1, timeout=30)
        view = opened_view(house.sandbox)
        file = folder / "view.json"
        file.write_text(json.dumps(view))
        for number in range(ROUNDS):
            if number:
                house.bot.start()
                house.sandbox.wait_links(1, timeout=30)
            measure(house.sandbox, ours, CALLS)
            house.bot.stop()
            with bare_bolt(house.sandbox, file):
                measure(house.sandbox, bare, CALLS)
    size = len(json.dumps(view))
    for label, a, b, bar in (
        ("acknowledged", bare.ack, ours.ack, 2.0),
        ("views.open arriving", bare.opened, ours.opened, 3.0),
    ):
        ratio = median(b) / median(a)
        yield Row(
            f"/access request, {label}",
            said(b),
            f"bare Bolt, a modal of {size:,} bytes: {said(a)}",
            f"{ratio:.2f} × (≤ {bar:g} ×)",
            ratio <= bar,
        )


def median(rounds: list[list[float]]) -> float:
    return statistics.median(ms for one in rounds for ms in one)


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
    side.ack.append(acks)
    side.opened.append(opened)


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
