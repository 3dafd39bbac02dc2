"""A whole life: submit → approve → grant → offer to extend → end.

What it costs the database is counted in the real bot (see tests/bot/test_counted.py). How long it
takes is measured with the system in memory and a Slack that answers at once: the payloads go
through the whole Bolt app, then the loops that were woken drain, all in one thread, so that the
time is Latchkey's work and nobody's waiting. Each life is of somebody who has no account yet.
Commits wait for the disk, on both databases.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.sandbox.blocks import completed
from bot.sandbox.client import Sandbox
from bot.sandbox.elements import initial_state, placed_in, state_values
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.sandbox.postgres import Cluster
from bot.slack import dispatch
from bot.views import ids
from engine.directory import PersonId
from engine.request import State
from storage import facts
from tests.benchmarks.many import HOUR, MINUTE, Many, Slack, approver, opened, person
from tests.benchmarks.report import Row, said
from tests.benchmarks.scale import one_row, samples
from tests.support.inside import Inside, whole_life
from tests.support.postgres import fresh_database

ROUNDS, LIVES, COMMITS = 3, 15, 2  # lives in each round, commits after each act of a life
AT_MOST = 60  # commits
DURABLE = {"fsync": "on", "full_page_writes": "on"}  # as on any server in use


def rows(folder: Path, _cluster: Cluster) -> Iterator[Row]:
    place = folder / "durable"
    with Cluster.start(place, seed=False, settings=DURABLE) as cluster:
        for kind in ("sqlite", "postgresql"):
            for name, measure in (("counted", counted), ("timed", timed)):
                file = f"sqlite:///{folder}/{name}.db"
                url = file if kind == "sqlite" else fresh_database(cluster)
                yield measure(folder, url, kind)


def counted(folder: Path, url: str, kind: str) -> Row:
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=folder / f"clock-{kind}",
        rate_factor=0,
    ) as sandbox:
        inside = Inside(sandbox, folder / f"clock-{kind}", url)
        costs = whole_life(inside)
        inside.close()
    transactions = sum(c.transactions for c in costs.values())
    statements = sum(c.statements for c in costs.values())
    return Row(
        f"whole life, counted: transactions / statements, {kind}",
        f"{transactions} / {statements}",
        ", ".join(f"{name} {c.transactions} / {c.statements}" for name, c in costs.items()),
        "≤ 14 / ≤ 92",
        transactions <= 14 and statements <= 92,
    )


def timed(_folder: Path, url: str, kind: str) -> Row:
    lives: list[list[float]] = []
    commits: list[list[float]] = []
    clock, slack = Moved(), Seen()
    asking = ROUNDS * LIVES + 1
    with opened(url, people=asking, clock=clock, slack=slack, pool=lambda *_: Inline()) as many:
        stage, people = Stage(many, clock, slack), map(person, itertools.count())
        stage.live(next(people))  # the first one warms up
        for _ in range(ROUNDS):
            stage.commits = []
            lives.append([stage.live(next(people)) for _ in range(LIVES)])
            commits.append(stage.commits)
    ratio = median(lives) / median(commits)
    return Row(
        f"whole life, {kind}",
        said(lives),
        f"a one-row commit: {said(commits)}",
        f"{ratio:.1f} × (≤ {AT_MOST} ×)",
        ratio <= AT_MOST,
    )


def median(rounds: list[list[float]]) -> float:
    return statistics.median(ms for one in rounds for ms in one)


class Moved:
    """Real time, moved on."""

    by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


class Seen(Slack):
    """Answers at once, and keeps what it was last asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.view: dict[str, Any] = {}
        self.posted: dict[str, list[dict[str, Any]]] = {}  # the last message's blocks, to each

    def api_call(self, api_method: str, **given: Any) -> Any:
        answer, shown = super().api_call(api_method, **given), given.get("json") or {}
        if api_method == "views.open":
            self.view = shown["view"]
        elif api_method == "chat.postMessage":
            whose = shown["channel"].partition("-")[2]
            self.posted[whose] = shown["blocks"]
            answer["channel"] = f"D-{whose}"
        return answer


class Inline:
    """A pool without threads."""

    def submit(self, run: Callable[..., object], *arguments: object) -> None:
        run(*arguments)

    def stop(self, _within: float) -> bool:
        return True


class Stage:
    """The Bolt app and the loops of one program, in the caller's thread."""

    def __init__(self, many: Many, clock: Moved, slack: Seen) -> None:
        self.program, self.clock, self.slack = many.program, clock, slack
        self.views = itertools.count()
        self.commits: list[float] = []  # milliseconds

    def live(self, who: PersonId) -> float:
        """Live once, and return how many milliseconds it took from the press of Request."""
        self._act({"command": "/access", "text": "request read on shop/t0 for 1h: INC-42"}, who)
        spent = self._timed(self._act, self._submission(), who)
        spent += self._timed(self._act, self._click(approver(0)), approver(0))
        spent += self._timed(self._act, self._submission(), approver(0))
        self.clock.by += 51 * MINUTE
        spent += self._timed(self.program.loops["clock"].drain)
        self.clock.by += HOUR
        spent += self._timed(self.program.loops["clock"].drain)
        with self.program.database.read() as session:
            request = facts.of_person(session, who, live=False)[0]
        if request.state is not State.EXPIRED:
            raise SystemExit(f"the life did not come to its end: {request.state}")
        return spent

    def _timed(self, act: Callable[..., object], *given: object) -> float:
        """Return the milliseconds of an act and of all that it wakes. Commit one row after it."""
        woken = set[str]()
        hear, on_commit = woken.update, self.program.database.on_commit
        start = time.perf_counter()
        on_commit.append(hear)
        act(*given)
        on_commit.remove(hear)
        self.program.run_until_idle(woken)
        spent = (time.perf_counter() - start) * 1000
        self.commits += samples(lambda n: one_row(self.program.database, n), COMMITS)
        return spent

    def _click(self, who: PersonId) -> dict[str, Any]:
        blocks = self.slack.posted[who]
        button = next(p.element for p in placed_in(blocks) if p.element["action_id"] == ids.APPROVE)
        return {"type": "block_actions", "actions": [button | {"block_id": "b"}]}

    def _submission(self) -> dict[str, Any]:
        """Return what Slack posts when the modal that was opened last is submitted as it is."""
        shown = self.slack.view
        blocks = completed(shown["blocks"])
        state = {"values": state_values(initial_state(blocks))}
        view = {**shown, "blocks": blocks, "state": state, "id": f"V{next(self.views)}"}
        return {"type": "view_submission", "view": view | {"hash": "h"}}

    def _act(self, payload: dict[str, Any], who: PersonId) -> None:
        user = {"id": f"U-{who}", "team_id": "T0"}
        of = {"user_id": user["id"]} if "command" in payload else {"user": user}
        common = {"team_id": "T0", "team": {"id": "T0"}, "trigger_id": "1.2.3"}
        answer = dispatch.dispatch(self.program.app, {**common, **of, **payload}, "d")
        if answer.status != 200 or answer.body:
            raise SystemExit(f"not taken: {answer.status} {answer.body}")
