"""Asking why: a name, what somebody can have of it, and why not."""

from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import why as usecase
from bot.views import ids
from bot.views.values import Why
from bot.views.why import value_of, why_modal
from engine.directory import Person
from engine.inventory import ResourceId
from engine.outcome import Refusal

NOT_EXPLAINED = "Why"


@dataclass(frozen=True, slots=True)
class Wondering:
    visitor: Visitor

    def ask(self, ack: Ack, body: Body) -> None:
        view, services = body["view"], self.visitor.services
        words = Entered(view).text(ids.WHY_WORDS)
        found = self.visitor.act(body, lambda p: usecase.ask(services, p, words))
        if isinstance(found, Refusal):
            refuse_at(ack, view, found, ids.WHY_WORDS, title=NOT_EXPLAINED)
        else:
            ack(response_action="update", view=why_modal(found))

    def about(self, person: Person, value: str) -> Why | Refusal:
        resource, words = value_of(value)
        return usecase.about(self.visitor.services, person, ResourceId(resource), words)


def open_why(visitor: Visitor, person: Person, body: Body, text: str) -> Refusal | None:
    """Open the explanation of what is called so, or return why there is none."""
    found = usecase.ask(visitor.services, person, text)
    if isinstance(found, Refusal):
        return found
    visitor.open(body, why_modal(found))
    return None


def register(table: Table, services: Services) -> None:
    wondering = Wondering(visitor := Visitor(services, table.client))
    table.view(ids.WHY_MODAL, wondering.ask)
    table.action(ids.WHY_ABOUT, visitor.redrawing(NOT_EXPLAINED, wondering.about, why_modal))
