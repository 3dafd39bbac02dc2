"""What is wrong with a query, and where."""

from collections.abc import Sequence
from difflib import get_close_matches

from engine.errors import LatchkeyError

__all__ = ["BadQueryError", "either", "nearest"]

_ELSEWHERE = {  # what it is called in other languages
    "==": "=",
    "<>": "!=",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    "!": "not",
    "is": "=",
    "like": "contains",
}


class BadQueryError(LatchkeyError, ValueError):
    """A text is no query. Line and column count from 1, the column in characters.

    `nearest` is what could be meant instead of what was found, as it is written; or nothing.
    """

    def __init__(
        self, *, line: int, column: int, found: str, expected: str, nearest: str = ""
    ) -> None:
        meant = f" Did you mean {nearest}?" if nearest else ""
        super().__init__(
            f"Line {line}, column {column}: found {found}, expected {expected}.{meant}"
        )
        self.line, self.column = line, column
        self.found, self.expected, self.nearest = found, expected, nearest


def nearest(word: str, words: Sequence[str]) -> str:
    """Return which of the words could be meant, or nothing."""
    plain = word.casefold()
    if (known := _ELSEWHERE.get(plain)) in words:
        return known or ""
    ending = [w for w in words if w.endswith(f"_{plain}")]
    return next(iter(get_close_matches(plain, words, n=1) or ending), "")


def either(words: Sequence[str]) -> str:
    """Join words by commas and “or”."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
