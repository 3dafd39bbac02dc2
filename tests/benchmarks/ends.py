"""10,000 accesses end in one second, while people go on asking and approving.

The loops are the real ones; the system is in memory, and it and Slack answer at once: what is
measured is Latchkey's own work. Meanwhile a thread does what listeners do, one write after another
with a short pause, and takes the time of each.
"""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlmodel import col

from bot.sandbox.postgres import Cluster
from bot.usecases import decide, request
from bot.usecases.filling import Filled, Promise
from bot.usecases.request import Submitted
from engine.commands import Approve
from engine.outcome import Decision
from engine.request import State
from storage.database import Database
from storage.tables import RequestRow
from tests.benchmarks.many import Many, approver, everything, opened
from tests.benchmarks.report import Row, p99, said
from tests.support.postgres import drop_database, fresh_database

ENDS, WITHIN, AT_MOST = 10_000, 60.0, 100.0  # ends, seconds, milliseconds
WRITERS = 200  # people who ask meanwhile
BEFORE = timedelta(seconds=5)  # of writing while nothing ends, to compare with
SET_UP = timedelta(seconds=20)
PAUSE = 0.02  # seconds between two writes
GIVE_UP = timedelta(minutes=5)


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    for kind in ("sqlite", "postgresql"):
        url = f"sqlite:///{folder}/ends.db" if kind == "sqlite" else fresh_database(cluster)
        with opened(url, people=ENDS + WRITERS) as many:
            measured = measure(many)
        if kind == "postgresql":
            drop_database(cluster, url)
        yield Row(
            f"{ENDS:,} ends due in one second: all final, {kind}",
            f"{measured.seconds:.1f} s",
            f"{measured.wrong} not as they should be; {measured.sent:,} messages sent by then",
            f"≤ {WITHIN:g} s",
            measured.seconds <= WITHIN and not measured.wrong,
        )
        yield Row(
            f"{ENDS:,} ends due in one second: listeners' writes meanwhile, {kind}",
            said([measured.during]),
            f"{len(measured.during):,} writes; before it, {said([measured.before])}",
            f"p99 ≤ {AT_MOST:g} ms",
            p99(measured.during) <= AT_MOST,
        )


@dataclass(frozen=True)
class Measured:
    """`wrong` counts requests that did not expire, and logins that still hold something."""

    seconds: float
    wrong: int
    sent: int
    before: list[float]
    during: list[float]


def measure(many: Many) -> Measured:
    due = datetime.now(UTC) + SET_UP
    held = many.holding(ENDS, due)
    over, taken = threading.Event(), list[tuple[datetime, float]]()
    writing = threading.Thread(target=write, args=(many, over, taken))
    with many.loops_at_work():
        wait_until(due - BEFORE)
        writing.start()
        wait_until(due)
        while many_open(many.services.database) and datetime.now(UTC) < due + GIVE_UP:
            time.sleep(0.25)
        end, sent = datetime.now(UTC), many.slack.sent
        over.set()
        writing.join()
    wrong = many_open(many.services.database)
    wrong += sum(many.system.can(login, target) for login, target in held)
    return Measured(
        (end - due).total_seconds(),
        wrong,
        sent,
        [ms for at, ms in taken if at < due],
        [ms for at, ms in taken if due <= at <= end],
    )


def wait_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def many_open(database: Database) -> int:
    """Count the requests that were to end and have not."""
    query = (
        select(func.count())
        .select_from(RequestRow)
        .where(col(RequestRow.id) <= ENDS, col(RequestRow.state) != State.EXPIRED.value)
    )
    with database.read() as session:
        return session.execute(query).scalar_one()


def write(many: Many, over: threading.Event, taken: list[tuple[datetime, float]]) -> None:
    """Ask and approve in turn, through the use cases, as the listeners do."""
    services, company = many.services, many.services.company()
    flow = next(iter(company.flows.values()))
    people = list(company.directory.people.values())
    decider = company.directory.people[approver(0)]
    offered = everything(services.database)
    askers = [p for p in people if p.id != decider.id][ENDS:]
    for number in itertools.count():
        asked, who = offered[number // WRITERS % len(offered)], askers[number % WRITERS]
        filled = Filled(
            resource=asked.resource.id,
            permission=asked.id,
            duration="1h",
            prefilled=True,
            justification="INC-1",
            promise=Promise.of(flow),
        )
        at, begun = datetime.now(UTC), time.perf_counter()
        made = request.submit(services, who, filled, f"writer/{number}")
        taken.append((at, (time.perf_counter() - begun) * 1000))
        if not isinstance(made, Submitted) or made.existing or over.wait(PAUSE):
            break
        at, begun = datetime.now(UTC), time.perf_counter()
        decided = decide.do(services, decider, made.requests[0].id, Approve(decider.id))
        taken.append((at, (time.perf_counter() - begun) * 1000))
        if not isinstance(decided, Decision) or over.wait(PAUSE):
            break
    if not over.is_set():
        taken.append((at, float("inf")))  # a write that was refused is none
