"""What every conversation needs: who it is with, and where to answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, TypeVar

import structlog
from slack_bolt import Ack
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, marked
from bot.slack.errors import asked_to_wait, error_code
from bot.slack.once import own_id
from bot.slack.payloads import is_profile
from bot.usecases import decide, identity, talk
from bot.usecases.identity import Profile, Unknown
from bot.views import credentials, ids, lists
from bot.views.ids import request_id
from bot.views.request_modal import block_of
from bot.views.text import refusal_in_plain_text
from bot.views.values import Block, View
from engine.commands import Command
from engine.directory import Person, PersonId, SlackAccount
from engine.outcome import Refusal
from engine.request import GrantId

T = TypeVar("T")
Body = dict[str, Any]
Listener = Callable[[Ack, Body], None]

NOT_DONE = "Not done"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who pressed, and the client to open a modal with while the trigger is fresh (3 s)."""

    services: Services
    client: WebClient

    def who(self, body: Body) -> Person | Refusal:
        return identity.who(self.services, acting(body), self.profile)

    def act(self, body: Body, use: Callable[[Person], T]) -> T | Refusal:
        """Let whoever pressed do something, or return why not.

        Who they are is known from memory; before somebody is no one, it is looked at again.
        """
        outcome = self._act(body, use)
        return self._act(body, use) if outcome is identity.NO_ONE else outcome

    def _act(self, body: Body, use: Callable[[Person], T]) -> T | Refusal:
        person = self.who(body)
        return person if isinstance(person, Refusal) else use(person)

    def button(
        self,
        title: str,
        use: Callable[[Person, str], T | Refusal],
        draw: Callable[[T], View] | None = None,
    ) -> Listener:
        """Return the listener of a button: whoever presses it does `use` with its value.

        Why not is said in a modal with this title; what came of it is shown in the one that `draw`
        makes.
        """

        def press(ack: Ack, body: Body) -> None:
            value = clicked(body)
            outcome = self.act(body, lambda p: use(p, value))
            if isinstance(outcome, Refusal):
                self.refuse(body, outcome, title)
            elif draw:
                self.open(body, draw(outcome))
            ack()

        return press

    def commanding(self, title: str, command: Callable[[PersonId, str, str], Command]) -> Listener:
        """Return the listener of a button that is a command to its request.

        `command` gets who pressed it, the button's value, and the press's own key.
        """

        def press(ack: Ack, body: Body) -> None:
            value, key = clicked(body), own_id(body)
            id_, services = request_id(value), self.services
            done = self.act(body, lambda p: decide.do(services, p, id_, command(p.id, value, key)))
            if isinstance(done, Refusal):
                self.refuse(body, done, title)
            ack()

        return press

    def redrawing(
        self, title: str, use: Callable[[Person, str], T | Refusal], draw: Callable[[T], View]
    ) -> Listener:
        """As `button`, for one that stands in a modal: that is redrawn, be it with why not."""

        def press(ack: Ack, body: Body) -> None:
            value = clicked(body)
            outcome = self.act(body, lambda p: use(p, value))
            if isinstance(outcome, Refusal):
                self.redraw(body, notice(title, outcome))
            else:
                self.redraw(body, draw(outcome))
            ack()

        return press

    def open(self, body: Body, view: View) -> None:
        """Open a modal, or raise; on top of the one that was clicked in, if any."""
        how = self.client.views_push if _modal(body) else self.client.views_open
        try:
            how(trigger_id=body["trigger_id"], view=view)
        except SlackApiError as fault:
            if error_code(fault) != "exchanged_trigger_id":
                raise
            # The same press was delivered twice, and the modal is there already.
            log.warning("modal not opened again")

    def redraw(self, body: Body, view: View) -> None:
        """Redraw the modal that was clicked in; one that was closed meanwhile stays closed.

        A click that came from elsewhere is answered in a modal of its own.
        """
        shown = _modal(body)
        if shown is None:
            self.open(body, view)
            return
        try:
            self.client.views_update(view_id=shown["id"], hash=shown["hash"], view=view)
        except SlackApiError as fault:
            log.warning("modal not updated", error=error_code(fault))
            if (wait := asked_to_wait(fault)) is not None:
                self.say_later(body, waits(wait))
        except NO_ANSWER as fault:
            log.warning("modal not updated", error=type(fault).__name__)

    def refuse(self, body: Body, refusal: Refusal, title: str = NOT_DONE) -> None:
        """Say no in a modal: a click's acknowledgement carries no text.

        Where Slack opens none, the message loop says it.
        """
        try:
            self.open(body, notice(title, refusal))
        except NO_ANSWER as fault:
            log.warning("modal not opened", error=type(fault).__name__)
            if not self.say_later(body, refusal_in_plain_text(refusal)):
                raise

    def say_later(self, body: Body, sentence: str) -> bool:
        """Have the message loop say it to whoever pressed. False: nobody knows who they are."""
        said = self.act(body, lambda person: talk.later(self.services, person, sentence))
        return not isinstance(said, Refusal)

    def say(self, channel: str, refusal: Refusal) -> None:
        """Say no in a message: to whom no card can be sent, as nobody knows who they are."""
        try:
            self.client.chat_postMessage(channel=channel, text=lists.refusal(refusal))
        except NO_ANSWER as fault:
            log.warning("nobody could be told", why=type(fault).__name__)

    def profile(self, slack: str) -> Profile:
        """Ask Slack who it is. Raises Unknown."""
        try:
            answer: Any = self.client.users_info(user=slack)
        except NO_ANSWER as fault:
            log.warning("profile not read", why=type(fault).__name__)
            raise Unknown from None
        if not is_profile(answer.get("user")) or answer["user"]["id"] != slack:
            raise Unknown
        return self.marked(answer["user"])

    def marked(self, user: Profile) -> Profile:
        """Return the user, marked if of another company. Raises Unknown."""
        try:
            return marked(self.client, user)
        except NO_ANSWER as fault:
            log.warning("own workspace not read", why=type(fault).__name__)
            raise Unknown from None


def waits(wait: timedelta) -> str:
    """Say that Slack lets Latchkey do something only later."""
    seconds = max(1, ceil(wait.total_seconds()))
    return f"Slack asks Latchkey to wait for {seconds} s. Please try again then."


def notice(title: str, refusal: Refusal) -> View:
    """Return a modal that says no."""
    return credentials.notice_modal(title, lists.refusal(refusal))


def refuse_at(ack: Ack, view: View, refusal: Refusal, *fields: str, title: str) -> None:
    """Say no at the first of the fields that the modal has, so that nothing typed is lost."""
    blocks = (block_of(view["blocks"], field) for field in fields)
    if block := next(filter(None, blocks), None):
        ack(response_action="errors", errors={block: refusal_in_plain_text(refusal)})
    else:
        ack(response_action="update", view=notice(title, refusal))


class Entered:
    """What stands in the fields of a modal, each by its action. What makes no sense is empty."""

    def __init__(self, view: View) -> None:
        state = view.get("state")
        values = state.get("values") if isinstance(state, dict) else None
        blocks = values if isinstance(values, dict) else {}
        self.blocks = {id_: fields for id_, fields in blocks.items() if isinstance(fields, dict)}
        self._fields = {a: field for fields in self.blocks.values() for a, field in fields.items()}

    def text(self, action: str) -> str:
        match self._fields.get(action):
            case {"value": str(text)}:
                return text
        return ""

    def chosen(self, action: str) -> str:
        """Return the value of the option that was chosen in a menu."""
        match self._fields.get(action):
            case {"selected_option": {"value": str(value)}}:
                return value
        return ""

    def person(self, action: str) -> str:
        """Return the Slack user id of somebody who was picked."""
        match self._fields.get(action):
            case {"selected_user": str(user)}:
                return user
        return ""

    def picked(self, action: str) -> str:
        """Return the day, or the time, that was picked."""
        match self._fields.get(action):
            case {"selected_date": str(picked)} | {"selected_time": str(picked)}:
                return picked
        return ""

    def ticked(self, action: str) -> bool:
        return bool(self.several(action))

    def several(self, action: str) -> list[str] | None:
        """Return the values of what was ticked, or chosen; None: there is no such field."""
        match self._fields.get(action):
            case {"selected_options": list(options)}:
                return [str(o.get("value")) for o in options if isinstance(o, dict)]
        return None


def left_out(view: View, menu: str) -> frozenset[GrantId]:
    """Return which things were ticked no more, or chosen in the menu of those to be left out."""
    entered = Entered(view)
    ticked, out = entered.several(ids.THINGS), entered.several(menu) or []
    if ticked is not None:
        out += [value for value in _boxes(view.get("blocks") or []) if value not in ticked]
    return frozenset(GrantId(ids.number(value)) for value in out)


def _boxes(blocks: Sequence[Block]) -> list[str]:
    for block in blocks:
        match block:
            case {"element": {"action_id": ids.THINGS, "options": list(options)}}:
                return [str(option.get("value")) for option in options]
    return []


def clicked(body: Body) -> str:
    """Return the value of the button that was pressed."""
    return str(body["actions"][0].get("value") or "")


def _modal(body: Body) -> View | None:
    view: View = body.get("view") or {}
    return view if view.get("type") == "modal" else None


def acting(body: Body) -> SlackAccount:
    """Return the account that somebody acts with: the team is their own, not where they are."""
    person, place = _part(body, "user"), _part(body, "team")
    here = str(body.get("team_id") or place.get("id") or "")
    team = str(person.get("team_id") or here)
    organisation = _part(body, "enterprise").get("id") or body.get("enterprise_id")
    return SlackAccount(
        team=team,
        user=str(body["user_id"] if "user_id" in body else person["id"]),
        # It is that of the place: somebody from elsewhere is not of it.
        enterprise=str(organisation or "") if team == here else "",
    )


def _part(body: Body, name: str) -> Body:
    found = body.get(name)
    return found if isinstance(found, dict) else {}
