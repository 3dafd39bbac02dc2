"""One decision with all that approval can ask for at once: by the engine alone, without a store.

Ten groups, all of which are needed, each person for one of them. Two are the owners of what is
asked for: 50 things, each of two of twenty people. It is the twelfth approval: others are needed.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bot.sandbox.postgres import Cluster
from engine import approval, lifecycle
from engine.commands import Approve
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Directory, Person, PersonId, SlackAccount
from engine.eligibility import Draft
from engine.facts import Facts
from engine.flow import AccessFlow, ApprovalRule, ApproverGroup, FlowId, Quorum, Revision
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
)
from engine.life.pending import case_now
from engine.outcome import Decision, Refusal
from engine.request import AccessRequest, AccountId, Approval, RequestId
from engine.targets import Selector
from tests.benchmarks.report import Row

DECISIONS = 200
GROUPS, OWNERS, THINGS, APPROVALS = 10, 10, 50, 12
BAR = 1.0  # ms
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SYSTEM = IntegrationId("db")


def rows(_folder: Path, _cluster: Cluster) -> Iterator[Row]:
    request, facts = waiting()
    last = facts.directory.people[PersonId(f"p{APPROVALS - 1}")]
    what = f"approval {APPROVALS} of a request: {GROUPS} groups, {THINGS} things of {OWNERS} owners"

    def is_it_enough() -> object:
        case = case_now(request, facts)
        given = Approval(last.id, approval.seats(case, last), NOW)
        return approval.approved(replace(case, approvals=(*case.approvals, given)))

    judged = taken(is_it_enough)
    whole = taken(lambda: lifecycle.decide(request, Approve(last.id), facts, NOW))
    said = "what it counts for, and whether that is enough"
    yield Row(f"{what}: {said}", f"{judged:.2f} ms", "", f"≤ {BAR:.0f} ms", judged <= BAR)
    yield Row(f"{what}: with all others asked anew", f"{whole:.2f} ms", "", "", None)


def taken(decide: Callable[[], object]) -> float:
    """Return the milliseconds of the processor that it takes: the median."""
    found: list[float] = []
    for _ in range(DECISIONS):
        gc.collect(0)
        start = time.thread_time()
        if isinstance(refused := decide(), Refusal):
            raise SystemExit(f"it was refused: {refused.sentence}")
        found.append((time.thread_time() - start) * 1e3)
    return statistics.median(found)


def waiting() -> tuple[AccessRequest, Facts]:
    """Return a request that lacks one approval, and what is true of it."""
    facts = _facts()
    asker = facts.directory.people[PersonId("asker")]
    things = tuple(facts.entitlements.values())
    draft = Draft(
        requestor=asker,
        grantee=asker,
        flow=facts.flow,
        entitlements=things,
        duration=facts.revision.grant_for,
        justification="INC-42",
    )
    request = lifecycle.drafted(draft, {SYSTEM: AccountId(1)}, NOW)
    request = lifecycle.begin(replace(request, id=RequestId(1)), facts, NOW).request
    for number in range(APPROVALS - 1):
        decided = lifecycle.decide(request, Approve(PersonId(f"p{number}")), facts, NOW)
        if not isinstance(decided, Decision):
            raise SystemExit(f"p{number} was to approve: {decided}")
        request = decided.request
    return request, facts


def _person(name: str) -> Person:
    email = f"{name}@big.example"
    account = SlackAccount("T0", f"U{name.upper()}", email)
    return Person(PersonId(name), email, name, account=account)


def _thing(number: int) -> Entitlement:
    """A table whose owners are two people, of twice ten."""
    owners = {"owner": (f"p{number % OWNERS}", f"p{number % OWNERS + OWNERS}")}
    path = f"db/shop/t{number}"
    return Entitlement(
        EntitlementId(number),
        Integration(SYSTEM, "Orders", "postgresql"),
        Resource(ResourceId(number), "table", f"t{number}", path, path, 5, tags=owners),
        Permission(PermissionId("read"), "read", risk=4),
    )


def _facts() -> Facts:
    people = [_person(name) for name in ("asker", *(f"p{n}" for n in range(60)))]
    owner = ConditionGroup((Condition("owner", Comparator.IS, ()),))
    groups = [ApproverGroup(f"Owners {n}", owner) for n in range(2)]
    for n in range(GROUPS - len(groups)):
        theirs = tuple(f"p{20 + (n * 5 + step) % 40}" for step in range(8))
        members = ConditionGroup((Condition("user", Comparator.IS, theirs),))
        groups.append(ApproverGroup(f"Group {n}", members))
    revision = Revision(
        name="Everything at once",
        requestors=ConditionGroup((Condition("user", Comparator.IS, ("asker",)),)),
        targets=(Selector(SYSTEM),),
        approval=ApprovalRule(tuple(groups), Quorum.ALL_OF),
    )
    flow = AccessFlow(FlowId(1), 1, revision)
    return Facts(
        directory=Directory.of(people),
        flow=flow,
        revision=revision,
        admins=frozenset(),
        entitlements={EntitlementId(n): _thing(n) for n in range(THINGS)},
    )
