"""What one life costs the database: transactions and statements, counted as they are sent."""

from contextlib import contextmanager

from engine.request import State
from tests.support.inside import counted
from tests.support.stored import HOUR, MINUTE, WRITING


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
