"""What the in-memory connector has besides the contract: faults on demand, logins that exist."""

from datetime import timedelta

import pytest

from engine.connectors.memory import Memory
from engine.connectors.port import Discovered, Login, Presence, Target, Unavailable
from tests.connectors.harness import known, order, presences

THING = Discovered("table", "thing", "here/thing", "id1", {"read": 4})
TARGET = Target("table", "id1", "here/thing", "read")


def test_failing_call_does_nothing(login: Login):
    memory = Memory([THING])
    memory.fail(times=2)

    for _ in range(2):
        with pytest.raises(Unavailable):
            memory.apply(order(login, TARGET))

    assert not memory.can(login.name, TARGET)
    assert presences(memory.apply(order(login, TARGET))) == {TARGET: Presence.HELD}
    assert memory.calls["apply"] == 3


def test_dying_call_has_done_its_work(login: Login):
    memory = Memory([THING])
    memory.die()

    with pytest.raises(Unavailable):
        memory.apply(order(login, TARGET))

    assert memory.can(login.name, TARGET)
    assert memory.inspect(login, [TARGET])[TARGET].presence is Presence.HELD


def test_refused_target_is_refused_with_its_reason(login: Login):
    memory = Memory([THING])
    memory.refuse(TARGET, "Not on a Sunday.")

    report = memory.apply(order(login, TARGET))

    assert presences(report) == {TARGET: Presence.REFUSED}
    assert report.outcomes[TARGET].reason == "Not on a Sunday."
    memory.refuse(TARGET, "")
    assert presences(memory.apply(order(login, TARGET))) == {TARGET: Presence.HELD}


def test_end_is_kept_as_told(login: Login):
    memory = Memory([THING])

    memory.apply(order(login, TARGET, remaining=timedelta(minutes=5)))

    assert memory.remaining(login.name) == timedelta(minutes=5)


def test_directory_has_the_logins_already_and_what_stands_there(login: Login):
    memory = Memory([THING], generates_login=False)
    memory.stand(login, TARGET)

    assert memory.inspect(login, [TARGET])[TARGET].presence is Presence.HELD
    assert not memory.apply(order(known(login), TARGET)).login_missing
    memory.apply(order(known(login), end=[TARGET]))
    assert memory.can(login.name, TARGET)
    assert memory.logins() == []
