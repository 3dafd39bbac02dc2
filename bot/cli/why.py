"""Say why somebody can have something, or not."""

from typing import Annotated

import typer

from bot.cli.terminal import fail, on_desk, out, say, shown
from bot.usecases import why as usecase
from bot.views.values import Why
from engine.explanation import Explanation, Told
from engine.outcome import Refusal
from engine.words import in_a_row


def explain(
    resource: Annotated[
        str,
        typer.Argument(
            help="A name or path, or a part of it, or a bundle; `read on …`: one permission."
        ),
    ],
    who: Annotated[str, typer.Option("--as", metavar="EMAIL", help="Who would ask.")],
    grantee: Annotated[
        str,
        typer.Option("--for", metavar="EMAIL", help="Whom they would ask for; else themselves."),
    ] = "",
) -> None:
    """Say what a person can have of a resource or a bundle, under which flows, and why not.

    Every flow is looked at, also those that the person may not know of. Status 0: each permission
    can be had, now or at some time; 1: one cannot, or nothing, or more than one, is called so.
    """
    with on_desk() as desk:
        found = usecase.of_person(desk, who, resource, grantee)
    if isinstance(found, Refusal):
        fail(found.sentence)
    for note in found.notes:
        say(note)
    for answer in found.answers:
        _print(answer)
    for _, path in found.others:
        out.print(f"  {shown(path)}", soft_wrap=True)
    if not found.answers and not found.others:
        near = in_a_row([path for _, path in found.nearest], last="or")
        fail(f"Nothing is called “{found.words}”.{f' Did you mean {near}?' if near else ''}")
    if found.wanting:
        _cure(found)
    if found.wanting or found.others:
        raise typer.Exit(1)


def _print(answer: Explanation) -> None:
    first, *others = answer.lines
    say(first)
    for line in others:
        out.print(f"  - {shown(line)}", soft_wrap=True)
    for told in answer.told:
        if not answer.may:
            _print_conditions(told)


def _print_conditions(told: Told) -> None:
    out.print(f"  “{shown(told.flow.name)}”, who may ask:", soft_wrap=True)
    for each in told.conditions:
        mark = "✓" if each.holds else "✗"
        out.print(f"    {mark} {shown(each.wanted)}: {shown(each.has)}", soft_wrap=True)


def _cure(found: Why) -> None:
    if found.admins:
        admins = "admin" if len(found.admins) == 1 else "admins"
        say(f"Who could let them: {in_a_row(found.admins, 3, last='or')} ({admins}).")
    if found.instead:
        lines = "; ".join(f"{path}, {how}" for path, how in found.instead)
        say(f"What they can have: {lines}.")
