"""A system that is known by a list alone: Latchkey reaches nothing there.

What can be had there can be looked for, asked for and approved. Nothing is ever given, and nothing
is ever called given: whoever administers the system is told to do it by hand.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from engine.inventory import PermissionId, Policies, Principal, Tags
from engine.port import (
    Check,
    Discovered,
    DiscoveredPermission,
    Login,
    Order,
    Outcome,
    Presence,
    Report,
    Target,
)

__all__ = ["BY_HAND", "ITS_ID", "NOT_GIVEN", "Listed"]

BY_HAND = (
    "Latchkey cannot give this by itself in this version: once it is approved, an administrator "
    "has to give it, and to take it away, by hand."
)
NOT_GIVEN = (
    "Latchkey cannot give this by itself in this version. An administrator has to give it by hand, "
    "and to take it away when its time is up."
)
ITS_ID = "${source_id}"  # in a policy: the resource's own
_ABSENT = Outcome(Presence.ABSENT)


class Listed:
    """`resources` and `permissions` are as `manifests.listings` writes them."""

    generates_login = False
    deadline = timedelta(0)

    def __init__(
        self,
        *,
        installation: str,
        resources: Sequence[Mapping[str, Any]],
        permissions: Sequence[Mapping[str, Any]] = (),
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        del installation  # nothing is made there that would have to name it
        known = {one["id"]: one for one in permissions}
        self._resources = [_resource(one, known, accounts or {}) for one in resources]
        self._permissions = [_permission(one) for one in permissions]

    def server(self) -> str:
        return ""

    def discover(self) -> list[Discovered]:
        return self._resources

    def permissions(self) -> list[DiscoveredPermission]:
        return self._permissions

    def inspect(
        self, _login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Nothing was ever given, and whatever somebody has by hand is theirs."""
        del given
        return dict.fromkeys(targets, _ABSENT)

    def apply(self, order: Order) -> Report:
        refused = Outcome(Presence.REFUSED, NOT_GIVEN)
        return Report({h.target: refused if h.wanted else _ABSENT for h in order.holdings})

    def unexplained(self, _login: Login, _given: Sequence[Target]) -> tuple[str, ...]:
        return ()

    def cleanup(self, _login: Login) -> tuple[str, ...]:
        return ()

    def logins(self) -> list[str]:
        return []

    def instructions(self, _login: Login, _targets: Sequence[Target]) -> dict[str, str]:
        return {}

    def check(self) -> list[Check]:
        return [Check("list", ok=True, detail=f"{len(self._resources)} resources, given by hand")]

    def close(self) -> None:
        """There is nothing to close."""


def _resource(
    said: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], accounts: Mapping[str, str]
) -> Discovered:
    return Discovered(
        said["type"],
        said["name"],
        said["path"],
        said["source_id"],
        {id_: known.get(id_, {}).get("risk", 0) for id_ in said["permissions"]},
        said.get("risk", 0),
        _tags(said, "tags"),
        BY_HAND,
        context=_tags(said, "context"),
        owner=said.get("owner", ""),
        policies=_policies(said, known, accounts),
        named=said.get("named", False),
    )


def _policies(
    said: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], accounts: Mapping[str, str]
) -> Policies | None:
    account, own = said.get("account"), said.get("policies", {})
    if account is None:
        return None
    written = {id_: own.get(id_) or known.get(id_, {}).get("policy") for id_ in said["permissions"]}
    named = json.dumps(said["source_id"], ensure_ascii=False)[1:-1]
    documents = {
        PermissionId(id_): policy.replace(ITS_ID, named)
        for id_, policy in written.items()
        if policy
    }
    return Policies(account, Principal(accounts[account]), documents)


def _permission(said: Mapping[str, Any]) -> DiscoveredPermission:
    id_ = PermissionId(said["id"])
    name: str = said.get("name") or id_
    return DiscoveredPermission(id_, name, _tags(said, "tags"), _tags(said, "context"))


def _tags(said: Mapping[str, Any], part: str) -> Tags:
    found: Mapping[str, Iterable[str]] = said.get(part) or {}
    return {key: tuple(values) for key, values in found.items()}
