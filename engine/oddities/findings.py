"""What was found, and what it is found by: whom a flow is for, and what flows offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from engine.aql.tokens import Field
from engine.crowd import Bits
from engine.explanation import joined
from engine.flow import AccessFlow, FlowId
from engine.inventory import Entitlement
from engine.targets import ByBundle

Key = tuple[Field, str]  # a field of AQL that has keys, and one of them


class Fault(StrEnum):
    NOBODY = "nobody can request"
    NOTHING = "nothing to request"
    EMPTY_GROUP = "nobody could approve"
    OWN_APPROVAL = "nobody but themselves could approve"
    UNDERCUT = "less strict elsewhere"
    UNDERCUTS = "stricter elsewhere"
    NEVER_WINS = "never wins"
    UNAPPROVED = "risky without approval"
    ABSENT = "negative tests on absent keys"
    PATTERN = "looks like a pattern"
    NAMED = "many named one by one"
    CROWD = "many messages"


@dataclass(frozen=True, slots=True)
class Offered:
    """What flows offer: sets of entitlements, by the numbers that they have for this.

    `high` are those of high or critical risk, `prod` those that a query calls so, `having` those
    that have a key, of each that `keys_denied` names. `named` are, of each target that names
    resources one by one, what it selects, where that is much. `owned` are those of which the same
    is said of whose they are (`ownership.said_of`), where a flow asks owners.
    """

    by_flow: Mapping[FlowId, Bits]
    high: Bits = 0
    prod: Bits = 0
    having: Mapping[Key, Bits] = field(default_factory=dict[Key, Bits])
    named: Mapping[FlowId, Sequence[Sequence[Entitlement]]] = field(
        default_factory=dict[FlowId, Sequence[Sequence[Entitlement]]]
    )
    owned: Mapping[tuple[str, ...], Bits] = field(default_factory=dict[tuple[str, ...], Bits])


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about a flow. `example` is the number of an entitlement that shows it."""

    fault: Fault
    flow: AccessFlow
    sentence: str
    example: int | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a flow is for: who may ask for themselves, for their reports, for others (`others`)."""

    flow: AccessFlow
    offers: Bits
    askers: Bits
    themselves: Bits
    leaders: Bits
    others: Bits
    preference: tuple[bool, int, int, float, int]

    @property
    def bundled(self) -> bool:
        """Whether it offers a bundle: that is asked for under such flows alone."""
        return any(isinstance(target, ByBundle) for target in self.flow.revision.targets)

    @property
    def anybody(self) -> bool:
        alone = self.askers == self.others and self.askers.bit_count() == 1
        return bool(self.themselves or self.leaders or (self.askers and self.others and not alone))

    @property
    def strictness(self) -> tuple[bool, int, int]:
        return self.preference[:3]

    def shared(self, other: "Reach") -> Bits:
        """Return who may ask under both, for the same people."""
        found = self.themselves & other.themselves | self.leaders & other.leaders
        if self.others & other.others:
            found |= self.askers & other.askers
        return found

    def within(self, other: "Reach") -> bool:
        """Tell whether the other is open to all whom this one is open to, for the same people."""
        return (
            not self.themselves & ~other.themselves
            and not self.leaders & ~other.leaders
            and not (self.others and (self.askers & ~other.askers or self.others & ~other.others))
        )


def named(flows: Sequence[AccessFlow]) -> str:
    return joined((f"“{flow.name}”" for flow in flows), last="and")


def entitlements(those: Bits) -> str:
    count = those.bit_count()
    return "1 entitlement" if count == 1 else f"{count:,} entitlements"


def have(those: Bits) -> str:
    return f"{entitlements(those)} {'has' if those.bit_count() == 1 else 'have'}"


def first(those: Bits) -> int:
    return (those & -those).bit_length() - 1
