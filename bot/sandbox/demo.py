"""Plays the main job in the terminal: ask, approve, log in, extend, end. Each step says what was
seen in Slack, in the database and in PostgreSQL; what is not seen ends the demo with a failure.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from bot import settings
from bot.sandbox.client import Message, Person, View
from bot.sandbox.house import House
from bot.sandbox.postgres import folder_mode
from bot.sandbox.terminal import message_lines, view_lines
from bot.usecases.console import Desk, opened
from engine.request import AccessRequest

ASKS, APPROVES = "marta@harbourpine.example", "priya@harbourpine.example"
TABLE = "orders/shop/customers"
QUERY = "select count(*) from shop.customers"
PATIENCE = 10.0  # seconds for anything to become visible


class NotSeenError(Exception):
    """Something that the story promises did not happen."""


def play(console: Console) -> int:
    """Play it; return the exit status: 0 only if all of it was seen."""
    with tempfile.TemporaryDirectory(prefix="latchkey-demo-") as name:
        folder = Path(name)
        folder.chmod(folder_mode())
        begun = time.monotonic()
        with console.status("Starting a Slack sandbox, a PostgreSQL and the bot …"):
            house = House(folder)
            house.bot.start()
        try:
            with opened(settings.load(**house.bot.settings)) as desk:
                _Story(console, house, desk).tell()
        except (NotSeenError, TimeoutError, psycopg.Error) as fault:
            console.print(f"\n[bold red]Not seen:[/] {escape(str(fault))}")
            console.print(house.bot.log[-4000:], markup=False, style="dim")
            return 1
        finally:
            house.close()
        took = time.monotonic() - begun
        console.print(f"\n[bold green]All of it was seen[/], in {took:.0f} seconds.")
    return 0


@dataclass
class _Story:
    console: Console
    house: House
    desk: Desk
    steps: int = 0
    names: dict[str, str] = field(default_factory=dict[str, str])

    def tell(self) -> None:
        sandbox, cluster = self.house.sandbox, self.house.cluster
        sandbox.wait_links(1, timeout=20)
        asks, approves = sandbox.person(ASKS), sandbox.person(APPROVES)
        self.until(lambda: self.knows(asks, approves), "Latchkey finds everybody in Slack")
        self.step(
            "The company",
            slack=f"{asks.real_name} asks, {approves.real_name} approves; "
            f"{len(self.names)} people whom Latchkey knows",
            database=f"{len(self.desk.requests(live=False))} requests so far",
            postgresql=f"on port {cluster.port}, with {self.logins()} logins made by Latchkey",
        )
        code = self.ask(asks)
        card = approves.wait_message(code, timeout=PATIENCE)
        self.step("The approver's card", slack=self.shown(card))
        self.approve(approves, card, code)
        active = asks.wait_message("active", timeout=PATIENCE, where=_about(code))
        login = self.credentials(asks, active)
        with psycopg.connect(make_conninfo("", **login), autocommit=True) as session:
            found = _one(session, QUERY)
            self.step(
                "A query with the credentials",
                postgresql=f"{login['user']}: {QUERY} → {found}",
            )
            self.extend(asks, code, session)
            self.end(asks, code, session)
        self.refused(login)

    def ask(self, asks: Person) -> str:
        answer = asks.command("/access", "request")
        _must(answer.ok, f"/access request was answered with {answer.error or answer.text}")
        form = asks.wait_view(timeout=PATIENCE)

        def offered() -> list[str]:
            options = form.options("resource", "customers")
            return [o["value"] for o in options if TABLE in o["text"]["text"]]

        # The system may still be being looked through.
        self.until(lambda: bool(offered()), "the search finds no table of customers")
        form.set("resource", offered()[0])
        form = self.settled(asks, lambda v: "What do you want" in v.text)
        form.set("permission", "read")
        form = self.settled(asks, lambda v: "Who approves" in v.text)
        form.set("justification", "INC-42: a customer sees somebody else's order")
        said = self.shown(asks.view())
        sent = form.submit()
        _must(not sent.errors and not sent.failed, f"the form was refused: {sent}")
        card = asks.wait_message("INC-42", timeout=PATIENCE)
        code = next(word.strip("*`·:,. ") for word in card.text.split() if "AX-" in word)
        self.step("The request", slack=f"{said}\n\n{self.shown(card)}", database=self.state(code))
        return code

    def approve(self, approves: Person, card: Message, code: str) -> None:
        card.click("approve")
        modal = approves.wait_view(timeout=PATIENCE)
        modal.set("reason", "Go ahead, and good luck")
        sent = modal.submit()
        _must(not sent.errors and not sent.failed, f"the approval was refused: {sent}")
        self.until(lambda: "active" in self.state(code), "the request becomes active")
        done = self.fresh(approves, code, lambda m: not m.buttons)
        self.step(
            "The approval",
            slack=self.shown(done),
            database=self.state(code),
            postgresql=f"{self.logins()} login made by Latchkey",
        )

    def credentials(self, asks: Person, card: Message) -> dict[str, str]:
        card.click("credentials")
        modal = asks.wait_view(timeout=PATIENCE)
        login = _login(modal)
        shown = self.shown(modal).replace(escape(login["password"]), "•" * 12)
        modal.click("credentials_saved")
        saved = asks.wait_view(where=lambda v: login["password"] not in str(v), timeout=PATIENCE)
        self.step("The credentials", slack=f"{shown}\n\n{self.shown(saved)}")
        return login

    def extend(self, asks: Person, code: str, session: psycopg.Connection) -> None:
        before = self.ends(code)
        self.house.sandbox.advance(51 * 60)
        offer = asks.wait_message("ends soon", timeout=PATIENCE, where=_button("extend"))
        self.step("The offer, nine minutes before the end", slack=self.shown(offer))
        offer.click("extend")
        self.until(lambda: self.ends(code) != before, "the end moves")
        extended = self.fresh(
            asks, code, lambda m: "1 left" in m.text and "is being told" not in m.text
        )
        self.step(
            "The extension",
            slack=self.shown(extended),
            database=self.state(code),
            postgresql=f"the same session still reads: {_one(session, QUERY)}",
        )

    def end(self, asks: Person, code: str, session: psycopg.Connection) -> None:
        self.house.sandbox.advance(40 * 60)
        over = asks.wait_message(
            "Access has ended", timeout=PATIENCE, where=_button("request_again")
        )
        self.until(lambda: "expired" in self.state(code), "the request expires")
        try:
            _one(session, QUERY)
        except psycopg.Error as fault:
            gone = str(fault).splitlines()[0]
        else:
            raise NotSeenError("the session outlived the access")
        self.step(
            "The end",
            slack=self.shown(over),
            database=self.state(code),
            postgresql=f"the session is gone: {escape(gone)}",
        )

    def refused(self, login: dict[str, str]) -> None:
        try:
            psycopg.connect(make_conninfo("", **login)).close()
        except psycopg.OperationalError as fault:
            said = str(fault).split("FATAL:")[-1].strip()
        else:
            raise NotSeenError("the login still works")
        self.step("The login", postgresql=f"refused: {escape(said)}")

    # --- looking -----------------------------------------------------------------------------

    def step(self, title: str, **seen: str) -> None:
        self.steps += 1
        lines = Table.grid(padding=(0, 1))
        lines.add_column(min_width=10)
        for where, text in seen.items():
            lines.add_row(f"[bold cyan]{where}[/]", text)
        self.console.print(Panel(lines, title=f"{self.steps}. {title}", title_align="left"))

    def shown(self, seen: Message | View) -> str:
        draw = view_lines if isinstance(seen, View) else message_lines
        return draw(seen.raw, self.names)

    def knows(self, *people: Person) -> bool:
        """Learn everybody's name; tell whether Latchkey knows these people."""
        with self.desk.database.read() as session:
            known = self.desk.companies.current(session).directory.people.values()
        self.names = {p.account.user: p.name for p in known if p.account}
        return {person.id for person in people} <= self.names.keys()

    def request(self, code: str) -> AccessRequest:
        found = self.desk.request(code)
        if found is None:
            raise NotSeenError(f"{code} is not in the database")
        return found

    def state(self, code: str) -> str:
        request = self.request(code)
        if request.ends_at is None:
            return f"{code} is {request.state}"
        word = "at" if request.state.final else "until"
        return f"{code} is {request.state} {word} {request.ends_at:%H:%M:%S} UTC"

    def ends(self, code: str) -> datetime | None:
        return self.request(code).ends_at

    def logins(self) -> int:
        with self.superuser() as connection:
            query = "select count(*) from pg_roles where rolname like 'lk\\_%' and rolcanlogin"
            return int(_one(connection, query))

    @contextlib.contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.house.cluster.superuser_dsn()) as connection:
            yield connection

    def until(self, seen: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not seen():
            _must(time.monotonic() < deadline, what)
            time.sleep(0.05)

    def settled(self, person: Person, ready: Callable[[View], bool]) -> View:
        found: list[View] = []

        def look() -> bool:
            found[:] = [person.view()]
            return ready(found[0])

        self.until(look, "the form is brought up to date")
        return found[0]

    def fresh(self, person: Person, code: str, ready: Callable[[Message], bool]) -> Message:
        found: list[Message] = []

        def look() -> bool:
            found[:] = [m for m in person.messages() if code in m.text and ready(m)]
            return bool(found)

        self.until(look, f"{person.real_name}'s card of {code} is brought up to date")
        return found[-1]


def _login(modal: View) -> dict[str, str]:
    """Read the login off the modal, as a person would."""
    shown = {
        label.strip().casefold(): value.strip()
        for label, _, value in (line.partition(":") for line in modal.text.splitlines())
    }
    return {
        "host": shown["host"],
        "port": shown["port"],
        "dbname": shown["database"],
        "user": shown["user"],
        "password": shown["password"],
    }


def _about(code: str) -> Callable[[dict[str, object]], bool]:
    return lambda raw: code in str(raw)


def _button(action: str) -> Callable[[dict[str, object]], bool]:
    return lambda raw: f"'action_id': '{action}'" in str(raw)


def _one(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def _must(seen: bool, what: str) -> None:  # noqa: FBT001  (it reads as a sentence)
    if not seen:
        raise NotSeenError(what)
