"""List what people cannot have, and told the administrators that they want."""

from bot.cli.terminal import on_desk, out, say, shown
from bot.usecases import wishes
from engine.words import quoted


def list_wishes() -> None:
    """List what people asked the administrators for, with who, when and why, most wanted first."""
    with on_desk() as desk:
        things = wishes.listed(desk)
        names = {w.person: desk.name(w.person) for thing in things for w in thing.wishes}
    for thing in things:
        out.print(f"[bold]{shown(thing.said)}[/]", soft_wrap=True)
        for wish in thing.wishes:
            who = f"{shown(names[wish.person])}, {wish.at:%Y-%m-%d %H:%M} UTC"
            out.print(f"  {who}: {shown(quoted(wish.reason))}", soft_wrap=True)
    if not things:
        say("Nobody has asked for anything that they cannot have.")
