"""Whatever comes in at the door: it breaks nothing, half stores nothing, and is answered in words.

`make fuzz` tries twenty times as many; what fails is printed so that it can be played again.
"""

import copy
import json
from urllib.parse import urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.views import ids
from tests.support import door as support
from tests.support.door import (
    CUSTOMERS,
    Door,
    Json,
    choice,
    click,
    click_in,
    command,
    filled,
    home,
    judged,
    modal,
    submission,
    suggestion,
)
from tests.support.scenes import nasty

PEOPLE = ["marta", "priya", "anil", "kofi", "casey", "selin", "nobody-of-this-name"]
BUTTONS = sorted(ids.OF_A_REQUEST)
IN_MODALS = ["credentials_saved", "credentials_reset", "why_about", "wish"]
KINDS = ["command", "click", "click_in", "choice", "submission", "suggestion", "home"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
quick = settings(suppress_health_check=SLOW)


# --- what could come -----------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-2, 9),
    st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**15 - 1, 10**400]),
)
ODD = ["", "0", "1/1", "1/2", "3/1", "-1", "1.5", "٣", "²", "½", "1e9", "nan", "true", "request"]
LONG = ["9" * 15, "9" * 16, "1/" + "9" * 5, "1/" + "9" * 400, "ß" * 90, "İ" * 90, "\ufeff1"]
TIMES = ["5", "90m", "1e400h", "٣h", "inf", "nan", "-0m", "1.5.5h", "²h", "½h", "1:60", "1:59"]
BAD_TIMES = ["٩٩٩٩٩٩d", "9" * 3000, "1h" * 500, "5m\x00", "\ud8005m", "1 h 1 h", "99:59", "366d"]
odd_words = st.sampled_from(ODD + LONG)
durations = st.sampled_from(TIMES + BAD_TIMES)
texts = st.one_of(nasty(3000), odd_words, durations, numbers.map(str))
empty = st.builds(list) | st.builds(dict) | st.builds(lambda: [{}])  # anew: `nonsense` fills them
leaves = st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts, empty)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def fields(draw: st.DrawFn) -> Json:
    """Draw what stands in one field: mostly as Slack has it, with anything for a value."""
    option = st.one_of(junk, st.fixed_dictionaries({"value": texts | numbers}))
    return draw(
        st.one_of(
            st.fixed_dictionaries({"value": texts}),
            st.fixed_dictionaries({"selected_option": option}),
            st.fixed_dictionaries({"selected_options": st.lists(option, max_size=2) | junk}),
            junk,
        )
    )


actions = st.sampled_from([*ids.__dict__.values()]).filter(lambda name: isinstance(name, str))
states = st.dictionaries(
    actions | texts, st.dictionaries(actions | texts, fields(), max_size=3) | junk, max_size=5
)


@st.composite
def payloads(draw: st.DrawFn, door: Door) -> Json:
    """Draw what Slack might sign: whole in its outer form, and anything that people could enter."""
    who, kind = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(KINDS))
    value = draw(texts | numbers.map(str))
    match kind:
        case "command":
            words = ["request ", f"request read on {CUSTOMERS} for ", "my ", "tasks", "help", ""]
            words += ["why ", f"why read on {CUSTOMERS}", "catalog "]
            return command(who, draw(st.sampled_from(words)) + draw(texts))
        case "click":
            return click(who, draw(st.sampled_from([*BUTTONS, *IN_MODALS]) | texts), value)
        case "click_in":
            action = draw(st.sampled_from([*IN_MODALS, *BUTTONS, ids.RESOURCE, ids.PERMISSION]))
            return click_in(who, {"private_metadata": draw(texts)}, action, value)
        case "choice":
            action = draw(st.sampled_from([ids.RESOURCE, ids.PERMISSION]))
            return choice(who, modal(ids.REQUEST_MODAL, draw(texts)), action, value, draw(states))
        case "submission":
            return draw(_submissions(door, who))
        case "suggestion":
            return suggestion(who, draw(texts), draw(st.sampled_from([ids.RESOURCE]) | texts))
        case _:
            return home(who)


@st.composite
def _submissions(draw: st.DrawFn, door: Door, who: str) -> Json:
    forms = [ids.REQUEST_MODAL, ids.APPROVE_MODAL, ids.REJECT_MODAL, ids.WHY_MODAL, "x"]
    forms.append(ids.WISH_MODAL)
    callback = draw(st.sampled_from(forms))
    metadata = draw(st.sampled_from(["1", "2", "3", "4", "1/1", "3/1"]) | texts)
    view = modal(callback, metadata) | {"id": draw(texts)}
    values = draw(states)
    if callback == ids.REQUEST_MODAL and draw(st.booleans()):
        form = door.command("marta", f"request read on {CUSTOMERS}: INC-1").views[0]
        view |= {"blocks": form["blocks"], "private_metadata": form["private_metadata"]}
        entered = {"duration": {"value": draw(durations | texts)}}
        values = filled(form, **entered, justification={"value": draw(texts)})
    return submission(who, view, values)


@st.composite
def nonsense(draw: st.DrawFn, door: Door) -> object:
    """Draw a payload of which any part is anything, or missing."""
    body = copy.deepcopy(draw(payloads(door)))
    for _ in range(draw(st.integers(1, 3))):
        at: object = body
        while isinstance(at, dict | list) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else [*range(len(at))]))
            below = at[key]  # type: ignore[index]
            if not isinstance(below, dict | list) or not below or draw(st.integers(0, 3)) == 0:
                if draw(st.booleans()):
                    del at[key]  # type: ignore[attr-defined]
                else:
                    at[key] = draw(junk)  # type: ignore[index]
                break
            at = below
    return body


# --- what must hold ------------------------------------------------------------------------------


def deliver(door: Door, body: object) -> tuple[support.Answer, bool]:
    """Bring it in; see that it broke nothing, and that what it stored is whole; forget it."""
    seq = door.audited()
    answer = door.deliver(body)
    assert not answer.errors
    if door.written:
        assert not door.audit_faults()
    audited = door.audited() > seq
    stored = door.put_back()
    assert audited or not stored
    return answer, stored


@quick
@given(data=st.data())
def test_whatever_people_enter_they_get_an_answer(door, data):
    body = data.draw(payloads(door))
    answer, stored = deliver(door, body)
    assert answer.status == 200
    assert not judged(answer, body)
    assert stored or answer.said.strip() or body.get("type") == "block_suggestion"


@quick
@given(data=st.data())
def test_whatever_a_payload_is_made_of_it_breaks_nothing(door, data):
    answer, _ = deliver(door, data.draw(nonsense(door) | junk))
    assert answer.status in {200, 400}


@quick
@given(data=st.data())
def test_whatever_is_posted_is_read_as_from_a_socket_or_refused(door, data):
    """Over HTTP the same comes as a form, or as JSON, cut and spoilt on the way."""
    body = data.draw(payloads(door) | junk)
    whole = (
        json.dumps(body) if data.draw(st.booleans()) else urlencode({"payload": json.dumps(body)})
    )
    cut = data.draw(st.integers(0, len(whole)))
    posted = data.draw(st.sampled_from([whole, whole[:cut], whole[cut:], whole[:cut] + whole]))
    answer, _ = deliver(door, posted)
    assert answer.status in {200, 400}
