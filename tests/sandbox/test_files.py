"""Files: three steps, who may see them, pictures in blocks, and what people choose in a modal."""

import json
import time

import pytest
import yaml
from slack_sdk import WebClient

from bot.sandbox import limits
from bot.sandbox.client import NotPossible, Sandbox
from bot.sandbox.file import File
from tests.sandbox.kit import MANIFEST, Api, App, field, form, opening, section, upload
from tests.support import web
from tests.support.waiting import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20


@pytest.fixture
def api(wide):
    return wide.api


@pytest.fixture
def anna(wide):
    return wide.sandbox.person(wide.fresh())


@pytest.fixture
def app(wide):
    app = App(wide.sandbox, wide.api)
    app.link()
    yield app
    app.close()


def ready(api, content=PNG, name="a.png", **more):
    """Upload a file and wait until Slack has looked at it, as an app has to."""
    file_id = upload(api, content, name, **more)
    wait_until(lambda: api.form("files.info", file=file_id)["file"]["mimetype"], "it is looked at")
    return file_id


def picture(**slack_file):
    return {"type": "image", "alt_text": "a picture", "slack_file": slack_file}


# --- three steps ------------------------------------------------------------------------------


def test_a_file_is_reserved_sent_and_completed(api, anna):
    dm = api("conversations.open", users=anna.id)["channel"]["id"]
    reserved = api.form("files.getUploadURLExternal", filename="a.txt", length=5, alt_txt="five")
    sent = web.post(reserved["upload_url"], content=b"hello")
    files = [{"id": reserved["file_id"], "title": "A"}]

    done = api("files.completeUploadExternal", files=files, channel_id=dm, initial_comment="look")

    assert sent.text == "OK - 5"
    (file,) = done["files"]
    assert (file["title"], file["size"], file["alt_txt"], file["ims"]) == ("A", 5, "five", [dm])
    shown = anna.wait_message("look").raw["files"][0]
    assert (shown["id"], shown["ims"]) == (reserved["file_id"], [dm])


def test_the_bytes_may_come_in_a_form(api):
    reserved = api.form("files.getUploadURLExternal", filename="a.txt", length=5)

    sent = web.post(reserved["upload_url"], files={"file": ("a.txt", b"hello")})

    assert sent.text == "OK - 5"


def test_an_address_takes_what_was_announced_once(api):
    reserved = api.form("files.getUploadURLExternal", filename="a.txt", length=5)

    def send(content):
        return web.post(reserved["upload_url"], content=content).status_code

    assert (send(b"too long"), send(b"hello")) == (400, 404)
    files = [{"id": reserved["file_id"]}]
    assert api("files.completeUploadExternal", files=files)["error"] == "file_update_failed"


def test_an_upload_is_shared_in_several_channels_and_threads(api, wide):
    anna = wide.sandbox.person("p1")
    first = anna.post("here", channel="general")

    upload(api, b"hello", "both.txt", channels="C0IN,C0VAULT")
    upload(api, b"hello", "thread.txt", channel_id="C0IN", thread_ts=first.ts)

    for channel in ("general", "vault"):
        assert anna.messages(channel)[-1].raw["files"][0]["name"] == "both.txt"
    assert first.replies()[0].raw["files"][0]["groups"] == []


def test_a_file_is_completed_once(api):
    file_id = upload(api, b"hello")

    again = api("files.completeUploadExternal", files=[{"id": file_id}])

    assert again["error"] == "file_update_failed"


def test_the_type_is_known_a_moment_later(api, monkeypatch):
    seen = api.form("files.info", file=ready(api))["file"]
    assert (seen["mimetype"], seen["filetype"]) == ("image/png", "png")

    file = File("F1", "a.png", "a", "U1", len(PNG), content=PNG, completed=time.monotonic())
    monkeypatch.setattr(limits, "FILE_SECONDS", 3600)
    assert file.mimetype == ""


def test_the_bytes_are_for_who_brings_the_token(api, wide):
    address = api.form("files.info", file=ready(api))["file"]["url_private"]
    bearer = {"authorization": f"Bearer {wide.sandbox.bot_token}"}

    assert web.get(address, headers=bearer).content == PNG
    assert web.get(address).status_code == 302
    assert web.get(f"{wide.sandbox.url}/sandbox/files/F0NONE").status_code == 404


def test_a_deleted_file_is_gone_everywhere(api, anna, wide):
    dm = api("conversations.open", users=anna.id)["channel"]["id"]
    file_id = ready(api, channel_id=dm)
    address = api.form("files.info", file=file_id)["file"]["url_private"]
    bearer = {"authorization": f"Bearer {wide.sandbox.bot_token}"}

    assert api("files.delete", file=file_id)["ok"]

    assert web.get(address, headers=bearer).status_code == 404
    assert anna.messages()[-1].raw["files"] == [{"id": file_id, "mode": "tombstone"}]
    assert api.form("files.info", file=file_id)["error"] == "file_deleted"


def test_slacks_own_client_uploads(wide, anna):
    client = WebClient(wide.sandbox.bot_token, base_url=wide.sandbox.api_url)
    dm = client.conversations_open(users=anna.id)["channel"]["id"]

    answer = client.files_upload_v2(
        channel=dm, content=PNG, filename="code.png", title="Your code", initial_comment="scan it"
    )

    assert answer["file"]["title"] == "Your code"
    assert anna.wait_message("scan it").raw["files"][0]["name"] == "code.png"


# --- pictures in blocks -----------------------------------------------------------------------


def test_a_picture_is_named_by_id_or_address(api, anna):
    file_id = ready(api)
    file = api.form("files.info", file=file_id)["file"]

    for named in ({"id": file_id}, {"url": file["url_private"]}, {"url": file["permalink"]}):
        answer = api("chat.postMessage", channel=anna.id, text="x", blocks=[picture(**named)])
        assert answer["ok"], answer
    assert anna.messages()[-1].text == "a picture"


def test_a_picture_is_the_apps_to_show_and_ready(api, anna, wide):
    theirs = wide.sandbox.person("p1").upload("a.png", PNG, channel="random").raw["files"][0]["id"]
    deleted = ready(api)
    api("files.delete", file=deleted)
    wrong = {
        "both": {"id": "F0NONE", "url": "https://x.example/a.png"},
        "neither": {},
        "unknown": {"id": "F0NONE"},
        "not an image": {"id": ready(api, b"hello", "a.png")},
        "deleted": {"id": deleted},
        "somebody else's": {"id": theirs},
    }

    for why, named in wrong.items():
        answer = api("chat.postMessage", channel=anna.id, text="x", blocks=[picture(**named)])
        assert answer.get("error") == "invalid_blocks", why


def test_an_image_is_a_file_or_an_address_not_both(api, anna):
    both = picture(id=ready(api)) | {"image_url": "https://x.example/a.png"}

    answer = api("chat.postMessage", channel=anna.id, text="x", blocks=[both])

    assert "only one of image_url, slack_file" in answer["response_metadata"]["messages"][0]


def test_a_home_shows_pictures_as_accessories_too(api, anna):
    element = picture(id=ready(api))
    home = {"type": "home", "blocks": [section("Scan", accessory=element)]}

    assert api("views.publish", user_id=anna.id, view=home)["ok"]
    home["blocks"][0]["accessory"] = picture(id="F0NONE")
    answer = api("views.publish", user_id=anna.id, view=home)

    assert answer["error"] == "invalid_arguments"
    assert "invalid slack file: F0NONE" in answer["response_metadata"]["messages"][0]


# --- what people choose -----------------------------------------------------------------------


def chooser(**more):
    element = {"type": "file_input", "action_id": "files", **more}
    return form(field("files") | {"element": element})


@pytest.fixture
def show(app, anna):
    def show(view):
        app.on("/access", opening(app, view))
        assert anna.command("/access").ok
        assert app.opened["ok"], app.opened
        return anna.view()

    return show


def test_files_are_chosen_and_sent(app, api, show):
    view = show(chooser(filetypes=["txt", "png"], max_files=2))
    assert view.submit().errors == {"files": "Please complete this required field."}
    view.set("files", [("a.txt", b"hello"), ("b.png", PNG)])
    app.on("view_submission")

    assert view.submit().action == "close"

    values = app.seen[-1]["payload"]["view"]["state"]["values"]["files"]["files"]
    assert [file["name"] for file in values["files"]] == ["a.txt", "b.png"]
    address = values["files"][0]["url_private"]
    bearer = {"authorization": f"Bearer {api.sandbox.bot_token}"}
    assert web.get(address, headers=bearer).content == b"hello"
    json.dumps(values)


def test_the_client_takes_only_what_the_field_takes(show):
    view = show(chooser(filetypes=["txt"], max_files=1))

    for files, why in (
        ([("a.png", PNG)], "only txt"),
        ([("a.txt", b"x")] * 2, "at most 1"),
        ([("a.txt", b"x" * 10_000_001)], "at most 10000000 bytes"),
    ):
        with pytest.raises(NotPossible, match=why):
            view.set("files", files)


def test_a_file_input_needs_the_scope_to_read(files, tmp_path):
    manifest = yaml.safe_load(MANIFEST.read_text())
    manifest["oauth_config"]["scopes"] = {"bot": ["commands"]}
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    with Sandbox.start(**files | {"manifest": path}) as sandbox:
        app = App(sandbox, Api(sandbox))
        app.link()
        app.on("/access", opening(app, chooser()))
        sandbox.person("p1").command("/access")
        app.close()
        app.api.http.close()

    assert "needs the scope files:read" in app.opened["response_metadata"]["messages"][0]
