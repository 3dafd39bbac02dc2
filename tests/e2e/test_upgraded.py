"""The target is upgraded, or rebuilt, under access that runs; then the new server is accepted."""

from contextlib import suppress

import psycopg
import pytest

from bot.sandbox.client import NotPossible, Person
from engine.request import State
from tests.support.postgres import own_cluster
from tests.support.servers import CHOSEN, NEWEST, VERSIONS
from tests.support.story import CUSTOMERS, Story, story
from tests.support.upgrade import upgraded

BEFORE = CHOSEN or VERSIONS[0]


def _reads(login: dict[str, str], table: str) -> bool:
    try:
        with psycopg.connect(**login) as session:
            session.execute(f"select from {table}")
    except psycopg.Error:
        return False
    return True


def _ends(told: Story, who: Person, code: str) -> bool:
    """Give it back, unless it ends by itself before: what has another name now is gone."""
    for message in who.messages():
        if code in message.text and any(action == "return" for action, _, _ in message.buttons):
            with suppress(NotPossible):
                message.click("return")
    return told.request(code).state in {State.RETURNED, State.REVOKED}


@pytest.mark.timeout(300)
def test_access_that_runs_through_an_upgrade_ends_after_it():
    """After the acceptance what had another name was called returned, and was read on."""
    with own_cluster(version=BEFORE) as old, story(old) as told:
        marta, priya = told.person("marta"), told.person("priya")
        code = told.active(marta, priya, path=CUSTOMERS).code
        login = told.credentials(marta, code)
        with upgraded(old, NEWEST) as new:
            told.house.cluster = new
            with psycopg.connect(new.superuser_dsn("orders"), autocommit=True) as admin:
                admin.execute("alter table shop.customers rename to clients")
            before = told.house.bot.run("integrations", "list").stdout
            accepted = told.house.bot.run("integrations", "accept", "orders-db", "--yes").stdout
            still = _reads(login, "shop.clients")
            told.until(lambda: _ends(told, marta, code), "it is over")

            assert "another server answers" in " ".join(before.split())
            assert "orders/shop/customers" in accepted
            assert still
            assert not _reads(login, "shop.clients")
            with psycopg.connect(new.superuser_dsn("orders")) as admin:
                left = admin.execute(
                    "select count(*) from pg_shdepend s join pg_roles r on r.oid = refobjid"
                    " where rolname like 'lk\\_%' and deptype = 'a'"
                ).fetchone()
            assert left == (0,)
