"""The modal in which a grantee sees how to log in, and modals that say one thing."""

from collections.abc import Iterable, Sequence

from bot.views import ids
from bot.views.blocks import actions, button, confirm, context, modal, plain_text, section
from bot.views.text import cut, escape, rows, verbatim, when
from bot.views.values import Block, Credentials, View

__all__ = ["credentials_modal", "notice_modal", "saved_modal"]

# What fits into a view of 250 KB, whatever it is.
_LOGINS = 8
_INSTRUCTIONS = 8
_VALUE = 500


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
    return modal("How to log in", [section(said), context("Lost it? Reset it from the same card.")])


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
        yield {"type": "rich_text", "elements": [_row(*row) for row in shown]}
    if login.remarks:
        remarks = rows(login.remarks, lambda r: f"⚠️ {cut(escape(r), 400)}", limit=1200, most=5)
        yield section(remarks)
    yield context(_state(login))
    yield from actions(_buttons(login))


def _row(label: str, value: str) -> Block:
    """Rich text is taken letter by letter: what is copied is what was meant."""
    shown = verbatim(value, _VALUE)
    return {
        "type": "rich_text_section",
        "elements": [
            {"type": "text", "text": f"{plain_text(label, 60)['text']}: "},
            {"type": "text", "text": shown or "-", "style": {"code": True}},
        ],
    }


def _state(login: Credentials) -> str:
    if login.pending:
        return "⏳ The login is being set up right now. If it does not work yet, wait a moment."
    if login.password:
        return (
            "⚠️ Only you see this. The password is shown until you press *I have saved it*, "
            "for 10 minutes at most."
        )
    return "The password is not kept any more. If you do not have it, reset it."


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
    return [button("Reset password", ids.RESET, account, says=says, asks=sure)]
