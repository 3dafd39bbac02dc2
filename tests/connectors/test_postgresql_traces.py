"""What was given, what was there before, and what is neither: each goes its own way."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from bot.sandbox.postgres import Cluster
from engine.port import Login, Order, Presence, Target
from tests.connectors.harness import PostgreSQLHarness, known, new_login, order, presences, unique

HELD, ABSENT, REFUSED, UNKNOWN = Presence


class Harness(PostgreSQLHarness):
    def have(self, login: Login, *targets: Target) -> Login:
        """Give it, and return the login as it is named from then on."""
        report = self.connector.apply(order(login, *targets))
        assert set(presences(report).values()) == {HELD}
        later = known(login, report)
        return replace(later, trace=report.trace or "")

    def apply(self, ordered: Order, *standing: Target):
        return self.connector.apply(replace(ordered, standing=standing))

    def of(self, target: Target) -> sql.Identifier:
        return sql.Identifier(self.schema, self.tables[target])

    def elsewhere(self) -> sql.Identifier:
        """Make another schema of the same owner, into which everybody may look."""
        name = sql.Identifier(unique("elsewhere"))
        self.run("create schema {} authorization orders_owner", name)
        self.run("grant usage on schema {} to public", name)
        return name

    def role(self) -> Target:
        name = unique("reporting")
        self.run("create role {}", sql.Identifier(name))
        self.run("grant {} to latchkey with admin option", sql.Identifier(name))
        self.run("grant connect on database orders to {}", sql.Identifier(name))
        (oid,) = self.one("select oid from pg_roles where rolname = %s", name)
        return Target("role", f"role:{oid}", name, "member", self.server)

    def guard(self, condition: str, code: str) -> str:
        """Let an event trigger say no, and return its name."""
        name = unique("guard")
        self.run(f"""
            create function public.{name}() returns event_trigger language plpgsql as $$
            begin
                if {condition} then raise exception 'no' using errcode = '{code}'; end if;
            end $$""")
        self.run(
            f"create event trigger {name} on ddl_command_end when tag in ('GRANT', 'REVOKE')"
            f" execute function public.{name}()"
        )
        return name


@pytest.fixture
def harness(preparing: Cluster) -> Iterator[Harness]:
    made = Harness(preparing)
    yield made
    made.connector.close()
    made.close()


def nowhere(target: Target) -> Target:
    """What is left of a target's number when another server was accepted without it."""
    return replace(target, source_id=f"{target.source_id}@1/1")


# --- Ends that were none --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "elsewhere", "nowhere"])
def test_what_a_role_has_prepared_stays_in_doubt_at_each_try(harness: Harness, where: str):
    """The second try found no membership any more, and called it ended."""
    role, keep, login = harness.role(), harness.make(), new_login()
    later = harness.have(login, role, keep)
    session = harness.log_in(login)
    assert session
    for statement in (f"set role {role.path}", "begin", "select pg_current_xact_id()"):
        session.connection.execute(statement.encode())
    session.connection.execute(sql.SQL("prepare transaction {}").format(role.path))
    if where == "elsewhere":
        role, keep = replace(role, server="1/1"), replace(keep, server="1/1")
    ends = nowhere(role) if where == "nowhere" else role

    seen = [presences(harness.apply(order(later, keep, end=[ends])))[ends] for _ in range(2)]
    harness.run("rollback prepared {}", sql.Literal(role.path))
    after = presences(harness.apply(order(later, keep, end=[ends])))[ends]

    assert seen == [UNKNOWN, UNKNOWN]
    assert after is ABSENT


def test_role_that_no_number_leads_to_ends(harness: Harness):
    role, keep, login = harness.role(), harness.make(), new_login()
    later = harness.have(login, role, keep)

    report = harness.apply(order(later, keep, end=[nowhere(role)]))

    assert presences(report) == {keep: HELD, nowhere(role): ABSENT}
    member = "select pg_has_role(%s, %s, 'MEMBER')"
    assert harness.one(member, login.name, role.path) == (False,)


def test_cursor_does_not_outlive_what_no_number_leads_to(harness: Harness):
    target, keep, login = harness.make(), harness.make(), new_login()
    later = harness.have(login, target, keep)
    session = harness.log_in(login)
    assert session
    query = sql.SQL("declare c cursor with hold for select from {}").format(harness.of(target))
    session.connection.execute(query)

    harness.apply(order(later, keep, end=[nowhere(target)]))

    with pytest.raises(psycopg.OperationalError):
        session.connection.execute("fetch 1 from c")


def test_any_part_that_a_strange_login_has_is_no_end(harness: Harness):
    """Once its comment was changed, one missing entry of many made an end of all."""
    target, schema, login = harness.make(permission="read-write"), None, new_login()
    schema = harness.whole_schema()
    later = harness.have(login, target, schema)
    harness.make()
    harness.run("revoke delete on {} from {}", harness.of(target), sql.Identifier(login.name))
    harness.run("comment on role {} is 'somebody else'", sql.Identifier(login.name))

    report = harness.apply(order(later, end=[target, schema, nowhere(target)]))

    assert set(presences(report).values()) == {UNKNOWN}


def test_login_renamed_and_replaced_is_not_called_ended(harness: Harness):
    target, login = harness.make(), new_login()
    later = harness.have(login, target)
    who = sql.Identifier(login.name)
    harness.run("alter role {} rename to {}", who, sql.Identifier(unique("innocent")))
    harness.run("create role {}", who)

    report = harness.apply(order(later, end=[target]))

    assert presences(report) == {target: UNKNOWN}


def test_what_moved_is_remembered_though_its_schema_is_refused(harness: Harness):
    moved, database, login = harness.make(), harness.whole_database(), new_login()
    schema = harness.whole_schema()
    later = harness.have(login, schema, database)
    harness.run("alter table {} set schema {}", harness.of(moved), harness.elsewhere())
    harness.run("drop schema {} cascade", sql.Identifier(harness.schema))

    refused = harness.apply(order(later, schema, database))
    later = replace(later, trace=refused.trace or "")
    report = harness.apply(order(later, database, end=[schema]))

    assert presences(refused)[schema] is REFUSED
    assert presences(report)[schema] is ABSENT
    assert not harness.can(login, moved)


def test_look_at_another_server_forgets_nothing(harness: Harness):
    target, login = harness.make(), new_login()
    later = harness.have(login, target)

    report = harness.apply(order(later, replace(target, server="1/1")))

    assert report.trace is None


def test_membership_ends_by_its_trace_under_another_number(harness: Harness):
    """Its number was changed to another role's: of that the login was no member, and it ended."""
    role, other, keep, login = harness.role(), harness.role(), harness.make(), new_login()
    later = harness.have(login, role, keep)
    changed = replace(role, source_id=other.source_id)

    report = harness.apply(order(later, keep, end=[changed]))

    assert presences(report) == {keep: HELD, changed: ABSENT}
    member = "select pg_has_role(%s, %s, 'MEMBER')"
    assert harness.one(member, login.name, role.path) == (False,)
    assert any(role.source_id in note for note in report.notes)


def test_end_is_in_doubt_while_what_was_given_cannot_be_taken(harness: Harness):
    target, other, login = harness.make(), harness.make(), new_login()
    later = harness.have(login, target)
    changed = replace(target, source_id=other.source_id)
    name = harness.tables[target]
    guard = harness.guard(f"current_query() ~ '^revoke' and current_query() ~ '{name}'", "P0001")
    try:
        report = harness.apply(order(later, end=[changed]))
    finally:
        harness.run(f"drop event trigger {guard}")

    assert presences(report) == {changed: UNKNOWN}
    again = harness.apply(order(replace(later, trace=report.trace or ""), end=[changed]))
    assert presences(again) == {changed: ABSENT}
    assert not harness.can(login, target)


# --- What was there before ------------------------------------------------------------------------


def test_what_was_given_beside_standing_access_ends(harness: Harness):
    """A table made later was taken for part of what had stood before."""
    database, login = harness.whole_database(), new_login()
    first = harness.make()
    later = harness.have(login, database)
    schema, who = sql.Identifier(harness.schema), sql.Identifier(login.name)
    harness.run("grant usage on schema {} to {}", schema, who)
    harness.run("grant select on all tables in schema {} to {}", schema, who)
    harness.run("grant select on all sequences in schema {} to {}", schema, who)
    standing = harness.whole_schema()
    assert harness.connector.inspect(later, [standing])[standing].presence is HELD
    second = harness.make()

    given = harness.apply(order(later, database, second), standing)
    later = replace(later, trace=given.trace or "")
    report = harness.apply(order(later, database, end=[second]), standing)

    assert presences(report)[second] is ABSENT
    assert not harness.can(login, second)
    assert harness.can(login, first)


def test_what_latchkey_gave_and_moved_is_not_standing(harness: Harness):
    moved, database, login = harness.make(), harness.whole_database(), new_login()
    schema = harness.whole_schema()
    later = harness.have(login, schema, database)
    harness.run("alter table {} set schema {}", harness.of(moved), harness.elsewhere())

    seen = harness.connector.inspect(later, [moved], given=[schema, database])

    assert seen[moved].presence is ABSENT


def test_standing_membership_stays_on_another_server(harness: Harness):
    role, target, login = harness.role(), harness.make(), new_login()
    later = harness.have(login, target)
    harness.run("grant {} to {}", sql.Identifier(role.path), sql.Identifier(login.name))
    there = replace(target, server="1/1")

    harness.apply(order(later, end=[there]), replace(role, server="1/1"))

    member = "select pg_has_role(%s, %s, 'MEMBER')"
    assert harness.one(member, login.name, role.path) == (True,)


def test_membership_that_stays_is_no_end_on_another_server(harness: Harness):
    """From 16 on, what others gave is theirs to take."""
    role, target, login = harness.role(), harness.make(), new_login()
    later = harness.have(login, target)
    harness.run("grant {} to {}", sql.Identifier(role.path), sql.Identifier(login.name))
    there = replace(role, server="1/1")

    report = harness.apply(order(later, end=[there]))

    (stays,) = harness.one("select pg_has_role(%s, %s, 'MEMBER')", login.name, role.path)
    assert presences(report) == {there: UNKNOWN if stays else ABSENT}
    assert stays == ("may not take back" in report.outcomes[there].reason)


# --- Others ---------------------------------------------------------------------------------------


def test_nobody_is_put_out_for_a_grant(harness: Harness):
    """One end beside it, and an innocent's open transaction was worth less than a grant."""
    new, old = harness.make(permission="read-write"), harness.make()
    ada, bob = new_login(), new_login()
    harness.have(ada, new)
    later = harness.have(bob, old)
    session = harness.log_in(ada)
    assert session
    session.connection.execute("begin")
    grant = sql.SQL("grant select on {} to public").format(harness.of(new))
    session.connection.execute(grant)

    report = harness.apply(order(later, new, end=[old]))

    assert presences(report)[old] is ABSENT
    assert session.alive


def test_full_database_keeps_nobody_in_the_way(harness: Harness):
    target, keep = harness.make(permission="read-write"), harness.make()
    ada, bob = new_login(), new_login()
    harness.have(ada, target)
    later = harness.have(bob, target, keep)
    harness.connector.close()
    session = harness.log_in(ada)
    assert session
    session.connection.execute("begin")
    grant = sql.SQL("grant select on {} to public").format(harness.of(target))
    session.connection.execute(grant)
    (there,) = harness.one(
        "select count(*) from pg_stat_activity where datname = 'orders'"
        " and backend_type = 'client backend'"
    )
    harness.run(f"alter database orders connection limit {there + 1}")
    try:
        report = harness.apply(order(later, keep, end=[target]))
    finally:
        harness.run("alter database orders connection limit -1")

    assert presences(report) == {keep: HELD, target: ABSENT}


@pytest.mark.parametrize("code", ["P0001", "23514", "22023"])
def test_whatever_a_trigger_says_keeps_no_other_end(harness: Harness, code: str):
    guarded, other, keep, login = harness.make(), harness.make(), harness.make(), new_login()
    later = harness.have(login, guarded, other, keep)
    name = harness.tables[guarded]
    guard = harness.guard(f"current_query() ~ '^revoke' and current_query() ~ '{name}'", code)
    try:
        report = harness.apply(order(later, keep, end=[guarded, other]))
    finally:
        harness.run(f"drop event trigger {guard}")

    assert presences(report) == {keep: HELD, guarded: UNKNOWN, other: ABSENT}
    assert ": no." in report.outcomes[guarded].reason


def test_what_could_not_be_undone_is_not_called_refused(harness: Harness):
    target, keep, login = harness.make(permission="read-write"), harness.make(), new_login()
    guard = harness.guard(
        "current_query() ~ 'on sequence' or current_query() ~ '^revoke .* on table'", "P0001"
    )
    try:
        report = harness.apply(order(login, target, keep))
    finally:
        harness.run(f"drop event trigger {guard}")

    assert presences(report) == {keep: HELD, target: UNKNOWN}
    later = replace(known(login, report), trace=report.trace or "")
    ended = harness.apply(order(later, keep, end=[target]))
    assert presences(ended) == {keep: HELD, target: ABSENT}
    assert not harness.can(login, target)


def test_access_that_is_held_goes_on_under_another_name(harness: Harness):
    """A renamed schema with a new table in it was refused, and its login was closed."""
    harness.make()
    schema, login = harness.whole_schema(), new_login()
    later = harness.have(login, schema)
    harness.make()
    renamed = sql.Identifier(unique("renamed"))
    harness.run("alter schema {} rename to {}", sql.Identifier(harness.schema), renamed)

    report = harness.apply(order(later, schema))

    assert presences(report) == {schema: HELD}
    assert harness.log_in(login)


@pytest.mark.parametrize("where", ["elsewhere", "nowhere"])
def test_owner_without_a_way_in_keeps_no_end_by_name(harness: Harness, where: str):
    target, keep, login = harness.make(), harness.make(), new_login()
    owner = sql.Identifier(unique("owner"))
    harness.run("create role {}", owner)
    harness.run("grant {} to latchkey", owner)
    harness.run("alter table {} owner to {}", harness.of(target), owner)
    later = harness.have(login, target, keep)
    ends = nowhere(target)
    if where == "elsewhere":
        ends, keep = replace(target, server="1/1"), replace(keep, server="1/1")

    report = harness.apply(order(later, keep, end=[ends]))

    assert presences(report)[ends] is ABSENT
    assert not harness.can(login, target)
