"""Access without end: told to the administrators once a week, and listed for them to end it.

Who would not be given it now is named first: to lose a group ends nothing that runs.
"""

from datetime import timedelta

from bot.runtime.services import Services
from bot.usecases import look
from bot.usecases.identity import read_as
from bot.views.endless import in_words
from bot.views.values import Endless
from engine.directory import Person
from engine.eligibility import still_granted
from engine.facts import Facts
from engine.holdings import wants
from engine.outcome import Card, Code, Refusal, Tell
from storage import apply, facts
from storage.company import Company
from storage.database import Read

__all__ = ["EVERY", "MOST", "listed", "tell"]

EVERY = timedelta(days=7)
MOST = 1000  # requests, that are looked at

_NOT_YOURS = Refusal(Code.NOT_YOURS, "Only an administrator can see this.")


def tell(services: Services) -> timedelta:
    """Tell the administrators what runs without end, if anything does."""
    with services.database.read() as session:
        found = _found(session, services, services.companies.current(session))
    if found:
        now = services.clock.now()
        key, said = f"endless/{now:%Y-%m-%d}", in_words(found)
        services.write(
            lambda tx, company: apply.tell(
                tx, [Tell(a, Card.ENDLESS, key, said) for a in sorted(company.admins)], now
            )
        )
    return EVERY


def listed(services: Services, person: Person) -> list[Endless] | Refusal:
    """Return what runs without end, to an administrator."""

    def find(session: Read, company: Company, _: Person) -> list[Endless] | Refusal:
        if person.id not in company.admins:
            return _NOT_YOURS
        return _found(session, services, company)

    return read_as(services, person, find)


def _found(session: Read, services: Services, company: Company) -> list[Endless]:
    drawn = look.drawable(session, services, company, facts.endless(session, MOST))
    now = services.clock.now()
    found = []
    for request, scene in drawn:
        known = Facts(
            directory=scene.directory,
            flow=scene.flow,
            revision=scene.revision,
            admins=company.admins,
            entitlements=scene.entitlements,
        )
        held = (g for g in request.grants if wants(request, g))
        why_not = next(filter(None, (still_granted(request, g, known, now) for g in held)), "")
        found.append(Endless(scene, why_not))
    return sorted(found, key=lambda one: not one.why_not)
