"""Back-ups of PostgreSQL, by the commands of docs/running.md, however the schema was made."""

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from engine.request import State
from storage import audit, schema
from storage.database import Database
from storage.secrets import KeyRing
from tests.support.postgres import (
    STORE,
    drop_database,
    for_libpq,
    fresh_database,
    with_a_runner,
)
from tests.support.stored import HOUR, KEY, Stored, found

DOCS = Path(__file__).parents[2] / "docs" / "running.md"


def commands(name: str) -> str:
    """Return the block of the docs in which this program stands first."""
    chapter = DOCS.read_text().partition("## Back-ups")[2]
    return re.search(rf"```sh\n({name}.*?)```", chapter, re.DOTALL)[1]


def run(cluster, name: str, owner: str, folder: Path) -> None:
    path = f"{cluster.bin}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-ec", commands(name)],
        env={"PATH": path, "OWNER": for_libpq(owner)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def upgrade(url: str, owner: str) -> None:
    ours, theirs = Database(url), Database(owner)
    if url == owner:
        schema.upgrade(ours)
    else:
        schema.upgrade_for(ours, theirs)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("made", ["one role", "two roles", "schema made beforehand"])
def test_a_back_up_is_put_back_by_the_commands_that_the_docs_give(cluster, tmp_path, made):
    """Where the schema was made by somebody else, it was dropped, and could not be made again."""
    owner = fresh_database(cluster)
    url = with_a_runner(cluster, owner) if made == "two roles" else owner
    if made == "schema made beforehand":
        database = make_url(owner).database
        with psycopg.connect(cluster.superuser_dsn(database), autocommit=True) as one:
            one.execute(f"create schema latchkey authorization {STORE}".encode())
            one.execute(f'revoke create on database "{database}" from {STORE}'.encode())
    upgrade(url, owner)
    found(url, KeyRing([KEY]))
    stored = Stored.open(url)
    request = stored.submit()
    stored.converge()
    run(cluster, "pg_dump", owner, tmp_path)
    stored.pass_(24 * HOUR)
    stored.tick()
    stored.converge()
    stored.close()
    with psycopg.connect(for_libpq(owner), autocommit=True) as connection:
        connection.execute("create table latchkey.of_a_newer_version (id int)")

    run(cluster, "pg_restore", owner, tmp_path)
    upgrade(url, owner)

    stored = Stored.open(url, now=stored.now)
    assert stored.again(request).state is State.ACTIVE
    with stored.database.read() as session:
        assert list(audit.AuditReading(session).findings()) == []
    stored.tick()
    stored.converge()
    assert stored.again(request).state is State.EXPIRED
    stored.close()
    with psycopg.connect(for_libpq(owner)) as connection:
        assert connection.execute(
            "select to_regclass('latchkey.of_a_newer_version')"
        ).fetchone() == (None,)
    drop_database(cluster, owner)
