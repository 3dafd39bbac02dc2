"""Socket Mode: links to Slack, each replaced before it goes, and at once when it has gone deaf.

slack_sdk's own clients close the old link before they read the new one, which loses what is under
way, and need 24 s to see that a link is deaf. Here the old one stays until Slack closes it, and an
acknowledgement whose link is gone travels over another.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import structlog
from slack_bolt import App, BoltResponse
from slack_sdk import WebClient
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from bot.runtime.priority import Turns
from bot.slack import dispatch
from bot.slack.client import NO_ANSWER, in_words, said
from bot.slack.errors import asked_to_wait
from bot.slack.lanes import NOTHING_FOUND, Lane, Lanes, is_outdone, lane_of

LINKS = 2
APART = 60.0  # seconds between the first openings: two links are never renewed together
PING_EVERY = 3.0  # seconds
PONG_WITHIN = 4.0  # seconds; a link that takes longer is deaf
CLOSE_WITHIN = 1.0  # seconds that a link's end may take
LINGER = 15.0  # seconds that a link that was told to go is still listened to
ACK_WITHIN = 3.0  # seconds that Slack waits for an acknowledgement
LONGEST_PAUSE = 10.0  # seconds between tries to open a link
SHORT_LIFE = 1.0  # seconds; what goes sooner counts as not opened

Json = dict[str, Any]

log = structlog.get_logger()


class Link:
    """One connection, from its opening to its end. `gone`: another is needed in its place."""

    def __init__(self, url: str, take: Callable[["Link", Json], None]) -> None:
        self.gone = threading.Event()
        self._open = ExitStack()
        self._connection = self._open.enter_context(
            connect(
                url,
                compression=None,
                open_timeout=10,
                close_timeout=CLOSE_WITHIN,
                ping_interval=None,  # `watch` asks, and remembers the answer
            )
        )
        self.born = self.heard = time.monotonic()
        self.take = take
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="link", daemon=True).start()

    @property
    def lives(self) -> bool:
        """Whether it was heard of as lately as a link should be."""
        silent = time.monotonic() - self.heard
        return not self.gone.is_set() and silent <= PING_EVERY + PONG_WITHIN

    def watch(self) -> str:
        """Return when it goes or is found deaf, and which of the two."""
        while not self.gone.wait(PING_EVERY):
            if not self._answers():
                self.gone.set()
                return "deaf"
        return "gone"

    def say(self, said: Json) -> bool:
        """Return whether it could be sent."""
        try:
            self._connection.send(json.dumps(said))
        except (ConnectionClosed, OSError):
            return False
        return True

    def leave(self, after: float) -> None:
        """Close it when the other side has, at the latest `after` so many seconds."""
        self._closed.wait(after)
        self._open.close()

    def drop(self) -> None:
        """Close it without a farewell, which a deaf one would not hear: Slack sees it at once."""
        self._connection.close_socket()
        self._open.close()

    def _answers(self) -> bool:
        try:
            # A link that closes meanwhile is no deaf one.
            answered = self._connection.ping(ack_on_close=True).wait(PONG_WITHIN)
        except ConnectionClosed:
            return True
        if answered:
            self.heard = time.monotonic()
        return answered

    def _listen(self) -> None:
        try:
            for frame in self._connection:
                said = _read(frame)
                if said.get("type") == "disconnect":
                    self.gone.set()
                elif "envelope_id" in said or said.get("type") == "hello":
                    self.take(self, said)
        except (ConnectionClosed, OSError):
            pass
        except Exception:
            log.exception("link failed")
        finally:
            self._closed.set()
            self.gone.set()


class Links:
    """Keeps the links open, and runs the app on what they bring.

    `client` opens them; its token is the app's.
    """

    def __init__(
        self, app: App, client: WebClient, turns: Turns | None = None, *, apart: float = APART
    ) -> None:
        self._app = app
        self._turns = turns or Turns()
        self._client = client
        self._apart = apart
        self._pool = Lanes()
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._links: dict[int, Link] = {}
        self._all: set[Link] = set()  # those that leave, too
        self._linked: bool | None = None  # None: not yet said either way
        self._others: tuple[float, int] | None = None

    def start(self) -> None:
        """Open the links in the background, and keep on trying: Slack may be down."""
        for place in range(LINKS):
            threading.Thread(
                target=self._keep, args=(place,), name=f"links-{place}", daemon=True
            ).start()

    def stop(self, within: float = 5.0) -> bool:
        """Take nothing more; what was taken is acknowledged before the links close."""
        until = time.monotonic() + within
        with self._changed:
            self.stopping.set()
        finished = self._pool.stop(max(within / 2, within - CLOSE_WITHIN), finish=True)
        with self._changed:
            links = list(self._all)
        leaving = [threading.Thread(target=n.leave, args=(0,), daemon=True) for n in links]
        for link, leave in zip(links, leaving, strict=True):
            link.gone.set()
            leave.start()
        for leave in leaving:
            leave.join(max(0.0, until - time.monotonic()))
        return finished

    @property
    def live(self) -> int:
        """How many links are alive, by their last answer to a ping."""
        with self._changed:
            return sum(link.lives for link in self._links.values())

    @property
    def others(self) -> tuple[float, int] | None:
        """How many sockets the app had besides these, and when Slack said so; None: never yet."""
        return self._others

    def renew(self) -> None:
        """Open the older one of the links anew: Slack says then how many there are."""
        with self._changed:
            living = (n for n in self._links.values() if n.lives)
            link = min(living, key=lambda n: n.born, default=None)
        if link:
            link.gone.set()

    def _keep(self, place: int) -> None:
        """Keep one link; when it goes, open another before the old one is closed."""
        failures = 0
        if self.stopping.wait(place * self._apart):
            return
        while not self.stopping.is_set():
            try:
                lived = self._keep_one(place)
            except Exception as fault:  # whatever it is, another try may go better
                if not isinstance(fault, (*NO_ANSWER, WebSocketException)):
                    log.exception("link failed", link=place)
                failures += 1
                self._tell(fault)
                self.stopping.wait(_pause(failures, fault))
                continue
            failures = failures + 1 if lived < SHORT_LIFE else 0
            if failures:
                self.stopping.wait(_pause(failures, None))

    def _keep_one(self, place: int) -> float:
        """Open a link and stay with it until it goes; return how many seconds it lived."""
        link, why = self._open(), "failed"
        try:
            if not self._place(place, link):
                link.leave(0)
                return 0.0
            why = link.watch()
        finally:
            if not self.stopping.is_set():
                log.info("link goes", link=place, why=why)
                threading.Thread(target=self._retire, args=(link, why), daemon=True).start()
        return time.monotonic() - link.born

    def _open(self) -> Link:
        answer = self._client.api_call("apps.connections.open")
        return Link(said(answer, "url"), self.take)

    def _place(self, place: int, link: Link) -> bool:
        """Return whether it is needed: not one that opened while `stop` closed the others."""
        with self._changed:
            if self.stopping.is_set():
                return False
            self._links[place] = link
            self._all.add(link)
            new, self._linked = not self._linked, True
            self._changed.notify_all()
        if new:
            log.info("linked to slack")
        return True

    def _tell(self, fault: Exception) -> None:
        """Say once that there is no link at all."""
        with self._changed:
            lost = self._linked is not False and not any(n.lives for n in self._links.values())
            if lost:
                self._linked = False
        if lost:
            log.warning("no link to slack", why=_why(fault, self._client.base_url))

    def _retire(self, link: Link, why: str) -> None:
        if why == "deaf":
            link.drop()
        else:
            link.leave(LINGER)
        with self._changed:
            self._all.discard(link)

    def take(self, link: Link, envelope: Json) -> None:
        if "envelope_id" not in envelope:
            self._count(link, envelope.get("num_connections"))
            return
        # Of what is no object nothing is text: that is how it comes over HTTP.
        given = envelope.get("payload")
        body = given if isinstance(given, dict) else {}
        lane = lane_of(body)
        nothing = {"envelope_id": envelope["envelope_id"], "payload": NOTHING_FOUND}
        with suppress(RuntimeError):  # the pool is closed: what comes now is not acknowledged
            self._pool.submit(
                lane,
                lambda: self._answer(lane, link, envelope, body),
                (lambda: link.say(nothing)) if is_outdone(body) else None,
            )

    def _count(self, link: Link, connections: object) -> None:
        if isinstance(connections, int):
            with self._changed:
                ours = len(self._all | {link})  # those that leave are counted, too
                # One that was opened since is ours, and was not counted.
                self._others = time.monotonic(), max(0, connections - ours)

    def _answer(self, lane: Lane, link: Link, envelope: Json, body: Json) -> None:
        name = str(envelope["envelope_id"])
        with self._turns.answering(searching=lane.searching):
            response = dispatch.dispatch(self._app, body, name, _headers(envelope))
            if response.status == 200:
                self._acknowledge(link, name, payload(response))

    def _acknowledge(self, link: Link | None, envelope: str, payload: Json | None) -> None:
        said = {"envelope_id": envelope} | ({"payload": payload} if payload else {})
        until = time.monotonic() + ACK_WITHIN
        while link and not link.say(said):
            link = self._another(link, until)
        if link is None:
            log.warning("not acknowledged: there is no link")

    def _another(self, than: Link, until: float) -> Link | None:
        """Return a living link, waiting for one if there is none."""

        def found() -> Link | None:
            return next((n for n in self._links.values() if n is not than and n.lives), None)

        with self._changed:
            self._changed.wait_for(found, until - time.monotonic())
            return found()


def _pause(failures: int, fault: Exception | None) -> float:
    pause = min(LONGEST_PAUSE, 2.0 ** min(failures - 1, 10))
    asked = asked_to_wait(fault) if fault else None
    return max(pause, asked.total_seconds()) if asked else pause


def _why(fault: Exception, address: str) -> str:
    if isinstance(fault, NO_ANSWER):
        return in_words(fault, address, "SLACK_APP_TOKEN")
    return type(fault).__name__


def _read(frame: str | bytes) -> Json:
    """Return what was said; nothing if it makes no sense, and the link stays."""
    with suppress(ValueError, RecursionError):
        said = json.loads(frame)
        if isinstance(said, dict):
            return said
    log.warning("frame not understood")
    return {}


def _headers(envelope: Json) -> dict[str, str]:
    given = {"num": envelope.get("retry_attempt"), "reason": envelope.get("retry_reason")}
    return {f"x-slack-retry-{name}": str(value) for name, value in given.items() if value}


def payload(response: BoltResponse) -> Json | None:
    if not response.body:
        return None
    kind = response.headers.get("content-type", [""])[0]
    if kind.startswith("application/json"):
        payload: Json = json.loads(response.body)
        return payload
    return {"text": response.body}
