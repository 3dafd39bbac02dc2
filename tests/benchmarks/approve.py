"""Approve submitted, beside bare Bolt opening a modal of equal bytes, and taking it.

Latchkey and bare Bolt take turns, one approval after another, each on a sandbox of its own: what
else the machine does touches both, and neither is warmer than the other. What the loops do is done
before either is measured: the cards are there, as they are for who clicks on one, and each request
is active before the next one is made.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from bot import settings
from bot.sandbox.client import Person, Sandbox, View
from bot.sandbox.house import COMPANY, MANIFESTS, House
from bot.sandbox.postgres import Cluster
from bot.usecases.console import Desk, opened
from engine.request import State
from tests.benchmarks.report import Row, said
from tests.benchmarks.slash import bare_bolt, median
from tests.support.story import Story, ready
from tests.support.waiting import wait_until

ROUNDS, APPROVALS = 3, 40  # approvals in each round
BAR = 4.0
WARM_UP = 3
ASKING = (  # so many that nobody comes to hold much at once; all of them need an approval
    "marta", "diego", "fatou", "ravi", "aisha", "chloe", "sam.lee", "ines", "amara",
    "li.wei", "jonas", "yuki", "oleh", "zoe", "anil",
)  # fmt: skip
SHOP = ("customers", "orders", "events", "revenue_by_month", "best_customers")


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    ours, opening, taking = list[float](), list[float](), list[float]()
    file = folder / "view.json"
    with (
        House(folder / "house", cluster=cluster, rate_factor=0) as house,
        opened(settings.load(**house.bot.settings)) as desk,
        Sandbox.start(
            manifest=MANIFESTS / "slack-app.yaml",
            workspace=COMPANY / "workspace.yaml",
            clock=folder / "clock",
            rate_factor=0,
        ) as other,
    ):
        house.bot.start()
        told = Story(house, desk)
        ready(told)
        told.wait_offer(told.person("marta"))
        approve = approvals(house.sandbox, desk, file)
        next(approve)
        with bare_bolt(other, file):
            people = itertools.cycle([other.person(f"{n}@harbourpine.example") for n in ASKING])
            for _ in range(ROUNDS * APPROVALS + WARM_UP):
                ours.append(next(approve))
                opened_and_taken(next(people))  # the request
                for times, ms in zip(
                    (opening, taking), opened_and_taken(next(people)), strict=True
                ):
                    times.append(ms)
    ours, opening, taking = (in_rounds(each[WARM_UP:]) for each in (ours, opening, taking))
    size = f"{file.stat().st_size:,} bytes"
    ratio = median(ours) / median(opening)
    yield Row(
        "Approve submitted, acknowledged",
        said(ours),
        f"bare Bolt, opening a modal of {size}: {said(opening)}",
        f"{ratio:.2f} × (≤ {BAR:g} ×)",
        ratio <= BAR,
    )
    yield Row(
        "the same",
        f"{median(ours) / median(taking):.2f} ×",
        f"bare Bolt, taking a submission of {size} and doing nothing: {said(taking)}",
        "",
        None,
    )


def in_rounds(times: list[float]) -> list[list[float]]:
    return [times[n : n + APPROVALS] for n in range(0, len(times), APPROVALS)]


def approvals(sandbox: Sandbox, desk: Desk, file: Path) -> Iterator[float]:
    """Have requests approved, one after another; keep the modal, for bare Bolt to open the same."""
    priya = sandbox.person("priya@harbourpine.example")
    asking = [sandbox.person(f"{name}@harbourpine.example") for name in ASKING]
    for number, (table, who) in enumerate(itertools.cycle(itertools.product(SHOP, asking))):
        who.command("/access", f"request read on orders/shop/{table}: INC-{number}.")
        who.wait_view("Request access").submit()
        card = priya.wait_message(f"INC-{number}.")
        who.wait_message(f"INC-{number}.")  # which is the last to be sent
        card.click("approve")
        form = priya.wait_view("Approve access")
        if not file.exists():
            file.write_text(json.dumps(reduced(priya.views()[-1])))
        milliseconds = submitted(form)
        wait_until(lambda: desk.requests(live=True)[0].state is State.ACTIVE)
        yield milliseconds


def reduced(view: dict[str, object]) -> dict[str, object]:
    """Return what an app sends of a view that Slack shows."""
    said_ = ("type", "callback_id", "title", "submit", "close", "private_metadata", "blocks")
    return {key: view[key] for key in said_ if view.get(key)}


def opened_and_taken(person: Person) -> tuple[float, float]:
    """Return the milliseconds of both acknowledgements: the command's, and the submission's."""
    answer = person.command("/access", "")
    if not answer.ok or answer.seconds is None:
        raise SystemExit(f"the command failed: {answer}")
    return answer.seconds * 1000, submitted(person.wait_view())


def submitted(form: View) -> float:
    sent = form.submit()
    if sent.action != "close" or sent.seconds is None:
        raise SystemExit(f"not taken: {sent}")
    return sent.seconds * 1000
