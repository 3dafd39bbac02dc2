"""The folder of manifests: what it holds, and what a command takes in of it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import manifests
from bot.runtime.pool import in_time
from bot.runtime.services import Services
from bot.usecases import alarms
from bot.usecases.changes import Known, changes
from bot.usecases.take_in import take_in
from manifests import BadManifestsError, DocumentFault, Manifests
from manifests.marked_yaml import content
from storage import servers, sets
from storage.company import Company
from storage.sets import SetAge
from storage.sync import TooMuchError

__all__ = [
    "NO_FLOWS",
    "OLDER",
    "FoundSet",
    "TakeIn",
    "apply",
    "digest_of",
    "held_back",
    "look",
    "soon",
    "take",
    "takes_all_flows",
]

EVERY = 2.0  # seconds between two looks
TRIES = 5  # to find files that nobody is changing
ANSWERS_WITHIN = 10.0  # seconds; who waits is told that there is no answer
NO_ANSWER = "It does not answer: a disk that hangs, or a pipe among the files."
OLDER = (
    "these files were applied before, and others since, which stay in force. To go back to these: "
    "latchkey apply"
)
NO_FLOWS = (
    "no flow is listed, so that nobody could ask for anything any more: what is known stays in "
    "force. If that is right: latchkey apply"
)

# Stores what the manifests say, as the set of this hash.
TakeIn = Callable[[Services, Manifests, str], TooMuchError | None]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundSet:
    """What the folder holds. `digest` names the content.

    Another version that reads it otherwise takes it in anew by `latchkey apply` alone: a replica
    that is upgraded with former files would undo what others have taken in.
    """

    digest: str
    what: Manifests | BadManifestsError


def look(folder: Path) -> FoundSet | None:
    """Read the folder; None: it is just being changed. It takes as long as the disk takes."""
    digest = digest_of(folder)
    try:
        what: Manifests | BadManifestsError = manifests.load(folder)
    except BadManifestsError as faults:
        what = faults
    return FoundSet(digest, what) if digest_of(folder) == digest else None


def soon(folder: Path, read: Callable[[Path], T]) -> T:
    """Return what a command reads there. Raises BadManifestsError where nothing answers."""
    found = list[T]()
    faults = list[BadManifestsError]()

    def reads() -> None:
        try:
            found.append(read(folder))
        except BadManifestsError as fault:
            faults.append(fault)

    in_time("manifests", ANSWERS_WITHIN, reads)
    if found:
        return found[0]
    raise next(iter(faults), BadManifestsError([DocumentFault(str(folder), 0, (), NO_ANSWER)]))


def apply(services: Services, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Take in what is there, whatever was applied before. Return what has changed, in words.

    It is believed when it stays, as a file may be just half written. Raises BadManifestsError;
    TooMuchError where people are held.
    """
    before: FoundSet | None = None
    for tried in range(TRIES):
        if tried:
            time.sleep(EVERY)
        found = soon(folder, look)
        if found and (_agree(before, found) or _in_force(services, found)):
            if isinstance(found.what, BadManifestsError):
                raise found.what
            changed, held = take(services, found.what, found.digest)
            if held:
                raise held
            return changed
        if before is None:
            say(f"Looking whether the files stay as they are, for {EVERY:g} s.")
        before = found
    raise BadManifestsError(
        [DocumentFault(str(folder), 0, (), "The files are being changed. Try again.")]
    )


def digest_of(folder: Path) -> str:
    """Name what the folder holds. It takes as long as the disk takes."""
    hashed = hashlib.sha256()
    try:
        hashed.update(str(folder.exists()).encode())
        for name in manifests.files(folder):
            raw = _content(folder / name)
            hashed.update(f"\n{name} {len(raw)}\n".encode())
            hashed.update(raw)
    except OSError as fault:
        hashed.update(str(fault.errno).encode())
    return hashed.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return content(file)
    except OSError as fault:
        return f"errno {fault.errno}".encode()


def held_back(why: TooMuchError) -> str:
    """Say that people are not taken in, and what to do if they are to be."""
    return f"held: {why}. If that is right: latchkey people accept"


def takes_all_flows(listed: Manifests, company: Company) -> bool:
    """Tell whether flows are known and none is listed: a file that was emptied looks like that."""
    return not listed.flows and any(not flow.deleted for flow in company.flows.values())


def _agree(before: FoundSet | None, found: FoundSet) -> bool:
    return before is not None and before.digest == found.digest


def _in_force(services: Services, found: FoundSet) -> bool:
    with services.database.read() as session:
        return sets.standing(session, found.digest) is SetAge.NEWEST


def take(
    services: Services, listed: Manifests, digest: str, take_in: TakeIn = take_in
) -> tuple[list[str], TooMuchError | None]:
    """Take them in, and tell the administrators. Return what has changed, or why nothing has."""
    before = _known(services)
    if held := take_in(services, listed, digest):
        return [], held
    changed = changes(before, _known(services))
    if changed and before.company.directory.people:
        said = "\n".join(["The manifests were taken in.", *(f"• {line}" for line in changed)])
        key = f"taken/{digest[:16]}/{services.clock.now().isoformat()}"
        alarms.tell_admins(services, key, said)
    return changed, None


def _known(services: Services) -> Known:
    company = services.company()
    with services.database.read() as session:
        return Known(company, servers.connections(session))
