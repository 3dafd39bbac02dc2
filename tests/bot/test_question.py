"""What somebody who wants to decide is shown before they type a reason."""

import pytest

from bot.runtime.services import Services
from bot.usecases.decide import NO_SUCH_REQUEST, question
from bot.views.values import Scene
from engine.commands import Approve, Reject
from engine.outcome import Refusal
from engine.request import LARGEST_ID
from storage import sync
from tests.support.stored import ALICE, DAN, DORA, WRITING, Now, reading, writing


@pytest.fixture
def services(stored):
    return Services(stored.database, stored.companies, Now(stored), stored.keys, {})


@pytest.fixture
def asked(stored, services):
    """Return what is shown to somebody about a request."""

    def ask(request, who, kind=Approve):
        person = stored.company().directory.people[who]
        return question(services, request, person, kind)

    return ask


@pytest.mark.parametrize("kind", [Approve, Reject])
def test_who_may_decide_sees_the_request(stored, asked, kind):
    request = stored.submit(flow=WRITING)

    shown = asked(request.id, DAN, kind)

    assert isinstance(shown, Scene)
    assert shown.request.id == request.id
    assert stored.again(request) == request


@pytest.mark.parametrize("kind", [Approve, Reject])
def test_that_a_reason_is_needed_is_not_held_against_who_has_not_typed_one(stored, asked, kind):
    flows = [(reading(), True), (writing(require_reason=True), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))

    assert isinstance(asked(stored.submit(flow=WRITING).id, DAN, kind), Scene)


def test_who_may_not_decide_types_no_reason(stored, asked):
    request = stored.submit(flow=WRITING)

    assert isinstance(asked(request.id, ALICE), Refusal)
    stored.approve(request, DORA)
    assert isinstance(asked(request.id, DAN), Refusal)
    assert asked(LARGEST_ID, DAN) is NO_SUCH_REQUEST
