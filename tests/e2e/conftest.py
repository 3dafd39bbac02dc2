from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg.conninfo import make_conninfo

from bot.sandbox.postgres import Cluster
from tests.support.proxy import Proxy
from tests.support.story import Story, story


@dataclass
class Worst:
    """A house whose bot can be killed at a chosen moment, on its way to Slack or to PostgreSQL."""

    told: Story
    proxy: Proxy


@pytest.fixture(scope="module")
def worst(cluster: Cluster) -> Iterator[Worst]:
    with Proxy(cluster.host, cluster.port) as proxy:
        dsn = make_conninfo(cluster.latchkey_dsn(), host=proxy.host, port=proxy.port)
        with story(cluster, dsn=dsn) as told:
            yield Worst(told, proxy)
            told.clear()
