"""What an operator can do about connected systems: see which server answers, and accept another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.runtime.connectors import connect, read_ahead
from bot.runtime.references import BadReferenceError
from bot.usecases import discover
from bot.usecases.console import Desk
from engine.outcome import Code, Refusal
from engine.port import Connector, Unavailable
from engine.request import OPERATOR
from storage import servers
from storage.servers import Connection, Plan

__all__ = ["SystemLine", "accept", "connector_of", "listed", "prepare"]

Connect = Callable[[Connection], Connector]


@dataclass(frozen=True, slots=True)
class SystemLine:
    id: str
    name: str
    server: str
    state: str


def connector_of(system: Connection, installation: str) -> Connector:
    """Connect a system by what is stored of it. Raises BadReferenceError."""
    return connect(system, installation).connector


def listed(desk: Desk, connect: Connect) -> Iterator[SystemLine]:
    """Ask every system which server answers, and say how that is."""
    with desk.database.read() as session:
        systems = servers.connections(session)
    read_ahead(systems)
    for system in systems:
        known = servers.known_as(system.server)
        yield SystemLine(system.id, system.name, known or "-", _state(system, connect))


def _state(system: Connection, connect: Connect) -> str:
    try:
        connector = connect(system)
    except BadReferenceError as fault:
        return f"cannot be connected: {fault}"
    try:
        server = connector.server()
    except Unavailable as fault:
        return f"does not answer: {fault}"
    finally:
        connector.close()
    if not system.listed:
        return "not in integrations.yaml any more: its access ends, and none begins"
    if server == system.server:
        return "accepted" if server else "has names, not numbers"
    if not system.server:
        return f"not discovered yet; {server} answers"
    answers = server or "one without a name"
    return f"another server answers: {answers}. Accept it: latchkey integrations accept {system.id}"


def prepare(desk: Desk, connect: Connect, id_: str) -> Plan | Refusal:
    """Look what accepting the server that answers would come to. Raises what `connect` does."""
    with desk.database.read() as session:
        system = next((s for s in servers.connections(session) if s.id == id_), None)
    if system is None:
        return Refusal(Code.NOTHING_SELECTED, f"There is no integration {id_}.")
    connector = connect(system)
    try:
        server, found, permissions = discover.read(connector)
    except Unavailable as fault:
        return Refusal(Code.NOT_RUNNING, f"{system.name} does not answer: {fault}")
    finally:
        connector.close()
    if server == system.server:
        return Refusal(Code.NOTHING_TO_DO, f"{system.name}: the server that answers is accepted.")
    if not system.server:
        sentence = f"{system.name}: its first discovery accepts the server that answers."
        return Refusal(Code.NOTHING_TO_DO, sentence)
    with desk.database.read() as session:
        if closed := servers.closed(session, system, found):
            return Refusal(
                Code.NOT_RUNNING,
                f"{system.name}: what is known there cannot be looked for: {'; '.join(closed)}. "
                "Let Latchkey in first, or leave it out of the integration's `databases`.",
            )
        return servers.plan(session, system, server, found, permissions)


def accept(desk: Desk, plan: Plan) -> None:
    """Find all again by name, under the numbers of the new server, and bring access in line."""
    now = desk.clock.now()
    with desk.database.read() as session:
        for step in servers.steps(session, plan, OPERATOR, now):
            with desk.database.write() as tx:
                step(tx)
