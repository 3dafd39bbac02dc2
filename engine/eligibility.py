"""Who may request what, under which flow, and why not. One function answers: `bars`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from engine import policy_size, start
from engine.conditions import Comparator, Condition, ConditionGroup, matches
from engine.directory import Directory, Person
from engine.duration import in_words
from engine.facts import Facts
from engine.flow import (
    MAX_JUSTIFICATION,
    MIN_DURATION,
    AccessFlow,
    FlowId,
    RequestFor,
    Revision,
)
from engine.inventory import Entitlement
from engine.outcome import Code, Refusal
from engine.policy_size import Carried
from engine.request import AccessRequest, Grant, GrantId, RequestId, code_of
from engine.targets import key_of
from engine.window import is_open, next_opening, opening_in_words
from engine.words import trimmed

MAX_ENTITLEMENTS = 50
MAX_BUNDLED = 1000  # by way of a bundle
OPEN_SUBMISSIONS = 20  # of one person, unless it is set otherwise
_NAMED = 5  # of those that wait, in a sentence
NOT_ACTIVE = "Who asked, or who was to have it, is no longer active, or is a guest now."
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody is about to submit. `duration` None: indefinite. `starts_at` None: at once.

    `bundle` is the name of the bundle that its entitlements are; empty: none. `instead` is the
    request of theirs in whose place it stands.
    """

    requestor: Person
    grantee: Person
    flow: AccessFlow
    entitlements: tuple[Entitlement, ...]
    duration: timedelta | None
    justification: str = ""
    bundle: str = ""
    starts_at: datetime | None = None
    instead: RequestId | None = None


class Bar(StrEnum):
    """What keeps somebody from requesting something under a flow, in the order of the tests."""

    CLOSED = "closed"  # the flow is switched off, deleted, or cannot be read
    STATUS = "status"  # whoever asks is not active, or a guest
    REQUESTORS = "requestors"  # they do not fulfil its conditions
    LEFT = "left"  # whoever is to have it has left
    GRANTEE = "grantee"  # it is not for them
    OFFER = "offer"  # it does not offer this, or it is not there
    EMPTY = "empty"  # there is nothing in the bundle that it offers
    TOO_MANY = "too many"  # there is more in the bundle than a request has
    TIME = "time"  # not at this moment


@dataclass(frozen=True, slots=True)
class Bundled:
    """A bundle as one thing to ask for; `sizes`: how much each flow offers of it, that is there."""

    name: str
    sizes: Mapping[FlowId, int]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Who asks, for whom, and for what: an entitlement, or a bundle; neither: for anything.

    The directory is that of the moment that is asked about. `now` None: at whatever time.
    """

    requestor: Person
    grantee: Person
    directory: Directory
    entitlement: Entitlement | None = None
    now: datetime | None = None
    bundle: Bundled | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a flow says of a question: what keeps whoever asks from it; nothing: they may."""

    flow: AccessFlow
    bars: tuple[Bar, ...]

    @property
    def sometime(self) -> bool:
        """Whether nothing but the time keeps them from it, if anything does."""
        return not {*self.bars} - {Bar.TIME}


def bars(flow: AccessFlow, asked: Inquiry) -> Iterator[Bar]:
    """Yield all that keeps somebody from requesting under the flow; nothing: they may.

    This is the one answer to who may request what: whoever wants the first bar alone, or a part of
    the question, asks it all the same.
    """
    if not flow.open:
        yield Bar.CLOSED
    yield from _of_people(flow.revision, asked.requestor, asked.grantee, asked.directory)
    entitlement, window = asked.entitlement, flow.revision.when
    if entitlement and not _offers(flow, entitlement):
        yield Bar.OFFER
    if asked.bundle:
        yield from _of_bundle(flow, asked.bundle)
    if asked.now and window and not is_open(window, asked.now):
        yield Bar.TIME


def _of_bundle(flow: AccessFlow, bundle: Bundled) -> Iterator[Bar]:
    size = bundle.sizes.get(flow.id, 0)
    if not flow.revision.has(key_of(bundle.name)):
        yield Bar.OFFER
    elif not size:
        yield Bar.EMPTY
    elif size > MAX_BUNDLED:
        yield Bar.TOO_MANY


def _of_people(
    revision: Revision, requestor: Person, grantee: Person, directory: Directory
) -> Iterator[Bar]:
    if not requestor.may_ask:
        yield Bar.STATUS
    if not matches(revision.requestors, requestor, directory):
        yield Bar.REQUESTORS
    if not grantee.may_receive:
        yield Bar.LEFT
    if not _is_for(revision, requestor, grantee, directory):
        yield Bar.GRANTEE


def verdicts(flows: Iterable[AccessFlow], asked: Inquiry) -> list[Verdict]:
    """Return what the flows say: first those that can be asked for, the preferred first.

    Then come those that can be at another time, then the others.
    """
    found = [Verdict(flow, tuple(bars(flow, asked))) for flow in flows]
    return sorted(found, key=lambda v: (not v.sometime, bool(v.bars), preference(v.flow)))


def may_know(flow: AccessFlow, person: Person, directory: Directory) -> bool:
    """Tell whether this person may learn that the flow and what it offers exist."""
    if flow.deleted or not flow.revision.readable or not person.may_ask:
        return False
    listed = flow.active and flow.revision.listed and not flow.revision.space
    return listed or matches(flow.revision.requestors, person, directory)


def why_not(
    flow: AccessFlow, requestor: Person, grantee: Person, directory: Directory
) -> Refusal | None:
    """Return why this person may not request anything of this flow for that one; None: they may.

    The directory is that of the moment that is asked about.
    """
    first = next(bars(flow, Inquiry(requestor, grantee, directory)), None)
    match first:
        case None:
            return None
        case Bar.CLOSED:
            return Refusal(Code.FLOW_CLOSED, f"The access flow “{flow.name}” is switched off.")
        case Bar.STATUS:
            return Refusal(Code.PERSON_INACTIVE, "Only active members of the company can ask.")
        case Bar.REQUESTORS:
            return Refusal(Code.NOT_ELIGIBLE, f"“{flow.name}” is not open to you.")
        case Bar.LEFT:
            return Refusal(Code.PERSON_INACTIVE, f"{grantee.name} is not active.")
        case _:
            return Refusal(Code.NOT_ELIGIBLE, f"“{flow.name}” is not open for {grantee.name}.")


_OF_THE_REQUESTOR = frozenset({Bar.CLOSED, Bar.STATUS, Bar.REQUESTORS})


def _may_ask(flow: AccessFlow, requestor: Person, directory: Directory) -> bool:
    """Tell whether this person may request something of this flow for anybody."""
    first = next(bars(flow, Inquiry(requestor, requestor, directory)), None)
    return first not in _OF_THE_REQUESTOR


def _is_for(revision: Revision, requestor: Person, grantee: Person, directory: Directory) -> bool:
    allowed = revision.request_for
    if requestor.id == grantee.id:
        return RequestFor.SELF in allowed
    if RequestFor.DIRECT_REPORTS in allowed and grantee.manager == requestor.id:
        return True
    return (
        RequestFor.OTHERS in allowed
        and revision.grantees is not None
        and matches(revision.grantees, grantee, directory)
    )


@dataclass(frozen=True, slots=True)
class Grantees:
    """For whom somebody may request something. `groups`: whoever fulfils one of these.

    Who they are for is said of each by `why_not`; of nobody else it says so.
    """

    oneself: bool = False
    groups: tuple[ConditionGroup, ...] = ()

    def __bool__(self) -> bool:
        return self.oneself or bool(self.groups)


def grantees(flows: Iterable[AccessFlow], requestor: Person, directory: Directory) -> Grantees:
    """Return for whom this person may request something under one of the flows."""
    revisions = [f.revision for f in flows if _may_ask(f, requestor, directory)]
    groups: dict[ConditionGroup, None] = {}
    for revision in revisions:
        whom = _whom(revision, requestor, directory)
        if RequestFor.DIRECT_REPORTS in whom:
            groups[_managed_by(requestor)] = None
        if RequestFor.OTHERS in whom and revision.grantees:
            groups[revision.grantees] = None
    oneself = any(RequestFor.SELF in revision.request_for for revision in revisions)
    return Grantees(oneself, tuple(groups))


def for_whom(
    flows: Iterable[AccessFlow], requestor: Person, directory: Directory
) -> frozenset[RequestFor]:
    """Return in which ways this person may request under one of the flows, at whatever time.

    Reports are meant only of who has some. Whoever the others are, the flow's conditions say.
    """
    asked = (f.revision for f in flows if _may_ask(f, requestor, directory))
    return frozenset(whom for of in asked for whom in _whom(of, requestor, directory))


def _whom(revision: Revision, requestor: Person, directory: Directory) -> set[RequestFor]:
    nobody = set[RequestFor]()
    if not directory.reports(requestor.id):
        nobody.add(RequestFor.DIRECT_REPORTS)
    if revision.grantees is None:
        nobody.add(RequestFor.OTHERS)
    return {*revision.request_for} - nobody


def _managed_by(person: Person) -> ConditionGroup:
    return ConditionGroup((Condition("manager", Comparator.IS, (person.id,)),))


def usable(
    flows: Iterable[AccessFlow], requestor: Person, grantee: Person, directory: Directory
) -> list[AccessFlow]:
    """Return the flows under which this person may request for that one, the preferred first."""
    asked = Inquiry(requestor, grantee, directory)
    found = [flow for flow in flows if next(bars(flow, asked), None) is None]
    return sorted(found, key=preference)


def offering(flows: Sequence[AccessFlow], entitlement: Entitlement) -> list[AccessFlow]:
    """Return those of the flows that offer the entitlement, in the order given."""
    return [flow for flow in flows if _offers(flow, entitlement)]


def _offers(flow: AccessFlow, entitlement: Entitlement) -> bool:
    return entitlement.available and flow.revision.selects(entitlement)


def allowing(
    flows: Sequence[AccessFlow], duration: timedelta | None, ahead: timedelta | None = None
) -> list[AccessFlow]:
    """Return those of the flows that allow the duration, and a start so far ahead, in order."""
    return [f for f in flows if _fits(f.revision, duration) and _waits(f.revision, ahead)]


def opening(flow: AccessFlow, now: datetime) -> str:
    """Say from when the flow can be asked for, by the clocks of its zone; empty: it can be now."""
    window = flow.revision.when
    return "" if window is None or is_open(window, now) else opening_in_words(window, now)


def by_opening(flows: Iterable[AccessFlow], now: datetime) -> list[tuple[str, list[AccessFlow]]]:
    """Return flows by when they can be asked for, as `opening` says it, those of now first."""
    opened: dict[datetime, list[AccessFlow]] = {}
    for flow in flows:
        window = flow.revision.when
        opens = next_opening(window, now) if window else now
        opened.setdefault(opens or _NEVER, []).append(flow)
    return [(opening(some[0], now), some) for _, some in sorted(opened.items())]


def soonest(flows: Sequence[AccessFlow], now: datetime) -> list[AccessFlow]:
    """Return those of the flows that can be asked for now; where none can, those that can first."""
    return by_opening(flows, now)[0][1] if flows else []


def not_now(flow: AccessFlow, now: datetime) -> Refusal | None:
    """Return why nothing of this flow can be asked for at this moment; None: it can."""
    opens = opening(flow, now)
    if not opens:
        return None
    sentence = f"“{flow.name}” can be asked for {opens} ({flow.revision.when})."
    return Refusal(Code.OUTSIDE_WINDOW, sentence, about="entitlement")


def check(
    draft: Draft, directory: Directory, now: datetime, carried: Sequence[Carried] = ()
) -> Refusal | None:
    """Test everything, as at submission. Return the first thing that is wrong, or None.

    `carried` is what the grantee has, or waits for, where the draft adds a policy.
    """
    flow = draft.flow
    refusal = why_not(flow, draft.requestor, draft.grantee, directory.at(now))
    if refusal := refusal or _bad_time(draft, now):
        return refusal
    if not draft.entitlements:
        return Refusal(Code.NOTHING_SELECTED, "Choose what you need.", about="entitlement")
    if draft.bundle and not flow.revision.has(key_of(draft.bundle)):
        not_offered = f"“{flow.name}” does not offer the bundle “{draft.bundle}”."
        return Refusal(Code.NOT_ELIGIBLE, not_offered, about="entitlement")
    if refusal := too_many(len(draft.entitlements), draft.bundle):
        return refusal
    for entitlement in draft.entitlements:
        if not entitlement.available:
            gone = f"{entitlement.resource.path} no longer exists. Choose something else."
            return Refusal(Code.RESOURCE_GONE, gone, about="entitlement")
        if not _offers(flow, entitlement):
            not_offered = f"“{flow.name}” does not offer {entitlement}."
            return Refusal(Code.NOT_ELIGIBLE, not_offered, about="entitlement")
    return (
        policy_size.too_large(draft.grantee, draft.entitlements, carried)
        or _bad_duration(draft)
        or _bad_justification(draft)
    )


def too_many(wanted: int, bundle: str = "") -> Refusal | None:
    """Return why nobody can ask for so many entitlements at once; None: they can."""
    if bundle and wanted > MAX_BUNDLED:
        sentence = (
            f"The bundle “{bundle}” has {wanted:,} entitlements for you; a request has at most "
            f"{MAX_BUNDLED:,}. Ask for what you need of it, or have it made smaller."
        )
        return Refusal(Code.TOO_MANY, sentence, about="entitlement")
    if not bundle and wanted > MAX_ENTITLEMENTS:
        sentence = f"A request has at most {MAX_ENTITLEMENTS} entitlements; this has {wanted}."
        return Refusal(Code.TOO_MANY, sentence, about="entitlement")
    return None


def too_many_open(waiting: Sequence[RequestId], most: int) -> Refusal | None:
    """Return why somebody may submit no more just now; None: they may.

    `waiting` are all of their requests that are open, the oldest first.
    """
    if len(waiting) < most:
        return None
    named = ", ".join(code_of(request) for request in waiting[:_NAMED])
    more = len(waiting) - _NAMED
    return Refusal(
        Code.TOO_MANY_OPEN,
        f"These requests of yours wait already: {named}{f' and {more} more' if more > 0 else ''}. "
        f"Nobody can have more than {most} at once: cancel one, or wait until it is settled.",
    )


def _bad_time(draft: Draft, now: datetime) -> Refusal | None:
    """Return why it cannot start when it is to: at once, or then."""
    flow, starts = draft.flow, draft.starts_at
    if starts is None:
        return not_now(flow, now)
    closed = not_now(flow, starts)
    zone = draft.requestor.zone
    return start.refused(flow, starts, draft.duration, now, zone) or (
        closed and replace(closed, about="start_day")
    )


def _bad_duration(draft: Draft) -> Refusal | None:
    limit = draft.flow.revision.grant_for
    if draft.duration is not None and draft.duration < MIN_DURATION:
        return Refusal(Code.BAD_DURATION, "The shortest time is 5 minutes.", about="duration")
    if not _fits(draft.flow.revision, draft.duration):
        longest = in_words(limit) if limit else "without end"
        return Refusal(
            Code.BAD_DURATION,
            f"“{draft.flow.name}” grants for at most {longest}.",
            about="duration",
        )
    return None


def _bad_justification(draft: Draft) -> Refusal | None:
    text = trimmed(draft.justification)
    if draft.flow.revision.require_justification and not text:
        return Refusal(
            Code.JUSTIFICATION_NEEDED, "Say what you need it for.", about="justification"
        )
    if len(text) > MAX_JUSTIFICATION:
        return Refusal(
            Code.TEXT_TOO_LONG,
            f"At most {MAX_JUSTIFICATION:,} characters; this has {len(text):,}.",
            about="justification",
        )
    return None


def not_granted(
    request: AccessRequest, grants: Iterable[Grant], facts: Facts, now: datetime
) -> dict[GrantId, str]:
    """Return why which of a request's grants may not be given after all: each as far as it is so.

    Of those that may, one after another, the policies have to find room.
    """
    asked = {grant: still_granted(request, grant, facts, now) for grant in grants}
    fine = [grant for grant, why in asked.items() if not why]
    why_not = {grant.id: why for grant, why in asked.items() if why}
    return why_not | policy_size.without_room(request, fine, facts)


def still_granted(request: AccessRequest, grant: Grant, facts: Facts, now: datetime) -> str:
    """Return why the grant may not be given after all; empty: it may.

    Asked again just before the connector: the requestor's and the grantee's conditions, and that
    the entitlement exists, is called what it was when it was approved, and is selected by the
    revision that the request was made under.
    """
    directory, revision = facts.directory.at(now), facts.revision
    entitlement = facts.entitlements.get(grant.entitlement)
    requestor, grantee = directory.get(request.requestor), directory.get(request.grantee)
    if entitlement is None or not entitlement.available:
        return "It no longer exists."
    if not revision.readable:
        return "Its access flow cannot be read."
    if grant.named not in {"", path := entitlement.resource.path}:
        return f"It is called {path} now; {grant.named} was approved. Ask again."
    if not revision.selects(entitlement):
        return _offered_no_more(revision, facts.flow, entitlement)
    if any(person is not None and not person.readable for person in (requestor, grantee)):
        return "What the directory says of who asked, or was to have it, cannot be read."
    if requestor is None or grantee is None:
        return NOT_ACTIVE
    found = {*_of_people(revision, requestor, grantee, directory)}
    if found & {Bar.STATUS, Bar.LEFT}:
        return NOT_ACTIVE
    if Bar.REQUESTORS in found:
        return f"“{revision.name}” is no longer open to {requestor.name}."
    if Bar.GRANTEE in found:
        return f"“{revision.name}” is no longer open for {grantee.name}."
    return ""


def _offered_no_more(revision: Revision, flow: AccessFlow, entitlement: Entitlement) -> str:
    if flow.open and _offers(flow, entitlement):
        return f"“{revision.name}” offers it otherwise than when it was asked for. Ask again."
    return f"“{revision.name}” does not offer it."


def _fits(revision: Revision, duration: timedelta | None) -> bool:
    if revision.grant_for is None:
        return True
    return duration is not None and duration <= revision.grant_for


def _waits(revision: Revision, ahead: timedelta | None) -> bool:
    if ahead is None:
        return True
    return revision.start_later is not None and ahead <= revision.start_later


def preference(flow: AccessFlow) -> tuple[bool, int, int, float, int]:
    """Return what flows are sorted by, the preferred first.

    Automatic before approval; fewer codes wanted; fewer people needed; longer; older, which has the
    smaller id.
    """
    revision = flow.revision
    approval = revision.approval
    needed = approval.people_needed if approval else 0
    longest = revision.grant_for.total_seconds() if revision.grant_for else float("inf")
    return (approval is not None, int(revision.require_mfa), needed, -longest, flow.id)
