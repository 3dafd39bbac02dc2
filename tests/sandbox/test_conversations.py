"""Channels and groups: who is in, who may know, and what the app can change about it."""

import itertools

import pytest

from bot.sandbox.client import NotPossible
from tests.sandbox.kit import PEOPLE

NEW = itertools.count(1)


@pytest.fixture
def api(wide):
    return wide.api


@pytest.fixture
def anna(wide):
    return wide.sandbox.person(wide.fresh())


@pytest.fixture
def vault(api):
    """A private channel of the app's own."""
    answer = api("conversations.create", name=f"vault-{next(NEW)}", is_private=True)
    return answer["channel"]["id"]


def paged(call, key, **arguments):
    found, cursor = [], ""
    while True:
        answer = call(**arguments, cursor=cursor)
        found += answer[key]
        cursor = answer["response_metadata"]["next_cursor"]
        if not cursor:
            return found


# --- channels ---------------------------------------------------------------------------------


def test_channels_are_listed_by_kind_and_page(api, vault):
    def listed(**more):
        channels = paged(
            lambda **a: api.form("conversations.list", **a), "channels", limit=2, **more
        )
        return {channel["id"] for channel in channels}

    public = listed()
    assert {"C0IN", "C0OUT", "C0OLD"} <= public
    assert not {"C0SECRET", "C0VAULT", vault} & public
    assert "C0OLD" not in listed(exclude_archived="true")
    private = listed(types="private_channel")
    assert {"C0VAULT", vault} <= private
    assert "C0SECRET" not in private
    assert listed(types="public_channel,private_channel") >= public | private


def test_a_channel_says_what_it_is(api, vault):
    def info(channel):
        return api.form("conversations.info", channel=channel, include_num_members=1)["channel"]

    general, secret = info("C0IN"), info(vault)
    assert (general["is_general"], general["is_private"], general["is_member"]) == (
        True,
        False,
        True,
    )
    assert (secret["is_group"], secret["is_private"], secret["num_members"]) == (True, True, 1)
    assert not info("C0OUT")["is_member"]


def test_members_come_and_go(api, wide, anna, vault):
    guest = wide.sandbox.person("guest")

    def members():
        return paged(
            lambda **a: api.form("conversations.members", **a), "members", channel=vault, limit=1
        )

    assert api("conversations.invite", channel=vault, users=f"{anna.id},{guest.id}")["ok"]
    assert members() == sorted(["U0SANDBOX", anna.id, guest.id])
    assert anna.messages(vault) == []

    assert api("conversations.kick", channel=vault, user=anna.id)["ok"]
    assert members() == sorted(["U0SANDBOX", guest.id])
    with pytest.raises(NotPossible, match="is not in"):
        anna.messages(vault)
    answer = api("conversations.kick", channel=vault, user=anna.id)
    assert answer["error"] == "not_in_channel"


def test_one_bad_name_keeps_all_out_unless_forced(api, anna, vault):
    users = f"{anna.id},U0NOBODY"

    refused = api("conversations.invite", channel=vault, users=users)

    assert refused["error"] == "user_not_found"
    assert refused["errors"] == [{"user": "U0NOBODY", "ok": False, "error": "user_not_found"}]
    assert api("conversations.invite", channel=vault, users=users, force=True)["ok"]
    assert anna.id in api.form("conversations.members", channel=vault)["members"]


def test_the_app_joins_public_channels_only(api, wide):
    bert = wide.sandbox.person("p1")
    name = api("conversations.create", name=f"open-{next(NEW)}")["channel"]["id"]
    bert.join(name)

    again = api("conversations.join", channel=name)
    assert (again["ok"], again["warning"]) == (True, "already_in_channel")
    assert api("conversations.join", channel="C0VAULT")["error"].startswith("method_not_supported")
    assert api.form("conversations.info", channel="C0LATER")["error"] == "channel_not_found"
    bert.invite("app", "later")
    assert api.form("conversations.info", channel="C0LATER")["ok"]


def test_guests_join_nothing_by_themselves(wide):
    for channel in ("random", "vault", "old"):
        with pytest.raises(NotPossible, match="cannot join"):
            wide.sandbox.person("guest").join(channel)


def test_a_persons_channels_are_those_that_the_app_may_know(api):
    kinds = "public_channel,private_channel"

    shown = api.form("users.conversations", user="U10001", types=kinds)["channels"]
    own = api.form("users.conversations", types=kinds)["channels"]

    assert {"C0IN", "C0OUT", "C0VAULT"} <= {channel["id"] for channel in shown}
    assert "C0SECRET" not in {channel["id"] for channel in shown}
    assert "C0OUT" not in {channel["id"] for channel in own}


def test_several_people_share_one_conversation(api, wide, anna):
    bert = wide.sandbox.person("p1")

    first = api("conversations.open", users=f"{anna.id},{bert.id}", return_im=True)["channel"]
    again = api("conversations.open", users=f"{bert.id},{anna.id}")["channel"]

    assert (first["is_mpim"], first["id"]) == (True, again["id"])
    api("chat.postMessage", channel=first["id"], text="both of you")
    for person in (anna, bert):
        assert person.wait_message("both of you", channel=first["id"])


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("conversations.list", {"types": "mpim"}),
        ("conversations.history", {"channel": "C0IN"}),
        ("users.conversations", {"types": "mpim"}),
        ("conversations.create", {"name": "x"}),
        ("conversations.invite", {"channel": "C0IN", "users": "U10001"}),
        ("conversations.kick", {"channel": "C0IN", "user": "U10001"}),
        ("usergroups.list", {}),
        ("usergroups.users.update", {"usergroup": "S0OPS", "users": "U10001"}),
        ("reactions.add", {"channel": "C0IN", "timestamp": "1", "name": "x"}),
        ("files.getUploadURLExternal", {"filename": "a", "length": 1}),
    ],
)
def test_the_products_own_scopes_do_not_reach_so_far(request, method, arguments):
    api = request.getfixturevalue("caller")

    answer = api.form(method, **arguments)

    assert answer["error"] == "missing_scope"
    assert answer["needed"]


# --- people and groups ------------------------------------------------------------------------


def test_cursors_have_to_be_encoded(api):
    """They end with = as Slack's do: a client that puts them into a query as they are fails."""
    cursors = {
        api.form("users.list", limit=limit)["response_metadata"]["next_cursor"]
        for limit in (2, 20, 200)
    }

    assert any(cursor.endswith("=") for cursor in cursors)
    assert len(paged(lambda **a: api.form("users.list", **a), "members", limit=200)) > PEOPLE


def test_groups_are_listed_with_what_is_asked_for(api):
    def listed(**more):
        return {g["id"]: g for g in api.form("usergroups.list", **more)["usergroups"]}

    plain, full = listed(), listed(include_users=1, include_count=1, include_disabled=1)

    assert "S0OFF" not in plain
    assert "users" not in plain["S0OPS"]
    assert (full["S0OPS"]["users"], full["S0OPS"]["user_count"]) == (["U10001", "U10002"], 2)
    assert full["S0OFF"]["date_delete"]


def test_the_members_of_a_group_are_set_as_a_whole(api, anna):
    group = api("usergroups.create", name=f"New group {next(NEW)}")["usergroup"]["id"]

    def users(**more):
        return api.form("usergroups.users.list", usergroup=group, **more)

    assert users()["users"] == []
    for given in ([anna.id, "U10001"], f'["{anna.id}", "U10001"]', f"{anna.id},U10001"):
        api("usergroups.users.update", usergroup=group, users=given)
        assert users()["users"] == [anna.id, "U10001"]
    assert api("usergroups.users.update", usergroup=group, users=[])["error"]
    api("usergroups.disable", usergroup=group)
    assert users()["error"] == "no_such_subteam"
    assert users(include_disabled=1)["users"] == [anna.id, "U10001"]
    api("usergroups.enable", usergroup=group)
    assert users()["ok"]


def test_a_group_is_named_in_messages(api, anna):
    api("chat.postMessage", channel=anna.id, text="ask <!subteam^S0OPS>")

    assert anna.wait_message("ask").text == "ask @ops"
