"""Whose click it is: the Slack account that Slack signed, tied to one person of the directory."""

from dataclasses import replace

import pytest

from bot.clock import SystemClock
from bot.services import Services
from bot.usecases.identity import NO_ANSWER, NO_ONE, Unknown, take, who
from engine.directory import Account
from storage import sync
from tests.support.stored import ALICE, GROUPS, PEOPLE, Stored, person

ZOE = person("zoe")


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    yield opened
    opened.close()


@pytest.fixture
def services(stored):
    return Services(stored.database, stored.companies, SystemClock(), stored.keys, {})


def join(stored, *people):
    stored.write(lambda tx, _: sync.people(tx, [*PEOPLE, *people], GROUPS, stored.now))


def profile(slack, email):
    return {"id": slack, "team_id": "T1", "is_email_confirmed": True, "profile": {"email": email}}


def acting(slack, team="T1", enterprise=""):
    return Account(team, slack, enterprise=enterprise)


def test_an_address_that_two_people_share_is_nobodys(stored, services):
    """F25: where an address fitted several, a third person was picked.

    However it is found: at the first click, or for all at once.
    """
    join(stored, ZOE, replace(person("zora"), email=ZOE.email.upper()))
    shared = profile("U-NEW", ZOE.email)

    assert who(services, acting("U-NEW"), lambda _: shared) is NO_ONE
    assert take(services, [shared]) == 0


def test_two_accounts_with_one_address_are_nobodys(stored, services):
    join(stored, ZOE)

    assert take(services, [profile("U-1", ZOE.email), profile("U-2", ZOE.email)]) == 0


def test_when_slack_does_not_answer_nobody_is_unknown_for_good(stored, services):
    """F25: a fault of Slack's was told as “we do not know you”."""
    join(stored, ZOE)

    def away(_):
        raise Unknown

    assert who(services, acting("U-ZOE"), away) is NO_ANSWER
    assert who(services, acting("U-ZOE"), lambda _: profile("U-ZOE", ZOE.email)).id == ZOE.id


def test_who_is_tied_is_known_whatever_slack_does(services):
    def away(_):
        raise Unknown

    assert who(services, acting(f"U-{ALICE}"), away).id == ALICE
