"""What Latchkey says of itself: to outsiders whether it is well, to the inside why not."""

import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from bot.operations import site
from bot.operations.server import Server
from tests.support import web

PATIENCE = 30  # seconds


@dataclass
class Known:
    """A program's health, as it was given."""

    loops: bool = True
    wrong: dict = field(default_factory=dict)
    out_of_order: dict = field(default_factory=dict)
    looks: int = 0
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.go.set()

    def alive(self):
        return self.loops

    def problems(self):
        self.looks += 1
        self.go.wait(PATIENCE)
        return self.wrong

    def faults(self):
        return self.out_of_order

    def metrics(self):
        return b"latchkey_up 1\n"


@contextmanager
def served(app):
    server = Server(app, "127.0.0.1", 0)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        assert server.stop()


def get(url, path):
    answer = httpx.get(f"{url}{path}", trust_env=False, timeout=PATIENCE)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("health", "path", "status", "said"),
    [
        (Known(), "/healthz", 200, {}),
        (Known(loops=False), "/healthz", 503, {"loops": "one has ended, or stands still"}),
        (Known(wrong={"database": "away"}), "/healthz", 200, {}),
        (Known(), "/readyz", 200, {}),
        (Known(wrong={"database": "away"}), "/readyz", 503, {"database": "away"}),
    ],
)
def test_reasons_are_for_the_inside_only(health, path, status, said):
    """Whoever reached the address for Slack's events read why Latchkey was not ready."""
    with served(site.site(health, None)) as outside:
        assert get(outside, path) == (status, {"ok": status == 200})
    with served(site.probes(health)) as inside:
        assert get(inside, path) == (status, {"ok": status == 200, **said})


def test_what_is_out_of_order_by_itself_is_named_and_takes_nobody_out():
    health = Known(out_of_order={"flows.yaml": "line 7: no such group"})
    with served(site.site(health, None)) as outside:
        assert get(outside, "/readyz") == (200, {"ok": True})
    with served(site.probes(health)) as inside:
        assert get(inside, "/readyz") == (200, {"ok": True, "faults": health.out_of_order})
        assert get(inside, "/healthz") == (200, {"ok": True})


def test_the_numbers_name_systems_and_are_for_the_inside_only():
    """Without an address for probes they were where outsiders come."""
    for app, there in ((site.site(Known(), None), 404), (site.probes(Known()), 200)):
        with served(app) as url:
            assert web.get(f"{url}/metrics").status_code == there


def test_many_probes_at_once_are_one_look():
    """Each held a thread and a connection to the database, of those that the loops go by."""
    health = Known(go=threading.Event(), wrong={"database": "away"})
    health.go.clear()
    with served(site.probes(health)) as url, ExitStack() as held:
        port = httpx.URL(url).port
        asked = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(30)
        ]
        for each in asked:
            each.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = [b"".join(iter(lambda each=each: each.recv(4096), b"")) for each in asked]
        health.go.set()

    assert health.looks == 1
    assert all(b" 503 " in each and b"takes too long" in each for each in said)
