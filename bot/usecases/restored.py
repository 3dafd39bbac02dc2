"""Takes in that the database is a backup's: what it calls ended may have begun anew since.

What is found from then on is reported, and nothing of it removed. Access that runs by the backup,
and that the system still has, may have been extended meanwhile, which needed nobody's approval: it
keeps what could have been taken. Access that the system has no more is not given again by that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.runtime.services import Connected
from bot.usecases.console import Desk
from engine import alarms
from engine.commands import Extend
from engine.holdings import target_of, wish
from engine.inventory import Entitlement, EntitlementId, IntegrationId
from engine.outcome import AuditEntry, Decision
from engine.port import Login, Presence, Unavailable
from engine.request import OPERATOR, AccessRequest, AccountId, State
from storage import accounts, apply, audit, facts, jobs, reconcile, servers
from storage.accounts import Owned
from storage.bounds import parts
from storage.jobs import JobKind
from storage.unit_of_work import carry_out

LEAST_SKIPPED = 10_000  # ids of requests; and one for each minute since the backup

Systems = Mapping[IntegrationId, Connected]


def restored(desk: Desk, systems: Systems) -> list[AccessRequest]:
    """Run it before Latchkey runs on the backup. Return what was extended."""
    now = desk.clock.now()
    with desk.database.read() as session:
        last = audit.newest_moment(session, now) or now
    # Cards of requests that the backup does not know stand in Slack: none of their ids comes again,
    # also where the same backup is restored once more.
    gone = max(now - last, timedelta()) // timedelta(minutes=1)
    with desk.database.write() as tx:
        apply.skip_ids(tx, LEAST_SKIPPED + gone)
    longer = [
        after
        for request in _intact(desk, systems)
        if (after := _extended(desk, request, last, now)) is not None
    ]
    with desk.database.read() as session:
        known = servers.connections(session)
    for some in parts(known):
        with desk.database.write() as tx:
            jobs.reschedule_each(tx, JobKind.RECONCILE, [system.id for system in some], now)
    with desk.database.write() as tx:
        audit.append(tx, [(None, AuditEntry(reconcile.RESTORED, OPERATOR))], now)
    return longer


def _intact(desk: Desk, systems: Systems) -> list[AccessRequest]:
    """Return what can be extended, and what its systems still have, with all else of its login."""
    with desk.database.read() as session:
        live = facts.find(session)
        known = facts.entitlements(
            session, desk.companies.current(session), {e for r in live for e in r.entitlements}
        )
        open_ = [r for r in live if r.state is State.ACTIVE and r.extensions_left and r.ends_at]
        concerned = accounts.logins(session, {g.account for r in open_ for g in r.grants})
    whole = {a for a, of in concerned.items() if _is_whole(a, of, live, known, systems)}
    return [r for r in open_ if whole.issuperset(g.account for g in r.grants)]


def _is_whole(
    account: AccountId,
    of: Owned,
    live: Sequence[AccessRequest],
    known: Mapping[EntitlementId, Entitlement],
    systems: Systems,
) -> bool:
    system = systems.get(of.integration)
    wanted = wish(account, live).wanted
    if system is None or not wanted <= known.keys():
        return False
    targets = [target_of(known[e]) for e in sorted(wanted)]
    try:
        if any(target.server != system.connector.server() for target in targets):
            return False  # what numbers mean there, nobody knows
        seen = system.connector.inspect(Login(of.login, of.owner), targets, given=targets)
    except Unavailable:
        return False
    return all(seen[t].presence is Presence.HELD for t in targets)


def _extended(
    desk: Desk, request: AccessRequest, last: datetime, now: datetime
) -> AccessRequest | None:
    """Extend as often as could have been, as if in the last moment that the backup knows.

    The admins are told.
    """
    after: AccessRequest | None = None
    desk.company()
    with desk.database.write() as tx:
        company = desk.companies.current(tx)
        for number in range(request.extensions_used + 1, request.extensions_allowed + 1):
            result = carry_out(tx, company, request.id, Extend(OPERATOR, number), last)
            after = result.request if isinstance(result, Decision) else after
        if after:
            apply.tell(tx, apply.alarm(company.admins, alarms.maybe_extended(after, now)), now)
    return after
