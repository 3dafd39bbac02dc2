"""What the sandbox says that the clock brings next."""

from datetime import UTC, datetime

import pytest

from bot.sandbox.coming import coming
from engine.flow import Escalation
from engine.request import State
from tests.support.builders import ABE, DAN, DAY, MINUTE, approvers, flow, life

TIERS = Escalation(30 * MINUTE, (approvers(DAN), approvers(ABE)))


def lived(made):
    """Go from each event to the next, until nothing comes; return what they are called."""
    names = []
    while event := coming(made.request, made.facts.revision):
        at = datetime.fromtimestamp(event["at"], UTC)
        assert (at > made.now, event["code"]) == (True, made.request.code)
        names.append(event["what"])
        made.tick(at - made.now)
    return names


@pytest.mark.parametrize(
    ("state", "of", "names"),
    [
        (State.PENDING_MFA, flow(), ["lapse"]),
        (State.PENDING, flow(), ["lapse"]),
        (State.PENDING, flow(escalation=TIERS), ["escalation", "escalation", "alarm", "lapse"]),
        (State.SCHEDULED, flow(), ["reminder", "start", "lapse"]),
        (State.GRANTING, flow(), ["lapse"]),
        (State.ACTIVE, flow(), ["offer", "end"]),
        (State.ACTIVE, flow(extension=None), ["reminder", "end"]),
        (State.ACTIVE, flow(grant_for=2 * DAY), ["offer", "offer", "offer", "end"]),
        (State.ACTIVE, flow(grant_for=None, extension=None), []),
        (State.REVOKING, flow(), []),
        (State.EXPIRED, flow(), []),
    ],
)
def test_from_event_to_event_a_request_lives_to_its_end(state, of, names):
    assert lived(life(state, of)) == names


def test_what_may_be_there_already_ends_before_its_request_lapses():
    made = life(State.GRANTING)
    made.attempt()

    assert lived(made) == ["end"]
