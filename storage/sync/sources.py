"""Takes in who is on call, and which sources cannot be read."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import col

from engine.directory import ON_CALL
from engine.on_call import Schedule
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit, touched
from storage.codec import dump_failing, dump_schedules, load_failing
from storage.database import Write
from storage.tables import CompanyRow
from storage.touched import Touched


def schedules(tx: Write, listed: Iterable[Schedule], now: datetime) -> None:
    """Take in who is on call when."""
    tx.alone()
    wanted = dump_schedules(listed)
    if tx.execute(select(col(CompanyRow.schedules))).scalar_one() == wanted:
        return
    tx.execute(update(CompanyRow).values(schedules=wanted, epoch=tx.epoch))
    detail = {"schedules": [schedule["name"] for schedule in wanted]}
    audit.append(tx, [(None, AuditEntry("schedules_changed", SYSTEM, detail))], now)


def failing(tx: Write, sources: Collection[str], now: datetime) -> None:
    """Note which sources cannot be read. Those that could not before are so since then."""
    tx.alone()
    stored = tx.execute(select(col(CompanyRow.failing))).scalar_one()
    known = load_failing(stored)
    wanted = {source: (known or {}).get(source, now) for source in sources}
    if known == wanted:
        return
    tx.execute(update(CompanyRow).values(failing=dump_failing(wanted), epoch=tx.epoch))
    if known is None or (known.keys() ^ wanted.keys()) - {ON_CALL}:
        touched.note(tx, Touched(keys={("group", None)}))
    entry = AuditEntry("sources_failing", SYSTEM, {"sources": sorted(wanted)})
    audit.append(tx, [(None, entry)], now)
