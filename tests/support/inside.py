"""The bot inside the test's own process, its loops driven by hand: its work can be counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event

import manifests
from bot import settings, wiring
from bot.loops.jobs import JobLoop
from bot.program import IN_TURN
from bot.runtime.services import Connected
from bot.sandbox.client import Sandbox
from bot.usecases import plan
from bot.usecases.take_in import take_in
from engine.connectors.memory import Memory
from engine.inventory import Integration, IntegrationId
from engine.port import Discovered
from storage import claims, schema
from storage.database import Database
from storage.secrets import new_key
from tests.support.front import MANY
from tests.support.statements import heard
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
COMPANY = ROOT / "manifests" / "sandbox"
SYSTEM = IntegrationId("orders-db")
TABLE = Discovered(
    "table", "customers", "orders/shop/customers", "t1", {"read": 4, "read-write": 7}
)


class Count:
    """What a database was asked. BEGIN and COMMIT are the transaction; a batch is one statement."""

    transactions = 0
    statements = 0

    def __str__(self) -> str:
        return f"{self.transactions} transactions, {self.statements} statements"


@contextmanager
def counted(database: Database) -> Iterator[Count]:
    count = Count()

    def statement(words, _values):
        count.statements += not words.startswith("BEGIN")

    def begin(_connection):
        count.transactions += 1

    event.listen(database.writer, "begin", begin)
    try:
        with heard(database, statement):
            yield count
    finally:
        event.remove(database.writer, "begin", begin)


class Inside:
    """A program whose loops run when the test says so, until all is quiet."""

    def __init__(self, sandbox: Sandbox, clock: Path, database_url: str) -> None:
        self.sandbox = sandbox
        self.system = Memory([TABLE])
        integration = Integration(SYSTEM, "Production PostgreSQL", "postgresql")
        given = settings.load(
            **sandbox.env(),
            LATCHKEY_DATABASE_URL=database_url,
            LATCHKEY_KEYS=new_key(),
            LATCHKEY_MANIFESTS=str(COMPANY),
            LATCHKEY_CLOCK_FILE=str(clock),
        )
        self.program = wiring.build(given, connectors={SYSTEM: Connected(integration, self.system)})
        self.program.clients.delivery.gate.posts = MANY  # it limits nobody
        self.database = self.program.database
        schema.upgrade(self.database)
        take_in(self.program.services, manifests.load(COMPANY))
        with self.database.write() as tx:  # without a heartbeat: its leases hold for good
            self.database.instance = claims.register(tx)
        plan.everything(self.program.services)
        self.run()
        self.links = self.program.links
        self.links.start()
        sandbox.wait_links(1)

    def close(self) -> None:
        self.program.stop()

    def run(self, *woken: str) -> None:
        """Let the loops of these names run, or all, and those that they wake."""
        self.program.run_until_idle(woken or IN_TURN)

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """Collect what is woken while people act, for `run`."""
        woken: set[str] = set()
        hear = woken.update
        self.database.on_commit.append(hear)
        yield woken
        self.database.on_commit.remove(hear)


def whole_life(inside: Inside) -> dict[str, Count]:
    """Live from pressing Request to the last card, and return what each step cost.

    Of people whom Latchkey has written to before: the first message to each costs one more.
    """
    sandbox, costs = inside.sandbox, dict[str, Count]()
    marta, priya = (sandbox.person(f"{n}@harbourpine.example") for n in ("marta", "priya"))
    marta.command("/access", "request read on orders/shop/customers: INC-0")
    marta.wait_view("Request access").submit()
    inside.run("messages")
    marta.wait_message("INC-0").click("cancel")
    inside.run("messages")
    marta.command("/access", "request read on orders/shop/customers: INC-1")
    form = marta.wait_view("Request access")

    def step(name: str, act: Callable[[], object]) -> None:
        with counted(inside.database) as cost, inside.watched() as woken:
            act()
            inside.program.run_until_idle(woken)
        costs[name] = cost

    def approve() -> None:
        priya.wait_message("Your approval is needed").click("approve")
        assert not priya.wait_view("Approve access").submit().errors

    def time_passes(seconds: float) -> None:
        sandbox.advance(seconds)
        inside.program.loops["clock"].drain()

    step("submit", form.submit)
    step("approve", approve)
    assert marta.wait_message("Access is active")
    step("offer", lambda: time_passes(51 * 60))
    assert marta.wait_message("Access ends soon")
    step("end", lambda: time_passes(60 * 60))
    assert marta.wait_message("Access has ended")
    return costs


def run_jobs(loop: JobLoop) -> None:
    """Run all that is due, and what becomes due by it."""
    loop.drain()
    while loop.wait(PATIENCE):
        loop.drain()
