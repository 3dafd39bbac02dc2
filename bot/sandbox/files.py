"""Files: uploaded in three steps by the app, or chosen by people in a modal; who may see them."""

import email
import secrets
import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.sandbox import limits
from bot.sandbox.blocks import slack_files
from bot.sandbox.errors import SlackError
from bot.sandbox.file import File
from bot.sandbox.workspace import Channel, Workspace

__all__ = ["Files"]

Json = dict[str, Any]


class Files:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._files = workspace.files
        self._tickets: dict[str, File] = {}

    # --- three steps ----------------------------------------------------------------------

    def reserve(self, name: str, length: int, alt: str = "") -> File:
        return self._new(name, length, self._workspace.app.user_id, alt=alt)

    def upload_url(self, file: File) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets[ticket] = file
        return f"{self._workspace.base}/upload/v1/{ticket}"

    async def receive(self, request: Request) -> Response:
        """Take the bytes: as they are, or as the one file of a form. An address works once."""
        content = _uploaded(request.headers.get("content-type", ""), await request.body())
        file = self._tickets.pop(request.path_params["ticket"], None)
        if file is None:
            return PlainTextResponse("no such upload", 404)
        if len(content) != file.size:
            said = f"{len(content)} bytes came, {file.size} were announced"
            return PlainTextResponse(said, 400)
        file.content = content
        return PlainTextResponse(f"OK - {len(content)}")

    def complete(self, file: File, title: str) -> None:
        file.completed, file.title = time.monotonic(), title or file.name

    def share(self, files: Iterable[File], channel: Channel) -> None:
        for file in files:
            file.channels.append(channel.id)

    # --- people's -------------------------------------------------------------------------

    def add(self, name: str, content: bytes, user: str) -> File:
        file = self._new(name, len(content), user)
        file.content, file.completed = content, time.monotonic()
        return file

    # --- finding --------------------------------------------------------------------------

    def own(self, file_id: str) -> File:
        file = self.known(file_id, unfinished=True)
        if file.user != self._workspace.app.user_id:
            raise SlackError("file_not_found")
        return file

    def known(self, file_id: str, *, unfinished: bool = False) -> File:
        file = self._files.get(file_id)
        if file is None or (file.completed is None and not unfinished):
            raise SlackError("file_not_found")
        if file.deleted:
            raise SlackError("file_deleted")
        if not self._seen_by_app(file):
            raise SlackError("access_denied")
        return file

    def find(self, file_id: str) -> File | None:
        return self._files.get(file_id)

    def referred(self, reference: Json) -> File | None:
        """Find what a slack_file names: its id, or the address or permalink that Slack gave."""
        wanted = reference.get("id")
        for file in self._files.values():
            if file.id == wanted or f"-{file.id}/" in reference.get("url", ""):
                return file
            if reference.get("url", "").endswith(f"/{file.id}/{file.name}"):
                return file
        return None

    def faults(self, blocks: list[Json]) -> list[str]:
        """Say which pictures in blocks the app has no ready image for."""
        return [
            f"invalid slack file: {reference.get('id') or reference.get('url')}"
            for reference in slack_files(blocks)
            if not self._is_shown(self.referred(reference))
        ]

    async def serve(self, request: Request) -> Response:
        """Give the bytes to whoever brings the bot's token and the scope; else ask to sign in."""
        file = self._files.get(request.path_params["file"].rpartition("-")[2])
        app = self._workspace.app
        bearer = request.headers.get("authorization", "")
        if bearer != f"Bearer {app.bot_token}" or "files:read" not in app.manifest.scopes:
            return Response("<html>Sign in</html>", 302, {"location": "/"}, "text/html")
        if file is None or file.content is None or not self._seen_by_app(file):
            return PlainTextResponse("no such file", 404)
        return Response(file.content, media_type=file.mimetype or "application/octet-stream")

    def _new(self, name: str, size: int, user: str, alt: str = "") -> File:
        file = File(f"F{secrets.token_hex(5).upper()}", name, name, user, size, alt)
        self._files[file.id] = file
        return file

    def _is_shown(self, file: File | None) -> bool:
        if file is None or file.deleted or not self._seen_by_app(file):
            return False
        return file.mimetype in limits.PICTURES

    def _seen_by_app(self, file: File) -> bool:
        inside = (self._workspace.channels[one] for one in file.channels)
        own = file.user == self._workspace.app.user_id
        return own or file.given or any(map(self._workspace.app_is_in, inside))


def _uploaded(kind: str, body: bytes) -> bytes:
    if not kind.startswith("multipart/form-data"):
        return body
    form = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in form.walk():
        content = part.get_payload(decode=True)
        if part.get_filename() and isinstance(content, bytes):
            return content
    return b""
