"""A later start: which moment is meant by what clocks show, and whether it can be asked for."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from engine.duration import in_words
from engine.flow import AccessFlow
from engine.outcome import Code, Refusal
from engine.window import moment_of, shown

__all__ = ["Chosen", "refused"]

_DAY, _TIME = "start_day", "start_time"  # the fields


@dataclass(frozen=True, slots=True)
class Chosen:
    """A day and a time as they were chosen, by the clocks of a zone; empty: not chosen."""

    day: str
    time: str
    zone: str

    @property
    def complete(self) -> bool:
        return bool(self.day and self.time)

    def moment(self) -> datetime | Refusal:
        """Return the moment; of two at which clocks show the same, the first."""
        if not self.day:
            return Refusal(Code.BAD_START, "Choose the day on which it starts.", about=_DAY)
        if not self.time:
            return Refusal(Code.BAD_START, "Choose the time at which it starts.", about=_TIME)
        try:
            at = time.fromisoformat(self.time).replace(tzinfo=None)
            wall = datetime.combine(date.fromisoformat(self.day), at)
        except ValueError:
            return Refusal(Code.BAD_START, "This is no time of any day.", about=_DAY)
        found = moment_of(wall, self.zone)
        if found is None:
            skipped = (
                f"Clocks in {self.zone} never show {wall:%H:%M} on that day: they are set forward. "
                "Choose another time."
            )
            return Refusal(Code.BAD_START, skipped, about=_TIME)
        return found


def refused(
    flow: AccessFlow, starts: datetime, duration: timedelta | None, now: datetime, zone: str
) -> Refusal | None:
    """Return why access under the flow cannot start then; None: it can.

    `zone` is that of the one who asks. The flow's window is another matter (`not_now`).
    """
    ahead = flow.revision.start_later
    if ahead is None:
        sentence = f"What “{flow.name}” gives starts at once. Choose to start now."
        return Refusal(Code.BAD_START, sentence, about=_DAY)
    if duration is None:
        sentence = "Access without end starts at once. Choose to start now, or say for how long."
        return Refusal(Code.BAD_START, sentence, about=_DAY)
    if starts <= now:
        sentence = "This moment is past. Choose one to come, or to start now."
        return Refusal(Code.BAD_START, sentence, about=_TIME)
    if starts - now > ahead:
        latest = shown(zone, now + ahead) or now + ahead
        sentence = (
            f"“{flow.name}” can start at most {in_words(ahead)} ahead: by {latest:%Y-%m-%d %H:%M} "
            f"({zone})."
        )
        return Refusal(Code.BAD_START, sentence, about=_DAY)
    return None
