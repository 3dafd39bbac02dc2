"""What people do, and what they see: the part that Slack's own client plays.

Acts return plain JSON for the control API. What Slack would show when the app fails is kept as
notices, and as the banner of the view in which it happened.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bot.sandbox import blocks as block_kit
from bot.sandbox import elements, objects, render
from bot.sandbox.api import message_content
from bot.sandbox.delivery import Acknowledgement, Courier
from bot.sandbox.elements import Placed
from bot.sandbox.errors import NotPossible, SlackError
from bot.sandbox.events import Events
from bot.sandbox.files import Files
from bot.sandbox.limits import MIN_QUERY_LENGTH
from bot.sandbox.payloads import Payloads
from bot.sandbox.responses import Responses
from bot.sandbox.views import View, Views
from bot.sandbox.workspace import Channel, ConversationKind, Message, User, Workspace

__all__ = ["People", "Place"]

Json = dict[str, Any]
_Suggested = dict[elements.Key, list[Json]]
_TROUBLE = "We had some trouble connecting. Try again?"
_EXTERNAL = frozenset({"external_select", "multi_external_select"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is used: a view (the top one, if not named), or a message."""

    view_id: str | None = None
    ts: str | None = None
    channel: str | None = None  # of the message; the direct messages with the app, if not named


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Blocks before one person's eyes, and what that person entered there."""

    source: View | Message
    blocks: list[Json]
    state: elements.State
    suggested: _Suggested


class People:
    def __init__(
        self,
        workspace: Workspace,
        views: Views,
        payloads: Payloads,
        courier: Courier,
        *,
        responses: Responses,
        files: Files,
        events: Events,
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._events = events
        self._views = views
        self._payloads = payloads
        self._courier = courier
        self._responses = responses
        self._notices: defaultdict[str, list[str]] = defaultdict(list)
        self._on_messages: dict[tuple[str, str, str], tuple[elements.State, _Suggested]] = {}

    # --- what a person sees ---------------------------------------------------------------

    def views(self, user: User) -> list[Json]:
        return [self._shown_view(view) for view in self._views.stack(user.id)]

    def home(self, user: User) -> Json | None:
        home = self._views.homes.get(user.id)
        return self._shown_view(home) if home else None

    def messages(self, user: User, channel: str | None, thread: str | None = None) -> list[Json]:
        """What stands in a channel, or in one of its threads, oldest first."""
        place = self._channel(user, channel)
        names = self._names()
        return [
            self._shown_message(message, names)
            for message in self._workspace.seen_by(user, place)
            if (thread in {message.ts, message.thread_ts} if thread else _is_in_channel(message))
        ]

    def notices(self, user: User) -> list[str]:
        return self._notices[user.id]

    # --- what a person does ---------------------------------------------------------------

    async def command(self, user: User, command: str, text: str, channel: str | None) -> Json:
        self._need_to_be_here(user)
        if not self._workspace.app.manifest.has_command(command):
            raise NotPossible(f"{command} is not a valid command")
        place = self._channel(user, channel)
        url = self._responses.new(user, place)
        outcome = await self._courier.deliver(
            "slash_commands", self._payloads.command(user, place, command, text, url)
        )
        error, reply = _command_error(outcome), None
        if not error:
            try:
                reply = self._command_reply(user, place, outcome.body)
            except SlackError as refusal:
                error = "invalid_command_response"
                self._courier.refuse(outcome, _why(refusal))
        if error:
            self._notice(user, f'{command} failed with the error "{error}"')
        shown = render.message_text(reply, self._names()) if reply else ""
        blocks = reply.get("blocks", []) if reply else []
        return _answer(outcome, error) | {"text": shown, "blocks": blocks}

    async def click(
        self, user: User, place: Place, target: str, value: str | None, block_id: str | None
    ) -> Json:
        """Use a button, a menu or anything else that tells the app at once."""
        sheet = self._sheet(user, place)
        placed = _clickable(sheet.blocks, target, value, block_id)
        shown_to = placed.element.get("visible_to_user_ids", [user.id])
        if user.id not in shown_to:
            raise NotPossible(f"{placed.key[1]} is not shown to {user.name}")
        return await self._use(user, sheet, placed, value)

    async def enter(
        self, user: User, place: Place, action_id: str, value: object, block_id: str | None
    ) -> Json:
        """Fill in a field or choose from a menu; the app is told if it wants to be."""
        sheet = self._sheet(user, place)
        placed = elements.find(sheet.blocks, action_id, block_id)
        return await self._use(user, sheet, placed, value)

    def hold(
        self, user: User, place: Place, action_id: str, value: object, block_id: str | None
    ) -> None:
        """Keep what a person has typed so far; the app is not told of it yet."""
        sheet = self._sheet(user, place)
        placed = elements.find(sheet.blocks, action_id, block_id)
        sheet.state[placed.key] = self._chosen(sheet, placed, value)
        if isinstance(sheet.source, View):
            sheet.source.errors.pop(placed.block["block_id"], None)
            self._views.changed(sheet.source)

    def entered(self, user: User, message: Message) -> elements.State:
        """What a person has chosen in a message's menus and fields by now."""
        held, _ = self._on_messages.get((user.id, message.channel, message.ts), ({}, {}))
        return elements.initial_state(message.blocks) | held

    async def options(
        self, user: User, place: Place, action_id: str, query: str, block_id: str | None
    ) -> Json:
        """Open a menu and type into it; return what it offers."""
        sheet = self._sheet(user, place)
        placed = elements.find(sheet.blocks, action_id, block_id)
        if placed.element["type"] in _EXTERNAL:
            return await self._suggest(user, sheet, placed, query)
        offered = elements.offered(placed.element, [])
        found = [o for o in offered if query.lower() in o["text"]["text"].lower()]
        return {"ok": True, "error": "", "seconds": None, "options": found}

    async def submit(self, user: User, view_id: str | None) -> Json:
        view = self._modal(user, view_id)
        if not view.body.get("submit"):
            raise NotPossible(f"view {view.id} has no submit button")
        view.banner = ""
        view.errors = {
            placed.block["block_id"]: complaint
            for placed in elements.placed_in(view.blocks)
            if placed.in_input and (complaint := elements.complaint(placed, view.state[placed.key]))
        }
        self._views.changed(view)
        if view.errors:
            return _submission(None, errors=view.errors)
        outcome = await self._courier.deliver(
            "interactive",
            self._payloads.view_submission(user, view, self._response_urls(user, view)),
        )
        if not outcome.acked:
            return self._submission_failed(user, view, outcome)
        try:
            action = self._follow(view, outcome.body)
        except SlackError as refusal:
            self._courier.refuse(outcome, _why(refusal))
            return self._submission_failed(user, view, outcome)
        return _submission(outcome, action=action, errors=view.errors)

    async def close(self, user: User, view_id: str | None, *, everything: bool) -> Json:
        """Press the close button of a view, or the ✕ that closes all that are open."""
        view = self._modal(user, view_id)
        everything = everything or bool(view.body.get("clear_on_close"))
        closed = list(reversed(self._views.stack(user.id))) if everything else [view]
        for one in closed:
            self._views.drop(one)
        outcome = Acknowledgement("acked")
        for one in closed:
            if one.body.get("notify_on_close"):
                payload = self._payloads.view_closed(user, one, cleared=everything)
                outcome = await self._courier.deliver("interactive", payload)
        return _answer(outcome)

    async def open_home(self, user: User, tab: str) -> Json:
        """Open one of the app's own tabs, home or messages."""
        self._need_to_be_here(user)
        app_home = self._workspace.app.manifest.features.app_home
        enabled = {
            "home": app_home.home_tab_enabled,
            "messages": app_home.messages_tab_enabled,
        }
        if not enabled.get(tab):
            raise NotPossible(f"the app has no {tab} tab")
        if not self._events.wants("app_home_opened"):
            return _answer(Acknowledgement("acked"))
        home = self._views.homes.get(user.id) if tab == "home" else None
        event = self._payloads.home_opened(user, self._workspace.dm(user), home, tab)
        return _answer(await self._courier.publish(event))

    async def shortcut(self, user: User, callback_id: str, place: Place) -> Json:
        """Use a shortcut: a message's own if the place names a message, else a global one."""
        self._need_to_be_here(user)
        message = self._message(user, place) if place.ts else None
        if not self._workspace.app.manifest.settings.interactivity.is_enabled:
            raise NotPossible("interactivity is off in the app's manifest")
        kind = "message" if message else "global"
        if self._workspace.app.manifest.shortcut(kind, callback_id) is None:
            raise NotPossible(f"the app's manifest has no {kind} shortcut {callback_id}")
        if message is None:
            payload = self._payloads.shortcut(user, callback_id)
        elif message.only_for:
            raise NotPossible("an ephemeral message has no shortcuts")
        else:
            channel = self._workspace.channels[message.channel]
            url = self._responses.new(user, channel, message)
            payload = self._payloads.message_shortcut(user, callback_id, message, url)
        outcome = await self._courier.deliver("interactive", payload)
        if outcome.acked:
            return _answer(outcome)
        self._notice(user, _TROUBLE)
        return _answer(outcome, _TROUBLE)

    def post(self, user: User, place: Place, text: str, *, broadcast: bool = False) -> Json:
        """Write into a channel, or as a reply if the place names a message."""
        channel = self._writable(user, place.channel)
        parent = self._message(user, place) if place.ts else None
        if parent and (parent.only_for or parent.is_reply):
            raise NotPossible("there is no thread here")
        if not text.strip():
            raise NotPossible("an empty message is not sent")
        message = self._workspace.post(
            channel,
            self._as_sent(text),
            user.id,
            thread_ts=parent.ts if parent else None,
            broadcast=bool(parent) and broadcast,
        )
        self._events.posted(message)
        return self._shown_message(message, self._names())

    def upload(self, user: User, place: Place, chosen: Json) -> Json:
        """Share a file in a channel."""
        channel = self._writable(user, place.channel)
        file = self._files.add(str(chosen["name"]), chosen["content"].encode("latin-1"), user.id)
        self._files.share([file], channel)
        message = self._workspace.post(channel, "", user.id, files=[file.id])
        self._events.posted(message)
        return self._shown_message(message, self._names())

    def react(self, user: User, place: Place, name: str, *, added: bool) -> Json:
        """Put an emoji under a message, or take it away."""
        message = self._message(user, place)
        if message.only_for:
            raise NotPossible("nobody reacts to an ephemeral message")
        change = self._workspace.react if added else self._workspace.unreact
        try:
            change(message, user.id, name.strip(":"))
        except SlackError as refusal:
            raise NotPossible(refusal.code) from None
        self._events.reacted(message, user.id, name.strip(":"), added=added)
        return self._shown_message(message, self._names())

    def join(self, user: User, name: str) -> Json:
        self._need_to_be_here(user)
        channel = self._workspace.find_channel(name)
        if channel.kind is not ConversationKind.PUBLIC or channel.archived or not user.may_join:
            raise NotPossible(f"{user.name} cannot join {channel.name}")
        return self._let_in(channel, user.id)

    def leave(self, user: User, name: str) -> Json:
        return self._take_out(self._channel(user, name), user.id)

    def _take_out(self, channel: Channel, user_id: str) -> Json:
        self._workspace.changed(channel)
        channel.members.discard(user_id)
        self._events.left(user_id, channel)
        return {"channel": channel.id}

    def invite(self, user: User, name: str, whom: str) -> Json:
        """Bring somebody into a channel; `app` is the app itself."""
        self._need_to_be_here(user)
        channel = self._channel(user, name)
        invited = self._whom(whom)
        if (
            channel.kind not in {ConversationKind.PUBLIC, ConversationKind.PRIVATE}
            or channel.archived
        ):
            raise NotPossible(f"nobody is invited to {channel.name}")
        return self._let_in(channel, invited, inviter=user.id)

    def remove(self, user: User, name: str, whom: str) -> Json:
        """Take somebody out of a channel; `app` is the app itself."""
        channel, removed = self._channel(user, name), self._whom(whom)
        if channel.kind not in {ConversationKind.PUBLIC, ConversationKind.PRIVATE}:
            raise NotPossible(f"nobody is removed from {channel.name}")
        return self._take_out(channel, removed)

    def _whom(self, name: str) -> str:
        app = self._workspace.app.user_id
        return app if name == "app" else self._workspace.find_user(name).id

    def _let_in(self, channel: Channel, user_id: str, inviter: str = "") -> Json:
        if user_id not in channel.members:
            channel.members.add(user_id)
            self._workspace.changed(channel)
            self._events.joined(user_id, channel, inviter)
        return {"channel": channel.id}

    async def forge(self, user: User, overrides: Json) -> Json:
        """Send a block_actions that no button made; `overrides` are laid over its payload."""
        payload = _laid_over(self._payloads.bare_action(user), overrides)
        for action in payload["actions"]:
            action.setdefault("type", "button")
            action.setdefault("block_id", "forged")
            action.setdefault("action_ts", self._workspace.next_ts())
        return _answer(await self._courier.deliver("interactive", payload))

    def put(self, changes: Json) -> None:
        """Let a person come, or change: `id` says who, the rest is as in the workspace file."""
        known = self._workspace.users.get(changes["id"])
        person = User.model_validate((known.model_dump() if known else {}) | changes)
        self._workspace.put_user(person)
        self._events.person(person, "user_change" if known else "team_join")

    # --- elements -------------------------------------------------------------------------

    async def _use(self, user: User, sheet: _Sheet, placed: Placed, value: object) -> Json:
        if isinstance(sheet.source, View):
            sheet.source.banner = ""
        kind = placed.element["type"]
        entry = None
        if kind in elements.HELD:
            if kind in _EXTERNAL:
                await self._search(user, sheet, placed, value)
            entry = self._chosen(sheet, placed, value)
            sheet.state[placed.key] = entry
            if isinstance(sheet.source, View):
                sheet.source.errors.pop(placed.block["block_id"], None)
                self._views.changed(sheet.source)
            if not placed.dispatches:
                return _answer(Acknowledgement("acked"))
        option = None if value is None else str(value)
        action = elements.action_of(placed, entry, option, self._workspace.next_ts())
        outcome = await self._courier.deliver("interactive", self._action(user, sheet, action))
        if outcome.acked:
            return _answer(outcome)
        self._fail(user, sheet.source)
        return _answer(outcome, _TROUBLE)

    def _action(self, user: User, sheet: _Sheet, action: Json) -> Json:
        source = sheet.source
        if isinstance(source, View):
            return self._payloads.view_action(user, source, action)
        url = self._responses.new(user, self._workspace.channels[source.channel], source)
        return self._payloads.message_action(user, source, action, sheet.state, url)

    def _chosen(self, sheet: _Sheet, placed: Placed, value: object) -> Json:
        return elements.chosen(
            placed,
            value,
            suggested=sheet.suggested.get(placed.key, []),
            person=lambda who: self._workspace.find_user(who).id,
            channel=lambda name: self._workspace.find_channel(name).id,
            file=lambda chosen: self._file(sheet, chosen),
        )

    def _file(self, sheet: _Sheet, chosen: Json) -> Json:
        """Upload what a person chose in a view; the app may see it from then on."""
        content = chosen["content"].encode("latin-1")
        file = self._files.add(str(chosen["name"]), content, sheet.source.user)
        file.given = True
        return objects.file(self._workspace, file)

    def _response_urls(self, user: User, view: View) -> list[Json]:
        """Make the addresses that menus of conversations ask for with response_url_enabled."""
        urls = []
        for placed in elements.placed_in(view.blocks):
            chosen = view.state.get(placed.key, {})
            channel_id = chosen.get("selected_conversation") or chosen.get("selected_channel")
            if placed.element.get("response_url_enabled") and channel_id:
                block_id, action_id = placed.key
                url = self._responses.new(user, self._workspace.channels[channel_id])
                urls.append(
                    {
                        "block_id": block_id,
                        "action_id": action_id,
                        "channel_id": channel_id,
                        "response_url": url,
                    }
                )
        return urls

    async def _search(self, user: User, sheet: _Sheet, placed: Placed, value: object) -> None:
        """Look for what is to be chosen as a person would: in what is offered, then by typing."""
        wanted = value if isinstance(value, list) else [value]
        for one in [str(item) for item in wanted if item]:
            for query in ("", one):
                offered = elements.offered(placed.element, sheet.suggested.get(placed.key, []))
                if elements.pick(offered, one):
                    break
                if len(query) >= placed.element.get("min_query_length", MIN_QUERY_LENGTH):
                    before = sheet.suggested.get(placed.key, [])
                    await self._suggest(user, sheet, placed, query)
                    sheet.suggested[placed.key] = [*sheet.suggested.get(placed.key, []), *before]

    async def _suggest(self, user: User, sheet: _Sheet, placed: Placed, query: str) -> Json:
        least = placed.element.get("min_query_length", MIN_QUERY_LENGTH)
        if len(query) < least:
            raise NotPossible(f"{placed.key[1]} asks the app only from {least} characters on")
        payload = self._payloads.suggestion(user, sheet.source, placed, query)
        outcome = await self._courier.deliver("interactive", payload)
        faults = block_kit.judge_options(outcome.body) if outcome.acked else []
        if faults or not outcome.acked:
            self._fail(user, sheet.source)
            error = "; ".join(faults) or outcome.reason
            if faults:
                self._courier.refuse(outcome, error)
            return _answer(outcome, error) | {"options": []}
        body = outcome.body if isinstance(outcome.body, dict) else {}
        found = elements.offered(body, [])
        sheet.suggested[placed.key] = found
        return _answer(outcome) | {"options": found, "groups": _groups(body)}

    # --- the app's answers ----------------------------------------------------------------

    def _command_reply(self, user: User, channel: Channel, body: object) -> Json | None:
        said = {"text": body} if isinstance(body, str) else body
        if said in (None, {}, {"text": ""}):
            return None
        if not isinstance(said, dict):
            raise SlackError("invalid_command_response")
        only_for = None if said.get("response_type") == "in_channel" else user.id
        content = message_content(said, self._files)
        message = self._workspace.post(channel, **content, only_for=only_for)
        self._events.posted(message)
        return objects.message(self._workspace, message, as_written=True)

    def _follow(self, view: View, body: object) -> str:
        """Do what the app's answer to a submission says; return its name."""
        if body in (None, "", {}):
            self._views.drop(view)
            return "close"
        if not isinstance(body, dict):
            raise SlackError("invalid_response")
        action = body.get("response_action")
        if action == "errors":
            view.errors = _field_errors(view, body.get("errors"))
            self._views.changed(view)
        elif action == "clear":
            self._views.clear(view)
        elif action == "update":
            self._views.replace_by_answer(view, body.get("view"))
        elif action == "push":
            self._views.push_by_answer(view, body.get("view"))
        else:
            raise SlackError("invalid_response")
        return str(action)

    def _submission_failed(self, user: User, view: View, outcome: Acknowledgement) -> Json:
        self._fail(user, view)
        return _submission(outcome, failed=_TROUBLE)

    def _fail(self, user: User, source: View | Message) -> None:
        if isinstance(source, View):
            source.banner = _TROUBLE
        self._notice(user, _TROUBLE)

    def _notice(self, user: User, sentence: str) -> None:
        self._notices[user.id].append(sentence)
        self._workspace.changed(self._workspace.dm(user))

    # --- finding things -------------------------------------------------------------------

    def _need_to_be_here(self, user: User) -> None:
        if user.deleted or user.is_bot:
            raise NotPossible(f"{user.name} cannot use Slack")

    def _sheet(self, user: User, place: Place) -> _Sheet:
        self._need_to_be_here(user)
        if not self._workspace.app.manifest.settings.interactivity.is_enabled:
            raise NotPossible("interactivity is off in the app's manifest")
        if place.ts is None:
            view = self._views.of(user.id, place.view_id)
            return _Sheet(view, view.blocks, view.state, view.suggested)
        message = self._message(user, place)
        key = (user.id, message.channel, message.ts)
        entered, suggested = self._on_messages.setdefault(key, ({}, {}))
        for name, entry in elements.initial_state(message.blocks).items():
            entered.setdefault(name, entry)
        return _Sheet(message, message.blocks, entered, suggested)

    def _message(self, user: User, place: Place) -> Message:
        self._need_to_be_here(user)
        channel = self._channel(user, place.channel)
        for message in self._workspace.seen_by(user, channel):
            if message.ts == place.ts:
                return message
        raise NotPossible(f"there is no message {place.ts} to be seen in {channel.id}")

    def _modal(self, user: User, view_id: str | None) -> View:
        self._need_to_be_here(user)
        view = self._views.of(user.id, view_id)
        if view.kind != "modal":
            raise NotPossible("the Home tab is neither sent nor closed")
        return view

    def _channel(self, user: User, name: str | None) -> Channel:
        dm = self._workspace.dm(user)
        channel = dm if name in {None, dm.id} else self._workspace.find_channel(str(name))
        if user.id not in channel.members:
            raise NotPossible(f"{user.name} is not in {channel.name}")
        return channel

    def _writable(self, user: User, name: str | None) -> Channel:
        self._need_to_be_here(user)
        channel = self._channel(user, name)
        app_home = self._workspace.app.manifest.features.app_home
        if channel.archived:
            raise NotPossible(f"{channel.name} is archived")
        if channel.kind is ConversationKind.DM and (
            app_home.messages_tab_read_only_enabled or not app_home.messages_tab_enabled
        ):
            raise NotPossible("nobody can write to this app")
        return channel

    def _names(self) -> dict[str, str]:
        people = {user.id: user.real_name for user in self._workspace.users.values()}
        channels = {c.id: c.name for c in self._workspace.channels.values()}
        return people | channels | {g.id: g.handle for g in self._workspace.usergroups.values()}

    def _as_sent(self, text: str) -> str:
        """What Slack's client makes of what was typed: mentions, and & < > escaped."""
        handles = {user.name: user.id for user in self._workspace.users.values()}
        channels = {channel.name: channel.id for channel in self._workspace.channels.values()}

        def mention(found: re.Match[str]) -> str:
            known = handles if found[1] == "@" else channels
            return f"<{found[1]}{known[found[2]]}>" if found[2] in known else found[0]

        return re.sub(r"(?<!\S)([@#])([\w-]+)", mention, objects.escaped(text, plain=True))

    def _shown_message(self, message: Message, names: dict[str, str]) -> Json:
        raw = objects.message(self._workspace, message, metadata=True, as_written=True)
        raw |= {"channel": message.channel, "is_ephemeral": message.only_for is not None}
        return {"raw": raw, "text": render.message_text(raw, names)}

    def _shown_view(self, view: View) -> Json:
        raw = self._views.as_json(view)
        return {
            "raw": raw,
            "text": render.view_text(raw, self._names()),
            "errors": view.errors,
            "banner": view.banner,
        }


def _answer(outcome: Acknowledgement, error: str = "") -> Json:
    """Tell how an act went. `seconds` is None if the app was not asked, or never answered."""
    error = error or ("" if outcome.acked else outcome.reason)
    return {"ok": not error, "error": error, "seconds": outcome.seconds}


def _submission(
    outcome: Acknowledgement | None,
    *,
    action: str = "",
    errors: dict[str, str] | None = None,
    failed: str = "",
) -> Json:
    seconds = outcome.seconds if outcome else None
    return {"action": action, "errors": errors or {}, "failed": failed, "seconds": seconds}


def _why(refusal: SlackError) -> str:
    return ": ".join([refusal.code, *(m.removeprefix("[ERROR] ") for m in refusal.messages)])


def _groups(body: Json) -> list[str]:
    """Name the group that each option of an answer is in, in the order of `elements.offered`."""
    grouped = [(g["label"]["text"], len(g["options"])) for g in body.get("option_groups", [])]
    names = [name for name, count in grouped for _ in range(count)]
    return [""] * len(body.get("options", [])) + names


def _command_error(outcome: Acknowledgement) -> str:
    if outcome.acked:
        return ""
    if outcome.reason == "timeout":
        return "operation_timeout"
    return "http_service_error" if outcome.reason.startswith("http_") else "dispatch_failed"


def _field_errors(view: View, errors: object) -> dict[str, str]:
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not inputs.issuperset(errors):
        raise SlackError("invalid_response")
    if not all(isinstance(text, str) and text for text in errors.values()):
        raise SlackError("invalid_response")
    return errors


def _clickable(blocks: list[Json], target: str, value: str | None, block_id: str | None) -> Placed:
    """Find what is meant: by action_id or by its text, among several by a button's value."""
    there = [p for p in elements.placed_in(blocks) if p.dispatches]
    named = [
        p
        for p in there
        if target in {p.key[1], p.element.get("text", {}).get("text")}
        and block_id in {None, p.key[0]}
    ]
    exact = [
        p
        for p in named
        if p.element["type"] not in {"button", "icon_button"} or p.element.get("value") == value
    ]
    found = exact if value is not None else named
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{p.key[1]}={p.element.get('value')}" for p in there) or "nothing"
    trouble = "more than one" if found else "no"
    raise NotPossible(f"{trouble} element {target!r} to click here; there is: {listed}")


def _is_in_channel(message: Message) -> bool:
    return message.broadcast or not message.is_reply


def _laid_over(base: Json, over: Json) -> Json:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _laid_over(out[key], value) if both else value
    return out
