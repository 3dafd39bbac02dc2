"""One person in one system: a table of where an account stands and what happens to it, and `step`.

An account is what converges: a worker leases it, looks, begins, calls the system, and takes in what
was seen. `step` is pure and total. `TABLE` says for each event what each phase does with it; the
docs print it, with that of the password (`engine.convergence.passwords`), and tests walk every pair
of both. The steps are in `engine.convergence`, by what they do.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.convergence.answers import answer, lost
from engine.convergence.passwords import AGAIN, SHOWN_FOR, reset, saved, show
from engine.convergence.turn import (
    begin,
    call,
    compare,
    compared,
    finish,
    hand_over,
    may_begin,
    nothing,
    stumble,
    take,
    wanted,
)
from engine.convergence.values import (
    Account,
    Alarm,
    Answer,
    Begin,
    Begins,
    Call,
    Compare,
    Compared,
    Done,
    Event,
    Fault,
    Finish,
    HandOver,
    Logins,
    Password,
    PasswordState,
    Phase,
    Priority,
    Reset,
    Result,
    Saved,
    Show,
    Silence,
    Step,
    Stumble,
    SystemTraits,
    Take,
    Wanted,
    Work,
    Worker,
)
from engine.directory import PersonId
from engine.holdings import Wishes

__all__ = [
    "AGAIN",
    "SHOWN_FOR",
    "TABLE",
    "Account",
    "Alarm",
    "Answer",
    "Begin",
    "Begins",
    "Call",
    "Compare",
    "Compared",
    "Do",
    "Done",
    "Event",
    "Fault",
    "Finish",
    "HandOver",
    "Logins",
    "Password",
    "PasswordState",
    "Phase",
    "Priority",
    "Reset",
    "Result",
    "Saved",
    "Show",
    "Silence",
    "Step",
    "Stumble",
    "SystemTraits",
    "Take",
    "Wanted",
    "Work",
    "Worker",
    "is_login_name",
    "login_name",
    "may_begin",
    "priority",
    "step",
]


_LOGIN_NAME = re.compile("lk_[a-z0-9_]{0,40}_[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Do:
    """A row of the table: what is done, and the phases that it may lead to."""

    step: Callable[..., Step]
    to: tuple[Phase, ...]


_SAME = Do(nothing, ())


def _rows(rows: Mapping[Phase, Do]) -> Mapping[Phase, Do]:
    return {phase: rows.get(phase, _SAME) for phase in Phase}


def _stays(step: Callable[..., Step]) -> dict[Phase, Do]:
    return {phase: Do(step, (phase,)) for phase in Phase}


_R, _D, _W = Phase.REST, Phase.DUE, Phase.WORK
_RD, _DD, _WD = Phase.REST_IN_DOUBT, Phase.DUE_IN_DOUBT, Phase.WORK_IN_DOUBT

TABLE: Mapping[type[Any], Mapping[Phase, Do]] = {
    Wanted: _stays(wanted) | {_R: Do(wanted, (_D,)), _RD: Do(wanted, (_DD,))},
    Take: _rows(
        {
            _D: Do(take, (_D, _W)),
            _W: Do(take, (_W, _WD)),
            _DD: Do(take, (_DD, _WD)),
            _WD: Do(take, (_WD,)),
        }
    ),
    Begin: _rows({_W: Do(begin, (_W, _D)), _WD: Do(begin, (_WD, _DD))}),
    Call: _rows({_W: Do(call, (_W,)), _WD: Do(call, (_WD,))}),
    Answer: _rows(
        {
            _R: Do(lost, (_DD,)),
            _D: Do(lost, (_DD,)),
            _W: Do(answer, (_W, _WD, _D, _DD)),
            _RD: Do(lost, (_DD,)),
            _DD: Do(lost, (_DD,)),
            _WD: Do(answer, (_WD, _DD)),
        }
    ),
    Finish: _rows({_W: Do(finish, (_R, _D)), _WD: Do(finish, (_R, _D, _RD, _DD))}),
    Stumble: _stays(stumble),
    Compare: _rows(
        {
            _R: Do(compare, (_W,)),
            _W: Do(compare, (_W, _DD)),
            _RD: Do(compare, (_WD,)),
            _WD: Do(compare, (_WD, _DD)),
        }
    ),
    Compared: _rows({_W: Do(compared, (_R, _D)), _WD: Do(compared, (_RD, _DD))}),
    Reset: _stays(reset) | {_R: Do(reset, (_R, _D)), _RD: Do(reset, (_RD, _DD))},
    Show: _stays(show),
    Saved: _stays(saved),
    HandOver: _stays(hand_over) | {_R: Do(hand_over, (_R, _D)), _RD: Do(hand_over, (_RD, _DD))},
}


def step(account: Account, event: Event, wishes: Wishes, now: datetime) -> Step:
    """Say what the event makes of the account, and what follows. `now` is aware UTC.

    `wishes` are the newest values of the requests. A worker is believed while it has the lease.
    Raises KeyError where an answer leaves out what was asked: a defect of the connector's.
    """
    if isinstance(event, Begin | Call | Finish | Compared) and account.lease != event.by.instance:
        return Step(account=account)
    return TABLE[type(event)][account.phase].step(account, event, wishes, now)


def login_name(person: PersonId) -> str:
    """Return the login's name: readable, and its own for each person id (63 bytes at most)."""
    readable = re.sub(r"[^a-z0-9]+", "_", person.casefold()).strip("_")[:40]
    return f"lk_{readable}_{hashlib.sha256(person.encode()).hexdigest()[:6]}"


def is_login_name(login: str) -> bool:
    """Tell whether this may be a login's name: by any other, a system knows nobody of ours."""
    return _LOGIN_NAME.fullmatch(login) is not None


def priority(wishes: Wishes) -> Priority:
    """Return whose turn it is, by what the requests come to."""
    return Priority.ENDS if wishes.sum.unwanted else Priority.REST
