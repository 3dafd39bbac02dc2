"""A look that may take long, shared by all who ask for it meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import to_thread

PROBE_WITHIN = 3.0  # seconds; what takes longer does not answer

T = TypeVar("T")


class Look(Generic[T]):
    """A look in a thread, which all who ask meanwhile share: any number of them holds one thread,
    and one of the connections to the database that the loops use. `within`: seconds.
    """

    def __init__(
        self, look: Callable[[], T], otherwise: T, *, within: float = PROBE_WITHIN
    ) -> None:
        self._look = look
        self._otherwise = otherwise
        self._within = within
        self._under_way: asyncio.Task[T] | None = None

    def begin(self) -> asyncio.Task[T]:
        if self._under_way is None or self._under_way.done():
            run = to_thread.run_sync(self._look, abandon_on_cancel=True)
            self._under_way = asyncio.create_task(run)
        return self._under_way

    async def answer(self) -> T:
        """Return what it finds, or `otherwise` if that takes too long."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.begin()), self._within)
        except TimeoutError:
            return self._otherwise
