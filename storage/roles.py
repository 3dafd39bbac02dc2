"""Two roles on PostgreSQL: one owns Latchkey's schema and migrates, the other one runs.

The running one writes, and cannot change what is written for good, the audit most of all.
"""

from typing import Any

import psycopg
from psycopg import sql

WRITTEN_ONCE = frozenset({"audit", "delivery", "flow_revision"})
RIGHTS = {
    **dict.fromkeys(WRITTEN_ONCE, "select, insert"),
    "audit_head": "select, insert, update",  # it is made anew if it is not there
    "alembic_version": "select",
}

_TABLES = "select tablename from pg_tables where schemaname = %s order by 1"
_ALL = """
select rolsuper, pg_has_role(nspowner, 'member'), quote_ident(pg_get_userbyid(nspowner)),
       quote_ident(rolname)
from pg_namespace, pg_roles where nspname = %s and rolname = current_user
"""
_SOME = """
select relname, word
from pg_class, unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) as asked (word)
where relnamespace = (select oid from pg_namespace where nspname = %s) and relname = any (%s)
  and (has_table_privilege(pg_class.oid, word)
       or word = 'UPDATE' and has_any_column_privilege(pg_class.oid, word))
order by 1, 2
"""

Connection = psycopg.Connection[Any]


def grant(connection: Connection, schema: str, runner: str) -> None:
    """Give the running role what it needs in the schema, and take away what it had beyond that."""
    place, role = sql.Identifier(schema), sql.Identifier(runner)

    def say(statement: str, **more: sql.Composable) -> None:
        connection.execute(sql.SQL(statement).format(place=place, role=role, **more))

    say("revoke all on schema {place} from {role}")
    say("revoke all on all tables in schema {place} from {role}")
    say("grant usage on schema {place} to {role}")
    say("grant usage on all sequences in schema {place} to {role}")
    for (table,) in connection.execute(_TABLES, [schema]).fetchall():
        rights = sql.SQL(RIGHTS.get(table, "select, insert, update, delete"))
        say("grant {rights} on {place}.{table} to {role}", rights=rights,
            table=sql.Identifier(table))  # fmt: skip


def excess(connection: Connection, schema: str) -> str:
    """Return how the role of this session could change what is written, and the cure; or nothing.

    It has to be another than the schema's owner.
    """
    row = connection.execute(_ALL, [schema]).fetchone()
    if row is None:
        return ""
    is_super, member, owner, me = row
    if is_super:
        return f"{me} may do everything: ALTER ROLE {me} NOSUPERUSER;"
    if member:
        return f"{me} may do whatever {owner} may: REVOKE {owner} FROM {me};"
    found = connection.execute(_SOME, [schema, sorted(WRITTEN_ONCE)]).fetchall()
    if not found:
        return ""
    said = ", ".join(f"{word} {table}" for table, word in found)
    return f"{me} may {said}. Run `latchkey db upgrade`; what is left then, others have granted"
