"""Whom a change concerns, read off the audit: every change of a request leaves a line there."""

from sqlalchemy import select, union
from sqlmodel import Session, col

from engine.directory import PersonId
from storage.tables import AskRow, AuditHead, AuditRow, RequestRow


def newest(session: Session) -> int:
    """Return the number of the audit's last line; 0, if its head does not say."""
    seq = session.execute(select(col(AuditHead.seq)).where(col(AuditHead.id) == 1)).scalar()
    return seq if isinstance(seq, int) else 0


def concerned(session: Session, after: int, until: int) -> frozenset[PersonId]:
    """Return who asked for, receives or was asked about a request that a line is about.

    `after` and `until` are numbers of lines; that of `until` counts.
    """
    lines = select(col(AuditRow.request_id)).where(
        col(AuditRow.seq) > after, col(AuditRow.seq) <= until
    )
    touched = col(RequestRow.id).in_(lines)
    people = union(
        select(col(RequestRow.requestor_id)).where(touched),
        select(col(RequestRow.grantee_id)).where(touched),
        select(col(AskRow.person_id)).where(col(AskRow.request_id).in_(lines)),
    )
    return frozenset(PersonId(person) for (person,) in session.execute(people))
