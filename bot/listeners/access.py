"""`/access`: help, request, my, tasks."""

from difflib import get_close_matches

from slack_bolt import Ack

from bot.listeners import request
from bot.listeners.common import Body, Visitor
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import look
from bot.views import lists
from bot.views.values import Message
from engine.outcome import Refusal

COMMANDS = ("request", "my", "tasks", "help")


def register(table: Table, services: Services) -> None:
    def access(ack: Ack, body: Body) -> None:
        visitor = Visitor(services, table.client)
        word, rest = (*str(body.get("text") or "").split(maxsplit=1), "", "")[:2]
        command = word.casefold() or "help"
        if command == "help":
            _answer(ack, lists.help_text())
            return
        if command not in COMMANDS:
            nearest = get_close_matches(command, COMMANDS, n=1)
            _answer(ack, lists.unknown_command(word, nearest[0] if nearest else None))
            return
        if command == "request":
            refusal = visitor.act(body, lambda p: request.open_form(visitor, p, body, rest.strip()))
            ack(text=lists.refusal(refusal)) if refusal else ack()
        else:
            _list(ack, visitor, body, command)

    table.command("/access", access)


def _list(ack: Ack, visitor: Visitor, body: Body, command: str) -> None:
    find, draw = (look.my_access, lists.my_access) if command == "my" else (look.tasks, lists.tasks)
    found = visitor.act(body, lambda p: find(visitor.services, p))
    if isinstance(found, Refusal):
        ack(text=lists.refusal(found))
    else:
        _answer(ack, draw(found))


def _answer(ack: Ack, message: Message) -> None:
    ack(text=message.text, blocks=message.blocks)
