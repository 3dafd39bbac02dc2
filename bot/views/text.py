"""Text for Slack: names and sentences made harmless, everything cut to size.

What people wrote, and what shall be copied, stands in rich text (`rich`). Elsewhere a name goes
through `escape` or `code`, a sentence with names in it through `prose`. From there on it is mrkdwn,
in which every mark is Latchkey's own; `cut` may be used on mrkdwn at any time.
"""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from engine.directory import Directory, Person, PersonId
from engine.outcome import Refusal
from engine.request import OPERATOR, SYSTEM
from engine.words import in_a_row, visible

__all__ = [
    "ADDRESS",
    "CODE",
    "MORE",
    "capital",
    "code",
    "count",
    "cut",
    "cut_front",
    "dead_emoji",
    "escape",
    "in_a_row",
    "legible",
    "mention",
    "plain",
    "prose",
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
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Nothing takes the meaning of a mark in mrkdwn away. Between two letters it has none; elsewhere
# what looks like it stands in its place, as for a line's first `>` and an emoji's first colon.
_LIKE = str.maketrans("*_~`＊＿｀", "∗ˍ∼ˋ﹡ˍˋ")
_MARK = re.compile(r"[`＊＿｀]|(?<![A-Za-z0-9])[*_~]|[*_~](?![A-Za-z0-9])")
_QUOTING = re.compile(r"^(\s*)[>＞]", re.MULTILINE)
_EMOJI = re.compile(r":(?=[\w+'-]+(?:::[\w-]+)?:)")
CODE = re.compile(r"(```[^`]+```|`[^`\n]+`)")  # in sentences of ours
# An address behind `<` or `|` is somebody's attempt at markup of their own: it stays dead text. So
# does what Slack might not take for an address.
ADDRESS = re.compile(
    r"((?<![<|])\bhttps?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
    r"(?:[/?#](?:[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*[A-Za-z0-9_~/#=&+-])?)?)"
)
_TOKEN = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|.", re.DOTALL)


def escape(text: str) -> str:
    """Make mrkdwn of a name, on one line, in which nothing pings anybody or leads anywhere."""
    return _dead(_in_one_line(text)).translate(_ENTITIES)


def prose(text: str) -> str:
    """Make mrkdwn of sentences of ours, in which names may be.

    What stands in backticks is code. Bare web addresses become links, which show where they lead.
    """
    parts = CODE.split(legible(text))
    parts[::2] = map(_linked, parts[::2])
    parts[1::2] = [part.translate(_ENTITIES) for part in parts[1::2]]
    return "".join(parts)


def code(text: str, limit: int = 120) -> str:
    """Show a name as code; of a long one the end, which tells it apart from its neighbours."""
    inside = _in_one_line(text).replace("`", "ˋ").translate(_ENTITIES)
    return f"`{cut_front(inside, limit - 2) or '?'}`"


def cut(text: str, limit: int) -> str:
    """Cut mrkdwn to the limit, never within an entity or a `<…>`."""
    if size(text) <= limit:
        return text
    tokens = (found[0] for found in _TOKEN.finditer(text))
    return "".join(_first(tokens, limit - size(MORE))).rstrip() + MORE


def cut_front(text: str, limit: int) -> str:
    """Cut mrkdwn to the limit, leaving out its beginning."""
    if size(text) <= limit:
        return text
    return "…" + "".join(reversed(_first(_TOKEN.findall(text)[::-1], limit - 1))).lstrip()


def plain(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Make plain text of one line, within the limit, never empty."""
    text = _in_one_line(text) or "?"
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
    return f"<@{found.slack}>" if found.slack else plain_name(found)


def plain_name(person: Person, most: int = 100) -> str:
    """Name a person, so that Slack tells them nothing of it."""
    return cut(escape(person.name), most) or "somebody"


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


def legible(text: str) -> str:
    """Keep the lines, and show on each what is there."""
    return visible(_NEWLINE.sub("\n", text)).strip()


def dead_emoji(text: str) -> str:
    """Show the code of an emoji as it was written: Slack draws it in plain text, too."""
    return _EMOJI.sub("∶", text)


def _in_one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _linked(text: str) -> str:
    parts = ADDRESS.split(text)
    parts[::2] = [_dead(part).translate(_ENTITIES) for part in parts[::2]]
    parts[1::2] = [f"<{part.translate(_ENTITIES)}>" for part in parts[1::2]]
    return "".join(parts)


def _dead(text: str) -> str:
    text = _MARK.sub(lambda mark: mark[0].translate(_LIKE), text)
    return _QUOTING.sub(r"\1›", dead_emoji(text))


_size_of_token = lru_cache(maxsize=4096)(size)  # nearly all are letters


def _first(tokens: Iterable[str], limit: int) -> list[str]:
    kept: list[str] = []
    for token in tokens:
        limit -= _size_of_token(token)
        if limit < 0:
            break
        kept.append(token)
    return kept
