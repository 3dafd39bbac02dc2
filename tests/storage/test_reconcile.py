"""Reconciliation: the ledger compared with a real system, and what is told of it."""

from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from sqlalchemy import update

from bot.loops.access import AccessLoop
from bot.runtime.services import Connected, Services
from bot.usecases import reconcile
from bot.usecases.console import Desk
from bot.usecases.restored import restored
from engine.commands import Return
from engine.directory import PersonStatus
from engine.inventory import Integration
from engine.outcome import AuditEntry, Card
from engine.port import Outcome, Presence, Target, Unavailable
from engine.request import OPERATOR, AccountId, State
from storage import audit, jobs, sync
from storage.jobs import JobKind
from storage.reconcile import RESTORED
from storage.tables import AccountRow, AuditRow, JobRow, MessageRow
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DORA,
    GROUPS,
    HOUR,
    MINUTE,
    PEOPLE,
    PG,
    WIKI,
    WRITING,
    Stored,
)

ORDERS, CUSTOMERS = (
    Target("table", f"id:shop.{name}", f"shop.{name}", "read") for name in ("orders", "customers")
)


@dataclass
class Compared:
    """The company, its PostgreSQL, and what compares the two."""

    stored: Stored

    def __post_init__(self) -> None:
        connected = {PG: Connected(Integration(PG, "Production", "memory"), self.system)}
        stored = self.stored
        self.services = Services(stored.database, stored.companies, self, stored.keys, connected)
        self.access = AccessLoop(self.services)

    def now(self) -> datetime:
        return self.stored.now

    @property
    def system(self):
        return self.stored.systems[PG]

    def pass_(self) -> list[str]:
        """Compare everything; return what the admins were told by it."""
        before = set(self.told())
        self.stored.pass_(HOUR)
        reconcile.reconcile(self.services, self.access.aside, PG)
        return [said for said in self.told() if said not in before]

    def soon(self) -> bool:
        """Compare what was busy, a minute later; return whether there was anything."""
        self.stored.pass_(MINUTE)
        ids = jobs.due(self.stored.database, self.stored.now, 10)
        due = self.stored.write(
            lambda tx, _: jobs.claim(tx, self.stored.instance, ids, self.stored.now)
        )
        for job in due:
            assert job.kind is JobKind.RECONCILE_ACCOUNT
            account = AccountId(int(job.subject))
            again = reconcile.reconcile_account(self.services, self.access.aside, account)
            at = self.stored.now + again if again else None
            self.stored.write(lambda tx, _, j=job, a=at: jobs.done(tx, self.stored.instance, j, a))
        return bool(due)

    def told(self) -> list[str]:
        rows = self.stored.rows(MessageRow)
        return [m.key for m in rows if (m.kind, m.recipient) == (Card.ALARM, ADA)]

    def actions(self) -> list[str]:
        found = {"removed", "not_removed", "vanished", "found", "stranger"}
        return [a.action for a in self.stored.rows(AuditRow) if a.action in found]

    def counted(self, outcome: str) -> float | None:
        """Return how many ends came to that, by the metrics."""
        labels = {"integration": PG, "outcome": outcome}
        return self.services.vitals.registry.get_sample_value("latchkey_revokes_total", labels)

    def held(self, of: str = ALICE) -> set[Target]:
        return self.system.held[self.stored.account(of=of).login]


@pytest.fixture
def compared(stored):
    return Compared(stored)


def ended(stored, **more):
    """Let somebody have access, and give it back."""
    request = stored.submit(**more)
    stored.converge()
    stored.do(request, Return(request.grantee))
    stored.converge()
    assert stored.again(request).state is State.RETURNED
    return request


def test_what_is_as_the_ledger_says_is_not_spoken_of(compared, stored):
    ended(stored, by=BOB)
    stored.submit(duration=4 * HOUR)
    stored.converge()

    assert compared.pass_() == []
    assert compared.held() == {ORDERS}


def test_ended_access_is_removed_each_time_that_it_is_there_again(compared, stored):
    """It was told, and written into the audit, the first time only."""
    ended(stored)
    for _ in range(2):
        compared.held().add(ORDERS)

        (said,) = compared.pass_()

        assert said.startswith("removed/")
        assert compared.held() == set()
        assert compared.pass_() == []
    assert compared.actions() == ["removed", "removed"]


def test_what_somebody_else_gave_too_is_not_called_taken_away(compared, stored):
    """Whatever `apply` had nothing of its own to take away from was called taken away."""
    ended(stored)
    compared.held().add(ORDERS)
    compared.system.by_hand.add(ORDERS)

    (said,) = compared.pass_()

    assert said.startswith("found/")
    assert compared.pass_() == []
    assert compared.held() == {ORDERS}


def test_a_finding_is_told_once_while_it_stands_and_again_when_it_is_back(compared, stored):
    """What had been found once under a request was never spoken of again."""
    stored.submit(duration=4 * HOUR)
    stored.submit("read on shop.customers", by=BOB)
    stored.converge()
    for _ in range(2):
        compared.held().clear()
        compared.held().add(CUSTOMERS)

        vanished, found = sorted(compared.pass_(), reverse=True)
        assert vanished.startswith("vanished/")
        assert found.startswith("found/")
        assert compared.pass_() == []

        compared.held().clear()
        compared.held().add(ORDERS)
        assert compared.pass_() == []


def test_an_account_that_is_busy_is_compared_soon_after(compared, stored):
    """It was passed over in silence, until the next hour and perhaps then too."""
    ended(stored)
    compared.held().add(ORDERS)
    stored.submit("read on shop.customers")
    assert compared.pass_() == []
    assert compared.held() == {ORDERS}

    assert compared.soon()
    stored.converge()
    assert compared.soon()

    assert compared.held() == {CUSTOMERS}
    assert not compared.soon()


def test_an_account_that_this_process_left_leased_is_compared(compared, stored):
    """After a write-back that the database did not take, it was passed over until a restart."""
    ended(stored)
    compared.held().add(ORDERS)
    stored.write(lambda tx, _: tx.execute(update(AccountRow).values(lease=stored.instance)))

    assert len(compared.pass_()) == 1
    assert stored.account().lease is None


def test_what_cannot_be_taken_away_is_told_and_tried_again(compared, stored):
    """A system that went away between the two calls was told of as “not through Latchkey”."""
    ended(stored)
    compared.held().add(ORDERS)
    apply = compared.system.apply

    def away(_order):
        compared.system.apply = apply
        raise Unavailable("it went away")

    compared.system.apply = away
    (said,) = compared.pass_()
    assert said.startswith("not_removed/")
    assert compared.held() == {ORDERS}

    assert compared.soon()
    assert compared.held() == set()
    assert compared.actions() == ["not_removed", "removed"]
    assert (compared.counted("unavailable"), compared.counted("absent")) == (1, 1)


@pytest.mark.parametrize("fault", [Unavailable("away"), ValueError("a defect")])
def test_one_account_that_cannot_be_looked_at_stops_nobody(compared, stored, fault):
    """The accounts after it were not compared, this time and each time."""
    for person in (ALICE, BOB):
        ended(stored, by=person)
        compared.held(person).add(ORDERS)
    compared.system.faults = [fault]

    assert len(compared.pass_()) == 1
    assert (compared.held(ALICE), compared.held(BOB)) == ({ORDERS}, set())
    assert compared.soon()
    assert compared.held(ALICE) == set()


def test_a_system_that_is_away_is_not_asked_for_each_account(compared, stored):
    for person in (ALICE, BOB, DORA):
        ended(stored, by=person)
    compared.system.faults = [Unavailable("away")] * 9

    with pytest.raises(Unavailable):
        compared.pass_()
    assert all(a.lease is None for a in stored.rows(AccountRow))


def test_two_that_cannot_be_looked_at_keep_no_third_from_its_turn(compared, stored):
    for person in (ALICE, BOB, DORA):
        ended(stored, by=person)
    compared.system.faults = [Unavailable("away")] * 2

    compared.pass_()

    assert compared.system.faults == []  # and nothing is raised: the system is there


def test_faults_with_a_look_in_between_do_not_make_a_system_away(compared, stored, monkeypatch):
    for person in (ALICE, BOB, DORA):
        ended(stored, by=person)
    inspect, seen = compared.system.inspect, []

    def now_and_then(login, targets, **more):
        seen.append(login.name)
        if len(seen) != 2:
            raise Unavailable("away")
        return inspect(login, targets, **more)

    monkeypatch.setattr(compared.system, "inspect", now_and_then)
    monkeypatch.setattr(reconcile, "SILENT", 2)
    compared.pass_()

    assert len(seen) == 3  # and nothing is raised: the system is there


def test_a_busy_account_is_left_where_its_system_is_not_what_it_was(compared, stored):
    stored.submit(duration=9 * HOUR)
    stored.converge()
    account = AccountId(stored.account().id)
    compared.system.calls.clear()

    compared.system.name = "another"
    assert reconcile.reconcile_account(compared.services, compared.access.aside, account) is None
    del compared.services.connected[PG]  # it is out of order
    assert reconcile.reconcile_account(compared.services, compared.access.aside, account) is None

    assert compared.system.calls == []


def test_what_ended_before_the_backup_was_put_back_is_only_reported(compared, stored):
    """F11: what it calls ended may have begun anew since the backup was made."""
    ended(stored)
    stored.pass_(MINUTE)
    stored.write(
        lambda tx, _: audit.append(tx, [(None, AuditEntry(RESTORED, OPERATOR))], stored.now)
    )
    compared.held().add(ORDERS)

    (said,) = compared.pass_()
    assert said.startswith("found/")
    assert compared.held() == {ORDERS}

    compared.held().clear()
    ended(stored)
    compared.held().add(ORDERS)
    assert compared.pass_()
    assert compared.held() == set()


def put_back(compared) -> list[str]:
    """Say that the database is a backup's; return whose access keeps what it may have got since."""
    desk = Desk(compared.stored.database, compared.stored.companies, compared)
    return [r.code for r in restored(desk, compared.services.connected)]


@pytest.mark.parametrize("at", ["never", "infinity", "9999-12-31 00:00:00"])
def test_a_backup_is_put_back_whatever_moment_an_entry_names(compared, stored, owner, kind, at):
    """One entry of a moment that cannot be read, and `db restored` ended in a traceback."""
    request = stored.submit(duration=HOUR)
    stored.converge()
    end = max(r.seq for r in stored.rows(AuditRow))
    moment = "-infinity" if at == "never" and kind == "postgresql" else at
    with owner.write() as tx:
        tx.connection().exec_driver_sql(f"update audit set at = '{moment}' where seq = {end}")  # noqa: S608
    stored.pass_(65 * MINUTE)

    assert put_back(compared) == [request.code]


def test_access_that_may_have_been_extended_since_the_backup_is_kept(compared, stored):
    """F11: a restore from a backup ended what had been renewed since."""
    request = stored.submit(duration=HOUR)
    stored.converge()
    stored.pass_(65 * MINUTE)  # the extension, half an hour ago, was lost with the database

    assert put_back(compared) == [request.code]
    stored.tick()
    stored.converge()

    assert stored.again(request).ends_at == stored.now + 55 * MINUTE
    assert compared.held() == {ORDERS}
    assert any(said.startswith(f"restored/{request.code}/") for said in compared.told())
    stored.pass_(HOUR)
    stored.tick()
    stored.converge()
    assert stored.again(request).state is State.EXPIRED
    assert compared.held() == set()


def test_once_a_backup_is_put_back_all_is_compared_and_no_id_comes_again(compared, stored):
    request = stored.submit(duration=HOUR)
    stored.converge()
    stored.pass_(65 * MINUTE)

    put_back(compared)

    due = {(job.kind, job.subject) for job in stored.rows(JobRow) if job.due_at <= stored.now}
    assert {(JobKind.RECONCILE, PG), (JobKind.RECONCILE, WIKI)} <= due
    assert stored.submit("read on shop.customers").id >= request.id + 10_000 + 60


def test_access_that_was_taken_away_since_the_backup_is_not_given_again(compared, stored):
    """F6: nor by the way, with other access of the same login that was kept."""
    for what in ("read on shop.orders", "read on shop.customers"):
        stored.submit(what, duration=HOUR)
    stored.converge()
    compared.held().discard(ORDERS)

    assert put_back(compared) == []
    stored.tick()
    stored.converge()
    assert compared.held() == {CUSTOMERS}


def test_access_in_a_system_that_is_away_ends_by_what_the_backup_knows(compared, stored):
    request = stored.submit(duration=HOUR)
    stored.converge()
    compared.system.faults = [Unavailable("away")]

    assert put_back(compared) == []
    assert stored.again(request).extensions_used == 0


def test_access_on_another_server_than_the_backup_knows_is_not_extended(compared, stored):
    """What its numbers mean there, nobody knows."""
    stored.submit(duration=HOUR)
    stored.converge()
    compared.system.name = "another"

    assert put_back(compared) == []


def test_a_login_that_the_ledger_does_not_know_is_told_once(compared, stored):
    ended(stored)
    compared.system.held["lk_nobody_123456"] = set()

    (said,) = compared.pass_()

    assert said == "stranger/pg/lk_nobody_123456"
    assert compared.pass_() == []
    assert compared.actions() == ["stranger"]
    assert compared.soon(), "the look that follows the end"
    assert not [j for j in stored.rows(JobRow) if j.kind == JobKind.RECONCILE_ACCOUNT]


# --- whatever became of its request ---------------------------------------------------------------


def refused(stored):
    """Let somebody be refused what was begun for them."""
    stored.systems[PG].refused = {"write"}
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.approve(request)
    stored.converge()
    assert stored.again(request).state is State.FAILED
    return request


WRITE = replace(ORDERS, permission="write")


def test_what_was_refused_and_is_there_all_the_same_is_removed(compared, stored):
    """A login to which nothing was ever confirmed was never looked at."""
    refused(stored)
    compared.system.held.setdefault(stored.account().login, set()).add(WRITE)

    (said,) = compared.pass_()

    assert said.startswith("removed/")
    assert compared.held() == set()
    assert compared.pass_() == []


def test_what_was_refused_of_a_request_that_runs_is_removed(compared, stored):
    stored.systems[PG].refused = {"write"}
    request = stored.submit("read on shop.orders", "write on shop.orders", flow=WRITING)
    stored.approve(request)
    stored.converge()
    assert stored.again(request).state is State.ACTIVE
    compared.held().add(WRITE)

    (said,) = compared.pass_()

    assert said.startswith("removed/")
    assert compared.held() == {ORDERS}


def test_what_was_returned_before_it_was_confirmed_is_removed(compared, stored):
    request = stored.submit()
    compared.system.faults = [Unavailable("the answer was lost")]
    stored.converge()
    stored.do(request, Return(ALICE))
    stored.converge()
    assert stored.again(request).state is State.RETURNED
    compared.held().add(ORDERS)

    (said,) = compared.pass_()

    assert said.startswith("removed/")


def test_what_was_never_begun_is_only_reported(compared, stored):
    request = stored.submit("write on shop.orders", flow=WRITING)
    stored.reject(request)
    ended(stored)
    compared.held().add(WRITE)

    (said,) = compared.pass_()

    assert said.startswith("found/")
    assert compared.held() == {WRITE}


def test_all_that_is_not_explained_is_named_at_once_and_each_thing_once(compared, stored):
    """Only what had been granted to somebody was ever looked for."""
    stored.submit(duration=9 * HOUR)
    stored.converge()
    strange = {replace(ORDERS, source_id=f"s{n}", path=f"secret.t{n:02}") for n in range(23)}
    compared.held().update(strange)

    (said,) = compared.pass_()
    told = next(m.detail for m in stored.rows(MessageRow) if m.key == said)
    assert "read on secret.t00; read on secret.t01;" in told
    assert told.endswith("read on secret.t19; and 3 more. It was left as it is.")
    assert compared.held() == {ORDERS, *strange}
    assert compared.pass_() == []

    compared.held().add(CUSTOMERS)
    (said,) = compared.pass_()
    told = next(m.detail for m in stored.rows(MessageRow) if m.key == said)
    assert "read on shop.customers. " in told
    assert "secret" not in told


def test_what_stood_before_explains_itself(compared, stored):
    ended(stored)
    compared.held().add(CUSTOMERS)
    stored.submit("read on shop.customers")
    stored.converge()

    assert compared.pass_() == []


def test_a_look_follows_the_last_end_of_a_login(compared, stored):
    """What was left on it was found an hour later, or never."""
    request = stored.submit()
    stored.converge()
    compared.held().add(CUSTOMERS)
    stored.do(request, Return(ALICE))
    stored.converge()

    assert compared.soon()

    assert [said.partition("/")[0] for said in compared.told()] == ["found"]


def test_a_system_that_cannot_name_all_is_asked_again_and_nothing_is_told_twice(compared, stored):
    ended(stored)
    compared.held().add(CUSTOMERS)
    assert len(compared.pass_()) == 1
    unexplained = compared.system.unexplained

    def away(*_):
        raise Unavailable("away")

    compared.system.unexplained = away
    compared.held().add(ORDERS)
    (said,) = compared.pass_()
    assert said.startswith("removed/"), "what was seen counts"

    compared.system.unexplained = unexplained
    assert compared.soon()
    assert compared.pass_() == []


def test_what_is_left_out_by_now_is_kept_with_the_grant(compared, stored):
    compared.system.left_out = {"shop.orders": "t1, which belongs to postgres"}
    request = stored.submit(duration=9 * HOUR)
    stored.converge()
    assert stored.again(request).grants[0].left_out == "t1, which belongs to postgres"
    compared.system.left_out = {"shop.orders": "t2, which belongs to postgres"}

    assert compared.pass_() == []

    assert stored.again(request).grants[0].left_out == "t2, which belongs to postgres"
    told = [a.body["left_out"] for a in stored.rows(AuditRow) if a.action == "left_out"]
    assert told == ["t1, which belongs to postgres", "t2, which belongs to postgres"]


def test_another_server_is_not_compared(compared, stored):
    """All access had vanished, by what another server's numbers meant."""
    stored.submit(duration=9 * HOUR)
    stored.converge()
    compared.system.name, there = "another", dict(compared.system.held)
    compared.system.held.clear()

    assert compared.pass_() == []
    compared.system.name, compared.system.held = "", there
    assert compared.pass_() == []


# --- logins that are no longer needed ------------------------------------------------------------


def dropped(compared):
    """Return what the audit says of logins that were dropped."""
    rows = compared.stored.rows(AuditRow)
    return [row.body for row in rows if row.action == "login_dropped"]


def leave(stored, of=ALICE):
    """Let somebody be missing in the directory."""
    people = [p for p in PEOPLE if p.id != of]
    with stored.database.write() as tx:
        sync.people(tx, people, GROUPS, stored.now)


def test_a_login_that_has_held_nothing_for_ninety_days_is_dropped(compared, stored):
    """Nothing called the connector's `cleanup`: logins piled up."""
    ended(stored)
    login = stored.account().login
    stored.pass_(89 * 24 * HOUR)
    compared.pass_()
    assert login in compared.system.held

    stored.pass_(24 * HOUR)

    assert compared.pass_() == []
    assert login not in compared.system.held
    assert dropped(compared) == [{"login": login, "access": [], "notes": []}]
    kept = stored.account()
    assert (kept.made, kept.secret, kept.proof, kept.trace) == (False, None, None, None)
    compared.pass_()
    assert len(dropped(compared)) == 1


def test_who_asks_after_their_login_was_dropped_gets_another(compared, stored):
    ended(stored)
    stored.pass_(91 * 24 * HOUR)
    compared.pass_()

    stored.submit()
    stored.converge()

    assert compared.held() == {ORDERS}
    assert stored.secret(stored.account()) is not None


def test_a_login_in_use_is_not_dropped(compared, stored):
    """An access without end is older than any number of days."""
    first = ended(stored)
    stored.submit("read on shop.customers", duration=None)
    stored.converge()
    stored.pass_(400 * 24 * HOUR)

    compared.pass_()

    assert compared.held() == {CUSTOMERS}
    assert dropped(compared) == []
    assert stored.again(first).state is State.RETURNED


def test_the_login_of_who_left_is_dropped_at_once(compared, stored):
    ended(stored)
    ended(stored, by=BOB)
    stored.pass_(MINUTE)
    while compared.soon():
        pass

    leave(stored)

    assert compared.soon()
    assert stored.account().login not in compared.system.held
    assert stored.account(of=BOB).login in compared.system.held


def test_who_leaves_while_they_have_access_loses_it_and_then_the_login(compared, stored):
    stored.submit()
    stored.converge()

    leave(stored)
    stored.wake_touched()
    stored.tick()
    stored.converge()

    assert compared.soon()
    assert stored.account().login not in compared.system.held


def test_what_a_login_leaves_behind_is_told(compared, stored):
    ended(stored)
    compared.system.notes = ("The role heir owns, in shop, what it made: table x.",)
    compared.held().add(CUSTOMERS)  # by somebody else's doing
    leave(stored)

    (said,) = compared.pass_()

    assert said.startswith("dropped/")
    assert [d["access"] for d in dropped(compared)] == [["read on shop.customers"]]
    assert [d["notes"] for d in dropped(compared)] == [list(compared.system.notes)]


def test_a_login_that_cannot_be_dropped_is_told_once_and_tried_again(compared, stored):
    ended(stored)
    stored.pass_(91 * 24 * HOUR)
    cleanup = compared.system.cleanup
    compared.system.cleanup = unavailable

    assert [said.partition("/")[0] for said in compared.pass_()] == ["kept"]
    assert compared.pass_() == []

    compared.system.cleanup = cleanup
    assert compared.pass_() == []
    assert stored.account().login not in compared.system.held


def test_what_others_gave_to_a_login_keeps_it_while_its_owner_is_there(compared, stored):
    """It may be theirs by right; there was no asking whether it was used."""
    ended(stored)
    compared.held().add(CUSTOMERS)
    stored.pass_(400 * 24 * HOUR)

    assert [said.partition("/")[0] for said in compared.pass_()] == ["found"]
    assert compared.pass_() == []
    assert compared.held() == {CUSTOMERS}

    compared.held().clear()
    compared.pass_()
    assert stored.account().login not in compared.system.held


def test_who_has_not_begun_yet_keeps_their_login(compared, stored):
    """Who is pre-boarding may receive access: theirs was dropped after each."""
    ended(stored)
    people = [replace(p, status=PersonStatus.PRE_BOARDING) if p.id == ALICE else p for p in PEOPLE]
    with stored.database.write() as tx:
        sync.people(tx, people, GROUPS, stored.now)

    compared.pass_()

    assert dropped(compared) == []


@pytest.mark.parametrize("left", [False, True])
def test_after_a_restore_a_login_that_holds_something_is_not_dropped(compared, stored, left):
    """What was given since the backup is in no ledger: it ran, and was ended."""
    ended(stored)
    stored.pass_(91 * 24 * HOUR)
    compared.held().add(CUSTOMERS)
    restore(compared)
    if left:
        leave(stored)

    compared.pass_()

    assert compared.held() == {CUSTOMERS}
    assert dropped(compared) == []


def restore(compared):
    """Note that the database was just put back from a backup."""
    entry = AuditEntry(RESTORED, OPERATOR)
    compared.stored.write(lambda tx, _: audit.append(tx, [(None, entry)], compared.stored.now))


def test_what_cannot_be_seen_whole_is_not_dropped(compared, stored):
    """Where another server answered, its login of that name was dropped."""
    ended(stored)
    stored.pass_(91 * 24 * HOUR)
    inspect = compared.system.inspect
    compared.system.inspect = lambda _, targets, **__: dict.fromkeys(
        targets, Outcome(Presence.UNKNOWN, "another server answers")
    )
    compared.pass_()
    assert dropped(compared) == []

    compared.system.inspect = inspect
    compared.pass_()
    assert len(dropped(compared)) == 1


def test_a_login_whose_comparison_was_broken_off_is_dropped_all_the_same(compared, stored):
    """It stayed in doubt for ever, and so it stayed."""
    ended(stored)
    with stored.database.write() as tx:
        tx.execute(update(AccountRow).values(unknown_until=stored.now + MINUTE))
    leave(stored)
    compared.pass_()

    assert stored.account().login not in compared.system.held


def unavailable(_login):
    raise Unavailable("the role heir is not as it should be", lasting=True)


def test_a_login_that_was_there_before_is_not_dropped(compared, stored):
    """Latchkey did not make it: the wiki has its own."""
    compared.stored.systems[PG].generates_login = False
    stored.kinds = {**stored.kinds, PG: stored.kinds[WIKI]}
    ended(stored)
    stored.pass_(400 * 24 * HOUR)

    compared.pass_()

    assert dropped(compared) == []
