"""Lending one's right to approve: to whom, until when, and who ends it (docs/rules.md)."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from engine import duration
from engine.directory import Delegation, DelegationId, Directory, Person, PersonId
from engine.life.telling import too_long
from engine.outcome import Code, Refusal
from engine.request import OPERATOR
from engine.window import Day, end_in_words, moment_of, shown
from engine.words import line

__all__ = [
    "HINT",
    "LONGEST",
    "Lending",
    "Why",
    "begin",
    "may_end",
    "moment",
    "over",
    "read",
    "said_begun",
    "said_ended",
]

LONGEST = timedelta(days=30)
_SHORTEST = timedelta(minutes=5)
HINT = (
    "Write `until Friday`, `until 14 Dec`, `until 2026-12-14`, `until 18:00`, a day and a time, or "
    "`for 3 days`."
)
_TOO_LONG = f"This is too long: at most {LONGEST.days} days are possible."
_DAY = timedelta(days=1)
_DAYS = {name: n for n, day in enumerate(Day) for name in (day.casefold(), day.short.casefold())}
_MONTHS = {
    name[:letters]: n
    for n, name in enumerate(
        (
            *("january", "february", "march", "april", "may", "june"),
            *("july", "august", "september", "october", "november", "december"),
        ),
        1,
    )
    for letters in (3, len(name))
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY_OF_MONTH = re.compile(r"(\d{1,2})\.? ([a-z]+)(?: (\d{4}))?|([a-z]+) (\d{1,2})(?:,? (\d{4}))?")
_CLOCK = re.compile(r"(?:(.*?) )??(?:at )?(\d{1,2}):(\d{2})")
_TYPED = re.compile(
    r"(?P<whom><@[^>\s]*>|@\S+)?\s*(?P<until>(?:until|for)\b.*?)?\s*(?:\bbecause\b(?P<reason>.*))?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Lending:
    """What somebody typed: to whom, until when, and why; empty: not said."""

    whom: str
    until: str
    reason: str


def read(text: str) -> Lending | Refusal:
    """Take apart `@sam until Friday because leave`, as far as it is said."""
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        sentence = f"“{_short(text)}” is not understood. Write `@sam until Friday because leave`."
        return Refusal(Code.BAD_DELEGATION, sentence)
    whom, until, reason = (found[part] or "" for part in ("whom", "until", "reason"))
    return Lending(whom, " ".join(until.split()), reason.strip())


def moment(text: str, zone: str, now: datetime) -> datetime | Refusal:
    """Return the moment that is meant by the clocks of a zone. A day alone is the whole of it."""
    words = " ".join(text.casefold().split())
    if words.startswith("for "):
        span = duration.parse(words.removeprefix("for "), least=_SHORTEST, most=LONGEST)
        return replace(span, about="until") if isinstance(span, Refusal) else now + span
    words = words.removeprefix("until ").removeprefix("until")
    wall = shown(zone, now)
    if not words or wall is None:
        return _bad(f"Say until when. {HINT}")
    clock = _CLOCK.fullmatch(words)
    day_words = (clock[1] or "") if clock else words
    day = _day(day_words, wall.date()) if day_words else wall.date()
    if isinstance(day, Refusal):
        return day
    if day - wall.date() > LONGEST + _DAY:
        return _bad(_TOO_LONG)
    if clock is None:
        return _shown_at(day + _DAY, time(), zone, text)
    hour, minute = int(clock[2]), int(clock[3])
    if hour > 23 or minute > 59:
        return _bad(f"“{_short(text)}” is no time of a day. {HINT}")
    at = _shown_at(day, time(hour, minute), zone, text)
    if isinstance(at, datetime) and at <= now and not day_words:
        return _bad(f"{hour:02}:{minute:02} is past. Write `until tomorrow {hour:02}:{minute:02}`.")
    return at


def _day(words: str, today: date) -> date | Refusal:
    if words in {"today", "tomorrow"}:
        return today + (_DAY if words == "tomorrow" else timedelta())
    if words in _DAYS:
        ahead = (_DAYS[words] - today.weekday()) % 7
        if not ahead:
            return _bad(f"Today is {[*Day][today.weekday()]}. Write `until today`, or a date.")
        return today + ahead * _DAY
    try:
        if _DATE.fullmatch(words):
            return date.fromisoformat(words)
        if (found := _DAY_OF_MONTH.fullmatch(words)) and (found[2] or found[4]) in _MONTHS:
            month, number = _MONTHS[found[2] or found[4]], int(found[1] or found[5])
            if year := found[3] or found[6]:
                return date(int(year), month, number)
            this = date(today.year, month, number)
            return this if this >= today else date(today.year + 1, month, number)
    except ValueError:
        return _bad(f"No calendar has “{_short(words)}”. {HINT}")
    return _bad(f"“{_short(words)}” is not understood as a day. {HINT}")


def _shown_at(day: date, at: time, zone: str, text: str) -> datetime | Refusal:
    found = moment_of(datetime.combine(day, at), zone)
    return found or _bad(f"Clocks in {zone} never show “{_short(text)}”. Choose another time.")


def begin(
    delegator: Person,
    delegate: Person | None,
    said: tuple[datetime, str],
    directory: Directory,
    now: datetime,
) -> Delegation | Refusal:
    """Return the delegation that somebody makes, not numbered yet. `directory` is as of `now`.

    `said` is until when, and why.
    """
    until, reason = said
    if not delegator.may_ask:
        return Refusal(Code.PERSON_INACTIVE, "You cannot approve requests, nor lend that right.")
    if delegate is None:
        return _not_to("Choose somebody whom Latchkey knows.")
    if bad := (
        _why_not_to(delegate, delegator, directory) or _bad_reason(reason) or _bad_end(until, now)
    ):
        return bad
    since = max(delegator.approves_at(now), delegate.approves_at(now))
    return Delegation(DelegationId(0), delegator.id, delegate.id, since, until, line(reason))


def _why_not_to(delegate: Person, delegator: Person, directory: Directory) -> Refusal | None:
    if delegate.id == delegator.id:
        return _not_to("You decide for yourself already. Choose somebody else.")
    if not delegate.may_ask:
        return _not_to(f"{delegate.name} is a guest, or not active, and cannot approve requests.")
    if not delegate.reachable:
        return _not_to(f"{delegate.name} cannot be told anything in Slack. Choose somebody else.")
    for known in directory.given_by(delegator.id):
        if known.delegate == delegate.id:
            ends = end_in_words(known.until, delegator.zone)
            return _not_to(f"{delegate.name} decides for you until {ends} already. End that first.")
    if _reaches(directory, delegate.id, delegator.id):
        lends = f"{delegate.name} lends this right to you, be it through others"
        return _not_to(f"{lends}. That would be a circle.")
    return None


def _bad_reason(reason: str) -> Refusal | None:
    if line(reason):
        return too_long(reason)
    sentence = "Say why, for example `because leave`. Whoever is to decide for you reads it."
    return Refusal(Code.REASON_NEEDED, sentence, about="reason")


def _bad_end(until: datetime, now: datetime) -> Refusal | None:
    if until <= now:
        return _bad("This moment is past. Choose one to come.")
    return _bad(_TOO_LONG) if until - now > LONGEST else None


class Why(StrEnum):
    """Why a delegation ended."""

    TIME = "time"  # it had come to its end
    BY_HAND = "by_hand"
    GONE = "gone"  # one of the two could decide nothing any more


def over(directory: Directory) -> list[tuple[Delegation, Why]]:
    """Return the delegations that hold no more at the directory's moment, and why.

    Of whom what is stored cannot be read it is not known whether they have left.
    """
    holding, now = {d.id for d in directory.standing}, directory.moment
    if now is None:
        return []
    left = [d for d in directory.delegations if d.id not in holding]
    return [
        (d, Why.TIME if now >= d.until else Why.GONE)
        for d in left
        if now >= d.until or all(p is None or p.readable for p in _both(directory, d))
    ]


def _both(directory: Directory, one: Delegation) -> tuple[Person | None, Person | None]:
    return directory.get(one.delegator), directory.get(one.delegate)


def said_begun(one: Delegation, directory: Directory, to: PersonId) -> str:
    """Say to one of the two that it has begun."""
    until = end_in_words(one.until, _zone(directory, to))
    why = f"The reason: “{one.reason}”"
    end = "`/access delegate list` ends it."
    if to == one.delegator:
        who = _name(directory, one.delegate)
        return f"{who} can approve and reject for you until {until}, and is asked too. {why}. {end}"
    who = _name(directory, one.delegator)
    return f"You can approve and reject for {who} until {until}, and are asked too. {why}. {end}"


def said_ended(one: Delegation, directory: Directory, to: PersonId, by: PersonId, why: Why) -> str:
    """Say to one of the two that it has ended, and why."""
    if why is Why.GONE:
        because = ": one of you is not active, or was a guest"
    elif why is Why.TIME:
        because = ": its time was up"
    else:
        who = "you" if by == to else "an operator" if by == OPERATOR else _name(directory, by)
        because = f": {who} ended it"
    if to == one.delegator:
        return f"{_name(directory, one.delegate)} does not decide for you any more{because}."
    return f"You do not decide for {_name(directory, one.delegator)} any more{because}."


def _name(directory: Directory, person: PersonId) -> str:
    found = directory.get(person)
    return found.name if found else "Somebody"


def _zone(directory: Directory, person: PersonId) -> str:
    found = directory.get(person)
    return found.zone if found else "UTC"


def may_end(delegation: Delegation, by: PersonId, directory: Directory, *, admin: bool) -> bool:
    """Tell whether somebody may end it: either of the two, or an administrator."""
    both = {directory.formerly.get(p, p) for p in (delegation.delegator, delegation.delegate)}
    return admin or by in both


def _reaches(directory: Directory, start: PersonId, end: PersonId) -> bool:
    """Tell whether somebody lends to somebody else, be it through others."""
    reached = [start]
    for person in reached:  # it grows meanwhile
        further = (d.delegate for d in directory.given_by(person))
        reached += [p for p in further if p not in reached]
    return end in reached


def _bad(sentence: str) -> Refusal:
    return Refusal(Code.BAD_DELEGATION, sentence, about="until")


def _not_to(sentence: str) -> Refusal:
    return Refusal(Code.BAD_DELEGATION, sentence, about="delegate")


def _short(text: str) -> str:
    said = line(text)
    return said if len(said) <= 40 else f"{said[:39]}…"
