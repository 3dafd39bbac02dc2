"""Says in Markdown what the sandbox enforces, from the tables by which it does."""

from collections.abc import Mapping

from bot.sandbox import limits
from bot.sandbox.api import COMMON_ERRORS, METHODS
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

__all__ = ["blocks", "elements", "events", "methods", "parts", "sizes"]

Rows = list[list[str]]


def methods() -> Rows:
    """Each method with its tier, scopes, required arguments and its own errors."""
    head = ["method", "tier", "scopes (one of)", "required", "errors of its own"]
    rows = [
        [
            f"`{name}`",
            _tier(method.tier, per_channel=method.per_channel),
            _code(method.scopes) if method.caller == "bot" else f"token of {method.caller}",
            _code(method.required),
            _code(sorted(method.errors)),
        ]
        for name, method in METHODS.items()
    ]
    common = ["*all of them*", "", "", "", _code(sorted(COMMON_ERRORS))]
    return [head, *rows, common]


def sizes() -> Rows:
    """Numbers that are not those of one block, and what happens past them."""
    on = limits.BLOCKS_ON
    retries = ", ".join(f"{pause:.0f} s" for pause in limits.EVENT_RETRY_SECONDS)
    invalid = "`invalid_blocks`, of a view `invalid_arguments`"
    return [
        ["what", "limit", "past it"],
        ["blocks of a message", str(on["message"]), "`invalid_blocks`"],
        ["blocks of a modal, of Home", f"{on['modal']}, {on['home']}", "`invalid_arguments`"],
        ["texts of all blocks of a message", _number(limits.BLOCKS_TEXT), "`msg_blocks_too_long`"],
        ["markdown blocks together", _number(limits.MARKDOWN_TEXT), "`invalid_blocks`"],
        ["text of chat.postMessage", _number(limits.MESSAGE_TEXT), "cut, without an error"],
        [
            "text of chat.update, chat.postEphemeral",
            _number(limits.SHORT_TEXT),
            "`msg_too_long`",
        ],
        ["attachments", str(limits.ATTACHMENTS), "`too_many_attachments`"],
        ["metadata, bytes", _number(limits.METADATA_BYTES), "`metadata_too_large`"],
        ["a view, bytes", _number(limits.VIEW_BYTES), "`view_too_large`"],
        ["views on a stack", str(limits.VIEW_STACK), "`push_limit_reached`"],
        ["cells of a data_table together", _number(limits.DATA_TABLE_TEXT), invalid],
        *[[f"{kind} in a message", str(n), invalid] for kind, n in limits.PER_MESSAGE.items()],
        ["a trigger", f"{limits.TRIGGER_SECONDS:.0f} s, once", "`expired_trigger_id`, …"],
        ["an acknowledgement", f"{limits.ACK_SECONDS:.0f} s", "what Slack shows then"],
        ["an event, again after", retries, "given up"],
        [
            "a response_url",
            f"{limits.RESPONSE_URL_USES} uses, {limits.RESPONSE_URL_SECONDS / 60:.0f} min",
            "404 `expired_url`",
        ],
        ["options of an answer to a menu", str(limits.OPTIONS), "no options, and a notice"],
        ["people in conversations.open", str(limits.OPEN_USERS), "`too_many_users`"],
        ["people in conversations.invite", _number(limits.INVITE_USERS), "`too_many_users`"],
        ["a page", _number(limits.PAGE), "`invalid_limit`"],
        ["users.list without a limit", _number(limits.USERS_UNPAGED), "`limit_required`"],
        ["name of a channel", str(limits.CHANNEL_NAME), "`invalid_name_maxlength`"],
        [
            "emoji of one person, of all, on a message",
            f"{limits.EMOJI_OF_ONE}, {limits.EMOJI_OF_ALL}",
            "`too_many_reactions`, `too_many_emoji`",
        ],
        ["a file, bytes", _number(limits.FILE_BYTES), "`file_upload_size_restricted`"],
        ["channels of an upload", str(limits.FILE_CHANNELS), "`channels_limit_exceeded`"],
        ["a snippet, bytes", _number(limits.SNIPPET_BYTES), "`snippet_too_large`"],
        ["alt text of a file", _number(limits.FILE_ALT_TEXT), "`alt_txt_too_large`"],
        [
            "a file of a file_input, bytes",
            _number(limits.INPUT_FILE_BYTES),
            "the client does not take it",
        ],
        ["Socket Mode links", str(limits.LINKS), "`too_many_websockets`"],
    ]


def events() -> Rows:
    """Each event with the scopes of which the app needs one."""
    rows = [[f"`{name}`", _code(scopes) or "none"] for name, scopes in limits.EVENTS.items()]
    return [["event", "scopes (one of)"], *rows]


def blocks() -> Rows:
    """Each block with its surfaces and fields."""
    head = ["block", "message", "modal", "Home", "fields"]
    return [
        head,
        *[
            [f"`{kind}`", *(_mark(kind, on) for on in ("message", "modal", "home")), _fields(shape)]
            for kind, shape in limits.BLOCKS.items()
        ],
    ]


def elements() -> Rows:
    """Each element with the blocks that it may stand in, and its fields."""
    places = {
        "section": limits.IN_SECTION,
        "actions": limits.IN_ACTIONS,
        "input": limits.IN_INPUT,
        "context": limits.IN_CONTEXT,
        "context_actions": limits.IN_CONTEXT_ACTIONS,
        "card": frozenset({"button", "image"}),
    }
    rows = [
        [
            f"`{kind}`",
            ", ".join(place for place, kinds in places.items() if kind in kinds),
            _fields(shape),
        ]
        for kind, shape in limits.ELEMENTS.items()
    ]
    return [["element", "in", "fields"], *rows]


def parts() -> Rows:
    """What stands within blocks and elements."""
    shapes: Mapping[str, Shape] = {**limits.PARTS, **limits.RICH_TEXT, **limits.CHARTS}
    views = {f"view: {kind}": shape for kind, shape in limits.VIEWS.items()}
    rows = [[f"`{name}`", _fields(shape)] for name, shape in {**views, **shapes}.items()]
    return [["object", "fields"], *rows]


def _tier(name: str, *, per_channel: bool) -> str:
    calls, seconds = limits.RATES[name]
    said = f"{calls} in {seconds:.0f} s"
    if per_channel:
        calls, seconds = limits.RATES["channel"]
        said += f"; {calls} in {seconds:.0f} s per channel"
    return said


def _mark(kind: str, surface: str) -> str:
    return "✓" if kind in limits.SURFACES[surface] else ""


def _fields(shape: Shape) -> str:
    said = [f"**{name}** {_said(spec)}" for name, spec in shape.required.items()]
    said += [f"{name} {_said(spec)}" for name, spec in shape.optional.items()]
    rule = [f"at least one of {_code(shape.any_of)}"] if shape.any_of else []
    rule += [f"exactly one of {_code(shape.one_of)}"] if shape.one_of else []
    return "; ".join([*(one.strip() for one in said), *rule]).replace("|", "\\|")


def _said(spec: Spec) -> str:
    match spec:
        case String(most=most):
            return f"≤ {most}"
        case Text(most=most, plain=plain):
            return f"≤ {most}" + (" plain" if plain else "")
        case Number(least=least, most=most):
            return f"{least} … {most}"
        case Flag():
            return "yes/no"
        case Choice(among=among):
            return " / ".join(sorted(among))
        case Part(name=name):
            return f"({name})"
        case Typed(types=types):
            return f"({', '.join(sorted(types))})" if len(types) < 4 else ""
        case Items(of=of, most=most, least=least):
            return f"{least or 0}–{most} × {_said(of)}".removesuffix(" × ")


def _code(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")
