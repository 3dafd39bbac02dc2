"""Asking for access: the modal, its search, its submission."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, clicked, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import look
from bot.usecases import request as usecase
from bot.usecases.request import Changed, Filled, Promise
from bot.views import credentials, ids, lists, request_modal
from bot.views.ids import number, request_id
from bot.views.values import Form, Scene, View
from engine.directory import Person
from engine.duration import in_words
from engine.flow import FlowId
from engine.inventory import EntitlementId, ResourceId
from engine.outcome import Code, Refusal

Id = TypeVar("Id", ResourceId, EntitlementId, FlowId)

NOT_REQUESTED = "Not requested"
NOBODY = {Code.UNKNOWN_PERSON, Code.PERSON_INACTIVE}

# Which field of the form a refusal speaks of; what concerns the whole goes to the first.
FIELDS = {
    "entitlement": ids.RESOURCE,
    "permission": ids.PERMISSION,
    "duration": ids.DURATION,
    "justification": ids.JUSTIFICATION,
}


@dataclass(frozen=True, slots=True)
class Asking:
    visitor: Visitor

    def search(self, ack: Ack, body: Body) -> None:
        person = self.visitor.who(body)
        if isinstance(person, Refusal):
            ack(options=[])
            return
        found = usecase.options(self.visitor.services, person, str(body.get("value") or ""))
        systems = {f.resource: f.integration for f in found}
        several = systems if len(set(systems.values())) > 1 else None
        offered = [(f.resource, f.path, f.type) for f in found]
        ack(request_modal.resource_options(offered, several))

    def choose(self, ack: Ack, body: Body) -> None:
        person = self.visitor.who(body)
        if isinstance(person, Refusal):
            self.visitor.redraw(body, _notice(NOT_REQUESTED, lists.refusal(person)))
        else:
            filled = _filled(body.get("view") or {})
            self.visitor.redraw(body, _view(*usecase.fill(self.visitor.services, person, filled)))
        ack()

    def submit(self, ack: Ack, body: Body) -> None:
        view, services = body["view"], self.visitor.services
        filled = _filled(view)
        outcome = self.visitor.act(body, lambda p: usecase.submit(services, p, filled, view["id"]))
        if isinstance(outcome, Refusal) and outcome.code in NOBODY:
            ack(response_action="update", view=_notice(NOT_REQUESTED, lists.refusal(outcome)))
        elif isinstance(outcome, Refusal):
            named = FIELDS.get(outcome.about, ids.RESOURCE)
            refuse_at(ack, view, outcome, named, ids.RESOURCE, title=NOT_REQUESTED)
        elif isinstance(outcome, Changed):
            ack(response_action="update", view=_view(outcome.form, outcome.promise))
        elif outcome.existing:
            sentence = f"{outcome.request.code} asks for the same already. Nothing new was sent."
            ack(response_action="update", view=_notice("Asked already", sentence))
        else:
            ack()

    def again(self, ack: Ack, body: Body) -> None:
        """Open the form filled in with what an earlier request asked for."""
        person = self.visitor.who(body)
        if isinstance(person, Refusal):
            self.visitor.refuse(body, person)
        elif refusal := usecase.full(self.visitor.services, person):
            self.visitor.refuse(body, refusal)
        else:
            scene = look.scene(self.visitor.services, request_id(clicked(body)), person.id)
            filled = _as_before(scene if scene and _is_party(person, scene) else None)
            self.visitor.open(body, _view(*usecase.fill(self.visitor.services, person, filled)))
        ack()

    def ask(self, ack: Ack, body: Body) -> None:
        refusal = self.visitor.act(body, lambda p: open_form(self.visitor, p, body))
        if refusal:
            self.visitor.refuse(body, refusal)
        ack()


def register(table: Table, services: Services) -> None:
    asking = Asking(Visitor(services, table.client))
    table.options(ids.RESOURCE, asking.search)
    table.action(ids.RESOURCE, asking.choose)
    table.action(ids.PERMISSION, asking.choose)
    table.action(ids.FLOW, asking.choose)
    table.view(ids.REQUEST_MODAL, asking.submit)
    table.action(ids.AGAIN, asking.again)
    table.action(ids.REQUEST_ACCESS, asking.ask)


def open_form(visitor: Visitor, person: Person, body: Body, text: str = "") -> Refusal | None:
    """Open the form, filled in as far as the text allows, or return why there is none."""
    opened = usecase.begin(visitor.services, person, text)
    if isinstance(opened, Refusal):
        return opened
    visitor.open(body, _view(*opened))
    return None


def _view(form: Form, promise: Promise) -> View:
    return request_modal.request_modal(form, metadata=promise.text)


def _filled(view: View) -> Filled:
    entered = Entered(view)
    given = next((b.partition("/")[2] for b in entered.blocks if b.startswith(ids.DURATION)), "")
    usual = next((b.rpartition("/")[2] for b in entered.blocks if b.startswith(ids.FLOW)), "")
    flow = _choice(entered, ids.FLOW, FlowId)
    typed = entered.text(ids.DURATION)
    return Filled(
        resource=_choice(entered, ids.RESOURCE, ResourceId),
        permission=_choice(entered, ids.PERMISSION, EntitlementId),
        picked=flow if str(flow) != usual else None,
        duration=typed,
        prefilled=typed == given,
        justification=entered.text(ids.JUSTIFICATION),
        promise=Promise(str(view.get("private_metadata") or "")),
    )


def _choice(entered: Entered, action: str, kind: Callable[[int], Id]) -> Id | None:
    chosen = number(entered.chosen(action))
    return kind(chosen) if chosen else None


def _is_party(person: Person, scene: Scene) -> bool:
    """Tell whether it is theirs, under the id that they have or had."""
    parties = (scene.directory.get(party) for party in scene.request.parties)
    return person.id in {party.id for party in parties if party}


def _as_before(scene: Scene | None) -> Filled:
    known = next(iter(scene.entitlements.values()), None) if scene else None
    return Filled(
        resource=known.resource.id if known else None,
        permission=known.id if known else None,
        picked=scene.request.flow if scene else None,
        duration=in_words(scene.request.duration) if scene else "",
        prefilled=scene is None,
        justification=scene.request.justification if scene else "",
        promise=Promise(),
    )


def _notice(title: str, sentence: str) -> View:
    return credentials.notice_modal(title, sentence)
