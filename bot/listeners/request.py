"""Asking for access: the modal, its search, its submission."""

from typing import Any

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor, clicked, request_id
from bot.services import Services
from bot.usecases import look
from bot.usecases import request as usecase
from bot.usecases.request import Changed, Filled, Promise
from bot.views import credentials, ids, lists, request_modal
from bot.views.values import Form, View
from engine.directory import Person
from engine.inventory import EntitlementId, ResourceId
from engine.outcome import Refusal

# Which field of the form a refusal speaks of; what concerns the whole goes to the first.
FIELDS = {
    "entitlement": ids.RESOURCE,
    "permission": ids.PERMISSION,
    "duration": ids.DURATION,
    "justification": ids.JUSTIFICATION,
}


def register(app: App, services: Services) -> None:
    visitor = Visitor(services, app.client)

    def search(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        if isinstance(person, Refusal):
            ack(options=[])
            return
        found = usecase.options(services, person, str(body.get("value") or ""))
        ack(request_modal.resource_options(found))

    def choose(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        if not isinstance(person, Refusal):
            form, promise = usecase.fill(services, person, _filled(body["view"]))
            view = _view(form, promise)
            app.client.views_update(
                view_id=body["view"]["id"], hash=body["view"]["hash"], view=view
            )
        ack()

    def submit(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        view = body["view"]
        if isinstance(person, Refusal):
            ack(response_action="update", view=_notice("Not requested", person))
            return
        outcome = usecase.submit(services, person, _filled(view), view["id"])
        if isinstance(outcome, Refusal):
            _show_refusal(ack, view, outcome)
        elif isinstance(outcome, Changed):
            ack(response_action="update", view=_view(outcome.form, outcome.promise))
        elif outcome.existing:
            sentence = f"{outcome.request.code} asks for the same already. Nothing new was sent."
            ack(response_action="update", view=credentials.notice_modal("Already asked", sentence))
        else:
            ack()

    def again(ack: Ack, body: Body) -> None:
        """Open the form filled in with what an earlier request asked for."""
        person = visitor.who(body)
        if isinstance(person, Refusal):
            visitor.refuse(body, person)
        else:
            scene = look.scene(services, request_id(clicked(body)), person.id)
            mine = scene is not None and person.id in scene.request.parties
            known = list(scene.entitlements.values()) if scene and mine else []
            filled = Filled(
                resource=known[0].resource.id if known else None,
                permission=known[0].id if known else None,
                duration="",
                justification=scene.request.justification if scene and mine else "",
                promise=Promise(),
            )
            visitor.open(body, _view(*usecase.fill(services, person, filled)))
        ack()

    def ask(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        refusal = person if isinstance(person, Refusal) else open_form(visitor, person, body)
        if refusal:
            visitor.refuse(body, refusal)
        ack()

    app.options(ids.RESOURCE)(search)
    app.action(ids.RESOURCE)(choose)
    app.action(ids.PERMISSION)(choose)
    app.view(ids.REQUEST_MODAL)(submit)
    app.action(ids.AGAIN)(again)
    app.action(ids.REQUEST_ACCESS)(ask)


def open_form(visitor: Visitor, person: Person, body: Body, text: str = "") -> Refusal | None:
    """Open an empty form, or return why there is nothing to ask for."""
    notes = [f"Not understood: “{text[:200]}”. Please choose below."] if text else []
    form = usecase.blank(visitor.services, person, notes)
    if isinstance(form, Refusal):
        return form
    visitor.open(body, _view(form, Promise()))
    return None


def _view(form: Form, promise: Promise) -> View:
    return {**request_modal.request_modal(form), "private_metadata": promise.text}


def _filled(view: View) -> Filled:
    state: dict[str, Any] = {
        action: value
        for block in view["state"]["values"].values()
        for action, value in block.items()
    }
    return Filled(
        resource=_choice(state, ids.RESOURCE, ResourceId),
        permission=_choice(state, ids.PERMISSION, EntitlementId),
        duration=str(state.get(ids.DURATION, {}).get("value") or ""),
        justification=str(state.get(ids.JUSTIFICATION, {}).get("value") or ""),
        promise=Promise(str(view.get("private_metadata") or "")),
    )


def _choice(state: dict[str, Any], action: str, kind: Any) -> Any:  # noqa: ANN401  (an id type)
    value = (state.get(action, {}).get("selected_option") or {}).get("value", "")
    return kind(int(value)) if value.isdecimal() and len(value) < 16 else None


def _show_refusal(ack: Ack, view: View, refusal: Refusal) -> None:
    """Say it at the field that it speaks of, so that nothing that was typed is lost."""
    blocks = [b["block_id"] for b in view["blocks"] if b["type"] == "input"]
    field = FIELDS.get(refusal.about, "")
    block = next((b for b in blocks if field and b.split("/")[0] == field), blocks[0])
    ack(response_action="errors", errors={block: lists.refusal(refusal)})


def _notice(title: str, refusal: Refusal) -> View:
    return credentials.notice_modal(title, lists.refusal(refusal))
