"""What one life costs the database: transactions and statements, counted as they are sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from engine.request import State
from storage.database import Database
from tests.support.stored import HOUR, MINUTE, WRITING


class Count:
    transactions = 0
    statements = 0

    def __str__(self) -> str:
        return f"{self.transactions} transactions, {self.statements} statements"


@contextmanager
def counted(database: Database) -> Iterator[Count]:
    """Count what both engines send; BEGIN and COMMIT are the transaction, a batch is one."""
    count = Count()

    def statement(_connection, _cursor, words, *_):
        count.statements += not words.startswith("BEGIN")

    def begin(_connection):
        count.transactions += 1

    heard = [(database.writer, "begin", begin)]
    heard += [(e, "before_cursor_execute", statement) for e in (database.writer, database.reader)]
    for each in heard:
        event.listen(*each)
    try:
        yield count
    finally:
        for each in heard:
            event.remove(*each)


def test_a_whole_life_costs_few_transactions(stored, kind):
    """Submit, approve, grant, offer, end, and the messages after each step in one batch."""
    stored.company()
    draft = stored.draft(["write on shop.orders"], flow=WRITING)
    costs: list[str] = []

    @contextmanager
    def step(name):
        with counted(stored.database) as count:
            yield
        costs.append(f"  {name}: {count}")

    def converge():
        works = stored.turn(*stored.due())
        assert stored.turn(done=[stored.call(w) for w in works]) == []

    with counted(stored.database) as total:
        with step("submit"):
            request = stored.submit_draft(draft)
        with step("ask"):
            stored.send()
        with step("approve"):
            stored.approve(request)
        with step("show the decision"):
            stored.send()
        with step("grant"):
            converge()
        with step("show the access"):
            stored.send()
        stored.pass_(51 * MINUTE)
        with step("offer"):
            stored.tick()
        with step("show the offer"):
            stored.send()
        stored.pass_(HOUR)
        with step("end"):
            stored.tick()
        with step("show the ending"):
            stored.send()
        with step("revoke"):
            converge()
        with step("show the end"):
            stored.send()

    print(f"\n{kind}: {total}", *costs, sep="\n")  # noqa: T201  (shown with -s)
    assert stored.again(request).state is State.EXPIRED
    assert total.transactions <= 14
    assert total.statements <= 90
