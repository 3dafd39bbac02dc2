"""Who pressed: the Slack account that Slack signed, tied to a person of the directory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol, TypeVar

from bot.runtime.services import Services
from engine.directory import Directory, Person, PersonId, SlackAccount, address, why_not
from engine.errors import LatchkeyError
from engine.outcome import Code, Refusal
from engine.window import is_zone
from storage import sync
from storage.company import Company
from storage.database import Read, Write

AT_ONCE = 75  # accounts in one transaction, which others wait for

T = TypeVar("T")
Profile = Mapping[str, Any]  # a user, as Slack gives it, marked if of another company


class Unknown(LatchkeyError):  # noqa: N818  (it names what is so, not a mistake)
    """Slack could not say who this is."""


class Profiles(Protocol):
    def __call__(self, slack: str) -> Profile:
        """Return the user; raise Unknown where Slack does not answer."""
        ...


NO_ONE = Refusal(
    Code.UNKNOWN_PERSON,
    "Latchkey does not know you. Your Slack account has to be a full member with a confirmed "
    "email address that stands in the company's directory. Ask an administrator.",
)
NO_ANSWER = Refusal(
    Code.UNKNOWN_PERSON, "Slack could not tell who you are just now. Please try again."
)
INACTIVE = Refusal(Code.PERSON_INACTIVE, "You are not active in the company's directory.")
SUSPENDED = Refusal(
    Code.UNKNOWN_PERSON,
    "Something about your Slack account has changed, so that Latchkey does not take it for yours "
    "any more. Ask an administrator to look at it and to confirm that it is you.",
)
TWO_ACCOUNTS = "a second account has the same address"


def who(services: Services, acting: SlackAccount, profiles: Profiles) -> Person | Refusal:
    """Return the person behind a Slack account; at first contact the two are tied.

    Of `acting` the team and the user are what Slack signed. It is looked up in what is known here;
    a use case asks `still` of what is true when it decides.
    """
    known = services.companies.newest
    person = known.directory.whose(acting) if known else None
    if person and person.active:
        return person
    directory = services.company().directory
    person = directory.whose(acting)
    if person:
        return person if person.active else INACTIVE
    if directory.tied(acting.user):
        return NO_ONE  # another team's user of the same id, or what is known of it does not fit
    if directory.is_suspended(acting):
        return SUSPENDED
    return _contact(services, acting, profiles)


def still(company: Company, person: Person) -> Person | Refusal:
    """Return the person as they are now; a refusal: the tie or the person is active no more."""
    now = company.directory.whose(person.account) if person.account else None
    if now is None or now.id != person.id:
        return NO_ONE
    return now if now.active else INACTIVE


def read_as(
    services: Services, person: Person, find: Callable[[Read, Company, Person], T]
) -> T | Refusal:
    """Look something up for a person as they are now; a refusal: they are active no more."""
    with services.database.read() as session:
        company = services.companies.current(session)
        now = still(company, person)
        return now if isinstance(now, Refusal) else find(session, company, now)


def write_as(
    services: Services,
    person: Person,
    change: Callable[[Write, Company, Person], T],
    *,
    alone: bool = False,
) -> T | Refusal:
    """Run a change in one transaction, for a person as they are then; a refusal: as `read_as`.

    `alone`: it changes facts (`Services.write`).
    """

    def checked(tx: Write, company: Company) -> T | Refusal:
        now = still(company, person)
        return now if isinstance(now, Refusal) else change(tx, company, now)

    return services.write(checked, alone=alone)


def _contact(services: Services, acting: SlackAccount, profiles: Profiles) -> Person | Refusal:
    try:
        profile = profiles(acting.user)
    except Unknown:
        return NO_ANSWER
    take(services, [profile])
    person = services.company().directory.whose(acting)
    if person is None:
        return NO_ONE
    return person if person.active else INACTIVE


def hear(services: Services, profile: Profile, profiles: Profiles) -> None:
    """Take in what an event says of an account.

    Events come late, twice and in any order: where one would change something, Slack is asked what
    is so now. If it does not answer, what takes rights away is believed. Whoever was no full member
    meanwhile loses what they approved, whatever they are now.
    """
    plan = _plan(services.company().directory, [profile])
    if not plan:
        return
    try:
        now = profiles(profile["id"])
    except Unknown:
        _carry_out(services, [profile], narrows=True)
        return
    if plan.void:
        services.write(lambda tx, _: sync.void(tx, plan.void, services.clock.now()), alone=True)
    take(services, [now])


def take(services: Services, profiles: Iterable[Profile]) -> int:
    """Bring ties in line with what Slack says of accounts; return how many were tied anew.

    What changes nothing writes nothing. Two accounts of one address, or two people of one, tie
    nobody: a second account that turns up later suspends the tie, and an admin has to look.
    """
    found = list(profiles)
    users = _plan(services.company().directory, found).users
    left = iter([profile for profile in found if profile["id"] in users])
    tied = 0
    while some := list(islice(left, AT_ONCE)):
        tied += _carry_out(services, some)
    return tied


def _carry_out(services: Services, profiles: Sequence[Profile], *, narrows: bool = False) -> int:
    def change(tx: Write, company: Company) -> int:
        plan, now = _plan(company.directory, profiles), services.clock.now()
        guests = {id_: guest for id_, guest in plan.guests.items() if guest or not narrows}
        if plan.void:
            sync.void(tx, plan.void, now)
        if plan.broken:
            sync.suspend(tx, plan.broken, now)
        if plan.placed and not narrows:
            sync.place(tx, plan.placed)
        if guests:
            sync.regrade(tx, guests, now)
        return sync.tie(tx, plan.ties, now) if plan.ties and not narrows else 0

    return services.write(change, alone=True)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be changed; `users` are the accounts that it comes of.

    `void` are those who are no full members any more: what they approved counts no more.
    """

    ties: dict[PersonId, SlackAccount] = field(default_factory=dict[PersonId, SlackAccount])
    broken: dict[PersonId, tuple[SlackAccount, str]] = field(
        default_factory=dict[PersonId, tuple[SlackAccount, str]]
    )
    placed: dict[PersonId, SlackAccount] = field(default_factory=dict[PersonId, SlackAccount])
    guests: dict[PersonId, bool] = field(default_factory=dict[PersonId, bool])
    void: set[PersonId] = field(default_factory=set[PersonId])
    users: set[str] = field(default_factory=set[str])

    def __bool__(self) -> bool:
        return bool(self.users)


def _plan(directory: Directory, profiles: Iterable[Profile]) -> _Plan:
    plan = _Plan()
    claims: dict[PersonId, list[SlackAccount]] = {}
    for profile in profiles:
        known = False
        for person in directory.tied(profile["id"]):
            known = _compare(plan, person, account_of(profile, person.account)) or known
        account = None if known else account_of(profile)
        if account and (claimant := _claimed(directory, account)):
            claims.setdefault(claimant.id, []).append(account)
            plan.users.add(account.user)
    for id_, accounts in claims.items():
        tied = directory.people[id_].account
        if tied or len(accounts) > 1:
            plan.broken.setdefault(id_, (tied or accounts[0], TWO_ACCOUNTS))
        else:
            plan.ties[id_] = accounts[0]
    return plan


def _compare(plan: _Plan, person: Person, account: SlackAccount) -> bool:
    """Plan what follows for somebody who is tied to this user id; tell whether it is their account.

    The ids that Slack tells us are one workspace's: of two teams' users with the same id, the one
    that is not told of is not there.
    """
    tied = person.account
    if tied is None:
        return False
    if why := why_not(account, person):
        plan.broken[person.id] = tied, why
    elif account.guest is not tied.guest:
        plan.guests[person.id] = account.guest
    elif tied.placed(account) != tied:
        plan.placed[person.id] = account
    else:
        return True
    plan.users.add(account.user)
    if account.guest or account.barred:
        plan.void.add(person.id)
    return tied.is_(account)


def _claimed(directory: Directory, account: SlackAccount) -> Person | None:
    """Return whose the account is by its address, be they tied to another or not."""
    people = directory.by_email(account.email)
    if len(people) != 1 or people[0].suspended or directory.is_suspended(account):
        return None
    return None if why_not(account, replace(people[0], account=None)) else people[0]


def account_of(profile: Profile, known: SlackAccount | None = None) -> SlackAccount:
    """Return what Slack says of an account; where it says nothing, what was known of it.

    Of an account that is not known, nothing is taken for granted.
    """
    email = str((profile.get("profile") or {}).get("email") or "")
    confirmed, guest = profile.get("is_email_confirmed"), _guest(profile)
    team = str(profile.get("team_id") or "")
    enterprise = str((profile.get("enterprise_user") or {}).get("enterprise_id") or "")
    barred, zone = _barred(profile), str(profile.get("tz") or "")
    if known:
        guest = known.guest if guest is None else guest
        email = email or known.email
        if confirmed is None:
            confirmed = address(email) == address(known.email)
        if not team:
            team, enterprise = known.team, enterprise or known.enterprise
    elif guest is None or not (team or enterprise):
        barred = barred or "Slack does not say whether the account is a full member's"
    return SlackAccount(
        team=team,
        user=str(profile["id"]),
        email=email if confirmed else "",
        enterprise=enterprise,
        guest=bool(guest),
        barred=barred,
        zone=zone if is_zone(zone) else "",
    )


def _guest(profile: Profile) -> bool | None:
    """Tell whether Slack calls the account a guest's; None: it does not say."""
    if profile.get("is_restricted") or profile.get("is_ultra_restricted"):
        return True
    return None if profile.get("is_restricted") is None else False


def _barred(profile: Profile) -> str:
    if profile.get("deleted"):
        return "the account was deactivated"
    if profile.get("is_bot"):
        return "the account is a bot's"
    return "the account is of another company" if profile.get("is_stranger") else ""
