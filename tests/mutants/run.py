"""Runs tests on a mutant: `python -m tests.mutants.run MODULE FILE …`, where FILE is its source.

What the tests start as processes of their own is as it was: only this one imports the mutant.
"""

import importlib.abc
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("mutants.toml")


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a source in the place of a module's own."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(self, fullname: str, *_: Any) -> Any:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, f"<{fullname}>", loader=self)

    def exec_module(self, module: Any) -> None:
        code = compile(self._source, f"<{self._module}>", "exec")
        exec(code, vars(module))  # noqa: S102  (that is what it is for)


if __name__ == "__main__":
    name, file, *given = sys.argv[1:]
    sys.meta_path.insert(0, Changed(name, Path(file).read_text()))
    sys.exit(pytest.main(given))
