"""People, groups and conditions of every kind, for tests that several back ends say alike."""

from dataclasses import replace
from datetime import time

from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, Connective
from engine.directory import Group, GroupId, PersonId, PersonStatus
from engine.on_call import Schedule, Shift
from engine.window import Day, Window
from tests.support.stored import person

ALWAYS = Window(frozenset(Day), time(), time(), "UTC")
IDS = ["p0", "p1", "p2", "p3"]
WORDS = [*"abA%_", "\\", "'", '"', "ab", "a b", "ß", "SS", "İ", "i̇", "ﬁ", "fi", "Σας"]
SOURCES = {"file:a": "file", "file:b": "file", "hr:a": "hr", "slack:a": "slack"}
ATTRIBUTES = ["team", 'o"dd', "Team", "$.x", "user.name"]

words = st.sampled_from(WORDS)
people = st.builds(
    lambda name, email, groups, manager, attributes, status: replace(
        person("p", manager="p"),
        name=name,
        email=email,
        groups=frozenset(map(GroupId, groups)),
        manager=manager and PersonId(manager),
        attributes={key: tuple(values) for key, values in attributes.items() if values},
        status=status,
    ),
    words,
    words.map(lambda word: f"{word}@x.example"),
    st.sets(st.sampled_from([*SOURCES, "file:gone"]), max_size=3),
    st.none() | st.sampled_from([*IDS, "left"]),
    st.dictionaries(st.sampled_from(ATTRIBUTES), st.lists(words, max_size=3), max_size=2),
    st.sampled_from([*[PersonStatus.ACTIVE] * 3, *PersonStatus]),
)
companies = st.lists(people, min_size=4, max_size=4).map(
    lambda made: [replace(p, id=PersonId(id_)) for id_, p in zip(IDS, made, strict=True)]
)
groups_called = st.tuples(*[words] * len(SOURCES)).map(
    lambda names: [
        Group(GroupId(id_), source, name)
        for (id_, source), name in zip(SOURCES.items(), names, strict=True)
    ]
)
conditions = st.builds(
    Condition,
    st.sampled_from(["user", "group", "manager", "on_call", "nobody's", *ATTRIBUTES]),
    st.sampled_from(Comparator),
    st.lists(words | st.sampled_from([*IDS, *SOURCES, "file:gone"]), max_size=3).map(tuple),
)
groups = st.builds(
    ConditionGroup, st.lists(conditions, max_size=3).map(tuple), st.sampled_from(Connective)
)
duty = st.lists(
    st.builds(lambda name, who: Schedule(name, (Shift(ALWAYS, tuple(who)),)), words,
              st.lists(st.sampled_from([*IDS, "left"]), max_size=2)),
    max_size=2, unique_by=lambda schedule: schedule.name.casefold(),
)  # fmt: skip
failing = st.sampled_from([(), (), (), ("hr",), ("file",), ("slack", "on_call")])
