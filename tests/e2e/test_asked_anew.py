"""Who may approve is looked up again: when the duty is handed over, and when groups change."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.request import State
from tests.support.companies import plain
from tests.support.postgres import own_cluster
from tests.support.story import CUSTOMERS, STOCK, story

HANDOVER = timedelta(minutes=30)  # from the start of the test until then
FLOWS = """
flows:
  - name: Read customers
    requestors: { group: Engineering }
    targets: [{ integration: orders-db, permissions: [read], names: [orders/shop/customers] }]
    grant_for: 1 h
    approval: { any_of: [{ name: Whoever is on call, people: { on_call: Duty } }] }
  - name: Read stock
    requestors: { group: Engineering }
    targets: [{ integration: orders-db, permissions: [read], names: [orders/warehouse/stock] }]
    grant_for: 1 h
    approval: { any_of: [{ name: Security, people: { group: Security } }] }
"""
DUTY = """
schedules:
  - name: Duty
    zone: UTC
    rotation: {{ people: [priya, samleigh], from: {:%Y-%m-%d %H:%M}, days: 1 }}
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = plain(tmp_path_factory.mktemp("duty") / "company")
    first = datetime.now(UTC) + HANDOVER - timedelta(days=1)
    (folder / "flows.yaml").write_text(FLOWS)
    (folder / "on_call.yaml").write_text(DUTY.format(first))
    return folder


@pytest.fixture(scope="module")
def told(company):
    with own_cluster() as cluster, story(cluster, company=company) as told:
        yield told


def test_when_the_duty_is_handed_over_the_next_one_is_asked_and_decides(told):
    """The one before reads that somebody else is asked, and can decide no more."""
    marta, before, after = (told.person(name) for name in ("marta", "priya", "sam.leigh"))
    code = told.ask(marta, path=CUSTOMERS).code
    told.card(before, code, "on call", button="approve")
    assert not any(code in message.text for message in after.messages())

    told.house.sandbox.advance((HANDOVER + timedelta(minutes=1)).total_seconds())

    told.card(after, code, "on call", button="approve")
    told.card(before, code, without="approve")
    told.decide(after, code)
    told.wait(code, State.ACTIVE)
    assert told.request(code).decided.by == "samleigh"


def test_who_joins_a_group_is_asked_and_who_leaves_it_no_longer(told, company):
    marta, leaves, joins = (told.person(name) for name in ("marta", "selin", "greta"))
    code = told.ask(marta, path=STOCK).code
    told.card(leaves, code, button="approve")
    assert not any(code in message.text for message in joins.messages())

    file = company / "people.yaml"
    text = file.read_text()
    for had, has in (("[security]", "[support]"), ("[managers, data]", "[managers, security]")):
        place = text.index(f"id: {'selin' if had == '[security]' else 'greta'}")
        text = text[:place] + text[place:].replace(had, has, 1)
    file.write_text(text)

    told.card(joins, code, button="approve")
    told.card(leaves, code, without="approve")
    told.decide(joins, code)
    told.wait(code, State.ACTIVE)
    assert told.request(code).decided.by == "greta"
