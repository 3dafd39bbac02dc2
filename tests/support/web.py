"""HTTP to what a test started on this machine: past every proxy, and with time for a busy one."""

from typing import Any

import httpx

from tests.support import machine

PATIENCE = 30.0  # seconds


def get(url: str, **given: Any) -> httpx.Response:
    return _asked("GET", url, given)


def post(url: str, **given: Any) -> httpx.Response:
    return _asked("POST", url, given)


def _asked(method: str, url: str, given: dict[str, Any]) -> httpx.Response:
    return httpx.request(method, url, trust_env=False, timeout=PATIENCE * machine.factor(), **given)
