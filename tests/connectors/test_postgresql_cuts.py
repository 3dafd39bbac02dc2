"""A connection that dies at any statement: the next plain apply comes to the same end."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.server import Server
from engine.connectors.postgresql.sessions import Connection
from engine.port import Login, Order, Presence, Target, Unavailable
from tests.connectors.harness import (
    PostgreSQLHarness,
    known,
    new_login,
    order,
    presences,
    through,
    valid_for,
)
from tests.support.proxy import Proxy, When


@dataclass
class Story:
    """Two targets: what was before, what is ordered, and what must come of it."""

    system: PostgreSQLHarness
    keep: Target
    go: Target

    def before(self) -> Login:
        return new_login()

    def ordered(self, login: Login) -> Order:
        return order(login, self.keep, self.go)

    def check(self, login: Login) -> None:
        self.check_open(login, timedelta(hours=1), go=True)

    def check_open(self, login: Login, remaining: timedelta, *, go: bool) -> None:
        session = self.system.log_in(login)
        assert session
        session.connection.close()
        assert self.system.can(login, self.keep)
        assert self.system.can(login, self.go) is go
        left = valid_for(self.system, login)
        assert left
        assert remaining - timedelta(minutes=1) < left <= remaining


class Extend(Story):
    """One target goes on, one ends."""

    def before(self) -> Login:
        login = new_login()
        self.system.connector.apply(order(login, self.keep, self.go))
        return login

    def ordered(self, login: Login) -> Order:
        return order(known(login), self.keep, end=[self.go], remaining=timedelta(hours=3))

    def check(self, login: Login) -> None:
        self.check_open(login, timedelta(hours=3), go=False)


class End(Extend):
    def before(self) -> Login:
        login = super().before()
        assert self.system.log_in(login)
        return login

    def ordered(self, login: Login) -> Order:
        return order(known(login), end=[self.keep, self.go])

    def check(self, login: Login) -> None:
        assert self.system.left(login) == []
        assert self.system.log_in(login) is None
        query = "select count(*) from pg_stat_activity where usename = %s"
        assert self.system.one(query, login.name) == (0,)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [Story, Extend, End], ids=["grant", "extend", "end"])
def test_cut_at_any_statement_and_applied_again_is_the_same(
    postgresql: PostgreSQLHarness, cluster: Cluster, kind: type[Story], when: When
):
    story = kind(postgresql, postgresql.make(permission="read-write"), postgresql.make())
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster)
        whole = story.before()
        expected = presences(connector.apply(story.ordered(whole)))
        statements = proxy.count
        story.check(whole)

        for n in range(1, statements + 1):
            login = story.before()
            connector.close()  # a cut may come while it connects, too
            proxy.reset()
            proxy.on(n, action="cut", when=when)
            cut = _try(connector, story.ordered(login))
            proxy.reset()
            assert all(p in {Presence.UNKNOWN, expected[t]} for t, p in cut.items()), n

            assert presences(connector.apply(story.ordered(login))) == expected, n
            story.check(login)


@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_at_any_statement_makes_no_finding(
    postgresql: PostgreSQLHarness, cluster: Cluster, when: When
):
    """“Something in the database orders, which cannot be entered” was told of one dead connection.

    Then the fault was raised for good, and an owner who let nobody in hid all that there was.
    """
    mine, theirs, login = postgresql.make(), postgresql.make(), new_login()
    postgresql.connector.apply(order(login, mine, theirs))
    with Proxy(cluster.host, cluster.port) as proxy:
        connector = through(proxy, cluster)
        found = connector.unexplained(known(login), [mine])
        statements = proxy.count
        assert len(found) == 1

        for n in range(1, statements + 1):
            connector.close()
            proxy.reset()
            proxy.on(n, action="cut", when=when)
            with contextlib.suppress(Unavailable):
                assert connector.unexplained(known(login), [mine]) == found, n


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("consuming input failed: server closed the connection unexpectedly", False),
        ("the connection is lost", False),
        ('FATAL:  permission denied for database "orders"', True),
        ("FATAL:  terminating connection\nserver closed the connection unexpectedly", True),
        ("connection timeout expired", True),
    ],
)
def test_cut_each_time_makes_no_finding_and_one_that_the_owner_made_does(
    postgresql: PostgreSQLHarness, monkeypatch: pytest.MonkeyPatch, words: str, *, found: bool
):
    """Where each of two tries was cut off, access was told of that nobody could explain."""
    mine, theirs, login = postgresql.make(), postgresql.make(), new_login()
    postgresql.connector.apply(order(login, mine, theirs))
    beside = Server.beside

    @contextlib.contextmanager
    def shut(server: Server, main: Connection, dbname: str) -> Iterator[Connection]:
        if dbname == "orders":
            raise psycopg.OperationalError(words)
        with beside(server, main, dbname) as connection:
            yield connection

    monkeypatch.setattr(Server, "beside", shut)
    if found:
        (said,) = postgresql.connector.unexplained(known(login), [mine])
        assert "something in the database orders, which cannot be entered" in said
    else:
        with pytest.raises(Unavailable):
            postgresql.connector.unexplained(known(login), [mine])


def _try(connector: PostgreSQL, ordered: Order) -> dict[Target, Presence]:
    try:
        return presences(connector.apply(ordered))
    except Unavailable:
        return {}
