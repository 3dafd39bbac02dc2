"""What every command works with: the terminal, the settings, the database of a Latchkey."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot import settings
from bot.runtime import redaction
from bot.runtime.references import env_fault
from bot.settings import BadSettingsError, KeySettings, StoreSettings, SystemSettings
from bot.usecases import console, whose
from bot.views.text import plain
from engine.words import visible
from storage.database import unusable as unusable_database
from storage.schema import NeedsUpgradeError

T = TypeVar("T")

# What a program reads is not cut to a terminal's width.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
err = Console(stderr=True, highlight=False)


def shown(text: str) -> str:
    """What people wrote, without what would change the terminal."""
    return escape(plain(text, 2000)) if text.strip() else ""


def say(sentence: str) -> None:
    out.print(shown(sentence), soft_wrap=True)


def show(table: Table) -> None:
    """Draw a table; where no terminal is, its lines end where their text does."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as drawn:
        out.print(table)
    for line in drawn.get().splitlines():
        out.print(line.rstrip(), markup=False, soft_wrap=True)


def read(load: Callable[[], T]) -> T:
    try:
        return load()
    except BadSettingsError as fault:
        unusable(fault)


def unusable(fault: BadSettingsError) -> NoReturn:
    fail(f"These settings cannot be used:\n{fault}")


def store() -> StoreSettings:
    """Return what the database needs, and the keys as far as they are there."""
    found, _ = keys()
    return found or read(settings.load_store)


def of_systems() -> SystemSettings:
    """Return what it takes to look at systems, and the keys as far as they are there."""
    found, _ = keys()
    return found or read(settings.load_systems)


_NO_KEY = "What is recorded here has no key, which `latchkey audit verify` will always say."


@contextmanager
def on_desk(given: StoreSettings | None = None, *, records: bool = False) -> Iterator[console.Desk]:
    """Open the database of a Latchkey: nothing else of the settings is needed.

    `records`: something may be written to the audit, without a key where the keys are others.
    """
    given = given or store()
    if fault := env_fault():
        say_fault(f"{fault} This goes on without it.")
    if isinstance(given, KeySettings):
        for fault in given.unusable_keys.values():
            say_fault(fault)
    try:
        with console.on_latchkey(given) as desk:
            if isinstance(given, SystemSettings):
                found = desk.in_force(given)
                if fault := whose.misnamed(given, found):
                    say_fault(f"{fault}.")
                if isinstance(found, KeySettings):
                    desk.database.keys = found.key_ring
            ring = desk.database.keys
            if records and ring is None:
                say_fault(f"{keys()[1]}. {_NO_KEY}")
            elif records and ring and (fault := desk.not_ours(ring)):
                say_fault(f"{fault}. {_NO_KEY}")
                desk.database.keys = None
            yield desk
    except (console.NoLatchkeyError, NeedsUpgradeError) as fault:
        fail(str(fault))


def fail(sentence: str) -> NoReturn:
    say_fault(sentence)
    raise typer.Exit(1)


def say_fault(sentence: str) -> None:
    # Before it is drawn: a secret that is broken into two lines would not be known again.
    err.print(visible(redaction.redact(sentence)), style="red", markup=False, soft_wrap=True)


def of_database(fault: Exception) -> str:
    try:
        return unusable_database(fault, settings.load_store().database_url)
    except BadSettingsError:  # which would have been told before
        return str(fault)


def keys() -> tuple[KeySettings | None, str]:
    """Return what it takes to work on accounts, or why it is not there."""
    try:
        return settings.load_keys(), ""
    except BadSettingsError as fault:
        why = str(fault).splitlines()[0].partition(". ")[0].rstrip(".")
        return None, why


def name_unread(desk: console.Desk) -> None:
    """Name what could not be read on the way: the rest was done without it."""
    for finding in desk.database.unread.take():
        err.print(shown(finding.sentence), soft_wrap=True)
