"""What is answered to somebody who writes to Latchkey, which reads commands and no messages."""

from bot.runtime.services import Services
from bot.usecases.identity import write_as
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
    now = services.clock.now()

    def change(tx: Write, _: Company, who: Person) -> None:
        said = Tell(who.id, Card.NOTICE, f"talk/{now:%Y-%m-%dT%H:%M}", ANSWER)
        apply.tell(tx, [said], now)

    return write_as(services, person, change)
