"""What is not sent to Slack: its own answers before said when, and with what, it takes nothing."""

import pytest
from slack_sdk.errors import SlackApiError

from bot.slack.errors import refusal
from bot.views import ids

IN_WORDS = SlackApiError(
    "refused",
    {
        "ok": False,
        "error": "invalid_arguments",
        "response_metadata": {"messages": ["[ERROR] Trigger has expired (trigger_id)"]},
    },
)
REFUSED = {
    "too late": refusal("views.open", "expired_trigger_id"),
    "no trigger": refusal("views.open", "invalid_trigger_id"),
    "in words": IN_WORDS,
    "no answer": TimeoutError(),
}


# --- triggers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", REFUSED)
def test_a_window_is_not_opened_again_with_a_trigger_that_was_refused(door, monkeypatch, why):
    """The apology for a window that was not opened was another call with the same trigger."""
    monkeypatch.setitem(door.slack.faults, "views.open", REFUSED[why])

    answer = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id=why)
    again = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id=why)

    assert [method for method, _ in answer.calls] == ["views.open"]
    assert again.calls == []


def test_a_trigger_whose_window_was_refused_opens_another(door, monkeypatch):
    too_large = refusal("views.open", "view_too_large")
    monkeypatch.setitem(door.slack.faults, "views.open", too_large)

    answer = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id="a good one")

    assert [method for method, _ in answer.calls] == ["views.open", "views.open"]
