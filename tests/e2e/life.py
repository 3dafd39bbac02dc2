"""One whole life of a request, told step by step, so that something can happen at each step."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import select
from sqlmodel import col

from bot.sandbox.client import NotPossible, Person
from bot.sandbox.postgres import Cluster
from engine.request import AccessRequest, State
from storage import audit
from storage.tables import MessageRow
from tests.support.postgres import drop_database, fresh_database
from tests.support.proxy import Proxy
from tests.support.story import CUSTOMERS, NotSeenError, Story, story

STEPS = ("ask", "approve", "offer", "extend", "end")


class Life:
    """The steps can be taken again after a crash: each does what its person would do again."""

    def __init__(self, told: Story, asks: Person, approver: Person) -> None:
        self.told, self.asks, self.approver = told, asks, approver
        self.code = ""
        self.until = 0.0

    def take(self, step: str) -> None:
        """Take a step; the bot may die under it, and then the person sees that it did not work."""
        with suppress(NotSeenError, NotPossible, TimeoutError):
            getattr(self, step)()

    def take_again(self, step: str) -> None:
        """Do again what had no effect, as its person would on seeing so."""
        undone = {
            "ask": lambda: not self._find(),
            "approve": lambda: self.request.state is State.PENDING,
            "extend": lambda: self.request.extensions_used == 0,
        }
        if undone.get(step, lambda: False)():
            for who in (self.asks, self.approver):
                while who.views():
                    who.view().close(everything=True)
            getattr(self, step)()

    def _find(self) -> str:
        mine = [r for r in self.told.desk.requests(live=True) if r.requestor == self._person()]
        self.code = mine[0].code if mine else ""
        return self.code

    def _person(self) -> str:
        return self.asks.email.partition("@")[0]

    @property
    def request(self) -> AccessRequest:
        return self.told.request(self.code)

    def ask(self) -> None:
        self.code = self.told.ask(self.asks, path=CUSTOMERS).code

    def asked(self) -> None:
        self.told.card(self.asks, self.code, "Waiting")
        self.told.card(self.approver, self.code, button="approve")

    def approve(self) -> None:
        self.told.decide(self.approver, self.code)

    def approved(self) -> None:
        self.told.wait(self.code, State.ACTIVE)
        self.told.card(self.asks, self.code, "active", button="extend")
        self.told.card(self.approver, self.code, "approved", without="approve")

    def offer(self) -> None:
        self.told.house.sandbox.advance(self._left() - 5 * 60)

    def offered(self) -> None:
        self.told.card(self.asks, self.code, "ends soon", button="extend")

    def extend(self) -> None:
        self.told.press(self.asks, self.code, "extend", "ends soon")

    def extended(self) -> None:
        self.told.until(
            lambda: self.request.extensions_used == 1,
            "the extension",
            lambda: self.told.desk.history(self.request),
        )
        self.told.until(lambda: self.request.end_before is None, "the system took it")
        self.told.card(self.asks, self.code, "active", button="extend")

    def end(self) -> None:
        self.told.house.sandbox.advance(self._left() + 1)

    def ended(self) -> None:
        self.told.wait(self.code, State.EXPIRED)
        self.told.card(self.asks, self.code, "Access has ended", button="request_again")

    def _left(self) -> float:
        ends = self.request.ends_at
        assert ends is not None
        return (ends - self.told.desk.clock.now()).total_seconds()

    # --- what must be true after it, whatever happened on the way ----------------------------

    def check(self) -> None:
        told, code = self.told, self.code
        history = [line.action for line in told.desk.history(self.request)]
        for once in ("submitted", "approved", "granted", "extended", "revoking", "expired"):
            assert history.count(once) == 1, history
        login = self._login()
        assert not {p for p in told.privileges() if p[0] == login}
        assert told.sessions(login) == 0
        told.until(lambda: not self._unsent(), "every message is sent", self._unsent)
        for who, at_last in ((self.asks, "Access has ended"), (self.approver, "Request approved")):
            cards = [m.text.splitlines()[0] for m in who.messages() if code in m.text]
            *earlier, live = cards
            assert at_last in live, cards
            assert all("its card is further down" in line for line in earlier), cards
            assert len(set(cards)) == len(cards), cards  # nothing is noticed twice
        self.chain()

    def chain(self) -> None:
        with self.told.desk.database.read() as session:
            assert not list(audit.AuditReading(session).findings())

    def _unsent(self) -> list[str]:
        query = select(MessageRow).where(col(MessageRow.shown) < col(MessageRow.wanted))
        with self.told.desk.database.read() as session:
            return [f"{m.kind} to {m.recipient}" for m in session.execute(query).scalars()]

    def _login(self) -> str:
        with psycopg.connect(self.told.house.cluster.superuser_dsn()) as connection:
            row = connection.execute(
                "select rolname from pg_roles where rolname like %s",
                (f"lk\\_{self._person()}\\_%",),
            ).fetchone()
        return row[0] if row else ""


@contextmanager
def stallable(cluster: Cluster, kind: str) -> Iterator[tuple[Story, Proxy]]:
    """Open a house whose system can be stalled; the bot's own database is of this kind."""
    url = fresh_database(cluster) if kind == "postgresql" else None
    with Proxy(cluster.host, cluster.port) as proxy:
        dsn = make_conninfo(cluster.latchkey_dsn(), host=proxy.host, port=proxy.port)
        with story(cluster, dsn=dsn, database=url) as told:
            yield told, proxy
            told.clear()
    if url:
        drop_database(cluster, url)
