"""Who holds locked what Latchkey waits for."""

from bot.runtime.services import Services
from storage import holders
from storage.holders import IDLE_FOR, Holder

__all__ = ["IDLE_FOR", "Holder", "find"]


def find(services: Services) -> list[tuple[Holder, bool]]:
    """Return for whom Latchkey waits just now, and whether their session was ended.

    Ended is one of Latchkey's own login that has stood idle in a transaction.
    """
    with services.database.read() as session:
        return [(holder, holders.end(session, holder)) for holder in holders.find(session)]
