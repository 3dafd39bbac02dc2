"""Requests that name people by ids which they had: what stands beside the body follows it.

A request is decided on by the ids that people have (`storage.unit_of_work`), and stored by them.
Until then it stays as it is: whoever looks for what is somebody's looks for all their ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, text
from sqlmodel import col

from engine.directory import PersonId
from engine.request import AccessRequest, RequestId
from storage import batch
from storage.database import Write
from storage.tables import OPEN, AskRow, DecisionRow, MessageRow, RequestRow
from storage.types import among

__all__ = ["Renamed", "carry_cards", "carry_columns"]

_SAME = select(col(RequestRow.id)).where(
    col(RequestRow.fingerprint) == bindparam("fingerprint"), text(OPEN)
)
_THEIRS = [
    delete(table).where(
        col(table.request_id) == bindparam("request"), among(col(table.person_id), "people")
    )
    for table in (AskRow, DecisionRow)
]
_CARDS = (
    select(
        col(MessageRow.id),
        col(MessageRow.request_id),
        col(MessageRow.kind),
        col(MessageRow.key),
        col(MessageRow.recipient),
    )
    .where(among(col(MessageRow.request_id), "requests"))
    .order_by(col(MessageRow.id))
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A request as it is by now, and the ids that people have in it, by those that they had."""

    request: AccessRequest
    ids: Mapping[PersonId, PersonId]
    fingerprint: str


def carry_columns(tx: Write, renamed: Sequence[Renamed]) -> None:
    """Store who asked and who receives. What was asked and decided is to be stored anew."""
    parties = [
        {
            "of": one.request.id,
            "requestor_id": one.request.requestor,
            "grantee_id": one.request.grantee,
        }
        for one in renamed
    ]
    batch.change(tx, RequestRow, parties, where={"id": "of"}, to=("requestor_id", "grantee_id"))
    for one in renamed:
        for theirs in _THEIRS:
            tx.do(theirs, {"request": one.request.id, "people": list(one.ids)})
        if not tx.ask(_SAME, {"fingerprint": one.fingerprint}):
            same = {"of": one.request.id, "fingerprint": one.fingerprint}
            batch.change(tx, RequestRow, [same], where={"id": "of"}, to=("fingerprint",))


def carry_cards(tx: Write, renamed: Sequence[Renamed]) -> None:
    """Give people the cards that they have in Slack, but where they have one under both ids."""
    if not renamed:
        return
    ids = {one.request.id: one.ids for one in renamed}
    rows = tx.ask(_CARDS, {"requests": list(ids)})
    there = {row[1:] for row in rows}
    moved = [
        {"of": id_, "recipient": now}
        for id_, request, kind, key, was in rows
        if (now := ids[RequestId(request)].get(PersonId(was)))
        and (request, kind, key, now) not in there
    ]
    batch.change(tx, MessageRow, moved, where={"id": "of"}, to=("recipient",))
