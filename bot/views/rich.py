"""Rich text: what stands in it is shown letter by letter, whatever signs it has.

In mrkdwn nothing takes the meaning of a `*`, a backtick, a `:tada:` or a line's first `>` away, and
a line that somebody wrote looks like one of ours. So what people wrote, and what is there to be
copied, is told in these blocks: only what we say is code, a link or a quote is one.
"""

import re
from collections.abc import Iterator
from itertools import islice

from bot.views.text import ADDRESS, CODE, MORE, cut, legible
from bot.views.values import Block

__all__ = ["letters", "listing", "paragraph", "quotation", "rich_text", "told"]

_LINKS = 8  # each weighs as much as a line
_LISTINGS = 20  # a block takes 100 parts, and each 1,000: what follows is shown as it was written
_CODES = 200
_LINES = 20  # of a quote: what stands below it stays in reach
_LISTING = re.compile(r"\n?(```[^`]+```)\n?")
_GAP = re.compile(r"\n\s*\n")


def quotation(text: str, limit: int = 1200, *, lines: int = _LINES, title: str = "") -> list[Block]:
    """Quote what somebody wrote, as far as there is room, under a title of ours.

    Nothing, if nothing was written.
    """
    wrote = list(_wrote(_GAP.sub("\n\n", legible(text)), limit, lines))
    if not wrote:
        return []
    above = [paragraph(letters(title, bold=True))] if title else []
    return [rich_text(*above, {"type": "rich_text_quote", "elements": wrote})]


def told(text: str, limit: int = 2500) -> Block:
    """Say sentences of ours, in which names may be. What stands in backticks is code."""
    parts = _LISTING.split(cut(legible(text), limit) or "…", maxsplit=_LISTINGS)
    return rich_text(*(_part(part) for part in parts if part))


def rich_text(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def paragraph(*leaves: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(leaves)}


def listing(text: str) -> Block:
    return {"type": "rich_text_preformatted", "elements": [letters(text)]}


def letters(text: str, **style: bool) -> Block:
    leaf: Block = {"type": "text", "text": text}
    return leaf | {"style": style} if style else leaf


def _wrote(text: str, limit: int, lines: int) -> Iterator[Block]:
    shown = cut(text, limit)
    room = len(text) if shown == text else len(shown) - len(MORE)
    room = min(room, len("\n".join(text.split("\n")[:lines])))
    yield from _linked(text, room)
    if room < len(text):
        yield letters(MORE, italic=True)


def _linked(text: str, room: int) -> Iterator[Block]:
    """Yield so many of the letters; of the first addresses that are there to their end, links."""
    at = 0
    for found in islice(ADDRESS.finditer(text), _LINKS):
        if found.end() <= room:
            if at < found.start():
                yield letters(text[at : found.start()])
            yield {"type": "link", "url": found[0]}
            at = found.end()
    if at < room:
        yield letters(text[at:room])


def _part(part: str) -> Block:
    if _LISTING.fullmatch(part):
        return listing(part.strip("`"))
    said: list[Block] = []
    for piece in CODE.split(part, maxsplit=_CODES):
        if CODE.fullmatch(piece):
            said.append(letters(piece.strip("`"), code=True))
        else:
            said += _linked(piece, len(piece))
    return paragraph(*said)
