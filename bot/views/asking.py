"""What was asked about a request, and answered: on its cards, and in forms."""

from bot.views import ids, phrases
from bot.views.blocks import actions, context, input_, modal, plain_text, section
from bot.views.rich import quotation
from bot.views.text import capital, when
from bot.views.values import Block, Scene, View
from engine.duration import in_words
from engine.life.asking import MAX_TEXT, asked_first
from engine.life.pending import LONGEST_ANSWER
from engine.request import Question

__all__ = ["WHOLE", "answer_modal", "last_question", "question_modal", "questions_modal"]

WHOLE = 2900  # letters, as Slack counts them, that leave nothing out
_TYPED = 3000  # Slack's own limit: what passes here and is too long, the engine says


def last_question(scene: Scene, limit: int = WHOLE) -> list[Block]:
    """Quote what was asked last, and its answer; nothing: nothing was asked."""
    return _quoted(scene, scene.request.questions[-1], limit) if scene.request.questions else []


def question_modal(scene: Scene) -> View:
    """The form of an approver who wants to know something."""
    asked = phrases.who(scene, scene.request.requestor)
    who = section(f"{capital(asked)} will be asked, and whoever sees the request reads it.")
    why = phrases.why_in_short(scene.request)
    return modal(
        "Ask a question",
        [_field("Your question"), *_first(scene), who, *why, _about(scene)],
        submit="Ask",
        close="Not now",
        callback=ids.ASK_MODAL,
        metadata=str(scene.request.id),
    )


def answer_modal(scene: Scene, number: int) -> View:
    """The form of who was asked: it quotes the question."""
    return modal(
        "Answer",
        [
            *_quoted(scene, scene.request.questions[number - 1]),
            _field("Your answer", "Whoever sees the request reads it. It cannot be changed."),
            _about(scene),
        ],
        submit="Answer",
        close="Not now",
        callback=ids.ANSWER_MODAL,
        metadata=f"{scene.request.id}/{number}",
    )


def questions_modal(scene: Scene) -> View:
    """List all that was asked, the last first."""
    blocks: list[Block] = [_about(scene)]
    for number, question in reversed([*enumerate(scene.request.questions, 1)]):
        blocks += _quoted(scene, question)
        if phrases.may_answer(scene) and not question.answered_at:
            blocks += actions([phrases.answer_button(scene, number)])
    return modal("Questions", blocks)


def _quoted(scene: Scene, question: Question, limit: int = WHOLE) -> list[Block]:
    asks = f"❓ {capital(phrases.who(scene, question.by))} asked {when(question.at)}:"
    said = [section(asks), *quotation(question.text, limit, lines=limit)]
    if question.answered_at is None:
        return [*said, *(_waiting(scene) if question.first else [])]
    by = capital(phrases.who(scene, scene.request.requestor))
    answers = section(f"💬 {by} answered {when(question.answered_at)}:")
    return [*said, answers, *quotation(question.answer, limit, lines=limit)]


def _about(scene: Scene) -> Block:
    what = f"{phrases.what_in_short(scene)}{phrases.for_whom(scene)}"
    return context(scene.request.code, what)


def _waiting(scene: Scene) -> list[Block]:
    """Say how long the request waits for an answer, while it does."""
    if not scene.request.waits_since:
        return []
    longest = in_words(LONGEST_ANSWER)
    puts_off = f"⏸️ It waits for the answer, which puts its lapse off, by {longest} at most."
    return [section(puts_off)]


def _first(scene: Scene) -> list[Block]:
    """Offer to wait for the answer, once for each request."""
    if asked_first(scene.request):
        return []
    longest = in_words(LONGEST_ANSWER)
    puts_off = f"The request lapses later by what the answer takes, at most {longest}."
    wait: Block = {
        "text": plain_text("Wait for the answer", 75),
        "description": plain_text(puts_off, 75),
        "value": ids.FIRST,
    }
    boxes: Block = {"type": "checkboxes", "action_id": ids.FIRST, "options": [wait]}
    hint = "Meanwhile you and the others can decide all the same. It is offered once."
    return [input_(ids.FIRST, "Ask first", boxes, hint=hint, optional=True)]


def _field(label: str, says: str = "") -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.TEXT,
        "multiline": True,
        "max_length": _TYPED,
        "placeholder": plain_text("One question, or one answer, in your own words", 150),
    }
    return input_(
        ids.TEXT, label, element, hint=f"{says} At most {MAX_TEXT:,} characters.".lstrip()
    )
