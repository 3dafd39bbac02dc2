"""Whether Latchkey works: is it alive, is it ready, and its numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.loops.loop import Loop
from bot.runtime.services import Services
from bot.slack.client import NO_TOKEN
from bot.slack.errors import TOKEN_REFUSED
from bot.usecases.counted import counted
from storage import schema
from storage.database import AWAY, FAULTS

LAG = 10.0  # seconds that a loop may be behind
LAG_OF = {"jobs": 900.0}  # reading all resources of a large system takes its time


@dataclass(frozen=True, slots=True)
class Health:
    """`links` counts the links that are alive; None: Slack sends its events by HTTP.

    `listens`: whether it could. `searches`: whether what can be had was looked at, once: until then
    a search takes longer than Slack waits.
    `faults`: what is out of order by itself while people can work and access ends, by its name.
    """

    services: Services
    loops: Mapping[str, Loop]
    links: Callable[[], int] | None
    listens: Callable[[], bool] = lambda: True
    faults: Callable[[], Mapping[str, str]] = dict
    searches: Callable[[], bool] = lambda: True

    def alive(self) -> bool:
        """Whether the loops run. If not, only a restart helps.

        A loop that begins nothing waits for the database, as long as no heartbeat is stored either.
        """
        steady = self.services.pulse.steady
        return all(
            loop.alive and min(loop.silent, steady) <= LAG_OF.get(name, LAG)
            for name, loop in self.loops.items()
        )

    def problems(self) -> dict[str, str]:
        """Return what is not as it should be; nothing: people can work, and access ends."""
        found = {
            "database": self._database(),
            "slack": self._slack(),
            "search": "" if self.searches() else "what can be had is being read",
            "loops": ", ".join(
                f"{name} is {loop.lag:.0f} s behind"
                for name, loop in self.loops.items()
                if loop.lag > LAG_OF.get(name, LAG)
            ),
        }
        return {name: problem for name, problem in found.items() if problem}

    def metrics(self) -> bytes:
        vitals = self.services.vitals
        vitals.slack_links.set(self.links() if self.links else 0)
        return generate_latest(vitals.registry)

    def _database(self) -> str:
        try:
            current = schema.current(self.services.database)
        except FAULTS as fault:
            return f"does not answer ({type(fault).__name__})"
        if schema.fits(current):
            return ""
        return f"its schema is {current or 'missing'}, not {schema.newest()}"

    def _slack(self) -> str:
        problem = self.services.vitals.slack.problem
        if problem == NO_TOKEN:
            return "there is no token to send: see SLACK_BOT_TOKEN"
        if problem in TOKEN_REFUSED:
            return f"Slack refuses the token ({problem})"
        if self.links:
            return "" if self.links() else "no link is alive"
        return "" if self.listens() else "its events reach nobody: see LATCHKEY_HTTP"


class Stored(Collector):
    """What is counted in the database at each look: the same whichever replica is asked."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._services.clock.now()
        try:
            states, overdue = counted(self._services, now)
        except AWAY:
            return  # a gap says that nothing is known
        requests = GaugeMetricFamily("latchkey_requests", "Requests, by state.", labels=["state"])
        for state, number in states.items():
            requests.add_metric([state], number)
        yield requests
        yield GaugeMetricFamily(
            "latchkey_overdue_accounts",
            "Accounts that still hold, or may hold, access that has ended.",
            value=overdue.accounts,
        )
        yield GaugeMetricFamily(
            "latchkey_oldest_overdue_seconds",
            "For how long the oldest of them has been overdue.",
            value=(now - overdue.since).total_seconds() if overdue.since else 0.0,
        )

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())
