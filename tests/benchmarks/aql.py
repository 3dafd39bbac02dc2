"""AQL: a query of 200 characters is read, and is asked of one entitlement."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bot.sandbox.postgres import Cluster
from engine.aql.parser import parse
from engine.aql.predicate import predicate
from tests.benchmarks.report import Row, p99, said
from tests.support.builders import entitlement

QUERY = (
    'resource_tag["env"] != "prod" and (resource_type in ("table", "view") or resource_name '
    'starts_with "or") and not resource_path contains "int" and permission_risk_level != "high" '
    'and integration != "d"'
)
ROUNDS, TIMES = 5, 5000
BAR = 0.1  # milliseconds


def rows(_folder: Path, _cluster: Cluster) -> Iterator[Row]:
    read = [_taken(lambda: parse(QUERY)) for _ in range(ROUNDS)]
    slowest = p99([ms for one in read for ms in one])
    bar = f"p99 ≤ {BAR} ms"
    yield Row(f"AQL: {len(QUERY)} characters read", said(read), "", bar, slowest <= BAR)
    selects, thing = predicate(parse(QUERY)), entitlement()
    asked = [_taken(lambda: selects(thing)) for _ in range(ROUNDS)]
    usual = statistics.median(ms for one in asked for ms in one)
    yield Row("AQL: one entitlement asked", f"{usual * 1000:.2f} µs", "", "", None)


def _taken(act: Callable[[], object]) -> list[float]:
    """Return milliseconds, of the clock on the wall."""
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter_ns()
        act()
        taken.append((time.perf_counter_ns() - start) / 1e6)
    return taken
