"""What people see: scenes of requests, their own access, what waits for them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from bot.runtime.services import Services
from bot.usecases.identity import read_as
from bot.views.phrases import may_decide
from bot.views.values import Scene
from engine.background import Background
from engine.directory import Person, PersonId
from engine.outcome import NO_SUCH_REQUEST, Code, Refusal
from engine.request import SYSTEM, AccessRequest, RequestId, State
from storage import changes, facts
from storage.company import Company, knowing
from storage.database import Read

_NOT_THERE = Refusal(Code.NOTHING_TO_DO, "There is no such request of yours.")


def scenes(
    session: Read, services: Services, company: Company, ids: Iterable[RequestId]
) -> Mapping[RequestId, Scene]:
    """Return the requests with all that it takes to draw them, seen by nobody yet."""
    found = facts.requests(session, ids)
    return {r.id: s for r, s in drawable(session, services, company, found)}


def seen_by(scene: Scene, viewer: PersonId) -> Scene:
    return replace(scene, viewer=viewer)


def to_decide(scene: Scene, background: Background | None) -> Scene:
    """Add what helps to decide, if whoever looks may: it is for nobody else."""
    return replace(scene, background=background) if may_decide(scene) else scene


def my_access(services: Services, person: Person) -> list[Scene] | Refusal:
    """Return the requests, not yet over, that this person made or receives, the newest first."""

    def find(session: Read, company: Company, _: Person) -> list[Scene]:
        found = facts.of_person(session, person.id, company.directory.had(person.id), live=True)
        drawn = drawable(session, services, company, found)
        return [seen_by(scene, person.id) for _, scene in drawn]

    return read_as(services, person, find)


def tasks(services: Services, person: Person) -> list[Scene] | Refusal:
    """Return the requests that wait for this person's decision, the oldest first."""

    def find(session: Read, company: Company, _: Person) -> list[Scene]:
        had = company.directory.had(person.id)
        found = facts.waiting_for(session, person.id, had)
        drawn = drawable(session, services, company, found)
        return [
            seen_by(scene, person.id)
            for r, scene in drawn
            if r.state is State.PENDING and person.id not in {a.person for a in r.approvals}
        ]

    return read_as(services, person, find)


def request(services: Services, person: Person, id_: RequestId) -> Scene | Refusal:
    """Return a request that this person made or receives. Refused: there is none of theirs."""

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        scene = scenes(session, services, company, [id_]).get(id_)
        theirs = scene is not None and person.id in scene.request.parties
        return seen_by(scene, person.id) if scene and theirs else _NOT_THERE

    return read_as(services, person, find)


def questions(services: Services, person: Person, id_: RequestId) -> Scene | Refusal:
    """Return a request to somebody who is to read what was asked about it."""

    def find(session: Read, company: Company, _: Person) -> Scene | Refusal:
        scene = scenes(session, services, company, [id_]).get(id_)
        if scene is None:
            return NO_SUCH_REQUEST
        reads = {*scene.request.parties, *scene.request.asked, *company.admins}
        return seen_by(scene, person.id) if person.id in reads else NO_SUCH_REQUEST

    return read_as(services, person, find)


def concerned(services: Services, after: int) -> tuple[int, frozenset[PersonId]]:
    """Return the audit's last line, and whom its lines after that one concern."""
    with services.database.read() as session:
        newest = changes.newest(session)
        return newest, changes.concerned(session, after, newest)


def drawable(
    session: Read, services: Services, company: Company, requests: Collection[AccessRequest]
) -> list[tuple[AccessRequest, Scene]]:
    """Add to requests what it takes to draw them, by the ids that people have."""
    company = knowing(session, company, requests)
    requests = [r.renamed(company.directory.formerly) for r in requests]
    wanted = {e for r in requests for e in r.entitlements}
    here = company.directory.at(services.clock.now())
    entitlements = facts.entitlements(session, company, wanted)
    return [
        (
            r,
            Scene(
                request=r,
                flow=company.flow(r.flow),
                revision=company.revision(r.flow, r.revision),
                directory=here,
                entitlements={e: entitlements[e] for e in r.entitlements if e in entitlements},
                viewer=SYSTEM,
                admins=company.admins,
                has_login=any(
                    services.generates_login(entitlements[e].integration.id)
                    for e in r.entitlements
                    if e in entitlements
                ),
            ),
        )
        for r in requests
    ]
