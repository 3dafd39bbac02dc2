"""Whether enough people approved, and how many each group still lacks (docs/rules.md).

A group needs so many different people for each of its parts. Where people have to be distinct, each
of them is assigned to one group at most, whichever order they came in.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

Part: TypeAlias = Hashable
# What somebody counts for: of each group, by its place, the parts.
Covers: TypeAlias = Mapping[int, Collection[Part]]
Lacks: TypeAlias = dict[tuple[int, Part], int]

_Kind: TypeAlias = tuple[int, ...]  # for each group, the classes that somebody counts for, as bits
_Counts: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """What a group needs: so many people for each of its parts."""

    parts: tuple[Part, ...]
    people: int = 1


@dataclass(frozen=True)
class Tally:
    """What groups need, and who is there for it."""

    needs: Sequence[Need]
    people: Sequence[Covers]
    distinct: bool

    def fulfilled(self) -> bool:
        """Tell whether every group has whom it needs."""
        if not self.distinct:
            return not self.lacking()
        return self._fits(
            [[n.people] * len(c) for n, c in zip(self.needs, self._classes, strict=True)]
        )

    def lacking(self) -> Lacks:
        """Return how many people each part of each group lacks; nothing: all is fulfilled.

        Distinct people fill the groups in their order: what could lack here as well as there lacks
        in the later one.
        """
        if self.distinct:
            return dict(self._left_over())
        have = Counter(
            (group, part)
            for covers in self.people
            for group, parts in covers.items()
            for part in set(parts)
        )
        wanted = {(g, p): n.people for g, n in enumerate(self.needs) for p in n.parts}
        return {at: many - have[at] for at, many in wanted.items() if many > have[at]}

    def _left_over(self) -> Iterator[tuple[tuple[int, Part], int]]:
        filled = [[0] * len(classes) for classes in self._classes]
        for group, need in enumerate(self.needs):
            for at, parts in enumerate(self._classes[group]):
                while filled[group][at] < need.people:
                    filled[group][at] += 1
                    if not self._fits(filled):
                        filled[group][at] -= 1
                        break
                lacks = need.people - filled[group][at]
                yield from (((group, part), lacks) for part in parts if lacks)

    @cached_property
    def _classes(self) -> list[list[list[Part]]]:
        """Each group's parts, those together for which the same people count."""
        found = []
        for group, need in enumerate(self.needs):
            by_whom: dict[frozenset[int], list[Part]] = {}
            for part in need.parts:
                whom = (i for i, covers in enumerate(self.people) if part in covers.get(group, ()))
                by_whom.setdefault(frozenset(whom), []).append(part)
            found.append(list(by_whom.values()))
        return found

    @cached_property
    def _kinds(self) -> Mapping[_Kind, int]:
        """How many people there are of each kind: no more than could be of use."""
        most = sum(n.people * len(c) for n, c in zip(self.needs, self._classes, strict=True))
        many = Counter(tuple(self._bits(covers)) for covers in self.people)
        return {kind: min(count, most) for kind, count in many.items() if any(kind)}

    def _bits(self, covers: Covers) -> Iterator[int]:
        for group, classes in enumerate(self._classes):
            mine = covers.get(group, ())
            yield sum(1 << at for at, parts in enumerate(classes) if parts[0] in mine)

    def _fits(self, wanted: Sequence[Sequence[int]]) -> bool:
        """Tell whether each class of each group can have as many people as are wanted."""
        whole = [(g, many[0]) for g, many in enumerate(wanted) if len(many) == 1]
        split = {(g, at): n for g, m in enumerate(wanted) if len(m) > 1 for at, n in enumerate(m)}
        return _Search(tuple(self._kinds), whole).finds(tuple(self._kinds.values()), split)


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for an assignment: groups of several classes first, then those of one."""

    kinds: Sequence[_Kind]
    whole: Sequence[tuple[int, int]]  # groups of one class, and how many people are wanted
    hopeless: set[tuple[_Counts, _Counts]] = field(default_factory=set[tuple[_Counts, _Counts]])

    def finds(self, left: _Counts, split: Mapping[tuple[int, int], int]) -> bool:
        """Tell whether those who are left, by kind, suffice for what classes of groups want yet."""
        state = left, tuple(split.values())
        if state in self.hopeless:
            return False
        if _matched(self.kinds, left, self.whole):
            open_ = [at for at, many in split.items() if many]
            if not open_:
                return True
            group, at = min(open_, key=lambda at: self._there(left, at) - split[at])
            for i, kind in enumerate(self.kinds):
                if left[i] and kind[group] >> at & 1:
                    rest = (*left[:i], left[i] - 1, *left[i + 1 :])
                    if self.finds(rest, _less(split, group, kind[group])):
                        return True
        self.hopeless.add(state)
        return False

    def _there(self, left: _Counts, at: tuple[int, int]) -> int:
        return sum(n for kind, n in zip(self.kinds, left, strict=True) if kind[at[0]] >> at[1] & 1)


def _less(
    split: Mapping[tuple[int, int], int], group: int, covers: int
) -> Mapping[tuple[int, int], int]:
    """Return what is wanted yet once somebody is assigned to these classes of the group."""
    return {
        (g, at): many - 1 if many and g == group and covers >> at & 1 else many
        for (g, at), many in split.items()
    }


def _matched(kinds: Sequence[_Kind], left: _Counts, wanted: Iterable[tuple[int, int]]) -> bool:
    """Tell whether each group can have as many people as it wants (augmenting paths)."""
    given: list[list[int]] = [[] for _ in kinds]  # the groups that those of a kind are assigned to

    def place(group: int, tried: set[int]) -> bool:
        for i, kind in enumerate(kinds):
            if i in tried or not kind[group]:
                continue
            tried.add(i)
            if len(given[i]) < left[i]:
                given[i].append(group)
                return True
            for at, other in enumerate(given[i]):
                if other != group and place(other, tried):
                    given[i][at] = group
                    return True
        return False

    return all(place(group, set()) for group, many in wanted for _ in range(many))
