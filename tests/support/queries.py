"""Random queries in AQL, and entitlements for them that are alike enough to be told apart."""

from hypothesis import strategies as st

from engine.aql.query import And, Condition, Not, Or
from engine.aql.tokens import FIELDS, LISTS, SCORES, Compared, Operator
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
    ResourceStatus,
)

# Case, what folds to two letters, what SQL and patterns take for more, what has to be escaped.
WORDS = ["", "a", "A", "ab", "ß", "SS", "İ", "i̇", "%", "_", "*", "a_b", 'a"b', "a\\b", "a\n", "\t"]
KEYS = ["env", "Env", "", 'a"]', "a\\"]
PARTS = frozenset(Operator) - LISTS - {Operator.EQUALS, Operator.NOT_EQUALS}

# All that a query can say: neither NUL nor halves of characters.
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
words = st.sampled_from(WORDS) | any_text
keys = st.sampled_from(KEYS) | any_text


@st.composite
def conditions(draw, operators=frozenset(Operator), fields=tuple(FIELDS)):
    name = draw(st.sampled_from([f for f in fields if operators & {*FIELDS[f].operators}]))
    kind = FIELDS[name]
    operator = draw(st.sampled_from([o for o in kind.operators if o in operators]))
    value = st.sampled_from([*SCORES]) if kind.compared is Compared.AS_RISK else words
    if operator in PARTS:
        value = value.filter(bool)
    values = draw(st.lists(value, min_size=1, max_size=3 if operator in LISTS else 1))
    return Condition(name, operator, tuple(values), draw(keys) if kind.keyed else "")


def _joined(parts):
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, parts) | st.builds(And, several) | st.builds(Or, several)


queries = st.recursive(conditions(), _joined, max_leaves=6)

_tags = st.dictionaries(keys, st.lists(words, max_size=2).map(tuple), max_size=2)
_risks = st.integers(1, 10)
entitlements = st.builds(
    Entitlement,
    st.just(EntitlementId(1)),
    st.builds(Integration, words.map(IntegrationId), words, st.just("file")),
    st.builds(
        Resource,
        st.sampled_from([ResourceId(1), ResourceId(12)]),
        type=words,
        name=words,
        path=words,
        source_id=words,
        risk=_risks,
        status=st.sampled_from(ResourceStatus),
        tags=_tags,
        context=_tags,
    ),
    st.builds(
        Permission,
        words.map(PermissionId),
        words,
        risk=_risks,
        tags=_tags,
        context=_tags,
    ),
)
