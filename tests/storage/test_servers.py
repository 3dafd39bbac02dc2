"""Another server under the same address: its numbers mean other things until it is accepted."""

from dataclasses import replace

import pytest

from bot.runtime.services import Connected, Services
from bot.usecases import discover, integrations
from bot.usecases.console import Desk
from engine.account import Done
from engine.commands import Return
from engine.connectors.memory import Memory
from engine.inventory import Integration
from engine.outcome import Card, Refusal
from engine.port import Discovered, Login, Unavailable
from engine.request import State
from storage import facts, servers
from storage.tables import AuditRow, IntegrationRow, MessageRow, ResourceRow
from tests.support.stored import ADA, ALICE, BOB, HOUR, MINUTE, PG, TABLES, Stored

LEDGER = "ledger.entries"


class Rebuilt:
    """The company, whose PostgreSQL is a system that can be rebuilt."""

    def __init__(self, stored: Stored) -> None:
        self.stored, self.system = stored, Memory(TABLES)
        self.system.name = "old"
        stored.systems = {**stored.systems, PG: self.system}
        connected = {PG: Connected(Integration(PG, "Production", "memory"), self.system)}
        self.services = Services(stored.database, stored.companies, self, stored.keys, connected)
        self.desk = Desk(stored.database, stored.companies, self)
        self.discover()

    def now(self):
        return self.stored.now

    def discover(self) -> None:
        discover.discover(self.services, PG)

    def converge(self) -> None:
        """Let the access loop work for a while, however little comes of it."""
        for _ in range(4):
            self.stored.converge()
            self.stored.pass_(MINUTE)

    def prepare(self):
        return integrations.prepare(self.desk, lambda _: self.system, PG)

    def accept(self) -> None:
        integrations.accept(self.desk, self.prepare())

    def state(self) -> str:
        return next(integrations.listed(self.desk, lambda _: self.system)).state

    def holds(self, of=ALICE) -> tuple[str, ...]:
        return self.system.unexplained(Login(self.stored.account(of=of).login, of), [])

    def alarms(self) -> list[str]:
        rows = self.stored.rows(MessageRow)
        return [m.detail for m in rows if m.kind == Card.ALARM and m.key.startswith("server/")]

    def resources(self) -> dict[str, tuple[int, str, str]]:
        return {
            r.path: (r.id, r.source_id, r.status)
            for r in self.stored.rows(ResourceRow)
            if r.integration_id == PG and r.status == "active"
        }


@pytest.fixture
def rebuilt(stored, monkeypatch):
    made = Rebuilt(stored)
    call = Stored.call

    def on_memory(self, work):
        if work.integration != PG:
            return call(self, work)
        return _called(made.system, work)

    monkeypatch.setattr(Stored, "call", on_memory)
    return made


def _called(system, work):
    if work.order is None:
        return Done(work, system.inspect(work.login, list(work.look.values()), given=work.given))
    return Done(work, system.apply(work.order))


def test_first_discovery_stores_which_server_gave_the_numbers(rebuilt, stored):
    (row,) = [r for r in stored.rows(IntegrationRow) if r.id == PG]

    assert row.server == "old"
    assert stored.entitlement("read on shop.orders").integration.server == "old"
    assert rebuilt.state() == "accepted"


def test_nothing_of_another_server_is_taken_in_and_the_admins_are_told_once(rebuilt):
    """Its numbers were taken for the old ones: what was approved by name was given elsewhere."""
    before = rebuilt.resources()
    rebuilt.system.rebuild("new")

    for _ in range(3):
        rebuilt.discover()

    assert rebuilt.resources() == before
    (said,) = rebuilt.alarms()
    assert "another server answers at its address (new)" in said
    assert said.endswith("latchkey integrations accept pg")
    assert "another server answers: new" in rebuilt.state()
    rebuilt.system.rebuild("newer")
    rebuilt.discover()
    assert len(rebuilt.alarms()) == 2


def test_a_server_that_changes_while_it_is_read_is_not_taken_in(rebuilt):
    before, read = rebuilt.resources(), rebuilt.system.discover

    def halfway():
        found = read()
        rebuilt.system.rebuild("new")
        return found

    rebuilt.system.discover = halfway
    with pytest.raises(Unavailable):
        rebuilt.discover()

    assert rebuilt.resources() == before


def test_access_waits_there_and_ends_go_on_until_it_is_accepted(rebuilt, stored):
    running, ending = stored.submit(duration=4 * HOUR), stored.submit("read on shop.customers")
    rebuilt.converge()
    rebuilt.system.rebuild("new")
    waiting = stored.submit("read on shop.orders", by=BOB)
    stored.do(ending, Return(ALICE))

    rebuilt.converge()
    assert stored.again(ending).state is State.RETURNED
    assert stored.again(running).state is State.ACTIVE
    assert stored.again(waiting).state is State.GRANTING
    assert (rebuilt.holds(), rebuilt.holds(BOB)) == (("read on shop.orders",), ())

    ids = {path: id_ for path, (id_, *_) in rebuilt.resources().items()}
    rebuilt.accept()
    assert {path: id_ for path, (id_, *_) in rebuilt.resources().items()} == ids
    rebuilt.converge()

    assert stored.again(running).state is State.ACTIVE
    assert stored.again(waiting).state is State.ACTIVE
    assert (rebuilt.holds(), rebuilt.holds(BOB)) == (("read on shop.orders",),) * 2
    stored.do(running, Return(ALICE))
    rebuilt.converge()
    assert stored.again(running).state is State.RETURNED
    assert rebuilt.holds() == ()
    assert rebuilt.state() == "accepted"
    (entry,) = [a for a in stored.rows(AuditRow) if a.action == "server_accepted"]
    assert entry.body == {"integration": PG, "before": "old", "server": "new"}


def test_numbers_that_changed_places_are_told_apart_by_name(rebuilt, stored):
    """A dump that was restored: the number of one table is another's there."""
    orders, customers = TABLES[0], TABLES[1]
    rebuilt.system.drop(TABLES[2].source_id)
    rebuilt.system.add(replace(orders, source_id=customers.source_id))
    rebuilt.system.add(replace(customers, source_id=orders.source_id))
    rebuilt.system.add(Discovered("table", "fresh", "shop.fresh", TABLES[2].source_id, {"read": 3}))
    rebuilt.system.name = "new"
    before = rebuilt.resources()

    plan = rebuilt.prepare()
    assert (len(plan.numbers), plan.gone, plan.new) == (2, (LEDGER,), ("shop.fresh",))
    integrations.accept(rebuilt.desk, plan)

    after = rebuilt.resources()
    for here, there in ((orders, customers), (customers, orders)):
        assert after[here.path] == (before[here.path][0], there.source_id, "active")
    assert LEDGER not in after
    assert after["shop.fresh"][0] not in {id_ for id_, *_ in before.values()}
    request = stored.submit()
    rebuilt.converge()
    assert rebuilt.holds() == ("read on shop.orders",)
    assert stored.again(request).state is State.ACTIVE
    rebuilt.discover()
    assert rebuilt.resources() == after


def test_of_two_rows_of_one_path_the_one_that_is_there_is_found_again(rebuilt):
    first = rebuilt.resources()[LEDGER][0]
    rebuilt.system.drop(TABLES[2].source_id)
    rebuilt.discover()
    rebuilt.system.add(replace(TABLES[2], source_id="made again"))
    rebuilt.discover()
    second = rebuilt.resources()[LEDGER][0]
    assert second != first
    rebuilt.system.rebuild("new")

    rebuilt.accept()

    assert rebuilt.resources()[LEDGER] == (second, f"new:{LEDGER}", "active")


@pytest.mark.parametrize("dies_after", range(5))
def test_an_acceptance_that_was_cut_short_gives_nothing_and_is_begun_anew(
    rebuilt, stored, monkeypatch, dies_after
):
    monkeypatch.setattr(servers, "AT_ONCE", 2)
    stored.submit(duration=4 * HOUR)
    rebuilt.converge()
    rebuilt.system.rebuild("new")
    with stored.database.read() as session:
        for n, step in enumerate(servers.steps(session, rebuilt.prepare(), ADA, stored.now)):
            if n > dies_after:
                break
            stored.write(lambda tx, _, s=step: s(tx))
    waiting = stored.submit(by=BOB)

    rebuilt.converge()
    rebuilt.discover()
    assert stored.again(waiting).state is State.GRANTING
    assert rebuilt.holds(BOB) == ()
    assert "another server answers: new" in rebuilt.state()

    rebuilt.accept()
    rebuilt.converge()
    assert (rebuilt.holds(), rebuilt.holds(BOB)) == (("read on shop.orders",),) * 2
    sources = {source for _, source, _ in rebuilt.resources().values()}
    assert sources == {f"new:{t.path}" for t in TABLES}


def test_nothing_is_to_be_accepted_of_the_server_that_is_known(rebuilt):
    refusal = rebuilt.prepare()

    assert isinstance(refusal, Refusal)
    assert refusal.sentence == "Production: the server that answers is accepted."


def test_other_processes_know_it_at_once(rebuilt, stored, other):
    other.company()
    assert other.entitlement("read on shop.orders").integration.server == "old"
    rebuilt.system.rebuild("new")

    rebuilt.accept()

    wanted = stored.entitlement("read on shop.orders").id
    with other.database.read() as session:
        company = other.companies.current(session)
        found = facts.entitlements(session, company, [wanted])[wanted]
    assert (found.integration.server, found.resource.source_id) == ("new", "new:shop.orders")
