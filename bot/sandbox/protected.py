"""The protected PostgreSQL as the page wishes it: there, or away. Whoever runs it (`House.follow`)
sees to it.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from bot.sandbox.errors import NotPossible
from bot.sandbox.standing import Ledger
from storage import files

__all__ = ["AWAY", "Protected"]

Json = dict[str, Any]
AWAY = "postgresql.away"  # a file in the sandbox's directory: while it is there, no server shall be
_SECONDS = 20.0  # within which it is as it was wished
_LOOK = 0.1  # seconds between looks at it


class Protected:
    """`directory` is the sandbox's, `ledger` knows where the server is, if there is one."""

    def __init__(self, directory: Path | None, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger
        self._turn = asyncio.Lock()
        self.away = False

    @property
    def known(self) -> bool:
        """Whether somebody runs a server here, who could take it down."""
        return bool(self._ledger.house())

    async def take_down(self) -> None:
        """Return when nobody answers there any more. Raises NotPossible."""
        await self._be(away=True)

    async def bring_up(self) -> None:
        """Return when it answers again. Raises NotPossible."""
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
                    f"nobody has {done} within {_SECONDS:.0f} seconds: does `latchkey sandbox` run?"
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
        give_up = time.monotonic() + _SECONDS
        while await self._answers() is away:
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_LOOK)
        return True

    async def _answers(self) -> bool:
        server: Json = self._ledger.house()["postgres"]
        with contextlib.suppress(OSError):
            _, line = await asyncio.open_connection(server["host"], server["port"])
            line.close()
            return True
        return False
