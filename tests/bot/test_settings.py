"""What is set: by itself or by reference, from places that nobody else can write."""

import os
import threading
from functools import partial
from pathlib import Path

import pytest

from bot import settings
from bot.sandbox.house import COMPANY
from bot.settings import BadSettingsError, Settings
from engine.port import Secret
from storage.secrets import KeyRing, new_key
from tests.support.waiting import wait_until

KEY, OTHER_KEY = new_key(), new_key()
LISTEN = ("LATCHKEY_HTTP", "LATCHKEY_PROBES")
GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-good",
    "SLACK_APP_TOKEN": "xapp-good",
    "SLACK_SIGNING_SECRET": "0123456789abcdef",
    "LATCHKEY_KEYS": KEY,
    "LATCHKEY_MANIFESTS": str(COMPANY),
    "LATCHKEY_DATABASE_URL": "postgresql+psycopg://u:p%40ss@h/db",
}
BY_REFERENCE = sorted(GOOD.keys() - {"LATCHKEY_MANIFESTS"})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Be in a folder of one's own, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(("SLACK_", "LATCHKEY_"))]:
        monkeypatch.delenv(name)


def value(read: Settings, alias: str):
    name = next(n for n, field in Settings.model_fields.items() if field.alias == alias)
    held = getattr(read, name)
    if isinstance(held, settings.Keys):
        return ",".join(one.get_secret_value() for one in held)
    return held.get_secret_value() if hasattr(held, "get_secret_value") else held


@pytest.mark.parametrize("name", BY_REFERENCE)
@pytest.mark.parametrize("around", ["{}", "{}\n", "\n {}\r\n"])
def test_each_secret_may_stand_in_a_file_or_another_variable(tmp_path, monkeypatch, name, around):
    """A secret of the settings could be given as itself only, in the environment of everything."""
    (tmp_path / "secret").write_text(around.format(GOOD[name]))
    monkeypatch.setenv("ANOTHER", around.format(GOOD[name]))

    for reference in (f"file:{tmp_path}/secret", "env:ANOTHER", around.format(GOOD[name])):
        assert value(settings.load(**GOOD | {name: reference}), name) == GOOD[name]


@pytest.mark.parametrize("name", BY_REFERENCE)
@pytest.mark.parametrize("reference", ["file:/not/there", "env:NOT_THERE"])
def test_a_reference_that_leads_nowhere_names_setting_and_place(name, reference):
    with pytest.raises(BadSettingsError) as fault:
        settings.load(**GOOD | {name: reference})

    assert str(fault.value).startswith(f"{name}: ")
    assert reference.partition(":")[2] in str(fault.value)


def test_the_databases_address_is_read_anew_where_it_is_a_reference(tmp_path):
    """A password that was changed needed a restart."""
    file = tmp_path / "address"
    file.write_text("postgresql://u:before@h/db\n")
    read = settings.load(**GOOD | {"LATCHKEY_DATABASE_URL": f"file:{file}"})
    assert read.database_url == read.database_url_now() == "postgresql+psycopg://u:before@h/db"

    file.write_text("postgresql://u:after@h/db\n")
    assert read.database_url_now() == "postgresql+psycopg://u:after@h/db"

    file.write_text("no address")
    assert read.database_url_now() == "postgresql+psycopg://u:after@h/db"
    file.unlink()
    assert read.database_url_now() == "postgresql+psycopg://u:after@h/db"
    assert settings.load(**GOOD).database_url_now() == GOOD["LATCHKEY_DATABASE_URL"]


@pytest.mark.parametrize(
    ("name", "read", "before", "after", "odd"),
    [
        ("SLACK_BOT_TOKEN", "bot_token_now", "xoxb-1", "xoxb-2", "xapp-2"),
        ("SLACK_APP_TOKEN", "app_token_now", "xapp-1", "xapp-2", "xoxb-2"),
        ("SLACK_SIGNING_SECRET", "signing_secret_now", "before", "after", "two words"),
    ],
)
def test_what_slack_gave_is_read_anew_where_it_is_a_reference(
    tmp_path, name, read, before, after, odd
):
    """A token that was changed needed a restart."""
    file = tmp_path / "secret"
    file.write_text(f"{before}\n")
    loaded = settings.load(**GOOD | {name: f"file:{file}"})
    now = getattr(loaded, read)
    assert now() == before
    assert loaded.unread() == {name: ""}

    file.write_text(f"{after}\n")
    assert now() == after

    file.write_text(odd)
    assert now() == after
    assert loaded.unread()[name]
    file.unlink()
    assert now() == after
    assert f"{file} cannot be read: No such file" in loaded.unread()[name]
    file.write_text(before)
    assert now() == before
    assert loaded.unread() == {name: ""}


def test_a_file_that_hangs_holds_nobody_up_for_long(tmp_path, monkeypatch):
    """All connections to the database waited for it without end, and no access ended."""
    monkeypatch.setattr("bot.runtime.references.WITHIN", 0.2)
    file = tmp_path / "secret"
    file.write_text("xoxb-1")
    now = settings.load(**GOOD | {"SLACK_BOT_TOKEN": f"file:{file}"}).bot_token_now
    file.write_text("xoxb-2")
    assert now() == "xoxb-2"
    file.unlink()
    os.mkfifo(file)  # as a file of a network disk whose server is away

    for _ in range(5):
        assert now() == "xoxb-2"

    assert sum(t.name == f"file:{file}" for t in threading.enumerate()) == 1
    with file.open("w") as pipe:  # it answers again
        pipe.write("xoxb-3")
    wait_until(lambda: now() == "xoxb-3")


SLACKS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """A secret that nobody gives."""
    monkeypatch.setattr("bot.runtime.references.FIRST_WITHIN", 0.1)
    for name, given in GOOD.items():
        monkeypatch.setenv(name, given)
    os.mkfifo(tmp_path / "secret")
    return f"file:{tmp_path}/secret"


@pytest.mark.parametrize("name", [*SLACKS, "LATCHKEY_OWNER_URL"])
def test_what_the_duty_does_not_need_may_hang(hanging, monkeypatch, name):
    """`run` hung at its start without a word, and no access ended."""
    monkeypatch.setenv(name, hanging)

    given, faults = settings.load_sound(http=name == "SLACK_SIGNING_SECRET")

    assert given.database_url == GOOD["LATCHKEY_DATABASE_URL"]
    assert faults[name].startswith(f"{name}: {hanging.removeprefix('file:')} gives nothing")


@pytest.mark.parametrize("name", ["LATCHKEY_DATABASE_URL", "LATCHKEY_KEYS"])
def test_what_a_command_needs_and_hangs_is_said(hanging, monkeypatch, name):
    """`requests list` and `revoke` hung for ever."""
    monkeypatch.setenv(name, hanging)

    with pytest.raises(BadSettingsError, match=f"{name}: .* gives nothing"):
        settings.load_keys()


def test_keys_may_stand_in_several_places(tmp_path):
    (tmp_path / "keys").write_text(f"{OTHER_KEY}\n{new_key()},\n")

    read = settings.load(**GOOD | {"LATCHKEY_KEYS": f"{KEY}, file:{tmp_path}/keys"})

    assert [key.get_secret_value() for key in read.keys][:2] == [KEY, OTHER_KEY]
    assert len(read.keys) == 3


@pytest.mark.parametrize("bad", ["no-key", "file:/not/there", "env:NOT_THERE", "QUJD"])
def test_a_key_that_cannot_be_used_is_named_and_the_others_are(monkeypatch, bad):
    """One wrong key among several kept `run` from starting, and no access ended."""
    for name, value in (GOOD | {"LATCHKEY_KEYS": f"{KEY},{bad},{OTHER_KEY}"}).items():
        monkeypatch.setenv(name, value)

    given, faults = settings.load_sound(http=False)

    assert [key.get_secret_value() for key in given.keys] == [KEY, OTHER_KEY]
    assert faults.keys() == {"LATCHKEY_KEYS"}
    assert "LATCHKEY_KEYS: key 2 cannot be used: " in faults["LATCHKEY_KEYS"]
    assert "no-key" not in faults["LATCHKEY_KEYS"]
    assert ".." not in faults["LATCHKEY_KEYS"]
    old = KeyRing([OTHER_KEY], "latchkey").seal(Secret("x"), "row")
    assert given.key_ring.open(old, "row")


@pytest.mark.parametrize("bad", ["no-key", "file:/not/there", "env:NOT_THERE", "QUJD"])
def test_the_key_to_encrypt_with_is_never_another_than_was_meant(monkeypatch, bad):
    for name, value in (GOOD | {"LATCHKEY_KEYS": f"{bad},{KEY}"}).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(BadSettingsError, match="LATCHKEY_KEYS: the first key: "):
        settings.load_sound(http=False)


def test_the_keys_are_of_this_installation():
    rings = [settings.load(**GOOD | {"LATCHKEY_INSTALLATION": i}).key_ring for i in ("a", "b")]

    assert rings[1].open(rings[0].seal(Secret("x"), "row"), "row") is None


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:9", ("::1", 9)),
        (":80", ("0.0.0.0", 80)),  # noqa: S104  (asked for, by leaving it out)
    ],
)
def test_where_to_listen_is_a_host_and_a_port(given, address):
    read = settings.load(**GOOD | dict.fromkeys(LISTEN, given))

    assert (read.listen, read.listen_for_probes) == (address, address)


@pytest.mark.parametrize("name", LISTEN)
@pytest.mark.parametrize("given", ["8080", "localhost", "localhost:", "localhost:x", "::1:65536"])
def test_an_address_without_a_port_is_a_fault(name, given):
    with pytest.raises(BadSettingsError, match=f"{name}: give host:port"):
        settings.load(**GOOD | {name: given})


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_what_is_empty_is_not_set(monkeypatch, blank):
    """An empty signing secret was one: whoever signed with nothing was Slack."""
    for name, given in GOOD.items():
        monkeypatch.setenv(name, given)
    for name in ("SLACK_SIGNING_SECRET", "LATCHKEY_DATABASE_URL", *LISTEN):
        monkeypatch.setenv(name, blank)

    read = settings.load()

    assert read.slack_signing_secret is None
    assert (read.listen, read.listen_for_probes) == (None, None)
    assert read.database_url == "sqlite:///latchkey.db"
    with pytest.raises(BadSettingsError, match="SLACK_BOT_TOKEN is missing"):
        settings.load(**GOOD | {"SLACK_BOT_TOKEN": blank})


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"])
@pytest.mark.parametrize("sign", [" ", "\n", "\r\n", "\t", "\0", "\x7f", "ä", "\u2028", "“"])
def test_a_token_is_one_word(name, sign):
    """With a line break in it the HTTP library printed it whole, in a traceback."""
    with pytest.raises(BadSettingsError) as fault:
        settings.load(**GOOD | {name: f"{GOOD[name]}{sign}tail"})

    assert str(fault.value).startswith(f"{name}: there is ")
    assert GOOD[name] not in str(fault.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/api/",
        "http://127.99.1.2/api/",
        "http://[::1]:8000/api/",
        "http://localhost/api/",
        "https://slack.example/api/",
    ],
)
def test_slack_may_be_reached_in_clear_on_this_machine_only(url):
    assert settings.load(**GOOD | {"SLACK_API_URL": url}).slack_api_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://slack.com/api/",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "http://evil.example#@localhost/",
        "http://evil.example\\@localhost/",
        "http://localhost\\.evil.example/",
        "http://127.0.0.1%2eevil.example/",
        "http://0x7f000001/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::1].evil.example/",
        "http:127.0.0.1/",
        "http:///api/",
        "http://ⓛocalhost/",
        "https://user:s3cret@slack.com/api/",
        "https://slack.com:s3cret/",
        "ftp://127.0.0.1/",
    ],
)
def test_no_token_goes_over_the_line_in_clear(url):
    """Any http: address was taken, and what begins with 127.0.0.1 can be anybody's."""
    with pytest.raises(BadSettingsError) as fault:
        settings.load(**GOOD | {"SLACK_API_URL": url})

    assert str(fault.value).startswith("SLACK_API_URL: ")
    assert "s3cret" not in str(fault.value)


# --- .env ----------------------------------------------------------------------------------------


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    for name, given in GOOD.items():
        monkeypatch.setenv(name, given)
    tmp_path.chmod(0o755)
    made = tmp_path / ".env"
    made.write_text("LATCHKEY_INSTALLATION=from-the-file\n")
    made.chmod(0o644)
    return made


def test_a_file_that_only_we_write_is_read(env_file, tmp_path):
    assert settings.load().installation == "from-the-file"
    env_file.rename(tmp_path / "kept")
    env_file.symlink_to(tmp_path / "kept")
    assert settings.load().installation == "from-the-file"


def open_folder(file, _):
    file.parent.chmod(0o777)


def sticky_folder(file, _):
    file.parent.chmod(0o1777)


def group_folder(file, _):
    file.parent.chmod(0o775)


def open_file(file, _):
    file.chmod(0o666)


def group_file(file, _):
    file.chmod(0o664)


def anothers_file(file, give_away):
    give_away(file)


def a_pipe_in_an_open_folder(file, _):
    file.unlink()
    os.mkfifo(file, 0o644)
    file.parent.chmod(0o777)


def link_to_an_open_folder(file, _):
    there = file.parent / "there"
    there.mkdir()
    there.chmod(0o777)
    file.rename(there / "file")
    file.symlink_to(there / "file")


def anothers_link(file, give_away):
    file.rename(file.parent / "kept")
    file.symlink_to(file.parent / "kept")
    give_away(file)


@pytest.mark.parametrize(
    "opens",
    [
        open_folder,
        sticky_folder,
        group_folder,
        open_file,
        group_file,
        anothers_file,
        a_pipe_in_an_open_folder,
        link_to_an_open_folder,
        anothers_link,
    ],
)
def test_a_file_that_others_can_write_is_not_read(env_file, give_away, opens):
    """Whoever could write it said where the tokens go, by SLACK_API_URL."""
    opens(env_file, give_away)

    with pytest.raises(BadSettingsError, match=r"^\.env is not read\. .*(chmod|belongs|remove)"):
        settings.load()


@pytest.fixture
def unreadable(env_file):
    env_file.write_bytes(b"LATCHKEY_INSTALLATION=from-the-file\n# caf\xe9\n")


@pytest.mark.usefixtures("unreadable")
def test_what_stands_in_the_environment_is_enough_where_the_env_file_cannot_be_read():
    """`run` and `revoke` gave up, whatever the file was there for."""
    sound, faults = settings.load_sound(http=False)

    assert sound.installation == "latchkey"
    assert faults == {".env": ".env is not UTF-8: save it as UTF-8."}
    assert settings.load_store().database_url == GOOD["LATCHKEY_DATABASE_URL"]
    assert settings.load_keys().key_ring


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize(
    "load", [settings.load_store, settings.load_keys, partial(settings.load_sound, http=False)]
)
def test_no_other_database_is_taken_for_the_one_that_the_env_file_may_name(monkeypatch, load):
    monkeypatch.delenv("LATCHKEY_DATABASE_URL")

    with pytest.raises(BadSettingsError, match=r"\.env is not UTF-8[^\n]*\nLATCHKEY_DATABASE_URL"):
        load()


def an_open_quote(file):
    file.write_text('LATCHKEY_DATABASE_URL="sqlite:///real.db\n')


def a_colon(file):
    file.write_text("LATCHKEY_DATABASE_URL: sqlite:///real.db\n")


def a_link_to_nothing(file):
    file.unlink()
    file.symlink_to("away")


def a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [an_open_quote, a_colon, a_link_to_nothing, a_folder])
@pytest.mark.parametrize(
    "load",
    [settings.load_store, partial(settings.load_sound, http=False), settings.load_to_examine],
)
def test_an_address_that_the_env_file_was_to_give_is_no_new_database(
    env_file, monkeypatch, spoil, load
):
    """`run` began on an empty one and `doctor` was green; access on the real one was overdue."""
    monkeypatch.delenv("LATCHKEY_DATABASE_URL")
    spoil(env_file)

    with pytest.raises(BadSettingsError, match=r"^\.env(:| is) [\s\S]*LATCHKEY_DATABASE_URL is"):
        load()


def test_a_line_that_nothing_hangs_on_keeps_nobody_from_starting(env_file, monkeypatch):
    monkeypatch.delenv("LATCHKEY_DATABASE_URL")
    env_file.write_text("LATCHKEY_DATABASE_URL=sqlite:///real.db\nsomething else\n")

    sound, faults = settings.load_sound(http=False)

    assert sound.database_url == "sqlite:///real.db"
    assert faults.keys() == {".env"}
    assert "line 2" in faults[".env"]


@pytest.mark.usefixtures("unreadable")
def test_no_other_folder_is_applied_and_no_other_role_owns_the_schema(monkeypatch):
    monkeypatch.delenv("LATCHKEY_MANIFESTS")

    with pytest.raises(BadSettingsError, match="LATCHKEY_MANIFESTS is missing, which may stand"):
        settings.load_manifests()
    with pytest.raises(BadSettingsError, match="LATCHKEY_OWNER_URL is missing, which may stand"):
        settings.load_owner()


@pytest.mark.usefixtures("unreadable")
def test_no_other_folder_is_taken_is_taken_for_the_one_that_the_env_file_may_name(monkeypatch):
    monkeypatch.delenv("LATCHKEY_MANIFESTS", raising=False)
    sound, _ = settings.load_sound(http=False)
    assert sound.manifests == Path(os.devnull)

    monkeypatch.setenv("LATCHKEY_MANIFESTS", "company")
    sound, _ = settings.load_sound(http=False)
    assert sound.manifests == Path("company")


def test_no_emergency_command_needs_slacks_address(monkeypatch):
    """A tab in it kept `revoke` from working."""
    for name, value in {**GOOD, "SLACK_API_URL": "https://sl\tack.example/"}.items():
        monkeypatch.setenv(name, value)
    assert settings.load_store().database_url == GOOD["LATCHKEY_DATABASE_URL"]
    assert settings.load_keys().key_ring
    with pytest.raises(BadSettingsError, match="SLACK_API_URL"):
        settings.load()


def test_no_emergency_command_needs_what_serves_the_sandbox_or_the_lint(monkeypatch):
    """A clock left over from a sandbox, or a query without its quotes, kept `revoke` from working,
    and `run` from ending anything.
    """
    wrong = {"LATCHKEY_CLOCK_FILE": "clock", "LATCHKEY_PROD": "resource_tag[env] = prod"}
    for name, value in {**GOOD, **wrong}.items():
        monkeypatch.setenv(name, value)

    for load in (settings.load_store, settings.load_keys, settings.load_manifests):
        assert load().clock_file is None
    whole, faults = settings.load_sound(http=False)

    assert whole.key_ring
    assert whole.clock_file is None
    assert faults.keys() == wrong.keys()
    with pytest.raises(BadSettingsError, match="LATCHKEY_PROD"):
        settings.load_lint()


@pytest.mark.parametrize("name", ["LATCHKEY_KEYS", "LATCHKEY_DATABASE_URL"])
def test_a_clock_of_the_sandbox_hides_nothing_that_an_emergency_command_lacks(monkeypatch, name):
    """`revoke` without its keys named that clock alone, of which it needs nothing: whoever took it
    away was told of the keys only then, and meanwhile all was recorded without one.
    """
    for known, value in {**GOOD, name: "x", "LATCHKEY_CLOCK_FILE": "clock"}.items():
        monkeypatch.setenv(known, value)

    with pytest.raises(BadSettingsError) as refused:
        settings.load_keys()

    assert name in str(refused.value)
    assert "LATCHKEY_CLOCK_FILE" not in str(refused.value)


def test_a_setting_may_refer_to_what_stands_in_the_env_file(env_file, monkeypatch):
    env_file.write_text("A_TOKEN=xoxb-from-the-file\n")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "env:A_TOKEN")

    assert settings.load().slack_bot_token.get_secret_value() == "xoxb-from-the-file"


def test_what_looks_like_a_setting_and_is_none_is_named(env_file, monkeypatch):
    env_file.write_text("LATCHKEY_INSTALATION=typo\nlatchkey_http=127.0.0.1:1\n")
    monkeypatch.setenv("LATCHKEY_MANIFEST", "x")
    monkeypatch.setenv("LATCHKEY_A_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "env:LATCHKEY_A_TOKEN")
    monkeypatch.setenv("LATCHKEY_ORDERS", "dsn")
    monkeypatch.setenv("LATCHKEY_PORT_8080_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("LATCHKEY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LATCHKEY_SERVICE_PORT", "8080")

    assert settings.unknown(["env:LATCHKEY_ORDERS"]) == [
        "LATCHKEY_INSTALATION is not a setting. Did you mean `LATCHKEY_INSTALLATION`?",
        "LATCHKEY_MANIFEST is not a setting. Did you mean `LATCHKEY_MANIFESTS`?",
    ]


def test_a_folder_of_manifests_that_is_not_there_is_no_fault_of_the_settings(tmp_path):
    """It kept the process from starting that has to end access."""
    assert settings.load(**GOOD | {"LATCHKEY_MANIFESTS": f"{tmp_path}/away"}).manifests


def test_a_folder_for_all_without_a_file_is_no_fault(env_file):
    env_file.unlink()
    env_file.parent.chmod(0o777)
    assert settings.load().installation == "latchkey"


def test_the_clock_is_no_file_that_others_can_write(tmp_path):
    """Who moves Latchkey's clock ends every access, or none."""
    shared = tmp_path / "shared"
    shared.mkdir()
    given = GOOD | {"SLACK_API_URL": "http://127.0.0.1/"}
    assert settings.load(**given | {"LATCHKEY_CLOCK_FILE": str(shared / "clock")}).clock_file
    shared.chmod(0o777)
    with pytest.raises(BadSettingsError, match="LATCHKEY_CLOCK_FILE: Others can write"):
        settings.load(**given | {"LATCHKEY_CLOCK_FILE": str(shared / "clock")})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SLACK_BOT_TOKEN", "file:/not/there"),
        ("SLACK_BOT_TOKEN", ""),
        ("SLACK_API_URL", "http://elsewhere.example/"),
        ("SLACK_APP_TOKEN", "env:NOT_THERE"),
        ("LATCHKEY_DISCOVER_MINUTES", "6O"),
        ("LATCHKEY_HTTP", "8080"),
        ("LATCHKEY_MANIFESTS", "a\nb"),
        ("LATCHKEY_OWNER_URL", "file:/not/there"),
    ],
)
def test_what_is_wrong_is_left_out_and_the_rest_is_read(monkeypatch, name, text):
    """One setting that the duty to end access does not need stopped `run`."""
    for variable, given in (GOOD | {name: text}).items():
        monkeypatch.setenv(variable, given)

    sound, wrong = settings.load_sound(http=False)

    assert list(wrong) == [name]
    assert wrong[name].startswith(name)
    assert sound.database_url == GOOD["LATCHKEY_DATABASE_URL"]
    assert value(sound, "LATCHKEY_KEYS") == KEY
    # Nothing is sent to another Slack, or with half of its tokens.
    silent = name in {"SLACK_BOT_TOKEN", "SLACK_API_URL"}
    assert bool(sound.slack_bot_token.get_secret_value()) is not silent
    assert (sound.slack_app_token is None) is (silent or name == "SLACK_APP_TOKEN")
    assert sound.manifests.is_dir() is (name != "LATCHKEY_MANIFESTS")


def unset(monkeypatch, *names: str, **others: str) -> None:
    for name, given in {**GOOD, **others}.items():
        monkeypatch.setenv(name, given)
    for name in names:
        monkeypatch.delenv(name)


def test_both_tokens_that_are_missing_are_named(monkeypatch):
    """On a new database only the first was, though all is to be named at once."""
    unset(monkeypatch, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")

    assert settings.load_sound(http=False)[1].keys() == {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    assert settings.load_sound(http=True)[1].keys() == {"SLACK_BOT_TOKEN", "LATCHKEY_HTTP"}


@pytest.mark.parametrize("name", ["LATCHKEY_KEYS", "LATCHKEY_DATABASE_URL"])
def test_what_is_missing_to_run_is_named_beside_what_nothing_goes_without(monkeypatch, name):
    unset(monkeypatch, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", **{name: "file:/not/there"})

    with pytest.raises(BadSettingsError) as raised:
        settings.load_sound(http=False)

    said = [line.partition(" ")[0].rstrip(":") for line in str(raised.value).splitlines()]
    assert sorted(said) == sorted([name, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])


def test_where_events_come_by_http_no_other_token_is_missed_beside_a_wrong_one(monkeypatch):
    unset(
        monkeypatch,
        "SLACK_APP_TOKEN",
        SLACK_BOT_TOKEN="xapp-1",
        SLACK_SIGNING_SECRET="secret",
        LATCHKEY_HTTP=":80",
    )

    assert settings.load_to_examine()[1].keys() == {"SLACK_BOT_TOKEN"}


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("xapp-1", "this is an app-level token, which is for SLACK_APP_TOKEN; it has to"),
        ("xoxp-1", "this is a user's token, which Latchkey has no use for; it has to"),
        ("secret", "SLACK_BOT_TOKEN: it has to"),
    ],
)
def test_a_token_of_another_kind_is_called_so(monkeypatch, token, kind):
    unset(monkeypatch, SLACK_BOT_TOKEN=token)

    assert kind in settings.load_sound(http=False)[1]["SLACK_BOT_TOKEN"]


@pytest.mark.parametrize("name", ["LATCHKEY_KEYS", "LATCHKEY_DATABASE_URL"])
def test_nothing_goes_without_the_database_and_the_keys(monkeypatch, name):
    for variable, given in (GOOD | {name: "file:/not/there"}).items():
        monkeypatch.setenv(variable, given)

    with pytest.raises(BadSettingsError) as raised:
        settings.load_sound(http=False)

    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        ({"LATCHKEY_HTTP_PORT": "8080"}, ["LATCHKEY_HTTP_PORT"]),
        ({"LATCHKEY_METRICS_PORT": "9090"}, ["LATCHKEY_METRICS_PORT"]),
        ({"LATCHKEY_SERVICE_PORT": "9090"}, ["LATCHKEY_SERVICE_PORT"]),
        ({"LATCHKEY_PORT": "tcp://10.0.0.1:8080"}, []),
        ({"LATCHKEY_X_SERVICE_HOST": "10.0.0.1", "LATCHKEY_X_SERVICE_PORT": "80"}, []),
    ],
)
def test_a_name_that_only_looks_like_one_of_kubernetes_is_named(monkeypatch, given, unknown):
    """Whatever ended with _PORT was taken for a service's, and a mistyped setting was not told."""
    for name, text in given.items():
        monkeypatch.setenv(name, text)

    assert [said.partition(" ")[0] for said in settings.unknown()] == unknown


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_what_is_blank_in_the_environment_does_not_hide_what_stands_in_the_file(
    tmp_path, monkeypatch, blank
):
    (tmp_path / ".env").write_text("LATCHKEY_INSTALLATION=second\n")
    (tmp_path / ".env").chmod(0o600)
    monkeypatch.setenv("LATCHKEY_INSTALLATION", blank)

    assert settings.load_systems().installation == "second"
