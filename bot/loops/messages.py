"""The message loop's hands: brings what Slack shows in line with what each person should see."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

import structlog
from slack_sdk.errors import SlackApiError
from structlog.contextvars import bound_contextvars

from bot.runtime.pool import Pool
from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, Client, OddAnswerError, reaches, said
from bot.slack.errors import Cure, asked_to_wait, cure_of, error_code, method_of
from bot.slack.gate import POST, AtRestError
from bot.usecases import channels, deliver, reached
from bot.usecases.deliver import Drawn
from bot.usecases.reached import Reach
from bot.views.values import Message
from engine.channel import ChannelId
from engine.directory import PersonId
from engine.errors import LatchkeyError
from engine.outcome import Card
from engine.request import code_of
from engine.retry import LONGEST_PAUSE, pause
from storage.messages import Later, Parcel, Posted, Ready, Result, Shown, news_of

METADATA = "latchkey_card"
UPDATE = "chat.update"
OPEN = "conversations.open"
WORKERS = 8
AT_ONCE = 24  # cards drawn in one turn, and then sent: three for each worker
STORED = 100  # of which it is stored what came of them, in one transaction
GATHER = 0.2  # seconds that a result waits for others, to be stored with them
PAGES = 3  # of history, to look for a card that may have been posted

LEFT = frozenset({Cure.NOBODY, Cure.REFUSE, Cure.ANEW})  # an earlier card stays as it is

log = structlog.get_logger()

_Found = tuple[int, Posted]  # with its number


@dataclass(frozen=True, slots=True)
class _Sent:
    result: Result
    opened: tuple[PersonId, str] | None = None  # a direct message that was opened for it
    reach: Reach | None = None
    closed: tuple[ChannelId, str] | None = None  # a channel that takes nothing, and why
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Stands:
    """What stands in Slack of a card: the live one, its number, and those before it."""

    live: Posted | None
    posted: int
    earlier: tuple[Posted, ...]

    @classmethod
    def of(cls, parcel: Parcel) -> Self:
        return cls(parcel.live, parcel.posted, parcel.earlier)

    def with_live(self, live: Posted, number: int) -> Self:
        before = (*self.earlier, self.live) if self.live else self.earlier
        return replace(self, live=live, posted=number, earlier=before)

    def adopting(self, found: Sequence[_Found], parcel: Parcel) -> Self:
        """Take in what was posted, it turns out; only what has the number wanted is live."""
        stands = self
        for number, posted in reversed(found):
            if self.posted < number <= parcel.posting:
                stands = stands.with_live(posted, number)
        return stands


class _ClosedError(LatchkeyError):
    """The channel takes no card; it says why."""


class _LeftError(LatchkeyError):
    """Another may be sending the same: it is not sent now."""


class MessageLoop:
    """Sends what is due, urgent first, several at once; stores what came of it in batches."""

    def __init__(
        self, services: Services, client: Client, pool: Callable[[int, str], Pool] = Pool
    ) -> None:
        self._services = services
        self._client = client
        self._pool = pool(WORKERS, "messages")
        self._changed = threading.Condition()
        self._busy: set[int] = set()
        self._sent: list[_Sent] = []
        self._stopping = False
        self._due = threading.Event()  # there may be something to send
        self._due.set()
        self._missed = False  # the last look left something out: what was being sent, or too much
        self.wake: Callable[[], None] = lambda: None

    def look(self) -> None:
        """Have the next drain look for what is due: somebody committed, or time has passed."""
        self._due.set()
        self.wake()

    def drain(self) -> None:
        self._settle()
        if self._stopping or not self._due.is_set():
            return
        self._due.clear()
        with self._changed:
            busy = set(self._busy)
        self._missed = bool(busy)
        with self._services.turns:
            leased, found = time.monotonic(), self._ready(busy)
            if found.free:
                deliver.claim(self._services, found.free)
                # Somebody may have changed a request since: what is drawn must be what is stored.
                leased, found = time.monotonic(), self._ready(busy)
            drawn = deliver.draw(self._services, found)
        self._missed |= len(found.mine) == AT_ONCE
        now = self._services.clock.now()
        undrawn = [p for p in found.mine if p.id not in drawn]
        with self._changed:
            self._busy.update(p.id for p in found.mine)
            self._sent += [_Sent(Later(p, now + pause(p.attempts))) for p in undrawn]
        if undrawn:
            self.wake()
        for parcel in found.mine:
            if parcel.id in drawn:
                self._pool.submit(self._deliver, parcel, drawn[parcel.id], leased)

    def _ready(self, busy: Collection[int]) -> Ready:
        gate = self._client.gate
        return deliver.ready(
            self._services,
            AT_ONCE,
            busy=busy,
            posts=not gate.rests(POST),
            updates=not gate.rests(UPDATE),
            full=gate.full,
        )

    def stop(self, within: float = 10.0) -> bool:
        """Send nothing more, store what was sent. Return whether all that was begun is stored."""
        self._stopping = True
        finished = self._pool.stop(within)
        self._settle(gather=False)
        return finished

    def wait(self, within: float) -> bool:
        """Wait until nothing is being sent. Return whether there is more for `drain` to do.

        Raises TimeoutError where something is after so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._busy) == len(self._sent), within):
                raise TimeoutError(f"{len(self._busy) - len(self._sent)} messages are being sent")
            return bool(self._sent) or self._due.is_set()

    @property
    def _gathers(self) -> bool:
        """Whether what was sent waits for what is under way."""
        under_way = len(self._busy) > len(self._sent)
        return under_way and bool(self._sent) and time.monotonic() - self._sent[0].at < GATHER

    def _settle(self, *, gather: bool = True) -> None:
        with self._changed:
            if gather and self._gathers:
                return  # what is under way is stored with it, in one transaction
        while self._sent:
            with self._changed:
                sent, self._sent = self._sent[:STORED], self._sent[STORED:]
            self._store(sent)

    def _store(self, sent: list[_Sent]) -> None:
        opened = [s.opened for s in sent if s.opened]
        try:
            with self._services.turns:
                reached.note(self._services, [s.reach for s in sent if s.reach])
                for channel, why in dict(s.closed for s in sent if s.closed).items():
                    channels.close(self._services, channel, why)
                deliver.settle(self._services, [s.result for s in sent], opened)
        except Exception:
            with self._changed:
                self._sent = [*sent, *self._sent]
            raise
        with self._changed:
            self._busy -= {s.result.parcel.id for s in sent}
        if self._missed:
            self._due.set()  # some of them may have been wanted anew while they were sent

    def _deliver(self, parcel: Parcel, drawn: Drawn, leased: float) -> None:
        self._services.turns.give_way()
        request = code_of(parcel.request) if parcel.request else ""
        at_rest = False
        with bound_contextvars(message=parcel.id, kind=parcel.kind.value, request=request):
            try:
                sent = self._outcome(parcel, drawn, leased)
            except AtRestError:
                sent, at_rest = None, True
        with self._changed:
            if sent:
                self._sent.append(sent)
            else:
                self._busy.discard(parcel.id)
            gathers = self._gathers
            self._changed.notify_all()
        if at_rest:
            return  # it is found again, a second later, once it may go out
        if not sent:
            self.look()
        elif not gathers:
            self.wake()

    def _outcome(self, parcel: Parcel, drawn: Drawn, leased: float) -> _Sent | None:
        """Return what came of it; None: it was left to whoever has it leased now.

        Raises AtRestError where it may not go out now, and nothing came of it.
        """
        now = self._services.clock.now()
        try:
            return self._send(parcel, self._addressed(drawn), leased)
        except _LeftError:
            return None
        except _ClosedError as closed:
            return _closed(parcel, str(closed), now)
        except SlackApiError as fault:
            if parcel.kind is Card.CHANNEL and (why := channels.why_refused(fault)):
                return _closed(parcel, why, now)
            waits_for = POST if parcel.unposted else UPDATE
            if isinstance(fault, AtRestError) and method_of(fault) == waits_for:
                raise
            if (wait := asked_to_wait(fault)) is not None:
                return _Sent(Later(parcel, now + wait))
            return _Sent(_after(parcel, fault, now), reach=_refused(parcel, drawn, fault))
        except NO_ANSWER as fault:
            # Whether Slack did it before the connection broke, nobody knows.
            log.info("not known whether sent", why=type(fault).__name__)
        except Exception:
            log.exception("delivery failed")
        return _Sent(Later(parcel, now + pause(parcel.attempts), doubtful=True))

    def _addressed(self, drawn: Drawn) -> Drawn:
        """Return the card addressed to nobody, if in this workspace the account is another's."""
        if drawn.to is None or drawn.message is None or reaches(self._client, drawn.to):
            return drawn
        log.error("message dropped", error="its account is of another workspace")
        return replace(drawn, to=None)

    def _send(self, parcel: Parcel, drawn: Drawn, leased: float) -> _Sent:
        there = parcel.live or parcel.doubtful
        user = drawn.where
        if drawn.message is None or user is None or not (there or drawn.worth_posting):
            return _Sent(_left(parcel, self._services.clock.now()))
        posts = parcel.unposted and drawn.worth_posting
        stands, channel = _Stands.of(parcel), drawn.channel or user
        if parcel.doubtful and parcel.unposted:
            channel = drawn.channel or self._direct(user)
            stands = stands.adopting(self._found(channel, parcel, drawn), parcel)
        if not self._services.pulse.holds(leased):
            raise _LeftError
        if posts and stands.posted < parcel.posting:
            if drawn.into and (why := channels.why_closed(self._client, drawn.into)):
                raise _ClosedError(why)
            stands = stands.with_live(
                self._posted(channel, user, parcel, drawn.message), parcel.posting
            )
        elif stands.live and (stands.live != parcel.live or parcel.drawn < parcel.version):
            self._update(stands.live, drawn.message)
        if stands.live and stands.posted == parcel.posting:
            stands = replace(stands, live=replace(stands.live, news=parcel.news))
        left, again = self._shrink(stands.earlier, drawn, parcel)
        anew = stands.live if stands.posted > parcel.posted else None
        return _Sent(
            Shown(parcel, stands.live, stands.posted, left, again),
            (parcel.recipient, anew.channel) if anew and anew.channel != drawn.channel else None,
            Reach(parcel.recipient, drawn.to, "")
            if anew and drawn.to and drawn.to.unreachable
            else None,
        )

    def _posted(self, channel: str, user: str, parcel: Parcel, message: Message) -> Posted:
        """Post it; where the direct message that is known is not there any more, in another."""
        try:
            return self._post(channel, parcel, message)
        except SlackApiError as fault:
            if cure_of(fault) is not Cure.ANEW or channel == user:
                raise
            return self._post(user, parcel, message)

    def _post(self, channel: str, parcel: Parcel, message: Message) -> Posted:
        # Slack opens a direct message for whoever is named in place of a channel.
        said_: Any = self._client.chat_postMessage(
            channel=channel,
            text=message.text,
            blocks=message.blocks,
            metadata={"event_type": METADATA, "event_payload": _marks(parcel)},
            unfurl_links=False,
            unfurl_media=False,
        )
        return Posted(said(said_, "channel"), said(said_, "ts"), parcel.news)

    def _update(self, there: Posted, message: Message) -> None:
        done: Any = self._client.chat_update(
            channel=there.channel, ts=there.ts, text=message.text, blocks=message.blocks
        )
        said(done, "ts")  # else it was not Slack that answered

    def _shrink(
        self, earlier: Sequence[Posted], drawn: Drawn, parcel: Parcel
    ) -> tuple[tuple[Posted, ...], datetime | None]:
        """Make each one line, and return those that are left, and when to try again."""
        left = list(earlier)
        while left:
            now = self._services.clock.now()
            try:
                self._update(left[0], drawn.shrunk(left[0].news))
            except SlackApiError as fault:
                if (wait := asked_to_wait(fault)) is not None:
                    return tuple(left), now + wait
                if cure_of(fault) not in LEFT:
                    return tuple(left), now + pause(parcel.attempts)
                log.info("earlier card cannot be changed", error=error_code(fault))
            except NO_ANSWER:
                return tuple(left), now + pause(parcel.attempts)
            del left[0]
        return (), None

    def _direct(self, slack: str) -> str:
        answer: Any = self._client.conversations_open(users=slack)
        return said(answer, "channel", "id")

    def _found(self, channel: str, parcel: Parcel, drawn: Drawn) -> list[_Found]:
        """As `_find`. Without leave to read what is said in channels, nothing is found."""
        try:
            return self._find(channel, parcel)
        except SlackApiError as fault:
            if drawn.into and error_code(fault) == "missing_scope":
                return []
            raise

    def _find(self, channel: str, parcel: Parcel) -> list[_Found]:
        """Look for what attempts with an unknown outcome may have posted, the newest first."""
        cursor, found = "", list[_Found]()
        for _ in range(PAGES):
            page: Any = self._client.conversations_history(
                channel=channel, include_all_metadata=True, limit=100, cursor=cursor or None
            )
            messages_ = page.get("messages")
            if not isinstance(messages_, list):
                raise OddAnswerError("without messages")  # it may be there all the same
            for message in messages_:
                match message:
                    case {"metadata": {"event_payload": {"id": id_, **marks}}} if id_ == _identity(
                        parcel
                    ):
                        number = marks.get("posting", 1)  # the program before numbers none
                        posted = Posted(channel, said(message, "ts"), news_of(marks.get("news")))
                        found.append((number if isinstance(number, int) else 0, posted))
            if any(number <= parcel.posted + 1 for number, _ in found):
                break  # what was posted since is newer
            match page.get("response_metadata"):
                case {"next_cursor": str(next_)} if next_:
                    cursor = next_
                case _:
                    break
        return found


def _left(parcel: Parcel, now: datetime) -> Shown:
    """Leave a card as it is; those before it stay known until they are shrunk."""
    again = now + LONGEST_PAUSE if parcel.earlier else None
    return Shown(parcel, parcel.live, parcel.posted, parcel.earlier, again)


def _closed(parcel: Parcel, why: str, now: datetime) -> _Sent:
    """Leave a card as it is: its channel takes none."""
    log.warning("channel takes no card", channel=parcel.recipient, why=why)
    return _Sent(_left(parcel, now), closed=(ChannelId(parcel.recipient), why))


def _identity(parcel: Parcel) -> str:
    return f"{parcel.request or 0}/{parcel.kind}/{parcel.recipient}/{parcel.key}"


def _marks(parcel: Parcel) -> dict[str, object]:
    """Return what a posting is known by, if nobody heard that it was posted."""
    news = {"news": parcel.news.value} if parcel.news else {}
    return {"id": _identity(parcel), "posting": parcel.posting, **news}


def _refused(parcel: Parcel, drawn: Drawn, fault: SlackApiError) -> Reach | None:
    """Return that somebody takes no message, if that is what Slack says."""
    told = method_of(fault) in {POST, OPEN} and cure_of(fault) in {Cure.NOBODY, Cure.ANEW}
    return Reach(parcel.recipient, drawn.to, error_code(fault)) if told and drawn.to else None


def _after(parcel: Parcel, fault: SlackApiError, now: datetime) -> Result:
    """Return what to do about an error."""
    cure, code = cure_of(fault), error_code(fault)
    if cure is Cure.UNSURE:
        return Later(parcel, now + pause(parcel.attempts), doubtful=True)
    if cure is Cure.REFUSE:
        log.error("message dropped", error=code)
        return _left(parcel, now)
    if cure is Cure.ANEW and method_of(fault) == UPDATE:
        return Later(parcel, now, anew=True)
    log.warning("message refused", error=code)
    slowly = cure in {Cure.NOBODY, Cure.ANEW}
    return Later(parcel, now + (LONGEST_PAUSE if slowly else pause(parcel.attempts)))
