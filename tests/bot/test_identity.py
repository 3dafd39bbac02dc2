"""Whose click it is: the Slack account that Slack signed, tied to one person of the directory."""

from dataclasses import replace

import pytest

from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases.identity import (
    AT_ONCE,
    INACTIVE,
    NO_ANSWER,
    NO_ONE,
    SUSPENDED,
    Unknown,
    hear,
    take,
    who,
)
from bot.views import ids
from engine.conditions import Comparator, Condition, ConditionGroup, select
from engine.directory import PersonId, PersonStatus, SlackAccount
from engine.flow import ApprovalRule, ApproverGroup, Quorum
from engine.outcome import Code
from engine.request import State
from engine.succession import Succession, SuccessionStatus
from storage import succession, sync
from storage.tables import PersonRow
from tests.support.door import TEAM, click, command, home, modal, slack_id
from tests.support.door import profile as user
from tests.support.inside import counted
from tests.support.stored import (
    ADA,
    ALICE,
    DAN,
    DBAS,
    PEOPLE,
    SAM,
    SRES,
    WRITING,
    is_in,
    person,
    reading,
    writing,
)

ZOE = person("zoe")


@pytest.fixture
def services(stored):
    return Services(
        stored.database, stored.companies, DatabaseClock(stored.database), stored.keys, {}
    )


def join(stored, *people):
    stored.take_in([*PEOPLE, *people])


def profile(slack, email):
    said = {"id": slack, "team_id": "T1", "is_email_confirmed": True, "is_restricted": False}
    return said | {"profile": {"email": email}}


def acting(slack, team="T1", enterprise=""):
    return SlackAccount(team, slack, enterprise=enterprise)


def test_an_address_that_two_people_share_is_nobodys(stored, services):
    """F25: where an address fitted several, a third person was picked.

    However it is found: at the first click, or for all at once.
    """
    join(stored, ZOE, replace(person("zora"), email=ZOE.email.upper()))
    shared = profile("U-NEW", ZOE.email)

    assert who(services, acting("U-NEW"), lambda _: shared) is NO_ONE
    assert take(services, [shared]) == 0


def test_two_accounts_with_one_address_are_nobodys(stored, services):
    join(stored, ZOE)

    assert take(services, [profile("U-1", ZOE.email), profile("U-2", ZOE.email)]) == 0


def test_what_somebody_calls_themselves_in_slack_counts_in_no_condition(stored, services):
    """Whoever writes “DBA on call” into their profile would be one."""
    join(stored, ZOE)
    calls = {"name": "dba", "real_name": "DBA on call", "display_name": "DBA on call"}
    said = profile("U-1", ZOE.email)

    assert take(services, [said | calls | {"profile": said["profile"] | calls}]) == 1

    directory = services.company().directory
    for attribute in ("user", "manager", "group"):
        called = Condition(attribute, Comparator.CONTAINS, ("DBA on",))
        assert select(ConditionGroup((called,)), directory) == []
    assert directory.people["zoe"].name == ZOE.name


def account(services, id_):
    return services.company().directory.people[id_].account


def row(stored, id_):
    return next(r for r in stored.rows(PersonRow) if r.id == id_)


TWO = [profile("U-1", ZOE.email), profile("U-2", ZOE.email.upper())]


@pytest.mark.parametrize("pages", [[TWO], [TWO[:1], TWO[1:]], [TWO[1:], TWO[:1]]], ids=str)
def test_two_accounts_tie_nobody_whichever_page_they_are_on(stored, services, pages):
    """On two pages of Slack's list, whichever came first was tied."""
    join(stored, ZOE)

    for page in [*pages, *pages]:
        take(services, page)

    assert account(services, "zoe") is None
    assert row(stored, "zoe").suspended
    for one in TWO:
        assert who(services, acting(one["id"]), lambda _, one=one: one) in {NO_ONE, SUSPENDED}


@pytest.mark.parametrize(
    "second",
    [{"deleted": True}, {"is_bot": True}, {"is_email_confirmed": False}, {"is_restricted": True}],
    ids=str,
)
def test_an_account_that_would_be_nobodys_is_no_second_one(stored, services, second):
    join(stored, ZOE)

    take(services, [TWO[0] | second, TWO[1]])
    take(services, [TWO[0] | second])

    assert account(services, "zoe").user == "U-2"


DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
NARROWED = {
    "deactivated": {"deleted": True},
    "a bot": {"is_bot": True},
    "unconfirmed": {"is_email_confirmed": False},
    "another address": {"profile": {"email": "else@example.com"}},
    "an address that unicode folds alike": {
        "profile": {"email": "al\N{LATIN SMALL LETTER DOTLESS I}ce@example.com"}
    },
    "of another company": {"is_stranger": True},
    "of another team": {"team_id": "T2"},
}


@pytest.mark.parametrize("change", NARROWED.values(), ids=NARROWED)
@pytest.mark.parametrize("how", ["reading", "event", "event, and Slack is away"])
def test_a_tie_ends_when_the_account_is_no_longer_theirs(stored, services, change, how):
    """A bot, an unconfirmed address, an account of another team: what was tied once stayed so."""
    now = profile("U-alice", "alice@example.com") | change

    def away(_):
        raise Unknown

    if how == "reading":
        take(services, [now])
    else:
        hear(services, now, away if "away" in how else lambda _: now)

    assert account(services, ALICE) is None
    assert row(stored, ALICE).suspended == "U-alice"
    assert who(services, acting("U-alice"), away) is SUSPENDED
    with counted(stored.database) as cost:
        take(services, [now])
        hear(services, profile("U-alice", "alice@example.com"), away)
    assert cost.transactions == 0


def test_who_becomes_a_guest_is_narrowed_and_widened_again(services):
    guest = profile("U-alice", "alice@example.com") | {"is_restricted": True}
    member = guest | {"is_restricted": False}

    hear(services, guest, lambda _: guest)
    assert account(services, ALICE).guest
    assert who(services, acting("U-alice"), lambda _: guest).may_ask is False

    take(services, [member])
    assert not account(services, ALICE).guest


def test_an_event_that_comes_late_widens_nothing(services):
    """Slack sends an event again for minutes: an old one made a guest a full member."""
    guest = profile("U-alice", "alice@example.com") | {"is_ultra_restricted": True}
    guest |= {"is_restricted": True}
    take(services, [guest])
    late = guest | {"is_restricted": False, "is_ultra_restricted": False}

    def away(_):
        raise Unknown

    hear(services, late, lambda _: guest)
    hear(services, late, away)

    assert account(services, ALICE).guest


@pytest.mark.parametrize("missing", ["is_email_confirmed", "is_restricted", "profile", "team_id"])
def test_what_slack_does_not_say_changes_nothing(stored, services, missing):
    """Without the scope for addresses, all ties would have been taken for changed."""
    guest = profile("U-alice", "alice@example.com") | {"is_restricted": True}
    take(services, [guest])

    with counted(stored.database) as cost:
        take(services, [{k: v for k, v in guest.items() if k != missing}])

    assert account(services, ALICE).guest
    assert cost.transactions == 0


UNSAID = {
    "neither kind of guest": {"is_restricted": None},
    "only that it is no single-channel guest": {
        "is_restricted": None,
        "is_ultra_restricted": False,
    },
    "its team": {"team_id": None},
    "whether the address is confirmed": {"is_email_confirmed": None},
}


@pytest.mark.parametrize("said", UNSAID.values(), ids=UNSAID)
def test_of_whom_slack_says_too_little_nobody_is_tied(stored, services, said):
    """Where neither field said so, an account was taken for a full member's."""
    join(stored, ZOE)
    whole = profile("U-ZOE", ZOE.email) | said
    short = {k: v for k, v in whole.items() if v is not None}

    for one in (whole, short):
        assert take(services, [one]) == 0
    assert account(services, "zoe") is None


def test_a_single_channel_guest_is_a_guest_whatever_else_is_unsaid(services):
    said = profile("U-alice", "alice@example.com") | {"is_ultra_restricted": True}
    del said["is_restricted"]

    take(services, [said])

    assert account(services, ALICE).guest


def test_another_address_of_which_nothing_is_said_ends_the_tie(stored, services):
    """Slack did not say whether the new address was confirmed, and the old one went on counting."""
    said = profile("U-alice", "mallory@evil.example")
    del said["is_email_confirmed"]

    take(services, [said])

    assert account(services, ALICE) is None
    assert row(stored, ALICE).suspended == "U-alice"


LESS = {
    "a guest with an outside address": {
        "is_restricted": True,
        "profile": {"email": "dan@outside.example"},
    },
    "a guest of no confirmed address": {"is_restricted": True, "is_email_confirmed": False},
    "deactivated": {"deleted": True},
    "a bot": {"is_bot": True},
    "of another company": {"is_stranger": True},
    "a guest": {"is_restricted": True},
}


@pytest.mark.parametrize("change", LESS.values(), ids=LESS)
@pytest.mark.parametrize("how", ["reading", "event", "event, and a full member again by then"])
def test_what_they_approved_is_void_though_the_tie_broke_as_well(stored, services, change, how):
    """Made a guest, with an outside address at the same time, their approval went on counting."""
    groups = tuple(ApproverGroup(n, is_in(g)) for n, g in (("DBAs", DBAS), ("SREs", SRES)))
    rules = writing(approval=ApprovalRule(groups, Quorum.ALL_OF), escalation=None)
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (rules, True)], stored.now))
    request = stored.submit(flow=WRITING)
    stored.approve(request, DAN)
    member = profile("U-dan", "dan@example.com")
    now = member | change

    if how == "reading":
        take(services, [now])
    else:
        hear(services, now, lambda _: member if "again" in how else now)
    take(services, [member])
    stored.write(lambda tx, _: sync.confirm(tx, DAN, ADA, stored.now))
    take(services, [member])
    stored.approve(request, SAM)
    stored.tick()

    assert account(services, DAN).user == "U-dan"
    assert stored.again(request).state is State.PENDING
    assert [a.person for a in stored.again(request).approvals] == [SAM]


def test_who_is_tied_anew_as_a_guest_approved_nothing(stored, services):
    """Suspended as a full member, a guest when confirmed, a member again: it counted."""
    said = profile("U-alice", "else@example.com")
    take(services, [said])
    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))
    join_as_guest = [replace(p, guest=True) if p.id == ALICE else p for p in PEOPLE]
    stored.take_in(join_as_guest)

    take(services, [profile("U-alice", "alice@example.com") | {"is_restricted": True}])

    assert row(stored, ALICE).void_until


QUIET = {
    "a new status text": profile("U-alice", "alice@example.com") | {"status": "lunch"},
    "the address in capitals": profile("U-alice", "ALICE@EXAMPLE.COM"),
    "somebody unknown": profile("U-X", "x@nowhere.example"),
    "somebody unknown who left": profile("U-X", "") | {"deleted": True},
    "another company's": profile("U-Y", "zoe@example.com") | {"is_stranger": True},
    "a bot of the same address": profile("U-Z", "alice@example.com") | {"is_bot": True},
}


@pytest.mark.parametrize("said", QUIET.values(), ids=QUIET)
def test_what_changes_no_tie_writes_nothing(stored, services, said):
    """Slack tells of each change of anybody's status: hundreds a minute, each a transaction."""
    join(stored, ZOE)

    def never(_):
        raise AssertionError("Slack was asked")

    with counted(stored.database) as cost:
        hear(services, said, never)
        take(services, [said])

    assert cost.transactions == 0


def test_who_joins_the_workspace_is_tied_by_the_event(stored, services):
    join(stored, ZOE)
    came = profile("U-ZOE", ZOE.email)

    hear(services, came, lambda _: came)

    assert account(services, "zoe").user == "U-ZOE"


def test_the_same_user_of_another_team_is_no_one(services):
    """A team gives out its user ids itself: another one may give the same."""

    def never(_):
        raise AssertionError("Slack was asked")

    assert who(services, acting("U-alice"), never).id == ALICE
    assert who(services, acting("U-alice", "T2"), never) is NO_ONE
    assert who(services, acting("U-alice", ""), never) is NO_ONE


def test_another_teams_user_of_the_same_id_is_tied_as_who_they_are(stored, services):
    """In another workspace ids are given out anew: whose it had been kept out whose it is."""
    join(stored, ZOE)

    take(services, [profile("U-alice", ZOE.email) | {"team_id": "T2"}])

    def never(_):
        raise AssertionError("Slack was asked")

    assert row(stored, ALICE).suspended == "U-alice"
    assert who(services, acting("U-alice", "T2"), never).id == "zoe"
    assert who(services, acting("U-alice", "T3"), never) is NO_ONE
    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))
    take(services, [profile("U-9", "alice@example.com") | {"team_id": "T2"}])
    assert who(services, acting("U-9", "T2"), never).id == ALICE


@pytest.mark.parametrize("told", ["team", "organisation"])
def test_what_was_not_known_of_an_account_is_taken_in_when_slack_says_it(stored, services, told):
    """A workspace that joined an organisation was refused its own people in the others."""
    join(stored, ZOE)
    said = profile("U-ZOE", ZOE.email)
    whole = said | {"enterprise_user": {"enterprise_id": "E1"}}
    take(services, [{**whole, "team_id": None} if told == "team" else said])
    assert account(services, "zoe").homes == {"E1" if told == "team" else "T1"}

    take(services, [whole])

    assert account(services, "zoe").homes == {"T1", "E1"}
    assert who(services, acting("U-ZOE", "T2", "E1"), lambda _: said).id == "zoe"
    with counted(stored.database) as cost:
        take(services, [whole])
    assert cost.transactions == 0


def test_one_organisations_person_clicks_in_any_of_its_workspaces(stored, services):
    join(stored, ZOE)
    came = profile("U-ZOE", ZOE.email) | {"enterprise_user": {"enterprise_id": "E1"}}
    take(services, [came])

    assert who(services, acting("U-ZOE", "T2", "E1"), lambda _: came).id == "zoe"
    assert who(services, acting("U-ZOE", "T2", "E2"), lambda _: came) is NO_ONE


def test_who_has_left_is_told_so_at_first_contact_too(stored, services):
    join(stored, replace(ZOE, status=PersonStatus.INACTIVE))
    came = profile("U-ZOE", ZOE.email)

    assert who(services, acting("U-ZOE"), lambda _: came) is INACTIVE
    assert INACTIVE.code is Code.PERSON_INACTIVE


def test_a_thousand_new_accounts_are_tied_some_at_a_time(stored, services):
    crowd = [person(f"p{n}") for n in range(1000)]
    join(stored, *crowd)

    with counted(stored.database) as cost:
        tied = take(services, [profile(f"U-{p.id}", p.email) for p in crowd])

    assert tied == 1000
    assert cost.transactions == -(-1000 // AT_ONCE)
    assert all(p.account for p in services.company().directory.people.values())


# --- at the door -------------------------------------------------------------------------------


def event(type_, said):
    about = {"token": "t", "team_id": TEAM, "api_app_id": "A0", "event_id": "Ev0"}
    told = {"type": type_, "user": said, "event_ts": "1.0"}
    return about | {"type": "event_callback", "event": told, "event_time": 1}


def changed(door, name, **said):
    """Let an account change, and Slack tell of it."""
    now = door.slack.users[slack_id(name)] | said
    before = door.slack.users[slack_id(name)]
    door.slack.users[slack_id(name)] = now
    try:
        return door.deliver(event("user_change", now))
    finally:
        door.slack.users[slack_id(name)] = before


def test_an_approver_who_became_a_guest_approves_nothing(door):
    """Until the next hour, and for good as one who was tied, a guest approved what they liked."""
    waiting = next(r for r in door.requests() if r.state is State.PENDING)
    approver = next(a.person for a in waiting.asks)
    assert changed(door, approver, is_restricted=True).status == 200

    answer = door.submit(approver, modal(ids.APPROVE_MODAL, str(waiting.id)))

    assert "cannot approve" in answer.said
    assert door.request(waiting.id).approvals == ()
    door.work()
    assert not any(a.open for a in door.request(waiting.id).asks if a.person == approver)


def test_a_guest_still_returns_what_they_have(door):
    active = next(r for r in door.requests() if r.state is State.ACTIVE)
    changed(door, "marta", is_restricted=True)

    assert "no access flow is open" in door.command("marta", "request").said
    door.click("marta", ids.RETURN, str(active.id))
    door.work()

    assert door.request(active.id).state is State.RETURNED


def elsewhere(body, **changed):
    """Return what somebody of another workspace would send, with the same user id."""
    made = body | changed
    if isinstance(made.get("user"), dict):
        made["user"] = made["user"] | {"team_id": "T0NORTHGATE"}
    return made


@pytest.mark.parametrize(
    "body",
    [
        elsewhere(click("marta", ids.RETURN, "1")),
        elsewhere(click("marta", ids.RETURN, "1"), enterprise={"id": "E1"}),
        elsewhere(command("marta", "my"), team_id="T0NORTHGATE"),
        elsewhere(command("marta", "my"), team_id=""),
        click("marta", ids.RETURN, "1") | {"team": None, "user": {"id": slack_id("marta")}},
    ],
    ids=["click", "click in an organisation", "command", "command of no team", "click of no team"],
)
def test_whoever_clicks_from_another_team_is_no_one(door, body):
    """The user id alone was looked at: another company's user of the same id was taken for her."""
    answer = door.deliver(body)

    assert "does not know you" in answer.said
    assert next(r for r in door.requests() if r.id == 1).state is State.ACTIVE


def test_nobody_draws_over_the_home_tab_of_the_same_user_id_elsewhere(door):
    assert door.deliver(home("marta")).views

    assert door.deliver(home("marta") | {"team_id": "T0NORTHGATE"}).views == []


@pytest.mark.parametrize(
    "said",
    [
        None,
        "U0X",
        {},
        {"id": 7},
        {"id": "U0X", "profile": "x"},
        {"id": "U0X", "enterprise_user": 1},
    ],
    ids=str,
)
def test_an_event_of_no_shape_is_refused(door, said):
    assert door.deliver(event("user_change", said)).status == 400


def test_an_event_of_somebodys_status_writes_nothing(door):
    door.written = 0

    for type_ in ("user_change", "team_join"):
        assert door.deliver(event(type_, user(door.person("marta"), status="lunch"))).status == 200

    assert door.written == 0


def elsewhere_done(door, change):
    """Let another process change the company: this one does not hear of it."""
    with door.database.write() as tx:
        change(tx)


def test_the_first_click_after_a_command_is_not_refused(door):
    """Carried over by the command line, the right person was no one, once: memory was old."""
    active = next(r for r in door.requests() if r.state is State.ACTIVE and r.grantee == "marta")
    marta = door.person("marta")
    pair = Succession(
        marta.id, PersonId("m-1"), marta.email, marta.name, marta.name, SuccessionStatus.WAITS
    )
    door.services.company()
    now = door.clock.now()
    elsewhere_done(door, lambda tx: succession.carry(tx, [pair], door.services.keys, now))

    door.click("marta", ids.RETURN, str(active.id))
    door.work()

    assert door.request(active.id).state is State.RETURNED


@pytest.mark.parametrize("what", ["my", "request"])
def test_the_first_command_after_a_confirmation_is_answered(door, what):
    """Her tie was suspended and confirmed elsewhere: the first thing that she did was refused."""
    door.services.company()
    now, broken = (
        door.clock.now(),
        {PersonId("marta"): (door.person("marta").account, "a second account")},
    )
    elsewhere_done(door, lambda tx: sync.suspend(tx, broken, now))
    elsewhere_done(door, lambda tx: sync.confirm(tx, PersonId("marta"), PersonId("ines"), now))

    said = door.command("marta", what).said

    assert "does not know you" not in said
    assert door.person("marta").slack == slack_id("marta")


def test_what_slack_tells_of_somebody_is_known_at_once(told):
    """Latchkey looked once an hour."""

    def may_ask() -> bool:
        return told.desk.person("ravi").may_ask

    ravi = told.person("ravi")
    told.house.sandbox.change_person(ravi.id, is_restricted=True)
    told.until(lambda: not may_ask(), "he is a guest")
    assert "no access flow is open" in ravi.command("/access", "request").text
    told.house.sandbox.change_person(ravi.id, is_restricted=False)
    told.until(may_ask, "he is a full member again")


def test_when_slack_does_not_answer_nobody_is_unknown_for_good(stored, services):
    """F25: a fault of Slack's was told as “we do not know you”."""
    join(stored, ZOE)

    def away(_):
        raise Unknown

    assert who(services, acting("U-ZOE"), away) is NO_ANSWER
    assert who(services, acting("U-ZOE"), lambda _: profile("U-ZOE", ZOE.email)).id == ZOE.id


def test_who_is_tied_is_known_whatever_slack_does(services):
    def away(_):
        raise Unknown

    assert who(services, acting(f"U-{ALICE}"), away).id == ALICE
