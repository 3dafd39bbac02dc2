"""What administrators say of risks, as company.yaml says it (docs/rules.md, *Risk*)."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationError, ValidationInfo

from engine.risk import OF_PERMISSIONS, OF_RESOURCES, PUBLISHED, Risks, Rule
from manifests.parts import Judged, Notes, Ours, Vocabulary, house, stated
from manifests.queries import read_query, refuse_fields, refuse_systems

__all__ = ["RisksDocument"]


def _where(text: object, info: ValidationInfo) -> object:
    query = read_query(text)
    refuse_systems(query, house(info))
    return query


_Where = Annotated[Any, PlainValidator(_where, json_schema_input_type=str)]  # a query
_Score = Annotated[int, Field(ge=1, le=10)]


class RiskRuleDocument(Judged):
    where: _Where
    resource: _Score | None = None
    permission: _Score | None = None

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        of = stated(said, "resource", "permission")
        if not of:
            notes.add("Say how risky that is: `resource`, `permission` or both, 1 to 10.")
        elif said.get("where") is not None:
            _judge_fields(said["where"], notes, of_resources="resource" in of)

    def rule(self) -> Rule:
        return Rule(self.where, self.resource, self.permission)


def _judge_fields(where: object, notes: Notes, *, of_resources: bool) -> None:
    try:
        query = read_query(where)
    except ValueError:
        return  # it is said of the query itself
    if of_resources:
        allowed = OF_RESOURCES
        why = "how risky a resource is hangs on nothing but itself and its system"
    else:
        allowed, why = OF_PERMISSIONS, "it is not known before the risk is"
    try:
        refuse_fields(query, allowed, why)
    except ValidationError as faults:
        notes.take(faults)


class RisksDocument(Ours):
    """`set` holds whatever a system says; `rules` stand in place of those that are published."""

    set: list[RiskRuleDocument] = Field(default_factory=list[RiskRuleDocument])
    rules: list[RiskRuleDocument] | None = None

    def risks(self) -> Risks:
        rules = PUBLISHED if self.rules is None else tuple(rule.rule() for rule in self.rules)
        return Risks(tuple(rule.rule() for rule in self.set), rules)
