"""The command line: run Latchkey, look after it, and work on requests when Slack is down."""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from bot.cli import (
    aql,
    audit,
    database,
    flows,
    grants,
    integrations,
    people,
    requests,
    running,
    sandbox,
    why,
    wishes,
)
from bot.cli.terminal import of_database, say_fault
from bot.operations import greeting
from bot.runtime import redaction
from engine.errors import LatchkeyError
from storage.database import FAULTS

__all__ = ["cli", "main"]

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "run": running.run,
    "doctor": running.examine,
    "apply": running.apply,
    "key": running.key,
    "revoke": requests.revoke,
    "settings": running.print_settings,
    "why": why.explain,
    "wishes": wishes.list_wishes,
    "demo": sandbox.demo,
}
for name, command in _COMMANDS.items():
    cli.command(name)(command)
for name, group in {
    "requests": requests.group,
    "pause": grants.pausing,
    "resume": grants.resuming,
    "integrations": integrations.group,
    "people": people.group,
    "aql": aql.group,
    "flows": flows.group,
    "audit": audit.group,
    "db": database.group,
    "sandbox": sandbox.group,
}.items():
    cli.add_typer(group, name=name)


def _print_version(asked: bool) -> None:  # noqa: FBT001  (typer's)
    if asked:
        typer.echo(f"latchkey {greeting.version()}")
        raise typer.Exit


@cli.callback()
def _any(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Say which version this is."
        ),
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run a command. What can go wrong outside is told in a sentence, whichever it is."""
    redaction.install()
    try:
        cli()
    except FAULTS as fault:
        say_fault(of_database(fault))
    except LatchkeyError as fault:
        say_fault(str(fault))
    except OSError as fault:  # a full disk behind stdout, for one
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try again at its end
        say_fault(f"This could not be done: {fault.strerror or fault}.")
    sys.exit(1)
