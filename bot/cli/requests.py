"""Look at requests, and take access away, whatever Slack does."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Annotated, cast

import typer
from rich.table import Table

from bot.cli.terminal import err, fail, keys, name_unread, on_desk, out, say, show, shown
from bot.operations import logs, revoking, telling
from bot.operations.lines import Lines
from bot.usecases import console, whose
from bot.usecases import revoke as usecase
from engine.duration import in_words
from engine.outcome import Refusal
from engine.request import WAITING, AccessRequest
from engine.words import quoted

group = typer.Typer(no_args_is_help=True, help="Look at requests.")


@group.command("list")
def list_requests(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
) -> None:
    """List requests, the newest first."""
    logs.configure(level=logging.ERROR)
    with on_desk() as desk:
        found = desk.requests(live=not everything)
        table = Table("request", "state", "for", "what", "until")
        for request in found:
            table.add_row(
                request.code,
                f"{request.state.value}{_unread(request)}",
                shown(_whose(desk, request)),
                shown(", ".join(desk.what(request))),
                _when(request),
            )
        if found:
            show(table)
        else:
            say("There are none." if everything else "None is open. --all lists what is over, too.")
        name_unread(desk)


@group.command("show")
def show_request(code: Annotated[str, typer.Argument(help="Like AX-7K2M.")]) -> None:
    """Show one request, and all that happened to it."""
    logs.configure(level=logging.ERROR)
    with on_desk() as desk:
        request = desk.request(code)
        if request is None:
            fail(f"There is no request “{code}”.")
        _print_request(desk, request)
        name_unread(desk)


def _whose(desk: console.Desk, request: AccessRequest) -> str:
    asked = "" if request.requestor == request.grantee else desk.name(request.requestor)
    return desk.name(request.grantee) + (f" (asked by {asked})" if asked else "")


def _when(request: AccessRequest) -> str:
    """Say when it ends or, where it is over, when that was; before it begins, when it starts."""
    if request.starts_at and request.state in WAITING:
        return f"starts {request.starts_at:%Y-%m-%d %H:%M} UTC"
    over = request.ended or request.decided if request.state.final else None
    until = over.at if over else request.ends_at
    return f"{until:%Y-%m-%d %H:%M} UTC" if until else ""


def _print_request(desk: console.Desk, request: AccessRequest) -> None:
    teller = telling.Teller(desk.name, desk.things(request), desk.clock.now())
    out.print(f"[bold]{request.code}[/]  {shown(teller.standing(request))}", soft_wrap=True)
    if not request.readable:
        say("  What is stored of it could not be read: this is what is known all the same.")
    asked = f"{desk.name(request.requestor)}, {telling.moment(request.submitted_at)}"
    facts = {
        "for": desk.name(request.grantee),
        "asked by": asked,
        "under": f"{desk.flow(request)} (revision {request.revision})",
        "start": telling.moment(request.starts_at) if request.starts_at else "",
        "how long": in_words(request.duration),
        "why": request.justification and quoted(request.justification),
    }
    for name, value in facts.items():
        if value:
            out.print(f"  {name:<9} {shown(value)}", soft_wrap=True)
    for number, grant in enumerate(request.grants):
        what = "" if number else "what"
        out.print(f"  {what:<9} {shown(teller.access(request, grant))}", soft_wrap=True)
    out.print("What happened:")
    for line in desk.history(request):
        said = shown(teller.told(line))
        out.print(f"  {telling.moment(line.at)}  {said}", soft_wrap=True)


def revoke(
    code: Annotated[str | None, typer.Argument(help="Like AX-7K2M.")] = None,
    *,
    person: Annotated[str | None, typer.Option(help="All of this person's, by email.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All access there is.")] = False,
    reason: Annotated[str, typer.Option(help="For the people concerned and the audit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Of --all: do not ask.")] = False,
    wait: Annotated[
        int, typer.Option(min=0, help="For so many seconds at most.")
    ] = revoking.PATIENCE,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only record it, for `run` to carry out.")
    ] = False,
) -> None:
    """Take access away, and cancel what waits; wait until the systems have confirmed it.

    Where no Latchkey process is alive, this command does the work itself. Status 0: all that
    Latchkey gave is confirmed to be gone; 1: refused, or not found; 2: recorded, and not confirmed
    yet.
    """
    if sum([code is not None, person is not None, everything]) != 1:
        fail("Give one of: a request's code, --person EMAIL, --all.")
    logs.configure(level=logging.ERROR)
    finished = True
    with _unhindered() as flush, on_desk(records=True) as desk:
        chosen = usecase.chosen(desk, code and _typed(code), person and _typed(person))
        if isinstance(chosen, Refusal):
            fail(chosen.sentence)
        if not chosen:
            say("There is nothing to revoke.")
            return
        if everything and not yes:
            _make_sure(revoking.extent(desk, chosen))
        left, refused = revoking.record(desk, chosen, _typed(reason), say)
        name_unread(desk)
        if left:
            left, finished = _see_to(desk, left, 0 if no_wait else wait)
            name_unread(desk)
        if not left and not refused:
            say(revoking.closing(desk, chosen))
    status = 1 if refused else 2 if left else 0
    if not finished:
        flush()
        logs.flush()
        os._exit(status)  # what still runs would be waited for
    raise typer.Exit(status)


@contextmanager
def _unhindered() -> Iterator[Callable[[], None]]:
    """Print from threads of their own: a pipe that is closed, full or paused stops no ending.

    What is yielded waits a moment for what is not printed yet.
    """
    consoles = {out: Lines(sys.stdout, _unsaid), err: Lines(sys.stderr, _unsaid)}

    def flush() -> None:
        for written in consoles.values():
            written.flush(logs.AT_THE_END)

    for each, written in consoles.items():
        each.file = cast(IO[str], written)
    try:
        yield flush
    finally:
        flush()
        for each in consoles:
            each.file = cast(IO[str], None)  # whatever stdout and stderr are then


def _unsaid(lines: int) -> str:
    return f"{lines} lines are missing here: they could not be printed.\n"


def _typed(text: str) -> str:
    """Return what a terminal has given: bytes that are no UTF-8 no database takes."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _make_sure(extent: str) -> None:
    if not sys.stdin.isatty():
        fail(f"{extent} There is no terminal to ask in, so nothing was changed: add --yes.")
    if not typer.confirm(f"{extent} Go on?"):
        say("Nothing was changed.")
        raise typer.Exit(1)


def _see_to(
    desk: console.Desk, requests: list[AccessRequest], within: float
) -> tuple[list[AccessRequest], bool]:
    """Return what is not over, and whether all that was begun has come to its end."""
    found, why_not = keys()
    found = found and desk.in_force(found)
    if found and not desk.knows(found.key_ring):
        found, why_not = None, whose.OTHER_KEYS
    no_keys = f"{why_not}, and this command only records" if why_not else ""
    with _interrupted() as stopped:
        return revoking.see_through(
            desk, requests, within, say, stopped=stopped, keys=found, no_keys=no_keys
        )


@contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C was pressed. As an exception it comes anywhere: a lock that it comes upon
    in the hands of this thread stays locked.
    """
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _unread(request: AccessRequest) -> str:
    return "" if request.readable else ", could not be read"
