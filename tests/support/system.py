"""A real system in memory, which fails as it is told to."""

import json
from collections.abc import Sequence
from datetime import timedelta

from engine.holdings import LOST
from engine.port import Login, Order, Outcome, Presence, Report, Target

DEADLINE = timedelta(seconds=30)


class System:
    """A real system in memory: what each login holds. `faults` are raised, one a call."""

    generates_login, deadline = True, DEADLINE

    def __init__(self) -> None:
        self.held: dict[str, set[Target]] = {}
        self.passwords: dict[str, str] = {}
        self.calls: list[str] = []
        self.remaining: timedelta | None = None
        self.faults: list[Exception] = []
        self.by_hand: set[Target] = set()  # given by somebody else, too: it stays
        self.refused: set[str] = set()  # permissions that it does not give
        self.leaves_some = False  # of what it refuses, as if it had given it
        self.left_out: dict[str, str] = {}  # by path: what of it cannot be given
        self.lasting: dict[str, str] = {}  # by path: why it will not be given, until that is cured
        self.alone = True
        self.name = ""  # of the server
        self.end_refused = ""
        self.notes: tuple[str, ...] = ()  # on a login that is dropped

    def server(self) -> str:
        return self.name

    def logins(self) -> list[str]:
        return sorted(self.held)

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        del given
        self._called("inspect")
        held = self.held.get(login.name, set())
        return {t: self._seen(t, held=t in held) for t in targets}

    def apply(self, order: Order, *, creates: bool = True) -> Report:
        self._called("apply")
        name, password = order.login.name, order.login.password
        missing = creates and bool(order.wanted) and name not in self.held
        if missing and password is None:
            gone = Outcome(Presence.UNKNOWN, "no login")
            return Report({h.target: gone for h in order.holdings}, login_missing=True)
        if password and (order.wanted or name in self.held):
            self.passwords[name] = password.reveal()
        mine = self.held.setdefault(name, set())
        given = {t for t in order.wanted if t.path not in self.lasting}
        mine |= {t for t in given if self.leaves_some or t.permission not in self.refused}
        ends = {_key(t) for t in order.unwanted}
        mine -= {t for t in mine - self.by_hand if _key(t) in ends}
        told = {_key(t) for t in (*(h.target for h in order.holdings), *order.standing)}
        untold = _traced(order.login.trace) - told
        mine -= {t for t in mine - self.by_hand if _key(t) in untold}
        if lost := any(h.target.server == LOST for h in order.holdings):
            mine &= {*order.wanted, *self.by_hand}  # by the login's name
        self.remaining = order.remaining
        outcomes = {}
        for target in (h.target for h in order.holdings):
            if lost and target in order.wanted:
                outcomes[target] = Outcome(Presence.UNKNOWN, "another server")
                continue
            ours = target in mine and (target in order.wanted or target not in self.by_hand)
            outcomes[target] = self._seen(target, held=ours)
            if target in order.wanted and target.permission in self.refused:
                outcomes[target] = Outcome(Presence.REFUSED, "It may not be given.")
            if target in order.wanted and target.path in self.lasting:
                why = self.lasting[target.path]
                outcomes[target] = Outcome(Presence.UNKNOWN, why, lasting=True)
        trace = json.dumps(sorted({_key(t) for t in mine})) if mine else ""
        return Report(outcomes, deadline_refused=self.end_refused, alone=self.alone, trace=trace)

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        self._called("unexplained")
        return tuple(sorted(map(str, self.held.get(login.name, set()) - set(given))))

    def cleanup(self, login: Login) -> tuple[str, ...]:
        self._called("cleanup")
        self.held.pop(login.name, None)
        return self.notes

    def _seen(self, target: Target, *, held: bool) -> Outcome:
        left_out = self.left_out.get(target.path, "") if held else ""
        return Outcome(Presence.HELD if held else Presence.ABSENT, left_out=left_out)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.faults:
            raise self.faults.pop(0)


def _traced(trace: str) -> set[tuple[str, str]]:
    try:
        return {(source_id, permission) for source_id, permission in json.loads(trace)}
    except (ValueError, TypeError):
        return set()


def _key(target: Target) -> tuple[str, str]:
    return target.source_id, target.permission
