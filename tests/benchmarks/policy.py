"""“May this person request this, under which flow, and who approves”, beside casbin and Cedar.

Each has the same flows in its own best form, loaded once, and must give the same answers:
- Ours: `Policy` and `approval`, as the request form calls them.
- casbin: roles for people and for resources, a line for each flow and permission in the order in
  which flows are preferred, so that the first that fits decides (its FastEnforcer keeps no order).
  Conditions on attributes are roles that were given out beforehand.
- Cedar (cedarpy): policies and entities parsed beforehand; which of the flows that permit is
  preferred, and who is in a group, the program around it looks up.
"""

import gc
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.sandbox.postgres import Cluster
from engine import approval, eligibility
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import Directory, Group, GroupId, Person, PersonId, SlackAccount
from engine.flow import AccessFlow, ApprovalRule, ApproverGroup, FlowId, Revision
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
from engine.policy import Policy
from engine.seating import Case
from engine.targets import Selector
from tests.benchmarks.report import Row

SIZES = (10, 100, 1000)
QUESTIONS, ROUNDS = 100, 5
PEOPLE, TEAMS, CITIES, SYSTEMS, RESOURCES = 1000, 100, 10, 5, 500
PERMISSIONS = ("read", "write")

Answer = tuple[str, frozenset[str]]  # the flow's name, empty for none, and who is asked
Question = tuple[Person, Entitlement]
Side = Callable[[Question], Answer]


def rows(_folder: Path, _cluster: Cluster) -> Iterator[Row]:
    for size in SIZES:
        world = World(size)
        sides = {"ours": ours(world), "casbin": casbin(world), "Cedar": cedar(world)}
        for question in world.questions:
            answers = {name: side(question) for name, side in sides.items()}
            if len(set(answers.values())) != 1:
                raise SystemExit(f"they do not agree on {question}: {answers}")
        taken = measured(world, sides)
        for other in ("casbin", "Cedar"):
            ratio, least = taken[other] / taken["ours"], 10 if size == SIZES[-1] else 1
            yield Row(
                f"may they, and who approves: {size:,} flows",
                f"{taken['ours']:.0f} µs",
                f"{other}: {taken[other]:,.0f} µs",
                f"{ratio:.1f} × as fast (≥ {least} ×)",
                ratio >= least,
            )


def measured(world: "World", sides: Mapping[str, Side]) -> dict[str, float]:
    """Return each side's microseconds for a question: the median of rounds in which all take turns.

    Of the processor's time: none of them waits for anything.
    """
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            gc.collect()
            start = time.thread_time()
            for question in world.questions:
                side(question)
            rounds[name].append((time.thread_time() - start) / len(world.questions) * 1e6)
    return {name: statistics.median(taken) for name, taken in rounds.items()}


class World:
    """A company of a thousand people and so many flows; half the questions are answered yes."""

    def __init__(self, size: int) -> None:
        chance = random.Random(size)  # noqa: S311  (the same in each run)
        self.people = [person(n) for n in range(PEOPLE)]
        groups = [Group(GroupId(f"hr:team{n}"), "hr", f"Team {n}") for n in range(TEAMS)]
        self.directory = Directory.of(self.people, groups)
        self.entitlements = [
            Entitlement(
                EntitlementId(number * 2 + which),
                Integration(IntegrationId(f"db{number % SYSTEMS}"), "Orders", "postgresql"),
                Resource(
                    ResourceId(number), kind(number), f"t{number}", path(number), f"{number}", 1
                ),
                Permission(PermissionId(name), name, risk=1),
            )
            for number in range(RESOURCES)
            for which, name in enumerate(PERMISSIONS)
        ]
        self.flows = [
            AccessFlow(FlowId(n), 1, revision(f"Flow {n}", n, chance)) for n in range(size)
        ]
        self.questions = [self._question(chance, n) for n in range(QUESTIONS)]

    def _question(self, chance: random.Random, number: int) -> Question:
        asker = chance.choice(self.people)
        open_to = eligibility.usable(self.flows, asker, asker, self.directory)
        wanted = [e for e in self.entitlements if eligibility.offering(open_to, e)]
        among = wanted if wanted and number % 2 else self.entitlements
        return asker, chance.choice(among)


def person(number: int) -> Person:
    return Person(
        PersonId(f"p{number}"),
        f"p{number}@big.example",
        f"Person {number}",
        groups=frozenset({GroupId(f"hr:team{number % TEAMS}")}),
        attributes={
            "city": (f"City {number % CITIES}",),
            "level": ("lead" if number < TEAMS else "member",),
        },
        account=SlackAccount("T0", f"U{number}", f"p{number}@big.example"),
    )


def kind(number: int) -> str:
    return "view" if number % 10 == 0 else "table"


def path(number: int) -> str:
    return f"db{number % SYSTEMS}/shop/t{number}"


def revision(name: str, number: int, chance: random.Random) -> Revision:
    """Return a flow like real ones: for a team, a city's leads or some people; for named tables,
    or all views of a system; approved by one of a team, or of each of two.
    """
    system = number % SYSTEMS
    team = Condition("group", Comparator.IS, (f"hr:team{chance.randrange(TEAMS)}",))
    city = Condition("city", Comparator.IS, (f"City {chance.randrange(CITIES)}",))
    lead = Condition("level", Comparator.IS, ("lead",))
    some = Condition("user", Comparator.IS, tuple(f"p{chance.randrange(PEOPLE)}" for _ in "abc"))
    requestors = [(team,), (team,), (team,), (city, lead), (some,)][number % 5]
    names = [path(system + SYSTEMS * chance.randrange(RESOURCES // SYSTEMS)) for _ in range(10)]
    permissions = frozenset(chance.choice([("read",), ("read", "write"), ("write",)]))
    by_name = Selector(
        IntegrationId(f"db{system}"), permissions=permissions, names=frozenset(names)
    )
    by_type = Selector(
        IntegrationId(f"db{system}"), types=frozenset({"view"}), permissions=permissions
    )
    approvers = [
        ApproverGroup(f"Team {n}", ConditionGroup((Condition("group", Comparator.IS, (n,)),)))
        for n in (f"hr:team{chance.randrange(TEAMS)}" for _ in range(1 + number % 2))
    ]
    return Revision(
        name,
        ConditionGroup(requestors),
        (by_type if number % 10 == 7 else by_name,),
        approval=ApprovalRule(tuple(approvers)),
        require_mfa=number % 3 == 0,
    )


def ours(world: World) -> Side:
    policy = Policy(world.flows, world.directory)

    def answer(question: Question) -> Answer:
        asker, entitlement = question
        flows = policy.offering(asker, asker, entitlement, datetime.now(UTC))
        if not flows:
            return "", frozenset()
        flow = flows[0]
        case = Case(flow.revision, asker.id, asker.id, world.directory, frozenset())
        return flow.name, frozenset(ask.person for ask in approval.asks(case, ()))

    return answer


MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, flow
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub) && g2(r.obj, p.obj)
"""


def casbin(world: World) -> Side:
    from casbin import Enforcer

    enforcer = Enforcer(Enforcer.new_model(text=MODEL))
    for someone in world.people:
        for role in roles(someone):
            enforcer.add_role_for_user(someone.id, role)
    for resource, system in {
        e.resource.path: (e.resource, e.integration.id) for e in world.entitlements
    }.values():
        if resource.type == "view":
            enforcer.add_named_grouping_policy("g2", resource.path, f"{system} views")
    for flow in preferred(world):
        selector = flow.revision.targets[0]
        for name in sorted(selector.names):
            enforcer.add_named_grouping_policy("g2", name, flow.name)
        target = flow.name if selector.names else f"{selector.integration} views"
        for who, permission in itertools.product(requestors(flow), sorted(selector.permissions)):
            enforcer.add_policy(who, target, permission, flow.name)
    teams = teams_of(world)

    def answer(question: Question) -> Answer:
        asker, wanted = question
        _, line = enforcer.enforce_ex(asker.id, wanted.resource.path, wanted.permission.name)
        if not line:
            return "", frozenset()
        asked = {p for team in teams[line[3]] for p in enforcer.get_users_for_role(team)}
        return line[3], frozenset(PersonId(p) for p in asked - {asker.id})

    return answer


def cedar(world: World) -> Side:
    from cedarpy import Entities, PolicySet, is_authorized

    policies = PolicySet.from_str("\n".join(in_cedar(flow) for flow in world.flows))
    entities = Entities.from_json_str(json.dumps([*cedar_people(world), *cedar_things(world)]))
    rank = {flow.name: n for n, flow in enumerate(preferred(world))}
    teams, members = teams_of(world), world.directory.members

    def answer(question: Question) -> Answer:
        asker, wanted = question
        request = {
            "principal": {"type": "User", "id": asker.id},
            "action": {"type": "Action", "id": wanted.permission.name},
            "resource": {"type": "Resource", "id": wanted.resource.path},
        }
        permits = is_authorized(request, policies, entities).diagnostics.id_annotations_by_reason
        if not permits:
            return "", frozenset()
        name = min(permits.values(), key=rank.__getitem__)
        asked = {id_ for team in teams[name] for id_ in members(GroupId(team))}
        return name, frozenset(asked - {asker.id})

    return answer


def in_cedar(flow: AccessFlow) -> str:
    selector, conditions = flow.revision.targets[0], flow.revision.requestors.conditions
    actions = ", ".join(f'Action::"{p}"' for p in sorted(selector.permissions))
    target = f'in Set::"{flow.name}"' if selector.names else f'in System::"{selector.integration}"'
    when = [] if selector.names else ['resource.kind == "view"']
    principal = "principal"
    for condition in conditions:
        match condition.attribute:
            case "group":
                principal = f'principal in Team::"{condition.values[0]}"'
            case "user":
                listed = ", ".join(f'User::"{v}"' for v in condition.values)
                when.append(f"[{listed}].contains(principal)")
            case attribute:
                when.append(f'principal.{attribute} == "{condition.values[0]}"')
    said = f" when {{ {' && '.join(when)} }}" if when else ""
    head = f'@id("{flow.name}") permit({principal}, action in [{actions}], resource {target})'
    return f"{head}{said};"


def cedar_people(world: World) -> Iterator[dict[str, object]]:
    for someone in world.people:
        yield {
            "uid": {"type": "User", "id": someone.id},
            "attrs": {name: values[0] for name, values in someone.attributes.items()},
            "parents": [{"type": "Team", "id": group} for group in someone.groups],
        }


def cedar_things(world: World) -> Iterator[dict[str, object]]:
    sets: dict[str, list[str]] = {}
    for flow in world.flows:
        for name in flow.revision.targets[0].names:
            sets.setdefault(name, []).append(flow.name)
    for entitlement in {e.resource.id: e for e in world.entitlements}.values():
        resource, system = entitlement.resource, entitlement.integration.id
        yield {
            "uid": {"type": "Resource", "id": resource.path},
            "attrs": {"kind": resource.type},
            "parents": [
                {"type": "System", "id": system},
                *({"type": "Set", "id": name} for name in sets.get(resource.path, ())),
            ],
        }


def preferred(world: World) -> Sequence[AccessFlow]:
    """Return the flows in the order in which the product prefers them."""
    return sorted(world.flows, key=eligibility.preference)


def requestors(flow: AccessFlow) -> list[str]:
    """Return the roles of which one is needed."""
    conditions = flow.revision.requestors.conditions
    if conditions[0].attribute in {"user", "group"}:
        return list(dict.fromkeys(conditions[0].values))
    return [" and ".join(str(c) for c in conditions)]


def roles(someone: Person) -> list[str]:
    city, level = (f"{name} is {someone.attributes[name][0]}" for name in ("city", "level"))
    return [*someone.groups, f"{city} and {level}"]


def teams_of(world: World) -> dict[str, list[str]]:
    approvals = {flow.name: flow.revision.approval for flow in world.flows}
    return {
        name: [g.conditions.conditions[0].values[0] for g in asked.groups]
        for name, asked in approvals.items()
        if asked
    }
