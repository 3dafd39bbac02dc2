"""What people say to each other while a request waits, and see of it."""

import itertools
from datetime import timedelta

import pytest

from bot.sandbox.blocks import judge_view
from bot.views import ids
from engine.life.asking import MAX_QUESTIONS
from engine.request import State
from tests.support.door import click, filled, modal, submission

MINUTE = timedelta(minutes=1)
WAITS = "3"  # Anil's, that Selin or Viktor may decide
TRIGGERS = itertools.count()
BOTH_FORMS = [(ids.ASK_MODAL, "selin", WAITS), (ids.ANSWER_MODAL, "anil", f"{WAITS}/1")]


def pressed(trigger: str, who: str, action: str, value: object) -> dict:
    """Return a press of a button, as Slack delivers it: with an id of its own."""
    return click(who, action, value) | {"trigger_id": trigger}


def test_a_nudge_has_the_card_posted_anew_to_whoever_is_asked(told):
    anil, selin = told.person("anil"), told.person("selin")
    code = told.ask(anil, path="ledger/accounts/payments").code
    first = told.card(selin, code, button="approve")
    told.house.sandbox.advance(60)  # what happens within a second is posted once

    assert told.press(anil, code, "nudge").ok

    anew = told.card(selin, code, "was nudged", button="approve")
    assert anew.ts != first.ts
    told.card(anil, code, "Whoever is asked was nudged", button="nudge")
    told.press(anil, code, "nudge")
    assert "You can nudge them again from" in anil.wait_view("Not nudged").text
    assert told.decide(selin, code).errors == {}


def test_a_nudge_that_is_delivered_again_nudges_once(door):
    door.deliver(pressed("t1", "anil", ids.NUDGE, WAITS))
    at = door.request(3).nudged_at
    door.clock.move(20 * MINUTE)

    assert not door.deliver(pressed("t1", "anil", ids.NUDGE, WAITS)).said
    assert door.request(3).nudged_at == at

    door.deliver(pressed("t2", "anil", ids.NUDGE, WAITS))
    assert door.request(3).nudged_at == door.clock.now()


def test_what_somebody_waits_for_can_be_nudged_from_their_list(door):
    listed = door.command("anil", "my").payload["blocks"]
    rows = [b["elements"] for b in listed if b["type"] == "actions"]

    assert ids.NUDGE in {button["action_id"] for row in rows for button in row}
    assert not any(ids.NUDGE in str(row) for row in door.command("marta", "my").payload["blocks"])


@pytest.mark.parametrize("minutes", [1, 14])
def test_who_nudges_too_soon_reads_when_they_can_again(door, minutes):
    door.click("anil", ids.NUDGE, WAITS)
    door.clock.move(minutes * MINUTE)

    answer = door.deliver(pressed("t2", "anil", ids.NUDGE, WAITS))

    assert "nudged already. You can nudge them again from" in answer.said
    assert door.request(3).state is State.PENDING


# --- questions -----------------------------------------------------------------------------------


def sent(door, who, form, text, **more):
    """Send a form that was opened anew, as Slack delivers it."""
    number = next(TRIGGERS)
    view = {"id": f"V{number}", **form}
    body = submission(who, view, filled(form, text={"value": text}, **more))
    return door.deliver(body | {"trigger_id": f"t{number}"})


def ask(door, text, who="selin", **more):
    """Press the button, and send the form that opens."""
    return sent(door, who, door.click(who, ids.ASK, WAITS).views[0], text, **more)


def answer(door, number, text, who="anil"):
    return sent(door, who, door.click(who, ids.ANSWER, f"{WAITS}/{number}").views[0], text)


def test_a_question_and_its_answer_are_read_by_everybody_concerned(told):
    anil, selin, viktor = (told.person(name) for name in ("anil", "selin", "viktor"))
    code = told.ask(anil, path="ledger/accounts/payments").code
    mine = told.card(anil, code)
    asked, other = told.card(selin, code, button="approve"), told.card(viktor, code)
    told.house.sandbox.advance(60)

    told.press(selin, code, "ask_question")
    form = selin.wait_view("Ask a question")
    assert list(form.submit().errors) == ["text"]
    form.set("text", "Which table, *exactly*?\n<!channel>")
    assert not told.send(form).errors

    anew = told.card(anil, code, "Which table, *exactly*?", button="answer")
    assert "You were asked a question" in anew.text
    assert anew.ts != mine.ts
    assert told.card(selin, code, "Which table").ts == asked.ts
    assert told.card(viktor, code, "Which table").ts == other.ts
    told.house.sandbox.advance(60)

    anew.click("answer")
    form = anil.wait_view("Answer")
    assert "Which table, *exactly*?" in form.text
    form.set("text", "payments, read only")
    assert not told.send(form).errors

    answered = told.card(selin, code, "payments, read only", button="approve")
    assert answered.ts != asked.ts
    assert told.card(viktor, code, "payments, read only").ts == other.ts
    told.card(anil, code, "payments, read only", without="answer")
    history = [line.action for line in told.desk.history(told.request(code))]
    assert history == ["submitted", "questioned", "answered"]

    told.press(viktor, code, "questions")
    assert "Which table" in viktor.wait_view("Questions").text


def test_several_questions_each_have_an_answer_of_their_own(door):
    ask(door, "Why?")
    ask(door, "For how many?", "viktor")
    answer(door, 1, "An invoice.")
    listed = door.click("selin", ids.QUESTIONS, WAITS)

    first, second = door.request(3).questions
    assert (first.by, first.text, first.answer) == ("selin", "Why?", "An invoice.")
    assert (second.by, second.text, second.answer) == ("viktor", "For how many?", "")
    assert all(text in listed.said for text in ("Why?", "An invoice.", "For how many?"))
    assert "answered this question already" in door.click("anil", ids.ANSWER, f"{WAITS}/1").said
    answer(door, 2, "Two.")
    assert door.request(3).questions[1].answer == "Two."


@pytest.mark.parametrize(("text", "said"), [
    ("", "Say what"), (" \u200b\n", "Say what"), ("x" * 1009, "this has 1,009, 9 too many"),
])  # fmt: skip
@pytest.mark.parametrize(("callback", "who", "about"), BOTH_FORMS)
def test_what_is_no_text_is_said_at_its_field(door, callback, who, about, text, said):
    ask(door, "Why?")
    action = ids.ASK if callback == ids.ASK_MODAL else ids.ANSWER
    form = door.click(who, action, about).views[0]

    refused = sent(door, who, form, text)

    assert said in refused.payload["errors"]["text"]
    assert [q.answer for q in door.request(3).questions] == [""]


@pytest.mark.parametrize("length", [1, 1000])
def test_a_text_counts_in_code_points_without_what_is_around_it(door, length):
    written = "\U0001f642" * length
    ask(door, f"  {written}\n")
    answer(door, 1, f"\n{written} ")

    (question,) = door.request(3).questions
    assert question.text == question.answer == written


@pytest.mark.parametrize(("callback", "who", "about"), BOTH_FORMS)
def test_who_says_something_too_late_is_told_who_decided(door, callback, who, about):
    ask(door, "Why?")
    action = ids.ASK if callback == ids.ASK_MODAL else ids.ANSWER
    form = door.click(who, action, about).views[0]
    door.submit("viktor", modal(ids.APPROVE_MODAL, WAITS))

    late = sent(door, who, form, "INC-42")

    assert "Viktor" in late.said
    assert "approved this request" in late.said
    assert "approved this request" in door.click(who, action, about).said
    assert [q.answer for q in door.request(3).questions] == [""]


@pytest.mark.parametrize("who", ["marta", "anil", "priya", "ines", "casey", "dana"])
def test_who_may_not_decide_asks_nothing(door, who):
    assert door.click(who, ids.ASK, WAITS).said
    metadata = modal(ids.ASK_MODAL, WAITS)
    assert door.submit(who, metadata, {"text": {ids.TEXT: {"value": "Why?"}}}).said
    assert door.request(3).questions == ()


@pytest.mark.parametrize("who", ["marta", "selin", "priya", "ines", "casey", "dana"])
def test_who_did_not_make_the_request_answers_nothing(door, who):
    ask(door, "Why?")
    assert door.click(who, ids.ANSWER, f"{WAITS}/1").said
    metadata = modal(ids.ANSWER_MODAL, f"{WAITS}/1")
    assert door.submit(who, metadata, {"text": {ids.TEXT: {"value": "So."}}}).said
    assert door.request(3).questions[0].answer == ""


@pytest.mark.parametrize("number", ["", "0", "2", "-1", "x", "9" * 400])
def test_an_answer_to_no_question_is_said_to_be_one(door, number):
    ask(door, "Why?")
    assert "no such question" in door.click("anil", ids.ANSWER, f"{WAITS}/{number}").said


@pytest.mark.parametrize("who", ["marta", "priya", "casey", "dana"])
def test_what_was_asked_is_shown_to_nobody_else(door, who):
    ask(door, "Which of the invoices?")
    assert "Which of the" not in door.click(who, ids.QUESTIONS, WAITS).said


def test_an_approver_who_is_one_no_more_asks_nothing(told):
    anil, selin = told.person("anil"), told.person("selin")
    code = told.ask(anil, path="ledger/accounts/payments").code
    told.press(selin, code, "ask_question")
    form = selin.wait_view("Ask a question")
    form.set("text", "Why?")
    with told.deactivated("selin"):
        form.submit()
        assert "not active" in selin.view().text
    assert told.request(code).questions == ()


@pytest.mark.parametrize("triggers", [("t1", "t1"), ("t1", "t2")], ids=["again", "pressed twice"])
def test_a_form_that_is_sent_twice_asks_and_answers_once(door, triggers):
    """Whoever pressed its button twice, before it closed, had asked twice."""

    def both(who, form, text):
        body = submission(who, {"id": f"V/{who}", **form}, filled(form, text={"value": text}))
        return [door.deliver(body | {"trigger_id": f"{who}/{trigger}"}) for trigger in triggers]

    both("selin", door.click("selin", ids.ASK, WAITS).views[0], "Why?")
    answers = both("anil", door.click("anil", ids.ANSWER, f"{WAITS}/1").views[0], "So.")

    assert [q.answer for q in door.request(3).questions] == ["So."]
    assert not any(answer.said for answer in answers)


def test_there_are_only_so_many_questions_about_a_request(door):
    form = door.click("selin", ids.ASK, WAITS).views[0]
    for _ in range(MAX_QUESTIONS):
        sent(door, "selin", form, "Why?")

    assert "more than 20 questions" in door.click("selin", ids.ASK, WAITS).said
    assert len(door.request(3).questions) == MAX_QUESTIONS
    shown = door.click("anil", ids.QUESTIONS, WAITS).views[0]
    assert not judge_view(shown, "modal")


# --- ask first -----------------------------------------------------------------------------------


def test_the_request_waits_for_the_answer_and_lapses_as_its_card_says(told):
    anil, selin = told.person("anil"), told.person("selin")
    request = told.ask(anil, path="ledger/accounts/cards")
    told.press(selin, request.code, "ask_question")
    form = selin.wait_view("Ask a question")
    form.set("text", "Which card?")
    form.set("first", ["first"])
    assert not told.send(form).errors
    told.card(anil, request.code, "Without an answer it lapses")
    assert told.request(request.code).lapses_at - request.lapses_at == timedelta(days=1)

    told.house.sandbox.advance(8 * 3600 + 60)  # past the lapse that it had

    told.press(anil, request.code, "answer")
    form = anil.wait_view("Answer")
    form.set("text", "Mine")
    assert not told.send(form).errors
    (question,) = told.request(request.code).questions
    lapses_at = request.lapses_at + (question.answered_at - question.at)
    assert told.request(request.code).lapses_at == lapses_at
    assert told.request(request.code).state is State.PENDING
    told.press(selin, request.code, "ask_question")
    assert "Wait for the answer" not in selin.wait_view("Ask a question").text

    told.house.sandbox.advance(8 * 3600 + 60)
    told.wait(request.code, State.TIMED_OUT)


def test_of_two_who_would_wait_one_does_and_the_other_is_told(door):
    forms = {who: door.click(who, ids.ASK, WAITS).views[0] for who in ("selin", "viktor")}
    ticked = {"selected_options": [{"value": ids.FIRST}]}
    before = door.request(3).lapses_at

    sent(door, "selin", forms["selin"], "Why?", first=ticked)
    refused = sent(door, "viktor", forms["viktor"], "Who?", first=ticked)

    assert "waited for an answer before" in refused.payload["errors"]["first"]
    assert [q.text for q in door.request(3).questions] == ["Why?"]
    assert door.request(3).lapses_at - before == timedelta(days=1)
    sent(door, "viktor", forms["viktor"], "Who?")
    assert [q.first for q in door.request(3).questions] == [True, False]
