"""Slack's people, read a page at a time: what each page says is taken in as it comes.

A large workspace takes more calls than Slack allows in a minute, so that the place is kept: nobody
waits meanwhile, and a refused call costs that call only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.runtime.services import Services
from bot.slack.client import marked
from bot.slack.errors import Cure, asked_to_wait, cure_of, error_code
from bot.slack.payloads import is_profile
from bot.usecases import identity
from bot.usecases.identity import Profile
from engine import alarms
from engine.errors import LatchkeyError
from engine.retry import pause
from storage import jobs, sync
from storage.codec import fields_of
from storage.database import Write
from storage.jobs import Job

EVERY = timedelta(hours=1)
PAGE = 1000  # accounts; the most that Slack gives at once
BETWEEN = timedelta(seconds=3)  # Slack takes twenty calls a minute
MOST_PAGES = 5000  # a listing that is longer goes round in circles
TELL_AFTER = 3  # failures in a row

log = structlog.get_logger()


class _NoPageError(LatchkeyError):
    """Slack's answer is no page of people; it says why, for people."""


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a listing has come. `furthest`: so many pages were read before it began anew.

    `mark` is the cursor at the last page whose number is a power of two: a listing that goes round
    in circles, however large, comes to it again (Brent).
    """

    begun: str
    cursor: str = ""
    mark: str = ""
    page: int = 0
    furthest: int = 0
    failed: int = 0  # in a row: nothing new was read since
    told: bool = False

    @classmethod
    def of(cls, note: Mapping[str, Any] | None, now: datetime) -> "_Place":
        """Read what was kept, be it by another version."""
        fresh = cls(now.isoformat())
        kept = fields_of(note)
        # What is of another kind than it should be would fail each time, for ever.
        known = {
            f.name: kept[f.name]
            for f in fields(cls)
            if type(kept.get(f.name)) is type(getattr(fresh, f.name))
        }
        return replace(fresh, **known)

    def turned(self, cursor: str) -> "_Place":
        page = self.page + 1
        failed = 0 if page > self.furthest else self.failed
        furthest = max(page, self.furthest)
        mark = cursor if page & (page - 1) == 0 else self.mark
        return replace(self, cursor=cursor, mark=mark, page=page, furthest=furthest, failed=failed)

    def anew(self) -> "_Place":
        return replace(self, cursor="", mark="", page=0)


def read_on(services: Services, client: WebClient, job: Job) -> timedelta:
    """Read the next page, and return when to go on."""
    now = services.clock.now()
    place = _Place.of(job.note, now)
    try:
        profiles, cursor = _page(client, place)
    except Exception as fault:  # noqa: BLE001  (whatever comes instead of a page)
        return _put_off(services, job, place, fault)
    tied = identity.take(services, profiles)
    log.info("slack accounts read", page=place.page + 1, accounts=len(profiles), tied=tied)
    if cursor:
        _keep(services, job, place.turned(cursor))
        return BETWEEN
    if job.note:
        _keep(services, job, None)
    return EVERY


def _page(client: WebClient, place: _Place) -> tuple[list[Profile], str]:
    """Return the people of a page, and the cursor of the next: empty if there is none."""
    answer: Any = client.users_list(limit=PAGE, cursor=place.cursor or None)
    members, after = answer.get("members"), answer.get("response_metadata") or {}
    cursor = str(after.get("next_cursor") or "")
    if cursor and (cursor in {place.cursor, place.mark} or place.page >= MOST_PAGES):
        raise _NoPageError("Slack's list goes round in circles")
    if not isinstance(members, list):
        raise _NoPageError("Slack's answer was no list of people")
    profiles = [user for user in members if is_profile(user)]
    if members and not profiles:
        raise _NoPageError("nothing in Slack's list was a person's account")
    if odd := [_name(user) for user in members if not is_profile(user)]:
        log.warning("slack accounts of no shape left out", page=place.page + 1, accounts=odd)
    return [marked(client, user) for user in profiles], cursor


def _name(user: object) -> str:
    """Return the id of an account that has no shape, or what it is instead of one."""
    id_ = user.get("id") if isinstance(user, dict) else None
    return id_ if isinstance(id_, str) else type(user).__name__


def _put_off(services: Services, job: Job, place: _Place, fault: Exception) -> timedelta:
    """Keep the place, unless Slack does not know it any more; tell the admins if it goes on so."""
    why = error_code(fault) if isinstance(fault, SlackApiError) else type(fault).__name__
    log.warning("slack accounts not read", page=place.page + 1, why=why)
    lost = isinstance(fault, _NoPageError) or (
        isinstance(fault, SlackApiError) and cure_of(fault) is Cure.ANEW
    )
    place = replace(place.anew() if lost else place, failed=place.failed + 1)
    tells = place.failed >= TELL_AFTER and not place.told
    said = _for_people(fault) if tells else ""
    _keep(services, job, replace(place, told=place.told or tells), said)
    return max(BETWEEN, asked_to_wait(fault) or pause(place.failed))


def _for_people(fault: Exception) -> str:
    if isinstance(fault, SlackApiError):
        return f"Slack says {error_code(fault)}"
    return str(fault) if isinstance(fault, _NoPageError) else "Slack gave no answer"


def _keep(services: Services, job: Job, place: _Place | None, why: str = "") -> None:
    note: Mapping[str, Any] | None = asdict(place) if place else None

    def change(tx: Write) -> None:
        jobs.keep(tx, services.instance, job, note)
        if place and why:
            said = alarms.slack_people(place.begun, why, TELL_AFTER)
            sync.tell_admins(tx, said.key, said.sentence, services.clock.now())

    services.transaction(change)
