"""What Slack's errors mean: one table says what is done about each that a method may answer.

Slack documents the errors of each method, and those that any method may answer. Every one of a
method that is called here is decided; one that is new is tried again.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from engine.retry import LONGEST_PAUSE

__all__ = [
    "CURES",
    "OF_METHOD",
    "TOKEN_REFUSED",
    "UNSAID",
    "Cure",
    "asked_to_wait",
    "cure_of",
    "error_code",
    "method_of",
    "refusal",
    "refuses_trigger",
]

UNSAID = timedelta(seconds=30)  # to wait where Slack does not say for how long
_CODE = re.compile("[a-z_]{1,60}")
_TRIGGER = frozenset({"exchanged_trigger_id", "expired_trigger_id", "invalid_trigger_id"})


class Cure(Enum):
    """What to do about an error of Slack's."""

    WAIT = "Slack asks to be left alone: again at its time"
    RETRY = "again, with growing pauses"
    UNSURE = "it may have been done all the same: look first, then again"
    ANEW = "what it speaks of is not there any more: begin anew"
    OVER = "its moment has passed: leave it"
    NOBODY = "this person takes no message"
    REFUSE = "Slack never takes it as it is: give it up"
    BARRED = "the app may not do it, until somebody has let it"


def _each(cure: Cure, codes: Iterable[str]) -> dict[str, Cure]:
    return dict.fromkeys(codes, cure)


# Slack answers, and says that it does not know this token.
TOKEN_REFUSED = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
)

CURES: Mapping[str, Cure] = {
    **_each(Cure.WAIT, ("ratelimited", "rate_limited")),
    **_each(
        Cure.RETRY,
        (
            "external_channel_migrating",
            "fetch_members_failed",
            "message_limit_exceeded",
            "request_timeout",  # Slack's own: it has not read the whole of what was sent
            "team_added_to_org",  # a workspace that is being moved
        ),
    ),
    # Of the first two Slack says that some of it may have been done.
    **_each(Cure.UNSURE, ("internal_error", "fatal_error", "service_unavailable", "update_failed")),
    **_each(
        Cure.ANEW,
        (
            "block_mismatch",
            "cant_update_message",
            "channel_not_found",
            "edit_window_closed",
            "invalid_cursor",
            "is_archived",
            "is_inactive",
            "message_not_found",
            "streaming_state_conflict",
        ),
    ),
    **_each(
        Cure.OVER,
        (
            *sorted(_TRIGGER),
            "hash_conflict",  # whoever was first has drawn the view
            "not_found",  # the view was closed
        ),
    ),
    **_each(
        Cure.NOBODY,
        (
            "cannot_dm_bot",
            "invalid_user_combination",
            "messages_tab_disabled",
            "not_in_channel",
            "posting_to_channel_denied",
            "restricted_action_non_threadable_channel",
            "restricted_action_read_only_channel",
            "restricted_action_thread_only_channel",
            "user_disabled",
            "user_not_found",
            "user_not_visible",
        ),
    ),
    **_each(
        Cure.REFUSE,
        (
            "as_user_not_supported",
            "attachment_payload_limit_exceeded",
            "blocked_file_type",
            "cannot_reply_to_message",
            "cant_broadcast_message",
            "draft_already_deleted",
            "draft_already_sent",
            "draft_has_conflict",
            "draft_not_found",
            "duplicate_channel_not_found",
            "duplicate_external_id",
            "duplicate_message_not_found",
            "file_deleted",
            "file_is_deleted",
            "file_not_found",
            "file_share_limit_reached",
            "invalid_arg_name",
            "invalid_arguments",
            "invalid_array_arg",
            "invalid_attachments",
            "invalid_blocks",
            "invalid_blocks_format",
            "invalid_charset",
            "invalid_form_data",
            "invalid_json",
            "invalid_limit",
            "invalid_metadata_filter_keys",
            "invalid_metadata_format",
            "invalid_metadata_schema",
            "invalid_post_type",
            "invalid_ts_latest",
            "invalid_ts_oldest",
            "json_not_object",
            "limit_required",
            "markdown_text_conflict",
            "max_file_sharing_exceeded",
            "metadata_too_large",
            "method_not_supported_for_channel_type",
            "missing_argument",
            "missing_args",
            "missing_file_data",
            "missing_post_type",
            "missing_profile_id",
            "msg_blocks_too_long",
            "msg_too_long",
            "no_dual_broadcast_content_update",
            "no_text",
            "not_enough_users",
            "push_limit_reached",
            "restricted_action_thread_locked",
            "slack_connect_blocked_file_type",
            "slack_connect_canvas_sharing_blocked",
            "slack_connect_clip_sharing_blocked",
            "slack_connect_file_link_sharing_blocked",
            "slack_connect_file_upload_sharing_blocked",
            "slack_connect_lists_sharing_blocked",
            "too_many_attachments",
            "too_many_contact_cards",
            "too_many_users",
            "unable_to_share_files",
            "users_list_not_supplied",
            "view_too_large",
        ),
    ),
    **_each(
        Cure.BARRED,
        (
            *sorted(TOKEN_REFUSED),
            "access_denied",
            "accesslimited",
            "app_access_restricted",
            "channel_is_limited_access",
            "deprecated_endpoint",
            "ekm_access_denied",
            "enterprise_is_restricted",
            "forbidden_team",
            "insecure_request",
            "metadata_must_be_sent_from_app",
            "method_deprecated",
            "missing_scope",
            "no_permission",
            "not_allowed_token_type",
            "not_enabled",  # the Home tab
            "not_implemented",
            "org_login_required",
            "restricted_action",
            "send_on_behalf_not_allowed",
            "team_access_not_granted",
            "team_not_found",
            "two_factor_setup_required",
            "unknown_method",
        ),
    ),
}

# What means something else there.
OF_METHOD: Mapping[tuple[str, str], Cure] = {
    ("views.publish", "hash_conflict"): Cure.RETRY,
    ("conversations.open", "channel_not_found"): Cure.NOBODY,
}


def cure_of(fault: SlackApiError, method: str = "") -> Cure:
    """Return what to do about an error. `method`: which was called, if the error does not say."""
    status, code = getattr(fault.response, "status_code", 0), error_code(fault)
    if asked_to_wait(fault) is not None:
        return Cure.WAIT
    if status >= 500 or code.startswith("http_"):  # what answered may not be Slack
        return Cure.UNSURE
    named = OF_METHOD.get((method or method_of(fault), code))
    return named or CURES.get(code, Cure.RETRY)


def method_of(fault: SlackApiError) -> str:
    """Return the method that was called; nothing, if that is not known."""
    return str(getattr(fault.response, "api_url", "")).rpartition("/")[2]


def error_code(fault: SlackApiError) -> str:
    """Return Slack's code for what is wrong, or `http_` and the status where there is none."""
    response: Any = fault.response
    answer = getattr(response, "data", response)
    code = str(answer.get("error")) if isinstance(answer, dict) else ""
    # What is no JSON is put there whole by the SDK.
    return code if _CODE.fullmatch(code) else f"http_{getattr(response, 'status_code', 0)}"


def refuses_trigger(fault: SlackApiError) -> bool:
    """Tell whether it is the trigger that Slack does not take, be it in words that it used once."""
    answer = getattr(fault.response, "data", fault.response)
    told = answer.get("response_metadata") if isinstance(answer, dict) else None
    words = told.get("messages") if isinstance(told, dict) else None
    return error_code(fault) in _TRIGGER or "trigger" in str(words)


def refusal(
    method: str, code: str, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> SlackApiError:
    """Return what a call raises that Slack would answer so, without being asked."""
    response = SlackResponse(
        client=None,
        http_verb="POST",
        api_url=method,
        req_args={},
        data={"ok": False, "error": code},
        headers=dict(headers),
        status_code=status,
    )
    return SlackApiError("not sent", response)  # type: ignore[no-untyped-call]


def asked_to_wait(fault: Exception) -> timedelta | None:
    """Return for how long Slack asks to be left alone; None: that is not what is wrong."""
    response: Any = getattr(fault, "response", None)
    if not isinstance(fault, SlackApiError) or (
        getattr(response, "status_code", 0) != 429 and CURES.get(error_code(fault)) is not Cure.WAIT
    ):
        return None
    headers = getattr(response, "headers", None) or {}
    asked = next((str(v) for k, v in headers.items() if str(k).lower() == "retry-after"), "")
    seconds = asked.partition(",")[0].strip()  # a proxy in between may have said it twice
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 10):
        return UNSAID
    # Nothing is put off for longer, whatever it says: it says so again.
    return min(LONGEST_PAUSE, timedelta(seconds=int(seconds)))
