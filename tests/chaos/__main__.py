"""`make chaos`: play a plan, print what was counted, and say how to play it again."""

import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import plan
from tests.chaos.run import run

chosen = plan.asked()
print(f"playing: {chosen}", flush=True)  # noqa: T201
began = time.monotonic()
found = run(chosen)
for name, number in sorted(found.counts.items()):
    print(f"  {number:6} {name}")  # noqa: T201
for sentence in found.wrong:
    print(f"WRONG: {sentence}")  # noqa: T201
if found.wrong:
    log = Path(tempfile.gettempdir()) / f"latchkey-chaos-{chosen.seed}.log"
    log.write_text(found.log)
    print(f"what the bots said: {log}")  # noqa: T201
took = time.monotonic() - began
print(f"{len(found.wrong)} wrong, in {took:.0f} s; again: {chosen}")  # noqa: T201
sys.exit(bool(found.wrong))
