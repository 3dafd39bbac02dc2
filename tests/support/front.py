"""A client in front of a Slack that a test plays: it goes through the gate, as in the program."""

from typing import Any

from slack_sdk.errors import SlackApiError

from bot.runtime.metrics import Vitals
from bot.slack.client import Client
from bot.slack.errors import error_code, refusal
from bot.slack.gate import Gate

MANY = 1_000_000  # posts to one channel, of which a test does not speak


class Front(Client):
    """What is called of Slack is called of `slack`, by the name that the SDK has for it."""

    def __init__(
        self, slack: object, gate: Gate | None = None, vitals: Vitals | None = None
    ) -> None:
        gate, vitals = gate or Gate(MANY), vitals or Vitals()
        super().__init__(lambda: "xoxb-test", "http://127.0.0.1:9/api/", 1, vitals, gate=gate)
        self._slack = slack

    def _send(self, method: str, given: dict[str, Any]) -> Any:
        said = given.get("json") or given.get("params") or {}
        try:
            return getattr(self._slack, method.replace(".", "_"))(**said)
        except SlackApiError as fault:
            if hasattr(fault.response, "api_url"):
                raise
            raise refusal(method, error_code(fault)) from None
