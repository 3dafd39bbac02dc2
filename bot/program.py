"""Latchkey as a running program: what `bot.wiring` has built is started, and stopped."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from slack_bolt import App

from bot.loops.access import AccessLoop
from bot.loops.app_home import Homes
from bot.loops.follow import SystemsFollower
from bot.loops.heartbeat import Heart
from bot.loops.jobs import JobLoop
from bot.loops.loop import Loop
from bot.loops.messages import MessageLoop
from bot.loops.strangers import Strangers
from bot.loops.upkeep import Upkeep
from bot.loops.watch import Watch
from bot.operations import greeting, memory, open_files
from bot.operations.server import Servers
from bot.operations.signals import Asked
from bot.operations.waiting import Waiting
from bot.runtime.pool import Pool, in_time
from bot.runtime.services import Services
from bot.settings import BadSettingsError
from bot.slack.client import Clients
from bot.slack.socket_mode import Links
from bot.usecases.anchors import Anchors
from storage import claims, files, schema
from storage.database import AWAY, Database, passes, unusable
from storage.notices import Listener
from storage.schema import NeedsUpgradeError

STOP_WITHIN = 5.0  # seconds for what is under way
AFTER_THAT = 1.0  # seconds each, to store what came of it, to give leases back, and to close
CLOSE_WITHIN = 0.5  # seconds of that for connectors, which have nothing under way
# Seconds after which a thread that computes lets another go on. A listener that comes back from the
# database, some ten times for a click, waits that long for each loop that is at work.
SWITCH_WITHIN = 0.0005
START_AGAIN = 1.0  # seconds between two tries
SAY_AGAIN = 60.0  # seconds after which it is said again that the database is waited for
LOOK_EVERY = 10  # seconds; how many sockets there are
IDLE_WITHIN = 60.0  # seconds that `run_until_idle` may take
# As if messages were quicker than all else: so they cost the most.
IN_TURN = ("messages", "access", "clock", "jobs")

log = structlog.get_logger()


@dataclass(kw_only=True, eq=False)
class Program:
    """Start it, and stop it within 10 s. Access ends on time while Slack is down.

    `loops` are the duty to end access; `heartbeat` keeps their leases; `beside` is all else.
    `faults`: what is wrong with settings, by their names.
    """

    services: Services
    clients: Clients
    app: App
    homes: Homes
    access: AccessLoop
    messages: MessageLoop
    jobs: JobLoop
    heart: Heart
    anchors: Anchors
    watch: Watch
    upkeep: Upkeep
    servers: Servers
    links: Links | None  # None: Slack posts its events
    strangers: Strangers | None
    follower: SystemsFollower | None  # None: the systems are given
    loops: Mapping[str, Loop]
    heartbeat: Loop
    beside: Sequence[Loop]
    faults: Mapping[str, str]

    _scheduler: BackgroundScheduler = field(
        init=False, repr=False, default_factory=lambda: BackgroundScheduler(timezone="UTC")
    )
    _lock: IO[str] | None = field(init=False, repr=False, default=None)
    _listener: Listener | None = field(init=False, repr=False, default=None)

    @property
    def database(self) -> Database:
        return self.services.database

    def start(self) -> None:
        """Database and loops first, then Slack.

        Raises NotAloneError, NeedsUpgradeError; where no company is known that could go on,
        BadSettingsError, NoAddressError, BadManifestsError.
        """
        sys.setswitchinterval(SWITCH_WITHIN)
        open_files.raise_limit()
        if self.database.file and (why := files.exposed(self.database.file)):
            log.error("others can change the database's files", why=why)
        self._lock = claims.lock_file(self.database)
        with memory.undisturbed():
            self._look_at_what_is_there()
            knows_somebody = self.services.knows_somebody()
        if not knows_somebody and (missing := self.servers.listen()):
            raise missing[0]
        self.watch.begin()
        self.heart.register()
        if self.follower:
            self.follower.begin()
        self.database.on_commit.append(self.wake)
        if self.database.sessions:
            self._listener = Listener(self.database.sessions, self.wake)
            self._listener.start()
        for loop in (self.heartbeat, *self.loops.values(), *self.beside):
            loop.start()
        self._every(1, self._refresh_homes)
        if self.strangers:
            self._every(LOOK_EVERY, self.strangers.look)
        self._scheduler.start()
        if self.links:
            self.links.start()

    def _look_at_what_is_there(self) -> None:
        """Raise what keeps from starting on this database, with these settings."""
        found = schema.current(self.database)
        if self.faults and not (schema.fits(found) and self.services.knows_somebody()):
            raise BadSettingsError("\n".join(self.faults.values()))
        if not schema.fits(found):
            raise NeedsUpgradeError(found)
        for name, why in self.faults.items():
            self.services.vitals.faults.set(f"settings {name}", why)

    def apply(self) -> None:
        """Have the manifests taken in that are there, whatever was applied before."""
        self.watch.ask()

    def greet(self, say: Callable[[str], None]) -> None:
        """Tell a person what runs, once Slack has said where, or does not."""
        delivery, opening = self.clients.delivery, self.clients.opening
        greeting.begin(self.services, delivery, opening, say, self.faults)

    def wake(self, topics: set[str]) -> None:
        """Let the loops of these names look for what is due, when who waits here has an answer."""
        for topic in topics & self.loops.keys():
            self.services.turns.after_the_answer(self._waker(topic))

    def run_until_idle(self, woken: Iterable[str] = IN_TURN) -> None:
        """Let loops work in the caller's thread, those of these names and those that they wake,
        until nothing is due. For a program that was not started.

        Raises TimeoutError where that does not come about, as something hangs.
        """
        until = time.monotonic() + IDLE_WITHIN
        due, begun = set(woken), set[str]()
        hear, waits = (
            due.update,
            {
                "access": self.access.wait,
                "messages": self.messages.wait,
                "jobs": self.jobs.wait,
            },
        )
        self.database.on_commit.append(hear)
        try:
            while name := next((n for n in IN_TURN if n in due | begun), None):
                if name in due:
                    self._waker(name)()
                due.discard(name)
                begun.discard(name)
                self.loops[name].drain()
                left = until - time.monotonic()
                if name in waits and waits[name](left):
                    begun.add(name)
                if begun and left < 0:
                    raise TimeoutError(f"still at work: {', '.join(begun)}")
        finally:
            self.database.on_commit.remove(hear)

    def stop(self) -> bool:
        """No new claims; finish or release what is under way; close. It takes 8 s at most.

        Return whether all was finished; else threads are left that only the end of the process
        ends, and what they had leased is anybody's.
        """
        until = time.monotonic() + STOP_WITHIN

        def left() -> float:
            return max(0.0, until - time.monotonic())

        finished = [*self._close_doors(left)]
        finished.append(self.watch.stop(left() / 4))
        if self._scheduler.running:
            in_time("scheduler", left() / 2, lambda: self._scheduler.shutdown(wait=False))
        if self._listener:
            self._listener.stop(left() / 2)
        running = [loop for loop in (*self.loops.values(), *self.beside) if loop.alive]
        for loop in running:
            loop.end()
        finished += [loop.join(left() / 2) for loop in running]
        finished += [in_time("settle", left() + AFTER_THAT, lambda: self._settle(left))]
        if self.heartbeat.alive:  # leases hold until here
            self.heartbeat.end()
            finished += [self.heartbeat.join(left() / 2)]
        if self.database.instance:
            self._leave()
        if not all(finished):
            log.warning("stopped with work under way: it is taken up again at the next start")
        elif not in_time("close", AFTER_THAT, self._close):
            finished.append(False)
        if self._lock:
            self._lock.close()
        return all(finished)

    def _close_doors(self, left: Callable[[], float]) -> Iterator[bool]:
        """Take nothing more from people; yield of each door whether what was taken is answered."""
        yield self.servers.stop(lambda: left() / 2)
        if self.links:
            yield self.links.stop(left() / 2)

    def _close_connectors(self) -> bool:
        """Return whether all are closed; one that hangs is left behind."""
        connectors = [connected.connector for connected in self.services.connected.values()]
        closing = Pool(max(1, len(connectors)), "closing")
        for connector in connectors:
            closing.submit(connector.close)
        return closing.stop(CLOSE_WITHIN, finish=True)

    def _waker(self, name: str) -> Callable[[], None]:
        looks = {"access": self.access.look, "messages": self.messages.look}
        return looks.get(name, self.loops[name].wake)

    def _settle(self, left: Callable[[], float]) -> bool:
        """Store what came of what was under way."""
        stopped = [loop.stop(left()) for loop in (self.access, self.messages, self.jobs)]
        return all(stopped)

    def _leave(self) -> None:
        if in_time("leave", AFTER_THAT, self.heart.leave):
            in_time("anchor", AFTER_THAT / 2, self._note_anchor)
        else:
            log.warning("stopped without the database: leases last until they are found dead")

    def _note_anchor(self) -> None:
        self.anchors.note()

    def _close(self) -> bool:
        closed = self._close_connectors()
        self.database.close()
        return closed

    def _every(self, seconds: float, run: Callable[[], None]) -> None:
        """Run what is no part of the duty to end access: it waits by the wall clock."""
        self._scheduler.add_job(
            run,
            "interval",
            seconds=seconds,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    def _refresh_homes(self) -> None:
        try:
            self.homes.refresh()
        except AWAY as fault:
            self.services.vitals.database.bad(type(fault).__name__)


def started(
    build: Callable[[], Program],
    url: str,
    waiting: Waiting,
    asked: Asked,
    say: Callable[[str], None],
) -> Program | None:
    """Return a program that runs; None: it was to end before.

    A fault of the database that passes is waited for, as long as it takes: `waiting` answers for
    the program meanwhile. `url`: of its database. Raises what `Program.start` does, and what
    `storage.database.AWAY` lists.
    """
    tries, said = 0, ("", float("-inf"))
    try:
        while not asked.to_end.is_set():
            program = None
            try:
                program = build()
                asked.to_apply = program.apply
                if not schema.current(program.database) and not program.faults:
                    schema.upgrade(program.database)
                waiting.over()
                program.start()
            except AWAY as fault:
                if program:
                    program.stop()
                if not passes(fault):
                    raise
                why, now = unusable(fault, url), time.monotonic()
                tries += 1
                if tries == 1:
                    say(f"Waiting: {why}")
                if why != said[0] or now - said[1] > SAY_AGAIN:
                    log.warning("waiting for the database", why=why, tries=tries)
                    said = why, now
                waiting.wait(why)
                asked.to_end.wait(START_AGAIN)
            else:
                program.greet(say)
                return program
        return None
    finally:
        waiting.over()
