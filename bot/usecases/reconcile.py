"""Compares the systems with the ledger: `storage.reconcile` knows what for, this calls them."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from bot.runtime.services import Services
from bot.usecases import discover
from engine.inventory import IntegrationId
from engine.port import Outcome, Presence, Unavailable
from engine.reconcile import Finding, Look, Sight
from engine.request import AccountId
from storage import jobs
from storage import reconcile as ledger
from storage.bounds import parts
from storage.company import Company
from storage.database import Write
from storage.jobs import JobKind

# Keeps the access loop's workers from an account for a while; False: one of them has it.
Aside = Callable[[AccountId], AbstractContextManager[bool]]

SOON = timedelta(minutes=1)  # an account that was busy is looked at again
SILENT = 3  # accounts in a row that cannot be looked at: the system is away

log = structlog.get_logger()


def reconcile(services: Services, aside: Aside, integration: IntegrationId) -> None:
    """Compare one system. What is busy has its own turn soon. Raises Unavailable."""
    if not discover.is_known(services, integration):
        log.warning("not compared: another server answers", integration=integration)
        return
    names = services.connected[integration].connector.logins()
    _report_strangers(services, integration, names)
    with services.database.read() as session:
        restored = ledger.restored_at(session)
    silent = list[AccountId]()
    for account in ledger.accounts(services.database, integration):
        try:
            done = _account(services, aside, integration, account, restored)
            silent.clear()
        except Unavailable:
            done = False
            silent.append(account)
            if len(silent) == SILENT:
                raise
        if not done:
            _later(services, account)


def reconcile_account(services: Services, aside: Aside, account: AccountId) -> timedelta | None:
    """Compare one account that was busy. Return when to try again, None: not at all."""
    integration = ledger.integration_of(services.database, account)
    if integration not in services.connected or not discover.is_known(services, integration):
        return None
    with services.database.read() as session:
        restored = ledger.restored_at(session)
    return None if _account(services, aside, integration, account, restored) else SOON


def _report_strangers(services: Services, integration: IntegrationId, names: Iterable[str]) -> None:
    """Report, once, logins that Latchkey made, and that its ledger does not know."""
    each = 1 + len(services.company().admins)
    with services.database.read() as session:
        found = ledger.strangers(session, integration, names)

    def report(tx: Write, company: Company, some: Sequence[Finding]) -> None:
        ledger.report(tx, company, some, services.clock.now())

    for some in parts(found, lambda _: each):
        services.write(partial(report, some=some))


def _later(services: Services, account: AccountId) -> None:
    at = services.clock.now() + SOON
    services.transaction(lambda tx: jobs.schedule(tx, JobKind.RECONCILE_ACCOUNT, str(account), at))


def _account(
    services: Services,
    aside: Aside,
    integration: IntegrationId,
    account: AccountId,
    restored: datetime | None,
) -> bool:
    """Return whether the account was compared; False: it is busy. Raises Unavailable.

    `restored`: when the database was last put back from a backup.
    """
    with services.database.read() as session:
        past = ledger.past(session, account, restored)
    with aside(account) as free:
        leased = time.monotonic()
        look = services.write(
            lambda tx, company: (
                ledger.begin(tx, company, services.desk, past, services.clock.now())
                if free
                else None
            )
        )
        if look is None:
            return False
        with bound_contextvars(integration=integration, login=look.login.name):
            return _compare(services, integration, look, leased)


def _compare(services: Services, integration: IntegrationId, look: Look, leased: float) -> bool:
    sight: Sight | None = None
    connector = services.connected[integration].connector
    try:
        sight = _look(services, integration, look, leased)
        if sight:
            unexplained = connector.unexplained(look.login, look.explained(sight))
            sight = replace(sight, unexplained=unexplained)
            if look.over and sight.clear and services.pulse.holds(leased):
                sight = _drop(services, integration, look, sight)
    except Unavailable as fault:
        log.warning("not compared", why=str(fault))
        raise
    except Exception:
        log.exception("not compared")  # a defect in a connector: the other accounts go on
    finally:
        services.write(
            lambda tx, company: ledger.settle(
                tx, company, services.desk, look, sight=sight, now=services.clock.now()
            )
        )
    # What somebody who has left asked for is about to be cancelled: it tells nobody that it was.
    return sight is not None and sight.settled and not (look.left and look.open)


def _drop(services: Services, integration: IntegrationId, look: Look, sight: Sight) -> Sight:
    """Drop a login that is over, on the server that is known."""
    connector = services.connected[integration].connector
    try:
        if look.only_empty and connector.unexplained(look.login, ()):
            return sight
        if not discover.is_known(services, integration):
            return sight
        notes = connector.cleanup(look.login)
    except Unavailable as fault:
        log.warning("login not dropped", why=str(fault))
        return replace(sight, kept=str(fault))
    return replace(sight, dropped=notes)


def _look(
    services: Services, integration: IntegrationId, look: Look, leased: float
) -> Sight | None:
    """Look, and take away what has ended; None: the lease may be somebody else's by now."""
    connector = services.connected[integration].connector
    seen = connector.inspect(look.login, look.compared, given=look.given)
    order = look.removal(seen)
    if order is None:
        return Sight(seen)
    if not services.pulse.holds(leased):
        return None
    try:
        report = connector.apply(order)
        after = connector.inspect(look.login, order.unwanted, given=look.given)
    except Unavailable as fault:
        log.warning("not removed", why=str(fault))
        services.vitals.carried_out(integration, order, None)
        return Sight(seen, dict.fromkeys(order.unwanted, Outcome(Presence.UNKNOWN, str(fault))))
    services.vitals.carried_out(integration, order, report)
    removed = {t: report.outcomes[t] for t in order.unwanted}
    return Sight(seen, removed, after, alone=report.alone, trace=report.trace)
