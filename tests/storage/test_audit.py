"""The audit: each line is bound to the one before and proven by a key, so that any change shows.

Whoever attacks here may write what they like into the database, and has no key.
"""

import hashlib
import json
from contextlib import closing, contextmanager
from datetime import timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, select, text, update
from sqlmodel import col

from engine.audit import BOUND, Anchor, BadAnchorError
from engine.commands import Return, Revoke
from engine.outcome import AuditEntry
from engine.request import OPERATOR, SYSTEM, State
from storage import audit, changes, counts, rebuilt, reconcile, schema
from storage.database import Database
from storage.secrets import KeyRing, new_key
from storage.tables import AuditHead, AuditRow
from storage.unread import Finding
from tests.support.stored import ADA, ALICE, BOB, HOUR, KEY, PG

SECOND, THIRD = new_key(), new_key()


def wrong(stored, *anchors) -> list[str]:
    with stored.database.read() as session:
        return list(audit.AuditReading(session, anchors).findings())


def anchor(stored) -> Anchor:
    with stored.database.read() as session:
        return audit.anchor(session)


def say(stored, *entries, at=None) -> None:
    with stored.database.write() as tx:
        audit.append(tx, [(None, e) for e in entries], at or stored.now)


def note(stored, n=0) -> None:
    say(stored, AuditEntry("noted", SYSTEM, {"n": n}))


def entries(stored) -> list[dict]:
    """Return the log as whoever has the database reads it."""
    with stored.database.read() as session:
        rows = session.execute(select(AuditRow.__table__).order_by(col(AuditRow.seq)))
        return [dict(row) for row in rows.mappings()]


@contextmanager
def keys(stored, *ring):
    """Write with other keys meanwhile; with none, as who has none."""
    before = stored.database.keys
    stored.database.keys = KeyRing(ring) if ring else None
    yield
    stored.database.keys = before


def tamper(owner, *statements) -> None:
    with owner.write() as tx:
        for statement in statements:
            tx.execute(statement)


def put_in_place(owner, log: list[dict], **head: object) -> None:
    """Make this the log, with the head at its end, whose MAC is what it was, if none is given."""
    end = {"seq": log[-1]["seq"], "hash": log[-1]["hash"]}
    tamper(
        owner,
        delete(AuditRow),
        insert(AuditRow).values(log),
        update(AuditHead).values(end | head),
    )


def rehashed(log: list[dict]) -> list[dict]:
    """Return the log with hashes that fit: for that no key is needed."""
    link, made = "", []
    for row in log:
        about = [row[name] for name in ("seq", "at", "actor", "action", "request_id", "body")]
        about[1] = about[1].isoformat()
        said = [link, *about, *([row["key"]] if row["key"] else [])]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        link = hashlib.sha256(text.encode()).hexdigest()
        made.append(row | {"hash": link})
    return made


@pytest.fixture
def log(stored):
    """A log of ten lines and a few more."""
    for n in range(10):
        say(stored, AuditEntry("noted", SYSTEM, {"n": n, "text": "Ärger “x” 🦊", "none": None}))
    return max(r.seq for r in stored.rows(AuditRow))


@pytest.mark.usefixtures("log")
def test_whole_chain_is_found_whole(stored):
    assert wrong(stored) == []


def test_log_without_a_line_is_whole_where_nothing_has_happened(empty_url):
    with closing(Database(empty_url)) as database:
        schema.upgrade(database)

        with database.read() as session:
            assert list(audit.AuditReading(session).findings()) == []


@pytest.mark.parametrize("head", [delete(AuditHead), update(AuditHead).values(seq=0, hash="")])
def test_a_log_that_was_emptied_shows_beside_what_was_stored_with_its_lines(stored, owner, head):
    """“The audit is whole: 0 entries.”, while people had access."""
    tamper(owner, delete(AuditRow), head)
    (fault,) = wrong(stored)
    assert fault.startswith("there is no entry of how flow ")
    assert "integration pg" in fault

    request = stored.submit()
    tamper(owner, delete(AuditRow), head)

    (fault, _) = wrong(stored)
    assert fault == f"there is no entry of how {request.code} began: it was taken out"


def test_a_log_that_was_emptied_and_has_gone_on_shows_by_the_requests_it_lacks(stored, owner):
    gone = [stored.submit(by=by) for by in (ALICE, BOB)]
    tamper(owner, delete(AuditRow), update(AuditHead).values(seq=0, hash="", mac=""))
    stored.submit("edit on handbook")

    (fault, _) = wrong(stored)

    which = f"{gone[0].code}, {gone[1].code}"
    assert fault == f"there is no entry of how {which} began: it was taken out"


def test_a_log_that_was_emptied_shows_though_each_request_has_a_new_entry(stored, owner):
    """`revoke --all` wrote one for each: the audit was called whole."""
    request = stored.submit()
    stored.converge()
    tamper(owner, delete(AuditRow), delete(AuditHead))
    stored.do(request, Revoke(OPERATOR, "enough"))
    assert {r.request_id for r in stored.rows(AuditRow)} == {request.id}

    (began, saved) = wrong(stored)

    assert request.code in began
    assert "integration pg" in saved


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory"),
        ("action", "approved"),
        ("request_id", 7),
        ("body", {"n": 6}),
        ("hash", "0" * 64),
    ],
)
@pytest.mark.parametrize("back", [0, 4])
def test_any_change_of_a_line_shows(stored, owner, log, column, value, back):
    line = update(AuditRow).where(col(AuditRow.seq) == log - back)
    tamper(owner, line.values({column: value}))

    assert wrong(stored)


def test_changed_time_shows(stored, owner, log):
    line = update(AuditRow).where(col(AuditRow.seq) == log - 3)
    tamper(owner, line.values(at=stored.now + timedelta(microseconds=1)))

    assert wrong(stored) == [f"entry {log - 3} (noted) was changed, or one before it"]


@pytest.mark.parametrize("back", [0, 4])
def test_line_that_is_missing_shows(stored, owner, log, back):
    tamper(owner, delete(AuditRow).where(col(AuditRow.seq) == log - back))

    faults = wrong(stored)
    expected = f"entry {log - 4} is missing: the next is {log - 3}"
    assert (expected in faults) == (back == 4)
    assert faults


@pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"seq": 3}, {"seq": 99}])
@pytest.mark.usefixtures("log")
def test_changed_head_shows(stored, owner, change):
    tamper(owner, update(AuditHead).values(change))

    assert len(wrong(stored)) == 1


def test_line_beyond_the_head_shows(stored, owner, log):
    forged = {"seq": log + 1, "actor": ADA, "action": "approved", "request_id": None, "body": {}}
    log_ = rehashed([*entries(stored), {"at": stored.now, "key": "", "mac": "", **forged}])
    tamper(owner, insert(AuditRow).values(log_[-1]))

    faults = wrong(stored)
    assert f"the log ends at {log + 1}, its head says {log}" in faults
    assert any(f"entry {log + 1} (approved): written without a key" in f for f in faults)


@pytest.mark.usefixtures("log")
def test_line_that_comes_while_the_log_is_read_is_no_fault(stored, other):
    """Whoever verified a log in use was told that it had been tampered with."""
    came = []

    def come(*arguments):
        if not came and "FROM audit" in arguments[2].replace("\n", " "):
            came.append(True)
            say(other, AuditEntry("noted", SYSTEM))

    event.listen(stored.database.reader, "after_cursor_execute", come)
    faults = wrong(stored)
    event.remove(stored.database.reader, "after_cursor_execute", come)

    assert came
    assert faults == []


def test_time_of_another_zone_is_the_same_moment(stored):
    """The hash was made of the words of the time, which come back in another zone."""
    say(stored, AuditEntry("noted", SYSTEM), at=stored.now.astimezone(timezone(timedelta(hours=5))))

    assert wrong(stored) == []


# --- what somebody without a key can do, who has the whole database -------------------------------


@pytest.mark.parametrize("back", [0, 4])
def test_rewriting_shows_though_all_hashes_fit(stored, owner, log, back):
    """The hashes were plain: whoever could write to the database could compute them anew."""
    log_ = entries(stored)
    log_[-1 - back]["body"] = {"n": "forged"}
    put_in_place(owner, rehashed(log_))

    (fault, *rest) = [f for f in wrong(stored) if "does not have key" in f]
    first = f"entry {log} (noted)" if back == 0 else f"entries {log - 4} to {log}"
    assert fault.startswith(first)
    assert rest == []


def test_a_line_taken_out_of_the_middle_shows_though_all_is_numbered_and_hashed_anew(
    stored, owner, log
):
    log_ = entries(stored)
    del log_[-5]
    put_in_place(owner, rehashed([row | {"seq": n} for n, row in enumerate(log_, 1)]))

    assert any(f"entries {log - 4} to {log - 1}: written by" in f for f in wrong(stored))


def test_a_line_put_in_shows_though_all_is_numbered_and_hashed_anew(stored, owner, log):
    log_ = entries(stored)
    log_.insert(-5, log_[-5] | {"action": "approved", "actor": ADA})
    put_in_place(owner, rehashed([row | {"seq": n} for n, row in enumerate(log_, 1)]))

    assert any(f"entries {log - 4} to {log + 1}: written by" in f for f in wrong(stored))


@pytest.mark.parametrize("hashed_anew", [False, True])
def test_two_lines_in_the_other_order_show(stored, owner, log, hashed_anew):
    log_ = entries(stored)
    one, two = log_[-4]["seq"], log_[-3]["seq"]
    log_[-4], log_[-3] = log_[-3] | {"seq": one}, log_[-4] | {"seq": two}
    put_in_place(owner, rehashed(log_) if hashed_anew else log_)

    faults = wrong(stored)
    said = "written by" if hashed_anew else f"entry {log - 3} (noted) was changed"
    assert any(said in fault for fault in faults)


@pytest.mark.parametrize("moved", [False, True])
def test_an_end_that_was_cut_off_shows(stored, owner, log, moved):
    log_ = entries(stored)[:-3]
    head = {} if moved else {"seq": log, "hash": entries(stored)[-1]["hash"]}
    put_in_place(owner, log_, **head)

    said = "is not as Latchkey had left it" if moved else f"its head says {log}"
    assert [said in fault for fault in wrong(stored)] == [True]


def test_an_end_that_was_cut_off_shows_though_latchkey_has_gone_on(stored, owner, log):
    """With the next entry the head was in order again."""
    put_in_place(owner, entries(stored)[:-3])
    note(stored)
    note(stored)

    (fault,) = wrong(stored)
    assert f"entries after {log - 3} were cut off" in fault
    assert [row["action"] for row in entries(stored)[-3:]] == [BOUND, "noted", "noted"]


def test_an_end_that_was_cut_off_at_a_rotation_shows(stored, owner, log):
    """Where the head is not of the new key, it has to be of the old one."""
    put_in_place(owner, entries(stored)[:-3])
    with keys(stored, SECOND, KEY):
        note(stored)

        (fault,) = wrong(stored)
    assert f"entries after {log - 3} were cut off" in fault


def test_a_cut_that_is_called_a_rotation_shows(stored, owner, log):
    """The last line left is said to be of a key that nobody knows, as if it had been rotated."""
    log_ = entries(stored)[:-3]
    log_[-1] |= {"key": "0badc0de", "mac": "f" * 64}
    put_in_place(owner, rehashed(log_), mac="f" * 64)
    note(stored)

    (fault,) = wrong(stored)
    assert f"entry {log - 3} (noted): written under key 0badc0de, which is not in" in fault
    assert wrong(stored, anchor(stored)) == [fault]


@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("ring", [(), (SECOND,)], ids=["no key", "a key of one's own"])
def test_a_log_written_anew_under_another_key_shows(stored, owner, log, first, ring):
    """As Latchkey itself would have written it: whole, but for the key."""
    kept = entries(stored)[: first - 1]
    end = kept[-1] if kept else {"seq": 0, "hash": ""}
    tamper(
        owner,
        delete(AuditRow).where(col(AuditRow.seq) >= first),
        update(AuditHead).values(seq=end["seq"], hash=end["hash"]),
    )
    with keys(stored, *ring):
        for n in range(5):
            note(stored, n)
    faults = wrong(stored)
    note(stored)

    for found in (faults, wrong(stored)):
        assert any(f"entries {first} to " in f and "written " in f for f in found)
    assert log


@pytest.mark.usefixtures("log")
def test_a_log_without_its_head_shows(stored, owner):
    tamper(owner, delete(AuditHead))

    assert wrong(stored)


@pytest.mark.parametrize("back", [0, 4])
def test_what_cannot_be_read_shows(stored, owner, log, kind, back):
    """SQLite keeps whatever it is given; verifying ended in a traceback."""
    if kind == "sqlite":
        with stored.database.write() as tx:
            tx.connection().exec_driver_sql(
                f"update audit set at = 'never' where seq = {log - back}"  # noqa: S608
            )
    else:
        tamper(owner, update(AuditRow).where(col(AuditRow.seq) == log - back).values(body=[1]))

    assert wrong(stored)


# --- anchors --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("log")
def test_an_anchor_holds_while_the_log_goes_on(stored):
    kept = anchor(stored)
    note(stored)

    assert wrong(stored, kept, Anchor.of(str(anchor(stored)))) == []


def test_an_older_state_put_back_shows_at_an_anchor_alone(stored, owner, log):
    """Whoever kept a copy can put it back as it was: inside the database nothing tells."""
    copy = entries(stored)
    ((_, _, mac),) = [(h.seq, h.hash, h.mac) for h in stored.rows(AuditHead)]
    note(stored)
    kept = anchor(stored)
    put_in_place(owner, copy, mac=mac)

    assert wrong(stored) == []
    (fault,) = wrong(stored, kept)
    assert f"the log ends at {log}, before the anchor {kept}" in fault

    note(stored, 7)
    (fault,) = wrong(stored, kept)
    assert f"up to entry {log + 1} the log is not what it was" in fault


@pytest.mark.usefixtures("log")
def test_a_log_that_was_emptied_shows_at_an_anchor(stored, owner):
    kept = anchor(stored)
    tamper(owner, delete(AuditRow), update(AuditHead).values(seq=0, hash="", mac=""))
    note(stored)

    assert "before the anchor" in wrong(stored, kept)[0]


@pytest.mark.parametrize("text", ["", "x", "12", "12:ab", "0:" + "a" * 64, "1:" + "A" * 64])
def test_what_is_no_anchor_is_refused(text):
    with pytest.raises(BadAnchorError, match="NUMBER:HASH"):
        Anchor.of(text)


# --- keys that come and go ------------------------------------------------------------------------


def test_a_new_key_binds_what_was_there(stored, log):
    old = anchor(stored)
    with keys(stored, SECOND, KEY):
        note(stored)
        note(stored)

        assert wrong(stored, old) == []
    before, bound, after, _ = entries(stored)[-4:]
    assert bound["action"] == BOUND
    assert bound["body"] == {"seq": log, "hash": old.hash, "key": before["key"], "intact": True}
    assert bound["key"] == after["key"] != before["key"]


@pytest.mark.usefixtures("log")
def test_without_the_old_key_its_entries_are_proven_by_who_had_both(stored):
    with keys(stored, SECOND, KEY):
        note(stored)
    with keys(stored, THIRD, SECOND):
        note(stored)
        assert wrong(stored) == []
    with keys(stored, THIRD):
        note(stored)
        assert wrong(stored) == []


def test_a_quiet_rotation_is_bound_by_itself(stored, log):
    """Nothing happened while both keys were there: without the old one the audit had no proof."""
    with keys(stored, SECOND, KEY):
        with stored.database.read() as session:
            assert audit.under(session, stored.database.keys) is audit.Under.OLDER
        for _ in range(2):
            stored.write(lambda tx, _: audit.bind(tx, stored.now))

        with stored.database.read() as session:
            assert audit.under(session, stored.database.keys) is audit.Under.FIRST
        assert [r["action"] for r in entries(stored)][log:] == ["audit_bound"]
        assert wrong(stored) == []

    with keys(stored, SECOND):
        assert wrong(stored) == []


def test_only_what_a_key_of_the_ring_has_left_is_bound_by_itself(stored, owner, log):
    for ring in ([KEY], [SECOND], []):
        with keys(stored, *ring):
            stored.write(lambda tx, _: audit.bind(tx, stored.now))
    tamper(owner, update(AuditHead).values(mac="0" * 64))
    with keys(stored, SECOND, KEY):
        stored.write(lambda tx, _: audit.bind(tx, stored.now))

    assert len(entries(stored)) == log


def test_a_key_that_was_replaced_is_known_as_such(stored, owner, log):
    with keys(stored, SECOND, KEY):
        note(stored)
    with stored.database.read() as session:
        assert audit.under(session, KeyRing([KEY])) is audit.Under.NEWER
        assert audit.under(session, KeyRing([new_key()])) is audit.Under.FIRST

    # A line alone that names a key which nobody has takes nobody's key away.
    last = entries(stored)[-1]
    tamper(owner, delete(AuditRow).where(col(AuditRow.seq) > log))
    tamper(owner, insert(AuditRow).values(last | {"action": "noted"}))
    with stored.database.read() as session:
        assert audit.under(session, KeyRing([KEY])) is audit.Under.FIRST


def test_a_key_that_is_dropped_before_the_next_has_written_proves_nothing(stored, log):
    """What the old key had written could have been cut off before: nobody has looked."""
    kept = anchor(stored)
    with keys(stored, SECOND):
        assert any("the head, at entry" in fault for fault in wrong(stored))
        note(stored)

        (fault,) = wrong(stored)
        assert fault.startswith(f"entries 1 to {log}: written under key ")
        assert fault.endswith(f"Since entry {log + 1} nothing has changed there")
        assert wrong(stored, kept, anchor(stored)) == [fault]


def test_without_the_old_key_a_change_shows_all_the_same(stored, owner, log):
    """What a key has bound stays bound: the hashes of what is before it need none."""
    with keys(stored, SECOND, KEY):
        note(stored)
    log_ = entries(stored)
    log_[log - 3]["body"] = {"n": "forged"}
    put_in_place(owner, rehashed(log_))
    with keys(stored, SECOND):
        assert any("written by somebody" in fault for fault in wrong(stored))


def test_what_is_written_without_a_key_is_named(stored, log):
    """An end in an emergency does not wait for the keys; the log says so."""
    with keys(stored):
        say(stored, AuditEntry("revoked", SYSTEM))
    note(stored)
    kept = anchor(stored)

    (fault,) = wrong(stored)
    assert fault.startswith(f"entry {log + 1} (revoked): written without a key")
    assert fault.endswith(f"Since entry {log + 2} nothing has changed there")
    assert wrong(stored, kept) == [fault]
    assert entries(stored)[-2]["action"] == BOUND


def test_nothing_is_said_to_be_as_it_was_where_something_was_changed(stored, owner, log):
    with keys(stored, SECOND, KEY):
        note(stored)
    tamper(owner, update(AuditRow).where(col(AuditRow.seq) == log - 3).values(actor=ADA))

    with keys(stored, SECOND):
        changed, unproven = wrong(stored)
    assert changed.startswith(f"entry {log - 3} (noted) was changed")
    assert unproven.endswith("nor what was cut off before")


def test_who_has_no_keys_sees_with_an_anchor_what_has_changed_since(stored, owner, log):
    kept = anchor(stored)
    with keys(stored):
        faults = wrong(stored)
        assert any(f"entries 1 to {log}: written under key" in fault for fault in faults)
        assert wrong(stored, kept) == faults

        log_ = entries(stored)
        log_[log - 3]["body"] = {"n": "forged"}
        put_in_place(owner, rehashed(log_))
        assert any("not what it was at the anchor" in fault for fault in wrong(stored, kept))


def test_keys_of_another_installation_are_others():
    """A line of one installation's log would have been one of the other's."""
    ours, theirs = KeyRing([KEY], "production"), KeyRing([KEY], "staging")

    assert not ours.audit_keys.keys() & theirs.audit_keys.keys()
    assert ours.audit_key.mac("x") != theirs.audit_key.mac("x")


def test_a_key_is_not_shown():
    ring = KeyRing([KEY])

    assert repr(ring.audit_key) == f"AuditKey(id={ring.audit_key.id!r})"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(
        st.tuples(st.permutations([KEY, SECOND, THIRD]), st.integers(1, 3)), max_size=6
    )
)
def test_an_honest_log_is_whole_however_keys_are_rotated(stored, history):
    """Replicas with the keys in another order take turns; the same log grows on and on."""
    for ring, times in history:
        with keys(stored, *ring):
            for n in range(times):
                note(stored, n)
    with keys(stored, KEY, SECOND, THIRD):
        assert wrong(stored) == []
    with keys(stored, THIRD, KEY, SECOND):
        note(stored)
    with keys(stored, THIRD):
        assert wrong(stored) == []


# --- what no key proves is not proven by an anchor ------------------------------------------------


def test_entries_from_before_there_were_keys_are_proven_by_an_anchor_alone(stored, owner):
    saved = [
        AuditEntry(entry["action"], SYSTEM, body if isinstance(body, dict) else json.loads(body))
        for entry in entries(stored)
        if entry["action"].endswith("_saved") and (body := entry["body"])
    ]
    early = len(saved) + 2
    tamper(owner, delete(AuditRow), update(AuditHead).values(seq=0, hash="", mac=""))
    with keys(stored):
        say(stored, *saved)
        note(stored)
        note(stored)
    note(stored)
    kept = anchor(stored)

    (fault,) = wrong(stored)
    assert fault.startswith(f"entries 1 to {early}: written without a key, before there was one")
    with stored.database.read() as session:
        reading = audit.AuditReading(session, [kept])
        assert list(reading.findings()) == []
    assert (reading.early, reading.entries) == (early, early + 2)


def test_an_anchor_does_not_make_a_forged_entry_true(stored, log):
    """Somebody put in an approval; with the day's anchor verify called the log whole."""
    with keys(stored):
        say(stored, AuditEntry("approved", ADA))
    note(stored)

    for known in ((), (anchor(stored),)):
        (fault,) = wrong(stored, *known)
        assert fault.startswith(f"entry {log + 1} (approved): written without a key")


def test_what_is_called_an_entry_without_a_key_is_one(stored, owner, log):
    """The end was cut off, and key and MAC of the last line taken away: an anchor proved it."""
    kept = anchor(stored)
    note(stored)
    put_in_place(owner, entries(stored)[:log], mac="")
    tamper(owner, update(AuditRow).where(col(AuditRow.seq) == log).values(key="", mac=""))

    assert wrong(stored, kept)
    note(stored)
    faults = wrong(stored, kept, anchor(stored))
    assert any(fault.startswith(f"entry {log} (noted) was changed") for fault in faults)
    assert any(f"entry {log} (noted): written without a key" in fault for fault in faults)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_cut_back_to_an_old_key_shows(stored, owner, log, dropped):
    """The new key's entries were cut off, back to those of a key that was dropped since."""
    kept = anchor(stored)
    with keys(stored, SECOND, KEY):
        note(stored)
    with keys(stored, SECOND):
        note(stored)
        put_in_place(owner, entries(stored)[:log], mac="garbage")
    with keys(stored, SECOND, *([] if dropped else [KEY])):
        assert any(f"the head, at entry {log}" in fault for fault in wrong(stored, kept))
        note(stored)
        assert wrong(stored, kept, anchor(stored))


def test_a_cut_back_to_an_entry_without_a_key_shows(stored, owner, log):
    with keys(stored):
        note(stored)
    kept = anchor(stored)
    note(stored)
    put_in_place(owner, entries(stored)[: log + 1], mac="garbage")

    assert any(f"the head, at entry {log + 1}" in fault for fault in wrong(stored, kept))
    note(stored)
    assert wrong(stored, kept, anchor(stored))


def test_a_rotation_that_nobody_could_look_at_is_not_one_that_was_well(stored, owner, log):
    """A head that was moved was `not known` to who had not its key, and so it was in order."""
    put_in_place(owner, entries(stored)[: log - 3], mac="garbage")
    with keys(stored, SECOND):
        note(stored)

    with keys(stored, SECOND, KEY):
        (fault,) = wrong(stored)
    assert f"entries after {log - 3} were cut off" in fault


# --- the log goes on, whatever was done to its head -----------------------------------------------

SPOILT = {
    "back": update(AuditHead).values(seq=AuditHead.seq - 1),
    "at the start": update(AuditHead).values(seq=0, hash="", mac=""),
    "far on": update(AuditHead).values(seq=AuditHead.seq + 1000),
    "at the last number": update(AuditHead).values(seq=2**31 - 1),
    "below nothing": update(AuditHead).values(seq=-5),
    "another hash": update(AuditHead).values(hash="x"),
    "another MAC": update(AuditHead).values(mac="é"),
    "missing": delete(AuditHead),
    "two": insert(AuditHead).values(id=7, seq=3, hash="x"),
    # Only SQLite keeps these.
    "text": "update audit_head set seq = 'abc'",
    "bytes": "update audit_head set hash = x'00ff', mac = x'00'",
}


def spoil(owner, how: str) -> None:
    with owner.write() as tx:
        if isinstance(SPOILT[how], str):
            tx.connection().exec_driver_sql(SPOILT[how])
        else:
            tx.execute(SPOILT[how])


KEPT = [
    (kind, how)
    for how in SPOILT
    for kind in ("sqlite", "postgresql")
    if kind == "sqlite" or not isinstance(SPOILT[how], str)
]


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize(("kind", "how"), KEPT)
def test_access_ends_whatever_was_done_to_the_head(stored, owner, how, keyed):
    """With the head moved back by one nothing could be written any more, so no access ended."""
    request = stored.submit()
    stored.converge()
    spoil(owner, how)
    stored.pass_(24 * HOUR)
    if not keyed:
        stored.database.keys = None

    stored.tick()
    stored.converge()

    assert stored.again(request).state is State.EXPIRED
    assert not any(stored.systems[PG].held.values())
    stored.database.keys = KeyRing([KEY])
    faults = wrong(stored)
    if keyed:
        moved = ["the head was not as Latchkey had left it" in fault for fault in faults]
        assert moved == ([] if how == "two" else [True])
    else:
        assert any("written without a key" in fault for fault in faults)


@pytest.mark.parametrize("at", [0, 1, 5, 2**31 - 1, 2**31 - 3])
def test_access_ends_whatever_stands_where_the_next_entries_belong(stored, at):
    """The running role alone can put in a line, also with the last number that there is."""
    request = stored.submit()
    stored.converge()
    end = entries(stored)[-1]
    foreign = end | {"seq": at if at > 5 else end["seq"] + 1 + at, "action": "approved"}
    tamper(stored.database, insert(AuditRow).values(foreign))
    stored.pass_(24 * HOUR)

    stored.tick()
    stored.converge()
    for _ in range(8):
        note(stored)

    assert stored.again(request).state is State.EXPIRED
    assert any(f"entry {foreign['seq']} (approved)" in fault for fault in wrong(stored))


def test_what_was_found_of_the_head_is_written(stored, owner, log):
    tamper(owner, update(AuditHead).values(seq=3))

    note(stored)

    bound, last = entries(stored)[-2:]
    assert (bound["action"], bound["seq"], last["seq"]) == (BOUND, log + 1, log + 2)
    assert bound["body"]["intact"] is False
    assert bound["body"]["head"].startswith("3:")
    count = len(entries(stored))
    note(stored)
    assert len(entries(stored)) == count + 1


@pytest.mark.parametrize("text", ["caf\udce9", "a\0b", {"a": ["\ud800"]}, "a\\u0000"])
def test_an_entry_does_not_fail_for_its_letters(stored, text):
    """A reason from a Latin-1 terminal ended in a traceback, and the access went on."""
    say(stored, AuditEntry("noted", SYSTEM, {"reason": text}))

    kept = entries(stored)[-1]["body"]["reason"]
    assert kept == {"a": ["\ufffd"]} if isinstance(text, dict) else kept[:1] == text[:1]
    assert wrong(stored) == []


# --- one line that cannot be read -----------------------------------------------------------------

STRANGE = {
    "sqlite": [
        ("at = 'never'", "at"), ("at = x'00'", "at"), ("at = 2026", "at"),
        ("request_id = 'abc'", "request_id"), ("request_id = x'00'", "request_id"),
        ("request_id = 1.5", "request_id"), ("body = 'x'", "body"), ("body = '[1]'", "body"),
        ("actor = x'00ff'", "actor"), ("mac = x'00'", "mac"), ("key = x'00'", "key"),
        ("hash = x'00'", "hash"),
        # The same moment, which compares as another one: it was not in that day's export.
        ("at = '2026-11-02 23:00:00.000000+14:00'", "at"), ("at = at || '+00:00'", "at"),
        ("at = '2026-W45-1T09:00:00.000000'", "at"), ("at = '20261102T090000'", "at"),
        ("at = replace(at, ' ', 'T')", "at"), ("at = substr(at, 1, 19)", "at"),
        # The same text, which is none to whoever compares.
        *((f"{column} = cast({column} as blob)", column)
          for column in ("at", "actor", "action", "body", "hash", "key", "mac")),
    ],
    "postgresql": [
        ("at = 'infinity'", "at"), ("at = '-infinity'", "at"), ("at = '20000-01-01'", "at"),
        ("at = '0044-03-15 BC'", "at"), ("body = '[1]'", "body"), ("mac = 'é'", ""),
        ("body = '\"x\"'", "body"),
    ],
}  # fmt: skip


def test_one_line_that_cannot_be_read_is_named_and_hides_no_other(stored, owner, log, kind):
    """One entry of the year 20000 was enough: verify, export and `db restored` failed."""
    kept = entries(stored)[log - 6]
    for change, what in STRANGE[kind]:
        with owner.write() as tx:
            tx.connection().exec_driver_sql(f"update audit set {change} where seq = {log - 5}")  # noqa: S608

        faults = wrong(stored)
        assert any(fault.startswith(f"entry {log - 5} (noted)") for fault in faults), change
        said = [f"is not as Latchkey writes it ({what})" in fault for fault in faults]
        assert any(said) == bool(what), change
        with stored.database.read() as session:
            read = list(audit.written(session))
            assert [e.seq for e in read] == list(range(1, log + 1))
            assert audit.newest_moment(session, stored.now) == stored.now

        row = col(AuditRow.seq) == log - 5
        tamper(owner, delete(AuditRow).where(row), insert(AuditRow).values(kept))
        assert wrong(stored) == []


def test_one_line_of_a_request_that_cannot_be_read_is_named_and_hides_no_other(stored, owner, kind):
    """What it says was of another type, or of a moment that Python has none for: a traceback."""
    request = stored.submit()
    stored.converge()
    with stored.database.read() as session:
        known = list(audit.of_requests(session, [request.id]))
    strange = [of for of in STRANGE[kind] if not of[0].startswith("request_id")]
    assert len(known) > 1
    kept = entries(stored)[known[0].seq - 1]
    for change, what in strange:
        with owner.write() as tx:
            tx.connection().exec_driver_sql(f"update audit set {change} where seq = {kept['seq']}")  # noqa: S608
        with stored.database.read() as session:
            first, *rest = audit.of_requests(session, [request.id])

        assert rest == known[1:], change
        assert first.unread == ((what,) if what else ()), change
        named = [f"The audit's {first.named} is not as" in f.sentence for f in unread(stored)]
        assert named == ([True] if what else []), change
        row = col(AuditRow.seq) == kept["seq"]
        tamper(owner, delete(AuditRow).where(row), insert(AuditRow).values(kept))


def unread(stored) -> list[Finding]:
    return stored.database.unread.take()


def test_a_moment_that_python_has_none_for_takes_no_reckoning_away(stored, kind):
    """One entry of that kind, which the running role can put in, stopped comparing and metrics."""
    request = stored.submit()
    stored.converge()
    stored.do(request, Return(ALICE))
    with stored.database.read() as session:
        overdue = counts.overdue(session, stored.now)
    end = entries(stored)[-1]
    for number, at in enumerate(UNREADABLE[kind], 1):
        tamper(
            stored.database,
            *(
                insert(AuditRow).values(
                    end
                    | {"seq": end["seq"] + 2 * number + more, "at": text(at)}
                    | {"action": action, "request_id": request.id}
                )
                for more, action in enumerate(("revoking", reconcile.RESTORED))
            ),
        )

    with stored.database.read() as session:
        assert reconcile.restored_at(session) is None
        assert counts.overdue(session, stored.now) == overdue
        assert audit.last(session) is None
        assert rebuilt.requests(session, {request.id: ()})[request.id].id == request.id


UNREADABLE = {
    "sqlite": ["'never'", "x'00'", "2026"],
    "postgresql": ["'infinity'", "'-infinity'", "timestamptz '20000-01-01'"],
}


@pytest.mark.parametrize("spoilt", [delete(AuditHead), insert(AuditHead).values(id=7, seq=3)])
def test_without_its_head_nobody_is_concerned_by_the_log(stored, owner, spoilt):
    """Who looks what is new for a person's page ended in a traceback, again and again."""
    with stored.database.read() as session:
        before = changes.newest(session)
    tamper(owner, spoilt)

    with stored.database.read() as session:
        assert changes.newest(session) == (0 if spoilt.is_delete else before)


def test_the_newest_moment_is_of_what_can_be_read(stored, owner, kind, log):
    what = "never" if kind == "sqlite" else "infinity"
    with owner.write() as tx:
        tx.connection().exec_driver_sql(f"update audit set at = '{what}' where seq = {log}")  # noqa: S608

    with stored.database.read() as session:
        assert audit.newest_moment(session, stored.now) == stored.now


# --- whose keys are whose ------------------------------------------------------------------------

FOREIGN = """
insert into audit (seq, at, actor, action, request_id, body, hash, key, mac)
select seq + 1, at, actor, 'x', null, body, hash, {key}, {mac} from audit order by seq desc limit 1
"""
FORGED = {
    "a line of another key": [FOREIGN.format(key="'deadbeef'", mac="''")],
    "a line of ours, without our MAC": [FOREIGN.format(key="key", mac="'deadbeef'")],
    "the newest one's key": [
        "update audit set key = 'deadbeef' where seq = (select max(seq) from audit)"
    ],
    "the newest one's MAC": ["update audit set mac = 'é' where seq = (select max(seq) from audit)"],
    "all but one": ["update audit set key = 'deadbeef', mac = '' where seq <> 2"],
    "bytes": ["update audit set key = cast(key as blob) where seq = (select max(seq) from audit)"],
}


@pytest.mark.parametrize("headless", [False, True])
@pytest.mark.parametrize("how", FORGED)
@pytest.mark.usefixtures("log")
def test_no_line_that_our_keys_do_not_prove_makes_them_the_wrong_ones(
    stored, owner, kind, how, headless
):
    """One line under another key was enough: an operator with the right keys could end nothing."""
    statements = [*FORGED[how], *(["delete from audit_head"] if headless else [])]
    if how == "bytes" and kind == "postgresql":
        statements[:1] = FORGED["the newest one's key"]
    with owner.write() as tx:
        for statement in statements:
            tx.connection().exec_driver_sql(statement)

    with stored.database.read() as session:
        assert audit.proven(session, KeyRing([KEY]).audit_keys) is True
        assert audit.proven(session, KeyRing([SECOND, KEY]).audit_keys) is True
        assert audit.proven(session, KeyRing([SECOND]).audit_keys) is False
        assert audit.proven(session, KeyRing([KEY], "other").audit_keys) is False


def test_our_line_is_found_behind_pages_of_what_is_none(stored, owner, log):
    more = entries(stored)[-1] | {"mac": "deadbeef"}
    tamper(
        owner,
        delete(AuditHead),
        insert(AuditRow).values([more | {"seq": log + n} for n in range(1, audit.PAGE + 2)]),
    )

    with stored.database.read() as session:
        assert audit.proven(session, KeyRing([KEY]).audit_keys) is True


def test_where_no_line_has_a_key_nothing_is_said_of_any(stored, owner):
    tamper(owner, update(AuditRow).values(key="", mac=""), delete(AuditHead))

    with stored.database.read() as session:
        assert audit.proven(session, KeyRing([SECOND]).audit_keys) is None


# --- a part of it ---------------------------------------------------------------------------------


def test_what_came_after_an_anchor_is_read_by_itself(stored, owner, log):
    def tail(*, after: int = log - 2) -> list[str]:
        with stored.database.read() as session:
            return list(audit.AuditReading(session, [kept], after=after).findings())

    kept = anchor(stored)
    assert tail() == []
    assert tail(after=log) == []
    note(stored)
    assert tail(after=log) == []

    tamper(owner, update(AuditRow).where(col(AuditRow.seq) == 2).values(actor=ADA))
    assert tail() == []
    with keys(stored):
        note(stored)
    note(stored)
    (fault,) = tail(after=log)
    assert fault.startswith(f"entry {log + 2} (noted): written without a key.")


@pytest.mark.parametrize(
    "other_form",
    [
        """'{"n": 7, ' || substr(body, 2)""",
        "' ' || body",
        "replace(body, '}', ' }')",
        "replace(body, 'noted', '\\u006eoted')",
    ],
    ids=["a key twice", "space before", "space within", "an escape"],
)
def test_a_body_in_another_written_form_shows(stored, owner, other_form):
    """On SQLite the last of two keys counted: another reader could be shown somebody else."""
    say(stored, AuditEntry("noted", SYSTEM, {"n": 1, "what": "noted"}))
    if not stored.database.sqlite:
        return
    tamper(owner, text(f"update audit set body = {other_form} where action = 'noted'"))  # noqa: S608

    assert any("is not as Latchkey writes it (body)" in fault for fault in wrong(stored))


@pytest.mark.parametrize("at", ["soon", "2026-13-45 00:00:00.000000", "", b"2026"])
@pytest.mark.usefixtures("log")
def test_an_entry_that_names_no_moment_is_exported_with_any(stored, owner, at):
    """An export until some moment left it out, and said nothing of that."""
    if not stored.database.sqlite:
        return
    seq = entries(stored)[-1]["seq"]
    tamper(owner, text("update audit set at = :at where seq = :seq").bindparams(at=at, seq=seq))

    with stored.database.read() as session:
        exported = audit.written(session, until=stored.now - HOUR)
        assert [entry.seq for entry in exported] == [seq]
