"""Whom nobody can reach in Slack, and what flows offer that is not there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlmodel import col

from bot.views.text import in_a_row
from engine.directory import Directory
from engine.flow import Selector
from engine.inventory import IntegrationId, ResourceStatus
from storage.company import Company
from storage.database import Read
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow

__all__ = ["accounts", "unmatched", "without_account"]

NAMED = 10  # of those who are missing


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


def unmatched(session: Read, company: Company) -> list[str]:
    """Say which targets of open flows match nothing of what was found in the systems.

    Of a system in which nothing was found yet, nothing is said.
    """
    there = _there(session)
    found: list[str] = []
    for flow in sorted(company.flows.values(), key=lambda f: f.name.casefold()):
        for selector in flow.revision.targets if flow.open else ():
            if there[selector.integration]:
                lost = _lost(selector, there[selector.integration])
                found += [f"“{flow.name}”: {selector.integration}: {what}" for what in lost]
    return found


_Kind = tuple[str, str]  # of a resource, and what can be had on it
_Found = dict[IntegrationId, dict[_Kind, set[str]]]


def _there(session: Read) -> _Found:
    """Return the names and paths of what can be had, by system, kind and permission."""
    query = (
        select(
            col(IntegrationRow.id),
            col(ResourceRow.type),
            col(EntitlementRow.permission),
            col(ResourceRow.name_key),
            col(ResourceRow.path_key),
        )
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
        .where(col(ResourceRow.status) == ResourceStatus.ACTIVE.value, col(EntitlementRow.offered))
    )
    found: _Found = defaultdict(lambda: defaultdict(set))
    for system, type_, permission, *names in session.execute(query):
        found[IntegrationId(system)][type_, permission].update(names)
    return found


def _lost(selector: Selector, there: dict[_Kind, set[str]]) -> Iterator[str]:
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
            yield f"there is no {wanted} {name}"


def _kinds(permissions: Iterable[str], types: Iterable[str]) -> str:
    kinds = in_a_row(sorted(types), last="or") or "resource"
    can = in_a_row(sorted(permissions), last="or")
    return f"{kinds} to {can}" if can else kinds
