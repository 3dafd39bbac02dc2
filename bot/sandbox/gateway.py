"""The Web API's door: reads a call as Slack does, and asks in Slack's order whether it may pass:
token, rate, scope, arguments. Every call is entered in the journal with its answer.
"""

import asyncio
import json
import os
import signal
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from bot.sandbox.api import METHODS, Method, Site
from bot.sandbox.errors import SlackError
from bot.sandbox.faults import CallFault, Faults
from bot.sandbox.journal import Call, Journal
from bot.sandbox.rates import Rates

__all__ = ["Gateway", "drop"]

Json = dict[str, Any]


class Gateway:
    def __init__(self, site: Site, rates: Rates, faults: Faults, journal: Journal) -> None:
        self._site = site
        self._rates = rates
        self._faults = faults
        self._journal = journal
        app = site.workspace.app
        self._tokens = {app.bot_token: "bot", app.app_token: "app"}
        self._scopes = ",".join(sorted(app.manifest.scopes))

    async def __call__(self, request: Request) -> Response:
        method = request.path_params["method"]
        call = self._journal.start_call(method, {})
        try:
            return await self._handle(request, method, call)
        finally:
            call.took = time.monotonic() - call.at
            self._journal.touch()

    async def _handle(self, request: Request, method: str, call: Call) -> Response:
        if self._faults.down:
            call.fault, call.done = "down", False
            return _plain(call, 503)
        fault = self._faults.of_call(method)
        try:
            call.args = _arguments(request, await request.body())
        except SlackError as refusal:
            return self._refused(call, "arguments", refusal)
        token = _token(request, call.args)
        if fault is None:
            return self._answer(method, token, call)
        call.fault = f"{fault.do} {fault.when}"
        if fault.when == "after":
            done = self._answer(method, token, call)
            return await self._misbehave(request, fault, call, done)
        if fault.do == "slow":
            await asyncio.sleep(fault.seconds)
            return self._answer(method, token, call)
        call.done = False
        return await self._misbehave(request, fault, call, None)

    def _answer(self, name: str, token: str, call: Call) -> Response:
        rule = "auth"
        try:
            method = METHODS.get(name)
            if method is None:
                raise SlackError("unknown_method", req_method=name)  # noqa: TRY301
            self._authenticate(method, token)
            if wait := self._rate_limit(name, method, call.args):
                return self._limited(call, wait)
            rule = "scope"
            self._need_any_scope(method)
            rule = "arguments"
            _need(method, call.args)
            rule = "rule"
            answer = method.run(self._site, call.args)
        except SlackError as refusal:
            return self._refused(call, rule, refusal)
        return self._say(call, {"ok": True, **answer})

    def _authenticate(self, method: Method, token: str) -> None:
        if not token:
            raise SlackError("not_authed")
        kind = self._tokens.get(token)
        if kind is None:
            raise SlackError("invalid_auth")
        if kind != method.token:
            raise SlackError("not_allowed_token_type")

    def _rate_limit(self, name: str, method: Method, args: Json) -> int:
        wait = self._rates.wait(name, method.tier)
        if not wait and method.per_channel and "channel" in args:
            channel = self._site.workspace.rate_key(str(args["channel"]))
            wait = self._rates.wait(f"{name} {channel}", "channel")
        return wait

    def _need_any_scope(self, method: Method) -> None:
        granted = self._site.workspace.app.manifest.scopes
        if method.scopes and granted.isdisjoint(method.scopes):
            needed = ",".join(method.scopes)
            raise SlackError("missing_scope", needed=needed, provided=self._scopes)

    def _say(self, call: Call, answer: Json, status: int = 200, **headers: str) -> Response:
        call.answer, call.status = answer, status
        return Response(
            json.dumps(answer, ensure_ascii=False),
            status,
            {"x-oauth-scopes": self._scopes, **headers},
            "application/json; charset=utf-8",
        )

    def _refused(self, call: Call, rule: str, refusal: SlackError) -> Response:
        call.refused_by, call.done = rule, False
        answer: Json = {"ok": False, "error": refusal.code, **refusal.extra}
        if refusal.messages:
            answer["errors"] = [m.removeprefix("[ERROR] ") for m in refusal.messages]
            answer["response_metadata"] = {"messages": refusal.messages}
        return self._say(call, answer)

    def _limited(self, call: Call, wait: int) -> Response:
        call.refused_by, call.done = "rate", False
        headers = {"retry-after": str(wait)}
        return self._say(call, {"ok": False, "error": "ratelimited"}, 429, **headers)

    async def _misbehave(
        self, request: Request, fault: CallFault, call: Call, done: Response | None
    ) -> Response:
        """Answer otherwise than Slack would have; `done` is what it would have answered."""
        match fault.do:
            case "ratelimit":
                headers = {"retry-after": str(fault.retry_after)}
                answer = {"ok": False, "error": "ratelimited"}
                return self._say(call, answer, 429, **headers)
            case "status":
                return _plain(call, fault.status)
            case "error":
                return self._say(call, {"ok": False, "error": fault.error})
            case "slow":
                await asyncio.sleep(fault.seconds)
                return done or _plain(call, 200)
            case "kill":
                os.kill(fault.pid, signal.SIGKILL)
            case "drop":
                pass
        call.status = 0
        return await drop(request)


async def drop(request: Request) -> Response:
    """End the connection without an answer; the response returned goes nowhere."""
    request.state.transport.abort()
    while not await request.is_disconnected():
        await asyncio.sleep(0)
    return Response()


def _plain(call: Call, status: int) -> Response:
    call.status = status
    return Response("upstream connect error", status, media_type="text/plain")


def _arguments(request: Request, body: bytes) -> Json:
    args: Json = dict(request.query_params)
    if request.method == "GET" or not body.strip():
        return args
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return args | _json_arguments(request, body)
    if kind == "application/x-www-form-urlencoded":
        return args | dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    raise SlackError("invalid_post_type")


def _json_arguments(request: Request, body: bytes) -> Json:
    try:
        decoded = json.loads(body)
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(decoded, dict):
        raise SlackError("json_not_object")
    method = METHODS.get(request.path_params["method"])
    if method is not None and method.form_only:
        return {}
    return {key: value for key, value in decoded.items() if value is not None}


def _token(request: Request, args: Json) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return str(args.pop("token", ""))


def _need(method: Method, args: Json) -> None:
    missing = [name for name in method.required if args.get(name) in (None, "")]  # noqa: PLR6201
    if missing:
        faults = [f"[ERROR] missing required field: {name}" for name in missing]
        raise SlackError("invalid_arguments", faults)
