"""Socket Mode: links, how envelopes are spread over them, and how they go."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.sandbox.kit import App
from tests.support.waiting import wait_until


@pytest.fixture
def address(api, sandbox):
    return lambda: api("apps.connections.open", token=sandbox.app_token)["url"]


@pytest.fixture
def unlinked(sandbox, api):
    app = App(sandbox, api).on("/access")
    yield app
    app.close()


def envelopes(heard):
    return [said for said in heard if isinstance(said, str)]


def test_an_address_is_good_for_one_link(address):
    url = address()
    with connect(url):
        pass

    for bad in (url, url.replace("ticket=", "ticket=x")):
        with pytest.raises(InvalidStatus), connect(bad):
            pass


def test_a_link_is_greeted(unlinked):
    first, second = unlinked.link()[0], unlinked.link()[0]

    assert (first["num_connections"], second["num_connections"]) == (1, 2)
    assert first["connection_info"] == {"app_id": "A0SANDBOX"}
    assert first["debug_info"]["approximate_connection_time"] == 18_060


def test_each_envelope_goes_to_one_of_several_links(unlinked, person, sandbox):
    links = [unlinked.link(), unlinked.link()]
    assert sandbox.links() == 2
    sandbox.wait_links(1)  # it waited for exactly so many: who looked late waited in vain

    for _ in range(6):
        assert person.command("/access").ok

    assert [len(envelopes(heard)) for heard in links] == [3, 3]
    assert len({e["envelope_id"] for e in unlinked.seen}) == 6


def test_an_app_has_ten_links_at_most(unlinked, address):
    for _ in range(10):
        unlinked.link()

    with connect(address()) as eleventh:
        said = json.loads(eleventh.recv(timeout=30))
        assert said == {"type": "disconnect", "reason": "too_many_websockets"}
        with pytest.raises(ConnectionClosed):
            eleventh.recv(timeout=30)


def test_a_disconnect_with_the_old_link_closed(unlinked, sandbox):
    old = unlinked.link()

    sandbox.disconnect("refresh_requested")

    sandbox.wait_links(0)
    wait_until(lambda: len(old) == 2)
    assert (old[1]["type"], old[1]["reason"]) == ("disconnect", "refresh_requested")


def test_a_disconnect_with_the_old_link_left_open(unlinked, sandbox, person):
    old = unlinked.link()

    sandbox.disconnect("warning", close_old=False)

    assert sandbox.links() == 0
    assert person.command("/access").ok  # over the old link: there is no other
    new = unlinked.link()
    assert person.command("/access").ok
    assert (len(envelopes(old)), len(envelopes(new))) == (1, 1)


def test_a_deaf_link_swallows_its_turn(unlinked, sandbox, person):
    good, deaf = unlinked.link(), unlinked.link()
    last = sandbox.mark()
    assert person.command("/access").ok
    assert person.command("/access").ok
    numbers = {entry["link"] for entry in sandbox.journal(last)}

    sandbox.deafen(max(numbers))
    answers = [person.command("/access"), person.command("/access")]

    assert sandbox.links() == 1
    assert sorted(answer.error for answer in answers) == ["", "operation_timeout"]
    assert (len(envelopes(good)), len(envelopes(deaf))) == (2, 1)


def test_a_deaf_link_answers_no_ping(unlinked, sandbox, address):
    with connect(address(), ping_interval=None, close_timeout=0) as link:
        assert link.ping().wait(30)

        sandbox.deafen()

        assert not link.ping().wait(0.2)
    unlinked.close()


def test_a_duplicate_has_an_envelope_of_its_own(app, sandbox, person):
    app.on("/access")
    sandbox.duplicate(1)

    last = sandbox.mark()
    assert person.command("/access", "twice").ok
    assert person.command("/access", "once").ok
    for n in range(last + 1, last + 4):
        sandbox.wait_journal(lambda e, n=n: e["n"] == n and e["outcome"] == "acked")

    assert sorted(e["payload"]["text"] for e in app.seen) == ["once", "twice", "twice"]
    assert len({e["envelope_id"] for e in app.seen}) == 3
    twice = [e["payload"] for e in app.seen if e["payload"]["text"] == "twice"]
    assert twice[0] == twice[1]


def test_an_event_is_given_up(app, sandbox, person):
    """One that an app left unanswered came to the app of the next test, in the turn of a command
    there: that found an envelope too many, and its own on the deaf link.
    """
    last = sandbox.mark()
    person.open_home()
    sandbox.wait_journal(lambda e: e.get("retry") == 1, since=last)

    sandbox.give_up_events()

    app.on("/access")
    assert person.command("/access").ok
    told = [(e["what"], e["outcome"]) for e in sandbox.journal(last) if e["kind"] == "delivery"]
    assert told == [
        ("app_home_opened", "timeout"),
        ("app_home_opened", "given_up"),
        ("/access", "acked"),
    ]
