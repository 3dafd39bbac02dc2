"""What flows select, as SQL over entitlements and their resources: `Selector.selects` of all."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlmodel import col

from engine.flow import Selector
from storage.tables import EntitlementRow, PermissionRow, ResourceRow
from storage.types import among

__all__ = ["selected"]

Sql = ColumnElement[bool]

_TOGETHER = 100  # in one bracket: SQLite goes down a level for each of a row


def selected(selectors: Iterable[Selector]) -> Sql:
    """Return what holds for the entitlements that one of them selects."""
    each = [_selects(selector) for selector in _merged(selectors)]
    if len(each) <= _TOGETHER:
        return or_(false(), *each)
    some = (each[at : at + _TOGETHER] for at in range(0, len(each), _TOGETHER))
    return or_(*(or_(*part).is_(true()) for part in some))  # brackets alone would be dissolved


def _merged(selectors: Iterable[Selector]) -> list[Selector]:
    """Make one of those that differ in names alone."""
    names: dict[Selector, frozenset[str]] = {}
    for selector in selectors:
        plain = replace(selector, names=frozenset())
        if not selector.names:
            names[plain] = frozenset()
        elif names.get(plain, selector.names):  # else all are selected, whatever they are called
            names[plain] = names.get(plain, frozenset()) | selector.names
    return [replace(plain, names=known) for plain, known in names.items()]


def _selects(selector: Selector) -> Sql:
    parts: list[Sql] = [col(ResourceRow.integration_id) == selector.integration]
    if selector.types:
        parts.append(among(col(ResourceRow.type), values=sorted(selector.types)))
    if selector.permissions:
        parts.append(_called(selector))
    if selector.names:
        parts.append(_named(selector.names))
    return and_(*parts)


def _called(selector: Selector) -> Sql:
    of = select(col(PermissionRow.id)).where(
        col(PermissionRow.integration_id) == selector.integration,
        among(col(PermissionRow.name), values=sorted(selector.permissions)),
    )
    return col(EntitlementRow.permission).in_(of)


def _named(names: Collection[str]) -> Sql:
    known = sorted(names)
    by_name = among(col(ResourceRow.name_key), values=known)
    return or_(by_name, among(col(ResourceRow.path_key), values=known))
