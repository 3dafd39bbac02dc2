"""What runs by time and is no request: one row a job, leased like everything else."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlmodel import col

from engine import alarms
from engine.account import Priority
from engine.retry import LONGEST_PAUSE, pause
from storage import batch, claims
from storage.claims import InstanceId
from storage.codec import fields_of
from storage.database import Database, Write
from storage.tables import AccountRow, JobRow
from storage.types import among


class JobKind(StrEnum):
    DISCOVER = "discover"  # an integration's resources; the subject is its id
    RECONCILE = "reconcile"  # the ledger with an integration; the subject is its id
    RECONCILE_ACCOUNT = "reconcile_account"  # one that was busy, or has ended; its id
    SLACK_PEOPLE = "slack_people"  # tie Slack accounts to people
    CHANNEL = "channel"  # look at one in which approvers are asked; the subject is its id
    DELEGATION = "delegation"  # end what has come to its end; one's id, or none: somebody has left
    FORGET_SECRET = "forget_secret"  # the subject is the account's id  # noqa: S105
    ANCHOR = "anchor"  # of the audit: told outside the database
    WISHES = "wishes"  # tell the administrators what people asked for
    ENDLESS = "endless"  # tell the administrators what runs without end
    SWEEP = "sweep"  # dead instances, and requests that sleep past their moment


GIVE_WAY = timedelta(minutes=1)  # that a look at one account lets ends go first, at the most

_KNOWN = [kind.value for kind in JobKind]  # during an upgrade there may be others
_NOT_SAID: Mapping[JobKind, timedelta] = MappingProxyType({})
_SYSTEM = (
    select(col(AccountRow.integration_id))
    .where(col(AccountRow.id) == cast(col(JobRow.subject), BigInteger))
    .scalar_subquery()
)
_OF_SYSTEM = or_(
    *(col(JobRow.kind) == kind.value for kind in (JobKind.DISCOVER, JobKind.RECONCILE))
)
_LANE: ColumnElement[str] = case(
    (_OF_SYSTEM, "system/" + col(JobRow.subject)),
    (
        # One that names no account has a lane of its own kind, and fails there alone.
        and_(
            col(JobRow.kind) == JobKind.RECONCILE_ACCOUNT.value,
            col(JobRow.subject).regexp_match("^[0-9]{1,18}$"),
        ),
        "system/" + func.coalesce(_SYSTEM, ""),
    ),
    else_=col(JobRow.kind),
)


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    kind: JobKind
    subject: str
    attempts: int
    due_at: datetime
    note: Mapping[str, Any] | None = None  # what it kept for itself when it ran last


def schedule(tx: Write, kind: JobKind, subject: str, at: datetime) -> None:
    """Have the job run at that time; one that is planned already keeps its time."""
    schedule_each(tx, kind, [subject], at)
    tx.wake("jobs")


def schedule_each(tx: Write, kind: JobKind, subjects: Iterable[str], at: datetime) -> None:
    """As `schedule`, for several. It wakes nobody: they are for later."""
    batch.add(tx, JobRow, _planned(kind, subjects, at), key=("kind", "subject"))


def reschedule(tx: Write, kind: JobKind, subject: str, at: datetime) -> None:
    """Have the job run at that time and at no other."""
    reschedule_each(tx, kind, [subject], at)


def reschedule_each(tx: Write, kind: JobKind, subjects: Iterable[str], at: datetime) -> None:
    """As `reschedule`, for several."""
    rows = _planned(kind, subjects, at)
    batch.add(tx, JobRow, rows, key=("kind", "subject"), change=("due_at", "attempts"))
    tx.wake("jobs")


def _planned(kind: JobKind, subjects: Iterable[str], at: datetime) -> list[dict[str, object]]:
    return [{"kind": kind.value, "subject": s, "due_at": at, "attempts": 0} for s in subjects]


def due(
    database: Database,
    now: datetime,
    limit: int,
    *,
    idle: InstanceId | None = None,
    busy: Collection[str] = (),
    longest: Mapping[JobKind, timedelta] = _NOT_SAID,
) -> dict[int, str]:
    """Return the ids of jobs that are due and not leased, each with its lane. No transaction.

    One lane is for all jobs of a system, and one for each kind of the others. `busy` are lanes to
    leave out. In the others `idle` runs none at the moment: what it has leased there is left from a
    run that could not be stored. `longest` says for how long each kind is put off at the most: what
    is much further ahead was planned by a clock that has been set back since. A look at one account
    lets ends go first.
    """
    given = {"now": now, "instance": idle, "busy": list(busy), "known": _KNOWN, "most": limit}
    given |= {"waited": now - GIVE_WAY} | _ahead(now, longest)
    with database.read() as session:
        found = session.ask(_due(tuple(longest)), given)
    return {id_ or 0: lane for id_, lane in found}


def claim(
    tx: Write,
    instance: InstanceId,
    ids: Iterable[int],
    now: datetime,
    *,
    idle: bool = False,
    longest: Mapping[JobKind, timedelta] = _NOT_SAID,
) -> list[Job]:
    """Lease those of the jobs that are still due; `idle` and `longest` as for `due`."""
    free = (
        select(col(JobRow.id))
        .where(
            col(JobRow.id).in_(list(ids)),
            _come(longest),
            _free(instance if idle else None),
        )
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(JobRow)
        .where(col(JobRow.id).in_(free))
        .values(lease=instance)
        .returning(JobRow)
        .execution_options(synchronize_session=False)
    )
    rows = tx.execute(taken, {"now": now} | _ahead(now, longest)).scalars().all()
    for row in rows:
        if row.note is not None and fields_of(row.note) is not row.note:
            tx.unread.note(
                "job",
                row.id,
                row.note,
                alarms.unread_job(row.kind, row.subject),
            )
    return [
        Job(
            row.id or 0,
            JobKind(row.kind),
            row.subject,
            row.attempts,
            row.due_at,
            fields_of(row.note) or None,
        )
        for row in rows
    ]


@cache
def _due(kinds: tuple[JobKind, ...]) -> Select[int | None, str]:
    ends = (
        exists()
        .where(
            col(AccountRow.acted) < col(AccountRow.wanted),
            col(AccountRow.priority) == Priority.ENDS.value,
            col(AccountRow.due_at) <= bindparam("now"),
        )
        .correlate(None)
    )
    return (
        select(col(JobRow.id), _LANE)
        .where(
            _come(kinds),
            among(col(JobRow.kind), "known"),
            not_(among(_LANE, "busy")),
            _free(bindparam("instance")),
            or_(
                col(JobRow.kind) != JobKind.RECONCILE_ACCOUNT.value,
                col(JobRow.due_at) <= bindparam("waited"),
                ~ends,
            ),
        )
        .order_by(col(JobRow.due_at))
        .limit(bindparam("most"))
    )


def _come(kinds: Iterable[JobKind]) -> ColumnElement[bool]:
    at, kind = col(JobRow.due_at), col(JobRow.kind)
    ahead = [and_(kind == of.value, at > bindparam(f"ahead_{of.value}")) for of in kinds]
    return or_(at <= bindparam("now"), *ahead)


def _ahead(now: datetime, longest: Mapping[JobKind, timedelta]) -> dict[str, datetime]:
    return {
        f"ahead_{kind.value}": now + max(most, LONGEST_PAUSE) + LONGEST_PAUSE
        for kind, most in longest.items()
    }


def _free(idle: object) -> ColumnElement[bool]:
    free = claims.free(col(JobRow.lease))
    return free if idle is None else or_(free, col(JobRow.lease) == idle)


def done(tx: Write, instance: InstanceId, job: Job, again: datetime | None) -> None:
    """Store that the job ran: it runs `again`, or never.

    One that was planned anew while it ran has not seen what that was for: it keeps that time.
    """
    mine = (col(JobRow.id) == job.id, col(JobRow.lease) == instance)
    as_it_was = (*mine, col(JobRow.due_at) == job.due_at)
    if again is None:
        tx.execute(delete(JobRow).where(*as_it_was))
    else:
        tx.execute(update(JobRow).where(*as_it_was).values(due_at=again))
    tx.execute(update(JobRow).where(*mine).values(attempts=0, lease=None))


def keep(tx: Write, instance: InstanceId, job: Job, note: Mapping[str, Any] | None) -> None:
    """Store what the job is to know when it runs again, whichever process runs it."""
    mine = (col(JobRow.id) == job.id, col(JobRow.lease) == instance)
    tx.execute(update(JobRow).where(*mine).values(note=note))


def failed(tx: Write, instance: InstanceId, job: Job, now: datetime) -> None:
    """Try the job again later, with growing pauses."""
    tx.execute(
        update(JobRow)
        .where(col(JobRow.id) == job.id, col(JobRow.lease) == instance)
        .values(due_at=now + pause(job.attempts), attempts=job.attempts + 1, lease=None)
    )
