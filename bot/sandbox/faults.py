"""Misbehaviour on demand: which calls and deliveries go wrong, and how."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CallFault", "DeliveryFault", "Faults", "When"]

When = Literal["before", "after"]


@dataclass(slots=True)
class _Occasion:
    """The occasions of a rule: the `nth` match, every `every`-th, at most `count` in all."""

    nth: int | None = None
    every: int | None = None
    count: int | None = None
    matched: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self) -> bool:
        self.matched += 1
        if self.nth is not None and self.matched != self.nth:
            return False
        if self.every is not None and self.matched % self.every:
            return False
        if self.count is not None and self.struck >= self.count:
            return False
        self.struck += 1
        return True


@dataclass(slots=True)
class CallFault(_Occasion):
    """A Web API call gone wrong, before its effect or after it. `*` is every method."""

    method: str = "*"
    when: When = "before"
    do: Literal["ratelimit", "status", "slow", "drop", "kill", "error"] = "drop"
    retry_after: int = 1
    status: int = 503
    seconds: float = 1.0
    pid: int = 0
    error: str = "internal_error"


@dataclass(slots=True)
class DeliveryFault(_Occasion):
    """A delivery gone wrong. `kind` is slash_commands, an interaction's or event's type, or `*`."""

    kind: str = "*"
    do: Literal["duplicate", "delay", "drop_ack"] = "duplicate"
    seconds: float = 1.0


@dataclass(slots=True)
class Faults:
    calls: list[CallFault] = field(default_factory=list)
    deliveries: list[DeliveryFault] = field(default_factory=list)
    down: bool = False
    refuse_links: bool = False

    def of_call(self, method: str) -> CallFault | None:
        matching = [rule for rule in self.calls if rule.method in {"*", method}]
        return next((rule for rule in matching if rule.strikes()), None)

    def of_delivery(self, kind: str) -> DeliveryFault | None:
        matching = [rule for rule in self.deliveries if rule.kind in {"*", kind}]
        return next((rule for rule in matching if rule.strikes()), None)

    def reset(self) -> None:
        self.calls.clear()
        self.deliveries.clear()
        self.down = self.refuse_links = False
