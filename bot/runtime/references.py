"""Where a secret is kept: `env:NAME` or `file:PATH`, in settings and for integrations alike.

What the environment does not have may stand in the file `.env`. Both are read anew at each call.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Generic, TypeVar

from dotenv import dotenv_values

from bot.runtime import redaction
from engine.errors import LatchkeyError
from storage import files

T = TypeVar("T")

ENV_FILE = ".env"
MOST = 1 << 16  # bytes of a file
WITHIN = 1.0  # seconds that a file may take that was read before
FIRST_WITHIN = 10.0  # seconds that `.env` may take at first

_pipes: dict[str, bytes] = {}  # what came through one comes once
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile("/[^/@][^@]*")  # a whole one, and no address


class BadReferenceError(LatchkeyError):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there. Or `.env` cannot be read.

    The sentence says what to do.
    """


def env_file() -> Mapping[str, str]:
    """Return what stands in `.env`, or stood there when it could be read last.

    Nothing where there is none. Raises BadReferenceError where it could not be read yet.
    """
    return _the_env_file().get()


def env_fault() -> str:
    """Return why `.env` cannot be read now, and how to cure it; empty: it can, or there is none."""
    file = _the_env_file()
    with suppress(BadReferenceError):
        file.get()
    return file.fault


class LastRead(Generic[T]):
    """What is read anew at each call, in a thread. While it cannot be read, it is what it was.

    A pipe that gives nothing, or a disk that hangs, keeps that thread, and holds up who asks for
    some seconds once. `fault` says why it cannot be read now; empty: it can.
    """

    def __init__(self, read: Callable[[], T], *, name: str, first: T | None = None) -> None:
        """`read` raises a ValueError or a LatchkeyError. `first`: what was read before."""
        self._read = read
        self._name = name
        self._found = first
        self._lock = threading.Lock()
        self._under_way: threading.Thread | None = None
        self.fault = ""

    def get(self) -> T:
        """Raises BadReferenceError while it could not be read yet."""
        with self._lock:
            reading = self._under_way
            begins = reading is None or not reading.is_alive()
            if reading is None or begins:
                reading = threading.Thread(target=self._look, name=self._name, daemon=True)
                self._under_way = reading
                reading.start()
        if begins:
            reading.join(FIRST_WITHIN if self._found is None else WITHIN)
        if reading.is_alive():
            self.fault = (
                f"{self._name} gives nothing: it is a pipe that nobody fills, or its disk hangs."
            )
        if self._found is None:
            raise BadReferenceError(self.fault)
        return self._found

    def _look(self) -> None:
        try:
            self._found, self.fault = self._read(), ""
        except (ValueError, LatchkeyError) as fault:
            self.fault = str(fault)


def _parsed(file: Path) -> Mapping[str, str]:
    try:
        if not file.exists() or file.is_dir():
            return {}
        if fault := files.exposed(file):
            raise BadReferenceError(f"{file.name} is not read. {fault}")
        raw = _read(file)
        if len(raw) > MOST:
            raise BadReferenceError(f"{file.name} is not read: it is over {MOST:,} bytes.")
        named = dotenv_values(stream=StringIO(raw.decode("utf-8-sig")))
    except OSError as fault:
        raise BadReferenceError(f"{file.name} cannot be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise BadReferenceError(f"{file.name} is not UTF-8: save it as UTF-8.") from None
    return {name: value or "" for name, value in named.items()}


_env_files: dict[Path, LastRead[Mapping[str, str]]] = {}


def _the_env_file() -> LastRead[Mapping[str, str]]:
    file = Path(ENV_FILE).absolute()
    return _env_files.setdefault(file, LastRead(partial(_parsed, file), name=file.name))


def is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:"))


def shown(reference: str) -> str:
    """Return as much of a reference as can be no secret: some put that itself there."""
    kind, _, name = reference.partition(":")
    fits = {"env": _NAME, "file": _PATH}.get(kind)
    return reference if fits and fits.fullmatch(name) else "a secret"


def resolve(reference: str) -> str:
    """Return the secret, without white space around it. Raises BadReferenceError.

    The error quotes no more of the reference than `shown` does.
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
    except BadReferenceError as fault:
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
