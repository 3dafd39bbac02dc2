"""Takes in what a system's permissions are called, and what else there is to say of them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import col

from engine.inventory import IntegrationId, PermissionId
from engine.port import DiscoveredPermission
from storage import batch
from storage.codec import body_of, fields_of, tags_of
from storage.database import Read, Write
from storage.sync import tags
from storage.tables import PermissionRow


def known(session: Read, system: IntegrationId) -> dict[PermissionId, DiscoveredPermission]:
    """Return what is known of a system's permissions, as far as it can be read."""
    these = select(PermissionRow).where(col(PermissionRow.integration_id) == system)
    return {
        PermissionId(row.id): _known(row)
        for row in session.execute(these).scalars()
        if fields_of(row.body) is row.body
    }


def _known(row: PermissionRow) -> DiscoveredPermission:
    said = (tags_of(row.body, part) for part in ("tags", "context"))
    return DiscoveredPermission(PermissionId(row.id), row.name, *said)


def store(tx: Write, system: IntegrationId, found: Sequence[DiscoveredPermission]) -> None:
    rows = [
        {
            "integration_id": system,
            "id": one.id,
            "name": one.name,
            "name_key": one.name.casefold(),
            "body": body_of(one.tags, one.context),
        }
        for one in found
    ]
    key, change = ("integration_id", "id"), ("name", "name_key", "body")
    batch.add(tx, PermissionRow, rows, key=key, change=change)
    values = {one.id: tags.values_of(one.tags, one.context) for one in found}
    tags.of_permissions(tx, system, values)
