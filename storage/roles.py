"""Two roles on PostgreSQL: one owns Latchkey's schema and migrates, the other one runs.

The running one writes, and cannot change what is written for good, the audit most of all.
"""

from typing import Any

import psycopg
from psycopg import sql

WRITTEN_ONCE = frozenset({"audit", "delivery", "flow_revision", "policy_object_revision"})
RIGHTS = {
    **dict.fromkeys(WRITTEN_ONCE, "select, insert"),
    "audit_head": "select, insert, update",  # it is made anew if it is not there
    "alembic_version": "select",
}

_TABLES = "select tablename from pg_tables where schemaname = %s order by 1"
# Whatever the running role may become, whether or not it inherits, or has yet to SET ROLE.
_MEMBER = "pg_has_role(current_user, r.oid, 'MEMBER')"
# What of its own memberships makes it one: a role may be reached by way of others.
_BY = """
(select string_agg(quote_ident(g.rolname), ', ' order by g.rolname)
 from pg_auth_members m join pg_roles g on g.oid = m.roleid
 where pg_get_userbyid(m.member) = current_user and pg_has_role(g.oid, r.oid, 'MEMBER'))
"""
_ROLES = f"""
select quote_ident(current_user), quote_ident(r.rolname), {_BY}, r.rolname = current_user,
       r.rolsuper or r.rolname in ('pg_execute_server_program', 'pg_write_server_files'),
       r.oid = nspowner, r.oid = datdba,
       r.rolcreaterole and current_setting('server_version_num')::int < 160000
from pg_namespace, pg_roles r, pg_database
where nspname = %s and datname = current_database() and {_MEMBER}
order by 4 desc, 2
"""  # noqa: S608  (a constant)
_SOME = f"""
select quote_ident(current_user), quote_ident(r.rolname), {_BY}, r.rolname = current_user,
       string_agg(word || ' ' || relname, ', ' order by relname, word)
from pg_roles r, pg_class, unnest(array['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) as asked (word)
where relnamespace = (select oid from pg_namespace where nspname = %s) and relname = any (%s)
  and {_MEMBER}
  and (has_table_privilege(r.oid, pg_class.oid, word)
       or word = 'UPDATE' and has_any_column_privilege(r.oid, pg_class.oid, word))
group by r.oid, r.rolname order by 4 desc, 2
"""  # noqa: S608  (a constant)
_MAKES = f"""
select quote_ident(current_user), quote_ident(r.rolname), {_BY}, r.rolname = current_user,
       quote_ident(current_database())
from pg_roles r
where {_MEMBER} and has_database_privilege(r.oid, current_database(), 'CREATE')
  and (r.rolname = current_user or not has_database_privilege(current_database(), 'CREATE'))
order by 4 desc, 2
"""  # noqa: S608  (a constant)

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

    It has to be another than the schema's owner. What it could become counts as what it is: whoever
    has its password can SET ROLE, too.
    """
    roles = connection.execute(_ROLES, [schema]).fetchall()
    found = [said for row in roles if (said := _powers(*row))]
    if found:
        return " ".join(found)
    for me, role, by, itself, rights in connection.execute(_SOME, [schema, sorted(WRITTEN_ONCE)]):
        cure = "Run `latchkey db upgrade`; what is left then, others have granted."
        found.append(
            f"{me} may {rights}. {cure}" if itself else
            f"{me} may {rights} as {role}: REVOKE {by} FROM {me};"
        )  # fmt: skip
    for me, role, by, itself, there in connection.execute(_MAKES):
        found.append(
            f"{me} may make schemas: REVOKE CREATE ON DATABASE {there} FROM {me};" if itself else
            f"{me} may make schemas as {role}: REVOKE {by} FROM {me};"
        )  # fmt: skip
    return " ".join(found)


def _powers(me: str, role: str, by: str | None, *is_: bool) -> str:
    """Say what a role may do that has no bounds, and how it is taken away."""
    itself, everything, owner, owns_all, makes_members = is_
    cure = "" if itself else f"REVOKE {by} FROM {me};"
    if everything:
        return f"{me} may do everything: {cure or f'ALTER ROLE {me} NOSUPERUSER;'}"
    if owner:
        return f"{me} may do whatever {role} may: {cure}"
    if owns_all:
        give = "ALTER DATABASE … OWNER TO a role that does not run."
        return f"{me} may drop the database, which {role} owns: {cure or give}"
    if makes_members:
        return (
            f"{me} may make itself a member of any role: {cure or f'ALTER ROLE {me} NOCREATEROLE;'}"
        )
    return ""
