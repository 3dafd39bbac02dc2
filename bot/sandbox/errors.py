"""How the sandbox refuses.

    SlackError      to the app: what Slack's Web API answers with `ok: false`
    NotPossible     to a person, or a test: what Slack's own client would not let one do
"""

from collections.abc import Sequence

__all__ = ["NotPossible", "SlackError"]


class SlackError(Exception):
    """Slack's error code, with the sentences that it puts into `response_metadata.messages`."""

    def __init__(self, code: str, messages: Sequence[str] = (), **extra: str) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = list(messages)
        self.extra = extra


class NotPossible(Exception):  # noqa: N818 - it says what it is
    """There is no such button, view, person or channel for this person to act on."""
