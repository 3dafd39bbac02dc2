"""What was given for each target, written down: it leads back to what has moved since."""

import json
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from engine.connectors.postgresql.acl import AclEntry, Needs, ObjectKind
from engine.connectors.postgresql.names import type_of
from engine.port import Target

__all__ = ["Trace", "as_needs", "packed", "unpacked", "untold"]

Trace = dict[tuple[str, str], frozenset[AclEntry]]  # by source id and permission


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
    """Read it again. Of another server it says nothing: its numbers mean other things.

    Nor does what makes no sense: what is given now is seen all the same, and taken away.
    """
    try:
        of, targets = json.loads(text) if text else (server, [])
        return _read(targets) if of == server else {}
    except (ValueError, TypeError, RecursionError):
        return {}


def _read(targets: Iterable[tuple[str, str, Iterable[tuple[str, str, int, list[int]]]]]) -> Trace:
    return {
        (str(source_id), str(permission)): frozenset(
            AclEntry(ObjectKind(kind), int(oid), str(privilege), int(maker))
            for kind, privilege, maker, oids in entries
            for oid in oids
        )
        for source_id, permission, entries in targets
    }


def untold(server: str, trace: Trace, told: Iterable[Target]) -> list[Target]:
    """Return what was given and none of the targets that were told explains any more.

    Its path is its number: nobody says what it was called.
    """
    known = {(target.source_id, target.permission) for target in told}
    return [
        Target(type_, source_id, source_id, permission, server)
        for source_id, permission in sorted(trace.keys() - known)
        if (type_ := type_of(source_id))
    ]


def as_needs(given: AbstractSet[AclEntry]) -> Needs:
    """Return what was given for a target as what it comes to."""
    path = {e for e in given if e.privilege == "CONNECT" or (e.kind, e.privilege) == _USAGE}
    future = {e for e in given if e.maker}
    return Needs(frozenset(given - path - future), frozenset(path), frozenset(future))


_USAGE = (ObjectKind.SCHEMA, "USAGE")
