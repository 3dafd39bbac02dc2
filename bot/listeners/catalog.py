"""Looking through the catalogue: a query, page by page."""

from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, notice, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import catalog as usecase
from bot.usecases.catalog import Place
from bot.views import ids
from bot.views.catalog import LONGEST, catalog_modal, fits, mending_modal, place_of
from bot.views.values import Catalog
from engine.directory import Person
from engine.inventory import EntitlementId
from engine.outcome import Code, Refusal

NOT_FOUND = "Catalogue"
TOO_LONG = Refusal(
    Code.TEXT_TOO_LONG,
    f"In Slack a query has at most {LONGEST:,} characters, where a quote counts as two. "
    "In a terminal, `latchkey aql run` takes 10,000.",
    about="query",
)


@dataclass(frozen=True, slots=True)
class Looking:
    visitor: Visitor

    def search(self, ack: Ack, body: Body) -> None:
        view = body["view"]
        found = self.find(body, Entered(view).text(ids.CATALOG_QUERY), Place())
        if isinstance(found, Refusal):
            refuse_at(ack, view, found, ids.CATALOG_QUERY, title=NOT_FOUND)
        else:
            ack(response_action="update", view=catalog_modal(found))

    def turn(self, ack: Ack, body: Body) -> None:
        view = body.get("view") or {}
        last, passed = place_of(str(body["actions"][0].get("value") or ""))
        place = Place(EntitlementId(last) if last else None, passed)
        found = self.find(body, str(view.get("private_metadata") or ""), place)
        drawn = notice(NOT_FOUND, found) if isinstance(found, Refusal) else catalog_modal(found)
        self.visitor.redraw(body, drawn)
        ack()

    def find(self, body: Body, text: str, place: Place) -> Catalog | Refusal:
        return self.visitor.act(body, lambda person: look(self.visitor, person, text, place))


def look(visitor: Visitor, person: Person, text: str, place: Place) -> Catalog | Refusal:
    if not fits(text):
        return TOO_LONG
    return usecase.browse(visitor.services, person, text, place)


def open_catalog(visitor: Visitor, person: Person, body: Body, text: str) -> Refusal | None:
    """Open the catalogue on what the query selects, or return why not.

    What is no query can be mended there.
    """
    found = look(visitor, person, text, Place())
    if not isinstance(found, Refusal):
        visitor.open(body, catalog_modal(found))
    elif found.code is Code.BAD_QUERY:
        visitor.open(body, mending_modal(text, found))
    else:
        return found
    return None


def register(table: Table, services: Services) -> None:
    looking = Looking(Visitor(services, table.client))
    table.view(ids.CATALOG_MODAL, looking.search)
    table.action(ids.CATALOG_NEXT, looking.turn)
    table.action(ids.CATALOG_START, looking.turn)
