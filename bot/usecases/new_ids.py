"""People who are listed under other ids than the ones known: what the administrators are told."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from engine.alarms import MOST_NAMED
from storage import sync
from storage.database import Write
from storage.succession import Succession, SuccessionStatus


def tell(tx: Write, found: Sequence[Succession], now: datetime) -> None:
    """Tell the admins, once for each list, who seems to be the same person, and what to do."""
    _say(
        tx,
        [s for s in found if s.carries],
        now,
        "listed under a new id, with the address of somebody known: {names}. Nothing is taken from "
        "them for it. Look at the list: latchkey people carry. If they are the same people, carry "
        "all that is theirs over: latchkey people carry --yes.",
    )
    _say(
        tx,
        [s for s in found if s.standing is SuccessionStatus.KEPT],
        now,
        "listed under an id that is, or was, somebody else's: {names}. They go on under the id "
        "named first, and nothing of the other's is theirs. To give them another, list them under "
        "one that nobody has had; then: latchkey people carry.",
    )
    _say(
        tx,
        [s for s in found if s.standing is SuccessionStatus.HELD],
        now,
        "listed so that it cannot be told who is who: the address of somebody known is there under "
        "another id and name, and their own id with another address: {names}. What is known of "
        "them stays as it is. If who had the address has left: latchkey people carry --not EMAIL. "
        "Else list first the one who is known, with the new address, and confirm it; then the "
        "other.",
    )


def digest(names: Sequence[str]) -> str:
    """Name a list, so that it is told of once."""
    return hashlib.sha256(",".join(names).encode()).hexdigest()[:16]


def _say(tx: Write, some: Sequence[Succession], now: datetime, what: str) -> None:
    if not some:
        return
    named = [str(s) for s in some[:MOST_NAMED]]
    more = [f"and {len(some) - len(named)} more"] if len(some) > len(named) else []
    how_many = "1 person is" if len(some) == 1 else f"{len(some)} people are"
    key = f"new_ids/{digest([f'{s.old}/{s.new}' for s in some])}"
    names = "; ".join([*named, *more])
    sync.tell_admins(tx, key, f"{how_many} {what.format(names=names)}", now)
