"""What administrators are told of what the store meets, in words."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from engine.convergence.values import Account, Alarm
from engine.directory import Person, PersonId
from engine.inventory import IntegrationId
from engine.request import RequestId, code_of
from engine.retry import ALARM_AFTER

MOST_NAMED = 20  # in one message


@dataclass(frozen=True, slots=True)
class Said:
    """What is said once for each `key`."""

    key: str
    sentence: str


def not_in_line(account: Account, alarm: Alarm, owner: Person | None, others: int = 0) -> Said:
    """Tell of an account, and of how many `others` that wait for the same system."""
    system = account.kind.name if account.kind else account.integration
    who = owner.name if owner else account.person
    more = f", and of {others} more," if others else ""
    return Said(
        f"account/{account.id}/{account.wanted}",
        f"{system}: the access of {who}{more} could not be brought in line {ALARM_AFTER} times in "
        f"a row: {alarm.why}. It is being tried again, without end.",
    )


def poisoned(request: RequestId, why: str) -> Said:
    """Tell of a request that could not even be decided on."""
    sentence = f"{code_of(request)} cannot be worked on: {why}. It is being tried again."
    return Said(f"poisoned/{request}", sentence)


def unwoken(change: int, why: str) -> Said:
    """Tell of a change of facts of which nobody knows whom it touches."""
    sentence = (
        f"What change {change} of people, flows or resources touches cannot be found: {why}. It is "
        "being tried again. Until then, requests that wait may ask whom they would not ask any "
        "more; what is decided is tested all the same."
    )
    return Said(f"unwoken/{change}", sentence)


# --- people and systems --------------------------------------------------------------------------


def suspended(lines: Collection[str], first: str, now: datetime) -> Said:
    """Tell of whom it is not sure any more who they are, a line for each, all in one message."""
    named = [f"• {line}" for line in lines][:MOST_NAMED]
    more = [f"• and {len(lines) - MOST_NAMED} more"] if len(lines) > MOST_NAMED else []
    sentence = (
        "Something has changed, so that Latchkey does not know any more who these people are. "
        "Until you have looked, their Slack accounts are no one's, and no new access is given to "
        "them. Find out who it is, and say so by the command:"
    )
    return Said(f"suspended/{first}/{now.isoformat()}", "\n".join([sentence, *named, *more]))


def untied(name: str, email: str, why: str) -> str:
    """Return the line of somebody whose Slack account may be another's."""
    return f"{name}: {why}. Where it is still them: latchkey people confirm {email}"


def readdressed(name: str, email: str, now: Person) -> str:
    """Return the line of somebody who had another name and address under the same id."""
    as_who = "" if now.name == name else f" as {now.name}"
    return (
        f"{name}: the address in the directory has changed: {now.id} had {email}, and is "
        f"listed{as_who} with {now.email}. Where it is still {name}: latchkey people confirm "
        f"{now.email}; where it is somebody else: latchkey people part {now.email}"
    )


def other_server(name: str, integration: IntegrationId, known: str, found: str) -> str:
    return (
        f"{name}: another server answers at its address ({found or 'without a name'}) than the "
        f"one that Latchkey knows ({known}). No new access is given there, and nothing of what "
        "it has is taken in; access that has to end ends. If a rebuild, an upgrade or a "
        f"switch-over is why, accept it: latchkey integrations accept {integration}"
    )


def too_much(losing: int, active: int) -> str:
    return f"{losing} of {active} people would be deactivated or dropped from groups"


# --- what cannot be read -------------------------------------------------------------------------


def unread_admins() -> str:
    return (
        "Who administers Latchkey cannot be read: until it can, nobody does, and nobody can be "
        "told of alarms. `latchkey apply` writes it anew from company.yaml."
    )


def unread_revision(number: int, flow: str) -> str:
    return (
        f"Revision {number} of the access flow “{flow}” cannot be read. Nothing can be asked for, "
        "approved or extended under it; access that it gave runs to its end. If it is the newest, "
        "`latchkey apply` saves the flow anew from the manifests."
    )


def unread_slack_account(person: PersonId, email: str) -> str:
    return (
        f"What Slack said of the account of {email} ({person}) cannot be read. Until you have "
        "looked who it is, the account is no one's, and no new access is given to them: "
        f"latchkey people confirm {email}"
    )


def unread_person(person: PersonId, email: str) -> str:
    return (
        f"What the directory says of {email} ({person}) cannot be read. Until it can, they fulfil "
        "no condition, and can ask for and decide nothing; access that they have runs to its end. "
        "`latchkey apply` writes it anew from the manifests."
    )


def unread_settings(name: str, integration: IntegrationId) -> str:
    return (
        f"The settings that are stored of {name} ({integration}) cannot be read. "
        "`latchkey apply` writes them anew from the manifests."
    )


def unread_resource(path: str, system: str) -> str:
    return (
        f"What is stored of {path} ({system}) cannot be read. Nobody can ask for it until "
        "the next discovery has written it anew; access that was given ends on time."
    )


def unread_request(request: RequestId) -> str:
    code = code_of(request)
    return (
        f"What is stored of {code} cannot be read. Nothing more is given by it, and nobody can "
        "decide on it; access that it gave ends when the audit says, and at once where that does "
        f"not say. To end it before: latchkey revoke {code}"
    )


def unread_version(request: RequestId) -> str:
    return (
        f"What was stored as the version of {code_of(request)} was no number. It is counted anew."
    )


def unread_login(login: str, column: str) -> str:
    return (
        f"What was noted of the login {login} ({column}) cannot be read, and is forgotten: it is "
        "seen again if it lasts."
    )


def unread_job(kind: str, subject: str) -> str:
    return f"How far the work {kind} {subject} has come cannot be read. It begins anew."
