"""What people say to each other about a request that waits for a decision."""

from dataclasses import replace
from datetime import datetime, timedelta

from engine.commands import Answer, Nudge, PutQuestion
from engine.facts import Facts
from engine.life.deciding import decider
from engine.life.pending import LONGEST_ANSWER, ask, no_longer_open, waits_no_longer
from engine.life.telling import ask_again, everyone, to_asked, to_parties
from engine.outcome import AuditEntry, Card, Code, Decision, News, Refusal, Tell
from engine.request import AccessRequest, Question
from engine.words import trimmed

NUDGE_EVERY = timedelta(minutes=15)
MAX_TEXT = 1000  # characters of a question, and of an answer
MAX_QUESTIONS = 20  # about a request


def nudge(
    request: AccessRequest, command: Nudge, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Have whoever is asked now, and has not approved, notice it anew."""
    if command.by not in request.parties:
        return Refusal(Code.NOT_YOURS, "Only who asked, or who is to have it, can nudge.")
    if closed := no_longer_open(request, facts, now):
        return closed
    again = request.nudged_at and request.nudged_at + NUDGE_EVERY
    if again and now < again:
        sentence = "Those who are asked were nudged already. You can nudge them again from"
        return Refusal(Code.TOO_SOON, sentence, again)
    request, tells = ask(request, facts)
    if not request.deciders:
        return Refusal(Code.NOBODY_ASKED, "Nobody can be asked at the moment.")
    request = request.with_(nudged_at=now).clicked(command.key)
    nudged = ask_again(request, sorted(request.deciders), News.NUDGED)
    cards = (*to_parties(request), *nudged, *tells)
    return Decision(request, cards, (AuditEntry("nudged", command.by),))


def put_question(
    request: AccessRequest, command: PutQuestion, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Ask whoever made the request; everybody who sees it reads the question."""
    deciding = decider(request, command.by, facts, now)
    if isinstance(deciding, Refusal):
        return deciding
    person, _ = deciding
    if person.id == request.requestor:
        return Refusal(Code.OWN_REQUEST, "You made this request: you would ask yourself.")
    if len(request.questions) >= MAX_QUESTIONS:
        sentence = f"Nobody can ask more than {MAX_QUESTIONS} questions about one request."
        return Refusal(Code.TOO_MANY, sentence)
    if bad := _bad_text(command.text, "Say what you want to know."):
        return bad
    if command.first and asked_first(request):
        sentence = "This request has waited for an answer before: it does so once."
        return Refusal(Code.NOTHING_TO_DO, sentence, about="first")
    asked = Question(person.id, now, trimmed(command.text), first=command.first)
    request = request.with_(questions=(*request.questions, asked)).clicked(command.key)
    said: dict[str, object] = {"question": len(request.questions), "text": asked.text}
    if command.first:
        request = request.with_(lapses_at=request.lapses_at + LONGEST_ANSWER)
        said["first"] = True
    notices = Tell(request.requestor, Card.REQUEST, news=News.QUESTIONED)
    entry = AuditEntry("questioned", person.id, said)
    return Decision(request, (*everyone(request), notices), (entry,))


def asked_first(request: AccessRequest) -> bool:
    """Tell whether its time was put off for an answer already, which is done once."""
    return any(question.first for question in request.questions)


def answer(
    request: AccessRequest, command: Answer, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Answer a question, once; everybody who sees the request reads it, and who asked notices."""
    if command.by != request.requestor:
        return Refusal(Code.NOT_YOURS, "Only who made the request can answer.")
    if closed := no_longer_open(request, facts, now):
        return closed
    if not 0 < command.number <= len(request.questions):
        return Refusal(Code.NOTHING_TO_DO, "There is no such question about this request.")
    at = command.number - 1
    asked = request.questions[at]
    if asked.answered_at:
        return Refusal(
            Code.ALREADY_ANSWERED, "You have answered this question already", asked.answered_at
        )
    if bad := _bad_text(command.text, "Say what you answer."):
        return bad
    if asked.first:
        request = waits_no_longer(request, now)
    answered = replace(asked, answer=trimmed(command.text), answered_at=now)
    questions = (*request.questions[:at], answered, *request.questions[at + 1 :])
    request = request.with_(questions=questions).clicked(command.key)
    entry = AuditEntry(
        "answered", command.by, {"question": command.number, "text": answered.answer}
    )
    return Decision(
        request, (*everyone(request), to_asked(request, asked.by, News.ANSWERED)), (entry,)
    )


def _bad_text(text: str, needed: str) -> Refusal | None:
    length = len(trimmed(text))
    if not length:
        return Refusal(Code.TEXT_NEEDED, needed, about="text")
    if length <= MAX_TEXT:
        return None
    over = f"this has {length:,}, {length - MAX_TEXT:,} too many"
    return Refusal(Code.TEXT_TOO_LONG, f"At most {MAX_TEXT:,} characters; {over}.", about="text")
