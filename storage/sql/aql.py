"""A query in AQL as SQL over entitlements and their resources.

It says of all what `engine.aql.predicate` says of one. Whatever stands in a query is bound, or is
one of the columns below. What is compared without case is stored casefolded: no database folds as
Unicode does, and SQLite's LIKE folds what it should not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Mapped
from sqlmodel import col

from engine.aql.query import And, Condition, Not, Or, Query, conditions
from engine.aql.tokens import FIELDS, NEGATIVE, SCORES, Compared, Field, Operator
from engine.inventory import ResourceStatus
from engine.request import LARGEST_ID
from storage.tables import (
    EntitlementRow,
    IntegrationRow,
    PermissionRow,
    PermissionTagRow,
    ResourceRow,
    ResourceTagRow,
)
from storage.types import among, position

__all__ = ["selected"]

Sql = ColumnElement[bool]
_Where = Callable[[Condition], Sql]

MANY = 20  # values, which are bound as one: a statement takes only so many
MOST_JOINED = 8  # tags that are asked for: PostgreSQL looks for the best order among so many

_RESOURCE_TAGS = frozenset({Field.RESOURCE_TAG, Field.RESOURCE_CONTEXT})


def selected(query: Query, dialect: str) -> Sql:
    """Return what holds for the entitlements that the query selects.

    It is asked of `EntitlementRow` joined with its `ResourceRow`, and is never NULL.
    """
    tags = sum(condition.field in _RESOURCE_TAGS for condition in conditions(query))
    return _Writing(dialect, joined=tags <= MOST_JOINED).query(query)


@dataclass(frozen=True, slots=True)
class _Writing:
    """How it is written: in which dialect; `joined`, PostgreSQL may make joins of tags."""

    dialect: str
    joined: bool

    def query(self, query: Query) -> Sql:
        match query:
            case Condition():
                return self.condition(query)
            case Not():
                return not_(self.query(query.part))
            case And():
                return and_(*map(self.query, query.parts))
            case Or():
                return or_(*map(self.query, query.parts))

    def condition(self, condition: Condition) -> Sql:
        if condition.operator in NEGATIVE:
            return not_(self.condition(replace(condition, operator=NEGATIVE[condition.operator])))
        if condition.field in _RESOURCE_TAGS:
            return self.tagged(condition)
        return _ASKED[condition.field](condition)

    def tagged(self, condition: Condition) -> Sql:
        having = (
            col(ResourceTagRow.context).is_(condition.field is Field.RESOURCE_CONTEXT),
            col(ResourceTagRow.key) == condition.key,
            _fits(col(ResourceTagRow.value_key), condition),
        )
        if self.dialect == "sqlite":  # it goes through such a list once
            return col(ResourceRow.id).in_(select(col(ResourceTagRow.resource_id)).where(*having))
        # PostgreSQL would go through a long list for each row, where NOT stands before it.
        one = exists().where(col(ResourceTagRow.resource_id) == col(ResourceRow.id), *having)
        return one if self.joined else _apart(one)


def _apart(asked: Sql) -> Sql:
    """Keep PostgreSQL from making a join of it: to plan five hundred of them takes minutes."""
    return asked.is_(true())


def _fits(column: Mapped[str], condition: Condition) -> Sql:
    """Compare a text, which is casefolded where its field is compared so."""
    folded = FIELDS[condition.field].compared is Compared.WITHOUT_CASE
    values = [value.casefold() if folded else value for value in condition.values]
    value = values[0]
    match condition.operator:
        case Operator.CONTAINS:
            return position(column, value) > 0
        case Operator.STARTS_WITH:
            return func.substr(column, 1, len(value)) == value
        case Operator.ENDS_WITH:
            return func.substr(column, func.length(column) - (len(value) - 1)) == value
        case _ if len(values) > MANY:
            return among(column, values=values)
        case _:
            return column == value if len(values) == 1 else column.in_(values)


def _scored(column: Mapped[int], condition: Condition) -> Sql:
    return column.in_(sorted(frozenset[int]().union(*(SCORES[v] for v in condition.values))))


def _resource(condition: Condition) -> Sql:
    ids = [int(v) for v in condition.values if len(v) < 11 and v.isascii() and v.isdecimal()]
    known = [id_ for id_ in ids if id_ <= LARGEST_ID and str(id_) in condition.values]
    if len(known) > MANY:
        return among(col(ResourceRow.id), values=known)
    return col(ResourceRow.id).in_(known) if known else false()


def _status(condition: Condition) -> Sql:
    here = select(col(IntegrationRow.id)).where(col(IntegrationRow.listed))
    connected = _apart(col(ResourceRow.integration_id).in_(here))
    seen = ResourceStatus.ACTIVE, ResourceStatus.GONE
    is_so = {s: and_(col(ResourceRow.status) == s.value, connected) for s in seen}
    is_so[ResourceStatus.DISCONNECTED] = not_(or_(*is_so.values()))
    asked = {value.casefold() for value in condition.values}
    return or_(false(), *(sql for status, sql in is_so.items() if status in asked))


def _system_called(condition: Condition) -> Sql:
    called = select(col(IntegrationRow.id)).where(_fits(col(IntegrationRow.name_key), condition))
    return _apart(col(ResourceRow.integration_id).in_(called))


_PERMISSIONS = select(col(PermissionRow.integration_id), col(PermissionRow.id))
_PERMISSIONS_TAGGED = select(col(PermissionTagRow.integration_id), col(PermissionTagRow.permission))


def _permission_called(condition: Condition) -> Sql:
    return _is_one_of(_PERMISSIONS.where(_fits(col(PermissionRow.name_key), condition)))


def _permission_tagged(condition: Condition) -> Sql:
    return _is_one_of(
        _PERMISSIONS_TAGGED.where(
            col(PermissionTagRow.context).is_(condition.field is Field.PERMISSION_CONTEXT),
            col(PermissionTagRow.key) == condition.key,
            _fits(col(PermissionTagRow.value_key), condition),
        )
    )


def _is_one_of(permissions: Select[str, str]) -> Sql:
    its = tuple_(col(ResourceRow.integration_id), col(EntitlementRow.permission))
    return _apart(its.in_(permissions))


_ASKED: Mapping[Field, _Where] = {
    Field.INTEGRATION: lambda c: _fits(col(ResourceRow.integration_id), c),
    Field.INTEGRATION_NAME: _system_called,
    Field.RESOURCE: _resource,
    Field.RESOURCE_TYPE: lambda c: _fits(col(ResourceRow.type_key), c),
    Field.RESOURCE_NAME: lambda c: _fits(col(ResourceRow.name_key), c),
    Field.RESOURCE_PATH: lambda c: _fits(col(ResourceRow.path_key), c),
    Field.RESOURCE_SOURCE_ID: lambda c: _fits(col(ResourceRow.source_id), c),
    Field.RESOURCE_STATUS: _status,
    Field.RESOURCE_RISK_LEVEL: lambda c: _scored(col(ResourceRow.risk), c),
    Field.PERMISSION: lambda c: _fits(col(EntitlementRow.permission), c),
    Field.PERMISSION_NAME: _permission_called,
    Field.PERMISSION_RISK_LEVEL: lambda c: _scored(col(EntitlementRow.risk), c),
    Field.PERMISSION_TAG: _permission_tagged,
    Field.PERMISSION_CONTEXT: _permission_tagged,
}
