"""The Web API: every method that there is, by name."""

from bot.sandbox.method import Method, Site
from bot.sandbox.methods import apps, chat, conversations, files, people, reactions, views
from bot.sandbox.methods.chat import message_content

__all__ = ["COMMON_ERRORS", "METHODS", "Method", "Site", "message_content"]

METHODS: dict[str, Method] = {
    name: method
    for family in (apps, chat, conversations, files, people, reactions, views)
    for name, method in sorted(family.METHODS.items())
}

# What the gateway refuses any call with, before the method itself is asked.
COMMON_ERRORS = frozenset(
    {
        "invalid_arguments",
        "invalid_auth",
        "invalid_json",
        "invalid_post_type",
        "json_not_object",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "ratelimited",
        "unknown_method",
    }
)
