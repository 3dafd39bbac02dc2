"""What `latchkey run` says to a person at its start: one line of what it is, and for whom.

Slack is asked in the background: access ends on time, whatever it answers.
"""

import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import structlog
from slack_sdk import WebClient

from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, in_words
from bot.views.text import count, in_a_row

__all__ = ["begin", "greeting", "version"]

BOT_TOKEN, APP_TOKEN = "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"  # names

log = structlog.get_logger()


def version() -> str:
    """Return which Latchkey this is."""
    try:
        return metadata.version("latchkey")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def begin(
    services: Services,
    client: WebClient,
    opener: WebClient | None,
    say: Callable[[str], None],
    faults: Mapping[str, str],
) -> None:
    """Say the greeting as soon as Slack has told the workspace, or is found not to.

    `opener` has the app's token, if there is one. `faults`: what is wrong with settings, by their
    names: without a token Slack is not asked.
    """
    threading.Thread(
        target=_greet, args=(services, client, opener, say, faults), name="greeting", daemon=True
    ).start()


def _greet(
    services: Services,
    client: WebClient,
    opener: WebClient | None,
    say: Callable[[str], None],
    faults: Mapping[str, str],
) -> None:
    unset = [faults[name].rstrip(".") for name in (BOT_TOKEN, APP_TOKEN) if name in faults]
    if BOT_TOKEN in faults:
        team, fault = "", ". ".join(unset)
    else:
        team, fault = _ask(client, BOT_TOKEN)
        fault = fault or ". ".join(unset)
    if fault:
        log.error("slack does not let latchkey in", why=fault)
    elif opener:
        _, fault = _ask(opener, APP_TOKEN)  # the links say it in the log
    try:
        say(greeting(services, f"in {team}" if team else "", fault))
    except Exception:
        log.exception("nobody could be greeted")


def _ask(client: WebClient, setting: str) -> tuple[str, str]:
    """Return the workspace, and why Slack does not take the token."""
    try:
        answer: Any = client.auth_test()
    except (*NO_ANSWER, ValueError) as why:  # ValueError: what was given cannot be sent
        return "", in_words(why, client.base_url, setting)
    return str(answer.get("team") or ""), ""


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
