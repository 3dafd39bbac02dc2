"""The modal in which a grantee sees how to log in, and modals that say one thing."""

from collections.abc import Iterable, Sequence

from bot.views import ids, phrases
from bot.views.blocks import actions, button, confirm, context, modal, section
from bot.views.rich import letters, listing, paragraph, rich_text
from bot.views.text import cut, escape, plain, rows, verbatim, when
from bot.views.values import Block, Credentials, View

__all__ = ["credentials_modal", "notice_modal", "saved_modal"]

# What fits into a view of 250 KB, whatever it is.
_LOGINS = 8
_INSTRUCTIONS = 8
_VALUE = 500
_RESET = "Reset password"


def credentials_modal(logins: Sequence[Credentials], *, metadata: str = "") -> View:
    """Show the logins, each with its password while it is kept."""
    blocks = [block for login in logins[:_LOGINS] for block in _login(login)]
    if hidden := len(logins) - _LOGINS if len(logins) > _LOGINS else 0:
        blocks.append(context(f"… and {hidden} more"))
    if not blocks:
        blocks = [section("🔑 No login was made for this access. Use it as you always do.")]
    return modal("How to log in", blocks, metadata=metadata)


def saved_modal() -> View:
    said = "✅ *Well kept.*\nLatchkey has deleted the password. It works until your access ends."
    lost = f"Lost it? *{phrases.SHOW}* on the card of your access leads to *{_RESET}*."
    return modal("How to log in", [section(said), context(lost)])


def notice_modal(title: str, sentence: str) -> View:
    """Say one thing, such as why a click did nothing. The sentence is mrkdwn (see `refusal`)."""
    return modal(title, [section(sentence)])


def _login(login: Credentials) -> Iterable[Block]:
    lasts = f"\nWorks until {when(login.valid_until)}" if login.valid_until else ""
    yield section(f"🔑 *{cut(escape(login.system), 200) or 'Login'}*{lasts}")
    shown = list(login.instructions.items())[:_INSTRUCTIONS]
    if login.password:
        shown.append(("Password", login.password.reveal()))
    if shown:
        yield rich_text(*(part for row in shown for part in _row(*row)))
    if login.remarks:
        remarks = rows(login.remarks, lambda r: f"⚠️ {cut(escape(r), 400)}", limit=1200, most=5)
        yield section(remarks)
    yield context(_state(login))
    yield from actions(_buttons(login))


def _row(label: str, value: str) -> Iterable[Block]:
    """Show letter by letter what is copied; a line that begins with its label is a command."""
    name, shown = plain(label, 60), verbatim(value, _VALUE) or "-"
    if shown.startswith(f"{name} "):
        yield paragraph(letters(f"{name}:"))
        yield listing(shown)
    else:
        yield paragraph(letters(f"{name}: "), letters(shown, code=True))


def _state(login: Credentials) -> str:
    if login.pending:
        return "⏳ The login is being set up right now. If it does not work yet, wait a moment."
    if login.password:
        return (
            "⚠️ Only you see this. The password is shown until you press *I have saved it*, "
            "for 10 minutes at most."
        )
    return f"The password is not kept any more. If you do not have it: *{_RESET}*."


def _buttons(login: Credentials) -> list[Block]:
    account = str(login.account)
    if login.password:
        label = "I have saved it"
        says = f"I have saved the password of {login.system}"
        return [button(label, ids.SAVED, account, says=says, style="primary")]
    if login.pending:
        return []
    sure = confirm(
        "Reset the password?",
        "You get a new one. The old one stops working at once.",
        "Reset",
        "Keep it",
    )
    says = f"Reset the password of {login.system}"
    return [button(_RESET, ids.RESET, account, says=says, asks=sure)]
