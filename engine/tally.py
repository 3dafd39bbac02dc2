"""Whether enough people approved, and how many each group still lacks (docs/rules.md).

A group needs different people for each of its parts, as many as it says. Where people have to be
distinct, each of them is assigned to one group at most, whichever order they came in.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

Part: TypeAlias = Hashable
# What somebody counts for: of each group, by its place, the parts.
Covers: TypeAlias = Mapping[int, Collection[Part]]
Lacks: TypeAlias = dict[tuple[int, Part], int]

_Kind: TypeAlias = tuple[int, ...]  # for each group, the classes that somebody counts for, as bits
_Counts: TypeAlias = tuple[int, ...]
_At: TypeAlias = tuple[int, int]  # a class of a group


@dataclass(frozen=True, slots=True)
class Need:
    """What a group needs: how many people for each of its parts."""

    parts: Mapping[Part, int]


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
        return self._fits(self._wanted)

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
        wanted = {(g, p): many for g, n in enumerate(self.needs) for p, many in n.parts.items()}
        return {at: many - have[at] for at, many in wanted.items() if many > have[at]}

    def _left_over(self) -> Iterator[tuple[tuple[int, Part], int]]:
        filled = [[0] * len(classes) for classes in self._classes]
        for group, need in enumerate(self.needs):
            for at, parts in enumerate(self._classes[group]):
                while filled[group][at] < self._wanted[group][at]:
                    filled[group][at] += 1
                    if not self._fits(filled):
                        filled[group][at] -= 1
                        break
                for part in parts:
                    if (lacks := need.parts[part] - filled[group][at]) > 0:
                        yield (group, part), lacks

    @cached_property
    def _by_whom(self) -> list[dict[frozenset[int], list[Part]]]:
        """Each group's parts, those together for which the same people count; of fewer first."""
        found = []
        for group, need in enumerate(self.needs):
            by_whom: dict[frozenset[int], list[Part]] = {}
            for part in need.parts:
                whom = (i for i, covers in enumerate(self.people) if part in covers.get(group, ()))
                by_whom.setdefault(frozenset(whom), []).append(part)
            found.append(dict(sorted(by_whom.items(), key=lambda item: len(item[0]))))
        return found

    @cached_property
    def _classes(self) -> list[list[list[Part]]]:
        return [list(by_whom.values()) for by_whom in self._by_whom]

    @cached_property
    def _nested(self) -> list[bool]:
        """Of each group, whether all who count for one of its classes do so for the next, too."""
        return [all(one <= other for one, other in pairwise(by_whom)) for by_whom in self._by_whom]

    @cached_property
    def _wanted(self) -> list[list[int]]:
        """How many people each class wants: as many as that part of it which needs most."""
        return [
            [max(map(need.parts.__getitem__, parts)) for parts in classes]
            for need, classes in zip(self.needs, self._classes, strict=True)
        ]

    @cached_property
    def _kinds(self) -> Mapping[_Kind, int]:
        """How many people there are of each kind: no more than could be of use."""
        most = sum(map(sum, self._wanted))
        many = Counter(tuple(self._bits(covers)) for covers in self.people)
        return {kind: min(count, most) for kind, count in many.items() if any(kind)}

    def _bits(self, covers: Covers) -> Iterator[int]:
        for group, classes in enumerate(self._classes):
            mine = covers.get(group, ())
            yield sum(1 << at for at, parts in enumerate(classes) if parts[0] in mine)

    def _fits(self, wanted: Sequence[Sequence[int]]) -> bool:
        """Tell whether each class of each group can have as many people as are wanted."""
        nested: list[tuple[_At, int]] = []
        split: dict[_At, int] = {}
        for group, many in enumerate(wanted):
            there = 0
            for at, n in enumerate(many):
                if not self._nested[group]:
                    split[group, at] = n
                elif n > there:  # those of the classes before count here as well
                    nested.append(((group, at), n - there))
                    there = n
        return _Search(tuple(self._kinds), nested).finds(tuple(self._kinds.values()), split)


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for an assignment: of groups whose classes are not nested first."""

    kinds: Sequence[_Kind]
    nested: Sequence[tuple[_At, int]]  # classes of the others, and how many more people they want
    hopeless: set[tuple[_Counts, _Counts]] = field(default_factory=set[tuple[_Counts, _Counts]])

    def finds(self, left: _Counts, split: Mapping[_At, int]) -> bool:
        """Tell whether those who are left, by kind, suffice for what classes of groups want yet."""
        state = left, tuple(split.values())
        if state in self.hopeless:
            return False
        if _matched(self.kinds, left, self.nested):
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

    def _there(self, left: _Counts, at: _At) -> int:
        return sum(n for kind, n in zip(self.kinds, left, strict=True) if kind[at[0]] >> at[1] & 1)


def _less(split: Mapping[_At, int], group: int, covers: int) -> Mapping[_At, int]:
    """Return what is wanted yet once somebody is assigned to these classes of the group."""
    return {
        (g, at): many - 1 if many and g == group and covers >> at & 1 else many
        for (g, at), many in split.items()
    }


def _matched(kinds: Sequence[_Kind], left: _Counts, wanted: Iterable[tuple[_At, int]]) -> bool:
    """Tell whether each class can have as many people as it wants (augmenting paths)."""
    given: list[list[_At]] = [[] for _ in kinds]  # the classes that those of a kind are assigned to

    def place(where: _At, tried: set[int]) -> bool:
        group, at = where
        for i, kind in enumerate(kinds):
            if i in tried or not kind[group] >> at & 1:
                continue
            tried.add(i)
            if len(given[i]) < left[i]:
                given[i].append(where)
                return True
            for n, other in enumerate(given[i]):
                if other != where and place(other, tried):
                    given[i][n] = where
                    return True
        return False

    return all(place(where, set()) for where, many in wanted for _ in range(many))
