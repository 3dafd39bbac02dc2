"""Bots and commands as forks of one process that has imported everything, and had SQLAlchemy write
most of what is asked of SQLite, so that a start is not mostly that.

That process has no threads and has nothing open: what it forks begins where `latchkey` does
after its imports, and is a process of its own, to be killed. What a fresh interpreter does
differently, such as its first imports and what it makes of its standard streams, has tests that
start one.
"""

import atexit
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

from bot.sandbox.house import Bot
from engine.commands import Return

ROOT = Path(__file__).parents[2]


class Nursery:
    """The process that forks. Closing it ends it, and what it has forked.

    `env`: what is in its environment besides; what is loaded by that stays in the forks.
    """

    def __init__(self, env: Mapping[str, str] = MappingProxyType({})) -> None:
        self.env = env
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery"],
            cwd=ROOT,
            env={**os.environ, **self.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate()

    def run(
        self, *arguments: str, env: Mapping[str, str], cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run `latchkey` with the arguments, in nothing but this environment, to its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            out.touch(), err.touch()
            pid = self.ask(
                env={**env, **self.env},
                log=str(err),
                told=str(out),
                command=arguments,
                cwd=str(cwd),
            )
            status = Child(self, pid).wait()
            return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


class Child:
    """A fork, with as much of `subprocess.Popen` as a `Bot` needs."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self._status: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        if self._status is None:
            self._status = self._nursery.ask(poll=self.pid)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        give_up = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if give_up and time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("latchkey", timeout or 0)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Forked(Bot):
    """A bot that the nursery starts."""

    def __init__(self, nursery: Nursery, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._nursery = nursery

    def start(self) -> None:
        self.check_stopped()
        pid = self._nursery.ask(
            env={**self.env, **self._nursery.env},
            log=str(self._log),
            told=str(self._told),
            command=self._command,
            cwd=str(self.cwd),
        )
        self._process = Child(self._nursery, pid)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._nursery.run(*arguments, env={**self.env, "COLUMNS": "200"}, cwd=self.cwd)


@cache
def shared() -> Nursery:
    """Return the one of all tests in this process."""
    made = Nursery()
    atexit.register(made.close)
    return made


def latchkey(
    *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with these settings and no others."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "LATCHKEY_"))}
    return shared().run(*arguments, env={**clean, **env}, cwd=cwd or ROOT)


def serve() -> None:
    """Fork and poll, an order a line, until nobody gives orders any more."""
    import bot.cli
    import bot.usecases.doctor
    import bot.usecases.export
    import bot.wiring
    from manifests.kinds import KINDS
    from storage import schema

    assert bot.cli
    assert bot.wiring
    for kind in KINDS.values():
        resolve_name(kind.connector)
    schema.newest()
    _compile()
    gc.freeze()
    children, ended = set[int](), dict[int, int]()
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            asked = order["poll"]
            if asked in children:
                pid, status = os.waitpid(asked, os.WNOHANG)
                if pid:
                    children.discard(pid)
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(asked)
        else:
            answer = os.fork() or _live(**order)
            children.add(answer)
            ended.pop(answer, None)
        print(json.dumps(answer), flush=True)  # noqa: T201
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _compile() -> None:
    """Have SQLAlchemy write, once for all forks, what a bot asks of SQLite."""
    from tests.support.stored import Stored

    with tempfile.TemporaryDirectory() as folder:
        stored = Stored.founded(f"sqlite:///{folder}/latchkey.db")
        request = stored.submit()
        stored.converge()
        stored.send()
        stored.do(request, Return(request.requestor))
        stored.converge()
        stored.close()


def _live(
    env: dict[str, str], log: str, told: str, command: list[str], cwd: str = str(ROOT)
) -> int:
    from bot.__main__ import main

    status = 1
    try:
        os.setsid()
        ours = os.open(os.devnull, os.O_RDONLY), _to(told), _to(log)
        for number, file in enumerate(ours):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        os.chdir(cwd)
        random.seed()
        sys.argv = ["latchkey", *command]
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201  (as the interpreter does)
    except BaseException:  # noqa: BLE001  (as any program, it tells, and ends)
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):  # whoever read it has gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _to(file: str) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


if __name__ == "__main__":
    serve()
