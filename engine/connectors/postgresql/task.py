"""What one `apply` knows, and has found so far: its work on the login and its visits share it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from engine.connectors.postgresql.server import Server
from engine.connectors.postgresql.sessions import Connection
from engine.connectors.postgresql.trace import unpacked
from engine.port import Order, Outcome, Target

__all__ = ["Task"]

T = TypeVar("T")


class Task:
    """`main` is the session that holds the lock on the login, while it is `alone`."""

    def __init__(self, server: Server, main: Connection, order: Order) -> None:
        self.server = server
        self.main = main
        self.order = order
        self.me = main.info.user
        self.outcomes: dict[Target, Outcome] = {}
        self.notes: list[str] = []
        self.alone = True
        self.trace = unpacked(main.server, order.login.trace)

    def insist(self, connection: Connection, work: Callable[[], T], *, firmly: bool = True) -> T:
        """Firmly for an end: a session is worth less than that, not than a grant."""
        return self.server.insist(connection, work, firmly=firmly)

    def settle(self, targets: Iterable[Target], outcome: Outcome) -> None:
        """Say the same of all of these."""
        self.outcomes |= dict.fromkeys(targets, outcome)
