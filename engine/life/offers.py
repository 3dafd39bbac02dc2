"""Offers of an extension: when they are made, what names each, and which no longer stand."""

from datetime import datetime, timedelta

from engine.outcome import Card, Tell
from engine.request import AccessRequest

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def announced_at(request: AccessRequest) -> list[datetime]:
    """Return when the end is announced: before it, and for long access a day and an hour ahead."""
    if request.ends_at is None or request.end_set_at is None:
        return []
    stretch = request.ends_at - request.end_set_at
    lead = max(MINUTE, min(10 * MINUTE, stretch / 5))
    ahead = [DAY, HOUR, lead] if stretch > DAY else [lead]
    return [request.ends_at - before for before in ahead]


def offer_key(request: AccessRequest) -> str:
    """Name the offer that the request stands at: which stretch, which announcement of it."""
    return f"{request.extensions_used}/{request.offers_made}"


def stale_offers(request: AccessRequest) -> tuple[Tell, ...]:
    """Return the offers that stand in Slack and are no longer true."""
    if not request.offers_made:
        return ()
    return tuple(
        Tell(p, Card.OFFER, f"{request.extensions_used}/{made}", post=False)
        for p in request.parties
        for made in range(1, request.offers_made + 1)
    )
