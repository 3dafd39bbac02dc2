"""No secret in logs, messages, audit or `repr`, in a life in which everything goes wrong."""

import json

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import select
from sqlalchemy.engine import make_url

from bot import settings, wiring
from engine.request import State
from storage.tables import AuditRow, MessageRow
from tests.support.postgres import drop_database, fresh_database
from tests.support.proxy import Proxy
from tests.support.story import CUSTOMERS, story


@pytest.fixture(scope="module")
def leaky(cluster):
    url = fresh_database(cluster)
    with Proxy(cluster.host, cluster.port) as proxy:
        dsn = make_conninfo(cluster.latchkey_dsn(), host=proxy.host, port=proxy.port)
        with story(cluster, dsn=dsn, database=url) as told:
            yield told, proxy, url
            told.clear()
    drop_database(cluster, url)


def secrets(told, url):
    bot = told.house.bot.settings
    return {
        "bot token": bot["SLACK_BOT_TOKEN"],
        "app token": bot["SLACK_APP_TOKEN"],
        "signing secret": bot["SLACK_SIGNING_SECRET"],
        "encryption key": bot["LATCHKEY_KEYS"],
        "database's password": str(make_url(url).password),
        "target's password": str(conninfo_to_dict(bot["LATCHKEY_SANDBOX_PG"])["password"]),
    }


def live_through_everything(told, proxy):
    """Return the passwords that were shown on the way."""
    sandbox, marta, priya = told.house.sandbox, told.person("marta"), told.person("priya")
    sandbox.fault("chat.postMessage", "error", times=1, status=500)
    sandbox.fault("chat.postMessage", "slack_error", times=1, code="invalid_auth")
    sandbox.fault("views.open", "slack_error", times=1, code="internal_error")
    marta.command("/access", "request")
    code = told.ask(marta, path=CUSTOMERS).code
    sandbox.advance(60)
    proxy.reset()
    proxy.on(3, action="cut")
    told.decide(priya, code)
    sandbox.advance(60)
    told.wait(code, State.ACTIVE)
    shown = [told.credentials(marta, code)["password"]]
    sandbox.fault("chat.update", "rate_limited", times=2, retry_after=1)
    shown.append(told.credentials(marta, code)["password"])
    sandbox.deafen()
    proxy.down = True
    marta.raw_action({"actions": [{"action_id": "return", "value": "no number"}]})
    proxy.down = False
    told.house.bot.kill()
    told.house.bot.start()
    sandbox.advance(3 * 3600)
    told.wait(code, State.EXPIRED)
    assert len(set(shown)) == 2
    return shown


@pytest.mark.timeout(240)
def test_no_secret_is_to_be_seen(leaky, monkeypatch):
    told, proxy, url = leaky
    passwords = live_through_everything(told, proxy)
    given = settings.load(**told.house.bot.settings)
    monkeypatch.setenv("LATCHKEY_SANDBOX_PG", told.house.bot.settings["LATCHKEY_SANDBOX_PG"])
    program = wiring.build(given)
    with told.desk.database.read() as session:
        audit = [str(row) for row in session.execute(select(AuditRow)).scalars()]
        cards = [str(row) for row in session.execute(select(MessageRow)).scalars()]
    calls = [e for e in told.house.sandbox.journal() if str(e.get("method", "")).startswith("chat")]
    printed = [told.house.bot.run(command).stdout for command in ("settings", "doctor")]
    services = program.services
    seen = {
        "log": told.house.bot.log,
        "audit": "\n".join(audit),
        "cards": "\n".join(cards),
        "messages": json.dumps(calls),
        "command line": "\n".join(printed),
        "settings": f"{given!r} {given}",
        "services": repr([services, services.keys, services.connected, services.desk]),
        "connectors": repr([vars(c.connector) for c in services.connected.values()]),
        "program": repr(vars(program)),
    }
    program.database.close()

    assert all(seen.values())
    named = secrets(told, url) | {f"password {n}": p for n, p in enumerate(passwords)}
    leaks = [
        (what, where) for where, text in seen.items() for what, s in named.items() if s in text
    ]
    assert not leaks
