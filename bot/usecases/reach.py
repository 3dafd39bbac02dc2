"""Whom nobody can reach in Slack, and what flows offer that is not there."""

from collections.abc import Iterable, Iterator, Mapping

import structlog

from bot.runtime.services import Services
from bot.usecases.offers import stray_of
from engine.aql.query import Not, all_of
from engine.directory import Directory
from engine.inventory import IntegrationId
from engine.targets import Except, Objects, Picked, Selector, Target, query_of
from engine.words import in_a_row, no_pattern
from storage import inventory
from storage.company import Company
from storage.database import Read
from storage.inventory import ACTIVE, Offer

__all__ = ["Notes", "accounts", "unmatched", "without_account"]

NAMED = 10  # of those who are missing

log = structlog.get_logger()


def without_account(directory: Directory) -> list[str]:
    """Return who could use Latchkey if they had a Slack account, by name and address."""
    people = (p for p in directory.people.values() if p.may_receive and p.account is None)
    return sorted(f"{p.name} ({p.email})" for p in people)


def accounts(directory: Directory) -> str:
    """Say how many people have Slack accounts, and who has none."""
    all_ = sum(p.may_receive for p in directory.people.values())
    missing = without_account(directory)
    said = f"{all_ - len(missing)} of {all_} people have Slack accounts"
    return f"{said}; missing: {in_a_row(missing, most=NAMED)}" if missing else said


def unmatched(
    session: Read, company: Company, integration: IntegrationId | None = None
) -> list[str]:
    """Say which targets of open flows match nothing of what was found in the systems, or in one.

    In all of them: also what selects everything, and the tags that nothing has. Of a system in
    which nothing was found yet, nothing is said.
    """
    there = inventory.names(session, integration)
    objects = Objects.of(company.objects.values())
    found: list[str] = []
    for flow in sorted(company.flows.values(), key=lambda f: f.name.casefold()):
        for target in flow.revision.targets if flow.open else ():
            if isinstance(target, Selector) and (here := there.get(target.integration)):
                lost = [*_lost(target, here), *_unknown_parts(session, target)]
                lost = lost or [*_nothing(session, target)]
                found += [f"“{flow.name}”: {target.integration}: {what}" for what in lost]
            elif integration is None and there and not isinstance(target, Selector):
                found += [f"“{flow.name}”: {said}" for said in _odd(session, target, objects)]
    return found


def _odd(session: Read, target: Target, objects: Objects) -> Iterator[str]:
    """Say where a query, a bundle or a scope selects nothing, or everything; what nothing has."""
    query = query_of([target], objects)
    what = str(query) if isinstance(target, Picked) else f"{target}"
    if query is None or not inventory.is_any(session, all_of(ACTIVE, query)):
        yield f"{what} selects nothing"
    elif not inventory.is_any(session, all_of(ACTIVE, Not(query))):
        yield f"{what} selects everything"
    if query is not None:
        yield from map(str, inventory.unknown(session, query))
    if isinstance(target, Picked) and (stray := stray_of(session, target)):
        yield f"{stray.resource.path} is picked by hand: {target.where} does not select it"


def _unknown_parts(session: Read, selector: Selector) -> Iterator[str]:
    """Name tags and ids of resources that nothing has."""
    left_out = selector.without or Except()
    for tagged in filter(None, (selector.tagged, left_out.tagged)):
        yield from map(str, inventory.unknown(session, tagged.query))
    for ids in filter(None, (selector.resources, left_out.resources)):
        by_id = Selector(selector.integration, resources=ids).query
        yield from map(str, inventory.unknown(session, by_id))


def _nothing(session: Read, selector: Selector) -> Iterator[str]:
    if not inventory.is_any(session, all_of(ACTIVE, selector.query)):
        yield f"{selector.query} selects nothing"


def _lost(selector: Selector, there: Mapping[Offer, set[str]]) -> Iterator[str]:
    fitting = [
        names
        for (type_, permission), names in there.items()
        if (not selector.types or type_ in selector.types)
        and (not selector.permissions or permission in selector.permissions)
    ]
    wanted = _kinds(selector.permissions, selector.types)
    if not fitting:
        yield f"there is no {wanted}"
        return
    for name in sorted(selector.names):
        if not any(name in names for names in fitting):
            yield f"there is no {wanted} {name}{_no_pattern(name)}"
    left_out = selector.without.names if selector.without else ()
    for name in sorted(left_out):
        if not any(name in names for names in there.values()):
            yield f"there is no resource {name}{_no_pattern(name)}"


def _no_pattern(name: str) -> str:
    hint = no_pattern(name, "a query with contains", "starts_with", "ends_with")
    return f"; {hint}" if hint else ""


def _kinds(permissions: Iterable[str], types: Iterable[str]) -> str:
    kinds = in_a_row(sorted(types), last="or") or "resource"
    can = in_a_row(sorted(permissions), last="or")
    return f"{kinds} to {can}" if can else kinds


class Notes:
    """Says both in the log, when a process has read for the first time what there is."""

    def __init__(self) -> None:
        self._looked: set[str] = set()

    def people(self, services: Services) -> None:
        """Say whom nobody can reach: Slack's people were read to the end."""
        directory = services.company().directory
        if self._first("people") and without_account(directory):
            log.warning("people who cannot be reached", why=accounts(directory))

    def targets(self, services: Services, integration: IntegrationId) -> None:
        """Say what flows offer that is not there: the system was looked through."""
        if not self._first(integration):
            return
        with services.database.read() as session:
            lost = unmatched(session, services.companies.current(session), integration)
        if lost:
            log.warning("targets of flows that match nothing", why="; ".join(lost))

    def _first(self, what: str) -> bool:
        first = what not in self._looked
        self._looked.add(what)
        return first
