"""What people cannot have, and told the administrators that they want."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.directory import PersonId
from engine.flow import MAX_JUSTIFICATION
from engine.inventory import ResourceId
from engine.outcome import Code, Refusal
from engine.words import line, quoted, trimmed

__all__ = ["KEPT", "MOST", "MOST_OF_ONE", "Wanted", "Wish", "in_words", "not_taken", "wanted"]

MOST_OF_ONE = 10  # wishes of one person, that are kept
MOST = 5000  # wishes of all, that are kept: the newest
KEPT = timedelta(days=90)
NAMED = 20  # things, in one message
QUOTED = 3  # reasons, for each


@dataclass(frozen=True, slots=True)
class Wish:
    """One person's, for one thing. `resource` None: what nothing is called that they may know.

    `called` is what the thing is called to people. `told`: the administrators have read of it.
    """

    person: PersonId
    words: str
    called: str
    reason: str
    at: datetime
    resource: ResourceId | None = None
    told: bool = False

    @property
    def about(self) -> str:
        """What tells it from other wishes of the same person."""
        if self.resource is not None:
            return f"resource/{self.resource}"
        return f"words/{' '.join(self.called.casefold().split())}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thing, and the wishes for it, the newest first."""

    called: str
    wishes: tuple[Wish, ...]

    @property
    def said(self) -> str:
        people = len({wish.person for wish in self.wishes})
        return f"{people} {'person' if people == 1 else 'people'} asked for {self.called}"


def not_taken(wish: Wish, others: Collection[Wish]) -> Refusal | None:
    """Return why a wish is not kept, beside the other ones of its person; None: it is."""
    reason = trimmed(wish.reason)
    if not trimmed(wish.called):
        return Refusal(Code.NOTHING_SELECTED, "Say what you want.", about="resource")
    if not reason:
        needed = "Say what you need it for."
        return Refusal(Code.JUSTIFICATION_NEEDED, needed, about="reason")
    if len(reason) > MAX_JUSTIFICATION:
        long = f"At most {MAX_JUSTIFICATION:,} characters; this has {len(reason):,}."
        return Refusal(Code.TEXT_TOO_LONG, long, about="reason")
    if len({other.about for other in others} | {wish.about}) > MOST_OF_ONE:
        many = (
            f"You have told the administrators of {MOST_OF_ONE} things, which is the most that is "
            "kept of one person. Speak with them."
        )
        return Refusal(Code.TOO_MANY_OPEN, many, about="reason")
    return None


def wanted(wishes: Iterable[Wish]) -> list[Wanted]:
    """Return what is wanted, by how many people, most first."""
    found: dict[str, list[Wish]] = {}
    for wish in sorted(wishes, key=lambda w: w.at, reverse=True):
        found.setdefault(wish.about, []).append(wish)
    things = [Wanted(mine[0].called, tuple(mine)) for mine in found.values()]
    return sorted(things, key=lambda thing: (-len(thing.wishes), thing.called.casefold()))


def in_words(things: Sequence[Wanted]) -> str:
    """Say what is wanted, with the newest reasons, a line for each."""
    lines = [f"• {thing.said}: {_reasons(thing.wishes)}" for thing in things[:NAMED]]
    if more := len(things) - len(lines):
        lines.append(f"• and {more} more: latchkey wishes")
    return "\n".join(["What people cannot have, and asked for:", *lines])


def _reasons(wishes: Sequence[Wish]) -> str:
    said = [quoted(_short(wish.reason)) for wish in wishes[:QUOTED]]
    more = len(wishes) - len(said)
    return ", ".join([*said, *([f"and {more} more"] if more else [])])


def _short(reason: str) -> str:
    said = line(reason)
    return said if len(said) <= 100 else f"{said[:99]}…"
