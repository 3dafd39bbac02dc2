"""Makes the connector of each connected system; a connector's module is imported when one is used.

`Systems` has those of a running process. What is stored says which there are; one that cannot be
set up is out of order by itself.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pkgutil import resolve_name
from types import MappingProxyType

import structlog
from pydantic import ValidationError

from bot.runtime.faults import Faults
from bot.runtime.references import BadReferenceError, LastRead, begin, resolve, shown
from bot.runtime.services import Connected
from engine.inventory import Integration, IntegrationId
from engine.port import Connector, Secret, Unavailable
from manifests.kinds import KINDS
from manifests.parts import LoginsDocument
from storage.servers import Connection

__all__ = [
    "LOGINS",
    "NO_ANSWER",
    "RETRY",
    "SECRET_FAULT",
    "Systems",
    "connect",
    "connect_all",
    "fault_of",
    "is_sound",
    "read_ahead",
    "references",
]

SECRET_FAULT = "the secret"  # how such a fault is called, and of what  # noqa: S105
LOGINS = "logins"  # the setting that is no connector's
RETRY = 10.0  # seconds after which one that could not be set up is tried again

NO_ANSWER = "what it needs cannot be read: no answer yet"

Connect = Callable[[Connection], Connected]

log = structlog.get_logger()


def connect(system: Connection, installation: str, faults: Faults | None = None) -> Connected:
    """Return a system with its connector. Raises BadReferenceError.

    `faults`: where it is said of a secret that it cannot be read any more.
    """
    if system.kind in KINDS and not is_sound(system):
        raise BadReferenceError(
            f"what the database holds of {system.id} (table integration) cannot be used: "
            "`latchkey apply` writes it anew from integrations.yaml"
        )
    of = Integration(system.id, system.name, system.kind)
    try:
        connector = _connector(system, installation, faults or Faults())
        logins = LoginsDocument.model_validate(system.settings.get(LOGINS, {})).logins()
        return Connected(of, connector, logins)
    except BadReferenceError as fault:
        raise BadReferenceError(f"integrations.yaml: {system.id}: {fault}") from None


def is_sound(system: Connection) -> bool:
    """Tell whether what is stored of a system can be settings of its kind."""
    kind = KINDS.get(system.kind)
    if kind is None:
        return False
    try:
        kind.settings.model_validate(system.settings)
    except ValidationError:
        return False
    return True


def connect_all(
    systems: Iterable[Connection], installation: str
) -> tuple[dict[IntegrationId, Connected], dict[IntegrationId, str]]:
    """Return those that can be connected, and why the others cannot."""
    made: dict[IntegrationId, Connected] = {}
    faults: dict[IntegrationId, str] = {}
    systems = list(systems)
    read_ahead(systems)
    for system in systems:
        try:
            made[system.id] = connect(system, installation)
        except BadReferenceError as fault:
            faults[system.id] = str(fault)
    return made, faults


def read_ahead(systems: Iterable[Connection]) -> None:
    """Begin to read their secrets, before one after the other is connected: some may hang."""
    for system in systems:
        kind = KINDS.get(system.kind)
        begin(str(system.settings.get(name, "")) for name in (kind.secrets if kind else ()))


def references(systems: Iterable[Connection]) -> list[str]:
    """Return what their settings refer to."""
    values = [value for system in systems for value in system.settings.values()]
    return [value for value in values if isinstance(value, str)]


def _connector(system: Connection, installation: str, faults: Faults) -> Connector:
    kind = KINDS.get(system.kind)
    if kind is None:
        raise BadReferenceError(f"there is no connector for {system.kind}")
    given: dict[str, object] = {k: v for k, v in system.settings.items() if k != LOGINS}
    for name in kind.secrets:
        reference = str(given.get(name, ""))
        given[name] = _Known(reference, f"{SECRET_FAULT} of {system.id}", faults)
    make: Callable[..., Connector] = resolve_name(kind.connector)
    try:
        return make(installation=installation, **given)
    except (ValueError, Unavailable) as fault:
        raise BadReferenceError(f"{' or '.join(kind.secrets)}: {fault}") from None


class _Known:
    """A secret, read anew at each connection. While it cannot be, it is what was read last.

    Raises BadReferenceError if it cannot be read at first: else it would be a system that does not
    answer.
    """

    def __init__(self, reference: str, name: str, faults: Faults) -> None:
        def read() -> Secret:
            return Secret(resolve(reference))

        self._name, self._faults = name, faults
        self._secret = LastRead(read, name=shown(reference), first=read())

    def __call__(self) -> Secret:
        found = self._secret.get()
        if fault := self._secret.fault:
            self._faults.set(self._name, f"{self._name} cannot be read any more: {fault}")
        else:
            self._faults.clear(self._name)
        return found


def fault_of(system: IntegrationId) -> str:
    """Return the name of the fault of a system that is out of order."""
    return f"integration {system}"


class Systems(Mapping[IntegrationId, Connected]):
    """The systems that can be worked on. `bring_in_line` begins what may take its time.

    Each is set up in a thread of its own, as the file of a secret may be on a disk that hangs. One
    that is to be set up otherwise, and cannot be, stays as it was until it can: what has to end
    there ends.
    """

    def __init__(self, connect: Connect, faults: Faults) -> None:
        self._connect = connect
        self._faults = faults
        self._changed = threading.Condition()
        self._made: Mapping[IntegrationId, Connected] = MappingProxyType({})
        self._wanted: dict[IntegrationId, Connection] = {}
        self._by: dict[IntegrationId, Connection] = {}  # what those that are made were made by
        self._trying: dict[IntegrationId, float] = {}  # since when, by time.monotonic()
        self._again: dict[IntegrationId, float] = {}  # when to try, by time.monotonic()
        self._fresh: set[IntegrationId] = set()

    def __getitem__(self, id_: IntegrationId) -> Connected:
        return self._made[id_]

    def __iter__(self) -> Iterator[IntegrationId]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def want(self, systems: Iterable[Connection]) -> None:
        """Say what is stored, which may have changed."""
        with self._changed:
            for system in systems:
                if _differs(self._wanted.get(system.id), system):
                    self._again.pop(system.id, None)
                self._wanted[system.id] = system

    def bring_in_line(self) -> None:
        """Begin to set up what is new, has changed, or is to be tried again."""
        now = time.monotonic()
        with self._changed:
            due = [
                system
                for id_, system in self._wanted.items()
                if _differs(self._by.get(id_), system)
                and id_ not in self._trying
                and self._again.get(id_, now) <= now
            ]
            for id_, since in self._trying.items():
                if now - since > RETRY:
                    self._faults.set(fault_of(id_), NO_ANSWER)
            self._trying |= {system.id: now for system in due}
        for system in due:
            threading.Thread(
                target=self._set_up, args=(system,), name=f"connect-{system.id}", daemon=True
            ).start()

    def under_way(self) -> frozenset[IntegrationId]:
        """Return those that are being set up."""
        with self._changed:
            return frozenset(self._trying)

    def settle(self, within: float) -> None:
        """Wait until nothing is being set up any more, but for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._trying, within)

    def fresh(self) -> frozenset[IntegrationId]:
        """Return those that were set up and that `planned` was not told of."""
        with self._changed:
            return frozenset(self._fresh)

    def planned(self, systems: Iterable[IntegrationId]) -> None:
        """Say that what is to be done with these, once they are there, is planned."""
        with self._changed:
            self._fresh -= set(systems)

    def out_of_order(self) -> list[tuple[Connection, str]]:
        """Return those that cannot be set up as they are stored, and why."""
        with self._changed:
            wanted = dict(self._wanted)
        found = self._faults()
        return [(c, found[fault_of(id_)]) for id_, c in wanted.items() if fault_of(id_) in found]

    def _set_up(self, system: Connection) -> None:
        made, why = None, ""
        try:
            made = self._connect(system)
        except BadReferenceError as fault:
            why = str(fault)
        except Exception as fault:
            log.exception("a system cannot be set up", integration=system.id)
            why = f"unexpected {type(fault).__name__}"
        with self._changed:
            if made:
                self._faults.clear(fault_of(system.id))
            else:
                self._faults.set(fault_of(system.id), why)
            former = self._made.get(system.id) if made else None
            if made:
                self._made = MappingProxyType({**self._made, system.id: made})
                self._by[system.id] = system
                self._fresh.add(system.id)
            self._again[system.id] = time.monotonic() + RETRY
            del self._trying[system.id]
            self._changed.notify_all()
        if former:
            former.connector.close()  # what waits there; calls under way come to their end


def _differs(before: Connection | None, now: Connection) -> bool:
    def mine(system: Connection) -> tuple[object, ...]:
        return system.name, system.kind, system.settings

    return before is None or mine(before) != mine(now)
