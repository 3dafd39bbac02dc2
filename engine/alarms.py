"""What administrators are told, in words."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.audit import Anchor, Written
from engine.channel import Channel
from engine.convergence.values import Account, Alarm
from engine.directory import Person, PersonId
from engine.duration import in_words
from engine.inventory import EntitlementId, IntegrationId
from engine.request import AccessRequest, RequestId, code_of
from engine.retry import ALARM_AFTER
from engine.words import clause, in_a_row

MOST_NAMED = 20  # in one message
WELL_AGAIN = "✅ In order again since "  # how an alarm begins that was taken back


@dataclass(frozen=True, slots=True)
class Said:
    """What is said once for each `key`."""

    key: str
    sentence: str


def well_again(now: datetime) -> str:
    """Return what is put before an alarm when it is over."""
    return f"{WELL_AGAIN}{now:%Y-%m-%d %H:%M} UTC. It was: "


def digest(names: Iterable[str]) -> str:
    """Name a list, so that it is told of once."""
    return hashlib.sha256(",".join(names).encode()).hexdigest()[:16]


def not_in_line(account: Account, alarm: Alarm, owner: Person | None, others: int = 0) -> Said:
    """Tell of an account, and of how many `others` that wait for the same system."""
    system = account.kind.name if account.kind else account.integration
    who = owner.name if owner else account.person
    more = f", and of {others} more," if others else ""
    return Said(
        f"account/{account.id}/{account.wanted}",
        f"{system}: the access of {who}{more} could not be brought in line {ALARM_AFTER} times in "
        f"a row: {clause(alarm.why)}. It is being tried again, without end.",
    )


def rotated(account: Account, now: datetime) -> Said:
    """Tell the owner of a login that the password they have is being replaced."""
    system = account.kind.name if account.kind else account.integration
    return Said(
        f"rotated/{account.id}/{now.isoformat()}",
        f"{system}: your login gets a new password with this access, as the old one is too old. "
        "*Show credentials* on its card shows it.",
    )


def poisoned(request: RequestId, why: str) -> Said:
    """Tell of a request that could not even be decided on."""
    sentence = f"{code_of(request)} cannot be worked on: {clause(why)}. It is being tried again."
    return Said(f"poisoned/{request}", sentence)


def ended_holder(pid: int, role: str, tables: str) -> str:
    return (
        f"Somebody who works as Latchkey's own login ({role}, process {pid} of the database's "
        f"server) stood idle in a transaction and held {tables or 'rows'} locked, so that access "
        "could not end: the session was ended. Look whose it was."
    )


def holds(pid: int, role: str, tables: str) -> str:
    return (
        f"Process {pid} of the database's server (role {role or 'unknown'}) holds "
        f"{tables or 'rows'} locked, which Latchkey waits for: access may not end meanwhile. End "
        f"it, as a superuser: select pg_terminate_backend({pid});"
    )


def unwoken(change: int, why: str) -> Said:
    """Tell of a change of facts of which nobody knows whom it touches."""
    sentence = (
        f"What change {change} of people, flows, resources or systems touches cannot be found: "
        f"{clause(why)}. It is being tried again. Until then, requests that wait may ask whom they "
        "would not ask any more, and what waited for the end of a pause may not begin; what is "
        "decided is tested all the same."
    )
    return Said(f"unwoken/{change}", sentence)


# --- people and systems --------------------------------------------------------------------------


def suspended(lines: Collection[str], first: str, now: datetime) -> Said:
    """Tell of whom it is not sure any more who they are, a line for each, all in one message."""
    named = [f"• {each}" for each in lines][:MOST_NAMED]
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


def much_is_gone(name: str, integration: IntegrationId, paths: Sequence[str]) -> Said:
    """Tell of a system of which much is not found any more."""
    listed = ", ".join(paths[:MOST_NAMED])
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    sentence = (
        f"{name} ({integration}): {len(paths)} resources are gone that were there at the last "
        f"look: {listed}{more}. They leave the requests that wait for them, and access to them "
        "ends. If they are there, Latchkey may not see them: latchkey doctor says what it lacks. "
        "What it finds again can be asked for again."
    )
    return Said(f"gone/{integration}/{digest(paths)}", sentence)


def other_server(name: str, integration: IntegrationId, known: str, found: str) -> str:
    return (
        f"{name}: another server answers at its address ({found or 'without a name'}) than the "
        f"one that Latchkey knows ({known}). No new access is given there, and nothing of what "
        "it has is taken in; access that has to end ends. If a rebuild, an upgrade or a "
        f"switch-over is why, accept it: latchkey integrations accept {integration}"
    )


def too_much(losing: int, active: int) -> str:
    return f"{losing} of {active} people would be deactivated or dropped from groups"


def out_of_order(name: str, integration: IntegrationId, why: str, *, set_up: bool) -> str:
    """Tell of a system that cannot be set up as it is stored. `set_up`: it was so before."""
    goes_on = (
        "Until that is cured it goes on as it was set up before."
        if set_up
        else "Until that is cured, what is to be given or to end there waits; the rest goes on."
    )
    return f"{name} ({integration}) is out of order: {clause(why)}. {goes_on}"


def ends_wait(name: str, integration: IntegrationId, accounts: int, why: str) -> str:
    """Tell of access that has to end where nothing can be done."""
    return (
        f"{name} ({integration}): access has to end there, on {accounts} account(s), and "
        f"cannot: {clause(why)}. It ends as soon as the system can be reached."
    )


def slack_people(listing: str, why: str, times: int) -> Said:
    """Tell of Slack's list of people, of which nothing new could be read so many times."""
    return Said(
        f"slack_people/{listing}",
        f"Slack's list of people could not be read to its end {times} times in a row "
        f"({why}). It is being tried again, without end. Until it works, who is new in "
        "Slack, or has changed there, may not be known here. Run latchkey doctor: it "
        "tells whether Slack answers, and whether the app may read people.",
    )


def given_up(method: str, code: str, now: datetime) -> Said:
    """Tell of what Slack never takes as it is."""
    return Said(
        f"refused/{method}/{code}/{now:%Y-%m-%d}",
        f"Slack does not take what Latchkey sent by {method}: {code}. It was given up: a card, a "
        "Home tab or a window does not show what it should. Everything else goes on. It is a fault "
        "of Latchkey's: report it, with the lines of the log that name it.",
    )


def maybe_extended(request: AccessRequest, now: datetime) -> Said:
    """Tell of access that was given more time where the database is a backup's."""
    return Said(
        f"restored/{request.code}/{now.isoformat()}",
        f"{request.code} may have been extended since the backup was made: it keeps its access "
        f"until {request.ends_at:%Y-%m-%d %H:%M} UTC. Revoke it if that is too long.",
    )


# --- clocks and the audit ------------------------------------------------------------------------


def database_clock(whose: str, by: float) -> str:
    """`by` are seconds; back: less than 0."""
    return (
        f"The clock of {whose} was set {_how(by)}. Latchkey goes by it: what was running then "
        f"ends that much {'later' if by < 0 else 'sooner'}. If it is wrong now, put it right; "
        "latchkey revoke ends at once what must not last."
    )


def machine_clock(machine: str, by: float) -> str:
    return (
        f"The clock of {machine} was set {_how(by)}. Access ends on time all the "
        "same, as Latchkey goes by the database's clock. But while this one is wrong by "
        "more than 5 min, what Slack sends to this machine by HTTP is refused."
    )


def clock_before(ahead: float) -> str:
    """Tell that the newest entry of the audit lies so many seconds ahead."""
    return (
        f"The newest entry of the audit lies {_amount(ahead)} ahead: the database's clock "
        "was set back while Latchkey did not run, or was wrong before. Latchkey goes by "
        "it: what was running ends that much later. If it is wrong now, put it right; "
        "latchkey revoke ends at once what must not last."
    )


def audit_not_whole(faults: Collection[str], now: datetime) -> Said:
    found = "\n".join(f"• {clause(fault)}." for fault in faults)
    return Said(
        f"audit/{now.isoformat()}",
        f"The audit is not whole: `latchkey audit verify` says all. In what came last:\n{found}",
    )


def anchored(anchor: Anchor, now: datetime) -> Said:
    """Hand out an anchor, once a day."""
    return Said(
        f"anchor/{now:%Y-%m-%d}",
        f"Anchor of the audit, {now:%Y-%m-%d %H:%M} UTC, at entry {anchor.seq:,}. From now on it "
        "shows whether anything up to there was changed, cut off or put back:\n"
        f"```latchkey audit verify --anchor {anchor}```",
    )


def _how(by: float) -> str:
    return f"{'back' if by < 0 else 'ahead'} by {_amount(abs(by))}"


def _amount(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else in_words(timedelta(seconds=seconds))


# --- what cannot be read -------------------------------------------------------------------------


def lost_company() -> str:
    return (
        "The row of the table company is not there: nothing new is given, nobody is known to "
        "administer Latchkey, and access ends as before. `latchkey apply` makes it anew and writes "
        "into it who administers; after that, `latchkey resume grants`."
    )


def unread_admins() -> str:
    return (
        "Who administers Latchkey cannot be read: until it can, nobody does, and nobody can be "
        "told of alarms. `latchkey apply` writes it anew from company.yaml."
    )


def unread_schedules() -> str:
    return (
        "Who is on call cannot be read: until it can, nobody is. `latchkey apply` writes it anew "
        "from on_call.yaml."
    )


def unread_sources() -> str:
    return (
        "Which sources could not be read is not known: until it is, all count as such, and nobody "
        "fulfils a condition by not being in a group. `latchkey apply` writes it anew."
    )


def unread_revision(number: int, flow: str) -> str:
    return (
        f"Revision {number} of the access flow “{flow}” cannot be read. Nothing can be asked for, "
        "approved or extended under it; access that it gave runs to its end. If it is the newest, "
        "`latchkey apply` saves the flow anew from the manifests."
    )


def unread_object(kind: str, name: str) -> str:
    return (
        f"The {kind} “{name}” cannot be read. Flows offer nothing by it, until `latchkey apply` "
        "saves it anew from the manifests."
    )


def unread_channel(channel: str) -> str:
    return (
        f"What is stored of the Slack channel {channel} cannot be read. Whoever would be asked in "
        "it is asked by a direct message, until it is looked at again, within a minute."
    )


def unread_delegation(number: int) -> str:
    return (
        f"What is stored of delegation {number} cannot be read. Nobody decides for another by it; "
        "who wants it has to delegate anew."
    )


def channel_closed(channel: Channel, flows: Iterable[str], now: datetime) -> Said:
    """Tell that nothing can be posted to a channel, why, and what is done instead."""
    named = in_a_row([f"“{name}”" for name in flows], most=5)
    of = f", in which approvers of {named} are to be asked," if named else ""
    where = f"#{channel.name} ({channel.id})" if channel.name else channel.id
    return Said(
        f"channel/{channel.id}/{now.isoformat()}",
        f"The Slack channel {where}{of} takes no card: {channel.why_not}. Until it does, they are "
        "asked by direct messages.",
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
        f"The settings that are stored of {name} ({integration}) cannot be read. Where the "
        "manifests are those in force, they are written anew by themselves; else by `latchkey "
        "apply`."
    )


def unread_risks() -> str:
    return (
        "What administrators say of risks cannot be read: until `latchkey apply` has written it "
        "anew, the published rules hold."
    )


def unread_resource(path: str, system: str) -> str:
    return (
        f"What is stored of {path} ({system}) cannot be read. Nobody can ask for it until "
        "the next discovery has written it anew; access that was given ends on time."
    )


def lost_thing(entitlement: EntitlementId) -> str:
    return (
        f"What entitlement {entitlement} is about cannot be found: its row, or that of its "
        "resource or system, leads nowhere. Nothing is given by it; where it has to end, all that "
        "the login has there and that nothing else explains is taken away. To mend it, correct "
        f"row {entitlement} of the table entitlement, or the row of the table resource that it "
        "means."
    )


def unread_message(row: int, recipient: str) -> str:
    return (
        f"Which earlier cards of row {row} of the table message, for {recipient}, are still to be "
        "shrunk cannot be read. They may keep their buttons, which do nothing that is not allowed. "
        "To mend it, set the row's `earlier` to []."
    )


def lost_link(table: str, row: int, column: str) -> str:
    return (
        f"What stands in {column} of row {row} of the table {table} leads nowhere, or elsewhere "
        "than its requests do. It is set from the requests that use it; where none does, or it is "
        f"still named at the next start, access may stay there: correct {column} in the database."
    )


def unread_permission(permission: str, system: str) -> str:
    return (
        f"What is stored of the permission {permission} ({system}) cannot be read. Nobody can ask "
        "for it until the next discovery has written it anew; access that was given ends on time."
    )


def unread_request(request: RequestId) -> str:
    code = code_of(request)
    return (
        f"What is stored of {code} cannot be read. Nothing more is given by it, and nobody can "
        "decide on it; access that it gave ends when the audit says, and at once where that does "
        f"not say. To end it before: latchkey revoke {code}"
    )


def unread_entry(entry: Written) -> str:
    return (
        f"The audit's {entry.named} is not as Latchkey writes it ({', '.join(entry.unread)}): "
        "somebody has changed it. Look at all of it: latchkey audit verify"
    )


def unread_version(request: RequestId) -> str:
    return (
        f"What was stored as the version of {code_of(request)} was no number that can be. It is "
        "counted anew."
    )


def unread_login(login: str, column: str) -> str:
    return (
        f"What was noted of the login {login} ({column}) cannot be read, and is forgotten: it is "
        "seen again if it lasts."
    )


def unread_change() -> str:
    return "What a change touches cannot be read: every live request is looked at."


def unread_number(table: str, column: str) -> str:
    return f"A row of {table} has no number that can be in {column}. It is looked at again."


def contradicted_grants(request: RequestId) -> str:
    return (
        f"What {code_of(request)} gives was not what stands in the table access_grant, or was not "
        "there. It is set from the request, and looked at again."
    )


def unread_job(kind: str, subject: str) -> str:
    return f"How far the work {kind} {subject} has come cannot be read. It begins anew."
