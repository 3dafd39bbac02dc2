"""`/access` itself, and who it knows."""

import pytest
import yaml

from bot.listeners.access import WORDS
from bot.sandbox.house import MANIFESTS
from engine.request import State


def test_help_lists_the_commands(told):
    marta = told.person("marta")
    for text in ("", "help", "HELP"):
        answer = marta.command("/access", text)
        assert all(word in answer.text for word in ("request", "my", "tasks"))


def test_slack_hints_at_the_commands_that_there_are():
    manifest = yaml.safe_load((MANIFESTS / "slack-app.yaml").read_text())
    (command,) = manifest["features"]["slash_commands"]

    assert command["usage_hint"] == f"[{' | '.join(WORDS)}]"


@pytest.mark.parametrize(
    ("typed", "meant"), [("reqest", "request"), ("taks", "tasks"), ("MY!", "my")]
)
def test_a_misspelt_command_names_the_nearest(told, typed, meant):
    assert f"/access {meant}" in told.person("marta").command("/access", typed).text


@pytest.mark.parametrize("between", ["\n", "\t", "\u00a0", "   "])
def test_any_white_space_stands_between_a_command_and_the_rest(told, between):
    """A line break after the command made `request read` of it, which nobody knows."""
    marta = told.person("marta")
    assert marta.command("/access", f"request{between}orders/shop/customers").ok
    assert "orders/shop/customers" in marta.wait_view("Request access").text


def test_an_unknown_command_is_shown_harmlessly(told):
    answer = told.person("marta").command("/access", "<!channel> *x* " + "y" * 3000)
    assert answer.ok
    assert "<!channel>" not in str(answer.blocks)


@pytest.mark.parametrize("handle", ["terry", "alex", "paul"])
def test_who_is_not_surely_somebody_of_the_directory_is_no_one(told, handle):
    """F28: somebody of another workspace approved.

    Not listed; of another company; with an address that nobody has confirmed.
    """
    answer = told.house.sandbox.person(handle).command("/access", "request")
    assert answer.ok
    assert "does not know you" in answer.text


def test_a_contractor_who_is_a_guest_can_ask_for_nothing(told):
    answer = told.person("casey").command("/access", "request")
    assert "nothing that you can request" in answer.text


def test_home_shows_what_i_have_and_what_waits_for_me(told):
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta).code
    marta.open_home()
    assert code in marta.wait_home(code).text
    told.card(priya, code, button="approve")
    priya.open_home()
    home = priya.wait_home("customers")
    home.click("approve")
    assert not priya.wait_view("Approve access").submit().errors
    told.wait(code, State.ACTIVE)


def test_home_that_is_open_shows_what_has_changed_since(told):
    """It stood still as it was when it was opened, with buttons that did nothing any more."""
    marta, priya = told.person("marta"), told.person("priya")
    priya.open_home()
    marta.open_home()
    assert "no access" in marta.wait_home().text

    code = told.ask(marta).code
    waiting = priya.wait_home(code, timeout=20)
    assert code in marta.wait_home(code, timeout=20).text
    told.card(priya, code, button="approve")
    waiting.click("approve")
    assert not priya.wait_view("Approve access").submit().errors
    told.wait(code, State.ACTIVE)

    told.until(lambda: code not in priya.wait_home().text, "it waits for nobody", timeout=20)
    assert "Return now" in marta.wait_home("Return now", timeout=20).text


def test_home_is_closed_to_who_is_no_one(told):
    terry = told.house.sandbox.person("terry")
    terry.open_home()
    assert "does not know you" in terry.wait_home().text


def test_somebody_whom_no_flow_knows_is_told_so(told):
    assert "nothing that you can request" in told.person("rowan").command("/access", "request").text


def test_an_address_that_differs_by_case_is_the_same_person(told):
    """F31: an approver whose Slack email differed only by case was not permitted."""
    priya = told.person("priya")
    assert priya.email != priya.email.lower()
    assert not priya.command("/access", "request").text
    assert priya.wait_view("Request access")
    priya.view().close()


def test_when_slack_cannot_say_who_it_is_nothing_is_decided(told):
    told.house.sandbox.fault("users.info", "error", status=503)
    answer = told.house.sandbox.person("terry").command("/access", "request")
    assert "try again" in answer.text
