"""What a set of manifests has changed, in words for the log, operators and administrators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from engine.targets import ObjectKind, kind_of
from storage.company import Company
from storage.servers import Connection

__all__ = ["Known", "changes"]

NAMED = 10  # of one kind

K = TypeVar("K", bound=str)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one moment of all that stands in manifests."""

    company: Company
    systems: Sequence[Connection]


def changes(before: Known, after: Known) -> list[str]:
    """Return a line for each kind of thing that has changed; of people only how many."""
    kinds = {
        "people": _numbers(_people(before), _people(after)),
        "groups": _numbers(before.company.directory.groups, after.company.directory.groups),
        "administrators": _names(_admins(before), _admins(after)),
        "risks": "changed" if before.company.risks != after.company.risks else "",
        "integrations": _names(_systems(before), _systems(after)),
        **{
            f"{kind}s": _names(_objects(before, kind), _objects(after, kind)) for kind in ObjectKind
        },
        "flows": _names(_flows(before), _flows(after)),
        "on call": _names(_schedules(before), _schedules(after)),
    }
    return [f"{kind}: {said}" for kind, said in kinds.items() if said]


def _people(known: Known) -> Mapping[str, object]:
    """What Slack says of people, and what became of that, stands in no file."""
    people = known.company.directory.people.values()
    return {p.id: replace(p, account=None, suspended=None, void_until=None) for p in people}


def _admins(known: Known) -> Mapping[str, object]:
    return dict.fromkeys(known.company.admins)


def _systems(known: Known) -> Mapping[str, object]:
    return {c.id: (c.name, c.kind, c.settings) for c in known.systems if c.listed}


def _flows(known: Known) -> Mapping[str, object]:
    flows = [f for f in known.company.flows.values() if not f.deleted]
    return {f.name: (f.revision, f.active) for f in flows}


def _objects(known: Known, kind: ObjectKind) -> Mapping[str, object]:
    return {o.name: o for o in known.company.objects.values() if kind_of(o) is kind}


def _schedules(known: Known) -> Mapping[str, object]:
    return {schedule.name: schedule for schedule in known.company.directory.schedules}


def _numbers(before: Mapping[K, T], after: Mapping[K, T]) -> str:
    return _said({how: str(len(ids)) for how, ids in _different(before, after).items() if ids})


def _names(before: Mapping[str, T], after: Mapping[str, T]) -> str:
    return _said({how: _listed(ids) for how, ids in _different(before, after).items() if ids})


def _different(before: Mapping[K, T], after: Mapping[K, T]) -> dict[str, list[K]]:
    return {
        "new": sorted(after.keys() - before.keys()),
        "changed": sorted(k for k in after.keys() & before.keys() if after[k] != before[k]),
        "gone": sorted(before.keys() - after.keys()),
    }


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _said(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{what} {how}" for how, what in parts.items())
