"""SQLAlchemy's dialects, equal to all others of their kind: what is compiled for one serves each.

A program opens a database to write and to read, and tests one after the other. Without this each
would compile every statement anew, and keep it.
"""

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.util import LRUCache

_ENOUGH = 1000  # statements; ours are some three hundred on each kind of database

# A part of each key is the dialect, by what it is equal to.
COMPILED: LRUCache[Any, Any] = LRUCache(_ENOUGH)


class _Equal(Dialect):
    """Equal to those by which the same statement becomes the same words."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _decides(other) == _decides(self)

    def __hash__(self) -> int:
        return hash(type(self))  # what else decides is known with the first connection


class SQLite(_Equal, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class PostgreSQL(_Equal, PGDialect_psycopg):
    supports_statement_cache = True


def _decides(dialect: Any) -> tuple[object, ...]:  # noqa: ANN401  (some know of no such thing)
    escapes = getattr(dialect, "_backslash_escapes", None)
    return dialect.paramstyle, getattr(dialect, "server_version_info", None), escapes


def spoken(url: str | URL) -> URL:
    """Return the address by which SQLAlchemy takes one of these."""
    made = make_url(url)
    return made.set(drivername=f"{made.get_backend_name()}+latchkey")


registry.register("sqlite.latchkey", __name__, SQLite.__name__)
registry.register("postgresql.latchkey", __name__, PostgreSQL.__name__)
