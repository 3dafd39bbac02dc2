"""What the processes of a race do. Each function gets ready, yields, and then does it."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases import request
from bot.usecases.filling import Filled, Promise
from engine.commands import Approve, Cancel, Nudge, Reject
from engine.directory import PersonId
from engine.outcome import Refusal
from engine.request import AccountId, RequestId
from storage import apply, claims, facts, jobs, schema, sync, unit_of_work
from storage.database import Database
from storage.tables import AccountRow, FlowRow, JobRow, PersonRow, ResourceRow
from tests.support.stored import (
    ADA,
    ALICE,
    GROUPS,
    PEOPLE,
    READING,
    START,
    Stored,
    reading,
    writing,
)

Task = Iterator[Any]


def increment(url: str, *, seconds: float) -> Task:
    """Read, change, commit, as often as there is time for."""
    database, commits = Database(url), 0
    yield "ready"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with database.write() as tx:
            job = tx.execute(select(JobRow).with_for_update()).scalar_one()
            job.attempts += 1
        commits += 1
    database.close()
    yield commits


def upgrade(url: str) -> Task:
    database = Database(url)
    yield "ready"
    schema.upgrade(database)
    yield schema.current(database)
    database.close()


def take_in(url: str) -> Task:
    """Store the company in a database that has nothing but the schema."""
    database = Database(url)
    yield "ready"
    with database.write() as tx:
        sync.people(tx, PEOPLE, GROUPS, START)
        sync.administrators(tx, [ADA], START)
        sync.flows(tx, [(reading(), True), (writing(), True)], START)
    with database.write() as tx:
        tables = {"people": PersonRow, "flows": FlowRow, "resources": ResourceRow}
        counted = {name: len(tx.execute(select(table)).all()) for name, table in tables.items()}
    yield counted
    database.close()


def decide(url: str, *, by: str, request: int, how: str) -> Task:
    """Press Approve, Reject or Cancel; say what came of it."""
    stored = Stored.open(url)
    stored.company()
    command = {"approve": Approve, "reject": Reject, "cancel": Cancel}[how](PersonId(by))
    yield "ready"
    result = stored.write(
        lambda tx, c: unit_of_work.carry_out(tx, c, RequestId(request), command, START)
    )
    yield result.code if isinstance(result, Refusal) else "decided"
    stored.close()


def nudge(url: str, *, key: str, request: int) -> Task:
    """Press Nudge; say what came of it."""
    stored = Stored.open(url)
    stored.company()
    command = Nudge(ALICE, key)
    yield "ready"
    result = stored.write(
        lambda tx, c: unit_of_work.carry_out(tx, c, RequestId(request), command, START)
    )
    yield result.code if isinstance(result, Refusal) else len(result.tell)
    stored.close()


def submit(url: str, *, key: str) -> Task:
    """Submit the same as everybody else; say which request came of it."""
    stored = Stored.open(url)
    draft = stored.draft()
    yield "ready"
    try:
        yield ["made", stored.submit(key=key).id]
    except IntegrityError:
        with stored.database.read() as session:
            yield ["found", facts.same(session, apply.fingerprint(draft))]
    stored.close()


def ask(url: str, *, key: str, what: str, most: int) -> Task:
    """Send the form as a listener does; say what came of it."""
    stored = Stored.open(url)
    chosen, flow = stored.entitlement(what), stored.flow(READING)
    services = Services(
        stored.database,
        stored.companies,
        DatabaseClock(stored.database),
        stored.keys,
        {},
        open_submissions=most,
    )
    filled = Filled(
        resource=chosen.resource.id,
        permission=chosen.id,
        duration="1h",
        prefilled=True,
        justification="INC-42",
        promise=Promise.of(flow),
    )
    person = stored.company().directory.people[ALICE]
    yield "ready"
    result = request.submit(services, person, filled, key)
    yield result.code if isinstance(result, Refusal) else "made"
    stored.close()


@contextmanager
def living(stored: Stored) -> Iterator[None]:
    """Beat, as a process does: what it has leased is its own however long the race takes."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(claims.BEAT / 4):
            stored.write(lambda tx, _: claims.beat(tx, stored.instance))

    with ThreadPoolExecutor(1) as pool:
        beating = pool.submit(beat)
        try:
            yield
        finally:
            over.set()
            beating.result()


def lease(url: str) -> Task:
    """Take every account that is due."""
    stored = Stored.open(url)
    ids = stored.due()
    with living(stored):
        yield "ready"
        yield _taken(stored, ids)
    stored.close()


def _taken(stored: Stored, ids: Sequence[AccountId]) -> list[AccountId]:
    taken = [work.account for id_ in ids for work in stored.turn(id_)]
    with stored.database.read() as session:
        leases = select(col(AccountRow.id)).where(col(AccountRow.lease) == stored.instance)
        assert sorted(session.execute(leases).scalars()) == sorted(taken)
    return taken


def run_jobs(url: str) -> Task:
    """Claim every job that is due, a few at a time."""
    stored = Stored.open(url)
    claimed: list[str] = []
    with living(stored):
        yield "ready"
        while ids := jobs.due(stored.database, START, 3):
            found = stored.write(lambda tx, _, ids=ids: jobs.claim(tx, stored.instance, ids, START))
            claimed += [job.subject for job in found]
        yield claimed
    stored.close()


TASKS: dict[str, Callable[..., Task]] = {
    f.__name__: f
    for f in (increment, upgrade, take_in, decide, nudge, submit, ask, lease, run_jobs)
}


def _say(what: object) -> None:
    _SAID.write(json.dumps(what) + "\n")
    _SAID.flush()


# Whatever else is printed here goes to standard error: what is said is a protocol.
_SAID, sys.stdout = sys.stdout, sys.stderr


def main() -> None:
    for line in sys.stdin:
        name, url, arguments = json.loads(line)
        task = TASKS[name](url, **arguments)
        _say(next(task))
        sys.stdin.readline()
        _say(next(task))
        sys.stdin.readline()
        for _ in task:
            pass


if __name__ == "__main__":
    main()
