"""The form as it fills: which flow applies, what it promises, and the draft that it makes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.usecases.requestable import of_bundle
from bot.views.values import Asked, Form, Preview, Start
from engine import approval, duration, eligibility, ownership, start
from engine.aql.predicate import predicate
from engine.directory import Person, PersonId
from engine.eligibility import MAX_BUNDLED, Draft
from engine.flow import FURTHEST_AHEAD, AccessFlow, FlowId, Quorum
from engine.inventory import Entitlement, EntitlementId, ResourceId, highest_risk
from engine.outcome import Code, Refusal
from engine.request import GrantId, GrantState, RequestId, State
from engine.seating import Case
from engine.start import Chosen
from engine.targets import Bundle, ObjectId, key_of
from engine.window import next_opening, shown
from storage import facts, inventory, search
from storage.company import Company
from storage.database import Read

USUAL = timedelta(hours=1)


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


@dataclass(frozen=True, slots=True)
class Changed:
    """What the form promised is no longer so: this is what is."""

    form: Form
    promise: Promise


@dataclass(frozen=True, slots=True)
class Filling:
    """One form of one person, at one moment."""

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
        chosen = self.filled.start
        day, time = (chosen.day, chosen.time) if chosen else ("", "")
        return Start(zone, day or today.date().isoformat(), time, later=chosen is not None)

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
