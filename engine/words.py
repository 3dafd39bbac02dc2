"""What people write, as its reader sees it; and things in a row, as people say them."""

import unicodedata
from collections.abc import Sequence

__all__ = ["in_a_row", "no_pattern", "trimmed"]

# White space, control and format characters, halves of characters, marks without a letter.
_UNSEEN = {"Cc", "Cf", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"}
_FILLERS = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and signs that leave an empty space


def trimmed(text: str) -> str:
    """Return the text without white space around it; empty where there is nothing to see in it."""
    seen = any(c not in _FILLERS and unicodedata.category(c) not in _UNSEEN for c in text)
    return text.strip() if seen else ""


def no_pattern(text: str, *instead: str) -> str:
    """Say what to write in place of a pattern, as the rest of a sentence; empty: it is like none.

    Patterns are offered nowhere, and each language has words of its own `instead`.
    """
    said = f"a * stands for itself alone: write {in_a_row(instead, last='or')}"
    return said if "*" in text else ""


def in_a_row(things: Sequence[str], most: int = 5, *, last: str = "and") -> str:
    """Join as people do: `a, b and c`; of too many the rest is counted."""
    shown = list(things[:most])
    if hidden := len(things) - len(shown):
        shown.append(f"{hidden} more")
    return f" {last} ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""
