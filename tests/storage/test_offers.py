"""What flows offer, as sets: of each flow, what its revision says of each thing that is there."""

from dataclasses import replace

from engine.aql.parser import parse
from engine.aql.tokens import Field
from engine.crowd import each
from engine.inventory import Entitlement
from engine.targets import ByScope, Picked, Selector
from storage import facts, sync
from storage.offers import offered
from tests.support.stored import PG, TABLES, WIKI, reading, table, writing

ALL = parse('resource_name starts_with "o"')


def there(stored) -> list[Entitlement]:
    with stored.database.read() as session:
        return [facts.to_entitlement(row) for row in session.execute(facts.entitlement_query())]


def test_what_flows_offer_is_what_they_select_of_what_is_there(stored):
    names = frozenset({"shop.customers", "handbook"})
    listed = [
        reading(),
        writing(),
        reading(name="Named", targets=(Selector(PG, names=names), Selector(WIKI, names=names))),
        reading(name="Same", targets=reading().targets),
        reading(name="Nothing", targets=(Selector(PG, types=frozenset({"view"})),)),
        reading(name="Gone", targets=(ByScope("Gone"),)),
    ]
    stored.write(lambda tx, _: sync.flows(tx, [(r, True) for r in listed], stored.now))
    found = [table("shop.new", "read"), *TABLES[1:]]
    stored.write(lambda tx, _: sync.inventory(tx, PG, found, stored.now))
    flows = list(stored.company().flows.values())

    with stored.database.read() as session:
        made = offered(session, flows, ALL)

    known = there(stored)
    assert len(made.by_flow) == len(listed)
    for flow in flows:
        selected = {e.id for e in known if e.available and flow.revision.selects(e)}
        assert {*each(made.by_flow[flow.id])} == selected
    assert {*each(made.high)} == {e.id for e in known if e.available and e.risk >= 7}


def test_what_is_production_is_what_the_query_selects(stored):
    with stored.database.read() as session:
        made = offered(session, [], parse('resource_name starts_with "e"'))

    assert {*each(made.prod)} == {e.id for e in there(stored) if e.resource.name[0] == "e"}
    assert made.by_flow == {}


def test_flows_that_are_not_open_offer_nothing_and_progress_is_told(stored):
    flows = list(stored.company().flows.values())
    told = []

    with stored.database.read() as session:
        made = offered(
            session,
            [replace(flows[0], active=False), *flows[1:]],
            ALL,
            lambda done, every: told.append((done, every)),
        )

    assert made.by_flow.keys() == {flows[1].id}
    assert told == [(0, 1), (1, 1)]


def test_of_what_targets_deny_it_is_known_which_things_have_the_key(stored):
    tagged = [
        replace(TABLES[0], tags={"env": ("prod",)}),
        replace(TABLES[1], tags={"env": ("dev",), "team": ("a",)}, context={"zone": ("eu",)}),
        TABLES[2],
    ]
    stored.write(lambda tx, _: sync.inventory(tx, PG, tagged, stored.now))
    asked = 'resource_tag["env"] != "prod" and not resource_context["zone"] = "us"'
    denies = f'{asked} and permission_tag["x"] != "y"'
    only = reading(targets=(Picked(parse(denies)),))
    stored.write(lambda tx, _: sync.flows(tx, [(only, True)], stored.now))

    with stored.database.read() as session:
        made = offered(session, stored.company().flows.values(), ALL)

    named = {e.id: e.resource.path for e in there(stored)}
    having = {key: {named[n] for n in each(those)} for key, those in made.having.items()}
    assert having == {
        (Field.RESOURCE_TAG, "env"): {"shop.orders", "shop.customers"},
        (Field.RESOURCE_CONTEXT, "zone"): {"shop.customers"},
        (Field.PERMISSION_TAG, "x"): set(),
    }
