"""Using the access that was given: sessions with the protected PostgreSQL, held open so that one
sees them end.
"""

import asyncio
import contextlib
import itertools
import select
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bot.sandbox.changes import Changes
from bot.sandbox.errors import NotPossible

__all__ = ["Access"]

Json = dict[str, Any]
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ROWS = 200  # of an answer; the rest is counted
_CELL = 500  # characters
_SECONDS = 10.0
_LOOK = 0.25  # seconds between looks at whether the server has ended a session


@dataclass(slots=True)
class _Session:
    n: int
    owner: str
    name: str
    connection: psycopg.AsyncConnection[Any]
    opened: float = field(default_factory=time.time)
    last_words: str = ""  # what the server said before it closed the line
    ended: str = ""  # the server's words


class Access:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._sessions: dict[int, _Session] = {}
        self._numbers = itertools.count(1)
        self._watching: asyncio.Task[None] | None = None

    def sessions(self, owner: str) -> list[Json]:
        return [
            {"n": s.n, "name": s.name, "opened": s.opened, "ended": s.ended}
            for s in self._sessions.values()
            if s.owner == owner
        ]

    async def open(self, owner: str, login: Json) -> Json:
        host = str(login.get("host") or "127.0.0.1").strip()
        if host not in _LOOPBACK:
            raise NotPossible(f"the panel reaches only this machine, not {host}")
        wanted = {
            "host": host,
            "port": str(login.get("port", "")).strip(),
            "dbname": str(login.get("database", "")).strip(),
            "user": str(login.get("user", "")).strip(),
            "password": str(login.get("password", "")),
        }
        missing = [name for name in ("port", "dbname", "user") if not wanted[name]]
        if missing:
            raise NotPossible(f"missing: {', '.join(missing)}")
        try:
            connection = await psycopg.AsyncConnection.connect(
                make_conninfo("", **wanted, connect_timeout=int(_SECONDS), application_name="page"),
                autocommit=True,
            )
        except (psycopg.Error, ValueError) as fault:
            refused = "FATAL:" in str(fault)
            return {"refused_by_server" if refused else "away": _words(fault)}
        name = f"{wanted['user']} on {wanted['dbname']}"
        session = _Session(next(self._numbers), owner, name, connection)
        connection.add_notice_handler(lambda said: self._told(session, said))
        self._sessions[session.n] = session
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        self._changes.touch(owner)
        return {"n": session.n}

    async def query(self, owner: str, n: int, query: str) -> Json:
        session = self._find(owner, n)
        if session.ended:
            return {"error": session.ended}
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(_SECONDS):
                # Bytes: what a person types is a query already.
                cursor = await session.connection.execute(query.encode())
                answer = await _answer(cursor)
        except psycopg.Error as fault:
            if session.connection.closed:
                self._over(session, _words(fault))
            return {"error": _words(fault), "hint": fault.diag.message_hint or ""}
        except TimeoutError:
            return {"error": f"no answer within {_SECONDS:.0f} seconds"}
        return answer | {"seconds": time.perf_counter() - begun}

    async def close(self, owner: str, n: int) -> None:
        session = self._find(owner, n)
        del self._sessions[session.n]
        with contextlib.suppress(psycopg.Error):
            await session.connection.close()
        self._changes.touch(owner)

    async def close_all(self) -> None:
        if self._watching:
            self._watching.cancel()
        for session in list(self._sessions.values()):
            with contextlib.suppress(psycopg.Error, NotPossible):
                await self.close(session.owner, session.n)

    def _find(self, owner: str, n: int) -> _Session:
        session = self._sessions.get(n)
        if session is None or session.owner != owner:
            raise NotPossible("this session is closed")
        return session

    async def _watch(self) -> None:
        """An idle session hears that it was ended only when somebody listens."""
        while True:
            await asyncio.sleep(_LOOK)
            for session in list(self._sessions.values()):
                if not session.ended and not session.connection.lock.locked():
                    self._listen(session)

    def _listen(self, session: _Session) -> None:
        connection = session.connection
        if connection.closed:
            self._over(session, "the server has closed the session")
            return
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if poll.poll(0):
            try:
                connection.pgconn.consume_input()
            except psycopg.OperationalError:
                # It has read what came before the end of the line; this makes it understand it.
                connection.pgconn.is_busy()
                self._over(session, "the server has closed the session")

    @staticmethod
    def _told(session: _Session, said: psycopg.errors.Diagnostic) -> None:
        if said.severity_nonlocalized == "FATAL":
            session.last_words = said.message_primary or ""

    def _over(self, session: _Session, said: str) -> None:
        session.ended = session.last_words or said
        self._changes.touch(session.owner)


async def _answer(cursor: psycopg.AsyncCursor[Any]) -> Json:
    if cursor.description is None:
        return {"columns": [], "rows": [], "said": cursor.statusmessage or "done", "more": 0}
    rows = await cursor.fetchmany(_ROWS)
    return {
        "columns": [column.name for column in cursor.description],
        "rows": [[None if v is None else str(v)[:_CELL] for v in row] for row in rows],
        "said": cursor.statusmessage or "",
        "more": max(0, cursor.rowcount - len(rows)),
    }


def _words(fault: Exception) -> str:
    """The server's own sentence, without the address that the library puts before it."""
    said = str(fault).strip()
    return said.rpartition("FATAL:")[2].strip().splitlines()[0] if said else type(fault).__name__
