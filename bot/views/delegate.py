"""Lending one's right to approve: the form, and the list of what was lent and received."""

from collections.abc import Callable

from bot.views import ids
from bot.views.blocks import (
    actions,
    button,
    confirm,
    header,
    input_,
    message,
    modal,
    plain_text,
    section,
)
from bot.views.rich import quotation
from bot.views.text import mention, plain, verbatim, when
from bot.views.values import Block, Lent, Message, View
from engine.delegating import LONGEST
from engine.directory import Delegation, PersonId
from engine.flow import MAX_REASON

__all__ = ["begun", "delegate_modal", "list_modal"]

_MOST = 20  # of each list
_TYPED = 3000  # Slack's own limit: what passes here and is too long, the engine says


def delegate_modal(slack: str = "", until: str = "", reason: str = "") -> View:
    """The form, with as much as was said."""
    person: Block = {
        "type": "users_select",
        "action_id": ids.PERSON,
        "placeholder": plain_text("Choose somebody", 150),
    }
    if slack:
        person["initial_user"] = slack
    says = (
        "Whoever you choose is asked in addition to you, and may approve and reject what you may. "
        "Both of you count as one person. Either of you can end it at any time."
    )
    ends = "For example: until Friday, until 14 Dec 18:00, until 2026-12-14, for 3 days. "
    most = f"A day without a time counts to its end. At most {LONGEST.days} days."
    return modal(
        "Delegate",
        [
            section(says),
            input_(ids.PERSON, "Who decides for you", person),
            input_(ids.UNTIL, "Until when", _text(ids.UNTIL, until), hint=ends + most),
            input_(
                ids.REASON,
                "Why",
                _text(ids.REASON, reason),
                hint=f"Both of you read it. At most {MAX_REASON} characters.",
            ),
        ],
        submit="Delegate",
        close="Not now",
        callback=ids.DELEGATE_MODAL,
    )


def _text(action: str, typed: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": action,
        "max_length": _TYPED,
    }
    return element | {"initial_value": verbatim(typed, _TYPED)} if typed else element


def begun(lent: Lent, made: Delegation) -> Message:
    """Say to whom it was that it is done."""
    who = mention(made.delegate, lent.directory)
    said = f"🤝 {who} can approve and reject for you until {when(made.until)}, and was told."
    return message(said, [section(said)])


def list_modal(lent: Lent) -> View:
    """List what holds now, each with a button that ends it."""
    blocks = _listed(lent, "Who decides for you", lent.given, lambda d: d.delegate)
    blocks += _listed(lent, "For whom you decide", lent.received, lambda d: d.delegator)
    if lent.others:
        blocks += _listed(lent, "Others", lent.others, lambda d: d.delegate, other=True)
    new = button("Delegate…", ids.DELEGATE, "new", says="Delegate to somebody")
    return modal("Delegations", [*blocks, *actions([new])])


def _listed(
    lent: Lent,
    title: str,
    some: list[Delegation],
    whom: Callable[[Delegation], PersonId],
    *,
    other: bool = False,
) -> list[Block]:
    if not some:
        return [header(title), section("Nobody.")]
    blocks: list[Block] = [header(title)]
    for one in some[:_MOST]:
        named = mention(whom(one), lent.directory)
        if other:
            named = f"{named}, for {mention(one.delegator, lent.directory)}"
        blocks.append(section(f"{named} until {when(one.until)}", _end_button(lent, one, whom)))
        blocks += quotation(one.reason, 300)
    left = len(some) - _MOST
    return [*blocks, *([section(f"… and {left} more")] if left > 0 else [])]


def _end_button(lent: Lent, one: Delegation, whom: Callable[[Delegation], PersonId]) -> Block:
    found = lent.directory.get(whom(one))
    name = plain(found.name if found else "somebody", 40)
    asks = confirm(
        "End this delegation?",
        "What was approved by it stays. Nothing more can be.",
        "End it",
        "Keep it",
    )
    return button(
        "End", ids.END_DELEGATION, str(one.id), says=f"End the one with {name}", asks=asks
    )
