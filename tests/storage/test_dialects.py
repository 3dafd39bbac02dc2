"""What is compiled for one database serves the next of its kind, and no other."""

from contextlib import closing

import pytest
from sqlalchemy import select
from sqlmodel import col

from storage import dialects
from storage.database import Database
from storage.tables import PersonRow


def found(open_, name):
    query = select(col(PersonRow.email), col(PersonRow.account)).where(col(PersonRow.id) == name)
    with open_() as session:
        return session.execute(query).one()


def test_what_one_has_compiled_no_other_compiles_again(url, database):
    first = found(database.read, "alice")
    compiled = set(dialects.COMPILED)

    rest = [found(database.write, "bob")]
    with closing(Database(url)) as other:
        rest += [found(other.read, "dan"), found(other.write, "sam")]

    people = [(row.email.partition("@")[0], row.account["user"]) for row in (first, *rest)]
    assert people == [(name, f"U-{name}") for name in ("alice", "bob", "dan", "sam")]
    assert set(dialects.COMPILED) == compiled


@pytest.mark.parametrize(
    ("what", "value"), [("server_version_info", (17, 2)), ("_backslash_escapes", True)]
)
def test_a_server_that_takes_other_words_is_another(what, value):
    one, other = dialects.PostgreSQL(), dialects.PostgreSQL()
    assert one == other
    assert hash(one) == hash(other)

    setattr(other, what, value)

    assert one != other


def test_kinds_of_databases_are_different():
    assert dialects.PostgreSQL() != dialects.SQLite()
