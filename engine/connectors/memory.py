"""A system that lives in memory, for tests and benchmarks of what uses connectors.

It keeps the same contract as the real ones (tests/connectors holds it to that). Besides the port
it has the other side, what people do in the system by hand, and faults to be had on demand.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from engine.connectors.port import (
    Check,
    Discovered,
    Login,
    Order,
    Outcome,
    Presence,
    Report,
    Target,
    Unavailable,
)

__all__ = ["Memory", "Session"]

_HELD = Outcome(Presence.HELD)
_ABSENT = Outcome(Presence.ABSENT)


@dataclass(eq=False, slots=True)
class Session:
    """Somebody who logged in. It lives until the system ends it."""

    alive: bool = True


@dataclass(slots=True)
class _Account:
    owner: str
    password: str = ""
    open: bool = False  # may log in
    remaining: timedelta | None = None  # as last told
    given: set[Target] = field(default_factory=set[Target])
    standing: set[Target] = field(default_factory=set[Target])
    sessions: set[Session] = field(default_factory=set[Session])


class Memory:
    """One system. `resources` is what it has at first.

    With `generates_login` False every login that is named is there already, as in a directory.
    """

    def __init__(
        self,
        resources: Iterable[Discovered] = (),
        *,
        generates_login: bool = True,
        deadline: timedelta = timedelta(0),
    ) -> None:
        self.generates_login = generates_login
        self.deadline = deadline
        self.name = ""  # of the server that answers
        self.calls = Counter[str]()  # by method
        self._resources = {resource.source_id: resource for resource in resources}
        self._accounts: dict[str, _Account] = {}
        self._refused: dict[Target, str] = {}
        self._failing = 0
        self._dying = 0
        self._lock = threading.RLock()

    # --- The port ---------------------------------------------------------------------------------

    def server(self) -> str:
        with self._call("server"):
            return self.name

    def discover(self) -> list[Discovered]:
        with self._call("discover"):
            return list(self._resources.values())

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now. None is part of another: `given` says nothing."""
        del given
        with self._call("inspect"):
            account = self._account(login)
            held = account.given | account.standing if account else set[Target]()
            return {t: _HELD if t in held and self._has(t) else _ABSENT for t in targets}

    def apply(self, order: Order) -> Report:
        with self._call("apply"):
            account = self._account(order.login)
            if account is None and not (order.wanted and order.login.password):
                outcomes = dict.fromkeys((h.target for h in order.holdings), _ABSENT)
                return Report(outcomes, login_missing=bool(order.wanted))
            if account is None:
                account = self._accounts[order.login.name] = _Account(order.login.owner)
            if order.login.password and order.wanted:
                account.password = order.login.password.reveal()
            outcomes = {h.target: self._bring(account, h.target, h.wanted) for h in order.holdings}
            if any(outcomes[target] is _HELD for target in order.wanted):
                account.open, account.remaining = True, order.remaining
            else:
                self._shut(account)
            return Report(outcomes)

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        with self._call("unexplained"):
            account = self._account(login)
            held = account.given | account.standing if account else set[Target]()
            return tuple(sorted(str(target) for target in held.difference(given)))

    def cleanup(self, login: Login) -> tuple[str, ...]:
        with self._call("cleanup"):
            self.drop_login(login.name)
            return ()

    def logins(self) -> list[str]:
        with self._call("logins"):
            return sorted(self._accounts) if self.generates_login else []

    def instructions(self, login: Login, targets: Sequence[Target]) -> dict[str, str]:
        return {"User": login.name, "Where": ", ".join(target.path for target in targets)}

    def check(self) -> list[Check]:
        with self._call("check"):
            return [Check("memory", True, f"{len(self._resources)} resources")]

    def close(self) -> None:
        """There is nothing to close."""

    # --- The other side: what people do in the system ---------------------------------------------

    def add(self, resource: Discovered) -> None:
        with self._lock:
            self._resources[resource.source_id] = resource

    def drop(self, source_id: str) -> None:
        """Drop a resource by hand, and all that anybody had on it."""
        with self._lock:
            del self._resources[source_id]
            for account in self._accounts.values():
                for held in (account.given, account.standing):
                    held -= {target for target in held if target.source_id == source_id}

    def drop_login(self, name: str) -> None:
        with self._lock:
            if account := self._accounts.pop(name, None):
                self._shut(account)

    def stand(self, login: Login, target: Target) -> None:
        """Give access by hand, not through Latchkey."""
        with self._lock:
            account = self._accounts.setdefault(login.name, _Account(login.owner))
            account.standing.add(target)

    def log_in(self, name: str, password: str) -> Session | None:
        with self._lock:
            account = self._accounts.get(name)
            if account is None or not account.open or account.password != password:
                return None
            session = Session()
            account.sessions.add(session)
            return session

    def can(self, name: str, target: Target) -> bool:
        """Tell whether the login can use the target, by whomever it was given."""
        with self._lock:
            account = self._accounts.get(name)
            return account is not None and target in account.given | account.standing

    def remaining(self, name: str) -> timedelta | None:
        """Return how long the login was told to last, when last told."""
        with self._lock:
            return self._accounts[name].remaining

    # --- Faults -----------------------------------------------------------------------------------

    def fail(self, times: int = 1) -> None:
        """Let the next calls do nothing and raise `Unavailable`."""
        with self._lock:
            self._failing = times

    def die(self, times: int = 1) -> None:
        """Let the next calls do their work, and raise `Unavailable` instead of telling."""
        with self._lock:
            self._dying = times

    def refuse(self, target: Target, reason: str = "Refused, as told.") -> None:
        """Never give this target; an empty reason gives it again."""
        with self._lock:
            self._refused[target] = reason

    # --- Private ----------------------------------------------------------------------------------

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        with self._lock:
            self.calls[name] += 1
            if self._failing:
                self._failing -= 1
                raise Unavailable("the system does not answer")
            yield
            if self._dying:
                self._dying -= 1
                raise Unavailable("the answer was lost")

    def _account(self, login: Login) -> _Account | None:
        if not self.generates_login:
            return self._accounts.setdefault(login.name, _Account(login.owner))
        return self._accounts.get(login.name)

    def _has(self, target: Target) -> bool:
        resource = self._resources.get(target.source_id)
        return (
            resource is not None
            and resource.type == target.type
            and target.permission in resource.permissions
        )

    def _bring(self, account: _Account, target: Target, wanted: bool) -> Outcome:  # noqa: FBT001
        if not wanted:
            account.given.discard(target)
            return _ABSENT
        if not self._has(target):
            return Outcome(Presence.REFUSED, f"{target.path} is gone.")
        if reason := self._refused.get(target):
            return Outcome(Presence.REFUSED, reason)
        account.given.add(target)
        return _HELD

    @staticmethod
    def _shut(account: _Account) -> None:
        account.open = False
        for session in account.sessions:
            session.alive = False
        account.sessions.clear()
