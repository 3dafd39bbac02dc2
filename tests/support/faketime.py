"""The wall clock of one process, as a test sets it: libfaketime moves that clock and no other.

Python's `time.time` and `datetime.now` go by it, and SQLite's clock; CLOCK_MONOTONIC,
CLOCK_BOOTTIME and all waiting do not. (`time.sleep` alone it breaks: Latchkey waits by events.)
"""

from collections.abc import Mapping
from pathlib import Path

LIBRARY = "faketime/libfaketimeMT.so.1"


class WallClock:
    """To be given to a process by its environment. `folder` is one that the process can read."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self.set(0)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # second; to read the file at each look costs more
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Else a thread that waits for the interpreter's lock does not wait but spins: six busy
            # threads do a tenth of their work.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, seconds: int) -> None:
        """Set it so many seconds ahead of the machine's, or back, within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


def _library() -> Path:
    found = [file for name in (LIBRARY, f"*/{LIBRARY}") for file in Path("/usr/lib").glob(name)]
    assert found, "There is no libfaketime. Run .ci/faketime, or install the package libfaketime."
    return found[0]
