"""A flow beside the others: what is to be had more easily elsewhere, and what is never proposed."""

from collections.abc import Iterator, Sequence

from engine.conditions import ConditionGroup
from engine.crowd import Bits
from engine.flow import AccessFlow, Revision
from engine.oddities.findings import Fault, Finding, Reach, entitlements, first, named


def beside(reach: Reach, reaches: Sequence[Reach]) -> Iterator[Finding]:
    looser, stricter = _Overlap(reach), _Overlap(reach)
    strictness = reach.strictness
    for other in reaches:
        if other.strictness < strictness:
            looser.look_at(other)
        elif other.strictness > strictness:
            stricter.look_at(other)
    if looser.found:
        yield looser.finding(Fault.UNDERCUT, "less strict")
    if stricter.found:
        yield stricter.finding(Fault.UNDERCUTS, "stricter")
    if not reach.bundled and (winners := _winners(reach, reaches)):
        offer = "offers" if len(winners) == 1 else "offer"
        sentence = f"It is never proposed: whatever it offers, {named(winners)} {offer} before it."
        yield Finding(Fault.NEVER_WINS, reach.flow, sentence)


class _Overlap:
    """What one flow shares with some others."""

    def __init__(self, of: Reach) -> None:
        self.of = of
        self.found: Bits = 0
        self._people: Bits = 0
        self._with: list[AccessFlow] = []

    def look_at(self, other: Reach) -> None:
        if (people := self.of.shared(other)) and (both := self.of.offers & other.offers):
            self.found |= both
            self._people |= people
            self._with.append(other.flow)

    def finding(self, fault: Fault, how: str) -> Finding:
        count = self._people.bit_count()
        people = "1 person" if count == 1 else f"{count:,} people"
        which = "which is" if len(self._with) == 1 else "which are"
        what = f"{entitlements(self.found)} of it under {named(self._with)}, too"
        sentence = f"{people} can have {what}, {which} {how}."
        return Finding(fault, self.of.flow, sentence, first(self.found))


def _winners(reach: Reach, reaches: Sequence[Reach]) -> list[AccessFlow]:
    """Return flows that are always proposed before this one; nothing: it may be."""
    left, winners = reach.offers, list[AccessFlow]()
    for other in reaches:
        if other is reach or not left:
            break
        if _whenever(other, reach) and left & other.offers and reach.within(other):
            left &= ~other.offers
            winners.append(other.flow)
    return [] if left else winners


def _whenever(other: Reach, reach: Reach) -> bool:
    """Tell whether the other can be asked for whenever this one can, and for as long."""
    theirs, mine = other.flow.revision, reach.flow.revision
    if theirs.when not in {None, mine.when}:
        return False
    if _on_call(theirs) and _whose(theirs) != _whose(mine):
        return False
    return theirs.grant_for is None or (
        mine.grant_for is not None and mine.grant_for <= theirs.grant_for
    )


def _whose(revision: Revision) -> tuple[ConditionGroup | None, ...]:
    return revision.requestors, revision.grantees


def _on_call(revision: Revision) -> bool:
    """Tell whether who may ask, or for whom, depends on who is on call at that moment."""
    asked = (condition for group in _whose(revision) if group for condition in group.conditions)
    return any(condition.attribute == "on_call" for condition in asked)
