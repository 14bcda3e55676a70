"""What the commands are told by `MBUS_…` variables; each reads only what it needs."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import BrokerUrl, DatabaseUrl, HttpUrl, MqttUrl


class CommandSettings(BaseSettings):
    """The base of every command's settings."""

    model_config = SettingsConfigDict(
        env_prefix="MBUS_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )


class DatabaseSettings(CommandSettings):
    """The database, as its owner."""

    database_url: DatabaseUrl


class BrokerSettings(CommandSettings):
    """The broker, as somebody who may publish to `gateways`."""

    broker_url: BrokerUrl


class BrokerAdminSettings(BrokerSettings):
    """The broker, as its administrator."""

    broker_management_url: HttpUrl


class SubscriberSettings(DatabaseSettings, BrokerAdminSettings):
    """Registry and broker as their administrator."""


class GatewaySettings(SubscriberSettings):
    """Registry and broker as their administrator, and where gateways find the broker over MQTT, if they do."""

    mqtt_url: MqttUrl | None = None


class MigrateSettings(DatabaseSettings):
    """What `mbus migrate` makes ready: the database, and of logins and broker what is set."""

    ingest_database_url: DatabaseUrl | None = None
    query_database_url: DatabaseUrl | None = None
    alerts_database_url: DatabaseUrl | None = None
    broker_url: BrokerUrl | None = None
    broker_management_url: HttpUrl | None = None
    ingest_broker_url: BrokerUrl | None = None
    alerts_broker_url: BrokerUrl | None = None
