"""The protected PostgreSQL as the page wishes it: there, or away. Whoever runs it (`House.follow`)
sees to it.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import psycopg

from bot.sandbox.errors import NotPossible
from bot.sandbox.standing import Ledger
from storage import files

__all__ = ["AWAY", "Protected"]

Json = dict[str, Any]
AWAY = "postgresql.away"  # a file in the sandbox's directory: while it is there, no server shall be
_SECONDS = 20.0  # within which it is as it was wished
_LOOK = 0.1  # seconds between looks at it


class Protected:
    """`directory` is the sandbox's, `ledger` knows where the server is, if there is one. `factor`:
    how many times as long one waits for it on this machine.
    """

    def __init__(self, directory: Path | None, ledger: Ledger, factor: float) -> None:
        self._directory = directory
        self._ledger = ledger
        self._seconds = factor * _SECONDS
        self._turn = asyncio.Lock()
        self.away = False

    @property
    def known(self) -> bool:
        """Whether somebody runs a server here, who could take it down."""
        return bool(self._ledger.house())

    async def take_down(self) -> None:
        """Return when nothing is there any more. Raises NotPossible."""
        await self._be(away=True)

    async def bring_up(self) -> None:
        """Return when one can log in again. Raises NotPossible."""
        await self._be(away=False)

    async def _be(self, *, away: bool) -> None:
        async with self._turn:
            if away is self.away:
                return
            self._wish(away=away)
            if not await self._becomes(away=away):
                self._wish(away=self.away)
                done = "taken it down" if away else "brought it up again"
                raise NotPossible(
                    f"nobody has {done} within {self._seconds:.0f} seconds: does `latchkey sandbox`"
                    " run?"
                )
            self.away = away

    def _wish(self, *, away: bool) -> None:
        if self._directory is None or not self.known:
            raise NotPossible("no PostgreSQL is run here")
        file = self._directory / AWAY
        if away:
            files.replace(file, "")
        else:
            file.unlink(missing_ok=True)

    async def _becomes(self, *, away: bool) -> bool:
        give_up = time.monotonic() + self._seconds
        while not await (self._is_gone() if away else self._lets_in()):
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_LOOK)
        return True

    async def _is_gone(self) -> bool:
        server: Json = self._ledger.house()["postgres"]
        try:
            _, line = await asyncio.open_connection(server["host"], server["port"])
        except OSError:
            return True
        line.close()
        return False

    async def _lets_in(self) -> bool:
        """Log in as Latchkey does: a server that is starting takes connections, and refuses all."""
        login: str = self._ledger.house()["settings"]["LATCHKEY_SANDBOX_PG"]
        try:
            session = await psycopg.AsyncConnection.connect(login, connect_timeout=5)
        except psycopg.OperationalError:
            return False
        await session.close()
        return True
