"""The durable messages: what each person sees of a request, drawn anew from what is stored."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from bot.views import background, phrases
from bot.views.asking import WHOLE, last_question
from bot.views.blocks import (
    actions,
    context,
    divider,
    fields,
    header,
    message,
    modal,
    section,
    weight,
)
from bot.views.endless import endless
from bot.views.rich import told
from bot.views.text import capital, prose
from bot.views.values import Block, Message, Scene, View
from engine.alarms import WELL_AGAIN
from engine.directory import PersonId
from engine.life.offers import offered
from engine.outcome import Card, News
from engine.request import SYSTEM, AccessRequest, State

__all__ = [
    "HEADS",
    "alarm",
    "approval_card",
    "asked_already",
    "card",
    "channel_card",
    "head",
    "line",
    "notice",
    "request_card",
]

_WEIGHT = 11_500  # of all blocks; what Slack refuses begins somewhere above 12,000
# Letters for the justification, and for what was asked and answered last.
_ROOM = ((1200, WHOLE), (200, WHOLE), (200, 300), (60, 60))
HEADS = {
    State.PENDING_MFA: "🔐 Waiting for verification",
    State.PENDING: "⏳ Waiting for approval",
    State.SCHEDULED: "📅 Approved, starts later",
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
        return alarm(detail, scene)
    if kind is Card.ENDLESS:
        return endless(detail)
    if kind is Card.NOTICE or scene is None:
        return notice(detail)
    if kind is Card.CHANNEL:
        return channel_card(scene, [PersonId(id_) for id_ in detail.split()])
    return _DRAWN[kind](scene)


def request_card(scene: Scene) -> Message:
    """The card of requestor and grantee, which follows the request through its life."""
    return _fitting(_request_card, scene)


def _fitting(draw: Callable[[Scene, int, int], Message], scene: Scene) -> Message:
    """Draw a card with as much of what people wrote as it has room for, the latest first."""
    for why, asked in _ROOM if scene.request.questions else _ROOM[:1]:
        drawn = draw(scene, why, asked)
        if weight(drawn.blocks) <= _WEIGHT:
            break
    return drawn


def _request_card(scene: Scene, why: int, asked: int) -> Message:
    request = scene.request
    title = "❓ You were asked a question" if phrases.is_questioned(scene) else head(request)
    blocks = [header(title), section(phrases.what(scene)), fields(_facts(scene))]
    blocks += [*phrases.why(request, why), *last_question(scene, asked)]
    blocks += [*_sections(phrases.unreadable(scene)), *_progress(scene)]
    buttons = (phrases.decisions(scene), phrases.party_buttons(scene))
    blocks += actions([*chain(*buttons), *phrases.questions_button(scene)])
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{title}: {phrases.what_in_short(scene)}{_when(scene)}", blocks)


def _when(scene: Scene) -> str:
    """Say the start, or the end that is near or was put off: it is what there is to notice."""
    if scene.request.state is State.SCHEDULED:
        return f". It starts {phrases.start(scene)}"
    return f". {phrases.ends(scene)}" if scene.request.state is State.ACTIVE else ""


def asked_already(code: str, scene: Scene | None) -> View:
    """Say that a request asks for the same, and show it, as far as it can be."""
    said = section(f"{code} asks for the same already. Nothing new was sent.")
    shown = [b for b in request_card(scene).blocks if b["type"] != "actions"] if scene else []
    return modal("Asked already", [said, *([divider()] if shown else []), *shown])


def head(request: AccessRequest) -> str:
    """Say in a line how it is with a request."""
    if request.state is State.REVOKING and request.ending is State.FAILED:
        return "🔄 What was begun is being undone"
    if request.state is State.SCHEDULED and request.reminded:
        return "⏰ Access starts soon"
    if request.changed_to:
        return "🔁 Request changed"
    return "⏰ Access ends soon" if offered(request) else HEADS[request.state]


def _facts(scene: Scene) -> Iterable[tuple[str, str]]:
    request = scene.request
    yield "System", phrases.system(scene)
    if request.requestor != request.grantee:
        yield "For", phrases.who(scene, request.grantee)
    if start := phrases.start(scene):
        yield "Start", start
    yield "How long", phrases.how_long(scene)


def _progress(scene: Scene) -> list[Block]:
    """Say where the request stands, and what comes next."""
    request = scene.request
    match request.state:
        case State.PENDING_MFA:
            by = phrases.who(scene, request.grantee)
            before = f"Before anybody is asked, {by} must verify. {phrases.escalation(scene)}"
            return _sections(before)
        case State.PENDING:
            return _waiting(scene)
        case State.SCHEDULED:
            then = f"It starts {phrases.start(scene)}, and is set up then."
            return [*phrases.decision(scene), *_sections(then)]
        case State.GRANTING:
            soon = "The access is being set up; this card will change."
            return [*phrases.decision(scene), *_sections(soon)]
        case State.ACTIVE:
            return [*phrases.decision(scene), *_sections(phrases.ends(scene))]
        case State.REVOKING:
            then = "This card will say when it is confirmed to be gone."
            return [*phrases.ending(scene), *_sections(then)]
        case State.REJECTED | State.CANCELLED | State.TIMED_OUT:
            return phrases.ending(scene)
        case _:
            return [*phrases.decision(scene), *phrases.ending(scene)]


def _waiting(scene: Scene) -> list[Block]:
    """Say who is asked, what is missing, and when that changes, or the request lapses."""
    asked = f"*Who was asked*\n{phrases.asked(scene)}"
    next_ = "\n".join(filter(None, (phrases.nudged(scene), phrases.escalation(scene))))
    needed = f"Still needed: {phrases.still_needed(scene)}."
    so_far = phrases.approved_so_far(scene)
    if not so_far:
        lines = [asked, next_] if _one_is_enough(scene) else [asked, needed, next_]
        return _sections("\n".join(lines))
    return [*_sections(asked), *so_far, *_sections(f"{needed}\n{next_}")]


def _one_is_enough(scene: Scene) -> bool:
    approval = scene.revision.approval
    return approval is None or [group.needs for group in approval.groups] == [1]


def _sections(*texts: str) -> list[Block]:
    return [section(text) for text in texts if text]


def approval_card(scene: Scene) -> Message:
    """An approver's card. It has buttons only while this approver's decision is wanted."""
    return _fitting(_approval_card, scene)


def _approval_card(scene: Scene, why: int, asked: int) -> Message:
    request = scene.request
    head, said = _approver_sees(scene)
    asks = f"{phrases.asks(scene)} for access{phrases.for_whom(scene)}"
    blocks = [header(head), section(f"{asks}:\n{phrases.what(scene)}"), fields(_weighed(scene))]
    notes = _sections(phrases.caveats(scene), phrases.unreadable(scene))
    facts = background.in_a_line(scene)
    blocks += [*phrases.why(request, why), *last_question(scene, asked), *notes, *facts, *said]
    buttons = phrases.decisions(scene)
    blocks += actions([*buttons, *(phrases.questions_button(scene) if buttons else [])])
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{head}. {asks}: {phrases.what_in_short(scene)}", blocks)


def channel_card(scene: Scene, called: Sequence[PersonId]) -> Message:
    """The card in a channel, which calls those who were asked since it was posted last.

    Whoever may decide decides there; who presses is asked for their right.
    """
    shown = replace(scene, viewer=SYSTEM, in_channel=True)
    return _fitting(partial(_channel_card, called), shown)


def _channel_card(called: Sequence[PersonId], scene: Scene, why: int, asked: int) -> Message:
    request, waits = scene.request, scene.request.state is State.PENDING
    head, said = _approver_sees(scene)
    if waits:
        head, said = "🔔 An approval is needed", _waiting(scene)
    asks = f"{phrases.asks(scene)} for access{phrases.for_whom(scene)}"
    blocks = [header(head)]
    if waits and (them := phrases.called(scene, called)):
        blocks.append(section(f"{them}: your decision is asked for."))
    blocks += [section(f"{asks}:\n{phrases.what(scene)}"), fields(_weighed(scene))]
    notes = _sections(phrases.caveats(scene), phrases.unreadable(scene))
    blocks += [*phrases.why(request, why), *last_question(scene, asked), *notes, *said]
    can = [*phrases.decide_buttons(scene), phrases.more_button(scene)]
    can += phrases.questions_button(scene)
    blocks += actions(can if waits and request.deciders else [])
    blocks.append(context(*phrases.origin(scene)))
    return message(f"{head}. {asks}: {phrases.what_in_short(scene)}", blocks)


def _weighed(scene: Scene) -> Iterable[tuple[str, str]]:
    yield "System", phrases.system(scene)
    if start := phrases.start(scene):
        yield "Start", start
    yield "How long", phrases.how_long(scene)
    yield "Risk", phrases.risk(scene)
    if because := phrases.why_me(scene):
        yield "Why you", because


def _approver_sees(scene: Scene) -> tuple[str, list[Block]]:
    """Return the head of the card, and what is to be said of the decision."""
    request = scene.request
    if request.state is not State.PENDING:
        if request.decided and request.state is not State.REJECTED:
            return "✅ Request approved", phrases.decision(scene)
        return head(request), phrases.ending(scene)
    if phrases.may_decide(scene):
        return "🔔 Your approval is needed", _waiting(scene)
    if scene.viewer in {a.person for a in request.approvals}:
        return "👍 You approved this; others still have to", _waiting(scene)
    gone = "You are no longer among those who may decide this request. Others were asked."
    if whom := phrases.no_longer_for(scene):
        gone = f"You were asked for {whom}, and do not decide for them any more."
    return "💤 No longer yours to decide", [*_sections(gone), *_waiting(scene)]


def line(scene: Scene | None, news: News | None, *, in_channel: bool = False) -> Message:
    """Draw what is left of a card once it was posted anew: why it had been posted."""
    below = "its card is further down"
    if scene is None:
        return message(capital(below), [context(capital(below))])
    scene = replace(scene, in_channel=in_channel)
    said = f"{_happened(scene, news)} · {phrases.what_in_short(scene)}"
    return message(said, [context(said, f"{scene.request.code}, {below}")])


_NEWS = {
    News.ASKED: "🔔 You were asked to decide",
    News.NUDGED: "👋 You were nudged to decide",
    News.QUESTIONED: "❓ You were asked a question",
    News.ANSWERED: "💬 Your question was answered",
    News.DECIDED: "✅ The request was approved",
    News.REOPENED: "↩️ An approval was taken back",
    News.REMINDED: "⏰ The start was announced",
    News.ACTIVE: "🔓 Access began",
    News.OFFER: "⏰ The end was announced",
    News.EXTENDED: "⏩ Access was extended",
}


def _happened(scene: Scene, news: News | None) -> str:
    request = scene.request
    if news is News.REQUESTED:
        asked = capital(phrases.who(scene, request.requestor))
        return f"⏳ {asked} asked{phrases.for_whom(scene)}"
    if news is News.ASKED and scene.in_channel:
        return "🔔 A decision was asked for"
    if news is News.DECIDED and request.state is State.REJECTED:
        return "❌ The request was rejected"
    return _NEWS[news] if news in _NEWS else HEADS[request.state]


def notice(detail: str) -> Message:
    """A sentence, said once."""
    return _sentence("💬", detail)


def alarm(detail: str, scene: Scene | None = None) -> Message:
    """A sentence for the administrators, said once. What is over has a sign of its own.

    Of a request it has a button to it: what can be done is asked when it is looked at.
    """
    said = _sentence("" if detail.startswith(WELL_AGAIN) else "🚨", detail)
    shown = actions([phrases.show_button(scene)]) if scene else []
    return message(said.text, [*said.blocks, *shown])


def _sentence(emoji: str, detail: str) -> Message:
    said = f"{emoji} {detail.strip() or 'Something happened that has no name.'}".lstrip()
    return message(prose(said), [told(said)])


_DRAWN = {
    Card.REQUEST: request_card,
    Card.APPROVAL: approval_card,
}
