"""Takes the manifests in while Latchkey runs: by their content, all files or none.

A process applies by itself only a set that was never applied: while a release is rolled out, who
still has the former files does not undo what others have taken in. A fault in the files, or a
folder that is not there, leaves what is known as it is.
"""

import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

import manifests
from bot.runtime.connectors import is_sound
from bot.runtime.services import Services
from bot.usecases import folder as folders
from bot.usecases import sources, systems
from bot.usecases.alarms import Alarms, in_lines
from bot.usecases.folder import EVERY, NO_FLOWS, OLDER, FoundSet, TakeIn, held_back, takes_all_flows
from bot.usecases.take_in import is_under_way, take_in, wake, write_anew
from manifests import BadManifestsError, Manifests
from storage import files
from storage.database import AWAY
from storage.sets import SetAge

__all__ = ["FAULT", "Watch"]

LOOK_AGAIN = 5.0  # seconds; a first start may find that another process knows a company by now
HANGS_AFTER = 30.0  # seconds
BROKEN_OFF_AFTER = 10.0  # seconds in which an intake that is under way has done nothing

FAULT = "manifests"
REFUSED = (
    "The company's files cannot be used as they are: the last good version stays in force, and "
    "access ends on time. Correct them, and Latchkey takes them in by itself."
)

_NO_ANSWER = "no answer"  # no set's digest

log = structlog.get_logger()


class Watch:
    """Looks at the folder in a thread of its own: a disk that hangs holds up nothing else."""

    def __init__(
        self, services: Services, folder: Path, alarms: Alarms, take_in: TakeIn = take_in
    ) -> None:
        self._services = services
        self._folder = folder
        self._take_in = take_in
        self._alarms = alarms
        self._held: tuple[str, int] | None = None  # a set, and the epoch that it was compared with
        self._epoch, self._since = -1, 0.0  # of an intake that seems to be under way
        self._woken = False  # who depends on people, when it was found broken off
        self._noted = ""  # what is stored of whether the files can be read is by this set
        self._seen = ""
        self._found: FoundSet | None = None
        self._exposed = ""
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._judged = threading.Event()
        self._failed: Exception | None = None
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def begin(self) -> None:
        """Take in what is there, and watch it from now on.

        Where a company is known, it waits for nothing. Where none is, raises BadManifestsError, or
        what else went wrong.
        """
        wake(self._services)
        self._thread.start()
        if self._services.knows_somebody():
            return
        while not self._judged.wait(LOOK_AGAIN):
            if self._services.knows_somebody():
                return  # `check` says so if it goes on
        refused = self._found.what if self._found else None
        fault = self._failed or (refused if isinstance(refused, BadManifestsError) else None)
        if fault and not self._services.knows_somebody():
            self._stopping.set()
            raise fault

    def ask(self) -> None:
        """Have what is there applied, whatever was applied before. It returns at once."""
        self._asked.set()

    def check(self) -> None:
        """Say so if the folder does not answer. To be called now and then.

        Raises what `storage.database.AWAY` lists.
        """
        if self._thread.is_alive() and time.monotonic() - self._looked > HANGS_AFTER:
            self._stand(f"{self._folder} does not answer")
            self._note(_NO_ANSWER, people=True, on_call=True)

    def stop(self, within: float) -> bool:
        """Return whether what was under way came to its end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look_once()
            except AWAY as fault:
                self._failed = fault
                self._services.vitals.database.bad(type(fault).__name__)
            except Exception as fault:
                self._failed = fault
                log.exception("the manifests were not looked at")
                self._say_unexpected(fault)
            else:
                self._failed = None
            if self._failed or self._found:
                self._judged.set()
            self._looked = time.monotonic()
            self._stopping.wait(EVERY)

    def look_once(self) -> None:
        """Take in what is to be taken in by now. The thread does so every `EVERY` seconds."""
        asked = self._asked.is_set()
        digest = folders.digest_of(self._folder)
        if not self._found or digest != self._found.digest:
            seen, self._seen = self._seen, digest
            if digest != seen and self._services.knows_somebody():
                return  # somebody may be at it: it is believed when it stays
            found = folders.look(self._folder)
            if found is None:
                return
            self._found = found
            self._warn()
        if asked:
            self._asked.clear()  # before it is done: who asks meanwhile has seen something newer
        try:
            self._act(self._found, asked=asked)
        except Exception:
            if asked:
                self._asked.set()
            raise

    def _act(self, found: FoundSet, *, asked: bool) -> None:
        broken_off = self._is_broken_off()
        if isinstance(found.what, BadManifestsError):
            self._stand(str(found.what), in_lines(REFUSED, found.what.faults))
            faulty = {fault.file for fault in found.what.faults}
            whole = str(self._folder) in faulty
            self._note(
                found.digest,
                people=whole or manifests.PEOPLE_FILE in faulty,
                on_call=whole or manifests.ON_CALL_FILE in faulty,
            )
            return
        age = folders.age(self._services, found.digest)
        by_itself = broken_off or age is SetAge.NEW
        if by_itself and not asked and takes_all_flows(found.what, self._services.company()):
            self._stand(NO_FLOWS)
        elif asked or by_itself:
            self._apply(found.what, found.digest)
        elif age is SetAge.OLDER:
            self._stand(OLDER)
        else:
            self._clear()
            self._note(found.digest, people=False, on_call=False)
            ours = {system.id for system in found.what.integrations}
            stored = systems.connections(self._services)
            if odd := [s.id for s in stored if s.id in ours and not is_sound(s)]:
                write_anew(self._services, found.what, found.digest)
                log.warning("what is stored of systems was written anew", integrations=odd)

    def _apply(self, listed: Manifests, digest: str) -> None:
        if self._held == (digest, self._services.company().epoch):
            return  # nothing has changed since
        changed, held = folders.take(self._services, listed, digest, self._take_in)
        if held:
            self._held, self._noted = (digest, self._services.company().epoch), digest
            self._services.vitals.faults.set(FAULT, held_back(held))
            return  # the administrators are asked by who has compared
        self._held = None
        self._clear()
        self._noted = digest
        log.info("manifests taken in", changed=changed)

    def _is_broken_off(self) -> bool:
        """Whether what is known is a mix, which nobody is at any more: no set is in force then."""
        epoch = self._services.company().epoch
        under_way = is_under_way(self._services)
        if not under_way or epoch != self._epoch:
            self._epoch, self._since = epoch if under_way else -1, time.monotonic()
            self._woken = False
        broken_off = under_way and time.monotonic() - self._since > BROKEN_OFF_AFTER
        if broken_off and not self._woken:
            wake(self._services)
            self._woken = True
        return broken_off

    def _note(self, read: str, *, people: bool, on_call: bool) -> None:
        """Store, once for each set that is found, whether its people and schedules can be read.

        Replicas may have different files meanwhile: the newest word of any of them counts.
        """
        if self._noted != read and self._services.knows_somebody():
            sources.failing(self._services, people=people, on_call=on_call)
            self._noted = read

    def _stand(self, fault: str, sentence: str = "") -> None:
        """Note what is wrong, and tell the administrators, once a day while it lasts."""
        self._services.vitals.faults.set(FAULT, fault)
        if self._services.knows_somebody():
            self._alarms.tell(FAULT, sentence or f"The manifests: {fault}.")

    def _clear(self) -> None:
        self._services.vitals.faults.clear(FAULT)
        self._alarms.well(FAULT)

    def _say_unexpected(self, fault: Exception) -> None:
        with suppress(*AWAY):
            self._stand(f"unexpected {type(fault).__name__}, which the log has whole")

    def _warn(self) -> None:
        """Say, once, that others can write what gives access."""
        try:
            why = files.exposed_inside(self._folder, manifests.files(self._folder))
        except OSError:
            return  # it is not there, which is a fault of its own
        if why and why != self._exposed:
            log.warning("others can change the manifests", why=why)
        self._exposed = why
