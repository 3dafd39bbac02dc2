"""What a decision is: the new request and who must see what; or a refusal with its sentence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from engine.channel import ChannelId
from engine.directory import PersonId
from engine.request import AccessRequest


class Code(StrEnum):
    """Why something was refused."""

    UNKNOWN_PERSON = "unknown_person"
    PERSON_INACTIVE = "person_inactive"
    NOT_ELIGIBLE = "not_eligible"
    NOTHING_SELECTED = "nothing_selected"
    TOO_MANY = "too_many"
    TOO_MANY_OPEN = "too_many_open"
    RESOURCE_GONE = "resource_gone"
    FLOW_CLOSED = "flow_closed"
    OUTSIDE_WINDOW = "outside_window"
    BAD_DURATION = "bad_duration"
    BAD_START = "bad_start"
    JUSTIFICATION_NEEDED = "justification_needed"
    REASON_NEEDED = "reason_needed"
    TEXT_NEEDED = "text_needed"
    TEXT_TOO_LONG = "text_too_long"
    PAUSED = "paused"
    NO_SUCH_REQUEST = "no_such_request"
    NOT_YOURS = "not_yours"
    NOT_APPROVER = "not_approver"
    OWN_REQUEST = "own_request"
    ALREADY_APPROVED = "already_approved"
    NOTHING_LEFT = "nothing_left"
    SETTLED = "settled"
    NOT_RUNNING = "not_running"
    LAPSED = "lapsed"
    ALREADY_EXTENDED = "already_extended"
    ALREADY_ANSWERED = "already_answered"
    TOO_SOON = "too_soon"
    NOBODY_ASKED = "nobody_asked"
    NO_EXTENSION_LEFT = "no_extension_left"
    NOTHING_TO_DO = "nothing_to_do"
    UNREADABLE = "unreadable"
    BAD_QUERY = "bad_query"
    BAD_DELEGATION = "bad_delegation"
    POLICIES_TOO_LARGE = "policies_too_large"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, for the person: what, and what to do. `at` is the moment that the sentence speaks of.

    `about` names what was wrong with: the field of a form, or nothing.
    """

    code: Code
    sentence: str
    at: datetime | None = None
    about: str = ""


NO_SUCH_REQUEST = Refusal(Code.NO_SUCH_REQUEST, "There is no such request (any more).")


class Card(StrEnum):
    """Kinds of message. Each is one durable message for (recipient, kind, subject)."""

    REQUEST = "request"  # the live card of requestor and grantee
    APPROVAL = "approval"  # the live card of whoever else is asked
    CHANNEL = "channel"  # the live card in the channel where they are asked
    NOTICE = "notice"  # a sentence, said once
    ALARM = "alarm"  # a sentence for the admins, said once
    ENDLESS = "endless"  # what runs without end, said once, with a button to the list of it


class News(StrEnum):
    """What the reader of a live card has to notice: it is posted anew (SPEC 8).

    Slack notifies nobody of a message that is changed.
    """

    REQUESTED = "requested"
    ASKED = "asked"
    NUDGED = "nudged"
    QUESTIONED = "questioned"
    ANSWERED = "answered"
    DECIDED = "decided"
    REOPENED = "reopened"  # approved for later, and not any more
    REMINDED = "reminded"  # its start comes
    ACTIVE = "active"
    OFFER = "offer"  # its end comes: extend or return
    EXTENDED = "extended"
    ENDED = "ended"


_URGENCY = {
    Card.APPROVAL: 1,
    Card.CHANNEL: 1,
    Card.ALARM: 1,
    Card.REQUEST: 3,
    Card.NOTICE: 4,
    Card.ENDLESS: 4,
}
_OF_NEWS = {
    News.ASKED: 1,
    News.NUDGED: 1,
    News.QUESTIONED: 1,
    News.OFFER: 2,
    News.REMINDED: 2,
}
SAID_ONCE = frozenset({Card.NOTICE, Card.ALARM, Card.ENDLESS})


@dataclass(frozen=True, slots=True)
class Tell:
    """A card must be posted anew because of `news`, or without any brought up to date in place.

    `key` tells cards of one kind apart. `detail` is the sentence of a notice or alarm, and whom the
    card in a channel calls: their ids, with spaces between them.
    """

    to: PersonId | ChannelId
    card: Card
    key: str = ""
    detail: str = ""
    news: News | None = None

    @property
    def posts(self) -> bool:
        """Whether it is posted where there is none. Nobody is asked by what was to be changed."""
        return self.news is not None or self.card not in {Card.APPROVAL, Card.CHANNEL}

    @property
    def urgency(self) -> int:
        """Return its turn: the least is sent first."""
        usual = _URGENCY[self.card]
        return min(usual, _OF_NEWS.get(self.news, usual)) if self.news else usual


def once(tells: Iterable[Tell]) -> list[Tell]:
    """Return each card once, with the last of its news, calling all who are to be called."""
    found: dict[tuple[str, Card, str], Tell] = {}
    for tell in tells:
        before = found.setdefault((tell.to, tell.card, tell.key), tell)
        if tell.card is Card.CHANNEL and tell is not before and tell.detail:
            called = dict.fromkeys((*before.detail.split(), *tell.detail.split()))
            found[tell.to, tell.card, tell.key] = replace(tell, detail=" ".join(called))
        elif tell.news and tell.news is not before.news:
            found[tell.to, tell.card, tell.key] = tell
    return list(found.values())


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit."""

    action: str
    actor: PersonId
    detail: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Decision:
    request: AccessRequest
    tell: tuple[Tell, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
