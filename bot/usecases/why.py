"""Why somebody can have something, or not: as far as whoever asks may know."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from itertools import islice

from bot.runtime.services import Services
from bot.usecases.console import Desk
from bot.usecases.identity import read_as
from bot.usecases.requestable import NOTHING_REQUESTABLE, of_bundle
from bot.views.values import Named, Why
from engine import eligibility, explanation
from engine.aql.errors import nearest
from engine.directory import Directory, Person
from engine.eligibility import Bundled, Inquiry, Verdict
from engine.explanation import Explanation
from engine.flow import AccessFlow
from engine.inventory import Entitlement, ResourceId
from engine.outcome import Code, Refusal
from engine.targets import Bundle, key_of
from engine.words import in_a_row, line
from storage import inventory, search
from storage.company import Companies, Company
from storage.database import Read
from storage.search import FoundResource

__all__ = ["LONGEST", "about", "ask", "of_person"]

LONGEST = 200  # characters of what is asked about
MANY = 20  # that are called so
OTHERS = 8  # of what is called so, that are named
INSTEAD = 5  # of what they can have, that are named
MOST_ON = 5  # that a text is parted at: each is looked for
PIECE = 4  # letters of a word that was mistyped, by which others are found

_ON = re.compile(r"\s+on\s+", re.IGNORECASE)

NOT_SAID = Refusal(
    Code.NOTHING_SELECTED,
    "Say what it is about, by name or path, for example: orders/shop",
    about="resource",
)
UNKNOWN = Refusal(
    Code.RESOURCE_GONE,
    "There is nothing of which this could be said (any more). Ask by name.",
    about="resource",
)


def ask(services: Services, person: Person, text: str) -> Why | Refusal:
    """Explain to somebody what they can have of what is called so, and why not.

    They learn of what they may request, and of what listed flows offer; administrators of all. The
    text is a name or path, or a part of it; `read on …` asks of one permission. Of a bundle it is
    the name.
    """
    words = line(text)

    def find(session: Read, company: Company, now: Person) -> Why | Refusal:
        asking = _Asking.of(session, services, company, now)
        if refusal := _not_asked(words) or asking.barred():
            return refusal
        return asking.called(words)

    return read_as(services, person, find)


def about(services: Services, person: Person, resource: ResourceId, words: str) -> Why | Refusal:
    """Explain one thing that was found by these words."""

    def find(session: Read, company: Company, now: Person) -> Why | Refusal:
        asking = _Asking.of(session, services, company, now)
        return asking.barred() or asking.explained(resource, words)

    return read_as(services, person, find)


def of_person(desk: Desk, email: str, text: str, grantee: str = "") -> Why | Refusal:
    """Explain to an operator what a person can have, for themselves or another. Both by address."""
    words = line(text)
    if refusal := _not_asked(words):
        return refusal
    asks, given = (desk.by_email(each) for each in (email, grantee or email))
    if isinstance(asks, Refusal):
        return asks
    if isinstance(given, Refusal):
        return given
    with desk.database.read() as session:
        company = desk.companies.current(session)
        people, now = company.directory.people, desk.clock.now()
        asking = _Asking(
            session,
            desk.companies,
            company,
            requestor=people[asks],
            grantee=people[given],
            now=now,
            knows_all=True,
            you=False,
        )
        return asking.called(words)


def _not_asked(text: str) -> Refusal | None:
    if not text.strip():
        return NOT_SAID
    if len(text) > LONGEST:
        long = f"A name has at most {LONGEST} characters; this has {len(text):,}."
        return Refusal(Code.TEXT_TOO_LONG, long, about="resource")
    return None


@dataclass(frozen=True)
class _Asking:
    """Who asks for whom, and what whoever reads the answer may know."""

    session: Read
    companies: Companies
    company: Company
    requestor: Person
    grantee: Person
    now: datetime
    knows_all: bool
    you: bool = True

    @classmethod
    def of(cls, session: Read, services: Services, company: Company, person: Person) -> "_Asking":
        knows_all = person.id in company.admins
        now = services.clock.now()
        return cls(session, services.companies, company, person, person, now, knows_all)

    @cached_property
    def here(self) -> Directory:
        return self.company.directory.at(self.now)

    def barred(self) -> Refusal | None:
        """Return why whoever asks may know of nothing."""
        return None if self.requestor.may_ask else NOTHING_REQUESTABLE

    def called(self, text: str) -> Why | Refusal:
        """Explain what is called so; of several things name them, of none what is near."""
        if bundle := self._bundle(text):
            return bundle
        permission, found = self._understood(text)
        if len(found) == 1:
            return self.explained(found[0].resource, text, permission)
        others = [(f.resource, f.path) for f in found[:OTHERS]]
        notes = [f"{_many(found)} are called so. Which one is it?"] if found else []
        notes += [] if found else self._bundles_near(text)
        near = [] if found else self._near(text)
        return self._why(Why(words=text, others=others, nearest=near, notes=notes))

    def _understood(self, text: str) -> tuple[str, list[FoundResource]]:
        """Return the permission that is asked about, empty: all of them, and what is called so.

        A name may have “on” in it. So the whole is a name first; then a permission that there is
        on something; then a part of a name; and then a permission that may be mistyped.
        """
        if self._named(text):
            return "", self._called(text)
        asked = [(said, self._called(rest)) for said, rest in _parted(text)]
        for permission, found in asked:
            if having := [f for f in found if self._has(f, permission)]:
                return permission, having
        whole = self._called(text)
        part = [f for f in whole if text.casefold() in f.path.casefold()]
        mistyped = [(permission, found) for permission, found in asked[:1] if found]
        return next(iter([("", part)] if part else mistyped), ("", whole))

    def explained(self, resource: ResourceId, words: str, permission: str = "") -> Why | Refusal:
        """Explain each permission on a thing, or the one that is named."""
        offered = search.entitlements_on(self.session, resource)
        answered = [(one, answer) for one in offered if (answer := self._answer(one))]
        if not answered:
            return UNKNOWN
        thing, notes = answered[0][0].resource, list[str]()
        answers = [answer for _, answer in answered]
        called = {one.permission.name.casefold(): one.permission.name for one, _ in answered}
        named = {one.permission.name.casefold(): answer for one, answer in answered}
        wanted = permission.strip().casefold()
        if wanted in named:
            answers = [named[wanted]]
        elif wanted:
            near = nearest(wanted, sorted(named))
            meant = f" Did you mean {called[near]}?" if near else ""
            notes.append(f"There is no “{permission.strip()}” on {thing.path}.{meant}")
        of = (thing.id, thing.path)
        return self._why(Why(words=words, of=of, answers=answers, notes=notes))

    def _bundle(self, words: str) -> Why | None:
        """Explain the bundle of this name; None: there is none that they may know of."""
        for bundle in self._bundles():
            if key_of(bundle.name) == key_of(words):
                others = [(f.resource, f.path) for f in self._named(words)[:OTHERS]]
                notes = ["Something else is called so, too: it is named below."] if others else []
                answers = [self._of_bundle(bundle)]
                return self._why(Why(words=words, answers=answers, others=others, notes=notes))
        return None

    def _bundles(self) -> Iterator[Bundle]:
        """Yield the bundles that they may know of."""
        for each in self.company.objects.values():
            if isinstance(each, Bundle) and (self.knows_all or self._having(each)):
                yield each

    def _having(self, bundle: Bundle) -> list[AccessFlow]:
        """Return the flows that offer a bundle as one thing, as far as they may be known."""
        key = key_of(bundle.name)
        flows = self.company.flows.values()
        return [flow for flow in flows if flow.revision.has(key) and self._knows(flow)]

    def _of_bundle(self, bundle: Bundle) -> Explanation:
        flows = self._having(bundle)
        there = ((flow.id, of_bundle(flow, bundle)) for flow in flows)
        sizes = {id_: inventory.count(self.session, query) for id_, query in there if query}
        asked = Inquiry(
            self.requestor,
            self.grantee,
            self.here,
            now=self.now,
            bundle=Bundled(bundle.name, sizes),
        )
        return explanation.explain(asked, eligibility.verdicts(flows, asked), you=self.you)

    def _bundles_near(self, words: str) -> list[str]:
        """Say which bundle could be meant: each word is in its name, or it is called nearly so."""
        known = {key_of(bundle.name): bundle.name for bundle in self._bundles()}
        sought = words.casefold().split()
        near = [key for key in sorted(known) if all(word in key for word in sought)]
        near = near or get_close_matches(key_of(words), known, n=3)
        named = in_a_row([f"“{known[key]}”" for key in near], 3, last="or")
        return [f"Did you mean the bundle {named}?"] if near else []

    def _why(self, why: Why) -> Why:
        if not why.wanting:
            return why
        people = map(self.company.directory.get, self.company.admins)
        could = sorted(p.name for p in people if p and p.id != self.requestor.id)
        return replace(why, admins=could, instead=list(self._instead(why.of)))

    def _answer(self, entitlement: Entitlement) -> Explanation | None:
        """Return what is to be said of it; None: they may not know that there is such a thing."""
        asked, found = self._verdicts(entitlement)
        known = found or self.knows_all
        return explanation.explain(asked, found, you=self.you) if known else None

    def _verdicts(self, entitlement: Entitlement) -> tuple[Inquiry, list[Verdict]]:
        asked = Inquiry(self.requestor, self.grantee, self.here, entitlement, self.now)
        found = self.company.policy.verdicts(asked)
        return asked, [verdict for verdict in found if self._knows(verdict.flow)]

    def _knows(self, flow: AccessFlow) -> bool:
        if self.knows_all:
            return not flow.deleted
        return eligibility.may_know(flow, self.requestor, self.here)

    def _called(self, words: str) -> list[FoundResource]:
        """Return what has the name, else what has it in its path, as far as it may be known."""
        if not words:
            return []
        found = self._named(words) or self._found(words)
        meant = [f for f in found if f.path.casefold().endswith(f"/{words.casefold()}")] or found
        return meant if len(meant) < 2 else [f for f in meant if self._is_there(f)] or meant

    def _named(self, words: str) -> list[FoundResource]:
        """Return what has just this name or path, as far as it may be known."""
        there = search.called(self.session, words, MANY)
        few = there if len(there) < MANY else []  # of many, those that may be known may come later
        return [f for f in few if self._is_known(f)]

    def _is_there(self, found: FoundResource) -> bool:
        """Tell whether it can be had, by whomever: what was made anew is called as what is gone."""
        return any(one.available for one in search.entitlements_on(self.session, found.resource))

    def _is_known(self, found: FoundResource) -> bool:
        offered = search.entitlements_on(self.session, found.resource)
        return any(self.knows_all or self._verdicts(one)[1] for one in offered)

    def _has(self, found: FoundResource, permission: str) -> bool:
        """Tell whether there is such a permission on it, as far as it may be known."""
        offered = search.entitlements_on(self.session, found.resource)
        sought = permission.casefold()
        called = [one for one in offered if one.permission.name.casefold() == sought]
        return any(self.knows_all or self._verdicts(one)[1] for one in called)

    def _found(self, words: str) -> list[FoundResource]:
        flows = [flow for flow in self.company.flows.values() if self._knows(flow)]
        found = search.resources(self.session, self.companies.catalogues, flows, words)
        return found or (search.anywhere(self.session, words) if self.knows_all else [])

    def _near(self, words: str) -> list[Named]:
        """Return what could be meant: things that begin or end as some word does."""
        last = words.casefold().split()[-1].rpartition("/")[2] if words.strip() else ""
        pieces = dict.fromkeys(filter(None, (last[:PIECE], last[:2], last[-PIECE:])))
        known = {f.path: f for piece in pieces for f in self._found(piece)}
        called = {key: f for f in known.values() for key in (f.path, f.path.rpartition("/")[2])}
        folded = {key.casefold(): f for key, f in called.items()}
        close = get_close_matches(words.casefold(), folded, n=3)
        close += get_close_matches(last, folded, n=3)
        return [*dict.fromkeys((folded[key].resource, folded[key].path) for key in close)][:3]

    def _instead(self, but: Named | None) -> Iterator[tuple[str, str]]:
        """Yield what they can have: first at once, then with approval, then at another time."""
        flows = self.company.policy.usable(self.requestor, self.grantee, self.now)
        seen = {but[0]} if but else set[ResourceId]()
        for how, some in _ways(flows, self.now):
            if len(seen) > INSTEAD:
                return
            catalogues = self.companies.catalogues
            found = search.resources(self.session, catalogues, some, "", limit=INSTEAD + 1)
            fresh = [one for one in found if one.resource not in seen]
            for one in fresh[: INSTEAD + 1 - len(seen)]:
                seen.add(one.resource)
                yield one.path, how


def _parted(text: str) -> Iterator[tuple[str, str]]:
    """Yield what could be a permission and what it is on, at each “on”."""
    for at in islice(_ON.finditer(text), MOST_ON):
        yield text[: at.start()], text[at.end() :]


def _ways(flows: Sequence[AccessFlow], now: datetime) -> Iterator[tuple[str, list[AccessFlow]]]:
    for opens, some in eligibility.by_opening(flows, now):
        at_once = [flow for flow in some if flow.revision.approval is None]
        approved = [flow for flow in some if flow.revision.approval is not None]
        yield opens or "at once", at_once
        yield ", ".join(filter(None, (opens, "with approval"))), approved


def _many(found: Sequence[FoundResource]) -> str:
    return "A hundred things or more" if len(found) == 100 else f"{len(found)} things"
