"""Manifests are taken in while Latchkey runs: whole, once they stay, and never by a fault."""

import itertools
import os
import re
import shutil
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlmodel import col
from structlog.testing import capture_logs

import manifests
from bot.loops import watch
from bot.loops.watch import FAULT, Watch
from bot.runtime.services import Services
from bot.sandbox.house import COMPANY
from bot.usecases import folder as folders
from bot.usecases import people
from bot.usecases.alarms import Alarms
from bot.usecases.console import Desk
from bot.usecases.folder import NO_FLOWS, OLDER
from bot.usecases.take_in import take_in
from engine.alarms import WELL_AGAIN
from engine.directory import PersonId
from engine.intake import TooMuchError
from manifests import BadManifestsError, marked_yaml
from storage import files, schema, servers, sync, touched
from storage.company import Companies
from storage.database import Database
from storage.secrets import KeyRing, new_key
from storage.tables import IntegrationRow, MessageRow
from tests.support.companies import plain
from tests.support.postgres import drop_database, fresh_database
from tests.support.stored import account
from tests.support.waiting import wait_until

ADMIN = PersonId("viktor")


class Still:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


class Replica:
    """A process with a folder of its own, as far as it watches it."""

    def __init__(self, url, folder) -> None:
        self.folder = folder
        self.clock = Still()
        self.services = Services(
            Database(url, pool=3), Companies(), self.clock, KeyRing([new_key()]), {}
        )
        self.start()

    def start(self, take_in=take_in) -> None:
        self.watch = Watch(self.services, self.folder, Alarms(self.services), take_in)

    def look(self, times=2) -> None:
        for _ in range(times):
            self.watch.look_once()

    @property
    def fault(self) -> str:
        return self.services.vitals.faults().get(FAULT, "")

    def people(self) -> int:
        return sum(p.active for p in self.services.company().directory.people.values())

    def flows(self) -> set[str]:
        return {f.name for f in self.services.company().flows.values() if not f.deleted}

    def said(self, contains) -> list[str]:
        """Return what the admin was told."""
        query = select(MessageRow).where(col(MessageRow.recipient) == ADMIN)
        with self.services.database.read() as session:
            said = [m.detail for m in session.execute(query).scalars()]
        return [text for text in said if contains in text]

    def write(self, name, text) -> None:
        (self.folder / name).write_text(text)

    def change(self, name, old, new) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))


both = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def url(request, tmp_path):
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path}/latchkey.db"
        return
    cluster = request.getfixturevalue("cluster")
    made = fresh_database(cluster)
    yield made
    drop_database(cluster, made)


def folder(tmp_path, name):
    return plain(tmp_path / name)


@pytest.fixture
def replica(url, tmp_path):
    made = Replica(url, folder(tmp_path, "one"))
    schema.upgrade(made.services.database)
    made.look(1)
    person = made.services.company().directory.people[ADMIN]
    made.services.transaction(
        lambda tx: sync.tie(tx, {ADMIN: account("U1", person.email)}, made.clock.now())
    )
    yield made
    made.services.database.close()


@pytest.fixture
def other(replica, url, tmp_path):  # noqa: ARG001  (it comes second)
    """Another replica, which was given the same files."""
    made = Replica(url, folder(tmp_path, "two"))
    made.look()
    yield made
    made.services.database.close()


NEW_FLOW = """
  - name: Brand new
    requestors: { group: Engineering }
    targets: [{ integration: orders-db, permissions: [read], names: [orders/shop] }]
    grant_for: 1 h
"""


def add_flow(replica, name="Brand new") -> None:
    text = (replica.folder / "flows.yaml").read_text()
    replica.write("flows.yaml", text + NEW_FLOW.replace("Brand new", name))


@both
def test_what_has_changed_is_taken_in_when_two_looks_agree(replica):
    """Files were read at the start only."""
    add_flow(replica)

    replica.look(1)
    assert "Brand new" not in replica.flows()

    with capture_logs() as log:
        replica.look(1)
    assert "Brand new" in replica.flows()
    assert [line["changed"] for line in log if line["event"] == "manifests taken in"] == [
        ["flows: Brand new new"]
    ]
    assert len(replica.said("flows: Brand new new")) == 1


def test_files_that_are_still_being_written_are_not_taken_in(replica):
    for n in range(4):
        add_flow(replica, f"Brand new {n}")
        replica.look(1)

    assert not {name for name in replica.flows() if name.startswith("Brand")}

    replica.look(1)
    assert {f"Brand new {n}" for n in range(4)} <= replica.flows()


def test_all_files_or_none(replica):
    """A fault in one file, and what is right in the others is not taken in."""
    replica.change("people.yaml", "name: Viktor", "name: Victor")
    replica.write("flows.yaml", "flows: [{name: 7")

    with capture_logs() as log:
        replica.look(5)

    assert replica.services.company().directory.people[ADMIN].name.startswith("Viktor")
    assert replica.flows()
    assert "flows.yaml:" in replica.fault
    assert [line["what"] for line in log if line["event"] == "out of order"] == [FAULT]
    assert len(replica.said("flows.yaml:")) == 1

    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    replica.look()
    assert not replica.fault
    assert replica.services.company().directory.people[ADMIN].name.startswith("Victor")


def test_a_fault_is_told_once_whoever_finds_it(replica, other):
    for each in (replica, other):
        each.write("flows.yaml", "flows: 7")
        each.look()
        each.start()
        each.look(1)

    assert len(replica.said("flows.yaml")) == 1


@pytest.mark.parametrize("how", ["missing", "empty", "without people", "no folder"])
def test_a_folder_that_is_missing_or_empty_deactivates_nobody(replica, how):
    before = replica.people()
    if how == "without people":
        (replica.folder / "people.yaml").unlink()
    else:
        shutil.rmtree(replica.folder)
    if how == "empty":
        replica.folder.mkdir()
    if how == "no folder":
        replica.folder.write_text("a file")

    replica.look(3)
    replica.start()
    replica.look(1)

    assert replica.people() == before > 30
    assert replica.fault


def test_a_volume_whose_link_is_swapped_is_taken_in(replica, tmp_path):
    """As Kubernetes does with a ConfigMap: each file is a link through one that is swapped."""
    first, second = folder(tmp_path, "v1"), folder(tmp_path, "v2")
    replica.folder = tmp_path / "mount"
    replica.folder.mkdir()
    (replica.folder / "..data").symlink_to(first)
    for name in (file.name for file in first.glob("*.yaml")):
        (replica.folder / name).symlink_to(f"..data/{name}")
    replica.start()
    replica.look(1)
    (second / "flows.yaml").write_text((second / "flows.yaml").read_text() + NEW_FLOW)

    (replica.folder / "..new").symlink_to(second)
    os.replace(replica.folder / "..new", replica.folder / "..data")  # noqa: PTH105  (as it does)
    replica.look()

    assert "Brand new" in replica.flows()


def failing(replica):
    return set(replica.services.company().directory.failing)


ON_CALL = "schedules: [{name: DBA, zone: UTC, rotation: {people: viktor, days: 7, from: %s}}]"
SOUND, FAULTY = ON_CALL % "2026-01-05 09:00", ON_CALL % "soon"


@both
def test_of_what_cannot_be_read_it_is_known_since_when(replica):
    """A group that could not be read counted as empty."""
    replica.write("on_call.yaml", SOUND)
    replica.look()
    assert replica.services.company().directory.schedules
    assert failing(replica) == set()

    replica.write("on_call.yaml", FAULTY)
    replica.look(3)
    assert failing(replica) == {"on_call"}
    assert replica.services.company().directory.schedules, "the last answer is known"

    replica.change("people.yaml", "status: inactive", "status: lost")
    replica.look(3)
    assert failing(replica) == {"file", "on_call"}

    replica.write("on_call.yaml", SOUND)
    replica.change("people.yaml", "status: lost", "status: inactive")
    replica.look(3)
    assert failing(replica) == set()


def test_a_fault_in_a_flow_leaves_people_what_they_are(replica):
    replica.write("flows.yaml", "flows: 7")
    replica.look(3)

    assert failing(replica) == set()


def test_where_no_file_can_be_read_nothing_is_known_of_groups(replica):
    shutil.rmtree(replica.folder)
    replica.look(3)

    assert failing(replica) == {"file", "on_call"}


def test_people_who_are_held_are_not_read(replica):
    """Who is in which group by now is not known, while an administrator is asked."""
    text_ = (replica.folder / "people.yaml").read_text()
    replica.write("people.yaml", text_.partition("  - id: kofi")[0])
    replica.look(3)
    assert failing(replica) == {"file"}

    replica.write("people.yaml", text_)
    replica.look(3)
    assert failing(replica) == set()


def test_one_replica_s_former_files_do_not_answer_for_anothers(replica, other):
    other.write("people.yaml", "people: 7")
    other.look(3)
    replica.look(5)

    assert failing(replica) == {"file"}


@both
def test_replicas_with_different_files_do_not_flap(replica, other):
    """While a release is rolled out each has its own; who starts last was the one that counted."""
    add_flow(other)
    other.look()
    assert "Brand new" in other.flows()

    replica.look(3)
    replica.start()
    replica.look(3)
    other.look(3)

    assert "Brand new" in replica.flows()
    assert (replica.fault, other.fault) == (OLDER, "")

    shutil.copy(other.folder / "flows.yaml", replica.folder)
    replica.look()
    assert replica.fault == ""


def test_who_asks_while_files_are_taken_in_is_heard(replica):
    """The second SIGHUP was forgotten with the first, and the set that it was for stayed out."""
    taken = []

    def asked_meanwhile(services, listed, digest):
        taken.append(digest)
        if len(taken) == 1:
            replica.watch.ask()
        return take_in(services, listed, digest)

    replica.look()
    replica.start(asked_meanwhile)
    replica.look(2)
    assert taken == []  # it was applied before

    replica.watch.ask()
    replica.look(3)

    assert len(taken) == 2


@pytest.fixture
def hanging(monkeypatch):
    """A disk whose server is away, until it is set."""
    back, content = threading.Event(), marked_yaml.content

    def waits(path):
        back.wait()
        return content(path)

    for reader in (folders, marked_yaml):
        monkeypatch.setattr(reader, "content", waits)
    yield back
    back.set()


def test_a_command_is_told_where_nothing_answers(replica, hanging, monkeypatch):
    """`doctor` and `apply` waited for a disk that hung, without a word."""
    monkeypatch.setattr(folders, "ANSWERS_WITHIN", 0.2)
    with pytest.raises(BadManifestsError, match="does not answer"):
        folders.soon(replica.folder, folders.look)
    assert not hanging.is_set()


def test_a_command_is_told_what_is_wrong_with_the_files(replica):
    replica.write("flows.yaml", "flows: 7")

    with pytest.raises(BadManifestsError, match=r"flows\.yaml"):
        folders.soon(replica.folder, manifests.load)


def test_flows_in_a_folder_that_others_write_are_warned_of(replica):
    """Only the folder above it was looked at."""
    flows = replica.folder / "flows"
    flows.mkdir(mode=0o700)
    shutil.move(replica.folder / "flows.yaml", flows / "some.yaml")
    assert files.exposed_inside(replica.folder, manifests.files(replica.folder)) == ""
    flows.chmod(0o777)
    said = files.exposed_inside(replica.folder, manifests.files(replica.folder))
    assert f"chmod go-w {flows}" in said


def test_going_back_takes_a_word(replica):
    add_flow(replica)
    replica.look()
    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    replica.look(3)
    assert "Brand new" in replica.flows()
    assert replica.fault == OLDER

    replica.watch.ask()
    replica.look(1)

    assert "Brand new" not in replica.flows()
    assert replica.fault == ""
    replica.look(3)
    assert "Brand new" not in replica.flows()


def test_all_flows_go_by_word_alone(replica):
    """A file with `flows: []` was taken in by itself, and nobody could ask for anything."""
    before = replica.flows()
    replica.write("flows.yaml", "flows: []")

    replica.look(3)
    replica.start()
    replica.look(3)
    assert replica.flows() == before
    assert replica.fault == NO_FLOWS
    assert len(replica.said(NO_FLOWS)) == 1

    changed = folders.apply(replica.services, replica.folder, lambda _: None)
    replica.look(3)
    (said,) = changed
    assert said.startswith(f"flows: {', '.join(sorted(before)[:10])}")
    assert said.endswith(" gone")
    assert (replica.flows(), replica.fault) == (set(), "")


def test_a_company_begins_without_flows(url, tmp_path):
    made = Replica(url, folder(tmp_path, "one"))
    schema.upgrade(made.services.database)
    made.write("flows.yaml", "flows: []")

    made.look(1)

    assert (made.people() > 30, made.fault) == (True, "")
    made.services.database.close()


def test_the_newest_is_the_last_applied_whatever_the_clock_says(replica):
    replica.clock.time -= timedelta(hours=1)
    add_flow(replica)

    replica.look(5)

    assert replica.fault == ""
    assert "Brand new" in replica.flows()


def test_what_an_operator_applies_stays_applied(replica):
    add_flow(replica)
    replica.look()
    shutil.copy(COMPANY / "flows.yaml", replica.folder)

    changed = folders.apply(replica.services, replica.folder, lambda _: None)

    assert changed == ["flows: Brand new gone"]
    replica.look(3)
    assert replica.fault == ""
    assert "Brand new" not in replica.flows()


def test_an_empty_database_goes_nowhere_with_faulty_files(url, tmp_path):
    """Its log said that the last good version stays in force, and there was none."""
    made = Replica(url, folder(tmp_path, "one"))
    schema.upgrade(made.services.database)
    made.write("flows.yaml", "flows: 7")
    made.write("company.yaml", "admins: 7")

    with capture_logs() as log, pytest.raises(BadManifestsError) as raised:
        made.watch.begin()

    assert "last good" not in str(log)
    assert "flows.yaml" in str(raised.value)
    assert "company.yaml" in str(raised.value)
    assert made.watch.stop(30)
    made.services.database.close()


def test_a_pipe_among_the_files_is_a_fault_until_a_file_is_there(replica):
    """It was waited for without end: the folder was not looked at again before a restart."""
    people = replica.folder / "people.yaml"
    sound = people.read_text()
    people.unlink()
    os.mkfifo(people)

    replica.look()
    assert "people.yaml: The file cannot be read: it is no plain file." in replica.fault

    people.unlink()
    people.write_text(sound)
    replica.look()
    assert not replica.fault


def test_a_disk_that_hangs_holds_up_nobody_but_the_watch(replica, hanging, monkeypatch):
    monkeypatch.setattr(watch, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(watch, "HANGS_AFTER", -1)
    replica.start()

    replica.watch.begin()

    replica.watch.check()
    assert "does not answer" in replica.fault
    assert len(replica.said("does not answer")) == 1
    assert failing(replica) == {"file", "on_call"}
    assert not replica.watch.stop(0.01)
    hanging.set()
    assert replica.watch.stop(30)


class KilledError(BaseException):
    """The process is no more."""


def break_off(replica, monkeypatch) -> str:
    """Have somebody leave, by an intake whose process is killed before it comes to flows."""

    def killed(*_):
        raise KilledError

    people = (replica.folder / "people.yaml").read_text()
    replica.write("people.yaml", people.partition("  - id: casey\n")[0])
    with monkeypatch.context() as dying:
        dying.setattr(sync, "flow_steps", killed)
        with pytest.raises(KilledError):
            replica.look()
    return "casey"


def active(replica, person) -> bool:
    return replica.services.company().directory.people[PersonId(person)].active


def syncing(replica) -> bool:
    with replica.services.database.read() as session:
        return sync.broken_off(session)


@both
def test_an_intake_that_was_broken_off_leaves_no_mix_when_the_files_are_put_back(
    replica, monkeypatch
):
    """People stayed as the files said that were taken back, flows as they had been."""
    leaver = break_off(replica, monkeypatch)
    shutil.copy(COMPANY / "people.yaml", replica.folder)
    assert (active(replica, leaver), syncing(replica)) == (False, True)

    replica.start()
    replica.look(3)
    assert not active(replica, leaver)  # another process may be at it

    monkeypatch.setattr(watch, "BROKEN_OFF_AFTER", -1)
    replica.look(1)
    assert (active(replica, leaver), syncing(replica), replica.fault) == (True, False, "")


@both
def test_who_waits_for_an_intake_that_was_broken_off_is_woken_at_a_start(replica, monkeypatch):
    """The access of who had left stayed: the files were faulty, and nobody was woken."""
    break_off(replica, monkeypatch)
    replica.write("flows.yaml", "flows: 7")
    woken = []
    monkeypatch.setattr(touched, "release", woken.append)

    replica.start()
    replica.watch.begin()
    assert woken
    assert replica.watch.stop(30)

    replica.start()
    monkeypatch.setattr(watch, "BROKEN_OFF_AFTER", -1)
    woken.clear()
    replica.look(5)
    assert len(woken) == 1


def test_the_first_look_of_a_start_is_not_believed_alone(replica):
    """A file that was half written at a start deactivated who stood in the other half."""
    whole = (replica.folder / "people.yaml").read_text()
    replica.write("people.yaml", whole.partition("  - id: casey\n")[0])
    before = replica.people()

    replica.start()
    replica.look(1)
    replica.write("people.yaml", f"{whole}# 2\n")
    replica.look()

    assert replica.people() == before
    assert replica.fault == ""


def test_apply_does_not_believe_a_file_that_is_being_written(replica, monkeypatch):
    whole = (replica.folder / "people.yaml").read_text()
    replica.write("people.yaml", whole.partition("  - id: casey\n")[0])
    before, said = replica.people(), []
    monkeypatch.setattr(
        folders.time, "sleep", lambda _: replica.write("people.yaml", f"{whole}#\n")
    )

    folders.apply(replica.services, replica.folder, said.append)

    assert replica.people() == before
    assert len(said) == 1


def test_apply_of_what_is_in_force_waits_for_nothing(replica):
    folders.apply(replica.services, replica.folder, lambda _: None)
    said: list[str] = []

    folders.apply(replica.services, replica.folder, said.append)

    assert said == []


def test_apply_gives_up_on_files_that_change_at_each_look(replica, monkeypatch):
    whole, times = (replica.folder / "people.yaml").read_text(), itertools.count()
    monkeypatch.setattr(
        folders.time, "sleep", lambda _: replica.write("people.yaml", f"{whole}# {next(times)}\n")
    )
    replica.write("people.yaml", f"{whole}#\n")

    with pytest.raises(BadManifestsError) as raised:
        folders.apply(replica.services, replica.folder, lambda _: None)

    assert str(raised.value) == f"{replica.folder}: The files are being changed. Try again."


def rename_group(replica) -> None:
    for name in ("people.yaml", "flows.yaml"):
        text = (replica.folder / name).read_text()
        renamed = re.sub(r"\bengineering\b", "builders", text)
        replica.write(name, re.sub(r"\bEngineering\b", "Builders", renamed))


@both
def test_where_people_are_held_nothing_of_the_set_is_taken_in(replica):
    """Flows were open to a group that nobody was in, and the set was noted as applied."""
    rename_group(replica)
    before = replica.services.company()

    with capture_logs() as log:
        replica.look(4)

    now = replica.services.company()
    assert (now.flows, now.directory.groups) == (before.flows, before.directory.groups)
    assert replica.fault.startswith("held: ")
    assert "latchkey people accept" in replica.fault
    assert len([line for line in log if line["event"] == "out of order"]) == 1
    assert len(replica.said("latchkey people accept")) == 1
    assert not replica.said("were taken in.")
    with pytest.raises(TooMuchError):
        folders.apply(replica.services, replica.folder, lambda _: None)

    desk = Desk(replica.services.database, Companies(), replica.clock)
    people.accept(desk, manifests.load(replica.folder))
    assert syncing(replica)  # of the set, the rest is still to come
    replica.look(1)

    assert (replica.fault, syncing(replica)) == ("", False)
    assert replica.services.company().revisions != before.revisions


@both
def test_two_processes_with_different_sets_at_once_leave_one_of_them_whole(
    replica, other, monkeypatch
):
    """People were as one of them said, flows as the other."""
    before = replica.people()
    people = (replica.folder / "people.yaml").read_text()
    replica.write("people.yaml", people.partition("  - id: casey\n")[0])
    add_flow(other)
    replica.look(1)
    other.look(1)
    real = sync.compare

    def meanwhile(*given, **more):
        found = real(*given, **more)
        monkeypatch.setattr(sync, "compare", real)
        replica.look(1)
        return found

    monkeypatch.setattr(sync, "compare", meanwhile)
    other.look(1)

    assert "Brand new" in other.flows()
    assert other.people() == before
    assert not syncing(other)


def test_another_version_does_not_undo_what_others_have_taken_in(replica, other, monkeypatch):
    """The hash named the version: an upgraded replica took its former files for new ones."""
    add_flow(replica)
    replica.look()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    other.start()
    other.look(3)

    assert "Brand new" in other.flows()
    assert other.fault == OLDER


def test_a_fault_is_told_once_a_day_while_it_lasts(replica, other):
    other.write("flows.yaml", "flows: 7")
    add_flow(replica)
    replica.look()
    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    for day in range(1, 4):
        for each in (replica, other):
            each.look(3)
            each.clock.time += timedelta(days=1)
        assert len(replica.said("flows.yaml")) == day
        assert len(replica.said("applied before")) == day


@both
def test_what_was_told_is_taken_back_when_it_is_well_everywhere(replica, other):
    """An alarm stood in Slack for ever, and nobody knew whether it still was so."""
    for each in (replica, other):
        each.write("flows.yaml", "flows: 7")
        each.look(3)
    (told,) = replica.said("flows.yaml:")
    assert not told.startswith(WELL_AGAIN)

    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    replica.look(3)
    (said,) = replica.said("flows.yaml:")
    assert said.startswith(WELL_AGAIN)
    assert said.endswith(told)

    other.look(1)
    assert replica.said("flows.yaml:") == [told]

    shutil.copy(COMPANY / "flows.yaml", other.folder)
    other.start()
    other.look(3)
    (said,) = replica.said("flows.yaml:")
    assert said.startswith(WELL_AGAIN)
    with replica.services.database.read() as session:
        alarm = session.execute(
            select(MessageRow).where(
                col(MessageRow.detail) == said, col(MessageRow.recipient) == ADMIN
            )
        ).scalar_one()
    assert alarm.wanted == 4  # each is brought up to date in Slack


def test_what_was_told_days_ago_is_left_as_it_was(replica):
    replica.write("flows.yaml", "flows: 7")
    replica.look(3)
    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    replica.clock.time += timedelta(days=2)

    replica.look(3)

    (said,) = replica.said("flows.yaml:")
    assert not said.startswith(WELL_AGAIN)


def test_an_unexpected_fault_of_an_intake_is_told(replica, monkeypatch):
    def broken(*_):
        raise RuntimeError

    add_flow(replica)
    monkeypatch.setattr(sync, "flow_steps", broken)
    monkeypatch.setattr(watch, "EVERY", 0.01)

    replica.watch.begin()

    wait_until(lambda: replica.said("unexpected RuntimeError"))
    assert "unexpected RuntimeError" in replica.fault
    assert replica.watch.stop(30)


def test_a_system_that_is_listed_no_more_offers_nothing_and_stays_known(replica):
    integrations = (replica.folder / "integrations.yaml").read_text()
    more = integrations.partition("integrations:")[2].replace("orders-db", "second-db")
    replica.write("integrations.yaml", integrations + more.replace("Production", "Second"))
    replica.look()
    replica.write("integrations.yaml", f"{integrations}# one only\n")

    replica.look()

    with replica.services.database.read() as session:
        rows = {r.id: r.listed for r in session.execute(select(IntegrationRow)).scalars()}
    assert rows == {"orders-db": True, "second-db": False}


@pytest.mark.parametrize("body", ['"x"', "{}", '{"dsn": 7}', "[1"])
def test_what_is_stored_of_a_system_and_cannot_be_used_is_written_anew(replica, body):
    """After a restart access there lived on until `latchkey apply`."""
    services = replica.services
    with services.database.read() as session:
        before = servers.connections(session)
    with services.database.write() as tx:
        tx.execute(text("update integration set body = :body"), {"body": body})

    replica.start()
    replica.look(2)

    with services.database.read() as session:
        assert servers.connections(session) == before
    assert replica.fault == ""


def test_a_former_set_writes_nothing_anew(replica):
    add_flow(replica)
    replica.look()
    shutil.copy(COMPANY / "flows.yaml", replica.folder)
    with replica.services.database.write() as tx:
        tx.execute(text("update integration set body = '{}'"))

    replica.look(3)

    with replica.services.database.read() as session:
        (system,) = servers.connections(session)
    assert system.settings == {}
    assert replica.fault == OLDER
