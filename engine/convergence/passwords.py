"""What becomes of a login's password: a table of what is kept of it and what happens to it.

It is stored before it is used, set once, shown for ten minutes, and forgotten then, or as soon as
its owner has it, or holds nothing any more. One that its owner knows is never set again; when it
has become too old, another is made for the next access.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from engine.convergence.values import Account, Password, PasswordState, Reset, Saved, Show, Step
from engine.holdings import Wishes

SHOWN_FOR = timedelta(minutes=10)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
AGAIN = timedelta(seconds=2)  # until what cannot be done for the moment is tried again


class Fate(StrEnum):
    """What happens to a password."""

    NEEDED = "needed"  # access is about to be given through it
    TAKEN = "taken"  # the system has it
    MISSING = "missing"  # the system has none, and does not know this one
    RESET = "reset"
    SHOWN = "shown"
    SAVED = "saved"
    EMPTIED = "emptied"  # its owner holds nothing any more
    AGED = "aged"  # its owner has had it for too long
    DROPPED = "dropped"  # the login is no more


@dataclass(frozen=True, slots=True)
class Do:
    """A row of the table: what is done, and the states that it may lead to."""

    step: Callable[[Password, datetime], Password]
    to: tuple[PasswordState, ...]


def after(password: Password, fate: Fate, now: datetime) -> Password:
    """Return what is kept after that."""
    return TABLE[fate][password.state].step(password, now)


# --- the steps -----------------------------------------------------------------------------------


def _same(password: Password, _now: datetime) -> Password:
    return password


def _anew(password: Password, _now: datetime) -> Password:
    return Password(made=password.made, to_make=True)


def _anew_if_made(password: Password, now: datetime) -> Password:
    return _anew(password, now) if password.made else password


def _taken(password: Password, now: datetime) -> Password:
    return replace(password, set=True, since=now)


def _shown(password: Password, now: datetime) -> Password:
    if password.shown_at is None:
        return replace(password, shown_at=now)
    return _forgotten(password, now) if password.set and _is_over(password, now) else password


def _saved(password: Password, now: datetime) -> Password:
    """Forget it; one that the system has not taken yet is only shown no more."""
    return _forgotten(password, now) if password.set else replace(password, shown_at=LONG_AGO)


def _forgotten(password: Password, _now: datetime) -> Password:
    return replace(password, sealed=None, secret=None)


def _emptied(password: Password, now: datetime) -> Password:
    # A program of before does not say since when: its time runs from now on at the latest.
    since = password.since or (now if password.made and password.shown_at else None)
    return Password(made=password.made, shown_at=password.shown_at, since=since)


def _none(_password: Password, _now: datetime) -> Password:
    return Password()


def _is_over(password: Password, now: datetime) -> bool:
    return password.shown_at is not None and now - password.shown_at >= SHOWN_FOR


# --- the table -----------------------------------------------------------------------------------

_S = PasswordState
_GONE = (_S.NONE, _S.FORGOTTEN)
_NOTHING = Do(_same, ())
_MAKE = Do(_anew, (_S.TO_MAKE,))


def _rows(otherwise: Do, rows: Mapping[PasswordState, Do]) -> Mapping[PasswordState, Do]:
    return {state: rows.get(state, otherwise) for state in PasswordState}


TABLE: Mapping[Fate, Mapping[PasswordState, Do]] = {
    Fate.NEEDED: _rows(_NOTHING, {_S.NONE: _MAKE, _S.LOST: _MAKE}),
    Fate.TAKEN: _rows(_NOTHING, {_S.STORED: Do(_taken, (_S.SET,))}),
    Fate.MISSING: _rows(_MAKE, {_S.TO_MAKE: _NOTHING}),
    Fate.RESET: _rows(Do(_anew_if_made, (_S.TO_MAKE,)), {_S.TO_MAKE: _NOTHING}),
    Fate.SHOWN: _rows(
        _NOTHING,
        {_S.STORED: Do(_shown, (_S.STORED,)), _S.SET: Do(_shown, (_S.SET, *_GONE))},
    ),
    Fate.SAVED: _rows(
        _NOTHING,
        {
            _S.STORED: Do(_saved, (_S.STORED,)),
            _S.SET: Do(_saved, _GONE),
            _S.LOST: Do(_saved, (_S.LOST, *_GONE)),
        },
    ),
    Fate.EMPTIED: _rows(
        Do(_emptied, _GONE),
        {
            _S.NONE: Do(_emptied, (_S.NONE,)),
            _S.TO_MAKE: Do(_emptied, (_S.NONE,)),
            _S.FORGOTTEN: Do(_emptied, (_S.FORGOTTEN,)),
        },
    ),
    Fate.AGED: _rows(_NOTHING, {_S.FORGOTTEN: _MAKE}),
    Fate.DROPPED: _rows(Do(_none, (_S.NONE,)), {}),
}


# --- what its owner does -------------------------------------------------------------------------


def reset(account: Account, _event: Reset, _wishes: Wishes, now: datetime) -> Step:
    """Make another, which the next order sets. Without a login there is nothing to reset."""
    password = after(account.password, Fate.RESET, now)
    if not password.to_make:
        return Step(account=account)
    wanted = account.wanted + 1
    account = account.with_(password=password, wanted=wanted, proof=None, due_at=now, attempts=0)
    return Step(account=account)


def show(account: Account, _event: Show, _wishes: Wishes, now: datetime) -> Step:
    """Give the password out; the first look starts the ten minutes."""
    before = account.password
    account = account.with_(password=after(before, Fate.SHOWN, now))
    if before.secret is None or _is_over(before, now):
        return Step(account=account)
    first = before.shown_at is None
    return Step(account=account, shown=before.secret, forget_at=now + SHOWN_FOR if first else None)


def saved(account: Account, _event: Saved, _wishes: Wishes, now: datetime) -> Step:
    account = account.with_(password=after(account.password, Fate.SAVED, now))
    return Step(account=account)
