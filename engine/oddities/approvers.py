"""Who could approve: nobody, too few, they alone for themselves; or very many, all of them told."""

from collections.abc import Iterator
from functools import reduce
from operator import or_

from engine import ownership
from engine.conditions import OWNER, Comparator, Condition, ConditionGroup, Connective
from engine.crowd import Bits, Crowd, each
from engine.explanation import joined, people_of
from engine.flow import ApproverGroup, Quorum
from engine.oddities.findings import Fault, Finding, Offered, Reach, entitlements, first, have
from engine.ownership import Owners
from engine.tally import Need, Tally

MANY_ASKED = 50  # people, of whom each gets a message


def approvers(reach: Reach, crowd: Crowd, offered: Offered) -> Iterator[Finding]:
    """Find what is odd about who decides."""
    for group in reach.flow.revision.deciders:
        if group.conditions.asks(OWNER):
            yield from _owners(group, reach, crowd, offered)
        else:
            yield from _group(group, reach, crowd)
    yield from _together(reach, crowd)
    yield from _many(reach, crowd)


def _group(group: ApproverGroup, reach: Reach, crowd: Crowd) -> Iterator[Finding]:
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
    group: ApproverGroup, reach: Reach, crowd: Crowd, offered: Offered
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
        sentence = f"{called} has nobody who could approve for {entitlements(nobody)}: no owner "
        yield Finding(Fault.EMPTY_GROUP, reach.flow, f"{sentence}is known.", first(nobody))
    if few:
        sentence = f"{called} needs {group.needs} owners of each, and {have(few)} fewer."
        yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence, first(few))
    if own:
        sentence = f"{called} is for {entitlements(own)} somebody alone who may ask for it."
        yield Finding(Fault.OWN_APPROVAL, reach.flow, sentence, first(own))


def _together(reach: Reach, crowd: Crowd) -> Iterator[Finding]:
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


def _many(reach: Reach, crowd: Crowd) -> Iterator[Finding]:
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


def _own(approvers: Bits, reach: Reach, crowd: Crowd) -> bool:
    """Tell whether all approvers may be the two whose request it is: who asks, and who gets it."""
    if approvers.bit_count() > 2:
        return False
    people = [*each(approvers)]
    if len(people) == 1:
        ask = reach.themselves | reach.leaders | (reach.askers if reach.others else 0)
        return bool(approvers & (ask | reach.others) or crowd.managing(approvers) & reach.leaders)
    first, second = people
    return _asks_for(first, second, reach, crowd) or _asks_for(second, first, reach, crowd)


def _asks_for(requestor: int, grantee: int, reach: Reach, crowd: Crowd) -> bool:
    asks, gets = 1 << requestor, 1 << grantee
    if reach.leaders & asks and crowd.people[grantee].manager == crowd.people[requestor].id:
        return True
    return bool(reach.askers & asks and reach.others & gets)


def _names_a_manager(group: ConditionGroup) -> bool:
    return any(map(_is_their_manager, group.conditions))


def _is_their_manager(condition: Condition) -> bool:
    """Tell whether it means the manager of whoever is to have it."""
    return condition == Condition("manager", Comparator.IS, ())


def _managers(group: ApproverGroup, reach: Reach, crowd: Crowd) -> Iterator[Finding]:
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
        such = crowd.people[first(left)].name
        sentence = (
            f"“{group.name}” has nobody who could approve for {left.bit_count():,} of "
            f"{those.bit_count():,} people, such as {such}: no manager of theirs is among them."
        )
        yield Finding(Fault.EMPTY_GROUP, reach.flow, sentence)
