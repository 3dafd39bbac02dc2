"""`latchkey sandbox` as somebody types it."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bot.sandbox.client import Sandbox

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder():
    """One that PostgreSQL may enter when it has to run as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="latchkey-sandbox-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def command(folder, *more):
    return [sys.executable, "-m", "bot", "sandbox", "--directory", str(folder), *more]


@contextmanager
def running(folder, *more):
    """Start it, and yield its address; leaving the block is Ctrl-C."""
    process = subprocess.Popen(
        command(folder, *more),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        umask=0,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C stops" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:\d+", "".join(said))
        assert found, said
        yield found[0]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0
        assert "Stopped." in rest
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def said_by(*arguments):
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, " ".join(done.stdout.split())


def test_a_second_start_finds_what_was_said_and_fresh_forgets_it(folder):
    with running(folder, "--port", "0") as url:
        sandbox = Sandbox.connect(url)
        marta = sandbox.person("marta")
        assert marta.command("/access", "request").ok
        marta.post("hello", channel="general")
        status, told = said_by(folder, "--port", "0")
        assert (status, "already" in told, url in told) == (1, True, True)
        sandbox.stop()

    with running(folder, "--port", "0") as url:
        sandbox = Sandbox.connect(url)
        assert sandbox.person("marta").messages("general")[-1].text == "hello"
        sandbox.stop()

    with running(folder, "--port", "0", "--fresh") as url:
        sandbox = Sandbox.connect(url)
        assert sandbox.person("marta").messages("general") == []
        sandbox.stop()


def test_the_protected_postgresql_goes_and_comes_back_with_what_it_had(folder):
    with running(folder, "--port", "0") as url:
        sandbox = Sandbox.connect(url)
        house = json.loads((folder / "house.json").read_text())
        dsn = house["settings"]["LATCHKEY_SANDBOX_PG"]
        with psycopg.connect(dsn) as session:
            sandbox.take_down()
            with pytest.raises(psycopg.OperationalError, match="administrator command"):
                session.execute("select 1")
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(dsn)

        sandbox.bring_up()
        psycopg.connect(dsn).close()
        sandbox.take_down()
        sandbox.clear_faults()
        psycopg.connect(dsn).close()
        sandbox.take_down()
        sandbox.stop()

    with running(folder, "--port", "0") as url:  # who starts anew finds it up
        Sandbox.connect(url).stop()
        psycopg.connect(dsn).close()


def test_what_it_keeps_is_for_us_alone_whatever_the_umask(folder):
    """The lock, the log, the bot's database: all could be read, and the lock held, by anybody."""
    where = folder / "made" / "by it"
    with running(where, "--port", "0") as url:
        Sandbox.connect(url).stop()
        theirs = (where / "postgresql" / "data", where / "postgresql" / "server")
        found = [p for p in folder.rglob("*") if not {p, *p.parents}.intersection(theirs)]
        files = {p.name: p.stat().st_mode for p in found if p.is_file() and p.suffix != ".new"}
        folders = {p.name: p.stat().st_mode for p in found if p.is_dir()}

    assert {name: oct(stat.S_IMODE(mode)) for name, mode in files.items()} == dict.fromkeys(
        files, "0o600"
    )
    assert {"key", "clock", "lock", "house.json", "latchkey.db", "latchkey.log"} <= files.keys()
    assert folders.keys() == {"made", "by it", "postgresql"}
    assert not any(mode & 0o066 for mode in folders.values())


def test_a_port_in_use_is_told_with_the_cure(folder, sandbox):
    port = sandbox.url.rpartition(":")[2]
    status, told = said_by(folder, "--port", port)
    assert status == 1
    assert f"Port {port} cannot be used" in told
    assert f"--port {int(port) + 1}" in told


def test_psql_without_a_sandbox_says_how_to_start_one(folder):
    status, told = said_by(folder, "psql", "--user", "nobody")
    assert status == 1
    assert "latchkey sandbox" in told
