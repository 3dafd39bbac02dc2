"""Checks what Latchkey needs: tokens, scopes, database, clock, connectors. It changes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psycopg
from slack_sdk import WebClient

from bot.runtime.connectors import connect, read_ahead, references
from bot.runtime.metrics import Vitals
from bot.runtime.references import BadReferenceError
from bot.settings import Settings, unknown
from bot.slack.client import NO_ANSWER as NO_ANSWER_OF_SLACK
from bot.slack.client import Clients, in_words
from bot.slack.strangers import OLD, sentence
from bot.usecases import channels, folder, reach, reached, whose
from engine.intake import TooMuchError
from engine.port import Check, Unavailable
from engine.succession import as_known
from manifests import BadManifestsError, Manifests
from manifests import files as files_of
from storage import (
    alarms,
    claims,
    facts,
    files,
    links,
    roles,
    schema,
    servers,
    sets,
    succession,
    sync,
)
from storage.company import Companies, Company
from storage.database import FAULTS, Database, Read, address, clock_of, file_of, unusable
from storage.files import UnsafePlaceError
from storage.roles import Connection
from storage.schema import NeedsUpgradeError
from storage.sessions import Sessions, strangers
from storage.sets import SetAge

SCOPES = frozenset(
    {"commands", "chat:write", "im:write", "im:history", "users:read", "users:read.email"}
)
SKEW = 5.0  # seconds that clocks may differ by
# No answer, or none that HTTP has; ValueError: what was given cannot be sent.
NO_ANSWER = (*NO_ANSWER_OF_SLACK, ValueError)
FIRST_PAGE = 4096  # bytes; SQLite's
NO_SCHEMA = "no schema yet: `latchkey run` makes it"


def examine(settings: Settings, faults: Mapping[str, str]) -> Iterator[Check]:
    """Yield one line for each thing that was looked at.

    `faults`: what is wrong with settings, by their names; the rest is looked at without them.
    """
    for name, fault in faults.items():
        yield Check(name, ok=False, detail=fault)
    with suppress(*FAULTS, UnsafePlaceError):  # which is said of the database
        settings, unfit = whose.look(settings)
        for name, fault in unfit.items():
            yield Check(name, ok=False, detail=fault)
    clients = Clients.of(settings, Vitals())
    if settings.slack_bot_token.get_secret_value():
        yield from _bot(settings, clients.delivery)
    if clients.opening:
        yield _app(settings, clients.opening)
    yield from _database(settings)
    yield from _integrations(settings)


def _bot(settings: Settings, client: WebClient) -> Iterator[Check]:
    try:
        answer: Any = client.auth_test()
    except NO_ANSWER as fault:
        why = in_words(fault, settings.slack_api_url, "SLACK_BOT_TOKEN")
        yield Check("bot token", ok=False, detail=why)
        return
    yield Check("bot token", ok=True, detail=f"{answer['user']} in {answer['team']}")
    headers = {k.lower(): v for k, v in answer.headers.items()}
    held = {s.strip() for s in str(headers.get("x-oauth-scopes", "")).split(",")}
    missing = SCOPES - held
    detail = f"missing: {', '.join(sorted(missing))}" if missing else "all there"
    yield Check("scopes", ok=not missing, detail=detail)
    if (theirs := _moment(headers.get("date"))) is not None:
        skew = abs((datetime.now(UTC) - theirs).total_seconds())
        yield Check("clock", ok=skew <= SKEW, detail=f"{skew:.0f} s from Slack's")


def _moment(header: object) -> datetime | None:
    try:
        moment = parsedate_to_datetime(str(header))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _app(settings: Settings, client: WebClient) -> Check:
    """Ask whose token it is. To open a link would use up one of few: perhaps one a minute."""
    try:
        answer: Any = client.auth_test()
    except NO_ANSWER as fault:
        why = in_words(fault, settings.slack_api_url, "SLACK_APP_TOKEN")
        return Check("app token", ok=False, detail=why)
    of = f"{answer.get('app_name') or 'an app'}'s"
    return Check("app token", ok=True, detail=f"{of}; no link was opened to try it")


def _database(settings: Settings) -> Iterator[Check]:
    file = file_of(settings.database_url)
    if file and not file.exists():
        yield _no_file(file)
        return
    try:
        database = Database(settings.database_url, pool=1)
    except UnsafePlaceError as fault:
        yield Check("database's files", ok=False, detail=str(fault))
        return
    if database.file:
        exposed = files.exposed(database.file)
        detail = exposed or "for Latchkey alone"
        yield Check("database's files", ok=not exposed, detail=detail)
    try:
        if database.sessions:
            yield Check("database's transport", *database.sessions.transport)
        found = schema.current(database)
        yield _schema(settings, database, found)
        with database.read() as session:
            theirs = clock_of(session)
        skew = abs(theirs - datetime.now(UTC).timestamp())
        yield Check("database's clock", ok=skew <= SKEW, detail=f"{skew:.0f} s from ours")
        if database.sessions:
            with database.sessions.connect() as connection:
                cure = strangers(connection)
                yield Check("database's doors", ok=not cure, detail=cure or "closed to PUBLIC")
                if found:
                    yield _roles(database.sessions, connection)
        if schema.fits(found):
            if settings.slack_app_token:
                yield _sockets(database)
            yield from _keys(settings, database)
            yield from _company(database)
            yield from _unreadable(database)
    except (*FAULTS, psycopg.Error) as fault:
        yield Check("database", ok=False, detail=unusable(fault, settings.database_url))
    finally:
        database.close()


def _no_file(file: Path) -> Check:
    """Say whether `run` can make it: nothing is made here that stays."""
    folder = file.parent
    if not folder.is_dir():
        fault = f"There is no folder for it: mkdir -m 700 {folder}"
    else:
        fault = _takes_no_file(folder) or files.exposed(folder)
    detail = f"{file} is not there. {fault}" if fault else f"{NO_SCHEMA} in {file}"
    return Check("database", ok=not fault, detail=detail)


def _takes_no_file(folder: Path) -> str:
    """Try it: what modes allow, a file system may refuse all the same. Nothing is left there."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(FIRST_PAGE))
    except OSError as why:
        return (
            f"No file can be made in {folder}: {why.strerror}. Let the user that Latchkey runs as "
            "write there, or choose another place"
        )
    return ""


def _schema(settings: Settings, database: Database, found: str) -> Check:
    if not found:
        fault = database.sessions.cannot_make() if database.sessions else ""
        where = address(settings.database_url)
        return Check("database", ok=not fault, detail=fault or f"{NO_SCHEMA} in {where}")
    fault = "" if schema.fits(found) else str(NeedsUpgradeError(found))
    return Check("database", ok=not fault, detail=fault or f"schema {found}")


def _sockets(database: Database) -> Check:
    """Say what running processes have seen: to look by oneself takes a link."""
    name = "Slack's sockets"
    with database.read() as session:
        sockets = claims.sockets(session)
    if not sockets.explained:
        return Check(name, ok=True, detail="not known: no process runs that would be told")
    if sockets.age is None:
        detail = "not known yet: Slack says it when it greets the first link"
        return Check(name, ok=True, detail=detail)
    said = f"Slack said so {sockets.age:.0f} s ago"
    if sockets.strangers:
        return Check(name, ok=False, detail=f"{sentence(sockets.strangers)}. {said}")
    if sockets.age > OLD:
        detail = (
            f"not known any more: what Slack said last is {sockets.age:.0f} s old, and no link "
            "could be renewed since: see the log"
        )
        return Check(name, ok=False, detail=detail)
    return Check(name, ok=True, detail=f"as many as the running replicas open. {said}")


def _roles(sessions: Sessions, connection: Connection) -> Check:
    """Say whether whoever has the running role's password could change what is written."""
    name = "database's roles"
    if sessions.owner is None:
        detail = "one, which could rewrite the audit: anchors tell. Two prevent it: docs/running.md"
        return Check(name, ok=True, detail=detail)
    excess = roles.excess(connection, sessions.schema)
    detail = excess or f"two: {sessions.owner} owns the schema, and what is written stays"
    return Check(name, ok=not excess, detail=detail)


def _keys(settings: Settings, database: Database) -> Iterator[Check]:
    """Say which keys can be taken away; nothing where they are others', which is a fault."""
    with database.read() as session:
        if whose.knows(session, settings.key_ring):
            yield Check("keys", *whose.not_needed(session, settings.key_ring))


def _company(database: Database) -> Iterator[Check]:
    """Look at what was taken in; nothing where nothing was."""
    with database.read() as session:
        company = Companies().current(session)
        lost = reach.unmatched(session, company)
        refused = alarms.standing(session, ("slack", "refused"), datetime.now(UTC))
    if not company.directory.people:
        return
    yield _administrators(company)
    if company.paused:
        detail = "warning: paused by an operator; revoking goes on. `latchkey resume grants`"
        yield Check("grants", ok=True, detail=detail)
    nobody = not any(p.account for p in company.directory.people.values())
    detail = reach.accounts(company.directory)
    if nobody:
        detail = f"nobody is known in Slack yet: `latchkey run` reads its people. {detail}"
    lost_people = reached.faults(company.directory)
    if lost_people:
        detail += f"; Slack takes no message for {'; '.join(lost_people)}"
    yield Check("people in Slack", ok=not lost_people, detail=detail)
    yield Check("what Slack takes", ok=not refused, detail=" ".join(refused) or "all of it")
    detail = "; ".join(lost) or "all of them match something that was found"
    yield Check("targets of flows", ok=not lost, detail=detail)
    if channels.named(company):
        closed = channels.faults(company)
        yield Check("channels", ok=not closed, detail="; ".join(closed) or "all take cards")


def _administrators(company: Company) -> Check:
    """Say whether somebody can be told of what goes wrong."""
    people = [company.directory.people[id_] for id_ in company.admins]
    told = [p for p in people if p.reachable]
    if told:
        detail = f"{len(people)}, of whom {len(told)} can be told in Slack"
    elif people:
        detail = "nobody can be told of alarms: none of them has a Slack account that takes any yet"
    else:
        detail = (
            "nobody administers, and nobody can be told of alarms: whoever is named has left, or "
            "is a guest. Name somebody else as admins in company.yaml"
        )
    return Check("administrators", ok=bool(told), detail=detail)


def _unreadable(database: Database) -> Iterator[Check]:
    """Name the rows that cannot be read: those of the company, and of what is not over."""
    with database.read() as session:
        live = facts.find(session)
        wanted = {e for request in live for e in request.entitlements}
        known = facts.entitlements(session, Companies().current(session), wanted)
        facts.note_lost(session, wanted - known.keys())
        links.find(session)
        servers.connections(session)
    for finding in database.unread.take():
        yield Check(f"{finding.table} {finding.row}", ok=False, detail=finding.sentence)


def _integrations(settings: Settings) -> Iterator[Check]:
    try:
        found = folder.soon(settings.manifests, folder.look)
    except BadManifestsError as fault:
        found = folder.FoundSet("", fault)
    listed = found.what if found else None
    standing, held, stored = _stored(settings, found)
    yield _manifests(settings, listed, standing, held)
    if isinstance(listed, Manifests) and standing is not SetAge.OLDER:
        stored = [
            servers.Connection(m.id, m.name, m.kind, m.settings, "") for m in listed.integrations
        ]
    if odd := unknown(references(stored)):
        yield Check("settings", ok=True, detail=f"warning: {' '.join(odd)}")
    read_ahead(stored)
    for system in stored:
        try:
            connected = connect(system, settings.installation)
        except BadReferenceError as fault:
            yield Check(system.name, ok=False, detail=str(fault))
            continue
        try:
            for check in connected.connector.check():
                yield Check(f"{system.name}: {check.name}", check.ok, check.detail)
        except Unavailable as fault:
            yield Check(system.name, ok=False, detail=str(fault))
        finally:
            connected.connector.close()


def _manifests(
    settings: Settings,
    listed: Manifests | BadManifestsError | None,
    standing: SetAge,
    held: str,
) -> Check:
    if listed is None:
        return Check("manifests", ok=False, detail="the files are being changed: look again")
    if isinstance(listed, BadManifestsError):
        return Check("manifests", ok=False, detail=str(listed))
    if standing is SetAge.OLDER:
        return Check("manifests", ok=False, detail=folder.OLDER)
    if held:
        return Check("manifests", ok=False, detail=held)
    detail = f"{len(listed.people)} people and {len(listed.flows)} flows are listed"
    if why := files.exposed_inside(settings.manifests, files_of(settings.manifests)):
        detail += f". warning: who writes them gives access. {why}"
    return Check("manifests", ok=True, detail=detail)


def _held(session: Read, listed: object) -> str:
    """Return why these manifests would not be taken in by themselves."""
    if not isinstance(listed, Manifests):
        return ""
    if folder.takes_all_flows(listed, Companies().current(session)):
        return folder.NO_FLOWS
    found = succession.find(session, listed.people)
    try:
        sync.compare(session, as_known(listed.people, found), listed.groups)
    except TooMuchError as fault:
        return folder.held_back(fault)
    return ""


def _stored(
    settings: Settings, found: folder.FoundSet | None
) -> tuple[SetAge, str, list[servers.Connection]]:
    """Return how the files stand among those that were applied, why a new set would be held, and
    the systems that are known.
    """
    file = file_of(settings.database_url)
    if file and not file.exists():  # which it would make
        return SetAge.NEW, "", []
    try:
        database = Database(settings.database_url, pool=1)
    except UnsafePlaceError:
        return SetAge.NEW, "", []
    try:
        with database.read() as session:
            age = sets.age(session, found.digest if found else "")
            new = found.what if found and age is SetAge.NEW else None
            held = _held(session, new)
            return age, held, servers.connections(session)
    except FAULTS:  # which was said already
        return SetAge.NEW, "", []
    finally:
        database.close()
