"""One run: people and troubles at once, then rest, then the verdict."""

import threading
import traceback
from collections.abc import Callable

import psycopg

from tests.chaos import trouble, verdict
from tests.chaos.people import CASTS, HAND_MADE, Team
from tests.chaos.plan import Plan
from tests.chaos.verdict import Verdict
from tests.chaos.world import START, World, world
from tests.support.story import CUSTOMERS


def run(plan: Plan) -> Verdict:
    """Play the plan; what must hold is in the verdict."""
    with world(plan) as here:
        _make_standing(here)
        teams = [Team(here, number) for number in range(len(CASTS))]
        threads = [_thread(here, team.live, forever=False) for team in teams]
        threads += [_thread(here, lambda t=t: t(here), forever=True) for t in trouble.TROUBLES]
        for thread in threads:
            thread.start()
        try:
            trouble.kills(here)
        finally:
            here.over.set()
            for thread in threads:
                thread.join(60)
        _calm_down(here)
        found = verdict.judge(here)
        for team in teams:
            team.leave()
        found.counts += here.said.counts
        _was_something(here, found)
        found.log = here.log
        return found


def _was_something(here: World, found: Verdict) -> None:
    plan, kills = here.plan, found.counts["kills"]
    found.must(kills >= plan.kills, f"{kills} kills in {plan.minutes} minutes, not {plan.kills}")
    for what in here.said.lacking():
        found.must(False, f"{what}: {found.counts[what]} times")
    found.must(found.counts["granted"], "nothing was granted")


def _thread(here: World, act: Callable[[], None], *, forever: bool) -> threading.Thread:
    def body() -> None:
        while not here.over.is_set():
            try:
                act()
            except trouble.PASSING:
                here.said.count("troubles that failed")
            except Exception:  # noqa: BLE001  (whatever it is, the run has to tell it)
                here.said.wrong.append(traceback.format_exc())
                here.wait(1)
            if not forever:
                return

    return threading.Thread(target=body, daemon=True)


def _make_standing(here: World) -> None:
    """Give somebody access by hand, before Latchkey is asked for the same."""
    told = here.told
    first = told.active(told.person(HAND_MADE), told.person("priya"), path=CUSTOMERS)
    login = told.credentials(told.person(HAND_MADE), first.code)["user"]
    with psycopg.connect(told.house.cluster.superuser_dsn("orders"), autocommit=True) as admin:
        admin.execute(f'grant connect on database orders to "{login}"')
        admin.execute(f'grant usage on schema shop to "{login}"')
        admin.execute(f'grant select on shop.orders to "{login}"')


def _calm_down(here: World) -> None:
    """Everything behaves from here on, and every replica runs."""
    here.proxy.reset()
    here.proxy.down = False
    here.wall_clock.set(0)
    here.told.house.sandbox.clear_faults()
    for bot in here.bots:
        here.see_to(bot)
    here.wait_links(START)
