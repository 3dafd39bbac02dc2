"""A fault in a file, or a secret that is not there, never stops the duty to end access."""

import itertools
import os
import secrets
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import text

from bot.sandbox.house import COMPANY, Bot
from engine.request import State
from storage import servers
from tests.support import web
from tests.support.companies import plain
from tests.support.postgres import drop_database, fresh_database
from tests.support.story import STOCK, ready, story

SECOND = """
  - id: second-db
    name: Second PostgreSQL
    kind: postgresql
    settings:
      dsn: {dsn}
"""
NEW_FLOW = """
  - name: Brand new
    requestors: { group: Engineering }
    targets: [{ integration: orders-db, permissions: [read], names: [orders/shop] }]
    grant_for: 1 h
"""


ODD_FLOW = """
  - name: Odd
    requestors: { group: Engineering }
    targets: [{ query: 'resource_path = "none"' }]
"""


@dataclass
class Place:
    """Where the files are: as Kubernetes mounts a ConfigMap, each a link through one link."""

    folder: Path
    dsn: Path

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def furnish(self, more: str = "", secret: str = "") -> None:
        """Put the sample company there, as a set that was never there before.

        `secret` says where the address of its PostgreSQL stands.
        """
        number = next(self._numbers)
        version = self.folder.with_name(f"v{number}")
        plain(version)
        file = version / "integrations.yaml"
        text = file.read_text().replace("env:LATCHKEY_SANDBOX_PG", secret or f"file:{self.dsn}")
        file.write_text(f"{text}# {number}\n")
        (version / "flows.yaml").write_text((version / "flows.yaml").read_text() + more)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "..new").symlink_to(version)
        os.replace(self.folder / "..new", self.folder / "..data")  # noqa: PTH105  (as it does)
        for each in version.iterdir():
            link = self.folder / each.name
            if not link.is_symlink():
                link.symlink_to(f"..data/{each.name}")


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    made = Place(folder / "company", folder / "dsn")
    made.dsn.write_text(cluster.latchkey_dsn())
    made.furnish()
    return made


@pytest.fixture(scope="module")
def house(cluster, place):
    with story(cluster, company=place.folder) as told:
        yield told


@pytest.fixture
def told(house, place):
    yield house
    place.furnish()
    house.until(lambda: str(place.dsn) in str(systems(house)), "what is there is taken in")
    house.until(lambda: not doctored(house), "all is in order", lambda: doctored(house), timeout=60)
    house.until(lambda: "integration orders-db" not in probed(house)["faults"], "the bot, too")
    house.clear()


@pytest.fixture
def company(place):
    return place.folder


@pytest.fixture
def dsn_file(place):
    return place.dsn


def doctored(told) -> str:
    done = told.house.bot.run("doctor")
    return done.stdout if done.returncode else ""


def restart(told) -> None:
    told.house.bot.stop()
    told.house.bot.start()
    ready(told)


def flows(told) -> set[str]:
    with told.desk.database.read() as session:
        known = told.desk.companies.current(session).flows.values()
    return {flow.name for flow in known if not flow.deleted}


def answers(url):
    try:
        return web.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


def logged(told, event: str, *words: str) -> bool:
    lines = [line for line in told.house.bot.log.splitlines() if f'"event": "{event}"' in line]
    return any(all(word in line for word in words) for line in lines)


def direct(told, who, path=STOCK):
    """Have access that needs nobody's approval."""
    code = told.ask(who, path=path, why="").code
    return told.wait(code, State.ACTIVE)


@pytest.mark.timeout(240)
def test_with_a_typo_in_a_file_access_ends_on_time_and_people_work(told, company):
    """The start gave up: an open session went on reading after its end."""
    marta, viktor = told.person("marta"), told.person("viktor")
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    good = (company / "flows.yaml").read_text()
    (company / "flows.yaml").write_text(good.replace("grant_for: 30 min", "grant_for: 30 mni"))

    with told.log_in(login) as session:
        restart(told)
        assert session.execute("select 1").fetchone() == (1,)
        told.house.sandbox.advance(31 * 60)
        told.wait(request.code, State.EXPIRED)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    assert not told.works(login)

    assert direct(told, told.person("kofi"))
    viktor.wait_message("30 mni")
    assert sum("30 mni" in m.text for m in viktor.messages()) == 1
    assert logged(told, "out of order", "manifests", "flows.yaml:")
    doctor = told.house.bot.run("doctor")
    assert doctor.returncode == 1
    assert "flows.yaml:" in doctor.stdout
    public, probed, numbers = (
        web.get(url)
        for url in (
            f"{told.house.url}/readyz",
            f"{told.house.probes}/readyz",
            f"{told.house.probes}/metrics",
        )
    )
    assert public.is_success
    assert "flows.yaml" not in public.text
    assert probed.is_success
    faults = probed.json()["faults"]
    assert "flows.yaml:" in faults["manifests"]
    assert f"latchkey_faults {len(faults)}.0" in numbers.text

    (company / "flows.yaml").write_text(good)
    told.until(lambda: logged(told, "in order again", "manifests"), "it is in order", timeout=30)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SLACK_BOT_TOKEN", "file:/not/there"),
        ("SLACK_APP_TOKEN", "file:{}/hangs"),
        ("LATCHKEY_DISCOVER_MINUTES", "6O"),
    ],
)
def test_a_setting_that_cannot_be_used_does_not_keep_access_alive(
    told, monkeypatch, tmp_path, name, text
):
    """`run` gave up, or hung: an open session went on reading after its end."""
    os.mkfifo(tmp_path / "hangs")
    marta, viktor, bot = told.person("marta"), told.person("viktor"), told.house.bot
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    with told.log_in(login) as session:
        bot.stop()
        with monkeypatch.context() as wrong:
            wrong.setitem(bot.env, name, text.format(tmp_path))
            bot.start()
            told.until(lambda: logged(told, "out of order", f"settings {name}"), "it is said")
            told.house.sandbox.advance(31 * 60)
            told.wait(request.code, State.EXPIRED, timeout=60)
            with pytest.raises(psycopg.OperationalError):
                session.execute("select 1")
            probed = web.get(f"{told.house.probes}/readyz")
            assert name in probed.json()["faults"][f"settings {name}"]
            assert probed.is_success is not name.startswith("SLACK")
        restart(told)
    assert not told.works(login)
    assert viktor.wait_message(f"{name}: ")
    assert sum(f"{name}: " in m.text for m in viktor.messages()) == 1


@pytest.fixture
def env_file(told, tmp_path):
    """`.env` in the folder that the bot runs in from now on."""
    tmp_path.chmod(0o700)
    file, bot = tmp_path / ".env", told.house.bot
    file.write_text("")
    file.chmod(0o600)
    before, bot.cwd = bot.cwd, tmp_path
    yield file
    bot.stop()
    bot.cwd = before
    bot.start()
    ready(told)


def another_encoding(file):
    file.write_bytes(file.read_bytes() + b"# caf\xe9\n")


def open_to_others(file):
    file.chmod(0o666)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("spoil", [another_encoding, open_to_others])
def test_a_fault_in_the_env_file_takes_no_secret_away(told, place, env_file, spoil):
    """A letter in a comment: an open session read on after its end, and no probe said why."""
    marta, viktor = told.person("marta"), told.person("viktor")
    env_file.write_text(f"OF_ORDERS={place.dsn.read_text()}\n")
    place.furnish(secret="env:OF_ORDERS")
    told.until(lambda: "OF_ORDERS" in str(systems(told)), "it is taken in")
    restart(told)
    request = direct(told, marta)
    login = told.credentials(marta, request.code)

    with told.log_in(login) as session:
        spoil(env_file)
        told.until(lambda: ".env" in str(probed(told)["faults"]), "it is said")
        told.house.sandbox.advance(31 * 60)
        told.wait(request.code, State.EXPIRED)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    assert not told.works(login)
    assert viktor.wait_message(".env")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("spoil", [another_encoding, open_to_others])
def test_an_env_file_that_cannot_be_read_keeps_nothing_from_ending(told, env_file, spoil):
    """`run` and `revoke` gave up, though all that they need stood in the environment."""
    marta, kofi = told.person("marta"), told.person("kofi")
    requests = direct(told, marta), direct(told, kofi)
    logins = [told.credentials(p, r.code) for p, r in zip((marta, kofi), requests, strict=True)]
    told.house.bot.stop()
    spoil(env_file)

    revoked = told.house.bot.run("revoke", requests[0].code, "--wait", "30")
    assert revoked.returncode == 0, revoked.stderr
    assert ".env" in revoked.stderr
    assert not told.works(logins[0])

    told.house.bot.start()
    ready(told)
    told.house.sandbox.advance(31 * 60)
    told.wait(requests[1].code, State.EXPIRED)
    assert not told.works(logins[1])
    assert ".env" in probed(told)["faults"]["settings .env"]


def probed(told):
    return {"faults": {}, **web.get(f"{told.house.probes}/readyz").json()}


def systems(told):
    with told.desk.database.read() as session:
        return servers.connections(session)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("setting", ["LATCHKEY_HTTP", "LATCHKEY_PROBES"])
def test_an_address_that_somebody_has_taken_does_not_keep_access_alive(told, setting):
    """`run` gave up: whoever listened there first kept an open session reading after its end."""
    marta, bot = told.person("marta"), told.house.bot
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    bot.stop()
    doors = {"LATCHKEY_HTTP": told.house.url, "LATCHKEY_PROBES": told.house.probes}
    theirs, other = doors.pop(setting), *doors.values()
    with socket.create_server((urlsplit(theirs).hostname, urlsplit(theirs).port)):
        bot.start()
        told.until(lambda: logged(told, "out of order", setting, "Stop what"), "it is said")
        told.house.sandbox.advance(31 * 60)
        told.wait(request.code, State.EXPIRED, timeout=60)
        assert not told.works(login)
        told.until(lambda: answers(other), "it answers at the other one")
    told.until(lambda: answers(theirs), "it answers here, too")
    told.until(lambda: logged(told, "in order again", setting), "it is said")


@pytest.mark.timeout(240)
def test_a_system_whose_secret_is_not_there_is_out_of_order_by_itself(told, company, tmp_path):
    """A missing variable stopped the process."""
    secret, marta = tmp_path / "second", told.person("marta")
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    file = company / "integrations.yaml"
    file.write_text(file.read_text() + SECOND.format(dsn=f"file:{secret}"))

    restart(told)

    told.until(
        lambda: logged(told, "out of order", "second-db", str(secret)), "it is said", timeout=60
    )
    told.person("viktor").wait_message("Second PostgreSQL (second-db) is out of order")
    told.house.sandbox.advance(31 * 60)
    told.wait(request.code, State.EXPIRED)
    assert not told.works(login)
    assert direct(told, told.person("kofi"))

    secret.write_text(told.house.cluster.latchkey_dsn())
    told.until(lambda: logged(told, "in order again", "second-db"), "it is set up", timeout=60)


@pytest.mark.timeout(240)
def test_what_has_to_end_on_a_system_that_is_out_of_order_ends_as_soon_as_it_can(told, dsn_file):
    marta = told.person("marta")
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    dsn_file.rename(dsn_file.with_name("away"))
    told.house.bot.stop()
    told.house.bot.start()
    told.until(lambda: logged(told, "out of order", "orders-db"), "it is said", timeout=60)
    told.house.sandbox.advance(31 * 60)
    told.wait(request.code, State.REVOKING)
    told.person("viktor").wait_message("is out of order")

    dsn_file.with_name("away").rename(dsn_file)

    told.wait(request.code, State.EXPIRED, timeout=60)
    assert not told.works(login)


@pytest.mark.timeout(240)
def test_a_systems_row_that_cannot_be_read_does_not_keep_access_alive(told):
    """After a restart access there lived on until `latchkey apply`, and a file was blamed."""
    marta, bot = told.person("marta"), told.house.bot
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    bot.stop()
    with told.desk.database.write() as tx:
        tx.execute(text("update integration set body = '\"x\"' where id = 'orders-db'"))

    doctor = bot.run("doctor")
    assert "integration orders-db" in doctor.stdout
    revoked = bot.run("revoke", request.code)
    assert "what the database holds of orders-db (table integration)" in revoked.stdout

    bot.start()
    told.until(lambda: not told.works(login), "it is taken away", timeout=60)
    assert told.wait(request.code, State.REVOKED)
    told.person("viktor").wait_message("The settings that are stored of Production PostgreSQL")


def test_a_volume_that_is_swapped_is_taken_in_without_a_restart(told, place):
    """Files were read at a start only."""
    place.furnish(NEW_FLOW)

    told.until(lambda: "Brand new" in flows(told), "it is taken in", timeout=30)
    told.person("viktor").wait_message("flows: Brand new new")
    assert logged(told, "manifests taken in", "Brand new")


@pytest.mark.timeout(240)
def test_a_folder_that_is_away_deactivates_nobody(told, company):
    away = company.rename(company.with_name("away"))
    restart(told)

    told.person("viktor").wait_message("There is no such folder")
    assert direct(told, told.person("marta"))

    company.mkdir()
    told.person("viktor").wait_message("people.yaml: The file is missing", timeout=30)
    assert direct(told, told.person("kofi"))
    company.rmdir()
    away.rename(company)


@pytest.mark.timeout(300)
def test_two_replicas_with_different_files_do_not_flap(cluster, tmp_path):
    """While a release is rolled out: whoever started last had undone what the other took in."""
    database, newer = fresh_database(cluster), tmp_path / "newer"
    shutil.copytree(COMPANY, newer)
    (newer / "flows.yaml").write_text((newer / "flows.yaml").read_text() + NEW_FLOW)
    with story(cluster, database=database) as told:
        own = {**told.house.bot.settings, "LATCHKEY_MANIFESTS": str(newer)}
        second = Bot(own, tmp_path / "second.log")
        try:
            second.start()
            told.until(lambda: "Brand new" in flows(told), "it is taken in", timeout=60)
            told.house.bot.kill()
            told.house.bot.start()
            ready(told)
            told.until(
                lambda: logged(told, "out of order", "applied before"), "it is said", timeout=30
            )
            assert "Brand new" in flows(told)
            assert "applied before" in told.house.bot.run("doctor").stdout

            said = told.house.bot.run("apply")
            assert (said.returncode, said.stdout) == (0, "flows: Brand new gone\n")
            assert "Brand new" not in flows(told)
            os.kill(second.pid, signal.SIGHUP)
            told.until(lambda: "Brand new" in flows(told), "it is taken in again", timeout=30)
        finally:
            second.stop()
    drop_database(cluster, database)


def test_apply_names_all_faults(told, company):
    (company / "flows.yaml").write_text("flows: 7")
    (company / "company.yaml").write_text("admins: {group: Nobody}")

    said = told.house.bot.run("apply")

    assert said.returncode == 1
    assert "flows.yaml:" in said.stderr
    assert "company.yaml:" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.timeout(240)
def test_a_password_that_is_changed_in_its_file_is_used_at_the_next_connection(
    told, cluster, dsn_file
):
    """It was read once: every end failed until somebody started the bot anew."""
    marta = told.person("marta")
    request = direct(told, marta)
    login = told.credentials(marta, request.code)
    before = conninfo_to_dict(dsn_file.read_text())
    role = sql.Identifier(str(before["user"]))
    alter = sql.SQL("alter role {} password {}")
    with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as connection:
        try:
            new = secrets.token_urlsafe(18)
            connection.execute(alter.format(role, new))
            dsn_file.write_text(make_conninfo(**{**before, "password": new}))
            told.until(lambda: not told.sessions(str(before["user"])), "no connection is left")
            told.house.sandbox.advance(31 * 60)
            told.wait(request.code, State.EXPIRED)
            assert not told.works(login)
        finally:
            connection.execute(alter.format(role, before["password"]))
            dsn_file.write_text(make_conninfo(**before))


def test_who_applies_flows_that_select_nothing_is_told_at_once(told, place):
    """Only doctor, and the log of the bot's first look, said that a flow gives nothing."""
    place.furnish(ODD_FLOW)

    said = told.house.bot.run("apply")

    assert said.returncode == 0, said.stderr
    assert "Odd" in flows(told)
    assert 'Look at “Odd”: resource_path = "none" selects nothing.\n' in said.stderr
    assert "`latchkey flows show NAME` shows what each target selects." in said.stderr
