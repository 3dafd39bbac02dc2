"""Everything that can be set, from the environment or a `.env` file, checked at start."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from storage.secrets import BadKeyError, KeyRing
from storage.sessions import schema_of

SLACK = "https://slack.com/api/"


class BadSettingsError(Exception):
    """The settings cannot be used. The text names every fault and its cure, one a line."""


class Settings(BaseSettings):
    """What each field is for stands beside it; `docs/settings.md` is printed from here."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

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
    slack_api_url: str = Field(
        default=SLACK, alias="SLACK_API_URL", description="Where Slack's Web API is."
    )
    database_url: str = Field(
        default="sqlite:///latchkey.db",
        repr=False,  # it holds a password
        alias="LATCHKEY_DATABASE_URL",
        description="sqlite:///FILE, or postgresql+psycopg://… for several replicas.",
    )
    keys: Annotated[list[SecretStr], NoDecode] = Field(
        alias="LATCHKEY_KEYS",
        description="Encryption keys, comma separated, the one to encrypt with first: "
        "`latchkey key` makes one.",
    )
    manifests: Path = Field(
        default=Path("manifests"),
        alias="LATCHKEY_MANIFESTS",
        description="The folder of people.yaml, company.yaml, integrations.yaml and flows.yaml.",
    )
    installation: str = Field(
        default="latchkey",
        alias="LATCHKEY_INSTALLATION",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="Names this installation in the systems that it works on.",
    )
    clock_file: Path | None = Field(
        default=None,
        alias="LATCHKEY_CLOCK_FILE",
        description="The sandbox's clock. Refused unless Slack's address is loopback.",
    )
    discover_minutes: int = Field(
        default=60,
        ge=1,
        alias="LATCHKEY_DISCOVER_MINUTES",
        description="How often resources are discovered, in minutes.",
    )
    reconcile_minutes: int = Field(
        default=60,
        ge=1,
        alias="LATCHKEY_RECONCILE_MINUTES",
        description="How often systems are compared with what was granted, in minutes.",
    )

    http: str | None = Field(
        default=None,
        alias="LATCHKEY_HTTP",
        description="Where to listen, as host:port, for /healthz, /readyz, /metrics, and with "
        "`run --http` for Slack's events at /slack/events. Off if not set.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("this is not UTF-8 text") from None
        return value

    @field_validator("keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401  (not yet validated)
        return [k.strip() for k in value.split(",")] if isinstance(value, str) else value

    @field_validator("keys")
    @classmethod
    def _usable_keys(cls, value: list[SecretStr]) -> list[SecretStr]:
        try:
            KeyRing([key.get_secret_value() for key in value])
        except BadKeyError as fault:
            raise ValueError(str(fault)) from None
        return value

    @field_validator("slack_bot_token")
    @classmethod
    def _bot_token(cls, value: SecretStr) -> SecretStr:
        return _starting(value, "xoxb-")

    @field_validator("slack_app_token")
    @classmethod
    def _app_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("slack_signing_secret") is None:
            raise ValueError(
                "this is missing: Basic Information, App-Level Tokens. (For events by HTTP it is "
                "SLACK_SIGNING_SECRET that is needed.)"
            )
        return value and _starting(value, "xapp-")

    @field_validator("slack_api_url")
    @classmethod
    def _api_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in {"http", "https"}:
            raise ValueError("give a URL that begins with https://")
        return value if value.endswith("/") else f"{value}/"

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("give a URL like sqlite:///latchkey.db") from None
        name = url.drivername
        schema_of(url)
        if name == "postgresql":
            return value.replace("postgresql://", "postgresql+psycopg://", 1)
        if name not in {"sqlite", "postgresql+psycopg"}:
            raise ValueError(f"{name} is not supported: use sqlite or postgresql")
        return value

    @field_validator("manifests")
    @classmethod
    def _there(cls, value: Path) -> Path:
        try:
            there = value.is_dir()
        except OSError:  # too long a name, for one
            there = False
        if not there:
            raise ValueError(f"there is no folder {value}")
        return value

    @field_validator("clock_file")
    @classmethod
    def _sandboxed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not _is_loopback(info.data.get("slack_api_url", SLACK)):
            raise ValueError("this is for the sandbox, and Slack's address is not local")
        return value

    @field_validator("http")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            _, colon, port = value.rpartition(":")
            if not (colon and port.isdecimal() and int(port) < 65536):
                raise ValueError("give host:port, like 127.0.0.1:8080")
        return value

    @property
    def listen(self) -> tuple[str, int] | None:
        if self.http is None:
            return None
        host, _, port = self.http.rpartition(":")
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  (asked for, by leaving it out)

    def missing_to_run(self, *, http: bool) -> list[str]:
        """Return what this way of receiving events still needs, a sentence each."""
        given: dict[str, object]
        if http:
            given = {
                "SLACK_SIGNING_SECRET is missing: Basic Information": self.slack_signing_secret,
                "LATCHKEY_HTTP is missing: where to listen, like 0.0.0.0:8080": self.listen,
            }
        else:
            sentence = "SLACK_APP_TOKEN is missing; or take events by HTTP: `latchkey run --http`"
            given = {sentence: self.slack_app_token}
        return [sentence for sentence, value in given.items() if value is None]

    @property
    def loopback(self) -> bool:
        return _is_loopback(self.slack_api_url)

    @property
    def key_ring(self) -> KeyRing:
        return KeyRing([key.get_secret_value() for key in self.keys])


def load(**given: Any) -> Settings:  # noqa: ANN401  (any setting, as text)
    """Read the settings. Raises BadSettingsError, which names all that is wrong at once."""
    try:
        return Settings(**given)
    except UnicodeDecodeError:
        raise BadSettingsError(".env is not UTF-8: save it as UTF-8.") from None
    except ValidationError as faults:
        lines = [_in_words(fault["loc"], fault["msg"]) for fault in faults.errors()]
        raise BadSettingsError("\n".join(lines)) from None


def _in_words(place: tuple[int | str, ...], message: str) -> str:
    named = str(place[0]) if place else ""  # by its alias, or where it has its default by its name
    fields = Settings.model_fields.items()
    field = next((f for name, f in fields if named in {name, f.alias}), None)
    name = (field and field.alias) or named
    if message == "Field required" and field:
        return f"{name} is missing. {field.description}"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _starting(value: SecretStr, prefix: str) -> SecretStr:
    if not value.get_secret_value().startswith(prefix):
        raise ValueError(f"it has to begin with {prefix}")
    return value
