"""The house that chaos is let loose in: Slack, the protected PostgreSQL, one to three bots."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import DBAPIError

from bot import settings
from bot.sandbox.house import COMPANY, Bot, House
from bot.sandbox.postgres import Cluster
from bot.usecases.console import opened
from storage.database import AWAY
from tests.chaos.plan import Plan
from tests.support import machine
from tests.support.faketime import WallClock
from tests.support.nursery import Forked, Nursery
from tests.support.postgres import fresh_database, own_cluster
from tests.support.proxy import Proxy
from tests.support.story import Story, ready
from tests.support.waiting import looks

HAND_MADE = ("priya", "samleigh")  # whose logins somebody else gives something to
START = 20.0  # seconds that a bot may take to be linked
STOP = 20.0  # seconds that it may take to end when it is asked to, on a machine full of work

ENOUGH = {  # a run in which less happened proves nothing
    "requests taken": 8,
    "approved acknowledged": 2,
    "stops after a pause": 1,
    "starts on faulty files": 1,
    "silent crowds": 1,
    "clock steps": 1,
    "hangs": 1,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Word:
    """What a person was told to have done: the click, or the form, was acknowledged."""

    who: str
    code: str
    action: str  # as the audit names it


@dataclass
class Said:
    """What was acknowledged, and when who was away. Filled by many threads."""

    tried: list[str] = field(default_factory=list)  # marks of forms that were sent
    taken: list[str] = field(default_factory=list)  # those that Slack showed to be taken
    words: list[Word] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # seen on the way, and never right
    counts: Counter[str] = field(default_factory=Counter)
    away: set[str] = field(default_factory=set)  # who was away at some time
    inactive: list[tuple[str, datetime, datetime]] = field(default_factory=list)  # who, between

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def lacking(self) -> list[str]:
        """Return of what there was not enough."""
        return [what for what, times in ENOUGH.items() if self.counts[what] < times]


@dataclass
class World:
    plan: Plan
    told: Story
    proxy: Proxy
    bots: list[Bot]
    company: Path  # the manifests
    wall_clock: WallClock  # of the bots' machine
    files: threading.Lock  # whoever writes in the manifests
    own: Cluster | None  # where Latchkey keeps its state, if that is PostgreSQL
    said: Said = field(default_factory=Said)
    over: threading.Event = field(default_factory=threading.Event)

    def calm(self, read: Callable[[], T], *, patience: float = 20.0) -> T:
        """Read Latchkey's database, which may be restarting."""
        for _ in looks(patience):
            with suppress(*AWAY, DBAPIError, psycopg.Error):
                return read()
        return read()

    def wait(self, seconds: float) -> bool:
        """Let time pass; True: it is all over."""
        return self.over.wait(seconds)

    def wait_links(self, patience: float) -> None:
        """Wait, not for ever, until there is a link for each bot: some may have their second."""
        for _ in looks(patience):
            with suppress(httpx.HTTPError):
                if self.told.house.sandbox.links() >= len(self.bots):
                    return

    def start(self, bot: Bot) -> None:
        bot.start()
        self.said.count("starts")

    def kill(self, bot: Bot) -> None:
        bot.kill()
        self.said.count("kills")

    def see_to(self, bot: Bot) -> None:
        """Start it again if its store was away for as long as a start waits for it.

        An orchestrator does so; that it went away for any other reason is wrong.
        """
        if bot.running:
            return
        status, said = bot.wait(0), bot.log[-1500:]
        if status == 1 and _GAVE_UP in said.strip().rpartition("\n")[2]:
            self.said.count("starts given up")
        else:
            self.said.wrong.append(f"a bot went away by itself, with status {status}: {said}")
        self.start(bot)

    def stop(self, bot: Bot) -> None:
        """Ask it to end, as an orchestrator does."""
        _tell(bot, signal.SIGTERM)
        try:
            status = bot.wait(STOP * machine.factor())
        except subprocess.TimeoutExpired:
            self.said.wrong.append(f"it did not stop in {STOP:.0f} s: {bot.log[-1500:]}")
            bot.kill()
        else:
            early = -signal.SIGTERM  # while it was starting, and had nothing to finish
            if status not in {0, early}:
                self.said.wrong.append(f"it stopped with status {status}: {bot.log[-1500:]}")
        self.said.count("stops")

    def wake_and_stop(self, bot: Bot) -> None:
        """Stop the process where it stands; as soon as it goes on, ask it to end."""
        _tell(bot, signal.SIGSTOP)
        time.sleep(0.2)
        _tell(bot, signal.SIGCONT)
        self.stop(bot)
        self.said.count("stops after a pause")

    @contextmanager
    def faulty(self) -> Iterator[None]:
        """Let the company's files be faulty for a while."""
        flows = self.company / "flows.yaml"
        with self.files:
            whole = flows.read_text()
            flows.write_text(whole.replace("requestors:", "requesters:", 1))
            try:
                yield
            finally:
                flows.write_text(whole)
        self.said.count("starts on faulty files")

    def pause(self, bot: Bot, seconds: float) -> None:
        """Stop the process where it stands, for longer than its leases hold."""
        _tell(bot, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            _tell(bot, signal.SIGCONT)
        self.said.count("pauses")

    @property
    def door(self) -> tuple[str, int]:
        """Where the first bot listens."""
        parts = urlsplit(self.told.house.url)
        return str(parts.hostname), parts.port or 0

    @property
    def log(self) -> str:
        return "\n".join(bot.log for bot in self.bots)


_GAVE_UP = "cannot be used"


def _tell(bot: Bot, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it went away by itself, which is found, and wrong
        os.kill(bot.pid, number)


@contextmanager
def world(plan: Plan, folder: Path | None = None) -> Iterator[World]:
    """Open it, with everybody known and every bot linked. `folder`: where logs are to stay."""
    with ExitStack() as stack:
        here = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        cluster = stack.enter_context(own_cluster())
        proxy = stack.enter_context(Proxy(cluster.host, cluster.port))
        own, given = None, {}
        if plan.database == "postgresql":
            own = stack.enter_context(own_cluster(seed=False))
            given["database"] = fresh_database(own)
        dsn = make_conninfo(cluster.latchkey_dsn(), host=proxy.host, port=proxy.port)
        company, wall_clock = here / "company", WallClock(here)
        shutil.copytree(COMPANY, company)
        house = stack.enter_context(
            House(here, cluster=cluster, company=company, rate_factor=0, dsn=dsn, **given)
        )
        desk = stack.enter_context(opened(settings.load(**house.bot.settings)))
        told = Story(house, desk)
        nursery = stack.enter_context(closing(Nursery(wall_clock.env)))
        listen = [urlsplit(house.url).netloc, *[None] * (plan.replicas - 1)]
        bots: list[Bot] = [
            Forked(nursery, house.bot.settings, here / f"latchkey-{number}.log", listen=where)
            for number, where in enumerate(listen)
        ]
        house.bot = bots[0]
        for bot in bots:
            stack.callback(bot.stop)
        for bot in bots:  # at once, on an empty database
            bot.start()
        ready(told)
        made = World(plan, told, proxy, bots, company, wall_clock, threading.Lock(), own)
        made.wait_links(START)
        stack.callback(made.over.set)
        yield made
