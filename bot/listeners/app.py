"""Builds the Bolt app: its listeners, and what it says when one of them breaks."""

import logging
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt import App, BoltResponse
from slack_bolt.authorization import AuthorizeResult

from bot.listeners import access, decide, home, people, request, running, unknown
from bot.listeners.table import Table
from bot.loops.app_home import Homes
from bot.runtime.metrics import Standing, Vitals
from bot.runtime.services import Services
from bot.settings import Settings
from bot.slack.client import NO_ANSWER, Client
from bot.slack.socket_mode import Links
from bot.views import credentials
from storage.database import AWAY

LISTENER_TIMEOUT = 2  # seconds; a trigger lives for 3
DELIVERY_TIMEOUT = 10  # seconds

BROKEN = "Something went wrong here, and nothing was changed. Please try again."
# Whether the last word of a transaction arrived may be unknown: both must be true then.
NO_DATABASE = (
    "Latchkey's database does not answer just now. Please try again in a minute: nothing is done "
    "twice."
)

log = structlog.get_logger()


def web_client(settings: Settings, timeout: int, vitals: Vitals | None = None) -> Client:
    return Client(settings.bot_token_now, settings.slack_api_url, timeout, vitals or Vitals())


def links(app: App, settings: Settings, services: Services) -> Links:
    """Return the links to Slack by Socket Mode, not yet open."""
    opening = opener(settings, services.vitals)
    if opening is None:
        raise ValueError("Socket Mode needs SLACK_APP_TOKEN")
    return Links(app, opening, services.turns)


def opener(settings: Settings, vitals: Vitals) -> Client | None:
    """Return the client that opens links, with the app's token; None: there is none."""
    if settings.slack_app_token is None:
        return None
    standing = Standing("slack, for links")
    token, address = settings.app_token_now, settings.slack_api_url
    return Client(token, address, DELIVERY_TIMEOUT, vitals, standing)


def build(settings: Settings, services: Services, homes: Homes | None = None) -> App:
    """Return the app. It calls nobody: Slack may be down while Latchkey starts.

    `homes`: where the Home tabs that are opened are kept, to be brought up to date.
    """
    secret = settings.slack_signing_secret
    mine = web_client(settings, LISTENER_TIMEOUT, services.vitals)
    # What Bolt warns of is that SLACK_BOT_TOKEN is set, and whole bodies that nobody listens to.
    bolt_log = logging.getLogger("slack_bolt")
    bolt_log.setLevel(logging.ERROR)
    app = App(
        name="latchkey",  # else it is looked for in the stack, which takes a while
        client=mine,
        logger=bolt_log,
        signing_secret=secret.get_secret_value() if secret else "socket mode only",
        # Else the first click after the start waits for auth.test, and fails with it.
        authorize=lambda: AuthorizeResult(
            enterprise_id=None, team_id=None, bot_token=settings.slack_bot_token.get_secret_value()
        ),
        token_verification_enabled=False,
        # What nobody here needs: each takes its time of every click.
        ignoring_self_events_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
        # Without it the runner looks for the acknowledgement only every 10 ms.
        process_before_response=True,
    )
    table = Table(mine)
    for conversation in (access, request, decide, running):
        conversation.register(table, services)
    unknown.register(app, table, services)
    home.register(app, services, homes or Homes(services, mine))
    people.register(app, services)
    app.error(_Apology(mine, services.vitals).answer)
    return app


@dataclass(frozen=True, slots=True)
class _Apology:
    client: Client
    vitals: Vitals

    def answer(self, error: Exception, body: dict[str, Any]) -> BoltResponse:
        """Acknowledge what broke, with a sentence, in whatever place there is for one."""
        sentence = self._sentence(error, str(body.get("type") or body.get("command")))
        if body.get("command"):
            return BoltResponse(status=200, body={"text": sentence})
        match body.get("type"):
            case "view_submission":
                return BoltResponse(status=200, body=_in_the_view(body["view"], sentence))
            case "block_suggestion":
                return BoltResponse(status=200, body={"options": []})
            case "block_actions" if not self._over_it(body, sentence):
                # Unacknowledged, it is at least Slack that says that nothing was done.
                return BoltResponse(status=503, body="")
        return BoltResponse(status=200, body="")

    def _sentence(self, error: Exception, type_: str) -> str:
        if isinstance(error, AWAY):
            self.vitals.database.bad(type(error).__name__)
            return NO_DATABASE
        log.error("listener failed", exc_info=error, type=type_)
        return BROKEN

    def _over_it(self, body: dict[str, Any], sentence: str) -> bool:
        """A click's acknowledgement carries no text: a modal does. False: it could not be shown."""
        how = self.client.views_push if body.get("view") else self.client.views_open
        try:
            how(trigger_id=body["trigger_id"], view=_notice(sentence))
        except NO_ANSWER as fault:
            log.warning("nobody could be told", why=type(fault).__name__)
            return False
        return True


def _in_the_view(view: dict[str, Any], sentence: str) -> dict[str, Any]:
    """Say it at the first field, so that nothing that was typed is lost."""
    fields = [block["block_id"] for block in view["blocks"] if block.get("type") == "input"]
    if fields:
        return {"response_action": "errors", "errors": {fields[0]: sentence}}
    return {"response_action": "update", "view": _notice(sentence)}


def _notice(sentence: str) -> dict[str, Any]:
    return credentials.notice_modal("Not done", sentence)
