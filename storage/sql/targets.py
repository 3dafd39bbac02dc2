"""What flows select, as SQL over entitlements and their resources: `Selector.selects` of all."""

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlmodel import col

from engine.flow import Selector
from storage.tables import EntitlementRow, PermissionRow, ResourceRow

__all__ = ["selected"]

Sql = ColumnElement[bool]


def selected(selectors: Iterable[Selector]) -> Sql:
    """Return what holds for the entitlements that one of them selects."""
    return or_(false(), *map(_selects, selectors))


def _selects(selector: Selector) -> Sql:
    parts = [col(ResourceRow.integration_id) == selector.integration]
    if selector.types:
        parts.append(col(ResourceRow.type).in_(sorted(selector.types)))
    if selector.permissions:
        parts.append(_called(selector))
    if selector.names:
        parts.append(_named(selector.names))
    return and_(*parts)


def _called(selector: Selector) -> Sql:
    of = select(col(PermissionRow.id)).where(
        col(PermissionRow.integration_id) == selector.integration,
        col(PermissionRow.name).in_(sorted(selector.permissions)),
    )
    return col(EntitlementRow.permission).in_(of)


def _named(names: Collection[str]) -> Sql:
    known = sorted(names)
    return or_(col(ResourceRow.name_key).in_(known), col(ResourceRow.path_key).in_(known))
