"""A server that follows another, and takes its place."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bot.sandbox.postgres import Cluster
from tests.support.postgres import home, program, theirs
from tests.support.waiting import wait_until

__all__ = ["catch_up", "promote", "standby_of", "take_over"]


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Cluster]:
    """Start a hot standby of this server: it can be read, and has the same passwords."""
    directory = home()
    standby = Cluster(directory, 0, primary.settings, primary.bin)
    standby.passwords = primary.passwords
    standby.keys.write_text(json.dumps(primary.passwords))
    try:
        theirs(standby, standby.data)
        program(
            *(standby, "pg_basebackup", "--pgdata", standby.data, "--write-recovery-conf"),
            *("--dbname", primary.superuser_dsn(), "--checkpoint", "fast", "--no-sync"),
        )
        standby.run(tries=5)
        yield standby
    finally:
        standby.stop("immediate")
        shutil.rmtree(directory)


def catch_up(standby: Cluster, primary: Cluster) -> None:
    """Wait until the standby shows all that was committed on its primary."""
    (goal,) = _one(primary, "select pg_current_wal_lsn()::text")
    reached = f"select pg_last_wal_replay_lsn() >= '{goal}'"
    wait_until(lambda: _one(standby, reached)[0], "the standby follows")


def promote(standby: Cluster) -> None:
    """Let it follow nobody any more and take writes, on a timeline of its own."""
    assert _one(standby, "select pg_promote()") == (True,)


def take_over(standby: Cluster, primary: Cluster) -> None:
    """Stop the primary and promote its standby under the same address: a switch-over."""
    catch_up(standby, primary)
    primary.stop()
    promote(standby)
    standby.stop()
    standby.port = primary.port
    standby.restart()


def _one(cluster: Cluster, query: str) -> tuple:
    with psycopg.connect(cluster.superuser_dsn()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row
