"""Approving and rejecting: the buttons open a modal, the modal decides."""

from collections.abc import Callable

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import decide
from bot.views import decide_modals, ids
from bot.views.decide_modals import end_modal
from bot.views.ids import request_id
from bot.views.values import Scene
from engine import duration
from engine.commands import Approve, Cancel, Command, Reject, Revoke
from engine.directory import Person
from engine.outcome import Decision, Refusal
from engine.request import RequestId

NOT_DECIDED, NOT_ENDED, NOT_SHOWN = "Not decided", "Not ended", "Not shown"
Concerning = tuple[Scene, type[Cancel] | type[Revoke] | None]
FIELDS = {"reason": ids.REASON, "duration": ids.SHORTER}


def register(table: Table, services: Services) -> None:
    visitor = Visitor(services, table.client)

    def asked(kind: type[Approve] | type[Reject]) -> Callable[[Person, str], Scene | Refusal]:
        return lambda p, value: decide.question(services, request_id(value), p, kind)

    def approve(ack: Ack, body: Body) -> None:
        entered = Entered(body["view"])
        text = entered.text(ids.SHORTER).strip()
        shorter = duration.parse(text) if text else None
        if isinstance(shorter, Refusal):
            refuse_at(ack, body["view"], shorter, ids.SHORTER, title=NOT_DECIDED)
            return
        reason, keep = entered.text(ids.REASON), entered.ticked(ids.KEEP)
        _decide(visitor, ack, body, lambda p: Approve(p.id, reason, shorter, keep))

    def reject(ack: Ack, body: Body) -> None:
        reason = Entered(body["view"]).text(ids.REASON)
        _decide(visitor, ack, body, lambda p: Reject(p.id, reason))

    for id_, kind, draw in (
        (ids.APPROVE, Approve, decide_modals.approve_modal),
        (ids.REJECT, Reject, decide_modals.reject_modal),
    ):
        table.action(id_, visitor.button(NOT_DECIDED, asked(kind), draw))

    def concerning(person: Person, value: str) -> Concerning | Refusal:
        return decide.concerning(services, request_id(value), person)

    def end(ack: Ack, body: Body) -> None:
        reason = Entered(body["view"]).text(ids.REASON)
        _send(visitor, ack, body, lambda p, id_: decide.end(services, id_, p, reason), NOT_ENDED)

    table.action(ids.SHOW, visitor.button(NOT_SHOWN, concerning, lambda c: end_modal(*c)))
    table.view(ids.END_MODAL, end)
    table.view(ids.APPROVE_MODAL, approve)
    table.view(ids.REJECT_MODAL, reject)


def _decide(visitor: Visitor, ack: Ack, body: Body, command: Callable[[Person], Command]) -> None:
    _send(visitor, ack, body, lambda p, id_: decide.do(visitor.services, p, id_, command(p)))


def _send(
    visitor: Visitor,
    ack: Ack,
    body: Body,
    use: Callable[[Person, RequestId], Decision | Refusal],
    title: str = NOT_DECIDED,
) -> None:
    """Do what a modal about a request is sent for. Why not is said in it."""
    id_ = request_id(str(body["view"].get("private_metadata") or ""))
    outcome = visitor.act(body, lambda p: use(p, id_))
    if isinstance(outcome, Refusal):
        fields = [FIELDS[outcome.about]] if outcome.about in FIELDS else []
        refuse_at(ack, body["view"], outcome, *fields, title=title)
    else:
        ack()
