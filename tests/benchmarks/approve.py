"""Approve submitted, beside bare Bolt taking a modal of equal bytes on the same sandbox.

Latchkey and bare Bolt take turns, as in `slash`. Each request is submitted before its approval is
measured, and is active before the next one is: what the loops do for one does not touch another.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from bot import settings
from bot.operate import Desk, opened
from bot.sandbox.client import Person, Sandbox, View
from bot.sandbox.house import House
from bot.sandbox.postgres import Cluster
from engine.request import State
from tests.benchmarks.report import Row, said
from tests.benchmarks.slash import bare_bolt, median
from tests.support.inside import wait_until
from tests.support.story import Story, ready

ROUNDS, OURS, BARE = 3, 40, 200  # approvals, and views that bare Bolt takes, in each round
BAR = 4.0
WARM_UP = 3
ASKING = ("marta", "diego", "fatou", "henrik", "ravi")
SHOP = ("customers", "orders", "events", "revenue_by_month", "best_customers")


def rows(folder: Path, cluster: Cluster) -> Iterator[Row]:
    ours, bare = list[list[float]](), list[list[float]]()
    with (
        House(folder / "house", cluster=cluster, rate_factor=0) as house,
        opened(settings.load(**house.bot.settings)) as desk,
    ):
        file = folder / "view.json"
        for _ in range(ROUNDS):
            house.bot.start()
            ready(Story(house, desk))
            ours.append(approvals(house.sandbox, desk, file))
            house.bot.stop()
            with bare_bolt(house.sandbox, file):
                bare.append(taken(house.sandbox))
        size = file.stat().st_size
    ratio = median(ours) / median(bare)
    yield Row(
        "Approve submitted, acknowledged",
        said(ours),
        f"bare Bolt, a modal of {size:,} bytes: {said(bare)}",
        f"{ratio:.2f} × (≤ {BAR:g} ×)",
        ratio <= BAR,
    )


def approvals(sandbox: Sandbox, desk: Desk, file: Path) -> list[float]:
    """Have requests approved, one after another; keep the modal, for bare Bolt to open the same."""
    priya = sandbox.person("priya@harbourpine.example")
    asking = [sandbox.person(f"{name}@harbourpine.example") for name in ASKING]
    times = []
    wanted = itertools.cycle(itertools.product(SHOP, asking))
    for table, who in itertools.islice(wanted, OURS + WARM_UP):
        who.command("/access", f"request read on orders/shop/{table}: INC-42")
        who.wait_view("Request access").submit()
        request = desk.requests(live=True)[0]
        approve = {"action_id": "approve", "value": str(request.id)}
        priya.raw_action({"actions": [approve]})
        form = priya.wait_view("Approve access")
        file.write_text(json.dumps(reduced(priya.views()[-1])))
        times.append(submitted(form))
        wait_until(lambda: desk.requests(live=True)[0].state is State.ACTIVE)
    return times[WARM_UP:]


def reduced(view: dict[str, object]) -> dict[str, object]:
    """Return what an app sends of a view that Slack shows."""
    said_ = ("type", "callback_id", "title", "submit", "close", "private_metadata", "blocks")
    return {key: view[key] for key in said_ if view.get(key)}


def taken(sandbox: Sandbox) -> list[float]:
    people = [sandbox.person(f"{name}@harbourpine.example") for name in ASKING]
    return [opened_and_taken(people[n % len(people)]) for n in range(BARE + WARM_UP)][WARM_UP:]


def opened_and_taken(person: Person) -> float:
    person.command("/access", "")
    return submitted(person.wait_view())


def submitted(form: View) -> float:
    sent = form.submit()
    if sent.action != "close" or sent.seconds is None:
        raise SystemExit(f"not taken: {sent}")
    return sent.seconds * 1000
