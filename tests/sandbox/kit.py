"""A company, an app that answers as told, and the shapes that Slack wants."""

import itertools
import json
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx
import yaml
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bot.sandbox import limits
from bot.sandbox.api import COMMON_ERRORS, METHODS
from tests.support import web

MANIFEST = Path(__file__).parents[2] / "manifests" / "slack-app.yaml"
PEOPLE = 250  # each test takes one or two for itself
SILENCE = object()  # an app's answer that is none


def company(people):
    named = [
        {"id": "U0GUEST", "name": "guest", "real_name": "Gil Guest", "is_restricted": True},
        {"id": "U0GONE", "name": "gone", "real_name": "Gus Gone", "deleted": True},
        {"id": "U0ROBOT", "name": "robot", "real_name": "Robot", "is_bot": True},
        {"id": "U0OTHER", "name": "other", "real_name": "Otto Other", "is_stranger": True},
        {"id": "U0NEW", "name": "new", "real_name": "Nia New", "is_email_confirmed": False},
        {
            "id": "U0SINGLE",
            "name": "single",
            "real_name": "Sue Single",
            "is_restricted": True,
            "is_ultra_restricted": True,
        },
    ]
    for user in named:
        user["email"] = f"{user['name']}@acme.example"
    many = [
        {
            "id": f"U1{n:04}",
            "name": f"p{n}",
            "real_name": f"Person {n}",
            "email": f"p{n}@acme.example",
        }
        for n in range(1, people + 1)
    ]
    channels = [
        {"id": "C0IN", "name": "general", "members": ["app", "guest", "single", "p1"]},
        {"id": "C0OUT", "name": "random", "members": ["p1"]},
        {"id": "C0SECRET", "name": "secret", "members": ["p1"], "is_private": True},
        {"id": "C0LATER", "name": "later", "members": ["p1"], "is_private": True},
        {"id": "C0OLD", "name": "old", "members": ["app"], "is_archived": True},
        {"id": "C0VAULT", "name": "vault", "members": ["app", "p1"], "is_private": True},
    ]
    groups = [
        {"id": "S0OPS", "name": "Operators", "handle": "ops", "members": ["p1", "p2"]},
        {"id": "S0OFF", "name": "Off", "handle": "off", "members": ["p1"], "is_disabled": True},
    ]
    return {
        "team": {"id": "T0ACME", "name": "Acme"},
        "users": named + many,
        "channels": channels,
        "usergroups": groups,
    }


def everything():
    """The product's manifest, with every scope, event and kind of shortcut."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    scopes = {scope for method in METHODS.values() for scope in method.scopes}
    scopes |= {scope for alternatives in limits.EVENTS.values() for scope in alternatives}
    manifest["oauth_config"]["scopes"] = {"bot": sorted({"commands", *scopes})}
    manifest["settings"]["event_subscriptions"]["bot_events"] = sorted(limits.EVENTS)
    manifest["features"]["shortcuts"] = [
        {"name": "Ask", "type": "global", "callback_id": "ask", "description": "Ask"},
        {"name": "About", "type": "message", "callback_id": "about", "description": "About"},
    ]
    return manifest


class Wide:
    """A sandbox, what it was started with, and people who are not yet taken."""

    def __init__(self, sandbox, files):
        self.sandbox = sandbox
        self.files = files
        self.api = Api(sandbox)
        self._numbers = itertools.count(3)

    def fresh(self):
        return f"p{next(self._numbers)}"


class Api:
    """Calls the Web API as the app; every call is answered with the decoded JSON."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.http = httpx.Client(base_url=sandbox.api_url, trust_env=False, timeout=30)

    def __call__(self, method, *, token=None, **arguments):
        return self.post(method, token=token, json=arguments).json()

    def form(self, method, **arguments):
        return self.post(method, data=arguments).json()

    def post(self, method, *, token=None, **how):
        bearer = {"authorization": f"Bearer {token or self.sandbox.bot_token}"}
        return self.http.post(method, headers=bearer, **how)


class App:
    """An app on Socket Mode: `answers` maps what comes to a function from payload to ack."""

    def __init__(self, sandbox, api):
        self.sandbox = sandbox
        self.api = api
        self.answers = {}
        self.seen = []
        self._open = ExitStack()
        sandbox.give_up_events()  # of the app before, which may have left some unanswered

    def on(self, what, answer=None):
        """Say how to acknowledge; without a function, with an empty acknowledgement."""
        self.answers[what] = answer or (lambda _: None)
        return self

    def link(self):
        """Open one more link; return its messages other than envelopes, as they come."""
        opened = self.api("apps.connections.open", token=self.sandbox.app_token)
        link = self._open.enter_context(connect(opened["url"], open_timeout=30, close_timeout=0.5))
        hello = json.loads(link.recv(timeout=30))
        assert hello["type"] == "hello"
        heard = [hello]
        thread = threading.Thread(target=self._listen, args=(link, heard))
        thread.start()
        self._open.callback(thread.join)
        self._open.callback(link.close)
        return heard

    def close(self):
        self._open.close()
        self.sandbox.wait_links(0)

    def _listen(self, link, heard):
        try:
            for frame in link:
                said = json.loads(frame)
                if "envelope_id" not in said:
                    heard.append(said)
                    continue
                heard.append(said["envelope_id"])
                self._answer(link, said)
        except ConnectionClosed:
            pass

    def _answer(self, link, envelope):
        payload = envelope["payload"]
        self.seen.append(envelope)
        what = payload.get("command") or payload.get("event", payload).get("type")
        answer = self.answers.get(what, lambda _: SILENCE)(payload)
        if answer is not SILENCE:
            said = {"envelope_id": envelope["envelope_id"]}
            link.send(json.dumps(said | ({} if answer is None else {"payload": answer})))


def refused_as_declared(sandbox):
    """Whatever happened there: no method refused with a code that its table does not name."""
    for entry in sandbox.journal():
        method = METHODS.get(entry["method"]) if entry["kind"] == "call" else None
        if method and entry["error"] and entry["rule"] != "fault" and entry["method"] != "api.test":
            assert entry["error"] in {*method.errors, *COMMON_ERRORS}, entry


def upload(api, content, name="a.txt", *, complete=True, **more):
    """Upload a file as the app, in its three steps, and return its id."""
    reserved = api.form("files.getUploadURLExternal", filename=name, length=len(content))
    assert web.post(reserved["upload_url"], content=content).status_code == 200
    if complete:
        files = [{"id": reserved["file_id"]}]
        assert api("files.completeUploadExternal", files=files, **more)["ok"]
    return reserved["file_id"]


def plain(text):
    return {"type": "plain_text", "text": text}


def section(text="Hello", **more):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(action_id="go", text="Go", **more):
    return {"type": "button", "action_id": action_id, "text": plain(text), **more}


def field(block_id="why", action_id="text", **more):
    element = {"type": "plain_text_input", "action_id": action_id}
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain("Why"),
        "element": element,
        **more,
    }


def modal(*blocks, title="Modal", **more):
    shown = list(blocks) or [section()]
    return {"type": "modal", "title": plain(title), "blocks": shown, **more}


def form(*blocks, **more):
    return modal(*(blocks or [field()]), submit=plain("Send"), **more)


def opening(app, view):
    """Answer a command by opening a view."""

    def answer(payload):
        app.opened = app.api("views.open", trigger_id=payload["trigger_id"], view=view)

    return answer
