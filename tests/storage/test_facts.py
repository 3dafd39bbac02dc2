"""What is read of requests: for a decision, for a person's lists, for an operator."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, update
from sqlmodel import col

from engine.commands import Cancel
from engine.inventory import PermissionId, Policies, Principal
from engine.request import LARGEST_ID
from storage import apply, facts, sync
from storage.tables import RequestRow, ResourceRow
from tests.support.stored import ALICE, BOB, DAN, PAGES, PEOPLE, PG, TABLES, WIKI, WRITING


def read(stored, ask, *given, **more):
    """Return the ids of what is found."""
    with stored.database.read() as session:
        return [getattr(found, "id", found) for found in ask(session, *given, **more)]


@pytest.fixture
def requests(stored):
    """Two that are begun, one that waits, one that is over; the last is somebody else's."""
    begun = stored.submit()
    also = stored.submit("edit on handbook")
    over = stored.submit("read on shop.customers", flow=WRITING)
    stored.do(over, Cancel(ALICE))
    waits = stored.submit("write on shop.orders", flow=WRITING)
    other = stored.submit("write on shop.orders", by=BOB, flow=WRITING)
    stored.tick()
    return [r.id for r in (begun, also, over, waits, other)]


def test_a_persons_are_those_they_made_the_newest_first(stored, requests):
    begun, also, over, waits, other = requests

    assert read(stored, facts.of_person, ALICE, live=True) == [waits, also, begun]
    assert read(stored, facts.of_person, ALICE, live=False) == [waits, over, also, begun]
    assert read(stored, facts.of_person, BOB, live=True) == [other]
    assert read(stored, facts.of_person, DAN, live=False) == []


def test_a_persons_are_those_too_that_others_made_for_them(stored):
    stored.take_in([replace(p, manager=ALICE) if p.id == BOB else p for p in PEOPLE])
    request = stored.submit(by=ALICE, to=BOB)

    assert read(stored, facts.of_person, BOB, live=True) == [request.id]
    assert read(stored, facts.of_person, BOB, live=False) == [request.id]
    assert read(stored, facts.of_person, ALICE, live=True) == [request.id]


@pytest.mark.parametrize("live", [True, False])
def test_of_very_many_of_a_person_a_hundred_are_read(stored, live):
    stored.submit()
    (row,) = stored.rows(RequestRow)
    like = {k: v for k, v in row.model_dump().items() if k not in {"id", "fingerprint"}}
    with stored.database.write() as tx:
        tx.execute(insert(RequestRow), [like | {"fingerprint": f"f{n}"} for n in range(100)])

    assert len(read(stored, facts.of_person, ALICE, live=live)) == 100


def test_who_is_asked_sees_the_oldest_first_until_it_is_decided(stored, requests):
    *_, waits, other = requests

    assert read(stored, facts.waiting_for, DAN) == [waits, other]
    assert read(stored, facts.waiting_for, ALICE) == []
    stored.approve(_found(stored, waits))
    assert read(stored, facts.waiting_for, DAN) == [other]


def _found(stored, id_):
    with stored.database.read() as session:
        return facts.request(session, id_)


def test_an_operator_sees_all_or_what_is_not_over(stored, requests):
    begun, also, over, waits, other = requests

    assert read(stored, facts.find) == [other, waits, also, begun]
    assert read(stored, facts.find, live=False) == [other, waits, over, also, begun]


def test_open_are_those_that_wait_or_begin(stored, requests):
    begun, also, _, waits, other = requests

    assert read(stored, facts.open_by, ALICE) == [begun, also, waits]
    assert stored.write(lambda tx, _: facts.open_by(tx, BOB)) == [other]
    stored.converge()
    assert read(stored, facts.open_by, ALICE) == [waits]


def test_several_are_read_in_the_order_of_their_ids(stored, requests):
    begun, also, *_, other = requests

    assert read(stored, facts.requests, [other, also, begun, LARGEST_ID]) == [begun, also, other]
    assert _found(stored, LARGEST_ID) is None


def test_the_same_is_found_until_it_is_there(stored):
    draft = stored.draft()
    request = stored.submit_draft(draft)

    def same():
        with stored.database.read() as session:
            return facts.same(session, apply.fingerprint(draft))

    assert same() == request.id
    stored.converge()
    assert same() is None


def test_those_that_share_an_account_are_locked_together(stored, requests):
    begun, _, _, waits, other = requests
    account = stored.account(PG).id

    def locked(ask, id_):
        return stored.write(lambda tx, _: [r.id for r in ask(tx, [id_])])

    assert locked(facts.together, begun) == [begun, waits]
    assert locked(facts.together, other) == [other]
    assert locked(facts.sharing, account) == [begun, waits]


def test_what_is_gone_is_read_as_gone(stored):
    entitlement = stored.entitlement("read on shop.orders")
    stored.write(lambda tx, _: sync.inventory(tx, PG, [], stored.now))
    company = stored.company()

    with stored.database.read() as session:
        found = facts.entitlements(session, company, [entitlement.id, LARGEST_ID])

    assert [*found] == [entitlement.id]
    assert not found[entitlement.id].available
    assert found[entitlement.id].resource.path == "shop.orders"


@pytest.mark.parametrize("spoilt", [{"status": "odd"}, {"body": [7]}])
def test_a_resource_that_cannot_be_read_is_said_and_not_offered(stored, spoilt):
    entitlement = stored.entitlement("read on shop.orders")
    with stored.database.write() as tx:
        this = update(ResourceRow).where(col(ResourceRow.id) == entitlement.resource.id)
        tx.execute(this.values(spoilt))
    company = stored.company()

    with stored.database.read() as session:
        found = facts.entitlements(session, company, [entitlement.id])

    assert not found[entitlement.id].available
    (finding,) = stored.database.unread.take()
    assert "shop.orders" in finding.sentence


def test_what_somebody_has_in_any_system_counts_where_a_policy_is_added(stored):
    """Of an account that two integrations list, what was had by the other one was not looked at."""

    def by_policy(found, permission):
        policies = Policies("1111", Principal.USER, {PermissionId(permission): "{}"})
        return [replace(one, policies=policies) for one in found]

    def change(tx, _):
        sync.inventory(tx, PG, by_policy(TABLES, "read"), stored.now)
        sync.inventory(tx, WIKI, by_policy(PAGES, "edit"), stored.now)

    stored.write(change)
    stored.submit("read on shop.orders")
    draft = stored.draft(["edit on handbook"])

    with stored.database.read() as session:
        found = facts.carried(session, stored.company(), draft)

    assert [str(one.entitlement) for one in found] == ["read on shop.orders"]
