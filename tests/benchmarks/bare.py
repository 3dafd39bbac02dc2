"""The least that Bolt can do: acknowledge `/access`, open a modal, which is in a file, take it."""

import json
import os
import sys
import threading
from pathlib import Path

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

app_token, url = os.environ["SLACK_APP_TOKEN"], os.environ["SLACK_API_URL"]
view = json.loads(Path(sys.argv[1]).read_text())
app = App(
    client=WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=url, retry_handlers=[]),
    signing_secret=os.environ["SLACK_SIGNING_SECRET"],
    token_verification_enabled=False,
    process_before_response=True,
)


@app.command("/access")
def access(ack, body, client):
    ack()
    client.views_open(trigger_id=body["trigger_id"], view=view)


@app.view(view["callback_id"])
def submitted(ack):
    ack()


for _ in range(2):
    web = WebClient(app_token, base_url=url, retry_handlers=[])
    SocketModeHandler(app, app_token, web_client=web, concurrency=20).connect()
threading.Event().wait()
