"""Every error that a method declares happens, and no other one does."""

from types import SimpleNamespace

import pytest
import yaml

from bot.sandbox.api import METHODS
from bot.sandbox.client import Sandbox
from tests.sandbox.kit import Api, company, everything, section, upload

INSIDE, OUTSIDE, OLD, SECRET, NOWHERE = "C0IN", "C0OUT", "C0OLD", "C0SECRET", "C0NONE"
IN = {"channel": INSIDE}

CONTENT = {
    "invalid_attachments": {"text": "x", "attachments": "["},
    "invalid_blocks": {"text": "x", "blocks": [{"type": "nonsense"}]},
    "invalid_blocks_format": {"text": "x", "blocks": "["},
    "markdown_text_conflict": {"text": "x", "markdown_text": "y"},
    "msg_blocks_too_long": {"text": "x", "blocks": [section("x" * 3000)] * 5},
    "no_text": {"text": " "},
    "too_many_attachments": {"text": "x", "attachments": [{}] * 101},
}
TOO_LONG = {
    "short": {"msg_too_long": {"text": "x" * 4001}},
    "markdown": {"msg_too_long": {"markdown_text": "x" * 12_001}},
}
METADATA = {
    "invalid_metadata_format": {"text": "x", "metadata": {"event_type": "a"}},
    "invalid_metadata_schema": {
        "text": "x",
        "metadata": {"event_type": "a b", "event_payload": {}},
    },
    "metadata_too_large": {
        "text": "x",
        "metadata": {"event_type": "a", "event_payload": {"a": "x" * 16_000}},
    },
}
PLACES = {
    "cannot_reply_to_message": {"text": "x", "thread_ts": "1.2"},
    "channel_not_found": {"channel": NOWHERE, "text": "x"},
    "is_archived": {"channel": OLD, "text": "x"},
    "messages_tab_disabled": {"channel": "U10001", "text": "x"},
    "not_in_channel": {"channel": OUTSIDE, "text": "x"},
}
PAGES = {"invalid_cursor": {"cursor": "x"}, "invalid_limit": {"limit": 1001}}
SPANS = {"invalid_ts_oldest": {"oldest": "x"}, "invalid_ts_latest": {"latest": "x"}}
TYPES = {"invalid_types": {"types": "public_channel,secret"}}
FILES = {
    "file_not_found": {"file": "F0NONE"},
    "file_deleted": lambda at: {"file": at.deleted},
    "access_denied": lambda at: {"file": at.hidden},
}
GROUP = {"no_such_subteam": {"usergroup": "S0NONE"}, "plan_upgrade_required": {}}
TAKEN = {
    "name_already_exists": {"name": "operators"},
    "handle_already_exists": {"name": "New", "handle": "ops"},
}
WRONG_KIND = {"method_not_supported_for_channel_type": lambda at: {"channel": at.dm}}


def based(base, *tables):
    """Lay each entry of the tables over what makes a good call."""
    merged = {code: given for table in tables for code, given in table.items()}

    def lay(given):
        def arguments(at):
            first = base(at) if callable(base) else base
            return first | (given(at) if callable(given) else given)

        return arguments

    return {code: lay(given) for code, given in merged.items()}


def message(at):
    return {"channel": INSIDE, "ts": at.ts, "text": "x"}


def theirs(at):
    return {"ts": at.theirs}


REACT = {
    "bad_timestamp": {"timestamp": "soon"},
    "channel_not_found": {"channel": NOWHERE},
    "message_not_found": {"timestamp": "1.2"},
    "no_access": {"channel": OUTSIDE},
    "no_item_specified": {"timestamp": ""},
}


def reacting(at):
    return {"channel": INSIDE, "timestamp": at.ts, "name": "eyes"}


REFUSALS = {
    "bots.info": based({}, {"bot_not_found": {"bot": "B0NONE"}}),
    "team.info": based({}, {"team_not_found": {"team": "T0NONE"}}),
    "chat.delete": based(
        message,
        {
            "cant_delete_message": theirs,
            "channel_not_found": {"channel": NOWHERE},
            "message_not_found": {"ts": "1.2"},
        },
    ),
    "chat.getPermalink": based(
        lambda at: {"channel": INSIDE, "message_ts": at.ts},
        {
            "channel_not_found": {"channel": NOWHERE},
            "message_not_found": {"message_ts": "1.2"},
        },
    ),
    "chat.postEphemeral": based(
        IN | {"user": "U10001"},
        CONTENT,
        TOO_LONG["short"],
        PLACES,
        {"user_not_in_channel": {"user": "U10002", "text": "x"}},
    ),
    "chat.postMessage": based(
        IN,
        CONTENT,
        TOO_LONG["markdown"],
        METADATA,
        PLACES,
        {"as_user_not_supported": {"text": "x", "as_user": True}},
    ),
    "chat.update": based(
        lambda at: {"channel": INSIDE, "ts": at.ts},
        CONTENT,
        TOO_LONG["short"],
        METADATA,
        {
            "as_user_not_supported": {"text": "x", "as_user": "true"},
            "cant_broadcast_message": {"text": "x", "reply_broadcast": True},
            "cant_update_message": lambda at: {"ts": at.theirs, "text": "x"},
            "channel_not_found": {"channel": NOWHERE, "text": "x"},
            "message_not_found": {"ts": "1.2", "text": "x"},
        },
    ),
    "conversations.create": based(
        {},
        {
            "invalid_name_required": {"name": " "},
            "invalid_name_maxlength": {"name": "x" * 81},
            "invalid_name_punctuation": {"name": "--"},
            "invalid_name_specials": {"name": "Big News"},
            "name_taken": {"name": "general"},
        },
    ),
    "conversations.history": based(
        IN,
        PAGES,
        SPANS,
        {"channel_not_found": {"channel": SECRET}, "not_in_channel": {"channel": OUTSIDE}},
    ),
    "conversations.info": based({}, {"channel_not_found": {"channel": SECRET}}),
    "conversations.invite": based(
        IN | {"users": "U10009"},
        WRONG_KIND,
        {
            "already_in_channel": {"users": "U10001"},
            "cant_invite_self": {"users": "U0SANDBOX"},
            "channel_not_found": {"channel": SECRET},
            "is_archived": {"channel": OLD},
            "no_external_invite_permission": {"users": "U0OTHER"},
            "no_user": {"users": ","},
            "not_in_channel": {"channel": OUTSIDE},
            "too_many_users": {"users": ",".join(["U10009"] * 1001)},
            "ura_max_channels": {"channel": "C0VAULT", "users": "U0SINGLE"},
            "user_not_found": {"users": "U0NOBODY"},
        },
    ),
    "conversations.join": based(
        {},
        {
            "channel_not_found": {"channel": SECRET},
            "is_archived": {"channel": OLD},
            "method_not_supported_for_channel_type": {"channel": "C0VAULT"},
        },
    ),
    "conversations.kick": based(
        {"channel": "C0VAULT", "user": "U10001"},
        WRONG_KIND,
        {
            "cant_kick_from_general": {"channel": INSIDE},
            "cant_kick_self": {"user": "U0SANDBOX"},
            "channel_not_found": {"channel": SECRET},
            "is_archived": {"channel": OLD},
            "not_in_channel": {"user": "U10009"},
            "user_not_found": {"user": "U0NOBODY"},
        },
    ),
    "conversations.list": based({}, PAGES, TYPES),
    "conversations.members": based(IN, PAGES, {"channel_not_found": {"channel": SECRET}}),
    "conversations.open": based(
        {},
        {
            "cannot_dm_bot": {"users": "U0ROBOT"},
            "channel_not_found": {"channel": NOWHERE},
            "method_not_supported_for_channel_type": {"channel": INSIDE},
            "too_many_users": {"users": ",".join(f"U1000{n}" for n in range(1, 10))},
            "user_disabled": {"users": "U0GONE"},
            "user_not_found": {"users": "U0NOBODY"},
            "not_enough_users": {"users": ","},
            "users_list_not_supplied": {"users": ""},
        },
    ),
    "conversations.replies": based(
        lambda at: {"channel": INSIDE, "ts": at.ts},
        PAGES,
        SPANS,
        {
            "channel_not_found": {"channel": SECRET},
            "not_in_channel": {"channel": OUTSIDE},
            "thread_not_found": {"ts": "1.2"},
        },
    ),
    "users.conversations": based({}, PAGES, TYPES, {"user_not_found": {"user": "U0NOBODY"}}),
    "files.completeUploadExternal": based(
        lambda at: {"files": [{"id": at.uploaded()}], "channel_id": INSIDE},
        {
            "cannot_reply_to_message": {"thread_ts": "1.2"},
            "channel_not_found": {"channel_id": "U10001"},
            "channels_limit_exceeded": {"channel_id": "", "channels": ",".join([INSIDE] * 101)},
            "file_deleted": lambda at: {"files": [{"id": at.deleted}]},
            "file_not_found": {"files": [{"id": "F0NONE"}]},
            "file_update_failed": lambda at: {"files": [{"id": at.empty}]},
            "invalid_blocks": {"blocks": [{"type": "nonsense"}]},
            "invalid_blocks_format": {"blocks": "["},
            "is_archived": {"channel_id": OLD},
            "messages_tab_disabled": lambda at: {"channel_id": at.dm},
            "msg_blocks_too_long": {"blocks": [section("x" * 3000)] * 5},
            "not_in_channel": {"channel_id": OUTSIDE},
        },
    ),
    "files.delete": based({}, FILES, {"cant_delete_file": lambda at: {"file": at.given}}),
    "files.getUploadURLExternal": based(
        {"filename": "a.txt", "length": 5},
        {
            "alt_txt_too_large": {"alt_txt": "x" * 1001},
            "file_upload_size_restricted": {"length": 1_000_000_001},
            "snippet_too_large": {"length": 1_000_001, "snippet_type": "text"},
        },
    ),
    "files.info": based({}, FILES),
    "usergroups.create": based({"name": "New"}, TAKEN, {"plan_upgrade_required": {}}),
    "usergroups.disable": based({"usergroup": "S0OPS"}, GROUP),
    "usergroups.enable": based({"usergroup": "S0OPS"}, GROUP),
    "usergroups.list": based({}, {"plan_upgrade_required": {}}),
    "usergroups.update": based(
        {"usergroup": "S0OPS"},
        GROUP,
        {"name_already_exists": {"name": "off"}, "handle_already_exists": {"handle": "off"}},
    ),
    "usergroups.users.list": based({"usergroup": "S0OPS"}, GROUP),
    "usergroups.users.update": based(
        {"usergroup": "S0OPS", "users": "U10001"},
        GROUP,
        {"invalid_users": {"users": "U10001,U0GONE"}, "no_users_provided": {"users": ","}},
    ),
    "users.info": based({}, {"user_not_found": {"user": "U0NOBODY"}}),
    "users.list": based({}, PAGES, {"limit_required": {}}),
    "users.lookupByEmail": based({}, {"users_not_found": {"email": "who@acme.example"}}),
    "reactions.add": based(
        reacting,
        REACT,
        {
            "already_reacted": {"name": "wave"},
            "invalid_name": {"name": "No Such"},
            "is_archived": {"channel": OLD},
            "too_many_emoji": lambda at: {"timestamp": at.colourful},
            "too_many_reactions": lambda at: {"timestamp": at.beloved},
        },
    ),
    "reactions.get": based(reacting, REACT),
    "reactions.remove": based(
        reacting, REACT, {"invalid_name": {"name": "No Such"}, "no_reaction": {"name": "eyes"}}
    ),
}

# What a workspace without money or tabs refuses, however well it is asked.
POOR = {
    "limit_required",
    "messages_tab_disabled",
    "plan_upgrade_required",
}
BY_VIEWS = {name for name in METHODS if name.startswith("views.")}  # see test_views
CASES = [(method, code) for method, codes in REFUSALS.items() for code in codes]


@pytest.fixture(scope="module")
def at(wide):
    """What there is to be refused."""
    api, sandbox = wide.api, wide.sandbox
    anna = sandbox.person("p1")

    def post(text):
        return api("chat.postMessage", channel=INSIDE, text=text)["ts"]

    there = SimpleNamespace(ts=post("mine"), beloved=post("b"), colourful=post("c"))
    there.theirs = anna.post("theirs", channel=INSIDE).ts
    there.dm = api("conversations.open", users=anna.id)["channel"]["id"]
    api("reactions.add", channel=INSIDE, timestamp=there.ts, name="wave")
    for n in range(23):
        api("reactions.add", channel=INSIDE, timestamp=there.beloved, name=f"e{n}")
    for who, start, end in (("p1", 0, 23), ("guest", 23, 46), ("single", 46, 50)):
        person = sandbox.person(who)
        seen = next(m for m in person.messages(INSIDE) if m.ts == there.colourful)
        for n in range(start, end):
            seen.react(f"e{n}")
    there.uploaded = lambda: upload(api, b"hello", complete=False)
    there.empty = api.form("files.getUploadURLExternal", filename="a", length=1)["file_id"]
    there.deleted = upload(api, b"hello")
    api("files.delete", file=there.deleted)
    there.given = anna.upload("a.txt", b"x", channel=INSIDE).raw["files"][0]["id"]
    there.hidden = anna.upload("a.txt", b"x", channel=OUTSIDE).raw["files"][0]["id"]
    return there


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poor")
    workspace, manifest = company(1000), everything()
    workspace["team"]["plan"] = "free"
    manifest["features"]["app_home"]["messages_tab_enabled"] = False
    manifest["features"]["app_home"]["home_tab_enabled"] = False
    for name, document in (("workspace", workspace), ("manifest", manifest)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    files = {name: folder / f"{name}.yaml" for name in ("workspace", "manifest")}
    with Sandbox.start(**files, rate_factor=0) as sandbox:
        api = Api(sandbox)
        there = SimpleNamespace(dm=api("conversations.open", users="U10001")["channel"]["id"])
        there.uploaded = lambda: upload(api, b"hello", complete=False)
        yield api, there
        api.http.close()


def test_no_method_was_forgotten():
    declared = {name: set(method.errors) for name, method in METHODS.items() if method.errors}

    assert {name: set(codes) for name, codes in REFUSALS.items()} == {
        name: codes for name, codes in declared.items() if name not in BY_VIEWS
    }


@pytest.mark.parametrize(("method", "code"), CASES, ids=[" ".join(case) for case in CASES])
def test_a_method_refuses(wide, poor, at, method, code):
    api, there = poor if code in POOR else (wide.api, at)
    call = api.form if METHODS[method].form_only else api

    answer = call(method, **REFUSALS[method][code](there))

    assert answer.get("error") == code, answer


def test_without_a_home_tab_nothing_is_published(poor):
    api, _ = poor

    answer = api("views.publish", user_id="U10001", view={"type": "home", "blocks": []})

    assert answer["error"] == "not_enabled"
