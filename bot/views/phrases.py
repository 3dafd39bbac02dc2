"""What is said of a request, in the same words wherever it is said, and the buttons for it.

Every phrase is mrkdwn, or blocks where somebody's own words are in it, and within a size that lets
a whole card stay within Slack's limits.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.views import ids
from bot.views.blocks import button, confirm, section
from bot.views.rich import quotation
from bot.views.text import capital, code, cut, escape, in_a_row, mention, plain_name, rows, when
from bot.views.values import Block, Scene
from engine.approval import missing_in_words, seats
from engine.directory import PersonId
from engine.duration import in_words
from engine.flow import MAX_JUSTIFICATION
from engine.holdings import wants
from engine.inventory import Resource, highest_risk
from engine.life.offers import offered
from engine.life.pending import next_tier_at
from engine.request import (
    SYSTEM,
    WAITING,
    AccessRequest,
    Ask,
    Grant,
    GrantState,
    Settled,
    State,
    code_of,
)
from engine.seating import Case, case_of

__all__ = [
    "SHOW",
    "again_button",
    "all_but",
    "answer_button",
    "approved_so_far",
    "asked",
    "asks",
    "called",
    "cancel_button",
    "caveat",
    "caveats",
    "credentials_button",
    "decide_buttons",
    "deciding",
    "decision",
    "decisions",
    "ending",
    "ends",
    "escalation",
    "extend_button",
    "for_whom",
    "how_long",
    "is_questioned",
    "may_answer",
    "may_decide",
    "more_button",
    "no_longer_for",
    "nudge_button",
    "nudged",
    "origin",
    "party_buttons",
    "questions_button",
    "return_button",
    "risk",
    "risk_of",
    "show_button",
    "start",
    "still_needed",
    "system",
    "times",
    "unreadable",
    "until",
    "what",
    "what_in_short",
    "who",
    "whose",
    "why",
    "why_in_short",
    "why_in_whole",
    "why_me",
]

_CONFIRMED = frozenset({State.EXPIRED, State.RETURNED, State.REVOKED})
SHOW = "Show credentials"  # a button of the grantee's
MOST_CALLED = 50  # in one card of a channel
_APPROVALS = 5  # that are listed on a card
_ENDINGS = {
    State.CANCELLED: "Cancelled",
    State.TIMED_OUT: "It lapsed",
    State.FAILED: "It could not be given",
    State.EXPIRED: "Its time was up",
    State.RETURNED: "Returned",
    State.REVOKED: "Revoked",
}


def who(scene: Scene, person: PersonId) -> str:
    if scene.in_channel and (found := scene.directory.get(person)):
        return plain_name(found, 60)
    return mention(person, scene.directory, scene.viewer)


def deciding(scene: Scene, person: PersonId, through: Sequence[PersonId]) -> str:
    """Name who decides, and for whom: “Sam Leigh, for Priya Venkataraman”."""
    named = in_a_row([who(scene, delegator) for delegator in through])
    return f"{who(scene, person)}, for {named}," if named else who(scene, person)


def no_longer_for(scene: Scene) -> str:
    """Name those for whom alone the viewer was asked, and is not any more; empty: nobody."""
    asks = [a for a in scene.request.asks if a.person == scene.viewer]
    if not all(a.through for a in asks):
        return ""
    return in_a_row([who(scene, p) for p in dict.fromkeys(p for a in asks for p in a.through)])


def called(scene: Scene, people: Sequence[PersonId]) -> str:
    """Mention those of the people who may decide, so that Slack tells them; nobody: nothing."""
    able = map(scene.directory.get, dict.fromkeys(people))
    asked = [p.id for p in able if p and p.slack and p.id in scene.request.deciders]
    return in_a_row([mention(person, scene.directory) for person in asked], most=MOST_CALLED)


# --- what was asked ------------------------------------------------------------------------------


def what(scene: Scene) -> str:
    """List the entitlements, those with a remark first; before them, whose bundle they are."""
    grants = sorted(scene.request.grants, key=lambda g: not _is_remarkable(g))
    bundle = f"{capital(_bundle(scene))}\n" if scene.request.bundle else ""
    if len(grants) == 1:
        return f"{bundle}{_entitlement(scene, grants[0], 500)}{_remarked(grants[0])}"
    listed = rows(
        grants, lambda g: f"• {_entitlement(scene, g, 90)}{_remarked(g)}", limit=1600, most=8
    )
    return f"{bundle}{listed}"


def _bundle(scene: Scene) -> str:
    many = len(scene.request.grants)
    things = "1 entitlement" if many == 1 else f"{many:,} entitlements"
    return f"the bundle *{cut(escape(scene.request.bundle), 160)}*, {things}"


def what_in_short(scene: Scene) -> str:
    """Name the first entitlement and count the others, within one line."""
    if scene.request.bundle:
        return _bundle(scene)
    if not scene.request.grants:
        return "something that cannot be read"
    first, *others = scene.request.grants
    more = f" and {len(others)} more" if others else ""
    return f"{_entitlement(scene, first, 150)}{more}"


def system(scene: Scene) -> str:
    """Name the systems that it is about."""
    names = (e.integration.name for e in scene.entitlements.values())
    return in_a_row([cut(escape(n), 80) for n in dict.fromkeys(names)], most=3) or "unknown"


def _entitlement(scene: Scene, grant: Grant, limit: int) -> str:
    found = scene.entitlements.get(grant.entitlement)
    if found is None:
        return "something that no longer exists"
    path = grant.named if grant.named and not grant.begun else found.resource.path
    return f"{code(found.permission.name, 80)} on {code(path, limit)}"


def caveats(scene: Scene) -> str:
    """Say what those who get it cannot use all the same; empty: nothing is known."""
    things = {e.resource.id: e.resource for e in scene.entitlements.values() if e.resource.caveat}
    return rows(things.values(), lambda thing: f"⚠️ {caveat(thing)}", limit=1200, most=5)


def caveat(thing: Resource) -> str:
    return f"{code(thing.path, 200)}: {cut(escape(thing.caveat), 400)}" if thing.caveat else ""


def _is_remarkable(grant: Grant) -> bool:
    if grant.state is GrantState.ENDED:
        return bool(grant.note)
    return grant.state is GrantState.REFUSED or bool(grant.standing or grant.left_out)


def _remark(grant: Grant) -> str:
    if not _is_remarkable(grant):
        return ""
    note = cut(escape(grant.note), 200).rstrip(".")
    if grant.state is GrantState.REFUSED:
        word = "being undone" if grant.begun else "not given"
        return f"⚠️ {word}: {note}" if note else f"⚠️ {word}"
    if grant.state is GrantState.ENDED and grant.begun:
        return f"🔄 being taken away: {note}"
    if grant.state is GrantState.ENDED:
        return f"📌 {note}" if note else ""
    if grant.standing:
        return "📌 was there before, and stays at the end"
    return f"⚠️ {but}" if (but := all_but(grant)) else ""


def all_but(grant: Grant) -> str:
    """Say what of it could not be given; empty: all of it was."""
    return f"all but {cut(escape(grant.left_out), 300)}".rstrip(".") if grant.left_out else ""


def _remarked(grant: Grant) -> str:
    return f"  {remark}" if (remark := _remark(grant)) else ""


def asks(scene: Scene) -> str:
    """Say who asks; who asked, where it waits for a decision no more."""
    request = scene.request
    word = "ask" if scene.viewer == request.requestor else "asks"
    if request.state is not State.PENDING:
        word = "asked"
    return f"{capital(who(scene, request.requestor))} {word}"


def for_whom(scene: Scene) -> str:
    """Say “ for …” where the access is not for the one who asks."""
    request = scene.request
    return "" if request.requestor == request.grantee else f" for {who(scene, request.grantee)}"


def whose(scene: Scene) -> str:
    """Say whose access it is, to begin a sentence with."""
    grantee = scene.request.grantee
    return "Your" if scene.viewer == grantee else f"{who(scene, grantee)}'s"


def how_long(scene: Scene) -> str:
    """Say the duration, and how far it can be extended."""
    request, extension = scene.request, scene.revision.extension
    if request.state is State.SCHEDULED:
        request = request.as_approved()
    if not request.readable and request.duration is None:
        return "not known"
    said = in_words(request.duration)
    if request.duration is None or extension is None or not request.extensions_allowed:
        return said
    longest = request.duration + request.extensions_allowed * extension.each
    return f"{said}, extendable to {in_words(longest)}"


def start(scene: Scene) -> str:
    """Say when what waits is to start; empty: at once, or it has."""
    request = scene.request
    if request.starts_at is None or request.state not in WAITING:
        return ""
    if request.state is State.SCHEDULED:
        return when(request.starts_at)
    return f"{when(request.starts_at)}, or as soon as it is approved after that"


def times(count: int, each: timedelta) -> str:
    return f"{count} \N{MULTIPLICATION SIGN} {in_words(each)}"


def until(request: AccessRequest) -> str:
    if request.ends_at is None:
        return "without end"
    if request.end_before:
        return f"{when(request.ends_at)} (the system is being told)"
    return when(request.ends_at)


def ends(scene: Scene) -> str:
    """Say when running access ends, and how far that can be put off."""
    request = scene.request
    if request.ends_at is None:
        return f"{whose(scene)} access has no end."
    if request.end_before:
        asked = f"The extension until {when(request.ends_at)} is asked for, and not yet sure"
        return f"{asked}: the access is sure until {when(request.end_before)}."
    left = 0 if extend_button(scene) is None else request.extensions_left
    can = f"{left} extension{'s' if left > 1 else ''} left" if left else "no extension left"
    if request.extensions_used:
        return f"Extended until {when(request.ends_at)}, {can}."
    if offered(request) and not left:
        return f"{whose(scene)} access ends {when(request.ends_at)}. It cannot be extended."
    return f"{whose(scene)} access ends {when(request.ends_at)}."


def unreadable(scene: Scene) -> str:
    """Say that what is stored cannot be read; empty: it can."""
    request = scene.request
    if not request.readable:
        return f"⚠️ What is stored of {request.code} cannot be read. It can only be ended."
    if scene.revision.readable or request.state.final:
        return ""
    return f"⚠️ The access flow of {request.code} cannot be read. It can only be ended."


def why(request: AccessRequest, limit: int = 1200) -> list[Block]:
    """Quote the justification, as far as a card has room; nothing: none was given."""
    return quotation(request.justification, limit, title="Why")


def why_in_short(request: AccessRequest) -> list[Block]:
    return quotation(request.justification, 200, lines=6, title="Why")


def why_in_whole(request: AccessRequest) -> list[Block]:
    return quotation(request.justification, 2900, lines=MAX_JUSTIFICATION, title="Why")


def risk(scene: Scene) -> str:
    return risk_of(highest_risk(scene.entitlements.values()))


def risk_of(score: int) -> str:
    """Say a score of 1 to 10 as its level."""
    if score >= 10:
        return "🔴 Critical"
    if score >= 7:
        return "🟠 High"
    return "🟡 Medium" if score >= 4 else "🟢 Low"


def origin(scene: Scene) -> tuple[str, ...]:
    """Say where the request comes from: its code, its flow, who asked for whom, and when."""
    request = scene.request
    return (
        request.code,
        cut(escape(scene.revision.name), 160),
        f"asked by {who(scene, request.requestor)}{for_whom(scene)} {when(request.submitted_at)}",
        f"instead of {code_of(request.instead_of)}" if request.instead_of else "",
    )


# --- who decides ---------------------------------------------------------------------------------


def decisions(scene: Scene) -> list[Block]:
    """Return what the viewer can do as an approver of a request that waits."""
    request = scene.request
    if may_decide(scene):
        return [*decide_buttons(scene), more_button(scene)]
    if scene.viewer not in {a.person for a in request.approvals}:
        return []
    if request.state is State.SCHEDULED:
        return [withdraw_button(scene)]
    return withdraw_buttons(scene) if request.state is State.PENDING else []


def may_decide(scene: Scene) -> bool:
    """Tell whether the viewer's approval is wanted: asked, still matching, not yet given."""
    request = scene.request
    return request.state is State.PENDING and scene.viewer in request.deciders


def why_me(scene: Scene) -> str:
    """Say what the viewer is asked as; empty: they are not, any more."""
    if scene.request.state is not State.PENDING:
        return ""
    return in_a_row([cut(escape(a.why), 150) for a in _open(scene)], most=2)


def _open(scene: Scene) -> list[Ask]:
    return [a for a in scene.request.asks if a.open and a.person == scene.viewer]


def asked(scene: Scene) -> str:
    """Name those who were asked, by what they were asked for."""
    groups: dict[str, list[str]] = {}
    for ask in scene.request.asks:
        if ask.open:
            groups.setdefault(ask.why, []).append(who(scene, ask.person))
    if not groups:
        return "⏳ Nobody can be asked at the moment."
    return rows(
        groups, lambda why: f"• *{cut(escape(why), 200)}*: {in_a_row(groups[why])}", limit=1200
    )


def approved_so_far(scene: Scene) -> list[Block]:
    """List the approvals, each with its reason and what it shortened."""
    given = scene.request.approvals
    blocks: list[Block] = []
    for each in given[:_APPROVALS]:
        shorter = f", for {in_words(each.duration)}" if each.duration else ""
        by = capital(deciding(scene, each.person, each.through))
        blocks.append(section(f"👍 {by} approved{shorter}"))
        blocks += quotation(each.reason, 300)
    hidden = len(given) - _APPROVALS
    return [*blocks, *([section(f"… and {hidden} more")] if hidden > 0 else [])]


def still_needed(scene: Scene) -> str:
    """Name the groups whose approval is missing, and the tiers of whom anybody is enough."""
    return missing_in_words(_case(scene), lambda name: f"*{cut(escape(name), 100)}*")


def _case(scene: Scene) -> Case:
    return case_of(scene.request, scene.revision, scene.directory, scene.admins, scene.entitlements)


def nudged(scene: Scene) -> str:
    """Say when those who are asked were last reminded; empty: they never were."""
    at = scene.request.nudged_at
    return f"👋 Whoever is asked was nudged {when(at)}." if at else ""


def escalation(scene: Scene) -> str:
    """Say what happens next if nobody decides."""
    request, plan = scene.request, scene.revision.escalation
    without = "Without an answer it lapses" if request.waits_since else "It lapses"
    lapse = f"{without} {when(request.lapses_at)}."
    due = next_tier_at(request, scene.revision)
    if plan is None or due is None or due >= request.lapses_at:
        return lapse
    if request.tiers_asked < len(plan.tiers):
        tier = cut(escape(plan.tiers[request.tiers_asked].name), 100)
        return f"If nobody decides by {when(due)}, *{tier}* will be asked too. {lapse}"
    return f"If nobody decides by {when(due)}, the administrators will be told. {lapse}"


# --- what became of it ---------------------------------------------------------------------------


def decision(scene: Scene) -> list[Block]:
    """Say who decided, when and with what reason; nothing: nobody has."""
    request = scene.request
    decided = request.decided
    if decided is None:
        return []
    if request.state is State.REJECTED:
        return _settled(scene, "Rejected", decided)
    if decided.by == SYSTEM:
        return [section(f"Approved automatically {when(decided.at)}.")]
    if len(request.approvals) > 1:
        return [section(f"Approved {when(decided.at)}."), *approved_so_far(scene)]
    shortened = [a.duration for a in request.approvals if a.duration]
    word = f"Approved for {in_words(shortened[0])}" if shortened else "Approved"
    return _settled(scene, word, decided)


def ending(scene: Scene) -> list[Block]:
    """Say how the request, or the access, came to its end; nothing: it has not."""
    request = scene.request
    if request.state is State.REJECTED:
        return decision(scene)
    if request.ended is None:
        return []
    state, ended = request.ending or request.state, request.ended
    word = _ENDINGS.get(state, "Ended")
    declined = request.state is State.CANCELLED and request.ended.by != request.requestor
    if declined and request.ended.by == request.grantee:
        word = "Declined"
    if request.changed_to:
        word = f"Changed to {code_of(request.changed_to)}"
    if state is State.EXPIRED and request.ends_at:
        ended = replace(ended, at=request.ends_at)  # that was due, whenever the clock got round
    confirmed = _confirmed(request, ended.at)
    return [*_settled(scene, word, ended), *([section(confirmed)] if confirmed else [])]


def _confirmed(request: AccessRequest, since: datetime) -> str:
    """Say when the end was confirmed, if that was in a later minute."""
    if request.state not in _CONFIRMED or request.gone_at is None:
        return ""
    later = int(request.gone_at.timestamp()) // 60 > int(since.timestamp()) // 60
    return f"That it is gone was confirmed {when(request.gone_at)}." if later else ""


def _settled(scene: Scene, word: str, settled: Settled) -> list[Block]:
    if settled.by == SYSTEM:
        reason = f": {cut(escape(settled.reason), 400).rstrip('.')}" if settled.reason else ""
        return [section(f"{word} {when(settled.at)}{reason}.")]
    by = deciding(scene, settled.by, settled.through)
    said = section(f"{word} by {by} {when(settled.at)}.")
    return [said, *quotation(settled.reason, 800)]


# --- buttons -------------------------------------------------------------------------------------


def party_buttons(scene: Scene) -> list[Block]:
    """Return what requestor and grantee can do now."""
    state = scene.request.state
    if state is State.PENDING:
        said = [*_answering(scene), nudge_button(scene)]
        return [*said, *_changing(scene), cancel_button(scene)]
    if state in WAITING:
        return [*_changing(scene), cancel_button(scene)]
    if state is State.GRANTING:
        return [return_button(scene)]
    if state is State.ACTIVE:
        first = (credentials_button(scene), extend_button(scene) or more_time_button(scene))
        return [*filter(None, first), return_button(scene)]
    return [again_button(scene)] if state.final and not scene.request.changed_to else []


def decide_buttons(scene: Scene) -> list[Block]:
    request = scene.request
    value, code_ = str(request.id), request.code
    return [
        button("Approve", ids.APPROVE, value, says=f"Approve {code_}", style="primary"),
        button("Reject", ids.REJECT, value, says=f"Reject {code_}", style="danger"),
        *_asking(scene),
    ]


def more_button(scene: Scene) -> Block:
    request = scene.request
    return button("More", ids.MORE, str(request.id), says=f"More about {request.code}")


def withdraw_buttons(scene: Scene) -> list[Block]:
    """Return what somebody who approved can still do about it.

    Their approval counts on when they are no approver any more; they decide nothing else then.
    """
    viewer = scene.directory.get(scene.viewer)
    if viewer is None or not seats(_case(scene), viewer):
        return [withdraw_button(scene)]
    value, code_ = str(scene.request.id), scene.request.code
    reject = button("Reject", ids.REJECT, value, says=f"Reject {code_}", style="danger")
    return [withdraw_button(scene), reject, *_asking(scene)]


def withdraw_button(scene: Scene) -> Block:
    value, code_ = str(scene.request.id), scene.request.code
    return button("Withdraw approval", ids.WITHDRAW, value, says=f"Withdraw approval of {code_}")


def _asking(scene: Scene) -> list[Block]:
    request = scene.request
    if scene.viewer == request.requestor:
        return []  # they would ask themselves
    says = f"Ask a question about {request.code}"
    return [button("Ask a question", ids.ASK, str(request.id), says=says)]


def may_answer(scene: Scene) -> bool:
    return scene.request.state is State.PENDING and scene.viewer == scene.request.requestor


def is_questioned(scene: Scene) -> bool:
    """Tell whether something waits for an answer of the viewer."""
    return may_answer(scene) and any(not q.answered_at for q in scene.request.questions)


def _answering(scene: Scene) -> list[Block]:
    """Return the button for the last question that has no answer yet."""
    waiting = [n for n, q in enumerate(scene.request.questions, 1) if not q.answered_at]
    return [answer_button(scene, waiting[-1])] if is_questioned(scene) else []


def answer_button(scene: Scene, number: int) -> Block:
    request = scene.request
    says = f"Answer question {number} about {request.code}"
    return button("Answer", ids.ANSWER, f"{request.id}/{number}", says=says, style="primary")


def questions_button(scene: Scene) -> list[Block]:
    """Return what leads to all that was asked; nothing: nothing was."""
    request = scene.request
    label = f"Questions ({len(request.questions)})"
    says = f"Questions about {request.code}"
    return [button(label, ids.QUESTIONS, str(request.id), says=says)] if request.questions else []


def nudge_button(scene: Scene) -> Block:
    request = scene.request
    says = f"Nudge those who are asked about {request.code}"
    return button("Nudge", ids.NUDGE, str(request.id), says=says)


def _changing(scene: Scene) -> list[Block]:
    request = scene.request
    if scene.viewer != request.requestor:
        return []
    return [button("Change", ids.CHANGE, str(request.id), says=f"Change {request.code}")]


def cancel_button(scene: Scene) -> Block:
    request = scene.request
    declines = scene.viewer != request.requestor
    word = "Decline" if declines else "Cancel request"
    scheduled = request.state is State.SCHEDULED
    sure = "Nobody will be asked any more."
    if declines or scheduled:
        sure = f"{'You' if scene.viewer == request.grantee else 'They'} will not get this access."
    return button(
        word,
        ids.CANCEL,
        str(request.id),
        says=f"{word} {request.code}",
        asks=confirm(f"{word}?", sure, word, "Keep it"),
        style="danger",
    )


def extend_button(scene: Scene) -> Block | None:
    """Return the button while there is an extension left and the flow still gives any."""
    request, extension = scene.request, scene.revision.extension
    left = request.extensions_left
    if extension is None or not left or request.ends_at is None or not scene.flow.open:
        return None
    each = in_words(extension.each)
    return button(
        f"Extend (+{each}, {left} left)",
        ids.EXTEND,
        f"{request.id}/{request.extensions_used + 1}",
        says=f"Extend {request.code} by {each}, {left} left",
    )


def more_time_button(scene: Scene) -> Block | None:
    """Return the button that asks anew for what has an end and cannot be extended."""
    request = scene.request
    if request.ends_at is None or unreadable(scene):
        return None
    says = f"Ask for more time for {request.code}"
    return button("Ask for more time", ids.MORE_TIME, str(request.id), says=says)


def credentials_button(scene: Scene) -> Block | None:
    request = scene.request
    if not scene.has_login or scene.viewer != request.grantee:
        return None
    return button(SHOW, ids.CREDENTIALS, str(request.id), says=f"{SHOW} for {request.code}")


def return_button(scene: Scene) -> Block:
    """Return the button; of several things it opens the form by which some can be kept."""
    request = scene.request
    if sum(wants(request, grant) for grant in request.grants) > 1:
        says = f"Return now of {request.code}, all or in part"
        return button("Return now", ids.RETURN_SOME, str(request.id), says=says, style="danger")
    return button(
        "Return now",
        ids.RETURN,
        str(request.id),
        says=f"Return now the access of {request.code}",
        style="danger",
        asks=confirm(
            "Return this access?",
            f"{whose(scene)} access ends at once, and open sessions may be cut off.",
            "Return now",
            "Keep it",
        ),
    )


def show_button(scene: Scene) -> Block:
    request = scene.request
    return button(f"Show {request.code}", ids.SHOW, str(request.id), says=f"Show {request.code}")


def again_button(scene: Scene) -> Block:
    request = scene.request
    return button(
        "Request again",
        ids.AGAIN,
        str(request.id),
        says=f"Request again the access of {request.code}",
    )
