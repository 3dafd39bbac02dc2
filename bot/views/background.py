"""What helps to decide on a request: a line on the card of whoever may, and the rest under *More*.

It speaks of the grantee, and is for whoever may decide alone.
"""

from collections.abc import Callable, Collection
from typing import TypeVar

from bot.views import phrases
from bot.views.blocks import context, modal, section
from bot.views.text import capital, code, count, cut, escape, rows, when
from bot.views.values import Block, Scene, View
from engine.background import Background, Holding, Share
from engine.duration import in_words
from engine.inventory import Entitlement
from engine.request import AccessRequest, State

__all__ = ["in_a_line", "more_modal"]

T = TypeVar("T")

_REACHES = (("schemas", "schema"), ("tables", "table"))  # what is counted of a thing
_OUTCOMES = {
    State.PENDING_MFA: "waits for verification",
    State.PENDING: "waits for a decision",
    State.SCHEDULED: "is approved for later",
    State.GRANTING: "is being set up",
    State.ACTIVE: "runs",
    State.REVOKING: "is being taken away",
    State.CANCELLED: "was cancelled",
    State.TIMED_OUT: "lapsed",
    State.REJECTED: "was rejected",
    State.FAILED: "could not be given",
    State.EXPIRED: "ran to its end",
    State.RETURNED: "was returned",
    State.REVOKED: "was revoked",
}


def in_a_line(scene: Scene) -> list[Block]:
    """Say the most telling of it; nothing, to whom it is not to be said."""
    known = scene.background
    if known is None:
        return []
    said = [_had(known), _held(known), *map(_share, known.shares[:1])]
    whose = capital(phrases.who(scene, scene.request.grantee))
    return [context(f"{whose} {' · '.join(filter(None, said))}")]


def more_modal(scene: Scene) -> View:
    """Say all that helps to decide, each in a part of its own."""
    parts = (_earlier, _holdings, _groups, _reach)
    known = scene.background
    blocks = [block for part in parts for block in part(scene, known)] if known else []
    whom = phrases.who(scene, scene.request.grantee)
    about = f"{capital(phrases.what_in_short(scene))}\nfor {whom}"
    return modal(f"About {scene.request.code}", [section(about), *blocks])


def _had(known: Background) -> str:
    if any(holding.asked for holding in known.holds):
        return ""
    return f"last had it {when(known.last_had)}" if known.last_had else "has not had it before"


def _held(known: Background) -> str:
    if not known.holds:
        return "holds nothing there"
    first, *others = known.holds
    more = f" and {len(others)} more" if others else ""
    return f"holds {_holding(first)}{more}"


def _holding(holding: Holding) -> str:
    until = f"until {when(holding.ends_at)}" if holding.ends_at else "without end"
    return f"{_thing(holding.entitlement, 150)} {until}"


def _thing(entitlement: Entitlement, limit: int) -> str:
    return f"{code(entitlement.permission.name, 80)} on {code(entitlement.resource.path, limit)}"


def _share(share: Share) -> str:
    have = f"{share.have:,} of {share.people:,}" if share.have else f"none of {share.people:,}"
    return f"{have} in {cut(escape(share.group), 80)} {'has' if share.have < 2 else 'have'} it"


def _earlier(_scene: Scene, known: Background) -> list[Block]:
    if not known.past:
        return _part("Their last requests of it", "There was none before.")
    return _part("Their last requests of it", _list(known.past, _request))


def _request(request: AccessRequest) -> str:
    asked = f"{when(request.submitted_at)} for {in_words(request.duration)}"
    became = "was changed" if request.changed_to else _OUTCOMES[request.state]
    return f"{request.code}, {asked}: {became}"


def _holdings(scene: Scene, known: Background) -> list[Block]:
    there = phrases.system(scene)
    held = _list(known.holds, _holding) if known.holds else "Nothing."
    return _part(f"What they hold on {there}", held)


def _groups(_scene: Scene, known: Background) -> list[Block]:
    return _part("Who of their groups", _list(known.shares, _share)) if known.shares else []


def _reach(scene: Scene, _known: Background) -> list[Block]:
    return _part("What it reaches", _list([*scene.entitlements.values()], _reached))


def _reached(entitlement: Entitlement) -> str:
    """Say how much there is, as far as the system has said so."""
    of = entitlement.resource.context
    counted = [
        count(int(number), one)
        for key, one in _REACHES
        for number in of.get(key, ())
        if number.isdecimal()
    ]
    estimated = [f"about {count(int(n), 'row')}" for n in of.get("rows", ()) if n.isdecimal()]
    said = ", ".join([*counted, *estimated])
    thing = _thing(entitlement, 150)
    return f"{thing}: {said}" if said else thing


def _list(things: Collection[T], say: Callable[[T], str]) -> str:
    return rows(things, lambda thing: f"• {say(thing)}", limit=2500)


def _part(title: str, said: str) -> list[Block]:
    return [section(f"*{title}*\n{said}")]
