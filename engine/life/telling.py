"""Who is told, what is said, and what is asked again at every step: the small pieces of a life."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from engine.directory import PersonId
from engine.facts import Facts
from engine.flow import MAX_REASON
from engine.inventory import ResourceStatus
from engine.outcome import Card, Code, News, Refusal, Tell
from engine.request import OPERATOR, SYSTEM, AccessRequest, Grant, State, code_of
from engine.words import line


def too_long(reason: str) -> Refusal | None:
    if (length := len(line(reason))) <= MAX_REASON:
        return None
    over = length - MAX_REASON
    sentence = f"A reason has at most {MAX_REASON} characters; this has {length}, {over} too many."
    return Refusal(Code.TEXT_TOO_LONG, sentence, about="reason")


def everyone(
    request: AccessRequest, news: News | None = None, *, by: PersonId = SYSTEM
) -> tuple[Tell, ...]:
    """Return the cards that show a decision: the parties', and every approver's copy.

    It is no news to the one `by` whom it was done.
    """
    return (
        *(
            Tell(person, Card.REQUEST, news=None if person == by else news)
            for person in request.parties
        ),
        *(to_asked(request, person) for person in request.asked),
        *((Tell(request.channel, Card.CHANNEL),) if request.channel else ()),
    )


def to_parties(request: AccessRequest, news: News | None = None) -> tuple[Tell, ...]:
    return tuple(Tell(person, Card.REQUEST, news=news) for person in request.parties)


def to_asked(request: AccessRequest, person: PersonId, news: News | None = None) -> Tell:
    """Return the card of somebody who is asked: each person has one card of a request."""
    card = Card.REQUEST if person in request.parties else Card.APPROVAL
    return Tell(person, card, news=news)


def tell_asked(
    before: AccessRequest, after: AccessRequest, changed: Collection[PersonId], facts: Facts
) -> tuple[AccessRequest, tuple[Tell, ...]]:
    """Have whoever may decide now, and could not before, asked where the flow says so.

    `changed` are those whose right has come or gone. Who is asked in the channel alone, and reads
    it no longer, is asked by a direct message.
    """
    channel, anew = facts.channel, after.deciders - before.deciders
    read = {p for p in after.deciders if channel and channel.reaches(facts.directory.get(p))}
    read -= {*after.parties}  # whose own card asks them
    there = set() if facts.revision.notify.directly else read & {*anew, *before.in_channel}
    left = (after.deciders & {*before.in_channel}) - there
    after = after.with_(in_channel=tuple(sorted(there)))
    tells = tuple(
        to_asked(after, person, News.ASKED if person in (anew | left) - there else None)
        for person in dict.fromkeys((*changed, *sorted(left)))
    )
    if channel and channel.open and changed and (after.channel or anew):
        called = sorted(anew & read)
        news = News.ASKED if called or not after.channel else None
        after = after.with_(channel=channel.id)
        tells += (Tell(channel.id, Card.CHANNEL, detail=" ".join(called), news=news),)
    return after, tells


def ask_again(
    request: AccessRequest, people: Collection[PersonId], news: News = News.ASKED
) -> tuple[Tell, ...]:
    """Have those who are asked notice it once more, each where they are asked."""
    there = sorted({*people} & {*request.in_channel})
    tells = tuple(to_asked(request, person, news) for person in people if person not in there)
    if there and request.channel:
        tells += (Tell(request.channel, Card.CHANNEL, detail=" ".join(there), news=news),)
    return tells


def alarm(facts: Facts, key: str, sentence: str) -> tuple[Tell, ...]:
    return tuple(Tell(admin, Card.ALARM, key, sentence) for admin in sorted(facts.admins))


def in_audit(reason: str, duration: timedelta | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {"reason": text} if (text := line(reason)) else {}
    if duration is not None:
        said["duration"] = int(duration.total_seconds())
    return said


def is_admin(person: PersonId, facts: Facts) -> bool:
    return person == OPERATOR or (
        person in facts.admins and bool((p := facts.directory.get(person)) and p.may_ask)
    )


def inactive_party(request: AccessRequest, facts: Facts) -> PersonId | None:
    requestor = facts.directory.get(request.requestor)
    if requestor is None or not requestor.may_ask:
        return request.requestor
    return inactive_grantee(request, facts)


def inactive_grantee(request: AccessRequest, facts: Facts) -> PersonId | None:
    grantee = facts.directory.get(request.grantee)
    return request.grantee if grantee is None or not grantee.may_receive else None


def name_of(person: PersonId, facts: Facts) -> str:
    if person == SYSTEM:
        return "Latchkey"
    if person == OPERATOR:
        return "an operator"
    found = facts.directory.get(person)
    return found.name if found else "Somebody"


def is_readable(person: PersonId, facts: Facts) -> bool:
    found = facts.directory.get(person)
    return found is None or found.readable


def why_gone(person: PersonId, facts: Facts) -> str:
    found = facts.directory.get(person)
    if not is_readable(person, facts):
        return f"What the directory says of {name_of(person, facts)} cannot be read"
    guest = found is not None and found.active
    return f"{name_of(person, facts)} is {'a guest now' if guest else 'no longer active'}"


def is_gone(grant: Grant, facts: Facts) -> bool:
    """Tell whether its thing was looked for and is not there any more."""
    found = facts.entitlements.get(grant.entitlement)
    return found is not None and found.resource.status is ResourceStatus.GONE


def name_of_what(grant: Grant, facts: Facts) -> str:
    return str(facts.entitlements.get(grant.entitlement, "an access"))


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def refusal(code: Code, request: AccessRequest, facts: Facts) -> Refusal:
    """Say what is true of the request, to somebody who came too late or too early."""
    if code is Code.LAPSED:
        return Refusal(code, "This request has lapsed", request.lapses_at)
    match request.state:
        case State.PENDING_MFA:
            return Refusal(code, f"{name_of(request.grantee, facts)} has to verify first.")
        case State.PENDING:
            return Refusal(code, "This request still waits for a decision.")
        case State.SCHEDULED if code is not Code.SETTLED:
            return Refusal(code, "This access has not begun. It starts", request.starts_at)
        case State.ACTIVE if code is Code.NOT_RUNNING:
            return Refusal(code, "This access has just ended", request.ends_at)
        case State.SCHEDULED | State.GRANTING | State.ACTIVE:
            return Refusal(code, _decided_by(request, facts, "approved"), _decided_at(request))
        case State.REJECTED:
            return Refusal(code, _decided_by(request, facts, "rejected"), _decided_at(request))
        case _ if code is Code.SETTLED and request.decided:
            return Refusal(code, _decided_by(request, facts, "approved"), _decided_at(request))
        case State.REVOKING:
            return Refusal(code, "This access is being taken away", _ended_at(request))
        case _:
            return Refusal(code, _over(request, facts), _ended_at(request))


_HAPPENED = {
    State.TIMED_OUT: "This request lapsed",
    State.FAILED: "This access could not be given",
    State.EXPIRED: "This access ended",
}
_DONE = {
    State.CANCELLED: ("cancelled", "request"),
    State.RETURNED: ("returned", "access"),
    State.REVOKED: ("revoked", "access"),
}


def _over(request: AccessRequest, facts: Facts) -> str:
    if said := _HAPPENED.get(request.state):
        return said
    done, what = _DONE.get(request.state, ("ended", "request"))
    if request.ended is None or request.ended.by == SYSTEM:
        return f"This {what} was {done}"
    instead = f" to {code_of(request.changed_to)}" if request.changed_to else ""
    done = "changed" if instead else done
    return f"{name_of(request.ended.by, facts)} {done} this {what}{instead}"


def _decided_by(request: AccessRequest, facts: Facts, word: str) -> str:
    if request.decided is None or request.decided.by == SYSTEM:
        return f"This request was {word} automatically"
    return f"{name_of(request.decided.by, facts)} {word} this request"


def _decided_at(request: AccessRequest) -> datetime | None:
    return request.decided.at if request.decided else None


def _ended_at(request: AccessRequest) -> datetime | None:
    return request.ended.at if request.ended else None
