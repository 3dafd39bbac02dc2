"""Look after connected systems."""

from typing import Annotated

import typer
from rich.table import Table

from bot.cli.terminal import fail, of_systems, on_desk, out, show, shown
from bot.runtime.references import BadReferenceError
from engine.outcome import Refusal
from storage.servers import Plan

group = typer.Typer(no_args_is_help=True, help="Look after connected systems.")


@group.command("list")
def list_integrations() -> None:
    """List connected systems, and ask each which server answers."""
    from bot.usecases import integrations as systems

    table = Table("id", "name", "server", "state")
    with on_desk() as desk:
        given = desk.in_force(of_systems())
        for line in systems.listed(desk, lambda s: systems.connector_of(s, given.installation)):
            table.add_row(*map(shown, (line.id, line.name, line.server, line.state)))
    show(table)


@group.command("accept")
def accept_server(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `integrations list` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Accept the server that answers: its things are found again by name, access goes on."""
    from bot.usecases import integrations as systems

    with on_desk(records=True) as desk:
        given = desk.in_force(of_systems())
        try:
            plan = systems.prepare(desk, lambda s: systems.connector_of(s, given.installation), id_)
        except BadReferenceError as fault:
            fail(str(fault))
        if isinstance(plan, Refusal):
            fail(plan.sentence)
        _print_plan(plan)
        if not yes and not typer.confirm("Accept it?"):
            raise typer.Exit(1)
        systems.accept(desk, plan)
    out.print(f"Accepted. Access on {shown(id_)} is being brought in line.")


def _print_plan(plan: Plan) -> None:
    out.print(f"{shown(plan.known)} → {shown(plan.server) or 'one without a name'}")
    out.print(f"Found again by name: {len(plan.numbers)}")
    for what, paths in (("Gone", plan.gone), ("New", plan.new)):
        more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
        named = f" ({shown(', '.join(paths[:10]))}{more})" if paths else ""
        out.print(f"{what}: {len(paths)}{named}")
    out.print(f"Accounts that have access there, to be brought in line: {plan.accounts}")
