"""The Web API's door: reads a call as Slack does, and asks in Slack's order whether it may pass:
token, rate, scope, arguments. Every call is entered in the journal with its answer.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from bot.sandbox.api import METHODS, Method, Site
from bot.sandbox.errors import SlackError
from bot.sandbox.faults import Faults, PlannedFault
from bot.sandbox.journal import Call, Journal
from bot.sandbox.rates import Rates
from bot.sandbox.whom import addressee

__all__ = ["Gateway"]

Json = dict[str, Any]


class Gateway:
    def __init__(self, site: Site, rates: Rates, faults: Faults, journal: Journal) -> None:
        self._site = site
        self._rates = rates
        self._faults = faults
        self._journal = journal
        app = site.workspace.app
        self._callers = {app.bot_token: "bot", app.app_token: "app"}
        self._scopes = ",".join(sorted(app.manifest.scopes))

    async def answer(self, request: Request) -> Response:
        call = self._journal.call(request.path_params["method"])
        body = await request.body()
        fault = self._faults.of_call(call.method)
        try:
            if fault is None:
                return self._perform(request, body, call)
            call.fault = fault.kind
            return await self._misbehave(request, body, call, fault)
        finally:
            if call.status is not None:
                call.seconds = time.perf_counter() - call.at
            self._journal.touch()

    async def _misbehave(
        self, request: Request, body: bytes, call: Call, fault: PlannedFault
    ) -> Response:
        match fault.kind:
            case "rate_limited":
                return self._limited(call, "fault", fault.retry_after)
            case "slack_error":
                return self._refused(call, "fault", SlackError(fault.code))
            case "error":
                call.rule, call.status = "fault", fault.status
                return Response("upstream connect error", fault.status, media_type="text/plain")
            case "odd":
                if fault.done:
                    self._perform(request, body, call)
                call.rule, call.status = "fault", fault.status
                return _odd(fault)
            case "slow":
                await asyncio.sleep(fault.seconds)
                return self._perform(request, body, call)
            case _:
                return await self._say_nothing(request, body, call, fault)

    async def _say_nothing(
        self, request: Request, body: bytes, call: Call, fault: PlannedFault
    ) -> Response:
        if fault.kind == "kill_before":
            _kill(fault.pid)
        if fault.kind in {"kill_after", "done_but_timeout"}:
            self._perform(request, body, call)
        if fault.kind == "kill_after":
            _kill(fault.pid)
        call.status = None
        self._journal.touch()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()  # goes nowhere

    def _perform(self, request: Request, body: bytes, call: Call) -> Response:
        rule = "arguments"
        try:
            call.arguments = _arguments(request, body)
            call.whom = addressee(self._site, call.arguments)
            rule = "auth"
            method = METHODS.get(call.method)
            if method is None:
                raise SlackError("unknown_method", req_method=call.method)  # noqa: TRY301
            run = self._authenticate(method, _token(request, call.arguments))
            if wait := self._rate_limit(call.method, method, call.arguments):
                return self._limited(call, "rate", wait)
            rule = "scope"
            self._need_any_scope(method)
            rule = "arguments"
            _need(method, call.arguments)
            rule = "state"
            answer = run(self._site, call.arguments)
        except SlackError as refusal:
            return self._refused(call, rule, refusal)
        call.done = True
        return self._say(call, {"ok": True, **answer})

    def _authenticate(self, method: Method, token: str) -> Callable[[Site, Json], Json]:
        """Return what the method does for whoever calls."""
        if method.caller == "anyone":
            return method.run
        if not token:
            raise SlackError("not_authed")
        caller = self._callers.get(token)
        if caller is None:
            raise SlackError("invalid_auth")
        if caller == "app" and method.for_app:
            return method.for_app
        if caller != method.caller:
            raise SlackError("not_allowed_token_type")
        return method.run

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
        call.rule, call.error = rule, refusal.code
        answer: Json = {"ok": False, "error": refusal.code, **refusal.extra}
        if refusal.messages:
            answer["errors"] = [m.removeprefix("[ERROR] ") for m in refusal.messages]
            answer["response_metadata"] = {"messages": refusal.messages}
        return self._say(call, answer)

    def _limited(self, call: Call, rule: str, wait: int | str) -> Response:
        call.rule, call.error = rule, "ratelimited"
        headers = {"retry-after": str(wait)}
        return self._say(call, {"ok": False, "error": "ratelimited"}, 429, **headers)


def _odd(fault: PlannedFault) -> Response:
    answer = Response(fault.body.encode("latin-1"), fault.status)
    for line in fault.headers.splitlines():
        name, _, value = line.partition(":")
        answer.headers.append(name.strip(), value.strip())
    return answer


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _arguments(request: Request, body: bytes) -> Json:
    """Read the query, and a body that is JSON or a form; an empty one may call itself either."""
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
    in_body = str(args.pop("token", ""))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else in_body


def _need(method: Method, args: Json) -> None:
    missing = [name for name in method.required if args.get(name) in (None, "")]
    if missing:
        faults = [f"[ERROR] missing required field: {name}" for name in missing]
        raise SlackError("invalid_arguments", faults)
