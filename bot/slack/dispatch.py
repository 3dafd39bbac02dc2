"""The way in for all that people do, whichever way Slack brings it."""

from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt import App, BoltRequest, BoltResponse

from bot.slack import payloads
from bot.views import ids
from bot.views.ids import request_id
from engine.request import code_of

log = structlog.get_logger()


def dispatch(
    app: App, given: object, delivery: str, headers: Mapping[str, str] | None = None
) -> BoltResponse:
    """Run the app on what Slack posted, or on a socket's payload. It never raises.

    All that is logged meanwhile names the delivery, and the request that it speaks of.
    """
    try:
        body = payloads.read(given) if isinstance(given, str) else payloads.sound(given)
        request = BoltRequest(body=body, headers=dict(headers or {}), mode="socket_mode")
    except (payloads.BadPayloadError, TypeError, ValueError, AttributeError, LookupError):
        # The rest of the shape, that of a team or of an authorization, is Bolt's to know.
        log.warning("payload refused", delivery=delivery)
        return BoltResponse(status=400, body="")
    with structlog.contextvars.bound_contextvars(delivery=delivery, **_about(body)):
        try:
            response = app.dispatch(request)
        except Exception:
            log.exception("delivery failed")
            return BoltResponse(status=500, body="")
        if response.status != 200:
            log.warning("delivery refused", status=response.status)
        return response


def _about(body: dict[str, Any]) -> dict[str, str]:
    """Return what it is: Slack's word for it, and the request that it speaks of."""
    match body:
        case {"command": command}:
            return {"act": str(command)}
        case {"type": "block_actions", "actions": [{"action_id": act, **rest}, *_]}:
            named = _named(rest.get("value")) if act in ids.OF_A_REQUEST else {}
            return {"act": str(act)} | named
        case {"type": "view_submission", "view": {"callback_id": act, **rest}}:
            named = _named(rest.get("private_metadata")) if act in ids.MODALS_OF_A_REQUEST else {}
            return {"act": str(act)} | named
        case _:
            return {"act": str(body.get("type"))}


def _named(value: object) -> dict[str, str]:
    id_ = request_id(str(value or ""))
    return {"request": code_of(id_)} if id_ else {}
