"""What the in-memory connector has besides the contract: faults on demand, logins that exist."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.connectors.memory import Memory
from engine.port import Discovered, Login, Outcome, Presence, Target, Unavailable
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


def test_what_is_withheld_is_unknown_until_it_is_mended(login: Login):
    memory = Memory([THING])
    memory.withhold(TARGET, "Cure: GRANT it;")

    outcome = memory.apply(order(login, TARGET)).outcomes[TARGET]

    assert outcome == Outcome(Presence.UNKNOWN, "Cure: GRANT it;", lasting=True)
    assert not memory.can(login.name, TARGET)
    memory.withhold(TARGET, "")
    assert presences(memory.apply(order(login, TARGET))) == {TARGET: Presence.HELD}


def test_what_is_given_in_part_says_what_was_left_out(login: Login):
    memory = Memory([THING])
    memory.leave_out(TARGET, "geo, which belongs to postgres")

    given = memory.apply(order(login, TARGET)).outcomes[TARGET]

    assert given == Outcome(Presence.HELD, left_out="geo, which belongs to postgres")
    assert memory.inspect(login, [TARGET]) == {TARGET: given}
    ended = memory.apply(order(login, end=[TARGET])).outcomes[TARGET]
    assert ended == Outcome(Presence.ABSENT)


def test_fault_that_lasts_says_so(login: Login):
    memory = Memory([THING])
    memory.fail(1, "Cure: ALTER ROLE latchkey CREATEROLE;", lasting=True)

    with pytest.raises(Unavailable, match="CREATEROLE") as fault:
        memory.apply(order(login, TARGET))

    assert fault.value.lasting


def test_what_is_renamed_is_not_what_was_approved_but_stays_with_who_has_it(login: Login):
    memory = Memory([THING])
    memory.apply(order(login, TARGET))
    memory.rename("id1", "here/other")

    assert presences(memory.apply(order(known(login), TARGET))) == {TARGET: Presence.HELD}
    memory.apply(order(known(login), end=[TARGET]))
    refused = memory.apply(order(login, TARGET)).outcomes[TARGET]
    assert refused.presence is Presence.REFUSED
    assert "It is called here/other now; here/thing was approved." in refused.reason


def test_on_another_server_nothing_is_given_and_ends_go_on_by_name(login: Login):
    other = Target("table", "id2", "here/other", "read")
    memory = Memory([THING, Discovered("table", "other", "here/other", "id2", {"read": 4})])
    memory.apply(order(login, TARGET, other))
    memory.rebuild("new")

    report = memory.apply(order(known(login), TARGET, end=[other]))

    assert presences(report) == {TARGET: Presence.UNKNOWN, other: Presence.ABSENT}
    assert memory.unexplained(login, []) == ("read on here/thing",)
    assert memory.unexplained(login, [TARGET]) == ()
    again = memory.apply(order(known(login), end=[TARGET]))
    assert presences(again) == {TARGET: Presence.ABSENT}
    assert memory.unexplained(login, []) == ()
    assert memory.server() == "new"


def test_password_that_the_grantee_set_does_not_come_back(login: Login):
    memory = Memory([THING])
    proof = memory.apply(order(login, TARGET)).proof
    memory.set_password(login.name, "mine")
    assert memory.log_in(login.name, "mine")
    assert memory.apply(order(known(login), TARGET)).proof is None
    memory.apply(order(known(login), end=[TARGET]))

    memory.apply(order(replace(known(login), proof=proof), TARGET))

    assert memory.log_in(login.name, "mine") is None
    assert memory.log_in(login.name, login.password.reveal())


def test_login_whose_password_nobody_knows_is_not_opened(login: Login):
    memory = Memory([THING])
    memory.apply(order(login, TARGET))
    memory.set_password(login.name, "mine")
    memory.apply(order(known(login), end=[TARGET]))

    report = memory.apply(order(known(login), TARGET))

    assert report.login_missing
    assert not memory.can(login.name, TARGET)
    assert memory.log_in(login.name, "mine") is None


def test_it_says_when_it_is_not_alone(login: Login):
    memory = Memory([THING])
    memory.alone = False

    assert not memory.apply(order(login, TARGET)).alone


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
