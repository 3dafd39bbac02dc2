"""Core values to JSON bodies and back."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from engine.directory import Account, Person
from engine.flow import Revision
from engine.request import AccessRequest

_REQUEST = TypeAdapter(AccessRequest)
_REVISION = TypeAdapter(Revision)
_PERSON = TypeAdapter(Person)
_COLUMNS = {"id", "version"}


def dump_request(request: AccessRequest) -> dict[str, Any]:
    dumped: dict[str, Any] = _REQUEST.dump_python(
        request, mode="json", exclude=_COLUMNS, exclude_defaults=True
    )
    return dumped


def load_request(id_: int, version: int, body: dict[str, Any]) -> AccessRequest:
    return _REQUEST.validate_python({**body, "id": id_, "version": version})


def dump_revision(revision: Revision) -> dict[str, Any]:
    dumped: dict[str, Any] = _REVISION.dump_python(revision, mode="json", exclude_defaults=True)
    for key, value in dumped.items():
        if isinstance(value, list | tuple) and key == "request_for":
            dumped[key] = sorted(value)
    return dumped


def load_revision(body: dict[str, Any]) -> Revision:
    return _REVISION.validate_python(body)


def dump_person(person: Person) -> dict[str, Any]:
    """Return what the directory says of a person; what Slack says has columns of its own."""
    listed = replace(person, account=None, suspended=None, void_until=None)
    dumped: dict[str, Any] = _PERSON.dump_python(listed, mode="json", exclude_defaults=True)
    dumped["groups"] = sorted(person.groups)
    return dumped


def load_person(
    body: dict[str, Any],
    account: dict[str, Any] | None = None,
    suspended: str | None = None,
    void_until: datetime | None = None,
) -> Person:
    tied = Account(**account) if account else None
    known = {"account": tied, "suspended": suspended, "void_until": void_until}
    return _PERSON.validate_python({**body, **known})


def dump_account(account: Account) -> dict[str, Any]:
    """Return the account that is tied to somebody: one that is barred never is."""
    return {
        "team": account.team,
        "user": account.user,
        "email": account.email,
        "enterprise": account.enterprise,
        "guest": account.guest,
    }
