"""Text for Slack: what people typed made harmless, everything cut to size.

Text that people typed goes through `escape`, `prose`, `quote` or `code`. From there on it is
mrkdwn, in which every `<…>` is Latchkey's own; `cut` may be used on mrkdwn at any time.
"""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from engine.directory import Directory, PersonId
from engine.outcome import Refusal
from engine.request import OPERATOR, SYSTEM
from engine.words import in_a_row

__all__ = [
    "capital",
    "code",
    "count",
    "cut",
    "cut_front",
    "escape",
    "in_a_row",
    "mention",
    "plain",
    "prose",
    "quote",
    "refusal",
    "refusal_in_plain_text",
    "rows",
    "size",
    "verbatim",
    "when",
]

MORE = "… more"

T = TypeVar("T")

_NEWLINE = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters, halves of characters, and marks that turn text around, so that it reads
# otherwise than it is.
_HIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# An address behind `<` or `|` is somebody's attempt at markup of their own: it stays dead text.
_ADDRESS = re.compile(r"((?<![<|])\bhttps?://[^\s<>|]+)")
_TOKEN = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|.", re.DOTALL)


def escape(text: str) -> str:
    """Make mrkdwn in which the text pings nobody and links nowhere."""
    return _clean(text).translate(_ENTITIES)


def prose(text: str) -> str:
    """Escape the text. Bare web addresses become links, which show where they lead."""
    parts = _ADDRESS.split(_clean(text))
    parts = [part.translate(_ENTITIES) for part in parts]
    parts[1::2] = [f"<{address}>" for address in parts[1::2]]
    return "".join(parts)


def quote(text: str, limit: int) -> str:
    """Quote what somebody wrote, on as many lines as they used; empty text stays empty."""
    said = re.sub(r"\s*\n\s*", "\n", prose(text))
    marked = said.replace("\n", "\n> ")
    return f"> {cut(marked, limit - 2)}" if said else ""


def code(text: str, limit: int = 120) -> str:
    """Show a name as code; of a long one the end, which tells it apart from its neighbours."""
    inside = re.sub(r"\s+", " ", escape(text)).replace("`", "'")
    return f"`{cut_front(inside, limit - 2) or '?'}`"


def cut(text: str, limit: int) -> str:
    """Cut mrkdwn to the limit, never within an entity or a `<…>`."""
    if size(text) <= limit:
        return text
    tokens = (found[0] for found in _TOKEN.finditer(text))
    kept = "".join(_first(tokens, limit - size(MORE))).rstrip()
    return kept.removesuffix("\n>") + MORE  # no line of a quote that is its mark alone


def cut_front(text: str, limit: int) -> str:
    """Cut mrkdwn to the limit, leaving out its beginning."""
    if size(text) <= limit:
        return text
    return "…" + "".join(reversed(_first(_TOKEN.findall(text)[::-1], limit - 1))).lstrip()


def plain(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Make plain text of one line, within the limit, never empty."""
    text = re.sub(r"\s+", " ", _clean(text)) or "?"
    if size(text) <= limit:
        return text
    if keep_end:
        return "…" + "".join(reversed(_first(text[::-1], limit - 1))).lstrip()
    return "".join(_first(text, limit - 1)).rstrip() + "…"


def verbatim(text: str, limit: int) -> str:
    """Leave the text as it is, letter by letter, but for halves of characters and the limit."""
    return text[:limit].encode(errors="replace").decode()


def size(text: str) -> int:
    """Count characters as strictly as Slack may: UTF-16 units, quotes and newlines twice."""
    units = len(text.encode("utf-16-le", errors="surrogatepass")) // 2
    return units + sum(map(text.count, '"\\\n\t'))


def when(moment: datetime) -> str:
    """Say a moment in the reader's own time zone."""
    utc = moment.astimezone(UTC)
    return f"<!date^{int(utc.timestamp())}^{{date_short_pretty}} at {{time}}|{_in_utc(utc)}>"


def mention(person: PersonId, directory: Directory, viewer: PersonId | None = None) -> str:
    """Name a person, so that Slack shows who it is; whoever reads it is “you”."""
    if person == viewer:
        return "you"
    if person == SYSTEM:
        return "Latchkey"
    if person == OPERATOR:
        return "an operator"
    found = directory.get(person)
    if found is None:
        return "somebody"
    return f"<@{found.slack}>" if found.slack else cut(escape(found.name), 100) or "somebody"


def count(number: int, one: str, several: str = "") -> str:
    """Say how many of something there are."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def rows(things: Collection[T], say: Callable[[T], str], limit: int, most: int = 10) -> str:
    """Say one under the other what fits, whole, and count the rest."""
    shown: list[str] = []
    room = limit - 20  # for the count
    for line in map(say, islice(things, most)):
        room -= size(line) + 2
        if room < 0:
            break
        shown.append(line)
    if hidden := len(things) - len(shown):
        shown.append(f"… and {hidden} more")
    return "\n".join(shown)


def refusal(refused: Refusal) -> str:
    """Say a refusal in mrkdwn, with its moment."""
    moment = when(refused.at) if refused.at else ""
    return _sentence(cut(prose(refused.sentence), 1500), moment)


def refusal_in_plain_text(refused: Refusal) -> str:
    """Say a refusal where Slack shows no mrkdwn: at a field of a form."""
    moment = _in_utc(refused.at.astimezone(UTC)) if refused.at else ""
    return _sentence(plain(refused.sentence, 1500), moment)


def _sentence(said: str, moment: str) -> str:
    if not moment:
        return said if said.endswith((".", "!", "?", "…", MORE)) else f"{said}."
    return f"{said} ({moment})" if said.endswith(".") else f"{said} {moment}."


def _in_utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _clean(text: str) -> str:
    """Keep what can be shown, with newlines of one kind."""
    return _HIDDEN.sub("", _NEWLINE.sub("\n", text)).strip()


_size_of_token = lru_cache(maxsize=4096)(size)  # nearly all are letters


def _first(tokens: Iterable[str], limit: int) -> list[str]:
    kept: list[str] = []
    for token in tokens:
        limit -= _size_of_token(token)
        if limit < 0:
            break
        kept.append(token)
    return kept
