"""Every error that Slack documents of a method that is called is decided, in one table."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.sandbox.api import COMMON_ERRORS, METHODS
from bot.slack.errors import CURES, OF_METHOD, Cure, cure_of

ROOT = Path(__file__).parents[2]
DOCUMENTED = yaml.safe_load((ROOT / "tests" / "support" / "slack_errors.yaml").read_text())
ANY = DOCUMENTED.pop("any")


def refused(method, code, status=200, **headers):
    return SlackApiError(
        "refused",
        SlackResponse(
            client=None,
            http_verb="POST",
            api_url=f"https://slack.example/api/{method}",
            req_args={},
            data={"ok": False, "error": code},
            headers=headers,
            status_code=status,
        ),
    )


def methods_of_the_sdk():
    """Return Slack's names by those that the SDK calls its own functions by."""
    called = re.compile(r'self\.api_call\(\s*"([\w.]+)"')
    functions = inspect.getmembers(WebClient, inspect.isfunction)
    found = {name: called.findall(inspect.getsource(function)) for name, function in functions}
    return {name: methods[-1] for name, methods in found.items() if methods}


def called_in(tree, known):
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in known:
                yield known[name]
            case ast.Call(ast.Attribute(attr="api_call"), [ast.Constant(str(method)), *_]):
                yield method


def test_the_errors_of_every_method_that_is_called_are_listed():
    known = methods_of_the_sdk()
    files = [f for f in (ROOT / "bot").rglob("*.py") if "sandbox" not in f.parts]
    called = {m for f in files for m in called_in(ast.parse(f.read_text()), known)}

    assert called == DOCUMENTED.keys()


@pytest.mark.parametrize("method", DOCUMENTED)
def test_every_error_that_slack_documents_is_decided(method):
    """Of some eighty, fifteen were: the rest was tried again and again, and nobody was told."""
    sandbox = {*METHODS[method].errors, *COMMON_ERRORS}
    undecided = {*DOCUMENTED[method], *ANY, *sandbox} - CURES.keys()

    assert not undecided


def test_nothing_is_decided_that_no_method_answers():
    answered = {code for codes in DOCUMENTED.values() for code in codes} | {*ANY} | COMMON_ERRORS
    answered |= {code for method in DOCUMENTED for code in METHODS[method].errors}

    assert CURES.keys() == answered
    assert all(code in DOCUMENTED[method] for method, code in OF_METHOD)


@pytest.mark.parametrize(
    ("code", "status", "cure"),
    [
        ("internal_error", 200, Cure.UNSURE),
        ("fatal_error", 200, Cure.UNSURE),
        ("service_unavailable", 200, Cure.UNSURE),
        ("invalid_blocks", 503, Cure.UNSURE),
        ("<html>", 200, Cure.UNSURE),
        ("invalid_blocks", 200, Cure.REFUSE),
        ("invalid_blocks", 429, Cure.WAIT),
        ("ratelimited", 200, Cure.WAIT),
        ("channel_not_found", 200, Cure.ANEW),
        ("something_new", 200, Cure.RETRY),
    ],
)
def test_an_answer_that_may_not_be_slacks_leaves_doubt(code, status, cure):
    assert cure_of(refused("chat.update", code, status)) is cure


def test_the_same_error_may_mean_something_else_of_another_method():
    assert cure_of(refused("views.update", "hash_conflict")) is Cure.OVER
    assert cure_of(refused("views.publish", "hash_conflict")) is Cure.RETRY
