"""What a method of the Web API is: what it needs, what it may refuse with, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bot.sandbox.events import Events
from bot.sandbox.files import Files
from bot.sandbox.views import Views
from bot.sandbox.workspace import Workspace

__all__ = ["Method", "Site"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """What the methods act on. `new_link` makes a one-use Socket Mode address."""

    workspace: Workspace
    views: Views
    files: Files
    events: Events
    new_link: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Method:
    """`scopes` are alternatives. `form_only` methods do not see a JSON body, as at Slack.

    `errors` are the codes of its own, beside those that every method knows.
    `caller` is whose token it takes: the bot's, the app's own, or none at all. `for_app` is what
    it does with the app's own, where it takes that too.
    """

    run: Callable[[Site, Json], Json]
    tier: str
    required: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    caller: Literal["bot", "app", "anyone"] = "bot"
    per_channel: bool = False
    form_only: bool = False
    for_app: Callable[[Site, Json], Json] | None = None
