"""Where a secret is kept: `env:NAME` or `file:PATH`, in settings and for integrations alike.

What the environment does not have may stand in the file `.env`. Both are read anew at each call.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values

from bot.runtime import redaction
from engine.errors import LatchkeyError
from storage import files

ENV_FILE = ".env"
MOST = 1 << 16  # bytes of a file
WITHIN = 1.0  # seconds that a file may take that was read before

_pipes: dict[str, bytes] = {}  # what came through one comes once
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile("/[^/@][^@]*")  # a whole one, and no address


class BadReferenceError(LatchkeyError):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there."""


class BadEnvFileError(LatchkeyError):
    """`.env` is not read: others can write it, or it is no text. The sentence says what to do."""


def env_file() -> Mapping[str, str]:
    """Return what stands in `.env`; nothing where there is none. Raises BadEnvFileError."""
    file = Path(ENV_FILE)
    try:
        if not file.exists() or file.is_dir():
            return {}
        if fault := files.exposed(file):
            raise BadEnvFileError(f"{file} is not read. {fault}")
        return {name: value or "" for name, value in dotenv_values(file, encoding="utf-8").items()}
    except OSError as fault:
        raise BadEnvFileError(f"{file} cannot be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise BadEnvFileError(f"{file} is not UTF-8: save it as UTF-8.") from None


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
