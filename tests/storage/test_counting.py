"""What one life costs the database: transactions and statements, counted as they are sent."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from engine.request import State
from tests.support.stored import HOUR, MINUTE, WRITING


class Count:
    transactions = 0
    statements = 0

    def __str__(self) -> str:
        return f"{self.transactions} transactions, {self.statements} statements"


@contextmanager
def counted(database):
    """Count what goes over the wire on both engines; a batch of one statement is one."""
    count = Count()

    def statement(*_):
        count.statements += 1
        print("   ", _[2][:110].replace("\n", " "), _[5])

    def begin(_connection):
        count.transactions += 1

    event.listen(database.writer, "begin", begin)
    for engine in (database.writer, database.reader):
        event.listen(engine, "before_cursor_execute", statement)
    try:
        yield count
    finally:
        event.remove(database.writer, "begin", begin)
        for engine in (database.writer, database.reader):
            event.remove(engine, "before_cursor_execute", statement)


@pytest.mark.parametrize("flow", [WRITING])
def test_a_whole_life_costs_few_transactions(stored, kind, flow):
    """Submit, approve, grant, offer, end, and every message in batches; the company is known."""
    stored.company()
    draft = stored.draft(["write on shop.orders"], flow=flow)
    costs: dict[str, str] = {}

    @contextmanager
    def step(name):
        print("==", name)
        with counted(stored.database) as count:
            yield
        costs[name] = str(count)

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
            stored.converge()
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
            stored.converge()
        with step("show the end"):
            stored.send()

    print(f"\n{kind}: {total}", *(f"  {name}: {cost}" for name, cost in costs.items()), sep="\n")
    assert stored.again(request).state is State.EXPIRED
    assert total.transactions <= 14
    assert total.statements <= 90
