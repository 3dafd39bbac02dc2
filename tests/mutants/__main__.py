"""Mutants: the code with one small change each, which some test has to see.

`python -m tests.mutants` draws some of all that can be made of the modules in `mutants.toml`, by a
seed that it prints, and runs for each the tests that are named there beside its module. Those that
no test sees are listed. What cannot be seen by any test stands in `mutants.toml`, with its reason,
and is not drawn. Before all of it, the tests have to be green on the code as it is.
"""

import argparse
import difflib
import importlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from cosmic_ray.operators.operator import Operator

from tests.mutants.operators import changed, occurrences, operators
from tests.mutants.run import CONFIGURATION, ROOT
from tests.support import machine

MANY = 400
BAR = 0.95
PATIENCE = 180  # seconds for the tests of one mutant; one that never ends is seen
LONG = 900  # seconds for all tests, on the code as it is
QUIET = (
    *("-x", "-q", "--timeout=30", "--tb=no", "--hypothesis-profile=mutants"),
    *("-p", "no:randomly", "-p", "no:cacheprovider"),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    module: str
    operator: str
    source: str
    line: int
    change: tuple[str, str]  # the line as it is, and as it becomes

    def __str__(self) -> str:
        was, is_ = self.change
        return f"{self.module}:{self.line} {self.operator}\n    - {was}\n    + {is_}"


def file_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def places(module: str) -> list[tuple[str, Operator, int]]:
    """Return all that can be changed in a module: with what, and the how manieth place for it."""
    source = file_of(module).read_text()
    enums = {
        name: value
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, type) and issubclass(value, Enum)
    }
    return [
        (module, operator, number)
        for operator in operators(enums)
        for number in range(occurrences(source, operator))
    ]


def mutant(module: str, operator: Operator, number: int) -> Mutant:
    source = file_of(module).read_text()
    made = changed(source, operator, number)
    return Mutant(module, type(operator).__name__, made, *_difference(source, made))


def _difference(source: str, made: str) -> tuple[int, tuple[str, str]]:
    before, after = source.splitlines(), made.splitlines()
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        if tag != "equal":
            words = (" ".join(s.strip() for s in lines) for lines in (before[i1:i2], after[j1:j2]))
            was, is_ = words
            return i1 + 1, (was, is_)
    return 0, ("", "")


def survives(one: Mutant, tests: Sequence[str]) -> bool:
    """Run the tests on it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "mutant.py")
        source.write_text(one.source)
        return passes("tests.mutants.run", one.module, str(source), *tests)


def passes(program: str, *given: str, patience: float = PATIENCE) -> bool:
    """Run tests in a process of their own, for so many seconds at most."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *given, *QUIET, f"--basetemp={folder}/tests"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(patience) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):  # with all that the tests have started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def drawable(configured: Mapping[str, Any]) -> Callable[[Mutant], bool]:
    """Return what tells whether some test could see a mutant, as far as the configuration says."""
    unseen = {(u["module"], u["was"], u["is"]) for u in configured["unseen"]}
    anywhere = [(a["was"], a["is"]) for a in configured["anywhere"]]

    def is_drawable(one: Mutant) -> bool:
        known = any(all(map(re.search, lines, one.change)) for lines in anywhere)
        return not known and (one.module, *one.change) not in unseen

    return is_drawable


def together(tests: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return all tests, each once: those that are run with the same options in one go."""
    files: dict[tuple[str, ...], dict[str, None]] = {}
    for given in tests:
        options = tuple(g for g in given if not g.startswith("tests/"))
        files.setdefault(options, {}).update((g, None) for g in given if g not in options)
    return [(*options, *given) for options, given in files.items()]


def main() -> int:
    given = argparse.ArgumentParser(prog="python -m tests.mutants")
    given.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given.add_argument("--many", type=int, default=MANY)
    given.add_argument("--jobs", type=int, default=2)
    given.add_argument("modules", nargs="*", help="only of these")
    asked = given.parse_args()
    machine.use_memory()
    configured = tomllib.loads(CONFIGURATION.read_text())
    tests: dict[str, list[str]] = configured["tests"]
    modules = asked.modules or list(tests)
    print(f"seed {asked.seed}")
    there = [place for name in modules for place in places(name)]
    random.Random(asked.seed).shuffle(there)  # noqa: S311  (no secret)
    made = (mutant(*place) for place in there)
    mutants = list(itertools.islice(filter(drawable(configured), made), asked.many))
    begun = time.monotonic()
    left: list[Mutant] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        every = together(tests[m] for m in modules)
        green = pool.map(lambda given: passes("pytest", *given, patience=LONG), every)
        if red := [" ".join(given) for given, fine in zip(every, green, strict=True) if not fine]:
            print("red without any change:", *red, sep="\n")
            return 2
        runs = {pool.submit(survives, m, tests[m.module]): m for m in mutants}
        for run in as_completed(runs):
            if run.result():
                left.append(runs[run])
                print(f"not seen: {runs[run]}", flush=True)
    killed = len(mutants) - len(left)
    share = killed / len(mutants) if mutants else 1.0
    minutes = (time.monotonic() - begun) / 60
    print(
        f"{killed} of {len(mutants)} seen ({share:.1%}), drawn of {len(there)}; {minutes:.1f} min"
    )
    return int(share < BAR)


if __name__ == "__main__":
    sys.exit(main())
