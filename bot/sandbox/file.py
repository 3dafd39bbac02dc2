"""A file, as Slack keeps it."""

import mimetypes
import time
from dataclasses import dataclass, field

from bot.sandbox import limits

__all__ = ["File"]

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


@dataclass(slots=True)
class File:
    """`completed` is when its last step was done: Slack knows its type only a moment later."""

    id: str
    name: str
    title: str
    user: str
    size: int
    alt: str = ""
    content: bytes | None = None
    completed: float | None = None
    deleted: bool = False
    given: bool = False  # by a person, in a modal of the app
    channels: list[str] = field(default_factory=list)
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def mimetype(self) -> str:
        """Empty until Slack has looked at it."""
        if self.completed is None or self.content is None:
            return ""
        if time.monotonic() - self.completed < limits.FILE_SECONDS:
            return ""
        for magic, kind in _MAGIC.items():
            if self.content.startswith(magic):
                return kind
        guessed = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        return guessed if not guessed.startswith("image/") else "application/octet-stream"
