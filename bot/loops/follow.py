"""Keeps the connected systems in line with what is stored, whichever replica has stored it."""

import time

from bot.runtime.connectors import Systems
from bot.runtime.services import Services
from bot.usecases import plan
from bot.usecases.alarms import Alarms
from storage import counts, servers
from storage.servers import Connection

__all__ = ["SystemsFollower"]

PATIENCE = 5.0  # seconds that the start waits for systems to be set up
LOOK = 60.0  # seconds between two looks for access that has to end where nothing can be done


class SystemsFollower:
    """`follow` is to be called each second. What the database raises passes through."""

    def __init__(self, services: Services, systems: Systems) -> None:
        self._services = services
        self._systems = systems
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
            self._tell(system, why)
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
            with self._services.database.read() as session:
                self._systems.want(servers.connections(session))
            self._epoch = epoch
        self._systems.bring_in_line()

    def _tell(self, system: Connection, why: str) -> None:
        goes_on = (
            "Until that is cured it goes on as it was set up before."
            if system.id in self._systems
            else "Until that is cured, what is to be given or to end there waits; the rest goes on."
        )
        self._alarms.tell(
            f"system/{system.id}",
            f"{system.name} ({system.id}) is out of order: {why}. {goes_on}",
            why,
        )

    def _tell_of_ends(self, system: Connection, why: str) -> None:
        if system.id in self._systems:
            return
        with self._services.database.read() as session:
            held = counts.ending(session, system.id)
        if held:
            self._alarms.tell(
                f"ends/{system.id}",
                f"{system.name} ({system.id}): access has to end there, on {held} account(s), and "
                f"cannot: {why}. It ends as soon as the system can be reached.",
                why,
            )
