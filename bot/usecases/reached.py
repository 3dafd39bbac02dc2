"""Whom Slack takes no message for: stored, so that somebody else is asked in their place."""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.runtime.services import Services
from engine.directory import Directory, PersonId, SlackAccount
from storage import sync

__all__ = ["Reach", "faults", "note"]

# What Slack's word means, where there is something to do about it.
_CURES = {
    "messages_tab_disabled": "switch on the Messages Tab of the app, in its settings: App Home",
    "user_disabled": "the account was deactivated",
    "cannot_dm_bot": "the account is a bot's",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """What Slack said of a message to somebody: why it takes none; empty: it took it."""

    person: PersonId
    account: SlackAccount
    why: str


def note(services: Services, seen: Iterable[Reach]) -> None:
    """Store what is new of it."""
    news = [*seen]
    if not news:
        return
    directory, now = services.company().directory, services.clock.now()
    changed = {
        person.id: (one.account, one.why)
        for one in news
        if (person := directory.get(one.person))
        and person.account
        and person.account.is_(one.account)
        and person.account.unreachable != one.why
    }
    if changed:
        services.write(lambda tx, _: sync.reach(tx, changed, now), alone=True)


def faults(directory: Directory) -> list[str]:
    """Name those who can be told nothing although they have a Slack account, and why."""
    lines = []
    for person in directory.people.values():
        if person.account and person.account.unreachable and person.may_receive:
            why = person.account.unreachable
            cure = f": {_CURES[why]}" if why in _CURES else ""
            lines.append(f"{person.name} ({person.email}), {why}{cure}")
    return sorted(lines)
