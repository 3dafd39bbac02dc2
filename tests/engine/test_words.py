"""What people write, as its reader sees it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.words import in_a_row, line, no_pattern, quoted, trimmed, visible

_EVERY = (chr(number) for number in range(0x110000))
UNSEEN = [c for c in _EVERY if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co"}]
BLANK = "\u034f\u115f\u1160\u17b4\u180b\u2800\u3164\ufe0f\uffa0\U000e0100\U000e01ef"


def test_whatever_cannot_be_seen_is_written_as_an_escape():
    """A right-to-left override let a name read as another's."""
    shown = [visible(f"a{c}b") for c in [*UNSEEN, *BLANK] if c not in "\t\n"]

    assert all(text[1] == "\\" and text.isascii() for text in shown)
    assert visible("ann\u202egpj.exe") == "ann\\u202egpj.exe"
    assert visible("a\U000e0041b") == "a\\U000e0041b"


@pytest.mark.parametrize(
    "text",
    [
        "Noor van Dijk",
        "👩\u200d👩\u200d👧",
        "❤\ufe0f",
        "❤\ufe0f\u200d🔥",
        "🧑🏽\u200d💻",
        "1\ufe0f\u20e3",
        "علی\u200cرضا",
        "क्\u200dष",
        "葛\U000e0100城",
        "Zoë",
        "two\nlines",
        "a\tb",
        "‼\ufe0f",
        "↔\ufe0f",
    ],
)
def test_what_makes_one_sign_or_another_shape_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a\u200db",
        "\u200d👧",
        "👩\u200d",
        "a\ufe0f",
        "\ufe0f",
        "علی\u200c",
        "x\U000e0100",
        "$\ufe0f",
    ],
)
def test_what_joins_nothing_is_seen(text):
    assert "\\" in visible(text)


@given(st.text())
def test_two_texts_that_differ_in_what_is_unseen_do_not_look_alike(text: str):
    assert visible(f"{text}x\u200by") != visible(f"{text}xy")


@given(st.text())
def test_a_line_is_one_line(text: str):
    assert len(line(text).splitlines()) <= 1
    assert line(line(text)) == line(text)
    assert bool(line(text)) == bool(trimmed(text))


def test_a_line_keeps_its_words_apart():
    assert line(" fine.\r\n\u2028 > go\x85on ") == "fine. > go on"
    assert line("\u200b\n") == ""


@given(st.text())
def test_nobody_leaves_the_quotation_marks(text: str):
    inside = quoted(text)[1:-1]

    assert not set("“”") & set(inside)
    assert quoted(text)[0] + quoted(text)[-1] == "“”"


@pytest.mark.parametrize(
    ("many", "said"),
    [
        (0, ""),
        (1, "0"),
        (2, "0 and 1"),
        (5, "0, 1, 2, 3 and 4"),
        (6, "0, 1, 2, 3, 4 and 1 more"),
    ],
)
def test_things_in_a_row_are_said_as_people_do_and_the_rest_is_counted(many, said):
    assert in_a_row([str(n) for n in range(many)]) == said


def test_what_looks_like_a_pattern_is_told_what_to_write():
    assert no_pattern("abc", "x") == ""
    assert no_pattern("a*", "x", "y") == "a * stands for itself alone: write x or y"
