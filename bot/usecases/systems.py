"""What is stored of the connected systems."""

from bot.runtime.services import Services
from engine.inventory import IntegrationId
from storage import counts, servers
from storage.servers import Connection

__all__ = ["connections", "ending"]


def connections(services: Services) -> list[Connection]:
    """Return all connected systems, by their ids."""
    with services.database.read() as session:
        return servers.connections(session)


def ending(services: Services, system: IntegrationId) -> int:
    """Count the accounts of one system that hold, or may hold, what has to end there."""
    with services.database.read() as session:
        return counts.ending(session, system)
