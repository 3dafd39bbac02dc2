"""Asking for access: the form to begin with, as it fills, and its submission."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

import structlog

from bot.runtime.services import Services
from bot.usecases import decide, look, requestable
from bot.usecases.filling import GONE, Changed, Filled, Filling, Promise
from bot.usecases.identity import read_as, still
from bot.usecases.requestable import NOTHING_REQUESTABLE
from bot.views.values import Form, Scene
from engine import duration, eligibility
from engine.commands import Change
from engine.directory import Person
from engine.eligibility import Draft
from engine.inventory import EntitlementId, ResourceId
from engine.outcome import Code, Decision, Refusal
from engine.request import AccessRequest, RequestId, State
from engine.start import Chosen
from engine.targets import Bundle, ObjectId, key_of
from engine.window import shown
from engine.words import trimmed
from storage import apply, facts, search
from storage.company import Company
from storage.database import STORED_ALREADY, Read, Write
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


NOT_RUNNING = Refusal(Code.NOT_RUNNING, "This access runs no more. Ask for it again.")


NOTHING_CHANGED = Refusal(
    Code.NOTHING_TO_DO, "Nothing was changed: your request asks for just this.", about="entitlement"
)


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
    known = {key_of(b.name): b.id for b in requestable.bundles(services, person, "")}
    if begins := _bundle_in(text, known):
        bundle, rest = begins
        _, _, long, why = _parts(f"it {rest}")
        filled = replace(_NOTHING_YET, bundle=bundle, duration=long, justification=why)
        return _begun(services, person, filled, notes)
    permission, words, long, why = _parts(text)
    found = [offer.found for offer in requestable.options(services, person, words)]
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
    start = _start(person, scene.request, services.clock.now())
    return fill(services, person, replace(filled, start=start, instead=id_))


def _start(person: Person, request: AccessRequest, now: datetime) -> Chosen | None:
    """Return the start that is still to come, by the person's clocks; None: it starts now."""
    if request.starts_at is None or request.starts_at <= now:
        return None
    wall = shown(person.zone, request.starts_at)
    return Chosen(f"{wall:%Y-%m-%d}", f"{wall:%H:%M}", person.zone) if wall else None


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


def fill(services: Services, person: Person, filled: Filled) -> tuple[Form, Promise]:
    """Return the form brought up to date with what was chosen, and the flow that it names."""
    with services.database.read() as session:
        company = services.companies.current(session)
        there = still(company, person)
        if isinstance(there, Refusal):
            return Form(notes=[there.sentence], justification=filled.justification), Promise()
        form, promise = Filling(session, company, there, filled, services.clock.now()).form()
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
        filling = Filling(tx, company, requestor, filled, now, resolved)
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
        draft = Filling(session, company, there, filled, services.clock.now()).draft()
    return None if isinstance(draft, Refusal) else tuple(e.id for e in draft.entitlements)


def _note(submitted: Submitted, person: Person) -> None:
    for request in submitted.requests:
        log.info("submitted", request=request.code, person=person.id)


def _existing(tx: Write, ids: Sequence[RequestId], *, existing: bool) -> Submitted | Refusal:
    found = tuple(filter(None, (facts.request(tx, id_) for id_ in ids)))
    return Submitted(found, existing) if found else GONE
