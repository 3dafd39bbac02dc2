"""Whose a database is: by the name that its logins were made under, and by the keys."""

import json

import psycopg
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases import whose
from engine.outcome import AuditEntry
from engine.request import SYSTEM, State
from storage import audit, installation
from storage.secrets import KeyRing, new_key
from storage.tables import AccountRow, AuditRow
from tests.support import web
from tests.support.nursery import latchkey
from tests.support.stored import ALICE, BOB, KEY, Stored
from tests.support.story import ready


def faults(told) -> dict[str, str]:
    return web.get(f"{told.house.probes}/readyz").json().get("faults", {})


@pytest.fixture
def restarted(houses):
    """Start the bot of a house anew with other settings; after the test, with its own."""
    told = houses("socket")
    own = dict(told.house.bot.env)

    def restart(**others: str) -> None:
        told.house.bot.stop()
        told.house.bot.env = {**own, **others}
        told.house.bot.start()
        ready(told)

    yield told, restart
    restart()
    told.clear()


def test_a_changed_name_of_the_installation_keeps_no_session_open(restarted):
    """The connector took the logins for somebody else's: a session went on past its end for ever,
    while doctor was green and the probes named no fault.
    """
    told, restart = restarted
    marta, priya, ines = (told.person(name) for name in ("marta", "priya", "ines"))
    request = told.active(marta, priya)

    with told.log_in(told.credentials(marta, request.code)) as session:
        restart(LATCHKEY_INSTALLATION="elsewhere")
        told.house.sandbox.advance(3 * 3600)
        told.wait(request.code, State.EXPIRED)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")

    assert not told.privileges()
    said = "Set LATCHKEY_INSTALLATION=sandbox"
    assert said in faults(told)["settings LATCHKEY_INSTALLATION"]
    assert said in ines.wait_message("LATCHKEY_INSTALLATION is elsewhere").text
    assert any(
        said in line and json.loads(line)["level"] == "error"
        for line in told.house.bot.log.splitlines()
    )
    given = {**told.house.bot.settings, "LATCHKEY_INSTALLATION": "elsewhere", "COLUMNS": "300"}
    examined = latchkey("doctor", **given)
    assert examined.returncode == 1
    assert said in examined.stdout


def test_a_command_works_under_the_name_that_is_in_force(restarted):
    """`revoke` under another name could only record what was to end."""
    told, _ = restarted
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.stop()
    other = {**told.house.bot.settings, "LATCHKEY_INSTALLATION": "elsewhere"}

    done = latchkey("revoke", request.code, **other)

    assert done.returncode == 0, done.stderr
    assert "Set LATCHKEY_INSTALLATION=sandbox." in done.stderr
    assert not told.privileges()
    assert latchkey("integrations", "list", **other).returncode == 0


def test_keys_that_prove_nothing_are_a_fault_and_access_ends(restarted):
    """With keys that opened nothing that is stored, doctor was green and no fault was named."""
    told, restart = restarted
    marta, ines, other = told.person("marta"), told.person("ines"), new_key()
    request = told.active(marta, told.person("priya"))

    restart(LATCHKEY_KEYS=other)
    told.house.sandbox.advance(3 * 3600)

    told.wait(request.code, State.EXPIRED)
    assert not told.privileges()
    assert whose.OTHER_KEYS in faults(told)["settings LATCHKEY_KEYS"]
    assert ines.wait_message(whose.OTHER_KEYS)
    told.house.bot.stop()
    # What was written meanwhile is under these keys: nobody could tell any more whose it is.


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db", KeyRing([KEY], "acme"))
    opened.submit(by=ALICE)
    opened.converge()
    yield opened
    opened.close()


def services(stored) -> Services:
    clock = DatabaseClock(stored.database)
    return Services(stored.database, stored.companies, clock, stored.database.keys, {})


def said(stored, *arguments: str, **given: str) -> str:
    given = {"LATCHKEY_INSTALLATION": "acme", "LATCHKEY_KEYS": KEY, "COLUMNS": "500", **given}
    done = latchkey(*arguments, LATCHKEY_DATABASE_URL=stored.database.url, **given)
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def test_the_doctor_says_that_keys_prove_nothing(stored):
    """It was green while no password could be shown and nothing of the audit verified."""
    assert whose.OTHER_KEYS not in said(stored, "doctor")

    assert f"✗ LATCHKEY_KEYS {whose.OTHER_KEYS}" in said(stored, "doctor", LATCHKEY_KEYS=new_key())


def test_whoever_writes_to_the_database_gives_the_installation_no_other_name(stored):
    stored.write(lambda tx, _: installation.name(tx, "mallory"))

    assert "LATCHKEY_INSTALLATION" not in said(stored, "pause", "grants")

    paused = next(r for r in stored.rows(AuditRow) if r.action == "paused")
    assert paused.key == KeyRing([KEY], "acme").audit_key.id


@pytest.mark.parametrize("name", ["", "No Name!", "\N{SNOWMAN}", "x" * 40])
def test_what_can_be_no_name_is_none(stored, name):
    stored.write(lambda tx, _: installation.name(tx, name))

    assert "Set LATCHKEY_INSTALLATION" not in said(stored, "requests", "list")


def ring(*keys: str) -> str:
    return ",".join(keys)


def test_a_start_with_a_new_key_binds_the_audit_and_all_say_when_the_old_one_may_go(stored):
    """An installation in which nothing happened had no binding when the old key was dropped: the
    audit could not be verified, and nothing had said that it was too early.
    """
    new = new_key()
    both = ring(new, KEY)
    assert "Warning: the audit is proven by an older one" in said(
        stored, "audit", "verify", LATCHKEY_KEYS=both
    )
    assert "warning: the audit is proven by an older one" in said(
        stored, "doctor", LATCHKEY_KEYS=both
    )
    stored.database.keys = KeyRing([new, KEY], "acme")

    with capture_logs() as log:
        whose.begin(services(stored))

    assert [line["event"] for line in log if "is bound under the first" in line["event"]]
    assert [r.action for r in stored.rows(AuditRow)][-1] == "audit_bound"
    found = said(stored, "audit", "verify", LATCHKEY_KEYS=both)
    assert "It takes the first of LATCHKEY_KEYS alone to prove it." in found
    assert "The audit is whole" in said(stored, "audit", "verify", LATCHKEY_KEYS=new)
    # What is kept of Alice's login is still sealed with the old one.
    assert "sealed with an older key: leave it there" in said(stored, "doctor", LATCHKEY_KEYS=both)
    assert "✗ keys" in said(stored, "doctor", LATCHKEY_KEYS=new)


def test_where_nothing_needs_the_old_key_the_doctor_says_so(stored):
    new = new_key()
    stored.database.keys = KeyRing([new, KEY], "acme")
    whose.begin(services(stored))
    with stored.database.write() as tx:
        tx.execute(update(AccountRow).values(secret=None, proof=None))

    assert "the others can be taken away" in said(stored, "doctor", LATCHKEY_KEYS=ring(new, KEY))


def test_a_revoke_with_a_replaced_key_is_carried_out_and_the_audit_stays_in_order(stored):
    """It wrote under the old key behind the newer one's entries: verify found for good that
    entries had been cut off or put in.
    """
    new = new_key()
    request = stored.submit(by=BOB)
    stored.database.keys = KeyRing([new, KEY], "acme")
    whose.begin(services(stored))

    found = said(stored, "revoke", request.code, "--wait", "0", LATCHKEY_KEYS=KEY)

    assert "has a key that was replaced, and not the one that replaced it" in found
    assert "has no key, which `latchkey audit verify` will always say" in found
    assert "only records" not in found
    assert next(r for r in stored.rows(AuditRow) if r.action == "revoking").key == ""
    with stored.database.write() as tx:
        audit.append(tx, [(None, AuditEntry("noted", SYSTEM))], stored.now)
    verified = said(stored, "audit", "verify", LATCHKEY_KEYS=ring(new, KEY))
    assert "written without a key" in verified
    assert "cut off or put in" not in verified


def test_who_runs_with_a_replaced_key_is_told(stored):
    new = new_key()
    stored.database.keys = KeyRing([new, KEY], "acme")
    whose.begin(services(stored))

    assert "✗ LATCHKEY_KEYS LATCHKEY_KEYS has a key that was replaced" in said(stored, "doctor")
