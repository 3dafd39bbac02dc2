"""Membership in a role that an administrator has listed, as something that can be had.

It is one of the whole server, in no database. Sessions that have taken the role on keep its rights
when the membership ends, so that they end with it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from psycopg import errors, sql

from engine.connectors.postgresql.acl import may_set
from engine.connectors.postgresql.names import path_of, place_of
from engine.connectors.postgresql.remains import memberships, take_membership
from engine.connectors.postgresql.server import (
    ABSENT,
    HELD,
    REFUSALS,
    Role,
    gone,
    ident,
    unknown,
)
from engine.connectors.postgresql.sessions import Connection, acting_as, said
from engine.port import Outcome, Presence, Target

__all__ = ["Listed", "bring", "held", "listed", "refusal", "unsettled"]


class Listed(NamedTuple):
    """A role, what speaks against giving membership in it, and whether Latchkey may give it."""

    oid: int
    name: str
    too_much: str
    grantable: bool
    giver: str = ""  # the role to take on to give it; empty: none has to be


# Who is a member of one of these could give itself the rest, or undo what Latchkey does.
_LISTED = """
select r.oid, r.rolname,
    case
        when pg_has_role(r.oid, current_user, 'MEMBER') then 'its members could act as Latchkey'
        when bool_or(x.rolsuper) then 'its members could become superuser'
        when bool_or(x.rolcreaterole) then 'its members could change other roles'
        when bool_or(x.rolreplication) then 'its members could copy the whole server'
        when bool_or(x.rolname in ('pg_execute_server_program', 'pg_write_server_files',
            'pg_read_server_files')) then 'its members could take over the machine'
        else ''
    end,
    pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')
        or %(old)s and (select rolcreaterole from pg_roles where rolname = current_user),
    coalesce((
        -- ADMIN that comes through a group whose rights are not inherited
        select min(g.rolname) from pg_auth_members m join pg_roles g on g.oid = m.member
        where not %(old)s and m.roleid = r.oid and m.admin_option
            and g.rolname <> current_user and pg_has_role(g.oid, %(set)s)
            and not exists (
                select from pg_auth_members n where n.roleid = r.oid and n.admin_option
                    and pg_has_role(n.member, 'USAGE')
            )
    ), '')
from pg_roles r join pg_roles x on pg_has_role(r.oid, x.oid, 'MEMBER')
where r.rolname = any(%(names)s) or r.oid = any(%(oids)s)
group by r.oid, r.rolname
order by r.rolname
"""


def listed(
    main: Connection, *, names: Sequence[str] = (), oids: Sequence[int] = ()
) -> list[Listed]:
    """Return those of the roles that are there."""
    old = main.info.server_version < 160000  # there whoever has CREATEROLE reaches all roles
    values = {"names": list(names), "oids": list(oids), "old": old, "set": may_set(main)}
    return [Listed(*row) for row in main.execute(_LISTED, values)]


def refusal(role: Listed, me: str) -> str:
    """Say why membership cannot be given, and the cure; empty: it can."""
    if role.too_much:
        return f"Membership in {ident(role.name)} is not given: {role.too_much}."
    if not role.grantable:
        cure = f"GRANT {ident(role.name)} TO {ident(me)} WITH ADMIN OPTION;"
        return f"Latchkey may not give membership in {ident(role.name)}. Cure: {cure}"
    return ""


def held(
    main: Connection, role: Role, targets: Sequence[Target], given: Sequence[Target] = ()
) -> dict[Target, Outcome]:
    """Tell of which roles the login is a member: by whatever way, but that of what was given."""
    places = {t: place_of(t.type, t.source_id) for t in targets}
    oids = [p.role for p in places.values() if p]
    if any(target.type == "role" for target in given):
        found = {each.oid for each in memberships(main, role.oid)}
    else:
        query = (
            "select oid from pg_roles where oid = any(%s) and pg_has_role(%s::oid, oid, 'MEMBER')"
        )
        found = {oid for (oid,) in main.execute(query, [oids, role.oid])}
    return {t: HELD if (p := places[t]) and p.role in found else ABSENT for t in targets}


def bring(
    main: Connection, role: Role, wanted: Sequence[Target], unwanted: Sequence[Target]
) -> Iterator[tuple[Target, Outcome]]:
    """Make the login a member, or one no more, inside no transaction; yield what came of each.

    The caller ends the login's sessions where something was unwanted.
    """
    places = {t: place_of(t.type, t.source_id) for t in (*wanted, *unwanted)}
    there = {each.oid: each for each in listed(main, oids=[p.role for p in places.values() if p])}
    have = {each.oid for each in memberships(main, role.oid)}
    for target in wanted:
        place = places[target]
        found = there.get(place.role) if place and target.permission == "member" else None
        if found is None:
            yield target, gone(target)
        elif found.oid in have:
            yield target, HELD
        else:
            yield target, _give(main, role, target, found)
    for target in unwanted:
        place = places[target]
        yield target, _take(main, role, target, place.role if place else 0)


def _give(main: Connection, role: Role, target: Target, found: Listed) -> Outcome:
    if path_of(found.name) != target.path:
        reason = f"{target.path} is called {path_of(found.name)} now. Ask again."
        return Outcome(Presence.REFUSED, reason)
    if why := refusal(found, main.info.user):
        return Outcome(Presence.REFUSED, why)
    words = sql.SQL("grant {} to {}").format(sql.Identifier(found.name), sql.Identifier(role.name))
    if main.info.server_version >= 160000:
        words += sql.SQL(" with admin false, inherit true, set true")
    try:
        with main.transaction(), acting_as(main, found.giver):
            main.execute(words)
    except (*REFUSALS, errors.InternalError_) as error:
        if "concurrently" in str(error):
            raise
        reason = f"Latchkey may not give {target}: {said(error)}."
        return Outcome(Presence.REFUSED, reason)
    return HELD


def _take(main: Connection, role: Role, target: Target, oid: int) -> Outcome:
    mine = [each for each in memberships(main, role.oid) if each.oid == oid]
    for each in mine:
        with contextlib.suppress(errors.UndefinedObject):
            take_membership(main, role.name, each)
    left = [each for each in memberships(main, role.oid) if each.oid == oid]
    if left:
        new = main.info.server_version >= 160000
        by = f" GRANTED BY {ident(left[0].grantor.name)}" if new else ""
        cure = f"REVOKE {ident(left[0].role)} FROM {ident(role.name)}{by};"
        return unknown(f"Latchkey may not take back {target}. Cure, as a superuser: {cure}")
    return ABSENT


def unsettled(main: Connection, oid: int) -> str:
    """Say what members may have prepared in the role's name: nobody can tell whose it is.

    Ask it when the login has no session any more; empty: nothing.
    """
    query = (
        "select rolname, gid from pg_prepared_xacts p join pg_roles r on r.rolname = p.owner"
        " where r.oid = %s order by gid"
    )
    found = main.execute(query, [oid]).fetchall()
    if not found:
        return ""
    return (
        f"{ident(found[0][0])} has prepared transactions, which may be of this login and take"
        f" effect later: {', '.join(repr(gid) for _, gid in found)}."
        " Cure: COMMIT PREPARED or ROLLBACK PREPARED each"
    )
