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


def an_open_quote(file):
    file.write_text("OTHER=x\nA_SECRET='other\n")


def a_folder(file):
    file.unlink()
    file.mkdir()


def a_link_to_nothing(file):
    file.unlink()
    file.symlink_to("away")


def a_link_to_itself(file):
    file.unlink()
    file.symlink_to(file)


def too_long(file):
    file.write_text("A_SECRET=other\n#" + MOST * "x")


def a_pipe(file):
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        another_encoding,
        open_to_others,
        too_long,
        a_pipe,
        an_open_quote,
        a_folder,
        a_link_to_nothing,
        a_link_to_itself,
    ],
)
def test_what_the_env_file_said_stays_while_it_cannot_be_read(env_file, monkeypatch, spoil):
    """A secret that was known was given up: what it takes to end access was not there."""
    monkeypatch.setattr(references, "WITHIN", 0.05)
    assert resolve("env:A_SECRET") == "from-the-file"
    assert not env_fault()

    spoil(env_file)
    assert resolve("env:A_SECRET") == "from-the-file"
    assert env_fault().startswith((".env ", ".env: "))


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("A_SECRET='s3cret", 3),
        ('A_SECRET="s3cret', 3),
        ("A_SECRET: s3cret", 3),
        ("A_SECRET:s3cret=", 3),
        ("A_SECRET s3cret", 3),
        ("A_SECRET", 3),
        ("=s3cret", 3),
        ("A_SECRET='s3cret' s3cret", 3),
        ("\u200bA_SECRET=s3cret", 3),
        ("\n \nexport A_SECRET", 5),
        ("A_SECRET='s3cret\nLATCHKEY_KEYS=s3cret'", 3),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_cannot_be_read_is_named_and_the_others_are_read(env_file, line, number, end):
    """It was passed over without a word: `run` began on a new, empty database."""
    lines = f"BEFORE=1\n# it's a comment\n{line}\nAFTER=2\n"
    env_file.write_bytes(lines.replace("\n", end).encode())

    assert env_fault().startswith(f".env: line {number} is no NAME=value: ")
    assert "s3cret" not in env_fault()
    assert references.env_file() == {"BEFORE": "1", "AFTER": "2"}


def test_what_a_bad_line_was_meant_for_is_not_taken_from_another(env_file):
    env_file.write_text("A_SECRET=old\nA_SECRET: new\nOTHER 1\n")

    assert ".env: lines 2, 3 are no NAME=value" in env_fault()
    with pytest.raises(BadReferenceError, match="no A_SECRET"):
        resolve("env:A_SECRET")


def test_all_that_an_env_file_may_be_written_like_is_read(env_file):
    text = (
        "\ufeff# A comment: it's 'one\r\n\r\nexport A=1\r\nB = 'two words' # why\r\n"
        'C="three\\n3"\r\nD=\r\n  E=a=b#c\r\nF="-----BEGIN\r\nab==\r\n"\r\n\'G\'=7'
    )
    env_file.write_bytes(text.encode())

    assert not env_fault()
    assert references.env_file() == {
        "A": "1",
        "B": "two words",
        "C": "three\n3",
        "D": "",
        "E": "a=b#c",
        "F": "-----BEGIN\nab==\n",
        "G": "7",
    }


def test_only_an_env_file_that_is_not_there_is_none(env_file):
    env_file.unlink()

    assert references.env_file() == {}
    assert not env_fault()


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


def test_a_file_that_hangs_is_given_up_and_one_that_comes_late_is_read(tmp_path, monkeypatch):
    """`run` and every command hung at their start, without a word."""
    monkeypatch.setattr(references, "FIRST_WITHIN", 0.1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for _ in range(5):
        with pytest.raises(BadReferenceError, match=rf"{pipe} gives nothing: .* Fill the pipe"):
            resolve(f"file:{pipe}")

    assert sum(t.name == f"read file:{pipe}" for t in threading.enumerate()) == 1
    pipe.write_text("s3cret")
    wait_until(lambda: not any(t.name == f"read file:{pipe}" for t in threading.enumerate()))
    assert resolve(f"file:{pipe}") == "s3cret"


def test_who_comes_while_it_is_read_waits_for_that_too(monkeypatch):
    """They took what had only just begun for a disk that hangs, and an error was told."""
    monkeypatch.setattr(references, "WITHIN", 30.0)
    begun, go, found = threading.Event(), threading.Event(), []

    def read():
        begun.set()
        assert go.wait(30)
        return "now"

    secret = references.LastRead(read, name="file:/secret", first="before")
    two = [threading.Thread(target=lambda: found.append(secret.get())) for _ in range(2)]
    two[0].start()
    assert begun.wait(30)
    two[1].start()
    two[1].join(0.2)  # who does not wait is back by then
    go.set()
    for each in two:
        each.join(30)

    assert found == ["now", "now"]
    assert secret.fault == ""


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
