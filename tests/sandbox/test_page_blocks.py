"""Every block and element that the sandbox takes is drawn on the page, wherever it may stand."""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import expect

from bot.sandbox import limits
from tests.sandbox.kit import App, modal, opening, plain
from tests.sandbox.test_blocks import EXAMPLES, cell, container
from tests.support.browser import opened_page

CONTRAST = Path(__file__).with_name("contrast.js").read_text()
DOT = base64.b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")
OPTIONS = [{"text": plain(word), "value": word} for word in ("Apple", "Pear")]
NEEDED = {
    "button": {"text": plain("Press")},
    "overflow": {"options": OPTIONS},
    "radio_buttons": {"options": OPTIONS},
    "checkboxes": {"options": OPTIONS},
    "static_select": {"options": OPTIONS},
    "multi_static_select": {"options": OPTIONS},
    "number_input": {"is_decimal_allowed": True},
    "image": {"image_url": "https://x.example/a.png", "alt_text": "chart"},
}


def element(kind):
    named = {} if kind == "image" else {"action_id": f"the_{kind}"}
    return {"type": kind, **named, **NEEDED.get(kind, {})}


def beside(kind):
    text = {"type": "mrkdwn", "text": kind}
    return {"type": "section", "text": text, "accessory": element(kind)}


def asked(kind):
    return {"type": "input", "label": plain(kind), "element": element(kind)}


def shown(block):
    """What is to be seen of an example: the block itself, whatever it holds."""
    return f".block-{block['type']} > *"


@pytest.fixture
def page(page):
    page.route("https://x.example/**", lambda route: route.fulfill(body=DOT))
    return page


@pytest.mark.parametrize("kind", sorted(limits.SURFACES["message"]))
def test_a_message_shows(api, person, page, kind):
    said = api("chat.postMessage", channel=person.id, text="text", blocks=[EXAMPLES[kind]])
    assert said["ok"], said
    expect(page.locator(".message").last.locator(shown(EXAMPLES[kind])).first).to_be_attached()
    expect(page.locator(".unknown")).to_have_count(0)


@pytest.mark.parametrize("surface", ["modal", "home"])
def test_a_view_shows_all_that_may_stand_in_it(api, person, page, show, surface):
    kinds = sorted(limits.SURFACES[surface])
    blocks = [EXAMPLES[kind] for kind in kinds]
    if surface == "modal":
        show(modal(*blocks, submit=plain("Send")))
        sheet = page.get_by_role("dialog")
    else:
        said = api("views.publish", user_id=person.id, view={"type": "home", "blocks": blocks})
        assert said["ok"], said
        page.get_by_role("tab", name="Home").click()
        sheet = page.locator(".home")
    for block in blocks:
        expect(sheet.locator(shown(block)).first).to_be_attached()
    expect(page.locator(".unknown")).to_have_count(0)


def test_a_form_shows_every_element(page, show):
    kinds = sorted(limits.IN_INPUT - {"file_input"})
    rows = [{"type": "actions", "elements": [element(kind) for kind in sorted(limits.IN_ACTIONS)]}]
    rows += [beside(kind) for kind in sorted(limits.IN_SECTION)]
    show(modal(*rows, *map(asked, kinds), submit=plain("Send")))
    dialog = page.get_by_role("dialog")
    for kind in limits.IN_ACTIONS.union(limits.IN_SECTION, kinds):
        drawn = "img" if kind == "image" else f"[data-action=the_{kind}]"
        expect(dialog.locator(drawn).first).to_be_visible()
    for kind in kinds:
        expect(dialog.get_by_label(kind, exact=True).first).to_be_visible()
    expect(page.locator(".unknown")).to_have_count(0)


def test_a_form_takes_files(wide, browser):
    app, person = App(wide.sandbox, wide.api), wide.sandbox.person(wide.fresh())
    app.link()
    app.on("/access", opening(app, modal(asked("file_input"), submit=plain("Send"))))
    assert person.command("/access").ok
    page, errors = opened_page(browser, f"{wide.sandbox.url}/?as={person.name}")
    letter = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear all"}
    page.get_by_label("file_input").set_input_files(letter)
    expect(page.get_by_role("listitem").filter(has_text="letter.txt")).to_be_visible()
    page.context.close()
    app.close()
    assert errors == []


def test_a_wrapped_column_wraps(api, person, page):
    """Its setting was ignored: the table ran out of the message to the right."""
    rows = [[cell("Name"), cell("About")], [cell("orders"), cell("a long sentence " * 20)]]
    settings = [{"align": "left"}, {"is_wrapped": True}]
    table = {"type": "table", "column_settings": settings, "rows": rows}
    assert api("chat.postMessage", channel=person.id, text="text", blocks=[table])["ok"]
    scrolled = page.get_by_role("region", name="Table")
    expect(scrolled).to_be_visible()
    assert scrolled.evaluate("box => box.scrollWidth <= box.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(api, person, page, scheme):
    """The times of messages and the name of the open channel were too faint to read."""
    page.emulate_media(color_scheme=scheme)
    person.post("said by a person")
    shown = limits.SURFACES["message"] - {"table", "input"}
    blocks = [EXAMPLES[kind] for kind in sorted(shown)]
    assert api("chat.postMessage", channel=person.id, text="text", blocks=blocks)["ok"]
    expect(page.locator(".block-video")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="Sandbox", exact=True).click()
    for tab in ("Use the access", "Inspector", "Misbehave", "Clock"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
        assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name=f"You are {person.real_name}").click()
    expect(page.get_by_text("has left")).to_be_attached()
    assert page.evaluate(CONTRAST) == []


def test_a_quote_of_rich_text_is_shown_letter_by_letter(api, person, page):
    """What somebody wrote is drawn within its bar, and nothing of it is markup."""
    wrote = "*bold* _it_ `code` :tada: <!channel> <@U1>\n> quoted  twice\n---\n&lt;b&gt;"
    leaves = [{"type": "text", "text": wrote}, {"type": "link", "url": "https://x.example/a_b_"}]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": leaves}]}
    assert api("chat.postMessage", channel=person.id, text="text", blocks=[rich])["ok"]

    quote = page.locator(".message").last.locator("blockquote")
    expect(quote).to_have_count(1)
    assert quote.inner_text() == f"{wrote}https://x.example/a_b_"
    assert quote.evaluate(
        "q => [...new Set([...q.querySelectorAll('*')].map(e => e.tagName))]"
    ) == [
        "BR",
        "A",
    ]


def test_a_container_folds(api, person, page):
    inside = {"type": "section", "text": plain("inside")}
    folded = container(inside, is_collapsible=True, default_collapsed=True)
    assert api("chat.postMessage", channel=person.id, text="text", blocks=[folded])["ok"]
    expect(page.get_by_text("inside")).to_be_hidden()
    page.get_by_text("Box", exact=True).click()
    expect(page.get_by_text("inside")).to_be_visible()
