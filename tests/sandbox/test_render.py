"""What a person reads of what an app wrote."""

import pytest

from bot.sandbox.render import blocks_text, message_text, mrkdwn_text, view_text

NAMES = {"U1": "Anna Berg", "C1": "general"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*bold* _it_ ~no~ `code`", "bold it no code"),
        ("_*both*_", "both"),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4"),
        ("`*code*`", "*code*"),
        ("<@U1> in <#C1>", "@Anna Berg in #general"),
        ("<@U9|ann>", "@ann"),
        ("<!channel> <!here>", "@channel @here"),
        ("&lt;!channel&gt; &amp; co", "<!channel> & co"),
        ("<https://x.example|a link>", "a link"),
        ("<https://x.example>", "https://x.example"),
        ("<!date^1767225600^{date_short} at {time}|soon>", "Jan 1, 2026 at 00:00"),
        ("<!date^1767225600^{date_num} {time_secs}^https://x.example|soon>", "2026-01-01 00:00:00"),
        ("<!date^x^{time}|soon>", "soon"),
    ],
)
def test_markup_is_resolved(written, read):
    assert mrkdwn_text(written, NAMES) == read


def test_every_leaf_of_rich_text_is_read():
    leaves = [
        {"type": "text", "text": "a & b "},
        {"type": "link", "url": "https://x.example"},
        {"type": "user", "user_id": "U1"},
        {"type": "channel", "channel_id": "C1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "broadcast", "range": "here"},
        {"type": "emoji", "name": "wave"},
        {"type": "date", "timestamp": 1767225600, "format": "{date_num}"},
        {"type": "color", "value": "#fff"},
    ]
    rich = {"type": "rich_text", "block_id": "b"}
    rich["elements"] = [{"type": "rich_text_section", "elements": leaves}]

    assert blocks_text([rich], NAMES | {"S1": "ops"}) == (
        "a & b https://x.example@Anna Berg#general@ops@here:wave:2026-01-01#fff"
    )


def test_a_quote_is_read_letter_by_letter_each_line_with_its_mark():
    leaves = [
        {"type": "text", "text": "*one* :tada: &lt;\n"},
        {"type": "link", "url": "https://x.example"},
        {"type": "text", "text": "\n> `three`"},
    ]
    rich = {"type": "rich_text", "block_id": "b"}
    rich["elements"] = [{"type": "rich_text_quote", "elements": leaves}]

    assert blocks_text([rich], NAMES).split("\n") == [
        "> *one* :tada: &lt;",
        "> https://x.example",
        "> > `three`",
    ]


def test_only_three_entities_are_read_back():
    assert mrkdwn_text("&lt;a&gt; &amp;amp; &quot;b&quot; &#39;", NAMES) == (
        "<a> &amp; &quot;b&quot; &#39;"
    )


def test_blocks_hide_the_text_that_notifications_show():
    block = {"type": "section", "block_id": "b", "text": {"type": "mrkdwn", "text": "*Hi*"}}

    assert message_text({"text": "plain", "blocks": [block]}, NAMES) == "Hi"
    assert message_text({"text": "*plain*"}, NAMES) == "plain"


def test_blocks_are_read_from_top_to_bottom():
    def plain(text):
        return {"type": "plain_text", "text": text}

    button = {"type": "button", "action_id": "a", "text": plain("Go")}
    leaves = [{"type": "text", "text": "by "}, {"type": "user", "user_id": "U1"}]
    rich = [{"type": "rich_text_section", "elements": leaves}]
    blocks = [
        {"type": "header", "block_id": "1", "text": plain("Head")},
        {
            "type": "section",
            "block_id": "2",
            "fields": [plain("f1"), plain("f2")],
            "accessory": button,
        },
        {"type": "image", "block_id": "3", "image_url": "x", "alt_text": "a chart"},
        {"type": "divider", "block_id": "4"},
        {"type": "rich_text", "block_id": "5", "elements": rich},
        {"type": "table", "block_id": "6", "rows": [[{"type": "raw_text", "text": "cell"}]]},
    ]

    assert blocks_text(blocks, NAMES).split("\n") == [
        *("Head", "f1", "f2", "Go", "a chart", "by @Anna Berg", "cell")
    ]


def test_a_view_is_read_with_what_its_fields_hold():
    def plain(text):
        return {"type": "plain_text", "text": text}

    def field(name, kind, **more):
        element = {"type": kind, "action_id": name, "placeholder": plain(f"{name}?"), **more}
        return {"type": "input", "block_id": name, "label": plain(name), "element": element}

    options = [{"text": plain("One"), "value": "1"}, {"text": plain("Two"), "value": "2"}]
    view = {
        "type": "modal",
        "title": plain("Title"),
        "submit": plain("Send"),
        "close": None,
        "blocks": [
            field("empty", "plain_text_input"),
            field("typed", "plain_text_input"),
            field("menu", "static_select", options=options),
            field("person", "users_select"),
        ],
        "state": {
            "values": {
                "typed": {"typed": {"type": "plain_text_input", "value": "so"}},
                "menu": {"menu": {"type": "static_select", "selected_option": options[1]}},
                "person": {"person": {"type": "users_select", "selected_user": "U1"}},
            }
        },
    }

    assert view_text(view, NAMES).split("\n") == [
        *("Title", "empty", "empty?", "typed", "so", "menu", "Two", "person", "Anna Berg", "Send")
    ]
