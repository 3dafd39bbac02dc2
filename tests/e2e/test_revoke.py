"""`latchkey revoke` where no process is alive, and beside one that is: what it did is true."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from bot.sandbox.house import MANIFESTS, Bot
from engine.request import State
from storage.database import file_of
from tests.e2e.life import stallable
from tests.support.nursery import shared
from tests.support.story import STOCK, ready

# The sandbox's clock is Slack's address's: both stay away.
NEEDED = ("LATCHKEY_DATABASE_URL", "LATCHKEY_KEYS", "LATCHKEY_INSTALLATION", "LATCHKEY_SANDBOX_PG")


pytestmark = pytest.mark.timeout(300)  # some wait for two commands, one after the other
on_sqlite = pytest.mark.parametrize("house", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(cluster, request):
    """A house whose system can be stalled; the bot's own database is of either kind."""
    with stallable(cluster, request.param) as opened:
        yield opened


@pytest.fixture
def told(house):
    story_, proxy = house
    if not story_.house.bot.running:
        story_.house.bot.start()
        ready(story_)
    yield story_
    proxy.reset()
    proxy.down = False
    if not story_.house.bot.running:
        story_.house.bot.start()
        ready(story_)
    story_.clear()


@pytest.fixture
def proxy(house):
    return house[1]


def environment(told, *without):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "LATCHKEY_"))}
    given = {k: told.house.bot.settings[k] for k in NEEDED if k not in without}
    return {**clean, **given, "PYTHONPATH": str(MANIFESTS.parent), "COLUMNS": "300"}


def begin(told, tmp_path, *arguments, without=(), stdout=subprocess.PIPE):
    """Begin a command with nothing of Slack's, in a folder without manifests."""
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "revoke", *arguments],
        env=environment(told, *without),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_work(command):
    """Wait until a command takes access away by itself."""
    while "this command takes the access away" not in command.stdout.readline():
        assert command.poll() is None
    return command


def revoke(told, tmp_path, *arguments, without=()):
    """Return the status, and all that was said."""
    done = shared().run("revoke", *arguments, env=environment(told, *without), cwd=tmp_path)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return done.returncode, said


def session(told, login):
    """Open a session of the grantee's that has to be cut."""
    held = told.log_in(login)
    held.execute("select 1")
    return held


def test_what_a_killed_bot_left_is_gone_when_revoke_returns(told, tmp_path):
    """With no process alive it was recorded only, and the status said that it was done."""
    marta, diego, priya = (told.person(n) for n in ("marta", "diego", "priya"))
    request = told.active(marta, priya)
    login = told.credentials(marta, request.code)
    other = told.active(diego, priya)
    waiting = told.ask(told.person("fatou"))
    with session(told, login) as held:
        told.house.bot.kill()

        status, said = revoke(told, tmp_path, "--all", "--yes", "--reason", "incident 9")

        assert status == 0, said
        assert not told.works(login)
        assert not told.privileges()
        with pytest.raises(psycopg.OperationalError):
            held.execute("select 1")
    assert told.request(request.code).state is State.REVOKED
    assert told.request(other.code).state is State.REVOKED
    assert told.request(waiting.code).state is State.CANCELLED
    for sentence in (
        f"{request.code}, Marta",
        "gone, as Production PostgreSQL confirmed",
        f"{waiting.code}, Fatou",
        "cancelled. Nothing had been given.",
        "No Latchkey process is alive",
        "this command takes the access away.",
        "All of it is over, and confirmed.",
    ):
        assert sentence in said
    told.house.bot.start()
    ready(told)
    assert "incident 9" in told.card(marta, request.code, "revoked").text


@pytest.fixture(params=["closed", "full", "not read"])
def unheard(request):
    """An output in which nothing can be written, not ever."""
    if request.param == "full":
        with Path("/dev/full").open("w") as full:
            yield full
        return
    reads, writes = os.pipe()
    if request.param == "closed":
        os.close(reads)
    else:
        os.set_blocking(writes, False)
        with suppress(BlockingIOError):
            while os.write(writes, b"x" * 4096):
                pass
        os.set_blocking(writes, True)
    yield writes
    os.close(writes)
    if request.param != "closed":
        os.close(reads)


@on_sqlite
def test_all_ends_though_nobody_hears_of_it(told, tmp_path, unheard):
    """After the first line that could not be printed, no access was taken away any more."""
    priya = told.person("priya")
    requests = [told.active(told.person(name), priya) for name in ("marta", "diego")]
    told.house.bot.kill()

    command = begin(told, tmp_path, "--all", "--yes", stdout=unheard)
    _, err = command.communicate(timeout=120)

    assert command.returncode == 0, err
    assert "Traceback" not in err
    assert not told.privileges()
    assert {told.request(r.code).state for r in requests} == {State.REVOKED}


GARBAGE, BYTES = "'garbage'", "x'ff00fe'"
ITS_GRANT = "access_grant where request_id = {id}"
ITS_THING = f"entitlement where id = (select entitlement_id from {ITS_GRANT})"  # noqa: S608
ITS_RESOURCE = f"resource where id = (select resource_id from {ITS_THING})"  # noqa: S608
ITS_LOGIN = f"account where id = (select account_id from {ITS_GRANT})"  # noqa: S608
CELLS = [
    (ITS_THING, "resource_id", GARBAGE),
    (ITS_RESOURCE, "integration_id", GARBAGE),
    (ITS_LOGIN, "integration_id", BYTES),
    (ITS_LOGIN, "person_id", BYTES),
    (ITS_GRANT, "request_id", GARBAGE),
    (ITS_GRANT, "account_id", GARBAGE),
]


@contextmanager
def by_hand(told, request, rows, column=None, said=None):
    """Change one cell, or delete the rows, as SQLite's own shell does; put back what was there."""
    table, _, where = rows.format(id=request.id).partition(" where ")
    where = where or "true"
    with closing(sqlite3.connect(told.desk.database.file, isolation_level=None)) as hand:
        row, *before = hand.execute(f"select rowid, * from {table} where {where}").fetchone()  # noqa: S608
        if column:
            hand.execute(f"update {table} set {column} = {said} where rowid = {row}")  # noqa: S608
        else:
            hand.execute(f"delete from {table}")  # noqa: S608
        yield
        if column in {"resource_id", "integration_id"} or not column:  # what nothing else mends
            marks = ", ".join("?" * len(before))
            hand.execute(f"insert or replace into {table} values ({marks})", before)  # noqa: S608


@on_sqlite
@pytest.mark.parametrize(
    ("rows", "column", "said"), CELLS, ids=lambda part: str(part).partition(" ")[0]
)
def test_a_row_that_leads_nowhere_is_named_and_all_access_ends(told, tmp_path, rows, column, said):
    """The operator got a traceback; the access stayed, and no row was named."""
    priya = told.person("priya")
    lost, fine = (told.active(told.person(name), priya) for name in ("marta", "diego"))
    told.house.bot.kill()

    with by_hand(told, lost, rows, column, said):
        status, heard = revoke(told, tmp_path, "--all", "--yes")

        assert status == 0, heard
        assert not told.privileges()
        assert {told.request(r.code).state for r in (lost, fine)} == {State.REVOKED}
        assert "leads nowhere" in heard


@on_sqlite
def test_without_the_companys_row_all_access_ends(told, tmp_path):
    """Every command ended with a traceback, and nobody's access with a word."""
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()

    with by_hand(told, request, "company"):
        for command in (("requests", "list"), ("doctor",)):
            looked = told.house.bot.run(*command)
            assert "The row of the table company is not there" in looked.stdout + looked.stderr
            assert request.code in looked.stdout or command == ("doctor",)
        status, heard = revoke(told, tmp_path, "--all", "--yes")

        assert status == 0, heard
        assert not told.privileges()
        assert "The row of the table company is not there" in heard
        assert "already paused" in told.house.bot.run("pause", "grants").stdout


@on_sqlite
def test_a_revoke_that_is_suspended_is_named_to_the_next_one(told, proxy, tmp_path):
    """It was called a Latchkey process that is alive, by the heartbeat of one that was dead."""
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()
    proxy.down = True
    first = at_work(begin(told, tmp_path, request.code))
    stop_in_its_turn(told, first)
    try:
        _, said = revoke(told, tmp_path, request.code, "--wait", "50")
    finally:
        first.kill()
        first.communicate()

    assert f"Another `latchkey revoke`, process {first.pid}, is at work" in said
    assert f"kill -KILL {first.pid}" in said
    assert "A Latchkey process is alive" not in said
    proxy.down = False
    status, said = revoke(told, tmp_path, request.code)
    assert status == 0, said


def stop_in_its_turn(told, command):
    """Suspend it while it holds the file's lock."""
    lock = f"{told.house.database.removeprefix('sqlite:///')}.lock"

    def holds():
        os.kill(command.pid, signal.SIGSTOP)
        with Path(lock).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        os.kill(command.pid, signal.SIGCONT)
        return False

    told.until(holds, "it has its turn")


@on_sqlite
def test_a_system_that_is_down_is_said_and_the_next_run_ends_it(told, proxy, tmp_path):
    marta, priya = told.person("marta"), told.person("priya")
    request = told.active(marta, priya)
    login = told.credentials(marta, request.code)
    told.house.bot.kill()
    proxy.down = True

    status, said = revoke(told, tmp_path, request.code, "--wait", "8")

    assert status == 2, said
    assert f"{request.code}, Marta" in said
    assert "not confirmed yet. Production PostgreSQL: " in said
    assert "the next `latchkey run`, goes on with it" in said
    assert told.request(request.code).state is State.REVOKING
    proxy.down = False
    assert told.works(login)
    told.house.bot.start()
    told.house.sandbox.advance(300)
    told.wait(request.code, State.REVOKED, timeout=60)
    assert not told.works(login)


@on_sqlite
@pytest.mark.parametrize(
    ("without", "named"),
    [("LATCHKEY_KEYS", "LATCHKEY_KEYS is missing"), ("LATCHKEY_SANDBOX_PG", "LATCHKEY_SANDBOX_PG")],
)
def test_what_is_missing_is_said_and_the_revoke_recorded(told, tmp_path, without, named):
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()

    status, said = revoke(told, tmp_path, request.code, without=[without])

    assert status == 2, said
    assert named in said
    assert "It is recorded" in said
    assert told.request(request.code).state is State.REVOKING
    status, said = revoke(told, tmp_path, request.code)
    assert status == 0, said
    assert "was being taken away already" in said
    assert told.request(request.code).state is State.REVOKED
    assert not told.privileges()


@on_sqlite
def test_only_recorded_it_is_done_by_the_next_run(told, tmp_path):
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()

    status, said = revoke(told, tmp_path, request.code, "--no-wait")

    assert status == 2, said
    assert told.request(request.code).state is State.REVOKING
    told.house.bot.start()
    told.wait(request.code, State.REVOKED, timeout=60)


@on_sqlite
def test_what_another_revoke_leaves_running_is_not_given_more(told, tmp_path):
    """A command that ends access begins none: nobody would be there to end that."""
    marta, priya = told.person("marta"), told.person("priya")
    running = told.active(marta, priya)
    told.house.bot.run("pause", "grants")
    waits = told.ask(marta, path=STOCK, why="")
    told.wait(waits.code, State.GRANTING)
    told.house.bot.kill()
    told.house.bot.run("resume", "grants")

    status, said = revoke(told, tmp_path, running.code)

    assert status == 0, said
    assert not told.privileges()
    assert told.request(waits.code).state is State.GRANTING
    told.house.bot.start()
    told.wait(waits.code, State.ACTIVE, timeout=60)


@on_sqlite
def test_a_process_that_is_alive_does_it_and_one_that_gets_nowhere_is_named(told, proxy, tmp_path):
    marta, priya = told.person("marta"), told.person("priya")
    first, second = told.active(marta, priya), told.ask(marta, path=STOCK, why="")
    told.wait(second.code, State.ACTIVE)

    status, said = revoke(told, tmp_path, first.code)

    assert status == 0, said
    assert "No Latchkey process" not in said
    assert told.request(first.code).state is State.REVOKED
    proxy.down = True
    status, said = revoke(told, tmp_path, second.code, "--wait", "12")
    assert status == 2, said
    assert "A Latchkey process is alive" in said
    assert f"has not ended {second.code} in 10 s: Production PostgreSQL:" in said
    proxy.down = False
    status, said = revoke(told, tmp_path, second.code)
    assert status == 0, said


def test_a_bot_that_starts_meanwhile_is_let_in(told, proxy, tmp_path):
    """On SQLite a command that held the file's lock for as long as it took would keep it out."""
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()
    for number in range(1, 200):
        proxy.on(number, action="stall")
    command = begin(told, tmp_path, request.code)
    told.until(lambda: proxy.count, "the command is at it", timeout=60)

    told.house.bot.start()
    ready(told)
    proxy.reset()

    told.house.sandbox.advance(40)  # past what the command may still have begun
    told.wait(request.code, State.REVOKED, timeout=60)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 0, out + err


def stops_between_writes(told, pid):
    """Stop the process; let it go on where it has SQLite's only lock, which is named otherwise."""
    os.kill(pid, signal.SIGSTOP)
    file = file_of(told.house.database)
    if file is None:
        return True
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as own:
        try:
            own.execute("begin immediate")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
        return True


def test_a_process_that_hangs_is_replaced_or_named(told, tmp_path):
    """Stopped for good, it was taken for alive: what it was to revoke stayed."""
    request = told.active(told.person("marta"), told.person("priya"))
    pid, on_file = told.house.bot.pid, told.house.database.startswith("sqlite")
    told.until(lambda: stops_between_writes(told, pid), "it stops where it writes nothing")
    try:  # what it may have locked in PostgreSQL is free after 5 s
        status, said = revoke(told, tmp_path, request.code, "--wait", "20" if on_file else "60")
    finally:
        os.kill(pid, signal.SIGCONT)

    if on_file:  # which it still holds
        assert status == 2, said
        assert "It seems to hang: end it, process " in said
        told.wait(request.code, State.REVOKED, timeout=60)
    else:
        assert status == 0, said
        assert "this command takes the access away" in said
    assert not told.privileges()


@on_sqlite
def test_who_stops_waiting_has_it_recorded(told, proxy, tmp_path):
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()
    proxy.down = True
    command = at_work(begin(told, tmp_path, request.code))

    command.send_signal(signal.SIGINT)

    out, err = command.communicate(timeout=60)
    assert command.returncode == 2, out + err
    assert "Stopped waiting." in out
    assert "Traceback" not in err
    assert told.request(request.code).state is State.REVOKING


@on_sqlite
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-0"}, "refuses SLACK_BOT_TOKEN: invalid_auth. Copy the bot's"),
        ({"SLACK_API_URL": "http://127.0.0.1:9/api/"}, "cannot be reached at http://127.0.0.1:9/"),
        ({"SLACK_APP_TOKEN": "xapp-0"}, "refuses SLACK_APP_TOKEN: invalid_auth. Make one anew"),
    ],
    ids=["token", "address", "app token"],
)
def test_what_keeps_slack_away_is_said_at_the_start_and_access_ends(told, tmp_path, wrong, said):
    """Only the probes knew; who had started it read of a job that was put off."""
    request = told.active(told.person("marta"), told.person("priya"))
    told.house.bot.kill()
    bot = Bot({**told.house.bot.settings, **wrong}, tmp_path / "wrong.log")
    bot.start()
    try:
        told.until(lambda: said in bot.told, said, lambda: bot.told + bot.log, timeout=60)
        told.until(lambda: said in bot.log, said, lambda: bot.log, timeout=60)
        assert "it answers again" not in bot.log  # one token is taken, the other is not
        assert "Traceback" not in bot.log
        told.house.sandbox.advance(2 * 3600)
        told.wait(request.code, State.EXPIRED, timeout=60)
        assert not told.privileges()
    finally:
        bot.stop()
