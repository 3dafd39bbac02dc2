"""Who holds locked what Latchkey waits for is told of where it is one transaction, for long."""

from itertools import count
from types import SimpleNamespace

import pytest

from bot.loops import holders as loop
from bot.loops.holders import FAULT, Holders
from bot.usecases.alarms import Alarms
from storage import holders
from storage.holders import Holder


@pytest.fixture
def look(door, monkeypatch):
    """Return what looks, each second, at the holder that is given; and what is out of order."""
    now = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    monkeypatch.setattr(holders, "end", lambda *_: False)
    watch = Holders(door.services, Alarms(door.services))

    def looked(holder):
        monkeypatch.setattr(holders, "find", lambda _: [holder])
        watch.look()
        return door.services.vitals.faults().get(FAULT, "")

    yield looked
    door.services.vitals.faults.clear(FAULT)


def test_a_session_with_many_short_transactions_is_no_fault(look):
    """An intake of many people, which others waited for 50 ms at a time, was told of as a fault,
    with the advice to end it."""
    seen = [look(Holder(7, "latchkey", "company", f"3/{n}")) for n in range(10)]
    assert seen == [""] * 10


def test_one_transaction_that_is_waited_for_all_the_time_is_a_fault(look):
    holder = Holder(7, "somebody", "audit_head", "3/1")
    seen = [look(holder) for _ in range(6)]
    assert seen[:5] == [""] * 5
    assert "Process 7 of the database's server (role somebody) holds audit_head" in seen[5]


def test_of_one_transaction_the_administrators_are_told_once(look, door):
    """What was waited for is another table at each look: each time was another alarm."""
    waited_for = ["audit_head", "message", "", "account, message", "audit_head", "job"] * 2
    said = [look(Holder(7, "somebody", tables, "3/1")) for tables in waited_for]

    assert "holds account, audit_head, job, message locked" in said[-1]
    told = {m["key"] for m in door.rows()["message"] if m["key"].startswith(f"{FAULT}/")}
    assert len(told) == 1
