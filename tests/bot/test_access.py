"""`/access` itself, and who it knows."""

import pytest


def test_help_lists_the_commands(told):
    marta = told.person("marta")
    for text in ("", "help", "HELP"):
        answer = marta.command("/access", text)
        assert all(word in answer.text for word in ("request", "my", "tasks"))


@pytest.mark.parametrize(
    ("typed", "meant"), [("reqest", "request"), ("taks", "tasks"), ("MY!", "my")]
)
def test_a_misspelt_command_names_the_nearest(told, typed, meant):
    assert f"/access {meant}" in told.person("marta").command("/access", typed).text


def test_an_unknown_command_is_shown_harmlessly(told):
    answer = told.person("marta").command("/access", "<!channel> *x* " + "y" * 3000)
    assert answer.ok
    assert "<!channel>" not in str(answer.blocks)


@pytest.mark.parametrize("handle", ["guest", "stranger", "unknown", "unconfirmed"])
def test_who_is_not_in_the_directory_is_no_one(told, handle):
    answer = told.stranger(handle).command("/access", "request")
    assert answer.ok
    assert "not know you" in answer.text or "nothing that you can request" in answer.text


def test_a_contractor_who_is_a_guest_can_ask_for_nothing(told):
    answer = told.person("casey").command("/access", "request")
    assert "nothing that you can request" in answer.text


def test_somebody_whom_no_flow_knows_is_told_so(told):
    assert "nothing that you can request" in told.person("robin").command("/access", "request").text


def test_an_address_that_differs_by_case_is_the_same_person(told):
    """F31: an approver whose Slack email differed only by case was not permitted."""
    company = told.desk.companies
    with told.desk.database.read() as session:
        directory = company.current(session).directory
    assert all(p.slack for p in directory.people.values() if p.active), [
        p.id for p in directory.people.values() if p.active and not p.slack
    ]


def test_when_slack_cannot_say_who_it_is_nothing_is_decided(told):
    told.house.sandbox.fault("users.info", "error", status=503)
    answer = told.stranger("unknown").command("/access", "request")
    assert "try again" in answer.text
