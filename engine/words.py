"""What people write, as its reader sees it; and things in a row, as people say them."""

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["in_a_row", "line", "no_pattern", "quoted", "trimmed", "visible"]

# White space, control and format characters, halves of characters, marks without a letter.
_UNSEEN = {"Cc", "Cf", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"}
_FILLERS = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and signs that leave an empty space

_MARKS = str.maketrans("“”", '""')

# Control and format characters, halves of characters and private ones; what no font draws.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_JOINERS = "\u200c\u200d"
_VARIANTS, _KEYCAP = "\ufe0e\ufe0f", "\u20e3"
_PICTURES = frozenset("\u203c\u2049\u2139\u3030")  # of which the category does not tell
_BEFORE_A_JOINER = frozenset("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_VIRAMA = 9  # a combining class: of what joins two letters of India


def trimmed(text: str) -> str:
    """Return the text without white space around it; empty where there is nothing to see in it."""
    seen = any(c not in _FILLERS and unicodedata.category(c) not in _UNSEEN for c in text)
    return text.strip() if seen else ""


def line(text: str) -> str:
    """Return the text as one line, with nothing around it; empty as in `trimmed`."""
    return " ".join(trimmed(text).split())


def clause(text: str) -> str:
    """Return it as one line that another sentence goes on after: without a full stop at its end."""
    return line(text).removesuffix(".")


def quoted(text: str) -> str:
    """Return it as one line in quotation marks, which it cannot close by itself."""
    return f"“{line(text).translate(_MARKS)}”"


def visible(text: str) -> str:
    r"""Write what cannot be seen, or turns text around, as an escape such as `\u202e`.

    Line breaks and tabs stay, and so does what only makes one sign, or one shape, of several.
    """
    return _HIDDEN.sub(_escaped, text)


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


def _escaped(found: re.Match[str]) -> str:
    sign, text, at = found[0], found.string, found.start()
    if _joins(sign, text[at - 1 : at], text[at + 1 : at + 2]):
        return sign
    return f"\\u{ord(sign):04x}" if sign <= "\uffff" else f"\\U{ord(sign):08x}"


def _joins(sign: str, before: str, after: str) -> bool:
    """Tell whether it can be seen after all, by what it makes of what stands beside it."""
    if sign in _VARIANTS:
        return _is_picture(before) or after == _KEYCAP
    if "\U000e0100" <= sign <= "\U000e01ef":
        return before != "" and unicodedata.name(before, "").startswith("CJK")
    if sign not in _JOINERS or not (before and after):
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if sign == "\u200c":  # Persian: two letters that would be written together
        return unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"
    return _is_picture(after) and (_is_picture(before) or before in _BEFORE_A_JOINER)


def _is_picture(sign: str) -> bool:
    of_pictures = {"So", "Sm"}  # Sm: some arrows and squares
    return sign in _PICTURES or (not sign.isascii() and unicodedata.category(sign) in of_pictures)
