"""What we send, and what the sandbox takes, is what Slack's own types allow.

The types are those of the package @slack/types, its compiler is TypeScript's: each object becomes a
typed constant, and what the compiler says of it is the judgement.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings

from bot.sandbox import limits
from bot.sandbox.shapes import Choice, Flag, Items, Number, Part, Shape, Spec, String, Text, Typed
from bot.views.cards import approval_card, line, notice, request_card
from bot.views.credentials import credentials_modal
from bot.views.decide_modals import approve_modal, reject_modal
from bot.views.values import Block, Credentials
from engine.request import AccountId
from tests.sandbox.bolts import JS, install_javascript, node
from tests.support.scenes import SECRET, in_a_channel, scenes

HEAD = """
import type {{ KnownBlock, ActionsBlockElement, InputBlockElement, SectionBlockAccessory,
  ContextBlockElement, ContextActionsBlockElement, RichTextBlockElement, RichTextElement,
  ModalView, HomeView, URLSourceElement }} from '{types}';
type Element = ActionsBlockElement | InputBlockElement | SectionBlockAccessory
  | ContextBlockElement | ContextActionsBlockElement | RichTextBlockElement | RichTextElement
  | URLSourceElement;
type Of<T> = Extract<Element, {{ type: T }}>;
type BlockOf<T> = Extract<KnownBlock, {{ type: T }}>;
type View = ModalView | HomeView;
"""

# What the types lack, and why the sandbox takes it nevertheless.
NOT_IN_TYPES = {
    "data_visualization": "Slack's pages have the block, its types do not yet",
    "card.title": "Slack's page takes plain_text, too",
    "card.subtitle": "Slack's page takes plain_text, too",
    "card.body": "Slack's page takes plain_text, too",
    "rich_text_list.offset": "on Slack's page",
    "user.style": "Slack's page has three more for mentions",
    "usergroup.style": "Slack's page has three more for mentions",
    "channel.style": "Slack's page has three more for mentions",
    "modal.submit_disabled": "on Slack's page; the types have it for steps of workflows alone",
}


class Judged(NamedTuple):
    where: str  # the shape, and the field of it that is tried
    type: str  # in TypeScript
    value: object


def judge(folder, tried: Iterable[Judged]) -> list[str]:
    """Return what the compiler does not take."""
    install_javascript()
    tried = list(tried)
    types = JS / "node_modules/@slack/types/dist/index.js"
    lines = HEAD.format(types=types).lstrip("\n").splitlines()
    first = len(lines) + 1
    lines += [f"export const t{n}: {t.type} = {_literal(t.value)};" for n, t in enumerate(tried)]
    file = folder / "judged.ts"
    file.write_text("\n".join(lines))
    compiler = JS / "node_modules/typescript/bin/tsc"
    options = [
        "--noEmit",
        "--strict",
        "--module",
        "nodenext",
        "--skipLibCheck",
        "--pretty",
        "false",
    ]
    command = [node(), str(compiler), *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [
        (tried[int(line) - first], what)
        for line, what in re.findall(r"judged\.ts\((\d+),\d+\): (.*)", done.stdout)
    ]
    assert said or done.returncode == 0, done.stdout + done.stderr
    return [f"{one.where}: {what} {_literal(one.value)[:300]}" for one, what in said]


def _literal(value: object) -> str:
    return json.dumps(value)


# --- the sandbox's tables -------------------------------------------------------------------------


def variants(spec: Spec) -> Iterator[tuple[str, object]]:
    """Give each form of a value, the simplest first; with what it tries, where that has a name."""
    match spec:
        case String():
            yield "", "x"
        case Number(least=least):
            yield "", max(least, 0)
        case Flag():
            yield "", True
        case Choice(among=among):
            yield from ((one, one) for one in sorted(among))
        case Text(plain=plain):
            yield "plain_text", {"type": "plain_text", "text": "x", "emoji": True}
            marked = {"type": "mrkdwn", "text": "x", "verbatim": True}
            yield from () if plain else [("mrkdwn", marked)]
        case Part(name=part):
            yield from filled(part, limits.PARTS[part])
        case Typed(types=types):
            for kind in sorted(types):
                yield kind, {"type": kind} | simplest(limits.SHAPES[kind])
        case Items(of=of):
            yield from ((what, [value]) for what, value in variants(of))


def simplest(shape: Shape) -> dict[str, object]:
    """Fill what must be there, and of what is one or the other the first."""
    needed = [*shape.required, *shape.one_of[:1], *shape.any_of[:1]]
    every = {**shape.required, **shape.optional}
    return {name: next(variants(every[name]))[1] for name in needed}


def filled(name: str, shape: Shape) -> Iterator[tuple[str, dict[str, object]]]:
    """Give the simplest of a shape, and that with each form of each field."""
    base = simplest(shape)
    yield name, base
    for key, spec in {**shape.required, **shape.optional}.items():
        others = {k: v for k, v in base.items() if k not in shape.one_of or key not in shape.one_of}
        yield from ((f"{name}.{key}", others | {key: form}) for _, form in variants(spec))


def of_tables() -> Iterator[Judged]:
    shapes: list[tuple[str, Mapping[str, Shape]]] = [
        ("BlockOf", limits.BLOCKS),
        ("Of", limits.ELEMENTS | limits.RICH_TEXT),
    ]
    for generic, table in shapes:
        for kind, shape in table.items():
            if kind in {"raw_text", "raw_number"}:
                continue  # cells, which the tables bring
            for where, value in filled(kind, shape):
                yield Judged(where, f'{generic}<"{kind}">', {"type": kind} | value)
    for kind, shape in limits.VIEWS.items():
        for where, value in filled(kind, shape):
            yield Judged(where, "View", {"type": kind, "blocks": []} | value)


def test_what_the_sandbox_takes_is_what_slacks_types_allow(tmp_path):
    """The description of a checkbox's option was mrkdwn, which the sandbox took, and Slack's types
    do not.
    """
    found = judge(tmp_path, of_tables())

    odd = [one for one in found if not one.startswith(tuple(NOT_IN_TYPES))]
    assert not odd, "\n".join(odd)


# --- what we send ---------------------------------------------------------------------------------


LOGIN = Credentials(
    account=AccountId(1),
    system="Orders",
    instructions={"Host": "db.example", "psql": "psql 'host=db.example'"},
    password=SECRET,
    remarks=["One table was left out."],
)


def of_view(where: str, view: Mapping[str, object]) -> Iterator[Judged]:
    yield Judged(where, "View", {**view, "blocks": []})
    yield Judged(where, "KnownBlock[]", view["blocks"])


def test_what_we_send_is_what_slacks_types_allow(tmp_path):
    tried: list[Judged] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(scenes())
    def draw(scene) -> None:
        made = [request_card(scene), approval_card(scene), in_a_channel(scene), line(scene, None)]
        made.append(notice(f"{scene.request.justification}: `latchkey why`\n```x```"))
        tried.extend(Judged("card", "KnownBlock[]", each.blocks) for each in made)
        for modal in (approve_modal, reject_modal):
            tried.extend(of_view(modal.__name__, modal(scene)))
            tried.extend(of_view(modal.__name__, modal(scene, whole=True, shorter="5 min")))
        tried.extend(of_view("credentials", credentials_modal([LOGIN])))

    draw()

    found = judge(tmp_path, tried)

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
        {"type": "section"} | {"texts": []},
        {"type": "actions", "elements": [{"type": "button", "text": "x"}]},
    ],
)
def test_the_compiler_sees_what_is_wrong(tmp_path, wrong: Block):
    assert judge(tmp_path, [Judged("wrong", "KnownBlock[]", [wrong])])
