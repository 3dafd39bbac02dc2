"""What the administrators hear of people who are listed under new ids, and the command says."""

from dataclasses import replace

import pytest

import manifests
from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases import people, revoke
from bot.usecases.console import Desk
from bot.usecases.take_in import take_in
from bot.views import ids
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonStatus
from engine.outcome import Card
from engine.request import State
from manifests import Manifests
from storage import sync
from storage.secrets import KeyRing, new_key
from storage.tables import FlowRow, MessageRow
from tests.support.door import COMPANY, modal
from tests.support.stored import (
    ADA,
    ALICE,
    ENGINEERS,
    GROUPS,
    KEY,
    PEOPLE,
    READING,
    person,
    reading,
    writing,
)

CROWD = [person(f"p{n}", ENGINEERS) for n in range(60)]


@pytest.fixture
def services(stored):
    made = Services(
        stored.database, stored.companies, DatabaseClock(stored.database), stored.keys, {}
    )
    read(made, [*PEOPLE, *CROWD])
    return made


def read(services, people, admins=(ADA,)) -> None:
    flows = tuple(_Flow(r) for r in (reading(), writing()))
    take_in(services, Manifests(tuple(people), GROUPS, frozenset(admins), (), flows))


class _Flow:
    active = True

    def __init__(self, revision):
        self.revision = revision


def anew(people):
    return [replace(p, id=f"e-{p.id}", manager="e-mia" if p.manager == "mia" else p.manager)
            for p in people]  # fmt: skip


def heard(stored) -> list[str]:
    rows = stored.rows(MessageRow)
    return [r.detail for r in rows if (r.recipient, r.kind) == (ADA, Card.ALARM)]


def test_however_many_there_are_they_are_told_once_as_one_list(stored, services):
    for _ in range(3):
        read(services, anew([*PEOPLE, *CROWD]), admins=["e-ada"])

    (said,) = heard(stored)
    assert said.startswith("67 people are listed under a new id")
    assert "Alice (alice → e-alice)" in said
    assert "and 47 more" in said
    assert "latchkey people carry --yes" in said
    assert services.company().admins == {ADA}
    assert [r.revision for r in stored.rows(FlowRow) if r.name == READING.casefold()] == [1]


def test_a_sync_that_is_held_names_both_commands(stored, services):
    """“people accept” alone would have deactivated everybody who only had a new id."""
    read(services, [*anew(PEOPLE), *CROWD[7:]], admins=["e-ada"])

    carrying, held = heard(stored)
    assert "latchkey people carry" in carrying
    assert "7 of 67 people" in held
    assert held.index("latchkey people accept") < held.index("latchkey people carry")
    assert all(p.active for p in services.company().directory.people.values())


def test_who_leaves_beside_them_leaves_at_once(services):
    read(services, [*anew(PEOPLE), *CROWD[1:]], admins=["e-ada"])

    people = services.company().directory.people
    assert not people["p0"].active
    assert people[ALICE].active


@pytest.fixture
def desk(stored):
    return Desk(stored.database, stored.companies, DatabaseClock(stored.database))


def listed(people) -> Manifests:
    return Manifests(tuple(people), GROUPS, frozenset({ADA}), (), ())


def test_an_operator_says_who_is_the_same_and_whose_address_is_somebody_elses(
    stored, services, desk
):
    who = people.look(desk, listed([*anew(PEOPLE), *CROWD]), ["ALICE@example.com"])

    assert [s.old for s in who.others] == [ALICE]
    assert people.carry(desk, who, stored.keys) is None

    everybody = services.company().directory.people
    assert {"e-ada", "e-bob"} <= everybody.keys()
    assert not everybody[ALICE].active
    assert "e-alice" not in everybody  # it is a newcomer, whom the next intake takes in


@pytest.mark.usefixtures("services")
def test_an_address_that_nobody_with_a_new_id_has_is_refused(desk):
    refusal = people.look(desk, listed([*anew(PEOPLE), *CROWD]), ["p0@example.com", "X@x.example"])

    assert "has the address p0@example.com, x@x.example" in refusal.sentence


def test_without_the_keys_of_the_passwords_nobody_is_carried_over(services, desk):
    who = people.look(desk, listed([*anew(PEOPLE), *CROWD]), ["alice@example.com"])

    refusal = people.carry(desk, who, KeyRing([new_key()]))

    assert "Nothing was changed" in refusal.sentence
    assert services.company().directory.people[ALICE].active
    assert not any(id_.startswith("e-") for id_ in services.company().directory.people)


def test_with_a_key_that_was_replaced_no_password_is_left_behind(stored, request):
    """It proves older entries; what newer keys have sealed, nobody could open under the new id."""
    stored.keys = stored.database.keys = KeyRing([new_key(), KEY])
    stored.submit()
    stored.converge()
    services, desk = (request.getfixturevalue(name) for name in ("services", "desk"))
    who = people.look(desk, listed([*anew(PEOPLE), *CROWD]), [])

    refusal = people.carry(desk, who, KeyRing([KEY]))

    assert f"has sealed the password of {stored.account().login}: " in refusal.sentence
    assert "Nothing was changed" in refusal.sentence
    assert services.company().directory.people[ALICE].active
    assert people.carry(desk, who, stored.keys) is None


def test_a_flow_that_names_somebody_by_the_id_they_had_comes_to_be_known(
    stored, services, desk, monkeypatch
):
    """It was other than what is known, whose new id stands there, for ever: the intake never came
    to its end, and made a revision at each turn."""
    compared, compare = [], sync.flow_steps

    def flow_steps(*given):
        compared.append(compare(*given))
        assert len(compared) < 9, "the intake does not come to its end"
        return compared[-1]

    monkeypatch.setattr(sync, "flow_steps", flow_steps)
    alices = _Flow(reading(name="Alice's", requestors=who(ALICE)))
    moved = anew([p for p in PEOPLE if p.id == ALICE])
    left = [replace(p, status=PersonStatus.INACTIVE) if p.id == ALICE else p for p in PEOPLE]
    both = Manifests((*left, *moved, *CROWD), GROUPS, frozenset({ADA}), (), (alices,))
    take_in(services, replace(both, people=(*PEOPLE, *CROWD)))
    people.carry(desk, people.look(desk, both, []), stored.keys)

    for _ in range(2):
        take_in(services, both)

    (flow,) = (f for f in services.company().flows.values() if f.name == "Alice's")
    assert (flow.number, str(flow.revision.requestors)) == (1, str(who("e-alice")))


def who(id_) -> ConditionGroup:
    return ConditionGroup((Condition("user", Comparator.IS, (id_,)),))


@pytest.fixture
def migrated(door):
    """The door, where everybody has a new id, and no loop has gone on since."""
    listed = manifests.load(COMPANY)
    new = tuple(replace(p, id=f"e-{p.id}", manager=None) for p in listed.people)
    desk = Desk(door.database, door.services.companies, door.clock)
    found = people.look(desk, replace(listed, people=new), [])
    assert people.carry(desk, found, door.services.keys) is None
    assert "e-marta" in door.services.company().directory.people
    return door


def test_people_have_what_is_theirs_before_the_loops_have_gone_on(migrated):
    """The requests still name them by the ids that they had."""
    door = migrated
    running = next(r for r in door.requests() if r.state is State.ACTIVE)
    waiting = next(r for r in door.requests() if r.state is State.PENDING)
    assert (running.grantee, waiting.requestor) == ("marta", "anil")
    (decides, *_) = (ask.person for ask in waiting.asks)
    desk = Desk(door.database, door.services.companies, door.clock)

    assert running.code in str(door.command("marta", "my").payload)
    assert waiting.code in str(door.command("anil", "my").payload)
    assert waiting.code in str(door.command(decides, "tasks").payload)
    assert "Password:" in door.click("marta", ids.CREDENTIALS, str(running.id)).said
    assert revoke.chosen(desk, None, door.person("e-marta").email) == [running]
    assert not door.click(decides, ids.APPROVE, str(waiting.id)).errors
    door.submit(decides, modal(ids.APPROVE_MODAL, str(waiting.id)))
    door.click("marta", ids.RETURN, str(running.id))
    door.work()

    assert door.request(running.id).state is State.RETURNED
    assert door.request(waiting.id).state is State.ACTIVE
    assert {door.request(r.id).grantee for r in (running, waiting)} == {"e-marta", "e-anil"}
