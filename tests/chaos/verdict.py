"""What must be true when the dust has settled: of each request, message, account, of the audit."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, col

from bot.sandbox.client import Message
from bot.views.cards import head
from engine.outcome import Card
from engine.request import AccessRequest, GrantState, State
from storage import audit
from storage.tables import AccountRow, AuditRow, EntitlementRow, MessageRow, ResourceRow
from tests.chaos.history import Line, decided_while_away, wrong_in
from tests.chaos.people import HAND_MADE, OLD
from tests.chaos.trouble import PASSING
from tests.chaos.world import World
from tests.support.story import NotSeenError
from tests.support.waiting import looks

ONCE = ("submitted", "granted", "revoking", "rejected", *(s.value for s in State if s.final))
FOUND = ("removed", "not_removed", "vanished", "found", "stranger")
LIVE = {*OLD} - {"more"}  # buttons of a request that is not over
STANDING = ("orders", "SELECT")
_VERBS = {"read": {"SELECT"}, "read-write": {"SELECT", "INSERT", "UPDATE", "DELETE"}}
_DATABASES = ("orders", "ledger")
PATIENCE = 300.0  # seconds; other work may fill the machine

Privilege = tuple[str, str, str]  # login, object, what
T = TypeVar("T", bound=SQLModel)


@dataclass
class Verdict:
    """`wrong` says what does not hold; nothing: all does."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    log: str = ""  # of all bots

    def must(self, holds: object, sentence: str) -> None:
        if not holds:
            self.wrong.append(sentence)


def judge(world: World) -> Verdict:
    """Let everything come to rest, look; let all access end, look again."""
    verdict = Verdict(list(world.said.wrong))
    _rest(world, verdict, "after the troubles", _busy)
    held = _held(world)
    verdict.counts["held before the end"] = len(held)
    _access(world, verdict, held)
    _let_time_pass(world, verdict)
    _access(world, verdict, _held(world))
    requests = world.told.desk.requests(live=False)
    verdict.counts["requests"] = len(requests)
    for request in requests:
        _life_of(world, verdict, request)
        verdict.counts[request.state.value] += 1
    _promises(world, verdict, requests)
    _messages(world, verdict, {r.id: r for r in requests})
    _sessions(world, verdict)
    with world.told.desk.database.read() as session:
        verdict.wrong += audit.AuditReading(session).findings()
        entries = session.execute(select(AuditRow)).scalars().all()
    verdict.counts["audit"] = len(entries)
    for entry in entries:
        by_hand = entry.action == "found" and HAND_MADE in entry.body["login"]
        verdict.must(entry.action not in FOUND or by_hand, f"{entry.action}: {entry.body}")
    return verdict


# --- coming to rest ------------------------------------------------------------------------------


def _rest(world: World, verdict: Verdict, when: str, busy: Callable[[World], list[str]]) -> None:
    """Wait until there is nothing to do; a little time passes, for what waits for a pause."""
    left = [""]
    for _ in looks(PATIENCE):
        with suppress(*PASSING, NotSeenError):
            world.told.house.sandbox.advance(10)
        time.sleep(0.5)
        with suppress(DBAPIError):
            left = busy(world)
        if not left:
            return
    verdict.must(not left, f"{when}, never done: {left[:5]}")


def _busy(world: World) -> list[str]:
    """Return what is not as it should be."""
    rows = _rows(world, AccountRow)
    accounts = [_said(a) for a in rows if a.acted < a.wanted or a.lease]
    waiting = [m for m in _rows(world, MessageRow) if m.shown < m.wanted]
    messages = [f"{m.kind} to {m.recipient}" for m in waiting]
    moving = {State.GRANTING, State.REVOKING}
    live = world.told.desk.requests(live=True)
    return [*accounts, *messages, *(r.code for r in live if r.state in moving)]


def _said(account: AccountRow) -> str:
    """Say what is known of an account that should be otherwise."""
    names = ("wanted", "acted", "due_at", "attempts", "lease", "unknown_until", "faults")
    said = ", ".join(f"{name} {getattr(account, name)}" for name in names)
    return f"account of {account.person_id} ({said})"


def _let_time_pass(world: World, verdict: Verdict) -> None:
    def busy(world: World) -> list[str]:
        world.told.house.sandbox.advance(7200)
        return [r.code for r in world.told.desk.requests(live=True)] or _busy(world)

    _rest(world, verdict, "at the end", busy)


def _rows(world: World, table: type[T]) -> list[T]:
    with world.told.desk.database.read() as session:
        return list(session.execute(select(table)).scalars())


# --- access --------------------------------------------------------------------------------------


def _held(world: World) -> set[Privilege]:
    """Return what Latchkey's logins hold on tables, in all databases."""
    kinds = {v for verbs in _VERBS.values() for v in verbs}
    found = {p for name in _DATABASES for p in world.told.privileges(database=name)}
    return {p for p in found if p[2] in kinds}


def _access(world: World, verdict: Verdict, held: set[Privilege]) -> None:
    """Compare the real system, by its own lists, with what the ledger says."""
    logins = {a.id: a.login for a in _rows(world, AccountRow)}
    wanted: set[Privilege] = set()
    for request in world.told.desk.requests(live=True):
        if request.state is State.ACTIVE:
            for grant in request.grants:
                if grant.state is GrantState.HELD:
                    wanted.update(_comes_to(world, logins[grant.account], grant.entitlement))
    by_hand = {(login, *STANDING) for login in logins.values() if HAND_MADE in login}
    verdict.must(by_hand <= held, f"what was there before is gone: {by_hand - held}")
    held = held - by_hand
    wanted -= by_hand
    verdict.must(not held - wanted, f"held, but not by the ledger: {sorted(held - wanted)[:5]}")
    verdict.must(not wanted - held, f"in the ledger, but not held: {sorted(wanted - held)[:5]}")
    if not wanted:
        query = "select rolname from pg_roles where rolname like 'lk\\_%' and rolcanlogin"
        with psycopg.connect(world.told.house.cluster.superuser_dsn()) as connection:
            open_ = [name for (name,) in connection.execute(query)]
        verdict.must(not open_, f"logins still open: {open_}")


def _comes_to(world: World, login: str, entitlement: int) -> Iterator[Privilege]:
    with world.told.desk.database.read() as session:
        kind, path, permission = session.execute(
            select(col(ResourceRow.type), col(ResourceRow.path), col(EntitlementRow.permission))
            .join(EntitlementRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
            .where(col(EntitlementRow.id) == entitlement)
        ).one()
    names = path.split("/")
    tables = _tables(world, *names) if kind == "schema" else names[2:]
    for table in tables:
        for verb in _VERBS.get(permission, ()):
            yield (login, table, verb)


def _tables(world: World, database: str, schema: str) -> list[str]:
    query = """
        select relname from pg_class c join pg_namespace n on n.oid = relnamespace
        where nspname = %s and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    """
    with psycopg.connect(world.told.house.cluster.superuser_dsn(database)) as connection:
        return [name for (name,) in connection.execute(query, (schema,))]


def _sessions(world: World, verdict: Verdict) -> None:
    for account in _rows(world, AccountRow):
        verdict.must(not world.told.sessions(account.login), f"{account.login} is logged in")


# --- requests ------------------------------------------------------------------------------------


def _life_of(world: World, verdict: Verdict, request: AccessRequest) -> None:
    """No step of a life was taken twice, and it ended as the audit says."""
    entries = _entries(world, request)
    lines = [Line(e.at, e.actor, e.action, e.body) for e in entries]
    verdict.wrong += [
        f"{request.code}: {sentence}, {[line.action for line in lines]}"
        for sentence in wrong_in(lines, {request.requestor, request.grantee})
    ]
    history = [(e.action, e.actor) for e in entries]
    actions = Counter(action for action, _ in history)
    for once in ONCE:
        verdict.must(actions[once] <= 1, f"{request.code}: {once} {actions[once]} times")
    for (action, actor), times in Counter(history).items():
        if action == "approved":
            most = 1 + Counter(history)["withdrawn", actor]
            verdict.must(times <= most, f"{request.code}: approved {times} times by {actor}")
    for sentence in decided_while_away(lines, world.said.inactive):
        verdict.must(False, f"{request.code}: {sentence}")
    refused = actions["extension_refused"]
    extended = actions["extended"]
    verdict.must(
        request.extensions_used <= extended <= request.extensions_used + 2 * refused,
        f"{request.code}: extended {extended} times, used {request.extensions_used}",
    )
    verdict.must(request.state.final, f"{request.code} is still {request.state}")
    verdict.must(actions[request.state.value] == 1, f"{request.code}: {request.state}, {history}")
    verdict.counts["granted"] += actions["granted"]
    granted = request.state in {State.EXPIRED, State.RETURNED, State.REVOKED}
    if request.state is State.EXPIRED:
        verdict.must(actions["granted"] == 1, f"{request.code}: expired, never granted")
    if granted or request.state is State.FAILED:
        verdict.must(actions["approved"], f"{request.code}: {request.state}, never approved")
    else:
        verdict.must(not actions["granted"], f"{request.code}: granted, and {request.state}")


def _promises(world: World, verdict: Verdict, requests: list[AccessRequest]) -> None:
    """What people were told to be done was done, once."""
    marks = Counter(r.justification for r in requests)
    for mark in world.said.tried:
        verdict.must(marks[mark] <= 1, f"“{mark}” made {marks[mark]} requests")
    for mark in world.said.taken:
        verdict.must(marks[mark] == 1, f"“{mark}” was taken, and made {marks[mark]} requests")
    by_code, words = {r.code: r for r in requests}, Counter(world.said.words)
    for word in words:
        entries = _entries(world, by_code[word.code])
        done = Counter((e.action, e.actor) for e in entries)
        times, acknowledged = done[word.action, word.who], words[word]
        most = acknowledged if word.action != "approved" else 1 + done["withdrawn", word.who]
        verdict.must(
            acknowledged <= times <= most, f"{word}, {acknowledged} times, is {times} in the audit"
        )


def _entries(world: World, request: AccessRequest) -> list[AuditRow]:
    query = select(AuditRow).where(col(AuditRow.request_id) == request.id)
    with world.told.desk.database.read() as session:
        return list(session.execute(query.order_by(col(AuditRow.seq))).scalars())


# --- messages ------------------------------------------------------------------------------------


def _messages(world: World, verdict: Verdict, requests: dict[int, AccessRequest]) -> None:
    """Each card stands in Slack once, where the ledger says, and shows how it ended."""
    rows = _up_to_date(world)
    verdict.counts["messages"] = len(rows)
    for row in rows:
        verdict.must(row.shown == row.wanted, f"{row.kind} to {row.recipient} is not up to date")
    for name in sorted({row.recipient for row in rows}):
        known = world.told.desk.person(name)
        if known and known.slack:
            mine = [row for row in rows if row.recipient == name]
            _messages_of(world, verdict, known.slack, mine, requests)


def _up_to_date(world: World) -> list[MessageRow]:
    """Return the messages when nothing waits: something for the admins comes up at any time."""
    rows: list[MessageRow] = []
    for _ in looks(PATIENCE):
        rows = _rows(world, MessageRow)
        if all(row.shown == row.wanted for row in rows):
            break
    return rows


def _posts(world: World, id_: str) -> Iterator[str]:
    """Tell of each attempt to post a card: when, what came of it."""
    for call in world.told.house.sandbox.journal():
        if call["kind"] == "call" and id_ in str(call["arguments"].get("metadata", "")):
            told = {k: call[k] for k in ("time", "method", "status", "fault", "done", "seconds")}
            yield f"    {told}"


def _marks(message: Message) -> dict[str, Any]:
    marks: dict[str, Any] = message.raw.get("metadata", {}).get("event_payload", {})
    return marks


def _messages_of(
    world: World,
    verdict: Verdict,
    slack: str,
    rows: list[MessageRow],
    requests: dict[int, AccessRequest],
) -> None:
    stand: dict[str, list[Message]] = defaultdict(list)  # what was posted of each card, in order
    for message in world.told.house.sandbox.person(slack).messages():
        stand[_marks(message).get("id", "")].append(message)
    for row in rows:
        id_ = f"{row.request_id}/{row.kind}/{row.recipient}/{row.key}"
        posted = stand[id_]
        numbers = Counter(_marks(message).get("posting") for message in posted)
        times = f"{id_} was posted as {dict(numbers)}, and the last is {row.posted}"
        once = all(count == 1 for count in numbers.values())
        right = once and (not row.ts or (posted and posted[-1].ts == row.ts))
        verdict.must(right, times)
        if not right:
            verdict.wrong += _posts(world, id_)
        verdict.must(not row.earlier, f"{id_} has left {row.earlier}")
        for message in posted[:-1]:
            verdict.must(not message.buttons, f"{id_} has live buttons in an earlier posting")
        request = requests.get(row.request_id)
        if request is None or not row.ts or not posted:
            continue
        stale = LIVE & {action for action, _, _ in posted[-1].buttons}
        verdict.must(not stale, f"{id_} has live buttons: {stale}")
        if row.kind == Card.REQUEST:
            said = posted[-1].text
            verdict.must(head(request) in said, f"{id_} says “{said[:60]}”")
        verdict.counts["cards looked at"] += 1
