"""The channels in which approvers are asked: who is in them, and whether they take a card."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, OddAnswerError
from bot.slack.errors import TOKEN_REFUSED, Cure, asked_to_wait, cure_of, error_code
from engine.channel import UNSEEN, Channel, ChannelId
from engine.flow import FlowId
from storage import sync
from storage.company import Company

__all__ = ["EVERY", "close", "faults", "look", "named", "why_closed", "why_refused"]

EVERY = timedelta(minutes=1)
PAGE = 500  # members
MOST_PAGES = 100
_INVITE = "Latchkey is not in it. Write `/invite @Latchkey` there"
_WHY = {
    "channel_not_found": f"there is none with this id, or it is private and {_INVITE}",
    "not_in_channel": _INVITE,
    "is_archived": "it is archived",
    "missing_scope": (
        "the Slack app may not look at channels. Give it the scopes channels:read and groups:read, "
        "and install it again"
    ),
}
_CLOSED = frozenset({"channel_not_found", "is_archived", "is_inactive"})

log = structlog.get_logger()


def named(company: Company) -> Mapping[ChannelId, Mapping[FlowId, str]]:
    """Return the channels in which approvers are asked, and the flows that say so, by name."""
    found: dict[ChannelId, dict[FlowId, str]] = {}
    for (flow, _), revision in company.revisions.items():
        if channel := revision.notify.channel:
            found.setdefault(channel, {})[flow] = revision.name
    return found


def look(services: Services, client: WebClient, id_: ChannelId) -> timedelta | None:
    """Look who is in a channel and whether it takes a card; return when to look again, or never."""
    company = services.company()
    if id_ not in named(company):
        _store(services, Channel(id_, why_not=UNSEEN))  # by then another may be in it
        return None
    try:
        seen = _seen(client, id_)
    except SlackApiError as fault:
        if (wait := asked_to_wait(fault)) is not None:
            return wait
        if not (why := why_refused(fault)):
            return _put_off(id_, error_code(fault))
        before = company.channels.get(id_)
        seen = Channel(id_, before.name if before else "", why_not=why)
    except NO_ANSWER as fault:
        return _put_off(id_, type(fault).__name__)
    _store(services, seen)
    return EVERY


def _put_off(id_: ChannelId, why: str) -> timedelta:
    """Go on with what was seen last."""
    log.warning("channel not looked at", channel=id_, why=why)
    return EVERY


def close(services: Services, id_: ChannelId, why: str) -> None:
    """Note that a channel takes no card: who was to be asked there is asked otherwise."""
    before = services.company().channels.get(id_)
    _store(services, Channel(id_, before.name if before else "", why_not=why))


def why_closed(client: WebClient, id_: ChannelId) -> str:
    """Ask Slack why nothing may be posted to a channel; nothing: it may."""
    return _why_not(_info(client, id_))


def why_refused(fault: SlackApiError) -> str:
    """Return why a channel takes nothing, if that is what an error says, and what helps."""
    code, cure = error_code(fault), cure_of(fault)
    barred = cure in {Cure.NOBODY, Cure.BARRED} and code not in TOKEN_REFUSED
    return _WHY.get(code, f"Slack says {code}") if barred or code in _CLOSED else ""


def faults(company: Company) -> list[str]:
    """Name the channels in which approvers are to be asked and that take no card, and why."""
    found = []
    for id_, flows in named(company).items():
        channel = company.channels.get(id_) or Channel(id_, why_not=UNSEEN)
        if channel.why_not:
            name = f"#{channel.name} ({id_})" if channel.name else id_
            found.append(f"{name} of {', '.join(sorted(flows.values()))}: {channel.why_not}")
    return sorted(found)


def _store(services: Services, seen: Channel) -> None:
    company = services.company()
    if company.channels.get(seen.id) != seen:
        flows, now = named(company).get(seen.id, {}), services.clock.now()
        services.write(lambda tx, _: sync.channel(tx, seen, flows, now), alone=True)
        log.info("channel seen", channel=seen.id, members=len(seen.members), why_not=seen.why_not)


def _seen(client: WebClient, id_: ChannelId) -> Channel:
    info = _info(client, id_)
    name, why = str(info.get("name") or ""), _why_not(info)
    return Channel(id_, name, frozenset() if why else _members(client, id_), why)


def _info(client: WebClient, id_: ChannelId) -> Mapping[str, Any]:
    answer: Any = client.conversations_info(channel=id_)
    info = answer.get("channel")
    if not isinstance(info, dict):
        raise OddAnswerError("without a channel")
    return info


def _why_not(info: Mapping[str, Any]) -> str:
    if info.get("is_im") or info.get("is_mpim"):
        return "it is no channel"
    if info.get("is_archived"):
        return _WHY["is_archived"]
    if info.get("is_ext_shared") or info.get("is_pending_ext_shared"):
        return "it is shared with another company"
    return "" if info.get("is_member") else _INVITE


def _members(client: WebClient, id_: ChannelId) -> frozenset[str]:
    found, cursor = set[str](), ""
    for _ in range(MOST_PAGES):
        page: Any = client.conversations_members(channel=id_, limit=PAGE, cursor=cursor or None)
        members, after = page.get("members"), page.get("response_metadata") or {}
        if not isinstance(members, list):
            raise OddAnswerError("without members")
        found.update(user for user in members if isinstance(user, str))
        cursor = str(after.get("next_cursor") or "")
        if not cursor:
            return frozenset(found)
    raise OddAnswerError("with members without end")
