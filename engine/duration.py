"""Durations as people write and read them: `90`, `1.5 h`, `2 h 30`, `3 days`."""

import re
import unicodedata
from datetime import timedelta

from engine.flow import MAX_DURATION, MIN_DURATION
from engine.outcome import Code, Refusal
from engine.words import in_a_row

_EXAMPLES = {
    "5 min": 5,
    "15 min": 15,
    "30 min": 30,
    "45 min": 45,
    "90 min": 90,
    "1.5 h": 90,
    "2 h 30": 150,
    "3 days": 3 * 24 * 60,
}

_ENDLESS = {"without end", "no end", "for ever", "forever", "ever", "indefinite", "indefinitely"}
_MINUTE = timedelta(minutes=1)
_UNITS = {
    1: "m min mins minute minutes minuten",
    60: "h hr hrs hour hours std stunde stunden",
    24 * 60: "d day days tag tage tagen",
    7 * 24 * 60: "w week weeks woche wochen",
}
_MINUTES = {word: minutes for minutes, words in _UNITS.items() for word in words.split()}

_CLOCK = re.compile(r"(\d+):([0-5]\d)")
# At most two decimals: “1,000” is a thousand to one reader and one to the next.
_PART = re.compile(r"(\d+)(?:[.,](\d{1,2}))?\s*([^\W\d_]*)\.?\s*(?:(?:and|und)\s+(?=\d))?")
_MINUTES_LEFT = re.compile(r"[0-5]?\d")


def hint_below(most: timedelta = MAX_DURATION) -> str:
    """Say how a duration is written, by some that are not longer than that."""
    fitting = [words for words, minutes in _EXAMPLES.items() if timedelta(minutes=minutes) <= most]
    return f"Write minutes, or something like {in_a_row(fitting[-4:], last='or')}."


HINT = hint_below()


def parse(
    text: str, *, least: timedelta = MIN_DURATION, most: timedelta = MAX_DURATION
) -> timedelta | Refusal:
    """Read a duration of whole minutes. A plain number is minutes; `1:30` is 1 h 30."""
    plain = _plain(text)
    hundredths = _hundredths(plain.lstrip("-\N{MINUS SIGN}\N{EN DASH}").lstrip())
    if not plain:
        return _refusal(f"Say for how long. {HINT}")
    if hundredths is None:
        return _refusal(f"“{_shown(text)}” is not a time. {HINT}")
    if hundredths == 0:
        return _refusal(f"No time at all is too little: the shortest is {in_words(least)}. {HINT}")
    if not plain[0].isdigit():
        return _refusal(f"“{_shown(text)}” is negative: the shortest time is {in_words(least)}.")
    if hundredths > most // _MINUTE * 100:
        return _refusal(f"“{_shown(text)}” is too long: the longest time is {in_words(most)}.")
    if hundredths < least // _MINUTE * 100:
        return _refusal(f"“{_shown(text)}” is too short: the shortest time is {in_words(least)}.")
    minutes, rest = divmod(hundredths, 100)
    if rest:
        near = in_words(timedelta(minutes=minutes))
        return _refusal(f"“{_shown(text)}” is not a whole number of minutes. Try {near}.")
    return timedelta(minutes=minutes)


def parse_or_endless(text: str) -> timedelta | Refusal | None:
    """Read a duration of whole minutes, or words for access without end: None."""
    return None if " ".join(_plain(text).split()) in _ENDLESS else parse(text)


def in_words(duration: timedelta | None) -> str:
    """Say a duration as people do: `30 min`, `2 h 30`, `3 days`."""
    if duration is None:
        return "without end"
    minutes = round(duration.total_seconds() / 60)
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [f"{days} day{'s' if days > 1 else ''}"] if days else []
    if hours:
        parts.append(f"{hours} h")
    if minutes:
        parts.append(f"{minutes:02}" if hours else f"{minutes} min")
    return " ".join(parts) or "under a minute"


def _plain(text: str) -> str:
    """Return the text in small ASCII digits and letters, as far as it has them.

    Numbers that are no digits, such as ² and ½, stay: folded they would read as other numbers.
    """
    kept = "".join(
        c if unicodedata.category(c) == "No" else unicodedata.normalize("NFKC", c) for c in text
    )
    digits = "".join(str(unicodedata.decimal(c, c)) for c in kept.casefold())
    return digits.replace("\N{ARABIC DECIMAL SEPARATOR}", ".").strip()


def _hundredths(text: str) -> int | None:
    """Return hundredths of minutes, or None: not a time."""
    if clock := _CLOCK.fullmatch(text):
        return (_number(clock[1]) * 60 + int(clock[2])) * 100
    total, at, smallest = 0, 0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        whole, decimals, word = part.groups()
        if word:
            unit = _MINUTES.get(word, 0)
        else:  # a bare number: minutes, alone or after hours, at the end
            alone = at == 0 or (smallest == 60 and _MINUTES_LEFT.fullmatch(whole) and not decimals)
            unit = 1 if alone and part.end() == len(text) else 0
        if not unit or (smallest and unit >= smallest):
            return None
        total += (_number(whole) * 100 + int((decimals or "").ljust(2, "0"))) * unit
        at, smallest = part.end(), unit
    return total if smallest else None


def _number(digits: str) -> int:
    """Nine digits are past every limit already, and int() refuses thousands of them."""
    return int(digits.lstrip("0")[:9] or "0")


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def _refusal(sentence: str) -> Refusal:
    return Refusal(Code.BAD_DURATION, sentence, about="duration")
