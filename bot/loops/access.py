"""The access loop: brings accounts in line, each system by workers of its own."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from structlog.contextvars import bound_contextvars

from bot.loops.workers import CALLS, System
from bot.runtime.metrics import Reachable
from bot.runtime.pool import Pool
from bot.runtime.services import Services
from bot.usecases import bring_in_line
from engine.account import Done, Result, Work
from engine.inventory import IntegrationId
from engine.port import Report, Unavailable
from engine.request import AccountId, code_of
from storage.accounts import Due
from storage.database import AWAY, is_away, is_locked

TURNS = 16  # accounts taken up in one transaction, and as many stored
GATHER = 0.05  # seconds, while systems are called, for what they saw and what is due to gather

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Served:
    """One system: what is under way there, who calls it, and what is said of it in the log."""

    system: System
    pool: Pool
    standing: Reachable


class _DefectError(Unavailable):
    """It is ours, and says nothing of the system."""


class AccessLoop:
    """Brings accounts in line: several in one transaction, their systems called at the same time.

    No more is leased than can be called at once; the rest is anybody's. Each system has workers of
    its own, and a part of them is for ends (`bot.loops.workers`). A process that begins nothing new
    takes up ends alone.
    """

    def __init__(self, services: Services, pool: Callable[[int, str], Pool] = Pool) -> None:
        self._services = services
        self._make_pool = pool
        self._called = threading.Condition()
        self._served: dict[IntegrationId, _Served] = {}
        self._busy: dict[AccountId, System] = {}  # leased
        self._aside: set[AccountId] = set()
        self._done: list[Done] = []  # called, and not stored yet
        self._stopping = False
        self._due = threading.Event()  # there may be something to take up
        self._due.set()
        self._missed = False  # the last look left something out: what was worked on, or too much
        self.wake: Callable[[], None] = lambda: None

    def look(self) -> None:
        """Have the next drain look for what is due: somebody committed, or time has passed."""
        self._due.set()
        self.wake()

    def drain(self) -> None:
        """Store what was seen, and take up what is due."""
        if self._busy:
            self._gather(GATHER)
        ids = self._next()
        with self._called:
            done, self._done = self._done[:TURNS], self._done[TURNS:]
            more = bool(self._done)
        if not done and not ids:
            return
        leased, works, left = time.monotonic(), list[Work](), done
        try:
            works, left = self._turns(done, ids)
            if not self._services.pulse.holds(leased):
                works = []  # stopped for so long that others may be at it
        except AWAY:
            self._due.set()
            raise
        finally:
            with self._called:
                self._done = [*left, *self._done]  # it is stored when that can be done
            # What is left out here stays leased: another drain takes it up again, in doubt.
            busy = {*(w.account for w in works), *(d.work.account for d in left)}
            self._leave({*(d.work.account for d in done), *ids} - busy)
        for work in works:
            self._submit(work)
        if done and self._missed:
            self.look()  # there is room; and some may have been wanted anew while they were called
        elif more or left:
            self.wake()

    def stop(self, within: float = 10.0) -> bool:
        """Claim nothing more. Return whether what was under way was finished, and stored."""
        self._stopping = True
        until = time.monotonic() + within
        while self._busy and self._gather(until - time.monotonic(), enough=1):
            self.drain()
        stopped = [p.stop(max(0.0, until - time.monotonic())) for p in self._pools()]
        return all(stopped) and not self._busy

    def wait(self, within: float) -> bool:
        """Wait until no system is being called. Return whether there is more for `drain` to do.

        Raises TimeoutError where one is after so many seconds.
        """
        with self._called:
            if not self._called.wait_for(lambda: len(self._done) == len(self._busy), within):
                raise TimeoutError(f"{len(self._busy) - len(self._done)} systems are being called")
            return bool(self._done) or self._due.is_set()

    @contextmanager
    def aside(self, account: AccountId) -> Iterator[bool]:
        """Keep the workers from an account for a while; False: one of them has it."""
        with self._called:
            free = account not in self._busy and account not in self._aside
            if free:
                self._aside.add(account)
        try:
            yield free
        finally:
            if free:
                with self._called:
                    self._aside.discard(account)

    def _gather(self, within: float, enough: int | None = None) -> bool:
        """Wait, not for long, until so many calls, else all but what hangs, came to their end."""
        with self._called:
            return self._called.wait_for(
                lambda: len(self._done) >= enough if enough else not self._awaited(), within
            )

    def _awaited(self) -> int:
        now = time.monotonic()
        return sum(of.system.awaited(now) for of in list(self._served.values()))

    def _pools(self) -> list[Pool]:
        return [of.pool for of in self._served.values()]

    def _next(self) -> list[AccountId]:
        """Return what to take up, and keep a place for each."""
        if self._stopping or not self._due.is_set():
            return []
        self._due.clear()
        self._missed = bool(self._busy or self._aside)
        chosen = list[AccountId]()
        try:
            self._choose(chosen, time.monotonic())
        except BaseException:
            self._leave(chosen)
            self._due.set()
            raise
        return chosen

    def _choose(self, chosen: list[AccountId], now: float) -> None:
        """Choose ends first, and of a system that hangs one as a probe."""
        services = self._services
        strange = set[IntegrationId]()  # not connected (any more)
        for integration in [i for i, of in self._served.items() if of.system.wants_probe(now)]:
            for due in bring_in_line.longest_due(services, integration, busy=self._taken()):
                chosen += self._take(due, now, probe=True)
        self._missed |= bool(chosen)  # when it answers, the others follow at once
        while (most := TURNS - len(chosen)) > 0:
            full, for_ends = self._without_room(now)
            if full >= services.connected.keys():
                return
            found = bring_in_line.due(
                services, most, busy=self._taken(), full=full | strange, for_ends=for_ends
            )
            strange |= {due.integration for due in found} - services.connected.keys()
            for due in found:
                chosen += self._take(due, now)
            if len(found) < most:
                return
        self.look()

    def _taken(self) -> set[AccountId]:
        locked = self._services.locked_accounts.now()
        with self._called:
            return {*self._busy, *self._aside, *locked}

    def _without_room(self, now: float) -> tuple[set[IntegrationId], set[IntegrationId]]:
        """Return which systems have room for nothing more, and which for ends only."""
        with self._called:
            systems = {i: of.system for i, of in self._served.items()}
            full = {i for i, s in systems.items() if not s.has_room(now, ends=True)}
            others = {i for i, s in systems.items() if not s.has_room(now, ends=False)}
        if not self._services.desk.begins:
            others = set(self._services.connected)
        return full, others - full

    def _take(self, due: Due, now: float, *, probe: bool = False) -> list[AccountId]:
        """Keep a place for an account, if there is one."""
        if due.integration not in self._services.connected:
            return []
        system = self._serve(due.integration).system
        with self._called:
            free = due.account not in self._aside
            if free and (probe or system.has_room(now, ends=due.ends)):
                system.take(due.account, ends=due.ends, probe=probe)
                self._busy[due.account] = system
                return [due.account]
        self._missed = True
        return []

    def _leave(self, ids: Iterable[AccountId]) -> None:
        with self._called:
            for id_ in ids:
                if system := self._busy.pop(id_, None):
                    system.leave(id_)

    def _serve(self, integration: IntegrationId) -> "_Served":
        with self._called:
            if integration not in self._served:
                system, pool = System(), self._make_pool(CALLS, f"access-{integration}")
                self._served[integration] = _Served(system, pool, Reachable(integration))
                silent = self._services.vitals.system_silent.labels(integration)
                silent.set_function(lambda: system.silent(time.monotonic()))
            return self._served[integration]

    def _submit(self, work: Work) -> None:
        with self._called:
            self._busy[work.account].call(work.account, time.monotonic())
        self._served[work.integration].pool.submit(self._work, work)

    def _turns(self, done: list[Done], ids: list[AccountId]) -> tuple[list[Work], list[Done]]:
        """Take a turn for all; if that fails, for each alone. Return as `bring_in_line.turn` does.

        A poisoned account stops nobody, and one that somebody holds locked does not either.
        """
        concerned = [*(d.work.account for d in done), *ids]
        try:
            return bring_in_line.turn(self._services, done, ids)
        except Exception as failed:
            if is_away(failed):
                raise
            if not is_locked(failed):
                log.exception("turn failed", loop="access", accounts=len(concerned))
            fault = failed
        alone = [*(([one], []) for one in done), *(([], [id_]) for id_ in ids)]
        if len(alone) > 1:
            return [work for one in alone for work in self._turns(*one)[0]], []
        for account in concerned:
            if is_locked(fault):
                self._services.locked_accounts.put(account)  # what was seen there is seen again
            else:
                self._put_off(account, type(fault).__name__)
        return [], []

    def _put_off(self, account: AccountId, why: str) -> None:
        try:
            bring_in_line.put_off(self._services, account, why)
        except Exception as fault:
            if is_away(fault):
                raise
            log.exception("account could not be put off", account=account)

    def _work(self, work: Work) -> None:
        self._services.turns.give_way()
        requests = sorted({code_of(request) for request, _, _ in work.items})
        with bound_contextvars(
            integration=work.integration, login=work.login.name, request=",".join(requests)
        ):
            self._take_in(work, self._call(work))
        self.wake()

    def _take_in(self, work: Work, result: Result) -> None:
        served = self._served[work.integration]
        answered = not isinstance(result, Unavailable) or isinstance(result, _DefectError)
        with self._called:
            silence = served.system.back(work.account, time.monotonic(), answered=answered)
            if not isinstance(result, Mapping):  # after the look, the order
                served.system.leave(work.account)
            self._done.append(Done(work, result, silence))
            if self._stopping or not self._awaited():
                self._called.notify_all()
        if answered:
            served.standing.good()
        elif silence:
            served.standing.bad(str(result))
        else:
            log.warning("system unavailable", why=str(result))

    def _call(self, work: Work) -> Result:
        connected = self._services.connected.get(work.integration)
        if connected is None:
            return _DefectError("it is not connected any more")
        connector = connected.connector
        try:
            if work.order is None:
                looked_at = list(work.look.values())
                return connector.inspect(work.login, looked_at, given=work.given)
            report = connector.apply(work.order)
        except Unavailable as fault:
            self._count(work, None)
            return fault
        except Exception as fault:
            # A defect in a connector: nothing is known of what it did, so it is tried again.
            log.exception("connector failed")
            self._count(work, None)
            return _DefectError(f"unexpected {type(fault).__name__}")
        self._count(work, report)
        return report

    def _count(self, work: Work, report: Report | None) -> None:
        if work.order:
            self._services.vitals.carried_out(work.integration, work.order, report)
