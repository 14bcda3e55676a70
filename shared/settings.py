"""Settings from `MBUS_…` environment variables, refused in one line that names the variable."""

from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A variable is missing or bad. The text is one line, names each variable, and holds no secret."""


def _url(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:  # its text would repeat a part of the URL
            good = False
        if not good:
            raise ValueError(f"must be a URL that starts with {schemes[0]}:// and names a host, perhaps with a port")
        return url

    return AfterValidator(check)


DatabaseUrl = Annotated[SecretStr, _url("postgresql", "postgres", "postgresql+asyncpg")]
BrokerUrl = Annotated[SecretStr, _url("amqp", "amqps")]
MqttUrl = Annotated[SecretStr, _url("mqtt", "mqtts")]
HttpUrl = Annotated[SecretStr, _url("http", "https")]
Port = Annotated[int, Field(ge=0, le=65535)]
"""Where a service listens; 0 lets the machine choose, and the log tells which."""


class Settings(BaseSettings):
    """The base of all: of two bases the last one's configuration would win, so they must have the same."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)


class ServiceSettings(Settings):
    """What every service is told. A subclass sets `env_prefix`, such as `MBUS_INGEST_`, and a default port."""

    database_url: DatabaseUrl
    host: str = "127.0.0.1"
    port: Port
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = Field(
        default="INFO", validation_alias="MBUS_LOG_LEVEL"
    )


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read `settings` from the environment; `SettingsError` names every variable that is missing or bad."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        problems = []
        for problem in error.errors(include_input=False, include_url=False):
            what = "is not set" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
            if not problem["loc"]:  # of several variables at once, which the text names
                problems.append(what)
                continue
            name = str(problem["loc"][0])
            variable = name if name.startswith("MBUS_") else f"{prefix}{name}".upper()
            problems.append(f"{variable}: {what}")
        raise SettingsError("; ".join(problems)) from None
