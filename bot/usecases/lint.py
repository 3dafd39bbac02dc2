"""What is odd about the access flows that are stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bot.usecases.console import Desk
from engine.aql.query import Query
from engine.crowd import Crowd
from engine.inventory import EntitlementId
from engine.lint import lint
from engine.oddities.findings import Finding
from engine.targets import Objects
from storage import facts, offers

__all__ = ["Linted", "of_all"]

READING, COMPARING = "reading what flows offer", "comparing flows"

Progress = Callable[[str, int, int], None]  # what is done, and how many flows of how many


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, in how many flows that are open. `examples` name entitlements."""

    flows: int
    findings: Sequence[Finding]
    examples: dict[int, str]


def of_all(desk: Desk, prod: Query, progress: Progress) -> Linted:
    """Look at all flows that are open, beside each other. `prod` says what is production."""
    with desk.database.read() as session:
        company = desk.companies.current(session)
        flows = [company.flows[id_] for id_ in sorted(company.flows)]
        objects = Objects.of(company.objects.values())
        reading = partial(progress, READING)
        offered = offers.offered(session, flows, prod, reading, objects=objects)
        crowd = Crowd(company.directory)
        found = lint(flows, crowd, offered, progress=lambda n, of: progress(COMPARING, n, of))
        named = {EntitlementId(x.example) for x in found if x.example is not None}
        known = facts.entitlements(session, company, named)
    examples = {int(id_): str(entitlement) for id_, entitlement in known.items()}
    return Linted(sum(flow.open for flow in flows), found, examples)
