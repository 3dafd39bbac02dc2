"""The room for policies in an AWS account, through the whole program: at the form, at the grant."""

from dataclasses import replace

import pytest

from bot.usecases import discover
from bot.views import ids
from engine.inventory import PermissionId, Policies, Principal
from engine.request import State
from tests.support.door import CUSTOMERS, PAYMENTS, STOCK, SYSTEM, TABLES, filled, modal

READ = PermissionId("read")


@pytest.fixture
def attach(door):
    """Have what can be read given by policies of so many characters, by the path."""

    def build(**sizes):
        for thing in TABLES:
            characters = sizes.get(thing.name)
            policy = f'{{"a": "{"x" * (characters - 8)}"}}' if characters else ""
            policies = Policies("1111", Principal.USER, {READ: policy}) if policy else None
            door.system.add(replace(thing, policies=policies))
        discover.discover(door.services, SYSTEM)

    yield build
    for thing in TABLES:
        door.system.add(thing)


def ask(door, who, path):
    form = door.form(who, path)
    return door.submit(who, form, filled(form, justification={"value": "INC-1"}))


def test_a_request_that_passes_the_limit_is_refused_naming_what_to_return(door, attach):
    """Marta reads customers already, and may read the stock, without asking anybody."""
    attach(customers=2_000, stock=49)
    (running,) = [r for r in door.requests() if r.state is State.ACTIVE]

    answer = ask(door, "marta", STOCK)

    assert answer.said == (
        "Marta Nowak-Żelazna's user in the AWS account 1111 would carry policies of 2,049 "
        f"characters; AWS allows 2,048. First return read on {CUSTOMERS} ({running.code})."
    )
    assert {r.state for r in door.requests() if r.grantee == "marta"} == {State.ACTIVE}

    door.click("marta", ids.RETURN, str(running.id))
    door.work()
    assert not ask(door, "marta", STOCK).payload.get("errors")


def test_up_to_the_limit_a_request_is_taken_and_given(door, attach):
    attach(customers=2_000, stock=48)

    assert door.active("marta", "", STOCK)


def test_what_waits_counts_and_is_to_be_cancelled(door, attach):
    """Anil waits for payments."""
    attach(payments=2_000, stock=49)
    (waiting,) = [r for r in door.requests() if r.state is State.PENDING]

    answer = ask(door, "anil", STOCK)

    assert answer.said.endswith(f"First cancel {waiting.code} (read on {PAYMENTS}).")


def test_a_policy_that_grew_while_its_request_waited_is_not_given(door, attach):
    """Whoever may decide says yes, and what was given meanwhile leaves no room."""
    attach(payments=1_000, stock=1_000)
    door.active("anil", "", STOCK)
    (waiting,) = [r for r in door.requests() if r.state is State.PENDING]
    attach(payments=1_049, stock=1_000)

    door.submit("olga", modal(ids.APPROVE_MODAL, str(waiting.id)))
    door.work()

    ended = door.request(waiting.id)
    assert ended.state is State.FAILED
    assert "would carry policies of 2,049 characters; AWS allows 2,048." in ended.grants[0].note
    assert f"First return read on {STOCK}" in ended.grants[0].note
