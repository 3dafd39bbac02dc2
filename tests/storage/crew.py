"""Three processes that do something at the same moment: what races are made of."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self


class Crew:
    """Each process runs `workers.py`: it reads a task a line, gets ready, and goes when told.

    It lives until the race is over.
    """

    def __init__(self, size: int, *, root: Path) -> None:
        self._size, self._root = size, root

    def __enter__(self) -> Self:
        self._begin()
        return self

    def _begin(self) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.storage.workers"],
                cwd=self._root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(self._size)
        ]

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()  # the end of its input is the end of its work

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def race(self, task: str, url: str, **arguments: Any) -> list[Any]:
        """Run the task in all processes at once; `arguments` are lists, one value for each.

        A race that is broken off, as by the test's time-out, goes on in no process.
        """
        try:
            return self._race(task, url, arguments)
        except BaseException:
            self._end()
            self._begin()
            raise

    def _race(self, task: str, url: str, arguments: Mapping[str, Any]) -> list[Any]:
        for number, process in enumerate(self._processes):
            mine = {name: values[number] for name, values in arguments.items()}
            self._say(process, [task, url, mine])
        for process in self._processes:
            assert self._hear(process) == "ready"
        for process in self._processes:
            self._say(process, "go")
        found = [self._hear(process) for process in self._processes]
        for process in self._processes:
            self._say(process, "over")
        return found

    def _say(self, process: subprocess.Popen[str], what: object) -> None:
        print(json.dumps(what), file=process.stdin, flush=True)

    def _hear(self, process: subprocess.Popen[str]) -> Any:
        line = process.stdout.readline()
        assert line, "a worker has died; its standard error says why"
        return json.loads(line)
