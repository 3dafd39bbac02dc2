"""What the page shows and does with an app that uses everything that Slack has."""

import pytest
from playwright.sync_api import expect

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
