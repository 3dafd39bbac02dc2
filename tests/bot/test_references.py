"""Secrets by reference: one way for settings and integrations."""

import os
import re
import threading

import pytest

from bot.runtime import references
from bot.runtime.references import MOST, BadReferenceError, env_fault, resolve
from tests.support.waiting import wait_until


@pytest.mark.parametrize("text", ["s3cret", "s3cret\n", " s3cret \r\n", "pass ß wörd\n"])
def test_a_file_or_a_variable_holds_the_secret(tmp_path, monkeypatch, text):
    """A file that was not UTF-8, and a variable with a line break, went on as they were."""
    (tmp_path / "secret").write_bytes(text.encode())
    monkeypatch.setenv("A_SECRET", text)

    assert resolve(f"file:{tmp_path}/secret") == resolve("env:A_SECRET") == text.strip()


def test_a_pipe_will_do(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("s3cret\n",))
    writer.start()
    assert resolve(f"file:{pipe}") == "s3cret"
    writer.join()
    assert resolve(f"file:{pipe}") == "s3cret"  # what came through it comes once


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NOT_THERE", "no NOT_THERE, or it is empty: set it"),
        ("env:EMPTY", "no EMPTY, or it is empty: set it"),
        ("file:/not/there", "/not/there cannot be read: No such file .* Give the whole path"),
        ("file:{0}", "cannot be read: Is a directory"),
        ("file:{0}/binary", "binary is no UTF-8 text"),
        ("file:{0}/empty", "empty is empty: put the secret there"),
        ("file:/dev/zero", "/dev/zero is over 65,536 bytes"),
        ("file:\0", "is no UTF-8 text"),
        ("s3cret", "give a secret as env:NAME or file:PATH"),
    ],
)
def test_what_is_wrong_is_said_with_place_and_cure(tmp_path, monkeypatch, reference, said):
    (tmp_path / "binary").write_bytes(b"s3cret \xff")
    (tmp_path / "empty").write_text("\n")
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.delenv("NOT_THERE", raising=False)

    with pytest.raises(BadReferenceError) as fault:
        resolve(reference.format(tmp_path))

    assert re.search(said, str(fault.value))


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("A_SECRET", raising=False)
    tmp_path.chmod(0o755)
    made = tmp_path / ".env"
    made.write_text("A_SECRET=from-the-file\n")
    made.chmod(0o644)
    return made


@pytest.mark.parametrize("set_", [None, "", " "])
def test_what_the_environment_has_not_may_stand_in_the_env_file(env_file, monkeypatch, set_):
    """`.env` fed the settings, and no reference in them."""
    if set_ is not None:
        monkeypatch.setenv("A_SECRET", set_)
    assert resolve("env:A_SECRET") == "from-the-file"

    env_file.write_text("A_SECRET=another\n")
    assert resolve("env:A_SECRET") == "another"

    monkeypatch.setenv("A_SECRET", "from-the-environment")
    assert resolve("env:A_SECRET") == "from-the-environment"


def test_an_env_file_that_others_can_write_feeds_nothing(env_file):
    env_file.chmod(0o666)

    with pytest.raises(BadReferenceError, match=r"\.env is not read\. Others can write"):
        resolve("env:A_SECRET")


def another_encoding(file):
    file.write_bytes(b"A_SECRET=other\n# caf\xe9\n")


def open_to_others(file):
    file.write_text("A_SECRET=other\n")
    file.chmod(0o666)


def too_long(file):
    file.write_text("A_SECRET=other\n#" + MOST * "x")


def a_pipe(file):
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize("spoil", [another_encoding, open_to_others, too_long, a_pipe])
def test_what_the_env_file_said_stays_while_it_cannot_be_read(env_file, monkeypatch, spoil):
    """A secret that was known was given up: what it takes to end access was not there."""
    monkeypatch.setattr(references, "WITHIN", 0.05)
    assert resolve("env:A_SECRET") == "from-the-file"
    assert not env_fault()

    spoil(env_file)
    assert resolve("env:A_SECRET") == "from-the-file"
    assert env_fault().startswith(".env ")


def test_a_pipe_that_nobody_fills_holds_up_once_and_one_that_is_filled_is_read(
    env_file, monkeypatch
):
    """Every command hung, without a word."""
    monkeypatch.setattr(references, "FIRST_WITHIN", 0.05)
    a_pipe(env_file)
    with pytest.raises(BadReferenceError, match=r"\.env gives nothing: it is a pipe"):
        resolve("env:A_SECRET")

    with env_file.open("w") as pipe:
        pipe.write("A_SECRET=through-the-pipe\n")
    assert wait_until(lambda: not env_fault(), "it is read")
    assert resolve("env:A_SECRET") == "through-the-pipe"
    assert resolve("env:A_SECRET") == "through-the-pipe"


@pytest.mark.parametrize(
    "reference",
    [
        "env:s3cret-s3cret==",
        "env:postgresql://u:s3cret@h/x",
        "file:s3cret",
        "file:postgresql://u:s3cret@h/x",
        "file://u:s3cret@h/x",
        "vault:s3cret",
    ],
)
def test_a_secret_in_the_place_of_its_reference_is_not_quoted(reference):
    with pytest.raises(BadReferenceError) as fault:
        resolve(reference)

    assert "s3cret" not in str(fault.value)
