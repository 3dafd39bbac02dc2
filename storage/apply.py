"""The only writer of decisions: request, grants, asks, accounts, messages and audit in one step.

Locks are taken in one order: the company (shared), the requestor who submits (`facts.open_by`),
requests by id, accounts by id, messages by id, the audit's head last.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy import (
    String,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlmodel import col

from engine import lifecycle
from engine.account import Priority, login_name
from engine.alarms import Said
from engine.directory import PersonId
from engine.eligibility import Draft
from engine.errors import LatchkeyError
from engine.facts import Facts
from engine.flow import FlowId
from engine.holdings import calls
from engine.inventory import EntitlementId, IntegrationId
from engine.outcome import AuditEntry, Card, Decision, Tell, once
from engine.request import (
    AccessRequest,
    AccountId,
    Ask,
    Grant,
    RequestId,
    State,
)
from storage import audit, batch, cards, new_ids, rebuilt
from storage.cards import Wanted
from storage.codec import dump_request
from storage.company import Company
from storage.database import Write
from storage.new_ids import Renamed
from storage.tables import (
    AccountRow,
    AskRow,
    CompanyRow,
    DecisionRow,
    DeliveryRow,
    GrantRow,
    RequestRow,
)
from storage.types import among

log = structlog.get_logger()

_SEEN = {"id": "of", "version": "seen"}
_NEW_REQUEST = insert(RequestRow).returning(col(RequestRow.id))
_LARGEST = func.coalesce(select(func.max(col(RequestRow.id))).scalar_subquery(), 0)
_FROM = func.coalesce(select(col(CompanyRow.requests_from)).scalar_subquery(), 1)
_NEXT_ON_SQLITE = select(func.max(_LARGEST + 1, _FROM))  # the larger one
_TABLE, _ID_COLUMN = literal_column("'request'", String), literal_column("'id'", String)
# As often as it takes: to set a sequence is its owner's alone.
_TAKE_IDS = text(
    "select count(nextval(pg_get_serial_sequence('request', 'id'))) from generate_series(1, :many)"
)
_TAKE_ID = select(func.nextval(func.pg_get_serial_sequence(_TABLE, _ID_COLUMN)))
_DELIVERED = (
    select(col(DeliveryRow.request_id))
    .where(col(DeliveryRow.key) == bindparam("key"))
    .order_by(col(DeliveryRow.number))
)
_KNOWN_ACCOUNTS = select(col(AccountRow.integration_id), col(AccountRow.id)).where(
    col(AccountRow.person_id) == bindparam("person"),
    among(col(AccountRow.integration_id), "systems"),
)
_IN_ORDER = (
    select(col(AccountRow.id))
    .where(among(col(AccountRow.id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(key_share=True)  # a new grant may point to it meanwhile
)
_BUMP_ACCOUNTS = (
    update(AccountRow)
    .where(col(AccountRow.id).in_(_IN_ORDER))
    .values(
        wanted=col(AccountRow.wanted) + 1,
        due_at=bindparam("due_at"),
        priority=case(
            (among(col(AccountRow.id), "ending"), Priority.ENDS.value),
            else_=col(AccountRow.priority),
        ),
        attempts=0,
    )
)


class LostRaceError(LatchkeyError):
    """Somebody else changed the request meanwhile. Load it and decide again."""


def submit(
    tx: Write,
    company: Company,
    draft: Draft,
    key: str,
    now: datetime,
    *,
    number: int = 0,
    instead: tuple[AccessRequest, Decision] | None = None,
) -> AccessRequest:
    """Store a new request; `key` is the delivery that it came by, and makes it once.

    `number` tells those apart that come of one delivery, in one transaction; the first has 0.
    `instead` is a request, and the decision that changes it to this one, whose id is taken.

    Raises IntegrityError where another process stored the same request, or the same delivery, at
    this moment: look them up with `delivered` and `facts.same`.
    """
    request = lifecycle.drafted(draft, _accounts(tx, draft), now)
    # How it begins does not depend on its id, which the database gives: only what is said does.
    begun = lifecycle.begin(request, _facts(company, draft), now).request
    columns = _columns(begun, fingerprint(draft)) | {"wake_at": wake(company, begun, now)}
    earlier = [instead] if instead else []
    renamed = _renamed(company, earlier)
    if instead:
        columns["id"] = instead[1].request.changed_to
        _store_requests(tx, company, earlier, now)  # first: there is one of the same at a time
        new_ids.carry_columns(tx, renamed)
        _store_grants(tx, earlier)
    elif tx.dialect == "sqlite":
        columns["id"] = next_id(tx)
    ((id_,),) = tx.ask(_NEW_REQUEST, columns)
    request = request.with_(id=RequestId(id_ or 0))
    batch.add(tx, DeliveryRow, [{"key": key, "number": number, "request_id": request.id}])
    batch.add(tx, GrantRow, [grant_columns(request.id, g) for g in request.grants])
    decision = lifecycle.begin(request, _facts(company, draft), now)
    _project(tx, [*earlier, (request, decision)], now, renamed=renamed, new=not earlier)
    return decision.request


def next_id(tx: Write) -> RequestId:
    """Return the id of the request that is stored next; it is nobody else's any more."""
    ((id_,),) = tx.ask(_NEXT_ON_SQLITE if tx.dialect == "sqlite" else _TAKE_ID)
    return RequestId(id_ or 0)


def skip_ids(tx: Write, many: int) -> None:
    """Give so many ids to no request: others had them, who are not in the database any more."""
    if tx.dialect == "sqlite":
        ((next_,),) = tx.ask(_NEXT_ON_SQLITE)
        tx.execute(update(CompanyRow).values(requests_from=next_ + many))
    else:
        tx.execute(_TAKE_IDS, {"many": many})


def weight(before: AccessRequest, decision: Decision) -> int:
    """Return how many rows it takes, at most, to store a decision."""
    after = decision.request
    asks = set(before.asks) ^ set(after.asks) if after.asks != before.asks else ()
    grants = sum(g != old for old, g in zip(before.grants, after.grants, strict=True))
    cards = len(before.named - after.named) if asks or after.parties != before.parties else 0
    return 1 + len(asks) + cards + 2 * grants + len(decision.tell) + len(decision.audit)


def _facts(company: Company, draft: Draft) -> Facts:
    return Facts(
        directory=company.directory,
        flow=draft.flow,
        revision=draft.flow.revision,
        admins=company.admins,
        entitlements={e.id: e for e in draft.entitlements},
        channel=company.channel(draft.flow.revision),
    )


def fingerprint(draft: Draft) -> str:
    """Name what makes two requests the same: grantee, flow, entitlements, start."""
    things = (e.id for e in draft.entitlements)
    return same_as(draft.grantee.id, draft.flow.id, things, draft.starts_at)


def same_as(
    grantee: PersonId,
    flow: FlowId,
    entitlements: Iterable[EntitlementId],
    starts_at: datetime | None,
) -> str:
    """Return the fingerprint of a request for this."""
    start = [starts_at.astimezone(UTC).isoformat()] if starts_at else []
    same = [grantee, flow, sorted(entitlements), *start]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()


def delivered(tx: Write, key: str) -> tuple[RequestId, ...]:
    """Return all requests that a delivery made, if it was here before, in their order."""
    return tuple(RequestId(id_) for (id_,) in tx.ask(_DELIVERED, {"key": key}))


def store(
    tx: Write,
    company: Company,
    decisions: Sequence[tuple[AccessRequest, Decision]],
    now: datetime,
    extra: Sequence[tuple[RequestId | None, AuditEntry]] = (),
) -> None:
    """Store decisions, with all that follows from them. `extra` goes into the audit only."""
    changed = [(b, d) for b, d in decisions if d.request != b or d.tell or d.audit]
    quiet = [d.request for b, d in decisions if not (d.request != b or d.tell or d.audit)]
    lost = rebuilt.kept(tx, [b.id for b, _ in changed if not b.readable])
    renamed = _renamed(company, changed)
    _store_requests(tx, company, changed, now)
    new_ids.carry_columns(tx, renamed)
    _store_wakes(tx, company, quiet, now)
    _store_grants(tx, changed)
    _project(tx, changed, now, [*lost, *extra], renamed)


def _project(
    tx: Write,
    changed: Sequence[tuple[AccessRequest, Decision]],
    now: datetime,
    extra: Sequence[tuple[RequestId | None, AuditEntry]] = (),
    renamed: Sequence[Renamed] = (),
    *,
    new: bool = False,
) -> None:
    """Store what follows from requests that are stored: who is asked, told, to be served.

    `new`: of requests that were just made, nobody has a card yet.
    """
    _store_asks(tx, changed)
    _bump_accounts(tx, changed, now)
    new_ids.carry_cards(tx, renamed)
    _store_messages(tx, changed, now, new=new)
    entries = [(d.request.id, e) for _, d in changed for e in d.audit]
    audit.append(tx, [*entries, *extra], now)


def _renamed(company: Company, changed: Iterable[tuple[AccessRequest, Decision]]) -> list[Renamed]:
    """Return those that named people by ids which they had."""
    formerly = company.directory.formerly
    found = []
    for before, decision in changed if formerly else ():
        after = decision.request
        if ids := {old: formerly[old] for old in before.named - after.named if old in formerly}:
            same = same_as(after.grantee, after.flow, after.entitlements, after.starts_at)
            found.append(Renamed(after, ids, same))
    return found


def _store_requests(
    tx: Write,
    company: Company,
    changed: Sequence[tuple[AccessRequest, Decision]],
    now: datetime,
) -> None:
    rows = [
        {
            "of": before.id,
            "seen": before.version,
            "state": decision.request.state.value,
            "version": before.version + 1,
            "attempts": 0,
            "wake_at": wake(company, decision.request, now),
            "body": dump_request(decision.request),
        }
        for before, decision in changed
    ]
    to = ("state", "version", "attempts", "wake_at", "body")
    if batch.change(tx, RequestRow, rows, where=_SEEN, to=to) != len(rows):
        raise LostRaceError


def _store_wakes(
    tx: Write, company: Company, quiet: Iterable[AccessRequest], now: datetime
) -> None:
    rows = [
        {"of": r.id, "seen": r.version, "attempts": 0, "wake_at": wake(company, r, now)}
        for r in quiet
    ]
    batch.change(tx, RequestRow, rows, where=_SEEN, to=("attempts", "wake_at"))


def wake(company: Company, request: AccessRequest, now: datetime) -> datetime | None:
    """Return when the clock is to look at the request again; None: only a command changes it."""
    return lifecycle.wake(request, company.revision(request.flow, request.revision), now)


def _columns(request: AccessRequest, same: str) -> dict[str, object]:
    return {
        "state": request.state.value,
        "version": request.version,
        "attempts": 0,
        "requestor_id": request.requestor,
        "grantee_id": request.grantee,
        "flow_id": request.flow,
        "revision": request.revision,
        "fingerprint": same,
        "submitted_at": request.submitted_at,
        "body": dump_request(request),
    }


def grant_columns(request: RequestId, grant: Grant) -> dict[str, object]:
    """Return a grant as its row has it."""
    return {
        "request_id": request,
        "number": grant.id,
        "entitlement_id": grant.entitlement,
        "account_id": grant.account,
        "state": grant.state.value,
        "begun": grant.begun,
        "open": grant.open,
    }


def _store_grants(tx: Write, changed: Iterable[tuple[AccessRequest, Decision]]) -> None:
    rows = [
        {
            "of": decision.request.id,
            "n": grant.id,
            "state": grant.state.value,
            "begun": grant.begun,
            "open": grant.open,
        }
        for before, decision in changed
        for old, grant in zip(before.grants, decision.request.grants, strict=True)
        if grant != old or not before.readable
    ]
    of = {"request_id": "of", "number": "n"}
    batch.change(tx, GrantRow, rows, where=of, to=("state", "begun", "open"))
    for request in (decision.request for before, decision in changed if not before.readable):
        # Such a row is no grant of its: it would keep its account from being worked on.
        mine = [grant.id for grant in request.grants]
        others = (col(GrantRow.request_id) == request.id, col(GrantRow.number).not_in(mine))
        tx.execute(update(GrantRow).where(*others).values(open=False))


def _store_asks(tx: Write, changed: Iterable[tuple[AccessRequest, Decision]]) -> None:
    asks: list[dict[str, object]] = []
    decisions: list[dict[str, object]] = []
    for before, decision in changed:
        after = decision.request
        known = set(before.asks)
        asks += [_ask_columns(after.id, a) for a in after.asks if a not in known]
        decisions += [
            _verdict(after.id, a.person, "approved", a.reason, a.at)
            for a in after.approvals
            if a not in before.approvals
        ]
        stand = {a.person for a in after.approvals}
        if gone := [a.person for a in before.approvals if a.person not in stand]:
            of = (col(DecisionRow.request_id) == after.id, col(DecisionRow.person_id).in_(gone))
            tx.execute(delete(DecisionRow).where(*of))
        if after.state is State.REJECTED and after.decided:
            by = after.decided
            decisions.append(_verdict(after.id, by.by, "rejected", by.reason, by.at))
    batch.add(tx, AskRow, asks, key=("request_id", "person_id", "seat"), change=("why", "open"))
    batch.add(
        tx,
        DecisionRow,
        decisions,
        key=("request_id", "person_id"),
        change=("verdict", "reason", "at"),
    )


def _ask_columns(request: RequestId, ask: Ask) -> dict[str, object]:
    return {
        "request_id": request,
        "person_id": ask.person,
        "seat": ask.seat.key,
        "tier": ask.seat.tier,
        "group": ask.seat.group,
        "why": ask.why,
        "open": ask.open,
    }


def _verdict(
    request: RequestId, person: PersonId, verdict: str, reason: str, at: datetime
) -> dict[str, object]:
    return {
        "request_id": request,
        "person_id": person,
        "verdict": verdict,
        "reason": reason,
        "at": at,
    }


def _bump_accounts(
    tx: Write, changed: Iterable[tuple[AccessRequest, Decision]], now: datetime
) -> None:
    called: dict[AccountId, bool] = {}
    for before, decision in changed:
        for account, ends in calls(before, decision.request).items():
            called[account] = called.get(account, False) or ends
    if called:
        bump(tx, called, now, ending=[account for account, ends in called.items() if ends])


def bump(
    tx: Write,
    accounts: Iterable[AccountId],
    now: datetime,
    *,
    ending: Collection[AccountId] = (),
) -> None:
    """Mark accounts as not being what they should be; where something is `ending`, that first."""
    given = {"ids": sorted(accounts), "due_at": now, "ending": sorted(ending)}
    tx.do(_BUMP_ACCOUNTS, given)
    tx.wake("access")


def _store_messages(
    tx: Write, changed: Iterable[tuple[AccessRequest, Decision]], now: datetime, *, new: bool
) -> None:
    wanted = [
        Wanted(d.request.id, d.request.requestor, tell) for _, d in changed for tell in once(d.tell)
    ]
    cards.want(tx, wanted, now, new=new)


def tell(tx: Write, tells: Iterable[Tell], now: datetime) -> None:
    """Say something that belongs to no request: a notice or an alarm, once."""
    cards.want(tx, [Wanted(0, "", tell) for tell in tells], now, new=True)


def alarm(admins: Iterable[PersonId], said: Said) -> list[Tell]:
    """Return what is to be said to all admins; where there are none, it is in the log at least."""
    tells = [Tell(admin, Card.ALARM, said.key, said.sentence) for admin in sorted(admins)]
    if not tells:
        log.error("an alarm, and no administrator who could be told", said=said.sentence)
    return tells


def _accounts(tx: Write, draft: Draft) -> dict[IntegrationId, AccountId]:
    """Return the grantee's account in each system concerned, made if need be."""
    systems = sorted({e.integration.id for e in draft.entitlements})
    given = {"person": draft.grantee.id, "systems": systems}
    found = tx.ask(_KNOWN_ACCOUNTS, given)
    if len(found) < len(systems):
        # Never an update: it would lock the rows in another order than everybody else does.
        batch.add(
            tx,
            AccountRow,
            [_account_columns(system, draft.grantee.id) for system in systems],
            key=("integration_id", "person_id"),
        )
        found = tx.ask(_KNOWN_ACCOUNTS, given)
    return {IntegrationId(system): AccountId(id_ or 0) for system, id_ in found}


def _account_columns(system: str, person: PersonId) -> dict[str, object]:
    return {
        "integration_id": system,
        "person_id": person,
        "login": login_name(person),
        "wanted": 0,
        "acted": 0,
        "priority": Priority.REST.value,
        "attempts": 0,
        "made": False,
        "secret_set": False,
    }
