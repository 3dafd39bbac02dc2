"""The audit's chain: each entry bound to the one before, proven by a key; what is wrong with it.

`hash` binds an entry to all before it; anybody can compute it. `mac` is made of it with a key that
`key` names: who has no key can write no entry, and none anew. The head (number and hash of the last
entry) has a MAC of its own. Where it is not of the key to write with (that is new, somebody wrote
without one, or the head was moved), an entry BOUND comes first, which says what was found.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from engine.errors import LatchkeyError
from engine.outcome import AuditEntry
from engine.request import SYSTEM, RequestId

BOUND = "audit_bound"
ENTRY, HEAD = "entry", "head"  # what a MAC is of

_ANCHOR = re.compile("([1-9][0-9]{0,17}):([0-9a-f]{64})")


class BadAnchorError(LatchkeyError, ValueError):
    """An anchor is a number and a hash, NUMBER:HASH, as Latchkey has told it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """How the log was at a moment.

    Kept outside the database, it proves that nothing up to its entry has changed since; who had
    written that, only keys prove.
    """

    seq: int
    hash: str

    @classmethod
    def of(cls, text: str) -> Self:
        found = _ANCHOR.fullmatch(text.strip())
        if not found:
            raise BadAnchorError
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class AuditKey:
    """Makes MACs. `id` is what entries name it by, and tells nothing of it."""

    id: str
    _secret: bytes = field(repr=False)

    def mac(self, *what: str | int) -> str:
        return hmac.digest(self._secret, json.dumps(what).encode(), "sha256").hex()

    def made(self, mac: object, *what: str | int) -> bool:
        """Tell whether the MAC is of this key, and of nothing but what is given.

        What stands where a MAC should may be anything.
        """
        return isinstance(mac, str) and hmac.compare_digest(
            mac.encode(errors="replace"), self.mac(*what).encode()
        )


Keys = Mapping[str, AuditKey]  # by their ids


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is stored. `unread`: the columns that are not as Latchkey writes them.

    What stands there instead is given as text, as far as it cannot be read for what it should be.
    """

    seq: int
    at: str  # ISO 8601, UTC
    actor: str
    action: str
    request: RequestId | str | None
    detail: Mapping[str, Any] | str
    hash: str
    key: str
    mac: str
    unread: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        return f"entry {self.seq} ({self.action})"


NOTHING = Written(0, "", "", "", None, {}, "", "", "")  # what is before the first entry


class Head(NamedTuple):
    """Number, hash and MAC of the last entry, as they are stored: they may be anything."""

    seq: Any = 0
    hash: Any = ""
    mac: Any = ""

    @property
    def anchor(self) -> Anchor | None:
        """How the log is by it; None: it says no such thing, or nothing is in the log."""
        text = f"{self.seq}:{self.hash}"
        return Anchor.of(text) if _ANCHOR.fullmatch(text) else None

    @property
    def is_place(self) -> bool:
        """Whether this can be the number and the hash of an entry: SQLite keeps anything."""
        return isinstance(self.seq, int) and isinstance(self.hash, str) and self.seq >= 0


def line(before: str, *about: object, key: str) -> str:
    """Return what the hash of an entry is of; `before` is that of the one before.

    What was written without a key may be older than keys are.
    """
    said = [before, *about, key] if key else [before, *about]
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(written: str) -> str:
    return hashlib.sha256(written.encode()).hexdigest()


def bound(newest: tuple[int, str, str], head: Head, keys: Keys, *, fits: bool) -> list[AuditEntry]:
    """Return what to say of the head first, where it is not of the key to write with.

    `newest` are the number, the hash and the key of the entry to go on from. It is said whether the
    head was as that key had left it; None: not known, as that key is not there.
    """
    seq, link, before = newest
    said: dict[str, Any] = {"seq": seq, "hash": link, "key": before}
    if fits and head[:2] == (seq, link):
        if not seq:
            return []
        known = keys.get(before)
        said["intact"] = known.made(head.mac, HEAD, seq, link) if known else None
    else:
        said |= {"intact": False, "head": f"{head.seq}:{head.hash}"[:100]}
    return [AuditEntry(BOUND, SYSTEM, said)]


@dataclass(slots=True)
class _Unproven:
    """Entries in a row that no key proves. `after`: a proven one, which binds them."""

    first: Written
    last: Written
    forged: bool  # the key is there, and did not make the MAC
    early: bool  # no key was there yet
    goes_on: bool  # its first entry says that the head before it was as it had been left
    vouched: bool = False  # by who had both keys: the head was then as its own key had left it
    after: int | None = None

    def __str__(self) -> str:
        key, end = self.first.key, self.last.seq
        which = self.first.named if self.first.seq == end else f"entries {self.first.seq} to {end}"
        if self.forged:
            return f"{which}: written by somebody who does not have key {key}"
        how = f"under key {key}, which is not in LATCHKEY_KEYS" if key else "without a key"
        since = f". Since entry {self.after} nothing has changed there" if self.after else ""
        if self.early:
            return f"{which}: written {how}, before there was one. Only an anchor tells what it was"
        return f"{which}: written {how}. Nothing proves by whom, nor what was cut off before{since}"


@dataclass(slots=True)
class Chain:
    """One look along the log: `begin`, `read` for each entry in their order, `end`.

    Each yields what is wrong, one sentence each. It is whole as far as keys reach. An anchor proves
    that nothing has changed since, and that is all there is to know of entries from before there
    were keys.
    """

    keys: Keys
    anchors: Sequence[Anchor] = ()
    entries: int = 0
    early: int = 0  # entries from before there were keys, that an anchor knows
    _head: Head = field(default_factory=Head)
    _reached: bool = False  # the entry of the head
    _last: Written = NOTHING
    _keyed: bool = False  # an entry under a key was there
    _unproven: list[_Unproven] = field(default_factory=list)
    _unbound: list[_Unproven] = field(default_factory=list)  # of them, what the next one may bind
    _known: frozenset[Anchor] = frozenset()  # the anchors
    _met: frozenset[Anchor] = frozenset()  # of them

    def begin(
        self, head: Head, last: Written | None = None, *, keyed: bool = False
    ) -> Iterator[str]:
        """Go on from an entry, and take what is before as it is. `keyed`: one there has a key."""
        self._head, self._keyed = head, keyed
        self._last = last or NOTHING
        self._reached = self._last.seq == head.seq
        self._known = frozenset(self.anchors)
        self._met = self._known & {Anchor(self._last.seq, self._last.hash)}
        if last and self._reached:
            yield from self._head_made(last)

    def read(self, entry: Written) -> Iterator[str]:
        self.entries += 1
        yield from self._link(entry)
        self._prove(entry)
        self._met |= self._known & {Anchor(entry.seq, entry.hash)}
        if (entry.seq, entry.hash) == self._head[:2]:
            self._reached = True
            yield from self._head_made(entry)
        self._last = entry

    def end(self, head: Head, there: int) -> Iterator[str]:
        """Compare with the head as it is by now, with how many rows there are, and the anchors."""
        end = self._last.seq
        # Entries may have come since the head was read; none may lie beyond where it is now.
        if not self._reached or not isinstance(head.seq, int) or end > head.seq:
            yield f"the log ends at {end}, its head says {self._head.seq}"
        if there != self.entries:
            yield f"there are {there} entries, of which {self.entries} have a number of their own"
        yield from self._anchored()

    @property
    def newest(self) -> int:
        """The number of the last entry that was read."""
        return self._last.seq

    def _link(self, entry: Written) -> Iterator[str]:
        """Compare with the entry before."""
        last = self._last
        first, next_ = last.seq + 1, entry.seq
        if next_ < first:
            yield f"entry {next_} comes after entry {last.seq}"
        elif next_ == first + 1:
            yield f"entry {first} is missing: the next is {next_}"
        elif next_ > first:
            yield f"entries {first} to {next_ - 1} are missing: the next is {next_}"
        if entry.unread:
            yield f"{entry.named} is not as Latchkey writes it ({', '.join(entry.unread)})"
        elif entry.hash != _hash_of(last.hash, entry):
            yield f"{entry.named} was changed, or one before it"
        if entry.unread or entry.hash != _hash_of(last.hash, entry):
            self._unbound.clear()
        if entry.action == BOUND and not self._rightly_bound(entry):
            yield (
                f"before {entry.named} the head was not as Latchkey had left it: entries after "
                f"{last.seq} were cut off or put in, or the head was changed"
            )

    def _rightly_bound(self, entry: Written) -> bool:
        """Tell whether the head was where the log ended, and needed to be bound.

        Who wrote it may not have known the key of the head (None): then nothing proves what is
        before, and that is a finding of its own, unless that key is one of ours.
        """
        ways = (True,) if self._last.key in self.keys else (True, None)
        return any(_binds(self._last, entry, intact) for intact in ways)

    def _prove(self, entry: Written) -> None:
        key = self.keys.get(entry.key)
        goes_on = entry.action == BOUND and _binds(self._last, entry, intact=True)
        if key and key.made(entry.mac, ENTRY, entry.hash):
            if goes_on:
                self._vouch()
            for some in self._unbound:
                some.after = entry.seq
            self._unbound.clear()
            self._keyed = True
            return
        last = self._unproven[-1] if self._unproven else None
        early = not entry.key and not self._keyed
        self._keyed = self._keyed or bool(entry.key)
        same = last and last.last is self._last and self._last.key == entry.key
        if last and same and last.early == early:
            last.last = entry
        else:
            last = _Unproven(entry, entry, forged=bool(key), early=early, goes_on=goes_on)
            self._unproven.append(last)
            self._unbound.append(last)

    def _vouch(self) -> None:
        """Take the word of who had the next key, as far back as each had the one before."""
        for some in reversed(self._unbound):
            if some.forged or not some.first.key:
                return
            some.vouched = True
            if not some.goes_on:
                return

    def _head_made(self, newest: Written) -> Iterator[str]:
        key = self.keys.get(newest.key)
        if self._keyed and not (key and key.made(self._head.mac, HEAD, newest.seq, newest.hash)):
            yield (
                f"the head, at entry {newest.seq}, is not as Latchkey had left it: no key in "
                "LATCHKEY_KEYS made its MAC, and entries after it may have been cut off"
            )

    def _anchored(self) -> Iterator[str]:
        """Compare with the anchors, and say what no key proves."""
        end = self._last.seq
        for known in sorted(self._known - self._met, key=lambda a: a.seq):
            if known.seq > end:
                yield (
                    f"the log ends at {end}, before the anchor {known}: its end was cut off, or "
                    "an older state was put back"
                )
            else:
                yield f"up to entry {known.seq} the log is not what it was at the anchor {known}"
        anchored = max((a.seq for a in self._met), default=0)
        for some in self._unproven:
            if some.early and some.last.seq <= anchored:
                self.early += some.last.seq - some.first.seq + 1
            elif not some.vouched:
                yield str(some)


def starting_at(seq: int, found: Written | None) -> Written:
    """Return what a look goes on from: the entry that is found there, or that there is none."""
    return found or replace(NOTHING, seq=seq)


def _binds(last: Written, entry: Written, intact: bool | None) -> bool:  # noqa: FBT001
    found = {"seq": last.seq, "hash": last.hash, "key": last.key, "intact": intact}
    return entry.detail == found and last.key != entry.key


def _hash_of(before: str, entry: Written) -> str:
    about = entry.seq, entry.at, entry.actor, entry.action, entry.request, entry.detail
    try:
        return digest(line(before, *about, key=entry.key))
    except (ValueError, RecursionError):  # no text, or deeper than anybody writes
        return ""
