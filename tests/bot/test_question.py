"""What somebody who wants to decide is shown before they type a reason; what decisions count."""

import pytest

from bot.runtime.services import Services
from bot.usecases.decide import NO_SUCH_REQUEST, do, question
from bot.views.values import Scene
from engine.commands import Approve, Cancel, Reject
from engine.outcome import Refusal
from engine.request import LARGEST_ID
from storage import sync
from tests.support.stored import ALICE, BOB, DAN, DORA, MINUTE, WRITING, Now, reading, writing


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


def test_decisions_are_counted_with_how_long_they_took(stored, services):
    people = stored.company().directory.people
    approved, rejected, cancelled = (
        stored.submit(by=who, flow=WRITING) for who in (ALICE, BOB, DORA)
    )
    stored.pass_(MINUTE)

    do(services, people[DAN], approved.id, Approve(DAN))
    do(services, people[DAN], approved.id, Approve(DAN))
    do(services, people[DAN], rejected.id, Reject(DAN, "no"))
    do(services, people[DORA], cancelled.id, Cancel(DORA))

    def counted(name, **labels):
        return services.vitals.registry.get_sample_value(f"latchkey_{name}", labels)

    assert counted("decisions_total", decision="approved") == 1
    assert counted("decisions_total", decision="rejected") == 1
    assert counted("time_to_decision_seconds_count") == 2
    assert counted("time_to_decision_seconds_sum") == 120
