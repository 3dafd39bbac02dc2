"""A turn: taken up, looked at, begun, called for, finished; or put off."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from engine.commands import Attempt, Command, FirstLook, Tick
from engine.convergence.passwords import AGAIN, Fate, after
from engine.convergence.retries import doubt, failed, in_doubt, put_off
from engine.convergence.values import (
    Account,
    Begin,
    Begins,
    Call,
    Compare,
    Compared,
    Event,
    Finish,
    HandOver,
    PasswordState,
    Step,
    Stumble,
    Take,
    Wanted,
    Work,
)
from engine.directory import Person
from engine.holdings import Wish, Wishes, unlooked, wants
from engine.inventory import EntitlementId
from engine.port import Holding, Login, Order
from engine.request import GrantState, RequestId, State

Told = tuple[RequestId, Command]


def nothing(account: Account, _event: Event, _wishes: Wishes, _now: datetime) -> Step:
    """Late, or not its turn, and harmless."""
    return Step(account=account)


def wanted(account: Account, _event: Wanted, _wishes: Wishes, now: datetime) -> Step:
    account = account.with_(wanted=account.wanted + 1, due_at=now, attempts=0)
    return Step(account=account)


def take(account: Account, event: Take, wishes: Wishes, now: datetime) -> Step:
    """Lease it. What another call may have begun, whose worker is dead, is in doubt."""
    if account.kind is None:
        return Step(account=account.with_(due_at=now + AGAIN))  # it is out of order here
    if account.lease is not None:
        account = doubt(account, now)
    ours, new = unlooked(account.id, wishes.requests)
    fresh = account.generates_login and not account.password.made
    known = dict.fromkeys(ours | new if fresh else ours, False)
    ended = [(r.id, Tick()) for r in wishes.requests if r.state is State.REVOKING]
    return Step(
        account=account.with_(lease=event.by.instance),
        decide=(*ended, *stands(wishes, known)),
        then=Begin(event.by),
    )


def begin(account: Account, event: Begin, wishes: Wishes, now: datetime) -> Step:
    """Look at what may be there by somebody else's doing, or let the requests begin."""
    if not account.readable:  # no system would know it: the login would seem to be gone
        why = "the login that is stored cannot be read: correct it in the database"
        return failed(account, why, now)
    if wishes.astray(account.integration) and not account.vouched:
        # The system that is stored may know nobody of that name: all would seem to be gone.
        why = "the requests name another system than the one that is stored of the login"
        return failed(account, why, now)
    if event.by.begins is not Begins.YES:
        return Step(account=account, then=Call(event.by))
    _, new = unlooked(account.id, wishes.requests)
    if new:
        return Step(account=account, work=_look(account, wishes, new))
    begun = dict.fromkeys(r.id for r, g in wishes.grants if g.state is GrantState.WANTED)
    return Step(
        account=account, decide=tuple((id_, Attempt()) for id_ in begun), then=Call(event.by)
    )


def call(account: Account, event: Call, wishes: Wishes, now: datetime) -> Step:
    """Say what the system is to be told, once the password that it may need is stored."""
    wish, password = wishes.sum, account.password
    password_due = password.made and password.sealed is not None and not password.set
    if not (wish.wanted or wish.unwanted or password_due):
        return Step(account=account, then=Finish(event.by, account.wanted))
    if account.generates_login and wish.wanted:
        aged = _is_aged(account, wishes, now)
        password = after(after(password, Fate.AGED, now) if aged else password, Fate.NEEDED, now)
        if password.to_make:
            account = account.with_(password=password, proof=None)
            return Step(account=account, then=event, rotated=aged)
    return Step(account=account, work=_order(account, wishes, wish, now))


def finish(account: Account, event: Finish, wishes: Wishes, now: datetime) -> Step:
    """Note what was made so, and what is left to see to."""
    doubted, newest = in_doubt(account, now), account.wanted == event.version
    account = account.with_(acted=event.version, attempts=0, lease=None, due_at=now)
    if not wishes.open:
        account = account.with_(password=after(account.password, Fate.EMPTIED, now))
    if event.by.begins is Begins.NOT_HERE and wishes.waiting and newest:
        account = account.with_(wanted=event.version + 1, due_at=now + AGAIN)
    if event.seen and not doubted:
        account = account.with_(unknown_until=None)
    elif event.seen and account.wanted == event.version:
        # What was begun, by whomever, may still take effect: see to it once more, after that.
        account = account.with_(wanted=event.version + 1, due_at=account.unknown_until)
    emptied = event.ended and account.generates_login and not wishes.open
    return Step(account=account, emptied=emptied)


def stumble(account: Account, event: Stumble, _wishes: Wishes, now: datetime) -> Step:
    """Put it off. A lease stays: what was begun under it is in doubt."""
    account, alarm = put_off(account, event.why, now)
    return Step(account=account, alarm=alarm)


def compare(account: Account, event: Compare, _wishes: Wishes, now: datetime) -> Step:
    """Lease it for the comparison; what another, that is dead, may have begun is seen to first."""
    if account.acted < account.wanted:
        return Step(account=account)
    if account.lease not in {None, event.by.instance}:
        account = doubt(account, now).with_(lease=None, wanted=account.wanted + 1, due_at=now)
        return Step(account=account)
    return Step(account=account.with_(lease=event.by.instance))


def compared(account: Account, event: Compared, _wishes: Wishes, now: datetime) -> Step:
    trace = account.trace if event.trace is None else event.trace
    account = account.with_(lease=None, trace=trace)
    if event.dropped:
        password = after(account.password, Fate.DROPPED, now)
        account = account.with_(password=password, proof=None, trace="")
    return Step(account=account)


def hand_over(account: Account, event: HandOver, wishes: Wishes, now: datetime) -> Step:
    """Give it to the same person under another id, by which what is kept of it is sealed anew."""
    account = account.with_(person=event.person)
    if account.password.secret is None:
        return Step(account=account)
    return wanted(account, Wanted(), wishes, now)  # an order under way speaks of it no longer


def may_begin(owner: Person | None, *, here: bool, paused: bool) -> Begins:
    """Tell whether anything new is begun: in this process, at all, for somebody who is in doubt."""
    if not here:
        return Begins.NOT_HERE
    suspended = owner is not None and owner.suspended is not None
    return Begins.NOT_NOW if paused or suspended else Begins.YES


def stands(wishes: Wishes, found: Mapping[EntitlementId, bool]) -> Iterator[Told]:
    """Tell each request what was there before of what it wants."""
    for request in wishes.requests:
        mine = {
            grant.id: found[grant.entitlement]
            for grant in request.grants
            if grant.account == wishes.account
            and grant.entitlement in found
            and grant.standing is None
            and wants(request, grant)
        }
        if mine:
            yield request.id, FirstLook(mine)


def _is_aged(account: Account, wishes: Wishes, now: datetime) -> bool:
    """Tell whether its owner has the password for too long, and nothing is held by it now."""
    longest = account.kind.logins.rotate_after if account.kind else None
    password = account.password
    if longest is None or password.since is None or now - password.since < longest:
        return False
    held = any(grant.state is GrantState.HELD for _, grant in wishes.grants)
    return password.state is PasswordState.FORGOTTEN and not held


def _look(account: Account, wishes: Wishes, new: Iterable[EntitlementId]) -> Work:
    ours = wishes.sum
    targets = {e: wishes.target(e, account.integration) for e in sorted(new)}
    return Work(
        account.id,
        account.integration,
        account.wanted,
        _login(account),
        look=targets,
        order=None,
        targets=targets,
        items=(),
        sealed=account.password.sealed,
        given=tuple(
            wishes.target(e, account.integration) for e in sorted(ours.wanted | ours.unwanted)
        ),
    )


def _order(account: Account, wishes: Wishes, wish: Wish, now: datetime) -> Work:
    targets = {
        e: wishes.target(e, account.integration) for e in sorted(wish.wanted | wish.unwanted)
    }
    login = _login(account)
    remaining = max(wish.until - now, timedelta()) if wish.until else None
    holdings = [Holding(target, e in wish.wanted) for e, target in targets.items()]
    standing = tuple(wishes.target(e, account.integration) for e in wishes.standing)
    return Work(
        account.id,
        account.integration,
        account.wanted,
        login,
        look={},
        order=Order(login, holdings, remaining, standing),
        targets=targets,
        items=tuple(
            (request.id, grant.id, grant.entitlement)
            for request, grant in wishes.grants
            if grant.entitlement in targets and grant.begun and not grant.standing
        ),
        sealed=account.password.sealed,
    )


def _login(account: Account) -> Login:
    password = None if account.password.set else account.password.secret
    return Login(account.login, account.person, password, account.proof, account.trace)
