"""What `latchkey run` says to a person at its start: one line of what it is, and for whom.

Slack is asked in the background: access ends on time, whatever it answers.
"""

import threading
from collections.abc import Callable
from importlib import metadata
from typing import Any

import structlog
from slack_sdk import WebClient

from bot.services import Services
from bot.slack import NO_ANSWER, in_words
from bot.views.text import count, in_a_row

__all__ = ["begin", "greeting", "version"]

BOT_TOKEN = "SLACK_BOT_TOKEN"  # noqa: S105  (its name)

log = structlog.get_logger()


def version() -> str:
    """Return which Latchkey this is."""
    try:
        return metadata.version("latchkey")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def begin(services: Services, client: WebClient, say: Callable[[str], None]) -> None:
    """Say the greeting as soon as Slack has told the workspace, or is found not to."""
    threading.Thread(
        target=_greet, args=(services, client, say), name="greeting", daemon=True
    ).start()


def _greet(services: Services, client: WebClient, say: Callable[[str], None]) -> None:
    try:
        answer: Any = client.auth_test()
        workspace, fault = f"in {answer['team']}", ""
    except (*NO_ANSWER, ValueError) as why:  # ValueError: what was given cannot be sent
        workspace, fault = "", in_words(why, client.base_url, BOT_TOKEN)
        log.error("slack does not let latchkey in", why=fault)  # noqa: TRY400
    try:
        say(greeting(services, workspace, fault))
    except Exception:
        log.exception("nobody could be greeted")


def greeting(services: Services, workspace: str, fault: str) -> str:
    """Say what runs here. `fault`: why Slack does not answer."""
    company = services.company()
    people = sum(p.may_receive for p in company.directory.people.values())
    flows = sum(flow.open for flow in company.flows.values())
    systems = [c.integration.name for c in services.connected.values()]
    named = f" ({in_a_row(systems)})" if systems else ""
    what = [count(people, "person", "people"), count(flows, "flow")]
    parts = [
        " ".join(filter(None, ("Latchkey", version(), workspace))),
        ", ".join([*what, f"{count(len(systems), 'integration')}{named}"]),
        fault and f"{fault}. Access ends on time all the same",
    ]
    return ". ".join(filter(None, parts)) + "."
