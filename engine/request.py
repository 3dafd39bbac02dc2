"""A request as a value: what was asked, who was asked, what was decided, what was given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType, Self

from engine.channel import ChannelId
from engine.directory import PersonId
from engine.flow import FlowId
from engine.inventory import EntitlementId

RequestId = NewType("RequestId", int)
AccountId = NewType("AccountId", int)
GrantId = NewType("GrantId", int)

OPERATOR = PersonId("operator")  # whoever may use the command line; acts as an admin
SYSTEM = PersonId("latchkey")  # a rule or the clock, as the audit names it
# Notes of grants.
NOT_GIVEN = "It was not given before the request became unreadable."
GONE = "It is gone."  # the thing is, while access to it ran
RETURNED = "returned before the rest"


_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_STRIDE = 0x9E3B5  # odd, so that every id has its own code, and neighbours look unlike
_CLICKS = 100  # that a request remembers: more are not delivered twice
LARGEST_ID = 2**31 - 1  # what a database's integer holds
BEFORE_ALL = -LARGEST_ID - 1  # where whoever looks at all requests in order begins


def code_of(request: RequestId) -> str:
    """Return the id as people say it aloud: `AX-7K2M`; longer beyond a million requests."""
    size = 4
    while request >= 32**size:
        size += 1
    number = request * _STRIDE % 32**size
    return "AX-" + "".join(_ALPHABET[number // 32**i % 32] for i in reversed(range(size)))


def id_of(code: str) -> RequestId | None:
    """Return the id that a code stands for, in any case, with or without `AX-`; None: no code."""
    text = code.strip().upper().removeprefix("AX-")
    text = text.translate(str.maketrans("OIL", "011"))
    if len(text) < 4 or len(text) > 8 or set(text) - set(_ALPHABET):
        return None
    number = sum(_ALPHABET.index(c) * 32**i for i, c in enumerate(reversed(text)))
    request = number * pow(_STRIDE, -1, 32 ** len(text)) % 32 ** len(text)
    known = request <= LARGEST_ID and code_of(RequestId(request)) == f"AX-{text}"
    return RequestId(request) if known else None


class State(StrEnum):
    PENDING_MFA = "pending_mfa"  # the grantee has to verify
    PENDING = "pending"  # approvers have to decide
    SCHEDULED = "scheduled"  # approved; its start is to come
    GRANTING = "granting"  # nothing is confirmed yet
    ACTIVE = "active"  # at least one entitlement is confirmed
    REVOKING = "revoking"  # must go; not yet confirmed gone
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    RETURNED = "returned"
    REVOKED = "revoked"

    @property
    def final(self) -> bool:
        return self in FINAL

    @property
    def wants_access(self) -> bool:
        return self in {State.GRANTING, State.ACTIVE}


# Nothing is given yet; open, so that an identical request is refused; alive; and over.
WAITING = frozenset({State.PENDING_MFA, State.PENDING, State.SCHEDULED})
OPEN = WAITING | {State.GRANTING}
LIVE = OPEN | {State.ACTIVE, State.REVOKING}
FINAL = frozenset(
    {
        State.CANCELLED,
        State.TIMED_OUT,
        State.REJECTED,
        State.FAILED,
        State.EXPIRED,
        State.RETURNED,
        State.REVOKED,
    }
)


class GrantState(StrEnum):
    WANTED = "wanted"  # to be given
    HELD = "held"  # seen in the real system
    REFUSED = "refused"  # will not be given
    ENDED = "ended"  # seen gone, or left to another request or to its owner


@dataclass(frozen=True, slots=True)
class Grant:
    """One entitlement of a request.

    `begun` is stored before the connector is called and cleared when the access is seen absent:
    while it is set, the real system may hold what Latchkey gave; `ever_begun` stays. `standing` is
    None until the first look; True means that the access was there before and is not ours to end.
    `named` is the path that was asked for and approved. `left_out` is what of it could not be
    given, in words that go after “all but”.
    """

    id: GrantId
    entitlement: EntitlementId
    account: AccountId
    state: GrantState = GrantState.WANTED
    begun: bool = False
    ever_begun: bool = False
    standing: bool | None = None
    note: str = ""
    named: str = ""
    left_out: str = ""

    @property
    def open(self) -> bool:
        return self.state in {GrantState.WANTED, GrantState.HELD} or self.begun

    def looked(self, *, found: bool) -> "Grant":
        return replace(self, standing=found, state=GrantState.HELD if found else self.state)

    def begin(self) -> "Grant":
        return replace(self, begun=True, ever_begun=True)

    def held(self, left_out: str = "") -> "Grant":
        return replace(self.begin(), state=GrantState.HELD, left_out=left_out)

    def absent(self) -> "Grant":
        return replace(self, begun=False)

    def refused(self, why: str) -> "Grant":
        return replace(self, state=GrantState.REFUSED, note=why)

    def ended(self, note: str = "") -> "Grant":
        return replace(self, state=GrantState.ENDED, begun=False, note=note)

    def withdrawn(self, note: str) -> "Grant":
        """Return it as over before its request is. What was begun has yet to be seen absent."""
        return replace(self, state=GrantState.ENDED, note=note)

    def handed_on(self, other: str) -> "Grant":
        """Return it as returned, where another request has the duty to take it away."""
        return self.ended(f"{RETURNED}, still held under {other}")


@dataclass(frozen=True, slots=True, order=True)
class Seat:
    """A place from which one can approve.

    Group None: an approval from here counts for the whole request. Tier None and not admins: the
    approver group itself sits there; otherwise an escalation tier, or the admins, stand in. `of`
    are the grants that it counts for; empty: all.
    """

    group: int | None
    tier: int | None = None
    admins: bool = False
    of: tuple[GrantId, ...] = ()

    @property
    def place(self) -> "Seat":
        """The seat, whatever it counts for."""
        return replace(self, of=()) if self.of else self

    def counts_for(self, grant: GrantId) -> bool:
        return not self.of or grant in self.of

    @property
    def key(self) -> str:
        """Name the place."""
        by = "admins" if self.admins else "group" if self.tier is None else f"tier{self.tier}"
        return f"{by}/{'*' if self.group is None else self.group}"

    @classmethod
    def parse(cls, key: str) -> "Seat":
        by, _, group = key.partition("/")
        tier = int(by.removeprefix("tier")) if by.startswith("tier") else None
        return cls(None if group == "*" else int(group), tier, by == "admins")


def joined(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    """Return seats with each place once, which counts for all that one of them counts for."""
    found: dict[Seat, Seat] = {}
    for seat in seats:
        other = found.get(seat.place, seat)
        of = sorted({*seat.of, *other.of}) if seat.of and other.of else ()
        found[seat.place] = replace(seat, of=tuple(of))
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Ask:
    """One person asked from one seat, and why them. Not open: they no longer match.

    `through` are those for whom alone they are asked there, being their delegate.
    """

    person: PersonId
    seat: Seat
    why: str
    open: bool = True
    through: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval, with the seats that its giver had at the click.

    `through` are those whose right alone gave them a seat, being their delegate. `one_with` are all
    whose delegate they were: they count as one person.
    """

    person: PersonId
    seats: frozenset[Seat]
    at: datetime
    reason: str = ""
    duration: timedelta | None = None  # shortened to
    keep_extensions: bool = False
    through: tuple[PersonId, ...] = ()
    one_with: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What an approver asked about a request, and what was answered by whoever had made it.

    `first`: what the answer takes is added to the request's time.
    """

    by: PersonId
    at: datetime
    text: str
    answer: str = ""
    answered_at: datetime | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """How the question, or the access, came to its end, in one place for every message.

    `through` are those for whom alone it was theirs to say.
    """

    by: PersonId
    at: datetime
    reason: str = ""
    through: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """One grantee, one flow revision, one or more entitlements, one end. Times are aware UTC.

    `ends_at` is provisional until `confirmed_at` is set. `duration` and `ends_at` None: indefinite.
    `starts_at` None: at once, as soon as it is approved.
    Not `readable`: what was stored of it made no sense. What is known of it otherwise is enough to
    end it, and it can only end.
    """

    id: RequestId
    requestor: PersonId
    grantee: PersonId
    flow: FlowId
    revision: int
    state: State
    version: int
    submitted_at: datetime
    lapses_at: datetime
    duration: timedelta | None
    justification: str
    grants: tuple[Grant, ...]
    extensions_allowed: int = 0
    extensions_used: int = 0
    pending_since: datetime | None = None
    tiers_asked: int = 0
    rungs: int = 0  # how often the escalation's time has come
    admins_told: bool = False
    stand_ins: tuple[Seat, ...] = ()
    asks: tuple[Ask, ...] = ()
    approvals: tuple[Approval, ...] = ()
    clicks: tuple[str, ...] = ()  # the keys of the latest that count once each
    nudged_at: datetime | None = None  # last
    questions: tuple[Question, ...] = ()
    channel: ChannelId | None = None  # in which its card stands
    in_channel: tuple[PersonId, ...] = ()  # who is asked there alone
    decided: Settled | None = None  # approved or rejected
    ends_at: datetime | None = None
    end_set_at: datetime | None = None
    end_before: datetime | None = None  # until the systems took the extension
    end_awaits: tuple[AccountId, ...] = ()  # those whose system has not taken it yet
    confirmed_at: datetime | None = None
    offers_made: int = 0
    ending: State | None = None  # while revoking: what it will be called
    ended: Settled | None = None
    gone_at: datetime | None = None  # when every system had confirmed the end
    readable: bool = True
    changed_to: RequestId | None = None
    instead_of: RequestId | None = None
    bundle: str = ""  # that was asked for; its grants are what it was resolved into
    starts_at: datetime | None = None
    reminded: bool = False  # of the start: told, or so near that there was nothing to tell

    def with_(self, **changes: Any) -> Self:  # noqa: ANN401  (any field)
        return replace(self, **changes)

    def as_approved(self) -> Self:
        """Return it for the shortest time, and by the strictest choice, of its approvals.

        What waits for its start is left as it was asked for: an approval can still be taken back.
        """
        shortened = [
            (a.duration, a.keep_extensions)
            for a in self.approvals
            if a.duration is not None and a.duration != self.duration
        ]
        if not shortened:
            return self
        return self.with_(
            duration=min(duration for duration, _ in shortened),
            extensions_allowed=self.extensions_allowed if all(k for _, k in shortened) else 0,
        )

    def clicked(self, key: str) -> Self:
        """Return it with the key of a click that has counted, and does not count again."""
        return self.with_(clicks=(*self.clicks, key)[-_CLICKS:]) if key else self

    @property
    def named(self) -> frozenset[PersonId]:
        """Everybody whom the request names."""
        settled = (p for was in (self.decided, self.ended) if was for p in (was.by, *was.through))
        approved = (p for a in self.approvals for p in (a.person, *a.one_with))
        through = (person for ask in self.asks for person in ask.through)
        questioned = (question.by for question in self.questions)
        who = (*self.parties, *self.asked, *through, *approved, *questioned, *settled)
        return frozenset(who)

    def renamed(self, ids: Mapping[PersonId, PersonId]) -> Self:
        """Return the request with people named by other ids; itself, if it names none of them.

        What is not readable names whom it names.
        """
        if not (ids and self.readable and any(person in ids for person in self.named)):
            return self

        def now(person: PersonId) -> PersonId:
            return ids.get(person, person)

        def all_now(people: Iterable[PersonId]) -> tuple[PersonId, ...]:
            return tuple(dict.fromkeys(map(now, people)))

        def settled(was: Settled | None) -> Settled | None:
            return replace(was, by=now(was.by), through=all_now(was.through)) if was else None

        asks = [replace(a, person=now(a.person), through=all_now(a.through)) for a in self.asks]
        approvals = [
            replace(
                a, person=now(a.person), through=all_now(a.through), one_with=all_now(a.one_with)
            )
            for a in self.approvals
        ]
        return self.with_(
            requestor=now(self.requestor),
            grantee=now(self.grantee),
            asks=tuple({(a.person, a.seat): a for a in asks}.values()),
            approvals=tuple({a.person: a for a in approvals}.values()),
            in_channel=all_now(self.in_channel),
            questions=tuple(replace(q, by=now(q.by)) for q in self.questions),
            decided=settled(self.decided),
            ended=settled(self.ended),
        )

    @property
    def code(self) -> str:
        return code_of(self.id)

    @property
    def waits_since(self) -> datetime | None:
        """Since when its time stands still for an answer; None: it does not."""
        waits = (q.at for q in self.questions if q.first and not q.answered_at)
        return next(waits, None) if self.state is State.PENDING else None

    @property
    def parties(self) -> tuple[PersonId, ...]:
        """Requestor and grantee, once each."""
        return tuple(dict.fromkeys((self.requestor, self.grantee)))

    @property
    def entitlements(self) -> tuple[EntitlementId, ...]:
        return tuple(grant.entitlement for grant in self.grants)

    @property
    def extensions_left(self) -> int:
        return max(0, self.extensions_allowed - self.extensions_used)

    @property
    def deciders(self) -> frozenset[PersonId]:
        """Those who may still decide: asked from some seat that they have not approved from."""
        given = {a.person: {s.place: s for s in joined(a.seats)} for a in self.approvals}
        found = set[PersonId]()
        for ask in self.asks:
            if ask.open and ask.person not in found:
                mine = given.get(ask.person, {}).get(ask.seat.place)
                if mine is None or not self.is_within(ask.seat, [mine]):
                    found.add(ask.person)
        return frozenset(found)

    def is_within(self, seat: Seat, others: Iterable[Seat]) -> bool:
        """Tell whether one of the others counts for all that this one does and is still asked."""
        return any(
            all(
                map(
                    other.counts_for,
                    (g.id for g in self.grants if g.open and seat.counts_for(g.id)),
                )
            )
            for other in others
            if other.place == seat.place
        )

    @property
    def asked(self) -> tuple[PersonId, ...]:
        """Everybody who was ever asked, in order, once each."""
        return tuple(dict.fromkeys(ask.person for ask in self.asks))
