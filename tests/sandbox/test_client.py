"""The client's own manners: connecting, waiting, the clock."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bot.sandbox.client import NotPossible, Sandbox


def test_a_running_sandbox_can_be_joined(sandbox):
    joined = Sandbox.connect(sandbox.url)

    assert joined.env() == sandbox.env()
    joined.stop()
    assert sandbox.links() == 0


def test_people_are_found_by_id_handle_and_address(sandbox):
    for name in ("U0GUEST", "guest", "Guest@acme.example"):
        assert sandbox.person(name).id == "U0GUEST"
    with pytest.raises(NotPossible, match="nobody"):
        sandbox.person("who")


def test_the_clock_goes_on_and_never_back(files, tmp_path):
    clock = tmp_path / "clock"
    with Sandbox.start(**files, clock=clock) as sandbox:
        assert float(clock.read_text()) == 0
        assert sandbox.advance(900) == 900
        assert sandbox.advance(0.5) == 900.5
        assert float(clock.read_text()) == 900.5
        with pytest.raises(NotPossible, match="never goes back"):
            sandbox.advance(-1)
        for too_far in (1e12, 1e300):
            with pytest.raises(NotPossible, match="a hundred years"):
                sandbox.advance(too_far)
        sandbox.reset_clock()
        assert float(clock.read_text()) == 0


def test_the_clock_goes_to_a_moment_and_stays_where_it_has_come_already(files, tmp_path):
    clock = tmp_path / "clock"
    with Sandbox.start(**files, clock=clock) as sandbox:
        before = time.time()
        ahead = sandbox.advance_to(before + 900)
        assert before + 900 <= time.time() + ahead
        assert ahead <= 900
        assert sandbox.advance_to(before + 300) == ahead
        with pytest.raises(NotPossible, match="a hundred years"):
            sandbox.advance_to(1e12)


def test_where_no_postgresql_is_run_none_is_taken_down(sandbox):
    with pytest.raises(NotPossible, match="no PostgreSQL is run here"):
        sandbox.take_down()
    sandbox.clear_faults()


def test_a_sandbox_started_again_goes_on_with_its_clock(files, tmp_path):
    clock = tmp_path / "clock"
    for expected in (60, 120):
        with Sandbox.start(**files, clock=clock) as sandbox:
            assert sandbox.advance(60) == expected


def test_a_sandbox_stops_at_once_whatever_waits(files):
    with Sandbox.start(**files) as sandbox, ThreadPoolExecutor() as pool:
        sandbox.fault("api.test", "hang")
        pool.submit(httpx.post, f"{sandbox.api_url}api.test", timeout=10, trust_env=False)
        sandbox.wait_journal(lambda entry: entry["fault"] == "hang")
        started = time.monotonic()

        sandbox.stop()

        assert time.monotonic() - started < 3


def test_without_a_clock_file_time_cannot_be_moved(files):
    with Sandbox.start(**files) as sandbox, pytest.raises(NotPossible, match="--clock"):
        sandbox.advance(1)


def test_waiting_ends_with_what_was_seen(person, api):
    api("chat.postMessage", channel=person.id, text="something else")

    with pytest.raises(TimeoutError, match="something else"):
        person.wait_message("never", timeout=0.05)
    with pytest.raises(TimeoutError, match="no view"):
        person.wait_view(timeout=0.05)


def test_a_sandbox_that_cannot_start_says_so(files, capfd):
    with pytest.raises(RuntimeError, match="did not start"):
        Sandbox.start(manifest=files["workspace"], workspace=files["workspace"])

    assert "display_information" in capfd.readouterr().err
