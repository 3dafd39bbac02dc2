"""A bundle is asked for as one thing: found, previewed, resolved into a fixed list, shown."""

from dataclasses import replace
from datetime import time

import pytest

from bot.sandbox.blocks import judge_blocks
from bot.usecases import look, requestable
from bot.usecases import request as usecase
from bot.usecases.filling import EMPTY, GONE, Changed, Filled, Promise
from bot.usecases.request import Submitted
from bot.views import ids
from bot.views.cards import request_card
from bot.views.request_modal import request_modal, resource_options
from bot.views.values import Asked
from engine.aql.parser import parse
from engine.outcome import Code, Refusal
from engine.port import Discovered
from engine.request import State
from engine.targets import Bundle, ByBundle, ByScope, Scope, Selector, Space
from engine.window import Day, Window
from storage import sync
from tests.bot.test_form import alice, flows, services, who
from tests.support.door import STOCK, modal, suggestion
from tests.support.door import filled as form_filled
from tests.support.scenes import read
from tests.support.stored import (
    DAN,
    PG,
    SAM,
    TABLES,
    WIKI,
    reading,
    table,
    writing,
)

assert alice, services

SHOP = Scope("Shop", parse('resource_path starts_with "shop."'))
KIT = Bundle("Incident kit", (ByScope("Shop"), ByBundle("Pages")))
PAGES = Bundle("Pages", (Selector(WIKI),))
OBJECTS = (SHOP, KIT, PAGES)
READS = ["read on shop.customers", "read on shop.orders"]
EDITS = ["edit on handbook", "edit on runbook"]


def keep(stored, *objects) -> None:
    stored.write(lambda tx, _: sync.objects(tx, objects, stored.now))


@pytest.fixture
def kit(stored):
    """Alice may ask for the kit, which a DBA approves; everything else is for nobody."""
    keep(stored, *OBJECTS)
    flows(stored, reading(targets=()), writing(targets=(ByBundle("Incident kit"),)))
    return next(id_ for id_, o in stored.company().objects.items() if o == KIT)


def filled(kit, **changed) -> Filled:
    given = {
        "bundle": kit,
        "resource": None,
        "permission": None,
        "duration": "1 h",
        "prefilled": True,
        "justification": "INC-1",
        "promise": Promise(),
    }
    return Filled(**given | changed)


def promised(services, person, kit, **changed) -> Filled:
    """Return the form as it comes back once it has named flow and content."""
    form = filled(kit, **changed)
    return replace(form, promise=usecase.fill(services, person, form)[1])


def names(stored, request) -> list[str]:
    things = {e.id: str(e) for e in map(stored.entitlement, EVERYTHING)}
    return sorted(things[e] for e in request.entitlements)


EVERYTHING = [
    f"{permission} on {path}"
    for path in ("shop.orders", "shop.customers", "ledger.entries")
    for permission in ("read", "write")
] + EDITS


def card(services, stored, request, viewer):
    with stored.database.read() as session:
        company = stored.companies.current(session)
        scene = look.scenes(session, services, company, [request.id])[request.id]
    return request_card(replace(scene, viewer=viewer))


@pytest.mark.parametrize("words", ["", "kit", "KIT incident"])
def test_a_bundle_is_found_by_its_name_where_a_flow_has_it(services, stored, alice, kit, words):
    """Only as a target of its own: not what is in it, nor who may ask for nothing."""
    assert [(b.id, b.name) for b in requestable.bundles(services, alice, words)] == [
        (kit, "Incident kit")
    ]
    assert requestable.bundles(services, alice, f"{words} nothing") == []
    assert requestable.bundles(services, who(stored, SAM), words) == []
    flows(stored, reading(), writing(targets=(Selector(PG), ByScope("Shop"))))
    assert requestable.bundles(services, alice, words) == []


def test_the_command_names_a_bundle(services, alice, kit):
    form, promise = usecase.begin(services, alice, "incident KIT for 2h: INC-42")

    assert form.bundle == (kit, "Incident kit")
    assert (form.prefill, form.justification, form.notes) == ("2h", "INC-42", [])
    assert form.preview
    assert promise.text


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("Read on call", "read ON call for 2h: INC-42", ("2h", "INC-42")),
        ("Read on call", "Read on call", ("", "")),
        ("Kit for on-call", "kit for on-call for 30 min", ("30 min", "")),
        ("Kit for on-call", "Kit  for on-call without end", ("without end", "")),
        ("Tier: one", "tier: one: INC-1: it burns", ("", "INC-1: it burns")),
        ("Straße", "STRASSE for 1h", ("1h", "")),
    ],
)
def test_a_name_that_reads_like_a_request_is_the_bundles(services, stored, alice, name, text, form):
    """“Read on call” was looked for as the permission “Read” on “call”."""
    keep(stored, *OBJECTS, Bundle(name, (Selector(WIKI),)))
    flows(stored, reading(), writing(targets=(ByBundle(name),)))

    filled, _ = usecase.begin(services, alice, text)

    assert filled.bundle
    assert filled.bundle[1] == name
    assert (filled.prefill if form[0] else "", filled.justification, filled.notes) == (*form, [])


@pytest.mark.parametrize("text", ["incident kits", "incident kit on shop.orders"])
def test_what_only_begins_like_a_bundle_is_none(services, alice, kit, text):
    assert kit

    filled, _ = usecase.begin(services, alice, text)

    assert filled.bundle is None
    assert filled.notes


def test_a_bundle_with_nothing_in_it_for_them_is_not_found(services, stored, alice, kit):
    """It was offered, and whoever chose it heard that there is nothing in it."""
    keep(stored, *OBJECTS, Bundle("Empty kit", (Selector(PG, types=frozenset({"none"})),)))
    both = (ByBundle("Incident kit"), ByBundle("Empty kit"))
    flows(stored, reading(), writing(targets=both))

    assert [b.id for b in requestable.bundles(services, alice, "kit")] == [kit]
    new = Discovered("none", "new", "shop.new", "id:new", {"read": 1})
    stored.write(lambda tx, _: sync.inventory(tx, PG, [*TABLES, new], stored.now))
    assert [b.name for b in requestable.bundles(services, alice, "kit")] == [
        "Empty kit",
        "Incident kit",
    ]


def test_the_form_says_what_is_in_it_before_it_is_sent(services, alice, kit):
    form, promise = usecase.fill(services, alice, filled(kit))

    assert form.preview
    assert form.preview.things == sorted(
        [*EDITS, *READS, *(r.replace("read", "write") for r in READS)],
        key=lambda name: (name.startswith("edit"), name.partition(" on ")[2], name),
    )
    assert form.preview.approvers == [[Asked("DBAs", ["Dan", "Dora"])]]
    said = read(request_modal(form, metadata=promise.text))
    assert "read on shop.orders" in said
    assert "Incident kit" in str(request_modal(form))
    assert "What do you want to do with it?" not in said


def test_it_is_resolved_at_submission_and_stays_so(services, stored, alice, kit):
    outcome = usecase.submit(services, alice, promised(services, alice, kit), "key")
    assert isinstance(outcome, Submitted)
    (request,) = outcome.requests
    assert (request.state, request.bundle, len(request.grants)) == (
        State.PENDING,
        "Incident kit",
        6,
    )

    more = [table("shop.orders"), table("shop.customers"), table("shop.more")]
    stored.write(lambda tx, _: sync.inventory(tx, PG, more, stored.now))
    stored.approve(request)
    stored.converge()

    given = stored.again(request)
    assert given.state is State.ACTIVE
    assert dict.fromkeys(given.entitlements, 1) == dict.fromkeys(request.entitlements, 1)


def test_approvers_see_the_bundle_and_its_list(services, stored, alice, kit):
    (request,) = usecase.submit(services, alice, promised(services, alice, kit), "key").requests

    said = read(card(services, stored, request, DAN))

    assert "Incident kit" in said
    assert "6 entitlements" in said
    assert "shop.customers" in said
    assert "handbook" in said


def test_what_has_changed_since_the_form_promised_it_is_asked_back(services, stored, alice, kit):
    """Nobody sends for more, or less, than they have seen."""
    form = promised(services, alice, kit)
    keep(stored, SHOP, replace(KIT, targets=(ByScope("Shop"),)), PAGES)

    outcome = usecase.submit(services, alice, form, "key")

    assert isinstance(outcome, Changed)
    assert len(outcome.form.preview.things) == 4
    again = usecase.submit(services, alice, replace(form, promise=outcome.promise), "key")
    assert isinstance(again, Submitted)


def test_what_goes_at_the_last_moment_is_asked_back(services, stored, alice, kit, monkeypatch):
    """What is in it is looked for before the transaction, which tests it once more."""
    form = promised(services, alice, kit)
    write = type(services).write

    def gone_meanwhile(self, change):
        stored.write(lambda tx, _: sync.inventory(tx, PG, [table("shop.orders")], stored.now))
        return write(self, change)

    monkeypatch.setattr(type(services), "write", gone_meanwhile)
    outcome = usecase.submit(services, alice, form, "key")

    assert isinstance(outcome, Changed)
    assert "read on shop.orders" in outcome.form.preview.things
    assert "read on shop.customers" not in outcome.form.preview.things


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda stored: keep(stored, SHOP, PAGES), GONE),
        (lambda stored: flows(stored, reading(), writing()), GONE),
        (lambda stored: keep(stored, KIT), EMPTY),
    ],
    ids=["deleted", "offered no more", "empty"],
)
def test_what_cannot_be_had_any_more_is_said(services, stored, alice, kit, change, refusal):
    form = promised(services, alice, kit)
    change(stored)

    assert usecase.submit(services, alice, form, "key") == refusal
    assert refusal.sentence in usecase.fill(services, alice, form)[0].notes


@pytest.mark.parametrize(("many", "refused"), [(1000, False), (1001, True)])
def test_a_thousand_entitlements_are_the_most(services, stored, alice, kit, many, refused):
    pages = [Discovered("page", f"p{n:04}", f"p{n:04}", f"{n}", {"edit": 1}) for n in range(many)]
    for number in range(0, many, 250):
        stored.write(
            lambda tx, _, to=number + 250: sync.inventory(tx, WIKI, pages[:to], stored.now)
        )
    keep(stored, replace(KIT, targets=(Selector(WIKI),)))

    outcome = usecase.submit(services, alice, promised(services, alice, kit), "key")

    if refused:
        assert isinstance(outcome, Refusal)
        assert outcome.code is Code.TOO_MANY
        assert "has 1,001 entitlements for you; a request has at most 1,000" in outcome.sentence
    else:
        assert isinstance(outcome, Submitted)
        assert len(outcome.requests[0].grants) == many
        said = card(services, stored, outcome.requests[0], DAN)
        assert "1,000 entitlements" in read(said)
        assert not judge_blocks(said.blocks, "message")


def test_of_a_space_s_flow_it_is_what_is_in_the_slice(services, stored, alice, kit):
    keep(stored, *OBJECTS, Space("Mine", ("Shop",)))
    flows(stored, writing(name="Mine/Kit", space="Mine", targets=(ByBundle("Incident kit"),)))

    form, _ = usecase.fill(services, alice, filled(kit))

    assert form.preview
    assert form.preview.flow == "Mine/Kit"
    assert {name.partition(" on ")[2] for name in form.preview.things} == {
        "shop.customers",
        "shop.orders",
    }


@pytest.mark.usefixtures("kit")
def test_outside_its_hours_it_is_listed_with_when_it_opens(services, stored, alice):
    nights = Window(frozenset({Day.SUNDAY}), time(1), time(2), "UTC")
    flows(stored, reading(when=nights, targets=(ByBundle("Incident kit"),)))

    (found,) = requestable.bundles(services, alice, "")

    assert found.opens == "from Sun 01:00"


def test_it_is_asked_for_again_as_one_thing(services, alice, kit):
    (request,) = usecase.submit(
        services, alice, promised(services, alice, kit, justification="INC-7"), "key"
    ).requests

    form, _ = usecase.again(services, alice, request.id)

    assert form.bundle == (kit, "Incident kit")
    assert form.justification == "INC-7"


def test_the_same_bundle_twice_is_one_request(services, alice, kit):
    form = promised(services, alice, kit)
    first = usecase.submit(services, alice, form, "one")

    second = usecase.submit(services, alice, form, "two")

    assert isinstance(second, Submitted)
    assert (second.existing, [r.id for r in second.requests]) == (
        True,
        [r.id for r in first.requests],
    )


def test_bundles_come_first_in_the_answer_to_a_search():
    things = [(n, f"t{n}", "table") for n in range(1, 101)]

    plain = resource_options(things, None, [(7, "Kit", "bundle")])
    grouped = resource_options(things[:1], {1: "Shop"}, [(7, "Kit", "bundle")])

    assert [o["value"] for o in plain["options"]][:2] == ["bundle/7", "1"]
    assert len(plain["options"]) == 100
    assert [g["label"]["text"] for g in grouped["option_groups"]] == ["Bundles", "Shop"]


def test_in_slack_it_is_searched_chosen_sent_and_decided_as_one_thing(door):
    """The whole way, as Slack sends it; the sandbox's company has the bundle."""
    maya, amara = "maya", "amara"
    found = door.deliver(suggestion(maya, "warehouse incident")).payload
    (option,) = found["options"]
    assert (option["text"]["text"], option["value"][:7]) == ("Warehouse incident", "bundle/")

    said = door.command(maya, "request Warehouse Incident for 30 min: INC-7")
    view = said.views[0]
    assert f"read on {STOCK}" in said.said
    answer = door.submit(maya, view, form_filled(view))
    assert answer.errors == []
    (request,) = (r for r in door.requests() if r.requestor == maya)
    assert (request.bundle, request.state) == ("Warehouse incident", State.PENDING)
    assert request.justification == "INC-7"

    again = door.submit(maya, view, form_filled(view))
    assert "asks for the same already" in again.said

    door.submit(amara, modal(ids.APPROVE_MODAL, str(request.id)))
    door.work()
    assert door.request(request.id).state is State.ACTIVE
