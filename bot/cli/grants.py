"""Begin no new access for a while, and begin it again."""

import typer

from bot.cli.terminal import on_desk, say

pausing = typer.Typer(no_args_is_help=True, help="Begin no new access; revoking goes on.")
resuming = typer.Typer(no_args_is_help=True, help="Begin new access again.")


@pausing.command("grants")
def pause_grants() -> None:
    """Begin no new access until `latchkey resume grants`."""
    _pause(paused=True)


@resuming.command("grants")
def resume_grants() -> None:
    """Begin what waited meanwhile."""
    _pause(paused=False)


def _pause(*, paused: bool) -> None:
    with on_desk(records=True) as desk:
        changed = desk.pause(paused=paused)
    if paused:
        say(f"Granting is {'' if changed else 'already '}paused; revoking goes on.")
    else:
        say("Granting is under way again." if changed else "Granting was not paused.")
