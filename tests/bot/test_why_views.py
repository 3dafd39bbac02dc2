"""What `why` draws, whatever things, flows, groups and people are called, stays within Slack's
limits, pings nobody, and can be read back from its buttons.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.sandbox.blocks import judge_options, judge_view, view_is_too_large
from bot.views import ids
from bot.views.request_modal import wish_option, wished
from bot.views.text import verbatim
from bot.views.values import View, Why
from bot.views.why import LONGEST, value_of, value_text, why_modal, wish_modal, wished_modal
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.eligibility import Inquiry, verdicts
from engine.explanation import explain
from engine.flow import ApprovalRule, ApproverGroup
from engine.inventory import ResourceId
from tests.support.builders import NOW, company, entitlement, flow, members_of, person
from tests.support.scenes import nasty

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
PINGS = re.compile("<[!@#]")


def marked(part: object) -> Iterator[str]:
    """Yield what of a view Slack reads as mrkdwn."""
    match part:
        case {"type": "mrkdwn", "text": str(text)}:
            yield text
        case dict():
            for inner in part.values():
                yield from marked(inner)
        case list():
            for inner in part:
                yield from marked(inner)


def sound(view: View) -> bool:
    assert not judge_view(view, "modal"), judge_view(view, "modal")
    assert not view_is_too_large(view)
    return not any(map(PINGS.search, marked(view)))


@st.composite
def answers(draw: st.DrawFn) -> Why:
    comparators = st.sampled_from(Comparator)
    words = st.sampled_from(draw(st.lists(nasty(300), min_size=2, max_size=4)))
    many = draw(st.sampled_from([0, 1, 3, 40]))
    attributes = {draw(words)[:50] or "x": tuple(draw(words) for _ in range(5))}
    here = company(person("kim", name=draw(words) or "Kim", attributes=attributes))
    kim = here.people["kim"]
    wants = ConditionGroup(
        tuple(
            Condition(draw(words)[:50] or "x", draw(comparators), (draw(words),) * 9)
            for _ in range(20)
        )
    )
    flows = [
        flow(
            n,
            name=draw(words)[:80] or "x",
            requestors=draw(st.sampled_from([wants, members_of("eng")])),
            approval=ApprovalRule((ApproverGroup(draw(words)[:200], wants),) * 3),
        )
        for n in range(draw(st.sampled_from([0, 1, 30])))
    ]
    told = []
    for n in range(many):
        asked = Inquiry(kim, kim, here, entitlement(n + 1, path=draw(words) or "x"), NOW)
        told.append(explain(asked, verdicts(flows, asked), you=True))
    named = [(ResourceId(n), draw(words)) for n in range(8)]
    return Why(
        words=draw(words)[:LONGEST],
        of=named[0] if told else None,
        answers=told,
        others=draw(st.sampled_from([(), named])) if not told else (),
        nearest=draw(st.sampled_from([(), named[:3]])) if not told else (),
        notes=[draw(words)],
        admins=[draw(words) for _ in range(draw(st.sampled_from([0, 1, 9])))],
        instead=[(draw(words), draw(words)) for _ in range(draw(st.sampled_from([0, 5])))],
    )


@settings(suppress_health_check=SLOW, deadline=None)
@given(answers())
def test_whatever_is_explained_slack_takes(why):
    assert sound(why_modal(why))


@settings(suppress_health_check=SLOW, deadline=None)
@given(nasty(3000))
def test_whatever_is_wanted_slack_takes(words):
    assert sound(wish_modal(words, value_text(words)))
    assert sound(wished_modal(words))
    option = wish_option(words)
    assert not judge_options(option)
    assert wished(option["options"][0]["value"]) == verbatim(words, 60)


@given(st.integers(1, 10**9), st.text("a/b c", max_size=150))
def test_a_button_says_what_it_is_about(resource, words):
    assert value_of(value_text(words, ResourceId(resource))) == (resource, words)
    assert value_of(value_text(words)) == (0, words)


def test_only_what_is_wanting_can_be_told():
    here = company()
    asked = Inquiry(here.people["ann"], here.people["ann"], here, entitlement(), NOW)
    can = explain(asked, verdicts([flow()], asked), you=True)
    why = Why(words="t1", of=(ResourceId(1), "orders/t1"), answers=[can])

    assert ids.WISH not in str(why_modal(why))
    assert ids.WISH in str(why_modal(replace(why, of=None, answers=[])))
