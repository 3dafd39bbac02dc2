"""What one life costs the database, counted in the real bot: listeners, loops and all."""

from tests.support.inside import whole_life


def test_a_whole_life_takes_at_most_14_transactions_and_92_statements(inside):
    costs = whole_life(inside)
    said = "; ".join(f"{name}: {cost}" for name, cost in costs.items())
    assert sum(cost.transactions for cost in costs.values()) <= 14, said
    assert sum(cost.statements for cost in costs.values()) <= 92, said
