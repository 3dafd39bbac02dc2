"""What is written in one transaction is cut up by the rows that it comes to."""

import itertools

from hypothesis import given
from hypothesis import strategies as some

from storage.bounds import MOST_ROWS, parts

WEIGHTS = some.lists(some.integers(0, 9), max_size=30)


@given(WEIGHTS, some.integers(1, 12))
def test_a_part_has_no_more_than_fits_unless_one_thing_has(weights, most):
    cut = parts(weights, lambda weight: weight, most)

    assert [weight for part in cut for weight in part] == weights
    assert all(cut)
    assert all(sum(part) <= most or len(part) == 1 for part in cut)


@given(WEIGHTS, some.integers(1, 12))
def test_nothing_is_left_for_the_next_part_that_would_have_fitted(weights, most):
    cut = parts(weights, lambda weight: weight, most)

    assert all(sum(part) + after[0] > most for part, after in itertools.pairwise(cut))


def test_things_of_a_row_each_are_cut_into_as_many_as_may_be_written():
    assert [len(part) for part in parts(range(2 * MOST_ROWS + 1))] == [MOST_ROWS, MOST_ROWS, 1]
    assert [list(part) for part in parts("abcde", most=2)] == [["a", "b"], ["c", "d"], ["e"]]
    assert parts([]) == []
