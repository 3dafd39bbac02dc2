"""A line of `make bench`: what was measured, beside what, and the bar that it has to hold."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bot.sandbox.postgres import Cluster


@dataclass(frozen=True, slots=True)
class Row:
    """`holds` is None where a line only informs. Times are said with their unit."""

    what: str
    measured: str
    beside: str
    bar: str
    holds: bool | None


Section = Callable[[Path, Cluster], Iterable[Row]]


def table(title: str, rows: Iterable[Row]) -> Table:
    made = Table("what", "measured", "beside", "bar", "", title=title, title_justify="left")
    for row in rows:
        mark = {True: "✓", False: "✗", None: ""}[row.holds]
        made.add_row(row.what, row.measured, row.beside, row.bar, mark)
    return made


def p99(milliseconds: Sequence[float]) -> float:
    """Of none it is endless: what was never measured holds no bar."""
    if not milliseconds:
        return math.inf
    taken = sorted(milliseconds)
    return taken[min(len(taken) - 1, int(len(taken) * 0.99))]


def said(rounds: Sequence[Sequence[float]]) -> str:
    """Say the median, the spread of the rounds' medians, and the 99th percentile."""
    every = [ms for one in rounds for ms in one]
    if not every:
        return "none"
    medians = [statistics.median(one) for one in rounds if one]
    spread = f"{min(medians):.2f}–{max(medians):.2f}"
    return f"{statistics.median(every):.2f} ms ({spread}), p99 {p99(every):.2f}"
