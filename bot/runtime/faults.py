"""What is out of order while Latchkey runs: files, systems. The rest works."""

import threading
from collections.abc import Mapping
from types import MappingProxyType

import structlog

log = structlog.get_logger()


class Faults:
    """Faults by name, with the reason. Each change is said in the log once, if it is `logged`."""

    def __init__(self, *, logged: bool = True) -> None:
        self._logged = logged
        self._lock = threading.Lock()
        self._found: Mapping[str, str] = MappingProxyType({})

    def __call__(self) -> Mapping[str, str]:
        """Return what is out of order now, and why."""
        return self._found

    def set(self, name: str, why: str) -> None:
        with self._lock:
            before, self._found = self._found, MappingProxyType({**self._found, name: why})
        if self._logged and before.get(name) != why:
            log.error("out of order", what=name, why=why)

    def clear(self, name: str) -> None:
        with self._lock:
            before = self._found
            self._found = MappingProxyType({k: v for k, v in before.items() if k != name})
        if self._logged and name in before:
            log.warning("in order again", what=name)
