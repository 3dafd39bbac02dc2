"""Core values to JSON bodies and back.

What was written by a hand or by another version, or was cut off, may be no value at all: the
readers say so by None, and whoever asked goes on with the rest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter

from engine.aql.parser import parse
from engine.channel import Channel, ChannelId
from engine.directory import Delegation, Person, PersonId, PersonStatus, SlackAccount
from engine.flow import MAX_DURATION, Revision
from engine.inventory import Policies, ResourceId, Tags
from engine.on_call import Schedule
from engine.request import WAITING, AccessRequest
from engine.risk import PUBLISHED, Risks, Rule
from engine.targets import (
    NO_OBJECTS,
    Bundle,
    ByBundle,
    ByScope,
    Object,
    ObjectKind,
    Picked,
    Scope,
    Selector,
    Space,
    Target,
)
from engine.window import Window

_REQUEST = TypeAdapter(AccessRequest)
_REVISION = TypeAdapter(Revision)
_PERSON = TypeAdapter(Person)
_ACCOUNT = TypeAdapter(SlackAccount)
_CHANNEL = TypeAdapter(Channel)
_DELEGATION = TypeAdapter(Delegation)
_SCHEDULES = TypeAdapter(tuple[Schedule, ...])
_POLICIES = TypeAdapter(Policies)
_FAILING = TypeAdapter(dict[str, AwareDatetime])
_COLUMNS = {"id", "version"}
_LATER = "later"
_Score = Annotated[int, Field(ge=1, le=10)]


@dataclass(frozen=True, slots=True)
class _WrittenRule:
    where: str  # AQL
    resource: _Score | None = None
    permission: _Score | None = None


@dataclass(frozen=True, slots=True)
class _WrittenRisks:
    set: tuple[_WrittenRule, ...]
    rules: tuple[_WrittenRule, ...] | None = None  # what is published


@dataclass(frozen=True, slots=True)
class _WrittenPicked:
    where: str  # AQL
    resources: frozenset[ResourceId] = frozenset()


_RISKS = TypeAdapter(_WrittenRisks)
T = TypeVar("T")


def fields_of(body: object) -> dict[str, Any]:
    """Return what a body says; nothing, if it is no object."""
    return body if isinstance(body, dict) else {}


def body_of(
    tags: Tags, context: Tags, policies: Policies | None = None, **more: str
) -> dict[str, Any]:
    """Return the body of a resource or permission, without what there is none of."""
    said = {"context": {k: list(v) for k, v in context.items()}, **more}
    filled: dict[str, Any] = {key: value for key, value in said.items() if value}
    if policies:
        filled["policies"] = _POLICIES.dump_python(policies, mode="json")
    return {"tags": {k: list(v) for k, v in tags.items()}, **filled}


def tags_of(body: object, part: str) -> dict[str, tuple[str, ...]]:
    """Return the tags or the context of a body, as far as they can be read."""
    said = fields_of(fields_of(body).get(part))
    return {key: tuple(map(str, v)) for key, v in said.items() if isinstance(v, list)}


def policies_of(body: object) -> Policies | None:
    """Return by what that is given which can be had on a resource; None: by no policy.

    Raises ValueError where that cannot be read.
    """
    said = fields_of(body).get("policies")
    return None if said is None else _POLICIES.validate_python(said)


def dump_risks(risks: Risks) -> dict[str, Any] | None:
    """Return what administrators say of risks; None: nothing, what is published holds."""
    said = {"set": [_dumped(rule) for rule in risks.set]}
    if risks.rules != PUBLISHED:
        said["rules"] = [_dumped(rule) for rule in risks.rules]
    return None if risks == Risks() else said


def _dumped(rule: Rule) -> dict[str, Any]:
    return {"where": str(rule.where), "resource": rule.resource, "permission": rule.permission}


def load_risks(body: object) -> Risks | None:
    """Return what administrators say of risks; None: it cannot be read."""
    if body is None:
        return Risks()
    try:
        written = _RISKS.validate_python(body)
        rules = PUBLISHED if written.rules is None else tuple(map(_rule, written.rules))
        return Risks(tuple(map(_rule, written.set)), rules)
    except ValueError:
        return None


def _rule(written: _WrittenRule) -> Rule:
    return Rule(parse(written.where), written.resource, written.permission)


def dump_request(request: AccessRequest) -> dict[str, Any]:
    dumped: dict[str, Any] = _REQUEST.dump_python(
        request, mode="json", exclude=_COLUMNS, exclude_defaults=True
    )
    # Who does not know all of it must not read the rest: they would give at once what starts later,
    # and take what an owner approved of a part for the whole, or a delegate for one more person.
    apart = request.starts_at is not None or _is_approved_in_part(request)
    return {_LATER: dumped} if apart and request.state in WAITING else dumped


def _is_approved_in_part(request: AccessRequest) -> bool:
    given = request.approvals
    seats = (*request.stand_ins, *(seat for a in given for seat in a.seats))
    return any(seat.of for seat in seats) or any(a.one_with for a in given)


def load_request(id_: int, version: int, body: object) -> AccessRequest | None:
    """Return the request; None: it cannot be read (`storage.rebuilt` says what can be known)."""
    said = fields_of(body)
    said = fields_of(said.get(_LATER, said))
    try:
        request = _REQUEST.validate_python({**said, "id": id_, "version": version})
    except (ValueError, OverflowError):
        return None
    return request if _is_sound(request) else None


def _is_sound(request: AccessRequest) -> bool:
    """Tell whether it is about something, and one can reckon with its moments and its duration."""
    moments = [
        request.submitted_at,
        request.lapses_at,
        request.pending_since,
        request.nudged_at,
        request.ends_at,
        request.end_set_at,
        request.end_before,
        request.confirmed_at,
        request.gone_at,
        request.starts_at,
        *(approval.at for approval in request.approvals),
        *(at for q in request.questions for at in (q.at, q.answered_at)),
        *(settled.at for settled in (request.decided, request.ended) if settled),
    ]
    aware = all(moment is None or moment.tzinfo for moment in moments)
    numbers = {grant.id for grant in request.grants}
    if not numbers or len(numbers) < len(request.grants):
        return False
    return aware and _bounded(request.duration, *(a.duration for a in request.approvals))


def _bounded(*spans: timedelta | None) -> bool:
    return all(span is None or timedelta() < span <= MAX_DURATION for span in spans)


def dump_revision(revision: Revision) -> dict[str, Any]:
    dumped: dict[str, Any] = _REVISION.dump_python(
        revision, mode="json", exclude_defaults=True, exclude={"targets", "objects"}
    )
    # Who does not know of spaces must not take it for a flow outside of all.
    dumped["targets"] = dump_targets(revision.targets, apart=bool(revision.space))
    if "request_for" in dumped:
        dumped["request_for"] = sorted(dumped["request_for"])
    if revision.when:
        dumped["when"]["days"] = sorted(revision.when.days)
    return dumped


def load_revision(body: object) -> Revision | None:
    """Return the revision; None: it cannot be read."""
    said = fields_of(body)
    try:
        bare = _REVISION.validate_python({**said, "targets": (), "objects": NO_OBJECTS})
        revision = replace(bare, targets=load_targets(said.get("targets")))
    except (ValueError, OverflowError):
        return None
    extension, escalation = revision.extension, revision.escalation
    spans = (extension.each if extension else None, escalation.every if escalation else None)
    bounded = _bounded(revision.grant_for, revision.lapses_after, revision.start_later, *spans)
    return revision if bounded and _is_of_a_wall(revision.when) else None


_SELECTOR = TypeAdapter(Selector)
_PICKED = TypeAdapter(_WrittenPicked)
_NAMES = TypeAdapter(tuple[str, ...])
_PARTS_BEFORE = {"integration", "types", "permissions", "names"}  # that all versions know


def dump_targets(targets: Iterable[Target], *, apart: bool = False) -> list[Any]:
    """Return targets as they are stored.

    A version that does not know all parts of a selector must not read the rest, and offer more: it
    finds nothing where it looks for one, as with those that are to stand `apart`.
    """
    return [_dumped_target(target, apart=apart) for target in targets]


def _dumped_target(target: Target, *, apart: bool) -> dict[str, Any]:
    match target:
        case Selector():
            dumped: dict[str, Any] = _SELECTOR.dump_python(
                target, mode="json", exclude_defaults=True
            )
            return {"all": dumped} if apart or dumped.keys() - _PARTS_BEFORE else dumped
        case Picked():
            return {"where": str(target.where), "resources": sorted(target.resources)}
        case ByScope():
            return {"scope": target.scope}
        case ByBundle():
            return {"bundle": target.bundle}


def load_targets(body: object) -> tuple[Target, ...]:
    """Return the targets. Raises ValueError where one cannot be read."""
    if not isinstance(body, list | tuple):
        raise ValueError("no list")  # noqa: TRY004
    return tuple(map(_load_target, body))


def _load_target(body: object) -> Target:
    match body:
        case {"all": said, **more} if not more:
            return _selector(said)
        case {"where": _, **_more}:
            picked = _PICKED.validate_python(body)
            return Picked(parse(picked.where), picked.resources)
        case {"scope": str(scope), **more} if not more:
            return ByScope(scope)
        case {"bundle": str(bundle), **more} if not more:
            return ByBundle(bundle)
        case _:
            return _selector(body)


def _selector(body: object) -> Selector:
    """Return a selector that was stored. What is not known there would make it another."""
    if fields_of(body).keys() - {part.name for part in fields(Selector)}:
        raise ValueError("unknown parts")
    return _SELECTOR.validate_python(body)


def dump_object(object_: Object) -> dict[str, Any]:
    """Return a bundle, a scope or a space as it is stored."""
    said: dict[str, Any] = {"name": object_.name}
    match object_:
        case Scope():
            said |= {"where": str(object_.where), "space": object_.space}
        case Bundle():
            said |= {"targets": dump_targets(object_.targets), "space": object_.space}
        case Space():
            said |= {"slice": list(object_.slice)}
    said["description"] = object_.description
    return {key: value for key, value in said.items() if value != ""}


def load_object(kind: object, body: object) -> Object | None:
    """Return a bundle, a scope or a space; None: it cannot be read."""
    said = fields_of(body)
    texts = {key: said.get(key, "") for key in ("name", "space", "description", "where")}
    if not all(isinstance(text, str) for text in texts.values()) or not texts["name"]:
        return None
    name, space, description, where = texts.values()
    try:
        match kind:
            case ObjectKind.SCOPE:
                return Scope(name, parse(where), space, description)
            case ObjectKind.BUNDLE:
                return Bundle(name, load_targets(said.get("targets")), space, description)
            case ObjectKind.SPACE:
                return Space(name, _NAMES.validate_python(said.get("slice")), description)
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def _is_of_a_wall(window: Window | None) -> bool:
    """Tell whether its times are what clocks show, with no offset of their own."""
    return window is None or window.start.tzinfo is window.end.tzinfo is None


def dump_channel(channel: Channel) -> dict[str, Any]:
    said = {"name": channel.name, "members": sorted(channel.members), "why_not": channel.why_not}
    return {key: value for key, value in said.items() if value}


def load_channel(id_: ChannelId, body: object) -> Channel | None:
    """Return what was last seen of a channel; None: it cannot be read."""
    try:
        return _CHANNEL.validate_python({**body, "id": id_} if isinstance(body, dict) else body)
    except ValueError:
        return None


def dump_delegation(delegation: Delegation) -> dict[str, Any]:
    dumped: dict[str, Any] = _DELEGATION.dump_python(delegation, mode="json", exclude={"id"})
    return dumped


def load_delegation(id_: int, body: object) -> Delegation | None:
    """Return a delegation; None: it cannot be read."""
    try:
        found = _DELEGATION.validate_python({**fields_of(body), "id": id_})
    except (ValueError, OverflowError):
        return None
    return found if found.since.tzinfo and found.until.tzinfo else None


def dump_schedules(schedules: Iterable[Schedule]) -> list[Any]:
    dumped: list[Any] = _SCHEDULES.dump_python(tuple(schedules), mode="json", exclude_defaults=True)
    for schedule in dumped:
        for shift in schedule.get("shifts", ()):
            shift["window"]["days"].sort()
    return dumped


def load_schedules(body: object) -> tuple[Schedule, ...] | None:
    """Return who is on call when; None: it cannot be read."""
    try:
        schedules = _SCHEDULES.validate_python(body)
    except (ValueError, OverflowError):
        return None
    shifts = [shift for schedule in schedules for shift in schedule.shifts]
    turns = [schedule.rotation for schedule in schedules if schedule.rotation]
    walled = all(_is_of_a_wall(shift.window) for shift in shifts)
    sound = all(turn.people and turn.days > 0 and turn.start.tzinfo is None for turn in turns)
    return schedules if walled and sound else None


def dump_failing(failing: Mapping[str, datetime]) -> dict[str, str]:
    return {source: since.isoformat() for source, since in sorted(failing.items())}


def load_failing(body: object) -> dict[str, datetime] | None:
    """Return which sources cannot be read, and since when; None: that is not known."""
    try:
        return _FAILING.validate_python(body)
    except (ValueError, OverflowError):
        return None


def dump_person(person: Person) -> dict[str, Any]:
    """Return what the directory says of a person; what Slack says has columns of its own."""
    listed = replace(person, account=None, suspended=None, void_until=None)
    dumped: dict[str, Any] = _PERSON.dump_python(listed, mode="json", exclude_defaults=True)
    dumped["groups"] = sorted(person.groups)
    return dumped


def load_person(body: object, account: object = None) -> Person | None:
    """Return the person; None: what the directory says of them cannot be read."""
    try:
        person: Person = _PERSON.validator.validate_python(body)
    except (ValueError, OverflowError):
        return None
    return person if account is None else replace(person, account=load_account(account))


def read_person(text: object) -> Person | None:
    """Return the person of a body as it is written: `load_person`, at a third of the time."""
    return _read(_PERSON, text)


def read_account(text: object) -> SlackAccount | None:
    """Return the account of a text: `load_account` at a third of the time."""
    return None if text is None else _read(_ACCOUNT, text)


def _read(of: TypeAdapter[T], text: Any) -> T | None:  # noqa: ANN401  (whatever stands there)
    try:
        read: T = of.validator.validate_json(text)
    except (ValueError, OverflowError, TypeError):
        return None
    return read


def load_account(account: object) -> SlackAccount | None:
    """Return a Slack account; None: there is none, or it cannot be read."""
    try:
        return None if account is None else _ACCOUNT.validator.validate_python(account)
    except ValueError:
        return None


def stand_in(id_: str, email: str, status: str) -> Person:
    """Return who is there, of whose row only the columns can be read.

    Where not even the status can be, nobody has said that they have left.
    """
    here = PersonStatus(status) if status in set(PersonStatus) else PersonStatus.ACTIVE
    return Person(PersonId(id_), email, email or id_, here, readable=False)


def compared(body: object) -> dict[str, list[str]] | None:
    """Return what conditions compare of a person's body, by the attribute; None: it is no value.

    Texts are without case: `user` has address and name. `group` and `manager` have ids.
    """
    person = load_person(body)
    return None if person is None else compared_of(person)


def compared_of(person: Person) -> dict[str, list[str]]:
    texts = {"user": (person.email, person.name), **person.attributes}
    manager = [person.manager] if person.manager else []
    ids = {"group": sorted(map(str, person.groups)), "manager": list(map(str, manager))}
    return {name: [text.casefold() for text in of] for name, of in texts.items()} | ids


def called(it: dict[str, list[str]] | None) -> str | None:
    """Return the texts by which a person is searched, each a line."""
    return "\n".join(it["user"]) if it else None


def with_fields(body: object, changed: Mapping[str, object]) -> Any:  # noqa: ANN401  (a body)
    """Return a body with other fields; one that cannot be read stays what it is."""
    return {**body, **changed} if isinstance(body, dict) else body


def dump_account(account: SlackAccount) -> dict[str, Any]:
    """Return the account that is tied to somebody: one that is barred never is."""
    dumped: dict[str, Any] = {
        "team": account.team,
        "user": account.user,
        "email": account.email,
        "enterprise": account.enterprise,
        "guest": account.guest,
    }
    said = {"unreachable": account.unreachable, "zone": account.zone}
    return dumped | {name: text for name, text in said.items() if text}
