"""Scenes to draw, read back as people read them; and whatever could be typed, at its worst."""

from collections.abc import Mapping
from datetime import timedelta


from hypothesis import strategies as st

from bot.sandbox.blocks import completed
from bot.sandbox.render import message_text, view_text
from bot.views.values import Block, Message, Scene, View
from engine.connectors.port import Secret
from engine.directory import Directory, PersonId
from engine.flow import Approval as Approvals
from engine.flow import AccessFlow, ApproverGroup, Escalation, Extension, Join
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    Resource,
    ResourceId,
)
from engine.request import (
    SYSTEM,
    AccessRequest,
    AccountId,
    Approval,
    Ask,
    Grant,
    GrantId,
    GrantState,
    RequestId,
    Seat,
    Settled,
    State,
)
from tests.support.builders import HOUR, MINUTE, NOW, Life, company, flow, person, request

NAMES: Mapping[str, str] = {p.slack: p.name for p in company().people.values() if p.slack}


def seen(life: Life, viewer: PersonId, key: str = "", *, has_login: bool = False) -> Scene:
    """Show the life's request to somebody."""
    return Scene(
        request=life.request,
        flow=life.facts.flow,
        revision=life.facts.revision,
        directory=life.facts.directory,
        entitlements=life.facts.entitlements,
        viewer=viewer,
        key=key,
        has_login=has_login,
    )


def read(drawn: Message | View) -> str:
    """Read what is drawn from top to bottom, as Slack's client would show it."""
    if isinstance(drawn, Message):
        return message_text({"blocks": completed(drawn.blocks)}, NAMES)
    return view_text(drawn | {"blocks": completed(drawn["blocks"])}, NAMES)


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


def nasty(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """Text that somebody typed to do harm, or by the metre: up to `most` characters."""
    bits = st.lists(st.one_of(_NASTY, st.text(max_size=5)), max_size=30).map("".join)
    metres = st.tuples(_NASTY, st.integers(1, most)).map(lambda t: t[0] * t[1])
    return st.one_of(bits, metres).map(lambda text: text[:most].ljust(least, "x"))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Any request at all, as large as one can be, in any state, seen by anybody."""
    people = [
        person(f"p{n}", name=draw(nasty(200)), slack=draw(st.sampled_from([None, f"U{n}"])))
        for n in range(draw(st.integers(1, 6)))
    ]
    crowd = [person(f"q{n}", name=draw(nasty(200))) for n in range(draw(st.sampled_from([0, 30])))]
    directory = Directory.of([*people, *crowd])
    anybody = st.sampled_from([p.id for p in people] + [SYSTEM, PersonId("gone")])
    groups = tuple(
        ApproverGroup(draw(nasty(200)), flow().revision.requestors)
        for _ in range(draw(st.integers(1, 10)))
    )
    plan = flow(
        name=draw(nasty(80)),
        description=draw(nasty(3000)),
        require_reason=draw(st.booleans()),
        approval=Approvals(groups, draw(st.sampled_from(Join))),
        extension=draw(st.sampled_from([None, Extension(10, timedelta(days=365))])),
        escalation=draw(st.sampled_from([None, Escalation(HOUR, groups[:5])])),
    )
    entitlements = {e.id: e for e in draw(_entitlements())}
    made = draw(_requests(plan, entitlements, anybody, [p.id for p in crowd]))
    return Scene(
        request=made,
        flow=plan,
        revision=plan.revision,
        directory=directory,
        entitlements=entitlements,
        viewer=draw(anybody),
        key=draw(st.sampled_from(["", "0/0", "1/1", f"{made.extensions_used}/{made.offers_made}"])),
        has_login=draw(st.booleans()),
    )


@st.composite
def _entitlements(draw: st.DrawFn) -> list[Entitlement]:
    count = draw(st.sampled_from([0, 1, 2, 50]))
    path, name, permission = draw(nasty(255)), draw(nasty(80)), draw(nasty(80))
    return [
        Entitlement(
            EntitlementId(n),
            Integration(IntegrationId("i"), f"{n % 5}{name}", "postgresql"),
            Resource(ResourceId(n), "table", name, f"{path}{n}", name, risk=n % 10 + 1),
            Permission(permission, risk=1),
        )
        for n in range(count)
    ]


@st.composite
def _requests(
    draw: st.DrawFn,
    plan: AccessFlow,
    entitlements: Mapping[EntitlementId, Entitlement],
    anybody: st.SearchStrategy[PersonId],
    crowd: list[PersonId],
) -> AccessRequest:
    seats = st.builds(
        Seat, st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.integers(0, 4))
    )
    settled = st.builds(Settled, anybody, st.just(NOW), nasty(124))
    note = draw(nasty(500))
    grants = tuple(
        Grant(GrantId(n), e, AccountId(1), draw(st.sampled_from(GrantState)), note=note)
        for n, e in enumerate([*entitlements, EntitlementId(999)][: max(1, len(entitlements))])
    )
    why = draw(nasty(300))
    asks = [
        *draw(st.lists(st.builds(Ask, anybody, seats, nasty(300), st.booleans()), max_size=6)),
        *(Ask(p, Seat(0), why) for p in crowd),
    ]
    approvals = st.builds(
        Approval,
        anybody,
        st.frozensets(seats, max_size=3),
        st.just(NOW),
        nasty(124),
        st.sampled_from([None, 5 * MINUTE]),
    )
    extension = plan.revision.extension
    return request(
        plan,
        id=RequestId(draw(st.integers(1, 2**40))),
        requestor=draw(anybody),
        grantee=draw(anybody),
        state=draw(st.sampled_from(State)),
        duration=draw(st.sampled_from([None, HOUR, timedelta(days=364, hours=23, minutes=59)])),
        justification=draw(nasty(1000)),
        grants=grants,
        extensions_allowed=extension.times if extension else 0,
        extensions_used=draw(st.integers(0, 2)),
        pending_since=NOW,
        tiers_asked=draw(st.integers(0, 5)),
        asks=tuple(asks),
        approvals=tuple(draw(st.lists(approvals, max_size=10))),
        decided=draw(st.one_of(st.none(), settled)),
        ends_at=draw(st.sampled_from([None, NOW + HOUR])),
        end_before=draw(st.sampled_from([None, NOW])),
        ending=draw(st.sampled_from([None, State.EXPIRED, State.RETURNED])),
        ended=draw(st.one_of(st.none(), settled)),
        offers_made=draw(st.integers(0, 2)),
    )


SECRET = Secret("s3cret`<&>")
