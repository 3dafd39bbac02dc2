"""AQL over all that can be had, beside the same filter as one would write it by hand in SQL.

Both count, and both fetch the first page in the order of the catalogue and make values of it; they
take turns, and must find the same. What it takes to write the statement is the same for each: it is
seen only where the answer is there at once.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import text

from engine.aql.parser import parse
from storage import facts, inventory
from storage.database import Database, Read
from tests.benchmarks.report import Row

ROUNDS, PAGE = 7, 20
AT_MOST = 1.2  # times


class Case(NamedTuple):
    query: str
    by_hand: str  # of `e`, an entitlement, and `r`, its resource


_TAGGED = "r.id in (select resource_id from resource_tag where not context and key = '{}' and {})"
CASES = (
    Case('resource_tag["env"] = "prod"', _TAGGED.format("env", "value_key = 'prod'")),
    Case(
        'resource_type = "view" and permission in ("right 0", "right 1")',
        "r.type_key = 'view' and e.permission in ('right 0', 'right 1')",
    ),
    Case(
        'resource_path contains "ledger" and not resource_tag["tier"] = "3"',
        "POSITION and not " + _TAGGED.format("tier", "value_key = '3'"),
    ),
    Case(
        'resource_risk_level = "medium" and permission_risk_level in ("low", "4")',
        "r.risk in (4, 5, 6) and e.risk in (1, 2, 3, 4)",
    ),
    Case(
        'resource_tag["team"] = "Team 17" or resource_name = "table 471"',
        "(" + _TAGGED.format("team", "value_key = 'team 17'") + " or r.name_key = 'table 471')",
    ),
)
_POSITION = {
    "sqlite": "instr(r.path_key, 'ledger') > 0",
    "postgresql": "position('ledger' in r.path_key) > 0",
}
_FROM = "from entitlement e join resource r on e.resource_id = r.id"
_COLUMNS = (
    "e.id, e.permission, e.risk, e.offered, p.name, p.body, r.id, r.type, r.name, r.path, "
    "r.source_id, r.risk, r.status, r.body, i.id, i.name, i.kind, i.server, i.listed, "
    "i.owner, i.owner_tag"
)
_JOINED = (
    "join integration i on r.integration_id = i.id left join permission p "
    "on p.integration_id = r.integration_id and p.id = e.permission"
)
_BODIES = {5, 13}  # which SQLite has as text
_ORDER = "r.integration_id, r.path_key, r.id, e.permission"


def rows(database: Database, kind: str) -> Iterator[Row]:
    taken: dict[str, list[tuple[float, float, str]]] = {"count": [], "first page": []}
    for case in CASES:
        with database.read() as session:
            for what, sides in _sides(session, case, kind).items():
                taken[what].append((*_in_turn(sides), case.query))
    for what, each in taken.items():
        total, by_hand = (sum(one[side] for one in each) for side in (0, 1))
        most, query = max((mine - theirs, query) for mine, theirs, query in each)
        yield Row(
            f"AQL: {what} over all entitlements, {len(CASES)} queries, {kind}",
            f"{total:.0f} ms",
            f"by hand {by_hand:.0f} ms; most more: {most:.1f} ms, {query}",
            f"each ≤ {AT_MOST} × (all: {total / by_hand:.2f} ×)",
            all(mine <= AT_MOST * theirs for mine, theirs, _ in each),
        )


Sides = tuple[Callable[[], object], Callable[[], object]]


def _sides(session: Read, case: Case, kind: str) -> dict[str, Sides]:
    query, where = parse(case.query), case.by_hand.replace("POSITION", _POSITION[kind])
    chosen = f"where e.offered and {where}"
    count = text(f"select count(*) {_FROM} {chosen}")
    page = text(f"select {_COLUMNS} {_FROM} {_JOINED} {chosen} order by {_ORDER} limit {PAGE}")
    return {
        "count": (
            lambda: inventory.count(session, query),
            lambda: session.execute(count).scalar_one(),
        ),
        "first page": (
            lambda: [e.id for e in inventory.page(session, query, limit=PAGE)],
            lambda: [_id_of(row) for row in session.execute(page)],
        ),
    }


def _id_of(row: Sequence[object]) -> int:
    """Return the id of what the row is: it is read as the catalogue reads it."""
    read = (json.loads(v) if n in _BODIES and isinstance(v, str) else v for n, v in enumerate(row))
    return facts.to_entitlement(tuple(read)).id


def _in_turn(sides: Sides) -> tuple[float, float]:
    """Return the milliseconds of each: the best of rounds in which they take turns."""
    found = [side() for side in sides]  # what is read first has to be brought into memory
    if found[0] != found[1]:
        raise SystemExit(f"AQL and SQL do not agree: {found}")
    rounds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for side, spent in zip(sides, rounds, strict=True):
            begun = time.perf_counter()
            side()
            spent.append((time.perf_counter() - begun) * 1000)
    return min(rounds[0]), min(rounds[1])
