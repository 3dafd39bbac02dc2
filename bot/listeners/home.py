"""App Home: what I have and what waits for me."""

from collections.abc import Callable

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor
from bot.runtime.services import Services
from engine.directory import Person
from engine.outcome import Refusal

ShowHome = Callable[[str, Person | Refusal], None]  # to a Slack user: who they are, or nobody


def register(app: App, services: Services, show: ShowHome) -> None:
    visitor = Visitor(services, app.client)

    def opened(ack: Ack, event: Body, body: Body) -> None:
        if event.get("tab") == "home":
            show(event["user"], visitor.who({**body, "user_id": event["user"]}))
        ack()

    app.event("app_home_opened")(opened)
