"""The main story on the sandbox's page, by clicking, with the real bot and the real PostgreSQL."""

import os
import re
import signal
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from playwright.sync_api import expect

from engine.request import State
from tests.support import machine, web
from tests.support.browser import chromium, opened_page, talked
from tests.support.postgres import own_cluster
from tests.support.story import DELIVERIES, story

COMPOSER = ".main .composer textarea"


@pytest.fixture(scope="module")
def told(cluster):
    with story(cluster, keep=True) as told:
        yield told


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(told, browser):
    """Open windows of the page; afterwards nothing is left of what was asked, and no error."""
    opened = []

    def window(who, **context):
        page, errors = opened_page(browser, f"{told.house.sandbox.url}/?as={who}", **context)
        opened.append((told.house.sandbox.person(who), page, errors))
        expect(page.locator(".head h1")).to_be_attached()
        return page

    yield window
    for person, page, _ in opened:
        page.context.close()
        while person.views():
            person.view().close(everything=True)
    told.clear()
    assert [errors for _, _, errors in opened if errors] == []


def form(page, text="/access request"):
    page.locator(COMPOSER).fill(text)
    page.locator(COMPOSER).press("Enter")
    return page.get_by_role("dialog", name="Request access")


def ask(page, why="INC-42: a customer sees somebody else's order"):
    """Fill in the form by clicking, send it, and return the request's code."""
    dialog = form(page)
    search(page, "customers").get_by_text("orders/shop/customers", exact=True).click()
    expect(dialog.get_by_text("Who approves", exact=True)).to_be_visible()
    dialog.get_by_label("Why do you need it?").fill(why)
    dialog.get_by_role("button", name="Request", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".message").last).to_contain_text("Waiting for approval")
    return talked(page)


def search(page, text):
    menu = page.get_by_role("combobox", name="What do you need access to?")
    menu.click()
    menu.fill(text)
    offered = page.get_by_role("listbox", name="What do you need access to?")
    expect(offered.get_by_role("option").first).to_contain_text(text)
    return offered


def card(page, code, says):
    return page.locator(".message").filter(has_text=code).filter(has_text=says).last


def approve(page, code):
    card(page, code, "Your approval is needed").get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog", name="Approve access")
    dialog.get_by_role("button", name="Approve", exact=True).click()
    expect(dialog).to_be_hidden()


def test_the_main_story_in_two_windows(window):
    asks, approves = window("marta"), window("priya")
    code = ask(asks)

    approve(approves, code)

    expect(card(approves, code, "Request approved")).to_be_visible()
    active = card(asks, code, "Access is active")
    active.get_by_role("button", name="Show credentials").click()
    asks.get_by_role("button", name="Use in the sandbox").click()
    session = asks.get_by_role("region", name=re.compile("Session: lk_marta"))
    session.get_by_role("button", name="Run").click()
    expect(session.get_by_role("cell", name="customer1@example.com")).to_be_visible()
    session.get_by_role("textbox").fill("select * from shop.orders")
    session.get_by_role("button", name="Run").click()
    expect(session.get_by_text("permission denied")).to_be_visible()

    asks.get_by_role("tab", name="Clock").click()
    expect(asks.get_by_text(f"{code} · ends")).to_be_visible()
    asks.get_by_role("button", name="+1 h", exact=True).click()
    expect(card(asks, code, "Access has ended")).to_be_visible()
    asks.get_by_role("tab", name="Use the access").click()
    expect(session).to_contain_text("terminating connection due to administrator command")
    asks.get_by_text("Log in to PostgreSQL").click()
    asks.get_by_role("button", name="Log in", exact=True).click()
    expect(asks.get_by_text("PostgreSQL refuses the login")).to_be_visible()


def test_what_is_wrong_stands_at_its_field_and_goes_when_it_is_mended(window):
    page = window("marta")
    dialog = form(page)
    dialog.get_by_role("button", name="Request", exact=True).click()
    expect(dialog.get_by_role("alert").first).to_have_text("Please complete this required field.")

    search(page, "customers").get_by_text("orders/shop/customers", exact=True).click()
    expect(dialog.get_by_text("Who approves", exact=True)).to_be_visible()
    dialog.get_by_label("For how long?").fill("a while")
    dialog.get_by_label("Why do you need it?").fill("INC-41")
    dialog.get_by_role("button", name="Request", exact=True).click()

    wrong = dialog.get_by_label("For how long?")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()
    wrong.fill("30 min")
    expect(wrong).to_have_attribute("aria-invalid", "false")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(COMPOSER)).to_be_focused()


def test_a_search_that_finds_nothing_offers_to_tell_the_administrators(window):
    page = window("marta")
    form(page)
    menu = page.get_by_role("combobox", name="What do you need access to?")
    menu.fill("nothing is called this")
    wish = page.get_by_role("listbox").get_by_text("Tell the administrators that you want")
    expect(wish).to_be_visible()
    menu.fill("payments")
    expect(page.get_by_role("option").first).to_contain_text("ledger/accounts/payments")


def test_with_the_keyboard_only(window):
    page, approver = window("diego"), window("priya")
    page.locator(COMPOSER).focus()
    for key in "/acc":
        page.keyboard.press(key)
    expect(page.get_by_role("option", name="/access")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("req")
    expect(page.get_by_role("option", name="/access request")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Request access")
    expect(dialog.get_by_role("combobox").first).to_be_focused()
    page.keyboard.type("shop/customers")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("Who approves", exact=True)).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(dialog.get_by_label("Why do you need it?")).to_be_focused()
    page.keyboard.type("INC-43")
    page.keyboard.press("Control+Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator(".message").last).to_contain_text("Waiting for approval")
    code = talked(page)

    button = card(approver, code, "Your approval is needed").get_by_role("button", name="Approve")
    button.focus()
    approver.keyboard.press("Enter")
    dialog = approver.get_by_role("dialog", name="Approve access")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    approver.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(card(page, code, "Access is active")).to_be_visible()

    page.get_by_role("button", name=f"Return now the access of {code}").last.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alertdialog")).to_contain_text("Return this access?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_have_count(0)


def test_on_a_phone(window):
    page = window("marta", viewport={"width": 380, "height": 740}, has_touch=True)
    page.get_by_role("link", name="Latchkey").tap()
    code = ask(page)
    waiting = card(page, code, "Waiting for approval")
    waiting.get_by_role("button", name="Cancel request").tap()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel request").tap()
    expect(card(page, code, "Request cancelled")).to_be_visible()
    for name in ("All conversations", "The sandbox's clock"):
        page.get_by_role("button", name=name).tap()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 380


def test_an_app_that_does_not_answer_looks_as_in_slack(told, window):
    page = window("marta")
    dialog = form(page)
    expect(dialog).to_be_visible()
    given_up = 10_000 * machine.factor()  # ms; Slack waits longer on a busy machine
    os.kill(told.house.bot.pid, signal.SIGSTOP)
    try:
        search_field = dialog.get_by_role("combobox").first
        search_field.fill("customers")
        expect(page.get_by_text("did not send a list")).to_be_visible(timeout=given_up)
        page.keyboard.press("Escape")
        expect(dialog.get_by_text("We had some trouble connecting. Try again?")).to_be_visible()
        page.keyboard.press("Escape")
        page.locator(COMPOSER).fill("/access help")
        page.locator(COMPOSER).press("Enter")
        told_so = '/access failed with the error "operation_timeout"'
        expect(page.get_by_text(told_so)).to_be_visible(timeout=given_up)
        page.reload()
        expect(page.get_by_text(told_so)).to_be_visible()
    finally:
        os.kill(told.house.bot.pid, signal.SIGCONT)


def test_the_clock_goes_to_what_comes_next(told, window):
    """One had to guess how far it was to an offer, and went past it by a quarter of an hour."""
    page = window("marta")
    page.get_by_role("button", name="Sandbox", exact=True).click()
    expect(page.get_by_role("button", name="Nothing is to come by itself")).to_be_visible()
    code = told.active(told.person("marta"), told.person("priya"), duration="1h").code

    to_the_offer = page.get_by_role("button", name=re.compile(f"To the offer of {code}, in 50 min"))
    to_the_offer.focus()
    page.keyboard.press("Enter")
    to_the_end = page.get_by_role("button", name=f"To the end of {code}, in 10 min")
    expect(to_the_end).to_be_focused()
    offered = told.card(told.person("marta"), code, button="extend").text
    assert code in offered

    page.get_by_role("button", name="+5 min", exact=True).click()
    nearer = page.get_by_role("button", name=f"To the end of {code}, in 5 min")
    expect(nearer).to_be_visible()
    nearer.click()
    expect(card(page, code, "Access has ended")).to_be_visible()
    expect(page.get_by_role("button", name="Nothing is to come by itself")).to_be_visible()


def test_who_asked_and_for_whom_stand_beside_each_other(told, window):
    page = window("liwei")
    page.get_by_role("button", name="Sandbox", exact=True).click()
    code = told.ask(told.person("li.wei"), path=DELIVERIES, grantee="marta").code
    stands = page.locator(".stand").filter(has_text=code)
    expect(stands).to_contain_text("Marta Nowak-Żelazna pending")
    expect(stands).to_contain_text("asked by 李薇")
    page.get_by_role("tab", name="Inspector").click()
    posts = page.locator(".entry").filter(has_text="chat.postMessage").filter(has_text=code)
    whole = f"{code} asked by 李薇 for Marta Nowak-Żelazna"
    expect(posts.filter(has_text="for 李薇").first).to_contain_text(whole)
    expect(posts.filter(has_text="for Marta").first).to_contain_text(whole)


@contextmanager
def followed(house):
    """Do as the page wishes, as `latchkey sandbox` does several times a second."""
    over = Event()

    def follow():
        while not over.wait(0.1):
            house.follow()

    following = Thread(target=follow)
    following.start()
    try:
        yield
    finally:
        over.set()
        following.join()


def test_misbehave_takes_the_protected_postgresql_down(browser):
    with own_cluster() as own, story(own, keep=True) as told, followed(told.house):
        marta = told.person("marta")
        code = told.active(marta, told.person("priya")).code
        login = told.credentials(marta, code)
        page, errors = opened_page(browser, f"{told.house.sandbox.url}/?as=marta")
        page.get_by_role("button", name="Sandbox", exact=True).click()
        page.get_by_role("tab", name="Misbehave").click()
        page.get_by_role("button", name="Take PostgreSQL down").click()
        expect(page.get_by_role("button", name="PostgreSQL is down")).to_be_visible()
        assert "refused" in told.refusal(login)

        told.press(marta, code, "return")
        told.wait(code, State.REVOKING)
        page.get_by_role("tab", name="Clock").click()
        leaving = page.locator(".stand").filter(has_text="revoking")
        expect(leaving).to_contain_text(code)
        expect(leaving).not_to_contain_text("lapses")
        page.get_by_role("tab", name="Use the access").click()
        for name, value in (("Port", login["port"]), ("Database", "orders"), ("User", "lk_marta")):
            page.get_by_label(name, exact=True).fill(value)
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_text("PostgreSQL does not answer")).to_be_visible()

        page.get_by_role("button", name="PostgreSQL is down").click()
        page.get_by_role("button", name="Bring PostgreSQL up").click()
        expect(page.get_by_role("button", name="PostgreSQL is down")).to_have_count(0)
        told.wait(code, State.RETURNED)
        assert told.privileges() == set()
        page.context.close()
        assert errors == []


def test_what_slack_refuses_stands_in_the_inspector_with_its_reason(told, window):
    page = window("marta")
    page.get_by_role("button", name="Sandbox", exact=True).click()
    page.get_by_role("tab", name="Inspector").click()
    sandbox = told.house.sandbox
    web.post(
        f"{sandbox.api_url}chat.postMessage",
        json={"channel": "U0MARTA", "text": "no", "blocks": [{"type": "header"}]},
        headers={"authorization": f"Bearer {sandbox.bot_token}"},
    )
    refused = page.locator(".entry.bad").filter(has_text="chat.postMessage").first
    expect(refused).to_contain_text("invalid_blocks")
    refused.locator("summary").click()
    expect(refused).to_contain_text("missing required field: text [json-pointer:/blocks/0]")
    expect(refused).to_contain_text('"type": "header"')
    page.get_by_role("button", name="To the app").click()
    expect(refused).to_have_count(0)


def test_a_slow_slack_shows_that_something_goes_on(told, window):
    page = window("marta")
    told.house.sandbox.fault("views.open", "slow", seconds=1)
    page.locator(COMPOSER).fill("/access request")
    page.locator(COMPOSER).press("Enter")
    expect(page.locator(".composer.busy")).to_be_visible()
    expect(page.get_by_role("dialog", name="Request access")).to_be_visible()
    expect(page.locator(".composer.busy")).to_have_count(0)


def test_a_reload_shows_the_same(window):
    page = window("marta")
    dialog = form(page)
    search(page, "customers").get_by_text("orders/shop/customers", exact=True).click()
    expect(dialog.get_by_text("Who approves", exact=True)).to_be_visible()
    with page.expect_response(re.compile("/hold$")):
        dialog.get_by_label("Why do you need it?").fill("typed, not sent")
    page.reload()
    expect(dialog.get_by_label("Why do you need it?")).to_have_value("typed, not sent")
    expect(dialog.get_by_role("combobox").first).to_have_value("orders/shop/customers")


def test_choosing_who_one_is(told, browser):
    page, errors = opened_page(browser, told.house.sandbox.url)
    page.get_by_role("searchbox").fill("controller")
    page.get_by_role("link", name=re.compile("^Ольга.*Controller")).click()
    expect(page).to_have_url(re.compile(r"as=olga"))
    expect(page.get_by_role("button", name=re.compile("You are Ольга"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("searchbox")).to_be_visible()
    assert errors == []
    page.context.close()


def test_the_unread_mark_comes_and_goes(told, window):
    page = window("priya")
    page.get_by_role("link", name="general").click()
    expect(page.get_by_role("heading", name="general", exact=True)).to_be_visible()
    code = told.ask(told.person("marta")).code
    expect(page.get_by_role("link", name="Latchkey, 1 unread")).to_be_visible()
    page.get_by_role("link", name="Latchkey, 1 unread").click()
    expect(card(page, code, "Your approval is needed")).to_be_visible()
    expect(page.get_by_role("link", name="Latchkey", exact=True)).to_be_visible()
