"""AQL as it is written: what is a query, what it means, and where a text is none, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aql.errors import BadQueryError
from engine.aql.explained import explain
from engine.aql.filters import to_filters
from engine.aql.parser import MAX_CONDITIONS, MAX_LENGTH, MAX_NESTING, parse
from engine.aql.predicate import matches
from engine.aql.query import And, Condition, Not, Or, all_of, any_of, conditions
from engine.aql.tokens import FIELDS, LISTS, TOKENS, Field, Operator
from tests.support.builders import entitlement
from tests.support.queries import any_text, queries


def is_(value):
    return Condition(Field.RESOURCE_TYPE, Operator.EQUALS, (value,))


A, B, C, D = map(is_, "abcd")


def written(text):
    """Write a query about single letters out."""
    return "".join(f'resource_type="{c}"' if c in "abcd" else c for c in text)


def letters(text):
    """Write a query with one letter for each condition: `a AND b`."""
    return " ".join(written(word) if len(word.strip("()")) == 1 else word for word in text.split())


def wrong(text):
    with pytest.raises(BadQueryError) as raised:
        parse(text)
    return raised.value


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", Operator)
@pytest.mark.parametrize("name", Field)
def test_each_field_takes_its_operators_and_no_other(name, operator):
    kind = FIELDS[name]
    key = '["k"]' if kind.keyed else ""
    values = '("1")' if operator in LISTS else '"1"'
    text = f"{name}{key} {operator} {values}"

    if operator in kind.operators:
        assert parse(text) == Condition(name, operator, ("1",), "k" if key else "")
    else:
        assert wrong(text).found == f"“{operator}”"


@pytest.mark.parametrize("name", Field)
def test_the_example_of_each_field_is_a_condition_on_it(name):
    assert parse(FIELDS[name].example).field is name
    assert str(parse(FIELDS[name].example)) == FIELDS[name].example


WHOLE = ["=", "!=", "in", "not_in"]
EIGHT = [*WHOLE, "contains", "not_contains", "starts_with", "ends_with"]


@pytest.mark.parametrize(
    ("names", "operators"),
    [
        (["integration", "resource", "permission"], WHOLE),
        (["resource_type", "resource_status"], WHOLE),
        (["integration_name", "resource_name", "permission_name", "resource_path"], EIGHT),
        (["resource_source_id"], EIGHT),
        (["resource_tag", "resource_context", "permission_tag", "permission_context"], EIGHT),
        (["resource_risk_level", "permission_risk_level"], WHOLE),
    ],
    ids=lambda words: words[0],
)
def test_the_operators_of_each_kind_of_field(names, operators):
    assert [list(FIELDS[Field(name)].operators) for name in names] == [operators] * len(names)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a", A),
        ("((a))", A),
        ("not a", Not(A)),
        ("not (not a)", Not(Not(A))),
        ("a and b and c", And((A, B, C))),
        ("a or b or c", Or((A, B, C))),
        ("a or b and c", Or((A, And((B, C))))),
        ("a and b or c and d", Or((And((A, B)), And((C, D))))),
        ("(a or b) and c", And((Or((A, B)), C))),
        ("not a and b", And((Not(A), B))),
        ("not a or b", Or((Not(A), B))),
        ("not (a and b) or c", Or((Not(And((A, B))), C))),
        ("a and not b", And((A, Not(B)))),
        ("(a and b) and c", And((And((A, B)), C))),
        ("a AND NOT b OR c", Or((And((A, Not(B))), C))),
        ("a and b OR c", Or((And((A, B)), C))),
    ],
)
def test_not_binds_tightest_then_and_then_or(text, query):
    assert parse(letters(text)) == query


@pytest.mark.parametrize(
    "text",
    [
        'resource_tag["env"]="prod"and(resource_type in("a","b"))',
        ' resource_tag [ "env" ] = "prod" and ( resource_type in ( "a" , "b" ) ) ',
        'resource_tag\n[\n"env"\n]\n=\n"prod"\r\nand\t(resource_type\u00a0in("a"\u2028,"b"))\n',
    ],
)
def test_white_space_and_newlines_between_tokens_are_free(text):
    assert parse(text) == And(
        (
            Condition(Field.RESOURCE_TAG, Operator.EQUALS, ("prod",), "env"),
            Condition(Field.RESOURCE_TYPE, Operator.IN, ("a", "b")),
        )
    )


@pytest.mark.parametrize(
    ("inside", "value"),
    [
        (r"\"", '"'),
        (r"\\", "\\"),
        (r"\n", "\n"),
        (r"\t", "\t"),
        (r"\\n", "\\n"),
        (r"a\\\"b", 'a\\"b'),
        ("a\tb", "a\tb"),
        ("and or ( [ ] ) ,", "and or ( [ ] ) ,"),
        ("%_*?", "%_*?"),
        ("'; drop table resource; --", "'; drop table resource; --"),
        ("Ünïcödé 🗝", "Ünïcödé 🗝"),
        ("", ""),
    ],
)
def test_a_value_means_what_it_says(inside, value):
    assert parse(f'resource_type = "{inside}"') == is_(value)
    assert parse(f'resource_tag["{inside}"] = "x"').key == value


@pytest.mark.parametrize("level", ["low", "medium", "high", "critical", *map(str, range(1, 11))])
def test_levels_and_scores_are_risks(level):
    assert parse(f'resource_risk_level in ("{level}")').values == (level,)


# --- what is written ------------------------------------------------------------------------------


@given(queries)
def test_what_is_printed_reads_as_what_it_was(query):
    assert parse(str(query)) == query
    assert hash(parse(str(query))) == hash(query)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (And((Or((A, B)), C)), "(a or b) and c"),
        (Or((And((A, B)), C)), "a and b or c"),
        (And((And((A, B)), C)), "(a and b) and c"),
        (Or((Or((A, B)), C)), "(a or b) or c"),
        (Not(A), "not a"),
        (Not(Not(A)), "not (not a)"),
        (Not(Or((A, B))), "not (a or b)"),
        (And((Not(A), B)), "not a and b"),
    ],
)
def test_it_is_written_with_no_more_brackets_than_it_needs(query, text):
    assert str(query) == letters(text).replace("=", " = ")


def test_keys_values_and_lists_are_written_as_they_are_read():
    query = Condition(Field.RESOURCE_TAG, Operator.NOT_IN, ('a"b', "c\\d\n\t"), 'k"')

    assert str(query) == r'resource_tag["k\""] not_in ("a\"b", "c\\d\n\t")'


def test_one_query_joined_is_that_query():
    assert all_of(A) == any_of(A) == A
    assert (all_of(A, B), any_of(A, B)) == (And((A, B)), Or((A, B)))


# --- what is none, where, and why -----------------------------------------------------------------

START = 'a field, not or "("'
JOIN = "and, or or the end"
TYPE = "an operator of resource_type: =, !=, in or not_in"
NAME = (
    "an operator of resource_name: "
    "=, !=, in, not_in, contains, not_contains, starts_with or ends_with"
)
VALUE = 'a value in straight double quotes: "…"'
RISK = 'low, medium, high, critical or a score from "1" to "10"'


@pytest.mark.parametrize(
    ("text", "line", "column", "found", "expected", "nearest"),
    [
        ("", 1, 1, "the end of the query", START, ""),
        (" \n\t ", 1, 1, "the end of the query", START, ""),
        ("Resource_Type", 1, 1, "“Resource_Type”", START, "resource_type"),
        ("resouce_tpye", 1, 1, "“resouce_tpye”", START, "resource_type"),
        ('tag["a"] = "b"', 1, 1, "“tag”", START, "resource_tag"),
        ('"resource_type" = "a"', 1, 1, '"resource_type"', START, "resource_type"),
        ('Not resource_type = "a"', 1, 1, "“Not”", START, "not"),
        ('!resource_type = "a"', 1, 1, "“!”", START, "not"),
        ("quux", 1, 1, "“quux”", START, ""),
        ("= ", 1, 1, "“=”", START, ""),
        ("()", 1, 2, "“)”", START, ""),
        ('resource_type = "a" and', 1, 24, "the end of the query", START, ""),
        ('resource_type = "a" and or', 1, 25, "“or”", START, ""),
        ('not not resource_type = "a"', 1, 5, "“not”", 'a field or "("', ""),
        ("resource_type", 1, 14, "the end of the query", TYPE, ""),
        ('resource_type == "a"', 1, 15, "“==”", TYPE, "="),
        ('resource_type <> "a"', 1, 15, "“<>”", TYPE, "!="),
        ('resource_type IS "a"', 1, 15, "“IS”", TYPE, "="),
        ('resource_type IN ("a")', 1, 15, "“IN”", TYPE, "in"),
        ('resource_type not in ("a")', 1, 15, "“not”", TYPE, "not_in"),
        ('resource_name NOT Contains "a"', 1, 15, "“NOT”", NAME, "not_contains"),
        ("resource_name not", 1, 15, "“not”", NAME, "not_in"),
        ('resource_type contains "a"', 1, 15, "“contains”", TYPE, ""),
        ('resource_type["a"] = "b"', 1, 14, "“[”", TYPE, ""),
        ('resource_name startswith "a"', 1, 15, "“startswith”", NAME, "starts_with"),
        ('resource_name like "a"', 1, 15, "“like”", NAME, "contains"),
        ('resource_tag = "a"', 1, 14, "“=”", 'resource_tag["key"]', ""),
        (
            'resource_tag[env] = "a"',
            1,
            14,
            "“env”",
            'the key in straight double quotes: ["key"]',
            '"env"',
        ),
        ('resource_tag["a" = "b"', 1, 18, "“=”", '"]" after the key', ""),
        ("resource_type =", 1, 16, "the end of the query", VALUE, ""),
        ("resource_type = prod", 1, 17, "“prod”", VALUE, '"prod"'),
        ("resource_type = 'prod'", 1, 17, "“'prod'”", VALUE, '"prod"'),
        ("resource_type = “prod”", 1, 17, "““prod””", VALUE, '"prod"'),
        ("resource_type = ‘my prod’", 1, 17, "“‘my”", VALUE, ""),
        ('resource_type = ("a")', 1, 17, "“(”", VALUE, ""),
        ('resource_type in "a"', 1, 18, '"a"', 'values in brackets: in ("…", "…")', ""),
        ("resource_type in ()", 1, 19, "“)”", VALUE, ""),
        ('resource_type in ("a",)', 1, 23, "“)”", VALUE, ""),
        ('resource_type in ("a" "b")', 1, 23, '"b"', '"," or ")"', ""),
        ('resource_type in ("a"', 1, 22, "the end of the query", '"," or ")"', ""),
        ('resource_type = "a" And', 1, 21, "“And”", JOIN, "and"),
        ('resource_type = "a" && x', 1, 21, "“&&”", JOIN, "and"),
        ('resource_type = "a" || x', 1, 21, "“||”", JOIN, "or"),
        ('resource_type = "a" "b"', 1, 21, '"b"', JOIN, ""),
        ('resource_type = "a", "b"', 1, 20, "“,”", JOIN, ""),
        ('resource_type = "a")', 1, 20, "“)”", JOIN, ""),
        (
            '\n (resource_type = "a"\n',
            2,
            22,
            "the end of the query",
            'and, or or ")" to close the bracket of line 2, column 2',
            "",
        ),
        (
            '((resource_type = "a"',
            1,
            22,
            "the end of the query",
            'and, or or ")" to close the bracket of line 1, column 2',
            "",
        ),
        ('resource_type = "a\\d"', 1, 19, "“\\d”", 'one of \\" \\\\ \\n \\t', ""),
        ('resource_type = "a\\', 1, 19, "“\\”", 'one of \\" \\\\ \\n \\t', ""),
        (
            'resource_type = "a\nb"',
            1,
            19,
            "a line break",
            "a double quote; in a value it is written \\n",
            "",
        ),
        (
            '\nresource_type = "a',
            2,
            19,
            "the end of the query",
            "a double quote to end the value of line 2, column 17",
            "",
        ),
        ('resource_risk_level = "hihg"', 1, 23, '"hihg"', RISK, '"high"'),
        ('resource_risk_level = "High"', 1, 23, '"High"', RISK, '"high"'),
        ('resource_risk_level = "0"', 1, 23, '"0"', RISK, ""),
        ('resource_risk_level = "11"', 1, 23, '"11"', RISK, ""),
        ('resource_risk_level = "07"', 1, 23, '"07"', RISK, ""),
        ('resource_risk_level = "٣"', 1, 23, '"٣"', RISK, ""),
        ('permission_risk_level in ("low", "")', 1, 34, '""', RISK, ""),
        ('resource_name contains ""', 1, 24, '""', "at least one character after contains", ""),
        (
            'resource_tag["a"] not_contains ""',
            1,
            32,
            '""',
            "at least one character after not_contains",
            "",
        ),
        (
            'resource_name starts_with ""',
            1,
            27,
            '""',
            "at least one character after starts_with",
            "",
        ),
        ('resource_name ends_with ""', 1, 25, '""', "at least one character after ends_with", ""),
        ('resource_type = "a"\nand 🗝 = "b"', 2, 5, "“🗝”", START, ""),
        ('resource_name = "🗝" \u200b', 1, 21, "“U+200B”", JOIN, ""),
        ("\x00", 1, 1, "the character U+0000", "one that a name can have", ""),
        ('resource_type = "\ud800"', 1, 18, "the character U+D800", "one that a name can have", ""),
        ("x" * 41, 1, 1, f"“{'x' * 39}…”", START, ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, line, column, found, expected, nearest):
    error = wrong(text)

    assert (error.line, error.column) == (line, column)
    assert (error.found, error.expected, error.nearest) == (found, expected, nearest)


def test_the_sentence_says_it_all():
    assert str(wrong('\nResource_Type = "table"')) == (
        'Line 2, column 1: found “Resource_Type”, expected a field, not or "(". '
        "Did you mean resource_type?"
    )
    assert str(wrong('resource_type = "table')) == (
        "Line 1, column 23: found the end of the query, "
        "expected a double quote to end the value of line 1, column 17."
    )


def test_a_query_of_ten_thousand_characters_is_one_and_of_one_more_is_none():
    text = 'resource_type = "a"'

    assert parse(text.ljust(MAX_LENGTH)) == A
    assert str(wrong(text.ljust(MAX_LENGTH + 1))) == (
        "Line 1, column 10001: found 10,001 characters, expected a query of at most 10,000."
    )


def test_five_hundred_conditions_are_a_query_and_one_more_is_none():
    condition = 'resource="1"'
    text = f"{condition}or " * (MAX_CONDITIONS - 1) + condition

    assert len(parse(text).parts) == MAX_CONDITIONS
    assert str(wrong(f"{text}\nor\n{condition}")) == (
        "Line 3, column 1: found condition 501, expected at most 500."
    )


def test_fifty_brackets_in_each_other_are_a_query_and_one_more_is_none():
    text = 'resource_type = "a"'
    deep = "(" * MAX_NESTING + text + ")" * MAX_NESTING

    assert parse(deep) == A
    assert parse(f"{deep} or {deep}") == Or((A, A))
    assert str(wrong(f"({deep})")) == (
        "Line 1, column 51: found “(”, expected brackets nested at most 50 deep."
    )


def test_the_deepest_query_can_be_used_as_any_other():
    condition = 'resource = "1"'
    text = f"{condition} or {condition} and not (" * MAX_NESTING + condition + ")" * MAX_NESTING
    query = parse(text)

    assert parse(str(query)) == query
    assert {parse(text): "found"}[query] == "found"
    assert matches(query, entitlement(1))
    assert not matches(query, entitlement(2))
    assert len(explain(query).splitlines()) > 3 * MAX_NESTING
    assert to_filters(query) is None


_PIECES = [*TOKENS, '"', '"a"', '"low"', "\\", "\n", " ", "x", "“", "\0", "=="]


@given(st.lists(st.sampled_from(_PIECES) | any_text).map(" ".join) | st.text())
def test_any_text_is_a_query_or_an_error_with_a_place_in_it(text):
    try:
        query = parse(text)
    except BadQueryError as wrong_there:
        error = wrong_there
    else:
        assert parse(str(query)) == query
        return
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert len(str(error)) < 500


@given(queries, st.data())
def test_a_query_with_a_piece_changed_is_a_query_or_an_error(query, data):
    text = str(query)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 5, len(text))))
    changed = text[:start] + data.draw(st.sampled_from(_PIECES)) + text[end:]

    try:
        read = parse(changed)
    except BadQueryError:
        return
    assert parse(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        '"' * 9_999,
        '"\\q' * 3_333,
        "(" * 10_000,
        "not " * 2_500,
        "=" * 10_000,
        "\n" * 10_000,
        "resource_tag[" * 700,
        'resource in ("' + '","' * 3_300,
        "x" * 10_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_are_refused(text):
    assert wrong(text).expected


def test_all_conditions_of_a_query_are_found_in_their_order():
    text = 'resource_type = "a" and not (resource_name = "b" or not resource_path = "c")'

    found = [condition.values for condition in conditions(parse(text))]

    assert found == [("a",), ("b",), ("c",)]
