"""Asking why: a name, what somebody can have of it, and why not."""

from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import why as usecase
from bot.usecases import wishes
from bot.views import ids
from bot.views.values import Why
from bot.views.why import value_of, why_modal, wish_modal, wished_modal
from engine.directory import Person
from engine.inventory import ResourceId
from engine.outcome import Refusal

NOT_EXPLAINED, NOT_TOLD = "Why", "Not told"


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

    def wanted(self, person: Person, value: str) -> tuple[str, str] | Refusal:
        """Return what the thing is called that a button is about, and the button's value."""
        resource, words = value_of(value)
        if not resource:
            return words, value
        found = usecase.about(self.visitor.services, person, ResourceId(resource), words)
        if isinstance(found, Refusal):
            return found
        return found.of[1] if found.of else words, value

    def tell(self, ack: Ack, body: Body) -> None:
        view, services = body["view"], self.visitor.services
        resource, words = value_of(str(view.get("private_metadata") or ""))
        reason, of = Entered(view).text(ids.REASON), ResourceId(resource) if resource else None
        told = self.visitor.act(body, lambda p: wishes.wish(services, p, words, of, reason))
        if isinstance(told, Refusal):
            refuse_at(ack, view, told, ids.REASON, title=NOT_TOLD)
        else:
            ack(response_action="update", view=wished_modal(told.called))


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
    ask = visitor.button(NOT_TOLD, wondering.wanted, lambda wanted: wish_modal(*wanted))
    table.action(ids.WISH, ask)
    table.view(ids.WISH_MODAL, wondering.tell)
    table.action(ids.WHY_ABOUT, visitor.redrawing(NOT_EXPLAINED, wondering.about, why_modal))
