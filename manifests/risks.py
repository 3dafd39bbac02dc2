"""What administrators say of risks, as company.yaml says it (docs/rules.md, *Risk*)."""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationInfo, model_validator

from engine.risk import OF_PERMISSIONS, OF_RESOURCES, PUBLISHED, Risks, Rule
from manifests.parts import Ours, house
from manifests.queries import read_query, refuse_fields, refuse_systems

__all__ = ["RisksDocument"]


def _where(text: object, info: ValidationInfo) -> object:
    query = read_query(text)
    refuse_systems(query, house(info))
    return query


_Where = Annotated[Any, PlainValidator(_where, json_schema_input_type=str)]  # a query
_Score = Annotated[int, Field(ge=1, le=10)]


class RiskRuleDocument(Ours):
    where: _Where
    resource: _Score | None = None
    permission: _Score | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "RiskRuleDocument":
        if self.resource is None and self.permission is None:
            raise ValueError("Say how risky that is: `resource`, `permission` or both, 1 to 10.")
        if self.resource is not None:
            why = "how risky a resource is hangs on nothing but itself and its system"
            refuse_fields(self.where, OF_RESOURCES, why)
        else:
            why = "it is not known before the risk is"
            refuse_fields(self.where, OF_PERMISSIONS, why)
        return self

    def rule(self) -> Rule:
        return Rule(self.where, self.resource, self.permission)


class RisksDocument(Ours):
    """`set` holds whatever a system says; `rules` stand in place of those that are published."""

    set: list[RiskRuleDocument] = Field(default_factory=list[RiskRuleDocument])
    rules: list[RiskRuleDocument] | None = None

    def risks(self) -> Risks:
        rules = PUBLISHED if self.rules is None else tuple(rule.rule() for rule in self.rules)
        return Risks(tuple(rule.rule() for rule in self.set), rules)
