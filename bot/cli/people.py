"""Look after who is who."""

from typing import Annotated

import typer

import manifests
from bot import settings
from bot.cli.terminal import fail, on_desk, out, read, shown
from bot.usecases import folder, people
from engine.outcome import Refusal
from engine.succession import SuccessionStatus

group = typer.Typer(no_args_is_help=True, help="Look after who is who.")


_BECOMES = {
    SuccessionStatus.WAITS: "goes on under the first id until it is carried over",
    SuccessionStatus.LEFT: "is not listed under the first id any more; what is left can be carried",
    SuccessionStatus.KEPT: "stays under the first id: the other is, or was, somebody else's",
    SuccessionStatus.HELD: "stays as it is known: the first id is listed with another address, too",
}


@group.command("confirm")
def confirm_tie(email: str) -> None:
    """Let a person be tied to a Slack account again after an address has changed."""
    with on_desk(records=True) as desk:
        refusal = people.confirm(desk, email)
    if refusal:
        fail(refusal.sentence)
    out.print(f"{shown(email)} is tied at the next contact.")


@group.command("part")
def part_people(email: str) -> None:
    """Say that somebody else is listed under a person's id now: who had it has left."""
    with on_desk(records=True) as desk:
        refusal = people.part(desk, email)
    if refusal:
        fail(refusal.sentence)
    out.print(
        f"Who had the id before has left, and their access ends. {shown(email)} is somebody new, "
        "and is tied at the next contact.",
        soft_wrap=True,
    )


@group.command("accept")
def accept_people() -> None:
    """Take in people.yaml although many are to be deactivated or to leave groups at once."""
    given = read(settings.load_manifests)
    listed = folder.soon(given.manifests, manifests.load)
    with on_desk(records=True) as desk:
        accepted = people.accept(desk, listed)
    if accepted.changed:
        out.print(f"Taken in. People who are new, or have changed: {accepted.changed}.")
    if accepted.losing:
        losing = shown(", ".join(accepted.losing))
        out.print(f"Deactivated or dropped from groups: {losing}.", soft_wrap=True)
    else:
        out.print("Nothing was held back.")
    if accepted.new_ids:
        found = f"People who are listed under another id than the one known: {accepted.new_ids}."
        out.print(f"{found} Look at them: latchkey people carry", soft_wrap=True)


@group.command("carry")
def carry_people(
    others: Annotated[
        list[str] | None,
        typer.Option("--not", help="This address is somebody else's now; who had it has left."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="They are the same people: do it.")] = False,
) -> None:
    """Carry over all that belongs to people who have a new id in people.yaml; list them first."""
    given = read(settings.load_manifests)
    listed = folder.soon(given.manifests, manifests.load)
    with on_desk() as desk:
        who = people.look(desk, listed, others or ())
        if isinstance(who, Refusal):
            fail(who.sentence)
        if yes and (refusal := people.carry(desk, who, desk.in_force(given).key_ring)):
            fail(refusal.sentence)
    for s in who.found:
        said = _BECOMES[s.status] if s in who.same else "somebody else has the address"
        out.print(f"[bold]{shown(str(s))}[/]", f"  {shown(s.email)}", f"  {said}", sep="\n",
                  soft_wrap=True)  # fmt: skip
    if not who.found:
        out.print("Nobody has a new id.")
        return
    if yes:
        left = len(who.same) - len(who.carried)
        stay = f" As they are: {left}." if left else ""
        out.print(f"Carried over: {len(who.carried)}. Somebody else: {len(who.others)}.{stay}")
    else:
        out.print(
            "Nothing was changed. If these are the same people: latchkey people carry --yes. "
            "For an address that somebody else has taken over, add --not EMAIL."
        )
