"""What goes wrong: kills and pauses, Slack's moods, connections that are cut or say nothing,
faulty files, clocks that jump, a directory and flows that change.
"""

import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from random import Random

import httpx
import yaml
from sqlalchemy.exc import DBAPIError

from bot.sandbox.client import NotPossible
from bot.sandbox.house import Bot
from engine.directory import GroupId, Person, PersonStatus
from storage import sync
from tests.chaos.world import World
from tests.support import machine
from tests.support.silent import Silent

LAG = 2.0  # seconds that the history of a channel may be behind: less than Latchkey waits
PAUSE = 4.5  # seconds; a lease holds for 3
HANGS = 6.0  # seconds; longer than a statement or a connection is waited for
MANY = 200  # connections, or statements
LEAVERS = ("henrik", "lucia", "anil", "yuki", "samleigh", "selin")
MOVERS = (("jonas", "sre"), ("priya", "dba"), ("aisha", "engineering"))
_SENDING = ("chat.postMessage", "chat.update", "conversations.open", "views.open", "*")


def kills(world: World) -> None:
    """Kill the bots, one at a time, at moments that are nobody's choice, as often as planned.

    Then let them live until enough has happened: who is killed each second answers few.
    """
    plan, chance = world.plan, world.plan.random("kills")
    until = time.monotonic() + plan.minutes * 60 * machine.factor()
    pauses = set(chance.sample(range(plan.kills), plan.pauses))
    stops = set(chance.sample(range(plan.kills), plan.stops))
    restart = plan.kills // 2 if world.own else -1
    wakings = set(chance.sample(range(plan.kills), plan.stops))
    faulty = set(chance.sample(range(plan.kills), plan.stops))
    for number in range(plan.kills):
        if time.monotonic() > until:
            break
        bot = chance.choice(world.bots)
        if number in pauses:
            world.pause(bot, PAUSE)
        if number == restart and world.own:
            world.own.restart("immediate")
            world.said.count("restarts of Latchkey's database")
        ends = [world.stop] if number in stops else []
        ends += [world.wake_and_stop] if number in wakings else []
        for end in (*ends, world.kill):
            end(bot)
            with world.faulty() if number in faulty else nullcontext():
                world.start(bot)
                time.sleep(_life(chance, bot, world))
    while world.said.lacking() and time.monotonic() < until:
        world.wait(0.2)


def _life(chance: Random, bot: Bot, world: World) -> float:
    """Choose when the next one dies: a few while they start, most while they work, some late."""
    if chance.random() < 0.15:
        return chance.uniform(0.1, 1.5)
    world.wait_links(4.0)
    world.see_to(bot)
    return chance.uniform(2, 4) if chance.random() < 0.2 else chance.uniform(0.1, 1.1)


def time_passes(world: World) -> None:
    """Move the clock on in small steps; now and then past an end or a lapse."""
    chance = world.plan.random("time")
    while not world.wait(chance.uniform(0.5, 1.5)):
        world.told.house.sandbox.advance(chance.choice([5, 20, 40, 60, 90]))
        if chance.random() < 0.01:
            world.told.house.sandbox.advance(3600)


def slack_misbehaves(world: World) -> None:
    chance, sandbox = world.plan.random("slack"), world.told.house.sandbox
    moods: list[tuple[int, Callable[[], object]]] = [
        (3, lambda: sandbox.fault(chance.choice(_SENDING), "rate_limited", times=2, retry_after=1)),
        (3, lambda: sandbox.fault(chance.choice(_SENDING), "error", times=2, status=503)),
        (2, lambda: sandbox.fault("chat.postMessage", "done_but_timeout")),
        (1, lambda: sandbox.fault("chat.update", "done_but_timeout")),
        (2, lambda: sandbox.fault("chat.postMessage", "slow", times=2, seconds=1.0)),
        (1, lambda: sandbox.fault("conversations.history", "error", status=500)),
        (1, lambda: sandbox.fault("apps.connections.open", "rate_limited", retry_after=1)),
        (3, lambda: sandbox.duplicate(3)),
        (2, lambda: sandbox.disconnect("refresh_requested", close_old=True)),
        (2, lambda: sandbox.disconnect("warning", close_old=False)),
        (1, sandbox.deafen),
        (1, lambda: sandbox.lag_history(chance.uniform(0.5, LAG))),
        (2, sandbox.clear_faults),
    ]
    weights, choices = zip(*moods, strict=True)
    while not world.wait(chance.uniform(0.5, 2.0)):
        chance.choices(choices, weights)[0]()
        world.said.count("moods of Slack")


def connections_are_cut(world: World) -> None:
    """Cut the protected PostgreSQL off at some statement, or for a moment altogether."""
    chance, proxy = world.plan.random("cuts"), world.proxy
    while not world.wait(chance.uniform(0.3, 1.5)):
        if chance.random() < 0.15:
            proxy.down = True
            world.wait(chance.uniform(0.1, 1.0))
            proxy.down = False
        elif chance.random() < 0.1:
            proxy.reset()
            for number in range(chance.randint(1, 10), MANY):
                proxy.on(number, action="stall")
            world.wait(HANGS)
            proxy.reset()
            world.said.count("hangs")
        else:
            proxy.reset()
            proxy.on(chance.randint(1, 30), action="cut", when=chance.choice(["before", "after"]))
        world.said.count("cuts")


def people_say_nothing(world: World) -> None:
    """Open connections to the bot's door, and say nothing on them."""
    chance, (host, port) = world.plan.random("silence"), world.door
    while not world.wait(chance.uniform(1, 3)):
        with Silent(host, port, MANY):
            world.wait(chance.uniform(1, 8))
        world.said.count("silent crowds")


def clocks_jump(world: World) -> None:
    """Set the wall clock of the bots' machine, back and ahead."""
    chance = world.plan.random("clocks")
    while not world.wait(chance.uniform(2, 6)):
        world.wall_clock.set(chance.choice([-3600, -60, -7, 0, 5, 60, 600]))
        world.said.count("clock steps")


def directory_changes(world: World) -> None:
    """People leave and come back, change groups and come back."""
    chance = world.plan.random("directory")
    for number in itertools.count():
        if world.wait(chance.uniform(1, 4)):
            return
        if number % 2:
            name = chance.choice(LEAVERS)
            changes = [_status(PersonStatus.INACTIVE), _status(PersonStatus.ACTIVE)]
        else:
            name, group = chance.choice(MOVERS)
            changes = [_groups(lambda g, x=group: g - {x}), _groups(lambda g, x=group: g | {x})]
        world.said.away.add(name)
        moments = []
        for change in changes:
            began = world.told.desk.clock.now()
            world.calm(lambda n=name, c=change: _sync(world, n, c))
            moments.append((began, world.told.desk.clock.now()))
            world.wait(chance.uniform(1, 4))  # without NOTIFY it is heard of within a second
        if number % 2:
            world.said.inactive.append((name, moments[0][1], moments[1][0]))
        world.said.count("changes of the directory")


def flows_change(world: World) -> None:
    """Flows are edited, switched off, deleted and made again while people ask by them."""
    chance, file = world.plan.random("flows"), world.company / "flows.yaml"
    before = file.read_text()
    numbers = itertools.count(1)  # a set of files that was there before is not taken in by itself
    try:
        while not world.wait(chance.uniform(2, 6)):
            document = yaml.safe_load(before)
            chance.choice(_EDITS)(chance, document["flows"])
            for text in (yaml.safe_dump(document, allow_unicode=True), before):
                with world.files:
                    file.write_text(f"{text}\n# {next(numbers)}\n")
                if world.wait(chance.uniform(4, 8)):
                    return
            world.said.count("edits of flows")
    finally:
        with world.files:
            file.write_text(f"{before}\n# {next(numbers)}\n")


Edit = Callable[[Random, list[dict[str, object]]], object]
_EDITS: tuple[Edit, ...] = (
    lambda chance, flows: chance.choice(flows).update(grant_for="15 min", extension="off"),
    lambda chance, flows: chance.choice(flows).update(active=False),
    lambda chance, flows: flows.remove(chance.choice(flows)),
    lambda chance, flows: chance.choice(flows).update(name="Renamed"),
)
Change = Callable[[Person], Person]


def _status(status: PersonStatus) -> Change:
    return lambda person: replace(person, status=status)


def _groups(change: Callable[[frozenset[GroupId]], frozenset[GroupId]]) -> Change:
    return lambda person: replace(person, groups=change(person.groups))


def _sync(world: World, name: str, change: Change) -> None:
    desk = world.told.desk
    with desk.database.write() as tx:
        listed = desk.companies.current(tx).directory
        people = [change(p) if p.id == name else p for p in listed.people.values()]
        sync.people(tx, people, listed.groups.values(), desk.clock.now())


TROUBLES = (
    time_passes,
    slack_misbehaves,
    connections_are_cut,
    people_say_nothing,
    clocks_jump,
    directory_changes,
    flows_change,
)
PASSING = (NotPossible, TimeoutError, httpx.HTTPError, DBAPIError, ValueError)
