"""Triggers that open nothing any more: Slack refused them, or whoever used them got no answer."""

import threading
from collections import OrderedDict

REMEMBERED = 1000  # each lives for 3 s

OPENERS = frozenset({"views.open", "views.push"})


class Triggers:
    """Each that was refused, with Slack's code: it is not tried again, whoever has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: OrderedDict[str, str] = OrderedDict()

    def refused(self, trigger: str) -> str:
        """Return Slack's code; nothing: it may be good."""
        return self._refused.get(trigger, "")

    def refuse(self, trigger: str, code: str) -> None:
        with self._lock:
            self._refused[trigger] = code
            if len(self._refused) > REMEMBERED:
                self._refused.popitem(last=False)
