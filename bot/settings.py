"""Everything that can be set, from the environment or a `.env` file, checked at start.

A secret may stand there itself, or as a reference: `file:PATH` or `env:NAME`.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.runtime import redaction
from bot.runtime.references import (
    ENV_FILE,
    BadReferenceError,
    LastRead,
    begin,
    env_fault,
    env_file,
    is_reference,
    resolve,
    shown,
)
from engine.aql.parser import parse
from engine.eligibility import OPEN_SUBMISSIONS
from engine.errors import LatchkeyError
from manifests.parts import nearest
from storage import files
from storage.database import of_owner, supported
from storage.secrets import BadKeyError, KeyRing, new_key

SLACK = "https://slack.com/api/"
# What serves the sandbox alone, as it is without one.
OF_SANDBOX = {"SLACK_API_URL": SLACK, "LATCHKEY_CLOCK_FILE": ""}
SECRETS = frozenset(
    {
        "slack_bot_token",
        "slack_signing_secret",
        "slack_app_token",
        "database_url",
        "owner_url",
        "keys",
    }
)
A_WEEK = 7 * 24 * 60  # minutes
# For the manifests: by default it would be another folder than the one that was meant.
NOWHERE = {"manifests": Path(os.devnull)}
ADDRESSES = frozenset({"database_url", "owner_url"})

_TOKENS = {
    "xoxb-": "a bot's token, which is for SLACK_BOT_TOKEN",
    "xapp-": "an app-level token, which is for SLACK_APP_TOKEN",
    "xoxp-": "a user's token, which Latchkey has no use for",
    "xoxe": "a token of Slack's for configuring apps, or for renewing tokens",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")
_PRINTABLE = re.compile("[!-~]+")
# What Kubernetes sets for a service whose name begins with latchkey, beside SERVICE_HOST and the
# address of its port, which is a URL.
_OF_SERVICE = re.compile(
    r"(?P<of>LATCHKEY(_\w+)?)_(SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))"
)
_URL_OF_SERVICE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")

SettingsT = TypeVar("SettingsT", bound="StoreSettings")


def is_name(text: str) -> bool:
    """Tell whether an installation can be called so."""
    return re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) is not None


class BadSettingsError(LatchkeyError):
    """The settings cannot be used. The text names every fault and its cure, one a line."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that can be used, the one to encrypt with first; why others cannot, in sentences."""

    usable: tuple[SecretStr, ...]
    faults: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[SecretStr]:
        return iter(self.usable)

    def __len__(self) -> int:
        return len(self.usable)


class _Environment(EnvSettingsSource):
    """The environment, where what is set, but blank, is not set: `.env` may have it."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        named = super()._load_env_vars()
        return {name: value for name, value in named.items() if value and value.strip()}


class _InEnvFile(_Environment):
    """What stands in `.env`; nothing while it cannot be read."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        with suppress(BadReferenceError):
            return {k.lower(): v for k, v in env_file().items() if v.strip()}
        return {}


class StoreSettings(BaseSettings):
    """What the database needs, and no more: commands for when Slack is down go by these."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", populate_by_name=True)

    database_url: str = Field(
        default="sqlite:///latchkey.db",
        repr=False,  # it holds a password
        alias="LATCHKEY_DATABASE_URL",
        description="sqlite:///FILE, or postgresql+psycopg://… for several replicas.",
    )
    slack_api_url: str = Field(
        default=SLACK, alias="SLACK_API_URL", description="Where Slack's Web API is."
    )
    clock_file: Path | None = Field(
        default=None,
        alias="LATCHKEY_CLOCK_FILE",
        description="The sandbox's clock. Refused unless Slack's address is loopback.",
    )
    _references: dict[str, str] = PrivateAttr(default_factory=dict)  # by the name of the field
    _last_read: dict[str, LastRead[str]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_references(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401
        values = {
            name: str(given.get(cls.model_fields[name].alias) or given.get(name) or "").strip()
            for name in SECRETS & cls.model_fields.keys()
        }
        for name, value in values.items():
            begin(_parts(value) if name == "keys" else [value])
        made = read(given)
        made._references.update({k: v for k, v in values.items() if is_reference(v)})  # noqa: SLF001  (ours)
        return made

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls), _InEnvFile(settings_cls)

    def database_url_now(self) -> str:
        """Return the database's address anew where it is a reference: the password may be new.

        What cannot be read just now, or is no address, leaves the one that was read last.
        """
        return self._anew("database_url", self.database_url, supported)

    def _anew(self, name: str, first: str, sound: Callable[[str], str]) -> str:
        """Return a secret as it was read last, if it is a reference; else as it was `first`."""
        if (reference := self._references.get(name)) is None:
            return first

        def read() -> str:
            return sound(resolve(reference))

        anew = LastRead(read, name=shown(reference), first=first)
        return self._last_read.setdefault(name, anew).get()

    def unread(self) -> Mapping[str, str]:
        """Return by the name of each secret that was read anew why it cannot be now, or nothing."""
        names = {name: str(type(self).model_fields[name].alias) for name in self._last_read}
        return {names[field]: read.fault for field, read in self._last_read.copy().items()}

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Set, but empty, is not set: an empty signing secret would be one that all know."""
        return {k: v for k, v in given.items() if not (isinstance(v, str) and not v.strip())}

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("this is not UTF-8 text") from None
        if info.field_name == "keys":
            return _keys(value)
        text = value.strip()
        if info.field_name in SECRETS:
            address = info.field_name in ADDRESSES
            text = _secret(text, redaction.know_address if address else redaction.know)
        if _CONTROL.search(unquote(text)):
            raise ValueError("there is a line break or another control character in it")
        return text

    @field_validator("database_url", "owner_url", check_fields=False)
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        return supported(value)

    @field_validator("clock_file")
    @classmethod
    def _sandboxed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not _is_loopback(info.data.get("slack_api_url", SLACK)):
            raise ValueError("this is for the sandbox, and Slack's address is not local")
        if value is not None and (fault := files.exposed(value.absolute().parent)):
            raise ValueError(fault)
        return value


class SystemSettings(StoreSettings):
    """What it takes to look at systems: whose the logins there are."""

    installation: str = Field(
        default="latchkey",
        alias="LATCHKEY_INSTALLATION",
        description="Names this installation in the systems that it works on.",
    )

    @field_validator("installation")
    @classmethod
    def _named(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(
                "A name has lower-case letters, digits and hyphens, at most 31, a letter first."
            )
        return value


class KeySettings(SystemSettings):
    """What it takes to work on accounts: the keys, too."""

    keys: Annotated[Keys, NoDecode] = Field(
        alias="LATCHKEY_KEYS",
        description="Encryption keys, comma separated, the one to encrypt with first: "
        "`latchkey key` makes one.",
    )

    @property
    def unusable_keys(self) -> dict[str, str]:
        """Say which keys cannot be used, by the setting's name; nothing if all can."""
        said = "; ".join(fault.rstrip(".") for fault in self.keys.faults)
        return {"LATCHKEY_KEYS": f"LATCHKEY_KEYS: {said}. The others are used."} if said else {}

    @property
    def key_ring(self) -> KeyRing:
        return KeyRing([key.get_secret_value() for key in self.keys], self.installation)


class ManifestSettings(KeySettings):
    """What it takes to take manifests in: nothing of Slack's."""

    manifests: Path = Field(
        default=Path("manifests"),
        alias="LATCHKEY_MANIFESTS",
        description="The folder of people, company, integrations, flows and on_call, each .yaml.",
    )


class OwnerSettings(StoreSettings):
    """What it takes to change the schema."""

    owner_url: str | None = Field(
        default=None,
        repr=False,
        alias="LATCHKEY_OWNER_URL",
        description="For `latchkey db upgrade` alone: the same database's address for the role "
        "that owns the schema, where that is not the one that runs.",
    )

    @property
    def owner_database(self) -> str | None:
        """Where the owner of the schema finds it: it has one name, which one address gives."""
        if self.owner_url is None:
            return None
        return of_owner(self.owner_url, self.database_url)


class LintSettings(StoreSettings):
    """What it takes to look at flows."""

    prod: str = Field(
        default='resource_tag["env"] in ("prod", "production", "live")',
        alias="LATCHKEY_PROD",
        description="What is production, in AQL: `latchkey flows lint` names what is given of it "
        "without approval.",
    )

    @field_validator("prod")
    @classmethod
    def _query(cls, value: str) -> str:
        parse(value)
        return value


class Settings(ManifestSettings, OwnerSettings, LintSettings):
    """Everything. What each field is for stands beside it; docs/running.md is printed from here."""

    slack_bot_token: SecretStr = Field(
        alias="SLACK_BOT_TOKEN",
        description="The bot's token, xoxb-…: OAuth & Permissions, after installing the app.",
    )
    slack_signing_secret: SecretStr | None = Field(
        default=None,
        alias="SLACK_SIGNING_SECRET",
        description="The signing secret: Basic Information. For events by HTTP.",
    )
    slack_app_token: SecretStr | None = Field(
        default=None,
        alias="SLACK_APP_TOKEN",
        description="The app-level token, xapp-…, with connections:write: for Socket Mode.",
    )
    discover_minutes: int = Field(
        default=60,
        ge=1,
        le=A_WEEK,
        alias="LATCHKEY_DISCOVER_MINUTES",
        description="How often resources are discovered, in minutes.",
    )
    reconcile_minutes: int = Field(
        default=60,
        ge=1,
        le=A_WEEK,
        alias="LATCHKEY_RECONCILE_MINUTES",
        description="How often systems are compared with what was granted, in minutes.",
    )
    open_submissions: int = Field(
        default=OPEN_SUBMISSIONS,
        ge=1,
        alias="LATCHKEY_OPEN_SUBMISSIONS",
        description="How many requests of one person can be open at once: not decided, or not yet "
        "carried out.",
    )

    http: str | None = Field(
        default=None,
        alias="LATCHKEY_HTTP",
        description="Where to listen, as host:port, for /healthz and /readyz, and with "
        "`run --http` for Slack's events at /slack/events. Off if not set.",
    )
    probes: str | None = Field(
        default=None,
        alias="LATCHKEY_PROBES",
        description="Where to listen, as host:port, for /healthz and /readyz with names and "
        "reasons, and for /metrics: an address for the inside. Off if not set.",
    )

    @field_validator("slack_bot_token")
    @classmethod
    def _sound_bot_token(cls, value: SecretStr) -> SecretStr:
        return SecretStr(_bot_token(_plain(value)))

    @field_validator("slack_app_token")
    @classmethod
    def _sound_app_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("slack_signing_secret") is None:
            raise ValueError(
                "this is missing: Basic Information, App-Level Tokens. (For events by HTTP it is "
                "SLACK_SIGNING_SECRET that is needed.)"
            )
        return value and SecretStr(_app_token(_plain(value)))

    @field_validator("slack_signing_secret")
    @classmethod
    def _sound_signing_secret(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(_one_word(_plain(value)))

    @field_validator("slack_api_url")
    @classmethod
    def _api_url(cls, value: str) -> str:
        if not _PRINTABLE.fullmatch(value):
            raise ValueError("there is a sign in it that no URL has")
        try:
            parts = urlsplit(value)
            whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:  # whose words would quote parts of it
            whole = False
        if not whole:
            raise ValueError("give a URL that begins with https://")
        if not _HOST.fullmatch(parts.netloc):  # a user before it, for one
            raise ValueError("between // and / stands a host, and maybe a port: nothing else")
        if parts.scheme == "http" and not _is_loopback(value):
            raise ValueError("the token would go over the line in clear: begin with https://")
        return value if value.endswith("/") else f"{value}/"

    @field_validator("http", "probes")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            _, colon, port = value.rpartition(":")
            if not (colon and port.isdecimal() and int(port) < 65536):
                raise ValueError("give host:port, like 127.0.0.1:8080")
        return value

    def bot_token_now(self) -> str:
        """Return it anew where it is a reference; what was read last if that is none now."""
        return self._anew("slack_bot_token", _plain(self.slack_bot_token), _bot_token)

    def app_token_now(self) -> str:
        return self._anew("slack_app_token", _plain(self.slack_app_token), _app_token)

    def signing_secret_now(self) -> str:
        first = _plain(self.slack_signing_secret)
        return self._anew("slack_signing_secret", first, _one_word)

    @property
    def listen(self) -> tuple[str, int] | None:
        return _host_and_port(self.http)

    @property
    def listen_for_probes(self) -> tuple[str, int] | None:
        return _host_and_port(self.probes)

    def missing_to_run(self, *, http: bool) -> dict[str, str]:
        """Return what this way of receiving events still needs, a sentence by its name."""
        given: dict[str, object]
        if http:
            given = {
                "SLACK_SIGNING_SECRET is missing: Basic Information": self.slack_signing_secret,
                "LATCHKEY_HTTP is missing: where to listen, like 0.0.0.0:8080": self.listen,
            }
        else:
            sentence = "SLACK_APP_TOKEN is missing; or take events by HTTP: `latchkey run --http`"
            given = {sentence: self.slack_app_token}
        return {said.partition(" ")[0]: said for said, value in given.items() if value is None}


class _Sound(Settings):
    """What is right of the settings: what is left out is at its default, tokens of Slack empty."""

    model_config = SettingsConfigDict(validate_default=False)

    slack_bot_token: SecretStr = Field(default=SecretStr(""), alias="SLACK_BOT_TOKEN")


def load(**given: Any) -> Settings:  # noqa: ANN401  (any setting, as text)
    """Read the settings. Raises BadSettingsError, which names all that is wrong at once."""
    made = _load(Settings, given)
    if fault := env_fault():
        raise BadSettingsError(fault)
    return made


def load_sound(*, http: bool) -> tuple[Settings, Mapping[str, str]]:
    """Read what is right, and what is wrong with the rest, a sentence by the name of the setting.

    `http`: events are to come by HTTP. Without a token that is right, Slack is out of order: its
    token is empty, and nothing is sent to it. Raises BadSettingsError where the duty to end access
    cannot be done: it takes the database and the keys.
    """
    try:
        load_keys()
    except BadSettingsError:
        _name_all(http=http)
        raise
    unread = {ENV_FILE: fault} if (fault := env_fault()) else {}
    try:
        whole = Settings()
    except ValidationError as found:
        wrong = {
            _field(fault["loc"])[0]: _in_words(fault["loc"], fault["msg"])
            for fault in found.errors()
        }
        sound = _without(wrong.keys())
        return sound, {**unread, **_missing(wrong, http=http), **wrong, **sound.unusable_keys}
    if unread and "manifests" not in whole.model_fields_set:
        whole = whole.model_copy(update=NOWHERE)
    return whole, {**unread, **whole.missing_to_run(http=http), **whole.unusable_keys}


def _name_all(*, http: bool) -> None:
    """Raise BadSettingsError with all that is wrong, and with what is missing to run."""
    try:
        load()
    except BadSettingsError as fault:
        named = {line.partition(" ")[0].rstrip(":.") for line in str(fault).splitlines()}
        missing = _missing(
            named & {str(f.alias) for f in Settings.model_fields.values()}, http=http
        )
        more = [said for name, said in missing.items() if name not in named]
        raise BadSettingsError("\n".join([str(fault), *more])) from None


def _missing(wrong: Iterable[str], *, http: bool) -> Mapping[str, str]:
    """Return what running needs and is not set, whatever is wrong with these settings."""
    instead = dict.fromkeys(wrong, "") | {"LATCHKEY_KEYS": new_key()}
    return _load(_Sound, instead).missing_to_run(http=http)


def load_to_examine() -> tuple[Settings, Mapping[str, str]]:
    """Read what is right, and what is wrong, for whichever way of receiving events is set up."""
    given, wrong = load_sound(http=False)
    right = _load(_Sound, dict.fromkeys(wrong, ""))
    if right.slack_app_token is None and right.slack_signing_secret:
        return load_sound(http=True)
    return given, wrong


def _without(wrong: Collection[str]) -> Settings:
    if {"SLACK_BOT_TOKEN", "SLACK_API_URL"} & set(wrong):
        wrong = {*wrong, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"}
    sound = _load(_Sound, dict.fromkeys(wrong, ""))
    meant = "LATCHKEY_MANIFESTS" not in wrong
    meant = meant and ("manifests" in sound.model_fields_set or not env_fault())
    return sound if meant else sound.model_copy(update=NOWHERE)


def load_store() -> StoreSettings:
    """Read what the database needs, whatever is wrong with the rest. Raises BadSettingsError."""
    return _load(StoreSettings, {})


def load_systems() -> SystemSettings:
    """Read what it takes to look at systems. Raises BadSettingsError."""
    return _load(SystemSettings, {})


def load_keys() -> KeySettings:
    """Read what it takes to work on accounts. Raises BadSettingsError."""
    return _load(KeySettings, {})


def load_manifests() -> ManifestSettings:
    """Read what it takes to take manifests in. Raises BadSettingsError."""
    return _load(ManifestSettings, {}, "manifests")


def load_lint() -> LintSettings:
    """Read what it takes to look at flows. Raises BadSettingsError."""
    return _load(LintSettings, {})


def load_owner() -> OwnerSettings:
    """Read what it takes to change the schema. Raises BadSettingsError."""
    return _load(OwnerSettings, {}, "owner_url")


def _load(kind: type[SettingsT], given: dict[str, Any], *needed: str) -> SettingsT:
    """Read without what of `.env` cannot be read: as far as what is needed stands elsewhere.

    `needed`: fields beside the database's address.
    """
    try:
        made = kind(**given)
    except ValidationError as faults:
        named = {_field(fault["loc"])[0] for fault in faults.errors()}
        if named & OF_SANDBOX.keys() and not issubclass(kind, Settings):
            return _load(kind, {**given, **OF_SANDBOX}, *needed)
        lines = [_in_words(fault["loc"], fault["msg"]) for fault in faults.errors()]
        raise BadSettingsError("\n".join([*filter(None, [env_fault()]), *lines])) from None
    unset = [n for n in ("database_url", *needed) if n not in made.model_fields_set]
    if unset and (fault := env_fault()):
        # By default it would be another database, or folder, than the one that was meant.
        names = [str(kind.model_fields[name].alias) for name in unset]
        missing = [f"{name} is missing, which may stand there." for name in names]
        raise BadSettingsError("\n".join([fault, *missing]))
    return made


def unknown(referred: Iterable[str] = ()) -> list[str]:
    """Name each variable that is set as if it were a setting, and is none.

    `referred`: references of integrations, whose variables may have any name.
    """
    named = {name: value for name, value in os.environ.items() if value.strip()}
    with suppress(BadReferenceError):
        named = {**os.environ, **env_file(), **named}
    known = {str(field.alias) for field in Settings.model_fields.values()}
    values = [part.strip() for value in named.values() for part in value.split(",")]
    used = {v.removeprefix("env:") for v in (*values, *referred) if v.startswith("env:")}
    odd = sorted(
        name
        for name in named
        if name.upper().startswith("LATCHKEY_")
        and name.upper() not in known
        and name not in used
        and not _is_of_service(name, named)
    )
    return [f"{name} is not a setting. {nearest(name, known, _own_part)}" for name in odd]


def _own_part(name: str) -> str:
    return name.casefold().removeprefix("latchkey_")


def _is_of_service(name: str, named: Mapping[str, str]) -> bool:
    """Tell by the values, too: somebody may have mistyped a setting so that it looks like one."""
    if name.endswith("_SERVICE_HOST") or _URL_OF_SERVICE.fullmatch(named[name]):
        return True
    found = _OF_SERVICE.fullmatch(name)
    return found is not None and f"{found['of']}_SERVICE_HOST" in named


def _field(place: tuple[int | str, ...]) -> tuple[str, FieldInfo | None]:
    named = str(place[0]) if place else ""  # by its alias, or where it has its default by its name
    fields = Settings.model_fields.items()
    field = next((f for name, f in fields if named in {name, f.alias}), None)
    return (field and field.alias) or named, field


def _in_words(place: tuple[int | str, ...], message: str) -> str:
    name, field = _field(place)
    if message == "Field required" and field:
        return f"{name} is missing. {field.description}"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _host_and_port(address: str | None) -> tuple[str, int] | None:
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  (asked for, by leaving it out)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or no URL
        return False


def _keys(text: str) -> Keys:
    """Read a list, each of which may be a reference, to several keys in a file.

    Raises ValueError where the first cannot be used: what is sealed and proven anew has to be so by
    the key that was meant. Any other is left out by itself.
    """
    usable: list[SecretStr] = []
    faults: list[str] = []
    listed = list(_listed_keys(text))
    for key, fault in listed:
        if not fault:
            usable.append(SecretStr(key))
        elif usable:
            faults.append(f"key {len(usable) + len(faults) + 1} cannot be used: {fault}")
        else:
            raise ValueError(f"the first key: {fault}" if len(listed) > 1 else fault)
    if not usable:
        raise ValueError(str(BadKeyError()))
    return Keys(tuple(usable), tuple(faults))


def _parts(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def _listed_keys(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key, and why it cannot be used."""
    for part in _parts(text):
        try:
            found = [key for key in re.split(r"[,\s]+", _secret(part, redaction.know)) if key]
        except ValueError as fault:
            yield "", str(fault)
            continue
        if not found:
            yield "", str(BadKeyError())
        for key in found:
            redaction.know(key)
            try:
                KeyRing([key])
            except BadKeyError as fault:
                yield "", str(fault)
            else:
                yield key, ""


def _secret(text: str, know: Callable[[str], None]) -> str:
    if not is_reference(text):
        know(text)
        return text
    try:
        return resolve(text)
    except BadReferenceError as fault:
        raise ValueError(str(fault)) from None


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _bot_token(text: str) -> str:
    return _starting(text, "xoxb-")


def _app_token(text: str) -> str:
    return _starting(text, "xapp-")


def _starting(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        kind = next((what for begins, what in _TOKENS.items() if text.startswith(begins)), "")
        raise ValueError(f"{f'this is {kind}; ' if kind else ''}it has to begin with {prefix}")
    return _one_word(text)


def _one_word(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("there is white space in it, or a sign that it cannot have: copy it anew")
    return text
