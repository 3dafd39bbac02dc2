"""App Home: what I have and what waits for me."""

from collections.abc import Callable

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor, acting
from bot.runtime.services import Services
from engine.directory import Person, SlackAccount
from engine.outcome import Refusal

ShowHome = Callable[[SlackAccount, Person | Refusal], None]  # who opened it: somebody, or nobody


def register(app: App, services: Services, show: ShowHome) -> None:
    visitor = Visitor(services, app.client)

    def opened(ack: Ack, event: Body, body: Body) -> None:
        if event.get("tab") == "home":
            opens = {**body, "user_id": event["user"]}
            show(acting(opens), visitor.who(opens))
        ack()

    app.event("app_home_opened")(opened)
