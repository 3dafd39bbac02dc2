"""Keeps for `doctor`, which opens no link, how many sockets others hold, and since when."""

import time
from contextlib import suppress

from bot.runtime.services import Services
from bot.slack.strangers import Crowd
from bot.usecases import instance
from storage.database import AWAY

__all__ = ["Strangers"]


class Strangers:
    """What this process was told last is stored once."""

    def __init__(self, services: Services, crowd: Crowd) -> None:
        self._services = services
        self._crowd = crowd
        self._told = (0, 0.0, 0)

    def look(self) -> None:
        """Compare, and store what is new."""
        with suppress(*AWAY):
            sockets = instance.sockets(self._services)
            at = self._crowd.look(sockets.explained, sockets.age)
            if at is None:
                return
            strangers = self._crowd.strangers
            told = self._services.instance, at, strangers
            if told != self._told:
                instance.tell_strangers(self._services, strangers, time.monotonic() - at)
            self._told = told
