"""`/access why` and `latchkey why`: what somebody can have, why not, and what they may learn."""

from dataclasses import replace

import pytest

from bot.sandbox.blocks import texts
from bot.views import ids
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.port import Discovered
from engine.targets import Bundle, ByBundle, Selector
from storage import sync
from tests.support.door import CUSTOMERS, STOCK, SYSTEM, TABLES, click_in, filled, judged
from tests.support.nursery import latchkey
from tests.support.stored import ALICE, DBAS, PG, WIKI, Stored, reading, table, writing

SALARIES = "ledger/payroll/salaries"
PAYMENTS = "ledger/accounts/payments"


def why(door, who, text):
    answer = door.command(who, f"why {text}")
    assert answer.views, answer.said
    return answer.views[0]


def said(view) -> str:
    return "\n".join(
        "".join(texts(b)) for b in view["blocks"] if b["type"] in {"section", "rich_text"}
    )


def choices(view) -> dict[str, str]:
    """Return what else can be explained: paths, and the values of their buttons."""
    sections = [b for b in view["blocks"] if b.get("accessory")]
    return {b["text"]["text"].strip("`"): b["accessory"]["value"] for b in sections}


def hide(door, *names: str) -> None:
    """Have flows not listed."""
    flows = [
        (replace(f.revision, listed=f.name not in names), f.active)
        for f in door.services.company().flows.values()
    ]
    door.services.write(lambda tx, _: sync.flows(tx, flows, door.clock.now()), alone=True)


# --- what is said --------------------------------------------------------------------------------


def test_who_cannot_learns_for_whom_it_is_who_could_let_them_and_what_they_can_have(door):
    assert said(why(door, "kofi", "payments")).splitlines() == [
        (
            f"🚫 You cannot have read on {PAYMENTS}: “Read payments” is for people who are in "
            "Engineering or Data, or whose department is Finance; you are in Support, your "
            "department is Support."
        ),
        "Who could let you: Inês Carvalho or Viktor Halvorsen (admins).",
        f"What you can have: `{STOCK}`, at once; `{CUSTOMERS}`, with approval.",
    ]


def test_who_can_learns_how(door):
    assert said(why(door, "kofi", "customers")) == (
        f"✅ You can have read on {CUSTOMERS}: approved by The manager, under “Look up a "
        "customer”, at most 1 h."
    )


def test_each_permission_is_explained_and_one_can_be_named(door):
    both = said(why(door, "kofi", "stock"))
    assert f"✅ You can have read on {STOCK}: at once" in both
    assert f"🚫 You cannot have read-write on {STOCK}:" in both
    assert "“Change orders” is for DBA and SRE; you are in Support." in both

    one = said(why(door, "kofi", "Read-Write on stock"))
    assert "read-write" in one
    assert "at once, under" not in one


def test_what_is_called_so_is_found_by_part_of_its_name_as_in_the_picker(door):
    view = why(door, "kofi", "ORDERS")

    assert "2 things are called so. Which one is it?" in said(view)
    assert [*choices(view)] == [CUSTOMERS, STOCK]
    value = choices(view)[CUSTOMERS]
    pressed = door.deliver(click_in("kofi", view, ids.WHY_ABOUT, value))
    assert said(pressed.views[0]).startswith(f"✅ You can have read on {CUSTOMERS}")


def test_the_name_itself_goes_before_names_that_it_is_a_part_of(door):
    more = Discovered("table", "stock_old", "warehouse/stock_old", "x", {"read": 1})
    found = [*TABLES, more]
    door.services.transaction(lambda tx: sync.inventory(tx, SYSTEM, found, door.clock.now()))

    assert said(why(door, "ines", "stock")).count(f"on {STOCK}") == 2  # its two permissions


def test_something_else_is_asked_about_in_the_modal(door):
    view = why(door, "kofi", "payments")

    given = filled(view, **{ids.WHY_WORDS: {"value": "customers"}})
    answer = door.submit("kofi", view, given)

    assert CUSTOMERS in said(answer.views[0])
    assert judged(answer, {}) == []


def test_a_bundle_is_explained_by_its_name(door):
    """It read as unknown: only resources were looked for."""
    assert said(why(door, "maya", "warehouse INCIDENT")) == (
        "✅ You can have the bundle “Warehouse incident”: approved by Platform, under “Warehouse "
        "incident”, at most 2 h."
    )
    first, *cure = said(why(door, "kofi", "Warehouse incident")).splitlines()
    assert first == (
        "🚫 You cannot have the bundle “Warehouse incident”: “Warehouse incident” is for people "
        "who are in Product, and who are in Managers; you are in Support."
    )
    assert [line.partition(":")[0] for line in cure] == ["Who could let you", "What you can have"]


def test_a_bundle_that_is_mistyped_is_named(door):
    for words in ("incident", "warehuose incident"):
        assert "Did you mean the bundle “Warehouse incident”?" in said(why(door, "kofi", words))


def test_of_a_bundle_and_a_thing_of_one_name_both_are_named(door):
    namesake = Discovered("table", "warehouse incident", "a/warehouse incident", "x", {"read": 1})
    found = [*TABLES, namesake]
    door.services.transaction(lambda tx: sync.inventory(tx, SYSTEM, found, door.clock.now()))

    view = why(door, "ines", "Warehouse incident")

    assert "the bundle “Warehouse incident”" in said(view)
    assert "Something else is called so, too" in said(view)
    assert [*choices(view)] == ["a/warehouse incident"]


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Say what it is about, by name or path, for example: orders/shop"),
        ("   ", "Say what it is about"),
        ("x" * 201, "A name has at most 200 characters; this has 201."),
    ],
)
def test_what_is_no_name_is_said_at_once_and_at_the_field(door, text, expected):
    assert expected in door.command("kofi", f"why {text}").said

    view = why(door, "kofi", "customers")
    answer = door.submit("kofi", view, filled(view, **{ids.WHY_WORDS: {"value": text}}))
    assert expected in answer.payload["errors"][ids.WHY_WORDS]


def test_what_is_mistyped_names_what_is_near(door):
    view = why(door, "kofi", "paymnts")

    assert "Nothing that you may know of is called `paymnts`. Did you mean one of these?" in said(
        view
    )
    assert [*choices(view)] == [PAYMENTS]


def test_a_permission_that_is_mistyped_names_the_near_one(door):
    view = why(door, "kofi", "raed on customers")

    assert f"There is no “raed” on {CUSTOMERS}. Did you mean read?" in said(view)
    assert "✅ You can have read" in said(view)


def test_names_are_shown_harmlessly(door):
    view = why(door, "kofi", "<!channel> *x* `y`")

    assert "&lt;!channel&gt;" in said(view)
    assert "<!" not in said(view)


# --- what may be known ---------------------------------------------------------------------------


def test_what_nobody_but_its_requestors_may_know_of_reads_as_what_is_not_there(door):
    """Whether it exists, and who gets it, is not told by a word, a hint or a number."""
    assert PAYMENTS in said(why(door, "kofi", "payments"))
    hide(door, "Read payments")

    for words in ("payments", "paymnts", PAYMENTS, f"read on {PAYMENTS}"):
        there, not_there = why(door, "kofi", words), why(door, "kofi", "zzzzz/qqqqq")
        assert said(there).replace(words, "W") == said(not_there).replace("zzzzz/qqqqq", "W")
        assert choices(there) == {}
    assert "✅" in said(why(door, "marta", "payments"))
    assert "🚫" in said(why(door, "ines", "salaries"))


def test_a_bundle_that_only_hidden_flows_offer_reads_as_what_is_not_there(door):
    hide(door, "Warehouse incident")

    for words in ("Warehouse incident", "warehouse incidnt", "Analytics/New analyst"):
        assert "Nothing that you may know of" in said(why(door, "kofi", words))
        assert "bundle" not in said(why(door, "kofi", words))
    assert "✅" in said(why(door, "maya", "Warehouse incident"))
    assert "the bundle “Analytics/New analyst”" in said(why(door, "ines", "Analytics/New analyst"))


def test_a_thing_is_not_given_away_by_its_number(door):
    """The value of a button is whatever somebody sends."""
    hide(door, "Read payments")
    view = why(door, "kofi", "customers")

    value = f"{door.resource(PAYMENTS)}/payments"
    answer = door.deliver(click_in("kofi", view, ids.WHY_ABOUT, value))
    none = door.deliver(click_in("kofi", view, ids.WHY_ABOUT, "4711/payments"))

    assert answer.views[0]["blocks"] == none.views[0]["blocks"]
    assert "payments" not in str(answer.views[0])


def test_of_a_permission_that_only_hidden_flows_offer_nothing_is_said(door):
    hide(door, "Change orders", "Warehouse incident", "Whatever is in the warehouse")

    assert "read-write" not in said(why(door, "kofi", "stock"))


def test_a_flow_that_is_switched_off_is_known_to_whom_it_was_for(door):
    assert "“Read salaries” is switched off" in said(why(door, "paul", "salaries"))
    assert "Nothing that you may know of" in said(why(door, "kofi", "salaries"))


def test_administrators_know_of_everything_also_of_what_no_flow_offers(door):
    found = said(why(door, "ines", f"read-write on {SALARIES}"))

    assert f"You cannot have read-write on {SALARIES}: no access flow" in found


def test_who_may_ask_for_nothing_learns_of_nothing(door):
    for words in ("payments", "customers", "zzz"):
        assert "nothing that you can request" in door.command("casey", f"why {words}").said


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    url = f"sqlite:///{tmp_path}/latchkey.db"
    stored = Stored.founded(url)
    titled = ConditionGroup(
        (
            Condition("group", Comparator.IS, (DBAS,)),
            Condition("title", Comparator.IS, ("Lead",)),
        )
    )
    flows = [(reading(), True), (writing(requestors=titled, listed=False), True)]
    stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))
    stored.write(lambda tx, _: sync.inventory(tx, PG, [table("shop.orders")], stored.now))
    stored.close()
    return lambda *arguments: latchkey("why", *arguments, cwd=tmp_path, LATCHKEY_DATABASE_URL=url)


def test_an_operator_is_told_condition_by_condition_whatever_is_listed(house):
    done = house("--as", "alice@example.com", "shop.orders")

    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        "Alice can have read on shop.orders: at once, under “Reading”, at most 4 h.",
        (
            "Alice cannot have write on shop.orders: “Writing” is for people who are in dbas, and "
            "whose title is Lead; Alice is in engineers, Alice's title is not known."
        ),
        "  “Writing”, who may ask:",
        "    ✗ who are in dbas: Alice is in engineers",
        "    ✗ whose title is Lead: Alice's title is not known",
        "Who could let them: Ada (admin).",
        "What they can have: handbook, at once; runbook, at once.",
    ]


def test_what_can_be_had_has_status_0(house):
    done = house("--as", "ALICE@example.com", "read on shop.orders")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Alice can have read on shop.orders: at once")


KIT = Bundle("Kit", (Selector(WIKI),))


@pytest.fixture
def bundled(tmp_path):
    """Return how to ask why of a bundle that such a flow offers."""
    url = f"sqlite:///{tmp_path}/bundled.db"
    stored = Stored.founded(url)

    def ask(*arguments, bundle=KIT, **values):
        stored.write(lambda tx, _: sync.objects(tx, [bundle], stored.now))
        flows = [(reading(**{"targets": (ByBundle("Kit"),)} | values), True)]
        stored.write(lambda tx, _: sync.flows(tx, flows, stored.now))
        given = ("why", *arguments, "kit")
        return latchkey(*given, cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    yield ask
    stored.close()


def test_an_operator_is_told_condition_by_condition_who_may_have_a_bundle(bundled):
    wants = ConditionGroup((Condition("group", Comparator.IS, (DBAS,)),))

    can = bundled("--as", "alice@example.com")
    cannot = bundled("--as", "alice@example.com", requestors=wants)
    others = bundled("--as", "mia@example.com", "--for", "alice@example.com", requestors=wants)

    assert can.returncode == 0
    assert can.stdout == (
        "Alice can have the bundle “Kit”: at once, under “Reading”, at most 4 h.\n"
    )
    assert cannot.returncode == 1
    assert cannot.stdout.splitlines()[:3] == [
        "Alice cannot have the bundle “Kit”: “Reading” is for dbas; Alice is in engineers.",
        "  “Reading”, who may ask:",
        "    ✗ who are in dbas: Alice is in engineers",
    ]
    assert "Mia cannot request the bundle “Kit” for Alice:" in others.stdout


def test_a_bundle_that_nothing_offers_or_is_in_cannot_be_had(bundled):
    nothing = Bundle("Kit", (Selector(WIKI, types=frozenset({"nothing"})),))

    unoffered = bundled("--as", "alice@example.com", targets=(Selector(WIKI),))
    empty = bundled("--as", "alice@example.com", bundle=nothing)

    assert "Alice cannot have the bundle “Kit”: no access flow offers it." in unoffered.stdout
    assert "“Reading” offers nothing that is in it just now." in empty.stdout


def test_it_is_explained_for_whom_else_somebody_asks(house):
    out = house("--as", "mia@example.com", "--for", "alice@example.com", "read on shop.orders")
    cannot = house("--as", "alice@example.com", "--for", "bob@example.com", "read on shop.orders")

    assert "Mia cannot request read on shop.orders for Alice:" in out.stdout
    assert "  - “Reading” is for engineers; Mia is in no group." in out.stdout
    assert "“Reading” is not for Bob: it can be asked for oneself" in cannot.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--as", "nobody@example.com", "x"], "Nobody in the directory has the address nobody@"),
        (["--as", "alice@example.com", ""], "Say what it is about, by name or path"),
        (["--as", "alice@example.com", "x" * 300], "at most 200 characters; this has 300."),
        (
            ["--as", "alice@example.com", "shop.ordres"],
            "Nothing is called “shop.ordres”. Did you mean shop.orders?",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_cure(house, arguments, expected):
    done = house(*arguments)

    assert done.returncode == 1
    assert expected in done.stderr


def test_of_several_the_operator_chooses_by_path(house):
    done = house("--as", f"{ALICE}@example.com", "book")

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "2 things are called so. Which one is it?",
        "  handbook",
        "  runbook",
    ]


@pytest.fixture
def found(tmp_path):
    """Return how to ask why on a company in which this was found, one after the other."""
    url = f"sqlite:///{tmp_path}/found.db"
    stored = Stored.founded(url)

    def ask(words, *each):
        for tables in each:
            stored.write(lambda tx, _, t=tables: sync.inventory(tx, PG, t, stored.now))
        given = ("why", "--as", f"{ALICE}@example.com", words)
        return latchkey(*given, cwd=tmp_path, LATCHKEY_DATABASE_URL=url).stdout

    yield ask
    stored.close()


def test_what_was_made_anew_under_its_name_is_meant_and_not_what_is_gone(found):
    """Two of one path were named: whichever was typed, neither could be explained."""
    before, anew = table("shop.orders"), table("shop.orders", source="anew")

    assert found("read on shop.orders", [before], [anew]).startswith("Alice can have read on shop")


def test_a_name_with_on_in_it_is_a_name_first(found):
    """Where there was a “call”, too, it was said that there is no “data” on call."""
    both = [table("data on call"), table("call")]

    assert found("data on call", both).startswith("Alice can have read on data on call:")
    assert found("Read on Data on Call").startswith("Alice can have read on data on call:")
    assert found("read on call").startswith("Alice can have read on call:")


def test_a_part_of_a_name_with_on_in_it_is_found(found):
    """It was taken for a permission “data”, on whatever has “call” in its name."""
    both = [table("data on call logs"), table("call")]

    assert found("data on call", both).startswith("Alice can have read on data on call logs:")
    assert found("READ  on data on CALL").startswith("Alice can have read on data on call logs:")
    assert found("read on call").startswith("Alice can have read on call:")
    assert "There is no “raed” on call. Did you mean read?" in found("raed on call")


def test_what_has_the_permission_is_meant_and_not_what_has_its_words(found):
    """Each word of “read on orders” is in the path of the second table."""
    both = [table("shop.orders"), table("readings_on_orders_of_old")]

    assert found("write on shop.orders", both).startswith("Alice can have write on shop.orders:")
    assert found("read on shop.orders").startswith("Alice can have read on shop.orders:")
    assert found("write on order").startswith("2 things are called so.")


def test_of_many_namesakes_all_are_counted_that_may_be_known(found):
    """Of those that came first of all it was looked which may be known."""
    many = [table(f"m{n:02}/logs") for n in range(30)]

    assert found("logs", many).startswith("30 things are called so.")


def test_nobody_is_explained_without_a_name(house):
    done = house("shop.orders")

    assert done.returncode == 2
    assert "--as" in done.stderr
