"""What is logged while something from Slack is answered."""

import pytest
from slack_bolt import BoltResponse
from structlog.contextvars import get_contextvars

from bot.slack import dispatch
from bot.views import ids
from engine.request import RequestId, code_of
from tests.support.door import click, modal, submission


class Noting:
    """An app that notes what a line of the log would say besides."""

    def dispatch(self, _request):
        self.noted = get_contextvars()
        return BoltResponse(status=200)


def noted(body):
    app = Noting()
    dispatch.dispatch(app, body, "a-delivery")
    return app.noted


@pytest.mark.parametrize("action", sorted(ids.OF_A_REQUEST))
def test_a_click_is_logged_with_its_request(action):
    """A withdrawn approval was logged without."""
    named = {"delivery": "a-delivery", "act": action, "request": code_of(RequestId(7))}
    assert noted(click("marta", action, "7")) == named
    assert noted(click("marta", action, "7/2")) == named


@pytest.mark.parametrize("callback", sorted(ids.MODALS_OF_A_REQUEST))
def test_a_form_is_logged_with_its_request(callback):
    named = {"delivery": "a-delivery", "act": callback, "request": code_of(RequestId(7))}
    assert noted(submission("marta", {"id": "V1", **modal(callback, "7")}, {})) == named


def test_what_is_no_requests_is_logged_without():
    assert noted(click("marta", ids.WISH, "7")) == {"delivery": "a-delivery", "act": ids.WISH}
    assert noted(click("marta", ids.CANCEL, "x")) == {"delivery": "a-delivery", "act": ids.CANCEL}
