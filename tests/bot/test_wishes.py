"""*Tell the administrators*: from `why` and an empty search to the message and the list."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.usecases import plan, wishes
from bot.views import ids
from bot.views.request_modal import wished
from engine.outcome import Card
from engine.wishes import Wish
from storage import wishes as stored_wishes
from storage.tables import AuditRow, JobRow, MessageRow, WishRow
from tests.support.door import PAYMENTS, choice, click_in, filled, judged, suggestion
from tests.support.nursery import latchkey

DAY = timedelta(days=1)


def why(door, who, text):
    answer = door.command(who, f"why {text}")
    assert answer.views, answer.said
    return answer.views[0]


def wish_button(view) -> str | None:
    """Return the value of *Tell the administrators*."""
    every = [e for b in view["blocks"] if b["type"] == "actions" for e in b["elements"]]
    return next((e["value"] for e in every if e["action_id"] == ids.WISH), None)


def tell(door, who, view, reason="INC-42"):
    """Press the button in `why`, give a reason, and send it."""
    asked = door.deliver(click_in(who, view, ids.WISH, wish_button(view)))
    (form,) = asked.views
    assert asked.calls[0][0] == "views.push"
    return door.submit(who, form, filled(form, **{ids.REASON: {"value": reason}}))


def rows(door, table):
    return door.rows()[table.__tablename__]


def said_to(door, who) -> list[str]:
    """Return what was newly wanted, as the administrators' messages say it."""
    return [
        row["detail"]
        for row in rows(door, MessageRow)
        if row["recipient"] == who and row["kind"] == Card.NOTICE and "asked for" in row["detail"]
    ]


# --- from `why` ----------------------------------------------------------------------------------


def test_what_somebody_cannot_have_is_told_with_who_what_and_why(door):
    answer = tell(door, "kofi", why(door, "kofi", "payments"), "INC-42 <!here>")

    assert "The administrators will read of" in str(answer.views[0])
    (row,) = rows(door, WishRow)
    assert (row["person_id"], row["words"], row["called"], row["reason"]) == (
        "kofi",
        "payments",
        PAYMENTS,
        "INC-42 <!here>",
    )
    assert row["resource_id"] == door.resource(PAYMENTS)
    wishes.tell(door.services)
    assert said_to(door, "ines") == [
        (
            "What people cannot have, and asked for:\n"
            f"• 1 person asked for {PAYMENTS}: “INC-42 <!here>”"
        )
    ]
    assert said_to(door, "viktor") == said_to(door, "ines")
    assert said_to(door, "kofi") == []


def test_what_is_not_there_or_may_not_be_known_is_told_by_its_words(door):
    for words in ("salaries", "the moon"):
        tell(door, "kofi", why(door, "kofi", words))

    assert [(r["called"], r["resource_id"]) for r in rows(door, WishRow)] == [
        ("salaries", None),
        ("the moon", None),
    ]


def test_a_hidden_thing_is_not_given_away_by_its_number(door):
    """Whoever sends a number of their own would have read in the form what it is called."""
    view = why(door, "kofi", "payments")
    value = f"{door.resource('ledger/payroll/salaries')}/x"

    asked = door.deliver(click_in("kofi", view, ids.WISH, value))
    sent = door.submit(
        "kofi", {"callback_id": ids.WISH_MODAL, "private_metadata": value, "blocks": []}
    )

    for answer in (asked, sent):
        assert "There is nothing of which this could be said" in str(answer.views)
        assert "salaries" not in str(answer.views)
    assert rows(door, WishRow) == []


def test_what_can_be_had_needs_no_wish(door):
    assert wish_button(why(door, "kofi", "customers")) is None


def test_a_wish_wants_a_reason_and_what_was_typed_stays(door):
    answer = tell(door, "kofi", why(door, "kofi", "payments"), "  ")

    assert answer.payload["errors"] == {ids.REASON: "Say what you need it for."}
    assert rows(door, WishRow) == []


def test_the_same_wish_is_kept_once_with_its_newest_reason(door):
    for reason in ("first", "second"):
        tell(door, "kofi", why(door, "kofi", "payments"), reason)
    tell(door, "kofi", why(door, "kofi", "PAYMENTS"), "third")

    (row,) = rows(door, WishRow)
    assert row["reason"] == "third"


def test_one_person_cannot_fill_the_place(door):
    for number in range(10):
        tell(door, "kofi", why(door, "kofi", f"thing {number}"))

    answer = tell(door, "kofi", why(door, "kofi", "one more"))

    assert "You have told the administrators of 10 things" in answer.payload["errors"][ids.REASON]
    assert len(rows(door, WishRow)) == 10
    tell(door, "hana", why(door, "hana", "one more"))
    assert len(rows(door, WishRow)) == 11


def test_a_wish_is_audited(door):
    tell(door, "kofi", why(door, "kofi", "payments"))

    last = max(rows(door, AuditRow), key=lambda row: row["seq"])
    assert (last["action"], last["actor"]) == ("wished", "kofi")
    assert door.audit_faults() == []


# --- from the form -------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["zzz", "the <!channel> of “everything” & more", "x" * 300])
def test_an_empty_search_offers_to_tell_the_administrators(door, words):
    body = suggestion("kofi", words)
    found = door.deliver(body)
    assert judged(found, body) == []
    (option,) = found.payload["options"]
    assert option["text"]["text"].startswith("📣 Tell the administrators that you want")

    form = door.command("kofi", "request").views[0]
    values = filled(form)
    values[ids.RESOURCE] = {ids.RESOURCE: {"selected_option": option}}
    asked = door.deliver(choice("kofi", form, ids.RESOURCE, option["value"], values))

    assert asked.calls[0][0] == "views.push"
    sent = door.submit("kofi", asked.views[0], filled(asked.views[0], reason={"value": "INC-1"}))
    assert "The administrators will read of" in str(sent.views)
    (row,) = rows(door, WishRow)
    assert words.startswith(row["called"])


def test_nothing_is_requested_by_what_was_only_told(door):
    """The option stands in the field that names a resource: submitted, it names none."""
    form = door.command("kofi", "request").views[0]
    values = filled(form)
    values[ids.RESOURCE] = {ids.RESOURCE: {"selected_option": {"value": "wish/zzz"}}}

    answer = door.submit("kofi", form, values)

    assert answer.payload["errors"] == {ids.RESOURCE: "Choose what you need."}


def test_a_search_that_finds_something_or_looks_for_nothing_offers_no_wish(door):
    for words in ("customers", ""):
        options = door.deliver(suggestion("kofi", words)).payload["options"]
        assert not any(wished(option["value"]) for option in options)


# --- what the administrators read ----------------------------------------------------------------


def test_it_is_told_once_a_day_and_only_what_is_new(door):
    tell(door, "kofi", why(door, "kofi", "payments"), "one")
    assert wishes.tell(door.services) == DAY
    door.clock.move(DAY)
    wishes.tell(door.services)
    tell(door, "hana", why(door, "hana", "payments"), "two")
    tell(door, "hana", why(door, "hana", "the moon"), "three")
    door.clock.move(DAY)
    wishes.tell(door.services)

    assert said_to(door, "ines") == [
        f"What people cannot have, and asked for:\n• 1 person asked for {PAYMENTS}: “one”",
        (
            "What people cannot have, and asked for:\n"
            f"• 2 people asked for {PAYMENTS}: “two”, “one”\n"
            "• 1 person asked for the moon: “three”"
        ),
    ]


def test_a_process_that_runs_tells_once_a_day(door):
    plan.everything(door.services)

    (job,) = [row for row in rows(door, JobRow) if row["kind"] == "wishes"]
    assert job["due_at"] - door.clock.now() == DAY


# --- the list ------------------------------------------------------------------------------------


def test_an_operator_lists_what_is_wanted(stored, tmp_path):
    url = f"sqlite:///{tmp_path}/latchkey.db"
    at = datetime.now(UTC)  # as the command's clock says
    one = Wish("alice", "x", "ledger.entries", "[red]INC-1", at)
    for wish in (one, Wish("bob", "x", "ledger.entries", "INC-2", at)):
        stored.write(lambda tx, _, w=wish: stored_wishes.keep(tx, w))

    done = latchkey("wishes", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "2 people asked for ledger.entries"
    assert {line.partition(", ")[0].strip() for line in lines[1:]} == {"Alice", "Bob"}
    assert "[red]INC-1" in done.stdout


def test_where_nothing_is_wanted_it_says_so(stored, tmp_path):
    url = f"sqlite:///{tmp_path}/latchkey.db"

    done = latchkey("wishes", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    assert stored.now
    assert done.stdout == "Nobody has asked for anything that they cannot have.\n"
