"""What `run` says at its start of a token that it cannot use: the reason, and not what Slack would.

Slack is asked in the background, so the words are looked at where they are said.
"""

import queue

import pytest

from bot.operations import greeting


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (
            {"SLACK_BOT_TOKEN": "SLACK_BOT_TOKEN is missing. Where it is."},
            "is missing. Where it is",
        ),
        (
            {"SLACK_BOT_TOKEN": "SLACK_BOT_TOKEN: this is an app-level token"},
            "this is an app-level token",
        ),
        (
            {"SLACK_APP_TOKEN": "SLACK_APP_TOKEN is missing; or take events by HTTP"},
            "SLACK_APP_TOKEN is missing",
        ),
    ],
)
def test_a_token_that_cannot_be_used_is_named_with_its_own_reason(door, faults, says):
    """It read “Slack refuses SLACK_BOT_TOKEN: not_authed. Copy it anew”, though none was sent."""
    said = queue.Queue[str]()
    services, clients = door.program.services, door.program.clients

    greeting.begin(services, clients.delivery, None, said.put, faults)

    told = said.get(timeout=60)
    assert says in told
    assert "not_authed" not in told
    assert "Access ends on time all the same." in told
