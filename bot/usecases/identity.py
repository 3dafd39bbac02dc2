"""Who pressed: the Slack account that Slack signed, tied to a person of the directory."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from bot.services import Services
from engine.directory import Directory, Person, PersonId
from engine.outcome import Code, Refusal
from storage import sync
from storage.company import Company
from storage.database import Write

Profile = Mapping[str, Any]  # a user, as Slack's users.info gives it


class Unknown(Exception):  # noqa: N818  (it names what is so, not a mistake)
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


def who(services: Services, slack: str, profiles: Profiles) -> Person | Refusal:
    """Return the person behind a Slack account; at first contact the two are tied.

    It is looked up in what is known here; a use case asks `still` of what is true when it decides.
    """
    known = services.companies.newest
    person = known.directory.by_slack.get(slack) if known else None
    if person and person.active:
        return person
    person = services.company().directory.by_slack.get(slack)
    found = person or _first_contact(services, slack, profiles)
    return INACTIVE if isinstance(found, Person) and not found.active else found


def still(company: Company, person: Person) -> Person | Refusal:
    """Return the person as they are now; a refusal: the tie or the person is active no more."""
    now = company.directory.get(person.id)
    if now is None or now.slack != person.slack:
        return NO_ONE
    return now if now.active else INACTIVE


def _first_contact(services: Services, slack: str, profiles: Profiles) -> Person | Refusal:
    try:
        profile = profiles(slack)
    except Unknown:
        return NO_ANSWER
    tie_all(services, [profile])
    return services.company().directory.by_slack.get(slack) or NO_ONE


def tie_all(services: Services, profiles: Iterable[Profile]) -> int:
    """Tie Slack accounts to the people whose address they carry; return how many were tied."""
    found = list(profiles)

    def change(tx: Write, company: Company) -> int:
        ties = list(_ties(company.directory, found))
        sync.tie(tx, ties, services.clock.now())
        for person, why in _broken(company.directory, found):
            sync.untie(tx, person, why, services.clock.now())
        return len(ties)

    directory = services.company().directory
    if not (any(_ties(directory, found)) or any(_broken(directory, found))):
        return 0
    return services.write(change)


def _ties(directory: Directory, profiles: Iterable[Profile]) -> Iterable[tuple[PersonId, str, str]]:
    """Two accounts of one address, or two people of one, tie nobody."""
    claims: dict[PersonId, list[tuple[str, str]]] = {}
    for profile in profiles:
        email = _address(profile)
        people = directory.by_email.get(email.casefold(), ()) if email else ()
        if len(people) == 1 and profile["id"] not in directory.by_slack:
            claims.setdefault(people[0].id, []).append((profile["id"], email))
    for person, accounts in claims.items():
        listed = directory.people[person]
        if len(accounts) == 1 and listed.slack is None:
            slack, email = accounts[0]
            if not _restricted(profiles, slack) or listed.guest:
                yield person, slack, email


def _broken(directory: Directory, profiles: Iterable[Profile]) -> Iterable[tuple[PersonId, str]]:
    """A changed address might be somebody else's: the tie is suspended."""
    for profile in profiles:
        person = directory.by_slack.get(profile["id"])
        if person is None:
            continue
        if profile.get("deleted"):
            yield person.id, "the Slack account was deactivated"
        elif _address(profile).casefold() != person.email.casefold():
            yield person.id, "the address of the Slack account has changed"


def _address(profile: Profile) -> str:
    """Return the confirmed address of somebody of the company's own workspace, or nothing."""
    stranger = profile.get("is_bot") or profile.get("deleted") or profile.get("is_stranger")
    if stranger or not profile.get("is_email_confirmed", False):
        return ""
    return str(profile.get("profile", {}).get("email") or "")


def _restricted(profiles: Iterable[Profile], slack: str) -> bool:
    return any(
        p["id"] == slack and (p.get("is_restricted") or p.get("is_ultra_restricted"))
        for p in profiles
    )
