"""A small company, its flows and its requests: each builder takes only what matters to a test.

ANN and BOB are engineers, led by EVE. BEN and CAT are DBAs, DAN and CAT are Security. ADA and ABE
administer Latchkey. Everybody has a Slack account and is active.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta

from engine import lifecycle
from engine.commands import (
    Approve,
    Attempt,
    Cancel,
    Command,
    FirstLook,
    Observe,
    Reject,
    Return,
    Tick,
)
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Directory, Group, GroupId, Person, PersonId, PersonStatus, SlackAccount
from engine.facts import Facts
from engine.flow import (
    AccessFlow,
    ApprovalRule,
    ApproverGroup,
    Extension,
    FlowId,
    Quorum,
    RequestFor,
    Revision,
)
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
    ResourceStatus,
)
from engine.outcome import Decision, Refusal
from engine.port import Outcome, Presence
from engine.request import AccessRequest, AccountId, Grant, GrantId, RequestId, State
from engine.targets import Selector

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AHEAD = 2 * HOUR  # that what is scheduled starts

ANN, BOB, EVE = PersonId("ann"), PersonId("bob"), PersonId("eve")
BEN, CAT, DAN = PersonId("ben"), PersonId("cat"), PersonId("dan")
ADA, ABE = PersonId("ada"), PersonId("abe")
ADMINS = frozenset({ADA, ABE})

ORDERS = IntegrationId("orders")

HELD, ABSENT = Outcome(Presence.HELD), Outcome(Presence.ABSENT)
UNKNOWN = Outcome(Presence.UNKNOWN, "it did not answer")
REFUSED = Outcome(Presence.REFUSED, "The table was dropped.")


# --- people --------------------------------------------------------------------------------------


def group_id(name: str) -> GroupId:
    return GroupId(f"file:{name}")


def person(id_: str, *groups: str, **values: object) -> Person:
    """Build a person; `groups` are names of the company's groups."""
    made = Person(
        PersonId(id_),
        f"{id_}@example.com",
        id_.title(),
        groups=frozenset(group_id(g) for g in groups),
    )
    slack = values.pop("slack", f"U{id_.upper()}")
    made = replace(made, **values)  # type: ignore[arg-type]
    return replace(made, account=account(str(slack), made.email) if slack else None)


def left(name: str, *groups: str, **values: object) -> Person:
    """Build somebody who is active no more."""
    return person(name, *groups, status=PersonStatus.INACTIVE, **values)


def slack_guest(name: str, *groups: str) -> Person:
    """Build somebody whom Slack calls a guest, whatever the directory says."""
    made = person(name, *groups)
    return replace(made, account=account(f"U{name.upper()}", made.email, guest=True))


def unreachable(name: str, *groups: str) -> Person:
    """Build somebody for whom Slack takes no message."""
    made = person(name, *groups)
    account_ = account(f"U{name.upper()}", made.email, unreachable="cannot_dm_bot")
    return replace(made, account=account_)


def account(user: str, email: str, **values: object) -> SlackAccount:
    """Build a full member's Slack account, with a confirmed address."""
    return replace(SlackAccount("T1", user, email), **values)  # type: ignore[arg-type]


def company(*changed: Person) -> Directory:
    """Build the company; `changed` people replace, or join, the others."""
    people = {
        p.id: p
        for p in (
            person("ann", "eng", manager=EVE),
            person("bob", "eng", manager=EVE),
            person("eve", "eng"),
            person("ben", "dba"),
            person("cat", "dba", "sec"),
            person("dan", "sec"),
            person("ada"),
            person("abe"),
        )
    }
    people |= {p.id: p for p in changed}
    groups = [Group(group_id(g), "file", g) for g in ("eng", "dba", "sec")]
    return Directory.of(people.values(), groups)


def members_of(name: str) -> ConditionGroup:
    return ConditionGroup((Condition("group", Comparator.IS, (group_id(name),)),))


def these(*people: PersonId) -> ConditionGroup:
    return ConditionGroup((Condition("user", Comparator.IS, people),))


def approvers(*people: PersonId, name: str = "", needs: int = 1) -> ApproverGroup:
    """Build an approver group, or a tier, of named people; of nobody without any."""
    return ApproverGroup(name or "+".join(people) or "nobody", these(*people), needs)


DBAS = ApproverGroup("DBAs", members_of("dba"))
SECURITY = ApproverGroup("Security", members_of("sec"))
BOTH = ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)


# --- what can be had, and the rules --------------------------------------------------------------


def entitlement(number: int = 1, permission: str = "read", **resource: object) -> Entitlement:
    """Build `read on orders/t1`; each number is a table of its own."""
    name = f"t{number}"
    thing = Resource(ResourceId(number), "table", name, f"orders/{name}", name, risk=5)
    return Entitlement(
        EntitlementId(number),
        Integration(ORDERS, "Orders", "postgresql"),
        replace(thing, **resource),  # type: ignore[arg-type]
        Permission(PermissionId(permission), permission, risk=5),
    )


def gone(number: int = 1) -> Entitlement:
    return entitlement(number, status=ResourceStatus.GONE)


def revision(**values: object) -> Revision:
    """Build a revision: engineers, for themselves and their reports, an hour, extendable by
    twice 30 min, approved by any DBA.
    """
    made = Revision(
        name="Read orders",
        requestors=members_of("eng"),
        targets=(Selector(ORDERS),),
        request_for=frozenset({RequestFor.SELF, RequestFor.DIRECT_REPORTS}),
        extension=Extension(2, 30 * MINUTE),
        approval=ApprovalRule((DBAS,)),
    )
    return replace(made, **values)  # type: ignore[arg-type]


def flow(
    id_: int = 1, *, active: bool = True, deleted: bool = False, **values: object
) -> AccessFlow:
    """Build a flow; `values` are its revision's."""
    return AccessFlow(FlowId(id_), 1, revision(**values), active, deleted)


def facts(
    of: AccessFlow | None = None,
    *changed: Person,
    entitlements: Iterable[Entitlement] = (),
    **values: object,
) -> Facts:
    """Build what is true: the company with `changed` people, tables 1 to 3 with `entitlements`."""
    of = of or flow()
    known = {e.id: e for e in (entitlement(1), entitlement(2), entitlement(3), *entitlements)}
    made = Facts(
        directory=company(*changed),
        flow=of,
        revision=of.revision,
        admins=ADMINS,
        entitlements=known,
    )
    return replace(made, **values)  # type: ignore[arg-type]


# --- requests ------------------------------------------------------------------------------------


def request(of: AccessFlow | None = None, *entitlements: int, **values: object) -> AccessRequest:
    """Build a request as storage numbers it, before its life begins: ANN asks for table 1."""
    rules = (of or flow()).revision
    made = AccessRequest(
        id=RequestId(1),
        requestor=ANN,
        grantee=ANN,
        flow=(of or flow()).id,
        revision=1,
        state=State.PENDING,
        version=1,
        submitted_at=NOW,
        lapses_at=NOW + rules.lapses_after,
        duration=rules.grant_for,
        justification="INC-42",
        extensions_allowed=rules.extension.times if rules.extension else 0,
        grants=tuple(
            Grant(GrantId(n), EntitlementId(e), AccountId(1))
            for n, e in enumerate(entitlements or (1,))
        ),
    )
    return replace(made, **values)  # type: ignore[arg-type]


@dataclass
class Life:
    """One request, what is true, and the time. `do` decides a command and keeps what came of it."""

    request: AccessRequest
    facts: Facts
    now: datetime = NOW
    tells: list[object] = field(default_factory=list[object])

    def do(
        self, command: Command, after: timedelta = timedelta(), at: datetime | None = None
    ) -> Decision | Refusal:
        self.now = at or self.now + after
        result = lifecycle.decide(self.request, command, self.facts, self.now)
        if isinstance(result, Decision):
            self.request = result.request
            self.tells += result.tell
        return result

    def know(self, *changed: Person, **values: object) -> None:
        """Change what is true: people, or any other of the facts."""
        people = [*self.facts.directory.people.values(), *changed]
        directory = Directory.of(people, self.facts.directory.groups.values())
        self.facts = replace(self.facts, directory=directory, **values)  # type: ignore[arg-type]

    def tick(self, after: timedelta = timedelta()) -> Decision:
        result = self.do(Tick(), after)
        assert isinstance(result, Decision)
        return result

    def wakes(self) -> datetime | None:
        return lifecycle.next_wake(self.request, self.facts.revision)

    def look(self, *, standing: Iterable[int] = ()) -> None:
        """Look at every grant first; `standing` entitlements were there before."""
        found = {g.id: g.entitlement in set(standing) for g in self.request.grants}
        self.do(FirstLook(found))

    def attempt(self, *, standing: Iterable[int] = ()) -> None:
        """Look, and store that the connector is about to be called."""
        self.look(standing=standing)
        self.do(Attempt())

    def see(self, *outcomes: Outcome, end_refused: str = "") -> Decision | Refusal:
        """Report one outcome for each grant, or the same for all."""
        all_of_them = outcomes if len(outcomes) > 1 else outcomes * len(self.request.grants)
        seen = dict(zip((g.id for g in self.request.grants), all_of_them, strict=True))
        return self.do(Observe(seen, end_refused))

    def own(self) -> list[object]:
        return [(g.state.value, g.begun, g.note) for g in self.request.grants]


def begun(of: AccessFlow | None = None, *entitlements: int, **values: object) -> Life:
    """Begin the life of a request, as submission does."""
    of = of or flow()
    life = Life(request(of, *entitlements, **values), facts(of))
    decision = lifecycle.begin(life.request, life.facts, life.now)
    life.request, life.tells = decision.request, list(decision.tell)
    return life


def life(state: State, of: AccessFlow | None = None, *entitlements: int, **values: object) -> Life:
    """Live a request until it is in this state, by nothing but what brings requests there.

    The flow needs BEN's approval alone, or none.
    """
    rules = (of or flow()).revision
    if state is State.SCHEDULED:
        values.setdefault("starts_at", NOW + AHEAD)
    if state is State.PENDING_MFA:
        return begun(flow(**{**_fields(rules), "require_mfa": True}), *entitlements, **values)
    made = begun(of, *entitlements, **values)
    match state:
        case State.PENDING:
            return made
        case State.REJECTED:
            made.do(Reject(BEN, "Not today."))
        case State.CANCELLED:
            made.do(Cancel(ANN))
        case State.TIMED_OUT:
            made.tick(rules.lapses_after)
        case _:
            _grant(made, state)
    assert made.request.state is state
    return made


def _grant(made: Life, state: State) -> None:
    if made.request.state is State.PENDING:
        made.do(Approve(BEN))
    if state in {State.SCHEDULED, State.GRANTING}:
        return
    made.attempt()
    if state is State.FAILED:
        made.see(REFUSED)
        made.see(ABSENT)
        return
    made.see(HELD)
    if state is State.ACTIVE:
        return
    if state is State.EXPIRED:
        made.tick((made.request.ends_at or made.now) - made.now)
    elif state is State.REVOKED:
        made.do(lifecycle.Revoke(ADA, "Enough."))
    else:
        made.do(Return(ANN))
    if state is not State.REVOKING:
        made.see(ABSENT)


def _fields(rules: Revision) -> Mapping[str, object]:
    return {part.name: getattr(rules, part.name) for part in fields(Revision)}
