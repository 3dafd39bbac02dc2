"""One app in four make-ups of Slack's own frameworks, and how each is run against a sandbox."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient

JS = Path(__file__).parent / "js"
SERVERS = [
    {"text": {"type": "plain_text", "text": name}, "value": f"db-{name}"}
    for name in ("orders", "orders-test", "people")
]


def plain(text):
    return {"type": "plain_text", "text": text}


def form(approver):
    return {
        "type": "modal",
        "private_metadata": approver,
        "callback_id": "request",
        "title": plain("Request access"),
        "submit": plain("Request"),
        "blocks": [
            {
                "type": "input",
                "block_id": "what",
                "label": plain("What"),
                "element": {
                    "type": "external_select",
                    "action_id": "database",
                    "min_query_length": 0,
                },
            },
            {
                "type": "input",
                "block_id": "why",
                "label": plain("Why"),
                "element": {"type": "plain_text_input", "action_id": "reason"},
            },
        ],
    }


def card(text, *buttons):
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return [section, {"type": "actions", "elements": list(buttons)}] if buttons else [section]


def found(payload):
    return [server for server in SERVERS if payload["value"] in server["text"]["text"]]


def fault(view):
    short = len(view["state"]["values"]["why"]["reason"]["value"]) < 5
    return {"why": "Say a little more."} if short else None


def request_card(body, view):
    values = view["state"]["values"]
    database = values["what"]["database"]["selected_option"]["value"]
    approve = {
        "type": "button",
        "action_id": "approve",
        "style": "primary",
        "text": plain("Approve"),
        "value": body["user"]["id"],
    }
    reason = values["why"]["reason"]["value"]
    text = f"<@{body['user']['id']}> asks for *{database}*: {reason}"
    return {"channel": view["private_metadata"], "text": text, "blocks": card(text, approve)}


def approved_card(body):
    text = f"Approved by <@{body['user']['id']}>"
    where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
    return {**where, "text": text, "blocks": card(text)}


def about(shortcut):
    where = {"channel": shortcut["channel"]["id"], "thread_ts": shortcut["message_ts"]}
    return {**where, "text": f"About: {shortcut['message']['text']}"}


def listeners(app):
    @app.command("/access")
    def command(ack, body, client):
        client.views_open(trigger_id=body["trigger_id"], view=form(body["text"]))
        ack()

    @app.shortcut("ask")
    def ask(ack, shortcut, client):
        view = form(shortcut["user"]["id"])
        client.views_open(trigger_id=shortcut["trigger_id"], view=view)
        ack()

    @app.shortcut("about")
    def about_message(ack, shortcut, client):
        client.chat_postMessage(**about(shortcut))
        ack()

    @app.options("database")
    def find(ack, payload):
        ack(options=found(payload))

    @app.view("request")
    def submit(ack, body, view, client):
        if errors := fault(view):
            ack(response_action="errors", errors=errors)
            return
        client.chat_postMessage(**request_card(body, view))
        ack()

    @app.action("approve")
    def approve(ack, action, body, client):
        client.chat_update(**approved_card(body))
        client.chat_postMessage(channel=action["value"], text="You have it.")
        ack()

    @app.event("app_home_opened")
    def home(event, client):
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": card("Hi")})

    @app.message("hello")
    def greet(message, say):
        say(text=f"Hello <@{message['user']}>", thread_ts=message["ts"])

    return app


def async_listeners(app):
    @app.command("/access")
    async def command(ack, body, client):
        await client.views_open(trigger_id=body["trigger_id"], view=form(body["text"]))
        await ack()

    @app.shortcut("ask")
    async def ask(ack, shortcut, client):
        view = form(shortcut["user"]["id"])
        await client.views_open(trigger_id=shortcut["trigger_id"], view=view)
        await ack()

    @app.shortcut("about")
    async def about_message(ack, shortcut, client):
        await client.chat_postMessage(**about(shortcut))
        await ack()

    @app.options("database")
    async def find(ack, payload):
        await ack(options=found(payload))

    @app.view("request")
    async def submit(ack, body, view, client):
        if errors := fault(view):
            await ack(response_action="errors", errors=errors)
            return
        await client.chat_postMessage(**request_card(body, view))
        await ack()

    @app.action("approve")
    async def approve(ack, action, body, client):
        await client.chat_update(**approved_card(body))
        await client.chat_postMessage(channel=action["value"], text="You have it.")
        await ack()

    @app.event("app_home_opened")
    async def home(event, client):
        view = {"type": "home", "blocks": card("Hi")}
        await client.views_publish(user_id=event["user"], view=view)

    @app.message("hello")
    async def greet(message, say):
        await say(text=f"Hello <@{message['user']}>", thread_ts=message["ts"])

    return app


def sync_app(sandbox, **more):
    client = WebClient(sandbox.bot_token, base_url=sandbox.api_url, retry_handlers=[])
    return listeners(
        App(client=client, token_verification_enabled=False, process_before_response=True, **more)
    )


@contextmanager
def python_builtin(sandbox):
    web = WebClient(sandbox.app_token, base_url=sandbox.api_url, retry_handlers=[])
    handler = SocketModeHandler(sync_app(sandbox), sandbox.app_token, web_client=web)
    handler.connect()
    yield
    handler.close()


@contextmanager
def python_aiohttp(sandbox):
    stop = threading.Event()

    async def run():
        client = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url)
        web = AsyncWebClient(sandbox.app_token, base_url=sandbox.api_url)
        app = async_listeners(AsyncApp(client=client))
        handler = AsyncSocketModeHandler(app, sandbox.app_token, web_client=web)
        await handler.connect_async()
        await asyncio.to_thread(stop.wait)
        await handler.close_async()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    yield
    stop.set()
    thread.join()


@contextmanager
def javascript(sandbox):
    install_javascript()
    env = {**os.environ, **sandbox.env(), "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen([node(), "app.js"], cwd=JS, env=env, stdin=subprocess.DEVNULL)
    yield
    process.terminate()
    process.wait(60)


class Server(ThreadingMixIn, WSGIServer):
    """A place for an app's request URL, which is known before there is an app."""

    daemon_threads = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/slack/events"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def server():
    return make_server("127.0.0.1", 0, None, Server, _Quiet)


@contextmanager
def python_http(sandbox, server):
    app = sync_app(sandbox, signing_secret=sandbox.signing_secret)
    server.set_app(SlackRequestHandler(app))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def node():
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        raise RuntimeError(
            "Slack's JavaScript framework needs node and npm, 18 or newer. "
            "`make setup` installs them as root; else install the packages nodejs and npm."
        )
    return path


def install_javascript():
    """Install what package.json names, unless it is there. Others that want the same wait."""
    node()
    wanted = json.loads((JS / "package.json").read_text())["dependencies"]
    with (JS / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if all(_installed(name) == version for name, version in wanted.items()):
            return
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=JS, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm could not install {wanted}:\n{done.stderr[-2000:]}")


def _installed(package):
    there = JS / "node_modules" / package / "package.json"
    return json.loads(there.read_text())["version"] if there.exists() else ""
