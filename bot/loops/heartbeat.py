"""The heartbeat: says each second that this process lives, so that its leases hold."""

import structlog

from bot.loops.clock_steps import Steps
from bot.runtime.services import Services
from bot.usecases import instance
from storage.database import AWAY, is_locked

log = structlog.get_logger()


class Heart:
    """`links`: how many sockets this process opens to Slack. `steps` hears the database's clock."""

    def __init__(self, services: Services, steps: Steps, links: int) -> None:
        self._services = services
        self._steps = steps
        self._links = links

    def register(self) -> None:
        """Begin to live, as a new instance."""
        instance.register(self._services, self._links)

    def beat(self) -> None:
        """Say that this process lives. Raises what `storage.database.AWAY` lists."""
        services = self._services
        reading = None
        try:
            reading = instance.beat(services)
        except AWAY as fault:
            # Somebody holds its row locked. Its leases last for a little; then it takes another.
            if not is_locked(fault) or services.pulse.steady:
                raise
        if reading:
            self._steps.hear(reading)
        else:
            log.error("thought dead by the others; registering anew")
            self.register()
        services.vitals.database.good()

    def leave(self) -> None:
        """Give all leases back."""
        instance.leave(self._services)
