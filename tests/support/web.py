"""HTTP to what a test started on this machine: past every proxy, and with time for a busy one."""

import ssl
from typing import Any

import httpx

from tests.support import machine

PATIENCE = 30.0  # seconds
_TLS = ssl.create_default_context()  # for each call anew it costs more than the call


def get(url: str, **given: Any) -> httpx.Response:
    return _asked("GET", url, given)


def post(url: str, **given: Any) -> httpx.Response:
    return _asked("POST", url, given)


def _asked(method: str, url: str, given: dict[str, Any]) -> httpx.Response:
    patience = PATIENCE * machine.factor()
    return httpx.request(method, url, trust_env=False, verify=_TLS, timeout=patience, **given)
