"""Conditions and queries that say what is not wanted of what is not there; texts like patterns."""

from collections.abc import Iterable, Iterator

from engine.aql.query import And, Not, Or, Query
from engine.aql.query import Condition as Comparison
from engine.aql.tokens import FIELDS, NEGATIVE, quoted
from engine.conditions import Comparator, Condition, ConditionGroup, exact
from engine.crowd import Crowd
from engine.flow import AccessFlow
from engine.oddities.findings import Fault, Finding, Key, Offered, Reach, entitlements, first
from engine.words import no_pattern

_POSITIVE = {
    Comparator.IS_NOT: Comparator.IS,
    Comparator.DOES_NOT_CONTAIN: Comparator.CONTAINS,
}
_ALWAYS_THERE = frozenset({"user", "group", "on_call"})  # to be in none means something


def absent(flow: AccessFlow, crowd: Crowd) -> Iterator[Finding]:
    """Find conditions that whoever has no value fails, although they say what is not wanted."""
    negative = (c for c in _conditions(flow) if c.comparator.negative)
    for condition in (c for c in negative if c.attribute not in _ALWAYS_THERE):
        if missing := crowd.without(condition.attribute) & crowd.receiving:
            count = missing.bit_count()
            have = "person has" if count == 1 else "people have"
            sentence = f"{count:,} {have} no {condition.attribute}, and so fail “{condition}”."
            yield Finding(Fault.ABSENT, flow, sentence)


def patterns(flow: AccessFlow, crowd: Crowd) -> Iterator[Finding]:
    """Find texts that look like patterns, which are not offered, and fit nobody as they are."""
    for condition in (c for c in _conditions(flow) if not exact(c)):
        comparator = _POSITIVE.get(condition.comparator, condition.comparator)
        for value in condition.values:
            as_it_is = Condition(condition.attribute, comparator, (value,))
            hint = no_pattern(value, "contains", "starts with")
            if hint and not crowd.fulfilling(ConditionGroup((as_it_is,))):
                sentence = f"“{value}” of “{condition}” fits nobody: {hint}."
                yield Finding(Fault.PATTERN, flow, sentence)


def _conditions(flow: AccessFlow) -> Iterable[Condition]:
    """Return each condition on people, once."""
    revision = flow.revision
    groups = [revision.requestors, *(group.conditions for group in revision.deciders)]
    groups += [revision.grantees] if revision.grantees else []
    return dict.fromkeys(c for group in groups for c in group.conditions)


def absent_keys(reach: Reach, offered: Offered) -> Iterator[Finding]:
    """Find what a query selects for want of a key, by a test of what is not wanted under it."""
    denied: dict[Key, None] = dict.fromkeys(keys_denied(reach.flow.revision.offers))
    for name, key in denied:
        if missing := reach.offers & ~offered.having.get((name, key), 0):
            has = "has" if missing.bit_count() == 1 else "have"
            named = f"{name}[{quoted(key)}]"
            sentence = (
                f"{entitlements(missing)} of it {has} no {named}, of which a target says only "
                "what it must not be."
            )
            yield Finding(Fault.ABSENT, reach.flow, sentence, first(missing))


def keys_denied(query: Query | None, *, denied: bool = False) -> Iterator[Key]:
    """Yield the keys of which a query says what is not wanted. `denied`: it stands below a NOT."""
    match query:
        case Comparison() if FIELDS[query.field].keyed:
            if (query.operator in NEGATIVE) is not denied:
                yield query.field, query.key
        case Not():
            yield from keys_denied(query.part, denied=not denied)
        case And() | Or():
            for part in query.parts:
                yield from keys_denied(part, denied=denied)
