"""What Slack allows, as data: Block Kit shapes, sizes, times, rate limits.

Collected from Slack's documentation, the official SDKs' constants and error texts in public
issues; where sources disagree, the stricter number stands here. Other modules only interpret
these tables.
"""

from bot.sandbox.shapes import (
    Choice,
    Flag,
    Items,
    Number,
    Part,
    Shape,
    Spec,
    String,
    Text,
    Typed,
)

# --- Times, in seconds of real time -----------------------------------------------------------
ACK_SECONDS = 3.0
TRIGGER_SECONDS = 3.0
EVENT_RETRY_SECONDS = (0.0, 60.0, 300.0)  # then Slack gives an event up
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
PING_SECONDS = 5.0  # between the pings that a Socket Mode link gets
LINK_SECONDS = 18_060  # how long a link will live, as its greeting says

# --- Sizes ------------------------------------------------------------------------------------
VIEW_BYTES = 250_000
VIEW_STACK = 3  # opened, and pushed twice
MESSAGE_TEXT = 40_000  # cut by chat.postMessage without an error
SHORT_TEXT = 4_000  # refused by chat.update and chat.postEphemeral: msg_too_long
BLOCKS_TEXT = 13_000  # observed, undocumented (bolt-js#2509): msg_blocks_too_long
MARKDOWN_TEXT = 12_000  # of all markdown blocks of a message together
METADATA_BYTES = 16_000  # metadata_too_large; the number is an assumption
ATTACHMENTS = 100
OPEN_USERS = 8  # conversations.open
OPTIONS = 100
MIN_QUERY_LENGTH = 3  # of an external select that does not say
LINKS = 10  # Socket Mode connections of one app
TABLE_ROWS = 100
TABLE_COLUMNS = 20
DATA_TABLE_ROWS = 201
DATA_TABLE_TEXT = 20_000  # of all cells together
CHART_SERIES = 6  # Slack's page says 6, two libraries say 12
CHART_POINTS = 20
FILE_BYTES = 1_000_000_000
FILE_ALT_TEXT = 1_000
FILE_CHANNELS = 100  # that one upload is shared in
FILE_SECONDS = 0.2  # until a completed file is looked at; Slack takes its time too
SNIPPET_BYTES = 1_000_000
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif"})  # for slack_file
PAGE = 1_000
USERS_UNPAGED = 1_000  # more in users.list without a limit: limit_required; an assumption
CHANNEL_NAME = 80
GENERAL = "general"  # the channel that nobody is kicked from
INVITE_USERS = 1_000  # conversations.invite, at once
EMOJI_OF_ONE = 23  # different reactions of one person to one message: too_many_reactions
EMOJI_OF_ALL = 50  # different reactions to one message: too_many_emoji
INPUT_FILES = 10  # of one file_input
INPUT_FILE_BYTES = 10_000_000

BLOCKS_ON = {"message": 50, "modal": 100, "home": 100}

# --- Rate limits: at most `calls` in any `seconds`, per method (and channel) ------------------
# Slack publishes calls a minute per tier. chat.postMessage is "one a second per channel" with
# short bursts tolerated: three here. apps.connections.open is tier 1 in one source and tier 3
# in another; tier 1, with room for a bot that opens its links at start.
RATES: dict[str, tuple[int, float]] = {
    "tier 1 with burst": (5, 300.0),
    "tier 2": (20, 60.0),
    "tier 3": (50, 60.0),
    "tier 4": (100, 60.0),
    "channel": (3, 3.0),
    "special": (600, 60.0),
}

# --- Events: what an app may subscribe to, and the scopes of which it needs one -----------------
EVENTS: dict[str, tuple[str, ...]] = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_created": ("usergroups:read",),
    "subteam_members_changed": ("usergroups:read",),
    "subteam_updated": ("usergroups:read",),
    "team_join": ("users:read",),
    "user_change": ("users:read",),
}
MESSAGE_EVENTS = {
    "channel": "message.channels",
    "group": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}

# --- Block Kit --------------------------------------------------------------------------------
_URL = r"^(https?|mailto|slack|tel):"
_IMAGE_URL = r"^https?://"
_HTTPS = r"^https://"
_DATE = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
_ID = String(255, least=1)
_FLAG = Flag()
_PLACEHOLDER = Text(150)
_MANY = 10**15
_REAL = Number(-_MANY, _MANY, whole=False)


def _types(*names: str) -> frozenset[str]:
    return frozenset(names)


_ELEMENT: dict[str, Spec] = {"action_id": _ID}
_CONFIRMED: dict[str, Spec] = {**_ELEMENT, "confirm": Part("confirm")}
_FOCUSED: dict[str, Spec] = {**_ELEMENT, "focus_on_load": _FLAG}
_MENU: dict[str, Spec] = {
    **_CONFIRMED,
    "focus_on_load": _FLAG,
    "placeholder": _PLACEHOLDER,
}
_MULTI: dict[str, Spec] = {**_MENU, "max_selected_items": Number(1, 1000)}
_TYPED_IN: dict[str, Spec] = {
    **_FOCUSED,
    "placeholder": _PLACEHOLDER,
    "dispatch_action_config": Part("dispatch_action_config"),
}
_STATIC: dict[str, Spec] = {
    "options": Items(Part("option"), OPTIONS, least=1),
    "option_groups": Items(Part("option_group"), OPTIONS, least=1),
}
_STATIC_RULE = ("options", "option_groups")
_USERS = Items(_ID, 1000)
_PICTURE: dict[str, Spec] = {"alt_text": String(2000, least=1)}
_PICTURED: dict[str, Spec] = {
    "image_url": String(3000, least=1, pattern=_IMAGE_URL),
    "slack_file": Part("slack_file"),
}
_PICTURE_RULE = ("image_url", "slack_file")

ELEMENTS: dict[str, Shape] = {
    "button": Shape(
        {"text": Text(75)},
        {
            **_CONFIRMED,
            "url": String(3000, pattern=_URL),
            "value": String(2000),
            "style": Choice(_types("primary", "danger")),
            "accessibility_label": String(75),
        },
    ),
    "static_select": Shape(
        {}, {**_MENU, **_STATIC, "initial_option": Part("option")}, one_of=_STATIC_RULE
    ),
    "multi_static_select": Shape(
        {},
        {**_MULTI, **_STATIC, "initial_options": Items(Part("option"), OPTIONS, least=1)},
        one_of=_STATIC_RULE,
    ),
    "external_select": Shape(
        {}, {**_MENU, "min_query_length": Number(0, 1000), "initial_option": Part("option")}
    ),
    "multi_external_select": Shape(
        {},
        {
            **_MULTI,
            "min_query_length": Number(0, 1000),
            "initial_options": Items(Part("option"), OPTIONS, least=1),
        },
    ),
    "users_select": Shape({}, {**_MENU, "initial_user": _ID}),
    "multi_users_select": Shape({}, {**_MULTI, "initial_users": _USERS}),
    "conversations_select": Shape(
        {},
        {
            **_MENU,
            "initial_conversation": _ID,
            "default_to_current_conversation": _FLAG,
            "response_url_enabled": _FLAG,
            "filter": Part("filter"),
        },
    ),
    "multi_conversations_select": Shape(
        {},
        {
            **_MULTI,
            "initial_conversations": _USERS,
            "default_to_current_conversation": _FLAG,
            "filter": Part("filter"),
        },
    ),
    "channels_select": Shape({}, {**_MENU, "initial_channel": _ID, "response_url_enabled": _FLAG}),
    "multi_channels_select": Shape({}, {**_MULTI, "initial_channels": _USERS}),
    "overflow": Shape({"options": Items(Part("link_option"), 5, least=1)}, _CONFIRMED),
    "radio_buttons": Shape(
        {"options": Items(Part("described_option"), 10, least=1)},
        {**_CONFIRMED, "focus_on_load": _FLAG, "initial_option": Part("described_option")},
    ),
    "checkboxes": Shape(
        {"options": Items(Part("described_option"), 10, least=1)},
        {
            **_CONFIRMED,
            "focus_on_load": _FLAG,
            "initial_options": Items(Part("described_option"), 10, least=1),
        },
    ),
    "datepicker": Shape({}, {**_MENU, "initial_date": String(10, pattern=_DATE)}),
    "timepicker": Shape(
        {}, {**_MENU, "initial_time": String(5, pattern=_TIME), "timezone": String(100)}
    ),
    "datetimepicker": Shape(
        {},
        {
            **_CONFIRMED,
            "focus_on_load": _FLAG,
            "initial_date_time": Number(1_000_000_000, 9_999_999_999),
        },
    ),
    "plain_text_input": Shape(
        {},
        {
            **_TYPED_IN,
            "initial_value": String(3000),
            "multiline": _FLAG,
            "min_length": Number(0, 3000),
            "max_length": Number(1, 3000),
        },
    ),
    "number_input": Shape(
        {"is_decimal_allowed": _FLAG},
        {
            **_TYPED_IN,
            "initial_value": String(100),
            "min_value": String(100),
            "max_value": String(100),
        },
    ),
    "email_text_input": Shape({}, {**_TYPED_IN, "initial_value": String(3000)}),
    "url_text_input": Shape({}, {**_TYPED_IN, "initial_value": String(3000)}),
    "rich_text_input": Shape({}, {**_TYPED_IN, "initial_value": Typed(_types("rich_text"))}),
    "file_input": Shape(
        {},
        {
            **_ELEMENT,
            "filetypes": Items(String(50, least=1), 100, least=1),
            "max_files": Number(1, INPUT_FILES),
        },
    ),
    "feedback_buttons": Shape(
        {"positive_button": Part("feedback_button"), "negative_button": Part("feedback_button")},
        _ELEMENT,
    ),
    "icon_button": Shape(
        {"icon": Choice(_types("trash")), "text": Text(75)},
        {
            **_CONFIRMED,
            "value": String(2000),
            "accessibility_label": String(75),
            "visible_to_user_ids": Items(_ID, 1000),
        },
    ),
    "image": Shape(_PICTURE, _PICTURED, one_of=_PICTURE_RULE),
    "url": Shape({"url": String(3000, least=1, pattern=_URL), "text": String(3000, least=1)}),
    "plain_text": Shape({"text": String(3000, least=1)}, {"emoji": _FLAG}),
    "mrkdwn": Shape({"text": String(3000, least=1)}, {"verbatim": _FLAG}),
}

_SELECTS = _types(
    "static_select",
    "external_select",
    "users_select",
    "conversations_select",
    "channels_select",
)
_MULTI_SELECTS = frozenset(f"multi_{name}" for name in _SELECTS)
_PICKERS = _types("datepicker", "timepicker")
_BOXES = _types("radio_buttons", "checkboxes")
_TYPING = _types(
    "plain_text_input", "number_input", "email_text_input", "url_text_input", "rich_text_input"
)

IN_SECTION = _SELECTS | _MULTI_SELECTS | _PICKERS | _BOXES | _types("button", "overflow", "image")
IN_ACTIONS = _SELECTS | _PICKERS | _BOXES | _types("button", "overflow", "datetimepicker")
IN_INPUT = (
    _SELECTS | _MULTI_SELECTS | _PICKERS | _BOXES | _TYPING | _types("datetimepicker", "file_input")
)
IN_CONTEXT = _types("image", "plain_text", "mrkdwn")
IN_CONTEXT_ACTIONS = _types("feedback_buttons", "icon_button")
MODAL_ONLY = _types("file_input")

_BLOCK: dict[str, Spec] = {"block_id": _ID}
_RICH = _types("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
_CELL = Items(Typed(_types("raw_text", "raw_number", "rich_text")), TABLE_COLUMNS, least=1)
_RICH_TEXT = Typed(_types("rich_text"))
_IMAGE = Typed(_types("image"))
# What two sources agree on: the one lists rich_text, input and file too, the other leaves them out.
_IN_CONTAINER = _types(
    "actions", "context", "divider", "header", "image", "section", "table", "video"
)

BLOCKS: dict[str, Shape] = {
    "section": Shape(
        {},
        {
            **_BLOCK,
            "text": Text(3000, plain=False),
            "fields": Items(Text(2000, plain=False), 10, least=1),
            "accessory": Typed(IN_SECTION),
            "expand": _FLAG,
        },
        any_of=("text", "fields"),
    ),
    "header": Shape({"text": Text(150)}, _BLOCK),
    "context": Shape({"elements": Items(Typed(IN_CONTEXT), 10, least=1)}, _BLOCK),
    "divider": Shape({}, _BLOCK),
    "actions": Shape({"elements": Items(Typed(IN_ACTIONS), 25, least=1)}, _BLOCK),
    "input": Shape(
        {"label": Text(2000), "element": Typed(IN_INPUT)},
        {**_BLOCK, "hint": Text(2000), "optional": _FLAG, "dispatch_action": _FLAG},
    ),
    "image": Shape(_PICTURE, {**_BLOCK, **_PICTURED, "title": Text(2000)}, one_of=_PICTURE_RULE),
    "rich_text": Shape({"elements": Items(Typed(_RICH), 100, least=1)}, _BLOCK),
    "markdown": Shape({"text": String(MARKDOWN_TEXT, least=1)}, _BLOCK),
    "table": Shape(
        {"rows": Items(_CELL, TABLE_ROWS, least=1)},
        {**_BLOCK, "column_settings": Items(Part("column"), TABLE_COLUMNS)},
    ),
    "data_table": Shape(
        {"rows": Items(_CELL, DATA_TABLE_ROWS, least=2), "caption": String(255, least=1)},
        {
            **_BLOCK,
            "page_size": Number(1, 100),
            "row_header_column_index": Number(0, TABLE_COLUMNS - 1),
        },
    ),
    "data_visualization": Shape(
        {"title": String(50, least=1), "chart": Typed(_types("pie", "bar", "line", "area"))},
        _BLOCK,
    ),
    "context_actions": Shape(
        {"elements": Items(Typed(IN_CONTEXT_ACTIONS), 5, least=1)},
        _BLOCK,
    ),
    "task_card": Shape(
        {
            "task_id": String(255, least=1),
            "title": String(3000, least=1),
            "status": Choice(_types("pending", "in_progress", "complete", "error")),
        },
        {
            **_BLOCK,
            "details": _RICH_TEXT,
            "output": _RICH_TEXT,
            "sources": Items(Typed(_types("url")), 100),
        },
    ),
    "plan": Shape(
        {"title": String(3000, least=1)},
        {**_BLOCK, "tasks": Items(Typed(_types("task_card")), 50)},
    ),
    "card": Shape(
        {},
        {
            **_BLOCK,
            "hero_image": _IMAGE,
            "icon": _IMAGE,
            "title": Text(150, plain=False),
            "subtitle": Text(150, plain=False),
            "body": Text(200, plain=False),
            "actions": Items(Typed(_types("button")), 3, least=1),
        },
        any_of=("hero_image", "title", "actions", "body"),
    ),
    "carousel": Shape({"elements": Items(Typed(_types("card")), 10, least=1)}, _BLOCK),
    "container": Shape(
        {"child_blocks": Items(Typed(_IN_CONTAINER), 10, least=1)},
        {
            **_BLOCK,
            "title": Text(150),
            "rich_text_title": _RICH_TEXT,
            "subtitle": Text(150, plain=False),
            "width": Choice(_types("narrow", "standard", "wide", "full")),
            "icon": _IMAGE,
            "is_collapsible": _FLAG,
            "default_collapsed": _FLAG,
            "has_header_divider": _FLAG,
        },
        any_of=("title", "rich_text_title"),
    ),
    "video": Shape(
        {
            "video_url": String(3000, least=1, pattern=_HTTPS),
            "thumbnail_url": String(3000, least=1, pattern=_IMAGE_URL),
            "alt_text": String(2000, least=1),
            "title": Text(199),
        },
        {
            **_BLOCK,
            "title_url": String(3000, pattern=_HTTPS),
            "author_name": String(49),
            "provider_name": String(255),
            "provider_icon_url": String(3000, pattern=_IMAGE_URL),
            "description": Text(200),
        },
    ),
    "alert": Shape(
        {"text": Text(200, plain=False)},
        {**_BLOCK, "level": Choice(_types("default", "info", "warning", "error", "success"))},
    ),
}

_EVERYWHERE = _types(
    "section",
    "header",
    "context",
    "divider",
    "actions",
    "input",
    "image",
    "rich_text",
    "card",
    "video",
)
_TABLES = _types("table", "data_table", "data_visualization", "carousel")
# A container in Home: one source has it, Slack's own page has not.
SURFACES: dict[str, frozenset[str]] = {
    "message": _EVERYWHERE
    | _TABLES
    | _types("markdown", "context_actions", "task_card", "plan", "container"),
    "modal": _EVERYWHERE | _types("alert"),
    "home": _EVERYWHERE | _TABLES,
}
PER_MESSAGE = {"table": 1, "data_visualization": 2}

_STYLE: dict[str, Spec] = {"style": Part("rich_text_style")}
_STYLE_OF_MENTION: dict[str, Spec] = {"style": Part("mention_style")}
_RICH_LEAF = _types(
    "text", "link", "emoji", "user", "usergroup", "channel", "broadcast", "date", "color"
)
# What people type may be empty, what an app sends may not: Slack's apps were refused with
# "missing element" and "must be more than 0 characters".
_LEAVES = Items(Typed(_RICH_LEAF), 1000, least=1)
_AS_IT_IS = Items(Typed(_types("text", "link")), 1000, least=1)

RICH_TEXT: dict[str, Shape] = {
    "rich_text_section": Shape({"elements": _LEAVES}),
    "rich_text_list": Shape(
        {
            "style": Choice(_types("bullet", "ordered")),
            "elements": Items(Typed(_types("rich_text_section")), 1000, least=1),
        },
        {"indent": Number(0, 8), "offset": Number(0, 100_000), "border": Number(0, 1)},
    ),
    "rich_text_preformatted": Shape({"elements": _AS_IT_IS}, {"border": Number(0, 1)}),
    "rich_text_quote": Shape({"elements": _LEAVES}, {"border": Number(0, 1)}),
    "text": Shape({"text": String(3000, least=1)}, _STYLE),
    "link": Shape(
        {"url": String(3000, least=1)}, {**_STYLE, "text": String(3000, least=1), "unsafe": _FLAG}
    ),
    "emoji": Shape({"name": String(255, least=1)}, {**_STYLE, "unicode": String(255)}),
    "user": Shape({"user_id": _ID}, _STYLE_OF_MENTION),
    "usergroup": Shape({"usergroup_id": _ID}, _STYLE_OF_MENTION),
    "channel": Shape({"channel_id": _ID}, _STYLE_OF_MENTION),
    "broadcast": Shape({"range": Choice(_types("here", "channel", "everyone"))}, _STYLE),
    "date": Shape(
        {"timestamp": Number(0, 9_999_999_999), "format": String(255, least=1)},
        {**_STYLE, "url": String(3000), "fallback": String(3000)},
    ),
    "color": Shape({"value": String(7, least=1)}, _STYLE),
    "raw_text": Shape({"text": String(3000, least=1)}),
    "raw_number": Shape({"value": _REAL, "text": String(3000, least=1)}),
}

_POINT: dict[str, Spec] = {"label": String(20, least=1), "value": _REAL}
_PLOT = Shape({"series": Items(Part("series"), CHART_SERIES, least=1), "axis_config": Part("axes")})
CHARTS: dict[str, Shape] = {
    "pie": Shape({"segments": Items(Part("segment"), CHART_SERIES, least=1)}),
    "bar": _PLOT,
    "line": _PLOT,
    "area": _PLOT,
}

# What stands within something else and says its type. An image is the same as a block, but for
# the title.
SHAPES: dict[str, Shape] = {**BLOCKS, **RICH_TEXT, **CHARTS, **ELEMENTS}

_STYLES: dict[str, Spec] = dict.fromkeys(("bold", "italic", "strike", "code", "underline"), _FLAG)
_OPTION: dict[str, Spec] = {"text": Text(75), "value": String(150, least=1)}

PARTS: dict[str, Shape] = {
    "option": Shape(_OPTION, {"description": Text(75)}),
    "described_option": Shape(
        {"text": Text(75, plain=False), "value": String(150, least=1)}, {"description": Text(75)}
    ),
    "link_option": Shape(_OPTION, {"description": Text(75), "url": String(3000, pattern=_URL)}),
    "option_group": Shape({"label": Text(75), "options": Items(Part("option"), OPTIONS, least=1)}),
    "confirm": Shape(
        {
            "title": Text(100),
            "text": Text(300, plain=False),
            "confirm": Text(30),
            "deny": Text(30),
        },
        {"style": Choice(_types("primary", "danger"))},
    ),
    "slack_file": Shape({}, {"id": _ID, "url": String(3000, least=1)}, one_of=("id", "url")),
    "feedback_button": Shape(
        {"text": Text(75), "value": String(2000, least=1)}, {"accessibility_label": String(75)}
    ),
    "segment": Shape({"label": String(20, least=1), "value": Number(0, _MANY, whole=False)}),
    "series": Shape(
        {
            "name": String(20, least=1),
            "data": Items(Part("point"), CHART_POINTS, least=1),
        }
    ),
    "point": Shape(_POINT),
    "axes": Shape(
        {"categories": Items(String(20, least=1), CHART_POINTS, least=1)},
        {"x_label": String(50), "y_label": String(50)},
    ),
    "filter": Shape(
        {},
        {
            "include": Items(Choice(_types("im", "mpim", "private", "public")), 4, least=1),
            "exclude_external_shared_channels": _FLAG,
            "exclude_bot_users": _FLAG,
        },
    ),
    "dispatch_action_config": Shape(
        {},
        {
            "trigger_actions_on": Items(
                Choice(_types("on_enter_pressed", "on_character_entered")), 2, least=1
            )
        },
    ),
    "rich_text_style": Shape({}, _STYLES),
    "mention_style": Shape(
        {}, {**_STYLES, **dict.fromkeys(("highlight", "client_highlight", "unlink"), _FLAG)}
    ),
    "column": Shape({}, {"align": Choice(_types("left", "center", "right")), "is_wrapped": _FLAG}),
}

_VIEW: dict[str, Spec] = {
    "private_metadata": String(3000),
    "callback_id": String(255),
    "external_id": String(255),
}
VIEWS: dict[str, Shape] = {
    "modal": Shape(
        {"title": Text(24)},
        {
            **_VIEW,
            "submit": Text(24),
            "close": Text(24),
            "clear_on_close": _FLAG,
            "notify_on_close": _FLAG,
            "submit_disabled": _FLAG,
        },
    ),
    "home": Shape({}, _VIEW),
}

OPTIONS_RESPONSE: dict[str, Spec] = {
    "options": Items(Part("option"), OPTIONS),
    "option_groups": Items(Part("option_group"), OPTIONS),
}

METADATA_EVENT_TYPE = r"^[A-Za-z0-9_-]{1,255}$"
