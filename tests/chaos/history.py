"""The table of a request's life, as SPEC 7 has it, held against what the audit says of it.

It knows nothing of the engine: each line is read by its action, its actor and its moment alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

WAITS, LATER, BEGUN, RUNS, ENDS, OVER = "pending", "scheduled", "granting", "active", "ends", "over"
_MAY: Mapping[str, tuple[set[str], str]] = {  # action: where it may stand, where it leads
    "verified": ({WAITS}, WAITS),
    "nudged": ({WAITS}, WAITS),
    "questioned": ({WAITS}, WAITS),
    "answered": ({WAITS}, WAITS),
    "escalated": ({WAITS}, WAITS),
    "approved": ({WAITS}, WAITS),
    "withdrawn": ({WAITS, LATER}, ""),
    "scheduled": ({WAITS}, LATER),
    "reopened": ({LATER}, WAITS),
    "reminded": ({LATER}, LATER),
    "started": ({LATER}, BEGUN),
    "granted": ({WAITS, BEGUN}, RUNS),
    "extended": ({RUNS}, RUNS),
    "returned_part": ({RUNS}, RUNS),
    "revoking": ({WAITS, BEGUN, RUNS}, ENDS),
    "rejected": ({WAITS}, OVER),
    "timed_out": ({WAITS}, OVER),
    "cancelled": ({WAITS, LATER}, OVER),
    "failed": ({LATER, ENDS}, OVER),
    "expired": ({ENDS}, OVER),
    "returned": ({ENDS}, OVER),
    "revoked": ({ENDS}, OVER),
}


class Line(NamedTuple):
    """What the audit says was done, in the order of its numbers."""

    at: datetime
    actor: str
    action: str
    body: Mapping[str, Any]


@dataclass
class _Life:
    parties: set[str]  # requestor and grantee
    stands: str = ""
    approvals: set[str] = field(default_factory=set)
    starts_at: datetime | None = None
    until: datetime | None = None
    wrong: list[str] = field(default_factory=list)

    def must(self, holds: object, sentence: str) -> None:
        if not holds:
            self.wrong.append(sentence)

    def add(self, line: Line) -> None:
        if line.action == "submitted":
            self.must(not self.stands, f"submitted while {self.stands}")
            self.stands = WAITS
        elif line.action in _MAY:
            may, leads = _MAY[line.action]
            self.must(self.stands in may, f"{line.action} while {self.stands or 'not submitted'}")
            self.stands = leads or self.stands
        self._promises(line)

    def _promises(self, line: Line) -> None:
        match line.action:
            case "approved":
                self.must(line.actor not in self.parties, f"{line.actor} approved their own")
                self.approvals.add(line.actor)
            case "rejected":
                self.must(line.actor not in self.parties, f"{line.actor} rejected their own")
            case "withdrawn":
                self.approvals.discard(line.actor)
            case "void":
                self.approvals.discard(line.body["of"])
            case "scheduled":
                self.must(self.approvals, "scheduled without an approval")
                self.starts_at = datetime.fromisoformat(line.body["starts_at"])
            case "started":
                early = self.starts_at is None or line.at < self.starts_at
                self.must(not early, f"started at {line.at}, not at {self.starts_at}")
            case "granted" | "extended":
                self._given(line)
            case "revoking" if line.body.get("ending") == "expired":
                late = self.until is None or line.at >= self.until
                self.must(late, f"expired at {line.at}, before {self.until}")

    def _given(self, line: Line) -> None:
        if line.action == "granted":
            self.must(self.approvals, "granted without an approval")
        said = line.body.get("until", "")
        self.until = datetime.fromisoformat(said) if said else None
        ends = said is None or (self.until is not None and self.until > line.at)
        self.must(ends, f"{line.action} at {line.at} until {said or 'nobody knows when'}")


def wrong_in(lines: Iterable[Line], parties: set[str]) -> list[str]:
    """Return what the table does not allow in the whole life of a request of these people."""
    life = _Life(parties)
    for line in lines:
        life.add(line)
    life.must(life.stands == OVER, f"it ended while {life.stands or 'not submitted'}")
    return life.wrong


def decided_while_away(
    lines: Iterable[Line], inactive: Iterable[tuple[str, datetime, datetime]]
) -> list[str]:
    """Return what was decided by people who were inactive at that moment: who, from when, until."""
    spans = list(inactive)
    return [
        f"{line.action} by {who}, who was inactive"
        for line in lines
        if line.action in {"approved", "rejected", "withdrawn"}
        for who, since, until in spans
        if who == line.actor and since < line.at < until
    ]
