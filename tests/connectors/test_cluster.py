"""The PostgreSQL that the sandbox, the demo and these tests start for themselves."""

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from bot.sandbox.postgres import Cluster, PostgresError, reachable
from tests.support.postgres import home, own_cluster


def test_second_start_finds_the_data_and_the_passwords():
    with own_cluster(seed=False) as cluster:
        before = cluster.superuser_dsn()
        with psycopg.connect(before, autocommit=True) as connection:
            connection.execute("create table kept (id int)")
        cluster.stop()
        assert cluster.pid is None

        with Cluster.start(cluster.directory, port=cluster.port) as again:
            assert again.superuser_dsn() == before
            with psycopg.connect(before) as connection:
                assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_start_ends_a_server_that_was_left_behind():
    with (
        own_cluster(seed=False) as orphan,
        Cluster.start(orphan.directory) as heir,
        psycopg.connect(heir.latchkey_dsn()) as connection,
    ):
        assert connection.execute("select 1").fetchone() == (1,)
        assert heir.pid != orphan.pid


def test_crash_and_restart_keep_port_and_data():
    with own_cluster(seed=False) as cluster:
        port, pid = cluster.port, cluster.pid

        cluster.restart("immediate")

        assert cluster.port == port
        assert cluster.pid != pid
        with psycopg.connect(cluster.latchkey_dsn()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_several_start_at_once():
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        starting = [own_cluster(seed=False) for _ in range(3)]
        running = list(pool.map(lambda each: each.__enter__(), starting))
        for each in starting:
            stack.push(each.__exit__)

        assert len({cluster.port for cluster in running}) == 3
        for cluster in running:
            psycopg.connect(cluster.latchkey_dsn()).close()


def test_passwords_are_for_us_alone(cluster: Cluster):
    mode = stat.S_IMODE((cluster.directory / "passwords.json").stat().st_mode)

    assert mode == 0o600


def test_only_the_data_is_of_whoever_runs_the_server(cluster: Cluster):
    """Root gave all of the directory away, and went on to write and give away files in it."""
    ours = [p for p in (cluster.directory, *cluster.directory.iterdir()) if p.name != "data"]

    assert {p.lstat().st_uid for p in ours} == {os.geteuid()}
    assert not any(stat.S_IMODE(p.lstat().st_mode) & 0o022 for p in ours)


def test_nobody_gets_in_without_a_password(cluster: Cluster):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=cluster.host, port=cluster.port, user="postgres", passfile=os.devnull)


def test_start_that_fails_says_what_the_server_said():
    with own_cluster(seed=False) as cluster:
        cluster.stop()
        (cluster.directory / "data" / "postgresql.conf").write_text("nonsense = 1\n")

        with pytest.raises(PostgresError, match="nonsense"):
            Cluster.start(cluster.directory)


def test_server_of_ones_choice_comes_within_reach_of_who_runs_it(tmp_path: Path):
    """As root that is somebody else, who may not enter a home or a folder of pytest's."""
    chosen = tmp_path / "bin"
    chosen.mkdir()
    (chosen / "initdb").touch()
    directory = home()

    cluster = Cluster(directory, 0, {}, chosen)

    assert reachable(cluster.bin / "initdb")
    assert (cluster.bin / "initdb").is_file()
    shutil.rmtree(directory)


def test_server_of_ones_choice_that_is_not_there_is_named(tmp_path: Path):
    directory = home()

    with pytest.raises(PostgresError, match=f"There is no PostgreSQL server in {tmp_path}"):
        Cluster.start(directory, binaries=tmp_path)

    shutil.rmtree(directory)


def test_sample_data_is_worth_protecting(cluster: Cluster):
    with psycopg.connect(cluster.latchkey_dsn("ledger")) as connection:
        assert connection.execute("select count(*) from payroll.salaries").fetchone() == (40,)
    with psycopg.connect(cluster.latchkey_dsn("orders")) as connection:
        (public,) = connection.execute(
            "select has_database_privilege('public', 'orders', 'CONNECT')"
        ).fetchone() or (None,)
        assert public is False
