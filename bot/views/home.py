"""The app's Home tab."""

from collections.abc import Sequence

from bot.views import lists
from bot.views.blocks import context, divider, section
from bot.views.values import Scene, View

_BLOCKS = 100


def home(tasks: Sequence[Scene], mine: Sequence[Scene]) -> View:
    """Show what waits for the viewer's decision, and what they have and wait for."""
    waiting = lists.tasks(tasks).blocks if tasks else []
    blocks = [*waiting, *([divider()] if waiting else []), *lists.my_blocks(mine)]
    last = [divider(), *lists.ask_button(), context("`/access help` lists what you can do.")]
    return {"type": "home", "blocks": [*blocks[: _BLOCKS - len(last)], *last]}


def closed(sentence: str) -> View:
    """Say why there is nothing to show. The sentence is mrkdwn."""
    return {"type": "home", "blocks": [section(sentence)]}
