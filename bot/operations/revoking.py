"""Sees a revocation to its end: watches the process that carries it out, or does so in its place.

It needs the database, the keys, and what the references of the systems concerned name. Systems are
connected by what is stored of them. What people are to be told waits for the next `latchkey run`.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.loops.access import AccessLoop
from bot.runtime.connectors import NO_ANSWER, Systems, connect, fault_of
from bot.runtime.faults import Faults
from bot.runtime.services import Services
from bot.settings import KeySettings
from bot.usecases import instance, revoke
from bot.usecases.console import Desk
from bot.usecases.instance import BEAT, DEAD_AFTER, TURN, InstanceId, NotAloneError
from bot.usecases.revoke import Fate, OpenLogin, Recorded
from bot.views.text import count, in_a_row, refusal_in_plain_text
from engine.inventory import IntegrationId
from engine.request import AccessRequest
from engine.words import clause
from storage import accounts
from storage.database import AWAY

__all__ = [
    "PATIENCE",
    "Hands",
    "Watch",
    "closing",
    "extent",
    "named",
    "record",
    "see_through",
]

PATIENCE = 120  # seconds; a call that was cut short is in doubt for some thirty
NO_PROGRESS = 10.0  # seconds after which who waits is told why
TOLD_AGAIN = 30.0  # seconds
STEP = 0.2  # seconds
STOP_WITHIN = 2.0  # seconds for calls under way
REMEMBERED = 5000  # entries of the audit that are looked through for the last reason known
RECENT = timedelta(hours=1)
SET_UP_WITHIN = 1.0  # seconds; who hangs for longer is not waited for before the others are ended
REST = 0.5  # seconds between two turns, for a process that starts
PEER_HANGS = 3 * TURN

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _NothingNew(Services):
    """What the access loop works with here: it ends access, and begins none.

    `me` is not the database's instance: what is written wakes the processes that send messages.
    """

    me: Callable[[], InstanceId]

    @property
    def instance(self) -> InstanceId:
        return self.me()

    @property
    def desk(self) -> accounts.Workplace:
        return replace(super().desk, begins=False)


class Hands:
    """Does the access loop's work on some accounts, while no process is alive that would.

    On PostgreSQL one that starts meanwhile shares the work. On SQLite the file's lock is held for a
    turn at a time, so that it can start. `no_keys`: why there are none; then nothing can be done.
    """

    def __init__(
        self,
        desk: Desk,
        concerned: Sequence[OpenLogin],
        keys: KeySettings | None,
        no_keys: str = "",
    ) -> None:
        self._database = desk.database
        self._of = {account.id: account.integration for account in concerned}
        self._no_keys = "" if keys else no_keys
        self._faults = Faults(logged=False)
        installation = keys.installation if keys else ""
        self._systems = Systems(lambda s: connect(s, installation, self._faults), self._faults)
        stored = revoke.systems(desk.database, set(self._of.values())) if keys else []
        self._gone = set(self._of.values()) - {system.id for system in stored}
        self._systems.want(stored)
        self._systems.bring_in_line()
        self._systems.settle(SET_UP_WITHIN)
        self._me = InstanceId(0)
        self._beaten = float("-inf")
        self._turn: ExitStack | None = None
        self._turn_began = 0.0
        self._peer: int | None = None
        self._peer_since = 0.0
        self.other: int | None = None  # the process that was met, on SQLite
        self._services = keys and _NothingNew(
            desk.database,
            desk.companies,
            desk.clock,
            keys.key_ring,
            self._systems,
            me=lambda: self._me,
        )
        self._access = self._services and AccessLoop(self._services)

    def alone(self) -> bool:
        """Take the place of a process; False: there is one that is alive."""
        if not self._database.file:
            if self._me:
                return True
            silent = self.heartbeat()
            return silent is None or silent >= DEAD_AFTER
        if self._turn and time.monotonic() - self._turn_began >= TURN - STOP_WITHIN:
            self._turn.close()
            self._turn = None
            time.sleep(REST)
        if self._turn is None:
            self._turn_began = time.monotonic()
            try:
                self._turn = instance.take_turn(self._database)
            except NotAloneError as fault:
                self._meet(fault.peer)
                self.other = fault.pid
        return self._turn is not None

    @property
    def peer(self) -> int | None:
        """The process of another such command whose turn it is; None: it is no command's."""
        return None if self._turn else self._peer

    @property
    def peer_hangs(self) -> bool:
        """Whether that keeps its turn for longer than one that works does."""
        return self.peer is not None and time.monotonic() - self._peer_since > PEER_HANGS

    def _meet(self, peer: int | None) -> None:
        if peer != self._peer:
            self._peer, self._peer_since = peer, time.monotonic()

    def heartbeat(self) -> float | None:
        """Return for how many seconds the liveliest process was silent; None: there is none."""
        return instance.heartbeat(self._database)

    def can_do(self, requests: Iterable[AccessRequest]) -> bool:
        """Tell whether something can be done for any of them."""
        return bool(self._systems.keys() & self._concerned(requests))

    def may_yet(self, requests: Iterable[AccessRequest]) -> bool:
        """Tell whether something may become possible for any: a system is being set up yet."""
        return bool(self._systems.under_way() & self._concerned(requests))

    def missing(self) -> Mapping[IntegrationId, str]:
        """Return why systems cannot be worked on."""
        found = self._faults()
        return {
            **dict.fromkeys(self._systems.under_way(), NO_ANSWER),
            **{id_: why for id_ in self._of.values() if (why := found.get(fault_of(id_)))},
            **{id_: self._no_keys or _not_there(id_) for id_ in self._gone},
        }

    def _concerned(self, requests: Iterable[AccessRequest]) -> set[IntegrationId | None]:
        return {self._of.get(g.account) for r in requests for g in r.grants if g.open}

    def work(self) -> None:
        """Do what is due. Call it while `alone`."""
        if self._services and self._access:
            self._beat(self._services)
            self._access.look()
            self._access.drain()

    def close(self) -> bool:
        """Give back what was taken up. Return whether all calls have come to their end."""
        finished = self._access is None
        try:
            with suppress(*AWAY):
                if self._access:
                    finished = self._access.stop(STOP_WITHIN)
                if self._me:
                    instance.take_hands_back(self._database, self._me)
        finally:
            if self._turn:
                self._turn.close()
        if finished:
            for connected in self._systems.values():
                connected.connector.close()
        return finished

    def _beat(self, services: Services) -> None:
        now, begun = time.monotonic(), services.pulse.begin()
        if now - self._beaten < BEAT:
            return
        self._me, self._beaten = instance.lend_hands(self._database, self._me), now
        services.pulse.beaten(begun)


def _not_there(system: IntegrationId) -> str:
    return (
        f"there is no such row in the table integration ({system}): `latchkey apply` writes it "
        "anew where integrations.yaml has it; else correct integration_id of the account"
    )


class Watch:
    """What became of the requests, said as it is seen. `open` are those that are not over."""

    def __init__(
        self,
        desk: Desk,
        requests: Sequence[AccessRequest],
        concerned: Iterable[OpenLogin],
        missing: Callable[[], Mapping[IntegrationId, str]],
        say: Say,
    ) -> None:
        self._desk, self._say, self._missing = desk, say, missing
        self.open = list(requests)
        self._accounts = {account.id: account for account in concerned}
        self._alone: bool | None = None
        self._at_work = False
        self._seen = max(0, revoke.newest_entry(desk) - REMEMBERED)
        self._delays: dict[tuple[str, str], str] = {}  # by system and login
        self._silent: dict[str, str] = {}  # by system
        self._due_to_tell = time.monotonic() + NO_PROGRESS
        self._read_delays()  # of a system that is silent for long, nothing is noted any more

    def look(self, hands: Hands, *, alone: bool) -> None:
        """Say what is new. `alone`: no process carries it out."""
        if alone and not self._at_work and hands.can_do(self.open):
            still = " any more" if self._alone is False else ""
            self._say(f"No Latchkey process is alive{still}: this command takes the access away.")
            self._at_work = True
        if hands.peer is None:  # between two commands nothing begins and nothing ends
            self._alone = alone
            self._at_work = self._at_work and alone
        self._say_what_is_over()
        self._say_delays()
        if not alone and self.open and time.monotonic() >= self._due_to_tell:
            self._due_to_tell = time.monotonic() + TOLD_AGAIN
            self._say(self._no_progress(hands))

    def why(self, request: AccessRequest) -> str:
        """Say what is known of why it is not over."""
        waiting = dict.fromkeys(g.account for g in request.grants if g.open)
        concerned = [self._accounts[id_] for id_ in waiting if id_ in self._accounts]
        if gone := sorted(waiting.keys() - self._accounts.keys()):
            rows = in_a_row([str(id_) for id_ in gone])
            return (
                f"its login (row {rows} of the table account) is not in the database: restore it "
                "from a back-up, or take the access away in the system by hand"
            )
        reasons = dict.fromkeys(f"{a.system}: {why}" for a in concerned if (why := self._why(a)))
        if reasons:
            return "; ".join(reasons)
        systems = in_a_row(list(dict.fromkeys(a.system for a in concerned)))
        return f"{systems or 'the system'} has not confirmed it yet"

    def _why(self, account: OpenLogin) -> str:
        missing = self._missing().get(account.integration, "") if self._alone else ""
        its_own = self._delays.get((account.integration, account.login), "")
        return missing or its_own or self._silent.get(account.integration, "")

    def _say_what_is_over(self) -> None:
        now = revoke.as_they_are(self._desk, self.open)
        for request in now:
            if request.state.final:
                self._say(self._over(request))
                self._due_to_tell = time.monotonic() + NO_PROGRESS
        self.open = [r for r in now if not r.state.final]

    def _over(self, request: AccessRequest) -> str:
        ids = dict.fromkeys(g.account for g in request.grants if g.ever_begun)
        systems = dict.fromkeys(self._accounts[i].system for i in ids if i in self._accounts)
        said = f"gone, as {in_a_row(list(systems))} confirmed." if systems else "over."
        return f"{named(self._desk, request)}: {said}{_kept(self._desk, request)}"

    def _say_delays(self) -> None:
        for account, why in self._read_delays():
            self._say(f"Not yet: {account.system}: {why}. It is being tried again.")

    def _read_delays(self) -> list[tuple[OpenLogin, str]]:
        """Return what is new of why the accounts concerned could not be brought in line."""
        since = self._desk.clock.now() - RECENT
        entries = revoke.delays(self._desk, self._seen, since)
        known = {(a.integration, a.login): a for a in self._accounts.values()}
        new: list[tuple[OpenLogin, str]] = []
        for self._seen, said in entries:
            system, login = (str(said.get(k, "")) for k in ("integration", "account"))
            why = clause(str(said.get("why", "")))
            if said.get("silent"):  # to its other logins, too
                self._silent[system] = why
            account = known.get((IntegrationId(system), login))
            if account and self._delays.get((system, login)) != why:
                self._delays[system, login] = why
                new.append((account, why))
        return new

    def _no_progress(self, hands: Hands) -> str:
        codes = in_a_row([r.code for r in self.open], most=10)
        if hands.peer is not None:
            cure = (
                f" It is suspended, or hangs. End it, and this command goes on in its place: kill "
                f"-KILL {hands.peer}"
                if hands.peer_hangs
                else ""
            )
            return (
                f"Another `latchkey revoke`, process {hands.peer}, is at work, and {codes} has not "
                f"ended in {NO_PROGRESS:.0f} s: {self.why(self.open[0])}.{cure}"
            )
        heartbeat = hands.heartbeat()
        which = f", process {hands.other}," if hands.other else ","
        seen = "" if heartbeat is None else f" (its last heartbeat: {heartbeat:.0f} s ago)"
        hangs = heartbeat is not None and heartbeat >= DEAD_AFTER
        cure = f" It seems to hang: end it{which} and this command goes on in its place."
        return (
            f"A Latchkey process is alive{seen}, but has not ended {codes} in "
            f"{NO_PROGRESS:.0f} s: {self.why(self.open[0])}.{cure if hangs else ''}"
        )


def extent(desk: Desk, requests: Sequence[AccessRequest]) -> str:
    """Say how much it is that is to be revoked."""
    people = count(len({r.grantee for r in requests}), "person", "people")
    systems = {a.integration for a in revoke.accounts_of(desk.database, requests)}
    what, where = count(len(requests), "request"), count(len(systems), "system")
    return f"This revokes {what} of {people} on {where}."


def record(
    desk: Desk, chosen: Sequence[AccessRequest], reason: str, say: Say
) -> tuple[list[AccessRequest], bool]:
    """Revoke each, or cancel it while it waits.

    Return those that are not over, and whether one of them was refused.
    """
    going, left, refused = list[AccessRequest](), list[AccessRequest](), False
    for one in revoke.record(desk, chosen, reason):
        say(f"{named(desk, one.request)}: {_said(desk, one)}")
        refused = refused or one.fate is Fate.REFUSED
        if one.fate is Fate.UNDER_WAY:
            going.append(one.request)
        elif one.fate is Fate.RECORDED:
            left.append(one.request)
    return [*going, *left], refused


def _said(desk: Desk, one: Recorded) -> str:
    match one.fate:
        case Fate.RECORDED:
            return "recorded."
        case Fate.UNDER_WAY:
            return "was being taken away already."
        case Fate.CANCELLED:
            return "cancelled. Nothing had been given."
        case Fate.OVER:
            return f"over.{_kept(desk, one.request) or ' Nothing of it had to be taken away.'}"
        case Fate.WAS_OVER:
            return f"was over already.{_kept(desk, one.request)}"
        case Fate.REFUSED:
            return f"not revoked: {refusal_in_plain_text(one.refusal) if one.refusal else ''}"


def closing(desk: Desk, chosen: Sequence[AccessRequest]) -> str:
    """Say that all is over, and how much of it stays that Latchkey did not give."""
    over = revoke.as_they_are(desk, chosen)
    stays = len({(g.account, g.entitlement) for r in over for g in r.grants if g.standing})
    if not stays:
        return "All of it is over, and confirmed."
    what = count(stays, "thing stays that was", "things stay that were")
    return f"All that Latchkey gave is over, and confirmed. {what} there before."


def _kept(desk: Desk, request: AccessRequest) -> str:
    """Say of each thing what is noted of it: that it stays, for one."""
    return "".join(
        f" {what}: {grant.note.rstrip('.')}."
        for grant, what in zip(request.grants, desk.what(request), strict=True)
        if grant.note and not grant.begun
    )


def see_through(
    desk: Desk,
    requests: Sequence[AccessRequest],
    within: float,
    say: Say,
    *,
    stopped: Callable[[], bool],
    keys: KeySettings | None,
    no_keys: str = "",
) -> tuple[list[AccessRequest], bool]:
    """Say how it goes on until all is over, or the seconds are up; do it where nobody else does.

    `no_keys`: why there are none. Return what is not over, and whether all that was begun has come
    to its end.
    """
    concerned = revoke.accounts_of(desk.database, requests)
    hands = Hands(desk, concerned, keys, no_keys)
    watch = Watch(desk, requests, concerned, hands.missing, say)
    try:
        see_to(watch, hands, within, say, stopped)
        if stopped():
            say("Stopped waiting.")
    finally:
        finished = hands.close()
    for request in watch.open:
        say(f"{named(desk, request)}: not confirmed yet. {watch.why(request)}.")
    if watch.open:
        say(
            "It is recorded: a running Latchkey, or the next `latchkey run`, goes on with it until "
            "it is done. The same command, given again, goes on waiting."
        )
    return watch.open, finished


def see_to(
    watch: Watch, hands: Hands, within: float, say: Say, stopped: Callable[[], bool]
) -> None:
    """Go on until all is over, nobody can do anything, it is stopped, or the seconds are up."""
    until = time.monotonic() + within
    away = False
    while watch.open and time.monotonic() < until and not stopped():
        try:
            alone = hands.alone()
            able = hands.can_do(watch.open)
            if alone and able:
                hands.work()
            watch.look(hands, alone=alone)
            if alone and not able and not hands.may_yet(watch.open):
                return
            away = False
        except AWAY as fault:
            if not away:
                why = str(getattr(fault, "orig", None) or fault).partition("\n")[0]
                say(f"The database does not answer: {why}. It is being tried again.")
            away = True
        time.sleep(STEP)


def named(desk: Desk, request: AccessRequest) -> str:
    return f"{request.code}, {desk.name(request.grantee)}"
