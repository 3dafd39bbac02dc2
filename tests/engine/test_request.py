"""Codes that people say aloud, and the keys under which seats are stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directory import PersonId
from engine.request import (
    FINAL,
    LARGEST_ID,
    LIVE,
    OPEN,
    Approval,
    Ask,
    RequestId,
    Seat,
    Settled,
    State,
    code_of,
    id_of,
)
from tests.support.builders import ANN, BEN, CAT, EVE, NOW, begun, request

ids = st.integers(1, 32**6 - 1).map(RequestId)


@given(ids)
def test_a_code_leads_back_to_its_request(id_):
    assert id_of(code_of(id_)) == id_


@given(ids, ids)
def test_two_requests_never_share_a_code(one, other):
    assert (code_of(one) == code_of(other)) == (one == other)


def test_the_first_thousand_codes_are_short_and_all_different():
    codes = {code_of(RequestId(n)) for n in range(1, 1001)}

    assert len(codes) == 1000
    assert {len(code) for code in codes} == {len("AX-7K2M")}


@given(st.integers(1, 32**4 - 2))
def test_neighbours_look_unlike(number):
    """Who mishears one letter shall not land at the next request."""
    one, next_ = code_of(RequestId(number)), code_of(RequestId(number + 1))

    assert sum(a != b for a, b in zip(one, next_, strict=True)) >= 2


@pytest.mark.parametrize("size", [4, 5, 6])
def test_a_code_grows_only_when_it_must(size):
    assert len(code_of(RequestId(32**size - 1))) == len("AX-") + size
    assert len(code_of(RequestId(32**size))) == len("AX-") + size + 1


@given(ids)
def test_a_code_is_understood_as_people_type_it(id_):
    code = code_of(id_)
    misread = code.replace("0", "o").replace("1", "l").lower()

    assert id_of(f" {code.lower()} ") == id_of(code.removeprefix("AX-")) == id_
    assert id_of(misread) == id_


@given(st.text(max_size=12))
def test_any_text_is_a_code_or_none(text):
    found = id_of(text)

    assert found is None or id_of(code_of(found)) == found


@pytest.mark.parametrize(
    "text", ["", "AX-", "AX-7K2", "AX-7K2U", "AX-7K2M-", "AX-000000000", "é4z9"]
)
def test_what_is_no_code_is_none(text):
    assert id_of(text) is None


@pytest.mark.parametrize(
    ("seat", "key"),
    [
        (Seat(0), "group/0"),
        (Seat(2, 1), "tier1/2"),
        (Seat(None, 0), "tier0/*"),
        (Seat(1, admins=True), "admins/1"),
    ],
)
def test_a_seat_and_its_key_are_one(seat, key):
    assert seat.key == key
    assert Seat.parse(key) == seat


def test_final_states_are_those_that_nothing_leads_out_of():
    assert {s.value for s in State if not s.final} == {
        "pending_mfa",
        "pending",
        "scheduled",
        "granting",
        "active",
        "revoking",
    }
    assert {s for s in State if s.wants_access} == {State.GRANTING, State.ACTIVE}


@pytest.mark.parametrize(("used", "left"), [(0, 2), (1, 1), (2, 0), (3, 0)])
def test_what_is_left_of_extensions_is_never_less_than_none(used, left):
    """A flow that allows fewer of them by now."""
    assert request(extensions_allowed=2, extensions_used=used).extensions_left == left


def test_parties_and_asked_name_everybody_once():
    assert request().parties == (ANN,)
    assert request(requestor=EVE).parties == (EVE, ANN)
    assert begun().request.asked == (BEN, CAT)


def test_a_code_of_an_id_that_no_database_holds_is_none():
    """The operator's command line passed it on, and PostgreSQL refused the number."""
    assert id_of(code_of(RequestId(LARGEST_ID))) == LARGEST_ID == 2_147_483_647
    assert id_of(code_of(RequestId(LARGEST_ID + 1))) is None


def test_each_state_is_alive_or_over():
    """What SQL looks for comes of these sets: one in neither was over unasked."""
    assert set(State) == LIVE | FINAL
    assert not LIVE & FINAL
    assert OPEN < LIVE


def test_who_has_another_id_is_named_by_it_wherever_a_request_names_somebody():
    def named(*who):
        asker, asked, decided = who
        asks = (Ask(asked, Seat(0), "one"), Ask(CAT, Seat(0), "one"))
        return request(
            requestor=asker,
            grantee=asked,
            asks=asks,
            approvals=(Approval(asked, frozenset({Seat(0)}), NOW),),
            decided=Settled(decided, NOW, "so"),
            ended=Settled(asker, NOW, "done"),
        )

    former = named(ANN, BEN, EVE)
    carried = former.renamed({ANN: PersonId("a2"), BEN: PersonId("b2"), EVE: PersonId("e2")})

    assert carried == named(PersonId("a2"), PersonId("b2"), PersonId("e2"))
    assert former.renamed({PersonId("x"): PersonId("y")}) is former
    assert former.renamed({}) is former


def test_what_an_unreadable_request_names_stays():
    broken = request(readable=False)

    assert broken.renamed({ANN: PersonId("a2")}) is broken


def test_whoever_had_two_ids_is_asked_and_approves_once():
    asks = (Ask(BEN, Seat(0), "one"), Ask(CAT, Seat(0), "one"))
    approvals = tuple(Approval(who, frozenset({Seat(0)}), NOW) for who in (BEN, CAT))

    made = request(asks=asks, approvals=approvals).renamed({CAT: BEN})

    assert [a.person for a in made.asks] == [a.person for a in made.approvals] == [BEN]
