"""Which sets of manifests were ever applied, by the hash of their content.

Replicas may be given different ones while a new release is rolled out. What one of them has applied
is not undone by another that still has the former set.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlmodel import col

from storage import batch
from storage.database import Read, Write
from storage.tables import ManifestSetRow

__all__ = ["SetAge", "age", "applied"]

_NEWEST = select(func.max(col(ManifestSetRow.applied_at)))
_TICK = timedelta(microseconds=1)


class SetAge(StrEnum):
    NEW = "new"  # never applied
    NEWEST = "newest"  # applied, and none since
    OLDER = "older"  # applied, and others since


def age(session: Read, digest: str) -> SetAge:
    """Tell how a set stands among those that were applied."""
    known = session.get(ManifestSetRow, digest)
    if known is None:
        return SetAge.NEW
    newest = session.execute(_NEWEST).scalar_one()
    return SetAge.NEWEST if known.applied_at == newest else SetAge.OLDER


def applied(tx: Write, digest: str, now: datetime) -> None:
    """Note that the set was applied, as the newest, even where the clock has been set back."""
    newest = tx.execute(_NEWEST).scalar_one_or_none()
    at = max(now, newest + _TICK) if newest else now
    row = {"hash": digest, "applied_at": at}
    batch.add(tx, ManifestSetRow, [row], key=("hash",), change=("applied_at",))
