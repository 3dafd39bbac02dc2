"""The catalogue as people page through it: a query, and what it selects."""

from collections.abc import Collection, Sequence

from bot.views import ids
from bot.views.blocks import actions, button, context, input_, modal, plain_text, section
from bot.views.phrases import risk_of
from bot.views.rich import told
from bot.views.text import code, count, cut, escape, rows, size, verbatim
from bot.views.values import Block, Catalog, View
from engine.explanation import on_behalf
from engine.flow import RequestFor
from engine.inventory import Entitlement, ResourceStatus
from engine.outcome import Refusal
from engine.words import line

__all__ = ["LONGEST", "catalog_modal", "fits", "mending_modal", "place_of", "place_text"]

LONGEST = 3000  # what Slack lets somebody type, and gives back


def fits(query: str) -> bool:
    """Tell whether Slack takes a query, and keeps it."""
    return size(query) <= LONGEST


def catalog_modal(page: Catalog) -> View:
    """Draw a page; another one, and another query, are asked for from it."""
    blocks = [_query(page.query), section(_counted(page))]
    if page.hints:
        blocks.append(told(rows(page.hints, lambda h: f"💡 {cut(line(h), 300)}", limit=1500)))
    blocks += [section(_line(one, page.whom.get(one.id))) for one in page.entitlements]
    blocks += actions(_turning(page))
    if not all(page.whom.values()):
        blocks.append(context("🚫 What is not for you: `/access why` and its path say why."))
    return _catalog(blocks, page.query)


def mending_modal(text: str, wrong: Refusal) -> View:
    """Draw what was typed as a query and is none, with what is wrong below it."""
    return _catalog([_query(text), told(f"⚠️ {wrong.sentence}")])


def _catalog(blocks: Sequence[Block], query: str = "") -> View:
    finds = context("AQL finds by names, paths, types, tags, risk and permissions.")
    callback = ids.CATALOG_MODAL
    return modal("Catalogue", [*blocks, finds], submit="Search", callback=callback, metadata=query)


def _query(text: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.CATALOG_QUERY,
        "multiline": True,
        "max_length": LONGEST,
        "placeholder": plain_text('resource_tag["env"] = "prod"', 150),
    }
    if text.strip():
        element["initial_value"] = verbatim(text, LONGEST)
    hint = "A query in AQL. Empty: everything."
    return input_(ids.CATALOG_QUERY, "Which", element, hint=hint, optional=True)


def _counted(page: Catalog) -> str:
    of = "in all systems" if page.everything else "that you may know of"
    if not page.total:
        return f"Nothing {of} fits."
    last = page.first + len(page.entitlements) - 1
    found = count(page.total, "entitlement")
    return f"*{page.first:,}–{last:,}* of {found} {of}:" if last >= page.first else f"{found} {of}:"


def _line(one: Entitlement, whom: Collection[RequestFor] | None) -> str:
    about = [
        cut(escape(one.resource.type), 80),
        cut(escape(one.integration.name), 80),
        f"risk {risk_of(one.risk)}",
    ]
    if one.resource.status is not ResourceStatus.ACTIVE:
        about.append(f"*{one.resource.status}*")
    if whom is not None and RequestFor.SELF not in whom:
        behalf = on_behalf(whom)
        about.append(f"👥 for {behalf}" if behalf else "🚫 not for you")
    named = f"{code(one.permission.name, 80)} on {code(one.resource.path, 300)}"
    return f"{named}\n{' · '.join(about)}"


def _turning(page: Catalog) -> list[Block]:
    buttons = []
    if page.next is not None:
        value = place_text(page)
        buttons.append(button("Next page", ids.CATALOG_NEXT, value, style="primary"))
    if page.first > 1:
        buttons.append(button("From the start", ids.CATALOG_START, "0/0"))
    return buttons


def place_text(page: Catalog) -> str:
    """Write where the next page begins, for a button."""
    return f"{page.next}/{page.first + len(page.entitlements) - 1}"


def place_of(value: str) -> tuple[int, int]:
    """Read what `place_text` wrote: the last one shown, and its number. What is none is 0."""
    last, _, passed = value.partition("/")
    return ids.number(last), ids.number(passed)
