"""Asking for access: what can be asked for, the form as it fills, the submission."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

import structlog

from bot.runtime.services import Services
from bot.usecases import decide, look
from bot.usecases.identity import read_as, still
from bot.views.values import Asked, Form, Preview, Scene, Start
from engine import approval, duration, eligibility, ownership, start
from engine.aql.predicate import predicate
from engine.aql.query import Query, all_of
from engine.commands import Change
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Person, PersonId
from engine.eligibility import MAX_BUNDLED, Draft
from engine.flow import FURTHEST_AHEAD, AccessFlow, FlowId, Quorum
from engine.inventory import Entitlement, EntitlementId, ResourceId, highest_risk
from engine.outcome import Code, Decision, Refusal
from engine.request import AccessRequest, GrantId, GrantState, RequestId, State
from engine.seating import Case
from engine.start import Chosen
from engine.targets import Bundle, ObjectId, key_of
from engine.window import next_opening, shown
from engine.words import trimmed
from storage import apply, facts, inventory, search
from storage.company import Company
from storage.database import STORED_ALREADY, Read, Write
from storage.inventory import ACTIVE
from storage.search import FoundResource
from storage.sql import people as people_in_sql
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

USUAL = timedelta(hours=1)
MOST_PEOPLE = 100  # in the answer to a search

NOTHING_REQUESTABLE = Refusal(
    Code.NOT_ELIGIBLE,
    "There is nothing that you can request: no access flow is open to you. Ask an administrator.",
)
GONE = Refusal(
    Code.RESOURCE_GONE,
    "This no longer exists, or is no longer offered to you. Choose something else.",
    about="entitlement",
)

EMPTY = Refusal(
    Code.RESOURCE_GONE,
    "There is nothing in this bundle just now. Choose something else.",
    about="entitlement",
)

NOT_RUNNING = Refusal(Code.NOT_RUNNING, "This access runs no more. Ask for it again.")
NOTHING_CHANGED = Refusal(
    Code.NOTHING_TO_DO, "Nothing was changed: your request asks for just this.", about="entitlement"
)
NOBODY_CHOSEN = Refusal(Code.NOTHING_SELECTED, "Choose for whom it is.", about="grantee")
NOT_FOR_THEM = Refusal(
    Code.NOT_ELIGIBLE,
    "You can request nothing for this person (any more). Choose somebody else.",
    about="grantee",
)


@dataclass(frozen=True, slots=True)
class Promise:
    """The flow that the form named. Empty: it has named none yet."""

    text: str = ""

    @classmethod
    def of(cls, flow: AccessFlow, bundled: Sequence[Entitlement] = ()) -> "Promise":
        """Name the flow; with what is in a bundle, which others may change meanwhile."""
        text = f"{flow.id}/{flow.number}"
        if bundled:
            ids = json.dumps(sorted(e.id for e in bundled)).encode()
            text = f"{text}/{hashlib.sha256(ids).hexdigest()[:16]}"
        return cls(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The form as it came back. `grantee` None: themselves, or nobody yet.

    A `bundle` is asked for in place of a resource and a permission.
    """

    grantee: PersonId | None = None
    bundle: ObjectId | None = None
    resource: ResourceId | None
    permission: EntitlementId | None
    picked: FlowId | None = None  # another flow than the form had chosen
    duration: str
    prefilled: bool  # the duration is what the form itself had put there
    justification: str
    promise: Promise
    start: Chosen | None = None  # None: now
    instead: RequestId | None = None  # that is changed by it


_NOTHING_YET = Filled(
    resource=None,
    permission=None,
    duration="",
    prefilled=True,
    justification="",
    promise=Promise(),
)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a delivery. `existing`: an identical request waits already."""

    requests: tuple[AccessRequest, ...]
    existing: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A resource that can be asked for. `opens`: from when, in words; empty: now."""

    found: FoundResource
    opens: str = ""


@dataclass(frozen=True, slots=True)
class OfferedBundle:
    """A bundle that can be asked for as one thing."""

    id: ObjectId
    name: str
    opens: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """What the form promised is no longer so: this is what is."""

    form: Form
    promise: Promise


def begin(services: Services, person: Person, text: str) -> tuple[Form, Promise] | Refusal:
    """Return the form to begin with, filled in as far as the text allows.

    The text is like `read on orders/shop for 2h: INC-42`; what was not understood is in the notes.
    """

    def find(session: Read, company: Company, now: Person) -> Refusal | None:
        if not company.policy.grantees(now, services.clock.now()):
            return NOTHING_REQUESTABLE
        return _full(session, services, company, now)

    if refusal := read_as(services, person, find):
        return refusal
    if not text:
        return fill(services, person, _NOTHING_YET)
    notes: list[str] = []
    known = {key_of(b.name): b.id for b in bundles(services, person, "")}
    if begins := _bundle_in(text, known):
        bundle, rest = begins
        _, _, long, why = _parts(f"it {rest}")
        filled = replace(_NOTHING_YET, bundle=bundle, duration=long, justification=why)
        return _begun(services, person, filled, notes)
    permission, words, long, why = _parts(text)
    found = [offer.found for offer in options(services, person, words)]
    exact = [f for f in found if f.path.casefold() == words.casefold()] or found
    if len(exact) != 1:
        many = f"{len(exact)} resources match" if exact else "Nothing that you can request matches"
        notes.append(f"{many} “{words[:100]}”. Please search below.")
    resource = exact[0].resource if len(exact) == 1 else None
    chosen = None
    if resource and permission:
        named = _named(services, person, resource, permission)
        chosen = named[0] if len(named) == 1 else None
        if not chosen:
            said = f"“{permission[:100]}” on {exact[0].path}"
            many = f"{len(named)} permissions are called {said}" if named else f"There is no {said}"
            notes.append(f"{many}. Please choose.")
    filled = replace(
        _NOTHING_YET, resource=resource, permission=chosen, duration=long, justification=why
    )
    return _begun(services, person, filled, notes)


def _begun(
    services: Services, person: Person, filled: Filled, notes: list[str]
) -> tuple[Form, Promise]:
    """Return the form with what was chosen in words, and notes on what was not understood."""
    long = filled.duration
    if long and isinstance(wanted := duration.parse_or_endless(long), Refusal):
        notes = [*notes, wanted.sentence]
        long = ""
    filled = replace(filled, duration=long, prefilled=not long)
    form, promise = fill(services, person, filled)
    return replace(form, notes=[*notes, *form.notes]), promise


def again(services: Services, person: Person, id_: RequestId) -> tuple[Form, Promise] | Refusal:
    """Return the form filled in with what an earlier request of theirs asked for.

    Why it was needed then is not why it is needed anew: where it was had, that is asked for.
    """

    def before(company: Company, now: Person, scene: Scene | None) -> Filled | Refusal:
        filled = _as_before(company, now, scene)
        had = scene is not None and scene.request.confirmed_at is not None
        return replace(filled, justification="") if had else filled

    return _anew(services, person, id_, before)


def more_time(services: Services, person: Person, id_: RequestId) -> tuple[Form, Promise] | Refusal:
    """Return the form filled in with what runs: for what is left of it, and as long again as an
    extension was, or the access itself.
    """

    def before(company: Company, now: Person, scene: Scene | None) -> Filled | Refusal:
        if scene is None or scene.request.state is not State.ACTIVE:
            return NOT_RUNNING
        long = _longer(scene, services.clock.now())
        return replace(_as_before(company, now, scene), duration=duration.in_words(long))

    return _anew(services, person, id_, before)


def _longer(scene: Scene, now: datetime) -> timedelta | None:
    """Return what is left, in whole minutes, and more; at most what the flow gives."""
    request, extension = scene.request, scene.revision.extension
    if request.ends_at is None or request.duration is None:
        return None
    left = timedelta(minutes=ceil((request.ends_at - now) / timedelta(minutes=1)))
    wanted = left + (extension.each if extension else request.duration)
    longest = scene.flow.revision.grant_for
    return wanted if longest is None else min(wanted, longest)


def _anew(
    services: Services,
    person: Person,
    id_: RequestId,
    before: Callable[[Company, Person, Scene | None], Filled | Refusal],
) -> tuple[Form, Promise] | Refusal:
    """Return the form filled in from a request; of somebody else's nothing is said."""

    def find(session: Read, company: Company, now: Person) -> Filled | Refusal:
        if refusal := _full(session, services, company, now):
            return refusal
        scene = look.scenes(session, services, company, [id_]).get(id_)
        return before(company, now, scene if scene and _is_party(now, scene) else None)

    filled = read_as(services, person, find)
    return filled if isinstance(filled, Refusal) else fill(services, person, filled)


def change(services: Services, person: Person, id_: RequestId) -> tuple[Form, Promise] | Refusal:
    """Return the form filled in with what a request of theirs asks for that waits."""
    scene = decide.question(services, id_, person, Change)
    if isinstance(scene, Refusal):
        return scene
    filled = _as_before(services.company(), person, scene)
    return fill(services, person, replace(filled, instead=id_))


def _is_party(person: Person, scene: Scene) -> bool:
    """Tell whether it is theirs, under the id that they have or had."""
    parties = (scene.directory.get(party) for party in scene.request.parties)
    return person.id in {party.id for party in parties if party}


def _as_before(company: Company, person: Person, scene: Scene | None) -> Filled:
    if scene is None:
        return _NOTHING_YET
    bundle = _called(company, scene.request.bundle)
    known = None if bundle else next(iter(scene.entitlements.values()), None)
    asked, given = map(scene.directory.get, (scene.request.requestor, scene.request.grantee))
    return Filled(
        bundle=bundle,
        # Whoever was given what another asked for asks for themselves.
        grantee=given.id if given and asked and asked.id == person.id else None,
        resource=known.resource.id if known else None,
        permission=known.id if known else None,
        picked=scene.request.flow,
        duration=duration.in_words(scene.request.duration),
        prefilled=False,
        justification=scene.request.justification,
        promise=Promise(),
    )


def _called(company: Company, bundle: str) -> ObjectId | None:
    of = company.objects.items()
    named = (id_ for id_, o in of if isinstance(o, Bundle) and key_of(o.name) == key_of(bundle))
    return next(named, None)


def _full(
    session: Read,
    services: Services,
    company: Company,
    person: Person,
    besides: RequestId | None = None,
) -> Refusal | None:
    """Return why somebody may submit no more, `besides` one that is to be another."""
    found = facts.open_by(session, person.id, company.directory.had(person.id))
    waiting = [id_ for id_ in found if id_ != besides]
    return eligibility.too_many_open(waiting, services.open_submissions)


def _parts(text: str) -> tuple[str, str, str, str]:
    """Return the permission, the resource, for how long and why, as far as each is said."""
    before, _, why = text.partition(":")
    words, long = before.split(), ""
    said = [word.casefold() for word in words]
    if said[-2:] == ["without", "end"]:
        words, long = words[:-2], duration.in_words(None)
    elif "for" in said[1:-1]:
        at = said.index("for", 1)
        words, long = words[:at], " ".join(words[at + 1 :])
    at = max((n for n, word in enumerate(said[: len(words)]) if word == "on"), default=0)
    what = words[at + 1 :] if at else words
    return " ".join(words[:at]), " ".join(what), long, why.strip()


def _bundle_in(text: str, known: Mapping[str, ObjectId]) -> tuple[ObjectId, str] | None:
    """Return the bundle that it begins with, and the rest: a name may be like a whole request."""
    for end in [len(text), *(found.start() for found in reversed([*_NAME_ENDS.finditer(text)]))]:
        name = key_of(" ".join(text[:end].split()))
        if name in known and _AFTER_NAME.match(text, end):
            return known[name], text[end:]
    return None


_NAME_ENDS = re.compile(r"\s+|:")
_AFTER_NAME = re.compile(r"\s*(:|for\s|without\s+end\b|$)", re.IGNORECASE)


def _named(
    services: Services, person: Person, resource: ResourceId, permission: str
) -> list[EntitlementId]:
    """Return what is called so, of what this person may request: they may know of nothing else."""
    now, sought = services.clock.now(), permission.strip().casefold()
    with services.database.read() as session:
        policy = services.companies.current(session).policy
        return [
            one.id
            for one in search.entitlements_on(session, resource)
            if one.permission.name.casefold() == sought
            and policy.offering(person, person, one, now)
        ]


def people(services: Services, person: Person, words: str) -> list[Person]:
    """Return for whom this person may request something, at most 100."""
    now = services.clock.now()
    with services.database.read() as session:
        company = services.companies.current(session)
        there = still(company, person)
        if isinstance(there, Refusal):
            return []
        asks, here = company.policy.grantees(there, now), company.directory.at(now)
        groups = [_themselves(there)] if asks.oneself else []
        found = people_in_sql.found(
            session, [*groups, *asks.groups], here, words, first=there.id, most=MOST_PEOPLE
        )
    known = (here.get(id_) for id_ in found)
    return [p for p in known if p and company.policy.usable(there, p, now)]


def _themselves(person: Person) -> ConditionGroup:
    return ConditionGroup((Condition("user", Comparator.IS, (person.id,)),))


def options(
    services: Services, person: Person, words: str, grantee: PersonId | None = None
) -> list[Offer]:
    """Return the resources that this person may request something on, at most 100.

    For themselves, unless a grantee is named.
    """
    now = services.clock.now()
    with services.database.read() as session:
        flows = _usable(services.companies.current(session), person, grantee, now)

        def find(some: Sequence[AccessFlow]) -> list[FoundResource]:
            return search.resources(session, services.companies.catalogues, some, words)

        found = find(flows)
        opens = _opening(found, eligibility.by_opening(flows, now), find)
    return [Offer(one, opens.get(one.resource, "")) for one in found]


def bundles(
    services: Services, person: Person, words: str, grantee: PersonId | None = None
) -> list[OfferedBundle]:
    """Return the bundles that this person may ask for: every word is in the name.

    One in which there is nothing for them just now is none of them.
    """
    now = services.clock.now()
    sought = words.casefold().split()
    with services.database.read() as session:
        company = services.companies.current(session)
        flows = _usable(company, person, grantee, now)
        found = [
            OfferedBundle(id_, each.name, eligibility.by_opening(of, now)[0][0])
            for id_, each in company.objects.items()
            if isinstance(each, Bundle)
            and all(word in key_of(each.name) for word in sought)
            and (of := [f for f in flows if _has_some(session, f, each)])
        ]
    return sorted(found, key=lambda bundle: key_of(bundle.name))


def _has_some(session: Read, flow: AccessFlow, bundle: Bundle) -> bool:
    query = of_bundle(flow, bundle)
    return query is not None and inventory.is_any(session, query)


def of_bundle(flow: AccessFlow, bundle: Bundle) -> Query | None:
    """Return what the flow offers of a bundle, that is there; None: it does not offer it."""
    query = flow.revision.bundled(key_of(bundle.name))
    return query and all_of(ACTIVE, query)


def _opening(
    found: Sequence[FoundResource],
    flows: Sequence[tuple[str, Sequence[AccessFlow]]],
    find: Callable[[Sequence[AccessFlow]], list[FoundResource]],
) -> dict[ResourceId, str]:
    """Say of each resource that was found when the first of the flows that offer it opens.

    Whatever some flows offer of the first hundred is among the first hundred that they offer.
    """
    opens: dict[ResourceId, str] = {}
    for when, some in flows:
        if len(opens) == len(found):
            break
        offered = found if len(flows) == 1 else find(some)
        for one in offered:
            opens.setdefault(one.resource, when)
    return opens


def fill(services: Services, person: Person, filled: Filled) -> tuple[Form, Promise]:
    """Return the form brought up to date with what was chosen, and the flow that it names."""
    with services.database.read() as session:
        company = services.companies.current(session)
        there = still(company, person)
        if isinstance(there, Refusal):
            return Form(notes=[there.sentence], justification=filled.justification), Promise()
        form, promise = _Filling(session, company, there, filled, services.clock.now()).form()
        known = facts.entitlements(session, company, filter(None, [form.permission]))
    waits = [e.integration for e in known.values() if e.integration.id not in services.connected]
    notes = [
        f"{system.name} is out of order just now. You can ask all the same: what is approved "
        "begins when it works again."
        for system in waits
    ]
    return replace(form, notes=[*notes, *form.notes]), promise


def submit(
    services: Services, person: Person, filled: Filled, key: str
) -> Submitted | Changed | Refusal:
    """Test everything and store the request. `key` is the delivery's: it is stored once."""

    def change(tx: Write, company: Company) -> Submitted | Changed | Refusal:
        if before := apply.delivered(tx, key):
            return _existing(tx, before, existing=False)
        requestor = still(company, person)  # what was stored before is answered to whoever they are
        if isinstance(requestor, Refusal):
            return requestor
        now = services.clock.now()
        filling = _Filling(tx, company, requestor, filled, now, resolved)
        draft = filling.draft()
        if isinstance(draft, Refusal):
            return draft
        carried = facts.carried(tx, company, draft)
        if refusal := eligibility.check(draft, company.directory, now, carried):
            return refusal
        if filling.promise(draft.flow, draft.entitlements) != filled.promise:
            return filling.changed(draft)
        return _store(tx, services, company, draft, key)

    resolved = _resolved(services, person, filled)
    try:
        outcome = services.write(change)
    except STORED_ALREADY:  # the same request, or the same delivery
        outcome = services.write(change)
    if isinstance(outcome, Submitted) and not outcome.existing:
        _note(outcome, person)
    return outcome


def _store(
    tx: Write, services: Services, company: Company, draft: Draft, key: str
) -> Submitted | Refusal:
    """Store what was tested, unless there is the same already, or too much."""
    same, now = facts.same(tx, apply.fingerprint(draft)), services.clock.now()
    if same and same != draft.instead:
        return _existing(tx, [same], existing=True)
    if full := _full(tx, services, company, draft.requestor, besides=draft.instead):
        return full
    instead = _changed(tx, company, draft, now) if draft.instead else None
    if isinstance(instead, Refusal):
        return instead
    return Submitted((apply.submit(tx, company, draft, key, now, instead=instead),))


def _changed(
    tx: Write, company: Company, draft: Draft, now: datetime
) -> tuple[AccessRequest, Decision] | Refusal:
    """Return the request in whose place the draft stands, and the decision that changes it."""
    id_ = draft.instead or RequestId(0)
    book = UnitOfWork(tx, company, facts.together(tx, [id_]), now)
    decided = book.decide(id_, Change(draft.requestor.id, apply.next_id(tx)))
    if isinstance(decided, Refusal):
        return decided
    instead = before, _ = book.decided(id_)
    return NOTHING_CHANGED if _asks_the_same(before, decided.request, draft) else instead


def _asks_the_same(before: AccessRequest, now: AccessRequest, draft: Draft) -> bool:
    """Tell whether a draft is what was asked for; `now` names people by the ids they have."""
    asked = (now.grantee, before.flow, before.duration, before.justification, before.bundle)
    asks = (draft.grantee.id, draft.flow.id, draft.duration, trimmed(draft.justification))
    things = {grant.entitlement for grant in before.grants if grant.open}
    same = things == {entitlement.id for entitlement in draft.entitlements}
    return same and asked == (*asks, draft.bundle)


def _resolved(
    services: Services, person: Person, filled: Filled
) -> tuple[EntitlementId, ...] | None:
    """Return what is in the bundle: to look for it takes long, and who writes keeps others waiting.

    What has gone since then, the submission tests once more. None: there is none, or too much.
    """
    if filled.bundle is None:
        return None
    with services.database.read() as session:
        company = services.companies.current(session)
        there = still(company, person)
        if isinstance(there, Refusal):
            return None
        draft = _Filling(session, company, there, filled, services.clock.now()).draft()
    return None if isinstance(draft, Refusal) else tuple(e.id for e in draft.entitlements)


def _note(submitted: Submitted, person: Person) -> None:
    for request in submitted.requests:
        log.info("submitted", request=request.code, person=person.id)


def _existing(tx: Write, ids: Sequence[RequestId], *, existing: bool) -> Submitted | Refusal:
    found = tuple(filter(None, (facts.request(tx, id_) for id_ in ids)))
    return Submitted(found, existing) if found else GONE


def _usable(
    company: Company, person: Person, grantee: PersonId | None, now: datetime
) -> list[AccessFlow]:
    there = still(company, person)
    if isinstance(there, Refusal):
        return []
    given = company.directory.get(grantee) if grantee else there
    return company.policy.usable(there, given, now) if given else []


@dataclass(frozen=True, slots=True)
class _Filling:
    session: Read
    company: Company
    person: Person
    filled: Filled
    now: datetime
    resolved: tuple[EntitlementId, ...] | None = None  # the bundle, as it was read just before

    @property
    def grantee(self) -> Person | None:
        """Whom it is for; None: nobody who can be named."""
        named = self.filled.grantee
        return self.company.directory.get(named) if named else self.person

    @property
    def starts(self) -> datetime | Refusal | None:
        """The start that was chosen; None: now."""
        return self.filled.start.moment() if self.filled.start else None

    @property
    def at(self) -> datetime:
        """The moment at which it has to be open: that of the start, where that may be."""
        starts = self.starts
        there = isinstance(starts, datetime) and self.now < starts <= self.now + FURTHEST_AHEAD
        return starts if isinstance(starts, datetime) and there else self.now

    def form(self) -> tuple[Form, Promise]:
        filled, begun = self.filled, self._begun()
        nobody = begun.others and begun.grantee is None
        if filled.bundle is not None and not nobody:
            return self._form_of_bundle(begun, filled.bundle)
        if filled.resource is None or nobody:
            return self._kept(begun), Promise()
        offered = {
            e.id: (e, flows_of)
            for e in search.entitlements_on(self.session, filled.resource)
            if (flows_of := self._offering(e))
        }
        if not offered:
            return replace(begun, notes=[*begun.notes, GONE.sentence]), Promise()
        first, _ = next(iter(offered.values()))
        form = replace(
            begun,
            resource=(first.resource.id, first.resource.path),
            permissions=[(e.id, e.permission.name) for e, _ in offered.values()],
            later={id_: opens for id_, (_, of) in offered.items() if (opens := self._opens(of))},
        )
        only = first.id if len(offered) == 1 else None
        permission = filled.permission if filled.permission in offered else only
        if permission is None:
            return self._kept(form), Promise()
        entitlement, flows_of = offered[permission]
        usual = self._usual(flows_of)
        picked = self._picked(flows_of)
        flow = picked or usual
        closed = {f.id: opens for f in flows_of if (opens := self._opens([f]))}
        form = replace(form, flows=flows_of, closed=closed, usual=usual.id)
        form = replace(form, start=self._start_of([picked] if picked else flows_of))
        return self._promising(form, flow, [entitlement]), Promise.of(flow)

    def _form_of_bundle(self, begun: Form, id_: ObjectId) -> tuple[Form, Promise]:
        bundle, flows = self._bundle(id_)
        if bundle is None or not flows:
            return replace(begun, notes=[*begun.notes, GONE.sentence]), Promise()
        usual = self._usual(flows)
        picked = self._picked(flows)
        flow = picked or usual
        closed = {f.id: opens for f in flows if (opens := self._opens([f]))}
        form = replace(begun, bundle=(id_, bundle.name), flows=flows, closed=closed, usual=usual.id)
        form = replace(form, start=self._start_of([picked] if picked else flows))
        things = self._bundled(flow, bundle)
        if isinstance(things, Refusal):
            return self._kept(replace(form, notes=[*form.notes, things.sentence])), Promise()
        return self._promising(form, flow, things), self.promise(flow, things)

    def _bundle(self, id_: ObjectId | None) -> tuple[Bundle | None, list[AccessFlow]]:
        """Return a bundle, and the flows that offer it as one thing, the preferred first."""
        bundle, grantee = id_ and self.company.objects.get(id_), self.grantee
        if not isinstance(bundle, Bundle) or grantee is None:
            return None, []
        usable = self.company.policy.usable(self.person, grantee, self.now)
        return bundle, [f for f in usable if f.revision.has(key_of(bundle.name))]

    def _bundled(self, flow: AccessFlow, bundle: Bundle) -> list[Entitlement] | Refusal:
        """Return what the flow offers of the bundle at this moment."""
        there = of_bundle(flow, bundle)
        if there and self.resolved is not None:
            known = facts.entitlements(self.session, self.company, self.resolved)
            still_in = predicate(there)
            return [e for e in known.values() if e.available and still_in(e)] or EMPTY
        many = 0 if there is None else inventory.count(self.session, there)
        if refusal := eligibility.too_many(many, bundle.name):
            return refusal
        found = inventory.page(self.session, there, limit=MAX_BUNDLED) if many else []
        things = [e for e in found if flow.revision.selects(e) and e.available]
        return things or EMPTY

    def promise(self, flow: AccessFlow, things: Sequence[Entitlement]) -> Promise:
        return Promise.of(flow, things if self.filled.bundle is not None else ())

    def _begun(self) -> Form:
        """Return the form as far as it says for whom it is."""
        asks = self.company.policy.grantees(self.person, self.now)
        form = Form(justification=self.filled.justification, instead=self.filled.instead)
        if not asks.groups:
            return form
        form, grantee = replace(form, others=True), self.grantee
        if grantee is None or (self.filled.grantee is None and not asks.oneself):
            return form
        if not self.company.policy.usable(self.person, grantee, self.now):
            return replace(form, notes=[f"You can request nothing for {grantee.name}."])
        return replace(form, grantee=(grantee.id, grantee.name))

    def draft(self) -> Draft | Refusal:
        grantee = self.grantee
        if grantee is None or not self.company.policy.usable(self.person, grantee, self.now):
            chosen = self.filled.grantee is not None
            return NOT_FOR_THEM if chosen else self._nobody_chosen()
        entitlement = self._chosen() if self.filled.bundle is None else None
        wanted = duration.parse_or_endless(self.filled.duration)
        if isinstance(entitlement, Refusal):
            return entitlement
        starts = self.starts
        if isinstance(wanted, Refusal):
            return wanted
        if isinstance(starts, Refusal):
            return starts
        found = self._found(entitlement, wanted)
        if isinstance(found, Refusal):
            return found
        flow, things, bundle = found
        return Draft(
            requestor=self.person,
            grantee=grantee,
            flow=flow,
            entitlements=tuple(things),
            duration=wanted,
            justification=self.filled.justification,
            bundle=bundle,
            starts_at=starts,
            instead=self.filled.instead,
        )

    def _found(
        self, chosen: Entitlement | None, wanted: timedelta | None
    ) -> tuple[AccessFlow, Sequence[Entitlement], str] | Refusal:
        """Return the flow that applies, what is asked for, and the name of its bundle, if any."""
        if chosen is not None:
            flow = self._flow(self._offering(chosen), wanted)
            return (flow, [chosen], "") if flow else GONE
        bundle, offering = self._bundle(self.filled.bundle)
        flow = self._flow(offering, wanted)
        if bundle is None or flow is None:
            return GONE
        things = self._bundled(flow, bundle)
        return things if isinstance(things, Refusal) else (flow, things, bundle.name)

    def changed(self, draft: Draft) -> Changed:
        form, _ = self.form()
        note = (
            f"For this, the access flow “{draft.flow.name}” applies. Look at what it says below, "
            "and submit again if that is what you want."
        )
        form = self._promising(form, draft.flow, draft.entitlements)
        form = replace(form, prefill=self.filled.duration, notes=[note])
        return Changed(form, self.promise(draft.flow, draft.entitlements))

    def _chosen(self) -> Entitlement | Refusal:
        if self.filled.resource is None:
            return Refusal(Code.NOTHING_SELECTED, "Choose what you need.", about="entitlement")
        if self.filled.permission is None:
            what_for = "Choose what you want to do with it."
            return Refusal(Code.NOTHING_SELECTED, what_for, about="permission")
        wanted = self.filled.permission
        found = facts.entitlements(self.session, self.company, [wanted]).get(wanted)
        if found is None or found.resource.id != self.filled.resource or not found.available:
            return GONE
        return found

    def _nobody_chosen(self) -> Refusal:
        """Say that somebody has to be chosen; where nobody can be, that there is nothing."""
        asks = self.company.policy.grantees(self.person, self.now)
        return NOBODY_CHOSEN if asks.groups else GONE

    def _offering(self, entitlement: Entitlement) -> list[AccessFlow]:
        if self.grantee is None:
            return []
        return self.company.policy.offering(self.person, self.grantee, entitlement, self.now)

    def _flow(self, offering: Sequence[AccessFlow], wanted: timedelta | None) -> AccessFlow | None:
        """Return the flow that is picked, else the preferred one of now that allows it.

        Where none does, it is the one to say what is not allowed.
        """
        if picked := self._picked(offering):
            return picked
        offering = eligibility.soonest(offering, self.at)
        if allowing := self._allowing(offering, wanted):
            return allowing[0]
        return max(offering, key=lambda f: f.revision.grant_for or timedelta.max, default=None)

    def _picked(self, flows: Sequence[AccessFlow]) -> AccessFlow | None:
        return next((f for f in flows if f.id == self.filled.picked), None)

    def _usual(self, flows: Sequence[AccessFlow]) -> AccessFlow:
        """Return the preferred flow that allows what was typed; what the form put there is free."""
        flows = eligibility.soonest(flows, self.at)
        wanted = duration.parse_or_endless(self.filled.duration)
        if self.filled.prefilled or isinstance(wanted, Refusal):
            return ([f for f in flows if self._allowing([f], f.revision.grant_for)] or flows)[0]
        return (self._allowing(flows, wanted) or flows)[0]

    def _allowing(self, flows: Sequence[AccessFlow], wanted: timedelta | None) -> list[AccessFlow]:
        ahead = None if self.at == self.now else self.at - self.now
        return eligibility.allowing(flows, wanted, ahead)

    def _start_of(self, flows: Sequence[AccessFlow]) -> Start | None:
        """Return what the form asks of the start; None: all that they give starts at once."""
        if not any(flow.revision.start_later for flow in flows):
            return None
        zone = self.person.zone
        today = shown(zone, self.now) or self.now
        return Start(zone, today.date(), later=self.filled.start is not None)

    def _opens(self, flows: Sequence[AccessFlow]) -> str:
        """Say from when one of the flows can be asked for; empty: now, or at the start."""
        return eligibility.by_opening(flows, self.at)[0][0]

    def _promising(self, form: Form, flow: AccessFlow, things: Sequence[Entitlement]) -> Form:
        longest = flow.revision.grant_for
        usual = USUAL if longest is None or longest >= USUAL else longest
        prefill = duration.in_words(usual) if self.filled.prefilled else self.filled.duration
        preview = self._preview(flow, things, bundled=form.bundle is not None)
        return replace(
            form,
            permission=None if form.bundle else things[0].id,
            flow=flow.id,
            prefill=prefill,
            preview=self._timed(preview, flow, prefill) if form.start else preview,
        )

    def _timed(self, preview: Preview, flow: AccessFlow, prefill: str) -> Preview:
        """Say when it would start and end, or why it cannot start then."""
        starts, wanted = self.starts, duration.parse_or_endless(prefill)
        if starts is None or isinstance(wanted, Refusal):
            return preview
        if isinstance(starts, datetime):
            bad = start.refused(flow, starts, wanted, self.now, self.person.zone)
            if bad is None:
                return replace(preview, starts=starts, ends=starts + wanted if wanted else None)
            starts = bad
        # What is not chosen yet is no fault of anybody's.
        chosen = self.filled.start and self.filled.start.complete
        return replace(preview, closed=starts.sentence) if chosen else preview

    def _closed(self, flow: AccessFlow) -> str:
        """Say why it cannot be asked for, and where it can be for a later start; empty: it can."""
        closed = eligibility.not_now(flow, self.at)
        window, ahead = flow.revision.when, flow.revision.start_later
        opens = next_opening(window, self.now) if window else None
        if closed is None or self.filled.start or ahead is None or opens is None:
            return closed.sentence if closed else ""
        named = " You can ask now for a start from then on." if opens - self.now <= ahead else ""
        return f"{closed.sentence}{named}"

    def _kept(self, form: Form) -> Form:
        """Leave what the person typed where nothing is known that would change it."""
        return form if self.filled.prefilled else replace(form, prefill=self.filled.duration)

    def _preview(
        self, flow: AccessFlow, things: Sequence[Entitlement], *, bundled: bool
    ) -> Preview:
        revision, me, grantee = flow.revision, self.person.id, self.grantee or self.person
        here = self.company.directory.at(self.now)
        asked = {GrantId(n): thing for n, thing in enumerate(things)}
        owned = ownership.owned(asked, here) if revision.asks_owners else {}
        case = Case(revision, me, grantee.id, here, self.company.admins, owned=owned)
        had = self.company.directory.had(grantee.id)
        ids = {e.id for e in things}
        held = [
            (r.code, r.ends_at)
            for r in facts.of_person(self.session, grantee.id, had, live=True)
            if r.grantee in {grantee.id, *had} and r.state is State.ACTIVE
            for g in r.grants
            if g.entitlement in ids and g.state is GrantState.HELD
        ]
        caveats = dict.fromkeys(e.resource.caveat for e in things if e.resource.caveat)
        return Preview(
            flow=flow.name,
            grantee=grantee.name if grantee.id != me else "",
            in_slack=grantee.slack is not None,
            closed=self._closed(flow),
            longest=revision.grant_for,
            extensions=revision.extension.times if revision.extension else 0,
            each=revision.extension.each if revision.extension else None,
            approvers=[
                [
                    Asked(
                        name,
                        [p.name for p in people],
                        [p.id for p in people] == [grantee.manager],
                        group.needs,
                    )
                    for name, people in named
                ]
                for group, named in approval.preview(case)
            ],
            stand_ins=[p.name for p in approval.stand_ins(case)],
            join=revision.approval.join if revision.approval else Quorum.ANY_OF,
            requires_justification=revision.require_justification,
            requires_mfa=revision.require_mfa,
            risk=highest_risk(things),
            held=[*dict.fromkeys(held)],
            description=revision.description,
            caveat=" ".join(caveats),
            things=[str(e) for e in things] if bundled else [],
        )
