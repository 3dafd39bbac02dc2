"""Showing the login that a grantee was given: to them alone, for ten minutes, until saved."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from bot.runtime.services import Services
from bot.usecases.identity import write_as
from bot.views.values import Credentials
from engine.account import AGAIN
from engine.directory import Person
from engine.holdings import target_of
from engine.inventory import Entitlement, IntegrationId
from engine.outcome import AuditEntry, Code, Refusal
from engine.port import Login
from engine.request import AccessRequest, AccountId, GrantState, RequestId, State
from storage import accounts, audit, facts, jobs
from storage.company import Company
from storage.database import Read, Write
from storage.jobs import JobKind

NOT_YOURS = Refusal(Code.NOT_YOURS, "Only who has the access can see how to log in.")
NOT_RUNNING = Refusal(Code.NOT_RUNNING, "This access is not running, so there is no login to show.")
OUT_OF_ORDER = Refusal(
    Code.NOT_RUNNING,
    "The system is out of order just now, so its login cannot be shown. Try again when it works.",
)


@dataclass(frozen=True, slots=True)
class _Held:
    account: AccountId
    integration: IntegrationId
    entitlements: list[Entitlement]


def show(services: Services, person: Person, id_: RequestId) -> list[Credentials] | Refusal:
    """Return the logins of a running request. The first look starts the ten minutes."""

    def change(tx: Write, company: Company, _: Person) -> list[Credentials] | Refusal:
        request = facts.request(tx, id_)
        if request is None or request.grantee not in company.directory.known_as(person.id):
            return NOT_YOURS
        if request.state is not State.ACTIVE:
            return NOT_RUNNING
        held = _held(tx, company, request)
        if any(h.integration not in services.connected for h in held):
            return OUT_OF_ORDER
        held = [h for h in held if services.generates_login(h.integration)]
        shown = [_show(tx, services, request, h) for h in held]
        accounts_ = sorted(h.account for h in held)
        entry = AuditEntry("credentials_shown", person.id, {"accounts": accounts_})
        audit.append(tx, [(request.id, entry)], services.clock.now())
        return shown

    return write_as(services, person, change)


def saved(services: Services, person: Person, account: AccountId) -> Refusal | None:
    """Delete the password: the person says that they have it."""

    def change(tx: Write, _: Company, _now: Person) -> Refusal | None:
        of = accounts.logins(tx, [account]).get(account)
        if of is None or of.owner != person.id:
            return NOT_YOURS
        if not accounts.forget_secret(tx, services.desk, account, services.clock.now()):
            soon = services.clock.now() + AGAIN
            jobs.reschedule(tx, JobKind.FORGET_SECRET, str(account), soon)
        entry = AuditEntry("credentials_saved", person.id, {"account": account})
        audit.append(tx, [(None, entry)], services.clock.now())
        return None

    return write_as(services, person, change)


def reset(services: Services, person: Person, account: AccountId) -> list[Credentials] | Refusal:
    """Give the login a new password and show it."""

    def change(tx: Write, company: Company, _: Person) -> list[Credentials] | Refusal:
        of = accounts.logins(tx, [account]).get(account)
        if of is None or of.owner != person.id:
            return NOT_YOURS
        if of.integration not in services.connected:
            return OUT_OF_ORDER
        now = services.clock.now()
        known_as = company.directory.known_as(person.id)
        mine = [
            r
            for r in facts.of_person(tx, person.id, known_as, live=True)
            if r.grantee in known_as
            and r.state is State.ACTIVE
            and any(g.account == account for g in r.grants)
        ]
        if not mine or accounts.reset(tx, services.desk, account, now) is None:
            return NOT_RUNNING
        held = [h for h in _held(tx, company, mine[0]) if h.account == account]
        entry = AuditEntry("credentials_reset", person.id, {"account": account})
        shown = [_show(tx, services, mine[0], h) for h in held]
        audit.append(tx, [(mine[0].id, entry)], now)
        return shown

    return write_as(services, person, change)


def forget(services: Services, account: AccountId) -> timedelta | None:
    """Delete a password that is saved, or was shown for long enough. Return when to try again."""
    desk, now = services.desk, services.clock.now()
    done = services.transaction(lambda tx: accounts.forget_secret(tx, desk, account, now))
    return None if done else AGAIN


def _held(session: Read, company: Company, request: AccessRequest) -> list[_Held]:
    held = {g.entitlement: g.account for g in request.grants if g.state is GrantState.HELD}
    found: dict[AccountId, _Held] = {}
    for entitlement in facts.entitlements(session, company, held).values():
        account = held[entitlement.id]
        start = _Held(account, entitlement.integration.id, [])
        found.setdefault(account, start).entitlements.append(entitlement)
    return list(found.values())


def _show(tx: Write, services: Services, request: AccessRequest, held: _Held) -> Credentials:
    shown = accounts.show(tx, services.desk, held.account, services.clock.now())
    connected = services.connected[held.integration]
    targets = [target_of(e) for e in held.entitlements]
    login = Login(shown.account.login, shown.account.person)
    return Credentials(
        account=held.account,
        system=connected.integration.name,
        instructions=connected.connector.instructions(login, targets),
        password=shown.shown,
        pending=shown.shown is not None and not shown.account.password.set,
        valid_until=request.ends_at,
        remarks=list(_remarks(request, held)),
    )


def _remarks(request: AccessRequest, held: _Held) -> Iterator[str]:
    left_out = {g.entitlement: g.left_out for g in request.grants if g.left_out}
    for entitlement in held.entitlements:
        if but := left_out.get(entitlement.id):
            yield f"{entitlement}: all but {but}"
    for path, caveat in {e.resource.path: e.resource.caveat for e in held.entitlements}.items():
        if caveat:
            yield f"{path}: {caveat}"
