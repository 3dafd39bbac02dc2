"""A system that is only listed: all of it is found, and nothing of it is ever called given."""

from datetime import timedelta

import pytest

from engine.connectors.listed import BY_HAND, NOT_GIVEN, Listed
from engine.inventory import PermissionId
from engine.port import (
    Discovered,
    DiscoveredPermission,
    Holding,
    Login,
    Order,
    Presence,
    Target,
)

PROD = {
    "type": "account",
    "name": "prod",
    "path": "aws/prod",
    "source_id": "1111",
    "risk": 8,
    "owner": "data",
    "tags": {"env": ["prod"]},
    "context": {"region": ["eu-1", "eu-2"]},
    "permissions": ["admin", "read"],
}
ADMIN = {"id": "admin", "name": "Administrator", "risk": 9, "tags": {"kind": ["managed"]}}
LOGIN = Login("ada", "ada")
TARGET = Target("account", "1111", "aws/prod", "admin")


@pytest.fixture
def listed():
    return Listed(installation="test", resources=[PROD], permissions=[ADMIN])


def test_what_is_listed_is_found_and_says_that_it_is_given_by_hand(listed):
    assert listed.discover() == [
        Discovered(
            "account",
            "prod",
            "aws/prod",
            "1111",
            {"admin": 9, "read": 0},
            8,
            {"env": ("prod",)},
            BY_HAND,
            context={"region": ("eu-1", "eu-2")},
            owner="data",
        )
    ]
    assert listed.permissions() == [
        DiscoveredPermission(PermissionId("admin"), "Administrator", {"kind": ("managed",)})
    ]


def test_nothing_is_called_given_and_an_end_is_done_at_once(listed):
    other = Target("account", "1111", "aws/prod", "read")
    order = Order(LOGIN, [Holding(TARGET, wanted=True), Holding(other, wanted=False)], timedelta(1))

    report = listed.apply(order)

    assert report.outcomes[TARGET].presence is Presence.REFUSED
    assert report.outcomes[TARGET].reason == NOT_GIVEN
    assert report.outcomes[other].presence is Presence.ABSENT
    assert not report.login_missing
    assert {o.presence for o in listed.inspect(LOGIN, [TARGET, other]).values()} == {
        Presence.ABSENT
    }


def test_nothing_there_is_latchkeys_to_look_after(listed):
    assert listed.unexplained(LOGIN, [TARGET]) == listed.cleanup(LOGIN) == ()
    assert listed.logins() == []
    assert listed.instructions(LOGIN, [TARGET]) == {}
    assert listed.server() == ""
    assert [line.ok for line in listed.check()] == [True]
    listed.close()
