"""What a look at a channel in Slack finds: who is in it, page by page; or why it takes no card."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from slack_sdk.errors import SlackApiError

from bot.usecases import channels
from engine.channel import UNSEEN, Channel, ChannelId

HERE = ChannelId("C0ACCESS")
OTHER = ChannelId("C0NAMEDBYNOBODY")
MINE = {"name": "access", "is_member": True}


def slack(info: object = MINE, pages: Sequence[object] = (["U1"],)) -> SimpleNamespace:
    """Return a Slack with this channel, whose members come in pages; a fault is raised."""

    def answered(info_or_page: object) -> object:
        if isinstance(info_or_page, Exception):
            raise info_or_page
        return info_or_page

    def members(*, channel: str, limit: int, cursor: str | None) -> object:
        assert (channel, limit) == (HERE, channels.PAGE)
        at = int(cursor or 0)
        after = {"next_cursor": str(at + 1) if at + 1 < len(pages) else ""}
        return {"members": answered(pages[at]), "response_metadata": after}

    def about(*, channel: str) -> object:
        assert channel == HERE
        return {"channel": answered(info)}

    return SimpleNamespace(conversations_info=about, conversations_members=members)


def fault(code: str, **headers: str) -> SlackApiError:
    answer = SimpleNamespace(
        data={"ok": False, "error": code},
        get={"ok": False, "error": code}.get,
        headers=headers,
        status_code=200,
    )
    return SlackApiError(code, answer)


def seen(door) -> Channel | None:
    return door.services.company().channels.get(HERE)


@pytest.fixture
def known(door):
    """The channel as it was seen once: with one member."""
    assert HERE in channels.named(door.services.company())
    assert channels.look(door.services, slack(), HERE) == timedelta(minutes=1)
    assert seen(door) == Channel(HERE, "access", frozenset({"U1"}))
    return door


def test_members_are_read_to_the_last_page(known):
    channels.look(known.services, slack(pages=[["U1", "U2"], ["U3", 4], ["U5"]]), HERE)

    assert seen(known).members == {"U1", "U2", "U3", "U5"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"is_member": False}, "Latchkey is not in it. Write `/invite @Latchkey` there"),
        ({"is_archived": True}, "it is archived"),
        ({"is_ext_shared": True}, "it is shared with another company"),
        ({"is_pending_ext_shared": True}, "it is shared with another company"),
        ({"is_im": True}, "it is no channel"),
        ({"is_mpim": True}, "it is no channel"),
    ],
)
def test_a_channel_that_takes_no_card_says_why_and_has_nobody(known, changed, why):
    channels.look(known.services, slack(MINE | changed), HERE)

    assert seen(known) == Channel(HERE, "access", why_not=why)
    assert channels.why_closed(slack(MINE | changed), HERE) == why
    (said,) = (f for f in channels.faults(known.services.company()) if "C0ACCESS" in f)
    assert said.startswith("#access (C0ACCESS) of ")
    assert said.endswith(f": {why}")


def test_what_slack_refuses_keeps_the_name_and_says_why(known):
    channels.look(known.services, slack(fault("channel_not_found")), HERE)

    assert (seen(known).name, seen(known).members, seen(known).open) == ("access", set(), False)
    assert seen(known).why_not.startswith("there is none with this id, or it is private")


@pytest.mark.parametrize(
    "odd",
    [
        slack(fault("internal_error")),
        slack(fault("invalid_auth")),
        slack(info=None),
        slack(pages=["U1"]),
        slack(pages=[["U7"]] * (channels.MOST_PAGES + 1)),
        slack(TimeoutError()),
    ],
    ids=["a fault", "the token", "no channel", "no members", "no end", "no answer"],
)
def test_what_says_nothing_of_the_channel_leaves_it_as_it_was_seen(known, odd):
    assert channels.look(known.services, odd, HERE) == channels.EVERY

    assert seen(known) == Channel(HERE, "access", frozenset({"U1"}))


def test_who_is_asked_to_wait_looks_again_then(known):
    busy = slack(fault("ratelimited", **{"Retry-After": "7"}))

    assert channels.look(known.services, busy, HERE) == timedelta(seconds=7)
    assert seen(known).open


def test_what_no_flow_names_is_not_looked_at_again(known):
    nobody = slack(fault("must not be asked"))

    assert channels.look(known.services, nobody, OTHER) is None
    assert known.services.company().channels[OTHER].why_not == UNSEEN
