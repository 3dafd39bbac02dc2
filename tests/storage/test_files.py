"""Whose files they are: ours alone, in places where nobody else can put or swap any."""

import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from sqlalchemy import text

from storage import claims, files, schema
from storage.database import Database
from storage.files import UnsafePlaceError


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture
def place(tmp_path):
    """A folder of ours in a folder of ours."""
    made = tmp_path / "above" / "place"
    made.mkdir(parents=True)
    for folder in (made.parent, made):
        folder.chmod(0o755)
    return made


@pytest.fixture
def opened():
    """Open databases that are closed after the test."""
    found = []

    def open_(path):
        found.append(Database(f"sqlite:///{path}", patience=0.2))
        return found[-1]

    yield open_
    for database in found:
        database.close()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777], ids=oct)
def test_every_file_of_the_database_is_ours_alone(place, opened, umask, mask):
    """They were made as the umask had it: 0644, and a lock that anybody could hold for ever."""
    umask(mask)
    database = opened(place / "latchkey.db")
    schema.upgrade(database)
    with claims.lock_file(database):
        made = {path.name.removeprefix("latchkey.db"): mode(path) for path in place.iterdir()}

    assert made == dict.fromkeys(["", "-wal", "-shm", ".lock", ".turn"], 0o600)


def test_files_that_others_may_read_are_narrowed(place, opened):
    first = opened(place / "latchkey.db")
    schema.upgrade(first)
    claims.lock_file(first).close()
    for path in place.iterdir():
        path.chmod(0o666)

    claims.lock_file(opened(place / "latchkey.db")).close()

    assert {mode(path) for path in place.iterdir()} == {0o600}


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(place, opened):
    """A slip in the address took /etc/passwd away from everybody but root."""
    other = place / "names.txt"
    other.write_text("root and others\n")
    other.chmod(0o644)

    with pytest.raises(UnsafePlaceError, match="is no database of SQLite, and stays as it is"):
        opened(other)

    assert mode(other) == 0o644
    assert [path.name for path in place.iterdir()] == ["names.txt"]


def test_a_second_look_at_the_files_keeps_what_is_locked(place, opened):
    """To close a file gives up the locks on it: another process would write in between."""
    path = place / "latchkey.db"
    database = opened(path)
    schema.upgrade(database)
    write = f"import sqlite3; sqlite3.connect({str(path)!r}, 0).execute('begin immediate')"
    with database.write() as tx:
        tx.execute(text("update company set epoch = epoch"))
        opened(path)
        done = subprocess.run(
            [sys.executable, "-c", write], capture_output=True, text=True, check=False
        )
    assert "database is locked" in done.stderr


def anybody(place, _give_away):
    place.chmod(0o777)
    return place, "chmod go-w"


def a_group(place, _give_away):
    place.chmod(0o775)
    return place, "chmod go-w"


def everybody_but_sticky(place, _give_away):
    place.chmod(0o1777)
    return place, "chmod go-w"


def anybody_above(place, _give_away):
    place.parent.chmod(0o777)
    return place, "chmod go-w"


def anothers(place, give_away):
    give_away(place)
    return place, "belongs to"


def anothers_above(place, give_away):
    give_away(place.parent)
    return place, "belongs to"


def a_link_of_anothers(place, give_away):
    link = place.parent / "link"
    link.symlink_to(place)
    give_away(link)
    return link, "link"


OPEN = [
    anybody,
    a_group,
    everybody_but_sticky,
    anybody_above,
    anothers,
    anothers_above,
    a_link_of_anothers,
]


@pytest.mark.parametrize("opens", OPEN)
def test_no_new_database_where_others_can_write(place, opened, opens, give_away):
    folder, cure = opens(place, give_away)

    with pytest.raises(UnsafePlaceError, match=cure):
        opened(folder / "latchkey.db")

    assert not list(place.iterdir())


def test_a_sticky_folder_above_is_in_order(place, opened):
    place.parent.chmod(0o1777)
    schema.upgrade(opened(place / "latchkey.db"))

    assert files.exposed(place / "latchkey.db") == ""


def test_a_link_of_ours_is_followed_and_locked_where_it_leads(place, opened):
    """The lock stood beside the link: under its two names one file could be run twice."""
    link = place.parent / "here.db"
    link.symlink_to(place / "latchkey.db")
    database = opened(place / "latchkey.db")
    schema.upgrade(database)
    with (
        claims.lock_file(database),
        pytest.raises(claims.NotAloneError),
    ):
        claims.lock_file(opened(link))


@pytest.mark.parametrize("opens", [anybody, a_group, everybody_but_sticky, anybody_above])
def test_a_database_that_is_there_is_used_and_its_place_is_told(place, opened, opens):
    schema.upgrade(opened(place / "latchkey.db"))
    folder, cure = opens(place, None)

    again = opened(folder / "latchkey.db")

    assert schema.current(again) == schema.newest()
    assert cure in files.exposed(again.file)


def test_an_empty_file_is_no_database_that_is_there(place, opened):
    """Whoever could write there would have made it, to have the installation in their file."""
    (place / "latchkey.db").touch()
    place.chmod(0o1777)

    with pytest.raises(UnsafePlaceError, match="chmod go-w"):
        opened(place / "latchkey.db")


def test_a_database_that_somebody_else_put_there_is_refused(place, opened, give_away):
    planted = place / "latchkey.db"
    with sqlite3.connect(planted) as connection:
        connection.execute("create table planted (x)")
    connection.close()
    give_away(planted)
    place.chmod(0o1777)

    with pytest.raises(UnsafePlaceError, match="somebody else"):
        opened(planted)


def test_what_root_does_for_a_service_leaves_the_services_files(place, opened, give_away):
    """Root's `revoke` was refused beside a service's lock, or left one that it could not open."""
    database = opened(place / "latchkey.db")
    schema.upgrade(database)
    files_ = [place / f"latchkey.db{suffix}" for suffix in files.BESIDE]
    if os.geteuid() == 0:  # else they are ours, and stay so
        for file in [place, *(f for f in files_ if f.exists())]:
            give_away(file)

    for _ in range(2):  # where there are no locks yet, and where there are
        claims.take_turn(database).close()
        claims.lock_file(database).close()

    owner = place.stat().st_uid
    assert {f.stat().st_uid for f in files_ if f.exists()} == {owner}
    assert (place / "latchkey.db.lock").exists()


@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to"])
def test_a_planted_link_to_another_file_of_ours_is_not_followed(place, opened, plant):
    ours = place.parent / "ours.db"
    with sqlite3.connect(ours) as connection:
        connection.execute("create table ours (x)")
    connection.close()
    ours.chmod(0o640)
    getattr(place / "latchkey.db", plant)(ours)
    place.chmod(0o777)

    with pytest.raises(UnsafePlaceError):
        opened(place / "latchkey.db")

    assert mode(ours) == 0o640


@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to"])
def test_a_lock_that_is_a_link_empties_no_other_file(place, opened, plant):
    """It was opened to be written anew: through a link, whatever the link led to was emptied."""
    ours = place.parent / "diary"
    ours.write_text("dear diary")
    database = opened(place / "latchkey.db")
    schema.upgrade(database)
    place.chmod(0o777)
    getattr(place / "latchkey.db.lock", plant)(ours)

    with pytest.raises(UnsafePlaceError, match=r"latchkey\.db\.lock"):
        claims.lock_file(database)

    assert ours.read_text() == "dear diary"


def test_a_folder_that_we_make_is_ours_alone(place, umask):
    umask(0)
    files.make_folder(place / "new" / "deep")

    assert (mode(place / "new"), mode(place / "new" / "deep")) == (0o700, 0o700)


def test_no_folder_is_made_through_a_link_that_somebody_planted(place, give_away):
    victim = place / "victim"
    victim.mkdir()
    link = place / "link"
    link.symlink_to(victim)
    give_away(link)

    with pytest.raises(UnsafePlaceError, match="link"):
        files.make_folder(link / "made")

    assert not list(victim.iterdir())


def test_what_is_written_in_one_step_is_ours_alone_and_follows_no_link(place, umask):
    umask(0)
    diary = place.parent / "diary"
    diary.write_text("dear diary")
    for name in ("file", "file.new"):
        (place / name).symlink_to(diary)

    files.replace(place / "file", "text")

    assert ((place / "file").read_text(), mode(place / "file")) == ("text", 0o600)
    assert diary.read_text() == "dear diary"


def test_links_in_a_circle_are_a_fault_and_no_endless_walk(place):
    (place / "a").symlink_to(place / "b")
    (place / "b").symlink_to(place / "a")

    assert "leads nowhere" in files.exposed(place / "a" / "x")
