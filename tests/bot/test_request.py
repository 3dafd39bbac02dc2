"""Asking: what the form says, what it refuses, what comes of it."""

from datetime import time, timedelta

import pytest

from bot.views.request_modal import wished
from engine.request import State
from engine.window import Day, Window
from tests.support.scenes import mrkdwn_in
from tests.support.story import CUSTOMERS, DELIVERIES, ORDERS, STOCK

EVENTS = "orders/shop/events"
PASTED = "Why? " * 2000  # 10,000 characters


def test_the_form_says_before_submission_who_approves_and_for_how_long(told):
    form = told.fill(told.person("marta"))
    assert "Priya Venkataraman or Sam Leigh (Database administrators)" in form.text
    assert "at most 2 h, extendable" in form.text
    assert "Read the shop's orders" in form.text


def test_a_request_shows_on_both_cards_and_in_both_lists(told):
    """F22: an approver was told of a request that was in no list of theirs."""
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta, why="INC-42: the total is wrong").code
    mine, theirs = told.card(marta, code, "Waiting"), told.card(priya, code, button="approve")
    for seen in (mine.text, theirs.text):
        assert "read on orders/shop/customers" in seen
        assert "INC-42: the total is wrong" in seen
    assert "Database administrators" in theirs.text
    assert code in marta.command("/access", "my").text
    assert "customers" in priya.command("/access", "tasks").text
    assert "Nothing waits" in marta.command("/access", "tasks").text


def test_the_search_offers_only_what_some_flow_gives_this_person(told):
    support, engineer = told.person("kofi"), told.person("marta")
    seen_by_support = {o["text"]["text"] for o in told.form(support).options("resource", "")}
    seen_by_engineer = {o["text"]["text"] for o in told.form(engineer).options("resource", "")}
    assert CUSTOMERS in seen_by_support
    assert ORDERS not in seen_by_support
    assert {CUSTOMERS, ORDERS, STOCK} <= seen_by_engineer
    assert not any("payroll" in path for path in seen_by_engineer | seen_by_support)


def test_what_a_lead_asks_for_somebody_is_theirs_and_both_are_told(told):
    """The lead's own manager decides; the login is the grantee's, and nobody else's to see."""
    lead, marta, ines = (told.person(name) for name in ("li.wei", "marta", "ines"))
    form = told.fill(lead, path=DELIVERIES, grantee="marta")
    assert "Marta Nowak-Żelazna, who is told, and can decline" in form.text
    assert "(The manager)" in form.text
    form.submit()
    (request,) = told.desk.requests(live=True)
    assert (request.requestor, request.grantee) == ("liwei", "marta")

    theirs = told.card(marta, request.code, "Waiting", button="cancel")
    assert "asked by @李薇 for you" in theirs.text
    assert "for @Marta Nowak-Żelazna" in told.card(ines, request.code, button="approve").text
    told.decide(ines, request.code)
    told.wait(request.code, State.ACTIVE)

    told.card(marta, request.code, button="credentials")
    told.card(lead, request.code, "active", button="return", without="credentials")
    listed = told.house.bot.run("requests", "list").stdout
    assert "Marta Nowak-Żelazna (asked by 李薇)" in listed
    shown = told.house.bot.run("requests", "show", request.code).stdout
    assert "李薇 asked for it, for Marta Nowak-Żelazna." in shown
    told.press(marta, request.code, "return")
    told.wait(request.code, State.RETURNED)


def test_who_is_asked_for_declines(told):
    lead, marta = told.person("li.wei"), told.person("marta")
    code = told.ask(lead, path=DELIVERIES, grantee="marta").code

    told.press(marta, code, "cancel")

    told.wait(code, State.CANCELLED)
    assert told.card(lead, code, "Declined by @Marta", without="cancel")


def test_outside_office_hours_things_are_listed_with_when_they_can_be_asked_for(told):
    mei = told.person("mei")
    soon = list(Day)[(told.desk.clock.now().weekday() + 3) % 7]
    window = Window(frozenset({soon}), time(3), time(4), "Europe/Stockholm")
    with told.flow("Events in office hours", when=window):
        options = told.form(mei).options("resource", EVENTS)
        assert [o["description"]["text"] for o in options] == [f"table, from {soon.short} 03:00"]
        mei.view().close(everything=True)
        form = told.fill(mei, path=EVENTS)
        assert f"“Events in office hours” can be asked for from {soon.short}" in form.text
        sent = form.submit()
        assert f"can be asked for from {soon.short} 03:00" in sent.errors["resource"]
    assert not told.desk.requests(live=True)


@pytest.mark.parametrize("typed", ["100%", "orders_shop", "*", "[", "'; drop table x", "\\", "🦊"])
def test_signs_that_mean_something_elsewhere_are_ordinary_in_the_search(told, typed):
    (option,) = told.form(told.person("marta")).options("resource", typed)

    assert wished(option["value"]) == typed  # nothing was found: they may tell the administrators


def test_another_flow_can_be_picked_than_the_form_names(told):
    """Who needed more than the preferred flow gives was never shown that another one gives it."""
    marta = told.person("marta")
    form = told.fill(marta, path=DELIVERIES)
    assert "Automatic" in form.text
    assert "at most 30 min" in form.text

    form.set("flow", "Read the shop's orders")
    marta.wait_view(where=lambda v: "(Database administrators)" in str(v["blocks"]))
    marta.view().set("duration", "90 min")
    assert marta.view().submit().action == "close"

    request = told.desk.requests(live=True)[0]
    assert request.state is State.PENDING
    assert request.duration == timedelta(minutes=90)
    assert "Database administrators" in told.card(told.person("priya"), request.code).text


def test_the_flow_picked_says_what_it_does_not_allow(told):
    marta = told.person("marta")
    form = told.fill(marta, path=DELIVERIES)
    form.set("flow", "Read the shop's orders")
    marta.wait_view(where=lambda v: "(Database administrators)" in str(v["blocks"]))
    marta.view().set("duration", "3 h")
    sent = marta.view().submit()
    assert [block.split("/")[0] for block in sent.errors] == ["duration"]
    assert "“Read the shop's orders” grants for at most 2 h" in next(iter(sent.errors.values()))
    assert not told.desk.requests(live=True)


def test_a_time_that_only_another_flow_allows_is_asked_back(told):
    marta = told.person("marta")
    sent = told.fill(marta, path=DELIVERIES, duration="2 h").submit()
    assert sent.action == "update"
    assert "“Read the shop's orders” applies" in marta.view().text
    assert marta.view().submit().action == "close"
    assert told.desk.requests(live=True)[0].state is State.PENDING


def test_access_without_end_is_asked_for_in_words(told):
    """A flow could grant without end, and there was no way to ask for it."""
    marta = told.person("marta")
    with told.flow("Read the shop's orders", grant_for=None, extension=None):
        form = told.fill(marta, duration="without end")
        assert "no limit" in form.text
        assert "Or: without end." in form.text
        assert form.submit().action == "close"
        code = told.desk.requests(live=True)[0].code
        assert "without end" in told.card(told.person("priya"), code, button="approve").text
        told.decide(told.person("priya"), code)
        assert told.wait(code, State.ACTIVE).ends_at is None
        told.house.sandbox.advance(90 * 24 * 3600)
        told.press(marta, code, "return", "without end")
        told.wait(code, State.RETURNED)


def test_without_end_is_too_long_where_there_is_a_limit(told):
    sent = told.fill(told.person("marta"), duration="forever").submit()
    assert "at most 2 h" in next(iter(sent.errors.values()))


def test_an_automatic_flow_grants_without_anybody(told):
    anil = told.person("anil")
    code = told.ask(anil, path=STOCK, why="").code
    told.wait(code, State.ACTIVE)
    assert "automatic" in told.card(anil, code, "active").text.casefold()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("soon", "soon"),
        ("0", "5 min"),
        ("-1h", ""),
        ("4 min", "the shortest time is 5 min"),
        ("3h", "at most 2 h"),
        ("1e9", ""),
        ("9" * 400, ""),
    ],
)
def test_a_bad_duration_is_said_at_its_field_and_nothing_is_lost(told, typed, said):
    marta = told.person("marta")
    form = told.fill(marta, duration=typed, why="a long and careful text")
    sent = form.submit()
    assert [block.split("/")[0] for block in sent.errors] == ["duration"]
    assert said in next(iter(sent.errors.values()))
    assert "a long and careful text" in marta.view().text
    assert not told.desk.requests(live=True)


def test_a_missing_justification_is_said_at_its_field(told):
    sent = told.fill(told.person("marta"), why="   ").submit()
    assert list(sent.errors) == ["justification"]


def test_a_text_of_ten_thousand_characters_is_said_to_be_too_long_and_stays(told):
    marta = told.person("marta")
    form = told.fill(marta, why=PASTED[:2900])
    sent = form.submit()
    assert "1,000" in sent.errors["justification"]
    assert PASTED[:2900].strip() in marta.view().text


def test_what_slack_itself_holds_back_stays_in_the_field(told):
    """Slack lets nobody send more than 3,000 characters: it says so at the field."""
    marta = told.person("marta")
    form = told.fill(marta)
    form.set("justification", PASTED)
    sent = form.submit()
    assert list(sent.errors) == ["justification"]
    assert not told.desk.requests(live=True)


def test_nothing_chosen_is_said_at_the_field(told):
    sent = told.form(told.person("marta")).submit()
    assert list(sent.errors) == ["resource"]


def test_text_from_people_pings_nobody_and_fakes_no_link(told):
    """F38: a justification could ping a channel."""
    wrote = "<!channel> <@U0001> <https://evil.example|our wiki> *b* `c`"
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta, why=wrote).code
    sent = told.card(priya, code, button="approve").raw
    assert {"type": "rich_text_quote", "elements": [{"type": "text", "text": wrote}]} in [
        part for block in sent["blocks"] for part in block.get("elements", [])
    ]
    for markup in [sent["text"], *mrkdwn_in(sent["blocks"])]:
        assert "<!channel>" not in markup
        assert "evil.example" not in markup


def test_submitting_the_same_twice_makes_one_request(told):
    marta = told.person("marta")
    code = told.ask(marta).code
    sent = told.fill(marta, why="another reason, another time", duration="30 min").submit()
    assert sent.action == "update"
    assert code in marta.view().text
    assert [r.code for r in told.desk.requests(live=True)] == [code]


def test_a_delivery_that_slack_repeats_makes_one_request(told):
    """F35: a delivery that Slack repeated counted twice."""
    marta = told.person("marta")
    form = told.fill(marta)
    told.house.sandbox.duplicate(1)
    form.submit()
    found = told.until(lambda: told.desk.requests(live=True), "the request")
    assert len(found) == 1


def test_a_table_dropped_between_opening_and_submitting_is_said(told):
    marta = told.person("marta")
    form = told.fill(marta, path=ORDERS)
    with told.gone(ORDERS):
        sent = form.submit()
        assert "no longer" in sent.errors["resource"]


def test_the_command_fills_in_what_it_understands(told):
    marta = told.person("marta")
    told.form(marta, f"request read on {CUSTOMERS} for 90 min: INC-7")
    form = marta.wait_view(where=lambda v: "Access flow" in str(v["blocks"]))
    assert "INC-7" in form.text
    sent = form.submit()
    assert sent.action == "close", sent
    request = told.desk.requests(live=True)[0]
    assert request.justification == "INC-7"
    assert request.duration.total_seconds() == 90 * 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"READ ON {CUSTOMERS} FOR 90 min", "90 min"),
        (f"read on {CUSTOMERS} without end: INC-7", "without end"),
        (f"read\ton {CUSTOMERS}\nfor  ever", "ever"),
        (CUSTOMERS, "1 h"),
    ],
)
def test_the_command_is_understood_however_it_is_typed(told, text, said):
    """FOR in capitals, and “without end”, were taken for part of the name."""
    marta = told.person("marta")
    told.form(marta, f"request {text}")
    form = marta.wait_view(where=lambda v: CUSTOMERS in str(v["blocks"]))
    assert said in form.text
    assert "matches" not in form.text


def test_the_command_says_what_it_did_not_understand(told):
    form = told.form(told.person("marta"), "request write on the moon for ever")
    assert "the moon" in form.text


def test_a_cancelled_request_loses_all_its_buttons(told):
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta).code
    told.card(priya, code, button="approve")
    told.press(marta, code, "cancel")
    told.wait(code, State.CANCELLED)
    assert not told.card(priya, code, "cancelled", without="approve").buttons
    assert told.card(marta, code, "cancelled", without="cancel")


def test_asking_again_opens_the_form_filled_in(told):
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta, why="INC-9").code
    told.decide(priya, code, "reject", reason="not today")
    told.press(marta, code, "request_again")
    form = marta.wait_view("Request access")
    assert CUSTOMERS in form.text
    assert "INC-9" in form.text
    assert form.submit().action == "close"
