"""A target whose databases are full of traps for the connector's SQL: see `tests.support.traps`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from bot.sandbox.postgres import DATABASES, Cluster
from tests.support.traps import Heard, lay, sprung

__all__ = ["HOME", "PLACES", "sprung_in", "trap"]

HOME = "evil"
# Where a grantee could plant as PostgreSQL 14 and older made “public”, in the schema that has the
# name of Latchkey's own login, and where the owner of a database leads everybody.
PLACES = ("public", "latchkey", HOME)

_CONNECTOR = Path(__file__).parents[2] / "engine" / "connectors" / "postgresql"


def trap(cluster: Cluster) -> None:
    """Plant, in each database, as a login of no rights of its own, all that fits better."""
    statements = list(_statements())
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as admin:
        admin.execute("create role mallory login password 'mallory'")
        admin.execute("grant mallory to latchkey")  # as every owner's role is
        admin.execute(f"alter role latchkey set search_path = {HOME}, pg_catalog")
        # What is planted in the way of others is nothing to the administrator.
        admin.execute("alter role postgres set search_path = pg_catalog")
    for name in ("postgres", *DATABASES):
        with psycopg.connect(cluster.superuser_dsn(name), autocommit=True) as admin:
            heard = Heard.of(statements, admin)
            who = sql.Identifier(name)
            admin.execute(sql.SQL("grant connect on database {} to mallory").format(who))
            admin.execute("grant create on schema public to public")
            for place in ("latchkey", HOME):
                admin.execute(f"create schema {place} authorization mallory")
                admin.execute(f"grant usage on schema {place} to public")
            admin.execute("set session authorization mallory")
            assert lay(admin, heard, HOME, PLACES, operators_in=(HOME, "public"))
            admin.execute("reset session authorization")
            path = f"alter database {{}} set search_path = {HOME}, pg_catalog"
            admin.execute(sql.SQL(path).format(who))


def _statements() -> Iterator[str]:
    """Yield what of the connector's text is SQL, and perhaps a little more."""
    for path in _CONNECTOR.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Constant(value=str(text)) if not text[:1].isupper() and " " in text:
                    yield text


def sprung_in(cluster: Cluster, database: str) -> set[str]:
    """Return which kinds of traps were run in a database since this was last asked."""
    pinned = cluster.superuser_dsn(database) + " options='-c search_path=pg_catalog'"
    with psycopg.connect(pinned, autocommit=True) as admin:
        return sprung(admin, HOME)
