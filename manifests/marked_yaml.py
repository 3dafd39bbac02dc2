"""Reads YAML that people write: plain values, and the line of each. What is odd is a fault.

Scalars stay text, so that `NO` is Norway and `1:30` no number; whoever knows what is wanted there
reads them. Empty ones are None.
"""

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

__all__ = ["Document", "DocumentFault", "Place", "content", "is_clean", "read", "read_text"]

Place = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 250_000  # with every alias written out

_CORE = "tag:yaml.org,2002:"
_NULL, _MERGE = f"{_CORE}null", f"{_CORE}merge"
# Tabs, marks of byte order, keys of several lines, and comments that touch what they follow.
_READ_OTHERWISE = re.compile(r"[\t\ufeff]|\?(?=\s|$)|[|>]#")
_SCALARS = {f"{_CORE}{t}" for t in ("str", "null", "bool", "int", "float", "timestamp", "value")}


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """One thing that is wrong, where, and what would cure it. Line 0: the file as a whole."""

    file: str
    line: int
    place: Place
    sentence: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return ": ".join(part for part in (where, place.lstrip("."), self.sentence) if part)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `lines` has the line of every value, by its place."""

    file: str
    data: object
    lines: Mapping[Place, int]

    def fault(self, place: Place, sentence: str) -> DocumentFault:
        return DocumentFault(self.file, self._line(place), place, sentence)

    def where(self, place: Place) -> str:
        return f"{self.file}:{self._line(place)}"

    def _line(self, place: Place) -> int:
        """What is missing has the line of what it is missing from."""
        return next(
            self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines
        )


def read(path: Path, name: str) -> tuple[list[Document], list[DocumentFault]]:
    """Return the file's documents and all that is wrong with them. Raises nothing."""
    text = read_text(path, name)
    if isinstance(text, DocumentFault):
        return [], [text]
    try:
        nodes = compose(text)
    except RecursionError:
        return [], [DocumentFault(name, 0, (), f"It is nested more than {MAX_DEPTH} deep.")]
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return [], [_not_yaml(name, text, error)]
    documents: list[Document] = []
    faults: list[DocumentFault] = []
    for node in nodes:
        reading = _Reading(name)
        try:
            data = reading.value(node, ())
        except _TooMuchError as error:
            reading.faults.append(DocumentFault(name, error.line, (), error.sentence))
        else:
            documents.append(Document(name, data, reading.lines))
        faults += reading.faults
    if not any(document.data is not None for document in documents) and not faults:
        return [], [DocumentFault(name, 0, (), "The file is empty.")]
    return [d for d in documents if d.data is not None], faults


def compose(text: str) -> list[yaml.Node]:
    """Read by libyaml, ten times as fast, what both read alike; else by Python, which says why."""
    if yaml.__with_libyaml__ and not _READ_OTHERWISE.search(text):
        with suppress(yaml.YAMLError, ValueError, OverflowError):
            if _is_shallow(text):  # it goes down by recursion, to the end of its stack
                return list(yaml.compose_all(text, yaml.CSafeLoader))
    return list(yaml.compose_all(text, yaml.SafeLoader))


def _is_shallow(text: str) -> bool:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            return False
    return True


def content(path: Path) -> bytes:
    """Return a plain file, or its beginning that is too large. Raises OSError.

    A pipe without a writer would be waited for without end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        return file.read(MAX_BYTES + 1)


def read_text(path: Path, name: str) -> str | DocumentFault:
    """Return what a file says, or what is wrong with it as a whole. Raises nothing."""
    try:
        raw = content(path)
    except FileNotFoundError:
        return DocumentFault(name, 0, (), "The file is missing.")
    except OSError as error:
        return DocumentFault(name, 0, (), f"The file cannot be read: {error.strerror}.")
    if len(raw) > MAX_BYTES:
        return DocumentFault(name, 0, (), f"The file is over {MAX_BYTES:,} bytes. Split it.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"Byte 0x{raw[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        return DocumentFault(name, line, (), found)


def _not_yaml(name: str, text: str, error: Exception) -> DocumentFault:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        problem = error.problem or "it cannot be read"
        if "'\\t'" in problem:
            problem = "a tab stands where only spaces may"
        elif error.context:
            problem = f"{problem} ({error.context})"
        return DocumentFault(name, error.problem_mark.line + 1, (), f"This is not YAML: {problem}.")
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return DocumentFault(name, line, (), "A control character stands here. Take it out.")
    return DocumentFault(
        name, 0, (), "This is not YAML: an escape or a number in it is out of range."
    )


class _TooMuchError(Exception):
    def __init__(self, node: yaml.Node, sentence: str) -> None:
        super().__init__(sentence)
        self.line = node.start_mark.line + 1
        self.sentence = sentence


@dataclass(slots=True)
class _Reading:
    file: str
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[DocumentFault] = field(default_factory=list)
    left: int = MAX_VALUES
    depth: int = 0

    def value(self, node: yaml.Node, place: Place) -> object:
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._spend(node)
        self.depth += 1
        try:
            match node:
                case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                    return self._mapping(node, place)
                case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                    return [self.value(item, (*place, i)) for i, item in enumerate(node.value)]
                case yaml.ScalarNode() if node.tag in _SCALARS:
                    return self._scalar(node, place)
            self._add(node, place, f"The tag {_short(node.tag)} is not understood. Take it out.")
            return None
        finally:
            self.depth -= 1

    def _spend(self, node: yaml.Node) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooMuchError(
                node, f"With its aliases written out the file has over {MAX_VALUES:,} values."
            )
        if self.depth >= MAX_DEPTH:
            raise _TooMuchError(
                node, f"It is nested more than {MAX_DEPTH} deep, or an alias holds itself."
            )

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        data: dict[str, object] = {}
        first: dict[str, int] = {}
        merges: list[yaml.Node] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            word = key.value.strip() if isinstance(key, yaml.ScalarNode) else ""
            if key.tag == _MERGE:
                merges += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key, yaml.ScalarNode):
                self._add(key, place, "A key has to be one word, not a list or more keys.")
            elif word in first:  # white space around it is taken off wherever it is read
                twice = f"The key {_short(word)} stands on lines {first[word]} and {line}"
                self._add(key, (*place, key.value), f"{twice}. Keep one.")
            elif self._clean(key, place):
                first[word] = line
                self.lines.setdefault((*place, key.value), line)
                data[key.value] = self.value(value, (*place, key.value))
        for source in merges:
            merged = self.value(source, place)
            if isinstance(merged, dict):
                data = {**merged, **data}
            else:
                self._add(source, place, "`<<` takes an alias of a mapping: `<<: *base`.")
        return data

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> str | None:
        return None if node.tag == _NULL or not self._clean(node, place) else str(node.value)

    def _clean(self, node: yaml.ScalarNode, place: Place) -> bool:
        if is_clean(node.value):
            return True
        self._add(node, place, "A control character stands in this text. Take it out.")
        return False

    def _add(self, node: yaml.Node, place: Place, sentence: str) -> None:
        self.faults.append(DocumentFault(self.file, node.start_mark.line + 1, place, sentence))


def is_clean(text: str) -> bool:
    """Tell whether a database and Slack could keep it: no NUL, no lone surrogates, …"""
    return all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} for c in text)


def _short(text: str) -> str:
    return f"`{text if len(text) <= 40 else text[:39] + '…'}`"
