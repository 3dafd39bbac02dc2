"""Makes the connector of each integration; a connector's module is imported when one is used."""

from collections.abc import Mapping
from typing import Any

from bot.manifests import Manifests
from bot.references import BadReferenceError, resolve
from bot.services import Connected
from engine.connectors.port import Connector, Secret
from engine.inventory import Integration, IntegrationId


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
            dsn = Secret(resolve(settings["dsn"]))
            try:
                return PostgreSQL(dsn, installation=installation, **given)
            except ValueError as fault:
                raise BadReferenceError(f"dsn: {fault}") from None
        case unknown:
            raise BadReferenceError(f"there is no connector for {unknown}")


def integration(id_: str, name: str, kind: str) -> Integration:
    return Integration(IntegrationId(id_), name, kind)
