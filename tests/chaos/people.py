"""What people do all day: ask, also for later, decide, take back, delegate, change, cancel, extend,
return, press twice, press what is old.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import httpx
import psycopg
from sqlalchemy import select
from sqlmodel import col

from bot.sandbox.client import Answer, NotPossible, Person, View
from bot.views.request_modal import LATER
from engine.outcome import Card
from engine.request import AccessRequest, GrantState, State
from storage import facts
from storage.tables import MessageRow
from tests.chaos.world import Word, World
from tests.support.story import CUSTOMERS, ORDERS, STOCK, NotSeenError

SHOP, EVENTS = "orders/shop", "orders/shop/events"
PAYMENTS, CARDS = "ledger/accounts/payments", "ledger/accounts/cards"
DURATIONS = ("5m", "7m", "10m", "20m", "30m")
BUNDLE = "Warehouse incident"
OLD = (
    *("approve", "reject", "withdraw_approval", "cancel", "return", "return_some", "extend"),
    *("change_request", "nudge", "ask_question", "answer", "more"),
)
AT_ONCE = 4  # requests that one person has under way
GLANCE, STARE = 1.0, 20.0  # seconds that somebody looks at a screen where nothing happens
HAND_MADE = "chloe"  # has had ORDERS since before Latchkey came, by hand

Want = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Cast:
    """People of one team: who asks, for what, who of them decides, and in whose place who may."""

    asking: tuple[str, ...]
    approver: str
    deputy: str
    wants: tuple[Want, ...]


_READ_CUSTOMERS, _READ_STOCK, _READ_ORDERS = ((path, "read") for path in (CUSTOMERS, STOCK, ORDERS))
CASTS = (
    Cast(("marta", "diego"), "priya", "ines", (_READ_CUSTOMERS, (SHOP, "read"), _READ_STOCK)),
    Cast((HAND_MADE, "henrik"), "samleigh", "viktor", (_READ_CUSTOMERS, _READ_ORDERS, _READ_STOCK)),
    Cast(("kofi", "lucia"), "noor", "liwei", (_READ_CUSTOMERS, _READ_STOCK)),
    Cast(
        ("aisha", "anil"),
        "selin",
        "greta",
        ((PAYMENTS, "read"), (CARDS, "read"), (EVENTS, "read")),
    ),
    Cast(
        ("jonas", "yuki"),
        "tomasz",
        "robin",
        ((ORDERS, "read-write"), (STOCK, "read-write"), _READ_STOCK, _READ_ORDERS),
    ),
    Cast(("maya",), "zoe", "oleh", ((BUNDLE, ""),)),
)
EVERYBODY = tuple(name for c in CASTS for name in (*c.asking, c.approver, c.deputy))

_PASSING = (NotPossible, TimeoutError, httpx.HTTPError, StopIteration, psycopg.OperationalError)


def _unseen(entry: dict[str, object]) -> bool:
    """Tell whether Slack lost the modal that says why something was not done."""
    return entry.get("method") == "views.open" and not entry["done"]


class Team:
    """One thread, one cast. What goes wrong under the hands of its people, they try again."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.cast = world, CASTS[number]
        self.chance = world.plan.random(f"team {number}")
        self.forms = 0
        self.glance = GLANCE
        self._people: dict[str, Person] = {}
        self._sessions = ExitStack()  # of people who stay logged in
        self._acts: list[tuple[int, Callable[[], None]]] = [
            (8, self.ask),
            (8, self.approve),
            (2, self.reject),
            (2, self.withdraw),
            (1, self.delegate),
            (2, self.cancel),
            (2, self.change),
            (2, self.nudge),
            (2, self.question),
            (2, self.answer),
            (3, self.extend),
            (4, self.give_back),
            (2, self.give_some_back),
            (2, self.press_what_is_old),
            (1, self.log_in),
        ]

    def live(self) -> None:
        weights, acts = zip(*self._acts, strict=True)
        while not self.world.over.is_set():
            act = self.chance.choices(acts, weights)[0]
            try:
                act()
                self.glance = GLANCE
            except _PASSING as failed:
                if isinstance(failed, TimeoutError):  # all may be that slow just now
                    self.glance = min(2 * self.glance, STARE)
                self.world.said.count("acts that failed")
                self.world.wait(0.3)
            self.world.wait(self.chance.uniform(0, self.world.plan.pace))

    def leave(self) -> None:
        self._sessions.close()

    def person(self, name: str) -> Person:
        """Find somebody in Slack by their id in the directory."""
        if name not in self._people:
            known = self.world.calm(lambda: self.world.told.desk.person(name))
            if known is None or known.slack is None:
                raise NotPossible(f"{name} is not tied")
            self._people[name] = self.world.told.house.sandbox.person(known.slack)
        return self._people[name]

    # --- asking ------------------------------------------------------------------------------

    def ask(self) -> None:
        name = self.chance.choice(self.cast.asking)
        want = self.chance.choice(self.cast.wants)
        duration, twice = self.chance.choice(DURATIONS), self.chance.random() < 0.2
        if len(self._requests(name)) >= AT_ONCE:
            return
        who, mark = self.person(name), self._mark()
        fill = self._typed if want[0] == BUNDLE or self.chance.random() < 0.6 else self._form
        form = fill(who, want, duration, mark)
        if self.chance.random() < 0.2:
            form = self._later(who, name)
        self._send(who, form, mark, twice=twice)

    def _mark(self) -> str:
        self.forms += 1
        return f"chaos {self.cast.approver} {self.forms}"

    def _send(self, who: Person, form: View, mark: str, *, twice: bool) -> None:
        self.world.said.tried.append(mark)
        answers = self._twice(form.submit) if twice else [form.submit()]
        if any(a.action == "close" for a in answers):
            self.world.said.taken.append(mark)
            self.world.said.count("requests taken")
        elif any(a.action == "update" for a in answers):
            self.world.said.count("requests answered otherwise")
        self._clear(who)

    def _typed(self, who: Person, want: Want, duration: str, mark: str) -> View:
        """Open the form filled in, by what is typed behind the command."""
        path, permission = want
        self._clear(who)
        what = f"{permission} on {path}" if permission else path
        answer = who.command("/access", f"request {what} for {duration}: {mark}")
        if not answer.ok:
            raise TimeoutError(answer.error)
        return who.wait_view(where=lambda v: "Access flow" in str(v["blocks"]), timeout=self.glance)

    def _form(self, who: Person, want: Want, duration: str, mark: str) -> View:
        path, permission = want
        self._clear(who)
        answer = who.command("/access", "request")
        if not answer.ok:
            raise TimeoutError(answer.error)
        form = who.wait_view("Request access", timeout=self.glance)
        offered = form.options("resource", path)
        form.set("resource", next(o["value"] for o in offered if o["text"]["text"] == path))
        who.wait_view(where=lambda v: "permission/" in str(v["blocks"]), timeout=self.glance)
        form = who.view()
        form.set("permission", permission)
        who.wait_view(where=lambda v: "Access flow" in str(v["blocks"]), timeout=self.glance)
        form = who.view()
        form.set("duration", duration)
        form.set("justification", mark)
        return form

    def _later(self, who: Person, name: str) -> View:
        """Have it start in a while, by the clock on their own wall."""
        who.view().set("start", LATER)
        who.wait_view(where=lambda v: "start_day" in str(v["blocks"]), timeout=self.glance)
        desk = self.world.told.desk
        known = self.world.calm(lambda: desk.person(name))
        there = ZoneInfo((known.zone if known else "") or "UTC")
        wanted = desk.clock.now() + timedelta(minutes=self.chance.randint(3, 40))
        form = who.view()
        form.set("start_day", f"{wanted.astimezone(there):%Y-%m-%d}")
        form.set("start_time", f"{wanted.astimezone(there):%H:%M}")
        self.world.said.count("asked for later")
        return form

    # --- deciding ----------------------------------------------------------------------------

    def approve(self) -> None:
        self._decide("approve", "Approve access", "approved")

    def reject(self) -> None:
        self._decide("reject", "Reject request", "rejected")

    def _decide(self, button: str, title: str, action: str) -> None:
        request = self._choose(State.PENDING)
        if request is None:
            return
        name = self.cast.deputy if self.chance.random() < 0.3 else self.cast.approver
        who, twice = self.person(name), self.chance.random() < 0.2
        self._clear(who)
        try:
            self._press(name, request, Card.APPROVAL, button)
        except NotPossible:  # who may decide need not have been asked yet
            who.raw_action({"actions": [{"action_id": button, "value": str(request.id)}]})
        modal = who.wait_view(title, timeout=self.glance)
        modal.set("reason", f"so says {name}")
        answers = self._twice(modal.submit) if twice else [modal.submit()]
        if any(a.action == "close" for a in answers):
            self._told(name, request, action)
        self._clear(who)

    def withdraw(self) -> None:
        """Take an approval back, of what waits for others or for its start."""
        request = self._choose(State.SCHEDULED) or self._choose(State.PENDING)
        if request is None or not request.approvals:
            return
        name = self.chance.choice(request.approvals).person
        who = self.person(name)
        self._clear(who)
        if self._press(name, request, Card.APPROVAL, "withdraw_approval").ok:
            self.world.said.count("withdrawal acknowledged")
        self._clear(who)

    def delegate(self) -> None:
        """Let the deputy decide, too; or no longer."""
        who, deputy = self.person(self.cast.approver), self.person(self.cast.deputy)
        self._clear(who)
        ends = self.chance.random() < 0.3
        words = f"end <@{deputy.id}>" if ends else f"<@{deputy.id}> for 2 days because chaos"
        if who.command("/access", f"delegate {words}").ok:
            self.world.said.count("delegations ended" if ends else "delegations")
        self._clear(who)

    # --- talking -----------------------------------------------------------------------------

    def nudge(self) -> None:
        request = self._choose(State.PENDING)
        if request is None:
            return
        if any(a.ok for a in self._pressed(request, Card.REQUEST, "nudge")):
            self.world.said.count("nudge acknowledged")
        self._clear(self.person(request.requestor))

    def question(self) -> None:
        """Ask whoever made a request: once each, so that it is known how often it is to be said."""
        request = self._choose(State.PENDING)
        if request is None or request.questions:
            return
        first = self.chance.random() < 0.3
        asks = self.cast.approver
        self._say(asks, request, Card.APPROVAL, "ask_question", "questioned", first=first)

    def answer(self) -> None:
        request = self._choose(State.PENDING)
        if request is None or not request.questions or request.questions[0].answered_at:
            return
        self._say(request.requestor, request, Card.REQUEST, "answer", "answered")

    def _say(
        self,
        name: str,
        request: AccessRequest,
        card: Card,
        button: str,
        action: str,
        *,
        first: bool = False,
    ) -> None:
        who, twice = self.person(name), self.chance.random() < 0.2
        self._clear(who)
        self._press(name, request, card, button)
        title = "Answer" if button == "answer" else "Ask a question"
        modal = who.wait_view(title, timeout=self.glance)
        modal.set("text", f"{name}, about {request.code}")
        if first:
            modal.set("first", ["first"])
        answers = self._twice(modal.submit) if twice else [modal.submit()]
        if any(a.action == "close" for a in answers):
            self._told(name, request, action)
        self._clear(who)

    # --- the rest of its life ----------------------------------------------------------------

    def cancel(self) -> None:
        self._button(State.PENDING, "cancel", {State.PENDING})

    def change(self) -> None:
        """Ask for something else in its place."""
        request = self._choose(State.PENDING)
        if request is None:
            return
        who, mark = self.person(request.requestor), self._mark()
        self._clear(who)
        self._press(request.requestor, request, Card.REQUEST, "change_request")
        form = who.wait_view("Change request", timeout=self.glance)
        form.set("duration", self.chance.choice(DURATIONS))
        form.set("justification", mark)
        self.world.said.count("changes")
        self._send(who, form, mark, twice=self.chance.random() < 0.2)

    def give_back(self) -> None:
        self._button(State.ACTIVE, "return", {State.GRANTING, State.ACTIVE})

    def give_some_back(self) -> None:
        """Return the first of several things, and keep the rest."""
        request = self._choose(State.ACTIVE)
        held = [g for g in request.grants if g.state is GrantState.HELD] if request else []
        if request is None or len(held) < 2:
            return
        who = self.person(request.requestor)
        self._clear(who)
        self._press(request.requestor, request, Card.REQUEST, "return_some")
        form = who.wait_view("Return access", timeout=self.glance)
        form.set("things", [str(held[0].id)])
        if form.submit().action == "close":
            self.world.said.count("returned in part")
        self._clear(who)

    def _button(self, state: State, button: str, not_after: set[State]) -> None:
        """Press, perhaps twice. Once it is acknowledged, the request is in another state."""
        request = self._choose(state)
        if request is None:
            return
        who, sandbox = self.person(request.requestor), self.world.told.house.sandbox
        mark = sandbox.mark()
        answers = self._pressed(request, Card.REQUEST, button)
        now = self._look(request)
        if any(a.ok for a in answers):
            self.world.said.count(f"{button} acknowledged")
            told = who.views() or any(_unseen(entry) for entry in sandbox.journal(mark))
            if now.state in not_after and not told:
                self.world.said.wrong.append(
                    f"{now.code}: {button} acknowledged, still {now.state}"
                )
        self._clear(who)

    def extend(self) -> None:
        request = self._choose(State.ACTIVE)
        if request is None or not request.extensions_left:
            return
        who = self.person(request.requestor)
        answers = self._pressed(request, Card.REQUEST, "extend")
        if any(a.ok for a in answers):
            self.world.said.count("extend acknowledged")
        self._clear(who)

    def press_what_is_old(self) -> None:
        """Press buttons that Slack does not show any more, of anybody's request."""
        known = self.world.calm(lambda: self.world.told.desk.requests(live=False))
        if not known:
            return
        request = self.chance.choice(known)
        action = self.chance.choice(OLD)
        name = self.chance.choice((self.cast.approver, *self.cast.asking))
        if name == request.requestor and not request.state.final:
            return  # that would be a fresh one
        who = self.person(name)
        value = f"{request.id}/1" if action in {"extend", "answer"} else str(request.id)
        self._clear(who)
        who.raw_action({"actions": [{"action_id": action, "value": value}]})
        self.world.said.count("old buttons pressed")
        self._clear(who)

    def log_in(self) -> None:
        """Read the credentials, log in, and stay."""
        request = self._choose(State.ACTIVE)
        if request is None:
            return
        who = self.person(request.grantee)
        self._clear(who)
        self._press(request.grantee, request, Card.REQUEST, "credentials")
        modal = who.wait_view("How to log in", timeout=self.glance)
        if "Password:" not in modal.text:
            modal.click("credentials_reset")
            modal = who.wait_view(
                where=lambda v: "credentials_saved" in str(v), timeout=self.glance
            )
        lines = (line.partition(":") for line in modal.text.splitlines())
        shown = {label.strip().casefold(): value.strip() for label, _, value in lines}
        modal.click("credentials_saved")
        self._clear(who)
        login = {key: shown[key] for key in ("host", "port", "user", "password")}
        login["dbname"] = shown["database"].split(",")[0]
        told = self.world.told
        with suppress(NotSeenError):  # a new password may be on its way for longer
            told.until(lambda: told.works(login), "the login works", timeout=self.glance)
        session = told.log_in(login)
        self._sessions.callback(session.close)
        self.world.said.count("logins")

    # --- hands -------------------------------------------------------------------------------

    def _requests(self, name: str) -> list[AccessRequest]:
        def read() -> list[AccessRequest]:
            with self.world.told.desk.database.read() as session:
                return facts.of_person(session, name, live=True)

        return self.world.calm(read)

    def _choose(self, state: State) -> AccessRequest | None:
        found = [r for name in self.cast.asking for r in self._requests(name) if r.state is state]
        return self.chance.choice(found) if found else None

    def _look(self, request: AccessRequest) -> AccessRequest:
        return self.world.calm(lambda: self.world.told.request(request.code))

    def _press(self, name: str, request: AccessRequest, card: Card, button: str) -> Answer:
        """Press a button of a person's card: where it stands is read from the ledger."""
        query = (
            select(MessageRow)
            .where(
                col(MessageRow.request_id) == request.id,
                col(MessageRow.recipient) == name,
                col(MessageRow.kind) == card.value,
                col(MessageRow.ts).is_not(None),
            )
            .order_by(col(MessageRow.id).desc())
        )

        def read() -> MessageRow | None:
            with self.world.told.desk.database.read() as session:
                return session.execute(query).scalars().first()

        row = self.world.calm(read)
        if row is None:
            raise NotPossible("the card is not there yet")
        return self.person(name).click(button, channel=row.channel, ts=row.ts)

    def _pressed(self, request: AccessRequest, card: Card, button: str) -> list[Answer]:
        twice, name = self.chance.random() < 0.3, request.requestor
        self._clear(self.person(name))
        if twice:
            return self._twice(lambda: self._press(name, request, card, button))
        return [self._press(name, request, card, button)]

    def _twice(self, act: Callable[[], T]) -> list[T]:
        """Do it twice at the same moment, as an impatient finger does."""
        answers: list[T] = []

        def one() -> None:
            with suppress(*_PASSING):
                answers.append(act())

        both = [threading.Thread(target=one) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        self.world.said.count("double clicks")
        return answers

    def _told(self, who: str, request: AccessRequest, action: str) -> None:
        self.world.said.words.append(Word(who, request.code, action))
        self.world.said.count(f"{action} acknowledged")

    @staticmethod
    def _clear(who: Person) -> None:
        with suppress(*_PASSING):
            while who.views():
                who.view().close(everything=True)
