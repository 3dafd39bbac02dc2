"""Slack's people, read a page at a time: nothing throws the place away, and nobody waits for it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
import yaml

from bot.loops.jobs import JobLoop, Periodic
from bot.runtime.metrics import Vitals
from bot.runtime.services import Services
from bot.sandbox.client import Sandbox
from bot.sandbox.house import MANIFESTS
from bot.slack.client import Client
from bot.slack.errors import UNSAID
from bot.slack.gate import Gate
from bot.usecases import roster
from engine.outcome import Card
from storage import jobs, sync
from storage.jobs import JobKind
from storage.tables import JobRow, MessageRow
from tests.support.inside import counted, run_jobs
from tests.support.stored import ADA, GROUPS, PEOPLE, Stored, person

LARGE = 4600
SECOND = timedelta(seconds=1)


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self):
        return self.time


@dataclass
class Slack:
    """A Slack that gives the answers it is told to, one a call, then its pages."""

    pages: list[list[str]]
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)  # limit and cursor

    def answer(self, method: str, given: dict[str, list[str]]) -> tuple[int, dict[str, str], str]:
        if method == "auth.test":
            return 200, {}, json.dumps({"ok": True, "team_id": "T1"})
        cursor = given.get("cursor", [""])[0]
        self.asked.append((given.get("limit", [""])[0], cursor))
        if self.answers:
            return self.answers.pop(0)
        at = int(cursor or 0)
        last = at + 1 == len(self.pages)
        members = [member(name) for name in self.pages[at]]
        after = {"next_cursor": "" if last else str(at + 1)}
        said = {"ok": True, "members": members, "response_metadata": after}
        return 200, {}, json.dumps(said)


def member(name: str) -> dict[str, object]:
    said = {"id": f"U-{name}", "team_id": "T1", "is_email_confirmed": True, "is_restricted": False}
    return said | {"profile": {"email": f"{name}@example.com"}}


@contextmanager
def served(slack: Slack) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            status, headers, said = slack.answer(self.path.rpartition("/")[2], parse_qs(body))
            self.send_response(status)
            for name, value in headers.items():
                for one in value.split("|"):
                    self.send_header(name, one)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


NAMES = [f"p{n}" for n in range(6)]


@dataclass
class Reading:
    """The job that reads, run by hand; `others` runs beside it, and never waits."""

    stored: Stored
    services: Services
    client: Client
    others: int = 0

    @property
    def job(self) -> JobRow:
        return next(r for r in self.stored.rows(JobRow) if r.kind == JobKind.SLACK_PEOPLE)

    def run(self) -> timedelta:
        """Let the job run once it is due; return after how long it wants to run again."""
        clock = self.services.clock
        clock.time = max(clock.time, self.job.due_at)

        def other(_):
            self.others += 1

        def schedule(tx):
            jobs.reschedule(tx, JobKind.SWEEP, "", clock.time)

        self.services.transaction(schedule)
        read_on = partial(roster.read_on, self.services, self.client)
        runners = {JobKind.SLACK_PEOPLE: read_on, JobKind.SWEEP: other}
        longest = timedelta(days=1)
        kinds = {kind: Periodic(run, longest) for kind, run in runners.items()}
        run_jobs(JobLoop(self.services, kinds))
        return self.job.due_at - clock.time

    def tied(self) -> int:
        people = self.services.company().directory.people
        return sum(people[name].account is not None for name in NAMES)

    def alarms(self) -> list[str]:
        rows = self.stored.rows(MessageRow)
        return [r.detail for r in rows if (r.recipient, r.kind) == (ADA, Card.ALARM)]


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    people = [*PEOPLE, *map(person, NAMES)]
    opened.write(lambda tx, _: sync.people(tx, people, GROUPS, opened.now))
    yield opened
    opened.close()


def reading(stored, api) -> Reading:
    services = Services(stored.database, stored.companies, Hands(), stored.keys, {})
    now = services.clock.now()
    services.transaction(lambda tx: jobs.schedule(tx, JobKind.SLACK_PEOPLE, "", now))
    return Reading(stored, services, client(lambda: "xoxb-test", api, services))


def client(token, api, services) -> Client:
    """Return a client that goes by the services' clock."""
    gate = Gate(now=lambda: services.clock.now().timestamp())
    return Client(token, api, 10, Vitals(), gate=gate)


@pytest.fixture
def slack():
    return Slack([NAMES[:2], NAMES[2:4], NAMES[4:]])


@pytest.fixture
def read(stored, slack):
    with served(slack) as api:
        yield reading(stored, api)


def test_each_page_ties_at_once_and_the_next_comes_within_slacks_rate(read, slack):
    seen = [(read.run(), read.tied()) for _ in range(3)]

    assert seen == [(3 * SECOND, 2), (3 * SECOND, 4), (3600 * SECOND, 6)]
    assert slack.asked == [("1000", ""), ("1000", "1"), ("1000", "2")]


def limited(said: dict[str, str], body: str = '{"ok": false, "error": "ratelimited"}'):
    return 429, said, body


HTML = "<html><title>429 Too Many Requests</title></html>"


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (limited({"Retry-After": "30"}), 30 * SECOND),
        (limited({"retry-after": "7"}, HTML), 7 * SECOND),
        (limited({"Retry-After": "30, 30"}), 30 * SECOND),
        (limited({"Retry-After": "30|30"}), 30 * SECOND),
        (limited({"Retry-After": "0"}), 3 * SECOND),
        (limited({"Retry-After": "9" * 9}), 300 * SECOND),
        (limited({}), UNSAID),
        (limited({}, HTML), UNSAID),
        (limited({"Retry-After": ""}), UNSAID),
        (limited({"Retry-After": "-5"}), UNSAID),
        (limited({"Retry-After": "1.5"}), UNSAID),
        (limited({"Retry-After": "soon"}), UNSAID),
        (limited({"Retry-After": "Sat, 28 Nov 2026 19:00:00 GMT"}), UNSAID),
        (limited({"Retry-After": "9" * 400}), UNSAID),
        ((200, {"Retry-After": "9"}, '{"ok": false, "error": "ratelimited"}'), 9 * SECOND),
    ],
    ids=str,
)
def test_a_limit_costs_one_call_and_keeps_the_place(read, slack, answer, wait):
    """F61: a 429 threw the listing away, and in a large workspace nobody was ever tied."""
    read.run()
    slack.answers = [answer]

    assert read.run() == wait
    assert read.tied() == 2
    assert read.others == 2  # whatever else is to be done does not wait

    read.run()
    read.run()
    assert read.tied() == 6
    assert [cursor for _, cursor in slack.asked] == ["", "1", "1", "2"]
    assert read.alarms() == []


FAULTY = {
    "an error": (200, {}, '{"ok": false, "error": "internal_error"}'),
    "5xx": (503, {}, "upstream connect error"),
    "html": (200, {}, HTML),
    "no members": (200, {}, '{"ok": true}'),
    "members of no shape": (200, {}, '{"ok": true, "members": [1, {"name": "x"}]}'),
    "a list": (200, {}, "[1]"),
    "half a page": (200, {"Content-Length": "9999"}, '{"ok": true, "mem'),
}


@pytest.mark.parametrize("answer", FAULTY.values(), ids=FAULTY)
def test_whatever_comes_instead_of_a_page_is_tried_again(read, slack, answer):
    read.run()
    slack.answers = [answer]

    assert timedelta() < read.run() < 60 * SECOND
    while read.run() < 3600 * SECOND:
        pass

    assert read.tied() == 6


def test_what_fails_again_and_again_is_tried_with_growing_pauses(read, slack):
    """The pauses were zero, and no test was red."""
    read.run()
    slack.answers = [FAULTY["a list"]] * 10

    pauses = [read.run().total_seconds() for _ in range(10)]

    # No page is asked for within three seconds of another.
    assert pauses == [3, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    read.run()
    slack.answers = [FAULTY["a list"]]
    assert read.run() == 3 * SECOND  # what was read meanwhile begins anew


def test_a_place_that_slack_does_not_know_any_more_is_begun_anew(read, slack):
    read.run()
    slack.answers = [(200, {}, '{"ok": false, "error": "invalid_cursor"}')]

    for _ in range(4):
        read.run()

    assert [cursor for _, cursor in slack.asked] == ["", "1", "", "1", "2"]
    assert read.tied() == 6


def test_a_process_that_dies_in_between_leaves_its_place_to_the_next(read, slack, stored):
    read.run()
    later = Reading(stored, read.services, read.client)

    later.run()

    assert [cursor for _, cursor in slack.asked] == ["", "1"]


GONE = (200, {}, '{"ok": false, "error": "invalid_cursor"}')


WAYS = {
    "refused": "Slack says internal_error",
    "limited": "Slack says ratelimited",
    "no answer": "Slack gave no answer",
    "no list": "Slack's answer was no list of people",
    "nobody": "nothing in Slack's list was a person's account",
    "cursors that never hold": "Slack says invalid_cursor",
    "in circles": "Slack's list goes round in circles",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_admins_hear_of_a_listing_that_does_not_end(read, slack, way):
    """Nobody heard that nobody new was known: it failed for ever, in the log."""
    if way == "refused":
        slack.answers = [FAULTY["an error"]] * 5
    elif way == "limited":
        slack.answers = [limited({"Retry-After": "1"})] * 5
    elif way == "no answer":
        slack.answers = [FAULTY["half a page"]] * 5
    elif way == "no list":
        slack.answers = [FAULTY["no members"]] * 5
    elif way == "nobody":
        slack.answers = [FAULTY["members of no shape"]] * 5
    elif way == "cursors that never hold":
        page = (200, {}, json.dumps(
            {"ok": True, "members": [], "response_metadata": {"next_cursor": "x"}}
        ))  # fmt: skip
        slack.answers = [page, GONE] * 5
    else:
        page = (200, {}, json.dumps(
            {"ok": True, "members": [], "response_metadata": {"next_cursor": "x"}}
        ))  # fmt: skip
        slack.answers = [page] * 10

    while slack.answers:
        read.run()

    (said,) = read.alarms()
    assert "latchkey doctor" in said
    assert f"({WAYS[way]})" in said
    while read.run() < 3600 * SECOND:
        pass
    assert read.tied() == 6
    assert len(read.alarms()) == 1

    slack.answers = [FAULTY["5xx"]] * 3
    for _ in range(3):
        read.run()
    assert len(read.alarms()) == 2  # it had worked in between


@pytest.mark.parametrize("tail", [0, 1, 5])
@pytest.mark.parametrize("length", [2, 3, 7])
def test_a_circle_of_any_size_is_told_soon(read, slack, tail, length):
    """Of two cursors that led to each other, nobody heard for hours: 5,000 pages were read."""
    pages = 0

    def page(method, given):
        nonlocal pages
        if method == "auth.test":
            return 200, {}, json.dumps({"ok": True, "team_id": "T1"})
        pages += 1
        at = int(given.get("cursor", ["0"])[0]) + 1
        after = {"next_cursor": str(at if at <= tail + length else tail + 1)}
        said = {"ok": True, "members": [], "response_metadata": after}
        return 200, {}, json.dumps(said)

    slack.answer = page
    while not read.alarms() and pages < 200:
        read.run()

    assert "goes round in circles" in read.alarms()[0]
    assert pages <= 3 * 4 * (tail + length)


@pytest.mark.parametrize(
    "odd", [{"profile": "x"}, {"id": 7}, {"enterprise_user": 1}, None, "U1"], ids=str
)
def test_one_account_of_no_shape_keeps_nobody_else_away(read, slack, odd):
    """It threw the whole page away, at every reading: whoever was on it was never tied."""
    users = [member(name) for name in NAMES]
    strange = member("strange") | odd if isinstance(odd, dict) else odd
    page = {"ok": True, "members": [users[0], strange, *users[1:]], "response_metadata": {}}
    slack.answers = [(200, {}, json.dumps(page))]

    assert read.run() == 3600 * SECOND
    assert read.tied() == 6
    assert read.alarms() == []


@pytest.mark.parametrize("missing", ["team_id", "is_restricted", "is_email_confirmed", "profile"])
def test_a_listing_that_says_less_takes_nothing_away(read, slack, missing):
    """Without the team, everybody was taken for another company's, and every tie was suspended."""
    slack.pages = [NAMES]
    read.run()
    less = [{k: v for k, v in member(name).items() if k != missing} for name in NAMES]
    page = {"ok": True, "members": less, "response_metadata": {}}
    slack.answers = [(200, {}, json.dumps(page))]

    read.run()

    assert read.tied() == 6
    assert read.alarms() == []


def test_many_limits_in_a_long_listing_are_no_fault(read, slack):
    """Each of them let something new be read: nothing is wrong."""
    for _ in range(2):
        slack.answers = [limited({"Retry-After": "1"})] * 2
        for _ in range(3):
            read.run()
    read.run()

    assert read.tied() == 6
    assert read.alarms() == []


def test_the_same_people_again_cost_nothing_but_the_jobs_own_row(read, slack):
    slack.pages = [NAMES]
    read.run()

    with counted(read.stored.database) as cost:
        drained = read.run()

    assert drained == 3600 * SECOND
    # Two for the other job's coming and going, one to claim both, one to put this one off.
    assert cost.transactions == 4


def test_4600_people_are_tied_under_the_limit_that_slack_documents(stored, tmp_path):
    """F61: at 200 accounts a page they took 23 calls, where Slack takes 20 a minute."""
    crowd = [person(f"q{n}") for n in range(LARGE)]
    listed = [*PEOPLE, *map(person, NAMES), *crowd]
    stored.take_in(listed)
    users = [
        {"id": f"U0Q{n}", "name": p.id, "real_name": p.name, "email": p.email}
        for n, p in enumerate(crowd)
    ]
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.dump({"team": {"id": "T1"}, "users": users}, Dumper=yaml.CSafeDumper))
    manifest = MANIFESTS / "slack-app.yaml"
    with Sandbox.start(manifest=manifest, workspace=workspace) as sandbox:
        sandbox.fault("users.list", "rate_limited", skip=2, retry_after=1)
        here = reading(stored, sandbox.api_url)
        here.client = client(lambda: sandbox.bot_token, sandbox.api_url, here.services)
        waits = [here.run() for _ in range(6)]
        calls = [c for c in sandbox.journal() if c["kind"] == "call"]

    people = here.services.company().directory.people
    assert all(people[p.id].account for p in crowd)
    assert waits == [3 * SECOND] * 5 + [3600 * SECOND]
    assert len([c for c in calls if c["method"] == "users.list"]) == 6
