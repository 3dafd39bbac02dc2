"""What people do to a request that exists: one click, one command, one decision."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from bot.runtime.metrics import Vitals
from bot.runtime.services import Services
from bot.usecases import look
from bot.usecases.identity import read_as, write_as
from bot.views.values import Ending, Scene
from engine import holdings, lifecycle
from engine.commands import Cancel, Command, Reject, Return, Revoke
from engine.directory import Person, PersonId
from engine.facts import Facts
from engine.life.pending import REASON_OF_AN_ADMIN
from engine.outcome import NO_SUCH_REQUEST, Code, Decision, Refusal
from engine.request import WAITING, AccessRequest, RequestId, State
from engine.words import trimmed
from storage import background, facts
from storage.company import Company
from storage.database import Read
from storage.unit_of_work import carry_out

DECISIONS = frozenset({"approved", "rejected"})  # the audit's words

log = structlog.get_logger()


def do(
    services: Services, person: Person, request: RequestId, command: Command, *, also: bool = False
) -> Decision | Refusal:
    """Carry out a person's command; who may is asked inside, of the facts of this moment.

    `also`: on the others, too, by which some of what the request gives would stay.
    """
    outcome = write_as(
        services,
        person,
        lambda tx, company, _: carry_out(
            tx, company, request, command, services.clock.now(), also=also
        ),
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


def concerning(services: Services, id_: RequestId, person: Person) -> Ending | Refusal:
    """Return a request as an administrator sees it, and how it can be ended."""

    def find(session: Read, company: Company, _: Person) -> Ending | Refusal:
        scene = look.scenes(session, services, company, [id_]).get(id_)
        if scene is None or person.id not in company.admins:
            return NO_SUCH_REQUEST
        others = facts.had_by(session, company, scene.request.grantee)
        kept_by = [other.code for other in holdings.kept_by(scene.request, others)]
        return Ending(look.seen_by(scene, person.id), _way_out(scene.request), kept_by)

    return read_as(services, person, find)


def end(
    services: Services, id_: RequestId, person: Person, reason: str, *, also: bool
) -> Decision | Refusal:
    """Have an administrator end a request: cancelled while it waits, revoked once it is granted.

    `also`: and the others by which some of it would stay, with it.
    """
    found = concerning(services, id_, person)
    if isinstance(found, Refusal):
        return found
    if not trimmed(reason):
        return Refusal(Code.REASON_NEEDED, REASON_OF_AN_ADMIN, about="reason")
    command = (found.way_out or Revoke)(person.id, reason)
    return do(services, person, id_, command, also=also and isinstance(command, Revoke))


def _way_out(request: AccessRequest) -> type[Cancel] | type[Revoke] | None:
    if request.state in WAITING:
        return Cancel
    return Revoke if request.state in {State.GRANTING, State.ACTIVE} else None


def question(
    services: Services, id_: RequestId, person: Person, command: Callable[[PersonId], Command]
) -> Scene | Refusal:
    """Return the request that somebody is to say something about, or what that is refused for.

    It decides nothing: nobody shall type a reason for a request that is settled.
    """

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        return _tried(session, services, company, person, id_, command=command(person.id))

    return read_as(services, person, find)


def more(services: Services, id_: RequestId, person: Person) -> Scene | Refusal:
    """Return a request with all that helps to decide, to whoever may decide at this moment."""

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        scene = _tried(session, services, company, person, id_, command=Reject(person.id))
        if isinstance(scene, Refusal):
            return scene
        known = background.of(session, company, [scene.request], most=background.PAST)
        return replace(scene, background=known[scene.request.id])

    return read_as(services, person, find)


def returning(services: Services, id_: RequestId, person: Person) -> Scene | Refusal:
    """Return access of which some is to be returned, or why it cannot be. It returns nothing."""

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        return _tried(session, services, company, person, id_, command=Return(person.id))

    return read_as(services, person, find)


def _tried(
    session: Read,
    services: Services,
    company: Company,
    person: Person,
    id_: RequestId,
    *,
    command: Command,
) -> Scene | Refusal:
    """Return the request as whoever commands sees it, or what the command would be refused for."""
    scene = look.scenes(session, services, company, [id_]).get(id_)
    if scene is None:
        return NO_SUCH_REQUEST
    known = Facts(
        directory=company.directory,
        flow=scene.flow,
        revision=scene.revision,
        admins=company.admins,
        entitlements=scene.entitlements,
    )
    trial = lifecycle.decide(scene.request, command, known, services.clock.now())
    if isinstance(trial, Refusal) and not trial.about:
        return trial
    return look.seen_by(scene, person.id)
