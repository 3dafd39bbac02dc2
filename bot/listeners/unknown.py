"""What nobody here listens for (any more): an old message's button, another version's modal."""

from slack_bolt import Ack, App

from bot.listeners.common import NOT_DONE, Body, Visitor, notice
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.views import lists
from engine.outcome import Code, Refusal

GONE = Refusal(
    Code.NOTHING_TO_DO,
    "This belongs to another version of Latchkey, and does nothing any more. "
    "/access help lists what there is.",
)


def register(app: App, table: Table, services: Services) -> None:
    """Have Bolt ask the table, and take what is not in it."""
    visitor = Visitor(services, table.client)

    def answer(ack: Ack, body: Body) -> None:
        visitor.refuse(body, GONE, NOT_DONE)
        ack()

    def answer_command(ack: Ack, _: Body) -> None:
        ack(text=lists.refusal(GONE))

    def answer_view(ack: Ack, _: Body) -> None:
        ack(response_action="update", view=notice(NOT_DONE, GONE))

    def answer_search(ack: Ack, _: Body) -> None:
        ack(options=[])

    table.register(
        app, view=answer_view, action=answer, command=answer_command, options=answer_search
    )
