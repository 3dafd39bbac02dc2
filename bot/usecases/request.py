"""Asking for access: what can be asked for, the form as it fills, the submission."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from bot.runtime.services import Services
from bot.usecases import look
from bot.usecases.identity import read_as, still
from bot.views.values import Form, Preview, Scene
from engine import approval, duration, eligibility
from engine.approval import Case
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Person, PersonId
from engine.eligibility import Draft
from engine.flow import AccessFlow, FlowId, Quorum
from engine.inventory import Entitlement, EntitlementId, ResourceId
from engine.outcome import Code, Refusal
from engine.request import AccessRequest, GrantState, RequestId, State
from storage import apply, facts, search
from storage.company import Company
from storage.database import STORED_ALREADY, Read, Write
from storage.search import FoundResource
from storage.sql import people as people_in_sql

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
    def of(cls, flow: AccessFlow) -> "Promise":
        return cls(f"{flow.id}/{flow.number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The form as it came back. `grantee` None: themselves, or nobody yet."""

    grantee: PersonId | None = None
    resource: ResourceId | None
    permission: EntitlementId | None
    picked: FlowId | None = None  # another flow than the form had chosen
    duration: str
    prefilled: bool  # the duration is what the form itself had put there
    justification: str
    promise: Promise


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
    permission, words, long, why = _parts(text)
    notes: list[str] = []
    found = [offer.found for offer in options(services, person, words)]
    exact = [f for f in found if f.path.casefold() == words.casefold()] or found
    if len(exact) != 1:
        many = f"{len(exact)} resources match" if exact else "Nothing that you can request matches"
        notes.append(f"{many} “{words[:100]}”. Please search below.")
    resource = exact[0].resource if len(exact) == 1 else None
    chosen = None
    if resource and permission:
        chosen = _named(services, resource, permission)
        if chosen is None:
            notes.append(f"There is no “{permission[:100]}” on {exact[0].path}. Please choose.")
    if long and isinstance(wanted := duration.parse_or_endless(long), Refusal):
        notes.append(wanted.sentence)
        long = ""
    filled = replace(
        _NOTHING_YET,
        resource=resource,
        permission=chosen,
        duration=long,
        prefilled=not long,
        justification=why,
    )
    form, promise = fill(services, person, filled)
    return replace(form, notes=[*notes, *form.notes]), promise


def again(services: Services, person: Person, id_: RequestId) -> tuple[Form, Promise] | Refusal:
    """Return the form filled in with what an earlier request of theirs asked for."""

    def find(session: Read, company: Company, now: Person) -> Filled | Refusal:
        if refusal := _full(session, services, company, now):
            return refusal
        scene = look.scenes(session, services, company, [id_]).get(id_)
        return _as_before(now, scene if scene and _is_party(now, scene) else None)

    filled = read_as(services, person, find)
    return filled if isinstance(filled, Refusal) else fill(services, person, filled)


def _is_party(person: Person, scene: Scene) -> bool:
    """Tell whether it is theirs, under the id that they have or had."""
    parties = (scene.directory.get(party) for party in scene.request.parties)
    return person.id in {party.id for party in parties if party}


def _as_before(person: Person, scene: Scene | None) -> Filled:
    if scene is None:
        return _NOTHING_YET
    known = next(iter(scene.entitlements.values()), None)
    asked, given = map(scene.directory.get, (scene.request.requestor, scene.request.grantee))
    return Filled(
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


def _full(session: Read, services: Services, company: Company, person: Person) -> Refusal | None:
    waiting = facts.open_by(session, person.id, company.directory.had(person.id))
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


def _named(services: Services, resource: ResourceId, permission: str) -> EntitlementId | None:
    with services.database.read() as session:
        on = {e.permission.name.casefold(): e.id for e in search.entitlements_on(session, resource)}
    return on.get(permission.strip().casefold())


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
        filling = _Filling(tx, company, requestor, filled, now)
        draft = filling.draft()
        if isinstance(draft, Refusal):
            return draft
        carried = facts.carried(tx, company, draft)
        if refusal := eligibility.check(draft, company.directory, now, carried):
            return refusal
        if Promise.of(draft.flow) != filled.promise:
            return filling.changed(draft)
        if same := facts.same(tx, apply.fingerprint(draft)):
            return _existing(tx, [same], existing=True)
        return _full(tx, services, company, requestor) or Submitted(
            (apply.submit(tx, company, draft, key, now),)
        )

    try:
        outcome = services.write(change)
    except STORED_ALREADY:  # the same request, or the same delivery
        outcome = services.write(change)
    if isinstance(outcome, Submitted) and not outcome.existing:
        _note(outcome, person)
    return outcome


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

    @property
    def grantee(self) -> Person | None:
        """Whom it is for; None: nobody who can be named."""
        named = self.filled.grantee
        return self.company.directory.get(named) if named else self.person

    def form(self) -> tuple[Form, Promise]:
        filled, begun = self.filled, self._begun()
        if filled.resource is None or (begun.others and begun.grantee is None):
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
        flow = self._picked(flows_of) or usual
        closed = {f.id: opens for f in flows_of if (opens := self._opens([f]))}
        form = replace(form, flows=flows_of, closed=closed, usual=usual.id)
        return self._promising(form, flow, entitlement), Promise.of(flow)

    def _begun(self) -> Form:
        """Return the form as far as it says for whom it is."""
        asks = self.company.policy.grantees(self.person, self.now)
        form = Form(justification=self.filled.justification)
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
        entitlement = self._chosen()
        wanted = duration.parse_or_endless(self.filled.duration)
        if isinstance(entitlement, Refusal):
            return entitlement
        if isinstance(wanted, Refusal):
            return wanted
        flow = self._flow(entitlement, wanted)
        if flow is None:
            return GONE
        return Draft(
            requestor=self.person,
            grantee=grantee,
            flow=flow,
            entitlements=(entitlement,),
            duration=wanted,
            justification=self.filled.justification,
        )

    def changed(self, draft: Draft) -> Changed:
        form, _ = self.form()
        note = (
            f"For this, the access flow “{draft.flow.name}” applies. Look at what it says below, "
            "and submit again if that is what you want."
        )
        form = self._promising(form, draft.flow, draft.entitlements[0])
        form = replace(form, prefill=self.filled.duration, notes=[note])
        return Changed(form, Promise.of(draft.flow))

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

    def _flow(self, entitlement: Entitlement, wanted: timedelta | None) -> AccessFlow | None:
        """Return the flow that is picked, else the preferred one of now that allows it.

        Where none does, it is the one to say what is not allowed.
        """
        offering = self._offering(entitlement)
        if picked := self._picked(offering):
            return picked
        offering = eligibility.soonest(offering, self.now)
        if allowing := eligibility.allowing(offering, wanted):
            return allowing[0]
        return max(offering, key=lambda f: f.revision.grant_for or timedelta.max, default=None)

    def _picked(self, flows: Sequence[AccessFlow]) -> AccessFlow | None:
        return next((f for f in flows if f.id == self.filled.picked), None)

    def _usual(self, flows: Sequence[AccessFlow]) -> AccessFlow:
        """Return the preferred flow that allows what was typed; what the form put there is free."""
        flows = eligibility.soonest(flows, self.now)
        wanted = duration.parse_or_endless(self.filled.duration)
        if self.filled.prefilled or isinstance(wanted, Refusal):
            return flows[0]
        return (eligibility.allowing(flows, wanted) or flows)[0]

    def _opens(self, flows: Sequence[AccessFlow]) -> str:
        """Say from when one of the flows can be asked for; empty: now."""
        return eligibility.by_opening(flows, self.now)[0][0]

    def _promising(self, form: Form, flow: AccessFlow, entitlement: Entitlement) -> Form:
        longest = flow.revision.grant_for
        usual = USUAL if longest is None or longest >= USUAL else longest
        return replace(
            form,
            permission=entitlement.id,
            flow=flow.id,
            prefill=duration.in_words(usual) if self.filled.prefilled else self.filled.duration,
            preview=self._preview(flow, entitlement),
        )

    def _kept(self, form: Form) -> Form:
        """Leave what the person typed where nothing is known that would change it."""
        return form if self.filled.prefilled else replace(form, prefill=self.filled.duration)

    def _preview(self, flow: AccessFlow, entitlement: Entitlement) -> Preview:
        revision, me, grantee = flow.revision, self.person.id, self.grantee or self.person
        closed = eligibility.not_now(flow, self.now)
        case = Case(revision, me, grantee.id, self.company.directory, self.company.admins)
        had = self.company.directory.had(grantee.id)
        held = [
            (r.code, r.ends_at)
            for r in facts.of_person(self.session, grantee.id, had, live=True)
            if r.grantee in {grantee.id, *had} and r.state is State.ACTIVE
            for g in r.grants
            if g.entitlement == entitlement.id and g.state is GrantState.HELD
        ]
        return Preview(
            flow=flow.name,
            grantee=grantee.name if grantee.id != me else "",
            in_slack=grantee.slack is not None,
            closed=closed.sentence if closed else "",
            longest=revision.grant_for,
            extensions=revision.extension.times if revision.extension else 0,
            each=revision.extension.each if revision.extension else None,
            approvers=approval.preview(case),
            join=revision.approval.join if revision.approval else Quorum.ANY_OF,
            requires_justification=revision.require_justification,
            requires_mfa=revision.require_mfa,
            risk=entitlement.risk,
            held=held,
            description=revision.description,
            caveat=entitlement.resource.caveat,
        )
