"""Keeps the connected systems in line with what is stored, whichever replica has stored it."""

import time

from bot.runtime.connectors import Systems
from bot.runtime.services import Services
from bot.usecases import plan, systems
from bot.usecases.alarms import Alarms
from engine import alarms
from storage.servers import Connection

__all__ = ["SystemsFollower"]

PATIENCE = 5.0  # seconds that the start waits for systems to be set up
LOOK = 60.0  # seconds between two looks for access that has to end where nothing can be done


class SystemsFollower:
    """`follow` is to be called each second. What the database raises passes through."""

    def __init__(self, services: Services, connected: Systems) -> None:
        self._services = services
        self._systems = connected
        self._epoch = -1
        self._alarms = Alarms(services)
        self._looked = float("-inf")

    def begin(self) -> None:
        """Set up all that can be set up, without waiting for what hangs. It writes nothing."""
        self._bring_in_line()
        self._systems.settle(PATIENCE)

    def follow(self) -> None:
        self._bring_in_line()
        if fresh := self._systems.fresh():
            plan.systems(self._services, fresh)
            self._systems.planned(fresh)
        out_of_order = self._systems.out_of_order()
        for system, why in out_of_order:
            if system.listed:
                self._tell(system, why)
            else:  # what is left of one that is gone is told where it has to end
                self._alarms.well(f"system/{system.id}")
        for id_ in self._systems.keys() - {system.id for system, _ in out_of_order}:
            self._alarms.well(f"system/{id_}")
            self._alarms.well(f"ends/{id_}")
        if out_of_order and time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            for system, why in out_of_order:
                self._tell_of_ends(system, why)

    def _bring_in_line(self) -> None:
        epoch = self._services.company().epoch
        if epoch != self._epoch:
            self._systems.want(systems.connections(self._services))
            self._epoch = epoch
        self._systems.bring_in_line()

    def _tell(self, system: Connection, why: str) -> None:
        set_up = system.id in self._systems
        sentence = alarms.out_of_order(system.name, system.id, why, set_up=set_up)
        self._alarms.tell(f"system/{system.id}", sentence, why)

    def _tell_of_ends(self, system: Connection, why: str) -> None:
        if system.id in self._systems:
            return
        if held := systems.ending(self._services, system.id):
            sentence = alarms.ends_wait(system.name, system.id, held, why)
            self._alarms.tell(f"ends/{system.id}", sentence, why)
        else:
            self._alarms.well(f"ends/{system.id}")
