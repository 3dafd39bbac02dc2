"""What a flow, a bundle, a scope or a space offers at this moment, target by target."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.usecases.console import Desk
from engine import policy_size
from engine.aql.errors import nearest
from engine.aql.query import Not, Query, all_of
from engine.inventory import Entitlement
from engine.outcome import Code, Refusal
from engine.targets import (
    Bundle,
    ByBundle,
    ByScope,
    Object,
    Objects,
    Picked,
    Scope,
    Space,
    Target,
    key_of,
    kind_of,
    naming_resources,
    query_of,
    slice_of,
)
from storage import inventory
from storage.company import Company
from storage.database import Read
from storage.inventory import ACTIVE
from storage.offers import named_one_by_one

__all__ = ["PAGE", "Offered", "Shown", "show", "stray_of"]

PAGE = 10  # of what one target selects, that are named


@dataclass(frozen=True, slots=True)
class Offered:
    """What one target selects now. `query` None: nothing, for what it names is not there.

    `remarks` say what is odd about it.
    """

    named: str  # the bundle or scope; empty: it stands there itself
    query: Query | None
    total: int
    first: list[Entitlement]
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A flow, or one of the objects, with what each of its targets selects.

    `slice` is what its space has; None: it is in none. `users`: who would miss it.
    """

    what: str
    name: str
    offered: list[Offered]
    slice: Query | None = None
    users: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def show(desk: Desk, name: str) -> list[Shown] | Refusal:
    """Return all that is called so: a flow, a bundle, a scope, a space."""
    company = desk.company()
    objects = Objects.of(company.objects.values())
    flows = {key_of(f.name): f for f in company.flows.values() if not f.deleted}
    found: list[Shown] = []
    with desk.database.read() as session:
        if flow := flows.get(key_of(name)):
            slice_ = slice_of(flow.revision.space, objects) if flow.revision.space else None
            offered = _each(session, flow.revision.targets, objects, slice_)
            labels = flow.revision.labels
            found.append(Shown("flow", flow.name, offered, slice_, labels=labels))
        for each in objects:
            if key_of(each.name) == key_of(name):
                targets = _targets_of(each)
                users = tuple(_users(company, each))
                offered = _each(session, targets, objects, None)
                found.append(Shown(kind_of(each).value, each.name, offered, users=users))
    if found:
        return found
    known = {key: flow.name for key, flow in flows.items()}
    known |= {key_of(each.name): each.name for each in objects}
    near = known.get(nearest(key_of(name), list(known)), "")
    meant = f" Did you mean “{near}”?" if near else ""
    return Refusal(Code.NOTHING_SELECTED, f"Nothing is called “{name}”.{meant}")


def _targets_of(each: Object) -> Iterable[Target]:
    match each:
        case Scope():
            return [ByScope(each.name)]
        case Bundle():
            return each.targets
        case Space():
            return [ByScope(scope) for scope in each.slice]


def _each(
    session: Read, targets: Iterable[Target], objects: Objects, slice_: Query | None
) -> list[Offered]:
    every = inventory.count(session, ACTIVE)
    return [_offered(session, target, objects, slice_, every) for target in targets]


def _offered(
    session: Read, target: Target, objects: Objects, slice_: Query | None, every: int
) -> Offered:
    query = query_of([target], objects)
    named = str(target) if isinstance(target, ByBundle | ByScope) else ""
    if query is None:
        return Offered(named, None, 0, [], ["What it names is not there: it selects nothing."])
    there = all_of(ACTIVE, query, *([slice_] if slice_ else []))
    total = inventory.count(session, there)
    remarks = [*map(str, inventory.unknown(session, query))]
    if not total:
        remarks.append("It selects nothing.")
    elif total == every:
        remarks.append("It selects everything.")
    if isinstance(target, Picked) and (stray := stray_of(session, target)):
        remarks.append(f"{stray.resource.path} is picked by hand: its query does not select it.")
    counted = (named_one_by_one(session, each) for each in naming_resources([target], objects))
    remarks += filter(None, map(policy_size.warning, counted))
    return Offered(named, query, total, inventory.page(session, there, limit=PAGE), remarks)


def stray_of(session: Read, picked: Picked) -> Entitlement | None:
    """Return something that was picked by hand, and that the query beside it does not select."""
    if not picked.resources:
        return None
    strays = all_of(ACTIVE, picked.query, Not(picked.where))
    return next(iter(inventory.page(session, strays, limit=1)), None)


def _users(company: Company, used: Object) -> Iterator[str]:
    """Name all that speaks of it: flows, bundles, spaces."""
    key = key_of(used.name)

    def speaks(targets: Iterable[Target]) -> bool:
        return any(
            (isinstance(t, ByBundle) and isinstance(used, Bundle) and key_of(t.bundle) == key)
            or (isinstance(t, ByScope) and isinstance(used, Scope) and key_of(t.scope) == key)
            for t in targets
        )

    for flow in company.flows.values():
        mine = isinstance(used, Space) and key_of(flow.revision.space) == key
        if not flow.deleted and (mine or speaks(flow.revision.targets)):
            yield f"the flow “{flow.name}”"
    for each in company.objects.values():
        mine = isinstance(used, Space) and key_of(getattr(each, "space", "")) == key
        if each != used and (mine or speaks(_targets_of(each))):
            yield f"the {kind_of(each)} “{each.name}”"
