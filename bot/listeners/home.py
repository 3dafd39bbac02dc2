"""App Home: what I have and what waits for me."""

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor
from bot.loops.app_home import Homes
from bot.runtime.services import Services


def register(app: App, services: Services, homes: Homes) -> None:
    visitor = Visitor(services, app.client)

    def opened(ack: Ack, event: Body, body: Body) -> None:
        if event.get("tab") == "home":
            homes.open(event["user"], visitor.who({**body, "user_id": event["user"]}))
        ack()

    app.event("app_home_opened")(opened)
