"""One person searches, twelve times at once, and that very moment another decides.

What comes over a link is given to the real `Links`, and what goes back over it is timed. The clicks
are those of an approval: the button, which opens a modal, and its submission, which is stored. The
searches are those that find little of much; so are the commands, which search too. Slack answers at
once: what is measured is whether somebody waits for what another does.
"""

import itertools
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bot.program import SWITCH_WITHIN, Program
from bot.runtime.services import Services
from bot.slack.socket_mode import Links
from bot.views import ids
from engine.directory import PersonId
from engine.eligibility import Draft, usable
from engine.request import RequestId
from storage import apply, search
from tests.benchmarks.report import Row, p99, said

CLICKS, AT_MOST = 60, 100.0  # of each kind; milliseconds
HARD = ("prod ledger", "ledger prod", "d ledger prod", "0 1 2 3 4 5", "prod ledg 1", "ledger p 2")
SEARCHER, DECIDER = "UMANY", "U0"
ASKERS = [PersonId(f"p{n}11") for n in range(1, 7)]
PATIENCE = 30.0  # seconds for one answer

Json = dict[str, Any]


def rows(program: Program, kind: str) -> Iterator[Row]:
    services, links = program.services, program.links
    assert links is not None
    wire = Wire(links)
    waiting = iter(asked(services, 3 * CLICKS))
    wire.answer(search_for(HARD[0]))  # reads the inventory
    taken = dict[str, list[float]]()
    with quick_switching():
        for name, make in BESIDE.items():
            others = [make(words) for words in 2 * HARD] if make else []
            clicks = (click for _ in range(CLICKS) for click in approval(next(waiting)))
            taken[name] = [wire.beside(others, click) for click in clicks]
    links.stop()
    alone = taken.pop("nothing")
    for name, clicks in taken.items():
        yield Row(
            f"a click beside twelve {name} of one person, {kind}",
            said([clicks]),
            f"beside nothing: {said([alone])}",
            f"p99 ≤ {AT_MOST:.0f} ms",
            p99(clicks) <= AT_MOST,
        )


class Wire:
    """A link that leads nowhere: it is told what would be sent."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._numbers = itertools.count()
        self._sent: dict[str, threading.Event] = {}

    def say(self, said: Json) -> bool:
        self._sent.pop(said["envelope_id"]).set()
        return True

    def send(self, payload: Json) -> threading.Event:
        """Return what is set when it is acknowledged."""
        name = f"envelope-{next(self._numbers)}"
        answered = self._sent[name] = threading.Event()
        link: Any = self
        self._links.take(link, {"envelope_id": name, "payload": payload})
        return answered

    def beside(self, others: Sequence[Json], payload: Json) -> float:
        """Send it right after the others; return the milliseconds until it was acknowledged."""
        under_way = [self.send(other) for other in others]
        taken = self.answer(payload)
        for answered in under_way:
            answered.wait(PATIENCE)
        return taken

    def answer(self, payload: Json) -> float:
        begun = time.perf_counter()
        if not self.send(payload).wait(PATIENCE):
            raise SystemExit(f"not acknowledged: {payload}")
        return (time.perf_counter() - begun) * 1000


def asked(services: Services, most: int) -> Sequence[RequestId]:
    """Return requests of some people that wait for an approval."""
    made = []
    with services.database.read() as session:
        company = services.companies.current(session)
        askers = [company.directory.people[asker] for asker in ASKERS]
        flow = usable(company.flows.values(), askers[0], askers[0], company.directory)[0]
        each = most // len(ASKERS)
        found = search.resources(session, services.companies.catalogues, [flow], "", limit=each)
        offered = [search.entitlements_on(session, f.resource)[0] for f in found]
    for number, (asker, entitlement) in enumerate(itertools.product(askers, offered)):
        draft = Draft(
            requestor=asker,
            grantee=asker,
            flow=flow,
            entitlements=(entitlement,),
            duration=timedelta(hours=1),
            justification="INC-1",
        )
        with services.database.write() as tx:
            now, key = services.clock.now(), f"beside/{number}"
            made.append(apply.submit(tx, services.companies.current(tx), draft, key, now).id)
    return made


def about(who: str, type_: str) -> Json:
    return {
        "type": type_,
        "team": {"id": "T0", "domain": "big"},
        "user": {"id": who, "team_id": "T0"},
        "api_app_id": "A0",
        "trigger_id": "1.2.3",
    }


def search_for(words: str) -> Json:
    view = {"type": "modal", "callback_id": ids.REQUEST_MODAL}
    asks = {"action_id": ids.RESOURCE, "block_id": ids.RESOURCE, "value": words, "view": view}
    return about(SEARCHER, "block_suggestion") | asks


def command_with(words: str) -> Json:
    return {
        "team_id": "T0",
        "user_id": SEARCHER,
        "command": "/access",
        "text": f"request read on {words}: INC-1",
        "api_app_id": "A0",
        "trigger_id": "1.2.3",
    }


def approval(request: RequestId) -> Iterator[Json]:
    pressed = {"type": "button", "action_id": ids.APPROVE, "block_id": "b", "value": str(request)}
    yield about(DECIDER, "block_actions") | {"actions": [pressed | {"action_ts": "1.0"}]}
    view = {
        "id": "V1",
        "type": "modal",
        "callback_id": ids.APPROVE_MODAL,
        "blocks": [],
        "hash": "1.h",
    }
    yield about(DECIDER, "view_submission") | {"view": view | {"private_metadata": str(request)}}


BESIDE = {"nothing": None, "hard searches": search_for, "commands with hard words": command_with}


@contextmanager
def quick_switching() -> Iterator[None]:
    """Let threads take turns as in the program."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_WITHIN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
