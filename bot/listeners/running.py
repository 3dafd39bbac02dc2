"""What people do with what they asked for: cancel, extend, return, log in."""

from collections.abc import Callable
from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Visitor, clicked
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import credentials as usecase
from bot.usecases import decide
from bot.views import credentials, ids, lists
from bot.views.ids import number, request_id
from bot.views.values import Credentials, View
from engine.commands import Cancel, Command, Extend, Return
from engine.directory import Person
from engine.outcome import Refusal
from engine.request import AccountId

Listener = Callable[[Ack, Body], None]


@dataclass(frozen=True, slots=True)
class Running:
    visitor: Visitor

    def button(self, title: str, command: Callable[[Person, str], Command]) -> Listener:
        """Return the listener of a button that is a command to its request."""

        def press(ack: Ack, body: Body) -> None:
            value, services = clicked(body), self.visitor.services
            outcome = self.visitor.act(
                body, lambda p: decide.do(services, p, request_id(value), command(p, value))
            )
            if isinstance(outcome, Refusal):
                self.visitor.refuse(body, outcome, title)
            ack()

        return press

    def show(self, ack: Ack, body: Body) -> None:
        id_, services = request_id(clicked(body)), self.visitor.services
        shown = self.visitor.act(body, lambda p: usecase.show(services, p, id_))
        self.visitor.open(body, _credentials(shown))
        ack()

    def saved(self, ack: Ack, body: Body) -> None:
        account, services = AccountId(request_id(clicked(body))), self.visitor.services
        refusal = self.visitor.act(body, lambda p: usecase.saved(services, p, account))
        drawn = _credentials(refusal) if refusal else credentials.saved_modal()
        self.visitor.redraw(body, drawn)
        ack()

    def reset(self, ack: Ack, body: Body) -> None:
        account, services = AccountId(request_id(clicked(body))), self.visitor.services
        shown = self.visitor.act(body, lambda p: usecase.reset(services, p, account))
        self.visitor.redraw(body, _credentials(shown))
        ack()


def register(table: Table, services: Services) -> None:
    running = Running(Visitor(services, table.client))
    cancel = running.button("Not cancelled", lambda p, _: Cancel(p.id))
    extend = running.button("Not extended", lambda p, value: Extend(p.id, _number(value)))
    return_ = running.button("Not returned", lambda p, _: Return(p.id))
    table.action(ids.CANCEL, cancel)
    table.action(ids.EXTEND, extend)
    table.action(ids.RETURN, return_)
    table.action(ids.CREDENTIALS, running.show)
    table.action(ids.SAVED, running.saved)
    table.action(ids.RESET, running.reset)


def _credentials(shown: list[Credentials] | Refusal) -> View:
    if isinstance(shown, Refusal):
        return credentials.notice_modal("Credentials", lists.refusal(shown))
    return credentials.credentials_modal(shown)


def _number(value: str) -> int:
    """Return which extension the button offered; 0 is none."""
    _, _, text = value.partition("/")
    return number(text)
