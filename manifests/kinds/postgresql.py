"""PostgreSQL, as integrations.yaml says it."""

from typing import Literal

from pydantic import Field

from manifests.kind import Kind
from manifests.parts import LoginsDocument, OneLine, Ours, Reference, Words

__all__ = ["KIND"]


class ShowDocument(Ours):
    """What people are shown where it differs from Latchkey's own way in."""

    host: OneLine | None = None
    port: int | None = Field(None, ge=1, le=65535)
    database: OneLine | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        None
    )
    text: OneLine | None = None


class PostgreSQLSettings(Ours):
    """`permissions` and `roles`: what is offered beyond read and read-write."""

    dsn: Reference
    databases: Words | None = None
    permissions: list[Literal["truncate", "execute"]] | None = None
    roles: Words | None = None
    show: ShowDocument | None = None
    connect_timeout: int | None = Field(None, ge=1, le=60)
    statement_timeout: int | None = Field(None, ge=1, le=600)
    logins: LoginsDocument | None = None


KIND = Kind(
    connector="engine.connectors.postgresql:PostgreSQL",
    settings=PostgreSQLSettings,
    secrets=("dsn",),
    types=frozenset({"database", "schema", "table", "function", "role"}),
    permissions=frozenset({"connect", "read", "read-write", "truncate", "execute", "member"}),
    page="postgresql.md",
)
