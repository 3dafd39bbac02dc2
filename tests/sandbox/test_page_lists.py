"""Lists of messages on the page: long ones, and where one stands in them."""

import json

import pytest
from playwright.sync_api import expect

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import section
from tests.support.browser import opened_page

COMPOSER = ".main .composer textarea"
MANY = 5_000
AT_ONCE = 180  # messages that a window draws at most

# Scrolls up as far as there is anything; answers with the most messages that were drawn at once.
TO_THE_OLDEST = """async () => {
  const box = document.querySelector(".main .scroller");
  let most = 0;
  while (!box.querySelector(".beginning")) {
    box.scrollTop = 0;
    await new Promise(requestAnimationFrame);
    most = Math.max(most, box.querySelectorAll(".message").length);
  }
  return most;
}"""


def lines(count, word="line"):
    return section("\n".join(f"{word} {n}" for n in range(count)))


def posted(api, person, *blocks):
    return api("chat.postMessage", channel=person.id, text="text", blocks=list(blocks))["ts"]


@pytest.fixture
def crowded(files, tmp_path):
    """A sandbox with thousands of messages in a channel, as a second start finds them."""
    with Sandbox.start(**files, state=tmp_path) as first:
        first.person("p1").post("number 0", channel="general")
    kept = tmp_path / "slack.json"
    found = json.loads(kept.read_text())
    channel = next(one for one in found["channels"] if one["name"] == "general")
    said = channel["messages"][-1]
    begun = float(said["ts"]) - MANY
    channel["messages"] = [
        said | {"ts": f"{begun + n:.6f}", "text": f"number {n}"} for n in range(MANY)
    ]
    kept.write_text(json.dumps(found))
    with Sandbox.start(**files, state=tmp_path) as again:
        yield again


def test_of_thousands_of_messages_a_window_draws_some(crowded, browser):
    """What was scrolled past stayed drawn, and beyond the second page nobody came."""
    page, errors = opened_page(browser, f"{crowded.url}/?as=p1&in=general")
    expect(page.get_by_text(f"number {MANY - 1}", exact=True)).to_be_in_viewport()
    assert page.locator(".message").count() <= 60
    expect(page.get_by_text(f"{MANY - 60} older messages")).to_be_attached()

    assert page.evaluate(TO_THE_OLDEST) <= AT_ONCE
    expect(page.get_by_text("number 0", exact=True)).to_be_attached()
    page.locator(".scroller").evaluate("box => { box.scrollTop = box.scrollHeight }")
    expect(page.get_by_text(f"number {AT_ONCE}", exact=True)).to_be_attached()
    assert page.locator(".message").count() <= AT_ONCE

    page.get_by_role("button", name="To the newest").click()
    expect(page.get_by_text(f"number {MANY - 1}", exact=True)).to_be_in_viewport()
    page.locator(".scroller").evaluate("box => { box.scrollTop = 0 }")
    page.locator(COMPOSER).fill("one more")
    page.locator(COMPOSER).press("Enter")
    expect(page.get_by_text("one more", exact=True)).to_be_in_viewport()
    page.context.close()
    assert errors == []


def test_a_card_that_grows_does_not_leave_the_newest_line(api, person, page):
    """A pressed button drew its card anew, and the card's end slid out of sight."""
    posted(api, person, lines(30, "before"))
    ts = posted(api, person, lines(8), {"type": "actions", "elements": [_button()]})
    page.get_by_role("button", name="Press").focus()
    shown = [lines(40), {"type": "actions", "elements": [_button()]}, section("the end")]
    assert api("chat.update", channel=f"D{person.id[1:]}", ts=ts, text="text", blocks=shown)["ok"]
    expect(page.get_by_text("the end")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Press")).to_be_focused()


def test_who_reads_further_up_is_not_moved(api, person, page):
    for n in range(8):
        posted(api, person, lines(6, f"card {n} line"))
    expect(page.get_by_text("card 7 line 5")).to_be_in_viewport()  # all are drawn
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -500)
    there = page.get_by_text("card 4 line 0")
    expect(there).to_be_in_viewport()
    before = there.bounding_box()
    posted(api, person, section("the newest"))
    fresh = page.get_by_role("button", name="New messages")
    expect(fresh).to_be_visible()
    assert there.bounding_box() == before
    fresh.click()
    expect(page.get_by_text("the newest", exact=True)).to_be_in_viewport()
    expect(fresh).to_be_hidden()


def _button():
    text = {"type": "plain_text", "text": "Press"}
    return {"type": "button", "text": text, "action_id": "press"}
