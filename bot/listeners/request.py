"""Asking for access: the modal, its search, its submission."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from slack_bolt import Ack

from bot.listeners.common import NOT_DONE, Body, Entered, Visitor, notice, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import look, requestable
from bot.usecases import request as usecase
from bot.usecases.filling import Changed, Filled, Promise
from bot.usecases.requestable import Offer
from bot.views import cards, ids, request_modal
from bot.views.ids import number, request_id
from bot.views.values import Form, View
from bot.views.why import value_text, wish_modal
from engine.directory import Person, PersonId
from engine.flow import FlowId
from engine.inventory import EntitlementId, ResourceId
from engine.outcome import Code, Refusal
from engine.request import RequestId
from engine.start import Chosen
from engine.targets import ObjectId

Id = TypeVar("Id", ResourceId, EntitlementId, FlowId)

NOT_REQUESTED, NOT_CHANGED = "Not requested", "Not changed"
NOBODY = {Code.UNKNOWN_PERSON, Code.PERSON_INACTIVE}

# Which field of the form a refusal speaks of; what concerns the whole goes to the first.
FIELDS = {
    "grantee": [ids.GRANTEE],
    "entitlement": [],
    "permission": [ids.PERMISSION],
    "duration": [ids.DURATION],
    "start_day": [ids.START_DAY, ids.START],
    "start_time": [ids.START_TIME, ids.START],
    "justification": [ids.JUSTIFICATION],
}


@dataclass(frozen=True, slots=True)
class Asking:
    visitor: Visitor

    def search(self, ack: Ack, body: Body) -> None:
        words, services = str(body.get("value") or ""), self.visitor.services
        _, named, whose = str(body.get("block_id") or "").partition("/")
        if named and not whose:
            ack(options=[])  # for whom it is has to be said first
            return
        grantee = PersonId(whose) if whose else None
        found = self.visitor.act(body, lambda p: requestable.options(services, p, words, grantee))
        if isinstance(found, Refusal):
            ack(options=[])
            return
        whole = self.visitor.act(body, lambda p: requestable.bundles(services, p, words, grantee))
        bundles = [] if isinstance(whole, Refusal) else whole
        if not found and not bundles and words.strip():
            ack(request_modal.wish_option(words))
            return
        systems = {offer.found.resource: offer.found.integration for offer in found}
        several = systems if len(set(systems.values())) > 1 else None
        offered = [(o.found.resource, o.found.path, _about(o)) for o in found]
        as_one = [(b.id, b.name, _in_words("bundle", b.opens)) for b in bundles]
        ack(request_modal.resource_options(offered, several, as_one))

    def people(self, ack: Ack, body: Body) -> None:
        words, services = str(body.get("value") or ""), self.visitor.services
        found = self.visitor.act(body, lambda p: requestable.people(services, p, words))
        some = [] if isinstance(found, Refusal) else found
        ack(request_modal.people_options([(p.id, p.name, p.email) for p in some]))

    def choose_resource(self, ack: Ack, body: Body) -> None:
        chosen = Entered(body.get("view") or {}).chosen(ids.RESOURCE)
        if words := request_modal.wished(chosen):
            self.visitor.open(body, wish_modal(words, value_text(words)))
            ack()
        else:
            self.choose(ack, body)

    def choose(self, ack: Ack, body: Body) -> None:
        filled, services = _filled(body.get("view") or {}), self.visitor.services
        found = self.visitor.act(body, lambda p: usecase.fill(services, p, filled))
        if isinstance(found, Refusal):
            self.visitor.redraw(body, notice(NOT_REQUESTED, found))
        else:
            self.visitor.redraw(body, _view(found))
        ack()

    def submit(self, ack: Ack, body: Body) -> None:
        view, services = body["view"], self.visitor.services
        filled = _filled(view)
        outcome = self.visitor.act(body, lambda p: usecase.submit(services, p, filled, view["id"]))
        if isinstance(outcome, Refusal) and outcome.code in NOBODY:
            ack(response_action="update", view=notice(NOT_REQUESTED, outcome))
        elif isinstance(outcome, Refusal) and filled.instead and not outcome.about:
            ack(response_action="update", view=notice(NOT_CHANGED, outcome))
        elif isinstance(outcome, Refusal):
            named = FIELDS.get(outcome.about, [])
            refuse_at(ack, view, outcome, *named, ids.RESOURCE, title=NOT_REQUESTED)
        elif isinstance(outcome, Changed):
            ack(response_action="update", view=_view((outcome.form, outcome.promise)))
        elif outcome.existing:
            (same,) = outcome.requests
            shown = self.visitor.act(body, lambda p: look.request(services, p, same.id))
            there = None if isinstance(shown, Refusal) else shown
            ack(response_action="update", view=cards.asked_already(same.code, there))
        else:
            ack()

    def again(self, person: Person, value: str) -> tuple[Form, Promise] | Refusal:
        return usecase.again(self.visitor.services, person, request_id(value))

    def more_time(self, person: Person, value: str) -> tuple[Form, Promise] | Refusal:
        return usecase.more_time(self.visitor.services, person, request_id(value))

    def change(self, person: Person, value: str) -> tuple[Form, Promise] | Refusal:
        return usecase.change(self.visitor.services, person, request_id(value))

    def ask(self, person: Person, _: str) -> tuple[Form, Promise] | Refusal:
        return usecase.begin(self.visitor.services, person, "")


def register(table: Table, services: Services) -> None:
    asking = Asking(visitor := Visitor(services, table.client))
    table.options(ids.GRANTEE, asking.people)
    table.action(ids.GRANTEE, asking.choose)
    table.options(ids.RESOURCE, asking.search)
    table.action(ids.RESOURCE, asking.choose_resource)
    table.action(ids.PERMISSION, asking.choose)
    table.action(ids.FLOW, asking.choose)
    for field in (ids.START, ids.START_DAY, ids.START_TIME):
        table.action(field, asking.choose)
    table.view(ids.REQUEST_MODAL, asking.submit)
    table.action(ids.AGAIN, visitor.button(NOT_DONE, asking.again, _view))
    table.action(ids.MORE_TIME, visitor.button(NOT_DONE, asking.more_time, _view))
    table.action(ids.CHANGE, visitor.button(NOT_CHANGED, asking.change, _view))
    table.action(ids.REQUEST_ACCESS, visitor.button(NOT_DONE, asking.ask, _view))


def open_form(visitor: Visitor, person: Person, body: Body, text: str = "") -> Refusal | None:
    """Open the form, filled in as far as the text allows, or return why there is none."""
    opened = usecase.begin(visitor.services, person, text)
    if isinstance(opened, Refusal):
        return opened
    visitor.open(body, _view(opened))
    return None


def _about(offer: Offer) -> str:
    return _in_words(offer.found.type, offer.opens)


def _in_words(what: str, opens: str) -> str:
    return f"{what}, {opens}" if opens else what


def _view(filled: tuple[Form, Promise]) -> View:
    form, promise = filled
    instead = f" {form.instead}" if form.instead else ""
    return request_modal.request_modal(form, metadata=f"{promise.text}{instead}")


def _filled(view: View) -> Filled:
    entered = Entered(view)
    given = next((b.partition("/")[2] for b in entered.blocks if b.startswith(ids.DURATION)), "")
    usual = next((b.rpartition("/")[2] for b in entered.blocks if b.startswith(ids.FLOW)), "")
    flow = _choice(entered, ids.FLOW, FlowId)
    promised, _, instead = str(view.get("private_metadata") or "").partition(" ")
    typed, grantee = entered.text(ids.DURATION), entered.chosen(ids.GRANTEE)
    return Filled(
        grantee=PersonId(grantee) if grantee else None,
        bundle=_bundle(entered),
        resource=_choice(entered, ids.RESOURCE, ResourceId),
        permission=_choice(entered, ids.PERMISSION, EntitlementId),
        picked=flow if str(flow) != usual else None,
        duration=typed,
        prefilled=typed == given,
        justification=entered.text(ids.JUSTIFICATION),
        start=_start(entered),
        promise=Promise(promised),
        instead=RequestId(number(instead)) if instead else None,
    )


def _start(entered: Entered) -> Chosen | None:
    if entered.chosen(ids.START) != request_modal.LATER:
        return None
    blocks = (b for b in entered.blocks if b.startswith(f"{ids.START_TIME}/"))
    _, _, zone = next(blocks, "").partition("/")
    return Chosen(entered.picked(ids.START_DAY), entered.picked(ids.START_TIME), zone)


def _bundle(entered: Entered) -> ObjectId | None:
    _, bundle, chosen = (entered.chosen(ids.RESOURCE) or "").partition(ids.BUNDLE)
    return ObjectId(number(chosen)) if bundle else None


def _choice(entered: Entered, action: str, kind: Callable[[int], Id]) -> Id | None:
    chosen = number(entered.chosen(action))
    return kind(chosen) if chosen else None
