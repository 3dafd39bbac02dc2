"""The audit as operators and administrators meet it: anchors, verify, export."""

import csv
import io
import json
import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs
from typer.testing import CliRunner

from bot import anchors
from bot.cli import cli
from bot.clock import DatabaseClock
from bot.sandbox.house import COMPANY
from bot.services import Services
from engine.directory import PersonId
from engine.outcome import Entry
from engine.request import SYSTEM
from storage import audit, sync
from storage.audit import Anchor
from storage.secrets import KeyRing, new_key
from storage.tables import AuditRow, MessageRow
from tests.support.stored import ADA, ALICE, KEY, START, Stored

TOLD = re.compile(r"Anchor of the audit, (\S+) .*latchkey audit verify --anchor (\S+)", re.DOTALL)


# --- anchors --------------------------------------------------------------------------------------


def test_the_anchor_is_told_to_the_admins_once_a_day_ready_to_be_pasted(inside):
    ines = inside.sandbox.person("ines@harbourpine.example")

    def told(after: timedelta) -> list[tuple[str, str]]:
        inside.sandbox.advance(after.total_seconds())
        inside.run({"jobs"})
        return [found.groups() for m in ines.messages() if (found := TOLD.search(m.text))]

    assert told(timedelta(seconds=1)) == []
    for hours in (1, 1, 1, 24):
        found = told(hours * anchors.EVERY)
        assert found

    days = [day for day, _ in found]
    assert len(days) > 1
    assert sorted(set(days)) == sorted(days)
    with inside.database.read() as session:
        kept = [Anchor.of(text.strip("`")) for _, text in found]
        assert list(audit.verify(session, kept)) == []


def test_two_replicas_tell_it_once(stored, services):
    for _ in range(2):
        assert anchors.tell(services, None) == anchors.EVERY

    told = [m for m in stored.rows(MessageRow) if m.key.startswith("anchor/")]
    assert [(m.recipient, m.kind) for m in told] == [(ADA, "notice")]


def test_with_nobody_to_tell_it_is_in_the_log_alone(stored, services):
    stored.write(lambda tx, _: sync.administrators(tx, [], START))

    with capture_logs() as said:
        anchors.tell(services, None)

    now = str(anchor(stored))
    assert [(line["log_level"], line.get("anchor")) for line in said] == [("info", now)]
    assert not stored.rows(MessageRow)


def test_the_log_has_the_anchor_when_latchkey_stops(inside):
    with capture_logs() as said:
        assert inside.program.stop()

    (told,) = [line["anchor"] for line in said if line["event"] == "anchor of the audit"]
    with inside.database.read() as session:
        assert told == str(audit.anchor(session))


def test_the_log_has_the_anchor_from_the_start(houses):
    told = houses("socket")
    line = next(line for line in told.house.bot.log.splitlines() if '"anchor of the audit"' in line)

    with told.desk.database.read() as session:
        assert list(audit.verify(session, [Anchor.of(json.loads(line)["anchor"])])) == []


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db", KeyRing([KEY], "latchkey"))
    yield opened
    opened.close()


@pytest.fixture
def services(stored):
    return Services(
        stored.database, stored.companies, DatabaseClock(stored.database), stored.keys, {}
    )


@pytest.fixture
def latchkey(stored, monkeypatch):
    """Run a command on the database of `stored`; return its status, and what it said."""
    given = {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "LATCHKEY_KEYS": KEY,
        "LATCHKEY_MANIFESTS": str(COMPANY),
        "LATCHKEY_DATABASE_URL": stored.database.url,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, arguments)
        return done.exit_code, done.output

    return run


def anchor(stored) -> Anchor:
    with stored.database.read() as session:
        return audit.anchor(session)


def say(stored, entry, request=None, at=START) -> None:
    stored.write(lambda tx, _: audit.append(tx, [(request, entry)], at))


def test_a_whole_log_is_said_to_be_whole_in_one_line(stored, latchkey):
    kept = anchor(stored)
    say(stored, Entry("noted", SYSTEM))
    count = len(stored.rows(AuditRow))

    status, said = latchkey("audit", "verify", "--anchor", str(kept))

    assert status == 0
    assert said == f"The audit is whole: {count} entries. Anchor: {anchor(stored)}\n"


def test_each_finding_is_a_line_and_the_status_one(stored, latchkey):
    seq = anchor(stored).seq
    with stored.database.write() as tx:
        tx.execute(update(AuditRow).where(col(AuditRow.seq) == 2).values(actor="[b]mallory[/b]"))
        tx.execute(update(AuditRow).where(col(AuditRow.seq) == seq).values(mac="", key=""))

    status, said = latchkey("audit", "verify")

    assert status == 1
    first, second, last = said.splitlines()
    assert first.startswith("entry 2 (")
    assert f"entry {seq} (" in second
    assert "written without a key" in second
    assert last == "The audit is not whole."


def test_what_an_anchor_alone_proves_is_counted(stored, latchkey, monkeypatch):
    count, kept = anchor(stored).seq, str(anchor(stored))
    monkeypatch.setenv("LATCHKEY_KEYS", new_key())

    assert latchkey("audit", "verify")[0] == 1
    status, said = latchkey("audit", "verify", "--anchor", kept)

    assert status == 0
    assert f"{count} entries, {count} of them by anchors alone" in said


def test_what_is_no_anchor_is_told(latchkey):
    status, said = latchkey("audit", "verify", "--anchor", "AX-7K2M")

    assert status == 1
    assert "NUMBER:HASH" in said


def test_every_entry_is_exported_with_all_that_proves_it(stored, latchkey):
    request = stored.submit()
    say(stored, Entry("noted", ALICE, {"why": "Ärger 🦊"}), request.id)

    status, said = latchkey("audit", "export")

    assert status == 0
    rows, found = stored.rows(AuditRow), [json.loads(line) for line in said.splitlines()]
    assert [f["seq"] for f in found] == [r.seq for r in rows]
    last = found[-1]
    assert (last["actor"], last["name"], last["request"]) == (ALICE, "Alice", request.code)
    assert datetime.fromisoformat(last["at"]) == START
    row = rows[-1]
    assert [last[n] for n in ("action", "detail", "hash", "key", "mac")] == [
        *(row.action, row.body, row.hash, row.key, row.mac)
    ]


def test_the_table_for_spreadsheets_says_the_same_and_computes_nothing(stored, latchkey):
    """What people write into a field would be a formula for whoever opens it."""
    say(stored, Entry("=cmd", PersonId("@SUM(1+9)*cmd"), {"why": '=HYPERLINK("http://x"),\n"a"'}))

    status, said = latchkey("audit", "export", "--format", "csv")

    assert status == 0
    table = list(csv.DictReader(io.StringIO(said)))
    assert [int(row["seq"]) for row in table] == [r.seq for r in stored.rows(AuditRow)]
    assert (table[-1]["action"], table[-1]["actor"]) == ("'=cmd", "'@SUM(1+9)*cmd")
    assert json.loads(table[-1]["detail"])["why"] == '=HYPERLINK("http://x"),\n"a"'
    assert not [cell for row in table for cell in row.values() if cell.startswith(tuple("=+-@"))]


def test_a_part_is_exported_by_its_days(stored, latchkey):
    for days in (1, 2, 3):
        say(stored, Entry(f"day {days}", SYSTEM), at=START + timedelta(days=days))

    days = [f"{START + timedelta(days=n):%Y-%m-%d}" for n in (1, 3)]
    _, said = latchkey("audit", "export", "--since", days[0], "--until", days[1])

    assert [json.loads(line)["action"] for line in said.splitlines()] == ["day 1", "day 2"]


def test_what_cannot_be_read_is_told_in_a_sentence(stored, latchkey):
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql("update audit set at = 'never' where seq = 2")

    for command in ("verify", "export"):
        status, said = latchkey("audit", command)
        assert status == 1
        assert "cannot be read" in said


def test_a_log_larger_than_a_page_is_read_whole(stored, latchkey):
    """A page at a time, so that a log of any size takes the memory of one."""
    entries = [(None, Entry("noted", SYSTEM))] * (audit.PAGE + 1)
    stored.write(lambda tx, _: audit.append(tx, entries, START))

    assert f"{anchor(stored).seq:,} entries" in latchkey("audit", "verify")[1]
    assert len(latchkey("audit", "export")[1].splitlines()) == anchor(stored).seq
