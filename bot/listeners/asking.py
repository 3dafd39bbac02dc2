"""What people say to each other about a request that waits: nudges, questions, answers."""

from collections.abc import Callable
from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import Body, Entered, Visitor, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.slack.once import form_id
from bot.usecases import decide, look
from bot.views import ids
from bot.views.asking import answer_modal, question_modal, questions_modal
from bot.views.ids import request_id, second_number
from bot.views.values import Scene
from engine.commands import Answer, Command, Nudge, PutQuestion
from engine.directory import Person, PersonId
from engine.outcome import Refusal

NOT_NUDGED, NOT_ASKED, NOT_ANSWERED = "Not nudged", "Not asked", "Not answered"
QUESTIONS = "Questions"


@dataclass(frozen=True, slots=True)
class Asking:
    visitor: Visitor

    def asking(self, person: Person, value: str) -> Scene | Refusal:
        return decide.question(self.visitor.services, request_id(value), person, PutQuestion)

    def answering(self, person: Person, value: str) -> tuple[Scene, int] | Refusal:
        number = second_number(value)

        def trial(by: PersonId) -> Command:
            return Answer(by, number)

        found = decide.question(self.visitor.services, request_id(value), person, trial)
        return found if isinstance(found, Refusal) else (found, number)

    def listed(self, person: Person, value: str) -> Scene | Refusal:
        return look.questions(self.visitor.services, person, request_id(value))

    def ask(self, ack: Ack, body: Body) -> None:
        entered, key = Entered(body["view"]), form_id(body)
        text, first = entered.text(ids.TEXT), entered.ticked(ids.FIRST)
        self._send(ack, body, lambda p: PutQuestion(p, text, key, first), NOT_ASKED)

    def answer(self, ack: Ack, body: Body) -> None:
        text = Entered(body["view"]).text(ids.TEXT)
        number = second_number(_metadata(body))
        self._send(ack, body, lambda p: Answer(p, number, text, form_id(body)), NOT_ANSWERED)

    def _send(
        self, ack: Ack, body: Body, command: Callable[[PersonId], Command], title: str
    ) -> None:
        services, id_ = self.visitor.services, request_id(_metadata(body))
        done = self.visitor.act(body, lambda p: decide.do(services, p, id_, command(p.id)))
        if isinstance(done, Refusal):
            refuse_at(ack, body["view"], done, *filter(None, [done.about]), title=title)
        else:
            ack()


def register(table: Table, services: Services) -> None:
    asking = Asking(visitor := Visitor(services, table.client))
    table.action(ids.NUDGE, visitor.commanding(NOT_NUDGED, lambda by, _, key: Nudge(by, key)))
    table.action(ids.ASK, visitor.button(NOT_ASKED, asking.asking, question_modal))
    table.action(
        ids.ANSWER, visitor.button(NOT_ANSWERED, asking.answering, lambda a: answer_modal(*a))
    )
    table.action(ids.QUESTIONS, visitor.button(QUESTIONS, asking.listed, questions_modal))
    table.view(ids.ASK_MODAL, asking.ask)
    table.view(ids.ANSWER_MODAL, asking.answer)


def _metadata(body: Body) -> str:
    return str(body["view"].get("private_metadata") or "")
