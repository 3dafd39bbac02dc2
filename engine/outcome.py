"""What a decision is: the new request and who must see what; or a refusal with its sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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
    JUSTIFICATION_NEEDED = "justification_needed"
    REASON_NEEDED = "reason_needed"
    TEXT_TOO_LONG = "text_too_long"
    PAUSED = "paused"
    NO_SUCH_REQUEST = "no_such_request"
    NOT_YOURS = "not_yours"
    NOT_APPROVER = "not_approver"
    OWN_REQUEST = "own_request"
    ALREADY_APPROVED = "already_approved"
    SETTLED = "settled"
    NOT_RUNNING = "not_running"
    LAPSED = "lapsed"
    ALREADY_EXTENDED = "already_extended"
    NO_EXTENSION_LEFT = "no_extension_left"
    NOTHING_TO_DO = "nothing_to_do"
    UNREADABLE = "unreadable"
    BAD_QUERY = "bad_query"
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

    REQUEST = "request"  # the parties' live card
    APPROVAL = "approval"  # an approver's card
    OFFER = "offer"  # before the end: extend or return
    ENDED = "ended"  # access is over: request again
    NOTICE = "notice"  # a sentence, said once
    ALARM = "alarm"  # a sentence for the admins, said once


URGENCY = {  # the least is sent first
    Card.APPROVAL: 1,
    Card.ALARM: 1,
    Card.OFFER: 2,
    Card.REQUEST: 3,
    Card.ENDED: 3,
    Card.NOTICE: 4,
}
SAID_ONCE = frozenset({Card.NOTICE, Card.ALARM})


@dataclass(frozen=True, slots=True)
class Tell:
    """A card must be brought up to date, or posted. `key` tells cards of one kind apart.

    `post` False: only if it exists already. `detail` is the sentence of a notice or alarm.
    """

    to: PersonId
    card: Card
    key: str = ""
    detail: str = ""
    post: bool = True


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
