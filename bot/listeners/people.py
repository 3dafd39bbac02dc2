"""What Slack tells of its people: who came, left, changed their address, became a guest."""

import structlog
from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor
from bot.runtime.services import Services
from bot.usecases import identity
from bot.usecases.identity import Unknown

log = structlog.get_logger()


def register(app: App, services: Services) -> None:
    visitor = Visitor(services, app.client)

    def changed(ack: Ack, event: Body) -> None:
        try:
            identity.hear(services, visitor.marked(event["user"]), visitor.profile)
        except Unknown:
            log.warning("account not judged: the hourly reading will")
        ack()

    app.event("user_change")(changed)
    app.event("team_join")(changed)
