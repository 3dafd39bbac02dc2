"""The last line of defence: no known secret leaves the process as text, in whatever form.

What reads a secret says so to `know`. Whoever prints or logs needs to do nothing: `install` stands
before stdout, stderr and uncaught exceptions, and `bot.operations.logs` asks for each line.
"""

import base64
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus, unquote

__all__ = ["forget", "install", "know", "know_address", "redact"]

BLANK = "(secret)"
WORD = 8  # characters; what is shorter is blanked only where it stands as a word of its own
LEAST = 3  # characters; the pieces of an address that are shorter say nothing

_ADDRESS = re.compile(r"://[^:/?#\s]*:(.*)@", re.DOTALL)
_SETTING = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)

_forms: tuple[str, ...] = ()  # the longest first: a part of a secret is not all of it
_lock = threading.Lock()


def know(secret: str) -> None:
    """Let this never be shown: the text itself, and the passwords in it if it is an address."""
    _know(secret, *_passwords(secret))


def know_address(address: str) -> None:
    """Let the passwords in it never be shown. Without one, an address is no secret."""
    if "://" not in address:  # then it is none, and may be anything
        know(address)
    elif passwords := tuple(_passwords(address)):
        _know(address, *passwords)


def redact(text: str) -> str:
    """Return the text with every known secret blanked."""
    for form in _forms:
        if form in text:
            if len(form) >= WORD:
                text = text.replace(form, BLANK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", BLANK, text)
    return text


def forget() -> None:
    """Forget every secret, as if nothing had been read yet: what is one in a test is no longer."""
    global _forms  # noqa: PLW0603  (see `_know`)
    with _lock:
        _forms = ()


def install() -> None:
    """Stand before all that this process prints."""
    if sys.stdout:  # none, where it was closed before the start
        sys.stdout = _Redacted(sys.stdout)
    if sys.stderr:
        sys.stderr = _Redacted(sys.stderr)
    sys.excepthook = _print
    threading.excepthook = _print_from_thread


class _Redacted:
    """A stream that blanks what is written to it, and is otherwise the one that it stands for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self._stream.write(redact("".join(lines)))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _print(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    # At once: written in pieces, a secret could pass in two of them.
    if sys.stderr:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _print_from_thread(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_type is not SystemExit:
        _print(fault.exc_type, fault.exc_value, fault.exc_traceback)


def _know(*secrets: str) -> None:
    global _forms  # noqa: PLW0603  (what a process must not say, it must say nowhere)
    found = {form for secret in secrets for form in _in_all_forms(secret)}
    with _lock:
        _forms = tuple(sorted({*_forms, *found}, key=len, reverse=True))


def _passwords(text: str) -> Iterator[str]:
    """Yield what may be a password in an address, also in one that is not well-formed."""
    for found in _ADDRESS.findall(text):
        yield found
        # An @ or a slash that should have been written as %40 ends the password, for whoever
        # reads it, who then says that there is no such host.
        yield from re.split(r"[@:/?#]", found)
    for found in _SETTING.findall(text):
        yield found
        yield re.sub(r"\\(.)", r"\1", found.strip("'"))


def _in_all_forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as libraries quote it; and each of these in a line of JSON."""
    for text in {secret, secret.strip(), unquote(secret)}:
        if len(text) >= LEAST:
            for quoted in _quoted(text):
                yield quoted
                yield json.dumps(quoted)[1:-1]
                yield json.dumps(quoted, ensure_ascii=False)[1:-1]


def _quoted(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "surrogatepass")
    yield text
    yield from (repr(text)[1:-1], repr(raw)[2:-1], ascii(text)[1:-1])
    yield from (quote(raw), quote(raw, safe=""), quote_plus(raw))
    yield from (text.replace("'", "''"), text.replace("\\", "\\\\").replace("'", "\\'"))
    yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield it in base64, alone, and as it looks behind one or two other bytes."""
    for before in range(3):
        # Only the characters that come from the secret alone.
        whole = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        sure = whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6].decode()
        if len(sure) >= WORD:
            yield sure
            yield sure.translate(str.maketrans("+/", "-_"))
