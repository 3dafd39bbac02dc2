"""What people see. The first part reads like the product; the second proves that nothing that
anybody could type, and no request however large, leaves Slack's limits or pings anybody.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.sandbox.blocks import judge_blocks, judge_options, judge_view, texts, view_is_too_large
from bot.views import ids
from bot.views.cards import alarm, approval_card, card, ended_card, notice, offer_card, request_card
from bot.views.credentials import credentials_modal, loading_modal, notice_modal, saved_modal
from bot.views.decide_modals import approve_modal, reject_modal
from bot.views.lists import help_text, my_access, refusal, tasks, unknown_command
from bot.views.request_modal import (
    block_of,
    duration_block,
    nothing_requestable,
    permission_block,
    request_modal,
    resource_options,
)
from bot.views.text import (
    cut,
    cut_front,
    escape,
    in_a_row,
    mention,
    plain,
    prose,
    quote,
    refusal_in_plain_text,
    size,
    when,
)
from bot.views.values import Block, Credentials, Form, Message, Preview, Scene, View
from engine import lifecycle
from engine.commands import Approve, Extend, Observe, Reject, Return
from engine.connectors.port import Secret
from engine.directory import PersonId
from engine.flow import Approval, Escalation, Join
from engine.inventory import EntitlementId, ResourceId
from engine.outcome import Card, Code, Refusal
from engine.request import OPERATOR, SYSTEM, AccountId, GrantState, State
from tests.support.builders import (
    ABSENT,
    ANN,
    BEN,
    BOB,
    CAT,
    DAN,
    DBAS,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    REFUSED,
    SECURITY,
    approvers,
    begun,
    company,
    entitlement,
    flow,
    life,
    members_of,
    person,
)
from tests.support.scenes import SECRET, buttons, nasty, read, scenes, seen

BOTH = flow(approval=Approval((DBAS, SECURITY), Join.ALL_OF))
ESCALATING = flow(escalation=Escalation(15 * MINUTE, (SECURITY,)))


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["<!channel>", "<@UBEN>", "<https://evil.example|bank.example>"])
def test_markup_of_people_is_dead_text(text):
    assert "<" not in escape(text)
    assert "<" not in prose(text)


def test_escaped_text_reads_as_it_was_typed():
    assert escape("a < b && c :tada:") == "a &lt; b &amp;&amp; c :tada:"


def test_bare_addresses_become_links_that_show_where_they_lead():
    said = prose("see https://jira.example/INC-42?a=1&b=2 first")

    assert said == "see <https://jira.example/INC-42?a=1&amp;b=2> first"


def test_what_cannot_be_shown_is_left_out():
    """A right-to-left override would let a name read as another."""
    assert escape("a\x00b\u202ec\ud800d") == "abcd"


def test_cutting_never_splits_an_entity():
    assert cut("x" * 10 + "&amp;" * 10, 24) == "x" * 10 + "&amp;… more"


def test_cutting_never_splits_a_link():
    assert cut("see <https://a.example/very/long/way>", 30) == "see… more"


def test_of_a_long_path_the_end_stays():
    assert cut_front("warehouse/eu/orders", 10) == "…eu/orders"


def test_every_line_of_a_quote_is_quoted():
    assert quote("one\r\n\r\ntwo\u2028three", 100) == "> one\n> two\n> three"


def test_a_quote_counts_its_own_marks():
    assert size(quote("x\n" * 500, 200)) <= 200


def test_a_moment_is_shown_in_the_readers_zone():
    noon_in_berlin = datetime(2026, 3, 2, 12, tzinfo=timezone(HOUR))

    said = when(noon_in_berlin)

    assert said == "<!date^1772449200^{date_short_pretty} at {time}|2026-03-02 11:00 UTC>"


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (BEN, "<@UBEN>"),
        (PersonId("zoe"), "Zoe &lt;!here&gt;"),
        (ANN, "you"),
        (SYSTEM, "Latchkey"),
        (OPERATOR, "an operator"),
        (PersonId("nobody"), "somebody"),
    ],
)
def test_people_are_named_so_that_the_reader_knows_them(who, said):
    directory = company(person("zoe", name="Zoe <!here>", slack=None))

    assert mention(who, directory, viewer=ANN) == said


def test_lists_are_joined_as_people_do():
    assert in_a_row([]) == ""
    assert in_a_row(["a"]) == "a"
    assert in_a_row(["a", "b", "c"]) == "a, b and c"
    assert in_a_row(list("abcdefg")) == "a, b, c, d, e and 2 more"


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (Refusal(Code.NOT_YOURS, "Not yours."), "Not yours."),
        (Refusal(Code.SETTLED, "Ben approved this request"), "Ben approved this request."),
        (Refusal(Code.SETTLED, "It ends", NOW), f"It ends {when(NOW)}."),
        (Refusal(Code.ALREADY_APPROVED, "Done.", NOW), f"Done. ({when(NOW)})"),
        (Refusal(Code.SETTLED, "<!here> did it"), "&lt;!here&gt; did it."),
    ],
)
def test_refusals_are_whole_sentences(refused, said):
    assert refusal(refused) == said


def test_a_refusal_at_a_field_has_no_markup():
    assert refusal_in_plain_text(Refusal(Code.SETTLED, "It ends", NOW)) == (
        "It ends 2026-03-02 09:00 UTC."
    )


# --- the requestor's card ------------------------------------------------------------------------


def test_waiting_request_says_who_was_asked_and_what_comes_next():
    drawn = request_card(seen(begun(ESCALATING), ANN))

    assert read(drawn).splitlines() == [
        "⏳ Waiting for approval",
        "read on orders/t1",
        "System",
        "Orders",
        "How long",
        "1 h, extendable to 2 h",
        "Why",
        "> INC-42",
        "Who was asked",
        "• DBAs: @Ben and @Cat",
        "If nobody decides by Mar 2, 2026 at 09:15, Security will be asked too. "
        "It lapses Mar 3, 2026 at 09:00.",
        "Cancel request",
        "AX-KRXN · Read orders · asked by you Mar 2, 2026 at 09:00",
    ]
    assert drawn.text == "⏳ Waiting for approval: `read` on `orders/t1`"


def test_half_approved_request_says_what_is_still_needed():
    half = begun(BOTH)
    half.do(Approve(BEN, "Fine by me."))

    text = read(request_card(seen(half, ANN)))

    assert "👍 @Ben approved: Fine by me." in text
    assert "Still needed: Security." in text


def test_active_request_can_be_extended_returned_and_used():
    drawn = request_card(seen(life(State.ACTIVE), ANN, has_login=True))

    assert "🔓 Access is active" in read(drawn)
    assert "Until\nMar 2, 2026 at 10:00" in read(drawn)
    assert "Approved by @Ben" in read(drawn)
    found = buttons(drawn)
    assert list(found) == ["Show credentials", "Extend (+30 min, 2 left)", "Return now"]
    assert found["Extend (+30 min, 2 left)"]["value"] == "1/1"
    assert found["Return now"]["style"] == "danger"
    assert "confirm" in found["Return now"]


def test_second_extension_has_its_own_number():
    running = life(State.ACTIVE)
    running.do(Extend(ANN, 1))

    assert buttons(request_card(seen(running, ANN)))["Extend (+30 min, 1 left)"]["value"] == "1/2"


@pytest.mark.parametrize(
    "plan", [flow(active=False), flow(deleted=True)], ids=["switched off", "deleted"]
)
def test_a_closed_flow_offers_no_extension(plan):
    running = seen(life(State.ACTIVE), ANN)

    assert list(buttons(request_card(replace(running, flow=plan)))) == ["Return now"]


def test_only_the_grantee_may_see_credentials():
    for_bob = life(State.ACTIVE, None)
    for_bob.request = for_bob.request.with_(grantee=BOB)

    assert "Show credentials" not in buttons(request_card(seen(for_bob, ANN, has_login=True)))
    assert "Show credentials" in buttons(request_card(seen(for_bob, BOB, has_login=True)))
    assert "For\n@Bob" in read(request_card(seen(for_bob, ANN)))
    assert "For\nyou" in read(request_card(seen(for_bob, BOB)))


def test_a_grantee_declines_what_others_asked_for_them():
    for_bob = begun()
    for_bob.request = for_bob.request.with_(grantee=BOB)

    assert list(buttons(request_card(seen(for_bob, BOB)))) == ["Decline"]


def test_what_was_refused_is_marked_and_stands_first():
    partly = life(State.GRANTING, None, 1, 2)
    partly.attempt()
    partly.see(HELD, REFUSED)

    lines = read(request_card(seen(partly, ANN))).splitlines()

    assert lines[1:3] == [
        "• read on orders/t2  ⚠️ not given: The table was dropped",
        "• read on orders/t1",
    ]


def test_what_is_still_held_is_said():
    overlapping = life(State.ACTIVE)
    overlapping.know(held_elsewhere={EntitlementId(1): "AX-0TH3"})
    overlapping.do(Return(ANN))

    assert "read on orders/t1  📌 still held under AX-0TH3" in read(
        ended_card(seen(overlapping, ANN))
    )


def test_extension_that_the_system_has_not_taken_is_not_promised():
    running = life(State.ACTIVE)
    running.do(Extend(ANN, 1))

    assert "Mar 2, 2026 at 10:30 (the system is being told)" in read(
        request_card(seen(running, ANN))
    )


@pytest.mark.parametrize(
    ("state", "head", "said", "offered"),
    [
        (State.PENDING_MFA, "🔐 Waiting for verification", "you must verify", "Cancel request"),
        (State.GRANTING, "⚙️ Approved, being set up", "Approved by @Ben", "Return now"),
        (State.REVOKING, "🔄 Access is being taken away", "Returned by you", None),
        (State.CANCELLED, "🚫 Request cancelled", "Cancelled by you", "Request again"),
        (State.TIMED_OUT, "⌛ Request timed out", "nobody decided in time", "Request again"),
        (State.REJECTED, "❌ Request rejected", "Rejected by @Ben", "Request again"),
        (State.FAILED, "⚠️ Access could not be given", "all was refused", "Request again"),
        (State.EXPIRED, "🔒 Access has ended", "Its time was up", "Request again"),
        (State.RETURNED, "↩️ Access was returned", "Returned by you", "Request again"),
        (State.REVOKED, "⛔ Access was revoked", "> Enough.", "Request again"),
    ],
    ids=str,
)
def test_every_state_says_what_happened_and_what_can_be_done(state, head, said, offered):
    drawn = request_card(seen(life(state), ANN))

    assert read(drawn).startswith(head)
    assert said in read(drawn)
    assert list(buttons(drawn)) == ([offered] if offered else [])
