"""From the start of the process until `/readyz` says 200: database open, loops at work, linked.

The database holds the sandbox's company already, as at every start but the first.
"""

import http.client
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bot import settings
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster
from bot.usecases.console import opened
from tests.benchmarks.report import Row
from tests.support.postgres import drop_database, fresh_database
from tests.support.story import Story, ready

STARTS, WITHIN, AT_MOST = 5, 2.0, 150  # seconds, megabytes
GIVE_UP = 60.0  # seconds


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    for kind in ("sqlite", "postgresql"):
        url = f"sqlite:///{folder}/start.db" if kind == "sqlite" else fresh_database(cluster)
        with House(folder / kind, cluster=cluster, rate_factor=0, database=url) as house:
            seconds, megabytes = starts(house)
        if kind == "postgresql":
            drop_database(cluster, url)
        median = statistics.median(seconds)
        yield Row(
            f"start to ready, {kind}",
            f"{median:.2f} s ({min(seconds):.2f}–{max(seconds):.2f})",
            f"{STARTS} starts",
            f"≤ {WITHIN:g} s",
            median <= WITHIN,
        )
        yield memory(f"memory after the start, {kind}", max(megabytes))


def memory(what: str, megabytes: float) -> Row:
    bar = f"≤ {AT_MOST} MB"
    return Row(what, f"{megabytes:.0f} MB", "resident", bar, megabytes <= AT_MOST)


def starts(house: House) -> tuple[list[float], list[float]]:
    """Start and stop; the first start, which makes the database, does not count."""
    seconds, megabytes = [], []
    for number in range(STARTS + 1):
        began = brought_up(house)
        if number:
            seconds.append(began)
            megabytes.append(resident(house.bot.pid))
        else:
            with opened(settings.load(**house.bot.settings)) as desk:
                ready(Story(house, desk))
        house.bot.stop()
    return seconds, megabytes


def brought_up(house: House) -> float:
    """Start the bot, and return the seconds until it is ready."""
    begun = time.perf_counter()
    house.bot.start()
    while not is_ready(house.url):
        if time.perf_counter() - begun > GIVE_UP:
            raise SystemExit(f"it is never ready:\n{house.bot.log[-3000:]}")
        time.sleep(0.01)
    return time.perf_counter() - begun


def is_ready(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def resident_here() -> float:
    return resident(os.getpid())


def resident(pid: int) -> float:
    """Return the megabytes of memory that a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)
