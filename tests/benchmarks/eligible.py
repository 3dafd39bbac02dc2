"""“Which flows may this person use”, and “may they request this, under which flow”: 1,000 flows of
every kind, among as many people as there are.

The second is asked of casbin and of Cedar, too. Each has the flows in its own best form, and only
the people and things that the questions need, and must give the same answers:
- casbin: roles for people and for things; a line for each flow, target and permission, in the order
  in which flows are preferred, so that the first that fits decides. Conditions on attributes, and
  on tags, are roles that were given out beforehand; of windows a function tells whether they are
  open.
- Cedar (cedarpy): policies and entities parsed beforehand, texts without case; what clocks show in
  each zone, and who is on call, comes with the question. Which of the flows that permit is
  preferred, the program around it looks up.
"""

import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as of_day
from typing import Any

from bot.operations import memory
from engine import eligibility
from engine.aql.parser import parse
from engine.aql.query import Condition as Comparison
from engine.aql.query import conditions
from engine.aql.tokens import Field, Operator
from engine.conditions import Comparator, Condition, ConditionGroup, Connective, matches
from engine.directory import Directory, Group, GroupId, Person, PersonId
from engine.flow import (
    AccessFlow,
    ApprovalRule,
    ApproverGroup,
    FlowId,
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
)
from engine.on_call import Rotation, Schedule
from engine.policy import Policy
from engine.targets import Picked, Selector, Tagged, Target
from engine.window import Day, Window, is_open, shown
from tests.benchmarks.report import Row, p99, said
from tests.benchmarks.start import resident_here

PEOPLE, GROUPS, FLOWS, RESOURCES = 100_000, 2_000, 1_000, 200_000
QUESTIONS, ROUNDS = 300, 5
AT_MOST, AT_LEAST = 1.0, 10.0  # milliseconds; times as fast
SYSTEMS, CITIES, DEPARTMENTS, DUTIES = 5, 30, 50, 20
PERMISSIONS = ("read", "write", "admin")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Europe/London")
NOW = datetime(2026, 11, 4, 13, 20, tzinfo=UTC)  # a Wednesday
IS, IS_NOT, CONTAINS = Comparator.IS, Comparator.IS_NOT, Comparator.CONTAINS
LACKS, STARTS = Comparator.DOES_NOT_CONTAIN, Comparator.STARTS_WITH
SELF, REPORTS, OTHERS = RequestFor.SELF, RequestFor.DIRECT_REPORTS, RequestFor.OTHERS


@dataclass(frozen=True, slots=True)
class Question:
    requestor: Person
    grantee: Person
    wanted: Entitlement


Side = Callable[[Question], str]  # the flow's name; empty: they may not


def rows() -> Iterator[Row]:
    with memory.undisturbed():  # as the program reads it
        world = World()
        policy = Policy(world.flows, world.directory)
    ours = answering(policy)
    usable = [
        timed(lambda q: policy.usable(q.requestor, q.grantee, NOW), world.questions)
        for _ in range(ROUNDS)
    ]
    slowest = p99([ms for one in usable for ms in one])
    many = statistics.median(
        len(policy.usable(q.requestor, q.grantee, NOW)) for q in world.questions
    )
    size = f"{len(world.flows):,} flows, {len(world.directory.people):,} people"
    yield Row(
        f"which flows may this person use: {size}",
        said(usable),
        f"{many:.0f} flows, as a rule",
        f"p99 ≤ {AT_MOST} ms",
        slowest <= AT_MOST,
    )
    asked = [timed(ours, world.questions) for _ in range(ROUNDS)]
    slowest = p99([ms for one in asked for ms in one])
    yes = sum(bool(ours(question)) for question in world.questions)
    yield Row(
        f"may they request this, under which flow: {size}",
        said(asked),
        f"{yes} of {len(world.questions)} may",
        f"p99 ≤ {AT_MOST} ms",
        slowest <= AT_MOST,
    )
    yield from beside(world, ours)


def beside(world: "World", ours: Side) -> Iterator[Row]:
    for name, load in (("casbin", casbin), ("Cedar", cedar)):
        gc.collect()
        before, begun = resident_here(), time.perf_counter()
        with memory.undisturbed():
            side = load(world)
        loaded, megabytes = time.perf_counter() - begun, resident_here() - before
        for question in world.questions:
            if side(question) != ours(question):
                raise SystemExit(f"{name} does not agree: {question}: {side(question)}")
        mine, theirs = list[float](), list[float]()
        for _ in range(ROUNDS):
            mine += timed(ours, world.questions)
            theirs += timed(side, world.questions)
        ratio = statistics.fmean(theirs) / statistics.fmean(mine)
        yield Row(
            f"the same beside {name}",
            f"{statistics.fmean(mine) * 1000:.0f} µs",
            f"{statistics.fmean(theirs) * 1000:,.0f} µs; loaded in {loaded:.1f} s, "
            f"{megabytes:.0f} MB more",
            f"{ratio:.1f} × as fast (≥ {AT_LEAST:.0f} ×)",
            ratio >= AT_LEAST,
        )


def timed(side: Callable[[Question], object], questions: Sequence[Question]) -> list[float]:
    """Return milliseconds of the processor's time: none of them waits for anything."""
    taken = []
    gc.collect()
    for question in questions:
        begun = time.thread_time_ns()
        side(question)
        taken.append((time.thread_time_ns() - begun) / 1e6)
    return taken


def answering(policy: Policy) -> Side:
    def answer(question: Question) -> str:
        offering = policy.offering(question.requestor, question.grantee, question.wanted, NOW)
        flow = next((f for f in offering if not eligibility.opening(f, NOW)), None)
        return flow.name if flow else ""

    return answer


# --- the world -----------------------------------------------------------------------------------


class World:
    """Half of the questions are answered yes."""

    def __init__(self) -> None:
        chance = random.Random(13)  # noqa: S311  (the same in each run)
        groups = [Group(GroupId(f"hr:g{n}"), "hr", f"Group {n}") for n in range(GROUPS)]
        duties = [schedule(n, chance) for n in range(DUTIES)]
        self.directory = Directory.of(map(person, range(PEOPLE)), groups).answering(duties, {})
        self.flows = [AccessFlow(FlowId(n + 1), 1, revision(n, chance)) for n in range(FLOWS)]
        self.here = self.directory.at(NOW)
        self.questions = [self._question(chance, n) for n in range(QUESTIONS)]

    def _question(self, chance: random.Random, number: int) -> Question:
        """Ask for something; each second time, somebody for something that they may ask for."""
        while True:
            asker, whom = self._pair(chance, number)
            if number % 2 == 0:
                what = chance.randrange(RESOURCES), chance.choice(PERMISSIONS)
                return Question(asker, whom, entitlement(*what))
            usable = eligibility.usable(self.flows, asker, whom, self.here)
            open_now = [f for f in usable if not eligibility.opening(f, NOW)]
            if open_now and (found := offered(chance.choice(open_now), chance)):
                return Question(asker, whom, found)

    def _pair(self, chance: random.Random, number: int) -> tuple[Person, Person]:
        """Return who asks, and for whom: themselves, a report, or whoever it is."""
        asker = person(chance.randrange(PEOPLE // (20 if number % 3 == 1 else 1)))
        reports = self.directory.reports(asker.id)
        if number % 3 == 2:
            return asker, person(chance.randrange(PEOPLE))
        if number % 3 == 1 and reports:
            return asker, self.directory.people[chance.choice(reports)]
        return asker, asker

    @property
    def people(self) -> list[Person]:
        """Those that the questions are of."""
        named = {p.id: p for q in self.questions for p in (q.requestor, q.grantee)}
        return list(named.values())

    @property
    def things(self) -> list[Resource]:
        return list({q.wanted.resource.id: q.wanted.resource for q in self.questions}.values())


def person(number: int) -> Person:
    return Person(
        PersonId(f"p{number}"),
        f"p{number}@large.example",
        f"Person {number}",
        manager=PersonId(f"p{number // 20}") if number else None,
        groups=frozenset(GroupId(f"hr:g{n % GROUPS}") for n in (number, number * 7 + 3)),
        attributes={
            "city": (f"City {number % CITIES}",),
            "department": (f"Department {number % DEPARTMENTS}",),
            "title": (("Lead", "Member", "Trainee")[number % 3] + f" of {number % 11}",),
        }
        | ({"employer": (f"Agency {number % 7}",)} if number % 9 == 0 else {}),
    )


def schedule(number: int, chance: random.Random) -> Schedule:
    people = tuple(f"p{chance.randrange(PEOPLE)}" for _ in range(5))
    return Schedule(
        f"Duty {number}", rotation=Rotation(people, date(2026, 1, 5), of_day(9), 7, ZONES[0])
    )


def revision(number: int, chance: random.Random) -> Revision:
    """Return a flow of some kind: each comparator, window, target and whom it is for has a turn."""
    group = f"hr:g{chance.randrange(GROUPS)}"
    person = f"p{chance.randrange(PEOPLE)}"
    city, department = f"City {chance.randrange(CITIES)}", f"DEPARTMENT {chance.randrange(50)}"
    kinds = [
        group_of(("group", IS, group, f"hr:g{chance.randrange(GROUPS)}")),
        group_of(("group", IS, group), ("title", STARTS, "lead")),
        group_of(("group", IS, group), ("user", IS, person), ("manager", IS, person), any_=True),
        group_of(("manager", IS, f"p{chance.randrange(PEOPLE // 20)}"), ("group", IS_NOT, group)),
        group_of(("department", IS, department), ("city", IS_NOT, city)),
        group_of(("department", IS, department), ("title", LACKS, "trainee")),
        group_of(("city", IS, city), ("user", CONTAINS, f"p{chance.randrange(100)}")),
        group_of(("on_call", IS, f"Duty {chance.randrange(DUTIES)}")),
        group_of(("employer", IS_NOT, f"Agency {chance.randrange(7)}"), ("city", IS, city)),
        group_of(("user", STARTS, f"Person {chance.randrange(1000)}"), ("group", IS_NOT, group)),
    ]
    whom = [{SELF}, {SELF}, {SELF, REPORTS}, {SELF, OTHERS}, {REPORTS, OTHERS}][number % 5]
    grantees = [
        group_of(("department", IS, department)),
        group_of(("city", IS, city), ("group", IS_NOT, group)),
        group_of(("title", CONTAINS, "TRAINEE"), ("city", IS, city)),
    ]
    approval = ApprovalRule((ApproverGroup("Deciders", group_of(("group", IS, group))),))
    return Revision(
        f"Flow {number}",
        kinds[number % len(kinds)],
        (target(number, chance),),
        request_for=frozenset(whom),
        grantees=grantees[number % 3] if OTHERS in whom else None,
        when=window(number) if number % 4 == 1 else None,
        grant_for=timedelta(hours=chance.randrange(1, 48)),
        approval=approval if number % 3 else None,
        require_mfa=number % 7 == 0,
    )


def group_of(*said: tuple[Any, ...], any_: bool = False) -> ConditionGroup:
    conditions = (Condition(attribute, how, tuple(values)) for attribute, how, *values in said)
    return ConditionGroup(tuple(conditions), Connective.OR if any_ else Connective.AND)


def window(number: int) -> Window:
    night, days = number % 8 == 1, frozenset(list(Day)[: 5 + number % 3])
    start, end = (of_day(22), of_day(6)) if night else (of_day(8), of_day(18, 30))
    return Window(days, start, end, ZONES[number % len(ZONES)])


def target(number: int, chance: random.Random) -> Target:
    """Return what a flow offers: things by name, all of a kind, by tags, or by a query."""
    system = number % SYSTEMS
    integration, team = IntegrationId(f"db{system}"), f"Team {chance.randrange(teams())}"
    permissions = frozenset(chance.sample(PERMISSIONS, chance.randrange(1, 3)))
    match number % 10:
        case 7:
            return Selector(integration, types=frozenset({"view"}), permissions=permissions)
        case 3:
            pairs = frozenset({("team", team), ("tier", str(chance.randrange(5)))})
            return Selector(integration, permissions=permissions, tagged=Tagged(pairs))
        case 5:
            named = ", ".join(f'"{permission}"' for permission in sorted(permissions))
            digit = chance.randrange(10)
            return Picked(
                parse(
                    f'resource_tag["team"] = "{team}" and permission_name in ({named}) '
                    f'and resource_name not_contains "{digit}"'
                )
            )
        case _:
            numbers = (system + SYSTEMS * chance.randrange(RESOURCES // SYSTEMS) for _ in range(10))
            names = frozenset(path(n) for n in numbers)
            return Selector(integration, permissions=permissions, names=names)


def teams() -> int:
    """Return how many there are: each has twenty things."""
    return max(1, RESOURCES // 20)


def offered(flow: AccessFlow, chance: random.Random) -> Entitlement | None:
    """Return something that the flow offers, if something is soon found."""
    (of,) = flow.revision.targets
    names = sorted(of.names) if isinstance(of, Selector) else []
    team = next((c.values[0] for c in conditions(of.query) if c.key == "team"), "")
    if names:
        numbers = [int(name.rpartition("t")[2]) for name in names]
    elif team:
        numbers = list(range(int(team.rpartition(" ")[2]), RESOURCES, teams()))
    else:
        numbers = list(range(0, min(RESOURCES, 10 * SYSTEMS), 10))
    each = [entitlement(number, permission) for number in numbers for permission in PERMISSIONS]
    found = [one for one in each if flow.revision.selects(one)]
    return chance.choice(found) if found else None


def permissions_of(of: Target) -> list[str]:
    return [v for c in conditions(of.query) if c.field is Field.PERMISSION_NAME for v in c.values]


def path(number: int) -> str:
    return f"db{number % SYSTEMS}/shop/t{number}"


def entitlement(number: int, permission: str) -> Entitlement:
    kind = "view" if number % 10 == 0 else "table"
    return Entitlement(
        EntitlementId(number * len(PERMISSIONS) + PERMISSIONS.index(permission)),
        Integration(IntegrationId(f"db{number % SYSTEMS}"), "Orders", "postgresql"),
        Resource(
            ResourceId(number),
            kind,
            f"t{number}",
            path(number),
            f"{number}",
            risk=1,
            tags={
                "env": (("dev", "test", "prod")[number % 3],),
                "team": (f"Team {number % teams()}",),
                "tier": (f"{number % 5}",),
                "region": (f"eu-{number % 7}",),
                "cost": (f"Centre {number % 500}",),
            },
        ),
        Permission(PermissionId(permission), permission, risk=1),
    )


def preferred(world: World) -> list[AccessFlow]:
    return sorted(world.flows, key=eligibility.preference)


# --- casbin --------------------------------------------------------------------------------------

MODEL = """
[request_definition]
r = sub, whom, obj, act
[policy_definition]
p = sub, own, reports, others, obj, act, window, flow
[role_definition]
g = _, _
g2 = _, _
g3 = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = MATCHER
"""
MATCHER = (
    "r.act == p.act && g2(r.obj, p.obj) && g(r.sub, p.sub) && "
    "isFor(r.sub, r.whom, p.own, p.reports, p.others) && isOpen(p.window)"
)


def casbin(world: World) -> Side:
    from casbin import Enforcer

    enforcer = Enforcer(Enforcer.new_model(text=MODEL.replace("MATCHER", MATCHER)))
    for kind, member, role in casbin_roles(world):
        enforcer.add_named_grouping_policy(kind, member, role)
    for line in casbin_lines(world):
        enforcer.add_policy(*line)
    windows = {str(f.revision.when): f.revision.when for f in world.flows}
    managers = {p.id: p.manager for p in world.people}
    has_role = enforcer.get_named_role_manager("g3").has_link

    def is_for(who: str, whom: str, own: str, reports: str, others: str) -> bool:
        if who == whom:
            return bool(own)
        led = bool(reports) and managers[PersonId(whom)] == who
        return led or (bool(others) and has_role(whom, others))

    def is_open_now(said: str) -> bool:
        when = windows[said]
        return when is None or is_open(when, NOW)

    enforcer.add_function("isFor", is_for)
    enforcer.add_function("isOpen", is_open_now)

    def answer(question: Question) -> str:
        who, whom, wanted = question.requestor.id, question.grantee.id, question.wanted
        _, line = enforcer.enforce_ex(who, whom, wanted.resource.path, wanted.permission.name)
        return line[-1] if line else ""

    return answer


def casbin_roles(world: World) -> Iterator[tuple[str, str, str]]:
    """Yield which role somebody, or something, has: of those who ask, of things, of grantees."""
    things = [[entitlement(thing.id, p) for p in PERMISSIONS] for thing in world.things]
    for flow in world.flows:
        rules = flow.revision
        for someone in world.people:
            if matches(rules.requestors, someone, world.here):
                yield "g", someone.id, f"for {flow.name}"
            if rules.grantees and matches(rules.grantees, someone, world.here):
                yield "g3", someone.id, f"to {flow.name}"
        for each in things:
            if any(map(rules.selects, each)):
                yield "g2", each[0].resource.path, flow.name


def casbin_lines(world: World) -> Iterator[tuple[str, ...]]:
    for flow in preferred(world):
        rules = flow.revision
        own, reports = ("yes" if which in rules.request_for else "" for which in (SELF, REPORTS))
        others = f"to {flow.name}" if rules.grantees else ""
        for permission in permissions_of(rules.targets[0]):
            whom = (f"for {flow.name}", own, reports, others)
            yield (*whom, flow.name, permission, str(rules.when), flow.name)


# --- Cedar ---------------------------------------------------------------------------------------


def cedar(world: World) -> Side:
    from cedarpy import Entities, PolicySet, is_authorized

    policies = PolicySet.from_str("\n".join(in_cedar(flow) for flow in world.flows))
    entities = Entities.from_json_str(json.dumps([*cedar_people(world), *cedar_things(world)]))
    rank = {flow.name: n for n, flow in enumerate(preferred(world))}

    def answer(question: Question) -> str:
        who, whom, wanted = question.requestor, question.grantee, question.wanted
        request = {
            "principal": {"type": "User", "id": who.id},
            "action": {"type": "Action", "id": wanted.permission.name},
            "resource": {"type": "Resource", "id": wanted.resource.path},
            "context": {
                "grantee": {"__entity": {"type": "User", "id": whom.id}},
                "on_call": sorted(n for n, of in world.here.on_call.items() if who.id in of),
                **{zone: clock(zone) for zone in ZONES},
            },
        }
        permits = is_authorized(request, policies, entities).diagnostics.id_annotations_by_reason
        return min(permits.values(), key=rank.__getitem__) if permits else ""

    return answer


def clock(zone: str) -> dict[str, int]:
    wall = shown(zone, NOW)
    assert wall is not None
    return {
        "day": wall.weekday(),
        "before": (wall.weekday() - 1) % 7,
        "at": wall.hour * 60 + wall.minute,
    }


def in_cedar(flow: AccessFlow) -> str:
    rules, (of,) = flow.revision, flow.revision.targets
    actions = ", ".join(f'Action::"{p}"' for p in permissions_of(of))
    named = isinstance(of, Selector) and of.names
    what = f' in Set::"{flow.name}"' if named else ""
    when = [] if named else [*filter(None, map(in_cedar_thing, conditions(of.query)))]
    when += [in_cedar_all(rules.requestors, "principal"), in_cedar_whom(rules)]
    if rules.when:
        when.append(in_cedar_window(rules.when))
    head = f'@id("{flow.name}") permit(principal, action in [{actions}], resource{what})'
    return f"{head} when {{ {' && '.join(f'({one})' for one in when)} }};"


def in_cedar_thing(said: Comparison) -> str:
    """Return what a comparison says of a thing; empty: it is of permissions."""
    (value, *_) = said.values
    match said.field:
        case Field.INTEGRATION:
            return f'resource in System::"{value}"'
        case Field.RESOURCE_TYPE:
            return f'resource.kind == "{value}"'
        case Field.RESOURCE_TAG:
            return f'resource.tags.{said.key} == "{value.casefold()}"'
        case Field.RESOURCE_NAME if said.operator is Operator.NOT_CONTAINS:
            return f'!(resource.name like "*{value}*")'
        case _:
            return ""


def in_cedar_whom(rules: Revision) -> str:
    alike = "context.grantee == principal"
    each = [alike] if SELF in rules.request_for else []
    if REPORTS in rules.request_for:
        led = "context.grantee has manager && context.grantee.manager == principal"
        each.append(f"(!({alike}) && {led})")
    if rules.grantees:
        each.append(f"(!({alike}) && ({in_cedar_all(rules.grantees, 'context.grantee')}))")
    return " || ".join(each)


def in_cedar_all(group: ConditionGroup, who: str) -> str:
    join = " && " if group.join is Connective.AND else " || "
    return join.join(f"({in_cedar_one(condition, who)})" for condition in group.conditions)


def in_cedar_one(condition: Condition, who: str) -> str:
    attribute, negative = condition.attribute, condition.comparator.negative
    no = "!" if negative else ""
    match attribute:
        case "on_call":
            said = " || ".join(f'context.on_call.contains("{v}")' for v in condition.values)
            return f"{no}({said})"
        case "group":
            teams = ", ".join(f'Team::"{v}"' for v in condition.values)
            return f"{no}({who} in [{teams}])"
        case "user" if condition.comparator in {IS, IS_NOT}:
            people = ", ".join(f'User::"{v}"' for v in condition.values)
            return f"{no}({who} in [{people}])"
        case "user":
            texts = [compared(condition, f"{who}.email"), compared(condition, f"{who}.name")]
            return f"{no}({' || '.join(texts)})"
        case "manager":
            managers = " || ".join(f'{who}.manager == User::"{v}"' for v in condition.values)
            return f"{who} has manager && {no}({managers})"
        case _:
            return f"{who} has {attribute} && {no}({compared(condition, f'{who}.{attribute}')})"


def compared(condition: Condition, text: str) -> str:
    values = [value.casefold() for value in condition.values]
    match condition.comparator:
        case Comparator.IS | Comparator.IS_NOT:
            return " || ".join(f'{text} == "{value}"' for value in values)
        case Comparator.STARTS_WITH:
            return " || ".join(f'{text} like "{value}*"' for value in values)
        case _:
            return " || ".join(f'{text} like "*{value}*"' for value in values)


def in_cedar_window(when: Window) -> str:
    days = [n for n, day in enumerate(Day) if day in when.days]
    at = f'context["{when.zone}"]'
    start, end = (t.hour * 60 + t.minute for t in (when.start, when.end))
    if start < end:
        return f"{days}.contains({at}.day) && {at}.at >= {start} && {at}.at < {end}"
    tonight = f"({days}.contains({at}.day) && {at}.at >= {start})"
    return f"{tonight} || ({days}.contains({at}.before) && {at}.at < {end})"


def cedar_people(world: World) -> Iterator[dict[str, object]]:
    for someone in world.people:
        said: dict[str, object] = {n: v[0].casefold() for n, v in someone.attributes.items()}
        said |= {"email": someone.email.casefold(), "name": someone.name.casefold()}
        if someone.manager:
            said["manager"] = {"__entity": {"type": "User", "id": someone.manager}}
        yield {
            "uid": {"type": "User", "id": someone.id},
            "attrs": said,
            "parents": [{"type": "Team", "id": group} for group in sorted(someone.groups)],
        }


def cedar_things(world: World) -> Iterator[dict[str, object]]:
    sets: dict[str, list[str]] = {}
    for flow in world.flows:
        (of,) = flow.revision.targets
        for name in of.names if isinstance(of, Selector) else ():
            sets.setdefault(name, []).append(flow.name)
    for thing in world.things:
        yield {
            "uid": {"type": "Resource", "id": thing.path},
            "attrs": {
                "kind": thing.type,
                "name": thing.name,
                "tags": {key: values[0].casefold() for key, values in thing.tags.items()},
            },
            "parents": [
                {"type": "System", "id": thing.path.partition("/")[0]},
                *({"type": "Set", "id": name} for name in sets.get(thing.path, ())),
            ],
        }
