"""The proxy that other tests lean on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from bot.sandbox.postgres import Cluster
from tests.support.proxy import Proxy


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    with Proxy(cluster.host, cluster.port) as running:
        yield running


def connect(cluster: Cluster, proxy: Proxy) -> psycopg.Connection:
    parts = psycopg.conninfo.conninfo_to_dict(cluster.superuser_dsn())
    return psycopg.connect(**parts | {"port": proxy.port}, autocommit=True)


def test_statements_are_counted(cluster: Cluster, proxy: Proxy):
    with connect(cluster, proxy) as connection:
        connection.execute("select 1")
        connection.execute("select %s::int", [2])
        with connection.transaction():
            connection.execute("select 3")

        assert proxy.count == 5
        proxy.reset()
        assert proxy.count == 0


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
def test_cut_before_or_after_the_server_has_done_it(cluster, proxy, when, done):
    with connect(cluster, proxy) as watch, connect(cluster, proxy) as connection:
        watch.execute("create table cut_here (id int)")
        proxy.reset()
        proxy.on(2, action="cut", when=when)
        connection.execute("select 1")

        with pytest.raises(psycopg.OperationalError):
            connection.execute("insert into cut_here values (1)")

        assert watch.execute("select count(*) from cut_here").fetchone() == (done,)
        watch.execute("drop table cut_here")


@pytest.mark.parametrize("when", ["before", "after"])
def test_callback_is_called_and_all_goes_on(cluster, proxy, when):
    called = []
    with connect(cluster, proxy) as connection:
        proxy.on(1, action=lambda: called.append(when), when=when)

        assert connection.execute("select 42").fetchone() == (42,)

    assert called == [when]


def test_down_refuses_and_cuts_and_up_again_serves(cluster: Cluster, proxy: Proxy):
    with connect(cluster, proxy) as connection:
        proxy.down = True

        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(cluster, proxy)

    proxy.down = False
    with connect(cluster, proxy) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_stalled_connection_goes_on_after_a_reset(cluster: Cluster, proxy: Proxy):
    reached = threading.Event()
    with connect(cluster, proxy) as connection, ThreadPoolExecutor(1) as pool:
        proxy.on(1, action=reached.set)
        proxy.on(1, action="stall", when="after")
        answer = pool.submit(lambda: connection.execute("select 7").fetchone())
        assert reached.wait(20)

        assert not answer.done()
        proxy.reset()
        assert answer.result(20) == (7,)
