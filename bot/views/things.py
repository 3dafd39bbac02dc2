"""The field by which some of a request's things are chosen: of a few each has its box, ticked; of
many some are left out.
"""

from collections.abc import Callable

from bot.views import ids
from bot.views.blocks import input_, option, plain_text
from bot.views.values import Block, Scene
from engine.request import Grant

__all__ = ["BOXES", "MENU", "left_out_field", "options_of", "ticked_field"]

BOXES, MENU = 10, 100  # options that Slack takes


def options_of(scene: Scene, chosen: Callable[[Grant], bool], words: str = "") -> list[Block]:
    """Return the grants that can be chosen, as options: those that the words are part of."""
    wanted = words.casefold().split()
    named = [
        (str(e), g.id, e.resource.type)
        for g in scene.request.grants
        if chosen(g) and (e := scene.entitlements.get(g.entitlement))
    ]
    return [
        option(name, str(number), type_)
        for name, number, type_ in named
        if all(word in name.casefold() for word in wanted)
    ]


def ticked_field(options: list[Block], label: str, hint: str) -> Block:
    boxes: Block = {
        "type": "checkboxes",
        "action_id": ids.THINGS,
        "options": options,
        "initial_options": options,
    }
    return input_(ids.THINGS, label, boxes, hint=hint, optional=True)


def left_out_field(
    scene: Scene, options: list[Block], action: str, label: str, *, none: str, hint: str
) -> Block:
    """`none` says what comes of it where nothing is chosen."""
    menu: Block = {
        "action_id": action,
        "placeholder": plain_text(none, 150),
        "max_selected_items": MENU,
    }
    if len(options) <= MENU:
        menu |= {"type": "multi_static_select", "options": options}
    else:
        menu |= {"type": "multi_external_select", "min_query_length": 0}
    return input_(f"{action}/{scene.request.id}", label, menu, hint=hint, optional=True)
