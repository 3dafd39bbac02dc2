"""The durable messages: what each person sees of a request, drawn anew from what is stored."""

from collections.abc import Iterable

from bot.views import phrases
from bot.views.blocks import (
    actions,
    context,
    divider,
    fields,
    header,
    message,
    modal,
    section,
)
from bot.views.text import capital, cut, prose
from bot.views.values import Message, Scene, View
from engine.alarms import WELL_AGAIN
from engine.life.offers import offer_key
from engine.outcome import Card
from engine.request import AccessRequest, State

__all__ = [
    "HEADS",
    "alarm",
    "approval_card",
    "asked_already",
    "card",
    "ended_card",
    "notice",
    "offer_card",
    "request_card",
]

HEADS = {
    State.PENDING_MFA: "🔐 Waiting for verification",
    State.PENDING: "⏳ Waiting for approval",
    State.GRANTING: "⚙️ Approved, being set up",
    State.ACTIVE: "🔓 Access is active",
    State.REVOKING: "🔄 Access is being taken away",
    State.CANCELLED: "🚫 Request cancelled",
    State.TIMED_OUT: "⌛ Request timed out",
    State.REJECTED: "❌ Request rejected",
    State.FAILED: "⚠️ Access could not be given",
    State.EXPIRED: "🔒 Access has ended",
    State.RETURNED: "↩️ Access was returned",
    State.REVOKED: "⛔ Access was revoked",
}


def card(kind: Card, scene: Scene | None, detail: str = "") -> Message:
    """Draw the message of this kind. Notices and alarms are their `detail` and need no scene."""
    if kind is Card.ALARM:
        return alarm(detail)
    if kind is Card.NOTICE or scene is None:
        return notice(detail)
    return _DRAWN[kind](scene)


def request_card(scene: Scene) -> Message:
    """The card of requestor and grantee, which follows the request through its life."""
    request = scene.request
    head = _head(request)
    blocks = [header(head), section(phrases.what(scene)), fields(_facts(scene))]
    said = (phrases.why(request), phrases.unreadable(scene), _progress(scene))
    blocks += map(section, filter(None, said))
    blocks += actions(phrases.party_buttons(scene))
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{head}: {phrases.what_in_short(scene)}", blocks)


def asked_already(code: str, scene: Scene | None) -> View:
    """Say that a request asks for the same, and show it, as far as it can be."""
    said = section(f"{code} asks for the same already. Nothing new was sent.")
    shown = [b for b in request_card(scene).blocks if b["type"] != "actions"] if scene else []
    return modal("Asked already", [said, *([divider()] if shown else []), *shown])


def _head(request: AccessRequest) -> str:
    if request.state is State.REVOKING and request.ending is State.FAILED:
        return "🔄 What was begun is being undone"
    return HEADS[request.state]


def _facts(scene: Scene) -> Iterable[tuple[str, str]]:
    request = scene.request
    yield "System", phrases.system(scene)
    if request.requestor != request.grantee:
        yield "For", phrases.who(scene, request.grantee)
    yield "How long", phrases.how_long(scene)
    if request.state is State.ACTIVE:
        yield "Until", phrases.until(request)


def _progress(scene: Scene) -> str:
    """Say where the request stands, and what comes next."""
    request = scene.request
    match request.state:
        case State.PENDING_MFA:
            by = phrases.who(scene, request.grantee)
            return f"Before anybody is asked, {by} must verify. {phrases.escalation(scene)}"
        case State.PENDING:
            return _waiting(scene)
        case State.GRANTING:
            return f"{phrases.decision(scene)}\nThe access is being set up; this card will change."
        case State.ACTIVE:
            return phrases.decision(scene)
        case State.REVOKING:
            return f"{phrases.ending(scene)}\nThis card will say when it is confirmed to be gone."
        case State.REJECTED | State.CANCELLED | State.TIMED_OUT:
            return phrases.ending(scene)
        case _:
            return "\n".join(filter(None, (phrases.decision(scene), phrases.ending(scene))))


def _waiting(scene: Scene) -> str:
    request = scene.request
    said = [f"*Who was asked*\n{phrases.asked(scene)}"]
    if request.approvals:
        said.append(phrases.approved_so_far(scene))
        said.append(f"Still needed: {phrases.still_needed(scene)}.")
    said.append(phrases.escalation(scene))
    return "\n".join(said)


def approval_card(scene: Scene) -> Message:
    """An approver's card. It has buttons only while this approver's decision is wanted."""
    request = scene.request
    head, said = _approver_sees(scene)
    asks = f"{capital(phrases.who(scene, request.requestor))} asks for access"
    asks += phrases.for_whom(scene)
    blocks = [header(head), section(f"{asks}:\n{phrases.what(scene)}"), fields(_weighed(scene))]
    notes = (phrases.why(request), phrases.caveats(scene), phrases.unreadable(scene), said)
    blocks += map(section, filter(None, notes))
    blocks += actions(phrases.decide_buttons(scene) if phrases.may_decide(scene) else [])
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{head}. {asks}: {phrases.what_in_short(scene)}", blocks)


def _weighed(scene: Scene) -> Iterable[tuple[str, str]]:
    yield "System", phrases.system(scene)
    yield "How long", phrases.how_long(scene)
    yield "Risk", phrases.risk(scene)
    if because := phrases.why_me(scene):
        yield "Why you", because


def _approver_sees(scene: Scene) -> tuple[str, str]:
    """Return the head of the card, and what is to be said of the decision."""
    request = scene.request
    if request.state is not State.PENDING:
        if request.decided and request.state is not State.REJECTED:
            return "✅ Request approved", phrases.decision(scene)
        return HEADS[request.state], phrases.ending(scene)
    so_far = phrases.approved_so_far(scene)
    if so_far:
        so_far = f"{so_far}\nStill needed: {phrases.still_needed(scene)}."
    if phrases.may_decide(scene):
        return "🔔 Your approval is needed", so_far
    if scene.viewer in {a.person for a in request.approvals}:
        return "👍 You approved this; others still have to", so_far
    gone = "You are no longer among those who may decide this request. Others were asked."
    return "💤 No longer yours to decide", "\n".join(filter(None, (gone, so_far)))


def offer_card(scene: Scene) -> Message:
    """Before the end: what ends and when, to extend or to return. A late one says what happened."""
    request = scene.request
    current = request.state is State.ACTIVE and scene.key == offer_key(request)
    head, said = _offered(scene) if current else _overtaken(scene)
    blocks = [header(head), section(f"{phrases.what(scene)}\n{said}")]
    if current:
        blocks += actions(
            [*filter(None, (phrases.extend_button(scene),)), phrases.return_button(scene)]
        )
    blocks.append(context(*phrases.origin(scene)))
    first_line = said.partition("\n")[0]
    return message(f"{head}: {phrases.what_in_short(scene)}. {first_line}", blocks)


def _offered(scene: Scene) -> tuple[str, str]:
    request = scene.request
    whose = phrases.whose(scene)
    end = f"{whose} access ends {phrases.until(request)}."
    left = "" if phrases.extend_button(scene) else " It cannot be extended any further."
    return "⏰ Access ends soon", end + left


def _overtaken(scene: Scene) -> tuple[str, str]:
    request = scene.request
    if request.state is State.REVOKING:
        # It is drawn at this moment and perhaps never again: what it says must stay true.
        return "💤 This reminder is over", phrases.ending(scene)
    if request.state is not State.ACTIVE:
        return HEADS[request.state], phrases.ending(scene)
    if scene.key.partition("/")[0] != str(request.extensions_used):
        return "⏩ Access was extended", "Its card says when it ends now."
    return "⏰ Access ends soon", f"It ends {phrases.until(request)}. There is a newer reminder."


def ended_card(scene: Scene) -> Message:
    """Access is over: why, and the way to ask for it again."""
    request = scene.request
    head = HEADS[request.state]
    blocks = [header(head), section(phrases.what(scene))]
    blocks += map(section, filter(None, (phrases.ending(scene),)))
    blocks += actions([phrases.again_button(scene)] if request.state.final else [])
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{head}: {phrases.what_in_short(scene)}", blocks)


def notice(detail: str) -> Message:
    """A sentence, said once."""
    return _sentence("💬", detail)


def alarm(detail: str) -> Message:
    """A sentence for the administrators, said once. What is over has a sign of its own."""
    return _sentence("" if detail.startswith(WELL_AGAIN) else "🚨", detail)


def _sentence(emoji: str, detail: str) -> Message:
    sentence = cut(prose(detail), 2500) or "Something happened that has no name."
    said = f"{emoji} {sentence}".lstrip()
    return message(said, [section(said)])


_DRAWN = {
    Card.REQUEST: request_card,
    Card.APPROVAL: approval_card,
    Card.OFFER: offer_card,
    Card.ENDED: ended_card,
}
