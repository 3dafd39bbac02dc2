"""Everything on one machine: the Slack sandbox, a PostgreSQL to protect, and the bot beside them.

The bot runs as in production, in its own process; only addresses and keys are given to it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.sandbox import ports
from bot.sandbox.client import Sandbox
from bot.sandbox.postgres import Cluster, folder_mode
from bot.sandbox.protected import AWAY
from bot.sandbox.standing import HOUSE
from storage import files
from storage.secrets import new_key

MANIFESTS = Path(__file__).parents[2] / "manifests"
COMPANY = MANIFESTS / "sandbox"
STOP_SECONDS = 12.0
_SOCKETS = "SLACK_APP_TOKEN"


class Bot:
    """`latchkey run` as a process that can be killed and started again."""

    def __init__(
        self,
        env: dict[str, str],
        log: Path,
        *,
        listen: str | None = None,
        probes: str | None = None,
        http: bool = False,
    ) -> None:
        self.settings = env
        self._command = ["run", "--http"] if http else ["run"]
        own = {"LATCHKEY_HTTP": listen, "LATCHKEY_PROBES": probes}
        self.env = {**os.environ, **env, **{k: v for k, v in own.items() if v}}
        self.cwd = Path(__file__).parents[2]  # where `.env` would be
        self._log = log
        self._told = log.with_suffix(".out")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the bot was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Raises RuntimeError: it runs, and would be left to itself."""
        self.check_stopped()
        with files.append(self._log) as log, files.append(self._told) as told:
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-m", "bot", *self._command],
                env=self.env,
                cwd=self.cwd,
                stdout=told,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for whoever started this, who stops it
            )

    def check_stopped(self) -> None:
        if self.running:
            raise RuntimeError(f"the bot runs already, as process {self.pid}")

    def wait(self, timeout: float) -> int:
        """Wait for the process to end by itself, or by somebody's signal."""
        if self._process is None:
            raise RuntimeError("the bot was not started")
        return self._process.wait(timeout)

    def signal(self, number: int) -> None:
        """Send it a signal, and do not wait for what comes of it."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another of Latchkey's commands with the same settings."""
        return subprocess.run(  # noqa: S603  (our own program)
            [sys.executable, "-m", "bot", *arguments],
            env={**self.env, "COLUMNS": "200"},
            cwd=self.cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def told(self) -> str:
        """What it has said to whoever started it."""
        return self._told.read_text() if self._told.exists() else ""


class House:
    """Opens all of it in a directory; leaving the block closes it. Data stays in the directory,
    in which nobody else may write: else it raises UnsafePlaceError.

    `database` is where Latchkey keeps its own state: SQLite in the directory, if none is given.
    `dsn` is how Latchkey reaches the protected PostgreSQL, if not straight. `http`: Slack posts its
    events, and there is no Socket Mode. Either way the bot tells at `url` whether it is well, and
    at `probes` why it is not. `keep`: what was said in Slack stays in the directory too.
    `make_bot`: what starts the bot, if not `Bot`. The page's wish that the protected PostgreSQL be
    away is followed by whoever calls `follow`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        company: Path = COMPANY,
        rate_factor: float = 1.0,
        cluster: Cluster | None = None,
        database: str | None = None,
        dsn: str | None = None,
        http: bool = False,
        port: int = 0,
        keep: bool = False,
        make_bot: Callable[..., Bot] = Bot,
    ) -> None:
        files.make_folder(directory, folder_mode())
        clock = directory / "clock"
        self._away = directory / AWAY
        self._away.unlink(missing_ok=True)
        self._own_cluster = cluster is None
        self.cluster = cluster or Cluster.start(directory / "postgresql")
        listen, probes = (f"127.0.0.1:{port}" for port in ports.free(2))
        self.url, self.probes = f"http://{listen}", f"http://{probes}"
        self.sandbox = Sandbox.start(
            manifest=MANIFESTS / "slack-app.yaml",
            workspace=company / "workspace.yaml",
            clock=clock,
            rate_factor=rate_factor,
            events_url=f"{self.url}/slack/events" if http else None,
            port=port,
            state=directory if keep else None,
        )
        self.database = database or f"sqlite:///{directory / 'latchkey.db'}"
        self.bot = make_bot(
            {
                **{k: v for k, v in self.sandbox.env().items() if not http or k != _SOCKETS},
                "LATCHKEY_DATABASE_URL": self.database,
                "LATCHKEY_KEYS": _key(directory / "key"),
                "LATCHKEY_MANIFESTS": str(company),
                "LATCHKEY_CLOCK_FILE": str(clock),
                "LATCHKEY_INSTALLATION": "sandbox",
                "LATCHKEY_SANDBOX_PG": dsn or self.cluster.latchkey_dsn(),
            },
            directory / "latchkey.log",
            listen=listen,
            probes=probes,
            http=http,
        )
        if keep:
            self._tell(directory / HOUSE)

    def _tell(self, file: Path) -> None:
        """Tell the page, and `latchkey sandbox psql`, where everything is."""
        about = {
            "url": self.sandbox.url,
            "settings": self.bot.settings,
            "postgres": {"host": self.cluster.host, "port": self.cluster.port},
        }
        files.replace(file, json.dumps(about))

    def follow(self) -> None:
        """Stop the protected server, or start it again, if the page wishes so."""
        if self._away.exists():
            self.cluster.stop()
        elif self.cluster.pid is None:
            self.cluster.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.bot.stop()
        self.sandbox.stop()
        if self._own_cluster:
            self.cluster.stop()


def _key(file: Path) -> str:
    if not file.exists():
        files.create(file, new_key())
    return file.read_text()
