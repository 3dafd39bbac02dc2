"""Where the sandbox stands: in no folder, and behind no link, that somebody else has put there."""

import io
import json
import signal
import socket
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from bot.sandbox import command
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster, PostgresError
from storage.files import UnsafePlaceError


@pytest.fixture(autouse=True)
def signals_as_before():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=500)


def open_to_all(where, _):
    where.mkdir()
    where.chmod(0o777)


def open_but_sticky(where, _):
    where.mkdir()
    where.chmod(0o1777)


def anothers(where, give_away):
    where.mkdir()
    give_away(where)


def anothers_link(where, give_away):
    where.with_name("victim").mkdir()
    where.symlink_to(where.with_name("victim"))
    give_away(where)


PLANTED = [open_to_all, open_but_sticky, anothers, anothers_link]


@pytest.mark.parametrize("plant", PLANTED)
def test_it_does_not_start_where_others_can_write(tmp_path, console, give_away, plant):
    """In a shared temporary folder its name is known before: keys and passwords went there."""
    where = tmp_path / "latchkey-sandbox"
    plant(where, give_away)

    assert command.serve(console, command.directory(where), port=0, fresh=True) == 1

    assert "Or choose another place" in console.file.getvalue()
    assert [path.name for path in where.resolve().iterdir()] == []


@pytest.mark.parametrize("plant", PLANTED)
def test_nobody_is_led_to_type_a_password_to_somebody_elses_server(
    tmp_path, console, give_away, plant
):
    where = tmp_path / "latchkey-sandbox"
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        plant(where, give_away)
        address = {"host": "127.0.0.1", "port": theirs.getsockname()[1]}
        (where.resolve() / "house.json").write_text(json.dumps({"postgres": address}))

        assert command.psql(console, where, user="marta", database="orders") == 1

        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.accept()
    assert "not trusted" in console.file.getvalue()


def test_a_folder_of_all_is_not_where_it_goes_by_itself(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)

    assert command.directory(None).parent == Path(tempfile.gettempdir())


def test_to_forget_removes_links_and_not_what_they_lead_to(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "diary").write_text("dear diary")
    where = tmp_path / "where"
    where.mkdir()
    (where / "postgresql").symlink_to(kept)
    (where / "key").symlink_to(kept / "diary")

    command.forget(where)

    assert list(where.iterdir()) == []
    assert (kept / "diary").read_text() == "dear diary"


@pytest.mark.parametrize("plant", PLANTED)
def test_no_server_in_a_folder_that_somebody_else_can_swap(tmp_path, give_away, plant):
    """Root gave away, by its name, a file in a folder that was given away before."""
    tmp_path.chmod(0o755)
    plant(tmp_path / "postgresql", give_away)

    with pytest.raises((PostgresError, UnsafePlaceError)):
        Cluster(tmp_path / "postgresql", 0, {})

    assert list((tmp_path / "postgresql").resolve().iterdir()) == []


def test_no_house_where_others_can_write(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafePlaceError, match="chmod go-w"):
        House(tmp_path)
