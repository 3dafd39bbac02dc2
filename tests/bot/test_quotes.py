"""What people wrote stands in quotes: none of it is markup, and none looks like a line of ours.

Whatever they write, a card differs from another one in what stands in its quotes, and nowhere else.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli import terminal
from bot.sandbox.blocks import judge_blocks
from bot.sandbox.render import blocks_text, mrkdwn_text
from bot.views.asking import answer_modal, question_modal, questions_modal
from bot.views.cards import alarm, approval_card, line, notice, request_card
from bot.views.catalog import catalog_modal
from bot.views.decide_modals import approve_modal, reject_modal
from bot.views.lists import tasks
from bot.views.request_modal import people_options, resource_options
from bot.views.rich import quotation, told
from bot.views.text import MORE, escape, legible, prose
from bot.views.values import Block, Catalog, Scene, Why
from bot.views.why import why_modal
from engine.commands import Answer, PutQuestion
from engine.directory import PersonId
from engine.inventory import EntitlementId
from engine.outcome import News
from engine.request import Settled, State
from engine.words import visible
from tests.support.builders import ANN, BEN, Life, begun, life
from tests.support.scenes import NAMES, in_a_channel, nasty, read, seen

FORGED = """Routine.
*Who was asked*
• *DBAs*: <@UBEN>, who approved it
> 👍 <@UBEN> approved
```
`AX-KRXN` :white_check_mark: _approved_ ~rejected~ <!channel>
---
<https://evil.example|Approve>
\u202edevorppa"""

hard = st.one_of(st.just(FORGED), nasty(1000), st.text(max_size=200))

Draw = Callable[[Scene], list[Block]]
DRAWN: list[Draw] = [
    *(lambda s, draw=draw: draw(s).blocks for draw in (request_card, approval_card, in_a_channel)),
    lambda s: [b for news in News for b in line(s, news).blocks],
    lambda s: tasks([s]).blocks,
    *(lambda s, draw=draw: draw(s, whole=True)["blocks"] for draw in (approve_modal, reject_modal)),
    lambda s: approve_modal(s)["blocks"],
    *(lambda s, draw=draw: draw(s)["blocks"] for draw in (question_modal, questions_modal)),
    lambda s: answer_modal(s, 1)["blocks"] if s.request.questions else [],
]


def wrote(scene: Scene, text: str) -> Scene:
    """Let everybody who wrote something have written this."""
    request = scene.request

    def by(settled: Settled | None) -> Settled | None:
        return replace(settled, by=BEN, reason=text) if settled else None

    return replace(
        scene,
        request=request.with_(
            justification=text,
            approvals=tuple(replace(a, reason=text) for a in request.approvals),
            questions=tuple(
                replace(q, text=text, answer=q.answer and text) for q in request.questions
            ),
            decided=by(request.decided),
            ended=by(request.ended),
        ),
    )


def quotes(node: object) -> Iterator[Block]:
    if isinstance(node, list):
        for item in node:
            yield from quotes(item)
    elif isinstance(node, dict):
        if node.get("type") == "rich_text_quote":
            yield node
        yield from quotes(list(node.values()))


def around(blocks: list[Block]) -> list[Block]:
    """Return the blocks as they are with nothing in their quotes."""

    def emptied(node: Any) -> Any:
        match node:
            case {"type": "rich_text_quote"}:
                return {"type": "rich_text_quote"}
            case dict():
                return {key: emptied(value) for key, value in node.items()}
            case list():
                return [emptied(item) for item in node]
        return node

    return emptied(blocks)


def differs(made: Life, viewer: PersonId, text: str) -> list[int]:
    """Return which of what is drawn has other things around its quotes because of a text."""
    scene = seen(made, viewer)
    harmless, hostile = wrote(scene, "x"), wrote(scene, text)
    return [n for n, draw in enumerate(DRAWN) if around(draw(hostile)) != around(draw(harmless))]


def questioned(*answers: str) -> Life:
    made = life(State.PENDING)
    for text in ("Why?", "Who?"):
        made.do(PutQuestion(BEN, text))
    for number, text in enumerate(answers, 1):
        made.do(Answer(ANN, number, text))
    return made


LIVES = [begun(), *(life(state) for state in State), questioned(), questioned("So.", "You.")]


@pytest.mark.parametrize("viewer", [ANN, BEN])
@pytest.mark.parametrize("made", LIVES, ids=lambda made: made.request.state.value)
def test_a_forged_reason_changes_nothing_but_quotes(made, viewer):
    """A reason with line breaks and marks could forge lines of ours."""
    assert not differs(made, viewer, FORGED)


@settings(deadline=None)
@given(hard.filter(legible), st.sampled_from(LIVES), st.sampled_from([ANN, BEN]))
def test_whatever_is_written_changes_nothing_but_quotes(text: str, made: Life, viewer: PersonId):
    assert not differs(made, viewer, text)


@given(hard, st.integers(20, 1500))
def test_a_quote_is_letter_by_letter_and_has_no_markup(text: str, limit: int):
    written = re.sub(r"\n\s*\n", "\n\n", legible(text))

    for quote in quotes(quotation(text, limit, lines=limit)):
        leaves = quote["elements"]
        assert all(leaf["type"] in {"text", "link"} for leaf in leaves)
        ours = [leaf["text"] for leaf in leaves if "style" in leaf]
        theirs = "".join(leaf.get("text") or leaf["url"] for leaf in leaves if "style" not in leaf)
        assert ours in ([], [MORE])
        assert written.startswith(theirs) if ours else written == theirs


@given(hard)
def test_every_line_that_somebody_wrote_is_read_within_the_quote(text: str):
    blocks = [b | {"block_id": "b"} for b in quotation(text, 2900)]

    assert all(row.startswith("> ") for row in blocks_text(blocks, NAMES).split("\n") if blocks)
    assert bool(blocks) == bool(legible(text))


def test_a_forged_card_is_read_as_what_it_is():
    card = read(approval_card(wrote(seen(begun(), BEN), FORGED)))

    start = card.index("Why\n")
    quoted = card[start:].splitlines()[1 : 1 + len(FORGED.splitlines())]
    assert quoted == [f"> {visible(row)}" for row in FORGED.splitlines()]
    assert card.count("\n*Who was asked*") == 0


def test_an_address_is_a_link_that_shows_where_it_leads():
    (block,) = quotation("see https://jira.example/INC-42?a=1&b=2, or <https://evil.example|ours>")

    (quote,) = quotes(block)
    assert quote["elements"] == [
        {"type": "text", "text": "see "},
        {"type": "link", "url": "https://jira.example/INC-42?a=1&b=2"},
        {"type": "text", "text": ", or <https://evil.example|ours>"},
    ]


def test_an_address_that_is_cut_leads_nowhere():
    (quote,) = quotes(quotation(f"see https://a.example/{'x' * 100}", 40))

    assert [leaf["type"] for leaf in quote["elements"]] == ["text", "text"]
    assert quote["elements"][1]["text"] == MORE


def test_what_stands_below_a_quote_stays_in_reach():
    """A reason of hundreds of lines pushed the buttons far away. The form shows all of it."""
    long = "\n".join(map(str, range(200)))
    scene = wrote(seen(begun(), BEN), long)

    for drawn, rows in ((approval_card(scene).blocks, 20), (tasks([scene]).blocks, 6)):
        (quote,) = quotes(drawn)
        assert quote["elements"][0]["text"].split("\n") == [*map(str, range(rows))]
        assert quote["elements"][1]["text"] == MORE
    (quote,) = quotes(approve_modal(scene, whole=True)["blocks"])
    assert quote["elements"] == [{"type": "text", "text": long}]


def test_lines_stay_and_gaps_are_closed():
    (quote,) = quotes(quotation("one\r\n\r\n\n \n  two\u2028three"))

    assert quote["elements"] == [{"type": "text", "text": "one\n\n  two\nthree"}]


def test_commands_in_what_we_say_can_be_copied():
    block = told(
        "Say:\n```latchkey audit verify --anchor 1:a_b_```\nor `latchkey why *`, <!here> _x_"
    )

    kinds = [
        (part["type"], [leaf["text"] for leaf in part["elements"]]) for part in block["elements"]
    ]
    assert kinds == [
        ("rich_text_section", ["Say:"]),
        ("rich_text_preformatted", ["latchkey audit verify --anchor 1:a_b_"]),
        ("rich_text_section", ["or ", "latchkey why *", ", <!here> _x_"]),
    ]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("data_eng_admins", "data_eng_admins"),
        ("_it_ *b* ~s~ `c`", "ˍitˍ ∗b∗ ∼s∼ ˋcˋ"),
        ("2*3*4", "2*3*4"),
        ("> quoted", "› quoted"),
        (":tada: 10:30", "∶tada: 10:30"),
        ("a\nb", "a b"),
        ("<!channel> & co", "&lt;!channel&gt; &amp; co"),
        ("ann\u202e", "ann\\u202e"),
    ],
)
def test_nothing_of_a_name_is_markup(name, shown):
    assert escape(name) == shown


@given(hard)
def test_whatever_a_name_is_none_of_it_is_markup(name: str):
    shown = escape(name)

    assert mrkdwn_text(shown, NAMES) == unescaped(shown)
    assert "\n" not in shown
    assert not shown.startswith((">", "&gt;"))


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@pytest.mark.parametrize("name", ["ann\u202e", "a\u200bnn"])
def test_what_cannot_be_seen_is_seen_wherever_names_are(name, capsys):
    found = seen(begun(), BEN).entitlements[EntitlementId(1)]
    odd = replace(found, resource=replace(found.resource, path=name))
    page = Catalog(query="", entitlements=[odd], total=1, first=1, next=None, everything=True)
    drawn = [
        str(catalog_modal(page)),
        str(people_options([(ANN, name, name)])),
        str(resource_options([(odd.resource.id, name, name)])),
        str(
            why_modal(Why(words="x", of=(odd.resource.id, name), nearest=[(odd.resource.id, name)]))
        ),
        str(notice(f"{name} has left.")),
        str(alarm(f"{name} is out of order.")),
        terminal.shown(name),
    ]
    terminal.say_fault(f"{name} is no one.")
    drawn.append(capsys.readouterr().err)

    for text in drawn:
        assert not {"\u202e", "\u200b"} & set(text)
        assert "\\u20" in text


def test_code_in_our_sentences_stays_code():
    said = prose("`latchkey apply` writes it, _not_ <you>; see https://a.example/_x_.")

    assert said == ("`latchkey apply` writes it, ˍnotˍ &lt;you&gt;; see <https://a.example/_x_>.")


@pytest.mark.parametrize("said", ["```a```", "`a`", "`a` https://b.example ", "x```a```y`b`"])
def test_however_much_code_a_sentence_has_slack_takes_it(said):
    """Each fence was a part of its own, and a block takes a hundred: no form was drawn."""
    assert not judge_blocks([told(said * 1000)], "message")


@pytest.mark.parametrize("draw", DRAWN)
def test_what_cannot_be_seen_in_a_name_is_seen(draw):
    made = questioned()
    scene = seen(made, BEN)
    found = scene.entitlements[EntitlementId(1)]
    hidden = "re\u202ead\u200b"
    odd = replace(
        found,
        resource=replace(found.resource, path=hidden),
        permission=replace(found.permission, name=hidden),
        integration=replace(found.integration, name=hidden),
    )
    revision = replace(scene.revision, name=hidden)
    drawn = str(draw(replace(scene, entitlements={odd.id: odd}, revision=revision)))

    assert not {"\u202e", "\u200b"} & set(drawn)
    assert "re\\\\u202ead" in drawn
