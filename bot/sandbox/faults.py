"""Misbehaviour on demand: which Web API calls go wrong, how, and how many deliveries come twice."""

from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["KINDS", "FaultKind", "Faults", "PlannedFault"]

FaultKind = Literal[
    "rate_limited",  # 429 with Retry-After; not done
    "error",  # an HTTP status of 5xx; not done
    "slack_error",  # ok: false with a code; not done
    "odd",  # what is answered is not Slack's: `body`, with `status` and `headers`; done or not
    "slow",  # done, and answered, seconds later
    "done_but_timeout",  # done; never answered
    "hang",  # not done; never answered
    "kill_before",  # a process is killed; not done
    "kill_after",  # done; a process is killed before the answer
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(slots=True)
class PlannedFault:
    """Strikes `times` calls (None: all) of a method (`*`: every one), after letting `skip` pass."""

    method: str
    kind: FaultKind
    times: int | None = 1
    skip: int = 0
    retry_after: int | str = 1
    status: int = 503
    body: str = "<!DOCTYPE html><title>Sign in to the network</title>"
    headers: str = "content-type: text/html"  # one a line; a name may come twice
    done: bool = False
    code: str = "internal_error"
    seconds: float = 1.0
    pid: int = 0

    def strikes(self, method: str) -> bool:
        if self.method not in {"*", method} or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class Faults:
    """`duplicates` is how many coming deliveries are made twice."""

    calls: list[PlannedFault] = field(default_factory=list)
    duplicates: int = 0

    def of_call(self, method: str) -> PlannedFault | None:
        return next((fault for fault in self.calls if fault.strikes(method)), None)

    def duplicate_next(self) -> bool:
        if self.duplicates == 0:
            return False
        self.duplicates -= 1
        return True

    def clear(self) -> None:
        self.calls.clear()
        self.duplicates = 0
