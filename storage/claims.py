"""Instances and their leases: who works on which row, and what a dead instance leaves behind."""

import fcntl
import os
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, NewType

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlmodel import Session, col

from storage import files
from storage.database import Database, Write
from storage.tables import InstanceRow
from storage.types import db_now

InstanceId = NewType("InstanceId", int)

BEAT = 1.0  # seconds between heartbeats
DEAD_AFTER = 3.0  # seconds without one
LONGEST_PAUSE = timedelta(minutes=5)  # between two tries at anything
TURN = 5.0  # seconds that a command keeps a process that starts from its SQLite file, at most
WAIT_FOR_COMMANDS = 15.0  # seconds
LOOK_EVERY = 0.05  # seconds


class NotAloneError(RuntimeError):
    """Another Latchkey runs on this SQLite file. Stop it, or use PostgreSQL for several."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def lock_file(database: Database) -> IO[str] | None:
    """Prove, on SQLite, that this process is alone; the lock falls with the process.

    A command that works in place of a process is waited for. Raises NotAloneError and
    UnsafePlaceError. Keep the returned file open as long as the process works.
    """
    if database.file is None:
        return None
    # Who comes goes through one after another: a command stays there while it works.
    until = time.monotonic() + WAIT_FOR_COMMANDS
    while (entrance := _locked(f"{database.file}.turn")) is None:
        if time.monotonic() > until:
            raise NotAloneError
        time.sleep(LOOK_EVERY)
    with entrance:
        lock = _locked(f"{database.file}.lock")
    if lock is None:
        raise NotAloneError
    with database.write() as tx:
        tx.execute(delete(InstanceRow))
    return lock


def take_turn(database: Database) -> ExitStack | None:
    """Take the place of the process on SQLite, until it is closed; None: there is one.

    For `TURN` at most: one that starts meanwhile waits for it.
    """
    held = ExitStack()
    for suffix in (".turn", ".lock"):
        file = _locked(f"{database.file}{suffix}")
        if file is None:
            held.close()
            return None
        held.enter_context(file)
    return held


def _locked(name: str) -> IO[str] | None:
    """Open a file that is ours alone, and lock it; None: somebody else has it."""
    file = os.fdopen(files.open_own(Path(name)), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def register(tx: Write) -> InstanceId:
    row = insert(InstanceRow).values(beat=db_now()).returning(col(InstanceRow.id))
    return InstanceId(tx.execute(row).scalar_one() or 0)


def beat(tx: Write, instance: InstanceId) -> bool:
    """Say that the instance lives. False: it was thought dead and is forgotten; register anew."""
    alive = update(InstanceRow).where(col(InstanceRow.id) == instance).values(beat=db_now())
    written: Any = tx.execute(alive)
    return bool(written.rowcount)


def tell_strangers(tx: Write, instance: InstanceId, strangers: int) -> None:
    """Keep, for whoever looks, how many sockets there are that no replica explains."""
    mine = update(InstanceRow).where(col(InstanceRow.id) == instance)
    tx.execute(mine.values(strangers=strangers))


def strangers(session: Session) -> int | None:
    """Return the most of what living instances have told; None: no instance is alive."""
    alive = col(InstanceRow.beat) > db_now() - DEAD_AFTER
    most: int | None = session.execute(
        select(func.max(col(InstanceRow.strangers))).where(alive)
    ).scalar()
    return most


def leave(tx: Write, instance: InstanceId) -> None:
    """Give back all leases at once."""
    tx.execute(delete(InstanceRow).where(col(InstanceRow.id) == instance))


def heartbeat(session: Session, *, besides: InstanceId | None = None) -> float | None:
    """Return for how many seconds the liveliest instance was silent; None: there is none."""
    last = select(func.max(col(InstanceRow.beat)), db_now())
    if besides is not None:
        last = last.where(col(InstanceRow.id) != besides)
    beat, now = session.execute(last).one()
    return None if beat is None else max(0.0, now - beat)


def living(session: Session) -> int:
    """Count the instances that are alive."""
    alive = col(InstanceRow.beat) > db_now() - DEAD_AFTER
    count: int = session.execute(select(func.count()).where(alive)).scalar_one()
    return count


class Pulse:
    """How long this process may act on its leases: others take them when it was silent for long.

    A process that was stopped and goes on does not notice; the gap between its heartbeats tells.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._since = time.monotonic()

    def beaten(self, begun: float) -> None:
        """Take in that a heartbeat was stored, which was `begun` at that `time.monotonic()`."""
        now = time.monotonic()
        if self._last is not None and now - self._last >= DEAD_AFTER:
            self._since = now
        self._last = begun

    def holds(self, leased: float) -> bool:
        """Tell whether what was leased at that moment is ours for certain."""
        if self._last is None:
            return True
        return leased >= self._since and time.monotonic() - self._last < DEAD_AFTER


def free(lease: SQLColumnExpression[int | None]) -> ColumnElement[bool]:
    """Hold for rows that nobody alive has leased."""
    living = select(col(InstanceRow.id)).where(col(InstanceRow.beat) > db_now() - DEAD_AFTER)
    return or_(lease.is_(None), lease.not_in(living))


def due(at: SQLColumnExpression[datetime | None]) -> ColumnElement[bool]:
    """Hold for moments that have come; give the statement what `moments` returns.

    Nothing is put off for longer than `LONGEST_PAUSE`: what is much further ahead was put off by a
    clock that has been set back since.
    """
    return or_(at <= bindparam("now"), at > bindparam("ahead"))


def moments(now: datetime) -> dict[str, datetime]:
    return {"now": now, "ahead": now + 2 * LONGEST_PAUSE}  # clocks of replicas differ a little


def forget_dead(tx: Session) -> None:
    """Remove instances that have been silent for an hour."""
    tx.execute(delete(InstanceRow).where(col(InstanceRow.beat) < db_now() - 3600))
