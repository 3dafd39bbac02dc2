"""Makes the connector of each integration; a connector's module is imported when one is used."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.manifests import Manifests
from bot.services import Connected
from engine.connectors.port import Connector, Secret
from engine.inventory import Integration, IntegrationId


class BadReferenceError(Exception):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there."""


def secret(reference: str) -> Secret:
    """Resolve a reference to a secret. Raises BadReferenceError."""
    kind, _, name = reference.partition(":")
    match kind:
        case "env":
            value = os.environ.get(name)
            if value is None:
                raise BadReferenceError(f"the environment has no {name}")
            return Secret(value)
        case "file":
            try:
                return Secret(Path(name).read_text().strip())
            except OSError as fault:
                raise BadReferenceError(f"{name} cannot be read: {fault.strerror}") from None
        case _:
            raise BadReferenceError("give a secret as env:NAME or file:PATH")


def connect_all(listed: Manifests, installation: str) -> dict[IntegrationId, Connected]:
    """Return every integration of the manifests. Raises BadReferenceError."""
    return {
        IntegrationId(m.id): connect(integration(m.id, m.name, m.kind), m.settings, installation)
        for m in listed.integrations
    }


def connect(integration: Integration, settings: Mapping[str, Any], installation: str) -> Connected:
    """Return an integration with its connector. Raises BadReferenceError."""
    try:
        return Connected(integration, _connector(integration, settings, installation))
    except BadReferenceError as fault:
        raise BadReferenceError(f"integrations.yaml: {integration.id}: {fault}") from None


def _connector(
    integration: Integration, settings: Mapping[str, Any], installation: str
) -> Connector:
    match integration.kind:
        case "postgresql":
            from engine.connectors.postgresql import PostgreSQL

            given = {k: v for k, v in settings.items() if k != "dsn"}
            return PostgreSQL(secret(settings["dsn"]), installation=installation, **given)
        case unknown:
            raise BadReferenceError(f"there is no connector for {unknown}")


def integration(id_: str, name: str, kind: str) -> Integration:
    return Integration(IntegrationId(id_), name, kind)
