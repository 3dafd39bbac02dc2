"""The audit as operators and administrators meet it: anchors, verify, export."""

import csv
import io
import json
import re
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, update
from sqlmodel import col
from structlog.testing import capture_logs
from typer.testing import CliRunner

from bot.cli import cli
from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.sandbox.house import COMPANY
from bot.usecases import anchors
from bot.usecases.anchors import Anchors
from bot.usecases.export import Format
from engine.audit import Anchor
from engine.directory import PersonId
from engine.outcome import AuditEntry
from engine.request import SYSTEM, State
from storage import audit, sync
from storage.secrets import KeyRing, new_key
from storage.tables import AuditHead, AuditRow, MessageRow
from tests.support.nursery import latchkey as command
from tests.support.stored import ADA, ALICE, KEY, START, Stored

TOLD = re.compile(r"Anchor of the audit, (\S+) .*latchkey audit verify --anchor (\S+)", re.DOTALL)


# --- anchors --------------------------------------------------------------------------------------


def test_the_anchor_is_told_to_the_admins_once_a_day_ready_to_be_pasted(inside):
    ines = inside.sandbox.person("ines@harbourpine.example")

    def told(after: timedelta) -> list[tuple[str, str]]:
        inside.sandbox.advance(after.total_seconds())
        inside.run("jobs")
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
        assert list(audit.AuditReading(session, kept).findings()) == []


def test_two_replicas_tell_it_once(stored, services):
    for _ in range(2):
        assert Anchors(services).tell() == anchors.EVERY

    told = [m for m in stored.rows(MessageRow) if m.key.startswith("anchor/")]
    assert [(m.recipient, m.kind) for m in told] == [(ADA, "notice")]


def test_with_nobody_to_tell_it_is_in_the_log_alone(stored, services):
    stored.write(lambda tx, _: sync.administrators(tx, [], START))

    with capture_logs() as said:
        Anchors(services).tell()

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
        said = Anchor.of(json.loads(line)["anchor"])
        # Other tests of this house have revoked without keys, which is found all the same.
        anchored, alone = (audit.AuditReading(session, those) for those in ([said], []))
        assert list(anchored.findings()) == list(alone.findings())


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
    say(stored, AuditEntry("noted", SYSTEM))
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
    first, second, *rest, last = said.splitlines()
    assert first.startswith("entry 2 (")
    assert f"entry {seq} (" in second
    assert "was changed" in second
    assert "written without a key" in rest[-1]
    assert last == "The audit is not whole."


def test_what_is_from_before_there_were_keys_is_counted(stored, latchkey):
    saved = [row for row in stored.rows(AuditRow) if row.action.endswith("_saved")]
    stored.write(lambda tx, _: tx.execute(delete(AuditRow)))
    stored.write(lambda tx, _: tx.execute(update(AuditHead).values(seq=0, hash="", mac="")))
    ring, stored.database.keys = stored.database.keys, None
    for row in saved:
        say(stored, AuditEntry(row.action, SYSTEM, row.body))
    say(stored, AuditEntry("noted", SYSTEM))
    stored.database.keys = ring
    say(stored, AuditEntry("noted", SYSTEM))

    assert latchkey("audit", "verify")[0] == 1
    status, said = latchkey("audit", "verify", "--anchor", str(anchor(stored)))

    assert status == 0
    early = len(saved) + 1
    assert f"{early + 2} entries. {early} of them are from before there was a key" in said


def test_no_anchor_makes_up_for_a_key(stored, latchkey, monkeypatch):
    """Entries under keys that nobody knows were proven `by anchors alone`."""
    monkeypatch.setenv("LATCHKEY_KEYS", new_key())

    status, said = latchkey("audit", "verify", "--anchor", str(anchor(stored)))

    assert status == 1
    assert "which is not in LATCHKEY_KEYS" in said


def forge(stored) -> None:
    """Put in an entry that never happened, as whoever has the database and no key."""
    ring, stored.database.keys = stored.database.keys, None
    say(stored, AuditEntry("approved", ALICE))
    stored.database.keys = ring


def test_no_anchor_is_told_over_what_no_key_proves(stored, services):
    """Latchkey itself sent the anchor that made a forged approval true."""
    mine = Anchors(services)
    mine.tell()
    forge(stored)
    say(stored, AuditEntry("noted", SYSTEM))

    with capture_logs() as said:
        mine.tell()
        mine.tell()

    assert [line.get("anchor") for line in said if "findings" in line] == [None]
    assert (
        "written without a key" in next(line for line in said if "findings" in line)["findings"][0]
    )
    told = [m for m in stored.rows(MessageRow) if m.key.startswith("audit/")]
    assert [(m.recipient, m.kind) for m in told] == [(ADA, "alarm")]


def test_a_process_that_starts_looks_at_what_came_last(stored, services):
    forge(stored)
    say(stored, AuditEntry("noted", SYSTEM))

    found, faults = Anchors(services).note()

    assert found == anchor(stored)
    assert "written without a key" in faults[0]


def test_of_many_findings_three_are_told(stored, services):
    for _ in range(4):
        forge(stored)
        say(stored, AuditEntry("noted", SYSTEM))

    _, faults = Anchors(services).note()

    assert len(faults) == 3


def test_what_was_cut_off_since_the_last_anchor_is_found(stored, services):
    """In memory it is out of reach of whoever writes to the database."""
    (head,) = stored.rows(AuditHead)
    kept = {"seq": head.seq, "hash": head.hash, "mac": head.mac}
    say(stored, AuditEntry("noted", SYSTEM))
    mine = Anchors(services)
    assert mine.note() == (anchor(stored), [])

    with stored.database.write() as tx:
        tx.execute(delete(AuditRow).where(col(AuditRow.seq) > head.seq))
        tx.execute(update(AuditHead).values(kept))

    _, faults = mine.note()
    assert any("its end was cut off" in fault for fault in faults)


def test_what_is_no_anchor_is_told(latchkey):
    status, said = latchkey("audit", "verify", "--anchor", "AX-7K2M")

    assert status == 1
    assert "NUMBER:HASH" in said


def test_every_entry_is_exported_with_all_that_proves_it(stored, latchkey):
    request = stored.submit()
    say(stored, AuditEntry("noted", ALICE, {"why": "Ärger 🦊"}), request.id)

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
    say(
        stored,
        AuditEntry("=cmd", PersonId("@SUM(1+9)*cmd"), {"why": '=HYPERLINK("http://x"),\n"a"'}),
    )

    status, said = latchkey("audit", "export", "--format", "csv")

    assert status == 0
    table = list(csv.DictReader(io.StringIO(said)))
    assert [int(row["seq"]) for row in table] == [r.seq for r in stored.rows(AuditRow)]
    assert (table[-1]["action"], table[-1]["actor"]) == ("'=cmd", "'@SUM(1+9)*cmd")
    assert json.loads(table[-1]["detail"])["why"] == '=HYPERLINK("http://x"),\n"a"'
    assert not [cell for row in table for cell in row.values() if cell.startswith(tuple("=+-@"))]


def test_a_part_is_exported_by_its_days(stored, latchkey):
    for days in (1, 2, 3):
        say(stored, AuditEntry(f"day {days}", SYSTEM), at=START + timedelta(days=days))

    days = [f"{START + timedelta(days=n):%Y-%m-%d}" for n in (1, 3)]
    _, said = latchkey("audit", "export", "--since", days[0], "--until", days[1])

    assert [json.loads(line)["action"] for line in said.splitlines()] == ["day 1", "day 2"]


@pytest.mark.parametrize("day", ["tomorrow", "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_day_that_is_none_is_refused_in_words(latchkey, day):
    """“Input should be a valid datetime or date, input is too short”; and a traceback for a moment
    that UTC does not have."""
    status, said = latchkey("audit", "export", "--since", day)
    assert status == 1
    assert f"{day} is not a day. Write it like 2026-11-02" in said


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(stored, latchkey):
    """One row without a time that can be read blinded verify and the export."""
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql(
            "update audit set at = 'never', request_id = x'ff' where seq = 2"
        )

    status, said = latchkey("audit", "verify")
    assert status == 1
    assert said.splitlines()[0].endswith("is not as Latchkey writes it (at, request_id)")
    for as_ in Format:
        status, said = latchkey("audit", "export", "--format", as_)
        assert status == 0
        assert "never" in said
    count = len(stored.rows(AuditRow))
    assert len(latchkey("audit", "export")[1].splitlines()) == count


@pytest.mark.parametrize("column", ["action", "at", "actor", "hash", "mac", "key", "body"])
def test_a_text_that_became_bytes_is_named_and_shown(stored, latchkey, column):
    """Verify called it whole, and `requests show` ended in a traceback."""
    request = stored.submit()
    stored.converge()
    before = shown(stored, request).stdout
    row = next(r for r in stored.rows(AuditRow) if r.request_id == request.id)
    with stored.database.write() as tx:
        change = f"update audit set {column} = cast({column} as blob) where seq = {row.seq}"  # noqa: S608
        tx.connection().exec_driver_sql(change)

    status, said = latchkey("audit", "verify")
    assert (status, said.splitlines()[0]) == (
        1,
        f"entry {row.seq} ({row.action}) is not as Latchkey writes it ({column})",
    )
    done = shown(stored, request)
    assert (done.returncode, done.stdout) == (0, before)
    assert f"The audit's entry {row.seq} ({row.action}) is not as Latchkey writes" in done.stderr
    status, said = latchkey("audit", "export")
    assert status == 0
    assert len(said.splitlines()) == len(stored.rows(AuditRow))


def shown(stored, request):
    """Return what an operator is shown of a request; logs go to stderr, and stay in a process."""
    address = {"LATCHKEY_DATABASE_URL": stored.database.url}
    return command("requests", "show", request.code, **address)


def test_a_line_of_no_moment_is_shown_beside_the_others(stored):
    request = stored.submit()
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql("update audit set at = 'never', action = x'ff00'")

    done = shown(stored, request)

    assert done.returncode == 0
    lines = done.stdout.partition("What happened:\n")[2].splitlines()
    assert len(lines) == len([r for r in stored.rows(AuditRow) if r.request_id == request.id])
    assert all(line.startswith("  (a time that cannot be read)  ") for line in lines)


def test_a_log_that_was_emptied_is_found_without_an_anchor(stored, latchkey, services):
    """“The audit is whole: 0 entries.”, status 0, while somebody had access."""
    request = stored.submit()
    with stored.database.write() as tx:
        tx.execute(delete(AuditRow))
        tx.execute(delete(AuditHead))

    status, said = latchkey("audit", "verify")

    assert status == 1
    assert said.startswith(f"there is no entry of how {request.code} began: it was taken out\n")
    assert Anchors(services).note()[1]


def test_the_export_needs_no_keys(stored, latchkey, monkeypatch):
    monkeypatch.delenv("LATCHKEY_KEYS")

    status, said = latchkey("audit", "export")

    assert status == 0
    assert len(said.splitlines()) == len(stored.rows(AuditRow))


def test_a_log_larger_than_a_page_is_read_whole(stored, latchkey):
    """A page at a time, so that a log of any size takes the memory of one."""
    entries = [(None, AuditEntry("noted", SYSTEM))] * (audit.PAGE + 1)
    stored.write(lambda tx, _: audit.append(tx, entries, START))

    assert f"{anchor(stored).seq:,} entries" in latchkey("audit", "verify")[1]
    assert len(latchkey("audit", "export")[1].splitlines()) == anchor(stored).seq


@pytest.mark.usefixtures("latchkey")
def test_a_reason_from_a_terminal_that_speaks_no_utf_8_is_taken(stored):
    """`revoke` ended in a traceback, and the access went on."""
    request = stored.submit()
    stored.converge()

    command = ["-m", "bot", "revoke", request.code, "--no-wait", "--reason", b"caf\xe9"]
    done = subprocess.run([sys.executable, *command], capture_output=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (2, b"")
    stored.converge()
    assert stored.again(request).state is State.REVOKED
    reasons = {r.body.get("reason") for r in stored.rows(AuditRow)}
    assert "caf\ufffd" in reasons
