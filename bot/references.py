"""Where a secret is kept: `env:NAME` or `file:PATH`, in settings and for integrations alike."""

import os
import re
from pathlib import Path

from bot import redaction

MOST = 1 << 16  # bytes of a file

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile("/[^/@][^@]*")  # a whole one, and no address


class BadReferenceError(Exception):
    """A secret is given as `env:NAME` or `file:PATH`, and must be there."""


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
    if not value.strip():
        raise BadReferenceError(f"the environment has no {name}, or it is empty: set it")
    return value


def _from_file(name: str) -> str:
    shown = name if _PATH.fullmatch(name) else "the file"
    try:
        with Path(name).open("rb") as file:
            raw = file.read(MOST + 1)
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
