"""Look at access flows: what each of them offers, and what is odd about them."""

import sys
from typing import Annotated

import typer

from bot import settings
from bot.cli.terminal import fail, on_desk, out, read, say, shown
from bot.usecases import lint, offers
from bot.usecases.lint import Linted
from bot.usecases.offers import Offered
from bot.views.text import count
from engine.aql.parser import parse
from engine.outcome import Refusal

group = typer.Typer(no_args_is_help=True, help="Look at access flows.")


@group.command("show")
def show_flow(
    name: Annotated[
        str, typer.Argument(help="Of a flow, or of a bundle, an access scope or a space.")
    ],
) -> None:
    """Say what each target of a flow is as a query in AQL, and what it selects now."""
    with on_desk() as desk:
        found = offers.show(desk, name)
    if isinstance(found, Refusal):
        fail(found.sentence)
    for one in found:
        out.print(f"[bold]{shown(one.name)}[/], a {one.what}", soft_wrap=True)
        if one.labels:
            say(f"Labels: {', '.join(one.labels)}.")
        if one.slice:
            say(f"Of what it selects, its space has: {one.slice}")
        for each in one.offered:
            _print_target(each)
        if one.users:
            say(f"Used by {', '.join(one.users)}.")


def _print_target(one: Offered) -> None:
    if one.named:
        say(one.named)
    if one.query is not None:
        say(str(one.query))
    more = one.total - len(one.first)
    rest = f", {more:,} more" if more and one.first else ""
    below = [*map(str, one.first), f"{count(one.total, 'entitlement')}{rest}.", *one.remarks]
    for line in below:
        out.print(f"  {shown(line)}", soft_wrap=True)


@group.command("lint")
def lint_flows() -> None:
    """Name what is odd about the flows that are open (docs/flows.md). Status 1 if something is.

    How far it is, is shown on stderr.
    """
    given = read(settings.load_lint)
    with on_desk(given) as desk:
        found = lint.of_all(desk, parse(given.prod), _Progress())
    _print(found)
    raise typer.Exit(1 if found.findings else 0)


class _Progress:
    """One line, which is written over; where no terminal is, one line for each tenth."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, what: str, done: int, every: int) -> None:
        tenth = 10 * done // every if every else 10
        here = sys.stderr.isatty()
        said = f"{what}: {done:,} of {every:,}" if here else f"{what}: {10 * tenth} %"
        if said == self._said:
            return
        self._said = said
        begin, end = ("\r\x1b[K", "" if done < every else "\n") if here else ("", "\n")
        sys.stderr.write(f"{begin}{said}{end}")
        sys.stderr.flush()


def _print(found: Linted) -> None:
    by_flow: dict[str, list[str]] = {}
    for finding in found.findings:
        example = found.examples.get(finding.example) if finding.example is not None else None
        such = f" Such as {example}." if example else ""
        sentence = f"{finding.fault}: {finding.sentence}{such}"
        by_flow.setdefault(finding.flow.name, []).append(sentence)
    for name, sentences in by_flow.items():
        out.print(f"[bold]{shown(name)}[/]", soft_wrap=True)
        for sentence in sentences:
            out.print(f"  - {shown(sentence)}", soft_wrap=True)
    odd = f"Something is odd about {len(by_flow):,}" if by_flow else "Nothing is odd about them"
    say(f"{count(found.flows, 'open flow')} looked at. {odd}.")
