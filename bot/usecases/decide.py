"""What people do to a request that exists: one click, one command, one decision."""

from functools import partial

import structlog

from bot.runtime.metrics import Vitals
from bot.runtime.services import Services
from bot.usecases import look
from bot.usecases.identity import read_as, write_as
from bot.views.values import Scene
from engine import lifecycle
from engine.commands import Approve, Command, Reject
from engine.directory import Person
from engine.facts import Facts
from engine.outcome import NO_SUCH_REQUEST, Decision, Refusal
from engine.request import RequestId
from storage.company import Company
from storage.database import Read
from storage.unit_of_work import carry_out

DECISIONS = frozenset({"approved", "rejected"})  # the audit's words

log = structlog.get_logger()


def do(
    services: Services, person: Person, request: RequestId, command: Command
) -> Decision | Refusal:
    """Carry out a person's command; who may is asked inside, of the facts of this moment."""
    outcome = write_as(
        services,
        person,
        lambda tx, company, _: carry_out(tx, company, request, command, services.clock.now()),
    )
    services.turns.after_the_answer(partial(_tell, services.vitals, person, command, outcome))
    return outcome


def _tell(vitals: Vitals, person: Person, command: Command, outcome: Decision | Refusal) -> None:
    of = {"command": type(command).__name__.casefold(), "person": person.id}
    if isinstance(outcome, Refusal):
        log.info("command refused", **of, why=outcome.code.value)
    else:
        log.info("command done", **of, state=outcome.request.state)
        _count(vitals, person, outcome)


def _count(vitals: Vitals, person: Person, outcome: Decision) -> None:
    made = [e.action for e in outcome.audit if e.actor == person.id and e.action in DECISIONS]
    for action in made:
        vitals.decisions.labels(action).inc()
    if made and (settled := outcome.request.decided):
        waited = settled.at - outcome.request.submitted_at
        vitals.time_to_decision.observe(waited.total_seconds())


def question(
    services: Services, id_: RequestId, person: Person, kind: type[Approve] | type[Reject]
) -> Scene | Refusal:
    """Return the request to decide on, or what the decision would be refused for.

    It decides nothing: nobody shall type a reason for a request that is settled.
    """

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        scene = look.scenes(session, services, company, [id_]).get(id_)
        if scene is None:
            return NO_SUCH_REQUEST
        facts = Facts(
            directory=company.directory,
            flow=scene.flow,
            revision=scene.revision,
            admins=company.admins,
            entitlements=scene.entitlements,
        )
        trial = lifecycle.decide(scene.request, kind(person.id), facts, services.clock.now())
        if isinstance(trial, Refusal) and not trial.about:
            return trial
        return look.seen_by(scene, person.id)

    return read_as(services, person, find)
