"""The audit's chain: whole, it says nothing; whatever is changed, cut off or put in is found."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audit import (
    BOUND,
    ENTRY,
    HEAD,
    Anchor,
    AuditKey,
    BadAnchorError,
    Chain,
    Head,
    Written,
    bound,
    digest,
    line,
)
from engine.request import RequestId

OURS, OLD = AuditKey("aaaa0000", b"ours"), AuditKey("bbbb0000", b"old")
AT = "2026-03-02T09:00:00+00:00"


def written(before, action, key=OURS, detail=None) -> Written:
    """Return the entry that comes after another."""
    seq, id_ = before.seq + 1, key.id if key else ""
    about = (seq, AT, "ann", action, RequestId(7), detail or {"why": action})
    link = digest(line(before.hash, *about, key=id_))
    return Written(*about, link, id_, key.mac(ENTRY, link) if key else "")


def log_of(many, key=OURS, before=None) -> list[Written]:
    log = [before or Written(0, "", "", "", None, {}, "", "", "")]
    for number in range(many):
        log.append(written(log[-1], f"a{number}", key))
    return log[1:]


def head_of(log, key=OURS) -> Head:
    last = log[-1]
    return Head(last.seq, last.hash, key.mac(HEAD, last.seq, last.hash) if key else "")


def findings(log, head, *, keys=(OURS,), anchors=()) -> list[str]:
    chain = Chain({key.id: key for key in keys}, anchors)
    found = [*chain.begin(head)]
    for entry in log:
        found += chain.read(entry)
    return [*found, *chain.end(head, len(log))]


def test_a_whole_log_says_nothing():
    log = log_of(3)

    assert findings(log, head_of(log)) == []
    assert findings(log, head_of(log), anchors=[Anchor(2, log[1].hash)]) == []
    assert findings([], Head()) == []


def test_a_row_that_has_no_number_of_its_own_is_found():
    log = log_of(3)
    chain = Chain({OURS.id: OURS})
    found = [*chain.begin(head_of(log)), *(said for entry in log for said in chain.read(entry))]

    found += chain.end(head_of(log), 4)

    assert found == ["there are 4 entries, of which 3 have a number of their own"]


def test_who_has_no_key_can_write_nothing_that_is_believed():
    log = log_of(2)
    forged = [*log, written(log[-1], "approved", AuditKey(OURS.id, b"another"))]

    found = findings(forged, head_of(forged, AuditKey(OURS.id, b"another")))

    assert any("written by somebody who does not have key aaaa0000" in said for said in found)
    assert any("the head, at entry 3, is not as Latchkey had left it" in said for said in found)


def test_what_was_written_before_there_was_a_key_only_an_anchor_knows():
    early = log_of(2, None)
    log = [*early, written(early[-1], BOUND, OURS, bound_by(early[-1], head_of(early, None)))]

    (said,) = findings(log, head_of(log))

    assert said.startswith("entries 1 to 2: written without a key, before there was one")
    assert findings(log, head_of(log), anchors=[Anchor(2, early[1].hash)]) == []


def bound_by(last, head, keys=()) -> dict[str, object]:
    newest = last.seq, last.hash, last.key
    (entry,) = bound(newest, head, {key.id: key for key in keys}, fits=True)
    return dict(entry.detail)


def test_a_new_key_says_first_that_the_old_one_had_left_the_head_so():
    old = log_of(2, OLD)
    log = [*old, written(old[-1], BOUND, OURS, bound_by(old[-1], head_of(old, OLD), [OLD]))]

    assert findings(log, head_of(log), keys=[OURS, OLD]) == []
    assert findings(log, head_of(log), keys=[OURS]) == []  # whoever bound it vouches for it


def test_a_head_that_was_moved_is_said_in_the_next_entry_and_found_by_it():
    log = log_of(3)
    cut = log[:2]
    (entry,) = bound((2, cut[-1].hash, OURS.id), head_of(log), {OURS.id: OURS}, fits=False)

    assert entry.detail["intact"] is False
    then = [*cut, written(cut[-1], BOUND, OURS, dict(entry.detail))]
    (said,) = findings(then, head_of(then))
    assert "entries after 2 were cut off or put in" in said


@pytest.mark.parametrize(("many", "fits"), [(3, False), (2, True)])
def test_a_head_that_names_another_entry_or_one_that_does_not_fit_is_not_intact(many, fits):
    log = log_of(3)
    newest = log[-1].seq, log[-1].hash, OURS.id

    (entry,) = bound(newest, head_of(log[:many]), {OURS.id: OURS}, fits=fits)

    assert entry.detail["intact"] is False
    assert entry.detail["head"].startswith(f"{many}:")


def test_nothing_is_said_of_the_head_of_an_empty_log():
    assert bound((0, "", ""), Head(), {OURS.id: OURS}, fits=True) == []


@pytest.mark.parametrize("text", ["", "7", "0:" + 64 * "a", "7:" + 63 * "a", "7:" + 64 * "g"])
def test_what_is_no_anchor_is_refused(text):
    with pytest.raises(BadAnchorError):
        Anchor.of(text)


def test_an_anchor_reads_as_it_is_written():
    known = Anchor(7, 64 * "a")

    assert Anchor.of(f" {known}\n") == known == Head(7, known.hash).anchor
    assert Head().anchor is None


def changed(entry, what) -> Written:
    other = {"detail": {"why": "another"}, "request": RequestId(8), "seq": entry.seq + 1}
    return replace(entry, **{what: other.get(what, "other")})


DAMAGE = st.sampled_from(
    ["seq", "at", "actor", "action", "request", "detail", "hash", "mac", "key", "cut", "twice"]
)


@given(st.integers(1, 6), st.integers(0, 5), DAMAGE)
def test_whatever_is_done_to_an_entry_is_found(many, which, what):
    """And an anchor that was handed out before shows it to who has no key at all."""
    log = log_of(many)
    at = which % many
    before, after = log[:at], log[at + 1 :]
    damaged = {"cut": [*before, *after], "twice": [*before, log[at], log[at], *after]}.get(what)
    if damaged is None:
        damaged = [*before, changed(log[at], what), *after]

    assert findings(damaged, head_of(log))
    if what not in {"mac", "key"}:
        newest = head_of(log).anchor
        assert findings(damaged, head_of(log), keys=(), anchors=[newest] if newest else [])


def test_what_is_missing_is_named_by_its_numbers():
    log = log_of(5)

    one, *_ = findings([log[0], *log[2:]], head_of(log))
    several, *_ = findings([log[0], *log[3:]], head_of(log))

    assert one == "entry 2 is missing: the next is 3"
    assert several == "entries 2 to 3 are missing: the next is 4"


@pytest.mark.parametrize(
    ("head", "is_place"),
    [
        (Head(), True),
        (Head(1, "a"), True),
        (Head(-1, "a"), False),
        (Head("1", "a"), False),
        (Head(1, None), False),
    ],
)
def test_a_head_may_be_anything(head, is_place):
    assert head.is_place is is_place


def test_entries_from_before_there_were_keys_are_counted_apart():
    early = log_of(2, None)
    log = [*early, written(early[-1], BOUND, OURS, bound_by(early[-1], head_of(early, None)))]
    chain = Chain({OURS.id: OURS}, [Anchor(2, early[1].hash)])

    said = [*chain.begin(head_of(log))]
    for entry in log:
        said += chain.read(entry)
    said += chain.end(head_of(log), len(log))

    assert (said, chain.entries, chain.early) == ([], 3, 2)
