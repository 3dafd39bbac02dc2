"""The request form, as its use case fills it: what people read there, what their answer makes."""

from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest

from bot.runtime.services import Connected, Services
from bot.usecases import look, requestable
from bot.usecases import request as usecase
from bot.usecases.filling import GONE, NOT_FOR_THEM, Changed, Filled, Promise
from bot.usecases.request import Submitted
from bot.usecases.requestable import NOTHING_REQUESTABLE
from bot.views.cards import request_card
from bot.views.values import Asked, Form, Start
from engine.aql.parser import parse
from engine.aql.tokens import quoted
from engine.commands import Cancel, Extend, Return
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonStatus
from engine.flow import ApprovalRule, ApproverGroup, Quorum, RequestFor
from engine.inventory import Integration, PermissionId
from engine.on_call import Schedule, Shift
from engine.outcome import Card, Code, Refusal
from engine.port import DiscoveredPermission
from engine.request import State
from engine.start import Chosen
from engine.targets import Picked, Selector
from engine.window import Day, Window
from storage import facts, sync
from storage.tables import MessageRow, RequestRow
from tests.support.scenes import read
from tests.support.stored import (
    ALICE,
    BOB,
    DAN,
    DBAS,
    DORA,
    ENGINEERS,
    HOUR,
    MINUTE,
    PEOPLE,
    PG,
    READING,
    SAM,
    SRES,
    TABLES,
    WIKI,
    WRITING,
    Now,
    is_in,
    person,
    reading,
    table,
    writing,
)

ORDERS = "read on shop.orders"


@pytest.fixture
def services(stored):
    names = {PG: "Production", WIKI: "Wiki"}
    connected = {
        id_: Connected(Integration(id_, name, "memory"), stored.systems[id_])
        for id_, name in names.items()
    }
    return Services(stored.database, stored.companies, Now(stored), stored.keys, connected)


@pytest.fixture
def alice(stored):
    return who(stored, ALICE)


def who(stored, id_):
    return stored.company().directory.people[id_]


def flows(stored, *changed):
    stored.write(lambda tx, _: sync.flows(tx, [(flow, True) for flow in changed], stored.now))


def filled(stored, named=ORDERS, **changed):
    """Return the form as it comes back, with the flow promised that it names by itself."""
    chosen = stored.entitlement(named)
    given = {
        "resource": chosen.resource.id,
        "permission": chosen.id,
        "duration": "1 h",
        "prefilled": True,
        "justification": "INC-1",
        "promise": Promise.of(stored.flow(READING)),
    }
    return Filled(**given | changed)


# --- what the command said -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "permission", "long", "why"),
    [
        ("read on shop.orders for 90 min: INC-7", "shop.orders", "read", "90 min", "INC-7"),
        ("WRITE ON Shop.Orders FOR 2 h", "shop.orders", "write", "2 h", ""),
        ("write on shop.orders without end: a: b", "shop.orders", "write", "without end", "a: b"),
        ("shop.orders", "shop.orders", None, "1 h", ""),
        ("shop.orders for 2 h: why", "shop.orders", None, "2 h", "why"),
        ("edit on handbook", "handbook", "edit", "1 h", ""),
        ("handbook", "handbook", "edit", "1 h", ""),
    ],
)
def test_the_form_begins_with_what_was_said(services, alice, text, path, permission, long, why):
    form, _ = usecase.begin(services, alice, text)

    assert form.resource
    assert form.resource[1] == path
    assert dict(form.permissions).get(form.permission) == permission
    assert (form.prefill, form.justification, form.notes) == (long, why, [])


def test_what_is_called_exactly_so_is_meant(services, stored, alice):
    listed = [*TABLES, table("shop.orders_of_2025")]
    stored.write(lambda tx, _: sync.inventory(tx, PG, listed, stored.now))

    form, _ = usecase.begin(services, alice, "read on Shop.Orders")

    assert form.resource
    assert (form.resource[1], form.notes) == ("shop.orders", [])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("read on shop", "2 resources match “shop”. Please search below."),
        ("read on moon", "Nothing that you can request matches “moon”. Please search below."),
        (
            "shop.orders for",
            "Nothing that you can request matches “shop.orders for”. Please search below.",
        ),
        (
            "for shop.orders",
            "Nothing that you can request matches “for shop.orders”. Please search below.",
        ),
        ("drop on shop.orders", "There is no “drop” on shop.orders. Please choose."),
        ("read on shop.orders for whatever", "Write minutes, or something like"),
    ],
)
def test_what_was_not_understood_is_said(services, alice, text, note):
    form, _ = usecase.begin(services, alice, text)

    (said,) = form.notes
    assert note in said
    assert form.prefill == "1 h"


def test_a_permission_that_no_flow_offers_is_as_unknown_as_one_that_is_not_there(
    services, stored, alice
):
    """It was told apart, and the form was filled in with another one, without a word."""
    listed = [*TABLES, table("shop.stock", "read", "secret")]
    stored.write(lambda tx, _: sync.inventory(tx, PG, listed, stored.now))
    flows(stored, reading(targets=(Selector(PG, permissions=frozenset({"read"})),)))

    form, _ = usecase.begin(services, alice, "secret on shop.stock")

    assert form.notes == ["There is no “secret” on shop.stock. Please choose."]


@pytest.mark.parametrize(("offered", "chosen"), [(["ps-1", "ps-2"], ""), (["ps-2"], "ps-2")])
def test_of_two_permissions_of_one_name_it_is_the_one_that_is_offered(
    services, stored, alice, offered, chosen
):
    """The first was meant: there was none, it said, where a flow offered but the second."""
    stock = table("shop.stock", "ps-1", "ps-2")
    named = [DiscoveredPermission(PermissionId(id_), "Admin") for id_ in ("ps-1", "ps-2")]
    there = [*TABLES, stock]
    stored.write(lambda tx, _: sync.inventory(tx, PG, there, stored.now, permissions=named))
    where = parse(f"permission in ({', '.join(quoted(id_) for id_ in offered)})")
    flows(stored, reading(targets=(Picked(where),)))

    form, _ = usecase.begin(services, alice, "admin on shop.stock")

    with stored.database.read() as session:
        known = facts.entitlements(session, stored.company(), filter(None, [form.permission]))
    assert [e.permission.id for e in known.values()] == [chosen] * bool(chosen)
    several = "2 permissions are called “admin” on shop.stock. Please choose."
    assert form.notes == ([] if chosen else [several])


def test_without_a_word_the_form_is_empty(services, alice):
    assert usecase.begin(services, alice, "") == (Form(notes=[]), Promise())


def test_whoever_can_request_nothing_gets_no_form(services, stored):
    assert usecase.begin(services, who(stored, DAN), ORDERS) == NOTHING_REQUESTABLE


def test_of_what_is_out_of_order_it_is_said_that_it_begins_later(services, stored, alice):
    del services.connected[PG]

    form, _ = usecase.fill(services, alice, filled(stored))
    other, _ = usecase.fill(services, alice, filled(stored, "edit on handbook"))

    assert "Production is out of order just now" in form.notes[0]
    assert other.notes == []


# --- as it fills ---------------------------------------------------------------------------------


def test_what_was_typed_stays_until_something_is_chosen(services, stored, alice):
    nothing = filled(stored, resource=None, permission=None)
    typed = filled(stored, resource=None, permission=None, prefilled=False, duration="2 h")
    half = filled(stored, permission=None, prefilled=False, duration="2 h")

    assert usecase.fill(services, alice, nothing)[0] == Form(justification="INC-1", notes=[])
    assert usecase.fill(services, alice, typed)[0].prefill == "2 h"
    form, promise = usecase.fill(services, alice, half)
    assert ([n for _, n in form.permissions], form.prefill) == (["read", "write"], "2 h")
    assert (form.permission, form.preview, promise) == (None, None, Promise())


def test_what_is_not_offered_to_somebody_is_gone_and_their_words_stay(services, stored):
    form, promise = usecase.fill(services, who(stored, DAN), filled(stored))

    assert form == Form(notes=[GONE.sentence], justification="INC-1")
    assert promise == Promise()


def test_the_preferred_flow_applies_until_another_is_picked(services, stored, alice):
    quick, slow = stored.flow(READING), stored.flow(WRITING)
    no_such = filled(stored, picked=99)

    form, promise = usecase.fill(services, alice, filled(stored, picked=slow.id))
    assert [f.id for f in form.flows] == [quick.id, slow.id]
    assert (form.flow, form.usual, promise) == (slow.id, quick.id, Promise.of(slow))
    form, promise = usecase.fill(services, alice, no_such)
    assert (form.flow, form.usual, promise) == (quick.id, quick.id, Promise.of(quick))


def test_what_is_typed_finds_the_flow_that_allows_it(services, stored, alice):
    flows(stored, reading(grant_for=HOUR), writing())

    def usual(**changed):
        form, _ = usecase.fill(services, alice, filled(stored, duration="2 h", **changed))
        return form.usual

    assert usual(prefilled=False) == stored.flow(WRITING).id
    assert usual(prefilled=True) == stored.flow(READING).id
    for beyond in ("5 h", "whatever"):
        form, _ = usecase.fill(services, alice, filled(stored, duration=beyond, prefilled=False))
        assert (form.usual, form.prefill) == (stored.flow(READING).id, beyond)


def test_the_preview_does_not_count_what_is_being_taken_away(services, stored, alice):
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))

    shown = usecase.fill(services, alice, filled(stored))[0].preview

    assert shown
    assert list(shown.held) == []


@pytest.mark.parametrize(
    ("longest", "prefill"),
    [(30 * MINUTE, "30 min"), (HOUR, "1 h"), (61 * MINUTE, "1 h"), (None, "1 h")],
)
def test_the_form_puts_an_hour_there_or_what_is_allowed(services, stored, alice, longest, prefill):
    flows(stored, reading(grant_for=longest), writing())

    form, _ = usecase.fill(services, alice, filled(stored))

    assert form.prefill == prefill


def test_the_preview_says_what_would_happen(services, stored, alice):
    picked = filled(stored, "write on shop.orders", picked=stored.flow(WRITING).id)

    shown = usecase.fill(services, alice, picked)[0].preview

    assert shown
    assert (shown.flow, shown.longest, shown.risk) == (WRITING, 4 * HOUR, 6)
    assert (shown.extensions, shown.each) == (1, 30 * MINUTE)
    assert (list(shown.approvers), shown.join) == (
        [[Asked("DBAs", ["Dan", "Dora"])]],
        Quorum.ANY_OF,
    )
    assert list(shown.held) == []


def test_the_preview_says_that_nobody_is_asked_and_nothing_extended(services, stored, alice):
    flows(stored, reading(extension=None), writing())

    shown = usecase.fill(services, alice, filled(stored))[0].preview

    assert shown
    assert (shown.extensions, shown.each) == (0, None)
    assert (list(shown.approvers), shown.join) == ([], Quorum.ANY_OF)


def test_the_preview_says_what_they_hold_of_it_already(services, stored, alice):
    mine, other = stored.submit(), stored.submit("read on shop.customers")
    stored.submit(by=BOB)
    stored.converge()
    stored.submit(duration=2 * HOUR)  # it is not there yet

    shown = usecase.fill(services, alice, filled(stored))[0].preview

    assert shown
    assert list(shown.held) == [(mine.code, stored.again(mine).ends_at)]
    assert mine.code != other.code


# --- the submission ------------------------------------------------------------------------------


def test_a_delivery_makes_one_request_and_the_same_again_none(services, stored, alice):
    first = usecase.submit(services, alice, filled(stored), "view/1")
    repeated = usecase.submit(services, alice, filled(stored), "view/1")
    again = usecase.submit(services, alice, filled(stored), "view/2")

    assert isinstance(first, Submitted)
    (request,) = first.requests
    assert (request.requestor, request.duration, request.justification) == (ALICE, HOUR, "INC-1")
    assert not first.existing
    assert repeated == Submitted(first.requests)
    assert again == Submitted(first.requests, existing=True)


def test_what_was_promised_otherwise_is_shown_and_not_stored(services, stored, alice):
    promised = Promise.of(stored.flow(WRITING))

    outcome = usecase.submit(
        services, alice, filled(stored, promise=promised, duration="90 min"), "view/1"
    )

    assert isinstance(outcome, Changed)
    assert outcome.promise == Promise.of(stored.flow(READING))
    assert outcome.form.flow == stored.flow(READING).id
    assert outcome.form.prefill == "90 min"
    assert f"the access flow “{READING}” applies" in outcome.form.notes[0]


@pytest.mark.parametrize(
    ("changed", "code", "about"),
    [
        ({"resource": None}, Code.NOTHING_SELECTED, "entitlement"),
        ({"permission": None}, Code.NOTHING_SELECTED, "permission"),
        ({"permission": 9999}, Code.RESOURCE_GONE, "entitlement"),
        ({"resource": 9999}, Code.RESOURCE_GONE, "entitlement"),
    ],
)
def test_what_is_not_chosen_is_said_at_its_field(services, stored, alice, changed, code, about):
    refusal = usecase.submit(services, alice, filled(stored, **changed), "view/1")

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.about) == (code, about)


def test_what_has_gone_or_is_not_offered_is_refused(services, stored, alice):
    form = filled(stored)
    stored.write(lambda tx, _: sync.inventory(tx, PG, [], stored.now))

    assert usecase.submit(services, alice, form, "view/1") == GONE
    handbook = filled(stored, "edit on handbook")
    assert usecase.submit(services, who(stored, DAN), handbook, "view/2") == GONE


def test_the_flow_that_allows_most_says_what_it_does_not_allow(services, stored, alice):
    """The shorter one's limit was told, where the other allows more."""
    flows(stored, reading(grant_for=HOUR), writing(grant_for=3 * HOUR))

    refusal = usecase.submit(services, alice, filled(stored, duration="5 h"), "view/1")

    assert isinstance(refusal, Refusal)
    assert refusal.about == "duration"
    assert "3 h" in refusal.sentence


def test_what_no_flow_without_end_allows_is_never_too_long(services, stored, alice):
    flows(stored, reading(grant_for=HOUR), writing(grant_for=None))
    promised = Promise.of(stored.flow(WRITING))

    outcome = usecase.submit(
        services, alice, filled(stored, duration="without end", promise=promised), "view/1"
    )

    assert isinstance(outcome, Submitted)
    assert outcome.requests[0].duration is None


# --- for somebody else ---------------------------------------------------------------------------

EVERYBODY = frozenset(RequestFor)
FOR_DBAS = is_in(DBAS)


def is_manager():
    return ConditionGroup((Condition("manager", Comparator.IS, ()),))


def asked_for(services, person, words=""):
    return [p.id for p in requestable.people(services, person, words)]


def test_who_can_ask_for_themselves_alone_is_not_asked_for_whom(services, alice):
    form, _ = usecase.begin(services, alice, "")

    assert (form.others, form.grantee) == (False, None)
    assert asked_for(services, alice) == [ALICE]


def test_the_form_begins_with_themselves_where_others_can_be_chosen(services, stored, alice):
    flows(stored, reading(request_for=EVERYBODY, grantees=FOR_DBAS), writing())

    form, _ = usecase.begin(services, alice, "read on shop.orders")

    assert (form.others, form.grantee) == (True, (ALICE, "Alice"))
    assert form.preview
    assert form.preview.grantee == ""


def test_people_are_listed_for_whom_one_may_ask(services, stored):
    """Oneself first; reports and others, who may be still to come, and need no Slack account."""
    soon = replace(person("zed", DBAS, manager="bob"), status=PersonStatus.PRE_BOARDING)
    here = [*PEOPLE, soon, person("rita", SRES, manager="bob"), person("gone", DBAS)]
    stored.take_in(here)
    stored.take_in([p for p in here if p.id != "gone"])
    flows(stored, reading(request_for=EVERYBODY, grantees=FOR_DBAS))
    bob = who(stored, BOB)

    assert asked_for(services, bob) == [BOB, DAN, "dora", "rita", "zed"]
    assert asked_for(services, bob, "EXAMPLE d") == ["dan", "dora", "zed"]
    assert asked_for(services, bob, "dan") == [DAN]
    assert asked_for(services, who(stored, DAN)) == []


def test_where_oneself_is_not_among_them_somebody_has_to_be_chosen(services, stored, alice):
    others = frozenset({RequestFor.OTHERS})
    flows(stored, reading(request_for=others, grantees=FOR_DBAS))

    form, promise = usecase.fill(services, alice, filled(stored))
    refusal = usecase.submit(services, alice, filled(stored), "view/1")

    assert (form.others, form.grantee, form.resource, promise) == (True, None, None, Promise())
    assert refusal == Refusal(Code.NOTHING_SELECTED, "Choose for whom it is.", about="grantee")
    assert requestable.options(services, alice, "") == []
    offered = [o.found.path for o in requestable.options(services, alice, "", DAN)]
    assert offered == ["handbook", "ledger.entries", "runbook", "shop.customers", "shop.orders"]


def test_the_form_says_what_it_is_for_somebody_else(services, stored, alice):
    """Who has what, and whose manager is asked, is a matter of who is to have it."""
    theirs = ApprovalRule((ApproverGroup("The manager", is_manager()),))
    for_all = reading(request_for=EVERYBODY, grantees=FOR_DBAS, approval=theirs)
    flows(stored, for_all, writing(request_for=EVERYBODY, grantees=FOR_DBAS))
    stored.take_in([replace(p, manager=DORA) if p.id == DAN else p for p in PEOPLE])
    held = stored.submit(by=ALICE, to=DAN)
    stored.approve(held, DORA)
    stored.converge()

    form, _ = usecase.fill(services, alice, filled(stored, grantee=DAN))

    assert form.grantee == (DAN, "Dan")
    assert form.preview
    assert (form.preview.grantee, form.preview.in_slack) == ("Dan", True)
    assert list(form.preview.approvers) == [[Asked("The manager", ["Dora"], manager=True)]]
    assert [code for code, _ in form.preview.held] == [held.code]


def test_what_is_asked_for_somebody_else_is_theirs_and_both_are_told(services, stored, alice):
    flows(stored, reading(request_for=EVERYBODY, grantees=FOR_DBAS), writing())
    form = filled(stored, grantee=DAN)

    outcome = usecase.submit(services, alice, form, "view/1")

    assert isinstance(outcome, Submitted)
    (request,) = outcome.requests
    assert (request.requestor, request.grantee) == (ALICE, DAN)
    told = {m.recipient for m in stored.rows(MessageRow) if m.kind == Card.REQUEST}
    assert told == {ALICE, DAN}
    stored.converge()
    assert stored.account(of=DAN).acted


def test_the_same_for_the_same_person_is_shown_whoever_asks(services, stored, alice):
    flows(stored, reading(request_for=EVERYBODY, grantees=FOR_DBAS), writing())
    first = usecase.submit(services, alice, filled(stored, grantee=DAN), "view/1")

    again = usecase.submit(services, who(stored, BOB), filled(stored, grantee=DAN), "view/2")
    mine = usecase.submit(services, alice, filled(stored), "view/3")

    assert isinstance(first, Submitted)
    assert again == Submitted(first.requests, existing=True)
    assert isinstance(mine, Submitted)
    assert not mine.existing


@pytest.mark.parametrize("whom", [SAM, "nobody"])
def test_for_whom_no_flow_is_nothing_is_submitted(services, stored, alice, whom):
    """What comes back from Slack is whatever a client puts there."""
    flows(stored, reading(request_for=EVERYBODY, grantees=FOR_DBAS), writing())

    form, _ = usecase.fill(services, alice, filled(stored, grantee=whom))
    refusal = usecase.submit(services, alice, filled(stored, grantee=whom), "view/1")

    assert (form.grantee, form.resource) == (None, None)
    assert refusal == NOT_FOR_THEM
    assert not stored.rows(RequestRow)


def test_a_grantee_declines_and_the_requestor_is_told(services, stored, alice):
    flows(stored, reading(), writing(request_for=EVERYBODY, grantees=FOR_DBAS))
    asked = filled(
        stored,
        "write on shop.orders",
        grantee=DAN,
        promise=Promise.of(stored.flow(WRITING)),
    )
    outcome = usecase.submit(services, alice, asked, "view/1")
    assert isinstance(outcome, Submitted)
    (request,) = outcome.requests

    stored.do(request, Cancel(DAN))

    assert stored.again(request).state is State.CANCELLED
    with stored.database.read() as session:
        scene = look.scenes(session, services, stored.company(), [request.id])[request.id]
    card = read(request_card(look.seen_by(scene, ALICE)))
    assert "Declined by" in card
    assert "asked by you for" in card


def test_asking_again_is_for_whom_it_was_and_for_oneself_if_it_was_given_by_another(
    services, stored, alice
):
    flows(stored, reading(request_for=EVERYBODY, grantees=is_in(DBAS, ENGINEERS)), writing())
    before = stored.submit(by=ALICE, to=BOB)
    stored.do(before, Cancel(ALICE))

    hers, _ = usecase.again(services, alice, before.id)
    his, _ = usecase.again(services, who(stored, BOB), before.id)

    assert (hers.grantee, his.grantee) == ((BOB, "Bob"), (BOB, "Bob"))
    assert his.preview
    assert his.preview.grantee == ""


# --- on call -------------------------------------------------------------------------------------


def test_a_flow_for_who_is_on_call_is_theirs_while_they_are(services, stored, alice):
    """Nothing of it is offered before, and nothing is submitted after it."""
    morning = Window(frozenset(Day), time(9), time(10), "Europe/London")
    duty = Schedule("Databases", (Shift(morning, (ALICE,)),))
    stored.write(lambda tx, _: sync.schedules(tx, [duty], stored.now))
    on_call = ConditionGroup((Condition("on_call", Comparator.IS, ("Databases",)),))
    flows(stored, reading(requestors=on_call))
    form, promise = usecase.fill(services, alice, filled(stored))
    assert form.permission == stored.entitlement(ORDERS).id
    assert usecase.begin(services, who(stored, BOB), "") == NOTHING_REQUESTABLE

    stored.pass_(HOUR)

    assert usecase.begin(services, alice, "") == NOTHING_REQUESTABLE
    assert requestable.options(services, alice, "") == []
    assert usecase.submit(services, alice, filled(stored, promise=promise), "view/1") == GONE


# --- outside its window --------------------------------------------------------------------------
# It is Monday, 09:00 in London.

DAY = timedelta(days=1)
NIGHTS = Window(frozenset(Day), time(22), time(6), "Europe/London")
SUNDAYS = Window(frozenset({Day.SUNDAY}), time(9), time(12), "Europe/London")


def offers(services, person, words=""):
    return {o.found.path: o.opens for o in requestable.options(services, person, words)}


def test_what_only_closed_flows_offer_is_listed_with_when_it_opens(services, stored, alice):
    flows(stored, reading(when=NIGHTS), writing(when=SUNDAYS, targets=(Selector(PG),)))

    assert offers(services, alice) == {
        "handbook": "from Mon 22:00",
        "ledger.entries": "from Mon 22:00",
        "runbook": "from Mon 22:00",
        "shop.customers": "from Mon 22:00",
        "shop.orders": "from Mon 22:00",
    }


def test_what_one_flow_offers_now_is_listed_without_a_time(services, stored, alice):
    flows(stored, reading(when=NIGHTS), writing(targets=(Selector(PG),)))

    assert offers(services, alice) == {
        "handbook": "from Mon 22:00",
        "ledger.entries": "",
        "runbook": "from Mon 22:00",
        "shop.customers": "",
        "shop.orders": "",
    }


def test_the_form_names_what_can_be_asked_for_now_before_what_is_preferred(services, stored, alice):
    flows(stored, reading(when=NIGHTS), writing())
    reads, writes = stored.flow(READING), stored.flow(WRITING)

    form, promise = usecase.fill(services, alice, filled(stored))

    assert [f.id for f in form.flows] == [reads.id, writes.id]
    assert form.closed == {reads.id: "from Mon 22:00"}
    assert (form.usual, promise) == (writes.id, Promise.of(writes))
    assert form.preview
    assert form.preview.closed == ""


def test_a_closed_flow_that_is_picked_says_when_it_opens(services, stored, alice):
    flows(stored, reading(when=NIGHTS), writing())
    reads = stored.flow(READING)
    picked = filled(stored, picked=reads.id, promise=Promise.of(reads))
    said = "“Reading” can be asked for from Mon 22:00 (every day 22:00–06:00 Europe/London)."

    form, _ = usecase.fill(services, alice, picked)
    refusal = usecase.submit(services, alice, picked, "view/1")

    assert form.preview
    assert form.preview.closed == f"{said} You can ask now for a start from then on."
    assert refusal == Refusal(Code.OUTSIDE_WINDOW, said, about="entitlement")


def test_permissions_that_no_flow_gives_now_say_when(services, stored, alice):
    flows(stored, reading(), writing(when=SUNDAYS))

    form, _ = usecase.fill(services, alice, filled(stored, permission=None))

    writes = stored.entitlement("write on shop.orders").id
    assert form.later == {writes: "from Sun 09:00"}


def test_a_window_that_closes_while_somebody_types_lets_nothing_through(services, stored, alice):
    morning = Window(frozenset(Day), time(9), time(10), "Europe/London")
    flows(stored, reading(when=morning), writing(when=SUNDAYS))
    form, promise = usecase.fill(services, alice, filled(stored))
    assert form.preview
    assert form.preview.closed == ""

    stored.pass_(HOUR)
    refusal = usecase.submit(services, alice, filled(stored, promise=promise), "view/1")

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.OUTSIDE_WINDOW


def test_what_was_asked_for_in_time_is_granted_and_extended_after_it(services, stored, alice):
    """The window is a matter of asking alone: approval, access and extension run past it."""
    morning = Window(frozenset(Day), time(9), time(10), "Europe/London")
    flows(stored, reading(), writing(when=morning))
    writes = stored.flow(WRITING)
    asked = filled(stored, "write on shop.orders", promise=Promise.of(writes))

    outcome = usecase.submit(services, alice, asked, "view/1")
    assert isinstance(outcome, Submitted)
    stored.pass_(2 * HOUR)
    stored.approve(outcome.requests[0])
    stored.converge()
    stored.do(outcome.requests[0], Extend(ALICE, 1))

    request = stored.again(outcome.requests[0])
    assert (request.state, request.extensions_used) == (State.ACTIVE, 1)


# --- again ---------------------------------------------------------------------------------------


def test_asking_again_begins_with_what_was_asked_before(services, stored, alice):
    before = stored.submit(flow=WRITING, duration=90 * MINUTE)
    stored.do(before, Cancel(ALICE))

    form, promise = usecase.again(services, alice, before.id)

    assert form.resource
    assert (form.resource[1], form.permission) == ("shop.orders", stored.entitlement(ORDERS).id)
    assert (form.flow, promise) == (stored.flow(WRITING).id, Promise.of(stored.flow(WRITING)))
    assert (form.prefill, form.justification) == ("1 h 30", "INC-42")


def test_asking_again_for_what_was_anothers_begins_anew(services, stored, alice):
    before = stored.submit(by=BOB)

    assert usecase.again(services, alice, before.id) == (Form(notes=[]), Promise())


def test_who_has_too_many_open_gets_no_form(services, stored, alice):
    services = replace(services, open_submissions=1)
    waiting = stored.submit(flow=WRITING)

    for refused in (
        usecase.begin(services, alice, ""),
        usecase.again(services, alice, waiting.id),
        usecase.submit(services, alice, filled(stored), "view/1"),
    ):
        assert isinstance(refused, Refusal)
        assert refused.code is Code.TOO_MANY_OPEN


def test_the_time_of_a_request_is_the_one_that_was_typed(services, stored, alice):
    outcome = usecase.submit(services, alice, filled(stored, duration="2 h 30"), "view/1")

    assert isinstance(outcome, Submitted)
    assert outcome.requests[0].duration == timedelta(hours=2, minutes=30)


# --- a later start -------------------------------------------------------------------------------


def then(stored, ahead: timedelta) -> tuple[datetime, Chosen]:
    """Return a moment, and how ALICE chooses it, who reads UTC."""
    at = stored.now + ahead
    return at, Chosen(f"{at:%Y-%m-%d}", f"{at:%H:%M}", "UTC")


def test_the_form_asks_for_a_start_where_a_flow_in_play_lets_it_be_another(services, stored, alice):
    flows(stored, reading(start_later=None), writing())
    reads, writes = stored.flow(READING), stored.flow(WRITING)

    def start(**changed):
        return usecase.fill(services, alice, filled(stored, **changed))[0].start

    assert start() == Start("UTC", stored.now.date().isoformat(), "", later=False)
    assert start(picked=writes.id)
    assert start(picked=reads.id) is None
    assert start(start=Chosen("", "", "")).later
    assert start(permission=None) is None
    flows(stored, reading(start_later=None), writing(start_later=None))
    assert start() is None


def test_the_form_names_a_flow_that_is_open_at_the_start_and_lets_it_be_so_far_ahead(
    services, stored, alice
):
    flows(stored, reading(when=NIGHTS, start_later=DAY), writing())
    reads, writes = stored.flow(READING), stored.flow(WRITING)

    def named(ahead, **changed):
        at, chosen = then(stored, ahead)
        form, promise = usecase.fill(
            services, alice, filled(stored, start=chosen, prefilled=False, **changed)
        )
        assert form.preview
        return form.flow, promise, form.preview, at

    flow, promise, preview, at = named(14 * HOUR)  # 23:00
    assert (flow, promise) == (reads.id, Promise.of(reads))
    assert (preview.starts, preview.ends, preview.closed) == (at, at + HOUR, "")
    assert named(2 * HOUR)[0] == writes.id
    assert named(38 * HOUR)[0] == writes.id  # a night, and too far ahead for the other one


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (Chosen("", "", ""), ""),
        (Chosen("2026-11-03", "", "UTC"), ""),
        (Chosen("2026-11-02", "08:00", "UTC"), "This moment is past."),
        (Chosen("2026-12-24", "08:00", "UTC"), "at most 7 days ahead"),
        (Chosen("2027-03-28", "01:30", "Europe/London"), "never show 01:30"),
        (Chosen("9999-12-31", "23:59", "UTC"), "at most 7 days ahead"),
    ],
)
def test_what_is_wrong_with_a_start_is_said_before_it_is_sent(
    services, stored, alice, chosen, says
):
    form, promise = usecase.fill(services, alice, filled(stored, start=chosen))

    assert form.preview
    assert form.preview.starts is None
    assert says in form.preview.closed
    assert bool(form.preview.closed) is bool(says)
    assert isinstance(
        usecase.submit(services, alice, filled(stored, start=chosen, promise=promise), "view/1"),
        Refusal,
    )


def test_a_request_for_later_is_stored_with_its_start(services, stored, alice):
    at, chosen = then(stored, DAY)
    sent = usecase.submit(services, alice, filled(stored, start=chosen), "view/1")

    assert isinstance(sent, Submitted)
    assert (sent.requests[0].starts_at, sent.requests[0].state) == (at, State.SCHEDULED)
    again = usecase.submit(services, alice, filled(stored, start=chosen), "view/2")
    assert again.existing
    assert not usecase.submit(services, alice, filled(stored), "view/3").existing


def test_what_is_to_start_later_counts_among_those_that_wait(services, stored, alice):
    few = replace(services, open_submissions=1)
    _, chosen = then(stored, DAY)
    sent = usecase.submit(few, alice, filled(stored, start=chosen), "view/1")
    refused = usecase.submit(few, alice, filled(stored), "view/2")

    assert isinstance(refused, Refusal)
    assert sent.requests[0].code in refused.sentence


def test_a_window_too_far_ahead_for_a_start_is_named_without_that_advice(services, stored, alice):
    flows(stored, reading(when=SUNDAYS, start_later=DAY), writing())
    reads = stored.flow(READING)

    form, _ = usecase.fill(services, alice, filled(stored, picked=reads.id))

    assert form.preview
    assert form.preview.closed.endswith("Europe/London).")
