"""Copies of the sandbox's company, for tests that change its files."""

import shutil
from pathlib import Path

from bot.sandbox.house import COMPANY

__all__ = ["plain"]


def plain(to: Path) -> Path:
    """Copy it, with its database alone: nothing of the cloud, and no flows in a folder."""
    left_out = shutil.ignore_patterns("inventory", "flows")
    shutil.copytree(COMPANY, to, ignore=left_out)
    systems = (to / "integrations.yaml").read_text()
    before, _, _ = systems.partition("  - id: cloud\n")
    (to / "integrations.yaml").write_text(before)
    return to
