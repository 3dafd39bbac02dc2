"""Takes in what was seen of a channel of Slack's in which approvers are asked."""

from collections.abc import Mapping
from datetime import datetime

from engine import alarms
from engine.channel import UNSEEN, Channel
from engine.flow import FlowId
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit, batch, touched
from storage.codec import dump_channel, load_channel
from storage.database import Write
from storage.sync.administration import tell_admins
from storage.tables import ChannelRow
from storage.touched import Touched


def channel(tx: Write, seen: Channel, flows: Mapping[FlowId, str], now: datetime) -> None:
    """Store what was seen of a channel. `flows` name it, by their ids; their requests wake.

    The admins are told where it takes nothing any more, or takes nothing for another reason.
    """
    tx.alone()
    row = tx.get(ChannelRow, seen.id)
    before = load_channel(seen.id, row.body) if row else None
    if before == seen:
        return
    stored = {"id": seen.id, "body": dump_channel(seen)}
    batch.add(tx, ChannelRow, [stored], key=("id",), change=("body",))
    touched.note(tx, Touched(flows={*flows}))
    was = before.why_not if before else None
    if was == seen.why_not:
        return
    entry = AuditEntry("channel_seen", SYSTEM, {"channel": seen.id, "why_not": seen.why_not})
    audit.append(tx, [(None, entry)], now)
    if seen.why_not not in {"", UNSEEN}:
        said = alarms.channel_closed(seen, flows.values(), now)
        tell_admins(tx, said.key, said.sentence, now)
