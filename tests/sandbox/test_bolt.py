"""A whole conversation with a real Bolt app over Socket Mode, as Latchkey runs it."""

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

SERVERS = [
    {"text": {"type": "plain_text", "text": name}, "value": f"db-{name}"}
    for name in ("orders", "orders-test", "people")
]


def request_view(approver):
    return {
        "type": "modal",
        "private_metadata": approver,
        "callback_id": "request",
        "title": {"type": "plain_text", "text": "Request access"},
        "submit": {"type": "plain_text", "text": "Request"},
        "blocks": [
            {
                "type": "input",
                "block_id": "what",
                "label": {"type": "plain_text", "text": "What"},
                "element": {
                    "type": "external_select",
                    "action_id": "database",
                    "min_query_length": 0,
                },
            },
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Why"},
                "element": {"type": "plain_text_input", "action_id": "reason"},
            },
        ],
    }


def card(text, *buttons):
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return [section, {"type": "actions", "elements": list(buttons)}] if buttons else [section]


def bolt_app(sandbox):
    client = WebClient(sandbox.bot_token, base_url=sandbox.api_url, retry_handlers=[])
    app = App(client=client, token_verification_enabled=False, process_before_response=True)

    @app.command("/access")
    def request(ack, body, client):
        client.views_open(trigger_id=body["trigger_id"], view=request_view(body["text"]))
        ack()

    @app.options("database")
    def find(ack, payload):
        ack(options=[s for s in SERVERS if payload["value"] in s["text"]["text"]])

    @app.view("request")
    def submit(ack, body, view, client):
        values = view["state"]["values"]
        reason = values["why"]["reason"]["value"]
        if len(reason) < 5:
            ack(response_action="errors", errors={"why": "Say a little more."})
            return
        database = values["what"]["database"]["selected_option"]["value"]
        approve = {
            "type": "button",
            "action_id": "approve",
            "style": "primary",
            "text": {"type": "plain_text", "text": "Approve"},
            "value": body["user"]["id"],
        }
        text = f"<@{body['user']['id']}> asks for *{database}*: {reason}"
        client.chat_postMessage(
            channel=view["private_metadata"], text=text, blocks=card(text, approve)
        )
        ack()

    @app.action("approve")
    def approve(ack, action, body, client):
        text = f"Approved by <@{body['user']['id']}>"
        where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
        client.chat_update(**where, text=text, blocks=card(text))
        client.chat_postMessage(channel=action["value"], text="You have it.")
        ack()

    @app.event("app_home_opened")
    def home(event, client):
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": card("Hi")})

    return app


@pytest.fixture(scope="module")
def running(shared):
    web = WebClient(shared.app_token, base_url=shared.api_url, retry_handlers=[])
    handler = SocketModeHandler(bolt_app(shared), shared.app_token, web_client=web)
    handler.connect()
    shared.wait_links(1)
    yield
    handler.close()
    shared.wait_links(0)


@pytest.mark.usefixtures("running")
def test_a_whole_conversation(person, colleague):
    answer = person.command("/access", colleague.id)
    assert answer.ok
    assert answer.seconds < 1

    view = person.wait_view("Request access")
    assert [o["value"] for o in view.options("database", "ord")] == ["db-orders", "db-orders-test"]
    view.set("database", "orders")
    view.set("reason", "go")
    assert view.submit().errors == {"why": "Say a little more."}
    view.set("reason", "incident 7")
    assert view.submit().action == "close"
    assert person.views() == []

    request = colleague.wait_message("incident 7")
    assert request.text.startswith(f"@{person.real_name} asks for db-orders: incident 7")
    assert request.buttons == [("approve", "Approve", person.id)]
    assert request.click("Approve").ok
    assert request.text == f"Approved by @{colleague.real_name}"
    assert request.buttons == []
    assert person.wait_message("You have it.").raw["bot_id"]


@pytest.mark.usefixtures("running")
def test_home_is_published_when_opened(person):
    assert person.home() is None

    assert person.open_home().ok

    assert person.wait_home("Hi").raw["type"] == "home"
