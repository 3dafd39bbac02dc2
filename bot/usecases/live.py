"""A process lives: it registers, beats, says what it knows of others' sockets, and leaves."""

from bot.runtime.services import Services
from storage import claims
from storage.claims import Sockets
from storage.readings import Reading

__all__ = ["beat", "leave", "register", "sockets", "tell_strangers"]


def register(services: Services, links: int) -> None:
    """Begin to live, as a new instance that opens so many sockets to Slack."""
    begun = services.pulse.begin()
    with services.database.write(urgent=True) as tx:
        services.database.instance = claims.register(tx, links=links)
    services.pulse.beaten(begun)


def beat(services: Services) -> Reading | None:
    """Say that this process lives, and return what the database's clock said.

    None: the others think it dead. Raises what `storage.database.AWAY` lists.
    """
    begun = services.pulse.begin()
    with services.database.write(urgent=True) as tx:
        reading = claims.beat(tx, services.instance, passed=services.companies.passed)
    if reading:
        services.pulse.beaten(begun)
    return reading


def leave(services: Services) -> None:
    """Give all leases back."""
    with services.database.write(urgent=True) as tx:
        claims.leave(tx, services.instance)


def sockets(services: Services) -> Sockets:
    """Return how many sockets the living processes open to Slack."""
    with services.database.read() as session:
        return claims.sockets(session)


def tell_strangers(services: Services, many: int, seconds: float) -> None:
    """Store how many sockets others held so many seconds ago."""
    with services.database.write(urgent=True) as tx:
        claims.tell_strangers(tx, services.instance, many, seconds)
