"""What one run of chaos is to be, and the command that plays it again."""

import os
import random
import sys
from argparse import ArgumentParser
from dataclasses import dataclass, fields

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Plan:
    """Several replicas need PostgreSQL. The `seed` is that of every thread's choices."""

    seed: int
    kills: int = 200
    replicas: int = 1
    database: str = "sqlite"
    minutes: float = 20.0  # after which no more kills are begun, nor anything waited for
    pace: float = 0.1  # seconds, at most, from one act of a team to its next

    @property
    def pauses(self) -> int:
        """How often a replica stops for longer than a lease: needs another to take over."""
        return 0 if self.replicas == 1 else max(1, self.kills // 15)

    @property
    def stops(self) -> int:
        """How often a bot is asked to end, besides the kills."""
        return max(1, self.kills // 10)

    def random(self, whose: str) -> random.Random:
        return random.Random(f"{self.seed}/{whose}")  # noqa: S311  (chance, no secret)

    def __str__(self) -> str:
        said = [f"--{f.name} {getattr(self, f.name)}" for f in fields(self)]
        return f"{os.path.relpath(sys.executable)} -m tests.chaos {' '.join(said)}"


def asked() -> Plan:
    """Read the plan from the command line."""
    parser = ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=Plan.kills)
    parser.add_argument("--replicas", type=int, choices=(1, 2, 3), default=Plan.replicas)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=Plan.minutes)
    parser.add_argument("--pace", type=float, default=Plan.pace)
    given = parser.parse_args()
    several = given.replicas > 1
    given.database = given.database or ("postgresql" if several else "sqlite")
    if several and given.database == "sqlite":
        parser.error("several replicas need --database postgresql")
    return Plan(**vars(given))
