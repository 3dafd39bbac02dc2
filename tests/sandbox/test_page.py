"""What the page shows and does with an app that uses everything that Slack has."""

import re
import time

import pytest
from playwright.sync_api import expect

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import Api
from tests.support.browser import opened_page
from tests.support.waiting import wait_until

COMPOSER = ".main .composer textarea"


def plain(text):
    return {"type": "plain_text", "text": text}


def option(text, value=None):
    return {"text": plain(text), "value": value or text.lower()}


def button(text, action, **more):
    return {"type": "button", "text": plain(text), "action_id": action, **more}


def modal(title, *blocks, **more):
    return {"type": "modal", "title": plain(title), "blocks": list(blocks), **more}


def section(text, **more):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def posted(api, person, *blocks, text="text"):
    said = api("chat.postMessage", channel=person.id, text=text, blocks=list(blocks))
    assert said["ok"], said


def actions(app):
    payloads = [one["payload"] for one in app.seen]
    return [p["actions"][0] for p in payloads if p.get("type") == "block_actions"]


def used(app, act):
    """Return what the app is told of it. A page has other things to ask for meanwhile."""
    before = len(actions(app))
    act()
    return wait_until(lambda: actions(app)[before:], "the app is told")[0]


def test_text_is_never_markup_of_the_page(api, person, page):
    evil = "<img src=x onerror=alert(1)> <javascript:alert(1)|here> *bold* `<b>` &lt;i&gt; a_b_c"
    posted(api, person, section(evil))
    message = page.locator(".message").last
    expect(message.locator("strong").last).to_have_text("bold")
    expect(message.locator("code")).to_have_text("<b>")
    expect(message).to_contain_text("<i> a_b_c")
    expect(message.locator("img, a")).to_have_count(0)


def test_dates_people_and_emoji_are_shown_as_people_read_them(api, person, page):
    posted(
        api,
        person,
        section(f"<@{person.id}> :tada: <!date^86400^{{date_num}} {{time}}|then> <!here>"),
    )
    text = page.locator(".message").last
    expect(text).to_contain_text(f"@{person.real_name} 🎉 1970-01-02")
    expect(text).to_contain_text("@here")


def test_every_element_of_a_message_tells_the_app(app, api, person, page):
    app.on("block_actions")
    options = [option("Apple"), option("Pear")]
    posted(
        api,
        person,
        {
            "type": "actions",
            "elements": [
                button("Press", "press", value="7"),
                {"type": "overflow", "action_id": "over", "options": options},
                {"type": "static_select", "action_id": "pick", "options": options},
                {"type": "users_select", "action_id": "who"},
                {"type": "checkboxes", "action_id": "boxes", "options": options},
                {"type": "radio_buttons", "action_id": "radio", "options": options},
                {"type": "datepicker", "action_id": "day"},
            ],
        },
    )
    message = page.locator(".message").last

    def said(action, act):
        told = used(app, act)
        assert told["action_id"] == action
        return told

    press = message.get_by_role("button", name="Press")
    assert said("press", press.click)["value"] == "7"
    message.get_by_role("button", name="More actions").click()
    pear = page.get_by_role("menuitem", name="Pear")
    assert said("over", pear.click)["selected_option"]["value"] == "pear"
    message.get_by_role("combobox").first.click()
    apple = page.get_by_role("option", name="Apple")
    assert said("pick", apple.click)["selected_option"]["value"] == "apple"
    menu = message.get_by_role("combobox").last
    menu.click()
    menu.fill(person.real_name)
    found = page.get_by_role("option", name=person.real_name).first
    assert said("who", found.click)["selected_user"]
    box = message.get_by_role("checkbox", name="Pear")
    assert said("boxes", box.check)["selected_options"][0]["value"] == "pear"
    radio = message.get_by_role("radio", name="Apple")
    assert said("radio", radio.check)["selected_option"]["value"] == "apple"
    day = message.locator("input[type=date]")
    assert said("day", lambda: (day.fill("2026-11-24"), day.blur()))["selected_date"] == (
        "2026-11-24"
    )
    page.reload()
    expect(message.get_by_role("checkbox", name="Pear")).to_be_checked()
    expect(message.get_by_role("combobox").first).to_have_value("Apple")


def test_a_dialog_asks_first(app, api, person, page):
    app.on("block_actions")
    asks = {"title": plain("Sure?"), "text": plain("Really."), "confirm": plain("Do it")}
    danger = button("Delete", "delete", confirm=asks | {"deny": plain("Keep it")})
    posted(api, person, {"type": "actions", "elements": [danger]})
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("alertdialog", name="Sure?").get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    assert not actions(app)
    page.get_by_role("button", name="Delete").click()
    do_it = page.get_by_role("button", name="Do it")
    assert used(app, do_it.click)["action_id"] == "delete"


def test_a_stack_of_views_with_errors_and_groups(app, api, page):
    def opened(payload):
        push = {"type": "actions", "elements": [button("Deeper", "push")]}
        first = modal("First", section("at the bottom"), push, submit=plain("Done"))
        assert api("views.open", trigger_id=payload["trigger_id"], view=first)["ok"]

    def pushed(payload):
        element = {"type": "external_select", "action_id": "x", "min_query_length": 0}
        field = {"type": "input", "block_id": "f", "label": plain("Which?"), "element": element}
        second = modal("Second", field, submit=plain("Send"), close=plain("Up"))
        assert api("views.push", trigger_id=payload["trigger_id"], view=second)["ok"]

    groups = [
        {"label": plain("Fruit"), "options": [option("Apple")]},
        {"label": plain("Stone"), "options": [option("Basalt")]},
    ]
    app.on("/access", opened).on("block_actions", pushed)
    app.on("block_suggestion", lambda _: {"option_groups": groups})
    app.on("view_submission", lambda _: {"response_action": "errors", "errors": {"f": "Not that."}})
    page.locator(COMPOSER).fill("/access")
    page.locator(COMPOSER).press("Enter")
    page.locator(COMPOSER).press("Enter")
    page.get_by_role("button", name="Deeper").click()
    dialog = page.get_by_role("dialog", name="Second")
    menu = dialog.get_by_role("combobox", name="Which?")
    menu.click()
    expect(page.get_by_role("group", name="Stone").get_by_role("option")).to_have_text("Basalt")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(menu).to_have_value("Basalt")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("alert")).to_have_text("Not that.")
    dialog.get_by_role("button", name="Up").click()
    expect(page.get_by_role("dialog", name="First")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_answer_that_slack_does_not_take_is_explained(app, api, page):
    def opened(payload):
        view = modal("First", section("send me"), submit=plain("Send"))
        assert api("views.open", trigger_id=payload["trigger_id"], view=view)["ok"]

    app.on("/access", opened)
    app.on("view_submission", lambda _: {"response_action": "update", "view": {"type": "modal"}})
    page.get_by_role("button", name="Sandbox", exact=True).click()
    page.get_by_role("tab", name="Inspector").click()
    page.locator(COMPOSER).fill("/access help")
    page.locator(COMPOSER).press("Enter")
    dialog = page.get_by_role("dialog", name="First")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_text("We had some trouble connecting. Try again?")).to_be_visible()
    entry = page.locator(".entry.bad").filter(has_text="view_submission").first
    entry.locator("summary").click()
    expect(entry).to_contain_text("missing required field: title")


def test_an_answer_for_one_pair_of_eyes_says_so(app, page):
    app.on("/access", lambda _: {"text": "psst"})
    page.locator(COMPOSER).fill("/access help")
    page.locator(COMPOSER).press("Enter")
    message = page.locator(".message").last
    expect(message).to_contain_text("psst")
    expect(message).to_contain_text("Only visible to you")


def test_what_is_no_command_is_said_and_not_lost(page):
    page.locator(COMPOSER).fill("/nonsense now")
    page.locator(COMPOSER).press("Enter")
    expect(page.get_by_text("/nonsense is not a valid command")).to_be_visible()
    expect(page.locator(COMPOSER)).to_have_value("/nonsense now")


def test_a_thread(api, person, page):
    posted(api, person, section("the start"))
    message = page.locator(".message").last
    message.hover()
    message.get_by_role("button", name="Reply in a thread").click()
    reply = page.get_by_role("combobox", name="Reply …")
    expect(reply).to_be_focused()
    reply.fill("an answer")
    reply.press("Enter")
    expect(page.get_by_role("log", name="Thread").get_by_text("an answer")).to_be_visible()
    expect(page.get_by_role("button", name="1 reply")).to_be_visible()
    reply.press("Escape")
    expect(reply).to_be_hidden()
    expect(page.locator(COMPOSER)).to_be_focused()


def test_the_drawer_takes_the_focus_and_gives_it_back(page):
    """For who walks with Tab it opened behind the whole page; only the mouse closed it."""
    opener = page.get_by_role("button", name="Sandbox", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Clock")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tabpanel", name="Use the access")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("tabpanel")).to_have_count(0)
    expect(opener).to_be_focused()


def test_whoever_opens_the_page_can_type_at_once(page):
    expect(page.locator(COMPOSER)).to_be_focused()


def test_what_is_not_sent_yet_outlives_a_reload(page):
    """The window alone knew it: a reload in the middle of a command lost what was typed."""
    page.locator(COMPOSER).fill("/access requ")
    page.reload()
    expect(page.locator(COMPOSER)).to_have_value("/access requ")
    page.locator(COMPOSER).press("Escape")
    page.locator(COMPOSER).fill("sent")
    page.locator(COMPOSER).press("Enter")
    expect(page.locator(".message").last).to_contain_text("sent")
    page.reload()
    expect(page.locator(COMPOSER)).to_have_value("")


def test_what_was_typed_last_outlives_a_reload(show, page):
    """It was kept a quarter of a second after the last key, and a quicker reload lost it."""
    why = {"type": "plain_text_input", "action_id": "why"}
    field = {"type": "input", "block_id": "why", "label": plain("Why?"), "element": why}
    show(modal("Ask", field, submit=plain("Send")))
    page.get_by_label("Why?").fill("typed this moment")
    page.reload()
    expect(page.get_by_label("Why?")).to_have_value("typed this moment")


def why(**more):
    element = {"type": "plain_text_input", "action_id": "why", **more}
    return {"type": "input", "block_id": "why", "label": plain("Why?"), "element": element}


def drawn_anew(api, view, *blocks, submit="Send"):
    shown = modal("Ask", *blocks, submit=plain(submit))
    said = api("views.update", view_id=view.id, view=shown)
    assert said["ok"], said


def row(*buttons, **more):
    return {"type": "actions", "elements": list(buttons), **more}


def radio():
    options = [option("Apple"), option("Pear"), option("Plum")]
    return {"type": "radio_buttons", "action_id": "fruit", "options": options}


def walked(page):
    """Walk a whole round with Tab, and back; return whether the focus stayed in the modal."""
    keys = ["Tab"] * 8 + ["Shift+Tab"] * 8
    inside = "() => Boolean(document.activeElement.closest('.modal'))"
    return all(page.keyboard.press(key) is None and page.evaluate(inside) for key in keys)


def test_a_field_that_is_drawn_anew_keeps_focus_text_and_caret(api, show, page):
    """The caret went to the end, and what was typed in the last quarter of a second was lost."""
    view = show(modal("Ask", why(), submit=plain("Send")))
    field = page.get_by_label("Why?")
    page.route("**/page/*/hold", lambda _: None)  # the sandbox is not told what is typed
    field.fill("one three")
    for key in ("Home", *["ArrowRight"] * 4):
        page.keyboard.press(key)
    drawn_anew(api, view, why() | {"hint": plain("In a few words.")})
    expect(page.get_by_text("In a few words.")).to_be_visible()
    page.keyboard.type("two ")
    expect(field).to_have_value("one two three")
    expect(field).to_be_focused()
    assert walked(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


SAME = [
    pytest.param(
        [section("a", accessory=button("Drop", "drop")) for _ in range(3)],
        [section("b", accessory=button("Drop", "drop")) for _ in range(3)],
        lambda dialog: dialog.get_by_role("button", name="Drop").nth(1),
        id="the second of three alike",
    ),
    pytest.param(
        [row(radio())],
        [section("new"), row(radio())],
        lambda dialog: dialog.get_by_role("radio", name="Pear"),
        id="one of several boxes",
    ),
    pytest.param(
        [row(button("More", "more"), block_id="more")],
        [row(button("Less", "more"), block_id="more")],
        lambda dialog: dialog.get_by_role("button", name=re.compile("More|Less")),
        id="a button with other words",
    ),
    pytest.param(
        [row({"type": "overflow", "action_id": "over", "options": [option("A"), option("B")]})],
        [row({"type": "overflow", "action_id": "over", "options": [option("A"), option("C")]})],
        lambda dialog: dialog.get_by_role("button", name="More actions"),
        id="a menu",
    ),
    pytest.param(
        [why()],
        [why()],
        lambda dialog: dialog.get_by_role("button", name=re.compile("Send")),
        id="the button that sends",
    ),
]


@pytest.mark.parametrize(("before", "after", "focused"), SAME)
def test_what_is_drawn_anew_under_the_focus_keeps_it(api, show, page, before, after, focused):
    """The focus went to another of several that are alike, or to nothing; then no key was heard."""
    view = show(modal("Ask", *before, submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Ask")
    focused(dialog).focus()
    drawn_anew(api, view, *after, section("drawn anew"), submit="Send it")
    expect(dialog.get_by_text("drawn anew")).to_be_visible()
    expect(focused(dialog)).to_be_focused()
    assert walked(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(COMPOSER)).to_be_focused()


def test_escape_and_tab_work_though_what_was_pressed_is_gone(api, show, page):
    """Nothing had the focus then: Tab walked the page behind, Escape did nothing."""
    view = show(modal("Ask", row(button("More", "more")), why(), submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Ask")
    dialog.get_by_role("button", name="More").focus()
    drawn_anew(api, view, section("all there is"), why())
    expect(dialog.get_by_text("all there is")).to_be_visible()
    assert walked(page)
    dialog.get_by_role("button", name="Send").focus()
    page.mouse.click(5, 400)  # beside the modal, where nothing takes the focus
    assert walked(page)
    page.mouse.click(5, 400)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_dialog_whose_button_went_meanwhile_gives_the_focus_to_what_is_below(api, show, page):
    """It gave it to nothing, and the modal below heard no key any more."""
    asks = {"title": plain("Sure?"), "text": plain("Really."), "confirm": plain("Do it")}
    danger = button("Delete", "delete", confirm=asks | {"deny": plain("Keep it")})
    view = show(modal("Ask", row(danger), why(), submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Ask")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alertdialog", name="Sure?")).to_be_visible()
    drawn_anew(api, view, section("it is gone"), why())
    expect(dialog.get_by_text("it is gone")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    assert walked(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_nothing_moves_under_a_pressed_pointer(app, show, person, page):
    """The press took the focus from a field, its complaint went, the form shrank, and the button
    was elsewhere when the pointer was released: the click was lost."""
    app.on("view_submission", lambda _: {})
    show(modal("Ask", why(max_length=5), submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Ask")
    send = dialog.get_by_role("button", name="Send")
    dialog.get_by_label("Why?").fill("more than five")
    send.click()
    expect(dialog.get_by_role("alert").first).to_be_visible()
    before = send.bounding_box()

    dialog.get_by_label("Why?").fill("five")
    page.mouse.move(before["x"] + 5, before["y"] + before["height"] - 2)
    page.mouse.down()
    for _ in range(100):  # each a way to the sandbox and back
        page.evaluate("fetch('/page/standing').then(answer => answer.json())")
        if not person.view().errors:
            break
    page.evaluate("fetch('/page/standing').then(answer => answer.json())")
    assert send.bounding_box() == before
    page.mouse.up()
    expect(dialog).to_be_hidden()
    assert "view_submission" in [one["payload"].get("type") for one in app.seen]


def test_what_was_typed_is_kept_before_it_is_sent(app, show, page):
    """The press of the button had sent the text on its way, and the submission overtook it: the
    field was found empty, and its complaint went away when the text arrived."""
    app.on("view_submission", lambda _: {})
    show(modal("Ask", why(), submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Ask")
    under_way = []

    def stop(route):
        under_way.append(route)

    page.route("**/page/*/hold", stop)
    dialog.get_by_label("Why?").fill("INC-41")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("button", name="Send")).to_have_attribute("aria-busy", "true")
    assert not [one for one in app.seen if one["payload"].get("type") == "view_submission"]
    under_way[0].continue_()
    expect(dialog).to_be_hidden()
    assert app.seen[-1]["payload"]["view"]["state"]["values"]["why"]["why"]["value"] == "INC-41"


def test_what_is_wrong_is_scrolled_into_sight(app, show, page):
    """The sentence stood under the edge of a long form, and the banner above it."""
    why = {"type": "plain_text_input", "action_id": "why", "max_length": 5}
    field = {"type": "input", "block_id": "why", "label": plain("Why?"), "element": why}
    show(modal("Long", *[section("line\n" * 20) for _ in range(3)], field, submit=plain("Send")))
    dialog = page.get_by_role("dialog", name="Long")
    dialog.get_by_label("Why?").fill("more than five")
    dialog.locator(".dialog-body").evaluate("box => { box.scrollTop = 0 }")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".input").get_by_role("alert")).to_be_in_viewport()
    dialog.get_by_label("Why?").fill("five")
    app.on("view_submission", lambda _: {"response_action": "errors", "errors": {"no": "such"}})
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_text("We had some trouble connecting. Try again?")).to_be_in_viewport()


def test_on_a_phone_everything_has_a_name_and_fits(sandbox, person, browser):
    """The button of the drawer had none there, and the inspector's times were cut off."""
    page, errors = opened_page(
        browser,
        f"{sandbox.url}/?as={person.name}",
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    page.get_by_role("button", name="Sandbox", exact=True).tap()
    page.get_by_role("tab", name="Inspector").tap()
    entry = page.locator(".entry").first
    expect(entry).to_be_visible()
    box = entry.bounding_box()
    assert box["x"] + box["width"] <= 390
    assert (
        page.locator("button").evaluate_all(
            "all => all.filter(b => b.checkVisibility() && !b.innerText.trim()"
            " && !b.ariaLabel).map(b => b.outerHTML)"
        )
        == []
    )
    page.context.close()
    assert errors == []


@pytest.fixture
def phone(sandbox, person, browser):
    """The page on a phone, at its list of conversations."""
    page, errors = opened_page(
        browser,
        f"{sandbox.url}/?as={person.name}",
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    yield page
    page.context.close()
    assert errors == []


def test_on_a_phone_what_is_new_is_marked_and_counted(api, person, phone):
    """The list had the messages behind it, which counted as read: it never marked any."""
    mine = re.compile(rf"^{person.real_name} ")
    expect(phone).to_have_title(mine)
    posted(api, person, section("one"))
    expect(phone.get_by_role("link", name="Latchkey, 1 unread")).to_be_visible()
    expect(phone).to_have_title(re.compile(r"^\(1\) "))
    phone.get_by_role("link", name="Latchkey").tap()
    expect(phone.get_by_text("one", exact=True)).to_be_visible()
    expect(phone).to_have_title(mine)

    phone.get_by_role("button", name="All conversations").tap()
    phone.get_by_role("button", name="Join #random").tap()
    expect(phone.get_by_role("heading", name="random", exact=True)).to_be_visible()
    for word in ("two", "three"):
        posted(api, person, section(word))
    back = phone.get_by_role("button", name="All conversations, 2 unread")
    expect(back.get_by_text("2", exact=True)).to_be_visible()
    expect(phone).to_have_title(re.compile(r"^\(2\) "))
    back.tap()
    phone.get_by_role("link", name="Latchkey, 2 unread").tap()
    expect(phone).to_have_title(mine)


def test_on_a_phone_what_comes_behind_the_drawer_or_beside_the_messages_is_new(api, person, phone):
    phone.get_by_role("link", name="Latchkey").tap()
    phone.get_by_role("button", name="Sandbox", exact=True).tap()
    posted(api, person, section("behind"))
    expect(phone).to_have_title(re.compile(r"^\(1\) "))
    phone.get_by_role("button", name="Close the sandbox drawer").tap()
    expect(phone.get_by_text("behind", exact=True)).to_be_visible()
    expect(phone).to_have_title(re.compile(rf"^{person.real_name} "))

    phone.get_by_role("tab", name="Home").tap()
    posted(api, person, section("beside"))
    tab = phone.get_by_role("tab", name="Messages")
    expect(tab.get_by_text("1", exact=True)).to_be_visible()
    tab.tap()
    expect(phone).to_have_title(re.compile(rf"^{person.real_name} "))


def test_on_a_phone_a_channel_with_something_new_shows_that_there_is(sandbox, phone):
    phone.get_by_role("button", name="Join #random").tap()
    expect(phone.get_by_role("heading", name="random", exact=True)).to_be_visible()
    phone.get_by_role("button", name="All conversations").tap()
    phone.get_by_role("link", name="Latchkey").tap()
    sandbox.person("p1").post("news", channel="random")
    back = phone.get_by_role("button", name="All conversations, some unread")
    expect(back.locator(".unread-mark")).to_be_visible()
    back.tap()
    expect(phone.get_by_role("link", name=re.compile("random, . unread"))).to_be_visible()


def test_on_a_phone_the_top_has_room_for_all_that_it_says(files, tmp_path, browser):
    """What is set, and how far the clock is ahead, pushed who one is out of sight."""
    with Sandbox.start(**files, clock=tmp_path / "clock") as sandbox:
        sandbox.fault("views.open", "slow")
        sandbox.advance(94_200)
        page, errors = opened_page(
            browser, f"{sandbox.url}/?as=p1&in=general", viewport={"width": 390, "height": 844}
        )
        expect(page.get_by_role("button", name="1 fault set")).to_be_visible()
        clock = page.get_by_role("button", name=re.compile(r"clock: .* \+1 d 2 h 10 min"))
        expect(clock).to_be_visible()
        mine = page.get_by_role("button", name="You are Person 1.").bounding_box()
        assert mine["x"] + mine["width"] <= 390
        page.context.close()
    assert errors == []


def test_days_are_those_of_the_clock_as_it_is_moved_and_reset(files, tmp_path, browser):
    """What was drawn as “tomorrow” said so for ever, whatever the clock was moved or reset to."""
    with Sandbox.start(**files, clock=tmp_path / "clock") as sandbox:
        api, person = Api(sandbox), sandbox.person("p1")
        page, errors = opened_page(browser, f"{sandbox.url}/?as=p1", timezone_id="UTC")
        noon = int(time.time()) // 86_400 * 86_400 + 43_200
        page.clock.set_fixed_time(noon)
        form = "{date_short_pretty} at {time}"
        days = [f"<!date^{noon + n * 86_400}^{form}|then>" for n in (-1, 0, 1)]
        posted(api, person, section("; ".join(days)))
        said = page.locator(".message").last
        expect(said).to_contain_text("yesterday at 12:00; today at 12:00; tomorrow at 12:00")

        sandbox.advance(86_400)
        expect(said).to_contain_text("yesterday at 12:00; today at 12:00")
        expect(said).not_to_contain_text("tomorrow")
        sandbox.reset_clock()
        expect(said).to_contain_text("yesterday at 12:00; today at 12:00; tomorrow at 12:00")
        page.context.close()
        api.http.close()
    assert errors == []


def test_the_inspector_says_who_acted_and_for_whom(app, api, person, page):
    """Of a hundred lines of one name nobody could tell whose they were."""
    app.on("/access")
    page.get_by_role("button", name="Sandbox", exact=True).click()
    page.get_by_role("tab", name="Inspector").click()
    page.locator(COMPOSER).fill("/access help")
    page.locator(COMPOSER).press("Enter")
    posted(api, person, section("for one"))
    said = api("chat.postMessage", channel="C0IN", text="for all")
    assert said["ok"], said

    acted = page.locator(".entry").filter(has_text="/access").first
    expect(acted).to_contain_text(f"by {person.real_name}")
    posts = page.locator(".entry").filter(has_text="chat.postMessage")
    expect(posts.nth(0)).to_contain_text("in #general")
    expect(posts.nth(1)).to_contain_text(f"for {person.real_name}")


def test_the_inspector_says_for_whom_a_view_is(show, person, page):
    page.get_by_role("button", name="Sandbox", exact=True).click()
    page.get_by_role("tab", name="Inspector").click()
    show(modal("Ask", why(), submit=plain("Send")))
    opened = page.locator(".entry").filter(has_text="views.open").first
    expect(opened).to_contain_text(f"for {person.real_name}")


def test_who_has_left_is_nobody_to_be(sandbox, browser):
    """Their windows opened as ever, and only what they did there was refused."""
    page, _ = opened_page(browser, f"{sandbox.url}/?as=gone")
    expect(page.get_by_text("Gus Gone has left the company")).to_be_visible()
    page.get_by_role("button", name="Choose somebody").click()
    expect(page.get_by_role("searchbox")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize("name", ["guest", "other"])
def test_guests_and_strangers_are_offered_no_channel(sandbox, browser, name):
    page, _ = opened_page(browser, f"{sandbox.url}/?as={name}")
    expect(page.locator(".head h1")).to_be_visible()
    expect(page.get_by_role("button", name="Join #random")).to_have_count(0)
    page.context.close()


def test_a_channel_that_is_known_only_after_it_was_joined_is_shown(page):
    """Where the answer came before the news of the channel, the app's messages stayed there."""
    late, stopped = [], []

    def between(window):
        def tell(said):
            late.append(said) if stopped else window.send(said)

        late.append(window)
        window.connect_to_server().on_message(tell)

    page.route_web_socket(re.compile("/page/live"), between)
    page.reload()
    join = page.get_by_role("button", name="Join #random")
    expect(join).to_be_visible()
    stopped.append(True)
    join.click()
    expect(page).to_have_url(re.compile("in=C0OUT"))
    stopped.clear()
    window, *news = late
    for said in news:
        window.send(said)
    expect(page.get_by_role("heading", name="random", exact=True)).to_be_visible()


def test_a_reaction(api, person, page):
    posted(api, person, section("nice"))
    message = page.locator(".message").last
    message.hover()
    message.get_by_role("button", name="Add a reaction").click()
    page.get_by_role("menuitem", name="eyes").click()
    expect(message.get_by_role("button", name="eyes, 1")).to_have_attribute("aria-pressed", "true")
    message.get_by_role("button", name="eyes, 1").click()
    expect(message.locator(".reaction")).to_have_count(0)


def test_another_sites_page_cannot_speak_to_the_sandbox(api, sandbox, person):
    elsewhere = {"origin": "https://elsewhere.example"}
    acts = api.http.post(
        f"{sandbox.url}/sandbox/people/{person.name}/post", json={"text": "hi"}, headers=elsewhere
    )
    assert acts.status_code == 403
    assert person.messages() == []
