"""`/access`: the words that may follow it, and what answers each."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from slack_bolt import Ack

from bot.listeners import catalog, delegate, request, why
from bot.listeners.common import Body, Visitor
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import look
from bot.views import lists
from bot.views.values import Message
from engine.outcome import Refusal

# What is answered to what follows the word; None: what was asked for is shown elsewhere.
Answer = Callable[[Visitor, Body, str], Message | Refusal | None]


@dataclass(frozen=True, slots=True)
class Word:
    """One that may follow `/access`. `does` is its line in the help and in the docs."""

    name: str
    does: str
    answer: Answer


def _request(visitor: Visitor, body: Body, rest: str) -> Message | Refusal | None:
    return visitor.act(body, lambda p: request.open_form(visitor, p, body, rest))


def _my(visitor: Visitor, body: Body, _: str) -> Message | Refusal:
    found = visitor.act(body, lambda p: look.my_access(visitor.services, p))
    return found if isinstance(found, Refusal) else lists.my_access(found)


def _catalog(visitor: Visitor, body: Body, rest: str) -> Message | Refusal | None:
    return visitor.act(body, lambda p: catalog.open_catalog(visitor, p, body, rest))


def _why(visitor: Visitor, body: Body, rest: str) -> Message | Refusal | None:
    return visitor.act(body, lambda p: why.open_why(visitor, p, body, rest))


def _tasks(visitor: Visitor, body: Body, _: str) -> Message | Refusal:
    found = visitor.act(body, lambda p: look.tasks(visitor.services, p))
    return found if isinstance(found, Refusal) else lists.tasks(found)


def _delegate(visitor: Visitor, body: Body, rest: str) -> Message | Refusal | None:
    return visitor.act(body, lambda p: delegate.answer(visitor, p, body, rest))


def _help(_visitor: Visitor, _body: Body, _rest: str) -> Message:
    return lists.help_text([(word.name, word.does) for word in WORDS.values()])


# The help, the docs, what is meant by a word that is not here: all of it comes from this table.
WORDS = {
    word.name: word
    for word in (
        Word(
            "request",
            "ask for access, for example `/access request read on orders/shop for 2h: INC-42`",
            _request,
        ),
        Word("my", "what you have and what you wait for", _my),
        Word("tasks", "requests that wait for your decision", _tasks),
        Word(
            "catalog",
            'what there is to have, for example `/access catalog resource_type = "table"`',
            _catalog,
        ),
        Word(
            "why", "why you can have something, or not, for example `/access why orders/shop`", _why
        ),
        Word(
            "delegate",
            "have somebody approve and reject for you, for example "
            "`/access delegate @sam until Friday because leave`; alone, what you lend and received",
            _delegate,
        ),
        Word("help", "this list", _help),
    )
}


def register(table: Table, services: Services) -> None:
    visitor = Visitor(services, table.client)

    def access(ack: Ack, body: Body) -> None:
        typed, rest = (*str(body.get("text") or "").split(maxsplit=1), "", "")[:2]
        word = WORDS.get(typed.casefold() or "help")
        answer = word.answer(visitor, body, rest.strip()) if word else _unknown(typed)
        if isinstance(answer, Refusal):
            ack(text=lists.refusal(answer))
        elif answer:
            ack(text=answer.text, blocks=answer.blocks)
        else:
            ack()

    table.command("/access", access)


def _unknown(typed: str) -> Message:
    nearest = get_close_matches(typed.casefold(), WORDS, n=1)
    return lists.unknown_command(typed, nearest[0] if nearest else None)
