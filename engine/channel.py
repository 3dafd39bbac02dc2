"""Slack's channels, in which a request's card can stand and its approvers be asked."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NewType

from engine.directory import Person

ChannelId = NewType("ChannelId", str)


@dataclass(frozen=True, slots=True)
class Notify:
    """Where approvers are asked: by direct messages, in a channel, or both.

    In a channel alone, whoever is not in it is asked by a direct message.
    """

    channel: ChannelId | None = None
    directly: bool = True


DIRECTLY = Notify()
UNREAD = "what is stored of it cannot be read"
UNSEEN = "it was not looked at yet"


@dataclass(frozen=True, slots=True)
class Channel:
    """What was last seen of a channel. `members` are Slack's ids of accounts.

    `why_not` says why nothing can be posted to it, and what helps; empty: it can.
    """

    id: ChannelId
    name: str = ""
    members: frozenset[str] = frozenset()
    why_not: str = ""

    @property
    def open(self) -> bool:
        """Whether a card can be posted to it."""
        return not self.why_not

    def reaches(self, person: Person | None) -> bool:
        """Tell whether the person reads what stands in it."""
        account = person.account if person else None
        return self.open and account is not None and account.user in self.members

    def reached(self, people: Collection[Person]) -> list[Person]:
        return [person for person in people if self.reaches(person)]
