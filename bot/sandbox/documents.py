"""The two documents a sandbox is made from: the workspace, and Slack's app manifest."""

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AppManifest",
    "ChannelDocument",
    "HintDocument",
    "Shortcut",
    "TeamDocument",
    "User",
    "UserGroupDocument",
    "WorkspaceDocument",
    "read",
]


class _Ours(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TeamDocument(_Ours):
    id: str = "T0SANDBOX"
    name: str = "Sandbox"
    domain: str = "sandbox"
    plan: Literal["free", "pro"] = "pro"  # user groups are not for nothing


class User(_Ours):
    """A person, as the workspace file describes them; bots too. `name` is the handle."""

    id: str = Field(pattern=r"^[UW][A-Z0-9]+$")
    name: str
    real_name: str
    email: str = ""
    title: str = ""
    tz: str = "Etc/UTC"
    is_bot: bool = False
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_email_confirmed: bool = True
    is_stranger: bool = False  # of another workspace, seen through Slack Connect

    @property
    def may_join(self) -> bool:
        """Tell whether public channels are open: not to guests, nor to people from elsewhere."""
        return not (self.is_restricted or self.is_stranger)


class ChannelDocument(_Ours):
    """`members` are ids, handles or emails; `app` among them means the app itself."""

    id: str = Field(pattern=r"^[CG][A-Z0-9]+$")
    name: str
    members: list[str] = []
    is_private: bool = False
    is_archived: bool = False


class UserGroupDocument(_Ours):
    """`members` are ids, handles or emails."""

    id: str = Field(pattern=r"^S[A-Z0-9]+$")
    name: str
    handle: str
    description: str = ""
    members: list[str] = []
    is_disabled: bool = False


class HintDocument(_Ours):
    """Whom to be first on the page, and what for. `who` is an id, a handle or an email."""

    who: str
    does: str


class WorkspaceDocument(_Ours):
    team: TeamDocument = TeamDocument()
    users: list[User]
    channels: list[ChannelDocument] = []
    usergroups: list[UserGroupDocument] = []
    guide: list[HintDocument] = []


class _Slacks(BaseModel):
    """A part of Slack's own format; what the sandbox does not act on is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Display(_Slacks):
    name: str = Field(max_length=35)
    description: str = Field("", max_length=140)
    long_description: str = Field("", min_length=175, max_length=4000)


class SlashCommand(_Slacks):
    """Only `should_escape: false` is known here; a manifest that wants the other is refused."""

    command: str = Field(pattern=r"^/[^\s]{1,31}$")
    description: str = Field(max_length=2000)
    usage_hint: str = Field("", max_length=1000)
    should_escape: Literal[False] = False


class Shortcut(_Slacks):
    name: str = Field(max_length=24)
    type: Literal["global", "message"]
    callback_id: str = Field(max_length=255)
    description: str = Field(max_length=150)


class _BotUser(_Slacks):
    display_name: str = Field(max_length=80)


class _AppHome(_Slacks):
    home_tab_enabled: bool = False
    messages_tab_enabled: bool = True
    messages_tab_read_only_enabled: bool = False


class _Features(_Slacks):
    bot_user: _BotUser
    app_home: _AppHome = _AppHome()
    slash_commands: list[SlashCommand] = Field([], max_length=50)
    shortcuts: list[Shortcut] = Field([], max_length=10)


class _Scopes(_Slacks):
    bot: list[str] = Field(max_length=255)
    bot_optional: list[str] = Field([], max_length=255)  # whoever installs it here leaves them in


class _OAuth(_Slacks):
    scopes: _Scopes


class _Events(_Slacks):
    bot_events: list[str] = Field([], max_length=100)


class _Interactivity(_Slacks):
    is_enabled: bool = False


class _Settings(_Slacks):
    event_subscriptions: _Events = _Events()
    interactivity: _Interactivity = _Interactivity()
    socket_mode_enabled: bool = False


class AppManifest(_Slacks):
    display_information: _Display
    features: _Features
    oauth_config: _OAuth
    settings: _Settings = _Settings()

    @property
    def scopes(self) -> frozenset[str]:
        scopes = self.oauth_config.scopes
        return frozenset((*scopes.bot, *scopes.bot_optional))

    @property
    def events(self) -> frozenset[str]:
        return frozenset(self.settings.event_subscriptions.bot_events)

    def shortcut(self, type_: str, callback_id: str) -> Shortcut | None:
        for shortcut in self.features.shortcuts:
            if (shortcut.type, shortcut.callback_id) == (type_, callback_id):
                return shortcut
        return None

    def has_command(self, name: str) -> bool:
        return any(command.command == name for command in self.features.slash_commands)


_Document = TypeVar("_Document", bound=BaseModel)


def read(kind: type[_Document], path: Path) -> _Document:
    return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
