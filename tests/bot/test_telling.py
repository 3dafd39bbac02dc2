"""How a request and its history read in a terminal."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.operations import telling
from bot.usecases.console import HistoryLine
from engine import life as steps
from engine import lifecycle
from engine.directory import PersonId
from engine.request import OPERATOR, State
from tests.support.builders import NOW, life

TELLER = telling.Teller(lambda person: person.capitalize(), {}, NOW)
ACTIONS = {
    *(
        action
        for step in (Path(lifecycle.__file__), *Path(*steps.__path__).glob("*.py"))
        for action in re.findall(r'Entry\(\s*"(\w+)"', step.read_text())
    ),
    *(state.value for state in State if state.final),
}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_everything_that_can_happen_has_a_sentence(action):
    said = TELLER.told(HistoryLine(NOW, action, PersonId("marta"), {}))

    assert action in telling.SENTENCES
    assert said.endswith(".")
    assert not set("{}[]_") & set(said)


@pytest.mark.parametrize(
    ("grantee", "said"),
    [("marta", "Marta asked for it."), ("kim", "Marta asked for it, for Kim.")],
)
def test_who_asked_for_whom_is_said_of_both(grantee, said):
    body = {"grantee": grantee, "justification": "INC-1"}

    assert TELLER.told(HistoryLine(NOW, "submitted", PersonId("marta"), body)) == said


@pytest.mark.parametrize("action", ["granted", "extended"])
def test_what_has_no_end_is_said_without_one(action):
    """It read “until without end”."""
    said = TELLER.told(HistoryLine(NOW, action, PersonId("marta"), {"until": None}))
    assert "without end" in said
    assert "until" not in said
    said = TELLER.told(HistoryLine(NOW, action, PersonId("marta"), {"until": NOW.isoformat()}))
    assert f"until {telling.moment(NOW)}" in said


def test_what_somebody_wrote_stands_in_a_sentence_of_its_own():
    """It read “an operator revoked it, “the ticket was closed.”: it began …”."""
    body = {"ending": "revoked", "reason": "the ticket was closed."}
    said = TELLER.told(HistoryLine(NOW, "revoking", OPERATOR, body))
    assert said == (
        "An operator revoked it: it began to be taken away. Reason: “the ticket was closed.”"
    )
    said = TELLER.told(HistoryLine(NOW, "approved", PersonId("marta"), {"reason": "fine, go on"}))
    assert said == "Marta approved it. Reason: “fine, go on”."


def test_what_is_not_known_by_name_is_said_all_the_same():
    said = TELLER.told(HistoryLine(NOW, "turned_over", PersonId("marta"), {"what": [1]}))

    assert said == "Turned over, by Marta."


def test_moments_are_in_utc_where_that_is_the_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")

    assert telling.moment(datetime(2026, 11, 28, 22, 4, tzinfo=UTC)).endswith(" UTC")


@pytest.mark.parametrize("state", State, ids=str)
def test_every_state_is_said_in_a_sentence(state):
    request = life(state).request

    said = [TELLER.standing(request), *(TELLER.access(request, g) for g in request.grants)]

    assert said[0].endswith((".", ".”"))
    for sentence in said:
        assert not set("{}[]_") & set(sentence)
