"""What every connector promises, seen in its system. Each test runs on each connector."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from engine.port import Connector, Login, Presence, Secret, Target
from tests.connectors.harness import Harness, known, new_login, order, presences

HELD, ABSENT, REFUSED = Presence.HELD, Presence.ABSENT, Presence.REFUSED


def test_fresh_login_gets_what_is_wanted(system: Harness, login: Login):
    target = system.make()

    report = system.connector.apply(order(login, target))

    assert presences(report) == {target: HELD}
    assert system.can(login, target)
    session = system.log_in(login)
    assert session
    assert session.alive


def test_inspection_sees_it_and_changes_nothing(system: Harness, login: Login):
    target, other = system.make(), system.make()

    assert {o.presence for o in system.connector.inspect(login, [target]).values()} == {ABSENT}
    assert login.name not in system.connector.logins()
    system.connector.apply(order(login, target))
    before = system.left(login)
    seen = system.connector.inspect(login, [target, other])

    assert {t: o.presence for t, o in seen.items()} == {target: HELD, other: ABSENT}
    assert system.left(login) == before


def test_granting_twice_is_granting_once(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    once = system.left(login)

    report = system.connector.apply(order(login, target))

    assert presences(report) == {target: HELD}
    assert system.left(login) == once


def test_extension_keeps_session_and_password(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    session = system.log_in(login)

    report = system.connector.apply(order(known(login), target, remaining=timedelta(hours=2)))

    assert presences(report) == {target: HELD}
    assert not report.deadline_refused
    assert session
    assert session.alive
    assert system.log_in(login)


def test_new_password_replaces_the_old_one_and_keeps_the_session(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    session = system.log_in(login)
    reset = replace(new_login(), name=login.name)

    system.connector.apply(order(reset, target))

    assert system.log_in(login) is None
    assert system.log_in(reset)
    assert session
    assert session.alive


def test_end_takes_rights_sessions_and_the_way_in(system: Harness, login: Login):
    """F8: an open session outlived the revoke."""
    target = system.make()
    system.connector.apply(order(login, target))
    session = system.log_in(login)

    report = system.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert session
    assert not session.alive
    assert system.log_in(login) is None
    assert system.left(login) == []


def test_ending_twice_is_ending_once(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    system.connector.apply(order(known(login), end=[target]))

    report = system.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}


def test_ending_what_never_was_is_success(system: Harness, login: Login):
    target = system.make()

    report = system.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert not report.login_missing
    assert login.name not in system.connector.logins()


def test_access_comes_back_with_the_same_password(system: Harness, login: Login):
    target = system.make()
    first = system.connector.apply(order(login, target))
    system.connector.apply(order(known(login), end=[target]))

    report = system.connector.apply(order(known(login, first), target))

    assert presences(report) == {target: HELD}
    assert system.log_in(login)


def test_password_of_their_own_does_not_come_back(system: Harness, login: Login):
    """Whoever had set one had a way in at each later access that nobody was told of."""
    target = system.make()
    later = known(login, system.connector.apply(order(login, target)))
    theirs = system.set_own_password(login, "mine")
    assert system.log_in(theirs)
    system.connector.apply(order(later, end=[target]))

    report = system.connector.apply(order(later, target))

    assert presences(report) == {target: HELD}
    assert system.log_in(theirs) is None
    assert system.log_in(login)


def test_login_whose_password_nobody_knows_is_not_opened(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    system.connector.apply(order(known(login), end=[target]))

    report = system.connector.apply(order(known(login), target))

    assert report.login_missing
    assert system.log_in(login) is None
    again = replace(login, password=Secret("another"))
    assert presences(system.connector.apply(order(again, target))) == {target: HELD}
    assert system.log_in(again)


def test_what_two_targets_share_stays_until_the_last_ends(system: Harness, login: Login):
    first, second = system.make(), system.make()
    system.connector.apply(order(login, first, second))
    session = system.log_in(login)

    report = system.connector.apply(order(known(login), second, end=[first]))

    assert presences(report) == {first: ABSENT, second: HELD}
    assert not system.can(login, first)
    assert system.can(login, second)
    assert session
    assert session.alive

    report = system.connector.apply(order(known(login), end=[first, second]))

    assert presences(report) == {first: ABSENT, second: ABSENT}
    assert not session.alive
    assert system.left(login) == []


def test_standing_access_is_seen_and_left_alone(system: Harness, login: Login):
    mine, standing = system.make(), system.make()
    system.connector.apply(order(login, mine))
    system.stand(login, standing)

    seen = system.connector.inspect(login, [standing])
    system.connector.apply(order(known(login), end=[mine]))

    assert seen[standing].presence is HELD
    assert not system.can(login, mine)
    assert system.can(login, standing)


def test_what_is_gone_is_refused_and_the_rest_works(system: Harness, login: Login):
    gone, target = system.make(), system.make()
    system.drop(gone)

    report = system.connector.apply(order(login, gone, target))

    assert presences(report) == {gone: REFUSED, target: HELD}
    assert gone.path in report.outcomes[gone].reason


def test_what_is_gone_is_absent_when_it_ends(system: Harness, login: Login):
    """F10: what was deleted by hand was being revoked for ever."""
    gone = system.make()
    system.connector.apply(order(login, gone))
    system.drop(gone)

    report = system.connector.apply(order(known(login), end=[gone]))

    assert presences(report) == {gone: ABSENT}
    assert system.left(login) == []
    assert system.log_in(login) is None


def test_nothing_that_can_be_had_leaves_no_way_in(system: Harness, login: Login):
    gone = system.make()
    system.drop(gone)

    report = system.connector.apply(order(login, gone))

    assert presences(report) == {gone: REFUSED}
    assert system.log_in(login) is None


def test_refusal_leaves_nothing(system: Harness, login: Login):
    """What could be given of it stayed for ever: to the ledger, refused meant never given."""
    refused = system.make(permission="read-write")
    system.withhold(refused)

    report = system.connector.apply(order(login, refused))

    assert presences(report) == {refused: REFUSED}
    assert report.outcomes[refused].reason
    assert not report.login_missing
    assert system.left(login) == []
    assert system.connector.unexplained(login, []) == ()
    assert system.log_in(login) is None
    assert login.name not in system.connector.logins()


def test_refusal_beside_what_is_given_leaves_nothing_of_its_own(system: Harness, login: Login):
    target, refused = system.make(), system.make(permission="read-write")
    system.withhold(refused)

    report = system.connector.apply(order(login, target, refused))

    assert presences(report) == {target: HELD, refused: REFUSED}
    assert system.connector.unexplained(login, [target]) == ()
    report = system.connector.apply(order(known(login), end=[target, refused]))
    assert presences(report) == {target: ABSENT, refused: ABSENT}
    assert system.left(login) == []


def test_what_nobody_explains_is_named_and_left(system: Harness, login: Login):
    mine, theirs = system.make(), system.make()
    system.connector.apply(order(login, mine))
    system.stand(login, theirs)

    found = system.connector.unexplained(known(login), [mine])
    system.connector.apply(order(known(login), end=[mine]))
    after = system.connector.unexplained(known(login), [])

    assert found
    assert set(found) <= set(after)
    assert system.connector.unexplained(known(login), [mine, theirs]) == ()
    assert system.can(login, theirs)


def test_thing_of_the_same_name_is_a_new_one(system: Harness, login: Login):
    old = system.make(name="phoenix")
    system.connector.apply(order(login, old))
    system.drop(old)
    new = system.make(name="phoenix")

    report = system.connector.apply(order(known(login), old))

    assert presences(report) == {old: REFUSED}
    assert not system.can(login, new)


@pytest.mark.parametrize(
    "change",
    [
        {"source_id": "nonsense"},
        {"source_id": "db:1/rel:1"},
        {"permission": "fly"},
        {"type": "carpet"},
    ],
    ids="-".join,
)
def test_unknown_names_are_refused_and_harmless(system: Harness, login: Login, change):
    target = system.make()
    unknown = replace(target, **change)

    report = system.connector.apply(order(login, target, unknown))

    assert presences(report) == {target: HELD, unknown: REFUSED}
    assert system.connector.inspect(login, [unknown])[unknown].presence is ABSENT
    report = system.connector.apply(order(known(login), end=[target, unknown]))
    assert presences(report) == {target: ABSENT, unknown: ABSENT}


@pytest.mark.parametrize(
    "change",
    [{"source_id": "nonsense"}, {"permission": "fly"}, {"type": "carpet"}],
    ids="-".join,
)
@pytest.mark.parametrize("trace", ["traced", "not traced"])
def test_what_the_system_never_heard_of_is_not_called_gone(
    system: Harness, login: Login, change: dict[str, str], trace: str
):
    """It was “gone, as the system confirmed”, and its login went on reading."""
    target, keep = system.make(), system.make()
    given = system.connector.apply(order(login, target, keep))
    later = replace(known(login, given), trace=given.trace or "" if trace == "traced" else "")
    changed = replace(target, **change)

    report = system.connector.apply(order(later, keep, end=[changed]))

    assert presences(report) == {keep: HELD, changed: ABSENT}
    assert not system.can(login, target)
    assert system.can(login, keep)


@pytest.mark.parametrize("to", ["another thing", "what is gone"])
def test_what_was_given_ends_by_its_trace_under_another_number(
    system: Harness, login: Login, to: str
):
    """Its number was changed to another that is well-formed: under that, nothing was held."""
    target, keep, other = system.make(), system.make(), system.make()
    given = system.connector.apply(order(login, target, keep))
    later = replace(known(login, given), trace=given.trace or "")
    if to == "what is gone":
        system.drop(other)
    changed = replace(target, source_id=other.source_id)

    report = system.connector.apply(order(later, keep, end=[changed]))

    assert presences(report) == {keep: HELD, changed: ABSENT}
    assert not system.can(login, target)
    assert system.can(login, keep)
    after = replace(later, trace=report.trace or "")
    assert presences(system.connector.apply(order(after, end=[keep]))) == {keep: ABSENT}
    assert system.left(login) == []


def test_what_is_gone_takes_nothing_else_along(system: Harness, login: Login):
    gone, theirs = system.make(), system.make()
    given = system.connector.apply(order(login, gone))
    later = replace(known(login, given), trace=given.trace or "")
    system.stand(login, theirs)
    system.drop(gone)

    report = system.connector.apply(order(later, end=[gone]))

    assert presences(report) == {gone: ABSENT}
    assert system.can(login, theirs)


def test_login_dropped_by_hand_is_missing_without_a_password(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    system.drop_login(login)

    report = system.connector.apply(order(known(login), target))

    assert report.login_missing
    assert presences(report) == {target: ABSENT}


def test_login_dropped_by_hand_is_made_again_with_a_password(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    system.drop_login(login)

    report = system.connector.apply(order(login, target))

    assert not report.login_missing
    assert presences(report) == {target: HELD}
    assert system.log_in(login)


def test_login_dropped_by_hand_has_nothing_to_end(system: Harness, login: Login):
    """F10: what was deleted by hand was being revoked for ever."""
    target = system.make()
    system.connector.apply(order(login, target))
    system.drop_login(login)

    report = system.connector.apply(order(known(login), end=[target]))

    assert presences(report) == {target: ABSENT}
    assert not report.login_missing


@pytest.mark.parametrize(
    "name", ["it's", 'the "fine" one', "a/b", "Ünïcode ☕", "semi;colon", " spaces ", "%s", "{}"]
)
def test_awkward_names_are_only_names(system: Harness, login: Login, name: str):
    target = system.make(name=name)
    odd = replace(login, name=f"{login.name} {name}", owner=name)

    assert presences(system.connector.apply(order(odd, target))) == {target: HELD}
    assert odd.name in system.connector.logins()
    session = system.log_in(odd)
    assert session
    assert system.connector.inspect(odd, [target])[target].presence is HELD
    assert presences(system.connector.apply(order(known(odd), end=[target]))) == {target: ABSENT}
    assert not session.alive
    assert system.left(odd) == []
    system.connector.cleanup(odd)


def test_cleanup_removes_the_login_and_all_of_it_twice(system: Harness, login: Login):
    target = system.make()
    system.connector.apply(order(login, target))
    session = system.log_in(login)

    system.connector.cleanup(known(login))
    system.connector.cleanup(known(login))

    assert session
    assert not session.alive
    assert system.log_in(login) is None
    assert login.name not in system.connector.logins()
    assert system.connector.inspect(login, [target])[target].presence is ABSENT


def test_two_accounts_come_and_go_at_once(system: Harness):
    target = system.make()
    logins = [new_login(), new_login()]

    with ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(lambda each: _come_and_go(system.connector, each, target), logins))

    assert rounds == [[HELD, ABSENT] * 5] * 2
    assert [system.left(each) for each in logins] == [[], []]


def test_twenty_accounts_at_once_all_get_the_same_table(system: Harness):
    target = system.make()
    logins = [new_login() for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        granted = list(pool.map(lambda x: system.connector.apply(order(x, target)), logins))
        could = [system.can(each, target) for each in logins]
        ended = list(
            pool.map(lambda x: system.connector.apply(order(known(x), end=[target])), logins)
        )

    assert all(could)
    assert {presence for report in granted for presence in presences(report).values()} == {HELD}
    assert {presence for report in ended for presence in presences(report).values()} == {ABSENT}
    assert not any(system.left(each) for each in logins)


def test_everything_that_is_there_is_discovered(system: Harness):
    target = system.make(name="find me")

    found = {resource.source_id: resource for resource in system.connector.discover()}

    assert found[target.source_id].name == "find me"
    assert found[target.source_id].path == target.path
    assert target.permission in found[target.source_id].permissions


def test_each_permission_is_described_once_at_most(system: Harness):
    described = [permission.id for permission in system.connector.permissions()]

    assert len(described) == len({*described})


def test_instructions_say_who_and_where_and_no_secret(system: Harness, login: Login):
    target = system.make()

    told = system.connector.instructions(login, [target])

    assert login.name in told.values()
    assert login.password
    assert login.password.reveal() not in str(told)


def test_all_is_well_says_the_doctor(system: Harness):
    assert [line for line in system.connector.check() if not line.ok] == []


def _come_and_go(connector: Connector, login: Login, target: Target) -> list[Presence]:
    seen = []
    for _ in range(5):
        seen.append(connector.apply(order(login, target)).outcomes[target].presence)
        seen.append(connector.apply(order(login, end=[target])).outcomes[target].presence)
    return seen
