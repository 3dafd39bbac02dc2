"""Alarms that were told: taken back when all is well again, and put back where it is not.

What stands in Slack is brought up to date. An alarm's key is what it is about, then `/`, and ends
with its day.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, literal, or_, select, update
from sqlmodel import col

from engine.alarms import WELL_AGAIN, well_again
from engine.directory import PersonId
from engine.outcome import Card
from storage.database import Read, Write
from storage.tables import MessageRow
from storage.types import among

__all__ = ["put_back", "standing", "take_back", "was_taken_back"]

_TOLD = (  # to some `admins`
    col(MessageRow.request_id) == 0,
    among(col(MessageRow.recipient), "admins"),
    col(MessageRow.kind) == Card.ALARM.value,
)
_TAKEN_BACK = col(MessageRow.detail).startswith(WELL_AGAIN, autoescape=True)


def take_back(tx: Write, what: str, admins: Collection[PersonId], now: datetime) -> None:
    """Say, in what was told of it since yesterday, that it is well again."""
    of = col(MessageRow.key).startswith(f"{what}/", autoescape=True)
    told = literal(well_again(now)).op("||")(col(MessageRow.detail))
    _say(tx, admins, [of, _of_late(now), ~_TAKEN_BACK], told, now)


def was_taken_back(session: Read, key: str, admins: Collection[PersonId]) -> bool:
    query = (
        select(func.count())
        .select_from(MessageRow)
        .where(*_TOLD, col(MessageRow.key) == key, _TAKEN_BACK)
    )
    return bool(session.execute(query, {"admins": sorted(admins)}).scalar_one())


def standing(session: Read, what: Collection[str], now: datetime) -> list[str]:
    """Return what was told of it since yesterday, and was not taken back."""
    of = or_(*(col(MessageRow.key).startswith(f"{one}/", autoescape=True) for one in what))
    query = (
        select(col(MessageRow.detail))
        .where(
            col(MessageRow.request_id) == 0,
            col(MessageRow.kind) == Card.ALARM.value,
            of,
            _of_late(now),
            ~_TAKEN_BACK,
        )
        .distinct()
        .order_by(col(MessageRow.detail))
    )
    return list(session.execute(query).scalars())


def put_back(
    tx: Write, key: str, sentence: str, admins: Collection[PersonId], now: datetime
) -> None:
    """Say again what was taken back: it is not well everywhere."""
    _say(tx, admins, [col(MessageRow.key) == key, _TAKEN_BACK], literal(sentence), now)


def _of_late(now: datetime) -> ColumnElement[bool]:
    days = [f"/{day:%Y-%m-%d}" for day in (now, now - timedelta(days=1))]
    return or_(*(col(MessageRow.key).endswith(day, autoescape=True) for day in days))


def _say(
    tx: Write,
    admins: Collection[PersonId],
    which: list[ColumnElement[bool]],
    detail: ColumnElement[str],
    now: datetime,
) -> None:
    lease = func.coalesce(col(MessageRow.lease), tx.instance)
    tx.execute(
        update(MessageRow)
        .where(*_TOLD, *which)
        .values(detail=detail, wanted=col(MessageRow.wanted) + 1, due_at=now, lease=lease),
        {"admins": sorted(admins)},
        execution_options={"synchronize_session": False},
    )
    tx.wake("messages")
