"""Approving and rejecting: the buttons open a modal, the modal decides."""

from collections.abc import Callable
from typing import Any

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor, clicked, request_id
from bot.services import Services
from bot.usecases import decide
from bot.views import credentials, decide_modals, ids, lists
from bot.views.text import refusal_in_plain_text
from bot.views.values import View
from engine import duration
from engine.commands import Approve, Command, Reject
from engine.directory import Person
from engine.outcome import Refusal

FIELDS = {"reason": ids.REASON, "duration": ids.SHORTER}


def register(app: App, services: Services) -> None:
    visitor = Visitor(services, app.client)

    def open_approve(ack: Ack, body: Body) -> None:
        _open(visitor, body, Approve)
        ack()

    def open_reject(ack: Ack, body: Body) -> None:
        _open(visitor, body, Reject)
        ack()

    def approve(ack: Ack, body: Body) -> None:
        values = _values(body["view"])
        text = str(values.get(ids.SHORTER, {}).get("value") or "").strip()
        shorter = duration.parse(text) if text else None
        if isinstance(shorter, Refusal):
            ack(response_action="errors", errors={ids.SHORTER: refusal_in_plain_text(shorter)})
            return
        keep = bool(values.get(ids.KEEP, {}).get("selected_options"))
        _decide(visitor, ack, body, lambda p: Approve(p.id, _reason(values), shorter, keep))

    def reject(ack: Ack, body: Body) -> None:
        values = _values(body["view"])
        _decide(visitor, ack, body, lambda p: Reject(p.id, _reason(values)))

    app.action(ids.APPROVE)(open_approve)
    app.action(ids.REJECT)(open_reject)
    app.view(ids.APPROVE_MODAL)(approve)
    app.view(ids.REJECT_MODAL)(reject)


def _open(visitor: Visitor, body: Body, kind: type[Approve] | type[Reject]) -> None:
    person = visitor.who(body)
    question = (
        person
        if isinstance(person, Refusal)
        else decide.question(visitor.services, request_id(clicked(body)), person, kind)
    )
    if isinstance(question, Refusal):
        visitor.refuse(body, question, "Not decided")
        return
    draw = decide_modals.approve_modal if kind is Approve else decide_modals.reject_modal
    visitor.open(body, draw(question))


def _decide(visitor: Visitor, ack: Ack, body: Body, command: Callable[[Person], Command]) -> None:
    person = visitor.who(body)
    id_ = request_id(str(body["view"].get("private_metadata") or ""))
    outcome = (
        person
        if isinstance(person, Refusal)
        else decide.do(visitor.services, person, id_, command(person))
    )
    if not isinstance(outcome, Refusal):
        ack()
    elif outcome.about in FIELDS:
        ack(
            response_action="errors", errors={FIELDS[outcome.about]: refusal_in_plain_text(outcome)}
        )
    else:
        notice = credentials.notice_modal("Not decided", lists.refusal(outcome))
        ack(response_action="update", view=notice)


def _values(view: View) -> dict[str, Any]:
    return {
        action: value
        for block in view["state"]["values"].values()
        for action, value in block.items()
    }


def _reason(values: dict[str, Any]) -> str:
    return str(values.get(ids.REASON, {}).get("value") or "")
