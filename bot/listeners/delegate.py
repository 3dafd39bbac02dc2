"""Lending one's right to approve: `/access delegate`, its form, its list."""

import re
from dataclasses import dataclass

from slack_bolt import Ack

from bot.listeners.common import NOT_DONE, Body, Entered, Visitor, refuse_at
from bot.listeners.table import Table
from bot.runtime.services import Services
from bot.usecases import delegate
from bot.views import ids
from bot.views.delegate import begun, delegate_modal, list_modal
from bot.views.ids import number
from bot.views.values import Lent, Message
from engine import delegating
from engine.directory import DelegationId, Person
from engine.outcome import Refusal

__all__ = ["answer", "register"]

NOT_DELEGATED = "Not delegated"
FIELDS = {"delegate": ids.PERSON, "until": ids.UNTIL, "reason": ids.REASON}

_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")


def answer(visitor: Visitor, person: Person, body: Body, rest: str) -> Message | Refusal | None:
    """Do what is said whole; for what is not, open the form, or the list."""
    first, _, more = rest.partition(" ")
    if first.casefold() in {"", "list"}:
        return _list(visitor, person, body)
    if first.casefold() == "end":
        whom = _user(more.strip())
        if not whom:
            return _list(visitor, person, body)
        return _shown(visitor, body, delegate.end_with(visitor.services, person, whom))
    said = delegating.read(rest)
    if isinstance(said, Refusal):
        return said
    slack = _user(said.whom)
    if not (slack and said.until and said.reason):
        visitor.open(body, delegate_modal(slack, said.until, said.reason))
        return None
    made = delegate.begin(visitor.services, person, slack, said.until, said.reason)
    if isinstance(made, Refusal):
        return made
    lent = delegate.listed(visitor.services, person)
    return lent if isinstance(lent, Refusal) else begun(lent, made)


def _user(typed: str) -> str:
    """Return the Slack user id of a mention; empty: a name alone says nobody for sure."""
    found = _MENTION.fullmatch(typed)
    return found[1] if found else ""


def _list(visitor: Visitor, person: Person, body: Body) -> Refusal | None:
    return _shown(visitor, body, delegate.listed(visitor.services, person))


def _shown(visitor: Visitor, body: Body, lent: Lent | Refusal) -> Refusal | None:
    if isinstance(lent, Refusal):
        return lent
    visitor.open(body, list_modal(lent))
    return None


@dataclass(frozen=True, slots=True)
class Delegating:
    visitor: Visitor

    def submit(self, ack: Ack, body: Body) -> None:
        entered, services = Entered(body["view"]), self.visitor.services
        said = entered.person(ids.PERSON), entered.text(ids.UNTIL), entered.text(ids.REASON)
        made = self.visitor.act(body, lambda p: delegate.begin(services, p, *said))
        if isinstance(made, Refusal):
            field = FIELDS.get(made.about)
            refuse_at(ack, body["view"], made, *([field] if field else []), title=NOT_DELEGATED)
        else:
            ack()

    def end(self, person: Person, value: str) -> Lent | Refusal:
        return delegate.end(self.visitor.services, person, DelegationId(number(value)))


def register(table: Table, services: Services) -> None:
    delegating_ = Delegating(visitor := Visitor(services, table.client))
    table.action(ids.DELEGATE, visitor.button(NOT_DONE, lambda p, _: p, lambda _: delegate_modal()))
    table.action(ids.END_DELEGATION, visitor.redrawing(NOT_DONE, delegating_.end, list_modal))
    table.view(ids.DELEGATE_MODAL, delegating_.submit)
