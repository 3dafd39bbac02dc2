"""The command line: what an operator has when Slack is down, and what is checked at start."""

import os
import pty
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import select
from sqlmodel import col

import manifests
from bot.operations import revoking
from bot.sandbox.house import COMPANY, MANIFESTS
from engine.inventory import IntegrationId
from engine.request import State, id_of
from storage import alarms, claims, sync
from storage.database import Database
from storage.secrets import KeyRing, new_key
from storage.tables import AuditRow, InstanceRow
from tests.support.nursery import latchkey
from tests.support.story import CUSTOMERS, ORDERS, STOCK


@pytest.fixture
def told(houses):
    """One house: the command line does not know which way Slack comes in."""
    house = houses("socket")
    yield house
    house.clear()


def test_every_fault_of_the_settings_is_named_at_once(tmp_path):
    done = latchkey(
        "run",
        cwd=tmp_path,
        SLACK_APP_TOKEN="xoxb-wrong",
        LATCHKEY_DATABASE_URL="mysql://x",
        LATCHKEY_DISCOVER_MINUTES="0",
    )
    assert done.returncode == 1
    for name in (
        "SLACK_BOT_TOKEN is missing",
        "LATCHKEY_KEYS is missing",
        "SLACK_APP_TOKEN: this is a bot's token, which is for SLACK_BOT_TOKEN; it has to",
        "LATCHKEY_DATABASE_URL",
        "LATCHKEY_DISCOVER_MINUTES",
    ):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite://", "a database in memory is gone with the process"),
        ("sqlite:///:memory:", "a database in memory is gone with the process"),
        ("postgresql+psycopg://x:p@Ss/w#Rd@127.0.0.1/db", "written as %40"),
        ("postgresql+psycopg://x:p@Ss?w#Rd@127.0.0.1/db", "written as %40"),
        ("postgresql+psycopg://x:p@SsRd@127.0.0.1/db", "written as %40"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_and_nothing_of_it_told(tmp_path, address, said):
    """A part of the password was taken for the server's name, and printed; memory was a fault."""
    done = latchkey("requests", "list", cwd=tmp_path, LATCHKEY_DATABASE_URL=address)

    assert done.returncode == 1
    assert said in done.stderr
    for part in ("Traceback", "Ss", "Rd"):
        assert part not in done.stdout + done.stderr


def test_who_has_set_nothing_is_told_all_that_is_needed(tmp_path):
    """The app token was named only when nothing else was missing, the folder not by its setting."""
    done = latchkey("run", cwd=tmp_path)
    assert done.returncode == 1
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "LATCHKEY_KEYS"):
        assert name in done.stderr
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "LATCHKEY_KEYS": new_key()}
    done = latchkey("run", cwd=tmp_path, **tokens)
    assert done.returncode == 1
    assert "LATCHKEY_MANIFESTS" in done.stderr


def test_a_setting_that_cannot_be_used_stops_where_nobody_is_known(tmp_path):
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "LATCHKEY_KEYS": new_key()}
    done = latchkey("run", cwd=tmp_path, **tokens, LATCHKEY_DISCOVER_MINUTES="6O")
    assert done.returncode == 1
    assert done.stderr.startswith("These settings cannot be used:\nLATCHKEY_DISCOVER_MINUTES: ")
    assert not list(tmp_path.iterdir())


def test_the_sandboxs_clock_is_refused_beside_the_real_slack(tmp_path):
    done = latchkey(
        "run",
        cwd=tmp_path,
        SLACK_BOT_TOKEN="xoxb-1",
        SLACK_APP_TOKEN="xapp-1",
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
        LATCHKEY_CLOCK_FILE="clock",
    )
    assert done.returncode == 1
    assert "LATCHKEY_CLOCK_FILE" in done.stderr


def test_a_missing_secret_is_named_by_the_doctor(told, tmp_path):
    env = {k: v for k, v in told.house.bot.settings.items() if k != "LATCHKEY_SANDBOX_PG"}
    database = f"sqlite:///{tmp_path}/other.db"
    done = latchkey("doctor", **{**env, "LATCHKEY_DATABASE_URL": database})
    assert done.returncode == 1
    assert "LATCHKEY_SANDBOX_PG" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_variable_that_is_no_setting_is_named_with_the_nearest_one(told):
    """Misspelt, it was passed over, and the default was taken."""
    theirs = {
        "LATCHKEY_SERVICE_HOST": "10.0.0.1",
        "LATCHKEY_SERVICE_PORT_HTTP": "8080",
        "LATCHKEY_PORT": "tcp://10.0.0.1:8080",
        "LATCHKEY_PORT_8080_TCP_ADDR": "10.0.0.1",
        "LATCHKEY_STANDBY_SERVICE_HOST": "10.0.0.2",
    }

    done = latchkey(
        "doctor", **told.house.bot.settings, **theirs, LATCHKEY_MANIFEST="x", COLUMNS="300"
    )

    assert done.returncode == 0
    said = "LATCHKEY_MANIFEST is not a setting. Did you mean `LATCHKEY_MANIFESTS`?"
    assert f"warning: {said}" in done.stdout
    assert "is not a setting" not in done.stdout.replace(said, "")


def test_bad_manifests_are_named_by_file_and_line(told, tmp_path):
    (tmp_path / "people.yaml").write_text("source: file\npeople:\n  - id: 7\n    nam: x\n")
    env = {**told.house.bot.settings, "LATCHKEY_MANIFESTS": str(tmp_path)}
    env["LATCHKEY_DATABASE_URL"] = f"sqlite:///{tmp_path}/other.db"
    done = latchkey("run", **env)
    assert done.returncode == 1
    assert "people.yaml:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_bot_on_the_same_sqlite_file_is_refused(told):
    done = latchkey("run", **told.house.bot.settings)
    assert done.returncode == 1
    assert "Another Latchkey works on this SQLite file: `latchkey run`, process " in done.stderr


@pytest.mark.parametrize("setting", ["LATCHKEY_HTTP", "LATCHKEY_PROBES"])
@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no..host"])
def test_an_address_that_cannot_be_had_is_named_with_a_cure(told, tmp_path, setting, host):
    """A port in use for one address was blamed on the setting of the other."""
    port = told.house.url.rpartition(":")[2]
    given = {
        **told.house.bot.settings,
        "LATCHKEY_DATABASE_URL": f"sqlite:///{tmp_path}/new.db",
        setting: f"{host}:{port}",
    }
    done = latchkey("run", **given)
    assert done.returncode == 1
    assert f"{setting}: nothing can listen on {host}:{port}: " in " ".join(done.stderr.split())
    assert "Stop what listens there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_key_is_one():
    KeyRing([latchkey("key").stdout.strip()])


def test_the_doctor_finds_everything_well(told):
    done = told.house.bot.run("doctor")
    assert done.returncode == 0, done.stdout
    for what in ("bot token", "scopes", "app token", "database", "manifests", "Production"):
        assert what in done.stdout


@pytest.mark.parametrize("command", [("doctor",), ("settings",), ("integrations", "list")])
def test_what_a_program_reads_is_not_filled_up(told, command):
    """One long line had all others filled up to its width, hundreds of spaces in a ticket."""
    lines = told.house.bot.run(*command).stdout.splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_doctor_says_that_nobody_can_be_told(told):
    """With every administrator gone or a guest, alarms were lost, and all was ✓."""
    desk = told.desk
    with desk.database.read() as session:
        admins = desk.companies.current(session).admins
    assert "can be told in Slack" in told.house.bot.run("doctor").stdout

    def named(people):
        with desk.database.write() as tx:
            sync.administrators(tx, people, desk.clock.now())

    named([])
    try:
        done = told.house.bot.run("doctor")
    finally:
        named(admins)

    assert done.returncode == 1
    assert "nobody administers" in done.stdout


def test_the_doctor_says_whom_slack_takes_no_message_for_and_what_it_does_not_take(told):
    """Both were lines of a log that nobody may have read."""
    desk, refused = told.desk, "Slack does not take what Latchkey sent"
    with desk.database.read() as session:
        company = desk.companies.current(session)
    (ravi,) = company.directory.by_email("ravi@harbourpine.example")
    now = datetime.now(UTC)  # the doctor's clock is not moved

    def heard(why):
        with desk.database.write() as tx:
            sync.reach(tx, {ravi.id: (ravi.account, why)}, now)

    heard("cannot_dm_bot")
    with desk.database.write() as tx:
        sync.tell_admins(tx, f"refused/chat.postMessage/no_text/{now:%Y-%m-%d}", refused, now)
    try:
        done = told.house.bot.run("doctor")
    finally:
        heard("")
        with desk.database.write() as tx:
            alarms.take_back(tx, "refused", company.admins, now)

    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert f"Slack takes no message for {ravi.name} ({ravi.email}), cannot_dm_bot" in said
    assert refused in said
    assert told.house.bot.run("doctor").returncode == 0


def test_the_doctor_and_the_start_say_whom_nobody_can_reach(told):
    """Ida and Paul have no Slack account: who asked them waited in silence."""
    said = (
        "37 of 39 people have Slack accounts; missing: Ida Lundgrensson (ida@harbourpine.example) "
        "and Paul Adeyemisi (paul@harbourpine.example)"
    )

    assert said in told.house.bot.run("doctor").stdout
    told.until(lambda: said in told.house.bot.log, "the start says so")


def test_the_doctor_says_which_targets_match_nothing(told):
    """A slip in a name was no fault: nobody was ever offered what was meant."""
    named = "Look at the warehouse"
    with told.desk.database.read() as session:
        known = told.desk.companies.current(session).flows.values()
    (target,) = next(f for f in known if f.name == named).revision.targets
    slips = (
        replace(target, names=target.names | {"orders/warehouse/stocks"}),
        replace(target, permissions=frozenset({"rwad"})),
    )

    with told.flow(named, targets=slips):
        done = told.house.bot.run("doctor")

    assert done.returncode == 1
    for slip in ("resource to read orders/warehouse/stocks", "resource to rwad"):
        assert f"“{named}”: orders-db: there is no {slip}" in done.stdout


def test_the_doctor_opens_no_link(told):
    """It opened one at each look: Slack allows few, and the bot's own had to wait."""
    mark = told.house.sandbox.mark()

    assert "Latchkey's; no link was opened" in told.house.bot.run("doctor").stdout

    methods = [entry.get("method") for entry in told.house.sandbox.journal(mark)]
    assert "auth.test" in methods
    assert "apps.connections.open" not in methods


def _counted(told):
    with told.desk.database.read() as session:
        return claims.sockets(session).age is not None


def test_the_doctor_says_that_others_take_clicks(told):
    """It can open no link to count by itself: it says what a running process was told."""
    told.until(lambda: _counted(told), "Slack's count is kept", timeout=60)
    assert "open. Slack said so " in told.house.bot.run("doctor").stdout

    def strangers(number, age):
        with told.desk.database.write() as tx:
            (id_,) = tx.execute(select(col(InstanceRow.id))).scalars()
            claims.tell_strangers(tx, id_, number, age)

    try:
        strangers(3, age=5)
        done = told.house.bot.run("doctor")
        strangers(0, age=3600)
        old = told.house.bot.run("doctor")
    finally:
        strangers(0, age=0)

    assert done.returncode == old.returncode == 1
    assert "3 more sockets of this app than its living replicas open" in done.stdout
    assert "not known any more: what Slack said last is 36" in old.stdout


def test_a_wrong_app_token_is_found_all_the_same(told):
    done = latchkey("doctor", **{**told.house.bot.settings, "SLACK_APP_TOKEN": "xapp-0"})

    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "refuses SLACK_APP_TOKEN: invalid_auth" in said


def test_the_doctor_is_green_on_a_fresh_install_and_makes_nothing(told, tmp_path):
    """A database that `run` makes was called a fault; and an empty file was left behind."""
    tmp_path.chmod(0o700)
    fresh = {"LATCHKEY_DATABASE_URL": f"sqlite:///{tmp_path}/new.db", "COLUMNS": "300"}

    done = latchkey("doctor", **{**told.house.bot.settings, **fresh})

    assert done.returncode == 0, done.stdout
    assert "no schema yet: `latchkey run` makes it" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["/proc", "/proc/sys/kernel"])
def test_the_doctor_tries_whether_the_database_can_be_made(told, folder):
    """Root may write in /proc by its modes, and no file can be made there: the doctor was green.

    And `run` said to make the folder.
    """
    there = {"LATCHKEY_DATABASE_URL": f"sqlite:///{folder}/new.db", "COLUMNS": "300"}

    done = latchkey("doctor", **{**told.house.bot.settings, **there})

    assert done.returncode == 1
    assert f"No file can be made in {folder}" in done.stdout
    begun = latchkey("run", **{**told.house.bot.settings, **there})
    assert begun.returncode == 1
    assert f"No file can be made in {folder}" in begun.stderr


def test_the_start_is_said_in_one_line(told):
    flows = sum(flow.active for flow in manifests.load(COMPANY).flows)
    line = (
        f"Latchkey {metadata.version('latchkey')} in Harbour & Pine. 39 people, {flows} flows, "
        "2 integrations (The cloud and Production PostgreSQL)."
    )
    told.until(lambda: line in told.house.bot.told.splitlines(), line)
    assert latchkey("--version").stdout == f"latchkey {metadata.version('latchkey')}\n"


@pytest.mark.parametrize(
    "command", [["requests", "list"], ["revoke", "--all"], ["pause", "grants"]]
)
def test_a_database_without_latchkey_is_named(tmp_path, command):
    """It said “no such table”; where there was no file, it made one."""
    tmp_path.chmod(0o700)
    file = tmp_path / "wrong.db"

    for _ in ("no file", "no schema"):
        done = latchkey(*command, LATCHKEY_DATABASE_URL=f"sqlite:///{file}")

        assert done.returncode == 1
        said = " ".join(done.stderr.split())
        assert f"There is no Latchkey in this database: {file}." in said
        assert "LATCHKEY_DATABASE_URL" in said
        assert "Traceback" not in said
        if not file.exists():
            Database(f"sqlite:///{file}").close()


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_all_is_revoked_when_the_operator_says_so(told, answer, status):
    """Twelve people lost their access by a slip of the finger."""
    code = told.active(told.person("marta"), told.person("priya")).code
    refused = told.house.bot.run("revoke", "--all")
    asked = "This revokes 1 request of 1 person on 1 system."
    assert refused.returncode == 1
    assert asked in refused.stderr
    assert "--yes" in refused.stderr
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())

    done = subprocess.run(
        [sys.executable, "-m", "bot", "revoke", "--all"],
        env={**os.environ, **told.house.bot.settings, "PYTHONPATH": str(MANIFESTS.parent)},
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"{asked} Go on? [y/N]" in done.stdout
    assert done.returncode == status
    assert told.request(code).state is (State.ACTIVE if status else State.REVOKED)
    os.close(ours)
    os.close(theirs)


def test_the_doctor_says_what_is_wrong(told):
    wrong = {**told.house.bot.settings, "SLACK_BOT_TOKEN": "xoxb-0"}
    wrong["LATCHKEY_SANDBOX_PG"] = "host=127.0.0.1 port=1 user=x password=hunter2 dbname=y"
    done = latchkey("doctor", **wrong)
    assert done.returncode == 1
    assert "invalid_auth" in done.stdout
    assert "Production PostgreSQL" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SLACK_BOT_TOKEN", "xapp-0", "it has to begin with xoxb-"),
        ("SLACK_APP_TOKEN", "file:/not/there", "cannot be read"),
        ("LATCHKEY_HTTP", "nowhere", "give host:port"),
    ],
)
def test_the_doctor_goes_on_beside_a_setting_that_cannot_be_used(told, name, value, says):
    """It named the setting, and looked at nothing else, although `run` goes on without it."""
    done = latchkey("doctor", **{**told.house.bot.settings, name: value, "COLUMNS": "300"})
    assert done.returncode == 1
    assert f"✗ {name}" in " ".join(done.stdout.split())
    assert says in done.stdout
    assert "Production PostgreSQL: " in done.stdout
    assert "schema 0" in done.stdout


def test_requests_are_listed_and_shown_with_their_history(told):
    request = told.active(told.person("marta"), told.person("priya"), why="INC-77 [b]x[/b]")
    listed = told.house.bot.run("requests", "list").stdout
    (line,) = [line for line in listed.splitlines() if request.code in line]
    assert "Marta Nowak-Żelazna" in line  # in one line that is whole, though a pipe has no width
    assert f"{request.ends_at:%Y-%m-%d %H:%M} UTC" in line
    shown = told.house.bot.run("requests", "show", request.code.lower()).stdout
    for word in ("INC-77 [b]x[/b]", CUSTOMERS, "asked for it", "Priya", "The access was given"):
        assert word in shown
    unknown = told.house.bot.run("requests", "show", "AX-0000")
    assert unknown.returncode == 1
    assert "no request “AX-0000”" in unknown.stderr


def test_a_request_is_shown_in_sentences(told):
    """It was raw: the names of states and actions, dictionaries, ids, moments as machines write."""
    marta, priya = told.person("marta"), told.person("priya")
    request = told.active(marta, priya)
    told.credentials(marta, request.code)
    told.house.bot.run("revoke", request.code, "--reason", "incident 9")

    shown = latchkey(
        "requests", "show", request.code, **told.house.bot.settings, TZ="Europe/Warsaw"
    ).stdout

    ended = request.ends_at.astimezone(ZoneInfo("Europe/Warsaw"))
    for sentence in (
        f"{request.code}  It was revoked by an operator at ",
        "in Production PostgreSQL: gone",
        f"The access was given, until {ended:%Y-%m-%d %H:%M:%S %Z} ({request.ends_at:%H:%M} UTC).",
        "Marta Nowak-Żelazna was shown the login.",
        "An operator revoked it: it began to be taken away. Reason: “incident 9”.",
        "Confirmed: it is gone, as it was revoked.",
    ):
        assert sentence in shown
    for raw in ("{", "[", "_", "T2", "+00:00", "ending:"):
        assert raw not in shown


def test_an_operator_revokes_one_without_slack(told):
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    login = told.credentials(marta, request.code)
    told.house.sandbox.fault("*", "error", times=None, status=503)
    done = told.house.bot.run("revoke", request.code, "--reason", "incident 9")
    assert done.returncode == 0, done.stderr
    told.wait(request.code, State.REVOKED)
    assert not told.works(login)
    told.house.sandbox.clear_faults()
    told.house.sandbox.advance(600)
    assert "incident 9" in told.card(marta, request.code, "revoked").text


def test_commands_for_an_emergency_need_nothing_of_slacks_nor_the_manifests(told, tmp_path):
    """A token that was wrong, or a folder that was not there, kept an operator from revoking."""
    code = told.active(told.person("marta"), told.person("priya")).code
    needed = ("LATCHKEY_DATABASE_URL", "LATCHKEY_KEYS", "LATCHKEY_INSTALLATION")
    system = "LATCHKEY_SANDBOX_PG"
    given = {name: told.house.bot.settings[name] for name in (*needed, system)}
    wrong = {
        "SLACK_BOT_TOKEN": "nonsense",
        "SLACK_APP_TOKEN": "nonsense",
        "SLACK_API_URL": "no address",
        "LATCHKEY_MANIFESTS": "nowhere",
        "LATCHKEY_DISCOVER_MINUTES": "never",
    }
    for command in (
        ["requests", "list"],
        ["requests", "show", code],
        ["integrations", "list"],
        ["pause", "grants"],
        ["resume", "grants"],
        ["db", "upgrade"],
        ["revoke", code],
    ):
        done = latchkey(*command, cwd=tmp_path, **given, **wrong)

        assert done.returncode == 0, (command, done.stderr)
    assert told.request(code).state is State.REVOKED


def test_an_operator_revokes_all_of_one_person(told):
    marta, diego, priya = (told.person(n) for n in ("marta", "diego", "priya"))
    mine = told.active(marta, priya)
    waiting = told.ask(marta, path=STOCK.replace("stock", "deliveries"), why="")
    theirs = told.active(diego, priya)
    told.house.bot.run("revoke", "--person", "MARTA@harbourpine.example")
    told.wait(mine.code, State.REVOKED)
    told.wait(waiting.code, State.REVOKED)
    assert told.request(theirs.code).state is State.ACTIVE


def test_what_stays_as_it_was_there_before_is_named(told):
    """It said that nothing had to be taken away, of what could be used with the same login."""
    chloe, priya = told.person("chloe"), told.person("priya")
    first = told.active(chloe, priya)
    login = told.credentials(chloe, first.code)["user"]
    with psycopg.connect(told.house.cluster.superuser_dsn("orders"), autocommit=True) as admin:
        admin.execute(f'grant select on shop.orders to "{login}"')
        admin.execute(f'grant usage on schema shop to "{login}"')
        standing = told.active(chloe, priya, path=ORDERS)

        done = told.house.bot.run("revoke", standing.code)
        again = told.house.bot.run("revoke", standing.code)

        admin.execute(f'revoke all on shop.orders from "{login}"')
    assert done.returncode == again.returncode == 0, done.stderr
    for said in (done.stdout, again.stdout):
        assert "orders/shop/orders: It was there before, and stays." in said
        assert "All that Latchkey gave is over, and confirmed. 1 thing stays that was" in said
    assert "was over already" in again.stdout
    shown = told.house.bot.run("requests", "show", standing.code).stdout
    assert "What stays: It was there before, and stays." in shown


def test_what_was_revoked_meanwhile_is_not_refused(told):
    """Who gave the command a second time, or beside another, was told that it was refused."""
    request = told.active(told.person("marta"), told.person("priya"))
    waiting = told.ask(told.person("fatou"))
    seen = [told.request(request.code), told.request(waiting.code)]
    first = told.house.bot.run("revoke", request.code, "--no-wait")
    assert first.returncode == 2, first.stdout
    assert told.house.bot.run("revoke", waiting.code).returncode == 0
    said = []

    left, refused = revoking.record(told.desk, seen, "", said.append)

    assert not refused
    lines = "\n".join(said)
    assert "not revoked" not in lines
    assert f"{waiting.code}, Fatou N'Diambour: was over already." in lines
    told.wait(request.code, State.REVOKED)
    assert all(r.code == request.code for r in left)
    ended = told.house.bot.run("revoke", request.code)
    assert ended.returncode == 0, ended.stdout
    assert "was over already." in ended.stdout


def test_a_name_of_the_installation_that_cannot_be_one_keeps_nobody_from_revoking(told):
    """It was taken for what the database needs: nothing was even recorded."""
    code = told.active(told.person("marta"), told.person("priya")).code

    wrong = {**told.house.bot.settings, "LATCHKEY_INSTALLATION": "No Name!"}
    done = latchkey("revoke", code, "--no-wait", **wrong)

    assert done.returncode == 2, done.stderr
    assert "LATCHKEY_INSTALLATION" in done.stderr
    assert "A name has lower-case letters" in done.stderr
    told.wait(code, State.REVOKED)


def test_keys_of_another_installation_are_said_and_nothing_is_written_with_them(told):
    """It was proven by a key that nobody knows, and the command waited for what it could not do."""
    code = told.active(told.person("marta"), told.person("priya")).code
    other = {**told.house.bot.settings, "LATCHKEY_KEYS": new_key()}

    done = latchkey("revoke", code, "--no-wait", **other)

    assert done.returncode == 2, done.stderr
    assert "LATCHKEY_KEYS or LATCHKEY_INSTALLATION are not those of the Latchkey" in done.stderr
    told.wait(code, State.REVOKED)
    with told.desk.database.read() as session:
        keys = dict(
            session.execute(
                select(col(AuditRow.action), col(AuditRow.key)).where(
                    col(AuditRow.request_id) == id_of(code)
                )
            ).all()
        )
    assert keys["revoking"] == ""
    assert keys["revoked"] == keys["submitted"] != ""


def test_who_only_reads_is_told_of_nothing_that_is_recorded(told):
    """Lists said that *this is recorded without a key*, though nothing was."""
    code = told.active(told.person("marta"), told.person("priya")).code
    other = {**told.house.bot.settings, "LATCHKEY_KEYS": new_key()}

    for command in (
        ("requests", "list"),
        ("requests", "show", code),
        ("integrations", "list"),
        ("audit", "export"),
        ("people", "carry"),
    ):
        done = latchkey(*command, **other)
        assert (done.returncode, done.stderr) == (0, ""), command
    said = latchkey("pause", "grants", **other).stderr
    assert "Correct them. What is recorded here has no key," in said
    told.house.bot.run("resume", "grants")


def test_who_records_without_keys_is_told(told):
    """The audit was not whole any more, and nobody had been told that it would be so."""
    without = {k: v for k, v in told.house.bot.settings.items() if k != "LATCHKEY_KEYS"}

    said = latchkey("pause", "grants", **without).stderr

    assert "LATCHKEY_KEYS is missing. What is recorded here has no key," in said
    told.house.bot.run("resume", "grants")


def test_a_terminal_that_has_no_signs_for_a_name_shows_the_rest(told):
    """The list ended in a traceback before the first name that is not ASCII."""
    code = told.ask(told.person("marta")).code
    env = {**os.environ, **told.house.bot.settings, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "bot", "requests", "list"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Marta Nowak-\\u017belazna" in done.stdout
    assert code in done.stdout


def test_what_cannot_be_revoked_is_said_with_a_status(told):
    """A revocation that was refused ended with status 0, as if it had been done."""
    code = told.active(told.person("marta"), told.person("priya")).code
    done = told.house.bot.run("revoke", code, "--reason", "x" * 200)
    assert done.returncode == 1
    assert "not revoked: A reason has at most 124 characters" in done.stdout
    assert told.request(code).state is State.ACTIVE


def test_what_people_write_does_not_reach_the_terminal_as_commands(told):
    """Escape sequences in a justification could clear an operator's screen, or write on it."""
    code = told.ask(told.person("marta"), why="\x1b[2J\x1b]0;all is well\x07 INC-42").code
    done = told.house.bot.run("requests", "show", code)
    assert "INC-42" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("arguments", [(), ("AX-0000",), ("--person", "no@body.example")])
def test_a_revocation_of_nothing_says_so(told, arguments):
    done = told.house.bot.run("revoke", *arguments)
    assert done.returncode == 1
    assert done.stderr


def test_an_operator_sees_which_server_answers_and_accepts_another(told):
    """After a rebuild only the database could be edited by hand, row by row."""
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    login = told.credentials(marta, request.code)
    database = Database(told.house.bot.settings["LATCHKEY_DATABASE_URL"], pool=1)
    with database.write() as tx:
        sync.belongs(tx, IntegrationId("orders-db"), "elsewhere/1")
    run = told.house.bot.run

    listed = run("integrations", "list").stdout
    for word in ("orders-db", "Production PostgreSQL", "elsewhere/1", "another server answers"):
        assert word in listed
    assert run("integrations", "accept", "nothing").stderr == "There is no integration nothing.\n"
    asked = run("integrations", "accept", "orders-db")
    assert asked.returncode == 1
    assert "elsewhere/1 →" in asked.stdout
    assert "to be brought in line: 1" in asked.stdout
    accepted = run("integrations", "accept", "orders-db", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    assert "Gone: 0" in accepted.stdout
    again = run("integrations", "accept", "orders-db", "--yes")
    assert "the server that answers is accepted" in again.stderr

    assert told.works(login)
    told.press(marta, request.code, "return")
    told.wait(request.code, State.RETURNED)
    assert not told.works(login)
    database.close()


def test_paused_grants_wait_and_revoking_goes_on(told):
    marta, diego, priya = (told.person(n) for n in ("marta", "diego", "priya"))
    running = told.active(marta, priya)
    assert "paused" in told.house.bot.run("pause", "grants").stdout
    try:
        waiting = told.ask(diego)
        told.decide(priya, waiting.code)
        told.press(marta, running.code, "return")
        told.wait(running.code, State.RETURNED)
        assert told.request(waiting.code).state is State.GRANTING
        assert "`latchkey resume grants`" in told.house.bot.run("doctor").stdout
    finally:
        told.house.bot.run("resume", "grants")
    told.wait(waiting.code, State.ACTIVE)
    assert told.house.bot.run("resume", "grants").stdout == "Granting was not paused.\n"
