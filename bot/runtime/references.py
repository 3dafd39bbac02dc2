"""Where a secret is kept: `env:NAME` or `file:PATH`, in settings and for integrations alike.

What the environment does not have may stand in the file `.env`. Both are read anew at each call.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from bot.runtime import redaction
from engine.errors import LatchkeyError
from storage import files

ENV_FILE = ".env"
MOST = 1 << 16  # bytes of a file
WITHIN = 1.0  # seconds that a file may take that was read before
FIRST_WITHIN = 10.0  # seconds that `.env` may take at first

_pipes: dict[str, bytes] = {}  # what came through one comes once
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile("/[^/@][^@]*")  # a whole one, and no address


class BadReferenceError(LatchkeyError):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there."""


class BadEnvFileError(LatchkeyError):
    """`.env` is not read: others can write it, or it is no text. The sentence says what to do."""


def env_file() -> Mapping[str, str]:
    """Return what stands in `.env`, or stood there when it could be read last.

    Nothing where there is none. Raises BadEnvFileError where it could not be read yet.
    """
    return _the_env_file().read()


def env_fault() -> str:
    """Return why `.env` cannot be read now, and how to cure it; empty: it can, or there is none."""
    file = _the_env_file()
    with suppress(BadEnvFileError):
        file.read()
    return file.fault


class _EnvFile:
    """Reads `.env` in a thread: a pipe that gives nothing, or a disk that hangs, keeps one, and
    holds up who asks for some seconds once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._under_way: threading.Thread | None = None
        self._found: Mapping[str, str] | None = None
        self.fault = ""

    def read(self) -> Mapping[str, str]:
        with self._lock:
            begins = self._under_way is None or not self._under_way.is_alive()
            if self._under_way is None or begins:
                self._under_way = threading.Thread(target=self._look, name=ENV_FILE, daemon=True)
                self._under_way.start()
            reading = self._under_way
        if begins:
            reading.join(FIRST_WITHIN if self._found is None else WITHIN)
        if reading.is_alive():
            said = "it is a pipe that nobody fills, or its disk hangs"
            self.fault = f"{self._file.name} gives nothing: {said}."
        if self._found is None:
            raise BadEnvFileError(self.fault)
        return self._found

    def _look(self) -> None:
        try:
            self._found, self.fault = self._parsed(), ""
        except BadEnvFileError as fault:
            self.fault = str(fault)

    def _parsed(self) -> Mapping[str, str]:
        name = self._file.name
        try:
            if not self._file.exists() or self._file.is_dir():
                return {}
            if fault := files.exposed(self._file):
                raise BadEnvFileError(f"{name} is not read. {fault}")
            raw = _read(self._file)
            if len(raw) > MOST:
                raise BadEnvFileError(f"{name} is not read: it is over {MOST:,} bytes.")
            named = dotenv_values(stream=StringIO(raw.decode("utf-8-sig")))
        except OSError as fault:
            raise BadEnvFileError(f"{name} cannot be read: {fault.strerror}.") from None
        except UnicodeDecodeError:
            raise BadEnvFileError(f"{name} is not UTF-8: save it as UTF-8.") from None
        return {name: value or "" for name, value in named.items()}


_env_files: dict[Path, _EnvFile] = {}


def _the_env_file() -> _EnvFile:
    file = Path(ENV_FILE).absolute()
    return _env_files.setdefault(file, _EnvFile(file))


class Anew:
    """Reads a reference again, in a thread: a disk that hangs keeps one, and holds up who asks for
    `WITHIN` once.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._lock = threading.Lock()
        self._last = ""
        self._under_way: _Reading | None = None

    def read(self, first: str, sound: Callable[[str], str | None]) -> str:
        """Return what it says now, as `sound` makes it; what was read last if that raises
        ValueError, cannot be read or takes too long. `first`: what was read at the start.
        """
        with self._lock:
            reading = self._under_way
            begins = reading is None or not reading.is_alive()
            if reading is None or begins:
                reading = self._under_way = _Reading(self._reference)
                reading.start()
        if begins:
            reading.join(WITHIN)
        with suppress(ValueError):
            if reading.found and (now := sound(reading.found)):
                self._last = now
        return self._last or first


class _Reading(threading.Thread):
    def __init__(self, reference: str) -> None:
        super().__init__(name="secret", daemon=True)
        self._reference, self.found = reference, ""

    def run(self) -> None:
        with suppress(BadReferenceError):
            self.found = resolve(self._reference)


def is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:"))


def resolve(reference: str) -> str:
    """Return the secret, without white space around it. Raises BadReferenceError.

    The error quotes no more of the reference than can be no secret: some put that itself there.
    """
    kind, _, name = reference.partition(":")
    match kind:
        case "env":
            value = _from_environment(name)
        case "file":
            value = _from_file(name)
        case _:
            raise BadReferenceError("give a secret as env:NAME or file:PATH")
    redaction.know(value)
    return value.strip()


def _from_environment(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadReferenceError("what follows env: is no name of a variable; give env:NAME")
    value = os.environ.get(name, "")
    if value.strip():
        return value
    try:
        value = env_file().get(name, "")
    except BadEnvFileError as fault:
        raise BadReferenceError(f"the environment has no {name}, and {fault}") from None
    if not value.strip():
        raise BadReferenceError(f"the environment has no {name}, or it is empty: set it")
    return value


def _read(file: Path) -> bytes:
    if raw := _pipes.get(str(file)):
        return raw
    with file.open("rb") as opened:
        raw = opened.read(MOST + 1)
        if stat.S_ISFIFO(os.fstat(opened.fileno()).st_mode):
            _pipes[str(file)] = raw
    return raw


def _from_file(name: str) -> str:
    shown = name if _PATH.fullmatch(name) else "the file"
    try:
        raw = _read(Path(name))
        value = raw.decode()
    except OSError as fault:
        raise BadReferenceError(
            f"{shown} cannot be read: {fault.strerror}. Give the whole path of a file that "
            "Latchkey may read, like file:/run/secrets/NAME"
        ) from None
    except ValueError:  # no UTF-8, or no path
        raise BadReferenceError(f"{shown} is no UTF-8 text: put the secret there as text") from None
    if len(raw) > MOST:
        raise BadReferenceError(f"{shown} is over {MOST:,} bytes: that is no secret")
    if not value.strip():
        raise BadReferenceError(f"{shown} is empty: put the secret there")
    return value
