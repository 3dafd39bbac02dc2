"""YAML is read by two readers: what the quick one reads, the other reads alike."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from manifests import marked_yaml

PIECES = [
    "a", "b: ", "- ", "\n", "\n  ", "\n    ", "\n\n", ": ", "[", "]", "{", "}", ",", "'", '"', "#",
    " # c", "&x ", "*x", "<<: *x", "|", "\n |\n", "> ", "!t ", "? ", "?", "\t", "é", "\x85",
    "\u2028", "~", "1:30", "NO", "---\n", "...\n", "%YAML 1.2\n", "\\n", "\x07", "@", "`", "::",
    "a:b", "-", "k: v\n", "- x\n", "  y: z\n", "\r\n", "\ufeff", "\ud800",
]  # fmt: skip


def meant(node, above=()):
    if node is None or id(node) in above:
        return None
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        return node.tag, node.value
    if isinstance(node, yaml.SequenceNode):
        return node.tag, [meant(each, above) for each in node.value]
    return node.tag, [(meant(key, above), meant(value, above)) for key, value in node.value]


def read(nodes):
    try:
        return [meant(node) for node in nodes()]
    except (yaml.YAMLError, ValueError, OverflowError):
        return "refused"


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_both_read_the_same(text):
    by_python = read(lambda: list(yaml.compose_all(text, yaml.SafeLoader)))
    assert read(lambda: marked_yaml.compose(text)) == by_python


def test_what_is_nested_without_end_ends_no_process(tmp_path):
    """libyaml goes down by recursion: 400,000 brackets ended the process."""
    file = tmp_path / "deep.yaml"
    for text in ("[" * 400_000, "- " * 400_000):
        file.write_text(text)
        documents, faults = marked_yaml.read(file, "deep.yaml")
        assert documents == []
        assert len(faults) == 1
