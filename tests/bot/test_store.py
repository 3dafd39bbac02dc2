"""Latchkey's own PostgreSQL, as an operator meets it: what is amiss is one sentence with a cure."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.engine import make_url

from bot import settings
from bot.sandbox.house import COMPANY
from bot.usecases import doctor
from storage import schema
from storage.database import Database
from storage.secrets import new_key
from tests.support import nursery
from tests.support.postgres import (
    RUNNER,
    STORE,
    drop_database,
    fresh_database,
    with_a_runner,
)
from tests.support.proxy import Proxy
from tests.support.stranger import DRIP, LET_IN, Stranger
from tests.support.waiting import wait_until

ONE_ROLE = "one, which could rewrite the audit: anchors tell. Two prevent it: docs/running.md"
COMMANDS = (["run"], ["db", "upgrade"], ["requests", "list"], ["revoke", "--all"])


@pytest.fixture
def url(cluster):
    made = fresh_database(cluster)
    yield made
    drop_database(cluster, made)


def given(url: str) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "LATCHKEY_KEYS": new_key(),
        "LATCHKEY_MANIFESTS": str(COMPANY),
        "LATCHKEY_DATABASE_URL": url,
    }


def latchkey(url: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    # The company names a system of its own, which is asked nothing here.
    system = {"LATCHKEY_SANDBOX_PG": "host=127.0.0.1 port=1", "COLUMNS": "1000"}
    return nursery.latchkey(*arguments, **{**system, **given(url), **more})


def owner(cluster, url: str, *statements: str) -> None:
    with psycopg.connect(cluster.superuser_dsn(make_url(url).database), autocommit=True) as one:
        for statement in statements:
            one.execute(statement.encode())


def alone(cluster, url: str) -> None:
    """Wait until the server has ended the sessions that were closed."""
    there = "select count(*) from pg_stat_activity where datname = %s"
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as one:
        name = make_url(url).database
        wait_until(lambda: one.execute(there, [name]).fetchone() == (0,), "nobody is there")


def said_by_doctor(url: str) -> dict[str, tuple[bool, str]]:
    checks = doctor.examine(settings.load(**given(url)), {})
    return {c.name: (c.ok, c.detail) for c in checks if c.name.startswith("database")}


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_who_may_not_make_the_schema_gets_one_sentence(cluster, url, command):
    """On a server that is not one's own it was a traceback at the first migration."""
    name = make_url(url).database
    owner(cluster, url, f"revoke create on database {name} from {STORE}")

    done = latchkey(url, *command)

    assert done.returncode == 1
    assert f'CREATE SCHEMA latchkey AUTHORIZATION "{STORE}";' in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_the_doctor_tells_beforehand_whether_the_schema_can_be_made(cluster, url):
    """A fresh install was red, and one that could not work was no redder."""
    ok, detail = said_by_doctor(url)["database"]
    assert ok
    assert "no schema yet: `latchkey run` makes it" in detail

    owner(cluster, url, f"revoke create on database {make_url(url).database} from {STORE}")

    ok, detail = said_by_doctor(url)["database"]
    assert not ok
    cure = f'CREATE SCHEMA latchkey AUTHORIZATION "{STORE}";'
    assert cure in detail

    owner(cluster, url, cure)  # after which it said so again
    ok, detail = said_by_doctor(url)["database"]
    assert ok
    assert "no schema yet" in detail


@pytest.mark.parametrize("command", COMMANDS[2:], ids=" ".join)
def test_a_database_without_latchkey_is_named(url, command):
    done = latchkey(url, *command)

    assert done.returncode == 1
    name = make_url(url).database
    assert f"There is no Latchkey in this database: {name} on 127.0.0.1:" in done.stderr


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_a_store_that_is_not_reached_is_one_sentence_with_address_and_cure(url, command):
    elsewhere = make_url(url).set(port=9).render_as_string(hide_password=False)

    done = latchkey(elsewhere, *command)

    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    for part in (" on 127.0.0.1:9, schema latchkey", "Connection refused", "LATCHKEY_DATABASE_URL"):
        assert part in said


def test_a_store_that_lets_us_in_and_answers_nothing_ends_every_command():
    """They waited without end, with nothing said: a limit of the server's own needs a server."""
    commands = [*COMMANDS[1:], ["pause", "grants"], ["audit", "verify"], ["doctor"]]
    with (
        Stranger(LET_IN, DRIP).listening() as port,
        ThreadPoolExecutor(len(commands)) as at_once,
    ):
        url = f"postgresql+psycopg://u:p@127.0.0.1:{port}/x?require_auth=none"
        ended = at_once.map(lambda command: latchkey(url, *command), commands)

        for done in ended:
            said = done.stdout + done.stderr
            assert done.returncode == 1
            assert f"x on 127.0.0.1:{port}, schema latchkey cannot be used: the server let" in said
            assert "gave no answer within 20 s. See that it runs" in said
            assert "Traceback" not in said


def test_a_store_that_falls_silent_on_the_way_ends_a_command(cluster, url):
    with closing(Database(url)) as database:
        schema.upgrade(database)

    def hear(words):
        proxy.silent = proxy.silent or "from company" in words.lower()

    with Proxy(cluster.host, cluster.port, hear=hear) as proxy:
        through = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        done = latchkey(through, "pause", "grants")

    assert done.returncode == 1
    assert "gave no answer within 20 s. See that it runs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [*COMMANDS, ["doctor"]], ids=" ".join)
def test_a_folder_in_the_files_place_is_called_one(tmp_path, command):
    """It was said to be put there by somebody else, and that it should be removed."""
    done = latchkey(f"sqlite:///{tmp_path}", *command)

    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert f"{tmp_path} is a folder: name a file in it in LATCHKEY_DATABASE_URL." in said


@pytest.mark.parametrize("command", [*COMMANDS, ["doctor"]], ids=" ".join)
def test_a_file_that_cannot_be_opened_is_one_sentence_with_its_cure(tmp_path, command):
    tmp_path.chmod(0o700)
    file = tmp_path / "latchkey.db"
    file.write_text("A diary, and no database: many words, and none of them SQL." * 20)
    file.chmod(0o600)

    done = latchkey(f"sqlite:///{file}", *command)

    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"The database {file} cannot be used: file is not a database." in said
    assert "in LATCHKEY_DATABASE_URL" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pooler_is_refused_whichever_way_one_comes_in(cluster, url, command):
    with Proxy(cluster.host, cluster.port, drops={"options"}) as proxy:
        pooled = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        done = latchkey(pooled, *command)
        found = said_by_doctor(pooled)

    assert done.returncode == 1
    assert "PgBouncer" in done.stderr
    assert "Traceback" not in done.stderr
    assert not found["database"][0]
    assert "PgBouncer" in found["database"][1]


def test_an_upgrade_and_a_look_need_no_more_than_a_schema_of_ones_own(cluster, url):
    name = make_url(url).database
    owner(
        cluster,
        url,
        f"create schema latchkey authorization {STORE}",
        f"revoke create on database {name} from {STORE}",
    )

    assert latchkey(url, "db", "upgrade").returncode == 0
    assert latchkey(url, "requests", "list").returncode == 0


def test_the_doctor_fails_while_everybody_may_get_in_and_its_cure_cures(cluster, url):
    name = make_url(url).database
    with closing(Database(url)) as database:
        schema.upgrade(database)
    owner(cluster, url, f"grant connect, create on database {name} to public")
    ok, detail = said_by_doctor(url)["database's doors"]
    assert not ok
    assert "may connect and create" in detail

    owner(cluster, url, *re.findall(r"(?:REVOKE|GRANT) .*?;", detail))

    assert said_by_doctor(url) | {"database's clock": (True, "")} == {
        "database's transport": (True, "loopback; require_auth=scram-sha-256"),
        "database": (True, f"schema {schema.newest()}"),
        "database's clock": (True, ""),
        "database's doors": (True, "closed to PUBLIC"),
        "database's roles": (True, ONE_ROLE),
    }


def test_the_doctor_fails_while_others_may_create_in_its_schema_and_its_cure_cures(cluster, url):
    with closing(Database(url)) as database:
        schema.upgrade(database)
    owner(cluster, url, "grant create on schema latchkey to public")
    ok, detail = said_by_doctor(url)["database"]
    assert not ok

    owner(cluster, url, *re.findall(r"REVOKE .*?;", detail))

    assert all(ok for ok, _ in said_by_doctor(url).values())


def test_the_doctor_says_it_in_a_line_where_there_is_no_connection_left(cluster, url):
    """It takes one more than `run` does: that ended in a traceback."""
    with closing(Database(url)) as database:
        schema.upgrade(database)
    alone(cluster, url)
    name = make_url(url).database  # of the role, others of its databases may have sessions
    owner(cluster, url, f'alter database "{name}" connection limit 1')
    with closing(Database(url)) as database, database.read():
        done = latchkey(url, "doctor")

    assert done.returncode == 1
    assert "too many connections" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


def test_with_two_roles_the_owner_upgrades_and_the_other_one_runs(cluster, url, tmp_path):
    runner = with_a_runner(cluster, url)
    kept = tmp_path / "owner"
    kept.write_text(url)

    refused = latchkey(runner, "run")
    assert refused.returncode == 1
    assert "`latchkey db upgrade`, with LATCHKEY_OWNER_URL" in refused.stderr
    examined = " ".join(latchkey(runner, "doctor", COLUMNS="300").stdout.split())
    assert "`latchkey db upgrade`, with LATCHKEY_OWNER_URL" in examined
    assert "CREATE SCHEMA" not in examined  # which would give the schema to whoever runs
    done = latchkey(runner, "db", "upgrade", LATCHKEY_OWNER_URL=f"file:{kept}")
    assert done.stdout == f"schema none → {schema.newest()}\n"

    assert latchkey(runner, "pause", "grants").returncode == 0
    ok, detail = said_by_doctor(runner)["database's roles"]
    assert ok
    assert "what is written stays" in detail
    owner(cluster, url, f"grant delete on latchkey.audit to {RUNNER}")
    ok, detail = said_by_doctor(runner)["database's roles"]
    assert not ok
    assert f"{RUNNER} may DELETE audit. Run `latchkey db upgrade`" in detail


def test_an_owners_address_that_is_none_is_named_without_its_password(url):
    done = latchkey(url, "db", "upgrade", LATCHKEY_OWNER_URL="mysql://x:hunter22@h/d")

    assert done.returncode == 1
    assert "LATCHKEY_OWNER_URL" in done.stderr
    assert "hunter22" not in done.stderr


@pytest.mark.parametrize(
    ("address", "ok"),
    [
        ("db.invalid/d", False),
        ("db.invalid/d?sslmode=require", False),
        ("db.invalid/d?sslmode=verify-full&sslrootcert=system", True),
        ("/d?host=127.0.0.1&host=db.invalid", False),
    ],
)
def test_the_doctor_fails_unless_the_way_is_verified(address, ok):
    found = said_by_doctor(f"postgresql+psycopg://latchkey:hunter2@{address}")

    assert found["database's transport"][0] is ok
    assert not found["database"][0]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("name", ["public", "pg_own", "Bad"])
def test_a_schema_that_cannot_be_its_own_is_a_fault_of_the_settings(name):
    done = latchkey(f"postgresql+psycopg://h/d?schema={name}", "run")

    assert done.returncode == 1
    assert "LATCHKEY_DATABASE_URL: schema= names a schema of Latchkey's own" in done.stderr
    assert "Traceback" not in done.stderr
