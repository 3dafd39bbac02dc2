"""Builds the program from settings: which parts there are, and what each works with.

Nothing begins here, and nobody is called. `bot.program` starts what was built, and stops it.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from slack_bolt import App

from bot.listeners import app
from bot.loops import clock as clock_loop
from bot.loops.access import AccessLoop
from bot.loops.app_home import Homes
from bot.loops.clock_steps import Steps
from bot.loops.follow import SystemsFollower
from bot.loops.heartbeat import Heart
from bot.loops.holders import Holders
from bot.loops.jobs import JobLoop
from bot.loops.loop import Loop
from bot.loops.messages import MessageLoop
from bot.loops.schedule import Schedule
from bot.loops.strangers import Strangers
from bot.loops.upkeep import Upkeep
from bot.loops.watch import Watch
from bot.operations.health import Health, Stored
from bot.operations.server import Servers
from bot.operations.site import probes, site
from bot.program import Program
from bot.runtime.clock import Clock, clock_of
from bot.runtime.connectors import Systems, connect
from bot.runtime.metrics import Vitals
from bot.runtime.pool import Pool
from bot.runtime.services import Connected, Services
from bot.settings import Settings
from bot.slack.client import Clients
from bot.slack.http import Events
from bot.slack.socket_mode import LINKS, Links
from bot.slack.strangers import Crowd
from bot.usecases.alarms import Alarms
from bot.usecases.anchors import Anchors
from bot.usecases.reach import Notes
from bot.usecases.search import prepare
from engine.inventory import IntegrationId
from storage.company import Companies
from storage.database import Database

__all__ = ["build"]

PATIENCE = 1.2  # seconds, and again as many: a click is answered before Slack gives it up (3 s)
MISSED_FOR = 60.0  # seconds that nothing can listen; the process before this one may be ending


def build(
    settings: Settings,
    *,
    http: bool = False,
    faults: Mapping[str, str] = MappingProxyType({}),
    clock: Clock | None = None,
    clients: Clients | None = None,
    connectors: Mapping[IntegrationId, Connected] | None = None,
    pool: Callable[[int, str], Pool] = Pool,
) -> Program:
    """Return the program, not yet begun.

    `http`: Slack posts its events. Without it, and beside it where there is a token for it, Socket
    Mode is used. `faults`: what is wrong with the settings beside these, by the name of the
    setting. Instead of what the settings lead to: `clock`, `clients` of Slack, `connectors` of the
    stored systems, and what makes the loops' workers, by their number and name.
    """
    database = Database(
        settings.database_url,
        patience=PATIENCE,
        fresh=settings.database_url_now,
        keys=settings.key_ring,
    )
    vitals = Vitals()
    clients = clients or Clients.of(settings, vitals)
    systems = Systems(lambda s: connect(s, settings.installation, vitals.faults), vitals.faults)
    services = Services(
        database,
        Companies(),
        clock or clock_of(database, settings.clock_file),
        settings.key_ring,
        systems if connectors is None else connectors,
        vitals,
        open_submissions=settings.open_submissions,
    )
    anchors, alarms = Anchors(services), Alarms(services)
    access = AccessLoop(services, pool)
    messages = MessageLoop(services, clients.delivery, pool)
    jobs = JobLoop(
        services,
        Schedule(
            services,
            access,
            clients.delivery,
            anchors,
            Notes(),
            timedelta(minutes=settings.discover_minutes),
            timedelta(minutes=settings.reconcile_minutes),
        ).kinds(),
        pool,
    )
    loops = _loops(services, access, messages, jobs)
    homes = Homes(services, clients.listening)
    bolt = app.build(services, clients.listening, homes.open)
    links = Links(bolt, clients.opening, services.turns) if clients.opening else None
    steps = Steps(services)
    heart = Heart(services, steps, LINKS if links else 0)
    heartbeat = Loop("heartbeat", heart.beat, vitals)
    duty = {**loops, heartbeat.name: heartbeat}
    servers = _servers(settings, services, bolt, links, duty, http=http)
    follower = SystemsFollower(services, systems) if connectors is None else None
    watch = Watch(services, settings.manifests, alarms)
    upkeep = Upkeep(
        services,
        watch,
        alarms,
        anchors,
        follower,
        faults=faults,
        unread=settings.unread,
        missed=lambda: servers.missed(MISSED_FOR),
    )
    return Program(
        services=services,
        clients=clients,
        app=bolt,
        homes=homes,
        access=access,
        messages=messages,
        jobs=jobs,
        heart=heart,
        anchors=anchors,
        watch=watch,
        upkeep=upkeep,
        servers=servers,
        links=links,
        strangers=Strangers(services, Crowd(links, vitals)) if links else None,
        follower=follower,
        loops=loops,
        heartbeat=heartbeat,
        beside=[
            Loop("clocks", steps.look, vitals),
            Loop("systems", upkeep.look, vitals),
            Loop("search", partial(prepare, services), vitals),
            Loop("doors", servers.serve, vitals),
            *([] if database.sqlite else [Loop("locks", Holders(services, alarms).look, vitals)]),
        ],
        faults=faults,
    )


def _loops(
    services: Services, access: AccessLoop, messages: MessageLoop, jobs: JobLoop
) -> Mapping[str, Loop]:
    """Return the loops by what commits wake them by."""
    vitals, turns = services.vitals, services.turns
    loops: Mapping[str, Loop] = {
        "access": Loop("access", access.drain, vitals, turns, access.look),
        "clock": Loop(
            "clock", lambda: clock_loop.drain(services, loops["clock"].begin), vitals, turns
        ),
        "messages": Loop("messages", messages.drain, vitals, turns, messages.look),
        "jobs": Loop("jobs", jobs.drain, vitals, turns),
    }

    access.wake, messages.wake = loops["access"].wake, loops["messages"].wake
    jobs.wake = loops["jobs"].wake
    return loops


def _servers(
    settings: Settings,
    services: Services,
    bolt: App,
    links: Links | None,
    duty: Mapping[str, Loop],
    *,
    http: bool,
) -> Servers:
    """Return what is served by HTTP, at the addresses that are set."""
    servers = Servers(services.vitals.faults)
    posted = http and settings.listen and settings.slack_signing_secret
    events = Events(bolt, settings.signing_secret_now, services.turns) if posted else None
    live = (lambda: links.live if links else 0) if links or not events else None
    health = Health(
        services,
        duty,
        live,
        lambda: servers.listening("LATCHKEY_HTTP"),
        services.vitals.faults,
        lambda: services.companies.catalogues.looked,
    )
    if settings.listen or settings.listen_for_probes:
        services.vitals.registry.register(Stored(services))
    if settings.listen:
        servers.add("LATCHKEY_HTTP", site(health, events), settings.listen)
    if settings.listen_for_probes:
        servers.add("LATCHKEY_PROBES", probes(health), settings.listen_for_probes)
    return servers
