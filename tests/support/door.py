"""The bot behind its door, in the test's own process: what Slack would sign goes in as it is.

Slack's side is a few lines that take what Slack takes, so that a thousand payloads are seconds.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackApiError
from sqlalchemy import delete, insert, select
from sqlmodel import SQLModel
from structlog.testing import capture_logs

import manifests
from bot import settings, wiring
from bot.runtime.metrics import Vitals
from bot.runtime.services import Connected
from bot.sandbox.blocks import judge_blocks, judge_options, judge_view, texts, view_is_too_large
from bot.slack import dispatch, socket_mode
from bot.slack.client import Client, Clients
from bot.slack.gate import Gate
from bot.usecases import discover, identity
from bot.usecases.take_in import take_in
from bot.views import ids
from engine.connectors.memory import Memory
from engine.directory import Person, PersonId
from engine.inventory import Integration, IntegrationId
from engine.port import Discovered
from engine.request import AccessRequest, AccountId, RequestId, State
from storage import audit, claims, facts, schema
from storage.catalogue import Catalogues
from storage.secrets import new_key
from storage.tables import AuditHead, EntitlementRow, ResourceRow
from tests.support.front import MANY
from tests.support.statements import heard

COMPANY = Path(__file__).parents[2] / "manifests" / "sandbox"
SYSTEM = IntegrationId("orders-db")
TEAM = "T0HARBOUR"
CUSTOMERS, STOCK, PAYMENTS = (
    "orders/shop/customers",
    "orders/warehouse/stock",
    "ledger/accounts/payments",
)
TABLES = [
    Discovered("table", path.rpartition("/")[2], path, path, {"read": 4, "read-write": 7})
    for path in (CUSTOMERS, STOCK, PAYMENTS, "ledger/payroll/salaries")
]

Json = dict[str, Any]
Rows = dict[str, list[Json]]


def slack_id(person: str) -> str:
    return f"U0{person.upper()}"


def profile(person: Person, **changed: object) -> Json:
    """Return the user as Slack's users.info gives it."""
    known = {"id": slack_id(person.id), "team_id": TEAM, "is_email_confirmed": True}
    known |= {"is_restricted": False}
    return known | {"profile": {"email": person.email}} | changed


class Slack(Client):
    """Slack's Web API: it refuses what Slack would, and remembers what it was told."""

    def __init__(self) -> None:
        gate = Gate(MANY)
        super().__init__(lambda: "xoxb-test", "http://127.0.0.1:9/api/", 1, Vitals(), gate=gate)
        self.users: dict[str, Json] = {}
        self.calls: list[tuple[str, Json]] = []
        self.faults: dict[str, Exception] = {}  # what calls of a method raise

    def _send(self, method: str, given: Json) -> Any:
        said = given.get("json") or given.get("params") or {}
        if method == "auth.test":
            return {"ok": True, "team_id": TEAM}
        if method == "users.info":
            if said["user"] not in self.users:
                raise SlackApiError("refused", {"ok": False, "error": "user_not_found"})
            return {"ok": True, "user": self.users[said["user"]]}
        if method.startswith("views."):
            kind = "home" if method == "views.publish" else "modal"
            assert not judge_view(said["view"], kind), said["view"]
            assert not view_is_too_large(said["view"])
        self.calls.append((method, json.loads(json.dumps(said))))
        if fault := self.faults.get(method):
            raise fault
        return {"ok": True, "channel": "D0", "ts": "1.0"}


class Hands:
    """A clock that a test sets; it may go back."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def move(self, by: timedelta) -> None:
        self.time += by


@dataclass
class Answer:
    """What Slack and the person got for one payload, and what was logged meanwhile."""

    status: int
    payload: Json
    calls: list[tuple[str, Json]]
    log: list[Mapping[str, Any]] = field(repr=False)

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        return [line for line in self.log if line["log_level"] in {"error", "critical"}]

    @property
    def views(self) -> list[Json]:
        """The modals that the person sees because of it."""
        shown = [said["view"] for _, said in self.calls if "view" in said]
        return shown + ([self.payload["view"]] if "view" in self.payload else [])

    @property
    def said(self) -> str:
        """All that the person reads because of it."""
        lines = [str(self.payload.get("text") or "")]
        lines += [str(line) for line in (self.payload.get("errors") or {}).values()]
        lines += [text for view in self.views for text in texts(view["blocks"])]
        return "\n".join(filter(None, lines))


class Door:
    """A program without threads of its own: payloads go in at the door, loops run when told."""

    def __init__(self, database_url: str, slack: Slack, clock: Hands) -> None:
        self.slack, self.clock = slack, clock
        self.system = Memory(TABLES)
        integration = Integration(SYSTEM, "Production PostgreSQL", "postgresql")
        given = settings.load(
            SLACK_BOT_TOKEN="xoxb-test",
            SLACK_APP_TOKEN="xapp-test",
            SLACK_API_URL="http://127.0.0.1:9/api/",
            LATCHKEY_DATABASE_URL=database_url,
            LATCHKEY_KEYS=new_key(),
            LATCHKEY_MANIFESTS=str(COMPANY),
        )
        self.program = wiring.build(
            given,
            clock=clock,
            clients=Clients(slack, slack, None),
            connectors={SYSTEM: Connected(integration, self.system)},
        )
        self.database, self.services = self.program.database, self.program.services
        self._listening = ExitStack()
        try:
            self._found()
        except BaseException:
            self.close()  # nobody else could: there is no door
            raise
        self.app = self.program.app
        self._numbers = 0
        self.written = 0  # statements that might have changed something
        self._listening.enter_context(heard(self.database, self._note))
        self.keep()

    def _found(self) -> None:
        schema.upgrade(self.database)
        take_in(self.services, manifests.load(COMPANY))
        with self.database.write() as tx:  # without a heartbeat: its leases hold for good
            self.database.instance = claims.register(tx)
        self.slack.users = {
            slack_id(p.id): profile(p) for p in self.services.company().directory.people.values()
        }
        identity.take(self.services, self.slack.users.values())
        discover.discover(self.services, SYSTEM)

    def close(self) -> None:
        self._listening.close()
        self.program.stop()

    # --- what Slack delivers -----------------------------------------------------------------

    def deliver(self, body: Any) -> Answer:
        """Bring a payload in, as both of Slack's ways do, and return what came of it."""
        self.slack.calls.clear()
        with capture_logs() as log:
            response = dispatch.dispatch(self.app, body, "a-delivery")
        payload = socket_mode.payload(response) or {}
        return Answer(response.status, payload, list(self.slack.calls), log)

    def command(self, who: str, text: str = "", **changed: object) -> Answer:
        return self.deliver(command(who, text) | changed)

    def click(self, who: str, action: str, value: object, **changed: object) -> Answer:
        return self.deliver(click(who, action, value) | changed)

    def submit(self, who: str, view: Json, values: Json | None = None) -> Answer:
        self._numbers += 1
        return self.deliver(submission(who, {"id": f"V{self._numbers}", **view}, values or {}))

    # --- what people do, in one line each ----------------------------------------------------

    def form(self, who: str, path: str = CUSTOMERS, permission: str = "read") -> Json:
        """Return the form filled in, as Slack would send it."""
        answer = self.command(who, f"request {permission} on {path}: INC-1")
        assert answer.views, answer.said
        return answer.views[0]

    def ask(self, who: str, path: str = CUSTOMERS, why: str = "INC-1") -> AccessRequest:
        known = {r.id for r in self.requests()}
        form = self.form(who, path)
        answer = self.submit(who, form, filled(form, justification={"value": why}))
        made = [r for r in self.requests() if r.id not in known]
        assert made, answer.said
        return made[0]

    def active(self, who: str, approver: str, path: str = CUSTOMERS) -> AccessRequest:
        request = self.ask(who, path)
        if request.state is State.PENDING:
            self.submit(approver, modal(ids.APPROVE_MODAL, str(request.id)))
        self.work()
        assert self.request(request.id).state is State.ACTIVE
        return self.request(request.id)

    # --- the loops ---------------------------------------------------------------------------

    def work(self) -> None:
        """Let the loops run until they have nothing to do."""
        self.program.run_until_idle()

    # --- looking -----------------------------------------------------------------------------

    def requests(self) -> list[AccessRequest]:
        with self.database.read() as session:
            return facts.find(session, live=False)

    def request(self, id_: RequestId) -> AccessRequest:
        return next(r for r in self.requests() if r.id == id_)

    def account(self, request: AccessRequest) -> AccountId:
        return request.grants[0].account

    def resource(self, path: str) -> int:
        with self.database.read() as session:
            query = select(ResourceRow.id).where(ResourceRow.path == path)
            return session.execute(query).scalar_one()

    def entitlement(self, path: str, permission: str = "read") -> int:
        query = select(EntitlementRow.id).where(
            EntitlementRow.resource_id == self.resource(path),
            EntitlementRow.permission == permission,
        )
        with self.database.read() as session:
            return session.execute(query).scalar_one()

    def person(self, id_: str) -> Person:
        return self.services.company().directory.people[PersonId(id_)]

    def rows(self) -> Rows:
        """Return all that is stored."""
        with self.database.read() as session:
            return {
                table.name: [dict(row) for row in session.execute(select(table)).mappings()]
                for table in SQLModel.metadata.sorted_tables
            }

    def keep(self) -> None:
        """Remember what is stored, here and in the system, for `put_back`."""
        self._kept = self.rows(), copy.deepcopy(self.system.accounts), self.clock.time
        self.written = 0

    def put_back(self) -> bool:
        """Store nothing but what was stored then; return whether anything was different."""
        rows, accounts, time_ = self._kept
        written, self.written = self.written, 0
        if not written or self.rows() == rows:
            return False
        # What is kept in memory shall not be taken for what is stored now.
        now = self.services.company().epoch + 1
        rows["company"][0] |= {"epoch": now, "forgotten": now}
        with self.database.write() as tx:
            on = tx.connection()
            for table in reversed(SQLModel.metadata.sorted_tables):
                on.execute(delete(table))
            for table in SQLModel.metadata.sorted_tables:
                if rows[table.name]:
                    on.execute(insert(table), rows[table.name])
        self.system.accounts, self.clock.time = copy.deepcopy(accounts), time_
        fresh = Catalogues()  # else a search is two seconds behind
        fresh.looked = self.services.companies.catalogues.looked
        self.services.companies.catalogues = fresh
        self.written = 0
        return True

    def _note(self, statement: str, _values: object) -> None:
        self.written += not statement.startswith(("SELECT", "BEGIN"))

    def audited(self) -> int:
        with self.database.read() as session:
            return session.execute(select(AuditHead.seq)).scalar_one()

    def audit_faults(self) -> list[str]:
        with self.database.read() as session:
            return list(audit.AuditReading(session).findings())


@contextmanager
def opened(database_url: str) -> Iterator[Door]:
    """Open a bot on an empty database; nothing of it leaves this process."""
    slack, clock = Slack(), Hands()
    made = Door(database_url, slack, clock)
    try:
        yield made
    finally:
        made.close()


# --- payloads, as Slack makes them ---------------------------------------------------------------


def _about(who: str, type_: str) -> Json:
    user = {"id": slack_id(who), "username": who, "name": who, "team_id": TEAM}
    return {
        "type": type_,
        "team": {"id": TEAM, "domain": "harbour-pine"},
        "user": user,
        "api_app_id": "A0",
        "token": "t",
        "trigger_id": "1.2.3",
    }


def command(who: str, text: str = "") -> Json:
    return {
        "token": "t",
        "team_id": TEAM,
        "team_domain": "harbour-pine",
        "channel_id": "C0",
        "channel_name": "general",
        "user_id": slack_id(who),
        "user_name": who,
        "command": "/access",
        "text": text,
        "api_app_id": "A0",
        "response_url": "http://127.0.0.1:9/",
        "trigger_id": "1.2.3",
    }


def click(who: str, action: str, value: object) -> Json:
    pressed = {
        "type": "button",
        "action_id": action,
        "block_id": "b",
        "value": value,
        "action_ts": "1.0",
        "text": {"type": "plain_text", "text": "x"},
    }
    return _about(who, "block_actions") | {
        "container": {"type": "message", "message_ts": "1.0", "channel_id": "D0"},
        "channel": {"id": "D0", "name": "directmessage"},
        "message": {"type": "message", "ts": "1.0", "text": "x", "blocks": []},
        "actions": [pressed],
    }


def click_in(who: str, view: Json, action: str, value: object) -> Json:
    """Return a click in a modal."""
    made = click(who, action, value)
    del made["message"], made["channel"]
    return made | {"container": {"type": "view", "view_id": "V1"}, "view": shown(view, {})}


def choice(who: str, view: Json, action: str, option: str, values: Json) -> Json:
    """Return what Slack sends when somebody chooses in a menu of the form."""
    chosen = {"text": {"type": "plain_text", "text": "x"}, "value": option}
    made = click_in(who, view, action, None)
    made["actions"][0] |= {"type": "external_select", "selected_option": chosen}
    return made | {"view": shown(view, values)}


def submission(who: str, view: Json, values: Json) -> Json:
    return _about(who, "view_submission") | {"view": shown(view, values), "response_urls": []}


def suggestion(who: str, value: object, action: str = ids.RESOURCE) -> Json:
    made = {"container": {"type": "view", "view_id": "V1"}, "action_id": action, "block_id": action}
    return _about(who, "block_suggestion") | made | {"value": value, "view": shown({}, {})}


def home(who: str) -> Json:
    event = {"type": "app_home_opened", "user": slack_id(who), "tab": "home", "channel": "D0"}
    about = {"token": "t", "team_id": TEAM, "api_app_id": "A0", "event_id": "Ev0"}
    return about | {"type": "event_callback", "event": event, "event_time": 1}


def shown(view: Json, values: Json) -> Json:
    """Return a modal that is open, with what stands in its fields."""
    given = {"id": "V0", "type": "modal", "callback_id": "", "hash": "1.h", "team_id": TEAM}
    return given | {"private_metadata": "", "blocks": [], "state": {"values": values}} | view


def modal(callback: str, metadata: object = "") -> Json:
    return {"callback_id": callback, "private_metadata": metadata}


def filled(view: Json, **changed: Json) -> Json:
    """Return the state of a form as it was drawn; `changed` by the action."""
    values: Json = {}
    for block in (b for b in view["blocks"] if b["type"] == "input"):
        element = block["element"]
        stands: Json = {"type": element["type"]}
        if "initial_option" in element:
            stands["selected_option"] = element["initial_option"]
        if "initial_value" in element:
            stands["value"] = element["initial_value"]
        if "initial_date" in element:
            stands["selected_date"] = element["initial_date"]
        action = element["action_id"]
        values[block["block_id"]] = {action: stands | changed.get(action, {})}
    return values


def judged(answer: Answer, body: Json) -> list[str]:
    """Return what Slack would not take of an answer."""
    if body.get("type") == "block_suggestion":
        return [str(fault) for fault in judge_options(answer.payload)]
    faults = [str(f) for f in judge_blocks(answer.payload.get("blocks", []), "message")]
    if "view" in answer.payload:
        faults += map(str, judge_view(answer.payload["view"], "modal"))
    fields = {b.get("block_id") for b in body.get("view", {}).get("blocks", [])}
    return faults + [
        f"no field {key}" for key in answer.payload.get("errors", {}) if key not in fields
    ]
