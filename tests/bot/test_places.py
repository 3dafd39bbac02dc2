"""A database that others can reach at: refused when it is new, told loudly when it is there."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from bot.sandbox.house import COMPANY, MANIFESTS
from storage import schema
from storage.database import Database
from storage.secrets import new_key
from tests.support.nursery import shared

SETTINGS = {
    "SLACK_API_URL": "http://127.0.0.1:1/",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "LATCHKEY_KEYS": new_key(),
    "LATCHKEY_MANIFESTS": str(COMPANY),
    "LATCHKEY_SANDBOX_PG": "host=127.0.0.1 port=1 user=x password=y dbname=z",
}


@pytest.fixture
def place(tmp_path):
    """A folder in which anybody can write."""
    made = tmp_path / "place"
    made.mkdir()
    made.chmod(0o777)
    return made


def environment(place, **more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "LATCHKEY_"))}
    own = {"LATCHKEY_DATABASE_URL": f"sqlite:///{place}/latchkey.db", "COLUMNS": "300"}
    return {**clean, "PYTHONPATH": str(MANIFESTS.parent), **SETTINGS, **own, **more}


def start(place, **more):
    """Start a bot, which runs until it is asked to end."""
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        env=environment(place, **more),
        cwd=place.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, place, **more):
    """Run a command that ends by itself."""
    return shared().run(*arguments, env=environment(place, **more), cwd=place.parent)


@pytest.mark.parametrize("command", ["run", "doctor", "db upgrade"])
def test_a_new_installation_is_refused_with_the_cure(place, command):
    done = run(*command.split(), place=place)

    assert done.returncode == 1
    assert f"chmod go-w {place}" in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr
    assert list(place.iterdir()) == []


@pytest.fixture
def exposed(place):
    """A place for anybody, with a database that was made before it was opened to them."""
    place.chmod(0o700)
    database = Database(f"sqlite:///{place}/latchkey.db")
    schema.upgrade(database)
    database.close()
    place.chmod(0o777)
    return place


def test_a_database_that_is_there_is_run_on_and_told_at_the_start(exposed):
    process = start(exposed)
    said = next((line for line in process.stderr if "others can change" in line), "")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert f"chmod go-w {exposed}" in said
    assert process.returncode == 0


def test_the_doctor_fails_over_it(exposed):
    said = run("doctor", place=exposed).stdout

    line = next(line for line in said.splitlines() if "database's files" in line)
    assert line.split()[0] == "✗"
    assert f"chmod go-w {exposed}" in line


def test_the_doctor_is_content_with_a_place_of_our_own(exposed):
    exposed.chmod(0o755)
    said = run("doctor", place=exposed).stdout

    line = next(line for line in said.splitlines() if "database's files" in line)
    assert line.split()[0] == "✓"


@pytest.mark.parametrize("opens", ["folder", "file"])
def test_manifests_that_others_can_write_are_told(tmp_path, opens):
    """Whoever could write them gave themselves what they liked, and nothing said so."""
    company = tmp_path / "company"
    shutil.copytree(COMPANY, company)
    opened = company if opens == "folder" else company / "flows.yaml"
    opened.chmod(0o777)
    place = tmp_path / "own"
    place.mkdir(0o700)

    process = start(place, LATCHKEY_MANIFESTS=str(company))
    logged = next((line for line in process.stderr if "change the manifests" in line), "")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    said = run("doctor", place=place, LATCHKEY_MANIFESTS=str(company)).stdout

    assert f"chmod go-w {opened}" in logged
    assert f"warning: who writes them gives access. Others can write to {opened}" in said
