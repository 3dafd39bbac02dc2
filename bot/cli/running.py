"""Run Latchkey, and look whether it can: run, doctor, apply, key, settings."""

import logging
import os
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bot import settings
from bot.cli.terminal import err, fail, of_database, on_desk, out, read, show, shown, unusable
from bot.operations import logs
from bot.runtime import redaction
from bot.settings import BadSettingsError, Settings
from bot.usecases import doctor, folder, reach, whose
from engine.intake import TooMuchError
from engine.words import visible
from storage import secrets
from storage.claims import NotAloneError
from storage.database import AWAY, file_of
from storage.schema import NeedsUpgradeError


def run(
    http: Annotated[
        bool,
        typer.Option(
            "--http",
            help="Take Slack's events by HTTP; by Socket Mode, too, if there is a SLACK_APP_TOKEN.",
        ),
    ] = False,
) -> None:
    """Run Latchkey until SIGTERM or Ctrl-C."""
    from bot import wiring
    from bot.operations import signals
    from bot.operations.server import NoAddressError
    from bot.operations.waiting import Waiting
    from bot.program import Program, started

    given, faults = read(lambda: settings.load_sound(http=http))
    file = file_of(given.database_url)
    if faults and file and not file.exists():  # which would be made, for nothing
        unusable(BadSettingsError("\n".join(faults.values())))
    logs.configure()
    asked = signals.listen()

    def build() -> Program:
        found, unfit = whose.look(given)
        return wiring.build(found, http=http, faults=_joined(faults, unfit))

    try:
        waiting = Waiting(given)
        program = started(build, given.database_url, waiting, asked, typer.echo)
    except AWAY as fault:
        fail(of_database(fault))
    except BadSettingsError as fault:
        unusable(fault)
    except (NotAloneError, NeedsUpgradeError, NoAddressError) as fault:
        fail(str(fault))
    asked.to_end.wait()
    if program and not program.stop():
        logs.flush()
        os._exit(0)  # what still runs would be waited for


def _joined(faults: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return both; where both say something of one setting, both of it."""
    both = {n: f"{faults[n]} {more[n]}" for n in faults.keys() & more.keys()}
    return {**faults, **more, **both}


def examine() -> None:
    """Check tokens, scopes, database, clock and connectors. Status 1 if something is wrong."""
    logs.configure(level=logging.ERROR)  # what is found is said in the table
    table = Table("", "what", "found", box=None, show_header=False)
    bad = False
    given, faults = read(settings.load_to_examine)
    for check in doctor.examine(given, faults):
        bad = bad or not check.ok
        said = (escape(visible(redaction.redact(text))) for text in (check.name, check.detail))
        table.add_row("✓" if check.ok else "✗", *said)
    show(table)
    raise typer.Exit(1 if bad else 0)


def apply() -> None:
    """Take in the manifests now, also those that were applied before. Status 1 if they cannot be.

    A running Latchkey does so by itself, within seconds, with what was never applied. What is odd
    about the targets of flows is said on stderr.
    """
    from bot.runtime.services import Services

    given = read(settings.load_manifests)
    with on_desk(given, records=True) as desk:
        ring = desk.in_force(given).key_ring
        services = Services(desk.database, desk.companies, desk.clock, ring, {})
        try:
            changed = folder.apply(services, given.manifests, err.print)
        except TooMuchError as held:
            fail(f"Nothing was taken in. People are {folder.held_back(held)}")
        with desk.database.read() as session:
            odd = reach.unmatched(session, desk.companies.current(session))
    for line in changed or ["Nothing has changed."]:
        out.print(shown(line), soft_wrap=True)
    for line in odd:
        end = "" if line.endswith((".", "?")) else "."
        err.print(f"Look at {shown(line)}{end}", soft_wrap=True)
    if odd:
        err.print("`latchkey flows show NAME` shows what each target selects.", soft_wrap=True)


def key() -> None:
    """Make a key for LATCHKEY_KEYS."""
    typer.echo(secrets.new_key())


def print_settings() -> None:
    """List what can be set."""
    table = Table("setting", "default", "what for", box=None)
    for field in Settings.model_fields.values():
        default = "" if field.is_required() else str(field.default or "")
        table.add_row(field.alias, default, field.description)
    show(table)
