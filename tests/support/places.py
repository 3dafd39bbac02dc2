"""Files of somebody else, for tests, whether it is root who runs them or not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import files

SOMEBODY = 54321  # a user that there is not


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a file another user's. Who is not root cannot: then we are another ourselves."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
        else:
            monkeypatch.setattr(files.os, "geteuid", lambda: SOMEBODY)

    return give
