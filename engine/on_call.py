"""Who is on call, by schedules of shifts or of people in turn: by the clock on a wall."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from engine.window import Window, is_open, shown

__all__ = ["LAST_ANSWER", "Answers", "Rotation", "Schedule", "Shift", "on_call"]

LAST_ANSWER = timedelta(minutes=15)  # for so long it is used while the source does not answer


@dataclass(frozen=True, slots=True)
class Shift:
    """Some are on call in each of these windows. `people` are ids."""

    window: Window
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotation:
    """One after another, each for `days`: the first from `day` at `start`, by the clocks of a zone.

    `people` are ids.
    """

    people: tuple[str, ...]
    day: date
    start: time
    days: int
    zone: str


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    shifts: tuple[Shift, ...] = ()
    rotation: Rotation | None = None

    @property
    def people(self) -> frozenset[str]:
        """Whoever is on call at some time, by their ids."""
        turns = self.rotation.people if self.rotation else ()
        return frozenset(turns).union(*(shift.people for shift in self.shifts))

    def renamed(self, now: Callable[[str], str]) -> "Schedule":
        """Return the schedule with people named by the ids that they have now."""
        turn = self.rotation
        return replace(
            self,
            shifts=tuple(replace(s, people=tuple(map(now, s.people))) for s in self.shifts),
            rotation=turn and replace(turn, people=tuple(map(now, turn.people))),
        )


def on_call(schedule: Schedule, now: datetime) -> frozenset[str]:
    """Return who is on call at a moment, by their ids."""
    people = {p for s in schedule.shifts if is_open(s.window, now) for p in s.people}
    return frozenset(people | _in_turn(schedule.rotation, now))


class Answers(Mapping[str, frozenset[str]]):
    """Who is on call at a moment, by the schedules' names: each is looked at when it is asked for.

    `known_as` returns the id that somebody has now. Where their source has not answered for too
    long, nothing is known of any of them.
    """

    def __init__(
        self,
        schedules: Iterable[Schedule],
        now: datetime,
        failing_since: datetime | None,
        known_as: Callable[[str], str],
    ) -> None:
        lost = failing_since is not None and now - failing_since > LAST_ANSWER
        self._schedules = {s.name: s for s in schedules if not lost}
        self._now, self._known_as = now, known_as

    def __getitem__(self, name: str) -> frozenset[str]:
        return frozenset(map(self._known_as, on_call(self._schedules[name], self._now)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._schedules)

    def __len__(self) -> int:
        return len(self._schedules)


def _in_turn(rotation: Rotation | None, now: datetime) -> set[str]:
    wall = shown(rotation.zone, now) if rotation else None
    if rotation is None or wall is None:
        return set()
    # Between two times on one wall: what is done to the clocks in between does not count.
    passed = wall - datetime.combine(rotation.day, rotation.start, wall.tzinfo)
    turn = passed // timedelta(days=rotation.days)
    return {rotation.people[turn % len(rotation.people)]} if turn >= 0 else set()
