"""The end of a login: what it owns is put away, and the role is dropped.

What a grantee made may hold code of theirs, which runs with the rights of whoever uses it. It goes
to a role that may do nothing and that nobody logs in as; what would run by itself is switched off,
and the rest is named for whoever wants the things back.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql

from engine.connectors.postgresql import remains
from engine.connectors.postgresql.acl import Database, Owner, may_set
from engine.connectors.postgresql.names import heir, path_of
from engine.connectors.postgresql.server import (
    LOCK,
    Role,
    Server,
    databases,
    ident,
    joining_own,
    told,
)
from engine.connectors.postgresql.sessions import Connection, acting_as
from engine.port import Unavailable

__all__ = ["drop"]

LONGEST = 120  # characters of an expression that are shown


def drop(server: Server, main: Connection, role: Role) -> Iterator[str]:
    """Close the role, empty it database by database, drop it. Yield what an operator should know.

    Raises Unavailable where something cannot be done for now.
    """
    who = sql.Identifier(role.name)
    nologin = sql.SQL("alter role {} nologin").format(who)
    server.insist(main, lambda: main.execute(nologin), firmly=True)
    if trouble := server.end_sessions(main, role) or server.roll_back_prepared(main, role):
        raise Unavailable(trouble)
    rows = main.execute(
        "select distinct dbid from pg_shdepend"
        " where refclassid = 'pg_authid'::regclass and refobjid = %s",
        [role.oid],
    )
    concerned = {oid for (oid,) in rows}
    closed = list[str]()
    for database in databases(main, templates=True):
        # What all databases share (0), such as CONNECT, can be dropped from any of them.
        if {database.oid, 0 if database.name == main.info.dbname else -1} & concerned:
            try:
                with server.beside(main, database.name) as connection:
                    yield from _Estate(server, main, connection, database, role).settle()
            except psycopg.Error as error:  # the others are put in order all the same
                closed.append(f"{path_of(database.name)}: {told(error)}")
    if closed:
        raise Unavailable("; ".join(closed))
    gone = sql.SQL("drop role if exists {}").format(who)
    server.insist(main, lambda: main.execute(gone), firmly=True)


@dataclass(frozen=True, slots=True)
class _Estate:
    """What a login leaves behind in one database."""

    server: Server
    main: Connection
    connection: Connection
    database: Database
    role: Role

    def settle(self) -> list[str]:
        return self.server.insist(self.connection, self._settle, firmly=True)

    def _settle(self) -> list[str]:
        with self.connection.transaction():
            self._be_alone()
            notes = list[str]()
            values = {"role": self.role.oid}
            owned = [name for (name,) in self.connection.execute(_OWNED, values)]
            if owned:
                notes = self._put_away(owned)
            # DROP OWNED takes back only what Latchkey may in its own name.
            here = remains.read(self.connection, self.role.oid, shared=False)
            remains.take(self.connection, self.role.name, here)
            shared = remains.read(self.connection, self.role.oid, shared=True)
            remains.take(self.connection, self.role.name, shared)
            with acting_as(self.connection, self.role.to_become):
                drop = sql.SQL("drop owned by {}").format(sql.Identifier(self.role.name))
                self.connection.execute(drop)
        return notes

    def _be_alone(self) -> None:
        """It saves tries, and is no condition: anybody may hold a lock of this number."""
        try:
            with self.connection.transaction():
                self.connection.execute("select pg_advisory_xact_lock(%s, 0)", [LOCK])
        except errors.LockNotAvailable:
            pass

    def _put_away(self, owned: Sequence[str]) -> list[str]:
        name = self._heir()
        values = {"role": self.role.oid}
        inside = [text for (text,) in self.connection.execute(_INSIDE, values)]
        with acting_as(self.connection, self.role.to_become):
            for (order,) in self.connection.execute(_OPEN_TO_OTHERS, values).fetchall():
                self.connection.execute(order.encode())
            for order, dropped in self.connection.execute(_RUNS_BY_ITSELF, values).fetchall():
                self.connection.execute(order.encode())
                inside += [f"dropped: {dropped}"] if dropped else []
        with ExitStack() as taken_back:
            self._let_own(name, taken_back)
            who, to = sql.Identifier(self.role.name), sql.Identifier(name)
            if become := self.role.to_become:  # then the login itself hands it over
                self.connection.execute(sql.SQL("grant {} to {}").format(to, who))
                taken_back.callback(self._as, "", sql.SQL("revoke {} from {}").format(to, who))
            self._as(become, sql.SQL("reassign owned by {} to {}").format(who, to))
        where = path_of(self.database.name)
        whose = ident(self.role.name)
        told = (
            f"{ident(name)} owns, in {where}, what {whose} made: {', '.join(owned)}. It is closed"
            " to others; triggers and rules are switched off. To get at it:"
            f" GRANT {ident(name)} TO …; look at it before you use it."
        )
        notes = [told]
        if inside:
            shown = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in inside]
            notes.append(
                f"In {where} these hold expressions that {whose} wrote, and that"
                f" run with the rights of whoever uses them: {'; '.join(shown)}."
            )
        return notes

    def _heir(self) -> str:
        """Return the role that takes it over, making it if need be."""
        name = heir(self.server.installation)
        comment = f"{self.server.signature().rpartition(':')[0]}: owns what former grantees made"
        row = self.main.execute(
            "select shobj_description(oid, 'pg_authid') = %s, rolcanlogin or rolsuper,"
            " pg_has_role(oid, %s) from pg_roles where rolname = %s",
            [comment, may_set(self.main), name],
        ).fetchone()
        if row is None:
            with self.main.transaction():
                self.main.execute(sql.SQL("create role {} nologin").format(sql.Identifier(name)))
                words = sql.SQL("comment on role {} is {}").format(sql.Identifier(name), comment)
                self.main.execute(words)
                self.main.execute(joining_own(self.main, name))
            return name
        ours, dangerous, joined = row
        if not ours or dangerous:
            raise Unavailable(
                f"the role {ident(name)} is there, but this installation of Latchkey did not make"
                f" it as it should be. Cure: ALTER ROLE {ident(name)} RENAME TO …;",
                lasting=True,
            )
        if not joined:
            self.main.execute(joining_own(self.main, name))
        return name

    def _let_own(self, name: str, taken_back: ExitStack) -> None:
        """Let the heir own things where they are: for that it has to be allowed to make some.

        No other session sees the right: it is given and taken back in one transaction.
        """
        who = sql.Identifier(name)
        values = {"role": self.role.oid, "set": may_set(self.connection)}
        for kind, place, *owner in self.connection.execute(_PLACES, values).fetchall():
            become = Owner(*owner).to_become
            where = sql.SQL(kind + " {}").format(sql.Identifier(place))
            give = sql.SQL("grant create on {} to {}").format(where, who)
            take = sql.SQL("revoke create on {} from {}").format(where, who)
            if not Owner(*owner).mine:
                continue  # the change of owner says what is missing
            self._as(become, give)
            taken_back.callback(self._as, become, take)

    def _as(self, role: str, words: sql.Composed) -> None:
        with acting_as(self.connection, role):
            self.connection.execute(words)


_OWNED = """
select pg_describe_object(classid, objid, objsubid)
from pg_shdepend s left join pg_database d on d.oid = s.dbid
where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = %(role)s
    and (s.dbid = 0 or d.datname = current_database())
order by 1
"""

# Where things are that the role owns: the schema, and for schemas the database.
_PLACES = """
with places (kind, name, owner) as (
    select distinct 'schema', nspname, nspowner
    from pg_shdepend s join pg_database d on d.oid = s.dbid and d.datname = current_database()
        cross join lateral pg_identify_object(classid, objid, objsubid) as i
        join pg_namespace n on quote_ident(nspname) = i.schema
    where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = %(role)s
        and nspowner <> %(role)s and left(nspname, 3) <> 'pg_'
    union
    select 'database', datname, datdba
    from pg_database where datname = current_database()
        and exists (select from pg_namespace where nspowner = %(role)s)
)
select kind, name, rolname, pg_has_role(r.oid, 'USAGE'), pg_has_role(r.oid, %(set)s), rolsuper
from places join pg_database d on d.datname = current_database()
    join pg_roles r on r.oid = case owner
        when 'pg_database_owner'::regrole then datdba else owner end
"""

# What reads with its owner's rights would show others all that its new owner may read.
_OPEN_TO_OTHERS = """
with shown (what, acl) as (
    select 'table ' || c.oid::regclass, coalesce(relacl, acldefault('r', relowner))
    from pg_class c where relowner = %(role)s and relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select 'table ' || c.oid::regclass, attacl
    from pg_class c join pg_attribute on attrelid = c.oid
    where relowner = %(role)s and relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select 'routine ' || p.oid::regprocedure, coalesce(proacl, acldefault('f', proowner))
    from pg_proc p where proowner = %(role)s
)
select distinct format('revoke all on %%s from %%s cascade', what,
    case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
from shown cross join lateral aclexplode(acl) where grantee <> %(role)s
"""

_RUNS_BY_ITSELF = """
-- on a view neither can be switched off: it is dropped, and named
select format(case relkind when 'v' then 'drop trigger %%2$I on %%1$s'
    else 'alter table %%1$s disable trigger %%2$I' end, tgrelid::regclass, tgname),
    case relkind when 'v' then pg_get_triggerdef(t.oid) else '' end
from pg_trigger t join pg_class c on c.oid = tgrelid
where relowner = %(role)s and not tgisinternal and tgparentid = 0
union all
select format(case relkind when 'v' then 'drop rule %%2$I on %%1$s'
    else 'alter table %%1$s disable rule %%2$I' end, ev_class::regclass, rulename),
    case relkind when 'v' then pg_get_ruledef(w.oid) else '' end
from pg_rewrite w join pg_class c on c.oid = ev_class
where relowner = %(role)s and rulename <> '_RETURN'
"""

_INSIDE = """
select format('policy %%I on %%s: %%s', polname, polrelid::regclass,
    concat_ws(', ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)))
from pg_policy join pg_class c on c.oid = polrelid where relowner = %(role)s
union all
select format('%%s of column %%I of %%s: %%s',
    case when attgenerated = '' then 'default' else 'generated value' end, attname,
    adrelid::regclass, pg_get_expr(adbin, adrelid))
from pg_attrdef join pg_class c on c.oid = adrelid
    join pg_attribute a on a.attrelid = adrelid and a.attnum = adnum
where relowner = %(role)s
union all
select format('index %%s: %%s', indexrelid::regclass,
    concat_ws(', ', pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)))
from pg_index join pg_class c on c.oid = indexrelid
where relowner = %(role)s and (indexprs is not null or indpred is not null)
union all
select format('check %%I of %%s: %%s', conname, conrelid::regclass, pg_get_expr(conbin, conrelid))
from pg_constraint join pg_class c on c.oid = conrelid
where relowner = %(role)s and contype = 'c'
union all
select format('check %%I of domain %%s: %%s', conname, contypid::regtype, pg_get_expr(conbin, 0))
from pg_constraint join pg_type t on t.oid = contypid where typowner = %(role)s
union all
select format('default of domain %%s: %%s', t.oid::regtype, typdefault)
from pg_type t where typowner = %(role)s and typdefault is not null
union all
select format('partition key of %%s: %%s', partrelid::regclass, pg_get_expr(partexprs, partrelid))
from pg_partitioned_table join pg_class c on c.oid = partrelid
where relowner = %(role)s and partexprs is not null
union all
select format('statistics %%I: %%s', stxname, pg_get_expr(stxexprs, stxrelid))
from pg_statistic_ext where stxowner = %(role)s and stxexprs is not null
union all
-- what is somebody else's, and calls a function of the role's
select format('%%s uses %%s', pg_describe_object(e.classid, e.objid, e.objsubid),
    p.oid::regprocedure)
from pg_depend e join pg_proc p on e.refclassid = 'pg_proc'::regclass and e.refobjid = p.oid
where proowner = %(role)s
    and not exists (
        select from pg_shdepend s join pg_database d on d.oid = s.dbid
        where d.datname = current_database() and s.classid = e.classid and s.objid = e.objid
            and s.deptype = 'o' and s.refobjid = %(role)s
    )
order by 1
"""
