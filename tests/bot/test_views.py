"""What people see. The first part reads like the product; the second proves that nothing that
anybody could type, and no request however large, leaves Slack's limits or pings anybody.
"""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.listeners.access import WORDS
from bot.sandbox.blocks import judge_blocks, judge_options, judge_view, texts, view_is_too_large
from bot.views import ids
from bot.views.asking import answer_modal, question_modal, questions_modal
from bot.views.background import more_modal
from bot.views.cards import alarm, approval_card, card, line, notice, request_card
from bot.views.credentials import credentials_modal, notice_modal, saved_modal
from bot.views.decide_modals import approve_modal, is_whole, reject_modal
from bot.views.home import home
from bot.views.lists import help_text, my_access, refusal, tasks, unknown_command
from bot.views.request_modal import (
    block_of,
    duration_block,
    people_options,
    permission_block,
    request_modal,
    resource_options,
)
from bot.views.return_modal import return_modal
from bot.views.text import (
    cut,
    cut_front,
    escape,
    in_a_row,
    mention,
    plain,
    prose,
    refusal_in_plain_text,
    size,
    when,
)
from bot.views.values import Asked, Block, Credentials, Form, Message, Preview, Scene, Start, View
from engine.alarms import well_again
from engine.background import Background, Holding, Share
from engine.commands import (
    Answer,
    Approve,
    Cancel,
    Change,
    Extend,
    PutQuestion,
    Reject,
    Return,
    Withdraw,
)
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonId
from engine.flow import (
    ApprovalRule,
    ApproverGroup,
    Escalation,
    Extension,
    FlowId,
    Quorum,
    RequestFor,
    unreadable,
)
from engine.inventory import EntitlementId, ResourceId
from engine.life.asking import MAX_QUESTIONS
from engine.outcome import Card, Code, News, Refusal
from engine.port import Outcome, Presence, Secret
from engine.request import (
    OPERATOR,
    SYSTEM,
    AccountId,
    Ask,
    GrantId,
    Question,
    RequestId,
    Seat,
    Settled,
    State,
)
from engine.request import Approval as GivenApproval
from engine.targets import ObjectId
from tests.support.builders import (
    ABSENT,
    AHEAD,
    ANN,
    BEN,
    BOB,
    CAT,
    DAN,
    DBAS,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    REFUSED,
    SECURITY,
    Life,
    approvers,
    begun,
    company,
    entitlement,
    flow,
    life,
    person,
)
from tests.support.scenes import SECRET, buttons, in_a_channel, mrkdwn_in, nasty, read, scenes, seen

BOTH = flow(approval=ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF))
HELP = [(word.name, word.does) for word in WORDS.values()]
ESCALATING = flow(escalation=Escalation(15 * MINUTE, (SECURITY,)))


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["<!channel>", "<@UBEN>", "<https://evil.example|bank.example>"])
def test_markup_of_people_is_dead_text(text):
    assert "<" not in escape(text)
    assert "<" not in prose(text)


def test_escaped_text_reads_as_it_was_typed():
    assert escape("a < b && c") == "a &lt; b &amp;&amp; c"


def test_bare_addresses_become_links_that_show_where_they_lead():
    said = prose("see https://jira.example/INC-42?a=1&b=2 first")

    assert said == "see <https://jira.example/INC-42?a=1&amp;b=2> first"


def test_what_cannot_be_seen_is_written_out():
    """A right-to-left override would let a name read as another."""
    assert escape("a\x00b\u202ec\ud800d") == r"a\u0000b\u202ec\ud800d"
    assert plain("a\u202eb", 20) == r"a\u202eb"


def test_cutting_never_splits_an_entity():
    assert cut("x" * 10 + "&amp;" * 10, 24) == "x" * 10 + "&amp;… more"


def test_cutting_never_splits_a_link():
    assert cut("see <https://a.example/very/long/way>", 30) == "see… more"


def test_of_a_long_path_the_end_stays():
    assert cut_front("warehouse/eu/orders", 10) == "…eu/orders"


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
        (
            "If nobody decides by Mar 2, 2026 at 09:15, Security will be asked too. "
            "It lapses Mar 3, 2026 at 09:00."
        ),
        "Nudge",
        "Change",
        "Cancel request",
        "AX-KRXN · Read orders · asked by you Mar 2, 2026 at 09:00",
    ]
    assert drawn.text == "⏳ Waiting for approval: `read` on `orders/t1`"


def test_half_approved_request_says_what_is_still_needed():
    half = begun(BOTH)
    half.do(Approve(BEN, "Fine by me."))

    text = read(request_card(seen(half, ANN)))

    assert "👍 @Ben approved\n> Fine by me.\nStill needed: Security." in text


def test_active_request_can_be_extended_returned_and_used():
    drawn = request_card(seen(life(State.ACTIVE), ANN, has_login=True))

    assert "🔓 Access is active" in read(drawn)
    assert read(drawn).count("Mar 2, 2026 at 10:00") == 1  # the end stands once
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

    assert list(buttons(request_card(replace(running, flow=plan)))) == [
        "Ask for more time",
        "Return now",
    ]


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

    assert list(buttons(request_card(seen(for_bob, BOB)))) == ["Nudge", "Decline"]


def test_what_was_refused_is_marked_and_stands_first():
    partly = life(State.GRANTING, None, 1, 2)
    partly.attempt()
    partly.see(HELD, REFUSED)

    lines = read(request_card(seen(partly, ANN))).splitlines()
    assert lines[1] == "• read on orders/t2  ⚠️ being undone: The table was dropped"
    partly.see(HELD, ABSENT)

    lines = read(request_card(seen(partly, ANN))).splitlines()
    assert lines[1:3] == [
        "• read on orders/t2  ⚠️ not given: The table was dropped",
        "• read on orders/t1",
    ]


LEFT_OUT = "spatial_ref_sys, which belongs to <!channel>"


def partly_given() -> Life:
    made = life(State.GRANTING)
    made.attempt()
    made.see(Outcome(Presence.HELD, left_out=LEFT_OUT))
    return made


@pytest.mark.parametrize(("draw", "viewer"), [(request_card, ANN), (approval_card, BEN)])
def test_what_was_left_out_is_named_on_every_card(draw, viewer):
    """A schema that was given but for one table was called refused, or whole."""
    drawn = draw(seen(partly_given(), viewer))

    assert f"read on orders/t1  ⚠️ all but {LEFT_OUT}" in read(drawn)
    assert "<!channel>" not in str(drawn.blocks)


def test_what_those_who_get_it_cannot_use_is_said_where_it_is_decided():
    """It was approved, given, and of no use: row security hid every row."""
    caveat = "Row security hides rows from <!here>."
    made = begun()
    made.know(entitlements={1: entitlement(caveat=caveat)})

    for drawn in (approval_card(seen(made, BEN)), approve_modal(seen(made, BEN))):
        assert f"⚠️ orders/t1: {caveat}" in read(drawn)
        assert "<!here>" not in str(drawn)
    form = replace(FILLED, preview=replace(FILLED.preview, caveat=caveat))
    assert f"⚠️ {caveat}" in read(request_modal(form))


def test_what_was_begun_of_a_refused_request_is_not_called_not_given():
    """It said “not given” while ten tables could be read."""
    made = life(State.GRANTING)
    made.attempt()
    made.see(REFUSED)

    card = read(request_card(seen(made, ANN)))
    assert card.startswith("🔄 What was begun is being undone")
    assert "⚠️ being undone: The table was dropped" in card
    assert "not given" not in card
    made.see(ABSENT)

    card = read(request_card(seen(made, ANN)))
    assert card.startswith("⚠️ Access could not be given")
    assert "⚠️ not given: The table was dropped" in card


def test_what_waits_is_shown_under_the_name_that_was_asked_for():
    made = begun()
    named = [replace(g, named="orders/old name") for g in made.request.grants]
    made.request = made.request.with_(grants=tuple(named))

    assert "read on orders/old name" in read(approval_card(seen(made, BEN)))


def test_what_is_still_held_is_said():
    overlapping = life(State.ACTIVE)
    overlapping.know(held_elsewhere={GrantId(0): "AX-0TH3"})
    overlapping.do(Return(ANN))

    assert "read on orders/t1  📌 still held under AX-0TH3" in read(
        request_card(seen(overlapping, ANN))
    )


def test_extension_that_the_system_has_not_taken_is_not_promised():
    running = life(State.ACTIVE)
    running.do(Extend(ANN, 1))

    assert "The extension until Mar 2, 2026 at 10:30 is asked for, and not yet sure" in read(
        request_card(seen(running, ANN))
    )


def test_what_starts_later_says_when_to_everybody():
    waits = life(State.PENDING, starts_at=NOW + AHEAD)
    for drawn in (request_card(seen(waits, ANN)), approval_card(seen(waits, BEN))):
        start = "Start\nMar 2, 2026 at 11:00, or as soon as it is approved after that"
        assert start in read(drawn)
    assert "starts Mar 2, 2026 at 11:00" in read(tasks([seen(waits, BEN)]))

    made = life(State.SCHEDULED)
    assert "It starts Mar 2, 2026 at 11:00, and is set up then." in read(
        request_card(seen(made, ANN))
    )
    assert ". It starts <!date^" in request_card(seen(made, ANN)).text
    assert "Start\nMar 2, 2026 at 11:00" in read(approval_card(seen(made, BEN)))
    assert "Approved · starts Mar 2, 2026 at 11:00 · 1 h" in read(my_access([seen(made, ANN)]))


def test_what_has_begun_says_no_more_when_it_was_to_start():
    made = life(State.SCHEDULED)
    made.tick(AHEAD)

    for drawn in (request_card(seen(made, ANN)), approval_card(seen(made, BEN))):
        assert "Start\n" not in read(drawn)


def test_until_the_start_who_approved_can_take_it_back_and_nobody_else():
    made = life(State.SCHEDULED)

    assert list(buttons(approval_card(seen(made, BEN)))) == ["Withdraw approval"]
    assert not buttons(approval_card(seen(made, CAT)))
    made.tick(AHEAD)
    assert not buttons(approval_card(seen(made, BEN)))


def test_a_shorter_time_is_said_before_the_start():
    made = life(State.PENDING, starts_at=NOW + AHEAD)
    made.do(Approve(BEN, "", 30 * MINUTE))

    assert "How long\n30 min\n" in read(request_card(seen(made, ANN))) + "\n"


def test_what_starts_soon_says_so():
    made = life(State.SCHEDULED)
    made.tick(AHEAD - 15 * MINUTE)

    assert read(request_card(seen(made, ANN))).startswith("⏰ Access starts soon")
    assert read(line(seen(made, ANN), News.REMINDED)).startswith("⏰ The start was announced")
    made.do(Withdraw(BEN))
    assert read(line(seen(made, ANN), News.REOPENED)).startswith("↩️ An approval was taken back")


@pytest.mark.parametrize(
    ("state", "head", "said", "offered"),
    [
        (
            State.PENDING_MFA,
            "🔐 Waiting for verification",
            "you must verify",
            "Change, Cancel request",
        ),
        (
            State.SCHEDULED,
            "📅 Approved, starts later",
            "starts Mar 2, 2026",
            "Change, Cancel request",
        ),
        (State.GRANTING, "⚙️ Approved, being set up", "Approved by @Ben", "Return now"),
        (State.REVOKING, "🔄 Access is being taken away", "Returned by you", ""),
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
    assert ", ".join(buttons(drawn)) == offered


def test_what_was_changed_says_to_what_and_what_is_there_instead_says_so():
    made = life(State.PENDING, requestor=EVE)
    assert "Change" in buttons(request_card(seen(made, EVE)))
    assert "Change" not in buttons(request_card(seen(made, ANN)))

    made.do(Change(EVE, RequestId(2)))

    assert not buttons(request_card(seen(made, EVE)))  # the new one has them
    assert "@Eve asked for access" in read(approval_card(seen(made, BEN)))
    for drawn in (request_card(seen(made, EVE)), approval_card(seen(made, BEN))):
        assert read(drawn).startswith("🔁 Request changed")
        assert "Changed to AX-7HVA by" in read(drawn)
    assert not buttons(approval_card(seen(made, BEN)))
    late = made.do(Approve(BEN))
    assert late.sentence == "Eve changed this request to AX-7HVA"
    other = begun(id=RequestId(2), instead_of=RequestId(1))
    assert "instead of AX-KRXN" in read(approval_card(seen(other, BEN)))


# --- the approver's card -------------------------------------------------------------------------


def test_approver_sees_all_that_a_decision_needs():
    drawn = approval_card(seen(begun(), BEN))

    assert read(drawn).splitlines() == [
        "🔔 Your approval is needed",
        "@Ann asks for access:",
        "read on orders/t1",
        "System",
        "Orders",
        "How long",
        "1 h, extendable to 2 h",
        "Risk",
        "🟡 Medium",
        "Why you",
        "DBAs",
        "Why",
        "> INC-42",
        "Who was asked",
        "• DBAs: you and @Cat",
        "It lapses Mar 3, 2026 at 09:00.",
        "Approve",
        "Reject",
        "Ask a question",
        "More",
        "AX-KRXN · Read orders · asked by @Ann Mar 2, 2026 at 09:00",
    ]
    assert buttons(drawn)["Approve"]["style"] == "primary"
    assert buttons(drawn)["Reject"]["style"] == "danger"
    assert drawn.text == (
        "🔔 Your approval is needed. <@UANN> asks for access: `read` on `orders/t1`"
    )


def test_approver_sees_what_is_missing_before_anybody_has_approved():
    text = read(approval_card(seen(begun(BOTH), BEN)))

    assert "Still needed: DBAs and Security.\nIt lapses" in text


KNOWN = Background(
    last_had=NOW,
    holds=(Holding(entitlement(2), NOW + HOUR, asked=False),),
    shares=(Share("Team <!here>", 1, 9),),
    past=(life(State.REJECTED).request, life(State.EXPIRED).request),
)


def test_approver_has_one_line_of_what_helps_to_decide():
    scene = replace(seen(begun(), BEN), background=KNOWN)

    assert (
        "@Ann last had it Mar 2, 2026 at 09:00 · "
        "holds read on orders/t2 until Mar 2, 2026 at 10:00 · 1 of 9 in Team <!here> has it"
    ) in read(approval_card(scene))
    assert "last had it" not in read(approval_card(seen(begun(), BEN)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"last_had": None}, "has not had it before"),
        ({"holds": ()}, "holds nothing there"),
        (
            {"holds": (Holding(entitlement(1), None, asked=True), *KNOWN.holds)},
            "@Ann holds read on orders/t1 without end and 1 more · ",
        ),
        ({"shares": (Share("Payments", 0, 9),)}, "none of 9 in Payments has it"),
        ({"shares": (Share("Payments", 2, 9),)}, "2 of 9 in Payments have it"),
    ],
)
def test_facts_are_said_as_they_are(changed, said):
    scene = replace(seen(begun(), BEN), background=replace(KNOWN, **changed))

    assert said in read(approval_card(scene))


def test_more_says_the_rest():
    scene = seen(begun(), BEN)
    reaches = {"schemas": ("2",), "tables": ("1",), "rows": ("50000",)}
    thing = entitlement(1, context=reaches)
    scene = replace(scene, background=KNOWN, entitlements={thing.id: thing})

    text = read(more_modal(scene))

    assert "Their last requests of it" in text
    assert "for 1 h: was rejected" in text
    assert "for 1 h: ran to its end" in text
    assert "What they hold on Orders\n• read on orders/t2 until" in text
    assert "1 of 9 in Team <!here> has it" in text
    assert "read on orders/t1: 2 schemas, 1 table, about 50,000 rows" in text


@pytest.mark.parametrize(
    ("risk", "level"),
    [(1, "🟢 Low"), (4, "🟡 Medium"), (6, "🟡 Medium"), (9, "🟠 High"), (10, "🔴 Critical")],
)
def test_risk_is_said_in_words(risk, level):
    risky = replace(seen(begun(), BEN), entitlements={EntitlementId(1): entitlement(1, risk=risk)})
    harmless = replace(risky.entitlements[EntitlementId(1)].permission, risk=1)
    known = replace(risky.entitlements[EntitlementId(1)], permission=harmless)

    assert level in read(approval_card(replace(risky, entitlements={known.id: known})))


def test_who_approved_half_can_withdraw_or_reject_and_sees_what_is_missing():
    half = begun(BOTH)
    half.do(Approve(BEN))

    mine, other = approval_card(seen(half, BEN)), approval_card(seen(half, DAN))

    assert "👍 You approved this; others still have to" in read(mine)
    assert "Still needed: Security." in read(mine)
    assert list(buttons(mine)) == ["Withdraw approval", "Reject", "Ask a question"]
    assert list(buttons(other)) == ["Approve", "Reject", "Ask a question", "More"]
    assert "👍 @Ben approved" in read(other)


def test_after_an_escalation_the_tier_is_named_that_may_decide_as_well():
    """The card went on saying that the group's approval was missing, when anybody of the tier's
    was enough.
    """
    rule = ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)
    leads = approvers(EVE, name="Leads")
    waits = begun(flow(approval=rule, escalation=Escalation(15 * MINUTE, (leads,))))
    assert "Still needed: DBAs and Security." in read(request_card(seen(waits, ANN)))

    waits.tick(15 * MINUTE)

    for viewer in (ANN, BEN, EVE):
        draw = request_card if viewer == ANN else approval_card
        said = read(draw(seen(waits, viewer)))
        assert "Still needed: DBAs and Security, or else anybody of Leads." in said


def test_cards_of_a_request_whose_flow_cannot_be_read_any_more_are_drawn():
    """It had been approved for a group, and was asked of a tier, that are not known any more: no
    card of it could be drawn.
    """
    rule = ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)
    half = begun(flow(approval=rule, escalation=Escalation(15 * MINUTE, (approvers(EVE),))))
    half.tick(15 * MINUTE)
    half.do(Approve(DAN))
    scene = replace(seen(half, DAN), revision=unreadable("Read orders"))

    assert list(buttons(approval_card(scene))) == ["Withdraw approval"]
    assert "cannot be read" in read(request_card(replace(scene, viewer=ANN)))


def test_who_approved_and_may_decide_no_more_can_take_that_back_alone():
    """They were offered a rejection, and a question, that both were refused."""
    half = begun(flow(approval=ApprovalRule((DBAS, SECURITY), Quorum.ALL_OF)))
    half.do(Approve(BEN))
    half.know(person("ben"))
    half.tick()

    mine = approval_card(seen(half, BEN))

    assert list(buttons(mine)) == ["Withdraw approval"]
    assert half.do(Reject(BEN)).code is Code.NOT_APPROVER
    half.do(Withdraw(BEN))
    assert half.request.approvals == ()


def test_owners_read_what_they_are_asked_for_and_everybody_whose_owner_is_needed():
    owners = ApproverGroup("Owners", ConditionGroup((Condition("owner", Comparator.IS, ()),)))
    asked = begun(flow(approval=ApprovalRule((owners,))), 1, 2)
    tagged = {n: entitlement(n, tags={"owner": (who,)}) for n, who in ((1, "ben"), (2, "dan"))}
    asked.know(entitlements={e.id: e for e in tagged.values()})
    asked.tick()

    assert "Why you\nthe owner of orders/t2" in read(approval_card(seen(asked, DAN)))
    mine = read(request_card(seen(asked, ANN)))
    assert "• the owner of orders/t1: @Ben\n• the owner of orders/t2: @Dan" in mine
    asked.do(Approve(BEN))
    for draw, viewer in ((approval_card, DAN), (request_card, ANN)):
        assert "Still needed: the owner of orders/t2." in read(draw(seen(asked, viewer)))


def test_who_approved_for_a_group_may_approve_again_for_the_tier():
    """An escalation tier's approval counts for more than the group's that was given before."""
    plan = flow(
        approval=ApprovalRule((approvers(BEN), approvers(DAN)), Quorum.ALL_OF),
        escalation=Escalation(15 * MINUTE, (approvers(BEN, name="Leads"),)),
    )
    asked = begun(plan)
    asked.do(Approve(BEN))
    assert "Approve" not in buttons(approval_card(seen(asked, BEN)))

    asked.tick(15 * MINUTE)

    may = ["Approve", "Reject", "Ask a question", "More"]
    assert list(buttons(approval_card(seen(asked, BEN)))) == may


def test_who_no_longer_matches_is_told_and_has_no_buttons():
    asked = begun()
    asked.know(person("ben"))
    asked.tick(MINUTE)

    drawn = approval_card(seen(asked, BEN))

    assert "You are no longer among those who may decide" in read(drawn)
    assert not buttons(drawn)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            Approve(CAT, "For the audit."),
            "Approved by @Cat Mar 2, 2026 at 09:00.\n> For the audit.",
        ),
        (Reject(CAT, "Ask Dan."), "Rejected by @Cat Mar 2, 2026 at 09:00.\n> Ask Dan."),
        (Approve(CAT, duration=30 * MINUTE), "Approved for 30 min by @Cat"),
    ],
    ids=["approved", "rejected", "shortened"],
)
def test_after_the_decision_every_copy_shows_it_without_buttons(command, said):
    decided = begun()
    decided.do(command)

    for viewer in (BEN, ANN):
        draw = approval_card if viewer == BEN else request_card
        assert said in read(draw(seen(decided, viewer)))
    assert not buttons(approval_card(seen(decided, BEN)))


# --- before the end, and after it ----------------------------------------------------------------


def announced(**values):
    running = life(State.ACTIVE, flow(**values))
    running.tick(55 * MINUTE)
    return running


def test_offer_says_what_ends_and_when():
    drawn = request_card(seen(announced(), ANN))

    assert read(drawn).startswith("⏰ Access ends soon\nread on orders/t1\n")
    assert "Your access ends Mar 2, 2026 at 10:00." in read(drawn)
    assert "Your access ends" in drawn.text  # what the notification says
    assert list(buttons(drawn)) == ["Extend (+30 min, 2 left)", "Return now"]


def test_the_last_offer_says_that_there_is_no_more():
    drawn = request_card(seen(announced(extension=None), ANN))

    assert "It cannot be extended." in read(drawn)
    assert list(buttons(drawn)) == ["Ask for more time", "Return now"]


def test_an_offer_that_was_taken_says_until_when_and_what_is_left():
    """“Its card says when it ends now”, it said."""
    running = announced()
    running.do(Extend(ANN, 1))
    asked = read(request_card(seen(running, ANN)))
    running.see(HELD)

    drawn = request_card(seen(running, ANN))

    assert "The extension until Mar 2, 2026 at 10:30 is asked for, and not yet sure" in asked
    assert "the access is sure until Mar 2, 2026 at 10:00" in asked
    assert "Extended until Mar 2, 2026 at 10:30, 1 extension left." in read(drawn)
    assert read(drawn).startswith("🔓 Access is active")


def test_ended_access_can_be_asked_for_again():
    drawn = request_card(seen(life(State.EXPIRED), ANN))

    assert read(drawn).startswith("🔒 Access has ended\nread on orders/t1\n")
    assert buttons(drawn)["Request again"]["value"] == "1"


def test_the_end_that_was_due_is_said_and_when_it_was_confirmed_later():
    """It said when the clock got round to it."""
    running = life(State.ACTIVE)
    running.tick(HOUR + 4 * MINUTE)
    at_once = read(request_card(seen(running, ANN)))
    running.now += 3 * MINUTE
    running.see(ABSENT)

    late = read(request_card(seen(running, ANN)))

    assert "Its time was up Mar 2, 2026 at 10:00." in at_once
    assert "confirmed Mar 2, 2026 at" not in at_once
    assert "Its time was up Mar 2, 2026 at 10:00.\n" in late
    assert "That it is gone was confirmed Mar 2, 2026 at 10:07." in late


def test_an_end_that_is_confirmed_within_the_minute_says_one_time():
    running = life(State.ACTIVE)
    running.tick(HOUR)
    running.see(ABSENT)

    assert "confirmed Mar" not in read(request_card(seen(running, ANN)))


def test_what_was_asked_last_stands_on_every_card_and_the_rest_is_a_click_away():
    made = life(State.PENDING, requestor=EVE)
    made.do(PutQuestion(BEN, "Why\n*now*?"))
    made.do(PutQuestion(CAT, "For whom?"))
    cards = request_card(seen(made, EVE)), request_card(seen(made, ANN))
    approvals = approval_card(seen(made, BEN)), approval_card(seen(made, CAT))

    for drawn in (*cards, *approvals):
        assert "> For whom?" in read(drawn)
        assert "now" not in read(drawn)
        assert "Questions (2)" in buttons(drawn)
    assert read(cards[0]).startswith("❓ You were asked a question")
    assert buttons(cards[0])["Answer"]["value"] == "1/2"
    assert not any("Answer" in buttons(drawn) for drawn in (cards[1], *approvals))
    listed = questions_modal(seen(made, EVE))
    assert "> Why\n> *now*?" in read(listed)
    assert read(listed).index("For whom?") < read(listed).index("Why")
    assert "Answer" not in buttons(questions_modal(seen(made, BEN)))

    made.do(Answer(EVE, 2, "For INC-42."))

    assert "> For INC-42." in read(request_card(seen(made, EVE)))
    assert "@Eve answered" in read(approval_card(seen(made, BEN)))
    assert buttons(request_card(seen(made, EVE)))["Answer"]["value"] == "1/1"
    assert "*now*?" in read(answer_modal(seen(made, EVE), 1))

    made.do(Answer(EVE, 1, "It is broken now."))
    assert read(request_card(seen(made, EVE))).startswith("⏳ Waiting for approval")
    made.do(Approve(BEN))

    assert "> For INC-42." in read(approval_card(seen(made, BEN)))
    assert not buttons(approval_card(seen(made, BEN)))
    assert list(buttons(request_card(seen(made, EVE)))) == ["Return now", "Questions (2)"]


def test_while_an_answer_is_waited_for_every_card_says_so_and_when_it_lapses():
    made = life(State.PENDING, requestor=EVE)
    form = question_modal(seen(made, BEN))
    assert "Wait for the answer" in read(form)

    made.do(PutQuestion(BEN, "Why?", first=True))

    for drawn in (request_card(seen(made, EVE)), approval_card(seen(made, CAT))):
        assert "It waits for the answer" in read(drawn)
        assert read(drawn).count("Without an answer it lapses Mar 4, 2026 at 09:00") == 1
        assert read(drawn).count("Mar 4, 2026 at 09:00") == 1  # the lapse stands once
    assert "Wait for the answer" not in read(question_modal(seen(made, CAT)))

    made.do(Answer(EVE, 1, "So."), HOUR)

    for drawn in (request_card(seen(made, EVE)), approval_card(seen(made, CAT))):
        assert "It waits for the answer" not in read(drawn)
    assert "It lapses Mar 3, 2026 at 10:00" in read(request_card(seen(made, EVE)))
    assert "Wait for the answer" not in read(question_modal(seen(made, CAT)))


def test_who_may_decide_their_own_request_does_not_ask_themselves():
    own = life(State.PENDING, flow(self_approval=True), requestor=BEN, grantee=BEN)

    assert "Ask a question" not in buttons(request_card(seen(own, BEN)))
    assert "Ask a question" in buttons(approval_card(seen(own, CAT)))


@pytest.mark.parametrize("news", [*News, None], ids=str)
def test_what_is_left_of_a_card_is_one_line_without_buttons(news):
    for state in State:
        drawn = line(seen(life(state, requestor=EVE), ANN), news)

        assert not buttons(drawn)
        assert [block["type"] for block in drawn.blocks] == ["context"]
        assert "read on orders/t1" in read(drawn)


def test_what_is_left_of_a_card_says_why_it_had_been_posted():
    running = life(State.ACTIVE)
    lines = {news: read(line(seen(running, ANN), news)) for news in News}

    assert lines[News.REQUESTED].startswith("⏳ You asked · read on orders/t1")
    assert lines[News.NUDGED].startswith("👋 You were nudged to decide")
    assert lines[News.QUESTIONED].startswith("❓ You were asked a question")
    assert lines[News.ANSWERED].startswith("💬 Your question was answered")
    assert lines[News.DECIDED].startswith("✅ The request was approved")
    assert lines[News.ACTIVE].startswith("🔓 Access began")
    assert lines[News.OFFER].startswith("⏰ The end was announced")
    assert lines[News.EXTENDED].startswith("⏩ Access was extended")
    rejected = life(State.REJECTED)
    assert read(line(seen(rejected, ANN), News.DECIDED)).startswith("❌ The request was rejected")


def test_who_may_decide_their_own_request_has_one_card_for_both():
    own = life(State.PENDING, flow(self_approval=True), requestor=BEN, grantee=BEN)

    drawn = request_card(seen(own, BEN))

    may = ["Approve", "Reject", "More", "Nudge", "Change", "Cancel request"]
    assert list(buttons(drawn)) == may


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked("Managers", ["Noor van Dijk"], manager=True), "Noor van Dijk, your manager"),
        (Asked("DBAs", ["Noor"]), "Noor (DBAs)"),
        (Asked("DBAs", ["Ben", "Cat", "Dan"]), "Ben, Cat or Dan (DBAs)"),
        (Asked("DBAs", ["Ben", "Cat", "Dan", "Eve"]), "DBAs (4 people)"),
        (Asked("DBAs", []), "DBAs: nobody at the moment; Ada or Abe decides"),
        (Asked("DBAs", ["Ben", "Cat"], needs=2), "2 of DBAs (Ben and Cat)"),
        (Asked("DBAs", list("abcdef"), needs=2), "2 of DBAs (6 people)"),
        (
            Asked("DBAs", ["Ben"], needs=3),
            "3 of DBAs: only Ben at the moment; Ada or Abe decides too",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_who_will_be_asked_is_named_where_it_is_few(asked, said):
    preview = replace(FILLED.preview, approvers=[[asked]], stand_ins=["Ada", "Abe"])

    assert f"Who approves\n{said}\n" in read(request_modal(replace(FILLED, preview=preview)))


def test_owners_are_named_beside_what_is_theirs():
    those = [
        Asked("the owner of orders", ["Noor"]),
        Asked("the owner of stock", []),
        Asked("the owner of events", ["Ben"]),
    ]
    preview = replace(FILLED.preview, approvers=[those, [Asked("DBAs", ["Cat"])]])

    said = read(request_modal(replace(FILLED, preview=preview)))
    first = "Noor (the owner of orders), the owner of stock: nobody at the moment and 1 more"
    assert f"any of: {first}; Cat (DBAs)" in said


def test_notices_and_alarms_are_their_sentence():
    assert read(notice("AX-1: <!here> is gone.")) == "💬 AX-1: <!here> is gone."
    assert "<!here>" not in notice("<!here>").text
    assert read(alarm("Nobody decided.")) == "🚨 Nobody decided."


def test_an_alarm_of_no_request_is_an_alarm_until_it_is_over():
    """It had the sign of a notice, and nobody hurried."""
    at = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)

    assert read(card(Card.ALARM, None, "It is out of order.")) == "🚨 It is out of order."
    over = read(card(Card.ALARM, None, f"{well_again(at)}It is out of order."))
    assert over.startswith("✅ In order again since 2026-11-29 09:30 UTC.")


@pytest.mark.parametrize("kind", Card, ids=str)
def test_every_kind_of_card_is_drawn(kind):
    assert card(kind, seen(begun(), ANN), "A sentence.").text


# --- the request form ----------------------------------------------------------------------------

FILLED = Form(
    resource=(ResourceId(7), "Orders · orders/t7"),
    permissions=[(EntitlementId(1), "read"), (EntitlementId(2), "read-write")],
    permission=EntitlementId(1),
    prefill="1 h",
    preview=Preview(
        flow="Read orders",
        longest=4 * HOUR,
        extensions=2,
        each=30 * MINUTE,
        approvers=[[Asked("DBA on call", ["Ben", "Cat", "Dan", "Eve"])]],
        join=Quorum.ANY_OF,
        requires_justification=True,
        requires_mfa=False,
        risk=8,
        held=[("AX-KRXN", NOW)],
    ),
)


def block(view: View, action: str) -> Block:
    block_id = block_of(view["blocks"], action)
    return next(b for b in view["blocks"] if b.get("block_id") == block_id)


def test_empty_form_asks_what_is_needed():
    drawn = request_modal(Form(notes=["I did not understand “fnord”."]))

    assert "⚠️ I did not understand “fnord”." in read(drawn)
    assert "Choose what you need, and you will see here who approves it" in read(drawn)
    assert block_of(drawn["blocks"], ids.PERMISSION) is None
    assert block(drawn, ids.RESOURCE)["element"]["min_query_length"] == 0


def test_filled_form_says_what_will_happen():
    text = read(request_modal(FILLED, metadata="1/1"))

    assert "Who approves\nDBA on call (4 people)" in text
    assert "How long\nat most 4 h, extendable 2 × 30 min" in text
    assert "Risk\n🟠 High" in text
    assert "📌 You hold this already, under AX-KRXN, until Mar 2, 2026 at 09:00." in text
    assert "Access flow Read orders" in text


def test_one_flow_is_not_asked_about():
    assert block_of(request_modal(replace(FILLED, flows=[flow()]))["blocks"], ids.FLOW) is None


def test_several_flows_are_told_apart_by_what_they_give():
    several = [
        flow(1, name="Quick look", approval=None, grant_for=30 * MINUTE),
        flow(2, name="Read orders", grant_for=None),
    ]
    drawn = request_modal(replace(FILLED, flows=several, flow=FlowId(2), usual=FlowId(1)))

    element = block(drawn, ids.FLOW)["element"]
    said = [o["description"]["text"] for o in element["options"]]
    assert said == ["at most 30 min, automatic", "no limit, approved by DBAs"]
    assert element["initial_option"]["text"]["text"] == "Read orders"


def test_for_whom_it_is_can_be_chosen_where_it_need_not_be_oneself():
    form = replace(FILLED, others=True, grantee=(BOB, "Bob"))
    unknown = replace(form, grantee=None, resource=None, permissions=[], preview=None)

    drawn = request_modal(form)

    whom = block(drawn, ids.GRANTEE)
    assert whom["dispatch_action"]
    assert whom["element"]["initial_option"]["value"] == BOB
    assert block_of(drawn["blocks"], ids.RESOURCE) == f"{ids.RESOURCE}/{BOB}"
    assert block_of(request_modal(FILLED)["blocks"], ids.GRANTEE) is None
    empty = request_modal(unknown)
    assert "initial_option" not in block(empty, ids.GRANTEE)["element"]
    assert "Choose for whom it is" in read(empty)


@pytest.mark.parametrize(
    ("in_slack", "said"),
    [
        (True, "For\nBob <b>, who is told, and can decline"),
        (False, "For\nBob <b>, who is not in Slack yet"),
    ],
)
def test_the_preview_says_whom_it_is_for(in_slack, said):
    for_bob = replace(FILLED.preview, grantee="Bob <b>", in_slack=in_slack)

    assert said in read(request_modal(replace(FILLED, preview=for_bob)))
    assert "For\n" not in read(request_modal(FILLED))


def test_what_cannot_be_asked_for_now_says_from_when_it_can():
    several = [flow(1, name="Quick look", approval=None), flow(2, name="Read orders")]
    form = replace(
        FILLED,
        later={EntitlementId(2): "from Mon 09:00"},
        flows=several,
        flow=FlowId(1),
        usual=FlowId(2),
        closed={FlowId(1): "from Sun 22:00"},
        preview=replace(FILLED.preview, closed="“Quick look” can be asked for from <Sun> 22:00."),
    )

    drawn = request_modal(form)

    reads, writes = block(drawn, ids.PERMISSION)["element"]["options"]
    assert (reads.get("description"), writes["description"]["text"]) == (None, "from Mon 09:00")
    quick, _ = block(drawn, ids.FLOW)["element"]["options"]
    assert quick["description"]["text"] == "from Sun 22:00, at most 1 h, automatic"
    assert block(drawn, ids.FLOW)["element"]["initial_option"] == quick
    assert "🕘 “Quick look” can be asked for from <Sun> 22:00." in read(drawn)


def test_automatic_flow_says_that_nobody_has_to_approve():
    automatic = replace(FILLED, preview=replace(FILLED.preview, approvers=[]))

    assert "✅ Automatic: nobody needs to approve" in read(request_modal(automatic))


def test_choosing_redraws_the_form():
    drawn = request_modal(FILLED)

    assert block(drawn, ids.RESOURCE)["dispatch_action"]
    assert block(drawn, ids.PERMISSION)["dispatch_action"]
    assert block(drawn, ids.PERMISSION)["element"]["initial_option"]["value"] == "1"


def test_another_prefill_or_resource_leaves_no_stale_input():
    """Slack keeps what stands in a block as long as its id stays."""
    drawn = request_modal(FILLED)

    assert block_of(drawn["blocks"], ids.DURATION) == duration_block("1 h") != duration_block("2 h")
    assert block_of(drawn["blocks"], ids.PERMISSION) == permission_block(ResourceId(7))


def test_justification_is_optional_unless_the_flow_wants_it():
    assert not block(request_modal(FILLED), ids.JUSTIFICATION)["optional"]
    assert block(request_modal(Form()), ids.JUSTIFICATION)["optional"]


def test_too_long_a_justification_gets_past_slack_to_the_engines_sentence():
    element = block(request_modal(FILLED), ids.JUSTIFICATION)["element"]

    assert element["max_length"] == 3000


def test_found_resources_are_grouped_by_system():
    found = [(ResourceId(1), "eu/orders", "table"), (ResourceId(2), "us/orders", "")]

    answer = resource_options(found, {ResourceId(1): "Orders", ResourceId(2): "Orders"})

    assert [g["label"]["text"] for g in answer["option_groups"]] == ["Orders"]
    first, second = answer["option_groups"][0]["options"]
    assert (first["value"], first["description"]["text"]) == ("1", "table")
    assert "description" not in second


def test_found_people_are_told_apart_by_their_address():
    answer = people_options([(ANN, "Sam Lee", "ann@x"), (BOB, "Sam Lee", "bob@x")] * 60)

    assert len(answer["options"]) == 100
    one, other = answer["options"][:2]
    assert (one["text"]["text"], one["description"]["text"]) == ("Sam Lee", "ann@x")
    assert (other["value"], other["description"]["text"]) == (BOB, "bob@x")


def test_of_a_long_path_the_distinguishing_end_is_offered():
    found = [(ResourceId(1), "warehouse/" * 20 + "orders", "table")]

    label = resource_options(found)["options"][0]["text"]["text"]

    assert label.startswith("…")
    assert label.endswith("warehouse/orders")
    assert len(label) == 75


# --- the other modals ----------------------------------------------------------------------------


def test_approving_says_once_more_what_is_approved():
    drawn = approve_modal(seen(begun(), BEN))

    assert drawn["private_metadata"] == "1"
    assert "@Ann asks for read on orders/t1\n1 h, extendable to 2 h · 🟡 Medium" in read(drawn)
    assert "> INC-42" in read(drawn)
    assert block(drawn, ids.REASON)["optional"]
    assert block(drawn, ids.SHORTER)["optional"]


def test_whoever_may_approve_their_own_request_is_spoken_to():
    """It said “You asks for”."""
    asked = begun(flow(self_approval=True), requestor=BEN, grantee=BEN)

    assert "You ask for read on orders/t1" in read(approve_modal(seen(asked, BEN)))


def test_no_request_that_is_decided_is_still_asked_for():
    drawn = approval_card(seen(life(State.ACTIVE), BEN))

    assert "@Ann asked for access:" in read(drawn)
    assert "<@UANN> asked for access" in drawn.text


@pytest.mark.parametrize("draw", [approve_modal, reject_modal])
def test_the_decision_stands_first_and_the_card_is_folded_below_it(draw):
    """On a phone the form began with the whole card, and what to fill in was out of sight."""
    scene = seen(begun(), BEN)
    folded, whole = draw(scene), draw(scene, whole=True)

    assert folded["blocks"][0]["block_id"] == ids.REASON
    assert "System" not in read(folded)
    more = buttons(folded)["Show all"]
    assert not is_whole(folded["private_metadata"])
    assert is_whole(more["value"])
    assert more["value"] == whole["private_metadata"]
    assert ids.request_id(more["value"]) == scene.request.id
    assert whole["blocks"][0]["block_id"] == ids.REASON
    assert "@Ann asks for access:\nread on orders/t1\nSystem\nOrders" in read(whole)
    assert "Show all" not in buttons(whole)


def test_a_long_reason_is_folded_and_whole_when_it_is_asked_for():
    made = begun()
    made.request = made.request.with_(justification="word " * 200)

    assert "… more" in read(approve_modal(seen(made, BEN)))
    assert "… more" not in read(approve_modal(seen(made, BEN), whole=True))


@pytest.mark.parametrize(
    ("typed", "asks"),
    [("", False), ("  ", False), ("x", False), ("30 min", True), ("1 h", False), ("2 h", False)],
)
def test_extensions_are_asked_about_with_a_shorter_time_alone(typed, asks):
    """The box stood there always, and did nothing unless the time was shorter."""
    drawn = approve_modal(seen(begun(), BEN), shorter=typed)

    assert ("Keep the extensions (2 × 30 min)" in read(drawn)) is asks


def test_nobody_is_told_as_it_is_typed_where_nothing_follows_from_it():
    typed = block(approve_modal(seen(begun(flow(extension=None)), BEN)), ids.SHORTER)

    assert "dispatch_action" not in typed


@pytest.mark.parametrize(
    ("asked", "says", "never"),
    [
        (HOUR, "Leave it empty for 1 h, as asked.", "3 days"),
        (HOUR, "30 min", "90 min"),
        (timedelta(days=5), "3 days", "5 min"),
        (None, "Leave it empty for access without end, as asked.", "for without"),
    ],
)
def test_the_hint_names_times_that_are_shorter(asked, says, never):
    """To somebody asked for an hour it said: something like 3 days."""
    made = begun()
    made.request = made.request.with_(duration=asked)
    hint = block(approve_modal(seen(made, BEN)), ids.SHORTER)["hint"]["text"]

    assert says in hint
    assert never not in hint


def test_the_shortest_time_cannot_be_shortened():
    made = begun()
    made.request = made.request.with_(duration=5 * MINUTE)

    assert block_of(approve_modal(seen(made, BEN))["blocks"], ids.SHORTER) is None


def test_extensions_can_be_kept_only_where_there_are_any():
    drawn = approve_modal(seen(begun(flow(extension=None)), BEN), shorter="30 min")

    assert block_of(drawn["blocks"], ids.KEEP) is None


@pytest.mark.parametrize("draw", [approve_modal, reject_modal])
def test_reason_is_wanted_where_the_flow_wants_it(draw):
    drawn = draw(seen(begun(flow(require_reason=True)), BEN))

    assert not block(drawn, ids.REASON)["optional"]
    assert block(drawn, ids.REASON)["element"]["max_length"] == 3000  # the engine says the rest


LOGIN = Credentials(
    account=AccountId(3),
    system="Orders",
    instructions={"Host": "db.internal", "User": "lk_ann"},
    password=SECRET,
)


def test_credentials_are_shown_letter_by_letter():
    drawn = credentials_modal([LOGIN])

    assert f"Password: {SECRET.reveal()}" in read(drawn)
    assert "for 10 minutes at most" in read(drawn)
    assert buttons(drawn)["I have saved it"]["value"] == "3"


def test_a_password_that_is_gone_can_be_reset():
    drawn = credentials_modal([replace(LOGIN, password=None)])

    assert "Password:" not in read(drawn)
    assert list(buttons(drawn)) == ["Reset password"]


def test_reset_is_where_it_is_said_to_be():
    """It was to be on the card, which has no such button."""
    lost = read(saved_modal()).splitlines()[-2]
    card = request_card(seen(life(State.ACTIVE), ANN, has_login=True))
    modal = credentials_modal([replace(LOGIN, password=None)])

    assert lost == "Lost it? Show credentials on the card of your access leads to Reset password."
    assert "Show credentials" in buttons(card)
    assert "Reset password" in buttons(modal)
    assert "If you do not have it: Reset password." in read(modal)


def test_a_line_for_a_terminal_is_a_block_of_code():
    line = "psql 'host=db.internal user=lk_ann'\npsql 'host=db.internal dbname=_x_'"
    drawn = credentials_modal([replace(LOGIN, instructions={"User": "lk_ann", "psql": line})])

    rich = next(b for b in drawn["blocks"] if b["type"] == "rich_text")
    listings = [e for e in rich["elements"] if e["type"] == "rich_text_preformatted"]
    assert [e["elements"] for e in listings] == [[{"type": "text", "text": line}]]
    assert f"User: lk_ann\npsql:\n{line}\nPassword:" in read(drawn)


def test_how_to_log_in_says_what_is_missing():
    remarks = ["read on shop: all but geo, which belongs to <!channel>", "shop: Row security."]

    drawn = credentials_modal([replace(LOGIN, remarks=remarks)])

    for remark in remarks:
        assert f"⚠️ {remark}" in read(drawn)
    assert "<!channel>" not in str(drawn)


def test_a_login_in_the_making_says_so():
    drawn = credentials_modal([replace(LOGIN, password=None, pending=True)])

    assert "being set up right now" in read(drawn)
    assert not buttons(drawn)


# --- in a channel --------------------------------------------------------------------------------


def test_the_card_in_a_channel_calls_who_is_asked_and_names_others_without():
    drawn = in_a_channel(seen(life(State.PENDING), ANN))

    assert "@Ben and @Cat: your decision is asked for." in read(drawn)
    assert "Ann asks for access" in read(drawn)
    assert "@Ann" not in read(drawn)
    assert list(buttons(drawn)) == ["Approve", "Reject", "Ask a question", "More"]


@pytest.mark.parametrize("state", [s for s in State if s is not State.PENDING])
def test_the_card_in_a_channel_calls_nobody_once_it_is_decided(state):
    drawn = in_a_channel(seen(life(state), ANN))

    assert "@" not in read(drawn)
    assert not buttons(drawn)


# --- answers to commands -------------------------------------------------------------------------


STATES_DRAWN = [(request_card, state) for state in State] + [
    (approval_card, state) for state in State if state is not State.PENDING_MFA
]


@pytest.mark.parametrize("viewer", [EVE, ANN, BEN])
@pytest.mark.parametrize(("draw", "state"), STATES_DRAWN)
def test_every_card_names_who_asked_and_for_whom(draw, state, viewer):
    of = flow(request_for=frozenset({RequestFor.DIRECT_REPORTS}))
    drawn = read(draw(seen(life(state, of, requestor=EVE, grantee=ANN), viewer)))

    asked, whom = ("you" if who == viewer else f"@{who.title()}" for who in (EVE, ANN))
    assert f"asked by {asked} for {whom}" in drawn


@pytest.mark.parametrize("state", [State.PENDING, State.ACTIVE])
def test_every_list_names_who_asked_and_for_whom(state):
    of = flow(request_for=frozenset({RequestFor.DIRECT_REPORTS}))
    made = life(state, of, requestor=EVE, grantee=ANN)

    assert "for @Ann" in read(my_access([seen(made, EVE)]))
    assert "asked by @Eve" in read(my_access([seen(made, ANN)]))
    if state is State.PENDING:
        assert "@Eve asks for read on orders/t1 for @Ann" in read(tasks([seen(made, BEN)]))


def test_who_is_to_have_it_declines_and_who_asked_cancels():
    of = flow(request_for=frozenset({RequestFor.DIRECT_REPORTS}))
    made = life(State.PENDING, of, requestor=EVE, grantee=ANN)

    assert "Decline" in buttons(request_card(seen(made, ANN)))
    assert "Cancel request" in buttons(request_card(seen(made, EVE)))
    made.do(Cancel(ANN))
    assert "Declined by @Ann" in read(request_card(seen(made, EVE)))
    cancelled = life(State.PENDING, of, requestor=EVE, grantee=ANN)
    cancelled.do(Cancel(EVE))
    assert "Cancelled by @Eve" in read(request_card(seen(cancelled, ANN)))


def test_my_access_shows_what_i_have_before_what_i_wait_for():
    lines = read(my_access([seen(life(s), ANN) for s in State])).splitlines()

    assert lines[:3] == [
        "🔓 Active access",
        "🔓 read on orders/t1",
        "Until Mar 2, 2026 at 10:00 · AX-KRXN",
    ]
    assert "⏳ Under way" in lines
    assert "Waiting for approval · 1 h, extendable to 2 h · AX-KRXN" in lines


def test_what_does_not_fit_is_counted():
    many = my_access([seen(life(State.ACTIVE), ANN)] * 40 + [seen(begun(), ANN)] * 40)

    counts = [int(n) for n in re.findall(r"… and (\d+) more", read(many))]
    assert len(counts) == 2
    shown = read(many).count("read on orders/t1")
    assert shown + sum(counts) == 80


def test_tasks_are_what_i_may_decide():
    half = begun(BOTH)
    half.do(Approve(BEN))

    drawn = tasks([seen(begun(), BEN), seen(half, BEN), seen(life(State.ACTIVE), BEN)])

    assert read(drawn).splitlines() == [
        "🔔 Waiting for your decision",
        "@Ann asks for read on orders/t1",
        "1 h, extendable to 2 h · 🟡 Medium · AX-KRXN",
        "> INC-42",
        "Approve",
        "Reject",
        "Ask a question",
    ]


@pytest.mark.parametrize("many", [0, 1, 200])
def test_asking_for_more_is_always_at_hand(many):
    """*Request access* stood only where there was nothing: who had something found no way on."""
    mine = [seen(life(State.ACTIVE), ANN)] * many

    assert "Request access" in buttons(my_access(mine))
    assert "Request access" in buttons(home([], mine))
    assert "Request access" in buttons(home([seen(life(State.PENDING), BEN)] * many, mine))


@pytest.mark.parametrize("draw", [my_access, tasks])
def test_nothing_is_said_in_words(draw):
    assert list(buttons(draw([]))) == ["Request access"]


def test_unknown_command_names_the_nearest():
    assert read(unknown_command("reqest", "request")) == (
        "🤔 I do not know reqest. Did you mean /access request? /access help lists what there is."
    )
    assert "Did you mean" not in read(unknown_command("<!here>", None))


# --- whatever comes ------------------------------------------------------------------------------

_OURS = re.compile(
    r"<@U(?:ANN|BEN|CAT|DAN|P?\d+|Q\d+)>"
    r"|<!date\^\d+\^\{date_short_pretty\} at \{time\}\|[-\d: ]+UTC>"
    r"|<https?://[^<>|\s]+>"
)


def assert_harmless(text: str) -> None:
    left = _OURS.sub("", text)
    assert "<" not in left, left
    assert ">" not in left, left
    assert not re.search(r"&(?!amp;|lt;|gt;)", left), left


def assert_sound(blocks: list[Block]) -> None:
    for text in mrkdwn_in(blocks):
        assert_harmless(text)
    for text in texts(blocks):
        assert text
        assert size(text) <= 3000
    json.dumps(blocks, ensure_ascii=False).encode()


def assert_message(drawn: Message) -> None:
    assert not judge_blocks(drawn.blocks, "message")
    assert len(json.dumps(drawn.blocks, ensure_ascii=False)) < 12_000
    assert 0 < size(drawn.text) <= 4000
    assert_harmless(drawn.text)
    assert_sound(drawn.blocks)


def assert_modal(view: View) -> None:
    assert not judge_view(view, "modal")
    assert not view_is_too_large(view)
    assert_sound(view["blocks"])


at_length = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@at_length
@given(scenes())
def test_every_card_of_every_request_is_within_slacks_limits(scene: Scene):
    for draw in (request_card, approval_card, in_a_channel):
        assert_message(draw(scene))
    for news in (*News, None):
        assert_message(line(scene, news))
    for ask in (approve_modal, reject_modal):
        assert_modal(ask(scene))
        assert_modal(ask(scene, whole=True, shorter="5 min"))
    for shown in (more_modal, return_modal):
        assert_modal(shown(scene))
    for view in (question_modal(scene), questions_modal(scene)):
        assert_modal(view)


def at_its_largest(bit: str, state: State) -> Scene:
    """Fifty entitlements, thirty approvers, ten groups and reasons, all text of one kind."""
    text = bit * 1000
    crowd = [person(f"q{n}", name=text[:200], slack=None) for n in range(32)]
    groups = tuple(approvers(name=text[:80]) for _ in range(10))
    plan = flow(
        name=text[:80],
        approval=ApprovalRule(groups, Quorum.ALL_OF),
        escalation=Escalation(15 * MINUTE, groups[:5]),
        extension=Extension(10, timedelta(days=364, hours=23, minutes=59)),
    )
    things = [entitlement(n, text[:80], path=text[:255]) for n in range(50)]
    systems = [
        replace(e, integration=replace(e.integration, name=f"{n}{text[:80]}"))
        for n, e in enumerate(things)
    ]
    request = life(State.ACTIVE, None, *range(50)).request
    approvals = [
        GivenApproval(p.id, frozenset({Seat(0)}), NOW, text[:124], HOUR) for p in crowd[:10]
    ]
    return Scene(
        request=request.with_(
            requestor=crowd[30].id,
            grantee=crowd[31].id,
            state=state,
            justification=text[:1000],
            grants=tuple(g.refused(text[:500]) for g in request.grants),
            asks=tuple(
                Ask(p.id, Seat(n % 10), f"{n % 10}{text[:80]}") for n, p in enumerate(crowd)
            ),
            approvals=tuple(approvals),
            nudged_at=NOW,
            questions=(Question(crowd[0].id, NOW, text[:1000], text[:1000], NOW),) * MAX_QUESTIONS,
            decided=Settled(crowd[0].id, NOW, text[:124]),
            ended=Settled(crowd[1].id, NOW, text[:124]),
            extensions_allowed=10,
            extensions_used=0,
            end_before=NOW,
        ),
        flow=plan,
        revision=plan.revision,
        directory=company(*crowd),
        entitlements={e.id: e for e in systems},
        viewer=crowd[31].id,
        has_login=True,
        background=Background(
            last_had=NOW,
            holds=tuple(Holding(e, NOW, asked=True) for e in systems),
            shares=tuple(Share(text[:200], n, 10**6) for n in range(5)),
            past=tuple(life(State.EXPIRED).request for _ in range(5)),
        ),
    )


@pytest.mark.parametrize("state", [State.PENDING, State.ACTIVE, State.REVOKED], ids=str)
@pytest.mark.parametrize("bit", ["&", '"', "\\", "\n<", "🙂", "`", "x ", "https://a.example/ "])
def test_the_largest_request_is_within_slacks_limits(bit, state):
    """F38: what was too long broke the modal."""
    scene = at_its_largest(bit, state)

    for viewer in (scene.viewer, PersonId("q3"), PersonId("q20")):
        seen_by = replace(scene, viewer=viewer)
        for draw in (request_card, approval_card, in_a_channel):
            assert_message(draw(seen_by))
        for ask in (approve_modal, reject_modal):
            assert_modal(ask(seen_by))
            assert_modal(ask(seen_by, whole=True, shorter="5 min"))
        for shown in (more_modal, return_modal):
            assert_modal(shown(seen_by))
        for view in (question_modal(seen_by), answer_modal(seen_by, 1), questions_modal(seen_by)):
            assert_modal(view)
        assert_message(my_access([seen_by] * 60))
        assert_message(tasks([seen_by] * 60))


@at_length
@given(st.lists(scenes(), max_size=3), st.integers(1, 30))
def test_every_list_is_within_slacks_limits(some: list[Scene], times: int):
    assert_message(my_access(some * times))
    assert_message(tasks(some * times))


@at_length
@given(nasty(1000), nasty(300), nasty(300))
def test_every_form_is_within_slacks_limits(typed: str, label: str, name: str):
    long = typed * 10
    form = Form(
        others=True,
        grantee=(PersonId("x" * 64), label),
        resource=(ResourceId(1), label),
        permissions=[(EntitlementId(n), name) for n in range(120)],
        later={EntitlementId(n): name for n in range(120)},
        permission=EntitlementId(119),
        flows=[flow(n, name=name) for n in range(120)],
        closed={FlowId(n): name for n in range(120)},
        flow=FlowId(99),
        usual=FlowId(0),
        prefill=long,
        justification=long,
        notes=[long] * 12,
        preview=Preview(
            flow=name,
            longest=None,
            extensions=10,
            each=timedelta(days=365),
            approvers=[[Asked(label, [label] * 3)] * 10] * 10,
            join=Quorum.ALL_OF,
            requires_justification=True,
            requires_mfa=True,
            risk=10,
            held=[(name, None)] * 50,
            description=long,
            caveat=long,
            grantee=label,
            closed=long,
            things=[label] * 1000,
            starts=NOW,
            ends=NOW + timedelta(days=365),
        ),
        start=Start("America/Argentina/ComodRivadavia", "2026-03-02", "09:30", later=True),
    )

    assert_modal(request_modal(form))
    assert_modal(request_modal(replace(form, permissions=[], preview=None)))
    assert_modal(request_modal(replace(form, resource=None, bundle=(ObjectId(2**31 - 1), label))))


@at_length
@given(st.lists(st.tuples(nasty(300), nasty(300), nasty(100)), max_size=120))
def test_every_search_is_answered_within_slacks_limits(found: list[tuple[str, str, str]]):
    options = [(ResourceId(n), path, kind) for n, (path, kind, _) in enumerate(found)]
    systems = {ResourceId(n): system for n, (_, _, system) in enumerate(found)}

    people = [(PersonId(f"p{n}"), name, email) for n, (name, email, _) in enumerate(found)]
    assert not judge_options(people_options(people))
    assert not judge_options(resource_options(options))
    assert not judge_options(resource_options(options, systems))
    bundles = [(ObjectId(n), name, kind) for n, (name, kind, _) in enumerate(found)]
    assert not judge_options(resource_options(options, None, bundles))
    assert not judge_options(resource_options(options, systems, bundles[:3]))


@at_length
@given(nasty(1000), nasty(200), st.integers(0, 20))
def test_everything_else_is_within_slacks_limits(typed: str, name: str, count: int):
    long = typed * 5
    said = Refusal(Code.SETTLED, long, NOW)
    login = Credentials(
        account=AccountId(1),
        system=name,
        instructions={f"{n}{name}": long for n in range(count)},
        password=Secret(long),
        valid_until=datetime(2026, 3, 2, tzinfo=UTC),
        remarks=[long] * count,
    )

    for drawn in (
        notice(long),
        alarm(long),
        help_text(HELP),
        unknown_command(long, name),
    ):
        assert_message(drawn)
    for view in (
        credentials_modal([login] * count),
        notice_modal(name, refusal(said)),
        saved_modal(),
    ):
        assert not judge_view(view, "modal")
        assert not view_is_too_large(view)
    assert size(refusal_in_plain_text(said)) <= 2000


@given(nasty(300), st.integers(12, 100))
def test_cut_text_is_never_longer_than_the_limit(text: str, limit: int):
    for made in (
        cut(prose(text), limit),
        cut_front(escape(text), limit),
        plain(text, limit),
        plain(text, limit, keep_end=True),
    ):
        assert size(made) <= limit
