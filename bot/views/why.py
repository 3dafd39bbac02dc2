"""Why somebody can have something, or not: the question, the answer, and what to do about it."""

from bot.views import ids
from bot.views.blocks import actions, button, context, input_, modal, plain_text, section
from bot.views.rich import told
from bot.views.text import code, cut, escape, in_a_row, plain, rows, verbatim
from bot.views.values import Block, Named, View, Why
from engine.explanation import Explanation
from engine.inventory import ResourceId
from engine.words import line

__all__ = ["LONGEST", "value_of", "value_text", "why_modal", "wish_modal", "wished_modal"]

LONGEST = 200  # characters of what is asked about
_ANSWERS = 20  # permissions on one thing, that are explained
_VALUE = 220


def why_modal(why: Why) -> View:
    """Draw the answer; something else is asked about from it."""
    blocks = [_asked(why.words)]
    if why.notes:
        blocks.append(told(rows(why.notes, lambda note: f"⚠️ {cut(line(note), 300)}", 1500)))
    if why.answers:
        blocks += [told(_answer(answer)) for answer in why.answers[:_ANSWERS]]
        if hidden := len(why.answers[_ANSWERS:]):
            blocks.append(context(f"… and {hidden} more permissions: ask for “… on …”"))
    elif not why.others:
        unknown = f"🤷 Nothing that you may know of is called {code(why.words, 220)}."
        blocks.append(section(f"{unknown}{' Did you mean one of these?' if why.nearest else ''}"))
    blocks += [_choice(one, why.words) for one in (*why.others, *why.nearest)]
    if why.wanting:
        blocks += _cure(why)
    return modal(
        "Why",
        blocks,
        submit="Ask",
        callback=ids.WHY_MODAL,
        metadata=verbatim(why.words, LONGEST),
    )


def value_of(value: str) -> tuple[int, str]:
    """Read what a button says: the resource (0: none), and the words that were looked for."""
    resource, _, words = value.partition("/")
    return ids.number(resource), words


def value_text(words: str, resource: ResourceId | None = None, limit: int = _VALUE) -> str:
    """Write what a button says, for `value_of`."""
    return verbatim(f"{resource or 0}/{words}", limit)


def wish_modal(called: str, value: str) -> View:
    """Ask what somebody needs a thing for that they cannot have."""
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.REASON,
        "multiline": True,
        "max_length": 3000,
        "placeholder": plain_text("What you want to do with it, and how often", 150),
    }
    told = "The administrators read it within a day. It asks for nothing: nobody has to decide."
    return modal(
        "Tell the admins",
        [
            section(f"📣 You want {code(called, 220)}."),
            input_(ids.REASON, "What do you need it for?", element, hint=told),
        ],
        submit="Tell them",
        close="Cancel",
        callback=ids.WISH_MODAL,
        metadata=value,
    )


def wished_modal(called: str) -> View:
    return modal(
        "Tell the admins", [section(f"📣 The administrators will read of {code(called)}.")]
    )


def _asked(words: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.WHY_WORDS,
        "max_length": LONGEST,
        "placeholder": plain_text("orders/shop, or: read on orders/shop", 150),
    }
    if words.strip():
        element["initial_value"] = verbatim(words, LONGEST)
    hint = "A name or a path, or a part of it; of a bundle its name."
    return input_(ids.WHY_WORDS, "About what?", element, hint=hint)


def _answer(answer: Explanation) -> str:
    mark = "✅" if answer.may else "🚫"
    first, *others = answer.lines
    said = f"{mark} {cut(line(first), 1000)}"
    listed = rows(others, lambda reason: f"• {cut(line(reason), 500)}", 1400)
    return "\n".join(filter(None, (said, listed)))


def _choice(one: Named, words: str) -> Block:
    resource, path = one
    value = value_text(words, resource)
    explain = button("Explain", ids.WHY_ABOUT, value, says=f"Explain {plain(path, 60)}")
    return section(code(path, 300), explain)


def _cure(why: Why) -> list[Block]:
    said = []
    if why.admins:
        names = [cut(escape(name), 100) for name in why.admins]
        admins = "admin" if len(names) == 1 else "admins"
        said.append(f"Who could let you: {in_a_row(names, 3, last='or')} ({admins}).")
    if why.instead:
        lines = [f"{code(path, 200)}, {cut(escape(how), 100)}" for path, how in why.instead]
        said.append(f"What you can have: {'; '.join(lines)}.")
    value = value_text(why.words, why.of[0] if why.of else None)
    tell = actions([button("Tell the administrators", ids.WISH, value)])
    return [*([section("\n".join(said))] if said else []), *tell]
