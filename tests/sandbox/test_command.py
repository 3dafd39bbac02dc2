"""`latchkey sandbox` as somebody types it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

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
        assert process.wait(20) == 0
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
