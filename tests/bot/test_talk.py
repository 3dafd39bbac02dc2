"""What people write to Latchkey in its own conversation."""

import pytest
from sqlalchemy import select
from sqlmodel import col

from bot.listeners.talk import is_somebodys
from storage.tables import MessageRow
from tests.support.door import home, slack_id


@pytest.mark.parametrize("handle", ["marta", "casey"])
def test_a_message_is_answered_with_what_is_understood(told, handle):
    """It was left without an answer, and its writer waited for one."""
    who = told.person(handle)
    who.open_home("messages")
    who.post("hi, can I have read on orders please?")

    answer = who.wait_message("I read no messages")

    assert "/access help" in answer.text


@pytest.mark.parametrize("handle", ["terry", "alex"])
def test_who_is_no_one_is_told_so(told, handle):
    who = told.house.sandbox.person(handle)
    who.open_home("messages")
    who.post("hello?")

    assert who.wait_message("does not know you")


def test_much_that_is_written_at_once_is_answered_once(door):
    """Each message would have been a card: Slack takes one a second."""
    for number in range(5):
        event = {"type": "message", "channel_type": "im", "channel": "D0", "ts": f"{number}.0"}
        said = event | {"user": slack_id("priya"), "text": "hello?"}
        assert door.deliver(home("priya") | {"event": said}).status == 200

    with door.database.read() as session:
        rows = session.scalars(select(MessageRow).where(col(MessageRow.key).startswith("talk/")))
        assert [row.recipient for row in rows] == ["priya"]


@pytest.mark.parametrize(
    "event",
    [
        {"channel_type": "im", "user": "ULATCHKEY", "bot_id": "B1"},
        {"channel_type": "im", "user": "UMARTA", "subtype": "message_changed"},
        {"channel_type": "im", "subtype": "message_deleted"},
        {"channel_type": "channel", "user": "UMARTA"},
        {"channel_type": "im", "user": {"id": "UMARTA"}},
        {},
    ],
)
def test_what_is_no_persons_message_is_left_alone(event):
    """Latchkey's own message is an event as well: answering it would never end."""
    assert not is_somebodys(event)
