"""The younger blocks: their limits, their surfaces, how they read, and how they are clicked."""

import pytest

from bot.sandbox import limits
from bot.sandbox.blocks import completed, judge_blocks
from bot.sandbox.client import NotPossible
from bot.sandbox.render import blocks_text
from tests.sandbox.kit import button, field, form, plain, section

SURFACES = ("message", "modal", "home")


def mrkdwn(text):
    return {"type": "mrkdwn", "text": text}


def rich(text="rich"):
    leaf = {"type": "text", "text": text}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [leaf]}]}


def quote(*leaves):
    inside = {"type": "rich_text_quote", "elements": list(leaves)}
    return {"type": "rich_text", "elements": [inside]}


def cell(text="cell"):
    return {"type": "raw_text", "text": text}


def number(value=1.5):
    return {"type": "raw_number", "value": value, "text": f"{value} €"}


def image(**more):
    return {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "chart", **more}


def data_table(rows=2, columns=1, text="cell", **more):
    shown = [[cell(text)] * columns for _ in range(rows)]
    return {"type": "data_table", "caption": "Sales", "rows": shown, **more}


def filled_table(length):
    cells = [cell("x" * 2500) for _ in range(7)]
    rows = [[cell("x" * (length - 17_500)), *cells[:3]], cells[3:]]
    return {"type": "data_table", "caption": "Much", "rows": rows}


def pie(segments=1, title="Share", label="a", value=1):
    shown = [{"label": label, "value": value} for _ in range(segments)]
    chart = {"type": "pie", "segments": shown}
    return {"type": "data_visualization", "title": title, "chart": chart}


def plot(kind="line", series=1, points=1, x_label="x", **more):
    labels = [f"p{n}" for n in range(points)]
    shown = [
        {"name": f"s{n}", "data": [{"label": label, "value": n} for label in labels]}
        for n in range(series)
    ]
    axes = {"categories": labels, "x_label": x_label}
    chart = {"type": kind, "series": shown, "axis_config": axes, **more}
    return {"type": "data_visualization", "title": "Growth", "chart": chart}


def feedback(**more):
    good = {"text": plain("Good"), "value": "good"}
    bad = {"text": plain("Bad"), "value": "bad"}
    return {
        "type": "feedback_buttons",
        "action_id": "feedback",
        "positive_button": good,
        "negative_button": bad,
        **more,
    }


def icon(action_id="bin", **more):
    shown = {"icon": "trash", "text": plain("Delete")}
    return {"type": "icon_button", "action_id": action_id, **shown, **more}


def context_actions(*elements):
    return {"type": "context_actions", "elements": list(elements)}


def task(status="complete", task_id="t1", **more):
    return {"type": "task_card", "task_id": task_id, "title": "Look", "status": status, **more}


def plan(*tasks):
    return {"type": "plan", "title": "Steps", "tasks": list(tasks)}


def card(**more):
    return {"type": "card", "title": mrkdwn("Card"), **more}


def carousel(*cards):
    return {"type": "carousel", "elements": list(cards)}


def container(*blocks, **more):
    return {"type": "container", "title": plain("Box"), "child_blocks": list(blocks), **more}


def video(**more):
    return {
        "type": "video",
        "video_url": "https://x.example/v",
        "thumbnail_url": "https://x.example/t.png",
        "alt_text": "a film",
        "title": plain("Film"),
        **more,
    }


EXAMPLES = {
    "section": section(),
    "header": {"type": "header", "text": plain("x")},
    "context": {"type": "context", "elements": [plain("x")]},
    "divider": {"type": "divider"},
    "actions": {"type": "actions", "elements": [button()]},
    "input": field(),
    "image": image(),
    "rich_text": rich(),
    "markdown": {"type": "markdown", "text": "# x"},
    "table": {"type": "table", "rows": [[cell(), number(), rich()]]},
    "data_table": data_table(),
    "data_visualization": pie(),
    "context_actions": context_actions(feedback(), icon()),
    "task_card": task(details=rich(), output=rich(), sources=[]),
    "plan": plan(task("pending")),
    "alert": {"type": "alert", "text": plain("x"), "level": "warning"},
    "card": card(hero_image=image(), icon=image(), subtitle=mrkdwn("x"), actions=[button()]),
    "carousel": carousel(card()),
    "container": container(section(), {"type": "divider"}),
    "video": video(),
}

LIMITS = {
    "table columns of numbers": (
        20,
        lambda n: {"type": "table", "rows": [[number()] * n]},
    ),
    "data table rows": (201, lambda n: data_table(rows=n)),
    "data table columns": (20, lambda n: data_table(columns=n)),
    "data table page": (100, lambda n: data_table(page_size=n)),
    "data table text": (20_000, filled_table),
    "pie segments": (6, pie),
    "pie label": (20, lambda n: pie(label="x" * n)),
    "chart title": (50, lambda n: pie(title="x" * n)),
    "chart series": (6, lambda n: plot(series=n)),
    "chart points": (20, lambda n: plot(points=n)),
    "axis label": (50, lambda n: plot(x_label="x" * n)),
    "context actions": (5, lambda n: context_actions(*[icon(f"i{i}") for i in range(n)])),
    "icon button text": (75, lambda n: context_actions(icon(text=plain("x" * n)))),
    "plan tasks": (50, lambda n: plan(*[task(task_id=f"t{i}") for i in range(n)])),
    "card title": (150, lambda n: card(title=mrkdwn("x" * n))),
    "card subtitle": (150, lambda n: card(subtitle=mrkdwn("x" * n))),
    "card body": (200, lambda n: card(body=mrkdwn("x" * n))),
    "card actions": (3, lambda n: card(actions=[button(f"b{i}") for i in range(n)])),
    "carousel": (10, lambda n: carousel(*[card() for _ in range(n)])),
    "container": (10, lambda n: container(*[section() for _ in range(n)])),
    "container title": (150, lambda n: container(section(), title=plain("x" * n))),
    "container subtitle": (150, lambda n: container(section(), subtitle=plain("x" * n))),
    "video title": (199, lambda n: video(title=plain("x" * n))),
    "video author": (49, lambda n: video(author_name="x" * n)),
}

REFUSED = {
    "data table without caption": (
        {"type": "data_table", "rows": [[cell()]] * 2},
        "missing required field: caption",
    ),
    "data table with a head only": (data_table(rows=1), "must provide at least 2 items"),
    "ragged table": (
        {"type": "table", "rows": [[cell()], [cell(), cell()]]},
        "rows must all have the same number of cells",
    ),
    "row header elsewhere": (
        data_table(row_header_column_index=1),
        "row_header_column_index must be a column",
    ),
    "empty cell": ({"type": "table", "rows": [[cell("")]]}, "must be more than 0 characters"),
    "number as text": (
        {"type": "table", "rows": [[number() | {"value": "1"}]]},
        "must be a number",
    ),
    "unknown chart": (plot("radar"), "unsupported type: radar"),
    "negative segment": (pie(value=-1), "must be between 0"),
    "labels that are no categories": (
        plot(axis_config={"categories": ["other"]}),
        "labels of series s0 must be the categories",
    ),
    "button among context actions": (
        context_actions(button()),
        "unsupported type: button",
    ),
    "unknown icon": (context_actions(icon(icon="rocket")), "must be one of trash"),
    "pending task on its own": (task("pending"), "a task_card outside a plan must not be pending"),
    "unknown status": (task("done"), "must be one of complete, error, in_progress, pending"),
    "empty card": ({"type": "card"}, "missing required field: hero_image or title"),
    "menu in a card": (
        card(actions=[{"type": "users_select"}]),
        "unsupported type: users_select",
    ),
    "container in a container": (container(container(section())), "unsupported type: container"),
    "container without title": (
        {"type": "container", "child_blocks": [section()]},
        "missing required field: title or rich_text_title",
    ),
    "collapsed but not collapsible": (
        container(section(), default_collapsed=True),
        "default_collapsed needs is_collapsible",
    ),
    "rich text without anything": (rich() | {"elements": []}, "must provide at least 1 items"),
    "quote without anything": (quote(), "must provide at least 1 items"),
    "quote of no letter": (quote({"type": "text", "text": ""}), "must be more than 0 characters"),
    "link that is called nothing": (
        quote({"type": "link", "url": "https://x.example", "text": ""}),
        "must be more than 0 characters",
    ),
    "mrkdwn in a quote": (
        quote({"type": "mrkdwn", "text": "*x*"}),
        "unsupported type: mrkdwn",
    ),
    "video without https": (
        video(video_url="http://x.example/v"),
        "failed to match the expected format",
    ),
    "file_input in a message": (
        field() | {"element": {"type": "file_input", "action_id": "f"}},
        "unsupported type: file_input",
    ),
    "response_url_enabled in a message": (
        {
            "type": "actions",
            "elements": [{"type": "channels_select", "response_url_enabled": True}],
        },
        "response_url_enabled needs an input block of a modal",
    ),
}


def faults(*blocks, surface="message"):
    return judge_blocks(list(blocks), surface)


def test_every_block_has_an_example():
    assert set(EXAMPLES) == set(limits.BLOCKS)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_block_stands_where_it_may(kind, surface):
    found = faults(EXAMPLES[kind], surface=surface)

    if kind in limits.SURFACES[surface]:
        assert found == []
    else:
        assert found == [f"unsupported type: {kind} [json-pointer:/blocks/0/type]"]


@pytest.mark.parametrize(
    ("kind", "surfaces"),
    [
        ("rich_text", "message modal home"),
        ("markdown", "message"),
        ("table", "message home"),
        ("data_table", "message home"),
        ("data_visualization", "message home"),
        ("context_actions", "message"),
        ("task_card", "message"),
        ("plan", "message"),
        ("alert", "modal"),
        ("card", "message modal home"),
        ("carousel", "message home"),
        ("container", "message"),
        ("video", "message modal home"),
    ],
)
def test_surfaces_are_those_that_slack_names(kind, surfaces):
    assert {name for name in SURFACES if kind in limits.SURFACES[name]} == set(surfaces.split())


@pytest.mark.parametrize(("limit", "made"), LIMITS.values(), ids=LIMITS)
def test_younger_blocks_are_taken_up_to_the_limit(limit, made):
    assert faults(made(limit)) == []
    assert faults(made(limit + 1))


@pytest.mark.parametrize(("block", "fault"), REFUSED.values(), ids=REFUSED)
def test_malformed_younger_blocks_are_refused_with_the_reason(block, fault):
    assert any(said.startswith(fault) for said in faults(block)), faults(block)


def test_a_message_has_two_charts_and_one_table():
    assert faults(pie(), plot()) == []
    assert faults(pie(), plot(), pie())[0].startswith("no more than 2 data_visualization")
    assert faults(EXAMPLES["table"], data_table()) == []


def test_ids_are_unique_across_nested_blocks():
    nested = container(section(block_id="a"))

    assert faults(section(block_id="a"), nested)[0].startswith('`block_id` "a" already exists')


def test_blocks_within_get_ids_of_their_own():
    box, belt = completed([container(section()), carousel(card(actions=[button()]))])

    assert box["child_blocks"][0]["block_id"] != box["block_id"]
    assert belt["elements"][0]["block_id"]


@pytest.mark.parametrize(
    ("block", "read"),
    [
        (EXAMPLES["table"], ["cell", "1.5 €", "rich"]),
        (data_table(columns=2), ["Sales", *["cell"] * 4]),
        (pie(2), ["Share", "a: 1", "a: 1"]),
        (plot(series=2, points=2), ["Growth", "s0: p0 0, p1 0", "s1: p0 1, p1 1"]),
        (EXAMPLES["context_actions"], ["Good", "Bad", "Delete"]),
        (
            plan(task(details=rich("how"), output=rich("what"), sources=[
                {"type": "url", "url": "https://x.example", "text": "a source"}
            ])),
            ["Steps", "Look", "how", "what", "a source"],
        ),
        (
            card(hero_image=image(), subtitle=mrkdwn("*sub*"), body=plain("body"), actions=[
                button()
            ]),
            ["chart", "Card", "sub", "body", "Go"],
        ),
        (carousel(card(), card()), ["Card", "Card"]),
        (container(section("inside"), subtitle=plain("sub")), ["Box", "sub", "inside"]),
        (video(author_name="Ann", description=plain("About")), ["a film", "Film", "About", "Ann"]),
        ({"type": "alert", "text": plain("Mind")}, ["Mind"]),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_younger_blocks_are_read_from_top_to_bottom(block, read):
    assert blocks_text(completed([block]), {}).split("\n") == read


# --- clicks -----------------------------------------------------------------------------------


@pytest.fixture
def posted(app, api, person):
    """A message with these blocks, whose clicks are acknowledged."""

    def posted(*blocks):
        app.on("block_actions")
        answer = api("chat.postMessage", channel=person.id, text="x", blocks=list(blocks))
        assert answer["ok"], answer
        return person.messages()[-1]

    return posted


def test_buttons_within_cards_and_containers_work(app, posted):
    inside = {"type": "actions", "block_id": "in", "elements": [button("inner", "Inner")]}
    message = posted(
        carousel(
            card(block_id="c1", actions=[button("pick", "Pick", value="1")]),
            card(block_id="c2", actions=[button("pick", "Pick", value="2")]),
        ),
        container(inside),
    )

    assert message.buttons == [
        ("pick", "Pick", "1"),
        ("pick", "Pick", "2"),
        ("inner", "Inner", ""),
    ]
    message.click("pick", "2")
    assert app.seen[-1]["payload"]["actions"][0]["block_id"] == "c2"
    message.click("Inner")
    assert app.seen[-1]["payload"]["actions"][0]["block_id"] == "in"


def test_feedback_is_one_of_two(app, posted):
    message = posted(context_actions(feedback(), icon(value="7")))

    message.click("feedback", "Bad")
    action = app.seen[-1]["payload"]["actions"][0]
    assert (action["type"], action["value"], action["text"]["text"]) == (
        "feedback_buttons",
        "bad",
        "Bad",
    )
    with pytest.raises(NotPossible, match="which button"):
        message.click("feedback")
    message.click("Delete")
    assert app.seen[-1]["payload"]["actions"][0]["value"] == "7"


def test_an_icon_may_be_for_some_only(posted, colleague):
    message = posted(context_actions(icon(visible_to_user_ids=[colleague.id])))

    with pytest.raises(NotPossible, match="not shown"):
        message.click("bin")


def test_a_menu_of_conversations_can_bring_a_response_url(app, show, person):
    element = {"type": "conversations_select", "action_id": "where", "response_url_enabled": True}
    view = show(form(field("where") | {"element": element}))
    dm = app.api("conversations.open", users=person.id)["channel"]["id"]
    view.set("where", dm)
    app.on("view_submission")

    assert view.submit().action == "close"

    (url,) = app.seen[-1]["payload"]["response_urls"]
    assert (url["block_id"], url["action_id"], url["channel_id"]) == ("where", "where", dm)
    assert url["response_url"].startswith(app.sandbox.url)


@pytest.mark.parametrize(
    ("kind", "entered", "held"),
    [
        ("datetimepicker", 1_800_000_000, {"selected_date_time": 1_800_000_000}),
        ("timepicker", "09:30", {"selected_time": "09:30"}),
        ("email_text_input", "a@x.example", {"value": "a@x.example"}),
        ("url_text_input", "https://x.example", {"value": "https://x.example"}),
        ("rich_text_input", rich(), {"rich_text_value": rich()}),
        ("channels_select", "general", {"selected_channel": "C0IN"}),
        ("multi_users_select", ["guest"], {"selected_users": ["U0GUEST"]}),
    ],
)
def test_every_field_holds_its_own_kind_of_value(show, kind, entered, held):
    view = show(form(field("f") | {"element": {"type": kind, "action_id": "f"}}))

    view.set("f", entered)

    assert view.raw["state"]["values"]["f"]["f"] == {"type": kind, **held}
