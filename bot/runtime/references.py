"""Where a secret is kept: `env:NAME` or `file:PATH`, in settings and for integrations alike.

What the environment does not have may stand in the file `.env`. Both are read anew at each call.
"""

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Generic, TypeVar

from dotenv import dotenv_values
from dotenv.parser import Binding, Original, parse_stream

from bot.runtime import redaction
from engine.errors import LatchkeyError
from storage import files

T = TypeVar("T")

ENV_FILE = ".env"
MOST = 1 << 16  # bytes of a file
BAD_LINES = 10  # of `.env` that are named
WITHIN = 1.0  # seconds that a file may take that was read before
FIRST_WITHIN = 10.0  # seconds that any other may take, and `.env` at first

_SILENT = (
    "gives nothing: it is a pipe that nobody fills, or its disk hangs. Fill the pipe, mount the "
    "disk anew, or choose another place"
)
_pipes: dict[str, bytes] = {}  # what came through one comes once
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_SWALLOWED = re.compile(r"^\s*(export\s+)?(LATCHKEY|SLACK)_\w+\s*=", re.MULTILINE | re.IGNORECASE)
_PATH = re.compile("/[^/@][^@]*")  # a whole one, and no address


class BadReferenceError(LatchkeyError):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there. Or `.env` cannot be read.

    The sentence says what to do.
    """


def env_file() -> Mapping[str, str]:
    """Return what stands in `.env`, or stood there when it could be read last.

    Of a line that cannot be read, what stood there before. Nothing where there is no `.env`.
    Raises BadReferenceError where it could not be read yet.
    """
    return _the_env_file().get().given


def env_fault() -> str:
    """Return why `.env` cannot be read now, and how to cure it; empty: it can, or there is none.

    Some of its lines may be read all the same.
    """
    file = _the_env_file()
    with suppress(BadReferenceError):
        found = file.get()
        return file.fault or found.fault
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
        self._until = 0.0  # when it will have taken too long
        self.fault = ""

    def get(self) -> T:
        """Raises BadReferenceError while it could not be read yet."""
        with self._lock:
            reading = self._under_way
            if reading is None or not reading.is_alive():
                reading = threading.Thread(target=self._look, name=self._name, daemon=True)
                self._under_way = reading
                within = FIRST_WITHIN if self._found is None else WITHIN
                self._until = time.monotonic() + within
                reading.start()
            until = self._until
        reading.join(max(0.0, until - time.monotonic()))
        if reading.is_alive():
            self.fault = f"{self._name} {_SILENT}."
        if self._found is None:
            raise BadReferenceError(self.fault)
        return self._found

    def _look(self) -> None:
        try:
            self._found, self.fault = self._read(), ""
        except (ValueError, LatchkeyError) as fault:
            self.fault = str(fault)


@dataclass(frozen=True, slots=True)
class _Lines:
    """What `.env` gives. `fault`: which lines cannot be read, and how to cure it."""

    given: Mapping[str, str]
    fault: str = ""


class _EnvFile(LastRead[_Lines]):
    def __init__(self, file: Path) -> None:
        super().__init__(lambda: _parsed(file, self._found), name=file.name)


def _parsed(file: Path, before: _Lines | None) -> _Lines:
    try:
        file.lstat()
    except FileNotFoundError:
        return _Lines({})
    except OSError as why:
        raise BadReferenceError(f"{file.name} cannot be read: {why.strerror}.") from None
    try:
        if not file.exists():
            raise BadReferenceError(
                f"{file.name} is a link that leads nowhere: correct it, or remove it."
            )
        if file.is_dir():
            raise BadReferenceError(
                f"{file.name} is a folder (Docker makes one where the file to mount is missing): "
                "remove it, and put the file there."
            )
        if fault := files.exposed(file):
            raise BadReferenceError(f"{file.name} is not read. {fault}")
        raw = _read(file)
        if len(raw) > MOST:
            raise BadReferenceError(f"{file.name} is not read: it is over {MOST:,} bytes.")
        text = StringIO(raw.decode("utf-8-sig"), newline=None).read()
    except OSError as fault:
        raise BadReferenceError(f"{file.name} cannot be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise BadReferenceError(f"{file.name} is not UTF-8: save it as UTF-8.") from None
    return _lines(text, file.name, before.given if before else {})


def _lines(text: str, name: str, before: Mapping[str, str]) -> _Lines:
    """Return what the good lines give. What a bad one may have been meant for stays as before."""
    statements = list(parse_stream(StringIO(text)))
    bad = [each.original for each in statements if _is_bad(each)]
    good = dotenv_values(
        stream=StringIO("".join(s.original.string for s in statements if not _is_bad(s)))
    )
    if not bad:
        return _Lines({name: value or "" for name, value in good.items()})
    meant = {word.upper() for each in bad for word in _NAME.findall(each.string)}
    given = {n: v or "" for n, v in good.items() if n.upper() not in meant}
    kept = {n: v for n, v in before.items() if n.upper() in meant}
    lines = ", ".join(str(_line_of(each)) for each in bad[:BAD_LINES])
    more = ", …" if len(bad) > BAD_LINES else ""
    what = f"line {lines} is" if len(bad) == 1 else f"lines {lines}{more} are"
    return _Lines(
        {**kept, **given},
        f"{name}: {what} no NAME=value: the = may be missing, a quote not closed, or there is a "
        "sign before the = that no name has. Correct it.",
    )


def _is_bad(statement: Binding) -> bool:
    """Tell whether it says nothing, or may have swallowed a setting: a quote is not closed."""
    name, value = statement.key, statement.value
    if name is None:
        return statement.error
    return value is None or not _NAME.fullmatch(name) or bool(_SWALLOWED.search(value))


def _line_of(statement: Original) -> int:
    """Return where it begins: what is blank before it belongs to it."""
    text = statement.string
    return statement.line + text.count("\n", 0, len(text) - len(text.lstrip()))


_env_files: dict[Path, _EnvFile] = {}


def _the_env_file() -> _EnvFile:
    file = Path(ENV_FILE).absolute()
    return _env_files.setdefault(file, _EnvFile(file))


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


@dataclass(frozen=True, slots=True)
class _Look:
    """A file that is being read. `until`: when who waits for it gives up, by time.monotonic()."""

    found: Future[bytes]
    until: float


_looks: dict[str, _Look] = {}  # the last one, by the file
_lock = threading.Lock()


def begin(references: Iterable[str]) -> None:
    """Begin to read those that are files: who resolves them waits for all that hang at once."""
    for reference in references:
        kind, _, name = reference.partition(":")
        if kind == "file":
            _begun(name)


def _begun(name: str) -> _Look:
    """Return the look at a file that is under way, or a new one: one that hangs keeps one thread.

    Nobody waits again for what did not come in time.
    """
    with _lock:
        look = _looks.get(name)
        if look is None or look.found.done():
            look = _looks[name] = _Look(Future(), time.monotonic() + FIRST_WITHIN)
            threading.Thread(
                target=_fill, args=(name, look.found), name=f"read file:{name}", daemon=True
            ).start()
    return look


def _fill(name: str, found: Future[bytes]) -> None:
    try:
        found.set_result(_read(Path(name)))
    except (OSError, ValueError) as fault:
        found.set_exception(fault)


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
        look = _begun(name)
        raw = look.found.result(max(0.0, look.until - time.monotonic()))
        value = raw.decode()
    except TimeoutError:
        raise BadReferenceError(f"{shown} {_SILENT}") from None
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
