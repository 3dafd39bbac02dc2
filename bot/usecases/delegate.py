"""Lending one's right to approve: begun, listed, ended by hand or because its time is up."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from bot.runtime.services import Services
from bot.usecases.identity import read_as, write_as
from bot.views.values import Lent
from engine import delegating
from engine.delegating import Why
from engine.directory import Delegation, DelegationId, Directory, Person
from engine.outcome import Code, Refusal
from engine.request import SYSTEM
from storage import sync
from storage.company import Company
from storage.database import Read, Write
from storage.jobs import Job

__all__ = ["EVERY", "begin", "end", "end_with", "listed", "look"]

EVERY = delegating.LONGEST  # that one is looked at ahead, at the most

_NOT_THERE = Refusal(Code.NOTHING_TO_DO, "This delegation has ended already, or is not yours.")

_Chosen = Callable[[Delegation, Directory], bool]

log = structlog.get_logger()


def begin(
    services: Services, person: Person, slack: str, until: str, reason: str
) -> Delegation | Refusal:
    """Lend the right to whoever has this Slack account. `until` is as people say it."""

    def change(tx: Write, company: Company, who: Person) -> Delegation | Refusal:
        now = services.clock.now()
        here = company.directory.at(now)
        ends = delegating.moment(until, who.zone, now)
        if isinstance(ends, Refusal):
            return ends
        made = delegating.begin(who, _of(here, who, slack), (ends, reason), here, now)
        return made if isinstance(made, Refusal) else sync.lend(tx, made, here, now)

    return write_as(services, person, change, alone=True)


def listed(services: Services, person: Person) -> Lent | Refusal:
    """Return what somebody has lent and received; an administrator sees that of others, too."""

    def find(_: Read, company: Company, who: Person) -> Lent:
        return _lent(company, who, services.clock.now())

    return read_as(services, person, find)


def end(services: Services, person: Person, id_: DelegationId) -> Lent | Refusal:
    """End one, and return what is left."""
    return _end(services, person, lambda d, _: d.id == id_)


def end_with(services: Services, person: Person, slack: str) -> Lent | Refusal:
    """End those between somebody and whoever has this Slack account."""

    def between(one: Delegation, here: Directory) -> bool:
        other = _of(here, person, slack)
        return other is not None and {other.id, person.id} == {one.delegator, one.delegate}

    return _end(services, person, between)


def look(services: Services, job: Job) -> timedelta | None:
    """Store the end of those that hold no more; return when this one is to be looked at again."""
    now = services.clock.now()
    if delegating.over(services.company().directory.at(now)):
        services.write(lambda tx, company: _lapse(tx, company, services.clock.now()), alone=True)
    left = services.company().directory.delegations
    own = (d.until for d in left if str(d.id) == job.subject)
    return next((until - now for until in own), None)


def _lapse(tx: Write, company: Company, now: datetime) -> None:
    here = company.directory.at(now)
    ended = sync.take_back(tx, delegating.over(here), SYSTEM, here, now)
    log.info("delegations ended", many=ended)


def _end(services: Services, person: Person, chosen: _Chosen) -> Lent | Refusal:
    def change(tx: Write, company: Company, who: Person) -> Lent | Refusal:
        now = services.clock.now()
        here = company.directory.at(now)
        admin = who.id in company.admins
        mine = [
            (d, Why.BY_HAND)
            for d in here.standing
            if chosen(d, here) and delegating.may_end(d, who.id, here, admin=admin)
        ]
        if not sync.take_back(tx, mine, who.id, here, now):
            return _NOT_THERE
        gone = {d.id for d, _ in mine}
        return _without(_lent(company, who, now), gone)

    return write_as(services, person, change, alone=True)


def _without(lent: Lent, gone: Iterable[DelegationId]) -> Lent:
    left = [
        [d for d in some if d.id not in gone] for some in (lent.given, lent.received, lent.others)
    ]
    given, received, others = left
    return replace(lent, given=given, received=received, others=others)


def _lent(company: Company, who: Person, now: datetime) -> Lent:
    here = company.directory.at(now)
    given, received = here.given_by(who.id), here.received_by(who.id)
    mine = {d.id for d in (*given, *received)}
    others = [d for d in here.standing if d.id not in mine] if who.id in company.admins else []
    return Lent(who, here, [*given], [*received], others)


def _of(here: Directory, who: Person, slack: str) -> Person | None:
    """Return whose account it is, of the same team or organisation."""
    return here.whose(replace(who.account, user=slack)) if who.account and slack else None
