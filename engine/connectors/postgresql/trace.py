"""What was given for each target, written down: it leads back to what has moved since."""

import json
from collections import defaultdict
from collections.abc import Set as AbstractSet

from engine.connectors.postgresql.acl import Entry, Kind, Needs

__all__ = ["Trace", "as_needs", "packed", "unpacked"]

Trace = dict[tuple[str, str], frozenset[Entry]]  # by source id and permission


def packed(server: str, trace: Trace) -> str:
    """Write down what was given for each target, for `unpacked`; empty for nothing."""
    targets = []
    for (source_id, permission), given in sorted(trace.items()):
        alike = defaultdict[tuple[str, str, int], list[int]](list)
        for entry in sorted(given):
            alike[entry.kind, entry.privilege, entry.maker].append(entry.oid)
        if alike:
            entries = [[*key, oids] for key, oids in alike.items()]
            targets.append([source_id, permission, entries])
    return json.dumps([server, targets]) if targets else ""


def unpacked(server: str, text: str) -> Trace:
    """Read it again. Of another server it says nothing: its numbers mean other things."""
    of, targets = json.loads(text) if text else (server, [])
    if of != server:
        return {}
    return {
        (source_id, permission): frozenset(
            Entry(Kind(kind), oid, privilege, maker)
            for kind, privilege, maker, oids in entries
            for oid in oids
        )
        for source_id, permission, entries in targets
    }


def as_needs(given: AbstractSet[Entry]) -> Needs:
    """Return what was given for a target as what it comes to."""
    path = {e for e in given if e.privilege == "CONNECT" or (e.kind, e.privilege) == _USAGE}
    future = {e for e in given if e.maker}
    return Needs(frozenset(given - path - future), frozenset(path), frozenset(future))


_USAGE = (Kind.SCHEMA, "USAGE")
