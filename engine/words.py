"""What people write, as its reader sees it."""

import unicodedata

__all__ = ["trimmed"]

# White space, control and format characters, halves of characters, marks without a letter.
_UNSEEN = {"Cc", "Cf", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"}
_FILLERS = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and signs that leave an empty space


def trimmed(text: str) -> str:
    """Return the text without white space around it; empty where there is nothing to see in it."""
    seen = any(c not in _FILLERS and unicodedata.category(c) not in _UNSEEN for c in text)
    return text.strip() if seen else ""
