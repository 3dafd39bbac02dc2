"""files.*: uploads in three steps, and what became of them."""

from typing import Any

from bot.sandbox import limits, objects
from bot.sandbox.errors import SlackError
from bot.sandbox.file import File
from bot.sandbox.method import Method, Site
from bot.sandbox.methods.arguments import decoded, integer, listed
from bot.sandbox.methods.chat import message_content
from bot.sandbox.workspace import Channel

__all__ = ["METHODS"]

Json = dict[str, Any]


def _upload_url(site: Site, args: Json) -> Json:
    length = integer(args["length"], "invalid_arguments")
    if length < 1:
        raise SlackError(
            "invalid_arguments", ["[ERROR] must be greater than 0 [json-pointer:/length]"]
        )
    if length > limits.FILE_BYTES:
        raise SlackError("file_upload_size_restricted")
    if args.get("snippet_type") and length > limits.SNIPPET_BYTES:
        raise SlackError("snippet_too_large")
    alt = str(args.get("alt_txt") or "")
    if len(alt) > limits.FILE_ALT_TEXT:
        raise SlackError("alt_txt_too_large")
    file = site.files.reserve(str(args["filename"]), length, alt)
    return {"upload_url": site.files.upload_url(file), "file_id": file.id}


def _complete(site: Site, args: Json) -> Json:
    files = _listed(site, args)
    content: Json = {"text": str(args.get("initial_comment") or ""), "blocks": []}
    if args.get("blocks"):
        content = message_content({"blocks": args["blocks"]}, site.files)
    channels = _channels(site, args)
    thread_ts = args.get("thread_ts")
    parents = [site.workspace.thread(channel, thread_ts) for channel in channels]
    for file, title in files:
        site.files.complete(file, title)
    for channel, parent in zip(channels, parents, strict=True):
        site.files.share([file for file, _ in files], channel)
        message = site.workspace.post(
            channel,
            **content,
            files=[file.id for file, _ in files],
            thread_ts=parent.ts if parent else None,
        )
        site.events.posted(message)
    return {"files": [objects.file(site.workspace, file) for file, _ in files]}


def _channels(site: Site, args: Json) -> list[Channel]:
    """Read where to share: one channel, or several with commas; neither keeps the file private."""
    named = listed(args.get("channel_id")) or listed(args.get("channels"))
    if len(named) > limits.FILE_CHANNELS:
        raise SlackError("channels_limit_exceeded")
    return [site.workspace.shared_channel(name) for name in named]


def _listed(site: Site, args: Json) -> list[tuple[File, str]]:
    named = decoded(args["files"], "invalid_arguments")
    if not isinstance(named, list) or not named or not all(isinstance(n, dict) for n in named):
        raise SlackError(
            "invalid_arguments", ["[ERROR] must provide an array of objects [json-pointer:/files]"]
        )
    files = [(site.files.own(str(one.get("id"))), str(one.get("title") or "")) for one in named]
    if any(file.content is None or file.completed is not None for file, _ in files):
        raise SlackError("file_update_failed")
    return files


def _info(site: Site, args: Json) -> Json:
    file = site.files.known(str(args["file"]))
    shown = objects.file(site.workspace, file)
    return {"file": shown, "comments": [], "response_metadata": {"next_cursor": ""}}


def _delete(site: Site, args: Json) -> Json:
    file = site.files.known(str(args["file"]))
    if file.user != site.workspace.app.user_id:
        raise SlackError("cant_delete_file")
    file.deleted, file.content = True, None
    for channel_id in file.channels:
        site.workspace.changed(site.workspace.channels[channel_id])
    return {}


_WRITE = ("files:write",)

METHODS: dict[str, Method] = {
    "files.completeUploadExternal": Method(
        _complete,
        "tier 4",
        ("files",),
        _WRITE,
        errors=(
            "cannot_reply_to_message",
            "channel_not_found",
            "channels_limit_exceeded",
            "file_deleted",
            "file_not_found",
            "file_update_failed",
            "invalid_blocks",
            "invalid_blocks_format",
            "is_archived",
            "messages_tab_disabled",
            "msg_blocks_too_long",
            "not_in_channel",
        ),
    ),
    "files.delete": Method(
        _delete,
        "tier 3",
        ("file",),
        _WRITE,
        errors=("access_denied", "cant_delete_file", "file_deleted", "file_not_found"),
    ),
    "files.getUploadURLExternal": Method(
        _upload_url,
        "tier 4",
        ("filename", "length"),
        _WRITE,
        errors=("alt_txt_too_large", "file_upload_size_restricted", "snippet_too_large"),
        form_only=True,
    ),
    "files.info": Method(
        _info,
        "tier 4",
        ("file",),
        ("files:read",),
        errors=("access_denied", "file_deleted", "file_not_found"),
        form_only=True,
    ),
}
