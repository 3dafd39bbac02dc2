"""Builds the Bolt app: its listeners, and what it says when one of them breaks."""

import logging
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt import App, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient

from bot.listeners import (
    access,
    asking,
    catalog,
    decide,
    delegate,
    home,
    people,
    request,
    running,
    talk,
    unknown,
    why,
)
from bot.listeners.common import Visitor, waits
from bot.listeners.home import ShowHome
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER
from bot.slack.errors import asked_to_wait
from bot.views import credentials
from storage.database import AWAY

BROKEN = "Something went wrong here, and nothing was changed. Please try again."
# Whether the last word of a transaction arrived may be unknown: both must be true then.
NO_DATABASE = (
    "Latchkey's database does not answer just now. Please try again in a minute: nothing is done "
    "twice."
)

log = structlog.get_logger()


def build(services: Services, client: WebClient, show_home: ShowHome) -> App:
    """Return the app. It calls nobody: Slack may be down while Latchkey starts.

    Who lets a delivery in has looked at its signature. `show_home` publishes somebody's Home tab.
    """
    # What Bolt warns of is that SLACK_BOT_TOKEN is set, and whole bodies that nobody listens to.
    bolt_log = logging.getLogger("slack_bolt")
    bolt_log.setLevel(logging.ERROR)
    app = App(
        name="latchkey",  # else it is looked for in the stack, which takes a while
        client=client,
        logger=bolt_log,
        # Else the first click after the start waits for auth.test, and fails with it.
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token),
        token_verification_enabled=False,
        # What nobody here needs: each takes its time of every click.
        request_verification_enabled=False,
        ignoring_self_events_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
        # Without it the runner looks for the acknowledgement only every 10 ms.
        process_before_response=True,
    )
    table = Table(client)
    for conversation in (access, catalog, request, decide, asking, delegate, running, why):
        conversation.register(table, services)
    unknown.register(app, table, services)
    home.register(app, services, show_home)
    people.register(app, services)
    talk.register(app, services)
    app.error(_Apology(Visitor(services, client)).answer)
    return app


@dataclass(frozen=True, slots=True)
class _Apology:
    visitor: Visitor

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
            case "block_actions" if not self._told(error, body, sentence):
                # Unacknowledged, it is at least Slack that says that nothing was done.
                return BoltResponse(status=503, body="")
        return BoltResponse(status=200, body="")

    def _sentence(self, error: Exception, type_: str) -> str:
        if isinstance(error, AWAY):
            self.visitor.services.vitals.database.bad(type(error).__name__)
            return NO_DATABASE
        if (wait := asked_to_wait(error)) is not None:
            log.warning("slack asks to wait", seconds=wait.total_seconds(), type=type_)
            return waits(wait)
        log.error("listener failed", exc_info=error, type=type_)
        return BROKEN

    def _told(self, error: Exception, body: dict[str, Any], sentence: str) -> bool:
        """A click's acknowledgement carries no text: a modal does, or the message loop says it."""
        try:
            self.visitor.open(body, _notice(sentence))
        except NO_ANSWER as fault:
            log.warning("modal not opened", error=type(fault).__name__)
            return not isinstance(error, AWAY) and self._said_later(body, sentence)
        return True

    def _said_later(self, body: dict[str, Any], sentence: str) -> bool:
        try:
            return self.visitor.say_later(body, sentence)
        except AWAY as fault:
            self.visitor.services.vitals.database.bad(type(fault).__name__)
            return False


def _in_the_view(view: dict[str, Any], sentence: str) -> dict[str, Any]:
    """Say it at the first field, so that nothing that was typed is lost."""
    fields = [block["block_id"] for block in view["blocks"] if block.get("type") == "input"]
    if fields:
        return {"response_action": "errors", "errors": {fields[0]: sentence}}
    return {"response_action": "update", "view": _notice(sentence)}


def _notice(sentence: str) -> dict[str, Any]:
    return credentials.notice_modal("Not done", sentence)
