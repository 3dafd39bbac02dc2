"""Conditions on people as SQL: of whom a group of conditions holds, both back ends say alike."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlmodel import col

from engine import conditions as closure
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Directory, PersonId
from engine.on_call import Schedule, Shift
from engine.succession import Succession, SuccessionStatus
from storage import succession, sync
from storage.sql.people import found, selects
from storage.tables import GroupRow, PersonRow
from tests.support.conditions import (
    ALWAYS,
    companies,
    duty,
    failing,
    groups,
    groups_called,
)
from tests.support.stored import ADA, ALICE, BOB, DAN, GROUPS, MIA, PEOPLE, SAM, START


def by_closure(group: ConditionGroup, directory: Directory) -> set[str]:
    return {p.id for p in closure.select(group, directory)}


def by_sql(session, group: ConditionGroup, directory: Directory) -> set[str]:
    query = select(col(PersonRow.id)).where(selects(group, directory))
    return set(session.execute(query).scalars())


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(companies, groups_called, duty, failing, st.lists(groups, min_size=6, max_size=6))
def test_sql_selects_whom_the_engine_selects(stored, those, named, schedules, failed, asked):
    stored.take_in(those, named, held=False)
    company = stored.company().directory
    directory = company.answering(schedules, dict.fromkeys(failed, START)).at(START)

    with stored.database.read() as session:
        said = [by_sql(session, group, directory) for group in asked]

    assert said == [by_closure(group, directory) for group in asked]


@pytest.mark.parametrize("attribute", ["user", "group", "manager", "on_call", "City"])
def test_each_comparator_on_each_attribute(stored, attribute):
    stored.take_in(
        [replace(p, attributes={"City": ("ROME",)}) if p.id == BOB else p for p in PEOPLE]
    )
    nights = Schedule("dba", (Shift(ALWAYS, (ALICE,)),))
    directory = stored.company().directory.answering([nights], {}).at(START)
    values = ["ali", "alice", "alice@example.com", "mia", "file:dbas", "Rome", "DBA"]
    each = [
        ConditionGroup((Condition(attribute, comparator, (value,)),))
        for comparator in Comparator
        for value in values
    ]

    with stored.database.read() as session:
        said = [by_sql(session, group, directory) for group in each]

    assert said == [by_closure(group, directory) for group in each]
    assert {frozenset(found_) for found_ in said} > {frozenset()}


CALLED = ConditionGroup((Condition("manager", Comparator.STARTS_WITH, ("mia",)),))
MANAGED = ConditionGroup((Condition("manager", Comparator.IS, (MIA,)),))


def test_who_has_a_new_id_manages_those_who_were_managed_under_the_old_one(stored):
    mia = next(p for p in PEOPLE if p.id == MIA)
    same = Succession(MIA, PersonId("m-7"), mia.email, mia.name, mia.name, SuccessionStatus.WAITS)
    stored.write(lambda tx, _: succession.carry(tx, [same], stored.keys, stored.now))
    directory = stored.company().directory
    managed = MANAGED.renamed(directory.formerly)

    with stored.database.read() as session:
        for group in (CALLED, managed):
            assert ALICE in by_sql(session, group, directory) == by_closure(group, directory)


SPOILED = ["7", '"odd"', "[]", '{"user": 7, "group": {"a": 1}}', '{"user": ["a"]}', "null"]


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_a_hand_has_written_there_hides_nobody_else(stored, spoiled):
    everybody = ConditionGroup(
        (
            Condition("user", Comparator.CONTAINS, ("@",)),
            Condition("group", Comparator.DOES_NOT_CONTAIN, ("x",)),
        )
    )
    with stored.database.write() as tx:
        into = ":it" if tx.dialect == "sqlite" else "cast(:it as jsonb)"
        change = text(f"update person set compared = {into}, epoch = 0 where id = 'bob'")  # noqa: S608
        tx.connection().execute(change, {"it": spoiled})

    with stored.database.read() as session:
        said = by_sql(session, everybody, stored.company().directory)

    assert said == {p.id for p in PEOPLE} - {BOB}


@pytest.mark.parametrize("kind", ["sqlite"])  # the other takes nothing that is no JSON
def test_what_is_no_json_hides_nobody_else(stored):
    with stored.database.write() as tx:
        tx.connection().execute(text("update person set compared = '{' where id = 'bob'"))

    with stored.database.read() as session:
        others = search(session, stored)

    assert set(others) == {p.id for p in PEOPLE} - {BOB}


@pytest.mark.parametrize("column", ["compared", "called"])
def test_what_a_program_of_before_wrote_is_brought_in_line_by_the_next_intake(stored, column):
    """It knows no such column, while replicas are replaced one after another."""
    with stored.database.write() as tx:
        tx.connection().execute(text(f"update person set {column} = null where id = 'bob'"))  # noqa: S608

    stored.take_in(PEOPLE)

    with stored.database.read() as session:
        assert BOB in search(session, stored)


def these(*people):
    return ConditionGroup((Condition("user", Comparator.IS, people),))


# --- the search ----------------------------------------------------------------------------------


EVERYBODY = ConditionGroup((Condition("user", Comparator.CONTAINS, ("@",)),))


def search(session, stored, words="", groups=(EVERYBODY,), first=ADA, most=50):
    directory = stored.company().directory
    return found(session, groups, directory, words, first=first, most=most)


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        ("", ["ada", "alice", "bob", "dan", "dora", "mia", "sam"]),
        ("ALI", ["alice"]),
        ("example ali", ["alice"]),
        ("a d", ["ada", "dan", "dora"]),
        ("%", []),
        ("ada alice", []),
    ],
)
def test_people_are_found_by_every_word_of_address_and_name(stored, typed, who):
    stored.take_in([replace(p, email=f"{p.id}@example.org") for p in PEOPLE])

    with stored.database.read() as session:
        assert search(session, stored, typed) == who


def test_who_has_left_is_not_found_and_no_more_than_are_wanted(stored):
    stored.take_in([p for p in PEOPLE if p.id != ALICE], GROUPS)

    with stored.database.read() as session:
        assert search(session, stored, most=2) == ["ada", "bob"]
        assert search(session, stored, first=DAN, most=2) == ["dan", "ada"]
        assert search(session, stored, groups=()) == []
        both = (these(BOB), these(SAM))
        assert search(session, stored, groups=both) == ["bob", "sam"]


def test_a_tombstone_of_a_group_is_no_group(stored):
    lacks = ConditionGroup((Condition("group", Comparator.DOES_NOT_CONTAIN, ("x",)),))
    with stored.database.write() as tx:
        tx.execute(update(GroupRow).where(col(GroupRow.id) == GROUPS[0].id).values(gone=True))
    directory = stored.company().directory

    with stored.database.read() as session:
        assert by_sql(session, lacks, directory) == by_closure(lacks, directory)
        assert ALICE not in by_sql(session, lacks, directory)


def test_whatever_writes_a_person_keeps_what_sql_compares(stored):
    """Another address, another name, who has left: each is written by a way of its own."""
    stored.take_in([replace(p, name="Ali") if p.id == ALICE else p for p in PEOPLE])
    stored.write(lambda tx, _: sync.void(tx, [BOB], stored.now))

    rows = {row.id: row for row in stored.rows(PersonRow)}

    assert rows["alice"].compared["user"] == ["alice@example.com", "ali"]
    assert rows["alice"].called == "alice@example.com\nali"
    assert rows["bob"].compared == {
        "user": ["bob@example.com", "bob"],
        "group": ["file:engineers"],
        "manager": ["mia"],
    }
