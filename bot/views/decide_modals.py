"""The forms of an approver: approve, with a shorter time if they like, and reject.

What is to be decided stands first. Of what it is about a form says as much as fits below on a
phone, and the rest when it is asked to: whoever decides comes from a card that says it all.
"""

from datetime import timedelta

from bot.views import ids, phrases
from bot.views.asking import last_question
from bot.views.blocks import (
    actions,
    button,
    context,
    fields,
    input_,
    modal,
    option,
    plain_text,
    section,
)
from bot.views.cards import request_card
from bot.views.things import BOXES, MENU, left_out_field, options_of, ticked_field
from bot.views.values import Block, Ending, Scene, View
from engine.commands import Cancel
from engine.duration import HINT, hint_below, in_words, parse
from engine.flow import MAX_REASON, MIN_DURATION
from engine.request import GrantState
from engine.words import in_a_row

__all__ = ["approve_modal", "end_modal", "is_whole", "leaving_out", "reject_modal"]

_WHOLE = "/whole"  # ends the metadata of a form that says everything
# Slack's own limit: at a lower one its client would count otherwise than `MAX_REASON` does, and
# refuse emoji that are allowed. What passes here and is too long, the engine says.
_TYPED = 3000


def approve_modal(scene: Scene, *, whole: bool = False, shorter: str = "") -> View:
    """`shorter` is what stands in the field for another time by now."""
    return modal(
        "Approve access",
        [_reason(scene), *_time(scene, shorter), *_things(scene), *_about(scene, whole=whole)],
        submit="Approve",
        close="Not now",
        callback=ids.APPROVE_MODAL,
        metadata=_metadata(scene, whole=whole),
    )


def reject_modal(scene: Scene, *, whole: bool = False, shorter: str = "") -> View:
    del shorter  # there is no such field
    once = context("One rejection ends the request.")
    return modal(
        "Reject request",
        [_reason(scene), once, *_about(scene, whole=whole)],
        submit="Reject",
        close="Not now",
        callback=ids.REJECT_MODAL,
        metadata=_metadata(scene, whole=whole),
    )


def end_modal(ending: Ending) -> View:
    """An administrator's look at a request, and the way to end it while there is one."""
    scene, way_out, request = ending.scene, ending.way_out, ending.scene.request
    shown = [b for b in request_card(scene).blocks if b["type"] != "actions"]
    if way_out is None:
        return modal(request.code, shown)
    word = "Cancel request" if way_out is Cancel else "Revoke access"
    return modal(
        request.code,
        [*shown, _reason(scene, needed=True), *_also(ending)],
        submit=word,
        close="Leave it",
        callback=ids.END_MODAL,
        metadata=str(request.id),
    )


def _also(ending: Ending) -> list[Block]:
    if not ending.kept_by:
        return []
    those = in_a_row(ending.kept_by, 10)
    box = option(f"End {'that' if len(ending.kept_by) == 1 else 'those'} as well", ids.ALSO)
    boxes: Block = {
        "type": "checkboxes",
        "action_id": ids.ALSO,
        "options": [box],
        "initial_options": [box],
    }
    label = f"Some of it would stay, under {those}"
    hint = "Without the tick it stays for as long as any of those runs."
    return [input_(ids.ALSO, label, boxes, hint=hint, optional=True)]


def is_whole(metadata: str) -> bool:
    """Tell whether a form, or one that a button leads to, says everything."""
    return metadata.endswith(_WHOLE)


def _metadata(scene: Scene, *, whole: bool) -> str:
    return f"{scene.request.id}{_WHOLE if whole else ''}"


def _about(scene: Scene, *, whole: bool) -> list[Block]:
    asks = f"{phrases.asks(scene)} for"
    return _in_whole(scene, asks) if whole else _in_short(scene, asks)


def _in_short(scene: Scene, asks: str) -> list[Block]:
    what = f"{asks} {phrases.what_in_short(scene)}{phrases.for_whom(scene)}"
    facts = f"{phrases.how_long(scene)} · {phrases.risk(scene)}"
    says = f"Show all of {scene.request.code}"
    more = button("Show all", ids.WHOLE, _metadata(scene, whole=True), says=says)
    why = phrases.why_in_short(scene.request)
    return [section(f"{what}\n{facts}"), *_caveats(scene), *why, *actions([more])]


def _in_whole(scene: Scene, asks: str) -> list[Block]:
    """Say all that the card says. The justification is whole here, where a card cuts it."""
    facts = (
        ("System", phrases.system(scene)),
        ("How long", phrases.how_long(scene)),
        ("Risk", phrases.risk(scene)),
    )
    what = section(f"{asks} access{phrases.for_whom(scene)}:\n{phrases.what(scene)}")
    why = phrases.why_in_whole(scene.request)
    said = [*why, *last_question(scene)]
    return [what, fields(facts), *_caveats(scene), *said, context(*phrases.origin(scene))]


def _caveats(scene: Scene) -> list[Block]:
    return [section(found) for found in [phrases.caveats(scene)] if found]


def _reason(scene: Scene, *, needed: bool = False) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.REASON,
        "max_length": _TYPED,
        "placeholder": plain_text("What you want them to know", 150),
    }
    return input_(
        ids.REASON,
        "Reason",
        element,
        hint=f"Shown to everybody who sees the request. At most {MAX_REASON} characters.",
        optional=not (needed or scene.revision.require_reason),
    )


def _time(scene: Scene, shorter: str) -> list[Block]:
    """Return the field for a shorter time, where there is any; with it, extensions are kept."""
    asked, keeping = scene.request.duration, _keeping(scene)
    if asked is not None and asked <= MIN_DURATION:
        return []
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.SHORTER,
        "max_length": 100,
        "placeholder": plain_text(in_words(asked), 150),
    }
    if keeping:
        element["dispatch_action_config"] = {"trigger_actions_on": ["on_character_entered"]}
    empty = in_words(asked) if asked else "access without end"
    example = hint_below(asked - timedelta(minutes=1)) if asked else HINT
    field = input_(
        ids.SHORTER,
        "For a shorter time",
        element,
        hint=f"Leave it empty for {empty}, as asked. {example}",
        optional=True,
        dispatch=bool(keeping),
    )
    return [field, *(keeping if _is_shorter(shorter, asked) else [])]


def _things(scene: Scene) -> list[Block]:
    """Return the field for fewer things: of a few each has its box, of many some are left out."""
    options = leaving_out(scene)
    if len(options) < 2:
        return []
    if len(options) <= BOXES:
        hint = "What is not ticked is declined, and whoever sees the request reads by whom."
        return [ticked_field(options, "For these things", hint)]
    none = f"Nothing: all {len(options):,} are approved"
    hint = f"At most {MENU} things. Whoever sees the request reads who left them out."
    menu = left_out_field(scene, options, ids.LEAVE_OUT, "Leave out", none=none, hint=hint)
    return [menu]


def leaving_out(scene: Scene, words: str = "") -> list[Block]:
    """Return what can be left out of a request, as options: those that the words are part of."""
    return options_of(scene, lambda grant: grant.state is GrantState.WANTED, words)


def _is_shorter(text: str, asked: timedelta | None) -> bool:
    said = parse(text) if text.strip() else None
    return isinstance(said, timedelta) and (asked is None or said < asked)


def _keeping(scene: Scene) -> list[Block]:
    request, extension = scene.request, scene.revision.extension
    if extension is None or not request.extensions_allowed:
        return []
    offered = phrases.times(request.extensions_allowed, extension.each)
    keep: Block = {
        "text": plain_text(f"Keep the extensions ({offered})", 75),
        "description": plain_text("Otherwise a shorter time cannot be extended.", 75),
        "value": ids.KEEP,
    }
    boxes: Block = {"type": "checkboxes", "action_id": ids.KEEP, "options": [keep]}
    return [input_(ids.KEEP, "Extensions", boxes, optional=True)]
