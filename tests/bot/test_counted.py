"""What one life costs the database, counted in the real bot: listeners, loops and all."""

import pytest

from bot.sandbox.client import Sandbox
from bot.sandbox.house import MANIFESTS
from tests.support.inside import COMPANY, Inside, counted
from tests.support.postgres import drop_database, fresh_database


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=tmp_path / "clock",
        rate_factor=0,
    ) as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def inside(request, sandbox, tmp_path):
    if request.param == "sqlite":
        opened = Inside(sandbox, tmp_path, f"sqlite:///{tmp_path}/latchkey.db")
        yield opened
        opened.close()
        return
    cluster = request.getfixturevalue("cluster")
    url = fresh_database(cluster)
    opened = Inside(sandbox, tmp_path, url)
    yield opened
    opened.close()
    drop_database(cluster, url)


def test_a_whole_life_takes_at_most_14_transactions_and_90_statements(inside):
    """From pressing Request to the last card: approval, grant, offer, end.

    Of people whom Latchkey has written to before: the first message to each costs one more.
    """
    sandbox, costs = inside.sandbox, []
    marta, priya = (sandbox.person(f"{n}@harbourpine.example") for n in ("marta", "priya"))
    marta.command("/access", "request read on orders/shop/customers: INC-0")
    marta.wait_view("Request access").submit()
    inside.run({"messages"})
    marta.wait_message("INC-0").click("cancel")
    inside.run({"messages"})
    marta.command("/access", "request read on orders/shop/customers: INC-1")
    form = marta.wait_view("Request access")

    def step(name, act):
        with counted(inside.database) as cost, inside.watched() as woken:
            act()
            inside.run(woken)
        costs.append((name, cost))

    def approve():
        priya.wait_message("Your approval is needed").click("approve")
        assert not priya.wait_view("Approve access").submit().errors

    def time_passes(seconds):
        sandbox.advance(seconds)
        inside.program._loops["clock"]._drain()

    step("submit", form.submit)
    step("approve", approve)
    assert marta.wait_message("Access is active")
    step("offer", lambda: time_passes(51 * 60))
    assert marta.wait_message("Access ends soon")
    step("end", lambda: time_passes(60 * 60))
    assert marta.wait_message("Access has ended")
    said = "; ".join(f"{name}: {cost}" for name, cost in costs)
    assert sum(cost.transactions for _, cost in costs) <= 14, said
    assert sum(cost.statements for _, cost in costs) <= 90, said
