"""What people cannot have and want: told to the administrators once a day, and listed."""

from dataclasses import replace
from datetime import timedelta

from bot.runtime.services import Services
from bot.usecases import why
from bot.usecases.console import Desk
from bot.usecases.identity import write_as
from bot.usecases.requestable import NOTHING_REQUESTABLE
from engine import wishes as rules
from engine.directory import Person
from engine.inventory import ResourceId
from engine.outcome import Card, Refusal, Tell
from engine.wishes import Wanted, Wish
from engine.words import line, trimmed
from storage import apply, wishes
from storage.company import Company
from storage.database import Write

__all__ = ["EVERY", "listed", "tell", "wish"]

EVERY = timedelta(days=1)


def wish(
    services: Services, person: Person, words: str, resource: ResourceId | None, reason: str
) -> Wish | Refusal:
    """Store what somebody wants, for the administrators to read; a second time, its new reason.

    `resource` is what the words found, as far as they may know of it.
    """
    words = line(words)[: why.LONGEST]
    called = words
    if resource is not None:
        found = why.about(services, person, resource, words)
        if isinstance(found, Refusal):
            return found
        called = found.of[1] if found.of else words
    now = services.clock.now()
    made = Wish(person.id, words, called, trimmed(reason), now, resource)

    def change(tx: Write, company: Company, who: Person) -> Wish | Refusal:
        if not who.may_ask:
            return NOTHING_REQUESTABLE
        theirs = wishes.of_person(tx, who.id, company.directory.had(who.id), now)
        mine = replace(made, person=who.id)
        if refusal := rules.not_taken(mine, theirs):
            return refusal
        wishes.keep(tx, mine)
        return mine

    return write_as(services, person, change)


def tell(services: Services) -> timedelta:
    """Tell the administrators what is newly wanted; return when to look again."""
    now = services.clock.now()

    def change(tx: Write, company: Company) -> None:
        wishes.forget(tx, now)
        things = rules.wanted(wishes.tell(tx, now))
        if new := [thing for thing in things if not all(w.told for w in thing.wishes)]:
            key, sentence = f"wishes/{now:%Y-%m-%dT%H:%M}", rules.in_words(new)
            tells = [Tell(admin, Card.NOTICE, key, sentence) for admin in sorted(company.admins)]
            apply.tell(tx, tells, now)

    services.write(change)
    return EVERY


def listed(desk: Desk) -> list[Wanted]:
    """Return what is wanted, by how many people, most first."""
    with desk.database.read() as session:
        return rules.wanted(wishes.listed(session, desk.clock.now()))
