"""The tables. A row has the columns that SQL needs; the value itself is in `body`.

Rows do not validate: values come from the engine, documents are checked at the border.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    event,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from engine import request
from engine.inventory import OWNER_TAG
from storage.codec import called, compared
from storage.types import Json, UtcDateTime


def _of(states: Collection[request.State]) -> str:
    return f"({', '.join(repr(state.value) for state in request.State if state in states)})"


OPEN = f"state in {_of(request.OPEN)}"
# All but what is over: what stands there instead of a state that is known is not.
LIVE = f"state not in {_of(request.FINAL)}"
# What runs, and time changes nothing of: it has no end.
ENDLESS = f"state = '{request.State.ACTIVE.value}' and wake_at is null"


def _moment(*, nullable: bool = True) -> Any:  # noqa: ANN401  (SQLModel's Field is untyped)
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=nullable))


def _json(default: str | None = None) -> Any:  # noqa: ANN401
    column = Column(Json, nullable=False, server_default=default)
    return Field(default=None if default is None else json.loads(default), sa_column=column)


def _none() -> Any:  # noqa: ANN401
    return Field(default=0, sa_column_kwargs={"server_default": "0"})


def _empty() -> Any:  # noqa: ANN401
    return Field(default="", sa_column_kwargs={"server_default": ""})


def _number(default: int) -> Any:  # noqa: ANN401
    return Field(default=default, sa_column_kwargs={"server_default": str(default)})


class Fact(SQLModel):
    """What decisions rest on. `epoch` is the number of the change that touched the row last.

    `storage.database.Write` stores it, and refuses what would change a fact without it.
    """

    epoch: int = _number(0)


class CompanyRow(SQLModel, table=True):
    """One row. Who changes facts holds it alone, who decides holds it with others, until COMMIT.

    `epoch` is the number of the last change. Tombstones of changes up to `forgotten` are no more.
    `failing`: sources that could not be read, and since when. `schedules`: who is on call.
    `installation`: the name under which logins are made; empty: none was taken in yet.
    """

    __tablename__ = "company"
    id: int = Field(default=1, primary_key=True)
    epoch: int = 0
    forgotten: int = _number(0)
    paused: bool = False  # no new access is begun; revoking goes on
    syncing: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    requests_from: int = _number(1)  # no request gets a smaller id, on SQLite
    admins: list[str] = _json()
    failing: dict[str, str] = _json("{}")
    schedules: list[Any] = _json("[]")
    risks: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))  # as is published
    installation: str = _empty()


class PersonRow(Fact, table=True):
    """`slack` is the user id of the Slack account that is tied, `suspended` of the one that was,
    until an admin has looked (empty: it is not known which). Either is of `team`, and of
    `enterprise`, if the team belongs to one; empty: not known.

    `former`: name and address before the address changed, until an admin has said who it is.
    `compared`: what conditions compare of the body, for SQL to do so; `called`: address and name
    without case, each a line, to be searched. None of either, where the body is no value.
    """

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("slack", "team"), Index("person_changed", "epoch", "id"))
    id: str = Field(primary_key=True)
    email: str = Field(index=True)
    status: str
    team: str = Field(default="", sa_column_kwargs={"server_default": ""})
    enterprise: str = Field(default="", sa_column_kwargs={"server_default": ""})
    slack: str | None = None
    account: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))  # what Slack said
    suspended: str | None = None
    former: dict[str, str] | None = Field(default=None, sa_column=Column(Json))
    channel: str | None = None  # the direct message with the app
    void_until: datetime | None = _moment()  # what they approved until then counts no more
    successor: str | None = None  # the id that the person has now: this one is kept for the past
    body: dict[str, Any] = _json()
    compared: dict[str, list[str]] | None = Field(default=None, sa_column=Column(Json))
    called: str | None = None


@event.listens_for(PersonRow, "before_insert")
@event.listens_for(PersonRow, "before_update")
def _keep_compared(_mapper: object, _on: object, row: PersonRow) -> None:
    compare_anew(row)


def compare_anew(row: PersonRow) -> None:
    """Bring what SQL compares in line with the body, as each change of the body does."""
    row.compared = compared(row.body)
    row.called = called(row.compared)


class GroupRow(Fact, table=True):
    """`gone`: a tombstone, until every process that runs has passed its epoch."""

    __tablename__ = "people_group"
    __table_args__ = (Index("group_changed", "epoch"),)
    id: str = Field(primary_key=True)
    source: str
    name: str
    gone: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class IntegrationRow(Fact, table=True):
    """A change of anything that the system has touches its row, too."""

    __tablename__ = "integration"
    id: str = Field(primary_key=True)
    name: str
    name_key: str = _empty()  # casefolded
    kind: str
    server: str = ""  # that gave the numbers of its resources; empty: not known yet
    listed: bool = True  # if not: what runs there ends, and nothing begins
    owner: str = _empty()  # a person's or a group's id
    owner_tag: str = Field(default=OWNER_TAG, sa_column_kwargs={"server_default": OWNER_TAG})
    body: dict[str, Any] = _json()  # settings; secrets only as references


class ResourceRow(Fact, table=True):
    """A change of what can be had on the resource touches its row, too.

    `tagged` names what `resource_tag` has of it; empty: nothing. What the program before writes
    beside this one leaves it as it was, so that the next discovery sees that the two differ.
    """

    __tablename__ = "resource"
    __table_args__ = (
        UniqueConstraint("integration_id", "source_id"),
        Index("resource_changed", "integration_id", "epoch", "id"),
        Index("resource_named", "integration_id", "name_key"),
        Index("resource_at", "integration_id", "path_key"),
    )
    id: int | None = Field(default=None, primary_key=True)
    integration_id: str = Field(foreign_key="integration.id")
    source_id: str
    type: str
    name: str
    path: str
    type_key: str = _empty()  # casefolded
    name_key: str  # casefolded
    path_key: str  # casefolded
    status: str
    risk: int
    tagged: str = _empty()
    body: dict[str, Any] = _json()  # tags, context, owner, caveat, policies


class PermissionRow(Fact, table=True):
    """What a system's permission is called, whatever it can be had on.

    One that has no row yet is called by its id.
    """

    __tablename__ = "permission"
    integration_id: str = Field(foreign_key="integration.id", primary_key=True)
    id: str = Field(primary_key=True)  # the system's own
    name: str
    name_key: str  # casefolded
    body: dict[str, Any] = _json()  # tags, context


class _Tag(SQLModel):
    """A tag, or a piece of context, as queries ask for it. Whose it is has it as it was written."""

    context: bool = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value_key: str = Field(primary_key=True)  # casefolded


class ResourceTagRow(_Tag, table=True):
    __tablename__ = "resource_tag"
    __table_args__ = {"sqlite_with_rowid": False}  # SQLite's tables are their keys alone
    resource_id: int = Field(foreign_key="resource.id", primary_key=True, index=True)


class PermissionTagRow(_Tag, table=True):
    __tablename__ = "permission_tag"
    __table_args__ = (
        ForeignKeyConstraint(
            ["integration_id", "permission"], ["permission.integration_id", "permission.id"]
        ),
        {"sqlite_with_rowid": False},
    )
    integration_id: str = Field(primary_key=True)
    permission: str = Field(primary_key=True)


class EntitlementRow(Fact, table=True):
    __tablename__ = "entitlement"
    __table_args__ = (UniqueConstraint("resource_id", "permission"),)
    id: int | None = Field(default=None, primary_key=True)
    resource_id: int = Field(foreign_key="resource.id")
    permission: str  # its id in the system
    risk: int
    offered: bool = True  # the last discovery found it, or could not look


class FlowRow(Fact, table=True):
    __tablename__ = "flow"
    __table_args__ = (Index("flow_changed", "epoch"),)
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)  # casefolded
    revision: int
    active: bool = True
    deleted: bool = False


class FlowRevisionRow(SQLModel, table=True):
    """It never changes: a new one comes with its flow's row."""

    __tablename__ = "flow_revision"
    flow_id: int = Field(foreign_key="flow.id", primary_key=True)
    number: int = Field(primary_key=True)
    saved_at: datetime = _moment(nullable=False)
    body: dict[str, Any] = _json()


class ObjectRow(Fact, table=True):
    """A bundle, an access scope, or a space."""

    __tablename__ = "policy_object"
    __table_args__ = (UniqueConstraint("kind", "name"), Index("object_changed", "epoch"))
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    name: str  # casefolded
    revision: int
    deleted: bool = False


class ObjectRevisionRow(SQLModel, table=True):
    """It never changes: a new one comes with its object's row."""

    __tablename__ = "policy_object_revision"
    object_id: int = Field(foreign_key="policy_object.id", primary_key=True)
    number: int = Field(primary_key=True)
    saved_at: datetime = _moment(nullable=False)
    body: dict[str, Any] = _json()


class ChannelRow(Fact, table=True):
    """A channel of Slack's in which approvers are asked, as it was last seen."""

    __tablename__ = "channel"
    __table_args__ = (Index("channel_changed", "epoch"),)
    id: str = Field(primary_key=True)
    body: dict[str, Any] = _json()


class DelegationRow(Fact, table=True):
    """Somebody's right to approve, lent to another. `ended_at`: it was ended, or had come to it."""

    __tablename__ = "delegation"
    __table_args__ = (Index("delegation_changed", "epoch"),)
    id: int | None = Field(default=None, primary_key=True)
    body: dict[str, Any] = _json()
    ended_at: datetime | None = _moment()


class RequestRow(SQLModel, table=True):
    __tablename__ = "request"
    __table_args__ = (
        Index("request_same", "fingerprint", unique=True, sqlite_where=text(OPEN),
              postgresql_where=text(OPEN)),
        Index("request_due", "wake_at", sqlite_where=text("wake_at is not null"),
              postgresql_where=text("wake_at is not null")),
        Index("request_grantee", "grantee_id", "state"),
        Index("request_requestor", "requestor_id", "state"),
        Index("request_endless", "id", sqlite_where=text(ENDLESS), postgresql_where=text(ENDLESS)),
        Index("request_under", "flow_id", "revision", "id", sqlite_where=text(LIVE),
              postgresql_where=text(LIVE)),
    )  # fmt: skip
    id: int | None = Field(default=None, primary_key=True)
    state: str
    version: int = 1
    wake_at: datetime | None = _moment()
    attempts: int = 0
    requestor_id: str
    grantee_id: str
    flow_id: int = Field(foreign_key="flow.id")
    revision: int
    fingerprint: str
    submitted_at: datetime = _moment(nullable=False)
    body: dict[str, Any] = _json()


class ChangeRow(SQLModel, table=True):
    """What a change of facts touches, until all live requests that it does are woken.

    Those with ids up to `after` are, but for those that somebody held `locked`. Those after
    `until` were made later. `held`: the intake that it is a part of has not come to its end.
    `attempts` failed in a row, so that it waits until `due_at`.
    """

    __tablename__ = "change"
    id: int | None = Field(default=None, primary_key=True)
    what: dict[str, Any] = _json()
    after: int = 0
    until: int
    locked: list[int] = _json()
    held: bool = False
    attempts: int = _number(0)
    due_at: datetime | None = _moment()


class GrantRow(SQLModel, table=True):
    __tablename__ = "access_grant"
    __table_args__ = (
        Index("grant_open", "entitlement_id", sqlite_where=text("open = 1"),
              postgresql_where=text("open")),
    )  # fmt: skip
    request_id: int = Field(foreign_key="request.id", primary_key=True)
    number: int = Field(primary_key=True)
    entitlement_id: int = Field(foreign_key="entitlement.id", index=True)
    account_id: int = Field(foreign_key="account.id", index=True)
    state: str
    begun: bool
    open: bool


class AccountRow(SQLModel, table=True):
    """One person in one system: what it should be is `wanted`, what was made so is `acted`."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("integration_id", "person_id"),
        Index("account_next", "priority", "due_at", sqlite_where=text("acted < wanted"),
              postgresql_where=text("acted < wanted")),
    )  # fmt: skip
    id: int | None = Field(default=None, primary_key=True)
    integration_id: str = Field(foreign_key="integration.id")
    person_id: str
    login: str
    wanted: int = 0
    acted: int = 0
    due_at: datetime | None = _moment()
    priority: int = _number(1)  # 0: something there has to end
    attempts: int = 0
    lease: int | None = None
    unknown_until: datetime | None = _moment()
    made: bool = False  # the login was made in the system
    secret: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    secret_set: bool = False  # the system has it
    secret_since: datetime | None = _moment()  # then
    proof: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # of the password
    trace: str | None = None  # of what was given, for the connector alone to read
    shown_at: datetime | None = _moment()
    faults: dict[str, list[Any]] | None = Field(default=None, sa_column=Column(Json))  # that last
    found: dict[str, str] | None = Field(default=None, sa_column=Column(Json))  # by reconciliation


class AskRow(SQLModel, table=True):
    __tablename__ = "ask"
    request_id: int = Field(foreign_key="request.id", primary_key=True)
    person_id: str = Field(primary_key=True, index=True)
    seat: str = Field(primary_key=True)
    tier: int | None = None
    group: int | None = None
    why: str
    open: bool


class DecisionRow(SQLModel, table=True):
    __tablename__ = "decision"
    request_id: int = Field(foreign_key="request.id", primary_key=True)
    person_id: str = Field(primary_key=True, index=True)
    verdict: str
    reason: str
    at: datetime = _moment(nullable=False)


class MessageRow(SQLModel, table=True):
    """What one person should see, and what Slack has of it.

    `wanted`, `drawn`, `shown` are numbers of versions: the one that it should be, the one that the
    live card is, and the one that all is done for. `posting` and `posted` number the times that it
    was posted anew in the same way, `news` and `posted_news` say because of what. The live card is
    at `ts`; `earlier` holds those that have not been seen shrunk.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("request_id", "recipient", "kind", "key"),
        Index("message_next", "priority", "place", "id", sqlite_where=text("shown < wanted"),
              postgresql_where=text("shown < wanted")),
        Index("message_turn", "requestor", "priority", "place", sqlite_where=text("shown < wanted"),
              postgresql_where=text("shown < wanted")),
    )  # fmt: skip
    id: int | None = Field(default=None, primary_key=True)
    request_id: int = Field(index=True)
    recipient: str
    kind: str
    key: str = ""
    detail: str = ""
    requestor: str = Field(default="", sa_column_kwargs={"server_default": ""})
    priority: int = 5
    place: int = Field(  # among those of its priority
        default=0, sa_column=Column(BigInteger, nullable=False, server_default="0")
    )
    wanted: int = 1
    drawn: int = _none()
    shown: int = 0
    posting: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    posted: int = _none()
    news: str = _empty()
    news_at: datetime | None = _moment()
    posted_news: str = _empty()
    due_at: datetime | None = _moment()
    attempts: int = 0
    lease: int | None = None
    attempted_at: datetime | None = _moment()  # a send whose outcome is not known
    channel: str | None = None
    ts: str | None = None
    earlier: list[dict[str, str]] = _json("[]")


class AuditRow(SQLModel, table=True):
    __tablename__ = "audit"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = _moment(nullable=False)
    actor: str
    action: str
    request_id: int | None = Field(default=None, index=True)
    body: dict[str, Any] = _json()
    hash: str
    key: str = Field(default="", sa_column_kwargs={"server_default": ""})  # its id; empty: none
    mac: str = Field(default="", sa_column_kwargs={"server_default": ""})  # of the hash, by the key


class AuditHead(SQLModel, table=True):
    __tablename__ = "audit_head"
    id: int = Field(default=1, primary_key=True)
    seq: int = 0
    hash: str = ""
    mac: str = Field(default="", sa_column_kwargs={"server_default": ""})


class DeliveryRow(SQLModel, table=True):
    """What was delivered once, by the key that Slack gives it, and the requests that came of it."""

    __tablename__ = "delivery"
    key: str = Field(primary_key=True)
    number: int = Field(default=0, primary_key=True, sa_column_kwargs={"server_default": "0"})
    request_id: int


class WishRow(SQLModel, table=True):
    """What somebody cannot have, and told the administrators that they want.

    `about` tells one wish of a person from another: the resource, else the words. `called` is what
    it is called to people. `told`: the administrators have read of it.
    """

    __tablename__ = "wish"
    __table_args__ = (UniqueConstraint("person_id", "about"),)
    id: int | None = Field(default=None, primary_key=True)
    person_id: str
    about: str
    resource_id: int | None = None
    words: str  # that were looked for
    called: str
    reason: str
    at: datetime = _moment(nullable=False)
    told: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class ManifestSetRow(SQLModel, table=True):
    """A set of manifests that was applied, by the hash of its content."""

    __tablename__ = "manifest_set"
    hash: str = Field(primary_key=True)
    applied_at: datetime = _moment(nullable=False)


class JobRow(SQLModel, table=True):
    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("kind", "subject"),)
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str
    due_at: datetime = _moment(nullable=False)
    attempts: int = 0
    lease: int | None = None
    note: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))  # how far it has come


class InstanceRow(SQLModel, table=True):
    """One running process. It lives while its heartbeat, by the database's clock, is fresh."""

    __tablename__ = "instance"
    __table_args__ = {"sqlite_autoincrement": True}  # a dead one's id is not given again
    id: int | None = Field(default=None, primary_key=True)
    beat: float
    hands: bool = False  # a command, which works in place of a process
    links: int = _number(2)  # sockets of the app that it keeps open at Slack
    counted: float | None = None  # when Slack last told it how many there are
    strangers: int = _number(0)  # of those, the ones that no replica explains
    passed: int = _number(-1)  # the last change of facts that it surely knows
