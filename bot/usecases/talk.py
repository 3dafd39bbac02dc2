"""What is said in Latchkey's own conversation, beside cards: that it reads no messages there, and
what could be said nowhere else.
"""

from bot.runtime.services import Services
from bot.usecases.identity import write_as
from engine.alarms import digest
from engine.directory import Person
from engine.outcome import Card, Refusal, Tell
from storage import apply
from storage.company import Company
from storage.database import Write

ANSWER = (
    "I read no messages. Type `/access request` to ask for access, `/access my` to see what you "
    "have, and `/access help` for all that there is. My Home tab has buttons for it, too."
)


def answer(services: Services, person: Person) -> Refusal | None:
    """Tell them how to be understood: once a minute, however much they write."""
    return _say(services, person, "talk", ANSWER)


def later(services: Services, person: Person, sentence: str) -> Refusal | None:
    """Have the message loop say what could not be said where it belongs: once a minute."""
    return _say(services, person, f"later/{digest([sentence])}", sentence)


def _say(services: Services, person: Person, what: str, sentence: str) -> Refusal | None:
    now = services.clock.now()

    def change(tx: Write, _: Company, who: Person) -> None:
        said = Tell(who.id, Card.NOTICE, f"{what}/{now:%Y-%m-%dT%H:%M}", sentence)
        apply.tell(tx, [said], now)

    return write_as(services, person, change)
