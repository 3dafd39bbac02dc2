"""A process that is paused, goes on and is to end at once: it ends, every time."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from bot.sandbox import ports
from bot.sandbox.house import COMPANY
from storage.secrets import new_key
from tests.support import web
from tests.support.nursery import Child, Nursery
from tests.support.waiting import looks

TIMES, AT_ONCE = 50, 8
PATIENCE = 60.0  # seconds, for what takes one or two
SETTINGS = {
    "SLACK_API_URL": "http://127.0.0.1:1/",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "LATCHKEY_KEYS": new_key(),
    "LATCHKEY_MANIFESTS": str(COMPANY),
    "LATCHKEY_SANDBOX_PG": "host=127.0.0.1 port=1 user=x password=y dbname=z connect_timeout=1",
}


class Bots:
    """As many as are asked for, each on a copy of one database."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._folder = folder
        self._ports = iter(ports.free(TIMES + 1))
        self._whole = folder / "whole.db"
        first = self.start(self._whole)
        first.terminate()
        assert first.wait(PATIENCE) == 0

    def another(self, number: int) -> Child:
        file = self._folder / f"{number}.db"
        shutil.copy(self._whole, file)
        return self.start(file)

    def start(self, file: Path) -> Child:
        """Start `latchkey run`, and wait until it runs."""
        listen = f"127.0.0.1:{next(self._ports)}"
        own = {"LATCHKEY_DATABASE_URL": f"sqlite:///{file}", "LATCHKEY_HTTP": listen}
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "LATCHKEY_"))}
        env, log = {**clean, **SETTINGS, **own}, file.with_suffix(".log")
        child = Child(
            self._nursery, self._nursery.ask(env=env, log=str(log), told=str(log), command=["run"])
        )
        until(lambda: _alive(listen), log.read_text)
        return child


def _alive(listen: str) -> bool:
    try:
        return web.get(f"http://{listen}/healthz").is_success
    except httpx.TransportError:
        return False


def until(seen, instead=lambda: "") -> None:
    for _ in looks(PATIENCE):
        if seen():
            return
    raise AssertionError(f"never seen; instead {instead()}")


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def bots(tmp_path):
    with closing(Nursery()) as nursery:
        yield Bots(nursery, tmp_path)


@pytest.mark.timeout(300)
def test_paused_and_stopped_fifty_times_it_ends_every_time(bots):
    """A SIGTERM right after a SIGCONT came to another thread than the main one, which waited
    without end: the process served on until it was killed, 15 times of 20."""

    def life(number: int) -> int:
        bot = bots.another(number)
        bot.send_signal(signal.SIGSTOP)
        until(lambda: stopped(bot.pid))
        bot.send_signal(signal.SIGCONT)
        bot.send_signal(signal.SIGTERM)
        return bot.wait(PATIENCE)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(life, range(TIMES))) == [0] * TIMES
