"""Latchkey as a running program: opens everything, runs the loops, keeps its links to Slack."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import IO

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from bot.listeners import app
from bot.loops import clock, reconcile
from bot.loops.access import AccessLoop
from bot.loops.app_home import Homes
from bot.loops.clock_steps import Steps
from bot.loops.follow import Follower, plan_jobs
from bot.loops.jobs import JobLoop, Runner, forget_secret
from bot.loops.loop import Loop
from bot.loops.messages import MessageLoop
from bot.loops.watch import Watch
from bot.operations import greeting, open_files
from bot.operations.health import Health, Stored
from bot.operations.reach import Notes
from bot.operations.server import Servers
from bot.operations.site import probes, site
from bot.runtime.clock import clock_of
from bot.runtime.connectors import Systems, connect, references
from bot.runtime.metrics import Vitals
from bot.runtime.pool import Pool, in_time
from bot.runtime.services import Connected, Services
from bot.settings import BadSettingsError, Settings, unknown
from bot.slack.http import Events
from bot.slack.socket_mode import LINKS, Links
from bot.slack.strangers import Crowd
from bot.usecases import anchors, discover, roster
from bot.usecases.alarms import Alarms, in_lines
from bot.usecases.take_in import take_in
from engine.account import SHOWN_FOR
from engine.inventory import IntegrationId
from engine.request import code_of
from engine.retry import LONGEST_PAUSE
from storage import claims, files, jobs, schema, servers
from storage.claims import InstanceId
from storage.clock import asleep, rouse
from storage.company import Companies
from storage.database import AWAY, Database, Write, is_locked
from storage.jobs import Job, JobKind
from storage.notices import Listener
from storage.schema import NeedsUpgradeError
from storage.servers import Connection

STOP_WITHIN = 5.0  # seconds for what is under way
AFTER_THAT = 1.0  # seconds each, to store what came of it, to give leases back, and to close
CLOSE_WITHIN = 0.5  # seconds of that for connectors, which have nothing under way
# Seconds after which a thread that computes lets another go on. A listener that comes back from the
# database, some ten times for a click, waits that long for each loop that is at work.
SWITCH_WITHIN = 0.0005
PATIENCE = 1.2  # seconds, and again as many: a click is answered before Slack gives it up (3 s)
SWEEP_EVERY = 2 * LONGEST_PAUSE
SETTINGS = (
    "Some settings cannot be used. Latchkey goes on without them: access ends on time. Mend them, "
    "and start it anew."
)
ADDRESSES = (
    "Nobody can reach Latchkey at some of its addresses. Access ends on time, and Latchkey goes on "
    "trying to listen there."
)
MISSED_FOR = 60.0  # seconds; the process before this one may be ending
LOOK_EVERY = 10  # seconds; how many sockets there are

log = structlog.get_logger()


class Program:
    """Start it, and stop it within 10 s. Access ends on time while Slack is down."""

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[IntegrationId, Connected] | None = None,
        *,
        http: bool = False,
        faults: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`connectors`: instead of those of the stored systems. `http`: Slack posts its events.

        `faults`: what is wrong with the settings beside these, by the name of the setting.
        Without `http`, and beside it where there is a token for it, Socket Mode is used.
        """
        self._settings = settings
        self._http = http
        self._faults = faults
        self.database = Database(
            settings.database_url,
            patience=PATIENCE,
            fresh=settings.database_url_now,
            keys=settings.key_ring,
        )
        vitals = Vitals()
        self._systems = Systems(lambda s: connect(s, settings.installation), vitals.faults)
        self.services = Services(
            self.database,
            Companies(),
            clock_of(self.database, settings.clock_file),
            settings.key_ring,
            self._systems if connectors is None else connectors,
            vitals,
            open_submissions=settings.open_submissions,
        )
        self._anchors = anchors.Anchors(self.services)
        self._follower = Follower(self.services, self._systems) if connectors is None else None
        self._alarms = Alarms(self.services)
        self._watch = Watch(self.services, settings.manifests, take_in, self._alarms)
        self._client = app.web_client(settings, app.DELIVERY_TIMEOUT, self.services.vitals)
        self._access = AccessLoop(self.services)
        self._messages = MessageLoop(self.services, self._client)
        self._jobs = JobLoop(self.services, self._runners(), self._longest())
        quick = app.web_client(settings, app.LISTENER_TIMEOUT, self.services.vitals)
        self._homes = Homes(self.services, quick)
        drains = {
            "access": self._access.drain,
            "clock": lambda: clock.drain(self.services, self._loops["clock"].begin),
            "messages": self._messages.drain,
            "jobs": self._jobs.drain,
        }
        looks = {"access": self._access.look, "messages": self._messages.look}
        self._loops: dict[str, Loop] = {
            name: Loop(name, drain, vitals, self.services.turns, looks.get(name))
            for name, drain in drains.items()
        }
        self._access.wake = self._loops["access"].wake
        self._messages.wake = self._loops["messages"].wake
        self._jobs.wake = self._loops["jobs"].wake
        self._wakers = {name: loop.wake for name, loop in self._loops.items()} | looks
        self._steps = Steps(self.services)
        self._servers = Servers(vitals.faults)
        self._heart = Loop("heartbeat", self._beat, vitals)
        self._beside = [
            Loop("clocks", self._steps.look, vitals),
            Loop("systems", self._follow, vitals),
            Loop("doors", self._servers.serve, vitals),
        ]
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._links: Links | None = None
        self._crowd: Crowd | None = None
        self._notes = Notes()
        self._told = (InstanceId(0), 0.0, 0)
        self._lock: IO[str] | None = None
        self._listener: Listener | None = None
        self._begun = False  # what is no part of the duty

    def start(self) -> None:
        """Database and loops first, then Slack.

        Raises NotAloneError, NeedsUpgradeError; where no company is known that could go on,
        BadSettingsError, NoAddressError, BadManifestsError.
        """
        sys.setswitchinterval(SWITCH_WITHIN)
        open_files.raise_limit()
        self._build_doors()
        if self.database.file and (why := files.exposed(self.database.file)):
            log.error("others can change the database's files", why=why)
        self._lock = claims.lock_file(self.database)
        self._look_at_what_is_there()
        if not self._knows_somebody() and (missing := self._servers.listen()):
            raise missing[0]
        self._watch.begin()
        self._register()
        if self._follower:
            self._follower.begin()
        self.database.on_commit.append(self._wake)
        if self.database.sessions:
            self._listener = Listener(self.database.sessions, self._wake)
            self._listener.start()
        for loop in (self._heart, *self._loops.values(), *self._beside):
            loop.start()
        self._every(1, self._refresh_homes)
        if self._crowd:
            self._every(LOOK_EVERY, self._look_for_strangers)
        self._scheduler.start()
        if self._links:
            self._links.start()

    def _look_at_what_is_there(self) -> None:
        """Raise what keeps from starting on this database, with these settings."""
        found = schema.current(self.database)
        if self._faults and not (schema.fits(found) and self._knows_somebody()):
            raise BadSettingsError("\n".join(self._faults.values()))
        if not schema.fits(found):
            raise NeedsUpgradeError(found)
        for name, why in self._faults.items():
            self.services.vitals.faults.set(f"settings {name}", why)

    def apply(self) -> None:
        """Have the manifests taken in that are there, whatever was applied before."""
        self._watch.ask()

    def greet(self, say: Callable[[str], None]) -> None:
        """Tell a person what runs, once Slack has said where, or does not."""
        opener = app.opener(self._settings, self.services.vitals)
        greeting.begin(self.services, self._client, opener, say)

    def stop(self) -> bool:
        """No new claims; finish or release what is under way; close. It takes 8 s at most.

        Return whether all was finished; else threads are left that only the end of the process
        ends, and what they had leased is anybody's.
        """
        until = time.monotonic() + STOP_WITHIN

        def left() -> float:
            return max(0.0, until - time.monotonic())

        finished = [*self._close_doors(left)]
        finished.append(self._watch.stop(left() / 4))
        if self._scheduler.running:
            in_time("scheduler", left() / 2, lambda: self._scheduler.shutdown(wait=False))
        if self._listener:
            self._listener.stop(left() / 2)
        running = [loop for loop in (*self._loops.values(), *self._beside) if loop.alive]
        for loop in running:
            loop.end()
        finished += [loop.join(left() / 2) for loop in running]
        finished += [in_time("settle", left() + AFTER_THAT, lambda: self._settle(left))]
        if self._heart.alive:  # leases hold until here
            self._heart.end()
            finished += [self._heart.join(left() / 2)]
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
        yield self._servers.stop(lambda: left() / 2)
        if self._links:
            yield self._links.stop(left() / 2)

    def _close_connectors(self) -> bool:
        """Return whether all are closed; one that hangs is left behind."""
        connectors = [connected.connector for connected in self.services.connected.values()]
        closing = Pool(max(1, len(connectors)), "closing")
        for connector in connectors:
            closing.submit(connector.close)
        return closing.stop(CLOSE_WITHIN, finish=True)

    def _wake(self, topics: set[str]) -> None:
        for topic in topics & self._wakers.keys():
            self.services.turns.after_the_answer(self._wakers[topic])

    def _settle(self, left: Callable[[], float]) -> bool:
        """Store what came of what was under way."""
        stopped = [loop.stop(left()) for loop in (self._access, self._messages, self._jobs)]
        return all(stopped)

    def _leave(self) -> None:
        if in_time("leave", AFTER_THAT, self._give_back):
            in_time("anchor", AFTER_THAT / 2, self._note_anchor)
        else:
            log.warning("stopped without the database: leases last until they are found dead")

    def _give_back(self) -> None:
        with self.database.write(urgent=True) as tx:
            claims.leave(tx, self.services.instance)

    def _note_anchor(self) -> None:
        self._anchors.note()

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

    def _register(self) -> None:
        begun = self.services.pulse.begin()
        with self.database.write(urgent=True) as tx:
            self.database.instance = claims.register(tx, links=LINKS if self._links else 0)
        self.services.pulse.beaten(begun)

    def _beat(self) -> None:
        """Say that this process lives. Raises what `storage.database.AWAY` lists."""
        begun = self.services.pulse.begin()
        reading = None
        try:
            with self.database.write(urgent=True) as tx:
                reading = claims.beat(tx, self.services.instance)
        except AWAY as fault:
            # Somebody holds its row locked. Its leases last for a little; then it takes another.
            if not is_locked(fault) or self.services.pulse.steady:
                raise
        if reading:
            self.services.pulse.beaten(begun)
            self._steps.hear(reading)
        else:
            log.error("thought dead by the others; registering anew")
            self._register()
        self.services.vitals.database.good()

    def _look_for_strangers(self) -> None:
        """Keep for `doctor`, which opens no link, how many sockets others hold, and since when."""
        if self._crowd is None:
            return
        with suppress(*AWAY):
            with self.database.read() as session:
                sockets = claims.sockets(session)
            at = self._crowd.look(sockets.explained, sockets.age)
            if at is None:
                return
            told = self.services.instance, at, self._crowd.strangers
            if told != self._told:
                with self.database.write(urgent=True) as tx:
                    age = time.monotonic() - at
                    claims.tell_strangers(tx, self.services.instance, self._crowd.strangers, age)
            self._told = told

    def _refresh_homes(self) -> None:
        try:
            self._homes.refresh()
        except AWAY as fault:
            self.services.vitals.database.bad(type(fault).__name__)

    def _stored(self) -> list[Connection]:
        with self.database.read() as session:
            return servers.connections(session)

    def _knows_somebody(self) -> bool:
        return bool(self.services.company().directory.people)

    def _follow(self) -> None:
        if not self._begun:
            self._begin_beside()
            self._begun = True
        self._watch.check()
        if self._faults:
            self._alarms.tell("settings", in_lines(SETTINGS, [*self._faults.values()]))
        if missed := self._servers.missed(MISSED_FOR):
            self._alarms.tell("addresses", in_lines(ADDRESSES, missed))
        if self._follower:
            self._follower.follow()

    def _begin_beside(self) -> None:
        """Begin what may have to wait for rows that others hold locked: the duty does not."""
        self._plan_jobs()
        for said in unknown(references(self._stored())):
            log.warning("a variable that nothing reads", said=said)
        self._anchors.note()

    def _plan_jobs(self) -> None:
        now = self.services.clock.now()
        plan_jobs(self.services, self.services.connected)

        def change(tx: Write, _: object) -> None:
            jobs.reschedule(tx, JobKind.SLACK_PEOPLE, "", now)
            jobs.schedule(tx, JobKind.ANCHOR, "", now + anchors.EVERY)
            jobs.reschedule(tx, JobKind.SWEEP, "", now)

        self.services.write(change)

    def _runners(self) -> Mapping[JobKind, Runner]:
        return {
            JobKind.DISCOVER: self._discover,
            JobKind.RECONCILE: self._reconcile,
            JobKind.RECONCILE_ACCOUNT: lambda job: reconcile.reconcile_account(
                self.services, self._access, job
            ),
            JobKind.SLACK_PEOPLE: self._read_people,
            JobKind.FORGET_SECRET: lambda job: forget_secret(self.services, job),
            JobKind.ANCHOR: self._anchors.tell,
            JobKind.SWEEP: self._sweep,
        }

    def _longest(self) -> Mapping[JobKind, timedelta]:
        """Return for how long each kind of job is put off at the most."""
        return {
            JobKind.DISCOVER: timedelta(minutes=self._settings.discover_minutes),
            JobKind.RECONCILE: timedelta(minutes=self._settings.reconcile_minutes),
            JobKind.RECONCILE_ACCOUNT: reconcile.SOON,
            JobKind.SLACK_PEOPLE: roster.EVERY,
            JobKind.FORGET_SECRET: SHOWN_FOR,
            JobKind.ANCHOR: anchors.EVERY,
            JobKind.SWEEP: SWEEP_EVERY,
        }

    def _read_people(self, job: Job) -> timedelta:
        again = roster.read_on(self.services, self._client, job)
        if again == roster.EVERY:  # all were read
            self._notes.people(self.services)
        return again

    def _discover(self, job: Job) -> timedelta:
        if IntegrationId(job.subject) in self.services.connected:
            discover.discover(self.services, IntegrationId(job.subject))
            self._notes.targets(self.services, IntegrationId(job.subject))
        return timedelta(minutes=self._settings.discover_minutes)

    def _reconcile(self, job: Job) -> timedelta:
        if IntegrationId(job.subject) in self.services.connected:
            reconcile.reconcile(self.services, self._access, IntegrationId(job.subject))
        return timedelta(minutes=self._settings.reconcile_minutes)

    def _sweep(self, _job: Job) -> timedelta:
        services, now = self.services, self.services.clock.now()
        services.transaction(claims.forget_dead)
        with self.database.read() as session:
            found = asleep(session, services.companies.current(session), now)
        if found:
            log.error("requests slept past their moment", requests=[code_of(id_) for id_ in found])
            services.transaction(lambda tx: rouse(tx, found, now))
        return SWEEP_EVERY

    def _build_doors(self) -> None:
        """Make what people come in by."""
        settings, services = self._settings, self.services
        bolt = app.build(settings, services, self._homes)
        if settings.slack_app_token:
            self._links = app.links(bolt, settings, services)
            self._crowd = Crowd(self._links, services.vitals)
        links = self._links
        duty = {**self._loops, self._heart.name: self._heart}
        posted = self._http and settings.listen and settings.slack_signing_secret
        events = Events(bolt, settings.signing_secret_now, services.turns) if posted else None
        live = (lambda: links.live if links else 0) if links or not events else None
        door = self._servers
        health = Health(
            services, duty, live, lambda: door.listening("LATCHKEY_HTTP"), services.vitals.faults
        )
        if settings.listen or settings.listen_for_probes:
            services.vitals.registry.register(Stored(services))
        if settings.listen:
            public = site(health, events)
            self._servers.add("LATCHKEY_HTTP", public, settings.listen)
        if settings.listen_for_probes:
            self._servers.add("LATCHKEY_PROBES", probes(health), settings.listen_for_probes)
