"""Scenes to draw, read back as people read them; and whatever could be typed, at its worst."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from hypothesis import strategies as st

from bot.sandbox.blocks import completed
from bot.sandbox.render import message_text, view_text
from bot.views.cards import channel_card
from bot.views.values import Block, Message, Scene, View
from engine.background import Background, Holding, Share
from engine.directory import Directory, Person, PersonId
from engine.flow import AccessFlow, ApproverGroup, Escalation, Extension, Quorum, unreadable
from engine.flow import ApprovalRule as Approvals
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
)
from engine.port import Secret
from engine.request import (
    SYSTEM,
    AccessRequest,
    AccountId,
    Approval,
    Ask,
    Grant,
    GrantId,
    GrantState,
    Question,
    RequestId,
    Seat,
    Settled,
    State,
)
from tests.support.builders import HOUR, MINUTE, NOW, Life, company, flow, person, request

NAMES: Mapping[str, str] = {p.slack: p.name for p in company().people.values() if p.slack}


def seen(life: Life, viewer: PersonId, *, has_login: bool = False) -> Scene:
    """Show the life's request to somebody."""
    return Scene(
        request=life.request,
        flow=life.facts.flow,
        revision=life.facts.revision,
        directory=life.facts.directory,
        entitlements=life.facts.entitlements,
        viewer=viewer,
        has_login=has_login,
    )


def in_a_channel(scene: Scene) -> Message:
    """Draw the card in a channel, calling everybody who could be."""
    return channel_card(scene, [*scene.directory.people])


def read(drawn: Message | View) -> str:
    """Read what is drawn from top to bottom, as Slack's client would show it."""
    if isinstance(drawn, Message):
        return message_text({"blocks": completed(drawn.blocks)}, NAMES)
    return view_text(drawn | {"blocks": completed(drawn["blocks"])}, NAMES)


def mrkdwn_in(node: object) -> Iterator[str]:
    """Yield every text that Slack reads as markup."""
    if isinstance(node, list):
        for item in node:
            yield from mrkdwn_in(item)
    elif isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            assert node["verbatim"], "Slack would look for names in it"
            yield node["text"]
        else:
            yield from mrkdwn_in(list(node.values()))


def buttons(drawn: Message | View) -> dict[str, Block]:
    """Return the buttons by their label."""
    blocks = drawn.blocks if isinstance(drawn, Message) else drawn["blocks"]
    rows = [b["elements"] for b in blocks if b["type"] == "actions"]
    return {button["text"]["text"]: button for row in rows for button in row}


# --- the worst that can come ---------------------------------------------------------------------

_NASTY = st.sampled_from(
    [
        "<!channel>",
        "<!here|x>",
        "<@UBEN>",
        "<https://evil.example|bank.example>",
        "https://ok.example/a?b=1&c=<2>",
        "&",
        "<",
        ">",
        "&lt;!channel&gt;",
        "\n\n",
        "\r\n>",
        "`",
        "```",
        '"',
        "\\",
        "*_~",
        "\u202e",
        "\x00",
        "\ud800",
        "\u2028",
        "👩‍👩‍👧‍👦",
        ":warning:",
        "@here",
        "a",
        "é",
        " ",
    ]
)


_BITS = st.lists(st.one_of(_NASTY, st.text(max_size=5)), max_size=20).map("".join)
_BY_THE_METRE = _NASTY.map(lambda bit: bit * 10_000)
_TEXT = st.one_of(_BITS, _BY_THE_METRE)


def nasty(most: int) -> st.SearchStrategy[str]:
    """Text that somebody typed to do harm, or by the metre: up to `most` characters."""
    return _TEXT.map(lambda text: text[:most])


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Any request at all, as large as one can be, in any state, seen by anybody."""
    said = st.sampled_from(draw(st.lists(_TEXT, min_size=3, max_size=5)))
    crowded, many = draw(st.booleans()), draw(st.sampled_from([0, 1, 2, 50]))
    people = [
        person(f"p{n}", name=draw(said)[:200], slack=f"U{n}" if draw(_EITHER) else None)
        for n in range(5)
    ]
    people += [person(f"q{n}", name=draw(said)[:200]) for n in range(30 if crowded else 0)]
    anybody = st.sampled_from([*(p.id for p in people[:5]), SYSTEM, PersonId("gone")])
    groups = tuple(
        ApproverGroup(draw(said)[:200], flow().revision.requestors)
        for _ in range(10 if crowded else 2)
    )
    plan = flow(
        name=draw(said)[:80],
        require_reason=draw(_EITHER),
        approval=Approvals(groups, draw(st.sampled_from(Quorum))),
        extension=Extension(10, timedelta(days=365)) if draw(_EITHER) else None,
        escalation=Escalation(HOUR, groups[:5]) if draw(_EITHER) else None,
    )
    entitlements = {e.id: e for e in (_entitlement(n, draw(said), draw(said)) for n in range(many))}
    made = draw(_requests(plan, many, people, said, anybody))
    return Scene(
        request=made,
        flow=plan,
        revision=unreadable(plan.name) if draw(_RARELY) else plan.revision,
        directory=Directory.of(people),
        entitlements=entitlements,
        viewer=draw(anybody),
        has_login=draw(_EITHER),
        background=_background(made, entitlements, draw(said)) if draw(_EITHER) else None,
    )


def _background(
    past: AccessRequest, known: Mapping[EntitlementId, Entitlement], group: str
) -> Background:
    return Background(
        last_had=past.ends_at,
        holds=tuple(Holding(e, past.ends_at, asked=True) for e in known.values()),
        shares=(Share(group[:200], 1, 9), Share(group[:80], 0, 2)),
        past=(past,) * 5,
    )


_EITHER = st.booleans()
_RARELY = st.sampled_from([False, False, False, True])
_STATES = st.permutations(list(GrantState)).map(lambda states: [*states] * 13)


def _entitlement(number: int, path: str, name: str) -> Entitlement:
    return Entitlement(
        EntitlementId(number),
        Integration(IntegrationId("i"), f"{number % 5}{name[:200]}", "postgresql"),
        Resource(
            ResourceId(number), "table", "t", path[:255], "t", number % 10 + 1, caveat=name[:2000]
        ),
        Permission(PermissionId("p"), name[:80], risk=1),
    )


@st.composite
def _requests(
    draw: st.DrawFn,
    plan: AccessFlow,
    many: int,
    people: list[Person],
    said: st.SearchStrategy[str],
    anybody: st.SearchStrategy[PersonId],
) -> AccessRequest:
    def reason() -> str:
        return draw(said)[:124]

    rules = plan.revision
    last = len(rules.approval.groups if rules.approval else ()) - 1
    tiers = [0, len(rules.escalation.tiers) - 1] if rules.escalation else []
    seats = st.builds(Seat, st.sampled_from([None, 0, last]), st.sampled_from([None, *tiers]))
    grants = tuple(
        Grant(
            GrantId(n),
            EntitlementId(n),
            AccountId(1),
            state,
            begun=draw(_EITHER),
            note=reason(),
            named=draw(said)[:255],
            left_out=draw(said)[:2000],
        )
        for n, state in enumerate(draw(_STATES)[: max(1, many)])
    )
    asks = tuple(Ask(p.id, draw(seats), draw(said)[:300], draw(_EITHER)) for p in people)
    shorter = 5 * MINUTE if draw(_EITHER) else None
    approvals = tuple(
        Approval(p.id, frozenset({draw(seats)}), NOW, reason(), shorter)
        for p in people[: draw(st.sampled_from([0, 1, 10]))]
    )
    questions = tuple(
        Question(
            p.id, NOW, draw(said)[:1000], draw(said)[:1000], draw(st.sampled_from([NOW, None]))
        )
        for p in people[: draw(st.sampled_from([0, 0, 1, 5]))]
    )
    return request(
        plan,
        id=RequestId(draw(st.integers(1, 2**40))),
        requestor=draw(anybody),
        grantee=draw(anybody),
        state=draw(st.sampled_from(State)),
        duration=draw(st.sampled_from([None, HOUR, timedelta(days=364, hours=23, minutes=59)])),
        justification=draw(said)[:1000],
        grants=grants,
        extensions_used=draw(st.sampled_from([0, 1, 2])),
        pending_since=NOW,
        tiers_asked=draw(st.sampled_from([0, *(tier + 1 for tier in tiers)])),
        asks=asks,
        approvals=approvals,
        questions=questions,
        nudged_at=NOW if draw(_EITHER) else None,
        decided=Settled(draw(anybody), NOW, reason()) if draw(_EITHER) else None,
        ends_at=NOW + HOUR if draw(_EITHER) else None,
        end_before=NOW if draw(_EITHER) else None,
        ending=draw(st.sampled_from([None, State.EXPIRED, State.RETURNED, State.FAILED])),
        ended=Settled(draw(anybody), NOW, draw(said)[:300]) if draw(_EITHER) else None,
        offers_made=draw(st.sampled_from([0, 1, 2])),
        bundle=draw(st.just("") | said)[:161],
    )


SECRET = Secret("s3cret`<&>")
