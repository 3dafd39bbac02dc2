"""A process is an instance: it registers, beats, tells of others' sockets, and leaves."""

from contextlib import ExitStack

from bot.runtime.services import Services
from storage import claims
from storage.claims import BEAT, DEAD_AFTER, TURN, InstanceId, NotAloneError, Sockets
from storage.database import Database
from storage.readings import Reading

__all__ = [
    "BEAT",
    "DEAD_AFTER",
    "TURN",
    "InstanceId",
    "NotAloneError",
    "beat",
    "heartbeat",
    "leave",
    "lend_hands",
    "register",
    "sockets",
    "take_hands_back",
    "take_turn",
    "tell_strangers",
]


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


def lend_hands(database: Database, me: InstanceId) -> InstanceId:
    """Live in the place of a process that is gone, for a command; return as which instance.

    `me` is the one so far; 0: none yet.
    """
    with database.write(urgent=True) as tx:
        return me if me and claims.beat(tx, me) else claims.register(tx, hands=True)


def take_turn(database: Database) -> ExitStack:
    """Take the place of the process on SQLite, for a command, until what is returned is closed.

    For `TURN` at most: one that starts meanwhile waits for it. Raises NotAloneError.
    """
    return claims.take_turn(database)


def take_hands_back(database: Database, me: InstanceId) -> None:
    """Give back what such an instance has leased."""
    with database.write(urgent=True) as tx:
        claims.leave(tx, me)


def heartbeat(database: Database) -> float | None:
    """Return for how many seconds the liveliest process was silent; None: there is none."""
    with database.read() as session:
        return claims.heartbeat(session)


def sockets(services: Services) -> Sockets:
    """Return how many sockets the living processes open to Slack."""
    with services.database.read() as session:
        return claims.sockets(session)


def tell_strangers(services: Services, many: int, seconds: float) -> None:
    """Store how many sockets others held so many seconds ago."""
    with services.database.write(urgent=True) as tx:
        claims.tell_strangers(tx, services.instance, many, seconds)
