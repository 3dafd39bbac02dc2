"""`latchkey aql`: whether a query is right, what it says, and what it finds."""

import re

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from bot.usecases.catalog import PAGE
from storage import sync
from tests.support.nursery import latchkey
from tests.support.stored import PG, TABLES, Stored, table


def test_a_right_query_is_written_plainly():
    done = latchkey("aql", "check", 'resource_type="table"AND(resource_name in("a","b\\"%"))')

    assert done.returncode == 0, done.stderr
    assert done.stdout == 'resource_type = "table" and resource_name in ("a", "b\\"%")\n'


FIELD = 'Line 1, column 1: found “Resource_Type”, expected a field, not or "(". '
KEY = 'Line 2, column 18: found “=”, expected resource_tag["key"].'
LONG = "Line 1, column 10001: found 10,001 characters, expected a query of at most 10,000."


@pytest.mark.parametrize("command", ["check", "explain", "run"])
@pytest.mark.parametrize(
    ("text", "line", "at", "said"),
    [
        ("Resource_Type = 1", "Resource_Type = 1", 0, FIELD + "Did you mean resource_type?"),
        ('resource_type = "a"\nand resource_tag = 1', "and resource_tag = 1", 17, KEY),
        ("x" * 10_001, "x" * 60, 59, LONG),
    ],
)
def test_what_is_wrong_is_shown_with_its_place(command, text, line, at, said):
    done = latchkey("aql", command, text)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"  {line}\n  {' ' * at}^\n{said}\n"


@pytest.mark.parametrize("command", ["check", "explain"])
def test_an_empty_query_is_none(command):
    done = latchkey("aql", command, "")

    assert (done.returncode, done.stdout) == (1, "")
    assert "found the end of the query, expected a field" in done.stderr


def test_nothing_that_a_query_says_changes_the_terminal():
    """A title was set, and a line hidden, by what somebody had put into a query."""
    done = latchkey("aql", "check", 'resource_name = "[red]a\x1b]0;x\x07\u202eb"')

    assert done.returncode == 0
    assert "[red]a" in done.stdout
    assert not {*"\x1b\x07\u202e"} & {*done.stdout}


def test_a_query_is_said_in_words():
    done = latchkey("aql", "explain", 'resource_tag["env"] != "prod" and permission_name = "read"')

    assert done.stdout.splitlines() == [
        "- all of these hold:",
        '  - the resource has no tag "env" that is "prod"',
        '  - the permission\'s name is "read"',
    ]


@pytest.fixture
def house(tmp_path):
    """Return how to run a command on a company with more than one page of things."""
    url = f"sqlite:///{tmp_path}/latchkey.db"
    stored = Stored.founded(url)
    many = [table(f"many.t{n:02}", "use") for n in range(PAGE + 3)]
    stored.write(lambda tx, _: sync.inventory(tx, PG, [*TABLES[1:], *many], stored.now))
    stored.close()
    return lambda *arguments: latchkey(
        "aql", "run", *arguments, cwd=tmp_path, LATCHKEY_DATABASE_URL=url
    )


def test_what_a_query_finds_is_listed_page_by_page(house):
    query = 'resource_name starts_with "t" and permission_name = "use"'

    first = house(query)
    assert first.returncode == 0, first.stderr
    assert f"1–{PAGE} of {PAGE + 3} entitlements." in first.stdout
    (place,) = re.findall(r"--after (\S+)", first.stdout)
    second = house(query, "--after", place)
    assert f"21–{PAGE + 3} of {PAGE + 3} entitlements.\n" in second.stdout
    named = re.findall(r"many\.t\d\d", first.stdout + second.stdout)
    assert named == [f"many.t{n:02}" for n in range(PAGE + 3)]


def test_without_a_query_everything_is_listed_and_what_is_gone_says_so(house):
    assert f"1–{PAGE} of " in house().stdout

    gone = house('resource_status = "gone"')
    assert "shop.orders" in gone.stdout
    assert "gone" in gone.stdout.partition("shop.orders")[2]


def test_words_that_nothing_has_are_named(house):
    done = house('resource_type = "tabel"')

    assert done.returncode == 0
    assert done.stdout == "0 entitlements.\n"
    assert done.stderr == 'Nothing has resource_type "tabel". Did you mean "table"?\n'


@pytest.mark.parametrize("place", ["x", "1", "1/x", "-1/2", "9" * 40 + "/1"])
def test_a_place_that_is_none_is_refused(house, place):
    done = house("--after", place) if not place.startswith("-") else house(f"--after={place}")

    assert done.returncode == 1
    assert "is no place" in done.stderr


def test_where_there_is_no_latchkey_it_is_said(tmp_path):
    done = latchkey("aql", "run", LATCHKEY_DATABASE_URL=f"sqlite:///{tmp_path}/none.db")

    assert done.returncode == 1
    assert "There is no Latchkey in this database" in done.stderr


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ('resource_type =\n  "table"\n', 0, 'resource_type = "table"'),
        ('\ufeffresource_type = "straße"', 0, 'resource_type = "straße"'),
        (b'resource_type = "\xe4"', 1, "Byte 18 of the query is not UTF-8."),
        ('resource_type = "a" or ' * 1000, 1, "expected a query of at most 10,000."),
        ("", 1, "found the end of the query"),
    ],
)
def test_a_query_is_read_from_stdin(given, code, said):
    done = CliRunner().invoke(cli, ["aql", "check", "-"], input=given)

    assert done.exit_code == code, done.output
    assert said in done.output
