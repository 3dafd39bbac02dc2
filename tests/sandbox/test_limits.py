"""Every limit: reached, a thing is taken; passed by one, it is refused."""

import pytest

from bot.sandbox import limits
from bot.sandbox.blocks import judge_blocks, judge_options, judge_view


def plain(length):
    return {"type": "plain_text", "text": "x" * length}


def mrkdwn(length):
    return {"type": "mrkdwn", "text": "x" * length}


def option(text=1, value=1, n=0, **more):
    return {"text": plain(text), "value": f"{n:x}".rjust(value, "v"), **more}


def options(count):
    return [option(value=3, n=n) for n in range(count)]


def button(**more):
    return {"type": "button", "action_id": "go", "text": plain(1), **more}


def actions(*elements):
    return [{"type": "actions", "elements": list(elements)}]


def field(element=None, **more):
    shown = element or {"type": "plain_text_input", "action_id": "a"}
    return [{"type": "input", "label": plain(1), "element": shown, **more}]


def menu(kind="static_select", **more):
    return actions({"type": kind, "action_id": "a", **more})


def confirm(title=1, text=1, yes=1, no=1):
    texts = {"title": plain(title), "text": plain(text), "confirm": plain(yes), "deny": plain(no)}
    return actions(button(confirm=texts))


def divider(count, **more):
    return [{"type": "divider", **more} for _ in range(count)]


def picture(**more):
    return [{"type": "image", "image_url": "https://x.example/a.png", "alt_text": "a", **more}]


def url(length):
    return "https://".ljust(length, "x")


def modal(**more):
    return {"type": "modal", "title": plain(1), "blocks": divider(1), **more}


def table(rows, columns):
    row = [{"type": "raw_text", "text": "x"}] * columns
    return [{"type": "table", "rows": [row] * rows}]


BLOCK_LIMITS = {
    "blocks of a message": (50, divider),
    "section text": (3000, lambda n: [{"type": "section", "text": mrkdwn(n)}]),
    "section field": (2000, lambda n: [{"type": "section", "fields": [mrkdwn(n)]}]),
    "section fields": (10, lambda n: [{"type": "section", "fields": [mrkdwn(1)] * n}]),
    "header": (150, lambda n: [{"type": "header", "text": plain(n)}]),
    "context elements": (10, lambda n: [{"type": "context", "elements": [mrkdwn(1)] * n}]),
    "actions elements": (25, lambda n: actions(*[button(action_id=f"b{i}") for i in range(n)])),
    "block_id": (255, lambda n: divider(1, block_id="x" * n)),
    "action_id": (255, lambda n: actions(button(action_id="x" * n))),
    "button text": (75, lambda n: actions(button(text=plain(n)))),
    "button value": (2000, lambda n: actions(button(value="x" * n))),
    "button url": (3000, lambda n: actions(button(url=url(n)))),
    "button label": (75, lambda n: actions(button(accessibility_label="x" * n))),
    "confirm title": (100, lambda n: confirm(title=n)),
    "confirm text": (300, lambda n: confirm(text=n)),
    "confirm button": (30, lambda n: confirm(yes=n)),
    "deny button": (30, lambda n: confirm(no=n)),
    "option text": (75, lambda n: menu(options=[option(text=n)])),
    "option value": (150, lambda n: menu(options=[option(value=n)])),
    "option description": (75, lambda n: menu(options=[option(description=plain(n))])),
    "select options": (100, lambda n: menu(options=options(n))),
    "option groups": (
        100,
        lambda n: menu(option_groups=[{"label": plain(1), "options": options(1)}] * n),
    ),
    "options of a group": (
        100,
        lambda n: menu(option_groups=[{"label": plain(1), "options": options(n)}]),
    ),
    "group label": (
        75,
        lambda n: menu(option_groups=[{"label": plain(n), "options": options(1)}]),
    ),
    "placeholder": (150, lambda n: menu("external_select", placeholder=plain(n))),
    "overflow options": (5, lambda n: menu("overflow", options=options(n))),
    "checkboxes": (10, lambda n: menu("checkboxes", options=options(n))),
    "radio buttons": (10, lambda n: menu("radio_buttons", options=options(n))),
    "input label": (2000, lambda n: field(label=plain(n))),
    "input hint": (2000, lambda n: field(hint=plain(n))),
    "max_length": (
        3000,
        lambda n: field({"type": "plain_text_input", "action_id": "a", "max_length": n}),
    ),
    "initial value": (
        3000,
        lambda n: field({"type": "plain_text_input", "action_id": "a", "initial_value": "x" * n}),
    ),
    "image url": (3000, lambda n: picture(image_url=url(n))),
    "image alt text": (2000, lambda n: picture(alt_text="x" * n)),
    "image title": (2000, lambda n: picture(title=plain(n))),
    "markdown": (12_000, lambda n: [{"type": "markdown", "text": "x" * n}]),
    "markdown together": (
        12_000,
        lambda n: [
            {"type": "markdown", "text": "x" * 6_000},
            {"type": "markdown", "text": "x" * (n - 6_000)},
        ],
    ),
    "table rows": (100, lambda n: table(n, 1)),
    "table columns": (20, lambda n: table(1, n)),
    "tables": (1, lambda n: table(1, 1) * n),
}

VIEW_LIMITS = {
    "blocks of a modal": (100, lambda n: modal(blocks=divider(n))),
    "title": (24, lambda n: modal(title=plain(n))),
    "submit": (24, lambda n: modal(submit=plain(n))),
    "close": (24, lambda n: modal(close=plain(n))),
    "callback_id": (255, lambda n: modal(callback_id="x" * n)),
    "external_id": (255, lambda n: modal(external_id="x" * n)),
    "private_metadata": (3000, lambda n: modal(private_metadata="x" * n)),
    "alert": (200, lambda n: modal(blocks=[{"type": "alert", "text": mrkdwn(n)}])),
}


@pytest.mark.parametrize(("limit", "made"), BLOCK_LIMITS.values(), ids=BLOCK_LIMITS)
def test_blocks_are_taken_up_to_the_limit(limit, made):
    assert judge_blocks(made(limit), "message") == []
    assert judge_blocks(made(limit + 1), "message")


@pytest.mark.parametrize(("limit", "made"), VIEW_LIMITS.values(), ids=VIEW_LIMITS)
def test_views_are_taken_up_to_the_limit(limit, made):
    assert judge_view(made(limit), "modal") == []
    assert judge_view(made(limit + 1), "modal")


def test_a_home_has_as_many_blocks_as_a_modal():
    assert judge_view({"type": "home", "blocks": divider(100)}, "home") == []
    assert judge_view({"type": "home", "blocks": divider(101)}, "home")


def test_an_options_answer_has_at_most_100():
    assert judge_options({"options": options(100)}) == []
    assert judge_options({"options": options(101)})
    assert judge_options({"option_groups": [{"label": plain(1), "options": options(101)}]})


REFUSED = {
    "no type": ([{"text": mrkdwn(1)}], "missing required field: type"),
    "unknown block": ([{"type": "sektion"}], "unsupported type: sektion"),
    "unknown property": (divider(1, colour="red"), "invalid additional property: colour"),
    "empty text": ([{"type": "section", "text": mrkdwn(0)}], "must be more than 0 characters"),
    "empty section": ([{"type": "section"}], "missing required field: text or fields"),
    "mrkdwn button": (actions(button(text=mrkdwn(1))), "unsupported type: mrkdwn"),
    "button style": (actions(button(style="green")), "must be one of danger, primary"),
    "empty overflow": (menu("overflow", options=[]), "must provide at least 1 items"),
    "no options": (menu(), "missing required field: options or option_groups"),
    "no alt text": (
        [{"type": "image", "image_url": "https://x.example/a.png"}],
        "missing required field: alt_text",
    ),
    "input element in actions": (menu("plain_text_input"), "unsupported type: plain_text_input"),
    "button in input": (field(button()), "unsupported type: button"),
    "flag as text": (field(optional="true"), "must be a boolean"),
    "number as text": (
        field({"type": "plain_text_input", "action_id": "a", "max_length": "5"}),
        "must be an integer",
    ),
    "number input without decimals": (
        field({"type": "number_input", "action_id": "a"}),
        "missing required field: is_decimal_allowed",
    ),
    "block_id twice": (divider(2, block_id="b"), '`block_id` "b" already exists'),
    "action_id twice": (actions(button(), button()), '`action_id` "go" already exists'),
    "initial option elsewhere": (
        menu(options=options(2), initial_option=option(value=3, n=7)),
        "initial option is not among the options",
    ),
    "two focused": (
        field({"type": "plain_text_input", "action_id": "a", "focus_on_load": True}) * 2,
        "only one element can have focus_on_load",
    ),
    "alert in a message": ([{"type": "alert", "text": plain(1)}], "unsupported type: alert"),
}


@pytest.mark.parametrize(("blocks", "fault"), REFUSED.values(), ids=REFUSED)
def test_malformed_blocks_are_refused_with_the_reason(blocks, fault):
    assert any(said.startswith(fault) for said in judge_blocks(blocks, "message"))


def test_faults_point_at_their_place():
    blocks = [*divider(1), *actions(button(), button(action_id="x", text=plain(76)))]

    assert judge_blocks(blocks, "message") == [
        "must be less than 76 characters [json-pointer:/blocks/1/elements/1/text/text]"
    ]


@pytest.mark.parametrize(
    ("view", "fault"),
    [
        (modal(blocks=field()), "must define `submit`"),
        ({"type": "modal", "blocks": []}, "missing required field: title"),
        ({"type": "modal", "title": plain(1)}, "missing required field: blocks"),
        (modal(title=mrkdwn(1)), "unsupported type: mrkdwn"),
        (modal(blocks=[{"type": "markdown", "text": "x"}]), "unsupported type: markdown"),
        ({"type": "home", "blocks": []}, "unsupported type: home"),
        ("view", "must provide an object"),
    ],
)
def test_malformed_views_are_refused_with_the_reason(view, fault):
    assert any(said.startswith(fault) for said in judge_view(view, "modal"))


def test_every_block_that_a_surface_allows_has_a_shape():
    for surface, kinds in limits.SURFACES.items():
        assert kinds <= set(limits.BLOCKS), surface
