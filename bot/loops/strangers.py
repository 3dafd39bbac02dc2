"""Keeps for `doctor`, which opens no link, how many sockets others hold, and since when."""

import time
from contextlib import suppress

from bot.runtime.services import Services
from bot.slack.strangers import Crowd
from storage import claims
from storage.claims import InstanceId
from storage.database import AWAY

__all__ = ["Strangers"]


class Strangers:
    """What this process was told last is stored once."""

    def __init__(self, services: Services, crowd: Crowd) -> None:
        self._services = services
        self._crowd = crowd
        self._told = (InstanceId(0), 0.0, 0)

    def look(self) -> None:
        """Compare, and store what is new."""
        database, me = self._services.database, self._services.instance
        with suppress(*AWAY):
            with database.read() as session:
                sockets = claims.sockets(session)
            at = self._crowd.look(sockets.explained, sockets.age)
            if at is None:
                return
            strangers = self._crowd.strangers
            told = me, at, strangers
            if told != self._told:
                with database.write(urgent=True) as tx:
                    claims.tell_strangers(tx, me, strangers, time.monotonic() - at)
            self._told = told
