"""A system that lives in memory, for tests and benchmarks of what uses connectors.

It keeps the same contract as the real ones (tests/connectors holds it to that). Besides the port
it has the other side, what people do in the system by hand, and faults to be had on demand.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from engine.port import (
    Check,
    Discovered,
    DiscoveredPermission,
    Login,
    Order,
    Outcome,
    Presence,
    Report,
    Secret,
    Target,
    Unavailable,
)

__all__ = ["Memory", "Session"]

_HELD = Outcome(Presence.HELD)
_ABSENT = Outcome(Presence.ABSENT)

_Key = tuple[str, str]  # a resource's number, and a permission


def _key(target: Target) -> _Key:
    return target.source_id, target.permission


@dataclass(eq=False, slots=True)
class Session:
    """Somebody who logged in. It lives until the system ends it."""

    alive: bool = True


@dataclass(slots=True)
class MemoryAccount:
    owner: str
    proof: str = ""  # of its password
    open: bool = False  # may log in
    remaining: timedelta | None = None  # as last told
    given: set[_Key] = field(default_factory=set[_Key])
    standing: set[_Key] = field(default_factory=set[_Key])
    sessions: set[Session] = field(default_factory=set[Session])

    @property
    def held(self) -> set[_Key]:
        return self.given | self.standing


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
        self.alone = True  # nobody keeps it from knowing that none of its calls is under way
        self.calls = Counter[str]()  # by method
        self._resources = {resource.source_id: resource for resource in resources}
        self._numbers = set(self._resources)  # that it ever gave
        self.described: list[DiscoveredPermission] = []
        self.accounts: dict[str, MemoryAccount] = {}
        self._answers: dict[_Key, Outcome] = {}  # what is said in place of HELD
        self._failing: list[Unavailable] = []
        self._dying = 0
        self._going_on = threading.Event()
        self._going_on.set()
        self.hanging = 0  # calls
        self._lock = threading.RLock()

    # --- The port ---------------------------------------------------------------------------------

    def server(self) -> str:
        with self._call("server"):
            return self.name

    def discover(self) -> list[Discovered]:
        with self._call("discover"):
            return list(self._resources.values())

    def permissions(self) -> list[DiscoveredPermission]:
        with self._call("permissions"):
            return self.described

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now. None is part of another: `given` says nothing."""
        del given
        with self._call("inspect"):
            account = self._account(login)
            return {t: self._look(account, t) for t in targets}

    def apply(self, order: Order) -> Report:
        with self._call("apply"):
            account = self._account(order.login)
            outcomes = dict.fromkeys((h.target for h in order.holdings), _ABSENT)
            if account is None and not (order.wanted and order.login.password):
                return Report(outcomes, login_missing=bool(order.wanted), alone=self.alone)
            made = account is None
            if account is None:
                account = self.accounts[order.login.name] = MemoryAccount(order.login.owner)
            known = self._set_password(account, order) or not order.wanted
            if not known:
                return Report(outcomes, login_missing=True, alone=self.alone)
            strange = any(self._strange(h.target) for h in order.holdings)
            if not strange:  # else the order's numbers are another server's than the trace's
                account.given -= self._untold(order)
            if strange or any(not self._knows(target) for target in order.unwanted):
                self._end_by_name(account, order)
            outcomes = {h.target: self._bring(account, h.target, h.wanted) for h in order.holdings}
            if any(outcomes[t].presence is not Presence.REFUSED for t in order.wanted):
                account.open, account.remaining = True, order.remaining
            else:
                self._shut(account)
                if made:  # for nothing
                    del self.accounts[order.login.name]
            # What the grantee set themselves is not told: it would come back with the next access.
            proof = Secret(account.proof) if order.wanted and order.login.password else None
            trace = json.dumps(sorted(account.given)) if account.given else ""
            return Report(outcomes, alone=self.alone, proof=proof, trace=trace)

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        with self._call("unexplained"):
            account = self._account(login)
            paths = {(t.path, t.permission) for t in given}
            held = {self._words(key) for key in account.held} if account else set[_Key]()
            return tuple(sorted(f"{permission} on {path}" for path, permission in held - paths))

    def cleanup(self, login: Login) -> tuple[str, ...]:
        with self._call("cleanup"):
            self.drop_login(login.name)
            return ()

    def logins(self) -> list[str]:
        with self._call("logins"):
            return sorted(self.accounts) if self.generates_login else []

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
            self._numbers.add(resource.source_id)

    def drop(self, source_id: str) -> None:
        """Drop a resource by hand, and all that anybody had on it."""
        with self._lock:
            del self._resources[source_id]
            for account in self.accounts.values():
                for held in (account.given, account.standing):
                    held -= {key for key in held if key[0] == source_id}

    def rename(self, source_id: str, path: str) -> None:
        """Call a resource otherwise: it stays the same thing, under the same number."""
        with self._lock:
            name = path.rpartition("/")[2]
            self.add(replace(self._resources[source_id], name=name, path=path))

    def rebuild(self, name: str) -> None:
        """Let another server answer, to which all was restored: each number is another one."""
        with self._lock:
            number = {old: f"{name}:{self._resources[old].path}" for old in self._resources}
            moved = [replace(r, source_id=number[i]) for i, r in self._resources.items()]
            self._resources = {resource.source_id: resource for resource in moved}
            self._numbers = set(self._resources)
            for account in self.accounts.values():
                account.given = {(number[source], what) for source, what in account.given}
                account.standing = {(number[source], what) for source, what in account.standing}
            self.name = name

    def drop_login(self, name: str) -> None:
        with self._lock:
            if account := self.accounts.pop(name, None):
                self._shut(account)

    def stand(self, login: Login, target: Target) -> None:
        """Give access by hand, not through Latchkey."""
        with self._lock:
            account = self.accounts.setdefault(login.name, MemoryAccount(login.owner))
            account.standing.add(_key(target))

    def log_in(self, name: str, password: str) -> Session | None:
        with self._lock:
            account = self.accounts.get(name)
            if account is None or not account.open or account.proof != _proof(password):
                return None
            session = Session()
            account.sessions.add(session)
            return session

    def set_password(self, name: str, password: str) -> None:
        """Let the grantee set one of their own."""
        with self._lock:
            self.accounts[name].proof = _proof(password)

    def can(self, name: str, target: Target) -> bool:
        """Tell whether the login can use the target, by whomever it was given."""
        with self._lock:
            account = self.accounts.get(name)
            return account is not None and _key(target) in account.held

    def remaining(self, name: str) -> timedelta | None:
        """Return how long the login was told to last, when last told."""
        with self._lock:
            return self.accounts[name].remaining

    # --- Faults -----------------------------------------------------------------------------------

    def fail(self, times: int = 1, reason: str = "", *, lasting: bool = False) -> None:
        """Let the next calls do nothing and raise `Unavailable`."""
        with self._lock:
            said = reason or "the system does not answer"
            self._failing = [Unavailable(said, lasting=lasting) for _ in range(times)]

    def die(self, times: int = 1) -> None:
        """Let the next calls do their work, and raise `Unavailable` instead of telling."""
        with self._lock:
            self._dying = times

    def hang(self) -> None:
        """Let calls wait, until `go_on`."""
        self._going_on.clear()

    def go_on(self) -> None:
        self._going_on.set()

    def refuse(self, target: Target, reason: str = "Refused, as told.") -> None:
        """Never give this target; an empty reason gives it again."""
        self._answer(target, Outcome(Presence.REFUSED, reason) if reason else None)

    def withhold(self, target: Target, cure: str) -> None:
        """Do not give this target until somebody does what the sentence says; empty: they have."""
        self._answer(target, Outcome(Presence.UNKNOWN, cure, lasting=True) if cure else None)

    def leave_out(self, target: Target, left_out: str) -> None:
        """Give this target but for that; empty: whole."""
        self._answer(target, Outcome(Presence.HELD, left_out=left_out) if left_out else None)

    # --- Inside -----------------------------------------------------------------------------------

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        with self._lock:
            self.hanging += 1
        self._going_on.wait()
        with self._lock:
            self.hanging -= 1
            self.calls[method] += 1
            if self._failing:
                raise self._failing.pop()
            yield
            if self._dying:
                self._dying -= 1
                raise Unavailable("the answer was lost")

    def _account(self, login: Login) -> MemoryAccount | None:
        if not self.generates_login:
            return self.accounts.setdefault(login.name, MemoryAccount(login.owner))
        return self.accounts.get(login.name)

    def _answer(self, target: Target, outcome: Outcome | None) -> None:
        with self._lock:
            self._answers.pop(_key(target), None)
            if outcome:
                self._answers[_key(target)] = outcome

    def _words(self, key: _Key) -> tuple[str, str]:
        source_id, permission = key
        return self._resources[source_id].path, permission

    def _has(self, target: Target) -> bool:
        resource = self._resources.get(target.source_id)
        return (
            resource is not None
            and resource.type == target.type
            and target.permission in resource.permissions
        )

    def _knows(self, target: Target) -> bool:
        """Tell whether there is such a thing, or was one under that number."""
        gone = target.source_id in self._numbers - self._resources.keys()
        return gone or self._has(target)

    @staticmethod
    def _untold(order: Order) -> set[_Key]:
        """Return what was given and nothing that the order names explains any more."""
        told = {_key(target) for target in (*(h.target for h in order.holdings), *order.standing)}
        return _traced(order.login.trace) - told

    def _strange(self, target: Target) -> bool:
        """Tell whether another server gave the number of this target."""
        return target.server != self.name

    def _look(self, account: MemoryAccount | None, target: Target) -> Outcome:
        if self._strange(target):
            return _another(target)
        if account is None or not self._has(target) or _key(target) not in account.held:
            return _ABSENT
        said = self._answers.get(_key(target))
        return said if said and said.presence is Presence.HELD else _HELD

    def _set_password(self, account: MemoryAccount, order: Order) -> bool:
        """Set what is known to be its password; False: nothing is known."""
        login = order.login
        if not order.wanted or not self.generates_login:
            return True
        if login.password:
            account.proof = _proof(login.password.reveal())
        elif login.proof and not account.open:
            account.proof = login.proof.reveal()  # whatever the grantee set meanwhile
        return account.open or bool(login.password or login.proof)

    def _end_by_name(self, account: MemoryAccount, order: Order) -> None:
        """Numbers say nothing: keep what has the path of what may stay, and nothing else."""
        keep = {(t.path, t.permission) for t in (*order.wanted, *order.standing)}
        account.given = {key for key in account.given if self._words(key) in keep}
        if self.generates_login:
            account.standing = {key for key in account.standing if self._words(key) in keep}

    def _bring(self, account: MemoryAccount, target: Target, wanted: bool) -> Outcome:  # noqa: FBT001
        if self._strange(target):
            return _another(target) if wanted else _ABSENT
        if not wanted:
            account.given.discard(_key(target))
            return _ABSENT
        if not self._has(target):
            return Outcome(Presence.REFUSED, f"{target.path} is gone.")
        called = self._resources[target.source_id].path
        if called != target.path and _key(target) not in account.given:
            reason = f"It is called {called} now; {target.path} was approved."
            return Outcome(Presence.REFUSED, reason)
        said = self._answers.get(_key(target), _HELD)
        if said.presence is Presence.HELD:
            account.given.add(_key(target))
        return said

    @staticmethod
    def _shut(account: MemoryAccount) -> None:
        account.open = False
        for session in account.sessions:
            session.alive = False
        account.sessions.clear()


def _traced(trace: str) -> set[_Key]:
    """Read what was given; of what makes no sense, nothing."""
    try:
        return {(str(source_id), str(permission)) for source_id, permission in json.loads(trace)}
    except (ValueError, TypeError):
        return set()


def _proof(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _another(target: Target) -> Outcome:
    reason = f"Another server answers than the one that {target.path} was found on."
    return Outcome(Presence.UNKNOWN, reason)
