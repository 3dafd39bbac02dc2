"""Views: the stack of modals that each person has open, their Home tab, and the triggers that
let an app open one. Also what a person has typed into them so far, as Slack's client holds it.
"""

import hashlib
import itertools
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox import blocks, elements, limits
from bot.sandbox.changes import Changes
from bot.sandbox.errors import NotPossible, SlackError
from bot.sandbox.files import Files
from bot.sandbox.workspace import App

__all__ = ["Trigger", "View", "Views"]

Json = dict[str, Any]
_TITLE_KEYS = ("title", "submit", "close")
_TRIGGERS_KEPT = 10_000


@dataclass(slots=True)
class Trigger:
    user: str
    born: float
    view: str | None  # the view that was on top when it arose, if it arose in one
    used: bool = False


@dataclass(slots=True)
class View:
    id: str
    user: str
    body: Json
    blocks: list[Json]
    root: str
    previous: str | None
    hash: str
    state: elements.State
    errors: dict[str, str] = field(default_factory=dict)  # by block_id, as the person sees them
    banner: str = ""
    suggested: dict[elements.Key, list[Json]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return str(self.body["type"])

    @property
    def external_id(self) -> str:
        return str(self.body.get("external_id", ""))


class Views:
    def __init__(
        self, app: App, team_id: str, changes: Changes, files: Files, trigger_lasts: float
    ) -> None:
        self._app = app
        self._files = files
        self._changes = changes
        self._team_id = team_id
        self._trigger_lasts = trigger_lasts
        self.stacks: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}
        self._triggers: dict[str, Trigger] = {}
        # Ids are told apart over restarts too: an app may remember those that it has answered.
        self._numbers = itertools.count(time.time_ns() // 1_000_000)

    # --- triggers -------------------------------------------------------------------------

    def new_trigger(self, user_id: str, view: str | None = None) -> str:
        number = next(self._numbers)
        name = f"{number}.{time.time_ns()}.{secrets.token_hex(16)}"
        self._triggers[name] = Trigger(user_id, time.monotonic(), view)
        if len(self._triggers) > _TRIGGERS_KEPT:
            del self._triggers[next(iter(self._triggers))]
        return name

    def trigger(self, name: object) -> Trigger:
        """Look at a trigger that is still good; whoever succeeds marks it used."""
        trigger = self._triggers.get(name) if isinstance(name, str) else None
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if time.monotonic() - trigger.born > self._trigger_lasts:
            raise SlackError("expired_trigger_id")
        return trigger

    def whose(self, trigger: object, view: object) -> str:
        """Return the person of a trigger, used or not, or of a view; empty: there is none."""
        if arose := self._triggers.get(str(trigger)):
            return arose.user
        return next((one.user for one in self._all() if one.id == view), "")

    # --- what an app may do ---------------------------------------------------------------

    def open(self, trigger: Trigger, view: object) -> View:
        """Open a modal. One that this person already has open gives way to it."""
        body = self._judged(view, "modal")
        trigger.used = True
        opened = self._new(trigger.user, body, previous=None)
        self.stacks[trigger.user] = [opened]
        self.changed(opened)
        return opened

    def push(self, trigger: Trigger, view: object) -> View:
        """Push a modal onto the stack in which the trigger arose."""
        body = self._judged(view, "modal")
        stack = self.stack(trigger.user)
        if not any(one.id == trigger.view for one in stack):
            raise SlackError("not_found")
        pushed = self._push(stack, body)
        trigger.used = True
        return pushed

    def update(self, view: object, *, view_id: str, external_id: str, expected_hash: str) -> View:
        found = self._find(view_id, external_id)
        body = self._judged(view, "modal", found)
        if found is None:
            raise SlackError("not_found")
        if expected_hash and expected_hash != found.hash:
            raise SlackError("hash_conflict")
        return self._replace(found, body)

    def publish(self, user_id: str, view: object, expected_hash: str) -> View:
        home = self.homes.get(user_id)
        body = self._judged(view, "home", home)
        if expected_hash and (home is None or expected_hash != home.hash):
            raise SlackError("hash_conflict")
        if home is not None:
            return self._replace(home, body)
        home = self.homes[user_id] = self._new(user_id, body, previous=None)
        self.changed(home)
        return home

    # --- what an app's answer to a submission does ----------------------------------------

    def replace_by_answer(self, view: View, body: object) -> None:
        self._need_open(view)
        self._replace(view, self._judged(body, "modal", view))

    def push_by_answer(self, view: View, body: object) -> None:
        self._need_open(view)
        self._push(self.stack(view.user), self._judged(body, "modal"))

    # --- what a person sees ---------------------------------------------------------------

    def stack(self, user_id: str) -> list[View]:
        return self.stacks.get(user_id, [])

    def of(self, user_id: str, view_id: str | None) -> View:
        """What the person can act on: the modal on top, or the Home tab if it is named."""
        home = self.homes.get(user_id)
        if home and home.id == view_id:
            return home
        stack = self.stack(user_id)
        if not stack:
            raise NotPossible("no view is open")
        if view_id not in {None, stack[-1].id}:
            raise NotPossible(f"view {view_id} is not on top")
        return stack[-1]

    def drop(self, view: View) -> None:
        self.stacks[view.user] = [v for v in self.stack(view.user) if v is not view]
        self.changed(view)

    def clear(self, view: View) -> None:
        """Close the whole stack that the view is in."""
        self.stacks[view.user] = []
        self.changed(view)

    def changed(self, view: View) -> None:
        self._changes.touch(view.user)

    def as_json(self, view: View) -> Json:
        """The view as payloads and answers carry it."""
        modal = view.kind == "modal"
        return {
            "id": view.id,
            "team_id": self._team_id,
            "type": view.kind,
            "blocks": view.blocks,
            "private_metadata": view.body.get("private_metadata", ""),
            "callback_id": view.body.get("callback_id", ""),
            "state": {"values": elements.state_values(view.state)},
            "hash": view.hash,
            "title": view.body.get("title", {"type": "plain_text", "text": "View Title"}),
            "clear_on_close": view.body.get("clear_on_close", False),
            "notify_on_close": view.body.get("notify_on_close", False),
            "close": view.body.get("close"),
            "submit": view.body.get("submit") if modal else None,
            "previous_view_id": view.previous,
            "root_view_id": view.root,
            "app_id": self._app.id,
            "external_id": view.external_id,
            "app_installed_team_id": self._team_id,
            "bot_id": self._app.bot_id,
        }

    # --- rules ----------------------------------------------------------------------------

    def _need_open(self, view: View) -> None:
        """The person may have closed the view while the app was answering."""
        if not any(one is view for one in self.stack(view.user)):
            raise SlackError("not_found")

    def _judged(self, body: object, kind: str, own: View | None = None) -> Json:
        """Return the view if Slack takes it; `own` is the one that it is to replace."""
        if isinstance(body, dict) and blocks.view_is_too_large(body):
            raise SlackError("view_too_large")
        faults = blocks.judge_view(body, kind) or self._missing(body)
        if faults or not isinstance(body, dict):
            raise SlackError("invalid_arguments", [f"[ERROR] {fault}" for fault in faults])
        wanted = body.get("external_id")
        if wanted and any(v.external_id == wanted and v is not own for v in self._all()):
            raise SlackError("duplicate_external_id")
        return body

    def _missing(self, body: object) -> list[str]:
        """Find what a well-formed view needs and the app has not: files, or a scope for them."""
        shown: list[Json] = body["blocks"] if isinstance(body, dict) else []
        asks = any(p.element["type"] == "file_input" for p in elements.placed_in(shown))
        if asks and "files:read" not in self._app.manifest.scopes:
            return ["file_input needs the scope files:read"]
        return self._files.faults(shown)

    def _find(self, view_id: str, external_id: str) -> View | None:
        for view in self._all():
            if view.kind == "modal" and (
                view.id == view_id or (external_id and view.external_id == external_id)
            ):
                return view
        return None

    def _all(self) -> list[View]:
        return [*itertools.chain.from_iterable(self.stacks.values()), *self.homes.values()]

    def _new(self, user_id: str, body: Json, previous: View | None) -> View:
        view_id = f"V0SANDBOX{next(self._numbers):04d}"
        shown = blocks.completed(body["blocks"])
        return View(
            id=view_id,
            user=user_id,
            body=_head(body),
            blocks=shown,
            root=previous.root if previous else view_id,
            previous=previous.id if previous else None,
            hash=_new_hash(body),
            state=elements.initial_state(shown),
        )

    def _push(self, stack: list[View], body: Json) -> View:
        if len(stack) >= limits.VIEW_STACK:
            raise SlackError("push_limit_reached")
        pushed = self._new(stack[-1].user, body, previous=stack[-1])
        stack.append(pushed)
        self.changed(pushed)
        return pushed

    def _replace(self, view: View, body: Json) -> View:
        """Show other content. What was entered stays where block_id and action_id stay."""
        shown = blocks.completed(body["blocks"])
        kept = dict(view.state)
        view.state.clear()
        for key, entry in elements.initial_state(shown).items():
            same = kept.get(key, {}).get("type") == entry["type"]
            view.state[key] = kept[key] if same else entry
        view.suggested.clear()
        view.body, view.blocks, view.hash = _head(body), shown, _new_hash(body)
        view.errors, view.banner = {}, ""
        self.changed(view)
        return view


def _head(body: Json) -> Json:
    head = {key: value for key, value in body.items() if key != "blocks"}
    for key in _TITLE_KEYS:
        if key in head:
            head[key] = {"emoji": True, **head[key]}
    return head


def _new_hash(body: Json) -> str:
    digest = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=4).hexdigest()
    return f"{time.time_ns() // 1_000_000_000}.{digest}{secrets.token_hex(2)}"
