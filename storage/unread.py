"""Rows that cannot be read: each is said once, in the log and to the administrators.

Written by a hand or by another version, or cut off. Whoever meets one goes on with the rest.
"""

import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

MOST = 10_000  # that are remembered as said

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Finding:
    """One row, with what stands there, and what the administrators are to know of it."""

    table: str
    row: str
    digest: str  # of what stands there
    sentence: str

    @property
    def key(self) -> str:
        return f"unreadable/{self.table}/{self.row}/{self.digest}"


class Unread:
    """What one process has met. What stands there is never logged: it may be anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = set[str]()
        self._new: list[Finding] = []

    def note(self, table: str, row: object, content: object, sentence: str) -> None:
        """Take in that a row cannot be read; said again only once something else stands there."""
        written = json.dumps(content, sort_keys=True, default=repr)
        digest = hashlib.sha256(written.encode()).hexdigest()[:16]
        finding = Finding(table, str(row), digest, sentence)
        with self._lock:
            if finding.key in self._said:
                return
            if len(self._said) >= MOST:
                self._said.clear()
            self._said.add(finding.key)
            self._new.append(finding)
        log.error("row cannot be read", table=table, row=finding.row, digest=digest)

    def take(self) -> list[Finding]:
        """Return what the administrators were not told of yet."""
        with self._lock:
            taken, self._new = self._new, []
        return taken

    def put_back(self, findings: Iterable[Finding]) -> None:
        """They could not be told: it is tried again."""
        with self._lock:
            self._new = [*findings, *self._new]
