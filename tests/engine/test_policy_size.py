"""The room for policies in an AWS account: what counts, what is refused, and what to return."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import policy_size
from engine.commands import Attempt, FirstLook
from engine.eligibility import Draft, check
from engine.inventory import Entitlement, Policies, Principal
from engine.outcome import Code
from engine.policy_size import LIMITS, Carried, size, too_large, warning
from engine.request import AccessRequest, GrantState, RequestId, State
from tests.support.builders import ANN, HOUR, NOW, begun, company, entitlement, flow, request

HERE = company()
USER, ROLE, SET = Principal.USER, Principal.ROLE, Principal.PERMISSION_SET


def given_by(number: int, characters: int, principal: Principal = USER, account: str = "1111"):
    """Build what is given by a policy of so many characters; what is white space does not count."""
    document = f'{{ "of": "{"x" * (characters - 9)}"\n}}'
    assert size(document) == characters
    of = entitlement(number)
    policies = Policies(account, principal, {of.permission.id: document})
    return replace(of, resource=replace(of.resource, policies=policies))


def runs(of: Entitlement, code: str = "AX-RUNS") -> Carried:
    return Carried(of, code, running=True)


def waits(of: Entitlement, code: str = "AX-WAIT") -> Carried:
    return Carried(of, code, running=False)


def said(wanted: list[Entitlement], carried: list[Carried]) -> str:
    refusal = too_large(HERE.people[ANN], wanted, carried)
    assert refusal is None or refusal.code is Code.POLICIES_TOO_LARGE
    return refusal.sentence if refusal else ""


@pytest.mark.parametrize(("principal", "limit"), [(USER, 2_048), (ROLE, 10_240), (SET, 32_768)])
def test_up_to_the_limit_there_is_room_and_one_character_more_is_refused(principal, limit):
    had = runs(given_by(1, limit - 100, principal))

    assert said([given_by(2, 100, principal)], [had]) == ""
    assert said([given_by(2, 101, principal)], [had]) == (
        f"Ann's {principal} in the AWS account 1111 would carry policies of {limit + 1:,} "
        f"characters; AWS allows {limit:,}. First return read on orders/t1 (AX-RUNS)."
    )


@pytest.mark.parametrize("white", [" ", "\n", "\t", "\r\n", "\u00a0", " \n  "])
def test_white_space_is_not_counted(white):
    assert size(white.join("{}")) == 2


def test_what_waits_counts_too_and_is_to_be_cancelled():
    waiting = waits(given_by(1, 2_000))

    assert said([given_by(2, 49)], [waiting]).endswith("First cancel AX-WAIT (read on orders/t1).")


def test_what_somebody_has_already_counts_once():
    one = given_by(1, 2_000)

    assert said([one], [runs(one), waits(one)]) == ""


def test_each_account_and_each_principal_has_room_of_its_own():
    assert said([given_by(2, 2_000)], [runs(given_by(1, 2_000, account="2222"))]) == ""
    assert said([given_by(2, 2_000)], [runs(given_by(1, 2_000, ROLE))]) == ""
    both = [given_by(2, 49), given_by(3, 49, account="2222")]
    assert "2222" in said(both, [runs(given_by(1, 2_000, account="2222"))])


def test_an_account_that_several_integrations_list_is_one():
    """What was had by the other integration did not count: AWS would have refused it."""
    elsewhere = given_by(1, 2_000)
    other = replace(elsewhere, integration=replace(elsewhere.integration, id="other"))

    assert said([given_by(2, 49)], [runs(other)]).endswith("return read on orders/t1 (AX-RUNS).")


def test_what_no_policy_gives_takes_no_room():
    full = runs(given_by(1, 2_048))

    assert said([entitlement(2)], [full]) == ""
    assert said([given_by(2, 2_048)], [runs(entitlement(1))]) == ""


def test_what_is_too_large_by_itself_is_not_helped_by_returning_anything():
    wanted = [given_by(2, 1_100), given_by(3, 1_000)]

    assert said(wanted, [runs(given_by(1, 10))]).endswith(
        "What is asked for comes to 2,100 by itself: ask for less at once."
    )


def test_as_little_as_makes_room_is_to_be_returned():
    """The fewest, and of those the smallest: nobody gives back more than it takes."""
    had = [runs(given_by(n, size_), f"AX-{n}") for n, size_ in ((1, 900), (2, 300), (3, 500))]

    assert "First return read on orders/t2 (AX-2)." in said([given_by(9, 600)], had)
    assert "First return read on orders/t3 (AX-3)." in said([given_by(9, 700)], had)
    assert "First return read on orders/t1 (AX-1), return read on orders/t2 (AX-2)." in said(
        [given_by(9, 1_500)], had
    )


def test_what_several_requests_want_has_to_go_from_each():
    one = given_by(1, 2_000)

    assert said([given_by(2, 100)], [runs(one, "AX-1"), waits(one, "AX-2")]).endswith(
        "First return read on orders/t1 (AX-1), cancel AX-2 (read on orders/t1)."
    )


def test_of_much_only_the_first_is_named():
    had = [runs(given_by(n, 200), f"AX-{n}") for n in range(1, 11)]

    assert said([given_by(20, 1_500)], had).endswith("(AX-6), and 3 more.")


@given(st.lists(st.integers(10, 1_000), min_size=1, max_size=12), st.integers(10, 2_048))
def test_what_is_named_makes_room_and_nothing_of_it_is_too_much(sizes, wanted):
    had = [runs(given_by(n, size_), f"AX-{n}") for n, size_ in enumerate(sizes, 1)]
    refused = said([given_by(99, wanted)], had)
    if sum(sizes) + wanted <= LIMITS[USER]:
        assert not refused
        return
    if "more." in refused:
        return
    freed = {n: s for n, s in enumerate(sizes, 1) if f"(AX-{n})" in refused}
    left = sum(sizes) - sum(freed.values()) + wanted
    assert left <= LIMITS[USER]
    assert left + min(freed.values()) > LIMITS[USER]


# --- when it is tested ---------------------------------------------------------------------------


def test_it_is_tested_at_submission():
    draft = Draft(
        requestor=HERE.people[ANN],
        grantee=HERE.people[ANN],
        flow=flow(),
        entitlements=(given_by(2, 49),),
        duration=HOUR,
        justification="INC-42",
    )

    refusal = check(draft, HERE, NOW, [waits(given_by(1, 2_000))])

    assert refusal is not None
    assert (refusal.code, refusal.about) == (Code.POLICIES_TOO_LARGE, "entitlement")
    assert check(draft, HERE, NOW, [waits(given_by(1, 1_999))]) is None


def other(number: int, *, begun: bool) -> AccessRequest:
    """Build another request of hers, for table 1."""
    made = request(flow(), 1, id=RequestId(number), state=State.GRANTING)
    return replace(made, grants=tuple(g.begin() if begun else g for g in made.grants))


def attempted(others: list[AccessRequest], *sizes: int, number: int = 5):
    """Give request 5, for tables 2 and 3 of so many characters, beside the others."""
    of = flow(approval=None)
    wanted = [given_by(n, characters) for n, characters in enumerate(sizes, 2)]
    made = begun(of, *(e.id for e in wanted), id=RequestId(number))
    known = {e.id: e for e in (given_by(1, 1_500), *wanted)}
    made.know(entitlements=known, others=others)
    made.do(FirstLook({g.id: False for g in made.request.grants}))
    made.do(Attempt())
    return made.request.grants


@pytest.mark.parametrize(
    ("number", "begun", "fits"),
    [(4, True, False), (6, True, False), (4, False, False), (6, False, True)],
    ids=["runs, earlier", "runs, later", "waits, earlier", "waits, later"],
)
def test_it_is_tested_again_at_the_grant(number, begun, fits):
    """What waits and was asked for later makes room: else each of two would keep the other out."""
    (grant,) = attempted([other(number, begun=begun)], 549)

    assert grant.begun is fits
    assert fits or "would carry policies of 2,049 characters; AWS allows 2,048." in grant.note


def test_of_one_request_what_has_room_is_given_and_the_rest_is_refused():
    first, second = attempted([], 1_500, 549)

    assert first.begun
    assert second.state is GrantState.REFUSED
    assert "First return read on orders/t2" in second.note


def test_what_is_tried_again_does_not_keep_itself_out():
    of = flow(approval=None)
    made = begun(of, 1)
    made.know(entitlements={1: given_by(1, 2_048)})
    made.attempt()
    made.do(Attempt())

    assert made.request.grants[0].state is GrantState.WANTED


def test_what_was_there_before_takes_no_room():
    """Nothing is attached for it."""
    held = other(4, begun=False)
    held = replace(held, grants=tuple(g.looked(found=True) for g in held.grants))

    (grant,) = attempted([held], 2_000)

    assert grant.begun


def test_what_nobody_knows_any_more_is_not_counted():
    assert policy_size.carried([other(4, begun=True)], {}) == []


# --- the warning ---------------------------------------------------------------------------------


def named(many: int) -> list[Entitlement]:
    def listing(number: int) -> Entitlement:
        of = given_by(number, 100)
        assert of.resource.policies
        documents = {of.permission.id: f'{{"Resource":"{of.resource.source_id}"}}'}
        policies = replace(of.resource.policies, documents=documents)
        return replace(of, resource=replace(of.resource, policies=policies))

    return [listing(n) for n in range(many)]


def test_over_a_hundred_resources_that_policies_have_to_list_are_warned_of():
    assert warning(named(100)) == ""
    assert warning(named(101)).startswith("101 resources are named here")
    assert "Offer any resource, or choose them by tags or by an access scope." in warning(
        named(101)
    )


def test_only_resources_that_their_policies_list_count_each_once():
    many = named(100)

    assert warning([*many, *many]) == ""
    assert warning([*many, *(entitlement(n) for n in range(200, 400))]) == ""
    assert warning([*many, *(given_by(n, 100) for n in range(200, 400))]) == ""
