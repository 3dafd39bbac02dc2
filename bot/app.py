"""Builds the Bolt app: its one error middleware, its listeners, its links to Slack."""

from typing import Any

import structlog
from slack_bolt import App, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bot.listeners import access, decide, request, running
from bot.services import Services
from bot.settings import Settings

LISTENER_TIMEOUT = 2  # seconds; a trigger lives for 3
DELIVERY_TIMEOUT = 10  # seconds
CONCURRENCY = 20  # listeners at once

log = structlog.get_logger()


def client(settings: Settings, timeout: int) -> WebClient:
    """Return a client that never tries again by itself: the SDK's own retries post twice."""
    return WebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        timeout=timeout,
        retry_handlers=[],
    )


def build(settings: Settings, services: Services) -> App:
    """Return the app. It calls nobody: Slack may be down while Latchkey starts."""
    secret = settings.slack_signing_secret
    app = App(
        client=client(settings, LISTENER_TIMEOUT),
        signing_secret=secret.get_secret_value() if secret else "socket mode only",
        token_verification_enabled=False,
        # Without it the runner looks for the acknowledgement only every 10 ms.
        process_before_response=True,
    )
    for conversation in (access, request, decide, running):
        conversation.register(app, services)
    app.error(_answer_anyway)
    return app


def _answer_anyway(error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Acknowledge what broke, with a sentence: nothing was stored, so it can be tried again."""
    log.error("listener failed", exc_info=error, type=body.get("type") or body.get("command"))
    sentence = "Something went wrong here, and nothing was changed. Please try again."
    if body.get("command"):
        return BoltResponse(status=200, body={"text": sentence})
    if body.get("type") == "view_submission":
        blocks = [b["block_id"] for b in body["view"]["blocks"] if b["type"] == "input"]
        if blocks:
            errors = {blocks[0]: sentence}
            return BoltResponse(status=200, body={"response_action": "errors", "errors": errors})
    return BoltResponse(status=200, body="")


def link(app: App, settings: Settings) -> SocketModeHandler:
    """Return one link to Slack by Socket Mode, not yet connected."""
    token = settings.slack_app_token
    if token is None:
        raise ValueError("Socket Mode needs SLACK_APP_TOKEN")
    return SocketModeHandler(
        app,
        token.get_secret_value(),
        web_client=WebClient(
            token.get_secret_value(),
            base_url=settings.slack_api_url,
            timeout=DELIVERY_TIMEOUT,
            retry_handlers=[],
        ),
        concurrency=CONCURRENCY,
        ping_interval=5,
    )
