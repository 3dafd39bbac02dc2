"""Views: triggers, the stack of three, hashes, external ids, the Home tab."""

import pytest

from bot.sandbox.client import NotPossible
from tests.sandbox.kit import button, field, form, modal, plain, section


def error(answer):
    assert answer["ok"] is False
    return answer["error"]


@pytest.fixture
def trigger(app, person):
    """A trigger of a command, as fresh as can be."""

    def trigger():
        caught = []
        app.on("/access", lambda payload: caught.append(payload["trigger_id"]))
        assert person.command("/access").ok
        return caught[0]

    return trigger


@pytest.fixture
def click(app):
    """Click in a view, and call the Web API with the trigger of that."""

    def click(clicked, method, view):
        answers = []

        def answer(payload):
            answers.append(app.api(method, trigger_id=payload["trigger_id"], view=view))

        app.on("block_actions", answer)
        assert clicked.click("go").ok
        return answers[0]

    return click


STEP = {"type": "actions", "elements": [button()]}


# --- triggers ---------------------------------------------------------------------------------


def test_a_trigger_opens_one_view(api, trigger, person):
    fresh = trigger()

    assert api("views.open", trigger_id=fresh, view=modal())["ok"]
    assert error(api("views.open", trigger_id=fresh, view=modal())) == "exchanged_trigger_id"
    assert len(person.views()) == 1


def test_a_trigger_that_nobody_gave_is_invalid(api):
    assert error(api("views.open", trigger_id="1.2.3", view=modal())) == "invalid_trigger_id"
    assert error(api("views.open", view=modal())) == "invalid_arguments"


def test_a_refused_view_leaves_the_trigger_good(api, trigger):
    fresh = trigger()

    assert error(api("views.open", trigger_id=fresh, view=modal(field()))) == "invalid_arguments"
    assert api("views.open", trigger_id=fresh, view=modal())["ok"]


def test_a_trigger_lasts_three_seconds(api, sandbox, trigger, person):
    sandbox.fault("views.open", "slow", seconds=3.05)

    assert error(api("views.open", trigger_id=trigger(), view=modal())) == "expired_trigger_id"
    assert person.views() == []


def test_a_view_has_at_most_250_kilobytes(api, trigger):
    rows = {"type": "actions", "elements": [button(f"b{n}", value="x" * 2000) for n in range(25)]}

    answer = api("views.open", trigger_id=trigger(), view=modal(*[rows] * 5))

    assert error(answer) == "view_too_large"


# --- the stack --------------------------------------------------------------------------------


def test_views_are_pushed_two_times_at_most(show, click, person):
    root = show(modal(STEP, title="one"))

    second = click(root, "views.push", modal(STEP, title="two"))["view"]
    third = click(person.view(), "views.push", modal(STEP, title="three"))["view"]

    assert second["root_view_id"] == third["root_view_id"] == root.id
    assert (second["previous_view_id"], third["previous_view_id"]) == (root.id, second["id"])
    assert [view["title"]["text"] for view in person.views()] == ["one", "two", "three"]
    assert error(click(person.view(), "views.push", modal())) == "push_limit_reached"
    assert len(person.views()) == 3


def test_pushing_needs_a_trigger_from_a_view(api, trigger):
    assert error(api("views.push", trigger_id=trigger(), view=modal())) == "not_found"


def test_opening_again_replaces_what_is_open(show, click, person):
    root = show(modal(STEP, title="one"))

    click(root, "views.open", modal(title="other"))

    assert [view["title"]["text"] for view in person.views()] == ["other"]
    assert not root.is_open


def test_only_the_view_on_top_can_be_used(show, click):
    root = show(modal(STEP, title="one"))
    click(root, "views.push", modal(title="two"))

    for act in (lambda: root.click("go"), root.close, root.submit):
        with pytest.raises(NotPossible, match="not on top"):
            act()


def test_closing_shows_what_is_beneath(show, click, person):
    root = show(modal(STEP, title="one"))
    click(root, "views.push", modal(title="two"))

    person.view().close()

    assert person.view().title == "one"


# --- updates ----------------------------------------------------------------------------------


def test_an_update_may_name_the_hash_that_it_saw(api, show):
    view = show(modal(title="one"))
    seen = {"view_id": view.id, "hash": view.raw["hash"]}

    assert api("views.update", **seen, view=modal(title="two"))["ok"]
    assert error(api("views.update", **seen, view=modal(title="three"))) == "hash_conflict"
    assert view.refresh().title == "two"
    assert view.raw["hash"] != seen["hash"]


def test_a_view_that_is_closed_cannot_be_updated(api, show):
    view = show(modal())
    view.close()

    assert error(api("views.update", view_id=view.id, view=modal())) == "not_found"


def test_a_view_is_found_by_its_external_id(api, show, person):
    name = f"external-{person.id}"
    view = show(modal(external_id=name))

    assert api("views.update", external_id=name, view=modal(title="two", external_id=name))["ok"]
    assert view.refresh().title == "two"


def test_an_external_id_is_used_once(api, show, colleague, app):
    name = f"external-{colleague.id}"
    show(modal(external_id=name))
    caught = []
    app.on("/access", lambda payload: caught.append(payload["trigger_id"]))
    colleague.command("/access")

    answer = api("views.open", trigger_id=caught[0], view=modal(external_id=name))

    assert error(answer) == "duplicate_external_id"


def test_what_was_entered_stays_where_the_ids_stay(api, show):
    view = show(form(field("why", "text"), field("more", "text")))
    view.set("text", "because", block_id="why")
    view.set("text", "also", block_id="more")

    api("views.update", view_id=view.id, view=form(field("why", "text"), field("else", "text")))

    assert view.refresh().raw["state"]["values"] == {
        "why": {"text": {"type": "plain_text_input", "value": "because"}},
        "else": {"text": {"type": "plain_text_input", "value": None}},
    }


# --- Home -------------------------------------------------------------------------------------


def test_a_home_is_published_and_replaced(api, person):
    first = api("views.publish", user_id=person.id, view={"type": "home", "blocks": [section("a")]})
    second = api(
        "views.publish",
        user_id=person.id,
        hash=first["view"]["hash"],
        view={"type": "home", "blocks": [section("b")]},
    )

    assert second["view"]["id"] == first["view"]["id"]
    assert person.wait_home().text == "b"
    stale = api(
        "views.publish",
        user_id=person.id,
        hash=first["view"]["hash"],
        view={"type": "home", "blocks": []},
    )
    assert error(stale) == "hash_conflict"


def test_a_home_is_for_people_and_has_no_title(api, person):
    home = {"type": "home", "blocks": [section()]}

    assert error(api("views.publish", user_id="U0ROBOT", view=home)) == "invalid_arguments"
    assert error(api("views.publish", user_id="U0NOBODY", view=home)) == "invalid_arguments"
    titled = api("views.publish", user_id=person.id, view=home | {"title": plain("Home")})
    assert error(titled) == "invalid_arguments"
    assert error(api("views.publish", user_id=person.id, view=modal())) == "invalid_arguments"


def test_a_button_at_home_opens_a_modal(api, app, person, click):
    api("views.publish", user_id=person.id, view={"type": "home", "blocks": [STEP]})
    home = person.wait_home()

    assert error(click(home, "views.push", modal())) == "not_found"
    assert click(home, "views.open", modal(title="from home"))["ok"]

    assert person.view().title == "from home"
    container = app.seen[-1]["payload"]["container"]
    assert container == {"type": "view", "view_id": home.id}
