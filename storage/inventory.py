"""What can be had in the systems, by its names, and by a query."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true, tuple_
from sqlalchemy.orm import Mapped
from sqlmodel import col

from engine.aql.errors import nearest
from engine.aql.parser import parse
from engine.aql.query import Condition, Query, conditions
from engine.aql.tokens import FIELDS, NEGATIVE, Compared, Field, Operator
from engine.aql.unheard import Unheard, is_pattern
from engine.inventory import Entitlement, EntitlementId, IntegrationId, ResourceStatus
from engine.request import LARGEST_ID
from storage.database import Read
from storage.entitlements import ITS_PERMISSION, entitlement_query, to_entitlement
from storage.sql import aql, targets
from storage.tables import (
    EntitlementRow,
    IntegrationRow,
    PermissionRow,
    PermissionTagRow,
    ResourceRow,
    ResourceTagRow,
)

Offer = tuple[str, str]  # of a resource, and what can be had on it
Names = Mapping[IntegrationId, Mapping[Offer, set[str]]]

ACTIVE = parse('resource_status = "active"')

_ORDER = (
    col(ResourceRow.integration_id),
    col(ResourceRow.path_key),
    col(ResourceRow.id),
    col(EntitlementRow.permission),
)


def names(session: Read, integration: IntegrationId | None = None) -> Names:
    """Return the names and paths of what can be had, by system: in all, or in one."""
    query = (
        select(
            col(IntegrationRow.id),
            col(ResourceRow.type),
            func.coalesce(col(PermissionRow.name), col(EntitlementRow.permission)),
            col(ResourceRow.name_key),
            col(ResourceRow.path_key),
        )
        .select_from(EntitlementRow)
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
        .outerjoin(PermissionRow, ITS_PERMISSION)
        .where(
            col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
            col(EntitlementRow.offered),
            col(IntegrationRow.listed),
        )
    )
    if integration is not None:
        query = query.where(col(IntegrationRow.id) == integration)
    found: dict[IntegrationId, dict[Offer, set[str]]] = {}
    for system, type_, permission, *known_as in session.execute(query):
        of = found.setdefault(IntegrationId(system), defaultdict(set))
        of[type_, permission].update(known_as)
    return found


def count(
    session: Read, query: Query | None = None, within: Collection[Query] | None = None
) -> int:
    """Count what a query selects, as `page` lists it."""
    found = (
        select(func.count())
        .select_from(EntitlementRow)
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .where(*_these(session, query, within))
    )
    ((total,),) = _asked(session, found)
    return int(total)


def is_any(session: Read, query: Query) -> bool:
    """Tell whether a query selects anything of what was not withdrawn."""
    found = (
        select(col(EntitlementRow.id))
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .where(*_these(session, query, None))
    )
    return bool(_asked(session, found.limit(1)))


def page(
    session: Read,
    query: Query | None = None,
    within: Collection[Query] | None = None,
    *,
    after: EntitlementId | None = None,
    limit: int,
) -> list[Entitlement]:
    """Return what a query selects of all that was not withdrawn, by system, path and permission.

    `query` None: everything. `within`: of what one of these selects, alone. `after`: what comes
    after this one; where that is there no more, from the beginning.
    """
    these = entitlement_query().where(*_these(session, query, within))
    if after is not None:
        last = select(*_ORDER).join(EntitlementRow).where(col(EntitlementRow.id) == after)
        for place in _asked(session, last):
            these = these.where(tuple_(*_ORDER) > tuple_(*place))
    found = _asked(session, these.order_by(*_ORDER).limit(limit))
    return [to_entitlement(row) for row in found]


_VOCABULARY: Mapping[Field, Mapped[str]] = {
    Field.INTEGRATION: col(IntegrationRow.id),
    Field.INTEGRATION_NAME: col(IntegrationRow.name_key),
    Field.RESOURCE_TYPE: col(ResourceRow.type_key),
    Field.RESOURCE_STATUS: col(ResourceRow.status),
    Field.PERMISSION: col(PermissionRow.id),
    Field.PERMISSION_NAME: col(PermissionRow.name_key),
}
_OF_RESOURCES = col(ResourceTagRow.context), col(ResourceTagRow.key), col(ResourceTagRow.value_key)
_OF_PERMISSIONS = (
    col(PermissionTagRow.context),
    col(PermissionTagRow.key),
    col(PermissionTagRow.value_key),
)
_KEYS: Mapping[Field, tuple[Mapped[bool], Mapped[str], Mapped[str]]] = {
    Field.RESOURCE_TAG: _OF_RESOURCES,
    Field.RESOURCE_CONTEXT: _OF_RESOURCES,
    Field.PERMISSION_TAG: _OF_PERMISSIONS,
    Field.PERMISSION_CONTEXT: _OF_PERMISSIONS,
}
_CONTEXT = {Field.RESOURCE_CONTEXT, Field.PERMISSION_CONTEXT}
_WHOLE = {Operator.EQUALS, Operator.IN, Operator.NOT_EQUALS, Operator.NOT_IN}


def unknown(session: Read, query: Query) -> list[Unheard]:
    """Return the words of a query that nothing has, each once."""
    found = (word for condition in conditions(query) for word in _unknown(session, condition))
    return list(dict.fromkeys(found))


def _unknown(session: Read, condition: Condition) -> Iterator[Unheard]:
    if condition.field in _KEYS:
        yield from _unknown_tags(session, condition)
    elif condition.field is Field.RESOURCE:
        yield from _unknown_ids(session, condition)
    else:
        yield from _unknown_values(session, condition)
    yield from _patterns(session, condition)


def _unknown_values(session: Read, condition: Condition) -> Iterator[Unheard]:
    column = _VOCABULARY.get(condition.field)
    if column is None or condition.operator not in _WHOLE:
        return
    folded = FIELDS[condition.field].compared is Compared.WITHOUT_CASE
    if condition.field is Field.RESOURCE_STATUS:
        there = {status.value for status in ResourceStatus}
    else:
        there = {str(word) for (word,) in _asked(session, select(column).distinct())}
    for value in condition.values:
        known = (value.casefold() if folded else value) in there
        if not known and not is_pattern(condition.field, value):
            yield Unheard.of(condition, value, nearest(value, sorted(there)))


def _unknown_ids(session: Read, condition: Condition) -> Iterator[Unheard]:
    numbers = [int(value) for value in condition.values if value.isdecimal()]
    asked = [number for number in numbers if number <= LARGEST_ID]
    ids = select(col(ResourceRow.id)).where(col(ResourceRow.id).in_(asked))
    there = {str(id_) for (id_,) in _asked(session, ids)}
    for value in condition.values if condition.operator in _WHOLE else ():
        if value not in there:
            yield Unheard.of(condition, value)


def _unknown_tags(session: Read, condition: Condition) -> Iterator[Unheard]:
    context, key, its_value = _KEYS[condition.field]
    here = context.is_(condition.field in _CONTEXT)
    if not _asked(session, select(key).where(here, key == condition.key).limit(1)):
        keys = {str(word) for (word,) in _asked(session, select(key).where(here).distinct())}
        yield Unheard.of(condition, None, nearest(condition.key, sorted(keys)))
        return
    if condition.operator in _WHOLE:
        of_key = select(its_value).where(here, key == condition.key).distinct()
        there = {str(word) for (word,) in _asked(session, of_key)}
        for value in condition.values:
            if not is_pattern(condition.field, value) and value.casefold() not in there:
                yield Unheard.of(condition, value, nearest(value, sorted(there)))


def _patterns(session: Read, condition: Condition) -> Iterator[Unheard]:
    """Yield which values look like patterns, where nothing has them as they are."""
    operator = NEGATIVE.get(condition.operator, condition.operator)
    operator = Operator.EQUALS if operator is Operator.IN else operator
    for value in condition.values:
        as_it_is = replace(condition, operator=operator, values=(value,))
        if is_pattern(condition.field, value) and not is_any(session, as_it_is):
            yield Unheard.of(condition, value)


def _these(
    session: Read, query: Query | None, within: Collection[Query] | None
) -> tuple[ColumnElement[bool], ...]:
    return (
        col(EntitlementRow.offered).is_(true()),
        true() if query is None else aql.selected(query, session.dialect),
        true() if within is None else targets.selected(within, session.dialect),
    )


def _asked(session: Read, statement: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Ask what is asked once: how it is written is not kept."""
    found = session.execute(statement, execution_options={"compiled_cache": None})
    return [tuple(row) for row in found]
