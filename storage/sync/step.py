"""What a sync is made of: steps, each in a transaction of its own."""

from collections.abc import Callable

from engine.outcome import AuditEntry
from storage.database import Write

PAGE = 1000  # rows that are read at once
Log = list[tuple[None, AuditEntry]]
SyncStep = Callable[[Write], None]
