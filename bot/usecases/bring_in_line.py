"""Accounts are brought in line: what is due, what was seen stored, what is next leased."""

from collections.abc import Collection, Sequence

from bot.runtime.services import Services
from engine.account import Done, Work
from engine.inventory import IntegrationId
from engine.request import AccountId
from storage import accounts
from storage.accounts import Due

__all__ = ["due", "longest_due", "put_off", "turn"]


def due(
    services: Services,
    most: int,
    *,
    busy: Collection[AccountId],
    full: Collection[IntegrationId],
    for_ends: Collection[IntegrationId],
) -> list[Due]:
    """Return so many accounts whose turn it is, ends first.

    `busy` are worked on already. Of systems that are `full` there are none, `for_ends` only ends.
    """
    now = services.clock.now()
    return accounts.due(
        services.database,
        services.instance,
        now,
        busy=busy,
        full=full,
        for_ends=for_ends,
        limit=most,
    )


def longest_due(
    services: Services, system: IntegrationId, *, busy: Collection[AccountId]
) -> list[Due]:
    """Return, of one system, the account that has waited longest, if any is due."""
    now = services.clock.now()
    return accounts.longest_due(services.database, services.instance, now, system, busy=busy)


def turn(
    services: Services, done: Sequence[Done], ids: Sequence[AccountId]
) -> tuple[list[Work], list[Done]]:
    """Store what was seen, and lease what is to be done next, in one transaction.

    Return what is to be done next, and what is left to be stored.
    """
    with services.turns.urgent():
        taken = services.write(
            lambda tx, company: accounts.turn(
                tx, company, services.desk, services.clock.now(), done=done, ids=ids
            ),
            urgent=True,
        )
    services.locked_accounts.take_back([*(d.work.account for d in done), *ids])
    return taken


def put_off(services: Services, account: AccountId, why: str) -> None:
    """Count that an account's turn cannot be taken, and look at it later."""
    desk, now = services.desk, services.clock.now()
    services.write(lambda tx, c: accounts.fail(tx, c, desk, account, now, why=why), urgent=True)
