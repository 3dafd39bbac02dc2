"""Try everything, with nothing to configure."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.terminal import out

group = typer.Typer(help="Try everything in a browser, with nothing to configure.")


@group.callback(invoke_without_command=True)
def open_sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Of the page; 0: any that is free.")] = 7070,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was there.")] = False,
    directory: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
) -> None:
    """Try everything in a browser: Slack, a company, a PostgreSQL and the bot, on this machine."""
    from bot.sandbox import command

    context.obj = where = command.directory(directory)
    if context.invoked_subcommand is None:
        raise typer.Exit(command.serve(out, where, port=port, fresh=fresh))


@group.command()
def psql(
    context: typer.Context,
    user: Annotated[str, typer.Option("--user", "-U", prompt=True, help="From the credentials.")],
    database: Annotated[str, typer.Option("--dbname", "-d")] = "orders",
) -> None:
    """Use the access that was given: psql, or a small prompt where there is none."""
    from bot.sandbox import command

    raise typer.Exit(command.psql(out, context.obj, user=user, database=database))


def demo() -> None:
    """Play the main job in the terminal, on a sandbox of its own."""
    from bot.sandbox import demo

    raise typer.Exit(demo.play(out))
