"""What a system has, taken in; and which server it is that says so.

Numbers mean something only with the server that gave them. Where another one answers, nothing of it
is taken in and nothing is given there, until an operator accepts it (`latchkey integrations`).
"""

import structlog

from bot.runtime.services import Services
from engine.discovery import OtherServerError
from engine.inventory import IntegrationId
from engine.port import Connector, Discovered, DiscoveredPermission, Unavailable
from storage import sync

__all__ = ["Reading", "discover", "is_known", "read"]

log = structlog.get_logger()


Reading = tuple[str, list[Discovered], list[DiscoveredPermission]]


def read(connector: Connector) -> Reading:
    """Return which server answers, and all that it has. Raises Unavailable."""
    server = connector.server()
    found, permissions = list(connector.discover()), list(connector.permissions())
    if connector.server() != server:
        raise Unavailable("another server answers than a moment ago")
    return server, found, permissions


def discover(services: Services, integration: IntegrationId) -> None:
    """Read all resources of one system and take them in. Raises Unavailable."""
    server, found, permissions = read(services.connected[integration].connector)
    for item in found:
        if item.closed:
            log.warning("passed over", integration=integration, what=item.path, why=item.closed)
    now = services.clock.now()
    try:
        with services.database.read() as session:
            compared = sync.compare_inventory(
                session, integration, found, permissions=permissions, server=server
            )
        steps = compared.steps(now)
        for step in steps:
            services.transaction(step)
    except OtherServerError as fault:
        log.error("nothing taken in", integration=integration, why=str(fault))  # noqa: TRY400
        key, said = f"server/{integration}/{server}", str(fault)
        services.transaction(lambda tx: sync.tell_admins(tx, key, said, now))


def is_known(services: Services, integration: IntegrationId) -> bool:
    """Tell whether the server whose numbers the inventory has is the one that answers now."""
    with services.database.read() as session:
        known = sync.server_of(session, integration)
    return services.connected[integration].connector.server() == known
