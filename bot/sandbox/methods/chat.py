"""chat.*: messages of the app's, and what may stand in them."""

import json
import re
from typing import Any

from bot.sandbox import blocks as block_kit
from bot.sandbox import limits, objects
from bot.sandbox.errors import SlackError
from bot.sandbox.files import Files
from bot.sandbox.method import Method, Site
from bot.sandbox.methods.arguments import decoded, flag

__all__ = ["METHODS", "message_content"]

Json = dict[str, Any]


def message_content(args: Json, files: Files) -> Json:
    """Read and judge the text, blocks and attachments of a message."""
    text = str(args.get("text") or "")
    markdown = str(args.get("markdown_text") or "")
    blocks = decoded(args.get("blocks") or [], "invalid_blocks_format")
    attachments = decoded(args.get("attachments") or [], "invalid_attachments")
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if len(attachments) > limits.ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if len(markdown) > limits.MARKDOWN_TEXT:
        raise SlackError("msg_too_long")
    if not (text.strip() or markdown or blocks or attachments):
        raise SlackError("no_text")
    if faults := block_kit.judge_blocks(blocks, "message") or files.faults(blocks):
        raise SlackError("invalid_blocks", [f"[ERROR] {fault}" for fault in faults])
    if sum(map(len, block_kit.texts(blocks))) > limits.BLOCKS_TEXT:
        raise SlackError("msg_blocks_too_long")
    return {
        "text": text or markdown,
        "blocks": block_kit.completed(blocks),
        "attachments": attachments,
    }


def _post(site: Site, args: Json) -> Json:
    _refuse_as_user(args)
    content, metadata = message_content(args, site.files), _metadata(args)
    channel = site.workspace.destination(str(args["channel"]))
    content["text"] = content["text"][: limits.MESSAGE_TEXT]
    parent = site.workspace.thread(channel, args.get("thread_ts"))
    message = site.workspace.post(
        channel,
        **content,
        metadata=metadata,
        thread_ts=parent.ts if parent else None,
        broadcast=bool(parent) and flag(args.get("reply_broadcast")),
    )
    site.events.posted(message)
    shown = objects.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def _post_ephemeral(site: Site, args: Json) -> Json:
    content = message_content(args, site.files)
    _refuse_long_text(content["text"])
    channel = site.workspace.destination(str(args["channel"]))
    user = str(args["user"])
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    parent = site.workspace.thread(channel, args.get("thread_ts"))
    thread_ts = parent.ts if parent else None
    message = site.workspace.post(channel, **content, only_for=user, thread_ts=thread_ts)
    return {"message_ts": message.ts}


def _update(site: Site, args: Json) -> Json:
    _refuse_as_user(args)
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]), "cant_update_message")
    content, metadata = message_content(args, site.files), _metadata(args)
    _refuse_long_text(content["text"])
    if flag(args.get("reply_broadcast")) and not message.is_reply:
        raise SlackError("cant_broadcast_message")
    before = objects.message(site.workspace, message)
    # Only the text is lost when a call does not name it: "previous blocks will be retained".
    message.text = content["text"]
    if "blocks" in args:
        message.blocks = content["blocks"]
    if "attachments" in args:
        message.attachments = content["attachments"]
    if "metadata" in args:
        message.metadata = metadata
    message.broadcast = message.broadcast or flag(args.get("reply_broadcast"))
    message.edited = site.workspace.next_ts()
    site.workspace.changed(channel)
    site.events.changed(message, before)
    shown = objects.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def _delete(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]), "cant_delete_message")
    del channel.messages[message.ts]
    site.workspace.changed(channel)
    site.events.deleted(message)
    return {"channel": channel.id, "ts": message.ts}


def _permalink(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = channel.messages.get(str(args["message_ts"]))
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    domain = site.workspace.team.domain
    link = f"https://{domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts and message.thread_ts != message.ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def _refuse_as_user(args: Json) -> None:
    """A bot's token posts as the bot."""
    if flag(args.get("as_user")):
        raise SlackError("as_user_not_supported")


def _refuse_long_text(text: str) -> None:
    if len(text) > limits.SHORT_TEXT:
        raise SlackError("msg_too_long")


def _metadata(args: Json) -> Json | None:
    """Read `metadata`; an empty object takes it away."""
    if not args.get("metadata"):
        return None
    metadata = decoded(args["metadata"], "invalid_metadata_format")
    if metadata == {}:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    event_type, payload = metadata["event_type"], metadata["event_payload"]
    if not isinstance(event_type, str) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_format")
    if not re.match(limits.METADATA_EVENT_TYPE, event_type):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata).encode()) > limits.METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


_WRITE = ("chat:write",)
_CONTENT = (
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "markdown_text_conflict",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
)
_METADATA = ("invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large")
_THERE = ("channel_not_found", "message_not_found")
_PLACE = (
    "cannot_reply_to_message",
    "channel_not_found",
    "is_archived",
    "messages_tab_disabled",
    "not_in_channel",
)

METHODS: dict[str, Method] = {
    "chat.delete": Method(
        _delete, "tier 3", ("channel", "ts"), _WRITE, errors=("cant_delete_message", *_THERE)
    ),
    "chat.getPermalink": Method(
        _permalink, "special", ("channel", "message_ts"), errors=_THERE, form_only=True
    ),
    "chat.postEphemeral": Method(
        _post_ephemeral,
        "tier 4",
        ("channel", "user"),
        _WRITE,
        errors=("user_not_in_channel", *_PLACE, *_CONTENT),
    ),
    "chat.postMessage": Method(
        _post,
        "special",
        ("channel",),
        _WRITE,
        errors=("as_user_not_supported", *_PLACE, *_CONTENT, *_METADATA),
        per_channel=True,
    ),
    "chat.update": Method(
        _update,
        "tier 3",
        ("channel", "ts"),
        _WRITE,
        errors=(
            "as_user_not_supported",
            "cant_broadcast_message",
            "cant_update_message",
            *_THERE,
            *_CONTENT,
            *_METADATA,
        ),
    ),
}
