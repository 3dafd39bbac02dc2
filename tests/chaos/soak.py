"""Lives of logins that the bot makes: access, its end, the days after it; at the end none is left.

`python -m tests.chaos.soak 1000` lives that many, each from a form in Slack to the real PostgreSQL
and back, with everybody at once, over years by the moved clock.
"""

import sys
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta

from bot.sandbox.client import Person
from engine.convergence.values import Logins
from engine.request import State
from tests.chaos.people import HAND_MADE
from tests.support.postgres import own_cluster
from tests.support.story import STOCK, Story, story

GROUPS = ("Engineering", "Support", "Data")
GRANTED = timedelta(minutes=30)
UNUSED = (Logins().clean_up_after or timedelta()) + timedelta(days=1)
WAIT = 120.0  # seconds until everybody's access is there, has ended, or is cleaned up


@dataclass(frozen=True)
class Soaked:
    """`made` are the names of all logins that were there; `left` those that still are."""

    lives: int
    made: AbstractSet[str]
    left: AbstractSet[str]


def soak(lives: int) -> Soaked:
    with own_cluster() as cluster, story(cluster) as told:
        before, people = told.logins(), asking(told)
        made, lived = set[str](), 0
        while lived < lives:
            some = people[: lives - lived]
            made |= live(told, some) - before
            lived += len(some)
        return Soaked(lived, made, told.logins() - before)


def asking(told: Story) -> list[Person]:
    """Return who may have the stock at once, and has no login of their own making."""
    here = told.desk.company().directory
    groups = {id_ for id_, group in here.groups.items() if group.name in GROUPS}
    may = [p for p in here.people.values() if p.slack and groups & {*p.groups}]
    return [told.person(p.email.partition("@")[0]) for p in may if p.id != HAND_MADE]


def live(told: Story, people: list[Person]) -> set[str]:
    """Let all of them have access at the same time until long after its end; return the logins."""
    before = told.logins()
    codes = {ask(told, who) for who in people}
    told.until(lambda: are(told, codes, State.ACTIVE), "everybody has access", timeout=WAIT)
    made = told.logins()
    told.house.sandbox.advance(GRANTED.total_seconds() + 1)
    told.until(lambda: are(told, codes, State.EXPIRED), "all of it has ended", timeout=WAIT)
    told.house.sandbox.advance(UNUSED.total_seconds())
    told.until(lambda: told.logins() <= before, "the logins are gone", told.logins, timeout=WAIT)
    return made


def ask(told: Story, who: Person) -> str:
    told.form(who, f"request read on {STOCK} for 30 min")
    told.send(who.wait_view(where=lambda v: "Access flow" in str(v["blocks"])))
    return next(r.code for r in told.desk.requests(live=True) if is_of(told, r.grantee, who))


def is_of(told: Story, grantee: str, who: Person) -> bool:
    person = told.desk.company().directory.get(grantee)
    return person is not None and person.slack == who.id


def are(told: Story, codes: set[str], state: State) -> bool:
    return all(told.request(code).state is state for code in codes)


if __name__ == "__main__":
    found = soak(int(sys.argv[1]))
    print(f"{found.lives} lives, {len(found.made)} logins made, {len(found.left)} left")  # noqa: T201
    sys.exit(bool(found.left))
