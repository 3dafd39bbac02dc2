"""What an operator's revoke takes in hand, and what it says of it."""

import threading

import pytest
from sqlalchemy import column, delete, insert, literal_column, table, update

from bot.loops.access import AccessLoop
from bot.operations import revoking
from bot.runtime import connectors
from bot.runtime.services import Connected
from bot.settings import KeySettings
from bot.usecases import revoke
from bot.usecases.console import Desk
from bot.usecases.revoke import Fate
from bot.usecases.whose import OTHER_KEYS
from engine.commands import Cancel, Return
from engine.inventory import Integration
from engine.outcome import AuditEntry, Code, Refusal
from engine.port import Unavailable
from engine.request import SYSTEM, State
from storage import audit
from storage.database import BusyError
from storage.secrets import KeyRing, new_key
from storage.tables import AuditHead, AuditRow, RequestRow
from tests.support.nursery import latchkey
from tests.support.stored import ALICE, BOB, DORA, KEY, PG, WRITING, Now, Stored


@pytest.fixture
def desk(stored):
    return Desk(stored.database, stored.companies, Now(stored))


def test_all_is_all_however_many_there_are(stored, desk):
    """Beyond the newest 1,000 all were left, and it was said that everything was over."""
    stored.submit(by=ALICE)
    (row,) = stored.rows(RequestRow)
    more = [row.model_dump() | {"id": None, "fingerprint": f"f{n}"} for n in range(1004)]
    with stored.database.write() as tx:
        tx.execute(insert(RequestRow), [{k: v for k, v in m.items() if k != "id"} for m in more])

    assert len(revoke.chosen(desk, None, None)) == 1005


def test_what_is_revoked_is_chosen_by_code_or_by_whose_it_is(stored, desk):
    hers, his = stored.submit(by=ALICE), stored.submit(by=BOB)
    over = stored.submit("edit on handbook", by=BOB, flow=WRITING)
    stored.do(over, Cancel(BOB))

    def codes(code=None, person=None):
        found = revoke.chosen(desk, code, person)
        return found.code if isinstance(found, Refusal) else {r.code for r in found}

    assert codes(hers.code) == {hers.code}
    assert codes(over.code) == {over.code}
    assert codes() == {hers.code, his.code}
    assert codes(person="bob@example.com") == {his.code}
    assert codes("AX-0000") is Code.NO_SUCH_REQUEST
    assert codes(person="nobody@example.com") is Code.UNKNOWN_PERSON


def test_of_each_request_it_is_said_what_the_word_has_made_of_it(stored, desk, poison):
    running, leaving = stored.submit(by=ALICE), stored.submit("edit on handbook", by=ALICE)
    stored.converge()
    stored.do(leaving, Return(ALICE))
    waiting = stored.submit(by=BOB, flow=WRITING)
    begun = stored.submit("edit on handbook", by=BOB)
    over = stored.submit("read on shop.customers", by=DORA, flow=WRITING)
    stored.do(over, Cancel(DORA))
    failing = stored.submit("read on shop.customers", by=DORA)
    poison(failing)
    every = [stored.again(r) for r in (running, leaving, waiting, begun, over, failing)]

    said = {r.request.id: r for r in revoke.record(desk, every, "an incident")}

    assert {id_: r.fate for id_, r in said.items()} == {
        running.id: Fate.RECORDED,
        leaving.id: Fate.UNDER_WAY,
        waiting.id: Fate.CANCELLED,
        begun.id: Fate.OVER,
        over.id: Fate.WAS_OVER,
        failing.id: Fate.REFUSED,
    }
    refusal = said[failing.id].refusal
    assert refusal
    assert (refusal.code, refusal.sentence) == (
        Code.UNREADABLE,
        "it could not be decided on (ValueError)",
    )
    assert stored.again(running).state is State.REVOKING


def test_what_ended_meanwhile_or_is_being_taken_away_is_no_refusal(stored, desk):
    """The requests were read when the operator was asked, and the answer came later."""
    ending, waiting = stored.submit(by=ALICE), stored.submit(by=BOB, flow=WRITING)
    stored.converge()
    seen = [stored.again(ending), stored.again(waiting)]
    stored.do(ending, Return(ALICE))
    stored.do(waiting, Cancel(BOB))

    said = [(r.request.id, r.fate) for r in revoke.record(desk, seen, "an incident")]

    assert said == [(waiting.id, Fate.WAS_OVER), (ending.id, Fate.UNDER_WAY)]


def test_what_is_being_taken_away_is_tried_again_at_once(stored, desk):
    request = stored.submit(by=ALICE)
    stored.converge()
    stored.systems[PG].faults = [Unavailable("down")]
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.due() == []

    list(revoke.record(desk, [stored.again(request)], "an incident"))

    assert stored.due() == [stored.account().id]


def test_a_call_that_may_still_run_is_not_called_done(stored, desk, monkeypatch):
    """What came of the calls could not be stored, and the command waited for them without end."""
    keys = KeySettings(LATCHKEY_DATABASE_URL=stored.database.url, LATCHKEY_KEYS=new_key())
    hands = revoking.Hands(desk, [], keys, "")

    def stop(*_):
        raise BusyError

    monkeypatch.setattr(AccessLoop, "stop", stop)
    assert not hands.close()


def test_a_system_whose_secret_hangs_keeps_no_other_from_ending(stored, desk, monkeypatch):
    """`revoke --all` hung before anything had ended, and did not look at --wait."""
    first, second = stored.submit(by=ALICE), stored.submit("edit on handbook", by=ALICE)
    stored.converge()
    released = threading.Event()

    def connect(system, *_):
        if system.id != PG:
            released.wait()
        of = Integration(system.id, system.name, system.kind)
        return Connected(of, stored.systems[system.id])

    monkeypatch.setattr(revoking, "connect", connect)
    monkeypatch.setattr(stored.systems[PG], "close", lambda: None, raising=False)
    monkeypatch.setattr(revoking, "SET_UP_WITHIN", 0.1)
    keys = KeySettings(LATCHKEY_DATABASE_URL=stored.database.url, LATCHKEY_KEYS=KEY)
    left, _ = revoking.record(
        desk, [stored.again(r) for r in (first, second)], "an incident", print
    )
    said: list[str] = []

    left, _ = revoking.see_through(
        desk, left, 3, said.append, stopped=lambda: False, keys=keys, no_keys=""
    )
    released.set()

    assert stored.again(first).state is State.REVOKED
    assert [r.id for r in left] == [second.id]
    assert any(connectors.NO_ANSWER in line for line in said)


def test_a_fault_of_one_login_is_not_said_of_another(stored, desk):
    """Why one could not be ended was given as the reason of all others on the same system."""
    requests = [stored.submit(by=ALICE), stored.submit(by=BOB)]
    accounts = revoke.accounts_of(stored.database, requests)
    first = accounts[0]

    def delayed(account, why, *, silent):
        detail = {"account": account.login, "integration": account.integration, "why": why}
        return None, AuditEntry("delayed", SYSTEM, detail | {"silent": silent})

    def whys():
        watch = revoking.Watch(desk, requests, accounts, dict, lambda _: None)
        return [watch.why(request) for request in requests]

    entries = [delayed(first, "Latchkey may not", silent=False)]
    stored.write(lambda tx, _: audit.append(tx, entries, stored.now))
    assert sum("Latchkey may not" in why for why in whys()) == 1

    entries = [delayed(first, "it is silent", silent=True)]
    stored.write(lambda tx, _: audit.append(tx, entries, stored.now))
    assert sum("it is silent" in why for why in whys()) == 2


# --- whose keys are whose -------------------------------------------------------------------------

FORGED = {
    "a line put in": "insert into audit select seq + 1, at, actor, 'x', null, body, hash, "
    "'deadbeef', '' from audit order by seq desc limit 1",
    "another key's name": "update audit set key = 'deadbeef' where seq = "
    "(select max(seq) from audit)",
    "bytes": "update audit set key = cast(key as blob) where seq = (select max(seq) from audit)",
    "all lines": "update audit set key = 'deadbeef', mac = ''",
    "a row of an account": "update account set person_id = x'ff', secret = 7, proof = 'x'",
}


def said(stored, key: str, *arguments: str, **more: str) -> str:
    """Return what a command with this key has said."""
    given = {"LATCHKEY_INSTALLATION": "acme", "LATCHKEY_KEYS": key, "COLUMNS": "500", **more}
    done = latchkey(*arguments, LATCHKEY_DATABASE_URL=stored.database.url, **given)
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db", KeyRing([KEY], "acme"))
    yield opened
    opened.close()


@pytest.mark.parametrize("how", FORGED)
def test_one_line_takes_nobodys_hands_away(stored, how):
    """One entry under another key, and `revoke` only recorded: with the right keys, for ever."""
    request = stored.submit(by=ALICE)
    stored.converge()
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql(FORGED[how])
        if how != "a row of an account":
            tx.connection().exec_driver_sql("update audit_head set mac = ''")

    assert OTHER_KEYS in said(stored, new_key(), "pause", "grants")
    assert OTHER_KEYS not in said(stored, KEY, "revoke", request.code, "--wait", "0")

    entry = next(r for r in stored.rows(AuditRow) if r.action == "revoking")
    assert entry.key == KeyRing([KEY], "acme").audit_key.id


def test_the_keys_of_what_is_sealed_are_right_though_all_of_the_audit_is_gone(stored):
    stored.submit(by=ALICE)
    stored.converge()
    with stored.database.write() as tx:
        tx.execute(delete(AuditRow))
        tx.execute(delete(AuditHead))

    assert OTHER_KEYS not in said(stored, KEY, "pause", "grants")
    with stored.database.write() as tx:
        tx.execute(delete(AuditRow))
        tx.execute(delete(AuditHead))
    assert OTHER_KEYS in said(stored, new_key(), "resume", "grants")


@pytest.mark.parametrize("command", ["run", "db upgrade", "requests list", "doctor"])
def test_tables_without_a_revision_are_one_sentence(stored, command):
    """An empty alembic_version gave a traceback, or a cure that was for something else."""
    with stored.database.write() as tx:
        tx.execute(delete(table("alembic_version")))

    found = said(stored, KEY, *command.split(), SLACK_BOT_TOKEN="xoxb-1", SLACK_APP_TOKEN="xapp-1")

    assert "alembic_version does not say which schema they are of. Restore a back-up" in found


@pytest.mark.parametrize(
    ("revision", "fits"),
    [
        ("cast(version_num as blob)", True),
        ("x'ff'", False),
        ("7000", False),
        (f"'{'9' * 5000}'", False),
    ],
)
def test_whatever_stands_for_the_schemas_revision_gives_no_traceback(stored, revision, fits):
    """Bytes of it kept every command from working, with a traceback."""
    with stored.database.write() as tx:
        versions = table("alembic_version", column("version_num"))
        tx.execute(update(versions).values(version_num=literal_column(revision)))

    found = said(stored, KEY, "pause", "grants")

    assert ("Granting is paused" in found) is fits


def test_where_nothing_is_proven_by_a_key_none_is_wrong(stored):
    with stored.database.write() as tx:
        tx.execute(update(AuditRow).values(key="", mac=""))

    assert OTHER_KEYS not in said(stored, new_key(), "pause", "grants")
