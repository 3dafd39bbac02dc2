"""What is odd about access flows, of all at once: for administrators who write them.

People and entitlements are sets, as the bits of numbers (`engine.crowd`): a thousand flows are
compared with each other in seconds, however many people and things there are.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce
from operator import or_

from engine import ownership, policy_size
from engine.aql.query import And, Not, Or, Query
from engine.aql.query import Condition as Comparison
from engine.aql.tokens import FIELDS, NEGATIVE, Field, quoted
from engine.conditions import OWNER, Comparator, Condition, ConditionGroup, Connective, exact
from engine.crowd import Bits, Crowd, each
from engine.eligibility import preference
from engine.explanation import joined, people_of
from engine.flow import AccessFlow, ApproverGroup, FlowId, Quorum, RequestFor, Revision
from engine.inventory import Entitlement
from engine.ownership import Owners
from engine.tally import Need, Tally
from engine.targets import ByBundle
from engine.words import no_pattern

__all__ = ["Fault", "Finding", "Key", "Offered", "keys_denied", "lint"]

Key = tuple[Field, str]  # a field of AQL that has keys, and one of them

MANY_ASKED = 50  # people, of whom each gets a message

Progress = Callable[[int, int], None]  # how many flows were looked at, of how many


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
class _Reach:
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

    def shared(self, other: "_Reach") -> Bits:
        """Return who may ask under both, for the same people."""
        found = self.themselves & other.themselves | self.leaders & other.leaders
        if self.others & other.others:
            found |= self.askers & other.askers
        return found

    def within(self, other: "_Reach") -> bool:
        """Tell whether the other is open to all whom this one is open to, for the same people."""
        return (
            not self.themselves & ~other.themselves
            and not self.leaders & ~other.leaders
            and not (self.others and (self.askers & ~other.askers or self.others & ~other.others))
        )


def lint(
    flows: Collection[AccessFlow],
    crowd: Crowd,
    offered: Offered,
    *,
    of: Collection[FlowId] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> list[Finding]:
    """Return what is odd about the flows that are open, or those `of` them, the preferred first.

    Flows overlap where somebody may ask for the same entitlement under both, for the same person.
    That a flow never wins is said where others, each of which is open to all whom it is for, offer
    all that it does, as long and whenever it does: nobody is proposed it then.
    """
    reaches = [_reach(flow, crowd, offered) for flow in flows if flow.open]
    reaches.sort(key=lambda reach: reach.preference)
    looked_at = [reach for reach in reaches if of is None or reach.flow.id in of]
    found: list[Finding] = []
    for done, reach in enumerate(looked_at):
        progress(done, len(looked_at))
        found += _of_one(reach, crowd, offered)
        if reach.offers and reach.anybody:
            found += _beside(reach, reaches)
    progress(len(looked_at), len(looked_at))
    return found


def _reach(flow: AccessFlow, crowd: Crowd, offered: Offered) -> _Reach:
    revision, whom = flow.revision, flow.revision.request_for
    askers = crowd.fulfilling(revision.requestors) & crowd.able
    others = revision.grantees if RequestFor.OTHERS in whom else None
    return _Reach(
        flow,
        offered.by_flow.get(flow.id, 0),
        askers,
        themselves=askers if RequestFor.SELF in whom else 0,
        leaders=askers & crowd.leading if RequestFor.DIRECT_REPORTS in whom else 0,
        others=crowd.fulfilling(others) & crowd.receiving if others and askers else 0,
        preference=preference(flow),
    )


# --- one flow ------------------------------------------------------------------------------------


def _of_one(reach: _Reach, crowd: Crowd, offered: Offered) -> Iterator[Finding]:
    flow = reach.flow
    if not reach.anybody:
        yield Finding(Fault.NOBODY, flow, _nobody(reach, crowd))
    if not reach.offers:
        yield Finding(Fault.NOTHING, flow, "None of its targets selects anything that is there.")
    for group in flow.revision.deciders:
        if group.conditions.asks(OWNER):
            yield from _owners(group, reach, crowd, offered)
        else:
            yield from _group(group, reach, crowd)
    yield from _together(reach, crowd)
    yield from _many(reach, crowd)
    yield from _unapproved(reach, offered)
    yield from _absent(flow, crowd)
    yield from _patterns(flow, crowd)
    yield from _absent_keys(reach, offered)
    for those in offered.named.get(flow.id, ()):
        if sentence := policy_size.warning(those):
            yield Finding(Fault.NAMED, flow, sentence)


def _nobody(reach: _Reach, crowd: Crowd) -> str:
    if reach.askers:
        return "Nobody can request anything: there is nobody for whom they could."
    whom = people_of(reach.flow.revision.requestors, crowd.directory)
    return f"Nobody can request anything: it is for {whom}, and no active member is one."


def _group(group: ApproverGroup, reach: _Reach, crowd: Crowd) -> Iterator[Finding]:
    if _names_a_manager(group.conditions):
        yield from _managers(group, reach, crowd)
        return
    approvers, flow = crowd.fulfilling(group.conditions) & crowd.able, reach.flow
    if not approvers:
        whom = people_of(group.conditions, crowd.directory)
        sentence = f"“{group.name}” has nobody who could approve: it is {whom}."
        yield Finding(Fault.EMPTY_GROUP, flow, sentence)
    elif (there := approvers.bit_count()) < group.needs:
        sentence = f"“{group.name}” needs {group.needs} approvers and has {there}."
        yield Finding(Fault.EMPTY_GROUP, flow, sentence)
    elif not flow.revision.self_approval and _own(approvers, reach, crowd):
        names = joined((crowd.people[n].name for n in each(approvers)), last="and")
        sentence = f"“{group.name}” is {names} alone, who may not approve their own request."
        yield Finding(Fault.OWN_APPROVAL, flow, sentence)


def _owners(
    group: ApproverGroup, reach: _Reach, crowd: Crowd, offered: Offered
) -> Iterator[Finding]:
    """Find what nobody could approve who owns it, or too few, or they alone for themselves."""
    if _names_a_manager(group.conditions):
        return  # whoever it is, is somebody else for each request
    by: dict[Owners, Bits] = {}
    for said, those in offered.owned.items():
        owners = ownership.owners(said, crowd.directory)
        by[owners] = by.get(owners, 0) | those & reach.offers
    nobody: Bits = 0
    few: Bits = 0
    own: Bits = 0
    for owners, those in by.items():
        chosen = ownership.each_selected(group.conditions, owners)
        approvers = reduce(or_, map(crowd.fulfilling, chosen)) & crowd.able
        if not approvers:
            nobody |= those
        elif approvers.bit_count() < group.needs:
            few |= those
        elif not reach.flow.revision.self_approval and _own(approvers, reach, crowd):
            own |= those
    called = f"“{group.name}”"
    if nobody:
        sentence = f"{called} has nobody who could approve for {_entitlements(nobody)}: no owner "
        yield Finding(Fault.EMPTY_GROUP, reach.flow, f"{sentence}is known.", _first(nobody))
    if few:
        sentence = f"{called} needs {group.needs} owners of each, and {_have(few)} fewer."
        yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence, _first(few))
    if own:
        sentence = f"{called} is for {_entitlements(own)} somebody alone who may ask for it."
        yield Finding(Fault.OWN_APPROVAL, reach.flow, sentence, _first(own))


def _together(reach: _Reach, crowd: Crowd) -> Iterator[Finding]:
    """Find groups that have enough people each, but not enough different ones."""
    rule = reach.flow.revision.approval
    if rule is None or rule.join is not Quorum.ALL_OF or not rule.distinct:
        return
    scarce = list[tuple[ApproverGroup, Bits]]()
    for group in rule.groups:
        if not (_names_a_manager(group.conditions) or group.conditions.asks(OWNER)):
            there = crowd.fulfilling(group.conditions) & crowd.able
            if group.needs <= there.bit_count() < rule.people_needed:  # else they cannot lack any
                scarce.append((group, there))
    everybody = 0
    for _, there in scarce:
        everybody |= there
    people = [
        {n: ("",) for n, (_, there) in enumerate(scarce) if there >> one & 1}
        for one in each(everybody)
    ]
    if Tally([Need({"": group.needs}) for group, _ in scarce], people, distinct=True).fulfilled():
        return
    names = joined((f"“{group.name}”" for group, _ in scarce), last="and")
    sentence = (
        f"{names} need {sum(group.needs for group, _ in scarce)} different approvers together, and "
        f"have too few: {joined((crowd.people[n].name for n in each(everybody)), last='and')}."
    )
    yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence)


def _many(reach: _Reach, crowd: Crowd) -> Iterator[Finding]:
    """Find a flow of which each request is a message to very many at once."""
    revision = reach.flow.revision
    if revision.approval is None or not revision.notify.directly:
        return
    asked: Bits = 0
    for group in revision.approval.groups:
        if not _names_a_manager(group.conditions):
            asked |= crowd.fulfilling(group.conditions) & crowd.able
    if (many := asked.bit_count()) > MANY_ASKED:
        sentence = f"Each request is a message to {many:,} people. Name a channel: `notify`."
        yield Finding(Fault.CROWD, reach.flow, sentence)


def _own(approvers: Bits, reach: _Reach, crowd: Crowd) -> bool:
    """Tell whether all approvers may be the two whose request it is: who asks, and who gets it."""
    if approvers.bit_count() > 2:
        return False
    people = [*each(approvers)]
    if len(people) == 1:
        ask = reach.themselves | reach.leaders | (reach.askers if reach.others else 0)
        return bool(approvers & (ask | reach.others) or crowd.managing(approvers) & reach.leaders)
    first, second = people
    return _asks_for(first, second, reach, crowd) or _asks_for(second, first, reach, crowd)


def _asks_for(requestor: int, grantee: int, reach: _Reach, crowd: Crowd) -> bool:
    asks, gets = 1 << requestor, 1 << grantee
    if reach.leaders & asks and crowd.people[grantee].manager == crowd.people[requestor].id:
        return True
    return bool(reach.askers & asks and reach.others & gets)


def _names_a_manager(group: ConditionGroup) -> bool:
    return any(map(_is_their_manager, group.conditions))


def _is_their_manager(condition: Condition) -> bool:
    """Tell whether it means the manager of whoever is to have it."""
    return condition == Condition("manager", Comparator.IS, ())


def _managers(group: ApproverGroup, reach: _Reach, crowd: Crowd) -> Iterator[Finding]:
    """Find whose manager could not approve, or alone does not suffice."""
    if group.needs > 1 and group.conditions.join is Connective.AND:
        sentence = f"“{group.name}” needs {group.needs} approvers, and nobody has two managers."
        yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence)
        return
    rest = tuple(c for c in group.conditions.conditions if not _is_their_manager(c))
    fitting = crowd.able
    if rest:
        others = crowd.fulfilling(ConditionGroup(rest, group.conditions.join)) & crowd.able
        if group.conditions.join is Connective.OR and others:
            return
        fitting = others if group.conditions.join is Connective.AND else crowd.able
    asking = reach.askers & crowd.managing(reach.others)  # whose own manager decides then
    those = reach.themselves | reach.leaders | reach.others | asking
    if left := those & ~crowd.managed_by(fitting):
        first = crowd.people[_first(left)].name
        sentence = (
            f"“{group.name}” has nobody who could approve for {left.bit_count():,} of "
            f"{those.bit_count():,} people, such as {first}: no manager of theirs is among them."
        )
        yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence)


def _unapproved(reach: _Reach, offered: Offered) -> Iterator[Finding]:
    if reach.flow.revision.approval is not None:
        return
    for what, those in (("of high risk", offered.high), ("in production", offered.prod)):
        if found := reach.offers & those:
            sentence = f"Without any approval it gives {_entitlements(found)} {what}."
            yield Finding(Fault.UNAPPROVED, reach.flow, sentence, _first(found))


def _absent(flow: AccessFlow, crowd: Crowd) -> Iterator[Finding]:
    """Find conditions that whoever has no value fails, although they say what is not wanted."""
    negative = (c for c in _conditions(flow) if c.comparator.negative)
    for condition in (c for c in negative if c.attribute not in _ALWAYS_THERE):
        if missing := crowd.without(condition.attribute) & crowd.receiving:
            count = missing.bit_count()
            have = "person has" if count == 1 else "people have"
            sentence = f"{count:,} {have} no {condition.attribute}, and so fail “{condition}”."
            yield Finding(Fault.ABSENT, flow, sentence)


def _patterns(flow: AccessFlow, crowd: Crowd) -> Iterator[Finding]:
    """Find texts that look like patterns, which are not offered, and fit nobody as they are."""
    for condition in (c for c in _conditions(flow) if not exact(c)):
        comparator = _POSITIVE.get(condition.comparator, condition.comparator)
        for value in condition.values:
            as_it_is = Condition(condition.attribute, comparator, (value,))
            hint = no_pattern(value, "contains", "starts with")
            if hint and not crowd.fulfilling(ConditionGroup((as_it_is,))):
                sentence = f"“{value}” of “{condition}” fits nobody: {hint}."
                yield Finding(Fault.PATTERN, flow, sentence)


def _conditions(flow: AccessFlow) -> Iterable[Condition]:
    """Return each condition on people, once."""
    revision = flow.revision
    groups = [revision.requestors, *(group.conditions for group in revision.deciders)]
    groups += [revision.grantees] if revision.grantees else []
    return dict.fromkeys(c for group in groups for c in group.conditions)


def _absent_keys(reach: _Reach, offered: Offered) -> Iterator[Finding]:
    """Find what a query selects for want of a key, by a test of what is not wanted under it."""
    denied: dict[Key, None] = dict.fromkeys(keys_denied(reach.flow.revision.offers))
    for name, key in denied:
        if missing := reach.offers & ~offered.having.get((name, key), 0):
            has = "has" if missing.bit_count() == 1 else "have"
            named = f"{name}[{quoted(key)}]"
            sentence = (
                f"{_entitlements(missing)} of it {has} no {named}, of which a target says only "
                "what it must not be."
            )
            yield Finding(Fault.ABSENT, reach.flow, sentence, _first(missing))


def keys_denied(query: Query | None, *, denied: bool = False) -> Iterator[Key]:
    """Yield the keys of which a query says what is not wanted. `denied`: it stands below a NOT."""
    match query:
        case Comparison() if FIELDS[query.field].keyed:
            if (query.operator in NEGATIVE) is not denied:
                yield query.field, query.key
        case Not():
            yield from keys_denied(query.part, denied=not denied)
        case And() | Or():
            for part in query.parts:
                yield from keys_denied(part, denied=denied)


_POSITIVE = {
    Comparator.IS_NOT: Comparator.IS,
    Comparator.DOES_NOT_CONTAIN: Comparator.CONTAINS,
}
_ALWAYS_THERE = frozenset({"user", "group", "on_call"})  # to be in none means something


# --- one beside the others -----------------------------------------------------------------------


def _beside(reach: _Reach, reaches: Sequence[_Reach]) -> Iterator[Finding]:
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
        sentence = f"It is never proposed: whatever it offers, {_named(winners)} {offer} before it."
        yield Finding(Fault.NEVER_WINS, reach.flow, sentence)


class _Overlap:
    """What one flow shares with some others."""

    def __init__(self, of: _Reach) -> None:
        self.of = of
        self.found: Bits = 0
        self._people: Bits = 0
        self._with: list[AccessFlow] = []

    def look_at(self, other: _Reach) -> None:
        if (people := self.of.shared(other)) and (both := self.of.offers & other.offers):
            self.found |= both
            self._people |= people
            self._with.append(other.flow)

    def finding(self, fault: Fault, how: str) -> Finding:
        count = self._people.bit_count()
        people = "1 person" if count == 1 else f"{count:,} people"
        which = "which is" if len(self._with) == 1 else "which are"
        what = f"{_entitlements(self.found)} of it under {_named(self._with)}, too"
        sentence = f"{people} can have {what}, {which} {how}."
        return Finding(fault, self.of.flow, sentence, _first(self.found))


def _winners(reach: _Reach, reaches: Sequence[_Reach]) -> list[AccessFlow]:
    """Return flows that are always proposed before this one; nothing: it may be."""
    left, winners = reach.offers, list[AccessFlow]()
    for other in reaches:
        if other is reach or not left:
            break
        if _whenever(other, reach) and left & other.offers and reach.within(other):
            left &= ~other.offers
            winners.append(other.flow)
    return [] if left else winners


def _whenever(other: _Reach, reach: _Reach) -> bool:
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


def _named(flows: Sequence[AccessFlow]) -> str:
    return joined((f"“{flow.name}”" for flow in flows), last="and")


def _entitlements(those: Bits) -> str:
    count = those.bit_count()
    return "1 entitlement" if count == 1 else f"{count:,} entitlements"


def _have(those: Bits) -> str:
    return f"{_entitlements(those)} {'has' if those.bit_count() == 1 else 'have'}"


def _first(those: Bits) -> int:
    return (those & -those).bit_length() - 1
