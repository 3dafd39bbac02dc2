"""A server's data, moved to a newer version in the ways that people move it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg

from bot.sandbox.postgres import SUPERUSER, Cluster
from tests.support.postgres import home, program, workshop
from tests.support.servers import NEWEST, binaries

__all__ = ["Way", "upgraded"]

Way = Literal["pg_upgrade", "dump"]  # with the new version's programs, as its manual advises


@contextmanager
def upgraded(old: Cluster, version: str = NEWEST, *, way: Way = "pg_upgrade") -> Iterator[Cluster]:
    """Move all that the running server holds to a new server, which takes its place.

    The old one is stopped. The new one has its port, passwords and settings, so that every address
    of the old one leads there. It has another `system_identifier`.
    """
    directory = home()
    new = Cluster(directory, 0, old.settings, binaries(version))
    new.passwords = old.passwords
    new.keys.write_text(json.dumps(old.passwords))
    try:
        new.initdb(*_checksums(old, version))
        if way == "pg_upgrade":
            _pg_upgrade(old, new)
        else:
            _dump(old, new)
        new.port = old.port
        new.restart()
        yield new
    finally:
        new.stop("immediate")
        shutil.rmtree(directory)


def _checksums(old: Cluster, version: str) -> list[str]:
    """Ask for the pages of the old server's kind: pg_upgrade takes no others."""
    with psycopg.connect(old.superuser_dsn()) as connection:
        if connection.execute("show data_checksums").fetchone() == ("on",):
            return ["--data-checksums"]
    return ["--no-data-checksums"] if int(version) >= 18 else []  # before, none was usual


def _pg_upgrade(old: Cluster, new: Cluster) -> None:
    old.stop()
    program(
        *(new, "pg_upgrade", "--username", SUPERUSER, "--no-sync"),
        *("--old-bindir", old.bin, "--old-datadir", old.data),
        *("--new-bindir", new.bin, "--new-datadir", new.data),
    )


def _dump(old: Cluster, new: Cluster) -> None:
    script = workshop(new) / "everything.sql"
    program(new, "pg_dumpall", *_way_in(old), "--file", script)
    old.stop()
    new.run(tries=5)
    said = program(new, "psql", "--no-psqlrc", "--quiet", *_way_in(new), "--file", script)
    errors = [line for line in said.splitlines() if "ERROR" in line]
    assert len(errors) == 1, said
    assert f'role "{SUPERUSER}" already exists' in errors[0]


def _way_in(cluster: Cluster) -> list[str]:
    return ["--host", cluster.host, "--port", str(cluster.port), "--username", SUPERUSER]
