"""How risky things and permissions are: 1 (low) to 10 (critical), and never unknown.

An administrator says it, else the system does, else the first rule that fits, else it is 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.aql.parser import parse
from engine.aql.predicate import Predicate, predicate
from engine.aql.query import Query, conditions
from engine.aql.tokens import Field
from engine.inventory import (
    UNKNOWN_RISK,
    Entitlement,
    EntitlementId,
    Integration,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
)
from engine.port import Discovered, DiscoveredPermission

__all__ = ["OF_PERMISSIONS", "OF_RESOURCES", "PUBLISHED", "Risks", "Rule", "rated"]

_OF_SYSTEMS = {Field.INTEGRATION, Field.INTEGRATION_NAME}
# What rules may speak of: what is known of a thing before it is stored, other than its risk.
OF_RESOURCES = frozenset(
    {
        *_OF_SYSTEMS,
        Field.RESOURCE_TYPE,
        Field.RESOURCE_NAME,
        Field.RESOURCE_PATH,
        Field.RESOURCE_SOURCE_ID,
        Field.RESOURCE_TAG,
        Field.RESOURCE_CONTEXT,
    }
)
OF_PERMISSIONS = OF_RESOURCES | {
    Field.PERMISSION,
    Field.PERMISSION_NAME,
    Field.PERMISSION_TAG,
    Field.PERMISSION_CONTEXT,
}


_OF_THE_RESOURCE = OF_RESOURCES - _OF_SYSTEMS


@dataclass(frozen=True, slots=True)
class Rule:
    """What the query selects has these risks. None: the rule does not say."""

    where: Query
    resource: int | None = None
    permission: int | None = None


def _published(text: str, **risks: int) -> Rule:
    return Rule(parse(text), **risks)


def _called(what: Sequence[str], words: str) -> str:
    """Return what has one of the words in its name; `what`: the fields that are names of it."""
    return " or ".join(f'{name} contains "{word}"' for name in what for word in words.split())


_RESOURCE = "resource_name", "resource_path"
_PERMISSION = ("permission_name",)
_STAGES = ("env", "Env", "environment", "Environment", "stage", "Stage")


def _staged(stages: str) -> str:
    return " or ".join(f'resource_tag["{key}"] in ({stages})' for key in _STAGES)


# Of several that fit, the first counts. docs/rules.md prints them.
PUBLISHED: tuple[Rule, ...] = (
    _published(
        _called(
            _RESOURCE,
            "secret password credential payroll salary salaries payment iban passport",
        ),
        resource=8,
    ),
    _published(_staged('"prod", "production", "live"'), resource=7),
    _published(
        _called(_RESOURCE, "customer patient medical personal employee billing"),
        resource=6,
    ),
    _published(_staged('"dev", "development", "test", "testing", "sandbox", "demo"'), resource=3),
    _published(_called(_RESOURCE, "sandbox playground demo"), resource=3),
    _published(_called(_PERMISSION, "admin owner superuser root full"), permission=9),
    _published(_called(_PERMISSION, "delete drop destroy truncate"), permission=8),
    _published(
        _called(
            _PERMISSION,
            "write edit modify update create manage deploy maintain power",
        ),
        permission=6,
    ),
    _published(_called(_PERMISSION, "read view list describe connect"), permission=3),
)


@dataclass(frozen=True, slots=True)
class Risks:
    """What administrators say. `set`: whatever a system says. `rules`: where it says nothing."""

    set: tuple[Rule, ...] = ()
    rules: tuple[Rule, ...] = PUBLISHED


def rated(
    risks: Risks,
    system: Integration,
    found: Iterable[Discovered],
    described: Iterable[DiscoveredPermission] = (),
) -> list[Discovered]:
    """Return what was found in a system, each with a risk, and so with its permissions."""
    rating = _Rating(risks, system, {one.id: one for one in described})
    return [rating.rated(item) for item in found]


_Test = tuple[Predicate, int]


class _Rating:
    def __init__(
        self,
        risks: Risks,
        system: Integration,
        described: Mapping[PermissionId, DiscoveredPermission],
    ) -> None:
        self._system, self._described = system, described
        self._resource = _of(risks.set, "resource"), _of(risks.rules, "resource")
        self._permission = _of(risks.set, "permission"), _of(risks.rules, "permission")
        self._alike = not any(
            condition.field in _OF_THE_RESOURCE
            for rule in (*risks.set, *risks.rules)
            if rule.permission is not None
            for condition in conditions(rule.where)
        )
        self._known: dict[tuple[str, int], int] = {}

    def rated(self, item: Discovered) -> Discovered:
        if self._is_so(item):
            return item
        resource = Resource(
            ResourceId(0),
            item.type,
            item.name,
            item.path,
            item.source_id,
            UNKNOWN_RISK,
            tags=item.tags,
            context=item.context,
        )
        plain = self._entitlement(resource, PermissionId(""))
        return replace(
            item,
            risk=_said(plain, *self._resource, item.risk),
            permissions={
                id_: self._of_permission(resource, PermissionId(id_), risk)
                for id_, risk in item.permissions.items()
            },
        )

    def _of_permission(self, resource: Resource, id_: PermissionId, said: int) -> int:
        """Where no rule looks at the resource it is the same on all: there may be a million."""
        if self._alike and (known := self._known.get((id_, said))):
            return known
        found = _said(self._entitlement(resource, id_), *self._permission, said)
        self._known[id_, said] = found
        return found

    def _is_so(self, item: Discovered) -> bool:
        """Tell whether the system says all, and no administrator anything: so it mostly is."""
        said = item.risk and all(item.permissions.values())
        return bool(said) and not (self._resource[0] or self._permission[0])

    def _entitlement(self, resource: Resource, id_: PermissionId) -> Entitlement:
        one = self._described.get(id_) or DiscoveredPermission(id_, id_)
        permission = Permission(id_, one.name, UNKNOWN_RISK, tags=one.tags, context=one.context)
        return Entitlement(EntitlementId(0), self._system, resource, permission)


def _of(rules: Sequence[Rule], part: str) -> list[_Test]:
    said = ((rule.where, getattr(rule, part)) for rule in rules)
    return [(predicate(where), risk) for where, risk in said if risk is not None]


def _said(
    entitlement: Entitlement, first: Sequence[_Test], last: Sequence[_Test], known: int
) -> int:
    return _first(first, entitlement) or known or _first(last, entitlement) or UNKNOWN_RISK


def _first(tests: Sequence[_Test], entitlement: Entitlement) -> int | None:
    return next((risk for holds, risk in tests if holds(entitlement)), None)
