"""Tags and context as queries ask for them: a row for each value, casefolded."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, delete
from sqlmodel import SQLModel, col

from engine.inventory import IntegrationId, PermissionId, Tags
from storage import batch
from storage.database import Write
from storage.tables import PermissionTagRow, ResourceTagRow

Value = tuple[bool, str, str]  # whether it is context; key; value, casefolded


def values_of(tags: Tags, context: Tags) -> list[Value]:
    """Return what can be asked for, in order, each once."""
    both = ((False, tags), (True, context))
    found = {
        (is_context, key, value.casefold())
        for is_context, of in both
        for key, values in of.items()
        for value in values
    }
    return sorted(found)


def mark_of(tags: Tags, context: Tags) -> str:
    """Name what can be asked for, of tags as they are kept; empty: nothing."""
    if not tags and not context:
        return ""
    written = repr((tags, context)).encode()
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def of_resources(tx: Write, found: Mapping[int, Iterable[Value]]) -> None:
    """Let each of these resources have what it has, and nothing else."""
    rows = [{"resource_id": id_, **row} for id_, values in found.items() for row in _rows(values)]
    _replace(tx, ResourceTagRow, col(ResourceTagRow.resource_id).in_(list(found)), rows)


def of_permissions(
    tx: Write, system: IntegrationId, found: Mapping[PermissionId, Iterable[Value]]
) -> None:
    """Let each of these permissions of a system have what it has, and nothing else."""
    rows = [
        {"integration_id": system, "permission": id_, **row}
        for id_, values in found.items()
        for row in _rows(values)
    ]
    here = col(PermissionTagRow.integration_id) == system
    these = here & col(PermissionTagRow.permission).in_(list(found))
    _replace(tx, PermissionTagRow, these, rows)


def _rows(values: Iterable[Value]) -> Iterable[dict[str, Any]]:
    return ({"context": c, "key": key, "value_key": value} for c, key, value in values)


def _replace(
    tx: Write, table: type[SQLModel], these: ColumnElement[bool], rows: list[dict[str, Any]]
) -> None:
    tx.execute(delete(table).where(these))
    batch.add(tx, table, rows)
