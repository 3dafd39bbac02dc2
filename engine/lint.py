"""What is odd about access flows, of all at once: for administrators who write them.

People and entitlements are sets, as the bits of numbers (`engine.crowd`): a thousand flows are
compared with each other in seconds, however many people and things there are.
"""

from collections.abc import Callable, Collection, Iterator

from engine import policy_size
from engine.crowd import Crowd
from engine.eligibility import preference
from engine.explanation import people_of
from engine.flow import AccessFlow, FlowId, RequestFor
from engine.oddities.absent import absent, absent_keys, patterns
from engine.oddities.approvers import approvers
from engine.oddities.beside import beside
from engine.oddities.findings import Fault, Finding, Offered, Reach, entitlements, first

Progress = Callable[[int, int], None]  # how many flows were looked at, of how many


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
            found += beside(reach, reaches)
    progress(len(looked_at), len(looked_at))
    return found


def _reach(flow: AccessFlow, crowd: Crowd, offered: Offered) -> Reach:
    revision, whom = flow.revision, flow.revision.request_for
    askers = crowd.fulfilling(revision.requestors) & crowd.able
    others = revision.grantees if RequestFor.OTHERS in whom else None
    return Reach(
        flow,
        offered.by_flow.get(flow.id, 0),
        askers,
        themselves=askers if RequestFor.SELF in whom else 0,
        leaders=askers & crowd.leading if RequestFor.DIRECT_REPORTS in whom else 0,
        others=crowd.fulfilling(others) & crowd.receiving if others and askers else 0,
        preference=preference(flow),
    )


def _of_one(reach: Reach, crowd: Crowd, offered: Offered) -> Iterator[Finding]:
    flow = reach.flow
    if not reach.anybody:
        yield Finding(Fault.NOBODY, flow, _nobody(reach, crowd))
    if not reach.offers:
        yield Finding(Fault.NOTHING, flow, "None of its targets selects anything that is there.")
    yield from approvers(reach, crowd, offered)
    yield from _unapproved(reach, offered)
    yield from absent(flow, crowd)
    yield from patterns(flow, crowd)
    yield from absent_keys(reach, offered)
    for those in offered.named.get(flow.id, ()):
        if sentence := policy_size.warning(those):
            yield Finding(Fault.NAMED, flow, sentence)


def _nobody(reach: Reach, crowd: Crowd) -> str:
    if reach.askers:
        return "Nobody can request anything: there is nobody for whom they could."
    whom = people_of(reach.flow.revision.requestors, crowd.directory)
    return f"Nobody can request anything: it is for {whom}, and no active member is one."


def _unapproved(reach: Reach, offered: Offered) -> Iterator[Finding]:
    if reach.flow.revision.approval is not None:
        return
    for what, those in (("of high risk", offered.high), ("in production", offered.prod)):
        if found := reach.offers & those:
            sentence = f"Without any approval it gives {entitlements(found)} {what}."
            yield Finding(Fault.UNAPPROVED, reach.flow, sentence, first(found))
