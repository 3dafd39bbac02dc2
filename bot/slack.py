"""Calls Slack's Web API, and takes note of how each call went."""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from bot.vitals import Vitals

# Slack answers, and says that it does not know this token.
TOKEN_REFUSED = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
)
LIMITED = frozenset({"ratelimited", "rate_limited"})
UNSAID = timedelta(seconds=30)  # to wait where Slack does not say for how long
LONGEST = timedelta(hours=1)  # whatever it says
# No answer, or none that HTTP has; ValueError: what was given cannot be sent.
NO_ANSWER = (SlackApiError, SlackClientError, HTTPException, OSError, ValueError)
CURES = {
    "SLACK_BOT_TOKEN": "Copy the bot's token anew: OAuth & Permissions",
    "SLACK_APP_TOKEN": "Make one anew, with connections:write: Basic Information, App-Level Tokens",
}
_CODE = re.compile("[a-z_]{1,60}")


class Client(WebClient):
    """A client that never tries again by itself: the SDK's own retries post twice."""

    def __init__(self, token: str, base_url: str, timeout: int, vitals: Vitals) -> None:
        super().__init__(token=token, base_url=base_url, timeout=timeout, retry_handlers=[])
        self._vitals = vitals

    def api_call(self, api_method: str, **given: Any) -> SlackResponse:  # noqa: ANN401
        """Call a method. Raises what `slack_sdk` raises."""
        try:
            answer = super().api_call(api_method, **given)
        except SlackApiError as fault:
            code = error_code(fault)
            self._count(api_method, code)
            self._stand(fault, code)
            raise
        except (SlackClientError, HTTPException, OSError) as fault:
            self._count(api_method, "no_answer")
            self._vitals.slack.bad(type(fault).__name__)
            raise
        self._count(api_method, "ok")
        self._vitals.slack.good()
        return answer

    def _count(self, method: str, outcome: str) -> None:
        self._vitals.slack_calls.labels(method, outcome).inc()

    def _stand(self, fault: SlackApiError, code: str) -> None:
        if code in TOKEN_REFUSED or getattr(fault.response, "status_code", 0) >= 500:
            self._vitals.slack.bad(code)
        else:
            self._vitals.slack.good()


def error_code(fault: SlackApiError) -> str:
    """Return Slack's code for what is wrong, or the HTTP status where there is none."""
    response: Any = fault.response
    code = str(response.get("error") if hasattr(response, "get") else "")
    # What is no JSON is put there whole by the SDK.
    return code if _CODE.fullmatch(code) else f"http_{getattr(response, 'status_code', 0)}"


def in_words(fault: Exception, address: str, setting: str) -> str:
    """Say why Slack, there, does not take a token, and what to do about it."""
    if not isinstance(fault, SlackApiError):
        reason = getattr(fault, "reason", fault)
        why = getattr(reason, "strerror", None) or str(reason) or type(fault).__name__
        return (
            f"Slack cannot be reached at {address}: {why}. See that this machine may connect "
            "there; another address is given in SLACK_API_URL"
        )
    code = error_code(fault)
    if code in TOKEN_REFUSED:
        return f"Slack, at {address}, refuses {setting}: {code}. {CURES[setting]}"
    return f"Slack, at {address}, answers {code}. If that goes on, see status.slack.com"


def asked_to_wait(fault: Exception) -> timedelta | None:
    """Return for how long Slack asks to be left alone; None: that is not what is wrong."""
    response: Any = getattr(fault, "response", None)
    if not isinstance(fault, SlackApiError) or (
        getattr(response, "status_code", 0) != 429 and error_code(fault) not in LIMITED
    ):
        return None
    headers = getattr(response, "headers", None) or {}
    said = next((str(v) for k, v in headers.items() if str(k).lower() == "retry-after"), "")
    seconds = said.partition(",")[0].strip()  # a proxy in between may have said it twice
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 10):
        return UNSAID
    return min(LONGEST, timedelta(seconds=int(seconds)))


def marked(client: WebClient, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user, marked as a stranger if of another company. Raises slack_sdk's errors.

    Slack's own mark is for those alone with whom no channel is shared. Where it does not say of
    which team the user is, they are not marked for that.
    """
    team, organisation = _home(client)
    theirs = (user.get("enterprise_user") or {}).get("enterprise_id")
    said = user.get("team_id") or theirs
    ours = user.get("team_id") == team or (organisation and theirs == organisation) or not said
    return {**user, "is_stranger": bool(user.get("is_stranger")) or not ours}


@lru_cache(maxsize=8)
def _home(client: WebClient) -> tuple[str, str]:
    """Return the app's workspace, and the organisation that it belongs to, if any."""
    own = client.auth_test()
    return str(own["team_id"]), str(own.get("enterprise_id") or "")
