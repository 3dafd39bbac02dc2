"""What each card shows, drawn from what is true now; and what came of sending it, stored."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from bot.runtime.services import Services
from bot.usecases import look
from bot.views import cards
from bot.views.values import Message, Scene
from engine.background import Background
from engine.channel import ChannelId
from engine.directory import Directory, PersonId, SlackAccount
from engine.life.offers import offered
from engine.outcome import Card, News
from engine.request import AccessRequest, RequestId, State
from storage import background, messages
from storage.database import Write
from storage.messages import Parcel, Ready, Result

__all__ = ["Drawn", "claim", "draw", "ready", "settle"]

_WHILE_PENDING = {News.ASKED, News.NUDGED, News.QUESTIONED, News.ANSWERED}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A card to be sent to this Slack account, in this channel if it is known.

    `into` is the channel that it is for, if it is for nobody. `shrunk` draws the line that is left
    of one that was posted before, because of what.
    """

    message: Message | None  # None: there is nothing to show (any more)
    worth_posting: bool
    to: SlackAccount | None
    channel: str | None
    into: ChannelId | None
    shrunk: Callable[[News | None], Message]

    @property
    def where(self) -> str | None:
        """By what Slack knows whom or what it is for; None: it is for nobody any more."""
        return self.into or (self.to.user if self.to else None)


def ready(
    services: Services,
    most: int,
    *,
    busy: Collection[int],
    posts: bool,
    updates: bool,
    full: Collection[str],
) -> Ready:
    """Return what may be sent: `posts`, `updates` say which of the two. `busy` is being sent;
    nothing is posted to the channels that are `full`.
    """
    return messages.ready(
        services.database,
        services.instance,
        services.clock.now(),
        real=services.database.now(),
        busy=busy,
        posts=posts,
        updates=updates,
        full=full,
        limit=most,
    )


def claim(services: Services, ids: Collection[int]) -> None:
    """Lease cards that are nobody's."""
    real = services.database.now()
    services.transaction(lambda tx: messages.claim(tx, services.instance, ids, real))


def draw(services: Services, found: Ready) -> Mapping[int, Drawn]:
    """Draw each card of ours from what is true now, which is at least what was wanted.

    One that cannot be drawn is left out, and keeps no other from being sent.
    """
    if not found.mine:
        return {}
    with services.database.read() as session:
        company = services.companies.at(found.epoch, session)
        drawable = look.drawable(session, services, company, found.requests.values())
        scenes = {request.id: scene for request, scene in drawable}
        known = background.of(session, company, _to_decide(found.mine, scenes))
    drawn: dict[int, Drawn] = {}
    for parcel in found.mine:
        scene = scenes.get(parcel.request) if parcel.request else None
        try:
            helps = known.get(parcel.request) if parcel.request else None
            drawn[parcel.id] = _drawn(parcel, scene, helps, company.directory, found)
        except Exception:
            log.exception("card could not be drawn", message=parcel.id, kind=parcel.kind.value)
    return drawn


def _to_decide(parcels: Iterable[Parcel], scenes: Mapping[RequestId, Scene]) -> list[AccessRequest]:
    """Return the requests that some approver is to see who may decide on them."""
    approvals = {p.request for p in parcels if p.request and p.kind is Card.APPROVAL}
    waiting = (scenes[id_].request for id_ in approvals if id_ in scenes)
    return [r for r in waiting if r.state is State.PENDING and r.readable]


def _drawn(
    parcel: Parcel,
    scene: Scene | None,
    helps: Background | None,
    directory: Directory,
    found: Ready,
) -> Drawn:
    if parcel.kind is Card.CHANNEL:
        there = ChannelId(parcel.recipient)
        asks = scene is not None and _worth_posting(parcel, scene)
        shrunk = partial(cards.line, scene, in_channel=True)
        return Drawn(_message(parcel, scene), asks, None, there, there, shrunk)
    person = directory.get(parcel.recipient)
    if scene:
        viewer = person.id if person else parcel.recipient
        scene = look.to_decide(look.seen_by(scene, viewer), helps)
    known = parcel.channel or found.direct.get(parcel.recipient)
    return Drawn(
        _message(parcel, scene),
        scene is None or _worth_posting(parcel, scene),
        person.account if person else None,
        known if person and person.reachable else None,
        None,
        partial(cards.line, scene),
    )


def settle(
    services: Services, results: Sequence[Result], opened: Sequence[tuple[PersonId, str]]
) -> None:
    """Store what came of sending, and the direct messages that were opened for it."""

    def change(tx: Write) -> None:
        messages.remember_channels(tx, opened)
        messages.settle(tx, services.instance, results, services.database.now())

    services.transaction(change)


def _message(parcel: Parcel, scene: Scene | None) -> Message | None:
    if parcel.request and scene is None:
        return None
    return cards.card(parcel.kind, scene, parcel.detail)


def _worth_posting(parcel: Parcel, scene: Scene) -> bool:
    """A question that is settled before it was ever asked is not asked."""
    request = scene.request
    if parcel.kind is Card.APPROVAL:
        answered = parcel.news is News.ANSWERED  # which concerns who has approved by now, too
        concerned = request.asked if answered else request.deciders
        return request.state is State.PENDING and scene.viewer in concerned
    if parcel.kind is Card.CHANNEL or (parcel.live and parcel.news in _WHILE_PENDING):
        return request.state is State.PENDING
    if parcel.live and parcel.news is News.REMINDED:
        return request.state is State.SCHEDULED
    return not (parcel.live and parcel.news is News.OFFER) or offered(request)
