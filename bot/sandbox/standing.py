"""Who has what, who asked for it, and what the clock brings next: read from Latchkey's own
database, where the sandbox runs the bot itself.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.usecases.console import Desk
    from engine.request import AccessRequest

__all__ = ["HOUSE", "Ledger"]

Json = dict[str, Any]
HOUSE = "house.json"  # what the house tells the sandbox of the bot, in the sandbox's directory
_SHOWN = 50


@dataclass(slots=True)
class Ledger:
    """`directory` is the sandbox's; without one, nothing is known."""

    directory: Path | None
    _desk: "Desk | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.directory:  # now, and not when people wait for answers within 3 seconds
            import bot.sandbox.coming
            import bot.usecases.console  # noqa: F401

    def house(self) -> Json:
        file = self.directory / HOUSE if self.directory else None
        return json.loads(file.read_text()) if file and file.exists() else {}

    def read(self) -> Json:
        from bot.sandbox.coming import coming

        house = self.house()
        if not house:
            return {"known": False, "requests": [], "next": None}
        if self._desk is None:
            self._desk = _desk(house["settings"])
        desk = self._desk
        shown = sorted(desk.requests(live=False), key=lambda r: r.submitted_at, reverse=True)
        company = desk.company()
        events = (coming(r, company.revision(r.flow, r.revision)) for r in shown)
        return {
            "known": True,
            "next": min(filter(None, events), key=itemgetter("at"), default=None),
            "requests": [
                {
                    "code": request.code,
                    "state": request.state.value,
                    "live": not request.state.final,
                    "asked_by": desk.name(request.requestor),
                    "for": desk.name(request.grantee),
                    "what": desk.what(request),
                    "until": _stamp(_next(request)),
                }
                for request in sorted(shown[:_SHOWN], key=lambda r: r.state.final)
            ],
        }


def _desk(given: Json) -> "Desk":
    from bot import settings
    from bot.runtime.clock import clock_of
    from bot.usecases.console import Desk
    from storage.company import Companies
    from storage.database import Database

    known = settings.load(**given)
    database = Database(known.database_url, pool=2)
    return Desk(database, Companies(), clock_of(database, known.clock_file))


def _next(request: "AccessRequest") -> datetime:
    """Return when it starts, ends or lapses: what of these is the next."""
    starts = request.starts_at if request.state == "scheduled" else None
    return starts or request.ends_at or request.lapses_at


def _stamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
