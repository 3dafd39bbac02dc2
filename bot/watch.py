"""Takes the manifests in while Latchkey runs: by their content, all files or none.

A process applies by itself only a set that was never applied: while a release is rolled out, who
still has the former files does not undo what others have taken in. A fault in the files, or a
folder that is not there, leaves what is known as it is.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from bot import manifests, new_ids
from bot.changes import Known, changes
from bot.manifests import BadManifestsError, Fault, Manifests
from bot.manifests.marked_yaml import MAX_BYTES
from bot.services import Services
from storage import files, servers, sets, sync
from storage.company import Company
from storage.database import AWAY, Write
from storage.sets import Standing
from storage.sync import TooMuchError

__all__ = ["FAULT", "OLDER", "Found", "TakeIn", "Watch", "apply", "look"]

EVERY = 2.0  # seconds between two looks
PATIENCE = 5.0  # seconds that a start waits for the folder, where a company is known
HANGS_AFTER = 30.0  # seconds
NAMED = 10  # faults, in what the administrators are told
TRIES = 5  # to find files that nobody is changing

FAULT = "manifests"
OLDER = (
    "these files were applied before, and others since, which stay in force. To go back to these: "
    "latchkey apply"
)

# Stores what the manifests say, as the set of this hash.
TakeIn = Callable[[Services, Manifests, str], TooMuchError | None]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """What the folder holds. `digest` names the content, and this version, which reads it."""

    digest: str
    what: Manifests | BadManifestsError


def look(folder: Path) -> Found | None:
    """Read the folder; None: it is just being changed. It takes as long as the disk takes."""
    digest = _digest(folder)
    try:
        what: Manifests | BadManifestsError = manifests.load(folder)
    except BadManifestsError as faults:
        what = faults
    return Found(digest, what) if _digest(folder) == digest else None


def apply(services: Services, folder: Path, take_in: TakeIn) -> list[str]:
    """Take in what is there, whatever was applied before. Return what has changed, in words.

    Raises BadManifestsError.
    """
    for _ in range(TRIES):
        if found := look(folder):
            if isinstance(found.what, BadManifestsError):
                raise found.what
            return _take(services, found.what, found.digest, take_in)
    raise BadManifestsError([Fault(str(folder), 0, (), "The files are being changed. Try again.")])


class Watch:
    """Looks at the folder in a thread of its own: a disk that hangs holds up nothing else."""

    def __init__(self, services: Services, folder: Path, take_in: TakeIn) -> None:
        self._services = services
        self._folder = folder
        self._take_in = take_in
        self._seen = ""
        self._found: Found | None = None
        self._refused = ""
        self._exposed = ""
        self._asked = threading.Event()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._judged = threading.Event()
        self._failed: Exception | None = None
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def begin(self) -> None:
        """Take in what is there, and watch it from now on.

        Where no company is known yet, raises BadManifestsError, or what else went wrong.
        """
        self._thread.start()
        while not self._judged.wait(PATIENCE):
            if self._knows_somebody():
                return  # `check` says so if it goes on
        refused = self._found.what if self._found else None
        fault = self._failed or (refused if isinstance(refused, BadManifestsError) else None)
        if fault and not self._knows_somebody():
            self._stopping.set()
            raise fault

    def ask(self) -> None:
        """Have what is there applied, whatever was applied before. It returns at once."""
        self._asked.set()
        self._woken.set()

    def check(self) -> None:
        """Say so if the folder does not answer. To be called now and then."""
        if self._thread.is_alive() and time.monotonic() - self._looked > HANGS_AFTER:
            self._services.vitals.faults.set(FAULT, f"{self._folder} does not answer")

    def stop(self, within: float) -> bool:
        """Return whether what was under way came to its end."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._look()
            except AWAY as fault:
                self._failed = fault
                self._services.vitals.database.bad(type(fault).__name__)
            except Exception as fault:
                self._failed = fault
                log.exception("the manifests were not looked at")
            else:
                self._failed = None
            if self._failed or self._found:
                self._judged.set()
            self._looked = time.monotonic()
            self._woken.wait(EVERY)

    def _look(self) -> None:
        asked, first = self._asked.is_set(), self._found is None
        digest = _digest(self._folder)
        if not self._found or digest != self._found.digest:
            if digest != self._seen and not (asked or first):
                self._seen = digest  # somebody may be at it: it is believed when it stays
                return
            found = look(self._folder)
            if found is None:
                return
            self._found = found
            self._warn()
        self._act(self._found, asked=asked)
        if asked:
            self._asked.clear()

    def _act(self, found: Found, *, asked: bool) -> None:
        faults = self._services.vitals.faults
        if isinstance(found.what, BadManifestsError):
            if asked or self._refused != found.digest:
                self._refuse(found.what)
                self._refused = found.digest
            return
        with self._services.database.read() as session:
            standing = sets.standing(session, found.digest)
        if asked or standing is Standing.NEW:
            changed = _take(self._services, found.what, found.digest, self._take_in)
            log.info("manifests taken in", changed=changed)
        elif standing is Standing.OLDER:
            faults.set(FAULT, OLDER)
            return
        faults.clear(FAULT)
        self._refused = ""

    def _refuse(self, found: BadManifestsError) -> None:
        self._services.vitals.faults.set(FAULT, str(found))
        if not self._knows_somebody():
            return  # nor whom to tell
        named = [f"• {fault}" for fault in found.faults[:NAMED]]
        more = len(found.faults) - len(named)
        rest = [f"• and {more} more: latchkey doctor"] if more else []
        sentence = (
            "The manifests were not taken in, for what is wrong in them. Latchkey goes on with "
            "what it knows: access ends on time, and people can work."
        )
        now = self._services.clock.now()
        # Each replica finds it, and each start: it is said once a day.
        key = f"refused/{new_ids.digest([str(found)])}/{now:%Y-%m-%d}"
        _tell(self._services, key, "\n".join([sentence, *named, *rest]))

    def _warn(self) -> None:
        """Say, once, that others can write what gives access."""
        try:
            why = files.exposed_inside(self._folder, "*.yaml")
        except OSError:
            return  # it is not there, which is a fault of its own
        if why and why != self._exposed:
            log.warning("others can change the manifests", why=why)
        self._exposed = why

    def _knows_somebody(self) -> bool:
        return bool(self._services.company().directory.people)


def _digest(folder: Path) -> str:
    hashed = hashlib.sha256(version("latchkey").encode())
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
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as fault:
        return f"errno {fault.errno}".encode()


def _take(services: Services, listed: Manifests, digest: str, take_in: TakeIn) -> list[str]:
    before = _known(services)
    held = take_in(services, listed, digest)
    changed = changes(before, _known(services))
    if changed and before.company.directory.people:
        said = "\n".join(["The manifests were taken in.", *(f"• {line}" for line in changed)])
        _tell(services, f"taken/{digest[:16]}/{services.clock.now().isoformat()}", said)
    if held:
        changed.append(f"people are held: {held}. If that is right: latchkey people accept")
    return changed


def _tell(services: Services, key: str, sentence: str) -> None:
    now = services.clock.now()

    def change(tx: Write, _: Company) -> None:
        sync.tell_admins(tx, key, sentence, now)

    services.write(change)


def _known(services: Services) -> Known:
    company = services.company()
    with services.database.read() as session:
        return Known(company, servers.connections(session))
