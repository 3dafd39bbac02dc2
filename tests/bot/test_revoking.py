"""What an operator's revoke takes in hand, and what it says of it."""

import pytest
from sqlalchemy import insert

from bot.loops.access import AccessLoop
from bot.operations import revoking
from bot.settings import KeySettings
from bot.usecases import revoke
from bot.usecases.console import Desk
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit
from storage.database import BusyError
from storage.secrets import new_key
from storage.tables import RequestRow
from tests.support.stored import ALICE, BOB, Now


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


def test_a_call_that_may_still_run_is_not_called_done(stored, desk, monkeypatch):
    """What came of the calls could not be stored, and the command waited for them without end."""
    keys = KeySettings(LATCHKEY_DATABASE_URL=stored.database.url, LATCHKEY_KEYS=new_key())
    hands = revoking.Hands(desk, [], keys, "")

    def stop(*_):
        raise BusyError

    monkeypatch.setattr(AccessLoop, "stop", stop)
    assert not hands.close()


def test_a_fault_of_one_login_is_not_said_of_another(stored, desk):
    """Why one could not be ended was given as the reason of all others on the same system."""
    requests = [stored.submit(by=ALICE), stored.submit(by=BOB)]
    accounts = revoke.accounts_of(stored.database, requests)
    first = accounts[0]

    def delayed(account, why, *, silent):
        detail = {"account": account.login, "integration": account.integration, "why": why}
        return None, AuditEntry("delayed", SYSTEM, detail | {"silent": silent})

    def whys():
        watch = revoking.Watch(desk, requests, accounts, {}, lambda _: None)
        return [watch.why(request) for request in requests]

    entries = [delayed(first, "Latchkey may not", silent=False)]
    stored.write(lambda tx, _: audit.append(tx, entries, stored.now))
    assert sum("Latchkey may not" in why for why in whys()) == 1

    entries = [delayed(first, "it is silent", silent=True)]
    stored.write(lambda tx, _: audit.append(tx, entries, stored.now))
    assert sum("it is silent" in why for why in whys()) == 2
