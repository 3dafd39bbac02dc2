"""What people are told in Slack of access that is given in part, not at all, or not for now."""

from dataclasses import replace

import pytest

from bot.usecases import discover
from engine.port import Target
from tests.support.inside import SYSTEM, TABLE, Inside

CUSTOMERS = Target(TABLE.type, TABLE.source_id, TABLE.path, "read")


class People:
    """Marta asks, Priya approves, Ines administers Latchkey."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.marta, self.priya, self.ines = (
            inside.sandbox.person(f"{name}@harbourpine.example")
            for name in ("marta", "priya", "ines")
        )

    def ask(self) -> None:
        self.marta.command("/access", "request read on orders/shop/customers: INC-1")
        with self.inside.watched() as woken:
            self.marta.wait_view("Request access").submit()
            self.inside.program.run_until_idle(woken)

    def approve(self) -> None:
        self.priya.wait_message("Your approval is needed").click("approve")
        with self.inside.watched() as woken:
            assert not self.priya.wait_view("Approve access").submit().errors
            self.inside.program.run_until_idle(woken)

    def wait(self, seconds: float) -> None:
        """Let time pass, and the loops work."""
        self.inside.sandbox.advance(seconds)
        self.inside.run()

    def discover(self) -> None:
        discover.discover(self.inside.program.services, SYSTEM)
        self.inside.run()


@pytest.fixture
def people(inside):
    return People(inside)


def test_what_is_left_out_and_cannot_be_used_is_said_to_all_concerned(people, inside):
    """A schema with one table of somebody else's was refused, or said to be given whole."""
    inside.system.add(replace(TABLE, caveat="Row security hides most of its rows."))
    inside.system.leave_out(CUSTOMERS, "geo, which belongs to postgres")
    people.discover()

    people.ask()
    assert "Row security hides most" in people.priya.wait_message("Your approval is needed").text
    people.approve()

    for person in (people.marta, people.priya):
        assert person.wait_message("all but geo, which belongs to postgres")
    people.marta.wait_message("Access is active").click("credentials")
    said = people.marta.wait_view("How to log in").text
    assert "all but geo, which belongs to postgres" in said
    assert "Row security hides most of its rows." in said


def test_what_will_not_be_given_is_told_with_its_cure(people, inside):
    """It was tried until it lapsed, a day later."""
    cure = "Latchkey may not give SELECT. Cure: GRANT shop_owner TO latchkey;"
    inside.system.withhold(CUSTOMERS, cure)
    people.ask()
    people.approve()

    for seconds in (2, 5):
        people.wait(seconds)

    assert cure in people.marta.wait_message("was refused").text
    assert cure in people.ines.wait_message("was refused").text
    assert people.marta.wait_message("Access could not be given")


def test_another_server_is_told_to_the_admins_and_access_there_waits(people, inside):
    for server in ("pg/1/1", "pg/2/1"):
        inside.system.rebuild(server)
        people.discover()
    said = people.ines.wait_message("another server answers").text
    assert "latchkey integrations accept orders-db" in said

    people.ask()
    people.approve()
    for seconds in (2, 5, 9):
        people.wait(seconds)

    assert people.marta.wait_message("being set up")
    assert people.ines.wait_message("could not be brought in line")
