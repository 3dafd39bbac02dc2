"""Drives a sandbox: acts as its people, sees what they see, and makes it misbehave.

    with Sandbox.start(manifest=..., workspace=...) as sandbox:
        anna = sandbox.person("anna@acme.example")
        anna.command("/access", "request")
        view = anna.wait_view("Request access")
        view.set("reason", "incident 7")
        view.submit()
        anna.wait_message("waits for approval")

Synchronous, and safe to use from several threads. `NotPossible` is raised for what Slack's own
client would not let a person do, `TimeoutError` by everything called wait_*.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import httpx

from bot.sandbox.blocks import elements_of, every_block
from bot.sandbox.errors import NotPossible
from bot.sandbox.faults import FaultKind

__all__ = ["Answer", "Message", "NotPossible", "Person", "Sandbox", "Submission", "View"]

Json = dict[str, Any]
_Found = TypeVar("_Found")
_STOP_SECONDS = 5.0
# An act lasts as long as Slack waits for the app, 3 s, several times at worst; where an app has
# several times as long, so has an act.
_ACT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How an act went. `error` is what Slack says when the app fails.

    That is a code such as operation_timeout after a command, and a sentence after a click. What
    went wrong in detail is in the journal.

    `seconds` is from sending until the acknowledgement, measured in the sandbox; None when the app
    was not asked, or never answered. `text` and `blocks` are a command's reply.
    """

    ok: bool
    error: str
    seconds: float | None
    text: str = ""
    blocks: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Submission:
    """`errors` are sentences by block_id, the app's or those of Slack's own client.

    `action` is the app's: close (an empty answer), clear, update, push or errors; empty when the
    view was not sent. `failed` is Slack's banner when the app did not answer as it should.
    """

    action: str
    errors: dict[str, str]
    failed: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Wire:
    """The control API from one of its paths on; `factor`: of every wait, on a busy machine."""

    http: httpx.Client
    base: str
    factor: float = 1.0

    def at(self, path: str) -> "_Wire":
        return replace(self, base=f"{self.base}{path}")

    def read(self, path: str, **params: Any) -> Any:  # noqa: ANN401
        return self._ask(path, params)["value"]

    def do(self, path: str, /, **said: Any) -> Json:  # noqa: ANN401
        value: Json = _accepted(self.http.post(f"{self.base}{path}", json=said))["value"]
        return value

    def wait(
        self,
        path: str,
        find: Callable[[Any], _Found | None],
        timeout: float,
        complaint: str,
        **params: Any,  # noqa: ANN401
    ) -> _Found:
        """Read again after every change until `find` finds something."""
        deadline, since = time.monotonic() + timeout * self.factor, -1
        while True:
            left = max(0.0, deadline - time.monotonic())
            wait = min(left, _ACT_SECONDS / 2)
            got = self._ask(path, params | {"since": since, "wait": wait})
            if (found := find(got["value"])) is not None:
                return found
            if left == 0:
                seen = json.dumps(got["value"], ensure_ascii=False)[:2000]
                raise TimeoutError(f"{complaint} within {timeout} s; seen: {seen}")
            since = got["changes"]

    def _ask(self, path: str, params: Json) -> Json:
        known = {key: value for key, value in params.items() if value is not None}
        return _accepted(self.http.get(f"{self.base}{path}", params=known))


class Sandbox:
    """A running sandbox; one that `start` began ends with `stop`, or with the `with` block."""

    def __init__(self, url: str, process: subprocess.Popen[str] | None = None) -> None:
        self._process = process
        http = httpx.Client(
            base_url=url,
            timeout=_ACT_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )
        wire = _Wire(http, "/sandbox")
        identity = wire.read("/")
        self.url: str = identity["url"]
        self.api_url = f"{self.url}/api/"
        self.bot_token: str = identity["bot_token"]
        self.app_token: str = identity["app_token"]
        self.signing_secret: str = identity["signing_secret"]
        self.pid: int = identity["pid"]
        self.rate_factor: float = identity.get("rate_factor", 1.0)
        factor = identity.get("patience_factor", 1.0)
        self._wire = replace(wire, factor=factor)
        http.timeout = _ACT_SECONDS * factor

    @classmethod
    def start(
        cls,
        *,
        manifest: Path,
        workspace: Path,
        clock: Path | None = None,
        rate_factor: float = 1.0,
        patience_factor: float | None = None,
        port: int = 0,
        events_url: str | None = None,
        state: Path | None = None,
    ) -> Self:
        command = [
            *(sys.executable, "-m", "bot.sandbox"),
            *("--manifest", str(manifest.absolute())),
            *("--workspace", str(workspace.absolute())),
            *("--port", str(port)),
            *("--rate-factor", str(rate_factor)),
            *(("--patience-factor", str(patience_factor)) if patience_factor else ()),
            *(("--clock", str(clock.absolute())) if clock else ()),
            *(("--events-url", events_url) if events_url else ()),
            *(("--state", str(state.absolute())) if state else ()),
        ]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True
        )
        said = process.stdout.readline() if process.stdout else ""
        if not said:
            _end(process)
            raise RuntimeError(f"the sandbox did not start: exit status {process.returncode}")
        return cls(json.loads(said)["url"], process)

    @classmethod
    def connect(cls, url: str) -> Self:
        """Talk to a sandbox that somebody else started; `stop` leaves it running."""
        return cls(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._wire.http.close()
        if self._process:
            _end(self._process)

    @property
    def running(self) -> bool:
        """Whether the process that `start` began still runs."""
        return self._process is not None and self._process.poll() is None

    def env(self) -> dict[str, str]:
        """The settings that point a bot here."""
        return {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_SIGNING_SECRET": self.signing_secret,
        }

    def person(self, who: str) -> "Person":
        """Find a person by id, email or handle."""
        found = self._wire.read(f"/people/{who}")
        wire = self._wire.at(f"/people/{found['id']}")
        return Person(found["id"], found["name"], found["real_name"], found["email"], wire)

    def add_person(self, id: str, **about: Any) -> "Person":  # noqa: A002, ANN401
        """Let somebody come to the workspace, described as in the workspace file."""
        self._wire.do("/person", id=id, **about)
        return self.person(id)

    def change_person(self, who: str, **changes: Any) -> None:  # noqa: ANN401
        """Change what Slack knows of a person: `deleted=True` deactivates them."""
        self._wire.do("/person", id=self.person(who).id, **changes)

    # --- the product's clock --------------------------------------------------------------

    def advance(self, seconds: float) -> float:
        """Move the clock on, never back; return how far it is ahead of real time by now."""
        return float(self._wire.do("/advance", seconds=seconds)["clock"])

    def advance_to(self, moment: float) -> float:
        """Move the clock on to a moment, in seconds since 1970; return how far ahead it is."""
        return float(self._wire.do("/advance-to", moment=moment)["clock"])

    def reset_clock(self) -> None:
        self._wire.do("/reset-clock")

    # --- misbehaviour ---------------------------------------------------------------------

    def fault(
        self,
        method: str,
        kind: FaultKind,
        *,
        times: int | None = 1,
        skip: int = 0,
        **args: float | str,
    ) -> None:
        """Spoil the next `times` calls (None: all) of a method (`*`: any), after `skip` good ones.

        `args` by kind: rate_limited retry_after; error status; slack_error code; slow seconds;
        kill_before and kill_after pid; odd status, body (each character a byte), headers (one a
        line) and done.
        """
        rule = {"method": method, "kind": kind, "times": times, "skip": skip, **args}
        self._wire.do("/fault", **rule)

    def clear_faults(self) -> None:
        """Behave again: no faults of calls, no duplicates, no lag, PostgreSQL is up. Deaf links
        stay deaf.
        """
        self._wire.do("/clear-faults")

    def give_up_events(self) -> None:
        """Deliver no event again that nobody has acknowledged yet."""
        self._wire.do("/give-up-events")

    def duplicate(self, times: int = 1) -> None:
        """Deliver each of the next envelopes twice, with an envelope id of its own each time."""
        self._wire.do("/duplicate", times=times)

    def disconnect(self, reason: str = "warning", *, close_old: bool = True) -> None:
        """Tell all links to go, as Slack does every few hours; close them, or leave them open."""
        self._wire.do("/disconnect", reason=reason, close_old=close_old)

    def deafen(self, link: int | None = None) -> None:
        """Let one link, or all, stay open with nothing passing: no envelope, ack, ping or pong."""
        self._wire.do("/deafen", link=link)

    def take_down(self) -> None:
        """Stop the protected PostgreSQL, where `latchkey sandbox` runs one; return when it is."""
        self._wire.do("/take-down")

    def bring_up(self) -> None:
        """Start it again, with all that it had; return when one can log in."""
        self._wire.do("/bring-up")

    def lag_history(self, seconds: float) -> None:
        """Let conversations.history not show what is younger than this."""
        self._wire.do("/lag-history", seconds=seconds)

    # --- what happened --------------------------------------------------------------------

    def journal(self, since: int = 0) -> list[Json]:
        """Read every call and delivery whose number `n` is above `since`, in order of beginning.

        `kind` is call or delivery; `seconds` is None while there is no answer.
        """
        return list(self._wire.read("/journal", n=since))

    def mark(self) -> int:
        """The number of the newest entry: `journal(since=mark)` then reads what came after."""
        return int(self._wire.read("/")["journal"])

    def wait_journal(
        self, where: Callable[[Json], bool], *, since: int = 0, timeout: float = 30.0
    ) -> Json:
        def find(entries: list[Json]) -> Json | None:
            return next((entry for entry in entries if where(entry)), None)

        return self._wire.wait("/journal", find, timeout, "no such entry", n=since)

    def links(self) -> int:
        """Count the live Socket Mode links: neither deaf nor told to leave."""
        return int(self._wire.read("/")["links"])

    def wait_links(self, n: int, timeout: float = 30.0) -> None:
        """Wait until there are at least `n` live links; 0: none at all."""

        def find(status: Json) -> bool | None:
            enough = status["links"] >= n if n else not status["links"]
            return enough or None

        self._wire.wait("/", find, timeout, f"there were never {n} links")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in the workspace. Messages are those with the app, if no channel is named."""

    id: str
    name: str
    real_name: str
    email: str
    _wire: _Wire = field(repr=False, compare=False)

    def command(self, command: str, text: str = "", *, channel: str | None = None) -> Answer:
        return Answer(**self._wire.do("/command", command=command, text=text, channel=channel))

    def click(self, target: str, *, channel: str, ts: str) -> Answer:
        """Use an element of the message there by its action_id or text, without a look at it."""
        where = {"channel": channel, "ts": ts, "block_id": None}
        return Answer(**self._wire.do("/click", target=target, value=None, **where))

    def views(self) -> list[Json]:
        """The open modals as Slack's view objects, the top one last."""
        return [view["raw"] for view in self._wire.read("/views")]

    def view(self) -> "View":
        """Look at the modal on top."""
        open_views = self._wire.read("/views")
        if not open_views:
            raise NotPossible(f"{self.name} has no view open")
        return View(self, self._wire, open_views[-1])

    def wait_view(
        self,
        title: str | None = None,
        *,
        where: Callable[[Json], bool] | None = None,
        timeout: float = 30.0,
    ) -> "View":
        """Wait until the modal on top has this title, and `where` holds for its view object."""

        def find(open_views: list[Json]) -> View | None:
            for shown in open_views[-1:]:
                raw = shown["raw"]
                if title in {None, raw["title"]["text"]} and (where is None or where(raw)):
                    return View(self, self._wire, shown)
            return None

        return self._wire.wait("/views", find, timeout, f"{self.name} saw no view {title or ''}")

    def messages(self, channel: str | None = None) -> list["Message"]:
        """What stands there now, oldest first, ephemeral messages to this person included.

        Replies stand in their threads, see `Message.replies`.
        """
        return [
            Message(self, self._wire, shown)
            for shown in self._wire.read("/messages", channel=channel)
        ]

    def wait_message(
        self,
        contains: str,
        *,
        timeout: float = 30.0,
        where: Callable[[Json], bool] | None = None,
        channel: str | None = None,
    ) -> "Message":
        """Wait for a message with this text, the newest one if there are several."""

        def find(shown: list[Json]) -> Message | None:
            for one in reversed(shown):
                if contains in one["text"] and (where is None or where(one["raw"])):
                    return Message(self, self._wire, one)
            return None

        complaint = f"{self.name} saw no message with {contains!r}"
        return self._wire.wait("/messages", find, timeout, complaint, channel=channel)

    def post(
        self, text: str, *, channel: str | None = None, thread_ts: str | None = None
    ) -> "Message":
        """Write a message; @handle and #channel become mentions."""
        said = self._wire.do("/post", text=text, channel=channel, ts=thread_ts)
        return Message(self, self._wire, said)

    def upload(self, name: str, content: bytes, *, channel: str | None = None) -> "Message":
        """Share a file."""
        chosen = {"name": name, "content": content.decode("latin-1")}
        said = self._wire.do("/upload", channel=channel, file=chosen)
        return Message(self, self._wire, said)

    def shortcut(self, callback_id: str) -> Answer:
        """Use one of the app's global shortcuts."""
        return Answer(**self._wire.do("/shortcut", callback_id=callback_id))

    def message_shortcut(self, callback_id: str, message: "Message") -> Answer:
        """Use one of the app's shortcuts on a message."""
        where = {"ts": message.ts, "channel": message.raw["channel"]}
        return Answer(**self._wire.do("/shortcut", callback_id=callback_id, **where))

    def join(self, channel: str) -> None:
        self._wire.do("/join", channel=channel)

    def leave(self, channel: str) -> None:
        self._wire.do("/leave", channel=channel)

    def invite(self, whom: str, channel: str) -> None:
        """Bring somebody into a channel that this person is in; `app` is the app itself."""
        self._wire.do("/invite", whom=whom, channel=channel)

    def remove(self, whom: str, channel: str) -> None:
        """Take somebody out of a channel that this person is in; `app` is the app itself."""
        self._wire.do("/remove", whom=whom, channel=channel)

    def open_home(self, tab: Literal["home", "messages"] = "home") -> Answer:
        """Open the app's Home tab, or its direct messages."""
        return Answer(**self._wire.do("/home", tab=tab))

    def home(self) -> Json | None:
        """The Home tab's view object, if the app has published one."""
        shown = self._wire.read("/home")
        return shown["raw"] if shown else None

    def wait_home(self, contains: str = "", *, timeout: float = 30.0) -> "View":
        def find(shown: Json | None) -> View | None:
            return View(self, self._wire, shown) if shown and contains in shown["text"] else None

        return self._wire.wait("/home", find, timeout, f"{self.name}'s Home never had {contains!r}")

    def notices(self) -> list[str]:
        """What Slack told this person about failures of the app, oldest first."""
        return list(self._wire.read("/notices"))

    def raw_action(self, payload_overrides: Json) -> Answer:
        """Send the app a block_actions that no button made, signed by Slack as from this person.

        The overrides are laid over an otherwise well-formed payload, objects key by key.
        """
        return Answer(**self._wire.do("/forge", **payload_overrides))


class View:
    """A modal, or a Home tab, as it was when last looked at; every act looks again."""

    def __init__(self, person: Person, wire: _Wire, shown: Json) -> None:
        self.person = person
        self._wire = wire
        self._shown = shown

    @property
    def raw(self) -> Json:
        """Slack's view object, with what was entered so far under `state`."""
        raw: Json = self._shown["raw"]
        return raw

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def title(self) -> str:
        return str(self.raw["title"]["text"])

    @property
    def text(self) -> str:
        return str(self._shown["text"])

    @property
    def errors(self) -> dict[str, str]:
        """What stands under the fields, by block_id."""
        return dict(self._shown["errors"])

    @property
    def banner(self) -> str:
        """What Slack says over the view when the app failed."""
        return str(self._shown["banner"])

    @property
    def is_open(self) -> bool:
        return self._find() is not None

    def refresh(self) -> Self:
        """Look again; a view that is closed stays as it was."""
        self._shown = self._find() or self._shown
        return self

    def options(
        self, action_id: str, query: str = "", *, block_id: str | None = None
    ) -> list[Json]:
        """Open a menu and type: what it offers then, option groups flattened."""
        said = self._do("/options", action_id=action_id, query=query, block_id=block_id)
        return list(said["options"])

    def set(self, action_id: str, value: Any, *, block_id: str | None = None) -> Answer:  # noqa: ANN401
        """Fill in a field, or choose by value or text; a list where several can be chosen.

        An external menu is searched for the value if it has not yet offered it. A file is its name
        and its bytes: `("a.txt", b"...")`. The app is told at once if the element does that, and
        then `seconds` is set.
        """
        value = [_chosen(one) for one in value] if isinstance(value, list) else _chosen(value)
        said = self._do("/enter", action_id=action_id, value=value, block_id=block_id)
        self.refresh()
        return Answer(**said)

    def click(
        self, target: str, value: str | None = None, *, block_id: str | None = None
    ) -> Answer:
        """Use an element by its action_id or text; `value` tells equal buttons apart, or is the
        option to choose.
        """
        said = self._do("/click", target=target, value=value, block_id=block_id)
        self.refresh()
        return Answer(**said)

    def submit(self) -> Submission:
        said = self._do("/submit")
        self.refresh()
        return Submission(**said)

    def close(self, *, everything: bool = False) -> Answer:
        """Press the close button, or the ✕ that closes all open views."""
        return Answer(**self._do("/close", everything=everything))

    def _do(self, act: str, **said: Any) -> Json:  # noqa: ANN401
        return self._wire.do(act, view_id=self.id, **said)

    def _find(self) -> Json | None:
        home = self._wire.read("/home") if self.raw["type"] == "home" else None
        shown = [home] if home else self._wire.read("/views")
        return next((one for one in shown if one["raw"]["id"] == self.id), None)


class Message:
    """A message as it was when last looked at; clicking looks again."""

    def __init__(self, person: Person, wire: _Wire, shown: Json) -> None:
        self.person = person
        self._wire = wire
        self._shown = shown

    @property
    def raw(self) -> Json:
        """Slack's message object, with `channel` and `is_ephemeral` added."""
        raw: Json = self._shown["raw"]
        return raw

    @property
    def ts(self) -> str:
        return str(self.raw["ts"])

    @property
    def text(self) -> str:
        return str(self._shown["text"])

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.raw["is_ephemeral"])

    @property
    def buttons(self) -> list[tuple[str, str, str]]:
        """The action_id, text and value of each button."""
        return [
            (element["action_id"], element["text"]["text"], element.get("value", ""))
            for block in every_block(self.raw.get("blocks", []))
            for element in elements_of(block)
            if element["type"] == "button"
        ]

    def click(
        self, target: str, value: str | None = None, *, block_id: str | None = None
    ) -> Answer:
        """Use an element by its action_id or text, as `View.click` does."""
        where = {"ts": self.ts, "channel": self.raw["channel"], "block_id": block_id}
        said = self._wire.do("/click", target=target, value=value, **where)
        self.refresh()
        return Answer(**said)

    def reply(self, text: str, *, broadcast: bool = False) -> "Message":
        """Answer in this message's thread, and with `broadcast` in the channel too."""
        said = self._wire.do("/post", text=text, broadcast=broadcast, **self._where)
        self.refresh()
        return Message(self.person, self._wire, said)

    def replies(self) -> list["Message"]:
        """The answers in this message's thread, oldest first."""
        shown = self._wire.read("/messages", channel=self.raw["channel"], thread=self.ts)
        return [
            Message(self.person, self._wire, one) for one in shown if one["raw"]["ts"] != self.ts
        ]

    def react(self, name: str) -> None:
        """Put an emoji under it."""
        self._shown = self._wire.do("/react", name=name, **self._where)

    def unreact(self, name: str) -> None:
        self._shown = self._wire.do("/react", name=name, added=False, **self._where)

    @property
    def reactions(self) -> dict[str, list[str]]:
        """The ids of those who reacted, by emoji."""
        return {one["name"]: one["users"] for one in self.raw.get("reactions", [])}

    @property
    def _where(self) -> Json:
        return {"ts": self.ts, "channel": self.raw["channel"]}

    def refresh(self) -> Self:
        """Look again; a message that was deleted stays as it was."""
        thread = self.raw.get("thread_ts")
        shown = self._wire.read("/messages", channel=self.raw["channel"], thread=thread)
        self._shown = next((one for one in shown if one["raw"]["ts"] == self.ts), self._shown)
        return self


def _chosen(value: object) -> object:
    """Make JSON of a file that a person chooses; leave everything else."""
    match value:
        case (str(name), bytes(content)):
            return {"name": name, "content": content.decode("latin-1")}
    return value


def _accepted(response: httpx.Response) -> Json:
    said: Json = response.json()
    if response.is_success:
        return said
    if response.status_code == httpx.codes.CONFLICT:
        raise NotPossible(said["refused"])
    raise ValueError(said.get("refused", said))


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
