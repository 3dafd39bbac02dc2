"""A large company, put straight into a database: through the product it would take an hour."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import GroupId, Person, PersonId, SlackAccount
from engine.flow import ApprovalRule, ApproverGroup, Extension, Revision
from engine.inventory import IntegrationId, Tags, kept
from engine.port import Discovered
from engine.targets import Selector
from storage.codec import body_of, called, compared_of, dump_account, dump_person, dump_revision
from storage.database import Database, Write
from storage.sync import tags

PEOPLE, GROUPS, FLOWS, RESOURCES, PERMISSIONS = 100_000, 2_000, 1_000, 200_000, 5
SYSTEM = IntegrationId("pg")
SOURCE = "hr"
NAMED = 10  # resources, by a flow that names them

Rows = Iterable[Sequence[object]]


def group(number: int) -> GroupId:
    return GroupId(f"{SOURCE}:g{number % GROUPS}")


def person(number: int, *more: GroupId) -> Person:
    """Each is in one group of fifty, and has a Slack account and a manager."""
    return Person(
        PersonId(f"p{number}"),
        f"p{number}@large.example",
        f"Person {number}",
        manager=PersonId(f"p{number // 20}") if number else None,
        groups=frozenset({group(number), *more}),
        attributes={"city": (f"City {number % 30}",)},
    )


def account(number: int) -> SlackAccount:
    return SlackAccount("T0", f"U{number}", f"p{number}@large.example")


def path(number: int) -> str:
    return f"db{number // 1000}/{'ledger' if number % 3 else 'prod'}/table {number % 1000}"


def resource(number: int, *, risk: int = 1) -> Discovered:
    kind = "view" if number % 10 == 0 else "table"
    permissions = {f"right {n}": risk + n for n in range(PERMISSIONS)}
    return Discovered(
        kind,
        path(number).rpartition("/")[2],
        path(number),
        f"r{number}",
        permissions,
        risk=5,
        tags=tags_of(number),
    )


def tags_of(number: int) -> Tags:
    """Each has five tags; twenty have the same team."""
    return {
        "env": ("dev", "test", "prod")[number % 3 : number % 3 + 1],
        "team": (f"Team {number % 10_000}",),
        "tier": (f"{number % 5}",),
        "region": (f"eu-{number % 7}",),
        "cost": (f"Centre {number % 500}",),
    }


def revision(number: int) -> Revision:
    """Nine of ten are for tables that they name, one for all views; each asks one group."""
    names = frozenset(path(number * NAMED + n) for n in range(NAMED))
    views = Selector(SYSTEM, types=frozenset({"view"}), permissions=frozenset({"right 0"}))
    return Revision(
        f"Flow {number}",
        _is_in(group(number), group(number + FLOWS)),
        (views if number % 10 == 7 else Selector(SYSTEM, names=names),),
        extension=Extension(2, timedelta(minutes=30)),
        approval=ApprovalRule((ApproverGroup("The others", _is_in(group(number + 1))),)),
    )


def _is_in(*groups: GroupId) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, tuple(groups)),))


def people() -> Iterator[Person]:
    return (person(n) for n in range(PEOPLE))


def resources() -> Iterator[Discovered]:
    return (resource(n) for n in range(RESOURCES))


def found(database: Database) -> None:
    """Put all of it into a database that has the schema."""
    with database.write() as tx:
        fill = _sqlite(tx) if database.sqlite else _postgresql(tx)
        fill("person", "id email status slack account body compared called epoch", _people())
        fill("people_group", "id source name epoch", _groups())
        fill("integration", "id name name_key kind server listed body epoch", _integrations())
        fill("flow", "id name revision active deleted epoch", _flows())
        fill("flow_revision", "flow_id number saved_at body", _revisions())
        keys = "type_key name_key path_key"
        columns = f"id integration_id source_id type name path {keys} status risk tagged body"
        fill("resource", f"{columns} epoch", _resources())
        fill("resource_tag", "context key value_key resource_id", _tags())
        fill("permission", "integration_id id name name_key body epoch", _permissions())
        fill("entitlement", "id resource_id permission risk offered epoch", _entitlements())
        on = tx.connection()
        on.exec_driver_sql("update company set epoch = 1, admins = '[\"p0\"]'")
        if not database.sqlite:
            for table in ("flow", "resource", "entitlement"):
                sequence = f"pg_get_serial_sequence('{table}', 'id')"
                on.exec_driver_sql(f"select setval({sequence}, max(id)) from {table}")  # noqa: S608
    with database.write() as tx:
        tx.connection().exec_driver_sql("analyze")


Fill = Callable[[str, str, Rows], None]


def _sqlite(tx: Write) -> Fill:
    cursor = tx.connection().connection.cursor()

    def fill(table: str, columns: str, rows: Rows) -> None:
        names = columns.split()
        given = f"({', '.join(names)}) values ({', '.join('?' * len(names))})"
        cursor.executemany(f"insert into {table} {given}", rows)

    return fill


def _postgresql(tx: Write) -> Fill:
    cursor: Any = tx.connection().connection.cursor()

    def fill(table: str, columns: str, rows: Rows) -> None:
        with cursor.copy(f"copy {table} ({', '.join(columns.split())}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)

    return fill


def _people() -> Rows:
    for n in range(PEOPLE):
        one, tied = person(n), json.dumps(dump_account(account(n)))
        body, compared = json.dumps(dump_person(one)), compared_of(one)
        kept = json.dumps(compared), called(compared)
        yield one.id, one.email, "active", f"U{n}", tied, body, *kept, 1


def _groups() -> Rows:
    for n in range(GROUPS):
        yield group(n), SOURCE, f"Group {n}", 1


def _integrations() -> Rows:
    yield SYSTEM, "Orders", "orders", "memory", "", True, "{}", 1


def _flows() -> Rows:
    for n in range(FLOWS):
        yield n + 1, f"flow {n}", 1, True, False, 1


def _revisions() -> Rows:
    for n in range(FLOWS):
        yield n + 1, 1, "2026-11-02 09:00:00.000000", json.dumps(dump_revision(revision(n)))


def _resources() -> Rows:
    for n in range(RESOURCES):
        one = resource(n)
        keys = one.type.casefold(), one.name.casefold(), one.path.casefold()
        named = SYSTEM, one.source_id, one.type, one.name, one.path, *keys
        known = kept(one.tags)
        body = json.dumps(body_of(known, {}))
        yield n + 1, *named, "active", one.risk, tags.mark_of(known, {}), body, 1


def _tags() -> Rows:
    for n in range(RESOURCES):
        for value in tags.values_of(tags_of(n), {}):
            yield *value, n + 1


def _permissions() -> Rows:
    for n in range(PERMISSIONS):
        yield SYSTEM, f"right {n}", f"right {n}", f"right {n}", '{"tags": {}}', 1


def _entitlements() -> Rows:
    for n in range(RESOURCES):
        for k, (permission, risk) in enumerate(resource(n).permissions.items()):
            yield n * PERMISSIONS + k + 1, n + 1, permission, risk, True, 1
