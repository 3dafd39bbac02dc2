"""App Home: what I have and what waits for me, as of the moment that it is opened."""

from dataclasses import dataclass

from slack_bolt import Ack, App
from slack_sdk.errors import SlackApiError

from bot.listeners.common import Body, Visitor, log
from bot.services import Services
from bot.usecases import look
from bot.views import home, lists
from bot.views.values import View
from engine.directory import Person
from engine.outcome import Refusal


@dataclass(frozen=True, slots=True)
class Home:
    visitor: Visitor

    def opened(self, ack: Ack, event: Body) -> None:
        if event.get("tab") == "home":
            who = self.visitor.who({"user_id": event["user"]})
            try:
                self.visitor.client.views_publish(user_id=event["user"], view=self._draw(who))
            except SlackApiError as fault:
                log.warning("home not published", error=fault.response.get("error"))
        ack()

    def _draw(self, who: Person | Refusal) -> View:
        if isinstance(who, Refusal):
            return home.closed(lists.refusal(who))
        tasks = look.tasks(self.visitor.services, who)
        mine = look.my_access(self.visitor.services, who)
        if isinstance(tasks, Refusal):
            return home.closed(lists.refusal(tasks))
        if isinstance(mine, Refusal):
            return home.closed(lists.refusal(mine))
        return home.home(tasks, mine)


def register(app: App, services: Services) -> None:
    app.event("app_home_opened")(Home(Visitor(services, app.client)).opened)
