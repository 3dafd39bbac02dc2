"""How Latchkey fares: numbers for Prometheus, and what outside of it does not answer."""

import threading
from queue import SimpleQueue

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from bot.runtime.faults import Faults
from engine.inventory import IntegrationId
from engine.port import Order, Report

MINUTE, HOUR, DAY = 60, 3600, 86_400
DECIDED_WITHIN = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY)

log = structlog.get_logger()


class Reachable:
    """Whether something outside answers. It is said in the log once each time that changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why it does not answer; empty: it does, as far as is known."""
        return self._problem

    def good(self) -> None:
        if self._problem and self._swap(""):
            log.warning("it answers again", what=self._what)

    def bad(self, why: str) -> None:
        if not self._swap(why):
            log.warning("no answer", what=self._what, why=why)

    def _swap(self, problem: str) -> str:
        with self._lock:
            before, self._problem = self._problem, problem
        return before


class Vitals:
    """One for each program: what its parts count, and what they find unwell."""

    def __init__(self) -> None:
        self.slack = Reachable("slack")
        self.database = Reachable("database")
        self.faults = Faults()
        self.given_up = SimpleQueue[tuple[str, str]]()  # methods of Slack's, and its codes
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.decisions = Counter(
            "latchkey_decisions",
            "Decisions of people on requests, by this process.",
            ["decision"],
            registry=self.registry,
        )
        self.time_to_decision = Histogram(
            "latchkey_time_to_decision_seconds",
            "From a request's submission to its approval or rejection.",
            buckets=DECIDED_WITHIN,
            registry=self.registry,
        )
        self.grants = Counter(
            "latchkey_grants",
            "Entitlements that a system was told to give, by what came of it.",
            ["integration", "outcome"],
            registry=self.registry,
        )
        self.revokes = Counter(
            "latchkey_revokes",
            "Entitlements that a system was told to take away, by what came of it.",
            ["integration", "outcome"],
            registry=self.registry,
        )
        self.system_silent = Gauge(
            "latchkey_system_silent_seconds",
            "For how long a system has answered none of this process's calls; 0: it answers.",
            ["integration"],
            registry=self.registry,
        )
        self.slack_calls = Counter(
            "latchkey_slack_calls",
            "Calls of Slack's Web API, by method and by its error, or ok.",
            ["method", "outcome"],
            registry=self.registry,
        )
        self.slack_links = Gauge(
            "latchkey_slack_links",
            "Socket Mode links that are alive, by their last answer to a ping.",
            registry=self.registry,
        )
        Gauge(
            "latchkey_faults",
            "What is out of order by itself: manifests, integrations, settings, locked rows.",
            registry=self.registry,
        ).set_function(lambda: len(self.faults()))
        self.strangers = Gauge(
            "latchkey_slack_strangers",
            "Sockets of the app that its living replicas do not explain, for five minutes.",
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "latchkey_loop_lag_seconds",
            "For how long a loop that was woken has not come to its end, or nobody woke it.",
            ["loop"],
            registry=self.registry,
        )

    def carried_out(self, integration: IntegrationId, order: Order, report: Report | None) -> None:
        """Count what came of an order. No report: the system did not answer."""
        for holding in order.holdings:
            seen = report.outcomes.get(holding.target) if report else None
            told = self.grants if holding.wanted else self.revokes
            told.labels(integration, seen.presence.value if seen else "unavailable").inc()
