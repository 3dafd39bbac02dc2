"""What may be believed of an answer, what the requests are told of it, and what is at fault."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from engine.commands import Observe
from engine.convergence.passwords import Fate, after
from engine.convergence.retries import doubt, doubted, failed
from engine.convergence.turn import Told, stands
from engine.convergence.values import (
    Account,
    Answer,
    Done,
    Fault,
    Finish,
    Seen,
    Step,
    Take,
    Work,
)
from engine.holdings import Wishes
from engine.inventory import EntitlementId
from engine.outcome import AuditEntry
from engine.port import Order, Outcome, Presence, Report, Target, Unavailable
from engine.request import SYSTEM, GrantId, GrantState, RequestId
from engine.retry import ALARM_AFTER


def lost(account: Account, _event: Answer, _wishes: Wishes, now: datetime) -> Step:
    """Believe nothing of a worker that was thought dead: what it did may cross its successor's."""
    return Step(account=doubt(account, now).with_(wanted=account.wanted + 1))


def answer(account: Account, event: Answer, wishes: Wishes, now: datetime) -> Step:
    """Take in what a piece of work saw. What will not be given in the end is refused."""
    done = event.done
    if account.lease != event.by.instance:
        return lost(account, event, wishes, now)
    faults, refused = _counted(account, done)
    account = account.with_(faults=faults)
    held = {g.entitlement for _, g in wishes.grants if g.state is GrantState.HELD}
    # What is held is tried for ever, as an end is.
    heard = _Heard(event, wishes, now, tuple(_refusals(wishes, refused)), refused.keys() - held)
    if done.work.order is None:
        return _looked(account, heard)
    if isinstance(done.result, Report):
        return _reported(account, heard, done.work.order, done.result)
    return _unanswered(account, heard, done.work.order, done.result)


@dataclass(frozen=True, slots=True)
class _Heard:
    """An answer; what the requests are `told` at once; what is `over`, because it was refused."""

    event: Answer
    wishes: Wishes
    now: datetime
    told: tuple[Told, ...]
    over: Collection[EntitlementId]


def _looked(account: Account, heard: _Heard) -> Step:
    done, by = heard.event.done, heard.event.by
    looked = {e: t for e, t in done.work.look.items() if e not in heard.over}
    found: dict[EntitlementId, bool] = {}
    if isinstance(done.result, Unavailable):
        why = str(done.result) if looked else ""
    else:
        seen = done.result.outcomes if isinstance(done.result, Report) else done.result
        unclear = [t for t in looked.values() if seen[t].presence is Presence.UNKNOWN]
        why = seen[unclear[0]].reason if unclear else ""
        found = {e: seen[t].presence is Presence.HELD for e, t in looked.items()}
    if why:
        return failed(account, why, heard.now, silence=done.silence, decide=heard.told)
    return Step(
        account=account.with_(lease=None),
        decide=(*heard.told, *stands(heard.wishes, found)),
        then=Take(by) if heard.event.alone else None,
    )


def _unanswered(account: Account, heard: _Heard, order: Order, result: Seen | Unavailable) -> Step:
    done = heard.event.done
    if account.unknown_until and order.wanted:
        account = doubt(account, heard.now)  # what it may have begun takes effect until later
    if heard.over == done.work.targets.keys():
        finish = Finish(heard.event.by, done.work.version)
        return Step(account=account, decide=heard.told, then=finish)
    return failed(account, str(result), heard.now, silence=done.silence, decide=heard.told)


def _reported(account: Account, heard: _Heard, order: Order, report: Report) -> Step:
    work, password, now = heard.event.done.work, account.password, heard.now
    if report.login_missing:
        # It may be there: `made` stays, so that what is new is looked at before it is given.
        if password.sealed in {work.sealed, None}:  # else it was reset meanwhile, and is shown
            password = after(password, Fate.MISSING, now)
            account = account.with_(password=password, proof=None)
        why = f"the login {account.login} is missing, or no password is known for it"
        return failed(account, why, now, decide=heard.told)
    account, in_doubt = doubted(account, now)
    if order.unwanted and not report.alone and account.unknown_until is None:
        # A call of ours may still take effect: what it would do is seen to once it cannot.
        account, in_doubt = doubt(account, now), True
    believed, fault = _believed(heard, report, in_doubt=in_doubt)
    newest = work.version == account.wanted
    told = (*heard.told, *_observations(heard.wishes, believed, report, newest=newest))
    account = _kept(account, work, order, report, now)
    notes = tuple(
        AuditEntry("noted", SYSTEM, {"account": account.login, "note": n}) for n in report.notes
    )
    if fault:
        return failed(account, fault, now, decide=told, audit=notes)
    finish = Finish(heard.event.by, work.version, seen=True, ended=bool(order.unwanted))
    return Step(account=account, decide=told, then=finish, audit=notes)


def _counted(
    account: Account, done: Done
) -> tuple[dict[EntitlementId, Fault], dict[EntitlementId, Outcome]]:
    """Return what failed by now, and what failed too often for one reason that lasts."""
    faults: dict[EntitlementId, Fault] = {}
    refused: dict[EntitlementId, Outcome] = {}
    for entitlement, why in _lasting(done).items():
        before = account.faults.get(entitlement)
        times = before.times + 1 if before and before.why == why else 1
        if times >= ALARM_AFTER:
            refused[entitlement] = Outcome(Presence.REFUSED, why)
        else:
            faults[entitlement] = Fault(why, times)
    return faults, refused


def _lasting(done: Done) -> dict[EntitlementId, str]:
    """Return what was to be given, and will not be until somebody does what the sentence says."""
    order, result = done.work.order, done.result
    asked = done.work.targets
    if order is not None:
        wanted = set(order.wanted)
        asked = {e: t for e, t in asked.items() if t in wanted}
    if isinstance(result, Unavailable):
        return dict.fromkeys(asked, str(result)) if result.lasting else {}
    seen = result.outcomes if isinstance(result, Report) else result
    lasting = {e: seen[t] for e, t in asked.items() if seen[t].lasting}
    return {e: o.reason for e, o in lasting.items() if o.presence is Presence.UNKNOWN}


def _refusals(wishes: Wishes, refused: Mapping[EntitlementId, Outcome]) -> Iterator[Told]:
    for request in wishes.requests:
        mine = {
            g.id: refused[g.entitlement]
            for g in request.grants
            if g.account == wishes.account and g.entitlement in refused
        }
        if mine:
            yield request.id, Observe(mine, newest=False)  # it tells nothing about the end


def _believed(
    heard: _Heard, report: Report, *, in_doubt: bool
) -> tuple[dict[RequestId, dict[GrantId, Outcome]], str]:
    """Return what each request may believe, and what is not yet as it should be."""
    work = heard.event.done.work
    wanted = frozenset(work.order.wanted if work.order else ())
    believed: dict[RequestId, dict[GrantId, Outcome]] = {}
    faults: dict[str, None] = {}
    for request, grant, entitlement in work.items:
        if entitlement in heard.over:
            continue
        target = work.targets[entitlement]
        seen, fault = _judge(
            target, report.outcomes[target], wanted=target in wanted, in_doubt=in_doubt
        )
        believed.setdefault(request, {})[grant] = seen
        if fault:
            faults[fault] = None
    return believed, "; ".join(faults)


def _judge(target: Target, seen: Outcome, *, wanted: bool, in_doubt: bool) -> tuple[Outcome, str]:
    """Return what may be believed of an outcome, and what is at fault with it.

    While a call may still take effect, nothing is called gone.
    """
    match seen.presence:
        case Presence.ABSENT if wanted:
            why = seen.reason or f"{target} is not there yet"
        case Presence.ABSENT if in_doubt:
            return Outcome(Presence.UNKNOWN), ""
        case Presence.HELD if not wanted:
            why = seen.reason or f"{target} is still there"
        case Presence.UNKNOWN:
            why = seen.reason
        case _:
            return seen, ""
    return Outcome(Presence.UNKNOWN, why), why


def _observations(
    wishes: Wishes,
    believed: Mapping[RequestId, Mapping[GrantId, Outcome]],
    report: Report,
    *,
    newest: bool,
) -> Iterator[Told]:
    """Tell each request what was seen of it, and whether its extension was taken."""
    for request in wishes.requests:
        if seen := believed.get(request.id):
            yield request.id, Observe(seen, report.deadline_refused, newest)


def _kept(account: Account, work: Work, order: Order, report: Report, now: datetime) -> Account:
    """Keep what the system has of the login, but for a password that was replaced meanwhile."""
    password, proof = account.password, account.proof
    if report.proof and password.sealed in {work.sealed, None}:
        proof = report.proof
    if work.login.password and password.sealed == work.sealed:
        password = after(password, Fate.TAKEN, now)
        password = replace(password, made=password.made or bool(order.wanted))
    trace = account.trace if report.trace is None else report.trace
    return account.with_(password=password, proof=proof, trace=trace)
