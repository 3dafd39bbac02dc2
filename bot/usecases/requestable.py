"""What somebody can ask for, and for whom, found by words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.runtime.services import Services
from bot.usecases.identity import still
from engine import eligibility
from engine.aql.query import Query, all_of
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Person, PersonId
from engine.flow import AccessFlow
from engine.inventory import ResourceId
from engine.outcome import Code, Refusal
from engine.targets import Bundle, ObjectId, key_of
from storage import inventory, search
from storage.company import Company
from storage.database import Read
from storage.inventory import ACTIVE
from storage.search import FoundResource
from storage.sql import people as people_in_sql

MOST_PEOPLE = 100  # in the answer to a search


NOTHING_REQUESTABLE = Refusal(
    Code.NOT_ELIGIBLE,
    "There is nothing that you can request: no access flow is open to you. Ask an administrator.",
)


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


def _usable(
    company: Company, person: Person, grantee: PersonId | None, now: datetime
) -> list[AccessFlow]:
    there = still(company, person)
    if isinstance(there, Refusal):
        return []
    given = company.directory.get(grantee) if grantee else there
    return company.policy.usable(there, given, now) if given else []
