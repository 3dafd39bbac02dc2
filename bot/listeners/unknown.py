"""What nobody here listens for (any more): an old message's button, another version's modal."""

import re

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor
from bot.services import Services
from bot.views import credentials, lists
from engine.outcome import Code, Refusal

ANYTHING = re.compile("")
TITLE = "Not done"
GONE = Refusal(
    Code.NOTHING_TO_DO,
    "This belongs to another version of Latchkey, and does nothing any more. "
    "/access help lists what there is.",
)


def register(app: App, services: Services) -> None:
    """Register it last: it takes what the others leave."""
    visitor = Visitor(services, app.client)

    def answer(ack: Ack, body: Body) -> None:
        visitor.refuse(body, GONE, TITLE)
        ack()

    def answer_command(ack: Ack) -> None:
        ack(text=lists.refusal(GONE))

    def answer_view(ack: Ack) -> None:
        notice = credentials.notice_modal(TITLE, lists.refusal(GONE))
        ack(response_action="update", view=notice)

    def answer_search(ack: Ack) -> None:
        ack(options=[])

    app.action(ANYTHING)(answer)
    app.shortcut(ANYTHING)(answer)
    app.command(ANYTHING)(answer_command)
    app.view_submission(ANYTHING)(answer_view)
    app.options(ANYTHING)(answer_search)
