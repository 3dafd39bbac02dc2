"""People and groups, as the identity sources know them, and whose Slack account it is."""

import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, NewType, TypeVar

from engine.on_call import Answers, Schedule
from engine.shared import Shared

SLACK = "slack"  # the source of Slack's own user groups
ON_CALL = "on_call"  # the source of schedules

K = TypeVar("K")
V = TypeVar("V")

PersonId = NewType("PersonId", str)
GroupId = NewType("GroupId", str)
DelegationId = NewType("DelegationId", int)


class PersonStatus(StrEnum):
    ACTIVE = "active"
    PRE_BOARDING = "pre-boarding"  # may receive access, may not ask or approve
    INACTIVE = "inactive"


_NEXT = timedelta(microseconds=1)  # the next moment that is told apart
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def address(email: str) -> str:
    """Return the form in which addresses are compared: equal but for the case of ASCII letters.

    Unicode's own folding makes one of two mailboxes: of ß and ss, of the Kelvin sign and k.
    """
    return email.translate(_SMALL)


@dataclass(frozen=True, slots=True)
class SlackAccount:
    """A Slack account, as Slack described it last: the user of a team.

    User ids are given out by a team, or by the organisation that it belongs to (`enterprise`, if
    any): another one may give the same to somebody else. `email` is the address, if Slack has
    confirmed it. `barred` says why the account is nobody's. `unreachable` says, by Slack's word for
    it, that no direct message is taken for the account; empty: they are. `zone` is the one whose
    clocks its owner reads, by its name of the IANA's; empty: not known.
    """

    team: str
    user: str
    email: str = ""
    enterprise: str = ""
    guest: bool = False
    barred: str = ""
    unreachable: str = ""
    zone: str = ""

    def is_(self, other: "SlackAccount") -> bool:
        """Tell whether both are one account. An organisation's people are the same in all of it."""
        return self.user == other.user and bool(self.homes & other.homes)

    def placed(self, other: "SlackAccount") -> "SlackAccount":
        """Return the account with the zone of the other, and where unknown its team and its
        organisation.
        """
        team, enterprise = self.team or other.team, self.enterprise or other.enterprise
        return replace(self, team=team, enterprise=enterprise, zone=other.zone or self.zone)

    @property
    def homes(self) -> frozenset[str]:
        """Who may have given out the user id, as far as it is known."""
        return frozenset(filter(None, (self.team, self.enterprise)))


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in the directory.

    `account` is the Slack account that is tied to the person, `suspended` one that was, until an
    admin has looked: its user and its team, as far as they are known. What they approved until
    `void_until` counts no more: they had ceased to be an active full member. Not `readable`: what
    is stored of them makes no sense, so that they fulfil no condition, and ask and decide nothing;
    what they have, they keep.
    """

    id: PersonId
    email: str
    name: str
    status: PersonStatus = PersonStatus.ACTIVE
    manager: PersonId | None = None
    groups: frozenset[GroupId] = frozenset()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    guest: bool = False
    account: SlackAccount | None = None
    suspended: SlackAccount | None = None
    void_until: datetime | None = None
    readable: bool = True

    @property
    def slack(self) -> str | None:
        """The Slack user id, once tied to the person."""
        return self.account.user if self.account else None

    @property
    def zone(self) -> str:
        """The zone whose clocks this person reads, as far as it is known."""
        return (self.account and self.account.zone) or "UTC"

    @property
    def reachable(self) -> bool:
        """Whether this person can be told anything: by a Slack account that takes messages."""
        return self.account is not None and not self.account.unreachable

    @property
    def active(self) -> bool:
        return self.status is PersonStatus.ACTIVE

    @property
    def may_ask(self) -> bool:
        """Whether this person may be a requestor or approver at all: no guest, here or in Slack."""
        guest = self.guest or (self.account is not None and self.account.guest)
        return self.active and self.readable and not guest

    @property
    def may_receive(self) -> bool:
        return self.status is not PersonStatus.INACTIVE

    def stands_by(self, approved_at: datetime) -> bool:
        """Tell whether what this person approved then, and is not decided yet, still counts."""
        return self.may_ask and (self.void_until is None or approved_at > self.void_until)

    def approves_at(self, now: datetime) -> datetime:
        """Return the moment of what they approve now: after all that is void, whatever the clock
        says, which may have been set back since.
        """
        return now if self.stands_by(now) or not self.void_until else self.void_until + _NEXT


class KnownPerson(NamedTuple):
    """Somebody as they are known, for a comparison with who is listed.

    `successor`: the id that they have since. `same`: they are listed just so.
    """

    id: PersonId
    email: str
    name: str
    active: bool
    successor: str | None = None
    groups: Collection[str] = ()
    same: bool = False


def newest_id(id_: PersonId, successor: Callable[[PersonId], PersonId | None]) -> PersonId:
    """Follow an id to the one that its person has now. What a hand made a circle of is left."""
    seen = {id_}
    while (now := successor(id_)) and now not in seen:
        seen.add(now)
        id_ = now
    return id_


def why_not(account: SlackAccount, person: Person) -> str:
    """Return why this Slack account is not this person now; nothing: it is.

    The whole test, asked at the tie, at each sync and event, and at each click.
    """
    if account.barred:
        return account.barred
    if not account.email:
        return "Slack has not confirmed the account's address"
    if address(account.email) != address(person.email):
        return "the address of the account has changed"
    if person.account is None:
        return "the account is a guest's" if account.guest and not person.guest else ""
    return "" if account.is_(person.account) else "it is another account than the one tied"


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one identity source. `id` is `source:key`, `name` is what people see."""

    id: GroupId
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """Somebody's own right to approve and to reject, which another has too until a moment."""

    id: DelegationId
    delegator: PersonId
    delegate: PersonId
    since: datetime
    until: datetime
    reason: str


Id = TypeVar("Id", bound=str)  # of people, or of groups

Ids = tuple[PersonId, ...]
Key = tuple[str, str]  # an attribute and a value
_Keys = tuple[Id, Sequence[K], Sequence[K]]  # that somebody was listed under, and is


@dataclass(frozen=True)
class Directory:
    """Everybody, as of one moment.

    `formerly` names who has a new id, by the old one. `failing`: sources whose last reading did not
    succeed, and since when. Who is on call, and who acts for whom, is known of a directory `at` a
    moment alone.
    """

    people: Mapping[PersonId, Person] = field(default_factory=Shared[PersonId, Person])
    groups: Mapping[GroupId, Group] = field(default_factory=Shared[GroupId, Group])
    formerly: Mapping[PersonId, PersonId] = field(default_factory=Shared[PersonId, PersonId])
    _had: Mapping[PersonId, Ids] = field(default_factory=Shared[PersonId, Ids])
    _tied: Mapping[str, Ids] = field(default_factory=Shared[str, Ids])
    _suspended: Mapping[str, Ids] = field(default_factory=Shared[str, Ids])
    _by_address: Mapping[str, Ids] = field(default_factory=Shared[str, Ids])
    _having: Mapping[Key, Ids] = field(default_factory=Shared[Key, Ids])
    _called: Mapping[str, tuple[GroupId, ...]] = field(
        default_factory=Shared[str, tuple[GroupId, ...]]
    )
    schedules: tuple[Schedule, ...] = ()
    delegations: tuple[Delegation, ...] = ()  # not ended, by whichever ids people had
    failing: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    moment: datetime | None = None

    @classmethod
    def of(
        cls,
        people: Iterable[Person],
        groups: Iterable[Group] = (),
        formerly: Mapping[PersonId, PersonId] | None = None,
    ) -> "Directory":
        return cls().changed({p.id: p for p in people}, {g.id: g for g in groups}, formerly or {})

    def changed(
        self,
        people: Mapping[PersonId, Person | None],
        groups: Mapping[GroupId, Group | None] = MappingProxyType({}),
        formerly: Mapping[PersonId, PersonId | None] = MappingProxyType({}),
    ) -> "Directory":
        """Return the directory with other people, groups and former ids; None: there is none."""
        news = [(id_, self.people.get(id_), person) for id_, person in people.items()]

        def keys(of: Callable[[Person], Sequence[K]]) -> Iterator[_Keys[PersonId, K]]:
            for id_, was, now in news:
                yield id_, of(was) if was else (), of(now) if now else ()

        names = ((id_, _names_of(self.groups.get(id_)), _names_of(g)) for id_, g in groups.items())
        newest = ((old, self.formerly.get(old), new) for old, new in formerly.items())
        had = ((old, (was,) if was else (), (now,) if now else ()) for old, was, now in newest)
        return replace(
            self,
            people=_with(self.people, people),
            groups=_with(self.groups, groups),
            formerly=_with(self.formerly, formerly),
            _had=_listed(self._had, had),
            _tied=_listed(self._tied, keys(_tied_of)),
            _suspended=_listed(self._suspended, keys(_suspended_of)),
            _by_address=_listed(self._by_address, keys(_addresses_of)),
            _having=_listed(self._having, keys(_keys_of)),
            _called=_listed(self._called, names),
        )

    def answering(
        self, schedules: Iterable[Schedule], failing: Mapping[str, datetime]
    ) -> "Directory":
        """Return the directory with what its sources say of who is on call, and which do not."""
        return replace(self, schedules=tuple(schedules), failing=failing)

    def lending(self, delegations: Iterable[Delegation]) -> "Directory":
        """Return the directory with these delegations."""
        return replace(self, delegations=tuple(delegations))

    def at(self, moment: datetime) -> "Directory":
        """Return the directory as of a moment: others may be on call, or act for somebody."""
        return replace(self, moment=moment) if self.schedules or self.delegations else self

    @cached_property
    def standing(self) -> tuple[Delegation, ...]:
        """The delegations that hold, by the ids that people have: none where the moment is unknown.

        Both have been active full members ever since it began.
        """
        if self.moment is None:
            return ()
        known = ((d, self.get(d.delegator), self.get(d.delegate)) for d in self.delegations)
        return tuple(
            replace(d, delegator=by.id, delegate=to.id)
            for d, by, to in known
            if self.moment < d.until
            and (by and to and by.id != to.id)
            and (by.stands_by(d.since) and to.stands_by(d.since))
        )

    def given_by(self, person: PersonId) -> tuple[Delegation, ...]:
        """Return by which delegations others act for somebody."""
        return self._given.get(person, ())

    def received_by(self, person: PersonId) -> tuple[Delegation, ...]:
        """Return by which delegations somebody acts for others."""
        return self._received.get(person, ())

    @cached_property
    def _given(self) -> Mapping[PersonId, tuple[Delegation, ...]]:
        return _by(self.standing, lambda d: d.delegator)

    @cached_property
    def _received(self) -> Mapping[PersonId, tuple[Delegation, ...]]:
        return _by(self.standing, lambda d: d.delegate)

    @cached_property
    def on_call(self) -> Mapping[str, frozenset[str]]:
        """Who is on call, by the schedules' names; nothing where that is not known."""
        if self.moment is None:
            return {}
        since = self.failing.get(ON_CALL)
        return Answers(
            self.schedules,
            self.moment,
            since,
            lambda id_: self.formerly.get(PersonId(id_), PersonId(id_)),
        )

    @cached_property
    def attributes(self) -> frozenset[str]:
        """What the sources supply besides user, group and manager."""
        return frozenset(name for p in self.people.values() for name in p.attributes)

    def tied(self, user: str) -> tuple[Person, ...]:
        """Return to whom a Slack account of this user id is tied, whichever team has given it."""
        return tuple(self.people[id_] for id_ in self._tied.get(user, ()))

    def is_suspended(self, account: SlackAccount) -> bool:
        """Tell whether the account was somebody's until the tie was suspended, or may have been."""
        ids = self._suspended.get(account.user, ())
        kept = filter(None, (self.people[id_].suspended for id_ in ids))
        return any(was.is_(account) or not was.homes for was in kept)

    def by_email(self, email: str) -> tuple[Person, ...]:
        """Return whose address it is. Who has left gives way to who is there."""
        found = tuple(self.people[id_] for id_ in self._by_address.get(address(email), ()))
        return tuple(p for p in found if p.may_receive) or found

    def members(self, group: GroupId) -> tuple[PersonId, ...]:
        return self._having.get(("group", group), ())

    def reports(self, manager: PersonId) -> tuple[PersonId, ...]:
        return self._having.get(("manager", manager), ())

    def having(self, attribute: str, value: str) -> tuple[PersonId, ...]:
        """Return who has the value, whatever its case, for an attribute that the sources supply."""
        return self._having.get((attribute, value.casefold()), ())

    def called(self, name: str) -> tuple[GroupId, ...]:
        """Return the groups of this name, whatever its case. Slack's own have none here."""
        return self._called.get(name.casefold(), ())

    def had(self, person: PersonId) -> tuple[PersonId, ...]:
        """Return the ids that somebody had before the one that they have."""
        return self._had.get(person, ())

    def known_as(self, person: PersonId) -> tuple[PersonId, ...]:
        """Return the id that somebody has, and those that they had."""
        return person, *self.had(person)

    def get(self, person: PersonId) -> Person | None:
        """Return a person, by an id that they have or had."""
        return self.people.get(self.formerly.get(person, person))

    def whose(self, account: SlackAccount) -> Person | None:
        """Return whose account it is that somebody acts with: team and user are all that is known.

        What else Slack said of it last is kept with the tie.
        """
        for person in self.tied(account.user):
            tied = person.account
            if tied and not why_not(
                replace(tied, team=account.team, enterprise=account.enterprise), person
            ):
                return person
        return None


def _by(
    delegations: Iterable[Delegation], whose: Callable[[Delegation], PersonId]
) -> Mapping[PersonId, tuple[Delegation, ...]]:
    found: dict[PersonId, tuple[Delegation, ...]] = {}
    for one in delegations:
        found[whose(one)] = (*found.get(whose(one), ()), one)
    return found


def _with(before: Mapping[K, V], changes: Mapping[K, V | None]) -> Shared[K, V]:
    return (before if isinstance(before, Shared) else Shared(before)).with_(changes)


def _listed(
    before: Mapping[K, tuple[Id, ...]], news: Iterable[_Keys[Id, K]]
) -> Mapping[K, tuple[Id, ...]]:
    """Return who is listed under each key, after the keys of people have changed."""
    gone, come = dict[K, set[Id]](), dict[K, list[Id]]()
    for id_, had, has in news:
        if had == has:
            continue
        for key in had:
            gone.setdefault(key, set()).add(id_)
        for key in has:
            come.setdefault(key, []).append(id_)
    changes: dict[K, tuple[Id, ...] | None] = {}
    for key in {**gone, **come}:
        left, listed = gone.get(key), before.get(key, ())
        stay = tuple(id_ for id_ in listed if id_ not in left) if left else listed
        changes[key] = (*stay, *come.get(key, ())) or None
    return _with(before, changes)


def _names_of(group: Group | None) -> Sequence[str]:
    return (group.name.casefold(),) if group and group.source != SLACK else ()


def _tied_of(person: Person) -> Sequence[str]:
    return (person.account.user,) if person.account else ()


def _suspended_of(person: Person) -> Sequence[str]:
    return (person.suspended.user,) if person.suspended else ()


def _addresses_of(person: Person) -> Sequence[str]:
    email = person.email
    form = address(email)
    return (email if form == email else form,) if email else ()


def _keys_of(person: Person) -> Sequence[Key]:
    keys: list[Key] = [("group", group) for group in person.groups]
    if person.manager:
        keys.append(("manager", person.manager))
    for name, values in person.attributes.items():
        keys += [(name, value.casefold()) for value in values]
    return keys
