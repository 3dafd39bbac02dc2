"""Calls Slack's Web API, and takes note of how each call went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from io import BytesIO
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError, SlackRequestError
from slack_sdk.web import SlackResponse

from bot.runtime.metrics import Reachable, Vitals
from bot.settings import Settings
from bot.slack import bounded
from bot.slack.errors import TOKEN_REFUSED, Cure, cure_of, error_code, refusal, refuses_trigger
from bot.slack.gate import POST, AtRestError, Gate
from bot.slack.triggers import OPENERS, Triggers
from engine.directory import SlackAccount

LISTENER_TIMEOUT = 2  # seconds; a trigger lives for 3
DELIVERY_TIMEOUT = 10  # seconds
EXPIRED = "expired_trigger_id"
NO_TOKEN = "not_authed"  # what Slack says to who sends none  # noqa: S105
BARRED = "slack"  # how a fault is called that the app may not call a method

CURES = {
    "SLACK_BOT_TOKEN": "Copy the bot's token anew: OAuth & Permissions",
    "SLACK_APP_TOKEN": "Make one anew, with connections:write: Basic Information, App-Level Tokens",
}


class OddAnswerError(SlackClientError):
    """What answered is not Slack, or its answer is not whole: nobody knows whether it was done."""

    def __init__(self, why: str) -> None:
        super().__init__(f"an odd answer: {why}")


# What a call raises that Slack does not answer, or not as it should. (SlackApiError is one.)
NO_ANSWER = (SlackClientError, HTTPException, OSError)
# What the SDK and the library below it let through of answers that make no sense: a body in no
# known encoding, JSON that is no object or too deep, a header that is none.
_ODD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


class Client(WebClient):
    """A client that never tries again by itself: the SDK's own retries post twice.

    Whatever is answered, it raises nothing but what `NO_ANSWER` lists. `token` is asked for at each
    call: its file may have changed. `standing` is told whether Slack answers to it: of two tokens,
    one may be wrong. What `gate` does not let out is answered as a limit of Slack's.
    """

    def __init__(
        self,
        token: Callable[[], str],
        base_url: str,
        timeout: int,
        vitals: Vitals,
        *,
        standing: Reachable | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(token=token(), base_url=base_url, timeout=timeout, retry_handlers=[])
        self._token_now = token
        proxies = [ProxyHandler({"http": self.proxy, "https": self.proxy})] if self.proxy else []
        self._opener = bounded.opener(self.ssl, *proxies)
        self._vitals, self._standing = vitals, standing or vitals.slack
        self.gate = gate or Gate()
        self._triggers = Triggers()

    def api_call(self, api_method: str, **given: Any) -> SlackResponse:  # noqa: ANN401
        """Call a method, and return an answer that is an object. Raises what `NO_ANSWER` lists.

        Without a token, or with a trigger that was refused, nothing is sent: it is answered as
        Slack would.
        """
        said = _said(given)
        trigger = str(said.get("trigger_id", "")) if api_method in OPENERS else ""
        channel = str(said.get("channel", "")) if api_method == POST else ""
        if trigger and (code := self._triggers.refused(trigger)):
            raise refusal(api_method, code)
        try:
            with self.gate.passing(api_method, channel):
                answer = self._send(api_method, given)
        except AtRestError:
            self._count(api_method, "at_rest")
            raise
        except SlackApiError as fault:
            code = error_code(fault)
            self._count(api_method, code)
            self._stand(fault, code)
            if trigger and refuses_trigger(fault):
                self._triggers.refuse(trigger, code)
            else:
                self._tell(api_method, code, cure_of(fault, api_method))
            raise
        except NO_ANSWER as fault:
            self._count(api_method, "no_answer")
            self._standing.bad(type(fault).__name__)
            if trigger:  # it may be used up, and is old by now
                self._triggers.refuse(trigger, EXPIRED)
            raise
        self._count(api_method, "ok")
        self._standing.good()
        if (barred := f"{BARRED} {api_method}") in self._vitals.faults():
            self._vitals.faults.clear(barred)
        if channel and isinstance(there := answer.get("channel"), str):
            self.gate.same(channel, there)  # a person's id names their direct message
        return answer

    def _send(self, method: str, given: dict[str, Any]) -> SlackResponse:
        self.token = self._token_now().strip()
        if not self.token:
            raise refusal(method, NO_TOKEN)
        return _whole(super().api_call, method, given)

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        """As the SDK's, but for answers that do not end. What is no 200 it takes as HTTPError."""
        if not url.lower().startswith("http"):  # urllib opens files, too
            raise SlackRequestError("no address of Slack's")
        try:
            with self._opener.open(req, timeout=self.timeout) as answer:
                body = answer.read().decode(answer.headers.get_content_charset() or "utf-8")
                return {"status": answer.status, "headers": answer.headers, "body": body}
        except HTTPError as refused:
            with refused:
                body = BytesIO(refused.read())
            raise HTTPError(url, refused.code, refused.reason, refused.headers, body) from None

    def _count(self, method: str, outcome: str) -> None:
        self._vitals.slack_calls.labels(method, outcome).inc()

    def _tell(self, method: str, code: str, cure: Cure) -> None:
        """Take note of what does not pass by itself."""
        if cure is Cure.BARRED:
            self._vitals.faults.set(f"{BARRED} {method}", f"Slack refuses {method}: {code}")
        elif cure is Cure.REFUSE:
            self._vitals.given_up.put((method, code))

    def _stand(self, fault: SlackApiError, code: str) -> None:
        if code in TOKEN_REFUSED or getattr(fault.response, "status_code", 0) >= 500:
            self._standing.bad(code)
        else:
            self._standing.good()


@dataclass(frozen=True, slots=True)
class Clients:
    """What calls Slack: for listeners, whom somebody waits for; for loops; to open links.

    `opening` has the app's token; None: there is none, and no Socket Mode.
    """

    listening: Client
    delivery: Client
    opening: Client | None

    @classmethod
    def of(cls, settings: Settings, vitals: Vitals) -> "Clients":
        """Return those that call Slack at the address and with the tokens that are set."""
        address, token, gate = settings.slack_api_url, settings.bot_token_now, Gate()
        opening = None
        if settings.slack_app_token is not None:
            standing = Reachable("slack, for links")
            opening = Client(
                settings.app_token_now, address, DELIVERY_TIMEOUT, vitals, standing=standing
            )
        return cls(
            Client(token, address, LISTENER_TIMEOUT, vitals, gate=gate),
            Client(token, address, DELIVERY_TIMEOUT, vitals, gate=gate),
            opening,
        )


def _said(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a call says to Slack, however it is sent."""
    return given.get("json") or given.get("params") or given.get("data") or {}


def _whole(call: Callable[..., SlackResponse], method: str, given: dict[str, Any]) -> SlackResponse:
    try:
        answer = call(method, **given)
    except NO_ANSWER:
        raise
    except _ODD as fault:
        # Its words may hold what was sent, the token too.
        raise OddAnswerError(type(fault).__name__) from None
    if not isinstance(answer.data, dict):
        raise OddAnswerError(type(answer.data).__name__)
    return answer


def said(answer: object, *path: str) -> str:
    """Return a text of an answer, by the names on the way to it. Raises OddAnswerError."""
    found = getattr(answer, "data", answer)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str) or not found:
        raise OddAnswerError(f"without {'.'.join(path)}")
    return found


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
    if code == NO_TOKEN:
        return f"Nothing was sent to Slack: {setting} is missing, or cannot be used"
    if code in TOKEN_REFUSED:
        return f"Slack, at {address}, refuses {setting}: {code}. {CURES[setting]}"
    return f"Slack, at {address}, answers {code}. If that goes on, see status.slack.com"


def marked(client: WebClient, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user, marked as a stranger if of another company. Raises slack_sdk's errors.

    Slack's own mark is for those alone with whom no channel is shared. Where it does not say of
    which team the user is, they are not marked for that.
    """
    team, organisation = _home(client)
    theirs = (user.get("enterprise_user") or {}).get("enterprise_id")
    told = user.get("team_id") or theirs
    ours = user.get("team_id") == team or (organisation and theirs == organisation) or not told
    return {**user, "is_stranger": bool(user.get("is_stranger")) or not ours}


def reaches(client: WebClient, account: SlackAccount) -> bool:
    """Tell whether the app's workspace means this account by its user id. Raises SDK errors.

    In another workspace the id may be somebody else's.
    """
    return not account.homes.isdisjoint(_home(client))


@lru_cache(maxsize=8)
def _home(client: WebClient) -> tuple[str, str]:
    """Return the app's workspace, and the organisation that it belongs to, if any."""
    own = client.auth_test()
    return said(own, "team_id"), str(own.get("enterprise_id") or "")
