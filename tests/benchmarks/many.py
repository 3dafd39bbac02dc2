"""Latchkey's loops at work in this process, for many people at once.

The system is in memory, and both it and Slack answer at once: what takes time is Latchkey.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import insert, select

from bot import settings, wiring
from bot.program import Program
from bot.runtime.clock import Clock
from bot.runtime.metrics import Vitals
from bot.runtime.pool import Pool
from bot.runtime.services import Connected, Services
from bot.sandbox.house import COMPANY
from bot.slack.client import Client, Clients
from bot.slack.gate import Gate
from engine.account import Done
from engine.commands import Approve
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.connectors.memory import Memory
from engine.directory import Group, GroupId, Person, PersonId, SlackAccount
from engine.eligibility import Draft
from engine.flow import ApprovalRule, ApproverGroup, Extension, Revision
from engine.holdings import target_of
from engine.inventory import Entitlement, Integration, IntegrationId
from engine.port import Discovered, Holding, Login, Order, Secret, Target
from engine.request import AccessRequest, AccountId, RequestId, State
from engine.targets import Selector
from storage import accounts, apply, claims, clock, facts, messages, schema, sync, unit_of_work
from storage.codec import dump_request
from storage.database import Database
from storage.secrets import new_key
from storage.tables import AccountRow, AskRow, DecisionRow, GrantRow, MessageRow, RequestRow
from tests.support.front import MANY
from tests.support.stored import all_shown

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SYSTEM = IntegrationId("memory")
ASK, DECIDE = GroupId("file:ask"), GroupId("file:decide")
TABLES = [Discovered("table", f"t{n}", f"shop/t{n}", f"t{n}", {"read": 3}) for n in range(200)]


class Slack(Client):
    """Answers at once, and counts what was posted and updated."""

    def __init__(self) -> None:
        gate = Gate(MANY)
        super().__init__(lambda: "xoxb-0", "http://127.0.0.1:9/api/", 1, Vitals(), gate=gate)
        self._numbers = itertools.count(1)
        self.sent = 0

    def _send(self, method: str, given: dict[str, Any]) -> Any:
        del given
        self.sent += method.startswith("chat.")
        number = next(self._numbers)
        return {"ok": True, "ts": f"{number}.0", "channel": {"id": f"D{number}"}, "team_id": "T0"}


@dataclass
class Many:
    program: Program
    system: Memory
    slack: Slack

    @property
    def services(self) -> Services:
        return self.program.services

    @contextmanager
    def loops_at_work(self) -> Iterator[None]:
        """Run the loops as the program does: woken by commits, and once a second."""
        program = self.program
        running = [program.heartbeat, *program.loops.values()]
        program.database.on_commit.append(program.wake)
        for loop in running:
            loop.start()
        try:
            yield
        finally:
            for loop in running:
                loop.end()
            late = [loop.name for loop in running if not loop.join(60)]
            program.access.stop()
            program.messages.stop()
        if late:  # else what went wrong in between is what is told
            raise SystemExit(f"not ended: {', '.join(late)}")

    def holding(self, people: int, until: datetime) -> list[tuple[str, Target]]:
        """Let that many people hold an access that ends then; return logins and what they hold.

        One of them has lived so far; the others are copies of it, of other people.
        """
        offered, database = everything(self.services.database), self.services.database
        first = self._lived(until)
        with database.write() as tx:
            for table in (RequestRow, AccountRow, GrantRow, AskRow, DecisionRow, MessageRow):
                like = [dict(r) for r in tx.connection().execute(select(table)).mappings()]
                copies = [
                    _copy(row, first, n, offered[n % len(offered)].id)
                    for n in range(1, people)
                    for row in like
                ]
                tx.connection().execute(insert(table), copies)
            if not database.sqlite:
                tx.connection().exec_driver_sql("analyze")
        held = []
        for n in range(people):
            login = Login(apply.login_name(person(n)), person(n), Secret("x"))
            target = target_of(offered[n % len(offered)])
            self.system.apply(Order(login, [Holding(target, wanted=True)], HOUR))
            held.append((login.name, target))
        return held

    def submit(self, who: PersonId, now: datetime) -> AccessRequest:
        """Let somebody ask for an hour of the first thing that can be had."""
        company = self.services.company()
        asking = company.directory.people[who]
        draft = Draft(
            requestor=asking,
            grantee=asking,
            flow=next(iter(company.flows.values())),
            entitlements=(everything(self.services.database)[0],),
            duration=HOUR,
            justification="INC-42",
        )
        return self.services.write(lambda tx, c: apply.submit(tx, c, draft, f"of {who}", now))

    def _lived(self, until: datetime) -> AccessRequest:
        """Return a request of the first person as it is just before its end."""
        services, begun = self.services, until - HOUR
        made = self.submit(person(0), begun)
        self._told(begun)
        services.write(
            lambda tx, c: unit_of_work.carry_out(tx, c, made.id, Approve(approver(0)), begun)
        )
        done, ids = list[Done](), [made.grants[0].account]
        while works := services.write(
            lambda tx, c: accounts.turn(tx, c, services.desk, begun, done=done, ids=ids)  # noqa: B023
        )[0]:
            done, ids = [Done(w, self.system.apply(w.order)) for w in works if w.order], []
        services.transaction(
            lambda tx: accounts.forget_secret(tx, services.desk, made.grants[0].account, begun)
        )
        services.write(lambda tx, c: clock.tick(tx, c, [made.id], until - 10 * MINUTE))
        self._told(until)
        with services.database.read() as session:
            found = facts.request(session, made.id)
        assert found
        assert (found.state, found.ends_at) == (State.ACTIVE, until)
        return found

    def _told(self, now: datetime) -> None:
        services = self.services
        found = messages.ready(services.database, services.instance, now)
        shown = [all_shown(p, f"D-{p.recipient}") for p in found.mine]
        services.transaction(lambda tx: messages.settle(tx, services.instance, shown, now))


def _copy(row: dict[str, Any], first: AccessRequest, number: int, asked: int) -> dict[str, Any]:
    """Return a row of the first person's request as that of another person."""
    who = person(number)
    id_ = number + 1
    own = {
        "request_id": id_,
        "account_id": AccountId(id_),
        "entitlement_id": asked,
        "requestor_id": who,
        "grantee_id": who,
        "login": apply.login_name(who),
        "fingerprint": f"copy of {number}",
        "recipient": who if row.get("recipient") == first.grantee else row.get("recipient"),
        "person_id": who if row.get("person_id") == first.grantee else row.get("person_id"),
    }
    copied = {key: own.get(key, value) for key, value in row.items() if key != "id"}
    if "fingerprint" in row:
        grant = replace(first.grants[0], entitlement=asked, account=AccountId(id_))
        request = first.with_(id=RequestId(id_), requestor=who, grantee=who, grants=(grant,))
        copied["body"] = dump_request(request)
    return copied


@contextmanager
def opened(
    url: str,
    *,
    people: int,
    approvers: int = 1,
    clock: Clock | None = None,
    slack: Slack | None = None,
    pool: Callable[[int, str], Any] = Pool,
) -> Iterator[Many]:
    """Open a program with a company of so many people who ask, and so many who may approve."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    system, slack = Memory(TABLES), slack or Slack()
    given = settings.load(
        SLACK_BOT_TOKEN="xoxb-0",
        SLACK_APP_TOKEN="xapp-0",
        LATCHKEY_DATABASE_URL=url,
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
    )
    program = wiring.build(
        given,
        clock=clock,
        clients=Clients(slack, slack, None),
        connectors={SYSTEM: Connected(Integration(SYSTEM, "Production", "memory"), system)},
        pool=pool,
    )
    database = program.database
    schema.upgrade(database)
    everybody = [_somebody(person(n), ASK) for n in range(people)]
    everybody += [_somebody(approver(n), DECIDE) for n in range(approvers)]
    flow = Revision(
        "Reading",
        _of(ASK),
        (Selector(SYSTEM),),
        extension=Extension(2, HOUR / 2),
        approval=ApprovalRule((ApproverGroup("Approvers", _of(DECIDE)),)),
    )
    now = datetime.now(UTC)
    with database.write() as tx:
        sync.people(tx, everybody, [Group(g, "file", g) for g in (ASK, DECIDE)], now)
        sync.tie(tx, {p.id: SlackAccount("T0", f"U-{p.id}", p.email) for p in everybody}, now)
        sync.integrations(tx, [(SYSTEM, "Production", "memory", {})], now)
        sync.flows(tx, [(flow, True)], now)
    with database.write() as tx:
        sync.inventory(tx, SYSTEM, TABLES, now)
        database.instance = claims.register(tx)
    yield Many(program, system, slack)
    database.close()


def everything(database: Database) -> Sequence[Entitlement]:
    """Return all that can be had."""
    with database.read() as session:
        found = session.execute(facts.entitlement_query())
        return [facts.to_entitlement(row) for row in found]


def person(number: int) -> PersonId:
    return PersonId(f"p{number}")


def approver(number: int) -> PersonId:
    return PersonId(f"a{number}")


def _somebody(id_: PersonId, group: GroupId) -> Person:
    return Person(id_, f"{id_}@big.example", id_.upper(), groups=frozenset({group}))


def _of(group: GroupId) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, (group,)),))
