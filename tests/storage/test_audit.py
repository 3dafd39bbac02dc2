"""The audit: each line is bound to the one before, so that any change shows."""

from datetime import timedelta, timezone

import pytest
from sqlalchemy import delete, event, insert, update
from sqlmodel import col

from engine.outcome import Entry
from engine.request import SYSTEM
from storage import audit
from storage.tables import AuditHead, AuditRow
from tests.support.stored import ADA


def wrong(stored) -> list[str]:
    with stored.database.read() as session:
        return list(audit.verify(session))


def say(stored, *entries, at=None) -> None:
    with stored.database.write() as tx:
        audit.append(tx, [(None, e) for e in entries], at or stored.now)


@pytest.fixture
def log(stored):
    """A log of ten lines and a few more."""
    for n in range(10):
        say(stored, Entry("noted", SYSTEM, {"n": n, "text": "Ärger “x” 🦊", "none": None}))
    return max(r.seq for r in stored.rows(AuditRow))


@pytest.mark.usefixtures("log")
def test_whole_chain_is_found_whole(stored):
    assert wrong(stored) == []


def test_log_without_a_line_is_whole(stored):
    with stored.database.write() as tx:
        tx.execute(delete(AuditRow))
        tx.execute(update(AuditHead).values(seq=0, hash=""))

    assert wrong(stored) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory"),
        ("action", "approved"),
        ("request_id", 7),
        ("body", {"n": 6}),
        ("hash", "0" * 64),
    ],
)
@pytest.mark.parametrize("back", [0, 4])
def test_any_change_of_a_line_shows(stored, log, column, value, back):
    with stored.database.write() as tx:
        line = update(AuditRow).where(col(AuditRow.seq) == log - back)
        tx.execute(line.values({column: value}))

    assert wrong(stored)


def test_changed_time_shows(stored, log):
    with stored.database.write() as tx:
        line = update(AuditRow).where(col(AuditRow.seq) == log - 3)
        tx.execute(line.values(at=stored.now + timedelta(microseconds=1)))

    assert wrong(stored) == [f"entry {log - 3} (noted) was changed, or one before it"]


@pytest.mark.parametrize("back", [0, 4])
def test_line_that_is_missing_shows(stored, log, back):
    with stored.database.write() as tx:
        tx.execute(delete(AuditRow).where(col(AuditRow.seq) == log - back))

    faults = wrong(stored)
    expected = f"entry {log - 4} is missing: the next is {log - 3}"
    assert (expected in faults) == (back == 4)
    assert faults


@pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"seq": 3}, {"seq": 99}])
@pytest.mark.usefixtures("log")
def test_changed_head_shows(stored, change):
    with stored.database.write() as tx:
        tx.execute(update(AuditHead).values(change))

    assert len(wrong(stored)) == 1


def test_line_beyond_the_head_shows(stored, log):
    (last,) = [r for r in stored.rows(AuditRow) if r.seq == log]
    forged = audit._hash(last.hash, log + 1, stored.now, ADA, "approved", None, {})
    line = {"seq": log + 1, "at": stored.now, "actor": ADA, "action": "approved", "body": {}}
    with stored.database.write() as tx:
        tx.execute(insert(AuditRow), [{**line, "hash": forged}])

    assert len(wrong(stored)) == 1


@pytest.mark.usefixtures("log")
def test_line_that_comes_while_the_log_is_read_is_no_fault(stored, other):
    """Whoever verified a log in use was told that it had been tampered with."""
    came = []

    def come(*arguments):
        if not came and "FROM audit" in arguments[2].replace("\n", " "):
            came.append(True)
            say(other, Entry("noted", SYSTEM))

    event.listen(stored.database.reader, "after_cursor_execute", come)
    faults = wrong(stored)
    event.remove(stored.database.reader, "after_cursor_execute", come)

    assert came
    assert faults == []


def test_time_of_another_zone_is_the_same_moment(stored):
    """The hash was made of the words of the time, which come back in another zone."""
    say(stored, Entry("noted", SYSTEM), at=stored.now.astimezone(timezone(timedelta(hours=5))))

    assert wrong(stored) == []
