"""How the sandbox refuses: the app with Slack's error codes, people with a plain sentence."""

from collections.abc import Sequence
from typing import Any

__all__ = ["NotPossible", "SlackError"]


class SlackError(Exception):
    """Slack's error code, with the sentences that it puts into `response_metadata.messages`."""

    def __init__(self, code: str, messages: Sequence[str] = (), **extra: Any) -> None:  # noqa: ANN401
        super().__init__(code, *messages)
        self.code = code
        self.messages = list(messages)
        self.extra = extra


class NotPossible(Exception):  # noqa: N818 - it says what it is
    """Slack's own client gives this person no such button, view, command or channel."""
