"""What differs between PostgreSQL's versions, and between the ways in which people run them."""

import re
from collections.abc import Iterator, Mapping

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.names import names_in, path_of
from engine.connectors.postgresql.server import lasting
from engine.port import Discovered, Login, Presence, Secret, Target, Unavailable
from tests.connectors.harness import (
    PostgreSQLHarness,
    known,
    new_login,
    order,
    presences,
    unique,
)

HELD, ABSENT, REFUSED, UNKNOWN = Presence
OWNERS = "orders_owner, warehouse_owner, ledger_owner, payroll_owner"


class Keeper(PostgreSQLHarness):
    """With a login of Latchkey's own, whose rights a test may take or give otherwise."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.name = unique("keeper")
        self.me = sql.Identifier(self.name)
        self.run("create role {} login createrole password 'keeper'", self.me)
        self.run(f"grant {OWNERS} to {{}}", self.me)
        self.use()

    @property
    def newer(self) -> bool:
        """Whether CREATEROLE reaches only what one has ADMIN on."""
        return self.admin.info.server_version >= 160000

    def use(self, **settings: object) -> None:
        """Work with these settings of the integration from now on."""
        self.connector.close()
        parts = conninfo_to_dict(self.cluster.latchkey_dsn())
        parts |= {"user": self.name, "password": "keeper"}
        given: dict = {"databases": ("orders",), **settings}
        dsn = Secret(make_conninfo(**parts))
        self.connector = PostgreSQL(dsn, installation=self.name, **given)

    def details(self, *, ok: bool = False) -> dict[str, str]:
        return {line.name: line.detail for line in self.connector.check() if line.ok is ok}

    def cure(self, detail: str) -> None:
        """Do what the sentence says, as an administrator would."""
        statements = re.search(r"Cure(?:, there)?: (.*;)$", detail)
        assert statements, detail
        self.run(statements[1].replace("{", "{{").replace("}", "}}"))

    def found(self) -> Mapping[str, Discovered]:
        return {
            resource.path: resource
            for resource in self.connector.discover()
            if f"/{self.schema}" in resource.path or resource.type == "role"
        }

    def target(self, resource: Discovered, permission: str) -> Target:
        return Target(resource.type, resource.source_id, resource.path, permission, self.server)


@pytest.fixture
def keeper(both_ends: Cluster) -> Iterator[Keeper]:
    harness = Keeper(both_ends)
    yield harness
    harness.connector.close()
    harness.close()


# --- Rights over one's own logins -----------------------------------------------------------------


@pytest.mark.parametrize("lost", ["admin", "inherit", "set", "all"])
def test_doctor_asks_for_what_the_next_end_will_need_and_its_cure_cures(
    keeper: Keeper, login: Login, lost: str
):
    """F44: each login was stranded, and the doctor said that all was well."""
    target = keeper.make()
    later = known(login, keeper.connector.apply(order(login, target)))
    session = keeper.log_in(login)
    assert session
    who = sql.Identifier(login.name)
    if keeper.newer:
        option = {"admin": "admin", "inherit": "inherit", "set": "set"}.get(lost)
        for (grantor,) in keeper.admin.execute(
            "select distinct grantor::regrole::text from pg_auth_members"
            " where roleid = %s::regrole and member = %s::regrole",
            [who.as_string(), keeper.me.as_string()],
        ).fetchall():
            words = f"revoke {option} option for" if option else "revoke"
            keeper.run(f"{words} {{}} from {{}} granted by {grantor} cascade", who, keeper.me)
    elif lost == "admin":
        keeper.run("revoke admin option for {} from {}", who, keeper.me)
    else:
        keeper.run("revoke {} from {}", who, keeper.me)

    detail = keeper.details().get("made logins", "")
    assert login.name in detail
    keeper.cure(detail)

    assert keeper.details() == {}
    report = keeper.connector.apply(order(later, end=[target]))
    assert presences(report) == {target: ABSENT}
    assert not session.alive


def test_cure_mends_all_logins_and_owners_at_once(keeper: Keeper):
    target, logins = keeper.make(), [new_login(), new_login()]
    for each in logins:
        keeper.connector.apply(order(each, target))
    for each in logins:
        who = sql.Identifier(each.name)
        if keeper.newer:
            keeper.run("revoke {} from {} granted by {}", who, keeper.me, keeper.me)
        keeper.run("revoke {} from {}", who, keeper.me)
    keeper.run("revoke orders_owner, warehouse_owner from {}", keeper.me)
    keeper.run("grant connect on database orders to {}", keeper.me)

    faults = keeper.details()
    assert set(faults) == {"made logins", "database orders"}
    for detail in faults.values():
        keeper.cure(detail)

    assert keeper.details() == {}


def test_what_superusers_own_is_given_another_owner_by_the_printed_cure(keeper: Keeper):
    """“ALTER … OWNER TO a role that …” was nothing that anybody could run."""
    odd = sql.Identifier(unique('Odd "schema'))
    keeper.run("create schema {}", odd)
    keeper.run('create table {}."t;1" (id serial, part int generated always as identity)', odd)
    keeper.run('create view {0}.v as select id from {0}."t;1"', odd)
    keeper.run('create materialized view {0}.m as select id from {0}."t;1"', odd)
    keeper.run("create sequence {}.s", odd)
    keeper.run("create table {}.p (id int) partition by list (id)", odd)
    keeper.run("create table {0}.p1 partition of {0}.p for values in (1)", odd)

    keeper.cure(keeper.details()["database orders"])

    assert keeper.details() == {}
    keeper.run("drop schema {} cascade", odd)


def test_cures_of_much_that_superusers_own_come_in_parts(keeper: Keeper):
    schema = sql.Identifier(keeper.schema)
    for number in range(12):
        keeper.run(f"create table {{}}.t{number} (id int)", schema)
    keeper.run("revoke warehouse_owner from {}", keeper.me)

    detail = keeper.details()["database orders"]
    assert "Of 12 things the first 10" in detail
    keeper.cure(detail)
    detail = keeper.details()["database orders"]
    assert detail.count("ALTER") == 2
    keeper.cure(detail)

    assert keeper.details() == {}


def test_database_of_a_superuser_asks_for_an_owner_to_be_chosen(keeper: Keeper):
    keeper.run("create table {}.t (id int)", sql.Identifier(keeper.schema))
    keeper.run("alter database orders owner to postgres")
    keeper.run("grant connect on database orders to {}", keeper.me)
    try:
        detail = keeper.details()["database orders"]
    finally:
        keeper.run("alter database orders owner to orders_owner")

    assert 'such as "' in detail
    assert '"orders_owner"' in detail
    keeper.run("drop table {}.t", sql.Identifier(keeper.schema))


def test_membership_that_another_gave_is_named_and_its_cure_cures(keeper: Keeper):
    """After pg_upgrade a superuser had given all: no membership could be ended, and all was ✓."""
    logins, roles = [new_login(), new_login()], [unique("reporting"), unique("reporting")]
    for role in roles:
        keeper.run("create role {}", sql.Identifier(role))
    keeper.run("grant {} to {} with admin option", sql.Identifier(roles[0]), keeper.me)
    keeper.run("grant connect on database orders to {}", sql.Identifier(roles[0]))
    keeper.use(roles=roles)
    other = keeper.make()
    later = [known(each, keeper.connector.apply(order(each, other))) for each in logins]
    for login in logins:
        for role in roles:
            keeper.run("grant {} to {}", sql.Identifier(role), sql.Identifier(login.name))

    faults = keeper.details()
    if keeper.newer:
        assert all(f"{login.name} in {roles[0]}" in faults["memberships"] for login in logins)
        keeper.cure(faults["memberships"])

    assert keeper.details() == {}
    found = keeper.found()
    targets = [keeper.target(found[role], "member") for role in roles]
    seen = keeper.connector.inspect(later[0], targets)
    assert {outcome.presence for outcome in seen.values()} == {HELD}
    for login in later:
        report = keeper.connector.apply(order(login, other, end=targets))
        assert presences(report) == {**dict.fromkeys(targets, ABSENT), other: HELD}


# --- Rights that are not inherited ----------------------------------------------------------------


@pytest.fixture
def unheir(keeper: Keeper) -> Keeper:
    """Latchkey inherits nothing from the owners: as some companies want all their roles."""
    keeper.run("alter role {} noinherit", keeper.me)
    if keeper.newer:
        keeper.run(f"revoke {OWNERS} from {{}}", keeper.me)
        keeper.run(f"grant {OWNERS} to {{}} with inherit false, set true", keeper.me)
    keeper.run("grant connect on database orders to {}", keeper.me)
    return keeper


def test_where_inheriting_is_not_allowed_set_role_does(unheir: Keeper, login: Login):
    target, schema = unheir.make(permission="read-write"), unheir.whole_schema()
    report = unheir.connector.apply(order(login, target, schema))
    later = known(login, report)
    session = unheir.log_in(login)
    assert session

    less = unheir.connector.apply(order(later, schema, end=[target]))
    ended = unheir.connector.apply(order(later, end=[target, schema]))

    assert unheir.details() == {}
    assert presences(report) == {target: HELD, schema: HELD}
    assert presences(less) == {target: ABSENT, schema: HELD}
    assert presences(ended) == {target: ABSENT, schema: ABSENT}
    assert not session.alive
    assert unheir.left(login) == []


def test_cleanup_does_where_inheriting_is_not_allowed(unheir: Keeper, login: Login):
    target = unheir.make()
    later = known(login, unheir.connector.apply(order(login, target)))
    who = sql.Identifier(login.name)
    unheir.run("grant create on schema {} to {}", sql.Identifier(unheir.schema), who)
    session = unheir.log_in(login)
    assert session
    session.connection.execute(f"create table {unheir.schema}.work (id int)".encode())

    notes = unheir.connector.cleanup(later)

    assert f"table {unheir.schema}.work" in notes[0]
    assert login.name not in unheir.connector.logins()


# --- What is there --------------------------------------------------------------------------------


def test_database_that_cannot_be_entered_hides_no_other(keeper: Keeper):
    """F46: a provider's own database, which pg_hba.conf rejects, hid all others."""
    closed = unique("providers_own")
    keeper.run("create database {}", sql.Identifier(closed))
    keeper.run("revoke connect on database {} from public", sql.Identifier(closed))
    keeper.use(databases=())

    found = {resource.path: resource for resource in keeper.connector.discover()}
    lines = keeper.details(ok=True)

    assert found[closed].closed
    assert not found[closed].permissions
    assert f"orders/{keeper.schema}" in found
    assert not found["orders"].closed
    assert "passed over" in lines[f"database {closed}"]
    keeper.run("drop database {}", sql.Identifier(closed))


def test_database_that_its_own_owner_may_not_enter_is_told_with_its_cure(keeper: Keeper):
    """“It takes no connections.” was said of one that did, and nobody knew what to do."""
    closed = unique("shut")
    name = sql.Identifier(closed)
    keeper.run("create database {} owner orders_owner", name)
    keeper.run("revoke connect on database {} from public, orders_owner", name)
    keeper.use(databases=(closed,))

    detail = keeper.details()[f"database {closed}"]
    assert f'GRANT CONNECT ON DATABASE "{closed}" TO ' in detail
    keeper.cure(detail)

    assert keeper.details() == {}
    assert closed in {resource.path for resource in keeper.connector.discover()}
    keeper.connector.close()
    keeper.run("drop database {}", name)


def test_database_that_the_server_lets_nobody_into_hides_no_other(keeper: Keeper):
    closed = unique("rejected")
    keeper.run("create database {}", sql.Identifier(closed))
    keeper.run("alter database {} connection limit 0", sql.Identifier(closed))
    keeper.use(databases=())

    found = {resource.path: resource for resource in keeper.connector.discover()}

    assert "too many connections" in found[closed].closed
    assert f"orders/{keeper.schema}" in found
    keeper.run("drop database {}", sql.Identifier(closed))


def test_empty_schema_of_a_superuser_is_no_fault(keeper: Keeper):
    empty = sql.Identifier(unique("empty"))
    keeper.run("create schema {}", empty)

    assert keeper.details() == {}
    keeper.run("drop schema {}", empty)


def test_schema_in_which_everybody_may_create_is_warned_of(keeper: Keeper):
    keeper.run("grant create on schema {} to public", sql.Identifier(keeper.schema))

    detail = keeper.details(ok=True)["database orders: schemas"]
    assert keeper.schema in detail
    assert detail.startswith("warning:")
    keeper.cure(detail)

    assert "database orders: schemas" not in keeper.details(ok=True)


def test_server_whose_writing_is_switched_off_by_a_setting_is_brought_in_line(
    keeper: Keeper, login: Login
):
    """An administrator's switch for quiet hours kept every access alive."""
    target = keeper.make()
    later = known(login, keeper.connector.apply(order(login, target)))
    keeper.connector.close()
    keeper.run("alter system set default_transaction_read_only = on")
    keeper.run("select pg_reload_conf()")
    try:
        report = keeper.connector.apply(order(later, end=[target]))
    finally:
        keeper.run("set default_transaction_read_only = off")
        keeper.run("alter system reset default_transaction_read_only")
        keeper.run("select pg_reload_conf()")

    assert presences(report) == {target: ABSENT}


# --- What lasts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "lasts"),
    [
        (errors.InsufficientPrivilege(), True),
        (errors.InvalidPassword(), True),
        (errors.InvalidAuthorizationSpecification(), True),
        (errors.InvalidCatalogName(), True),
        (psycopg.OperationalError('connection failed: FATAL:  database "x" does not exist'), True),
        (psycopg.OperationalError("connection failed: certificate verify failed"), True),
        (errors.TooManyConnections(), False),
        (errors.CannotConnectNow(), False),
        (errors.LockNotAvailable(), False),
        (errors.QueryCanceled(), False),
        (psycopg.OperationalError("connection refused"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_lasts_is_told_from_what_passes(error: psycopg.Error, lasts):
    assert lasting(error) is lasts


def test_wrong_password_lasts(keeper: Keeper, login: Login):
    keeper.run("alter role {} password 'another'", keeper.me)
    keeper.connector.close()

    with pytest.raises(Unavailable) as fault:
        keeper.connector.apply(order(login))

    assert fault.value.lasting


# --- What cannot be used --------------------------------------------------------------------------


def test_what_is_given_and_cannot_be_used_is_said(keeper: Keeper):
    """Who had waited for an approval found an empty table, or an error."""
    schema = sql.Identifier(keeper.schema)
    for name in ("rows", "base", "plain"):
        keeper.make(name=name)
    keeper.run("alter table {}.rows enable row level security", schema)
    keeper.run("create view {0}.fine as select 1 as one", schema)
    keeper.run("create view {0}.asks with (security_invoker = true) as select * from {0}.base",
               schema)  # fmt: skip
    keeper.run("create view {0}.blind as select * from {0}.base", schema)
    keeper.run("alter view {}.asks owner to orders_owner", schema)
    keeper.run("alter view {}.fine owner to orders_owner", schema)
    keeper.run("alter view {}.blind owner to warehouse_owner", schema)

    found = keeper.found()

    def caveat(name: str) -> str:
        return found[f"orders/{keeper.schema}/{name}"].caveat

    assert "Row security" in caveat("rows")
    assert f"{keeper.schema}.base has to be readable" in caveat("asks")
    assert f"may not read {keeper.schema}.base" in caveat("blind")
    assert [caveat(name) for name in ("base", "plain", "fine")] == ["", "", ""]
    assert f"{keeper.schema}/rows" in keeper.details(ok=True)["database orders: use"]
    keeper.run("drop schema {} cascade", schema)


class Uses:
    """What is made in a schema, what is said of it, and what comes of using it."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.schema = sql.Identifier(keeper.schema)

    def make(self, statements: str) -> None:
        """Run them, with `S` for the schema."""
        for statement in statements.split(";"):
            self.keeper.run(re.sub(r"\bS\b", "{0}", statement), self.schema)

    def caveat(self, name: str = "") -> str:
        return self.keeper.found()[
            path_of("orders", self.keeper.schema, *filter(None, [name]))
        ].caveat

    def rows(self, name: str) -> int | None:
        """Tell how many rows somebody sees who gets to read it; None: reading it fails."""
        return self._use(self.keeper.table(name), "select count(*) from {}")

    def takes(self, name: str) -> bool:
        """Tell whether somebody who gets to write to it can add a row."""
        target = self.keeper.table(name, "read-write")
        return self._use(target, "insert into {} (note) values ('a') returning 1") is not None

    def _use(self, target: Target, statement: str) -> int | None:
        login = new_login()
        given = self.keeper.connector.apply(order(login, target))
        assert presences(given) == {target: HELD}
        session = self.keeper.log_in(login)
        assert session
        name = sql.Identifier(*names_in(target.path)[1:])
        try:
            row = session.connection.execute(sql.SQL(statement).format(name)).fetchone()
        except errors.InsufficientPrivilege:
            return None
        return int(row[0]) if row else None


@pytest.fixture
def uses(keeper: Keeper) -> Iterator[Uses]:
    """Two tables of the schema's owner, `base` and `hidden`, the latter with row security."""
    for name in ("base", "hidden"):
        keeper.make(name=name)
        table = sql.Identifier(keeper.schema, name)
        keeper.run("alter table {} alter id drop default", table)
        keeper.run("alter table {} alter id add generated always as identity (start 101)", table)
    keeper.run("alter table {}.hidden enable row level security", sql.Identifier(keeper.schema))
    keeper.run("grant usage on schema {} to warehouse_owner", sql.Identifier(keeper.schema))
    yield Uses(keeper)
    keeper.run("drop schema {} cascade", sql.Identifier(keeper.schema))


@pytest.mark.parametrize(
    "option",
    [
        "security_invoker",
        "security_invoker = yes",
        "security_invoker = 'oN'",
        "security_barrier, security_invoker = t",
    ],
)
def test_reader_s_rights_are_known_however_they_are_spelt(uses: Uses, option: str):
    """Only `true`, `on` and `1` were known: of `yes`, and of the option alone, nothing was said."""
    uses.make("create view S.asks as select * from S.base; alter view S.asks owner to orders_owner")
    uses.make(f"alter view S.asks set ({option})")

    assert uses.rows("asks") is None
    assert f"{uses.keeper.schema}.base has to be readable" in uses.caveat("asks")


@pytest.mark.parametrize("value", ["no", "off", "0", "false"])
def test_view_that_does_not_ask_for_reader_s_rights_is_no_fault(uses: Uses, value: str):
    uses.make("create view S.fine as select * from S.base; alter view S.fine owner to orders_owner")
    uses.make(f"alter view S.fine set (security_invoker = {value})")

    assert uses.rows("fine") == 100
    assert uses.caveat("fine") == ""


def test_view_on_a_view_that_reads_with_its_reader_s_rights_is_said(uses: Uses):
    """Its base is read with the reader's rights too: who had been approved saw an error."""
    uses.make(
        "create view S.asks with (security_invoker) as select * from S.base;"
        "create view S.above as select * from S.asks; create view S.top as select * from S.above;"
        "alter view S.asks owner to orders_owner; alter view S.above owner to orders_owner;"
        "alter view S.top owner to orders_owner"
    )

    assert uses.rows("top") is None
    for name in ("above", "top"):
        assert f"{uses.keeper.schema}.base has to be readable" in uses.caveat(name)


def test_view_on_a_view_whose_owner_may_not_read_is_said_at_any_depth(uses: Uses):
    """Only the owner of the view itself was asked for; one that was made again may read itself."""
    uses.make(
        "create view S.blind as select * from S.base; create view S.above as select * from S.blind;"
        "create view S.top as select * from S.above;"
        "alter view S.blind owner to warehouse_owner; alter view S.above owner to orders_owner;"
        "alter view S.top owner to orders_owner; grant select on S.blind to orders_owner;"
        "create view S.circle as select * from S.top;"
        "create or replace view S.blind as select b.* from S.base b, S.circle c"
    )

    said = f"warehouse_owner may not read {uses.keeper.schema}.base"
    assert [said in uses.caveat(name) for name in ("blind", "above", "top")] == [True] * 3
    uses.make("create or replace view S.blind as select * from S.base")
    assert uses.rows("top") is None
    assert said in uses.caveat("top")


def test_columns_that_a_view_s_owner_may_not_read_are_told_from_those_they_may(uses: Uses):
    """The right to one column passed for the right to all."""
    uses.make(
        "create view S.one as select id from S.base; create view S.two as select * from S.base;"
        "grant select (id), insert, update, delete on S.base to warehouse_owner;"
        "alter view S.one owner to warehouse_owner; alter view S.two owner to warehouse_owner"
    )

    assert (uses.rows("one"), uses.caveat("one")) == (100, "")
    assert uses.rows("two") is None
    assert "warehouse_owner may not read" in uses.caveat("two")


def test_materialised_view_holds_what_it_shows(uses: Uses):
    """What it once read is read no more; until it is first filled there is nothing to read."""
    uses.make(
        "create view S.asks with (security_invoker) as select * from S.base;"
        "create materialized view S.held as select * from S.asks;"
        "create materialized view S.empty as select * from S.base with no data;"
        "create view S.above as select * from S.held;"
        "alter view S.above owner to orders_owner;"
        "alter materialized view S.held owner to orders_owner;"
        "alter materialized view S.empty owner to orders_owner"
    )

    assert (uses.rows("held"), uses.caveat("held")) == (100, "")
    assert (uses.rows("above"), uses.caveat("above")) == (100, "")
    assert f"REFRESH MATERIALIZED VIEW {uses.keeper.schema}.empty" in uses.caveat("empty")


def test_view_shows_the_rows_that_its_owner_sees(uses: Uses):
    """Of row security under a view nothing was said: its reader found it empty."""
    uses.make(
        "create view S.theirs as select * from S.hidden;"
        "create view S.above as select * from S.theirs;"
        "create view S.own as select * from S.hidden;"
        "grant select on S.hidden to warehouse_owner;"
        "alter view S.theirs owner to warehouse_owner; alter view S.own owner to orders_owner;"
        "grant select on S.theirs to orders_owner; alter view S.above owner to orders_owner"
    )

    none = f"no rows at all of {uses.keeper.schema}.hidden are seen"
    assert (uses.rows("above"), uses.rows("own")) == (0, 100)
    assert none in uses.caveat("theirs")
    assert none in uses.caveat("above")
    assert uses.caveat("own") == ""

    uses.make("create policy part on S.hidden for select to warehouse_owner using (id < 11)")
    assert uses.rows("above") == 10
    assert "that warehouse_owner may see" in uses.caveat("above")

    uses.make("alter table S.hidden force row level security")
    assert uses.rows("own") == 0
    assert none in uses.caveat("own")


def test_row_security_says_whether_anything_is_left(uses: Uses):
    """Where there was no policy at all, its policies were said to allow some rows."""
    assert uses.rows("hidden") == 0
    assert "no rows at all" in uses.caveat("hidden")

    uses.make("create policy few on S.hidden for select to warehouse_owner using (true)")
    assert uses.rows("hidden") == 0
    assert "only by members of warehouse_owner" in uses.caveat("hidden")

    uses.make("create policy part on S.hidden using (id < 11)")
    assert uses.rows("hidden") == 10
    assert "that its policies allow" in uses.caveat("hidden")


def test_sequence_that_the_table_does_not_own_is_said(uses: Uses):
    """Who might write could add no row: permission denied for sequence."""
    uses.make(
        "create sequence S.numbers; alter sequence S.numbers owner to orders_owner;"
        "create table S.serial (id serial, note text); alter table S.serial owner to orders_owner;"
        "create table S.shares (id int default nextval('S.numbers'), note text);"
        "create table S.owns (id int generated by default as identity, note text);"
        "alter table S.shares owner to orders_owner; alter table S.owns owner to orders_owner;"
        "create view S.through as select * from S.serial;"
        "create view S.counts as select count(*) as note from S.serial;"
        "alter view S.through owner to orders_owner; alter view S.counts owner to orders_owner"
    )

    assert not uses.takes("shares")
    assert f"takes numbers from {uses.keeper.schema}.numbers" in uses.caveat("shares")
    assert not uses.takes("through")
    assert f"takes numbers from {uses.keeper.schema}.serial_id_seq" in uses.caveat("through")
    assert [uses.takes(name) for name in ("serial", "owns")] == [True, True]
    assert [uses.caveat(name) for name in ("serial", "owns", "counts")] == [""] * 3

    uses.make("grant usage on sequence S.numbers to public")
    assert uses.takes("shares")
    assert uses.caveat("shares") == ""


def test_view_whose_owner_may_not_write_is_said(uses: Uses):
    """Read-write was offered and given, and every change failed."""
    uses.make(
        "create view S.shown as select * from S.base; create view S.above as select * from S.shown;"
        "create view S.joined as select a.note from S.base a, S.base b;"
        "grant select on S.base to warehouse_owner; alter view S.shown owner to warehouse_owner;"
        "alter view S.joined owner to warehouse_owner;"
        "grant all on S.shown to orders_owner; alter view S.above owner to orders_owner"
    )

    assert (uses.rows("above"), uses.takes("above")) == (100, False)
    for name in ("shown", "above"):
        assert f"warehouse_owner may not write to {uses.keeper.schema}.base" in uses.caveat(name)
    assert uses.caveat("joined") == ""

    uses.make("grant all on S.base to warehouse_owner")
    assert uses.takes("above")
    assert uses.caveat("above") == ""


def test_function_that_not_everybody_may_run_is_said(uses: Uses):
    """A view runs functions with its reader's rights: reading it failed."""
    uses.make(
        "create function S.f() returns int language sql return 7;"
        "revoke all on function S.f() from public;"
        "create view S.calls as select S.f() from S.base;"
        "create view S.above as select * from S.calls;"
        "alter function S.f() owner to orders_owner;"
        "alter view S.calls owner to orders_owner; alter view S.above owner to orders_owner"
    )

    assert uses.rows("above") is None
    for name in ("calls", "above"):
        assert f"{uses.keeper.schema}.f()" in uses.caveat(name)


def test_foreign_table_that_everybody_has_a_mapping_for_is_no_fault(uses: Uses):
    """All were said to need a mapping; one whose wrapper has no handler closed its database."""
    server = sql.Identifier(unique("far"))
    uses.keeper.run("create foreign data wrapper {}", server)
    uses.keeper.run("create server {0} foreign data wrapper {0}", server)
    uses.keeper.run("create foreign table {}.away (id int) server {}", uses.schema, server)

    assert "user mapping" in uses.caveat("away")
    uses.keeper.run("create user mapping for public server {}", server)
    assert uses.caveat("away") == ""
    uses.keeper.run("drop foreign data wrapper {} cascade", server)


def test_whole_schema_names_what_in_it_cannot_be_used(uses: Uses):
    """Approvers of a whole schema were told nothing of what its tables were known for."""
    uses.make(
        "create sequence S.numbers; create table S.shares (id int default nextval('S.numbers'));"
        "create view S.asks with (security_invoker) as select * from S.base"
    )
    assert uses.caveat() == "Not all of it can be used: hidden (row security)."

    uses.make(
        "create view S.blind as select * from S.base; alter view S.blind owner to warehouse_owner;"
        "create view S.a1 as select * from S.blind; create view S.a2 as select * from S.blind;"
        "create view S.a3 as select * from S.a2"
    )
    assert uses.caveat().endswith(" and 2 more.")
    assert uses.caveat().count("its owner may not read") == 3


# --- What people are shown ------------------------------------------------------------------------


def test_people_are_shown_their_own_way_in(keeper: Keeper, login: Login):
    target = keeper.make()
    keeper.use(
        show={
            "host": "db.example.com",
            "port": 6432,
            "database": "orders_rw",
            "sslmode": "verify-full",
            "text": "Only from the office network.",
        }
    )

    told = keeper.connector.instructions(login, [target])

    assert told == {
        "Host": "db.example.com",
        "Port": "6432",
        "Database": "orders_rw",
        "User": login.name,
        "psql": (
            f"psql 'host=db.example.com port=6432 user={login.name} sslmode=verify-full"
            " dbname=orders_rw'"
        ),
        "Note": "Only from the office network.",
    }


@pytest.mark.parametrize(
    ("own", "settings", "database"),
    [
        ("orders", {"databases": ("warehouse", "orders")}, "warehouse"),
        ("orders", {"databases": ()}, "orders"),
        ("postgres", {"databases": (), "show": {"database": "orders_rw"}}, "orders_rw"),
        ("postgres", {"databases": ()}, ""),
    ],
)
def test_people_with_a_role_alone_are_shown_a_way_in(
    cluster: Cluster, login: Login, own: str, settings: Mapping, database: str
):
    """A role is in no database: they were told of none, and got no line of psql."""
    connector = PostgreSQL(Secret(cluster.latchkey_dsn(own)), installation="roles", **settings)
    target = Target("role", "role:1", "reporting", "member", "")

    told = connector.instructions(login, [target])

    assert told.get("Database", "") == database
    assert f"user={login.name} " in told["psql"]
    assert told["psql"].endswith(f"dbname={database or 'DATABASE'}'")
    assert ("DATABASE" in told.get("Note", "")) == (not database)


# --- Beyond read and read-write -------------------------------------------------------------------


def test_permissions_beyond_are_offered_only_where_they_are_listed(keeper: Keeper):
    keeper.make(name="emptied")
    keeper.run("create function {}.f(a int, text) returns int language sql return 1",
               sql.Identifier(keeper.schema))  # fmt: skip
    reporting = unique("reporting")
    keeper.run("create role {}", sql.Identifier(reporting))
    keeper.run("grant {} to {} with admin option", sql.Identifier(reporting), keeper.me)

    plain = keeper.found()
    keeper.use(permissions=("truncate", "execute"), roles=(reporting,))
    more = keeper.found()

    table = f"orders/{keeper.schema}/emptied"
    function = f"orders/{keeper.schema}/f(a integer, text)"
    assert set(plain[table].permissions) == {"read", "read-write"}
    assert set(more) - set(plain) == {function, reporting}
    assert set(more[table].permissions) == {"read", "read-write", "truncate"}
    assert set(more[function].permissions) == {"execute"}
    assert set(more[reporting].permissions) == {"member"}


def test_truncate_is_that_and_no_more(keeper: Keeper, login: Login):
    target = keeper.make(name="emptied", permission="truncate")
    table = sql.Identifier(keeper.schema, "emptied")
    later = known(login, keeper.connector.apply(order(login, target)))
    session = keeper.log_in(login)
    assert session

    with pytest.raises(errors.InsufficientPrivilege):
        session.connection.execute(sql.SQL("select from {}").format(table))
    session.connection.execute(sql.SQL("truncate {}").format(table))
    ended = keeper.connector.apply(order(later, end=[target]))

    assert keeper.one(f"select count(*) from {keeper.schema}.emptied") == (0,)  # noqa: S608
    assert presences(ended) == {target: ABSENT}
    assert keeper.left(login) == []


def test_execute_is_given_on_one_function(keeper: Keeper, login: Login):
    schema = sql.Identifier(keeper.schema)
    for arguments in ("int", "text"):
        keeper.run(f"create function {{}}.f({arguments}) returns int language sql return 7", schema)
        keeper.run(f"revoke all on function {{}}.f({arguments}) from public", schema)
        keeper.run(f"alter function {{}}.f({arguments}) owner to orders_owner", schema)
    keeper.use(permissions=("execute",))
    target = keeper.target(keeper.found()[f"orders/{keeper.schema}/f(integer)"], "execute")
    later = known(login, keeper.connector.apply(order(login, target)))
    session = keeper.log_in(login)
    assert session

    call = f"select {keeper.schema}.f(%s)"
    assert session.connection.execute(call.replace("%s", "1").encode()).fetchone() == (7,)
    with pytest.raises(errors.InsufficientPrivilege):
        session.connection.execute(call.replace("%s", "'x'::text").encode())
    assert keeper.connector.unexplained(later, [target]) == ()
    ended = keeper.connector.apply(order(later, end=[target]))
    assert presences(ended) == {target: ABSENT}
    assert keeper.connector.unexplained(later, []) == ()


def test_membership_ends_with_the_sessions_that_have_taken_the_role_on(
    keeper: Keeper, login: Login
):
    """Who had said SET ROLE kept the role's rights until they left."""
    reporting, other = unique("reporting"), keeper.make()
    keeper.run("create role {}", sql.Identifier(reporting))
    keeper.run("grant {} to {} with admin option", sql.Identifier(reporting), keeper.me)
    keeper.run("grant connect on database orders to {}", sql.Identifier(reporting))
    keeper.use(roles=(reporting,))
    target = keeper.target(keeper.found()[reporting], "member")
    given = keeper.connector.apply(order(login, target, other))
    later = known(login, given)
    session = keeper.log_in(login)
    assert session
    session.connection.execute(f"set role {reporting}".encode())

    assert presences(given) == {target: HELD, other: HELD}
    assert keeper.connector.inspect(later, [target])[target].presence is HELD
    assert keeper.connector.instructions(later, [target, other])["Role"] == reporting
    ended = keeper.connector.apply(order(later, other, end=[target]))

    assert presences(ended) == {target: ABSENT, other: HELD}
    assert not session.alive
    assert keeper.connector.unexplained(later, [other]) == ()


def test_one_membership_ends_and_another_stays(keeper: Keeper, login: Login):
    names = unique("reporting"), unique("billing")
    for name in names:
        keeper.run("create role {}", sql.Identifier(name))
        keeper.run("grant {} to {} with admin option", sql.Identifier(name), keeper.me)
    keeper.use(roles=names)
    found = keeper.found()
    first, second = (keeper.target(found[name], "member") for name in names)
    later = known(login, keeper.connector.apply(order(login, first, second)))

    seen = keeper.connector.inspect(later, [first, second], given=[first])
    ended = keeper.connector.apply(order(later, second, end=[first]))

    assert {outcome.presence for outcome in seen.values()} == {HELD}
    assert presences(ended) == {first: ABSENT, second: HELD}


def test_membership_of_a_login_that_is_somebody_elses_by_now_is_no_end(
    keeper: Keeper, login: Login
):
    name = unique("reporting")
    keeper.run("create role {}", sql.Identifier(name))
    keeper.run("grant {} to {} with admin option", sql.Identifier(name), keeper.me)
    keeper.use(roles=(name,))
    role = keeper.target(keeper.found()[name], "member")
    later = known(login, keeper.connector.apply(order(login, role)))
    keeper.run("comment on role {} is 'somebody else'", sql.Identifier(login.name))

    report = keeper.connector.apply(order(later, end=[role]))

    assert presences(report)[role] is not ABSENT


@pytest.mark.parametrize(
    ("attribute", "why"),
    [("superuser", "become superuser"), ("createrole", "change other roles")],
)
def test_membership_that_would_be_too_much_is_not_offered(keeper: Keeper, attribute: str, why: str):
    name, inner = unique("mighty"), unique("inner")
    keeper.run(f"create role {{}} {attribute}", sql.Identifier(inner))
    keeper.run("create role {}", sql.Identifier(name))
    keeper.run("grant {} to {}", sql.Identifier(inner), sql.Identifier(name))
    keeper.run("grant {} to {} with admin option", sql.Identifier(name), keeper.me)
    keeper.use(roles=(name,))

    assert name not in keeper.found()
    assert why in keeper.details()[f"role {name}"]


# --- Given in part --------------------------------------------------------------------------------


def test_schema_is_given_as_far_as_it_can_be(keeper: Keeper, login: Login):
    """F43: for one table of a superuser's, as PostGIS has one, it was refused, and half given."""
    keeper.make(name="streets")
    system = keeper.make(name="spatial_ref_sys")
    keeper.withhold(system)
    schema = keeper.whole_schema("read-write")

    report = keeper.connector.apply(order(login, schema))
    later = known(login, report)
    seen = keeper.connector.inspect(later, [schema], given=[schema])

    assert presences(report) == {schema: HELD}
    assert report.outcomes[schema].left_out == "spatial_ref_sys, which belongs to postgres"
    assert seen[schema] == report.outcomes[schema]
    assert keeper.can(login, keeper.table("streets", "read-write"))
    assert not keeper.can(login, system)
    ended = keeper.connector.apply(order(later, end=[schema]))
    assert presences(ended) == {schema: ABSENT}
    assert keeper.left(login) == []


def test_of_much_that_is_left_out_of_a_schema_the_first_are_named(keeper: Keeper, login: Login):
    keeper.make(name="streets")
    for name in "abcdef":
        keeper.withhold(keeper.make(name=name))
    schema = keeper.whole_schema()

    report = keeper.connector.apply(order(login, schema))

    assert report.outcomes[schema].left_out == (
        "a, b, c, d, e and 1 more, which belong to postgres"
    )


def test_schema_of_which_nothing_can_be_had_is_refused(keeper: Keeper, login: Login):
    tables = [keeper.make(), keeper.make()]
    for table in tables:
        keeper.withhold(table)
    schema = keeper.whole_schema()

    report = keeper.connector.apply(order(login, schema))

    assert presences(report) == {schema: REFUSED}
    assert keeper.left(login) == []
    assert keeper.connector.unexplained(login, []) == ()


def test_schema_that_a_superuser_made_is_refused_whole(keeper: Keeper, login: Login):
    """`create schema app` by a superuser, with `grant all` to the owner of what is in it."""
    keeper.make()
    keeper.run("alter schema {} owner to postgres", sql.Identifier(keeper.schema))
    keeper.run("grant all on schema {} to orders_owner", sql.Identifier(keeper.schema))
    schema = keeper.whole_schema()

    report = keeper.connector.apply(order(login, schema))

    assert presences(report) == {schema: REFUSED}
    assert "another owner" in report.outcomes[schema].reason
    assert keeper.left(login) == []
    keeper.run("alter schema {} owner to orders_owner", sql.Identifier(keeper.schema))
