"""200 approvers are told and their cards updated, at Slack's real limits, in simulated time.

Slack is the sandbox's table of methods and limits on a clock that stands still while Latchkey
works: a call takes no time, a limit takes what it takes. The loop looks once a second, as in the
program. What is compared with is the least that the limits allow.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse
from sqlalchemy import func, select
from sqlmodel import col

from bot.loops.messages import MessageLoop
from bot.runtime.metrics import Vitals
from bot.sandbox import limits
from bot.sandbox.api import METHODS
from bot.sandbox.postgres import Cluster
from bot.sandbox.rates import Rates
from bot.slack.client import Client
from bot.slack.gate import Gate
from engine.commands import Approve
from engine.outcome import Card, Tell
from storage import apply, unit_of_work
from storage.tables import MessageRow
from tests.benchmarks.many import Many, approver, opened, person
from tests.benchmarks.report import Row

APPROVERS, OTHERS = 200, 700  # OTHERS have a notice waiting, which is not urgent
CROWD, FEW = 50, 3  # CROWD ask at once, and FEW are asked by all of them
MOST_REFUSED = 0.05  # of the crowd's posts
AT_ONCE = 8  # that are under way at the same time, in any order
LATE = 1.0  # seconds that the loop may notice later, each time that it had to wait
GIVE_UP = 3600  # simulated seconds
PATIENCE = 60.0  # real seconds, for what is under way
HOUR = timedelta(hours=1)


class Standing:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()


class Limited(Client):
    """Slack's limits. `sent` is what it took, in order: methods and channels."""

    def __init__(self, clock: Standing) -> None:
        gate, api = Gate(now=clock.seconds), "https://slack.example/api/"
        super().__init__(lambda: "xoxb-0", api, 1, Vitals(), gate=gate)
        self._clock = clock
        self._rates = Rates(clock=clock.seconds)
        self._lock = threading.Lock()
        self.sent: list[tuple[str, str]] = []
        self.refused = 0

    def _send(self, method: str, given: dict[str, Any]) -> Any:
        if method == "auth.test":
            return {"ok": True, "team_id": "T0"}
        said = given.get("json") or given.get("params") or {}
        channel = str(said.get("channel") or said.get("users")).replace("U-", "D-")
        with self._lock:
            wait = self._wait(method, channel)
            if wait:
                self.refused += 1
            else:
                self.sent.append((method, channel))
            ts = f"{len(self.sent)}.0"
        answer = SlackResponse(
            client=self,
            http_verb="POST",
            api_url=f"https://slack.example/api/{method}",
            req_args={},
            data={"ok": not wait, "ts": ts, "channel": channel, "error": "ratelimited"},
            headers={"Retry-After": str(wait)},
            status_code=429 if wait else 200,
        )
        if wait:
            raise SlackApiError("limited", answer)
        return answer

    def _wait(self, method: str, channel: str) -> int:
        known = METHODS[method]
        wait = self._rates.wait(method, known.tier)
        if not wait and known.per_channel:
            wait = self._rates.wait(f"{method} {channel}", "channel")
        return wait


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    del cluster
    clock = Standing()
    slack, url = Limited(clock), f"sqlite:///{folder}/approvers.db"
    people = {"people": OTHERS + 1, "approvers": APPROVERS}
    with opened(url, **people, clock=clock, slack=slack) as many:
        yield from measure(many, clock, slack)
    slack, url = Limited(clock), f"sqlite:///{folder}/crowd.db"
    with opened(url, people=CROWD, approvers=FEW, clock=clock, slack=slack) as many:
        yield in_a_crowd(many, clock, slack)


def measure(many: Many, clock: Standing, slack: Limited) -> Iterator[Row]:
    services, loop = many.services, many.program.messages
    notices = [
        Tell(person(n), Card.NOTICE, "news", "There is something new.")
        for n in range(1, OTHERS + 1)
    ]
    services.transaction(lambda tx: apply.tell(tx, notices, clock.now()))
    request = many.submit(person(0), clock.now())
    told = run(loop, clock, lambda: waiting(many, Card.APPROVAL))
    yield row(f"told, beside {OTHERS} notices", told, "chat.postMessage", APPROVERS, slack)
    run(loop, clock, lambda: waiting(many))
    clock.at += HOUR / 2
    slack.sent.clear()
    slack.refused = 0
    decision = Approve(approver(0))
    services.write(lambda tx, c: unit_of_work.carry_out(tx, c, request.id, decision, clock.now()))
    updated = run(loop, clock, lambda: waiting(many))
    # The requestor's card is updated too.
    yield row("updated after the decision", updated, "chat.update", APPROVERS + 1, slack)
    loop.stop()


def in_a_crowd(many: Many, clock: Standing, slack: Limited) -> Row:
    """Each of the crowd's requests is a card for whoever asks, and one for each of the few."""
    for n in range(CROWD):
        many.submit(person(n), clock.now())
    seconds = run(many.program.messages, clock, lambda: waiting(many))
    many.program.messages.stop()
    posts = sum(method == "chat.postMessage" for method, _ in slack.sent)
    tried, lost = posts + slack.refused, CROWD * (1 + FEW) - posts
    calls, window = limits.RATES["channel"]
    least = (CROWD - 1) // calls * window
    bar = 1.1 * least + LATE
    return Row(
        f"{CROWD} people ask {FEW} at once, at Slack's limits",
        f"{slack.refused} of {tried} posts refused; {lost} lost or twice; "
        f"{seconds:.0f} s (simulated)",
        f"the least that a channel allows: {least:.0f} s",
        f"≤ {MOST_REFUSED:.0%} refused, none lost, ≤ {bar:.0f} s",
        slack.refused <= MOST_REFUSED * tried and not lost and seconds <= bar,
    )


def row(what: str, seconds: float, method: str, needed: int, slack: Limited) -> Row:
    calls, window = limits.RATES[METHODS[method].tier]
    waits = (needed - 1) // calls
    least = waits * window
    urgent = [c.startswith("D-a") for name, c in slack.sent if name == method]
    told = {c for name, c in slack.sent if name == method and c.startswith("D-a")}
    lost, twice = APPROVERS - len(told), sum(urgent) - len(told)
    last = len(urgent) - urgent[::-1].index(True)
    before = last - sum(urgent)
    bar = least + (waits + 1) * LATE
    return Row(
        f"{APPROVERS} approvers {what}, at Slack's limits",
        f"{seconds:.0f} s (simulated); {lost} lost, {twice} twice; "
        f"{before} that are not urgent before the last of them",
        f"the least that {method} allows: {least:.0f} s; {slack.refused} calls refused, "
        f"{sum(name != method for name, _ in slack.sent)} of other methods",
        f"≤ {bar:.0f} s, none lost, urgent first",
        seconds <= bar and not lost and not twice and before < AT_ONCE,
    )


def run(loop: MessageLoop, clock: Standing, left: Callable[[], int]) -> float:
    """Let the loop look once a second until nothing waits; return the simulated seconds."""
    begun = clock.at
    while True:
        until_idle(loop)
        if not left() or clock.at - begun > timedelta(seconds=GIVE_UP):
            return (clock.at - begun).total_seconds()
        clock.at += timedelta(seconds=1)


def until_idle(loop: MessageLoop) -> None:
    loop.look()
    while loop.wait(PATIENCE):
        loop.drain()


def waiting(many: Many, kind: Card | None = None) -> int:
    query = select(func.count()).where(col(MessageRow.shown) < col(MessageRow.wanted))
    if kind:
        query = query.where(col(MessageRow.kind) == kind.value)
    with many.services.database.read() as session:
        return session.execute(query).scalar_one()
