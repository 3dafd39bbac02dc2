"""What an operator does to see whether the audit is whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.usecases.console import Desk
from engine.audit import Anchor
from storage import audit
from storage.audit import AuditReading

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """How many entries there are, and of them from before there was a key; how the log is now."""

    whole: bool
    entries: int
    early: int
    anchor: Anchor | None


def verify(desk: Desk, anchors: Sequence[Anchor], say: Callable[[str], None]) -> Verified:
    """Read the log to its end, and say each fault as it is found."""
    with desk.database.read() as session:
        reading, whole = AuditReading(session, anchors), True
        for finding in reading.findings():
            whole = False
            say(finding)
        return Verified(whole, reading.entries, reading.early, audit.anchor(session))
