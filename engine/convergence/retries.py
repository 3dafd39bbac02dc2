"""What comes of a failure: another try, after a pause that grows; doubt; an alarm."""

from datetime import datetime, timedelta

from engine.commands import Command
from engine.convergence.values import Account, Alarm, Silence, Step
from engine.outcome import AuditEntry
from engine.request import SYSTEM, RequestId
from engine.retry import ALARM_AFTER, LONGEST_PAUSE, pause


def failed(
    account: Account,
    why: str,
    now: datetime,
    *,
    silence: Silence | None = None,
    decide: tuple[tuple[RequestId, Command], ...] = (),
    audit: tuple[AuditEntry, ...] = (),
) -> Step:
    """Give it back, to be tried again. Of a system that is silent three failures are noted."""
    account, alarm = account.with_(lease=None), None
    if silence is None or silence.times <= ALARM_AFTER:
        detail = {
            "account": account.login,
            "integration": account.integration,
            "why": why,
            "silent": silence is not None,
        }
        audit = (*audit, AuditEntry("delayed", SYSTEM, detail))
    if silence is None:
        account, alarm = put_off(account, why, now)
    else:
        # It is no worse than the others that wait there: one of them is the next that is tried.
        account = account.with_(due_at=now + silence.pause)
        alarm = Alarm(why, for_all=True) if silence.times == ALARM_AFTER else None
    return Step(account=account, decide=decide, audit=audit, alarm=alarm)


def put_off(account: Account, why: str, now: datetime) -> tuple[Account, Alarm | None]:
    """Try again later, for ever; at three failures in a row the administrators are told."""
    attempts = account.attempts + 1
    account = account.with_(attempts=attempts, due_at=now + pause(attempts - 1))
    return account, Alarm(why) if attempts == ALARM_AFTER else None


def doubt(account: Account, now: datetime) -> Account:
    """Take in that a call may still take effect, until its deadline has passed."""
    return account.with_(unknown_until=now + _deadline(account))


def in_doubt(account: Account, now: datetime) -> bool:
    return account.unknown_until is not None and now < account.unknown_until


def doubted(account: Account, now: datetime) -> tuple[Account, bool]:
    """Tell whether it is in doubt. It is never for longer, but where the clock was set back."""
    if account.unknown_until is None:
        return account, False
    until = min(account.unknown_until, now + _deadline(account))
    return account.with_(unknown_until=until), in_doubt(account, now)


def _deadline(account: Account) -> timedelta:
    return account.kind.deadline if account.kind else LONGEST_PAUSE
