"""Reads AQL, by hand and without recursion: brackets that are open are a list.

query     := or ;  or := and { OR and } ;  and := not { AND not } ;  not := [NOT] primary
primary   := "(" query ")" | field operator value | field ("in"|"not_in") "(" value {"," value} ")"
field     := name | name "[" string "]"
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from engine.aql import tokens
from engine.aql.errors import BadQueryError, either, nearest
from engine.aql.query import Condition, Not, Query, all_of, any_of
from engine.aql.tokens import FIELDS, LISTS, TOKENS, Field, Joiner, Operator, Sign

__all__ = ["MAX_CONDITIONS", "MAX_LENGTH", "MAX_NESTING", "parse"]

MAX_LENGTH = 10_000  # characters
MAX_CONDITIONS = 500
MAX_NESTING = 50  # brackets around a condition

# No text of a database has a NUL, or half of a character.
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")
_VALUE = re.compile(r'"(?:[^"\\\n]++|\\["\\nt])*+')
_QUOTE, _WORD = "['‘’‚“”„«»`]", r"[\w.:/-]+"
_BARE = re.compile(f"{_QUOTE}({_WORD}){_QUOTE}|({_WORD})")  # a value in other quotes, or in none
_SHOWN = 40  # characters of what was found


def parse(text: str) -> Query:
    """Read a query. Whatever is wrong with a text is a BadQueryError, and nothing else is."""
    return _Parser(text).query()


@dataclass(slots=True)
class _Level:
    """What was read so far inside of one bracket, or outside of all: ANDs, joined by OR."""

    bracket: int  # the number of its token
    alternatives: list[Query] = field(default_factory=list[Query])
    parts: list[Query] = field(default_factory=list[Query])
    negated: bool = False  # NOT stands before what comes next

    def add(self, part: Query) -> None:
        self.parts.append(Not(part) if self.negated else part)
        self.negated = False

    def alternative(self) -> None:
        self.alternatives.append(all_of(*self.parts))
        self.parts = []

    def query(self) -> Query:
        self.alternative()
        return any_of(*self.alternatives)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            found = f"{len(text):,} characters"
            self.fail_at(MAX_LENGTH, found, f"a query of at most {MAX_LENGTH:,}")
        if impossible := _IMPOSSIBLE.search(text):
            found = f"the character U+{ord(impossible[0]):04X}"
            self.fail_at(impossible.start(), found, "one that a name can have")
        self.tokens = tokens.scan(text)
        self.tokens.append("")  # the end
        self.at = 0  # the number of the token that is next
        self.conditions = 0

    def query(self) -> Query:
        levels = [_Level(self.at)]
        while True:
            self.begin(levels)
            levels[-1].add(self.condition(after_not=levels[-1].negated))
            while len(levels) > 1 and self.tokens[self.at] == Sign.CLOSE:
                self.at += 1
                inside = levels.pop().query()
                levels[-1].add(inside)
            match TOKENS.get(self.tokens[self.at]):
                case Joiner.AND:
                    pass
                case Joiner.OR:
                    levels[-1].alternative()
                case _ if len(levels) == 1 and self.at == len(self.tokens) - 1:
                    return levels[0].query()
                case _:
                    self.fail_to_join(levels)
            self.at += 1

    def begin(self, levels: list[_Level]) -> None:
        """Take up what may stand before a condition: NOT, once, and brackets."""
        while True:
            level = levels[-1]
            match TOKENS.get(self.tokens[self.at]):
                case Joiner.NOT if not level.negated:
                    level.negated = True
                case Sign.OPEN if len(levels) > MAX_NESTING:
                    self.fail(f"brackets nested at most {MAX_NESTING} deep")
                case Sign.OPEN:
                    levels.append(_Level(self.at))
                case _:
                    return
            self.at += 1

    def condition(self, *, after_not: bool) -> Condition:
        name = TOKENS.get(self.tokens[self.at])
        if not isinstance(name, Field):
            starts = [] if after_not else [Joiner.NOT]
            self.fail(either(["a field", *starts, '"("']), [*FIELDS, *starts])
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            start = tokens.place(self.text, self.at)
            self.fail_at(start, f"condition {self.conditions}", f"at most {MAX_CONDITIONS}")
        self.at += 1
        key = self.key(name) if FIELDS[name].keyed else ""
        operator = TOKENS.get(self.tokens[self.at])
        if not isinstance(operator, Operator) or operator not in FIELDS[name].operators:
            known, word = list(FIELDS[name].operators), self.tokens[self.at].casefold()
            meant = nearest(f"not_{self.tokens[self.at + 1]}", known) if word == "not" else ""
            self.fail(f"an operator of {name}: {either(known)}", known, meant=meant)
        self.at += 1
        if operator in LISTS:
            return Condition(name, operator, self.values(name, operator), key)
        return Condition(name, operator, (self.value(name, operator),), key)

    def key(self, name: Field) -> str:
        self.sign(Sign.OPEN_KEY, f'{name}["key"]')
        key = self.string('the key in straight double quotes: ["key"]')
        self.sign(Sign.CLOSE_KEY, '"]" after the key')
        return key

    def values(self, name: Field, operator: Operator) -> tuple[str, ...]:
        self.sign(Sign.OPEN, f'values in brackets: {operator} ("…", "…")')
        values = [self.value(name, operator)]
        while self.tokens[self.at] == Sign.COMMA:
            self.at += 1
            values.append(self.value(name, operator))
        self.sign(Sign.CLOSE, '"," or ")"')
        return tuple(values)

    def value(self, name: Field, operator: Operator) -> str:
        value = self.string('a value in straight double quotes: "…"')
        if expected := tokens.instead_of(name, operator, value):
            self.at -= 1
            meant = nearest(value, list(tokens.RISKS))
            self.fail(expected, meant=meant and tokens.quoted(meant))
        return value

    def string(self, expected: str) -> str:
        token = self.tokens[self.at]
        if token[:1] != '"':
            bare = _BARE.fullmatch(token)
            self.fail(expected, meant=tokens.quoted(bare[1] or bare[2]) if bare else "")
        if len(token) == 1:
            self.fail_inside()
        self.at += 1
        return tokens.unquoted(token)

    def sign(self, sign: Sign, expected: str) -> None:
        if self.tokens[self.at] != sign:
            self.fail(expected)
        self.at += 1

    def fail(self, expected: str, words: Sequence[str] = (), *, meant: str = "") -> NoReturn:
        """Say that the next token is none of what is expected; `words` are all that could be."""
        token = self.tokens[self.at]
        found = _shown(token) if token else "the end of the query"
        if token and not meant:
            meant = nearest(token.strip('"'), words)
        self.fail_at(tokens.place(self.text, self.at), found, expected, meant)

    def fail_to_join(self, levels: list[_Level]) -> NoReturn:
        last = "the end"
        if len(levels) > 1:
            line, column = self.position(tokens.place(self.text, levels[-1].bracket))
            last = f'")" to close the bracket of line {line}, column {column}'
        joiners = [Joiner.AND, Joiner.OR]
        self.fail(either([*joiners, last]), joiners)

    def fail_inside(self) -> NoReturn:
        """Say what keeps the value that begins here from its end."""
        start = tokens.place(self.text, self.at)
        end = whole.end() if (whole := _VALUE.match(self.text, start)) else start
        match self.text[end : end + 1]:
            case "\\":
                self.fail_at(end, _shown(self.text[end : end + 2]), 'one of \\" \\\\ \\n \\t')
            case "\n":
                self.fail_at(end, "a line break", "a double quote; in a value it is written \\n")
            case _:
                line, column = self.position(start)
                opened = f"a double quote to end the value of line {line}, column {column}"
                self.fail_at(end, "the end of the query", opened)

    def fail_at(self, offset: int, found: str, expected: str, meant: str = "") -> NoReturn:
        line, column = self.position(offset)
        raise BadQueryError(line=line, column=column, found=found, expected=expected, nearest=meant)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1."""
        before = self.text[:offset]
        return before.count("\n") + 1, offset - before.rfind("\n")


def _shown(token: str) -> str:
    """Return a token for a sentence: not too long, and with nothing that cannot be seen."""
    cut = token if len(token) <= _SHOWN else f"{token[: _SHOWN - 1]}…"
    seen = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in cut)
    return seen if token.startswith('"') and len(token) > 1 else f"“{seen}”"
