"""Instances and their leases: who works on which row, and what a dead instance leaves behind."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, NewType

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlmodel import Session, col

from engine.connectors.elapsed import boottime
from engine.errors import LatchkeyError
from engine.retry import LONGEST_PAUSE
from storage import files
from storage.database import Database, Write
from storage.readings import Reading
from storage.tables import CompanyRow, GroupRow, InstanceRow
from storage.types import among, db_now

InstanceId = NewType("InstanceId", int)

BEAT = 1.0  # seconds between heartbeats
DEAD_AFTER = 3.0  # seconds without one
TURN = 5.0  # seconds that a command keeps a process that starts from its SQLite file, at most
WAIT_FOR_COMMANDS = 15.0  # seconds
LOOK_EVERY = 0.05  # seconds
TOMBSTONES = 300  # in one transaction
DEAD = 300  # instances
PROCESS, COMMAND = "latchkey run", "latchkey revoke"  # that hold a SQLite file's lock


class NotAloneError(LatchkeyError):
    """Another Latchkey works on this SQLite file. The text says which, and how to end it.

    `pid`: its process, as far as it is known; `peer`: the same of a command that works in place of
    one.
    """

    def __init__(self, holder: str = "") -> None:
        pid, _, command = holder.partition(" ")
        self.pid = int(pid) if pid.isdecimal() else None
        self.peer = self.pid if command == COMMAND else None
        who = f": `{command}`, process {pid}" if pid.isdecimal() and command else ""
        cure = "Stop it, or use PostgreSQL for several."
        if command == COMMAND and who:
            cure = (
                "What it was told to do is recorded, and the next `latchkey run` goes on with it. "
                f"If it is suspended or hangs, end it: kill -KILL {pid}"
            )
        super().__init__(f"Another Latchkey works on this SQLite file{who}. {cure}")


def lock_file(database: Database) -> IO[str] | None:
    """Prove, on SQLite, that this process is alone; the lock falls with the process.

    A command that works in place of a process is waited for. Raises NotAloneError and
    UnsafePlaceError. Keep the returned file open as long as the process works.
    """
    if database.file is None:
        return None
    # Who comes goes through one after another: a command stays there while it works.
    until = time.monotonic() + WAIT_FOR_COMMANDS
    while (entrance := _locked(database.file, ".turn", PROCESS)) is None:
        if time.monotonic() > until:
            raise NotAloneError(_holder(database.file, ".turn"))
        threading.Event().wait(LOOK_EVERY)  # by time that nobody sets
    with entrance:
        lock = _locked(database.file, ".lock", PROCESS)
    if lock is None:
        raise NotAloneError(_holder(database.file, ".lock"))
    with database.write() as tx:
        tx.execute(delete(InstanceRow))
    return lock


def take_turn(database: Database) -> ExitStack:
    """Take the place of the process on SQLite, until it is closed. Raises NotAloneError.

    For `TURN` at most: one that starts meanwhile waits for it.
    """
    held = ExitStack()
    if database.file is None:
        return held
    for suffix in (".turn", ".lock"):
        file = _locked(database.file, suffix, COMMAND)
        if file is None:
            held.close()
            raise NotAloneError(_holder(database.file, suffix))
        held.enter_context(file)
    return held


# A heartbeat that lies ahead is from before the clock was set back. Who lives beats again within a
# second; a dead one's would hold its leases for as long as the clock went back, so it counts from
# now on. Who is beating at this moment is left alone, or two would wait for each other.
_AHEAD = col(InstanceRow.beat) > db_now() + DEAD_AFTER  # as PostgreSQL's NaN is
_LIVES = and_(col(InstanceRow.beat) > db_now() - DEAD_AFTER, ~_AHEAD)
_FROM_AHEAD = (
    update(InstanceRow)
    .where(
        col(InstanceRow.id).in_(
            select(col(InstanceRow.id)).where(_AHEAD).with_for_update(skip_locked=True)
        )
    )
    .values(beat=db_now())
)
_BEAT = (
    update(InstanceRow)
    .where(col(InstanceRow.id) == bindparam("me"))
    .values(beat=db_now(), passed=bindparam("seen"))
    .returning(col(InstanceRow.beat))
)


def _locked(database: Path, suffix: str, command: str) -> IO[str] | None:
    """Lock the file beside the database, and write who has it; None: somebody else has it."""
    file = os.fdopen(files.open_beside(database, suffix), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    file.truncate(0)
    file.write(f"{os.getpid()} {command}")
    file.flush()
    return file


def _holder(database: Path, suffix: str) -> str:
    """Return what the file's holder wrote: its process and command; empty: nothing (yet)."""
    with os.fdopen(files.open_beside(database, suffix), "rb") as file:
        return file.read(100).decode(errors="replace").strip()


def register(tx: Write, *, links: int = 0, hands: bool = False) -> InstanceId:
    """Register a process that keeps so many links to Slack, or (`hands`) a command in its place."""
    row = insert(InstanceRow).values(beat=db_now(), links=links, hands=hands)
    return InstanceId(tx.execute(row.returning(col(InstanceRow.id))).scalar_one() or 0)


def beat(tx: Write, instance: InstanceId, *, passed: int = -1) -> Reading | None:
    """Say that the instance lives, and return what the database's clock said.

    `passed` is the last change of facts that it surely knows. None: it was thought dead and is
    forgotten; register anew.
    """
    before = boottime()
    said = tx.ask(_BEAT, {"me": instance, "seen": passed})
    after = boottime()
    tx.do(_FROM_AHEAD, {})
    return Reading(said[0][0], before, after) if said else None


@dataclass(frozen=True, slots=True)
class Sockets:
    """What living instances know of the app's sockets at Slack.

    `explained`: how many they keep open. `strangers`: how many more there are, by whoever was told
    of the most. `age`: seconds since one of them was last told; None: none was yet.
    """

    explained: int
    strangers: int
    age: float | None


def tell_strangers(tx: Write, instance: InstanceId, strangers: int, age: float) -> None:
    """Keep how many sockets there are that no replica explains, by what Slack said `age` s ago."""
    mine = update(InstanceRow).where(col(InstanceRow.id) == instance)
    tx.execute(mine.values(strangers=strangers, counted=db_now() - age))


def sockets(session: Session) -> Sockets:
    row = col(InstanceRow.links), col(InstanceRow.strangers), col(InstanceRow.counted)
    found = session.execute(
        select(
            func.coalesce(func.sum(row[0]), 0),
            func.coalesce(func.max(row[1]), 0),
            db_now() - func.max(row[2]),
        ).where(_LIVES)
    ).one()
    explained, strangers, age = found
    return Sockets(int(explained), strangers, None if age is None else max(0.0, age))


def leave(tx: Write, instance: InstanceId) -> None:
    """Give back all leases at once."""
    tx.execute(delete(InstanceRow).where(col(InstanceRow.id) == instance))


Moment = tuple[float, ...]  # what each clock of a pulse says


def heartbeat(session: Session) -> float | None:
    """Return for how many seconds the liveliest process was silent; None: there is none.

    A command that works in the place of one is none: it does what it was told to, and no more.
    Nor is one whose heartbeat lies ahead: if it lives, it beats again within a second.
    """
    processes = and_(~col(InstanceRow.hands), ~_AHEAD)
    last = select(func.max(col(InstanceRow.beat)), db_now()).where(processes)
    beat, now = session.execute(last).one()
    return None if beat is None else max(0.0, now - beat)


class Pulse:
    """How long this process may act on its leases: others take them when it was silent for long.

    A process that was stopped and goes on does not notice; the gap between its heartbeats tells, by
    whichever clock says the most. CLOCK_MONOTONIC stands still while a machine is suspended, and
    CLOCK_BOOTTIME does in some containers; the wall clock may be set.
    """

    def __init__(self, clocks: Sequence[Callable[[], float]] = (boottime, time.time)) -> None:
        self._clocks = clocks
        self._last: Moment | None = None
        self._since = time.monotonic()

    def begin(self) -> Moment:
        """Return the moment at which a heartbeat begins, for `beaten`."""
        return tuple(clock() for clock in self._clocks)

    def beaten(self, begun: Moment) -> None:
        """Take in that the heartbeat which was begun then is stored."""
        if self._last is not None and not self._beats:
            self._since = time.monotonic()
        self._last = begun

    def holds(self, leased: float) -> bool:
        """Tell whether what was leased at that `time.monotonic()` is ours for certain."""
        return self._last is None or (leased >= self._since and self._beats)

    @property
    def steady(self) -> float:
        """For how many seconds the database has stored the heartbeats, without a gap until now."""
        return time.monotonic() - self._since if self._last and self._beats else 0.0

    @property
    def _beats(self) -> bool:
        passed = (now - then for now, then in zip(self.begin(), self._last or (), strict=True))
        return max(passed) < DEAD_AFTER


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
    dead = select(col(InstanceRow.id)).where(col(InstanceRow.beat) < db_now() - 3600).limit(DEAD)
    tx.execute(delete(InstanceRow).where(col(InstanceRow.id).in_(dead)))


def forget_tombstones(tx: Write) -> None:
    """Remove what says that something was deleted, once every process has passed that change."""
    passed = select(func.min(col(InstanceRow.passed))).scalar_subquery()
    query = select(col(GroupRow.id), col(GroupRow.epoch)).where(
        col(GroupRow.gone), col(GroupRow.epoch) <= passed
    )
    rows = tx.execute(query.order_by(col(GroupRow.epoch)).limit(TOMBSTONES)).all()
    if rows:
        tx.alone()
        tx.execute(update(CompanyRow).values(forgotten=rows[-1].epoch))
        old = delete(GroupRow).where(among(col(GroupRow.id), "ids"))
        given = {"ids": [row.id for row in rows]}
        tx.execute(old, given, execution_options={"facts": "tombstones"})
