"""Latchkey as a running program: opens everything, runs the loops, keeps its links to Slack."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import IO, Any

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk.errors import SlackClientError

from bot import app, delivery, loops, manifests
from bot.clock import Clock, MovedClock, SystemClock
from bot.connected import connect, integration
from bot.delivery import MessageLoop
from bot.loops import AccessLoop, Loop
from bot.manifests import Manifests
from bot.services import Connected, Services
from bot.settings import Settings
from bot.usecases import identity
from engine.connectors.port import Unavailable
from engine.inventory import IntegrationId
from storage import claims, jobs, schema, sync
from storage.company import Companies
from storage.database import Database
from storage.jobs import Job, JobKind
from storage.notices import Listener

SECOND_LINK_AFTER = 60  # seconds: two links are never renewed together
TIE_EVERY = timedelta(hours=1)
SWEEP_EVERY = timedelta(hours=1)

log = structlog.get_logger()


class NeedsUpgradeError(Exception):
    """The database's schema is not this program's. Run `latchkey db upgrade`."""


def clock(settings: Settings) -> Clock:
    return MovedClock(settings.clock_file) if settings.clock_file else SystemClock()


def open_services(
    settings: Settings,
    database: Database,
    listed: Manifests,
    connectors: Mapping[IntegrationId, Connected] | None = None,
) -> Services:
    """Return what use cases work with. Raises BadReferenceError for a missing secret."""
    connected = connectors or {
        IntegrationId(m.id): connect(
            integration(m.id, m.name, m.kind), m.settings, settings.installation
        )
        for m in listed.integrations
    }
    return Services(database, Companies(), clock(settings), settings.key_ring, connected)


def take_in(services: Services, listed: Manifests) -> None:
    """Store what the manifests say: people, admins, integrations, flows."""
    now = services.clock.now()

    def change(tx: Any, _: object) -> None:  # noqa: ANN401
        sync.people(tx, listed.people, listed.groups, now)
        sync.administrators(tx, listed.admins, now)
        sync.integrations(tx, [(m.id, m.name, m.kind, m.settings) for m in listed.integrations])
        sync.flows(tx, [(f.revision, f.active) for f in listed.flows], now)

    services.write(change)


class Program:
    """Start it, and stop it within 10 s. Access ends on time while Slack is down."""

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[IntegrationId, Connected] | None = None,
    ) -> None:
        """`connectors`: instead of those that the manifests name."""
        self._settings = settings
        self._listed = manifests.load(settings.manifests)
        self.database = Database(settings.database_url)
        self.services = open_services(settings, self.database, self._listed, connectors)
        self._client = app.client(settings, app.DELIVERY_TIMEOUT)
        self._access = AccessLoop(self.services)
        self._messages = MessageLoop(self.services, self._client)
        self._loops = {
            "access": Loop("access", self._access.drain),
            "clock": Loop("clock", lambda: loops.drain_clock(self.services)),
            "messages": Loop("messages", self._messages.drain),
            "jobs": Loop("jobs", lambda: loops.drain_jobs(self.services, self._runners())),
        }
        self._messages.wake = self._loops["messages"].wake
        self._wakers = {name: loop.wake for name, loop in self._loops.items()}
        self._wakers["messages"] = self._messages.look
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._links: list[SocketModeHandler] = []
        self._lock: IO[str] | None = None
        self._listener: Listener | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Database and loops first, then Slack. Raises NotAloneError, NeedsUpgradeError."""
        self._lock = claims.lock_file(self.database)
        if schema.current(self.database) != schema.newest():
            raise NeedsUpgradeError
        take_in(self.services, self._listed)
        self._register()
        self._plan_jobs()
        self.database.on_commit.append(self._wake)
        if not self.database.sqlite:
            self._listener = Listener(self._settings.database_url, self._wake)
            self._listener.start()
        for name, loop in self._loops.items():
            loop.start()
            self._every_second(self._wakers[name])
        self._every_second(self._beat)
        self._scheduler.start()
        self._connect()

    def stop(self) -> None:
        """No new claims; finish or release what is under way; close."""
        self._stopping.set()
        for handler in self._links:
            with suppress(Exception):
                handler.close()  # type: ignore[no-untyped-call]  # Bolt's
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._listener:
            self._listener.stop()
        for loop in self._loops.values():
            loop.stop()
        self._access.stop()
        self._messages.stop()
        if self.database.instance:
            with self.database.write() as tx:
                claims.leave(tx, self.services.instance)
        for connected in self.services.connected.values():
            connected.connector.close()
        self.database.close()
        if self._lock:
            self._lock.close()

    def _wake(self, topics: set[str]) -> None:
        for topic in topics & self._wakers.keys():
            self._wakers[topic]()

    def _every_second(self, run: Callable[[], None]) -> None:
        self._scheduler.add_job(
            run, "interval", seconds=1, coalesce=True, max_instances=1, misfire_grace_time=None
        )

    def _register(self) -> None:
        with self.database.write() as tx:
            self.database.instance = claims.register(tx)

    def _beat(self) -> None:
        with self.database.write() as tx:
            alive = claims.beat(tx, self.services.instance)
        if not alive:
            log.error("thought dead by the others; registering anew")
            self._register()

    def _plan_jobs(self) -> None:
        now = self.services.clock.now()

        def change(tx: Any, _: object) -> None:  # noqa: ANN401
            for id_ in self.services.connected:
                jobs.reschedule(tx, JobKind.DISCOVER, id_, now)
            jobs.reschedule(tx, JobKind.SLACK_PEOPLE, "", now)
            jobs.schedule(tx, JobKind.SWEEP, "", now)

        self.services.write(change)

    def _runners(self) -> Mapping[JobKind, loops.Runner]:
        return {
            JobKind.DISCOVER: self._discover,
            JobKind.SLACK_PEOPLE: self._tie,
            JobKind.FORGET_SECRET: lambda job: loops.forget_secret(self.services, job),
            JobKind.SWEEP: self._sweep,
        }

    def _discover(self, job: Job) -> timedelta:
        if IntegrationId(job.subject) in self.services.connected:
            loops.discover(self.services, IntegrationId(job.subject))
        return timedelta(minutes=self._settings.discover_minutes)

    def _tie(self, _job: Job) -> timedelta:
        try:
            found = list(delivery.profiles(self._client))
        except (SlackClientError, OSError) as fault:
            raise Unavailable(f"Slack's people cannot be read: {type(fault).__name__}") from None
        tied = identity.tie_all(self.services, found)
        log.info("slack accounts tied", new=tied)
        return TIE_EVERY

    def _sweep(self, _job: Job) -> timedelta:
        with self.database.write() as tx:
            claims.forget_dead(tx)
        return SWEEP_EVERY

    def _connect(self) -> None:
        """Open the links in the background, and keep on trying: Slack may be down."""
        bolt = app.build(self._settings, self.services)
        for number in range(2):
            threading.Thread(
                target=self._open_link,
                args=(bolt, number * SECOND_LINK_AFTER),
                name=f"link-{number}",
                daemon=True,
            ).start()

    def _open_link(self, bolt: Any, after: float) -> None:  # noqa: ANN401
        if self._stopping.wait(after):
            return
        handler = app.link(bolt, self._settings)
        self._links.append(handler)
        while not self._stopping.is_set():
            try:
                handler.connect()  # type: ignore[no-untyped-call]  # Bolt's
            except (SlackClientError, OSError) as fault:
                log.warning("slack cannot be reached", why=type(fault).__name__)
                self._stopping.wait(2)
            else:
                log.info("linked to slack")
                return
