"""Latchkey's database comes from a backup: what it does not know is told, nothing is taken away."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, select
from sqlmodel import col

from bot.sandbox.house import Bot
from engine.request import State
from storage.tables import AccountRow
from tests.support.postgres import fresh_database, own_cluster
from tests.support.story import CUSTOMERS, ORDERS, STOCK, ready, story

HOUR = 3600
# Neither is needed to say that a backup is there.
SLACKS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "LATCHKEY_MANIFESTS")


@pytest.fixture(params=["sqlite", "postgresql"])
def told(request):
    """A house with a target of its own: access is left there that no ledger knows."""
    with own_cluster() as cluster:
        given = {"database": fresh_database(cluster)} if request.param == "postgresql" else {}
        with story(cluster, **given) as told:
            yield told


def copied(told, source: str, copy: str) -> None:
    """Copy Latchkey's database while nobody is at work on it."""
    told.desk.database.let_go()
    if told.desk.database.sqlite:
        for left in ("-wal", "-shm"):
            Path(f"{copy}{left}").unlink(missing_ok=True)
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as kept:
            live.backup(kept)
        return
    with psycopg.connect(told.house.cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f'drop database if exists "{copy}" with (force)')
        admin.execute(f'create database "{copy}" template "{source}"')


@contextmanager
def stopped(told) -> Iterator[str]:
    """Stop Latchkey; within, its database's name is given."""
    told.house.bot.stop()
    yield str(make_url(told.desk.database.url).database)
    told.house.bot.start()
    ready(told)


def stock(told, name: str):
    """Get access that nobody has to approve."""
    request = told.ask(told.person(name), path=STOCK, why="")
    return told.wait(request.code, State.ACTIVE)


def tables(told, name: str) -> set[str]:
    mine = {p for p in told.privileges() if p[0].startswith(f"lk_{name}_")}
    return {table for _, table, verb in mine if verb == "SELECT"}


def at_rest(told, login: str) -> bool:
    query = select(AccountRow).where(col(AccountRow.login) == login)
    with told.desk.database.read() as session:
        row = session.execute(query).scalar_one()
    return row.acted == row.wanted and row.lease is None


def alarmed(told, *words: str) -> None:
    """Wait until an admin was told; time passes meanwhile, for what was busy and has its turn soon.

    It was not told in time, now and then, while time stood still.
    """

    def said() -> bool:
        told.house.sandbox.advance(1)
        return any(all(w in m.text for w in words) for m in told.person("viktor").messages())

    told.until(said, f"an alarm that says {words}")


@pytest.mark.timeout(400)
def test_database_of_an_hour_ago_reports_what_it_does_not_know(told):
    """F11: a restore from a backup revoked what had been renewed since."""
    priya = told.person("priya")
    stays = told.active(told.person("marta"), priya, path=CUSTOMERS, duration="2h")
    ended = told.active(told.person("diego"), priya, path=ORDERS, duration="2h")
    again = stock(told, "fatou")
    told.card(told.person("fatou"), again.code, button="return").click("return")
    told.wait(again.code, State.RETURNED)
    with stopped(told) as database:
        copied(told, database, f"{database}.backup")
    told.card(told.person("diego"), ended.code, button="return").click("return")
    told.wait(ended.code, State.RETURNED)
    told.card(told.person("marta"), stays.code, button="extend").click("extend")
    told.until(lambda: told.request(stays.code).extensions_used, "it is extended")
    for name in ("kofi", "fatou", "marta"):
        stock(told, name)
    told.house.sandbox.advance(HOUR / 3)
    last = max(r.id for r in told.desk.requests(live=False))

    with stopped(told) as database:
        copied(told, f"{database}.backup", database)
        said = Bot(
            {k: v for k, v in told.house.bot.settings.items() if k not in SLACKS}, Path("none.log")
        )
        assert stays.code in said.run("db", "restored").stdout

    alarmed(told, "lk_kofi_")
    alarmed(told, "Fatou", "stock")
    alarmed(told, "Marta", "stock", "not through Latchkey")
    alarmed(told, "Diego", ended.code)
    assert {name: tables(told, name) for name in ("kofi", "fatou", "marta", "diego")} == {
        "kofi": {"stock"},
        "fatou": {"stock"},
        "marta": {"customers", "stock"},
        "diego": set(),
    }
    alarmed(told, stays.code, "extended")
    new = told.ask(told.person("anil"))
    assert new.id > last + 5_000, "cards of others stand in Slack with the ids that are gone"
    told.house.sandbox.advance(2 * HOUR)
    told.wait(ended.code, State.EXPIRED)
    assert told.request(stays.code).state is State.ACTIVE
    assert tables(told, "marta") == {"customers", "stock"}
    told.house.sandbox.advance(8 * HOUR)
    told.wait(stays.code, State.EXPIRED)
    assert tables(told, "marta") == {"stock"}


@pytest.mark.timeout(300)
def test_ended_access_that_is_there_again_is_removed(told):
    """F6: what the system still had was taken for access anew.

    The system itself came from a backup, and gave back what had been taken away.
    """
    marta, priya = told.person("marta"), told.person("priya")
    request = told.active(marta, priya, path=CUSTOMERS)
    password = told.credentials(marta, request.code)
    login = password["user"]
    told.press(marta, request.code, "return")
    told.wait(request.code, State.RETURNED)
    with psycopg.connect(told.house.cluster.superuser_dsn("orders"), autocommit=True) as admin:
        admin.execute(f'grant connect on database orders to "{login}"')
        admin.execute(f'grant usage on schema shop to "{login}"')
        admin.execute(f'grant select on shop.customers, shop.events to "{login}"')
        admin.execute(f'alter role "{login}" login')

    told.until(lambda: at_rest(told, login), "nothing is due of that account")
    told.house.sandbox.advance(HOUR + 60)

    told.until(lambda: tables(told, "marta") == {"events"}, "only what was never ours is there")
    alarmed(told, "Marta", request.code, "taken away")
    assert not told.works(password)
