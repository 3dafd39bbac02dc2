"""Who is on call, as written: schedules of shifts, or of people in turn."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema

from engine.on_call import Rotation, Schedule, Shift
from manifests.parts import (
    Judged,
    Name,
    Notes,
    OneLine,
    Ours,
    Vocabulary,
    Words,
    find_person,
    house,
    shown,
    stated,
)
from manifests.windows import HoursDocument, Zone

__all__ = ["ScheduleDocument"]

_BEGINS = r"[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]"


def _people(names: list[str], info: ValidationInfo) -> list[str]:
    known = house(info)
    notes, found = Notes(), list[str]()
    for i, name in enumerate(names):
        try:
            found.append(find_person(name, known.directory))
        except ValueError as fault:
            if known.people_known:
                notes.add(str(fault), i)
    notes.settle()
    return found


def _begins(text: str) -> str:
    try:
        if re.fullmatch(_BEGINS, text):
            return datetime.fromisoformat(text).isoformat()  # which refuses the 30th of February
    except ValueError:
        pass
    raise ValueError(f"{shown(text)} is no date and time. Write it as 2026-01-05 09:00.")


_People = Annotated[Words, AfterValidator(_people)]


class ShiftDocument(HoursDocument):
    """Who is on call on some days, between two times."""

    people: _People


class RotationDocument(Ours):
    """People in turn."""

    people: _People
    begins: Annotated[
        OneLine,
        AfterValidator(_begins),
        WithJsonSchema({"pattern": f"^{_BEGINS}$", "type": "string"}),
    ] = Field(alias="from", description="When the first one's turn begins: 2026-01-05 09:00.")
    days: int = Field(ge=1, le=365, description="How long a turn is.")

    def rotation(self, zone: str) -> Rotation:
        begins = datetime.fromisoformat(self.begins)
        return Rotation(tuple(self.people), begins.date(), begins.time(), self.days, zone)


class ScheduleDocument(Judged):
    """By the clock on a wall in the zone."""

    name: Name
    zone: Zone
    shifts: list[ShiftDocument] | None = Field(None, min_length=1)
    rotation: RotationDocument | None = None

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        if len(stated(said, "shifts", "rotation")) != 1:
            notes.add("Write either shifts, or a rotation.")

    def schedule(self) -> Schedule:
        shifts = (Shift(s.there(self.zone), tuple(s.people)) for s in self.shifts or ())
        turns = self.rotation.rotation(self.zone) if self.rotation else None
        return Schedule(self.name, tuple(shifts), turns)
