"""What people do with what they asked for, or approved: cancel, withdraw, extend, return."""

from collections.abc import Callable
from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Visitor, left_out, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import credentials as usecase
from bot.usecases import decide
from bot.views import credentials, ids
from bot.views.ids import request_id, second_number
from bot.views.return_modal import keeping, return_modal
from bot.views.things import MENU
from bot.views.values import Credentials, Scene
from engine.commands import Cancel, Command, Extend, Return, Withdraw
from engine.directory import Person, PersonId
from engine.outcome import Refusal
from engine.request import AccountId

CREDENTIALS, NOT_RETURNED = "Credentials", "Not returned"


@dataclass(frozen=True, slots=True)
class Running:
    visitor: Visitor

    def returning(self, person: Person, value: str) -> Scene | Refusal:
        return decide.returning(self.visitor.services, request_id(value), person)

    def keeping(self, ack: Ack, body: Body) -> None:
        """Find, of very many things, those to be kept."""
        view, words = body.get("view") or {}, str(body.get("value") or "")
        metadata = str(view.get("private_metadata") or "")
        found = self.visitor.act(body, lambda p: self.returning(p, metadata))
        options = [] if isinstance(found, Refusal) else keeping(found, words)
        ack(options=options[:MENU])

    def return_(self, ack: Ack, body: Body) -> None:
        view, services = body["view"], self.visitor.services
        id_ = request_id(str(view.get("private_metadata") or ""))
        kept = left_out(view, ids.KEEP_THINGS)
        outcome = self.visitor.act(body, lambda p: decide.do(services, p, id_, Return(p.id, kept)))
        if isinstance(outcome, Refusal):
            fields = (ids.THINGS, ids.KEEP_THINGS) if outcome.about else ()
            refuse_at(ack, view, outcome, *fields, title=NOT_RETURNED)
        else:
            ack()

    def show(self, person: Person, value: str) -> list[Credentials] | Refusal:
        return usecase.show(self.visitor.services, person, request_id(value))

    def saved(self, person: Person, value: str) -> Refusal | None:
        return usecase.saved(self.visitor.services, person, AccountId(request_id(value)))

    def reset(self, person: Person, value: str) -> list[Credentials] | Refusal:
        return usecase.reset(self.visitor.services, person, AccountId(request_id(value)))


def register(table: Table, services: Services) -> None:
    running = Running(visitor := Visitor(services, table.client))
    commands: dict[str, tuple[str, Callable[[PersonId, str, str], Command]]] = {
        ids.WITHDRAW: ("Not withdrawn", lambda by, _, key: Withdraw(by, key)),
        ids.CANCEL: ("Not cancelled", lambda by, *_: Cancel(by)),
        ids.EXTEND: ("Not extended", lambda by, value, _: Extend(by, second_number(value))),
        ids.RETURN: (NOT_RETURNED, lambda by, *_: Return(by)),
    }
    for button, (title, command) in commands.items():
        table.action(button, visitor.commanding(title, command))
    draw = credentials.credentials_modal
    table.action(ids.RETURN_SOME, visitor.button(NOT_RETURNED, running.returning, return_modal))
    table.options(ids.KEEP_THINGS, running.keeping)
    table.view(ids.RETURN_MODAL, running.return_)
    table.action(ids.CREDENTIALS, visitor.button(CREDENTIALS, running.show, draw))
    table.action(
        ids.SAVED,
        visitor.redrawing(CREDENTIALS, running.saved, lambda _: credentials.saved_modal()),
    )
    table.action(ids.RESET, visitor.redrawing(CREDENTIALS, running.reset, draw))
