"""How much a loop, a sync or a job writes in one transaction: everybody else waits meanwhile.

One thing is written whole: a decision with all whom it concerns, a person, an account, a resource
with what can be had on it. Of several, none is begun any more once there are so many rows.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

MOST_ROWS = 400

T = TypeVar("T")


def _one(_: object) -> int:
    return 1


def parts(
    items: Iterable[T], weigh: Callable[[T], int] = _one, most: int = MOST_ROWS
) -> list[list[T]]:
    """Cut things up, in their order; `weigh` says how many rows one of them comes to.

    A part has no more rows than `most`, unless a single thing has.
    """
    cut: list[list[T]] = []
    weight = most
    for item in items:
        weight += weigh(item)
        if weight > most or not cut:
            cut.append([])
            weight = weigh(item)
        cut[-1].append(item)
    return cut
