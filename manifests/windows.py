"""When a flow can be asked for, as written: `always`, or days, from, to and zone."""

import re
from datetime import time
from functools import cache
from itertools import chain
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from engine.window import Day, Window
from manifests.parts import OneLine, Ours, listed, nearest, shown

__all__ = ["HoursDocument", "When", "WhenDocument", "Zone", "written"]

_TIME = "([01]?[0-9]|2[0-3]):[0-5][0-9]"
_LETTERS = re.compile(r"[A-Z]{2,5}([+-].*)?")
_WEEK = tuple(Day)
_NAMES = {name.casefold(): day for day in Day for name in (day.short, day)}


def _days(value: object) -> list[Day]:
    if not isinstance(value, str):
        raise ValueError(f"Write a day of the week, such as Mon; found {shown(value)}.")  # noqa: TRY004
    found = []
    for word in re.split("[-–]", value, maxsplit=1):
        name = word.strip()
        if (day := _NAMES.get(name.casefold())) is None:
            raise ValueError(f"There is no day {shown(name)}. {nearest(name, Day)}")
        found.append(_WEEK.index(day))
    length = (found[-1] - found[0]) % 7 + 1
    return [_WEEK[(found[0] + n) % 7] for n in range(length)]


def _start(text: str) -> str:
    if not re.fullmatch(_TIME, text):
        raise ValueError(f"{shown(text)} is no time of day. Write hours and minutes: 09:00.")
    return text.zfill(len("00:00"))


def _end(text: str) -> str:
    return text if text == "24:00" else _start(text)


@cache
def _zones() -> frozenset[str]:
    # `localtime` is another on each machine, `Factory` what one has that was never told.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(
            f"{shown(name)} is no IANA time zone, such as Europe/Berlin. {_cure(name)}"
        )
    return name


def _cure(name: str) -> str:
    """By the city. Letters such as CEST are near to none; and Etc/GMT+1 is an hour behind GMT."""
    if _LETTERS.fullmatch(name):
        return "Name a city there."
    cities = {"UTC"} | {zone for zone in _zones() if "/" in zone and not zone.startswith("Etc/")}
    return nearest(name, sorted(cities), key=lambda zone: zone.rpartition("/")[2].casefold())


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" for letter in word)


_NAME = "|".join(_any_case(name) for day in Day for name in (day.short, day))
_Days = Annotated[
    list[Day],
    PlainValidator(_days),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*({_NAME})(\s*[-–]\s*({_NAME}))?\s*$",
            "examples": ["Mon", "Mon-Fri"],
        }
    ),
]
_Start = Annotated[
    OneLine, AfterValidator(_start), WithJsonSchema({"pattern": f"^{_TIME}$", "type": "string"})
]
_End = Annotated[
    OneLine,
    AfterValidator(_end),
    WithJsonSchema({"pattern": f"^({_TIME}|24:00)$", "type": "string"}),
]


Zone = Annotated[OneLine, AfterValidator(_zone)]


class HoursDocument(Ours):
    """By the clock on a wall there. `to` before `from` is the next day's."""

    days: Annotated[
        list[_Days],
        BeforeValidator(listed, json_schema_input_type=_Days | list[_Days]),
        Field(min_length=1),
    ] = Field(description="Mon, or Mon-Fri. A night belongs to the day on which it starts.")
    start: _Start = Field(alias="from", description="When it opens: 09:00.")
    end: _End = Field(alias="to", description="When it is closed again; 24:00: where a day ends.")

    @field_validator("end")
    @classmethod
    def _some_time(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("start"):
            raise ValueError(
                f"From {value} to {value} is no time. For a whole day write from 00:00 to 24:00."
            )
        return value

    def there(self, zone: str) -> Window:
        """Return the window that they are in a zone."""
        end = "00:00" if self.end == "24:00" else self.end
        return Window(
            days=frozenset(chain.from_iterable(self.days)),
            start=time.fromisoformat(self.start),
            end=time.fromisoformat(end),
            zone=zone,
        )


class WhenDocument(HoursDocument):
    """By the clock on a wall there. `to` before `from` is the next day's."""

    zone: Zone = Field(description="An IANA time zone: Europe/Berlin.")

    def window(self) -> Window:
        return self.there(self.zone)


def _or_always(value: object) -> object:
    if isinstance(value, str) and value.strip().casefold() == "always":
        return None
    if not isinstance(value, dict):
        raise ValueError(f"Write `always`, or days, from, to and zone; found {shown(value)}.")  # noqa: TRY004
    return value


When = Annotated[
    WhenDocument | None,
    BeforeValidator(_or_always, json_schema_input_type=WhenDocument | Literal["always"]),
]


def written(window: Window) -> dict[str, Any]:
    """Return the window as the files write it."""
    return {
        "days": [day.short for day in Day if day in window.days],
        "from": f"{window.start:%H:%M}",
        "to": f"{window.end:%H:%M}" if window.end != time() else "24:00",
        "zone": window.zone,
    }
