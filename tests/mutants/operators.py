"""What is changed: comparisons, `and`/`or` and numbers, by Cosmic Ray's operators; and by two of
ours a statement, left out, and a member of an enum, exchanged.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators import (
    boolean_replacer,
    comparison_operator_replacement,
    number_replacer,
)
from cosmic_ray.operators.operator import Operator
from parso.python.tree import Keyword

# To its opposite, and to its neighbour: the others are no more than those.
_FLIPS = (
    "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is",
    "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt",
)  # fmt: skip
_KEPT = ("import_", "return_stmt", "raise_stmt", "pass_stmt", "break_stmt", "continue_stmt")


class RemoveStatement(Operator):  # type: ignore[misc]
    """Leaves out an expression or an assignment inside a function."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if _is_statement(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        del index
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> Sequence[Any]:
        return ()


class ExchangeMember(Operator):  # type: ignore[misc]
    """Takes the next member of the same enum, the first after the last."""

    def __init__(self, enums: Mapping[str, type[Enum]]) -> None:
        self._enums = enums

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if self._next(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        del index
        node.children[1].children[1].value = self._next(node)
        return node

    def _next(self, node: Any) -> str:
        if node.type not in {"power", "atom_expr"} or node.children[1].type != "trailer":
            return ""
        enum = self._enums.get(getattr(node.children[0], "value", ""))
        names = [member.name for member in enum] if enum else []
        named = node.children[1].children[1]
        if getattr(named, "value", "") not in names or len(names) < 2:
            return ""
        return names[(names.index(named.value) + 1) % len(names)]

    @classmethod
    def examples(cls) -> Sequence[Any]:
        return ()


def _is_statement(node: Any) -> bool:
    parent = node.parent
    if parent is None or parent.type != "simple_stmt" or node is not parent.children[0]:
        return False
    if node.type in _KEPT or node.type.startswith("import") or not _in_function(node):
        return False
    return node.type != "string"  # a docstring


def _in_function(node: Any) -> bool:
    while node := node.parent:
        if node.type == "funcdef":
            return True
    return False


def operators(enums: Mapping[str, type[Enum]]) -> Sequence[Operator]:
    flips = [
        getattr(comparison_operator_replacement, f"ReplaceComparisonOperator_{flip}")()
        for flip in _FLIPS
    ]
    return [
        *flips,
        boolean_replacer.ReplaceAndWithOr(),
        boolean_replacer.ReplaceOrWithAnd(),
        number_replacer.NumberReplacer(),
        RemoveStatement(),
        ExchangeMember(enums),
    ]


def occurrences(source: str, operator: Operator) -> int:
    """Count the places that the operator can change."""

    def count(node: Any) -> int:
        here = len(list(operator.mutation_positions(node)))
        return here + sum(count(child) for child in getattr(node, "children", ()))

    return count(get_ast(source))


def changed(source: str, operator: Operator, occurrence: int) -> str:
    """Return the source with that one place changed."""
    made: str = mutate_code(source, operator, occurrence)
    return made
