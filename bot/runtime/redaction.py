"""The last line of defence: no known secret leaves the process as text, in whatever form.

What reads a secret says so to `know`. Whoever prints or logs needs to do nothing: `install` stands
before stdout, stderr and uncaught exceptions, and `bot.operations.logs` asks for each line.

A password that is also the user, the host, the database or the schema of its own address, or a word
of Latchkey's own, is no secret by itself: it is blanked only where it stands as the password. Else
sentences would have gaps where they name what is wrong, and the gaps would tell it.
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

# Words that any sentence may have.
_COMMON = frozenset(
    {"database", "latchkey", "password", "postgres", "postgresql", "psycopg", "sandbox", "sqlite"}
)
# The user, the host and the database of a URL; the same and the schema among the options.
_NAMED = re.compile(
    r"://([^:/?#@\s]*)(?::?@([^?#\s]*))?"
    r"|(?:^|[\s?&])(?:user|host|dbname|schema|owner)\s*=\s*'?([^\s&']+)"
)
_ADDRESS = re.compile(r"://[^:/?#\s]*:(.*)@", re.DOTALL)
_SETTING = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)

_forms: tuple[str, ...] = ()  # the longest first: a part of a secret is not all of it
_names = frozenset[str]()  # of them, what is public, too
_lock = threading.Lock()


def know(secret: str) -> None:
    """Let this never be shown: the text itself, and the passwords in it if it is an address."""
    _know(secret, *_passwords(secret), public=_public(secret))


def know_address(address: str) -> None:
    """Let the passwords in it never be shown. Without one, an address is no secret."""
    if "://" not in address:  # then it is none, and may be anything
        know(address)
    elif passwords := tuple(_passwords(address)):
        _know(address, *passwords, public=_public(address))


def redact(text: str) -> str:
    """Return the text with every known secret blanked."""
    for form in _forms:
        if form in text:
            if form in _names:
                text = re.sub(_as_password(form), rf"\1{BLANK}", text, flags=re.IGNORECASE)
            elif len(form) >= WORD:
                text = text.replace(form, BLANK)
            elif form.isalpha() and form.islower():
                text = re.sub(_as_value(form), BLANK, text)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", BLANK, text)
    return text


def _as_password(word: str) -> str:
    """Match it behind what marks a password: in an address, a setting, or a quotation of one."""
    return rf"(://[^:/?#@\s]*:|password[\W_]{{1,6}}){re.escape(word)}(?!\w)"


def _as_value(word: str) -> str:
    """Match what may be a word of a sentence only where it stands as a value."""
    before = r"""(?:(?<=["'`=:])|(?<=earer )|(?<=assword ))"""
    return rf"{before}{word}(?!\w)|(?<!\w){word}(?=@)"


def forget() -> None:
    """Forget every secret, as if nothing had been read yet: what is one in a test is no longer."""
    global _forms, _names
    with _lock:
        _forms, _names = (), frozenset()


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


def _know(*secrets: str, public: frozenset[str]) -> None:
    global _forms, _names  # noqa: PLW0603  (what a process must not say, it must say nowhere)
    found = {form for secret in secrets for form in _in_all_forms(secret)}
    with _lock:
        hidden = {*_forms} - _names  # of another address that has it as its password alone
        _names = (_names | (found & public)) - hidden - (found - public)
        _forms = tuple(sorted({*_forms, *found}, key=len, reverse=True))


def _public(address: str) -> frozenset[str]:
    """Return what sentences about an address name, and what any sentence may say."""
    rest = _ADDRESS.sub(lambda found: f"{found[0].removesuffix(f'{found[1]}@')}@", address)
    named = [name for names in _NAMED.findall(_SETTING.sub(" ", rest)) for name in names if name]
    return _COMMON | {*named, *(word for name in named for word in re.split(r"[^\w.-]", name))}


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
