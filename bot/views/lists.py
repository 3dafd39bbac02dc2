"""Answers to commands: what I have, what waits for me, help, and what was not understood."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bot.views import ids, phrases
from bot.views.blocks import actions, button, context, divider, header, message, section, weight
from bot.views.rich import quotation
from bot.views.text import capital, code, in_a_row, refusal
from bot.views.values import Block, Message, Scene
from engine.request import State

__all__ = [
    "ask_button",
    "help_text",
    "my_access",
    "my_blocks",
    "refusal",
    "tasks",
    "unknown_command",
]

_BLOCKS = 50
_WEIGHT = 11_000  # of all blocks; what Slack refuses begins somewhere above 12,000

Part = tuple[str, Sequence[Scene], Callable[[Scene], list[Block]]]  # its header, and what it lists

_NO_ACCESS = "🔒 You have no access through Latchkey right now."
_NEVER = datetime.max.replace(tzinfo=UTC)

_UNDER_WAY = {
    State.PENDING_MFA: ("🔐", "Waiting for verification"),
    State.PENDING: ("⏳", "Waiting for approval"),
    State.SCHEDULED: ("📅", "Approved"),
    State.GRANTING: ("⚙️", "Being set up"),
    State.REVOKING: ("🔄", "Being taken away"),
}


def my_access(scenes: Sequence[Scene]) -> Message:
    """List what the viewer has, the soonest end first, and what they wait for."""
    active, waiting = _active_of(scenes), _waiting_of(scenes)
    text = f"Active access: {len(active)}. Under way: {len(waiting)}."
    if not active and not waiting:
        return _nothing(_NO_ACCESS)
    return message(text, [*my_blocks(scenes), divider(), *ask_button()])


def my_blocks(scenes: Sequence[Scene]) -> list[Block]:
    """List the same, without the button that asks for more."""
    active, waiting = _active_of(scenes), _waiting_of(scenes)
    if not active and not waiting:
        return [section(_NO_ACCESS)]
    return _listed(("🔓 Active access", active, _active), ("⏳ Under way", waiting, _under_way))


def _active_of(scenes: Sequence[Scene]) -> list[Scene]:
    active = [s for s in scenes if s.request.state is State.ACTIVE]
    return sorted(active, key=lambda s: s.request.ends_at or _NEVER)


def _waiting_of(scenes: Sequence[Scene]) -> list[Scene]:
    return [s for s in scenes if s.request.state in _UNDER_WAY]


def tasks(scenes: Sequence[Scene]) -> Message:
    """List the requests that wait for the viewer's decision."""
    mine = [s for s in scenes if phrases.may_decide(s) and not phrases.unreadable(s)]
    lost = [s for s in scenes if phrases.unreadable(s)]
    if not mine and not lost:
        return _nothing("✅ Nothing waits for your decision.")
    text = f"Waiting for your decision: {len(mine)}."
    text += f" Cannot be read: {len(lost)}." if lost else ""
    parts = (("🔔 Waiting for your decision", mine, _task), ("⚠️ Cannot be read", lost, _lost))
    return message(text, _listed(*parts))


def help_text(words: Sequence[tuple[str, str]]) -> Message:
    """List the words that may follow `/access`, and what each does."""
    said = "\n".join(f"• `/access {word}`: {does}" for word, does in words)
    intro = "Ask for the access that you need, for as long as you need it."
    blocks = [header("🔑 Latchkey"), section(f"{intro}\n\n{said}"), *ask_button()]
    named = in_a_row([word for word, _ in words], last="or")
    return message(f"{intro} Try /access {named}.", blocks)


def unknown_command(word: str, nearest: str | None) -> Message:
    """Say that the word is no command. `nearest` is the one that was probably meant."""
    guess = f" Did you mean {code(f'/access {nearest}')}?" if nearest else ""
    said = f"🤔 I do not know {code(word, 80)}.{guess} {code('/access help')} lists what there is."
    return message(said, [section(said)])


def _active(scene: Scene) -> list[Block]:
    request = scene.request
    what, ends = capital(phrases.what_in_short(scene)), phrases.until(request)
    lasts = f"until {ends}" if request.ends_at else ends
    return _item(scene, f"🔓 {what}{_theirs(scene)}\n{capital(lasts)}")


def _under_way(scene: Scene) -> list[Block]:
    what = capital(phrases.what_in_short(scene))
    emoji, says = _UNDER_WAY[scene.request.state]
    start = phrases.start(scene)
    facts = (says, f"starts {start}" if start else "", phrases.how_long(scene))
    return _item(scene, f"{emoji} {what}{_theirs(scene)}\n{' · '.join(filter(None, facts))}")


def _item(scene: Scene, text: str) -> list[Block]:
    lines = (f"{text} · {scene.request.code}", phrases.unreadable(scene))
    blocks = [section("\n".join(filter(None, lines)))]
    return [*blocks, *actions(phrases.party_buttons(scene))]


def _theirs(scene: Scene) -> str:
    """Say whom else it concerns: who is to have it, or who asked for it."""
    request = scene.request
    if request.grantee != scene.viewer:
        return f" for {phrases.who(scene, request.grantee)}"
    if request.requestor != scene.viewer:
        return f", asked by {phrases.who(scene, request.requestor)}"
    return ""


def _task(scene: Scene) -> list[Block]:
    request = scene.request
    start = phrases.start(scene)
    starts = [f"starts {start}"] if start else []
    facts = (*starts, phrases.how_long(scene), phrases.risk(scene), request.code)
    asks = f"{phrases.asks(scene)} for"
    lines = [
        f"{asks} {phrases.what_in_short(scene)}{phrases.for_whom(scene)}",
        " · ".join(facts),
    ]
    said = [section("\n".join(lines)), *quotation(request.justification, 300, lines=6)]
    return [*said, *actions(phrases.decide_buttons(scene))]


def _lost(scene: Scene) -> list[Block]:
    return [section(phrases.unreadable(scene))]


def _listed(*parts: Part) -> list[Block]:
    """Show of each part what fits, and count the rest."""
    shown: list[Block] = []
    for head, scenes, draw in parts:
        if not scenes:
            continue
        shown.append(header(head))
        for index, scene in enumerate(scenes):
            item = draw(scene)
            # Room is kept for the counts, the other part's header, a line and a button.
            if len(shown) + len(item) > _BLOCKS - 5 or weight([*shown, *item]) > _WEIGHT:
                shown.append(context(f"… and {len(scenes) - index} more"))
                break
            shown += item
    return shown


def _nothing(sentence: str) -> Message:
    return message(sentence, [section(sentence), *ask_button()])


def ask_button() -> list[Block]:
    return actions([button("Request access", ids.REQUEST_ACCESS, "new", style="primary")])
