"""Access without end: what the administrators are told of it, and the list to end it from."""

from collections.abc import Sequence

from bot.views import ids, phrases
from bot.views.blocks import actions, button, context, message, modal, section
from bot.views.rich import told
from bot.views.text import capital, cut, escape, prose, when
from bot.views.values import Endless, Message, View
from engine.words import line

__all__ = ["endless", "endless_modal", "in_words"]

_NAMED, _LISTED = 10, 90  # requests: in the message, and in the list


def in_words(found: Sequence[Endless]) -> str:
    """Say how much there is, and name the first."""
    many = "1 access has" if len(found) == 1 else f"{len(found):,} accesses have"
    lines = [f"• {_named(one)}" for one in found[:_NAMED]]
    if more := len(found) - len(lines):
        lines.append(f"• and {more:,} more")
    return "\n".join([f"{many} no end. Is each still needed?", *lines])


def _named(one: Endless) -> str:
    """Name it in words of no markup: they are stored."""
    scene = one.scene
    grantee = scene.directory.get(scene.request.grantee)
    first, *others = scene.request.grants
    what = str(scene.entitlements.get(first.entitlement, "an access"))
    more = f" and {len(others)} more" if others else ""
    said = f"{grantee.name if grantee else 'Somebody'}: {what}{more} ({scene.request.code})"
    return line(f"{said}. {one.why_not}" if one.why_not else said)[:300]


def endless(detail: str) -> Message:
    """Say it once, with a button to the list."""
    said = f"♾️ {detail}"
    show = button("Show the list", ids.ENDLESS, "all", says="Show the list of access without end")
    return message(prose(said), [told(said), *actions([show])])


def endless_modal(found: Sequence[Endless]) -> View:
    """List it, each with the button to it, by which an administrator ends it."""
    if not found:
        return modal("Access without end", [section("There is none.")])
    shown = [
        section(_row(one), accessory=phrases.show_button(one.scene)) for one in found[:_LISTED]
    ]
    if more := len(found) - len(shown):
        shown.append(context(f"… and {more:,} more"))
    return modal("Access without end", shown)


def _row(one: Endless) -> str:
    scene, request = one.scene, one.scene.request
    who = capital(phrases.who(scene, request.grantee))
    since = f", since {when(request.confirmed_at)}" if request.confirmed_at else ""
    said = f"{who}: {phrases.what_in_short(scene)}{since}"
    return f"{said}\n⚠️ {cut(escape(one.why_not), 300)}" if one.why_not else said
