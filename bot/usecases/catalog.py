"""What there is to have: what a query selects, as far as the one who asks may know of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from bot.runtime.services import Services
from bot.usecases.console import Desk
from bot.usecases.identity import read_as
from bot.usecases.requestable import NOTHING_REQUESTABLE
from bot.views.values import Catalog
from engine.aql.errors import BadQueryError
from engine.aql.parser import parse
from engine.aql.query import Query, all_of
from engine.directory import Person
from engine.eligibility import Inquiry, for_whom, may_know
from engine.inventory import EntitlementId
from engine.outcome import Code, Refusal
from storage import inventory
from storage.company import Company
from storage.database import Read

__all__ = ["PAGE", "Place", "browse", "run"]

PAGE = 20

_THERE = parse('resource_status = "active"')


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after this one, which was so manieth. The first begins after none."""

    after: EntitlementId | None = None
    passed: int = 0


START = Place()


def browse(
    services: Services, person: Person, text: str, place: Place = START
) -> Catalog | Refusal:
    """Return a page of what the query selects, of what this person may know of.

    That is what they may request, and what listed flows offer. Administrators see everything. An
    empty query selects all.
    """

    def find(session: Read, company: Company, now: Person) -> Catalog | Refusal:
        query = _read(text)
        if isinstance(query, Refusal):
            return query
        if now.id in company.admins:
            return _page(session, text, query, place)
        moment = services.clock.now()
        if not now.may_ask:
            return NOTHING_REQUESTABLE
        here = company.directory.at(moment)
        known = [flow for flow in company.flows.values() if may_know(flow, now, here)]
        within = {offers for flow in known if (offers := flow.revision.offers)}
        there = _THERE if query is None else all_of(_THERE, query)
        found = _page(session, text, there, place, within)
        offering = {
            one.id: [v.flow for v in company.policy.verdicts(of) if may_know(v.flow, now, here)]
            for one in found.entitlements
            for of in (Inquiry(now, now, here, one),)
        }
        return replace(
            found,
            entitlements=[one for one in found.entitlements if offering[one.id]],
            whom={id_: for_whom(flows, now, here) for id_, flows in offering.items()},
            everything=False,
        )

    return read_as(services, person, find)


def run(desk: Desk, text: str, place: Place = START) -> Catalog | Refusal:
    """Return a page of what the query selects of everything, for an operator."""
    query = _read(text)
    if isinstance(query, Refusal):
        return query
    with desk.database.read() as session:
        return _page(session, text, query, place)


def _read(text: str) -> Query | Refusal | None:
    try:
        return parse(text) if text.strip() else None
    except BadQueryError as wrong:
        return Refusal(Code.BAD_QUERY, str(wrong), about="query")


def _page(
    session: Read,
    text: str,
    query: Query | None,
    place: Place,
    within: Collection[Query] | None = None,
) -> Catalog:
    found = inventory.page(session, query, within, after=place.after, limit=PAGE + 1)
    shown = found[:PAGE]
    goes_on = shown[-1].id if len(found) > PAGE else None
    unheard = [] if query is None or within is not None else inventory.unknown(session, query)
    return Catalog(
        query=text,
        entitlements=shown,
        total=inventory.count(session, query, within),
        first=place.passed + 1,
        next=goes_on,
        everything=within is None,
        hints=[*map(str, unheard)],
    )
