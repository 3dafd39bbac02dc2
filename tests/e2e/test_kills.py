"""The bot is killed at each effect of the main job, and started again: the end is the same.

Nothing in the product helps: the sandbox kills after (or before) doing a call, the proxy before or
after a statement.
"""

import pytest

from tests.e2e.life import STEPS, Life
from tests.support.story import ready

# What each step does in Slack, and how many good calls of that kind come first.
SLACK = {
    "ask": ("chat.postMessage", 1),
    "approve": ("chat.update", 0),
    "offer": ("chat.postMessage", 0),
    "extend": ("chat.update", 1),
    "end": ("chat.postMessage", 0),
}
SEEN = dict(zip(STEPS, ("asked", "approved", "offered", "extended", "ended"), strict=True))
PEOPLE = iter(
    [f"{name}" for name in ("marta", "diego", "fatou", "henrik", "aisha", "ravi", "chloe")] * 20
)


def revive(worst):
    """Start the killed bot again; what was in doubt is past its deadline."""
    told = worst.told
    assert told.house.bot.wait(timeout=20) == -9
    told.house.bot.start()
    ready(told)
    told.house.sandbox.advance(40)


def live(worst, arm):
    """Live one life; `arm(step)` sets the trap for a step, and tells whether there is one."""
    told = worst.told
    life = Life(told, told.person(next(PEOPLE)), told.person("priya"))
    for step in STEPS:
        armed = arm(step)
        life.take(step)
        if armed:
            revive(worst)
        told.house.sandbox.clear_faults()
        worst.proxy.reset()
        life.take_again(step)
        getattr(life, SEEN[step])()
    life.check()
    told.clear()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("when", ["kill_before", "kill_after"])
def test_killed_at_each_effect_in_slack(worst, when):
    """F17: what waited was lost at a restart, and the first click after it was swallowed."""

    def arm(step):
        method, skip = SLACK[step]
        bot = worst.told.house.bot
        worst.told.house.sandbox.fault(method, when, skip=skip, pid=bot.pid)
        return True

    live(worst, arm)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("when", ["kill_before", "kill_after"])
def test_killed_while_somebody_is_written_to_for_the_first_time(worst, when):
    def arm(step):
        if step != "ask":
            return False
        bot = worst.told.house.bot
        worst.told.house.sandbox.fault("chat.postMessage", when, pid=bot.pid)
        return True

    with worst.told.desk.database.write() as tx:
        tx.connection().exec_driver_sql("update person set channel = null")
    live(worst, arm)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("statement", "when"),
    [(2, "before"), (5, "after"), (8, "before"), (11, "after"), (14, "before"), (15, "after")],
)
def test_killed_at_a_statement_of_the_grant_the_extension_and_the_end(worst, statement, when):
    def arm(step):
        if step not in {"approve", "extend", "end"}:
            return False
        worst.proxy.reset()
        number = statement + (6 if step == "approve" else 0)
        worst.proxy.on(number, action=worst.told.house.bot.kill, when=when)
        return True

    live(worst, arm)
