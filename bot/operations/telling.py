"""A request and its history in sentences, for somebody who reads them in a terminal, at night."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.usecases.console import HistoryLine
from engine.directory import PersonId
from engine.duration import in_words
from engine.inventory import Entitlement, EntitlementId
from engine.request import OPERATOR, SYSTEM, AccessRequest, Grant, GrantState, Settled, State
from engine.words import in_a_row, quoted

__all__ = ["SENTENCES", "Teller", "moment"]

_ENDED = {
    State.CANCELLED: "It was cancelled",
    State.TIMED_OUT: "It lapsed",
    State.REJECTED: "It was rejected",
    State.FAILED: "It could not be given",
    State.EXPIRED: "Its time was up",
    State.RETURNED: "It was returned",
    State.REVOKED: "It was revoked",
}
_ENDING = {
    State.EXPIRED: "as its time is up",
    State.RETURNED: "as it was returned",
    State.REVOKED: "as it was revoked",
    State.FAILED: "as it could not be given",
}


def moment(at: datetime | None) -> str:
    """Say a moment in this machine's time zone, and in UTC if that is another.

    None: what stands there is no moment.
    """
    if at is None:
        return "(a time that cannot be read)"
    here, utc = at.astimezone(), at.astimezone(UTC)
    if not here.utcoffset():
        return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    return f"{here:%Y-%m-%d %H:%M:%S %Z} ({utc:%H:%M} UTC)"


@dataclass(frozen=True, slots=True)
class Teller:
    """`name` tells who an id is, `things` what an entitlement is, `now` what time it is."""

    name: Callable[[PersonId], str]
    things: Mapping[EntitlementId, Entitlement]
    now: datetime

    def who(self, person: object) -> str:
        if person == SYSTEM:
            return "Latchkey"
        return "an operator" if person == OPERATOR else self.name(PersonId(str(person)))

    def what(self, entitlement: object) -> str:
        found = self.things.get(entitlement)  # type: ignore[call-overload]  # whatever was stored
        return f"{found}, in {found.integration.name}" if found else "something that is gone"

    def standing(self, request: AccessRequest) -> str:
        """Say how it is with a request now."""
        match request.state:
            case State.PENDING_MFA:
                grantee, lapses = self.who(request.grantee), self._at(request.lapses_at)
                return f"It waits until {grantee} verifies. It lapses {lapses}."
            case State.PENDING:
                open_ = dict.fromkeys(a.person for a in request.asks if a.open)
                people = in_a_row([self.who(person) for person in open_], last="or")
                asked = f" by {people}" if people else ": nobody can be asked"
                return f"It waits for a decision{asked}. It lapses {self._at(request.lapses_at)}."
            case State.SCHEDULED:
                starts = self._at(request.starts_at) if request.starts_at else "at no known time"
                return f"It is approved, and starts {starts}."
            case State.GRANTING:
                return "It is approved, and is being given."
            case State.ACTIVE:
                until = f"until {self._at(request.ends_at)}" if request.ends_at else "without end"
                return f"The access runs {until}."
            case State.REVOKING:
                why = _ENDING.get(request.ending or State.REVOKED, "")
                return (
                    f"It is being taken away, {why}{self._settled(request.ended)} The system has "
                    "not confirmed it yet."
                )
            case over:
                settled = request.decided if over is State.REJECTED else request.ended
                return f"{_ENDED[over]}{self._settled(settled)}"

    def access(self, request: AccessRequest, grant: Grant) -> str:
        """Say how it is with one thing that was asked for."""
        return f"{self.what(grant.entitlement)}: {_state(request, grant)}"

    def told(self, line: HistoryLine) -> str:
        """Say what happened, in a sentence."""
        by = "An operator" if line.by == OPERATOR else self.who(line.by)
        with suppress(KeyError, TypeError, ValueError, OverflowError):  # a body of no shape
            return SENTENCES[line.action](self, by, line.body)
        return f"{line.action.replace('_', ' ').capitalize()}, by {self.who(line.by)}."

    def _at(self, at: datetime) -> str:
        ahead = at - self.now
        away = f" (in {in_words(ahead)})" if ahead > timedelta() else " (that is past)"
        return f"{moment(at)}{away}"

    def _settled(self, settled: Settled | None) -> str:
        """Say by whom, when and why, up to the end of the sentence."""
        if settled is None:
            return "."
        by = "" if settled.by == SYSTEM else f" by {self.who(settled.by)}"
        return f"{by} at {moment(settled.at)}.{_reason(settled.reason)}"


def _state(request: AccessRequest, grant: Grant) -> str:
    note = f" ({grant.note.rstrip('.')})" if grant.note else ""
    if grant.standing:
        return "was there before, and stays"
    match grant.state:
        case GrantState.HELD if request.state is State.REVOKING:
            return "still there"
        case GrantState.HELD:
            return f"given, all but {grant.left_out}" if grant.left_out else "given"
        case GrantState.REFUSED:
            return f"{'being undone' if grant.begun else 'not given'}{note}"
        case GrantState.ENDED if grant.begun:
            return f"being taken away{note}"
        case GrantState.ENDED:
            return f"{'gone' if grant.ever_begun else 'never given'}{note}"
        case _:
            return "may be there, in part" if grant.begun else "not given yet"


Sentence = Callable[[Teller, str, Mapping[str, Any]], str]


def _submitted(teller: Teller, by: str, body: Mapping[str, Any]) -> str:
    grantee = teller.who(body["grantee"])
    whom = "" if grantee == by else f", for {grantee}"
    at = body.get("starts_at")
    start = f", from {moment(datetime.fromisoformat(at))} on" if at else ""
    instead = f", instead of {body['instead_of']}" if "instead_of" in body else ""
    return f"{by} asked for it{whom}{start}{instead}."


def _approved(teller: Teller, by: str, body: Mapping[str, Any]) -> str:
    if body.get("how") == "automatic":
        return "Approved by the flow's own rule."
    shorter = f", for {in_words(timedelta(seconds=body['duration']))}" if "duration" in body else ""
    left_out = in_a_row([teller.what(e) for e in body.get("left_out") or ()])
    less = f", without {left_out}" if left_out else ""
    return f"{by} approved it{less}{shorter}.{_reason(body.get('reason'))}"


def _revoking(_: Teller, by: str, body: Mapping[str, Any]) -> str:
    match body.get("ending"):
        case State.EXPIRED.value:
            return "The time was up: it began to be taken away."
        case State.RETURNED.value:
            return f"{by} returned it: it began to be taken away."
        case State.FAILED.value:
            return f"It could not be given: what was begun is undone.{_reason(body.get('reason'))}"
        case _:
            return f"{by} revoked it: it began to be taken away.{_reason(body.get('reason'))}"


def _cancelled(_: Teller, by: str, body: Mapping[str, Any]) -> str:
    if "changed_to" in body:
        return f"{by} changed it to {body['changed_to']}."
    return f"{by} cancelled it.{_reason(body.get('reason'))}"


def _over(why: str, word: str = "it is gone") -> Sentence:
    def sentence(_: Teller, _by: str, body: Mapping[str, Any]) -> str:
        notes = dict.fromkeys(str(note).rstrip(".") for note in body.get("kept") or ())
        if not notes:
            return f"Confirmed: {word}, {why}."
        kept = " ".join(f"{note[:1].upper()}{note[1:]}." for note in notes)
        return f"Confirmed: what had to go is gone, {why}. What stays: {kept}"

    return sentence


def _plain(text: str) -> Sentence:
    return lambda _teller, by, _body: text.format(by=by)


def _running(text: str) -> Sentence:
    def sentence(_: Teller, by: str, body: Mapping[str, Any]) -> str:
        at = body.get("until")
        until = f"until {moment(datetime.fromisoformat(at))}" if at else "without end"
        return text.format(by=by, until=until)

    return sentence


def _offered(_: Teller, _by: str, body: Mapping[str, Any]) -> str:
    return f"The coming end was told: {moment(datetime.fromisoformat(body['ends_at']))}."


def _starting(text: str) -> Sentence:
    def sentence(_: Teller, _by: str, body: Mapping[str, Any]) -> str:
        return text.format(at=moment(datetime.fromisoformat(body["starts_at"])))

    return sentence


def _of_thing(text: str) -> Sentence:
    def sentence(teller: Teller, by: str, body: Mapping[str, Any]) -> str:
        why = str(body.get("why") or body.get("left_out") or "").rstrip(".")
        return text.format(by=by, thing=teller.what(body.get("entitlement")), why=why)

    return sentence


def _standing(teller: Teller, _by: str, body: Mapping[str, Any]) -> str:
    things = in_a_row([teller.what(e) for e in body.get("entitlements") or ()])
    return f"{things}: was there before, and stays at the end."


def _returned_part(teller: Teller, by: str, body: Mapping[str, Any]) -> str:
    things = in_a_row([teller.what(e) for e in body.get("entitlements") or ()])
    return f"{by} returned {things}; the rest runs on."


def _void(teller: Teller, _by: str, body: Mapping[str, Any]) -> str:
    return f"The approval of {teller.who(body.get('of'))} counts no more: they may not approve now."


def _questioned(_: Teller, by: str, body: Mapping[str, Any]) -> str:
    waits = ", and waits for the answer" if body.get("first") else ""
    return f"{by} asked{waits}{_wrote(body.get('text'))}"


def _reason(reason: object) -> str:
    """Say why, in a sentence of its own: what somebody wrote has its own end."""
    return f" Reason{_wrote(reason)}" if str(reason or "").strip() else ""


def _wrote(text: object) -> str:
    """Quote it to end a sentence with: what somebody wrote has its own end."""
    said = str(text or "").strip()
    end = "" if said.endswith((".", "!", "?", "…")) else "."
    return f": {quoted(said)}{end}" if said else "."


# How each entry of a request's history reads, by its action.
SENTENCES: Mapping[str, Sentence] = {
    "submitted": _submitted,
    "verified": _plain("{by} verified."),
    "approved": _approved,
    "void": _void,
    "scheduled": _starting("It was approved for later: it starts {at}."),
    "reopened": _plain("It is not approved any more: it waits for a decision again."),
    "reminded": _starting("The coming start was told: {at}."),
    "started": _plain("Its start had come."),
    "withdrawn": _plain("{by} withdrew the approval."),
    "nudged": _plain("{by} reminded those who are asked."),
    "questioned": _questioned,
    "answered": lambda _, by, body: f"{by} answered{_wrote(body.get('text'))}",
    "rejected": lambda _, by, body: f"{by} rejected it.{_reason(body.get('reason'))}",
    "cancelled": _cancelled,
    "timed_out": _plain("It lapsed: nobody decided in time."),
    "escalated": _plain("Nobody had decided: others were asked too."),
    "admins_told": _plain("Nobody had decided: the administrators were told."),
    "dropped": _of_thing("{thing} is gone, and was left out."),
    "gone": _of_thing("{thing} is gone: the access to it began to be taken away."),
    "standing": _standing,
    "left_out": _of_thing("{thing} was given, all but {why}."),
    "granted": _running("The access was given, {until}."),
    "refused": _of_thing("{thing} was refused: {why}."),
    "extended": _running("{by} extended it, {until}."),
    "extension_refused": lambda _, _by, body: (
        f"The system kept the earlier end.{_reason(body.get('reason'))}"
    ),
    "offered": _offered,
    "returned_part": _returned_part,
    "revoking": _revoking,
    "expired": _over("as its time was up"),
    "returned": _over("as it was returned"),
    "revoked": _over("as it was revoked"),
    "failed": _over("as it could not be given", "nothing of it is there"),
    "credentials_shown": _plain("{by} was shown the login."),
    "credentials_saved": _plain("{by} has saved the login."),
    "credentials_reset": _plain("{by} was given a new password."),
}
