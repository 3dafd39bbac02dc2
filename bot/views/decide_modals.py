"""The forms of an approver: approve, with a shorter time if they like, and reject."""

from bot.views import ids, phrases
from bot.views.blocks import context, fields, input_, modal, mrkdwn, plain_text, section
from bot.views.cards import request_card
from bot.views.text import capital
from bot.views.values import Block, Scene, View
from engine.commands import Cancel, Revoke
from engine.duration import HINT, in_words
from engine.flow import MAX_REASON

__all__ = ["approve_modal", "end_modal", "reject_modal"]


def approve_modal(scene: Scene) -> View:
    return modal(
        "Approve access",
        [*_summary(scene), _reason(scene), *_shorter(scene)],
        submit="Approve",
        close="Not now",
        callback=ids.APPROVE_MODAL,
        metadata=str(scene.request.id),
    )


def reject_modal(scene: Scene) -> View:
    return modal(
        "Reject request",
        [*_summary(scene), _reason(scene), context("One rejection ends the request.")],
        submit="Reject",
        close="Not now",
        callback=ids.REJECT_MODAL,
        metadata=str(scene.request.id),
    )


def end_modal(scene: Scene, way_out: type[Cancel] | type[Revoke] | None) -> View:
    """An administrator's look at a request, and the way to end it while there is one."""
    request = scene.request
    shown = [b for b in request_card(scene).blocks if b["type"] != "actions"]
    if way_out is None:
        return modal(request.code, shown)
    word = "Cancel request" if way_out is Cancel else "Revoke access"
    return modal(
        request.code,
        [*shown, _reason(scene, needed=True)],
        submit=word,
        close="Leave it",
        callback=ids.END_MODAL,
        metadata=str(request.id),
    )


def _summary(scene: Scene) -> list[Block]:
    """Say once more what it is about. The justification is whole here, where a card cuts it."""
    request = scene.request
    asks = f"{capital(phrases.who(scene, request.requestor))} asks for access"
    facts = (
        ("System", phrases.system(scene)),
        ("How long", phrases.how_long(scene)),
        ("Risk", phrases.risk(scene)),
    )
    said = [section(f"{asks}{phrases.for_whom(scene)}:\n{phrases.what(scene)}"), fields(facts)]
    said += map(section, filter(None, (phrases.caveats(scene), phrases.why(request, 2900))))
    return [*said, context(*phrases.origin(scene))]


def _reason(scene: Scene, *, needed: bool = False) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.REASON,
        "max_length": MAX_REASON,
        "placeholder": plain_text("What you want them to know", 150),
    }
    return input_(
        ids.REASON,
        "Reason",
        element,
        hint=f"Shown to everybody who sees the request. At most {MAX_REASON} characters.",
        optional=not (needed or scene.revision.require_reason),
    )


def _shorter(scene: Scene) -> list[Block]:
    request, extension = scene.request, scene.revision.extension
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.SHORTER,
        "max_length": 100,
        "placeholder": plain_text(in_words(request.duration), 150),
    }
    hint = f"Leave it empty for {in_words(request.duration)}, as asked. {HINT}"
    blocks = [input_(ids.SHORTER, "For a shorter time", element, hint=hint, optional=True)]
    if extension and request.extensions_allowed:
        offered = phrases.times(request.extensions_allowed, extension.each)
        keep: Block = {
            "text": mrkdwn(f"Keep the extensions ({offered})", 75),
            "description": plain_text("Otherwise a shorter time cannot be extended.", 75),
            "value": ids.KEEP,
        }
        boxes: Block = {"type": "checkboxes", "action_id": ids.KEEP, "options": [keep]}
        blocks.append(input_(ids.KEEP, "Extensions", boxes, optional=True))
    return blocks
