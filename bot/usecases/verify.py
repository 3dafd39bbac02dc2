"""What an operator does to see whether the audit is whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.usecases.console import Desk
from engine.audit import Anchor
from storage import audit
from storage.audit import AuditReading, Under

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """How many entries there are, and of them from before there was a key; how the log is now.

    `under`: which of the keys has made its head.
    """

    whole: bool
    entries: int
    early: int
    anchor: Anchor | None
    under: Under | None


def verify(desk: Desk, anchors: Sequence[Anchor], say: Callable[[str], None]) -> Verified:
    """Read the log to its end, and say each fault as it is found."""
    with desk.database.read() as session:
        reading, whole = AuditReading(session, anchors), True
        for finding in reading.findings():
            whole = False
            say(finding)
        keys = desk.database.keys
        under = audit.under(session, keys) if keys and len(keys.audit_keys) > 1 else None
        return Verified(whole, reading.entries, reading.early, audit.anchor(session), under)
