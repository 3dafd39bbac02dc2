"""No output of any command holds a secret or a traceback, however hard what is set.

The bot's token with a line break at its end was printed whole, in a traceback of `doctor`.
"""

import itertools

import pytest
from psycopg.conninfo import conninfo_to_dict

from bot.sandbox.house import COMPANY, Bot
from storage.secrets import new_key
from tests.support.nursery import latchkey
from tests.support.waiting import wait_until

KEY = new_key()
WELL = {
    "SLACK_API_URL": "http://127.0.0.1:1/",
    "SLACK_BOT_TOKEN": "xoxb-1-bot-zebra",
    "SLACK_APP_TOKEN": "xapp-1-app-zebra",
    "SLACK_SIGNING_SECRET": "signing-zebra",
    "LATCHKEY_KEYS": KEY,
    "LATCHKEY_MANIFESTS": str(COMPANY),
    "LATCHKEY_DATABASE_URL": "sqlite:///latchkey.db",
    "LATCHKEY_SANDBOX_PG": "host=127.0.0.1 port=1 user=x password=target-zebra dbname=y",
}
NOWHERE = "127.0.0.1:1/latchkey"

# What is set, by a name for the case. Each secret has a zebra in it.
HARD = {
    "all is well, but nobody answers": {},
    "a line break at a token's end": {"SLACK_BOT_TOKEN": "xoxb-zebra-zebra\n"},
    "a line break inside a token": {"SLACK_BOT_TOKEN": "xoxb-zebra\r\nX-Evil: zebra"},
    "a token that is not ASCII": {"SLACK_BOT_TOKEN": "xoxb-zebra-ß-“zebra”"},
    "quotes in a token": {"SLACK_APP_TOKEN": "xapp-'zebra\"\\zebra%s{0}"},
    "a percent sign in a token": {"SLACK_BOT_TOKEN": "xoxb-%zebra%20zebra%"},
    "a wrong prefix": {"SLACK_BOT_TOKEN": "xapp-zebra", "SLACK_APP_TOKEN": "xoxb-zebra"},
    "a signing secret with a space": {"SLACK_SIGNING_SECRET": "zebra zebra"},
    "a wrong key": {"LATCHKEY_KEYS": "zebra-zebra-zebra"},
    "a wrong second key": {"LATCHKEY_KEYS": f"{KEY},zebra zebra\nzebra"},
    "a reference that is a secret": {"LATCHKEY_KEYS": "env:zebra/zebra="},
    "another reference that is one": {"SLACK_BOT_TOKEN": "file:xoxb-zebra"},
    "a token in the address": {"SLACK_API_URL": "https://bot:zebra@127.0.0.1:1/"},
    "a token as the port": {"SLACK_API_URL": "https://127.0.0.1:zebra/"},
    "a token in the path": {"SLACK_API_URL": "https://127.0.0.1:1/zebra zebra/"},
    "no database answers": {"LATCHKEY_DATABASE_URL": f"postgresql+psycopg://u:zebra@{NOWHERE}"},
    "the other scheme": {"LATCHKEY_DATABASE_URL": f"postgresql://u:zebra@{NOWHERE}"},
    "a scheme that is none": {"LATCHKEY_DATABASE_URL": f"postgres://u:zebra@{NOWHERE}"},
    "another database": {"LATCHKEY_DATABASE_URL": f"mysql://u:zebra@{NOWHERE}"},
    "an @ in the password": {"LATCHKEY_DATABASE_URL": f"postgresql://u:ze@zebra@{NOWHERE}"},
    "a colon and an @": {"LATCHKEY_DATABASE_URL": f"postgresql://u:ze:b@zebra:zebra@{NOWHERE}"},
    "a slash in the password": {"LATCHKEY_DATABASE_URL": f"postgresql://u:ze/zebra#x@{NOWHERE}"},
    "a quoted password": {"LATCHKEY_DATABASE_URL": f"postgresql://u:ze%40zebra%zz@{NOWHERE}"},
    "no character": {"LATCHKEY_DATABASE_URL": f"postgresql://u:zebra%00x@{NOWHERE}"},
    "a password as an option": {
        "LATCHKEY_DATABASE_URL": f"postgresql://u@{NOWHERE}?password=zebra&port=zebra"
    },
    "an option that is none": {"LATCHKEY_DATABASE_URL": f"postgresql://u:zebra@{NOWHERE}?x=zebra"},
    "no URL at all": {"LATCHKEY_DATABASE_URL": "host=h password=zebra"},
    "a token as the database": {"LATCHKEY_DATABASE_URL": "xoxb-zebra"},
    "an address that nobody reads": {"LATCHKEY_SANDBOX_PG": "zebra"},
    "half an address": {"LATCHKEY_SANDBOX_PG": "host=127.0.0.1 password='zebra port=1"},
    "a URL that nobody reads": {"LATCHKEY_SANDBOX_PG": "postgresql://u:zebra@[::1:1/x"},
    "an @ in the target's": {"LATCHKEY_SANDBOX_PG": f"postgresql://u:ze@zebra@{NOWHERE}"},
    "a password as the port": {"LATCHKEY_SANDBOX_PG": "host=h port=zebra password=zebra"},
    "a password as a mode": {"LATCHKEY_SANDBOX_PG": "host=h sslmode=zebra password=zebra"},
    "a line break in the target's": {"LATCHKEY_SANDBOX_PG": "host=h password='zebra\nzebra\x01'"},
}
COMMANDS = ["requests list", "db upgrade", "people accept", "db restored", "pause grants"]
FAIL_AT_START = [name for name, given in HARD.items() if given.keys() & {"LATCHKEY_KEYS"}] + [
    "an @ in the password",
    "an option that is none",
]
OUT_OF_ORDER = ["an address that nobody reads", "half an address", "a URL that nobody reads"]
LATER = [name for name, given in HARD.items() if not any(n.startswith("SLACK_") for n in given)]
RUNS = [
    *((name, "doctor") for name in HARD),
    *zip(LATER, itertools.cycle(COMMANDS), strict=False),  # what fails after the settings are read
    *((name, "run") for name in FAIL_AT_START),
    ("a wrong key", "settings"),
]


def said_by(command, given, folder):
    return latchkey(*command.split(), cwd=folder, **{**WELL, **given})


def see_that_it_tells_nothing(done, *more):
    said = done.stdout + done.stderr
    unwrapped = "".join(said.split())
    for secret in ("zebra", KEY, *more):
        assert secret not in said
        assert secret not in unwrapped
    assert "Traceback" not in said
    assert said.strip()


@pytest.mark.parametrize(("name", "command"), RUNS)
def test_no_secret_and_no_traceback(tmp_path, name, command):
    see_that_it_tells_nothing(said_by(command, HARD[name], tmp_path))


@pytest.mark.parametrize("name", OUT_OF_ORDER)
def test_a_bot_without_a_system_that_it_has_no_address_of_tells_no_secret(tmp_path, name):
    given = {**WELL, **HARD[name], "LATCHKEY_DATABASE_URL": f"sqlite:///{tmp_path}/latchkey.db"}
    bot = Bot(given, tmp_path / "log")
    bot.start()
    wait_until(lambda: "out of order" in bot.log or not bot.running)
    bot.stop()

    assert "out of order" in bot.log
    assert "zebra" not in bot.log


def test_a_bot_that_waits_for_its_database_tells_no_secret(tmp_path):
    bot = Bot({**WELL, **HARD["no database answers"]}, tmp_path / "log")
    bot.start()
    wait_until(lambda: "Waiting: " in bot.told or not bot.running)
    bot.stop()

    assert "Waiting: The database " in bot.told
    assert "waiting for the database" in bot.log
    assert "zebra" not in bot.log + bot.told


@pytest.mark.parametrize("command", ["doctor", "requests list", "run"])
def test_a_server_that_refuses_the_password_is_told_without_it(tmp_path, cluster, command):
    parts = conninfo_to_dict(cluster.latchkey_dsn("orders"))
    url = "postgresql://{user}:wrong-zebra@{host}:{port}/{dbname}".format(**parts)
    done = said_by(command, {"LATCHKEY_DATABASE_URL": url, "LATCHKEY_SANDBOX_PG": url}, tmp_path)

    see_that_it_tells_nothing(done)
    assert done.returncode == 1
    assert "passwordauthenticationfailed" in "".join((done.stdout + done.stderr).split())
