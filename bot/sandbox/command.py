"""`latchkey sandbox`: everything on one machine, until Ctrl-C."""

import contextlib
import fcntl
import getpass
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.sandbox.house import House
from bot.sandbox.ports import HOST
from bot.sandbox.postgres import Cluster, PostgresError, folder_mode, reachable
from bot.sandbox.protected import AWAY
from bot.sandbox.standing import HOUSE
from storage import files
from storage.files import UnsafePlaceError

__all__ = ["directory", "psql", "serve"]

_CONNECT_SECONDS = 30.0
_LOOK = 0.3  # seconds between looks at whether everything still runs
_OURS = (
    *("postgresql", f"{AWAY}*", "latchkey.db*", "clock*", "key", "slack.json*", f"{HOUSE}*"),
    "latchkey.log",
)


class _NotStartedError(Exception):
    """The text says why, and the cure."""


def directory(given: Path | None) -> Path:
    """Return where everything is kept: beside the code, or where the server can live, if not.

    Others may have made that place, or a link in its stead: `serve` and `psql` look first.
    """
    if given is not None:
        return given.absolute()
    here = Path.cwd() / ".latchkey" / "sandbox"
    if reachable(here) and os.access(Path.cwd(), os.W_OK) and not files.exposed(here):
        return here
    return Path(tempfile.gettempdir()) / f"latchkey-sandbox-{os.getuid()}"


def serve(console: Console, where: Path, *, port: int, fresh: bool) -> int:
    """Run it until Ctrl-C or SIGTERM; return the exit status."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    try:
        files.make_folder(where, folder_mode())
        with _alone(where), contextlib.ExitStack() as closing:
            _need_port(port)
            if fresh:
                forget(where)
            house = _set_up(console, where, port, closing, stopping)
            if house and not stopping.is_set():
                _say_where(console, house, where)
                _watch(console, house, where, stopping)
            console.print("\nStopping …", style="dim")
    except (_NotStartedError, PostgresError, UnsafePlaceError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    console.print("Stopped. The next start finds everything as it was.", style="dim")
    return 0


def _set_up(
    console: Console,
    where: Path,
    port: int,
    closing: contextlib.ExitStack,
    stopping: threading.Event,
) -> House | None:
    with _step(console, "PostgreSQL, with the sample company's data"):
        cluster = Cluster.start(where / "postgresql", port=_former_port(where))
        closing.callback(cluster.stop)
    if stopping.is_set():
        return None
    with _step(console, "A Slack workspace"):
        house = House(where, cluster=cluster, port=port, keep=True)
        closing.callback(house.close)
    with _step(console, "Latchkey, connected to it"):
        house.bot.start()
        _need_connected(house, stopping)
    return house


def _former_port(where: Path) -> int:
    """Logins that were given name the port: it stays, unless somebody else has taken it."""
    port = int(_house(where).get("postgres", {}).get("port", 0))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
    return port


def _need_connected(house: House, stopping: threading.Event) -> None:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while not house.sandbox.links() and not stopping.is_set():
        if not house.bot.running or time.monotonic() > deadline:
            said = "\n".join(house.bot.log.splitlines()[-12:])
            raise _NotStartedError(f"Latchkey did not start:\n{said}")
        stopping.wait(0.05)


def _say_where(console: Console, house: House, where: Path) -> None:
    console.print(f"\n  Open [bold cyan link={house.sandbox.url}]{house.sandbox.url}[/]\n")
    console.print("  Be one of the people there; a second window is a second person.")
    console.print(f"  [dim]In the terminal: latchkey sandbox psql. Data: {escape(str(where))}[/]")
    console.print("  [dim]Ctrl-C stops all of it; --fresh starts anew.[/]")


def _watch(console: Console, house: House, where: Path, stopping: threading.Event) -> None:
    """Start the bot again when it ends, and when its clock goes back, which it itself refuses; do
    to the protected server what the page wishes.
    """
    clock, ahead = where / "clock", 0.0
    while not stopping.wait(_LOOK):
        now = float(clock.read_text() or 0)
        if now < ahead:
            console.print("The clock is back on real time: Latchkey starts again.", style="dim")
            house.bot.stop()
        ahead = now
        house.follow()
        if not house.bot.running:
            house.bot.start()
            stopping.wait(1.0)
        if not house.sandbox.running:
            raise _NotStartedError("The sandbox's server has ended unexpectedly.")


@contextlib.contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    begun = time.monotonic()
    with console.status(f"{what} …"):
        yield
    console.print(f"[green]✓[/] {what} [dim]({time.monotonic() - begun:.1f} s)[/]")


@contextlib.contextmanager
def _alone(where: Path) -> Iterator[IO[str]]:
    """Hold the directory: two sandboxes in one would spoil each other's data."""
    with os.fdopen(files.open_own(where / "lock"), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            running = _house(where).get("url", "another address")
            raise _NotStartedError(
                f"A sandbox runs in {where} already, at {running}. Stop it with Ctrl-C in its"
                " terminal, or give this one a --directory and a --port of its own."
            ) from None
        yield lock


def _need_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OverflowError:
            raise _NotStartedError(f"There is no port {port}: --port is 0 to 65535.") from None
        except OSError as fault:
            raise _NotStartedError(
                f"Port {port} cannot be used: {fault.strerror}. Choose another with --port"
                f" {port + 1}, or --port 0 for any that is free; through make:"
                f' make sandbox ARGS="--port {port + 1}"'
            ) from None


def forget(where: Path) -> None:
    """Remove what the sandbox has made there, and nothing else."""
    for pattern in _OURS:
        for found in where.glob(pattern):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()


def _house(where: Path) -> dict[str, Any]:
    file = where / HOUSE
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


# --- psql ----------------------------------------------------------------------------------------


def psql(console: Console, where: Path, *, user: str, database: str) -> int:
    """Log in to the protected PostgreSQL as a person would, and talk to it."""
    if fault := files.exposed(where):
        console.print(f"What is in {where} is not trusted. {fault}", style="red", markup=False)
        return 1
    house = _house(where)
    if not house:
        console.print(f"No sandbox runs in {where}. Start one: latchkey sandbox", style="red")
        return 1
    host, port = house["postgres"]["host"], str(house["postgres"]["port"])
    if program := shutil.which("psql"):
        os.execv(  # noqa: S606  (psql takes the terminal over)
            program, [program, "-h", host, "-p", port, "-U", user, "-d", database, "-W"]
        )
    login = {"host": host, "port": port, "user": user, "dbname": database}
    try:
        with psycopg.connect(
            "", **login, password=getpass.getpass(), autocommit=True, connect_timeout=5
        ) as connection:
            _prompt(console, connection, database)
    except psycopg.OperationalError as fault:
        console.print(str(fault).strip(), style="red", markup=False)
        return 1
    return 0


def _prompt(console: Console, connection: psycopg.Connection, database: str) -> None:
    console.print("There is no psql here. A statement ends with ; and Ctrl-D ends this.")
    statement = ""
    while not connection.closed:
        try:
            line = input(f"{database}{'->' if statement else '=>'} ")
        except (EOFError, KeyboardInterrupt):
            return
        statement += f"{line}\n"
        if line.rstrip().endswith(";"):
            _run(console, connection, statement)
            statement = ""


def _run(console: Console, connection: psycopg.Connection, statement: str) -> None:
    try:
        cursor = connection.execute(statement.encode())
    except psycopg.Error as fault:
        console.print(str(fault).strip(), style="red", markup=False)
        return
    if cursor.description:
        table = Table(*(escape(column.name) for column in cursor.description))
        for row in cursor:
            table.add_row(*(escape("" if value is None else str(value)) for value in row))
        console.print(table)
    console.print(cursor.statusmessage or "", style="dim")
