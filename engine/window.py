"""On which days, between which times, a flow can be asked for: by the clock on a wall there.

What it says is a matter of the time that clocks show and of nothing else: an hour that they skip
opens nothing, and one that they show twice is twice what it is.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from itertools import count
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = [
    "Day",
    "Window",
    "end_in_words",
    "is_open",
    "is_zone",
    "moment_of",
    "next_opening",
    "opening_in_words",
    "shown",
]


class Day(StrEnum):
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"

    @property
    def short(self) -> str:
        return self[:3]


_WEEK = tuple(Day)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start`, inclusive, to `end`, exclusive. `zone` is a name of the IANA's.

    An `end` that is not after `start` is the next day's; until then it is the day of the start that
    counts. So midnight as `end` is where a day ends, and midnight as both is the whole day.
    """

    days: frozenset[Day]
    start: time
    end: time
    zone: str

    def __str__(self) -> str:
        end = f"{self.end:%H:%M}" if self.end != time() else "24:00"
        return f"{_days(self.days)} {self.start:%H:%M}–{end} {self.zone}"


def is_zone(name: str) -> bool:
    """Tell whether a zone is known by this name."""
    return _zone(name) is not None


def shown(zone: str, now: datetime) -> datetime | None:
    """Return what clocks of a zone show at a moment; None: the zone is not known."""
    known = _zone(zone)
    return None if known is None else now.astimezone(known)


def moment_of(wall: datetime, zone: str) -> datetime | None:
    """Return the first moment, in UTC, at which clocks of a zone show this; None: they never do.

    They skip it, or the zone is not known, or no calendar has it.
    """
    known = _zone(zone)
    if known is None:
        return None
    try:
        at = wall.replace(tzinfo=known, fold=0).astimezone(UTC)
        again = at.astimezone(known)
    except OverflowError:
        return None
    return at if again.replace(tzinfo=None) == wall.replace(tzinfo=None) else None


def is_open(window: Window, now: datetime) -> bool:
    """Tell whether clocks there show a time of the window. In a zone that is not known, none do."""
    wall = shown(window.zone, now)
    return wall is not None and _shows(window, wall)


def next_opening(window: Window, now: datetime) -> datetime | None:
    """Return the first moment, from now on, at which it is open, in UTC; None: there is none."""
    zone = _zone(window.zone)
    if zone is None or not window.days:
        return None
    at = now.astimezone(UTC)
    while not _shows(window, wall := at.astimezone(zone)):
        start = datetime.combine(wall.date(), window.start, zone)
        wait = start - wall  # of clocks on a wall: Python leaves out where they are set
        soonest = at + (wait if wait > timedelta() else wait + _DAY)
        at = _next_change(at, soonest, zone) or soonest
    return at


def opening_in_words(window: Window, now: datetime) -> str:
    """Say when it opens next, by the clocks there: “from Mon 09:00”; in a week, with the date."""
    zone, opening = _zone(window.zone), next_opening(window, now)
    if zone is None or opening is None:
        return "never"
    wall = opening.astimezone(zone)
    far = wall.date() - now.astimezone(zone).date() >= 7 * _DAY
    date = f" {wall:%Y-%m-%d}" if far else ""
    return f"from {_WEEK[wall.weekday()].short}{date} {wall:%H:%M}"


def end_in_words(end: datetime, zone: str) -> str:
    """Say when something ends, by the clocks of a zone: “Fri 4 Dec 18:00”."""
    wall = end.astimezone(_zone(zone) or UTC)
    if wall.time() != time():
        return _on(wall, f" {wall:%H:%M}")
    return f"the end of {_on(wall - _DAY)}"


def _on(wall: datetime, at: str = "") -> str:
    return f"{_WEEK[wall.weekday()].short} {wall.day} {_MONTHS[wall.month - 1]}{at}"


def _shows(window: Window, wall: datetime) -> bool:
    today, yesterday = _WEEK[wall.weekday()], _WEEK[wall.weekday() - 1]
    at = wall.time()
    if window.start < window.end:
        return today in window.days and window.start <= at < window.end
    return (today in window.days and window.start <= at) or (
        yesterday in window.days and at < window.end
    )


def _next_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when clocks are set between two moments, a day apart at most, if they are.

    Once at most: no zone has set them twice in six days. They are set at whole seconds.
    """
    offset = after.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == offset:
        return None
    first = after.replace(microsecond=0)
    seconds = bisect_left(
        range(_DAY // _SECOND),
        True,
        key=lambda n: (first + n * _SECOND).astimezone(zone).utcoffset() != offset,
    )
    return first + seconds * _SECOND


_read = cache(ZoneInfo)  # its own cache keeps eight


def _zone(name: str) -> ZoneInfo | None:
    try:
        return _read(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _days(days: frozenset[Day]) -> str:
    """Say days as a calendar does: `Mon–Fri`, `Wed, Sat–Mon`, `every day`."""
    if days.issuperset(_WEEK):
        return "every day"
    firsts = [n for n, day in enumerate(_WEEK) if day in days and _WEEK[n - 1] not in days]
    runs = []
    for first in firsts:
        length = next(n for n in count() if _WEEK[(first + n) % 7] not in days)
        last = _WEEK[(first + length - 1) % 7].short
        runs.append(_WEEK[first].short if length == 1 else f"{_WEEK[first].short}–{last}")
    return ", ".join(runs)
