"""The form by which some of what somebody has is returned, while they keep the rest."""

from bot.views import ids, phrases
from bot.views.blocks import modal, section
from bot.views.things import BOXES, MENU, left_out_field, options_of, ticked_field
from bot.views.values import Block, Scene, View
from engine.holdings import wants

__all__ = ["keeping", "return_modal"]


def return_modal(scene: Scene) -> View:
    ends = "What is returned ends at once, and open sessions may be cut off. The rest runs on."
    about = f"{phrases.whose(scene)} access under {scene.request.code}. {ends}"
    return modal(
        "Return access",
        [section(about), _things(scene)],
        submit="Return now",
        close="Keep it",
        callback=ids.RETURN_MODAL,
        metadata=str(scene.request.id),
    )


def _things(scene: Scene) -> Block:
    options = keeping(scene)
    if 0 < len(options) <= BOXES:
        return ticked_field(options, "Return these", "What is not ticked is kept until its end.")
    if not options:
        return section("Nothing of it can be named. It is returned as a whole.")
    none = f"Nothing: all {len(options):,} are returned"
    hint = f"At most {MENU} things. What is chosen here is kept until its end."
    return left_out_field(scene, options, ids.KEEP_THINGS, "Keep", none=none, hint=hint)


def keeping(scene: Scene, words: str = "") -> list[Block]:
    """Return what can be kept, or returned, as options: those that the words are part of."""
    return options_of(scene, lambda grant: wants(scene.request, grant), words)
