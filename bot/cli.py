"""The command line: run Latchkey, look after it, and work on requests when Slack is down."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, NoReturn, TypeVar, cast

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import manifests
from bot import settings
from bot.loops import watch
from bot.operations import doctor, greeting, logs, revoking, telling
from bot.operations.export import Format, lines
from bot.operations.lines import Lines
from bot.runtime import redaction
from bot.runtime.connectors import connect_all
from bot.runtime.references import BadReferenceError
from bot.settings import BadSettingsError, KeySettings, Settings, StoreSettings
from bot.usecases import console
from bot.views.text import plain
from engine.directory import address
from engine.duration import in_words
from engine.outcome import Refusal
from engine.request import AccessRequest
from manifests import BadManifestsError
from storage import schema, secrets, servers
from storage.audit import Anchor, BadAnchorError, Reading, anchor
from storage.claims import NotAloneError
from storage.database import AWAY, FAULTS, Database, file_of, passes, unusable
from storage.files import UnsafePlaceError
from storage.schema import NeedsUpgradeError
from storage.servers import Plan
from storage.succession import Standing
from storage.sync import TooMuchError

if TYPE_CHECKING:
    from bot.operations.signals import Asked
    from bot.program import Program

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
requests = typer.Typer(no_args_is_help=True, help="Look at requests.")
pausing = typer.Typer(no_args_is_help=True, help="Begin no new access; revoking goes on.")
resuming = typer.Typer(no_args_is_help=True, help="Begin new access again.")
integrations = typer.Typer(no_args_is_help=True, help="Look after connected systems.")
people = typer.Typer(no_args_is_help=True, help="Look after who is who.")
audit = typer.Typer(no_args_is_help=True, help="Prove what happened, and hand it over.")
db = typer.Typer(no_args_is_help=True, help="Look after the database.")
sandbox = typer.Typer(help="Try everything in a browser, with nothing to configure.")
for name, group in {
    "requests": requests,
    "pause": pausing,
    "resume": resuming,
    "integrations": integrations,
    "people": people,
    "audit": audit,
    "db": db,
    "sandbox": sandbox,
}.items():
    cli.add_typer(group, name=name)

START_WITHIN = 20.0  # seconds; a database that is started anew is there again
PAUSE = 1.0  # seconds between two tries

log = structlog.get_logger()
# What a program reads is not cut to a terminal's width.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
err = Console(stderr=True, highlight=False)


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


@cli.command()
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
    from bot.operations import signals
    from bot.operations.server import NoAddressError

    given, faults = _read(lambda: settings.load_sound(http=http))
    file = file_of(given.database_url)
    if faults and file and not file.exists():  # which would be made, for nothing
        _unusable(BadSettingsError("\n".join(faults.values())))
    logs.configure()
    asked = signals.listen()
    try:
        program = _started(given, faults, asked, http=http)
    except AWAY as fault:
        _fail(_of_database(fault))
    except BadSettingsError as fault:
        _unusable(fault)
    except (NotAloneError, NeedsUpgradeError, NoAddressError) as fault:
        _fail(str(fault) or str(fault.__doc__))
    asked.to_end.wait()
    if program and not program.stop():
        logs.flush()
        os._exit(0)  # what still runs would be waited for


def _started(
    given: Settings, faults: Mapping[str, str], asked: "Asked", *, http: bool
) -> "Program | None":
    """Return what runs now; None: it was to end before. A fault that passes is waited for."""
    from bot.program import Program

    until, said = time.monotonic() + START_WITHIN, False
    while not asked.to_end.is_set():
        program = Program(given, http=http, faults=faults)
        asked.to_apply = program.apply
        try:
            if not schema.current(program.database) and not faults:
                schema.upgrade(program.database)
            program.start()
        except AWAY as fault:
            program.stop()
            if not passes(fault) or time.monotonic() > until:
                raise
            if not said:
                log.warning("waiting for the database", why=_of_database(fault))
                said = True
            asked.to_end.wait(PAUSE)
        else:
            program.greet(typer.echo)
            return program
    return None


@cli.command(name="doctor")
def examine() -> None:
    """Check tokens, scopes, database, clock and connectors. Status 1 if something is wrong."""
    logs.configure(level=logging.ERROR)  # what is found is said in the table
    table = Table("", "what", "found", box=None, show_header=False)
    bad = False
    given, faults = _read(settings.load_to_examine)
    for check in doctor.examine(given, faults):
        bad = bad or not check.ok
        said = (escape(redaction.redact(text)) for text in (check.name, check.detail))
        table.add_row("✓" if check.ok else "✗", *said)
    out.print(table)
    raise typer.Exit(1 if bad else 0)


@cli.command()
def apply() -> None:
    """Take in the manifests now, also those that were applied before. Status 1 if they cannot be.

    A running Latchkey does so by itself, within seconds, with what was never applied.
    """
    from bot.runtime.services import Services
    from bot.usecases.take_in import take_in

    given = _read(settings.load_manifests)
    with _desk(given) as desk:
        services = Services(desk.database, desk.companies, desk.clock, given.key_ring, {})
        try:
            changed = watch.apply(services, given.manifests, take_in, err.print)
        except TooMuchError as held:
            _fail(f"Nothing was taken in. People are {watch.held_back(held)}")
    for line in changed or ["Nothing has changed."]:
        out.print(_shown(line), soft_wrap=True)


@cli.command()
def key() -> None:
    """Make a key for LATCHKEY_KEYS."""
    typer.echo(secrets.new_key())


@requests.command("list")
def list_requests(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
) -> None:
    """List requests, the newest first."""
    with _desk() as desk:
        found = desk.requests(live=not everything)
        table = Table("request", "state", "for", "what", "until")
        for request in found:
            table.add_row(
                request.code,
                f"{request.state.value}{_unread(request)}",
                _shown(desk.name(request.grantee)),
                _shown(", ".join(desk.what(request))),
                f"{until:%Y-%m-%d %H:%M} UTC" if (until := _until(request)) else "",
            )
        if found:
            out.print(table)
        else:
            _say(
                "There are none." if everything else "None is open. --all lists what is over, too."
            )
        _name_unread(desk)


@requests.command("show")
def show_request(code: Annotated[str, typer.Argument(help="Like AX-7K2M.")]) -> None:
    """Show one request, and all that happened to it."""
    with _desk() as desk:
        request = desk.request(code)
        if request is None:
            _fail(f"There is no request “{code}”.")
        _print_request(desk, request)
        _name_unread(desk)


def _until(request: AccessRequest) -> datetime | None:
    """Return when it ends or, where it is over, when that was."""
    over = request.ended or request.decided if request.state.final else None
    return over.at if over else request.ends_at


def _print_request(desk: console.Desk, request: AccessRequest) -> None:
    teller = telling.Teller(desk.name, desk.things(request), desk.clock.now())
    out.print(f"[bold]{request.code}[/]  {_shown(teller.standing(request))}", soft_wrap=True)
    if not request.readable:
        _say("  What is stored of it could not be read: this is what is known all the same.")
    asked = f"{desk.name(request.requestor)}, {telling.moment(request.submitted_at)}"
    facts = {
        "for": desk.name(request.grantee),
        "asked by": asked,
        "under": f"{desk.flow(request)} (revision {request.revision})",
        "how long": in_words(request.duration),
        "why": request.justification,
    }
    for name, value in facts.items():
        if value:
            out.print(f"  {name:<9} {_shown(value)}", soft_wrap=True)
    for number, grant in enumerate(request.grants):
        what = "" if number else "what"
        out.print(f"  {what:<9} {_shown(teller.access(request, grant))}", soft_wrap=True)
    out.print("What happened:")
    for line in desk.history(request):
        said = _shown(teller.told(line))
        out.print(f"  {telling.moment(line.at)}  {said}", soft_wrap=True)


@cli.command()
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
        _fail("Give one of: a request's code, --person EMAIL, --all.")
    logs.configure(level=logging.ERROR)
    finished = True
    with _unhindered() as flush, _desk() as desk:
        chosen = desk.chosen(code and _typed(code), person and _typed(person))
        if isinstance(chosen, Refusal):
            _fail(chosen.sentence)
        if not chosen:
            _say("There is nothing to revoke.")
            return
        if everything and not yes:
            _make_sure(revoking.extent(desk, chosen))
        left, refused = revoking.record(desk, chosen, _typed(reason), _say)
        _name_unread(desk)
        if left:
            left, finished = _see_to(desk, left, 0 if no_wait else wait)
        if not left and not refused:
            _say(revoking.closing(desk, chosen))
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
        _fail(f"{extent} There is no terminal to ask in, so nothing was changed: add --yes.")
    if not typer.confirm(f"{extent} Go on?"):
        _say("Nothing was changed.")
        raise typer.Exit(1)


def _see_to(
    desk: console.Desk, requests: list[AccessRequest], within: float
) -> tuple[list[AccessRequest], bool]:
    """Return what is not over, and whether all that was begun has come to its end."""
    keys, no_keys = _keys()
    if keys and desk.database.keys is None:
        keys, no_keys = None, f"{_OTHER_KEYS}, and this command only records"
    concerned = revoking.accounts_of(desk.database, requests)
    hands = revoking.Hands(desk, concerned, keys, no_keys)
    watch = revoking.Watch(desk, requests, concerned, hands.missing, _say)
    try:
        with _interrupted() as stopped:
            revoking.see_to(watch, hands, within, _say, stopped)
        if stopped():
            _say("Stopped waiting.")
    finally:
        finished = hands.close()
    for request in watch.open:
        _say(f"{revoking.named(desk, request)}: not confirmed yet. {watch.why(request)}.")
    if watch.open:
        _say(
            "It is recorded: a running Latchkey, or the next `latchkey run`, goes on with it until "
            "it is done. The same command, given again, goes on waiting."
        )
    return watch.open, finished


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


def _keys() -> tuple[KeySettings | None, str]:
    """Return what it takes to work on accounts, or why it is not there."""
    try:
        return settings.load_keys(), ""
    except BadSettingsError as fault:
        why = str(fault).partition(". ")[0]
        return None, f"{why}, and without it this command only records"


def _unread(request: AccessRequest) -> str:
    return "" if request.readable else ", could not be read"


def _name_unread(desk: console.Desk) -> None:
    """Name what could not be read on the way: the rest was done without it."""
    for finding in desk.database.unread.take():
        err.print(_shown(finding.sentence), soft_wrap=True)


@pausing.command("grants")
def pause_grants() -> None:
    """Begin no new access until `latchkey resume grants`."""
    _pause(paused=True)


@resuming.command("grants")
def resume_grants() -> None:
    """Begin what waited meanwhile."""
    _pause(paused=False)


def _pause(*, paused: bool) -> None:
    with _desk() as desk:
        changed = desk.pause(paused=paused)
    if paused:
        _say(f"Granting is {'' if changed else 'already '}paused; revoking goes on.")
    else:
        _say("Granting is under way again." if changed else "Granting was not paused.")


@integrations.command("list")
def list_integrations() -> None:
    """List connected systems, and ask each which server answers."""
    from bot.usecases import integrations as systems

    given = _store()
    table = Table("id", "name", "server", "state")
    with _desk() as desk:
        for line in systems.listed(desk, lambda s: systems.connector_of(s, given.installation)):
            table.add_row(*map(_shown, (line.id, line.name, line.server, line.state)))
    out.print(table)


@integrations.command("accept")
def accept_server(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `integrations list` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Accept the server that answers: its things are found again by name, access goes on."""
    from bot.usecases import integrations as systems

    given = _store()
    with _desk() as desk:
        try:
            plan = systems.prepare(desk, lambda s: systems.connector_of(s, given.installation), id_)
        except BadReferenceError as fault:
            _fail(str(fault))
        if isinstance(plan, Refusal):
            _fail(plan.sentence)
        _print_plan(plan)
        if not yes and not typer.confirm("Accept it?"):
            raise typer.Exit(1)
        systems.accept(desk, plan)
    out.print(f"Accepted. Access on {_shown(id_)} is being brought in line.")


def _print_plan(plan: Plan) -> None:
    out.print(f"{_shown(plan.known)} → {_shown(plan.server) or 'one without a name'}")
    out.print(f"Found again by name: {len(plan.numbers)}")
    for what, paths in (("Gone", plan.gone), ("New", plan.new)):
        more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
        named = f" ({_shown(', '.join(paths[:10]))}{more})" if paths else ""
        out.print(f"{what}: {len(paths)}{named}")
    out.print(f"Accounts that have access there, to be brought in line: {plan.accounts}")


_STANDING = {
    Standing.WAITS: "goes on under the first id until it is carried over",
    Standing.LEFT: "is not listed under the first id any more; what is left there can be carried",
    Standing.KEPT: "stays under the first id: the other is, or was, somebody else's",
    Standing.HELD: "stays as it is known: the first id is listed with another address, too",
}


@people.command("confirm")
def confirm_tie(email: str) -> None:
    """Let a person be tied to a Slack account again after an address has changed."""
    with _desk() as desk:
        refusal = desk.confirm(email)
    if refusal:
        _fail(refusal.sentence)
    out.print(f"{_shown(email)} is tied at the next contact.")


@people.command("part")
def part_people(email: str) -> None:
    """Say that somebody else is listed under a person's id now: who had it has left."""
    with _desk() as desk:
        refusal = desk.part(email)
    if refusal:
        _fail(refusal.sentence)
    out.print(
        f"Who had the id before has left, and their access ends. {_shown(email)} is somebody new, "
        "and is tied at the next contact.",
        soft_wrap=True,
    )


@people.command("accept")
def accept_people() -> None:
    """Take in people.yaml although many are to be deactivated or to leave groups at once."""
    given = _read(settings.load_manifests)
    listed = watch.soon(given.manifests, manifests.load)
    with _desk() as desk:
        accepted = desk.accept(listed)
    if accepted.changed:
        out.print(f"Taken in. People who are new, or have changed: {accepted.changed}.")
    if accepted.losing:
        losing = _shown(", ".join(accepted.losing))
        out.print(f"Deactivated or dropped from groups: {losing}.", soft_wrap=True)
    else:
        out.print("Nothing was held back.")
    if accepted.new_ids:
        found = f"People who are listed under another id than the one known: {accepted.new_ids}."
        out.print(f"{found} Look at them: latchkey people carry", soft_wrap=True)


@people.command("carry")
def carry_people(
    others: Annotated[
        list[str] | None,
        typer.Option("--not", help="This address is somebody else's now; who had it has left."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="They are the same people: do it.")] = False,
) -> None:
    """Carry over all that belongs to people who have a new id in people.yaml; list them first."""
    given = _read(settings.load_manifests)
    listed = watch.soon(given.manifests, manifests.load)
    with _desk() as desk:
        found = desk.new_ids(listed)
        apart = {address(email) for email in others or ()}
        if unknown := apart - {address(s.email) for s in found}:
            _fail(f"Nobody who has a new id has the address {', '.join(sorted(unknown))}.")
        same = [s for s in found if address(s.email) not in apart]
        if yes and desk.database.keys is None:
            _fail("Nothing was changed: the passwords of these people are sealed with those keys.")
        if yes:
            desk.part_all([s for s in found if s not in same])
            desk.carry(same, given.key_ring)
    for s in found:
        said = _STANDING[s.standing] if s in same else "somebody else has the address"
        out.print(f"[bold]{_shown(str(s))}[/]", f"  {_shown(s.email)}", f"  {said}", sep="\n",
                  soft_wrap=True)  # fmt: skip
    if not found:
        out.print("Nobody has a new id.")
        return
    carried = sum(s.carries for s in same)
    if yes:
        stay = f" As they are: {len(same) - carried}." if carried < len(same) else ""
        out.print(f"Carried over: {carried}. Somebody else: {len(found) - len(same)}.{stay}")
    else:
        out.print(
            "Nothing was changed. If these are the same people: latchkey people carry --yes. "
            "For an address that somebody else has taken over, add --not EMAIL."
        )


@audit.command("verify")
def verify_audit(
    anchors: Annotated[
        list[str] | None, typer.Option("--anchor", help="As the log and the admins have it.")
    ] = None,
) -> None:
    """Compare the audit with its keys and with anchors. Status 1 if it is not whole."""
    try:
        known = [Anchor.of(text) for text in anchors or ()]
    except BadAnchorError as fault:
        _fail(str(fault))
    with _desk(_read(settings.load_keys)) as desk, desk.database.read() as session:
        reading, whole = Reading(session, known), True
        for finding in reading.findings():
            whole = False
            out.print(_shown(finding), soft_wrap=True)
        newest = anchor(session)
    if not whole:
        _fail("The audit is not whole.")
    early = (
        f" {reading.early:,} of them are from before there was a key: since an anchor nothing has "
        "changed there, and who wrote them nothing proves."
    )
    said = f"The audit is whole: {reading.entries:,} entries.{early if reading.early else ''}"
    out.print(f"{said} Anchor: {newest}" if newest else said, soft_wrap=True)


@audit.command("export")
def export_audit(
    as_: Annotated[Format, typer.Option("--format", help="CSV: a spreadsheet.")] = Format.JSONL,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="In UTC, like 2026-11-02.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="In UTC; itself not counted.")
    ] = None,
) -> None:
    """Print all that happened, the oldest first."""
    begin, end = (_day(text) if text else None for text in (since, until))
    with _desk() as desk:
        for text in lines(desk, as_, begin, end):
            sys.stdout.write(text)


def _day(text: str) -> datetime:
    """Return a day, or a moment of one, in UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _fail(f"{text} is not a day. Write it like 2026-11-02, or 2026-11-02T09:30.")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@db.command("upgrade")
def upgrade() -> None:
    """Bring the database's schema to this program's."""
    given = _read(settings.load_owner)
    database = Database(given.database_url)
    if given.owner_database:
        owner = Database(given.owner_database)
        before = schema.upgrade_for(database, owner)
        owner.close()
    else:
        before = schema.upgrade(database)
    now = schema.current(database)
    database.close()
    if not schema.fits(now):
        _fail(str(NeedsUpgradeError(now)))
    out.print(f"schema {before or 'none'} → {now}")


@db.command("restored")
def say_restored() -> None:
    """Say, before `run`, that the database is a backup's: what it does not know is reported."""
    from bot.usecases.restored import restored

    given = _store()
    with _desk() as desk:
        with desk.database.read() as session:
            systems, faults = connect_all(servers.connections(session), given.installation)
        longer = restored(desk, systems)
    for fault in faults.values():
        _say_fault(fault)
    out.print("Noted. What the systems have and the database does not know is told to the admins.")
    for request in longer:
        out.print(
            f"{request.code} may have been extended since. It keeps its access for that long."
        )


@cli.command(name="settings")
def print_settings() -> None:
    """List what can be set."""
    table = Table("setting", "default", "what for", box=None)
    for field in Settings.model_fields.values():
        default = "" if field.is_required() else str(field.default or "")
        table.add_row(field.alias, default, field.description)
    out.print(table)


@sandbox.callback(invoke_without_command=True)
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


@sandbox.command()
def psql(
    context: typer.Context,
    user: Annotated[str, typer.Option("--user", "-U", prompt=True, help="From the credentials.")],
    database: Annotated[str, typer.Option("--dbname", "-d")] = "orders",
) -> None:
    """Use the access that was given: psql, or a small prompt where there is none."""
    from bot.sandbox import command

    raise typer.Exit(command.psql(out, context.obj, user=user, database=database))


@cli.command()
def demo() -> None:
    """Play the main job in the terminal, on a sandbox of its own."""
    from bot.sandbox import demo

    raise typer.Exit(demo.play(out))


def _shown(text: str) -> str:
    """What people wrote, without what would change the terminal."""
    return escape(plain(text, 2000)) if text.strip() else ""


def _say(sentence: str) -> None:
    out.print(_shown(sentence), soft_wrap=True)


T = TypeVar("T")

_OTHER_KEYS = (
    "LATCHKEY_KEYS or LATCHKEY_INSTALLATION are not those of the Latchkey that works on this "
    "database"
)


def _read(load: Callable[[], T]) -> T:
    try:
        return load()
    except BadSettingsError as fault:
        _unusable(fault)


def _unusable(fault: BadSettingsError) -> NoReturn:
    _fail(f"These settings cannot be used:\n{fault}")


def _store() -> StoreSettings:
    """Return what the database needs, and the keys as far as they are there."""
    keys, _ = _keys()
    return keys or _read(settings.load_store)


@contextmanager
def _desk(given: StoreSettings | None = None) -> Iterator[console.Desk]:
    """Open the database of a Latchkey: nothing else of the settings is needed."""
    try:
        with console.on_latchkey(given or _store()) as desk:
            keys = desk.database.keys
            if given is None and keys and not desk.knows(keys):
                _say_fault(f"{_OTHER_KEYS}: correct them. This is recorded without a key.")
                desk.database.keys = None
            yield desk
    except (console.NoLatchkeyError, NeedsUpgradeError) as fault:
        _fail(str(fault))


def _fail(sentence: str) -> NoReturn:
    _say_fault(sentence)
    raise typer.Exit(1)


def _say_fault(sentence: str) -> None:
    # Before it is drawn: a secret that is broken into two lines would not be known again.
    err.print(redaction.redact(sentence), style="red", markup=False, soft_wrap=True)


def _of_database(fault: Exception) -> str:
    try:
        return unusable(fault, settings.load_store().database_url)
    except BadSettingsError:  # which would have been told before
        return str(fault)


def main() -> None:
    """Run a command. What can go wrong outside is told in a sentence, whichever it is."""
    redaction.install()
    try:
        cli()
    except (BadManifestsError, BadReferenceError, UnsafePlaceError) as fault:
        _say_fault(str(fault))
    except FAULTS as fault:
        _say_fault(_of_database(fault))
    except OSError as fault:  # a full disk behind stdout, for one
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try again at its end
        _say_fault(f"This could not be done: {fault.strerror or fault}.")
    sys.exit(1)


if __name__ == "__main__":
    main()
