"""What people do and see, in one line each: a house with a Slack, a PostgreSQL and the bot."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import func, select, update
from sqlmodel import col

from bot import settings
from bot.sandbox.client import Answer, Message, NotPossible, Person, Submission, View
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster
from bot.usecases import revoke
from bot.usecases.console import Desk, opened
from engine.directory import PersonStatus
from engine.flow import Revision
from engine.inventory import ResourceStatus
from engine.request import AccessRequest, State
from storage import sync, touched
from storage.tables import EntitlementRow, ResourceRow
from storage.touched import Touched
from tests.support import web
from tests.support.nursery import Forked, shared
from tests.support.waiting import looks

PATIENCE = 60.0
START = 60.0  # seconds that a bot may take to be ready, where other work fills the machine
CUSTOMERS, ORDERS = "orders/shop/customers", "orders/shop/orders"
STOCK, DELIVERIES = "orders/warehouse/stock", "orders/warehouse/deliveries"


T = TypeVar("T")


class NotSeenError(AssertionError):
    """What a test waited for was not to be seen."""


@dataclass
class Story:
    house: House
    desk: Desk
    _met: dict[str, Person] = field(default_factory=dict[str, Person])

    def person(self, name: str) -> Person:
        met = self.house.sandbox.person(f"{name}@harbourpine.example")
        return self._met.setdefault(name, met)

    # --- asking ------------------------------------------------------------------------------

    def form(self, who: Person, text: str = "request") -> View:
        """Open a form: not one that lies there from before."""
        before = {view["id"] for view in who.views()}
        answer = who.command("/access", text)
        if not answer.ok or answer.text:
            raise NotSeenError(f"no form: {answer}")
        return who.wait_view("Request access", where=lambda v: v["id"] not in before)

    def fill(
        self,
        who: Person,
        *,
        path: str = CUSTOMERS,
        permission: str = "read",
        duration: str | None = None,
        why: str = "INC-42",
        grantee: str = "",
    ) -> View:
        """Fill the form in, up to what it says of the flow; `grantee`: for another, by the id."""
        form = self.form(who)
        if grantee:
            form.set("grantee", grantee)
            who.wait_view(where=lambda v: f"resource/{grantee}" in str(v["blocks"]))
            form = who.view()
        form.set("resource", self.offered(who, form, path))
        who.wait_view(where=lambda v: "permission/" in str(v["blocks"]))
        who.view().set("permission", permission)
        who.wait_view(where=lambda v: "Access flow" in str(v["blocks"]))
        form = who.view()
        if duration is not None:
            form.set("duration", duration)
        if why:
            form.set("justification", why)
        return form

    def wait_offer(self, who: Person, path: str = CUSTOMERS) -> None:
        """Wait until somebody finds what was discovered: a search may be two seconds behind."""
        form = self.form(who)
        self.offered(who, form, path)
        form.close(everything=True)

    def offered(self, who: Person, form: View, path: str) -> str:
        def offered() -> list[str]:
            options = form.options("resource", path)
            return [o["value"] for o in options if o["text"]["text"] == path]

        return self.until(offered, f"{who.name} is offered {path}")[0]

    def ask(self, who: Person, **wanted: Any) -> AccessRequest:
        known = {r.id for r in self.desk.requests(live=False)}
        sent = self.send(self.fill(who, **wanted))
        if sent.errors or sent.failed or sent.action != "close":
            raise NotSeenError(f"not submitted: {sent}")
        made = [r for r in self.desk.requests(live=False) if r.id not in known]
        if not made:
            raise NotSeenError(f"{who.name} made no request that is new")
        return made[0]

    # --- deciding ----------------------------------------------------------------------------

    def card(
        self,
        who: Person,
        code: str,
        contains: str = "",
        *,
        button: str = "",
        without: str = "",
        timeout: float = PATIENCE,
    ) -> Message:
        """Wait for the newest card of a request that says this, with or without a button."""

        def find() -> Message | None:
            for message in reversed(who.messages()):
                buttons = [action for action, _, _ in message.buttons]
                said = code in message.text and contains in message.text
                if said and (not button or button in buttons) and without not in buttons:
                    return message
            return None

        what = f"{who.name}: a card of {code} with “{contains}” {button}"
        return self.until(find, what, lambda: [m.text for m in who.messages()], timeout=timeout)

    def press(self, who: Person, code: str, button: str, contains: str = "") -> Answer:
        """Press a button of the newest card that has it: it may just be drawn anew."""
        for _ in looks(PATIENCE):
            with suppress(NotPossible):
                return self.card(who, code, contains, button=button).click(button)
        raise NotSeenError(f"{who.name}: no {button} of {code} stayed for long enough")

    def decide(self, who: Person, code: str, button: str = "approve", **entered: Any) -> Submission:
        self.press(who, code, button)
        modal = who.wait_view("Approve access" if button == "approve" else "Reject request")
        for at, value in entered.items():
            modal.set(at, value)
        return self.send(modal)

    def send(self, form: View) -> Submission:
        """Submit, and again as long as it says that the database is busy, as on a full machine."""
        for _ in looks(PATIENCE):
            sent = form.submit()
            if "try again in a minute" not in str(sent.errors):
                break
        return sent

    def active(self, who: Person, approver: Person, **wanted: Any) -> AccessRequest:
        """Ask, have it approved, and wait until it is there."""
        code = self.ask(who, **wanted).code
        sent = self.decide(approver, code)
        if sent.errors or sent.failed:
            raise NotSeenError(f"not approved: {sent}")
        return self.wait(code, State.ACTIVE)

    # --- looking -----------------------------------------------------------------------------

    def request(self, code: str) -> AccessRequest:
        found = self.desk.request(code)
        if found is None:
            raise NotSeenError(f"{code} is not in the database")
        return found

    def wait(self, code: str, *states: State, timeout: float = PATIENCE) -> AccessRequest:
        def find() -> AccessRequest | None:
            found = self.request(code)
            return found if found.state in states else None

        return self.until(
            find, f"{code} in {states}", lambda: self.request(code).state, timeout=timeout
        )

    def until(
        self,
        find: Callable[[], T | None],
        what: str,
        seen: Callable[[], Any] = lambda: "",
        *,
        timeout: float = PATIENCE,
    ) -> T:
        for _ in looks(timeout, first=0.02):
            if found := find():
                return found
        raise NotSeenError(f"never seen: {what}; instead {seen()}\n{self.house.bot.log[-3000:]}")

    # --- the real system ---------------------------------------------------------------------

    def credentials(self, who: Person, code: str) -> dict[str, str]:
        """Read the login off the modal, and say that it is saved."""
        self.press(who, code, "credentials")
        modal = who.wait_view("How to log in")
        if "Password:" not in modal.text:
            # An earlier access of this login was told its password, which is not kept.
            modal.click("credentials_reset")
            modal = who.wait_view(where=lambda v: "credentials_saved" in str(v))
        lines = (line.partition(":") for line in modal.text.splitlines())
        shown = {label.strip().casefold(): value.strip() for label, _, value in lines}
        keys = ("host", "port", "user", "password")
        login = {"dbname": shown["database"], **{key: shown[key] for key in keys}}
        self.until(lambda: self.works(login), "the login works", lambda: self.refusal(login))
        modal.click("credentials_saved")
        who.view().close()
        return login

    def works(self, login: dict[str, str]) -> bool:
        return not self.refusal(login)

    def refusal(self, login: dict[str, str]) -> str:
        """Return why the server does not let the login in; empty: it does.

        To a client a wrong password, none, and one past its end are the same; the log tells.
        """
        try:
            self.log_in(login).close()
        except psycopg.OperationalError as refused:
            return f"{refused}; {self.house.cluster.log.read_text()[-500:]}"
        return ""

    def log_in(self, login: dict[str, str]) -> psycopg.Connection:
        return psycopg.connect(make_conninfo("", **login), autocommit=True)

    def privileges(self, *, database: str = "orders") -> set[tuple[str, str, str]]:
        """Return (login, object, privilege) of everything that Latchkey's logins hold there."""
        query = """
            select r.rolname, c.relname, a.privilege_type
            from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
            where r.rolname like 'lk\\_%'
            union all
            select r.rolname, n.nspname, a.privilege_type
            from pg_namespace n, aclexplode(n.nspacl) a join pg_roles r on r.oid = a.grantee
            where r.rolname like 'lk\\_%'
            union all
            select r.rolname, d.datname, a.privilege_type
            from pg_database d, aclexplode(d.datacl) a join pg_roles r on r.oid = a.grantee
            where r.rolname like 'lk\\_%'
        """
        with psycopg.connect(self.house.cluster.superuser_dsn(database)) as connection:
            return {(a, b, c) for a, b, c in connection.execute(query)}

    def logins(self) -> set[str]:
        """Return the roles that are Latchkey's grantees'."""
        with psycopg.connect(self.house.cluster.superuser_dsn()) as connection:
            found = connection.execute("select rolname from pg_roles where rolname like 'lk\\_%'")
            return {name for (name,) in found}

    def sessions(self, login: str) -> int:
        query = "select count(*) from pg_stat_activity where usename = %s"
        with psycopg.connect(self.house.cluster.superuser_dsn()) as connection:
            row = connection.execute(query, (login,)).fetchone()
        return row[0] if row else 0

    # --- the directory -----------------------------------------------------------------------

    @contextmanager
    def deactivated(self, person: str) -> Iterator[None]:
        """Let somebody leave the company, and come back."""
        self._status(person, "inactive")
        try:
            yield
        finally:
            self._status(person, "active")

    def _status(self, person: str, status: str) -> None:
        with self.desk.database.write() as tx:
            listed = self.desk.companies.current(tx).directory
            people = [
                replace(p, status=PersonStatus(status)) if p.id == person else p
                for p in listed.people.values()
            ]
            sync.people(tx, people, listed.groups.values(), self.desk.clock.now())

    @contextmanager
    def flow(self, name: str, **changed: Any) -> Iterator[None]:
        """Let a flow be another one, and be as it was again."""
        with self.desk.database.read() as session:
            known = self.desk.companies.current(session).flows.values()
        flows = [f for f in known if not f.deleted]
        before = [(f.revision, f.active) for f in flows]
        self._flows([(replace(r, **changed) if r.name == name else r, on) for r, on in before])
        try:
            yield
        finally:
            self._flows(before)

    def _flows(self, listed: Sequence[tuple[Revision, bool]]) -> None:
        with self.desk.database.write() as tx:
            sync.flows(tx, listed, self.desk.clock.now())

    def lose(self, path: str) -> None:
        """Let a resource be found no more, until the next look at its system finds it."""
        self._resource(path, ResourceStatus.GONE)

    @contextmanager
    def gone(self, path: str) -> Iterator[None]:
        """Let a resource be found no more, and be found again."""
        self.lose(path)
        try:
            yield
        finally:
            self._resource(path, ResourceStatus.ACTIVE)

    def thing(self, entitlement: int) -> str:
        """Return the path of what an entitlement is on."""
        query = (
            select(ResourceRow.path).join(EntitlementRow).where(EntitlementRow.id == entitlement)
        )
        with self.desk.database.read() as session:
            return session.execute(query).scalar_one()

    def owned(self, **by_name: str) -> None:
        """Tag resources with an owner, as a discovery would find them; empty: with none."""
        with self.desk.database.write() as tx:
            rows = tx.execute(select(ResourceRow).where(col(ResourceRow.name).in_(by_name)))
            found = list(rows.scalars())
            for row in found:
                owner = by_name[row.name]
                row.body = {**row.body, "tags": {"owner": [owner]} if owner else {}}
            tx.flush()
            touched.note(tx, Touched(resources={row.id or 0 for row in found}))

    def _resource(self, path: str, status: ResourceStatus) -> None:
        change = update(ResourceRow).where(col(ResourceRow.path) == path)
        with self.desk.database.write() as tx:
            found = tx.execute(change.values(status=status.value).returning(col(ResourceRow.id)))
            touched.note(tx, Touched(resources={id_ for id_ in found.scalars() if id_}))

    def at_once(self, acts: Sequence[Callable[[], Any]]) -> list[Any]:
        """Let several things happen at the same moment."""
        with ThreadPoolExecutor(len(acts)) as pool:
            return [f.result() for f in [pool.submit(act) for act in acts]]

    # --- between tests -----------------------------------------------------------------------

    def clear(self) -> None:
        """End all that is open, so that the next test finds nobody asking for anything."""
        sandbox = self.house.sandbox
        sandbox.clear_faults()
        live = [r for r in self.desk.requests(live=True) if r.state is not State.REVOKING]
        list(revoke.revoke(self.desk, live, "the test is over"))
        sandbox.advance(120)  # past any deadline that a dead instance has left
        self.until(lambda: not self.desk.requests(live=True), "everything has ended")
        for person in self._met.values():  # a form that lies there is taken for the one that comes
            while person.views():
                person.view().close(everything=True)


@contextmanager
def story(
    cluster: Cluster,
    *,
    looked_at: str | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
    forked: bool = True,
    **given: Any,
) -> Iterator[Story]:
    """Open a house with a bot that is linked to Slack and knows everybody.

    `looked_at`: how the test reaches the bot's database, if not as the bot does. `env`: the bot's
    alone. `forked`: it begins with its imports done; what counts before them is not tested.
    """
    if forked:
        given["make_bot"] = partial(Forked, shared())
    with (
        tempfile.TemporaryDirectory(prefix="latchkey-test-") as folder,
        House(Path(folder), cluster=cluster, rate_factor=0, **given) as house,
        opened(settings.load(**house.bot.settings | _other(looked_at))) as desk,
    ):
        house.bot.env |= env
        house.bot.start()
        told = Story(house, desk)
        ready(told)
        told.wait_offer(told.person("marta"))
        yield told


def _other(database: str | None) -> dict[str, str]:
    return {"LATCHKEY_DATABASE_URL": database} if database else {}


def ready(told: Story) -> None:
    """Wait until the bot takes clicks and has found people and resources."""

    def taken() -> bool:
        try:
            return web.get(f"{told.house.url}/readyz").is_success
        except httpx.TransportError:
            return False

    told.until(taken, "the bot is ready", timeout=START)

    def known() -> bool:
        with told.desk.database.read() as session:
            people = told.desk.companies.current(session).directory.people.values()
            tied = sum(1 for person in people if person.account)
            found = session.execute(select(func.count()).select_from(EntitlementRow)).scalar_one()
        return tied > 30 and found > 0

    told.until(known, "people tied and resources discovered", timeout=START)
