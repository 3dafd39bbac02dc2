"""Approving and rejecting: the buttons open a modal, the modal decides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from slack_bolt import Ack

from bot.listeners.common import (
    Body,
    Entered,
    Listener,
    Visitor,
    clicked,
    left_out,
    notice,
    refuse_at,
)
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.slack.once import form_id
from bot.usecases import decide, endless
from bot.views import ids
from bot.views.background import more_modal
from bot.views.decide_modals import (
    approve_modal,
    end_modal,
    is_whole,
    leaving_out,
    reject_modal,
)
from bot.views.endless import endless_modal
from bot.views.ids import request_id
from bot.views.request_modal import block_of
from bot.views.things import MENU
from bot.views.values import Ending, Endless, Scene, View
from engine import duration
from engine.commands import Approve, Command, Reject
from engine.directory import Person
from engine.outcome import Decision, Refusal
from engine.request import RequestId

NOT_DECIDED, NOT_ENDED, NOT_SHOWN = "Not decided", "Not ended", "Not shown"
FIELDS = {
    "reason": [ids.REASON],
    "duration": [ids.SHORTER],
    "things": [ids.THINGS, ids.LEAVE_OUT],
}


class Draw(Protocol):
    def __call__(self, scene: Scene, *, whole: bool = ..., shorter: str = ...) -> View: ...


Form = tuple[type[Approve] | type[Reject], Draw]
APPROVING: Form = (Approve, approve_modal)
REJECTING: Form = (Reject, reject_modal)


@dataclass(frozen=True, slots=True)
class Deciding:
    visitor: Visitor

    def button(self, form: Form) -> Listener:
        """Return the listener of a button that opens the form."""
        kind, draw = form

        def question(person: Person, value: str) -> Scene | Refusal:
            return decide.question(self.visitor.services, request_id(value), person, kind)

        return self.visitor.button(NOT_DECIDED, question, draw)

    def unfold(self, ack: Ack, body: Body) -> None:
        self._redraw(body, clicked(body))
        ack()

    def type_time(self, ack: Ack, body: Body) -> None:
        """Ask whether extensions are kept while what stands in the field is a time."""
        view = body.get("view") or {}
        asked = block_of(view.get("blocks") or [], ids.KEEP) is not None
        if isinstance(_time_in(view), timedelta) is not asked:
            self._redraw(body, str(view.get("private_metadata") or ""))
        ack()

    def _redraw(self, body: Body, metadata: str) -> None:
        """Draw the form anew. What was typed stays in it."""
        view, services = body.get("view") or {}, self.visitor.services
        kind, draw = REJECTING if view.get("callback_id") == ids.REJECT_MODAL else APPROVING
        id_ = request_id(metadata)
        found = self.visitor.act(body, lambda p: decide.question(services, id_, p, kind))
        if isinstance(found, Refusal):
            self.visitor.redraw(body, notice(NOT_DECIDED, found))
        else:
            shorter = Entered(view).text(ids.SHORTER)
            self.visitor.redraw(body, draw(found, whole=is_whole(metadata), shorter=shorter))

    def approve(self, ack: Ack, body: Body) -> None:
        entered, shorter = Entered(body["view"]), _time_in(body["view"])
        if isinstance(shorter, Refusal):
            refuse_at(ack, body["view"], shorter, ids.SHORTER, title=NOT_DECIDED)
            return
        reason, keep = entered.text(ids.REASON), entered.ticked(ids.KEEP)
        without = left_out(body["view"], ids.LEAVE_OUT)
        self._decide(
            ack, body, lambda p: Approve(p.id, reason, shorter, keep, form_id(body), without)
        )

    def leaving_out(self, ack: Ack, body: Body) -> None:
        """Find, of very many things, those to be left out."""
        id_ = request_id(str((body.get("view") or {}).get("private_metadata") or ""))
        services, words = self.visitor.services, str(body.get("value") or "")
        found = self.visitor.act(body, lambda p: decide.question(services, id_, p, Approve))
        options = [] if isinstance(found, Refusal) else leaving_out(found, words)
        ack(options=options[:MENU])

    def reject(self, ack: Ack, body: Body) -> None:
        reason = Entered(body["view"]).text(ids.REASON)
        self._decide(ack, body, lambda p: Reject(p.id, reason))

    def more(self, person: Person, value: str) -> Scene | Refusal:
        return decide.more(self.visitor.services, request_id(value), person)

    def endless(self, person: Person, _: str) -> list[Endless] | Refusal:
        return endless.listed(self.visitor.services, person)

    def concerning(self, person: Person, value: str) -> Ending | Refusal:
        return decide.concerning(self.visitor.services, request_id(value), person)

    def end(self, ack: Ack, body: Body) -> None:
        entered, services = Entered(body["view"]), self.visitor.services
        reason, also = entered.text(ids.REASON), entered.several(ids.ALSO) != []
        self._send(
            ack, body, lambda p, id_: decide.end(services, id_, p, reason, also=also), NOT_ENDED
        )

    def _decide(self, ack: Ack, body: Body, command: Callable[[Person], Command]) -> None:
        services = self.visitor.services
        self._send(ack, body, lambda p, id_: decide.do(services, p, id_, command(p)))

    def _send(
        self,
        ack: Ack,
        body: Body,
        use: Callable[[Person, RequestId], Decision | Refusal],
        title: str = NOT_DECIDED,
    ) -> None:
        """Do what a modal about a request is sent for. Why not is said in it."""
        id_ = request_id(str(body["view"].get("private_metadata") or ""))
        outcome = self.visitor.act(body, lambda p: use(p, id_))
        if isinstance(outcome, Refusal):
            fields = FIELDS.get(outcome.about, [])
            refuse_at(ack, body["view"], outcome, *fields, title=title)
        else:
            ack()


def register(table: Table, services: Services) -> None:
    deciding = Deciding(visitor := Visitor(services, table.client))
    table.action(ids.APPROVE, deciding.button(APPROVING))
    table.action(ids.REJECT, deciding.button(REJECTING))
    table.action(ids.MORE, visitor.button(NOT_SHOWN, deciding.more, more_modal))
    table.action(ids.WHOLE, deciding.unfold)
    table.options(ids.LEAVE_OUT, deciding.leaving_out)
    table.action(ids.SHORTER, deciding.type_time)
    table.action(ids.SHOW, visitor.button(NOT_SHOWN, deciding.concerning, end_modal))
    table.action(ids.ENDLESS, visitor.button(NOT_SHOWN, deciding.endless, endless_modal))
    table.view(ids.END_MODAL, deciding.end)
    table.view(ids.APPROVE_MODAL, deciding.approve)
    table.view(ids.REJECT_MODAL, deciding.reject)


def _time_in(view: View) -> timedelta | Refusal | None:
    """Return the time that was typed, why it is none, or None: nothing was."""
    text = Entered(view).text(ids.SHORTER).strip()
    return duration.parse(text) if text else None
