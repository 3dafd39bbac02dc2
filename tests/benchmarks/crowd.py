"""50 people at once: 25 ask, as fast as they can, and 25 approve, with all loops at work.

The bot is a process of its own, with its links to the sandbox and a real PostgreSQL to protect.
People fill in the form field by field, and press the buttons of their cards. Nobody asks again for
a table before the access to it that they asked for is there: the loops have to keep up. What is
counted are commands, clicks, searches and submissions that were acknowledged; anything else is an
error.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bot import settings
from bot.sandbox.house import COMPANY, House
from bot.sandbox.postgres import Cluster
from bot.usecases.console import opened
from tests.benchmarks.report import Row, p99
from tests.benchmarks.start import memory, resident
from tests.support.postgres import drop_database, fresh_database
from tests.support.story import Story, ready

PAIRS, SECONDS, WARM_UP = 25, 12.0, 3.0
PATIENCE = 20.0  # seconds until a card has to be there
AT_LEAST, AT_MOST = 100.0, 1000.0  # interactions a second, milliseconds
TABLES = (
    "orders/shop/customers",
    "orders/shop/orders",
    "orders/shop/events",
    "orders/shop/revenue_by_month",
    "orders/shop/best_customers",
    "orders/warehouse/stock",
    "orders/warehouse/deliveries",
)

Json = dict[str, Any]


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    for kind in ("sqlite", "postgresql"):
        url = f"sqlite:///{folder}/crowd.db" if kind == "sqlite" else fresh_database(cluster)
        with living(folder / kind, cluster, url) as (house, crowd):
            megabytes = resident(house.bot.pid)
        if kind == "postgresql":
            drop_database(cluster, url)
        rate, longest = len(crowd.taken) / SECONDS, max(crowd.taken, default=float("inf"))
        yield Row(
            f"{2 * PAIRS} people at once, {kind}",
            f"{rate:.0f} interactions a second; longest acknowledgement {longest:.0f} ms",
            f"median {statistics.median(crowd.taken):.1f} ms, p99 {p99(crowd.taken):.0f} ms; "
            f"{crowd.approved / SECONDS:.1f} approvals a second; {len(crowd.errors)} errors "
            f"{'; '.join(crowd.errors[:2])}",
            f"≥ {AT_LEAST:.0f} a second, ≤ {AT_MOST:.0f} ms, no error",
            rate >= AT_LEAST and longest <= AT_MOST and not crowd.errors,
        )
        yield memory(f"memory after {2 * PAIRS} people, {kind}", megabytes)


@contextmanager
def living(folder: Path, cluster: Cluster, url: str) -> Iterator[tuple[House, "Crowd"]]:
    """Yield a house in which a crowd has lived, before it is closed."""
    place = company(folder.with_name(f"company-{folder.name}"))
    with House(folder, company=place, cluster=cluster, rate_factor=0, database=url) as house:
        house.bot.start()
        with opened(settings.load(**house.bot.settings)) as desk:
            told = Story(house, desk)
            ready(told)
            told.wait_offer(house.sandbox.person(f"asks{PAIRS}@big.example"))
        crowd = Crowd(house.sandbox.url)
        asyncio.run(crowd.live())
        lines = house.bot.log.splitlines()
        crowd.errors += [line[:150] for line in lines if '"level": "error"' in line]
        yield house, crowd


def company(folder: Path) -> Path:
    """Write a company of pairs: who asks, and the manager who approves."""
    folder.mkdir()
    systems = (COMPANY / "integrations.yaml").read_text()
    owned = "    owner: DBA\n"  # a group that these people have not
    (folder / "integrations.yaml").write_text(systems.replace(owned, ""))
    copytree(COMPANY / "inventory", folder / "inventory")
    names = [f"{role}{n}" for n in range(PAIRS + 10) for role in ("asks", "decides")]
    people = [
        {
            "id": name,
            "email": f"{name}@big.example",
            "name": name.title(),
            "groups": ["all"],
            "manager": f"{name.replace('asks', 'decides')}@big.example",
        }
        for name in names
    ]
    for person in people[1::2]:
        del person["manager"]
    flow = {
        "name": "Reading",
        "requestors": {"group": "All"},
        "targets": [{"integration": "orders-db", "permissions": ["read"]}],
        "grant_for": "1 h",
        "approval": {"any_of": [{"name": "The manager", "people": {"manager": None}}]},
    }
    users = [
        {"id": f"U{n:05}", "name": p["id"], "real_name": p["name"], "email": p["email"]}
        for n, p in enumerate(people)
    ]
    # JSON is YAML.
    documents = {
        "people": {"source": "file", "groups": {"all": "All"}, "people": people},
        "flows": {"flows": [flow]},
        "company": {"admins": {"user": [people[-1]["email"]]}},
        "workspace": {"team": {"id": "T0BIG", "name": "Big", "domain": "big"}, "users": users},
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document, indent=1))
    return folder


@dataclass
class Crowd:
    """`taken` are the milliseconds of each acknowledgement, once all are warm."""

    url: str
    taken: list[float] = field(default_factory=list[float])
    errors: list[str] = field(default_factory=list[str])
    approved: int = 0
    over: bool = False
    since: float = 0.0

    async def live(self) -> None:
        everybody = [asyncio.create_task(self.pair(n)) for n in range(PAIRS)]
        await asyncio.sleep(WARM_UP)
        self.since = time.monotonic()
        await asyncio.sleep(SECONDS)
        self.over = True
        for ended in await asyncio.gather(*everybody, return_exceptions=True):
            if isinstance(ended, BaseException):
                self.errors.append(repr(ended)[:100])

    async def pair(self, number: int) -> None:
        """The one goes on asking while the other approves."""
        asked = asyncio.Queue[str](maxsize=2)
        async with (
            await Screen.of(self, f"asks{number}") as asker,
            await Screen.of(self, f"decides{number}") as decider,
            asyncio.TaskGroup() as both,
        ):
            both.create_task(self.ask(asker, number, asked))
            both.create_task(self.decide(decider, asked))

    async def ask(self, screen: "Screen", number: int, asked: asyncio.Queue[str]) -> None:
        last = dict[str, str]()  # what was asked for each table
        for turn in range(number, 100_000):
            table, mark = TABLES[turn % len(TABLES)], f"INC-{number}-{turn}."
            if table in last:
                await screen.card(last[table], saying="Access is active")
            if self.over:
                break
            last[table] = mark
            await screen.act("command", command="/access", text="request")
            form = await screen.top()
            offered = await screen.act("options", view_id=form, action_id="resource", query=table)
            value = next(o["value"] for o in offered["options"] if o["text"]["text"] == table)
            await screen.act("enter", view_id=form, action_id="resource", value=value)
            await screen.type(view_id=form, action_id="justification", value=mark)
            if (await screen.act("submit", view_id=form))["action"] == "close":
                await asked.put(mark)
            else:
                await screen.type("close", view_id=form)
        await asked.put("")

    async def decide(self, screen: "Screen", asked: asyncio.Queue[str]) -> None:
        while mark := await asked.get():
            card = await screen.card(mark)
            place = {"ts": card["raw"]["ts"], "channel": card["raw"]["channel"]}
            await screen.act("click", target="approve", value=None, block_id=None, **place)
            await screen.act("submit", view_id=await screen.top())
            self.approved += bool(self.since) and not self.over

    def took(self, what: str, answer: Json) -> None:
        failed = answer.get("error") or answer.get("failed") or answer.get("errors")
        if failed or answer["seconds"] is None or answer.get("action", "close") != "close":
            self.errors.append(f"{what}: {answer}"[:150])
        elif self.since and not self.over:
            self.taken.append(answer["seconds"] * 1000)


@dataclass
class Screen:
    """What one person sees and does, over one connection that stays open."""

    crowd: Crowd
    base: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: int = -1
    cards: dict[str, Json] = field(default_factory=dict[str, Json])

    @classmethod
    async def of(cls, crowd: Crowd, name: str) -> "Screen":
        address = urlsplit(crowd.url)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port, limit=1 << 24
        )
        screen = cls(crowd, "", reader, writer)
        known = await screen.call("GET", f"/sandbox/people/{quote(f'{name}@big.example')}")
        screen.base = f"/sandbox/people/{known['value']['id']}"
        return screen

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def act(self, what: str, **said: Any) -> Json:
        """Do what the app is asked about, and note how it went."""
        answer = await self.type(what, **said)
        self.crowd.took(what, answer)
        return answer

    async def type(self, what: str = "enter", **said: Any) -> Json:
        answer: Json = (await self.call("POST", f"{self.base}/{what}", said))["value"]
        return answer

    async def top(self) -> str:
        """Return the view that lies on top."""
        got = await self.call("GET", f"{self.base}/views")
        return str(got["value"][-1]["raw"]["id"])

    async def card(self, mark: str, *, saying: str = "") -> Json:
        """Wait for the card with this mark, until it says that."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            for card in reversed(self.cards.values()):
                if mark in card["text"] and saying in card["text"]:
                    return card
            got = await self.call("GET", f"{self.base}/messages?since={self.seen}&wait=5")
            self.cards |= {card["raw"]["ts"]: card for card in got["value"]}
            self.seen = got["changes"]
        raise TimeoutError(f"no card says {mark} {saying}")

    async def call(self, method: str, path: str, said: Json | None = None) -> Json:
        body = json.dumps(said).encode() if said is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nhost: {urlsplit(self.crowd.url).netloc}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        answered = await self.reader.readuntil(b"\r\n\r\n")
        lines = answered.decode().lower().splitlines()
        length = next(int(n.partition(":")[2]) for n in lines if n.startswith("content-length"))
        got: Json = json.loads(await self.reader.readexactly(length))
        if "refused" in got:
            raise RuntimeError(f"{path}: {got['refused']}")
        return got
